//! Whose turn it is: buckets with rules, one after the other, a bounded step each.
//!
//! ```text
//!   midnight, a minute, change of rules ─► names ─► a step: what is due · a step of the walk · rows that nobody wants ─► the next bucket
//! ```
//!
//! # Invariants
//! - Buckets take turns, however much is due in one of them.
//! - What can't be done about a key holds up no other: it is looked at again the next midnight.
//!
//! # Limits
//! [`BATCH`] looks a step, [`AT_ONCE`] of them at once; names of buckets with rules are held.

use super::LifecycleRun;
use super::act::Look;
use super::index::look;
use crate::change::Change;
use crate::store::{Bucket, View};
use crate::tables::{self, DueOf};
use crate::{BucketName, Error, ErrorKind, ObjectKey, ObjectStore, Result, SettingKind};
use bytes::Bytes;
use engine::catalog::{Scan, Write};
use engine::worker::Progress;
use futures_util::{StreamExt, stream};
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

/// Looks of one step.
const BATCH: usize = 512;
/// Keys that are acted on at once: enough to share syncs.
const AT_ONCE: usize = 64;
/// Rows that nobody wants any more, removed by one commit.
const UNWANTED: usize = 2_000;
/// How long it rests at the most.
const REST: Duration = Duration::from_mins(1);

/// A step's outcome.
#[derive(Clone, Copy, Debug, Default)]
struct Stepped {
    run: LifecycleRun,
    /// Rows that were seen to, whatever came of them.
    rows: u64,
    /// There is more to do right away.
    more: bool,
}

impl ObjectStore {
    /// Does what is due in a bucket by now, as far as one call goes, and goes on with bringing what was there before its rules into the
    /// index. Answers whether there is more.
    pub async fn run_lifecycle(&self, name: &BucketName) -> Result<(LifecycleRun, bool)> {
        let stepped = self.lifecycle_step(name).await?;
        Ok((stepped.run, stepped.more))
    }

    /// A step of a bucket's turn.
    async fn lifecycle_step(&self, name: &BucketName) -> Result<Stepped> {
        let view = self.view(name).await?;
        let name = name.bound_to(view.bucket);
        match self.lifecycle_at(&view).await {
            Ok(Some(_)) => self.lifecycles.well(&name),
            Ok(None) => return self.clear_looks(&name, &view).await,
            Err(error) => {
                self.tell_damage(&name, &view, &error).await?;
                return Err(error);
            }
        }
        let page = view.snapshot.scan(tables::due_by(self.clock.now(), BATCH)).await?;
        let bucket = view.bucket;
        let rows = page.rows.into_iter().map(|(raw, _)| self.act(&name, bucket, raw));
        let mut acted = stream::iter(rows).buffer_unordered(AT_ONCE);
        let mut stepped = Stepped { more: page.more, ..Stepped::default() };
        while let Some(run) = acted.next().await {
            let (run, more) = run?;
            stepped.run = stepped.run.and(run);
            stepped.more |= more;
            stepped.rows += 1;
        }
        drop(acted);
        // Read anew: acting takes its time.
        let view = self.view(&name).await?;
        if let Some(lifecycle) = self.lifecycle_at(&view).await?
            && let Some(walked) = self.walk_step(&view, &lifecycle).await?
        {
            stepped.rows += walked;
            stepped.more = true;
        }
        Ok(stepped)
    }

    /// Acts on what one row says to look at.
    async fn act(&self, name: &BucketName, bucket: Bucket, raw: Bytes) -> Result<(LifecycleRun, bool)> {
        let (_, of, key) = tables::read_due(&raw)?;
        let (key, row) = (ObjectKey::parse(&key)?, tables::DUE.key(raw));
        let at = Look { name, bucket, key: &key, row: &row };
        let outcome = match of {
            DueOf::Versions => Box::pin(self.act_on_versions(&at)).await,
            DueOf::Uploads => self.act_on_uploads(&at).await,
        };
        match outcome {
            Ok(acted) => Ok(acted),
            Err(Error::NoSuchBucket) => Ok((LifecycleRun::default(), false)),
            // Nothing is wrong with this key: whatever it is holds up all of them.
            Err(error)
                if error.kind() == ErrorKind::Unavailable && !matches!(error, Error::Contended { .. }) =>
            {
                Err(error)
            }
            Err(error) => {
                tracing::warn!(bucket = %name, %error, "failed to do what a lifecycle rule asks for of a key: it is tried again tomorrow");
                self.postpone(&at, of).await?;
                Ok((LifecycleRun::default(), false))
            }
        }
    }

