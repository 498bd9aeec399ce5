//! Packs of which much is dead are written anew in the background, the deadest first, on a budget.
//!
//! ```text
//!   every hour: each vault ─► a step ─► something moved? ─► the next step, once the budget has its bytes ─► … ─► the next vault
//! ```
//! A full medium, or one that fails, is said as the worker's trouble; the vault's turn comes again within the hour.
//!
//! # What a crash leaves
//! What a step leaves ([`compact`](super::compact)): the next look finds what is still to do.

use super::{Error, Vaults};
use engine::BoxFuture;
use engine::id::PartitionId;
use engine::worker::{Progress, Worker};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How often vaults are looked at, and how soon after a start.
const LOOK: Duration = Duration::from_hours(1);
const FIRST_LOOK: Duration = Duration::from_mins(10);
const REST: Duration = Duration::from_mins(1);

/// What compactions came to since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactionTotals {
    /// Packs that were written.
    pub packs: u64,
    /// Archives, and parts of them, that moved there.
    pub parts: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that nobody wants any more, in all vaults' packs, by the worker's last look.
    pub dead: Option<u64>,
    /// Why it does not go on.
    pub waits: Option<String>,
}

/// Worker `vault-compactor`; its unit is parts of archives.
pub(super) struct Compactor {
    vaults: Arc<Vaults>,
    /// When vaults are looked at next, by boot time.
    look_at: Option<Duration>,
    /// Those whose turn is to come.
    queue: VecDeque<PartitionId>,
    /// Before when nothing is moved, by boot time.
    not_before: Duration,
    /// What was found dead in this round.
    dead: u64,
    trouble: Option<String>,
}

impl Compactor {
    pub(super) fn new(vaults: Arc<Vaults>) -> Self {
        let (queue, not_before) = (VecDeque::new(), Duration::ZERO);
        Self { vaults, look_at: None, queue, not_before, dead: 0, trouble: None }
    }

    async fn step(&mut self) -> engine::Result<Progress> {
        let now = self.vaults.clock.boottime();
        let hour = LOOK.min(self.vaults.day / 24);
        // A start has other things to do.
        let look_at = *self.look_at.get_or_insert(now + FIRST_LOOK.min(hour));
        if now >= look_at && self.queue.is_empty() {
            self.look_at = Some(now + hour);
            self.queue = self.vaults.known.read().homes.keys().copied().collect();
            (self.dead, self.trouble) = (0, None);
        }
        let until = if self.queue.is_empty() { self.look_at.unwrap_or(now) } else { self.not_before };
        if now < until || self.queue.is_empty() {
            let rest = until.saturating_sub(now).clamp(Duration::from_millis(10), REST);
            return Ok(Progress::Idle { rest });
        }
        let Some(home) = self.queue.pop_front() else { return Ok(Progress::More { done: 0 }) };
        let done = match self.visit(home).await {
            Ok(done) => done,
            Err(error) => {
                tracing::warn!(%home, %error, "packs of a vault can't be compacted; they are looked at again within the hour");
                self.trouble = Some(error.to_string());
                0
            }
        };
        let mut totals = self.vaults.compactions.lock();
        totals.waits.clone_from(&self.trouble);
        if self.queue.is_empty() {
            totals.dead = Some(self.dead);
        }
        Ok(Progress::More { done })
    }

    /// One step in a vault; its turn comes again where something moved.
    async fn visit(&mut self, home: PartitionId) -> Result<u64, Error> {
        let Some(vault) = self.vaults.at_home(home) else { return Ok(0) };
        let moved = self.vaults.compact_some(&vault).await?;
        if moved.to.is_none() {
            self.dead = self.dead.saturating_add(self.vaults.waste_of(&vault).await?.dead());
            return Ok(0);
        }
        // Its share of a day.
        let a_day = u128::from(self.vaults.packing.compact_a_day.max(1));
        let share_ms = self.vaults.day.as_millis() * u128::from(moved.bytes) / a_day;
        let share = Duration::from_millis(u64::try_from(share_ms).unwrap_or(u64::MAX));
        self.not_before = self.vaults.clock.boottime().saturating_add(share);
        self.queue.push_front(home);
        Ok(moved.parts)
    }
}

impl Worker for Compactor {
    fn name(&self) -> &'static str {
        "vault-compactor"
    }

    fn bell(&self) -> Arc<Notify> {
        Arc::default()
    }

    fn trouble(&self) -> Option<String> {
        self.trouble.clone()
    }

    fn tick(&mut self) -> BoxFuture<'_, engine::Result<Progress>> {
        Box::pin(self.step())
    }
}

impl Vaults {
    /// What compactions came to since the start.
    pub fn compactions(&self) -> CompactionTotals {
        self.compactions.lock().clone()
    }
}
