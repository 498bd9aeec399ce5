//! What `status` and `doctor` say of the remote pool: how far behind it is, since when, and why.

use super::open::Appliance;
use crate::report::finding::Finding;
use crate::text::{counted, quote_sh, show_duration};
use engine::blob::RemoteUsage;
use engine::clock::Timestamp;
use engine::unit::ByteCount;
use std::time::Duration;

/// A queue that is so old is a fault, if nothing else explains it.
const LATE: Duration = Duration::from_hours(1);

impl Appliance {
    /// Nothing in an appliance that has no remote pool and never had one.
    pub(super) async fn remote_findings(&self) -> Vec<Finding> {
        let dir = quote_sh(&self.home.dir.display().to_string());
        let unreadable = |error: engine::Error| {
            vec![Finding::fault(
                "remote",
                format!("it can't be judged: {error}"),
                format!("firn status {dir}"),
            )]
        };
        let usage = match self.blobs.remote_usage().await {
            Ok(usage) => usage,
            Err(error) => return unreadable(error),
        };
        let lost = match self.blobs.unreachable_remote_bytes().await {
            Ok(lost) => lost,
            Err(error) => return unreadable(error),
        };
        let mut findings: Vec<Finding> =
            usage.map(|usage| judge(&usage, self.clock.now(), &dir)).into_iter().collect();
        if lost != ByteCount::ZERO {
            let text = format!("{lost} of bodies lie in a remote pool that is not configured any more");
            findings.push(Finding::fault("remote", text, "put its [[zone]] back and restart"));
        }
        findings
    }
}

fn judge(usage: &RemoteUsage, now: Timestamp, dir: &str) -> Finding {
    let name = &usage.name;
    let behind = match usage.waiting_since_ms {
        None => "nothing waits".to_owned(),
        Some(since) => {
            let age = Duration::from_secs(now.since(since).as_secs());
            format!(
                "{} bodies ({}) wait, the first for {}",
                usage.waiting_blobs,
                usage.waiting,
                show_duration(age)
            )
        }
    };
    if let Some(trouble) = &usage.trouble {
        let age = Duration::from_secs(now.since(trouble.since_ms).as_secs());
        let text =
            format!("zone {name} has been in trouble for {}: {}; {behind}", show_duration(age), trouble.why);
        let fix = format!(
            "bring {} back: it is tried again by itself; until then bodies stay local, as long as there is room",
            usage.place
        );
        return Finding::fault("remote", text, fix);
    }
    let text = format!("zone {name} at {}: {} lie there, {behind}", usage.place, usage.live);
    if usage.unreadable_blobs > 0 {
        let text = format!("{text}; of {} of them no copy can be read", usage.unreadable_blobs);
        let fix = "mend or mount the disks that hold them: the log names the first, and they are tried every minute";
        return Finding::fault("remote", text, fix);
    }
    if usage.damaged_rows > 0 {
        let rows = counted(usage.damaged_rows, "row of it", "rows of it");
        let text = format!("{text}; {rows} in the catalog can't be read");
        let fix = "read the log for their bodies (uploader); recover the catalog from the backup (firn recover --help)";
        return Finding::fault("remote", text, fix);
    }
    let is_late = usage.waiting_since_ms.is_some_and(|since| now.since(since) > LATE);
    match usage.limit {
        Some(ByteCount::ZERO) if is_late => {
            Finding::note("remote", text, "uploads pause at this hour: see its upload-limit")
        }
        _ if is_late => {
            let fix =
                format!("look at uploader in firn top {dir}; a higher upload-limit, or none, is faster");
            Finding::fault("remote", text, fix)
        }
        _ => Finding::fine("remote", text),
    }
}

#[cfg(test)]
mod tests {
    use super::judge;
    use crate::report::status::Remote;
    use engine::blob::{RemoteTrouble, RemoteUsage};
    use engine::clock::Timestamp;
    use engine::unit::ByteCount;

    fn usage() -> RemoteUsage {
        RemoteUsage {
            name: "cloud".to_owned(),
            place: "s3://b/ at http://h".to_owned(),
            keeps_local: false,
            live: ByteCount::mib(5),
            waiting_blobs: 0,
            waiting: ByteCount::ZERO,
            waiting_since_ms: None,
            unreadable_blobs: 0,
            damaged_rows: 0,
            doomed_objects: 0,
            trouble: None,
            limit: None,
            uploaded_blobs: 1,
            uploaded: ByteCount::mib(5),
            read: ByteCount::ZERO,
            deleted_objects: 0,
            orphans: 0,
            cache: ByteCount::ZERO,
            cache_max: ByteCount::gib(1),
            cache_hits: 0,
            cache_misses: 0,
        }
    }

    #[test]
    fn a_remote_pool_is_judged_by_its_trouble_its_lag_and_its_pauses() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let ago = |minutes: i64| Some(Timestamp::from_millis(now.as_millis() - minutes * 60_000));
        let waits = |minutes| RemoteUsage {
            waiting_blobs: 3,
            waiting: ByteCount::mib(2),
            waiting_since_ms: ago(minutes),
            ..usage()
        };
        let trouble = RemoteTrouble { since_ms: ago(180).unwrap(), why: "no route".to_owned() };
        for (usage, ok, says, fix) in [
            (usage(), true, "nothing waits", None),
            (waits(10), true, "3 bodies (2.0 MiB) wait, the first for 10m", None),
            (waits(90), false, "the first for 90m", Some("upload-limit")),
            (RemoteUsage { unreadable_blobs: 2, ..waits(10) }, false, "of 2 of them no copy", Some("disks")),
            (
                RemoteUsage { damaged_rows: 2, ..waits(10) },
                false,
                "2 rows of it in the catalog",
                Some("firn recover"),
            ),
            (RemoteUsage { limit: Some(ByteCount::ZERO), ..waits(90) }, true, "the first for", Some("pause")),
            (
                RemoteUsage { trouble: Some(trouble), ..waits(90) },
                false,
                "trouble for 3h: no route; 3 bodies",
                Some("bring s3://b/"),
            ),
        ] {
            let finding = judge(&usage, now, "d");
            assert!(finding.ok == ok && finding.detail.contains(says), "{finding:?}");
            assert_eq!(
                finding.fix.as_deref().is_some_and(|line| fix.is_none_or(|fix| line.contains(fix))),
                fix.is_some()
            );
        }
        let facts = Remote::from(&waits(0));
        assert_eq!(facts.waiting_since.as_deref(), Some("2027-01-15T08:00:00.000Z"));
        assert!(facts.trouble.is_none());
    }
}
