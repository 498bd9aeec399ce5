//! What the admin door says about an appliance: status, workers, where bytes lie, backups asked for.

use super::open::Appliance;
use super::{dedup, lifecycle, quotas};
use crate::doors::Door;
use crate::report::time::json_time;
use crate::tls::{Live, Name, Secured, Source};
use engine::BoxFuture;
use engine::blob::ZoneUsage;
use objectstore::{BucketName, ErrorKind, GetRequest, HeldLocks, ObjectKey, VersionName, VersionSelector};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock, Weak};
use web::{AdminCall, AdminError, Bodies, Readiness, State, StatusSource};

/// What `POST /v1/backup` takes.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
enum BackupRequest {
    Base,
    Reseal { recipient: String },
}

/// What `POST /v1/zone` takes.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
enum ZoneRequest {
    Drain { zone: String },
    Use { zone: String },
}

/// The facts behind the admin door.
pub(crate) struct Facts {
    appliance: Arc<Appliance>,
    doors: OnceLock<Open>,
    /// Who knows what bodies hold; it holds this.
    state: OnceLock<Weak<State>>,
}

struct Open {
    http: (SocketAddr, Door),
    admin: (SocketAddr, Door),
    live: Option<Arc<Live>>,
}

impl Facts {
    pub(crate) fn new(appliance: Arc<Appliance>) -> Arc<Self> {
        Arc::new(Self { appliance, doors: OnceLock::new(), state: OnceLock::new() })
    }

    /// The doors are open, here.
    pub(crate) fn opened(
        &self,
        http: (SocketAddr, &Door),
        admin: (SocketAddr, &Door),
        live: Option<Arc<Live>>,
    ) {
        let own = |(addr, door): (SocketAddr, &Door)| (addr, door.clone());
        // Set once, by the start; a second call would change nothing.
        let _already = self.doors.set(Open { http: own(http), admin: own(admin), live });
    }

    /// What bodies hold is known here.
    pub(crate) fn bodies_are_of(&self, state: &Arc<State>) {
        // Set once, by the start; a second call would change nothing.
        let _already = self.state.set(Arc::downgrade(state));
    }

    /// The memory that bodies may hold and do, and what it came to since the start.
    pub(super) fn bodies(&self) -> Option<Bodies> {
        Some(self.state.get()?.upgrade()?.bodies())
    }

    fn secured(&self) -> Option<Secured> {
        self.doors.get()?.live.as_ref().map(|live| live.now())
    }

    fn tls(&self) -> Value {
        let Some(secured) = self.secured() else {
            return json!({ "on": false, "how": "start with --tls" });
        };
        let facts = &secured.facts;
        let (from, file) = match &secured.source {
            Source::Own { ca } => ("own_ca", ca),
            Source::Given { certificate } => ("given", certificate),
        };
        let days = facts.left(self.appliance.clock.now()).as_secs() / 86_400;
        json!({
            "on": true,
            "certificate": from,
            "file": file.display().to_string(),
            "expires": json_time(Some(facts.not_after)),
            "days_left": days,
            "names": facts.names.iter().map(Name::to_string).collect::<Vec<_>>().join(", "),
        })
    }

