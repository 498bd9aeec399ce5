//! A status on a screen: what needs attention first, then room, doors, zones, backup; a line each, in units that people read.
//!
//! The admin door's document has more, and `--json` keeps all of it. What a server of another version leaves out is `unknown` here, never nothing.

use crate::report::Report;
use crate::report::finding::is_low;
use crate::report::status::{
    self, AccessLogs, Asked, Audit, Backup, Basics, Because, Bodies, CatalogCopy, Clock, Disk, Door, Events,
    HeldLock, Inventories, Lifecycles, OnOff, Pool, Quotas, Remote, Repair, Tls, Topic, Trail, Worker, Zone,
};
use crate::text::{about, counted, printable, quote_sh};
use engine::unit::ByteCount;
use serde::Serialize;
use serde_json::Value;
use std::io::{self, Write};
use std::time::Duration;

/// A status; with workers, a line for each of them.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Status {
    /// As the server said it.
    document: Value,
    #[serde(skip)]
    told: status::Status,
}

impl Status {
    /// What a server answered.
    pub(super) fn read(document: Value) -> Result<Self, serde_json::Error> {
        let told = serde_json::from_value(document.clone())?;
        Ok(Self { document, told })
    }
}

/// What is said of a fact that a server does not tell.
const UNKNOWN: &str = "unknown";

impl Report for Status {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let status = &self.told;
        let basics = &status.basics;
        let state = match basics.ready {
            Some(true) => "ready",
            Some(false) => "NOT READY",
            None => "it does not say whether it is ready",
        };
        let dir = text(basics.directory.as_ref());
        writeln!(
            out,
            "firn {} on {}: {state}, up {}",
            text(basics.version.as_ref()),
            quote_sh(&dir),
            since(basics.uptime_s)
        )?;
        writeln!(
            out,
            "  account {}, region {}, {} in memory",
            text(basics.account_id.as_ref()),
            text(basics.region.as_ref()),
            bytes(basics.memory_resident_bytes)
        )?;
        attention(status, out)?;
        bodies(basics.bodies.as_ref(), out)?;
        space(basics, out)?;
        doors(basics, out)?;
        let in_zones = basics.zones.as_deref().unwrap_or_default();
        if in_zones.len() > 1 {
            writeln!(out, "zones, {} kept", count(basics.copies, "copy", "copies"))?;
            zones(in_zones, out)?;
        }
        repair(status.repair.as_ref(), out)?;
        catalog_copy(basics.catalog_copy.as_ref(), out)?;
        remote(status.remote.as_ref(), out)?;
        backup(basics.backup.as_ref(), out)?;
        events(status.events.as_ref(), out)?;
        audit(status.audit.as_ref(), out)?;
        clock(basics.compliance_clock.as_ref(), out)?;
        workers(status.workers.as_deref().unwrap_or_default(), out)
    }
}

fn text(text: Option<&String>) -> String {
    text.map_or_else(|| UNKNOWN.to_owned(), |text| printable(text))
}

/// The same where a text may be missing for a reason.
fn text_or_none(text: Option<&String>) -> String {
    text.map_or_else(|| "-".to_owned(), |text| printable(text))
}

fn number(number: Option<u64>) -> String {
    number.map_or_else(|| UNKNOWN.to_owned(), |number| number.to_string())
}

pub(super) fn count(number: Option<u64>, one: &str, many: &str) -> String {
    number.map_or_else(|| format!("{UNKNOWN} {many}"), |number| counted(number, one, many))
}

fn bytes(bytes: Option<ByteCount>) -> String {
    bytes.map_or_else(|| UNKNOWN.to_owned(), |bytes| bytes.to_string())
}

fn since(seconds: Option<u64>) -> String {
    seconds.map_or_else(|| UNKNOWN.to_owned(), |seconds| about(Duration::from_secs(seconds)))
}

/// Whether it is told, and more than none.
fn is_some(number: Option<u64>) -> bool {
    number.is_some_and(|number| number > 0)
}

