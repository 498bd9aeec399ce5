//! Times as reports show them, all in UTC.

use engine::clock::Timestamp;

/// A time as lists show it: `2026-01-31 12:00:00`, in UTC.
pub(crate) fn show_time(time: Option<Timestamp>) -> String {
    time.and_then(|time| jiff::Timestamp::from_millisecond(time.as_millis()).ok())
        .map_or_else(|| "-".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// A time as JSON has it: RFC 3339, in UTC.
pub(crate) fn json_time(time: Option<Timestamp>) -> Option<String> {
    time.and_then(|time| jiff::Timestamp::from_millisecond(time.as_millis()).ok())
        .map(|time| time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}
