//! `restore -r` of a firn: one job of the appliance's, begun, watched, listed, ended, and told of beforehand.

use super::restore::{AGAIN, is_archived};
use crate::cli::Restore;
use crate::exit::{Exit, Failure};
use crate::report::Report;
use crate::report::rows::{Row, Rows};
use crate::scope::Scope;
use crate::session::Session;
use crate::text::{about, counted, printable, quote_sh};
use crate::transfer::show_first;
use anyhow::Context;
use client::{Client, ErrorKind, ObjectRef};
use engine::id::random_bytes;
use engine::unit::ByteCount;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

const BAR: &str = "{spinner} {bytes} of {total_bytes}  {wide_bar}  {msg}";

/// What could not be asked for.
#[derive(Debug, Serialize, Deserialize)]
struct Refused {
    key: String,
    error: String,
}

/// A job, as firn tells of it.
#[derive(Debug, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the field of the document")]
struct Job {
    /// What `--status` and `--cancel` take.
    job: String,
    bucket: String,
    prefix: String,
    tier: String,
    days: u32,
    begun_at: String,
    by: String,
    state: String,
    ended_at: Option<String>,
    cancelled: bool,
    /// Why it ended before all was asked for.
    stopped: Option<String>,
    waits_for: Option<String>,
    eta: Option<String>,
    eta_ms: Option<i64>,
    counted_at: Option<String>,
    seen: u64,
    asked: u64,
    asked_bytes: u64,
    under_way: u64,
    under_way_bytes: u64,
    there: u64,
    there_bytes: u64,
    not_archived: u64,
    newer: u64,
    slower: u64,
    failed_count: u64,
    /// The first of them.
    failed: Vec<Refused>,
    ready: u64,
    ready_bytes: u64,
    pending: u64,
    pending_bytes: u64,
    /// Of what was to be readable, what is neither on its way nor there.
    lost: u64,
    /// Somebody waited for its end.
    #[serde(default)]
    waited: bool,
}

impl Job {
    fn is_over(&self) -> bool {
        self.ended_at.is_some()
    }

    const fn wanted(&self) -> (u64, u64) {
        let bytes = self.asked_bytes + self.under_way_bytes + self.there_bytes;
        (self.asked + self.under_way + self.there, bytes)
    }

    fn place(&self) -> String {
        printable(&format!("s3://{}/{}", self.bucket, self.prefix))
    }

    /// How it is, in a few words.
    fn words(&self) -> String {
        match (&self.stopped, self.cancelled, self.state.as_str()) {
            (Some(why), ..) => format!("stopped: {}", printable(why)),
            (None, true, _) => "cancelled".to_owned(),
            (None, false, "ended") => "done".to_owned(),
            (None, false, _) if self.waits_for.is_some() => "waiting to ask for more".to_owned(),
            (None, false, "waiting") => "on the way".to_owned(),
            (None, false, state) => printable(state),
        }
    }
}

impl Report for Job {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let failed = self.failed.iter().map(|failed| (&*failed.key, &*failed.error));
        show_first(out, "not restored", failed, self.failed_count)?;
        let days = counted(self.days.into(), "day", "days");
        let Self { job, tier, .. } = self;
        writeln!(out, "job {} of {} ({tier}, {days}): {}", printable(job), self.place(), self.words())?;
        let (_, bytes) = self.wanted();
        write!(
            out,
            "{} asked for, {} in all",
            counted(self.asked, "object", "objects"),
            ByteCount::new(bytes)
        )?;
        for (count, what) in [
            (self.under_way, "under way before"),
            (self.there, "there already"),
            (self.slower, "by a slower tier, for they have none as fast"),
            (self.not_archived, "not archived"),
            (self.newer, "newer than the job"),
            (self.failed_count, "failed"),
        ] {
            if count > 0 {
                write!(out, ", {count} {what}")?;
            }
        }
        if self.counted_at.is_some() {
            write!(out, "; {} can be read", counted(self.ready, "object", "objects"))?;
            if self.pending > 0 {
                write!(out, ", {} on the way", self.pending)?;
            }
            if self.is_over() && self.lost > 0 {
                write!(out, ", {} gone, over already, or never read back", self.lost)?;
            }
        }
        writeln!(out)?;
        if let Some(waits) = &self.waits_for {
            writeln!(out, "it goes on asking when it can: {}", printable(waits))?;
        }
        if let Some(eta) = self.eta.as_ref().filter(|_| !self.is_over()) {
            writeln!(out, "expected by {eta}")?;
        }
        if !self.is_over() {
            let name = quote_sh(job);
            writeln!(
                out,
                "it goes on by itself; see how far it is: firn restore --status {name}, end it: firn restore --cancel {name}"
            )?;
        }
        Ok(())
    }

    fn exit(&self) -> Exit {
        let whole = self.failed_count == 0 && self.lost == 0 && !self.cancelled && self.stopped.is_none();
        if whole || !self.is_over() { Exit::Ok } else { Exit::Partial }
    }
}

