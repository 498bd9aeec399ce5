//! When reports are due, and the record of the one that was made last.
//!
//! A report is due once in each day, or week, of UTC; the first one as soon as it is asked for. Who was switched off for a while
//! makes one, not one for each day missed. Days are the store's own: shorter in rehearsals.

use crate::setting::{Inventory, InventoryFrequency};
use crate::store::{ATTEMPTS_MAX, contended, won};
use crate::{BucketName, Error, ObjectStore, Result, SettingKind, tables};
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::catalog::{Check, Key, Write};
use engine::clock::Timestamp;
use engine::id::random_bytes;
use std::time::Duration;

/// A report under way, or the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// What its files' names are made of.
    pub(crate) id: [u8; 16],
    /// When it was begun.
    pub(crate) started: Timestamp,
    pub(crate) done: bool,
}

impl Record for Run {
    const NAME: &'static str = "inventory run";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.fixed(&self.id).i64(self.started.as_millis()).u8(u8::from(self.done));
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let (id, started) = (fields.fixed()?, Timestamp::from_millis(fields.i64()?));
        match fields.u8()? {
            done @ 0..=1 => Ok(Self { id, started, done: done == 1 }),
            other => Err(fields.corrupt(format!("flag {other}"))),
        }
    }
}

/// Where the run of a configuration is recorded: behind its own row. No id has such a byte.
pub(super) fn run_row(id: &str) -> Key {
    tables::setting(SettingKind::Inventory, &format!("{id}\0"))
}

/// Whether a row is a run's.
pub(super) fn is_run(key: &[u8]) -> bool {
    key.last() == Some(&0)
}

/// The day of a moment, counted from the epoch.
pub(crate) fn day_of(at: Timestamp, day: Duration) -> i64 {
    let day = i64::try_from(day.as_millis()).unwrap_or(i64::MAX).max(1);
    at.as_millis().div_euclid(day)
}

/// The day, or the week from Sunday on, that a moment is in. The epoch was a Thursday.
fn period(frequency: InventoryFrequency, at: Timestamp, day: Duration) -> i64 {
    match frequency {
        InventoryFrequency::Daily => day_of(at, day),
        InventoryFrequency::Weekly => (day_of(at, day) + 4).div_euclid(7),
    }
}

/// Whether a report is to be made, or made again.
fn is_due(set: &Inventory, run: Option<&Run>, now: Timestamp, day: Duration) -> bool {
    set.enabled
        && run.is_none_or(|run| {
            !run.done || period(set.frequency, now, day) > period(set.frequency, run.started, day)
        })
}

impl ObjectStore {
    /// Which day it is, by the store's calendar.
    pub(crate) fn today(&self) -> i64 {
        day_of(self.clock.now(), self.day)
    }

    /// How long until the next day.
    pub(crate) fn until_tomorrow(&self) -> Duration {
        let day = i64::try_from(self.day.as_millis()).unwrap_or(i64::MAX).max(1);
        let left = day - self.clock.now().as_millis().rem_euclid(day);
        Duration::from_millis(u64::try_from(left).unwrap_or(1))
    }

    /// The configurations of all buckets whose report is due.
    pub(crate) async fn due_inventories(&self) -> Result<Vec<(BucketName, String)>> {
        let mut due = Vec::new();
        for name in self.marked(SettingKind::Inventory).await? {
            let mut after: Option<String> = None;
            let mut any = false;
            loop {
                let page = self.list_inventories(&name, after.as_deref(), 100).await;
                let (sets, more) = match page {
                    Err(Error::NoSuchBucket) => break,
                    page => page?,
                };
                any |= !sets.is_empty();
                for set in &sets {
                    let (_, [raw]) = self.view_with(&name, [run_row(&set.id)]).await?;
                    let run = raw.map(|raw| Run::from_bytes(&raw)).transpose()?;
                    if is_due(set, run.as_ref(), self.clock.now(), self.day) {
                        due.push((name.clone(), set.id.clone()));
                    }
                }
                after = sets.last().map(|set| set.id.clone());
                if !more {
                    break;
                }
            }
            if !any {
                // The bucket or its last configuration is gone. One that is set right now rings the bell behind its mark.
                self.mark(SettingKind::Inventory, &name, false).await?;
                if self.list_inventories(&name, None, 1).await.is_ok_and(|(sets, _)| !sets.is_empty()) {
                    self.mark(SettingKind::Inventory, &name, true).await?;
                }
            }
        }
        Ok(due)
    }

