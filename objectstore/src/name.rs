//! Names that users give: buckets and keys. Parsed once at the edge, valid by type from then on.

use crate::Error;
use crate::store::Bucket;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The longest key in bytes of UTF-8.
pub const KEY_BYTES_MAX: usize = 1024;

/// A bucket's name: 3–63 characters of `a-z 0-9 . -`, as S3 has it for new buckets.
///
/// One that was [admitted](crate::ObjectStore::admit) stands for the bucket that had it then, and for no other of this name.
#[derive(Clone)]
pub struct BucketName {
    text: Arc<str>,
    /// The bucket that it stands for; `None` for whichever has the name. Names are the same whatever it is.
    bound: Option<Bucket>,
}

impl BucketName {
    /// Checks S3's naming rules.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if valid_bucket(text) {
            Ok(Self { text: text.into(), bound: None })
        } else {
            Err(Error::InvalidBucketName)
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same name, for this bucket alone.
    pub(crate) fn bound_to(&self, bucket: Bucket) -> Self {
        Self { text: Arc::clone(&self.text), bound: Some(bucket) }
    }

    /// The bucket that it stands for alone.
    pub(crate) fn bound(&self) -> Option<Bucket> {
        self.bound
    }

    /// The same name, for whichever bucket has it.
    pub(crate) fn unbound(&self) -> Self {
        Self { text: Arc::clone(&self.text), bound: None }
    }
}

impl PartialEq for BucketName {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for BucketName {}

impl PartialOrd for BucketName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for BucketName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl Hash for BucketName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

fn valid_bucket(text: &str) -> bool {
    let raw = text.as_bytes();
    let edge = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (3..=63).contains(&raw.len())
        && raw.iter().all(|b| edge(b) || matches!(b, b'.' | b'-'))
        && raw.first().is_some_and(edge)
        && raw.last().is_some_and(edge)
        && !text.contains("..")
        && text.parse::<std::net::Ipv4Addr>().is_err()
        && !["xn--", "sthree-", "amzn-s3-demo-"].iter().any(|reserved| text.starts_with(reserved))
        && !["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"]
            .iter()
            .any(|reserved| text.ends_with(reserved))
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bucket {:?}", self.text)
    }
}

/// An object's key: 1–1,024 bytes of UTF-8, nothing else about it matters. `a`, `a/b`, `a//b` and `..` are four keys.
/// Ordered by its bytes, as listings are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(Box<str>);

impl ObjectKey {
    /// Checks the length.
    pub fn parse(text: &str) -> Result<Self, Error> {
        match text.len() {
            0 => Err(Error::InvalidArgument { name: "key", detail: "a key has at least one byte" }),
            1..=KEY_BYTES_MAX => Ok(Self(text.into())),
            size => Err(Error::KeyTooLong { size }),
        }
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its UTF-8 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{BucketName, ObjectKey};

    #[test]
    fn bucket_names_follow_s3s_rules() {
        for good in ["abc", "a.b", "a-b", "0bucket9", &"a".repeat(63), "my.bucket-1", "1.2.3"] {
            assert_eq!(BucketName::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "ab",
            &"a".repeat(64),
            "Abc",
            "a_b",
            "-ab",
            "ab-",
            ".ab",
            "a..b",
            "192.168.5.4",
            "xn--abc",
            "sthree-a",
            "abc-s3alias",
            "abc--ol-s3",
            "bücket",
            "a/b",
        ] {
            BucketName::parse(bad).unwrap_err();
        }
    }

    #[test]
    fn keys_are_bounded_in_bytes_and_nothing_else() {
        for good in ["a", "..", "a//b", "/", "\u{0}", &"é".repeat(512)] {
            assert_eq!(ObjectKey::parse(good).unwrap().as_str(), good);
        }
        ObjectKey::parse("").unwrap_err();
        ObjectKey::parse(&"a".repeat(1025)).unwrap_err();
        ObjectKey::parse(&"é".repeat(513)).unwrap_err();
    }
}
