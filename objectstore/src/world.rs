//! A whole object store for tests: rows in memory, segments in a temporary directory, a clock moved by hand.

use crate::testing::Foundation;
use crate::{
    BucketName, CompleteRequest, CompletedPart, Components, CopyRequest, CopySource, CreateUpload,
    DeleteOutcome, DeleteRequest, Encrypts, Expect, GetOutcome, GetRequest, ListRequest, MetadataDirective,
    ObjectKey, ObjectStore, PartNumber, PartRequest, PutRequest, ReadConditions, Result, UploadId, Uploaded,
    VersionSelector, Versioning, WriteConditions,
};
use bytes::Bytes;
use engine::blob::BlobStore;
use engine::catalog::{Catalog, MemoryCatalog, Scan, Table};
use engine::clock::ManualClock;
use engine::clock::compliance::ComplianceClock;
use engine::entropy::{Entropy, SeededEntropy};
use engine::fault::Faults;
use engine::id::PartitionId;
use engine::outbox::{Outbox, Subscriber};
use engine::testing::BLOB_REFERENCES;
use engine::worker::Progress;
use futures_util::StreamExt;
use security::AccountId;
use security::identity::Identities;
use security::kms::Kms;
use std::sync::Arc;
use std::time::Duration;

pub(crate) struct World {
    pub(crate) store: Arc<ObjectStore>,
    pub(crate) catalog: Arc<MemoryCatalog>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) blobs: Arc<BlobStore>,
    components: Components,
    /// Keeps the directory.
    foundation: Foundation,
}

pub(crate) fn bucket(name: &str) -> BucketName {
    BucketName::parse(name).unwrap()
}

pub(crate) fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

/// Bytes that no other length or seed begins with.
pub(crate) fn bytes(seed: u64, length: usize) -> Bytes {
    let mut out = vec![0; length];
    SeededEntropy::new(seed).fill(&mut out);
    out.into()
}

impl World {
    pub(crate) async fn new(seed: u64) -> Self {
        Self::on(Foundation::new(seed)).await
    }

    /// With a zone beside the first.
    pub(crate) async fn with_zones(seed: u64) -> Self {
        let mut foundation = Foundation::new(seed);
        foundation.zones.push("other".to_owned());
        Self::on(foundation).await
    }

    async fn on(foundation: Foundation) -> Self {
        let account = AccountId::random(&SeededEntropy::new(1));
        let components = foundation.components(foundation.catalog.clone(), account).await;
        let store = ObjectStore::open(components.clone()).await.unwrap();
        let Foundation { catalog, clock, .. } = foundation.clone();
        Self { store, catalog, clock, blobs: components.blobs.clone(), components, foundation }
    }

    /// Forgets what is in memory only, as a crash does. The rows stay.
    pub(crate) async fn reopen(&mut self) {
        if self.components.vaults.is_some() {
            self.components.vaults = Some(self.foundation.vaults(&self.components).await);
        }
        self.store = ObjectStore::open(self.parts()).await.unwrap();
    }

    /// With vaults for what is archived.
    pub(crate) async fn with_vaults(seed: u64) -> Self {
        let mut world = Self::new(seed).await;
        world.open_vaults().await;
        world
    }

    /// With managed keys, and whom their policies name.
    pub(crate) async fn with_managed_keys(seed: u64, other: AccountId) -> (Self, Arc<Identities>, Arc<Kms>) {
        let mut world = Self::new(seed).await;
        let (identities, kms) = world.foundation.managed_keys(&world.components, other).await;
        world.components.kms = Some(kms.clone());
        world.reopen().await;
        (world, identities, kms)
    }

    /// The appliance's account.
    pub(crate) fn account(&self) -> AccountId {
        self.components.account
    }

    /// Another start, with vaults.
    pub(crate) async fn open_vaults(&mut self) {
        self.components.vaults = Some(self.foundation.vaults(&self.components).await);
        self.reopen().await;
    }

    /// Another owner of the same rows and bytes, vaults included.
    pub(crate) async fn beside_with_vaults(&self, rows: Arc<dyn Catalog>) -> Self {
        let mut components = Components { catalog: rows, ..self.parts() };
        components.vaults = Some(self.foundation.vaults(&components).await);
        let store = ObjectStore::open(components.clone()).await.unwrap();
        Self { components, ..self.with(store) }
    }

    /// With an outbox of these subscribers.
    pub(crate) async fn telling(seed: u64, subscribers: Vec<Subscriber>) -> (Self, Arc<Outbox>) {
        let mut world = Self::new(seed).await;
        world.name(subscribers).await;
        let outbox = Arc::clone(&world.components.outbox);
        (world, outbox)
    }

    /// Another start, with these subscribers.
    pub(crate) async fn name(&mut self, subscribers: Vec<Subscriber>) {
        self.components.outbox = self.foundation.outbox(self.catalog.clone(), subscribers);
        self.reopen().await;
    }

