//! Times as S3 writes and reads them: whole seconds, in two forms.

use engine::clock::Timestamp;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The end of the year 9998, beyond which headers have no dates.
const LAST_SECOND: u64 = 253_370_764_799;

/// `2009-10-12T17:50:30.000Z`, as XML has it. The milliseconds are S3's: always zero, so that a listing and a
/// Last-Modified header agree.
pub(crate) fn iso(time: Timestamp) -> String {
    let whole = jiff::Timestamp::from_second(time.as_secs()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let at = jiff::tz::Offset::UTC.to_datetime(whole);
    // Digit by digit: a listing has a thousand of them.
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let mut put = |range: std::ops::Range<usize>, mut number: i16| {
        for digit in text[range].iter_mut().rev() {
            *digit += number.rem_euclid(10).to_le_bytes()[0];
            number /= 10;
        }
    };
    put(0..4, at.year());
    put(5..7, at.month().into());
    put(8..10, at.day().into());
    put(11..13, at.hour().into());
    put(14..16, at.minute().into());
    put(17..19, at.second().into());
    String::from_utf8_lossy(&text).into_owned()
}

/// The same with its milliseconds: what a client set is shown as it was set.
pub(crate) fn iso_exact(time: Timestamp) -> String {
    let mut text = iso(time);
    let thousandths = time.as_millis().rem_euclid(1_000);
    text.replace_range(20..23, &format!("{thousandths:03}"));
    text
}

/// A date and time with its offset in ISO 8601; what is finer than a millisecond is rounded up.
pub(crate) fn parse_iso(text: &str) -> Option<Timestamp> {
    let at: jiff::Timestamp = text.trim().parse().ok()?;
    let finer = at.as_nanosecond().rem_euclid(1_000_000) > 0;
    let whole = at.as_nanosecond().div_euclid(1_000_000);
    i64::try_from(whole + i128::from(finer)).ok().map(Timestamp::from_millis)
}

/// `Mon, 12 Oct 2009 17:50:30 GMT`, as headers have it.
pub(crate) fn http(time: Timestamp) -> String {
    // Years have four digits.
    let secs = u64::try_from(time.as_secs()).unwrap_or(0).min(LAST_SECOND);
    let whole = UNIX_EPOCH.checked_add(Duration::from_secs(secs)).unwrap_or(UNIX_EPOCH);
    httpdate::fmt_http_date(whole)
}

/// A conditional header's date; one that can't be read is as good as none (RFC 9110).
pub(crate) fn parse_http(text: &str) -> Option<Timestamp> {
    let at: SystemTime = httpdate::parse_http_date(text.trim()).ok()?;
    let since = at.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(Timestamp::from_millis)
}

/// A date in either form, as a condition of a delete may name it.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let iso = || text.trim().parse::<jiff::Timestamp>().ok();
    parse_http(text).or_else(|| iso().map(|at| Timestamp::from_millis(at.as_millisecond())))
}

#[cfg(test)]
mod tests {
    use super::{http, iso, iso_exact, parse, parse_http, parse_iso};
    use engine::clock::Timestamp;

    #[test]
    fn both_forms_show_whole_seconds() {
        let time = Timestamp::from_millis(1_255_369_830_999);
        assert_eq!(iso(time), "2009-10-12T17:50:30.000Z");
        assert_eq!(iso(Timestamp::from_millis(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(Timestamp::from_millis(253_370_764_799_999)), "9998-12-31T23:59:59.000Z");
        assert_eq!(http(time), "Mon, 12 Oct 2009 17:50:30 GMT");
        assert_eq!(
            parse_http("Mon, 12 Oct 2009 17:50:30 GMT"),
            Some(Timestamp::from_millis(1_255_369_830_000))
        );
        assert_eq!(iso_exact(time), "2009-10-12T17:50:30.999Z");
        assert_eq!(parse_iso("2009-10-12T17:50:30.9981Z"), Some(time));
        assert_eq!(parse_iso("2009-10-12T19:50:30.999+02:00"), Some(time));
        assert_eq!((parse_iso("2009-10-12"), parse_iso("2009-10-12T17:50:30")), (None, None));
        assert_eq!(http(Timestamp::from_millis(i64::MAX)), "Thu, 31 Dec 9998 23:59:59 GMT");
        assert_eq!(parse_http("yesterday"), None);
        let whole = Some(Timestamp::from_millis(1_255_369_830_000));
        assert_eq!((parse(&http(time)), parse(&iso(time)), parse("yesterday")), (whole, whole, None));
    }
}
