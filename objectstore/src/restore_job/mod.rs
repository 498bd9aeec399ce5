//! Jobs that restore all archived objects below a prefix.
//!
//! ```text
//!   begin ─► row: asking ── a page of CURRENT: each archived object is asked for ─► cursor, counts ─► … ─► waiting ── rounds ─► ended
//!                 │  └ as many as the vault takes are under way: it waits, and counts meanwhile                │
//!                 └──────────────── cancel, or who asked is nobody any more ────────────────────────────────► ended
//! ```
//!
//! # Invariants
//! - A job is a row of its bucket's partition. All that its worker knows besides is made again by another start.
//! - An object is asked for by [`ObjectStore::restore`], as by whoever began the job, as they are now: rights, locks, events and the vault's
//!   bounds are those of a single request.
//! - A page's counts and the cursor behind it are one commit, made when all of the page was asked for. What a crash leaves asked for and
//!   not counted shows by its row that it was this job, and is neither asked for again nor counted as somebody else's.
//! - Objects that came after the job was asked for are none of its. Of what is there already the end is put off, never brought forward.
//!
//! # Limits
//! [`JOBS_MAX`] jobs of a bucket under way, [`ENDED_MAX`] that ended kept for [`KEPT`]; [`FAILURES_MAX`] failures told by name.
//!
//! docs/adr/0040 has the reasons.

mod asker;
mod estimate;
mod row;
mod run;

pub(crate) use asker::AskedBy;
pub use estimate::{EstimatePage, EstimateRow};
pub(crate) use row::JobRow;
#[cfg(test)]
pub(crate) use run::ASKS_MAX;
pub(crate) use run::{Memo, Stepped};

use crate::change::Change;
use crate::store::View;
use crate::transact::Attempt;
use crate::{BucketName, Error, KEY_BYTES_MAX, ObjectStore, Origin, RestoreTier, Result, tables};
use bytes::Bytes;
use engine::catalog::record::Record;
use engine::catalog::{Scan, Write};
use engine::clock::Timestamp;
use engine::id::PartitionId;
use parking_lot::Mutex;
use security::Question;
use security::credentials::CredentialLookup;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Notify;

/// Jobs of a bucket that are under way, at the most.
pub const RESTORE_JOBS_MAX: usize = 16;
/// Jobs of a bucket that ended and are kept, at the most.
const ENDED_MAX: usize = 100;
/// How long one that ended is kept.
const KEPT: Duration = Duration::from_hours(7 * 24);
/// Objects that could not be asked for and are named.
const FAILURES_MAX: usize = 20;
/// Characters of why.
const WHY_MAX: usize = 300;

engine::id_type! {
    /// A job, drawn by whoever begins it, so that beginning it again begins no other one: 32 hexadecimal digits.
    pub struct RestoreJobId(pub [u8; 16]), "restore job"
}

impl FromStr for RestoreJobId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refused = || Error::InvalidArgument { name: "id", detail: "A job is 32 hexadecimal digits" };
        if text.len() != 32 || !text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c)) {
            return Err(refused());
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| refused())?;
        Ok(Self::from_bytes(number.to_be_bytes()))
    }
}

/// Asks for all that is archived below a prefix.
#[derive(Clone, Debug)]
pub struct NewRestoreJob {
    /// Drawn by whoever asks.
    pub id: RestoreJobId,
    /// The bucket.
    pub bucket: BucketName,
    /// What keys begin with; empty for all.
    pub prefix: String,
    /// How soon; of what has no such tier, the fastest that it has.
    pub tier: RestoreTier,
    /// How long it is to be readable, from the day on which it is there.
    pub days: u32,
    /// Where it comes from, for the bucket's events.
    pub origin: Origin,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreJobState {
    /// It asks for objects.
    Asking,
    /// All are asked for, and some are on their way.
    Waiting,
    /// Nothing is left to do.
    Ended,
}

impl RestoreJobState {
    /// In a word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Asking => "asking",
            Self::Waiting => "waiting",
            Self::Ended => "ended",
        }
    }
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreJobEnd {
    /// When.
    pub at: Timestamp,
    /// Somebody ended it.
    pub cancelled: bool,
    /// Why it ended before all was asked for; empty where all was.
    pub why: String,
}

