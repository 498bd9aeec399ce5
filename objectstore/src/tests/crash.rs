//! Operations dropped at any point, then a reopened store: nothing acknowledged is lost, nothing half done stays.

use super::dice::{Dice, seeds};
use crate::world::{World, bucket, bytes, copy_request, key};
use crate::{Error, Versioning, tables};
use bytes::Bytes;
use futures_util::poll;
use std::future::Future;
use std::pin::pin;
use std::task::Poll;

/// Polls at most so often, then drops.
async fn abandon<T>(operation: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut operation = pin!(operation);
    for _ in 0..polls {
        if let Poll::Ready(outcome) = poll!(&mut operation) {
            return Some(outcome);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// What may stand under a key: after a dropped operation, either of two.
type Allowed = Vec<Option<Bytes>>;

async fn run(seed: u64) {
    let mut world = World::new(seed).await;
    let dice = Dice::new(seed);
    let names = [bucket("one"), bucket("two")];
    for name in &names {
        world.create(name.as_str(), Versioning::Off).await;
    }
    let mut allowed: [Allowed; 2] = [vec![None], vec![None]];
    for number in 0..60 {
        let which = dice.below(2);
        let (name, other) = (&names[which], &names[1 - which]);
        let polls = 1 + dice.below(60);
        let body = bytes(number, *dice.pick(&[10, 6_000]));
        let (outcome, new): (Option<bool>, Option<Bytes>) = match dice.below(5) {
            0 | 1 => {
                let request = crate::PutRequest::new(name.clone(), key("k"));
                let done = Box::pin(abandon(world.put_with(request, body.clone()), polls)).await;
                (done.map(|put| put.is_ok()), Some(body))
            }
            2 => (abandon(world.delete(name, "k"), polls).await.map(|_| true), None),
            3 => {
                let source = world.get(other, "k").await.ok();
                let copy = Box::pin(world.store.copy(copy_request((other, "k"), (name, "k"))));
                let copied = abandon(copy, polls).await;
                let Some(source) = source else { continue };
                (copied.map(|copied| copied.is_ok()), Some(source))
            }
            _ => {
                let multi = async {
                    let upload = world.begin(name, "k").await;
                    let part = world.part(name, "k", upload, 1, body.clone()).await?;
                    world.complete(name, "k", upload, vec![part]).await
                };
                (Box::pin(abandon(multi, polls)).await.map(|done| done.is_ok()), Some(body.clone()))
            }
        };
        match outcome {
            Some(true) => allowed[which] = vec![new],
            Some(false) => panic!("seed {seed}: an operation failed"),
            None => allowed[which].push(new),
        }
        if dice.below(4) == 0 {
            world.reopen().await;
            world.settle().await;
        }
        for (name, allowed) in names.iter().zip(&mut allowed) {
            let now = match world.get(name, "k").await {
                Ok(body) => Some(body),
                Err(Error::NoSuchKey { .. }) => None,
                Err(error) => panic!("seed {seed}: {error}"),
            };
            assert!(allowed.contains(&now), "seed {seed}, step {number}: what stands there nobody wrote");
        }
    }
    world.reopen().await;
    for name in &names {
        world.delete(name, "k").await;
    }
    let partitions = [world.partition(&names[0]).await, world.partition(&names[1]).await];
    for name in &names {
        world.store.delete_bucket(name).await.unwrap();
    }
    world.next_day();
    world.settle().await;
    for partition in partitions {
        assert_eq!(world.references(partition).await, 0, "seed {seed}: leaked bytes");
        for table in [tables::BODY, tables::PARTS, tables::UPLOADS, tables::MANIFESTS, tables::INTENTS] {
            assert_eq!(world.rows(partition, table).await, 0, "seed {seed}: {table:?}");
        }
    }
}

#[tokio::test]
async fn dropped_operations_leave_nothing_half_done() {
    for seed in seeds(12) {
        // Boxed: it holds whole operations.
        Box::pin(run(seed)).await;
    }
}
