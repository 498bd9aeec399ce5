//! Signing keys: four HMACs from the secret to the key of one day, region and service.

use crate::credentials::SecretKey;
use aws_lc_rs::{digest, hmac};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// What a signature is good for: a day, a region and a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    /// `20130524`
    pub date: String,
    /// `us-east-1`
    pub region: String,
    /// `s3`
    pub service: String,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/aws4_request", self.date, self.region, self.service)
    }
}

/// The key that signs requests and chunks of one scope.
#[derive(Clone)]
pub struct SigningKey(Arc<hmac::Key>);

impl SigningKey {
    /// Derives the key.
    pub fn derive(secret: &SecretKey, scope: &Scope) -> Self {
        let step =
            |key: &[u8], data: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data.as_bytes());
        let seed = zeroize::Zeroizing::new(format!("AWS4{}", secret.expose()));
        let day = step(seed.as_bytes(), &scope.date);
        let region = step(day.as_ref(), &scope.region);
        let service = step(region.as_ref(), &scope.service);
        let last = step(service.as_ref(), "aws4_request");
        Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, last.as_ref())))
    }

    /// The signature of a string to sign, in lower-case hexadecimal.
    pub(crate) fn sign(&self, string_to_sign: &[u8]) -> Signature {
        let tag = hmac::sign(&self.0, string_to_sign);
        let mut text = [0; 64];
        // The lengths fit by construction: HMAC-SHA-256 is 32 bytes.
        let fits = hex::encode_to_slice(tag.as_ref(), &mut text);
        debug_assert!(fits.is_ok());
        Signature(text)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

/// A signature as it is sent: 64 lower-case hexadecimal digits.
#[derive(Clone, Copy)]
pub struct Signature([u8; 64]);

impl Signature {
    /// Its text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Compares in a time that does not depend on where the two differ.
    pub(crate) fn matches(&self, provided: &[u8]) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.0, provided).is_ok()
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// SHA-256 in lower-case hexadecimal.
pub(crate) fn sha256_hex(data: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, data))
}

/// Signing keys that were derived lately, so that a request costs one HMAC, not five. Bounded: when full it starts anew.
#[derive(Debug, Default)]
pub struct SigningKeys {
    derived: RwLock<HashMap<String, Vec<Derived>>>,
}

#[derive(Debug)]
struct Derived {
    scope: Scope,
    secret: SecretKey,
    key: SigningKey,
}

impl SigningKeys {
    /// Most access keys that are remembered.
    const MAX_ACCESS_KEYS: usize = 4096;
    /// Most scopes of one access key: a presigned URL lives for a week.
    const MAX_SCOPES: usize = 16;

    /// The key for this access key and scope, derived unless it is remembered.
    pub(crate) fn get(&self, access_key_id: &str, secret: &SecretKey, scope: &Scope) -> SigningKey {
        if let Some(known) = self.derived.read().get(access_key_id).and_then(|of| find(of, secret, scope)) {
            return known;
        }
        let key = SigningKey::derive(secret, scope);
        let mut derived = self.derived.write();
        if derived.len() >= Self::MAX_ACCESS_KEYS && !derived.contains_key(access_key_id) {
            derived.clear();
        }
        let of = derived.entry(access_key_id.to_owned()).or_default();
        if of.len() >= Self::MAX_SCOPES {
            of.clear();
        }
        of.push(Derived { scope: scope.clone(), secret: secret.clone(), key: key.clone() });
        key
    }
}

fn find(of: &[Derived], secret: &SecretKey, scope: &Scope) -> Option<SigningKey> {
    // The secret is compared too: a key that was given a new secret must not be known by its old one.
    of.iter().find(|known| known.scope == *scope && known.secret == *secret).map(|known| known.key.clone())
}

#[cfg(test)]
mod tests {
    use super::{Scope, SigningKeys};
    use crate::credentials::SecretKey;

    fn scope(day: usize) -> Scope {
        Scope { date: format!("{:08}", 20_260_000 + day), region: "us-east-1".into(), service: "s3".into() }
    }

    #[test]
    fn a_remembered_key_is_the_derived_one_and_a_new_secret_is_not_known_by_the_old() {
        let keys = SigningKeys::default();
        let (old, new) = (SecretKey::parse("old-secret").unwrap(), SecretKey::parse("new-secret").unwrap());
        let sign = |secret, day| keys.get("AKID", secret, &scope(day)).sign(b"text").as_str().to_owned();
        let first = sign(&old, 1);
        assert_eq!(sign(&old, 1), first);
        assert_ne!(sign(&new, 1), first);
        assert_ne!(sign(&old, 2), first);
        assert_eq!(sign(&old, 1), first);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let keys = SigningKeys::default();
        let secret = SecretKey::parse("the-secret").unwrap();
        for number in 0..SigningKeys::MAX_ACCESS_KEYS + 10 {
            keys.get(&number.to_string(), &secret, &scope(1));
        }
        for day in 0..100 {
            keys.get("7", &secret, &scope(day));
        }
        let derived = keys.derived.read();
        assert!(derived.len() <= SigningKeys::MAX_ACCESS_KEYS);
        assert!(derived.values().all(|of| of.len() <= SigningKeys::MAX_SCOPES));
    }
}
