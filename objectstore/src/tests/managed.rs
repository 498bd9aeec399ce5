//! Managed keys around the keys of objects (SSE-KMS): whom they open for, until when, and what needs none of them.

use super::ingest::request as ingest_request;
use super::policies::Noting;
use crate::world::{World, bytes, copy_request, key};
use crate::{
    AttributesRequest, BucketName, CompleteRequest, CompletedPart, CopyRequest, CopySource, CreateUpload,
    DefaultKey, EncryptedBy, Encryption, Encrypts, Error, Expect, GetRequest, IngestEntry, IngestRequest,
    ManagedKey, ManagedWish, Metadata, Origin, PartNumber, PartRequest, PutRequest, RangeSpec,
    ReadConditions, Result, StorageClass, Tags, UploadId, VersionSelector, Versioning, WriteConditions,
    WriteQuestions,
};
use bytes::Bytes;
use engine::catalog::{Catalog, Family, Layout, Scan, Table};
use engine::unit::ByteCount;
use md5::{Digest as _, Md5};
use security::credentials::{AccessKeyId, Bearer, CredentialLookup as _};
use security::identity::{Identities, KeyOwner, NewUser, Owner};
use security::kms::{self, Kms, NewKey};
use security::policy::NoContext;
use security::{AccountId, Action, Principal, Question};
use std::sync::Arc;

const PART: usize = 5 << 20;

/// A store with managed keys, and who uses them.
struct Bench {
    world: World,
    identities: Arc<Identities>,
    kms: Arc<Kms>,
    root: Question,
}

fn other() -> AccountId {
    "444455556666".parse().unwrap()
}

fn asks(principal: Principal) -> Question {
    Question::new(principal, Action::new("s3:PutObject"), None)
}

fn writes(asks: &Question) -> WriteQuestions {
    WriteQuestions { writes: asks.clone(), reads: None }
}

fn by_key(name: Option<&str>) -> Encrypts {
    Encrypts::Managed(Box::new(ManagedWish { key: name.map(str::to_owned), ..ManagedWish::default() }))
}

impl Bench {
    async fn new(seed: u64) -> Self {
        let (world, identities, kms) = World::with_managed_keys(seed, other()).await;
        let root = asks(Principal::Root(world.account()));
        Self { world, identities, kms, root }
    }

