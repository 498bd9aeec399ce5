//! Dates as people write them, for what is written into buckets.

use engine::clock::Timestamp;

/// The date and time of a moment, in UTC.
pub(crate) fn civil(at: Timestamp) -> jiff::civil::DateTime {
    let whole = jiff::Timestamp::from_second(at.as_secs()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    jiff::tz::Offset::UTC.to_datetime(whole)
}
