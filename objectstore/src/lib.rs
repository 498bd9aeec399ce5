//! Buckets, keys, versions: the object store's semantics.
