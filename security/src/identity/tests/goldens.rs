//! Golden bytes: made from docs/formats/identities.md by another program. They decode for ever.

use crate::credentials::Token;
use crate::identity::id::EntityId;
use crate::identity::login_row::{self, Assigned, DeviceRow, LoginRow};
use crate::identity::password::{Cost, Hash, Hashes};
use crate::identity::providers::{self, ProviderRow};
use crate::identity::row::{
    self, AccessKeyRow, AccountRow, AliasRow, ByIdRow, Count, DocumentRow, Edge, EdgeRow, EntityRow,
    LastUsedRow, OfKind, PolicyRow, RoleRow, Which,
};
use crate::identity::token::{SessionKind, Vouched};
use crate::identity::{KeyStatus, Kind, PasswordPolicy, Pins, Tag};
use engine::catalog::record::Record;
use engine::clock::Timestamp;
use std::fmt::Debug;

const USER: &str = "0101414944414142434445464748494a4b4c4d4e4f505105416c696365052f6469762f0068e5cf8b01000001047465616d02\
    6d6c012261726e3a6177733a69616d3a3a3131313132323232333333333a706f6c6963792f70";
const ROLE: &str = "010341524f414142434445464748494a4b4c4d4e4f50510172012f0068e5cf8b0100000000027b7d012861726e3a6177733a\
    69616d3a3a3131313132323232333333333a757365722f6469762f416c696365414944414142434445464748494a4b4c4d4e\
    4f5051100e0000010477686174";
const POLICY: &str = "0104414e50414142434445464748494a4b4c4d4e4f50510170012f0068e5cf8b010000000002000000040000000168e5cf8b\
    01000000";
const BY_ID: &str = "0100000019df6690e50105616c696365";
const DOCUMENT: &str = "010068e5cf8b010000107b2253746174656d656e74223a5b5d7d";
const EDGE: &str = "012661726e3a6177733a69616d3a3a6177733a706f6c6963792f526561644f6e6c79416363657373";
const ACCESS_KEY: &str =
    "0100000019df6690e5414944414142434445464748494a4b4c4d4e4f5051020068e5cf8b01000003aabbcc";
const ACCOUNT: &str = "010107636f6d70616e79";
const ALIAS: &str = "0100000019df6690e5";
const LAST_USED: &str = "010068e5cf8b0100000975732d656173742d31027333";
const TOKEN: &str = "0100000019df6690e50241524f414142434445464748494a4b4c4d4e4f5051036a6f620068e5cf8b01000080561cd08b0100\
    0001fb67e5cf8b0100000105616c69636501027b7d0101610162010161012661726e3a6177733a69616d3a3a6177733a706f\
    6c6963792f526561644f6e6c79416363657373010d7365637265742d736563726574";

const LOGIN: &str = "010068e5cf8b0100000568e5cf8b01000001010968e5cf8b01000003aabbcc";
const LOGIN_NEW: &str = "010068e5cf8b0100000068e5cf8b0100000000000000000000000000";
const DEVICE: &str = "020068e5cf8b01000001047465616d026d6c01414944414142434445464748494a4b4c4d4e4f50510168e5cf8b010000fdff\
    ffffffffffff2aaa60030000000003aabbcc";
const DEVICE_NEW: &str = "020068e5cf8b0100000000000000000000008001aa";
const DEVICE_NEW_1: &str = "010068e5cf8b010000000001aa";
const PASSWORD_POLICY: &str = "010c0000000100010001015a00000000000000000101000000";
const PROVIDER: &str = "011c68747470733a2f2f6c6f67696e2e746573742f7265616c6d732f6d6c0068e5cf8b0100000207747261696e6572056f74\
    6865720128303132333435363738396162636465663031323334353637383961626364656630313233343536370104746561\
    6d026d6c";
const PROVIDER_NEW: &str = "0115687474703a2f2f6c6f63616c686f73743a383038300068e5cf8b010000000000";
const WEB_TOKEN: &str = "0100000019df6690e50541524f414142434445464748494a4b4c4d4e4f5051036a6f620068e5cf8b01000080561cd08b0100\
    000000000000000000000000000000000d7365637265742d736563726574146c6f67696e2e746573742f7265616c6d732f6d\
    6c07747261696e657205616c6963650203707764036f7470";
const HASHES: &str = "0101004c00000200000001000000111111111111111111111111111111112222222222222222222222222222222222222222\
    222222222222222222222222";

