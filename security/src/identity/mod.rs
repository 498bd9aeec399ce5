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
mod change;
pub(crate) mod document;
mod doubt;
mod entity;
mod error;
mod groups;
mod id;
mod inline;
pub(crate) mod kept;
mod limit;
mod lookup;
mod managed;
mod model;
mod name;
mod named;
mod picture;
mod pins;
mod roles;
mod row;
mod simulate;
mod sts;
mod tags;
#[cfg(test)]
mod tests;
mod token;
mod users;
mod view;

pub use error::{Code, IdentityError, Result};
pub use id::EntityId;
pub use model::{
    AccessKey, AssumeRole, AttachedPolicy, CallerIdentity, FederationToken, Group, HolderFilter, KeyOwner,
    KeyStatus, Kind, LastUsed, ManagedPolicy, NewAccessKey, NewPolicy, NewRole, NewUser, Owner, Page, Paging,
    PolicyFilter, PolicyHolder, PolicyScope, PolicyVersion, Role, Session, SessionBounds, Summary, Tag,
    Tagged, Temporary, Usage, User,
};
pub use pins::Pins;
pub(crate) use row::{put_tags, tags};
pub use simulate::{Answer, PolicySource, Simulated, Simulation, SourceKind};
pub use token::Token;

use crate::credentials::{AccessKeyId, CredentialLookup};
use crate::keys::{KeyScope, KeyTable};
use crate::policy::Policy;
use arc_swap::ArcSwap;
use engine::catalog::{Catalog, Commit, Layout, Write};
use engine::clock::Clock;
use engine::entropy::Entropy;
use engine::id::PartitionId;
use kept::Kept;
use picture::World;
use row::Count;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};

/// Compiled policies in memory, in bytes.
const COMPILED_BYTES_MAX: usize = 32 << 20;
/// Principals in memory, in bytes; policies that several have are counted for each.
const PRINCIPALS_BYTES_MAX: usize = 64 << 20;

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
    pub roots: Arc<dyn CredentialLookup>,
    /// Where keys are used.
    pub region: String,
}

/// All identities of an appliance. One, shared.
pub struct Identities {
    parts: Parts,
    world: ArcSwap<World>,
    /// Numbers of pictures.
    numbers: AtomicU64,
    /// Whoever changes anything holds it until memory knows.
    turn: Arc<tokio::sync::Mutex<()>>,
    compiled: Kept<document::Hash, Arc<Policy>>,
    principals: Kept<AccessKeyId, lookup::Known>,
    itself: Weak<Self>,
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let world = self.world.load();
        write!(f, "identities of {} accounts, {} access keys", world.accounts.len(), world.keys.len())
    }
}

impl Identities {
    /// Reads who there is. Costs two looks at the catalog where there is nobody. An account whose rows can't be read is without users until
    /// they can be.
    pub async fn open(parts: Parts) -> crate::Result<Arc<Self>> {
        let identities = Arc::new_cyclic(|itself| Self {
            parts,
            world: ArcSwap::from_pointee(World::default()),
            numbers: AtomicU64::new(1),
            turn: Arc::default(),
            compiled: Kept::new(COMPILED_BYTES_MAX),
            principals: Kept::new(PRINCIPALS_BYTES_MAX),
            itself: Weak::clone(itself),
        });
        let world = identities
            .read_world()
            .await
            .map_err(|error| error.cause.unwrap_or_else(|| engine::Error::Invalid(error.message).into()))?;
        for account in &world.unsure {
            identities.settle(*account, None);
        }
        identities.world.store(Arc::new(world));
        Ok(identities)
    }

    /// Makes sure that there is a key for this scope. An older firn, which knows no such keys, is kept from the catalog, and from the log that is
    /// shipped, before there is one.
    async fn prepare(&self, scope: KeyScope) -> Result<()> {
        if !self.parts.keys.scopes().contains(&scope) {
            let root = self.parts.catalog.snapshot(PartitionId::ROOT).await?;
            let writes = vec![Write::Add(Count::Generation.row(scope.account, EntityId::ROOT), 1)];
            let commit = Commit::new(PartitionId::ROOT, root.read_version());
            self.parts.catalog.commit(Commit { writes, layout: Layout::IDENTITIES, ..commit }).await?;
        }
        Ok(self.parts.keys.prepare(scope).await?)
    }
}
