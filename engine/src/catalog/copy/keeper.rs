//! The sequencer's side of the copy: who is a member, what the zone's thread is told, and what happens when it fails.

use super::hand::{Follower, Hand};
use super::judge::{Verdict, forked, knows};
use super::membership::{Membership, Role};
use super::place::{self, CopyDir};
use super::{CopyOptions, CopyState, Place, START_PATIENCE, Standing, Told};
use crate::catalog::log::files::{Files, LogFile, LogWriter, Shape};
use crate::catalog::log::frame::{self, HEADER, Kind};
use crate::catalog::log::recover;
use crate::catalog::log::since::{self, LogPlace};
use crate::catalog::{Layout, Options, Version};
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::fault::Faults;
use crate::{Error, Result, file};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fs::TryLockError;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

/// Groups that go from one log to the other at once.
const PIECE_BYTES: usize = 8 << 20;
/// The file that says who writes in a zone's place.
const LOCK: &str = "lock";

/// What the worker asks of the sequencer.
#[derive(Clone)]
pub(in crate::catalog) enum Task {
    /// Record and name the epoch that a copy in this place begins, which says this and reaches that version now.
    Prepare(Place, Option<(Membership, Option<Version>)>),
    /// Write to this log too, from here on.
    Tow(Copying, Arc<Mutex<Option<Follower>>>),
    /// The copy in tow is whole: it becomes a member.
    Join,
    /// Go on without the copy, member or not; why.
    Leave(String),
}

/// A copy that is being made.
#[derive(Clone)]
pub(in crate::catalog) struct Copying {
    pub(super) place: Place,
    pub(super) number: u64,
}

enum Part {
    /// It is being made.
    Tow(Copying),
    /// Nothing is answered before it has it, or before it is recorded that it no longer counts.
    Member,
}

/// A zone that shares an epoch with the data directory, before both hold the same.
pub(in crate::catalog) struct Meeting {
    follower: Follower,
    place: Place,
    theirs: Membership,
    reached: Reached,
}

/// Owned by the sequencer.
pub(in crate::catalog) struct Keeper {
    dir: PathBuf,
    shape: Shape,
    options: CopyOptions,
    entropy: Arc<dyn Entropy>,
    clock: Arc<dyn Clock>,
    told: Arc<Told>,
    home: Option<Membership>,
    follower: Option<(Follower, Part)>,
    began: bool,
    astray: bool,
    /// Threads that were given up and have not ended.
    left: Vec<JoinHandle<()>>,
}

impl Keeper {
    /// One that has nothing to keep yet.
    pub(in crate::catalog) fn new(dir: &Path, options: &Options, shape: Shape) -> Self {
        Self {
            dir: dir.to_path_buf(),
            // Of what its base holds the copy keeps nothing for a backup.
            shape: Shape { retained: 0, ..shape },
            options: options.copy.clone(),
            entropy: Arc::clone(&options.entropy),
            clock: Arc::clone(&options.clock),
            told: Arc::default(),
            home: None,
            follower: None,
            began: false,
            astray: false,
            left: Vec::new(),
        }
    }

    /// What is told.
    pub(in crate::catalog) fn told(&self) -> Arc<Told> {
        Arc::clone(&self.told)
    }

    /// Does what the judgement says, up to where both logs have to become the same: [`Meeting::lacking`], then [`join`](Self::join).
    pub(in crate::catalog) fn meet(
        &mut self,
        standing: Standing,
        layout: &mut dyn FnMut(Layout) -> Result<()>,
    ) -> Result<Option<Meeting>> {
        let Standing { home, mut seen, verdict } = standing;
        self.home = home;
        match verdict {
            Verdict::Go => {
                if self.home.as_ref().is_some_and(|home| home.next.is_some()) {
                    // A copy that was begun and is not to be met again.
                    self.go_alone("the copy was not finished".to_owned())?;
                }
                self.tell_alone(None);
            }
            Verdict::ReadOnly(why) => self.tell(CopyState::ReadOnly, Some(why)),
            Verdict::Accept => {
                layout(Layout::COPIES)?;
                if self.home.is_none() {
                    let said = seen.iter().filter_map(|one| one.says.membership());
                    self.home = Some(Membership::first(said, &*self.entropy));
                }
                self.go_alone("the loss of what only the zone's copy knew was accepted".to_owned())?;
            }
            Verdict::Attach(index) => {
                let one = seen.swap_remove(index);
                let Some(theirs) = one.says.membership().cloned() else { return Ok(None) };
                match self.look(&one.place, &theirs) {
                    Ok((follower, reached)) => {
                        return Ok(Some(Meeting { follower, place: one.place, theirs, reached }));
                    }
                    Err(error) => self.unmet(&one.place, &error)?,
                }
            }
        }
        Ok(None)
    }

