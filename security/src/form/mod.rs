//! Browser uploads (S3's POST forms), sans-IO: the form's parts, its policy, and the signature over that policy.
//!
//! ```text
//!   body ─► Decoder ─► Field … ─► File ─► Data … ─► End
//!             fields ─► authenticate: whose key signed the policy ─► Policy::check: does every field keep to it
//! ```
//!
//! # Invariants
//! - Of a signed form every field is covered by a condition of its policy, `bucket` and `key` included, except those that
//!   carry the signature itself, checksums of the file (they can only refuse it) and `x-ignore-…`.
//! - A field stands once. What follows the file is ignored.
//! - The old signature (HMAC-SHA1 over the policy) is verified only where it is switched on, and for forms alone.
//!
//! # Limits
//! 20 KiB of form besides the file, as in S3; the file is handed on as it comes and never kept.
//!
//! The decoder is our own: the multipart crates read from an async stream of theirs and bound neither a part's head nor the
//! sum of what comes before the file.

mod decoder;
mod error;
mod fields;
mod head;
mod policy;
mod signature;

pub use decoder::{Decoder, Event, FORM_BYTES_MAX};
pub use error::FormError;
pub use fields::Fields;
pub use head::{FileHead, boundary};
pub use policy::{LengthRange, Policy};
pub use signature::{LegacyForms, SignedForm, authenticate};
