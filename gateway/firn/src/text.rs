//! Values as people write them: durations, sizes, ranges; and sh quoting.

use engine::clock::Timestamp;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

/// `10s`, `500ms`, `15m`, `1h`, `7d`: a whole number and a unit.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let bad = || format!("{text:?} is not a duration like 500ms, 10s, 15m, 1h or 7d");
    let number: u64 = number.parse().map_err(|_| bad())?;
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(bad()),
    };
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(|| format!("{text:?} is too long"))
}

/// `2026-12-31`, its midnight in UTC, or `2026-12-31T12:00:00Z`.
pub(crate) fn parse_moment(text: &str) -> Result<Timestamp, String> {
    let day = || {
        let day: jiff::civil::Date = text.parse().ok()?;
        jiff::tz::Offset::UTC.to_timestamp(day.to_datetime(jiff::civil::Time::midnight())).ok()
    };
    let moment = text.parse::<jiff::Timestamp>().ok().or_else(day);
    moment
        .map(|moment| Timestamp::from_millis(moment.as_millisecond()))
        .ok_or_else(|| format!("{text:?} is not a day like 2026-12-31 or a moment like 2026-12-31T12:00:00Z"))
}

/// An error and what it came of, outermost first. Many errors tell their cause in their own text: nothing is said twice.
pub(crate) fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// A duration in the largest unit that divides it.
pub(crate) fn show_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    for (unit_ms, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
        if ms >= unit_ms && ms.is_multiple_of(unit_ms) {
            return format!("{}{unit}", ms / unit_ms);
        }
    }
    format!("{ms}ms")
}

/// A duration in its largest unit, rounded down.
pub(crate) fn about(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds == 0 {
        return "0s".to_owned();
    }
    let unit = [86_400, 3600, 60].into_iter().find(|unit| seconds >= *unit).unwrap_or(1);
    show_duration(Duration::from_secs(seconds - seconds % unit))
}

/// `1 body`, `2 bodies`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

/// `127.0.0.1:9000`, `[::1]:9000`: where a door listens.
pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let why = "it is no IP address with a port, like 127.0.0.1:9000 or [::1]:9000";
    text.parse().map_err(|_| why.to_owned())
}

/// `8MiB`, `64KiB`, `1GiB`, `1000000`: bytes, with a binary unit or none.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let bad = || format!("{text:?} is not a size like 65536, 64KiB, 8MiB or 1GiB");
    let number: u64 = number.parse().map_err(|_| bad())?;
    let shift = match unit.trim_start() {
        "" | "B" => 0,
        "KiB" | "K" => 10,
        "MiB" | "M" => 20,
        "GiB" | "G" => 30,
        "TiB" | "T" => 40,
        _ => return Err(bad()),
    };
    number.checked_mul(1 << shift).ok_or_else(|| format!("{text:?} is too large"))
}

/// Bytes of an object, as `--range` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ByteRange {
    /// From the first to the last, both included.
    Between(u64, u64),
    /// From here to the end.
    From(u64),
    /// So many at the end.
    Last(u64),
}

impl ByteRange {
    /// As offsets into an object of this size; `None` when it begins after the end.
    pub(crate) fn within(self, size: u64) -> Option<std::ops::Range<u64>> {
        let range = match self {
            Self::Between(first, last) => first..last.saturating_add(1).min(size),
            Self::From(first) => first..size,
            Self::Last(count) => size.saturating_sub(count)..size,
        };
        (range.start < range.end).then_some(range)
    }
}

impl FromStr for ByteRange {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is not a range like 0-99, 100- or -100");
        let (first, last) = text.split_once('-').ok_or_else(bad)?;
        let number = |text: &str| text.parse::<u64>().map_err(|_| bad());
        match (first, last) {
            ("", last) => number(last).map(Self::Last),
            (first, "") => number(first).map(Self::From),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                if first > last { Err(bad()) } else { Ok(Self::Between(first, last)) }
            }
        }
    }
}

