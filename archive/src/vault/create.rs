//! Vaults come and go.
//!
//! ```text
//!   root: name → Creating ─► vault: CONFIG and SECRETS, unless fenced ─► root: Active
//!   root: name → Deleting ─► vault: CONFIG goes, if nothing is in it ─► root: name gone, partition to be cleared
//!          └── nobody comes back for either ─► vault: fence, unless CONFIG is there ─► root: Active, or name gone and to be cleared
//! ```
//! # Invariants
//! - Of the fence and the configuration, one is there at the most; a name that is settled is Active if the configuration is there.
//! - A vault is deleted only in a commit that proves that no archive and no upload came since it was seen to have none.

use super::change::{Attempt, Change, contended};
use super::rows::{ConfigRow, State, VaultRow};
use super::secrets::Secrets;
use super::{Error, Result, Vault, VaultName, Vaults, tables};
use crate::pack::VaultId;
use engine::catalog::record::Record;
use engine::catalog::{Scan, Snapshot};
use engine::clock::Timestamp;
use engine::id::PartitionId;
use security::AccountId;
use security::keys::KeyScope;
use std::ops::Bound;
use std::sync::Arc;

/// Most vaults of an account.
const VAULTS_MAX: usize = 1_000;

/// What a vault is to be like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewVault {
    /// What is alike in its archives is kept once.
    pub deduplicates: bool,
    /// Retrievals are not ready before AWS's times.
    pub keeps_timetable: bool,
}

/// A vault, described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultInfo {
    /// Its name.
    pub name: VaultName,
    /// What policies call it.
    pub arn: String,
    /// When it was made.
    pub created: Timestamp,
    /// Archives in it.
    pub archives: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is alike is kept once.
    pub deduplicates: bool,
    /// It keeps AWS's timetable.
    pub keeps_timetable: bool,
}

/// Some vaults of an account.
#[derive(Clone, Debug, Default)]
pub struct VaultPage {
    /// By name.
    pub vaults: Vec<VaultInfo>,
    /// The first one behind them.
    pub next: Option<VaultName>,
}

impl Vaults {
    /// Reads who is there, and ends what was half done.
    pub(super) async fn find_all(&self) -> Result<()> {
        let root = self.at(PartitionId::ROOT).await?;
        let mut next = Some(Scan::prefix(tables::VAULTS, b"", 1_000));
        let mut half = Vec::new();
        while let Some(scan) = next {
            let page = root.scan(scan.clone()).await?;
            for (key, value) in &page.rows {
                let (account, name) = tables::read_name(key)?;
                let row = VaultRow::from_bytes(value)?;
                if row.state == State::Active {
                    if let Err(error) = self.know(account, &name, &row).await {
                        tracing::error!(vault = name.as_str(), %account, %error, "a vault can't be opened");
                    }
                } else {
                    half.push((account, name, row));
                }
            }
            next = scan.behind(&page);
        }
        for (account, name, row) in half {
            // Who creates or deletes it next settles it first.
            if let Err(error) = self.settle(account, &name, &row).await {
                tracing::error!(vault = name.as_str(), %account, %error, "a vault stays half made");
            }
        }
        self.find_systems().await?;
        self.mark_deleted(&*root).await?;
        let deleted: Vec<PartitionId> = self.dirty.lock().iter().copied().collect();
        for home in deleted {
            self.find_messages(home).await?;
        }
        Ok(())
    }

    /// Marks every vault for the cleaner, as when a commit shows late whose outcome nobody knew.
    pub(super) async fn mark_all(&self) -> Result<()> {
        let homes: Vec<PartitionId> = self.known.read().homes.keys().copied().collect();
        self.dirty.lock().extend(homes);
        let root = self.at(PartitionId::ROOT).await?;
        self.mark_deleted(&*root).await
    }

