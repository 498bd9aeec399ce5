//! Goldens, flipped bytes, torn tails and damage.

mod cuts;
mod forged;

use super::files::{LogFile, LogWriter, PAGE, Shape};
use super::frame::{self, FILE_HEAD, FILE_HEADER, FileHeader, Frame, HEADER, Kind, Stamp};
use super::payload::{self, Logged};
use super::recover;
use super::since::{self, LogPlace};
use crate::catalog::{Commit, Family, Layout, Table, Version, Write};
use crate::entropy::{Entropy, SeededEntropy};
use crate::fault::Faults;
use crate::id::{IdempotencyId, PartitionId};
use crate::{Error, Result};
use bytes::Bytes;
use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const TABLE: Table = Table { family: Family::Index, tag: 9 };
const COUNTER: Table = Table { family: Family::Counter, tag: 2 };
const SHAPE: Shape = Shape { file_bytes: 16 << 10, retained: 1 };
const SHAPE_ROOM: usize = (16 << 10) - FILE_HEAD;

fn commit(n: u8) -> Commit {
    let mut commit = Commit::new(PartitionId::from_bytes([1, 2, 3, 4, 5, 6, 7, 8]), 0);
    commit.idempotency = Some(IdempotencyId::from_bytes([n; 16]));
    commit.writes = vec![
        Write::Put(TABLE.key(&b"key"[..]), Bytes::from_static(b"value")),
        Write::Delete(TABLE.key(&b""[..])),
        Write::Add(COUNTER.key(&b"n"[..]), -2),
    ];
    commit
}

const FRAME: Frame = Frame {
    stamp: Stamp::of_number(3),
    prior: 7,
    last: 8,
    synced: 6,
    kind: Kind::Group,
    layout: Layout::FIRST,
};

fn golden() -> Vec<u8> {
    sealed(&FRAME)
}

fn sealed(header: &Frame) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    payload::push(&mut bytes, &commit(9));
    frame::seal(&mut bytes, header);
    bytes
}

const GOLDEN: &str = "66677270ae026a670300000000000000070000000000000008000000000000000600000000000000\
    47000000010100000102030405060708010909090909090909090909090909090903000000010209\
    030000006b65790500000076616c756502020900000000030502010000006efeffffffffffffff00";

/// The same group, of commits that a reader must know of policies for.
const GOLDEN_OF_POLICIES: &str = "66677270da58ebfd0300000000000000070000000000000008000000000000000600000000000000\
    47000000010200000102030405060708010909090909090909090909090909090903000000010209\
    030000006b65790500000076616c756502020900000000030502010000006efeffffffffffffff00";

/// The same group, of commits that a reader must know of identities for.
const GOLDEN_OF_IDENTITIES: &str = "66677270c39a05cd0300000000000000070000000000000008000000000000000600000000000000\
    47000000010400000102030405060708010909090909090909090909090909090903000000010209\
    030000006b65790500000076616c756502020900000000030502010000006efeffffffffffffff00";

/// The same group, of commits that a reader must know of lifecycle rules for.
const GOLDEN_OF_LIFECYCLES: &str = "66677270efac7abb0300000000000000070000000000000008000000000000000600000000000000\
    47000000010500000102030405060708010909090909090909090909090909090903000000010209\
    030000006b65790500000076616c756502020900000000030502010000006efeffffffffffffff00";

/// The same group, of commits that a reader must know of managed keys for.
const GOLDEN_OF_KEYS: &str = "66677270b7c084570300000000000000070000000000000008000000000000000600000000000000\
    47000000010700000102030405060708010909090909090909090909090909090903000000010209\
    030000006b65790500000076616c756502020900000000030502010000006efeffffffffffffff00";

/// The same group, of commits that a reader must know of envelopes for.
const GOLDEN_OF_ENVELOPES: &str = "66677270f11ed8ac0300000000000000070000000000000008000000000000000600000000000000\
    47000000010800000102030405060708010909090909090909090909090909090903000000010209\
    030000006b65790500000076616c756502020900000000030502010000006efeffffffffffffff00";

/// The same group, of commits that a reader must know of vaults for.
const GOLDEN_OF_VAULTS: &str = "66677270dd28a7da0300000000000000070000000000000008000000000000000600000000000000\
    47000000010900000102030405060708010909090909090909090909090909090903000000010209\
    030000006b65790500000076616c756502020900000000030502010000006efeffffffffffffff00";

