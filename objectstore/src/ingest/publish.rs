//! Gives staged entries their names, or releases them: for the request that staged them, and for the worker after a crash.

use super::{PUBLISHED_AT_ONCE, conditions};
use crate::change::Change;
use crate::envelope::Material;
use crate::event::Occasion;
use crate::id::IngestId;
use crate::publish::{Draft, Expected};
use crate::record::{IngestRow, IngestState, StagedRow};
use crate::stack::release_content;
use crate::store::Bucket;
use crate::transact::Attempt;
use crate::{BucketName, Error, IngestOutcome, ObjectKey, ObjectStore, Result, tables};
use bytes::Bytes;
use engine::catalog::record::Record;
use engine::catalog::{Key, Page, Scan, Write};
use engine::id::PartitionId;
use engine::unit::ByteCount;
use futures_util::{StreamExt, TryStreamExt, stream};

/// Staged rows that are read at once.
const PAGE: usize = 256;

/// What became of one staged entry.
enum Named {
    /// It is an object of so many bytes.
    Object(ByteCount),
    /// The bucket does not take it any more.
    Refused(ObjectKey, Error),
    /// Somebody else saw to it.
    Elsewhere,
}

/// Whether an error is about one entry, and about what the bucket is like by now; anything else is the store's own trouble, and
/// the entry keeps its claim to a name.
const fn is_of_entry(error: &Error) -> bool {
    matches!(
        error,
        Error::PreconditionFailed { .. }
            | Error::QuotaExceeded { .. }
            | Error::ObjectLocked
            | Error::AccessDenied
            | Error::AccessListsOff
            | Error::InvalidRequest { .. }
    )
}

impl ObjectStore {
    /// Names everything that a decided ingest has staged, and ends it.
    pub(super) async fn publish_all(
        &self,
        bucket: Bucket,
        id: IngestId,
        row: &IngestRow,
        outcome: &mut IngestOutcome,
    ) -> Result<()> {
        let name = BucketName::parse(&row.bucket)?.bound_to(bucket);
        let mut next = Some(Scan::prefix(tables::STAGED, id.as_bytes(), PAGE));
        while let Some(scan) = next {
            let page = self.staged(bucket.partition, scan.clone()).await?;
            for named in self.publish_page(bucket, (id, row, &name), &page).await? {
                match named {
                    Named::Object(size) => {
                        outcome.objects += 1;
                        outcome.bytes = ByteCount::new(outcome.bytes.get() + size.get());
                    }
                    Named::Refused(key, error) => outcome.refused.push((key, error)),
                    Named::Elsewhere => {}
                }
            }
            next = scan.behind(&page);
        }
        self.end(bucket.partition, id, row).await
    }

    async fn staged(&self, partition: PartitionId, scan: Scan) -> Result<Page> {
        Ok(self.catalog.snapshot(partition).await?.scan(scan).await?)
    }

