//! Inventory reports: lists of a bucket's objects, made by a worker on the days that are wanted and written into another bucket in
//! S3's layout.
//!
//! ```text
//!   set_inventory ─► root: mark ─► bucket: SETTINGS (kind, id) ─► bell
//!   worker: look ─► due? ─► run recorded: SETTINGS (kind, id, 0) ─► pages of rows ─► data/….csv.gz ─► manifest.json ─► its checksum
//!                                                                                                          └─► run: done
//! ```
//!
//! # Invariants
//! - Bytes before names: a manifest is written when every file that it lists is. The checksum is the last, as in S3: who waits for
//!   it finds a report that is whole.
//! - A crash leaves a run that is not done. What it wrote is removed, and it is made again from its beginning (`run`).
//! - A report is read in pages, each at a version of its own: it has every object that was there throughout, as listings do.
//! - Accounts take turns (`turns`), one page at a time, one file under way: the memory of one page and of one compressor,
//!   and of each account no more than the place of one report and the names of its buckets.
//! - A report goes into the bucket that was looked at when it began, and into no other one of that name.
//!
//! # Limits
//! 1,000 rows a step; a data file has [`FILE_BYTES`] at the most, before its last page.

mod failing;
mod job;
mod report;
mod run;
mod schedule;
mod turns;
mod waits;

pub use failing::{InventoryFailure, Whose};
#[cfg(test)]
pub(crate) use job::{Job, Step};
#[cfg(test)]
pub(crate) use run::{Run, Wrote};
#[cfg(test)]
pub(crate) use schedule::Begun;
pub(crate) use turns::{Pace, Turns};

use crate::change::Change;
use crate::setting::{INVENTORIES_MAX, Inventory};
use crate::store::View;
use crate::{BucketName, Error, ObjectStore, Result, SettingKind, tables};
use engine::catalog::record::Record;
use engine::catalog::{Key, Scan, Snapshot, key_after};
use parking_lot::Mutex;
use security::Question;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::Notify;

/// Compressed bytes of a data file.
pub(crate) const FILE_BYTES: u64 = 64 << 20;

/// What is known of reports in this process.
#[derive(Default)]
pub(crate) struct Inventories {
    /// Rung when a configuration changed.
    pub(crate) bell: Arc<Notify>,
    /// Whoever sets a configuration holds it from the mark to the setting, whoever takes a mark away from his look to the end.
    changing: tokio::sync::Mutex<()>,
    /// Of which buckets.
    changed: Mutex<BTreeSet<BucketName>>,
    failing: Mutex<BTreeMap<(BucketName, Whose), InventoryFailure>>,
}

impl Inventories {
    pub(crate) fn ring(&self, bucket: &BucketName) {
        self.changed.lock().insert(bucket.unbound());
        self.bell.notify_one();
    }

    /// Buckets whose configurations changed since the last call.
    pub(crate) fn take_changed(&self) -> BTreeSet<BucketName> {
        std::mem::take(&mut *self.changed.lock())
    }
}

/// What is there of a configuration.
struct Known {
    run_row: Key,
    configuration: Option<Result<Inventory>>,
    run: Option<Result<run::Run>>,
}

impl Known {
    fn run_is_damaged(&self) -> bool {
        matches!(self.run, Some(Err(_)))
    }

    /// What goes beside a change of the configuration: nobody else changed its run, whose row goes with it or stays.
    fn beside(&self, without_run: bool) -> Change {
        let change = Change::default().unchanged(self.run_row.clone());
        if without_run { change.delete(self.run_row.clone()) } else { change }
    }

    /// Says that it went though it could not be read.
    fn tell(&self, bucket: &BucketName, what: &'static str) {
        let errors = [
            self.configuration.as_ref().and_then(|known| known.as_ref().err()),
            self.run.as_ref().and_then(|run| run.as_ref().err()),
        ];
        for error in errors.into_iter().flatten() {
            tracing::warn!(%bucket, %error, "a damaged inventory configuration is {what}");
        }
    }
}

async fn known(view: &View, id: &str) -> Result<Known> {
    let configuration = view.snapshot.get(tables::setting(SettingKind::Inventory, id)).await?;
    let run = view.snapshot.get(run::run_row(id)).await?;
    Ok(Known {
        run_row: run::run_row(id),
        configuration: configuration.map(|raw| read(id, &raw)),
        run: run.map(|raw| read(id, &raw)),
    })
}

/// Configurations of a bucket, those that can't be read among them.
async fn count(snapshot: &dyn Snapshot) -> Result<usize> {
    let mut count = 0;
    let first = Scan::prefix(tables::SETTINGS, &[SettingKind::Inventory.tag()], 1_000);
    let mut next = Some(Scan { keys_only: true, ..first });
    while let Some(scan) = next {
        let page = snapshot.scan(scan.clone()).await?;
        count += page.rows.iter().filter(|(key, _)| run::run_of(key).is_none()).count();
        next = scan.behind(&page);
    }
    Ok(count)
}

/// The id in a configuration's key.
fn id_of(key: &[u8]) -> Result<String> {
    Ok(tables::text(key.get(1..).unwrap_or_default().to_vec())?)
}

