//! One commit puts a version on top of a key: read the key's versions, decide, seal the row, commit; again if somebody was
//! faster. What S3 calls a conditional write is decided here, against the row that the commit checks.

use crate::access::{Asked, Asks, Writer};
use crate::cold::deposit_hint;
use crate::envelope::Material;
use crate::event::Occasion;
use crate::lifecycle::Expiry;
use crate::record::{ObjectRow, Stored};
use crate::stack::Stack;
use crate::store::{Bucket, Kept, View};
use crate::transact::Attempt;
use crate::{
    DeleteConditions, ObjectKey, ObjectStore, Result, Subresources, VersionId, VersionName, WriteConditions,
};
use bytes::Bytes;
use engine::catalog::{Check, Key, Layout, Snapshot, Write};
use engine::clock::Timestamp;

/// A version that waits for its name.
pub(crate) struct Draft<'a> {
    pub(crate) bucket: Bucket,
    pub(crate) key: &'a ObjectKey,
    /// `None` for a delete marker.
    pub(crate) stored: Option<Stored>,
    pub(crate) subresources: Subresources,
    /// Who writes it and which access list it asks for; decides about owner and list in `subresources`.
    pub(crate) writer: Option<&'a Writer>,
    /// What its seal is to hold, as its envelope has it.
    pub(crate) material: Option<&'a Material>,
    pub(crate) conditions: Conditions<'a>,
    /// What is asked in front of the commit.
    pub(crate) asks: Option<Asks<'a>>,
    /// What else must hold at each attempt's snapshot and until its commit.
    pub(crate) expect: Vec<(Key, Expected)>,
    /// What else changes in the same commit.
    pub(crate) writes: Vec<Write>,
    /// What else changes in the same commit and depends on the name that the version gets.
    pub(crate) writes_named: Option<&'a NamedWrites>,
    /// What its event says.
    pub(crate) tells: Option<Occasion<'a>>,
    /// Keeps what it names in place until the commit has answered.
    pub(crate) kept: Option<Kept>,
    /// Queues get work by its writes.
    pub(crate) dirty: bool,
}

/// What must hold of what is on top.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Conditions<'a> {
    Write(&'a WriteConditions),
    Delete(&'a DeleteConditions),
}

impl Conditions<'_> {
    /// Whether whoever is told their outcome learns more of the object than that it is there.
    fn name_what_is_there(&self) -> bool {
        match self {
            Self::Write(conditions) => conditions.name_a_tag(),
            Self::Delete(conditions) => conditions.name_what_is_there(),
        }
    }
}

/// Writes that tell of a version's name.
pub(crate) type NamedWrites = dyn Fn(Option<VersionName>) -> Vec<Write> + Send + Sync;

/// How a row must be.
#[derive(Clone, Debug)]
pub(crate) enum Expected {
    /// There, with any value.
    Present,
    /// Not there.
    Absent,
    /// As it was read before.
    Is(Option<Bytes>),
}

impl<'a> Draft<'a> {
    /// An object whose bytes have landed.
    pub(crate) fn object(
        bucket: Bucket,
        key: &'a ObjectKey,
        stored: Stored,
        material: Option<&'a Material>,
        conditions: &'a WriteConditions,
    ) -> Self {
        Self { stored: Some(stored), material, ..Self::new(bucket, key, Conditions::Write(conditions)) }
    }

    /// A delete marker.
    pub(crate) fn marker(bucket: Bucket, key: &'a ObjectKey, conditions: &'a DeleteConditions) -> Self {
        Self::new(bucket, key, Conditions::Delete(conditions))
    }

    fn new(bucket: Bucket, key: &'a ObjectKey, conditions: Conditions<'a>) -> Self {
        Self {
            bucket,
            key,
            stored: None,
            subresources: Subresources::default(),
            writer: None,
            material: None,
            conditions,
            asks: None,
            expect: Vec::new(),
            writes: Vec::new(),
            writes_named: None,
            tells: None,
            kept: None,
            dirty: false,
        }
    }
}

/// A version that has its name.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) row: ObjectRow,
    /// Its name as answers carry it.
    pub(crate) shown: Option<VersionName>,
    /// When a rule acts on it.
    pub(crate) expires: Option<Expiry>,
}

impl ObjectStore {
    /// Publishes a draft. `None` when what it expects does not hold.
    pub(crate) async fn publish(&self, draft: &Draft<'_>) -> Result<Option<Published>> {
        let asked = Asked::default();
        self.transact(|| async {
            let _turn = self.queue(draft.bucket.partition, draft.key).await;
            let (view, stack) = self.stack(draft.bucket, draft.key).await?;
            self.try_publish(draft, &asked, &view, &stack).await
        })
        .await
    }

