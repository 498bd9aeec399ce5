//! The bytes of rows: docs/formats/vault.md.

use crate::inventory::Description;
use crate::pack::{ArchiveId, KeyId, PackId, VaultId};
use crate::retrieval::MediumId;
use crate::tree_hash::{PartSize, TreeHash};
use crate::vault::rows::{
    ArchiveRow, ChunkRow, ConfigRow, FactsRow, Garbage, MediumRow, PackRow, PackState, PieceRow, PlaceRow,
    State, UploadRow, VaultRow,
};
use crate::vault::scrubber::ScrubRow;
use crate::vault::{Notification, Tags};
use engine::catalog::record::Record;
use engine::clock::Timestamp;
use engine::id::{BlobId, PartitionId};
use std::fmt::Debug;

const AT: Timestamp = Timestamp::from_millis(0x0102_0304);

fn check<R: Record + PartialEq + Debug>(row: &R, golden: &str) {
    assert_eq!(hex::encode(row.to_bytes()), golden.replace(' ', ""));
    assert_eq!(R::from_bytes(&row.to_bytes()).unwrap(), *row);
    let bytes = row.to_bytes();
    for cut in 0..bytes.len() {
        R::from_bytes(&bytes[..cut]).unwrap_err();
    }
    let newer = [&[R::VERSION + 1], &bytes[1..]].concat();
    assert!(matches!(R::from_bytes(&newer), Err(engine::Error::Newer { .. })));
}

#[test]
fn golden_rows_of_the_root() {
    let row = VaultRow {
        partition: PartitionId::from_bytes([1; 8]),
        vault: VaultId::from_bytes([2; 16]),
        state: State::Active,
        created: AT,
    };
    check(&row, &format!("01 {} {} 02 0403020100000000", "01".repeat(8), "02".repeat(16)));
    let row = MediumRow { id: MediumId::from_bytes([3; 16]), generation: 9 };
    check(&row, &format!("01 {} 0900000000000000", "03".repeat(16)));
}

#[test]
fn golden_rows_of_archives() {
    let config =
        ConfigRow { vault: VaultId::from_bytes([2; 16]), deduplicates: true, keeps_timetable: false };
    check(&config, &format!("01 {} 01 00", "02".repeat(16)));
    let description = Description::new("a").unwrap();
    let tree_hash = TreeHash::from_bytes([4; 32]);
    let row =
        ArchiveRow { length: 5, tree_hash, created: AT, aged_from: AT, description: description.clone() };
    let golden = format!("01 0500000000000000 {} 0403020100000000 0403020100000000 0161", "04".repeat(32));
    check(&row, &golden);
    let row = PieceRow { blob: BlobId::from_bytes([5; 16]), length: 6, tree_hash, sealed: vec![7, 8] };
    check(&row, &format!("01 {} 0600000000000000 {} 020708", "05".repeat(16), "04".repeat(32)));
    let place = PlaceRow { pack: PackId::from_bytes([6; 16]), length: 7, own_key: None };
    check(&place, &format!("01 {} 0700000000000000 00", "06".repeat(16)));
    let place = PlaceRow { own_key: Some(KeyId::from_bytes([8; 16])), ..place };
    check(&place, &format!("01 {} 0700000000000000 01 {}", "06".repeat(16), "08".repeat(16)));
    let row = UploadRow { part_size: PartSize::new(1 << 20).unwrap(), created: AT, description };
    check(&row, "01 0000100000000000 0403020100000000 0161");
}

#[test]
fn golden_rows_of_packs_and_jobs() {
    let row = PackRow {
        medium: MediumId::from_bytes([3; 16]),
        position: 2,
        bytes: 3,
        sealed: AT,
        state: PackState::Kept,
    };
    let start = format!("01 {} 0200000000000000 0300000000000000 0403020100000000", "03".repeat(16));
    check(&row, &format!("{start} 02"));
    check(&PackRow { state: PackState::Coming, ..row }, &format!("{start} 01"));
    let doomed = PackRow { state: PackState::Doomed { version: 4 }, ..row };
    check(&doomed, &format!("{start} 03 0400000000000000"));
    let row = ChunkRow { pack: PackId::from_bytes([6; 16]), frame: 1, at: 2, length: 3 };
    check(&row, &format!("01 {} 01000000 02000000 03000000", "06".repeat(16)));
    check(&Garbage::All, "01 00");
    check(&Garbage::Before(3), "01 01 0300000000000000");
    let tree_hash = TreeHash::from_bytes([4; 32]);
    let facts = FactsRow {
        archive: Some((ArchiveId::from_bytes([9; 16]), 5, tree_hash)),
        ended: Some(AT),
        output: 6,
        tree_hash: Some(tree_hash),
        marker: "m".into(),
    };
    let hash = "04".repeat(32);
    let golden = format!(
        "01 01 {} 0500000000000000 {hash} 01 0403020100000000 0600000000000000 01 {hash} 016d",
        "09".repeat(16)
    );
    check(&facts, &golden);
    let none = FactsRow { archive: None, ended: None, tree_hash: None, marker: String::new(), ..facts };
    check(&none, "01 00 00 0600000000000000 00 00");
}

#[test]
fn golden_settings() {
    let row = Notification { topic: "t".into(), events: vec!["e".into()] };
    check(&row, "01 0174 01 0165");
    check(&Tags([("k".to_owned(), "v".to_owned())].into()), "01 01 016b 0176");
}

#[test]
fn golden_row_of_a_scrub() {
    check(&ScrubRow { at: AT, is_whole: true }, "01 0403020100000000 01");
    check(&ScrubRow { at: AT, is_whole: false }, "01 0403020100000000 00");
}
