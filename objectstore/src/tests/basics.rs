//! Buckets, and objects without versions.

use crate::world::{World, bucket, bytes, key};
use crate::{
    BucketLogging, BucketUsage, ChecksumAlgorithm, ChecksumValue, ETag, ETagMatch, Error, ErrorKind, Expect,
    GetRequest, ListBuckets, Metadata, ObjectLock, PartNumber, PutRequest, Range, RangeSpec, StorageClass,
    Versioning, WriteConditions, tables,
};
use bytes::Bytes;
use engine::BoxFuture;
use engine::catalog::{
    Catalog, Commit, Key, Limits, MemoryCatalog, Page, Scan, Snapshot, Table, Version, Write,
};
use engine::clock::Timestamp;
use engine::id::PartitionId;
use engine::unit::ByteCount;
use engine::worker::Progress;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn buckets_are_created_listed_and_deleted() {
    let world = World::new(1).await;
    for name in ["ccc", "aaa", "bbb"] {
        world.create(name, Versioning::Off).await;
    }
    let again = world.store.create_bucket(&bucket("aaa"), &crate::NewBucket::default()).await;
    assert!(matches!(again, Err(Error::BucketAlreadyOwnedByYou)));
    let names = |page: &crate::BucketPage| -> Vec<String> {
        page.buckets.iter().map(|bucket| bucket.name.to_string()).collect()
    };
    let first = world.store.list_buckets(ListBuckets { max: 2, ..ListBuckets::default() }).await.unwrap();
    assert_eq!(names(&first), ["aaa", "bbb"]);
    let rest = ListBuckets { after: first.next, ..ListBuckets::default() };
    assert_eq!(names(&world.store.list_buckets(rest).await.unwrap()), ["ccc"]);
    let some = ListBuckets { prefix: "b".into(), ..ListBuckets::default() };
    assert_eq!(names(&world.store.list_buckets(some).await.unwrap()), ["bbb"]);

    let name = bucket("bbb");
    world.put(&name, "k", "v").await;
    assert!(matches!(world.store.delete_bucket(&name).await, Err(Error::BucketNotEmpty)));
    assert_eq!(&world.get(&name, "k").await.unwrap()[..], b"v");
    world.delete(&name, "k").await;
    world.store.delete_bucket(&name).await.unwrap();
    assert!(matches!(world.store.head_bucket(&name).await, Err(Error::NoSuchBucket)));
    assert!(matches!(world.get(&name, "k").await, Err(Error::NoSuchBucket)));
    assert!(matches!(world.store.delete_bucket(&name).await, Err(Error::NoSuchBucket)));
    world.create("bbb", Versioning::Off).await;
    assert!(world.keys(&name).await.is_empty());
}

#[tokio::test]
async fn a_deleted_bucket_takes_its_uploads_with_it_and_leaves_no_rows() {
    let world = World::new(2).await;
    let name = world.create("gone", Versioning::Off).await;
    let partition = world.partition(&name).await;
    let upload = world.begin(&name, "k").await;
    world.part(&name, "k", upload, 1, bytes(1, 10_000)).await.unwrap();
    world.part(&name, "k", upload, 2, bytes(2, 10)).await.unwrap();
    world.store.delete_bucket(&name).await.unwrap();
    let late = world.part(&name, "k", upload, 3, "late").await;
    assert!(matches!(late, Err(Error::NoSuchBucket)));
    world.settle().await;
    for table in [tables::UPLOADS, tables::PARTS, tables::BODY, tables::UPLOAD_GARBAGE] {
        assert_eq!(world.rows(partition, table).await, 0, "{table:?}");
    }
    // The blob's own row goes with the blob store's collector; nobody refers to it any more.
    assert_eq!(world.rows(PartitionId::ROOT, tables::BUCKETS).await, 0);
}