/// A configuration or its run; the error names it.
fn read<R: Record>(id: &str, raw: &[u8]) -> Result<R> {
    R::from_bytes(raw).map_err(|error| match error {
        engine::Error::Corrupt { what, detail } => {
            engine::Error::Corrupt { what: format!("{what} of id {id}"), detail }.into()
        }
        other => other.into(),
    })
}

impl ObjectStore {
    /// Has reports made. The destination must be the same account's: no policy can let another one's in.
    pub async fn set_inventory(&self, name: &BucketName, set: &Inventory) -> Result<()> {
        let invalid = |detail| Error::InvalidArgument { name: "S3BucketDestination", detail };
        let owner = self.view(name).await?.bucket.account;
        let destination = match self.view(&set.destination).await {
            Ok(view) => view,
            Err(Error::NoSuchBucket) => return Err(invalid("The destination bucket does not exist.")),
            Err(error) => return Err(error),
        };
        if destination.bucket.account != owner || set.account.is_some_and(|said| said != owner) {
            return Err(invalid("The destination bucket is not the account's."));
        }
        let _changing = self.inventories.changing.lock().await;
        self.mark(SettingKind::Inventory, name.as_str(), true).await?;
        let known = self.transact(|| async {
            let view = self.view(name).await?;
            let known = known(&view, &set.id).await?;
            if known.configuration.is_none() && count(&*view.snapshot).await? >= INVENTORIES_MAX {
                return Err(Error::TooManyConfigurations { limit: INVENTORIES_MAX });
            }
            // Of a run that can't be read nobody knows what it wrote: the next one begins as the first.
            let beside = known.beside(known.run_is_damaged());
            Ok(self.try_replace_named(&view, &set.id, beside, Some(set)).await?.map(|()| known))
        });
        known.await?.tell(name, "set anew");
        self.inventories.ring(name);
        Ok(())
    }

    /// Refuses who may not write there themselves what they want to have written: reports come whatever is denied there by then.
    pub async fn check_reporter(&self, name: &BucketName, set: &Inventory, asks: &Question) -> Result<()> {
        let (stem, owner) = (report::stem(name, set), self.view(name).await?.bucket.account);
        let now = self.clock.now();
        let [manifest, checksum] =
            [report::MANIFEST, report::MANIFEST_CHECKSUM].map(|name| report::manifest_key(&stem, now, name));
        let keys = [manifest, checksum, report::data_key(&stem, &[0; 16], 0)];
        self.check_deliverer(owner, (&set.destination, &keys), asks).await
    }

    /// A configuration.
    pub async fn inventory(&self, name: &BucketName, id: &str) -> Result<Inventory> {
        let row = tables::setting(SettingKind::Inventory, id);
        let (_, [raw]) = self.view_with(name, [row]).await?;
        read(id, &raw.ok_or(Error::NoSuchConfiguration)?)
    }

    /// Has no more of these reports made, whether its configuration can be read or not. Those that are there stay; what there is of
    /// one under way goes.
    pub async fn remove_inventory(&self, name: &BucketName, id: &str) -> Result<()> {
        let known = self.transact(|| async {
            let view = self.view(name).await?;
            let known = known(&view, id).await?;
            if known.configuration.is_none() {
                return Err(Error::NoSuchConfiguration);
            }
            // What one that is under way wrote the worker removes, and then its row.
            let is_over = known.run_is_damaged()
                || known.run.as_ref().is_some_and(|run| run.as_ref().is_ok_and(|run| run.done));
            let beside = known.beside(is_over);
            Ok(self.try_replace_named::<Inventory>(&view, id, beside, None).await?.map(|()| known))
        });
        known.await?.tell(name, "deleted");
        self.inventories.well(name, id);
        self.inventories.ring(name);
        Ok(())
    }

    /// Configurations behind an id, in order of ids, and whether there are more.
    pub async fn list_inventories(
        &self,
        name: &BucketName,
        after: Option<&str>,
        max: usize,
    ) -> Result<(Vec<Inventory>, bool)> {
        let view = self.view(name).await?;
        self.inventories_at(&*view.snapshot, after, max).await
    }

    async fn inventories_at(
        &self,
        snapshot: &dyn Snapshot,
        after: Option<&str>,
        max: usize,
    ) -> Result<(Vec<Inventory>, bool)> {
        let mut scan = Scan::prefix(tables::SETTINGS, &[SettingKind::Inventory.tag()], 1_000);
        if let Some(id) = after {
            // Behind the run of this id, too.
            scan.start = scan.start.max(key_after(&run::run_row(id).bytes));
        }
        let (mut found, mut next) = (Vec::new(), Some(scan));
        while let Some(scan) = next {
            let page = snapshot.scan(scan.clone()).await?;
            for (key, raw) in page.rows.iter().filter(|(key, _)| run::run_of(key).is_none()) {
                if found.len() == max {
                    return Ok((found, true));
                }
                found.push(read(&id_of(key)?, raw)?);
            }
            next = scan.behind(&page);
        }
        Ok((found, false))
    }
}
