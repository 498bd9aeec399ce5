//! Tags of a bucket: shown again, and no more.

use super::{Setting, SettingKind};
use crate::Tags;
use engine::Result;
use engine::catalog::record::{Record, RecordReader, RecordWriter};

/// Tags of a bucket: at most [`BUCKET_TAGS_MAX`](crate::BUCKET_TAGS_MAX).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketTags(pub Tags);

impl Record for BucketTags {
    const NAME: &'static str = "bucket tags";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        self.0.encode(out);
    }

    fn decode(version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        Tags::decode(version, fields).map(Self)
    }
}

impl Setting for BucketTags {
    const KIND: SettingKind = SettingKind::Tags;
}
