//! Doing what is due about one key. A deed is one commit that checks all it was decided by.
//!
//! ```text
//!   look (row of DUE) ─► the key's versions at one snapshot ─► what is due first ─► commit: deed, CURRENT and CONFIG as read ─► again
//!                                                          └─ nothing (any more) ─► commit: this look gone, the next one there
//! ```
//!
//! # Invariants
//! - What is due at different moments is done in their order, and what is removed together from the oldest on, also when all of it is
//!   overdue: so what happens is what the preview says.
//! - Rows that decide a permanent removal are opened first: their seal covers the times.
//! - A look goes in a commit by which nothing is due of its key at that moment, and that checks the look: nobody's new one is lost.
//!
//! # Limits
//! [`TOGETHER`] versions a commit; [`PASSES`] commits a call.

use super::index::look;
use super::judge::{Above, Due, KeyRules, LifecycleAct, LifecycleHold};
use super::keys::Versions;
use crate::access::Asked;
use crate::change::Change;
use crate::cold::deposit_hint;
use crate::delete::next_below;
use crate::event::{EventType, Occasion, Origin};
use crate::multipart::drop_upload;
use crate::publish::{Draft, Expected};
use crate::record::{ObjectRow, UploadGarbage, UploadRow};
use crate::stack::Stack;
use crate::store::{Bucket, View};
use crate::tables::{self, DueOf};
use crate::transact::{Attempt, contended};
use crate::{
    BucketName, DeleteConditions, Error, Lifecycle, LogRecord, ObjectKey, ObjectStore, Result, StorageClass,
    VersionId, VersionName, Versioning,
};
use engine::catalog::record::Record;
use engine::catalog::{Key, Layout, Scan, Write};
use engine::clock::Timestamp;
use engine::id::random_bytes;
use std::collections::{BTreeSet, VecDeque};

/// Versions removed by one commit.
#[cfg(not(test))]
const TOGETHER: usize = 500;
/// Few, so that tests have several.
#[cfg(test)]
const TOGETHER: usize = 3;
/// Commits of one call; whoever calls goes on with what is left, behind others.
const PASSES: u32 = 64;
/// Versions of a key that can't be moved, and are passed by, in one call.
const STUCK: usize = 1_000;
/// Bytes that one commit puts, about.
const PUT_MAX: usize = 128 << 10;
/// Who asks for it, as access logs have it.
const REQUESTER: &str = "AmazonS3";
/// Uploads looked at by one commit.
const UPLOADS: usize = 500;

/// What was done, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct LifecycleRun {
    /// Keys that were looked at.
    pub keys: u64,
    /// Current objects that expired.
    pub expired: u64,
    /// Noncurrent versions that were removed.
    pub noncurrent: u64,
    /// Delete markers that hid nothing.
    pub markers: u64,
    /// Uploads that were given up.
    pub uploads: u64,
    /// Versions that were moved to another class.
    pub transitions: u64,
    /// Bytes of what was removed for good.
    pub bytes: u64,
    /// Bytes of what was moved.
    pub moved_bytes: u64,
}

impl LifecycleRun {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            keys: self.keys + other.keys,
            expired: self.expired + other.expired,
            noncurrent: self.noncurrent + other.noncurrent,
            markers: self.markers + other.markers,
            uploads: self.uploads + other.uploads,
            transitions: self.transitions + other.transitions,
            moved_bytes: self.moved_bytes + other.moved_bytes,
            bytes: self.bytes + other.bytes,
        }
    }

    /// Things that were done.
    pub fn deeds(&self) -> u64 {
        self.expired + self.noncurrent + self.markers + self.uploads + self.transitions
    }
}

/// A version that is to go, and the one above it.
struct Doomed {
    row: ObjectRow,
    above: Option<ObjectRow>,
    due: Due,
}

/// What is due of a key.
#[derive(Default)]
struct Survey {
    /// When what is done first is due.
    first: Option<Timestamp>,
    /// What is removed then, newest first.
    removed: VecDeque<Doomed>,
    /// There is more to remove than was kept in mind.
    more: bool,
    /// What moves to another class then, newest first, and no more than one commit's.
    moved: Vec<Doomed>,
    /// What is current expires then.
    expires: Option<Due>,
    /// When something else is due.
    later: Option<Timestamp>,
}

impl Survey {
    fn later(&mut self, at: Timestamp) {
        self.later = Some(self.later.map_or(at, |later| later.min(at)));
    }

