//! Lists of objects and versions, a page at a time.
//!
//! Keys are asked for with `encoding-type=url`, so that those which XML can't carry come through; an endpoint that
//! ignores it is believed when its answer does not name the encoding.

use crate::Client;
use crate::call::Call;
use crate::date::from_iso;
use crate::error::{Error, Result};
use crate::xml::{Element, decode_url};
use engine::clock::Timestamp;
use http::Method;

/// What to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListObjects<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// Only keys that begin with this.
    pub prefix: &'a str,
    /// Fold keys up to the next delimiter into one common prefix.
    pub delimiter: Option<&'a str>,
    /// Only keys after this one.
    pub start_after: Option<&'a str>,
    /// At most so many entries a page; the endpoint's default (1,000) when `None`.
    pub max_keys: Option<u32>,
}

/// An object in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectEntry {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its ETag, without quotes.
    pub etag: String,
    /// When it was last written, when the endpoint says.
    pub last_modified: Option<Timestamp>,
    /// Its storage class.
    pub storage_class: String,
}

/// A page of objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectPage {
    /// The objects, in key order.
    pub objects: Vec<ObjectEntry>,
    /// The common prefixes, in order.
    pub prefixes: Vec<String>,
    /// What the next page is asked for with; `None` on the last one.
    pub next: Option<String>,
}

/// What to list versions of.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListVersions<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// Only keys that begin with this.
    pub prefix: &'a str,
    /// Fold keys up to the next delimiter into one common prefix.
    pub delimiter: Option<&'a str>,
    /// Where the page before ended.
    pub after: Option<(&'a str, &'a str)>,
}

/// A version or a delete marker in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionEntry {
    /// Its key.
    pub key: String,
    /// Its version id; `null` for one written while versioning was not on.
    pub version_id: String,
    /// Whether it is the newest of its key.
    pub is_latest: bool,
    /// Whether it is a delete marker, which has no bytes.
    pub is_delete_marker: bool,
    /// Its size in bytes.
    pub size: u64,
    /// Its ETag, without quotes; empty for a marker.
    pub etag: String,
    /// When it was written, when the endpoint says.
    pub last_modified: Option<Timestamp>,
    /// Its storage class; empty for a marker.
    pub storage_class: String,
}

/// A page of versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionPage {
    /// Versions and markers, by key, newest first.
    pub versions: Vec<VersionEntry>,
    /// The common prefixes, in order.
    pub prefixes: Vec<String>,
    /// Key and version that the next page is asked for with; `None` on the last one.
    pub next: Option<(String, String)>,
}

impl Client {
    /// One page of objects; `token` is the `next` of the page before.
    pub async fn list_objects(&self, list: &ListObjects<'_>, token: Option<&str>) -> Result<ObjectPage> {
        let operation = "ListObjectsV2";
        let call = Call::new(operation, Method::GET)
            .bucket(list.bucket)
            .query("list-type", "2")
            .query("encoding-type", "url")
            .query("prefix", list.prefix)
            .query_some("delimiter", list.delimiter)
            .query_some("start-after", list.start_after)
            .query_some("max-keys", list.max_keys.map(|n| n.to_string()))
            .query_some("continuation-token", token);
        let (root, _) = self.send_xml(&call).await?;
        object_page(&root).map_err(|detail| Error::Protocol { operation, detail })
    }

    /// One page of versions and delete markers.
    pub async fn list_versions(&self, list: &ListVersions<'_>) -> Result<VersionPage> {
        let operation = "ListObjectVersions";
        let call = Call::new(operation, Method::GET)
            .bucket(list.bucket)
            .query("versions", "")
            .query("encoding-type", "url")
            .query("prefix", list.prefix)
            .query_some("delimiter", list.delimiter)
            .query_some("key-marker", list.after.map(|(key, _)| key))
            .query_some(
                "version-id-marker",
                list.after.map(|(_, version)| version).filter(|v| !v.is_empty()),
            );
        let (root, _) = self.send_xml(&call).await?;
        version_page(&root).map_err(|detail| Error::Protocol { operation, detail })
    }
}

