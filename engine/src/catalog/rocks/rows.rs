//! The rows on disk: RocksDB without its log, one column family per [`Family`], and one for the catalog's own rows.
//!
//! Row keys are partition ‖ tag ‖ key bytes. The catalog's own rows (docs/formats/catalog.md) lie in the default family;
//! among them is the version that the rows hold, written in the same batch as they are. All families are flushed together
//! (atomic flush), so that what is on disk is always exactly the state at that version, and the commit log is replayed from
//! there.

use super::Options;
use super::holder::holder;
use crate::catalog::log::payload::Logged;
use crate::catalog::{Family, Key, Table, Version, Write};
use crate::id::{IdempotencyId, PartitionId};
use crate::{Error, Result};
use rocksdb::properties::NUM_DELETES_ACTIVE_MEM_TABLE;
use rocksdb::{
    BlockBasedOptions, BoundColumnFamily, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, FlushOptions,
    MergeOperands, ReadOptions, ReadTier, WriteBatch, WriteOptions,
};
use self_cell::self_cell;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

const FAMILIES: [(Family, &str); 5] = [
    (Family::Record, "record"),
    (Family::Index, "index"),
    (Family::Body, "body"),
    (Family::Queue, "queue"),
    (Family::Counter, "counter"),
];

/// Bytes that are read at once of tables that are read through.
const READAHEAD: usize = 2 << 20;
const APPLIED: &[u8] = b"applied";
const EPOCH: &[u8] = b"epoch";
/// Bytes of the blob files that the newest state of a family names.
const LIVE_BLOB_FILE_SIZE: &std::ffi::CStr = c"rocksdb.live-blob-file-size";
/// Idempotency rows: prefix, epoch (u32, big-endian), partition, id → version (u64, little-endian).
const ANSWERED: u8 = b'i';

/// The families' handles, own rows last.
pub(super) struct Handles<'a>([Arc<BoundColumnFamily<'a>>; 6]);

self_cell! {
    struct Inner {
        owner: DB,
        #[covariant]
        dependent: Handles,
    }
}

/// The open database.
pub(super) struct Rows {
    inner: Inner,
    /// What was read and is not as it was written.
    rot: OnceLock<String>,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("rows")
    }
}

fn number(family: Family) -> usize {
    match family {
        Family::Record => 0,
        Family::Index => 1,
        Family::Body => 2,
        Family::Queue => 3,
        Family::Counter => 4,
    }
}

fn sum(_key: &[u8], existing: Option<&[u8]>, operands: &MergeOperands) -> Option<Vec<u8>> {
    let number = |bytes: &[u8]| bytes.try_into().ok().map(i64::from_le_bytes);
    let start = existing.map_or(Some(0), number)?;
    let total = operands.iter().try_fold(start, |total, delta| Some(total.wrapping_add(number(delta)?)))?;
    Some(total.to_le_bytes().to_vec())
}

fn tables(cache: &Cache, block_bytes: usize) -> BlockBasedOptions {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_block_size(block_bytes);
    blocks.set_bloom_filter(10.0, false);
    blocks.set_format_version(6);
    // Index and filter blocks are cached, not pinned: memory stays within the cache however many files there are.
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    blocks
}

fn family_options(family: Option<Family>, cache: &Cache, options: &Options) -> rocksdb::Options {
    let mut family_options = rocksdb::Options::default();
    let listed = matches!(family, Some(Family::Index));
    family_options.set_block_based_table_factory(&tables(cache, if listed { 16 << 10 } else { 8 << 10 }));
    family_options.set_compression_type(DBCompressionType::Lz4);
    family_options.set_write_buffer_size(options.memtable_bytes.max(1 << 20));
    family_options.set_arena_block_size(256 << 10);
    family_options.set_max_write_buffer_number(3);
    family_options.set_level_compaction_dynamic_level_bytes(true);
    family_options.set_memtable_whole_key_filtering(true);
    family_options.set_memtable_prefix_bloom_ratio(0.02);
    match family {
        Some(Family::Index | Family::Queue) => {
            // Listings and queues must not wade through the dead: a file with half of a window deleted is compacted.
            family_options.add_compact_on_deletion_collector_factory(1024, 512, 0.25);
        }
        Some(Family::Body) => {
            family_options.set_enable_blob_files(true);
            family_options.set_min_blob_size(512);
            family_options.set_blob_file_size(64 << 20);
            family_options.set_enable_blob_gc(true);
            family_options.set_blob_gc_age_cutoff(0.25);
            family_options.set_blob_gc_force_threshold(0.5);
            family_options.set_blob_cache(cache);
            // Bodies are ciphertext.
            family_options.set_compression_type(DBCompressionType::None);
        }
        Some(Family::Counter) => family_options.set_merge_operator_associative("firn.sum.i64", sum),
        Some(Family::Record) | None => {}
    }
    family_options
}