#[test]
fn golden_frames_encode_and_decode() {
    for (golden, layout) in [
        (GOLDEN, Layout::FIRST),
        (GOLDEN_OF_POLICIES, Layout::POLICIES),
        (GOLDEN_OF_IDENTITIES, Layout::IDENTITIES),
        (GOLDEN_OF_LIFECYCLES, Layout::LIFECYCLES),
        (GOLDEN_OF_KEYS, Layout::KEYS),
        (GOLDEN_OF_ENVELOPES, Layout::ENVELOPES),
        (GOLDEN_OF_VAULTS, Layout::VAULTS),
    ] {
        let bytes = sealed(&Frame { layout, ..FRAME });
        let hex = |byte: usize| u8::from_str_radix(&golden[2 * byte..2 * byte + 2], 16).unwrap();
        assert_eq!(bytes, (0..golden.len() / 2).map(hex).collect::<Vec<_>>());
        let (header, body, total) = frame::parse(&bytes).unwrap().unwrap();
        assert_eq!((header, total), (Frame { layout, ..FRAME }, bytes.len()));
        let Commit { partition, idempotency, writes, .. } = commit(9);
        let decoded = payload::decode(Bytes::copy_from_slice(body)).unwrap();
        assert_eq!(decoded, [Logged { partition, idempotency, writes }]);
    }
}

#[test]
fn every_flipped_byte_of_a_frame_is_refused() {
    let good = golden();
    for at in 0..good.len() {
        for mask in [0x01, 0x80, 0xFF] {
            let mut bad = good.clone();
            bad[at] ^= mask;
            assert!(frame::parse(&bad).unwrap().is_none(), "byte {at}");
        }
    }
    for cut in 0..good.len() {
        assert!(frame::parse(&good[..cut]).unwrap().is_none());
    }
}

#[test]
fn newer_forms_are_refused_by_name() {
    // 3 and 6 were never given out.
    for unknown in [3, 6, Layout::NEWEST.number() + 1] {
        let mut newer = golden();
        newer[45] = unknown;
        let crc = frame::crc32c(&newer[8..]);
        newer[4..8].copy_from_slice(&crc.to_le_bytes());
        let refused = frame::parse(&newer);
        let newest = u32::from(Layout::NEWEST.number());
        assert!(
            matches!(refused, Err(Error::Newer { found, supported, .. }) if found == u32::from(unknown) && supported == newest)
        );
    }
    let mut newer = FileHeader { log: 1, start: 2 }.encode(Stamp::of_number(7));
    newer[8] = 3;
    let crc = frame::crc32c(&newer[..28]);
    newer[28..32].copy_from_slice(&crc.to_le_bytes());
    assert!(matches!(FileHeader::decode(&newer, "log"), Err(Error::Newer { found: 3, supported: 2, .. })));
}

#[test]
fn golden_heads_of_files_and_their_flipped_bytes() {
    let header = FileHeader { log: 0x0102, start: 0x0304 };
    let stamp = Stamp::of_number(0x1122_3344_5566_7788);
    let bytes = header.encode(stamp);
    assert_eq!(bytes.len(), FILE_HEAD);
    assert_eq!(&bytes[..32], b"firnclog\x02\0\0\0\x02\x01\0\0\0\0\0\0\x04\x03\0\0\0\0\0\0\xb1\x0a\x8e\x39");
    assert_eq!(
        &bytes[FILE_HEADER..],
        b"fgrp\xce\xa3\x85\x3d\x88\x77\x66\x55\x44\x33\x22\x11\x04\x03\0\0\0\0\0\0\x04\x03\0\0\0\0\0\0\
          \x04\x03\0\0\0\0\0\0\0\0\0\0\x02\x01\0\0"
    );
    assert_eq!(FileHeader::decode(&bytes, "log").unwrap(), (header, stamp));
    for at in 0..FILE_HEAD {
        let mut bad = bytes.clone();
        bad[at] ^= 0x10;
        assert!(matches!(FileHeader::decode(&bad, "log"), Err(Error::Corrupt { .. })), "byte {at}");
        assert!(matches!(FileHeader::decode(&bytes[..at], "log"), Err(Error::Corrupt { .. })), "{at} bytes");
    }
    // A seal of its own, but not the one that it began with.
    let other = FileHeader { start: 0x0305, ..header }.encode(stamp);
    let mixed = [&bytes[..FILE_HEADER], &other[FILE_HEADER..]].concat();
    assert!(matches!(FileHeader::decode(&mixed, "log"), Err(Error::Corrupt { .. })));
    // Who knows the first form alone reads a page, finds it whole and of a newer form, and says so.
    assert!(bytes[32..FILE_HEADER].iter().all(|byte| *byte == 0));
}

