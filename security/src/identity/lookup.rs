//! Who signs: from a key to a principal with all policies that it comes under.
//!
//! ```text
//!   key ─► file, else picture, else token ─► secret ─► signature holds ─► entity ─► policies by hash ─► compiled, else read and compiled
//! ```
//! A principal is kept for as long as its account's picture has the same number, so that a second request costs a look into two maps.

use super::document::{self, Hash};
use super::error::{Code, IdentityError};
use super::id::EntityId;
use super::named;
use super::picture::{Entity, KeyEntry, Picture};
use super::row::{self, LastUsedRow, Which};
use super::token::{SessionKind, Token};
use super::{Identities, Kind, Tag, name};
use crate::credentials::{AccessKeyId, Bearer, Credential, CredentialLookup, Holder, TokenError};
use crate::policy::{Form, Policy};
use crate::principal::{Identity, SessionFacts, Source, Who};
use crate::{AccountId, Principal, Result};
use engine::BoxFuture;
use engine::catalog::record::Record as _;
use engine::catalog::{Check, Commit, Durability, Layout, Write};
use engine::clock::Timestamp;
use engine::id::PartitionId;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

/// How often what is read may turn out to be older or newer than the picture.
pub(super) const ATTEMPTS_MAX: usize = 16;
/// How long the use of a key is not noted again.
const NOTED_FOR_MS: i64 = 15 * 60 * 1000;

/// A principal, and the number of the picture that it was made from.
pub(super) type Known = (u64, Arc<Identity>);

/// Policies that somebody comes under, by their texts: none twice.
#[derive(Default)]
struct Collected {
    hashes: Vec<Hash>,
    policies: Vec<Arc<Policy>>,
}

impl Collected {
    fn add(&mut self, hash: Hash, policy: Arc<Policy>) {
        if !self.hashes.contains(&hash) {
            self.hashes.push(hash);
            self.policies.push(policy);
        }
    }
}

impl CredentialLookup for Identities {
    fn lookup(&self, access_key_id: &str) -> Option<Credential> {
        if let Some(of_file) = self.parts.roots.lookup(access_key_id) {
            return Some(of_file);
        }
        let world = self.world.load();
        let key = world
            .keys
            .get(access_key_id)
            .filter(|key| key.is_active() && self.has_account(key.row.account))?;
        let secret = key.secret(&self.parts.keys, access_key_id).inspect_err(|error| {
            tracing::error!(%error, access_key_id, "failed to unseal the secret of an access key: it is not taken");
        });
        let holder = match key.row.owner {
            EntityId::ROOT => Holder::RootKey,
            user => Holder::User(user),
        };
        Some(Credential { account: key.row.account, secret: secret.ok()?, holder })
    }

    fn session(&self, access_key_id: &str, token: &str, now: Timestamp) -> Result<Credential, TokenError> {
        if !access_key_id.starts_with("ASIA") {
            return Err(TokenError::Unknown);
        }
        let token = Token::open(&self.parts.keys, (access_key_id, token), now)?;
        if !self.has_account(token.account) {
            return Err(TokenError::Unknown);
        }
        let secret = crate::credentials::SecretKey::parse(&token.secret).map_err(|_| TokenError::Invalid)?;
        Ok(Credential { account: token.account, secret, holder: Holder::Session(Arc::new(token)) })
    }

    fn principal<'a>(&'a self, bearer: Bearer<'a>) -> BoxFuture<'a, Result<Option<Principal>>> {
        Box::pin(async move {
            let found = self.identity(bearer).await;
            found
                .map(|found| found.map(Principal::Identity))
                .map_err(|error| error.cause.unwrap_or_else(|| engine::Error::Invalid(error.message).into()))
        })
    }

    fn accounts(&self) -> Vec<AccountId> {
        self.parts.roots.accounts()
    }

    // Who is in no profile of the file any more is no account: nobody of it gets in, whatever rows it has.
    fn has_account(&self, account: AccountId) -> bool {
        self.parts.roots.has_account(account)
    }

    fn keys_of(&self, account: AccountId) -> Vec<AccessKeyId> {
        self.parts.roots.keys_of(account)
    }
}

impl Identities {
    /// Active keys that were made before a time, with their accounts, in order: those of which a recovery does not know whether they were
    /// ended since.
    pub fn active_keys_from_before(&self, time: Timestamp) -> Vec<(AccountId, AccessKeyId)> {
        let world = self.world.load();
        let from_before = world.keys.iter().filter(|(_, key)| key.is_active() && key.row.created < time);
        let mut found: Vec<_> =
            from_before.filter_map(|(id, key)| Some((key.row.account, id.parse().ok()?))).collect();
        found.sort();
        found
    }

