//! Archived classes: what is kept of them is not read before it is restored, for so many days.
//!
//! ```text
//!   PUT, copy, completion, rule: class GLACIER or DEEP_ARCHIVE ─► row of DEPOSITS ─► deposit: to the bucket's vault, where there is one
//!   restore ─► row: under way ─► watch: read back? ─► row: until then ─► watch: over ─► row: archived, as before
//!                 └ row of COLD: when to look ──────────┴────────────────────┘
//! ```
//!
//! # Invariants
//! - The class decides whether a version is read; where its bytes lie decides how it is restored: from the pool at once, from a vault by a job
//!   (`archive::retrieval`). What an expired restore takes away is the copy, never what is archived.
//! - A version's row says all of it, under its seal: HEAD, GET and listings read nothing more.
//! - Rows of `COLD` are hints that are never late, rows of `DEPOSITS` hints that may be stale: whoever finds one looks at the version anew.
//! - A restore is one commit, made when its job is durable. A crash before it leaves a job that nobody knows, which ends by itself:
//!   [`UNSEEN_DAYS`] and [`SLACK_DAYS`] after it is ready, however long the copy was to stay.
//! - Locks and versions are as they were: a restore changes neither name, place nor Last-Modified.

mod deposit;
mod watch;

pub(crate) use deposit::{Gathering, hint as deposit_hint};
#[cfg(test)]
pub(crate) use deposit::{PIECES_MAX, PIECES_OF_A_COMMIT};
pub(crate) use watch::Watched;

use crate::amend::to_amend;
use crate::change::Change;
use crate::envelope::Material;
use crate::event::{EventType, Occasion};
use crate::lookup::named;
use crate::read::Found;
use crate::record::{Cold, Extent, ObjectRow, Restore};
use crate::store::{Bucket, View};
use crate::transact::Attempt;
use crate::{
    BodyStream, BucketName, ColdObject, Error, ObjectKey, ObjectStore, Origin, Result, StorageClass,
    VersionName, VersionSelector, tables,
};
use archive::pack::ArchiveId;
use archive::retrieval::{Depth, JobId, Refused, Tier};
use archive::vault::{Retrieve, Vaults, end_job};
use bytes::Bytes;
use engine::catalog::{Layout, Write};
use engine::clock::Timestamp;
use engine::id::PartitionId;
use futures_util::StreamExt;
use parking_lot::Mutex;
use security::Question;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Days of a restore at the most: S3's are signed numbers of 32 bits.
pub(crate) const DAYS_MAX: u32 = i32::MAX as u32;
/// A job's output outlives the restored copy by this, so that the copy's end is always the version's own.
const SLACK_DAYS: u32 = 2;
/// However short days are, it is there until somebody has looked at it; and as long for who reads it when its end has come.
const KEEP_MIN: Duration = Duration::from_hours(1);
/// Until somebody has seen that it is there, it is kept for so many days at the most, and those by which it outlives the copy. A job that no
/// row names is gone by then, and who was away for so long asks again.
const UNSEEN_DAYS: u32 = 7;
/// Jobs that ended and were not looked after yet, at the most.
const ENDED_MAX: usize = 100_000;

/// How far an archived version is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreState {
    /// It is on its way.
    UnderWay,
    /// It can be read until then.
    Until(Timestamp),
}

/// Asks for an archived version.
#[derive(Clone, Debug)]
pub struct RestoreRequest {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// Which version.
    pub version: VersionSelector,
    /// How long it is to be readable, from the day on which it is there.
    pub days: u32,
    /// How soon.
    pub tier: Tier,
    /// Where it comes from, for the bucket's events.
    pub origin: Origin,
}

/// What became of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreOutcome {
    /// It is begun, or goes on faster.
    Begun,
    /// It is there already, until then.
    There(Timestamp),
}

/// What is known of archived versions in this process.
#[derive(Default)]
pub(crate) struct ColdWork {
    /// Rung when there is something to look at.
    pub(crate) bell: Arc<Notify>,
    /// Partitions with rows of `COLD` or `DEPOSITS`.
    pub(crate) dirty: Mutex<BTreeSet<PartitionId>>,
    /// Jobs that came to their end since somebody looked.
    pub(crate) ended: Arc<Mutex<BTreeSet<JobId>>>,
}

impl ColdWork {
    /// What vaults tell of jobs.
    pub(crate) fn told(&self) -> archive::vault::Tell {
        let (bell, ended) = (Arc::clone(&self.bell), Arc::clone(&self.ended));
        Box::new(move |job| {
            let mut ended = ended.lock();
            // Those that are left out are looked at all the same, a little later.
            if ended.len() < ENDED_MAX {
                ended.insert(job);
            }
            bell.notify_one();
        })
    }
}

