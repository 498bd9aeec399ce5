//! A key with what decides about it, at one version of the rows.

use super::error::{Code, KmsError, Result};
use super::id::{KeyId, Named, Wanted, alias_arn, key_arn};
use super::model::{Asks, Key, Page, Paging};
use super::row::{self, AliasRow, BackingRow, KeyRow, PolicyRow};
use super::spec::{KeyState, KeyUsage, Origin};
use super::{Kms, limit};
use crate::AccountId;
use crate::identity::{Pins, document};
use crate::policy::{Form, Policy};
use engine::catalog::record::Record;
use engine::catalog::{Key as RowKey, Scan, Snapshot, Table, key_after, prefix_end};
use engine::clock::Timestamp;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Rows that are read at once.
const BATCH: usize = 256;

/// A key that was found.
pub(super) struct Found {
    pub(super) account: AccountId,
    pub(super) id: KeyId,
    pub(super) arn: String,
    pub(super) row: KeyRow,
    /// What counts of its state: one that imports waits for its material wherever that is not there.
    pub(super) state: KeyState,
    pub(super) policy: Arc<Policy>,
    pub(super) policy_text: Box<str>,
    pub(super) pins: Pins,
    /// The alias that it was asked for by.
    pub(super) alias: Option<Box<str>>,
    pub(super) snapshot: Arc<dyn Snapshot>,
}

/// Material, unsealed for one use.
pub(super) struct Material {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    pub(super) id: String,
}

pub(super) async fn get<R: Record>(snapshot: &dyn Snapshot, key: RowKey) -> Result<Option<R>> {
    let value = snapshot.get(key).await?;
    Ok(value.map(|value| R::from_bytes(&value)).transpose()?)
}

/// As many rows of a prefix as `take` makes something of, from behind `after` on.
pub(super) async fn page<T>(
    snapshot: &dyn Snapshot,
    (table, prefix): (Table, &[u8]),
    after: Option<Vec<u8>>,
    limit: usize,
    mut take: impl FnMut(&[u8], &[u8]) -> Result<Option<T>>,
) -> Result<(Vec<T>, bool)> {
    let limit = limit.clamp(1, limit::PAGE);
    let start = after.map_or_else(|| prefix.to_vec().into(), |after| key_after(&[prefix, &after].concat()));
    let end = prefix_end(prefix);
    let mut next = Some(Scan { table, start, end, limit: BATCH, reverse: false, keys_only: false });
    let mut items = Vec::new();
    while let Some(scan) = next {
        let found = snapshot.scan(scan.clone()).await?;
        next = scan.behind(&found);
        for (key, value) in found.rows {
            let Some(item) = take(key.get(prefix.len()..).unwrap_or_default(), &value)? else { continue };
            if items.len() == limit {
                return Ok((items, true));
            }
            items.push(item);
        }
    }
    Ok((items, false))
}

/// All rows of a prefix that quotas bound.
pub(super) async fn all(
    snapshot: &dyn Snapshot,
    table: Table,
    prefix: &[u8],
    rows_max: usize,
) -> Result<Vec<(bytes::Bytes, bytes::Bytes)>> {
    let mut rows = Vec::new();
    let mut next = Some(Scan::prefix(table, prefix, BATCH.min(rows_max)));
    while let Some(scan) = next.filter(|_| rows.len() < rows_max) {
        let found = snapshot.scan(scan.clone()).await?;
        next = scan.behind(&found);
        rows.extend(found.rows);
    }
    rows.truncate(rows_max);
    Ok(rows)
}

/// A marker that this operation never gave.
pub(super) fn no_marker() -> KmsError {
    KmsError::new(Code::Validation, "The marker is none that this operation has given.")
}

impl<T> Page<T> {
    pub(super) fn of((items, more): (Vec<T>, bool), name: impl Fn(&T) -> String) -> Self {
        let next = items.last().filter(|_| more).map(name);
        Self { items, next }
    }
}

impl Paging<'_> {
    /// The bytes of a marker in hexadecimal.
    pub(super) fn after_hex<const N: usize>(&self) -> Result<Option<Vec<u8>>> {
        let Some(after) = self.after else { return Ok(None) };
        let bytes: Vec<u8> = hex::decode(after).map_err(|_| no_marker())?;
        if bytes.len() == N { Ok(Some(bytes)) } else { Err(no_marker()) }
    }
}

