//! The durable catalog: RocksDB's rows behind our own commit sequencer and log.
//!
//! ```text
//!   DIR/format     marker            DIR/log/*.log    commits, one sync per group      DIR/reserve   room for deletes
//!   DIR/rows/      RocksDB, flushed from memory now and then; the log is replayed from where it stands
//! ```
//!
//! # Invariants
//! - A synced commit is in the log, synced, before anybody sees it or is told of it.
//! - Rows on disk are always those of one version; log frames after it are replayed at open, in order and without a gap.
//! - A version belongs to one commit. After a crash the versions of lost relaxed commits are given out again, which is why
//!   nothing that was not synced is ever shipped by [`RocksCatalog::log_since`].
//!
//! # Limits
//! Memory: memtables (64 MiB), one block cache (32 MiB), rows read lately (16 MiB), the conflict
//! window (34 MB), waiting commits (32 MiB). Disk: what
//! RocksDB needs, and log files of 32 MiB: those that the rows still need (4, more only while RocksDB can't flush), those
//! retained for the backup (4) and a spare. One sequencer thread, one for the log's files and two of RocksDB's.
//!
//! # What a crash leaves
//! Rows at an older version and a log that continues them; a torn last frame that nobody was told of; perhaps a log file
//! under its temporary name. See [`super::log`] for what counts as damage instead.

mod backup;
mod copied;
mod group;
mod holder;
mod hot;
mod marker;
mod queue;
mod rows;
mod sequencer;
mod space;
#[cfg(test)]
mod tests;
mod view;

pub use queue::Counts;

use super::copy::{CopyOptions, Keeper, Standing, Told};
use super::log::files::{Files, LogFile, LogWriter, Shape};
use super::log::{payload, recover};
use super::seen::{Seen, Witness};
use super::window::{ROWS_MAX, Window};
use super::{Catalog, Commit, Limits, Snapshot, Version, admit};
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::fault::Faults;
use crate::id::PartitionId;
use crate::vital::Vital;
use crate::{BoxFuture, Error, Result};
use arc_swap::ArcSwap;
use hot::Hot;
use marker::Marker;
use parking_lot::Mutex;
use queue::{Counting, Job, Queue};
use rocksdb::WriteBatch;
use rows::Rows;
use sequencer::{Epoch, NEEDED_FILES_MAX, Sequencer, Shared};
use space::Gauge;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use view::{Moment, View};

/// How a durable catalog is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Ages the conflict window and the idempotency ids.
    pub clock: Arc<dyn Clock>,
    /// Keys the conflict window and stamps the log's files.
    pub entropy: Arc<dyn Entropy>,
    /// Faults to inject into the commit log.
    pub faults: Arc<Faults>,
    /// Block cache, index and filter blocks included.
    pub cache_bytes: usize,
    /// Rows that were read lately.
    pub hot_bytes: usize,
    /// Memtables of all families together.
    pub memtable_bytes: usize,
    /// Length of a log file; at least 5 MiB, so that the largest group fits.
    pub log_file_bytes: u64,
    /// Log files kept for the backup after the rows no longer need them.
    pub log_files_retained: usize,
    /// Free space that only deletes may use, and the size of the reserve file; 0 for none.
    pub reserve_bytes: u64,
    /// RocksDB's flush and compaction threads.
    pub background_jobs: i32,
    /// Table files that RocksDB holds open.
    pub open_files_max: i32,
    /// The catalog's second place.
    pub copy: CopyOptions,
    /// Where it is written down how far the catalog is, and asked when it is opened; nowhere, where nothing says whose it is.
    pub seen: Option<Seen>,
}

impl Options {
    fn check(&self) -> Result<()> {
        if self.log_file_bytes >= LOG_FILE_BYTES_MIN {
            return Ok(());
        }
        Err(Error::Invalid(format!("open a catalog with log files below {LOG_FILE_BYTES_MIN} bytes")))
    }

    /// The defaults of an appliance.
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>, faults: Arc<Faults>) -> Self {
        Self {
            clock,
            entropy,
            faults,
            cache_bytes: 32 << 20,
            hot_bytes: 16 << 20,
            memtable_bytes: 64 << 20,
            log_file_bytes: 32 << 20,
            log_files_retained: 4,
            reserve_bytes: 64 << 20,
            background_jobs: 2,
            open_files_max: 512,
            copy: CopyOptions::default(),
            seen: None,
        }
    }
}

