//! A bucket's access list, kept where it is not the private one.

use super::{Setting, SettingKind};
use crate::record::{get_access_list, put_access_list};
use engine::Result;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use security::AccessList;

/// A bucket's access list. One that was never set grants everything to the bucket's owner and nothing to anybody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketAcl(pub AccessList);

impl Record for BucketAcl {
    const NAME: &'static str = "access list of a bucket";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        put_access_list(out, &self.0);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        get_access_list(fields).map(Self)
    }
}

impl Setting for BucketAcl {
    const KIND: SettingKind = SettingKind::AccessList;
}
