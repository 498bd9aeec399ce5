//! Files of records on their way to a trail's bucket.
//!
//! ```text
//!   queue ─► plan: name and last row, one commit ─► file written ─► rows gone, file noted for the digest: one commit
//! ```
//! A crash behind the plan writes the same file again, under the same name, from the same rows. What fails is tried again when the next file would be
//! due; the trail's status says why. A trail that is in trouble for another reason is left alone for a while, longer each time: no other waits for it.

use super::Audit;
use super::damage::is_damage;
use super::error::Result;
use super::row::{self, EventRow, Held, TrailId};
use super::trail::TrailRow;
use crate::{AccountId, AmzDate};
use aws_lc_rs::digest;
use engine::BoxFuture;
use engine::catalog::record::Record as _;
use engine::catalog::{Layout, Scan, Write, key_after};
use engine::clock::Timestamp;
use engine::worker::{Progress, Worker};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Records of one file, and bytes of them.
const FILE_RECORDS: usize = 2_000;
const FILE_BYTES: usize = 4 << 20;
/// The same, as counters have it: with so much of it waiting a file is due.
pub(super) const FILE: i64 = 4 << 20;
/// Rows that are read at once: each may have 60 KiB.
const READ: usize = 64;
/// What stands for the sweep among trails that are left alone.
const SWEEP: TrailId = [0; 8];
/// How long nothing is done where there are no trails.
const REST: Duration = Duration::from_hours(1);
/// How long a trail in trouble is left alone, first and at the most.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_mins(5);
/// When what was refused is tried again, at the latest.
const AGAIN: i64 = 300_000;

/// Where a file goes.
#[derive(Clone, Copy, Debug)]
pub struct Destination<'a> {
    /// Whose trail it is of.
    pub account: AccountId,
    /// The trail's ARN.
    pub trail: &'a str,
    /// The bucket.
    pub bucket: &'a str,
    /// The key.
    pub key: &'a str,
}

/// A file.
#[derive(Clone, Debug)]
pub struct File {
    /// JSON; it is compressed by gzip where it is written.
    pub body: bytes::Bytes,
    /// Metadata beside it.
    pub metadata: Vec<(&'static str, String)>,
}

/// Why a file was not written, or may not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkError {
    /// The bucket is not there.
    NoBucket,
    /// The bucket's policy does not let the service.
    NotAllowed(String),
    /// Something else; again, later.
    Later(String),
}

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBucket => f.write_str(NO_BUCKET),
            Self::NotAllowed(what) => write!(f, "AccessDenied: the bucket's policy does not allow {what}"),
            Self::Later(error) => f.write_str(error),
        }
    }
}

/// Where files are written: what is above has buckets.
pub trait Sink: Send + Sync {
    /// Whether such files may be written there now, by the bucket's policy.
    fn check<'a>(&'a self, to: &'a Destination<'a>) -> BoxFuture<'a, Result<(), SinkError>>;
    /// Writes one; durable when this returns. Again under the same key replaces it.
    fn write<'a>(&'a self, to: &'a Destination<'a>, file: File) -> BoxFuture<'a, Result<(), SinkError>>;
}

/// A file that is to be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) bucket: String,
    pub(super) key: String,
    /// The key of its last row, in hexadecimal.
    pub(super) through: String,
}

/// A digest that is to be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DigestPlan {
    pub(super) bucket: String,
    pub(super) key: String,
    /// Milliseconds since the epoch.
    pub(super) end: i64,
    /// The key of the last row of files in it, in hexadecimal; empty for none.
    pub(super) through: String,
}

/// A digest that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Previous {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) hash: String,
    pub(super) signature: String,
}

/// How far a trail is. Times are milliseconds since the epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct StateRow {
    pub(super) plan: Option<Plan>,
    pub(super) planned: Option<i64>,
    pub(super) delivered: Option<i64>,
    pub(super) attempted: Option<i64>,
    pub(super) error: Option<String>,
    /// When the next digest begins.
    pub(super) since: Option<i64>,
    pub(super) digest: Option<DigestPlan>,
    pub(super) previous: Option<Previous>,
    pub(super) digested: Option<i64>,
    pub(super) digest_error: Option<String>,
    pub(super) digest_attempted: Option<i64>,
}

impl StateRow {
    /// There is no bucket to write into.
    pub(super) fn has_no_bucket(&self) -> bool {
        self.error.as_deref() == Some(NO_BUCKET) || self.digest_error.as_deref() == Some(NO_BUCKET)
    }
}

/// How it is said that a bucket is not there.
const NO_BUCKET: &str = "NoSuchBucket";

/// Trails that are left alone.
#[derive(Default)]
pub(super) struct Pauses(HashMap<TrailId, Pause>);

struct Pause {
    /// By boot time.
    until: Duration,
    wait: Duration,
    error: String,
}

