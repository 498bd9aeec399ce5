//! The record of a configuration's last report, or of the one under way: what it wrote and where, so that what came to nothing is
//! removed again.
//!
//! ```text
//!   begin ─► row: destination, 0 files ─► row: 1 file ─► its bytes ─► … ─► row: the manifest's MD5 ─► manifest.json ─► checksum ─► row: done
//!                                          └──────── given up, or found after a crash ────────┴─► removed, but where the checksum is there
//! ```
//!
//! # Invariants
//! - What is about to be written stands in the row first. So nothing of a run that ended nowhere is left but what an outage of the
//!   very rows leaves, or the end of the bucket that has the row.
//! - Removed is only what the run wrote: its files' names are hashes of its random id; a manifest, whose name could be anybody's, only
//!   where it is byte for byte the run's; and all of it only in the bucket that the run began to write into, whoever has its name.
//! - Clearing up is done in steps of [`STEP_FILES`] files, each recorded, so that it holds up no other account's reports.

use super::report::{self, MANIFEST, MANIFEST_CHECKSUM};
use crate::change::Change;
use crate::store::Bucket;
use crate::transact::Attempt;
use crate::{
    BucketName, DeleteConditions, DeleteRequest, ETag, ETagMatch, Error, ObjectKey, ObjectStore, Origin,
    Result, SettingKind, VersionSelector, VersionsRequest, tables,
};
use engine::catalog::Key;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::clock::Timestamp;
use engine::id::PartitionId;

/// Files of one step of clearing up.
const STEP_FILES: u32 = 16;

/// A report under way, or the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// What its files' names are made of.
    pub(crate) id: [u8; 16],
    /// When it was begun.
    pub(crate) started: Timestamp,
    pub(crate) done: bool,
    /// What it wrote by now; nothing of one that is done.
    pub(crate) wrote: Option<Wrote>,
}

/// What a run wrote, or is about to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrote {
    /// The bucket.
    pub(crate) destination: BucketName,
    pub(crate) partition: PartitionId,
    /// What the keys of the configuration's reports begin with.
    pub(crate) stem: String,
    /// Data files.
    pub(crate) files: u32,
    /// The MD5 of the manifest.
    pub(crate) manifest: Option<[u8; 16]>,
}

impl Record for Run {
    const NAME: &'static str = "inventory run";
    const VERSION: u8 = 2;

    fn version(&self) -> u8 {
        if self.wrote.is_none() { 1 } else { 2 }
    }

    fn encode(&self, out: &mut RecordWriter) {
        out.fixed(&self.id).i64(self.started.as_millis()).u8(u8::from(self.done));
        let Some(wrote) = &self.wrote else { return };
        out.text(wrote.destination.as_str()).fixed(wrote.partition.as_bytes()).text(&wrote.stem);
        out.u32(wrote.files).u8(u8::from(wrote.manifest.is_some()));
        if let Some(md5) = &wrote.manifest {
            out.fixed(md5);
        }
    }

    fn decode(version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let flag = |fields: &mut RecordReader<'_>| match fields.u8()? {
            flag @ 0..=1 => Ok(flag == 1),
            other => Err(fields.corrupt(format!("flag {other}"))),
        };
        let (id, started) = (fields.fixed()?, Timestamp::from_millis(fields.i64()?));
        let done = flag(fields)?;
        if version == 1 {
            return Ok(Self { id, started, done, wrote: None });
        }
        let destination = fields.text()?;
        let destination =
            BucketName::parse(destination).map_err(|_| fields.corrupt("an impossible bucket"))?;
        let (partition, stem) = (PartitionId::from_bytes(fields.fixed()?), fields.text()?.to_owned());
        let files = fields.u32()?;
        let manifest = if flag(fields)? { Some(fields.fixed()?) } else { None };
        Ok(Self { id, started, done, wrote: Some(Wrote { destination, partition, stem, files, manifest }) })
    }
}

/// Where the run of a configuration is recorded: behind its own row. No id has such a byte.
pub(super) fn run_row(id: &str) -> Key {
    tables::setting(SettingKind::Inventory, &format!("{id}\0"))
}

/// The configuration whose run's row this is; `None` for a row of another kind.
pub(super) fn run_of(key: &[u8]) -> Option<&[u8]> {
    key.get(1..)?.strip_suffix(&[0])
}

impl ObjectStore {
    /// Records what a run is about to do, or that it is done; `None`: that it came to nothing. A run that is done while its configuration
    /// goes leaves no row: nobody would take it away, and one of the same id has its own first report. An error where it is not as it
    /// was: the run is somebody else's by now, or its configuration's bucket is gone.
    pub(super) async fn change_run(
        &self,
        bucket: &BucketName,
        id: &str,
        (from, to): (&Run, Option<&Run>),
    ) -> Result<()> {
        let rows = [run_row(id), tables::setting(SettingKind::Inventory, id)];
        self.transact(|| async {
            let (view, [found, set]) = self.view_with(bucket, rows.clone()).await?;
            if found != Some(from.to_bytes()) {
                return Err(Error::NoSuchConfiguration);
            }
            let [row, configuration] = rows.clone();
            let change = Change::default().unchanged(row.clone()).unchanged(configuration);
            let change = match to.filter(|to| !to.done || set.is_some()) {
                Some(to) => change.put(row, to.to_bytes()),
                None => change.delete(row),
            };
            Ok(Attempt::Commit(change.of(&view), ()))
        })
        .await
    }

