//! Access keys.

use super::change::again;
use super::error::{Code, IdentityError, Result};
use super::id::EntityId;
use super::row::{self, AccessKeyRow, Count, LastUsedRow};
use super::view::{View, owner_and_key};
use super::{AccessKey, Identities, KeyOwner, KeyStatus, Kind, LastUsed, NewAccessKey, Page, Paging, limit};
use crate::AccountId;
use crate::credentials::{AccessKeyId, SecretKey};
use crate::keys::KeyScope;

fn no_key(id: &str) -> IdentityError {
    IdentityError::new(Code::NoSuchEntity, format!("The Access Key with id {id} cannot be found."))
}

fn in_file(id: &str) -> IdentityError {
    let message = format!(
        "The access key {id} stands in the appliance's credentials file, and is changed there: its profile goes, or gets another key, and \
         the server starts anew."
    );
    IdentityError::new(Code::UnmodifiableEntity, message)
}

impl View {
    async fn key_owner(&self, owner: KeyOwner<'_>) -> Result<EntityId> {
        match owner {
            KeyOwner::Root => Ok(EntityId::ROOT),
            KeyOwner::User(name) => Ok(self.entity(Kind::User, name).await?.id),
        }
    }

    /// A key of this owner.
    async fn key(&self, owner: EntityId, id: &str) -> Result<AccessKeyRow> {
        let found: Option<AccessKeyRow> = self.get(row::access_key(id)).await?;
        found.filter(|row| row.account == self.account && row.owner == owner).ok_or_else(|| no_key(id))
    }
}

impl Identities {
    /// Makes an active access key. `LimitExceeded` where there are two. The answer is the only time that its secret is shown.
    pub async fn create_access_key(&self, account: AccountId, owner: KeyOwner<'_>) -> Result<NewAccessKey> {
        let scope = KeyScope::identities(account);
        self.prepare(scope).await?;
        let of_file = match owner {
            KeyOwner::Root => self.keys_of_file(account).len(),
            KeyOwner::User(_) => 0,
        };
        let limit = limit::KEYS - i64::try_from(of_file).unwrap_or(limit::KEYS);
        again(|| async {
            let mut change = self.change(account).await?;
            let mut shown = None;
            let owner_id = match owner {
                KeyOwner::Root => EntityId::ROOT,
                KeyOwner::User(name) => {
                    let row = change.resting(Kind::User, name).await?;
                    shown = Some(row.name.into());
                    row.id
                }
            };
            let entropy = &*self.parts.entropy;
            let (id, secret) = (AccessKeyId::random(entropy), SecretKey::random(entropy));
            let aad = AccessKeyRow::aad(id.as_str(), account, owner_id);
            let sealed = self.parts.keys.seal(scope, secret.expose().as_bytes(), &aad)?.into();
            let (status, created) = (KeyStatus::Active, self.parts.clock.now());
            let row = AccessKeyRow { account, owner: owner_id, status, created, sealed };
            let key = row::access_key(id.as_str());
            change.absent(key.clone());
            change.put(key, &row);
            change.mark(row::key_of(account, owner_id, &id));
            change.add(Count::Keys, owner_id, 1, Some(("AccessKeysPerUser", limit)));
            change.touch_key(id.as_str());
            self.apply(change).await?;
            Ok(NewAccessKey { key: AccessKey { id, user: shown, status, created }, secret })
        })
        .await
    }