/// What of a pool can't be read, or not be emptied.
fn damage(pool: &Pool, lines: &mut Vec<String>) {
    for (found, one, many, says) in [
        (pool.damaged_blobs, "body has", "bodies have", "damaged records"),
        (pool.broken_rows, "row of a body", "rows of bodies", "that can't be read"),
        (pool.left_alone_segments, "segment can't", "segments can't", "be emptied"),
    ] {
        if is_some(found) {
            lines.push(format!("{} {says}", count(found, one, many)));
        }
    }
}

/// Everything that is not as it should be, the worst first.
fn attention(status: &status::Status, out: &mut dyn Write) -> io::Result<()> {
    let mut lines = Vec::new();
    let basics = &status.basics;
    for Because { reason, detail } in basics.not_ready_because.as_deref().unwrap_or_default() {
        let served = match basics.reads {
            Some(true) => "writes are refused",
            Some(false) => "nothing is served",
            // A server from before that was said.
            None => "not ready",
        };
        lines.push(format!("{served}: {} ({})", text(detail.as_ref()), text(reason.as_ref())));
    }
    little_room(basics, &mut lines);
    bodies_at_risk(status, &mut lines);
    if let Some(OnOff::On(Backup { error: Some(error), .. })) = &basics.backup {
        lines.push(format!("the backup fails: {}", printable(error)));
    }
    match &status.remote {
        Some(Asked::Failed { error }) => {
            lines.push(format!("the remote pool can't be judged: {}", printable(error)));
        }
        Some(Asked::Known(remote)) => {
            if let Some(why) = remote.trouble.as_ref().and_then(|trouble| trouble.why.as_ref()) {
                lines.push(format!("the remote pool {}: {}", text(remote.name.as_ref()), printable(why)));
            }
        }
        None => {}
    }
    let topics = status.events.as_ref().and_then(|events| events.topics.as_deref());
    for topic in topics.unwrap_or_default() {
        if let Some(error) = topic.last_error.as_ref().filter(|_| topic.failing_since.is_some()) {
            lines.push(format!("topic {} fails: {}", text(topic.topic.as_ref()), printable(error)));
        }
    }
    inventories(status.inventories.as_ref(), &mut lines);
    lifecycles(status.lifecycle.as_ref(), &mut lines);
    access_logs(status.access_logs.as_ref(), &mut lines);
    audit_trail(status.audit.as_ref(), &mut lines);
    if let Some(OnOff::On(Tls { days_left: Some(days), .. })) = basics.tls
        && days < CERTIFICATE_DAYS
    {
        lines.push(format!("the certificate holds for another {}", counted(days, "day", "days")));
    }
    quotas(status.quotas.as_ref(), &mut lines);
    held_locks(status, &mut lines);
    if let Some(day) = basics.debug_day_ms {
        lines.push(format!("a rehearsal: a calendar day lasts {day} ms"));
    }
    not_told(basics, &mut lines);
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "attention (firn doctor says what mends it)")?;
    lines.iter().try_for_each(|line| writeln!(out, "  {line}"))
}

/// What might need attention, and nobody knows.
fn not_told(basics: &Basics, lines: &mut Vec<String>) {
    let pool = basics.pool.as_ref();
    let facts = [
        ("what keeps it from serving", basics.not_ready_because.is_none()),
        ("the room that is left", basics.disk.is_none()),
        ("damaged bodies", pool.is_none_or(|pool| pool.damaged_blobs.is_none())),
        ("the backup", basics.backup.is_none()),
    ];
    let lacking: Vec<_> = facts.into_iter().filter_map(|(fact, lacks)| lacks.then_some(fact)).collect();
    if !lacking.is_empty() {
        lines.push(format!("not told by this server: {}", lacking.join(", ")));
    }
}

/// Disks that `doctor` calls low.
fn little_room(basics: &Basics, lines: &mut Vec<String>) {
    for disk in [&basics.disk, &basics.pool_disk].into_iter().flatten() {
        let known = disk.free_bytes.zip(disk.total_bytes);
        if known.is_some_and(|(free, total)| is_low(free, total)) {
            lines.push(format!("little room: {}", room(disk)));
        }
    }
}

