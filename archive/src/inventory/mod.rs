//! What a vault holds, as Glacier's inventory jobs write it down.
//!
//! ```text
//!   rows of a vault, in their order ──► Selection: dates, marker, limit ──► Writer: JSON or CSV ──► pieces of text
//! ```
//!
//! JSON: `{"VaultARN":…,"InventoryDate":…,"ArchiveList":[{"ArchiveId":…,"ArchiveDescription":…,"CreationDate":…,"Size":…,
//! "SHA256TreeHash":…},…]}`. CSV: a line with the five names, then a line for each archive; the description stands in quotes, in which `\"` is
//! a quote and `\\` a backslash (Glacier's own form, not RFC 4180's). Lines end with a line feed. Dates are UTC, to the second.
//!
//! Archives come in the order of [`Place`]: by creation, then by id. A marker is the place of the last one that was listed, so a list goes
//! on where it ended whatever was added or deleted meanwhile.
//!
//! Memory: one entry, whatever the vault holds. Nothing here does I/O; the caller pushes rows and takes the text away.

mod select;
mod write;

pub use select::{Marker, Place, Selected, Selection};
pub use write::{Entry, Format, Writer};

use engine::clock::Timestamp;

/// The longest description of an archive or a job.
pub const MAX_DESCRIPTION_BYTES: usize = 1024;
/// The longest id of an archive.
pub const MAX_ARCHIVE_ID_BYTES: usize = 255;

/// A parameter that Glacier answers with `InvalidParameterValueException`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid {name}: {reason}")]
pub struct InvalidParameter {
    /// Which, by Glacier's name.
    pub name: &'static str,
    /// What is wrong, and what would be right.
    pub reason: String,
}

impl InvalidParameter {
    fn new(name: &'static str, reason: impl Into<String>) -> Self {
        Self { name, reason: reason.into() }
    }
}

/// The text that describes an archive or a job: up to 1,024 characters of printable ASCII.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description(String);

impl Description {
    /// Checked.
    pub fn new(text: &str) -> Result<Self, InvalidParameter> {
        let invalid = |reason| Err(InvalidParameter::new("Description", reason));
        if text.len() > MAX_DESCRIPTION_BYTES {
            return invalid(format!("{} bytes, at most {MAX_DESCRIPTION_BYTES} are allowed", text.len()));
        }
        match text.chars().find(|c| !matches!(c, ' '..='~')) {
            Some(c) => invalid(format!("{c:?} is not a printable ASCII character")),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `2013-03-20T17:03:43Z`; what no calendar has becomes its first or last second.
pub fn date(at: Timestamp) -> String {
    civil(at.as_secs()).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `2012-03-20T17:03:43.221Z`, as descriptions of jobs and vaults have it.
pub fn date_with_millis(at: Timestamp) -> String {
    format!("{}.{:03}Z", date(at).trim_end_matches('Z'), at.as_millis().rem_euclid(1000))
}

fn civil(secs: i64) -> jiff::civil::DateTime {
    let ends = if secs < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    let at = jiff::Timestamp::from_second(secs).unwrap_or(ends);
    jiff::tz::Offset::UTC.to_datetime(at)
}

#[cfg(test)]
mod tests;
