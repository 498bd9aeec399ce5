//! Racing writers: of conditional writes exactly one wins.

use super::dice::seeds;
use crate::world::{World, bytes, copy_request, copy_source, key};
use crate::{
    CompleteRequest, CompletedPart, CopyPartRequest, DeleteConditions, DeleteRequest, ETagMatch, Error,
    PartNumber, PutRequest, VersionSelector, Versioning, WriteConditions,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const WRITERS: u64 = 64;

fn create_only() -> WriteConditions {
    WriteConditions { if_none_match: Some(ETagMatch::Any), ..WriteConditions::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_racing_creations_exactly_one_wins() {
    let world = Arc::new(World::new(40).await);
    let name = world.create("race", Versioning::Off).await;
    for round in seeds(30) {
        let at = format!("k{round}");
        let writers = (0..WRITERS).map(|writer| {
            let (world, name, at) = (Arc::clone(&world), name.clone(), at.clone());
            tokio::spawn(async move {
                let conditions = create_only();
                let request = PutRequest { conditions, ..PutRequest::new(name, key(&at)) };
                world.put_with(request, bytes(writer, 100)).await.map(|_| writer)
            })
        });
        let mut winners = Vec::new();
        for writer in writers.collect::<Vec<_>>() {
            match writer.await.unwrap() {
                Ok(writer) => winners.push(writer),
                Err(error) => assert!(matches!(error, Error::PreconditionFailed { .. }), "{error}"),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}");
        assert_eq!(world.get(&name, &at).await.unwrap(), bytes(winners[0], 100));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_racing_swaps_deletes_and_completions_exactly_one_wins() {
    let world = Arc::new(World::new(41).await);
    let name = world.create("race", Versioning::Enabled).await;
    for round in seeds(10) {
        let first = world.put(&name, "k", bytes(round, 50)).await;
        let swap = WriteConditions {
            if_match: Some(ETagMatch::OneOf(vec![first.etag])),
            ..WriteConditions::default()
        };
        let racers = (0..WRITERS).map(|writer| {
            let (world, name, conditions) = (Arc::clone(&world), name.clone(), swap.clone());
            tokio::spawn(async move {
                match writer % 3 {
                    0 => {
                        let request = PutRequest { conditions, ..PutRequest::new(name, key("k")) };
                        world.put_with(request, bytes(1_000 + writer, 60)).await.map(|_| ())
                    }
                    1 => {
                        let version = VersionSelector::Latest;
                        let conditions =
                            DeleteConditions { if_match: conditions.if_match, ..DeleteConditions::default() };
                        let request = DeleteRequest {
                            bucket: name,
                            key: key("k"),
                            version,
                            conditions,
                            bypass_governance: false,
                            origin: crate::Origin::default(),
                            asks: None,
                        };
                        world.store.delete(request).await.map(|_| ())
                    }
                    _ => {
                        let upload = world.begin(&name, "k").await;
                        let part = world.part(&name, "k", upload, 1, bytes(2_000 + writer, 70)).await?;
                        let request = CompleteRequest {
                            bucket: name,
                            key: key("k"),
                            upload,
                            parts: vec![part],
                            checksum: None,
                            checksum_parts: None,
                            checksum_type: None,
                            size: None,
                            conditions,
                            origin: crate::Origin::default(),
                            asks: None,
                            customer_key: None,
                        };
                        world.store.complete_upload(request).await.map(|_| ())
                    }
                }
            })
        });
        let mut winners = 0;
        for racer in racers.collect::<Vec<_>>() {
            match racer.await.unwrap() {
                Ok(()) => winners += 1,
                Err(Error::PreconditionFailed { .. } | Error::NoSuchKey { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(winners, 1, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_bucket_is_not_deleted_under_a_writer() {
    let world = Arc::new(World::new(42).await);
    for round in seeds(30) {
        let name = world.create(&format!("bucket-{round}"), Versioning::Off).await;
        let writer = {
            let (world, name) = (Arc::clone(&world), name.clone());
            tokio::spawn(async move { world.put_with(PutRequest::new(name, key("k")), "v").await })
        };
        let deleted = world.store.delete_bucket(&name).await;
        let written = writer.await.unwrap();
        match (deleted, written) {
            (Ok(()), Err(Error::NoSuchBucket)) => {
                assert!(matches!(world.get(&name, "k").await, Err(Error::NoSuchBucket)));
            }
            (Err(Error::BucketNotEmpty), Ok(_)) => {
                assert_eq!(&world.get(&name, "k").await.unwrap()[..], b"v");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_sees_one_version_or_another_while_all_of_them_go() {
    const SIZES: [usize; 3] = [100, 4_000, 9_000];
    let world = Arc::new(World::new(43).await);
    let name = world.create("churn", Versioning::Off).await;
    world.put(&name, "k", bytes(0, 100)).await;
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (world, name, stop) = (Arc::clone(&world), name.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut reads = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let body = world.get(&name, "k").await.unwrap();
                    assert!(SIZES.contains(&body.len()), "{} bytes", body.len());
                    let copied =
                        world.store.copy(crate::world::copy_request((&name, "k"), (&name, "c"))).await;
                    copied.unwrap();
                    reads += 1;
                }
                reads
            })
        })
        .collect();
    let mut collector = engine::blob::Collector::new(Arc::clone(&world.blobs));
    for (number, size) in (0..300).zip(SIZES.into_iter().cycle()) {
        world.put(&name, "k", bytes(number, size)).await;
        let _progress = engine::worker::Worker::tick(&mut collector).await.unwrap();
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
}

/// A source that is replaced while it is copied: small enough to lie in a row, or large enough for a blob.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_source_replaced_under_a_copy_is_copied_whole_or_found_again() {
    const SIZES: [usize; 2] = [100, 10_000];
    for (seed, size) in [60, 61].into_iter().zip(SIZES) {
        let world = Arc::new(World::new(seed).await);
        let name = world.create("race", Versioning::Off).await;
        let other = world.create("other", Versioning::Off).await;
        world.put(&name, "source", bytes(0, size)).await;
        let done = Arc::new(AtomicBool::new(false));
        let replacing = {
            let (world, name, done) = (Arc::clone(&world), name.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let mut round = 0;
                while !done.load(Ordering::Relaxed) {
                    round += 1;
                    world.put(&name, "source", bytes(round % 7, size)).await;
                    if round % 5 == 0 {
                        world.settle().await;
                    }
                }
            })
        };
        let copiers = (0..4).map(|copier| {
            let (world, name, other) = (Arc::clone(&world), name.clone(), other.clone());
            tokio::spawn(async move {
                for round in 0..100 {
                    let to = if round % 2 == 0 { &name } else { &other };
                    let at = format!("copy-{copier}");
                    let upload = world.begin(to, &at).await;
                    let part = CopyPartRequest {
                        source: copy_source((&name, "source")),
                        range: None,
                        bucket: to.clone(),
                        key: key(&at),
                        upload,
                        part: PartNumber::new(1).unwrap(),
                        writer: None,
                        customer_key: None,
                    };
                    // Lost races may be reported as such; damage never.
                    match world.store.copy_part(part).await {
                        Ok(copied) => {
                            let number = PartNumber::new(1).unwrap();
                            let part = CompletedPart { number, etag: copied.etag, checksum: None };
                            world.complete(to, &at, upload, vec![part]).await.unwrap();
                            let body = world.get(to, &at).await.unwrap();
                            assert!((0..7).any(|seed| bytes(seed, size) == body));
                        }
                        Err(error) => assert!(matches!(error, Error::Contended { .. }), "{error}"),
                    }
                    match world.store.copy(copy_request((&name, "source"), (to, "whole"))).await {
                        Ok(_) => {
                            let body = world.get(to, "whole").await.unwrap();
                            assert!((0..7).any(|seed| bytes(seed, size) == body));
                        }
                        Err(error) => assert!(matches!(error, Error::Contended { .. }), "{error}"),
                    }
                }
            })
        });
        for copier in copiers.collect::<Vec<_>>() {
            copier.await.unwrap();
        }
        done.store(true, Ordering::Relaxed);
        replacing.await.unwrap();
    }
}
