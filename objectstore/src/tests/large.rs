//! What objects of very many parts cost, counted in commits, rows and pages: not timed.

use super::tally::Tally;
use crate::record::{Content, Extent, PartRow};
use crate::world::{World, bytes, copy_source, key};
use crate::{
    AttributesRequest, BucketName, CompletedPart, CopyPartRequest, ETag, Error, GetRequest, PART_BYTES_MIN,
    PartNumber, PartsRequest, RangeSpec, ReadConditions, UploadId, VersionSelector, Versioning, tables,
};
use bytes::Bytes;
use engine::blob::share;
use engine::catalog::record::Record;
use engine::catalog::{Catalog, Commit, Write};
use engine::unit::ByteCount;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of the object whose blob all parts share.
const SOURCE: usize = 5 << 20;
/// Part rows that one commit of the test writes.
const ROWS: usize = 2_000;

/// A world whose store reads and commits through a tally.
async fn world(seed: u64) -> (World, Arc<Tally>) {
    let world = World::new(seed).await;
    let tally = Tally::of(world.catalog.clone());
    let counted = world.beside(tally.clone()).await;
    (counted, tally)
}

/// Writes the rows of parts as `UploadPartCopy` does, without its requests: of `source`'s one blob, each with a number and a length.
async fn write_parts(
    world: &World,
    name: &BucketName,
    upload: UploadId,
    parts: impl Iterator<Item = (u32, u64)>,
) -> Vec<CompletedPart> {
    let found = world.store.find(name, &key("source"), VersionSelector::Latest).await.unwrap();
    let Content::Blob { blob, .. } = found.extent.content else { panic!("a source of one blob") };
    let bucket = found.view.bucket;
    let checksum = found.info.checksum.map(|sum| sum.value);
    let (mut named, mut writes) = (Vec::new(), Vec::new());
    for (number, length) in parts {
        let number = PartNumber::new(number).unwrap();
        let owner = world.store.owner();
        let mut row = PartRow {
            modified: world.store.clock.now(),
            md5: *found.info.etag.md5(),
            checksum,
            extent: Extent { owner, length, ..found.extent },
            sealed: Bytes::new(),
        };
        let aad = row.additional_data(bucket.partition, upload, number.get());
        row.sealed =
            world.store.keys.seal(bucket.account, found.keys.as_ref().map(|keys| &keys.data), &aad).unwrap();
        writes.extend(share(blob, &crate::stack::blob_owner(owner).unwrap()));
        writes.push(Write::Put(tables::part(upload, number.get()), row.to_bytes()));
        named.push(CompletedPart { number, etag: ETag::of_body(row.md5), checksum: None });
    }
    for batch in writes.chunks(2 * ROWS) {
        world
            .catalog
            .commit(Commit { writes: batch.to_vec(), ..Commit::new(bucket.partition, 0) })
            .await
            .unwrap();
    }
    named
}

/// An object `k` of these parts, all of one source of 5 MiB and a bit.
async fn object(world: &World, name: &BucketName, parts: impl Iterator<Item = (u32, u64)>) {
    let upload = world.begin(name, "k").await;
    let parts = write_parts(world, name, upload, parts).await;
    world.complete(name, "k", upload, parts).await.unwrap();
}

fn part_of(name: &BucketName, number: u32) -> GetRequest {
    GetRequest { part: Some(PartNumber::new(number).unwrap()), ..GetRequest::new(name.clone(), key("k")) }
}

const MIN: u64 = PART_BYTES_MIN.get();