#[tokio::test]
async fn what_a_deleted_bucket_left_is_cleared_after_a_crash_too() {
    let mut world = World::new(9).await;
    let name = world.create("gone", Versioning::Off).await;
    let partition = world.partition(&name).await;
    let upload = world.begin(&name, "k").await;
    world.part(&name, "k", upload, 1, "small").await.unwrap();
    world.store.delete_bucket(&name).await.unwrap();
    // The finisher comes as far as it can, and nobody else comes at all.
    let mut workers = world.store.workers();
    let finisher = workers.iter_mut().find(|worker| worker.name() == "bucket-finisher").unwrap();
    for _ in 0..10 {
        finisher.tick().await.unwrap();
    }
    world.reopen().await;
    world.settle().await;
    for table in [tables::PARTS, tables::BODY, tables::UPLOAD_GARBAGE] {
        assert_eq!(world.rows(partition, table).await, 0, "{table:?}");
    }
    assert_eq!(world.references(partition).await, 0);
}

#[tokio::test]
async fn a_clock_that_is_set_back_puts_the_hourly_look_off_for_nothing() {
    let world = World::new(17).await;
    world.create("bkt", Versioning::Off).await;
    let mut workers = world.store.workers();
    let cleanup = workers.iter_mut().find(|worker| worker.name() == "upload-cleanup").unwrap();
    while let Progress::More { .. } = cleanup.tick().await.unwrap() {}
    // As when somebody's mark was lost.
    world.store.dirty.lock().clear();
    world.clock.set_wall(Timestamp::from_millis(0));
    world.clock.advance(Duration::from_mins(59));
    assert!(matches!(cleanup.tick().await.unwrap(), Progress::Idle { .. }), "an hour has not gone by");
    world.clock.advance(Duration::from_mins(1));
    assert!(matches!(cleanup.tick().await.unwrap(), Progress::More { .. }), "all are looked at");
}

#[tokio::test]
async fn the_number_of_buckets_is_bounded() {
    use crate::record::{BucketRow, BucketState};
    use engine::catalog::record::Record;
    let mut world = World::new(16).await;
    let row = BucketRow {
        partition: PartitionId::from_bytes([7; 8]),
        state: BucketState::Active,
        created: engine::clock::Timestamp::from_millis(0),
        account: world.parts().account.to_bytes(),
    };
    let mut commit = Commit::new(PartitionId::ROOT, 0);
    commit.writes = (1..crate::BUCKETS_MAX)
        .map(|n| Write::Put(tables::bucket(tables::BUCKETS, &bucket(&format!("b{n:05}"))), row.to_bytes()))
        .collect();
    world.catalog.commit(commit).await.unwrap();
    world.reopen().await;
    let one_more = async |world: &World| {
        world.store.create_bucket(&bucket("one-more"), &crate::NewBucket::default()).await
    };
    let last = world.create("the-last", Versioning::Off).await;
    for _ in 0..2 {
        let more = one_more(&world).await;
        assert!(matches!(more, Err(Error::TooManyBuckets { .. })), "{more:?}");
        world.reopen().await;
    }
    // One that goes makes room for one, and for no more.
    world.store.delete_bucket(&last).await.unwrap();
    one_more(&world).await.unwrap();
    let more = world.store.create_bucket(&last, &crate::NewBucket::default()).await;
    assert!(matches!(more, Err(Error::TooManyBuckets { .. })), "{more:?}");
    // Each account has its own.
    let other = crate::NewBucket::of("444455556666".parse().unwrap());
    world.store.create_bucket(&bucket("somebody-elses"), &other).await.unwrap();
}

