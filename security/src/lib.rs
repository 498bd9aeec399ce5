//! Who may do what, and with which key.
//!
//! ```text
//!   request ─► sigv4::authenticate ─► Authenticated ─► decide(question, resource, facts) ─► go on, or AccessDenied
//!                  │        └ Payload ─► chunked::Decoder ─► body
//!                  └ CredentialLookup ◄─ credentials::File, identity::Identities
//!   form    ─► form::Decoder ─► form::authenticate ─► form::Policy::check           browser uploads
//!   client  ◄─ sign::Signer · chunked::Encoder            the same canonicalisation, the other way round
//!   documents ─► policy::Policy ─► policy::evaluate         IAM's language, in AWS's order
//!   data keys ─► keys::KeyTable ─► sealed bytes in rows   its own keys wrapped by a custodian
//!   data keys ─► kms::Kms ─► ciphertexts that name their key   managed keys, with policies and grants of their own
//!   data keys ─► envelope::CustomerKey ─► wrapped keys      for whoever brings the same key again
//!   calls ─► audit::Audit ─► records, the history of them, trails: files and signed digests, which a Sink writes
//! ```
//!
//! It opens no socket and knows no HTTP server: all of the wire is plain functions over bytes and states.

mod account;
mod acl;
pub mod audit;
pub mod chunked;
pub mod credentials;
mod date;
pub mod decide;
pub mod envelope;
mod error;
pub mod form;
pub mod identity;
pub mod keys;
pub mod kms;
pub mod policy;
mod principal;
pub mod sign;
pub mod sigv4;
mod user;

pub use account::{AccountId, Arn};
pub use acl::{AccessList, CannedAcl, GRANTS_MAX, Grant, Grantee, Permission};
pub use date::AmzDate;
pub use decide::{Action, Decision, Facts, Question, Resource, Shared, decide};
pub use error::{Error, ErrorKind, Result};
pub use principal::{Identity, Principal, PrincipalContext};
pub use user::CanonicalUser;
