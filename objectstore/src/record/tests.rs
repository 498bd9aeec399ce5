//! Golden bytes: docs/formats/objectstore-rows.md. Old ones stay for ever.

use super::{
    BucketRow, BucketState, CHUNK_TAG_LEN, ChunkRow, Cold, CompletedRow, ConfigRow, Content, Extent,
    ForeignRow, IngestRow, IngestState, IntentRow, ManifestEntry, ManifestGarbage, ManifestPage, ObjectRow,
    PackRow, PartRow, Restore, StagedRow, Stored, UploadGarbage, UploadRow, UsedParts,
};
use crate::envelope::Envelope;
use crate::envelope::managed::Enclosed;
use crate::id::{ManifestId, OwnerId};
use crate::inventory::{Run, Wrote};
use crate::lifecycle::{Phase, Walk};
use crate::setting::{BucketPolicy, Counting, Deduplication, Quota, Quotas};
use crate::{
    BucketAcl, BucketLogging, BucketName, BucketTags, ChecksumAlgorithm, ChecksumType, ChecksumValue, Cors,
    CorsMethod, CorsRule, DefaultKey, DefaultRetention, ETag, EncryptedBy, Encryption, Inventory,
    InventoryField, InventoryFrequency, InventoryVersions, KeyChange, Lifecycle, LifecycleExpiration,
    LifecycleFilter, LifecycleForm, LifecycleRule, ListWish, LockMode, LogKeyFormat, ManagedKey, Metadata,
    NoncurrentExpiration, NoncurrentTransition, Notification, NotificationRule, ObjectChecksum, ObjectLock,
    ObjectOwnership, Origin, OwnershipControls, PartitionDate, Period, PublicAccessBlock, QuotaLimits,
    RequestPayment, RestoreTier, Retention, RoutingCondition, RoutingRedirect, RoutingRule, StorageClass,
    Subresources, Tags, Transition, TransitionMinimum, TransitionWhen, VersionId, VersionName, Versioning,
    WebProtocol, Website, Writer,
};
use archive::pack::ArchiveId;
use archive::retrieval::JobId;
use archive::vault::ArchiveAt;
use bytes::Bytes;
use engine::Error;
use engine::catalog::record::Record;
use engine::clock::Timestamp;
use engine::codec::DataKey;
use engine::id::{BlobId, PartitionId};
use engine::unit::ByteCount;
use security::kms::EncryptionContext;
use security::{AccessList, AccountId, CannedAcl, CanonicalUser, Grant, Grantee, Permission, Principal};
use std::collections::BTreeMap;
use std::sync::Arc;

const HOME: PartitionId = PartitionId::from_bytes([0x11; 8]);
const BLOB: BlobId = BlobId::from_bytes([0x22; 16]);
const OWNER: OwnerId = OwnerId::from_bytes([0x33; 16]);
const MANIFEST: ManifestId = ManifestId::from_bytes([0x44; 16]);
const AT: Timestamp = Timestamp::from_millis(0x0102_0304);

fn sum() -> ChecksumValue {
    ChecksumValue::from_slice(ChecksumAlgorithm::Crc32, &[1, 2, 3, 4]).unwrap()
}

fn extent(content: Content) -> Extent {
    Extent { owner: OWNER, content, offset: 5, length: 6 }
}

fn metadata() -> Metadata {
    let mut metadata = Metadata::default();
    metadata.system.content_type = Some("text/plain".into());
    metadata.system.website_redirect = Some("/x".into());
    metadata.user.insert("a".into(), "1".into());
    metadata
}

fn object() -> ObjectRow {
    let checksum = ObjectChecksum { value: sum(), kind: ChecksumType::Composite, parts: 2 };
    let content = Content::Manifest { home: HOME, manifest: MANIFEST, depth: 1 };
    let etag = ETag::of_parts([9; 16], 2);
    let stored = Stored::new(extent(content), etag, StorageClass::Glacier, Some(checksum), 2);
    ObjectRow {
        version: VersionId { order: 7, salt: 8 },
        null: false,
        modified: AT,
        noncurrent_since: Some(AT),
        stored: Some(stored.with_metadata(metadata())),
        subresources: Subresources::default(),
        sealed: Bytes::from_static(b"sealed"),
    }
}

