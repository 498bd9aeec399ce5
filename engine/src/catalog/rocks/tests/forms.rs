//! Logs of the first form, and what clients would have taken for frames of one.

use super::{COUNTERS, HERE, TABLE, files, get, open, options, put};
use crate::catalog::log::frame::{self, Frame, HEADER, Kind, Stamp};
use crate::catalog::log::tests::numbered;
use crate::catalog::rocks::RocksCatalog;
use crate::catalog::{Catalog, Commit, Family, Layout, Table, Write};
use crate::clock::{ManualClock, Timestamp};
use crate::id::PartitionId;
use bytes::Bytes;
use std::sync::Arc;

#[tokio::test]
async fn a_catalog_whose_log_is_of_the_first_form_opens_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("log");
    std::fs::create_dir(&logs).unwrap();
    // As a kill left it, before anything was flushed.
    std::fs::write(dir.path().join("format"), b"firncatl\x01\0\0\0\x95\x31\xc9\x6a").unwrap();
    let mut log = numbered();
    log.resize(5 << 20, 0);
    std::fs::write(logs.join("0000000000000001.log"), log).unwrap();
    for round in 0..3 {
        let catalog = open(dir.path()).unwrap();
        let view = catalog.snapshot(PartitionId::from_bytes([1, 2, 3, 4, 5, 6, 7, 8])).await.unwrap();
        let row = Table { family: Family::Index, tag: 9 }.key("key");
        assert_eq!(view.get(row).await.unwrap().unwrap(), "value");
        let sum = Table { tag: 2, ..COUNTERS }.key("n");
        assert_eq!(view.get(sum).await.unwrap().unwrap(), Bytes::copy_from_slice(&(-6_i64).to_le_bytes()));
        for before in 0..round {
            assert_eq!(get(&catalog, &before.to_string()).await.unwrap().unwrap(), "later");
        }
        catalog.commit(put(&round.to_string(), "later")).await.unwrap();
    }
    let forms = files(&logs, &[".log"]).into_iter().map(|path| std::fs::read(path).unwrap()[8]);
    assert!(forms.skip(1).all(|form| form == 2), "what is written is of the newest");
}

#[tokio::test]
async fn a_key_that_holds_frames_does_not_keep_the_catalog_from_opening() {
    let dir = tempfile::tempdir().unwrap();
    // In UTF-8, as the keys of objects are.
    let seal = |log| {
        let sealed = |at| {
            let mut seal = vec![0; HEADER];
            let (stamp, kind, layout) = (Stamp::of_number(log), Kind::Seal, Layout::FIRST);
            frame::seal(&mut seal, &Frame { stamp, prior: at, last: at, synced: at, kind, layout });
            seal
        };
        let mut claims =
            (0..1 << 14).map(|more| sealed(0x7f00_0000_0000_0000 + (more % 128) + ((more / 128) << 8)));
        claims.find(|seal| std::str::from_utf8(seal).is_ok()).unwrap()
    };
    let catalog = open(dir.path()).unwrap();
    for n in 0..60 {
        // Eight of them, so that one begins where frames do.
        let key = [&seal(n % 12)[..], b"a"].concat().repeat(8);
        let write = Write::Put(TABLE.key(key), Bytes::new());
        catalog.commit(Commit { writes: vec![write], ..Commit::new(HERE, 0) }).await.unwrap();
    }
    catalog.close();
    drop(catalog);
    let log = files(&dir.path().join("log"), &[".log"]).pop().unwrap();
    std::fs::copy(log, dir.path().join("held")).unwrap();
    // Again and again, in a file that held them.
    for n in 0..4_u32 {
        std::fs::write(dir.path().join("log/spare.tmp"), std::fs::read(dir.path().join("held")).unwrap())
            .unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let opened = RocksCatalog::open(dir.path(), options(&clock, &Arc::default()));
        let catalog = opened.unwrap_or_else(|error| panic!("opening {n}: {error}"));
        catalog.commit(put(&n.to_string(), "there")).await.unwrap();
        catalog.close();
    }
    let catalog = open(dir.path()).unwrap();
    for n in 0..4_u32 {
        assert_eq!(get(&catalog, &n.to_string()).await.unwrap().unwrap(), "there");
    }
}
