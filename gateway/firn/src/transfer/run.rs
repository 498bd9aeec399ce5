//! Does what was planned, so many at once, and counts.

use super::entry::Entry;
use super::plan::{Job, Planned, Spot};
use super::progress::Progress;
use super::report::TransferReport;
use super::{Stream, copy, download, upload};
use crate::report::Output;
use client::{Client, ObjectRef};
use engine::clock::Clock;
use engine::entropy::Entropy;
use engine::unit::ByteCount;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

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
}

/// What jobs share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) settings: Settings,
    pub(super) progress: Progress,
    pub(super) entropy: Arc<dyn Entropy>,
    /// One permit a request under way.
    pub(super) permits: Semaphore,
}

/// What one job did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    pub(super) bytes: u64,
    pub(super) parts_resumed: u64,
    pub(super) unverified: bool,
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
    output: Output,
    clock: Arc<dyn Clock>,
    report: TransferReport,
}

type Finished = (String, anyhow::Result<(What, Done)>);

impl Runner {
    pub(crate) fn new(
        client: Client,
        settings: Settings,
        output: Output,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let progress = Progress::new(output.draws_progress() && !settings.dry_run);
        let permits = Semaphore::new(settings.jobs);
        let report = TransferReport { dry_run: settings.dry_run, ..TransferReport::default() };
        let shared = Arc::new(Shared { client, settings, progress, entropy, permits });
        Self { shared, output, clock, report }
    }

    /// What the runner is made of, for what is no plan.
    pub(super) fn into_parts(self) -> (Arc<Shared>, TransferReport) {
        (self.shared, self.report)
    }

    /// Does all of a plan. An error is one that ends it; what failed by itself stands in the report.
    pub(crate) async fn run(mut self, mut plan: Stream<Planned>) -> anyhow::Result<TransferReport> {
        let started = self.clock.boottime();
        let mut running: JoinSet<Finished> = JoinSet::new();
        let mut broken = None;
        loop {
            let room = running.len() < self.shared.settings.jobs;
            tokio::select! {
                Some(finished) = running.join_next(), if !running.is_empty() => self.count(finished?),
                planned = plan.recv(), if room && broken.is_none() => match planned {
                    None => break,
                    Some(Planned::Broken(error)) => broken = Some(error),
                    Some(planned) => self.start(planned, &mut running),
                },
                else => break,
            }
        }
        while let Some(finished) = running.join_next().await {
            self.count(finished?);
        }
        self.shared.progress.finish();
        let elapsed = self.clock.boottime().saturating_sub(started);
        self.report.duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        match broken {
            None => Ok(self.report),
            // Where nothing was done yet the cause is all there is to say.
            Some(error) if self.report.moved() + self.report.removed == 0 => Err(error),
            Some(error) => {
                self.report.fail("the list", &error);
                Ok(self.report)
            }
        }
    }

    fn start(&mut self, planned: Planned, running: &mut JoinSet<Finished>) {
        let (job, twin) = match planned {
            Planned::Same => {
                self.report.skipped += 1;
                return;
            }
            Planned::Refused(name, error) => return self.fail(&name, &error),
            // Said by the caller, which ends the plan on it.
            Planned::Broken(error) => return self.fail("the list", &error),
            Planned::Job(job) => (job, None),
            Planned::Compare(job, twin) => (job, Some(twin)),
        };
        if self.shared.settings.dry_run && twin.is_none() {
            self.output.note(&format!("would {}", crate::text::printable(&job.to_string())));
            return self.count_dry(&job);
        }
        if let (Job::Transfer { entry, .. }, None) = (&job, &twin) {
            self.shared.progress.expect(entry.size);
        }
        let shared = self.shared.clone();
        running.spawn(async move {
            let name = job.to_string();
            let result = shared.run(job, twin).await;
            (name, result)
        });
    }

    fn count_dry(&mut self, job: &Job) {
        match job {
            Job::Remove(_) => self.report.removed += 1,
            Job::Transfer { from, to, entry } => {
                self.report.bytes += ByteCount::new(entry.size);
                match what(from, to) {
                    What::Uploaded => self.report.uploaded += 1,
                    What::Downloaded => self.report.downloaded += 1,
                    _ => self.report.copied += 1,
                }
            }
        }
    }

    fn count(&mut self, (name, result): Finished) {
        let (what, done) = match result {
            Ok(done) => done,
            Err(error) => return self.fail(&name, &error),
        };
        match what {
            What::Uploaded => self.report.uploaded += 1,
            What::Downloaded => self.report.downloaded += 1,
            What::Copied => self.report.copied += 1,
            What::Removed => self.report.removed += 1,
            What::Same => self.report.skipped += 1,
        }
        self.shared.progress.done();
        self.report.bytes += ByteCount::new(done.bytes);
        self.report.parts_resumed += done.parts_resumed;
        self.report.unverified += u64::from(done.unverified);
    }

    fn fail(&mut self, name: &str, error: &anyhow::Error) {
        if self.output.draws_progress() {
            let line = format!("failed: {name}: {error:#}");
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
    async fn run(&self, job: Job, twin: Option<Entry>) -> anyhow::Result<(What, Done)> {
        let (from, to, entry) = match job {
            Job::Remove(spot) => {
                self.remove(&spot).await?;
                return Ok((What::Removed, Done::default()));
            }
            Job::Transfer { from, to, entry } => (from, to, entry),
        };
        if let Some(twin) = twin {
            if self.same_contents(&from, &to, &entry, &twin).await? {
                return Ok((What::Same, Done::default()));
            }
            if self.settings.dry_run {
                return Ok((what(&from, &to), Done { bytes: entry.size, ..Done::default() }));
            }
            self.progress.expect(entry.size);
        }
        let done = match (&from, &to) {
            (Spot::File(path), Spot::Object(bucket, key)) => upload::file(self, path, bucket, key).await?,
            (Spot::Object(bucket, key), Spot::File(path)) => {
                download::object(self, bucket, key, path, &entry).await?
            }
            (Spot::Object(bucket, key), Spot::Object(to_bucket, to_key)) => {
                copy::object(self, &ObjectRef::latest(bucket, key), to_bucket, to_key, &entry).await?
            }
            (Spot::File(_), Spot::File(_)) => {
                return Err(
                    crate::exit::Failure::usage("copy between two files: that is what cp(1) is for").into()
                );
            }
        };
        if self.settings.move_source {
            self.remove(&from).await?;
        }
        Ok((what(&from, &to), done))
    }

    async fn remove(&self, spot: &Spot) -> anyhow::Result<()> {
        match spot {
            Spot::File(path) => tokio::fs::remove_file(path).await?,
            Spot::Object(bucket, key) => {
                let _permit = self.permits.acquire().await?;
                self.client.delete_object(&ObjectRef::latest(bucket, key)).await?;
            }
        }
        Ok(())
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