    /// Marks what deleted vaults left.
    async fn mark_deleted(&self, root: &dyn Snapshot) -> Result<()> {
        let page = self.page(root, tables::DELETED, (b"", None), 10_000).await?;
        for (key, _) in &page.rows {
            let home = key.as_ref().try_into().map(PartitionId::from_bytes);
            self.dirty.lock().extend(home.ok());
        }
        Ok(())
    }

    /// Opens a vault that is there.
    async fn know(&self, account: AccountId, name: &VaultName, row: &VaultRow) -> Result<Arc<Vault>> {
        let snapshot = self.at(row.partition).await?;
        let keys = vec![tables::only(tables::CONFIG), tables::only(tables::SECRETS)];
        let mut found = snapshot.multi_get(keys).await?.into_iter();
        let (Some(config), Some(secrets)) = (found.next().flatten(), found.next().flatten()) else {
            let (what, detail) = (format!("vault {name}"), "its first rows are not there".to_owned());
            return Err(engine::Error::Corrupt { what, detail }.into());
        };
        if ConfigRow::from_bytes(&config)?.vault != row.vault {
            let (what, detail) = (format!("vault {name}"), "its rows are another one's".to_owned());
            return Err(engine::Error::Corrupt { what, detail }.into());
        }
        self.prepare_to_read(account).await?;
        self.find_messages(row.partition).await?;
        let secrets = Secrets::open(&self.keys, row.vault, row.partition, &secrets)?;
        Ok(self.remember(account, name, row, secrets))
    }

    fn remember(&self, account: AccountId, name: &VaultName, row: &VaultRow, secrets: Secrets) -> Arc<Vault> {
        let (home, id, created) = (row.partition, row.vault, row.created);
        let name_of = name.clone();
        let vault = Arc::new(Vault { home, id, account, name: name_of, created, is_system: false, secrets });
        let mut known = self.known.write();
        known.names.insert((account, name.clone()), Arc::clone(&vault));
        known.homes.insert(home, Arc::clone(&vault));
        vault
    }

    fn forget(&self, account: AccountId, name: &VaultName, home: PartitionId) {
        let mut known = self.known.write();
        known.names.remove(&(account, name.clone()));
        known.homes.remove(&home);
    }

    /// Creates a vault. One that is there stays as it is; `false` then.
    pub async fn create(&self, account: AccountId, name: &VaultName, new: NewVault) -> Result<bool> {
        let _naming = self.naming.lock().await;
        self.keys.prepare(KeyScope::vaults(account)).await.map_err(super::error::of_keys)?;
        self.media.register().await?;
        self.transact(|| async {
            let root = self.at(PartitionId::ROOT).await?;
            let key = tables::of_name(tables::VAULTS, account, name);
            if let Some(raw) = root.get(key.clone()).await? {
                let row = VaultRow::from_bytes(&raw)?;
                if row.state != State::Active {
                    self.settle(account, name, &row).await?;
                    return Ok(Attempt::Again);
                }
                if self.vault(account, name).is_err() {
                    self.know(account, name, &row).await?;
                }
                return Ok(Attempt::Answer(false));
            }
            if self.of_account(account).count() >= VAULTS_MAX {
                return Err(Error::TooMany { what: "vaults of the account", limit: VAULTS_MAX as u64 });
            }
            let row = VaultRow {
                partition: PartitionId::random(&*self.entropy),
                vault: VaultId::random(&*self.entropy),
                state: State::Creating,
                created: self.clock.now(),
            };
            let change = Change::default().of_vaults().absent(key.clone()).put(key, row.to_bytes());
            let intent = tables::of_name(tables::INTENTS, account, name);
            if !self.try_commit(PartitionId::ROOT, &*root, change.put(intent, tables::PRESENT)).await? {
                return Ok(Attempt::Again);
            }
            let secrets = Secrets::random(row.vault, &*self.entropy);
            if !self.found(account, &row, new, &secrets).await? {
                return Ok(Attempt::Again);
            }
            self.set_state(account, name, &row, State::Active).await?;
            self.remember(account, name, &row, secrets);
            Ok(Attempt::Answer(true))
        })
        .await
    }

