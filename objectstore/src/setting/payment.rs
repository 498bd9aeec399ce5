//! Who pays for requests, as S3 has it: nobody pays here, but a requester-pays bucket wants everybody else to say that they would.

use super::{Setting, SettingKind};
use engine::Result;
use engine::catalog::record::{Record, RecordReader, RecordWriter};

/// Who pays for requests to a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestPayment {
    /// The owner, as where nothing is set.
    #[default]
    BucketOwner,
    /// Whoever asks: requests of others than the owner must say so.
    Requester,
}

impl Record for RequestPayment {
    const NAME: &'static str = "request payment";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.u8(match self {
            Self::BucketOwner => 0,
            Self::Requester => 1,
        });
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        match fields.u8()? {
            0 => Ok(Self::BucketOwner),
            1 => Ok(Self::Requester),
            other => Err(fields.corrupt(format!("payer {other}"))),
        }
    }
}

impl Setting for RequestPayment {
    const KIND: SettingKind = SettingKind::RequestPayment;
}
