//! Vaults that no door shows: each in the partition of whoever keeps bytes there, and so in its commits.
//!
//! ```text
//!   blobs of the partition ─► deposit: rows for the owner's own commit ─► an archive, whose pieces they are ─► the packer
//!   retrieve ─► job ─► output, read by the owner until it ends the job
//!   give_up, end_job: rows for the owner's own commit ─► the cleaner
//!   the partition is given up ─► abandon ─► cleared as a deleted vault is
//! ```
//! # Invariants
//! - No bytes are written to deposit them: an archive is a blob first, and the blob is there. The owner's commit proves that somebody
//!   refers to it; from then on the piece does.
//! - What an owner's commit changes here it need not check: rows that others change meanwhile are checked by *their* commits against the
//!   archive's and the job's own rows, which go in the owner's.
//! - A mark in root goes before the vault's first row, and may stand where none is.
//!
//! # What a crash leaves
//! A mark without a vault, which goes at the next start; a job that nobody knows, which comes to its end by itself.

use super::change::{ATTEMPTS_MAX, Change, contended};
use super::deposit::{arrives, owner};
use super::rows::{ArchiveRow, ConfigRow, Garbage, PieceRow, State, VaultRow};
use super::secrets::{Secrets, Spot};
use super::{Error, MediumStatus, NewVault, Output, Result, Tell, Vault, VaultName, Vaults, Wanted, tables};
use crate::inventory::Description;
use crate::pack::{ArchiveId, VaultId};
use crate::retrieval::{Depth, Desk, JobEvent, JobId, JobState, Subject, Tier, Usage};
use crate::tree_hash::TreeHash;
use engine::blob::share;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::catalog::{Check, Key, Scan, Snapshot, Write};
use engine::clock::Timestamp;
use engine::codec::DataKey;
use engine::id::{BlobId, PartitionId};
use security::AccountId;
use security::keys::KeyScope;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// What policies and logs would call such a vault.
const NAME: &str = "firn.system";

/// An archive of a system vault, as its owner names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveAt {
    /// Its id.
    pub id: ArchiveId,
    /// When it came: by that its rows are found.
    pub created: Timestamp,
}

/// Bytes of an archive to be, which lie in a blob of the partition, from its first byte on.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The blob.
    pub blob: BlobId,
    /// Its key.
    pub key: DataKey,
    /// How many bytes, 1 or more.
    pub length: u64,
    /// Over them.
    pub tree_hash: TreeHash,
}

/// An archive to be, and what its owner's commit does for it.
#[derive(Debug)]
pub struct Deposit {
    /// The archive.
    pub at: ArchiveAt,
    /// What must hold.
    pub checks: Vec<Check>,
    /// Its rows.
    pub writes: Vec<Write>,
}

/// What an owner wants back.
#[derive(Clone, Copy, Debug)]
pub struct Retrieve {
    /// The archive.
    pub archive: ArchiveId,
    /// How soon.
    pub tier: Tier,
    /// How deep it lies.
    pub depth: Depth,
    /// How long its output is kept, unless the owner ends the job.
    pub keep: Duration,
}

/// Where the bytes of an archive are, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whereabouts {
    /// Bytes that wait in the pool to be packed.
    pub waiting_bytes: u64,
    /// Packs, with the labels of their media and how many of its bytes each has.
    pub packs: Vec<(String, String, u64)>,
}

/// How vaults are, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// Vaults with a name.
    pub vaults: usize,
    /// Those that no door shows.
    pub system_vaults: usize,
    /// Of these those that can't be opened.
    pub shut: usize,
    /// Vaults with rows of packs that can't be read.
    pub unsound: usize,
    /// Retrievals that are to be read.
    pub under_way: usize,
    /// Media.
    pub media: Vec<MediumStatus>,
}

/// Whose a partition's vault is.
struct SystemRow {
    account: AccountId,
}

impl Record for SystemRow {
    const NAME: &'static str = "system vault";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.fixed(&self.account.to_bytes());
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let account = AccountId::from_bytes(fields.fixed()?);
        Ok(Self { account: account.map_err(|error| fields.corrupt(error.to_string()))? })
    }
}

