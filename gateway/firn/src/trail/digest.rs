//! A digest, as it is written.

use super::keys::sha256;
use serde::Deserialize;

/// How digests are signed.
pub(super) const SIGNED: &str = "SHA256withRSA";
/// How files are hashed.
pub(super) const HASHED: &str = "SHA-256";

/// A file that it names.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogFile {
    pub(super) s3_bucket: String,
    pub(super) s3_object: String,
    pub(super) hash_value: String,
    pub(super) hash_algorithm: String,
}

/// Its members, as far as they prove anything.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    pub(super) digest_start_time: String,
    pub(super) digest_end_time: String,
    pub(super) digest_s3_bucket: String,
    pub(super) digest_s3_object: String,
    pub(super) digest_public_key_fingerprint: String,
    pub(super) digest_signature_algorithm: String,
    pub(super) previous_digest_s3_bucket: Option<String>,
    pub(super) previous_digest_s3_object: Option<String>,
    pub(super) previous_digest_hash_value: Option<String>,
    pub(super) previous_digest_signature: Option<String>,
    pub(super) log_files: Vec<LogFile>,
}

impl Document {
    /// What its signature is of.
    pub(super) fn signed(&self, text: &[u8]) -> String {
        let before = self.previous_digest_signature.as_deref().unwrap_or("null");
        let (end, bucket, key) = (&self.digest_end_time, &self.digest_s3_bucket, &self.digest_s3_object);
        format!("{end}\n{bucket}/{key}\n{}\n{before}", sha256(text))
    }
}
