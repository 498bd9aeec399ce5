//! What is to be done, before it is done: the join of two lists.

use super::entry::{Entry, Found};
use super::{AHEAD, Stream, local, remote};
use crate::exit::Failure;
use crate::text::matches;
use client::Client;
use std::path::PathBuf;
use tokio::sync::mpsc;

/// A directory or a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Directory(PathBuf),
    /// Bucket, and a prefix that is empty or is followed directly by names.
    Prefix(String, String),
}

impl Place {
    /// What lies here.
    pub(crate) fn list(&self, client: &Client) -> Stream<Found> {
        match self {
            Self::Directory(path) => local::walk(path.clone()),
            Self::Prefix(bucket, prefix) => remote::list(client.clone(), bucket.clone(), prefix.clone()),
        }
    }

    /// The place of one name below.
    pub(crate) fn spot(&self, name: &str) -> Result<Spot, Failure> {
        match self {
            Self::Directory(root) => local::path_of(root, name).map(Spot::File),
            Self::Prefix(bucket, prefix) => Ok(Spot::Object(bucket.clone(), format!("{prefix}{name}"))),
        }
    }
}

/// One file or object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    File(PathBuf),
    /// Bucket and key.
    Object(String, String),
}

impl std::fmt::Display for Spot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Object(bucket, key) => write!(f, "s3://{bucket}/{key}"),
        }
    }
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    Transfer { from: Spot, to: Spot, entry: Entry },
    Remove(Spot),
}

impl std::fmt::Display for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Transfer { from, to, .. } => match (from, to) {
                (Spot::File(_), Spot::Object(..)) => write!(f, "upload {from} to {to}"),
                (Spot::Object(..), Spot::File(_)) => write!(f, "download {from} to {to}"),
                _ => write!(f, "copy {from} to {to}"),
            },
            Self::Remove(spot) => write!(f, "remove {spot}"),
        }
    }
}

/// What the planner found.
#[derive(Debug)]
pub(crate) enum Planned {
    Job(Job),
    /// Same on both sides.
    Same,
    /// Same size and not known to differ by time: the contents decide.
    Compare(Job, Entry),
    Refused(String, anyhow::Error),
    Broken(anyhow::Error),
}

/// How two things of one name are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compare {
    /// Not at all: everything is transferred.
    Nothing,
    Size,
    /// Size, and that the source is not newer; between buckets the ETag first.
    SizeAndTime,
    /// Size, then contents.
    Contents,
}

/// What to make like what.
#[derive(Clone, Debug)]
pub(crate) struct SyncPlan {
    pub(crate) source: Place,
    pub(crate) target: Place,
    pub(crate) compare: Compare,
    pub(crate) delete: bool,
    pub(crate) exclude: Vec<String>,
}

impl SyncPlan {
    /// Joins the two lists as they come.
    pub(crate) fn start(self, client: &Client) -> Stream<Planned> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let source = self.source.list(client);
        let target = (self.compare != Compare::Nothing || self.delete).then(|| self.target.list(client));
        tokio::spawn(async move {
            let mut join = Join { plan: self, sender, unread: Vec::new() };
            // An error here is a receiver that is gone: nobody wants the rest.
            let _gone = join.run(source, target).await;
        });
        receiver
    }
}

type Gone = mpsc::error::SendError<Planned>;

struct Join {
    plan: SyncPlan,
    sender: mpsc::Sender<Planned>,
    /// Names in the source that could not be read. What lies below them is not known to be gone, so nothing there is
    /// removed.
    unread: Vec<String>,
}

impl Join {
    async fn run(
        &mut self,
        mut source: Stream<Found>,
        mut target: Option<Stream<Found>>,
    ) -> Result<(), Gone> {
        let Ok(mut theirs) = self.next_target(&mut target).await? else { return Ok(()) };
        while let Some(found) = source.recv().await {
            let ours = match found {
                Found::Entry(entry) => entry,
                Found::Refused(name, error) => {
                    self.unread.push(name.clone());
                    self.sender.send(Planned::Refused(name, error)).await?;
                    continue;
                }
                Found::Broken(error) => return self.sender.send(Planned::Broken(error)).await,
            };
            if self.is_excluded(&ours.name) || is_directory_marker(&self.plan.target, &ours) {
                continue;
            }
            while let Some(entry) = theirs.take_if(|entry| entry.name < ours.name) {
                self.remove(entry).await?;
                theirs = match self.next_target(&mut target).await? {
                    Ok(next) => next,
                    Err(()) => return Ok(()),
                };
            }
            let twin = theirs.take_if(|entry| entry.name == ours.name);
            if twin.is_some() {
                theirs = match self.next_target(&mut target).await? {
                    Ok(next) => next,
                    Err(()) => return Ok(()),
                };
            }
            self.decide(ours, twin).await?;
        }
        while let Some(entry) = theirs {
            self.remove(entry).await?;
            theirs = match self.next_target(&mut target).await? {
                Ok(next) => next,
                Err(()) => return Ok(()),
            };
        }
        Ok(())
    }