impl Row for Job {
    const NONE: &'static str = "no restore jobs";

    fn line(&self, out: &mut dyn Write) -> io::Result<()> {
        let (count, bytes) = self.wanted();
        let (begun, size) = (&self.begun_at, ByteCount::new(bytes));
        write!(out, "{begun}  {:10} {:>8}/{count} {size:>10}  {}", self.words(), self.ready, self.job)?;
        write!(out, "  {}", self.place())
    }
}

/// A job that was ended just now.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Ended(Job);

impl Report for Ended {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        self.0.people(out)
    }
}

fn read(said: Value) -> anyhow::Result<Job> {
    serde_json::from_value(said).context("understand the restore job")
}

/// Begins a job of all below a name. `None`: the endpoint takes none, and is asked one by one.
pub(super) async fn begin(
    session: &Session,
    client: &Client,
    (scope, args): (&Scope, &Restore),
) -> anyhow::Result<Option<Exit>> {
    let (key, Some(prefix)) = scope.key_and_prefix() else { return Ok(None) };
    let bucket = scope.bucket_name();
    // What is mistyped is said at once.
    let mut pages = scope.objects(client, None);
    while !pages.found() {
        if pages.next().await?.is_none() {
            break;
        }
    }
    if !pages.found() && !scope.is_bucket() {
        return Err(scope.nothing().into());
    }
    let number = u128::from_be_bytes(random_bytes(&*session.entropy));
    let id = format!("{number:032x}");
    let begun = client.begin_restore_job((bucket, prefix, &id), args.days, args.tier.name()).await;
    let job = match begun {
        Ok(said) => read(said)?,
        Err(error) if is_final(&error) => return Err(error.into()),
        Err(error) => {
            let why = error.code().unwrap_or("it is none of firn's").to_owned();
            session.output.note(&format!(
                "firn: the endpoint takes no job for this ({}): asking for one object after the other",
                printable(&why)
            ));
            return Ok(None);
        }
    };
    if let Some(key) = key {
        ask_itself(client, (bucket, key), args).await?;
    }
    let name = quote_sh(&job.job);
    if !args.wait {
        return session.output.print(&job).map(Some);
    }
    session.output.note(&format!(
        "firn: job {name} goes on without this command; firn restore --status {name} shows it, --cancel {name} ends it"
    ));
    let job = watch(session, client, job).await?;
    session.output.print(&job).map(Some)
}

/// What asking one by one would fail for, too, or firn's own bound.
fn is_final(error: &client::Error) -> bool {
    let of_firn = matches!(error.code(), Some("TooManyConfigurations" | "NoSuchBucket" | "InvalidArgument"));
    of_firn || error.is_unreachable() || error.kind() == ErrorKind::Unavailable
}

