//! The encryption context: what is authenticated with a ciphertext, and said again to open it.

use super::error::{KmsError, Result};
use std::collections::btree_map;
use std::collections::{BTreeMap, BTreeSet};

/// Pairs at the most. KMS has no bound of its own but that of a request's body.
pub(super) const PAIRS_MAX: usize = 512;
/// Bytes of all pairs at the most.
pub(super) const BYTES_MAX: usize = 64 << 10;

/// Names and values, in order of names. Never a secret: they stand in logs and conditions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncryptionContext(BTreeMap<String, String>);

impl EncryptionContext {
    /// None.
    pub const NONE: Self = Self(BTreeMap::new());

    /// Of these pairs; [`Code::Validation`](super::Code::Validation) beyond 512 pairs or 64 KiB, and where two names differ in case alone:
    /// the keys of conditions (`kms:EncryptionContext:NAME`) don't tell those apart, so that one of them would pass for the other.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        let context = Self::kept(pairs)?;
        let names: BTreeSet<String> = context.0.keys().map(|name| name.to_lowercase()).collect();
        if names.len() < context.0.len() {
            let message = "Names of an encryption context can't differ in upper and lower case alone.";
            return Err(KmsError::invalid(message));
        }
        Ok(context)
    }

    /// Of pairs as they were kept. The same, but for names that differ in case alone.
    pub fn kept(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        let pairs: BTreeMap<String, String> = pairs.into_iter().collect();
        let bytes: usize = pairs.iter().map(|(key, value)| key.len() + value.len()).sum();
        if pairs.len() > PAIRS_MAX || bytes > BYTES_MAX {
            let message =
                format!("An encryption context has at most {PAIRS_MAX} pairs of {BYTES_MAX} bytes together.");
            return Err(KmsError::invalid(message));
        }
        Ok(Self(pairs))
    }

    /// The pairs, in order of their names.
    pub fn iter(&self) -> btree_map::Iter<'_, String, String> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all of its pairs are among those.
    pub(super) fn within(&self, others: &Self) -> bool {
        self.iter().all(|(key, value)| others.0.get(key) == Some(value))
    }

    /// What is authenticated: for each pair the lengths of name and value, big-endian, each in front of its text.
    pub(super) fn push_to(&self, out: &mut Vec<u8>) {
        for text in self.iter().flat_map(|(key, value)| [key, value]) {
            // Bounded by [`BYTES_MAX`].
            let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(text.as_bytes());
        }
    }
}

impl<'a> IntoIterator for &'a EncryptionContext {
    type Item = (&'a String, &'a String);
    type IntoIter = btree_map::Iter<'a, String, String>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::{EncryptionContext, PAIRS_MAX};

    #[test]
    fn what_is_authenticated_tells_names_from_values_and_has_one_order() {
        let of = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let mut out = Vec::new();
            EncryptionContext::new(pairs).unwrap().push_to(&mut out);
            out
        };
        assert_eq!(of(&[("b", "1"), ("a", "22")]), b"\0\0\0\x01a\0\0\0\x0222\0\0\0\x01b\0\0\0\x011");
        assert_ne!(of(&[("ab", "c")]), of(&[("a", "bc")]));
        assert_eq!(of(&[]), b"");
        let many = (0..=PAIRS_MAX).map(|n| (n.to_string(), String::new()));
        assert!(EncryptionContext::new(many).is_err());
        assert!(EncryptionContext::new([(String::new(), "v".repeat(70_000))]).is_err());
    }

    #[test]
    fn names_that_conditions_do_not_tell_apart_are_refused() {
        let of = |names: [&str; 2]| names.map(|name| (name.to_owned(), "v".to_owned()));
        for names in [["aws:s3:arn", "AWS:s3:arn"], ["Ä", "ä"]] {
            assert!(EncryptionContext::new(of(names)).is_err(), "{names:?}");
            assert!(EncryptionContext::kept(of(names)).is_ok(), "what is there goes on being read");
        }
        assert!(EncryptionContext::new(of(["a", "b"])).is_ok());
    }
}
