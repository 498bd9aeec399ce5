//! Commits whose outcome is not known, and rows that can't be read.

use super::rows::assert_sound;
use super::{ALLOW, Bench, DENY, other, own};
use crate::AccountId;
use crate::credentials::{AccessKeyId, CredentialLookup as _};
use crate::identity::row::{self, AccessKeyRow, EdgeRow};
use crate::identity::{Code, Identities, KeyOwner, KeyStatus, NewUser, Owner, named};
use bytes::Bytes;
use engine::catalog::record::Record as _;
use engine::catalog::{Catalog, Commit, Limits, Snapshot, Version, Write};
use engine::id::PartitionId;
use engine::{BoxFuture, Error, Result};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// A catalog that does not know how a commit ended and takes it later, as the durable one does whose rows have no room.
struct Parking {
    rows: Arc<dyn Catalog>,
    /// So many commits are refused from the next on; that one is of unknown outcome.
    refused: AtomicUsize,
    is_lost: AtomicBool,
    parked: Mutex<Option<Commit>>,
}

impl Catalog for Parking {
    fn limits(&self) -> Limits {
        self.rows.limits()
    }
    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, Result<Arc<dyn Snapshot>>> {
        self.rows.snapshot(partition)
    }
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Version>> {
        Box::pin(async move {
            if self
                .refused
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                .is_ok()
            {
                let mut parked = self.parked.lock();
                if parked.is_some() {
                    return Err(Error::Full { place: "rows".to_owned(), wanted: 1 });
                }
                *parked = Some(commit);
                return Err(Error::Unknown { reason: "the rows take it later".to_owned() });
            }
            let parked = self.parked.lock().take();
            assert!(parked.is_none() || !commit.id_is_fresh, "its answer is looked up");
            let parked = parked.filter(|_| !self.is_lost.load(Ordering::SeqCst));
            if let Some(parked) = parked {
                self.rows.commit(parked).await?;
            }
            self.rows.commit(commit).await
        })
    }
}

async fn parking(bench: &mut Bench) -> Arc<Parking> {
    let parking = Arc::new(Parking {
        rows: bench.noting.clone(),
        refused: AtomicUsize::new(0),
        is_lost: AtomicBool::new(false),
        parked: Mutex::default(),
    });
    bench.ids = Bench::identities(parking.clone(), &bench.keys, &bench.clock, &bench.roots, 9).await;
    parking
}