fn at() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000)
}

fn id(prefix: &str) -> EntityId {
    format!("{prefix}ABCDEFGHIJKLMNOPQ").parse().unwrap()
}

fn golden<R: Record + PartialEq + Debug>(golden: &str, row: &R) {
    let bytes = hex::decode(golden).unwrap();
    assert_eq!(hex::encode(row.to_bytes()), golden);
    assert_eq!(&R::from_bytes(&bytes).unwrap(), row);
    for cut in 0..bytes.len() {
        R::from_bytes(&bytes[..cut]).unwrap_err();
    }
    let mut newer = bytes;
    newer[0] = R::VERSION + 1;
    assert!(
        matches!(R::from_bytes(&newer), Err(engine::Error::Newer { found, .. }) if found == u32::from(newer[0]))
    );
}

fn entity(id: EntityId, name: &str, path: &str, of_kind: OfKind) -> EntityRow {
    EntityRow {
        id,
        name: name.into(),
        path: path.into(),
        created: at(),
        tags: Vec::new(),
        boundary: None,
        of_kind,
    }
}

#[test]
fn golden_entities() {
    let user = EntityRow {
        tags: vec![Tag { key: "team".into(), value: "ml".into() }],
        boundary: Some("arn:aws:iam::111122223333:policy/p".into()),
        ..entity(id("AIDA"), "Alice", "/div/", OfKind::User)
    };
    golden(USER, &user);
    let role = RoleRow {
        trust: "{}".into(),
        pins: Pins(vec![("arn:aws:iam::111122223333:user/div/Alice".into(), id("AIDA"))]),
        max_session_secs: 3600,
        description: Some("what".into()),
    };
    golden(ROLE, &entity(id("AROA"), "r", "/", OfKind::Role(role)));
    let updated = Timestamp::from_millis(at().as_millis() + 1);
    let policy = PolicyRow { default: 2, next: 4, updated, description: None };
    golden(POLICY, &entity(id("ANPA"), "p", "/", OfKind::Policy(policy)));
    let mut unknown = hex::decode(USER).unwrap();
    unknown[1] = 9;
    EntityRow::from_bytes(&unknown).unwrap_err();
}

