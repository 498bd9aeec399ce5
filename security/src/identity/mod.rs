//! Users, groups, roles, their policies and keys: rows of the root partition, read as one picture of each account.
//!
//! ```text
//!   operation ─► turn ─► rows at one version ─► checks ─► one commit ─► the picture anew ─► answer
//!   request   ─► key ─► picture: who, secret ─► signature ─► principal: policies by hash, compiled ─► decide
//! ```
//!
//! docs/adr/0023-identities.md has the reasons, docs/formats/identities.md the bytes. Operations say nothing of who may ask for them:
//! a door asks [`Principal::may`](crate::Principal::may) first.

mod access_keys;
mod account;
mod attach;
mod error;
mod groups;
mod inline;
mod managed;
mod model;
mod roles;
mod sts;
mod tags;
mod token;
mod users;

pub use error::{Code, IdentityError, Result};
pub use model::{
    AccessKey, AssumeRole, AttachedPolicy, CallerIdentity, FederationToken, Group, KeyOwner, KeyStatus, Kind,
    LastUsed, ManagedPolicy, NewAccessKey, NewPolicy, NewRole, NewUser, Owner, Page, Paging, PolicyFilter,
    PolicyHolder, PolicyScope, PolicyVersion, Role, Session, SessionBounds, Summary, Tag, Tagged, Temporary,
    Usage, User,
};
pub use token::Token;

use crate::keys::KeyTable;
use engine::catalog::Catalog;
use engine::clock::Clock;
use engine::entropy::Entropy;
use std::sync::Arc;

/// What identities stand on.
pub struct Parts {
    /// Where their rows are.
    pub catalog: Arc<dyn Catalog>,
    /// Seals secrets.
    pub keys: Arc<KeyTable>,
    /// Tells when.
    pub clock: Arc<dyn Clock>,
    /// Ids and secrets.
    pub entropy: Arc<dyn Entropy>,
    /// Keys of roots that are in no row: the credentials file's.
    pub roots: Arc<dyn crate::credentials::CredentialLookup>,
}

/// All identities of an appliance. One, shared.
pub struct Identities {
    parts: Parts,
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("identities")
    }
}

impl Identities {
    /// Reads who there is. Costs one look at the catalog where there is nobody.
    pub async fn open(parts: Parts) -> crate::Result<Arc<Self>> {
        Ok(Arc::new(Self { parts }))
    }
}

/// What is not built yet.
fn unbuilt() -> IdentityError {
    IdentityError::new(Code::ServiceFailure, "This is not built yet.")
}
