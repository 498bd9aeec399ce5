//! What goes in comes out, and nothing else does.

use super::{HOME, World, owned, text};
use crate::ErrorKind;
use crate::codec::DataKey;
use crate::id::BlobId;
use futures_util::StreamExt;
use std::os::unix::fs::FileExt;

#[tokio::test]
async fn round_trips_every_size_class() {
    let world = World::new(1).await;
    for len in [0, 1, 4095, 65_535, 65_536, 65_537, 262_143, 262_144, 262_145, 700_000, 5_000_000] {
        let body = world.bytes(len);
        let (blob, key) = world.put(&body, "owner").await.unwrap();
        assert!(world.read(blob, &key, 0..len as u64).await.unwrap() == body, "{len} bytes");
    }
}

#[tokio::test]
async fn ranges_are_exact() {
    let world = World::new(2).await;
    let body = world.bytes(1_500_001);
    let (blob, key) = world.put(&body, "owner").await.unwrap();
    let len = body.len();
    for (start, end) in [
        (0, 0),
        (0, 1),
        (65_535, 65_537),
        (1, len),
        (len - 1, len),
        (len, len),
        (196_608, 196_609),
        (7, 1_200_000),
    ] {
        let got = world.read(blob, &key, start as u64..end as u64).await.unwrap();
        assert!(got == body[start..end], "{start}..{end}");
    }
    let beyond = world.read(blob, &key, 0..len as u64 + 1).await.unwrap_err();
    assert_eq!(beyond.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn an_uncommitted_blob_is_not_there() {
    let world = World::new(3).await;
    let sealed = world.seal(b"nobody refers to me").await.unwrap();
    let error = world.read(sealed.id, &sealed.key, 0..1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_flipped_byte_is_corrupt_and_named_and_the_rest_still_reads() {
    let world = World::new(4).await;
    let body = world.bytes(200_000);
    let (blob, key) = world.put(&body, "owner").await.unwrap();
    let place = world.store.locate(HOME, blob).await.unwrap().remove(0);
    let path = world.dir.path().join(format!("{}.seg", place.segment));
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let at = place.offset.get() + 128 + 70_000;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();

    let error = world.read(blob, &key, 0..200_000).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let message = text(&error);
    assert!(message.contains(&blob.to_string()) && message.contains(&place.segment), "{message}");
    assert!(world.read(blob, &key, 0..65_536).await.unwrap() == body[..65_536]);
    assert!(world.read(blob, &key, 131_072..200_000).await.unwrap() == body[131_072..]);
}

#[tokio::test]
async fn the_wrong_key_reads_nothing() {
    let world = World::new(5).await;
    let (blob, _) = world.put(b"secret", "owner").await.unwrap();
    let wrong = DataKey::from_bytes([1; 32]);
    let mut reader = world.store.read(HOME, blob, &wrong, 0..6);
    assert_eq!(reader.next().await.unwrap().unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(reader.next().await.is_none());
    let unknown = world.read(BlobId::from_bytes([3; 16]), &wrong, 0..1).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn what_was_committed_is_there_after_reopening() {
    let mut world = World::new(6).await;
    let body = world.bytes(900_000);
    let (blob, key) = world.put(&body, "owner").await.unwrap();
    let lost = world.seal(&body).await.unwrap();
    drop(lost);
    world.reopen().await.unwrap();
    assert!(world.read(blob, &key, 0..900_000).await.unwrap() == body);
    let small = world.put(b"more", "owner").await.unwrap();
    assert_eq!(world.read(small.0, &small.1, 0..4).await.unwrap(), b"more");
    world.commit(super::super::share(blob, &owned("second"))).await.unwrap();
    world.drop_reference(blob, "owner").await;
    assert!(world.read(blob, &key, 0..900_000).await.unwrap() == body, "one reference is left");
}