/// A file of the first form as firn wrote it before there was another, up to where its zeros begin: what `write(dir, 0..3, true)` left.
pub(in crate::catalog) fn numbered() -> Vec<u8> {
    let hex = |text: &str| -> Vec<u8> {
        let byte = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
        (0..text.len() / 2).map(byte).collect()
    };
    let mut bytes = hex("6669726e636c6f670100000001000000000000000000000000000000b178248d");
    bytes.resize(FILE_HEADER, 0);
    bytes.extend(hex(NUMBERED_FRAMES));
    bytes
}

const NUMBERED_FRAMES: &str = "66677270f101cd9301000000000000000000000000000000010000000000000000000000000000004700000001010000\
    0102030405060708010000000000000000000000000000000003000000010209030000006b65790500000076616c7565\
    02020900000000030502010000006efeffffffffffffff0066677270ba826b7601000000000000000100000000000000\
    020000000000000001000000000000004700000001010000010203040506070801010101010101010101010101010101\
    0103000000010209030000006b65790500000076616c756502020900000000030502010000006efeffffffffffffff00\
    6667727019d7254101000000000000000200000000000000030000000000000002000000000000004700000001010000\
    0102030405060708010202020202020202020202020202020203000000010209030000006b65790500000076616c7565\
    02020900000000030502010000006efeffffffffffffff0066677270c433960001000000000000000300000000000000\
    030000000000000003000000000000000000000002010000";

#[test]
fn a_file_of_the_first_form_is_read_and_gone_on_from() {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = numbered();
    bytes.resize(usize::try_from(SHAPE.file_bytes).unwrap(), 0);
    let path = dir.path().join("0000000000000001.log");
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(replay(dir.path(), 0).unwrap(), (3, vec![1, 2, 3]));
    let files = recover::find(dir.path()).unwrap();
    let old = shipped(&files, 0, 3, usize::MAX).unwrap();
    assert!(bytes[FILE_HEADER..].starts_with(&old), "shipped as it stands");
    write(dir.path(), 3..6, true);
    assert_eq!(replay(dir.path(), 0).unwrap(), (6, vec![1, 2, 3, 4, 5, 6]));
    let files = recover::find(dir.path()).unwrap();
    let both = shipped(&files, 0, 6, usize::MAX).unwrap();
    assert!(both.starts_with(&old) && both.len() == 2 * old.len(), "frames of both forms follow one another");
    let head = |file: &LogFile| std::fs::read(&file.path).unwrap()[8];
    assert_eq!(files.iter().map(head).collect::<Vec<_>>(), [1, 2]);
    // It is judged as it was: what it says was synced must be there.
    damage(&path, FILE_HEADER + 2 * golden().len() + 60, |bytes| bytes[0] ^= 1);
    assert!(matches!(replay(dir.path(), 0), Err(Error::Corrupt { .. })));
}

#[test]
fn hostile_payloads_are_refused_without_panicking() {
    let good = golden()[HEADER..].to_vec();
    for cut in 1..good.len() - 6 {
        payload::decode(Bytes::copy_from_slice(&good[..cut])).unwrap_err();
    }
    let mut huge = good;
    huge[25..29].fill(0xFF);
    payload::decode(huge.into()).unwrap_err();
}

/// What a writer is given from outside: each has other stamps.
fn parts() -> (Arc<dyn Entropy>, Arc<Faults>) {
    static SEED: AtomicU64 = AtomicU64::new(0);
    (Arc::new(SeededEntropy::new(SEED.fetch_add(1, Ordering::Relaxed))), Arc::default())
}

