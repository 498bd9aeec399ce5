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

use crate::setting::{INVENTORIES_MAX, Inventory};
use crate::stack::Change;
use crate::store::{ATTEMPTS_MAX, contended};
use crate::{BucketName, Error, ObjectStore, Result, SettingKind, tables};
use engine::catalog::record::Record;
use engine::catalog::{Check, Scan, Snapshot, Write, key_after};
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
        for _ in 0..ATTEMPTS_MAX {
            let view = self.view(name).await?;
            let row = tables::setting(SettingKind::Inventory, &set.id);
            if view.snapshot.get(row).await?.is_none() {
                let (known, _) = self.inventories_at(&*view.snapshot, None, INVENTORIES_MAX).await?;
                if known.len() >= INVENTORIES_MAX {
                    return Err(Error::TooManyConfigurations { limit: INVENTORIES_MAX });
                }
            }
            let change = |_old: Option<Inventory>| Ok(Some(set.clone()));
            if self.try_change_named(&view, &set.id, Change::default(), change).await? {
                self.inventories.ring(name);
                return Ok(());
            }
        }
        Err(contended())
    }

    /// Refuses who may not write there themselves what they want to have written: reports come whatever is denied there by then.
    pub async fn check_reporter(&self, name: &BucketName, set: &Inventory, asks: &Question) -> Result<()> {
        let (stem, owner) = (report::stem(name, set), self.view(name).await?.bucket.account);
        let manifest = report::manifest_key(&stem, self.clock.now(), report::MANIFEST);
        let keys = [manifest, report::data_key(&stem, &[0; 16], 0)];
        self.check_deliverer(owner, (&set.destination, &keys), asks).await
    }

    /// A configuration.
    pub async fn inventory(&self, name: &BucketName, id: &str) -> Result<Inventory> {
        let row = tables::setting(SettingKind::Inventory, id);
        let (_, [raw]) = self.view_with(name, [row]).await?;
        Ok(Inventory::from_bytes(&raw.ok_or(Error::NoSuchConfiguration)?)?)
    }

    /// Has no more of these reports made. Those that are there stay; what there is of one under way goes.
    pub async fn remove_inventory(&self, name: &BucketName, id: &str) -> Result<()> {
        for _ in 0..ATTEMPTS_MAX {
            let view = self.view(name).await?;
            let row = tables::setting(SettingKind::Inventory, id);
            if view.snapshot.get(row).await?.is_none() {
                return Err(Error::NoSuchConfiguration);
            }
            let run = view.snapshot.get(run::run_row(id)).await?;
            let run = run.map(|raw| run::Run::from_bytes(&raw)).transpose()?;
            let writes = match run.filter(|run| run.done) {
                Some(_) => vec![Write::Delete(run::run_row(id))],
                // The worker removes what it wrote, and then the row.
                None => Vec::new(),
            };
            let checks = vec![Check::Unchanged(run::run_row(id))];
            let beside = Change { checks, writes, ..Change::default() };
            if self.try_change_named(&view, id, beside, |_old: Option<Inventory>| Ok(None)).await? {
                self.inventories.well(name, id);
                self.inventories.ring(name);
                return Ok(());
            }
        }
        Err(contended())
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
            for (_, raw) in page.rows.iter().filter(|(key, _)| run::run_of(key).is_none()) {
                if found.len() == max {
                    return Ok((found, true));
                }
                found.push(Inventory::from_bytes(raw)?);
            }
            next = scan.behind(&page);
        }
        Ok((found, false))
    }
}
