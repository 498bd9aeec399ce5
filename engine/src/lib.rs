//! Bytes and rows at rest.
//!
//! The engine knows partitions, rows, blobs and segments; it never knows a bucket, a user or a protocol.
//!
//! ```text
//!   catalog   ordered rows in partitions, snapshots and optimistic commits
//!   blob      immutable bytes of one upload: writer, reader, references, collector, scrub
//!   pool      named homes of blobs: segment files with group sync
//!   remote    objects somewhere else, for remote pools
//!   backup    catalog and keys, sealed, somewhere else; and back
//!   outbox    messages that leave with a commit, delivered at least once
//!   codec     data keys, AES-256-GCM chunks, record framing, checksums
//!   file      small files that are whole or absent
//!   clock · entropy · fault · worker      what comes in from outside, so that tests own it
//! ```

pub mod backup;
pub mod blob;
mod blocking;
pub mod catalog;
pub mod clock;
pub mod codec;
pub mod entropy;
mod error;
pub mod fault;
pub mod file;
pub mod generations;
pub mod id;
pub mod memory;
pub mod outbox;
pub mod pool;
pub mod remote;
mod reserve;
#[cfg(test)]
mod small_disk;
pub mod small_files;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod unit;
mod vital;
pub mod worker;

pub use error::{Error, ErrorKind, Result};

/// A boxed future, as the engine's object-safe traits return it.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn std::future::Future<Output = T> + Send + 'a>>;