#[tokio::test]
async fn a_bucket_whose_row_is_damaged_keeps_no_other_from_being_served() {
    use crate::record::BucketRow;
    use engine::catalog::record::Record;
    let mut world = World::new(18).await;
    let names = ["a-whole", "b-cut", "c-nobodys", "d-whole"].map(bucket);
    for name in &names {
        world.store.create_bucket(name, &crate::NewBucket::new(Versioning::Enabled)).await.unwrap();
        world.store.set(name, Some(&ObjectLock::default())).await.unwrap();
        world.put(name, "k", "v").await;
        // Who is logged is looked for at a start.
        let logging = BucketLogging::new(&names[0], String::new(), None, None).unwrap();
        world.store.set_logging(name, Some(&logging)).await.unwrap();
    }
    let rows = [&names[1], &names[2]].map(|name| tables::bucket(tables::BUCKETS, name));
    let root = world.catalog.snapshot(PartitionId::ROOT).await.unwrap();
    let row = BucketRow::from_bytes(&root.get(rows[1].clone()).await.unwrap().unwrap()).unwrap();
    let damage = [Bytes::from_static(b"\x01\x07"), BucketRow { account: [0xFF; 8], ..row }.to_bytes()];
    let mut commit = Commit::new(PartitionId::ROOT, 0);
    commit.writes = rows.iter().cloned().zip(damage.clone()).map(|(row, raw)| Write::Put(row, raw)).collect();
    world.catalog.commit(commit).await.unwrap();
    world.reopen().await;

    let listed = async |world: &World| -> Vec<String> {
        let page = world.store.list_buckets(ListBuckets { max: 10, ..ListBuckets::default() }).await.unwrap();
        page.buckets.iter().map(|bucket| bucket.name.to_string()).collect()
    };
    assert_eq!(listed(&world).await, ["a-whole", "d-whole"]);
    for name in [&names[0], &names[3]] {
        assert_eq!(world.get(name, "k").await.unwrap(), "v");
        world.put(name, "k", "again").await;
    }
    // Nobody can use what is damaged, nor take its name.
    for name in [&names[1], &names[2]] {
        let corrupt = |error: Option<Error>| assert_eq!(error.unwrap().kind(), ErrorKind::Corrupt);
        corrupt(world.get(name, "k").await.err());
        corrupt(world.store.head_bucket(name).await.err());
        corrupt(world.store.delete_bucket(name).await.err());
    }
    let taken = world.store.create_bucket(&names[1], &crate::NewBucket::default()).await;
    assert_eq!(taken.unwrap_err().kind(), ErrorKind::Corrupt);
    let taken = world.store.create_bucket(&names[2], &crate::NewBucket::default()).await;
    assert!(matches!(taken, Err(Error::BucketAlreadyExists)), "{taken:?}");
    world.create("e-new", Versioning::Off).await;
    world.settle().await;
    assert_eq!(world.store.hold_unknown_locks("first").await.unwrap(), 2);
    let held = world.store.held_locks(100).await.unwrap();
    assert_eq!(held.iter().map(|held| held.bucket.as_str()).collect::<Vec<_>>(), ["a-whole", "d-whole"]);
    // They are told, and left as they were.
    let told = world.store.damaged_buckets(10).await.unwrap();
    assert_eq!(told.iter().map(|told| told.name.as_str()).collect::<Vec<_>>(), ["b-cut", "c-nobodys"]);
    assert!(told[0].error.contains("bucket") && told[1].error.contains("an impossible account"), "{told:?}");
    assert_eq!(world.store.damaged_buckets(1).await.unwrap(), told[..1]);
    let root = world.catalog.snapshot(PartitionId::ROOT).await.unwrap();
    for (row, raw) in rows.into_iter().zip(damage) {
        assert_eq!(root.get(row).await.unwrap(), Some(raw));
    }
}

#[tokio::test]
async fn bodies_of_all_sizes_come_back() {
    let world = World::new(3).await;
    let name = world.create("sizes", Versioning::Off).await;
    let mut sum = 0;
    for (index, size) in
        [0, 1, 4_095, 4_096, 4_097, 65_536, 65_537, 300_000, 5_000_000].into_iter().enumerate()
    {
        let body = bytes(size as u64, size);
        let at = format!("k{index}");
        let put = world.put(&name, &at, body.clone()).await;
        assert_eq!(put.etag.parts(), 0);
        assert_eq!(put.version, None);
        assert_eq!(world.get(&name, &at).await.unwrap(), body, "{size}");
        sum += size as u64;
        let usage = world.store.usage(&name).await.unwrap();
        assert_eq!(usage, BucketUsage { versions: index as u64 + 1, bytes: ByteCount::new(sum) });
        let places = world.store.where_is(&name, &key(&at), crate::VersionSelector::Latest).await.unwrap();
        assert_eq!(places.is_empty(), size == 0);
        assert_eq!(places.first().is_some_and(|place| place.pool == "catalog"), (1..=4_096).contains(&size));
    }
    let empty = world.store.head(GetRequest::new(name.clone(), key("k0"))).await.unwrap();
    assert_eq!(empty.info.etag.to_string(), "d41d8cd98f00b204e9800998ecf8427e");
    assert_eq!(empty.info.checksum.unwrap().value.algorithm(), ChecksumAlgorithm::Crc64Nvme);
}