    /// Looks at a key the next midnight instead.
    async fn postpone(&self, at: &Look<'_>, of: DueOf) -> Result<()> {
        let Some((view, [])) = self.view_at(at.bucket, []).await? else { return Ok(()) };
        let tomorrow = self.calendar().midnight_after(self.clock.now());
        let writes = [Write::Delete(at.row.clone()), look(tomorrow, of, at.key.as_str())];
        self.try_commit(Change::writes(writes).configured().freeing().of(&view)).await?;
        Ok(())
    }

    /// Removes looks of a bucket that has no rules any more.
    async fn clear_looks(&self, name: &BucketName, view: &View) -> Result<Stepped> {
        let all = Scan { keys_only: true, ..Scan::prefix(tables::DUE, b"", UNWANTED) };
        let page = view.snapshot.scan(all).await?;
        let rows = page.rows.len() as u64;
        if rows == 0 {
            self.unmark_lifecycle(name).await?;
            return Ok(Stepped::default());
        }
        let writes = page.rows.into_iter().map(|(raw, _)| Write::Delete(tables::DUE.key(raw)));
        // Whoever sets rules changes the configuration.
        self.try_commit(Change::writes(writes).configured().freeing().of(view)).await?;
        Ok(Stepped { rows, more: true, ..Stepped::default() })
    }
}

/// What the worker does.
pub(crate) struct Turns {
    store: Arc<ObjectStore>,
    /// When it was looked last at all buckets with rules, by boot time.
    looked: Option<(i64, Duration)>,
    /// Buckets with something to do, and the one that had its turn last.
    waiting: BTreeSet<BucketName>,
    last: Option<BucketName>,
}

impl Turns {
    pub(crate) fn new(store: Arc<ObjectStore>) -> Self {
        Self { store, looked: None, waiting: BTreeSet::new(), last: None }
    }

    /// A step of the next bucket.
    pub(crate) async fn run(&mut self) -> Result<Progress> {
        self.look().await?;
        let behind = self.last.take();
        let behind = behind.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.waiting.range((behind, Bound::Unbounded)).next().or(self.waiting.first()).cloned();
        let Some(name) = next else {
            let rest = REST.min(self.store.until_tomorrow()).max(Duration::from_millis(10));
            return Ok(Progress::Idle { rest });
        };
        self.waiting.remove(&name);
        let stepped = match self.store.lifecycle_step(&name).await {
            Ok(stepped) => stepped,
            Err(Error::NoSuchBucket) => {
                self.store.unmark_lifecycle(&name).await?;
                Stepped::default()
            }
            // It holds up no other: people are told of it by its name.
            Err(error) if error.kind() == ErrorKind::Corrupt && self.store.lifecycles.is_told(&name) => {
                Stepped::default()
            }
            // Its turn comes again with the next look.
            Err(error) => {
                self.last = Some(name);
                return Err(error);
            }
        };
        if stepped.more {
            self.waiting.insert(name.clone());
        }
        self.last = Some(name);
        Ok(Progress::More { done: stepped.rows })
    }

    /// Learns which buckets have rules: once a minute and at midnight, and those that changed at once.
    async fn look(&mut self) -> Result<()> {
        self.waiting.append(&mut self.store.lifecycles.take_changed());
        let (today, now) = (self.store.today(), self.store.clock.boottime());
        let due = |(day, at): (i64, Duration)| day != today || now.saturating_sub(at) >= REST;
        if self.looked.is_none_or(due) {
            self.waiting.extend(self.store.marked(SettingKind::Lifecycle).await?);
            self.looked = Some((today, now));
        }
        Ok(())
    }
}
