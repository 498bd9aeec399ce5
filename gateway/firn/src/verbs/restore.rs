//! `restore`: archived objects are asked for; `--wait` until they can be read.
//!
//! Of all below a name firn makes a job (`restore_job`); any other endpoint, and firn where it does not take one, is asked one request each.
//! A page at a time, as the list goes on. What is asked for stays so when it is interrupted: running it again asks for the rest, and
//! says of the others that they are on their way or there. With `--wait` the names of those on their way are held.

use super::restore_job;
use crate::cli::{Restore, S3Uri};
use crate::exit::{Exit, Failure};
use crate::report::Report;
use crate::scope::Scope;
use crate::session::Session;
use crate::text::{counted, printable, quote_sh};
use crate::transfer::show_first;
use client::{Client, ErrorKind, ObjectRef, RestoreAnswer};
use engine::unit::ByteCount;
use serde::Serialize;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::time::Duration;

/// Failures that are kept for the report; more are counted.
const LISTED_MAX: usize = 100_000;
/// How soon it is asked again whether something can be read, at first and at the most.
pub(super) const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// What can't be asked for.
#[derive(Debug, Serialize)]
struct Refused {
    key: String,
    error: String,
}

/// What became of all that was named.
#[derive(Debug, Default, Serialize)]
struct Restored {
    dry_run: bool,
    tier: String,
    days: u32,
    /// Asked for now, or faster.
    asked: u64,
    /// On their way before, by a tier that is no slower.
    under_way: u64,
    /// Readable already, for as long as was asked for now.
    there: u64,
    /// Of a class that needs no restore.
    not_archived: u64,
    bytes: u64,
    waited: bool,
    /// Readable at the end of a wait.
    ready: u64,
    failed_count: u64,
    /// The first hundred thousand.
    failed: Vec<Refused>,
}

impl Restored {
    fn fail(&mut self, key: &str, error: &client::Error) {
        self.failed_count += 1;
        if self.failed.len() < LISTED_MAX {
            self.failed.push(Refused { key: key.to_owned(), error: error.to_string() });
        }
    }
}

impl Restored {
    /// Counts what would become of one, by what HEAD says of its restore. One that is under way may be asked for faster all the same.
    fn would(&mut self, state: Option<&str>, size: u64) {
        match state {
            Some(state) if state.contains("ongoing-request=\"true\"") => self.under_way += 1,
            Some(_) => self.there += 1,
            None => {
                self.asked += 1;
                self.bytes += size;
            }
        }
    }
}

impl Report for Restored {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let failed = self.failed.iter().map(|failed| (&*failed.key, &*failed.error));
        show_first(out, "not restored", failed, self.failed_count)?;
        let verb = if self.dry_run { "would ask for" } else { "asked for" };
        let (size, tier) = (ByteCount::new(self.bytes), &self.tier);
        let days = counted(self.days.into(), "day", "days");
        write!(out, "{verb} {} ({size}, {tier}, {days})", counted(self.asked, "object", "objects"))?;
        for (count, what) in [
            (self.under_way, "under way before"),
            (self.there, "there already"),
            (self.not_archived, "not archived"),
            (self.failed_count, "failed"),
        ] {
            if count > 0 {
                write!(out, ", {count} {what}")?;
            }
        }
        if self.waited {
            write!(out, "; {} can be read", counted(self.ready, "object", "objects"))?;
        }
        writeln!(out)
    }

    fn exit(&self) -> Exit {
        if self.failed_count == 0 { Exit::Ok } else { Exit::Partial }
    }
}

pub(super) fn is_archived(class: &str) -> bool {
    matches!(class, "GLACIER" | "DEEP_ARCHIVE")
}

/// What is named: where nothing is, the command line has named a job.
fn target(args: &Restore) -> anyhow::Result<&S3Uri> {
    args.target.as_ref().ok_or_else(|| Failure::usage("restore: name an object or a job").into())
}

pub(super) async fn run(session: &Session, args: &Restore) -> anyhow::Result<Exit> {
    let client = session.client()?;
    if let Some(job) = args.status.as_ref().or(args.cancel.as_ref()) {
        return restore_job::known(session, &client, (job, args)).await;
    }
    let target = target(args)?;
    if args.jobs {
        return restore_job::list(session, &client, target).await;
    }
    if args.recursive && !args.dry_run {
        let scope = Scope::of(target, args.prefix);
        if args.estimate {
            return restore_job::estimate(session, &client, (&scope, args)).await;
        }
        if let Some(exit) = restore_job::begin(session, &client, (&scope, args)).await? {
            return Ok(exit);
        }
    }
    one_by_one(session, &client, (target, args)).await
}