    fn add(&mut self, due: Due, now: Timestamp, doomed: impl FnOnce() -> Doomed) {
        if due.at > now || self.first.is_some_and(|first| due.at > first) {
            return self.later(due.at);
        }
        if let Some(first) = self.first.filter(|first| due.at < *first) {
            self.later(first);
            (self.removed, self.more, self.expires) = (VecDeque::new(), false, None);
            self.moved.clear();
        }
        self.first = Some(due.at);
        if due.act == LifecycleAct::Expire {
            self.expires = Some(due);
            return;
        }
        if due.act.class().is_some() {
            if self.moved.len() < TOGETHER {
                self.moved.push(doomed());
            }
            return;
        }
        self.removed.push_back(doomed());
        if self.removed.len() > TOGETHER {
            self.removed.pop_front();
            self.more = true;
        }
    }
}

/// What access logs call a move to a class, as S3 does.
const fn operation_of(class: StorageClass) -> &'static str {
    match class {
        StorageClass::StandardIa => "S3.TRANSITION_SIA.OBJECT",
        StorageClass::OneZoneIa => "S3.TRANSITION_ZIA.OBJECT",
        StorageClass::IntelligentTiering => "S3.TRANSITION_INT.OBJECT",
        StorageClass::GlacierIr => "S3.TRANSITION_GIR.OBJECT",
        StorageClass::DeepArchive => "S3.TRANSITION_GDA.OBJECT",
        StorageClass::Glacier | StorageClass::Standard | StorageClass::ReducedRedundancy => {
            "S3.TRANSITION.OBJECT"
        }
    }
}

/// Bytes that a write puts.
fn put_bytes(write: &Write) -> usize {
    match write {
        Write::Put(key, value) => key.bytes.len() + value.len(),
        Write::Delete(_) | Write::Add(..) => 0,
    }
}

/// Whether a change came through.
enum Deed {
    /// `settled`: and when to look again.
    Done { run: LifecycleRun, settled: bool },
    /// Somebody was faster: look again.
    Again,
}

impl Deed {
    fn of(won: bool, run: LifecycleRun, settled: bool) -> Self {
        if won { Self::Done { run, settled } } else { Self::Again }
    }
}

/// A key that is looked at.
pub(crate) struct Look<'a> {
    pub(crate) name: &'a BucketName,
    pub(crate) bucket: Bucket,
    pub(crate) key: &'a ObjectKey,
    /// The row of `DUE`.
    pub(crate) row: &'a Key,
}

impl Look<'_> {
    /// This look goes, and the next one is there.
    fn then(&self, next: Option<Timestamp>) -> Vec<Write> {
        let next = next.map(|next| look(next, DueOf::Versions, self.key.as_str()));
        std::iter::once(Write::Delete(self.row.clone())).chain(next).collect()
    }
}

impl ObjectStore {
    /// Does what is due of a key's versions, and settles when to look again.
    /// Whether there is more is answered too.
    pub(crate) async fn act_on_versions(&self, look: &Look<'_>) -> Result<(LifecycleRun, bool)> {
        let mut run = LifecycleRun { keys: 1, ..LifecycleRun::default() };
        let mut unmoved = BTreeSet::new();
        for _ in 0..PASSES {
            let now = self.clock.now();
            let (view, stack) = self.stack(look.bucket, look.key).await?;
            let lifecycle = self.lifecycle_at(&view).await?.unwrap_or_default();
            let survey = self.survey(&view, look.key, (&lifecycle, &unmoved), now).await?;
            if survey.first.is_none() {
                if self.look_again(look, &view, survey.later).await? {
                    return Ok((run, false));
                }
                continue;
            }
            let deed = if survey.removed.is_empty() && !survey.moved.is_empty() {
                let before = unmoved.len();
                let shifted = self.shift(look, (&view, &stack), (survey.moved, &mut unmoved), now).await?;
                match shifted {
                    Some(deed) => deed,
                    // None of them can be moved: the others of the key are looked at.
                    None if unmoved.len() > before && unmoved.len() < STUCK => continue,
                    None => return Err(contended()),
                }
            } else if survey.removed.is_empty() && survey.expires.is_some() {
                self.expire(look, (&view, &stack), survey.later, now).await?
            } else {
                self.remove(look, (&view, &stack), survey, now).await?
            };
            match deed {
                Deed::Done { run: done, settled } => {
                    run = run.and(done);
                    if settled {
                        return Ok((run, false));
                    }
                }
                Deed::Again => {}
            }
        }
        Ok((run, true))
    }