/// Whether a partition has rows of a vault.
pub async fn is_kept(snapshot: &dyn Snapshot) -> engine::Result<bool> {
    Ok(snapshot.get(tables::only(tables::CONFIG)).await?.is_some())
}

/// What gives an archive up, in its owner's commit.
pub fn give_up(at: ArchiveAt, length: u64) -> Vec<Write> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    vec![
        Write::Delete(tables::of_archive(tables::ARCHIVES, at.id)),
        Write::Delete(tables::by_time(tables::CREATED, at.created, at.id)),
        Write::Delete(tables::by_time(tables::STAGED, at.created, at.id)),
        Write::Put(tables::of_archive(tables::GARBAGE, at.id), Garbage::All.to_bytes()),
        Write::Add(tables::only(tables::COUNT), -1),
        Write::Add(tables::only(tables::BYTES), -length),
    ]
}

/// What ends a job, whatever its state, and gives its output up, in its owner's commit.
pub fn end_job(job: JobId) -> Vec<Write> {
    vec![
        Write::Delete(tables::of_job(tables::JOBS, job)),
        Write::Delete(tables::of_job(tables::FACTS, job)),
        Write::Put(tables::of_job(tables::GARBAGE, job), Garbage::All.to_bytes()),
    ]
}

impl Vaults {
    /// How all of them are. Media are looked at: that may take as long as a disk does.
    pub async fn overview(self: &Arc<Self>) -> Result<Overview> {
        let vaults = Arc::clone(self);
        let media = tokio::task::spawn_blocking(move || vaults.media());
        let media = media.await.map_err(|_ended| engine::Error::Closed)?;
        let (names, homes) = {
            let known = self.known.read();
            (known.names.len(), known.homes.len())
        };
        Ok(Overview {
            vaults: names,
            system_vaults: homes.saturating_sub(names),
            shut: self.shut.lock().len(),
            unsound: self.unsound.lock().len(),
            under_way: self.counter.lock().pending(),
            media,
        })
    }

    /// Opens the vaults of partitions.
    pub(super) async fn find_systems(&self) -> Result<()> {
        let root = self.at(PartitionId::ROOT).await?;
        let mut next = Some(Scan::prefix(tables::SYSTEMS, b"", 1_000));
        while let Some(scan) = next {
            let page = root.scan(scan.clone()).await?;
            for (key, raw) in &page.rows {
                let one = async {
                    let (home, account) = (tables::read_partition(key)?, SystemRow::from_bytes(raw)?.account);
                    match self.know_system(home, account).await {
                        Err(error) => {
                            self.shut.lock().insert(home, account);
                            Err(error)
                        }
                        // What a crash left, or a bucket that was deleted when its vault was to begin.
                        Ok(false) => self.unmark(home).await,
                        Ok(true) => Ok(()),
                    }
                };
                if let Err(error) = one.await {
                    tracing::error!(%error, "a system vault can't be opened; it is tried again");
                }
            }
            next = scan.behind(&page);
        }
        Ok(())
    }

    /// Opens a partition's vault, if it has one.
    async fn know_system(&self, home: PartitionId, account: AccountId) -> Result<bool> {
        let found = self.read_system(home, account).await?;
        let is_there = found.is_some();
        self.known.write().homes.extend(found.map(|vault| (home, vault)));
        Ok(is_there)
    }

    async fn read_system(&self, home: PartitionId, account: AccountId) -> Result<Option<Arc<Vault>>> {
        let snapshot = self.at(home).await?;
        let keys = vec![tables::only(tables::CONFIG), tables::only(tables::SECRETS)];
        let mut found = snapshot.multi_get(keys).await?.into_iter();
        let (Some(config), Some(secrets)) = (found.next().flatten(), found.next().flatten()) else {
            return Ok(None);
        };
        self.prepare_to_read(account).await?;
        let id = ConfigRow::from_bytes(&config)?.vault;
        let secrets = Secrets::open(&self.keys, id, home, &secrets)?;
        self.system_vault(home, id, account, secrets).map(Some)
    }