/// What a job has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestoreJobCounts {
    /// Objects that were looked at.
    pub seen: u64,
    /// Asked for by this job, or hastened.
    pub asked: u64,
    /// Their bytes.
    pub asked_bytes: u64,
    /// On their way before, by a tier that is no slower.
    pub under_way: u64,
    /// Their bytes.
    pub under_way_bytes: u64,
    /// There already, for as long as was asked for or longer by now.
    pub there: u64,
    /// Their bytes.
    pub there_bytes: u64,
    /// Of classes that need no restore.
    pub not_archived: u64,
    /// Came after the job was asked for.
    pub newer: u64,
    /// Asked for by the fastest tier that they have, which is not as fast as was asked for.
    pub slower: u64,
    /// Could not be asked for.
    pub failed: u64,
    /// Could be read when it was counted last.
    pub ready: u64,
    /// Their bytes.
    pub ready_bytes: u64,
    /// On their way when it was counted last.
    pub pending: u64,
    /// Their bytes.
    pub pending_bytes: u64,
}

impl RestoreJobCounts {
    /// How many numbers those are.
    pub(crate) const NUMBERS: usize = 15;

    /// As a row has them.
    pub(crate) const fn numbers(&self) -> [u64; Self::NUMBERS] {
        [
            self.seen,
            self.asked,
            self.asked_bytes,
            self.under_way,
            self.under_way_bytes,
            self.there,
            self.there_bytes,
            self.not_archived,
            self.newer,
            self.slower,
            self.failed,
            self.ready,
            self.ready_bytes,
            self.pending,
            self.pending_bytes,
        ]
    }

    /// Of a row's.
    pub(crate) const fn of(numbers: [u64; Self::NUMBERS]) -> Self {
        let [
            seen,
            asked,
            asked_bytes,
            under_way,
            under_way_bytes,
            there,
            there_bytes,
            not_archived,
            newer,
            slower,
            failed,
            ready,
            ready_bytes,
            pending,
            pending_bytes,
        ] = numbers;
        Self {
            seen,
            asked,
            asked_bytes,
            under_way,
            under_way_bytes,
            there,
            there_bytes,
            not_archived,
            newer,
            slower,
            failed,
            ready,
            ready_bytes,
            pending,
            pending_bytes,
        }
    }

    /// All that the job is to have readable.
    pub(crate) const fn wanted(&self) -> u64 {
        self.asked + self.under_way + self.there
    }

    /// Of those that are neither on their way nor readable: gone, over already, or never read back.
    pub(crate) const fn lost(&self) -> u64 {
        self.wanted().saturating_sub(self.ready + self.pending)
    }
}

/// A job, as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreJob {
    /// Its name.
    pub id: RestoreJobId,
    /// The bucket's name.
    pub bucket: String,
    /// What keys begin with.
    pub prefix: String,
    /// How soon.
    pub tier: RestoreTier,
    /// For how many days.
    pub days: u32,
    /// When it was asked for: what came later is none of its.
    pub asked: Timestamp,
    /// Who asked, as policies name them.
    pub who: String,
    /// How far it is.
    pub state: RestoreJobState,
    /// How it ended.
    pub end: Option<RestoreJobEnd>,
    /// What it counted.
    pub counts: RestoreJobCounts,
    /// When it counted last what can be read.
    pub counted: Option<Timestamp>,
    /// When the last of those that are asked for is expected, as far as it is known.
    pub eta: Option<Timestamp>,
    /// What it waits for before it asks for more; empty: nothing.
    pub waits: String,
    /// The first that could not be asked for, and why.
    pub failures: Vec<(String, String)>,
}

