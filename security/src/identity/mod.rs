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
mod advisor;
mod attach;
mod change;
mod devices;
pub(crate) mod document;
mod doubt;
mod entity;
mod error;
mod groups;
mod id;
mod inline;
pub(crate) mod kept;
mod limit;
mod login_row;
mod logins;
mod lookup;
mod managed;
mod model;
mod name;
mod named;
mod oidc;
mod password;
mod picture;
mod pins;
mod providers;
mod report;
mod roles;
mod row;
mod sign_in;
mod simulate;
mod sts;
mod tags;
#[cfg(test)]
mod tests;
mod throttle;
mod token;
mod totp;
mod users;
mod view;
mod web_identity;

pub use advisor::{LastAccessed, ServiceUse};
pub use error::{Code, IdentityError, Result};
pub use id::EntityId;
pub use model::{
    AccessKey, AssumeRole, AssumeRoleWithWebIdentity, AttachedPolicy, CallerIdentity, Device,
    FederationToken, Group, HolderFilter, KeyOwner, KeyStatus, Kind, LastUsed, LoginProfile, ManagedPolicy,
    NewAccessKey, NewDevice, NewPolicy, NewProvider, NewRole, NewUser, Owner, Page, Paging, PolicyFilter,
    PolicyHolder, PolicyScope, PolicyVersion, Provider, Role, Session, SessionBounds, Shown, SignIn,
    SignedIn, Summary, Tag, Tagged, Temporary, Usage, User,
};
pub use oidc::{Fetch, Issuer, Issuers, WebIdentity};
pub use password::PasswordPolicy;
pub use pins::Pins;
pub use report::CredentialReport;
pub(crate) use row::{put_tags, tags};
pub use simulate::{Answer, PolicySource, Simulated, Simulation, SourceKind};
pub use token::Token;
pub(crate) use token::Vouched;

use crate::credentials::{AccessKeyId, CredentialLookup};
use crate::keys::{KeyScope, KeyTable};
use crate::policy::Policy;
use arc_swap::ArcSwap;
use engine::catalog::{Catalog, Commit, Layout, Write};
use engine::clock::Clock;
use engine::entropy::Entropy;
use engine::id::PartitionId;
use kept::Kept;
use password::Hasher;
use picture::World;
use row::Count;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};
use throttle::Throttle;

/// Compiled policies in memory, in bytes.
const COMPILED_BYTES_MAX: usize = 32 << 20;
/// Principals in memory, in bytes; policies that several have are counted for each.
const PRINCIPALS_BYTES_MAX: usize = 64 << 20;

/// Uses of services and jobs of the access advisor in memory, in bytes.
const NOTED_BYTES_MAX: usize = 4 << 20;
const JOBS_BYTES_MAX: usize = 2 << 20;
/// What tries to sign in are counted in, of 40 bytes each, and what codes and passwords are that users show.
const SIGN_IN_BUCKETS: usize = 16_384;
const PROOF_BUCKETS: usize = 4_096;

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
    hasher: Hasher,
    /// Of who signs in, by name and network, and of codes and passwords that users show, by user.
    sign_ins: Throttle,
    proofs: Throttle,
    reports: report::Reports,
    /// When the use of a service by an entity was noted last, by the service's number.
    services_noted: Kept<(EntityId, usize), i64>,
    /// What jobs of the access advisor have found, by their ids.
    jobs: Kept<Box<str>, Arc<LastAccessed>>,
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
            hasher: Hasher::new(&*parts.entropy),
            sign_ins: Throttle::new((sign_in::FREE.len(), SIGN_IN_BUCKETS), &*parts.entropy),
            proofs: Throttle::new((1, PROOF_BUCKETS), &*parts.entropy),
            reports: report::Reports::default(),
            services_noted: Kept::new(NOTED_BYTES_MAX),
            jobs: Kept::new(JOBS_BYTES_MAX),
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
