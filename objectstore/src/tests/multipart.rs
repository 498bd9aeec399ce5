//! Multipart uploads.

use crate::checksum::Sums;
use crate::world::{World, bytes, copy_request, copy_source, key};
use crate::{
    AttributesRequest, BucketName, ChecksumAlgorithm, ChecksumType, CompleteRequest, CompletedPart,
    CopyPartRequest, CreateUpload, ETag, ETagMatch, EncryptedBy, Error, Expect, GetRequest, PART_BYTES_MIN,
    PartNumber, PartRequest, PartsRequest, RangeSpec, ReadConditions, UploadId, UploadsRequest,
    VersionSelector, Versioning, WriteConditions, tables,
};
use bytes::Bytes;
use engine::unit::ByteCount;
use futures_util::StreamExt;
use std::time::Duration;

const MIN: usize = 5 << 20;

fn joined(parts: &[Bytes]) -> Bytes {
    parts.concat().into()
}

#[tokio::test]
async fn parts_in_any_order_make_one_object() {
    let world = World::new(20).await;
    let name = world.create("multi", Versioning::Off).await;
    let upload = world.begin(&name, "k").await;
    let bodies = [bytes(1, MIN), bytes(2, MIN + 1), bytes(3, 100)];
    let third = world.part(&name, "k", upload, 9, bodies[2].clone()).await.unwrap();
    world.part(&name, "k", upload, 1, "replaced").await.unwrap();
    world.part(&name, "k", upload, 5, "never named").await.unwrap();
    let first = world.part(&name, "k", upload, 1, bodies[0].clone()).await.unwrap();
    let second = world.part(&name, "k", upload, 2, bodies[1].clone()).await.unwrap();
    let done = world.complete(&name, "k", upload, vec![first, second, third]).await.unwrap();
    assert_eq!(done.etag.parts(), 3);
    assert_eq!(done.checksum.unwrap().kind, ChecksumType::FullObject);
    let whole = joined(&bodies);
    assert_eq!(world.get(&name, "k").await.unwrap(), whole);
    // Over the seam of two parts, and each part by its number.
    let seam = GetRequest {
        range: Some(RangeSpec::From { first: MIN as u64 - 10, last: Some(MIN as u64 + 9) }),
        ..GetRequest::new(name.clone(), key("k"))
    };
    assert_eq!(world.read(seam).await.unwrap(), whole[MIN - 10..MIN + 10]);
    for (number, body) in [(1, &bodies[0]), (2, &bodies[1]), (9, &bodies[2])] {
        let part = GetRequest {
            part: Some(PartNumber::new(number).unwrap()),
            ..GetRequest::new(name.clone(), key("k"))
        };
        let sum = world.store.head(part.clone()).await.unwrap().part_checksum.unwrap();
        assert_eq!(sum, crate::ChecksumValue::compute(sum.algorithm(), body));
        assert_eq!(world.read(part).await.unwrap(), *body);
    }
    let attributes = AttributesRequest {
        bucket: name.clone(),
        key: key("k"),
        version: VersionSelector::Latest,
        after: Some(PartNumber::new(1).unwrap()),
        max_parts: 1,
        conditions: ReadConditions::default(),
        asks: None,
        reads: None,
        customer_key: None,
    };
    let attributes = world.store.attributes(attributes).await.unwrap();
    assert_eq!((attributes.parts.len(), attributes.more, attributes.info.parts), (1, true, 3));
    assert_eq!(attributes.parts[0].size, ByteCount::new(MIN as u64 + 1));
    // The same completion again answers the same; another one does not.
    let again = world.complete(&name, "k", upload, vec![first, second, third]).await.unwrap();
    assert_eq!((again.etag, again.size), (done.etag, done.size));
    let changed = CompletedPart { etag: ETag::of_body([0; 16]), ..third };
    for (at, parts) in [
        ("k", vec![first, second]),
        ("k", vec![first, second, changed]),
        ("another", vec![first, second, third]),
    ] {
        let other = world.complete(&name, at, upload, parts).await;
        assert!(matches!(other, Err(Error::NoSuchUpload)), "{other:?}");
    }
    let partition = world.partition(&name).await;
    world.settle().await;
    assert_eq!(world.get(&name, "k").await.unwrap(), whole);
    assert_eq!(world.rows(partition, tables::PARTS).await, 0);
    assert_eq!(world.rows(partition, tables::COMPLETED).await, 1);
    assert_eq!(world.rows(partition, tables::BODY).await, 1, "the part that was named, and no other");
    world.clock.advance(Duration::from_hours(23));
    world.settle().await;
    let late = world.complete(&name, "k", upload, vec![first, second, third]).await.unwrap();
    assert_eq!((late.etag, late.size), (done.etag, done.size), "it is answered for a day");
    world.delete(&name, "k").await;
    world.next_day();
    world.settle().await;
    for table in [tables::BODY, tables::MANIFESTS, tables::MANIFEST_REFS, tables::COMPLETED] {
        assert_eq!(world.rows(partition, table).await, 0, "{table:?}");
    }
    assert_eq!(world.references(partition).await, 0);
}

