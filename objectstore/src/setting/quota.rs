//! Quotas of a bucket: how much may be stored in all of it, or below a prefix.
//!
//! Which counters a key's bytes go to while a quota is being counted is decided here; [`quota`](crate::quota) has the reasons.
//!
//! Limits: [`QUOTAS_MAX`] quotas a bucket, their prefixes within one row of 64 KiB, less the 2 KiB that a count needs of it.

use super::{Setting, SettingKind};
use crate::{Error, KEY_BYTES_MAX, ObjectKey, Result};
use engine::catalog::Limits;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::unit::ByteCount;
use std::fmt;

/// Quotas of one bucket at the most.
pub const QUOTAS_MAX: usize = 100;

/// Bytes by which counting makes the row longer: the two keys of a claim, with their lengths. One quota is counted at a time.
const COUNT_BYTES: usize = 2 * (KEY_BYTES_MAX + 4);

/// What a quota counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QuotaUnit {
    /// Bytes of all versions, as clients see them.
    Bytes,
    /// Versions that have a body; delete markers are none.
    Objects,
}

impl fmt::Display for QuotaUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "bytes",
            Self::Objects => "objects",
        })
    }
}

/// How much may be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaLimits {
    /// Bytes of all versions; `None` for any number.
    pub bytes: Option<ByteCount>,
    /// Versions; `None` for any number.
    pub objects: Option<u64>,
    /// From how full on it is warned about, 1 to 100 percent.
    pub warn_percent: u8,
}

impl QuotaLimits {
    /// From how full on a quota is warned about where nothing else is said.
    pub const WARN_PERCENT: u8 = 80;

    pub(crate) fn check(&self) -> Result<()> {
        let invalid = |detail: &str| Err(Error::InvalidSetting { detail: detail.to_owned() });
        if self.bytes.is_none() && self.objects.is_none() {
            return invalid("a quota limits bytes, objects or both");
        }
        if !(1..=100).contains(&self.warn_percent) {
            return invalid("a quota warns from 1 to 100 percent on");
        }
        Ok(())
    }

    /// The limit of a unit.
    pub fn of(&self, unit: QuotaUnit) -> Option<u64> {
        match unit {
            QuotaUnit::Bytes => self.bytes.map(ByteCount::get),
            QuotaUnit::Objects => self.objects,
        }
    }
}

/// How far a quota's counters hold what there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Counting {
    /// They hold all.
    Done,
    /// They hold the keys up to this one (empty: none), but for what the last claim counted aside.
    Between { through: String },
    /// The same; and of the keys behind it up to `to` (`None`: all), changes are counted aside.
    Claimed { after: String, to: Option<String> },
    /// They hold all, but for what the last claim counted aside.
    Folding,
}

/// Which of a quota's counters a key's changes go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    /// What is counted.
    Counted,
    /// What changed in the claim since it was made.
    Aside,
}

/// One quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    /// Keys that begin with it; empty for the bucket.
    pub(crate) prefix: String,
    pub(crate) limits: QuotaLimits,
    /// Names its counters. 0 is the bucket's own, whose counters every bucket has.
    pub(crate) id: u32,
    pub(crate) counting: Counting,
}

impl Quota {
    /// Which of its counters the changes of a key that it covers go to; `None`: the key is yet to be counted.
    pub(crate) fn column(&self, key: &ObjectKey) -> Option<Column> {
        let key = key.as_str();
        match &self.counting {
            Counting::Done | Counting::Folding => Some(Column::Counted),
            Counting::Between { through } => (key <= through.as_str()).then_some(Column::Counted),
            Counting::Claimed { after, .. } if key <= after.as_str() => Some(Column::Counted),
            Counting::Claimed { to, .. } => {
                to.as_ref().is_none_or(|to| key <= to.as_str()).then_some(Column::Aside)
            }
        }
    }
}

/// The quotas of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quotas(pub(crate) Vec<Quota>);

impl Quotas {
    /// Those that a key counts for.
    pub(crate) fn over<'a>(&'a self, key: &'a ObjectKey) -> impl Iterator<Item = &'a Quota> {
        self.0.iter().filter(|quota| key.as_str().starts_with(&quota.prefix))
    }

    /// Of those, the ones that are counted and therefore hold.
    pub(crate) fn enforced(&self, key: &ObjectKey) -> Vec<&Quota> {
        let over = |quota: &&Quota| key.as_str().starts_with(&quota.prefix);
        self.0.iter().filter(over).filter(|quota| quota.counting == Counting::Done).collect()
    }

