//! A file that is one line of JSON: it says its format and version, carries its own checksum, and is read back to the letter.
//!
//! ```text
//!   {"format":"…","version":1,FIELDS,"crc32c":"CRC-32C of all before it"}⏎
//! ```
//!
//! Reading parses the line, renders it again and compares: a byte that differs anywhere, white space included, is refused.

use crate::exit::{Exit, Failure};
use rustix::fs::{Mode, OFlags};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

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

    /// Whether such a file lies there, of whatever version: by how it begins. Follows no link and waits for nobody.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        let beginning = format!("{{\"format\":\"{}\",", self.format);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = rustix::fs::open(path, flags, Mode::empty()).map(File::from) else { return false };
        let mut found = Vec::new();
        let read = file.take(beginning.len() as u64).read_to_end(&mut found);
        read.is_ok() && found == beginning.as_bytes()
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
