//! Reed-Solomon over cells: within a pack, and over whole packs of several media.
//!
//! ```text
//!   data cells of 4 KiB      0    1    2  …  63 │ 64   65  …                     cell i belongs to stripe i mod 64
//!                            │    │    │        │ │
//!   stripe 0 ◄───────────────┴────│────│────────┘ │      1,024 cells of data and 52 of parity at the most
//!   stripe 1 ◄────────────────────┴────│──────────┘
//! ```
//!
//! Neighbours lie in different stripes, so that a hole takes little of each: 8 MiB are 33 cells of a full stripe, which
//! stands the loss of any 52.
//!
//! | module | what |
//! |---|---|
//! | [`Geometry`] | which cell belongs to which stripe, and how many of parity there are |
//! | [`Encoder`] | parity of a stream of cells, a band of 16 MiB at a time |
//! | [`Stripe`] | the lost cells of one stripe |
//! | [`across`] | `k + m` whole packs |
//!
//! # Invariants
//! - The code is systematic (data stay as they are) and is frozen in the format: golden tests hold its bytes.
//! - Which cells are lost is for the caller to know, by checksums; the code itself finds no damage.
//!
//! # Limits
//! [`DATA_CELLS_MAX`] cells. An encoder holds 16.3 MiB beside the band that it is given, a stripe 9 MiB.

pub mod across;
mod code;
mod geometry;
#[cfg(test)]
mod tests;

pub(crate) use code::protect;
pub use code::{Encoder, Stripe};
pub use geometry::Geometry;

/// Bytes of a cell, the unit of loss.
pub const CELL_BYTES: usize = 4 << 10;

/// Stripes that cells are dealt to in turn.
pub const STRIPES_MAX: u32 = 64;

/// Data cells of a full stripe.
pub const DEPTH_MAX: u32 = 1024;

/// Parity cells of a full stripe.
pub const PARITY_DEPTH_MAX: u32 = 52;

/// Data cells of the largest pack: 256 MiB.
pub const DATA_CELLS_MAX: u32 = STRIPES_MAX * DEPTH_MAX;

/// Cells of a stripe that the code takes at once.
pub const BAND_DEPTH: u32 = 64;

/// CRC32C, as each cell has one.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}