    /// With another quota, or another limit of one that is there.
    pub(crate) fn with(&self, prefix: &str, limits: QuotaLimits) -> Result<Self> {
        limits.check()?;
        let mut quotas = self.clone();
        if let Some(known) = quotas.0.iter_mut().find(|quota| quota.prefix == prefix) {
            known.limits = limits;
            return quotas.within(self);
        }
        let invalid = |detail: String| Err(Error::InvalidSetting { detail });
        if prefix.len() > KEY_BYTES_MAX {
            return invalid(format!("a prefix has up to {KEY_BYTES_MAX} bytes, as a key"));
        }
        if quotas.0.len() >= QUOTAS_MAX {
            return invalid(format!("a bucket has up to {QUOTAS_MAX} quotas"));
        }
        let (id, counting) = if prefix.is_empty() {
            (0, Counting::Done)
        } else {
            let taken = |id: u32| quotas.0.iter().any(|quota| quota.id == id);
            // There are fewer quotas than ids.
            let id = (1..=u32::MAX).find(|id| !taken(*id)).unwrap_or(u32::MAX);
            (id, Counting::Between { through: String::new() })
        };
        quotas.0.push(Quota { prefix: prefix.to_owned(), limits, id, counting });
        quotas.0.sort_by(|a, b| a.prefix.cmp(&b.prefix));
        quotas.within(self)
    }

    /// Refuses what grew to where it could be stored, and never counted.
    fn within(self, before: &Self) -> Result<Self> {
        let (size, limit) = (self.to_bytes().len(), Limits::STANDARD.value_bytes - COUNT_BYTES);
        if size > limit && size > before.to_bytes().len() {
            let detail = format!(
                "The bucket's quotas would take {size} bytes; they can have {limit} at the most. Shorten their prefixes, or take \
                 some away (firn quota rm)."
            );
            return Err(Error::InvalidSetting { detail });
        }
        Ok(self)
    }
}

impl Record for Quotas {
    const NAME: &'static str = "quotas";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.count(self.0.len());
        for quota in &self.0 {
            let QuotaLimits { bytes, objects, warn_percent } = quota.limits;
            out.text(&quota.prefix).u32(quota.id).u8(warn_percent);
            out.u8(u8::from(bytes.is_some()) | u8::from(objects.is_some()) << 1);
            for limit in [bytes.map(ByteCount::get), objects].into_iter().flatten() {
                out.u64(limit);
            }
            match &quota.counting {
                Counting::Done => out.u8(0),
                Counting::Between { through } => out.u8(1).text(through),
                Counting::Claimed { after, to: None } => out.u8(2).text(after),
                Counting::Claimed { after, to: Some(to) } => out.u8(3).text(after).text(to),
                Counting::Folding => out.u8(4),
            };
        }
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let count = fields.count()?;
        let mut quotas = Vec::new();
        for _ in 0..count {
            let (prefix, id) = (fields.text()?.to_owned(), fields.u32()?);
            let (warn_percent, present) = (fields.u8()?, fields.u8()?);
            if !(1..=100).contains(&warn_percent) || !(1..=3).contains(&present) {
                return Err(fields.corrupt(format!("warning at {warn_percent} %, limits {present:#x}")));
            }
            let bytes = if present & 1 != 0 { Some(ByteCount::new(fields.u64()?)) } else { None };
            let objects = if present & 2 != 0 { Some(fields.u64()?) } else { None };
            let counting = match fields.u8()? {
                0 => Counting::Done,
                1 => Counting::Between { through: fields.text()?.to_owned() },
                2 => Counting::Claimed { after: fields.text()?.to_owned(), to: None },
                3 => {
                    let after = fields.text()?.to_owned();
                    Counting::Claimed { after, to: Some(fields.text()?.to_owned()) }
                }
                4 => Counting::Folding,
                other => return Err(fields.corrupt(format!("state {other} of a count"))),
            };
            let limits = QuotaLimits { bytes, objects, warn_percent };
            quotas.push(Quota { prefix, limits, id, counting });
        }
        Ok(Self(quotas))
    }
}

impl Setting for Quotas {
    const KIND: SettingKind = SettingKind::Quotas;
}

#[cfg(test)]
mod tests {
    use super::{Column, Counting, QUOTAS_MAX, Quota, QuotaLimits, Quotas};
    use crate::KEY_BYTES_MAX;
    use crate::world::key;
    use engine::catalog::Limits;
    use engine::catalog::record::Record;
    use engine::unit::ByteCount;

    fn limits(bytes: u64) -> QuotaLimits {
        QuotaLimits { bytes: Some(ByteCount::new(bytes)), objects: None, warn_percent: 80 }
    }