#[tokio::test]
async fn a_completion_is_refused_for_what_s3_refuses() {
    let world = World::new(21).await;
    let name = world.create("refuse", Versioning::Off).await;
    let upload = world.begin(&name, "k").await;
    let small = world.part(&name, "k", upload, 1, "small").await.unwrap();
    let last = world.part(&name, "k", upload, 2, "last").await.unwrap();
    let complete = |parts| world.complete(&name, "k", upload, parts);
    assert!(matches!(complete(vec![last, small]).await, Err(Error::InvalidPartOrder)));
    assert!(matches!(complete(vec![small, small]).await, Err(Error::InvalidPartOrder)));
    assert!(matches!(complete(vec![]).await, Err(Error::InvalidRequest { .. })));
    let too_small = complete(vec![small, last]).await;
    assert!(matches!(too_small, Err(Error::EntityTooSmall { size, .. }) if size < PART_BYTES_MIN));
    let upload_of_two = world.begin(&name, "two").await;
    let short = world.part(&name, "two", upload_of_two, 1, bytes(1, MIN - 1)).await.unwrap();
    let end = world.part(&name, "two", upload_of_two, 2, "end").await.unwrap();
    let too_small = world.complete(&name, "two", upload_of_two, vec![short, end]).await;
    assert!(
        matches!(too_small, Err(Error::EntityTooSmall { .. })),
        "a byte less than S3 wants: {too_small:?}"
    );
    let missing = CompletedPart { number: PartNumber::new(3).unwrap(), ..last };
    assert!(matches!(complete(vec![missing]).await, Err(Error::InvalidPart { .. })));
    let other = CompletedPart { etag: ETag::of_body([0; 16]), ..last };
    assert!(matches!(complete(vec![other]).await, Err(Error::InvalidPart { .. })));
    let checksum = Some(crate::ChecksumValue::compute(ChecksumAlgorithm::Crc64Nvme, b"another"));
    let other = CompletedPart { checksum, ..last };
    assert!(matches!(complete(vec![other]).await, Err(Error::InvalidPart { .. })));
    let checksum = Some(crate::ChecksumValue::compute(ChecksumAlgorithm::Crc64Nvme, b"last"));
    complete(vec![CompletedPart { checksum, ..last }]).await.unwrap();
    assert_eq!(&world.get(&name, "k").await.unwrap()[..], b"last");
}

/// An upload whose checksum is asked for.
fn summed(bucket: &BucketName, algorithm: ChecksumAlgorithm, kind: ChecksumType) -> CreateUpload {
    CreateUpload {
        checksum: Some(algorithm),
        checksum_type: Some(kind),
        ..CreateUpload::new(bucket.clone(), key("k"))
    }
}