const MANAGED: Envelope = Envelope::Managed { bucket_key: true };

fn enclosed(envelope: Envelope, subresources: Subresources) -> ObjectRow {
    let row = object();
    ObjectRow { stored: row.stored.clone().map(|stored| stored.enclosed(envelope)), subresources, ..row }
}

fn cold(envelope: Envelope, subresources: Subresources, cold: Cold) -> ObjectRow {
    let mut row = enclosed(envelope, subresources);
    if let Some(stored) = &mut row.stored {
        stored.cold = Some(cold);
    }
    row
}

fn in_vault() -> Cold {
    let (job, until) = (Some(JobId::from_bytes([0x88; 16])), Some(AT));
    Cold {
        archive: Some(ArchiveAt { id: ArchiveId::from_bytes([0x77; 16]), created: AT }),
        restore: Some(Restore { tier: RestoreTier::Bulk, asked: AT, days: 9, job, until }),
    }
}

fn under_way() -> Cold {
    let restore = Restore { tier: RestoreTier::Expedited, asked: AT, days: 1, job: None, until: None };
    Cold { archive: None, restore: Some(restore) }
}

fn tagged() -> Subresources {
    let tags = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())];
    Subresources { tags: Tags::of_object(tags).unwrap(), ..Subresources::default() }
}

fn locked() -> Subresources {
    let retention = Retention { mode: LockMode::Compliance, until: AT };
    Subresources { retention: Some(retention), legal_hold: Some(true), ..tagged() }
}

fn object_lock() -> ObjectLock {
    let default = DefaultRetention { mode: LockMode::Governance, period: Period::Years(7) };
    ObjectLock { default: Some(default), unknown_through: 9 }
}

fn owned() -> Subresources {
    let grants = [
        Grant { grantee: Grantee::AllUsers, permission: Permission::Read },
        Grant { grantee: Grantee::AuthenticatedUsers, permission: Permission::Write },
        Grant { grantee: Grantee::LogDelivery, permission: Permission::ReadAcp },
        Grant::to(owner(), Permission::WriteAcp),
        Grant::to(CanonicalUser::Anonymous, Permission::FullControl),
    ];
    Subresources {
        owner: Some(owner().into()),
        access_list: Some(AccessList::new(grants).unwrap()),
        ..tagged()
    }
}

fn owner() -> AccountId {
    "111122223333".parse().unwrap()
}

fn marker() -> ObjectRow {
    ObjectRow { null: true, noncurrent_since: None, stored: None, ..object() }
}

fn page() -> ManifestPage {
    let content = [Content::Empty, Content::Inline { blob: BLOB }, Content::Blob { home: HOME, blob: BLOB }];
    let entries = (1..).zip(content).map(|(number, content)| {
        let entry = ManifestEntry { number, checksum: Some(sum()), extent: extent(content) };
        (entry, DataKey::from_bytes([0x66; 32]))
    });
    ManifestPage::seal(&DataKey::from_bytes([0x55; 32]), MANIFEST, 3, entries.collect()).unwrap()
}

fn part() -> PartRow {
    PartRow {
        modified: AT,
        md5: [9; 16],
        checksum: Some(sum()),
        extent: extent(Content::Blob { home: HOME, blob: BLOB }),
        sealed: Bytes::from_static(b"sealed"),
    }
}

fn upload() -> UploadRow {
    UploadRow {
        initiated: AT,
        class: StorageClass::StandardIa,
        checksum: ChecksumAlgorithm::Sha256,
        checksum_type: ChecksumType::Composite,
        named: true,
        metadata: metadata(),
        subresources: Subresources::default(),
        initiator: None,
        secret: None,
        envelope: Envelope::Appliance,
    }
}

fn completed() -> CompletedRow {
    CompletedRow {
        at: AT,
        key: "k".into(),
        parts: [7; 32],
        etag: ETag::of_parts([9; 16], 2),
        checksum: Some(ObjectChecksum::full(sum())),
        version: Some(VersionName::Id(VersionId { order: 7, salt: 8 })),
        size: 10,
        encrypted_by: EncryptedBy::Appliance,
    }
}

