//! Copies: within a bucket, to another one, onto itself, by parts.

use crate::publish::Draft;
use crate::record::Stored;
use crate::world::{World, bytes, copy_request, copy_source, key};
use crate::{
    ChecksumAlgorithm, CompletedPart, CopyPartRequest, CopyRequest, ETagMatch, Error, GetRequest, Metadata,
    MetadataDirective, PartNumber, PutRequest, RangeSpec, ReadConditions, StorageClass, VersionSelector,
    Versioning, WriteConditions, tables,
};
use bytes::Bytes;
use engine::catalog::{Catalog as _, Commit, Write};
use engine::fault::Point;
use engine::id::PartitionId;
use engine::worker::{Progress, Worker};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SIZES: [usize; 4] = [0, 100, 4_097, 300_000];

#[tokio::test]
async fn a_copy_outlives_its_source_within_and_across_buckets() {
    let world = World::new(30).await;
    let here = world.create("here", Versioning::Off).await;
    let there = world.create("there", Versioning::Enabled).await;
    for size in SIZES {
        let body = bytes(size as u64, size);
        let put = world.put(&here, "source", body.clone()).await;
        let within = world.store.copy(copy_request((&here, "source"), (&here, "copy"))).await.unwrap();
        let across = world.store.copy(copy_request((&here, "copy"), (&there, "copy"))).await.unwrap();
        assert_eq!((within.etag, across.etag), (put.etag, put.etag));
        assert_eq!((within.checksum, across.checksum), (put.checksum, put.checksum));
        assert!(within.version.is_none() && across.version.is_some());
        if size > 4_096 {
            // No body byte was written: all three lie in the same records.
            let lies = async |bucket, at| {
                world.store.where_is(bucket, &key(at), VersionSelector::Latest).await.unwrap()
            };
            let source = lies(&here, "source").await;
            assert!(!source.is_empty());
            assert_eq!(lies(&here, "copy").await, source, "{size}");
            assert_eq!(lies(&there, "copy").await, source, "{size}");
        }
        // On from the copy, back to where the bytes live.
        world.store.copy(copy_request((&there, "copy"), (&here, "back"))).await.unwrap();
        for at in ["source", "copy"] {
            world.delete(&here, at).await;
        }
        world.settle().await;
        assert_eq!(world.get(&there, "copy").await.unwrap(), body, "{size}");
        assert_eq!(world.get(&here, "back").await.unwrap(), body, "{size}");
        world.delete_version(&there, "copy", across.version.unwrap().into()).await;
        world.settle().await;
        assert_eq!(world.get(&here, "back").await.unwrap(), body, "{size}");
        world.delete(&here, "back").await;
        world.next_day();
        world.settle().await;
        for bucket in [&here, &there] {
            let partition = world.partition(bucket).await;
            let queues = [tables::BODY, tables::FOREIGN, tables::INTENTS, tables::RELEASES, tables::FENCES];
            for table in queues {
                assert_eq!(world.rows(partition, table).await, 0, "{size} {table:?}");
            }
            assert_eq!(world.references(partition).await, 0, "{size}");
        }
    }
}

#[tokio::test]
async fn bytes_outlive_the_bucket_they_were_written_in() {
    let world = World::new(31).await;
    let old = world.create("old", Versioning::Off).await;
    let new = world.create("new", Versioning::Off).await;
    let body = bytes(1, 100_000);
    world.put(&old, "k", body.clone()).await;
    world.store.copy(copy_request((&old, "k"), (&new, "k"))).await.unwrap();
    let partition = world.partition(&old).await;
    world.delete(&old, "k").await;
    world.store.delete_bucket(&old).await.unwrap();
    world.settle().await;
    assert_eq!(world.get(&new, "k").await.unwrap(), body);
    assert_eq!(world.references(partition).await, 1);
    assert_eq!(world.rows(PartitionId::ROOT, tables::DELETED).await, 1, "it lives on without a name");
    world.delete(&new, "k").await;
    world.settle().await;
    assert_eq!(world.references(partition).await, 0);
    let mut collector = engine::blob::Collector::new(world.blobs.clone());
    while let Progress::More { .. } = collector.tick().await.unwrap() {}
    world.settle().await;
    assert_eq!(world.rows(PartitionId::ROOT, tables::DELETED).await, 0, "and ends with its last bytes");
}