    async fn publish_page<'p>(
        &'p self,
        bucket: Bucket,
        of: (IngestId, &'p IngestRow, &'p BucketName),
        page: &'p Page,
    ) -> Result<Vec<Named>> {
        // Boxed: each holds the state of a whole PUT.
        let entry = |(key, raw): &'p (Bytes, Bytes)| Box::pin(self.publish_entry(bucket, of, key, raw));
        let entries: Vec<_> = page.rows.iter().map(entry).collect();
        stream::iter(entries).buffer_unordered(PUBLISHED_AT_ONCE).try_collect().await
    }

    /// One entry's commit, the same as any PUT's; it takes the staged row away.
    async fn publish_entry(
        &self,
        bucket: Bucket,
        (id, row, name): (IngestId, &IngestRow, &BucketName),
        raw_key: &Bytes,
        raw: &Bytes,
    ) -> Result<Named> {
        let key = ObjectKey::parse(&tables::read_staged(raw_key)?)?;
        let staged = StagedRow::from_bytes(raw)?;
        let aad = staged.additional_data(bucket.partition, id, &key);
        let sealed = self.keys.unseal_bytes(&staged.sealed, &aad)?;
        let material = Material::read(staged.stored.envelope, &sealed)?;
        let at = tables::staged(id, &key);
        let size = staged.stored.size();
        let conditions = conditions(row.if_absent);
        // It was asked about when it came, and the archive was decided since. Its own row keeps its bytes.
        let draft = Draft {
            subresources: row.subresources.clone(),
            writer: Some(&row.writer),
            writes: vec![Write::Delete(at.clone())],
            expect: vec![(at, Expected::Is(Some(raw.clone())))],
            tells: Some(Occasion::of_put(name, &row.origin)),
            ..Draft::object(bucket, &key, staged.stored.clone(), material.as_ref(), &conditions)
        };
        match self.publish(&draft).await {
            Ok(Some(_)) => Ok(Named::Object(size)),
            Ok(None) => Ok(Named::Elsewhere),
            Err(error) if is_of_entry(&error) => {
                self.release_page(bucket.partition, &[(raw_key.clone(), raw.clone())]).await?;
                Ok(Named::Refused(key, error))
            }
            Err(error) => Err(error),
        }
    }

    /// Lets go of staged entries and of their bytes, in one commit.
    async fn release_page(&self, partition: PartitionId, rows: &[(Bytes, Bytes)]) -> Result<u64> {
        let keys: Vec<Key> = rows.iter().map(|(key, _)| tables::STAGED.key(key.clone())).collect();
        self.transact(|| async {
            let snapshot = self.catalog.snapshot(partition).await?;
            let found = snapshot.multi_get(keys.clone()).await?;
            if !found.iter().zip(rows).all(|(found, (_, raw))| found.as_ref() == Some(raw)) {
                // Somebody else saw to one of them: what is left is looked at again.
                return Ok(Attempt::Answer(1));
            }
            let mut change = Change::default().freeing();
            for (at, (_, raw)) in keys.iter().zip(rows) {
                let extent = StagedRow::from_bytes(raw)?.stored.extent;
                let (released, more) = release_content(partition, extent.owner, &extent.content)?;
                change.writes.extend(released);
                change.dirty |= more;
                change = change.delete(at.clone()).unchanged(at.clone());
            }
            Ok(Attempt::Commit(change.at(partition, &*snapshot), rows.len() as u64))
        })
        .await
    }

    /// Takes the row of an ingest away that has nothing staged any more.
    async fn end(&self, partition: PartitionId, id: IngestId, row: &IngestRow) -> Result<()> {
        self.change_ingest(partition, id, row, None).await.map(|_| ())
    }

    /// `false`: it is not as it was, so somebody else saw to it.
    async fn change_ingest(
        &self,
        partition: PartitionId,
        id: IngestId,
        row: &IngestRow,
        to: Option<IngestState>,
    ) -> Result<bool> {
        let at = tables::ingest(id);
        self.transact(|| async {
            let snapshot = self.catalog.snapshot(partition).await?;
            if snapshot.get(at.clone()).await? != Some(row.to_bytes()) {
                return Ok(Attempt::Answer(false));
            }
            let change = Change::default().unchanged(at.clone()).freeing();
            let change = match to {
                None => change.delete(at.clone()),
                Some(state) => change.put(at.clone(), IngestRow { state, ..row.clone() }.to_bytes()),
            };
            Ok(Attempt::Commit(change.at(partition, &*snapshot), true))
        })
        .await
    }

    /// One step of the ingests in a partition that nobody carries on: what was decided is finished, the rest is dropped. Answers
    /// how many rows it saw to. One that fails goes to `aside`, and the next one is seen to.
    pub(crate) async fn finish_ingests(
        &self,
        partition: PartitionId,
        mut aside: impl FnMut(Error) + Send,
    ) -> Result<u64> {
        let mut next = Some(Scan::prefix(tables::INGESTS, b"", PAGE));
        while let Some(scan) = next {
            let page = self.staged(partition, scan.clone()).await?;
            for (raw_id, raw) in &page.rows {
                let one = async {
                    let id = tables::read_id(raw_id)?;
                    // Its request is still at it.
                    if self.is_active(id) {
                        return Ok(0);
                    }
                    let row = IngestRow::from_bytes(raw)?;
                    self.finish_ingest(partition, IngestId::from_bytes(id), &row).await
                };
                match one.await {
                    Ok(0) => {}
                    Ok(done) => return Ok(done),
                    Err(error) => aside(error),
                }
            }
            next = scan.behind(&page);
        }
        Ok(0)
    }

    async fn finish_ingest(&self, partition: PartitionId, id: IngestId, row: &IngestRow) -> Result<u64> {
        let drop_it = || self.change_ingest(partition, id, row, Some(IngestState::Dropped));
        if row.state == IngestState::Receiving {
            drop_it().await?;
            return Ok(1);
        }
        let page = self.staged(partition, Scan::prefix(tables::STAGED, id.as_bytes(), PAGE)).await?;
        if page.rows.is_empty() {
            self.end(partition, id, row).await?;
            return Ok(1);
        }
        if row.state == IngestState::Dropped {
            return self.release_page(partition, &page.rows).await;
        }
        let name = BucketName::parse(&row.bucket)?;
        let found = self.resolve(&name).await?.filter(|bucket| bucket.partition == partition);
        // A bucket that went meanwhile takes no names.
        let Some(bucket) = found else {
            drop_it().await?;
            return Ok(1);
        };
        let name = name.bound_to(bucket);
        let named = match self.publish_page(bucket, (id, row, &name), &page).await {
            Err(Error::NoSuchBucket) => {
                drop_it().await?;
                return Ok(1);
            }
            named => named?,
        };
        let refused = named.iter().filter(|named| matches!(named, Named::Refused(..))).count();
        tracing::info!(
            bucket = row.bucket,
            entries = named.len(),
            refused,
            "finished what an ingest had decided"
        );
        Ok(named.len() as u64)
    }
}
