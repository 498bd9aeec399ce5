//! What the admin door says about an appliance: status, workers, where bytes lie, backups asked for.

use super::open::Appliance;
use super::{cost, dedup, lifecycle, quotas, vault_door};
use crate::doors::Door;
use crate::report::status::{
    self, Asked, Backup, Basics, Because, Disk, Doors, Events, Keys, OnOff, Pool, Remote, Repair, Status,
    Tls, Zone,
};
use crate::report::time::json_time;
use crate::tls::{Live, Name, Secured, Source};
use engine::BoxFuture;
use engine::blob::ZoneUsage;
use engine::catalog::copy::CopyState;
use engine::unit::ByteCount;
use objectstore::{BucketName, ErrorKind, GetRequest, ObjectKey, VersionName, VersionSelector};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock, Weak};
use web::{AdminCall, AdminError, Bodies, Obstacle, Readiness, State, StatusSource};

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

    fn tls(&self) -> OnOff<Tls> {
        let Some(secured) = self.secured() else { return OnOff::off("start with --tls") };
        let facts = &secured.facts;
        let (from, file) = match &secured.source {
            Source::Own { ca } => ("own_ca", ca),
            Source::Given { certificate } => ("given", certificate),
        };
        OnOff::On(Tls {
            on: Some(true),
            certificate: Some(from.to_owned()),
            file: Some(file.display().to_string()),
            expires: json_time(Some(facts.not_after)),
            days_left: Some(facts.left(self.appliance.clock.now()).as_secs() / 86_400),
            names: Some(facts.names.iter().map(Name::to_string).collect::<Vec<_>>().join(", ")),
        })
    }

    fn doors(&self) -> Doors {
        let doors = self.doors.get();
        let on = |door: Option<&(SocketAddr, Door)>| {
            Some(OnOff::On(status::Door {
                on: Some(door.is_some()),
                address: door.map(|(addr, _)| addr.to_string()),
                url: door.map(|(_, door)| door.url.clone()),
                from_elsewhere: door.map(|(_, door)| door.from_elsewhere.clone()),
            }))
        };
        let later = Some(OnOff::off("not in this version"));
        let (s3, admin) = (on(doors.map(|doors| &doors.http)), on(doors.map(|doors| &doors.admin)));
        Doors { s3, admin, nbd: later.clone(), iscsi: later }
    }

    /// What every server has to tell.
    fn basics(&self, readiness: &Readiness) -> Basics {
        let appliance = &self.appliance;
        let marker = &appliance.home.marker;
        let uptime = appliance.clock.boottime().saturating_sub(appliance.started_boot);
        let because = |(obstacle, detail): &(Obstacle, String)| Because {
            reason: Some(obstacle.as_str().to_owned()),
            detail: Some(detail.clone()),
        };
        let counts = appliance.catalog.counts();
        let (key_count, custodian) = appliance.keys.describe();
        Basics {
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            ready: Some(readiness.is_ready()),
            reads: Some(readiness.reads()),
            writes: Some(readiness.is_ready()),
            not_ready_because: Some(readiness.obstacles().iter().map(because).collect()),
            directory: Some(appliance.home.dir.display().to_string()),
            pid: Some(std::process::id()),
            region: Some(marker.region.clone()),
            account_id: Some(marker.account.to_string()),
            created: json_time(Some(marker.created)),
            started: json_time(Some(appliance.started)),
            uptime_s: Some(uptime.as_secs()),
            debug_day_ms: marker.debug_day.and_then(|day| u64::try_from(day.as_millis()).ok()),
            doors: Some(self.doors()),
            tls: Some(self.tls()),
            disk: Some(disk(&appliance.home.dir)),
            pool_disk: appliance.pool_elsewhere().map(disk),
            pool: Some(Pool::from(&appliance.blobs.usage())),
            catalog: Some(status::Catalog {
                commits: Some(counts.commits),
                conflicts: Some(counts.conflicts),
                groups: Some(counts.groups),
                syncs: Some(counts.syncs),
                log_bytes: Some(counts.log_bytes),
            }),
            keys: Some(Keys { count: Some(key_count as u64), custodian: Some(custodian) }),
            memory_resident_bytes: resident_bytes(),
            bodies: self.bodies().map(|bodies| status::Bodies {
                max_bytes: Some(ByteCount::new(bodies.max_bytes)),
                held_bytes: Some(ByteCount::new(bodies.held_bytes)),
                refused: Some(bodies.refused),
                ended: Some(bodies.ended),
            }),
            compliance_clock: Some(status::Clock {
                now: json_time(Some(appliance.compliance.now())),
                lag_s: Some(appliance.compliance.lag().as_secs()),
            }),
            backup: Some(self.backup()),
            copies: Some(appliance.blobs.copies() as u64),
            catalog_copy: Some(appliance.copying.status(&appliance.catalog.copy_status())),
            zones: Some(appliance.blobs.zones().iter().map(zone_facts).collect()),
        }
    }

    async fn status(&self) -> Status {
        let appliance = &self.appliance;
        // Before all that reads rows: it waits for a disk that hangs no longer than it must.
        let readiness = appliance.readiness().await;
        let held = if readiness.reads() { appliance.held_locks().await } else { Vec::new() };
        let topics = appliance.topics();
        let events = |topics| Events {
            waiting: Some(appliance.outbox.waiting()),
            waiting_max: Some(appliance.outbox.messages_max()),
            topics: Some(topics),
        };
        let in_zones = appliance.blobs.zones().len() > 1;
        // What counts rows would wait for a disk that hangs.
        let answers = readiness.reads();
        let remote = match if answers { appliance.blobs.remote_usage().await } else { Ok(None) } {
            Ok(usage) => usage.map(|usage| Asked::Known(Remote::from(&usage))),
            // What else there is to say is wanted all the more.
            Err(error) => Some(Asked::Failed { error: error.to_string() }),
        };
        Status {
            basics: self.basics(&readiness),
            events: (!topics.is_empty()).then(|| events(topics)),
            repair: in_zones.then(|| Repair::from(&appliance.blobs.repair())),
            held_locks: (appliance.was_recovered && readiness.reads())
                .then(|| held.iter().map(super::locks::shown).collect()),
            inventories: super::inventories::status(&appliance.store.failing_inventories()),
            lifecycle: lifecycle::status(&appliance.store.damaged_lifecycles()),
            access_logs: super::access_logs::status(&appliance.store.log_status()),
            audit: if answers { super::audit::status(&appliance.audit).await } else { None },
            quotas: if answers { quotas::status(&appliance.store).await } else { None },
            remote,
            workers: None,
        }
    }

    fn backup(&self) -> OnOff<Backup> {
        let Some(backup) = &self.appliance.backup else { return OnOff::off(self.appliance.how_to_back_up()) };
        let status = backup.status();
        OnOff::On(Backup {
            on: Some(true),
            target: Some(status.target),
            base_version: status.base_version,
            base_completed_at: json_time(status.base_completed_at),
            shipped_version: Some(status.shipped_version),
            lag_commits: Some(status.lag_commits),
            lag_ms: Some(status.lag_ms),
            error: status.error,
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
            (1, true) if self.appliance.copying.wanted => self.where_the_catalog_is(),
            (1, _) => format!("{class} keeps one copy while there is one zone"),
            (_, true) => self.where_the_catalog_is(),
            (zones, false) => format!("{class} keeps {copies} copies in {zones} zones"),
        }
    }

    fn where_the_catalog_is(&self) -> String {
        let copy = self.appliance.catalog.copy_status();
        match copy.zone.filter(|_| copy.state == CopyState::Both) {
            Some(zone) => format!("the catalog lies in the data directory and in zone {zone}"),
            None => "the catalog lies in the data directory alone".to_owned(),
        }
    }

    /// `{"action": "drain" | "use", "zone": NAME}`: out of use, or back into it.
    async fn zone(&self, request: ZoneRequest) -> Result<Value, AdminError> {
        let blobs = &self.appliance.blobs;
        let (name, draining) = match request {
            ZoneRequest::Drain { zone } => (zone, true),
            ZoneRequest::Use { zone } => (zone, false),
        };
        if draining {
            let copy = self.appliance.catalog.copy_status();
            self.appliance
                .copying
                .refuse_drain(&name, &blobs.zones(), &copy)
                .map_err(AdminError::Conflict)?;
        }
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
        let info = store.peek(&request).await.map_err(admin_error)?;
        let places = store.where_is(&bucket_name, &object_key, selector).await.map_err(admin_error)?;
        let inline = places.iter().any(|place| place.pool == "catalog");
        let copies = places.iter().map(|place| place.copy + 1).max().unwrap_or(1);
        // Small objects lie in no zone and no segment.
        let said = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        let whole = whole_copies(places.iter().map(|place| (place.first, place.copy, place.missing)));
        let places: Vec<_> = places
            .iter()
            .map(|place| {
                json!({
                    "pool": place.pool,
                    "zone": said(&place.zone),
                    "copy": place.copy,
                    "missing": place.missing,
                    "segment": said(&place.segment),
                    "offset": place.offset,
                    "object_offset": place.first,
                    "stored_bytes": place.stored,
                })
            })
            .collect();
        let in_vault = info.class.is_archived() && places.iter().any(|place| place["pool"] == "vault");
        let why = if in_vault {
            "the archived bytes lie in packs of the bucket's vault, each encrypted and with parity of its own, on one medium"
        } else if info.class.is_archived() {
            "archived bytes lie in the pool like any other: no vault holds them (vault.enabled), or not of this kind; what takes the pool takes \
             them"
        } else if inline {
            "small objects lie encrypted beside their row in the catalog"
        } else if places.iter().any(|place| place["pool"] == "s3") {
            "larger objects lie encrypted in objects of the remote pool"
        } else {
            "larger objects lie encrypted in segment files of the local pool"
        };
        let prices = &self.appliance.prices;
        Ok(json!({
            "bucket": bucket,
            "key": key,
            "version_id": info.version.map(|version| version.to_string()),
            "storage_class": info.class.to_string(),
            "size_bytes": info.size,
            "price": {
                "currency": prices.currency,
                "gb_month": prices.of(info.class).gb_month,
                "monthly": prices.month(info.class, info.size.get()),
            },
            "copies": copies,
            "copies_whole": whole,
            "why": if in_vault { why.to_owned() } else { format!("{why}; {}", self.why_so_many(inline, &info.class.to_string())) },
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
fn zone_facts(zone: &ZoneUsage) -> Zone {
    Zone {
        disks: Some(zone.directories.iter().map(|dir| disk(Path::new(dir))).collect()),
        ..Zone::from(zone)
    }
}

fn disk(dir: &Path) -> Disk {
    let directory = Some(dir.display().to_string());
    let bytes = |blocks: u64, size: u64| Some(ByteCount::new(blocks.saturating_mul(size)));
    match rustix::fs::statvfs(dir) {
        Ok(stat) => Disk {
            directory,
            free_bytes: bytes(stat.f_bavail, stat.f_frsize),
            total_bytes: bytes(stat.f_blocks, stat.f_frsize),
            error: None,
        },
        Err(error) => Disk { directory, error: Some(error.to_string()), ..Disk::default() },
    }
}

/// Memory that the process holds, from the kernel; `None` where it does not say.
fn resident_bytes() -> Option<ByteCount> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(ByteCount::new(pages * rustix::param::page_size() as u64))
}

impl StatusSource for Facts {
    fn ready(&self) -> BoxFuture<'_, Readiness> {
        Box::pin(self.appliance.readiness())
    }

    fn call(&self, call: AdminCall) -> BoxFuture<'_, Result<Value, AdminError>> {
        Box::pin(async move {
            match call {
                AdminCall::Status => serde_json::to_value(self.status().await)
                    .map_err(|error| AdminError::Internal(error.to_string())),
                AdminCall::Doctor => {
                    let readiness = self.appliance.readiness().await;
                    let held = if readiness.reads() { self.appliance.held_locks().await } else { Vec::new() };
                    let mut findings = self.appliance.findings(&readiness, &held);
                    let now = self.appliance.clock.now();
                    findings.extend(self.bodies().and_then(super::findings::bodies));
                    // What counts rows would wait for a disk that hangs.
                    if readiness.reads() {
                        findings.extend(super::buckets::findings(&self.appliance.store).await);
                        findings.extend(quotas::findings(&self.appliance.store).await);
                        findings.extend(self.appliance.remote_findings().await);
                    }
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
                        (&self.appliance.store, &self.appliance.prices),
                        self.appliance.clock.now(),
                        read(request)?,
                    ))
                    .await
                }
                AdminCall::Cost { request } => {
                    cost::answer(&self.appliance.store, &self.appliance.prices, read(request)?).await
                }
                AdminCall::Zone { request } => self.zone(read(request)?).await,
                AdminCall::Backup { request } => self.back_up(read(request)?).await,
                AdminCall::Locks { request } => self.appliance.locks(read(request)?).await,
                AdminCall::Vault { request } => {
                    let vaults = self.appliance.vaults.as_ref();
                    Box::pin(vault_door::answer(vaults, self.appliance.home.marker.account, read(request)?))
                        .await
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::home::{Home, Wish};
    use super::{Appliance, Facts, whole_copies};
    use crate::config::{self, Overrides};
    use engine::catalog::{Catalog, Commit, Family, Table, Write};
    use engine::clock::{Clock, ManualClock, Timestamp};
    use engine::entropy::{Entropy, SeededEntropy};
    use engine::id::PartitionId;
    use objectstore::{BucketName, NewBucket};
    use serde_json::Value;
    use std::sync::Arc;
    use web::{AdminCall, StatusSource as _};

    /// The names in a document, whatever it says of them.
    fn names(value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), names(value))).collect()
            }
            Value::Array(items) if !items.is_empty() => items.iter().map(names).collect(),
            _ => Value::Null,
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_status_has_the_names_that_scripts_know() {
        let dir = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::from_millis(1_769_860_800_000)));
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(1));
        let config = config::load(None, &Overrides::default()).unwrap();
        let home = Home::open(dir.path(), &Wish::default(), &*clock, &entropy).unwrap();
        let appliance = Appliance::open_on(home, &config, (clock, entropy, Arc::default())).await.unwrap();
        let facts = Facts::new(Arc::new(appliance));
        let status = facts.call(AdminCall::Status).await.unwrap();
        let mut kept: Value = serde_json::from_str(include_str!("../report/kept/status.json")).unwrap();
        // What the doors' own process has.
        kept["bodies"] = Value::Null;
        // Newer than the document.
        kept["pool"]["broken_rows"] = Value::Null;
        kept["catalog_copy"] = serde_json::json!({ "on": null, "how": null });
        assert_eq!(names(&status), names(&kept));
        facts.appliance.close().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_bucket_whose_row_is_damaged_is_told_by_doctor_and_keeps_nothing_else_from_starting() {
        let dir = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::from_millis(1_769_860_800_000)));
        let open = async |seed| {
            let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(seed));
            let config = config::load(None, &Overrides::default()).unwrap();
            let home = Home::open(dir.path(), &Wish::default(), &*clock, &entropy).unwrap();
            Appliance::open_on(home, &config, (clock.clone(), entropy, Arc::default())).await.unwrap()
        };
        let appliance = open(1).await;
        let bucket = BucketName::parse("whole").unwrap();
        appliance.store.create_bucket(&bucket, &NewBucket::default()).await.unwrap();
        // Where docs/formats/objectstore-rows.md has them.
        let row = Table { family: Family::Record, tag: 0x10 }.key("broken");
        // Cut short behind its version.
        let writes = vec![Write::Put(row, "\u{1}".into())];
        appliance.catalog.commit(Commit { writes, ..Commit::new(PartitionId::ROOT, 0) }).await.unwrap();
        appliance.close().await;
        drop(appliance);

        let facts = Facts::new(Arc::new(open(2).await));
        facts.appliance.store.head_bucket(&bucket).await.unwrap();
        let told = facts.call(AdminCall::Doctor).await.unwrap();
        let faults: Vec<&Value> = told["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|finding| finding["check"] == "bucket")
            .collect();
        assert_eq!(faults.len(), 1, "{told}");
        assert!(
            faults[0]["ok"] == false
                && faults[0]["detail"].as_str().unwrap().contains("s3://broken can't be served")
        );
        facts.appliance.close().await;
    }

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