#[tokio::test]
async fn copies_of_copies_of_parts_stay_readable() {
    let world = World::new(36).await;
    let name = world.create("nested", Versioning::Off).await;
    let body = bytes(1, 9_000);
    world.put(&name, "k0", body.clone()).await;
    for level in 1..=2 * u32::from(crate::body::MANIFEST_DEPTH_MAX) {
        let (source, at) = (format!("k{}", level - 1), format!("k{level}"));
        let upload = world.begin(&name, &at).await;
        let number = PartNumber::new(1).unwrap();
        let request = CopyPartRequest {
            source: copy_source((&name, &source)),
            range: None,
            bucket: name.clone(),
            key: key(&at),
            upload,
            part: number,
            writer: None,
            customer_key: None,
        };
        let copied = world.store.copy_part(request).await.unwrap();
        let part = CompletedPart { number, etag: copied.etag, checksum: None };
        world.complete(&name, &at, upload, vec![part]).await.unwrap();
        world.delete(&name, &source).await;
        world.settle().await;
        assert_eq!(world.get(&name, &at).await.unwrap(), body, "level {level}");
    }
}

#[tokio::test]
async fn directives_checksums_and_conditions() {
    let world = World::new(32).await;
    let name = world.create("copies", Versioning::Off).await;
    let mut metadata = Metadata::default();
    metadata.user.insert("a".into(), "1".into());
    let request = PutRequest { metadata: metadata.clone(), ..PutRequest::new(name.clone(), key("k")) };
    let put = world.put_with(request, bytes(1, 10_000)).await.unwrap();
    let base = copy_request((&name, "k"), (&name, "c"));
    world.store.copy(base.clone()).await.unwrap();
    let head = |at: &'static str| world.store.head(GetRequest::new(name.clone(), key(at)));
    assert_eq!(head("c").await.unwrap().info.metadata, metadata);
    let replace = MetadataDirective::Replace(Metadata::default());
    let sha = Some(ChecksumAlgorithm::Sha256);
    let request = CopyRequest {
        metadata: replace.clone(),
        class: Some(StorageClass::StandardIa),
        checksum: sha,
        ..base.clone()
    };
    let copied = world.store.copy(request).await.unwrap();
    assert_eq!(copied.etag, put.etag);
    let info = head("c").await.unwrap().info;
    assert_eq!(info.metadata, Metadata::default());
    assert_eq!(info.class, StorageClass::StandardIa);
    assert_eq!(info.checksum.unwrap().value.algorithm(), ChecksumAlgorithm::Sha256);
    // Onto itself.
    let onto = copy_request((&name, "k"), (&name, "k"));
    assert!(matches!(world.store.copy(onto.clone()).await, Err(Error::CopyOntoItself)));
    world.store.copy(CopyRequest { metadata: replace, ..onto }).await.unwrap();
    assert_eq!(world.get(&name, "k").await.unwrap(), bytes(1, 10_000));
    // Conditions on the source and on the destination.
    let mut refused = base.clone();
    refused.source.conditions =
        ReadConditions { if_none_match: Some(ETagMatch::Any), ..ReadConditions::default() };
    assert!(matches!(world.store.copy(refused).await, Err(Error::PreconditionFailed { .. })));
    let conditions = WriteConditions { if_none_match: Some(ETagMatch::Any), ..WriteConditions::default() };
    let refused = CopyRequest { conditions, ..base };
    assert!(matches!(world.store.copy(refused).await, Err(Error::PreconditionFailed { .. })));
    let missing = world.store.copy(copy_request((&name, "none"), (&name, "c"))).await;
    assert!(matches!(missing, Err(Error::NoSuchKey { .. })));
}

