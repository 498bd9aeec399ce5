//! Where a bucket's server access log goes, as `PutBucketLogging` says it. What is written there: [`access_log`](crate::access_log).
//!
//! Limits: a prefix of at most [`LOG_PREFIX_BYTES_MAX`] bytes, so that every key that is made with it is one.

use super::{Setting, SettingKind};
use crate::record::{get_access_list, put_access_list};
use crate::{BucketName, Error, Result};
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use security::AccessList;

/// Bytes of a log's prefix: what is put behind it takes up to 165 of a key's 1,024.
pub const LOG_PREFIX_BYTES_MAX: usize = 800;

/// What decides the date in a partitioned key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionDate {
    /// When the requests were made: an object holds records of one day.
    EventTime,
    /// When the object is written.
    DeliveryTime,
}

/// How the keys of a log's objects are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKeyFormat {
    /// Prefix, time, a random end.
    Simple,
    /// Prefix, account, region, bucket, date, time, a random end.
    Partitioned(PartitionDate),
}

/// Where the records of a bucket's requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketLogging {
    target: BucketName,
    prefix: String,
    format: Option<LogKeyFormat>,
    grants: Option<AccessList>,
}

impl BucketLogging {
    /// Checks the prefix. `format`: as it was asked for; `None` is the simple one. `grants`: to others than the target's owner.
    pub fn new(
        target: &BucketName,
        prefix: String,
        format: Option<LogKeyFormat>,
        grants: Option<AccessList>,
    ) -> Result<Self> {
        if prefix.len() > LOG_PREFIX_BYTES_MAX {
            let detail = "the prefix can have 800 bytes, so that every key made with it has at most 1024";
            return Err(Error::InvalidArgument { name: "TargetPrefix", detail });
        }
        Ok(Self { target: target.unbound(), prefix, format, grants })
    }

    /// The bucket that the log goes to.
    pub fn target(&self) -> &BucketName {
        &self.target
    }

    /// What its objects' keys begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// How keys are made, where it was said.
    pub fn format(&self) -> Option<LogKeyFormat> {
        self.format
    }

    /// Who else is granted something on the log's objects.
    pub fn grants(&self) -> Option<&AccessList> {
        self.grants.as_ref()
    }

    /// Whether an object may hold records of one day alone.
    pub(crate) fn keeps_days_apart(&self) -> bool {
        self.format == Some(LogKeyFormat::Partitioned(PartitionDate::EventTime))
    }
}

impl Record for BucketLogging {
    const NAME: &'static str = "logging of a bucket";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.text(self.target.as_str()).text(&self.prefix).u8(match self.format {
            None => 0,
            Some(LogKeyFormat::Simple) => 1,
            Some(LogKeyFormat::Partitioned(PartitionDate::EventTime)) => 2,
            Some(LogKeyFormat::Partitioned(PartitionDate::DeliveryTime)) => 3,
        });
        out.u8(u8::from(self.grants.is_some()));
        if let Some(grants) = &self.grants {
            put_access_list(out, grants);
        }
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let target = fields.text()?;
        let target = BucketName::parse(target).map_err(|_| fields.corrupt("an impossible bucket"))?;
        let prefix = fields.text()?.to_owned();
        let format = match fields.u8()? {
            0 => None,
            1 => Some(LogKeyFormat::Simple),
            2 => Some(LogKeyFormat::Partitioned(PartitionDate::EventTime)),
            3 => Some(LogKeyFormat::Partitioned(PartitionDate::DeliveryTime)),
            other => return Err(fields.corrupt(format!("format {other} of keys"))),
        };
        let grants = match fields.u8()? {
            0 => None,
            1 => Some(get_access_list(fields)?),
            other => return Err(fields.corrupt(format!("flag {other}"))),
        };
        Ok(Self { target, prefix, format, grants })
    }
}

impl Setting for BucketLogging {
    const KIND: SettingKind = SettingKind::Logging;
}
