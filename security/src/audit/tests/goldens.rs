//! Bytes on disk, which stay as they are.

use super::super::deliver::{DigestPlan, FileRow, Plan, Previous, StateRow};
use super::super::render::Caller;
use super::super::row::{self, CutRow, EventRow, Held, Part, Place, SignerRow};
use super::super::trail::TrailRow;
use super::own;
use engine::catalog::record::Record;
use engine::clock::Timestamp;
use std::fmt::Debug;

fn stands<R: Record + PartialEq + Debug>(row: &R, golden: &[u8]) {
    assert_eq!(row.to_bytes(), golden, "{}", String::from_utf8_lossy(&row.to_bytes()));
    assert_eq!(&R::from_bytes(golden).unwrap(), row);
    for cut in 0..golden.len() {
        R::from_bytes(&golden[..cut]).unwrap_err();
    }
    let mut newer = golden.to_vec();
    newer[0] = 2;
    assert!(matches!(R::from_bytes(&newer), Err(engine::Error::Newer { .. })));
}

#[test]
fn golden_keys() {
    let place = Place { number: 0x0102, salt: 0x03 };
    let account = own().to_bytes();
    let at = [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 3];
    assert_eq!(row::history(own(), Part::Denials, place).bytes, [&account[..], &[1], &at].concat());
    assert_eq!(row::queued(own(), [7; 8], place).bytes, [&account[..], &[7; 8], &at].concat());
    assert_eq!(row::ending(own(), [7; 8]).bytes, [&account[..], &[7; 8]].concat());
    assert_eq!(row::read_trail(&row::ending(own(), [7; 8]).bytes).unwrap(), (own(), [7; 8]));
    assert_eq!(row::cut(own(), Part::Denials).bytes, [&account[..], &[1]].concat());
    assert_eq!(row::read_part(&row::cut(own(), Part::Denials).bytes).unwrap(), (own(), Part::Denials));
    assert_eq!(row::trail(own(), "abc").bytes, [&account[..], b"abc"].concat());
    assert_eq!(Place::of_key(&row::queued(own(), [7; 8], place).bytes).unwrap(), place);
    for (held, tail) in [
        (Held::Part(own(), Part::Calls), vec![0]),
        (Held::Trail(own(), [7; 8]), [&[2][..], &[7; 8]].concat()),
        (Held::Strangers(own(), [7; 8]), [&[3][..], &[7; 8]].concat()),
    ] {
        assert_eq!(held.key().bytes, [&account[..], &tail].concat());
        assert_eq!(Held::read(&held.key().bytes).unwrap(), held);
    }
}

#[test]
fn golden_records() {
    let at = Timestamp::from_millis(0x0102);
    let event = EventRow { at, caller: Caller(0x03), record: "{}".to_owned() };
    stands(&event, b"\x01\x02\x01\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x02{}");
    stands(
        &CutRow { at, through: Timestamp::from_millis(3), count: 4 },
        b"\x01\x02\x01\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0",
    );
    stands(
        &SignerRow { made: at, public: vec![1], sealed: vec![2, 3] },
        b"\x01\x02\x01\0\0\0\0\0\0\x01\x01\x02\x02\x03",
    );
    let file = FileRow { bucket: "b".into(), key: "k".into(), hash: "h".into(), oldest: 1, newest: 2 };
    stands(&file, b"\x01\x39{\"bucket\":\"b\",\"key\":\"k\",\"hash\":\"h\",\"oldest\":1,\"newest\":2}");
}

#[test]
fn golden_state_and_trail() {
    let state = StateRow {
        plan: Some(Plan { bucket: "b".into(), key: "k".into(), through: "00".into() }),
        planned: Some(1),
        delivered: None,
        attempted: None,
        error: None,
        since: Some(2),
        digest: Some(DigestPlan { bucket: "b".into(), key: "d".into(), end: 3, through: String::new() }),
        previous: Some(Previous {
            bucket: "b".into(),
            key: "c".into(),
            hash: "h".into(),
            signature: "s".into(),
        }),
        digested: None,
        digest_error: None,
        digest_attempted: None,
    };
    let text = r#"{"plan":{"bucket":"b","key":"k","through":"00"},"planned":1,"delivered":null,"attempted":null,"error":null,"since":2,"digest":{"bucket":"b","key":"d","end":3,"through":""},"previous":{"bucket":"b","key":"c","hash":"h","signature":"s"},"digested":null,"digest_error":null,"digest_attempted":null}"#;
    stands(&state, &framed(text));
    let text = r#"{"id":[1,2,3,4,5,6,7,8],"account":"111122223333","name":"abc","bucket":"b","prefix":null,"validates":true,"is_multi_region":false,"includes_global":true,"is_logging":true,"created":1,"started":2,"stopped":null,"selectors":{"Basic":[{"ReadWriteType":"All","IncludeManagementEvents":true,"DataResources":[],"ExcludeManagementEventSources":[]}]},"tags":[{"key":"k","value":"v"}]}"#;
    let trail = TrailRow::from_bytes(&framed(text)).unwrap();
    stands(&trail, &framed(text));
    let text = text.replace(
        r#"{"Basic":[{"ReadWriteType":"All","IncludeManagementEvents":true,"DataResources":[],"ExcludeManagementEventSources":[]}]}"#,
        r#"{"Advanced":[{"Name":"n","FieldSelectors":[{"Field":"eventCategory","Equals":["Management"]}]}]}"#,
    );
    let trail = TrailRow::from_bytes(&framed(&text)).unwrap();
    stands(&trail, &framed(&text));
    let text = text.replace(r#""stopped":null"#, r#""stopped":3,"ended":4"#);
    let trail = TrailRow::from_bytes(&framed(&text)).unwrap();
    assert_eq!(trail.ended, Some(4));
    stands(&trail, &framed(&text));
}

/// Version, length in LEB128, text.
fn framed(text: &str) -> Vec<u8> {
    let mut out = vec![1];
    let mut left = text.len();
    loop {
        let byte = u8::try_from(left & 0x7f).unwrap();
        left >>= 7;
        out.push(if left == 0 { byte } else { byte | 0x80 });
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(text.as_bytes());
    out
}