    /// Has a vault's keys opened. On a full disk no use of the account's key is reserved: what is there is read and deleted all the same.
    pub(super) async fn prepare_to_read(&self, account: AccountId) -> Result<()> {
        match self.keys.prepare(KeyScope::vaults(account)).await {
            Err(security::Error::Engine(error @ engine::Error::Full { .. })) => {
                tracing::warn!(%error, %account, "failed to reserve uses of a key: no vault takes anything yet");
                Ok(())
            }
            outcome => outcome.map_err(super::error::of_keys),
        }
    }

    /// Takes a mark away behind which nothing is.
    async fn unmark(&self, home: PartitionId) -> Result<()> {
        let root = self.at(PartitionId::ROOT).await?;
        let mark = tables::of_partition(tables::SYSTEMS, home);
        if root.get(mark.clone()).await?.is_some() && !is_kept(&*self.at(home).await?).await? {
            let change = Change::default().unchanged(mark.clone()).delete(mark).freeing();
            self.try_commit(PartitionId::ROOT, &*root, change).await?;
        }
        Ok(())
    }

    /// Tries again to open a vault that could not be, and takes up what is under way in it.
    async fn open_again(self: &Arc<Self>, home: PartitionId) -> Result<()> {
        let _naming = self.naming.lock().await;
        let Some(account) = self.shut.lock().get(&home).copied() else { return Ok(()) };
        self.media.register().await?;
        if self.at_home(home).is_none()
            && let Some(vault) = self.read_system(home, account).await?
        {
            // Nobody packs into it before: what is coming is what a crash left.
            self.resume_packs_of(&vault).await?;
            self.known.write().homes.insert(home, vault);
        }
        if let Some(vault) = self.at_home(home) {
            self.resume_jobs_of(&vault).await?;
            self.mark_dirty(home);
            self.bells.runner.notify_one();
            tracing::info!(%home, "a system vault is open now");
        }
        self.shut.lock().remove(&home);
        Ok(())
    }

    /// The same of all of them. How many are open now.
    pub(super) async fn open_shut(self: &Arc<Self>) -> u64 {
        let shut: Vec<PartitionId> = self.shut.lock().keys().copied().collect();
        let mut done = 0;
        for home in shut {
            match self.open_again(home).await {
                Ok(()) => done += 1,
                Err(error) => tracing::warn!(%home, %error, "a system vault can't be opened yet"),
            }
        }
        done
    }

    fn system_vault(
        &self,
        home: PartitionId,
        id: VaultId,
        account: AccountId,
        secrets: Secrets,
    ) -> Result<Arc<Vault>> {
        let (name, created) = (VaultName::parse(NAME)?, self.clock.now());
        Ok(Arc::new(Vault { home, id, account, name, created, is_system: true, secrets }))
    }

    async fn system(self: &Arc<Self>, home: PartitionId) -> Result<Arc<Vault>> {
        let is_shut = self.shut.lock().contains_key(&home);
        if is_shut {
            self.open_again(home).await?;
        }
        self.at_home(home).ok_or_else(|| Error::NotFound { what: "system vault", id: home.to_string() })
    }

    /// Makes sure that a partition has a vault. `alive`: a row of the partition without which nothing is to come there any more.
    pub async fn found_system(
        self: &Arc<Self>,
        home: PartitionId,
        account: AccountId,
        alive: &Key,
    ) -> Result<()> {
        if self.at_home(home).is_some() || self.system(home).await.is_ok() {
            return Ok(());
        }
        let _naming = self.naming.lock().await;
        if self.at_home(home).is_some() {
            return Ok(());
        }
        self.keys.prepare(KeyScope::vaults(account)).await.map_err(super::error::of_keys)?;
        self.media.register().await?;
        let key = tables::of_partition(tables::SYSTEMS, home);
        for _ in 0..ATTEMPTS_MAX {
            let snapshot = self.at(home).await?;
            if snapshot.get(alive.clone()).await?.is_none() {
                // Whoever cleared the partition may have done so before the mark of an attempt.
                self.unmark(home).await?;
                return Err(Error::NotFound { what: "partition", id: home.to_string() });
            }
            let root = self.at(PartitionId::ROOT).await?;
            let mark = Change::default().of_vaults().put(key.clone(), SystemRow { account }.to_bytes());
            if !self.try_commit(PartitionId::ROOT, &*root, mark).await? {
                continue;
            }
            if self.know_system(home, account).await? {
                return Ok(());
            }
            let vault = VaultId::random(&*self.entropy);
            let row = VaultRow { partition: home, vault, state: State::Active, created: self.clock.now() };
            let secrets = Secrets::random(vault, &*self.entropy);
            let first = self.first_rows(account, &row, NewVault::default(), &secrets)?;
            // As the partition was before the mark.
            if self.try_commit(home, &*snapshot, first.unchanged(alive.clone())).await? {
                let vault = self.system_vault(home, vault, account, secrets)?;
                self.known.write().homes.insert(home, vault);
                return Ok(());
            }
        }
        Err(contended())
    }

