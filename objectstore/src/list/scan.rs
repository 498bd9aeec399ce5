//! The scan under every listing.

use bytes::Bytes;
use engine::Result;
use engine::catalog::table::KeyWriter;
use engine::catalog::{Scan, Snapshot, Table, key_after, prefix_end};
use std::collections::VecDeque;

/// Most rows read at once.
pub(crate) const BATCH_MAX: usize = 1_024;
/// Rows read after a seek: the next key is likely to be rolled up too.
const BATCH_AFTER_SEEK: usize = 4;

/// What a key is rolled up to: everything up to the first delimiter after the prefix. `None` for a key of its own.
pub(crate) fn common_prefix<'k>(prefix: &str, delimiter: &str, key: &'k str) -> Option<&'k str> {
    if delimiter.is_empty() {
        return None;
    }
    let rest = key.strip_prefix(prefix)?;
    let at = rest.find(delimiter)?;
    key.get(..prefix.len() + at + delimiter.len())
}

/// Where all rows of keys that start with `prefix` begin, in a table whose keys begin with the object key.
pub(crate) fn bound(prefix: &[u8]) -> Bytes {
    KeyWriter::new().bytes_prefix(prefix).finish()
}

/// Where those rows end.
pub(crate) fn bound_end(prefix: &[u8]) -> Bytes {
    let end = prefix_end(prefix);
    if end.is_empty() { end } else { bound(&end) }
}

/// Rows of a range in order, read in batches that grow while rows are used and shrink when they are skipped.
pub(crate) struct Scanner<'a> {
    snapshot: &'a dyn Snapshot,
    table: Table,
    start: Bytes,
    end: Bytes,
    batch: usize,
    rows: VecDeque<(Bytes, Bytes)>,
    more: bool,
}

impl<'a> Scanner<'a> {
    /// From `start` to `end`; `wanted` rows are likely to be needed.
    pub(crate) fn new(
        snapshot: &'a dyn Snapshot,
        table: Table,
        (start, end): (Bytes, Bytes),
        wanted: usize,
    ) -> Self {
        let more = end.is_empty() || start < end;
        let batch = wanted.clamp(1, BATCH_MAX);
        Self { snapshot, table, start, end, batch, rows: VecDeque::new(), more }
    }

    /// The next row.
    pub(crate) async fn next(&mut self) -> Result<Option<(Bytes, Bytes)>> {
        if self.rows.is_empty() && self.more {
            let scan = Scan {
                table: self.table,
                start: self.start.clone(),
                end: self.end.clone(),
                limit: self.batch,
                reverse: false,
                keys_only: false,
            };
            let page = self.snapshot.scan(scan).await?;
            self.more = page.more;
            self.rows = page.rows.into();
            if let Some((last, _)) = self.rows.back() {
                self.start = key_after(last);
            }
            self.batch = (self.batch * 4).min(BATCH_MAX);
        }
        Ok(self.rows.pop_front())
    }

    /// Goes on at `start`, which lies ahead.
    pub(crate) fn seek(&mut self, start: Bytes) {
        let skipped = self.rows.partition_point(|(key, _)| *key < start);
        self.rows.drain(..skipped);
        if self.rows.is_empty() && self.more && self.start < start {
            self.more = self.end.is_empty() || start < self.end;
            self.start = start;
            self.batch = BATCH_AFTER_SEEK;
        }
    }
}
