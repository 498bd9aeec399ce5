//! Does what was planned, so many at once, and counts.
//!
//! The plan is read ahead of the work, up to a bound, so that what there is to do is known early. Where the endpoint is gone
//! all work ends at once, and the rest of the plan is counted.

use super::entry::Entry;
use super::local::LedTo;
use super::noted::Notes;
use super::outage::Outage;
use super::plan::{Job, Planned, Seen, Spot};
use super::progress::Progress;
use super::report::{Done, LISTED_MAX, SHOWN_MAX, Stopped, TransferReport};
use super::taken::{self, FileState, Taken};
use super::{Stream, copy, download, upload};
use crate::exit::{Exit, Failure};
use crate::report::Output;
use crate::settle::Pending;
use client::{Client, ObjectRef};
use engine::clock::Clock;
use engine::unit::ByteCount;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Planned things that wait for their turn: at a few hundred bytes each, some megabytes.
const WAITING_MAX: usize = 16_384;
/// How long what is left is counted when the endpoint is gone.
const COUNT_WITHIN: Duration = Duration::from_secs(2);

/// What firn takes as `--storage-class`.
const CLASSES: &str = "firn has STANDARD, STANDARD_IA, ONEZONE_IA, INTELLIGENT_TIERING, GLACIER_IR, GLACIER, DEEP_ARCHIVE and REDUCED_REDUNDANCY";

/// How to transfer.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) jobs: usize,
    /// The smallest size of a part.
    pub(crate) part_size: u64,
    pub(crate) storage_class: Option<String>,
    /// Fail rather than overwrite an object.
    pub(crate) if_absent: bool,
    pub(crate) dry_run: bool,
    /// Remove each source once its copy is complete.
    pub(crate) move_source: bool,
    /// Files of the source that links in it lead to: of a move they go last, when all links have been read.
    pub(crate) led_to: Arc<LedTo>,
}

impl Settings {
    /// An error in the words of what was asked for.
    pub(super) fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let said = error.chain().find_map(|cause| cause.downcast_ref::<client::Error>());
        if let (Some(class), Some("InvalidStorageClass" | "NotImplemented")) =
            (&self.storage_class, said.and_then(client::Error::code))
        {
            let text = format!(
                "use --storage-class {}: the endpoint does not have it",
                crate::text::printable(class)
            );
            return Failure::usage(text).hint(CLASSES).caused_by(error).into();
        }
        if !self.if_absent || said.and_then(client::Error::code) != Some("PreconditionFailed") {
            return error;
        }
        Failure::new(Exit::Conflict, "write it: it is there, and stays (--no-clobber)").into()
    }
}

/// What jobs share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) settings: Settings,
    pub(super) progress: Progress,
    /// Held by whoever has something to take away when it is dropped.
    pub(super) pending: Pending,
    /// One permit a request under way.
    pub(super) permits: Semaphore,
    /// Sources that were copied and go at the end: as many as `led_to` has, and their links.
    pub(super) last: Mutex<Vec<(PathBuf, FileState)>>,
    /// Uploads that were begun and may go on.
    pub(super) notes: Arc<Notes>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) output: Output,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Uploaded,
    Downloaded,
    Copied,
    Removed,
    Same,
}

/// Runs jobs.
#[derive(Debug)]
pub(crate) struct Runner {
    shared: Arc<Shared>,
    report: TransferReport,
    outage: Outage,
}

/// What is under way, and what is not yet.
#[derive(Default)]
struct Work {
    running: JoinSet<Finished>,
    waiting: VecDeque<Planned>,
    /// Whether the plan has come to its end.
    walked: bool,
    /// The list broke off.
    broken: Option<anyhow::Error>,
    /// Jobs whose end told that the endpoint is gone: one or none.
    lost: u64,
}

type Finished = (String, anyhow::Result<(What, Done)>);

impl Runner {
    pub(crate) fn new(
        client: Client,
        settings: Settings,
        output: Output,
        clock: Arc<dyn Clock>,
        pending: Pending,
    ) -> Self {
        let progress = Progress::new(output.draws_progress() && !settings.dry_run, Arc::clone(&clock));
        let permits = Semaphore::new(settings.jobs);
        let (dry_run, moves) = (settings.dry_run, settings.move_source);
        let report = TransferReport { dry_run, moves, ..TransferReport::default() };
        let last = Mutex::default();
        let notes = Arc::new(Notes::of_environment());
        let shared = Shared { client, settings, progress, pending, permits, last, notes, clock, output };
        Self { shared: Arc::new(shared), report, outage: Outage::default() }
    }