    /// A zone that shares the epoch and can't be read may know more than the data directory, as one that is not there may.
    pub(in crate::catalog) fn unmet(&mut self, place: &Place, error: &Error) -> Result<()> {
        tracing::error!(zone = place.zone, %error, "the zone's copy of the catalog can't be read");
        if self.options.accept_loss {
            return self.go_alone("the loss of what only the zone's copy knew was accepted".to_owned());
        }
        let why = format!(
            "zone {} has a copy of the catalog that can't be read ({error}): it may know more than this directory; mend it and \
             restart, or start once with --accept-loss, which gives up what only the zone knows",
            place.zone
        );
        self.tell(CopyState::ReadOnly, Some(why));
        Ok(())
    }

    fn look(&mut self, place: &Place, theirs: &Membership) -> Result<(Follower, Reached)> {
        let mut follower = self.follow(place)?;
        let (at, theirs, keep_free) = (place.clone(), theirs.clone(), self.options.keep_free);
        let looked = follower.run(self.options.patience * START_PATIENCE, move |hand| {
            at.check()?;
            let dir = at.dir;
            claim(&dir, hand)?;
            hand.keep_free = keep_free;
            // Judged and claimed in one: nobody else may write here from now on.
            if Membership::read(&dir)?.as_ref() != Some(&theirs) {
                return Err(Error::Invalid("go on with a copy that changed meanwhile: restart".into()));
            }
            reached(&CopyDir::of(&dir, &theirs))
        });
        match looked {
            Ok(reached) => Ok((follower, reached)),
            Err(error) => {
                self.left.extend(follower.give_up());
                Err(error)
            }
        }
    }

    fn follow(&self, place: &Place) -> Result<Follower> {
        Follower::start(place, self.told(), (self.options.patience, Arc::clone(&self.clock)))
    }

    /// Goes on with a zone whose log is not longer than the data directory's, at `version`: it gets what it lacks, then both begin an
    /// epoch. One that fails is left: it has nothing that the data directory has not.
    pub(in crate::catalog) fn join_met(
        &mut self,
        meeting: Meeting,
        version: Version,
        files: &Files,
    ) -> Result<()> {
        let Meeting { mut follower, place, theirs, reached } = meeting;
        let base = reached.base;
        let done = self.fill(&mut follower, (&place, &theirs, reached), version, files).and_then(|()| {
            let Some(home) = &self.home else { return Err(Error::Closed) };
            self.record(home.take_up(&theirs, &*self.entropy))?;
            self.give(&mut follower, &place, theirs.copy)
        });
        match done {
            Ok(()) => {
                self.follower = Some((follower, Part::Member));
                self.told.status.lock().base_version = Some(base);
                self.tell_both();
                Ok(())
            }
            Err(error) => {
                self.left.extend(follower.give_up());
                tracing::error!(zone = place.zone, %error, "the copy of the catalog can't be used: it is made anew");
                self.go_alone(error.to_string())
            }
        }
    }

    fn fill(
        &self,
        follower: &mut Follower,
        (place, theirs, reached): (&Place, &Membership, Reached),
        version: Version,
        files: &Files,
    ) -> Result<()> {
        let Reached { base, files: found, file_bytes, version: theirs_reach } = reached;
        if file_bytes.is_some_and(|bytes| bytes != self.shape.file_bytes) {
            return Err(Error::Invalid("go on with log files of another length".to_owned()));
        }
        self.told.base.store(base, Ordering::Release);
        let (dir, shape) = (CopyDir::of(&place.dir, theirs).log(), self.shape);
        let parts = (Arc::clone(&self.entropy), Arc::clone(&self.options.faults));
        let limit = self.options.patience * START_PATIENCE;
        follower.run(limit, move |hand| {
            hand.log = Some(LogWriter::start(&dir, shape, parts, found, (theirs_reach, base))?);
            Ok(())
        })?;
        let mut at = LogPlace::after(theirs_reach);
        while at.version() < version {
            let lacking = files.read(|files| since::read(files, at, version, PIECE_BYTES))?;
            let (frames, behind) = lacking.ok_or_else(|| {
                let from = at.version();
                Error::Invalid(format!(
                    "go on with a log that ends at version {from}: what follows is gone here"
                ))
            })?;
            follower.run(limit, move |hand| write_groups(hand, &frames))?;
            at = behind;
        }
        Ok(())
    }

    /// Records what the data directory says; durable when this returns.
    fn record(&mut self, home: Membership) -> Result<()> {
        place::step(&self.options.faults, &self.dir)?;
        home.write(&self.dir)?;
        self.home = Some(home);
        Ok(())
    }

