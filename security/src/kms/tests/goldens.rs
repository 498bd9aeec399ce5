//! Rows as docs/formats/kms.md has them, by bytes that were written by hand from its tables.

use super::super::id::KeyId;
use super::super::row::{
    AliasRow, BackingRow, Constraint, GrantRow, How, KeyRow, Party, PolicyRow, Rotation,
};
use super::super::token::GrantToken;
use super::super::{GrantOperation, KeySpec, KeyState, KeyUsage, Manager, Origin};
use super::context;
use crate::identity::{Pins, Tag};
use engine::catalog::record::Record;
use engine::clock::Timestamp;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn holds<R: Record + PartialEq + std::fmt::Debug>(row: &R, golden: &str) {
    let bytes = hex::decode(golden.replace(char::is_whitespace, "")).unwrap();
    assert_eq!(hex::encode(row.to_bytes()), hex::encode(&bytes));
    assert_eq!(R::from_bytes(&bytes).unwrap(), *row);
    for end in 0..bytes.len() {
        R::from_bytes(&bytes[..end]).unwrap_err();
    }
    let mut newer = bytes;
    newer[0] = 2;
    assert!(matches!(R::from_bytes(&newer), Err(engine::Error::Newer { .. })));
}

#[test]
fn golden_rows() {
    let key = KeyRow {
        spec: KeySpec::Symmetric,
        usage: KeyUsage::Encrypt,
        origin: Origin::Own,
        manager: Manager::Customer,
        state: KeyState::PendingDeletion,
        created: at(1_700_000_000_000),
        deletion: Some((7, at(1_700_000_000_001))),
        rotation: Some(Rotation { days: 90, next: at(1_700_000_000_002) }),
        on_demand: 3,
        current: 4,
        description: "d".into(),
        tags: vec![Tag { key: "k".into(), value: "v".into() }],
    };
    holds(
        &key,
        "01 01 01 01 02 03 0068e5cf8b010000 01 07000000 0168e5cf8b010000 01 5a000000 0268e5cf8b010000 03000000 04000000 01 64 01 01 6b 01 76",
    );
    holds(&PolicyRow { text: "{}".into(), pins: Pins::NONE }, "01 02 7b7d 00");
    let backing = BackingRow {
        how: How::Automatic,
        created: at(1_700_000_000_000),
        material_id: [0xaa; 32],
        expires: Some(at(5)),
        sealed: Some(vec![1, 2, 3]),
    };
    let id = "aa".repeat(32);
    holds(&backing, &format!("01 02 0068e5cf8b010000 {id} 01 0500000000000000 01 03 010203"));
    let gone = BackingRow { how: How::Imported, expires: None, sealed: None, ..backing };
    holds(&gone, &format!("01 04 0068e5cf8b010000 {id} 00 00"));
    let alias = AliasRow { key: KeyId::from_bytes([0x11; 16]), created: at(1), updated: at(2) };
    holds(&alias, &format!("01 {} 0100000000000000 0200000000000000", "11".repeat(16)));
    let party = |arn: &str| Party { arn: arn.into(), pins: Pins::NONE, who: [0x22; 16] };
    let grant = GrantRow {
        created: at(1),
        name: Some("n".into()),
        grantee: party("g"),
        retiring: Some(party("r")),
        issuer: "i".into(),
        operations: [GrantOperation::Decrypt, GrantOperation::CreateGrant].into_iter().collect(),
        constraint: Some(Constraint::Subset(context(&[("a", "b")]))),
    };
    let who = "22".repeat(16);
    holds(
        &grant,
        &format!(
            "01 0100000000000000 01 01 6e 01 67 {who} 00 01 01 72 {who} 00 01 69 01020000 02 01 01 61 01 62"
        ),
    );
    let token = GrantToken {
        account: "111122223333".parse().unwrap(),
        key: KeyId::from_bytes([0x11; 16]),
        grant: [0x33; 32],
    };
    holds(&token, &format!("01 00000019df6690e5 {} {}", "11".repeat(16), "33".repeat(32)));
}