/// A frame holds a group of up to 4 MiB or one commit of up to 4 MiB, and 11 bytes of framing for up to 10,000 rows.
const LOG_FILE_BYTES_MIN: u64 = 5 << 20;

/// The durable catalog. Dropping it closes it.
pub struct RocksCatalog {
    shared: Arc<Shared>,
    files: Arc<Files>,
    dir: PathBuf,
    options: Options,
    told: Arc<Told>,
    /// Why no commit is taken.
    read_only: Option<String>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// What it reached when it was opened.
    opened_at: Version,
    went_back: bool,
}

impl std::fmt::Debug for RocksCatalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "catalog {}", self.dir.display())
    }
}

/// The log's files, which no catalog lacks but one that was made as a copy.
fn log_files(dir: &Path, log_dir: &Path, applied: Version) -> Result<VecDeque<LogFile>> {
    let found = recover::find(log_dir)?;
    if found.is_empty() && applied > 0 && !backup::is_checkpoint(dir) {
        let detail = format!("the commit log is gone, the rows stand at version {applied}");
        return Err(Error::Corrupt { what: format!("catalog {}", dir.display()), detail });
    }
    Ok(found)
}

/// Lets the log's files go, if there is room for what they say among the rows.
fn flush(rows: &Rows) {
    if let Err(error) = rows.flush(true) {
        tracing::warn!(%error, "the rows can't be flushed now: the commit log keeps its files");
    }
}

/// The sequencer at work, on a thread of its own.
fn spawn(sequencer: Sequencer, dir: &Path) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("catalog-sequencer".into())
        .spawn(move || {
            let _vital = Vital::guard();
            sequencer.run();
        })
        .map_err(|e| Error::io("start the sequencer of", dir, e))
}

impl RocksCatalog {
    /// Opens the catalog in `dir`, or makes one there. Blocks: the log is replayed.
    pub fn open(dir: impl Into<PathBuf>, options: Options) -> Result<Arc<Self>> {
        let dir = dir.into();
        options.check()?;
        let log_dir = dir.join("log");
        // Before anything is made or changed.
        let mut witness = Witness::ask(options.seen.clone())?;
        witness.check_there(&dir)?;
        std::fs::create_dir_all(&dir).map_err(|e| Error::io("create", &dir, e))?;
        let mut marker = Marker::check_or_create(&dir)?;
        let standing = Standing::read(&dir, &options.copy)?;
        std::fs::create_dir_all(&log_dir).map_err(|e| Error::io("create", &log_dir, e))?;
        // Somebody else may have filled the disk meanwhile: opening needs room too, and the reserve is there for that.
        let mut space = Gauge::new(&dir, options.reserve_bytes);
        space.room(options.clock.boottime(), 0)?;
        let rows = Arc::new(Rows::open(&dir.join("rows"), &options)?);
        let applied = rows.applied()?;
        let found = log_files(&dir, &log_dir, applied)?;
        witness.check_files(&dir, &found)?;
        let epoch = rows.epoch()?;
        let version = recover::replay(&found, options.log_file_bytes, applied, |frame, body| {
            marker.raise(frame.layout)?;
            replay(&rows, (frame.prior, frame.last), body, epoch)
        })?;
        witness.check_version(&dir, version)?;
        let went_back = witness.went_back;
        let shape = Shape { file_bytes: options.log_file_bytes, retained: options.log_files_retained };
        if found.len() > NEEDED_FILES_MAX {
            flush(&rows);
        }
        let stand = (version, rows.flushed()?);
        let log = {
            let parts = (Arc::clone(&options.entropy), Arc::clone(&options.faults));
            LogWriter::start(&log_dir, shape, parts, found, stand)?
        };
        backup::became_a_catalog(&dir)?;
        let notes = witness.begin(log.mark())?;
        let hot = Arc::new(Hot::new(options.hot_bytes));
        let shared = Arc::new(Shared {
            published: ArcSwap::from_pointee(Moment::now(&rows, &hot, version)),
            rows,
            hot,
            queue: Arc::new(Queue::new()),
            counting: Counting::default(),
            synced: AtomicU64::new(version),
            roomy: AtomicBool::new(true),
        });
        let files = log.files();
        shared.counting.zeroed_bytes.store(log.zeroed(), Ordering::Relaxed);
        let keeper = Keeper::new(&dir, &options, shape);
        let told = keeper.told();
        let mut sequencer = Sequencer {
            shared: Arc::clone(&shared),
            log,
            keeper,
            notes,
            marker,
            window: Window::new(&*options.entropy, version, ROWS_MAX),
            totals: RefCell::default(),
            clock: Arc::clone(&options.clock),
            faults: Arc::clone(&options.faults),
            space,
            version,
            epoch: Epoch { number: epoch, since: options.clock.boottime(), sweep: Some(Vec::new()) },
            fenced: None,
            parked: None,
            spare: Vec::new(),
        };
        sequencer.stand(standing, (&files, options.copy.patience))?;
        let thread = Mutex::new(Some(spawn(sequencer, &dir)?));
        let read_only = told.read_only();
        Ok(Arc::new(Self {
            shared,
            files,
            dir,
            options,
            told,
            read_only,
            thread,
            opened_at: version,
            went_back,
        }))
    }

