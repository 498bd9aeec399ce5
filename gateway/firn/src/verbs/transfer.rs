//! `cp`, `mv` and `sync`: from what was named to a plan.

use super::versions::{all_deleted, missing, missing_version};
use crate::cli::{Cp, Location, Mv, S3Uri, Sync, TransferOptions};
use crate::directory::{appliance_of, is_appliance, of_appliance};
use crate::exit::{Exit, Failure};
use crate::scope::Scope;
use crate::session::Session;
use crate::transfer::{
    Compare, Entry, Job, Outage, Place, Runner, Settings, Spot, SyncPlan, TransferReport, into_special,
    is_special, led_to, one, other_name_of_an_appliances, stream_in, stream_out,
};
use anyhow::Context;
use client::{Client, ObjectRef};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// S3's smallest part.
const PART_MIN: u64 = 5 << 20;
const PART_MAX: u64 = 5 << 30;

pub(super) async fn copy(session: &Session, args: Cp) -> anyhow::Result<Exit> {
    if args.extract {
        return super::extract::run(session, &args).await;
    }
    let settings = settings(&args.options, args.no_clobber, false)?;
    if args.no_clobber && (args.recursive || !matches!(args.target, Location::S3(_))) {
        return Err(Failure::usage("use --no-clobber: it is for one file or object that goes to S3").into());
    }
    if args.version_id.is_some() && !matches!(args.source, Location::S3(_)) {
        return Err(Failure::usage("use --version-id: files have no versions, objects have").into());
    }
    if args.recursive {
        return many(session, &args.source, &args.target, settings, args.options.exclude).await;
    }
    single(session, &args.source, &args.target, settings, args.version_id).await
}

pub(super) async fn mv(session: &Session, args: Mv) -> anyhow::Result<Exit> {
    let settings = settings(&args.options, false, true)?;
    if args.source == Location::Stream || args.target == Location::Stream {
        return Err(Failure::usage("move a stream: only files and objects can be moved").into());
    }
    if args.recursive {
        return many(session, &args.source, &args.target, settings, args.options.exclude).await;
    }
    single(session, &args.source, &args.target, settings, None).await
}

pub(super) async fn sync(session: &Session, args: Sync) -> anyhow::Result<Exit> {
    let settings = settings(&args.options, false, false)?;
    let source = place(&args.source, true)?;
    let target = place(&args.target, false)?;
    refuse_local_only(&source, &target)?;
    refuse_overlap(&source, &target)?;
    let compare = match (args.size_only, args.checksum) {
        (true, _) => Compare::Size,
        (_, true) => Compare::Contents,
        _ => Compare::SizeAndTime,
    };
    let plan = SyncPlan {
        source,
        target,
        compare,
        delete: args.delete,
        exclude: args.options.exclude,
        own: None,
        may_empty: args.allow_empty,
        sweep: !settings.dry_run,
    };
    run_plan(session, plan, settings).await
}

fn settings(options: &TransferOptions, if_absent: bool, move_source: bool) -> Result<Settings, Failure> {
    if !(PART_MIN..=PART_MAX).contains(&options.part_size) {
        return Err(Failure::usage(format!(
            "use --part-size {}: 5MiB to 5GiB are allowed",
            options.part_size
        )));
    }
    Ok(Settings {
        jobs: usize::from(options.jobs),
        part_size: options.part_size,
        storage_class: options.storage_class.clone(),
        if_absent,
        dry_run: options.dry_run,
        move_source,
        led_to: Arc::default(),
    })
}

/// All below a directory or a prefix.
async fn many(
    session: &Session,
    from: &Location,
    to: &Location,
    settings: Settings,
    exclude: Vec<String>,
) -> anyhow::Result<Exit> {
    let (source, target) = (place(from, true)?, place(to, false)?);
    refuse_local_only(&source, &target)?;
    refuse_overlap(&source, &target)?;
    let own = match from {
        Location::S3(uri) => own_object(session, uri).await?,
        _ => None,
    };
    if let (Location::S3(uri), Place::Prefix(..)) = (from, &source)
        && own.is_none()
        && !uri.key.is_empty()
    {
        refuse_deleted(session, uri).await?;
    }
    let plan = SyncPlan {
        source,
        target,
        compare: Compare::Nothing,
        delete: false,
        exclude,
        own,
        may_empty: false,
        sweep: false,
    };
    run_plan(session, plan, settings).await
}

