//! `DIR/firn.json`: what makes a directory an appliance. Written once, at creation, never changed.
//!
//! One line of JSON, UTF-8, exactly as [`Marker::encode`] renders it (docs/formats/firn-json.md):
//!
//! | field | meaning |
//! |---|---|
//! | `format` | `"firn appliance"`, the magic |
//! | `version` | 1; a newer one is refused |
//! | `created_ms` | creation, in milliseconds since the epoch |
//! | `region` | the region of every signature and ARN |
//! | `account_id` | the account of the appliance's root, 12 digits as text |
//! | `debug_day_ms` | the length of a calendar day in rehearsal mode, or `null` |
//! | `crc32c` | of all bytes before `,"crc32c"`, 8 lower-case hexadecimal digits |
//!
//! Reading renders what was parsed and compares: a byte that differs anywhere is refused.
//!
//! A crash while it is written leaves a directory without it, which the next start finishes making.

use super::line::Line;
use crate::exit::{Exit, Failure};
use crate::layout::{CATALOG, MARKER, MASTER_KEY};
use crate::text::quote_sh;
use engine::clock::Timestamp;
use security::AccountId;
use serde::Deserialize;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

/// The newest version of the format that this binary reads, and the one that it writes.
pub(crate) const VERSION: u32 = 1;
const LINE: Line = Line {
    format: "firn appliance",
    version: VERSION,
    mend: "put the file back as it was; it is written once and never changed",
};

/// What is fixed when an appliance is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) created: Timestamp,
    pub(crate) region: String,
    pub(crate) account: AccountId,
    pub(crate) debug_day: Option<Duration>,
}

#[derive(Deserialize)]
struct Fields {
    created_ms: i64,
    region: String,
    account_id: String,
    debug_day_ms: Option<u64>,
}

impl Marker {
    /// The file's bytes.
    pub(crate) fn encode(&self) -> String {
        let debug_day = self.debug_day.map_or_else(|| "null".to_owned(), |day| day.as_millis().to_string());
        LINE.render(&format!(
            "\"created_ms\":{},\"region\":\"{}\",\"account_id\":\"{}\",\"debug_day_ms\":{debug_day}",
            self.created.as_millis(),
            self.region,
            self.account,
        ))
    }

    /// Reads the file's bytes; the path is for error texts.
    pub(crate) fn decode(bytes: &[u8], path: &str) -> Result<Self, Failure> {
        let make = |fields: Fields| {
            Ok(Self {
                created: Timestamp::from_millis(fields.created_ms),
                region: fields.region,
                account: fields.account_id.parse().map_err(|_| "its account id is none")?,
                debug_day: fields.debug_day_ms.map(Duration::from_millis),
            })
        };
        LINE.read(bytes, path, make, Self::encode)
    }
}

/// Whether nothing in a directory, or in its place, speaks of an appliance: a path that was mistyped, as a rule. What can't be
/// looked at is not judged.
pub(crate) fn is_no_appliance(dir: &Path) -> bool {
    [MARKER, CATALOG, MASTER_KEY].iter().all(|name| match std::fs::symlink_metadata(dir.join(name)) {
        Ok(_) => false,
        Err(error) => matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    })
}

/// Reads what makes a directory an appliance.
pub(crate) fn read_marker(dir: &Path) -> Result<Marker, Failure> {
    let path = dir.join(MARKER);
    let bytes = engine::file::read_regular(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Failure::new(
            Exit::NotFound,
            format!("find an appliance in {}: there is no {MARKER}", dir.display()),
        )
        .hint(format!(
            "is the path right? what makes a new appliance there is: firn server {}",
            quote_sh(&dir.display().to_string())
        )),
        ErrorKind::PermissionDenied => {
            Failure::new(Exit::Denied, format!("read {}: {error}", path.display()))
        }
        _ => Failure::new(Exit::Error, format!("read {}: {error}", path.display())),
    })?;
    Marker::decode(&bytes, &path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::Marker;
    use crate::exit::Exit;
    use engine::clock::Timestamp;
    use std::time::Duration;

    const GOLDEN: &str = "{\"format\":\"firn appliance\",\"version\":1,\"created_ms\":1769860800000,\
        \"region\":\"us-east-1\",\"account_id\":\"123456789012\",\"debug_day_ms\":10000,\"crc32c\":\"73966094\"}\n";

    fn marker() -> Marker {
        Marker {
            created: Timestamp::from_millis(1_769_860_800_000),
            region: "us-east-1".to_owned(),
            account: "123456789012".parse().unwrap(),
            debug_day: Some(Duration::from_secs(10)),
        }
    }

    #[test]
    fn golden_bytes_encode_and_decode() {
        assert_eq!(marker().encode(), GOLDEN);
        assert_eq!(Marker::decode(GOLDEN.as_bytes(), "m").unwrap(), marker());
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_refused() {
        for at in 0..GOLDEN.len() {
            for bit in [0x01, 0x20, 0x80] {
                let mut bytes = GOLDEN.as_bytes().to_vec();
                bytes[at] ^= bit;
                Marker::decode(&bytes, "m").unwrap_err();
            }
            Marker::decode(&GOLDEN.as_bytes()[..at], "m").unwrap_err();
        }
    }

    #[test]
    fn a_path_that_was_mistyped_is_no_appliance_and_one_that_lost_its_marker_is() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "x").unwrap();
        for place in [dir.path(), &dir.path().join("none"), &file] {
            assert!(super::is_no_appliance(place), "{}", place.display());
            let failure = super::read_marker(place).unwrap_err();
            assert!(
                failure.exit == Exit::NotFound && failure.hint.unwrap().starts_with("is the path right?")
            );
        }
        std::fs::create_dir(dir.path().join("catalog")).unwrap();
        assert!(!super::is_no_appliance(dir.path()));
    }

    #[test]
    fn a_newer_version_says_so() {
        let newer = GOLDEN.replace("\"version\":1", "\"version\":2");
        let error = Marker::decode(newer.as_bytes(), "m").unwrap_err();
        assert_eq!(error.exit, Exit::Usage);
        assert!(error.text.contains("version 2, this firn reads up to 1"), "{error}");
    }
}