fn database_options(options: &Options) -> rocksdb::Options {
    let mut database = rocksdb::Options::default();
    database.create_if_missing(true);
    database.create_missing_column_families(true);
    database.set_paranoid_checks(true);
    database.set_atomic_flush(true);
    database.set_db_write_buffer_size(options.memtable_bytes);
    database.set_max_background_jobs(options.background_jobs);
    database.set_max_open_files(options.open_files_max);
    database.set_bytes_per_sync(1 << 20);
    database.set_skip_stats_update_on_db_open(true);
    database.set_stats_dump_period_sec(0);
    database.set_stats_persist_period_sec(0);
    database.set_keep_log_file_num(2);
    database.set_max_log_file_size(1 << 20);
    database.set_log_level(rocksdb::LogLevel::Warn);
    // Damaged blocks are found by checksum on every read; RocksDB's own log is never written to.
    database.set_wal_recovery_mode(rocksdb::DBRecoveryMode::AbsoluteConsistency);
    database
}

/// Maps RocksDB's errors; its binding tells them apart by their text only.
#[expect(clippy::needless_pass_by_value, reason = "an adapter for map_err")]
pub(super) fn failed(op: &'static str, place: &Path, error: rocksdb::Error) -> Error {
    let text = error.to_string();
    let what = || format!("catalog {}", place.display());
    match error.kind() {
        rocksdb::ErrorKind::Corruption => Error::Corrupt { what: what(), detail: text },
        _ if text.contains("No space left") || text.contains("Disk quota") || text.contains("NoSpace") => {
            Error::Full { place: place.display().to_string(), wanted: 0 }
        }
        _ => Error::Io { op, path: place.to_path_buf(), source: std::io::Error::other(text) },
    }
}

fn failed_to_open(place: &Path, error: rocksdb::Error) -> Error {
    let text = error.to_string();
    if text.contains("While lock file") || text.contains("lock hold") {
        return Error::InUse { path: place.to_path_buf(), pid: holder(&place.join("LOCK")) };
    }
    if text.contains("No such file") || error.kind() == rocksdb::ErrorKind::InvalidArgument {
        // A file that the manifest names is gone or shorter than it says, or the manifest names unknown families.
        return Error::Corrupt { what: format!("catalog {}", place.display()), detail: text };
    }
    failed("open", place, error)
}

impl Rows {
    /// Opens or creates.
    pub(super) fn open(dir: &Path, options: &Options) -> Result<Self> {
        Self::open_as(dir, options, false)
    }

    /// Opens without changing anything.
    pub(super) fn open_read_only(dir: &Path, options: &Options) -> Result<Self> {
        Self::open_as(dir, options, true)
    }

    fn open_as(dir: &Path, options: &Options, read_only: bool) -> Result<Self> {
        let cache = Cache::new_lru_cache(options.cache_bytes);
        let mut families: Vec<_> = FAMILIES
            .iter()
            .map(|(family, name)| {
                ColumnFamilyDescriptor::new(*name, family_options(Some(*family), &cache, options))
            })
            .collect();
        families.push(ColumnFamilyDescriptor::new("default", family_options(None, &cache, options)));
        let database = database_options(options);
        let opened = if read_only {
            DB::open_cf_descriptors_read_only(&database, dir, families, false)
        } else {
            DB::open_cf_descriptors(&database, dir, families)
        };
        let db = opened.map_err(|e| failed_to_open(dir, e))?;
        Inner::try_new(db, |db| {
            let handle = |index: usize| db.cf_handle(FAMILIES.get(index).map_or("default", |(_, name)| name));
            let all = (|| Some([handle(0)?, handle(1)?, handle(2)?, handle(3)?, handle(4)?, handle(5)?]))();
            all.map(Handles).ok_or_else(|| Error::Corrupt {
                what: format!("catalog {}", dir.display()),
                detail: "a column family is missing".into(),
            })
        })
        .map(|inner| Self { inner, rot: OnceLock::new() })
    }

