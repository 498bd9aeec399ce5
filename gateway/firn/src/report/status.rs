//! A status: what a server answers and `firn status` shows, one type for both ends.
//!
//! Every fact is an `Option`: what a server of another version leaves out is `None`, and people are told that it is not known. `--json` prints what the
//! server answered, word for word.

use engine::blob::{RemoteUsage, Repair as EngineRepair, Usage, ZoneUsage};
use engine::unit::ByteCount;
use serde::{Deserialize, Serialize};

use super::time::json_time;

/// A part of it: facts by their names.
macro_rules! facts {
    ($(#[$about:meta])* $part:ident { $($fact:ident: $kind:ty),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        pub(crate) struct $part {
            $(pub(crate) $fact: Option<$kind>,)+
        }
    };
}

/// What may be off, and how to turn it on then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum OnOff<T> {
    /// It is off.
    Off {
        /// False.
        on: bool,
        /// What turns it on.
        how: String,
    },
    /// It is on, if it says so.
    On(T),
}

impl<T> OnOff<T> {
    /// It is off.
    pub(crate) fn off(how: impl Into<String>) -> Self {
        Self::Off { on: false, how: how.into() }
    }
}

/// What could not be found out, or what was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Asked<T> {
    /// Why not.
    Failed {
        /// In a sentence.
        error: String,
    },
    /// What.
    Known(T),
}

facts! {
    /// The whole of it, but for what only some servers have.
    Basics {
        version: String,
        ready: bool,
        reads: bool,
        writes: bool,
        not_ready_because: Vec<Because>,
        directory: String,
        pid: u32,
        region: String,
        account_id: String,
        created: String,
        started: String,
        uptime_s: u64,
        debug_day_ms: u64,
        doors: Doors,
        tls: OnOff<Tls>,
        disk: Disk,
        pool_disk: Disk,
        pool: Pool,
        catalog: Catalog,
        keys: Keys,
        memory_resident_bytes: ByteCount,
        bodies: Bodies,
        compliance_clock: Clock,
        backup: OnOff<Backup>,
        copies: u64,
        catalog_copy: OnOff<CatalogCopy>,
        zones: Vec<Zone>,
    }
}

/// A status. The parts beside the basics are there only where there is something to tell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Status {
    #[serde(flatten)]
    pub(crate) basics: Basics,
    /// Events, where topics are configured or were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) events: Option<Events>,
    /// Repair, where there are several zones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) repair: Option<Repair>,
    /// Locks that a recovery holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) held_locks: Option<Vec<HeldLock>>,
    /// Inventory reports that fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) inventories: Option<Inventories>,
    /// Lifecycle rules that can't be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lifecycle: Option<Lifecycles>,
    /// Access logs, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) access_logs: Option<AccessLogs>,
    /// Trails, where there are any, and what was lost of the audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) audit: Option<Asked<Audit>>,
    /// Quotas, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) quotas: Option<Asked<Quotas>>,
    /// The remote pool, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) remote: Option<Asked<Remote>>,
    /// Workers, which `firn top` adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) workers: Option<Vec<Worker>>,
}

facts! {
    /// Why it is not ready.
    Because { reason: String, detail: String }
}

facts! {
    /// The doors.
    Doors { s3: OnOff<Door>, admin: OnOff<Door>, nbd: OnOff<Door>, iscsi: OnOff<Door> }
}

facts! {
    /// A door that this version has.
    Door { on: bool, address: String, url: String, from_elsewhere: Vec<String> }
}

facts! {
    /// The certificate in use.
    Tls { on: bool, certificate: String, file: String, expires: String, days_left: u64, names: String }
}

/// A file system; or why it can't be looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Disk {
    pub(crate) directory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) free_bytes: Option<ByteCount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total_bytes: Option<ByteCount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

facts! {
    /// Local pools together.
    Pool {
        live: ByteCount,
        segments: u64,
        segment_bytes: ByteCount,
        freed_segments: u64,
        left_alone_segments: u64,
        free_segments: u64,
        free_segment_bytes: ByteCount,
        disk_available: ByteCount,
        full: bool,
        failing: bool,
        groups: u64,
        syncs: u64,
        records: u64,
        record_bytes: ByteCount,
        moved_bytes: ByteCount,
        zeroed_bytes: ByteCount,
        collected_blobs: u64,
        scrubbed_bytes: ByteCount,
        damaged_records: u64,
        damaged_blobs: u64,
        broken_rows: u64,
    }
}