/// What a version's restore is to be.
struct Next {
    restore: Restore,
    /// What goes with it.
    writes: Vec<Write>,
    /// It is told of.
    told: bool,
    asked: Asked,
}

/// What a commit of a restore came to.
struct Asked {
    outcome: RestoreOutcome,
    /// The job that the row names.
    named: Option<JobId>,
    /// The one that it named before, whose copy is over.
    over: Option<JobId>,
}

/// A refusal of the vaults' as ours.
pub(crate) fn of_vault(error: archive::vault::Error) -> Error {
    use archive::vault::Error as E;
    match error {
        E::Engine(error) => Error::Engine(error),
        E::Refused(Refused::InsufficientCapacity) => Error::NoExpeditedRestore,
        E::TooMany { limit, .. } | E::Refused(Refused::LimitExceeded { limit, .. }) => {
            Error::TooManyRestores { limit }
        }
        other => Error::VaultRefused { why: other.to_string() },
    }
}

/// The same of bytes that are read: what is gone of a restored copy was let go.
fn of_output(error: archive::vault::Error) -> Error {
    match error {
        archive::vault::Error::NotFound { .. } => Error::RestoredCopyGone,
        other => of_vault(other),
    }
}

const fn depth(class: StorageClass) -> Depth {
    match class {
        StorageClass::DeepArchive => Depth::Deep,
        _ => Depth::Flexible,
    }
}

impl ObjectStore {
    /// The vaults, for bytes that lie in one.
    pub(crate) fn vaults(&self) -> Result<&Arc<Vaults>> {
        self.vaults.as_ref().ok_or(Error::NoVault)
    }

    /// Has a partition's archived versions looked at.
    pub(crate) fn mark_cold(&self, partition: PartitionId) {
        self.cold.dirty.lock().insert(partition);
        self.cold.bell.notify_one();
    }

    /// Refuses what is archived and not restored by now.
    pub(crate) fn refuse_archived(
        &self,
        found: &Found,
        (bucket, key, version): (&BucketName, &ObjectKey, VersionSelector),
    ) -> Result<()> {
        if !found.info.class.is_archived() {
            return Ok(());
        }
        match found.info.restore {
            Some(RestoreState::Until(until)) if until > self.clock.now() => Ok(()),
            state => {
                let version = found.info.version.filter(|_| version != VersionSelector::Latest);
                let under_way = state == Some(RestoreState::UnderWay);
                Err(stands_against((bucket, key, version), found.info.class, under_way))
            }
        }
    }

    /// An error of reading a version that is there still, as whoever asked is told: a restored copy that is gone before its time is none.
    pub(crate) fn of_reading(
        error: Error,
        found: &Found,
        (bucket, key, version): (&BucketName, &ObjectKey, VersionSelector),
    ) -> Error {
        match error {
            Error::RestoredCopyGone => {
                let version = found.info.version.filter(|_| version != VersionSelector::Latest);
                stands_against((bucket, key, version), found.info.class, false)
            }
            error => error,
        }
    }

    /// Bytes of a version that lie in a vault, from its restored copy.
    pub(crate) async fn restored_body(&self, found: &Found, extent: Extent) -> Result<BodyStream> {
        let job = found.cold.and_then(|cold| cold.restore).and_then(|restore| restore.job);
        // Whoever came here was let through by a restore.
        let job = job.ok_or_else(|| crate::body::corrupt("object row", "a restored copy without its job"))?;
        let first = extent.offset - found.extent.offset;
        let range = first..first + extent.length;
        let home = found.view.bucket.partition;
        let bytes = self.vaults()?.retrieved(home, job, range).await.map_err(of_vault)?;
        Ok(bytes.map(|item| item.map_err(of_output)).boxed())
    }

    /// Restores an archived version for so many days, if whoever asks may.
    pub async fn restore(
        self: &Arc<Self>,
        request: &RestoreRequest,
        asks: Option<&Question>,
    ) -> Result<RestoreOutcome> {
        if !(1..=DAYS_MAX).contains(&request.days) {
            return Err(Error::InvalidArgument { name: "Days", detail: "Days must be a positive integer" });
        }
        let bucket = self.view(&request.bucket).await?.bucket;
        let begun = Mutex::new(None::<(ArchiveId, JobId)>);
        let outcome = self.transact(|| self.try_restore(bucket, request, asks, &begun)).await;
        // Of a commit of unknown outcome it may be the row's; of any other it is nobody's.
        let unknown =
            matches!(outcome, Err(Error::Engine(engine::Error::Unknown { .. } | engine::Error::Closed)));
        let named = outcome.as_ref().ok().and_then(|asked| asked.named);
        let left = begun.lock().take().map(|(_, job)| job).filter(|job| !unknown && named != Some(*job));
        if let Some(job) = left {
            self.drop_job(bucket.partition, job).await;
        }
        if let Some(job) = outcome.as_ref().ok().and_then(|asked| asked.over) {
            self.end_soon(bucket.partition, job).await;
        }
        outcome.map(|asked| asked.outcome)
    }

