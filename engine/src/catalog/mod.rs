//! The catalog: ordered rows in partitions, read through snapshots, changed by optimistic commits.
//!
//! ```text
//!   snapshot(partition) ─► get · multi_get · scan          at one version
//!   commit { partition, read_version, checks, writes } ─► version | Conflict | …
//! ```
//!
//! # Invariants
//! - Every commit stays inside one [`PartitionId`], so that partitions can live on different owners later.
//! - Versions are ordered within a partition only.
//! - [`Check::Unchanged`] counts a [`Write::Add`] as a change. There are no range checks: what depends on a range being
//!   empty keeps a guard row that its writers `Add` to.
//! - A commit that answered `Ok` with [`Durability::Synced`] survives a power cut, together with every commit of its
//!   partition before it.
//!
//! # Limits
//! 64 KiB a value, 4 MiB and 10,000 rows a commit, 1 s from snapshot to commit as a rule (older ones answer
//! [`Error::TooOld`](crate::Error::TooOld)).

mod admit;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod copy;
pub mod key;
mod known;
mod layout;
mod log;
mod memory;
pub mod record;
mod retry;
mod rocks;
mod seen;
mod totals;
mod window;

pub use known::{UNKNOWN_RETRIES_MAX, commit_known};
pub use layout::Layout;
pub use log::since::LogPlace;
pub use memory::MemoryCatalog;
pub use retry::{RETRY_ATTEMPTS_MAX, retry};
pub use rocks::{Counts, Options, RocksCatalog};
pub use seen::{Seen, is_unused};

use crate::id::{IdempotencyId, PartitionId};
use crate::{BoxFuture, Result};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// How long the answer to a commit with an idempotency id is kept, and given again, at least.
pub(crate) const IDEMPOTENCY_KEPT: Duration = Duration::from_mins(10);

/// A version of a partition: each commit's is greater than those before it.
pub type Version = u64;

/// How the rows of a table are read and written, which decides how they are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Small rows, read by key: configuration, uploads, parts, blob locations, references.
    Record,
    /// Rows that listings scan in order.
    Index,
    /// Values of up to some KiB, written and read once: inline bodies.
    Body,
    /// Rows that live for a short time: garbage, intents, idempotency.
    Queue,
    /// Counters, changed by [`Write::Add`] and ended by [`Write::Delete`]; a Put is refused.
    Counter,
}

impl Family {
    /// Its number on disk.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Record => 1,
            Self::Index => 2,
            Self::Body => 3,
            Self::Queue => 4,
            Self::Counter => 5,
        }
    }

    /// The family of a number on disk.
    pub(crate) const fn of_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Record,
            2 => Self::Index,
            3 => Self::Body,
            4 => Self::Queue,
            5 => Self::Counter,
            _ => return None,
        })
    }
}

/// A table: a family and a tag that is unique within it. Tables are declared as constants by the code that owns them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Table {
    /// How it is stored.
    pub family: Family,
    /// Unique within the family; part of the on-disk format.
    pub tag: u8,
}

/// A row's key: a table and order-preserving bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The table.
    pub table: Table,
    /// Compared as unsigned bytes.
    pub bytes: Bytes,
}

impl Table {
    /// A key in this table.
    pub fn key(self, bytes: impl Into<Bytes>) -> Key {
        Key { table: self, bytes: bytes.into() }
    }
}

/// What must still hold when a commit is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// Nobody wrote, deleted or added to this row since the commit's read version.
    Unchanged(Key),
    /// The row does not exist now.
    Absent(Key),
    /// With what this commit adds to it, the counter is at most this. About now, whatever the read version, and commits that
    /// only add to the counter never conflict by it: they are refused ([`OverLimit`](crate::Error::OverLimit)) or pass, one
    /// after the other, so a limit is kept exactly without a reader of the counter.
    AtMost(Key, i64),
}

impl Check {
    /// The row that it is about.
    pub const fn key(&self) -> &Key {
        match self {
            Self::Unchanged(key) | Self::Absent(key) | Self::AtMost(key, _) => key,
        }
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Sets the row.
    Put(Key, Bytes),
    /// Removes the row, if there is one.
    Delete(Key),
    /// Adds to a row of [`Family::Counter`] (little-endian `i64`, absent is 0, wrapping). Commutes: two Adds never conflict
    /// with one another.
    Add(Key, i64),
}

/// When a commit answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Once a power cut can't lose it.
    #[default]
    Synced,
    /// Once it is visible. The next synced commit makes it durable; a power cut before that may lose it.
    Relaxed,
}

/// Which space a commit may use on a disk that is nearly full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Space {
    /// What is free. A commit that deletes rows and puts little may use the reserve without saying so.
    #[default]
    Ordinary,
    /// The reserve too: the commit is a step on the way to freeing space, although it may delete nothing itself. Holds up
    /// to 256 KiB of puts; a larger commit is treated as [`Space::Ordinary`].
    Reserve,
}

