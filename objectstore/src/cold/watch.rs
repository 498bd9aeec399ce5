//! Restores are looked at when their time has come: what is read back is there, what is old goes.
//!
//! ```text
//!   row of COLD ─► the version ─┬─ under way, read back (or in the pool) ─► until then, event, next look
//!                               ├─ under way ─► it waits for its job, which tells of its end
//!                               ├─ came to nothing ─► archived, as before
//!                               ├─ its time is over ─► archived, as before; the job's output goes an hour later; event
//!                               └─ nothing of it any more ─► the look goes
//! ```
//! Each is one commit that checks the key as it was read. A crash leaves the look.

use super::of_vault;
use crate::change::Change;
use crate::event::{EventType, Occasion, Origin};
use crate::record::{Cold, ObjectRow, Restore};
use crate::store::{Bucket, View};
use crate::{BucketName, Error, ObjectKey, ObjectStore, Result, tables};
use archive::retrieval::{JobId, JobState};
use archive::vault::end_job;
use bytes::Bytes;
use engine::catalog::record::Record;
use engine::catalog::{Key, Layout, Write};
use engine::clock::Timestamp;
use engine::id::PartitionId;
use std::sync::Arc;

/// What a look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    /// Something was done, or somebody was faster.
    Done,
    /// It waits for a job.
    Waits(JobId),
}

/// What becomes of a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Waits(JobId),
    /// It is read back.
    There,
    /// It can't be.
    Failed,
    /// Its time is over.
    Over,
    /// Its time comes then.
    Later(Timestamp),
}

impl ObjectStore {
    /// The bucket of a name, if it is the one of a partition still.
    pub(crate) async fn bucket_in(
        &self,
        partition: PartitionId,
        name: &[u8],
    ) -> Result<Option<(BucketName, Bucket)>> {
        let name = BucketName::parse(&tables::text(name.to_vec())?)?;
        let bucket = self.resolve(&name).await?.filter(|bucket| bucket.partition == partition);
        Ok(bucket.map(|bucket| (name, bucket)))
    }

    /// Looks at what a row of `COLD` names.
    pub(crate) async fn watch_restore(
        self: &Arc<Self>,
        partition: PartitionId,
        (raw, name): (&Bytes, &[u8]),
    ) -> Result<Watched> {
        let (key, id) = tables::read_cold(raw)?;
        let (key, look) = (ObjectKey::parse(&key)?, tables::COLD.key(raw.clone()));
        let Some((name, bucket)) = self.bucket_in(partition, name).await? else {
            return self.drop_hint(partition, look).await;
        };
        let _turn = self.queue(partition, &key).await;
        let (view, stack) = match self.stack(bucket, &key).await {
            Err(Error::NoSuchBucket) => return self.drop_hint(partition, look).await,
            found => found?,
        };
        let row = view.snapshot.get(tables::version(&key, id)).await?;
        let row = row.map(|raw| ObjectRow::from_bytes(&raw)).transpose()?;
        let restore = row.as_ref().and_then(ObjectRow::cold).and_then(|cold| cold.restore);
        let (Some(row), Some(restore)) = (row, restore) else {
            return self.drop_hint(partition, look).await;
        };
        let (now, cold) = (self.clock.now(), row.cold().copied().unwrap_or_default());
        let next = self.next(&view, &restore, now).await?;
        let kept = match next {
            Next::There => self.kept_until(&view, &restore, restore.days, now).await?,
            _ => None,
        };
        let (restore, what, at) = match next {
            Next::Waits(job) => return Ok(Watched::Waits(job)),
            Next::Later(at) => {
                return self.look_later(&view, (look, tables::cold(at, &key, id)), &key, &name).await;
            }
            Next::There if kept.is_some() => {
                (Some(Restore { until: kept, ..restore }), Some(EventType::RESTORED), kept)
            }
            Next::There | Next::Failed => {
                tracing::error!(bucket = %name, "a restore came to nothing: the archive can't be read, see the vault's jobs");
                (None, None, None)
            }
            Next::Over => (None, Some(EventType::RESTORE_OVER), None),
        };
        let job = row.cold().and_then(|cold| cold.restore?.job).filter(|_| restore.is_none());
        // Whoever reads it when its time is over may take a while; what came to nothing goes at once.
        let (over, left) = if next == Next::Over { (job, None) } else { (None, job) };
        let amended = self.with_cold(&view, &key, &row, Cold { restore, ..cold })?;
        let mut change =
            stack.replace(&amended).known_by(Layout::CLASSES).unchanged(look.clone()).delete(look);
        if restore.is_none() {
            change = change.freeing();
            if cold.archive.is_none() {
                // Whoever was to carry it to a vault passed it by meanwhile.
                change.writes.push(super::deposit_hint(&key, id, &name));
                change.cold = true;
            }
        }
        change.writes.extend(left.map(end_job).into_iter().flatten());
        change.writes.extend(at.map(|at| Write::Put(tables::cold(at, &key, id), super::name_of(&name))));
        change.dirty = left.is_some();
        if let Some(what) = what {
            let origin = Origin::default();
            let occasion = Occasion { what, bucket: &name, origin: &origin };
            self.tell(&view, &occasion, (&key, &amended, now), &mut change).await?;
        }
        let done = self.try_change_key(&view, &key, change).await?;
        if let Some(job) = over.filter(|_| done) {
            self.end_soon(partition, job).await;
        }
        Ok(Watched::Done)
    }

    async fn next(&self, view: &View, restore: &Restore, now: Timestamp) -> Result<Next> {
        match (restore.until, restore.job) {
            (Some(until), _) if until > now => Ok(Next::Later(until)),
            (Some(_), _) => Ok(Next::Over),
            (None, None) => Ok(Next::There),
            (None, Some(job)) => {
                let state = self.vaults()?.job_state(view.bucket.partition, job).await.map_err(of_vault)?;
                Ok(match state {
                    Some(JobState::Ready { .. }) => Next::There,
                    None | Some(JobState::Failed { .. } | JobState::Expired { .. }) => Next::Failed,
                    Some(_) => Next::Waits(job),
                })
            }
        }
    }

    /// The look goes to its moment, unless somebody changed the key.
    async fn look_later(
        &self,
        view: &View,
        (look, then): (Key, Key),
        key: &ObjectKey,
        name: &BucketName,
    ) -> Result<Watched> {
        let change = Change::writes([Write::Put(then, super::name_of(name))]).configured();
        let change = change.unchanged(tables::current(key)).unchanged(look.clone()).delete(look);
        self.try_commit(change.freeing().of(view)).await?;
        Ok(Watched::Done)
    }

    /// A hint is not needed as long as a version is as it was read: whoever changes that puts it again.
    pub(super) async fn drop_hint_of(&self, view: &View, row: Key, hint: Key) -> Result<Watched> {
        let change = Change::default().configured().unchanged(row).unchanged(hint.clone()).delete(hint);
        self.try_commit(change.freeing().of(view)).await?;
        Ok(Watched::Done)
    }

    /// What a hint was about is gone, or was seen to.
    pub(super) async fn drop_hint(&self, partition: PartitionId, hint: Key) -> Result<Watched> {
        let snapshot = self.catalog.snapshot(partition).await?;
        let change = Change::default().unchanged(hint.clone()).delete(hint).freeing();
        self.try_commit(change.at(partition, &*snapshot)).await?;
        Ok(Watched::Done)
    }
}
