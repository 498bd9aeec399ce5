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
pub struct List<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// Only keys that begin with this.
    pub prefix: &'a str,
    /// Fold keys up to the next delimiter into one common prefix.
    pub delimiter: Option<&'a str>,
    /// So many entries a page at most; the endpoint's own limit, 1,000 as a rule, where `None`.
    pub page_max: Option<u16>,
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

/// A version or a delete marker in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionEntry {
    /// What it is a version of; a marker has no bytes, no ETag and no storage class.
    pub object: ObjectEntry,
    /// Its version id; `null` for one written while versioning was not on.
    pub version_id: String,
    /// Whether it is the newest of its key.
    pub is_latest: bool,
    /// Whether it is a delete marker.
    pub is_delete_marker: bool,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// Objects in key order; versions and markers by key, newest first.
    pub entries: Vec<T>,
    /// The common prefixes, in order.
    pub prefixes: Vec<String>,
}

/// The parameters by which the endpoint finds the next page; none behind the last one.
type Cursor = Vec<(&'static str, String)>;

/// One of the two lists.
#[derive(Debug)]
struct Kind<T> {
    operation: &'static str,
    root: &'static str,
    /// What some endpoints name it: the other list, without any of its entries.
    also: Option<&'static str>,
    parameter: (&'static str, &'static str),
    entry: fn(&Element, &Element) -> Result<Option<T>, String>,
    key: fn(&T) -> &str,
    cursor: fn(&Element) -> Result<Cursor, String>,
}

/// A list on its way, a page at a time.
#[derive(Debug)]
pub struct Pages<'a, T> {
    client: &'a Client,
    list: List<'a>,
    kind: Kind<T>,
    /// Where the next page begins; `None` when there is none.
    cursor: Option<Cursor>,
    barren: Barren,
}

/// What is wrong with a page that names itself as the next one.
pub(crate) const IN_CIRCLES: &str = "it goes in circles: a page is followed by itself";
/// Pages without anything on them that are followed to the next one, in a row: an endpoint may have much to pass over, and not for ever.
const BARREN_MAX: u32 = 1_000;

/// Pages in a row that had nothing on them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Barren(u32);

impl Barren {
    /// Counts a page that is followed by another one; the error says that there were too many.
    pub(crate) fn count(&mut self, is_empty: bool) -> Result<(), String> {
        self.0 = if is_empty { self.0 + 1 } else { 0 };
        if self.0 < BARREN_MAX {
            return Ok(());
        }
        Err(format!("its list does not end: {BARREN_MAX} pages in a row had nothing on them"))
    }
}

/// What is listed has the prefix that was asked for; who believes other names acts on what nobody named.
pub(crate) fn check_prefix(operation: &str, bucket: &str, prefix: &str, name: &str) -> Result<()> {
    if name.starts_with(prefix) {
        return Ok(());
    }
    Err(Error::Integrity {
        what: format!("{operation} of s3://{bucket}/{prefix}"),
        detail: format!("it names {name:?}, which does not begin with the prefix asked for"),
    })
}

impl Client {
    /// Lists objects.
    pub fn objects<'a>(&'a self, list: List<'a>) -> Pages<'a, ObjectEntry> {
        Pages { client: self, list, kind: OBJECTS, cursor: Some(Vec::new()), barren: Barren::default() }
    }

    /// Lists versions and delete markers.
    pub fn versions<'a>(&'a self, list: List<'a>) -> Pages<'a, VersionEntry> {
        Pages { client: self, list, kind: VERSIONS, cursor: Some(Vec::new()), barren: Barren::default() }
    }
}

impl<T> Pages<'_, T> {
    /// The next page; `None` behind the last one, and after an error.
    pub async fn next(&mut self) -> Result<Option<Page<T>>> {
        let Some(cursor) = self.cursor.take() else { return Ok(None) };
        let operation = self.kind.operation;
        let (name, value) = self.kind.parameter;
        let mut call = Call::new(operation, Method::GET)
            .also(self.kind.also)
            .bucket(self.list.bucket)
            .query(name, value)
            .query("encoding-type", "url")
            .query("prefix", self.list.prefix)
            .query_some("delimiter", self.list.delimiter)
            .query_some("max-keys", self.list.page_max.map(|max| max.to_string()));
        for (name, value) in &cursor {
            call = call.query(name, value.as_str());
        }
        let (root, _) = self.client.send_xml(&call, self.kind.root).await?;
        let protocol = |detail| Error::Protocol { operation, detail };
        let (page, next) = self.kind.page(&root).map_err(protocol)?;
        said_prefix(&root, self.list.prefix).map_err(protocol)?;
        let keys = page.entries.iter().map(self.kind.key);
        for name in keys.chain(page.prefixes.iter().map(String::as_str)) {
            check_prefix(operation, self.list.bucket, self.list.prefix, name)?;
        }
        if next.as_ref() == Some(&cursor) {
            return Err(protocol(IN_CIRCLES.to_owned()));
        }
        if next.is_some() {
            let is_empty = page.entries.is_empty() && page.prefixes.is_empty();
            self.barren.count(is_empty).map_err(protocol)?;
        }
        self.cursor = next;
        Ok(Some(page))
    }
}