    /// The first read that found something that is not as it was written, if any did since it was opened.
    pub(super) fn rot(&self) -> Option<&str> {
        self.rot.get().map(String::as_str)
    }

    /// What is not as it was written is kept in mind.
    pub(super) fn note_rot(&self, error: &Error) {
        if matches!(error, Error::Corrupt { .. }) {
            // The first one is enough.
            let _known = self.rot.set(error.to_string());
        }
    }

    /// A read's error.
    pub(super) fn failed(&self, error: rocksdb::Error) -> Error {
        let error = failed("read", self.db().path(), error);
        self.note_rot(&error);
        error
    }

    /// Reads all rows, with their checksums, where the tables of these names have any; values that lie elsewhere, too. Ends with an error when `stopping`.
    pub(super) fn verify(&self, is_new: &dyn Fn(&str) -> bool, stopping: &AtomicBool) -> Result<()> {
        let tables = self.db().live_files().map_err(|e| self.failed(e))?;
        let families = FAMILIES.iter().map(|(family, name)| (self.handle(*family), *name));
        for (handle, name) in families.chain(std::iter::once((self.own(), "default"))) {
            let of_family =
                tables.iter().filter(|table| table.column_family_name == name && is_new(&table.name));
            let mut spans: Vec<(Vec<u8>, Vec<u8>)> = of_family
                .filter_map(|table| Some((table.start_key.clone()?, table.end_key.clone()?)))
                .collect();
            spans.sort_unstable();
            let mut done: Option<Vec<u8>> = None;
            for (first, last) in spans {
                if done.as_ref().is_some_and(|done| *done >= last) {
                    continue;
                }
                let from = done.filter(|done| *done > first).unwrap_or(first);
                self.verify_span(handle, (from, &last), stopping)?;
                done = Some(last);
            }
        }
        Ok(())
    }

    fn verify_span(
        &self,
        handle: &Arc<BoundColumnFamily<'_>>,
        (first, last): (Vec<u8>, &[u8]),
        stopping: &AtomicBool,
    ) -> Result<()> {
        let mut options = ReadOptions::default();
        options.set_verify_checksums(true);
        options.fill_cache(false);
        options.set_readahead_size(READAHEAD);
        options.set_iterate_lower_bound(first);
        // The last key is among them.
        options.set_iterate_upper_bound([last, &[0]].concat());
        let mut rows = self.db().raw_iterator_cf_opt(handle, options);
        rows.seek_to_first();
        while rows.valid() {
            if stopping.load(Ordering::Acquire) {
                return Err(Error::Closed);
            }
            rows.next();
        }
        rows.status().map_err(|e| self.failed(e))
    }

    /// The database.
    pub(super) fn db(&self) -> &DB {
        self.inner.borrow_owner()
    }

