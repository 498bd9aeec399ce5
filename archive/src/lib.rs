//! The cold vault: archives at rest on media that are really cold, and the work of getting them back.
//!
//! This crate never says bucket or object: what the S3 classes keep in it comes as archives of system vaults.
//!
//! ```text
//!   pack        one append-only file of archives: frames, sealed chunks, index at head and foot, parity; scrub and repair
//!   chunk       where content is cut, so that what is alike is kept once
//!   parity      Reed-Solomon over cells of a pack, and over whole packs of several media
//!   source      bytes at rest, read and written by their place
//!   tree_hash   Glacier's SHA-256 tree of 1 MiB leaves
//!   retrieval   jobs, tiers and the order in which media are mounted and read: plans, no clock of its own
//!   lock        vault locks, legal holds and least ages, judged by the compliance clock
//!   inventory   what a vault holds, as CSV and JSON
//!   vault       all of that joined: vaults, archives on their way in and out, their rows, media and workers
//! ```

pub mod chunk;
pub mod inventory;
pub mod lock;
pub mod pack;
pub mod parity;
pub mod retrieval;
pub mod source;
pub mod tree_hash;
pub mod vault;