#[tokio::test]
async fn a_composite_completion_names_each_part_from_1_on_with_its_checksum() {
    let world = World::new(39).await;
    let name = world.create("composite", Versioning::Off).await;
    let create = |algorithm, kind| summed(&name, algorithm, kind);
    let composite = create(ChecksumAlgorithm::Sha256, ChecksumType::Composite);
    let upload = world.store.create_upload(composite.clone()).await.unwrap().upload;
    let first = world.part(&name, "k", upload, 1, bytes(1, MIN)).await.unwrap();
    let second = world.part(&name, "k", upload, 2, "second").await.unwrap();
    let third = world.part(&name, "k", upload, 3, "third").await.unwrap();
    let complete = |parts| world.complete(&name, "k", upload, parts);
    let bare = CompletedPart { checksum: None, ..second };
    let sha256 = ChecksumAlgorithm::Sha256;
    assert!(matches!(
        complete(vec![first, bare]).await,
        Err(Error::PartWithoutChecksum { algorithm, part }) if algorithm == sha256 && part == second.number
    ));
    assert!(matches!(complete(vec![first, third]).await, Err(Error::InvalidPartOrder)), "2 is left out");
    assert!(matches!(complete(vec![second]).await, Err(Error::InvalidPartOrder)), "it begins at 2");
    let done = complete(vec![first, second]).await.unwrap();
    assert!(done.checksum.unwrap().to_string().ends_with("-2"));
    // Neither is asked where the checksum is one of the whole, nor where nobody asked for one.
    let full = create(ChecksumAlgorithm::Crc32, ChecksumType::FullObject);
    let full = world.store.create_upload(full).await.unwrap().upload;
    for upload in [full, world.begin(&name, "k").await] {
        let part = world.part(&name, "k", upload, 7, "x").await.unwrap();
        let bare = CompletedPart { checksum: None, ..part };
        world.complete(&name, "k", upload, vec![bare]).await.unwrap();
    }
}

#[tokio::test]
async fn an_abort_ends_it_and_leaves_nothing() {
    let world = World::new(22).await;
    let name = world.create("abort", Versioning::Off).await;
    let upload = world.begin(&name, "k").await;
    let part = world.part(&name, "k", upload, 1, bytes(1, 50_000)).await.unwrap();
    let request = PartRequest {
        bucket: name.clone(),
        key: key("k"),
        upload,
        part: PartNumber::new(2).unwrap(),
        length: None,
        checksum: None,
        proven: true,
        writer: None,
        customer_key: None,
        asks: None,
    };
    let mut late = world.store.upload_part(request).await.unwrap();
    late.write(bytes(2, 50_000)).await.unwrap();
    world.store.abort_upload(&name, &key("k"), upload).await.unwrap();
    assert!(matches!(late.finish(Expect::default()).await, Err(Error::NoSuchUpload)));
    assert!(matches!(world.complete(&name, "k", upload, vec![part]).await, Err(Error::NoSuchUpload)));
    let again = world.store.abort_upload(&name, &key("k"), upload).await;
    assert!(matches!(again, Err(Error::NoSuchUpload)));
    world.settle().await;
    let partition = world.partition(&name).await;
    assert_eq!(world.rows(partition, tables::PARTS).await, 0);
    assert_eq!(world.references(partition).await, 0);
}

#[tokio::test]
async fn uploads_and_parts_are_listed_in_pages() {
    let world = World::new(23).await;
    let name = world.create("lists", Versioning::Off).await;
    for at in ["b/1", "a", "b/2", "c", "c"] {
        world.begin(&name, at).await;
    }
    let request = |delimiter: &str, max_uploads| UploadsRequest {
        bucket: name.clone(),
        prefix: String::new(),
        delimiter: delimiter.into(),
        key_marker: None,
        upload_marker: None,
        max_uploads,
    };
    let mut seen = Vec::new();
    let mut next = request("/", 2);
    loop {
        let page = world.store.list_uploads(next.clone()).await.unwrap();
        assert!(page.uploads.len() + page.common_prefixes.len() <= 2);
        seen.extend(page.uploads.iter().map(|upload| upload.key.to_string()));
        seen.extend(page.common_prefixes);
        if page.next_key.is_none() {
            break;
        }
        next = UploadsRequest { key_marker: page.next_key, upload_marker: page.next_upload, ..next };
    }
    seen.sort();
    assert_eq!(seen, ["a", "b/", "c", "c"]);
    let upload = world.begin(&name, "p").await;
    for number in [3, 1, 2] {
        world.part(&name, "p", upload, number, "x").await.unwrap();
    }
    let parts =
        |after, max_parts| PartsRequest { bucket: name.clone(), key: key("p"), upload, after, max_parts };
    let page = world.store.list_parts(parts(0, 2)).await.unwrap();
    assert_eq!(page.parts.iter().map(|part| part.number.get()).collect::<Vec<_>>(), [1, 2]);
    let page = world.store.list_parts(parts(page.next.unwrap().get(), 2)).await.unwrap();
    assert_eq!(page.parts.len(), 1);
    assert_eq!(page.next, None);
    assert_eq!(world.store.list_parts(parts(0, 0)).await.unwrap().next, None);
}