    /// A family's handle.
    pub(super) fn handle(&self, family: Family) -> &Arc<BoundColumnFamily<'_>> {
        &self.inner.borrow_dependent().0[number(family)]
    }

    fn own(&self) -> &Arc<BoundColumnFamily<'_>> {
        &self.inner.borrow_dependent().0[5]
    }

    fn own_number<const N: usize>(&self, key: &[u8], options: &ReadOptions) -> Result<Option<[u8; N]>> {
        let found = self.db().get_pinned_cf_opt(self.own(), key, options);
        let found = found.map_err(|e| self.failed(e))?;
        let fixed = |bytes: rocksdb::DBPinnableSlice<'_>| {
            bytes[..].try_into().map_err(|_| Error::Corrupt {
                what: "catalog".into(),
                detail: "one of its own rows has the wrong length".into(),
            })
        };
        found.map(fixed).transpose()
    }

    /// The version that the rows hold, in memory or on disk.
    pub(super) fn applied(&self) -> Result<Version> {
        Ok(self.own_number(APPLIED, &ReadOptions::default())?.map_or(0, Version::from_le_bytes))
    }

    /// The version that the rows hold on disk.
    pub(super) fn flushed(&self) -> Result<Version> {
        let mut options = ReadOptions::default();
        options.set_read_tier(ReadTier::Persisted);
        Ok(self.own_number(APPLIED, &options)?.map_or(0, Version::from_le_bytes))
    }

    /// The current epoch of idempotency ids.
    pub(super) fn epoch(&self) -> Result<u32> {
        Ok(self.own_number(EPOCH, &ReadOptions::default())?.map_or(1, u32::from_le_bytes))
    }

    /// The version that a commit with this id got, if it came in this epoch or the one before.
    pub(super) fn answered(
        &self,
        epoch: u32,
        partition: PartitionId,
        id: &IdempotencyId,
    ) -> Result<Option<Version>> {
        for epoch in [epoch, epoch.saturating_sub(1)] {
            let key = answered_key(epoch, partition, id);
            if let Some(version) = self.own_number(&key, &ReadOptions::default())? {
                return Ok(Some(Version::from_le_bytes(version)));
            }
        }
        Ok(None)
    }

    /// Up to `limit` keys of ids that came before `epoch`, from `after` on.
    pub(super) fn expired(&self, epoch: u32, after: &[u8], limit: usize) -> Result<Vec<Vec<u8>>> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(after.max(&[ANSWERED][..]).to_vec());
        options.set_iterate_upper_bound(answered_prefix(epoch));
        let mut rows = self.db().raw_iterator_cf_opt(self.own(), options);
        rows.seek_to_first();
        let mut found = Vec::new();
        while let Some(key) = rows.key()
            && found.len() < limit
        {
            found.push(key.to_vec());
            rows.next();
        }
        rows.status().map_err(|e| self.failed(e))?;
        Ok(found)
    }

    /// Does a row exist now?
    pub(super) fn exists(&self, partition: PartitionId, key: &Key) -> Result<bool> {
        let found =
            self.db().get_pinned_cf(self.handle(key.table.family), row_key(partition, key.table, &key.bytes));
        found.map(|row| row.is_some()).map_err(|e| self.failed(e))
    }

    /// What a counter stands at now; one that is not there stands at 0.
    pub(super) fn counter(&self, partition: PartitionId, key: &Key) -> Result<i64> {
        let handle = self.handle(key.table.family);
        let found = self.db().get_pinned_cf(handle, row_key(partition, key.table, &key.bytes));
        let found = found.map_err(|e| self.failed(e))?;
        let Some(value) = found else { return Ok(0) };
        value[..].try_into().map(i64::from_le_bytes).map_err(|_| Error::Corrupt {
            what: "catalog".into(),
            detail: "a counter has the wrong length".into(),
        })
    }

    /// Applies a batch to the rows in memory, at once.
    pub(super) fn apply(&self, batch: WriteBatch) -> Result<()> {
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        self.db().write_opt(batch, &options).map_err(|e| failed("write", self.db().path(), e))
    }

    /// Deleted rows of what is listed that are in memory still. Only on disk are they compacted away; until then every scan
    /// passes each of them, and the row that it deletes.
    pub(super) fn dead_in_memory(&self) -> Result<u64> {
        [Family::Index, Family::Queue].into_iter().try_fold(0, |sum, family| {
            let found = self.db().property_int_value_cf(self.handle(family), NUM_DELETES_ACTIVE_MEM_TABLE);
            let found = found.map_err(|e| failed("look at", self.db().path(), e))?;
            Ok(sum + found.unwrap_or_default())
        })
    }

    /// Whether the files that hold bodies are there, with all their bytes. They are opened when one is read, and no sooner.
    pub(super) fn check_body_files(&self) -> Result<()> {
        let place = self.db().path();
        let known = self.db().property_int_value_cf(self.handle(Family::Body), LIVE_BLOB_FILE_SIZE);
        let known = known.map_err(|e| failed("look at", place, e))?.unwrap_or_default();
        let mut there = 0;
        for entry in std::fs::read_dir(place).map_err(|e| Error::io("list", place, e))? {
            let entry = entry.map_err(|e| Error::io("list", place, e))?;
            if entry.path().extension().is_some_and(|kind| kind == "blob") {
                // One that goes meanwhile is none that rows need.
                there += entry.metadata().map_or(0, |metadata| metadata.len());
            }
        }
        if there >= known {
            return Ok(());
        }
        Err(Error::Corrupt {
            what: format!("bodies in {}", place.display()),
            detail: format!(
                "its .blob files have {there} bytes, and rows name {known}: one is missing or cut"
            ),
        })
    }

    /// Starts writing what is in memory to disk, or waits until it is there.
    pub(super) fn flush(&self, wait: bool) -> Result<()> {
        let mut options = FlushOptions::default();
        options.set_wait(wait);
        let all: Vec<_> = self.inner.borrow_dependent().0.iter().collect();
        self.db().flush_cfs_opt(&all, &options).map_err(|e| failed("write", self.db().path(), e))
    }

    /// Adds a commit's writes to a batch.
    pub(super) fn stage(&self, batch: &mut WriteBatch, commit: &Logged, version: Version, epoch: u32) {
        for write in &commit.writes {
            self.stage_write(batch, commit.partition, write);
        }
        if let Some(id) = &commit.idempotency {
            let key = answered_key(epoch, commit.partition, id);
            batch.put_cf(self.own(), key, version.to_le_bytes());
        }
    }

    /// Adds a write to a batch.
    pub(super) fn stage_write(&self, batch: &mut WriteBatch, partition: PartitionId, write: &Write) {
        let key = write.key();
        let handle = self.handle(key.table.family);
        let row = row_key(partition, key.table, &key.bytes);
        match write {
            Write::Put(_, value) => batch.put_cf(handle, row, value),
            Write::Delete(_) => batch.delete_cf(handle, row),
            Write::Add(_, delta) => batch.merge_cf(handle, row, delta.to_le_bytes()),
        }
    }

    /// Adds an answered id to a batch.
    pub(super) fn stage_answer(
        &self,
        batch: &mut WriteBatch,
        epoch: u32,
        commit: (PartitionId, &IdempotencyId),
        version: Version,
    ) {
        batch.put_cf(self.own(), answered_key(epoch, commit.0, commit.1), version.to_le_bytes());
    }

    /// Adds the version that the rows hold after a batch to it.
    pub(super) fn stage_applied(&self, batch: &mut WriteBatch, version: Version) {
        batch.put_cf(self.own(), APPLIED, version.to_le_bytes());
    }

    /// Adds a new epoch to a batch.
    pub(super) fn stage_epoch(&self, batch: &mut WriteBatch, epoch: u32) {
        batch.put_cf(self.own(), EPOCH, epoch.to_le_bytes());
    }

    /// Adds the end of an expired id to a batch.
    pub(super) fn stage_expired(&self, batch: &mut WriteBatch, key: &[u8]) {
        batch.delete_cf(self.own(), key);
    }
}

fn answered_prefix(epoch: u32) -> Vec<u8> {
    [&[ANSWERED][..], &epoch.to_be_bytes()].concat()
}

fn answered_key(epoch: u32, partition: PartitionId, id: &IdempotencyId) -> [u8; 29] {
    let mut key = [0; 29];
    key[0] = ANSWERED;
    key[1..5].copy_from_slice(&epoch.to_be_bytes());
    key[5..13].copy_from_slice(partition.as_bytes());
    key[13..].copy_from_slice(id.as_bytes());
    key
}

/// A row's key in its family.
pub(super) fn row_key(partition: PartitionId, table: Table, key: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(ROW_PREFIX + key.len());
    row.extend_from_slice(partition.as_bytes());
    row.push(table.tag);
    row.extend_from_slice(key);
    row
}

/// Partition and tag.
pub(super) const ROW_PREFIX: usize = PartitionId::LEN + 1;
