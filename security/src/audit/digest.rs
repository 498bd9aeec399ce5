//! Digests: each hour one, of the files that were written since the last, whether there were any or not. Each names the one before with its hash and
//! signature, and is signed itself. Source: "`CloudTrail` digest file structure" and "Custom implementations of `CloudTrail` log file integrity
//! validation" of the user guide.
//!
//! ```text
//!   signed: end ‖ "\n" ‖ bucket "/" key ‖ "\n" ‖ SHA-256 of the digest, in hexadecimal ‖ "\n" ‖ signature before, or "null"
//! ```
//! Time that the appliance was off is part of the next digest: there is no gap in the chain. A crash behind the plan writes the same digest again.

use super::Audit;
use super::deliver::{DigestPlan, File, FileRow, Previous, StateRow, folder, sha256};
use super::row;
use super::trail::TrailRow;
use crate::AmzDate;
use engine::catalog::record::Record as _;
use engine::catalog::{Scan, Write, key_after};
use engine::clock::Timestamp;
use serde_json::{Value, json};

/// Files of one digest.
const FILES_MAX: usize = 2_000;
/// What says that digests begin anew for the clock's sake.
const SET_BACK: &str = "AuditClockSetBack";
/// How digests are signed.
const ALGORITHM: &str = "SHA256withRSA";

fn shown(millis: i64) -> String {
    AmzDate::from_timestamp(Timestamp::from_millis(millis)).extended()
}

impl Audit {
    /// Decides on a digest, if one is due. Whether there is one to be written.
    pub(super) async fn plan_digest(&self, trail: &TrailRow, state: &mut StateRow) -> crate::Result<bool> {
        let now = self.now().as_millis();
        if state.digest.is_some() {
            // Each try costs a signature.
            return Ok(state.digest_error.is_none() || self.is_due(state.digest_attempted, self.again()));
        }
        let scan = || Scan {
            keys_only: true,
            ..Scan::prefix(row::FILES, &row::of_trail(trail.account(), trail.id).finish(), 500)
        };
        if !trail.validates || (!trail.is_logging && self.rows(scan(), 1).await?.is_empty()) {
            if state.since.take().is_some() {
                self.set_state(trail, state, Vec::new()).await?;
            }
            return Ok(false);
        }
        let hour = i64::try_from(self.hour().as_millis()).unwrap_or(i64::MAX);
        let second = now - now.rem_euclid(1_000);
        if let Some(since) = state.since
            && since - now > hour
        {
            // The clock was ahead when that was written down.
            let said = json!({
                "trail": trail.arn(&self.parts.region),
                "digestsFrom": shown(second),
                "reason": format!("the clock was set back: the next digest was to begin at {}", shown(since)),
            });
            self.say(trail.account(), SET_BACK, said, false);
            state.since = None;
        }
        let since = match (state.since, trail.ended) {
            (Some(since), _) => since,
            // The last one.
            (None, Some(_)) => trail.started.map_or(second, |at| at - at.rem_euclid(1_000)),
            (None, None) => {
                state.since = Some(second);
                self.set_state(trail, state, Vec::new()).await?;
                return Ok(false);
            }
        };
        let hours = (now - since).div_euclid(hour);
        let end = match trail.ended {
            Some(_) => second.max(since),
            None if hours < 1 => return Ok(false),
            None => since + hours * hour,
        };
        state.since = Some(since);
        let last = self.rows(scan(), FILES_MAX).await?.pop().map(|(key, _)| hex::encode(key));
        let at = Timestamp::from_millis(end);
        let (account, region) = (trail.account(), &self.parts.region);
        let folder = folder(trail, "CloudTrail-Digest", region, at);
        let (name, time) = (&trail.name, AmzDate::from_timestamp(at));
        let key = format!(
            "{folder}/{account}_CloudTrail-Digest_{region}_{name}_{region}_{}.json.gz",
            time.as_str()
        );
        let bucket = trail.bucket.clone();
        state.digest = Some(DigestPlan { bucket, key, end, through: last.unwrap_or_default() });
        self.set_state(trail, state, Vec::new()).await?;
        Ok(true)
    }

