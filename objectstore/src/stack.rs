//! The versions of one key: what a write or a removal does to their rows. Pure.
//!
//! ```text
//!   top     newest version or marker ─┬─ in CURRENT when it is an object
//!   v2                                └─ in VERSIONS always
//!   null    at most one; NULLS says where, when it is not in CURRENT
//! ```
//!
//! # Invariants
//! - Every change of a key's versions writes or deletes its `CURRENT` row and checks that it is unchanged, so changes of one
//!   key happen one after the other.
//! - `CURRENT` has the top version exactly when that is an object; listings never walk markers.
//! - `NULLS` has the null version exactly when it exists and is not the one in `CURRENT`.
//! - A row above which a newer one stands says since when.

use crate::change::Change;
use crate::id::VersionId;
use crate::record::{Content, ForeignRow, ManifestGarbage, ObjectRow};
use crate::{ObjectKey, Versioning, id::OwnerId, tables};
use bytes::Bytes;
use engine::Result;
use engine::blob::{Owner, release};
use engine::catalog::Write;
use engine::catalog::record::Record;
use engine::clock::Timestamp;
use engine::id::PartitionId;

/// A key's versions, as far as a change needs them.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    pub(crate) partition: PartitionId,
    pub(crate) key: ObjectKey,
    pub(crate) versioning: Versioning,
    /// The newest version or marker.
    pub(crate) top: Option<ObjectRow>,
    /// The null version, when it is not in `CURRENT`.
    pub(crate) stray_null: Option<ObjectRow>,
}

/// Drops an owner's hold on its content, in the partition of the owner; and whether a queue of ours got work by it.
pub(crate) fn release_content(
    partition: PartitionId,
    owner: OwnerId,
    content: &Content,
) -> Result<(Vec<Write>, bool)> {
    let writes = match content {
        Content::Empty => Vec::new(),
        Content::Inline { .. } => vec![Write::Delete(tables::of_owner(tables::BODY, owner))],
        Content::Blob { home, blob } if *home == partition => release(*blob, &blob_owner(owner)?),
        Content::Manifest { home, manifest, .. } if *home == partition => {
            let garbage = tables::of_manifest(tables::MANIFEST_GARBAGE, *manifest);
            let writes = vec![
                Write::Delete(tables::manifest_ref(*manifest, owner)),
                Write::Put(garbage, ManifestGarbage::Dropped.to_bytes()),
            ];
            return Ok((writes, true));
        }
        Content::Blob { .. } | Content::Manifest { .. } => {
            let writes = vec![
                Write::Delete(tables::of_owner(tables::FOREIGN, owner)),
                Write::Put(
                    tables::of_owner(tables::RELEASES, owner),
                    ForeignRow { content: *content }.to_bytes(),
                ),
            ];
            return Ok((writes, true));
        }
    };
    Ok((writes, false))
}

/// An owner as the blob store names it.
pub(crate) fn blob_owner(owner: OwnerId) -> Result<Owner> {
    Owner::new(Bytes::copy_from_slice(owner.as_bytes()))
}

impl Stack {
    /// The current object, if the top is one.
    pub(crate) fn current(&self) -> Option<&ObjectRow> {
        self.top.as_ref().filter(|row| row.stored.is_some())
    }

    /// The null version or marker.
    pub(crate) fn null(&self) -> Option<&ObjectRow> {
        self.current().filter(|row| row.null).or(self.stray_null.as_ref())
    }

    /// The order number of the next version.
    pub(crate) fn next_order(&self, now: Timestamp) -> u64 {
        let now_ns = u64::try_from(now.as_millis()).unwrap_or(0).saturating_mul(1_000_000);
        self.top.as_ref().map_or(now_ns, |top| now_ns.max(top.version.order.saturating_add(1)))
    }

    /// Whether a new version is the null one.
    pub(crate) fn writes_null(&self) -> bool {
        self.versioning != Versioning::Enabled
    }

    fn begin(&self) -> Change {
        Change::default().unchanged(tables::current(&self.key))
    }

    fn put_version(&self, row: &ObjectRow) -> Write {
        Write::Put(tables::version(&self.key, row.version), row.to_bytes())
    }

    fn delete_version(&self, id: VersionId) -> Write {
        Write::Delete(tables::version(&self.key, id))
    }