    fn administers(&self) -> kms::Asks<'_> {
        kms::Asks::new(&self.root.principal, &NoContext, "")
    }

    async fn key(&self, policy: Option<&str>) -> String {
        let new = NewKey { policy, bypass_lockout_check: true, ..NewKey::default() };
        self.kms.create_key(&self.administers(), &new).await.unwrap().arn
    }

    /// Somebody with these statements.
    async fn user(&self, name: &str, statements: &str) -> Question {
        let account = self.world.account();
        self.identities.create_user(account, NewUser { name, ..NewUser::default() }).await.unwrap();
        let document = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
        self.identities.put_inline(account, Owner::User(name), "p", &document).await.unwrap();
        let id: AccessKeyId =
            self.identities.create_access_key(account, KeyOwner::User(name)).await.unwrap().key.id;
        let found = self.identities.lookup(id.as_str()).unwrap();
        let bearer =
            Bearer { account: found.account, holder: &found.holder, access_key_id: &id, service: "s3" };
        asks(self.identities.principal(bearer).await.unwrap().unwrap())
    }

    fn put(&self, name: &BucketName, at: &str, encryption: Encrypts) -> PutRequest {
        let asks = Some(writes(&self.root));
        PutRequest { encryption, asks, ..PutRequest::new(name.clone(), key(at)) }
    }

    fn get(&self, name: &BucketName, at: &str) -> GetRequest {
        GetRequest { asks: Some(self.root.clone()), ..GetRequest::new(name.clone(), key(at)) }
    }

    fn copy(
        &self,
        (from, source): (&BucketName, &str),
        (to, target): (&BucketName, &str),
        encryption: Encrypts,
    ) -> CopyRequest {
        let plain = copy_request((from, source), (to, target));
        let source = CopySource { asks: Some(self.root.clone()), ..plain.source };
        CopyRequest { source, encryption, asks: Some(writes(&self.root)), ..plain }
    }

    async fn begin(&self, name: &BucketName, at: &str, encryption: Encrypts) -> UploadId {
        let asks = Some(self.root.clone());
        let create = CreateUpload { encryption, asks, ..CreateUpload::new(name.clone(), key(at)) };
        self.world.store.create_upload(create).await.unwrap().upload
    }

    async fn send(
        &self,
        (name, at, upload): (&BucketName, &str, UploadId),
        number: u32,
        body: Bytes,
    ) -> Result<CompletedPart> {
        let request = PartRequest {
            bucket: name.clone(),
            key: key(at),
            upload,
            part: PartNumber::new(number)?,
            length: None,
            checksum: None,
            proven: true,
            writer: None,
            customer_key: None,
            asks: Some(self.root.clone()),
        };
        let mut part = self.world.store.upload_part(request).await?;
        part.write(body).await?;
        let uploaded = part.finish(Expect::default()).await?;
        assert!(matches!(uploaded.encrypted_by, EncryptedBy::Managed(_)));
        Ok(CompletedPart { number: PartNumber::new(number)?, etag: uploaded.etag, checksum: None })
    }

    fn complete(
        &self,
        (name, at, upload): (&BucketName, &str, UploadId),
        parts: Vec<CompletedPart>,
    ) -> CompleteRequest {
        CompleteRequest {
            bucket: name.clone(),
            key: key(at),
            upload,
            parts,
            checksum: None,
            checksum_parts: None,
            checksum_type: None,
            size: None,
            conditions: WriteConditions::default(),
            origin: Origin::default(),
            asks: Some(writes(&self.root)),
            customer_key: None,
        }
    }

    async fn in_parts(&self, name: &BucketName, at: &str, encryption: Encrypts) -> Bytes {
        let upload = (name, at, self.begin(name, at, encryption).await);
        let bodies = [bytes(1, PART + 1), bytes(2, PART), bytes(3, 100)];
        let mut parts = Vec::new();
        for (number, body) in (1..).zip(&bodies) {
            parts.push(self.send(upload, number, body.clone()).await.unwrap());
        }
        self.world.store.complete_upload(self.complete(upload, parts)).await.unwrap();
        bodies.concat().into()
    }

    /// What needs no key, whoever asks: HEAD, attributes, tags, places.
    async fn is_told(&self, name: &BucketName, at: &str, by: &EncryptedBy) {
        let store = &self.world.store;
        let info = store.head(self.get(name, at)).await.unwrap().info;
        assert_eq!(info.encrypted_by, *by, "{at}");
        let attributes = AttributesRequest {
            bucket: name.clone(),
            key: key(at),
            version: VersionSelector::Latest,
            after: None,
            max_parts: 0,
            conditions: ReadConditions::default(),
            asks: Some(self.root.clone()),
            reads: None,
            customer_key: None,
        };
        store.attributes(attributes).await.unwrap();
        store.peek(&self.get(name, at)).await.unwrap();
        store.where_is(name, &key(at), VersionSelector::Latest).await.unwrap();
    }

    async fn reads(&self, name: &BucketName, at: &str, body: &Bytes, arn: &str) {
        assert_eq!(&self.world.read(self.get(name, at)).await.unwrap(), body, "{at}");
        let by = EncryptedBy::Managed(Arc::new(ManagedKey { arn: arn.to_owned(), bucket_key: false }));
        self.is_told(name, at, &by).await;
        let info = self.world.store.head(self.get(name, at)).await.unwrap().info;
        assert_ne!(
            *info.etag.md5(),
            <[u8; 16]>::from(Md5::digest(body)),
            "the tag of {at} tells of its bytes"
        );
        assert_eq!(info.checksum, None);
        let nobody = GetRequest { asks: None, ..self.get(name, at) };
        assert!(matches!(self.world.store.get(nobody).await, Err(Error::AccessDenied)));
    }
}

