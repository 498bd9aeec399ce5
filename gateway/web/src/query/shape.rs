//! Shapes of parameters, with the bounds of AWS's API models: what `read.rs` checks values by, and what the page of actions shows.
//!
//! Lengths are of characters. A pattern stands as the model has it, for messages and for the comparison with the model; what it allows is
//! decided by a function beside it.

use crate::xml::is_carried;

/// What a value may be.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Characters.
    Text(Text),
    /// A whole number, both ends included.
    Number {
        /// The model's name of the shape.
        #[cfg_attr(not(test), expect(dead_code, reason = "the page of actions has it"))]
        name: &'static str,
        min: i64,
        max: i64,
    },
    /// `true` or `false`
    Flag,
    /// One of a few words.
    Choice {
        /// The model's name of the shape.
        #[cfg_attr(not(test), expect(dead_code, reason = "the page of actions has it"))]
        name: &'static str,
        words: &'static [&'static str],
    },
    /// `NAME.member.1` and so on.
    List { of: &'static Shape, min: usize, max: usize },
    /// `NAME.FIELD`
    Structure(&'static [Param]),
}

/// Characters of a kind.
#[derive(Debug)]
pub(crate) struct Text {
    /// The model's name of the shape.
    #[cfg_attr(not(test), expect(dead_code, reason = "the page of actions has it"))]
    pub(crate) name: &'static str,
    pub(crate) min: usize,
    pub(crate) max: usize,
    /// As the model has it; empty for none.
    pub(crate) pattern: &'static str,
    /// Whether a whole value is of the pattern.
    pub(crate) fits: fn(&str) -> bool,
}

/// A parameter, or a field of a structure.
#[derive(Debug)]
pub(crate) struct Param {
    pub(crate) name: &'static str,
    pub(crate) shape: &'static Shape,
    pub(crate) required: bool,
}

/// One that has to be there.
pub(crate) const fn req(name: &'static str, shape: &'static Shape) -> Param {
    Param { name, shape, required: true }
}

/// One that may.
pub(crate) const fn opt(name: &'static str, shape: &'static Shape) -> Param {
    Param { name, shape, required: false }
}

/// A text whose letters each are of a kind.
pub(crate) const fn text(
    name: &'static str,
    (min, max): (usize, usize),
    pattern: &'static str,
    fits: fn(&str) -> bool,
) -> Shape {
    Shape::Text(Text { name, min, max, pattern, fits })
}

/// No end but that of the request's body.
pub(crate) const ENDLESS: usize = usize::MAX;

/// Whatever an answer in XML can carry: what nobody could be shown again is refused.
pub(crate) fn anything(text: &str) -> bool {
    text.chars().all(is_carried)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// `[\w]*`
pub(crate) fn word(text: &str) -> bool {
    text.chars().all(is_word)
}

/// `[\w+=,.@-]*`
pub(crate) fn name(text: &str) -> bool {
    text.chars().all(|c| is_word(c) || "+=,.@-".contains(c))
}

/// `[\w+=/:,.@-]*`
pub(crate) fn serial(text: &str) -> bool {
    text.chars().all(|c| is_word(c) || "+=/:,.@-".contains(c))
}

/// `[\d]*`
pub(crate) fn digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `(\u002F)|(\u002F[\u0021-\u007E]+\u002F)`
pub(crate) fn path(text: &str) -> bool {
    let inner = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
    text == "/"
        || inner.is_some_and(|inner| !inner.is_empty() && inner.chars().all(|c| ('!'..='~').contains(&c)))
}

/// `\u002F[\u0021-\u007F]*`
pub(crate) fn path_prefix(text: &str) -> bool {
    text.strip_prefix('/').is_some_and(|rest| rest.chars().all(|c| ('!'..='\u{7f}').contains(&c)))
}

/// `((/[A-Za-z0-9\.,\+@=_-]+)*)/`
pub(crate) fn policy_path(text: &str) -> bool {
    let whole = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || ".,+@=_-".contains(c))
    };
    text == "/"
        || text
            .strip_prefix('/')
            .and_then(|rest| rest.strip_suffix('/'))
            .is_some_and(|inner| inner.split('/').all(whole))
}

fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r')
}

/// `[\u0009\u000A\u000D\u0020-\u00FF]*`
pub(crate) fn document(text: &str) -> bool {
    text.chars().all(|c| is_blank(c) || (' '..='\u{ff}').contains(&c))
}

/// `[\u0009\u000A\u000D\u0020-\u007E\u00A1-\u00FF]*`
pub(crate) fn description(text: &str) -> bool {
    text.chars().all(|c| is_blank(c) || (' '..='~').contains(&c) || ('\u{a1}'..='\u{ff}').contains(&c))
}

/// `[\u0009\u000A\u000D\u0020-\u007E\u0085\u00A0-\uD7FF\uE000-\uFFFD\u10000-\u10FFFF]*`
pub(crate) fn printable(text: &str) -> bool {
    text.chars().all(|c| {
        is_blank(c)
            || (' '..='~').contains(&c)
            || c == '\u{85}'
            || (c >= '\u{a0}' && !matches!(c, '\u{fffe}' | '\u{ffff}'))
    })
}

/// `[\u0020-\u00FF]*`
pub(crate) fn latin(text: &str) -> bool {
    text.chars().all(|c| (' '..='\u{ff}').contains(&c))
}

/// `[\p{L}\p{Z}\p{N}_.:/=+\-@]*`
pub(crate) fn tag(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_alphanumeric() || (c.is_whitespace() && !c.is_control()) || "_.:/=+-@".contains(c))
}

/// `v[1-9][0-9]*(\.[A-Za-z0-9-]*)?`
pub(crate) fn version_id(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('v') else { return false };
    let (number, after) = rest.split_once('.').unwrap_or((rest, ""));
    !number.is_empty()
        && !number.starts_with('0')
        && digits(number)
        && after.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// `^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$`
pub(crate) fn alias(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(plain)
        && text.ends_with(plain)
        && !text.contains("--")
        && text.chars().all(|c| plain(c) || c == '-')
}

#[cfg(test)]
mod tests {
    use super::{
        alias, anything, description, document, path, path_prefix, policy_path, printable, tag, version_id,
    };

    #[test]
    fn patterns_are_those_of_the_models() {
        let all = |fits: fn(&str) -> bool, good: &[&str], bad: &[&str]| {
            for text in good {
                assert!(fits(text), "{text:?}");
            }
            for text in bad {
                assert!(!fits(text), "{text:?}");
            }
        };
        all(anything, &["", "a\tb\r\n", "é\u{10ffff}"], &["\u{0}", "a\u{1b}b", "\u{fffe}", "\u{ffff}"]);
        all(path, &["/", "/a/", "/a/b/", "/!~/"], &["", "//", "a", "/a", "a/", "/a b/", "/é/"]);
        all(path_prefix, &["/", "/a", "/a/b"], &["", "a", "/a b"]);
        all(policy_path, &["/", "/a/", "/a/b.,+@=_-/"], &["", "//", "/a", "/a//b/", "/a!/"]);
        all(document, &["{}\t\r\n", "ÿ"], &["\u{100}", "\u{0}", "\u{b}"]);
        all(description, &["a\u{a1}"], &["\u{7f}", "\u{a0}", "\u{100}"]);
        all(printable, &["a\u{85}é\u{10ffff}"], &["\u{0}", "\u{7f}", "\u{fffe}"]);
        all(tag, &["", "Größe 1", "a_.:/=+-@", "日本", "a\u{a0}b"], &["a\tb", "a;b", "<", "a\u{200b}b"]);
        all(version_id, &["v1", "v10", "v1.", "v1.a-B"], &["", "v", "v0", "v01", "1", "v1x", "v1._"]);
        all(alias, &["abc", "a-b-c", "a1c"], &["-ab", "ab-", "a--b", "Abc", "a_b"]);
    }
}