/// What is lost, damaged, away, full, or has too few copies.
fn bodies_at_risk(status: &status::Status, lines: &mut Vec<String>) {
    type Fact = fn(&Zone) -> Option<bool>;
    let repair = status.repair.clone().unwrap_or_default();
    if is_some(repair.lost_blobs) {
        let bodies = count(repair.lost_blobs, "body", "bodies");
        lines.push(format!("{bodies} ({}) can't be read in any zone", bytes(repair.lost)));
    }
    if let Some(pool) = &status.basics.pool {
        damage(pool, lines);
    }
    let zones = status.basics.zones.as_deref().unwrap_or_default();
    for zone in zones {
        if let Some(why) = &zone.why_away {
            lines.push(format!("zone {}: {}", text(zone.name.as_ref()), printable(why)));
        }
    }
    let facts: [(Fact, &str); 2] =
        [(|zone| zone.failing, "its last write or sync failed"), (|zone| zone.full, "it is full")];
    for (fact, says) in facts {
        for zone in zones.iter().filter(|zone| fact(zone) == Some(true) && zones.len() > 1) {
            lines.push(format!("zone {}: {says}", text(zone.name.as_ref())));
        }
    }
    let at_risk = repair.short_blobs.max(repair.queued_blobs);
    if is_some(at_risk) {
        let bodies = count(at_risk, "body lacks copies or is", "bodies lack copies or are");
        lines.push(format!("{bodies} damaged"));
    }
    if let Some(OnOff::On(CatalogCopy { on: Some(true), state: Some(state), reason, .. })) =
        &status.basics.catalog_copy
        && state == "alone"
    {
        let why = reason.as_ref().map_or_else(String::new, |why| format!(": {}", printable(why)));
        lines.push(format!("the catalog has no copy in a zone{why}"));
    }
}

/// Reports that can't be made.
fn inventories(failing: Option<&Inventories>, lines: &mut Vec<String>) {
    for report in failing.and_then(|failing| failing.failing.as_deref()).unwrap_or_default() {
        let (bucket, error) = (text(report.bucket.as_ref()), text(report.error.as_ref()));
        lines.push(match &report.id {
            Some(id) => format!("the inventory report {id} of {bucket} is not made: {error}"),
            None => format!("inventory reports of {bucket} are not made: {error}"),
        });
    }
}

/// Rules that nobody can read.
fn lifecycles(damaged: Option<&Lifecycles>, lines: &mut Vec<String>) {
    for rules in damaged.and_then(|rules| rules.damaged.as_deref()).unwrap_or_default() {
        let (bucket, error) = (text(rules.bucket.as_ref()), text(rules.error.as_ref()));
        lines.push(format!("the lifecycle rules of {bucket} act on nothing: {error}"));
    }
}

/// Logs that are not written, and records that were lost.
fn access_logs(logs: Option<&AccessLogs>, lines: &mut Vec<String>) {
    let Some(logs) = logs else { return };
    for log in logs.failing.as_deref().unwrap_or_default() {
        let (bucket, error) = (text(log.bucket.as_ref()), text(log.error.as_ref()));
        lines.push(format!("the access log of {bucket} is not written: {error}"));
    }
    if is_some(logs.dropped) {
        let records = count(logs.dropped, "record", "records");
        lines.push(format!("{records} of access logs lost since the start"));
    }
}

/// Records that were lost, and trails that can't write.
fn audit_trail(audit: Option<&Asked<Audit>>, lines: &mut Vec<String>) {
    let audit = match audit {
        None => return,
        Some(Asked::Failed { error }) => {
            return lines.push(format!("the trails can't be read: {}", printable(error)));
        }
        Some(Asked::Known(audit)) => audit,
    };
    if is_some(audit.lost) {
        let records = count(audit.lost, "record", "records");
        lines.push(format!("{records} of the audit trail lost since the start"));
    }
    for trail in audit.trails.as_deref().unwrap_or_default() {
        if let Some(error) = &trail.error {
            let (arn, bucket) = (text(trail.arn.as_ref()), text(trail.bucket.as_ref()));
            lines.push(format!("{arn} does not write into {bucket}: {}", printable(error)));
        }
    }
}

