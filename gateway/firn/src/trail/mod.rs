//! Whether a trail's files are those that were written: the digests' chain is walked from its newest link to its oldest, in a bucket or in a
//! directory with a copy of one.
//!
//! ```text
//!   list ─► newest digest ─► signature, place ─► each file that it names: SHA-256
//!                 └─ the one before, by name, hash and signature ─► …       report: what is altered, removed, exchanged; what nothing proves
//! ```
//! Source: "Custom implementations of `CloudTrail` log file integrity validation" and "`CloudTrail` digest file structure" of the user guide. The
//! judgement is that of `aws cloudtrail validate-logs`, and a digest has to be the one that the next names by its hash, too.
//!
//! Invariants: nothing that a digest says is believed before its signature; where one is missing or not good, the walk goes on with the next
//! older one that is there. In a copy on a disk a digest's signature is that which the next one names: the newest proves itself by nothing.
//!
//! Limits: a million files; 64 MiB of each as it lies there, and once it is unpacked 64 MiB of a digest and 4 GiB of a file of records, which is hashed as it
//! comes; eight are read at once.

mod digest;
mod keys;
mod name;
mod source;
#[cfg(test)]
mod tests;
mod walk;

pub(crate) use keys::PublicKeys;
pub(crate) use source::Source;
pub(crate) use walk::{Chain, Problem, Span, Verdict, What, walk};
