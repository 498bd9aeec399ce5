//! Retrieval jobs: asked for, described, given out.
//!
//! The row is what counts; the plan of media and drives is in memory, and made again from the rows at a start.

use super::change::{Attempt, Change};
use super::fetch::Placed;
use super::output::no_job;
use super::rows::{ArchiveRow, ConfigRow, FactsRow};
use super::runner::AGAIN;
use super::{Error, Output, Result, Vault, VaultName, Vaults, tables};
use crate::inventory::Description;
use crate::lock::DAY;
use crate::pack::{ArchiveId, PackId};
use crate::retrieval::{
    Ask, Capacity, Depth, Desk, Extent, Job, JobId, JobState, Limits, Policy, RetrievalPolicy, Scheduler,
    Subject, Terms, Tier, Timetable, Usage,
};
use crate::tree_hash::ByteRange;
use engine::catalog::record::Record;
use engine::catalog::{Scan, Snapshot};
use engine::clock::Timestamp;
use engine::id::{PartitionId, random_bytes};
use engine::unit::ByteCount;
use security::AccountId;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// How long outputs are kept.
const KEEP: Duration = Duration::from_hours(24);
/// A start counts usage from the jobs of so long: policies count by the hour and by the UTC day, which no rehearsal shortens.
const USAGE_LOOKED_BACK: Duration = Duration::from_hours(24);
/// Jobs of a vault that are not gone.
const JOBS_MAX: usize = 10_000;
/// Of a system vault those that are to be read still, as many as the plan takes of one; what is ready stays for as long as its owner says.
const PENDING_MAX: usize = 50_000;
/// All of a system vault that are not gone.
const SYSTEM_JOBS_MAX: usize = 500_000;
/// Rows that a start reads together.
const PAGE: usize = 1_000;
/// Packs have places this far apart on a medium, as the plan counts: none holds as much.
const POSITION_BITS: u32 = 40;
/// Expedited retrievals are planned for as this large.
pub(super) const EXPEDITED_BYTES: ByteCount = ByteCount::mib(250);

/// What somebody wants.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// An archive, a range of it, an inventory.
    pub subject: Subject,
    /// How soon.
    pub tier: Tier,
    /// As it is described.
    pub description: Description,
    /// Whom to tell; empty for nobody.
    pub topic: String,
}

/// A job, described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobInfo {
    /// The job.
    pub job: Job,
    /// The vault's ARN.
    pub vault_arn: String,
    /// Of an archive's job: its archive's length and tree hash.
    pub archive: Option<(u64, crate::tree_hash::TreeHash)>,
    /// When it came to its end.
    pub ended: Option<Timestamp>,
    /// Bytes of its output, once it is ready.
    pub output: u64,
    /// The output's tree hash, where it has one that can be compared.
    pub tree_hash: Option<crate::tree_hash::TreeHash>,
    /// Where an inventory that was limited goes on.
    pub marker: Option<String>,
}

/// Some jobs of a vault.
#[derive(Clone, Debug, Default)]
pub struct JobPage {
    /// By their ids.
    pub jobs: Vec<JobInfo>,
    /// The first one behind them.
    pub next: Option<JobId>,
}

/// A part of what a job reads, as it is planned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    pub(super) extent: Extent,
    pub(super) placed: Placed,
    /// Where it begins in the archive.
    pub(super) from: u64,
}

/// What is to be done for a job.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub(super) home: PartitionId,
    pub(super) parts: Vec<Planned>,
}

/// What is in memory of all jobs.
pub(super) struct Counter {
    pub(super) usage: HashMap<AccountId, Usage>,
    pub(super) capacity: Capacity,
    pub(super) scheduler: Scheduler,
    /// Jobs that are being read.
    pub(super) work: HashMap<JobId, Work>,
    /// Jobs that need no drive any more, or never did: they are finished next.
    pub(super) direct: VecDeque<JobId>,
    /// When to look at a job again.
    pub(super) timers: BTreeSet<(Timestamp, JobId)>,
    /// Whose jobs there are.
    homes: BTreeMap<JobId, Entered>,
    per_home: BTreeMap<PartitionId, Count>,
    pub(super) limits: JobLimits,
}