/// Those that are nearly full, or not known.
fn quotas(quotas: Option<&Asked<Quotas>>, lines: &mut Vec<String>) {
    let quotas = match quotas {
        None => return,
        Some(Asked::Failed { error }) => {
            return lines.push(format!("quotas can't be read: {}", printable(error)));
        }
        Some(Asked::Known(quotas)) => quotas,
    };
    for bucket in quotas.unread.as_deref().unwrap_or_default() {
        let (name, error) = (text(bucket.bucket.as_ref()), text(bucket.error.as_ref()));
        lines.push(format!("the quotas of s3://{name} can't be read: {error}"));
    }
    for quota in quotas.worst.as_deref().unwrap_or_default() {
        let place = format!("s3://{}/{}", text(quota.bucket.as_ref()), text(quota.prefix.as_ref()));
        lines.push(match quota.percent {
            Some(percent) => format!("the quota of {place} is {percent} % full"),
            None => format!("the quota of {place} is being counted, and not enforced yet"),
        });
    }
}

/// What a recovery holds.
fn held_locks(status: &status::Status, lines: &mut Vec<String>) {
    let locks = status.held_locks.as_deref().unwrap_or_default();
    let held: u64 = locks.iter().filter_map(|bucket| bucket.versions).sum();
    let is_more = |bucket: &HeldLock| bucket.more == Some(true) || bucket.versions.is_none();
    let more = locks.iter().any(is_more);
    if held == 0 && !more {
        return;
    }
    let versions = if more {
        format!("{held} versions or more are")
    } else {
        counted(held, "version is", "versions are")
    };
    let dir = quote_sh(&text(status.basics.directory.as_ref()));
    lines.push(format!("{versions} held since a recovery: firn lock ls {dir}"));
}

/// A certificate with fewer days left is worth a line, as `doctor` notes it.
const CERTIFICATE_DAYS: u64 = 30;

fn space(basics: &Basics, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "space")?;
    for (name, disk) in [("data", &basics.disk), ("pool", &basics.pool_disk)] {
        if let Some(disk) = disk {
            writeln!(out, "  {name:8} {}", room(disk))?;
        }
    }
    let pool = basics.pool.clone().unwrap_or_default();
    writeln!(
        out,
        "  bodies   {} in {} of {} together",
        bytes(pool.live),
        count(pool.segments, "segment file", "segment files"),
        bytes(pool.segment_bytes)
    )?;
    if !is_some(pool.free_segments) {
        return Ok(());
    }
    let files = count(pool.free_segments, "empty file is", "empty files are");
    writeln!(out, "           {files} ready for more: {}", bytes(pool.free_segment_bytes))
}

fn room(disk: &Disk) -> String {
    let place = text(disk.directory.as_ref());
    match &disk.error {
        Some(error) => format!("{place}: {}", printable(error)),
        None => format!("{} free of {}  {place}", bytes(disk.free_bytes), bytes(disk.total_bytes)),
    }
}

fn doors(basics: &Basics, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "doors")?;
    let doors = basics.doors.clone().unwrap_or_default();
    for (name, door) in [("s3", doors.s3), ("admin", doors.admin)] {
        let door = match door {
            Some(OnOff::On(door)) => door,
            Some(OnOff::Off { how, .. }) => {
                writeln!(out, "  {name:8} off: {}", printable(&how))?;
                continue;
            }
            None => Door::default(),
        };
        let url =
            if door.on == Some(false) { text_or_none(door.url.as_ref()) } else { text(door.url.as_ref()) };
        writeln!(out, "  {name:8} {url}")?;
        for url in door.from_elsewhere.unwrap_or_default() {
            writeln!(out, "           {}  from other machines", printable(&url))?;
        }
    }
    if let Some(OnOff::On(tls)) = &basics.tls
        && tls.on == Some(true)
    {
        let days = count(tls.days_left, "day", "days");
        let own = match tls.certificate.as_deref() {
            Some("own_ca") => "clients believe",
            Some(_) => "given in",
            None => "by",
        };
        writeln!(out, "  tls      {own} {}, {days} left", text(tls.file.as_ref()))?;
        writeln!(out, "           for {}", text(tls.names.as_ref()))?;
    }
    Ok(())
}