fn ingest() -> IngestRow {
    let list = ListWish::Grants(owned().access_list.unwrap());
    IngestRow {
        state: IngestState::Publishing,
        begun: AT,
        bucket: "b".into(),
        if_absent: true,
        subresources: tagged(),
        writer: Writer { by: Some(owner().into()), list },
        origin: Origin {
            principal: Some(Principal::Root(owner())),
            source: Some([127, 0, 0, 1].into()),
            request_id: *b"0123456789ABCDEF",
            host_id: "h".into(),
            by_form: false,
        },
    }
}

fn cors() -> Cors {
    let full = CorsRule {
        id: Some("a".into()),
        origins: vec!["http://*.x".into(), "y".into()],
        methods: vec![CorsMethod::Get, CorsMethod::Delete],
        headers: vec!["*".into()],
        exposed: vec!["ETag".into()],
        max_age_secs: Some(600),
    };
    let least = CorsRule { origins: vec!["*".into()], methods: vec![CorsMethod::Put], ..CorsRule::default() };
    Cors::new(vec![full, least]).unwrap()
}

fn notification() -> Notification {
    let rule = |id: &str, events: &[&str], prefix: Option<&str>, suffix: Option<&str>| NotificationRule {
        id: id.into(),
        topic: "new-objects".parse().unwrap(),
        events: events.iter().map(|name| name.parse().unwrap()).collect(),
        prefix: prefix.map(Into::into),
        suffix: suffix.map(Into::into),
    };
    let first = rule("a", &["s3:ObjectCreated:*", "s3:IntelligentTiering"], Some("p/"), None);
    Notification::new(vec![first, rule("b", &["s3:ObjectRemoved:Delete"], None, Some(".x"))]).unwrap()
}

fn inventory() -> Inventory {
    Inventory {
        id: "daily".into(),
        enabled: true,
        frequency: InventoryFrequency::Weekly,
        versions: InventoryVersions::All,
        prefix: Some("p/".into()),
        destination: BucketName::parse("target").unwrap(),
        destination_prefix: Some("q".into()),
        account: Some(owner()),
        encrypted: true,
        fields: vec![InventoryField::Size, InventoryField::ObjectOwner],
    }
}

fn logging(format: Option<LogKeyFormat>, grants: Option<AccessList>) -> BucketLogging {
    BucketLogging::new(&BucketName::parse("target").unwrap(), "p/".into(), format, grants).unwrap()
}

fn website() -> Website {
    let condition = RoutingCondition { prefix: Some("a/".into()), error: Some(404) };
    let redirect = RoutingRedirect {
        protocol: Some(WebProtocol::Http),
        host: Some("h".into()),
        key: KeyChange::Prefix("b/".into()),
        status: Some(302),
    };
    let whole = RoutingRedirect { key: KeyChange::Whole("c".into()), ..RoutingRedirect::default() };
    let rules = vec![
        RoutingRule { condition: Some(condition), redirect },
        RoutingRule { condition: None, redirect: whole },
    ];
    Website::Documents { index: "i".into(), error: Some("e".into()), rules }
}

fn quotas() -> Quotas {
    let limits = QuotaLimits { bytes: Some(ByteCount::new(7)), objects: Some(8), warn_percent: 80 };
    let quota = |prefix: &str, id, counting| Quota { prefix: prefix.to_owned(), limits, id, counting };
    let (after, to) = ("b/1".to_owned(), Some("b/2".to_owned()));
    let bytes = QuotaLimits { objects: None, ..limits };
    let objects = QuotaLimits { bytes: None, warn_percent: 9, ..limits };
    Quotas(vec![
        Quota { limits: bytes, ..quota("", 0, Counting::Done) },
        Quota { limits: objects, ..quota("a/", 1, Counting::Between { through: "a/1".to_owned() }) },
        quota("b/", 2, Counting::Claimed { after: after.clone(), to }),
        quota("c/", 3, Counting::Claimed { after, to: None }),
        quota("d/", 4, Counting::Folding),
    ])
}