#[tokio::test]
async fn ranges_follow_s3() {
    let world = World::new(4).await;
    let name = world.create("ranges", Versioning::Off).await;
    for size in [100usize, 200_000] {
        let body = bytes(7, size);
        world.put(&name, "k", body.clone()).await;
        let n = size as u64;
        for (spec, wanted) in [
            (RangeSpec::From { first: 0, last: Some(0) }, Some((0, 0))),
            (RangeSpec::From { first: 10, last: Some(19) }, Some((10, 19))),
            (RangeSpec::From { first: 10, last: None }, Some((10, n - 1))),
            (RangeSpec::From { first: n - 1, last: Some(u64::MAX) }, Some((n - 1, n - 1))),
            (RangeSpec::From { first: n, last: None }, None),
            (RangeSpec::From { first: 5, last: Some(4) }, None),
            (RangeSpec::Suffix(1), Some((n - 1, n - 1))),
            (RangeSpec::Suffix(n * 2), Some((0, n - 1))),
            (RangeSpec::Suffix(0), None),
        ] {
            let request = GetRequest { range: Some(spec), ..GetRequest::new(name.clone(), key("k")) };
            let outcome = world.store.get(request.clone()).await;
            match wanted {
                None => assert!(matches!(outcome, Err(Error::InvalidRange { .. })), "{spec:?}"),
                Some((first, last)) => {
                    assert_eq!(outcome.unwrap().range, Some(Range { first, last }));
                    let got = world.read(request).await.unwrap();
                    let skipped = usize::try_from(first).unwrap();
                    let length = usize::try_from(last - first + 1).unwrap();
                    assert_eq!(got, body[skipped..skipped + length], "{spec:?}");
                }
            }
        }
    }
    let part = |number| GetRequest {
        part: Some(PartNumber::new(number).unwrap()),
        ..GetRequest::new(name.clone(), key("k"))
    };
    assert_eq!(world.read(part(1)).await.unwrap().len(), 200_000);
    assert!(matches!(world.read(part(2)).await, Err(Error::NoSuchPart { .. })));
}

#[tokio::test]
async fn a_wrong_digest_or_length_leaves_nothing() {
    let world = World::new(5).await;
    let name = world.create("digests", Versioning::Off).await;
    let sum = ChecksumValue::from_slice(ChecksumAlgorithm::Sha256, &[1; 32]);
    for size in [5_u64, 300_000] {
        let body = bytes(5, usize::try_from(size).unwrap());
        for (length, expect) in [
            (None, Expect { content_md5: Some([1; 16]), checksum: None }),
            (None, Expect { content_md5: None, checksum: sum }),
            (Some(ByteCount::new(size + 1)), Expect::default()),
            (Some(ByteCount::new(size - 1)), Expect::default()),
        ] {
            let checksum = expect.checksum.map(|sum| sum.algorithm());
            let (md5, summed) = (expect.content_md5.is_some(), checksum.is_some());
            let request = PutRequest { length, checksum, ..PutRequest::new(name.clone(), key("k")) };
            let mut upload = world.store.put(request).await.unwrap();
            let written = upload.write(body.clone()).await;
            let too_many = length == Some(ByteCount::new(size - 1));
            assert_eq!(written.is_err(), too_many, "more than announced is not taken");
            let outcome = match written {
                Ok(()) => upload.finish(expect).await.map(|_| ()),
                Err(error) => Err(error),
            };
            let told = match &outcome {
                Err(Error::BadDigest) => md5,
                Err(Error::ChecksumMismatch { .. }) => summed,
                Err(Error::IncompleteBody { .. }) => !md5 && !summed,
                _ => false,
            };
            assert!(told, "{length:?}: {outcome:?}");
        }
    }
    assert_eq!(world.references(world.partition(&name).await).await, 0, "no blob has a holder");
    // The checksum that came is right, but of another algorithm than the one that was named.
    let request =
        PutRequest { checksum: Some(ChecksumAlgorithm::Crc32), ..PutRequest::new(name.clone(), key("k")) };
    let mut upload = world.store.put(request).await.unwrap();
    upload.write("hello".into()).await.unwrap();
    let checksum = Some(ChecksumValue::compute(ChecksumAlgorithm::Sha256, b"hello"));
    let outcome = upload.finish(Expect { content_md5: None, checksum }).await;
    assert!(matches!(outcome, Err(Error::InvalidRequest { .. })), "{outcome:?}");
    assert!(world.keys(&name).await.is_empty());
    assert_eq!(world.rows(world.partition(&name).await, tables::BODY).await, 0);
    for algorithm in ChecksumAlgorithm::ALL {
        let request = PutRequest { checksum: Some(algorithm), ..PutRequest::new(name.clone(), key("k")) };
        let first = world.put_with(request.clone(), "hello").await.unwrap().checksum.unwrap();
        let mut upload = world.store.put(request).await.unwrap();
        upload.write("hello".into()).await.unwrap();
        let expect = Expect { content_md5: None, checksum: Some(first.value) };
        assert_eq!(upload.finish(expect).await.unwrap().checksum, Some(first));
    }
}