#[tokio::test]
async fn checksums_of_parts_make_that_of_the_object() {
    let world = World::new(24).await;
    let name = world.create("sums", Versioning::Off).await;
    let bodies = [bytes(1, MIN), bytes(2, 10)];
    for (algorithm, kind) in [
        (ChecksumAlgorithm::Crc32, ChecksumType::FullObject),
        (ChecksumAlgorithm::Crc32C, ChecksumType::Composite),
        (ChecksumAlgorithm::Sha256, ChecksumType::Composite),
    ] {
        let create = summed(&name, algorithm, kind);
        let upload = world.store.create_upload(create).await.unwrap().upload;
        let mut parts = Vec::new();
        for (number, body) in (1..).zip(&bodies) {
            parts.push(world.part(&name, "k", upload, number, body.clone()).await.unwrap());
        }
        let request = CompleteRequest {
            bucket: name.clone(),
            key: key("k"),
            upload,
            parts,
            checksum: crate::ChecksumValue::from_slice(algorithm, &vec![0; algorithm.value_bytes()]),
            checksum_parts: None,
            checksum_type: Some(kind),
            size: Some(ByteCount::new(MIN as u64 + 10)),
            conditions: WriteConditions::default(),
            origin: crate::Origin::default(),
            asks: None,
            customer_key: None,
        };
        let wrong = world.store.complete_upload(request.clone()).await;
        assert!(matches!(wrong, Err(Error::ChecksumMismatch { .. })), "{algorithm}");
        let short = CompleteRequest { checksum: None, size: Some(ByteCount::new(1)), ..request.clone() };
        assert!(matches!(world.store.complete_upload(short).await, Err(Error::InvalidRequest { .. })));
        let other_kind = match kind {
            ChecksumType::FullObject => ChecksumType::Composite,
            ChecksumType::Composite => ChecksumType::FullObject,
        };
        let other = CompleteRequest { checksum: None, checksum_type: Some(other_kind), ..request.clone() };
        assert!(matches!(world.store.complete_upload(other).await, Err(Error::InvalidRequest { .. })));
        if kind == ChecksumType::Composite {
            // The right value, said to be that of another number of parts.
            let values: Vec<u8> =
                request.parts.iter().flat_map(|part| part.checksum.unwrap().as_bytes().to_vec()).collect();
            let checksum = Some(crate::ChecksumValue::compute(algorithm, &values));
            let counted =
                |parts| CompleteRequest { checksum, checksum_parts: Some(parts), ..request.clone() };
            let wrong = world.store.complete_upload(counted(3)).await;
            assert!(matches!(wrong, Err(Error::ChecksumMismatch { .. })), "{algorithm}: {wrong:?}");
            let sum = world.store.complete_upload(counted(2)).await.unwrap().checksum.unwrap();
            assert_eq!((sum.kind, Some(sum.value)), (kind, checksum));
            assert!(sum.to_string().ends_with("-2"));
            continue;
        }
        let done = world.store.complete_upload(CompleteRequest { checksum: None, ..request }).await.unwrap();
        let sum = done.checksum.unwrap();
        assert_eq!((sum.kind, sum.value.algorithm()), (kind, algorithm));
        let put = crate::PutRequest {
            checksum: Some(algorithm),
            ..crate::PutRequest::new(name.clone(), key("whole"))
        };
        let whole = world.put_with(put, joined(&bodies)).await.unwrap();
        assert_eq!(whole.checksum, Some(sum));
    }
    for (algorithm, kind) in [
        (ChecksumAlgorithm::Sha1, ChecksumType::FullObject),
        (ChecksumAlgorithm::Crc64Nvme, ChecksumType::Composite),
    ] {
        let create = summed(&name, algorithm, kind);
        assert!(matches!(world.store.create_upload(create).await, Err(Error::InvalidRequest { .. })));
    }
}