/// Where all below a prefix was deleted: says what brings it back.
async fn refuse_deleted(session: &Session, uri: &S3Uri) -> anyhow::Result<()> {
    let (client, scope) = (session.client()?, Scope::of(uri, false));
    let mut pages = scope.objects(&client, None);
    while let Some(page) = pages.next().await? {
        if !page.entries.is_empty() {
            return Ok(());
        }
    }
    match all_deleted(&client, uri).await {
        Some(hint) => Err(scope.nothing().hint(hint).into()),
        None => Ok(()),
    }
}

/// The object that has the very name of a source, if there is one; it goes along with what lies below that name.
async fn own_object(session: &Session, uri: &S3Uri) -> anyhow::Result<Option<Entry>> {
    if uri.key.is_empty() || uri.key.ends_with('/') {
        return Ok(None);
    }
    let (client, scope) = (session.client()?, Scope::key(uri));
    let page = scope.objects(&client, None).next().await?;
    Ok(page.and_then(|page| page.entries.into_iter().next()).map(|object| Entry {
        name: uri.key.rsplit('/').next().unwrap_or_default().to_owned(),
        size: object.size,
        modified: object.last_modified,
        etag: Some(object.etag),
        ..Entry::default()
    }))
}

/// One file or object, or a stream.
async fn single(
    session: &Session,
    source: &Location,
    target: &Location,
    settings: Settings,
    version: Option<String>,
) -> anyhow::Result<Exit> {
    if !matches!((source, target), (Location::S3(_), _) | (_, Location::S3(_))) {
        return Err(local_only().into());
    }
    let client = session.client()?;
    match (source, target) {
        (Location::Stream, Location::S3(uri)) => {
            let key = uri.require_key().map_err(|failure| {
                let slash = if uri.key.is_empty() || uri.key.ends_with('/') { "" } else { "/" };
                failure.hint(format!(
                    "what comes on stdin has no name: firn cp - s3://{}/{}{slash}NAME",
                    uri.bucket, uri.key
                ))
            })?;
            let runner = runner(session, client, settings);
            session.output.print(&stream_in(runner, &uri.bucket, key).await?)
        }
        (Location::S3(uri), Location::Stream) => {
            let key = uri.require_key()?;
            let object = ObjectRef { bucket: &uri.bucket, key, version: version.as_deref() };
            stream_out(&client, &object, None).await?;
            Ok(Exit::Ok)
        }
        (Location::Path(path), Location::S3(uri)) => {
            let job = upload_job(path, uri).await?;
            session.output.print(&one(runner(session, client, settings), job).await?)
        }
        (Location::S3(uri), Location::Path(path))
            if is_special(path) && !settings.dry_run && !settings.move_source =>
        {
            let key = uri.require_key()?;
            let object = ObjectRef { bucket: &uri.bucket, key, version: version.as_deref() };
            session.output.print(&into_special(&client, &object, path).await?)
        }
        (Location::S3(uri), Location::Path(path)) => {
            let job = download_job(&client, uri, path, version).await?;
            session.output.print(&one(runner(session, client, settings), job).await?)
        }
        (Location::S3(from), Location::S3(to)) => {
            let job = copy_job(&client, from, to, version).await?;
            session.output.print(&one(runner(session, client, settings), job).await?)
        }
        _ => Err(local_only().into()),
    }
}

async fn upload_job(path: &Path, uri: &S3Uri) -> anyhow::Result<Job> {
    let metadata = tokio::fs::metadata(path).await.with_context(|| format!("look at {}", path.display()))?;
    if metadata.is_dir() {
        return Err(Failure::usage(format!("copy the directory {}: add -r", path.display())).into());
    }
    refuse_appliance(path, true)?;
    if let Some(what) = other_name_of_an_appliances(path) {
        return Err(Failure::usage(format!("send {}: {what}", path.display())).hint(SEALED).into());
    }
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
        Failure::usage(format!("make a key of {}: it has no name in UTF-8", path.display()))
    })?;
    let key = key_for(&uri.key, name);
    let entry = Entry { name: name.to_owned(), size: metadata.len(), ..Entry::default() };
    let to = Spot::Object(uri.bucket.clone(), key);
    Ok(Job::Transfer { from: Spot::File(path.to_owned()), to, entry })
}

