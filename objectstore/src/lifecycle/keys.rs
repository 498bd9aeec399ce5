//! Versions of many keys, one after the other, with what is next: newest first within a key.
//!
//! Limits: rows of one page are held.

use crate::record::ObjectRow;
use crate::{VersionId, tables};
use bytes::Bytes;
use engine::Result;
use engine::catalog::record::Record;
use engine::catalog::{Scan, Snapshot};
use std::collections::VecDeque;

/// Bytes of a version's id at the end of its row's key.
const ID_LEN: usize = 16;

/// A version, and whether there is an older one of its key.
pub(crate) struct Version {
    pub(crate) key: String,
    pub(crate) id: VersionId,
    /// An error: it is damaged.
    pub(crate) row: Result<ObjectRow>,
    pub(crate) below: bool,
}

/// Reads versions in order.
pub(crate) struct Versions<'s> {
    snapshot: &'s dyn Snapshot,
    next: Option<Scan>,
    rows: VecDeque<(Bytes, Bytes)>,
}

impl<'s> Versions<'s> {
    pub(crate) fn new(snapshot: &'s dyn Snapshot, scan: Scan) -> Self {
        Self { snapshot, next: Some(scan), rows: VecDeque::new() }
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Version>> {
        while self.rows.len() < 2
            && let Some(scan) = self.next.take()
        {
            let page = self.snapshot.scan(scan.clone()).await?;
            self.next = scan.behind(&page);
            self.rows.extend(page.rows);
        }
        let Some((raw, row)) = self.rows.pop_front() else { return Ok(None) };
        let of_key = |raw: &Bytes| raw.slice(..raw.len().saturating_sub(ID_LEN));
        let below = self.rows.front().is_some_and(|(other, _)| of_key(other) == of_key(&raw));
        let (key, id) = tables::read_version(&raw)?;
        Ok(Some(Version { key, id, row: ObjectRow::from_bytes(&row), below }))
    }
}