/// The object that is called like the directory, if there is one: the job has what is below.
async fn ask_itself(client: &Client, (bucket, key): (&str, &str), args: &Restore) -> anyhow::Result<()> {
    let object = ObjectRef::latest(bucket, key);
    let head = match client.head_object(&object).await {
        Ok(head) => head,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if !is_archived(&head.storage_class) {
        return Ok(());
    }
    let tier = match (head.storage_class.as_str(), args.tier.name()) {
        ("DEEP_ARCHIVE", "Expedited") => "Standard",
        (_, tier) => tier,
    };
    match client.restore_object(object, args.days, tier).await {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some("RestoreAlreadyInProgress") => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A bar, or nothing where nobody would see it.
fn bar(session: &Session) -> ProgressBar {
    let bar = if session.output.draws_progress() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template(BAR) {
        bar.set_style(style);
    }
    bar
}

/// How far it is, with what is known of its end.
fn progress(job: &Job, now_ms: i64) -> String {
    let (count, _) = job.wanted();
    let mut text = format!("{} of {} can be read", job.ready, counted(count, "object", "objects"));
    if job.state == "asking" {
        text = format!("{text}, and it is still asking");
    }
    if let Some(left) = job.eta_ms.and_then(|eta| u64::try_from(eta - now_ms).ok()) {
        text = format!("{text}, the last in {}", about(Duration::from_millis(left)));
    }
    text
}

/// Until it has ended.
async fn watch(session: &Session, client: &Client, mut job: Job) -> anyhow::Result<Job> {
    let (bar, mut pause, mut told) = (bar(session), AGAIN.0, String::new());
    while !job.is_over() {
        let text = progress(&job, session.clock.now().as_millis());
        let (_, bytes) = job.wanted();
        bar.set_length(bytes);
        bar.set_position(job.ready_bytes.min(bytes));
        bar.set_message(text.clone());
        if bar.is_hidden() && text != told {
            session.output.note(&format!("firn: {text}"));
            told = text;
        }
        session.clock.sleep(pause).await;
        pause = (pause * 2).min(AGAIN.1);
        let id = job.job.rsplit('/').next().unwrap_or_default();
        job = read(client.restore_job(&job.bucket, id, &job.prefix).await?)?;
    }
    bar.finish_and_clear();
    job.waited = true;
    Ok(job)
}

/// A job by its name: shown, waited for, or ended.
pub(super) async fn known(
    session: &Session,
    client: &Client,
    (name, args): (&str, &Restore),
) -> anyhow::Result<Exit> {
    let name = name.strip_prefix("s3://").unwrap_or(name);
    let Some((bucket, id)) = name.split_once('/') else {
        let text = format!("find the job {}: it is called NAME/ID", printable(name));
        return Err(Failure::usage(text).hint("see which there are: firn restore --jobs s3://NAME").into());
    };
    let job = match client.restore_job(bucket, id, "").await {
        Ok(said) => read(said)?,
        Err(error) if error.code() == Some("NoSuchConfiguration") => {
            let hint =
                format!("see which there are: firn restore --jobs {}", quote_sh(&format!("s3://{bucket}")));
            let text = format!("find the job {}", printable(name));
            return Err(Failure::new(Exit::NotFound, text).hint(hint).into());
        }
        Err(error) => return Err(error.into()),
    };
    if args.cancel.is_some() {
        return session
            .output
            .print(&Ended(read(client.cancel_restore_job(bucket, id, &job.prefix).await?)?));
    }
    let job = if args.wait { watch(session, client, job).await? } else { job };
    session.output.print(&job)
}

/// The jobs of a bucket.
pub(super) async fn list(
    session: &Session,
    client: &Client,
    target: &crate::cli::S3Uri,
) -> anyhow::Result<Exit> {
    let said = client.restore_jobs(&target.bucket, &target.key).await?;
    let jobs: Vec<Job> = serde_json::from_value(said).context("understand the restore jobs")?;
    session.output.print(&Rows(jobs))
}

/// What there is of a class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct OfClass {
    class: String,
    ask: u64,
    ask_bytes: u64,
    vault: u64,
    vault_bytes: u64,
    under_way: u64,
    there: u64,
    /// By tier, how long what lies in a vault may take.
    takes_ms: BTreeMap<String, Option<u64>>,
}

/// A medium that is to be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Medium {
    label: String,
    objects: u64,
    /// Why it can't be used now.
    away: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Page {
    classes: Vec<OfClass>,
    not_archived: u64,
    damaged: u64,
    media: Vec<Medium>,
    after: Option<String>,
}

/// What a restore would come to.
#[derive(Debug, Default, Serialize)]
struct Estimate {
    bucket: String,
    prefix: String,
    tier: String,
    days: u32,
    classes: BTreeMap<String, OfClass>,
    not_archived: u64,
    damaged: u64,
    media: BTreeMap<String, Medium>,
    /// By the tier that was asked for, how long the last may take; 0 where all lies in the pool.
    eta_ms: u64,
    /// What it would cost has its place here.
    cost: Option<()>,
}

impl Estimate {
    fn add(&mut self, page: Page) {
        self.not_archived += page.not_archived;
        self.damaged += page.damaged;
        for row in page.classes {
            let known = self.classes.entry(row.class.clone()).or_insert_with(|| OfClass {
                class: row.class.clone(),
                takes_ms: row.takes_ms.clone(),
                ..OfClass::default()
            });
            known.ask += row.ask;
            known.ask_bytes += row.ask_bytes;
            known.vault += row.vault;
            known.vault_bytes += row.vault_bytes;
            known.under_way += row.under_way;
            known.there += row.there;
        }
        for medium in page.media {
            let label = medium.label.clone();
            let known = self.media.entry(label).or_insert_with(|| Medium { objects: 0, ..medium.clone() });
            known.objects += medium.objects;
        }
    }

    /// How long a class takes by a tier, or by the fastest that it has.
    fn takes(row: &OfClass, tier: &str) -> Option<u64> {
        if row.vault == 0 {
            return Some(0);
        }
        let of = |tier: &str| row.takes_ms.get(tier).copied().flatten();
        of(tier).or_else(|| of("standard"))
    }
}

impl Report for Estimate {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        for row in self.classes.values() {
            let size = ByteCount::new(row.ask_bytes);
            write!(out, "{:14} {:>10} {size:>10}", row.class, row.ask)?;
            if row.vault > 0 {
                for (tier, takes) in &row.takes_ms {
                    let takes =
                        takes.map_or_else(|| "none".to_owned(), |ms| about(Duration::from_millis(ms)));
                    write!(out, "  {tier} {takes}")?;
                }
            } else {
                write!(out, "  at once: all of it lies in the pool")?;
            }
            for (count, what) in [(row.there, "there already"), (row.under_way, "under way")] {
                if count > 0 {
                    write!(out, "  {count} {what}")?;
                }
            }
            writeln!(out)?;
        }
        for Medium { label, objects, away } in self.media.values() {
            let objects = counted(*objects, "object", "objects");
            let label = printable(label);
            match away {
                Some(why) => writeln!(out, "bring {label} for {objects}: {}", printable(why))?,
                None => writeln!(out, "{label} is here, with {objects}")?,
            }
        }
        let (count, bytes) = self
            .classes
            .values()
            .fold((0, 0), |(count, bytes), row| (count + row.ask, bytes + row.ask_bytes));
        let place = printable(&format!("s3://{}/{}", self.bucket, self.prefix));
        let (count, bytes) = (counted(count, "object", "objects"), ByteCount::new(bytes));
        let within = match self.eta_ms {
            0 => "at once".to_owned(),
            ms => format!("within {}", about(Duration::from_millis(ms))),
        };
        write!(out, "{count} of {place} would be asked for ({bytes}, {}), {within}", self.tier)?;
        for (count, what) in [(self.not_archived, "not archived"), (self.damaged, "damaged")] {
            if count > 0 {
                write!(out, ", {count} {what}")?;
            }
        }
        writeln!(out)
    }
}

/// What a job would come to; nothing is asked for.
pub(super) async fn estimate(
    session: &Session,
    client: &Client,
    (scope, args): (&Scope, &Restore),
) -> anyhow::Result<Exit> {
    let (key, prefix) = scope.key_and_prefix();
    let (bucket, prefix) = (scope.bucket_name(), prefix.or(key).unwrap_or_default());
    let tier = args.tier.name().to_lowercase();
    let mut sum = Estimate {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
        tier: tier.clone(),
        days: args.days,
        ..Estimate::default()
    };
    let mut after = None;
    loop {
        let said = client.estimate_restore(bucket, prefix, after.as_deref()).await;
        let said = match said {
            Err(client::Error::Protocol { .. }) => {
                let text = "estimate a restore: the endpoint is none of firn's";
                let hint = "count what would be asked for: the same with --dry-run";
                return Err(Failure::usage(text).hint(hint).into());
            }
            said => said?,
        };
        let mut page: Page = serde_json::from_value(said).context("understand the estimate")?;
        after = page.after.take();
        sum.add(page);
        if after.is_none() {
            break;
        }
    }
    let takes = sum.classes.values().filter(|row| row.ask > 0).filter_map(|row| Estimate::takes(row, &tier));
    sum.eta_ms = takes.max().unwrap_or(0);
    session.output.print(&sum)
}

#[cfg(test)]
mod tests {
    use super::{Estimate, Job, OfClass, Page, Report, progress, read};
    use crate::exit::Exit;
    use crate::report::render;
    use serde_json::json;

    fn job() -> Job {
        read(json!({
            "job": "b/00ff", "bucket": "b", "prefix": "a\u{1b}/", "tier": "bulk", "days": 7,
            "begun_at": "2026-01-01T00:00:00.000Z", "by": "arn", "state": "asking", "ended_at": null,
            "cancelled": false, "stopped": null, "waits_for": "drives", "eta": "2026-01-02T00:00:00.000Z",
            "eta_ms": 90_000_000, "counted_at": "x", "seen": 9, "asked": 3, "asked_bytes": 1 << 20,
            "under_way": 1, "under_way_bytes": 0, "there": 1, "there_bytes": 0, "not_archived": 2, "newer": 0,
            "slower": 1, "failed_count": 1, "failed": [{ "key": "k", "error": "denied" }], "ready": 1,
            "ready_bytes": 1, "pending": 3, "pending_bytes": 1, "lost": 1,
        }))
        .unwrap()
    }

    fn text(report: &impl Report) -> String {
        let mut out = Vec::new();
        render(report, false, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_job_tells_what_it_does_and_how_to_come_back_to_it() {
        let mut job = job();
        let told = text(&job);
        for part in [
            "not restored: k: denied",
            r"job b/00ff of s3://b/a\u{1b}/ (bulk, 7 days): waiting to ask for more",
            "3 objects asked for, 1.0 MiB in all, 1 under way before, 1 there already, 1 by a slower tier",
            "1 object can be read, 3 on the way",
            "it goes on asking when it can: drives",
            "expected by 2026-01-02T00:00:00.000Z",
            "firn restore --status b/00ff, end it: firn restore --cancel b/00ff",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert_eq!(job.exit(), Exit::Ok, "it goes on");
        let line = progress(&job, 0);
        assert_eq!(line, "1 of 5 objects can be read, and it is still asking, the last in 1d");
        job.state = "ended".to_owned();
        job.ended_at = Some("x".to_owned());
        assert_eq!(job.exit(), Exit::Partial);
        (job.failed_count, job.lost) = (0, 0);
        assert_eq!(job.exit(), Exit::Ok);
        job.stopped = Some("the key is gone".to_owned());
        assert!(text(&job).contains("stopped: the key is gone") && job.exit() == Exit::Partial);
    }

    #[test]
    fn an_estimate_adds_pages_up_and_says_what_to_bring() {
        let mut estimate =
            Estimate { bucket: "b".to_owned(), tier: "expedited".to_owned(), ..Estimate::default() };
        let page = json!({
            "classes": [{
                "class": "DEEP_ARCHIVE", "ask": 2, "ask_bytes": 2048, "vault": 2, "vault_bytes": 2048, "under_way": 0,
                "there": 1, "takes_ms": { "expedited": null, "standard": 43_200_000, "bulk": 172_800_000 },
            }],
            "not_archived": 4, "damaged": 0, "media": [{ "label": "t\u{1b}1", "objects": 2, "away": "not here" }],
            "after": "k",
        });
        for _ in 0..2 {
            let page: Page = serde_json::from_value(page.clone()).unwrap();
            estimate.add(page);
        }
        let row = &estimate.classes["DEEP_ARCHIVE"];
        assert_eq!((row.ask, row.there, estimate.not_archived), (4, 2, 8));
        assert_eq!(Estimate::takes(row, "expedited"), Some(43_200_000), "the fastest that it has");
        assert_eq!(Estimate::takes(&OfClass::default(), "bulk"), Some(0), "from the pool");
        let told = text(&estimate);
        for part in [
            "bulk 2d  expedited none  standard 12h  2 there already",
            r"bring t\u{1b}1 for 4 objects: not here",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}
