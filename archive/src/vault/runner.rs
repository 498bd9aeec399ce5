//! Does retrieval jobs: what the plan says to media, and what comes of it to rows.
//!
//! ```text
//!   plan ─► mount, read, unmount ─► pieces of output ─► all there? ─► read once more, tree hash ─► ready, held back or failed
//!   time ─► what is held back is ready; what is old expires, its output goes
//! ```
//! # What a crash leaves
//! A job's row as it was written last. One that was being read is read from its beginning after the start; the pieces of output that it
//! had go first.
//!
//! # Limits
//! Drives work one after the other.

use super::change::{Attempt, Change};
use super::fetch::Placed;
use super::jobs::{Planned, bounds, parse_archive};
use super::output::no_job;
use super::rows::{ArchiveRow, FactsRow, Garbage};
use super::{Error, Result, Vault, Vaults, tables};
use crate::inventory::{Entry, Place, Writer};
use crate::retrieval::{
    Action, Effect, Event, Failure, Job, JobEvent, JobId, JobState, Outcome, Plan, Subject,
};
use crate::tree_hash::{TreeHash, TreeHasher};
use bytes::Bytes;
use engine::catalog::Scan;
use engine::catalog::record::Record;
use engine::unit::ByteCount;
use engine::worker::{Progress, Worker};
use engine::{BoxFuture, ErrorKind};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

const REST: Duration = Duration::from_secs(5);
/// How soon a wait of the plan's is looked at, at the soonest.
const REST_MIN: Duration = Duration::from_millis(100);
/// After so long a job is begun again that failed for no reason of its own.
pub(super) const AGAIN: Duration = Duration::from_secs(30);
/// Archives that an inventory reads together.
const BATCH: usize = 500;

/// Worker `vault-retrievals`; its unit is steps of jobs.
pub(super) struct Runner {
    vaults: Arc<Vaults>,
    trouble: Option<String>,
    /// When vaults that could not be opened were last tried again, by boot time.
    tried: Option<Duration>,
}

impl Runner {
    pub(super) fn new(vaults: Arc<Vaults>) -> Self {
        Self { vaults, trouble: None, tried: None }
    }

    /// Tries again to open what a start could not.
    async fn open_shut(&mut self) -> u64 {
        let now = self.vaults.clock.boottime();
        if now.saturating_sub(*self.tried.get_or_insert(now)) < AGAIN {
            return 0;
        }
        self.tried = Some(now);
        self.vaults.open_shut().await
    }

    async fn step(&mut self) -> engine::Result<Progress> {
        let vaults = Arc::clone(&self.vaults);
        let mut done = self.open_shut().await;
        done += vaults.look_at_media().await.map_err(Error::reported)?;
        done += vaults.timers().await.map_err(Error::reported)?;
        done += self.direct().await?;
        let plan = {
            let _alone = vaults.entering.write().await;
            let mut counter = vaults.counter.lock();
            counter.scheduler.plan(vaults.clock.now())
        };
        let Plan { actions, wake } = plan;
        // What fails of one does not keep the others: drives that are told nothing would wait for ever.
        let mut failed = None;
        for action in actions {
            done += 1;
            if let Err(error) = vaults.act(action).await {
                failed = failed.or(Some(error));
            }
        }
        if let Some(error) = failed {
            self.trouble = Some(error.to_string());
            return Err(error.reported());
        }
        if done > 0 {
            self.trouble = None;
            return Ok(Progress::More { done });
        }
        let now = vaults.clock.now();
        let rest = wake.map_or(REST, |wake| wake.since(now).clamp(REST_MIN, REST));
        Ok(Progress::Idle { rest })
    }

    /// Jobs that need no drive any more.
    async fn direct(&mut self) -> engine::Result<u64> {
        let mut done = 0;
        loop {
            let next = self.vaults.counter.lock().direct.pop_front();
            let Some(job) = next else { return Ok(done) };
            if let Err(error) = self.vaults.finish(job).await {
                self.trouble = Some(error.to_string());
                tracing::warn!(%job, %error, "a retrieval can't be ended; it is tried again");
                self.vaults.again(job);
            }
            done += 1;
        }
    }
}

