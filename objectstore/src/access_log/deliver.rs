//! Batches on their way into the target bucket.

use super::held::Batch;
use super::{LogFailure, LogRecord, LogSource, LogStatus};
use crate::civil::civil;
use crate::store::Bucket;
use crate::{BucketLogging, Error, ListWish, LogKeyFormat, ObjectStore, PartitionDate, Result, Uploaded};
use bytes::Bytes;
use engine::clock::Timestamp;
use engine::id::random_bytes;
use security::{AccessList, AccountId, Grant, Permission};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Who writes logs, as records of it say.
const WRITER: &str = "svc:firn-log-delivery";

/// What an object of a log is.
const TEXT: &str = "text/plain";

/// How an attempt at a batch ended.
enum Outcome {
    Written,
    /// Nothing that is tried again helps.
    Lost(Error),
    Later(Error),
}

impl ObjectStore {
    /// Writes one batch that is due. `None`: none is.
    pub(crate) async fn deliver_due_log(self: &Arc<Self>) -> Option<()> {
        let batch = self.access_logs.held.lock().take(self.clock.boottime(), false)?;
        self.deliver(batch, true).await;
        Some(())
    }

    /// How long until the next batch is due.
    pub(crate) fn log_rest(&self) -> Duration {
        let (now, every) = (self.clock.boottime(), self.access_logs.options.every);
        let next = self.access_logs.held.lock().next_due();
        next.map_or(every, |at| at.saturating_sub(now))
    }

    /// Writes all that waits, due or not, each batch once: before a stop, when nobody asks for anything any more. What is not written
    /// within `patience` is dropped, and counted.
    pub async fn drain_logs(self: &Arc<Self>, patience: Duration) {
        let all = async {
            loop {
                let now = self.clock.boottime();
                let Some(batch) = self.access_logs.held.lock().take(now, true) else { break };
                self.deliver(batch, false).await;
            }
        };
        tokio::select! {
            () = all => {}
            () = self.clock.sleep(patience) => {}
        }
        let LogStatus { waiting, dropped, .. } = self.log_status();
        let lost = dropped + waiting;
        if lost > 0 {
            tracing::warn!(records = lost, "records of access logs were lost since the start");
        }
    }

    async fn deliver(self: &Arc<Self>, mut batch: Batch, again: bool) {
        let logs = &self.access_logs;
        let outcome = self.attempt(&mut batch).await;
        let error = match &outcome {
            Outcome::Written => {
                logs.delivered.fetch_add(batch.records, Ordering::Relaxed);
                logs.objects.fetch_add(1, Ordering::Relaxed);
                logs.failing.lock().remove(&batch.source.bucket.partition);
                logs.held.lock().done(&batch);
                return;
            }
            Outcome::Lost(error) | Outcome::Later(error) => error.to_string(),
        };
        self.tell_failure(&batch.source, error);
        if again && matches!(outcome, Outcome::Later(_)) {
            logs.held.lock().put_back(batch, self.clock.boottime());
        } else {
            logs.dropped.fetch_add(batch.records, Ordering::Relaxed);
            logs.held.lock().done(&batch);
        }
    }

    /// Once for each outage, and of nobody who is logged no more.
    fn tell_failure(&self, source: &LogSource, error: String) {
        let (bucket, target) = (source.bucket().clone(), source.set().target().clone());
        let since = self.clock.now();
        let failure = LogFailure { bucket, target, since, error };
        if self.access_logs.fails(source, failure.clone()) {
            let LogFailure { bucket, target, error, .. } = failure;
            tracing::warn!(%bucket, into = %target, error, "failed to write an access log");
        }
    }

    async fn attempt(self: &Arc<Self>, batch: &mut Batch) -> Outcome {
        let (begun, at) = (self.clock.boottime(), self.clock.now());
        let (source, body) = (Arc::clone(&batch.source), batch.seal());
        let key = batch.key.get_or_insert_with(|| self.log_key(&source, batch.first)).clone();
        match self.write_log(&source, &key, body.clone()).await {
            Ok((target, written)) => {
                if !batch.only_deliveries {
                    self.record_delivery((&source, target), (&key, &written), (at, begun));
                }
                Outcome::Written
            }
            Err(
                error @ (Error::NoSuchBucket | Error::InvalidLogTarget { .. } | Error::KeyTooLong { .. }),
            ) => Outcome::Lost(error),
            Err(error) => Outcome::Later(error),
        }
    }

    /// Writes it into the bucket that has the target's name now, if that is the account's and takes logs; into no other one that may
    /// have the name in the next moment. Answers which it was.
    async fn write_log(
        self: &Arc<Self>,
        source: &LogSource,
        key: &str,
        body: Bytes,
    ) -> Result<(Bucket, Uploaded)> {
        let set = source.set();
        let view = self.view(set.target()).await?;
        self.may_deliver(&view, source.account(), set.target()).await?;
        let target = set.target().bound_to(view.bucket);
        if let Some(list) = set.grants().and_then(|grants| with_owner(source.account(), grants)) {
            match self.write_own(&target, (key, TEXT), ListWish::Grants(list), body.clone()).await {
                // Lists were switched off, or public ones blocked, since they were asked for: the log goes on without.
                Err(Error::AccessListsOff | Error::AccessDenied) => {}
                outcome => return Ok((view.bucket, outcome?)),
            }
        }
        Ok((view.bucket, self.write_own(&target, (key, TEXT), ListWish::Default, body).await?))
    }