facts! {
    /// What the sequencer did.
    Catalog { commits: u64, conflicts: u64, groups: u64, syncs: u64, log_bytes: u64 }
}

facts! {
    /// The catalog's copy in a zone.
    CatalogCopy {
        on: bool,
        state: String,
        zone: String,
        since: String,
        reason: String,
        epoch: u64,
        base_version: u64,
        parted: u64,
        leaving: String,
    }
}

facts! {
    /// The key table.
    Keys { count: u64, custodian: String }
}

facts! {
    /// Memory for the bodies of requests.
    Bodies { max_bytes: ByteCount, held_bytes: ByteCount, refused: u64, ended: u64 }
}

facts! {
    /// The clock of retentions.
    Clock { now: String, lag_s: u64 }
}

facts! {
    /// The backup.
    Backup {
        on: bool,
        target: String,
        base_version: u64,
        base_completed_at: String,
        shipped_version: u64,
        lag_commits: u64,
        lag_ms: u64,
        error: String,
    }
}

facts! {
    /// A zone.
    Zone {
        name: String,
        state: String,
        why_away: String,
        refilling: bool,
        directories: Vec<String>,
        live: ByteCount,
        segment_bytes: ByteCount,
        disk_available: ByteCount,
        full: bool,
        failing: bool,
        disks: Vec<Disk>,
    }
}

facts! {
    /// How far copies are made anew.
    Repair {
        walking: bool,
        total: ByteCount,
        done: ByteCount,
        eta_s: u64,
        short_blobs: u64,
        short: ByteCount,
        lost_blobs: u64,
        lost: ByteCount,
        queued_blobs: u64,
        mended_blobs: u64,
        copied: ByteCount,
    }
}

facts! {
    /// What waits for the receivers of topics.
    Events { waiting: u64, waiting_max: u64, topics: Vec<Topic> }
}

facts! {
    /// A topic.
    #[expect(clippy::struct_field_names, reason = "as scripts know them")]
    Topic {
        topic: String,
        arn: String,
        url: String,
        configured: bool,
        waiting: u64,
        oldest_waiting: String,
        delivered: u64,
        failed_attempts: u64,
        failing_since: String,
        last_error: String,
        lost: u64,
    }
}

facts! {
    /// A bucket's locks that a recovery holds.
    HeldLock { bucket: String, versions: u64, more: bool }
}

facts! {
    /// Reports that can't be made.
    Inventories { failing_reports: u64, failing: Vec<FailingReport> }
}

facts! {
    /// One of them.
    FailingReport { bucket: String, id: String, since: String, error: String }
}

facts! {
    /// Lifecycle rules that can't be read.
    Lifecycles { damaged_buckets: u64, damaged: Vec<DamagedRules> }
}

facts! {
    /// Those of one bucket.
    DamagedRules { bucket: String, since: String, error: String }
}

facts! {
    /// Access logs.
    AccessLogs {
        buckets: u64,
        waiting: u64,
        waiting_bytes: u64,
        delivered: u64,
        objects: u64,
        dropped: u64,
        failing_buckets: u64,
        failing: Vec<FailingLog>,
    }
}

facts! {
    /// A log that can't be written.
    FailingLog { bucket: String, target: String, since: String, error: String }
}

facts! {
    /// The audit trail.
    Audit { lost: u64, trail_count: u64, trails: Vec<Trail> }
}

facts! {
    /// A trail.
    Trail {
        arn: String,
        bucket: String,
        logging: bool,
        validates: bool,
        delivered: String,
        digested: String,
        waiting: ByteCount,
        error: String,
    }
}

facts! {
    /// Quotas.
    Quotas { set: u64, not_fine: u64, worst: Vec<Quota>, unread_buckets: u64, unread: Vec<UnreadQuotas> }
}

facts! {
    /// A quota.
    Quota {
        bucket: String,
        prefix: String,
        state: String,
        percent: u64,
        warn_percent: u64,
        limit_bytes: ByteCount,
        used_bytes: ByteCount,
        limit_objects: u64,
        used_objects: u64,
    }
}

facts! {
    /// A bucket whose quotas can't be read.
    UnreadQuotas { bucket: String, error: String }
}

facts! {
    /// A pool on another S3.
    Remote {
        name: String,
        place: String,
        keeps_local: bool,
        live: ByteCount,
        waiting_blobs: u64,
        waiting: ByteCount,
        waiting_since: String,
        unreadable_blobs: u64,
        damaged_rows: u64,
        doomed_objects: u64,
        trouble: Trouble,
        limit: ByteCount,
        uploaded_blobs: u64,
        uploaded: ByteCount,
        read: ByteCount,
        deleted_objects: u64,
        orphans: u64,
        cache: ByteCount,
        cache_max: ByteCount,
        cache_hits: u64,
        cache_misses: u64,
    }
}

