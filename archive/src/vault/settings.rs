//! What is set on a vault: its access policy, notifications, tags, lock, guard.
//!
//! Policies are bytes here that `security::policy` has found good.

use super::change::{Attempt, Change};
use super::rows::ArchiveRow;
use super::{Error, Result, Vault, VaultName, Vaults, tables};
use crate::lock::{Facts, Guard, Kept, LockEvent, LockId, LockPolicy, VaultLock, age_in_days};
use crate::pack::ArchiveId;
use bytes::Bytes;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::catalog::{Key, Snapshot};
use engine::id::random_bytes;
use security::AccountId;
use std::collections::BTreeMap;

/// Most tags of a vault.
const TAGS_MAX: usize = 10;

/// Which setting, by its tag in the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    AccessPolicy = 1,
    Notification = 2,
    Tags = 3,
    Lock = 4,
    Guard = 5,
}

pub(super) fn key(kind: Kind) -> Key {
    tables::SETTINGS.key(vec![kind as u8])
}

/// Whom to tell of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// A topic's ARN.
    pub topic: String,
    /// `ArchiveRetrievalCompleted`, `InventoryRetrievalCompleted`.
    pub events: Vec<String>,
}

impl Record for Notification {
    const NAME: &'static str = "notifications of a vault";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.text(&self.topic).count(self.events.len());
        for event in &self.events {
            out.text(event);
        }
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let topic = fields.text()?.to_owned();
        let events =
            (0..fields.count()?).map(|_| fields.text().map(str::to_owned)).collect::<engine::Result<_>>()?;
        Ok(Self { topic, events })
    }
}

/// A vault's tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(pub BTreeMap<String, String>);

impl Record for Tags {
    const NAME: &'static str = "tags of a vault";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.count(self.0.len());
        for (name, value) in &self.0 {
            out.text(name).text(value);
        }
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let count = fields.count()?;
        let pair = |_| Ok((fields.text()?.to_owned(), fields.text()?.to_owned()));
        (0..count).map(pair).collect::<engine::Result<_>>().map(Self)
    }
}

/// What decides who may do something to a vault, or to an archive in it, as all of it was at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The access policy's document.
    pub access_policy: Option<Bytes>,
    /// The lock's policy that is in force.
    pub lock_policy: Option<LockPolicy>,
    /// What the conditions of policies may ask.
    pub facts: Facts,
}

impl Tags {
    /// With these besides; Glacier's bounds.
    pub fn with(mut self, more: BTreeMap<String, String>) -> Result<Self> {
        for (name, value) in more {
            if !(1..=128).contains(&name.chars().count()) || value.chars().count() > 256 {
                return Err(Error::Invalid(
                    "a tag's name has 1 to 128 characters, its value at most 256".to_owned(),
                ));
            }
            self.0.insert(name, value);
        }
        if self.0.len() > TAGS_MAX {
            return Err(Error::TooMany { what: "tags of the vault", limit: TAGS_MAX as u64 });
        }
        Ok(self)
    }
}

impl Vaults {
    async fn setting<R: Record>(&self, snapshot: &dyn Snapshot, kind: Kind) -> Result<Option<R>> {
        Ok(snapshot.get(key(kind)).await?.map(|raw| R::from_bytes(&raw)).transpose()?)
    }

    /// Changes a setting by what it was.
    async fn change_setting<T>(
        &self,
        vault: &Vault,
        kind: Kind,
        change: impl Fn(Option<&Bytes>) -> Result<(Option<Bytes>, T)>,
    ) -> Result<T> {
        self.transact(|| async {
            let snapshot = self.at(vault.home).await?;
            let old = snapshot.get(key(kind)).await?;
            let (new, answer) = change(old.as_ref())?;
            if new == old {
                return Ok(Attempt::Answer(answer));
            }
            let base = Change::default().unchanged(key(kind)).unchanged(tables::only(tables::CONFIG));
            let change = match new {
                Some(new) => base.put(key(kind), new),
                None => base.delete(key(kind)),
            };
            if snapshot.get(tables::only(tables::CONFIG)).await?.is_none() {
                return Err(self.gone(vault));
            }
            Ok(Attempt::Commit(change.at(vault.home, &*snapshot), answer))
        })
        .await
    }

    /// The error of a vault that went meanwhile.
    pub(super) fn gone(&self, vault: &Vault) -> Error {
        Error::NotFound { what: "vault", id: vault.name.arn(&self.region, vault.account) }
    }

    /// The access policy's document.
    pub async fn access_policy(&self, account: AccountId, name: &VaultName) -> Result<Option<Bytes>> {
        let vault = self.vault(account, name)?;
        Ok(self.at(vault.home).await?.get(key(Kind::AccessPolicy)).await?)
    }

    /// Sets it, or takes it away.
    pub async fn set_access_policy(
        &self,
        account: AccountId,
        name: &VaultName,
        document: Option<Bytes>,
    ) -> Result<()> {
        let vault = self.vault(account, name)?;
        self.change_setting(&vault, Kind::AccessPolicy, |_| Ok((document.clone(), ()))).await
    }

    /// Whom to tell of retrievals.
    pub async fn notification(&self, account: AccountId, name: &VaultName) -> Result<Option<Notification>> {
        let vault = self.vault(account, name)?;
        let snapshot = self.at(vault.home).await?;
        self.setting(&*snapshot, Kind::Notification).await
    }

    /// Sets it, or takes it away. A topic that the configuration does not name is refused.
    pub async fn set_notification(
        &self,
        account: AccountId,
        name: &VaultName,
        wanted: Option<Notification>,
    ) -> Result<()> {
        let vault = self.vault(account, name)?;
        if let Some(wanted) = &wanted {
            self.check_topic(&wanted.topic)?;
        }
        let wanted = wanted.map(|wanted| wanted.to_bytes());
        self.change_setting(&vault, Kind::Notification, |_| Ok((wanted.clone(), ()))).await
    }

