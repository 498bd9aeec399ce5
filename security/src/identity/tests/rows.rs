//! The rows as a whole: no edge with one end, no counter that counts anything else.

use crate::AccountId;
use crate::identity::id::EntityId;
use crate::identity::login_row::{self, DeviceRow, LoginRow};
use crate::identity::providers::{self, ProviderRow};
use crate::identity::row::{self, AccessKeyRow, ByIdRow, Count, DocumentRow, Edge, EdgeRow, EntityRow};
use crate::identity::{Kind, document, named};
use bytes::Bytes;
use engine::catalog::key::KeyReader;
use engine::catalog::record::Record as _;
use engine::catalog::{Catalog, Key, Scan, Table};
use engine::id::PartitionId;
use std::collections::{BTreeMap, BTreeSet};

pub(super) async fn rows(catalog: &dyn Catalog, table: Table) -> Vec<(Bytes, Bytes)> {
    let snapshot = catalog.snapshot(PartitionId::ROOT).await.unwrap();
    let (mut all, mut next) = (Vec::new(), Some(Scan::prefix(table, b"", 1000)));
    while let Some(scan) = next {
        let page = snapshot.scan(scan.clone()).await.unwrap();
        next = scan.behind(&page);
        all.extend(page.rows);
    }
    all
}

fn account(reader: &mut KeyReader<'_>) -> AccountId {
    AccountId::from_bytes(reader.fixed().unwrap()).unwrap()
}

fn id(reader: &mut KeyReader<'_>) -> EntityId {
    EntityId::from_bytes(reader.fixed().unwrap()).unwrap()
}

type Counts = BTreeMap<(AccountId, EntityId, u8), i64>;

fn count(counts: &mut Counts, account: AccountId, id: EntityId, count: Count, by: i64) {
    *counts.entry((account, id, count as u8)).or_default() += by;
}

/// Everything that must hold of the rows, whatever happened.
pub(super) async fn assert_sound(catalog: &dyn Catalog) {
    let mut counts = Counts::new();
    let mut entities: BTreeMap<EntityId, (AccountId, EntityRow)> = BTreeMap::new();
    for (key, value) in rows(catalog, row::ENTITIES).await {
        let found = EntityRow::from_bytes(&value).unwrap();
        let account = account(&mut KeyReader::new(&key));
        assert_eq!(
            Key { table: row::ENTITIES, bytes: key },
            row::entity(account, found.kind(), &found.lower())
        );
        count(&mut counts, account, EntityId::ROOT, Count::of_kind(found.kind()), 1);
        assert!(entities.insert(found.id, (account, found)).is_none());
    }
    let mut by_id = 0;
    for (key, value) in rows(catalog, row::BY_ID).await {
        let (id, found) = (id(&mut KeyReader::new(&key)), ByIdRow::from_bytes(&value).unwrap());
        let (account, entity) = &entities[&id];
        assert_eq!((found.account, found.kind, &*found.lower), (*account, entity.kind(), &*entity.lower()));
        by_id += 1;
    }
    assert_eq!(by_id, entities.len());
    let is_policy = |id: EntityId, arn: &str| match named::by_arn(arn) {
        Some(known) => known.id() == id,
        None => entities
            .get(&id)
            .is_some_and(|(account, row)| row.kind() == Kind::Policy && row.arn(*account) == arn),
    };
    let mut holders = BTreeSet::new();
    for (key, value) in rows(catalog, row::ATTACHED).await {
        let mut reader = KeyReader::new(&key);
        let (account, owner, policy) = (account(&mut reader), id(&mut reader), id(&mut reader));
        assert!(
            entities[&owner].0 == account && is_policy(policy, &EdgeRow::from_bytes(&value).unwrap().arn)
        );
        holders.insert(row::holder(account, policy, Edge::Attached, owner));
        count(&mut counts, account, owner, Count::Attached, 1);
        count(&mut counts, account, policy, Count::Holders, 1);
    }
    for (owner, (account, entity)) in &entities {
        let Some(arn) = &entity.boundary else { continue };
        let mut of_account =
            entities.values().filter(|(of, row)| of == account && row.kind() == Kind::Policy);
        let policy = match named::by_arn(arn) {
            Some(known) => known.id(),
            None => of_account.find(|(of, row)| row.arn(*of) == **arn).unwrap().1.id,
        };
        holders.insert(row::holder(*account, policy, Edge::Boundary, *owner));
        count(&mut counts, *account, policy, Count::Bounded, 1);
    }
    let found: BTreeSet<Key> =
        rows(catalog, row::HOLDERS).await.into_iter().map(|(key, _)| row::HOLDERS.key(key)).collect();
    assert_eq!(found, holders);
    assert_groups(catalog, &entities, &mut counts).await;
    assert_keys(catalog, &entities, &mut counts).await;
    assert_logins(catalog, &entities, &mut counts).await;
    for (key, value) in rows(catalog, providers::PROVIDERS).await {
        let mut reader = KeyReader::new(&key);
        let (account, name) = (account(&mut reader), reader.tail());
        let url = ProviderRow::from_bytes(&value).unwrap().url;
        assert!(url.strip_prefix("https://").is_some_and(|found| found.as_bytes() == name));
        count(&mut counts, account, EntityId::ROOT, Count::Providers, 1);
    }
    assert_counts(catalog, counts).await;
}

