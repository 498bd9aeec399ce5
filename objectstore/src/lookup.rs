//! Finding a key's versions among its rows: the one that a reader names, and all that a change of them starts from.

use crate::record::ObjectRow;
use crate::stack::{Stack, read_null};
use crate::store::{Bucket, View};
use crate::{Error, ObjectKey, ObjectStore, Result, VersionSelector, Versioning, tables};
use engine::catalog::Scan;
use engine::catalog::record::Record;

/// The newest version or delete marker of a key that has no current object.
pub(crate) async fn newest(view: &View, key: &ObjectKey) -> Result<Option<ObjectRow>> {
    if view.config.versioning == Versioning::Off {
        return Ok(None);
    }
    let page = view.snapshot.scan(Scan::prefix(tables::VERSIONS, &tables::versions_of(key), 1)).await?;
    Ok(page.rows.first().map(|(_, row)| ObjectRow::from_bytes(row)).transpose()?)
}

/// The version that a `VERSIONS` row holds, as its id names it: the null version is called `null`, whatever its place is.
pub(crate) fn by_id(row: Option<&[u8]>) -> Result<Option<ObjectRow>> {
    Ok(row.map(ObjectRow::from_bytes).transpose()?.filter(|row| !row.null))
}

/// The null version that a `NULLS` row points to.
async fn stray_null(view: &View, key: &ObjectKey, pointer: Option<&[u8]>) -> Result<Option<ObjectRow>> {
    let Some(pointer) = pointer else { return Ok(None) };
    let row = view.snapshot.get(tables::version(key, read_null(pointer)?)).await?;
    Ok(row.map(|row| ObjectRow::from_bytes(&row)).transpose()?)
}

/// The null version, from the key's rows in `CURRENT` and `NULLS`.
pub(crate) async fn null_row(
    view: &View,
    key: &ObjectKey,
    (current, pointer): (Option<&[u8]>, Option<&[u8]>),
) -> Result<Option<ObjectRow>> {
    let current = current.map(ObjectRow::from_bytes).transpose()?;
    match current.filter(|row| row.null) {
        Some(row) => Ok(Some(row)),
        None => stray_null(view, key, pointer).await,
    }
}

/// The version or marker that is named, among a key's versions as a change of them starts from.
pub(crate) async fn named(view: &View, stack: &Stack, version: VersionSelector) -> Result<Option<ObjectRow>> {
    match version {
        VersionSelector::Latest => Ok(stack.top.clone()),
        VersionSelector::Null => Ok(stack.null().cloned()),
        VersionSelector::Id(id) => {
            by_id(view.snapshot.get(tables::version(&stack.key, id)).await?.as_deref())
        }
    }
}

impl ObjectStore {
    /// A key's versions, and the bucket at the same version: what every change of them starts from.
    pub(crate) async fn stack(&self, bucket: Bucket, key: &ObjectKey) -> Result<(View, Stack)> {
        let rows = [tables::current(key), tables::null(key)];
        let (view, [current, null]) = self.view_at(bucket, rows).await?.ok_or(Error::NoSuchBucket)?;
        let top = match current {
            Some(row) => Some(ObjectRow::from_bytes(&row)?),
            None => newest(&view, key).await?,
        };
        let stray_null = stray_null(&view, key, null.as_deref()).await?;
        let (partition, versioning) = (bucket.partition, view.config.versioning);
        Ok((view, Stack { partition, key: key.clone(), versioning, top, stray_null }))
    }
}
