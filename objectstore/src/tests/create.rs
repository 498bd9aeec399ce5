//! A bucket comes to be with all that it has, or not at all.

use super::between::{Pair, in_every_gap};
use crate::world::{World, bucket};
use crate::{BucketTags, Error, NewBucket, ObjectLock, Tags, Versioning, tables};
use engine::BoxFuture;
use engine::catalog::{Catalog, Commit, Limits, MemoryCatalog, Snapshot, Version};
use engine::id::PartitionId;
use futures_util::poll;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

/// Lets go of the thread before each look at the rows, so that an operation can be dropped between any two.
struct Slow(Arc<MemoryCatalog>);

impl Catalog for Slow {
    fn limits(&self) -> Limits {
        self.0.limits()
    }

    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, engine::Result<Arc<dyn Snapshot>>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.0.snapshot(partition).await
        })
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, engine::Result<Version>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.0.commit(commit).await
        })
    }
}

fn new_bucket() -> NewBucket {
    let tags = BucketTags(Tags::of_bucket([("a".to_owned(), "1".to_owned())]).unwrap());
    NewBucket::new(Versioning::Enabled).with(ObjectLock::default()).unwrap().with(tags).unwrap()
}

/// All of what it was created with, or no such bucket.
async fn is_whole(world: &World, name: &str) -> bool {
    let name = bucket(name);
    match world.store.versioning(&name).await {
        Err(Error::NoSuchBucket) => return false,
        versioning => assert_eq!(versioning.unwrap(), Versioning::Enabled),
    }
    assert!(world.store.setting::<ObjectLock>(&name).await.unwrap().is_some());
    assert!(world.store.setting::<BucketTags>(&name).await.unwrap().is_some());
    true
}

#[tokio::test]
async fn a_creation_cut_short_leaves_the_name_free_or_the_bucket_whole() {
    let mut world = World::new(120).await;
    let (mut none, mut whole) = (0, 0);
    let slow = world.beside(Arc::new(Slow(world.catalog.clone()))).await;
    for polls in 1..12 {
        let name = format!("cut-{polls}");
        let (bucket_name, new) = (bucket(&name), new_bucket());
        let mut done = false;
        {
            let mut creation = pin!(slow.store.create_bucket(&bucket_name, &new));
            for _ in 0..polls {
                if let Poll::Ready(outcome) = poll!(&mut creation) {
                    outcome.unwrap();
                    done = true;
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        world.reopen().await;
        world.settle().await;
        let there = is_whole(&world, &name).await;
        assert!(there || !done, "{name} was acknowledged");
        *if there { &mut whole } else { &mut none } += 1;
        assert_eq!(world.rows(PartitionId::ROOT, tables::BUCKET_INTENTS).await, 0);
        if !there {
            world.store.create_bucket(&bucket_name, &new).await.unwrap();
            assert!(is_whole(&world, &name).await);
        }
        world.store.delete_bucket(&bucket_name).await.unwrap();
    }
    assert!(whole > 0 && none > 0, "{whole} whole, {none} rolled back");
    world.next_day();
    world.settle().await;
    assert_eq!(world.rows(PartitionId::ROOT, tables::DELETED).await, 0, "nothing is left of any of them");
}

#[tokio::test]
async fn a_creation_that_was_given_up_by_another_owner_begins_again() {
    let pair = Pair::new(121).await;
    in_every_gap(async |n| {
        let name = format!("given-up-{n}");
        let (fast, theirs) = (pair.fast.clone(), bucket(&name));
        let step = async move {
            fast.store.finish_bucket(&theirs).await.unwrap();
        };
        let (bucket_name, new) = (bucket(&name), new_bucket());
        let created = pair.slow.store.create_bucket(&bucket_name, &new);
        let Some(outcome) = pair.with_step_at(n, step, created).await else { return false };
        outcome.unwrap();
        assert!(is_whole(&pair.fast, &name).await, "gap {n}");
        true
    })
    .await;
}