    /// Has a partition's vault cleared, of which everything was given up. `true`: nothing of it is left.
    pub async fn abandon(&self, home: PartitionId) -> Result<bool> {
        let root = self.at(PartitionId::ROOT).await?;
        let (mark, cleared) =
            (tables::of_partition(tables::SYSTEMS, home), tables::of_partition(tables::DELETED, home));
        let mut found = root.multi_get(vec![mark.clone(), cleared.clone()]).await?.into_iter();
        let (marked, clearing) = (found.next().flatten().is_some(), found.next().flatten().is_some());
        if !marked {
            return Ok(!clearing);
        }
        let change =
            Change::default().unchanged(mark.clone()).delete(mark).put(cleared, tables::PRESENT).freeing();
        if self.try_commit(PartitionId::ROOT, &*root, change).await? {
            self.known.write().homes.remove(&home);
            self.shut.lock().remove(&home);
            self.mark_dirty(home);
        }
        Ok(false)
    }

    /// An archive of blobs that lie in the partition already. The owner's commit must prove that somebody refers to each of them.
    pub async fn deposit(
        self: &Arc<Self>,
        home: PartitionId,
        pieces: &[Piece],
        tree_hash: TreeHash,
    ) -> Result<Deposit> {
        let vault = self.system(home).await?;
        let row = ArchiveRow {
            length: pieces.iter().map(|piece| piece.length).sum(),
            tree_hash,
            created: self.clock.now(),
            aged_from: self.compliance.now(),
            description: Description::default(),
        };
        let id = ArchiveId::random(&*self.entropy);
        let mut change = arrives(id, &row).of_vaults();
        let mut offset = 0;
        for piece in pieces {
            let at = Spot { of: *id.as_bytes(), offset };
            let sealed = vault.secrets.seal_blob(tables::PIECES.tag, at, piece.blob, &piece.key);
            let (blob, length) = (piece.blob, piece.length);
            let of_piece = PieceRow { blob, length, tree_hash: piece.tree_hash, sealed };
            let key = tables::at_offset(tables::PIECES, &at.of, offset);
            change = change.put(key, of_piece.to_bytes());
            change = change.writes(share(piece.blob, &owner(tables::PIECES, at)?));
            offset += length;
        }
        Ok(Deposit {
            at: ArchiveAt { id, created: row.created },
            checks: change.checks,
            writes: change.writes,
        })
    }

    /// A deposit's commit came through.
    pub fn deposited(&self) {
        self.bells.packer.notify_one();
    }

    /// Something was given up in a partition, if it has a vault.
    pub fn freed(&self, home: PartitionId) {
        if self.at_home(home).is_some() {
            self.mark_dirty(home);
        }
    }

    /// Has this told of each job that comes to its end.
    pub fn tell_of_ends(&self, tell: Tell) {
        *self.bells.ends.lock() = Some(tell);
    }

    /// Asks for an archive. The job is durable when this returns.
    pub async fn retrieve(self: &Arc<Self>, home: PartitionId, what: Retrieve) -> Result<JobId> {
        let vault = self.system(home).await?;
        let wanted = Wanted {
            subject: Subject::Archive { archive: what.archive.to_string(), range: None },
            tier: what.tier,
            description: Description::default(),
            topic: String::new(),
        };
        let (vaults, account) = (Arc::clone(self), vault.account);
        let kept = (what.depth, what.keep);
        let task = tokio::spawn(async move { vaults.initiate_whole(account, vault, wanted, kept).await });
        Ok(task.await.map_err(|_ended| engine::Error::Closed)??.job.id)
    }

