//! Server access logs: a record of each request to a bucket that wants it, written into another bucket as S3 writes it.
//!
//! ```text
//!   request's end ─► LogRecord ─► a line in memory ─► its batch ─► due ─► worker ─► an object of the target bucket
//!   set_logging ─► root: SETTINGS (kind, bucket) ─► bucket: SETTINGS ─► in memory, where each request looks
//! ```
//!
//! # Invariants
//! - Which buckets are logged is in memory: whoever is not costs a request one look at a flag, or at a map.
//! - No request waits for a log, and none fails for one. What can't be kept is dropped and counted.
//! - Objects of a log are the target bucket's owner's, who is the logged bucket's owner too, and written by nobody but the
//!   appliance. Where the target's access list counts it is asked, at each object.
//! - A log is its bucket's, not its name's: nothing of it goes on when another bucket takes the name, nor into another account's
//!   bucket that takes the target's.
//! - A flood of one bucket costs that bucket's log alone ([`held`]).
//! - Logs of logs end: the delivery of an object is recorded where the target is itself logged, unless all records in that object
//!   are of deliveries. So a burst of requests makes at most one object more in each log on the way, and then it is quiet.
//!
//! # Limits
//! Those of `held`; an object is written [`LogOptions::every`] after its first record, or when it has 1 MiB.
//!
//! A crash loses the records that wait: up to `every` of them. Nothing else is kept of them before they are written.

mod deliver;
mod held;
mod line;

pub use line::LogRecord;

use crate::setting::{BucketAcl, ObjectLock, RequestPayment};
use crate::store::{Bucket, View};
use crate::{BucketLogging, BucketName, Error, ErrorKind, ObjectStore, Result, SettingKind};
use engine::clock::Timestamp;
use engine::id::PartitionId;
use held::{Held, Pushed};
use parking_lot::{Mutex, RwLock};
use security::{AccountId, Grantee, Permission, Question};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// How long the first record of an object waits for others.
    pub every: Duration,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { every: Duration::from_mins(5) }
    }
}

/// A bucket whose requests are logged.
#[derive(Debug)]
pub struct LogSource {
    name: BucketName,
    bucket: Bucket,
    owner: String,
    set: Arc<BucketLogging>,
}

impl LogSource {
    fn new(name: &BucketName, bucket: Bucket, set: Arc<BucketLogging>) -> Arc<Self> {
        let owner = bucket.account.canonical_user_id();
        Arc::new(Self { name: name.unbound(), bucket, owner, set })
    }

    /// Its name.
    pub fn bucket(&self) -> &BucketName {
        &self.name
    }

    fn account(&self) -> AccountId {
        self.bucket.account
    }

    fn set(&self) -> &BucketLogging {
        &self.set
    }
}

/// A log that can't be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFailure {
    /// The bucket whose log it is.
    pub bucket: BucketName,
    /// Where it goes.
    pub target: BucketName,
    /// Since when.
    pub since: Timestamp,
    /// Why: a lowercase fragment.
    pub error: String,
}

/// What is known of logs in this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogStatus {
    /// Buckets that are logged.
    pub sources: u64,
    /// Records that wait.
    pub waiting: u64,
    /// Bytes that they take.
    pub waiting_bytes: u64,
    /// Records written since the start, and objects of them.
    pub delivered: u64,
    /// Objects.
    pub objects: u64,
    /// Records dropped since the start: their target took nothing for too long, or is gone, or they made place for others.
    pub dropped: u64,
    /// Logs that can't be written now.
    pub failing: Vec<LogFailure>,
}

/// What waits, and who is logged.
#[derive(Default)]
pub(crate) struct AccessLogs {
    any: AtomicBool,
    sources: RwLock<HashMap<Box<str>, Arc<LogSource>>>,
    /// Whoever changes who is logged holds it from the change to the memory of it.
    changing: tokio::sync::Mutex<()>,
    held: Mutex<Held>,
    pub(crate) bell: Arc<Notify>,
    pub(crate) options: LogOptions,
    delivered: AtomicU64,
    objects: AtomicU64,
    /// Besides those that made place for others.
    dropped: AtomicU64,
    /// By partition: a bucket that takes the name of another one has none of its troubles. None that is no longer logged is in it.
    failing: Mutex<BTreeMap<PartitionId, LogFailure>>,
}