    /// The commit that makes a vault exist. `false`: somebody took us for dead and fenced it off.
    async fn found(
        &self,
        account: AccountId,
        row: &VaultRow,
        new: NewVault,
        secrets: &Secrets,
    ) -> Result<bool> {
        let snapshot = self.at(row.partition).await?;
        let change = self.first_rows(account, row, new, secrets)?;
        self.try_commit(row.partition, &*snapshot, change).await
    }

    /// The rows by which a vault is there, where neither they nor a fence are.
    pub(super) fn first_rows(
        &self,
        account: AccountId,
        row: &VaultRow,
        new: NewVault,
        secrets: &Secrets,
    ) -> Result<Change> {
        let (deduplicates, keeps_timetable) = (new.deduplicates, new.keeps_timetable);
        let config = ConfigRow { vault: row.vault, deduplicates, keeps_timetable };
        let sealed = secrets.seal(&self.keys, account, row.partition)?;
        Ok(Change::default()
            .of_vaults()
            .absent(tables::only(tables::CONFIG))
            .absent(tables::only(tables::FENCE))
            .put(tables::only(tables::CONFIG), config.to_bytes())
            .put(tables::only(tables::SECRETS), sealed))
    }

    /// The name of a vault that is there, or will be deleted.
    async fn set_state(
        &self,
        account: AccountId,
        name: &VaultName,
        row: &VaultRow,
        state: State,
    ) -> Result<bool> {
        let root = self.at(PartitionId::ROOT).await?;
        let key = tables::of_name(tables::VAULTS, account, name);
        let there = root.get(key.clone()).await?.map(|raw| VaultRow::from_bytes(&raw)).transpose()?;
        if there.is_none_or(|there| there.partition != row.partition) {
            return Ok(false);
        }
        let new = VaultRow { state, ..row.clone() };
        let change = Change::default().unchanged(key.clone()).put(key, new.to_bytes());
        let intent = tables::of_name(tables::INTENTS, account, name);
        let change = match state {
            State::Active => change.delete(intent),
            State::Creating | State::Deleting => change.put(intent, tables::PRESENT),
        };
        self.try_commit(PartitionId::ROOT, &*root, change.freeing()).await
    }

    /// Ends what was half done with a name: the vault is there, or can never come to be and the name is free.
    async fn settle(&self, account: AccountId, name: &VaultName, row: &VaultRow) -> Result<()> {
        let snapshot = self.at(row.partition).await?;
        let change = Change::default()
            .absent(tables::only(tables::CONFIG))
            .put(tables::only(tables::FENCE), tables::PRESENT)
            .freeing();
        if self.try_commit(row.partition, &*snapshot, change).await? {
            self.give_up_name(account, name, row).await?;
        } else if self.set_state(account, name, row, State::Active).await? {
            self.know(account, name, row).await?;
        }
        Ok(())
    }

    /// The name is free, and what lies behind it is to be cleared.
    async fn give_up_name(&self, account: AccountId, name: &VaultName, row: &VaultRow) -> Result<()> {
        self.forget(account, name, row.partition);
        self.transact(|| async {
            let root = self.at(PartitionId::ROOT).await?;
            let key = tables::of_name(tables::VAULTS, account, name);
            let there = root.get(key.clone()).await?.map(|raw| VaultRow::from_bytes(&raw)).transpose()?;
            if there.is_none_or(|there| there.partition != row.partition) {
                return Ok(Attempt::Answer(()));
            }
            let change = Change::default()
                .unchanged(key.clone())
                .delete(key)
                .delete(tables::of_name(tables::INTENTS, account, name))
                .put(tables::of_partition(tables::DELETED, row.partition), tables::PRESENT)
                .freeing()
                .dirty(row.partition);
            Ok(Attempt::Commit(change.at(PartitionId::ROOT, &*root), ()))
        })
        .await
    }