    fn status(&self, readiness: &Readiness, held: &[HeldLocks]) -> Value {
        let appliance = &self.appliance;
        let marker = &appliance.home.marker;
        let counts = appliance.catalog.counts();
        let uptime = appliance.clock.boottime().saturating_sub(appliance.started_boot);
        let (key_count, custodian) = appliance.keys.describe();
        let doors = self.doors.get();
        let on = |door: Option<&(SocketAddr, Door)>| {
            let (addr, door) = door.map(|(addr, door)| (addr, door)).unzip();
            let (url, elsewhere) = door.map(|door| (&door.url, &door.from_elsewhere)).unzip();
            json!({ "on": addr.is_some(), "address": addr, "url": url, "from_elsewhere": elsewhere })
        };
        let because: Vec<Value> = readiness
            .obstacles()
            .iter()
            .map(|(obstacle, detail)| json!({ "reason": obstacle, "detail": detail }))
            .collect();
        let zones = appliance.blobs.zones();
        let later = json!({ "on": false, "how": "not in this version" });
        let mut status = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "ready": readiness.is_ready(),
            "reads": readiness.reads(),
            "writes": readiness.is_ready(),
            "not_ready_because": because,
            "directory": appliance.home.dir.display().to_string(),
            "pid": std::process::id(),
            "region": marker.region,
            "account_id": marker.account.to_string(),
            "created": json_time(Some(marker.created)),
            "started": json_time(Some(appliance.started)),
            "uptime_s": uptime.as_secs(),
            "debug_day_ms": marker.debug_day.map(|day| day.as_millis()),
            "doors": {
                "s3": on(doors.map(|doors| &doors.http)),
                "admin": on(doors.map(|doors| &doors.admin)),
                "nbd": later,
                "iscsi": later,
            },
            "tls": self.tls(),
            "disk": disk(&appliance.home.dir),
            "pool_disk": appliance.pool_elsewhere().map(disk),
            "pool": appliance.blobs.usage(),
            "catalog": {
                "commits": counts.commits,
                "conflicts": counts.conflicts,
                "groups": counts.groups,
                "syncs": counts.syncs,
                "log_bytes": counts.log_bytes,
            },
            "keys": { "count": key_count, "custodian": custodian },
            "memory_resident_bytes": resident_bytes(),
            "bodies": self.bodies(),
            "compliance_clock": {
                "now": json_time(Some(appliance.compliance.now())),
                "lag_s": appliance.compliance.lag().as_secs(),
            },
            "backup": self.backup(),
            "copies": appliance.blobs.copies(),
            "zones": zones.iter().map(zone_facts).collect::<Vec<_>>(),
        });
        let topics = appliance.topics();
        if !topics.is_empty() {
            status["events"] = json!({
                "waiting": appliance.outbox.waiting(),
                "waiting_max": appliance.outbox.messages_max(),
                "topics": topics,
            });
        }
        if zones.len() > 1 {
            status["repair"] = json!(appliance.blobs.repair());
        }
        if appliance.was_recovered {
            status["held_locks"] = held.iter().map(super::locks::shown).collect();
        }
        status
    }

    fn backup(&self) -> Value {
        let Some(backup) = &self.appliance.backup else {
            return json!({ "on": false, "how": self.appliance.how_to_back_up() });
        };
        let status = backup.status();
        json!({
            "on": true,
            "target": status.target,
            "base_version": status.base_version,
            "base_completed_at": json_time(status.base_completed_at),
            "shipped_version": status.shipped_version,
            "lag_commits": status.lag_commits,
            "lag_ms": status.lag_ms,
            "error": status.error,
        })
    }

    /// `{"action": "base"}` takes a base now; `{"action": "reseal", "recipient": "age1…"}` seals to another key.
    async fn back_up(&self, request: BackupRequest) -> Result<Value, AdminError> {
        let off =
            || AdminError::Conflict(format!("back up: no backup runs; {}", self.appliance.how_to_back_up()));
        let failed = |error: engine::Error| AdminError::Unavailable(error.to_string());
        match request {
            BackupRequest::Base => {
                let backup = self.appliance.backup.as_ref().ok_or_else(off)?;
                let version = backup.write_base().await.map_err(failed)?;
                Ok(json!({ "base_version": version }))
            }
            BackupRequest::Reseal { recipient } => {
                let parsed = recipient
                    .parse()
                    .map_err(|error: engine::Error| AdminError::Invalid(error.to_string()))?;
                self.appliance
                    .home
                    .store_recipient(&parsed)
                    .map_err(|error| AdminError::Unavailable(format!("{error:#}")))?;
                if let Some(backup) = &self.appliance.backup {
                    backup.reseal(parsed);
                }
                Ok(json!({ "recipient": recipient, "backup": self.backup() }))
            }
        }
    }

    fn why_so_many(&self, inline: bool, class: &str) -> String {
        let (zones, copies) = (self.appliance.blobs.zones().len(), self.appliance.blobs.copies());
        match (zones, inline) {
            (1, _) => format!("{class} keeps one copy while there is one zone"),
            (_, true) => "the catalog lies in the data directory alone".to_owned(),
            (zones, false) => format!("{class} keeps {copies} copies in {zones} zones"),
        }
    }

    /// `{"action": "drain" | "use", "zone": NAME}`: out of use, or back into it.
    async fn zone(&self, request: ZoneRequest) -> Result<Value, AdminError> {
        let blobs = &self.appliance.blobs;
        let (name, draining) = match request {
            ZoneRequest::Drain { zone } => (zone, true),
            ZoneRequest::Use { zone } => (zone, false),
        };
        blobs.drain_zone(&name, draining).await.map_err(|error| match error.kind() {
            engine::ErrorKind::NotFound => AdminError::NotFound(error.to_string()),
            engine::ErrorKind::Invalid => AdminError::Conflict(error.to_string()),
            _ => AdminError::Unavailable(error.to_string()),
        })?;
        let zone = blobs.zones().into_iter().find(|zone| zone.name == name);
        Ok(json!({ "zone": zone.as_ref().map(zone_facts), "repair": blobs.repair() }))
    }

    async fn where_is(&self, bucket: &str, key: &str, version: Option<&str>) -> Result<Value, AdminError> {
        let invalid = |error: objectstore::Error| AdminError::Invalid(error.to_string());
        let bucket_name = BucketName::parse(bucket).map_err(invalid)?;
        let object_key = ObjectKey::parse(key).map_err(invalid)?;
        let selector = match version {
            None => VersionSelector::Latest,
            Some(text) => text.parse::<VersionName>().map_err(invalid)?.into(),
        };
        let mut request = GetRequest::new(bucket_name.clone(), object_key.clone());
        request.version = selector;
        let store = &self.appliance.store;
        let head = store.head(request).await.map_err(admin_error)?;
        let places = store.where_is(&bucket_name, &object_key, selector).await.map_err(admin_error)?;
        let inline = places.iter().any(|place| place.pool == "catalog");
        let copies = places.iter().map(|place| place.copy + 1).max().unwrap_or(1);
        let whole = whole_copies(places.iter().map(|place| (place.first, place.copy, place.missing)));
        let places: Vec<_> = places
            .iter()
            .map(|place| {
                json!({
                    "pool": place.pool,
                    "zone": place.zone,
                    "copy": place.copy,
                    "missing": place.missing,
                    "segment": place.segment,
                    "offset": place.offset,
                    "object_offset": place.first,
                    "stored_bytes": place.stored,
                })
            })
            .collect();
        let why = if inline {
            "small objects lie encrypted beside their row in the catalog"
        } else if places.iter().any(|place| place["pool"] == "s3") {
            "larger objects lie encrypted in objects of the remote pool"
        } else {
            "larger objects lie encrypted in segment files of the local pool"
        };
        Ok(json!({
            "bucket": bucket,
            "key": key,
            "version_id": head.info.version.map(|version| version.to_string()),
            "storage_class": head.info.class.to_string(),
            "size_bytes": head.info.size,
            "copies": copies,
            "copies_whole": whole,
            "why": format!("{why}; {}", self.why_so_many(inline, &head.info.class.to_string())),
            "places": places,
        }))
    }
}