    /// The vault's tags.
    pub async fn tags(&self, account: AccountId, name: &VaultName) -> Result<Tags> {
        let vault = self.vault(account, name)?;
        let snapshot = self.at(vault.home).await?;
        Ok(self.setting(&*snapshot, Kind::Tags).await?.unwrap_or_default())
    }

    /// Changes the tags: adds these, and takes those away.
    pub async fn change_tags(
        &self,
        account: AccountId,
        name: &VaultName,
        more: &BTreeMap<String, String>,
        less: &[String],
    ) -> Result<()> {
        let vault = self.vault(account, name)?;
        self.change_setting(&vault, Kind::Tags, |old| {
            let mut tags = old.map(|raw| Tags::from_bytes(raw)).transpose()?.unwrap_or_default();
            tags.0.retain(|name, _| !less.contains(name));
            let tags = tags.with(more.clone())?;
            Ok(((!tags.0.is_empty()).then(|| tags.to_bytes()), ()))
        })
        .await
    }

    /// The lock as it is by now.
    pub async fn lock(&self, account: AccountId, name: &VaultName) -> Result<VaultLock> {
        let vault = self.vault(account, name)?;
        self.lock_of(&vault).await
    }

    async fn lock_of(&self, vault: &Vault) -> Result<VaultLock> {
        let snapshot = self.at(vault.home).await?;
        let lock: Option<VaultLock> = self.setting(&*snapshot, Kind::Lock).await?;
        Ok(lock.unwrap_or_default().at(self.compliance.now()).0)
    }

    /// A new lock id.
    pub fn lock_id(&self) -> LockId {
        LockId::from_bytes(random_bytes(&*self.entropy))
    }

    /// Changes the lock.
    pub async fn change_lock(&self, account: AccountId, name: &VaultName, event: LockEvent) -> Result<()> {
        let vault = self.vault(account, name)?;
        let now = self.compliance.now();
        self.change_setting(&vault, Kind::Lock, |old| {
            let lock = old.map(|raw| VaultLock::from_bytes(raw)).transpose()?.unwrap_or_default();
            let (lock, changes) = lock.step(event.clone(), now)?;
            for change in changes {
                tracing::info!(vault = name.as_str(), %account, ?change, "a vault's lock changed");
            }
            Ok(((lock != VaultLock::Open).then(|| lock.to_bytes()), ()))
        })
        .await
    }

    /// What decides who may do something to the vault, or to that archive in it.
    ///
    /// Nothing is left out because it can't be read: a Deny whose condition asks for it would be gone with it.
    pub async fn rules(
        &self,
        account: AccountId,
        name: &VaultName,
        archive: Option<ArchiveId>,
    ) -> Result<Rules> {
        let (vault, now) = (self.vault(account, name)?, self.compliance.now());
        let snapshot = self.at(vault.home).await?;
        let row = match archive {
            Some(archive) => snapshot.get(tables::of_archive(tables::ARCHIVES, archive)).await?,
            None => None,
        };
        let row = row.map(|raw| ArchiveRow::from_bytes(&raw)).transpose()?;
        let tags: Option<Tags> = self.setting(&*snapshot, Kind::Tags).await?;
        let lock: Option<VaultLock> = self.setting(&*snapshot, Kind::Lock).await?;
        Ok(Rules {
            access_policy: snapshot.get(key(Kind::AccessPolicy)).await?,
            lock_policy: lock.and_then(|lock| lock.policy(now).cloned()),
            facts: Facts {
                archive_days: row.map(|row| age_in_days(row.aged_from, now, self.day)),
                tags: tags.unwrap_or_default().0,
            },
        })
    }

    /// Holds and least age.
    pub async fn guard(&self, account: AccountId, name: &VaultName) -> Result<Guard> {
        let vault = self.vault(account, name)?;
        let snapshot = self.at(vault.home).await?;
        Ok(self.setting(&*snapshot, Kind::Guard).await?.unwrap_or_default())
    }

    /// Changes them.
    pub async fn change_guard(
        &self,
        account: AccountId,
        name: &VaultName,
        change: impl Fn(Guard, bool) -> Result<Guard, Kept>,
    ) -> Result<()> {
        let vault = self.vault(account, name)?;
        let locked = matches!(self.lock_of(&vault).await?, VaultLock::Locked { .. });
        self.change_setting(&vault, Kind::Guard, |old| {
            let guard = old.map(|raw| Guard::from_bytes(raw)).transpose()?.unwrap_or_default();
            let guard = change(guard, locked)?;
            Ok(((guard != Guard::default()).then(|| guard.to_bytes()), ()))
        })
        .await
    }

    /// A vault that is held goes when its holds do. (A locked one without archives may go.)
    pub(super) async fn check_locked(&self, vault: &Vault) -> Result<()> {
        let snapshot = self.at(vault.home).await?;
        let guard: Guard = self.setting(&*snapshot, Kind::Guard).await?.unwrap_or_default();
        match guard.holds().next() {
            Some(hold) => Err(Kept::Held { hold: hold.clone() }.into()),
            None => Ok(()),
        }
    }

    /// Whether the vault's guard lets an archive of this age go; its row is to be unchanged in the commit that lets it go.
    pub(super) async fn check_guard(
        &self,
        snapshot: &dyn Snapshot,
        aged_from: engine::clock::Timestamp,
    ) -> Result<()> {
        let guard: Guard = self.setting(snapshot, Kind::Guard).await?.unwrap_or_default();
        Ok(guard.judge_delete(aged_from, self.compliance.now(), self.day)?)
    }
}
