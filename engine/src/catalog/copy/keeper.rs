//! The sequencer's side of the copy: who is a member, what the follower is told, and what happens when it fails.

use super::follower::{Follower, Order};
use super::judge::{Verdict, forked, knows};
use super::membership::{Members, Membership};
use super::place::{self, Epoch};
use super::{CopyOptions, Place, Standing, Told};
use crate::catalog::Version;
use crate::catalog::log::files::{Files, LogFile, LogWriter, Shape};
use crate::catalog::log::frame::{self, HEADER, Kind};
use crate::catalog::log::recover;
use crate::entropy::Entropy;
use crate::{Error, Result};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What the worker asks of the sequencer.
#[derive(Clone)]
pub(in crate::catalog) enum Task {
    /// Name the epoch that a copy in this place would begin.
    Prepare(Place),
    /// Write to this log too, from here on.
    Tow(Copying),
    /// The copy in tow is whole: it becomes a member.
    Join,
    /// Go on without the copy, member or not; why.
    Leave(String),
}

/// A copy that is being made.
#[derive(Clone)]
pub(in crate::catalog) struct Copying {
    pub(super) place: Place,
    pub(super) epoch: Epoch,
    pub(super) number: u64,
}

enum Role {
    /// It is being made: its failure costs nothing but itself.
    Tow(Copying),
    /// Nothing is answered before it has it, or before it is recorded that it no longer counts.
    Member,
}

/// Owned by the sequencer.
pub(in crate::catalog) struct Keeper {
    dir: PathBuf,
    shape: Shape,
    options: CopyOptions,
    entropy: Arc<dyn Entropy>,
    told: Arc<Told>,
    home: Option<Membership>,
    /// What the data directory takes the place of.
    superseded: Option<Membership>,
    follower: Option<(Follower, Role)>,
    began: bool,
}

impl Keeper {
    /// Does what the judgement says. `version` is what the data directory's catalog stands at; `files` is its log.
    pub(in crate::catalog) fn open(
        dir: &Path,
        standing: Standing,
        (options, shape): (CopyOptions, Shape),
        entropy: Arc<dyn Entropy>,
        (version, files): (Version, &Files),
    ) -> Result<Self> {
        let Standing { home, seen, verdict } = standing;
        // Of what its base holds the copy keeps nothing for a backup.
        let shape = Shape { retained: 0, ..shape };
        let takes_over = options.supersedes && home.is_none();
        let superseded = seen.iter().find_map(|one| one.membership.clone()).filter(|_| takes_over);
        let mut keeper = Self {
            dir: dir.to_path_buf(),
            shape,
            options,
            entropy,
            told: Arc::default(),
            home,
            superseded,
            follower: None,
            began: false,
        };
        match verdict {
            Verdict::Go => keeper.tell_alone(None),
            Verdict::ReadOnly(why) => keeper.told.set("read_only", keeper.home.as_ref(), Some(why)),
            Verdict::Accept => {
                keeper.refuse_what_went_on(&seen)?;
                tracing::warn!("the loss of what only the other copy of the catalog knows was accepted");
                keeper.go_alone("the loss of the other copy was accepted".to_owned())?;
            }
            Verdict::Attach(index) => {
                let place = &seen[index].place;
                match keeper.attach(place, version, files) {
                    Ok(follower) => {
                        keeper.follower = Some((follower, Role::Member));
                        keeper.tell_both();
                    }
                    Err(error) => {
                        // Both were seen, so nobody else went on with either: this one may.
                        tracing::error!(zone = place.zone, %error, "the copy of the catalog can't be used: it is made anew");
                        keeper.go_alone(error.to_string())?;
                    }
                }
            }
        }
        Ok(keeper)
    }

    /// What is told.
    pub(in crate::catalog) fn told(&self) -> Arc<Told> {
        Arc::clone(&self.told)
    }

    /// A zone that this directory was made from, and that got more since, belongs to a directory that is alive.
    fn refuse_what_went_on(&self, seen: &[super::Seen]) -> Result<()> {
        let Some(home) = self.home.as_ref().filter(|home| home.members == Members::Lone) else {
            return Ok(());
        };
        for one in seen {
            let Some(theirs) = one.membership.as_ref().filter(|theirs| theirs.id == home.prior) else {
                continue;
            };
            let reached = reached(&Epoch::of(&one.place.dir, theirs)).map(|found| found.version);
            if reached.is_ok_and(|reached| reached > home.reached) {
                return Err(forked(&one.place, "it got more since this directory was made from it"));
            }
        }
        Ok(())
    }

