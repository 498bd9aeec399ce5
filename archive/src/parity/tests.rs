//! The code, its geometry, and sets of packs.
