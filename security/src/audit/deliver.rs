//! Files of records on their way to a trail's bucket.
//!
//! ```text
//!   queue ─► plan: name and last row, one commit ─► file written ─► rows gone, file noted for the digest: one commit
//! ```
//! A crash behind the plan writes the same file again, under the same name, from the same rows. What fails is tried again when the next file would be
//! due; the trail's status says why.

use super::Audit;
use super::error::Result;
use super::row::{self, EventRow, Held};
use super::trail::TrailRow;
use crate::{AccountId, AmzDate};
use aws_lc_rs::digest;
use engine::BoxFuture;
use engine::catalog::record::Record as _;
use engine::catalog::{Layout, Scan, Write, key_after};
use engine::clock::Timestamp;
use engine::worker::{Progress, Worker};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Records of one file, and bytes of them.
const FILE_RECORDS: usize = 2_000;
const FILE_BYTES: usize = 4 << 20;
/// How long nothing is done where there are no trails.
const REST: Duration = Duration::from_hours(1);
/// Rows of a trail that is gone, at once.
const SWEPT: usize = 1_000;

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
            Self::NoBucket => f.write_str("NoSuchBucket"),
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

    /// Keeps how far a trail is, with what belongs to it; of one that is gone nothing.
    pub(super) async fn set_state(
        &self,
        trail: &TrailRow,
        state: &StateRow,
        mut writes: Vec<Write>,
    ) -> crate::Result<()> {
        let _changing = self.changing.lock().await;
        let is_there = self.trails.lock().values().any(|known| known.id == trail.id);
        if is_there {
            writes.push(Write::Put(row::state(trail.account(), trail.id), state.to_bytes()));
            self.commit(Layout::TRAILS, writes).await?;
        }
        Ok(())
    }

    /// How long a digest's hour is.
    pub(super) fn hour(&self) -> Duration {
        (self.parts.day / 24).max(Duration::from_secs(1))
    }

    /// How long records wait for a file.
    fn wait(&self) -> Duration {
        self.hour() / 12
    }

    /// Does what is due for all trails; whether anything was done, and how long nothing is.
    pub(super) async fn deliver(&self) -> crate::Result<(u64, Duration)> {
        let mut done = self.sweep().await?;
        let trails: Vec<Arc<TrailRow>> = self.trails.lock().values().cloned().collect();
        self.forget_failing(&trails);
        let (mut trouble, is_idle) = (None, trails.is_empty());
        for trail in trails {
            match self.deliver_one(&trail).await {
                Ok(count) => done += count,
                // What fails is passed by: it is no other trail's.
                Err(error) => trouble = Some(error),
            }
        }
        match trouble {
            Some(error) => Err(error),
            None if is_idle => Ok((done, REST)),
            None => Ok((done, self.wait())),
        }
    }

    async fn deliver_one(&self, trail: &TrailRow) -> crate::Result<u64> {
        let mut state = self.state(trail).await?.unwrap_or_default();
        let mut done = 0;
        if self.plan(trail, &mut state).await? {
            done += u64::from(self.write_file(trail, &mut state).await?);
        }
        if self.plan_digest(trail, &mut state).await? {
            done += u64::from(self.write_digest(trail, &mut state).await?);
        }
        self.note_failing(trail, &state);
        Ok(done)
    }

    /// Decides on a file, if one is due. Whether there is one to be written.
    pub(super) async fn plan(&self, trail: &TrailRow, state: &mut StateRow) -> crate::Result<bool> {
        let now = self.now();
        let held = Held::Trail(trail.account(), trail.id);
        let waits = i64::try_from(self.wait().as_millis()).unwrap_or(i64::MAX);
        if state.plan.is_some() {
            // One that failed is tried again when files would come anyhow.
            return Ok(state.error.is_none()
                || state.attempted.is_none_or(|at| now.as_millis() - at >= waits.min(300_000)));
        }
        let full = self.held(held) >= i64::try_from(FILE_BYTES).unwrap_or(i64::MAX);
        let early = state.planned.is_some_and(|at| (0..waits).contains(&(now.as_millis() - at)));
        if self.held(held) <= 0 || (early && !full && trail.is_logging) {
            return Ok(false);
        }
        let scan = Scan::prefix(row::QUEUE, &row::of_trail(trail.account(), trail.id).finish(), 500);
        let (mut bytes, mut last) = (0, None);
        for (key, value) in self.rows(scan, FILE_RECORDS).await? {
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
        let scan = Scan { end: key_after(&through), ..Scan::prefix(row::QUEUE, &prefix, 500) };
        let rows = self.rows(scan, FILE_RECORDS).await?;
        let (mut body, mut times) = (String::from("{\"Records\":["), Vec::new());
        let (mut writes, mut freed) = (Vec::new(), 0);
        for (number, (key, value)) in rows.into_iter().enumerate() {
            let EventRow { at, record } = EventRow::from_bytes(&value)?;
            if number > 0 {
                body.push(',');
            }
            body.push_str(&record);
            times.push(at.as_millis());
            freed += i64::try_from(key.len() + value.len()).unwrap_or(i64::MAX);
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
            let key = row::file(trail.account(), trail.id, row::Place::of_key(&through)?);
            writes.push(Write::Put(key, file.to_bytes()));
        }
        let held = Held::Trail(trail.account(), trail.id);
        writes.push(Write::Add(held.key(), -freed));
        (state.plan, state.error, state.delivered) = (None, None, state.attempted);
        self.set_state(trail, state, writes).await?;
        self.add_held(held, -freed);
        Ok(true)
    }

    /// A file was not written. If its bucket is another by now, it goes there under a plan of its own.
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
        if moved && matches!(error, SinkError::NoBucket | SinkError::NotAllowed(_)) {
            // It was never there.
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

    /// What is left of trails that are gone goes.
    async fn sweep(&self) -> crate::Result<u64> {
        let mut done = 0;
        for (key, _) in self.rows(Scan::prefix(row::GONE, b"", 100), 100).await? {
            let mut writes = Vec::new();
            for table in [row::QUEUE, row::FILES] {
                let rows =
                    self.rows(Scan { keys_only: true, ..Scan::prefix(table, &key, SWEPT) }, SWEPT).await?;
                writes.extend(rows.into_iter().map(|(key, _)| Write::Delete(table.key(key))));
            }
            done += 1;
            if writes.is_empty() {
                let (account, id) = row::read_account(&key)?;
                let held = Held::Trail(account, id.try_into().unwrap_or_default());
                writes.extend([Write::Delete(row::GONE.key(key)), Write::Delete(held.key())]);
                self.held.lock().remove(&held);
            }
            self.commit(Layout::TRAILS, writes).await?;
        }
        Ok(done)
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

    fn tick(&mut self) -> BoxFuture<'_, engine::Result<Progress>> {
        Box::pin(async {
            match self.0.deliver().await {
                Ok((0, rest)) => Ok(Progress::Idle { rest }),
                Ok((done, _)) => Ok(Progress::More { done }),
                Err(crate::Error::Engine(error)) => Err(error),
                Err(error) => Err(engine::Error::Invalid(error.to_string())),
            }
        })
    }
}