fn lifecycle() -> Lifecycle {
    let rule = |id: &str, filter, expiration| LifecycleRule {
        id: id.into(),
        enabled: true,
        filter,
        expiration,
        ..LifecycleRule::default()
    };
    let and = LifecycleFilter {
        form: LifecycleForm::And,
        prefix: Some("p/".into()),
        tags: tagged().tags,
        larger: Some(7),
        smaller: Some(9),
    };
    let legacy = LifecycleFilter {
        form: LifecycleForm::Prefix,
        prefix: Some("q".into()),
        ..LifecycleFilter::default()
    };
    let midnight = Timestamp::from_millis(86_400_000);
    let removed = |newer| Some(NoncurrentExpiration { days: 5, newer });
    let rules = vec![
        LifecycleRule { noncurrent: removed(Some(4)), ..rule("a", and, Some(LifecycleExpiration::Days(3))) },
        LifecycleRule { abort_days: Some(6), ..rule("b", legacy, Some(LifecycleExpiration::Date(midnight))) },
        LifecycleRule {
            enabled: false,
            noncurrent: removed(None),
            ..rule("c", LifecycleFilter::default(), Some(LifecycleExpiration::Marker(true)))
        },
    ];
    let mut lifecycle = Lifecycle::new(rules).unwrap();
    lifecycle.minimum = TransitionMinimum::Varies;
    lifecycle
}

fn moving() -> Lifecycle {
    let days = Transition { when: TransitionWhen::Days(0), class: StorageClass::GlacierIr };
    let date = Timestamp::from_millis(86_400_000);
    let dated = Transition { when: TransitionWhen::Date(date), class: StorageClass::Glacier };
    let of = |days, newer, class| NoncurrentTransition { days, newer, class };
    let rule = |id: &str| LifecycleRule { id: id.into(), enabled: true, ..LifecycleRule::default() };
    let rules = vec![
        LifecycleRule { transitions: vec![days], ..rule("a") },
        LifecycleRule { transitions: vec![dated], ..rule("b") },
        LifecycleRule {
            noncurrent_transitions: vec![
                of(3, Some(2), StorageClass::Glacier),
                of(40, None, StorageClass::DeepArchive),
            ],
            abort_days: Some(6),
            ..rule("c")
        },
    ];
    Lifecycle::new(rules).unwrap()
}

