//! Keys that clients bring along: what they open, what they don't, and what is left of them.

use super::ingest::request as ingest_request;
use crate::record::PartRow;
use crate::tests::dice::{Dice, seeds};
use crate::world::{World, bytes, copy_request, copy_source, key};
use crate::{
    AmendRequest, BucketName, ChecksumAlgorithm, ChecksumValue, CompleteRequest, CompletedPart,
    CopyPartRequest, CopyRequest, CopySource, CreateUpload, EncryptedBy, Encryption, Error, Expect,
    GetRequest, IngestEntry, IngestRequest, Metadata, Origin, PartNumber, PartRequest, PartsRequest,
    PutRequest, RangeSpec, Result, StorageClass, Tags, UploadId, Versioning, WriteConditions,
};
use bytes::Bytes;
use engine::catalog::record::Record;
use engine::catalog::{Catalog, Family, Scan, Table};
use engine::unit::ByteCount;
use md5::{Digest as _, Md5};
use security::envelope::CustomerKey;
use std::collections::BTreeMap;

const PART: usize = 5 << 20;

fn customer(byte: u8) -> CustomerKey {
    CustomerKey::new([byte; 32])
}

fn put(name: &BucketName, at: &str, by: Option<u8>) -> PutRequest {
    PutRequest { customer_key: by.map(customer), ..PutRequest::new(name.clone(), key(at)) }
}

fn get(name: &BucketName, at: &str, by: Option<u8>) -> GetRequest {
    GetRequest { customer_key: by.map(customer), ..GetRequest::new(name.clone(), key(at)) }
}

/// A bucket, a key in it, and what it is stored with.
type At<'a, T> = (&'a BucketName, T, Option<u8>);

fn copy<S: AsRef<str>, T: AsRef<str>>(
    (from, source, opens): At<'_, S>,
    (to, target, closes): At<'_, T>,
) -> CopyRequest {
    let plain = copy_request((from, source.as_ref()), (to, target.as_ref()));
    let source = CopySource { customer_key: opens.map(customer), ..plain.source };
    CopyRequest { source, customer_key: closes.map(customer), ..plain }
}

/// What S3 says to whoever brings the wrong key, none, or one too many.
fn refused<T>(outcome: Result<T>) -> &'static str {
    match outcome {
        Err(Error::InvalidRequest { detail }) => detail,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was not refused"),
    }
}

async fn opens_with_alone<T: AsRef<str>>(
    world: &World,
    (name, at): (&BucketName, T),
    by: Option<u8>,
    body: &Bytes,
) {
    let at = at.as_ref();
    assert_eq!(&world.read(get(name, at, by)).await.unwrap(), body, "{at}");
    for other in [None, Some(1), Some(2), Some(3)].into_iter().filter(|other| *other != by) {
        let wanted = match (by, other) {
            (None, _) => "not applicable",
            (Some(_), None) => "must be provided",
            (Some(_), Some(_)) => "did not match",
        };
        for detail in [
            refused(world.store.get(get(name, at, other)).await),
            refused(world.store.head(get(name, at, other)).await),
        ] {
            assert!(detail.contains(wanted), "{at} with {other:?}: {detail}");
        }
    }
    let head = world.store.head(get(name, at, by)).await.unwrap().info;
    let expected = if by.is_some() { EncryptedBy::Customer } else { EncryptedBy::Appliance };
    assert_eq!((head.encrypted_by, head.size), (expected, body.len().into()), "{at}");
    let is_md5 = *head.etag.md5() == <[u8; 16]>::from(Md5::digest(body));
    assert!(!is_md5 || by.is_none(), "the tag of {at} tells of its bytes");
    assert!(is_md5 || by.is_some() || head.parts > 0, "the tag of {at} is the bytes' MD5");
    // What stands beside it needs no key.
    world.store.peek(&get(name, at, None)).await.unwrap();
    world.store.where_is(name, &key(at), crate::VersionSelector::Latest).await.unwrap();
}