impl Pauses {
    /// How much longer a trail is left alone.
    fn left(&self, id: TrailId, now: Duration) -> Option<Duration> {
        let pause = self.0.get(&id)?;
        Some(pause.until.saturating_sub(now)).filter(|left| !left.is_zero())
    }

    /// How long it is from now on.
    fn fail(&mut self, id: TrailId, now: Duration, error: &crate::Error) -> Duration {
        // Space returns at any moment.
        let full = matches!(error, crate::Error::Engine(engine::Error::Full { .. }));
        let before = self.0.get(&id).map(|pause| pause.wait);
        let wait = before.filter(|_| !full).map_or(PAUSE, |before| (before * 2).min(PAUSE_MAX));
        self.0.insert(id, Pause { until: now + wait, wait, error: error.to_string() });
        wait
    }
}

/// A file that was written and is in no digest yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileRow {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) hash: String,
    /// Milliseconds since the epoch.
    pub(super) oldest: i64,
    pub(super) newest: i64,
}

/// The folder of a trail's files of a day.
pub(super) fn folder(trail: &TrailRow, kind: &str, region: &str, at: Timestamp) -> String {
    let prefix = trail.prefix.as_deref().map(|prefix| format!("{prefix}/")).unwrap_or_default();
    let date = AmzDate::from_timestamp(at);
    let day = date.day();
    let part = |range: std::ops::Range<usize>| day.get(range).unwrap_or_default();
    let account = trail.account();
    format!("{prefix}AWSLogs/{account}/{kind}/{region}/{}/{}/{}", part(0..4), part(4..6), part(6..8))
}

/// A key as a trail's files have it, to ask a policy about.
pub(super) fn some_key(trail: &TrailRow, region: &str) -> String {
    format!("{}/file.json.gz", folder(trail, "CloudTrail", region, Timestamp::default()))
}

/// SHA-256, in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

fn bytes_of(hexadecimal: &str) -> bytes::Bytes {
    // It was written as such.
    hex::decode(hexadecimal).unwrap_or_default().into()
}

/// Delivers.
pub(super) struct Deliverer(pub(super) Arc<Audit>);

impl Audit {
    pub(super) async fn state(&self, trail: &TrailRow) -> crate::Result<Option<StateRow>> {
        let value = self.snapshot().await?.get(row::state(trail.account(), trail.id)).await?;
        Ok(value.map(|value| StateRow::from_bytes(&value)).transpose()?)
    }

    /// How far a trail is; from the beginning, with a record of it, where that can't be read.
    pub(super) async fn usable_state(&self, trail: &TrailRow) -> crate::Result<StateRow> {
        match self.state(trail).await {
            Err(error) if is_damage(&error) => {
                self.damaged.note("state", &row::state(trail.account(), trail.id).bytes);
                let state = StateRow::default();
                self.set_state(trail, &state, Vec::new()).await?;
                let said = json!({
                    "trail": trail.arn(&self.parts.region),
                    "reason": "how far the trail was can not be read: records may be in two files, and its digests are a new chain",
                });
                self.say(trail.account(), super::damage::DAMAGED, said, false);
                Ok(state)
            }
            state => Ok(state?.unwrap_or_default()),
        }
    }

    /// Keeps how far a trail is, with what belongs to it; of one that is gone nothing.
    pub(super) async fn set_state(
        &self,
        trail: &TrailRow,
        state: &StateRow,
        writes: Vec<Write>,
    ) -> crate::Result<()> {
        self.set_state_and(trail, state, (writes, &[])).await
    }

    async fn set_state_and(
        &self,
        trail: &TrailRow,
        state: &StateRow,
        (mut writes, held): (Vec<Write>, &[(Held, i64)]),
    ) -> crate::Result<()> {
        let _changing = self.changing.lock().await;
        let is_there = self.trails.lock().values().any(|known| known.id == trail.id)
            || self.ending.lock().contains_key(&(trail.account(), trail.id));
        if is_there {
            writes.push(Write::Put(row::state(trail.account(), trail.id), state.to_bytes()));
            self.commit_counted(Layout::TRAILS, writes, held).await?;
        }
        Ok(())
    }

    /// How long a digest's hour is.
    pub(super) fn hour(&self) -> Duration {
        (self.parts.day / 24).max(Duration::from_secs(1))
    }

    /// How long records wait for a file.
    pub(super) fn wait(&self) -> Duration {
        self.hour() / 12
    }

