//! A file that is one line of JSON: it says its format and version, carries its own checksum, and is read back to the letter.
//!
//! ```text
//!   {"format":"…","version":1,FIELDS,"crc32c":"CRC-32C of all before it"}⏎
//! ```
//!
//! Reading parses the line, renders it again and compares: a byte that differs anywhere, white space included, is refused.

use crate::exit::{Exit, Failure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A form that such a file has.
pub(crate) struct Line {
    /// The magic.
    pub(crate) format: &'static str,
    /// The newest version that this binary reads, and the one that it writes.
    pub(crate) version: u32,
    /// What mends a damaged one.
    pub(crate) mend: &'static str,
}

#[derive(Deserialize)]
struct Versioned {
    format: String,
    version: u32,
}

impl Line {
    /// The file's bytes; `fields` as they stand between version and checksum.
    pub(crate) fn render(&self, fields: &str) -> String {
        let body = format!("{{\"format\":\"{}\",\"version\":{},{fields}", self.format, self.version);
        let crc = crc_fast::crc32_iscsi(body.as_bytes());
        format!("{body},\"crc32c\":\"{crc:08x}\"}}\n")
    }

    /// Reads the file's bytes: `make` turns the fields into a value, `encode` must give the same bytes of it. The path is for
    /// error texts.
    pub(crate) fn read<F: DeserializeOwned, T>(
        &self,
        bytes: &[u8],
        path: &str,
        make: impl FnOnce(F) -> Result<T, &'static str>,
        encode: impl FnOnce(&T) -> String,
    ) -> Result<T, Failure> {
        let corrupt =
            |why: &str| Failure::new(Exit::Integrity, format!("read {path}: corrupt: {why}")).hint(self.mend);
        let versioned: Versioned =
            serde_json::from_slice(bytes).map_err(|_| corrupt("it is not the JSON that it should be"))?;
        if versioned.format != self.format {
            return Err(corrupt("its format is another"));
        }
        if versioned.version > self.version {
            return Err(Failure::usage(format!(
                "open {path}: its format is version {}, this firn reads up to {}",
                versioned.version, self.version
            ))
            .hint("run a newer firn on this directory"));
        }
        let fields = serde_json::from_slice(bytes).map_err(|_| corrupt("a field is missing"))?;
        let value = make(fields).map_err(corrupt)?;
        if encode(&value).as_bytes() != bytes {
            return Err(corrupt("its checksum does not match"));
        }
        Ok(value)
    }
}
