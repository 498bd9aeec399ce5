//! The audit trail over a catalog in memory, and a bucket that remembers.

mod bounds;
mod changes;
mod damage;
mod delivery;
mod goldens;
mod records;
mod selectors;
mod shares;

use super::{Audit, Category, Destination, Event, Failure, File, NewTrail, Parts, Resource, Sink, SinkError};
use crate::keys::{FileCustodian, KeyTable};
use crate::{AccountId, Principal};
use engine::BoxFuture;
use engine::catalog::{
    Catalog, Commit, Family, Key, Limits, MemoryCatalog, Scan, Snapshot, Table, Version, Write,
};
use engine::clock::compliance::ComplianceClock;
use engine::clock::{ManualClock, Timestamp};
use engine::entropy::SeededEntropy;
use engine::id::PartitionId;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

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
    /// There is no room.
    pub(super) fails: AtomicBool,
    /// What is committed passes, and nobody is told.
    pub(super) is_silent: AtomicBool,
    /// And then there is no room.
    pub(super) full_behind: AtomicBool,
    /// The next commit panics.
    pub(super) panics: AtomicBool,
    /// Nothing is answered.
    pub(super) is_stuck: watch::Sender<bool>,
    /// Commits that were asked for.
    pub(super) asked: AtomicU64,
}

/// What no commit takes.
pub(super) const POISON: &str = "poison";

impl Catalog for Disk {
    fn limits(&self) -> Limits {
        self.rows.limits()
    }

    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, engine::Result<Arc<dyn Snapshot>>> {
        self.rows.snapshot(partition)
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, engine::Result<Version>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            drop(self.is_stuck.subscribe().wait_for(|is_stuck| !is_stuck).await);
            assert!(!self.panics.swap(false, Ordering::SeqCst), "as it was told to");
            if self.fails.load(Ordering::SeqCst) {
                return Err(engine::Error::Full { place: "disk".into(), wanted: 1 });
            }
            let is_poison = |write: &Write| match write {
                Write::Put(_, value) => String::from_utf8_lossy(value).contains(POISON),
                _ => false,
            };
            if commit.writes.iter().any(is_poison) {
                return Err(engine::Error::TooLarge { what: "a value", size: 2, limit: 1 });
            }
            let outcome = self.rows.commit(commit).await;
            if self.is_silent.load(Ordering::SeqCst) {
                self.fails.fetch_or(self.full_behind.load(Ordering::SeqCst), Ordering::SeqCst);
                return Err(engine::Error::Unknown { reason: "nobody answers".to_owned() });
            }
            outcome
        })
    }
}

/// A bucket: what was written, in order, and how it refuses.
#[derive(Default)]
pub(super) struct Bucket {
    pub(super) files: Mutex<Vec<(String, File)>>,
    pub(super) refuses: Mutex<Option<SinkError>>,
    /// What is written is there, and whoever wrote it is told that it failed.
    pub(super) answers_late: AtomicBool,
    /// Where files were to go, as it was asked.
    pub(super) asked: Mutex<Vec<String>>,
}

impl Sink for Bucket {
    fn check<'a>(&'a self, to: &'a Destination<'a>) -> BoxFuture<'a, Result<(), SinkError>> {
        self.asked.lock().push(format!("{}/{}", to.bucket, to.key));
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
    pub(super) compliance: Arc<ComplianceClock>,
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
        let compliance = ComplianceClock::open(disk.clone(), clock.clone()).await.unwrap();
        let audit = Self::open(&disk, (&clock, &compliance), &bucket, &keys).await;
        Self { disk, clock, bucket, audit, compliance, keys, _dir: dir }
    }

    async fn open(
        disk: &Arc<Disk>,
        (clock, compliance): (&Arc<ManualClock>, &Arc<ComplianceClock>),
        bucket: &Arc<Bucket>,
        keys: &Arc<KeyTable>,
    ) -> Arc<Audit> {
        let parts = Parts {
            catalog: disk.clone(),
            keys: keys.clone(),
            clock: clock.clone(),
            compliance: compliance.clone(),
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
        self.audit = Self::open(&self.disk, (&self.clock, &self.compliance), &self.bucket, &self.keys).await;
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

    /// Writes a row as it is given; a counter counts one more.
    pub(super) async fn put(&self, key: Key, value: &'static [u8]) {
        let write = match key.table.family {
            Family::Counter => Write::Add(key, 1),
            _ => Write::Put(key, bytes::Bytes::from_static(value)),
        };
        let commit = Commit { writes: vec![write], ..Commit::new(PartitionId::ROOT, 0) };
        self.disk.rows.commit(commit).await.unwrap();
    }

    /// Replaces all rows of a table by what can't be read.
    pub(super) async fn damage(&self, table: Table) {
        for (key, _) in self.rows(table).await {
            self.put(table.key(key), b"\x01\xff").await;
        }
    }

    /// All whose records wait have them, or not; what the appliance says too.
    pub(super) async fn settle(&self) {
        while self.audit.write_some().await {}
    }

    /// Does all that is due.
    pub(super) async fn work(&self) {
        while self.audit.deliver().await.0 > 0 {}
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

/// A call that was denied.
pub(super) fn denied(name: &'static str) -> Event {
    let failure = Some(Failure { code: "AccessDenied".to_owned(), message: None });
    Event { denied: true, failure, ..call(name) }
}

/// A call about a trail.
pub(super) fn about(name: &'static str, trail: &str) -> Event {
    let fields = Map::from_iter([("requestParameters".to_owned(), json!({ "name": trail }))]);
    Event { source: "cloudtrail.amazonaws.com", fields, ..call(name) }
}

/// Lets others work until they wait.
pub(super) async fn others_work() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// Something done with an object.
pub(super) fn data(name: &'static str, arn: &str) -> Event {
    let resources = vec![Resource { kind: "AWS::S3::Object", arn: arn.to_owned(), account: None }];
    Event { category: Category::Data, resources, ..call(name) }
}