#[tokio::test]
async fn parts_are_made_from_ranges_of_objects_in_other_buckets() {
    const MIN: usize = 5 << 20;
    let world = World::new(33).await;
    let from = world.create("from", Versioning::Off).await;
    let to = world.create("onto", Versioning::Off).await;
    let body = bytes(1, MIN + 1_000);
    world.put(&from, "k", body.clone()).await;
    let make =
        async |at: &'static str, source: (&crate::BucketName, &'static str), ranges: [(usize, usize); 2]| {
            let upload = world.begin(&to, at).await;
            let mut parts = Vec::new();
            for (number, (first, last)) in (1..).zip(ranges) {
                let number = PartNumber::new(number).unwrap();
                let request = CopyPartRequest {
                    source: copy_source(source),
                    range: Some(RangeSpec::From { first: first as u64, last: Some(last as u64) }),
                    bucket: to.clone(),
                    key: key(at),
                    upload,
                    part: number,
                    writer: None,
                    customer_key: None,
                };
                let copied = Box::pin(world.store.copy_part(request)).await.unwrap();
                parts.push(CompletedPart { number, etag: copied.etag, checksum: None });
            }
            world.complete(&to, at, upload, parts).await.unwrap();
        };
    make("one", (&from, "k"), [(500, MIN + 499), (0, 99)]).await;
    let one = [&body[500..MIN + 500], &body[..100]].concat();
    assert_eq!(world.get(&to, "one").await.unwrap(), one);
    // Of a multipart object: a manifest that refers to a manifest.
    make("two", (&to, "one"), [(10, MIN + 49), (MIN - 5, MIN + 50)]).await;
    let two = [&one[10..MIN + 50], &one[MIN - 5..=MIN + 50]].concat();
    assert_eq!(world.get(&to, "two").await.unwrap(), two);
    world.delete(&from, "k").await;
    world.delete(&to, "one").await;
    world.settle().await;
    assert_eq!(world.get(&to, "two").await.unwrap(), two);
    let outside = CopyPartRequest {
        source: copy_source((&to, "two")),
        range: Some(RangeSpec::From { first: 0, last: Some(two.len() as u64) }),
        bucket: to.clone(),
        key: key("x"),
        upload: world.begin(&to, "x").await,
        part: PartNumber::new(1).unwrap(),
        writer: None,
        customer_key: None,
    };
    assert!(matches!(world.store.copy_part(outside).await, Err(Error::InvalidRange { .. })));
    let copied = world.store.copy(copy_request((&to, "two"), (&from, "two"))).await.unwrap();
    assert_eq!(copied.etag.parts(), 2);
    world.delete_version(&to, "two", VersionSelector::Null).await;
    world.settle().await;
    assert_eq!(world.get(&from, "two").await.unwrap(), two);
    world.delete(&from, "two").await;
    world.settle().await;
    assert_eq!(world.references(world.partition(&from).await).await, 0);
    assert_eq!(world.references(world.partition(&to).await).await, 0);
}

#[tokio::test]
async fn a_composite_checksum_becomes_one_over_the_bytes() {
    let world = World::new(34).await;
    let name = world.create("composite", Versioning::Off).await;
    let checksum = Some(ChecksumAlgorithm::Sha256);
    let create = crate::CreateUpload { checksum, ..crate::CreateUpload::new(name.clone(), key("k")) };
    let upload = world.store.create_upload(create).await.unwrap().upload;
    let part = world.part(&name, "k", upload, 1, bytes(1, 50_000)).await.unwrap();
    let done = world.complete(&name, "k", upload, vec![part]).await.unwrap();
    assert!(done.checksum.unwrap().to_string().ends_with("-1"));
    let copied = world.store.copy(copy_request((&name, "k"), (&name, "c"))).await.unwrap();
    let request =
        PutRequest { checksum: Some(ChecksumAlgorithm::Sha256), ..PutRequest::new(name.clone(), key("w")) };
    let whole = world.put_with(request, bytes(1, 50_000)).await.unwrap();
    assert_eq!((copied.etag, copied.checksum), (whole.etag, whole.checksum));
    assert_eq!(world.get(&name, "c").await.unwrap(), bytes(1, 50_000));
}

#[tokio::test]
async fn an_intent_that_never_said_how_it_ended_is_fenced_and_undone() {
    let mut world = World::new(35).await;
    let from = world.create("from", Versioning::Off).await;
    let to = world.create("onto", Versioning::Off).await;
    world.put(&from, "k", bytes(1, 50_000)).await;
    let (home, there) = (world.partition(&from).await, world.partition(&to).await);
    let found = world.store.find(&from, &key("k"), VersionSelector::Latest).await.unwrap();
    let destination = world.store.resolve(&to).await.unwrap().unwrap();
    let begun = world.store.share(home, found.extent, destination).await.unwrap().unwrap();
    assert_eq!((world.rows(home, tables::INTENTS).await, world.references(home).await), (1, 2));
    // Under way in this process: left alone.
    world.settle().await;
    assert_eq!(world.rows(home, tables::INTENTS).await, 1);
    // After a crash nobody is at it any more.
    world.reopen().await;
    world.settle().await;
    assert_eq!((world.rows(home, tables::INTENTS).await, world.references(home).await), (0, 1));
    assert_eq!(world.rows(there, tables::FENCES).await, 1);
    // Were it still alive, its commit would come too late.
    let stored = Stored::new(begun.extent, found.info.etag, StorageClass::Standard, None, 0);
    let (at, conditions) = (key("late"), WriteConditions::default());
    let material = found.keys.clone().map(crate::envelope::Material::Bare);
    let mut draft = Draft::object(destination, &at, stored, material.as_ref(), &conditions);
    draft.expect.clone_from(&begun.expect);
    draft.writes.clone_from(&begun.writes);
    assert!(world.store.publish(&draft).await.unwrap().is_none());
    world.next_day();
    world.settle().await;
    assert_eq!(world.rows(there, tables::FENCES).await, 0);
}

