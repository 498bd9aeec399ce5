//! Deduplicated buckets: what is saved, what reads back, and what is left when all is gone.

use super::between::{Pair, in_every_gap};
use super::dice::{Dice, seeds};
use super::tally::Tally;
use crate::record::{ChunkRow, ManifestGarbage};
use crate::world::{World, bytes, copy_request, copy_source, key};
use crate::{
    BucketName, CompletedPart, CopyPartRequest, DedupInfo, Expect, GetRequest, PART_BYTES_MIN, PartNumber,
    PartRequest, PutRequest, RangeSpec, StorageClass, VersionSelector, Versioning, Writer, tables,
};
use bytes::Bytes;
use engine::blob::{Collector, Compactor};
use engine::catalog::record::Record;
use engine::catalog::{Catalog, Commit, Scan, Write};
use engine::fault::{Fault, Point};
use engine::id::PartitionId;
use engine::testing::BLOB_COMPANIONS;
use engine::worker::{Progress, Worker};
use security::CanonicalUser;
use std::collections::BTreeMap;

const MIB: usize = 1 << 20;

async fn deduplicated(world: &World, name: &str) -> BucketName {
    let name = world.create(name, Versioning::Off).await;
    assert!(world.store.set_deduplication(&name, true).await.unwrap().on);
    name
}

async fn info(world: &World, name: &BucketName) -> DedupInfo {
    world.store.deduplication(name).await.unwrap().unwrap()
}

/// Written and stored bytes.
async fn figures(world: &World, name: &BucketName) -> (usize, usize) {
    let DedupInfo { written, stored, .. } = info(world, name).await;
    (usize::try_from(written.get()).unwrap(), usize::try_from(stored.get()).unwrap())
}

/// Runs the cleaner and the blob store's collector until both have nothing to do.
pub(super) async fn settle(world: &World) {
    world.settle().await;
    let mut collector = Collector::new(world.blobs.clone());
    while let Progress::More { .. } = collector.tick().await.unwrap() {}
    let mut compactor = Compactor::new(world.blobs.clone());
    while let Progress::More { .. } = compactor.tick().await.unwrap() {}
    world.settle().await;
}