    /// The output of a job that no row names any more is kept as long as who reads it may take. Failing to leaves it to end by itself.
    pub(crate) async fn end_soon(&self, partition: PartitionId, job: JobId) {
        // No longer than it outlives the copy anyway, where days are short.
        let until = self.clock.now().plus(KEEP_MIN.min(self.days(SLACK_DAYS)));
        let ended = async { self.vaults()?.keep_output_until(partition, job, until).await.map_err(of_vault) };
        if let Err(error) = ended.await {
            tracing::debug!(%error, %job, "the output of a restore that is over goes by itself");
        }
    }

    /// Ends a job that no row names. Failing to leaves it to end by itself.
    async fn drop_job(&self, partition: PartitionId, job: JobId) {
        let dropped = async {
            let snapshot = self.catalog.snapshot(partition).await?;
            self.try_commit(Change::writes(end_job(job)).freeing().dirty().at(partition, &*snapshot)).await
        };
        if let Err(error) = dropped.await {
            tracing::debug!(%error, %job, "a retrieval that nobody waits for ends by itself");
        }
    }

    async fn try_restore(
        self: &Arc<Self>,
        bucket: Bucket,
        request: &RestoreRequest,
        asks: Option<&Question>,
        begun: &Mutex<Option<(ArchiveId, JobId)>>,
    ) -> Result<Attempt<Asked>> {
        let _turn = self.queue(bucket.partition, &request.key).await;
        let (view, stack) = self.stack(bucket, &request.key).await?;
        let at = (&request.bucket, &request.key);
        let row = match to_amend(named(&view, &stack, request.version).await?, request.version) {
            Ok(row) => row,
            Err(absent) => return Err(self.told(&view, at, asks, absent).await),
        };
        if let Some(asks) = asks {
            self.rules(&view).await?.check_object(asks, at, &row.subresources)?;
        }
        let class = row.stored.as_ref().map_or(StorageClass::Standard, |stored| stored.class);
        let shown = row.shown(view.config.versioning).filter(|_| request.version != VersionSelector::Latest);
        if !class.is_archived() {
            return Err(stands_against((at.0, at.1, shown), class, false));
        }
        if class == StorageClass::DeepArchive && request.tier == Tier::Expedited {
            let detail = "Expedited retrievals are not available for objects of DEEP_ARCHIVE: ask for Standard or Bulk";
            return Err(Error::InvalidArgument { name: "Tier", detail });
        }
        let (now, cold) = (self.clock.now(), row.cold().copied().unwrap_or_default());
        let Next { restore, mut writes, told, asked } =
            self.next_restore(&view, (request, class), (&row, &cold), (begun, now)).await?;
        let look = tables::cold(restore.until.unwrap_or(now), &request.key, row.version);
        writes.push(Write::Put(look, name_of(&request.bucket)));
        let amended = self.with_cold(&view, &request.key, &row, Cold { restore: Some(restore), ..cold })?;
        let mut change = stack.replace(&amended).known_by(Layout::CLASSES);
        change.writes.extend(writes);
        change.cold = true;
        change.dirty |= cold.restore.is_some();
        if told {
            let occasion =
                Occasion { what: EventType::RESTORE, bucket: &request.bucket, origin: &request.origin };
            self.tell(&view, &occasion, (&request.key, &amended, now), &mut change).await?;
        }
        Ok(Attempt::won(self.try_change_key(&view, &request.key, change).await?, asked))
    }

    /// What a version's restore is to be, by what it is.
    async fn next_restore(
        self: &Arc<Self>,
        view: &View,
        (request, class): (&RestoreRequest, StorageClass),
        (row, cold): (&ObjectRow, &Cold),
        (begun, now): (&Mutex<Option<(ArchiveId, JobId)>>, Timestamp),
    ) -> Result<Next> {
        let next = |restore: Restore, writes, told, outcome, over| {
            let asked = Asked { outcome, named: restore.job, over };
            Ok(Next { restore, writes, told, asked })
        };
        match cold.restore {
            // A copy that the vault has lost before its time is none: it is asked for anew.
            Some(restore) if restore.until.is_some_and(|until| until > now) => {
                if let Some(until) = self.kept_until(view, &restore, request.days, now).await? {
                    let before = tables::cold(restore.until.unwrap_or(now), &request.key, row.version);
                    let restore = Restore { days: request.days, until: Some(until), ..restore };
                    let writes = vec![Write::Delete(before)];
                    return next(restore, writes, false, RestoreOutcome::There(until), None);
                }
            }
            Some(restore) if restore.until.is_none() => {
                if request.tier >= restore.tier {
                    return Err(Error::RestoreInProgress);
                }
                if self.hastened(view.bucket.partition, &restore, request.tier).await? {
                    let restore = Restore { tier: request.tier, ..restore };
                    return next(restore, Vec::new(), false, RestoreOutcome::Begun, None);
                }
            }
            _ => {}
        }
        let ended = cold.restore.filter(|before| before.until.is_some_and(|until| until <= now));
        // Whoever reads what is over goes on for a while.
        let over = ended.and_then(|ended| ended.job);
        let left = cold.restore.and_then(|before| before.job).filter(|job| over != Some(*job));
        let left = left.map(end_job).unwrap_or_default();
        let job = self.begin(view, (request, class), cold, begun).await?;
        let restore = Restore { tier: request.tier, asked: now, days: request.days, job, until: None };
        next(restore, left, true, RestoreOutcome::Begun, over)
    }