/// A request each.
async fn one_by_one(
    session: &Session,
    client: &Client,
    (target, args): (&S3Uri, &Restore),
) -> anyhow::Result<Exit> {
    let mut restored = Restored {
        dry_run: args.dry_run,
        tier: args.tier.name().to_lowercase(),
        days: args.days,
        waited: args.wait && !args.dry_run,
        ..Restored::default()
    };
    let mut waits = VecDeque::new();
    if args.recursive {
        below(session, client, (target, args), (&mut restored, &mut waits)).await?;
    } else {
        one(client, (target, args), (&mut restored, &mut waits)).await?;
    }
    if restored.waited {
        wait(session, client, (target, args), (&mut restored, waits)).await?;
    }
    session.output.print(&restored)
}

/// One object or version: its refusal is the command's.
async fn one(
    client: &Client,
    (target, args): (&S3Uri, &Restore),
    (restored, waits): (&mut Restored, &mut VecDeque<String>),
) -> anyhow::Result<()> {
    let key = target.require_key()?;
    let version = args.version_id.as_deref();
    let object = ObjectRef { bucket: &target.bucket, key, version };
    let head = client.head_object(&object).await?;
    if !is_archived(&head.storage_class) {
        let text = format!("restore {target}: it is of class {}, which needs none", head.storage_class);
        let hint = format!("read it: firn cp {} .", quote_sh(&target.to_string()));
        return Err(Failure::new(Exit::Usage, text).hint(hint).into());
    }
    if args.dry_run {
        restored.would(head.restore.as_deref(), head.size);
        return Ok(());
    }
    ask(client, (object, head.size), args, restored).await?;
    waits.push_back(key.to_owned());
    Ok(())
}

/// All that a name takes in: what one of them fails for does not keep the others.
async fn below(
    session: &Session,
    client: &Client,
    (target, args): (&S3Uri, &Restore),
    (restored, waits): (&mut Restored, &mut VecDeque<String>),
) -> anyhow::Result<()> {
    let scope = Scope::of(target, args.prefix);
    let mut pages = scope.objects(client, None);
    while let Some(page) = pages.next().await? {
        for entry in page.entries {
            if !is_archived(&entry.storage_class) {
                restored.not_archived += 1;
                continue;
            }
            let object = ObjectRef::latest(&target.bucket, &entry.key);
            if args.dry_run {
                match client.head_object(&object).await {
                    Ok(head) => restored.would(head.restore.as_deref(), entry.size),
                    Err(error) if error.is_unreachable() => return Err(error.into()),
                    Err(error) => restored.fail(&entry.key, &error),
                }
                continue;
            }
            match ask(client, (object, entry.size), args, restored).await {
                Ok(()) if args.wait => waits.push_back(entry.key),
                Ok(()) => {}
                Err(error) if error.is_unreachable() => return Err(error.into()),
                Err(error) => restored.fail(&entry.key, &error),
            }
        }
        if session.output.draws_progress() {
            let done = restored.asked + restored.under_way + restored.there;
            session.output.note(&format!("{} so far", counted(done, "object", "objects")));
        }
    }
    if !pages.found() && !scope.is_bucket() {
        return Err(scope.nothing().into());
    }
    Ok(())
}

async fn ask(
    client: &Client,
    (object, size): (ObjectRef<'_>, u64),
    args: &Restore,
    restored: &mut Restored,
) -> client::Result<()> {
    match client.restore_object(object, args.days, args.tier.name()).await {
        Ok(RestoreAnswer::Begun) => {
            restored.asked += 1;
            restored.bytes += size;
        }
        Ok(RestoreAnswer::There) => restored.there += 1,
        Err(error) if error.code() == Some("RestoreAlreadyInProgress") => restored.under_way += 1,
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Until all that was asked for can be read, or can't be any more.
async fn wait(
    session: &Session,
    client: &Client,
    (target, args): (&S3Uri, &Restore),
    (restored, mut waits): (&mut Restored, VecDeque<String>),
) -> anyhow::Result<()> {
    let mut pause = AGAIN.0;
    while !waits.is_empty() {
        for _ in 0..waits.len() {
            let Some(key) = waits.pop_front() else { break };
            let version = args.version_id.as_deref();
            let object = ObjectRef { bucket: &target.bucket, key: &key, version };
            match client.head_object(&object).await {
                Ok(head) if !is_archived(&head.storage_class) => restored.ready += 1,
                Ok(head) => match head.restore.as_deref() {
                    Some(state) if state.contains("ongoing-request=\"true\"") => waits.push_back(key),
                    Some(_) => restored.ready += 1,
                    // Neither under way nor there: it came to nothing.
                    None => {
                        restored.failed_count += 1;
                        let error = "its restore came to nothing; the appliance's log says why".to_owned();
                        restored.failed.push(Refused { key, error });
                    }
                },
                Err(error) if error.kind() == ErrorKind::NotFound => restored.fail(&key, &error),
                Err(error) => return Err(error.into()),
            }
        }
        if waits.is_empty() {
            break;
        }
        let left = counted(waits.len() as u64, "object", "objects");
        session.output.note(&format!(
            "{left} on the way, {} can be read: s3://{}",
            restored.ready,
            printable(&target.bucket)
        ));
        session.clock.sleep(pause).await;
        pause = (pause * 2).min(AGAIN.1);
    }
    Ok(())
}
