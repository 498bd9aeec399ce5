//! The scan under every listing.
//!
//! ```text
//!   Scanner   rows of a range, in batches ─► RollUp   rows and common prefixes, until the page is full
//! ```

use bytes::Bytes;
use engine::Result;
use engine::catalog::key::KeyWriter;
use engine::catalog::{Scan, Snapshot, Table, key_after, prefix_end};
use std::collections::VecDeque;

/// Most rows read at once.
const BATCH_MAX: usize = 1_024;
/// Rows read at first where there is a delimiter.
const BATCH_ROLLED_UP: usize = 32;
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
pub(crate) fn bound_end(prefix: &str) -> Bytes {
    let end = prefix_end(prefix.as_bytes());
    if end.is_empty() { end } else { bound(&end) }
}

/// Rows of a range in order, read in batches that grow while rows are used and shrink when they are skipped.
struct Scanner<'a> {
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
    fn new(snapshot: &'a dyn Snapshot, table: Table, (start, end): (Bytes, Bytes), wanted: usize) -> Self {
        let more = end.is_empty() || start < end;
        let batch = wanted.clamp(1, BATCH_MAX);
        Self { snapshot, table, start, end, batch, rows: VecDeque::new(), more }
    }

    /// The next row.
    async fn next(&mut self) -> Result<Option<(Bytes, Bytes)>> {
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
    fn seek(&mut self, start: Bytes) {
        let skipped = self.rows.partition_point(|(key, _)| *key < start);
        self.rows.drain(..skipped);
        if self.rows.is_empty() && self.more && self.start < start {
            self.more = self.end.is_empty() || start < self.end;
            self.start = start;
            self.batch = BATCH_AFTER_SEEK;
        }
    }
}

/// What a listing meets next.
pub(crate) enum Next {
    /// A row of its own: its object key, its key and its value.
    Row(String, Bytes, Bytes),
    /// Keys that share this, which are passed over.
    Prefix(String),
    /// There is more, and no room for it on this page.
    Full,
    /// There is no more.
    End,
}

/// How a table's rows are ordered by their object keys.
pub(crate) struct Order {
    pub(crate) table: Table,
    /// The object key in a row's key.
    pub(crate) object_key: fn(&[u8]) -> Result<String>,
    /// Where rows behind all those begin whose object keys start with this.
    pub(crate) behind: fn(&str) -> Bytes,
}

/// Rows of a range, rolled up at a delimiter, for one page.
pub(crate) struct RollUp<'a> {
    scanner: Scanner<'a>,
    order: &'a Order,
    prefix: &'a str,
    delimiter: &'a str,
    /// Entries and common prefixes that still fit.
    room: usize,
}

impl<'a> RollUp<'a> {
    pub(crate) fn new(
        snapshot: &'a dyn Snapshot,
        order: &'a Order,
        range: (Bytes, Bytes),
        (prefix, delimiter): (&'a str, &'a str),
        room: usize,
    ) -> Self {
        // One more than fits says whether there is more; most rows may be rolled up where there is a delimiter.
        let wanted = if delimiter.is_empty() { room + 1 } else { BATCH_ROLLED_UP.min(room + 1) };
        Self { scanner: Scanner::new(snapshot, order.table, range, wanted), order, prefix, delimiter, room }
    }

    pub(crate) async fn next(&mut self) -> Result<Next> {
        let Some((row_key, row)) = self.scanner.next().await? else { return Ok(Next::End) };
        let Some(room) = self.room.checked_sub(1) else { return Ok(Next::Full) };
        self.room = room;
        let key = (self.order.object_key)(&row_key)?;
        match common_prefix(self.prefix, self.delimiter, &key) {
            None => Ok(Next::Row(key, row_key, row)),
            Some(rolled) => {
                self.scanner.seek((self.order.behind)(rolled));
                Ok(Next::Prefix(rolled.to_owned()))
            }
        }
    }
}
