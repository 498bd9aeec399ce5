//! What an object store stands on in tests: rows in memory, segments in a temporary directory, a clock moved by hand.
//!
//! For this crate's tests and, by the feature `testing`, for those of the doors above it. A failure panics: that is a test's
//! way to say so.

#![expect(clippy::missing_panics_doc, reason = "see above")]

use crate::change::Change;
use crate::record::ConfigRow;
use crate::{BucketName, Components, ObjectStore, SettingKind, tables};
use archive::retrieval::{MediumKind, Prices};
use archive::vault::{MediumOptions, Packing, Vaults};
use bytes::Bytes;
use engine::blob::{BlobStore, OpenOptions, ZoneOptions};
use engine::catalog::record::Record as _;
use engine::catalog::{Catalog, MemoryCatalog};
use engine::clock::compliance::ComplianceClock;
use engine::clock::{ManualClock, Timestamp};
use engine::entropy::{Entropy, SeededEntropy};
use engine::fault::Faults;
use engine::outbox::{Options, Outbox, Subscriber};
use engine::unit::ByteCount;
use security::AccountId;
use security::credentials::File;
use security::identity::{self, Identities};
use security::keys::{FileCustodian, KeyTable};
use security::kms::{self, Kms};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use tempfile::TempDir;

/// Rows, time, randomness and a directory; dropping the last of it removes the directory.
#[derive(Clone)]
pub struct Foundation {
    /// Rows.
    pub catalog: Arc<MemoryCatalog>,
    /// Time, from 2023-11-14 on.
    pub clock: Arc<ManualClock>,
    /// Randomness that repeats itself.
    pub entropy: Arc<dyn Entropy>,
    /// What goes wrong with the disk.
    pub faults: Arc<Faults>,
    /// Zones beside the first.
    pub zones: Vec<String>,
    dir: Arc<TempDir>,
}