fn write(dir: &Path, groups: std::ops::Range<u8>, sealed: bool) {
    let found = recover::find(dir).unwrap();
    let start = Version::from(groups.start);
    let mut log = LogWriter::start(dir, SHAPE, parts(), found, (start, 0)).unwrap();
    for n in groups {
        let mut bytes = vec![0; HEADER];
        payload::push(&mut bytes, &commit(n));
        log.make_room(bytes.len() + 8).unwrap();
        log.append(&mut bytes, Version::from(n) + 1, Layout::FIRST).unwrap();
        log.sync().unwrap();
    }
    if sealed {
        log.seal_when_idle().unwrap();
    }
}

fn replay(dir: &Path, applied: Version) -> Result<(Version, Vec<Version>)> {
    let mut seen = Vec::new();
    let reached = recover::replay(&recover::find(dir)?, SHAPE.file_bytes, applied, |frame, bytes| {
        assert_eq!(payload::decode(bytes)?.len(), 1);
        seen.push(frame.last);
        Ok(())
    })?;
    Ok((reached, seen))
}

/// The newest log file and the offset of its `n`th frame.
fn frame_at(dir: &Path, n: usize) -> (PathBuf, usize) {
    let path = recover::find(dir).unwrap().back().unwrap().path.clone();
    (path, FILE_HEAD + n * golden().len())
}

fn damage(path: &Path, at: usize, with: impl FnOnce(&mut [u8])) {
    let mut bytes = std::fs::read(path).unwrap();
    with(&mut bytes[at..]);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn replays_exactly_what_the_rows_lack_over_several_files() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 0..200, true);
    assert!(recover::find(dir.path()).unwrap().len() > 1);
    for applied in [0, 1, 77, 199, 200] {
        let (reached, seen) = replay(dir.path(), applied).unwrap();
        assert_eq!(reached, 200);
        assert_eq!(seen, (applied + 1..=200).collect::<Vec<_>>());
    }
    write(dir.path(), 200..210, true);
    assert_eq!(replay(dir.path(), 150).unwrap().0, 210);
}

#[test]
fn a_torn_tail_is_dropped_and_damage_to_what_was_synced_is_not() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 0..10, false);
    let (path, last) = frame_at(dir.path(), 9);
    damage(&path, last + 60, |bytes| bytes[0] ^= 1);
    assert_eq!(replay(dir.path(), 0).unwrap().0, 9, "the last frame alone may be torn");
    let (path, early) = frame_at(dir.path(), 4);
    damage(&path, early + 60, |bytes| bytes[0] ^= 1);
    assert!(matches!(replay(dir.path(), 0), Err(Error::Corrupt { .. })), "later frames prove a sync");
    assert_eq!(replay(dir.path(), 5).unwrap().0, 9, "the rows hold what the damaged frame held");
}

#[test]
fn a_seal_tells_damage_to_the_last_group_from_a_torn_tail() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 0..10, true);
    let (path, last) = frame_at(dir.path(), 9);
    damage(&path, last, |bytes| bytes[..40].fill(0));
    assert!(matches!(replay(dir.path(), 0), Err(Error::Corrupt { .. })));
    assert_eq!(replay(dir.path(), 10).unwrap().0, 10, "unless the rows hold it");
}

#[test]
fn missing_and_shortened_files_are_damage() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 0..250, true);
    let files = recover::find(dir.path()).unwrap();
    let middle = files[files.len() / 2].path.clone();
    let bytes = std::fs::read(&middle).unwrap();
    std::fs::write(&middle, &bytes[..bytes.len() - 1]).unwrap();
    assert!(matches!(replay(dir.path(), 0), Err(Error::Corrupt { .. })));
    std::fs::remove_file(&middle).unwrap();
    assert!(matches!(replay(dir.path(), 0), Err(Error::Corrupt { .. })));
    std::fs::remove_file(&files[0].path).unwrap();
    assert!(matches!(replay(dir.path(), 0), Err(Error::Corrupt { .. })));
}

#[test]
fn a_file_that_ends_before_the_next_one_starts_is_damage_though_nothing_follows() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 0..10, false);
    let (path, last) = frame_at(dir.path(), 9);
    // Opened again, and nothing written since: that the new file starts at 10 is all that says so.
    drop(start(dir.path(), 10));
    assert_eq!(recover::find(dir.path()).unwrap().len(), 2);
    assert_eq!(replay(dir.path(), 0).unwrap().0, 10);
    damage(&path, last + 60, |bytes| bytes[0] ^= 1);
    assert!(matches!(replay(dir.path(), 0), Err(Error::Corrupt { .. })));
    assert_eq!(replay(dir.path(), 10).unwrap().0, 10, "the rows hold what is missing");
}

