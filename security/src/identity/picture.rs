//! What is in memory: who there is, and whose is which key.
//!
//! ```text
//!   World ─► account ─► Picture: entities by id and by name, with their groups, edges and hashes of documents
//!         └► access key ─► whose, active or not, its secret once it was asked for
//! ```
//!
//! # Invariants
//! - A picture is what the rows said at one version; it is replaced whole, and readers hold no lock.
//! - Of another change there is another number: what was made from a picture is good for that number alone.
//! - An account whose rows can't be read, or of which a commit's outcome is not known, is *unsure*: it has no picture and no key here, and
//!   takes no change, until its rows have been read whole. It holds up nobody else. `doubt.rs` sees to it.
//!
//! # Limits
//! About 500 bytes an entity and 300 a key. Documents, trust policies, tags and descriptions are not among them, and read when they are asked
//! for; of what entity they were is told by the hash of its row.

use super::access_keys::unsealed;
use super::document::{self, Hash};
use super::error::Result;
use super::id::EntityId;
use super::row::{self, AccessKeyRow, DocumentRow, EdgeRow, EntityRow, Which};
use super::view::{View, last_id, owner_and_key};
use super::{Identities, KeyStatus, Kind};
use crate::AccountId;
use crate::credentials::SecretKey;
use crate::keys::KeyTable;
use engine::catalog::record::Record as _;
use engine::catalog::{Scan, Snapshot, key_after, prefix_end};
use engine::id::PartitionId;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, OnceLock};

/// Entities that are read at once: one may take as much as a row.
const ENTITIES_AT_ONCE: usize = 64;

/// Everybody.
#[derive(Clone, Default)]
pub(super) struct World {
    pub(super) accounts: HashMap<AccountId, Arc<Picture>>,
    pub(super) keys: Arc<Keys>,
    /// Accounts of which it is not known now who there is.
    pub(super) unsure: HashSet<AccountId>,
}

type Keys = HashMap<Box<str>, Arc<KeyEntry>>;

/// Who there is in one account.
#[derive(Clone, Default)]
pub(super) struct Picture {
    /// Of each change another one.
    pub(super) number: u64,
    pub(super) entities: HashMap<EntityId, Arc<Entity>>,
    names: HashMap<(Kind, Arc<str>), EntityId>,
}

/// A user, group, role or managed policy.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entity {
    pub(super) row: Lean,
    pub(super) arn: Arc<str>,
    /// Of a user: those that it is in.
    pub(super) groups: Box<[EntityId]>,
    /// Managed policies. Their ARNs are the policies' own: one text, to however many they are attached.
    pub(super) attached: Box<[(EntityId, Arc<str>)]>,
    /// Inline policies; of a managed policy the version that counts.
    pub(super) documents: Box<[(Which, Hash)]>,
}

/// What of an entity's row is in memory: neither tags nor texts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lean {
    pub(super) id: EntityId,
    pub(super) name: Box<str>,
    /// The ARN of the boundary.
    pub(super) boundary: Option<Box<str>>,
    pub(super) is_tagged: bool,
    kind: Kind,
    /// Of the whole row, as it is written now.
    hash: Hash,
}

impl Lean {
    fn of(row: EntityRow) -> Self {
        let (kind, hash, is_tagged) = (row.kind(), document::hash_of(&row.to_bytes()), !row.tags.is_empty());
        Self { id: row.id, name: row.name, boundary: row.boundary, is_tagged, kind, hash }
    }

    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn lower(&self) -> String {
        self.name.to_ascii_lowercase()
    }
}

/// An access key.
pub(super) struct KeyEntry {
    pub(super) row: AccessKeyRow,
    secret: OnceLock<SecretKey>,
    /// When its use was noted last, in milliseconds.
    pub(super) noted: AtomicI64,
}

impl KeyEntry {
    fn new(row: AccessKeyRow) -> Self {
        Self { row, secret: OnceLock::new(), noted: AtomicI64::new(0) }
    }

    pub(super) fn is_active(&self) -> bool {
        self.row.status == KeyStatus::Active
    }

    /// The secret, unsealed when it is asked for first.
    pub(super) fn secret(&self, keys: &KeyTable, id: &str) -> crate::Result<SecretKey> {
        if let Some(known) = self.secret.get() {
            return Ok(known.clone());
        }
        let secret = unsealed(keys, id, &self.row)?;
        Ok(self.secret.get_or_init(|| secret).clone())
    }
}

impl Picture {
    /// An entity by its name in lower case.
    pub(super) fn named(&self, kind: Kind, lower: &str) -> Option<&Arc<Entity>> {
        self.entities.get(self.names.get(&(kind, Arc::from(lower)))?)
    }

    fn forget(&mut self, id: EntityId) {
        if let Some(before) = self.entities.remove(&id) {
            let name = (before.row.kind(), Arc::from(before.row.lower()));
            // Somebody else may have the name by now.
            if self.names.get(&name) == Some(&id) {
                self.names.remove(&name);
            }
        }
    }