    /// How far a job is; `None`: there is none any more.
    pub async fn job_state(self: &Arc<Self>, home: PartitionId, job: JobId) -> Result<Option<JobState>> {
        match self.find_job(&*self.system(home).await?, job).await {
            Ok((job, _)) => Ok(Some(job.state)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// When a job is expected to be ready; `None` once it is, or where there is none.
    pub async fn job_eta(self: &Arc<Self>, home: PartitionId, job: JobId) -> Result<Option<Timestamp>> {
        match self.find_job(&*self.system(home).await?, job).await {
            Ok((job, _)) if !matches!(job.state, JobState::Ready { .. }) => Ok(Some(job.eta)),
            Ok(_) | Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A faster tier for a job that is under way; one that has it, or is ready, stays as it is. `false`: nothing comes of it any more.
    pub async fn hasten(self: &Arc<Self>, home: PartitionId, job: JobId, tier: Tier) -> Result<bool> {
        let vault = self.system(home).await?;
        let found = match self.find_job(&vault, job).await {
            Err(Error::NotFound { .. }) => return Ok(false),
            found => found?.0,
        };
        match found.state {
            JobState::Failed { .. } | JobState::Expired { .. } => return Ok(false),
            JobState::Ready { .. } => return Ok(true),
            _ if tier >= found.tier => return Ok(true),
            _ => self.know_job(&vault, &found).await?,
        }
        let config = self.at(home).await?.get(tables::only(tables::CONFIG)).await?;
        let config = ConfigRow::from_bytes(&config.ok_or_else(|| self.gone(&vault))?)?;
        let terms = self.terms_of(&vault, config);
        let event = {
            let mut counter = self.counter.lock();
            counter.look_at_drives();
            let super::jobs::Counter { capacity, scheduler, .. } = &mut *counter;
            let mut desk = Desk { usage: &mut Usage::default(), capacity, scheduler };
            desk.upgrade(&found, vault.account, tier, &terms, self.clock.now())?
        };
        self.apply(job, event).await?;
        self.bells.runner.notify_one();
        Ok(true)
    }

    /// Keeps the output of a job that is ready until then. `false`: it is not ready, or gone.
    pub async fn keep_output_until(
        self: &Arc<Self>,
        home: PartitionId,
        job: JobId,
        until: Timestamp,
    ) -> Result<bool> {
        let vault = self.system(home).await?;
        match self.find_job(&vault, job).await {
            Err(Error::NotFound { .. }) => return Ok(false),
            found => self.know_job(&vault, &found?.0).await?,
        }
        self.apply(job, JobEvent::KeepUntil(until)).await?;
        Ok(
            matches!(self.job_state(home, job).await?, Some(JobState::Ready { until: kept, .. }) if kept >= until),
        )
    }

    /// A range of the output of a job that is ready.
    pub async fn retrieved(
        self: &Arc<Self>,
        home: PartitionId,
        job: JobId,
        range: Range<u64>,
    ) -> Result<Output> {
        Ok(self.read_output(&self.system(home).await?, job, range))
    }

    /// Where the bytes of an archive are.
    pub async fn whereabouts(&self, home: PartitionId, archive: ArchiveId) -> Result<Whereabouts> {
        let snapshot = self.at(home).await?;
        let mut found = Whereabouts::default();
        let pieces = self.page(&*snapshot, tables::PIECES, (archive.as_bytes(), None), 10_000).await?;
        for (_, raw) in &pieces.rows {
            found.waiting_bytes += PieceRow::from_bytes(raw)?.length;
        }
        let length = snapshot.get(tables::of_archive(tables::ARCHIVES, archive)).await?;
        let length = length.map(|raw| ArchiveRow::from_bytes(&raw)).transpose()?.map_or(0, |row| row.length);
        let mut at = 0;
        while at < length && found.packs.len() < 1_000 {
            let Some(placed) = self.find_place(&*snapshot, archive, at).await? else {
                at = length;
                continue;
            };
            let label = self.media.label_of(placed.pack.medium);
            let label = label.unwrap_or_else(|| "a medium that is not configured".to_owned());
            found.packs.push((placed.place.pack.to_string(), label, placed.place.length));
            at = placed.from.saturating_add(placed.place.length.max(1));
        }
        Ok(found)
    }
}
