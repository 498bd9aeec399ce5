//! Object lock of a bucket: on for ever once it is on, with or without a default retention.

use super::{Setting, SettingKind};
use crate::record::{ObjectRow, get_lock_mode, put_lock_mode};
use crate::{DefaultRetention, Error, Period, Versioning};
use engine::Result;
use engine::catalog::record::{Record, RecordReader, RecordWriter};

/// That a bucket has object lock, and what its new versions get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectLock {
    /// The retention of new versions; `None` for none.
    pub default: Option<DefaultRetention>,
    /// Versions whose order number is not above this one were there when the appliance was recovered from a backup: what was
    /// done to their locks just before is not known, so they are held until somebody says otherwise of each. 0 for none.
    pub(crate) unknown_through: u64,
}

impl ObjectLock {
    /// With this default retention.
    pub fn new(default: Option<DefaultRetention>) -> crate::Result<Self> {
        if let Some(default) = default {
            default.check()?;
        }
        Ok(Self { default, unknown_through: 0 })
    }

    /// Whether a version is held because a recovery left it open what was done to its lock, and nobody has said since whether there is
    /// a hold on it. Markers are never locked.
    pub(crate) fn leaves_unknown(&self, row: &ObjectRow) -> bool {
        let said = row.stored.is_none() || row.subresources.legal_hold.is_some();
        !said && row.version.order <= self.unknown_through
    }
}

impl Setting for ObjectLock {
    const KIND: SettingKind = SettingKind::ObjectLock;

    /// It is never turned off, needs versions, and what is unknown stays so.
    fn follow(new: Option<Self>, old: Option<&Self>, versioning: Versioning) -> crate::Result<Option<Self>> {
        let detail = match (&new, old) {
            (None, None) => return Ok(None),
            (None, Some(_)) => "Object Lock can not be turned off once it was on",
            (Some(_), _) if versioning != Versioning::Enabled => {
                "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"
            }
            (Some(new), _) => {
                let known = old.map_or(0, |old| old.unknown_through);
                let unknown_through = new.unknown_through.max(known);
                return Ok(Some(Self { unknown_through, ..new.clone() }));
            }
        };
        Err(Error::InvalidBucketState { detail })
    }
}

impl Record for ObjectLock {
    const NAME: &'static str = "object lock of a bucket";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.u64(self.unknown_through).u8(u8::from(self.default.is_some()));
        if let Some(DefaultRetention { mode, period }) = self.default {
            let (unit, count) = match period {
                Period::Days(days) => (0, days),
                Period::Years(years) => (1, years),
            };
            put_lock_mode(out, mode);
            out.u8(unit).u32(count);
        }
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let unknown_through = fields.u64()?;
        let default = match fields.u8()? {
            0 => None,
            1 => {
                let mode = get_lock_mode(fields)?;
                let period = match (fields.u8()?, fields.u32()?) {
                    (0, days) => Period::Days(days),
                    (1, years) => Period::Years(years),
                    (other, _) => return Err(fields.corrupt(format!("unit {other}"))),
                };
                Some(DefaultRetention { mode, period })
            }
            other => return Err(fields.corrupt(format!("flag {other}"))),
        };
        Ok(Self { default, unknown_through })
    }
}
