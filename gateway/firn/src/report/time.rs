//! Times as reports show them, all in UTC.

use engine::clock::Timestamp;
use serde_json::Value;

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

/// A time as services that speak JSON have it: seconds since the epoch.
pub(crate) fn of_seconds(value: &Value) -> Option<Timestamp> {
    let seconds = value.as_f64().filter(|seconds| seconds.is_finite())?;
    #[expect(clippy::cast_possible_truncation, reason = "the cast ends at the ends of the whole numbers")]
    let millis = (seconds * 1_000.0).round() as i64;
    Some(Timestamp::from_millis(millis))
}

/// The same, to be sent.
pub(crate) fn in_seconds(at: Timestamp) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "2⁵³ milliseconds are enough")]
    let seconds = at.as_millis() as f64 / 1_000.0;
    seconds.into()
}