/// Groups and documents.
async fn assert_groups(
    catalog: &dyn Catalog,
    entities: &BTreeMap<EntityId, (AccountId, EntityRow)>,
    counts: &mut Counts,
) {
    let mut groups = BTreeSet::new();
    for (key, _) in rows(catalog, row::MEMBERS).await {
        let mut reader = KeyReader::new(&key);
        let (account, group, user) = (account(&mut reader), id(&mut reader), id(&mut reader));
        assert!(entities[&group].1.kind() == Kind::Group && entities[&user].1.kind() == Kind::User);
        groups.insert(row::group_of(account, user, group));
        count(counts, account, user, Count::Members, 1);
        count(counts, account, group, Count::Members, 1);
    }
    let found: BTreeSet<Key> =
        rows(catalog, row::GROUPS_OF).await.into_iter().map(|(key, _)| row::GROUPS_OF.key(key)).collect();
    assert_eq!(found, groups);
    let mut versions = BTreeSet::new();
    for (key, value) in rows(catalog, row::DOCUMENTS).await {
        let mut reader = KeyReader::new(&key);
        let (account, owner) = (account(&mut reader), id(&mut reader));
        assert_eq!(entities[&owner].0, account);
        let text = DocumentRow::from_bytes(&value).unwrap().text;
        if reader.u8().unwrap() == 1 {
            let weight = i64::try_from(document::weight(&text)).unwrap();
            count(counts, account, owner, Count::InlineChars, weight);
        } else {
            versions.insert((owner, reader.u32().unwrap()));
            count(counts, account, owner, Count::Versions, 1);
        }
    }
    for (_, entity) in entities.values() {
        if let Some(policy) = entity.policy() {
            assert!(versions.contains(&(entity.id, policy.default)) && policy.next > policy.default);
        }
    }
}

async fn assert_keys(
    catalog: &dyn Catalog,
    entities: &BTreeMap<EntityId, (AccountId, EntityRow)>,
    counts: &mut Counts,
) {
    let mut keys = BTreeSet::new();
    for (key, value) in rows(catalog, row::ACCESS_KEYS).await {
        let found = AccessKeyRow::from_bytes(&value).unwrap();
        assert!(found.owner == EntityId::ROOT || entities[&found.owner].0 == found.account);
        let id = std::str::from_utf8(&key).unwrap().parse().unwrap();
        keys.insert(row::key_of(found.account, found.owner, &id));
        count(counts, found.account, found.owner, Count::Keys, 1);
    }
    let found: BTreeSet<Key> =
        rows(catalog, row::KEYS_OF).await.into_iter().map(|(key, _)| row::KEYS_OF.key(key)).collect();
    assert_eq!(found, keys);
}

/// Passwords and second factors.
async fn assert_logins(
    catalog: &dyn Catalog,
    entities: &BTreeMap<EntityId, (AccountId, EntityRow)>,
    counts: &mut Counts,
) {
    for (key, value) in rows(catalog, login_row::LOGINS).await {
        let mut reader = KeyReader::new(&key);
        let (account, user) = (account(&mut reader), id(&mut reader));
        LoginRow::from_bytes(&value).unwrap();
        assert!(entities[&user].0 == account && entities[&user].1.kind() == Kind::User);
        count(counts, account, user, Count::Logins, 1);
    }
    let mut owned = BTreeSet::new();
    for (key, value) in rows(catalog, login_row::DEVICES).await {
        let mut reader = KeyReader::new(&key);
        let account = account(&mut reader);
        let place = std::str::from_utf8(reader.tail()).unwrap();
        count(counts, account, EntityId::ROOT, Count::Devices, 1);
        if let Some(assigned) = DeviceRow::from_bytes(&value).unwrap().assigned {
            assert_eq!(entities[&assigned.user].0, account);
            owned.insert(login_row::device_of(account, assigned.user, place));
            count(counts, account, assigned.user, Count::Devices, 1);
            count(counts, account, EntityId::ROOT, Count::DevicesInUse, 1);
        }
    }
    let found: BTreeSet<Key> = rows(catalog, login_row::DEVICES_OF)
        .await
        .into_iter()
        .map(|(key, _)| login_row::DEVICES_OF.key(key))
        .collect();
    assert_eq!(found, owned);
}

async fn assert_counts(catalog: &dyn Catalog, mut counts: Counts) {
    let limits =
        [(Count::Keys, 2), (Count::Attached, 20), (Count::InlineChars, 10_240), (Count::Versions, 5)];
    for ((_, id, which), count) in &counts {
        let limit = limits.iter().find(|(limited, _)| *limited as u8 == *which);
        assert!(limit.is_none_or(|(_, limit)| count <= limit), "{id:?} {which} {count}");
    }
    for (key, value) in rows(catalog, row::COUNTS).await {
        let mut reader = KeyReader::new(&key);
        let counted = (account(&mut reader), id(&mut reader), reader.u8().unwrap());
        let value = i64::from_le_bytes(value[..].try_into().unwrap());
        if counted.2 != Count::Generation as u8 {
            assert_eq!(counts.remove(&counted).unwrap_or_default(), value, "{counted:?}");
        }
    }
    assert_eq!(counts, Counts::new());
}