impl AccessLogs {
    pub(crate) fn new(options: LogOptions) -> Self {
        Self { options, held: Mutex::new(Held::new(options.every)), ..Self::default() }
    }

    fn learn(&self, name: &BucketName, source: Option<Arc<LogSource>>) {
        let mut sources = self.sources.write();
        let before = match source {
            Some(source) => sources.insert(name.as_str().into(), source),
            None => sources.remove(name.as_str()),
        };
        self.any.store(!sources.is_empty(), Ordering::Relaxed);
        // Whatever it was that failed is set anew, or set no more.
        if let Some(before) = before {
            self.failing.lock().remove(&before.bucket.partition);
        }
    }

    /// Keeps in mind that a log can't be written, if the bucket is logged (still). Answers whether that is new.
    fn fails(&self, source: &LogSource, failure: LogFailure) -> bool {
        // Held to the end, so that nobody forgets the bucket in between.
        let sources = self.sources.read();
        let partition = source.bucket.partition;
        if sources.get(source.name.as_str()).is_none_or(|known| known.bucket.partition != partition) {
            return false;
        }
        let mut failing = self.failing.lock();
        if let Some(known) = failing.get_mut(&partition) {
            known.error = failure.error;
            return false;
        }
        failing.insert(partition, failure);
        true
    }
}

/// The day of a moment, in UTC, counted from the epoch.
fn day(at: Timestamp) -> i64 {
    at.as_secs().div_euclid(86_400)
}

impl ObjectStore {
    /// Whether any bucket is logged at all.
    pub fn any_logged(&self) -> bool {
        self.access_logs.any.load(Ordering::Relaxed)
    }

    /// The bucket of this name, if its requests are logged.
    pub fn log_source(&self, bucket: &str) -> Option<Arc<LogSource>> {
        if !self.any_logged() {
            return None;
        }
        self.access_logs.sources.read().get(bucket).cloned()
    }

