//! Identities over a catalog in memory.
