//! An issuer's keys, as it publishes them. Source: RFC 7517, RFC 7518 section 6.
//!
//! Of a set those are kept that can verify an algorithm of the list; all others are passed over, shared secrets among them.

use super::token::{Algorithm, Check, KID_MAX, Token};
use crate::policy::tree::Tree;
use aws_lc_rs::signature::{RsaPublicKeyComponents, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Keys of a set that are looked at.
const KEYS_MAX: usize = 100;
/// Bytes of an RSA key's modulus.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
/// Bytes of an RSA key's exponent at the most.
const EXPONENT_BYTES_MAX: usize = 4;

/// A public key.
enum Material {
    Rsa {
        modulus: Box<[u8]>,
        exponent: Box<[u8]>,
    },
    /// 4, then both coordinates, of so many bytes each.
    Point(Box<[u8]>, usize),
}

/// One of an issuer's keys.
struct Key {
    id: Option<Box<str>>,
    /// The only algorithm that it is for, if it says so.
    only: Option<Algorithm>,
    material: Material,
}

/// An issuer's keys.
pub(super) struct KeySet(Vec<Key>);

/// That no key of a set verifies a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unverified {
    /// There is no key of its id, or not one alone where it has none.
    NoKey,
    /// The key's signature is another.
    Signature,
}

/// A number without leading zeros.
fn number(key: &Tree, name: &str) -> Option<Box<[u8]>> {
    let bytes = URL_SAFE_NO_PAD.decode(key.member(name)?.text()?).ok()?;
    let begin = bytes.iter().position(|byte| *byte != 0)?;
    Some(bytes.get(begin..)?.into())
}

/// A coordinate, of all its bytes.
fn coordinate(key: &Tree, name: &str, length: usize) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(key.member(name)?.text()?).ok().filter(|bytes| bytes.len() == length)
}

fn material(key: &Tree) -> Option<Material> {
    match key.member("kty")?.text()? {
        "RSA" => {
            let (modulus, exponent) = (number(key, "n")?, number(key, "e")?);
            let odd = exponent.last().is_some_and(|last| last & 1 == 1) && *exponent != [1];
            let fits = MODULUS_BYTES.contains(&modulus.len()) && exponent.len() <= EXPONENT_BYTES_MAX;
            (odd && fits).then_some(Material::Rsa { modulus, exponent })
        }
        "EC" => {
            let length = match key.member("crv")?.text()? {
                "P-256" => 32,
                "P-384" => 48,
                _ => return None,
            };
            let (x, y) = (coordinate(key, "x", length)?, coordinate(key, "y", length)?);
            Some(Material::Point([&[4][..], &x, &y].concat().into(), length))
        }
        _ => None,
    }
}

/// A key that verifies signatures.
fn read(key: &Tree) -> Option<Key> {
    if key.member("use").is_some_and(|usage| usage.text() != Some("sig")) {
        return None;
    }
    if let Some(operations) = key.member("key_ops") {
        let Tree::List(operations) = operations else { return None };
        if !operations.iter().any(|operation| operation.text() == Some("verify")) {
            return None;
        }
    }
    let only = match key.member("alg") {
        None => None,
        Some(name) => Some(Algorithm::named(name.text()?)?),
    };
    let id = match key.member("kid") {
        None => None,
        Some(Tree::Text(id)) if (1..=KID_MAX).contains(&id.len()) => Some(id.as_str().into()),
        Some(_) => return None,
    };
    Some(Key { id, only, material: material(key)? })
}

impl Key {
    fn is_for(&self, algorithm: Algorithm) -> bool {
        let kind = match (algorithm.check(), &self.material) {
            (Check::Rsa(_), Material::Rsa { .. }) => true,
            (Check::Curve(_, length), Material::Point(_, of)) => length == *of,
            _ => false,
        };
        kind && self.only.is_none_or(|only| only == algorithm)
    }

    fn verifies(&self, token: &Token<'_>) -> bool {
        match (token.algorithm.check(), &self.material) {
            (Check::Rsa(parameters), Material::Rsa { modulus, exponent }) => {
                let key = RsaPublicKeyComponents { n: &**modulus, e: &**exponent };
                key.verify(parameters, token.signed, &token.signature).is_ok()
            }
            (Check::Curve(algorithm, length), Material::Point(point, of)) if length == *of => {
                UnparsedPublicKey::new(algorithm, &**point).verify(token.signed, &token.signature).is_ok()
            }
            _ => false,
        }
    }
}

impl KeySet {
    /// Reads a set. That no key of it can be used is no error here: then none verifies.
    pub(super) fn parse(document: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(document).map_err(|_| "its keys are not in UTF-8".to_owned())?;
        let tree = Tree::parse(text).map_err(|error| format!("its keys are no JSON: {error}"))?;
        let Some(Tree::List(keys)) = tree.member("keys") else {
            return Err("its keys are no set: the member keys is no list".to_owned());
        };
        if keys.len() > KEYS_MAX {
            return Err(format!("it has {} keys; at most {KEYS_MAX} are looked at", keys.len()));
        }
        Ok(Self(keys.iter().filter_map(read).collect()))
    }

    /// Whether one of the keys that the token names made its signature.
    pub(super) fn verify(&self, token: &Token<'_>) -> Result<(), Unverified> {
        let fits: Vec<&Key> = self.0.iter().filter(|key| key.is_for(token.algorithm)).collect();
        let named = |key: &&&Key| key.id == token.key_id;
        let candidates: Vec<&Key> = match &token.key_id {
            Some(_) => fits.iter().filter(named).copied().collect(),
            // Which one it is has to be clear.
            None if fits.len() == 1 => fits,
            None => Vec::new(),
        };
        if candidates.is_empty() {
            return Err(Unverified::NoKey);
        }
        let verified = candidates.iter().any(|key| key.verifies(token));
        verified.then_some(()).ok_or(Unverified::Signature)
    }
}