    /// Whether a restore that is under way goes on, and faster.
    async fn hastened(&self, partition: PartitionId, restore: &Restore, tier: Tier) -> Result<bool> {
        match restore.job {
            Some(job) => self.vaults()?.hasten(partition, job, tier).await.map_err(of_vault),
            None => Ok(true),
        }
    }

    /// Has the vault begin, once, where the bytes lie in one.
    async fn begin(
        self: &Arc<Self>,
        view: &View,
        (request, class): (&RestoreRequest, StorageClass),
        cold: &Cold,
        begun: &Mutex<Option<(ArchiveId, JobId)>>,
    ) -> Result<Option<JobId>> {
        let Some(at) = cold.archive else { return Ok(None) };
        // An attempt before this one may have met another version.
        let before = *begun.lock();
        match before {
            Some((archive, job)) if archive == at.id => return Ok(Some(job)),
            Some((_, job)) => self.drop_job(view.bucket.partition, job).await,
            None => {}
        }
        let (tier, depth) = (request.tier, depth(class));
        let keep = self.days(request.days.min(UNSEEN_DAYS) + SLACK_DAYS).max(KEEP_MIN);
        let what = Retrieve { archive: at.id, tier, depth, keep };
        let job = self.vaults()?.retrieve(view.bucket.partition, what).await.map_err(of_vault)?;
        *begun.lock() = Some((at.id, job));
        Ok(Some(job))
    }

    /// So many of this store's days.
    pub(crate) fn days(&self, days: u32) -> Duration {
        self.day.saturating_mul(days)
    }

    /// Until when a copy that is there stays, by a request of now; the vault keeps it so long. `None`: it has it no more.
    pub(crate) async fn kept_until(
        &self,
        view: &View,
        restore: &Restore,
        days: u32,
        now: Timestamp,
    ) -> Result<Option<Timestamp>> {
        let until = self.calendar().days_after(now, days);
        if let Some(job) = restore.job {
            let kept = until.plus(self.days(SLACK_DAYS));
            let vaults = self.vaults()?;
            if !vaults.keep_output_until(view.bucket.partition, job, kept).await.map_err(of_vault)? {
                return Ok(None);
            }
        }
        Ok(Some(until))
    }

    /// A version's row that says something else of what is archived.
    pub(crate) fn with_cold(
        &self,
        view: &View,
        key: &ObjectKey,
        row: &ObjectRow,
        cold: Cold,
    ) -> Result<ObjectRow> {
        let mut amended = row.clone();
        if let Some(stored) = &mut amended.stored {
            stored.cold = cold.said();
        }
        self.sealed_again(view.bucket, key, row, amended)
    }

    /// A row in the place of another one of the same keys, sealed.
    pub(crate) fn sealed_again(
        &self,
        bucket: Bucket,
        key: &ObjectKey,
        row: &ObjectRow,
        mut amended: ObjectRow,
    ) -> Result<ObjectRow> {
        let aad = row.additional_data(bucket.partition, key);
        // In whatever envelope: it goes along unopened.
        let material = Material::read(row.envelope(), &self.keys.unseal_bytes(&row.sealed, &aad)?)?;
        amended.sealed = Bytes::new();
        let aad = amended.additional_data(bucket.partition, key);
        amended.sealed = self.keys.seal_material(bucket.account, material.as_ref(), &aad)?;
        Ok(amended)
    }
}

/// A bucket's name as rows of queues have it.
pub(crate) fn name_of(bucket: &BucketName) -> Bytes {
    Bytes::copy_from_slice(bucket.as_str().as_bytes())
}

fn stands_against(
    (bucket, key, version): (&BucketName, &ObjectKey, Option<VersionName>),
    class: StorageClass,
    under_way: bool,
) -> Error {
    let (bucket, key) = (bucket.unbound(), key.clone());
    Error::InvalidObjectState { what: Box::new(ColdObject { bucket, key, version, class, under_way }) }
}
