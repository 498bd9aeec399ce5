//! Archives that the endpoint takes apart: a PUT with Snowball's auto-extract metadata, sent from a file as it is read.
//!
//! Not signed over its bytes, which would be read once more for it: CRC64NVME, which is in the signed headers, proves them.

use crate::call::{Call, header_text};
use crate::object::put_result;
use crate::{Checksums, Client, Crc64, Error, Result};
use http::{HeaderMap, Method};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// The largest archive that S3 takes in one PUT, in bytes.
pub const ARCHIVE_BYTES_MAX: u64 = 5 << 30;
/// Bytes that are read at once for the checksum.
const PIECE: usize = 1 << 20;

/// A file that is sent.
#[derive(Clone, Debug)]
pub struct Archive {
    /// Read at offsets.
    pub file: Arc<File>,
    /// Its size in bytes.
    pub size: u64,
}

/// How an archive becomes objects.
#[derive(Clone, Debug, Default)]
pub struct ExtractOptions {
    /// Keys begin with it and a slash.
    pub prefix: String,
    /// What is refused of single entries does not refuse the others.
    pub skip_refused: bool,
    /// Objects are made only where there is none.
    pub if_absent: bool,
    /// Their class.
    pub storage_class: Option<String>,
}

/// What became of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extracted {
    /// The archive's ETag.
    pub etag: String,
    /// Objects that were made.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Entries that hold nothing for an object: links, devices.
    pub skipped: u64,
    /// Entries that were refused.
    pub refused: u64,
    /// The archive says itself where it ends. One that was cut off behind an entry does not, nor does what some writers make.
    pub has_end: bool,
    /// The key of the report, where one was written.
    pub report: Option<String>,
}

impl Client {
    /// Has the endpoint make an object of each entry. Directories become none. `key` is what the report is named by.
    pub async fn put_archive(
        &self,
        bucket: &str,
        key: &str,
        archive: &Archive,
        options: &ExtractOptions,
    ) -> Result<Extracted> {
        let operation = "PutObject";
        let mut call = Call::new(operation, Method::PUT)
            .key(bucket, key)
            .header("x-amz-meta-snowball-auto-extract", "true")?
            .header("x-amz-meta-minio-snowball-ignore-dirs", "true")?
            .header_some("x-amz-storage-class", options.storage_class.as_deref())?;
        if !options.prefix.is_empty() {
            call = call.header("x-amz-meta-minio-snowball-prefix", &options.prefix)?;
        }
        if options.skip_refused {
            call = call.header("x-amz-meta-minio-snowball-ignore-errors", "true")?;
        }
        if options.if_absent {
            call = call.header("if-none-match", "*")?;
        }
        if self.checksums() == Checksums::WhenSupported {
            let read = archive.clone();
            let crc = tokio::task::spawn_blocking(move || crc_of(&read)).await;
            let crc = crc.map_err(io::Error::other).flatten();
            let crc = crc.map_err(|error| Error::Invalid(format!("read the archive: {error}")))?;
            call = call.header("x-amz-checksum-crc64nvme", &crc.to_header())?;
        }
        let call = call.file(Arc::clone(&archive.file), archive.size);
        let headers = self.send_bytes(&call).await?;
        extracted(operation, &headers)
    }
}

fn crc_of(archive: &Archive) -> io::Result<Crc64> {
    let (mut crc, mut at) = (Crc64::default(), 0);
    let mut piece = vec![0; PIECE];
    while at < archive.size {
        let want = usize::try_from(archive.size - at).unwrap_or(PIECE).min(PIECE);
        archive.file.read_exact_at(&mut piece[..want], at)?;
        crc = crc.then(Crc64::of(&piece[..want]));
        at += want as u64;
    }
    Ok(crc)
}

/// An endpoint that says nothing of objects has kept the archive as one.
fn extracted(operation: &'static str, headers: &HeaderMap) -> Result<Extracted> {
    let count = |name| header_text(headers, name).and_then(|text| text.parse().ok());
    let Some(objects) = count("x-firn-ingest-objects") else {
        let detail =
            "it does not say how many objects it made: it may have kept the archive as it is".to_owned();
        return Err(Error::Protocol { operation, detail });
    };
    let report = header_text(headers, "x-firn-ingest-report")
        .map(|key| percent_encoding::percent_decode_str(key).decode_utf8_lossy().into_owned());
    Ok(Extracted {
        etag: put_result(operation, headers)?.etag,
        objects,
        bytes: count("x-firn-ingest-bytes").unwrap_or_default(),
        skipped: count("x-firn-ingest-skipped").unwrap_or_default(),
        refused: count("x-firn-ingest-refused").unwrap_or_default(),
        has_end: header_text(headers, "x-firn-ingest-end").is_none(),
        report,
    })
}

#[cfg(test)]
mod tests {
    use super::{Archive, crc_of, extracted};
    use crate::Crc64;
    use http::HeaderMap;
    use std::sync::Arc;

    #[test]
    fn the_checksum_is_of_the_whole_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|at| at.to_le_bytes()[0] ^ at.to_le_bytes()[2]).collect();
        std::fs::write(&path, &bytes).unwrap();
        let archive = Archive { file: Arc::new(std::fs::File::open(&path).unwrap()), size: 3_000_000 };
        assert_eq!(crc_of(&archive).unwrap(), Crc64::of(&bytes));
        crc_of(&Archive { size: 3_000_001, ..archive }).unwrap_err();
    }

    #[test]
    fn an_endpoint_that_kept_the_archive_is_noticed() {
        let mut headers = HeaderMap::new();
        headers.insert("etag", "\"e\"".parse().unwrap());
        extracted("PutObject", &headers).unwrap_err();
        headers.insert("x-firn-ingest-objects", "3".parse().unwrap());
        headers.insert("x-firn-ingest-report", "in/a%20b".parse().unwrap());
        let told = extracted("PutObject", &headers).unwrap();
        assert_eq!((told.objects, told.report.as_deref(), told.has_end), (3, Some("in/a b"), true));
        headers.insert("x-firn-ingest-end", "missing".parse().unwrap());
        assert!(!extracted("PutObject", &headers).unwrap().has_end);
    }
}