    /// The access keys of somebody. Keys of root that stand in the credentials file are among them.
    pub async fn access_keys(
        &self,
        account: AccountId,
        owner: KeyOwner<'_>,
        paging: Paging<'_>,
    ) -> Result<Page<AccessKey>> {
        let view = self.view(account).await?;
        let owner_id = view.key_owner(owner).await?;
        let user = match owner {
            KeyOwner::Root => None,
            KeyOwner::User(name) => Some(String::from(view.entity(Kind::User, name).await?.name)),
        };
        let mut items = Vec::new();
        for (key, _) in view.all(row::KEYS_OF, &row::of_entity(account, owner_id)).await? {
            let (_, _, id) = owner_and_key(&key)?;
            let Some(row) = view.get::<AccessKeyRow>(row::access_key(&id)).await? else { continue };
            let id = id.parse()?;
            items.push(AccessKey { id, user: user.clone(), status: row.status, created: row.created });
        }
        if owner == KeyOwner::Root {
            let epoch = engine::clock::Timestamp::default();
            let of_file = self.keys_of_file(account).into_iter();
            let shown = |id| AccessKey { id, user: None, status: KeyStatus::Active, created: epoch };
            items.extend(of_file.map(shown));
        }
        let behind = paging.after.and_then(|after| items.iter().position(|key| key.id.as_str() == after));
        items.drain(..behind.map_or(0, |at| at + 1));
        let more = items.len() > paging.limit;
        items.truncate(paging.limit);
        let next = items.last().filter(|_| more).map(|key| key.id.to_string());
        Ok(Page { items, next })
    }

    /// Says whether a key may be used. `UnmodifiableEntity` for one that stands in the credentials file.
    pub async fn update_access_key(
        &self,
        account: AccountId,
        owner: KeyOwner<'_>,
        id: &str,
        status: KeyStatus,
    ) -> Result<()> {
        self.refuse_file(account, owner, id)?;
        again(|| async {
            let mut change = self.change(account).await?;
            let owner_id = change.key_owner(owner).await?;
            let mut row = change.key(owner_id, id).await?;
            change.unchanged(row::access_key(id));
            change.touch_key(id);
            if row.status == status {
                return self.is_so(change).await;
            }
            row.status = status;
            change.put(row::access_key(id), &row);
            self.apply(change).await
        })
        .await
    }

    /// Ends an access key.
    pub async fn delete_access_key(&self, account: AccountId, owner: KeyOwner<'_>, id: &str) -> Result<()> {
        self.refuse_file(account, owner, id)?;
        let parsed: AccessKeyId = id.parse().map_err(|_| no_key(id))?;
        again(|| async {
            let mut change = self.change(account).await?;
            let owner_id = change.key_owner(owner).await?;
            change.key(owner_id, id).await?;
            change.unchanged(row::access_key(id));
            change.delete(row::access_key(id));
            change.delete(row::key_of(account, owner_id, &parsed));
            change.delete(row::last_used(id));
            change.add(Count::Keys, owner_id, -1, None);
            change.touch_key(id);
            self.apply(change).await
        })
        .await
    }

    /// Whose a key is, and when it was used last.
    pub async fn access_key_last_used(&self, account: AccountId, id: &str) -> Result<LastUsed> {
        let view = self.view(account).await?;
        let found: Option<AccessKeyRow> = view.get(row::access_key(id)).await?;
        let row = found.filter(|row| row.account == account).ok_or_else(|| no_key(id))?;
        let user = match row.owner {
            EntityId::ROOT => None,
            owner => view.by_ids(&[owner]).await?.into_iter().next().map(|row| row.name.into()),
        };
        let noted: Option<LastUsedRow> = view.get(row::last_used(id)).await?;
        Ok(LastUsed { user, used: noted.map(|row| (row.at, row.region.into(), row.service.into())) })
    }

    fn keys_of_file(&self, account: AccountId) -> Vec<AccessKeyId> {
        self.parts.roots.keys_of(account)
    }

    fn refuse_file(&self, account: AccountId, owner: KeyOwner<'_>, id: &str) -> Result<()> {
        let of_file =
            owner == KeyOwner::Root && self.keys_of_file(account).iter().any(|key| key.as_str() == id);
        if of_file { Err(in_file(id)) } else { Ok(()) }
    }
}

/// A secret of a row.
pub(super) fn unsealed(
    keys: &crate::keys::KeyTable,
    id: &str,
    row: &AccessKeyRow,
) -> crate::Result<SecretKey> {
    let plain = keys.unseal(&row.sealed, &AccessKeyRow::aad(id, row.account, row.owner))?;
    let wrong = || crate::Error::Corrupt { what: "access key", detail: "its secret is no text".to_owned() };
    SecretKey::parse(std::str::from_utf8(&plain).map_err(|_| wrong())?)
}