    /// Finishes what waits and stops; later commits answer [`Error::Closed`]. Blocks. What is in memory goes to disk when
    /// the last snapshot is dropped; until then, and if the process ends first, the log holds it.
    pub fn close(&self) {
        self.shared.queue.close();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the catalog's sequencer had panicked");
        }
    }

    /// What the sequencer did since it was opened.
    pub fn counts(&self) -> Counts {
        self.shared.counting.counts()
    }

    /// Whether the newest commit found room for more than deletes; a commit without writes finds out and costs nothing.
    pub fn has_room(&self) -> bool {
        self.shared.roomy.load(Ordering::Acquire)
    }

    /// The version that it had when it was opened.
    pub const fn opened_at(&self) -> Version {
        self.opened_at
    }

    /// It was opened though it is older than one that was seen before ([`Seen`]): what that one committed later is given up.
    pub const fn went_back(&self) -> bool {
        self.went_back
    }

    /// Where it lies.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Reads a row or two at or behind the beginning of a partition, from the disk where they are not in its cache: whether rows can be read at
    /// all. Blocks.
    pub fn probe(&self, at: PartitionId) -> Result<()> {
        self.shared.published.load_full().probe(at)
    }

    /// Whether the files of inline bodies are all there. Blocks.
    pub fn check_body_files(&self) -> Result<()> {
        self.shared.rows.check_body_files()
    }

    /// Partitions that have rows, in order. Blocks.
    pub fn partitions(&self) -> Result<Vec<PartitionId>> {
        self.shared.published.load().partitions()
    }
}

impl Drop for RocksCatalog {
    fn drop(&mut self) {
        self.close();
    }
}

/// Applies a group as the log has it, with its versions (before, last). Its ids count as those of `epoch`, which the rows say too from
/// then on: a group that began an epoch may not have come to them.
fn replay(rows: &Rows, (prior, last): (Version, Version), body: bytes::Bytes, epoch: u32) -> Result<()> {
    let commits = payload::decode(body)?;
    if prior + commits.len() as u64 != last {
        return Err(Error::Corrupt {
            what: "commit log".into(),
            detail: format!("{} commits from version {prior} to {last}", commits.len()),
        });
    }
    let mut batch = WriteBatch::default();
    for (version, commit) in (prior + 1..).zip(&commits) {
        rows.stage(&mut batch, commit, version, epoch);
    }
    rows.stage_epoch(&mut batch, epoch);
    rows.stage_applied(&mut batch, last);
    rows.apply(batch)
}

impl Catalog for RocksCatalog {
    fn limits(&self) -> Limits {
        Limits::STANDARD
    }

    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, Result<Arc<dyn Snapshot>>> {
        let moment = self.shared.published.load_full();
        Box::pin(std::future::ready(Ok(Arc::new(View { moment, partition }) as Arc<dyn Snapshot>)))
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Version>> {
        Box::pin(async move {
            self.writable()?;
            let bytes = admit::admit(&commit, &Limits::STANDARD)?;
            self.shared.queue.submit(Job::Commit(commit), bytes).await
        })
    }
}