/// A line for each zone.
pub(super) fn zones(zones: &[Zone], out: &mut dyn Write) -> io::Result<()> {
    for zone in zones {
        let state =
            if zone.refilling == Some(true) { "refilling".to_owned() } else { text(zone.state.as_ref()) };
        let places = match &zone.directories {
            None => UNKNOWN.to_owned(),
            Some(none) if none.is_empty() => "-".to_owned(),
            Some(places) => places.iter().map(|place| printable(place)).collect::<Vec<_>>().join(", "),
        };
        writeln!(
            out,
            "  {:10} {state:10} {:>10} live  {:>10} free  {places}",
            text(zone.name.as_ref()),
            bytes(zone.live),
            bytes(zone.disk_available),
        )?;
    }
    Ok(())
}

pub(super) fn repair(repair: Option<&Repair>, out: &mut dyn Write) -> io::Result<()> {
    let Some(repair) = repair else { return Ok(()) };
    let mended = count(repair.mended_blobs, "body", "bodies");
    let done = format!("{mended} mended, {} copied since the start", bytes(repair.copied));
    match repair.walking {
        Some(true) => {
            let left = repair.eta_s.map(|_| format!(", about {} left", since(repair.eta_s)));
            let (at, total) = (bytes(repair.done), bytes(repair.total));
            writeln!(out, "repair     at {at} of {total}{}; {done}", left.unwrap_or_default())
        }
        Some(false) => writeln!(out, "repair     rests; {done}"),
        None => writeln!(out, "repair     {UNKNOWN} whether it rests; {done}"),
    }
}

/// Where the catalog lies besides; nothing where nobody asked for that.
fn catalog_copy(copy: Option<&OnOff<CatalogCopy>>, out: &mut dyn Write) -> io::Result<()> {
    let Some(OnOff::On(copy)) = copy else { return Ok(()) };
    let since = copy.since.as_ref().map_or_else(String::new, |since| format!(" since {}", printable(since)));
    match (copy.state.as_deref(), &copy.zone) {
        (Some("both"), Some(zone)) => writeln!(out, "catalog    in zone {}, too{since}", printable(zone))?,
        (Some("joining"), Some(zone)) => {
            writeln!(out, "catalog    a copy is being made in zone {}", printable(zone))?;
        }
        (Some(_), _) => writeln!(out, "catalog    in the data directory alone{since}")?,
        (None, _) => writeln!(out, "catalog    {UNKNOWN} whether it has its copy")?,
    }
    match &copy.leaving {
        Some(zone) => writeln!(out, "           zone {} is being cleared of what it had", printable(zone)),
        None => Ok(()),
    }
}

fn backup(backup: Option<&OnOff<Backup>>, out: &mut dyn Write) -> io::Result<()> {
    let backup = match backup {
        None => return writeln!(out, "backup     {UNKNOWN}"),
        Some(OnOff::Off { how, .. }) => return writeln!(out, "backup     off: {}", printable(how)),
        Some(OnOff::On(Backup { on: Some(false), .. })) => return writeln!(out, "backup     off"),
        Some(OnOff::On(backup)) => backup,
    };
    let base = backup
        .base_completed_at
        .as_ref()
        .map_or_else(|| "no base since the start".to_owned(), |at| format!("base of {}", printable(at)));
    let behind = count(backup.lag_commits, "commit", "commits");
    writeln!(out, "backup     to {}: {base}, {behind} behind", text(backup.target.as_ref()))
}

/// The pool on another S3: what lies there, what waits for it.
fn remote(remote: Option<&Asked<Remote>>, out: &mut dyn Write) -> io::Result<()> {
    let Some(Asked::Known(remote)) = remote else { return Ok(()) };
    let waiting = count(remote.waiting_blobs, "body waits", "bodies wait");
    writeln!(out, "remote     {} in {}", bytes(remote.live), text(remote.place.as_ref()))?;
    writeln!(
        out,
        "           {waiting} ({}), since {}; cache {} of {}",
        bytes(remote.waiting),
        text_or_none(remote.waiting_since.as_ref()),
        bytes(remote.cache),
        bytes(remote.cache_max)
    )
}