#[tokio::test]
async fn an_object_is_read_with_its_key_alone_whatever_its_size() {
    let mut world = World::new(1).await;
    let name = world.create("keys", Versioning::Off).await;
    for (size, at) in [(0, "empty"), (1, "one"), (4096, "inline"), (4097, "blob"), (9_000_000, "records")] {
        let body = bytes(size as u64, size);
        let stored = world.put_with(put(&name, at, Some(1)), body.clone()).await.unwrap();
        assert_eq!(stored.encrypted_by, EncryptedBy::Customer);
        opens_with_alone(&world, (&name, at), Some(1), &body).await;
    }
    let range = GetRequest {
        range: Some(RangeSpec::From { first: 4_000_000, last: Some(4_500_000) }),
        ..get(&name, "records", Some(1))
    };
    assert_eq!(world.read(range).await.unwrap(), bytes(9_000_000, 9_000_000).slice(4_000_000..=4_500_000));
    // Another version of the key has another key.
    world.put_with(put(&name, "one", Some(2)), "other").await.unwrap();
    opens_with_alone(&world, (&name, "one"), Some(2), &"other".into()).await;
    world.put(&name, "one", "plain").await;
    opens_with_alone(&world, (&name, "one"), None, &"plain".into()).await;
    world.reopen().await;
    opens_with_alone(&world, (&name, "inline"), Some(1), &bytes(4096, 4096)).await;
}

async fn begin(world: &World, name: &BucketName, at: &str, by: Option<u8>) -> UploadId {
    let create = CreateUpload { customer_key: by.map(customer), ..CreateUpload::new(name.clone(), key(at)) };
    world.store.create_upload(create).await.unwrap().upload
}

async fn send(
    world: &World,
    (name, at, upload): (&BucketName, &str, UploadId),
    number: u32,
    by: Option<u8>,
    body: Bytes,
) -> Result<CompletedPart> {
    let request = PartRequest {
        bucket: name.clone(),
        key: key(at),
        upload,
        part: PartNumber::new(number)?,
        length: None,
        checksum: None,
        proven: true,
        writer: None,
        customer_key: by.map(customer),
        asks: None,
    };
    let mut part = world.store.upload_part(request).await?;
    part.write(body).await?;
    let uploaded = part.finish(Expect::default()).await?;
    assert!(uploaded.checksum.is_none() || by.is_none(), "nobody asked for one");
    let checksum = uploaded.checksum.map(|sum| sum.value);
    Ok(CompletedPart { number: PartNumber::new(number)?, etag: uploaded.etag, checksum })
}

fn complete(
    (name, at, upload): (&BucketName, &str, UploadId),
    parts: Vec<CompletedPart>,
    by: Option<u8>,
) -> CompleteRequest {
    CompleteRequest {
        bucket: name.clone(),
        key: key(at),
        upload,
        parts,
        checksum: None,
        checksum_parts: None,
        checksum_type: None,
        size: None,
        conditions: WriteConditions::default(),
        origin: Origin::default(),
        asks: None,
        customer_key: by.map(customer),
    }
}

/// An upload of a large part, a small one and an empty one.
async fn in_parts(world: &World, name: &BucketName, at: &str, by: Option<u8>) -> Bytes {
    let upload = (name, at, begin(world, name, at, by).await);
    let bodies = [bytes(1, PART + 1), bytes(2, PART), bytes(3, 100)];
    let mut parts = Vec::new();
    for (number, body) in (1..).zip(&bodies) {
        parts.push(send(world, upload, number, by, body.clone()).await.unwrap());
    }
    let done = world.store.complete_upload(complete(upload, parts, None)).await.unwrap();
    assert_eq!(done.encrypted_by != EncryptedBy::Appliance, by.is_some());
    bodies.concat().into()
}

