//! Ids and nonces after a recovery from a backup: what is written in the place of what was lost shares none of them with it, although
//! the pools still have what was lost, and the clock may show the same time again.

use crate::record::{Content, Extent, ObjectRow, PartRow};
use crate::world::{bucket, bytes, key};
use crate::{
    Components, CreateUpload, DeleteConditions, DeleteRequest, Expect, NewBucket, ObjectStore, PartNumber,
    PartRequest, PutRequest, VersionSelector, Versioning, tables,
};
use engine::backup::{Backup, BaseWorker, DirectoryTarget, LogWorker, Parts, RecoveryKey, recover};
use engine::blob::{BlobStore, OpenOptions};
use engine::catalog::record::Record as _;
use engine::catalog::{Catalog, Options, RocksCatalog, Scan};
use engine::clock::compliance::ComplianceClock;
use engine::clock::{Clock as _, ManualClock, Timestamp};
use engine::entropy::{Entropy, SeededEntropy, SystemEntropy};
use engine::fault::Faults;
use engine::outbox::{self, Outbox};
use engine::small_files::SmallFiles;
use engine::unit::ByteCount;
use engine::worker::{Progress, Worker as _};
use parking_lot::Mutex;
use security::keys::{FileCustodian, KeyTable};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const MARKER: &str = "firn.json";
/// Two buckets.
const PLAIN: &str = "plain";
const DEDUPLICATED: &str = "deduplicated";

/// Randomness that is the same again from the same seed on, whatever else is drawn in between: each length has a stream of its own.
#[derive(Debug)]
struct Repeatable {
    seed: u64,
    drawn: Mutex<BTreeMap<usize, u64>>,
}

impl Entropy for Repeatable {
    fn fill(&self, out: &mut [u8]) {
        let nth = {
            let mut drawn = self.drawn.lock();
            let nth = drawn.entry(out.len()).or_default();
            *nth += 1;
            *nth
        };
        SeededEntropy::new(self.seed ^ (out.len() as u64) << 16 ^ nth << 32).fill(out);
    }
}

/// What an appliance's processes have in common.
struct Disks {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    key: RecoveryKey,
}

/// A process.
struct Life {
    catalog: Arc<RocksCatalog>,
    store: Arc<ObjectStore>,
    base: BaseWorker,
    log: LogWorker,
}

impl Disks {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let disks = Self { dir, clock, key: RecoveryKey::generate() };
        std::fs::create_dir(disks.system()).unwrap();
        std::fs::write(disks.system().join(MARKER), b"{}").unwrap();
        disks
    }

    fn system(&self) -> PathBuf {
        self.dir.path().join("system")
    }

    fn target(&self) -> DirectoryTarget {
        DirectoryTarget::open(self.dir.path().join("elsewhere")).unwrap()
    }

    fn options(&self) -> Options {
        let options = Options::new(self.clock.clone(), Arc::new(SystemEntropy), Arc::default());
        Options { reserve_bytes: 0, ..options }
    }

    /// Starts with randomness from this seed on, of the store and of its blobs each.
    async fn start(&self, seed: u64) -> Life {
        let entropy = |seed| -> Arc<dyn Entropy> { Arc::new(Repeatable { seed, drawn: Mutex::default() }) };
        let (of_store, of_blobs, faults) = (entropy(seed), entropy(seed + 1), Arc::new(Faults::default()));
        let catalog = RocksCatalog::open(self.system().join("catalog"), self.options()).unwrap();
        let rows: Arc<dyn Catalog> = catalog.clone();
        let pool = self.dir.path().join("pool");
        let pool = OpenOptions {
            segment_bytes: ByteCount::mib(16),
            keep_free: ByteCount::mib(1),
            ..OpenOptions::new(pool, rows.clone(), self.clock.clone(), of_blobs, faults.clone())
        };
        let blobs = BlobStore::open(pool).await.unwrap();
        let file = self.system().join("master.key");
        let custodian = if file.exists() {
            FileCustodian::load(&file, of_store.clone())
        } else {
            FileCustodian::generate(&file, of_store.clone())
        };
        let custodian = Arc::new(custodian.unwrap());
        let keys =
            KeyTable::open(rows.clone(), custodian, of_store.clone(), self.clock.clone()).await.unwrap();
        let compliance = ComplianceClock::open(rows.clone(), self.clock.clone()).await.unwrap();
        let outbox = Outbox::new(outbox::Options {
            catalog: rows.clone(),
            clock: self.clock.clone(),
            entropy: of_store.clone(),
            subscribers: Vec::new(),
            messages_max: 10,
        });
        let store = ObjectStore::open(Components {
            catalog: rows,
            blobs: blobs.clone(),
            vaults: None,
            kms: None,
            keys,
            clock: self.clock.clone(),
            compliance,
            day: crate::DAY,
            entropy: of_store,
            outbox,
            access_logs: crate::LogOptions::default(),
            region: "us-east-1".to_owned(),
            account: "123456789012".parse().unwrap(),
        });
        let store = store.await.unwrap();
        let backup = Backup::open(Parts {
            files: Arc::new(SmallFiles::new(self.system(), vec![MARKER.into(), "master.key".into()])),
            catalog: catalog.clone(),
            target: Arc::new(self.target()),
            recipient: self.key.recipient(),
            base_every: Duration::from_hours(24),
            clock: self.clock.clone(),
            entropy: Arc::new(SystemEntropy),
            faults,
        });
        let backup = backup.unwrap();
        let (base, log) = (BaseWorker::new(backup.clone()), LogWorker::new(backup, blobs));
        Life { catalog, store, base, log }
    }

    /// The system disk is gone, and comes back from the backup.
    async fn lose_and_recover(&self, life: Life) {
        life.end();
        std::fs::remove_dir_all(self.system()).unwrap();
        let key = self.key.reveal().parse().unwrap();
        recover(&self.target(), (&[key], None, None), &self.system(), (MARKER, None), self.options())
            .await
            .unwrap();
    }
}