    /// Another start, over another catalog.
    pub(crate) async fn through(
        &mut self,
        catalog: Arc<dyn engine::catalog::Catalog>,
        subscribers: Vec<Subscriber>,
    ) -> Arc<Outbox> {
        self.components.outbox = self.foundation.outbox(catalog.clone(), subscribers);
        self.components.catalog = catalog;
        self.reopen().await;
        Arc::clone(&self.components.outbox)
    }

    /// With calendar days that are shorter than real ones.
    pub(crate) async fn rehearsing(seed: u64, day: Duration) -> Self {
        let mut world = Self::new(seed).await;
        world.components.day = day;
        world.reopen().await;
        world
    }

    /// The appliance does not run for so long.
    pub(crate) async fn down_for(&mut self, duration: Duration) {
        self.clock.advance(duration);
        let clock = ComplianceClock::open(self.catalog.clone(), self.clock.clone()).await;
        self.components.compliance = clock.unwrap();
        self.reopen().await;
    }

    /// Another owner of the same rows and bytes, with a memory of its own, that reads and commits through `rows`.
    pub(crate) async fn beside(&self, rows: Arc<dyn Catalog>) -> Self {
        let store = ObjectStore::open(Components { catalog: rows, ..self.parts() }).await.unwrap();
        self.with(store)
    }

    /// A process that starts with these rows and a key table of its own.
    pub(crate) async fn started_on(&self, rows: Arc<dyn Catalog>) -> Self {
        let parts = self.parts();
        let keys = self.foundation.keys_in(rows.clone()).await;
        let store = ObjectStore::open(Components { catalog: rows, keys, ..parts }).await.unwrap();
        self.with(store)
    }

    fn with(&self, store: Arc<ObjectStore>) -> Self {
        Self {
            store,
            catalog: self.catalog.clone(),
            clock: self.clock.clone(),
            blobs: self.blobs.clone(),
            components: self.components.clone(),
            foundation: self.foundation.clone(),
        }
    }

    /// Damages all that lies in a zone.
    pub(crate) fn damage_zone(&self, zone: &str) {
        self.foundation.damage_zone(zone);
    }

    /// What goes wrong with the disk.
    pub(crate) fn faults(&self) -> &Faults {
        &self.foundation.faults
    }

    /// What the store is made of.
    pub(crate) fn parts(&self) -> Components {
        self.components.clone()
    }

    pub(crate) async fn create(&self, name: &str, versioning: Versioning) -> BucketName {
        let name = bucket(name);
        self.store.create_bucket(&name, &crate::NewBucket::default()).await.unwrap();
        if versioning != Versioning::Off {
            self.store.set_versioning(&name, versioning).await.unwrap();
        }
        name
    }

    pub(crate) async fn put(&self, bucket: &BucketName, at: &str, body: impl Into<Bytes>) -> Uploaded {
        self.put_with(PutRequest::new(bucket.clone(), key(at)), body).await.unwrap()
    }

    pub(crate) async fn put_with(&self, request: PutRequest, body: impl Into<Bytes>) -> Result<Uploaded> {
        let body = body.into();
        let mut upload = self.store.put(request).await?;
        for piece in body.chunks(100_000) {
            upload.write(Bytes::copy_from_slice(piece)).await?;
        }
        upload.finish(Expect::default()).await
    }

    pub(crate) async fn get(&self, bucket: &BucketName, at: &str) -> Result<Bytes> {
        self.read(GetRequest::new(bucket.clone(), key(at))).await
    }

    pub(crate) async fn get_version(
        &self,
        bucket: &BucketName,
        at: &str,
        version: VersionSelector,
    ) -> Result<Bytes> {
        self.read(GetRequest { version, ..GetRequest::new(bucket.clone(), key(at)) }).await
    }

    pub(crate) async fn read(&self, request: GetRequest) -> Result<Bytes> {
        let outcome = self.store.get(request).await?;
        let length = outcome.length.get();
        let body = collect(outcome).await?;
        assert_eq!(body.len() as u64, length);
        Ok(body)
    }

    pub(crate) async fn delete(&self, bucket: &BucketName, at: &str) -> DeleteOutcome {
        self.delete_version(bucket, at, VersionSelector::Latest).await
    }

    pub(crate) async fn delete_version(
        &self,
        bucket: &BucketName,
        at: &str,
        version: VersionSelector,
    ) -> DeleteOutcome {
        let request = DeleteRequest {
            bucket: bucket.clone(),
            key: key(at),
            version,
            conditions: crate::DeleteConditions::default(),
            bypass_governance: false,
            origin: crate::Origin::default(),
            asks: None,
        };
        self.store.delete(request).await.unwrap()
    }