#[tokio::test]
async fn parts_come_with_the_key_that_their_upload_was_begun_with_and_its_completion_with_none() {
    let world = World::new(2).await;
    let name = world.create("keys", Versioning::Off).await;
    let upload = (&name, "k", begin(&world, &name, "k", Some(1)).await);
    let body = bytes(1, PART);
    assert!(refused(send(&world, upload, 1, None, body.clone()).await).contains("must include"));
    assert!(refused(send(&world, upload, 1, Some(2), body.clone()).await).contains("did not match"));
    let part = send(&world, upload, 1, Some(1), body.clone()).await.unwrap();
    let wrong = complete(upload, vec![part], Some(2));
    assert!(refused(world.store.complete_upload(wrong).await).contains("did not match"));
    let right = complete(upload, vec![part], Some(1));
    let done = world.store.complete_upload(right.clone()).await.unwrap();
    assert_eq!(world.store.complete_upload(right).await.unwrap().encrypted_by, done.encrypted_by);
    opens_with_alone(&world, (&name, "k"), Some(1), &body).await;

    let plain = (&name, "p", begin(&world, &name, "p", None).await);
    assert!(refused(send(&world, plain, 1, Some(1), body.clone()).await).contains("without them"));

    let whole = in_parts(&world, &name, "three", Some(3)).await;
    opens_with_alone(&world, (&name, "three"), Some(3), &whole).await;
    for (number, range) in [(1, 0..=PART), (2, PART + 1..=2 * PART), (3, 2 * PART + 1..=2 * PART + 100)] {
        let part = Some(PartNumber::new(number).unwrap());
        let read = world.read(GetRequest { part, ..get(&name, "three", Some(3)) }).await.unwrap();
        assert_eq!(read, whole.slice(range));
    }
    let seam = Some(RangeSpec::From { first: PART as u64 - 5, last: Some(2 * PART as u64 + 50) });
    let read = world.read(GetRequest { range: seam, ..get(&name, "three", Some(3)) }).await.unwrap();
    assert_eq!(read, whole.slice(PART - 5..=2 * PART + 50));
    world.settle().await;
    opens_with_alone(&world, (&name, "three"), Some(3), &whole).await;
}

#[tokio::test]
async fn copies_go_from_every_envelope_to_every_other() {
    let world = World::new(3).await;
    let (name, other) =
        (world.create("from", Versioning::Off).await, world.create("target", Versioning::Off).await);
    let mut sources: Vec<(String, Option<u8>, Bytes)> = Vec::new();
    for by in [None, Some(1)] {
        for size in [0, 100, 50_000] {
            let (at, body) = (format!("whole-{size}-{by:?}"), bytes(size as u64, size));
            world.put_with(put(&name, &at, by), body.clone()).await.unwrap();
            sources.push((at, by, body));
        }
        let at = format!("parts-{by:?}");
        let body = in_parts(&world, &name, &at, by).await;
        sources.push((at, by, body));
    }
    for (at, by, body) in &sources {
        for to in [None, Some(1), Some(2)] {
            for into in [&name, &other] {
                let copied = format!("copy-of-{at}-{to:?}");
                let made = world.store.copy(copy((&name, at, *by), (into, &copied, to))).await.unwrap();
                assert_eq!(made.encrypted_by != EncryptedBy::Appliance, to.is_some());
                opens_with_alone(&world, (into, &copied), to, body).await;
                // And on, of what is a copy already.
                let again = format!("again-{at}-{to:?}");
                world.store.copy(copy((into, &copied, to), (into, &again, Some(3)))).await.unwrap();
                opens_with_alone(&world, (into, &again), Some(3), body).await;
            }
        }
        for wrong in [None, Some(1), Some(2)].into_iter().filter(|wrong| wrong != by) {
            refused(world.store.copy(copy((&name, at, wrong), (&other, "never", None))).await);
        }
    }
    // Onto itself, with another key: it is the same object that is read otherwise.
    let (at, _, body) = sources.iter().find(|(_, by, body)| by.is_some() && body.len() == 50_000).unwrap();
    world.store.copy(copy((&name, at, Some(1)), (&name, at, Some(2)))).await.unwrap();
    opens_with_alone(&world, (&name, at), Some(2), body).await;
    world.store.copy(copy((&name, at, Some(2)), (&name, at, None))).await.unwrap();
    opens_with_alone(&world, (&name, at), None, body).await;
    world.settle().await;
    for (at, by, body) in &sources[..4] {
        opens_with_alone(&world, (&name, at), *by, body).await;
    }
}

