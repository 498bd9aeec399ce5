//! Trails that were deleted: what was taken for them is delivered, that they were deleted last of all, with a last digest. Then what is left goes.
//!
//! ```text
//!   DeleteTrail ─► row moves to ENDING ─► its own record comes, or 5 minutes pass ─► files, digest ─► GONE ─► nothing
//! ```
//! A bucket that is not there ends it at once, one that takes nothing after an hour: what waited is counted as lost.

use super::Audit;
use super::deliver::StateRow;
use super::row::{self, Held, TrailId};
use super::trail::TrailRow;
use crate::AccountId;
use engine::catalog::record::Record as _;
use engine::catalog::{Layout, Scan, Write};
use std::sync::Arc;

/// Rows of a trail that is gone, at once.
const SWEPT: usize = 1_000;

/// A trail that was deleted.
pub(super) struct Ending {
    pub(super) row: Arc<TrailRow>,
    /// It has its last record.
    pub(super) heard: bool,
}

impl Audit {
    /// Trails of these ids have their last record.
    pub(super) fn have_ended(&self, ids: &[TrailId]) {
        if ids.is_empty() {
            return;
        }
        for ending in self.ending.lock().values_mut().filter(|ending| ids.contains(&ending.row.id)) {
            ending.heard = true;
        }
        self.filter();
        self.trail_bell.notify_one();
    }

    /// Does what is left to be done for a trail that was deleted.
    pub(super) async fn finish(&self, trail: &TrailRow) -> crate::Result<u64> {
        let id = (trail.account(), trail.id);
        let age = self.now().as_millis() - trail.ended.unwrap_or_default();
        let within = |time: std::time::Duration| {
            (0..i64::try_from(time.as_millis()).unwrap_or(i64::MAX)).contains(&age)
        };
        let heard = self.ending.lock().get(&id).is_none_or(|ending| ending.heard);
        if !heard && within(self.wait()) {
            return Ok(0);
        }
        let mut state = self.usable_state(trail).await?;
        let mut done = self.deliver_what_is_due(trail, &mut state).await?;
        if self.is_delivered(trail, &state).await? || state.has_no_bucket() || !within(self.hour()) {
            self.bury(trail).await?;
            done += 1;
        }
        Ok(done)
    }