/// What was asked for lately, as a start finds it.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    created: Timestamp,
    account: AccountId,
    tier: Tier,
    bytes: ByteCount,
    is_system: bool,
}

/// A job that there is.
#[derive(Clone, Copy)]
struct Entered {
    home: PartitionId,
    /// It is to be read.
    pending: bool,
}

/// Jobs of a vault.
#[derive(Clone, Copy, Default)]
struct Count {
    jobs: usize,
    pending: usize,
}

/// How many jobs a vault may have.
#[derive(Clone, Copy)]
pub(super) struct JobLimits {
    pub(super) jobs: usize,
    pub(super) pending: usize,
    pub(super) of_system: usize,
}

impl Default for Counter {
    fn default() -> Self {
        Self {
            usage: HashMap::new(),
            capacity: Capacity::new(0, Vec::new()),
            scheduler: Scheduler::new(Policy::default(), Limits::default()),
            work: HashMap::new(),
            direct: VecDeque::new(),
            timers: BTreeSet::new(),
            homes: BTreeMap::new(),
            per_home: BTreeMap::new(),
            limits: JobLimits { jobs: JOBS_MAX, pending: PENDING_MAX, of_system: SYSTEM_JOBS_MAX },
        }
    }
}

impl Counter {
    /// Whose job it is.
    pub(super) fn home_of(&self, job: JobId) -> Option<PartitionId> {
        self.homes.get(&job).map(|entered| entered.home)
    }

    /// Those that are to be read.
    pub(super) fn pending(&self) -> usize {
        self.per_home.values().map(|count| count.pending).sum()
    }

    /// Whether a vault may have one more job.
    fn has_room(&self, home: PartitionId, is_system: bool) -> Result<()> {
        let count = self.per_home.get(&home).copied().unwrap_or_default();
        let limits = self.limits;
        let (what, have, limit) = if !is_system {
            ("jobs of the vault", count.jobs, limits.jobs)
        } else if count.jobs >= limits.of_system {
            ("retrievals of the vault", count.jobs, limits.of_system)
        } else {
            ("retrievals under way of the vault", count.pending, limits.pending)
        };
        if have < limit { Ok(()) } else { Err(Error::TooMany { what, limit: limit as u64 }) }
    }

    /// There is a job, and it is to be read.
    pub(super) fn enter(&mut self, job: JobId, home: PartitionId) {
        if self.homes.contains_key(&job) {
            return;
        }
        self.homes.insert(job, Entered { home, pending: true });
        let count = self.per_home.entry(home).or_default();
        count.jobs += 1;
        count.pending += 1;
    }

    /// It is read, or came to nothing.
    pub(super) fn is_read(&mut self, job: JobId) {
        if let Some(entered) = self.homes.get_mut(&job)
            && std::mem::take(&mut entered.pending)
            && let Some(count) = self.per_home.get_mut(&entered.home)
        {
            count.pending = count.pending.saturating_sub(1);
        }
    }

    /// It is gone.
    pub(super) fn leave(&mut self, job: JobId) {
        self.is_read(job);
        self.scheduler.cancel(job);
        self.work.remove(&job);
        if let Some(Entered { home, .. }) = self.homes.remove(&job)
            && let Some(count) = self.per_home.get_mut(&home)
        {
            count.jobs = count.jobs.saturating_sub(1);
            if count.jobs == 0 {
                self.per_home.remove(&home);
            }
        }
    }
}

pub(super) fn info(vaults: &Vaults, vault: &Vault, job: Job, facts: FactsRow) -> JobInfo {
    JobInfo {
        job,
        vault_arn: vault.name.arn(&vaults.region, vault.account),
        archive: facts.archive.map(|(_, length, tree_hash)| (length, tree_hash)),
        ended: facts.ended,
        output: facts.output,
        tree_hash: facts.tree_hash,
        marker: Some(facts.marker).filter(|marker| !marker.is_empty()),
    }
}

/// The archive that a subject names.
fn archive_of(subject: &Subject) -> Result<Option<(ArchiveId, Option<ByteRange>)>> {
    let Subject::Archive { archive, range } = subject else { return Ok(None) };
    let id =
        parse_archive(archive).ok_or_else(|| Error::NotFound { what: "archive", id: archive.clone() })?;
    Ok(Some((id, *range)))
}