fn refused<T>(outcome: Result<T>) -> &'static str {
    match outcome {
        Err(Error::KeyRefused { code, .. }) => code.as_str(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was not refused"),
    }
}

#[tokio::test]
async fn an_object_is_read_by_whoever_may_use_its_managed_key() {
    let mut bench = Bench::new(601).await;
    let name = bench.world.create("keys", Versioning::Off).await;
    let (one, two) = (bench.key(None).await, bench.key(None).await);
    for (size, at) in [(0, "empty"), (1, "one"), (4096, "inline"), (4097, "blob"), (9_000_000, "records")] {
        let body = bytes(size as u64, size);
        let stored = bench.world.put_with(bench.put(&name, at, by_key(Some(&one))), body.clone());
        assert!(matches!(stored.await.unwrap().encrypted_by, EncryptedBy::Managed(_)));
        bench.reads(&name, at, &body, &one).await;
    }
    let range = GetRequest {
        range: Some(RangeSpec::From { first: 4_000_000, last: Some(4_500_000) }),
        ..bench.get(&name, "records")
    };
    let expected = bytes(9_000_000, 9_000_000).slice(4_000_000..=4_500_000);
    assert_eq!(bench.world.read(range).await.unwrap(), expected);
    bench.world.put_with(bench.put(&name, "one", by_key(Some(&two))), "other").await.unwrap();
    bench.reads(&name, "one", &"other".into(), &two).await;
    // A key that came along is none of it.
    let brought = GetRequest {
        customer_key: Some(security::envelope::CustomerKey::new([1; 32])),
        ..bench.get(&name, "one")
    };
    for refused in [bench.world.store.get(brought.clone()).await, bench.world.store.head(brought).await] {
        assert!(matches!(refused, Err(Error::InvalidRequest { .. })));
    }
    bench.world.reopen().await;
    bench.reads(&name, "inline", &bytes(4096, 4096), &one).await;
    bench.kms.rotate_key_on_demand(&bench.administers(), &one).await.unwrap();
    bench.reads(&name, "blob", &bytes(4097, 4097), &one).await;
    bench.world.put(&name, "one", "plain").await;
    assert_eq!(bench.world.get(&name, "one").await.unwrap(), "plain");
}

#[tokio::test]
async fn a_key_that_is_disabled_opens_nothing_from_then_on_on_no_path() {
    let bench = Bench::new(602).await;
    let name = bench.world.create("keys", Versioning::Off).await;
    let arn = bench.key(None).await;
    let wish = || by_key(Some(&arn));
    let body = bytes(1, 300_000);
    bench.world.put_with(bench.put(&name, "k", wish()), body.clone()).await.unwrap();
    let whole = bench.in_parts(&name, "parts", wish()).await;
    let upload = (&name, "under-way", bench.begin(&name, "under-way", wish()).await);
    let part = bench.send(upload, 1, body.clone()).await.unwrap();
    bench.reads(&name, "k", &body, &arn).await;
    let by = bench.world.store.head(bench.get(&name, "k")).await.unwrap().info.encrypted_by;

    for (wanted, pending) in [("DisabledException", false), ("KMSInvalidStateException", true)] {
        if pending {
            bench.kms.schedule_key_deletion(&bench.administers(), &arn, None).await.unwrap();
        } else {
            bench.kms.disable_key(&bench.administers(), &arn).await.unwrap();
        }
        let store = &bench.world.store;
        for at in ["k", "parts"] {
            assert_eq!(refused(store.get(bench.get(&name, at)).await), wanted);
            let range = Some(RangeSpec::Suffix(3));
            assert_eq!(refused(store.get(GetRequest { range, ..bench.get(&name, at) }).await), wanted);
            let part = Some(PartNumber::new(1).unwrap());
            assert_eq!(refused(store.get(GetRequest { part, ..bench.get(&name, at) }).await), wanted);
            for to in [Encrypts::Appliance, wish()] {
                let copy = bench.copy((&name, at), (&name, "copy"), to);
                assert_eq!(refused(store.copy(copy).await), wanted);
            }
            bench.is_told(&name, at, &by).await;
        }
        assert_eq!(refused(bench.send(upload, 2, "x".into()).await), wanted);
        assert_eq!(refused(store.complete_upload(bench.complete(upload, vec![part])).await), wanted);
        assert_eq!(refused(store.put(bench.put(&name, "new", wish())).await.map(drop)), wanted);
        let asks = Some(bench.root.clone());
        let create = CreateUpload { encryption: wish(), asks, ..CreateUpload::new(name.clone(), key("new")) };
        assert_eq!(refused(store.create_upload(create).await), wanted);
        // What stands beside it is changed all the same.
        let tags = Tags::of_object([("a".to_owned(), "1".to_owned())]).unwrap();
        let amend = crate::AmendRequest {
            bucket: name.clone(),
            key: key("k"),
            version: VersionSelector::Latest,
            origin: Origin::default(),
        };
        store.set_tags(&amend, None, &tags).await.unwrap();
        if pending {
            bench.kms.cancel_key_deletion(&bench.administers(), &arn).await.unwrap();
        }
        bench.kms.enable_key(&bench.administers(), &arn).await.unwrap();
        bench.reads(&name, "k", &body, &arn).await;
        bench.reads(&name, "parts", &whole, &arn).await;
    }
    bench.world.store.complete_upload(bench.complete(upload, vec![part])).await.unwrap();
    bench.reads(&name, "under-way", &body, &arn).await;
}

