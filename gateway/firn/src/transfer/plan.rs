//! What is to be done, before it is done: the join of two lists.

use super::entry::{Entry, Found};
use super::{AHEAD, Stream, local, remote};
use crate::directory::{appliance_of, of_appliance};
use crate::exit::{Exit, Failure};
use crate::text::matches;
use client::Client;
use engine::clock::Timestamp;
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
        self.list_and_sweep(client, false)
    }

    /// The same; with `sweep`, what downloads to here left when they were killed is removed.
    fn list_and_sweep(&self, client: &Client, sweep: bool) -> Stream<Found> {
        match self {
            Self::Directory(path) => local::walk(path.clone(), sweep),
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

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(f),
            Self::Prefix(bucket, prefix) => write!(f, "s3://{bucket}/{prefix}"),
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
    Remove(Spot, Seen),
}

/// What is to be removed, as it was when it was looked at: long ago, where much is sent first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) size: u64,
    /// Of a file.
    pub(crate) modified: Option<Timestamp>,
    /// Of an object.
    pub(crate) etag: Option<String>,
}

impl std::fmt::Display for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Transfer { from, to, .. } => match (from, to) {
                (Spot::File(_), Spot::Object(..)) => write!(f, "upload {from} to {to}"),
                (Spot::Object(..), Spot::File(_)) => write!(f, "download {from} to {to}"),
                _ => write!(f, "copy {from} to {to}"),
            },
            Self::Remove(spot, _) => write!(f, "remove {spot}"),
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
    /// The object that has the source's own name, without the slash: `d3` beside `d3/…`. It goes into the target by its
    /// last part.
    pub(crate) own: Option<Entry>,
    /// With `delete`: go on where the source has nothing, and so empty the target.
    pub(crate) may_empty: bool,
    /// Remove what killed downloads left in the target.
    pub(crate) sweep: bool,
}

impl SyncPlan {
    /// Joins the two lists as they come. What is to be removed comes last, when both are known to the end.
    pub(crate) fn start(self, client: &Client) -> Stream<Planned> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let source = self.source.list(client);
        let target = (self.compare != Compare::Nothing || self.delete)
            .then(|| self.target.list_and_sweep(client, self.sweep));
        tokio::spawn(async move {
            let mut join = Join::new(self, sender);
            // An error here is a receiver that is gone: nobody wants the rest.
            let _gone = join.run(source, target).await;
        });
        receiver
    }
}

/// What one run removes at the most: the names are held in memory, some hundred bytes each.
const REMOVALS_MAX: usize = 1_000_000;

type Gone = mpsc::error::SendError<Planned>;

struct Join {
    plan: SyncPlan,
    sender: mpsc::Sender<Planned>,
    /// Names in the source that could not be read. What lies below them is not known to be gone, so nothing there is
    /// removed.
    unread: Vec<String>,
    /// Whether anything was found in the source.
    found: bool,
    /// The last names of source and target.
    last: [Option<String>; 2],
    /// Whether anything of it has a counterpart in the target, which is then known not to be emptied.
    counts: bool,
    /// What is to be removed: held back until both lists have come to their ends, each page of them proven.
    removals: Vec<(Spot, Seen)>,
    /// More of it than is held.
    more_removals: u64,
    /// The directory that was last looked at, and whether it is an appliance's.
    looked_at: Option<(PathBuf, Option<&'static str>)>,
}

impl Join {
    const fn new(plan: SyncPlan, sender: mpsc::Sender<Planned>) -> Self {
        Self {
            plan,
            sender,
            unread: Vec::new(),
            found: false,
            last: [None, None],
            counts: false,
            removals: Vec::new(),
            more_removals: 0,
            looked_at: None,
        }
    }