#[test]
fn a_file_under_another_ones_name_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 0..10, true);
    let path = recover::find(dir.path()).unwrap()[0].path.clone();
    assert_eq!(path.file_name().unwrap(), "0000000000000001.log");
    for name in ["0000000000000002.log", "1.log", "copy of 0000000000000001.log"] {
        let other = dir.path().join(name);
        std::fs::rename(&path, &other).unwrap();
        assert!(matches!(recover::find(dir.path()), Err(Error::Corrupt { .. })), "{name}");
        std::fs::rename(&other, &path).unwrap();
    }
    // What is no log file at all is nobody's business.
    std::fs::write(dir.path().join("0000000000000001.log.bak"), b"?").unwrap();
    assert_eq!(recover::find(dir.path()).unwrap().len(), 1);
}

#[test]
fn frames_left_behind_a_torn_one_are_never_continued() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 0..6, false);
    let (path, torn) = frame_at(dir.path(), 3);
    let stamp = recover::find(dir.path()).unwrap()[0].stamp;
    // Frames 4 and 5 of an unsynced tail survived, frame 3 did not: nothing says that any of them was synced.
    let bytes = std::fs::read(&path).unwrap();
    let len = golden().len();
    let mut rewritten = bytes;
    rewritten[torn..torn + len].fill(0);
    for n in 4..6u8 {
        let mut frame = vec![0; HEADER];
        payload::push(&mut frame, &commit(n));
        let prior = Version::from(n);
        frame::seal(
            &mut frame,
            &Frame { stamp, prior, last: prior + 1, synced: 3, kind: Kind::Group, layout: Layout::FIRST },
        );
        let at = FILE_HEAD + usize::from(n) * len;
        rewritten[at..at + len].copy_from_slice(&frame);
    }
    std::fs::write(&path, rewritten).unwrap();
    assert_eq!(replay(dir.path(), 0).unwrap().0, 3);
    write(dir.path(), 3..5, true);
    assert_eq!(replay(dir.path(), 0).unwrap(), (5, vec![1, 2, 3, 4, 5]));
    assert_eq!(replay(dir.path(), 4).unwrap(), (5, vec![5]), "from the new file, not the stale frame");
}

#[test]
fn a_frame_of_the_life_before_never_continues_a_recycled_file() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 0..3, false);
    let (path, end) = frame_at(dir.path(), 3);
    let mut stale = vec![0; HEADER];
    payload::push(&mut stale, &commit(3));
    // Whole, and right where the log ends; only the file it was written to is another.
    frame::seal(
        &mut stale,
        &Frame {
            stamp: Stamp::of_number(1),
            prior: 3,
            last: 4,
            synced: 3,
            kind: Kind::Group,
            layout: Layout::FIRST,
        },
    );
    damage(&path, end, |bytes| bytes[..stale.len()].copy_from_slice(&stale));
    assert_eq!(replay(dir.path(), 0).unwrap(), (3, vec![1, 2, 3]));
}

#[test]
fn shipped_frames_are_those_after_a_version_and_never_unsynced() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 0..200, true);
    let files = recover::find(dir.path()).unwrap();
    let all = shipped(&files, 0, 200, usize::MAX).unwrap();
    assert_eq!(all.len(), 200 * golden().len());
    let some = shipped(&files, 150, 180, usize::MAX).unwrap();
    assert_eq!(some.len(), 30 * golden().len());
    let bounded = shipped(&files, 0, 200, 1).unwrap();
    assert_eq!(bounded.len(), golden().len());
    let mut tail = files;
    tail.pop_front();
    assert!(since::read(&tail, LogPlace::after(0), 200, usize::MAX).unwrap().is_none());
}

