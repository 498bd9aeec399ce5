//! The object store on the durable catalog: what was acknowledged is there after a reopening, and a small PUT is one commit.

#![expect(clippy::unwrap_used, reason = "a test")]

use bytes::Bytes;
use engine::blob::{BlobStore, OpenOptions};
use engine::catalog::{Options, RocksCatalog};
use engine::clock::compliance::ComplianceClock;
use engine::clock::{Clock, SystemClock};
use engine::entropy::{Entropy, SystemEntropy};
use engine::fault::Faults;
use engine::outbox::{self, Outbox};
use engine::unit::ByteCount;
use futures_util::{StreamExt, stream};
use objectstore::{
    BucketName, BucketPolicy, CompleteRequest, CompletedPart, Components, CopyRequest, CopySource,
    CreateUpload, Encrypts, Expect, GetRequest, ListRequest, MetadataDirective, NewBucket, ObjectKey,
    ObjectStore, PartNumber, PartRequest, PutRequest, ReadConditions, Subresources, VersionSelector,
    WriteConditions,
};
use security::AccountId;
use security::keys::{FileCustodian, KeyTable};
use std::path::Path;
use std::sync::Arc;

struct Appliance {
    catalog: Arc<RocksCatalog>,
    store: Arc<ObjectStore>,
}

impl Appliance {
    async fn open(dir: &Path) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let faults = Arc::new(Faults::default());
        let options = Options::new(clock.clone(), entropy.clone(), faults.clone());
        let catalog = RocksCatalog::open(dir.join("catalog"), options).unwrap();
        let pool = dir.join("pool");
        let blobs = BlobStore::open(OpenOptions {
            segment_bytes: ByteCount::mib(32),
            keep_free: ByteCount::mib(1),
            ..OpenOptions::new(pool, catalog.clone(), clock.clone(), entropy.clone(), faults)
        })
        .await
        .unwrap();
        let key_file = dir.join("master.key");
        let custodian = if key_file.exists() {
            FileCustodian::load(&key_file, entropy.clone())
        } else {
            FileCustodian::generate(&key_file, entropy.clone())
        };
        let custodian = Arc::new(custodian.unwrap());
        let keys = KeyTable::open(catalog.clone(), custodian, entropy.clone(), clock.clone()).await.unwrap();
        let account: AccountId = "123456789012".parse().unwrap();
        let region = "us-east-1".into();
        let compliance = ComplianceClock::open(catalog.clone(), clock.clone()).await.unwrap();
        let day = objectstore::DAY;
        let outbox = Outbox::new(outbox::Options {
            catalog: catalog.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
            subscribers: Vec::new(),
            messages_max: 10,
        });
        let parts = Components {
            outbox,
            catalog: catalog.clone(),
            blobs,
            vaults: None,
            kms: None,
            keys,
            clock,
            compliance,
            day,
            entropy,
            access_logs: objectstore::LogOptions::default(),
            region,
            account,
        };
        Self { store: ObjectStore::open(parts).await.unwrap(), catalog }
    }

    fn close(self) {
        drop(self.store);
        self.catalog.close();
    }

    async fn put(&self, bucket: &BucketName, at: &str, body: Bytes) {
        let request = PutRequest::new(bucket.clone(), key(at));
        let mut upload = self.store.put(request).await.unwrap();
        upload.write(body).await.unwrap();
        upload.finish(Expect::default()).await.unwrap();
    }

    async fn get(&self, bucket: &BucketName, at: &str) -> Bytes {
        let mut outcome = self.store.get(GetRequest::new(bucket.clone(), key(at))).await.unwrap();
        let mut body = Vec::new();
        while let Some(piece) = outcome.body.next().await {
            body.extend_from_slice(&piece.unwrap());
        }
        body.into()
    }
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

fn body(number: usize, length: usize) -> Bytes {
    (0..length).map(|at| u8::try_from((at * 31 + number * 7) % 251).unwrap()).collect()
}

async fn multipart(appliance: &Appliance, bucket: &BucketName, content: Bytes) {
    let create = CreateUpload::new(bucket.clone(), key("multi"));
    let upload = appliance.store.create_upload(create).await.unwrap().upload;
    let number = PartNumber::new(7).unwrap();
    let part = PartRequest {
        bucket: bucket.clone(),
        key: key("multi"),
        upload,
        part: number,
        length: None,
        checksum: None,
        proven: true,
        writer: None,
        customer_key: None,
        asks: None,
    };
    let mut sink = appliance.store.upload_part(part).await.unwrap();
    sink.write(content).await.unwrap();
    let etag = sink.finish(Expect::default()).await.unwrap().etag;
    let complete = CompleteRequest {
        bucket: bucket.clone(),
        key: key("multi"),
        upload,
        parts: vec![CompletedPart { number, etag, checksum: None }],
        checksum: None,
        checksum_parts: None,
        checksum_type: None,
        size: None,
        conditions: WriteConditions::default(),
        origin: objectstore::Origin::default(),
        asks: None,
        customer_key: None,
    };
    appliance.store.complete_upload(complete).await.unwrap();
}