    /// The next entry of the target; `Err(())` when its list broke, which has been said then.
    async fn next_target(
        &self,
        target: &mut Option<Stream<Found>>,
    ) -> Result<Result<Option<Entry>, ()>, Gone> {
        let Some(target) = target else { return Ok(Ok(None)) };
        loop {
            match target.recv().await {
                None => return Ok(Ok(None)),
                Some(Found::Entry(entry)) if self.is_excluded(&entry.name) => {}
                Some(Found::Entry(entry)) => return Ok(Ok(Some(entry))),
                // What can't be moved can't be compared or removed either; it stays.
                Some(Found::Refused(..)) => {}
                Some(Found::Broken(error)) => {
                    // A target directory that is not there yet is an empty one; a bucket has to be there.
                    self.sender.send(Planned::Broken(error)).await?;
                    return Ok(Err(()));
                }
            }
        }
    }

    fn is_excluded(&self, name: &str) -> bool {
        self.plan.exclude.iter().any(|pattern| matches(pattern, name))
    }

    async fn remove(&self, entry: Entry) -> Result<(), Gone> {
        if !self.plan.delete || self.unread.iter().any(|unread| is_at_or_below(&entry.name, unread)) {
            return Ok(());
        }
        let planned = match self.plan.target.spot(&entry.name) {
            Ok(spot) => Planned::Job(Job::Remove(spot)),
            Err(failure) => Planned::Refused(entry.name, failure.into()),
        };
        self.sender.send(planned).await
    }

    async fn decide(&self, ours: Entry, twin: Option<Entry>) -> Result<(), Gone> {
        let spots =
            self.plan.source.spot(&ours.name).and_then(|from| Ok((from, self.plan.target.spot(&ours.name)?)));
        let (from, to) = match spots {
            Ok(spots) => spots,
            Err(failure) => return self.sender.send(Planned::Refused(ours.name, failure.into())).await,
        };
        let verdict = twin.as_ref().map_or(Verdict::Differs, |twin| compare(self.plan.compare, &ours, twin));
        let job = Job::Transfer { from, to, entry: ours };
        let planned = match (verdict, twin) {
            (Verdict::Same, _) => Planned::Same,
            (Verdict::Contents, Some(twin)) => Planned::Compare(job, twin),
            _ => Planned::Job(job),
        };
        self.sender.send(planned).await
    }
}

fn is_at_or_below(name: &str, place: &str) -> bool {
    let rest = name.strip_prefix(place);
    rest.is_some_and(|rest| place.is_empty() || rest.is_empty() || rest.starts_with('/'))
}

/// A key that ends in a slash stands for a directory; as a file it has no name.
fn is_directory_marker(target: &Place, entry: &Entry) -> bool {
    matches!(target, Place::Directory(_))
        && entry.size == 0
        && (entry.name.ends_with('/') || entry.name.is_empty())
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Same,
    Differs,
    Contents,
}

fn compare(how: Compare, ours: &Entry, theirs: &Entry) -> Verdict {
    if how == Compare::Nothing || ours.size != theirs.size {
        return Verdict::Differs;
    }
    match how {
        Compare::Size => Verdict::Same,
        Compare::Contents => match (&ours.etag, &theirs.etag) {
            (Some(a), Some(b)) if a == b => Verdict::Same,
            (Some(_), Some(_)) => Verdict::Differs,
            _ => Verdict::Contents,
        },
        _ => {
            if let (Some(a), Some(b)) = (&ours.etag, &theirs.etag)
                && a == b
            {
                return Verdict::Same;
            }
            match (ours.modified, theirs.modified) {
                // Seconds: HTTP dates, and file systems that keep no more, cut the rest off.
                (Some(a), Some(b)) if a.as_secs() <= b.as_secs() => Verdict::Same,
                _ => Verdict::Differs,
            }
        }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