/// An archive's id from its text: 32 hexadecimal digits.
pub(super) fn parse_archive(text: &str) -> Option<ArchiveId> {
    let mut bytes = [0; 16];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(ArchiveId::from_bytes(bytes)).filter(|id| id.to_string() == text)
}

impl Vaults {
    /// An archive's, an upload's id from its text; the error says that there is none.
    pub fn archive_id(what: &'static str, text: &str) -> Result<ArchiveId> {
        parse_archive(text).ok_or_else(|| Error::NotFound { what, id: text.to_owned() })
    }

    /// A job's id from its text.
    pub fn job_id(text: &str) -> Result<JobId> {
        let id = parse_archive(text).map(|id| JobId::from_bytes(*id.as_bytes()));
        id.ok_or_else(|| Error::NotFound { what: "job", id: text.to_owned() })
    }

    /// A pack's id from its text.
    pub fn pack_id(text: &str) -> Result<PackId> {
        let id = parse_archive(text).map(|id| PackId::from_bytes(*id.as_bytes()));
        id.ok_or_else(|| Error::NotFound { what: "pack", id: text.to_owned() })
    }

    /// Asks for a job. It is durable when this returns; whoever goes away before leaves one that is planned and has its row, or none.
    pub async fn initiate(
        self: &Arc<Self>,
        account: AccountId,
        name: &VaultName,
        wanted: Wanted,
    ) -> Result<JobInfo> {
        let (vaults, vault) = (Arc::clone(self), self.vault(account, name)?);
        if !wanted.topic.is_empty() {
            self.check_topic(&wanted.topic)?;
        }
        let kept = (Depth::Flexible, self.scaled(KEEP));
        let task = tokio::spawn(async move { vaults.initiate_whole(account, vault, wanted, kept).await });
        task.await.map_err(|_ended| engine::Error::Closed)?
    }

    /// `depth` and `keep`: how deep the archive lies, and how long its output stays.
    pub(super) async fn initiate_whole(
        self: Arc<Self>,
        account: AccountId,
        vault: Arc<Vault>,
        wanted: Wanted,
        (depth, keep): (Depth, Duration),
    ) -> Result<JobInfo> {
        let id = JobId::from_bytes(random_bytes(&*self.entropy));
        let snapshot = self.at(vault.home).await?;
        let Some(config) = snapshot.get(tables::only(tables::CONFIG)).await? else {
            return Err(self.gone(&vault));
        };
        let config = ConfigRow::from_bytes(&config)?;
        let (facts, parts, bytes) = self.look_up(&*snapshot, &wanted.subject).await?;
        let ask = Ask {
            id,
            vault: crate::retrieval::VaultId::from_bytes(*vault.id.as_bytes()),
            account,
            subject: wanted.subject,
            tier: wanted.tier,
            depth,
            description: wanted.description,
            topic: wanted.topic,
            keep,
            bytes: ByteCount::new(bytes),
            extents: parts.iter().map(|part| part.extent).collect(),
        };
        let terms = self.terms_of(&vault, config);
        let now = self.clock.now();
        // Nothing is begun of a job that has no row yet.
        let _entering = self.entering.read().await;
        let (job, admission) =
            self.accept(ask, (&terms, now), Work { home: vault.home, parts }, vault.is_system)?;
        let outcome = self.enter_row(&vault, &job, &facts).await;
        if outcome.is_err() {
            let mut counter = self.counter.lock();
            counter.leave(id);
            if let Some(admission) = admission {
                counter.capacity.give_back(account, admission);
            }
        }
        outcome?;
        {
            let mut counter = self.counter.lock();
            if counter.work.get(&id).is_some_and(|work| work.parts.is_empty()) {
                counter.direct.push_back(id);
            }
        }
        self.bells.runner.notify_one();
        Ok(info(&self, &vault, job, facts))
    }

    /// On which terms a vault's retrievals are accepted. Policies are about vaults that have a name.
    pub(super) fn terms_of(&self, vault: &Vault, config: ConfigRow) -> Terms {
        let policy =
            if vault.is_system { RetrievalPolicy::Unlimited } else { self.retrieval_policy(vault.account) };
        let timetable = Timetable { kept: config.keeps_timetable, day: self.day };
        Terms { policy, timetable, prices: self.prices }
    }