#[tokio::test]
async fn a_copy_between_keys_moves_no_bytes_where_they_are_nobody_elses() {
    let world = World::new(4).await;
    let name = world.create("keys", Versioning::Off).await;
    world.put(&name, "plain", bytes(1, 50_000)).await;
    let whole = in_parts(&world, &name, "parts-1", Some(1)).await;
    let partition = world.partition(&name).await;
    let blobs = Table { family: Family::Record, tag: 0xB0 };
    let before = world.rows(partition, blobs).await;
    for (from, to, at) in [
        (None, Some(1), "plain"),
        (Some(1), Some(2), "plain"),
        (Some(2), None, "plain"),
        (Some(1), Some(2), "parts"),
    ] {
        let named = |by: Option<u8>| by.map_or(at.to_owned(), |by| format!("{at}-{by}"));
        let target = to.map_or(format!("{at}-back"), |by| format!("{at}-{by}"));
        world.store.copy(copy((&name, named(from), from), (&name, target, to))).await.unwrap();
    }
    assert_eq!(world.rows(partition, blobs).await, before);
    opens_with_alone(&world, (&name, "parts-2"), Some(2), &whole).await;
    opens_with_alone(&world, (&name, "plain-back"), None, &bytes(1, 50_000)).await;
}

#[tokio::test]
async fn parts_are_copied_between_envelopes() {
    let world = World::new(5).await;
    let name = world.create("keys", Versioning::Off).await;
    let large = bytes(7, PART + 1000);
    for by in [None, Some(1)] {
        world.put_with(put(&name, &format!("whole-{by:?}"), by), large.clone()).await.unwrap();
        in_parts(&world, &name, &format!("parts-{by:?}"), by).await;
    }
    let parts = world.read(get(&name, "parts-None", None)).await.unwrap();
    for to in [None, Some(2)] {
        let at = format!("to-{to:?}");
        let upload = begin(&world, &name, &at, to).await;
        let (mut named, mut expected, mut number) = (Vec::new(), Vec::new(), 0);
        for (from, by, body) in [
            ("whole-None", None, &large),
            ("whole-Some(1)", Some(1), &large),
            ("parts-None", None, &parts),
            ("parts-Some(1)", Some(1), &parts),
        ] {
            number += 1;
            let request = CopyPartRequest {
                source: CopySource { customer_key: by.map(customer), ..copy_source((&name, from)) },
                range: Some(RangeSpec::From { first: 10, last: Some(PART as u64 + 500) }),
                bucket: name.clone(),
                key: key(&at),
                upload,
                part: PartNumber::new(number).unwrap(),
                writer: None,
                customer_key: to.map(customer),
            };
            let wrong = CopyPartRequest { customer_key: Some(customer(3)), ..request.clone() };
            refused(world.store.copy_part(wrong).await);
            let copied = world.store.copy_part(request).await.unwrap();
            let checksum = copied.checksum.map(|sum| sum.value);
            named.push(CompletedPart {
                number: PartNumber::new(number).unwrap(),
                etag: copied.etag,
                checksum,
            });
            expected.extend_from_slice(&body[10..=PART + 500]);
        }
        world.store.complete_upload(complete((&name, &at, upload), named, None)).await.unwrap();
        opens_with_alone(&world, (&name, &at), to, &expected.into()).await;
    }
}