facts! {
    /// What keeps it from going on.
    Trouble { since: String, why: String }
}

facts! {
    /// A worker.
    Worker { name: String, ticks: u64, done: u64, errors: u64, last_error: String }
}

impl From<&Usage> for Pool {
    fn from(usage: &Usage) -> Self {
        let Usage { live, segments, segment_bytes, freed_segments, left_alone_segments, .. } = *usage;
        let Usage { free_segments, free_segment_bytes, disk_available, full, failing, .. } = *usage;
        let Usage { groups, syncs, records, record_bytes, moved_bytes, zeroed_bytes, .. } = *usage;
        let Usage { collected_blobs, scrubbed_bytes, damaged_records, damaged_blobs, broken_rows, .. } =
            *usage;
        Self {
            live: Some(live),
            segments: Some(segments),
            segment_bytes: Some(segment_bytes),
            freed_segments: Some(freed_segments),
            left_alone_segments: Some(left_alone_segments),
            free_segments: Some(free_segments),
            free_segment_bytes: Some(free_segment_bytes),
            disk_available: Some(disk_available),
            full: Some(full),
            failing: Some(failing),
            groups: Some(groups),
            syncs: Some(syncs),
            records: Some(records),
            record_bytes: Some(record_bytes),
            moved_bytes: Some(moved_bytes),
            zeroed_bytes: Some(zeroed_bytes),
            collected_blobs: Some(collected_blobs),
            scrubbed_bytes: Some(scrubbed_bytes),
            damaged_records: Some(damaged_records),
            damaged_blobs: Some(damaged_blobs),
            broken_rows: Some(broken_rows),
        }
    }
}

impl From<&ZoneUsage> for Zone {
    fn from(zone: &ZoneUsage) -> Self {
        let ZoneUsage { live, segment_bytes, disk_available, full, failing, refilling, .. } = *zone;
        let ZoneUsage { name, state, why_away, directories, .. } = zone;
        Self {
            name: Some(name.clone()),
            state: Some((*state).to_owned()),
            why_away: why_away.clone(),
            refilling: Some(refilling),
            directories: Some(directories.clone()),
            live: Some(live),
            segment_bytes: Some(segment_bytes),
            disk_available: Some(disk_available),
            full: Some(full),
            failing: Some(failing),
            disks: None,
        }
    }
}

impl From<&EngineRepair> for Repair {
    fn from(repair: &EngineRepair) -> Self {
        let EngineRepair { walking, total, done, eta_s, short_blobs, short, lost_blobs, lost, .. } = *repair;
        let EngineRepair { queued_blobs, mended_blobs, copied, .. } = *repair;
        Self {
            walking: Some(walking),
            total: Some(total),
            done: Some(done),
            eta_s,
            short_blobs: Some(short_blobs),
            short: Some(short),
            lost_blobs: Some(lost_blobs),
            lost: Some(lost),
            queued_blobs: Some(queued_blobs),
            mended_blobs: Some(mended_blobs),
            copied: Some(copied),
        }
    }
}

