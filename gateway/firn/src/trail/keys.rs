//! Public keys that are believed: those that an endpoint names, or those of a PEM file.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    /// What digests name it by; a file does not say it.
    fingerprint: Option<String>,
    /// `RSAPublicKey`, or `SubjectPublicKeyInfo`, in DER.
    der: Vec<u8>,
}

/// Keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PublicKeys(Vec<Key>);

/// Kinds of keys in PEM.
const LABELS: [&str; 2] = ["RSA PUBLIC KEY", "PUBLIC KEY"];
/// Letters of a line.
const LINE: usize = 64;

impl PublicKeys {
    /// Adds a key that an endpoint names.
    pub(crate) fn add(&mut self, fingerprint: &str, der: Vec<u8>) {
        self.0.push(Key { fingerprint: Some(fingerprint.to_owned()), der });
    }

    /// Those of a file.
    pub(crate) fn from_pem(text: &str) -> Result<Self, String> {
        let mut keys = Self::default();
        let mut rest = text;
        while let Some((_, behind)) = rest.split_once("-----BEGIN ") {
            let (label, behind) = behind.split_once("-----").ok_or("a block has no end")?;
            let end = format!("-----END {label}-----");
            let (body, behind) = behind.split_once(&end).ok_or("a block has no end")?;
            rest = behind;
            if !LABELS.contains(&label) {
                continue;
            }
            let letters: String = body.split_whitespace().collect();
            let der = STANDARD.decode(letters).map_err(|_| format!("a {label} is no base64"))?;
            keys.0.push(Key { fingerprint: None, der });
        }
        if keys.is_empty() { Err("it has no public key in PEM".to_owned()) } else { Ok(keys) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A key as a file has it.
    pub(crate) fn to_pem(der: &[u8]) -> String {
        let label = LABELS[0];
        let letters: Vec<char> = STANDARD.encode(der).chars().collect();
        let lines = letters.chunks(LINE).flat_map(|line| line.iter().chain(&['\n']));
        format!("-----BEGIN {label}-----\n{}-----END {label}-----\n", lines.collect::<String>())
    }

    /// Whether one of them made a signature, hexadecimal, of a text; else why not.
    pub(crate) fn verify(&self, fingerprint: &str, text: &str, signature: &str) -> Result<(), String> {
        let signature = hex::decode(signature).map_err(|_| "its signature is none".to_owned())?;
        let mut fitting = self
            .0
            .iter()
            .filter(|key| key.fingerprint.as_deref().is_none_or(|own| own == fingerprint))
            .peekable();
        if fitting.peek().is_none() {
            return Err(format!("no key that is believed has the fingerprint {fingerprint}"));
        }
        let good = fitting.any(|key| {
            let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &key.der);
            key.verify(text.as_bytes(), &signature).is_ok()
        });
        if good { Ok(()) } else { Err("its signature is not good".to_owned()) }
    }
}

/// SHA-256, in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}