#[tokio::test]
async fn who_may_use_the_key_is_decided_by_its_policy_and_their_own() {
    let bench = Bench::new(603).await;
    let name = bench.world.create("keys", Versioning::Off).await;
    let arn = bench.key(None).await;
    let s3 = r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#;
    let uses = |actions: &str, more: &str| {
        format!(r#"{s3},{{"Effect":"Allow","Action":{actions},"Resource":"{arn}"{more}}}"#)
    };
    let via = r#","Condition":{"StringEquals":{"kms:ViaService":"s3.us-east-1.amazonaws.com","kms:EncryptionContext:aws:s3:arn":"arn:aws:s3:::keys/by-reader"}}"#;
    let reader = bench.user("reader", &uses(r#"["kms:Decrypt","kms:GenerateDataKey"]"#, via)).await;
    let writer = bench.user("writer", &uses(r#""kms:GenerateDataKey""#, "")).await;
    let none = bench.user("none", s3).await;
    let put = |who: &Question, at: &str| PutRequest {
        asks: Some(writes(who)),
        ..bench.put(&name, at, by_key(Some(&arn)))
    };
    bench.world.put_with(put(&reader, "by-reader"), "1").await.unwrap();
    bench.world.put_with(put(&writer, "by-writer"), "2").await.unwrap();
    assert_eq!(refused(bench.world.store.put(put(&none, "k")).await.map(drop)), "AccessDeniedException");
    assert_eq!(refused(bench.world.store.put(put(&reader, "k")).await.map(drop)), "AccessDeniedException");
    let read = async |who: &Question, at: &str| {
        let asks = Some(who.clone());
        bench.world.read(GetRequest { asks, ..bench.get(&name, at) }).await
    };
    assert_eq!(read(&reader, "by-reader").await.unwrap(), "1");
    for (who, at) in [(&reader, "by-writer"), (&writer, "by-writer"), (&none, "by-reader")] {
        assert_eq!(refused(read(who, at).await), "AccessDeniedException", "{at}");
    }
    // A part is written by who may decrypt, as with S3: its upload's secret is opened.
    let begun = CreateUpload {
        encryption: by_key(Some(&arn)),
        asks: Some(writer.clone()),
        ..CreateUpload::new(name.clone(), key("parts"))
    };
    let upload = bench.world.store.create_upload(begun).await.unwrap().upload;
    let part = PartRequest {
        bucket: name.clone(),
        key: key("parts"),
        upload,
        part: PartNumber::new(1).unwrap(),
        length: None,
        checksum: None,
        proven: true,
        writer: None,
        customer_key: None,
        asks: Some(writer),
    };
    assert_eq!(refused(bench.world.store.upload_part(part).await.map(drop)), "AccessDeniedException");
}

#[tokio::test]
async fn the_services_own_key_is_made_at_its_first_use_and_serves_the_account_alone() {
    let bench = Bench::new(604).await;
    let name = bench.world.create("keys", Versioning::Off).await;
    assert_eq!(bench.kms.arn_of(Some(bench.world.account()), "alias/aws/s3").await.unwrap(), None);
    bench.world.put_with(bench.put(&name, "k", by_key(None)), "body").await.unwrap();
    let arn = bench.kms.arn_of(Some(bench.world.account()), "alias/aws/s3").await.unwrap().unwrap();
    bench.reads(&name, "k", &"body".into(), &arn).await;
    let stranger = asks(Principal::Root(other()));
    let read = GetRequest { asks: Some(stranger), ..bench.get(&name, "k") };
    // Its account's own policies may let a stranger in, and the key does not.
    let outcome = bench.world.store.get(read).await;
    assert!(matches!(outcome, Err(Error::AccessDenied | Error::KeyRefused { .. })));
    let unknown = by_key(Some("alias/none"));
    assert_eq!(
        refused(bench.world.store.put(bench.put(&name, "k", unknown)).await.map(drop)),
        "NotFoundException"
    );
}

#[tokio::test]
async fn copies_go_between_managed_keys_and_move_no_bytes_where_they_are_nobody_elses() {
    let bench = Bench::new(605).await;
    let (name, target) = (
        bench.world.create("keys", Versioning::Off).await,
        bench.world.create("target", Versioning::Off).await,
    );
    let (one, two) = (bench.key(None).await, bench.key(None).await);
    let body = bytes(1, 50_000);
    bench.world.put(&name, "plain", body.clone()).await;
    let whole = bench.in_parts(&name, "parts", by_key(Some(&one))).await;
    let partition = bench.world.partition(&name).await;
    let blobs = Table { family: Family::Record, tag: 0xB0 };
    let before = bench.world.rows(partition, blobs).await;
    let copy = async |from: &str, to: &str, wish: Encrypts| {
        bench.world.store.copy(bench.copy((&name, from), (&name, to), wish)).await.unwrap()
    };
    copy("plain", "one", by_key(Some(&one))).await;
    copy("one", "two", by_key(Some(&two))).await;
    let back = copy("two", "back", Encrypts::Appliance).await;
    assert_eq!(back.encrypted_by, EncryptedBy::Appliance);
    assert_eq!(*back.etag.md5(), <[u8; 16]>::from(Md5::digest(&body)));
    copy("parts", "parts-two", by_key(Some(&two))).await;
    assert_eq!(bench.world.rows(partition, blobs).await, before, "no bytes were written");
    bench.reads(&name, "one", &body, &one).await;
    bench.reads(&name, "two", &body, &two).await;
    bench.reads(&name, "parts-two", &whole, &two).await;
    assert_eq!(bench.world.get(&name, "back").await.unwrap(), body);
    // Onto itself, and into another bucket.
    copy("one", "one", by_key(Some(&two))).await;
    bench.reads(&name, "one", &body, &two).await;
    let into = bench.copy((&name, "parts-two"), (&target, "k"), by_key(Some(&one)));
    bench.world.store.copy(into).await.unwrap();
    bench.world.settle().await;
    bench.reads(&target, "k", &whole, &one).await;
    // The other's key is none of the copy's: with the first one gone, the second one serves.
    bench.kms.disable_key(&bench.administers(), &one).await.unwrap();
    bench.reads(&name, "parts-two", &whole, &two).await;
    bench.reads(&name, "two", &body, &two).await;
}

#[tokio::test]
async fn a_bucket_says_what_new_objects_are_encrypted_with() {
    let bench = Bench::new(606).await;
    let name = bench.world.create("keys", Versioning::Off).await;
    let arn = bench.key(None).await;
    let set =
        Encryption { key: DefaultKey::Managed(Some(arn.clone())), bucket_key: true, ..Encryption::default() };
    bench.world.store.set(&name, Some(&set)).await.unwrap();
    let by = |bucket_key| EncryptedBy::Managed(Arc::new(ManagedKey { arn: arn.clone(), bucket_key }));
    for (encryption, wanted) in [
        (Encrypts::AsBucket, by(true)),
        (Encrypts::AsBucketBut { bucket_key: false }, by(false)),
        (by_key(Some(&arn)), by(true)),
        (Encrypts::Appliance, EncryptedBy::Appliance),
    ] {
        let stored = bench.world.put_with(bench.put(&name, "k", encryption.clone()), "x").await.unwrap();
        assert_eq!(stored.encrypted_by, wanted, "{encryption:?}");
        assert_eq!(bench.world.read(bench.get(&name, "k")).await.unwrap(), "x");
        bench.is_told(&name, "k", &wanted).await;
    }
    let copied = bench.world.store.copy(bench.copy((&name, "k"), (&name, "copy"), Encrypts::AsBucket)).await;
    assert_eq!(copied.unwrap().encrypted_by, by(true));
    // What the appliance writes has nobody who could be asked: it keeps it itself.
    assert_eq!(bench.world.put(&name, "log", "line").await.encrypted_by, EncryptedBy::Appliance);
    let request = IngestRequest { asks: Some(bench.root.clone()), ..ingest_request(&name) };
    let mut ingest = bench.world.store.ingest(request).await.unwrap();
    for size in [0, 10, 70_000] {
        let entry = IngestEntry {
            key: key(&format!("e{size}")),
            length: ByteCount::from(size),
            metadata: Metadata::default(),
            class: StorageClass::Standard,
        };
        let mut upload = ingest.entry(entry).await.unwrap();
        upload.write(bytes(size as u64, size)).await.unwrap();
        let sealed = upload.seal().await.unwrap();
        ingest.stage(sealed).await.unwrap();
    }
    let outcome = ingest.finish(Expect::default()).await.unwrap();
    assert_eq!((outcome.objects, outcome.encrypted_by), (3, by(true)));
    for size in [0, 10, 70_000] {
        let at = format!("e{size}");
        assert_eq!(bench.world.read(bench.get(&name, &at)).await.unwrap(), bytes(size as u64, size));
        bench.is_told(&name, &at, &by(true)).await;
    }
}

#[tokio::test]
async fn the_context_is_whose_the_bytes_are_and_what_the_request_adds() {
    let bench = Bench::new(607).await;
    let name = bench.world.create("keys", Versioning::Off).await;
    let root = format!("arn:aws:iam::{}:root", bench.world.account());
    let policy = |condition: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{root}"}},"Action":"kms:*","Resource":"*"}},
                {{"Effect":"Deny","Principal":"*","Action":["kms:GenerateDataKey","kms:Decrypt"],"Resource":"*","Condition":{condition}}}]}}"#
        )
    };
    let bucket_alone = r#"{"StringNotEquals":{"kms:EncryptionContext:aws:s3:arn":"arn:aws:s3:::keys"}}"#;
    let of_bucket = bench.key(Some(&policy(bucket_alone))).await;
    let team_alone = r#"{"StringNotEquals":{"kms:EncryptionContext:team":"red"}}"#;
    let of_team = bench.key(Some(&policy(team_alone))).await;
    let wish = |arn: &str, team: Option<&str>, bucket_key| {
        let context = team.map(|team| ("team".to_owned(), team.to_owned())).into_iter().collect();
        let key = Some(arn.to_owned());
        Encrypts::Managed(Box::new(ManagedWish { key, context, bucket_key, decided: None }))
    };
    for (encryption, wanted) in [
        (wish(&of_bucket, None, Some(true)), ""),
        (wish(&of_bucket, None, None), "AccessDeniedException"),
        (wish(&of_team, Some("red"), None), ""),
        (wish(&of_team, Some("blue"), None), "AccessDeniedException"),
        (wish(&of_team, None, None), "AccessDeniedException"),
    ] {
        let outcome = bench.world.put_with(bench.put(&name, "k", encryption.clone()), "body").await;
        if wanted.is_empty() {
            outcome.unwrap();
            assert_eq!(bench.world.read(bench.get(&name, "k")).await.unwrap(), "body");
        } else {
            assert_eq!(refused(outcome), wanted, "{encryption:?}");
        }
    }
    let forged = ManagedWish {
        context: vec![("aws:s3:arn".to_owned(), "arn:aws:s3:::other/k".to_owned())],
        ..ManagedWish::default()
    };
    // Conditions of policies would see its value as well.
    let spelled = ManagedWish {
        context: vec![("AWS:s3:arn".to_owned(), "arn:aws:s3:::other/k".to_owned())],
        ..ManagedWish::default()
    };
    let large = ManagedWish { context: vec![("a".to_owned(), "b".repeat(9_000))], ..ManagedWish::default() };
    for wish in [forged, spelled, large] {
        let put = bench.put(&name, "k", Encrypts::Managed(Box::new(wish)));
        let refused = bench.world.store.put(put).await.map(drop);
        assert!(matches!(refused, Err(Error::InvalidArgument { .. })), "{refused:?}");
    }
    // An alias that was turned since it was decided about.
    let turned = ManagedWish {
        decided: Some(of_team.clone()),
        key: Some(of_bucket),
        bucket_key: Some(true),
        ..ManagedWish::default()
    };
    let put = bench.put(&name, "k", Encrypts::Managed(Box::new(turned)));
    assert_eq!(refused(bench.world.store.put(put).await.map(drop)), "KMSInvalidStateException");
}

