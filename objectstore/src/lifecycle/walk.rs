//! Bringing into the index what was there before the rules: a bucket's versions and uploads, in bounded batches.
//!
//! ```text
//!   set ─► walk: versions, from the beginning ─► … ─► uploads ─► … ─► done
//! ```
//!
//! # Invariants
//! - A walk begins in the commit that sets the rules it is for, and its steps check that rules and walk are as they were read. So
//!   whatever was written before the rules is passed by a step, and whatever is written later was written by those rules.
//! - A step's rows and its place are one commit.
//!
//! What a crash leaves: the place of the last step.

use super::index::look;
use super::judge::{Above, KeyRules};
use super::keys::Versions;
use crate::change::Change;
use crate::record::UploadRow;
use crate::store::View;
use crate::tables::{self, DueOf};
use crate::{Lifecycle, ObjectStore, Result, SettingKind};
use bytes::Bytes;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::catalog::{Key, Scan, Write, prefix_end};
use engine::clock::Timestamp;

/// Versions or uploads that a step looks at, but for a key with more of them.
const BATCH: usize = 1_000;

/// What a walk goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Versions,
    Uploads,
    Done,
}

/// How far a walk is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Walk {
    pub(crate) phase: Phase,
    /// The first row that it has not seen.
    pub(crate) from: Bytes,
    /// Versions and uploads that it has seen.
    pub(crate) seen: u64,
    pub(crate) begun: Timestamp,
}

impl Walk {
    fn new(begun: Timestamp) -> Self {
        Self { phase: Phase::Versions, from: Bytes::new(), seen: 0, begun }
    }

    /// Its row: beside the rules, so that it goes with the bucket.
    pub(crate) fn row() -> Key {
        tables::setting(SettingKind::Lifecycle, "walk")
    }

    /// What begins one.
    pub(crate) fn begin(now: Timestamp) -> Write {
        Write::Put(Self::row(), Self::new(now).to_bytes())
    }

    fn then(&self, phase: Phase) -> Self {
        Self { phase, from: Bytes::new(), ..self.clone() }
    }
}

impl Record for Walk {
    const NAME: &'static str = "lifecycle walk";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.u8(match self.phase {
            Phase::Versions => 0,
            Phase::Uploads => 1,
            Phase::Done => 2,
        });
        out.bytes(&self.from).u64(self.seen).i64(self.begun.as_millis());
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let phase = match fields.u8()? {
            0 => Phase::Versions,
            1 => Phase::Uploads,
            2 => Phase::Done,
            other => return Err(fields.corrupt(format!("phase {other}"))),
        };
        let from = Bytes::copy_from_slice(fields.bytes()?);
        Ok(Self { phase, from, seen: fields.u64()?, begun: Timestamp::from_millis(fields.i64()?) })
    }
}

impl ObjectStore {
    /// Begins a walk anew where a bucket has rules: something about what is there has changed that no index row tells of.
    pub(crate) async fn walk_anew(&self, view: &View) -> Result<Option<Write>> {
        Ok(self.readable_lifecycle(view).await?.map(|_| Walk::begin(self.clock.now())))
    }

    /// How far a bucket's walk is.
    pub(crate) async fn walk_at(&self, view: &View) -> Result<Option<Walk>> {
        let row = view.snapshot.get(Walk::row()).await?;
        Ok(row.map(|raw| Walk::from_bytes(&raw)).transpose()?)
    }

    /// A step of a bucket's walk; `None` when there is nothing to walk.
    pub(crate) async fn walk_step(&self, view: &View, lifecycle: &Lifecycle) -> Result<Option<u64>> {
        let Some(walk) = self.walk_at(view).await?.filter(|walk| walk.phase != Phase::Done) else {
            return Ok(None);
        };
        let (next, writes) = match walk.phase {
            Phase::Versions => self.walk_versions(view, lifecycle, &walk).await?,
            _ => self.walk_uploads(view, lifecycle, &walk).await?,
        };
        let done = next.seen - walk.seen;
        let change = Change::writes(writes).unchanged(Walk::row()).put(Walk::row(), next.to_bytes());
        // Whoever was faster: what there is to walk is read again.
        self.try_commit(change.configured().freeing().of(view)).await?;
        Ok(Some(done))
    }

    async fn walk_versions(
        &self,
        view: &View,
        lifecycle: &Lifecycle,
        walk: &Walk,
    ) -> Result<(Walk, Vec<Write>)> {
        let mut next = walk.clone();
        let mut writes = Vec::new();
        let scan = Scan::prefix(tables::VERSIONS, b"", BATCH);
        let mut versions = Versions::new(&*view.snapshot, Scan { start: walk.from.clone(), ..scan });
        let mut of_key: Option<(KeyRules<'_>, Above, Option<Timestamp>)> = None;
        while let Some(version) = versions.next().await? {
            let (rules, above, first) = of_key.get_or_insert_with(|| {
                (
                    KeyRules::of(lifecycle, (self.calendar(), view.config.versioning), &version.key),
                    Above::default(),
                    None,
                )
            });
            next.seen += 1;
            if !rules.is_empty() {
                let at = match &version.row {
                    Ok(row) => {
                        let facts = self.facts(view, row).await?;
                        let due = rules.due(&facts, &above.place(&facts, version.below));
                        above.pass(&facts);
                        due.map(|due| due.at)
                    }
                    // Whoever looks at the key finds out what is wrong with it.
                    Err(_) => Some(self.calendar().midnight_after(self.clock.now())),
                };
                *first = [*first, at].into_iter().flatten().min();
            }
            if !version.below {
                writes.extend(first.map(|at| look(at, DueOf::Versions, &version.key)));
                of_key = None;
                next.from = prefix_end(&tables::versions_of(&crate::ObjectKey::parse(&version.key)?));
                if next.seen - walk.seen >= BATCH as u64 {
                    return Ok((next, writes));
                }
            }
        }
        Ok((next.then(Phase::Uploads), writes))
    }

    async fn walk_uploads(
        &self,
        view: &View,
        lifecycle: &Lifecycle,
        walk: &Walk,
    ) -> Result<(Walk, Vec<Write>)> {
        let mut next = walk.clone();
        let scan = Scan { start: walk.from.clone(), ..Scan::prefix(tables::UPLOADS, b"", BATCH) };
        let page = view.snapshot.scan(scan.clone()).await?;
        let mut writes = Vec::new();
        for (raw, row) in &page.rows {
            let (key, _) = tables::read_upload(raw)?;
            let rules = KeyRules::of(lifecycle, (self.calendar(), view.config.versioning), &key);
            // One that can't be read is nobody's to give up, and holds up no other one.
            let due = UploadRow::from_bytes(row).ok().and_then(|row| rules.upload_due(row.initiated));
            writes.extend(due.map(|due| look(due.at, DueOf::Uploads, &key)));
            next.seen += 1;
        }
        let next = match scan.behind(&page) {
            Some(behind) => Walk { from: behind.start, ..next },
            None => next.then(Phase::Done),
        };
        Ok((next, writes))
    }
}