    /// Whether a file of this size goes in parts, and so goes on when the same is asked for again.
    pub(super) fn sends_in_parts(&self, size: u64) -> bool {
        upload::goes_in_parts(&self.shared.settings, size)
    }

    /// What the runner is made of, for what is no plan.
    pub(super) fn into_parts(self) -> (Arc<Shared>, TransferReport) {
        (self.shared, self.report)
    }

    /// Does all of a plan. An error is one that ends it; what failed by itself stands in the report.
    pub(crate) async fn run(mut self, mut plan: Stream<Planned>) -> anyhow::Result<TransferReport> {
        let started = self.shared.clock.boottime();
        let mut work = Work::default();
        if let Err(gone) = self.work(&mut plan, &mut work).await? {
            let stopped = self.stop(&mut plan, work, gone).await?;
            // Where not even a list came, the cause is all there is to say.
            if self.report.is_blank() && stopped.left == 0 {
                self.shared.progress.finish();
                return Err(stopped.cause);
            }
            self.report.stopped = Some(stopped);
        } else if let Some(error) = work.broken {
            // Where nothing was done yet the cause is all there is to say.
            if self.report.is_blank() {
                self.shared.progress.finish();
                return Err(error);
            }
            self.fail("the list", error);
        }
        self.remove_last().await;
        self.shared.progress.finish();
        self.report.count_moved();
        let elapsed = self.shared.clock.boottime().saturating_sub(started);
        self.report.duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        Ok(self.report)
    }

    /// Removes what links of the source led to, and these links. Where anything was not moved, that may have been a link to one
    /// of them: they stay, so that the next run can read it.
    async fn remove_last(&mut self) {
        let last = std::mem::take(&mut *self.shared.last.lock().unwrap_or_else(PoisonError::into_inner));
        let whole = self.report.failed_count == 0 && self.report.stopped.is_none();
        for (path, state) in last {
            let removed = if whole { taken::remove_file(&path, state).await } else { Err(taken::led_to()) };
            if let Err(error) = removed {
                self.report.uploaded -= 1;
                self.fail(&path.display().to_string(), error);
            }
        }
    }

    /// Works until all is done, or until the endpoint is gone, which the inner error says.
    async fn work(
        &mut self,
        plan: &mut Stream<Planned>,
        work: &mut Work,
    ) -> anyhow::Result<Result<(), anyhow::Error>> {
        loop {
            while work.running.len() < self.shared.settings.jobs
                && let Some(planned) = work.waiting.pop_front()
            {
                self.start(planned, &mut work.running);
            }
            let reads = !work.walked && work.broken.is_none() && work.waiting.len() < WAITING_MAX;
            tokio::select! {
                Some(finished) = work.running.join_next(), if !work.running.is_empty() => {
                    if let Err(gone) = self.count(finished?) {
                        work.lost = 1;
                        return Ok(Err(gone));
                    }
                }
                planned = plan.recv(), if reads => match planned {
                    None => {
                        work.walked = true;
                        self.shared.progress.walked();
                    }
                    Some(Planned::Broken(error)) if self.outage.failed(&error) => return Ok(Err(error)),
                    Some(Planned::Broken(error)) => work.broken = Some(error),
                    Some(planned) => {
                        self.expect(&planned);
                        work.waiting.push_back(planned);
                    }
                },
                else => return Ok(Ok(())),
            }
        }
    }

    /// Ends what is under way and counts what is left.
    async fn stop(
        &mut self,
        plan: &mut Stream<Planned>,
        mut work: Work,
        cause: anyhow::Error,
    ) -> anyhow::Result<Stopped> {
        // A list that broke off has more, and nobody knows how much.
        let list_broke = work.lost == 0 || work.broken.is_some();
        let mut stopped = Stopped { left: work.lost, more: list_broke || !work.walked, cause };
        work.running.abort_all();
        while let Some(finished) = work.running.join_next().await {
            match finished {
                Ok((_, Ok(done))) => self.add(done),
                Ok((_, Err(_))) => stopped.left += 1,
                Err(error) if error.is_cancelled() => stopped.left += 1,
                Err(error) => return Err(error.into()),
            }
        }
        for planned in work.waiting {
            self.leave(planned, &mut stopped);
        }
        let enough = Arc::clone(&self.shared.clock);
        let rest = async {
            while let Some(planned) = plan.recv().await {
                if matches!(planned, Planned::Broken(_)) {
                    return;
                }
                self.leave(planned, &mut stopped);
            }
            stopped.more = list_broke;
        };
        tokio::select! {
            () = rest => {}
            () = enough.sleep(COUNT_WITHIN) => {}
        }
        Ok(stopped)
    }