impl Kms {
    /// The key of a name. That of another account is told to be there to those alone who may use it.
    pub(super) async fn find(&self, asks: &Asks<'_>, name: &str, aliases: bool) -> Result<Found> {
        self.read_grant_tokens(asks.grant_tokens)?;
        let own = asks.principal.account();
        let wanted = Wanted::parse(name, own, self.region(), aliases)?;
        let mut snapshot = self.snapshot().await?;
        let hide = |error: KmsError| if own == Some(wanted.account) { error } else { not_allowed() };
        let (id, alias) = match wanted.named {
            Named::Id(id) => (id, None),
            Named::Alias(alias) => {
                let mut found: Option<AliasRow> = get(&*snapshot, row::alias(wanted.account, &alias)).await?;
                if found.is_none() && Self::makes(asks, wanted.account, &alias) {
                    self.make_service_key(wanted.account, &alias).await?;
                    snapshot = self.snapshot().await?;
                    found = get(&*snapshot, row::alias(wanted.account, &alias)).await?;
                }
                let found = found.ok_or_else(|| hide(no_alias(self.region(), wanted.account, &alias)))?;
                (found.key, Some(alias))
            }
        };
        let found = self.at(snapshot, wanted.account, id).await?;
        let mut found = found.ok_or_else(|| hide(no_key(self.region(), wanted.account, id)))?;
        found.alias = alias;
        Ok(found)
    }

    /// The ARN of the key that a name means now to somebody of this account; `None`: none that is there, or no name. Nothing is decided: other
    /// services' policies are about keys by their ARNs.
    pub async fn arn_of(&self, account: Option<AccountId>, name: &str) -> Result<Option<String>> {
        let Ok(wanted) = Wanted::parse(name, account, self.region(), true) else { return Ok(None) };
        let id = match wanted.named {
            Named::Id(id) => Some(id),
            Named::Alias(alias) => {
                let row = row::alias(wanted.account, &alias);
                get::<AliasRow>(&*self.snapshot().await?, row).await?.map(|alias| alias.key)
            }
        };
        Ok(id.map(|id| key_arn(self.region(), wanted.account, id)))
    }

    /// A key by its id.
    pub(super) async fn at(
        &self,
        snapshot: Arc<dyn Snapshot>,
        account: AccountId,
        id: KeyId,
    ) -> Result<Option<Found>> {
        let rows = snapshot.multi_get(vec![row::key(account, id), row::policy(account, id)]).await?;
        let mut rows = rows.into_iter();
        let Some(row) = rows.next().flatten() else { return Ok(None) };
        let row = KeyRow::from_bytes(&row)?;
        let policy = rows.next().flatten().ok_or_else(|| KmsError::internal("a key has no policy"))?;
        let PolicyRow { text, pins } = PolicyRow::from_bytes(&policy)?;
        let arn = key_arn(self.region(), account, id);
        let policy = self.compiled(&text);
        let state = self.state(&*snapshot, (account, id), &row).await?;
        Ok(Some(Found {
            account,
            id,
            arn,
            row,
            state,
            policy,
            policy_text: text,
            pins,
            alias: None,
            snapshot,
        }))
    }

    /// Material that went by itself may still stand in its row, and its key's row not know it.
    async fn state(
        &self,
        snapshot: &dyn Snapshot,
        (account, id): (AccountId, KeyId),
        row: &KeyRow,
    ) -> Result<KeyState> {
        if row.origin != Origin::External || row.state == KeyState::PendingDeletion {
            return Ok(row.state);
        }
        let backing: Option<BackingRow> = get(snapshot, row::backing(account, id, row.current)).await?;
        let is_there = backing.is_some_and(|backing| self.is_there(&backing));
        Ok(if is_there { row.state } else { KeyState::PendingImport })
    }

    /// Whether material was not taken away, and did not go.
    fn is_there(&self, backing: &BackingRow) -> bool {
        backing.sealed.is_some() && backing.expires.is_none_or(|at| self.now() < at)
    }

    /// A policy that was kept. What can't be read any more denies all.
    fn compiled(&self, text: &str) -> Arc<Policy> {
        let hash = document::hash(text);
        if let Some(policy) = self.compiled.get(&hash) {
            return policy;
        }
        let policy = Policy::parse(text, Form::Resource, limit::POLICY_BYTES_MAX).unwrap_or_else(|error| {
            tracing::error!(%error, "failed to read a key policy that was kept: it denies everything");
            Policy::denying_all()
        });
        let policy = Arc::new(policy);
        self.compiled.put(hash, Arc::clone(&policy), size_of::<Policy>() + policy.heap_bytes());
        policy
    }