    async fn run(
        &mut self,
        mut source: Stream<Found>,
        mut target: Option<Stream<Found>>,
    ) -> Result<(), Gone> {
        let own = self.own().await?;
        let Ok(mut theirs) = self.next_target(&mut target).await? else { return Ok(()) };
        while let Some(found) = source.recv().await {
            self.found |= !matches!(found, Found::Broken(_));
            let ours = match found {
                Found::Entry(entry) => entry,
                Found::Refused(name, error) => {
                    self.unread.push(name.clone());
                    if self.is_excluded(&name) {
                        continue;
                    }
                    self.sender.send(Planned::Refused(name, error)).await?;
                    continue;
                }
                Found::Broken(error) => return self.sender.send(Planned::Broken(error)).await,
            };
            // Where nothing is joined, the order is of no matter.
            if target.is_some()
                && let Err(error) = in_order(&mut self.last[0], &ours.name)
            {
                return self.sender.send(Planned::Broken(error)).await;
            }
            if self.is_excluded(&ours.name) || is_directory_marker(&self.plan.target, &ours) {
                continue;
            }
            self.counts = true;
            if own.as_ref() == Some(&ours.name) {
                let failure =
                    Failure::new(Exit::Conflict, "the object that the prefix names takes its place");
                self.sender.send(Planned::Refused(ours.name, failure.into())).await?;
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
        if let Some(failure) = self.nothing_found() {
            return self.sender.send(Planned::Broken(failure.into())).await;
        }
        while let Some(entry) = theirs {
            if !self.counts && !self.plan.may_empty && self.removes(&entry) {
                return self.sender.send(Planned::Broken(self.would_empty().into())).await;
            }
            self.remove(entry).await?;
            theirs = match self.next_target(&mut target).await? {
                Ok(next) => next,
                Err(()) => return Ok(()),
            };
        }
        for (spot, seen) in std::mem::take(&mut self.removals) {
            self.sender.send(Planned::Job(Job::Remove(spot, seen))).await?;
        }
        if self.more_removals > 0 {
            let text =
                format!("remove {} more than the {REMOVALS_MAX} that one run takes", self.more_removals);
            let failure = Failure::new(Exit::Partial, text).hint("run the same command again");
            let target = self.plan.target.to_string();
            self.sender.send(Planned::Refused(target, failure.into())).await?;
        }
        Ok(())
    }

    /// Sends the object that the source names itself, and returns its name.
    async fn own(&mut self) -> Result<Option<String>, Gone> {
        let (Some(entry), Place::Prefix(bucket, prefix)) = (self.plan.own.take(), &self.plan.source) else {
            return Ok(None);
        };
        self.found = true;
        if self.is_excluded(&entry.name) {
            return Ok(None);
        }
        self.counts = true;
        let key = prefix.strip_suffix('/').unwrap_or(prefix);
        let from = Spot::Object(bucket.clone(), key.to_owned());
        let name = entry.name.clone();
        let planned = match self.goal(&name) {
            Ok(to) => Planned::Job(Job::Transfer { from, to, entry }),
            Err(failure) => Planned::Refused(name.clone(), failure.into()),
        };
        self.sender.send(planned).await?;
        Ok(Some(name))
    }

    /// A prefix without anything below it is mistyped; a bucket or a directory may be empty.
    fn nothing_found(&self) -> Option<Failure> {
        let Place::Prefix(bucket, prefix) = &self.plan.source else { return None };
        if self.found || prefix.is_empty() {
            return None;
        }
        let above = crate::text::quote_sh(&format!("s3://{bucket}"));
        let hint = format!("nothing was done; see what is there: firn ls -r {above}");
        let place = crate::text::printable(&self.plan.source.to_string());
        Some(Failure::new(Exit::NotFound, format!("find anything below {place}")).hint(hint))
    }

    fn would_empty(&self) -> Failure {
        let (source, target) = (self.plan.source.to_string(), self.plan.target.to_string());
        let text = format!("find anything in {}", crate::text::printable(&source));
        Failure::new(Exit::NotFound, text).hint(format!(
            "with --delete that would empty {}; nothing was done. Is the source mounted? --allow-empty goes ahead",
            crate::text::printable(&target)
        ))
    }

    /// The next entry of the target; `Err(())` when its list broke, which has been said then.
    async fn next_target(
        &mut self,
        target: &mut Option<Stream<Found>>,
    ) -> Result<Result<Option<Entry>, ()>, Gone> {
        let Some(target) = target else { return Ok(Ok(None)) };
        loop {
            match target.recv().await {
                None => return Ok(Ok(None)),
                Some(Found::Entry(entry)) => {
                    if let Err(error) = in_order(&mut self.last[1], &entry.name) {
                        self.sender.send(Planned::Broken(error)).await?;
                        return Ok(Err(()));
                    }
                    if !self.is_excluded(&entry.name) {
                        return Ok(Ok(Some(entry)));
                    }
                }
                // What can't be moved can't be compared or removed either; it stays.
                Some(Found::Refused(..)) => {}
                Some(Found::Broken(error)) => {
                    // Whatever it broke on: what is not on the list would be sent again, or removed.
                    self.sender.send(Planned::Broken(error)).await?;
                    return Ok(Err(()));
                }
            }
        }
    }

    fn is_excluded(&self, name: &str) -> bool {
        self.plan.exclude.iter().any(|pattern| matches(pattern, name))
    }

    /// Whether what the source lacks goes from the target. What a link leads to lies in another tree, and stays.
    fn removes(&self, entry: &Entry) -> bool {
        self.plan.delete
            && !entry.behind_link
            && !self.unread.iter().any(|unread| is_at_or_below(&entry.name, unread))
    }

    async fn remove(&mut self, entry: Entry) -> Result<(), Gone> {
        if !self.removes(&entry) {
            return Ok(());
        }
        match self.plan.target.spot(&entry.name) {
            Ok(_) if self.removals.len() >= REMOVALS_MAX => self.more_removals += 1,
            Ok(spot) => {
                let seen = Seen { size: entry.size, modified: entry.modified, etag: entry.etag };
                self.removals.push((spot, seen));
            }
            Err(failure) => self.sender.send(Planned::Refused(entry.name, failure.into())).await?,
        }
        Ok(())
    }

    /// Where a name goes in the target: never into an appliance's directory, by whatever way it lies there, and never through a link to a
    /// file in one.
    fn goal(&mut self, name: &str) -> Result<Spot, Failure> {
        let spot = self.plan.target.spot(name)?;
        let Spot::File(path) = &spot else { return Ok(spot) };
        let parent = path.parent().unwrap_or(path);
        let what = match &self.looked_at {
            // Names come in order, and so a directory's come together.
            Some((last, what)) if last == parent => *what,
            _ => appliance_of(parent).and_then(|home| of_appliance(&home)),
        };
        self.looked_at = Some((parent.to_owned(), what));
        let leads =
            || path.is_symlink().then(|| appliance_of(path)).flatten().and_then(|home| of_appliance(&home));
        if let Some(what) = what.or_else(leads) {
            let text = format!("write it: {what}; --exclude leaves it out");
            return Err(Failure::new(Exit::Denied, text));
        }
        Ok(spot)
    }

    async fn decide(&mut self, ours: Entry, twin: Option<Entry>) -> Result<(), Gone> {
        let spots = self.plan.source.spot(&ours.name).and_then(|from| Ok((from, self.goal(&ours.name)?)));
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

/// Two lists that are not sorted can't be joined: what is there would be taken for gone.
fn in_order(last: &mut Option<String>, name: &str) -> anyhow::Result<()> {
    if last.as_deref().is_some_and(|last| last >= name) {
        anyhow::bail!("trust the list: {name:?} does not come in the order of names");
    }
    *last = Some(name.to_owned());
    Ok(())
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
            (Some(a), Some(b)) if a == b && !a.is_empty() => Verdict::Same,
            (Some(_), Some(_)) => Verdict::Differs,
            _ => Verdict::Contents,
        },
        _ => {
            if let (Some(a), Some(b)) = (&ours.etag, &theirs.etag)
                && a == b
                && !a.is_empty()
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
