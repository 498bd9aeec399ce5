//! How a bucket says that new objects are encrypted.
//!
//! Every body is encrypted at rest with keys of the appliance, which is what S3 calls AES256. A managed key can be put around those.

use super::{Setting, SettingKind};
use engine::Result;
use engine::catalog::Layout;
use engine::catalog::record::{Record, RecordReader, RecordWriter};

/// Whose keys new objects get where their requests say nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DefaultKey {
    /// The appliance's: AES256.
    #[default]
    Appliance,
    /// A managed key, by id, alias or ARN; `None`: that of S3, of the account that writes. What is no ARN is looked for in that account, too.
    Managed(Option<String>),
}

/// The encryption configuration of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encryption {
    /// Whose keys.
    pub key: DefaultKey,
    /// Managed keys are used as bucket keys, unless a request says otherwise.
    pub bucket_key: bool,
    /// Whether keys that clients bring along are blocked, where it was said.
    pub blocks_customer_keys: Option<bool>,
}

impl Record for Encryption {
    const NAME: &'static str = "bucket encryption";
    const VERSION: u8 = 2;

    /// With the appliance's keys it is what it was before there were others.
    fn version(&self) -> u8 {
        if self.key == DefaultKey::Appliance { 1 } else { 2 }
    }

    fn encode(&self, out: &mut RecordWriter) {
        // AES256 or aws:kms; the next algorithm gets the next number.
        let algorithm = if self.key == DefaultKey::Appliance { 1 } else { 2 };
        out.u8(algorithm).u8(u8::from(self.bucket_key)).u8(match self.blocks_customer_keys {
            None => 0,
            Some(false) => 1,
            Some(true) => 2,
        });
        if let DefaultKey::Managed(key) = &self.key {
            out.u8(u8::from(key.is_some()));
            if let Some(key) = key {
                out.text(key);
            }
        }
    }

    fn decode(version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let (algorithm, bucket_key, blocks) = (fields.u8()?, fields.u8()?, fields.u8()?);
        if algorithm != version || bucket_key > 1 {
            return Err(fields.corrupt(format!("algorithm {algorithm}, bucket key {bucket_key}")));
        }
        let blocks_customer_keys = match blocks {
            0 => None,
            1 => Some(false),
            2 => Some(true),
            other => return Err(fields.corrupt(format!("blocked types {other}"))),
        };
        let key = match algorithm {
            1 => DefaultKey::Appliance,
            _ => DefaultKey::Managed(match fields.u8()? {
                0 => None,
                1 => Some(fields.text()?.to_owned()),
                other => return Err(fields.corrupt(format!("flag {other}"))),
            }),
        };
        Ok(Self { key, bucket_key: bucket_key == 1, blocks_customer_keys })
    }
}

impl Setting for Encryption {
    const KIND: SettingKind = SettingKind::Encryption;

    /// A firn that knows of no managed keys would store what the bucket wants one for without.
    fn layout(&self) -> Layout {
        if self.key == DefaultKey::Appliance { Self::KIND.layout() } else { Layout::MANAGED }
    }
}