    /// A step towards the end of a run that nobody carries on: as done where its report is whole, else as one that never was. Answers
    /// whether that is it.
    pub(super) async fn settle_run(&self, bucket: &BucketName, id: &str, run: &Run) -> Result<bool> {
        let to = if self.is_whole(run).await? {
            Some(Run { done: true, wrote: None, ..run.clone() })
        } else {
            self.remove_written(run).await?
        };
        let goes_on = to.as_ref().is_some_and(|to| !to.done);
        match self.change_run(bucket, id, (run, to.as_ref())).await {
            // The bucket is gone, and its rows with it; or somebody else saw to it.
            Err(Error::NoSuchBucket | Error::NoSuchConfiguration) => Ok(true),
            changed => changed.map(|()| !goes_on),
        }
    }

    /// The bucket that a run writes into, if it is there still.
    async fn written_into(&self, wrote: &Wrote) -> Result<Option<BucketName>> {
        let found: Option<Bucket> = self.resolve(&wrote.destination).await?;
        let same = found.filter(|found| found.partition == wrote.partition);
        Ok(same.map(|bucket| wrote.destination.bound_to(bucket)))
    }

    /// Whether the last that is written of a report is there.
    async fn is_whole(&self, run: &Run) -> Result<bool> {
        let Some(wrote) = &run.wrote else { return Ok(false) };
        let Some(md5) = wrote.manifest else { return Ok(false) };
        let Some(name) = self.written_into(wrote).await? else { return Ok(false) };
        let key = report::manifest_key(&wrote.stem, run.started, MANIFEST_CHECKSUM);
        let wanted = report::checksum(&md5);
        let versions = self.versions_of(&name, &key).await?;
        Ok(versions.iter().any(|(_, etag)| *etag == Some(ETag::of_body(report::md5(wanted.as_bytes())))))
    }

    /// Removes the next of what a run wrote: the manifest first, so that none names a file that is not there, then [`STEP_FILES`] files,
    /// the last ones first. Answers what is left of it, if anything is.
    async fn remove_written(&self, run: &Run) -> Result<Option<Run>> {
        let Some(wrote) = &run.wrote else { return Ok(None) };
        let Some(name) = self.written_into(wrote).await? else { return Ok(None) };
        if let Some(md5) = wrote.manifest {
            let key = report::manifest_key(&wrote.stem, run.started, MANIFEST);
            self.remove_all(&name, &key, Some(ETag::of_body(md5))).await?;
        }
        let left = wrote.files.saturating_sub(STEP_FILES);
        for number in left..wrote.files {
            let key = report::data_key(&wrote.stem, &run.id, number);
            self.remove_all(&name, &key, None).await?;
        }
        let rest = Wrote { files: left, manifest: None, ..wrote.clone() };
        Ok((left > 0).then(|| Run { wrote: Some(rest), ..run.clone() }))
    }

    /// Removes the versions of a key; only those of these bytes, if they are said. What is locked stays.
    async fn remove_all(&self, bucket: &BucketName, key: &str, only: Option<ETag>) -> Result<()> {
        for (version, etag) in self.versions_of(bucket, key).await? {
            if etag.is_none() || only.is_some_and(|only| etag != Some(only)) {
                continue;
            }
            let request = DeleteRequest {
                bucket: bucket.clone(),
                key: ObjectKey::parse(key)?,
                version,
                conditions: DeleteConditions {
                    if_match: etag.map(|etag| ETagMatch::OneOf(vec![etag])),
                    ..DeleteConditions::default()
                },
                bypass_governance: false,
                origin: Origin::default(),
                asks: None,
            };
            match self.delete(request).await {
                Ok(_) | Err(Error::NoSuchBucket) => {}
                Err(error @ (Error::ObjectLocked | Error::PreconditionFailed { .. })) => {
                    tracing::warn!(%bucket, key, %error, "left a file of an inventory report that came to nothing");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Versions of one key, and the entity tags of those that are no delete markers.
    async fn versions_of(
        &self,
        bucket: &BucketName,
        key: &str,
    ) -> Result<Vec<(VersionSelector, Option<ETag>)>> {
        let mut found = Vec::new();
        let mut request = VersionsRequest { prefix: key.to_owned(), ..VersionsRequest::new(bucket.clone()) };
        loop {
            let page = match self.list_versions(request.clone()).await {
                Err(Error::NoSuchBucket) => return Ok(found),
                page => page?,
            };
            // The key itself is the first of those that begin with it.
            let ends = page.entries.iter().any(|entry| entry.key.as_str() != key);
            let of_key = page.entries.into_iter().filter(|entry| entry.key.as_str() == key);
            found.extend(of_key.map(|entry| (entry.version.into(), entry.object.map(|object| object.etag))));
            if ends || page.next_key.is_none() {
                return Ok(found);
            }
            (request.key_marker, request.version_marker) = (page.next_key, page.next_version);
        }
    }
}