    async fn survey(
        &self,
        view: &View,
        key: &ObjectKey,
        (lifecycle, unmoved): (&Lifecycle, &BTreeSet<VersionId>),
        now: Timestamp,
    ) -> Result<Survey> {
        let mut survey = Survey::default();
        let rules = KeyRules::of(lifecycle, (self.calendar(), view.config.versioning), key.as_str());
        if rules.is_empty() {
            return Ok(survey);
        }
        let scan = Scan::prefix(tables::VERSIONS, &tables::versions_of(key), 1_000);
        let mut versions = Versions::new(&*view.snapshot, scan);
        let (mut above, mut newer) = (Above::default(), None::<ObjectRow>);
        while let Some(version) = versions.next().await? {
            let row = version.row?;
            let facts = self.facts(view, &row).await?;
            let place = above.place(&facts, version.below);
            // What can't be moved now keeps nobody waiting, and itself not from being removed.
            let is_unmoved = unmoved.contains(&row.version);
            if is_unmoved {
                survey.later(self.calendar().midnight_after(now));
            }
            let due = if is_unmoved { rules.ends(&facts, &place) } else { rules.due(&facts, &place) };
            if let Some(due) = due {
                let locked = due.at <= now && facts.hold != LifecycleHold::None;
                let removes = due.act != LifecycleAct::Expire && due.act.class().is_none();
                if locked && removes && self.is_held(view, &row).await? {
                    // The clock that locks are judged by is behind the one that rules are: others do not wait for it.
                    survey.later(self.calendar().midnight_after(now));
                    above.pass(&facts);
                    newer = Some(row);
                    continue;
                }
                survey.add(due, now, || Doomed { row: row.clone(), above: newer.clone(), due });
            }
            above.pass(&facts);
            newer = Some(row);
        }
        Ok(survey)
    }

    /// Whether a lock keeps a version from being removed now.
    async fn is_held(&self, view: &View, row: &ObjectRow) -> Result<bool> {
        match self.refuse_locked(view, row, false).await {
            Err(Error::ObjectLocked) => Ok(true),
            outcome => outcome.map(|()| false),
        }
    }

    /// Nothing is due: this look goes, and the next one is there. `false`: somebody was faster.
    async fn look_again(&self, at: &Look<'_>, view: &View, next: Option<Timestamp>) -> Result<bool> {
        let change = Change::writes(at.then(next)).configured().unchanged(tables::current(at.key));
        self.try_commit(change.unchanged(at.row.clone()).freeing().of(view)).await
    }

