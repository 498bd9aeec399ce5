//! Marks in root: which buckets may have a setting of a kind, so that a start needs not look through all buckets for it.
//!
//! Whoever sets such a setting marks first; a mark that stands for nothing is what a crash leaves, and whoever finds it takes it away.

use super::SettingKind;
use crate::change::Change;
use crate::{BucketName, ObjectStore, Result, tables};
use engine::catalog::Scan;
use engine::id::PartitionId;

impl ObjectStore {
    /// Says that a bucket may have a setting of this kind, or that it has none. `of`: the bucket, as the kind names it.
    pub(crate) async fn mark(&self, kind: SettingKind, of: &str, present: bool) -> Result<()> {
        let root = self.catalog.snapshot(PartitionId::ROOT).await?;
        let row = tables::setting(kind, of);
        if root.get(row.clone()).await?.is_some() == present {
            return Ok(());
        }
        let change = Change::default().known_by(kind.layout());
        let change = if present { change.put(row, tables::PRESENT) } else { change.delete(row) };
        self.commit(change.at(PartitionId::ROOT, &*root)).await?;
        Ok(())
    }

    /// The buckets that are [marked](Self::mark), by a kind that goes by names.
    pub(crate) async fn marked(&self, kind: SettingKind) -> Result<Vec<BucketName>> {
        self.marks(kind).await?.iter().map(|name| BucketName::parse(name)).collect()
    }

    /// All marks of a kind.
    pub(crate) async fn marks(&self, kind: SettingKind) -> Result<Vec<String>> {
        let root = self.catalog.snapshot(PartitionId::ROOT).await?;
        let mut found = Vec::new();
        let scan = Scan::prefix(tables::SETTINGS, &[kind.tag()], 1_000);
        let mut next = Some(Scan { keys_only: true, ..scan });
        while let Some(scan) = next {
            let page = root.scan(scan.clone()).await?;
            for (raw, _) in &page.rows {
                found.push(tables::text(raw.get(1..).unwrap_or_default().to_vec())?);
            }
            next = scan.behind(&page);
        }
        Ok(found)
    }
}