#[tokio::test]
async fn bodies_with_a_key_share_nothing_and_shared_ones_are_written_anew_for_one() {
    let world = World::new(6).await;
    let name = world.create("keys", Versioning::Off).await;
    world.store.set_deduplication(&name, true).await.unwrap();
    let body = bytes(1, 3_000_000);
    world.put(&name, "shared", body.clone()).await;
    let partition = world.partition(&name).await;
    let packs = world.rows(partition, crate::tables::PACKS).await;
    assert!(packs > 0);
    world.put_with(put(&name, "own", Some(1)), body.clone()).await.unwrap();
    world.store.copy(copy((&name, "shared", None), (&name, "copied", Some(1)))).await.unwrap();
    let holds = world.rows(partition, crate::tables::HOLDS).await;
    let upload = begin(&world, &name, "parts", Some(1)).await;
    let part = send(&world, (&name, "parts", upload), 1, Some(1), body.clone()).await.unwrap();
    world.store.complete_upload(complete((&name, "parts", upload), vec![part], None)).await.unwrap();
    assert_eq!(world.rows(partition, crate::tables::PACKS).await, packs);
    assert_eq!(world.rows(partition, crate::tables::HOLDS).await, holds);
    world.delete(&name, "shared").await;
    super::dedup::settle(&world).await;
    assert_eq!(world.rows(partition, crate::tables::PACKS).await, 0, "none of them holds a pack");
    for at in ["own", "copied", "parts"] {
        opens_with_alone(&world, (&name, at), Some(1), &body).await;
    }
}

#[tokio::test]
async fn what_stands_beside_an_object_is_changed_without_its_key() {
    let world = World::new(7).await;
    let name = world.create("keys", Versioning::Enabled).await;
    world.put_with(put(&name, "k", Some(1)), "first").await.unwrap();
    in_parts(&world, &name, "parts", Some(1)).await;
    let tags = Tags::of_object([("a".to_owned(), "1".to_owned())]).unwrap();
    for at in ["k", "parts"] {
        let request = AmendRequest {
            bucket: name.clone(),
            key: key(at),
            version: crate::VersionSelector::Latest,
            origin: Origin::default(),
        };
        let body = world.read(get(&name, at, Some(1))).await.unwrap();
        world.store.set_tags(&request, None, &tags).await.unwrap();
        assert_eq!(world.store.peek(&get(&name, at, None)).await.unwrap().subresources.tags, tags);
        opens_with_alone(&world, (&name, at), Some(1), &body).await;
    }
    // Versions below are as they were, and come to the top again.
    let below = world.put_with(put(&name, "k", Some(2)), "second").await.unwrap().version.unwrap();
    opens_with_alone(&world, (&name, "k"), Some(2), &"second".into()).await;
    world.delete_version(&name, "k", below.into()).await;
    opens_with_alone(&world, (&name, "k"), Some(1), &"first".into()).await;
}

#[tokio::test]
async fn entries_of_an_archive_have_its_key_and_are_named_without_it() {
    let world = World::new(8).await;
    let name = world.create("keys", Versioning::Off).await;
    let request = IngestRequest { customer_key: Some(customer(1)), ..ingest_request(&name) };
    let mut ingest = world.store.ingest(request).await.unwrap();
    let bodies: BTreeMap<String, Bytes> =
        [0, 10, 5000, 70_000].iter().map(|size| (format!("e{size}"), bytes(*size as u64, *size))).collect();
    for (at, body) in &bodies {
        let entry = IngestEntry {
            key: key(at),
            length: ByteCount::from(body.len()),
            metadata: Metadata::default(),
            class: StorageClass::Standard,
        };
        let mut upload = ingest.entry(entry).await.unwrap();
        upload.write(body.clone()).await.unwrap();
        let sealed = upload.seal().await.unwrap();
        ingest.stage(sealed).await.unwrap();
    }
    let outcome = ingest.finish(Expect::default()).await.unwrap();
    assert_eq!(outcome.objects, bodies.len() as u64);
    for (at, body) in &bodies {
        opens_with_alone(&world, (&name, at), Some(1), body).await;
    }
}

