//! Finding a key's versions among its rows.

use crate::record::ObjectRow;
use crate::stack::read_null;
use crate::store::View;
use crate::{ObjectKey, Result, Versioning, tables};
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
pub(crate) async fn stray_null(
    view: &View,
    key: &ObjectKey,
    pointer: Option<&[u8]>,
) -> Result<Option<ObjectRow>> {
    let Some(pointer) = pointer else { return Ok(None) };
    let row = view.snapshot.get(tables::version(key, read_null(pointer)?)).await?;
    Ok(row.map(|row| ObjectRow::from_bytes(&row)).transpose()?)
}

/// The null version, from a view of `CURRENT` and `NULLS`.
pub(crate) async fn null_row(view: &View, key: &ObjectKey) -> Result<Option<ObjectRow>> {
    if let Some(row) = &view.rows[0] {
        let row = ObjectRow::from_bytes(row)?;
        if row.null {
            return Ok(Some(row));
        }
    }
    stray_null(view, key, view.rows[1].as_deref()).await
}
