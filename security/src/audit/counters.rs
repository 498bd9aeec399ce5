//! Commits, and what they do to counters: bytes of the history, and of what waits for trails, which memory knows too.
//!
//! After a commit whose outcome is not known memory may say less or more than the rows. The log is in order: once a later commit has passed, it is
//! decided, and the counters are read again.

use super::Audit;
use super::row::{self, Held};
use engine::catalog::{Commit, Layout, Scan, Write, commit_known};
use engine::id::{IdempotencyId, PartitionId};
use engine::{Error, ErrorKind};
use std::collections::HashMap;
use std::sync::atomic::Ordering;

/// How often a commit is repeated that was judged by too old a snapshot.
const REPEATED: u32 = 3;

/// What is known of commits: all; not of one; of that one too by now, but what it did is not in memory.
const SURE: u8 = 0;
const OPEN: u8 = 1;
const DECIDED: u8 = 2;

impl Audit {
    /// What is written says nothing of what was read: there is one writer of each row.
    pub(super) async fn commit(&self, layout: Layout, writes: Vec<Write>) -> engine::Result<()> {
        let mut repeats = 0..REPEATED;
        loop {
            let read_version = self.snapshot().await?.read_version();
            let commit =
                Commit { writes: writes.clone(), layout, ..Commit::new(PartitionId::ROOT, read_version) };
            let id = IdempotencyId::random(&*self.parts.entropy);
            match commit_known(&*self.parts.catalog, id, commit).await {
                Err(error) if error.kind() == ErrorKind::Conflict && repeats.next().is_some() => {}
                Err(error) => {
                    if matches!(error, Error::Unknown { .. }) {
                        self.doubt.store(OPEN, Ordering::Release);
                    }
                    return Err(error);
                }
                Ok(_) => {
                    let order = Ordering::AcqRel;
                    let _was = self.doubt.compare_exchange(OPEN, DECIDED, order, Ordering::Relaxed);
                    return Ok(());
                }
            }
        }
    }

    /// Commits what changes counters too.
    pub(super) async fn commit_counted(
        &self,
        layout: Layout,
        mut writes: Vec<Write>,
        held: &[(Held, i64)],
    ) -> engine::Result<()> {
        let _counting = self.counting.read().await;
        writes.extend(held.iter().map(|(what, by)| Write::Add(what.key(), *by)));
        self.commit(layout, writes).await?;
        for (what, by) in held {
            self.add_held(*what, *by);
        }
        Ok(())
    }

    /// Reads all counters.
    pub(super) async fn count(&self) -> crate::Result<()> {
        let mut held = HashMap::new();
        for (key, value) in self.rows(Scan::prefix(row::BYTES, b"", 1_000), usize::MAX).await? {
            let bytes = <[u8; 8]>::try_from(&*value).map(i64::from_le_bytes);
            match (Held::read(&key), bytes) {
                (Ok(what), Ok(bytes)) => {
                    held.insert(what, bytes);
                }
                _ => self.damaged.note("counter", &key),
            }
        }
        *self.held.lock() = held;
        Ok(())
    }

    /// Reads all counters again, if memory may be wrong.
    pub(super) async fn recount(&self) {
        if self.doubt.load(Ordering::Acquire) != DECIDED {
            return;
        }
        let _counting = self.counting.write().await;
        self.doubt.store(SURE, Ordering::Release);
        if let Err(error) = self.count().await {
            self.doubt.store(DECIDED, Ordering::Release);
            tracing::warn!(%error, "failed to read the counters of the audit trail again");
        }
    }

    pub(super) fn add_held(&self, what: Held, by: i64) -> i64 {
        let mut held = self.held.lock();
        let count = held.entry(what).or_default();
        *count += by;
        *count
    }

    pub(super) fn held(&self, what: Held) -> i64 {
        self.held.lock().get(&what).copied().unwrap_or_default()
    }
}
