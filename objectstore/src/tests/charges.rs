//! Whose memory an upload's buffers are: each that may outlive its request keeps what the upload is charged to.

use super::ingest::request;
use crate::world::{World, bytes, key};
use crate::{Expect, IngestEntry, Metadata, PutRequest, StorageClass, Versioning};
use engine::fault::Point;
use engine::memory::MemoryHold;
use engine::unit::ByteCount;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

/// Sends so many pieces, gives up when they wait for the disk, and looks whether what waits there is charged.
async fn given_up_at_the_disk(deduplicates: bool, pieces: u64, is_large: bool) {
    let world = World::new(900).await;
    let before = world.create("before", Versioning::Off).await;
    let bucket = world.create("bucket", Versioning::Off).await;
    world.store.set_deduplication(&bucket, deduplicates).await.unwrap();
    let (opens, shut) = channel::<()>();
    let (met, at_it) = channel();
    let shut = Mutex::new(shut);
    world.faults().visit(Point::SegmentWrite, move || {
        let _told = met.send(());
        let _open = shut.lock().unwrap().recv();
    });
    let mut first = world.store.put(PutRequest::new(before, key("first"))).await.unwrap();
    first.write(bytes(0, PIECE)).await.unwrap();
    let first = tokio::spawn(first.finish(Expect::default()));
    until_met(&at_it).await;

    let charged = Arc::new(());
    let upload = world.store.put(PutRequest::new(bucket, key("k"))).await.unwrap();
    let mut upload = upload.charged_to(MemoryHold::new(charged.clone()));
    let task = tokio::spawn(async move {
        for n in 0..pieces {
            upload.write(bytes(n, PIECE)).await?;
        }
        upload.finish(Expect::default()).await
    });
    if is_large {
        // It has a lane of its own.
        until_met(&at_it).await;
    } else {
        // More than it does until it waits behind the first one.
        turns(1_000, || ()).await;
    }
    task.abort();
    assert!(task.await.is_err_and(|error| error.is_cancelled()), "nothing was waited for");
    turns(10_000, || assert!(Arc::strong_count(&charged) > 1, "what waits is nobody's")).await;
    drop(opens);
    first.await.unwrap().unwrap();
    while Arc::strong_count(&charged) > 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_record_that_waits_for_the_disk_is_charged_when_its_upload_is_gone() {
    given_up_at_the_disk(false, 1, false).await;
}

#[tokio::test]
async fn what_is_too_little_to_be_deduplicated_is_charged_as_any_record() {
    given_up_at_the_disk(true, 1, false).await;
}

#[tokio::test]
async fn a_pack_that_waits_for_the_disk_is_charged_when_its_upload_is_gone() {
    given_up_at_the_disk(true, 40, true).await;
}

/// So short that its digests are made in place.
const PIECE: usize = 20_000;

async fn until_met(point: &Receiver<()>) {
    while point.try_recv().is_err() {
        tokio::task::yield_now().await;
    }
}

/// Everybody else has so many turns.
async fn turns(count: usize, each: impl Fn()) {
    for _ in 0..count {
        each();
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_entry_of_an_archive_is_charged_to_what_the_archive_is() {
    let world = World::new(901).await;
    let bucket = world.create("bkt", Versioning::Off).await;
    let charged = Arc::new(());
    let ingest = world.store.ingest(request(&bucket)).await.unwrap();
    let mut ingest = ingest.charged_to(MemoryHold::new(charged.clone()));
    assert_eq!(Arc::strong_count(&charged), 3, "this, the archive and its digests");
    let (metadata, class) = (Metadata::default(), StorageClass::default());
    let entry = IngestEntry { key: key("k"), length: ByteCount::new(1), metadata, class };
    let entry = ingest.entry(entry).await.unwrap();
    assert_eq!(Arc::strong_count(&charged), 5, "and the entry and its digests");
    drop((entry, ingest));
    assert_eq!(Arc::strong_count(&charged), 1);
}