#[test]
fn a_group_is_shipped_whole_or_asked_for_in_vain() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = start(dir.path(), 0);
    for last in [3, 6] {
        let mut bytes = vec![0; HEADER];
        for n in 0..3 {
            payload::push(&mut bytes, &commit(n));
        }
        log.make_room(bytes.len() + 8).unwrap();
        log.append(&mut bytes, last, Layout::FIRST).unwrap();
        log.sync().unwrap();
    }
    let files = recover::find(dir.path()).unwrap();
    for within in [1, 2, 4, 5] {
        let refused = since::read(&files, LogPlace::after(within), 6, usize::MAX);
        assert!(matches!(&refused, Err(Error::Invalid(_))), "from {within}: {refused:?}");
    }
    let (both, end) = since::read(&files, LogPlace::after(0), 6, usize::MAX).unwrap().unwrap();
    let (second, behind) = since::read(&files, LogPlace::after(3), 6, usize::MAX).unwrap().unwrap();
    assert_eq!((end.version(), behind), (6, end));
    assert!(both.ends_with(&second) && both.len() == 2 * second.len());
}

fn shipped(files: &VecDeque<LogFile>, since: Version, synced: Version, bytes_max: usize) -> Option<Vec<u8>> {
    since::read(files, LogPlace::after(since), synced, bytes_max).unwrap().map(|(frames, _)| frames)
}

#[test]
fn a_reader_that_keeps_its_place_reads_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 0..200, true);
    let files = recover::find(dir.path()).unwrap();
    assert!(files.len() > 1);
    let all = shipped(&files, 0, 200, usize::MAX).unwrap();
    // Through all files, one group at a time, and each frame is damaged as soon as it was read.
    let (mut place, mut pieces) = (LogPlace::after(0), Vec::new());
    let mut at = FILE_HEAD;
    while place.version() < 200 {
        let (frames, next) = since::read(&files, place, 200, 1).unwrap().unwrap();
        assert_eq!((frames.len(), next.version()), (golden().len(), place.version() + 1));
        let holds = |file: &&LogFile| file.header.start <= place.version();
        let file = files.iter().rfind(holds).unwrap();
        if file.header.start == place.version() {
            at = FILE_HEAD;
        }
        damage(&file.path, at, |bytes| bytes[HEADER] ^= 1);
        (place, at) = (next, at + frames.len());
        pieces.extend(frames);
    }
    assert!(pieces == all);
    assert_eq!(since::read(&files, place, 200, 1).unwrap(), Some((Vec::new(), place)));
    let anew = since::read(&files, LogPlace::after(0), 200, 1);
    assert!(matches!(anew, Err(Error::Corrupt { .. })), "{anew:?}");
}

#[test]
fn whole_pages_are_written_and_the_next_file_has_nothing_of_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = LogWriter::start(dir.path(), SHAPE, parts(), VecDeque::new(), (0, 0)).unwrap();
    let (mut at, mut ends) = (FILE_HEAD, BTreeSet::new());
    for n in 0..200 {
        let mut bytes = vec![0; HEADER];
        payload::push(&mut bytes, &commit(n));
        bytes.extend(vec![n; usize::from(n % 7) * 700]);
        if log.make_room(bytes.len() + 8).unwrap() {
            at = FILE_HEAD;
        }
        let path = recover::find(dir.path()).unwrap().back().unwrap().path.clone();
        let whole = std::fs::read(&path).unwrap();
        let (first, last) = (at / PAGE * PAGE, at.next_multiple_of(PAGE).min(whole.len()));
        // What is on the disk of a page that nobody has in memory is nothing that the writer looks at.
        damage(&path, first, |page| page[..last - first].fill(0xAA));
        let group = bytes.len();
        log.append(&mut bytes, Version::from(n) + 1, Layout::FIRST).unwrap();
        log.sync().unwrap();
        let end = at + group.next_multiple_of(8);
        let now = std::fs::read(&path).unwrap();
        assert_eq!((now.len(), &now[..at]), (whole.len(), &whole[..at]), "before group {n}");
        assert!(now[at..end] == bytes[..], "group {n}");
        assert!(now[end..].iter().all(|byte| *byte == 0), "behind group {n}");
        at = end;
        ends.insert(end % PAGE);
    }
    let files = recover::find(dir.path()).unwrap().len();
    assert!(files > 3 && ends.len() > 10, "{files} {}", ends.len());
    assert_eq!(replay_of_any(dir.path()), 200);
}