    fn learn(&mut self, mut entity: Entity) {
        let id = entity.row.id;
        for (policy, arn) in &mut entity.attached {
            let known = self.entities.get(policy).filter(|policy| policy.arn == *arn);
            *arn = known.map_or_else(|| Arc::clone(arn), |policy| Arc::clone(&policy.arn));
        }
        self.forget(id);
        self.names.insert((entity.row.kind(), Arc::from(entity.row.lower())), id);
        self.entities.insert(id, Arc::new(entity));
    }
}

/// An entity as the rows have it.
async fn read(view: &View, id: EntityId) -> Result<Option<Entity>> {
    match view.by_ids(&[id]).await?.into_iter().next() {
        Some(row) => Ok(Some(whole(view, row).await?)),
        None => Ok(None),
    }
}

/// An entity with what hangs on it.
async fn whole(view: &View, row: EntityRow) -> Result<Entity> {
    let (account, id) = (view.account, row.id);
    let mut documents = Vec::new();
    let (mut groups, mut attached) = (Vec::new(), Vec::new());
    if let Some(policy) = row.policy() {
        let which = Which::Version(policy.default);
        if let Some(found) = view.document(id, &which).await? {
            documents.push((which, document::hash(&found.text)));
        }
    } else {
        let prefix = row::inlines(account, id);
        for (key, value) in view.all(row::DOCUMENTS, &prefix).await? {
            let name = String::from_utf8_lossy(key.get(prefix.len()..).unwrap_or_default());
            let text = DocumentRow::from_bytes(&value)?.text;
            documents.push((Which::Inline(name.into()), document::hash(&text)));
        }
        for (key, value) in view.all(row::ATTACHED, &row::of_entity(account, id)).await? {
            attached.push((last_id(&key)?, Arc::from(EdgeRow::from_bytes(&value)?.arn)));
        }
    }
    if row.kind() == Kind::User {
        for (key, _) in view.all(row::GROUPS_OF, &row::of_entity(account, id)).await? {
            groups.push(last_id(&key)?);
        }
    }
    Ok(Entity {
        arn: row.arn(account).into(),
        row: Lean::of(row),
        groups: groups.into(),
        attached: attached.into(),
        documents: documents.into(),
    })
}

/// Who there is in an account, and its keys.
async fn read_account(view: &View) -> Result<(Picture, Keys)> {
    let account = view.account.to_bytes();
    let mut picture = Picture::default();
    // Policies first: whom they are attached to have their ARNs.
    for kind in [Kind::Policy, Kind::Group, Kind::User, Kind::Role] {
        let of_kind = row::of_kind(view.account, kind);
        let mut next = Some(Scan::prefix(row::ENTITIES, &of_kind, ENTITIES_AT_ONCE));
        while let Some(scan) = next {
            let page = view.snapshot.scan(scan.clone()).await?;
            next = scan.behind(&page);
            for (_, value) in page.rows {
                picture.learn(whole(view, EntityRow::from_bytes(&value)?).await?);
            }
        }
    }
    let mut keys = Keys::new();
    for (key, _) in view.all(row::KEYS_OF, &account).await? {
        let (of, owner, id) = owner_and_key(&key)?;
        let found: Option<AccessKeyRow> = view.get(row::access_key(&id)).await?;
        let found = found.filter(|row| row.account == of && row.owner == owner);
        let wrong = || crate::Error::Corrupt {
            what: "access key",
            detail: format!("{id} is not there, or somebody else's"),
        };
        keys.insert(id.as_str().into(), Arc::new(KeyEntry::new(found.ok_or_else(wrong)?)));
    }
    Ok((picture, keys))
}

/// Accounts that have anybody, or a key: two looks where there are none.
async fn accounts(snapshot: &dyn Snapshot) -> Result<BTreeSet<AccountId>> {
    let mut found = BTreeSet::new();
    for table in [row::ENTITIES, row::KEYS_OF] {
        let mut next = Some(Scan::prefix(table, b"", 1));
        while let Some(scan) = next.take() {
            let page = snapshot.scan(scan.clone()).await?;
            let Some((key, _)) = page.rows.first() else { break };
            let account = key.first_chunk().map(|bytes| AccountId::from_bytes(*bytes));
            let start = if let Some(Ok(account)) = account {
                found.insert(account);
                prefix_end(&account.to_bytes())
            } else {
                tracing::error!(?key, "the row of an identity is of no account: it is left out");
                key_after(key)
            };
            next = Some(Scan { start, ..scan });
        }
    }
    Ok(found)
}

impl World {
    /// Takes what is known of an account away.
    pub(super) fn forget(&mut self, account: AccountId) {
        self.accounts.remove(&account);
        if self.keys.values().any(|key| key.row.account == account) {
            let mut keys = Keys::clone(&self.keys);
            keys.retain(|_, key| key.row.account != account);
            self.keys = Arc::new(keys);
        }
    }

