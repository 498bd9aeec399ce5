//! A bucket's policy: its text as it was set, and the form that requests are decided by.

use super::{Setting, SettingKind};
use engine::Result;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use security::identity::Pins;
use security::policy::{Form, Policy, PolicyError};

/// Bytes of a bucket's policy at the most. Source: "Bucket policies for Amazon S3" of the S3 user guide.
pub const BUCKET_POLICY_BYTES_MAX: usize = 20 << 10;

/// A bucket's policy.
///
/// A stored text that can't be read, as a newer version may take more than this one, denies everything to everybody: what nobody may lock the
/// root of the bucket's account out of is left, so that it can be read, replaced and removed. To let in anybody by a guess would be worse, and
/// an error in place of the setting would lock out that root as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketPolicy {
    text: String,
    policy: Policy,
    public: bool,
    pins: Pins,
}

impl BucketPolicy {
    /// Reads a document, by the language alone: what S3 wants of it besides is its caller's to check.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let policy = Policy::parse(text, Form::Resource, BUCKET_POLICY_BYTES_MAX)?;
        let public = policy.is_public();
        Ok(Self { text: text.to_owned(), policy, public, pins: Pins::NONE })
    }

    /// With who it is that it names by ARN.
    #[must_use]
    pub fn naming(self, pins: Pins) -> Self {
        Self { pins, ..self }
    }

    /// Whom it names by ARN.
    pub const fn pins(&self) -> &Pins {
        &self.pins
    }

    /// As it was set, byte for byte.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The compiled form.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether it lets in whom nobody chose.
    pub fn is_public(&self) -> bool {
        self.public
    }
}

impl Record for BucketPolicy {
    const NAME: &'static str = "bucket policy";
    const VERSION: u8 = 2;

    /// One that names nobody by ARN is readable by what knows of no users.
    fn version(&self) -> u8 {
        if self.pins.is_empty() { 1 } else { 2 }
    }

    fn encode(&self, out: &mut RecordWriter) {
        out.text(&self.text);
        if !self.pins.is_empty() {
            self.pins.write(out);
        }
    }

    fn decode(version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let text = fields.text()?.to_owned();
        let pins = if version == 1 { Pins::NONE } else { Pins::read(fields)? };
        let read = Self::parse(&text).unwrap_or_else(|error| {
            tracing::error!(%error, "a bucket's policy can not be read and denies everything");
            Self { text, policy: Policy::denying_all(), public: false, pins: Pins::NONE }
        });
        Ok(read.naming(pins))
    }
}

impl Setting for BucketPolicy {
    const KIND: SettingKind = SettingKind::Policy;

    fn memory_bytes(&self, _row: usize) -> usize {
        self.text.len() + self.policy.heap_bytes() + self.pins.heap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::BucketPolicy;
    use engine::catalog::record::Record as _;

    #[test]
    fn golden_policy_that_names_a_user() {
        let arn = "arn:aws:iam::111122223333:user/alice";
        let text = format!(
            r#"{{"Statement":{{"Effect":"Deny","Principal":{{"AWS":"{arn}"}},"Action":"*","Resource":"*"}}}}"#
        );
        // Version, length and text; one pin: length and ARN, id.
        let lengths = [u8::try_from(text.len()).unwrap(), u8::try_from(arn.len()).unwrap()];
        let golden =
            [&[2, lengths[0]], text.as_bytes(), &[1, lengths[1]], arn.as_bytes(), b"AIDAABCDEFGHIJKLMNOPQ"];
        let golden = golden.concat();
        let policy = BucketPolicy::from_bytes(&golden).unwrap();
        assert_eq!((policy.text(), policy.pins().is_empty()), (text.as_str(), false));
        assert_eq!(policy.to_bytes(), golden);
        for cut in 0..golden.len() {
            BucketPolicy::from_bytes(&golden[..cut]).unwrap_err();
        }
        // What names nobody stays what an older firn reads.
        assert_eq!(BucketPolicy::parse(&text).unwrap().to_bytes()[0], 1);
    }
}
