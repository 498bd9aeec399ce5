//! Accounts, owners and access lists: who is let in, what stands beside what they write, and what a crash leaves.

use super::between::{Pair, in_every_gap};
use crate::record::{BucketRow, BucketState, ObjectRow};
use crate::world::{World, bucket, bytes, key};
use crate::{
    About, AmendRequest, BucketName, Error, GetRequest, ListBuckets, ListRequest, ListWish, NewBucket,
    ObjectAccess, ObjectOwnership, PublicAccessBlock, PutRequest, Result, VersionSelector, Writer, tables,
};
use engine::catalog::record::Record;
use engine::catalog::{Catalog, Commit, Write};
use engine::id::PartitionId;
use security::{
    AccessList, AccountId, Action, CannedAcl, CanonicalUser, Grant, Grantee, Permission, Principal, Question,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const ENFORCED: ObjectOwnership = ObjectOwnership::BucketOwnerEnforced;
const PREFERRED: ObjectOwnership = ObjectOwnership::BucketOwnerPreferred;
const WRITER: ObjectOwnership = ObjectOwnership::ObjectWriter;

fn owner() -> AccountId {
    "111122223333".parse().unwrap()
}

fn other() -> AccountId {
    "444455556666".parse().unwrap()
}

fn asks(principal: &Principal, permission: Permission) -> Question {
    Question::new(principal.clone(), Action::new("s3:GetObject"), Some(permission))
}

/// A bucket of [`owner`].
async fn make(world: &World, name: &str, ownership: ObjectOwnership, acl: CannedAcl) -> BucketName {
    let name = bucket(name);
    let new = NewBucket::of(owner()).with_access(ownership, &ListWish::Canned(acl)).unwrap();
    world.store.create_bucket(&name, &new).await.unwrap();
    name
}

async fn write(world: &World, name: &BucketName, by: impl Into<CanonicalUser>, list: ListWish) -> Result<()> {
    let writer = Writer { by: Some(by.into()), list };
    let put = PutRequest { writer, ..PutRequest::new(name.clone(), key("k")) };
    world.put_with(put, "body").await.map(drop)
}

fn reads(name: &BucketName, principal: &Principal) -> GetRequest {
    GetRequest { asks: Some(asks(principal, Permission::Read)), ..GetRequest::new(name.clone(), key("k")) }
}

async fn shown(world: &World, name: &BucketName) -> ObjectAccess {
    world.store.object_acl(&GetRequest::new(name.clone(), key("k"))).await.unwrap().1
}

#[tokio::test]
async fn owner_and_list_of_an_object_follow_from_writer_list_and_ownership() {
    let world = World::new(80).await;
    let full = CannedAcl::BucketOwnerFullControl;
    let canned = ListWish::Canned;
    for (ownership, wish, owned_by_writer, list) in [
        (ENFORCED, ListWish::Default, false, Some(CannedAcl::Private)),
        (ENFORCED, canned(full), false, Some(CannedAcl::Private)),
        (ENFORCED, canned(CannedAcl::Private), false, Some(CannedAcl::Private)),
        (ENFORCED, canned(CannedAcl::PublicRead), false, None),
        (PREFERRED, ListWish::Default, true, Some(CannedAcl::Private)),
        (PREFERRED, canned(full), false, Some(CannedAcl::Private)),
        (PREFERRED, canned(CannedAcl::PublicRead), true, Some(CannedAcl::PublicRead)),
        (WRITER, ListWish::Default, true, Some(CannedAcl::Private)),
        (WRITER, canned(full), true, Some(full)),
        (WRITER, canned(CannedAcl::BucketOwnerRead), true, Some(CannedAcl::BucketOwnerRead)),
    ] {
        let name = make(&world, &ownership.as_str().to_lowercase(), ownership, CannedAcl::Private).await;
        for by in [CanonicalUser::from(other()), owner().into(), CanonicalUser::Anonymous] {
            let outcome = write(&world, &name, by, wish.clone()).await;
            let Some(list) = list else {
                assert!(matches!(outcome, Err(Error::AccessListsOff)), "{ownership} {wish:?} {outcome:?}");
                continue;
            };
            outcome.unwrap();
            let expected = if owned_by_writer { by } else { owner().into() };
            let list = list.of_object(expected, owner().into());
            assert_eq!(
                shown(&world, &name).await,
                ObjectAccess { owner: expected, list },
                "{ownership} {wish:?} {by:?}"
            );
            let page = world.store.list_objects(ListRequest::new(name.clone())).await.unwrap();
            assert_eq!(page.entries[0].owner, Some(expected).filter(|user| *user != owner().into()));
            world.delete(&name, "k").await;
        }
        world.store.delete_bucket(&name).await.unwrap();
    }
}

#[tokio::test]
async fn a_reader_is_judged_by_the_row_and_learns_nothing_that_it_may_not_list() {
    let world = World::new(81).await;
    let name = make(&world, "reading", WRITER, CannedAcl::Private).await;
    let denied = async |principal: &Principal| {
        matches!(world.store.head(reads(&name, principal)).await, Err(Error::AccessDenied))
    };
    let (alien, nobody, root) = (&Principal::Root(other()), &Principal::Anonymous, &Principal::Root(owner()));
    // Nothing is there: who may not list is not told so.
    assert!(denied(alien).await && denied(nobody).await);
    assert!(matches!(world.store.head(reads(&name, root)).await, Err(Error::NoSuchKey { .. })));
    world.store.set_bucket_acl(&name, &ListWish::Canned(CannedAcl::PublicRead)).await.unwrap();
    assert!(matches!(world.store.head(reads(&name, nobody)).await, Err(Error::NoSuchKey { .. })));
    // A list of the bucket says nothing about its objects.
    write(&world, &name, owner(), ListWish::Default).await.unwrap();
    assert!(denied(alien).await && denied(nobody).await && !denied(root).await);
    write(&world, &name, owner(), ListWish::Canned(CannedAcl::AuthenticatedRead)).await.unwrap();
    assert!(!denied(alien).await && denied(nobody).await);
    // What another account wrote is its own; the bucket's owner reads it when it is granted, and may always delete it.
    write(&world, &name, other(), ListWish::Default).await.unwrap();
    assert!(!denied(alien).await && denied(root).await);
    let block = PublicAccessBlock { ignore_public_acls: true, ..PublicAccessBlock::default() };
    write(&world, &name, owner(), ListWish::Canned(CannedAcl::PublicRead)).await.unwrap();
    assert!(!denied(nobody).await);
    world.store.set(&name, Some(&block)).await.unwrap();
    assert!(denied(nobody).await && denied(alien).await && !denied(root).await);
    world.store.set::<PublicAccessBlock>(&name, None).await.unwrap();
    assert!(!denied(nobody).await);
    // Lists off: the same row grants nothing any more.
    world.store.set_bucket_acl(&name, &ListWish::Default).await.unwrap();
    world.store.set_ownership(&name, Some(ENFORCED)).await.unwrap();
    assert!(denied(nobody).await && denied(alien).await && !denied(root).await);
    assert_eq!(shown(&world, &name).await.list, AccessList::private(owner()));
    // As if there had never been controls, and the rows mean again what they meant.
    world.store.set_ownership(&name, None).await.unwrap();
    assert!(!denied(nobody).await);
}

#[tokio::test]
async fn a_list_is_replaced_by_who_may_and_its_owner_stays() {
    let world = World::new(82).await;
    let name = make(&world, "replacing", WRITER, CannedAcl::Private).await;
    write(&world, &name, owner(), ListWish::Default).await.unwrap();
    let request = AmendRequest {
        bucket: name.clone(),
        key: key("k"),
        version: VersionSelector::Latest,
        origin: crate::Origin::default(),
    };
    let set = async |principal: &Principal, wish: ListWish, named| {
        let asks = asks(principal, Permission::WriteAcp);
        world.store.set_object_acl(&request, &asks, (&wish, named)).await
    };
    let (alien, root) = (&Principal::Root(other()), &Principal::Root(owner()));
    assert!(matches!(set(alien, ListWish::Default, None).await, Err(Error::AccessDenied)));
    let grants = AccessList::new([Grant::to(other(), Permission::WriteAcp)]).unwrap();
    set(root, ListWish::Grants(grants.clone()), Some(owner().into())).await.unwrap();
    assert_eq!(shown(&world, &name).await, ObjectAccess { owner: owner().into(), list: grants });
    // Who may write the list can't give the object away.
    assert!(matches!(set(alien, ListWish::Default, Some(other().into())).await, Err(Error::AccessDenied)));
    set(alien, ListWish::Canned(CannedAcl::PublicRead), None).await.unwrap();
    assert_eq!(shown(&world, &name).await.owner, owner().into());
    assert!(matches!(set(alien, ListWish::Default, None).await, Err(Error::AccessDenied)), "granted no more");
    let block = PublicAccessBlock { block_public_acls: true, ..PublicAccessBlock::default() };
    world.store.set(&name, Some(&block)).await.unwrap();
    let public = || ListWish::Canned(CannedAcl::PublicRead);
    assert!(matches!(set(root, public(), None).await, Err(Error::AccessDenied)));
    assert!(matches!(world.store.set_bucket_acl(&name, &public()).await, Err(Error::AccessDenied)));
    assert!(matches!(write(&world, &name, owner(), public()).await, Err(Error::AccessDenied)));
    write(&world, &name, owner(), ListWish::Canned(CannedAcl::Private)).await.unwrap();
}

#[tokio::test]
async fn lists_are_not_switched_off_while_the_buckets_own_grants_to_others() {
    let world = World::new(83).await;
    let name = make(&world, "switching", WRITER, CannedAcl::PublicRead).await;
    let off = world.store.set_ownership(&name, Some(ENFORCED)).await;
    assert!(matches!(off, Err(Error::AccessListInTheWay)));
    assert!(world.store.bucket_acl(&name).await.unwrap().is_public());
    world.store.set_bucket_acl(&name, &ListWish::Default).await.unwrap();
    world.store.set_ownership(&name, Some(ENFORCED)).await.unwrap();
    let set = world.store.set_bucket_acl(&name, &ListWish::Canned(CannedAcl::PublicRead)).await;
    assert!(matches!(set, Err(Error::AccessListsOff)));
    let both = NewBucket::of(owner()).with_access(ENFORCED, &ListWish::Canned(CannedAcl::PublicRead));
    assert!(matches!(both, Err(Error::AccessListInTheWay)));
}

#[tokio::test]
async fn an_admitted_name_stands_for_its_bucket_alone() {
    let world = World::new(84).await;
    let name = make(&world, "taken", ENFORCED, CannedAcl::Private).await;
    let question = asks(&Principal::Root(owner()), Permission::Write);
    let admitted = world.store.admit(&name, Some(&question), About::Bucket).await.unwrap();
    assert_eq!((admitted.owner, &admitted.bucket), (owner(), &name));
    let alien = asks(&Principal::Root(other()), Permission::Write);
    assert!(matches!(world.store.admit(&name, Some(&alien), About::Bucket).await, Err(Error::AccessDenied)));
    world.store.delete_bucket(&name).await.unwrap();
    world.store.create_bucket(&name, &NewBucket::of(other())).await.unwrap();
    world.put(&name, "k", "theirs").await;
    // What was decided for the first bucket is good for nothing in the second.
    let bound = admitted.bucket;
    assert!(matches!(world.get(&bound, "k").await, Err(Error::NoSuchBucket)));
    let put = PutRequest::new(bound.clone(), key("k"));
    assert!(matches!(world.put_with(put, "mine").await, Err(Error::NoSuchBucket)));
    assert!(matches!(world.store.delete_bucket(&bound).await, Err(Error::NoSuchBucket)));
    assert_eq!(world.get(&name, "k").await.unwrap(), "theirs");
    assert!(matches!(
        world.store.admit(&name, Some(&question), About::Bucket).await,
        Err(Error::AccessDenied)
    ));
}

#[tokio::test]
async fn accounts_have_buckets_and_keys_of_their_own() {
    let mut world = World::new(85).await;
    let (mine, theirs) = (bucket("mine"), bucket("theirs"));
    world.store.create_bucket(&mine, &NewBucket::of(owner())).await.unwrap();
    world.store.create_bucket(&theirs, &NewBucket::of(other())).await.unwrap();
    let taken = world.store.create_bucket(&mine, &NewBucket::of(other())).await;
    assert!(matches!(taken, Err(Error::BucketAlreadyExists)));
    let repeated = world.store.create_bucket(&mine, &NewBucket::of(owner())).await;
    assert!(matches!(repeated, Err(Error::BucketAlreadyOwnedByYou)));
    let mut sealed_by: BTreeMap<AccountId, BTreeSet<[u8; 8]>> = BTreeMap::new();
    for round in 0..2 {
        for (name, account) in [(&mine, owner()), (&theirs, other())] {
            // After a reopening too there is a key for what each of them writes.
            world.put(name, "k", bytes(round, 9_000)).await;
            assert_eq!(world.get(name, "k").await.unwrap(), bytes(round, 9_000));
            let request = ListBuckets { owner: Some(account), ..ListBuckets::default() };
            let page = world.store.list_buckets(request).await.unwrap();
            assert_eq!(page.buckets.iter().map(|found| &found.name).collect::<Vec<_>>(), [name]);
            assert_eq!(world.store.bucket_owner(name).await.unwrap(), account);
            sealed_by.entry(account).or_default().insert(sealing_key(&world, name).await);
        }
        assert_eq!(world.store.list_buckets(ListBuckets::default()).await.unwrap().buckets.len(), 2);
        world.reopen().await;
    }
    let [mine, theirs] = [owner(), other()].map(|account| sealed_by.remove(&account).unwrap());
    assert!(mine.is_disjoint(&theirs), "{mine:?} and {theirs:?}");
}

/// The id of the key table's key that sealed the data key of `k` (docs/formats/key-table.md).
async fn sealing_key(world: &World, name: &BucketName) -> [u8; 8] {
    let rows = world.catalog.snapshot(world.partition(name).await).await.unwrap();
    let row = rows.get(tables::current(&key("k"))).await.unwrap().unwrap();
    ObjectRow::from_bytes(&row).unwrap().sealed[1..9].try_into().unwrap()
}

#[tokio::test]
async fn a_bucket_is_there_with_all_that_was_asked_for_or_not_at_all() {
    let pair = Pair::new(86).await;
    in_every_gap(async |n| {
        let name = bucket(&format!("gap-{n}"));
        let canned = ListWish::Canned(CannedAcl::PublicRead);
        let new = NewBucket::of(owner()).with_access(WRITER, &canned).unwrap();
        let (fast, found) = (Arc::clone(&pair.fast), name.clone());
        // Another owner finds the intent and settles it.
        let step = async move {
            fast.store.finish_bucket(&found).await.unwrap();
        };
        let create = pair.slow.store.create_bucket(&name, &new);
        let Some(outcome) = pair.with_step_at(n, step, create).await else { return false };
        match outcome {
            Ok(_) => {
                let list = pair.fast.store.bucket_acl(&name).await.unwrap();
                assert!(list.grants().iter().any(|grant| grant.grantee == Grantee::AllUsers), "gap {n}");
            }
            Err(Error::BucketBusy) => {
                assert!(pair.fast.store.resolve(&name).await.unwrap().is_none(), "gap {n}");
                pair.fast.store.create_bucket(&name, &new).await.unwrap();
            }
            Err(error) => panic!("gap {n}: {error}"),
        }
        true
    })
    .await;
}

#[tokio::test]
async fn a_creation_that_a_crash_cut_short_is_undone() {
    let mut world = World::new(87).await;
    let name = bucket("half");
    let row = BucketRow {
        partition: PartitionId::from_bytes([7; 8]),
        state: BucketState::Creating,
        created: engine::clock::Timestamp::from_millis(0),
        account: owner().to_bytes(),
    };
    let mut commit = Commit::new(PartitionId::ROOT, 0);
    commit.writes = vec![
        Write::Put(tables::bucket(tables::BUCKETS, &name), row.to_bytes()),
        Write::Put(tables::bucket(tables::BUCKET_INTENTS, &name), tables::PRESENT),
    ];
    world.catalog.commit(commit).await.unwrap();
    world.reopen().await;
    world.settle().await;
    assert!(matches!(world.store.head_bucket(&name).await, Err(Error::NoSuchBucket)));
    world.store.create_bucket(&name, &NewBucket::of(other())).await.unwrap();
    assert_eq!(world.store.bucket_owner(&name).await.unwrap(), other());
}