    #[test]
    fn a_key_goes_to_the_counter_that_how_far_it_is_counted_says() {
        use Column::{Aside, Counted};
        let quota = |counting| Quota { prefix: String::new(), limits: limits(1), id: 1, counting };
        let columns = |counting: Counting| {
            let quota = quota(counting);
            ["a", "b", "ba", "c"].map(|at| quota.column(&key(at)))
        };
        let [b, c] = ["b", "c"].map(str::to_owned);
        let none = String::new();
        for (counting, expected) in [
            (Counting::Between { through: none.clone() }, [None; 4]),
            (Counting::Between { through: b.clone() }, [Some(Counted), Some(Counted), None, None]),
            (Counting::Claimed { after: none, to: Some(b.clone()) }, [Some(Aside), Some(Aside), None, None]),
            (
                Counting::Claimed { after: b.clone(), to: Some(c) },
                [Some(Counted), Some(Counted), Some(Aside), Some(Aside)],
            ),
            (
                Counting::Claimed { after: b, to: None },
                [Some(Counted), Some(Counted), Some(Aside), Some(Aside)],
            ),
            (Counting::Folding, [Some(Counted); 4]),
            (Counting::Done, [Some(Counted); 4]),
        ] {
            assert_eq!(columns(counting.clone()), expected, "{counting:?}");
        }
    }

    #[test]
    fn quotas_are_checked_and_keep_their_counters() {
        let bad = [
            QuotaLimits { bytes: None, ..limits(1) },
            QuotaLimits { warn_percent: 0, ..limits(1) },
            QuotaLimits { warn_percent: 101, ..limits(1) },
        ];
        for limits in bad {
            Quotas::default().with("a/", limits).unwrap_err();
        }
        Quotas::default().with(&"p".repeat(1025), limits(1)).unwrap_err();
        let mut quotas = Quotas::default().with("b/", limits(1)).unwrap().with("", limits(2)).unwrap();
        assert_eq!(quotas.0.iter().map(|quota| quota.id).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(quotas.0[0].counting, Counting::Done, "every bucket has its own counters");
        quotas.0[1].counting = Counting::Done;
        let again = quotas.with("b/", limits(9)).unwrap();
        assert_eq!((again.0[1].limits, &again.0[1].counting), (limits(9), &Counting::Done));
        let third = again.with("a/", limits(1)).unwrap();
        let ids = |quotas: &Quotas| {
            quotas.0.iter().map(|quota| (quota.prefix.clone(), quota.id)).collect::<Vec<_>>()
        };
        assert_eq!(ids(&third), [(String::new(), 0), ("a/".to_owned(), 2), ("b/".to_owned(), 1)]);
        let full =
            (0..QUOTAS_MAX).fold(Quotas::default(), |all, n| all.with(&format!("{n}/"), limits(1)).unwrap());
        full.with("one more", limits(1)).unwrap_err();
        full.with("7/", limits(3)).unwrap();
    }

    #[test]
    fn quotas_that_are_taken_can_be_counted_whatever_their_keys() {
        let mut quotas = Quotas::default();
        let refused = loop {
            let prefix = format!("{:03}{}", quotas.0.len(), "p".repeat(KEY_BYTES_MAX - 3));
            match quotas.with(&prefix, limits(1)) {
                Ok(more) => quotas = more,
                Err(error) => break error.to_string(),
            }
        };
        assert!(refused.contains("Shorten their prefixes"), "{refused}");
        let taken = quotas.0.len();
        assert!(taken > 50, "{taken}");
        // To the last byte that is taken.
        let fits = |length| quotas.with(&"q".repeat(length), limits(1)).ok();
        quotas = (1..KEY_BYTES_MAX).rev().find_map(fits).unwrap();
        let last = quotas.0[taken].prefix.clone();
        let key = |with: &str| with.repeat(KEY_BYTES_MAX);
        quotas.0[0].counting = Counting::Claimed { after: key("a"), to: Some(key("b")) };
        let size = quotas.to_bytes().len();
        assert!((65_500..=Limits::STANDARD.value_bytes).contains(&size), "{size}");
        // A limit that takes no more bytes can be changed even so.
        let both = QuotaLimits { objects: Some(1), ..limits(1) };
        quotas.with(&last, both).unwrap_err();
        quotas.with(&last, limits(9)).unwrap();
    }

    #[test]
    fn a_prefix_covers_the_keys_that_begin_with_it() {
        let quotas = Quotas::default().with("", limits(1)).unwrap().with("a/", limits(1)).unwrap();
        let over = |at: &str| quotas.over(&key(at)).map(|quota| quota.prefix.clone()).collect::<Vec<_>>();
        assert_eq!(over("a/b"), ["", "a/"]);
        assert_eq!((over("a"), over("ab/a/")), (vec![String::new()], vec![String::new()]));
    }
}