/// So many parts of 5 MiB of `k` that share one blob, that of `source`. Their digest is known, so none of them is read.
pub(super) async fn parts_of_one_blob(
    world: &World,
    name: &BucketName,
    upload: UploadId,
    count: u32,
) -> Vec<CompletedPart> {
    let put = world.put(name, "source", bytes(5, MIN)).await;
    let mut parts = Vec::new();
    for number in 1..=count {
        let part = PartNumber::new(number).unwrap();
        let request = CopyPartRequest {
            source: copy_source((name, "source")),
            range: None,
            bucket: name.clone(),
            key: key("k"),
            upload,
            part,
            writer: None,
            customer_key: None,
        };
        let found = world.store.find(name, &key("source"), VersionSelector::Latest).await.unwrap();
        let (extent, bucket) = (found.extent, found.view.bucket);
        let sums = Sums { md5: *put.etag.md5(), checksum: put.checksum.map(|sum| sum.value) };
        world
            .store
            .share_part(&request, &found, extent, (bucket, None, (None, EncryptedBy::Appliance)), &sums)
            .await
            .unwrap()
            .unwrap();
        parts.push(CompletedPart { number: part, etag: put.etag, checksum: None });
    }
    parts
}

#[tokio::test]
async fn a_copy_of_more_than_5_gib_is_refused_and_one_of_5_gib_is_not() {
    let world = World::new(38).await;
    let name = world.create("large", Versioning::Off).await;
    for (last, refused) in [("", false), ("x", true)] {
        let upload = world.begin(&name, "k").await;
        let mut parts = parts_of_one_blob(&world, &name, upload, 1024).await;
        if refused {
            parts.push(world.part(&name, "k", upload, 1025, last).await.unwrap());
        }
        let done = world.complete(&name, "k", upload, parts).await.unwrap();
        assert_eq!(done.size.get(), (5 << 30) + last.len() as u64);
        let copied = world.store.copy(copy_request((&name, "k"), (&name, "copy"))).await;
        match copied {
            Ok(copied) => assert!(!refused && copied.etag == done.etag),
            Err(Error::InvalidRequest { detail }) => assert!(refused && detail.ends_with(": 5368709120")),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn many_parts_spill_into_pages_that_an_abandoned_draft_gives_back() {
    let world = World::new(25).await;
    let name = world.create("pages", Versioning::Off).await;
    let partition = world.partition(&name).await;
    let source = bytes(5, MIN);
    let upload = world.begin(&name, "k").await;
    // Three pages.
    let parts = parts_of_one_blob(&world, &name, upload, 600).await;
    // Completions that are refused by their condition, after they wrote their pages.
    world.put(&name, "k", "in the way").await;
    let refused = CompleteRequest {
        bucket: name.clone(),
        key: key("k"),
        upload,
        parts: parts.clone(),
        checksum: None,
        checksum_parts: None,
        checksum_type: None,
        size: None,
        conditions: WriteConditions { if_none_match: Some(ETagMatch::Any), ..WriteConditions::default() },
        origin: crate::Origin::default(),
        asks: None,
        customer_key: None,
    };
    let refused = world.store.complete_upload(refused).await;
    assert!(matches!(refused, Err(Error::PreconditionFailed { .. })));
    assert_eq!(world.rows(partition, tables::MANIFESTS).await, 3);
    assert_eq!(world.references(partition).await, 601);
    world.settle().await;
    assert_eq!(world.rows(partition, tables::MANIFESTS).await, 0);
    assert_eq!(world.references(partition).await, 601, "the parts are still the upload's");
    let done = world.complete(&name, "k", upload, parts).await.unwrap();
    assert_eq!((done.etag.parts(), done.size.get()), (600, 600 * MIN as u64));
    world.delete(&name, "source").await;
    world.settle().await;
    assert_eq!(world.rows(partition, tables::MANIFESTS).await, 3);
    for seam in [256, 512, 599] {
        let first = (seam * MIN) as u64 - 3;
        let range = Some(RangeSpec::From { first, last: Some(first + 5) });
        let got = world.read(GetRequest { range, ..GetRequest::new(name.clone(), key("k")) }).await.unwrap();
        assert_eq!(got, [&source[MIN - 3..], &source[..3]].concat());
    }
    let part = Some(PartNumber::new(600).unwrap());
    let head =
        world.store.head(GetRequest { part, ..GetRequest::new(name.clone(), key("k")) }).await.unwrap();
    assert_eq!(head.range.unwrap().first, 599 * MIN as u64);
    // Deleting it is one commit of a few rows; the pages go behind it.
    world.delete(&name, "k").await;
    assert_eq!(world.rows(partition, tables::MANIFESTS).await, 3);
    world.settle().await;
    assert_eq!(world.rows(partition, tables::MANIFESTS).await, 0);
    assert_eq!(world.references(partition).await, 0);
}

#[tokio::test]
async fn a_changed_part_row_is_corrupt_and_never_completed() {
    use engine::catalog::{Catalog, Commit, Write};
    let world = World::new(26).await;
    let name = world.create("parts", Versioning::Off).await;
    let partition = world.partition(&name).await;
    let upload = world.begin(&name, "k").await;
    let first = world.part(&name, "k", upload, 1, bytes(1, 9_000)).await.unwrap();
    let second = world.part(&name, "k", upload, 2, bytes(2, 9_000)).await.unwrap();
    let snapshot = world.catalog.snapshot(partition).await.unwrap();
    let row = snapshot.get(tables::part(upload, 1)).await.unwrap().unwrap();
    let replace = |number: u16, row: Bytes| {
        let mut commit = Commit::new(partition, snapshot.read_version());
        commit.writes = vec![Write::Put(tables::part(upload, number), row)];
        world.catalog.commit(commit)
    };
    // In the place of another part.
    replace(2, row.clone()).await.unwrap();
    let moved = CompletedPart { number: second.number, ..first };
    let error = world.complete(&name, "k", upload, vec![moved]).await.unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Corrupt);
    // Every single bit of every byte; a changed digest is not that of the part any more.
    for at in 0..row.len() {
        let mut flipped = row.to_vec();
        flipped[at] ^= 1 << (at % 8);
        replace(1, flipped.into()).await.unwrap();
        let error = world.complete(&name, "k", upload, vec![first]).await.expect_err("it was completed");
        let refused = matches!(error, Error::InvalidPart { .. })
            || matches!(error.kind(), crate::ErrorKind::Corrupt | crate::ErrorKind::Invalid);
        assert!(refused, "byte {at}: {error}");
    }
    replace(1, row).await.unwrap();
    world.complete(&name, "k", upload, vec![first]).await.unwrap();
}

#[tokio::test]
async fn a_reader_of_parts_finishes_what_it_began() {
    use engine::worker::{Progress, Worker};
    let world = World::new(27).await;
    let name = world.create("read", Versioning::Off).await;
    let upload = world.begin(&name, "k").await;
    let bodies = [bytes(1, MIN), bytes(2, MIN)];
    let mut parts = Vec::new();
    for (number, body) in (1..).zip(&bodies) {
        parts.push(world.part(&name, "k", upload, number, body.clone()).await.unwrap());
    }
    world.complete(&name, "k", upload, parts).await.unwrap();
    let mut outcome = world.store.get(GetRequest::new(name.clone(), key("k"))).await.unwrap();
    let mut read = outcome.body.next().await.unwrap().unwrap().to_vec();
    world.delete(&name, "k").await;
    let collect = async || {
        world.settle().await;
        let mut collector = engine::blob::Collector::new(world.blobs.clone());
        while let Progress::More { .. } = collector.tick().await.unwrap() {}
    };
    collect().await;
    read.extend_from_slice(&crate::world::collect(outcome).await.unwrap());
    assert!(read == joined(&bodies), "what it began to read it can finish");
    collect().await;
    assert_eq!(world.references(world.partition(&name).await).await, 0, "and then it goes");
}

#[tokio::test]
async fn a_completion_again_answers_all_that_the_first_one_did() {
    let world = World::new(29).await;
    let name = world.create("multi", Versioning::Enabled).await;
    let upload = world.begin(&name, "k").await;
    let part = world.part(&name, "k", upload, 1, "body").await.unwrap();
    let done = world.complete(&name, "k", upload, vec![part]).await.unwrap();
    assert!(done.version.is_some() && done.checksum.is_some());
    world.put(&name, "k", "a newer one").await;
    let again = world.complete(&name, "k", upload, vec![part]).await.unwrap();
    assert_eq!((again.version, again.checksum), (done.version, done.checksum));
    assert_eq!((again.etag, again.size), (done.etag, done.size));
}