    /// The target's own log has what was written into it.
    fn record_delivery(
        &self,
        (source, into): (&LogSource, Bucket),
        (key, written): (&str, &Uploaded),
        (at, begun): (Timestamp, Duration),
    ) {
        let known = self.log_source(source.set().target().as_str());
        let Some(target) = known.filter(|known| known.bucket == into) else { return };
        let took = self.clock.boottime().saturating_sub(begun);
        let (id, version) = (self.unique(), written.version.map(|version| version.to_string()));
        let record = LogRecord {
            at,
            requester: Some(WRITER),
            request_id: &id,
            operation: "REST.PUT.OBJECT",
            key: Some(key),
            status: Some(200),
            size: Some(written.size.get()),
            total: Some(took),
            turn_around: Some(took),
            version: version.as_deref(),
            of_delivery: true,
            ..LogRecord::default()
        };
        self.log(&target, &record);
    }

    /// 16 characters that no other key or id has.
    fn unique(&self) -> String {
        format!("{:016X}", u64::from_be_bytes(random_bytes(&*self.entropy)))
    }

    pub(super) fn log_key(&self, source: &LogSource, first: Timestamp) -> String {
        let place = (source.account(), self.region(), source.bucket().as_str());
        key(source.set(), place, (first, self.clock.now()), &self.unique())
    }
}

/// The grants of a log, and its owner's own.
fn with_owner(owner: AccountId, grants: &AccessList) -> Option<AccessList> {
    let own = Grant::to(owner, Permission::FullControl);
    AccessList::new(std::iter::once(own).chain(grants.grants().iter().copied())).ok()
}

/// The key of an object of a log. Source: `TargetObjectKeyFormat` of the API reference.
fn key(
    set: &BucketLogging,
    (account, region, bucket): (AccountId, &str, &str),
    (event, delivery): (Timestamp, Timestamp),
    unique: &str,
) -> String {
    let prefix = set.prefix();
    let time = |at: Timestamp| civil(at).strftime("%Y-%m-%d-%H-%M-%S").to_string();
    match set.format() {
        None | Some(LogKeyFormat::Simple) => format!("{prefix}{}-{unique}", time(delivery)),
        Some(LogKeyFormat::Partitioned(date)) => {
            let (day, time) = match date {
                PartitionDate::EventTime => {
                    let day = civil(event);
                    (day, format!("{}-00-00-00", day.strftime("%Y-%m-%d")))
                }
                PartitionDate::DeliveryTime => (civil(delivery), time(delivery)),
            };
            format!("{prefix}{account}/{region}/{bucket}/{}/{time}-{unique}", day.strftime("%Y/%m/%d"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::key;
    use crate::{
        BucketLogging, BucketName, KEY_BYTES_MAX, LOG_PREFIX_BYTES_MAX, LogKeyFormat, PartitionDate,
    };
    use engine::clock::Timestamp;

    #[test]
    fn keys_are_made_as_s3_makes_them() {
        let (event, delivery) =
            (Timestamp::from_millis(1_549_411_238_000), Timestamp::from_millis(1_549_497_638_000));
        let made = |format, prefix: &str, bucket: &str| {
            let target = BucketName::parse("target").unwrap();
            let set = BucketLogging::new(&target, prefix.to_owned(), format, None).unwrap();
            let place = ("111122223333".parse().unwrap(), "us-east-1", bucket);
            key(&set, place, (event, delivery), "0123456789ABCDEF")
        };
        let partitioned = |date| Some(LogKeyFormat::Partitioned(date));
        for (format, expected) in [
            (None, "logs/2019-02-07-00-00-38-0123456789ABCDEF"),
            (Some(LogKeyFormat::Simple), "logs/2019-02-07-00-00-38-0123456789ABCDEF"),
            (
                partitioned(PartitionDate::EventTime),
                "logs/111122223333/us-east-1/src/2019/02/06/2019-02-06-00-00-00-0123456789ABCDEF",
            ),
            (
                partitioned(PartitionDate::DeliveryTime),
                "logs/111122223333/us-east-1/src/2019/02/07/2019-02-07-00-00-38-0123456789ABCDEF",
            ),
        ] {
            assert_eq!(made(format, "logs/", "src"), expected);
        }
        let (prefix, bucket) = ("p".repeat(LOG_PREFIX_BYTES_MAX), "b".repeat(63));
        let longest = made(partitioned(PartitionDate::EventTime), &prefix, &bucket);
        // A region has 32 characters at the most.
        assert!(longest.len() + 32 - "us-east-1".len() <= KEY_BYTES_MAX, "{}", longest.len());
    }
}
