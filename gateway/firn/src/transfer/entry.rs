//! A thing that can be moved: a file or an object, by its name below the place that was named.

use engine::clock::Timestamp;

/// A file below a directory, or an object below a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its name below the place, parts separated by `/`.
    pub(crate) name: String,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// When it was last written.
    pub(crate) modified: Option<Timestamp>,
    /// Its ETag, for an object.
    pub(crate) etag: Option<String>,
    /// Its version, where another than the latest is meant.
    pub(crate) version: Option<String>,
    /// Whether a link to a directory leads to it: it lies in another tree then than the one that was named.
    pub(crate) behind_link: bool,
}

/// What a list brings: an entry, or something that stands in the list and can't be moved.
#[derive(Debug)]
pub(crate) enum Found {
    Entry(Entry),
    /// Its name, and why not.
    Refused(String, anyhow::Error),
    /// The list itself broke: what follows is unknown.
    Broken(anyhow::Error),
}