    pub(crate) async fn keys(&self, bucket: &BucketName) -> Vec<String> {
        let page = self.store.list_objects(ListRequest::new(bucket.clone())).await.unwrap();
        assert_eq!(page.next, None);
        page.entries.into_iter().map(|entry| entry.key.as_str().to_owned()).collect()
    }

    pub(crate) async fn begin(&self, bucket: &BucketName, at: &str) -> UploadId {
        let request = CreateUpload::new(bucket.clone(), key(at));
        self.store.create_upload(request).await.unwrap().upload
    }

    pub(crate) async fn part(
        &self,
        bucket: &BucketName,
        at: &str,
        upload: UploadId,
        number: u32,
        body: impl Into<Bytes>,
    ) -> Result<CompletedPart> {
        let part = PartNumber::new(number).unwrap();
        let request = PartRequest {
            bucket: bucket.clone(),
            key: key(at),
            upload,
            part,
            length: None,
            checksum: None,
            proven: true,
            writer: None,
            customer_key: None,
            asks: None,
        };
        let mut sink = self.store.upload_part(request).await?;
        sink.write(body.into()).await?;
        let uploaded = sink.finish(Expect::default()).await?;
        let checksum = uploaded.checksum.map(|sum| sum.value);
        Ok(CompletedPart { number: part, etag: uploaded.etag, checksum })
    }

    pub(crate) async fn complete(
        &self,
        bucket: &BucketName,
        at: &str,
        upload: UploadId,
        parts: Vec<CompletedPart>,
    ) -> Result<Uploaded> {
        let request = CompleteRequest {
            bucket: bucket.clone(),
            key: key(at),
            upload,
            parts,
            checksum: None,
            checksum_parts: None,
            checksum_type: None,
            size: None,
            conditions: WriteConditions::default(),
            origin: crate::Origin::default(),
            asks: None,
            customer_key: None,
        };
        self.store.complete_upload(request).await
    }

    /// Runs our workers and the blob store's until none has anything to do.
    pub(crate) async fn settle(&self) {
        self.try_settle().await.unwrap();
    }

    pub(crate) async fn try_settle(&self) -> engine::Result<()> {
        self.store.find_work().await.map_err(|error| engine::Error::Invalid(error.to_string()))?;
        let mut workers = self.store.workers();
        workers.extend(self.components.vaults.iter().flat_map(archive::vault::Vaults::workers));
        let mut calm = 0;
        while calm < 3 {
            calm += 1;
            for worker in &mut workers {
                for _ in 0..10_000 {
                    match worker.tick().await? {
                        Progress::More { done: 0 } => {}
                        Progress::More { .. } => calm = 0,
                        Progress::Idle { .. } => break,
                    }
                }
            }
        }
        Ok(())
    }

    /// Lets a day and a bit pass, in which old completions and fences go.
    pub(crate) fn next_day(&self) {
        self.clock.advance(Duration::from_hours(25));
    }

    /// Rows of a table in a partition.
    pub(crate) async fn rows(&self, partition: PartitionId, table: Table) -> usize {
        let snapshot = self.catalog.snapshot(partition).await.unwrap();
        snapshot.scan(Scan::prefix(table, b"", 100_000)).await.unwrap().rows.len()
    }

    /// References to blobs and manifests that are held in a partition.
    pub(crate) async fn references(&self, partition: PartitionId) -> usize {
        let snapshot = self.catalog.snapshot(partition).await.unwrap();
        let scan = Scan::prefix(BLOB_REFERENCES, b"", 100_000);
        let blobs = snapshot.scan(scan).await.unwrap().rows.len();
        blobs + self.rows(partition, crate::tables::MANIFEST_REFS).await
    }

    pub(crate) async fn partition(&self, name: &BucketName) -> PartitionId {
        self.store.resolve(name).await.unwrap().unwrap().partition
    }
}

pub(crate) async fn collect(mut outcome: GetOutcome) -> Result<Bytes> {
    let mut body = Vec::new();
    while let Some(piece) = outcome.body.next().await {
        body.extend_from_slice(&piece?);
    }
    Ok(body.into())
}

pub(crate) fn copy_request(from: (&BucketName, &str), to: (&BucketName, &str)) -> CopyRequest {
    CopyRequest {
        source: copy_source(from),
        bucket: to.0.clone(),
        key: key(to.1),
        metadata: MetadataDirective::Copy,
        class: None,
        checksum: None,
        subresources: crate::Subresources::default(),
        copy_tags: true,
        asks: None,
        website_redirect: None,
        conditions: WriteConditions::default(),
        writer: crate::Writer::default(),
        origin: crate::Origin::default(),
        customer_key: None,
        encryption: Encrypts::AsBucket,
    }
}

pub(crate) fn copy_source(from: (&BucketName, &str)) -> CopySource {
    CopySource {
        bucket: from.0.clone(),
        key: key(from.1),
        version: VersionSelector::Latest,
        conditions: ReadConditions::default(),
        asks: None,
        customer_key: None,
    }
}
