//! Keeps the history within its days and its bytes. What is oldest goes first, a batch at a time.

use super::Audit;
use super::history::DAYS;
use super::row::{self, Held, Part, Place};
use engine::BoxFuture;
use engine::catalog::{Layout, Scan, Write};
use engine::clock::Timestamp;
use engine::worker::{Progress, Worker};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Bytes of calls, and of denials, of an account.
const BYTES_MAX: [i64; 2] = [64 << 20, 32 << 20];
/// Rows of one commit.
const BATCH: usize = 1_000;
/// How long nothing is done at the most.
const REST: Duration = Duration::from_hours(1);

/// How many bytes a part may have.
pub(super) fn most(part: Part) -> i64 {
    BYTES_MAX[part as usize]
}

/// Does it.
pub(super) struct Tidier(pub(super) Arc<Audit>);

impl Audit {
    /// A batch of each part that has too much. How many rows went.
    pub(super) async fn tidy(&self) -> engine::Result<u64> {
        let parts: Vec<(Held, i64)> = self.held.lock().iter().map(|(held, bytes)| (*held, *bytes)).collect();
        let before = self.now().as_millis() - i64::try_from(DAYS.as_millis()).unwrap_or(i64::MAX);
        let mut gone = 0;
        for (held, bytes) in parts {
            let Held::Part(account, part) = held else { continue };
            // Some room is made at once: else each call would make its own.
            let mut over = if bytes > most(part) { bytes - most(part) / 10 * 9 } else { 0 };
            let end = if over > 0 { Place::LAST } else { Place::at(Timestamp::from_millis(before)) };
            let scan = Scan {
                table: row::HISTORY,
                start: row::history(account, part, Place::FIRST).bytes,
                end: row::history(account, part, end).bytes,
                limit: BATCH,
                reverse: false,
                keys_only: false,
            };
            let old = row::history(account, part, Place::at(Timestamp::from_millis(before)));
            let (mut writes, mut freed) = (Vec::new(), 0);
            for (key, value) in self.rows(scan, BATCH).await? {
                if over <= 0 && key >= old.bytes {
                    break;
                }
                let length = i64::try_from(key.len() + value.len()).unwrap_or(i64::MAX);
                over -= length;
                freed += length;
                writes.push(Write::Delete(row::HISTORY.key(key)));
            }
            if writes.is_empty() {
                continue;
            }
            gone += writes.len() as u64;
            writes.push(Write::Add(held.key(), -freed));
            self.commit(Layout::FIRST, writes).await?;
            self.add_held(held, -freed);
        }
        Ok(gone)
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