#[tokio::test]
async fn a_bucket_that_blocks_them_takes_no_keys() {
    let world = World::new(9).await;
    let name = world.create("keys", Versioning::Off).await;
    world.put_with(put(&name, "before", Some(1)), "x").await.unwrap();
    let blocks = |blocks| Encryption { blocks_customer_keys: blocks, ..Encryption::default() };
    world.store.set(&name, Some(&blocks(Some(true)))).await.unwrap();
    let denied = |outcome: Result<()>| assert!(matches!(outcome, Err(Error::AccessDenied)), "{outcome:?}");
    denied(world.put_with(put(&name, "k", Some(1)), "x").await.map(drop));
    denied(world.store.copy(copy((&name, "before", Some(1)), (&name, "k", Some(1)))).await.map(drop));
    let create =
        CreateUpload { customer_key: Some(customer(1)), ..CreateUpload::new(name.clone(), key("k")) };
    denied(world.store.create_upload(create).await.map(drop));
    let archive = IngestRequest { customer_key: Some(customer(1)), ..ingest_request(&name) };
    denied(world.store.ingest(archive).await.map(drop));
    world.put(&name, "plain", "x").await;
    opens_with_alone(&world, (&name, "before"), Some(1), &"x".into()).await;
    world.store.set(&name, Some(&blocks(Some(false)))).await.unwrap();
    world.put_with(put(&name, "k", Some(1)), "x").await.unwrap();
}

/// Every value in a partition's tables.
async fn values(world: &World, name: &BucketName) -> Vec<u8> {
    let snapshot = world.catalog.snapshot(world.partition(name).await).await.unwrap();
    let mut all = Vec::new();
    for family in [Family::Record, Family::Index, Family::Body, Family::Queue] {
        for tag in 0..=u8::MAX {
            let page = snapshot.scan(Scan::prefix(Table { family, tag }, b"", 10_000)).await.unwrap();
            for (key, value) in page.rows {
                all.extend_from_slice(&key);
                all.extend_from_slice(&value);
            }
        }
    }
    all
}

#[tokio::test]
async fn no_key_no_body_and_no_digest_of_one_lies_in_the_rows() {
    let world = World::new(10).await;
    let name = world.create("keys", Versioning::Off).await;
    let body: Bytes = "a canary that sings".into();
    world.put_with(put(&name, "k", Some(0xAB)), body.clone()).await.unwrap();
    let upload = (&name, "p", begin(&world, &name, "p", Some(0xAB)).await);
    send(&world, upload, 1, Some(0xAB), body.clone()).await.unwrap();
    let rows = values(&world, &name).await;
    let has = |needle: &[u8]| rows.windows(needle.len()).any(|window| window == needle);
    assert!(has(b"k"), "the look itself finds what is there");
    assert!(!has(&[0xAB; 8]) && !has(b"canary") && !has(&Md5::digest(&body)));
    assert!(!has(&Md5::digest([0xAB; 32])));
}

fn has(rows: &[u8], needle: &[u8]) -> bool {
    rows.windows(needle.len()).any(|window| window == needle)
}