impl<T> Kind<T> {
    fn page(&self, root: &Element) -> Result<(Page<T>, Option<Cursor>), String> {
        let prefixes = root.all("CommonPrefixes").map(|entry| key_text(root, entry.require("Prefix")?));
        let page = Page {
            entries: root
                .children
                .iter()
                .filter_map(|child| (self.entry)(root, child).transpose())
                .collect::<Result<_, _>>()?,
            prefixes: prefixes.collect::<Result<_, _>>()?,
        };
        if self.also.is_some_and(|also| also == root.name) && root.child("Contents").is_some() {
            return Err("it lists objects, and versions were asked for".to_owned());
        }
        let on_it = (page.entries.len() + page.prefixes.len()) as u64;
        // Some count no prefixes: that more is there than is said is no harm.
        if let Some(said) = root.text_of("KeyCount").and_then(|text| text.parse::<u64>().ok())
            && said > on_it
        {
            return Err(format!("a page counts {said} entries and has {on_it}: some are missing"));
        }
        let more = root.is_truncated()?;
        Ok((page, more.then(|| (self.cursor)(root)).transpose()?))
    }
}

/// What a page says that it lists is what was asked for; not every endpoint says it, or encodes it.
fn said_prefix(root: &Element, asked: &str) -> Result<(), String> {
    match root.text_of("Prefix") {
        Some(said) if said != asked && key_text(root, said)? != asked => {
            Err(format!("it says that it lists what begins with {said:?}, and {asked:?} was asked for"))
        }
        _ => Ok(()),
    }
}

const OBJECTS: Kind<ObjectEntry> = Kind {
    operation: "ListObjectsV2",
    root: "ListBucketResult",
    also: None,
    key: |object| &object.key,
    parameter: ("list-type", "2"),
    entry: |root, child| {
        if child.name == "Contents" { object_entry(root, child).map(Some) } else { Ok(None) }
    },
    cursor: |root| Ok(vec![("continuation-token", root.require_some("NextContinuationToken")?.to_owned())]),
};

const VERSIONS: Kind<VersionEntry> = Kind {
    operation: "ListObjectVersions",
    root: "ListVersionsResult",
    also: Some("ListBucketResult"),
    key: |version| &version.object.key,
    parameter: ("versions", ""),
    entry: |root, child| match child.name.as_str() {
        "Version" | "DeleteMarker" => version_entry(root, child).map(Some),
        _ => Ok(None),
    },
    cursor: |root| {
        let mut cursor = vec![("key-marker", key_text(root, root.require_some("NextKeyMarker")?)?)];
        // A page may end with a common prefix, which is no version.
        let version = root.text_of("NextVersionIdMarker").filter(|id| !id.is_empty());
        cursor.extend(version.map(|id| ("version-id-marker", id.to_owned())));
        Ok(cursor)
    },
};

fn object_entry(root: &Element, entry: &Element) -> Result<ObjectEntry, String> {
    Ok(ObjectEntry {
        key: key_text(root, entry.require("Key")?)?,
        size: entry.require_u64("Size")?,
        etag: unquote(entry.text_of("ETag").unwrap_or_default()),
        last_modified: last_modified(entry),
        storage_class: entry.text_of("StorageClass").unwrap_or("STANDARD").to_owned(),
    })
}

fn version_entry(root: &Element, entry: &Element) -> Result<VersionEntry, String> {
    let is_delete_marker = entry.name == "DeleteMarker";
    let object = if is_delete_marker {
        ObjectEntry {
            key: key_text(root, entry.require("Key")?)?,
            size: 0,
            etag: String::new(),
            last_modified: last_modified(entry),
            storage_class: String::new(),
        }
    } else {
        object_entry(root, entry)?
    };
    Ok(VersionEntry {
        object,
        version_id: entry.text_of("VersionId").unwrap_or("null").to_owned(),
        is_latest: entry.text_of("IsLatest") == Some("true"),
        is_delete_marker,
    })
}