/// A set of changes that happen together or not at all.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Where.
    pub partition: PartitionId,
    /// The version of the snapshot that the checks are about.
    pub read_version: Version,
    /// What must still hold.
    pub checks: Vec<Check>,
    /// What changes. Later writes to the same row win.
    pub writes: Vec<Write>,
    /// When to answer.
    pub durability: Durability,
    /// Makes a retry after [`Error::Unknown`](crate::Error::Unknown) harmless: a second commit with the same id within ten
    /// minutes answers the first one's version and changes nothing.
    pub idempotency: Option<IdempotencyId>,
    /// That id was made for this commit, and no earlier attempt carried it: it need not be looked up.
    pub id_is_fresh: bool,
    /// What it may use on a full disk.
    pub space: Space,
    /// What whoever reads its rows must know of. That readers must is durable before it is.
    pub layout: Layout,
}

impl Commit {
    /// An empty synced commit, to be filled in.
    pub const fn new(partition: PartitionId, read_version: Version) -> Self {
        Self {
            partition,
            read_version,
            checks: Vec::new(),
            writes: Vec::new(),
            durability: Durability::Synced,
            idempotency: None,
            id_is_fresh: false,
            space: Space::Ordinary,
            layout: Layout::FIRST,
        }
    }

    /// The same, allowed to draw on the reserve.
    #[must_use]
    pub fn from_reserve(self) -> Self {
        Self { space: Space::Reserve, ..self }
    }
}

impl Write {
    /// The row that it changes.
    pub const fn key(&self) -> &Key {
        match self {
            Self::Put(key, _) | Self::Delete(key) | Self::Add(key, _) => key,
        }
    }
}

/// The declared limits of an implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest value in bytes.
    pub value_bytes: usize,
    /// Largest key in bytes, table and partition not counted.
    pub key_bytes: usize,
    /// Largest sum of keys and values of one commit, in bytes.
    pub commit_bytes: usize,
    /// Most checks and writes of one commit.
    pub commit_rows: usize,
}

impl Limits {
    /// What every implementation offers at least, and what the layers above are written to.
    pub const STANDARD: Self =
        Self { value_bytes: 64 << 10, key_bytes: 4 << 10, commit_bytes: 4 << 20, commit_rows: 10_000 };
}

/// A range scan within one table. Bounds are key bytes: `start` inclusive, `end` exclusive, empty `end` is the table's end.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The table.
    pub table: Table,
    /// Inclusive.
    pub start: Bytes,
    /// Exclusive; empty for "to the end of the table".
    pub end: Bytes,
    /// At most this many rows; the implementation may answer fewer together with `more`, never 0 rows and `more`.
    pub limit: usize,
    /// From `end` down to `start`.
    pub reverse: bool,
    /// Values are left empty.
    pub keys_only: bool,
}

impl Scan {
    /// All rows of `table` whose key starts with `prefix`, in order.
    pub fn prefix(table: Table, prefix: &[u8], limit: usize) -> Self {
        Self {
            table,
            start: Bytes::copy_from_slice(prefix),
            end: prefix_end(prefix),
            limit,
            reverse: false,
            keys_only: false,
        }
    }

    /// The scan of what lies behind a page that this one answered; `None` when there is no more.
    #[must_use]
    pub fn behind(self, page: &Page) -> Option<Self> {
        let (last, _) = page.rows.last().filter(|_| page.more)?;
        Some(if self.reverse {
            Self { end: last.clone(), ..self }
        } else {
            Self { start: key_after(last), ..self }
        })
    }
}

/// The smallest key after this one.
pub fn key_after(key: &[u8]) -> Bytes {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next.into()
}

/// The first key after all those that start with `prefix`; empty when there is none.
pub fn prefix_end(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end.into()
}

/// Rows of a scan.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Key bytes and value, in scan order.
    pub rows: Vec<(Bytes, Bytes)>,
    /// There may be more behind the last row.
    pub more: bool,
}

/// One partition at one version. Cheap to make, bounded in age: drop it within a second or so.
pub trait Snapshot: Send + Sync {
    /// What a commit based on this snapshot says as its read version.
    fn read_version(&self) -> Version;
    /// One row.
    fn get(&self, key: Key) -> BoxFuture<'_, Result<Option<Bytes>>>;
    /// Many rows, in the order asked for.
    fn multi_get(&self, keys: Vec<Key>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>>>;
    /// A bounded range.
    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Page>>;
}

/// An ordered store of rows. Every implementation passes the conformance suite.
pub trait Catalog: Send + Sync {
    /// Declared limits, at least [`Limits::STANDARD`].
    fn limits(&self) -> Limits;
    /// The newest committed state of a partition (an empty one for an id never written). Reads what this process has been
    /// told is committed.
    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, Result<Arc<dyn Snapshot>>>;
    /// Applies a commit or changes nothing. Once polled it may go on even if the future is dropped; if it does, it is
    /// decided before every commit that is first polled after the drop. So whoever sees such a commit answered knows that
    /// nothing dropped before it is still on its way.
    ///
    /// Errors: `Conflict` and `TooOld` (read again and retry), `OverLimit` (of a [`Check::AtMost`]; it may have counted commits
    /// that were decided just before and then found no room), `TooLarge`, `Fenced`, `Full`, `Unknown` (retry with the
    /// same idempotency id, or read to find out).
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Version>>;
}