async fn copy(appliance: &Appliance, from: (&BucketName, &str), to: (&BucketName, &str)) {
    let request = CopyRequest {
        source: CopySource {
            bucket: from.0.clone(),
            key: key(from.1),
            version: VersionSelector::Latest,
            conditions: ReadConditions::default(),
            asks: None,
            customer_key: None,
        },
        bucket: to.0.clone(),
        key: key(to.1),
        metadata: MetadataDirective::Copy,
        class: None,
        checksum: None,
        conditions: WriteConditions::default(),
        subresources: Subresources::default(),
        copy_tags: true,
        asks: None,
        website_redirect: None,
        writer: objectstore::Writer::default(),
        origin: objectstore::Origin::default(),
        customer_key: None,
        encryption: Encrypts::AsBucket,
    };
    appliance.store.copy(request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn acknowledged_objects_are_there_after_a_reopening() {
    const OBJECTS: usize = 64;
    let size = |number: usize| [100, 4_096, 5_000, 200_000][number % 4];
    let dir = tempfile::tempdir().unwrap();
    let appliance = Appliance::open(dir.path()).await;
    let (one, two) = (BucketName::parse("one").unwrap(), BucketName::parse("two").unwrap());
    for name in [&one, &two] {
        appliance.store.create_bucket(name, &NewBucket::default()).await.unwrap();
    }
    let puts = stream::iter(0..OBJECTS).for_each_concurrent(16, |number| {
        let (appliance, one) = (&appliance, &one);
        async move { appliance.put(one, &format!("k{number}"), body(number, size(number))).await }
    });
    puts.await;
    multipart(&appliance, &one, body(500, 300_000)).await;
    copy(&appliance, (&one, "multi"), (&two, "multi")).await;
    copy(&appliance, (&one, "k3"), (&two, "k3")).await;
    appliance.close();

    let appliance = Appliance::open(dir.path()).await;
    for number in 0..OBJECTS {
        assert_eq!(appliance.get(&one, &format!("k{number}")).await, body(number, size(number)), "{number}");
    }
    for name in [&one, &two] {
        assert_eq!(appliance.get(name, "multi").await, body(500, 300_000));
    }
    assert_eq!(appliance.get(&two, "k3").await, body(3, size(3)));
    let page = appliance.store.list_objects(ListRequest::new(one.clone())).await.unwrap();
    assert_eq!(page.entries.len(), OBJECTS + 1);
    appliance.close();
}

#[tokio::test]
async fn a_small_put_is_one_commit_and_a_small_get_none() {
    let dir = tempfile::tempdir().unwrap();
    let appliance = Appliance::open(dir.path()).await;
    let name = BucketName::parse("count").unwrap();
    appliance.store.create_bucket(&name, &NewBucket::default()).await.unwrap();
    appliance.put(&name, "warm", body(0, 10)).await;
    let before = appliance.catalog.counts().commits;
    for number in 0..10 {
        appliance.put(&name, "k", body(number, 4_096)).await;
    }
    let after = appliance.catalog.counts().commits;
    assert_eq!(after - before, 10);
    assert_eq!(appliance.get(&name, "k").await, body(9, 4_096));
    assert_eq!(appliance.catalog.counts().commits, after);
    appliance.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_finds_a_policy_says_so_in_the_marker() {
    let dir = tempfile::tempdir().unwrap();
    let appliance = Appliance::open(dir.path()).await;
    let name = BucketName::parse("bucket").unwrap();
    appliance.store.create_bucket(&name, &NewBucket::default()).await.unwrap();
    let marker = dir.path().join("catalog/format");
    let before = std::fs::read(&marker).unwrap();
    assert_eq!(before[8], 1);
    let text = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"*"}}"#;
    appliance.store.set_policy(&name, &BucketPolicy::parse(text).unwrap()).await.unwrap();
    assert_eq!(std::fs::read(&marker).unwrap()[8], 2);
    appliance.close();
    // As in a directory of a firn that set policies and did not say so.
    std::fs::write(&marker, &before).unwrap();
    let (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>) =
        (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let options = Options::new(clock, entropy, Arc::new(Faults::default()));
    RocksCatalog::open(dir.path().join("catalog"), options).unwrap().close();
    assert_eq!(std::fs::read(&marker).unwrap()[8], 1, "its rows are behind all of its log");
    let appliance = Appliance::open(dir.path()).await;
    assert_eq!(std::fs::read(&marker).unwrap()[8], 2);
    assert!(appliance.store.has_policy(&name).await.unwrap());
    appliance.close();
}
