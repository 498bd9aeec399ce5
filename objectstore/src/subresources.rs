//! What S3 keeps beside an object and can be changed without writing it anew: tags and locks.
//!
//! They are part of the version's authenticated row: changing them opens the row's seal and seals it again
//! ([`ObjectStore::amend`](crate::ObjectStore::amend)), in one commit.

use crate::{Error, Result, Retention};
use security::{AccessList, CanonicalUser};
use std::collections::BTreeMap;

/// Tags of an object at the most.
pub const OBJECT_TAGS_MAX: usize = 10;
/// Tags of a bucket at the most.
pub const BUCKET_TAGS_MAX: usize = 50;
/// Characters of a tag's key, in UTF-16 as S3 counts them.
const TAG_KEY_MAX: usize = 128;
/// Characters of a tag's value, likewise.
const TAG_VALUE_MAX: usize = 256;

/// How the keys of AWS's own tags begin.
const SYSTEM: &str = "aws:";

/// Tags, in order of their keys. Source: "Categorizing your objects using tags" of the S3 user guide.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(BTreeMap<String, String>);

impl Tags {
    /// Tags of an object: at most [`OBJECT_TAGS_MAX`].
    pub fn of_object(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        Self::checked(pairs, OBJECT_TAGS_MAX, "Object tags cannot be greater than 10")
    }

    /// Tags of a bucket: at most [`BUCKET_TAGS_MAX`].
    pub fn of_bucket(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        Self::checked(pairs, BUCKET_TAGS_MAX, "Bucket tag count cannot be greater than 50")
    }

    fn checked(
        pairs: impl IntoIterator<Item = (String, String)>,
        max: usize,
        too_many: &'static str,
    ) -> Result<Self> {
        let mut tags = BTreeMap::new();
        for (key, value) in pairs {
            let length = key.encode_utf16().count();
            if length == 0 || length > TAG_KEY_MAX || !key.chars().all(may_stand) {
                return Err(Error::InvalidTag { detail: "The TagKey you have provided is invalid" });
            }
            if key.get(..SYSTEM.len()).is_some_and(|start| start.eq_ignore_ascii_case(SYSTEM)) {
                let detail = "System tags cannot be added/updated by requester";
                return Err(Error::InvalidTag { detail });
            }
            if value.encode_utf16().count() > TAG_VALUE_MAX || !value.chars().all(may_stand) {
                return Err(Error::InvalidTag { detail: "The TagValue you have provided is invalid" });
            }
            if tags.insert(key, value).is_some() {
                let detail = "Cannot provide multiple Tags with the same key";
                return Err(Error::InvalidTag { detail });
            }
            if tags.len() > max {
                return Err(Error::InvalidTag { detail: too_many });
            }
        }
        Ok(Self(tags))
    }

    /// Key and value, in order of keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// None.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Letters, digits and spaces of any script, and `+ - = . _ : / @`.
fn may_stand(c: char) -> bool {
    c.is_alphanumeric() || c == ' ' || "+-=._:/@".contains(c)
}

/// What stands beside an object; most have nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subresources {
    /// At most [`OBJECT_TAGS_MAX`].
    pub tags: Tags,
    /// Who owns it, where that is not the bucket's owner. Means nothing while the bucket's lists are off.
    pub owner: Option<CanonicalUser>,
    /// Who was granted what, where it is not the owner alone. Means nothing while the bucket's lists are off.
    pub access_list: Option<AccessList>,
    /// Until when it can't be removed.
    pub retention: Option<Retention>,
    /// Whether it can't be removed until somebody turns this off; `None` where nobody ever said.
    pub legal_hold: Option<bool>,
}

impl Subresources {
    /// Nothing is set.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::Tags;

    fn tags(pairs: &[(&str, &str)]) -> Result<Tags, &'static str> {
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Tags::of_object(pairs).map_err(|error| match error {
            crate::Error::InvalidTag { detail } => detail,
            other => panic!("{other}"),
        })
    }

    #[test]
    fn tags_are_as_s3_takes_them() {
        let long = "é".repeat(128);
        let good = tags(&[("b", ""), ("a+-=._:/@ ", "x"), (&long, "1")]).unwrap();
        assert_eq!(good.iter().next(), Some(("a+-=._:/@ ", "x")));
        let key = "The TagKey you have provided is invalid";
        assert_eq!(tags(&[("", "x")]), Err(key));
        assert_eq!(tags(&[(&"k".repeat(129), "x")]), Err(key));
        assert_eq!(tags(&[("a<b", "x")]), Err(key));
        assert_eq!(tags(&[("a", &"v".repeat(257))]), Err("The TagValue you have provided is invalid"));
        let system = "System tags cannot be added/updated by requester";
        assert_eq!(tags(&[("aws:x", "1")]), Err(system));
        assert_eq!(tags(&[("AWS:", "1")]), Err(system));
        tags(&[("aws", "1")]).unwrap();
        assert_eq!(tags(&[("a", "1"), ("a", "2")]), Err("Cannot provide multiple Tags with the same key"));
        let many: Vec<String> = (0..11).map(|n| n.to_string()).collect();
        let many: Vec<_> = many.iter().map(|n| (n.as_str(), "")).collect();
        assert_eq!(tags(&many), Err("Object tags cannot be greater than 10"));
        tags(&many[..10]).unwrap();
    }
}