    /// Records that a run begins, or goes on from its beginning. `None`: the configuration is not to be reported on (any more).
    pub(crate) async fn begin_run(&self, name: &BucketName, id: &str) -> Result<Option<(Inventory, Run)>> {
        let set_row = tables::setting(SettingKind::Inventory, id);
        let (view, [set, run]) = self.view_with(name, [set_row.clone(), run_row(id)]).await?;
        let Some(set) = set.map(|raw| Inventory::from_bytes(&raw)).transpose()? else { return Ok(None) };
        let known = run.map(|raw| Run::from_bytes(&raw)).transpose()?;
        let now = self.clock.now();
        if !is_due(&set, known.as_ref(), now, self.day) {
            return Ok(None);
        }
        let goes_on = |run: &Run| {
            !run.done && period(set.frequency, now, self.day) == period(set.frequency, run.started, self.day)
        };
        if let Some(run) = known.filter(goes_on) {
            return Ok(Some((set, run)));
        }
        let run = Run { id: random_bytes(&*self.entropy), started: now, done: false };
        let checks = vec![Check::Unchanged(set_row), Check::Unchanged(run_row(id))];
        let writes = vec![Write::Put(run_row(id), run.to_bytes())];
        let (partition, read_version) = (view.bucket.partition, view.snapshot.read_version());
        let won = won(self.commit(partition, read_version, checks, writes).await)?;
        // Where it was set anew meanwhile, the bell has rung.
        Ok(won.then_some((set, run)))
    }

    /// Records that a run is done, unless its configuration is gone.
    pub(crate) async fn end_run(&self, name: &BucketName, id: &str, run: Run) -> Result<()> {
        for _ in 0..ATTEMPTS_MAX {
            let row = run_row(id);
            let (view, [raw]) = self.view_with(name, [row.clone()]).await?;
            let known = raw.map(|raw| Run::from_bytes(&raw)).transpose()?;
            if known.is_none_or(|known| known.id != run.id) {
                return Ok(());
            }
            let writes = vec![Write::Put(row.clone(), Run { done: true, ..run }.to_bytes())];
            let read_version = view.snapshot.read_version();
            let checks = vec![Check::Unchanged(row)];
            let outcome = self.commit(view.bucket.partition, read_version, checks, writes).await;
            if won(outcome)? {
                return Ok(());
            }
        }
        Err(contended())
    }
}

#[cfg(test)]
mod tests {
    use super::{Run, is_due};
    use crate::setting::{Inventory, InventoryFrequency, InventoryVersions};
    use crate::{BucketName, DAY};
    use engine::clock::Timestamp;
    use std::time::Duration;

    fn wanted(frequency: InventoryFrequency) -> Inventory {
        Inventory {
            id: "i".to_owned(),
            enabled: true,
            frequency,
            versions: InventoryVersions::Current,
            prefix: None,
            destination: BucketName::parse("target").unwrap(),
            destination_prefix: None,
            account: None,
            encrypted: false,
            fields: Vec::new(),
        }
    }

    #[test]
    fn reports_are_due_once_a_day_or_from_sunday_on() {
        let (daily, weekly) = (wanted(InventoryFrequency::Daily), wanted(InventoryFrequency::Weekly));
        // Saturday, 2023-11-18, at noon.
        let saturday = Timestamp::from_millis(1_700_308_800_000);
        let hours = |hours: u64| saturday.plus(Duration::from_hours(hours));
        let run = |done| Run { id: [0; 16], started: saturday, done };
        for (set, run, at, day, due) in [
            (&daily, None, saturday, DAY, true),
            (&daily, Some(run(true)), hours(11), DAY, false),
            (&daily, Some(run(true)), hours(12), DAY, true),
            (&daily, Some(run(false)), hours(0), DAY, true),
            (&weekly, None, saturday, DAY, true),
            (&weekly, Some(run(true)), hours(11), DAY, false),
            (&weekly, Some(run(true)), hours(12), DAY, true),
            // Days of a second: a week has seven of them.
            (&daily, Some(run(true)), saturday.plus(Duration::from_secs(1)), Duration::from_secs(1), true),
            (&weekly, Some(run(true)), saturday.plus(Duration::from_secs(7)), Duration::from_secs(1), true),
            // A clock that was set back makes none anew.
            (&daily, Some(run(true)), Timestamp::from_millis(0), DAY, false),
        ] {
            assert_eq!(is_due(set, run.as_ref(), at, day), due, "{set:?} {run:?} {at:?}");
        }
        let off = Inventory { enabled: false, ..daily };
        assert!(!is_due(&off, None, saturday, DAY));
        let sunday = Run { id: [0; 16], started: hours(24), done: true };
        assert!(!is_due(&weekly, Some(&sunday), hours(24 * 6 + 35), DAY), "Saturday, at 23:00");
        assert!(is_due(&weekly, Some(&sunday), hours(24 * 7 + 12), DAY), "Sunday, at 0:00");
    }
}
