//! Object lock on rows: retentions and holds are set by one commit each, given to new versions and asked before one goes.
//!
//! ```text
//!   put, copy, completion ─► the request's retention, else the bucket's default ─► sealed into the row      publish
//!   set_retention ─► compliance clock settled ─► may it become this? ─► one commit                           amend
//!   delete of a version ─► does it hold at the compliance clock's time? ─► the commit checks the same row    delete
//! ```
//!
//! # Invariants
//! - A bucket that has object lock keeps it and keeps its versions: neither can be turned off.
//! - What a commit removes is the row whose lock was read: changing a lock changes the row, and `CURRENT`, which every change
//!   of the key checks.
//! - Time is the compliance clock's. Where a new date is made or judged, the later of it and the wall clock counts, so that a
//!   wall clock set back makes no lock that is over when it begins.
//!
//! What a crash leaves: the lock as it was, or as it was to be.

use crate::access::{Asked, Rules};
use crate::lock::{Guarded, Retention, check_change};
use crate::record::ObjectRow;
use crate::store::{Bucket, View};
use crate::{AmendRequest, BucketName, Error, ObjectLock, ObjectStore, Result, Subresources, VersionName};
use engine::clock::Timestamp;
use engine::clock::compliance::PERSIST_EVERY;
use security::Question;

const NO_OBJECT_LOCK: Error = Error::InvalidRequest { detail: "Bucket is missing Object Lock Configuration" };

/// Whether a request asks for a lock of its own.
const fn asks(beside: &Subresources) -> bool {
    beside.retention.is_some() || beside.legal_hold.is_some()
}

/// Whoever asked before must be allowed still.
fn check(request: &AmendRequest, asks: Option<&Question>, asked: &Asked, rules: &Rules) -> Result<()> {
    let asks = asks.filter(|asks| asked.is_due(rules.revision(), &asks.principal));
    asks.map_or(Ok(()), |asks| rules.check_key(asks, (&request.bucket, &request.key)))
}

impl ObjectStore {
    /// Sets or, with `None`, removes a version's retention. `bypass` is the right to weaken one of governance mode.
    pub async fn set_retention(
        &self,
        request: &AmendRequest,
        asks: Option<&Question>,
        (retention, bypass): (Option<Retention>, bool),
    ) -> Result<Option<VersionName>> {
        let bucket = self.with_object_lock(&request.bucket).await?;
        let at = self.compliance.settle().await?;
        self.check_date(retention)?;
        let asked = Asked::default();
        self.amend_in(bucket, request, (None, asks), |beside, rules| {
            check(request, asks, &asked, rules)?;
            check_change(beside.retention, retention, at, bypass)?;
            beside.retention = retention;
            Ok(())
        })
        .await
    }

    /// Turns a version's legal hold on or off.
    pub async fn set_legal_hold(
        &self,
        request: &AmendRequest,
        asks: Option<&Question>,
        on: bool,
    ) -> Result<Option<VersionName>> {
        let bucket = self.with_object_lock(&request.bucket).await?;
        self.compliance.settle().await?;
        let asked = Asked::default();
        self.amend_in(bucket, request, (None, asks), |beside, rules| {
            check(request, asks, &asked, rules)?;
            beside.legal_hold = Some(on);
            Ok(())
        })
        .await
    }

    /// The bucket, which has object lock.
    async fn with_object_lock(&self, name: &BucketName) -> Result<Bucket> {
        let view = self.view(name).await?;
        match self.setting_at::<ObjectLock>(&view).await? {
            Some(_) => Ok(view.bucket),
            None => Err(NO_OBJECT_LOCK),
        }
    }

    /// A date that neither clock has reached.
    fn check_date(&self, retention: Option<Retention>) -> Result<()> {
        if retention.is_some_and(|retention| !retention.holds(self.latest_time())) {
            return Err(Error::InvalidArgument {
                name: "RetainUntilDate",
                detail: "The retain until date must be in the future!",
            });
        }
        Ok(())
    }

    /// The later of the wall clock and the compliance clock.
    fn latest_time(&self) -> Timestamp {
        self.clock.now().max(self.compliance.now())
    }

    /// What a request says of locks, before a byte of its body is asked for. `proven`: the body comes with a digest.
    pub(crate) async fn check_lock(&self, view: &View, beside: &Subresources, proven: bool) -> Result<()> {
        let lock = self.setting_at::<ObjectLock>(view).await?;
        if asks(beside) && lock.is_none() {
            return Err(NO_OBJECT_LOCK);
        }
        if !proven && (asks(beside) || lock.is_some_and(|lock| lock.default.is_some())) {
            return Err(Error::InvalidRequest {
                detail: "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock \
                         parameters",
            });
        }
        self.check_date(beside.retention)
    }

    /// Whether a part's body must come with a digest: the object to be has a lock that was asked for.
    pub(crate) fn check_part(beside: &Subresources, proven: bool) -> Result<()> {
        if proven || !asks(beside) {
            return Ok(());
        }
        Err(Error::InvalidRequest {
            detail: "Content-MD5 OR x-amz-checksum- HTTP header is required for Upload Part requests with Object Lock \
                     parameters",
        })
    }

    /// What stands beside a new version, by the bucket as it is at the version that its commit starts from; and the order
    /// number that it must be above.
    pub(crate) async fn locked(&self, view: &View, asked: &Subresources) -> Result<(Subresources, u64)> {
        let mut beside = asked.clone();
        let Some(lock) = self.setting_at::<ObjectLock>(view).await? else {
            return if asks(asked) { Err(NO_OBJECT_LOCK) } else { Ok((beside, 0)) };
        };
        if beside.retention.is_none() {
            beside.retention = lock.default.map(|default| default.from(self.latest_time(), self.day));
        }
        Ok((beside, lock.unknown_through))
    }

    /// What protects a version of this bucket.
    pub(crate) async fn guarded(&self, view: &View, row: &ObjectRow) -> Result<Guarded> {
        Ok(Guarded::of(&row.subresources, self.is_unknown(view, row).await?))
    }

    /// Whether it is held because of [what a recovery left open](ObjectLock::leaves_unknown).
    pub(crate) async fn is_unknown(&self, view: &View, row: &ObjectRow) -> Result<bool> {
        let lock = self.setting_at::<ObjectLock>(view).await?;
        Ok(lock.is_some_and(|lock| lock.leaves_unknown(row)))
    }

    /// Refuses to remove a version that is locked.
    pub(crate) async fn refuse_locked(&self, view: &View, row: &ObjectRow, bypass: bool) -> Result<()> {
        let guarded = self.guarded(view, row).await?;
        let now = self.compliance.now();
        let outcome = guarded.check_removal(now, bypass);
        // What the clock shows may be a minute old: it is asked anew where that could make the difference.
        let near = |until: Timestamp| until.since(now) <= PERSIST_EVERY * 2;
        match (&outcome, guarded.retention) {
            (Err(_), Some(retention)) if near(retention.until) => {
                guarded.check_removal(self.compliance.settle().await?, bypass)
            }
            _ => outcome,
        }
    }
}