    /// Does what is due for all trails; whether anything was done, and how long nothing is.
    pub(super) async fn deliver(&self) -> (u64, Duration) {
        let mut trails: Vec<Arc<TrailRow>> = self.trails.lock().values().cloned().collect();
        trails.extend(self.ending.lock().values().map(|ending| Arc::clone(&ending.row)));
        self.forget_failing(&trails);
        self.pauses.lock().0.retain(|id, _| trails.iter().any(|trail| trail.id == *id) || *id == SWEEP);
        self.tell_of_spared(false);
        let (mut done, mut rest) = (0, if trails.is_empty() { REST } else { self.wait() });
        let outcome = self.unless_paused(SWEEP, self.sweep()).await;
        rest = self.after(None, outcome, &mut done).min(rest);
        for trail in &trails {
            let outcome = self.unless_paused(trail.id, self.deliver_one(trail)).await;
            rest = self.after(Some(trail), outcome, &mut done).min(rest);
        }
        self.recount().await;
        (done, rest)
    }

    /// Does it, unless the trail is left alone: so much longer then.
    async fn unless_paused(
        &self,
        id: TrailId,
        work: impl Future<Output = crate::Result<u64>>,
    ) -> Result<crate::Result<u64>, Duration> {
        let left = self.pauses.lock().left(id, self.parts.clock.boottime());
        match left {
            Some(left) => Err(left),
            None => Ok(work.await),
        }
    }

    /// What fails is passed by, and is no other trail's. When there is something to be done again.
    fn after(
        &self,
        trail: Option<&Arc<TrailRow>>,
        outcome: Result<crate::Result<u64>, Duration>,
        done: &mut u64,
    ) -> Duration {
        let id = trail.map_or(SWEEP, |trail| trail.id);
        match outcome {
            Err(left) => left,
            Ok(Ok(count)) => {
                *done += count;
                self.pauses.lock().0.remove(&id);
                Duration::MAX
            }
            Ok(Err(error)) => {
                let wait = self.pauses.lock().fail(id, self.parts.clock.boottime(), &error);
                if wait == PAUSE {
                    tracing::error!(trail = trail.map(|trail| trail.arn(&self.parts.region)), %error, "failed to look after a trail");
                }
                if let Some(trail) = trail {
                    self.note_trouble(trail, Some(&error.to_string()));
                }
                wait
            }
        }
    }

    async fn deliver_one(&self, trail: &TrailRow) -> crate::Result<u64> {
        if trail.ended.is_some() {
            return self.finish(trail).await;
        }
        let mut state = self.usable_state(trail).await?;
        self.deliver_what_is_due(trail, &mut state).await
    }

    pub(super) async fn deliver_what_is_due(
        &self,
        trail: &TrailRow,
        state: &mut StateRow,
    ) -> crate::Result<u64> {
        let mut done = 0;
        if self.plan(trail, state).await? {
            done += u64::from(self.write_file(trail, state).await?);
        }
        if self.plan_digest(trail, state).await? {
            done += u64::from(self.write_digest(trail, state).await?);
        }
        self.note_failing(trail, state);
        Ok(done)
    }

    /// Whether what was done then is due again. A clock that was set back holds up nothing.
    pub(super) fn is_due(&self, at: Option<i64>, after: i64) -> bool {
        at.is_none_or(|at| !(0..after).contains(&(self.now().as_millis() - at)))
    }

    /// When what was refused is tried again.
    pub(super) fn again(&self) -> i64 {
        i64::try_from(self.wait().as_millis()).unwrap_or(i64::MAX).min(AGAIN)
    }

    /// Decides on a file, if one is due. Whether there is one to be written.
    pub(super) async fn plan(&self, trail: &TrailRow, state: &mut StateRow) -> crate::Result<bool> {
        let now = self.now();
        let held = Held::Trail(trail.account(), trail.id);
        let waits = i64::try_from(self.wait().as_millis()).unwrap_or(i64::MAX);
        if state.plan.is_some() {
            // One that failed is tried again when files would come anyhow.
            return Ok(state.error.is_none() || self.is_due(state.attempted, self.again()));
        }
        let full = self.held(held) >= FILE;
        let early = !self.is_due(state.planned, waits);
        if self.held(held) <= 0 || (early && !full && trail.is_logging) {
            return Ok(false);
        }
        let scan = Scan::prefix(row::QUEUE, &row::of_trail(trail.account(), trail.id).finish(), READ);
        let (mut bytes, mut last) = (0, None);
        for (key, value) in self.rows_within(scan, (FILE_RECORDS, FILE_BYTES)).await? {
            bytes += value.len();
            if bytes > FILE_BYTES && last.is_some() {
                break;
            }
            last = Some(key);
        }
        let Some(last) = last else { return Ok(false) };
        let folder = folder(trail, "CloudTrail", &self.parts.region, now);
        let minute: String = AmzDate::from_timestamp(now).as_str().chars().take(13).collect();
        let (account, region) = (trail.account(), &self.parts.region);
        let unique = unique(&*self.parts.entropy);
        let key = format!("{folder}/{account}_CloudTrail_{region}_{minute}Z_{unique}.json.gz");
        state.plan = Some(Plan { bucket: trail.bucket.clone(), key, through: hex::encode(last) });
        state.planned = Some(now.as_millis());
        self.set_state(trail, state, Vec::new()).await?;
        Ok(true)
    }