/// A CRC of eight bytes can be turned back into them, and the last part of an object may be as short as that.
#[tokio::test]
async fn no_checksum_is_kept_of_what_a_key_was_brought_for() {
    let world = World::new(11).await;
    let name = world.create("keys", Versioning::Off).await;
    let body: Bytes = "hunter2!".into();
    let sums = ChecksumAlgorithm::ALL.map(|algorithm| ChecksumValue::compute(algorithm, &body));
    let asked = PutRequest { checksum: Some(ChecksumAlgorithm::Sha256), ..put(&name, "asked", Some(1)) };
    let mut upload = world.store.put(asked).await.unwrap();
    upload.write(body.clone()).await.unwrap();
    let expected = Some(ChecksumValue::compute(ChecksumAlgorithm::Sha256, &body));
    let stored = upload.finish(Expect { checksum: expected, ..Expect::default() }).await.unwrap();
    assert_eq!(stored.checksum.map(|sum| sum.value), expected, "who asks is told");
    let unasked = world.put_with(put(&name, "unasked", Some(1)), body.clone()).await.unwrap();
    assert_eq!(unasked.checksum, None);
    world.store.copy(copy((&name, "asked", Some(1)), (&name, "copied", Some(2)))).await.unwrap();
    let asked = CopyRequest {
        checksum: Some(ChecksumAlgorithm::Sha256),
        ..copy((&name, "asked", Some(1)), (&name, "copied-asked", Some(2)))
    };
    let copied = world.store.copy(asked).await.unwrap();
    assert_eq!(copied.checksum.map(|sum| sum.value), expected);
    for (named, at) in [(None, "p"), (Some(ChecksumAlgorithm::Crc32), "q")] {
        let create = CreateUpload {
            checksum: named,
            customer_key: Some(customer(1)),
            ..CreateUpload::new(name.clone(), key(at))
        };
        let upload = (&name, at, world.store.create_upload(create).await.unwrap().upload);
        for number in [2, 1] {
            let request = PartRequest {
                bucket: name.clone(),
                key: key(at),
                upload: upload.2,
                part: PartNumber::new(number).unwrap(),
                length: None,
                checksum: None,
                proven: true,
                writer: None,
                customer_key: Some(customer(1)),
                asks: None,
            };
            let mut part = world.store.upload_part(request).await.unwrap();
            part.write(body.clone()).await.unwrap();
            let sent = part.finish(Expect::default()).await.unwrap();
            assert_eq!(sent.checksum.map(|sum| sum.value.algorithm()), named);
            if number == 2 {
                continue;
            }
            let checksum = named.map(|algorithm| ChecksumValue::compute(algorithm, &body));
            let part = CompletedPart { number: PartNumber::new(1).unwrap(), etag: sent.etag, checksum };
            let listed = PartsRequest {
                bucket: name.clone(),
                key: key(at),
                upload: upload.2,
                after: 0,
                max_parts: 10,
            };
            let listed = world.store.list_parts(listed).await.unwrap();
            assert!(listed.parts.len() == 2 && listed.parts.iter().all(|part| part.checksum.is_none()));
            let of_parts = CompleteRequest {
                checksum: Some(ChecksumValue::compute(ChecksumAlgorithm::Crc64Nvme, &body)),
                ..complete(upload, vec![part], None)
            };
            let refusal = refused(world.store.complete_upload(of_parts).await);
            assert!(refusal.contains("Complete it without one"), "{refusal}");
            let done = world.store.complete_upload(complete(upload, vec![part], None)).await.unwrap();
            assert_eq!(done.checksum, None);
        }
    }
    none_lies_in_rows(&world, &name, &sums).await;
    // Who has it without a key again, has the checksum that any object has.
    world.store.copy(copy((&name, "asked", Some(1)), (&name, "open", None))).await.unwrap();
    let open = world.store.head(get(&name, "open", None)).await.unwrap().info;
    assert_eq!(open.checksum.map(|sum| sum.value), Some(sums[2]));
}

/// Whichever way they are written.
async fn none_lies_in_rows(world: &World, bucket: &BucketName, sums: &[ChecksumValue]) {
    let rows = values(world, bucket).await;
    for sum in sums {
        assert!(!has(&rows, sum.as_bytes()), "{sum:?} lies in a row of {bucket}");
        assert!(!has(&rows, &sum.as_bytes().iter().rev().copied().collect::<Vec<_>>()), "{sum:?}");
    }
}

/// A manifest's pages have the checksums of its parts, the last of which may be short.
#[tokio::test]
async fn no_checksum_of_a_part_comes_along_into_an_envelope() {
    let world = World::new(11).await;
    let body: Bytes = "hunter2!".into();
    let sums = ChecksumAlgorithm::ALL.map(|algorithm| ChecksumValue::compute(algorithm, &body));
    let plain = world.create("elsewhere", Versioning::Off).await;
    let upload = (&plain, "m", begin(&world, &plain, "m", None).await);
    let large = send(&world, upload, 1, None, bytes(1, PART)).await.unwrap();
    let short = send(&world, upload, 2, None, body.clone()).await.unwrap();
    world.store.complete_upload(complete(upload, vec![large, short], None)).await.unwrap();
    world.store.copy(copy((&plain, "m", None), (&plain, "enclosed", Some(1)))).await.unwrap();
    let into = begin(&world, &plain, "gathered", Some(1)).await;
    let request = CopyPartRequest {
        source: copy_source((&plain, "m")),
        range: None,
        bucket: plain.clone(),
        key: key("gathered"),
        upload: into,
        part: PartNumber::new(1).unwrap(),
        writer: None,
        customer_key: Some(customer(1)),
    };
    world.store.copy_part(request).await.unwrap();
    assert!(has(&values(&world, &plain).await, sums[2].as_bytes()), "the look finds one that is there");
    world.delete(&plain, "m").await;
    world.settle().await;
    none_lies_in_rows(&world, &plain, &sums).await;
    let body = [bytes(1, PART), body].concat().into();
    opens_with_alone(&world, (&plain, "enclosed"), Some(1), &body).await;
}