/// What tells one thing from another: its kind, and its bytes.
type Id = (&'static str, Vec<u8>);

const KINDS: [&str; 9] =
    ["version", "upload", "owner", "inline blob", "blob", "manifest", "pack", "nonce", "nonce of a part"];

impl Life {
    fn end(self) {
        let catalog = self.catalog.clone();
        drop(self);
        catalog.close();
    }

    async fn put(&self, name: &str, at: &str, (seed, length): (u64, usize)) {
        let mut upload = self.store.put(PutRequest::new(bucket(name), key(at))).await.unwrap();
        upload.write(bytes(seed, length)).await.unwrap();
        upload.finish(Expect::default()).await.unwrap();
    }

    async fn begin(&self, at: &str) {
        let create = CreateUpload::new(bucket(PLAIN), key(at));
        let upload = self.store.create_upload(create).await.unwrap().upload;
        for (number, length) in [(1, 1_000), (2, 100_000)] {
            let part = PartRequest {
                bucket: bucket(PLAIN),
                key: key(at),
                upload,
                part: PartNumber::new(number).unwrap(),
                length: None,
                checksum: None,
                proven: true,
                writer: None,
                customer_key: None,
                asks: None,
            };
            let mut part = self.store.upload_part(part).await.unwrap();
            part.write(bytes(9, length)).await.unwrap();
            part.finish(Expect::default()).await.unwrap();
        }
    }

    /// What gets lost, and is done again: the same bytes at the same places from the same seed.
    async fn work(&self, seed: u64) {
        for n in 0..6 {
            // In a row, in one record, in several.
            for length in [100, 20_000, 300_000] {
                self.put(PLAIN, &format!("{length}/{n}"), (seed, length)).await;
            }
        }
        self.put(DEDUPLICATED, "k", (seed, 3 << 20)).await;
        let request = DeleteRequest {
            bucket: bucket(PLAIN),
            key: key("100/0"),
            version: VersionSelector::Latest,
            conditions: DeleteConditions::default(),
            bypass_governance: false,
            origin: crate::Origin::default(),
            asks: None,
        };
        assert!(self.store.delete(request).await.unwrap().marker);
        for n in 0..3 {
            self.begin(&format!("upload/{n}")).await;
        }
    }

    async fn ids(&self) -> BTreeSet<Id> {
        let mut ids = BTreeSet::new();
        for name in [PLAIN, DEDUPLICATED] {
            let partition = self.store.view(&bucket(name)).await.unwrap().bucket.partition;
            let snapshot = self.catalog.snapshot(partition).await.unwrap();
            let rows = async |table| {
                let page = snapshot.scan(Scan::prefix(table, b"", 1_000)).await.unwrap();
                assert!(!page.more);
                page.rows
            };
            for (raw, value) in rows(tables::VERSIONS).await {
                let row = ObjectRow::from_bytes(&value).unwrap();
                let (_, version) = tables::read_version(&raw).unwrap();
                ids.insert(("version", version.to_string().into_bytes()));
                ids.insert(("nonce", nonce(&row.sealed)));
                ids.extend(row.stored.iter().flat_map(|stored| of_extent(&stored.extent)));
            }
            for (raw, _) in rows(tables::UPLOADS).await {
                ids.insert(("upload", tables::read_upload(&raw).unwrap().1.as_bytes().to_vec()));
            }
            for (_, value) in rows(tables::PARTS).await {
                let row = PartRow::from_bytes(&value).unwrap();
                ids.insert(("nonce of a part", nonce(&row.sealed)));
                ids.extend(of_extent(&row.extent));
            }
            ids.extend(rows(tables::PACKS).await.into_iter().map(|(raw, _)| ("pack", raw.to_vec())));
        }
        ids
    }
}

/// Of a sealed key: version, id of the table's key, nonce, ciphertext (docs/formats/key-table.md).
fn nonce(sealed: &[u8]) -> Vec<u8> {
    sealed[9..21].to_vec()
}

fn of_extent(extent: &Extent) -> Vec<Id> {
    let content = match &extent.content {
        Content::Empty => None,
        Content::Inline { blob } => Some(("inline blob", blob.as_bytes().to_vec())),
        Content::Blob { blob, .. } => Some(("blob", blob.as_bytes().to_vec())),
        Content::Manifest { manifest, .. } => Some(("manifest", manifest.as_bytes().to_vec())),
    };
    content.into_iter().chain([("owner", extent.owner.as_bytes().to_vec())]).collect()
}

/// Loses a span, does the same again at the same times with randomness from `seed` on, and answers the ids of both.
async fn lost_and_done_again(seed: u64) -> (BTreeSet<Id>, BTreeSet<Id>) {
    let disks = Disks::new();
    let mut life = disks.start(1).await;
    for name in [PLAIN, DEDUPLICATED] {
        let new = NewBucket::new(Versioning::Enabled);
        life.store.create_bucket(&bucket(name), &new).await.unwrap();
        life.store.set_deduplication(&bucket(name), name == DEDUPLICATED).await.unwrap();
    }
    life.work(1).await;
    assert!(matches!(life.base.tick().await.unwrap(), Progress::More { .. }));
    while let Progress::More { .. } = life.log.tick().await.unwrap() {}
    let kept = life.ids().await;
    life.end();

    let then = disks.clock.now();
    let life = disks.start(SEED).await;
    assert_eq!(life.ids().await, kept);
    life.work(2).await;
    let lost = life.ids().await;
    disks.lose_and_recover(life).await;
    disks.clock.set_wall(then);
    let life = disks.start(seed).await;
    assert_eq!(life.ids().await, kept, "what was shipped is there, and nothing else");
    life.work(2).await;
    let again = life.ids().await;
    life.end();
    let new = |ids: BTreeSet<Id>| -> BTreeSet<Id> { ids.difference(&kept).cloned().collect() };
    let (lost, again) = (new(lost), new(again));
    for kind in KINDS {
        let count = |ids: &BTreeSet<Id>| ids.iter().filter(|(of, _)| *of == kind).count();
        assert!(count(&lost) > 0 && count(&lost) == count(&again), "{kind}: {lost:?} {again:?}");
    }
    (lost, again)
}

/// Where the randomness of the span that gets lost begins.
const SEED: u64 = 100;

#[tokio::test]
async fn what_is_done_again_after_a_recovery_repeats_no_id_and_no_nonce_of_the_lost_span() {
    let (lost, again) = lost_and_done_again(SEED + 100).await;
    let repeated: Vec<&Id> = lost.intersection(&again).collect();
    assert!(repeated.is_empty(), "{repeated:?}");
}

/// The test above would see it if they were not random.
#[tokio::test]
async fn randomness_that_repeats_itself_after_a_recovery_repeats_ids_and_nonces() {
    let (lost, again) = lost_and_done_again(SEED).await;
    let repeated: BTreeSet<&str> = lost.intersection(&again).map(|(kind, _)| *kind).collect();
    assert_eq!(repeated, BTreeSet::from(KINDS));
}
