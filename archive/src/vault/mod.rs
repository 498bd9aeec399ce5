//! Vaults: what holds archives from the moment they are taken to the moment they are given back.
//!
//! ```text
//!   upload ─► blob (durable) ─► one commit: the archive is there, its bytes are a piece ─► the answer
//!                                   │ packer: a pack is made, put on a medium, read back
//!                                   └─► one commit: its bytes have a place in the pack, the pieces go
//!   job ─► desk, plan ─► runner: medium, pack, verify ─► output (blobs, until they expire) ─► given out by range
//! ```
//!
//! | module | what |
//! |---|---|
//! | `create`, `name`, `settings` | vaults, their names and what is set on them |
//! | `deposit`, `multipart` | archives on their way in; and their end |
//! | `media` | directories that packs lie in, known by a mark |
//! | `packer`, `build` | a worker: pieces become places |
//! | `fetch` | bytes of an archive, wherever they lie |
//! | `jobs`, `runner` | retrievals: asked for, done, given out |
//! | `waste`, `compact`, `rewrite`, `compactor` | packs of which much is wanted no more: found, and what lives in them moved to new ones |
//! | `scrub`, `scrubber` | every byte of the packs is looked at, and mended: by whoever asks, and each month |
//! | `system` | vaults that no door shows, in the partition of whoever keeps bytes there |
//! | `terms` | what holds for all vaults of an account: data retrieval policy, provisioned capacity |
//! | `told` | who is told that a retrieval is ready, or failed |
//! | `cleaner` | what was given up is released |
//! | `tables`, `rows`, `secrets` | what is in the catalog (docs/formats/vault.md) |
//!
//! # Invariants
//! - An archive that was acknowledged has each of its bytes as a piece or at a place, at every moment; a piece goes in the commit that
//!   gives its bytes a place, and that commit is made when the pack was read back from its medium.
//! - A pack's file comes to a medium after the row that says so; what has no row is not ours to remove.
//! - Subkeys come in the commit by which archives are found in their pack; so what a crash leaves of a pack nobody can read.
//! - One commit for each thing that is acknowledged. What spans root and vault goes by intent, commit, confirm.
//! - Who may do it was decided before: nothing here asks for policies. Holds and least ages (`lock::Guard`) are asked here.
//!
//! # Limits
//! 1,000 vaults of an account; 4 GiB an upload, or a part; 10,000 parts; 1,000 archives and 256 MiB of data a pack.

mod build;
mod change;
mod cleaner;
mod compact;
mod compactor;
mod create;
mod deposit;
mod error;
mod fetch;
mod jobs;
mod media;
mod multipart;
mod name;
mod output;
mod packer;
mod rewrite;
mod rows;
mod runner;
mod scrub;
mod scrubber;
mod secrets;
mod settings;
mod system;
mod tables;
mod terms;
#[cfg(test)]
mod tests;
mod told;
mod waste;

pub use compact::Compacted;
pub use compactor::CompactionTotals;
pub use create::{NewVault, VaultInfo, VaultPage};
pub use deposit::{ARCHIVE_BYTES_MAX, Expected, Upload, Uploaded};
pub use error::{Error, Result};
pub use fetch::Output;
pub use jobs::{JobInfo, JobPage, Wanted};
pub use media::{MediumOptions, MediumStatus};
pub use multipart::{PartInfo, PartPage, UploadInfo, UploadPage};
pub use name::VaultName;
pub use scrub::{PackHealth, PackScrub, PackTotals, ScrubStep};
pub use scrubber::ScrubTotals;
pub use settings::{Notification, Rules, Tags};
pub use system::{
    ArchiveAt, Deposit, Overview, Piece, Retrieve, Whereabouts, end_job, give_up, is_kept as is_kept_in,
};
pub use told::Topics;
pub use waste::{PackWaste, Waste};