    /// Brings a member's log to where the data directory's is: what was answered is in both, what one of them has beyond it was
    /// not answered.
    fn attach(&self, place: &Place, version: Version, files: &Files) -> Result<Follower> {
        let Some(home) = &self.home else { return Err(Error::Closed) };
        let epoch = Epoch::of(&place.dir, home);
        let Reached { base, files: found, file_bytes, version: reached } = reached(&epoch)?;
        if file_bytes.is_some_and(|bytes| bytes != self.shape.file_bytes) {
            return Err(Error::Invalid("go on with log files of another length".to_owned()));
        }
        if base > version {
            return Err(Error::Invalid(format!(
                "go on with a base of version {base}: this catalog is at {version}"
            )));
        }
        let lacking = if reached < version {
            files.read(|files| recover::read_since(files, reached, version, usize::MAX))?.ok_or_else(
                || {
                    Error::Invalid(format!(
                        "go on with a log that ends at version {reached}: what follows is gone here"
                    ))
                },
            )?
        } else {
            Vec::new()
        };
        self.told.base.store(base, Ordering::Release);
        self.told.status.lock().base_version = Some(base);
        let (dir, shape, faults) = (epoch.log(), self.shape, Arc::clone(&self.options.faults));
        let start = reached.min(version);
        let write = move || {
            let mut log = LogWriter::start(&dir, shape, faults, found, (start, base))?;
            write_groups(&mut log, &lacking, version)?;
            Ok(log)
        };
        self.follow(&epoch, Box::new(write))
    }

    fn follow(&self, epoch: &Epoch, start: super::follower::Start) -> Result<Follower> {
        let pace = (Arc::clone(&self.options.faults), self.options.patience);
        Follower::start(&epoch.log(), start, self.told(), pace)
    }

    /// Hands a group to the copy, if there is one; [`end`](Self::end) must follow. An empty frame only syncs.
    pub(in crate::catalog) fn begin(&mut self, frame: &[u8], last: Version, sync: bool) {
        if let Some((follower, _)) = &self.follower
            && (sync || !frame.is_empty())
        {
            follower.begin(Order::Write { last, sync }, frame);
            self.began = true;
        }
    }