    /// Whether a picture of this number is the newest of an account.
    pub(crate) fn is_current(&self, account: AccountId, number: u64) -> bool {
        self.world.load().accounts.get(&account).map_or(0, |picture| picture.number) == number
    }

    async fn identity(&self, bearer: Bearer<'_>) -> super::Result<Option<Arc<Identity>>> {
        let Bearer { account, holder, access_key_id, service } = bearer;
        if !self.has_account(account) {
            return Ok(None);
        }
        for _ in 0..ATTEMPTS_MAX {
            let world = self.world.load_full();
            let owner = match holder {
                Holder::RootKey => Some(EntityId::ROOT),
                Holder::User(user) => Some(*user),
                Holder::Root | Holder::Session(_) => None,
            };
            if let Some(owner) = owner {
                let key = world.keys.get(access_key_id.as_str());
                let its = |key: &&Arc<KeyEntry>| key.row.account == account && key.row.owner == owner;
                let Some(key) = key.filter(|key| key.is_active()).filter(its) else { return Ok(None) };
                self.note_use(access_key_id, key, service);
            }
            // The root of an account has sessions where nobody else is.
            let nobody = Arc::default();
            let picture = match world.accounts.get(&account) {
                Some(picture) => picture,
                None if matches!(holder, Holder::Session(_)) => &nobody,
                None => return Ok(None),
            };
            let known = self.principals.get(access_key_id);
            if let Some((_, identity)) = known.filter(|(number, _)| *number == picture.number) {
                self.note_service(account, identity.entity, service);
                return Ok(Some(identity));
            }
            let identity = match holder {
                Holder::Root => return Ok(None),
                Holder::RootKey => Some(root(account)),
                Holder::User(user) => {
                    let Some(entity) = picture.entities.get(user) else { return Ok(None) };
                    self.of_user(account, picture, entity).await?
                }
                Holder::Session(token) => match self.of_session(picture, token).await? {
                    None => return Ok(None),
                    Some(identity) => identity,
                },
            };
            // What was read is of another picture: that one is asked.
            let Some(mut identity) = identity else { continue };
            identity.access_key = Some(access_key_id.clone());
            identity.source = Some(Source {
                identities: Weak::clone(&self.itself),
                number: picture.number,
                holder: holder.clone(),
            });
            self.note_service(account, identity.entity, service);
            let (weight, identity) = (identity.weight(), Arc::new(identity));
            self.principals.put(access_key_id.clone(), (picture.number, Arc::clone(&identity)), weight);
            return Ok(Some(identity));
        }
        Err(IdentityError::new(Code::ConcurrentModification, "The account is being changed. Try again."))
    }

    /// `None`: the picture is not the newest.
    async fn of_user(
        &self,
        account: AccountId,
        picture: &Picture,
        entity: &Entity,
    ) -> super::Result<Option<Identity>> {
        let Some(policies) = self.policies_of(account, picture, entity).await? else { return Ok(None) };
        let Some(boundary) = self.boundary_of(account, picture, entity).await? else { return Ok(None) };
        let tags = if entity.row.is_tagged {
            let Some(row) = self.row_of(account, entity).await? else { return Ok(None) };
            row.tags
        } else {
            Vec::new()
        };
        Ok(Some(Identity {
            account,
            who: Who::User { name: entity.row.name.clone(), arn: (&*entity.arn).into() },
            entity: entity.row.id,
            user_id: entity.row.id.to_string().into(),
            access_key: None,
            tags: tags.into(),
            policies: policies.into(),
            boundary,
            session: None,
            source: None,
        }))
    }