impl RestoreJob {
    /// Once all of it was asked for and nothing is on its way: what came to nothing, is over again, or gone.
    pub fn lost(&self) -> u64 {
        let whole = self.end.as_ref().is_some_and(|end| !end.cancelled && end.why.is_empty());
        if whole { self.counts.lost() } else { 0 }
    }
}

/// What is known of jobs in this process.
#[derive(Default)]
pub(crate) struct RestoreJobs {
    /// Rung when there is one to look at.
    pub(crate) bell: Arc<Notify>,
    /// Partitions that may have jobs.
    pub(crate) dirty: Mutex<BTreeSet<PartitionId>>,
    /// Held by whoever begins one: so many and no more.
    beginning: tokio::sync::Mutex<()>,
    /// By what keys are found to be somebody's.
    credentials: OnceLock<Arc<dyn CredentialLookup>>,
}

impl RestoreJobs {
    /// Has a partition's jobs looked at.
    pub(crate) fn mark(&self, partition: PartitionId) {
        self.dirty.lock().insert(partition);
        self.bell.notify_one();
    }
}

/// What ended so long ago that it goes, and what goes to make room for another one: oldest first.
pub(crate) fn outlived(rows: &[JobRow], now: Timestamp) -> Vec<RestoreJobId> {
    let ended = rows.iter().filter_map(|row| Some((row.job.end.as_ref()?.at, row.job.id)));
    let mut ended: Vec<_> = ended.collect();
    ended.sort();
    let more = ended.len().saturating_sub(ENDED_MAX);
    let goes =
        |(place, (at, _)): &(usize, (Timestamp, RestoreJobId))| *place < more || now.since(*at) >= KEPT;
    ended.into_iter().enumerate().filter(goes).map(|(_, (_, id))| id).collect()
}

fn bounded(text: &str) -> String {
    text.chars().take(WHY_MAX).collect()
}

impl ObjectStore {
    /// The jobs of a bucket, by their ids.
    async fn job_rows(&self, view: &View) -> Result<Vec<JobRow>> {
        let scan = Scan::prefix(tables::RESTORE_JOBS, b"", RESTORE_JOBS_MAX + ENDED_MAX + 2);
        let page = view.snapshot.scan(scan).await?;
        Ok(page.rows.iter().map(|(_, raw)| JobRow::from_bytes(raw)).collect::<engine::Result<_>>()?)
    }

    async fn job_row(&self, view: &View, id: RestoreJobId) -> Result<JobRow> {
        let raw = view.snapshot.get(tables::restore_job(id)).await?;
        raw.map(|raw| JobRow::from_bytes(&raw)).transpose()?.ok_or(Error::NoSuchRestoreJob)
    }

    /// Begins a job for whoever asks, who may restore what is called like the prefix: that was decided by who calls this.
    pub async fn begin_restore_job(&self, new: &NewRestoreJob, asks: &Question) -> Result<RestoreJob> {
        if !(1..=crate::cold::DAYS_MAX).contains(&new.days) {
            return Err(Error::InvalidArgument { name: "Days", detail: "Days must be a positive integer" });
        }
        if new.prefix.len() > KEY_BYTES_MAX {
            return Err(Error::InvalidArgument {
                name: "prefix",
                detail: "A prefix has 1024 bytes at the most",
            });
        }
        let (by, said) = (AskedBy::of(&asks.principal)?, asker::said(&*asks.context)?);
        let _turn = self.restore_jobs.beginning.lock().await;
        let (job, partition) = self.transact(|| self.try_begin(new, &asks.principal, (&by, &said))).await?;
        self.restore_jobs.mark(partition);
        Ok(job)
    }