    /// Says of an account what its rows said.
    fn learn(&mut self, account: AccountId, picture: Picture, found: Keys) {
        self.forget(account);
        self.unsure.remove(&account);
        self.accounts.insert(account, Arc::new(picture));
        let mut keys = Keys::clone(&self.keys);
        keys.extend(found);
        self.keys = Arc::new(keys);
    }
}

fn unreadable(account: AccountId, error: &super::IdentityError) {
    tracing::error!(
        %account, %error, cause = ?error.cause,
        "failed to read who there is in an account: nobody of it gets in but its root; trying again"
    );
}

impl Identities {
    /// The whole row of an entity; `None`: the picture is not the newest.
    pub(super) async fn row_of(&self, account: AccountId, entity: &Entity) -> Result<Option<EntityRow>> {
        let key = row::entity(account, entity.row.kind, &entity.row.lower());
        let found: Option<EntityRow> = self.view(account).await?.get(key).await?;
        Ok(found.filter(|row| document::hash_of(&row.to_bytes()) == entity.row.hash))
    }

    /// Everybody, read anew; accounts whose rows can't be read are unsure.
    pub(super) async fn read_world(&self) -> Result<World> {
        let mut world = World::default();
        let snapshot = self.parts.catalog.snapshot(PartitionId::ROOT).await?;
        for account in accounts(&*snapshot).await? {
            if let Err(error) = self.read_into(&mut world, account).await {
                unreadable(account, &error);
                world.unsure.insert(account);
            }
        }
        Ok(world)
    }

    async fn read_into(&self, world: &mut World, account: AccountId) -> Result<()> {
        let (picture, keys) = read_account(&self.view(account).await?).await?;
        world.learn(account, Picture { number: self.next_number(), ..picture }, keys);
        Ok(())
    }

    pub(super) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }

    /// Reads an account whole. Whoever has the turn calls it.
    pub(super) async fn reread(&self, account: AccountId) -> Result<()> {
        let mut world = World::clone(&self.world.load());
        self.read_into(&mut world, account).await.inspect_err(|error| unreadable(account, error))?;
        self.world.store(Arc::new(world));
        Ok(())
    }

    /// Makes the picture of an account anew where it was touched. Whoever has the turn calls it. Where the rows can't be read the account is
    /// unsure from now on: nobody of it gets in by what is not so any more.
    pub(super) async fn refresh(&self, account: AccountId, touched: &[EntityId], keys: &[String]) {
        let before = World::clone(&self.world.load());
        match self.renewed(before, account, touched, keys).await {
            Ok(world) => self.world.store(Arc::new(world)),
            Err(error) => {
                unreadable(account, &error);
                self.doubt(account);
                self.settle(account, None);
            }
        }
    }

    async fn renewed(
        &self,
        mut world: World,
        account: AccountId,
        touched: &[EntityId],
        keys: &[String],
    ) -> Result<World> {
        let view = self.view(account).await?;
        let mut picture = world.accounts.get(&account).map(|known| Picture::clone(known)).unwrap_or_default();
        for id in touched {
            match read(&view, *id).await? {
                Some(entity) => picture.learn(entity),
                None => picture.forget(*id),
            }
        }
        if !keys.is_empty() {
            let mut all = HashMap::clone(&world.keys);
            for id in keys {
                match view.get::<AccessKeyRow>(row::access_key(id)).await? {
                    Some(row) => all.insert(id.as_str().into(), Arc::new(KeyEntry::new(row))),
                    None => all.remove(id.as_str()),
                };
            }
            world.keys = Arc::new(all);
        }
        picture.number = self.next_number();
        world.accounts.insert(account, Arc::new(picture));
        Ok(world)
    }

    /// What is in memory is what the rows say: for tests.
    #[cfg(test)]
    pub(super) async fn assert_true(&self) {
        let (known, read) = (self.world.load_full(), self.read_world().await.unwrap());
        assert_eq!(known.told(), read.told());
        for picture in known.accounts.values() {
            assert_eq!(picture.names.len(), picture.entities.len());
            for entity in picture.entities.values() {
                let named = picture.named(entity.row.kind(), &entity.row.lower());
                assert!(Arc::ptr_eq(named.unwrap(), entity));
            }
        }
    }
}

#[cfg(test)]
impl World {
    /// Everything that it says, in order.
    pub(super) fn told(&self) -> Vec<String> {
        let entities = self.accounts.iter().flat_map(|(account, picture)| {
            picture.entities.values().map(move |entity| format!("{account:?} {entity:?}"))
        });
        let keys = self.keys.iter().map(|(id, key)| format!("{id} {:?}", key.row));
        let mut all: Vec<String> = entities.chain(keys).collect();
        all.sort();
        all
    }
}
