//! Managed keys over a catalog in memory.