/// Runs both until the figures are these: what an upload that was dropped had under way ends by itself.
async fn settles_to(world: &World, name: &BucketName, expected: (usize, usize)) {
    for _ in 0..100 {
        settle(world).await;
        if figures(world, name).await == expected {
            return;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(figures(world, name).await, expected);
}

/// Nothing of a bucket's content is left.
async fn assert_nothing_left(world: &World, name: &BucketName) {
    settle(world).await;
    let partition = world.partition(name).await;
    for table in [
        tables::CHUNKS,
        tables::PACKS,
        tables::HOLDS,
        tables::MANIFESTS,
        tables::MANIFEST_REFS,
        tables::MANIFEST_GARBAGE,
        BLOB_COMPANIONS,
    ] {
        assert_eq!(world.rows(partition, table).await, 0, "{table:?}");
    }
    assert_eq!(world.references(partition).await, 0);
    assert_eq!(figures(world, name).await, (0, 0));
    assert_eq!(world.blobs.usage().live.get(), 0);
}

fn with_byte_in_front(body: &Bytes) -> Bytes {
    [b"x", &body[..]].concat().into()
}

#[tokio::test]
async fn the_same_body_again_is_stored_once() {
    let world = World::new(300).await;
    let name = deduplicated(&world, "bkt").await;
    let body = bytes(1, 9 * MIB + 77);
    let first = world.put(&name, "a", body.clone()).await;
    assert_eq!(figures(&world, &name).await, (body.len(), body.len()));
    let again = world.put(&name, "b", body.clone()).await;
    assert_eq!(figures(&world, &name).await, (2 * body.len(), body.len()));
    assert_eq!(info(&world, &name).await.saved().get(), body.len() as u64);
    let plain = world.create("plain", Versioning::Off).await;
    let ever = world.put(&plain, "a", body.clone()).await;
    for (etag, checksum) in [(first.etag, first.checksum), (again.etag, again.checksum)] {
        assert_eq!((etag, checksum), (ever.etag, ever.checksum), "as without deduplication");
    }
    for at in ["a", "b"] {
        assert!(world.get(&name, at).await.unwrap() == body, "{at}");
    }
}

#[tokio::test]
async fn the_packs_of_a_body_share_their_syncs() {
    let world = World::new(341).await;
    let name = deduplicated(&world, "bkt").await;
    let partition = world.partition(&name).await;
    let syncs = async |at: &str, body: Bytes| {
        let before = (world.blobs.usage().syncs, world.rows(partition, tables::PACKS).await);
        world.put(&name, at, body.clone()).await;
        assert!(world.get(&name, at).await.unwrap() == body);
        let packs = world.rows(partition, tables::PACKS).await - before.1;
        (world.blobs.usage().syncs - before.0, packs)
    };
    // Alone, below the size of large blobs or not.
    for (n, size) in [100 << 10, 2 * MIB].into_iter().enumerate() {
        assert_eq!(syncs(&format!("alone {n}"), bytes(n as u64, size)).await, (1, 1));
    }
    let (count, packs) = syncs("many", bytes(7, 70 * MIB)).await;
    assert!(packs > 16, "{packs}");
    // One more for each segment that is full.
    let segments = world.blobs.usage().segments;
    assert!(
        count <= packs.div_ceil(8) as u64 + segments,
        "{count} syncs for {packs} packs in {segments} segments"
    );
}

#[tokio::test]
async fn writers_of_other_accounts_share_nothing_with_the_owner_or_one_another() {
    let world = World::new(340).await;
    let name = deduplicated(&world, "bkt").await;
    let partition = world.partition(&name).await;
    let body = bytes(1, 3 * MIB);
    let by = |account: &str| Some(CanonicalUser::Account(account.parse().unwrap()));
    let put = async |at: &str, by| {
        let request = PutRequest {
            writer: Writer { by, ..Writer::default() },
            ..PutRequest::new(name.clone(), key(at))
        };
        world.put_with(request, body.clone()).await.unwrap();
        let (_, stored) = figures(&world, &name).await;
        (stored, world.rows(partition, tables::CHUNKS).await)
    };
    let (stored, chunks) = put("a", None).await;
    assert_eq!(stored, body.len());
    let owner = Some(CanonicalUser::Account(world.parts().account));
    assert_eq!(put("b", owner).await, (stored, chunks), "the owner's own name is none of others");
    // Another one finds nothing of the owner's, not even that it is cut alike; but what it wrote itself.
    let other = by("444455556666");
    let (twice, more) = put("c", other).await;
    assert!(twice == 2 * stored && more > chunks, "{twice} {more}");
    assert_eq!(put("d", other).await, (twice, more));
    let third = put("e", by("777788889999")).await;
    assert_eq!(third.0, 3 * stored);
    assert_eq!(
        put("f", Some(CanonicalUser::Anonymous)).await,
        third,
        "who does not sign is not deduplicated"
    );
    // Parts are their sender's, whoever began the upload.
    let upload = world.begin(&name, "g").await;
    for (number, writer, known) in [(1, other, true), (2, by("000000000007"), false), (3, None, true)] {
        let request = PartRequest {
            bucket: name.clone(),
            key: key("g"),
            upload,
            part: PartNumber::new(number).unwrap(),
            length: None,
            checksum: None,
            proven: true,
            writer,
            customer_key: None,
            asks: None,
        };
        let (_, before) = figures(&world, &name).await;
        let mut part = world.store.upload_part(request).await.unwrap();
        part.write(body.clone()).await.unwrap();
        part.finish(Expect::default()).await.unwrap();
        let added = figures(&world, &name).await.1 - before;
        assert_eq!(added, if known { 0 } else { body.len() }, "part {number}");
    }
    for at in ["a", "b", "c", "d", "e", "f"] {
        assert!(world.get(&name, at).await.unwrap() == body, "{at}");
        world.delete(&name, at).await;
    }
    world.store.abort_upload(&name, &key("g"), upload).await.unwrap();
    assert_nothing_left(&world, &name).await;
}

#[tokio::test]
async fn a_shifted_body_saves_nine_tenths_and_more() {
    let world = World::new(301).await;
    let name = deduplicated(&world, "bkt").await;
    let body = bytes(2, 12 * MIB);
    world.put(&name, "a", body.clone()).await;
    let shifted = with_byte_in_front(&body);
    world.put(&name, "b", shifted.clone()).await;
    let (_, stored) = figures(&world, &name).await;
    let added = stored - body.len();
    assert!(added <= body.len() / 10, "{added} bytes more");
    assert!(world.get(&name, "a").await.unwrap() == body);
    assert!(world.get(&name, "b").await.unwrap() == shifted);
    for (first, last) in [(0, 0), (1, 70_000), (5 * MIB, 9 * MIB), (12 * MIB, 12 * MIB)] {
        let spec = RangeSpec::From { first: first as u64, last: Some(last as u64) };
        let request = GetRequest { range: Some(spec), ..GetRequest::new(name.clone(), key("b")) };
        assert!(world.read(request).await.unwrap() == shifted[first..=last], "{first} to {last}");
    }
}

#[tokio::test]
async fn what_repeats_itself_within_a_body_is_stored_once() {
    let world = World::new(302).await;
    let name = deduplicated(&world, "bkt").await;
    let zeros = Bytes::from(vec![0; 6 * MIB]);
    world.put(&name, "zeros", zeros.clone()).await;
    let piece = bytes(3, 2 * MIB);
    let repeated = Bytes::from([&piece[..], &piece, &piece, &piece].concat());
    world.put(&name, "repeated", repeated.clone()).await;
    let (written, stored) = figures(&world, &name).await;
    assert_eq!(written, 14 * MIB);
    assert!(stored < 4 * MIB, "{stored} bytes");
    assert!(world.get(&name, "zeros").await.unwrap() == zeros);
    assert!(world.get(&name, "repeated").await.unwrap() == repeated);
}

#[tokio::test]
async fn what_another_body_still_needs_stays_when_the_first_one_goes() {
    let world = World::new(303).await;
    let name = deduplicated(&world, "bkt").await;
    let body = bytes(4, 6 * MIB);
    let shifted = with_byte_in_front(&body);
    world.put(&name, "a", body.clone()).await;
    world.put(&name, "b", shifted.clone()).await;
    world.delete(&name, "a").await;
    settle(&world).await;
    assert!(world.get(&name, "b").await.unwrap() == shifted);
    let (written, stored) = figures(&world, &name).await;
    assert_eq!(written, shifted.len());
    assert!(stored >= written, "{stored}");
    // And is known still: the first one comes back for nearly nothing.
    world.put(&name, "a", body.clone()).await;
    assert!(figures(&world, &name).await.1 <= stored + MIB / 2);
    world.delete(&name, "b").await;
    settle(&world).await;
    assert!(world.get(&name, "a").await.unwrap() == body);
    world.delete(&name, "a").await;
    assert_nothing_left(&world, &name).await;
}

#[tokio::test]
async fn a_chunk_that_is_still_needed_keeps_its_pack_and_no_more() {
    let world = World::new(315).await;
    let name = deduplicated(&world, "bkt").await;
    let body = bytes(18, 20 * MIB);
    world.put(&name, "a", body.clone()).await;
    // Some of the third pack, and of no other one.
    let piece = body.slice(9 * MIB..9 * MIB + 600_000);
    world.put(&name, "b", piece.clone()).await;
    world.delete(&name, "a").await;
    settle(&world).await;
    assert!(world.get(&name, "b").await.unwrap() == piece);
    let (written, stored) = figures(&world, &name).await;
    assert_eq!(written, piece.len());
    let own = stored.saturating_sub(4 * MIB);
    assert!(own <= piece.len(), "{stored} bytes are kept");
    assert!(world.blobs.usage().live.get() < (stored + stored / 50) as u64);
}

#[tokio::test]
async fn what_is_overwritten_by_the_same_is_known_afterwards() {
    let world = World::new(304).await;
    let name = deduplicated(&world, "bkt").await;
    let body = bytes(5, 5 * MIB);
    world.put(&name, "a", body.clone()).await;
    // The pack has lost its last reference, and its rows are there until the collector comes.
    world.delete(&name, "a").await;
    world.settle().await;
    world.put(&name, "a", body.clone()).await;
    settle(&world).await;
    assert_eq!(figures(&world, &name).await, (body.len(), body.len()));
    world.put(&name, "b", body.clone()).await;
    assert_eq!(figures(&world, &name).await, (2 * body.len(), body.len()), "its chunks are indexed");
    assert!(world.get(&name, "b").await.unwrap() == body);
}

#[tokio::test]
async fn parts_of_uploads_are_deduplicated_and_completed_as_ever() {
    let world = World::new(305).await;
    let name = deduplicated(&world, "bkt").await;
    let size = usize::try_from(PART_BYTES_MIN.get()).unwrap();
    let mut body = bytes(6, 2 * size + 100_000).to_vec();
    let send = async |at: &str, body: &[u8]| {
        let upload = world.begin(&name, at).await;
        let mut parts: Vec<CompletedPart> = Vec::new();
        for (number, part) in (1..).zip(body.chunks(size)) {
            parts.push(world.part(&name, at, upload, number, part.to_vec()).await.unwrap());
        }
        world.complete(&name, at, upload, parts).await.unwrap()
    };
    let first = send("epoch-1", &body).await;
    // The next checkpoint: a few bytes changed in place.
    let old = body.clone();
    body[size + 5..size + 40].fill(7);
    let second = send("epoch-2", &body).await;
    assert_ne!(first.etag, second.etag);
    let (written, stored) = figures(&world, &name).await;
    assert_eq!(written, 2 * body.len());
    assert!(stored < body.len() + body.len() / 10, "{stored} bytes");
    assert!(world.get(&name, "epoch-1").await.unwrap() == old);
    assert!(world.get(&name, "epoch-2").await.unwrap() == body);
    let part = Some(PartNumber::new(2).unwrap());
    let request = GetRequest { part, ..GetRequest::new(name.clone(), key("epoch-2")) };
    assert!(world.read(request).await.unwrap() == body[size..2 * size]);
    world.delete(&name, "epoch-1").await;
    settle(&world).await;
    assert!(world.get(&name, "epoch-2").await.unwrap() == body);
    world.delete(&name, "epoch-2").await;
    world.next_day();
    assert_nothing_left(&world, &name).await;
}

#[tokio::test]
async fn replaced_and_aborted_parts_leave_nothing() {
    let world = World::new(306).await;
    let name = deduplicated(&world, "bkt").await;
    let upload = world.begin(&name, "k").await;
    world.part(&name, "k", upload, 1, bytes(7, MIB)).await.unwrap();
    world.part(&name, "k", upload, 1, bytes(8, MIB)).await.unwrap();
    settle(&world).await;
    assert_eq!(figures(&world, &name).await, (MIB, MIB));
    world.store.abort_upload(&name, &key("k"), upload).await.unwrap();
    assert_nothing_left(&world, &name).await;
}

#[tokio::test]
async fn copies_share_what_is_deduplicated_and_outlive_its_bucket() {
    let world = World::new(307).await;
    let name = deduplicated(&world, "bkt").await;
    let other = world.create("other", Versioning::Off).await;
    let body = bytes(9, 5 * MIB);
    world.put(&name, "a", body.clone()).await;
    world.store.copy(copy_request((&name, "a"), (&name, "b"))).await.unwrap();
    world.store.copy(copy_request((&name, "a"), (&other, "c"))).await.unwrap();
    assert_eq!(figures(&world, &name).await, (body.len(), body.len()), "copies do not count");
    world.delete(&name, "a").await;
    world.delete(&name, "b").await;
    settle(&world).await;
    world.store.delete_bucket(&name).await.unwrap();
    settle(&world).await;
    assert!(world.get(&other, "c").await.unwrap() == body);
    world.delete(&other, "c").await;
    settle(&world).await;
    settle(&world).await;
    assert_eq!(world.blobs.usage().live.get(), 0);
    assert_eq!(world.rows(PartitionId::ROOT, tables::DELETED).await, 0);
}

/// Bytes behind very many manifests are written again when they become a part.
#[tokio::test]
async fn a_part_that_is_copied_by_writing_it_again_is_deduplicated_for_its_writer() {
    let world = World::new(341).await;
    let name = deduplicated(&world, "bkt").await;
    let body = bytes(1, 3 * MIB);
    world.put(&name, "a", body.clone()).await;
    let by = |account| Some(CanonicalUser::Account(account));
    let other = "444455556666".parse().unwrap();
    let upload = world.begin(&name, "b").await;
    let all = body.len();
    // What is counted as written and as stored by deduplication.
    let cases = [
        (None, (all, 0)),
        (by(world.parts().account), (all, 0)),
        (by(other), (all, all)),
        (Some(CanonicalUser::Anonymous), (0, 0)),
    ];
    for (number, (writer, added)) in (1..).zip(cases) {
        let request = CopyPartRequest {
            source: copy_source((&name, "a")),
            range: None,
            bucket: name.clone(),
            key: key("b"),
            upload,
            part: PartNumber::new(number).unwrap(),
            writer,
            customer_key: None,
        };
        let found = world.store.find(&name, &key("a"), VersionSelector::Latest).await.unwrap();
        let before = figures(&world, &name).await;
        world.store.rewrite_part(&request, &found, found.extent).await.unwrap();
        let after = figures(&world, &name).await;
        assert_eq!((after.0 - before.0, after.1 - before.1), added, "part {number}");
    }
}

#[tokio::test]
async fn without_it_nothing_changes_and_what_exists_stays_as_it_is() {
    let world = World::new(308).await;
    let name = world.create("bkt", Versioning::Off).await;
    let body = bytes(10, MIB);
    world.put(&name, "before", body.clone()).await;
    let partition = world.partition(&name).await;
    let rows = async || {
        (world.rows(partition, tables::CHUNKS).await, world.rows(partition, tables::MANIFESTS).await)
    };
    assert_eq!(rows().await, (0, 0));
    assert!(world.store.deduplication(&name).await.unwrap().is_none());
    assert!(!world.store.set_deduplication(&name, false).await.unwrap().on, "off is what it is");
    assert_eq!(world.store.all_deduplication().await.unwrap(), []);
    world.store.set_deduplication(&name, true).await.unwrap();
    world.put(&name, "during", body.clone()).await;
    assert_eq!(figures(&world, &name).await, (MIB, MIB), "what was there before is not known");
    let during = rows().await;
    assert!(during.0 > 8 && during.1 == 1, "{during:?}");
    world.store.set_deduplication(&name, false).await.unwrap();
    world.put(&name, "after", body.clone()).await;
    assert_eq!(rows().await, during);
    let off = info(&world, &name).await;
    assert_eq!(world.store.all_deduplication().await.unwrap(), std::slice::from_ref(&off));
    assert!(!off.on);
    // On again it finds what it knew.
    world.store.set_deduplication(&name, true).await.unwrap();
    world.put(&name, "again", body.clone()).await;
    assert_eq!(figures(&world, &name).await, (2 * MIB, MIB));
    for at in ["before", "during", "after", "again"] {
        assert!(world.get(&name, at).await.unwrap() == body, "{at}");
    }
}

#[tokio::test]
async fn small_bodies_and_those_of_fewer_copies_are_stored_as_ever() {
    let world = World::new(309).await;
    let name = deduplicated(&world, "bkt").await;
    for (at, length) in [("empty", 0), ("inline", 4_096), ("small", (64 << 10) - 1)] {
        world.put(&name, at, bytes(11, length)).await;
        assert!(world.get(&name, at).await.unwrap() == bytes(11, length), "{at}");
    }
    let body = bytes(12, MIB);
    let request = PutRequest { class: StorageClass::OneZoneIa, ..PutRequest::new(name.clone(), key("one")) };
    world.put_with(request, body.clone()).await.unwrap();
    assert!(world.get(&name, "one").await.unwrap() == body);
    assert_eq!(figures(&world, &name).await, (0, 0));
}

#[tokio::test]
async fn an_upload_that_ends_early_leaves_nothing_after_a_crash_too() {
    let mut world = World::new(310).await;
    let name = deduplicated(&world, "bkt").await;
    let body = bytes(13, 10 * MIB);
    world.put(&name, "a", body.slice(..6 * MIB)).await;
    for crash in [false, true] {
        let mut upload = world.store.put(PutRequest::new(name.clone(), key("b"))).await.unwrap();
        for piece in body.chunks(MIB) {
            upload.write(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        if crash {
            // What holds the manifest goes with the process.
            std::mem::forget(upload);
            world.reopen().await;
        } else {
            drop(upload);
        }
        settles_to(&world, &name, (6 * MIB, 6 * MIB)).await;
        assert!(world.get(&name, "a").await.unwrap() == body[..6 * MIB]);
    }
    world.delete(&name, "a").await;
    assert_nothing_left(&world, &name).await;
}

/// Puts a value of one chunk's row into another one's, which keeps its length or does not.
async fn exchange_chunk_rows(world: &World, name: &BucketName, keeps_length: bool) {
    let partition = world.partition(name).await;
    let snapshot = world.catalog.snapshot(partition).await.unwrap();
    let rows = snapshot.scan(Scan::prefix(tables::CHUNKS, b"", 1_000)).await.unwrap().rows;
    let read = |value: &Bytes| ChunkRow::from_bytes(value).unwrap();
    let values = rows.iter().map(|(_, value)| read(value)).cycle().skip(1);
    let writes = rows.iter().zip(values).map(|((key, own), other)| {
        let length = if keeps_length { read(own).length } else { other.length };
        Write::Put(tables::CHUNKS.key(key.clone()), ChunkRow { length, ..other }.to_bytes())
    });
    let commit = Commit { writes: writes.collect(), ..Commit::new(partition, snapshot.read_version()) };
    world.catalog.commit(commit).await.unwrap();
}

#[tokio::test]
async fn a_row_that_stands_under_another_chunks_name_is_not_believed() {
    let world = World::new(311).await;
    let name = deduplicated(&world, "bkt").await;
    for (n, keeps_length) in [false, true].into_iter().enumerate() {
        let body = bytes(14 + n as u64, MIB);
        world.put(&name, "a", body.clone()).await;
        exchange_chunk_rows(&world, &name, keeps_length).await;
        world.put(&name, "b", body.clone()).await;
        assert!(world.get(&name, "b").await.unwrap() == body, "{keeps_length}");
        assert_eq!(figures(&world, &name).await, (2 * MIB, 2 * MIB), "all of it was written anew");
        world.delete(&name, "a").await;
        world.delete(&name, "b").await;
        settle(&world).await;
        assert_eq!(figures(&world, &name).await, (0, 0));
    }
}

#[tokio::test]
async fn uploads_of_the_same_at_once_all_read_back() {
    let world = World::new(312).await;
    let name = deduplicated(&world, "bkt").await;
    let body = bytes(15, 5 * MIB);
    let keys = ["a", "b", "c", "d"];
    let puts = keys.map(|at| world.put(&name, at, body.clone()));
    futures_util::future::join_all(puts).await;
    for at in keys {
        assert!(world.get(&name, at).await.unwrap() == body, "{at}");
        world.delete(&name, at).await;
    }
    assert_nothing_left(&world, &name).await;
}

/// Lets everything that nobody names go, but for what another owner is writing.
async fn collect_beside(world: &World, partition: PartitionId) {
    let snapshot = world.catalog.snapshot(partition).await.unwrap();
    let garbage = snapshot.scan(Scan::prefix(tables::MANIFEST_GARBAGE, b"", 100)).await.unwrap();
    let drafts = garbage
        .rows
        .iter()
        .filter(|(_, raw)| ManifestGarbage::from_bytes(raw).unwrap() == ManifestGarbage::Draft);
    let _theirs: Vec<_> =
        drafts.map(|(key, _)| world.store.activate(tables::read_id(key).unwrap())).collect();
    settle(world).await;
}

#[tokio::test]
async fn what_goes_while_it_is_found_is_written_anew() {
    let pair = Pair::new(313).await;
    let name = deduplicated(&pair.fast, "bkt").await;
    let partition = pair.fast.partition(&name).await;
    let body = bytes(16, MIB);
    in_every_gap(async |n| {
        pair.fast.put(&name, "a", body.clone()).await;
        let (fast, theirs) = (pair.fast.clone(), name.clone());
        let step = async move {
            fast.delete(&theirs, "a").await;
            collect_beside(&fast, partition).await;
        };
        let put = pair.slow.put_with(PutRequest::new(name.clone(), key("b")), body.clone());
        let Some(outcome) = pair.with_step_at(n, step, put).await else { return false };
        outcome.unwrap();
        settle(&pair.fast).await;
        assert!(pair.fast.get(&name, "b").await.unwrap() == body, "gap {n}");
        assert_eq!(figures(&pair.fast, &name).await, (MIB, MIB), "gap {n}");
        pair.fast.delete(&name, "b").await;
        assert_nothing_left(&pair.fast, &name).await;
        true
    })
    .await;
}

#[tokio::test]
async fn the_cleaner_leaves_what_is_found_while_it_looks() {
    let pair = Pair::new(314).await;
    let name = deduplicated(&pair.fast, "bkt").await;
    let body = bytes(17, MIB);
    in_every_gap(async |n| {
        pair.fast.put(&name, "a", body.clone()).await;
        pair.fast.delete(&name, "a").await;
        let (fast, theirs, again) = (pair.fast.clone(), name.clone(), body.clone());
        let step = async move {
            fast.put(&theirs, "b", again).await;
        };
        // The cleaner of the other owner takes the manifest apart.
        let cleaned = pair.with_step_at(n, step, pair.slow.settle()).await;
        let is_done = cleaned.is_none();
        if !is_done {
            settle(&pair.fast).await;
            assert!(pair.fast.get(&name, "b").await.unwrap() == body, "gap {n}");
            pair.fast.delete(&name, "b").await;
        }
        settle(&pair.fast).await;
        // Nothing may be left behind a gap further on.
        !is_done && n < 40
    })
    .await;
    assert_nothing_left(&pair.fast, &name).await;
}

/// A body made of pieces that others have too.
fn mixture(dice: &Dice) -> Bytes {
    let mut body = Vec::new();
    for _ in 0..=dice.below(4) {
        let piece = bytes(100 + dice.below(4) as u64, 700_000);
        let start = dice.below(piece.len() / 2);
        let end = start + dice.below(piece.len() - start);
        body.extend_from_slice(&piece[start..end]);
        if dice.below(3) == 0 {
            body.extend_from_slice(&bytes(1_000 + dice.below(1_000_000) as u64, dice.below(30_000)));
        }
    }
    body.into()
}

#[tokio::test]
async fn any_sequence_of_deduplicated_writes_reads_back() {
    for seed in seeds(2) {
        let (mut world, dice) = (World::new(seed).await, Dice::new(seed));
        let name = deduplicated(&world, "bkt").await;
        let mut there: BTreeMap<String, Bytes> = BTreeMap::new();
        for step in 0..20 {
            let at = format!("k{}", dice.below(5));
            match dice.below(8) {
                0..=3 => {
                    let body = mixture(&dice);
                    world.put(&name, &at, body.clone()).await;
                    there.insert(at, body);
                }
                4 => {
                    world.delete(&name, &at).await;
                    there.remove(&at);
                }
                5 => {
                    let to = format!("k{}", dice.below(5));
                    if let Some(body) = there.get(&at).filter(|_| at != to).cloned() {
                        world.store.copy(copy_request((&name, &at), (&name, &to))).await.unwrap();
                        there.insert(to, body);
                    }
                }
                6 => world.reopen().await,
                _ => settle(&world).await,
            }
            for (at, body) in &there {
                assert!(world.get(&name, at).await.unwrap() == *body, "seed {seed}, step {step}: {at}");
            }
        }
        for at in there.keys() {
            world.delete(&name, at).await;
        }
        assert_nothing_left(&world, &name).await;
    }
}

#[tokio::test]
async fn a_body_whose_packs_can_not_be_made_durable_is_not_there() {
    let world = World::new(316).await;
    let name = deduplicated(&world, "bkt").await;
    // A pack alone, packs that share a sync, and more of them than one sync takes; each sync is the first that fails once.
    for (seed, mib, least) in [(31, 1, 1), (32, 10, 1), (33, 40, 3)] {
        let mut failed = 0;
        loop {
            let body = bytes(100 * seed + failed, mib * MIB);
            world.faults().arm(Point::SegmentSync, Fault::Io, failed, u64::MAX);
            let put = world.put_with(PutRequest::new(name.clone(), key("k")), body.clone()).await;
            world.faults().clear();
            if put.is_ok() {
                assert!(world.get(&name, "k").await.unwrap() == body, "{mib} MiB, {failed}");
                world.delete(&name, "k").await;
                break;
            }
            assert!(world.get(&name, "k").await.is_err());
            failed += 1;
            assert!(failed < 30, "{mib} MiB: {put:?}");
        }
        assert!(failed >= least, "{mib} MiB: {failed}");
    }
}

#[tokio::test]
async fn of_a_deduplicated_body_the_commit_that_names_it_is_the_durable_one() {
    let world = World::new(317).await;
    let name = deduplicated(&world, "bkt").await;
    let tally = Tally::of(world.catalog.clone());
    let beside = world.beside(tally.clone()).await;
    beside.store.view(&name).await.unwrap();
    tally.reset();
    beside.put(&name, "k", bytes(7, 40 * MIB)).await;
    let counts = tally.counts();
    assert!(counts.commits > 2 && counts.relaxed == counts.commits - 1, "{counts:?}");
}

#[tokio::test]
async fn an_upload_under_way_is_left_alone_by_the_cleaner() {
    let world = World::new(318).await;
    let name = deduplicated(&world, "bkt").await;
    // So much that packs are known before it is whole.
    let body = bytes(41, 60 * MIB);
    let partition = world.partition(&name).await;
    let mut upload = world.store.put(PutRequest::new(name.clone(), key("k"))).await.unwrap();
    for piece in body.chunks(MIB) {
        upload.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    while world.rows(partition, tables::PACKS).await == 0 {
        tokio::task::yield_now().await;
    }
    settle(&world).await;
    upload.finish(Expect::default()).await.unwrap();
    settle(&world).await;
    assert!(world.get(&name, "k").await.unwrap() == body);
}

/// Another process takes an upload for one that was left, and what it wrote so far apart.
#[tokio::test]
async fn a_body_whose_draft_is_cleaned_away_meanwhile_is_whole_or_not_there() {
    let pair = Pair::new(319).await;
    let name = deduplicated(&pair.fast, "bkt").await;
    let (mut whole, mut refused) = (0, 0);
    in_every_gap(async |n| {
        let body = bytes(1_000 + n as u64, 2 * MIB);
        let fast = pair.fast.clone();
        let step = async move { settle(&fast).await };
        let put = pair.slow.put_with(PutRequest::new(name.clone(), key("k")), body.clone());
        let Some(outcome) = pair.with_step_at(n, step, put).await else { return false };
        settle(&pair.fast).await;
        if outcome.is_ok() {
            assert!(pair.fast.get(&name, "k").await.unwrap() == body, "gap {n}");
            pair.fast.delete(&name, "k").await;
            whole += 1;
        } else {
            assert!(pair.fast.get(&name, "k").await.is_err(), "gap {n}");
            refused += 1;
        }
        true
    })
    .await;
    assert!(whole > 0 && refused > 0, "{whole} {refused}");
    // The one that nobody came between.
    pair.fast.delete(&name, "k").await;
    assert_nothing_left(&pair.fast, &name).await;
}

/// Of two that pack the same at the same time the first is found by others, for as long as it is there.
#[tokio::test]
async fn a_chunk_that_is_packed_twice_at_once_is_known_while_the_first_is_there() {
    let pair = Pair::new(320).await;
    let name = deduplicated(&pair.fast, "bkt").await;
    let mut twice = 0;
    in_every_gap(async |n| {
        let body = bytes(2_000 + n as u64, MIB);
        let (fast, theirs, same) = (pair.fast.clone(), name.clone(), body.clone());
        let step = async move {
            fast.put(&theirs, "first", same).await;
        };
        let put = pair.slow.put_with(PutRequest::new(name.clone(), key("second")), body.clone());
        let Some(outcome) = pair.with_step_at(n, step, put).await else { return false };
        outcome.unwrap();
        twice += usize::from(figures(&pair.fast, &name).await == (2 * MIB, 2 * MIB));
        pair.fast.delete(&name, "second").await;
        settle(&pair.fast).await;
        pair.fast.put(&name, "third", body.clone()).await;
        assert!(pair.fast.get(&name, "third").await.unwrap() == body, "gap {n}");
        assert_eq!(figures(&pair.fast, &name).await, (2 * MIB, MIB), "gap {n}");
        pair.fast.delete(&name, "first").await;
        pair.fast.delete(&name, "third").await;
        settle(&pair.fast).await;
        true
    })
    .await;
    assert!(twice > 0, "nobody packed the same at the same time");
    pair.fast.delete(&name, "second").await;
    assert_nothing_left(&pair.fast, &name).await;
}
