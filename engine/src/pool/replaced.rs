//! A directory that took the place of a lost one: `replaced` in it says so, until its copies are made again.
//!
//! ```text
//!   the operator accepts an empty disk ─► replaced, empty, durable ─► opened: what rows name there is missing, and that is known
//!   repair has gone through ─► removed
//! ```
//!
//! # Invariants
//! - The file says nothing about which segments are missing: a zone that has it excuses any of its own, and of no other zone.
//! - A directory without it has no excuse: what is missing there is damage.
//!
//! A crash while it is written or removed leaves it or not. Left too long, it is removed by the next repair that ends.

use super::allocate::Allocator;
use crate::{Error, Result, file};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// The file's name in the pool's directory.
const NAME: &str = "replaced";

/// Says of an empty directory, durably, that it takes the place of one whose segments are lost.
pub fn mark_replaced(dir: &Path) -> Result<()> {
    file::replace(&dir.join(NAME), b"")
}

/// Whether a directory says so; asked once, when it is opened.
pub(super) fn is_marked(dir: &Path) -> Result<AtomicBool> {
    let path = dir.join(NAME);
    Ok(AtomicBool::new(path.try_exists().map_err(|error| Error::io("look for", path, error))?))
}

impl Allocator {
    /// What rows name here may be missing: its copies are still being made again.
    pub(crate) fn is_replaced(&self) -> bool {
        self.replaced.load(Ordering::Acquire)
    }

    /// Its copies are there again: from now on what is missing is damage.
    pub(crate) fn end_replaced(&self) -> Result<()> {
        if self.is_replaced() {
            file::remove(&self.options.dir.join(NAME))?;
            self.replaced.store(false, Ordering::Release);
        }
        Ok(())
    }
}