async fn download_job(
    client: &Client,
    uri: &S3Uri,
    path: &Path,
    version: Option<String>,
) -> anyhow::Result<Job> {
    let (from, entry) = source_object(client, uri, version).await?;
    let as_directory = path.as_os_str().as_encoded_bytes().ends_with(b"/") || path.is_dir();
    let path = if as_directory {
        let name = uri.key.rsplit('/').next().unwrap_or_default();
        match Place::Directory(path.to_owned()).spot(name)? {
            Spot::File(path) => path,
            Spot::Object(..) => path.to_owned(),
        }
    } else {
        path.to_owned()
    };
    refuse_appliance(&path, false)?;
    Ok(Job::Transfer { from, to: Spot::File(path), entry })
}

async fn copy_job(client: &Client, from: &S3Uri, to: &S3Uri, version: Option<String>) -> anyhow::Result<Job> {
    let (spot, entry) = source_object(client, from, version).await?;
    let key = key_for(&to.key, from.key.rsplit('/').next().unwrap_or_default());
    // An old version onto its own key is how it becomes the latest.
    if from.bucket == to.bucket && from.key == key && entry.version.is_none() {
        return Err(Failure::usage(format!("copy {from} onto itself")).into());
    }
    Ok(Job::Transfer { from: spot, to: Spot::Object(to.bucket.clone(), key), entry })
}

async fn source_object(
    client: &Client,
    uri: &S3Uri,
    version: Option<String>,
) -> anyhow::Result<(Spot, Entry)> {
    let key = uri.require_key()?;
    let object = ObjectRef { bucket: &uri.bucket, key, version: version.as_deref() };
    let head = match client.head_object(&object).await {
        Ok(head) => head,
        Err(error) if let Some(id) = &version => return Err(missing_version(client, uri, id, error).await),
        Err(error) => return Err(missing(client, uri, error, "everything below a prefix needs -r").await),
    };
    let etag = Some(head.etag);
    let entry = Entry {
        name: key.to_owned(),
        size: head.size,
        modified: head.last_modified,
        etag,
        version,
        ..Entry::default()
    };
    Ok((Spot::Object(uri.bucket.clone(), key.to_owned()), entry))
}

/// A key that is empty or ends with a slash names a directory.
fn key_for(key: &str, name: &str) -> String {
    if key.is_empty() || key.ends_with('/') { format!("{key}{name}") } else { key.to_owned() }
}

fn place(location: &Location, must_exist: bool) -> anyhow::Result<Place> {
    match location {
        Location::Stream => Err(Failure::usage("transfer many things through a stream").into()),
        Location::Path(path) => {
            let root = std::path::absolute(path)?;
            if must_exist
                && !std::fs::metadata(&root).with_context(|| format!("look at {}", path.display()))?.is_dir()
            {
                return Err(Failure::usage(format!("use {}: it is no directory", path.display())).into());
            }
            refuse_appliance(&root, must_exist)?;
            // A target that is not there yet is an empty one; the first download makes it.
            if !must_exist && std::fs::metadata(&root).is_ok_and(|found| !found.is_dir()) {
                return Err(Failure::usage(format!("use {}: it is no directory", path.display())).into());
            }
            Ok(Place::Directory(root))
        }
        Location::S3(uri) => {
            let slash = if uri.key.is_empty() || uri.key.ends_with('/') { "" } else { "/" };
            Ok(Place::Prefix(uri.bucket.clone(), format!("{}{slash}", uri.key)))
        }
    }
}

/// What to do instead of sending an appliance's files.
const SEALED: &str =
    "its catalog and keys are kept, sealed, by a backup: backup.target; or name a place of your own";

/// An appliance's directory is neither sent nor written to, nor is what lies in it.
pub(super) fn refuse_appliance(path: &Path, sends: bool) -> Result<(), Failure> {
    let Some(home) = appliance_of(path) else { return Ok(()) };
    let (verb, hint) = if sends { ("send", SEALED) } else { ("write to", "name a place of your own") };
    let what = of_appliance(&home).unwrap_or("an appliance lies there");
    let text = format!("{verb} {}: {what}: {}", path.display(), home.display());
    Err(Failure::usage(text).hint(hint))
}

fn local_only() -> Failure {
    Failure::usage("copy between two local places: name one of them s3://…")
        .hint("cp(1) and rsync(1) do that")
}

fn refuse_local_only(source: &Place, target: &Place) -> Result<(), Failure> {
    match (source, target) {
        (Place::Directory(_), Place::Directory(_)) => Err(local_only()),
        _ => Ok(()),
    }
}