#[test]
fn golden_rows() {
    let account = super::own();
    golden(BY_ID, &ByIdRow { account, kind: Kind::User, lower: "alice".into() });
    golden(DOCUMENT, &DocumentRow { created: at(), text: r#"{"Statement":[]}"#.into() });
    golden(EDGE, &EdgeRow { arn: "arn:aws:iam::aws:policy/ReadOnlyAccess".into() });
    let status = KeyStatus::Inactive;
    let key = AccessKeyRow {
        account,
        owner: id("AIDA"),
        status,
        created: at(),
        sealed: Box::new([0xaa, 0xbb, 0xcc]),
    };
    golden(ACCESS_KEY, &key);
    golden(ACCOUNT, &AccountRow { alias: Some("company".into()) });
    golden(ALIAS, &AliasRow { account });
    golden(LAST_USED, &LastUsedRow { at: at(), region: "us-east-1".into(), service: "s3".into() });
}

#[test]
fn golden_rows_of_passwords_and_second_factors() {
    let later = |ms| Timestamp::from_millis(at().as_millis() + ms);
    let sealed: Box<[u8]> = Box::new([0xaa, 0xbb, 0xcc]);
    let login = LoginRow {
        created: at(),
        changed: later(5),
        reset_required: true,
        last_used: Some(later(9)),
        sealed: sealed.clone(),
    };
    golden(LOGIN, &login);
    let new =
        LoginRow { changed: at(), reset_required: false, last_used: None, sealed: Box::new([]), ..login };
    golden(LOGIN_NEW, &new);
    let assigned = Assigned { user: id("AIDA"), enabled: later(1), drift: -3 };
    let tags = vec![Tag { key: "team".into(), value: "ml".into() }];
    let row = DeviceRow { created: at(), tags, assigned: Some(assigned), last: 56_666_666, sealed };
    golden(DEVICE, &row);
    let mut first = hex::decode(DEVICE).unwrap();
    first[0] = 1;
    assert_eq!(DeviceRow::from_bytes(&first).unwrap(), row);
    let sealed = Box::new([0xaa]);
    let new = DeviceRow { created: at(), tags: Vec::new(), assigned: None, last: i64::MIN, sealed };
    golden(DEVICE_NEW, &new);
    assert_eq!(DeviceRow::from_bytes(&hex::decode(DEVICE_NEW_1).unwrap()).unwrap(), new);
    let policy = PasswordPolicy {
        length_min: 12,
        symbols: true,
        uppercase: true,
        users_may_change: true,
        age_max_days: Some(90),
        hard_expiry: Some(true),
        ..PasswordPolicy::default()
    };
    golden(PASSWORD_POLICY, &policy);
    let cost = Cost { memory_kib: 19_456, passes: 2, lanes: 1 };
    golden(HASHES, &Hashes(vec![Hash { cost, salt: [0x11; 16], hash: [0x22; 32] }]));
}

#[test]
fn golden_providers() {
    let row = ProviderRow {
        url: "https://login.test/realms/ml".into(),
        created: at(),
        clients: vec!["trainer".into(), "other".into()],
        thumbprints: vec!["0123456789abcdef0123456789abcdef01234567".into()],
        tags: vec![Tag { key: "team".into(), value: "ml".into() }],
    };
    golden(PROVIDER, &row);
    let new = ProviderRow {
        url: "http://localhost:8080".into(),
        created: at(),
        clients: Vec::new(),
        thumbprints: Vec::new(),
        tags: Vec::new(),
    };
    golden(PROVIDER_NEW, &new);
}

#[test]
fn golden_token() {
    let token = Token {
        account: super::own(),
        kind: SessionKind::Role,
        entity: id("AROA"),
        name: "job".into(),
        issued: at(),
        expires: Timestamp::from_millis(at().as_millis() + 3_600_000),
        mfa: Some(Timestamp::from_millis(at().as_millis() - 5)),
        source_identity: Some("alice".into()),
        tags: vec![Tag { key: "a".into(), value: "b".into() }],
        transitive: vec!["a".into()],
        bounded: true,
        policy: Some("{}".into()),
        policy_arns: vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".into()],
        secret: zeroize::Zeroizing::new("secret-secret".to_owned()),
        vouched: None,
    };
    golden(TOKEN, &token);
    let vouched = Vouched {
        issuer: "login.test/realms/ml".into(),
        audience: "trainer".into(),
        subject: "alice".into(),
        methods: vec!["pwd".into(), "otp".into()],
    };
    let web = Token {
        kind: SessionKind::Web,
        mfa: None,
        source_identity: None,
        tags: Vec::new(),
        transitive: Vec::new(),
        bounded: false,
        policy: None,
        policy_arns: Vec::new(),
        vouched: Some(vouched),
        ..token.clone()
    };
    golden(WEB_TOKEN, &web);
    assert!(!format!("{token:?}").contains("secret"), "debug output shows no secret");
}

#[test]
fn golden_keys() {
    let (account, user, policy) = (super::own(), id("AIDA"), id("ANPA"));
    let inline = Which::Inline("Name".into());
    for (key, golden) in [
        (row::entity(account, Kind::User, "alice"), "00000019df6690e501616c696365"),
        (
            row::document(account, user, &inline),
            "00000019df6690e5414944414142434445464748494a4b4c4d4e4f5051014e616d65",
        ),
        (
            row::document(account, policy, &Which::Version(3)),
            "00000019df6690e5414e50414142434445464748494a4b4c4d4e4f50510200000003",
        ),
        (
            row::holder(account, policy, Edge::Boundary, user),
            "00000019df6690e5414e50414142434445464748494a4b4c4d4e4f505102414944414142434445464748494a4b4c4d4e4f5051",
        ),
        (login_row::login(account, user), "00000019df6690e5414944414142434445464748494a4b4c4d4e4f5051"),
        (login_row::device(account, "/lab/a"), "00000019df6690e52f6c61622f61"),
        (
            login_row::device_of(account, user, "/a"),
            "00000019df6690e5414944414142434445464748494a4b4c4d4e4f50512f61",
        ),
        (login_row::password_policy(account), "00000019df6690e5"),
        (
            providers::provider(account, "login.test/realms/ml"),
            "00000019df6690e56c6f67696e2e746573742f7265616c6d732f6d6c",
        ),
        (
            Count::InlineChars.row(account, user),
            "00000019df6690e5414944414142434445464748494a4b4c4d4e4f505109",
        ),
    ] {
        assert_eq!(hex::encode(key.bytes), golden);
    }
}