    /// Writes the digest that was decided on. Whether it was.
    pub(super) async fn write_digest(&self, trail: &TrailRow, state: &mut StateRow) -> crate::Result<bool> {
        let Some(plan) = state.digest.clone() else { return Ok(false) };
        let (mut files, mut writes, mut damaged) = (Vec::new(), Vec::new(), 0);
        if !plan.through.is_empty() {
            let through = hex::decode(&plan.through).unwrap_or_default();
            let prefix = row::of_trail(trail.account(), trail.id).finish();
            let scan = Scan { end: key_after(&through), ..Scan::prefix(row::FILES, &prefix, 500) };
            for (key, value) in self.rows(scan, FILES_MAX).await? {
                if let Ok(file) = FileRow::from_bytes(&value) {
                    files.push(file);
                } else {
                    self.damaged.note("file", &key);
                    damaged += 1;
                }
                writes.push(Write::Delete(row::FILES.key(key)));
            }
        }
        let account = trail.account();
        let fingerprint = self.public_key(account).await?.fingerprint;
        let since = state.since.unwrap_or(plan.end);
        let document = document(account, (&plan, since), &files, (state.previous.as_ref(), &fingerprint));
        let text = document.to_string();
        let hash = sha256(text.as_bytes());
        let before = state.previous.as_ref().map_or("null", |previous| previous.signature.as_str());
        let signed = format!("{}\n{}/{}\n{hash}\n{before}", shown(plan.end), plan.bucket, plan.key);
        let signature = self.signature(account, &signed).await?;
        let metadata = vec![("signature", signature.clone()), ("signature-algorithm", ALGORITHM.to_owned())];
        let file = File { body: text.into(), metadata };
        state.digest_attempted = Some(self.now().as_millis());
        if let Err(error) = self.send(trail, (&plan.bucket, &plan.key), file).await {
            let text = error.to_string();
            if state.digest_error.is_none() {
                tracing::warn!(
                    trail = trail.arn(&self.parts.region),
                    error = text,
                    "failed to deliver a digest"
                );
            }
            state.digest_error = Some(text);
            if plan.bucket != trail.bucket {
                state.digest = None;
            }
            return self.set_state(trail, state, Vec::new()).await.map(|()| false);
        }
        let previous = Previous { bucket: plan.bucket, key: plan.key, hash, signature };
        (state.previous, state.since, state.digest) = (Some(previous), Some(plan.end), None);
        (state.digested, state.digest_error) = (Some(self.now().as_millis()), None);
        self.set_state(trail, state, writes).await?;
        if damaged > 0 {
            let said = json!({
                "trail": trail.arn(&self.parts.region),
                "files": damaged,
                "reason": "which files these were can not be read: they are in no digest",
            });
            self.say(account, super::damage::DAMAGED, said, false);
        }
        Ok(true)
    }
}

fn document(
    account: crate::AccountId,
    (plan, since): (&DigestPlan, i64),
    files: &[FileRow],
    (previous, fingerprint): (Option<&Previous>, &str),
) -> Value {
    let times = |time: Option<i64>| time.map(shown);
    let logs = files.iter().map(|file| {
        json!({
            "s3Bucket": file.bucket,
            "s3Object": file.key,
            "hashValue": file.hash,
            "hashAlgorithm": "SHA-256",
            "newestEventTime": shown(file.newest),
            "oldestEventTime": shown(file.oldest),
        })
    });
    let of = |field: fn(&Previous) -> &String| previous.map(field);
    json!({
        "awsAccountId": account.to_string(),
        "digestStartTime": shown(since),
        "digestEndTime": shown(plan.end),
        "digestS3Bucket": plan.bucket,
        "digestS3Object": plan.key,
        "digestPublicKeyFingerprint": fingerprint,
        "digestSignatureAlgorithm": ALGORITHM,
        "newestEventTime": times(files.iter().map(|file| file.newest).max()),
        "oldestEventTime": times(files.iter().map(|file| file.oldest).min()),
        "previousDigestS3Bucket": of(|previous| &previous.bucket),
        "previousDigestS3Object": of(|previous| &previous.key),
        "previousDigestHashValue": of(|previous| &previous.hash),
        "previousDigestHashAlgorithm": previous.map(|_| "SHA-256"),
        "previousDigestSignature": of(|previous| &previous.signature),
        "logFiles": logs.collect::<Value>(),
    })
}