    /// Takes a version's row away, and what it holds.
    fn drop_version(&self, row: &ObjectRow, change: &mut Change) -> Result<()> {
        change.writes.push(self.delete_version(row.version));
        if row.is_archived() {
            change.writes.push(Write::Delete(tables::deposit(&self.key, row.version)));
        }
        change.release(self.partition, row)
    }

    fn put_null(&self, id: VersionId) -> Write {
        let mut raw = id.order.to_be_bytes().to_vec();
        raw.extend_from_slice(&id.salt.to_be_bytes());
        Write::Put(tables::null(&self.key), raw.into())
    }

    /// Puts a version or marker on top.
    pub(crate) fn insert(&self, row: &ObjectRow, now: Timestamp) -> Result<Change> {
        let mut change = self.begin();
        let replaced = |old: &&ObjectRow| old.null && row.null;
        let null_below = self.stray_null.as_ref();
        if let Some(top) = &self.top {
            if replaced(&top) {
                self.drop_version(top, &mut change)?;
            } else {
                let below = ObjectRow { noncurrent_since: Some(now), ..top.clone() };
                change.writes.push(self.put_version(&below));
                if top.null {
                    change.writes.push(self.put_null(top.version));
                }
            }
        }
        // The null version further down, if the top was not that one.
        if let Some(null) = null_below.filter(replaced)
            && self.top.as_ref().is_none_or(|top| top.version != null.version)
        {
            self.drop_version(null, &mut change)?;
        }
        change.tally(row, 1);
        change.writes.push(self.put_version(row));
        change.writes.push(if row.stored.is_some() {
            Write::Put(tables::current(&self.key), row.to_bytes())
        } else {
            Write::Delete(tables::current(&self.key))
        });
        if row.null {
            if row.stored.is_none() {
                change.writes.push(self.put_null(row.version));
            } else if null_below.is_some() {
                change.writes.push(Write::Delete(tables::null(&self.key)));
            }
        }
        Ok(change.count())
    }

    /// Puts a version's row in the place of the one of the same id: nothing about its bytes or its place changes. The row in
    /// `CURRENT` is written whichever version it is, so that changes of a key's versions exclude one another.
    pub(crate) fn replace(&self, row: &ObjectRow) -> Change {
        let mut change = self.begin();
        change.writes.push(self.put_version(row));
        let is_top = self.top.as_ref().is_some_and(|top| top.version == row.version);
        let current = tables::current(&self.key);
        change.writes.push(match if is_top { Some(row) } else { self.current() } {
            Some(current_row) if current_row.stored.is_some() => Write::Put(current, current_row.to_bytes()),
            _ => Write::Delete(current),
        });
        change
    }

    /// Takes a version or marker out. `next` is the one below it, needed when it is the top.
    pub(crate) fn remove(&self, row: &ObjectRow, next: Option<&ObjectRow>) -> Result<Change> {
        let mut change = self.begin();
        self.drop_version(row, &mut change)?;
        let is_top = self.top.as_ref().is_some_and(|top| top.version == row.version);
        let in_current = is_top && row.stored.is_some();
        if row.null && !in_current {
            change.writes.push(Write::Delete(tables::null(&self.key)));
        }
        let current = tables::current(&self.key);
        let top = if is_top { next.map(ObjectRow::as_latest) } else { self.top.clone() };
        match &top {
            Some(top) if top.stored.is_some() => {
                change.writes.push(Write::Put(current, top.to_bytes()));
                if is_top && top.null {
                    change.writes.push(Write::Delete(tables::null(&self.key)));
                }
            }
            _ => change.writes.push(Write::Delete(current)),
        }
        if is_top && let Some(top) = &top {
            change.writes.push(self.put_version(top));
        }
        Ok(change.count())
    }
}

/// The version that a `NULLS` row names.
pub(crate) fn read_null(raw: &[u8]) -> Result<VersionId> {
    let corrupt = || engine::Error::Corrupt { what: "null row".into(), detail: "not a version id".into() };
    let (order, salt) = raw.split_first_chunk().ok_or_else(corrupt)?;
    let salt = salt.try_into().map_err(|_| corrupt())?;
    Ok(VersionId { order: u64::from_be_bytes(*order), salt: u64::from_be_bytes(salt) })
}
