//! Reads archives: what a PUT with Snowball's auto-extract metadata sends, and what its entries are called as objects.
//!
//! ```text
//!   body ─► Inflate: tar, gzip or zstd by its first bytes ─► Scanner: headers checked, bodies as they come ─► key_of: the key
//! ```
//!
//! Plain functions over bytes: nothing here waits, stores or knows HTTP. What two readers of tar could understand differently is
//! refused, and the archive with it (docs/adr/0021 says why this is not left to a library).

pub(crate) mod archive;
mod header;
mod inflate;
mod name;
mod pax;

pub(crate) use archive::{Entry, Event, Kind, Scanner};
pub(crate) use inflate::Inflate;
pub(crate) use name::{clean_prefix, key_of};

#[cfg(test)]
mod tests;