    /// Nobody, or (`None` within) the picture is not the newest.
    async fn of_session(&self, picture: &Picture, token: &Token) -> super::Result<Option<Option<Identity>>> {
        let account = token.account;
        let mut identity = if token.entity == EntityId::ROOT {
            root(account)
        } else {
            let Some(entity) = picture.entities.get(&token.entity) else { return Ok(None) };
            let Some(identity) = self.of_user(account, picture, entity).await? else {
                return Ok(Some(None));
            };
            identity
        };
        let Some(policies) = self.session_policies(account, picture, token).await? else {
            return Ok(Some(None));
        };
        match token.kind {
            SessionKind::Own | SessionKind::SignedIn => {}
            SessionKind::Role | SessionKind::Web => {
                let Some(entity) = picture.entities.get(&token.entity) else { return Ok(None) };
                let arn = name::session_arn(account, &entity.row.name, &token.name);
                identity.who = Who::Role { arn: arn.into(), role: (&*entity.arn).into() };
                identity.user_id = format!("{}:{}", token.entity, token.name).into();
            }
            SessionKind::Federated => {
                let maker = if let Who::User { arn, .. } = &identity.who {
                    arn.clone()
                } else {
                    // What root makes is bounded by the session's policies alone.
                    identity.policies = Box::new([self.everything()?]);
                    name::root_arn(account).into()
                };
                let arn = name::federated_arn(account, &token.name).into();
                identity.who = Who::Federated { arn, maker };
                identity.user_id = format!("{account}:{}", token.name).into();
            }
        }
        identity.tags = merged(&token.tags, &identity.tags);
        identity.session = Some(SessionFacts {
            issued: token.issued,
            expires: token.expires,
            mfa: token.mfa,
            signed_in: token.kind == SessionKind::SignedIn,
            source_identity: token.source_identity.clone(),
            vouched: token.vouched.clone(),
            transitive: token.transitive.clone().into(),
            policies: token.bounded.then(|| policies.into()),
        });
        Ok(Some(Some(identity)))
    }

    /// Everything that allows or denies somebody something by itself and its groups.
    pub(super) async fn policies_of(
        &self,
        account: AccountId,
        picture: &Picture,
        entity: &Entity,
    ) -> super::Result<Option<Vec<Arc<Policy>>>> {
        let mut all = Collected::default();
        let groups = entity.groups.iter().filter_map(|group| picture.entities.get(group));
        for from in std::iter::once(entity).chain(groups.map(|group| &**group)) {
            for (which, hash) in &from.documents {
                let Some(policy) = self.compiled(account, (from.row.id, which), *hash).await? else {
                    return Ok(None);
                };
                all.add(*hash, policy);
            }
            for (id, arn) in &from.attached {
                match self.managed(account, picture, (*id, arn)).await? {
                    Some((hash, policy)) => all.add(hash, policy),
                    None => return Ok(None),
                }
            }
        }
        Ok(Some(all.policies))
    }

    /// The boundary, if there is one; the outer `None`: the picture is not the newest.
    async fn boundary_of(
        &self,
        account: AccountId,
        picture: &Picture,
        entity: &Entity,
    ) -> super::Result<Option<Option<Arc<Policy>>>> {
        let Some(arn) = &entity.row.boundary else { return Ok(Some(None)) };
        Ok(self.managed_by_arn(account, picture, arn).await?.map(Some))
    }

    /// A session's own policies.
    async fn session_policies(
        &self,
        account: AccountId,
        picture: &Picture,
        token: &Token,
    ) -> super::Result<Option<Vec<Arc<Policy>>>> {
        let mut all = Vec::new();
        if let Some(text) = &token.policy {
            all.push(Arc::new(document::compiled(text, Form::Identity)));
        }
        for arn in &token.policy_arns {
            let there = named::by_arn(arn).is_some() || find_policy(picture, account, arn).is_some();
            // One that went allows nothing.
            if there {
                match self.managed_by_arn(account, picture, arn).await? {
                    Some(policy) => all.push(policy),
                    None => return Ok(None),
                }
            }
        }
        Ok(Some(all))
    }

    pub(super) async fn managed_by_arn(
        &self,
        account: AccountId,
        picture: &Picture,
        arn: &str,
    ) -> super::Result<Option<Arc<Policy>>> {
        let id = match named::by_arn(arn) {
            Some(known) => known.id(),
            None => match find_policy(picture, account, arn) {
                Some(entity) => entity.row.id,
                None => return Ok(None),
            },
        };
        Ok(self.managed(account, picture, (id, arn)).await?.map(|(_, policy)| policy))
    }

    /// The version of a managed policy that counts.
    pub(super) async fn managed(
        &self,
        account: AccountId,
        picture: &Picture,
        (id, arn): (EntityId, &str),
    ) -> super::Result<Option<(Hash, Arc<Policy>)>> {
        if let Some(known) = named::by_arn(arn) {
            let hash = document::hash(known.document);
            return Ok(Some((hash, self.kept(hash, || known.document.into()))));
        }
        let document = picture.entities.get(&id).and_then(|policy| policy.documents.first());
        let Some((which, hash)) = document else { return Ok(None) };
        Ok(self.compiled(account, (id, which), *hash).await?.map(|policy| (*hash, policy)))
    }