#[tokio::test]
async fn a_body_of_more_than_5_gib_is_refused_before_it_comes() {
    let world = World::new(17).await;
    let name = world.create("large", Versioning::Off).await;
    let limit = ByteCount::gib(5);
    for (length, fits) in [(limit, true), (ByteCount::new(limit.get() + 1), false)] {
        let request = PutRequest { length: Some(length), ..PutRequest::new(name.clone(), key("k")) };
        match world.store.put(request).await {
            Ok(_) => assert!(fits),
            Err(error) => assert!(!fits && matches!(error, Error::EntityTooLarge { .. }), "{error}"),
        }
    }
}

#[tokio::test]
async fn metadata_and_class_come_back_and_are_bounded() {
    let world = World::new(6).await;
    let name = world.create("meta", Versioning::Off).await;
    let mut metadata = Metadata::default();
    metadata.system.content_type = Some("text/plain".into());
    metadata.system.expires = Some("never".into());
    metadata.user.insert("colour".into(), "grün".into());
    let class = StorageClass::StandardIa;
    let request = PutRequest { metadata: metadata.clone(), class, ..PutRequest::new(name.clone(), key("k")) };
    world.put_with(request, "x").await.unwrap();
    let head = world.store.head(GetRequest::new(name.clone(), key("k"))).await.unwrap();
    assert_eq!((head.info.metadata, head.info.class), (metadata, class));
    let mut large = Metadata::default();
    large.user.insert("a".into(), "x".repeat(2_048));
    let request = PutRequest { metadata: large, ..PutRequest::new(name.clone(), key("k")) };
    assert!(matches!(world.put_with(request, "x").await, Err(Error::MetadataTooLarge { .. })));
}

#[tokio::test]
async fn conditional_writes_are_decided_in_the_commit() {
    let world = World::new(7).await;
    let name = world.create("cond", Versioning::Off).await;
    let with = |conditions| PutRequest { conditions, ..PutRequest::new(name.clone(), key("k")) };
    let create = WriteConditions { if_none_match: Some(ETagMatch::Any), ..WriteConditions::default() };
    let swap = |etag: ETag| WriteConditions {
        if_match: Some(ETagMatch::OneOf(vec![etag])),
        ..WriteConditions::default()
    };
    let nothing = ETag::of_body([0; 16]);
    assert!(matches!(world.put_with(with(swap(nothing)), "0").await, Err(Error::NoSuchKey { .. })));
    let first = world.put_with(with(create.clone()), "1").await.unwrap();
    assert!(matches!(world.put_with(with(create), "2").await, Err(Error::PreconditionFailed { .. })));
    world.put_with(with(swap(first.etag)), "3").await.unwrap();
    assert!(matches!(
        world.put_with(with(swap(first.etag)), "4").await,
        Err(Error::PreconditionFailed { .. })
    ));
    assert_eq!(&world.get(&name, "k").await.unwrap()[..], b"3");
}

