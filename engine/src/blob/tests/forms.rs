//! Records of version 1, which have a BLAKE3 in their frames: nobody writes new ones, and there are many.

use super::super::Place;
use super::workers::sparse;
use super::{HOME, World};
use crate::id::BlobId;
use crate::pool::frame::{FRAME_BYTES, Frame, PayloadSum};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// A record on the disk: its frame and its payload.
struct OnDisk {
    file: File,
    offset: u64,
    frame: Frame,
    payload: Vec<u8>,
}

impl OnDisk {
    fn of(world: &World, place: &Place) -> Self {
        let path = world.pool_dir.join(format!("{}.seg", place.segment));
        let file = File::options().read(true).write(true).open(path).unwrap();
        let (offset, mut frame) = (place.offset.get(), [0; FRAME_BYTES]);
        file.read_exact_at(&mut frame, offset).unwrap();
        let frame = Frame::decode(&frame, "record").unwrap();
        let mut payload = vec![0; frame.payload_len as usize];
        file.read_exact_at(&mut payload, offset + FRAME_BYTES as u64).unwrap();
        Self { file, offset, frame, payload }
    }

    async fn all(world: &World, blobs: &[BlobId]) -> Vec<Self> {
        let mut all = Vec::new();
        for blob in blobs {
            let places = world.store.locate(HOME, *blob).await.unwrap();
            all.extend(places.iter().map(|place| Self::of(world, place)));
        }
        all
    }

    fn hash(&self) -> PayloadSum {
        PayloadSum::Blake3(blake3::hash(&self.payload).into())
    }

    /// As it would have been written.
    fn make_old(&self) {
        let frame = Frame { sum: self.hash(), ..self.frame };
        self.file.write_all_at(&frame.encode(), self.offset).unwrap();
    }
}

#[tokio::test]
async fn records_of_version_1_are_compared_and_keep_their_hash_where_they_are_moved_to() {
    let world = World::new(77).await;
    let kept = sparse(&world, 4).await;
    let blobs: Vec<BlobId> = kept.iter().map(|(blob, ..)| *blob).collect();
    let before = OnDisk::all(&world, &blobs).await;
    for record in &before {
        assert!(matches!(record.frame.sum, PayloadSum::Crc64(_)), "new ones have a checksum");
        record.make_old();
    }
    world.scrub().await;
    assert_eq!(world.store.usage().damaged_records, 0);

    world.settle().await;
    assert!(world.store.usage().moved_bytes.get() > 0);
    let after = OnDisk::all(&world, &blobs).await;
    let moved = before.iter().zip(&after).filter(|(before, after)| {
        assert!(before.payload == after.payload && after.frame.sum == after.hash());
        before.frame.generation != after.frame.generation
    });
    assert!(moved.count() > 0, "some were moved");
    for (blob, key, body) in &kept {
        assert!(world.read(*blob, key, 0..100_000).await.unwrap() == *body);
    }

    let (hit, at) = (&after[1], after[1].offset + FRAME_BYTES as u64 + 5_000);
    hit.file.write_all_at(&[!hit.payload[5_000]], at).unwrap();
    world.scrub().await;
    assert_eq!(world.store.usage().damaged_records, 1, "BLAKE3 is still compared");
}