    /// Waits for the copy. One that failed is no longer a member when this returns; an error says that this could not be
    /// recorded.
    pub(in crate::catalog) fn end(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.began) {
            return Ok(());
        }
        let outcome = self.follower.as_mut().map(|(follower, _)| follower.end());
        match outcome {
            Some(Err(error)) => self.lost(&error),
            Some(Ok(())) | None => Ok(()),
        }
    }

    fn lost(&mut self, error: &Error) -> Result<()> {
        let Some((follower, role)) = self.follower.take() else { return Ok(()) };
        follower.give_up();
        match role {
            Role::Tow(_) => {
                tracing::error!(%error, "the copy of the catalog that was being made failed");
                self.tell_alone(Some(error.to_string()));
                Ok(())
            }
            Role::Member => {
                tracing::error!(%error, "the copy of the catalog failed: going on with the data directory alone");
                self.go_alone(error.to_string())
            }
        }
    }

    /// Carries out what the worker asks for. The caller has synced both logs. An error of [`Task::Leave`] says that going alone
    /// could not be recorded.
    pub(in crate::catalog) fn carry_out(&mut self, task: &Task, version: Version) -> Result<u64> {
        match task {
            Task::Prepare(place) => self.next_epoch(place),
            Task::Tow(copying) => self.tow(copying.clone(), version).map(|()| version),
            Task::Join => self.join().map(|()| version),
            Task::Leave(why) => {
                match self.follower.take() {
                    Some((_, Role::Member)) => self.go_alone(why.clone())?,
                    Some((_, Role::Tow(_))) => self.tell_alone(Some(why.clone())),
                    None => {}
                }
                Ok(version)
            }
        }
    }

    /// The number of the epoch that a copy made now in this place would begin. Refuses a place that is not to be written over.
    fn next_epoch(&mut self, place: &Place) -> Result<u64> {
        let home = if let Some(home) = &self.home {
            home.clone()
        } else {
            // Before the first copy, so that every copy has a directory that knows of it.
            let first = Membership::first(self.superseded.as_ref(), &*self.entropy);
            first.write(&self.dir)?;
            self.home.insert(first).clone()
        };
        let theirs = Membership::read(&place.dir)?;
        if let Some(theirs) = &theirs {
            knows(Some(&home), theirs, false).map_err(|why| forked(place, &why))?;
        }
        Ok(home.epoch.max(theirs.map_or(0, |theirs| theirs.epoch)) + 1)
    }

    fn tow(&mut self, copying: Copying, version: Version) -> Result<()> {
        if self.follower.is_some() {
            return Err(Error::Invalid("make a copy of the catalog: there is one".to_owned()));
        }
        if self.next_epoch(&copying.place)? != copying.number {
            return Err(Error::Invalid("make a copy of the catalog: its epoch has passed".to_owned()));
        }
        let (dir, shape, faults) = (copying.epoch.log(), self.shape, Arc::clone(&self.options.faults));
        self.told.base.store(0, Ordering::Release);
        let start = move || LogWriter::start(&dir, shape, faults, VecDeque::new(), (version, 0));
        let follower = self.follow(&copying.epoch, Box::new(start))?;
        self.told.set("joining", self.home.as_ref(), None);
        self.told.status.lock().zone = Some(copying.place.zone.clone());
        self.follower = Some((follower, Role::Tow(copying)));
        Ok(())
    }

    /// The zone's record first: until the data directory has its own, it is alone, and knows it.
    fn join(&mut self) -> Result<()> {
        let (Some((follower, Role::Tow(copying))), Some(home)) = (&mut self.follower, &self.home) else {
            return Err(Error::Invalid("join a copy of the catalog: there is none in tow".to_owned()));
        };
        let both = home.both(&copying.place.zone, copying.number, &*self.entropy);
        follower.begin(Order::Record(copying.place.dir.clone(), both.clone()), &[]);
        let recorded = follower.end().and_then(|()| both.write(&self.dir));
        if let Err(error) = recorded {
            self.lost(&error)?;
            return Err(error);
        }
        self.home = Some(both);
        if let Some((_, role)) = &mut self.follower {
            *role = Role::Member;
        }
        self.tell_both();
        Ok(())
    }

    /// Durable when this returns.
    fn go_alone(&mut self, why: String) -> Result<()> {
        let Some(home) = &self.home else { return Ok(()) };
        let alone = home.alone(&*self.entropy);
        alone.write(&self.dir)?;
        tracing::warn!(epoch = alone.epoch, why, "recorded that the data directory goes on alone");
        self.home = Some(alone);
        self.tell_alone(Some(why));
        Ok(())
    }

    fn tell_alone(&self, why: Option<String>) {
        let state = if self.home.is_some() { "alone" } else { "single" };
        self.told.set(state, self.home.as_ref(), why);
    }

    fn tell_both(&self) {
        self.told.set("both", self.home.as_ref(), None);
    }
}

/// What a copy holds.
pub(super) struct Reached {
    pub(super) base: Version,
    pub(super) files: VecDeque<LogFile>,
    /// The length of its log's files, if it has any.
    pub(super) file_bytes: Option<u64>,
    /// What base and log together reach.
    pub(super) version: Version,
}

/// Reads a copy, whatever the length of its log's files.
pub(super) fn reached(epoch: &Epoch) -> Result<Reached> {
    let (base, _) = epoch.newest_base()?;
    let files = recover::find(&epoch.log())?;
    let len = |file: &LogFile| std::fs::metadata(&file.path).map_err(|e| Error::io("look at", &file.path, e));
    let file_bytes = files.back().map(len).transpose()?.map(|metadata| metadata.len());
    let version = recover::replay(&files, file_bytes.unwrap_or_default(), base, |_, _| Ok(()))?;
    Ok(Reached { base, files, file_bytes, version })
}

/// Appends groups as another log has them, and syncs.
fn write_groups(log: &mut LogWriter, groups: &[u8], through: Version) -> Result<()> {
    let mut offset = 0;
    while let Some((header, payload, total)) = frame::parse(&groups[offset..])? {
        offset += total;
        if header.kind == Kind::Group && header.last <= through {
            let mut bytes = vec![0; HEADER];
            bytes.extend_from_slice(payload);
            log.make_room(bytes.len().next_multiple_of(frame::ALIGN))?;
            log.append(&mut bytes, header.last)?;
        }
    }
    log.sync()?;
    if log.synced() == through || groups.is_empty() {
        return Ok(());
    }
    let detail = format!("what the copy lacks ends at version {}, not {through}", log.synced());
    Err(Error::Corrupt { what: "commit log".into(), detail })
}

/// Removes what a zone had of the catalog, once it no longer counts.
pub(super) fn clear(place: &Place) -> Result<()> {
    place::remove(&place.dir)
}
