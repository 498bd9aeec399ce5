//! The two forms of a time in S3's answers: ISO 8601 in lists, HTTP dates in headers.

use engine::clock::Timestamp;

/// From `2026-01-31T12:00:00.000Z`; `None` when it is no time.
pub(crate) fn from_iso(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::Timestamp>().ok().map(|time| Timestamp::from_millis(time.as_millisecond()))
}

/// From `Sat, 31 Jan 2026 12:00:00 GMT`; `None` when it is no time.
pub(crate) fn from_http(text: &str) -> Option<Timestamp> {
    let time = httpdate::parse_http_date(text).ok()?;
    let since_epoch = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since_epoch.as_millis()).ok().map(Timestamp::from_millis)
}

#[cfg(test)]
mod tests {
    use super::{from_http, from_iso};
    use engine::clock::Timestamp;

    #[test]
    fn both_forms_name_the_same_time() {
        let noon = Timestamp::from_millis(1_769_860_800_000);
        assert_eq!(from_iso("2026-01-31T12:00:00.000Z"), Some(noon));
        assert_eq!(from_http("Sat, 31 Jan 2026 12:00:00 GMT"), Some(noon));
        assert_eq!(from_iso("yesterday"), None);
        assert_eq!(from_http("yesterday"), None);
    }
}