/// A prefix copied into itself would find its own copies.
fn refuse_overlap(source: &Place, target: &Place) -> Result<(), Failure> {
    match (source, target) {
        (Place::Prefix(from, a), Place::Prefix(to, b))
            if from == to && (a.starts_with(b.as_str()) || b.starts_with(a.as_str())) =>
        {
            Err(Failure::usage("copy a prefix into itself: source and target overlap"))
        }
        _ => Ok(()),
    }
}

fn runner(session: &Session, client: Client, settings: Settings) -> Runner {
    Runner::new(client, settings, session.output, session.clock.clone(), session.pending.clone())
}

async fn run_plan(session: &Session, plan: SyncPlan, mut settings: Settings) -> anyhow::Result<Exit> {
    let client = session.client()?;
    let sources = match &plan.source {
        Place::Directory(path) if settings.move_source => Some(path.clone()),
        _ => None,
    };
    let dry_run = settings.dry_run;
    if let Some(root) = sources.clone().filter(|_| !dry_run) {
        settings.led_to = Arc::new(tokio::task::spawn_blocking(move || led_to(&root)).await??);
    }
    let goes_on = match (plan.compare, settings.move_source) {
        (Compare::Nothing, false) => {
            "firn sync SOURCE TARGET does the rest and sends nothing again that is there"
        }
        _ => "run the same command again: what is done isn't sent again",
    };
    let plan = plan.start(&client);
    let report = runner(session, client, settings).run(plan).await?;
    let whole = report.failed_count == 0 && report.stopped.is_none();
    if let Some(root) = sources.filter(|_| !dry_run && whole) {
        tokio::task::spawn_blocking(move || remove_empty_directories(&root)).await?;
    }
    end(session, report, goes_on)
}

/// Prints what was done, and for people where it was asked and what helps with what failed.
fn end(session: &Session, report: TransferReport, goes_on: &str) -> anyhow::Result<Exit> {
    let exit = session.output.print(&report)?;
    let done = report.done();
    if let Some(stopped) = report.stopped {
        let at_least = if stopped.more { "at least " } else { "" };
        let left = format!("{done} done, {at_least}{} left", stopped.left);
        // Where nothing was done, nobody may ever have been there: the cause has the hint.
        let failure = if done == 0 {
            Failure::new(exit, format!("begin: {left}"))
        } else {
            let [what, when] = Outage::why(&stopped.cause);
            Failure::new(exit, format!("finish: {left}, and {what}")).hint(format!("{when}: {goes_on}"))
        };
        return Err(failure.caused_by(stopped.cause).into());
    }
    if let Some(error) = report.first_error {
        if let Some(used) = session.used() {
            session.output.note(&format!("  endpoint: {} ({})", used.url, used.from));
        }
        if let Some(hint) = crate::exit::hint(&error) {
            session.output.note(&format!("  {hint}"));
        }
    }
    Ok(exit)
}

/// What `mv` of a directory leaves behind; a directory that is not empty stays, and so does an appliance's.
fn remove_empty_directories(root: &PathBuf) {
    let walk = walkdir::WalkDir::new(root).into_iter();
    let ours = walk.filter_entry(|entry| entry.file_type().is_dir() && !is_appliance(entry.path()));
    let mut directories: Vec<_> = ours.flatten().map(walkdir::DirEntry::into_path).collect();
    // What is below goes first.
    while let Some(directory) = directories.pop() {
        let _not_empty = std::fs::remove_dir(directory);
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, key_for, place, refuse_overlap};

    #[test]
    fn keys_and_prefixes_follow_the_slash() {
        assert_eq!(key_for("", "f"), "f");
        assert_eq!(key_for("d/", "f"), "d/f");
        assert_eq!(key_for("d", "f"), "d");
        let prefix = |text: &str| match place(&text.parse().unwrap(), false).unwrap() {
            Place::Prefix(_, prefix) => prefix,
            Place::Directory(path) => panic!("{}", path.display()),
        };
        assert_eq!(prefix("s3://b"), "");
        assert_eq!(prefix("s3://b/p"), "p/");
        assert_eq!(prefix("s3://b/p/"), "p/");
    }

    #[test]
    fn a_prefix_does_not_go_into_itself() {
        let prefix = |p: &str| Place::Prefix("b".to_owned(), p.to_owned());
        refuse_overlap(&prefix("a/"), &prefix("a/b/")).unwrap_err();
        refuse_overlap(&prefix("a/"), &prefix("")).unwrap_err();
        refuse_overlap(&prefix("a/"), &prefix("ab/")).unwrap();
    }
}
