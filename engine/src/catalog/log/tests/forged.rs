//! Frames that a client makes and has the log hold, in keys: nothing may take them for the log's own, wherever they come to lie.

use super::{SHAPE, TABLE, commit, start};
use crate::catalog::log::frame::{self, FILE_HEADER, Frame, HEADER, Kind, Stamp};
use crate::catalog::log::{payload, recover};
use crate::catalog::{Commit, Layout, Write};
use crate::id::PartitionId;
use bytes::Bytes;

/// A key in which a frame of somebody's making begins at a multiple of 8, wherever the key does.
fn forging(forged: &[u8]) -> Commit {
    let key: Vec<u8> = [forged, b"a"].concat().repeat(8);
    let writes = vec![Write::Put(TABLE.key(key), Bytes::new())];
    Commit { writes, ..Commit::new(PartitionId::from_bytes([1; 8]), 0) }
}

/// Frames that would have an opening refuse the log, or apply what is in them, if it took them for its own.
fn forgeries(stamp: Stamp) -> Vec<(&'static str, Vec<u8>)> {
    let at = 0x7f00_0000_0000_0014;
    let frame = Frame { stamp, prior: at, last: at, synced: at, kind: Kind::Seal, layout: Layout::FIRST };
    let sealed = |frame: &Frame, payload: bool| {
        let mut bytes = vec![0; HEADER];
        if payload {
            payload::push(&mut bytes, &commit(9));
        }
        frame::seal(&mut bytes, frame);
        bytes
    };
    let seal = sealed(&frame, false);
    let mut newer = seal.clone();
    newer[45] = Layout::NEWEST.number() + 1;
    let crc = frame::crc32c(&newer[8..]);
    newer[4..8].copy_from_slice(&crc.to_le_bytes());
    let follows = Frame { prior: 3, last: 4, synced: 3, kind: Kind::Group, ..frame };
    let overlaps = Frame { prior: 2, last: 4, ..follows };
    vec![
        ("a seal of what was never written", seal),
        ("a seal of a newer form", newer),
        ("a group that follows", sealed(&follows, true)),
        ("a group that overlaps", sealed(&overlaps, true)),
    ]
}

#[test]
fn frames_in_the_keys_of_a_files_former_life_are_never_taken_for_its_own() {
    // Their makers know what number the file will have, or what numbers files have.
    for (name, forged) in [1, 2].map(Stamp::of_number).into_iter().flat_map(forgeries) {
        let dir = tempfile::tempdir().unwrap();
        let mut log = start(dir.path(), 0);
        let mut bytes = vec![0; HEADER];
        while bytes.len() < 8 << 10 {
            payload::push(&mut bytes, &forging(&forged));
        }
        log.make_room(bytes.len() + 8).unwrap();
        log.append(&mut bytes, 1, Layout::FIRST).unwrap();
        log.sync().unwrap();
        drop(log);
        // Used again, as it stands, for the next file.
        let former = std::fs::read(&recover::find(dir.path()).unwrap()[0].path).unwrap();
        std::fs::write(dir.path().join("spare.tmp"), former).unwrap();
        let mut log = start(dir.path(), 1);
        assert_eq!(log.zeroed(), 0, "that file was taken");
        for version in 2..=3 {
            let mut bytes = vec![0; HEADER];
            payload::push(&mut bytes, &commit(0));
            log.append(&mut bytes, version, Layout::FIRST).unwrap();
            log.sync().unwrap();
        }
        drop(log);
        let last = recover::find(dir.path()).unwrap().pop_back().unwrap();
        let held = std::fs::read(&last.path).unwrap();
        assert_eq!(held.len() as u64, SHAPE.file_bytes);
        let aligned = (FILE_HEADER..held.len()).step_by(8);
        assert!(
            aligned.clone().any(|at| held[at..].starts_with(&forged)),
            "{name}: it lies where frames begin"
        );
        let opened = recover::replay(&recover::find(dir.path()).unwrap(), SHAPE.file_bytes, 1, |_, _| Ok(()));
        assert!(matches!(opened, Ok(3)), "{name}: {opened:?}");
    }
}
