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
//!
//! # Limits
//! About 500 bytes an entity and 300 a key, documents not among them.

use super::access_keys::unsealed;
use super::document::{self, Hash};
use super::error::Result;
use super::id::EntityId;
use super::row::{self, AccessKeyRow, DocumentRow, EdgeRow, EntityRow, Which};
use super::view::{View, last_id};
use super::{Identities, KeyStatus, Kind};
use crate::AccountId;
use crate::credentials::SecretKey;
use crate::keys::KeyTable;
use engine::catalog::record::Record as _;
use std::collections::HashMap;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long until rows that could not be read are read again.
const AGAIN: Duration = Duration::from_secs(1);

/// Everybody.
#[derive(Clone, Default)]
pub(super) struct World {
    pub(super) accounts: HashMap<AccountId, Arc<Picture>>,
    pub(super) keys: Arc<HashMap<Box<str>, Arc<KeyEntry>>>,
}

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
    pub(super) row: EntityRow,
    pub(super) arn: Box<str>,
    /// Of a user: those that it is in.
    pub(super) groups: Box<[EntityId]>,
    /// Managed policies.
    pub(super) attached: Box<[(EntityId, Box<str>)]>,
    /// Inline policies; of a managed policy the version that counts.
    pub(super) documents: Box<[(Which, Hash)]>,
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

    fn learn(&mut self, entity: Entity) {
        let id = entity.row.id;
        self.forget(id);
        self.names.insert((entity.row.kind(), Arc::from(entity.row.lower())), id);
        self.entities.insert(id, Arc::new(entity));
    }
}

/// An entity as the rows have it.
async fn read(view: &View, id: EntityId) -> Result<Option<Entity>> {
    let account = view.account;
    let Some(row) = view.by_ids(&[id]).await?.into_iter().next() else { return Ok(None) };
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
            attached.push((last_id(&key)?, EdgeRow::from_bytes(&value)?.arn));
        }
    }
    if row.kind() == Kind::User {
        for (key, _) in view.all(row::GROUPS_OF, &row::of_entity(account, id)).await? {
            groups.push(last_id(&key)?);
        }
    }
    Ok(Some(Entity {
        arn: row.arn(account).into(),
        row,
        groups: groups.into(),
        attached: attached.into(),
        documents: documents.into(),
    }))
}

impl Identities {
    /// Everybody, read anew.
    pub(super) async fn read_world(&self) -> Result<World> {
        let mut world = World::default();
        // Any account: whole tables are read.
        let mut view = self.view(AccountId::from_bytes([0; 8])?).await?;
        let mut pictures: HashMap<AccountId, Picture> = HashMap::new();
        for (key, value) in view.all(row::ENTITIES, b"").await? {
            let wrong =
                || crate::Error::Corrupt { what: "identity row", detail: "its key is too short".to_owned() };
            let account = AccountId::from_bytes(*key.first_chunk().ok_or_else(wrong)?)?;
            view.account = account;
            if let Some(entity) = read(&view, EntityRow::from_bytes(&value)?.id).await? {
                pictures.entry(account).or_default().learn(entity);
            }
        }
        let mut keys = HashMap::new();
        for (key, value) in view.all(row::ACCESS_KEYS, b"").await? {
            let row = AccessKeyRow::from_bytes(&value)?;
            pictures.entry(row.account).or_default();
            keys.insert(String::from_utf8_lossy(&key).into(), Arc::new(KeyEntry::new(row)));
        }
        world.keys = Arc::new(keys);
        for (account, picture) in pictures {
            world.accounts.insert(account, Arc::new(Picture { number: self.next_number(), ..picture }));
        }
        Ok(world)
    }

    pub(super) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }

    /// Makes the picture of an account anew where it was touched. Whoever has the turn calls it.
    pub(super) async fn refresh(&self, account: AccountId, touched: &[EntityId], keys: &[String]) {
        let before = World::clone(&self.world.load());
        loop {
            let error = match self.renewed(before.clone(), account, touched, keys).await {
                Ok(world) => return self.world.store(Arc::new(world)),
                Err(error) => error,
            };
            // Nobody of it gets in by what is not so any more.
            let mut blind = before.clone();
            blind.accounts.remove(&account);
            self.world.store(Arc::new(blind));
            tracing::error!(%account, %error, cause = ?error.cause, "failed to read who there is in an account; trying again");
            self.parts.clock.sleep(AGAIN).await;
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