impl Foundation {
    /// An empty one.
    pub fn new(seed: u64) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(seed));
        let catalog = Arc::new(MemoryCatalog::new(clock.clone(), &*entropy));
        let dir = Arc::new(tempfile::tempdir().expect("a temporary directory"));
        Self { catalog, clock, entropy, faults: Arc::default(), zones: Vec::new(), dir }
    }

    /// Flips a bit in each piece of every segment in a zone's directory, whatever lies there: the first zone's is `pool`. Files and rows
    /// stay what they are.
    pub fn damage_zone(&self, zone: &str) {
        let mut todo = vec![self.dir.path().join(zone)];
        while let Some(path) = todo.pop() {
            if path.is_dir() {
                let entries = std::fs::read_dir(&path).expect("a directory");
                todo.extend(entries.map(|entry| entry.expect("an entry").path()));
                continue;
            }
            let mut bytes = std::fs::read(&path).expect("a file");
            if bytes.len() < 1 << 20 {
                continue;
            }
            for piece in bytes.chunks_mut(4_096).skip(4) {
                if let Some(byte) = piece.get_mut(2_000).filter(|byte| **byte != 0) {
                    *byte ^= 1;
                }
            }
            let file = std::fs::File::options().write(true).open(&path).expect("the file");
            file.write_all_at(&bytes, 0).expect("a write");
        }
    }

    /// What a store is made of, over `catalog`: this one's, or one that stands before it. Once for each foundation.
    pub async fn components(&self, catalog: Arc<dyn Catalog>, account: AccountId) -> Components {
        let pool = OpenOptions {
            segment_bytes: ByteCount::mib(16),
            keep_free: ByteCount::mib(1),
            ..OpenOptions::new(
                self.dir.path().join("pool"),
                Arc::clone(&catalog),
                self.clock.clone(),
                Arc::clone(&self.entropy),
                Arc::clone(&self.faults),
            )
        };
        let mut pool = pool;
        for zone in &self.zones {
            let (name, faults) = (zone.clone(), Arc::default());
            let directories = vec![self.dir.path().join(zone)];
            pool.zones.push(ZoneOptions { name, directories, away: None, faults });
        }
        let blobs = BlobStore::open(pool).await.expect("a pool");
        let custodian = FileCustodian::generate(&self.dir.path().join("master.key"), self.entropy.clone());
        let custodian = Arc::new(custodian.expect("a master key"));
        let keys =
            KeyTable::open(Arc::clone(&catalog), custodian, self.entropy.clone(), self.clock.clone()).await;
        let compliance = ComplianceClock::open(Arc::clone(&catalog), self.clock.clone()).await;
        let outbox = self.outbox(Arc::clone(&catalog), Vec::new());
        Components {
            catalog,
            blobs,
            keys: keys.expect("a key table"),
            clock: self.clock.clone(),
            compliance: compliance.expect("a compliance clock"),
            day: crate::DAY,
            entropy: Arc::clone(&self.entropy),
            outbox,
            access_logs: crate::LogOptions::default(),
            vaults: None,
            kms: None,
            region: "us-east-1".to_owned(),
            account,
        }
    }

    /// Vaults over the rows and bytes of [those](Self::components), as each start opens them, with a medium beside the pool.
    pub async fn vaults(&self, parts: &Components) -> Arc<Vaults> {
        let path = self.dir.path().join("vault");
        std::fs::create_dir_all(&path).expect("a medium");
        let label = "disk".parse().expect("a label");
        let vaults = Vaults::open(archive::vault::Components {
            catalog: Arc::clone(&parts.catalog),
            blobs: Arc::clone(&parts.blobs),
            keys: Arc::clone(&parts.keys),
            clock: Arc::clone(&parts.clock),
            compliance: Arc::clone(&parts.compliance),
            day: parts.day,
            entropy: Arc::clone(&parts.entropy),
            region: parts.region.clone(),
            making: self.dir.path().join("making"),
            media: vec![MediumOptions {
                label,
                kind: MediumKind::Disk,
                path,
                capacity: None,
                write_once: false,
            }],
            packing: Packing { capacity: 2 << 20, patience: std::time::Duration::ZERO, ..Packing::default() },
            prices: Prices::default(),
            free_per_day: archive::retrieval::FREE_PER_DAY,
            topics: None,
        });
        vaults.await.expect("vaults")
    }

    /// Managed keys over the rows of [those](Self::components), and whom their policies name. The appliance's account and `other` have roots.
    pub async fn managed_keys(&self, parts: &Components, other: AccountId) -> (Arc<Identities>, Arc<Kms>) {
        let secret = "s".repeat(40);
        let key = |of: &str| format!("aws_access_key_id = FIRNTEST{of}\naws_secret_access_key = {secret}\n");
        let ini = format!(
            "[default]\n{}[other]\n{}aws_account_id = {other}\n",
            key("0000DEFAULT0"),
            key("00000OTHER00")
        );
        let identities = Identities::open(identity::Parts {
            catalog: Arc::clone(&parts.catalog),
            keys: Arc::clone(&parts.keys),
            clock: Arc::clone(&parts.clock),
            entropy: Arc::clone(&parts.entropy),
            roots: Arc::new(File::parse(&ini, parts.account).expect("credentials")),
            region: parts.region.clone(),
        });
        let identities = identities.await.expect("identities");
        let kms = Kms::new(kms::Parts {
            catalog: Arc::clone(&parts.catalog),
            keys: Arc::clone(&parts.keys),
            identities: Arc::clone(&identities),
            clock: Arc::clone(&parts.clock),
            compliance: Arc::clone(&parts.compliance),
            entropy: Arc::clone(&parts.entropy),
            region: parts.region.clone(),
        });
        (identities, kms)
    }

    /// A key table of its own over the rows of [those](Self::components), as another start opens it.
    pub async fn keys_in(&self, catalog: Arc<dyn Catalog>) -> Arc<KeyTable> {
        let custodian = FileCustodian::load(&self.dir.path().join("master.key"), self.entropy.clone());
        let custodian = Arc::new(custodian.expect("the master key"));
        let keys = KeyTable::open(catalog, custodian, self.entropy.clone(), self.clock.clone()).await;
        keys.expect("a key table")
    }

    /// An outbox with these subscribers.
    pub fn outbox(&self, catalog: Arc<dyn Catalog>, subscribers: Vec<Subscriber>) -> Arc<Outbox> {
        let (clock, entropy) = (self.clock.clone(), Arc::clone(&self.entropy));
        Outbox::new(Options { catalog, clock, entropy, subscribers, messages_max: 1_000 })
    }
}

/// Puts what nobody can read in the place of a bucket's lifecycle rules, behind the store's back.
pub async fn damage_lifecycle(store: &ObjectStore, bucket: &BucketName) {
    let view = store.view(bucket).await.expect("the bucket");
    // Of what was decoded at this revision there is a copy in memory.
    let config = ConfigRow { revision: view.config.revision + 1, ..view.config };
    let change = Change::default()
        .put(tables::setting(SettingKind::Lifecycle, ""), Bytes::from_static(b"\x01\x07"))
        .put(tables::only(tables::CONFIG), config.to_bytes());
    store.commit(change.of(&view)).await.expect("a commit");
}
