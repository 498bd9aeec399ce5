//! What restoring a prefix would come to: counted, and nothing asked for.

use crate::record::ObjectRow;
use crate::{BucketName, Error, ErrorKind, ObjectStore, RestoreTier, Result, StorageClass, tables};
use archive::retrieval::{Depth, Timetable};
use bytes::Bytes;
use engine::catalog::key_after;
use engine::catalog::record::Record as _;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Archives of a page whose places are looked up; the page ends there.
const LOOKED_UP_MAX: usize = 250;

/// What there is of a class. What it would cost has its place here: of a class and a tier, by objects and bytes to ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EstimateRow {
    /// Objects that would be asked for.
    pub ask: u64,
    /// Their bytes.
    pub ask_bytes: u64,
    /// Of these, those whose bytes lie in a vault; the others lie in the pool, and are there as soon as they are asked for.
    pub vault: u64,
    /// Their bytes.
    pub vault_bytes: u64,
    /// Objects that are on their way.
    pub under_way: u64,
    /// Objects that can be read by now.
    pub there: u64,
}

/// A page of an estimate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EstimatePage {
    /// What there is of each class that is archived.
    pub classes: BTreeMap<StorageClass, EstimateRow>,
    /// Objects of other classes.
    pub not_archived: u64,
    /// Objects whose rows can't be read.
    pub damaged: u64,
    /// Media that are to be read, by their labels: objects that have bytes there, and why one can't be used now.
    pub media: BTreeMap<String, (u64, Option<String>)>,
    /// Where the next page begins.
    pub after: Option<String>,
}

impl ObjectStore {
    /// Counts what restoring a prefix would ask for, a page at a time.
    pub async fn estimate_restore(
        self: &Arc<Self>,
        bucket: &BucketName,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<EstimatePage> {
        let view = self.view(bucket).await?;
        let cursor = after.map_or_else(Bytes::new, |after| key_after(after.as_bytes()));
        let (page, behind) = self.page_below(&view, (prefix, &cursor)).await?;
        let (now, mut estimate) = (self.clock.now(), EstimatePage::default());
        let away: BTreeMap<String, Option<String>> = match &self.vaults {
            Some(vaults) => vaults.media().into_iter().map(|medium| (medium.label, medium.away)).collect(),
            None => BTreeMap::new(),
        };
        let mut looked_up = 0;
        for (at, (raw, value)) in page.rows.iter().enumerate() {
            let Ok(row) = ObjectRow::from_bytes(value) else {
                estimate.damaged += 1;
                continue;
            };
            let Some(stored) = row.stored.as_ref().filter(|stored| stored.class.is_archived()) else {
                estimate.not_archived += 1;
                continue;
            };
            let of_class = estimate.classes.entry(stored.class).or_default();
            let cold = stored.cold.unwrap_or_default();
            match cold.restore.map(|restore| restore.until) {
                Some(None) => {
                    of_class.under_way += 1;
                    continue;
                }
                Some(Some(until)) if until > now => {
                    of_class.there += 1;
                    continue;
                }
                _ => {}
            }
            of_class.ask += 1;
            of_class.ask_bytes += stored.extent.length;
            let Some(archive) = cold.archive else { continue };
            of_class.vault += 1;
            of_class.vault_bytes += stored.extent.length;
            let Some(vaults) = &self.vaults else {
                let why = Some("the configuration opens none (vault.enabled)".to_owned());
                estimate.media.entry("a vault".to_owned()).or_insert((0, why)).0 += 1;
                continue;
            };
            let mut labels: Vec<String> = match vaults
                .whereabouts(view.bucket.partition, archive.id)
                .await
                .map_err(crate::cold::of_vault)
            {
                Ok(places) => places.packs.into_iter().map(|(_, label, _)| label).collect(),
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    estimate.damaged += 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            labels.sort();
            labels.dedup();
            for label in labels {
                let why =
                    away.get(&label).cloned().unwrap_or_else(|| Some("it is not configured".to_owned()));
                estimate.media.entry(label).or_insert((0, why)).0 += 1;
            }
            looked_up += 1;
            if looked_up >= LOOKED_UP_MAX && at + 1 < page.rows.len() {
                estimate.after = Some(tables::text(raw.to_vec())?);
                return Ok(estimate);
            }
        }
        if behind.is_some()
            && let Some((raw, _)) = page.rows.last()
        {
            estimate.after = Some(tables::text(raw.to_vec())?);
        }
        Ok(estimate)
    }

    /// How long what lies in a vault may take, by class and tier: the deadline that each restore gets. `None`: there is no such tier.
    pub fn restore_takes(&self, class: StorageClass, tier: RestoreTier) -> Result<Option<Duration>> {
        let depth = match class {
            StorageClass::DeepArchive => Depth::Deep,
            StorageClass::Glacier => Depth::Flexible,
            _ => return Err(Error::InvalidArgument { name: "class", detail: "Nothing of it is archived" }),
        };
        let timetable = Timetable { kept: false, day: self.day };
        Ok(timetable.window(depth, tier).map(|window| window.latest))
    }
}