/// A word that sh reads back as it is.
pub(crate) fn quote_sh(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+,=".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Text of others, made safe for a terminal: control characters become visible, and with them what has no width or turns the
/// order of what stands beside it.
pub(crate) fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if c.is_control() || is_format(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        out
    })
}

/// Unicode's format characters (general category Cf), and its separators of lines and paragraphs.
const fn is_format(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
        | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}')
}

/// Whether `name` matches `pattern`: `*` is anything, slashes included, `?` one character.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                // The star takes one character more; bounded by pattern times name.
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    n = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::{ByteRange, matches, parse_duration, parse_size, printable, quote_sh, show_duration};
    use std::time::Duration;

    #[test]
    fn what_turns_the_order_of_text_is_shown_and_not_done() {
        assert_eq!(printable("a\u{202e}gpj.exe"), r"a\u{202e}gpj.exe");
        for c in ['\u{200b}', '\u{2066}', '\u{2069}', '\u{feff}', '\u{61c}', '\u{2028}', '\u{e0041}'] {
            assert!(printable(&c.to_string()).starts_with(r"\u{"), "{c:?}");
        }
        assert_eq!(printable("é 日本 \u{301}"), "é 日本 \u{301}");
    }

    #[test]
    fn durations_and_sizes() {
        for (text, ms) in [("500ms", 500), ("10s", 10_000), ("15m", 900_000), ("7d", 604_800_000)] {
            let parsed = parse_duration(text).unwrap();
            assert_eq!(parsed, Duration::from_millis(ms));
            assert_eq!(show_duration(parsed), text);
        }
        for bad in ["", "10", "s", "-1s", "1.5h", "99999999999999999999s", "18446744073709551615d"] {
            parse_duration(bad).unwrap_err();
        }
        assert_eq!(parse_size("8MiB"), Ok(8 << 20));
        assert_eq!(parse_size("17"), Ok(17));
        for bad in ["", "MiB", "1XB", "99999999TiB"] {
            parse_size(bad).unwrap_err();
        }
    }

    #[test]
    fn a_cause_that_an_error_tells_itself_is_said_once() {
        let io = std::io::Error::from_raw_os_error(30);
        let said = engine::Error::io("create", "/ro/lock", io);
        let text = super::chain(&anyhow::Error::from(said).context("start"));
        assert_eq!(text.matches("Read-only").count(), 1, "{text}");
        assert!(text.starts_with("start: ") && text.contains("/ro/lock"), "{text}");
        let plain = anyhow::anyhow!("reach it").context("upload a file");
        assert_eq!(super::chain(&plain), "upload a file: reach it");
    }

    #[test]
    fn ranges_are_cut_to_the_object() {
        let within = |text: &str, size| text.parse::<ByteRange>().unwrap().within(size);
        assert_eq!(within("0-9", 5), Some(0..5));
        assert_eq!(within("2-", 5), Some(2..5));
        assert_eq!(within("-2", 5), Some(3..5));
        assert_eq!(within("-9", 5), Some(0..5));
        assert_eq!(within("5-", 5), None);
        for bad in ["", "-", "5", "3-2", "a-b"] {
            bad.parse::<ByteRange>().unwrap_err();
        }
    }

    #[test]
    fn quoting_and_control_characters() {
        assert_eq!(quote_sh("http://127.0.0.1:9000"), "http://127.0.0.1:9000");
        assert_eq!(quote_sh("it's $x"), r"'it'\''s $x'");
        assert_eq!(quote_sh(""), "''");
        assert_eq!(printable("a\u{1b}[2Jé\n"), "a\\u{1b}[2Jé\\n");
    }

    #[test]
    fn patterns() {
        for (pattern, name, hit) in [
            ("*", "", true),
            ("*.tmp", "a/b.tmp", true),
            ("*.tmp", "a.tmp.x", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b*", "xxaxxbxx", true),
            (".git/*", ".git/config", true),
            (".git/*", "x/.git/config", false),
        ] {
            assert_eq!(matches(pattern, name), hit, "{pattern} {name}");
        }
    }
}