#[tokio::test]
async fn no_body_no_key_and_no_digest_lies_in_the_rows_and_older_readers_are_kept_out() {
    let bench = Bench::new(608).await;
    let name = bench.world.create("keys", Versioning::Off).await;
    let arn = bench.key(None).await;
    let noting = Noting::over(bench.world.catalog.clone());
    let noted = bench.world.beside(noting.clone()).await;
    let layouts = || -> Vec<Layout> {
        noting.take().into_iter().map(|(_, layout)| layout).filter(|layout| *layout > Layout::FIRST).collect()
    };
    let set = Encryption { bucket_key: true, ..Encryption::default() };
    noted.store.set(&name, Some(&set)).await.unwrap();
    noted.put(&name, "plain", "x").await;
    assert!(layouts().is_empty());
    let body: Bytes = "a canary that sings".into();
    noted.put_with(bench.put(&name, "k", by_key(Some(&arn))), body.clone()).await.unwrap();
    assert_eq!(layouts(), [Layout::MANAGED]);
    let begun = CreateUpload {
        encryption: by_key(Some(&arn)),
        asks: Some(bench.root.clone()),
        ..CreateUpload::new(name.clone(), key("p"))
    };
    let upload = noted.store.create_upload(begun).await.unwrap().upload;
    assert_eq!(layouts(), [Layout::MANAGED]);
    bench.send((&name, "p", upload), 1, body.clone()).await.unwrap();
    let default = Encryption { key: DefaultKey::Managed(None), ..Encryption::default() };
    noted.store.set(&name, Some(&default)).await.unwrap();
    assert_eq!(layouts(), [Layout::MANAGED]);

    let snapshot = bench.world.catalog.snapshot(bench.world.partition(&name).await).await.unwrap();
    let mut rows = Vec::new();
    for family in [Family::Record, Family::Index, Family::Body, Family::Queue] {
        for tag in 0..=u8::MAX {
            let page = snapshot.scan(Scan::prefix(Table { family, tag }, b"", 10_000)).await.unwrap();
            page.rows.iter().for_each(|(key, value)| rows.extend([&key[..], &value[..]].concat()));
        }
    }
    let has = |needle: &[u8]| rows.windows(needle.len()).any(|window| window == needle);
    assert!(has(b"plain"), "the look itself finds what is there");
    assert!(!has(b"canary") && !has(&Md5::digest(&body)) && !has(arn.as_bytes()));
}