/// The memory of requests' bodies, and what it came to.
fn bodies(bodies: Option<&Bodies>, out: &mut dyn Write) -> io::Result<()> {
    let Some(bodies) = bodies else { return Ok(()) };
    write!(out, "bodies     {} of {} of memory", bytes(bodies.held_bytes), bytes(bodies.max_bytes))?;
    if is_some(bodies.refused) || is_some(bodies.ended) {
        let (refused, ended) = (number(bodies.refused), number(bodies.ended));
        write!(out, "; since the start {refused} requests were told to slow down, {ended} bodies ended")?;
    }
    writeln!(out)
}

/// What waits for the receivers of topics.
fn events(events: Option<&Events>, out: &mut dyn Write) -> io::Result<()> {
    let Some(events) = events else { return Ok(()) };
    writeln!(out, "events     {} of {} wait", number(events.waiting), number(events.waiting_max))?;
    for topic in events.topics.as_deref().unwrap_or_default() {
        let Topic { waiting, delivered, lost, .. } = topic;
        let lost = lost.filter(|lost| *lost > 0).map(|lost| format!(", {lost} LOST")).unwrap_or_default();
        let (name, url) = (text(topic.topic.as_ref()), text_or_none(topic.url.as_ref()));
        let (waiting, delivered) = (number(*waiting), number(*delivered));
        writeln!(out, "  {name:10} {waiting} wait, {delivered} delivered{lost}  {url}")?;
        if let Some(arn) = &topic.arn {
            writeln!(out, "             {}", printable(arn))?;
        }
    }
    Ok(())
}

/// The trails of the audit trail.
fn audit(audit: Option<&Asked<Audit>>, out: &mut dyn Write) -> io::Result<()> {
    let Some(Asked::Known(audit)) = audit else { return Ok(()) };
    writeln!(out, "audit      {}", count(audit.trail_count, "trail", "trails"))?;
    for trail in audit.trails.as_deref().unwrap_or_default() {
        let Trail { logging, delivered, digested, waiting, .. } = trail;
        let arn = text(trail.arn.as_ref());
        let logs = match logging {
            Some(true) => "logs to",
            Some(false) => "is stopped; its files are in",
            None => "writes to",
        };
        writeln!(
            out,
            "  {:10} {logs} {}, last file {}, last digest {}, {} wait",
            arn.rsplit('/').next().unwrap_or_default(),
            text(trail.bucket.as_ref()),
            text_or_none(delivered.as_ref()),
            text_or_none(digested.as_ref()),
            bytes(*waiting)
        )?;
        writeln!(out, "             {arn}")?;
    }
    Ok(())
}

/// A clock of retentions that is so far behind is worth telling, in seconds.
const CLOCK_LAG_S: u64 = 300;

/// The clock that retentions are judged by.
fn clock(clock: Option<&Clock>, out: &mut dyn Write) -> io::Result<()> {
    let lag = clock.and_then(|clock| clock.lag_s).filter(|lag| *lag >= CLOCK_LAG_S);
    if lag.is_none() {
        return Ok(());
    }
    writeln!(
        out,
        "clock      of retentions: {} behind, for time while firn did not run does not count",
        since(lag)
    )?;
    writeln!(
        out,
        "           it catches up by an hour a day; until then what object lock holds is held so much longer"
    )
}