    /// A document, compiled. `None`: another one stands there by now.
    pub(super) async fn compiled(
        &self,
        account: AccountId,
        (id, which): (EntityId, &Which),
        hash: Hash,
    ) -> super::Result<Option<Arc<Policy>>> {
        if let Some(policy) = self.compiled.get(&hash) {
            return Ok(Some(policy));
        }
        let found = self.view(account).await?.document(id, which).await?;
        let found = found.filter(|row| document::hash(&row.text) == hash);
        Ok(found.map(|row| self.kept(hash, || row.text)))
    }

    fn kept(&self, hash: Hash, text: impl FnOnce() -> Box<str>) -> Arc<Policy> {
        if let Some(policy) = self.compiled.get(&hash) {
            return policy;
        }
        let policy = Arc::new(document::compiled(&text(), Form::Identity));
        self.compiled.put(hash, Arc::clone(&policy), size_of::<Policy>() + policy.heap_bytes());
        policy
    }

    /// What allows everything.
    fn everything(&self) -> super::Result<Arc<Policy>> {
        let known = named::by_arn("arn:aws:iam::aws:policy/AdministratorAccess");
        let absent = || IdentityError::new(Code::ServiceFailure, "A policy is missing.");
        let text = known.ok_or_else(absent)?.document;
        Ok(self.kept(document::hash(text), || text.into()))
    }

    /// Notes that a key was used, once in a while and without anybody waiting for it: a power cut may lose it.
    fn note_use(&self, id: &AccessKeyId, key: &KeyEntry, service: &str) {
        let now = self.parts.clock.now();
        let last = key.noted.load(Ordering::Relaxed);
        let late = last == 0 || !(0..NOTED_FOR_MS).contains(&now.as_millis().saturating_sub(last));
        let noted = late
            && key
                .noted
                .compare_exchange(last, now.as_millis(), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        let Some(identities) = self.itself.upgrade().filter(|_| noted) else { return };
        let region = self.parts.region.as_str().into();
        let (id, used) = (id.clone(), LastUsedRow { at: now, region, service: service.into() });
        tokio::spawn(async move {
            if let Err(error) = identities.write_use(&id, &used).await {
                tracing::debug!(%error, "failed to note the use of an access key");
            }
        });
    }

    async fn write_use(&self, id: &AccessKeyId, used: &LastUsedRow) -> engine::Result<()> {
        let snapshot = self.parts.catalog.snapshot(PartitionId::ROOT).await?;
        let key = row::access_key(id.as_str());
        if snapshot.get(key.clone()).await?.is_none() {
            return Ok(());
        }
        let commit = Commit {
            checks: vec![Check::Unchanged(key)],
            writes: vec![Write::Put(row::last_used(id.as_str()), used.to_bytes())],
            durability: Durability::Relaxed,
            layout: Layout::IDENTITIES,
            ..Commit::new(PartitionId::ROOT, snapshot.read_version())
        };
        self.parts.catalog.commit(commit).await.map(drop)
    }
}

/// The root of an account, by what can end: a session, or a key of a row.
fn root(account: AccountId) -> Identity {
    Identity {
        account,
        who: Who::Root,
        entity: EntityId::ROOT,
        user_id: account.to_string().into(),
        access_key: None,
        tags: Box::default(),
        policies: Box::default(),
        boundary: None,
        session: None,
        source: None,
    }
}

/// A managed policy of the account, by its ARN to the letter.
pub(super) fn find_policy<'p>(
    picture: &'p Picture,
    account: AccountId,
    arn: &str,
) -> Option<&'p Arc<Entity>> {
    let (of, _, name) = name::split_arn(arn, Kind::Policy).ok()?;
    let found = picture.named(Kind::Policy, &name.to_ascii_lowercase())?;
    (of == Some(account) && *found.arn == *arn).then_some(found)
}

/// The first ones, over those of the others that have another key.
pub(super) fn merged(over: &[Tag], under: &[Tag]) -> Box<[Tag]> {
    let is_new = |tag: &&Tag| !over.iter().any(|other| other.key.to_lowercase() == tag.key.to_lowercase());
    over.iter().chain(under.iter().filter(is_new)).cloned().collect()
}

impl Identity {
    /// What it takes in memory, about: policies that others have too are counted for each.
    fn weight(&self) -> usize {
        let of = |policies: &[Arc<Policy>]| {
            policies.iter().map(|policy| size_of::<Policy>() + policy.heap_bytes()).sum::<usize>()
        };
        let session = self.session.as_ref().and_then(|session| session.policies.as_deref());
        let tags: usize = self.tags.iter().map(|tag| tag.key.len() + tag.value.len() + 48).sum();
        size_of::<Self>()
            + 256
            + tags
            + of(&self.policies)
            + of(session.unwrap_or_default())
            + of(self.boundary.as_slice())
    }
}