    async fn is_delivered(&self, trail: &TrailRow, state: &StateRow) -> crate::Result<bool> {
        if state.plan.is_some() || state.digest.is_some() {
            return Ok(false);
        }
        let prefix = row::of_trail(trail.account(), trail.id).finish();
        let tables = if trail.validates { &[row::QUEUE, row::FILES][..] } else { &[row::QUEUE] };
        for table in tables {
            let scan = Scan { keys_only: true, ..Scan::prefix(*table, &prefix, 1) };
            if !self.rows(scan, 1).await?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A trail is no more, and what is left of it is to go.
    async fn bury(&self, trail: &TrailRow) -> crate::Result<()> {
        let _changing = self.changing.lock().await;
        let (account, id) = (trail.account(), trail.id);
        let Some(ending) = self.ending.lock().remove(&(account, id)) else { return Ok(()) };
        self.filter();
        // What was taken for it by then is written.
        drop(self.writing.lock().await);
        let writes = vec![
            Write::Delete(row::ending(account, id)),
            Write::Delete(row::state(account, id)),
            Write::Put(row::gone(account, id), bytes::Bytes::new()),
        ];
        if let Err(error) = self.commit(Layout::TRAILS, writes).await {
            // Once more, later: it may be done, and is done again then.
            self.ending.lock().insert((account, id), Ending { heard: true, ..ending });
            return Err(error.into());
        }
        Ok(())
    }

    /// Moves a trail to those that end, or lets it go if nothing is to be delivered. Memory says what the rows say, whatever comes of it.
    pub(super) async fn end(&self, trail: &TrailRow, most: usize) -> engine::Result<()> {
        let (account, id) = (trail.account(), trail.id);
        let ended = self.now().as_millis();
        let endings = self.ending.lock().keys().filter(|(whose, _)| *whose == account).count();
        let outcome = if trail.started.is_some() && endings < most {
            let row = TrailRow { is_logging: false, ended: Some(ended), ..trail.clone() };
            let writes =
                vec![Write::Delete(trail.key()), Write::Put(row::ending(account, id), row.to_bytes())];
            let outcome = self.commit(Layout::TRAILS, writes).await;
            if outcome.is_ok() {
                let ending = Ending { row: Arc::new(row), heard: !trail.is_logging };
                self.ending.lock().insert((account, id), ending);
            }
            outcome
        } else {
            self.trails.lock().remove(&(account, trail.name.clone()));
            self.filter();
            drop(self.writing.lock().await);
            let writes = vec![
                Write::Delete(trail.key()),
                Write::Delete(row::state(account, id)),
                Write::Put(row::gone(account, id), bytes::Bytes::new()),
            ];
            self.commit(Layout::TRAILS, writes).await
        };
        match outcome {
            Ok(()) => {
                self.trails.lock().remove(&(account, trail.name.clone()));
                self.filter();
                self.trail_bell.notify_one();
                Ok(())
            }
            Err(error) => {
                self.reread(trail).await;
                Err(error)
            }
        }
    }

    /// Lets go of a trail whose row can't be read, and of what belongs to no trail then.
    pub(super) async fn end_unreadable(&self, account: AccountId, name: &str) -> engine::Result<()> {
        let mut writes = vec![Write::Delete(row::trail(account, name))];
        let others = self.unreadable.lock().iter().filter(|(whose, _)| *whose == account).count() > 1;
        if !others {
            let known: Vec<TrailId> = {
                let (trails, ending) = (self.trails.lock(), self.ending.lock());
                trails.values().map(|row| row.id).chain(ending.keys().map(|(_, id)| *id)).collect()
            };
            let prefix = account.to_bytes();
            let states = self.rows(Scan::prefix(row::STATES, &prefix, 100), 100).await?;
            let of_states = states.iter().filter_map(|(key, _)| row::read_trail(key).ok());
            let held: Vec<Held> = self.held.lock().keys().copied().collect();
            let of_counters = held.into_iter().filter_map(|held| match held {
                Held::Trail(whose, id) if whose == account => Some((whose, id)),
                _ => None,
            });
            for (whose, id) in of_states.chain(of_counters).filter(|(_, id)| !known.contains(id)) {
                writes.push(Write::Delete(row::state(whose, id)));
                writes.push(Write::Put(row::gone(whose, id), bytes::Bytes::new()));
            }
        }
        self.commit(Layout::TRAILS, writes).await?;
        self.unreadable.lock().remove(&(account, name.to_owned()));
        self.trail_bell.notify_one();
        Ok(())
    }

    /// What is left of trails that are gone goes.
    pub(super) async fn sweep(&self) -> crate::Result<u64> {
        let mut done = 0;
        for (key, _) in self.rows(Scan::prefix(row::GONE, b"", 100), 100).await? {
            done += 1;
            let Ok((account, id)) = row::read_trail(&key) else {
                self.damaged.note("trail that is gone", &key);
                self.commit(Layout::TRAILS, vec![Write::Delete(row::GONE.key(key))]).await?;
                continue;
            };
            let (mut writes, mut lost) = (Vec::new(), 0);
            for table in [row::QUEUE, row::FILES] {
                let rows =
                    self.rows(Scan { keys_only: true, ..Scan::prefix(table, &key, SWEPT) }, SWEPT).await?;
                lost += if table == row::QUEUE { rows.len() as u64 } else { 0 };
                writes.extend(rows.into_iter().map(|(key, _)| Write::Delete(table.key(key))));
            }
            let is_last = writes.is_empty();
            let counters = [Held::Trail(account, id), Held::Strangers(account, id)];
            if is_last {
                writes.push(Write::Delete(row::GONE.key(key)));
                writes.extend(counters.map(|held| Write::Delete(held.key())));
            }
            let counting = self.counting.write().await;
            self.commit(Layout::TRAILS, writes).await?;
            if is_last {
                self.held.lock().retain(|held, _| !counters.contains(held));
            }
            drop(counting);
            if lost > 0 {
                self.lose_of(account, (lost, self.now(), "a trail was deleted whose bucket took nothing"));
            }
        }
        Ok(done)
    }
}