use crate::pack::{PackId, VaultId};
use crate::retrieval::{JobId, Prices, RetrievalPolicy};
use engine::blob::BlobStore;
use engine::catalog::Catalog;
use engine::clock::compliance::ComplianceClock;
use engine::clock::{Clock, Timestamp};
use engine::entropy::Entropy;
use engine::id::{Growing, PartitionId};
use engine::unit::ByteCount;
use engine::worker::Worker;
use jobs::Counter;
use media::Media;
use parking_lot::{Mutex, RwLock};
use secrets::Secrets;
use security::AccountId;
use security::keys::KeyTable;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// What vaults are made of.
#[derive(Clone)]
pub struct Components {
    /// Rows.
    pub catalog: Arc<dyn Catalog>,
    /// Bytes on their way in and out.
    pub blobs: Arc<BlobStore>,
    /// What seals the vaults' keys.
    pub keys: Arc<KeyTable>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What ages and locks are counted by.
    pub compliance: Arc<ComplianceClock>,
    /// How long a calendar day lasts; shorter in rehearsals.
    pub day: Duration,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The region, as ARNs have it.
    pub region: String,
    /// A directory that packs are made in. What lies there belongs to vaults alone.
    pub making: PathBuf,
    /// Where packs lie, in the order in which they are filled.
    pub media: Vec<MediumOptions>,
    /// How packs are made.
    pub packing: Packing,
    /// What retrievals cost.
    pub prices: Prices,
    /// What the strategy `FreeTier` lets an account retrieve in a day.
    pub free_per_day: ByteCount,
    /// Who is told of retrievals; `None`: nobody, and no topic can be named.
    pub topics: Option<Topics>,
}

/// How packs are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    /// Data bytes of a pack: 2 to 256 MiB.
    pub capacity: u64,
    /// An archive waits so long for others that fill its pack.
    pub patience: Duration,
    /// Packs are written anew of which more than so many per cent are dead; 100 is never.
    pub compact_above: u8,
    /// Bytes of archives that are moved to new packs in a day, at the most; who asks for a compaction is not held up.
    pub compact_a_day: u64,
}

impl Default for Packing {
    fn default() -> Self {
        Self {
            capacity: crate::pack::CAPACITY_MAX,
            patience: Duration::from_hours(1),
            compact_above: 25,
            compact_a_day: 256 << 30,
        }
    }
}

/// All vaults. One a process.
pub struct Vaults {
    pub(crate) catalog: Arc<dyn Catalog>,
    blobs: Arc<BlobStore>,
    keys: Arc<KeyTable>,
    clock: Arc<dyn Clock>,
    compliance: Arc<ComplianceClock>,
    day: Duration,
    entropy: Arc<dyn Entropy>,
    region: String,
    making: PathBuf,
    packing: Packing,
    prices: Prices,
    free_per_day: ByteCount,
    topics: Option<Topics>,
    growing: Growing,
    media: Media,
    /// Vaults that are there, by name and by partition.
    known: RwLock<Known>,
    /// One change of names at a time.
    naming: tokio::sync::Mutex<()>,
    counter: Mutex<Counter>,
    /// Shared by jobs that are planned and have no row yet; held alone by who asks the plan what to do.
    entering: tokio::sync::RwLock<()>,
    /// Vaults with garbage, and those whose packs may have no use any more.
    dirty: Mutex<BTreeSet<PartitionId>>,
    /// System vaults that could not be opened, and whose they are: tried again until they can.
    shut: Mutex<BTreeMap<PartitionId, AccountId>>,
    /// Vaults with rows of packs that can't be read: nothing more is packed into them.
    unsound: Mutex<BTreeSet<PartitionId>>,
    bells: Bells,
    /// What scrubs came to.
    scrubs: Mutex<ScrubTotals>,
    /// One pack is written in the place of others at a time.
    compacting: tokio::sync::Mutex<()>,
    /// Packs of which something can't be moved: passed by until then, by boot time, and why.
    stuck: Mutex<BTreeMap<PackId, (Duration, String)>>,
    /// What compactions came to.
    compactions: Mutex<CompactionTotals>,
    /// What accounts said of their retrievals.
    policies: RwLock<HashMap<AccountId, RetrievalPolicy>>,
    /// One change of policies and capacity at a time.
    terms: tokio::sync::Mutex<()>,
    /// Packs that are put on media in spite of their age: by whoever can't wait.
    hurry: std::sync::atomic::AtomicBool,
}