impl From<&RemoteUsage> for Remote {
    fn from(usage: &RemoteUsage) -> Self {
        Self {
            name: Some(usage.name.clone()),
            place: Some(usage.place.clone()),
            keeps_local: Some(usage.keeps_local),
            live: Some(usage.live),
            waiting_blobs: Some(usage.waiting_blobs),
            waiting: Some(usage.waiting),
            waiting_since: json_time(usage.waiting_since_ms),
            unreadable_blobs: Some(usage.unreadable_blobs),
            damaged_rows: Some(usage.damaged_rows),
            doomed_objects: Some(usage.doomed_objects),
            trouble: usage.trouble.as_ref().map(|trouble| Trouble {
                since: json_time(Some(trouble.since_ms)),
                why: Some(trouble.why.clone()),
            }),
            limit: usage.limit,
            uploaded_blobs: Some(usage.uploaded_blobs),
            uploaded: Some(usage.uploaded),
            read: Some(usage.read),
            deleted_objects: Some(usage.deleted_objects),
            orphans: Some(usage.orphans),
            cache: Some(usage.cache),
            cache_max: Some(usage.cache_max),
            cache_hits: Some(usage.cache_hits),
            cache_misses: Some(usage.cache_misses),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, OnOff, Pool, Remote, Repair, Status, Zone};
    use engine::blob::{RemoteUsage, Repair as EngineRepair, Usage, ZoneUsage};
    use engine::unit::ByteCount;
    use serde_json::{Value, json};

    const BYTES: fn(u64) -> ByteCount = ByteCount::new;

    #[test]
    fn a_part_says_all_that_the_engine_says_of_it_and_by_the_same_names() {
        let usage = Usage {
            live: BYTES(1),
            segments: 2,
            segment_bytes: BYTES(3),
            freed_segments: 4,
            left_alone_segments: 5,
            free_segments: 6,
            free_segment_bytes: BYTES(7),
            disk_available: BYTES(8),
            full: true,
            failing: false,
            groups: 9,
            syncs: 10,
            records: 11,
            record_bytes: BYTES(12),
            moved_bytes: BYTES(13),
            zeroed_bytes: BYTES(14),
            collected_blobs: 15,
            scrubbed_bytes: BYTES(16),
            damaged_records: 17,
            damaged_blobs: 18,
            broken_rows: 19,
        };
        assert_eq!(json!(Pool::from(&usage)), json!(usage));
        let repair = EngineRepair {
            walking: true,
            total: BYTES(1),
            done: BYTES(2),
            eta_s: None,
            short_blobs: 3,
            short: BYTES(4),
            lost_blobs: 5,
            lost: BYTES(6),
            queued_blobs: 7,
            mended_blobs: 8,
            copied: BYTES(9),
        };
        assert_eq!(json!(Repair::from(&repair)), json!(repair));
        let zone = ZoneUsage {
            name: "a".to_owned(),
            state: "in use",
            why_away: None,
            refilling: true,
            directories: vec!["/a".to_owned()],
            live: BYTES(1),
            segment_bytes: BYTES(2),
            disk_available: BYTES(3),
            full: false,
            failing: true,
        };
        let mut expected = json!(zone);
        expected["disks"] = Value::Null;
        assert_eq!(json!(Zone::from(&zone)), expected);
    }

    #[test]
    fn a_remote_pool_says_all_that_the_engine_says_but_for_how_it_says_times() {
        let usage = RemoteUsage {
            name: "far".to_owned(),
            place: "s3://b/".to_owned(),
            keeps_local: true,
            live: BYTES(1),
            waiting_blobs: 2,
            waiting: BYTES(3),
            waiting_since_ms: None,
            unreadable_blobs: 4,
            damaged_rows: 16,
            doomed_objects: 5,
            trouble: None,
            limit: Some(BYTES(6)),
            uploaded_blobs: 7,
            uploaded: BYTES(8),
            read: BYTES(9),
            deleted_objects: 10,
            orphans: 11,
            cache: BYTES(12),
            cache_max: BYTES(13),
            cache_hits: 14,
            cache_misses: 15,
        };
        let mut expected = json!(usage);
        expected.as_object_mut().unwrap().remove("waiting_since_ms");
        expected["waiting_since"] = Value::Null;
        assert_eq!(json!(Remote::from(&usage)), expected);
    }

    #[test]
    fn what_servers_answered_before_there_was_this_type_is_read_whole_and_said_the_same() {
        for kept in [include_str!("kept/status.json"), include_str!("kept/status-of-zones.json")] {
            let mut document: Value = serde_json::from_str(kept).unwrap();
            let status: Status = serde_json::from_value(document.clone()).unwrap();
            // Newer than these documents, so nobody knows.
            document["pool"]["broken_rows"] = Value::Null;
            document["catalog_copy"] = Value::Null;
            assert_eq!(json!(status), document);
        }
    }

    #[test]
    fn what_is_off_failed_or_left_out_is_read_as_such() {
        let status: Status = serde_json::from_value(json!({
            "tls": { "on": false, "how": "start with --tls" },
            "backup": { "on": true, "lag_commits": 3 },
            "quotas": { "error": "closed" },
            "remote": { "name": "far" },
            "of_a_newer_one": [1],
        }))
        .unwrap();
        assert_eq!(status.basics.tls, Some(OnOff::off("start with --tls")));
        let Some(OnOff::On(backup)) = &status.basics.backup else { panic!("{status:?}") };
        assert_eq!((backup.lag_commits, backup.lag_ms), (Some(3), None));
        assert!(matches!(&status.quotas, Some(Asked::Failed { error }) if error == "closed"));
        assert!(matches!(&status.remote, Some(Asked::Known(remote)) if remote.waiting_blobs.is_none()));
        assert_eq!((status.basics.ready, status.events), (None, None));
    }
}
