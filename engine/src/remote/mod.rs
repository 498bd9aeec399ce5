//! Objects somewhere else, as remote pools want them: a store of names and immutable bytes, and how fast it may be written to.
//!
//! ```text
//!   blob::remote ──► Remote ──► any S3 endpoint (the binary's), memory (tests)
//!                └─► pace ──► the schedule of the configuration
//! ```
//!
//! # Invariants
//! - A name is written once: names have a random part, and an object is never changed.
//! - What comes back is not believed: who reads it verifies it.
//!
//! An implementation holds every wait within its own bounds, so that a store that does not answer is an error after minutes at
//! the latest.

pub(crate) mod pace;
pub mod probe;

#[cfg(test)]
pub(crate) mod memory;

pub use pace::{Schedule, Window};

use crate::clock::Timestamp;
use crate::unit::ByteCount;
use crate::{BoxFuture, Result};
use bytes::Bytes;
use std::ops::Range;

/// An object in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: ByteCount,
    /// When it was written, by the store's clock.
    pub modified: Timestamp,
}

/// A store of objects below one prefix. Names are given relative to it.
///
/// [`Error::NotFound`](crate::Error::NotFound) is the store's own answer that there is no such object; a store that does not
/// answer, or refuses, is [`Error::Remote`](crate::Error::Remote).
pub trait Remote: Send + Sync {
    /// Stores an object in one piece, durable and whole when this returns. [`Error::Conflict`](crate::Error::Conflict) when
    /// there is one of that name: it stays as it is.
    fn put<'a>(&'a self, name: &'a str, body: Vec<Bytes>) -> BoxFuture<'a, Result<()>>;

    /// Begins an object of several parts; the upload's id. The store keeps what was sent until it is completed or aborted.
    fn begin<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<String>>;

    /// Sends a part, counted from 0; its id. All but the last have at least 5 MiB.
    fn part<'a>(
        &'a self,
        name: &'a str,
        upload: &'a str,
        index: usize,
        body: Vec<Bytes>,
    ) -> BoxFuture<'a, Result<String>>;

    /// Makes the object of all parts, in order; durable and whole when this returns.
    fn complete<'a>(
        &'a self,
        name: &'a str,
        upload: &'a str,
        parts: Vec<String>,
    ) -> BoxFuture<'a, Result<()>>;

    /// Drops an upload and what was sent of it. One that is not known is dropped already.
    fn abort<'a>(&'a self, name: &'a str, upload: &'a str) -> BoxFuture<'a, Result<()>>;

    /// Some bytes of an object; fewer when it ends before the range does.
    fn get<'a>(&'a self, name: &'a str, range: Range<u64>) -> BoxFuture<'a, Result<Bytes>>;

    /// Removes an object. One that is not there is removed already.
    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>>;

    /// Up to `limit` objects whose names begin with `prefix` and come after `after`, in the order of their names; fewer only when
    /// there are no more.
    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Listed>>>;
}