/// Puts rows as they are.
async fn commit(world: &World, partition: PartitionId, writes: Vec<Write>) {
    let version = world.catalog.snapshot(partition).await.unwrap().read_version();
    world.catalog.commit(Commit { writes, ..Commit::new(partition, version) }).await.unwrap();
}

#[tokio::test]
async fn a_damaged_fence_stands_an_hour_more_and_then_goes() {
    let mut world = World::new(53).await;
    let name = world.create("fenced", Versioning::Off).await;
    let partition = world.partition(&name).await;
    let damaged = Write::Put(tables::FENCES.key(vec![7; 16]), Bytes::from_static(b"short"));
    commit(&world, partition, vec![damaged]).await;
    world.reopen().await;
    for (minutes, stand) in [(0, 1), (59, 1), (1, 0)] {
        world.clock.advance(Duration::from_mins(minutes));
        world.settle().await;
        assert_eq!(world.rows(partition, tables::FENCES).await, stand, "{minutes} more");
    }
}

#[tokio::test]
async fn what_is_damaged_in_one_partition_holds_up_no_other() {
    let world = World::new(54).await;
    let mut partitions = Vec::new();
    for name in ["one", "another"] {
        let name = world.create(name, Versioning::Off).await;
        partitions.push((world.partition(&name).await, name));
    }
    partitions.sort();
    let [(first, _), (second, name)] = &partitions[..] else { panic!("two partitions") };
    let short = Bytes::from_static(b"x");
    let old = || Write::Put(tables::FENCES.key(vec![7; 16]), Bytes::copy_from_slice(&[0; 8]));
    let damaged = [tables::INTENTS, tables::UPLOAD_GARBAGE];
    let damage = damaged.map(|table| Write::Put(table.key(vec![9; 16]), short.clone()));
    commit(&world, *first, [&damage[..], &[old()]].concat()).await;
    commit(&world, *second, vec![old()]).await;
    let upload = world.begin(name, "k").await;
    world.part(name, "k", upload, 1, bytes(1, 50_000)).await.unwrap();
    world.store.abort_upload(name, &key("k"), upload).await.unwrap();
    world.store.find_work().await.unwrap();
    let mut workers = world.store.workers();
    for worker in ["copy-intents", "upload-cleanup"] {
        let worker = workers.iter_mut().find(|found| found.name() == worker).unwrap();
        // The damage is told once, and again after a rest.
        for round in 0..2 {
            let mut told = 0;
            loop {
                match worker.tick().await {
                    Ok(Progress::More { .. }) => {}
                    Ok(Progress::Idle { .. }) => break,
                    Err(_) => told += 1,
                }
                assert!(told < 2, "{} comes to no rest", worker.name());
            }
            assert_eq!(told, 1, "{} {round}", worker.name());
        }
    }
    assert_eq!((world.rows(*first, tables::FENCES).await, world.rows(*second, tables::FENCES).await), (0, 0));
    assert_eq!(world.rows(*second, tables::UPLOAD_GARBAGE).await, 0);
    assert_eq!(world.references(*second).await, 0);
    for table in damaged {
        assert_eq!(world.rows(*first, table).await, 1);
    }
}

