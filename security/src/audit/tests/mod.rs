//! The audit trail over a catalog in memory, and a bucket that remembers.

mod delivery;
mod goldens;
mod records;
mod selectors;

use super::{Audit, Category, Destination, Event, File, NewTrail, Parts, Resource, Sink, SinkError};
use crate::keys::{FileCustodian, KeyTable};
use crate::{AccountId, Principal};
use engine::BoxFuture;
use engine::catalog::{Catalog, Commit, Limits, MemoryCatalog, Scan, Snapshot, Table, Version};
use engine::clock::{ManualClock, Timestamp};
use engine::entropy::SeededEntropy;
use engine::id::PartitionId;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

pub(super) fn own() -> AccountId {
    "111122223333".parse().unwrap()
}

pub(super) fn other() -> AccountId {
    "444455556666".parse().unwrap()
}

/// A catalog whose commits fail as they are told to.
#[derive(Default)]
pub(super) struct Disk {
    rows: MemoryCatalog,
    pub(super) fails: AtomicBool,
}

impl Catalog for Disk {
    fn limits(&self) -> Limits {
        self.rows.limits()
    }

    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, engine::Result<Arc<dyn Snapshot>>> {
        self.rows.snapshot(partition)
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, engine::Result<Version>> {
        if self.fails.load(Ordering::SeqCst) {
            return Box::pin(async { Err(engine::Error::Full { place: "disk".into(), wanted: 1 }) });
        }
        self.rows.commit(commit)
    }
}

/// A bucket: what was written, in order, and how it refuses.
#[derive(Default)]
pub(super) struct Bucket {
    pub(super) files: Mutex<Vec<(String, File)>>,
    pub(super) refuses: Mutex<Option<SinkError>>,
    /// What is written is there, and whoever wrote it is told that it failed.
    pub(super) answers_late: AtomicBool,
}

impl Sink for Bucket {
    fn check<'a>(&'a self, _: &'a Destination<'a>) -> BoxFuture<'a, Result<(), SinkError>> {
        let refused = self.refuses.lock().clone();
        Box::pin(async { refused.map_or(Ok(()), Err) })
    }

    fn write<'a>(&'a self, to: &'a Destination<'a>, file: File) -> BoxFuture<'a, Result<(), SinkError>> {
        self.files.lock().push((to.key.to_owned(), file));
        let late = self.answers_late.load(Ordering::SeqCst);
        Box::pin(async move { if late { Err(SinkError::Later("nobody knows".to_owned())) } else { Ok(()) } })
    }
}

static SEEDS: AtomicU64 = AtomicU64::new(4);

pub(super) struct Bench {
    pub(super) disk: Arc<Disk>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) bucket: Arc<Bucket>,
    pub(super) audit: Arc<Audit>,
    keys: Arc<KeyTable>,
    _dir: tempfile::TempDir,
}

impl Bench {
    pub(super) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let entropy = Arc::new(SeededEntropy::new(3));
        let custodian = FileCustodian::generate(&dir.path().join("master.key"), entropy.clone()).unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let disk = Arc::new(Disk::default());
        let keys = KeyTable::open(disk.clone(), Arc::new(custodian), entropy, clock.clone()).await.unwrap();
        let bucket = Arc::new(Bucket::default());
        let audit = Self::open(&disk, &clock, &bucket, &keys).await;
        Self { disk, clock, bucket, audit, keys, _dir: dir }
    }

    async fn open(
        disk: &Arc<Disk>,
        clock: &Arc<ManualClock>,
        bucket: &Arc<Bucket>,
        keys: &Arc<KeyTable>,
    ) -> Arc<Audit> {
        let parts = Parts {
            catalog: disk.clone(),
            keys: keys.clone(),
            clock: clock.clone(),
            // Of each process its own: ids of commits are of chance.
            entropy: Arc::new(SeededEntropy::new(SEEDS.fetch_add(1, Ordering::SeqCst))),
            region: "us-east-1".to_owned(),
            day: Duration::from_hours(24),
            sink: bucket.clone(),
        };
        Audit::open(parts).await.unwrap()
    }

    /// The process ends without a word, and another one begins.
    pub(super) async fn crash(&mut self) {
        self.audit = Self::open(&self.disk, &self.clock, &self.bucket, &self.keys).await;
    }

    /// A trail that logs.
    pub(super) async fn trail(&self, name: &str) {
        let new =
            NewTrail { name, bucket: "logs", validates: true, includes_global: true, ..NewTrail::default() };
        self.audit.create_trail(own(), &new).await.unwrap();
        self.audit.start_logging(own(), name).await.unwrap();
    }

    pub(super) async fn rows(&self, table: Table) -> Vec<(bytes::Bytes, bytes::Bytes)> {
        let snapshot = self.disk.snapshot(PartitionId::ROOT).await.unwrap();
        snapshot.scan(Scan::prefix(table, b"", 1_000)).await.unwrap().rows
    }

    /// Does all that is due.
    pub(super) async fn work(&self) {
        while self.audit.deliver().await.unwrap().0 > 0 {}
    }

    /// The names of the events in each file of records, in order of their writing.
    pub(super) fn delivered(&self) -> Vec<(String, Vec<String>)> {
        let files = self.bucket.files.lock();
        let logs = files.iter().filter(|(key, _)| key.contains("/CloudTrail/"));
        logs.map(|(key, file)| {
            let body: Value = serde_json::from_slice(&file.body).unwrap();
            let records = body["Records"].as_array().unwrap();
            (
                key.clone(),
                records.iter().map(|record| record["eventName"].as_str().unwrap().to_owned()).collect(),
            )
        })
        .collect()
    }

    pub(super) fn digests(&self) -> Vec<(String, File)> {
        let files = self.bucket.files.lock();
        files.iter().filter(|(key, _)| key.contains("/CloudTrail-Digest/")).cloned().collect()
    }
}

/// A call of the account's root.
pub(super) fn call(name: &'static str) -> Event {
    Event {
        account: own(),
        also: Vec::new(),
        at: Timestamp::from_millis(1_700_000_000_000),
        category: Category::Management,
        denied: false,
        read_only: false,
        source: "s3.amazonaws.com",
        name: name.into(),
        resources: Vec::new(),
        user: Event::user_identity(&Principal::Root(own()), Some("AKIAIOSFODNN7EXAMPLE")),
        failure: None,
        fields: Map::from_iter([("requestParameters".to_owned(), json!({ "bucketName": "b" }))]),
    }
}

/// Something done with an object.
pub(super) fn data(name: &'static str, arn: &str) -> Event {
    let resources = vec![Resource { kind: "AWS::S3::Object", arn: arn.to_owned(), account: None }];
    Event { category: Category::Data, resources, ..call(name) }
}