fn golden() -> BTreeMap<&'static str, &'static str> {
    include_str!("golden.txt").lines().filter_map(|line| line.split_once(' ')).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

fn check<R: Record + PartialEq + std::fmt::Debug>(name: &str, record: &R) {
    let bytes = record.to_bytes();
    let hex = bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    assert_eq!(golden().get(name).copied().unwrap_or_default(), hex, "golden bytes of {name}");
    assert_eq!(R::from_bytes(&unhex(&hex)).unwrap(), *record);
    let mut newer = bytes.to_vec();
    newer[0] = R::VERSION + 1;
    assert!(matches!(R::from_bytes(&newer), Err(Error::Newer { .. })), "{name}");
    for cut in 0..bytes.len() {
        assert!(matches!(R::from_bytes(&bytes[..cut]), Err(Error::Corrupt { .. })), "{name} cut at {cut}");
    }
    // Whatever a changed byte means, it is not the same record, and reading it ends without a panic.
    for at in 0..bytes.len() {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 0x40;
        assert!(R::from_bytes(&flipped).ok().is_none_or(|other| other != *record), "{name} byte {at}");
    }
}

/// As a newer version of this program may have stored it: of a version of the language that is not known here.
fn unread_policy() -> BucketPolicy {
    BucketPolicy::from_bytes(&unhex(golden()["policy-unread"])).unwrap()
}

#[test]
fn a_policy_that_can_not_be_read_keeps_its_text_and_denies_everything() {
    let policy = unread_policy();
    assert!(policy.text().starts_with(r#"{"Version":"2099-01-01""#) && !policy.is_public());
    assert_eq!(*policy.policy(), security::policy::Policy::denying_all());
}

#[test]
fn records_have_their_golden_bytes_and_refuse_newer_and_cut_ones() {
    let account = [0, 0, 0, 0, 0, 0, 1, 2];
    check("bucket", &BucketRow { partition: HOME, state: BucketState::Active, created: AT, account });
    check("config", &ConfigRow { versioning: Versioning::Suspended, revision: 0 });
    check("config-2", &ConfigRow { versioning: Versioning::Suspended, revision: 3 });
    check("object", &object());
    check("object-2", &ObjectRow { subresources: tagged(), ..object() });
    check("object-3", &enclosed(Envelope::Customer, tagged()));
    check("object-3-parts", &enclosed(Envelope::CustomerParts, Subresources::default()));
    check("object-4", &cold(Envelope::Appliance, tagged(), in_vault()));
    check("object-4-under-way", &cold(Envelope::Customer, Subresources::default(), under_way()));
    check("object-5", &enclosed(MANAGED, tagged()));
    let parts = Envelope::ManagedParts { bucket_key: false };
    check("object-5-cold", &cold(parts, Subresources::default(), under_way()));
    let arn = "arn:aws:kms:us-east-1:000000000102:key/0".to_owned();
    let by = ManagedKey { arn, bucket_key: true };
    let (name, value) = ("aws:s3:arn".to_owned(), "arn:aws:s3:::bucket".to_owned());
    let keys = Enclosed {
        by: by.clone(),
        encrypted: Bytes::from_static(b"encrypted"),
        context: EncryptionContext::new([(name, value)]).unwrap(),
        wrapped: Bytes::from_static(b"wrapped"),
    };
    check("enclosed", &keys);
    check("completed-3", &CompletedRow { encrypted_by: EncryptedBy::Managed(Arc::new(by)), ..completed() });
    check("marker", &marker());
    check("part", &part());
    check("upload", &upload());
    check("object-2-locked", &ObjectRow { subresources: locked(), ..object() });
    check("object-lock", &object_lock());
    check("object-lock-bare", &ObjectLock::default());
    check("upload-2", &UploadRow { subresources: tagged(), ..upload() });
    check("object-owned", &ObjectRow { subresources: owned(), ..object() });
    check("upload-3", &UploadRow { initiator: Some(owner().into()), ..upload() });
    let initiator = Some(CanonicalUser::Anonymous);
    check("upload-3-tags", &UploadRow { initiator, subresources: tagged(), ..upload() });
    let secret = Some(Bytes::from_static(b"secret"));
    let begun = UploadRow { secret, envelope: Envelope::Customer, ..upload() };
    check("upload-4", &begun);
    check("upload-4-all", &UploadRow { initiator, subresources: tagged(), ..begun.clone() });
    check("upload-5", &UploadRow { envelope: MANAGED, ..begun });
    check("chunk", &ChunkRow { pack: BLOB, offset: 5, length: 6, tag: [7; CHUNK_TAG_LEN] });
    check("pack", &PackRow { sealed: Bytes::from_static(b"sealed") });
    check("page", &page());
    check("completed", &completed());
    check("completed-2", &CompletedRow { encrypted_by: EncryptedBy::Customer, ..completed() });
    check("foreign", &ForeignRow { content: Content::Blob { home: HOME, blob: BLOB } });
    let content = Content::Manifest { home: HOME, manifest: MANIFEST, depth: 2 };
    check("intent", &IntentRow { content, destination: HOME, created: AT });
    check("ingest", &ingest());
    let bare = IngestRow {
        state: IngestState::Receiving,
        if_absent: false,
        subresources: Subresources::default(),
        writer: Writer::default(),
        origin: Origin::default(),
        ..ingest()
    };
    check("ingest-bare", &bare);
    let list = ListWish::Canned(CannedAcl::PublicRead);
    check("ingest-canned", &IngestRow { writer: Writer { by: None, list }, ..bare });
    let stored = object().stored.unwrap();
    check("staged", &StagedRow { stored: stored.clone(), sealed: Bytes::from_static(b"sealed") });
    let closed = stored.clone().enclosed(Envelope::Customer);
    check("staged-2", &StagedRow { stored: closed, sealed: Bytes::from_static(b"sealed") });
    let stored = stored.enclosed(MANAGED);
    check("staged-3", &StagedRow { stored, sealed: Bytes::from_static(b"sealed") });
    check("draft", &ManifestGarbage::Draft);
    check("dropped", &ManifestGarbage::Dropped);
    let mut used = UsedParts::default();
    used.insert(1);
    used.insert(9);
    check("garbage", &UploadGarbage { used });
}

#[test]
fn settings_have_their_golden_bytes_and_refuse_newer_and_cut_ones() {
    check("ownership", &OwnershipControls::Rule(ObjectOwnership::BucketOwnerPreferred));
    check("ownership-deleted", &OwnershipControls::Deleted);
    check("bucket-acl", &BucketAcl(owned().access_list.unwrap()));
    let (block_public_acls, restrict_public_buckets) = (true, true);
    let block =
        PublicAccessBlock { block_public_acls, restrict_public_buckets, ..PublicAccessBlock::default() };
    check("public-block", &block);
    check("bucket-tags", &BucketTags(tagged().tags));
    check("cors", &cors());
    check("website", &website());
    check("redirect", &Website::RedirectAll { host: "h".into(), protocol: Some(WebProtocol::Https) });
    let blocks = Encryption { bucket_key: true, blocks_customer_keys: Some(true), ..Encryption::default() };
    check("encryption", &blocks);
    let key = DefaultKey::Managed(Some("alias/a".to_owned()));
    check("encryption-2", &Encryption { key, ..blocks });
    check("encryption-2-own", &Encryption { key: DefaultKey::Managed(None), ..Encryption::default() });
    check("payment", &RequestPayment::Requester);
    check("notification", &notification());
    check("logging", &logging(None, None));
    let partitioned = LogKeyFormat::Partitioned(PartitionDate::DeliveryTime);
    check("logging-grants", &logging(Some(partitioned), owned().access_list));
    check("inventory", &inventory());
    let run = Run { id: [7; 16], started: AT, done: true, wrote: None };
    check("inventory-run", &run);
    let destination = BucketName::parse("target").unwrap();
    let stem = "p/src/daily".to_owned();
    let wrote = Wrote { destination, partition: HOME, stem, files: 3, manifest: None };
    let under_way = |wrote| Run { done: false, wrote: Some(wrote), ..run.clone() };
    check("inventory-run-2", &under_way(wrote.clone()));
    check("inventory-run-2-ending", &under_way(Wrote { manifest: Some([9; 16]), ..wrote }));
    check("lifecycle", &lifecycle());
    check("lifecycle-2", &moving());
    let walk = Walk { phase: Phase::Uploads, from: Bytes::from_static(b"k\0\x01"), seen: 9, begun: AT };
    check("lifecycle-walk", &walk);
    check("quotas", &quotas());
    let policy = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}}"#;
    check("policy", &BucketPolicy::parse(policy).unwrap());
    check("policy-unread", &unread_policy());
    check("deduplication", &Deduplication { on: true, sealed: Bytes::from_static(b"sealed") });
}

#[test]
fn a_page_opens_only_as_it_was_sealed() {
    let key = DataKey::from_bytes([0x55; 32]);
    let opened = page().open(&key, MANIFEST, 3).unwrap();
    assert_eq!(opened.len(), 3);
    assert!(opened.iter().all(|(_, key)| *key.as_bytes() == [0x66; 32]));
    page().open(&key, MANIFEST, 4).unwrap_err();
    page().open(&key, ManifestId::from_bytes([0; 16]), 3).unwrap_err();
    page().open(&DataKey::from_bytes([0; 32]), MANIFEST, 3).unwrap_err();
    let bytes = page().to_bytes();
    for at in 0..bytes.len() {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 1;
        let opened = ManifestPage::from_bytes(&flipped).and_then(|page| page.open(&key, MANIFEST, 3));
        assert!(opened.is_err(), "byte {at}");
    }
}

#[test]
fn used_parts_are_a_set() {
    let mut used = UsedParts::default();
    for number in [1, 8, 10_000] {
        used.insert(number);
    }
    let found: Vec<u16> = (0..=10_001).filter(|number| used.contains(*number)).collect();
    assert_eq!(found, [1, 8, 10_000]);
}