    /// The current object expires, by a marker or, where versions are not kept, for good.
    async fn expire(
        &self,
        look: &Look<'_>,
        (view, stack): (&View, &Stack),
        later: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Deed> {
        let Some(row) = stack.current() else { return Ok(Deed::Again) };
        let settled = later.is_none_or(|later| later > now);
        let looks = if settled { look.then(later) } else { Vec::new() };
        self.authentic(look, row)?;
        let size = row.stored.as_ref().map_or(0, |stored| stored.size().get());
        let mut run = LifecycleRun { expired: 1, ..LifecycleRun::default() };
        let origin = Origin::default();
        if view.config.versioning == Versioning::Off {
            self.refuse_locked(view, row, false).await?;
            let mut change = stack.remove(row, None)?.freeing();
            let occasion = Occasion { what: EventType::EXPIRED, bucket: look.name, origin: &origin };
            self.tell(view, &occasion, (look.key, row, now), &mut change).await?;
            change = change.unchanged(look.row.clone());
            change.writes.extend(looks);
            run.bytes = size;
            let won = self.try_change_key(view, look.key, change).await?;
            if won {
                self.log_deed((look.name, look.key), "S3.EXPIRE.OBJECT", &[(None, Some(size))]);
            }
            return Ok(Deed::of(won, run, settled));
        }
        let conditions = DeleteConditions::default();
        let mut draft = Draft::marker(look.bucket, look.key, &conditions);
        draft.tells = Some(Occasion { what: EventType::EXPIRED_MARKER, bucket: look.name, origin: &origin });
        if row.null && stack.writes_null() {
            run.bytes = size;
        }
        draft.expect = vec![(look.row.clone(), Expected::Present)];
        draft.writes = looks;
        let outcome = self.try_publish(&draft, &Asked::default(), view, stack).await?;
        let published = if let Attempt::Answer(Some(published)) = outcome { Some(published) } else { None };
        if let Some(published) = &published {
            let marker = [(published.shown, None)];
            self.log_deed((look.name, look.key), "S3.CREATE.DELETEMARKER", &marker);
        }
        Ok(Deed::of(published.is_some(), run, settled))
    }

    /// Removes what is due together, from the oldest on.
    async fn remove(
        &self,
        at: &Look<'_>,
        (view, stack): (&View, &Stack),
        survey: Survey,
        now: Timestamp,
    ) -> Result<Deed> {
        let (mut change, mut run) = (Change::default().freeing(), LifecycleRun::default());
        let (mut gone, mut bytes, mut cut) = (Vec::new(), 0, false);
        for Doomed { row, above, due } in survey.removed.iter().rev() {
            self.authentic(at, row)?;
            above.iter().try_for_each(|above| self.authentic(at, above))?;
            self.refuse_locked(view, row, false).await?;
            let written = change.writes.len();
            let next = next_below(view, stack, row).await?;
            change.join(stack.remove(row, next.as_ref())?);
            let origin = Origin::default();
            let occasion = Occasion { what: EventType::EXPIRED, bucket: at.name, origin: &origin };
            self.tell(view, &occasion, (at.key, row, now), &mut change).await?;
            match due.act {
                LifecycleAct::RemoveMarker => run.markers += 1,
                _ => run.noncurrent += 1,
            }
            let size = row.stored.as_ref().map(|stored| stored.size().get());
            run.bytes += size.unwrap_or(0);
            gone.push((row.shown(view.config.versioning), size));
            // What is put is told, and what is on top: no more than may draw on the reserve of a full disk.
            bytes = change.writes.iter().skip(written).fold(bytes, |sum, write| sum + put_bytes(write));
            if bytes > PUT_MAX {
                cut = gone.len() < survey.removed.len();
                break;
            }
        }
        // Behind a marker something may be due by what is removed, and what expires at the same moment is still to do.
        let settled = !cut
            && !survey.more
            && survey.expires.is_none()
            && survey.moved.is_empty()
            && stack.current().is_some()
            && survey.later.is_none_or(|later| later > now);
        if settled {
            change = change.unchanged(at.row.clone());
            change.writes.extend(at.then(survey.later));
        }
        let won = self.try_change_key(view, at.key, change).await?;
        if won {
            self.log_deed((at.name, at.key), "S3.EXPIRE.OBJECT", &gone);
        }
        Ok(Deed::of(won, run, settled))
    }

    /// Moves versions to other classes, those of one moment by one commit. What is locked moves, too. What is due of them next, the next look
    /// at the key says. `None`: none of them can be moved, and why was told.
    async fn shift(
        &self,
        at: &Look<'_>,
        (view, stack): (&View, &Stack),
        (moved, unmoved): (Vec<Doomed>, &mut BTreeSet<VersionId>),
        now: Timestamp,
    ) -> Result<Option<Deed>> {
        let (mut change, mut run) = (Change::default().unchanged(at.row.clone()), LifecycleRun::default());
        let (mut told, mut bytes) = (Vec::new(), 0);
        for Doomed { row, above, due } in &moved {
            let (Some(stored), Some(class)) = (&row.stored, due.act.class()) else { continue };
            above.iter().try_for_each(|above| self.authentic(at, above))?;
            if stored.class.copies() != class.copies()
                // Boxed: seldom.
                && let Err(error) = Box::pin(self.keep_for_class(at, row, class)).await
            {
                // As where a zone is away, or bytes are damaged: neither keeps anything else from being done.
                tracing::warn!(bucket = %at.name, version = %row.version, %class, %error, "a version can't get the copies of the class that a rule moves it to: it is tried again tomorrow");
                unmoved.insert(row.version);
                continue;
            }
            let written = change.writes.len();
            let mut amended = row.clone();
            if let Some(stored) = &mut amended.stored {
                stored.class = class;
            }
            let amended = self.sealed_again(view.bucket, at.key, row, amended)?;
            let mut one = stack.replace(&amended);
            if class.is_archived() {
                one = one.known_by(Layout::CLASSES);
                one.writes.push(deposit_hint(at.key, row.version, at.name));
                one.cold = true;
            }
            if change.writes.is_empty() {
                one = one.unchanged(at.row.clone());
                change = one;
            } else {
                change.join(one);
            }
            let origin = Origin::default();
            let occasion = Occasion { what: EventType::TRANSITION, bucket: at.name, origin: &origin };
            self.tell(view, &occasion, (at.key, &amended, now), &mut change).await?;
            let size = stored.size().get();
            run.transitions += 1;
            run.moved_bytes += size;
            told.push((operation_of(class), row.shown(view.config.versioning), size));
            bytes = change.writes.iter().skip(written).fold(bytes, |sum, write| sum + put_bytes(write));
            if bytes > PUT_MAX {
                break;
            }
        }
        if told.is_empty() {
            return Ok(None);
        }
        // On a full disk, too: what comes behind may free some, and this is the way onto a medium.
        let won = self.try_change_key(view, at.key, change.freeing()).await?;
        if won {
            for (operation, version, size) in told {
                self.log_deed((at.name, at.key), operation, &[(version, Some(size))]);
            }
        }
        Ok(Some(Deed::of(won, run, false)))
    }

    /// Sees to it that a version's bytes have the copies of the class that it moves to.
    async fn keep_for_class(&self, at: &Look<'_>, row: &ObjectRow, class: StorageClass) -> Result<()> {
        let found = self.find(at.name, at.key, row.name().into()).await?;
        self.keep_for(&found, found.extent, class).await
    }

    /// Tells a bucket's access log, where it has one, what a rule did, as S3 does.
    fn log_deed(
        &self,
        (name, key): (&BucketName, &ObjectKey),
        operation: &str,
        done: &[(Option<VersionName>, Option<u64>)],
    ) {
        let Some(source) = self.log_source(name.as_str()) else { return };
        for (version, size) in done {
            let id = format!("{:016X}", u64::from_be_bytes(random_bytes(&*self.entropy)));
            let version = version.map(|version| version.to_string());
            let record = LogRecord {
                at: self.clock.now(),
                requester: Some(REQUESTER),
                request_id: &id,
                operation,
                key: Some(key.as_str()),
                size: *size,
                version: version.as_deref(),
                ..LogRecord::default()
            };
            self.log(&source, &record);
        }
    }

    /// What decides is as it was written.
    fn authentic(&self, look: &Look<'_>, row: &ObjectRow) -> Result<()> {
        let aad = row.additional_data(look.bucket.partition, look.key);
        self.keys.unseal_bytes(&row.sealed, &aad)?;
        Ok(())
    }

    /// Gives up the uploads of a key whose time has come, and settles when to look again.
    pub(crate) async fn act_on_uploads(&self, at: &Look<'_>) -> Result<(LifecycleRun, bool)> {
        let mut run = LifecycleRun { keys: 1, ..LifecycleRun::default() };
        for _ in 0..PASSES {
            let now = self.clock.now();
            let (view, []) = self.view_at(at.bucket, []).await?.ok_or(Error::NoSuchBucket)?;
            let lifecycle = self.lifecycle_at(&view).await?.unwrap_or_default();
            let rules = KeyRules::of(&lifecycle, (self.calendar(), view.config.versioning), at.key.as_str());
            let mut change = Change::default().configured().unchanged(at.row.clone()).freeing();
            let (mut given_up, mut later) = (0, None::<Timestamp>);
            let mut next = Some(Scan::prefix(tables::UPLOADS, &tables::versions_of(at.key), UPLOADS));
            while let Some(scan) = next.take_if(|_| given_up < UPLOADS as u64) {
                let page = view.snapshot.scan(scan.clone()).await?;
                for (raw, value) in &page.rows {
                    let (_, upload) = tables::read_upload(raw)?;
                    // One that can't be read is nobody's to give up.
                    let Ok(row) = UploadRow::from_bytes(value) else { continue };
                    let Some(due) = rules.upload_due(row.initiated) else { continue };
                    if due.at > now {
                        later = Some(later.map_or(due.at, |later| later.min(due.at)));
                        continue;
                    }
                    let row = tables::UPLOADS.key(raw.clone());
                    change = change.unchanged(row.clone());
                    change.writes.extend(drop_upload(row, upload, &UploadGarbage::default()));
                    given_up += 1;
                }
                next = scan.behind(&page);
            }
            let over = next.is_none();
            if over {
                change.writes.push(Write::Delete(at.row.clone()));
                change.writes.extend(later.map(|later| look(later, DueOf::Uploads, at.key.as_str())));
            }
            change.dirty = given_up > 0;
            if self.try_commit(change.of(&view)).await? {
                run.uploads += given_up;
                for _ in 0..given_up {
                    self.log_deed((at.name, at.key), "S3.DELETE.UPLOAD", &[(None, None)]);
                }
                if over {
                    return Ok((run, false));
                }
            }
        }
        Ok((run, true))
    }
}