#[derive(Default)]
struct Known {
    names: BTreeMap<(AccountId, VaultName), Arc<Vault>>,
    homes: BTreeMap<PartitionId, Arc<Vault>>,
}

/// What wakes workers.
#[derive(Default)]
struct Bells {
    packer: Arc<Notify>,
    runner: Arc<Notify>,
    cleaner: Arc<Notify>,
    /// Tells whoever waits for jobs of system vaults which one came to its end.
    ends: Mutex<Option<Tell>>,
}

/// Is told of a job.
pub type Tell = Box<dyn Fn(JobId) + Send + Sync>;

/// A vault that is there.
#[derive(Debug)]
pub(crate) struct Vault {
    home: PartitionId,
    id: VaultId,
    account: AccountId,
    name: VaultName,
    created: Timestamp,
    /// No door shows it.
    is_system: bool,
    secrets: Secrets,
}

impl std::fmt::Debug for Vaults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} vaults", self.known.read().names.len())
    }
}

impl Vaults {
    /// Opens all vaults: what a crash left half done of their names, packs and jobs is ended or taken up.
    pub async fn open(parts: Components) -> Result<Arc<Self>> {
        let Components { catalog, blobs, keys, clock, compliance, day, entropy, .. } = parts;
        let media = Media::open(Arc::clone(&catalog), Arc::clone(&entropy), parts.media).await?;
        let vaults = Arc::new(Self {
            catalog,
            blobs,
            keys,
            clock,
            compliance,
            day,
            entropy,
            region: parts.region,
            making: parts.making,
            packing: parts.packing,
            prices: parts.prices,
            free_per_day: parts.free_per_day,
            topics: parts.topics,
            growing: Growing::default(),
            media,
            known: RwLock::default(),
            naming: tokio::sync::Mutex::default(),
            counter: Mutex::default(),
            entering: tokio::sync::RwLock::default(),
            dirty: Mutex::default(),
            shut: Mutex::default(),
            unsound: Mutex::default(),
            bells: Bells::default(),
            scrubs: Mutex::default(),
            compacting: tokio::sync::Mutex::default(),
            stuck: Mutex::default(),
            compactions: Mutex::default(),
            policies: RwLock::default(),
            terms: tokio::sync::Mutex::default(),
            hurry: std::sync::atomic::AtomicBool::new(false),
        });
        vaults.find_terms().await?;
        vaults.find_all().await?;
        if !vaults.known.read().homes.is_empty() {
            vaults.media.register().await?;
        }
        vaults.clear_making()?;
        vaults.resume_packs().await?;
        vaults.resume_jobs().await?;
        Ok(vaults)
    }

    /// The background work: hand each to the registry once.
    pub fn workers(self: &Arc<Self>) -> Vec<Box<dyn Worker>> {
        vec![
            Box::new(packer::Packer::new(Arc::clone(self))),
            Box::new(runner::Runner::new(Arc::clone(self))),
            Box::new(cleaner::Cleaner::new(Arc::clone(self))),
            Box::new(scrubber::Scrubber::new(Arc::clone(self))),
            Box::new(compactor::Compactor::new(Arc::clone(self))),
        ]
    }

    /// The region, as ARNs have it.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Finds a vault.
    fn vault(&self, account: AccountId, name: &VaultName) -> Result<Arc<Vault>> {
        let found = self.known.read().names.get(&(account, name.clone())).cloned();
        found.ok_or_else(|| Error::NotFound { what: "vault", id: name.arn(&self.region, account) })
    }

    fn at_home(&self, home: PartitionId) -> Option<Arc<Vault>> {
        self.known.read().homes.get(&home).cloned()
    }

    /// Tells the cleaner that a vault has something for it.
    fn mark_dirty(&self, home: PartitionId) {
        self.dirty.lock().insert(home);
        self.bells.cleaner.notify_one();
    }
}