#[tokio::test]
async fn a_completion_of_10_000_parts_is_three_commits_and_its_clean_up_five() {
    let (world, tally) = world(81).await;
    let name = world.create("large", Versioning::Off).await;
    world.put(&name, "source", bytes(5, SOURCE)).await;
    let partition = world.partition(&name).await;
    let upload = world.begin(&name, "k").await;
    // Two rounds of numbers: what was never named is released too.
    let mut named = write_parts(&world, &name, upload, (1..=10_000).map(|number| (number, MIN))).await;
    let left_out = named.pop().unwrap();
    world.settle().await;
    tally.reset();
    let done = world.complete(&name, "k", upload, named).await.unwrap();
    assert_eq!((done.etag.parts(), done.size.get()), (9_999, 9_999 * MIN));
    let counts = tally.counts();
    // Forty pages: 32 in one commit, 8 in another; then the version and what goes with it.
    assert_eq!(counts.commits, 3);
    assert!(counts.writes < 70, "rows do not grow with the parts: {}", counts.writes);
    assert_eq!(counts.scanned(tables::PARTS), 10, "a thousand parts at once");
    assert!(counts.reads < 20, "no part is read by itself: {}", counts.reads);
    // The answer does not wait for the parts' rows to go.
    assert_eq!(world.rows(partition, tables::PARTS).await, 10_000);
    tally.reset();
    world.settle().await;
    assert_eq!(world.rows(partition, tables::PARTS).await, 0);
    let counts = tally.counts();
    assert_eq!(counts.commits, 5, "2,000 parts in each");
    assert!(counts.writes < 10_010, "{}: one row a part, and what was left out", counts.writes);
    // The parts' references are the object's now, but for that of the part that was left out.
    assert_eq!(world.references(partition).await, 1 + 9_999 + 1, "source, parts, manifest");
    assert_eq!(left_out.number.get(), 10_000);
}

#[tokio::test]
async fn many_small_uploads_are_cleaned_up_together() {
    let (world, tally) = world(86).await;
    let name = world.create("small", Versioning::Off).await;
    let partition = world.partition(&name).await;
    for number in 0..30 {
        let at = format!("k{number}");
        let upload = world.begin(&name, &at).await;
        let part = world.part(&name, &at, upload, 1, bytes(number, 9_000)).await.unwrap();
        world.part(&name, &at, upload, 2, bytes(number, 5_000)).await.unwrap();
        if number % 3 == 0 {
            world.store.abort_upload(&name, &key(&at), upload).await.unwrap();
        } else {
            world.complete(&name, &at, upload, vec![part]).await.unwrap();
        }
    }
    tally.reset();
    world.settle().await;
    assert_eq!(tally.counts().commits, 1, "thirty uploads in one");
    assert_eq!(world.rows(partition, tables::PARTS).await, 0);
    assert_eq!(world.rows(partition, tables::UPLOAD_GARBAGE).await, 0);
    assert_eq!(world.references(partition).await, 2 * 20, "of each object its part's and its manifest's");
    for number in (0..30).filter(|number| number % 3 != 0) {
        assert_eq!(world.get(&name, &format!("k{number}")).await.unwrap(), bytes(number, 9_000));
    }
}