    fn start(&mut self, planned: Planned, running: &mut JoinSet<Finished>) {
        let (job, twin) = match planned {
            Planned::Same => {
                self.report.skipped += 1;
                return;
            }
            Planned::Refused(name, error) => return self.fail(&name, error),
            // Said by the caller, which ends the plan on it.
            Planned::Broken(error) => return self.fail("the list", error),
            Planned::Job(job) => (job, None),
            Planned::Compare(job, twin) => (job, Some(twin)),
        };
        if self.shared.settings.dry_run && twin.is_none() {
            let job_text = job.to_string();
            let shown = match job_text.split_once(' ') {
                Some((_, rest)) if self.would_move(&job) => format!("move {rest}"),
                _ => job_text,
            };
            self.shared.output.note(&format!("would {}", crate::text::printable(&shown)));
            return self.count_dry(&job);
        }
        let shared = self.shared.clone();
        running.spawn(async move {
            let name = job.to_string();
            let result = shared.run(job, twin).await;
            (name, result)
        });
    }

    const fn would_move(&self, job: &Job) -> bool {
        matches!(job, Job::Transfer { entry, .. } if self.report.moves && !entry.behind_link)
    }

    fn expect(&self, planned: &Planned) {
        if let Planned::Job(job) | Planned::Compare(job, _) = planned {
            let bytes = if let Job::Transfer { entry, .. } = job { entry.size } else { 0 };
            self.shared.progress.expect(bytes);
        }
    }

    /// Counts what is not begun any more.
    fn leave(&mut self, planned: Planned, stopped: &mut Stopped) {
        match planned {
            Planned::Job(_) | Planned::Compare(..) => stopped.left += 1,
            Planned::Same => self.report.skipped += 1,
            Planned::Refused(name, error) => self.fail(&name, error),
            Planned::Broken(_) => stopped.more = true,
        }
    }

    fn count_dry(&mut self, job: &Job) {
        match job {
            Job::Remove(spot, _) => {
                self.report.removed += 1;
                if self.report.would_remove.len() < LISTED_MAX {
                    self.report.would_remove.push(spot.to_string());
                }
            }
            Job::Transfer { from, to, entry } => {
                self.report.bytes += ByteCount::new(entry.size);
                self.report.left_behind_links += u64::from(self.report.moves && entry.behind_link);
                match what(from, to) {
                    What::Uploaded => self.report.uploaded += 1,
                    What::Downloaded => self.report.downloaded += 1,
                    _ => self.report.copied += 1,
                }
            }
        }
    }

    /// Counts the end of a job. An error is one that says that the endpoint is gone, or the bucket.
    fn count(&mut self, (name, result): Finished) -> Result<(), anyhow::Error> {
        match result {
            Ok(done) => self.add(done),
            Err(error) if self.outage.failed(&error) || Outage::is_without_bucket(&error) => {
                return Err(error);
            }
            Err(error) => self.fail(&name, error),
        }
        Ok(())
    }

    fn add(&mut self, (what, done): (What, Done)) {
        self.outage.succeeded();
        match what {
            What::Uploaded => self.report.uploaded += 1,
            What::Downloaded => self.report.downloaded += 1,
            What::Copied => self.report.copied += 1,
            What::Removed => self.report.removed += 1,
            What::Same => self.report.skipped += 1,
        }
        if !matches!(what, What::Same) {
            self.shared.progress.done();
        }
        self.report.add(done);
    }

    fn fail(&mut self, name: &str, error: anyhow::Error) {
        if self.shared.output.draws_progress() && self.report.failed.len() < SHOWN_MAX {
            let line = format!("failed: {name}: {}", crate::text::chain(&error));
            self.shared.progress.say(&crate::text::printable(&line));
        }
        self.report.fail(name, error);
    }
}