    /// A day's duration, as long as days are here.
    fn scaled(&self, duration: Duration) -> Duration {
        let ms = duration.as_millis() * self.day.as_millis() / DAY.as_millis();
        Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX))
    }

    fn accept(
        &self,
        ask: Ask,
        (terms, now): (&Terms, Timestamp),
        work: Work,
        is_system: bool,
    ) -> Result<(Job, Option<crate::retrieval::Admission>)> {
        let mut counter = self.counter.lock();
        counter.has_room(work.home, is_system)?;
        let (id, account) = (ask.id, ask.account);
        counter.look_at_drives();
        let mut nowhere = Usage::default();
        let Counter { usage, capacity, scheduler, .. } = &mut *counter;
        let usage = if is_system { &mut nowhere } else { usage.entry(account).or_default() };
        let mut desk = Desk { usage, capacity, scheduler };
        let accepted = desk.accept(ask, terms, now)?;
        counter.enter(id, work.home);
        counter.work.insert(id, work);
        Ok(accepted)
    }

    async fn enter_row(&self, vault: &Vault, job: &Job, facts: &FactsRow) -> Result<()> {
        self.transact(|| async {
            let snapshot = self.at(vault.home).await?;
            if snapshot.get(tables::only(tables::CONFIG)).await?.is_none() {
                return Err(self.gone(vault));
            }
            let mut change = Change::default()
                .unchanged(tables::only(tables::CONFIG))
                .absent(tables::of_job(tables::JOBS, job.id))
                .put(tables::of_job(tables::JOBS, job.id), job.to_bytes())
                .put(tables::of_job(tables::FACTS, job.id), facts.to_bytes());
            if let Some((archive, ..)) = facts.archive {
                let key = tables::of_archive(tables::ARCHIVES, archive);
                if snapshot.get(key.clone()).await?.is_none() {
                    return Err(Error::NotFound { what: "archive", id: archive.to_string() });
                }
                change = change.unchanged(key);
            }
            Ok(Attempt::Commit(change.at(vault.home, &*snapshot), ()))
        })
        .await
    }

    /// What a job is about, where that lies, and how much it is.
    async fn look_up(
        &self,
        snapshot: &dyn Snapshot,
        subject: &Subject,
    ) -> Result<(FactsRow, Vec<Planned>, u64)> {
        let none = FactsRow { archive: None, ended: None, output: 0, tree_hash: None, marker: String::new() };
        let Some((archive, range)) = archive_of(subject)? else { return Ok((none, Vec::new(), 0)) };
        let raw = snapshot.get(tables::of_archive(tables::ARCHIVES, archive)).await?;
        let raw = raw.ok_or_else(|| Error::NotFound { what: "archive", id: archive.to_string() })?;
        let row = ArchiveRow::from_bytes(&raw)?;
        let range = range.map(|range| range.check(row.length)).transpose()?;
        let range = bounds(range, row.length);
        let parts = self.places_of(snapshot, archive, range.clone()).await?;
        let facts = FactsRow { archive: Some((archive, row.length, row.tree_hash)), ..none };
        Ok((facts, parts, range.end - range.start))
    }

    /// The parts of a range that lie in packs, as they are planned. What lies as pieces needs no plan.
    pub(super) async fn places_of(
        &self,
        snapshot: &dyn Snapshot,
        archive: ArchiveId,
        range: Range<u64>,
    ) -> Result<Vec<Planned>> {
        let (mut parts, mut at) = (Vec::new(), range.start);
        while at < range.end {
            let Some(placed) = self.find_place(snapshot, archive, at).await? else { break };
            let end = placed.from.saturating_add(placed.place.length).min(range.end);
            let offset = (placed.pack.position << POSITION_BITS) + (at - placed.from);
            let extent = Extent { medium: placed.pack.medium, offset, len: end - at };
            parts.push(Planned { extent, placed, from: at });
            at = end;
        }
        Ok(parts)
    }

    /// Describes a job.
    pub async fn job(&self, account: AccountId, name: &VaultName, job: JobId) -> Result<JobInfo> {
        let vault = self.vault(account, name)?;
        let (found, facts) = self.find_job(&vault, job).await?;
        Ok(info(self, &vault, found, facts))
    }

    pub(super) async fn find_job(&self, vault: &Vault, job: JobId) -> Result<(Job, FactsRow)> {
        let snapshot = self.at(vault.home).await?;
        let keys = [tables::JOBS, tables::FACTS].map(|table| tables::of_job(table, job)).to_vec();
        let mut rows = snapshot.multi_get(keys).await?.into_iter();
        let (Some(row), Some(facts)) = (rows.next().flatten(), rows.next().flatten()) else {
            return Err(no_job(job));
        };
        Ok((Job::from_bytes(&row)?, FactsRow::from_bytes(&facts)?))
    }

    /// Jobs of a vault, from `from` on, that `filter` lets through.
    pub async fn jobs(
        &self,
        account: AccountId,
        name: &VaultName,
        (from, limit): (Option<JobId>, usize),
        filter: impl Fn(&Job) -> bool,
    ) -> Result<JobPage> {
        let vault = self.vault(account, name)?;
        let snapshot = self.at(vault.home).await?;
        let mut page = JobPage::default();
        let mut scan = Scan::prefix(tables::JOBS, b"", 256);
        if let Some(from) = from {
            scan.start = tables::of_job(tables::JOBS, from).bytes;
        }
        loop {
            let rows = snapshot.scan(scan.clone()).await?;
            for (key, raw) in &rows.rows {
                let job = Job::from_bytes(raw)?;
                if !filter(&job) {
                    continue;
                }
                if page.jobs.len() == limit {
                    page.next = Some(JobId::from_bytes(tables::read_id(key)?));
                    return Ok(page);
                }
                let facts = snapshot.get(tables::of_job(tables::FACTS, job.id)).await?;
                let facts = FactsRow::from_bytes(&facts.ok_or_else(|| no_job(job.id))?)?;
                page.jobs.push(info(self, &vault, job, facts));
            }
            match scan.behind(&rows) {
                Some(behind) => scan = behind,
                None => return Ok(page),
            }
        }
    }

    /// The output of a job that is ready, or a range of it.
    pub async fn output(
        self: &Arc<Self>,
        account: AccountId,
        name: &VaultName,
        job: JobId,
        range: Option<Range<u64>>,
    ) -> Result<(JobInfo, Output)> {
        let vault = self.vault(account, name)?;
        let (found, facts) = self.find_job(&vault, job).await?;
        let JobState::Ready { until, .. } = found.state else {
            return Err(Error::NotReady { id: job.to_string(), state: found.state.name() });
        };
        if self.clock.now() >= until {
            return Err(no_job(job));
        }
        let range = range.unwrap_or(0..facts.output);
        if range.start > range.end || range.end > facts.output {
            return Err(Error::Invalid(format!(
                "read bytes {}-{} of the output: it has {}",
                range.start,
                range.end.saturating_sub(1),
                facts.output
            )));
        }
        Ok((info(self, &vault, found, facts), self.read_output(&vault, job, range)))
    }

    /// After a start: the plan is made again.
    pub(super) async fn resume_jobs(self: &Arc<Self>) -> Result<()> {
        let now = self.clock.now();
        {
            let mut counter = self.counter.lock();
            let mut stations = BTreeSet::new();
            for (station, medium) in self.media.planned() {
                if stations.insert(station) {
                    counter.scheduler.add_station(station, 1, now)?;
                }
                counter.scheduler.add_medium(medium, now)?;
            }
        }
        let vaults: Vec<Arc<Vault>> = self.known.read().homes.values().cloned().collect();
        let mut lately = Vec::new();
        for vault in vaults {
            lately.extend(self.resume_jobs_of(&vault).await?);
        }
        lately.sort_by_key(|asked| asked.created);
        let mut counter = self.counter.lock();
        counter.look_at_drives();
        for Asked { created, account, tier, bytes, is_system } in lately {
            if tier == Tier::Expedited && now.since(created) < crate::retrieval::UNIT_WINDOW {
                // It began; what it took of the window, nobody else has.
                let _counted = counter.capacity.admit(account, created);
            }
            if !is_system {
                counter.usage.entry(account).or_default().note(tier, bytes, created);
            }
        }
        Ok(())
    }

    /// The same of one vault; what was asked for in it lately.
    pub(super) async fn resume_jobs_of(self: &Arc<Self>, vault: &Arc<Vault>) -> Result<Vec<Asked>> {
        let (now, snapshot) = (self.clock.now(), self.at(vault.home).await?);
        let (mut lately, mut start) = (Vec::new(), None::<Vec<u8>>);
        loop {
            let page = self.page(&*snapshot, tables::JOBS, (b"", start.as_deref()), PAGE).await?;
            for (_, raw) in &page.rows {
                let job = match Job::from_bytes(raw) {
                    Ok(job) => job,
                    Err(error) => {
                        tracing::error!(vault = vault.name.as_str(), home = %vault.home, %error, "a retrieval's row can't be read: it is passed by");
                        continue;
                    }
                };
                if now.since(job.created) < USAGE_LOOKED_BACK {
                    let (created, tier, bytes) = (job.created, job.tier, job.bytes);
                    let (account, is_system) = (vault.account, vault.is_system);
                    lately.push(Asked { created, account, tier, bytes, is_system });
                }
                self.counter.lock().enter(job.id, vault.home);
                if let Err(error) = self.take_up(vault, &job).await {
                    // As where its medium is not configured any more: nobody else is to wait for that.
                    tracing::error!(job = %job.id, %error, "a retrieval can't be taken up; it is tried again");
                    self.counter.lock().timers.insert((now.plus(AGAIN), job.id));
                }
            }
            start = page.rows.last().map(|(key, _)| engine::catalog::key_after(key).to_vec());
            start = start.filter(|_| page.more);
            if start.is_none() {
                return Ok(lately);
            }
        }
    }

    /// A job that is in the catalog alone, as when a start could not read its row, is known from here on.
    pub(super) async fn know_job(self: &Arc<Self>, vault: &Arc<Vault>, job: &Job) -> Result<()> {
        if self.counter.lock().home_of(job.id).is_some() {
            return Ok(());
        }
        self.counter.lock().enter(job.id, vault.home);
        self.take_up(vault, job).await
    }

    /// Takes a job up again where its row says that it is.
    pub(super) async fn take_up(self: &Arc<Self>, vault: &Arc<Vault>, job: &Job) -> Result<()> {
        let at = match &job.state {
            JobState::Held => job.not_before,
            JobState::Ready { until, .. } => *until,
            JobState::Failed { since, .. } | JobState::Expired { since } => since.plus(job.keep),
            JobState::Queued | JobState::Staging | JobState::Waiting { .. } => {
                return self.begin_again(vault, job).await;
            }
        };
        let mut counter = self.counter.lock();
        counter.is_read(job.id);
        counter.timers.insert((at, job.id));
        Ok(())
    }

    /// Reads for a job from its beginning.
    async fn begin_again(self: &Arc<Self>, vault: &Arc<Vault>, job: &Job) -> Result<()> {
        self.drop_output(vault, job.id).await?;
        let snapshot = self.at(vault.home).await?;
        // What went meanwhile, the runner finds out.
        let parts = match self.look_up(&*snapshot, &job.subject).await {
            Ok((_, parts, _)) => parts,
            Err(Error::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        let extents = parts.iter().map(|part| part.extent).collect();
        let mut counter = self.counter.lock();
        counter.scheduler.cancel(job.id);
        let direct = parts.is_empty();
        counter.work.insert(job.id, Work { home: vault.home, parts });
        let Counter { usage, capacity, scheduler, .. } = &mut *counter;
        let mut desk = Desk { usage: usage.entry(vault.account).or_default(), capacity, scheduler };
        desk.resume(job, extents, self.clock.now())?;
        if direct {
            counter.direct.push_back(job.id);
        }
        Ok(())
    }
}

/// From its first byte to behind its last.
pub(super) fn bounds(range: Option<ByteRange>, length: u64) -> Range<u64> {
    range.map_or(0..length, |range| range.first()..range.last() + 1)
}