/// A key as the list has it, undone from its encoding.
pub(crate) fn key_text(list: &Element, text: &str) -> Result<String, String> {
    if list.text_of("EncodingType") == Some("url") { decode_url(text) } else { Ok(text.to_owned()) }
}

fn common_prefixes(root: &Element) -> Result<Vec<String>, String> {
    root.all("CommonPrefixes").map(|entry| key_text(root, entry.require("Prefix")?)).collect()
}

pub(crate) fn unquote(etag: &str) -> String {
    etag.trim_matches('"').to_owned()
}

fn is_truncated(root: &Element) -> bool {
    root.text_of("IsTruncated") == Some("true")
}

fn object_page(root: &Element) -> Result<ObjectPage, String> {
    let mut page = ObjectPage { prefixes: common_prefixes(root)?, ..ObjectPage::default() };
    for entry in root.all("Contents") {
        page.objects.push(ObjectEntry {
            key: key_text(root, entry.require("Key")?)?,
            size: entry.require_u64("Size")?,
            etag: unquote(entry.text_of("ETag").unwrap_or_default()),
            last_modified: entry.text_of("LastModified").and_then(from_iso),
            storage_class: entry.text_of("StorageClass").unwrap_or("STANDARD").to_owned(),
        });
    }
    if is_truncated(root) {
        page.next = Some(root.require("NextContinuationToken")?.to_owned());
    }
    Ok(page)
}

fn version_page(root: &Element) -> Result<VersionPage, String> {
    let mut page = VersionPage { prefixes: common_prefixes(root)?, ..VersionPage::default() };
    for entry in &root.children {
        let is_delete_marker = entry.name == "DeleteMarker";
        if !is_delete_marker && entry.name != "Version" {
            continue;
        }
        page.versions.push(VersionEntry {
            key: key_text(root, entry.require("Key")?)?,
            version_id: entry.text_of("VersionId").unwrap_or("null").to_owned(),
            is_latest: entry.text_of("IsLatest") == Some("true"),
            is_delete_marker,
            size: if is_delete_marker { 0 } else { entry.require_u64("Size")? },
            etag: unquote(entry.text_of("ETag").unwrap_or_default()),
            last_modified: entry.text_of("LastModified").and_then(from_iso),
            storage_class: entry.text_of("StorageClass").unwrap_or_default().to_owned(),
        });
    }
    if is_truncated(root) {
        let key = key_text(root, root.require("NextKeyMarker")?)?;
        page.next = Some((key, root.text_of("NextVersionIdMarker").unwrap_or_default().to_owned()));
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::{object_page, version_page};
    use crate::xml::Element;

    #[test]
    fn object_pages_decode_keys_and_tokens() {
        let root = Element::parse(
            br"<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>
            <NextContinuationToken>a+b</NextContinuationToken>
            <Contents><Key>a+%26%0A</Key><Size>5</Size><ETag>&quot;e&quot;</ETag></Contents>
            <CommonPrefixes><Prefix>p%2F</Prefix></CommonPrefixes></ListBucketResult>",
        )
        .unwrap();
        let page = object_page(&root).unwrap();
        assert_eq!(page.objects[0].key, "a &\n");
        assert_eq!(page.objects[0].etag, "e");
        assert_eq!(page.prefixes, ["p/"]);
        assert_eq!(page.next.as_deref(), Some("a+b"), "tokens are opaque and stay as they are");
    }

    #[test]
    fn version_pages_keep_the_order_of_versions_and_markers() {
        let root = Element::parse(
            br"<ListVersionsResult><IsTruncated>false</IsTruncated>
            <DeleteMarker><Key>k</Key><VersionId>3</VersionId><IsLatest>true</IsLatest></DeleteMarker>
            <Version><Key>k</Key><VersionId>2</VersionId><Size>7</Size></Version>
            <DeleteMarker><Key>k</Key><VersionId>1</VersionId></DeleteMarker></ListVersionsResult>",
        )
        .unwrap();
        let page = version_page(&root).unwrap();
        let ids: Vec<_> = page.versions.iter().map(|v| (v.version_id.as_str(), v.is_delete_marker)).collect();
        assert_eq!(ids, [("3", true), ("2", false), ("1", true)]);
        assert_eq!(page.next, None);
    }
}