fn last_modified(entry: &Element) -> Option<Timestamp> {
    entry.text_of("LastModified").and_then(from_iso)
}

/// A key as the list has it, undone from its encoding.
pub(crate) fn key_text(list: &Element, text: &str) -> Result<String, String> {
    if list.text_of("EncodingType") == Some("url") { decode_url(text) } else { Ok(text.to_owned()) }
}

/// An ETag as headers have it.
pub(crate) fn quote(etag: &str) -> String {
    format!("\"{etag}\"")
}

pub(crate) fn unquote(etag: &str) -> String {
    // A weak one names what looks alike: nothing is pinned or proven by it.
    if etag.starts_with("W/") { String::new() } else { etag.trim_matches('"').to_owned() }
}

#[cfg(test)]
mod tests {
    use super::{BARREN_MAX, Barren, OBJECTS, VERSIONS, said_prefix};
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
        let (page, next) = OBJECTS.page(&root).unwrap();
        assert_eq!(page.entries[0].key, "a &\n");
        assert_eq!(page.entries[0].etag, "e");
        assert_eq!(page.prefixes, ["p/"]);
        let token = ("continuation-token", "a+b".to_owned());
        assert_eq!(next, Some(vec![token]), "tokens are opaque and stay as they are");
    }

    #[test]
    fn a_page_says_whether_it_is_the_last_and_what_comes_behind_it() {
        for rest in [
            "",
            "<IsTruncated/>",
            "<IsTruncated>yes</IsTruncated>",
            "<IsTruncated>true</IsTruncated>",
            "<IsTruncated>true</IsTruncated><NextContinuationToken/><NextKeyMarker/>",
        ] {
            let root = format!("<ListBucketResult>{rest}</ListBucketResult>");
            let root = Element::parse(root.as_bytes()).unwrap();
            OBJECTS.page(&root).unwrap_err();
            VERSIONS.page(&root).unwrap_err();
        }
    }

    #[test]
    fn a_page_that_counts_more_than_it_has_is_none() {
        let page = |count: u32| {
            let root = format!(
                "<ListBucketResult><IsTruncated>false</IsTruncated><KeyCount>{count}</KeyCount>\
                 <Contents><Key>k</Key><Size>5</Size></Contents></ListBucketResult>"
            );
            OBJECTS.page(&Element::parse(root.as_bytes()).unwrap()).map(|(page, _)| page.entries.len())
        };
        assert_eq!((page(0), page(1)), (Ok(1), Ok(1)));
        page(2).unwrap_err();
    }

    #[test]
    fn a_list_of_objects_is_none_of_versions_unless_it_has_no_objects() {
        let list = |entry: &str| {
            let root =
                format!("<ListBucketResult><IsTruncated>false</IsTruncated>{entry}</ListBucketResult>");
            VERSIONS.page(&Element::parse(root.as_bytes()).unwrap()).map(|(page, _)| page.entries.len())
        };
        assert_eq!(list(""), Ok(0));
        assert_eq!(list("<Version><Key>k</Key><Size>5</Size></Version>"), Ok(1));
        list("<Contents><Key>k</Key><Size>5</Size></Contents>").unwrap_err();
    }

    #[test]
    fn a_list_of_another_prefix_is_told() {
        for (said, fits) in [
            ("", true),
            ("<EncodingType>url</EncodingType><Prefix>p%2F</Prefix>", true),
            ("<EncodingType>url</EncodingType><Prefix>p/</Prefix>", true),
            ("<Prefix>p/</Prefix>", true),
            ("<Prefix>p/q</Prefix>", false),
            ("<Prefix/>", false),
        ] {
            let root = Element::parse(format!("<L>{said}</L>").as_bytes()).unwrap();
            assert_eq!(said_prefix(&root, "p/").is_ok(), fits, "{said}");
        }
    }

    #[test]
    fn pages_without_anything_end() {
        let mut barren = Barren::default();
        for _ in 1..BARREN_MAX {
            barren.count(true).unwrap();
        }
        { barren }.count(true).unwrap_err();
        barren.count(false).unwrap();
        barren.count(true).unwrap();
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
        let (page, next) = VERSIONS.page(&root).unwrap();
        let ids: Vec<_> = page.entries.iter().map(|v| (v.version_id.as_str(), v.is_delete_marker)).collect();
        assert_eq!(ids, [("3", true), ("2", false), ("1", true)]);
        assert_eq!(next, None);
    }
}