impl Worker for Runner {
    fn name(&self) -> &'static str {
        "vault-retrievals"
    }

    fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.vaults.bells.runner)
    }

    fn trouble(&self) -> Option<String> {
        self.trouble.clone()
    }

    fn tick(&mut self) -> BoxFuture<'_, engine::Result<Progress>> {
        Box::pin(self.step())
    }
}

impl Vaults {
    fn vault_of(&self, job: JobId) -> Option<Arc<Vault>> {
        let home = self.counter.lock().home_of(job)?;
        self.at_home(home)
    }

    /// The job is looked at again in a while.
    fn again(&self, job: JobId) {
        let at = self.clock.now().plus(AGAIN);
        self.counter.lock().timers.insert((at, job));
    }

    /// Media that came or left since.
    async fn look_at_media(self: &Arc<Self>) -> Result<u64> {
        let mut done = 0;
        for medium in self.media.ids() {
            let Some(here) = self.media.news(medium).await else { continue };
            done += 1;
            let event = if here { Event::Arrived { medium } } else { Event::Left { medium } };
            self.tell(event).await?;
        }
        Ok(done)
    }

    /// Tells the plan what happened, and jobs what it means for them.
    async fn tell(self: &Arc<Self>, event: Event) -> Result<()> {
        let now = self.clock.now();
        let told = self.counter.lock().scheduler.on(event, now);
        let outcomes = told.map_err(|error| engine::Error::Invalid(error.to_string()))?;
        // The plan has told all of it, and tells it once.
        let mut failed = None;
        for outcome in outcomes {
            let (job, event) = match outcome {
                Outcome::Progress { job, bytes } => (job, JobEvent::Progress(bytes)),
                Outcome::Wants { job, label } => (job, JobEvent::Wants(label)),
                Outcome::Brought { job } => (job, JobEvent::Brought),
                // Where else it lies that could not be read, or why not, is found out at its end.
                Outcome::Done { job } | Outcome::Failed { job, .. } => {
                    self.counter.lock().direct.push_back(job);
                    continue;
                }
            };
            if let Err(error) = self.apply(job, event).await {
                failed = failed.or(Some(error));
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn act(self: &Arc<Self>, action: Action) -> Result<()> {
        match action {
            Action::Mount { drive, medium } => match self.media.look(medium).await {
                Ok(_) => self.tell(Event::Mounted { drive }).await,
                Err(error) => {
                    tracing::warn!(%medium, %error, "a medium can't be used");
                    self.tell(Event::MountFailed { drive }).await
                }
            },
            Action::Unmount { drive, .. } => self.tell(Event::Unmounted { drive }).await,
            Action::Bring { label, jobs, .. } => {
                tracing::warn!(medium = label.as_str(), jobs, "a medium is waited for: bring it");
                Ok(())
            }
            Action::Read { drive, job, extent } => {
                let outcome = self.read_slice(job, extent).await;
                match outcome {
                    Ok(()) => self.tell(Event::ReadDone { drive }).await,
                    Err(error) => {
                        tracing::warn!(%job, %error, "a part of an archive could not be read");
                        self.tell(Event::ReadFailed { drive }).await
                    }
                }
            }
        }
    }

    /// Reads what the plan says for a job, and keeps it.
    async fn read_slice(self: &Arc<Self>, job: JobId, extent: crate::retrieval::Extent) -> Result<()> {
        let planned = {
            let counter = self.counter.lock();
            let parts = counter.work.get(&job).map(|work| work.parts.as_slice()).unwrap_or_default();
            let has = |part: &&Planned| {
                let of = part.extent;
                of.medium == extent.medium && (of.offset..of.offset + of.len).contains(&extent.offset)
            };
            parts.iter().find(has).copied()
        };
        // Taken back meanwhile.
        let (Some(planned), Some(vault)) = (planned, self.vault_of(job)) else { return Ok(()) };
        self.apply(job, JobEvent::Begun).await?;
        let Planned { placed, from, .. } = planned;
        let from = from + (extent.offset - planned.extent.offset);
        let range = from - placed.from..from - placed.from + extent.len;
        let (found, facts) = self.find_job(&vault, job).await?;
        let start = bounds(range_of(&found), facts.archive.map_or(0, |(_, length, _)| length)).start;
        self.check_there(&vault, placed).await?;
        let bytes = self.read_place(&vault, placed, range);
        self.keep_output(&vault, job, from - start, bytes).await?;
        Ok(())
    }

    /// Nothing is read of an archive that is deleted.
    async fn check_there(&self, vault: &Vault, placed: Placed) -> Result<()> {
        let key = tables::of_archive(tables::ARCHIVES, placed.archive);
        match self.at(vault.home).await?.get(key).await? {
            Some(_) => Ok(()),
            None => Err(Error::NotFound { what: "archive", id: placed.archive.to_string() }),
        }
    }

    /// The end of a job's reading: what no drive was needed for, and what none could read where it was thought to be. Then all of it is read
    /// once more.
    async fn finish(self: &Arc<Self>, job: JobId) -> Result<()> {
        let Some(vault) = self.vault_of(job) else {
            self.counter.lock().leave(job);
            return Ok(());
        };
        let (found, facts) = match self.find_job(&vault, job).await {
            Err(Error::NotFound { .. }) => {
                self.counter.lock().leave(job);
                return Ok(());
            }
            other => other?,
        };
        if !found.state.is_pending() {
            return Ok(());
        }
        let outcome = match &found.subject {
            Subject::Archive { archive, .. } => match parse_archive(archive) {
                Some(archive) => self.finish_archive(&vault, &found, facts, archive).await,
                None => return self.fail(job, Failure::Damaged).await,
            },
            Subject::Inventory { .. } => self.write_inventory(&vault, &found, facts).await,
        };
        match outcome {
            Ok(facts) => self.apply_with(job, JobEvent::Read, Some(facts)).await,
            Err(error) if error.kind() == ErrorKind::NotFound => self.fail(job, Failure::Deleted).await,
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::error!(%job, %error, "an archive can't be retrieved");
                self.fail(job, Failure::Damaged).await
            }
            Err(error) => {
                // A medium that left, a full disk: the job is planned again in a while.
                tracing::warn!(%job, %error, "a retrieval begins again");
                self.again(job);
                Ok(())
            }
        }
    }

    async fn fail(self: &Arc<Self>, job: JobId, why: Failure) -> Result<()> {
        self.apply(job, JobEvent::Fail(why)).await
    }

    async fn finish_archive(
        self: &Arc<Self>,
        vault: &Arc<Vault>,
        job: &Job,
        facts: FactsRow,
        archive: crate::pack::ArchiveId,
    ) -> Result<FactsRow> {
        let there = self.at(vault.home).await?.get(tables::of_archive(tables::ARCHIVES, archive)).await?;
        let gone = || Error::NotFound { what: "archive", id: archive.to_string() };
        let row = ArchiveRow::from_bytes(&there.ok_or_else(gone)?)?;
        let range = bounds(range_of(job), row.length);
        self.fill_gaps(vault, (job.id, archive), range.clone()).await?;
        let length = range.end - range.start;
        let found = self.hash_output(vault, job.id, length).await?;
        let whole = length == row.length;
        if whole && found != row.tree_hash {
            let (what, detail) =
                (format!("archive {archive}"), format!("its tree hash is {found}, not {}", row.tree_hash));
            return Err(engine::Error::Corrupt { what, detail }.into());
        }
        let aligned = range_of(job).is_none_or(|range| range.is_tree_hash_aligned(row.length));
        let tree_hash = aligned.then_some(found);
        Ok(FactsRow { output: length, tree_hash, ended: Some(self.clock.now()), ..facts })
    }

    /// Brings what is missing of an output from wherever it is now.
    async fn fill_gaps(
        self: &Arc<Self>,
        vault: &Arc<Vault>,
        (job, archive): (JobId, crate::pack::ArchiveId),
        range: Range<u64>,
    ) -> Result<()> {
        let (mut at, length) = (0, range.end - range.start);
        while at < length {
            let next = self.output_from(vault, job, at).await?;
            if let Some((offset, row)) = &next
                && *offset == at
            {
                at += row.length.max(1);
                continue;
            }
            let end = next.map_or(length, |(offset, _)| offset.min(length));
            let bytes = self.read_on(vault, archive, (range.start + at, range.start + end)).await?;
            let kept = self.keep_output(vault, job, at, bytes).await?;
            if kept == 0 {
                return Err(super::fetch::lost(archive, range.start + at));
            }
            at += kept;
        }
        Ok(())
    }

    /// Writes an inventory.
    async fn write_inventory(&self, vault: &Vault, job: &Job, facts: FactsRow) -> Result<FactsRow> {
        let Subject::Inventory { format, selection } = &job.subject else { return Ok(facts) };
        self.drop_output(vault, job.id).await?;
        let now = self.clock.now();
        let mut text = String::new();
        let arn = vault.name.arn(&self.region, vault.account);
        let mut writer = Writer::begin(*format, selection.clone(), &arn, now, &mut text);
        let (mut output, mut tree) = (self.output_writer(vault), TreeHasher::new());
        let mut scan = Scan::prefix(tables::CREATED, b"", BATCH);
        if let Some(begins) = selection.begins() {
            let id = parse_archive(&begins.archive).map(|id| id.as_bytes().to_vec()).unwrap_or_default();
            scan.start = tables::time_prefix(begins.created, &id);
        }
        'pages: loop {
            let snapshot = self.at(vault.home).await?;
            let page = snapshot.scan(scan.clone()).await?;
            let places = page.rows.iter().map(|(key, _)| tables::read_time(key));
            let places = places.collect::<engine::Result<Vec<_>>>()?;
            let keys = places.iter().map(|(_, archive)| tables::of_archive(tables::ARCHIVES, *archive));
            let rows = snapshot.multi_get(keys.collect()).await?;
            for ((created, archive), raw) in places.into_iter().zip(rows) {
                let Some(raw) = raw else { continue };
                let row = ArchiveRow::from_bytes(&raw)?;
                let place = Place { created, archive: archive.to_string() };
                let (description, size) = (row.description, ByteCount::new(row.length));
                let entry = Entry { place, description, size, tree_hash: row.tree_hash };
                if !writer.push(&entry, &mut text) {
                    break 'pages;
                }
            }
            let piece = Bytes::from(std::mem::take(&mut text));
            tree.update(&piece);
            output.push(piece).await?;
            match scan.clone().behind(&page) {
                Some(behind) => scan = behind,
                None => break,
            }
        }
        let marker = writer.finish(&mut text);
        tree.update(text.as_bytes());
        output.push(text.into()).await?;
        let tree_hash: TreeHash = tree.finish();
        let length = self.keep_written(vault, job.id, output, tree_hash).await?;
        let marker = marker.map(|marker| marker.to_string()).unwrap_or_default();
        Ok(FactsRow { output: length, ended: Some(now), marker, ..facts })
    }

    pub(super) async fn apply(self: &Arc<Self>, job: JobId, event: JobEvent) -> Result<()> {
        self.apply_with(job, event, None).await
    }

    /// Has something happen to a job, in its row first. What can't happen to it any more does not.
    async fn apply_with(
        self: &Arc<Self>,
        job: JobId,
        event: JobEvent,
        facts: Option<FactsRow>,
    ) -> Result<()> {
        let Some(vault) = self.vault_of(job) else {
            self.counter.lock().leave(job);
            return Ok(());
        };
        let applied = self
            .transact(|| async {
                let snapshot = self.at(vault.home).await?;
                let key = tables::of_job(tables::JOBS, job);
                let Some(raw) = snapshot.get(key.clone()).await? else {
                    self.counter.lock().leave(job);
                    return Ok(Attempt::Answer(None));
                };
                let old = Job::from_bytes(&raw)?;
                let stepped = old.clone().step(event.clone(), self.clock.now());
                let (new, effects) = match stepped {
                    Ok(stepped) => stepped,
                    Err(illegal) => {
                        tracing::debug!(%job, %illegal, "nothing happens to a job");
                        return Ok(Attempt::Answer(None));
                    }
                };
                if new == old && facts.is_none() {
                    return Ok(Attempt::Answer(Some((new, effects))));
                }
                let is_gone = matches!(new.state, JobState::Expired { .. });
                let mut change = Change::default().unchanged(key.clone()).freeing();
                if is_gone {
                    change = change.delete(key).delete(tables::of_job(tables::FACTS, job));
                } else {
                    change = change.put(key, new.to_bytes());
                    if let Some(facts) = &facts {
                        change = change.put(tables::of_job(tables::FACTS, job), facts.to_bytes());
                    }
                }
                if effects.contains(&Effect::Notify) {
                    change = self.tell_of_end(&vault, &*snapshot, (&new, facts.as_ref()), change).await?;
                }
                if effects.contains(&Effect::DropCopy) {
                    change = change
                        .put(tables::of_job(tables::GARBAGE, job), Garbage::All.to_bytes())
                        .dirty(vault.home);
                }
                Ok(Attempt::Commit(change.at(vault.home, &*snapshot), Some((new, effects))))
            })
            .await?;
        let Some((new, effects)) = applied else { return Ok(()) };
        if matches!(new.state, JobState::Expired { .. }) {
            self.counter.lock().leave(job);
        }
        self.follow(&vault, &new, effects);
        Ok(())
    }

    fn follow(&self, vault: &Vault, job: &Job, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::WakeAt(at) => {
                    let mut counter = self.counter.lock();
                    counter.work.remove(&job.id);
                    counter.is_read(job.id);
                    counter.timers.insert((at, job.id));
                }
                Effect::Unschedule => {
                    self.counter.lock().scheduler.cancel(job.id);
                }
                Effect::Notify => {
                    let (vault, topic) = (vault.name.as_str(), job.topic.as_str());
                    if let Some(tell) = &*self.bells.ends.lock() {
                        tell(job.id);
                    }
                    tracing::info!(job = %job.id, vault, topic, state = job.state.name(), "a retrieval came to its end");
                }
                // The plan was told before the row, and the cleaner by the commit.
                Effect::Reschedule | Effect::DropCopy => {}
            }
        }
        if let JobState::Failed { since, .. } = job.state {
            let mut counter = self.counter.lock();
            counter.is_read(job.id);
            counter.timers.insert((since.plus(job.keep), job.id));
        }
    }

    /// Jobs whose time has come.
    async fn timers(self: &Arc<Self>) -> Result<u64> {
        let mut done = 0;
        loop {
            let now = self.clock.now();
            let due = self.counter.lock().timers.first().copied().filter(|(at, _)| *at <= now);
            let Some((at, job)) = due else { return Ok(done) };
            self.counter.lock().timers.remove(&(at, job));
            if let Err(error) = self.wake(job).await {
                // The others' time has come, too.
                tracing::warn!(%job, %error, "a retrieval can't be taken up; it is tried again");
                self.again(job);
            }
            done += 1;
        }
    }

    async fn wake(self: &Arc<Self>, job: JobId) -> Result<()> {
        let Some(vault) = self.vault_of(job) else {
            self.counter.lock().leave(job);
            return Ok(());
        };
        match self.find_job(&vault, job).await {
            Ok((Job { state: JobState::Failed { .. }, .. }, _)) => self.forget_job(&vault, job).await,
            Ok((found, _)) if found.state.is_pending() => self.take_up(&vault, &found).await,
            Ok(_) => self.apply(job, JobEvent::Tick).await,
            Err(Error::NotFound { .. }) => {
                self.counter.lock().leave(job);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// A job that came to nothing is not told of for ever.
    async fn forget_job(&self, vault: &Vault, job: JobId) -> Result<()> {
        let snapshot = self.at(vault.home).await?;
        let key = tables::of_job(tables::JOBS, job);
        let change = Change::default()
            .unchanged(key.clone())
            .delete(key)
            .delete(tables::of_job(tables::FACTS, job))
            .put(tables::of_job(tables::GARBAGE, job), Garbage::All.to_bytes())
            .freeing()
            .dirty(vault.home);
        if !self.try_commit(vault.home, &*snapshot, change).await? {
            return Err(no_job(job));
        }
        self.counter.lock().leave(job);
        Ok(())
    }
}

fn range_of(job: &Job) -> Option<crate::tree_hash::ByteRange> {
    match &job.subject {
        Subject::Archive { range, .. } => *range,
        Subject::Inventory { .. } => None,
    }
}