/// How far the frames go, whatever is in them.
fn replay_of_any(dir: &Path) -> Version {
    recover::replay(&recover::find(dir).unwrap(), SHAPE.file_bytes, 0, |_, _| Ok(())).unwrap()
}

#[test]
fn a_frame_larger_than_a_piece_is_read_whole() {
    let dir = tempfile::tempdir().unwrap();
    let shape = Shape { file_bytes: 4 << 20, ..SHAPE };
    let mut log = LogWriter::start(dir.path(), shape, parts(), VecDeque::new(), (0, 0)).unwrap();
    for version in 1..=3 {
        let mut bytes = vec![7; HEADER + 700_000];
        log.make_room(bytes.len() + 8).unwrap();
        log.append(&mut bytes, version, Layout::FIRST).unwrap();
        log.sync().unwrap();
    }
    let files = recover::find(dir.path()).unwrap();
    let (frames, place) = since::read(&files, LogPlace::after(0), 3, usize::MAX).unwrap().unwrap();
    assert_eq!((frames.len(), place.version()), (3 * (HEADER + 700_000_usize.next_multiple_of(8)), 3));
    assert_eq!(shipped(&files, 2, 3, usize::MAX).unwrap().len(), frames.len() / 3);
}

/// Yields until the next file is ready.
fn spare_ready(log: &LogWriter) {
    while !log.spare_ready() {
        std::thread::yield_now();
    }
}

fn start(dir: &Path, at: Version) -> LogWriter {
    let found = recover::find(dir).unwrap();
    LogWriter::start(dir, SHAPE, parts(), found, (at, at)).unwrap()
}

#[test]
fn a_rotation_takes_the_spare_and_retires_what_nobody_needs() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = start(dir.path(), 0);
    let zeroed = log.zeroed();
    for n in 0..20u8 {
        spare_ready(&log);
        let mut bytes = vec![0; HEADER];
        payload::push(&mut bytes, &commit(n));
        // A frame that fits an empty file and no other.
        assert_eq!(log.make_room(SHAPE_ROOM).unwrap(), n > 0);
        log.append(&mut bytes, Version::from(n) + 1, Layout::FIRST).unwrap();
        log.trim(Version::from(n));
    }
    assert_eq!((log.waits(), log.zeroed()), (0, zeroed), "nothing was made while somebody waited");
    drop(log);
    let held = recover::find(dir.path()).unwrap();
    assert_eq!(held.len(), SHAPE.retained + 1);
    assert_eq!(held.back().unwrap().header.log, 20);
}

#[test]
fn opening_takes_the_spare_that_was_left_and_finishes_half_of_one_later() {
    let dir = tempfile::tempdir().unwrap();
    let log = start(dir.path(), 0);
    assert_eq!(log.zeroed(), SHAPE.file_bytes, "there was none");
    spare_ready(&log);
    drop(log);
    let log = start(dir.path(), 0);
    assert_eq!(log.zeroed(), 0, "the spare was used");
    spare_ready(&log);
    drop(log);
    let spare = dir.path().join("spare.tmp");
    std::fs::OpenOptions::new().write(true).open(&spare).unwrap().set_len(5000).unwrap();
    let log = start(dir.path(), 0);
    assert_eq!(log.zeroed(), SHAPE.file_bytes, "half a spare is none");
    spare_ready(&log);
    drop(log);
    assert_eq!(std::fs::metadata(&spare).unwrap().len(), SHAPE.file_bytes);
    assert_eq!(recover::find(dir.path()).unwrap().len(), 1, "files that hold nothing go");
}

#[test]
fn files_are_not_let_go_while_somebody_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 0..250, true);
    let held = recover::find(dir.path()).unwrap().len();
    assert!(held > SHAPE.retained + 1);
    let found = recover::find(dir.path()).unwrap();
    let log = LogWriter::start(dir.path(), SHAPE, parts(), found, (250, 0)).unwrap();
    log.files().read(|files| {
        log.trim(250);
        assert_eq!(files.len(), held + 1);
    });
    assert_eq!(log.files().read(std::collections::VecDeque::len), held + 1, "nothing went");
    log.trim(250);
    assert_eq!(log.files().read(std::collections::VecDeque::len), SHAPE.retained + 1);
    drop(log);
    assert_eq!(recover::find(dir.path()).unwrap().len(), SHAPE.retained + 1);
}
