//! What an archived version's row says besides: in which archive its bytes are, and what was asked for of them.
//!
//! | field | form |
//! |---|---|
//! | archive | flag; then its id (16), created (time) |
//! | restore | flag; then tier u8 (1 expedited, 2 standard, 3 bulk), asked (time), days u32, flag and job (16), flag and until (time) |

use super::fields::{get_bool, put_bool};
use crate::RestoreTier;
use archive::pack::ArchiveId;
use archive::retrieval::JobId;
use archive::vault::ArchiveAt;
use engine::Result;
use engine::catalog::record::{RecordReader, RecordWriter};
use engine::clock::Timestamp;

/// Beside an archived version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cold {
    /// The archive of the bucket's vault that has its bytes; `None` while they lie where those of any other class do.
    pub(crate) archive: Option<ArchiveAt>,
    /// What was asked for, until it is over.
    pub(crate) restore: Option<Restore>,
}

/// A restore under way, or a restored copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Restore {
    pub(crate) tier: RestoreTier,
    pub(crate) asked: Timestamp,
    pub(crate) days: u32,
    /// The vault's job, where the bytes lie in one.
    pub(crate) job: Option<JobId>,
    /// Until when it can be read; `None` while it is under way.
    pub(crate) until: Option<Timestamp>,
}

impl Cold {
    /// Itself, if it says anything.
    pub(crate) fn said(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}

pub(super) fn put_cold(out: &mut RecordWriter, cold: &Cold) {
    put_bool(out, cold.archive.is_some());
    if let Some(at) = cold.archive {
        out.fixed(at.id.as_bytes()).i64(at.created.as_millis());
    }
    put_bool(out, cold.restore.is_some());
    let Some(restore) = &cold.restore else { return };
    let tier = (1..).zip(RestoreTier::ALL).find(|(_, known)| *known == restore.tier);
    out.u8(tier.map_or(0, |(number, _)| number)).i64(restore.asked.as_millis()).u32(restore.days);
    put_bool(out, restore.job.is_some());
    if let Some(job) = restore.job {
        out.fixed(job.as_bytes());
    }
    put_bool(out, restore.until.is_some());
    if let Some(until) = restore.until {
        out.i64(until.as_millis());
    }
}

pub(super) fn get_cold(fields: &mut RecordReader<'_>) -> Result<Cold> {
    let mut cold = Cold::default();
    if get_bool(fields)? {
        let id = ArchiveId::from_bytes(fields.fixed()?);
        cold.archive = Some(ArchiveAt { id, created: Timestamp::from_millis(fields.i64()?) });
    }
    if get_bool(fields)? {
        let number = fields.u8()?;
        let tier = usize::from(number).checked_sub(1).and_then(|at| RestoreTier::ALL.get(at)).copied();
        let tier = tier.ok_or_else(|| fields.corrupt(format!("tier {number}")))?;
        let asked = Timestamp::from_millis(fields.i64()?);
        let days = fields.u32()?;
        let job = if get_bool(fields)? { Some(JobId::from_bytes(fields.fixed()?)) } else { None };
        let until = if get_bool(fields)? { Some(Timestamp::from_millis(fields.i64()?)) } else { None };
        cold.restore = Some(Restore { tier, asked, days, job, until });
    }
    if cold == Cold::default() {
        return Err(fields.corrupt("a form for what is archived that says nothing of it"));
    }
    Ok(cold)
}