#[tokio::test]
async fn others_run_between_the_pages_of_a_completion() {
    let (world, _) = world(82).await;
    let name = world.create("fair", Versioning::Off).await;
    world.put(&name, "source", bytes(5, SOURCE)).await;
    let upload = world.begin(&name, "k").await;
    let parts = write_parts(&world, &name, upload, (1..=1_000).map(|number| (number, MIN))).await;
    let turns = Arc::new(AtomicUsize::new(0));
    let other = tokio::spawn({
        let turns = Arc::clone(&turns);
        async move {
            loop {
                turns.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        }
    });
    world.complete(&name, "k", upload, parts).await.unwrap();
    other.abort();
    assert!(turns.load(Ordering::Relaxed) >= 3, "four pages have three gaps");
}

#[tokio::test]
async fn a_part_is_found_by_its_number_without_walking_the_pages() {
    let (world, tally) = world(83).await;
    let name = world.create("found", Versioning::Off).await;
    world.put(&name, "source", bytes(5, SOURCE + 9)).await;
    // As clients send them: of one size, but for the last.
    object(&world, &name, (1..=10_000).map(|number| (number, if number == 10_000 { 7 } else { MIN }))).await;
    for number in [1, 2, 256, 257, 512, 4_999, 5_120, 5_121, 9_985, 9_999, 10_000] {
        tally.reset();
        let head = world.store.head(part_of(&name, number)).await.unwrap();
        let first = u64::from(number - 1) * MIN;
        let length = if number == 10_000 { 7 } else { MIN };
        assert_eq!(head.range.map(|range| (range.first, range.last)), Some((first, first + length - 1)));
        let pages = tally.counts().scanned(tables::MANIFESTS);
        assert!((1..=2).contains(&pages), "part {number}: {pages} of 40 pages");
    }
    // From the middle on, as a page of attributes goes on.
    tally.reset();
    let attributes = AttributesRequest {
        bucket: name.clone(),
        key: key("k"),
        version: VersionSelector::Latest,
        after: Some(PartNumber::new(9_500).unwrap()),
        max_parts: 100,
        conditions: ReadConditions::default(),
        asks: None,
        reads: None,
        customer_key: None,
    };
    let attributes = world.store.attributes(attributes).await.unwrap();
    let numbers: Vec<_> = attributes.parts.iter().map(|part| part.number.get()).collect();
    assert_eq!(numbers, (9_501..=9_600).collect::<Vec<_>>());
    assert!(attributes.more);
    assert!(tally.counts().scanned(tables::MANIFESTS) <= 3);
}

#[tokio::test]
async fn parts_of_any_sizes_and_numbers_are_found_and_no_others() {
    let (world, tally) = world(84).await;
    let name = world.create("uneven", Versioning::Off).await;
    world.put(&name, "source", bytes(5, SOURCE + 4_000)).await;
    // Gaps in the numbers, sizes that grow, more of the numbers at the end; the last part is empty and alone on its page.
    let numbers = (1..=800).map(|n| n * 3).chain(9_000..9_735).chain([9_999]);
    let parts: Vec<_> = numbers
        .map(|number| (number, if number == 9_999 { 0 } else { MIN + u64::from(number) % 4_000 }))
        .collect();
    assert_eq!(parts.len() % 256, 0);
    let mut parts = parts;
    parts.insert(0, (1, MIN));
    object(&world, &name, parts.iter().copied()).await;
    let mut starts = std::collections::BTreeMap::new();
    let mut start = 0;
    for (number, length) in &parts {
        starts.insert(*number, (start, *length));
        start += length;
    }
    for number in (1..=10_000).step_by(7).chain([1, 2_400, 2_401, 8_999, 9_000, 9_734, 9_735, 9_999, 10_000])
    {
        tally.reset();
        let head = world.store.head(part_of(&name, number)).await;
        match starts.get(&number) {
            Some((_, 0)) => assert_eq!(head.unwrap().range, None),
            Some((first, length)) => {
                let range = head.unwrap().range.unwrap();
                assert_eq!((range.first, range.last), (*first, first + length - 1), "part {number}");
            }
            None => assert!(matches!(head, Err(Error::NoSuchPart { .. })), "part {number}"),
        }
        let pages = tally.counts().scanned(tables::MANIFESTS);
        assert!(pages <= 8, "part {number}: {pages} pages");
    }
}

#[tokio::test]
async fn a_part_costs_no_more_the_more_there_are() {
    let (world, tally) = world(85).await;
    let name = world.create("parts", Versioning::Off).await;
    world.put(&name, "source", bytes(5, SOURCE)).await;
    object(&world, &name, (1..=1_000).map(|number| (number, MIN))).await;
    let upload = world.begin(&name, "new").await;
    let mut costs = Vec::new();
    for number in [1, 2_001] {
        tally.reset();
        world.part(&name, "new", upload, number, "a part").await.unwrap();
        let sent = tally.counts();
        tally.reset();
        // Of an object of a thousand parts, across two of them.
        let first = 700 * MIN + 5;
        let request = CopyPartRequest {
            source: copy_source((&name, "k")),
            range: Some(RangeSpec::From { first, last: Some(first + MIN - 1) }),
            bucket: name.clone(),
            key: key("new"),
            upload,
            part: PartNumber::new(number + 1).unwrap(),
            writer: None,
            customer_key: None,
        };
        world.store.copy_part(request).await.unwrap();
        let copied = tally.counts();
        tally.reset();
        let list = PartsRequest {
            bucket: name.clone(),
            key: key("new"),
            upload,
            after: u16::try_from(number - 1).unwrap(),
            max_parts: 2,
        };
        assert_eq!(world.store.list_parts(list).await.unwrap().parts.len(), 2);
        let listed = tally.counts();
        assert_eq!(copied.scanned(tables::MANIFESTS), 1, "one page of four");
        costs.push(
            [sent, copied, listed].map(|counts| (counts.commits, counts.writes, counts.reads, counts.scans)),
        );
        if number == 1 {
            // Two thousand more between the two.
            let many = (3..=2_000).map(|number| (number, MIN));
            write_parts(&world, &name, upload, many).await;
        }
    }
    assert_eq!(costs[0], costs[1]);
    assert_eq!(ByteCount::new(MIN), PART_BYTES_MIN);
}
