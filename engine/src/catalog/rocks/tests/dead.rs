//! Deleted rows: how many a listing may meet in memory.

use super::{BODIES, HERE, clock, options};
use crate::catalog::rocks::RocksCatalog;
use crate::catalog::rocks::sequencer::DEAD_IN_MEMORY_MAX;
use crate::catalog::{Catalog, Commit, Family, Scan, Table, Write};
use crate::fault::Faults;
use bytes::Bytes;
use std::sync::Arc;

const LISTED: Table = Table { family: Family::Index, tag: 1 };

async fn commit(catalog: &RocksCatalog, writes: Vec<Write>) {
    catalog.commit(Commit { writes, ..Commit::new(HERE, 0) }).await.unwrap();
}

/// Fills the log's file up, so that the next one is begun: then the sequencer looks after itself, as it does when it rests.
async fn rotate(catalog: &RocksCatalog) {
    let value = Bytes::from(vec![3; 60 << 10]);
    for turn in 0..2_u32 {
        let row = |n: u32| Write::Put(BODIES.key((turn * 100 + n).to_be_bytes().to_vec()), value.clone());
        commit(catalog, (0..50).map(row).collect()).await;
    }
}

#[tokio::test]
async fn deleted_rows_leave_memory_when_they_are_many_and_a_listing_finds_none_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let options = super::Options { memtable_bytes: 64 << 20, ..options(&clock(), &Arc::<Faults>::default()) };
    let catalog = RocksCatalog::open(dir.path(), options).unwrap();
    let rows = &catalog.shared.rows;
    let key = |n: u64| LISTED.key(n.to_be_bytes().to_vec());
    for (dead, stays) in [(DEAD_IN_MEMORY_MAX / 2, true), (DEAD_IN_MEMORY_MAX + 5_000, false)] {
        for batch in 0..dead / 5_000 {
            let range = batch * 5_000..(batch + 1) * 5_000;
            commit(&catalog, range.clone().map(|n| Write::Put(key(n), Bytes::from_static(b"row"))).collect())
                .await;
            commit(&catalog, range.map(|n| Write::Delete(key(n))).collect()).await;
        }
        commit(&catalog, vec![Write::Put(key(u64::MAX), Bytes::from_static(b"last"))]).await;
        assert_eq!(rows.dead_in_memory().unwrap(), dead);
        rotate(&catalog).await;
        assert_eq!(rows.dead_in_memory().unwrap(), if stays { dead } else { 0 }, "{dead}");
        let view = catalog.snapshot(HERE).await.unwrap();
        assert_eq!(view.scan(Scan::prefix(LISTED, b"", 10)).await.unwrap().rows.len(), 1);
        // What is left goes to the disk, so that the next round begins with nothing.
        rows.flush(true).unwrap();
    }
}
