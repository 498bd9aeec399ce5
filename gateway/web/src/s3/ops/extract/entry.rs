//! What an entry is as an object: its content headers and metadata.
//!
//! The type is what its name's ending stands for, as `firn sync` has it. When it was changed stands in `x-amz-meta-mtime`, where
//! rclone and s3fs look for it. Records of its own extended header, named as `minio-go` names them, go before both:
//! `minio.metadata.` and the name of a header of `PutObject`.

use super::Common;
use crate::ingest::Entry;
use crate::s3::code::Code;
use crate::s3::error::S3Error;
use crate::s3::headers;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use objectstore::{Metadata, StorageClass, content_type_of};

/// What a record's name begins with.
const OF_HEADER: &str = "minio.metadata.";
/// Headers that an entry may have of its own; so may all of user metadata.
const HEADERS: [&str; 8] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
];

/// Metadata and class of an entry.
pub(super) fn describe(
    entry: &Entry,
    own_headers: &HeaderMap,
    common: &Common,
) -> Result<(Metadata, StorageClass), S3Error> {
    let own = headers::metadata(own_headers)?;
    let class = headers::class_of_entry(own_headers)?.unwrap_or(common.class);
    let mut metadata = common.metadata.clone();
    let by_name = std::str::from_utf8(&entry.name).ok().and_then(content_type_of);
    metadata.system.content_type = own.system.content_type.or_else(|| by_name.map(str::to_owned));
    for (mine, common) in [
        (own.system.content_encoding, &mut metadata.system.content_encoding),
        (own.system.content_language, &mut metadata.system.content_language),
        (own.system.content_disposition, &mut metadata.system.content_disposition),
        (own.system.cache_control, &mut metadata.system.cache_control),
        (own.system.expires, &mut metadata.system.expires),
        (own.system.website_redirect, &mut metadata.system.website_redirect),
    ] {
        if mine.is_some() {
            *common = mine;
        }
    }
    if let Some(modified) = &entry.modified {
        metadata.user.insert("mtime".to_owned(), modified.clone());
    }
    metadata.user.extend(own.user);
    Ok((metadata, class))
}

/// The headers that the entry says of itself; what can't be done is refused, never left out.
pub(super) fn own_headers(entry: &Entry) -> Result<HeaderMap, S3Error> {
    let mut map = HeaderMap::new();
    for (record, value) in &entry.attributes {
        let refused = |text: &str| {
            S3Error::with(Code::NotImplemented, format!("Its extended header has {record}, {text}."))
        };
        let Some(name) = record.strip_prefix(OF_HEADER) else {
            return Err(refused("which means nothing here: a version gets its id when it is stored"));
        };
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused("which names no header"))?;
        if !HEADERS.contains(&name.as_str()) && !name.as_str().starts_with("x-amz-meta-") {
            return Err(refused("which an entry can't set"));
        }
        let value = HeaderValue::from_bytes(value).map_err(|_| refused("which no header can hold"))?;
        map.append(name, value);
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::{Common, Metadata, S3Error, StorageClass, own_headers};
    use crate::ingest::{Entry, Kind};

    fn entry(attributes: &[(&str, &str)]) -> Entry {
        let attributes =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
        let modified = Some("1700000000.5".to_owned());
        Entry { number: 1, name: b"a/b.CSV".to_vec(), kind: Kind::File, size: 0, modified, attributes }
    }

    fn describe(entry: &Entry, common: &Common) -> Result<(Metadata, StorageClass), S3Error> {
        super::describe(entry, &own_headers(entry)?, common)
    }

    fn common() -> Common {
        let mut metadata = Metadata::default();
        metadata.user.insert("project".to_owned(), "x".to_owned());
        metadata.system.cache_control = Some("no-store".to_owned());
        Common { metadata, class: StorageClass::StandardIa, besides: Vec::new() }
    }

    #[test]
    fn an_entry_has_the_requests_metadata_its_own_type_and_its_time() {
        let (metadata, class) = describe(&entry(&[]), &common()).unwrap();
        assert_eq!(metadata.system.content_type.as_deref(), Some("text/csv"));
        assert_eq!(metadata.system.cache_control.as_deref(), Some("no-store"));
        assert_eq!(metadata.user["mtime"], "1700000000.5");
        assert_eq!((metadata.user["project"].as_str(), class), ("x", StorageClass::StandardIa));
    }

    #[test]
    fn records_of_its_own_go_before() {
        let own = [
            ("minio.metadata.Content-Type", "text/x"),
            ("minio.metadata.X-Amz-Meta-Project", "y"),
            ("minio.metadata.X-Amz-Storage-Class", "STANDARD"),
            ("minio.metadata.Cache-Control", "max-age=1"),
        ];
        let (metadata, class) = describe(&entry(&own), &common()).unwrap();
        assert_eq!(metadata.system.content_type.as_deref(), Some("text/x"));
        assert_eq!(metadata.system.cache_control.as_deref(), Some("max-age=1"));
        assert_eq!((metadata.user["project"].as_str(), class), ("y", StorageClass::Standard));
        for refused in
            ["minio.versionId", "minio.metadata.X-Amz-Tagging", "minio.metadata.Host", "minio.metadata.a b"]
        {
            let error = describe(&entry(&[(refused, "v")]), &common()).unwrap_err();
            assert_eq!(error.code(), "NotImplemented", "{refused}");
        }
    }
}
