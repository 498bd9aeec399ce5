//! `cp`, `mv` and `sync`: from what was named to a plan.

use crate::cli::{Cp, Location, Mv, S3Uri, Sync, TransferOptions};
use crate::exit::{Exit, Failure};
use crate::session::Session;
use crate::transfer::{
    Compare, Entry, Job, Place, Runner, Settings, Spot, SyncPlan, one, stream_in, stream_out,
};
use anyhow::Context;
use client::{Client, List, ObjectRef};
use std::path::{Path, PathBuf};

/// S3's smallest part.
const PART_MIN: u64 = 5 << 20;
const PART_MAX: u64 = 5 << 30;

pub(super) async fn copy(session: &Session, args: Cp) -> anyhow::Result<Exit> {
    let settings = settings(&args.options, args.no_clobber, false)?;
    if args.no_clobber && (args.recursive || !matches!(args.target, Location::S3(_))) {
        return Err(Failure::usage("use --no-clobber: it is for one upload to S3").into());
    }
    transfer(session, &args.source, &args.target, args.recursive, settings, args.options.exclude).await
}

pub(super) async fn mv(session: &Session, args: Mv) -> anyhow::Result<Exit> {
    let settings = settings(&args.options, false, true)?;
    if args.source == Location::Stream || args.target == Location::Stream {
        return Err(Failure::usage("move a stream: only files and objects can be moved").into());
    }
    transfer(session, &args.source, &args.target, args.recursive, settings, args.options.exclude).await
}

pub(super) async fn sync(session: &Session, args: Sync) -> anyhow::Result<Exit> {
    let settings = settings(&args.options, false, false)?;
    let source = place(&args.source, true)?;
    let target = place(&args.target, false)?;
    refuse_local_only(&source, &target)?;
    refuse_overlap(&source, &target)?;
    if let (true, Location::S3(uri)) = (args.delete, &args.source) {
        refuse_nothing(session, uri).await?;
    }
    let compare = match (args.size_only, args.checksum) {
        (true, _) => Compare::Size,
        (_, true) => Compare::Contents,
        _ => Compare::SizeAndTime,
    };
    let plan = SyncPlan { source, target, compare, delete: args.delete, exclude: args.options.exclude };
    run_plan(session, plan, settings).await
}

/// A prefix that nothing begins with is a mistake, and one that would empty the target.
async fn refuse_nothing(session: &Session, source: &S3Uri) -> anyhow::Result<()> {
    let client = session.client()?;
    let mut pages = client.objects(List { bucket: &source.bucket, prefix: &source.key, delimiter: None });
    while let Some(page) = pages.next().await? {
        if source.key.is_empty() || !page.entries.is_empty() {
            return Ok(());
        }
    }
    Err(Failure::new(Exit::NotFound, format!("find anything that begins with {source}"))
        .hint("with --delete that would empty the target; nothing was done")
        .into())
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
    })
}

async fn transfer(
    session: &Session,
    source: &Location,
    target: &Location,
    recursive: bool,
    settings: Settings,
    exclude: Vec<String>,
) -> anyhow::Result<Exit> {
    if recursive {
        let (source, target) = (place(source, true)?, place(target, false)?);
        refuse_local_only(&source, &target)?;
        refuse_overlap(&source, &target)?;
        let plan = SyncPlan { source, target, compare: Compare::Nothing, delete: false, exclude };
        return run_plan(session, plan, settings).await;
    }
    let client = session.client()?;
    match (source, target) {
        (Location::Stream, Location::S3(uri)) => {
            let key = uri.require_key()?;
            let runner = runner(session, client, settings);
            session.output.print(&stream_in(runner, &uri.bucket, key).await?)
        }
        (Location::S3(uri), Location::Stream) => {
            uri.require_key()?;
            stream_out(&client, &ObjectRef::latest(&uri.bucket, &uri.key), None).await?;
            Ok(Exit::Ok)
        }
        (Location::Path(path), Location::S3(uri)) => {
            let job = upload_job(path, uri).await?;
            session.output.print(&one(runner(session, client, settings), job).await?)
        }
        (Location::S3(uri), Location::Path(path)) => {
            let job = download_job(&client, uri, path).await?;
            session.output.print(&one(runner(session, client, settings), job).await?)
        }
        (Location::S3(from), Location::S3(to)) => {
            let job = copy_job(&client, from, to).await?;
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
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
        Failure::usage(format!("make a key of {}: it has no name in UTF-8", path.display()))
    })?;
    let key = key_for(&uri.key, name);
    let entry = Entry { name: name.to_owned(), size: metadata.len(), modified: None, etag: None };
    let to = Spot::Object(uri.bucket.clone(), key);
    Ok(Job::Transfer { from: Spot::File(path.to_owned()), to, entry })
}

async fn download_job(client: &Client, uri: &S3Uri, path: &Path) -> anyhow::Result<Job> {
    let (from, entry) = source_object(client, uri).await?;
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
    Ok(Job::Transfer { from, to: Spot::File(path), entry })
}

async fn copy_job(client: &Client, from: &S3Uri, to: &S3Uri) -> anyhow::Result<Job> {
    let (spot, entry) = source_object(client, from).await?;
    let key = key_for(&to.key, from.key.rsplit('/').next().unwrap_or_default());
    if from.bucket == to.bucket && from.key == key {
        return Err(Failure::usage(format!("copy {from} onto itself")).into());
    }
    Ok(Job::Transfer { from: spot, to: Spot::Object(to.bucket.clone(), key), entry })
}

async fn source_object(client: &Client, uri: &S3Uri) -> anyhow::Result<(Spot, Entry)> {
    let key = uri.require_key()?;
    let head = client.head_object(&ObjectRef::latest(&uri.bucket, key)).await.map_err(|error| match error
        .kind()
    {
        client::ErrorKind::NotFound => Failure::new(Exit::NotFound, format!("find {uri}: {error}"))
            .hint("everything below a prefix needs -r")
            .into(),
        _ => anyhow::Error::from(error),
    })?;
    let entry =
        Entry { name: key.to_owned(), size: head.size, modified: head.last_modified, etag: Some(head.etag) };
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
            if !must_exist {
                // A target that is not there yet is an empty one.
                std::fs::create_dir_all(&root).with_context(|| format!("create {}", path.display()))?;
            }
            Ok(Place::Directory(root))
        }
        Location::S3(uri) => {
            let slash = if uri.key.is_empty() || uri.key.ends_with('/') { "" } else { "/" };
            Ok(Place::Prefix(uri.bucket.clone(), format!("{}{slash}", uri.key)))
        }
    }
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
    Runner::new(client, settings, session.output, session.clock.clone(), session.entropy.clone())
}

async fn run_plan(session: &Session, plan: SyncPlan, settings: Settings) -> anyhow::Result<Exit> {
    let client = session.client()?;
    let sources = match &plan.source {
        Place::Directory(path) if settings.move_source => Some(path.clone()),
        _ => None,
    };
    let dry_run = settings.dry_run;
    let plan = plan.start(&client);
    let report = runner(session, client, settings).run(plan).await?;
    if let Some(root) = sources.filter(|_| !dry_run && report.failed_count == 0) {
        tokio::task::spawn_blocking(move || remove_empty_directories(&root)).await?;
    }
    session.output.print(&report)
}

/// What `mv` of a directory leaves behind; a directory that is not empty stays.
fn remove_empty_directories(root: &PathBuf) {
    let walk = walkdir::WalkDir::new(root).contents_first(true);
    for entry in walk.into_iter().flatten().filter(|entry| entry.file_type().is_dir()) {
        let _not_empty = std::fs::remove_dir(entry.path());
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
