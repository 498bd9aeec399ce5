//! Rows of an account at one version.

use super::error::{Code, IdentityError, Result};
use super::id::EntityId;
use super::row::{self, ByIdRow, Count, DocumentRow, EntityRow, Which};
use super::{Kind, Owner, Page, Paging, limit, name};
use crate::AccountId;
use bytes::Bytes;
use engine::catalog::key::KeyReader;
use engine::catalog::record::Record;
use engine::catalog::{Key, Scan, Snapshot, Table, key_after, prefix_end};
use std::sync::Arc;

/// Rows that are read at once: as many as a page wants, within these.
const BATCH: usize = 1_000;
const BATCH_MIN: usize = 64;

/// One account's rows at one version.
pub(super) struct View {
    pub(super) account: AccountId,
    pub(super) snapshot: Arc<dyn Snapshot>,
}

/// What of a scan goes on a page.
pub(super) struct Found<T> {
    pub(super) items: Vec<T>,
    /// There may be more, behind this key.
    pub(super) next: Option<Bytes>,
}

/// The bytes of an id at the end of a key.
pub(super) fn last_id(key: &[u8]) -> Result<EntityId> {
    let wrong = || crate::Error::Corrupt { what: "identity row", detail: "its key ends in no id".to_owned() };
    let bytes = key.last_chunk::<{ EntityId::LEN }>().ok_or_else(wrong)?;
    Ok(EntityId::from_bytes(*bytes)?)
}

impl View {
    pub(super) async fn get<R: Record>(&self, key: Key) -> Result<Option<R>> {
        let value = self.snapshot.get(key).await?;
        Ok(value.map(|value| R::from_bytes(&value)).transpose()?)
    }

    pub(super) async fn count(&self, count: Count, id: EntityId) -> Result<i64> {
        let value = self.snapshot.get(count.row(self.account, id)).await?;
        Ok(value.and_then(|bytes| bytes[..].try_into().ok()).map_or(0, i64::from_le_bytes))
    }

    /// An entity by its name, in whatever case.
    pub(super) async fn find(&self, kind: Kind, name: &str) -> Result<Option<EntityRow>> {
        self.get(row::entity(self.account, kind, &kind.known_name(name)?)).await
    }

    /// The same; `NoSuchEntity` where there is none.
    pub(super) async fn entity(&self, kind: Kind, name: &str) -> Result<EntityRow> {
        let found = self.find(kind, name).await?;
        found.ok_or_else(|| IdentityError::not_found(kind.word(), name))
    }

    pub(super) async fn owner(&self, owner: Owner<'_>) -> Result<EntityRow> {
        self.entity(owner.kind(), owner.name()).await
    }

    /// A managed policy of the account, by its ARN.
    pub(super) async fn own_policy(&self, arn: &str) -> Result<EntityRow> {
        let absent = || {
            IdentityError::new(
                Code::NoSuchEntity,
                format!("Policy {arn} does not exist or is not attachable."),
            )
        };
        let (account, path, name) = name::split_arn(arn, Kind::Policy)?;
        if account != Some(self.account) {
            return Err(absent());
        }
        let found = self.find(Kind::Policy, name).await?;
        // A name that is right in another case, or on another path, is another ARN.
        found.filter(|row| *row.path == *path && *row.name == *name).ok_or_else(absent)
    }

    /// Entities by their ids, in that order; those that went meanwhile are left out.
    pub(super) async fn by_ids(&self, ids: &[EntityId]) -> Result<Vec<EntityRow>> {
        let found = self.snapshot.multi_get(ids.iter().map(|id| row::by_id(*id)).collect()).await?;
        let mut keys = Vec::with_capacity(found.len());
        for value in found.into_iter().flatten() {
            let ByIdRow { account, kind, lower } = ByIdRow::from_bytes(&value)?;
            keys.push(row::entity(account, kind, &lower));
        }
        let found = self.snapshot.multi_get(keys).await?;
        let read = |value: Bytes| Ok(EntityRow::from_bytes(&value)?);
        found.into_iter().flatten().map(read).collect()
    }