fn what(from: &Spot, to: &Spot) -> What {
    match (from, to) {
        (Spot::File(_), Spot::Object(..)) => What::Uploaded,
        (Spot::Object(..), Spot::File(_)) => What::Downloaded,
        _ => What::Copied,
    }
}

impl Shared {
    /// Says something on stderr, beside the progress.
    pub(super) fn say(&self, text: &str) {
        if self.output.narrates() {
            self.progress.say(text);
        }
    }

    async fn run(&self, job: Job, twin: Option<Entry>) -> anyhow::Result<(What, Done)> {
        self.transfer(job, twin).await.map_err(|error| self.settings.explain(error))
    }

    async fn transfer(&self, job: Job, twin: Option<Entry>) -> anyhow::Result<(What, Done)> {
        let (from, to, entry) = match job {
            Job::Remove(spot, seen) => {
                self.remove(&spot, &seen).await?;
                return Ok((What::Removed, Done::default()));
            }
            Job::Transfer { from, to, entry } => (from, to, entry),
        };
        if let Some(twin) = twin {
            if self.same_contents(&from, &to, &entry, &twin).await? {
                self.progress.is_there(entry.size);
                return Ok((What::Same, Done::default()));
            }
            if self.settings.dry_run {
                return Ok((what(&from, &to), Done { bytes: entry.size, ..Done::default() }));
            }
        }
        let (mut done, taken) = match (&from, &to) {
            (Spot::File(path), Spot::Object(bucket, key)) => upload::file(self, path, bucket, key).await?,
            (Spot::Object(bucket, key), Spot::File(path)) => {
                download::object(self, bucket, key, path, &entry).await?
            }
            (Spot::Object(bucket, key), Spot::Object(to_bucket, to_key)) => {
                let from = ObjectRef { bucket, key, version: entry.version.as_deref() };
                copy::object(self, &from, to_bucket, to_key, &entry).await?
            }
            (Spot::File(_), Spot::File(_)) => {
                return Err(Failure::usage("copy between two files: that is what cp(1) is for").into());
            }
        };
        // What a link leads to lies in another tree, and stays.
        done.stays = self.settings.move_source && entry.behind_link;
        if self.settings.move_source && !entry.behind_link {
            if done.unproven {
                return Err(taken::unproven(&from, &to));
            }
            self.remove_taken(&from, &taken).await?;
        }
        Ok((what(&from, &to), done))
    }

    /// Removes a source that was copied.
    async fn remove_taken(&self, spot: &Spot, taken: &Taken) -> anyhow::Result<()> {
        match (spot, taken) {
            (Spot::File(path), Taken::File(state)) if self.settings.led_to.contains(&state.id()) => {
                let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
                last.push((path.clone(), *state));
                Ok(())
            }
            (Spot::File(path), Taken::File(state)) => taken::remove_file(path, *state).await,
            (Spot::Object(bucket, key), Taken::Object(etag)) => {
                taken::remove_object(self, &ObjectRef::latest(bucket, key), etag).await
            }
            (spot, taken) => anyhow::bail!("remove {spot}: what was taken is {taken:?}"),
        }
    }

    /// Removes what the source lacks.
    async fn remove(&self, spot: &Spot, seen: &Seen) -> anyhow::Result<()> {
        match spot {
            Spot::File(path) => taken::remove_seen_file(path, seen).await,
            Spot::Object(bucket, key) => {
                taken::remove_seen_object(self, &ObjectRef::latest(bucket, key), seen).await
            }
        }
    }

    /// Whether a file's contents are those that an object's ETag was made of.
    async fn same_contents(
        &self,
        from: &Spot,
        to: &Spot,
        ours: &Entry,
        theirs: &Entry,
    ) -> anyhow::Result<bool> {
        let (path, etag) = match (from, to) {
            (Spot::File(path), Spot::Object(..)) => (path, &theirs.etag),
            (Spot::Object(..), Spot::File(path)) => (path, &ours.etag),
            _ => return Ok(false),
        };
        let Some(etag) = etag.clone() else { return Ok(false) };
        let part_size = upload::part_size(self.settings.part_size, ours.size);
        let path = path.clone();
        let _permit = self.permits.acquire().await?;
        Ok(tokio::task::spawn_blocking(move || upload::has_etag(&path, &etag, part_size)).await??)
    }
}