    /// Keeps a record, to be written into the bucket's log.
    pub fn log(&self, source: &Arc<LogSource>, record: &LogRecord<'_>) {
        let line = line::render(record, &source.owner, source.name.as_str());
        let now = self.clock.boottime();
        let pushed = self.access_logs.held.lock().push(source, (record.at, now), &line, record.of_delivery);
        match pushed {
            Pushed::Kept => {}
            Pushed::Ring => self.access_logs.bell.notify_one(),
            Pushed::Dropped => {
                self.access_logs.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// What is known of logs.
    pub fn log_status(&self) -> LogStatus {
        let logs = &self.access_logs;
        let held = logs.held.lock();
        let ((bytes, waiting), pushed_out) = (held.size(), held.pushed_out());
        drop(held);
        let mut failing: Vec<_> = logs.failing.lock().values().cloned().collect();
        failing.sort_by(|one, other| one.bucket.cmp(&other.bucket));
        LogStatus {
            sources: logs.sources.read().len() as u64,
            waiting,
            waiting_bytes: bytes as u64,
            delivered: logs.delivered.load(Ordering::Relaxed),
            objects: logs.objects.load(Ordering::Relaxed),
            dropped: logs.dropped.load(Ordering::Relaxed) + pushed_out,
            failing,
        }
    }

    /// Has a bucket's requests logged, or no longer with `None`. The target must be the same account's, as in S3, and what is not
    /// for whoever made it alone: it has no default retention, and nobody pays for its requests but its owner.
    pub async fn set_logging(&self, name: &BucketName, value: Option<&BucketLogging>) -> Result<()> {
        let view = self.view(name).await?;
        if let Some(value) = value {
            self.check_log_target(view.bucket.account, value).await?;
        }
        let bound = name.bound_to(view.bucket);
        let _changing = self.access_logs.changing.lock().await;
        if let Some(value) = value {
            self.mark(SettingKind::Logging, name.as_str(), true).await?;
            self.set(&bound, Some(value)).await?;
            let source = LogSource::new(name, view.bucket, Arc::new(value.clone()));
            self.access_logs.learn(name, Some(source));
        } else {
            self.set::<BucketLogging>(&bound, None).await?;
            self.access_logs.learn(name, None);
            self.mark(SettingKind::Logging, name.as_str(), false).await?;
        }
        Ok(())
    }

    /// Refuses who may not write there themselves what they want to have written: logs come whatever is denied there by then.
    pub async fn check_logger(
        &self,
        name: &BucketName,
        value: &BucketLogging,
        asks: &Question,
    ) -> Result<()> {
        let bucket = self.view(name).await?.bucket;
        let source = LogSource::new(name, bucket, Arc::new(value.clone()));
        let key = self.log_key(&source, self.clock.now());
        self.check_deliverer(bucket.account, (value.target(), &[key]), asks).await
    }

    async fn check_log_target(&self, owner: AccountId, value: &BucketLogging) -> Result<()> {
        let invalid = || Error::InvalidLogTarget { target: value.target().clone() };
        let view = match self.view(value.target()).await {
            Ok(view) => view,
            Err(Error::NoSuchBucket) => return Err(invalid()),
            Err(error) => return Err(error),
        };
        let lists_count = self.may_deliver(&view, owner, value.target()).await?;
        let lock = self.setting_at::<ObjectLock>(&view).await?;
        let payer = self.setting_at::<RequestPayment>(&view).await?;
        if lock.is_some_and(|lock| lock.default.is_some())
            || payer.is_some_and(|payer| *payer == RequestPayment::Requester)
        {
            return Err(invalid());
        }
        if value.grants().is_some() && !lists_count {
            return Err(Error::AccessListsOff);
        }
        Ok(())
    }

    /// Refuses to write a log of an account's bucket into one that does not take it. Answers whether lists count there: if so, the
    /// group that delivers logs has to be granted WRITE and `READ_ACP`; if not, that both are one account's is the consent.
    ///
    /// Source: "Permissions for log delivery" of the S3 user guide.
    async fn may_deliver(&self, view: &View, owner: AccountId, target: &BucketName) -> Result<bool> {
        let lists_count = self.rules(view).await?.lists_count();
        let granted = if lists_count {
            let list = self.setting_at::<BucketAcl>(view).await?;
            list.is_some_and(|list| {
                [Permission::Write, Permission::ReadAcp]
                    .iter()
                    .all(|wanted| list.0.grants_to(Grantee::LogDelivery, *wanted))
            })
        } else {
            true
        };
        if view.bucket.account == owner && granted {
            Ok(lists_count)
        } else {
            Err(Error::InvalidLogTarget { target: target.clone() })
        }
    }

    /// A bucket is gone, and its name is to be free: it has no log any more, whoever has the name by now. What waits of its records is
    /// written still.
    pub(crate) async fn forget_logging(&self, name: &BucketName, partition: PartitionId) -> Result<()> {
        let _changing = self.access_logs.changing.lock().await;
        let of_another = |known: &Arc<LogSource>| known.bucket.partition != partition;
        if self.access_logs.sources.read().get(name.as_str()).is_none_or(of_another) {
            return Ok(());
        }
        self.access_logs.learn(name, None);
        self.mark(SettingKind::Logging, name.as_str(), false).await
    }

    /// Learns which buckets are logged. Before anybody asks for one.
    pub(crate) async fn find_logged(&self) -> Result<()> {
        for name in self.marked(SettingKind::Logging).await? {
            let found = match self.view(&name).await {
                Ok(view) => self.setting_at::<BucketLogging>(&view).await?.map(|set| (view, set)),
                Err(Error::NoSuchBucket) => None,
                // Nobody gets anything of it, so that there is nothing to log.
                Err(error) if error.kind() == ErrorKind::Corrupt => continue,
                Err(error) => return Err(error),
            };
            match found {
                Some((view, set)) => {
                    let source = LogSource::new(&name, view.bucket, set);
                    self.access_logs.learn(&name, Some(source));
                }
                // A crash came between the mark and the setting, or between the bucket's end and the mark's.
                None => self.mark(SettingKind::Logging, name.as_str(), false).await?,
            }
        }
        Ok(())
    }
}