    /// One attempt on top of the key's versions as they were found. `None` when what the draft expects does not hold.
    pub(crate) async fn try_publish(
        &self,
        draft: &Draft<'_>,
        asked: &Asked,
        view: &View,
        stack: &Stack,
    ) -> Result<Attempt<Option<Published>>> {
        let Some(checks) = expected(&draft.expect, &*view.snapshot).await? else {
            return Ok(Attempt::Answer(None));
        };
        if let Some(asks) = &draft.asks {
            let names = draft.conditions.name_what_is_there();
            let there = stack.current().filter(|_| names);
            self.ask_again((view, draft.key), (asks, asked), there, names).await?;
        }
        match draft.conditions {
            Conditions::Write(conditions) => {
                let stored = stack.current().and_then(|row| row.stored.as_ref());
                conditions.check_write(stored.map(|stored| &stored.etag))?;
            }
            Conditions::Delete(conditions) => conditions.check(stack.top.as_ref())?,
        }
        if stack.writes_null() {
            // Object lock goes with versions that are never replaced; a lock holds wherever it is found.
            for replaced in stack.top.iter().chain(&stack.stray_null).filter(|row| row.null) {
                self.refuse_locked(view, replaced, false).await?;
            }
        }
        let now = self.clock.now();
        let row = self.seal_row(draft, view, stack, now).await?;
        let shown = row.shown(view.config.versioning);
        let mut change = stack.insert(&row, now)?;
        if draft.stored.is_none() {
            change = change.freeing();
        }
        if draft.material.is_some_and(Material::is_new) {
            change = change.known_by(Layout::ENVELOPES);
        }
        if let Some(layout) = row.envelope().layout() {
            change = change.known_by(layout);
        }
        if row.is_archived() {
            change = change.known_by(Layout::CLASSES);
            let bucket = draft.tells.as_ref().map(|told| told.bucket);
            change.writes.extend(bucket.map(|bucket| deposit_hint(draft.key, row.version, bucket)));
            change.cold = true;
        }
        change.checks.extend(checks);
        change.writes.extend_from_slice(&draft.writes);
        change.kept.clone_from(&draft.kept);
        change.dirty |= draft.dirty;
        if let Some(named) = draft.writes_named {
            change.writes.extend(named(shown));
        }
        if let Some(occasion) = &draft.tells {
            self.tell(view, occasion, (draft.key, &row, now), &mut change).await?;
        }
        let (looks, expires) = self.index_new(view, draft.key, (&row, stack.top.as_ref()), now).await?;
        change.writes.extend(looks);
        let won = self.try_change_key(view, draft.key, change).await?;
        Ok(Attempt::won(won, Some(Published { row, shown, expires })))
    }

    /// What stands beside the row to be, as far as it is not locked.
    async fn beside(&self, draft: &Draft<'_>, view: &View) -> Result<Subresources> {
        match draft.writer {
            Some(writer) => self.placed(view, writer, &draft.subresources).await,
            None => Ok(draft.subresources.clone()),
        }
    }

    async fn seal_row(
        &self,
        draft: &Draft<'_>,
        view: &View,
        stack: &Stack,
        now: Timestamp,
    ) -> Result<ObjectRow> {
        let (subresources, above) = match draft.stored {
            Some(_) => self.locked(view, &self.beside(draft, view).await?).await?,
            None => (Subresources::default(), 0),
        };
        let order = stack.next_order(now).max(above.saturating_add(1));
        let mut row = ObjectRow {
            version: VersionId::new(order, &*self.entropy),
            null: stack.writes_null(),
            modified: now,
            noncurrent_since: None,
            stored: draft.stored.clone(),
            subresources,
            sealed: Bytes::new(),
        };
        let aad = row.additional_data(draft.bucket.partition, draft.key);
        row.sealed = self.keys.seal_material(draft.bucket.account, draft.material, &aad)?;
        Ok(row)
    }
}

/// Looks whether rows are as expected, and answers the checks that keep them so; `None` if one is not.
pub(crate) async fn expected(
    rows: &[(Key, Expected)],
    snapshot: &dyn Snapshot,
) -> Result<Option<Vec<Check>>> {
    if rows.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let found = snapshot.multi_get(rows.iter().map(|(key, _)| key.clone()).collect()).await?;
    let holds = |(wanted, found): (&(Key, Expected), &Option<Bytes>)| match &wanted.1 {
        Expected::Present => found.is_some(),
        Expected::Absent => found.is_none(),
        Expected::Is(value) => found == value,
    };
    if !rows.iter().zip(&found).all(holds) {
        return Ok(None);
    }
    Ok(Some(rows.iter().map(|(key, _)| Check::Unchanged(key.clone())).collect()))
}