#[tokio::test]
async fn a_copy_within_a_bucket_commits_only_while_its_source_holds_the_bytes() {
    let world = World::new(36).await;
    let name = world.create("within", Versioning::Off).await;
    for size in [10_000, 300_000] {
        world.put(&name, "source", bytes(1, size)).await;
        let found = world.store.find(&name, &key("source"), VersionSelector::Latest).await.unwrap();
        let here = world.store.resolve(&name).await.unwrap().unwrap();
        let begun = world.store.share(here.partition, found.extent, here).await.unwrap().unwrap();
        assert_eq!(begun.expect.len(), 1, "the source's own hold");
        let stored = Stored::new(begun.extent, found.info.etag, StorageClass::Standard, None, 0);
        let (at, conditions) = (key("late"), WriteConditions::default());
        let material = found.keys.clone().map(crate::envelope::Material::Bare);
        let mut draft = Draft::object(here, &at, stored, material.as_ref(), &conditions);
        draft.expect.clone_from(&begun.expect);
        draft.writes.clone_from(&begun.writes);
        // The source goes between reading it and the commit that would share its bytes.
        world.delete(&name, "source").await;
        assert!(world.store.publish(&draft).await.unwrap().is_none());
        drop(begun);
        world.settle().await;
        assert_eq!(world.references(here.partition).await, 0, "nothing holds what the source let go");
        assert!(matches!(world.get(&name, "late").await, Err(Error::NoSuchKey { .. })));
        let gone = world.store.copy(copy_request((&name, "source"), (&name, "late"))).await;
        assert!(matches!(gone, Err(Error::NoSuchKey { .. })));
    }
}

#[tokio::test]
async fn a_part_is_rewritten_from_its_source_as_it_was_found_or_is_found_again() {
    let world = World::new(37).await;
    let name = world.create("rewrite", Versioning::Off).await;
    for size in [100, 10_000] {
        let old = bytes(1, size);
        world.put(&name, "source", old.clone()).await;
        let request = CopyPartRequest {
            source: copy_source((&name, "source")),
            range: None,
            bucket: name.clone(),
            key: key("to"),
            upload: world.begin(&name, "to").await,
            part: PartNumber::new(1).unwrap(),
            writer: None,
            customer_key: None,
        };
        let found = world.store.find(&name, &key("source"), VersionSelector::Latest).await.unwrap();
        world.put(&name, "source", bytes(2, size)).await;
        world.settle().await;
        match world.store.rewrite_part(&request, &found, found.extent).await {
            Ok(copied) => assert_eq!(copied.etag, found.info.etag, "{size}"),
            Err(error) => {
                // The bytes went with the version: no damage, and the next attempt finds the new one.
                let replaced = world.store.source_replaced(&request.source, &found, &error).await.unwrap();
                assert!(replaced && size > 4_096, "{size}: {error}");
            }
        }
        let copied = world.store.copy_part(request.clone()).await.unwrap();
        let part = CompletedPart { number: request.part, etag: copied.etag, checksum: None };
        world.complete(&name, "to", request.upload, vec![part]).await.unwrap();
        assert_eq!(world.get(&name, "to").await.unwrap(), bytes(2, size));
    }
}

#[tokio::test]
async fn an_old_version_is_brought_back_by_a_copy_onto_its_own_key() {
    let world = World::new(72).await;
    let name = world.create("back", Versioning::Enabled).await;
    let old = world.put(&name, "k", "old").await.version.unwrap();
    world.put(&name, "k", "new").await;
    let mut back = copy_request((&name, "k"), (&name, "k"));
    assert!(matches!(world.store.copy(back.clone()).await, Err(Error::CopyOntoItself)));
    back.source.version = old.into();
    world.store.copy(back).await.unwrap();
    assert_eq!(world.get(&name, "k").await.unwrap(), "old");
    assert_eq!(world.store.usage(&name).await.unwrap().versions, 3);
}

#[tokio::test]
async fn a_copy_reads_bytes_only_where_its_checksum_is_another() {
    let world = World::new(49).await;
    let here = world.create("here", Versioning::Off).await;
    let there = world.create("there", Versioning::Off).await;
    world.put(&here, "source", bytes(1, 300_000)).await;
    let reads = Arc::new(AtomicU64::new(0));
    let counted = reads.clone();
    world.faults().visit(Point::SegmentRead, move || {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    for bucket in [&here, &there] {
        world.store.copy(copy_request((&here, "source"), (bucket, "copy"))).await.unwrap();
        assert_eq!(reads.load(Ordering::SeqCst), 0, "{bucket:?}");
    }
    let another = CopyRequest {
        checksum: Some(ChecksumAlgorithm::Sha256),
        ..copy_request((&here, "source"), (&here, "copy"))
    };
    world.store.copy(another).await.unwrap();
    assert!(reads.load(Ordering::SeqCst) > 0);
}
