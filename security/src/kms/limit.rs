//! Quotas. Source: "Quotas" of the KMS developer guide; where AWS raises one on request, what it is before that is enough here.

/// Keys of an account.
pub(super) const KEYS: i64 = 100_000;
/// Aliases of a key.
pub(super) const ALIASES: i64 = 50;
/// Grants of a key.
pub(super) const GRANTS: i64 = 50_000;
/// Grants that somebody has on a key. AWS had such a quota until 2020; a decision looks through all of them.
pub(super) const GRANTED: i64 = 500;
/// Bytes of a key's policy.
pub const POLICY_BYTES_MAX: usize = 32 << 10;
/// Bytes of it with whom it names.
pub(super) const POLICY_ROW_BYTES: usize = 60 << 10;
/// Tags of a key.
pub(super) const TAGS: usize = 50;
/// Bytes of all tags of a key together: they stand in its row, beside a description of 32 KiB at the most.
pub(super) const TAG_BYTES: usize = 20 << 10;
/// Bytes of a description.
pub(super) const DESCRIPTION_BYTES: usize = 32 << 10;
/// Bytes of what a grant says of contexts.
pub(super) const CONSTRAINT_BYTES: usize = 8 << 10;
/// Bytes that are encrypted at once.
pub(super) const PLAINTEXT: usize = 4_096;
/// Bytes of a data key.
pub(super) const DATA_KEY: usize = 1_024;
/// How often another backing key may be asked for.
pub(super) const ON_DEMAND: u32 = 25;
/// Requests of an account that wait for a processor, and are at it.
pub(super) const WAITING: usize = 256;
/// Items of a page.
pub(super) const PAGE: usize = 1_000;
