//! Keeps the history within its days and its bytes.
//!
//! Days are those of the compliance clock: whoever sets the clock forward ends none. Where there are too many bytes, a quarter goes at once, and who has
//! most loses first (`share.rs`), what is oldest first: nobody's flood pushes out what others did. That something went before its time is
//! a row, a record, and told by [`Health`](super::Health).

use super::Audit;
use super::history::DAYS;
use super::render::Caller;
use super::row::{self, CutRow, EventRow, Held, Part, Place};
use super::share;
use crate::{AccountId, AmzDate};
use engine::BoxFuture;
use engine::catalog::record::Record as _;
use engine::catalog::{Layout, Scan, Write, key_after};
use engine::clock::Timestamp;
use engine::worker::{Progress, Worker};
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Bytes of calls, and of denials, of an account.
const BYTES_MAX: [i64; 2] = [64 << 20, 32 << 20];
/// Bytes of all accounts' denials.
const DENIALS_BYTES_MAX: i64 = 512 << 20;
/// Rows of one commit.
const BATCH: usize = 1_000;
/// Rows that are read at once: each has 8 KiB at the most.
const READ: usize = 256;
/// How long nothing is done at the most.
const REST: Duration = Duration::from_hours(1);
/// What says that a history lost records before their time.
const CUT: &str = "AuditHistoryCut";

/// How many bytes a part may have.
pub(super) fn most(part: Part) -> i64 {
    BYTES_MAX[part as usize]
}

/// Does it.
pub(super) struct Tidier(pub(super) Arc<Audit>);

/// To how many bytes parts are to come that have too many.
pub(super) fn targets(parts: &[(AccountId, Part, i64)]) -> Vec<(AccountId, Part, u64)> {
    let room = |most: i64| u64::try_from(most / 4 * 3).unwrap_or_default();
    let denials = || parts.iter().filter(|(_, part, _)| *part == Part::Denials).map(|(_, _, bytes)| *bytes);
    let level = if denials().sum::<i64>() > DENIALS_BYTES_MAX {
        share::level(denials().map(|bytes| u64::try_from(bytes).unwrap_or_default()), room(DENIALS_BYTES_MAX))
    } else {
        u64::MAX
    };
    let of = |(account, part, bytes): &(AccountId, Part, i64)| {
        let own = if *bytes > most(*part) { room(most(*part)) } else { u64::MAX };
        let target = if *part == Part::Denials { own.min(level) } else { own };
        (u64::try_from(*bytes).unwrap_or_default() > target).then_some((*account, *part, target))
    };
    parts.iter().filter_map(of).collect()
}

/// A row's caller, and its bytes.
fn weighed((key, value): &(bytes::Bytes, bytes::Bytes)) -> (Caller, u64) {
    // What can't be read is nobody's.
    let caller = EventRow::from_bytes(value).map(|row| row.caller).unwrap_or_default();
    (caller, (key.len() + value.len()) as u64)
}

impl Audit {
    /// What is too old or too much goes. How many rows went.
    pub(super) async fn tidy(&self) -> engine::Result<u64> {
        let parts: Vec<(AccountId, Part, i64)> = {
            let held = self.held.lock();
            let parts = held.iter().filter_map(|(held, bytes)| match held {
                Held::Part(account, part) => Some((*account, *part, *bytes)),
                _ => None,
            });
            parts.collect()
        };
        let before = Timestamp::from_millis(
            self.sure_now().as_millis() - i64::try_from(DAYS.as_millis()).unwrap_or(i64::MAX),
        );
        let mut gone = 0;
        for (account, part, target) in targets(&parts) {
            gone += self.cut(account, part, target).await?;
        }
        for (account, part, _) in parts {
            gone += self.expire(account, part, before).await?;
        }
        let over = self
            .cuts
            .lock()
            .iter()
            .filter(|(_, cut)| cut.through < before)
            .map(|(of, _)| *of)
            .collect::<Vec<_>>();
        for (account, part) in over {
            self.commit(Layout::FIRST, vec![Write::Delete(row::cut(account, part))]).await?;
            self.cuts.lock().remove(&(account, part));
        }
        self.recount().await;
        Ok(gone)
    }

    fn history_scan(account: AccountId, part: Part, to: Place) -> Scan {
        Scan {
            table: row::HISTORY,
            start: row::history(account, part, Place::FIRST).bytes,
            end: row::history(account, part, to).bytes,
            limit: READ,
            reverse: false,
            keys_only: false,
        }
    }