    /// Deletes a vault in which nothing is.
    pub async fn delete(&self, account: AccountId, name: &VaultName) -> Result<()> {
        let _naming = self.naming.lock().await;
        let vault = self.vault(account, name)?;
        let row =
            VaultRow { partition: vault.home, vault: vault.id, state: State::Active, created: vault.created };
        self.check_locked(&vault).await?;
        if !self.is_empty(&vault).await?.0 {
            return Err(Error::NotEmpty);
        }
        if !self.set_state(account, name, &row, State::Deleting).await? {
            return Err(contended());
        }
        let (empty, snapshot) = self.is_empty(&vault).await?;
        let change = Change::default()
            .unchanged(tables::only(tables::CONFIG))
            .unchanged(tables::only(tables::EPOCH))
            .delete(tables::only(tables::CONFIG))
            .put(tables::only(tables::FENCE), tables::PRESENT)
            .freeing();
        if !empty || !self.try_commit(vault.home, &*snapshot, change).await? {
            self.set_state(account, name, &row, State::Active).await?;
            return Err(Error::NotEmpty);
        }
        self.give_up_name(account, name, &row).await
    }

    /// Whether a vault has neither archives nor uploads, and as of when.
    async fn is_empty(&self, vault: &Vault) -> Result<(bool, Arc<dyn Snapshot>)> {
        let snapshot = self.at(vault.home).await?;
        let mut empty = true;
        for table in [tables::ARCHIVES, tables::UPLOADS] {
            let scan = Scan { keys_only: true, ..Scan::prefix(table, b"", 1) };
            empty &= snapshot.scan(scan).await?.rows.is_empty();
        }
        Ok((empty, snapshot))
    }

    /// Describes a vault.
    pub async fn describe(&self, account: AccountId, name: &VaultName) -> Result<VaultInfo> {
        let vault = self.vault(account, name)?;
        self.info(&vault).await
    }

    async fn info(&self, vault: &Vault) -> Result<VaultInfo> {
        let snapshot = self.at(vault.home).await?;
        let keys = [tables::CONFIG, tables::COUNT, tables::BYTES].map(tables::only).to_vec();
        let mut found = snapshot.multi_get(keys).await?.into_iter();
        let name = vault.name.clone();
        let arn = name.arn(&self.region, vault.account);
        let Some(config) = found.next().flatten() else {
            return Err(Error::NotFound { what: "vault", id: arn });
        };
        let config = ConfigRow::from_bytes(&config)?;
        Ok(VaultInfo {
            name,
            arn,
            created: vault.created,
            archives: tables::stands_at(found.next().flatten().as_ref())?,
            bytes: tables::stands_at(found.next().flatten().as_ref())?,
            deduplicates: config.deduplicates,
            keeps_timetable: config.keeps_timetable,
        })
    }

    /// Some vaults of an account, by name, from `from` on.
    pub async fn list(
        &self,
        account: AccountId,
        from: Option<&VaultName>,
        limit: usize,
    ) -> Result<VaultPage> {
        let mut page = VaultPage::default();
        let found: Vec<Arc<Vault>> = self
            .of_account(account)
            .filter(|vault| from.is_none_or(|from| vault.name >= *from))
            .take(limit.saturating_add(1))
            .collect();
        for vault in &found {
            if page.vaults.len() == limit {
                page.next = Some(vault.name.clone());
                break;
            }
            match self.info(vault).await {
                Ok(info) => page.vaults.push(info),
                // It went meanwhile.
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(page)
    }

    fn of_account(&self, account: AccountId) -> impl Iterator<Item = Arc<Vault>> {
        let known = self.known.read();
        let first = VaultName::parse("-").ok();
        let from = first.map_or(Bound::Unbounded, |name| Bound::Included((account, name)));
        let range = known.names.range((from, Bound::Unbounded));
        let found: Vec<Arc<Vault>> =
            range.take_while(|((of, _), _)| *of == account).map(|(_, vault)| Arc::clone(vault)).collect();
        found.into_iter()
    }
}
