//! Policies in IAM's language: read, compiled, and evaluated in AWS's order.
//!
//! ```text
//!   text ─► Tree (JSON) ─► Policy (patterns, networks, dates: read once) ─┐
//!   request ─► Caller, action, ARN, Context (asked by key, lazily) ───────┴─► evaluate ─► Verdict, and by which statement
//! ```
//!
//! Pure: no clock, no I/O. Whoever keeps policies compiles them when they change and evaluates the compiled form; nothing is
//! allocated on the way but for policy variables, and for texts beyond ASCII where case means nothing.
//!
//! # Invariants
//! - What is not of the grammar is refused, with its place: an element, operator or principal that is not known, a member that stands
//!   twice. Names of elements and operators are taken in their own case alone.
//! - What can't be compared (no number, no ARN, a variable without a value) never turns into an Allow.
//!
//! # Limits
//! [`STEPS_MAX`] steps of one decision, [`REQUEST_STEPS_MAX`] of a request and [`KEY_STEPS`] more of each further key: what would cost more
//! is denied. 64 KiB of document ([`DOCUMENT_BYTES_MAX`]; services take less), 1,000 statements, 4,096 entries of a list, 256 characters of a
//! condition key.
//!
//! `form::Policy` is another thing: what an upload form may hold.

mod actions;
mod arn;
mod condition;
mod context;
mod document;
mod error;
mod evaluate;
mod operator;
mod pattern;
mod principal;
mod public;
mod purse;
pub(crate) mod tree;
mod value;

pub use context::{Context, GivenContext, NoContext};
pub use document::{DOCUMENT_BYTES_MAX, Effect, Form, Named, Policy, STATEMENTS_MAX};
pub use error::{Place, PolicyError};
pub use evaluate::{Asked, Layer, Missing, STEPS_MAX, Sources, StatementRef, Verdict, evaluate};
pub use principal::{Caller, Party, Reach};
pub use purse::{KEY_STEPS, Purse, REQUEST_STEPS_MAX};

#[cfg(test)]
pub(crate) mod tests;
