//! Multipart uploads.

use crate::checksum::Sums;
use crate::world::{World, bytes, copy_source, key};
use crate::{
    AttributesRequest, ChecksumAlgorithm, ChecksumType, CompleteRequest, CompletedPart, CopyPartRequest,
    CreateUpload, ETag, ETagMatch, Error, Expect, GetRequest, Metadata, PART_BYTES_MIN, PartNumber,
    PartRequest, PartsRequest, RangeSpec, ReadConditions, StorageClass, UploadsRequest, VersionSelector,
    Versioning, WriteConditions, tables,
};
use bytes::Bytes;
use engine::unit::ByteCount;

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
    };
    let attributes = world.store.attributes(attributes).await.unwrap();
    assert_eq!((attributes.parts.len(), attributes.more, attributes.info.parts), (1, true, 3));
    assert_eq!(attributes.parts[0].size, ByteCount::new(MIN as u64 + 1));
    // The same completion again answers the same; another one does not.
    let again = world.complete(&name, "k", upload, vec![first, second, third]).await.unwrap();
    assert_eq!((again.etag, again.size), (done.etag, done.size));
    let other = world.complete(&name, "k", upload, vec![first, second]).await;
    assert!(matches!(other, Err(Error::NoSuchUpload)));
    let partition = world.partition(&name).await;
    world.settle().await;
    assert_eq!(world.get(&name, "k").await.unwrap(), whole);
    assert_eq!(world.rows(partition, tables::PARTS).await, 0);
    assert_eq!(world.rows(partition, tables::COMPLETED).await, 1);
    assert_eq!(world.rows(partition, tables::BODY).await, 1, "the part that was named, and no other");
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
    let missing = CompletedPart { number: PartNumber::new(3).unwrap(), ..last };
    assert!(matches!(complete(vec![missing]).await, Err(Error::InvalidPart { .. })));
    let other = CompletedPart { etag: ETag::of_body([0; 16]), ..last };
    assert!(matches!(complete(vec![other]).await, Err(Error::InvalidPart { .. })));
    complete(vec![last]).await.unwrap();
    assert_eq!(&world.get(&name, "k").await.unwrap()[..], b"last");
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
        let create = CreateUpload {
            bucket: name.clone(),
            key: key("k"),
            metadata: Metadata::default(),
            class: StorageClass::Standard,
            checksum: Some(algorithm),
            checksum_type: Some(kind),
        };
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
        };
        let wrong = world.store.complete_upload(request.clone()).await;
        assert!(matches!(wrong, Err(Error::ChecksumMismatch { .. })), "{algorithm}");
        let short = CompleteRequest { checksum: None, size: Some(ByteCount::new(1)), ..request.clone() };
        assert!(matches!(world.store.complete_upload(short).await, Err(Error::InvalidRequest { .. })));
        let done = world.store.complete_upload(CompleteRequest { checksum: None, ..request }).await.unwrap();
        let sum = done.checksum.unwrap();
        assert_eq!((sum.kind, sum.value.algorithm()), (kind, algorithm));
        if kind == ChecksumType::FullObject {
            let put = crate::PutRequest {
                checksum: Some(algorithm),
                ..crate::PutRequest::new(name.clone(), key("whole"))
            };
            let whole = world.put_with(put, joined(&bodies)).await.unwrap();
            assert_eq!(whole.checksum, Some(sum));
        } else {
            assert!(sum.to_string().ends_with("-2"));
        }
    }
    for (algorithm, kind) in [
        (ChecksumAlgorithm::Sha1, ChecksumType::FullObject),
        (ChecksumAlgorithm::Crc64Nvme, ChecksumType::Composite),
    ] {
        let create = CreateUpload {
            bucket: name.clone(),
            key: key("k"),
            metadata: Metadata::default(),
            class: StorageClass::Standard,
            checksum: Some(algorithm),
            checksum_type: Some(kind),
        };
        assert!(matches!(world.store.create_upload(create).await, Err(Error::InvalidRequest { .. })));
    }
}

#[tokio::test]
async fn many_parts_spill_into_pages_that_an_abandoned_draft_gives_back() {
    let world = World::new(25).await;
    let name = world.create("pages", Versioning::Off).await;
    let partition = world.partition(&name).await;
    let source = bytes(5, MIN);
    let put = world.put(&name, "source", source.clone()).await;
    let upload = world.begin(&name, "k").await;
    // 600 parts that share one blob, three pages; their digest is known, so none of them is read.
    let mut parts = Vec::new();
    for number in 1..=600 {
        let part = PartNumber::new(number).unwrap();
        let request = CopyPartRequest {
            source: copy_source((&name, "source")),
            range: None,
            bucket: name.clone(),
            key: key("k"),
            upload,
            part,
        };
        let found = world.store.find(&name, &key("source"), VersionSelector::Latest).await.unwrap();
        let (extent, bucket) = (found.extent, found.view.bucket);
        let sums = Sums { md5: *put.etag.md5(), checksum: put.checksum.map(|sum| sum.value) };
        world.store.share_part(&request, &found, extent, bucket, &sums).await.unwrap().unwrap();
        parts.push(CompletedPart { number: part, etag: put.etag, checksum: None });
    }
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
    };
    let refused = world.store.complete_upload(refused).await;
    assert!(matches!(refused, Err(Error::PreconditionFailed { .. })));
    assert_eq!(world.rows(partition, tables::MANIFESTS).await, 3);
    world.settle().await;
    assert_eq!(world.rows(partition, tables::MANIFESTS).await, 0);
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