    async fn try_begin(
        &self,
        new: &NewRestoreJob,
        principal: &security::Principal,
        (by, said): (&AskedBy, &[(String, String)]),
    ) -> Result<Attempt<(RestoreJob, PartitionId)>> {
        let view = self.view(&new.bucket).await?;
        let (rows, now) = (self.job_rows(&view).await?, self.clock.now());
        let partition = view.bucket.partition;
        if let Some(known) = rows.iter().find(|row| row.job.id == new.id) {
            let same = known.by == *by && known.job.prefix == new.prefix;
            let refused = Error::InvalidArgument { name: "id", detail: "Another job has this id" };
            return if same { Ok(Attempt::Answer((known.job.clone(), partition))) } else { Err(refused) };
        }
        if rows.iter().filter(|row| row.job.end.is_none()).count() >= RESTORE_JOBS_MAX {
            return Err(Error::TooManyRestoreJobs { limit: RESTORE_JOBS_MAX });
        }
        let job = RestoreJob {
            id: new.id,
            bucket: new.bucket.as_str().to_owned(),
            prefix: new.prefix.clone(),
            tier: new.tier,
            days: new.days,
            asked: now,
            who: principal.arn().unwrap_or_default(),
            state: RestoreJobState::Asking,
            end: None,
            counts: RestoreJobCounts::default(),
            counted: None,
            eta: None,
            waits: String::new(),
            failures: Vec::new(),
        };
        let row = JobRow {
            job: job.clone(),
            by: by.clone(),
            said: said.to_vec(),
            request_id: new.origin.request_id,
            cursor: Bytes::new(),
        };
        let key = tables::restore_job(new.id);
        let gone = outlived(&rows, now).into_iter().map(|id| Write::Delete(tables::restore_job(id)));
        let change = Change::writes(gone).configured().absent(key.clone()).put(key, row.to_bytes());
        Ok(Attempt::Commit(change.of(&view), (job, partition)))
    }

    /// A job.
    pub async fn restore_job(&self, bucket: &BucketName, id: RestoreJobId) -> Result<RestoreJob> {
        let view = self.view(bucket).await?;
        Ok(self.job_row(&view, id).await?.job)
    }

    /// The jobs of a bucket below a prefix, newest first.
    pub async fn restore_jobs(&self, bucket: &BucketName, prefix: &str) -> Result<Vec<RestoreJob>> {
        let rows = self.job_rows(&self.view(bucket).await?).await?;
        let mut jobs: Vec<RestoreJob> =
            rows.into_iter().map(|row| row.job).filter(|job| job.prefix.starts_with(prefix)).collect();
        jobs.sort_by_key(|job| (std::cmp::Reverse(job.asked), job.id));
        Ok(jobs)
    }

    /// Ends a job of this very prefix: it asks for nothing more. What it asked for stays asked for.
    pub async fn cancel_restore_job(
        &self,
        bucket: &BucketName,
        id: RestoreJobId,
        prefix: &str,
    ) -> Result<RestoreJob> {
        self.transact(|| async {
            let view = self.view(bucket).await?;
            let mut row = self.job_row(&view, id).await?;
            if row.job.prefix != prefix {
                return Err(Error::NoSuchRestoreJob);
            }
            if row.job.end.is_some() {
                return Ok(Attempt::Answer(row.job));
            }
            row.end(RestoreJobEnd { at: self.clock.now(), cancelled: true, why: String::new() });
            let key = tables::restore_job(id);
            let change = Change::default().unchanged(key.clone()).put(key, row.to_bytes()).freeing();
            Ok(Attempt::Commit(change.of(&view), row.job))
        })
        .await
    }
}

impl JobRow {
    /// Nothing is done for it from now on.
    fn end(&mut self, end: RestoreJobEnd) {
        self.job.state = RestoreJobState::Ended;
        self.job.waits = String::new();
        self.job.eta = None;
        self.job.end = Some(end);
    }

    /// One more that could not be asked for.
    fn fail(&mut self, key: &str, error: &Error) {
        self.job.counts.failed += 1;
        if self.job.failures.len() < FAILURES_MAX {
            self.job.failures.push((key.to_owned(), bounded(&error.to_string())));
        }
    }
}

impl fmt::Display for RestoreJobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