    pub(super) async fn document(&self, id: EntityId, which: &Which) -> Result<Option<DocumentRow>> {
        self.get(row::document(self.account, id, which)).await
    }

    /// Everything of a prefix: what an entity has is bounded by quotas.
    pub(super) async fn all(&self, table: Table, prefix: &[u8]) -> Result<Vec<(Bytes, Bytes)>> {
        let mut rows = Vec::new();
        let mut next = Some(Scan::prefix(table, prefix, BATCH));
        while let Some(scan) = next {
            let page = self.snapshot.scan(scan.clone()).await?;
            next = scan.behind(&page);
            rows.extend(page.rows);
        }
        Ok(rows)
    }

    /// As many rows of a prefix as `take` makes something of, from behind `after` on.
    pub(super) async fn some<T>(
        &self,
        (table, prefix): (Table, &[u8]),
        after: Option<&[u8]>,
        limit: usize,
        mut take: impl FnMut(&[u8], &[u8]) -> Result<Option<T>>,
    ) -> Result<Found<T>> {
        let limit = limit.clamp(1, limit::PAGE);
        let start = after.map_or_else(|| Bytes::copy_from_slice(prefix), key_after);
        let end = prefix_end(prefix);
        let rows = (limit + 1).clamp(BATCH_MIN, BATCH);
        let mut next = Some(Scan { table, start, end, limit: rows, reverse: false, keys_only: false });
        let mut items = Vec::new();
        let mut last: Option<Bytes> = None;
        while let Some(scan) = next {
            let page = self.snapshot.scan(scan.clone()).await?;
            next = scan.behind(&page);
            for (key, value) in page.rows {
                let Some(item) = take(&key, &value)? else { continue };
                if items.len() == limit {
                    return Ok(Found { items, next: last });
                }
                items.push(item);
                last = Some(key);
            }
        }
        Ok(Found { items, next: None })
    }

    /// A page of what hangs on somebody, each under its name there: `take` reads what stands behind the prefix.
    pub(super) async fn page<T>(
        &self,
        (table, prefix): (Table, Vec<u8>),
        paging: Paging<'_>,
        mut take: impl FnMut(&str, &[u8]) -> Result<Option<T>>,
    ) -> Result<Page<T>> {
        let after = paging.after.map(|after| [&prefix, after.as_bytes()].concat());
        let length = prefix.len();
        let take = |key: &[u8], value: &[u8]| {
            let tail = std::str::from_utf8(key.get(length..).unwrap_or_default());
            let wrong =
                |_| crate::Error::Corrupt { what: "identity row", detail: "its key is no text".to_owned() };
            take(tail.map_err(wrong)?, value)
        };
        let found = self.some((table, &prefix), after.as_deref(), paging.limit, take).await?;
        let next =
            found.next.map(|key| String::from_utf8_lossy(key.get(length..).unwrap_or_default()).into_owned());
        Ok(Page { items: found.items, next })
    }

    /// A page of the entities of a kind below a path.
    pub(super) async fn entities(
        &self,
        kind: Kind,
        path_prefix: Option<&str>,
        paging: Paging<'_>,
    ) -> Result<Page<EntityRow>> {
        let path = name::path_prefix(path_prefix)?;
        let read = |_: &str, value: &[u8]| {
            let row = EntityRow::from_bytes(value)?;
            Ok(row.path.starts_with(path).then_some(row))
        };
        self.page((row::ENTITIES, row::of_kind(self.account, kind)), paging, read).await
    }
}

/// The id at the end of a key of `KEYS_OF`, and the owner before it.
pub(super) fn owner_and_key(key: &[u8]) -> Result<(AccountId, EntityId, String)> {
    let mut reader = KeyReader::new(key);
    let account = AccountId::from_bytes(reader.fixed()?)?;
    let owner = EntityId::from_bytes(reader.fixed()?)?;
    Ok((account, owner, String::from_utf8_lossy(reader.tail()).into_owned()))
}
