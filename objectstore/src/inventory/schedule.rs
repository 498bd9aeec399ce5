//! When reports are due.
//!
//! A report is due once in each day, or week, of UTC; the first one as soon as it is asked for. Who was switched off for a while
//! makes one, not one for each day missed. Days are the store's own: shorter in rehearsals.

use super::job::Job;
use super::report;
use super::run::{Run, Wrote, run_of, run_row};
use crate::change::Change;
use crate::setting::{Inventory, InventoryFrequency};
use crate::transact::Attempt;
use crate::{BucketName, Error, ObjectStore, Result, SettingKind, tables};
use engine::catalog::Scan;
use engine::catalog::record::Record;
use engine::clock::Timestamp;
use engine::id::random_bytes;
use security::AccountId;
use std::time::Duration;

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

/// How a report begins.
pub(crate) enum Begun {
    Job(Box<Job>),
    /// It is not wanted (any more).
    Nothing,
    /// What one that came to nothing left is being removed: there is more of it.
    Clearing,
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

    /// The configurations of a bucket whose report is due, and those of which a run is left that nobody carries on, wanted or not.
    /// Nothing where the bucket is not this account's (any more).
    pub(crate) async fn due_in(&self, name: &BucketName, account: AccountId) -> Result<Vec<String>> {
        let view = match self.view(name).await {
            Err(Error::NoSuchBucket) => {
                self.unmark_inventories(name).await?;
                return Ok(Vec::new());
            }
            view => view?,
        };
        if view.bucket.account != account {
            // Its owner's turn, who is known by now.
            self.inventories.ring(name);
            return Ok(Vec::new());
        }
        let (now, mut due, mut any) = (self.clock.now(), Vec::new(), false);
        let mut add = |set: Inventory, run: Option<&Run>| {
            if is_due(&set, run, now, self.day) || run.is_some_and(|run| !run.done) {
                due.push(set.id);
            }
        };
        // A run's row is the next one behind its configuration's.
        let mut last: Option<Inventory> = None;
        let mut left = Vec::new();
        let mut next = Some(Scan::prefix(tables::SETTINGS, &[SettingKind::Inventory.tag()], 1_000));
        while let Some(scan) = next {
            let page = view.snapshot.scan(scan.clone()).await?;
            for (key, raw) in &page.rows {
                any = true;
                let Some(id) = run_of(key) else {
                    if let Some(set) = last.replace(super::read(&super::id_of(key)?, raw)?) {
                        add(set, None);
                    }
                    continue;
                };
                let run: Run = super::read(&tables::text(id.to_vec())?, raw)?;
                if let Some(set) = last.take_if(|set| set.id.as_bytes() == id) {
                    add(set, Some(&run));
                } else if !run.done {
                    left.push(tables::text(id.to_vec())?);
                }
            }
            next = scan.behind(&page);
        }
        if let Some(set) = last {
            add(set, None);
        }
        due.append(&mut left);
        if any {
            // Whatever took the mark away meanwhile: it stands for what was seen here.
            self.mark(SettingKind::Inventory, name.as_str(), true).await?;
        } else {
            self.unmark_inventories(name).await?;
        }
        Ok(due)
    }

    /// Takes the mark away where nothing stands behind it: the bucket or its last configuration is gone. Whoever sets one right now
    /// sets the mark, too.
    pub(crate) async fn unmark_inventories(&self, name: &BucketName) -> Result<()> {
        let _changing = self.inventories.changing.lock().await;
        let any = match self.view(name).await {
            Ok(view) => {
                let first = Scan::prefix(tables::SETTINGS, &[SettingKind::Inventory.tag()], 1);
                !view.snapshot.scan(first).await?.rows.is_empty()
            }
            Err(Error::NoSuchBucket) => false,
            Err(error) => return Err(error),
        };
        if any { Ok(()) } else { self.mark(SettingKind::Inventory, name.as_str(), false).await }
    }

    /// Begins a report, once nothing is left of one that came to nothing. `file_bytes`: from where on a data file is full.
    pub(crate) async fn begin_inventory(
        &self,
        name: &BucketName,
        id: &str,
        file_bytes: u64,
    ) -> Result<Begun> {
        let rows = [tables::setting(SettingKind::Inventory, id), run_row(id)];
        self.transact(|| async {
            let (view, [set, run]) = match self.view_with(name, rows.clone()).await {
                Err(Error::NoSuchBucket) => return Ok(Attempt::Answer(Begun::Nothing)),
                found => found?,
            };
            let name = name.bound_to(view.bucket);
            let known = run.map(|raw| Run::from_bytes(&raw)).transpose()?;
            if let Some(left) = known.as_ref().filter(|known| !known.done) {
                let settled = self.settle_run(&name, id, left).await?;
                return Ok(if settled { Attempt::Again } else { Attempt::Answer(Begun::Clearing) });
            }
            let Some(set) = set.map(|raw| Inventory::from_bytes(&raw)).transpose()? else {
                return Ok(Attempt::Answer(Begun::Nothing));
            };
            let now = self.clock.now();
            if !is_due(&set, known.as_ref(), now, self.day) {
                return Ok(Attempt::Answer(Begun::Nothing));
            }
            // Another account may have the destination's name by now. From here on it is this bucket and no other.
            let destination = self.view(&set.destination).await?.bucket;
            if destination.account != view.bucket.account {
                return Err(Error::AccessDenied);
            }
            let wrote = Wrote {
                destination: set.destination.clone(),
                partition: destination.partition,
                stem: report::stem(&name, &set),
                files: 0,
                manifest: None,
            };
            let run = Run { id: random_bytes(&*self.entropy), started: now, done: false, wrote: Some(wrote) };
            let [configuration, row] = rows.clone();
            let change = Change::default().unchanged(configuration).unchanged(row.clone());
            let change = change.put(row, run.to_bytes());
            let destination = set.destination.bound_to(destination);
            let job = Job::new(name, (set, destination), run, file_bytes);
            Ok(Attempt::Commit(change.of(&view), Begun::Job(Box::new(job))))
        })
        .await
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
        let run = |done| Run { id: [0; 16], started: saturday, done, wrote: None };
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
        let sunday = Run { started: hours(24), ..run(true) };
        assert!(!is_due(&weekly, Some(&sunday), hours(24 * 6 + 35), DAY), "Saturday, at 23:00");
        assert!(is_due(&weekly, Some(&sunday), hours(24 * 7 + 12), DAY), "Sunday, at 0:00");
    }
}
