//! The block of public access.

use super::{Setting, SettingKind};
use engine::Result;
use engine::catalog::record::{Record, RecordReader, RecordWriter};

/// What of public access is blocked. Source: "Blocking public access to your Amazon S3 storage" of the S3 user guide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "S3 has these four switches, each on its own")]
pub struct PublicAccessBlock {
    /// Access lists that grant anything to the public are refused.
    pub block_public_acls: bool,
    /// What access lists grant to the public does not count.
    pub ignore_public_acls: bool,
    /// Policies that grant anything to the public are refused.
    pub block_public_policy: bool,
    /// A bucket whose policy is public is its account's alone.
    pub restrict_public_buckets: bool,
}

impl Record for PublicAccessBlock {
    const NAME: &'static str = "public access block";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        let switches = [
            self.block_public_acls,
            self.ignore_public_acls,
            self.block_public_policy,
            self.restrict_public_buckets,
        ];
        out.u8(switches.iter().rev().fold(0, |bits, on| bits << 1 | u8::from(*on)));
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let bits = fields.u8()?;
        if bits > 0b1111 {
            return Err(fields.corrupt(format!("switches {bits:#b}")));
        }
        Ok(Self {
            block_public_acls: bits & 1 != 0,
            ignore_public_acls: bits & 2 != 0,
            block_public_policy: bits & 4 != 0,
            restrict_public_buckets: bits & 8 != 0,
        })
    }
}

impl Setting for PublicAccessBlock {
    const KIND: SettingKind = SettingKind::PublicAccessBlock;
}