/// Lets time pass until the account is known again.
async fn until_sure(bench: &Bench, account: AccountId) {
    for _ in 0..200 {
        if !bench.ids.is_unsure(account) {
            return;
        }
        bench.clock.advance(Duration::from_mins(1));
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
    panic!("it stays unsure");
}

async fn user(ids: &Identities, account: AccountId, name: &str) -> AccessKeyId {
    ids.create_user(account, NewUser { name, ..NewUser::default() }).await.unwrap();
    ids.create_access_key(account, KeyOwner::User(name)).await.unwrap().key.id
}

#[tokio::test]
async fn while_it_is_not_known_how_a_change_ended_nobody_of_the_account_gets_in() {
    for is_lost in [false, true] {
        let mut bench = Bench::new().await;
        let parking = parking(&mut bench).await;
        let (a, b) = (user(&bench.ids, own(), "a").await, user(&bench.ids, own(), "b").await);
        let theirs = user(&bench.ids, other(), "c").await;
        parking.is_lost.store(is_lost, Ordering::SeqCst);
        parking.refused.store(6, Ordering::SeqCst);
        let disable = async || {
            let (owner, inactive) = (KeyOwner::User("a"), KeyStatus::Inactive);
            bench.ids.update_access_key(own(), owner, a.as_str(), inactive).await
        };
        assert_eq!(disable().await.unwrap_err().code, Code::ServiceFailure);
        let left = parking.refused.load(Ordering::SeqCst);
        assert_eq!(disable().await.unwrap_err().code, Code::ServiceFailure, "it is not known yet");
        assert_eq!(parking.refused.load(Ordering::SeqCst), left, "and nothing further is tried");
        assert!(bench.signs(&a).await.is_none() && bench.signs(&b).await.is_none());
        assert!(bench.signs(&theirs).await.is_some(), "others get in");
        until_sure(&bench, own()).await;
        let row: AccessKeyRow =
            bench.ids.view(own()).await.unwrap().get(row::access_key(a.as_str())).await.unwrap().unwrap();
        assert_eq!(row.status, KeyStatus::Inactive);
        assert!(bench.signs(&a).await.is_none() && bench.signs(&b).await.is_some(), "{is_lost}");
        disable().await.unwrap();
        bench.ids.assert_true().await;
        assert_sound(&*bench.noting).await;
    }
}

#[tokio::test]
async fn a_change_of_unknown_outcome_is_repeated_and_done_once() {
    for is_lost in [false, true] {
        let mut bench = Bench::new().await;
        let parking = parking(&mut bench).await;
        let a = user(&bench.ids, own(), "a").await;
        parking.is_lost.store(is_lost, Ordering::SeqCst);
        parking.refused.store(2, Ordering::SeqCst);
        bench.ids.put_inline(own(), Owner::User("a"), "i", ALLOW).await.unwrap();
        parking.refused.store(2, Ordering::SeqCst);
        bench.user("b").await;
        assert!(parking.parked.lock().is_none());
        assert!(super::reads(&bench.signs(&a).await.unwrap(), own()), "{is_lost}");
        bench.ids.assert_true().await;
        assert_sound(&*bench.noting).await;
    }
}

#[tokio::test]
async fn what_is_so_already_is_so_in_memory_too() {
    let bench = Bench::new().await;
    let key = user(&bench.ids, own(), "a").await;
    let policy = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess";
    bench.ids.create_group(own(), "g", None).await.unwrap();
    bench.ids.put_inline(own(), Owner::Group("g"), "deny", DENY).await.unwrap();
    // Another owner of the rows does what these do not hear of.
    bench.others.attach(own(), Owner::User("a"), policy).await.unwrap();
    assert!(!super::reads(&bench.signs(&key).await.unwrap(), own()));
    bench.ids.attach(own(), Owner::User("a"), policy).await.unwrap();
    assert!(super::reads(&bench.signs(&key).await.unwrap(), own()));
    bench.others.add_to_group(own(), "g", "a").await.unwrap();
    bench.ids.add_to_group(own(), "g", "a").await.unwrap();
    assert!(!super::reads(&bench.signs(&key).await.unwrap(), own()));
    let inactive = KeyStatus::Inactive;
    bench.others.update_access_key(own(), KeyOwner::User("a"), key.as_str(), inactive).await.unwrap();
    bench.ids.update_access_key(own(), KeyOwner::User("a"), key.as_str(), inactive).await.unwrap();
    assert!(bench.signs(&key).await.is_none());
    bench.others.set_boundary(own(), Owner::User("a"), policy).await.unwrap();
    bench.ids.set_boundary(own(), Owner::User("a"), policy).await.unwrap();
    bench.others.update_user(own(), "a", None, Some("/p/")).await.unwrap();
    bench.ids.update_user(own(), "a", None, Some("/p/")).await.unwrap();
    let arn = bench.policy("p", ALLOW).await;
    bench.ids.create_policy_version(own(), &arn, DENY, false).await.unwrap();
    bench.others.set_default_version(own(), &arn, "v2").await.unwrap();
    bench.ids.set_default_version(own(), &arn, "v2").await.unwrap();
    bench.ids.assert_true().await;
}

async fn write(bench: &Bench, key: engine::catalog::Key, value: Bytes) {
    let rows = bench.noting.snapshot(PartitionId::ROOT).await.unwrap();
    let writes = vec![Write::Put(key, value)];
    let commit = Commit { writes, ..Commit::new(PartitionId::ROOT, rows.read_version()) };
    drop(rows);
    bench.noting.commit(commit).await.unwrap();
}

#[tokio::test]
async fn a_row_that_cant_be_read_keeps_its_account_out_and_nobody_else() {
    let mut bench = Bench::new().await;
    let (mine, theirs) = (user(&bench.ids, own(), "a").await, user(&bench.ids, other(), "c").await);
    let policy = named::by_arn("arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess").unwrap();
    let arn = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess";
    bench.ids.attach(other(), Owner::User("c"), arn).await.unwrap();
    let id = bench.ids.user(other(), "c").await.unwrap().id;
    let edge = row::attached(other(), id.parse().unwrap(), policy.id());
    write(&bench, edge.clone(), Bytes::from_static(b"\xff")).await;
    // What it touches can't be read behind the commit; nor at a start.
    bench.ids.put_inline(other(), Owner::User("c"), "i", ALLOW).await.unwrap();
    for start in [false, true] {
        if start {
            bench.ids = bench.reopened().await;
        }
        assert!(bench.signs(&theirs).await.is_none(), "{start}");
        let refused = bench.ids.put_inline(other(), Owner::User("c"), "i", DENY).await.unwrap_err();
        assert_eq!(refused.code, Code::ServiceFailure);
        bench.ids.put_inline(own(), Owner::User("a"), "i", ALLOW).await.unwrap();
        assert!(super::reads(&bench.signs(&mine).await.unwrap(), own()), "{start}");
    }
    let root = bench.ids.lookup(super::EXAMPLE_KEY).unwrap();
    assert_eq!(root.account, own());
    write(&bench, edge, EdgeRow { arn: arn.into() }.to_bytes()).await;
    until_sure(&bench, other()).await;
    assert!(bench.signs(&theirs).await.is_some());
    bench.ids.assert_true().await;
    assert_sound(&*bench.noting).await;
}