#[tokio::test]
async fn a_changed_row_is_corrupt_and_never_served() {
    let world = World::new(8).await;
    let name = world.create("auth", Versioning::Off).await;
    world.put(&name, "a", bytes(1, 10_000)).await;
    world.put(&name, "b", bytes(2, 10_000)).await;
    let partition = world.partition(&name).await;
    let snapshot = world.catalog.snapshot(partition).await.unwrap();
    let row = snapshot.get(tables::current(&key("a"))).await.unwrap().unwrap();
    let replace = |at: &'static str, row: bytes::Bytes| {
        let mut commit = Commit::new(partition, snapshot.read_version());
        commit.writes = vec![Write::Put(tables::current(&key(at)), row)];
        world.catalog.commit(commit)
    };
    // A row moved under another name.
    replace("b", row.clone()).await.unwrap();
    let error = world.get(&name, "b").await.unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Corrupt);
    // Under its own name, in another bucket.
    let other = world.create("other", Versioning::Off).await;
    let mut moved = Commit::new(world.partition(&other).await, snapshot.read_version());
    moved.writes = vec![Write::Put(tables::current(&key("a")), row.clone())];
    world.catalog.commit(moved).await.unwrap();
    let error = world.get(&other, "a").await.unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Corrupt);
    // Every single bit of every byte but the flag at its end, which only says that it is current.
    for at in 0..row.len() - 1 {
        let mut flipped = row.to_vec();
        flipped[at] ^= 1 << (at % 8);
        replace("a", flipped.into()).await.unwrap();
        let error = world.get(&name, "a").await.expect_err("a changed row was served");
        assert!(
            matches!(error.kind(), crate::ErrorKind::Corrupt | crate::ErrorKind::Invalid),
            "byte {at}: {error}"
        );
    }
}

/// Rows of which one table's lack a byte.
struct Cut<T> {
    rows: T,
    table: Table,
}

impl Catalog for Cut<Arc<MemoryCatalog>> {
    fn limits(&self) -> Limits {
        self.rows.limits()
    }

    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, engine::Result<Arc<dyn Snapshot>>> {
        Box::pin(async move {
            let rows = self.rows.snapshot(partition).await?;
            Ok(Arc::new(Cut { rows, table: self.table }) as Arc<dyn Snapshot>)
        })
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, engine::Result<Version>> {
        self.rows.commit(commit)
    }
}

impl Snapshot for Cut<Arc<dyn Snapshot>> {
    fn read_version(&self) -> Version {
        self.rows.read_version()
    }

    fn get(&self, key: Key) -> BoxFuture<'_, engine::Result<Option<Bytes>>> {
        Box::pin(async move { Ok(self.multi_get(vec![key]).await?.pop().flatten()) })
    }

    fn multi_get(&self, keys: Vec<Key>) -> BoxFuture<'_, engine::Result<Vec<Option<Bytes>>>> {
        Box::pin(async move {
            let cut: Vec<bool> = keys.iter().map(|key| key.table == self.table).collect();
            let found = self.rows.multi_get(keys).await?.into_iter().zip(cut);
            let seen = |(row, cut): (Option<Bytes>, bool)| row.map(|row| row.slice(usize::from(cut)..));
            Ok(found.map(seen).collect())
        })
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, engine::Result<Page>> {
        self.rows.scan(scan)
    }
}

#[tokio::test]
async fn a_damaged_counter_is_corrupt_and_not_an_empty_one() {
    let world = World::new(16).await;
    let name = world.create("bkt", Versioning::Off).await;
    world.store.set_deduplication(&name, true).await.unwrap();
    let limits = crate::QuotaLimits { bytes: Some(ByteCount::mib(1)), objects: None, warn_percent: 80 };
    world.store.set_quota(&name, "", limits).await.unwrap();
    world.put(&name, "k", bytes(1, 100_000)).await;
    let info = world.store.deduplication(&name).await.unwrap().unwrap();
    assert!(info.written > ByteCount::ZERO && info.stored > ByteCount::ZERO, "{info:?}");
    for table in [tables::VERSION_COUNT, tables::BYTE_COUNT, tables::DEDUP_WRITTEN, tables::DEDUP_STORED] {
        let store = world.beside(Arc::new(Cut { rows: world.catalog.clone(), table })).await.store;
        let [usage, quotas, saved] = [
            store.usage(&name).await.err(),
            store.bucket_quotas(&name).await.err(),
            store.deduplication(&name).await.err(),
        ];
        let of_bucket = [tables::VERSION_COUNT, tables::BYTE_COUNT].contains(&table);
        for (error, expected) in [(usage, of_bucket), (quotas, of_bucket), (saved, !of_bucket)] {
            let kind = expected.then_some(crate::ErrorKind::Corrupt);
            assert_eq!(error.map(|error| error.kind()), kind, "{table:?}");
        }
    }
}