    /// A batch of what is older than its days; and the counter of what has nothing any more.
    async fn expire(&self, account: AccountId, part: Part, before: Timestamp) -> engine::Result<u64> {
        let scan = Self::history_scan(account, part, Place::at(before));
        let (mut writes, mut freed) = (Vec::new(), 0);
        for (key, value) in self.rows_within(scan, (BATCH, 4 << 20)).await? {
            freed += i64::try_from(key.len() + value.len()).unwrap_or(i64::MAX);
            writes.push(Write::Delete(row::HISTORY.key(key)));
        }
        let (held, gone) = (Held::Part(account, part), writes.len() as u64);
        if gone > 0 {
            self.commit_counted(Layout::FIRST, writes, &[(held, -freed)]).await?;
        }
        if self.held(held) <= 0 {
            // Nobody adds to it meanwhile.
            let _counting = self.counting.write().await;
            if self.held(held) <= 0 {
                self.commit(Layout::FIRST, vec![Write::Delete(held.key())]).await?;
                self.held.lock().remove(&held);
            }
        }
        Ok(gone)
    }

    /// Brings a part to so many bytes: who has most loses first. How many rows went.
    pub(super) async fn cut(&self, account: AccountId, part: Part, target: u64) -> engine::Result<u64> {
        let counted = self.held(Held::Part(account, part));
        let mut sums: HashMap<Caller, u64> = HashMap::new();
        let mut next = Some(Self::history_scan(account, part, Place::LAST));
        while let Some(scan) = next.take() {
            let rows = self.rows(scan.clone(), READ).await?;
            next = rows.last().map(|(key, _)| Scan { start: key_after(key), ..scan });
            for row in &rows {
                let (caller, bytes) = weighed(row);
                *sums.entry(caller).or_default() += bytes;
            }
            tokio::task::yield_now().await;
        }
        let total: u64 = sums.values().sum();
        if total <= target {
            // The counter says more than there is.
            let wrong = i64::try_from(total).unwrap_or(i64::MAX) - counted;
            self.commit_counted(Layout::FIRST, Vec::new(), &[(Held::Part(account, part), wrong)]).await?;
            return Ok(0);
        }
        let (of_known, of_strangers) = share::levels(&sums, target);
        let level = |caller: Caller| if caller.is_known() { of_known } else { of_strangers };
        sums.retain(|caller, bytes| *bytes > level(*caller));
        let mut gone = 0;
        let mut next = Some(Self::history_scan(account, part, Place::LAST));
        while let Some(scan) = next.take().filter(|_| !sums.is_empty()) {
            let rows = self.rows(scan.clone(), BATCH.min(READ)).await?;
            next = rows.last().map(|(key, _)| Scan { start: key_after(key), ..scan });
            let (mut writes, mut freed, mut through) = (Vec::new(), 0, Timestamp::default());
            for row in rows {
                let (caller, bytes) = weighed(&row);
                let Some(has) = sums.get_mut(&caller) else { continue };
                *has = has.saturating_sub(bytes);
                if *has <= level(caller) {
                    sums.remove(&caller);
                }
                freed += i64::try_from(bytes).unwrap_or(i64::MAX);
                through = through.max(Place::of_key(&row.0).unwrap_or(Place::FIRST).time());
                writes.push(Write::Delete(row::HISTORY.key(row.0)));
            }
            if !writes.is_empty() {
                gone += writes.len() as u64;
                self.let_go((account, part), writes, (freed, through)).await?;
            }
        }
        if gone > 0 {
            let through =
                self.cuts.lock().get(&(account, part)).map_or(Timestamp::default(), |cut| cut.through);
            let since = AmzDate::from_timestamp(through).extended();
            let reason = format!("the history of {} was full: it is whole from {since} on", part.name());
            let said = json!({ "records": gone, "of": part.name(), "wholeSince": since, "reason": reason });
            self.say(account, CUT, said, false);
        }
        Ok(gone)
    }

    /// Deletes rows of a part before their time, and says so.
    async fn let_go(
        &self,
        of: (AccountId, Part),
        mut writes: Vec<Write>,
        (freed, through): (i64, Timestamp),
    ) -> engine::Result<()> {
        let before = self.cuts.lock().get(&of).copied();
        let cut = CutRow {
            at: self.now(),
            through: before.map_or(through, |before| before.through.max(through)),
            count: before.map_or(0, |before| before.count) + writes.len() as u64,
        };
        writes.push(Write::Put(row::cut(of.0, of.1), cut.to_bytes()));
        self.commit_counted(Layout::FIRST, writes, &[(Held::Part(of.0, of.1), -freed)]).await?;
        self.cuts.lock().insert(of, cut);
        Ok(())
    }
}

impl Worker for Tidier {
    fn name(&self) -> &'static str {
        "audit-history"
    }

    fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.0.tidy_bell)
    }

    fn tick(&mut self) -> BoxFuture<'_, engine::Result<Progress>> {
        Box::pin(async {
            Ok(match self.0.tidy().await? {
                0 => Progress::Idle { rest: REST },
                done => Progress::More { done },
            })
        })
    }
}