fn workers(workers: &[Worker], out: &mut dyn Write) -> io::Result<()> {
    if workers.is_empty() {
        return Ok(());
    }
    writeln!(out, "{:24} {:>10} {:>14} {:>7}  last error", "workers", "ticks", "done", "errors")?;
    for worker in workers {
        writeln!(
            out,
            "  {:22} {:>10} {:>14} {:>7}  {}",
            text(worker.name.as_ref()),
            number(worker.ticks),
            number(worker.done),
            number(worker.errors),
            text_or_none(worker.last_error.as_ref())
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Status;
    use crate::report::render;
    use serde_json::{Value, json};

    fn people(status: Value) -> String {
        let mut text = Vec::new();
        render(&Status::read(status).unwrap(), false, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    /// What a server of one zone that has nothing to tell answers.
    fn well() -> Value {
        json!({
            "version": "0.1.0", "ready": true, "reads": true, "writes": true, "not_ready_because": [],
            "directory": "/srv/firn", "pid": 7, "region": "us-east-1", "account_id": "123456789012",
            "uptime_s": 273_600, "debug_day_ms": null, "memory_resident_bytes": 125_829_120,
            "doors": {
                "s3": { "on": true, "url": "https://127.0.0.1:9000", "from_elsewhere": ["https://192.0.2.7:9000"] },
                "admin": { "on": true, "url": "http://127.0.0.1:9001", "from_elsewhere": [] },
                "nbd": { "on": false, "how": "not in this version" },
            },
            "tls": {
                "on": true, "certificate": "own_ca", "file": "/srv/firn/tls/ca.pem", "days_left": 396,
                "names": "localhost, 192.0.2.7",
            },
            "disk": { "directory": "/srv/firn", "free_bytes": 84_825_604_096_u64, "total_bytes": 107_374_182_400_u64 },
            "pool_disk": null,
            "pool": {
                "live": 1_048_576, "segments": 1, "segment_bytes": 16_777_216, "damaged_blobs": 0, "broken_rows": 0, "left_alone_segments": 0,
                "free_segments": 2,
                "free_segment_bytes": 33_554_432,
            },
            "compliance_clock": { "now": "2026-01-31T12:00:00.000Z", "lag_s": 0 },
            "copies": 1,
            "zones": [{ "name": "local", "state": "in use", "why_away": null, "full": false, "failing": false }],
            "backup": { "on": false, "how": "set backup.target in a --config file, then restart" },
        })
    }

    #[test]
    fn a_status_that_is_well_fits_on_a_screen() {
        let screen = people(well());
        assert!(screen.lines().count() <= 24, "{screen}");
        insta::assert_snapshot!(screen);
    }

    #[test]
    fn what_needs_attention_comes_first_the_worst_before_the_rest() {
        let mut status = well();
        status["ready"] = false.into();
        status["not_ready_because"] = json!([{ "reason": "too_few_zones", "detail": "store 2 copies: the zones that take writes are 1" }]);
        for what in ["damaged_blobs", "broken_rows", "left_alone_segments"] {
            status["pool"][what] = 1.into();
        }
        status["copies"] = 2.into();
        let zone = |name: &str| {
            json!({
                "name": name, "state": "in use", "why_away": null, "refilling": false, "full": false, "failing": false,
                "live": 1_048_576, "disk_available": 84_825_604_096_u64, "directories": [format!("/mnt/{name}")],
            })
        };
        status["zones"] = json!([zone("a"), zone("b"), zone("c"), zone("hostile\u{1b}[2J")]);
        status["zones"][1]["refilling"] = true.into();
        status["zones"][2]["state"] = "away".into();
        status["zones"][2]["why_away"] = "/mnt/c has lost its mark".into();
        status["zones"][2]["directories"] = json!([]);
        status["zones"][0]["full"] = true.into();
        status["repair"] = json!({
            "walking": true, "total": 2_147_483_648_u64, "done": 1_073_741_824, "eta_s": 95, "short_blobs": 3,
            "queued_blobs": 5, "lost_blobs": 1, "lost": 2_097_152, "mended_blobs": 1, "copied": 4_194_304,
        });
        status["backup"] = json!({
            "on": true, "target": "directory /mnt/b", "base_completed_at": "2026-01-31T12:00:00.000Z",
            "lag_commits": 1, "error": "no route",
        });
        status["compliance_clock"]["lag_s"] = 86_400.into();
        status["disk"]["free_bytes"] = 1_048_576.into();
        status["tls"]["days_left"] = 1.into();
        status["quotas"] = json!({ "set": 3, "not_fine": 2, "worst": [
            { "bucket": "models", "prefix": "", "percent": 97 }, { "bucket": "data", "prefix": "raw/", "percent": null },
        ], "unread": [{ "bucket": "lost", "error": "closed" }] });
        status["remote"] = json!({
            "name": "far", "place": "s3://bodies/ at https://192.0.2.8", "live": 3_221_225_472_u64, "waiting_blobs": 2,
            "waiting": 8_388_608, "waiting_since": "2026-01-31T12:00:00.000Z", "cache": 1_048_576,
            "cache_max": 1_073_741_824, "trouble": { "since": "2026-01-31T12:00:00.000Z", "why": "it does not answer" },
        });
        let topic = |name: &str, url: Option<&str>, waiting: u64, lost: u64, since: Option<&str>| {
            json!({
                "topic": name, "arn": format!("arn:aws:sns:us-east-1:123456789012:{name}"), "url": url, "waiting": waiting, "delivered": 12, "lost": lost,
                "failing_since": since, "last_error": since.map(|_| "reach 192.0.2.9: refused"),
            })
        };
        status["events"] = json!({ "waiting": 7, "waiting_max": 1_000_000, "topics": [
            topic("new-objects", Some("https://192.0.2.9/in"), 4, 0, Some("2026-01-31T12:00:00.000Z")),
            topic("gone", None, 3, 2, None),
        ] });
        let trail = |name: &str, logging: bool, delivered: Option<&str>, error: Option<&str>| {
            json!({
                "arn": format!("arn:aws:cloudtrail:us-east-1:123456789012:trail/{name}"), "bucket": "logs", "logging": logging,
                "validates": true, "delivered": delivered, "digested": null, "waiting": 2048, "error": error,
            })
        };
        status["audit"] = json!({ "lost": 2, "trail_count": 2, "trails": [
            trail("all", true, Some("2026-01-31T12:00:00.000Z"), Some("NoSuchBucket")), trail("old", false, None, None),
        ] });
        status["held_locks"] = json!([{ "bucket": "locked", "versions": 12, "more": true }]);
        status["debug_day_ms"] = 10_000.into();
        status["workers"] =
            json!([{ "name": "collector", "ticks": 3, "done": 2, "errors": 0, "last_error": null }]);
        insta::assert_snapshot!(people(status));
    }

    #[test]
    fn what_another_version_does_not_say_is_unknown_and_never_nothing() {
        let screen = people(json!({
            "version": "9", "ready": false, "of_a_newer_one": { "a": 1 },
            "backup": { "on": true, "target": "t" }, "repair": {}, "events": { "topics": [{ "topic": "t" }] },
            "zones": [{ "name": "a" }, { "name": "b" }], "remote": { "name": "far" }, "pool": {}, "bodies": {},
            "audit": { "trails": [{}] },
        }));
        insta::assert_snapshot!(screen);
        let nothing = people(json!({}));
        assert!(
            nothing.contains("does not say whether it is ready") && nothing.contains("backup     unknown"),
            "{nothing}"
        );
        for text in [screen, nothing] {
            let zero = text.split(|c: char| !c.is_ascii_digit()).any(|number| number == "0");
            assert!(!zero, "a fact that nobody told: {text}");
        }
    }

    #[test]
    fn whether_reads_are_served_is_unknown_where_nobody_said_it() {
        for (reads, said) in [
            (json!(true), "writes are refused: a"),
            (json!(false), "nothing is served: a"),
            (json!(null), "not ready: a"),
        ] {
            let screen = people(json!({
                "ready": false, "reads": reads, "not_ready_because": [{ "reason": "r", "detail": "a" }],
            }));
            assert!(screen.contains(said), "{screen}");
        }
    }

    #[test]
    fn json_is_what_the_server_said_word_for_word() {
        let document = json!({ "version": "9", "of_a_newer_one": { "a": [1, null] }, "ready": null });
        let mut said = Vec::new();
        render(&Status::read(document.clone()).unwrap(), true, &mut said).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&said).unwrap(), document);
    }
}