    /// The backing key of a number.
    pub(super) async fn backing(&self, found: &Found, number: u32) -> Result<Option<BackingRow>> {
        get(&*found.snapshot, row::backing(found.account, found.id, number)).await
    }

    /// Its material, if it is there.
    pub(super) async fn material(&self, found: &Found, number: u32) -> Result<Material> {
        let row = self.backing(found, number).await?;
        // A ciphertext may name a number that never was.
        let row = row.ok_or_else(KmsError::ciphertext)?;
        let sealed = row.sealed.filter(|_| row.expires.is_none_or(|at| self.now() < at));
        let sealed = sealed.ok_or_else(|| found.wrong_state("is pending import"))?;
        let aad = BackingRow::aad(found.account, found.id, number);
        let bytes = self.parts.keys.unseal(&sealed, &aad)?;
        Ok(Material { bytes, id: hex::encode(row.material_id) })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// A key, as it is shown.
    pub(super) async fn shown(&self, found: &Found) -> Result<Key> {
        let row = &found.row;
        let backing = self.backing(found, row.current).await?;
        let there = backing.as_ref().filter(|backing| self.is_there(backing));
        let is_external = row.origin == Origin::External;
        let is_symmetric = row.spec == super::KeySpec::Symmetric;
        Ok(Key {
            account: found.account,
            id: found.id,
            arn: found.arn.clone(),
            spec: row.spec,
            usage: row.usage,
            origin: row.origin,
            manager: row.manager,
            state: found.state,
            created: row.created,
            description: row.description.to_string(),
            deletion: row.deletion.map(|(_, at)| at),
            valid_to: there.filter(|_| is_external).map(|backing| backing.expires),
            material_id: there.filter(|_| is_symmetric).map(|backing| hex::encode(backing.material_id)),
        })
    }
}

/// What is told of what may not be there, and is another account's.
pub(super) fn not_allowed() -> KmsError {
    let message = "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed \
                   to access.";
    KmsError::new(Code::AccessDenied, message)
}

pub(super) fn no_key(region: &str, account: AccountId, id: KeyId) -> KmsError {
    KmsError::new(Code::NotFound, format!("Key '{}' does not exist", key_arn(region, account, id)))
}

pub(super) fn no_alias(region: &str, account: AccountId, alias: &str) -> KmsError {
    KmsError::new(Code::NotFound, format!("Alias {} is not found.", alias_arn(region, account, alias)))
}

impl Found {
    pub(super) fn wrong_state(&self, what: &str) -> KmsError {
        KmsError::new(Code::InvalidState, format!("{} {what}.", self.arn))
    }

    /// It can be used now.
    pub(super) fn usable(&self) -> Result<()> {
        match self.state {
            KeyState::Enabled => Ok(()),
            KeyState::Disabled => Err(KmsError::new(Code::Disabled, format!("{} is disabled.", self.arn))),
            KeyState::PendingDeletion => Err(self.wrong_state("is pending deletion")),
            KeyState::PendingImport => Err(self.wrong_state("is pending import")),
        }
    }

    /// It does not wait for its end.
    pub(super) fn stays(&self) -> Result<()> {
        match self.row.state {
            KeyState::PendingDeletion => Err(self.wrong_state("is pending deletion")),
            _ => Ok(()),
        }
    }

    /// Its material is there, if it is imported.
    pub(super) fn has_material(&self) -> Result<()> {
        match self.state {
            KeyState::PendingImport => Err(self.wrong_state("is pending import")),
            _ => Ok(()),
        }
    }

    /// It is for this.
    pub(super) fn is_for(&self, usage: KeyUsage, operation: &str) -> Result<()> {
        if self.row.usage == usage {
            return Ok(());
        }
        let message = format!(
            "{} key usage is {} which is not valid for {operation}.",
            self.arn,
            self.row.usage.as_str()
        );
        Err(KmsError::new(Code::InvalidKeyUsage, message))
    }

    /// The row of the key.
    pub(super) fn row_key(&self) -> RowKey {
        row::key(self.account, self.id)
    }
}