    /// Writes the file that was decided on. Whether it was.
    async fn write_file(&self, trail: &TrailRow, state: &mut StateRow) -> crate::Result<bool> {
        let Some(plan) = state.plan.clone() else { return Ok(false) };
        let through = bytes_of(&plan.through);
        let prefix = row::of_trail(trail.account(), trail.id).finish();
        let scan = Scan { end: key_after(&through), ..Scan::prefix(row::QUEUE, &prefix, READ) };
        let rows = self.rows(scan, FILE_RECORDS).await?;
        let (mut body, mut times) = (String::from("{\"Records\":["), Vec::new());
        let (mut writes, mut freed, mut of_strangers) = (Vec::new(), 0, 0);
        for (number, (key, value)) in rows.into_iter().enumerate() {
            let EventRow { at, caller, record } = self.event_row(trail.account(), (&key, &value));
            if number > 0 {
                body.push(',');
            }
            body.push_str(&record);
            times.push(at.as_millis());
            let length = i64::try_from(key.len() + value.len()).unwrap_or(i64::MAX);
            freed += length;
            of_strangers += if caller.is_known() { 0 } else { length };
            writes.push(Write::Delete(row::QUEUE.key(key)));
        }
        body.push_str("]}");
        let hash = sha256(body.as_bytes());
        let file = File { body: body.into(), metadata: Vec::new() };
        state.attempted = Some(self.now().as_millis());
        if let Err(error) = self.send(trail, (&plan.bucket, &plan.key), file).await {
            return self.refused(trail, state, error).await.map(|()| false);
        }
        if trail.validates {
            let (oldest, newest) = (times.iter().min(), times.iter().max());
            let file = FileRow {
                bucket: plan.bucket,
                key: plan.key,
                hash,
                oldest: oldest.copied().unwrap_or_default(),
                newest: newest.copied().unwrap_or_default(),
            };
            let key = row::file(
                trail.account(),
                trail.id,
                row::Place::of_key(&through).unwrap_or(row::Place::FIRST),
            );
            writes.push(Write::Put(key, file.to_bytes()));
        }
        let (all, strangers) =
            (Held::Trail(trail.account(), trail.id), Held::Strangers(trail.account(), trail.id));
        let held = [(all, -freed), (strangers, -of_strangers)];
        let held = if of_strangers == 0 { &held[..1] } else { &held[..] };
        (state.plan, state.error, state.delivered) = (None, None, state.attempted);
        self.set_state_and(trail, state, (writes, held)).await?;
        Ok(true)
    }

    /// A file was not written. If the trail's bucket is another by now, its records go there, in a file of its own: whatever the old one says, it is not
    /// waited for. Should the file be in the old one after all, as behind a crash, they are in two; no digest names the first.
    async fn refused(&self, trail: &TrailRow, state: &mut StateRow, error: SinkError) -> crate::Result<()> {
        let text = error.to_string();
        if state.error.is_none() {
            tracing::warn!(
                trail = trail.arn(&self.parts.region),
                error = text,
                "failed to deliver audit records"
            );
        }
        state.error = Some(text);
        let moved = state.plan.as_ref().is_some_and(|plan| plan.bucket != trail.bucket);
        if moved {
            (state.plan, state.planned) = (None, None);
        }
        self.set_state(trail, state, Vec::new()).await
    }

    pub(super) async fn send(
        &self,
        trail: &TrailRow,
        (bucket, key): (&str, &str),
        file: File,
    ) -> Result<(), SinkError> {
        let arn = trail.arn(&self.parts.region);
        let to = Destination { account: trail.account(), trail: &arn, bucket, key };
        self.parts.sink.check(&to).await?;
        self.parts.sink.write(&to, file).await
    }
}

/// 16 letters and digits.
fn unique(entropy: &dyn engine::entropy::Entropy) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789xy";
    let bytes: [u8; 16] = engine::id::random_bytes(entropy);
    bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte & 63)])).collect()
}

impl Worker for Deliverer {
    fn name(&self) -> &'static str {
        "audit-trails"
    }

    fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.0.trail_bell)
    }

    fn trouble(&self) -> Option<String> {
        let pauses = self.0.pauses.lock();
        let one = pauses.0.values().next()?;
        Some(format!("{} of its works fail, as one that can't {}", pauses.0.len(), one.error))
    }

    fn tick(&mut self) -> BoxFuture<'_, engine::Result<Progress>> {
        Box::pin(async {
            Ok(match self.0.deliver().await {
                (0, rest) => Progress::Idle { rest },
                (done, _) => Progress::More { done },
            })
        })
    }
}