/// The key of a blob opens all of it; a part that was copied from a range of it must not come with that key.
#[tokio::test]
async fn a_range_of_an_object_with_a_key_gives_away_the_range_alone() {
    let world = World::new(12).await;
    let name = world.create("keys", Versioning::Off).await;
    let whole = bytes(7, PART + (1 << 20));
    world.put_with(put(&name, "whole", Some(1)), whole.clone()).await.unwrap();
    let mut seen = Vec::new();
    for to in [None, Some(1), Some(2)] {
        let at = format!("to-{to:?}");
        let upload = begin(&world, &name, &at, to).await;
        for (number, range) in [
            (1, Some(RangeSpec::From { first: 0, last: Some(PART as u64 - 1) })),
            (2, Some(RangeSpec::From { first: 5, last: Some(9_000) })),
        ] {
            let request = CopyPartRequest {
                source: CopySource { customer_key: Some(customer(1)), ..copy_source((&name, "whole")) },
                range,
                bucket: name.clone(),
                key: key(&at),
                upload,
                part: PartNumber::new(number).unwrap(),
                writer: None,
                customer_key: to.map(customer),
            };
            let length = world.store.copy_part(request).await.unwrap().size.get();
            let snapshot = world.catalog.snapshot(world.partition(&name).await).await.unwrap();
            let row = crate::tables::part(upload, u16::try_from(number).unwrap());
            let row = PartRow::from_bytes(&snapshot.get(row).await.unwrap().unwrap()).unwrap();
            assert_eq!((row.extent.offset, length), (0, row.extent.length), "{at}: bytes of its own");
            assert!(!seen.contains(&row.extent.content), "{at}: and no one else's");
            seen.push(row.extent.content);
        }
    }
}

/// Random writes and copies under three keys and none, against what was written.
#[tokio::test]
async fn any_order_of_writes_and_copies_leaves_what_was_written_under_its_key() {
    for seed in seeds(8) {
        let world = World::new(100 + seed).await;
        let names = [
            world.create("a-bucket", Versioning::Enabled).await,
            world.create("b-bucket", Versioning::Off).await,
        ];
        let dice = Dice::new(seed);
        let mut model: BTreeMap<(usize, u64), (Option<u8>, Bytes)> = BTreeMap::new();
        let keys = [None, Some(1), Some(2), Some(3)];
        for step in 0..40_u64 {
            let by = *dice.pick(&keys);
            let to = (dice.below(2), dice.below(4) as u64);
            let at = |slot: u64| format!("k{slot}");
            let sources: Vec<_> = model.keys().copied().collect();
            if sources.is_empty() || dice.below(3) == 0 {
                let size = *dice.pick(&[0, 1, 4096, 4097, 70_000]);
                let body = bytes(step, size);
                world.put_with(put(&names[to.0], &at(to.1), by), body.clone()).await.unwrap();
                model.insert(to, (by, body));
                continue;
            }
            let from = *dice.pick(&sources);
            let (key, body) = model[&from].clone();
            let request = copy((&names[from.0], &at(from.1), key), (&names[to.0], &at(to.1), by));
            match world.store.copy(request).await {
                Ok(_) => drop(model.insert(to, (by, body))),
                Err(Error::CopyOntoItself) => assert!(from == to && key.is_none() && by.is_none()),
                Err(other) => panic!("seed {seed}, step {step}: {other}"),
            }
        }
        for ((bucket, slot), (by, body)) in &model {
            opens_with_alone(&world, (&names[*bucket], &format!("k{slot}")), *by, body).await;
        }
    }
}