    /// The zone, then the data directory, say that they are in the epoch that was recorded as the next one.
    fn give(&mut self, follower: &mut Follower, place: &Place, copy: u64) -> Result<()> {
        let both = self.home.as_ref().and_then(|home| home.both(&place.zone, copy)).ok_or(Error::Closed)?;
        let (theirs, at, faults) = (both.clone(), place.clone(), Arc::clone(&self.options.faults));
        follower.run(self.options.patience, move |_| {
            at.check()?;
            place::step(&faults, &at.dir)?;
            theirs.write(&at.dir)
        })?;
        self.record(both)
    }

    /// Hands a group to the copy, if there is one; [`end`](Self::end) must follow. An empty frame only syncs.
    pub(in crate::catalog) fn begin(&mut self, frame: &[u8], what: (Version, Layout), sync: bool) {
        if let Some((follower, _)) = &mut self.follower
            && (sync || !frame.is_empty())
        {
            follower.begin(frame, what, sync);
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
            Some(Err(error)) => self.part(&error.to_string()),
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// Leaves the zone, and its thread to end by itself. An error says that it could not be recorded.
    fn part(&mut self, why: &str) -> Result<()> {
        let Some((follower, part)) = self.follower.take() else { return Ok(()) };
        self.left.extend(follower.give_up());
        match part {
            Part::Tow(_) => tracing::error!(why, "the copy of the catalog that was being made failed"),
            Part::Member => {
                tracing::error!(why, "the catalog is parted from its copy: the data directory goes on alone");
            }
        }
        self.told.status.lock().parted += 1;
        self.go_alone(why.to_owned())
    }

    /// Carries out what the worker asks for, with the data directory's log and the copy's synced up to `version`. After an
    /// error [`is_astray`](Self::is_astray) says whether anything may go on.
    pub(in crate::catalog) fn carry_out(&mut self, task: &Task, version: Version) -> Result<u64> {
        match task {
            Task::Prepare(place, theirs) => self.prepare(place, theirs.as_ref()),
            Task::Tow(copying, follower) => self.tow(copying, follower, version).map(|()| version),
            Task::Join => self.join().map(|()| version),
            Task::Leave(why) => self.part(why).map(|()| version),
        }
    }

    /// Could going alone not be recorded? Nothing may be answered then.
    pub(in crate::catalog) const fn is_astray(&self) -> bool {
        self.astray
    }

    /// The number of the epoch that a copy made now in this place begins. Refuses a place that is not to be written over.
    fn prepare(&mut self, place: &Place, theirs: Option<&(Membership, Option<Version>)>) -> Result<u64> {
        self.left.retain(|thread| !thread.is_finished());
        if self.follower.is_some() || !self.left.is_empty() {
            return Err(Error::Invalid(format!(
                "make a copy of the catalog in zone {}: what was last told to a zone's disk has not come to its end",
                place.zone
            )));
        }
        let home = match &self.home {
            Some(home) if home.role != Role::Alone => return Err(Error::Closed),
            Some(home) => home.clone(),
            None => Membership::first(std::iter::empty(), &*self.entropy),
        };
        if let Some((theirs, reached)) = theirs {
            knows(&home, theirs).map_err(|why| forked(place, why))?;
            let went_on = home.forebear(theirs).filter(|known| {
                known.epoch == theirs.epoch && reached.is_some_and(|reached| reached > known.version)
            });
            if went_on.is_some() {
                return Err(forked(place, "it got more since this directory was made from it"));
            }
        }
        let intended = home.intend(theirs.map(|(theirs, _)| theirs), &*self.entropy);
        self.record(intended)?;
        self.home.as_ref().and_then(|home| home.next).map(|next| next.epoch).ok_or(Error::Closed)
    }

    fn tow(&mut self, copying: &Copying, given: &Mutex<Option<Follower>>, version: Version) -> Result<()> {
        let prepared = self.home.as_ref().and_then(|home| home.next).map(|next| next.epoch);
        if self.follower.is_some() || prepared != Some(copying.number) {
            return Err(Error::Invalid("make a copy of the catalog: its epoch has passed".to_owned()));
        }
        let mut follower = given.lock().take().ok_or(Error::Closed)?;
        let begun = follower.run(self.options.patience, move |hand| {
            let log = hand.log.as_mut().ok_or(Error::Closed)?;
            log.begin_at(version);
            Ok(())
        });
        if let Err(error) = begun {
            self.left.extend(follower.give_up());
            return Err(error);
        }
        self.told.base.store(0, Ordering::Release);
        self.tell(CopyState::Joining, None);
        self.told.status.lock().zone = Some(copying.place.zone.clone());
        self.follower = Some((follower, Part::Tow(copying.clone())));
        Ok(())
    }

    /// The zone's record first: until the data directory has its own, it is alone, and knows it. Once the zone may have its record and
    /// the data directory has not, only a record of going alone lets it go on.
    fn join(&mut self) -> Result<()> {
        let (mut follower, copying) = match self.follower.take() {
            Some((follower, Part::Tow(copying))) => (follower, copying),
            other => {
                self.follower = other;
                return Err(Error::Invalid("join a copy of the catalog: there is none in tow".to_owned()));
            }
        };
        let given = self.give(&mut follower, &copying.place, copying.number);
        match given {
            Ok(()) => {
                self.follower = Some((follower, Part::Member));
                self.tell_both();
                Ok(())
            }
            Err(error) => {
                self.follower = Some((follower, Part::Tow(copying)));
                self.part(&error.to_string())?;
                Err(error)
            }
        }
    }

    /// Durable when this returns.
    fn go_alone(&mut self, why: String) -> Result<()> {
        let Some(home) = &self.home else { return Ok(()) };
        let alone = home.alone(&*self.entropy);
        self.record(alone).inspect_err(|_| self.astray = true)?;
        let epoch = self.home.as_ref().map(|home| home.epoch);
        tracing::warn!(epoch, why, "recorded that the data directory goes on alone");
        self.tell_alone(Some(why));
        Ok(())
    }

    fn tell(&self, state: CopyState, why: Option<String>) {
        self.told.set(state, self.home.as_ref(), (why, self.clock.now()));
    }

    fn tell_alone(&self, why: Option<String>) {
        let state = if self.home.is_some() { CopyState::Alone } else { CopyState::Single };
        self.tell(state, why);
    }

    fn tell_both(&self) {
        self.tell(CopyState::Both, None);
    }
}

impl Meeting {
    /// The zone.
    pub(in crate::catalog) const fn place(&self) -> &Place {
        &self.place
    }

    /// What a data directory at `version` lacks of the zone's log next, if anything. Refused where the zone can't make up for it.
    pub(in crate::catalog) fn lacking(
        &mut self,
        version: Version,
        limit: Duration,
    ) -> Result<Option<Vec<u8>>> {
        let Reached { base, files, version: reached, .. } = &self.reached;
        if *base > version {
            return Err(forked(
                &self.place,
                format!("its base is at version {base}, this directory at {version}"),
            ));
        }
        if *reached <= version {
            return Ok(None);
        }
        let (files, reached) = (files.clone(), *reached);
        let read = self
            .follower
            .run(limit, move |_| since::read(&files, LogPlace::after(version), reached, PIECE_BYTES))?;
        match read {
            Some((frames, _)) => Ok(Some(frames)),
            None => Err(forked(&self.place, format!("its log no longer goes back to version {version}"))),
        }
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
pub(super) fn reached(copy: &CopyDir) -> Result<Reached> {
    let (base, _) = copy.newest_base()?;
    let files = recover::find(&copy.log())?;
    let len = |file: &LogFile| std::fs::metadata(&file.path).map_err(|e| Error::io("look at", &file.path, e));
    let file_bytes = files.back().map(len).transpose()?.map(|metadata| metadata.len());
    let version = recover::replay(&files, file_bytes.unwrap_or_default(), base, |_, _| Ok(()))?;
    Ok(Reached { base, files, file_bytes, version })
}

/// Takes a place for this process, for as long as the hand holds it.
pub(super) fn claim(dir: &Path, hand: &mut Hand) -> Result<()> {
    let path = dir.join(LOCK);
    let lock = file::open_or_make(&path).map_err(|error| Error::io("open", &path, error))?;
    match lock.try_lock() {
        Ok(()) => {
            hand.lock = Some(lock);
            Ok(())
        }
        Err(TryLockError::WouldBlock) => {
            Err(Error::InUse { path: dir.to_owned(), pid: "unknown".to_owned() })
        }
        Err(TryLockError::Error(error)) => Err(Error::io("lock", path, error)),
    }
}

/// Appends groups as another log has them, and syncs.
fn write_groups(hand: &mut Hand, groups: &[u8]) -> Result<()> {
    let log = hand.log.as_mut().ok_or(Error::Closed)?;
    let mut offset = 0;
    while let Some((header, payload, total)) = frame::parse(&groups[offset..])? {
        offset += total;
        if header.kind == Kind::Group {
            let mut bytes = vec![0; HEADER];
            bytes.extend_from_slice(payload);
            log.make_room(bytes.len().next_multiple_of(frame::ALIGN))?;
            log.append(&mut bytes, header.last, header.layout)?;
        }
    }
    log.sync()
}

/// The writing end of a copy that is begun.
pub(super) fn begin_log(
    copy: &CopyDir,
    shape: Shape,
    (entropy, faults): (Arc<dyn Entropy>, Arc<Faults>),
    version: Version,
) -> Result<LogWriter> {
    let shape = Shape { retained: 0, ..shape };
    LogWriter::start(&copy.log(), shape, (entropy, faults), VecDeque::new(), (version, 0))
}