/// Copies of an object that can be read, from its records: where the body that each is of begins in the object, which copy of
/// that it belongs to, whether it is missing. As many as the body has that has the fewest: which zone a copy is in differs from
/// body to body.
fn whole_copies(records: impl Iterator<Item = (u64, usize, bool)>) -> usize {
    let mut bodies: BTreeMap<u64, BTreeMap<usize, bool>> = BTreeMap::new();
    for (first, copy, missing) in records {
        *bodies.entry(first).or_default().entry(copy).or_insert(true) &= !missing;
    }
    let whole = |copies: &BTreeMap<usize, bool>| copies.values().filter(|whole| **whole).count();
    bodies.values().map(whole).min().unwrap_or_default()
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
pub(super) fn admin_error(error: objectstore::Error) -> AdminError {
    match error.kind() {
        ErrorKind::NotFound => AdminError::NotFound(error.to_string()),
        ErrorKind::Invalid => AdminError::Invalid(error.to_string()),
        ErrorKind::Denied => AdminError::Denied(error.to_string()),
        ErrorKind::Conflict => AdminError::Conflict(error.to_string()),
        ErrorKind::Unavailable => AdminError::Unavailable(error.to_string()),
        ErrorKind::Corrupt => AdminError::Internal(error.to_string()),
    }
}

/// What a call asks for, from its body.
fn read<T: DeserializeOwned>(request: Value) -> Result<T, AdminError> {
    serde_json::from_value(request).map_err(|error| AdminError::Invalid(format!("read the request: {error}")))
}

/// A zone with the room that the disks of its directories have.
fn zone_facts(zone: &ZoneUsage) -> Value {
    let mut facts = json!(zone);
    facts["disks"] = zone.directories.iter().map(|dir| disk(Path::new(dir))).collect();
    facts
}

fn disk(dir: &Path) -> Value {
    match rustix::fs::statvfs(dir) {
        Ok(stat) => json!({
            "directory": dir.display().to_string(),
            "free_bytes": stat.f_bavail.saturating_mul(stat.f_frsize),
            "total_bytes": stat.f_blocks.saturating_mul(stat.f_frsize),
        }),
        Err(error) => json!({ "directory": dir.display().to_string(), "error": error.to_string() }),
    }
}

/// Memory that the process holds, from the kernel; `None` where it does not say.
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

impl StatusSource for Facts {
    fn ready(&self) -> BoxFuture<'_, Readiness> {
        Box::pin(self.appliance.readiness())
    }

    fn call(&self, call: AdminCall) -> BoxFuture<'_, Result<Value, AdminError>> {
        Box::pin(async move {
            match call {
                AdminCall::Status => {
                    let held = self.appliance.held_locks().await;
                    let mut status = self.status(&self.appliance.readiness().await, &held);
                    let failing = super::inventories::status(&self.appliance.store.failing_inventories());
                    if let Some(failing) = failing {
                        status["inventories"] = failing;
                    }
                    if let Some(damaged) = lifecycle::status(&self.appliance.store.damaged_lifecycles()) {
                        status["lifecycle"] = damaged;
                    }
                    let logs = super::access_logs::status(&self.appliance.store.log_status());
                    if let Some(logs) = logs {
                        status["access_logs"] = logs;
                    }
                    if let Some(quotas) = quotas::status(&self.appliance.store).await {
                        status["quotas"] = quotas;
                    }
                    match self.appliance.blobs.remote_usage().await {
                        Ok(None) => {}
                        Ok(Some(remote)) => status["remote"] = super::remote_findings::facts(&remote),
                        // What else there is to say is wanted all the more.
                        Err(error) => status["remote"] = json!({ "error": error.to_string() }),
                    }
                    Ok(status)
                }
                AdminCall::Doctor => {
                    let held = self.appliance.held_locks().await;
                    let readiness = self.appliance.readiness().await;
                    let mut findings = self.appliance.findings(&readiness, &held);
                    let now = self.appliance.clock.now();
                    findings.extend(self.bodies().and_then(super::findings::bodies));
                    findings.extend(quotas::findings(&self.appliance.store).await);
                    findings.extend(self.appliance.remote_findings().await);
                    findings.extend(self.secured().map(|secured| super::findings::tls(&secured, now)));
                    Ok(json!({ "findings": findings }))
                }
                AdminCall::Workers => serde_json::to_value(self.appliance.workers.status())
                    .map_err(|error| AdminError::Internal(error.to_string())),
                AdminCall::Where { bucket, key, version } => {
                    self.where_is(&bucket, &key, version.as_deref()).await
                }
                AdminCall::Quotas { bucket } => quotas::list(&self.appliance.store, bucket.as_deref()).await,
                AdminCall::Quota { request } => quotas::change(&self.appliance.store, read(request)?).await,
                AdminCall::Dedup { request } => dedup::answer(&self.appliance.store, read(request)?).await,
                AdminCall::Lifecycle { request } => {
                    Box::pin(lifecycle::answer(
                        &self.appliance.store,
                        self.appliance.clock.now(),
                        read(request)?,
                    ))
                    .await
                }
                AdminCall::Zone { request } => self.zone(read(request)?).await,
                AdminCall::Backup { request } => self.back_up(read(request)?).await,
                AdminCall::Locks { request } => self.appliance.locks(read(request)?).await,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::whole_copies;

    #[test]
    fn copies_are_whole_by_the_records_of_an_object_whichever_zone_each_is_in() {
        // Each body's beginning, copy, and the zone that the copy is in; the first has two records.
        let two = [(0, 0, "a"), (0, 0, "a"), (0, 1, "b"), (0, 1, "b"), (10, 0, "b"), (10, 1, "a")];
        let away =
            |gone: &str| whole_copies(two.iter().map(|(first, copy, zone)| (*first, *copy, *zone == gone)));
        assert_eq!((away("b"), away("a"), away("none")), (1, 1, 2));
        let three = [(0, 0, "a"), (0, 1, "b"), (10, 0, "b"), (10, 1, "c")];
        let with = |gone: [&str; 2]| {
            whole_copies(three.iter().map(|(first, copy, zone)| (*first, *copy, gone.contains(zone))))
        };
        assert_eq!((with(["a", "c"]), with(["a", "b"]), with(["a", "-"])), (1, 0, 1));
        // One record of a copy is damaged.
        assert_eq!(whole_copies([(0, 0, false), (0, 0, true), (0, 1, false)].into_iter()), 1);
    }
}
