//! A status on a screen: what needs attention first, then room, doors, zones, backup; a line each, in units that people read.
//!
//! The admin door's document has more, and `--json` keeps all of it. What a server of another version leaves out is left out.

use super::admin::scalar;
use crate::report::Report;
use crate::report::finding::is_low;
use crate::text::{about, counted, printable, quote_sh};
use engine::unit::ByteCount;
use serde::Serialize;
use serde_json::Value;
use std::io::{self, Write};
use std::time::Duration;

/// A status; with workers, a line for each of them.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Status(pub(super) Value);

impl Report for Status {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let status = &self.0;
        let state = if status["ready"] == true { "ready" } else { "NOT READY" };
        let dir = text(&status["directory"]);
        writeln!(
            out,
            "firn {} on {}: {state}, up {}",
            text(&status["version"]),
            quote_sh(&dir),
            since(&status["uptime_s"])
        )?;
        writeln!(
            out,
            "  account {}, region {}, {} in memory",
            text(&status["account_id"]),
            text(&status["region"]),
            bytes(&status["memory_resident_bytes"])
        )?;
        attention(status, out)?;
        bodies(&status["bodies"], out)?;
        space(status, out)?;
        doors(status, out)?;
        if list(&status["zones"]).len() > 1 {
            writeln!(out, "zones, {} kept", counted(number(&status["copies"]), "copy", "copies"))?;
            zones(&status["zones"], out)?;
        }
        repair(&status["repair"], out)?;
        remote(&status["remote"], out)?;
        backup(&status["backup"], out)?;
        events(&status["events"], out)?;
        clock(&status["compliance_clock"], out)?;
        workers(&status["workers"], out)
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| "-".to_owned(), printable)
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn bytes(value: &Value) -> String {
    value.as_u64().map_or_else(|| "-".to_owned(), |n| ByteCount::new(n).to_string())
}

fn since(seconds: &Value) -> String {
    seconds.as_u64().map_or_else(|| "-".to_owned(), |seconds| about(Duration::from_secs(seconds)))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn damage(pool: &Value, lines: &mut Vec<String>) {
    for (what, one, many, says) in [
        ("damaged_blobs", "body has", "bodies have", "damaged records"),
        ("broken_rows", "row of a body", "rows of bodies", "that can't be read"),
        ("left_alone_segments", "segment can't", "segments can't", "be emptied"),
    ] {
        let found = number(&pool[what]);
        if found > 0 {
            lines.push(format!("{} {says}", counted(found, one, many)));
        }
    }
}

/// Everything that is not as it should be, the worst first.
fn attention(status: &Value, out: &mut dyn Write) -> io::Result<()> {
    let mut lines = Vec::new();
    for obstacle in list(&status["not_ready_because"]) {
        let served = if status["reads"] == true { "writes are refused" } else { "nothing is served" };
        lines.push(format!("{served}: {} ({})", text(&obstacle["detail"]), text(&obstacle["reason"])));
    }
    little_room(status, &mut lines);
    let repair = &status["repair"];
    if number(&repair["lost_blobs"]) > 0 {
        let bodies = counted(number(&repair["lost_blobs"]), "body", "bodies");
        lines.push(format!("{bodies} ({}) can't be read in any zone", bytes(&repair["lost"])));
    }
    damage(&status["pool"], &mut lines);
    let zones = list(&status["zones"]);
    for zone in zones {
        if let Some(why) = zone["why_away"].as_str() {
            lines.push(format!("zone {}: {}", text(&zone["name"]), printable(why)));
        }
    }
    for (what, says) in [("failing", "its last write or sync failed"), ("full", "it is full")] {
        for zone in zones.iter().filter(|zone| zone[what] == true && zones.len() > 1) {
            lines.push(format!("zone {}: {says}", text(&zone["name"])));
        }
    }
    let at_risk = number(&repair["short_blobs"]).max(number(&repair["queued_blobs"]));
    if at_risk > 0 {
        let bodies = counted(at_risk, "body lacks copies or is", "bodies lack copies or are");
        lines.push(format!("{bodies} damaged"));
    }
    if let Some(error) = status["backup"]["error"].as_str() {
        lines.push(format!("the backup fails: {}", printable(error)));
    }
    if let Some(why) = status["remote"]["error"].as_str() {
        lines.push(format!("the remote pool can't be judged: {}", printable(why)));
    }
    if let Some(why) = status["remote"]["trouble"]["why"].as_str() {
        lines.push(format!("the remote pool {}: {}", text(&status["remote"]["name"]), printable(why)));
    }
    for topic in list(&status["events"]["topics"]) {
        if let Some(error) = topic["last_error"].as_str().filter(|_| topic["failing_since"].is_string()) {
            lines.push(format!("topic {} fails: {}", text(&topic["topic"]), printable(error)));
        }
    }
    inventories(&status["inventories"], &mut lines);
    for damage in list(&status["lifecycle"]["damaged"]) {
        let (bucket, error) = (text(&damage["bucket"]), text(&damage["error"]));
        lines.push(format!("the lifecycle rules of {bucket} act on nothing: {error}"));
    }
    access_logs(&status["access_logs"], &mut lines);
    if status["tls"]["days_left"].as_u64().is_some_and(|days| days < CERTIFICATE_DAYS) {
        let days = counted(number(&status["tls"]["days_left"]), "day", "days");
        lines.push(format!("the certificate holds for another {days}"));
    }
    quotas(&status["quotas"], &mut lines);
    let locks = list(&status["held_locks"]);
    let held: u64 = locks.iter().map(|bucket| number(&bucket["versions"])).sum();
    if held > 0 {
        let versions = if locks.iter().any(|bucket| bucket["more"] == true) {
            format!("{held} versions or more are")
        } else {
            counted(held, "version is", "versions are")
        };
        lines.push(format!(
            "{versions} held since a recovery: firn lock ls {}",
            quote_sh(&text(&status["directory"]))
        ));
    }
    if let Some(day) = status["debug_day_ms"].as_u64() {
        lines.push(format!("a rehearsal: a calendar day lasts {day} ms"));
    }
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "attention (firn doctor says what mends it)")?;
    lines.iter().try_for_each(|line| writeln!(out, "  {line}"))
}

/// Disks that `doctor` calls low.
fn little_room(status: &Value, lines: &mut Vec<String>) {
    for disk in [&status["disk"], &status["pool_disk"]] {
        let (free, total) = (&disk["free_bytes"], &disk["total_bytes"]);
        let known = free.as_u64().zip(total.as_u64()).map(|(f, t)| (ByteCount::new(f), ByteCount::new(t)));
        if known.is_some_and(|(free, total)| is_low(free, total)) {
            lines.push(format!("little room: {}", room(disk)));
        }
    }
}

/// Reports that can't be made.
fn inventories(failing: &Value, lines: &mut Vec<String>) {
    for report in list(&failing["failing"]) {
        let (bucket, error) = (text(&report["bucket"]), text(&report["error"]));
        lines.push(match report["id"].as_str() {
            Some(id) => format!("the inventory report {id} of {bucket} is not made: {error}"),
            None => format!("inventory reports of {bucket} are not made: {error}"),
        });
    }
}

/// Logs that are not written, and records that were lost.
fn access_logs(logs: &Value, lines: &mut Vec<String>) {
    for log in list(&logs["failing"]) {
        lines.push(format!(
            "the access log of {} is not written: {}",
            text(&log["bucket"]),
            text(&log["error"])
        ));
    }
    if number(&logs["dropped"]) > 0 {
        let records = counted(number(&logs["dropped"]), "record", "records");
        lines.push(format!("{records} of access logs lost since the start"));
    }
}

/// Those that are nearly full, or not known.
fn quotas(quotas: &Value, lines: &mut Vec<String>) {
    if let Some(error) = quotas["error"].as_str() {
        lines.push(format!("quotas can't be read: {}", printable(error)));
    }
    for bucket in list(&quotas["unread"]) {
        let (name, error) = (text(&bucket["bucket"]), text(&bucket["error"]));
        lines.push(format!("the quotas of s3://{name} can't be read: {error}"));
    }
    for quota in list(&quotas["worst"]) {
        let place = format!("s3://{}/{}", text(&quota["bucket"]), text(&quota["prefix"]));
        lines.push(match quota["percent"].as_u64() {
            Some(percent) => format!("the quota of {place} is {percent} % full"),
            None => format!("the quota of {place} is being counted, and not enforced yet"),
        });
    }
}

/// A certificate with fewer days left is worth a line, as `doctor` notes it.
const CERTIFICATE_DAYS: u64 = 30;

fn space(status: &Value, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "space")?;
    for (name, disk) in [("data", &status["disk"]), ("pool", &status["pool_disk"])] {
        if disk.is_object() {
            writeln!(out, "  {name:8} {}", room(disk))?;
        }
    }
    let pool = &status["pool"];
    writeln!(
        out,
        "  bodies   {} in {} of {} together",
        bytes(&pool["live"]),
        counted(number(&pool["segments"]), "segment file", "segment files"),
        bytes(&pool["segment_bytes"])
    )?;
    match number(&pool["free_segments"]) {
        0 => Ok(()),
        free => {
            let files = counted(free, "empty file is", "empty files are");
            writeln!(out, "           {files} ready for more: {}", bytes(&pool["free_segment_bytes"]))
        }
    }
}

fn room(disk: &Value) -> String {
    let place = text(&disk["directory"]);
    match disk["error"].as_str() {
        Some(error) => format!("{place}: {}", printable(error)),
        None => format!("{} free of {}  {place}", bytes(&disk["free_bytes"]), bytes(&disk["total_bytes"])),
    }
}

fn doors(status: &Value, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "doors")?;
    for name in ["s3", "admin"] {
        let door = &status["doors"][name];
        writeln!(out, "  {name:8} {}", text(&door["url"]))?;
        for url in list(&door["from_elsewhere"]) {
            writeln!(out, "           {}  from other machines", text(url))?;
        }
    }
    let tls = &status["tls"];
    if tls["on"] == true {
        let days = counted(number(&tls["days_left"]), "day", "days");
        let own = if tls["certificate"] == "own_ca" { "clients believe" } else { "given in" };
        writeln!(out, "  tls      {own} {}, {days} left", text(&tls["file"]))?;
        writeln!(out, "           for {}", text(&tls["names"]))?;
    }
    Ok(())
}

/// A line for each zone.
pub(super) fn zones(zones: &Value, out: &mut dyn Write) -> io::Result<()> {
    for zone in list(zones) {
        let state = if zone["refilling"] == true { "refilling".to_owned() } else { text(&zone["state"]) };
        let places: Vec<String> = list(&zone["directories"]).iter().map(text).collect();
        let places = if places.is_empty() { "-".to_owned() } else { places.join(", ") };
        writeln!(
            out,
            "  {:10} {state:10} {:>10} live  {:>10} free  {places}",
            text(&zone["name"]),
            bytes(&zone["live"]),
            bytes(&zone["disk_available"]),
        )?;
    }
    Ok(())
}

pub(super) fn repair(repair: &Value, out: &mut dyn Write) -> io::Result<()> {
    if !repair.is_object() {
        return Ok(());
    }
    let mended = counted(number(&repair["mended_blobs"]), "body", "bodies");
    let done = format!("{mended} mended, {} copied since the start", bytes(&repair["copied"]));
    if repair["walking"] == true {
        let left = repair["eta_s"].as_u64().map(|_| format!(", about {} left", since(&repair["eta_s"])));
        let (at, total) = (bytes(&repair["done"]), bytes(&repair["total"]));
        writeln!(out, "repair     at {at} of {total}{}; {done}", left.unwrap_or_default())
    } else {
        writeln!(out, "repair     rests; {done}")
    }
}

fn backup(backup: &Value, out: &mut dyn Write) -> io::Result<()> {
    if backup["on"] != true {
        return writeln!(out, "backup     off: {}", text(&backup["how"]));
    }
    let base = backup["base_completed_at"]
        .as_str()
        .map_or_else(|| "no base since the start".to_owned(), |at| format!("base of {}", printable(at)));
    let behind = counted(number(&backup["lag_commits"]), "commit", "commits");
    writeln!(out, "backup     to {}: {base}, {behind} behind", text(&backup["target"]))
}

/// The pool on another S3: what lies there, what waits for it.
fn remote(remote: &Value, out: &mut dyn Write) -> io::Result<()> {
    if !remote.is_object() {
        return Ok(());
    }
    let waiting = counted(number(&remote["waiting_blobs"]), "body waits", "bodies wait");
    writeln!(out, "remote     {} in {}", bytes(&remote["live"]), text(&remote["place"]))?;
    writeln!(
        out,
        "           {waiting} ({}), since {}; cache {} of {}",
        bytes(&remote["waiting"]),
        text(&remote["waiting_since"]),
        bytes(&remote["cache"]),
        bytes(&remote["cache_max"])
    )
}

/// The memory of requests' bodies, and what it came to.
fn bodies(bodies: &Value, out: &mut dyn Write) -> io::Result<()> {
    if !bodies.is_object() {
        return Ok(());
    }
    write!(out, "bodies     {} of {} of memory", bytes(&bodies["held_bytes"]), bytes(&bodies["max_bytes"]))?;
    let (refused, ended) = (number(&bodies["refused"]), number(&bodies["ended"]));
    if refused + ended > 0 {
        write!(out, "; since the start {refused} requests were told to slow down, {ended} bodies ended")?;
    }
    writeln!(out)
}

/// What waits for the receivers of topics.
fn events(events: &Value, out: &mut dyn Write) -> io::Result<()> {
    if !events.is_object() {
        return Ok(());
    }
    writeln!(out, "events     {} of {} wait", number(&events["waiting"]), number(&events["waiting_max"]))?;
    for topic in list(&events["topics"]) {
        let (waiting, delivered) = (number(&topic["waiting"]), number(&topic["delivered"]));
        let lost = Some(number(&topic["lost"])).filter(|lost| *lost > 0);
        let lost = lost.map(|lost| format!(", {lost} LOST")).unwrap_or_default();
        let url = text(&topic["url"]);
        writeln!(out, "  {:10} {waiting} wait, {delivered} delivered{lost}  {url}", text(&topic["topic"]))?;
        if topic["arn"].is_string() {
            writeln!(out, "             {}", text(&topic["arn"]))?;
        }
    }
    Ok(())
}

/// A clock of retentions that is so far behind is worth telling, in seconds.
const CLOCK_LAG_S: u64 = 300;

/// The clock that retentions are judged by.
fn clock(clock: &Value, out: &mut dyn Write) -> io::Result<()> {
    if !clock.is_object() {
        return Ok(());
    }
    if number(&clock["lag_s"]) < CLOCK_LAG_S {
        return Ok(());
    }
    writeln!(
        out,
        "clock      of retentions: {} behind, for time while firn did not run does not count",
        since(&clock["lag_s"])
    )?;
    writeln!(
        out,
        "           it catches up by an hour a day; until then what object lock holds is held so much longer"
    )
}

fn workers(workers: &Value, out: &mut dyn Write) -> io::Result<()> {
    let workers = list(workers);
    if workers.is_empty() {
        return Ok(());
    }
    writeln!(out, "{:24} {:>10} {:>14} {:>7}  last error", "workers", "ticks", "done", "errors")?;
    for worker in workers {
        let cell = |name: &str| scalar(name, &worker[name]);
        writeln!(
            out,
            "  {:22} {:>10} {:>14} {:>7}  {}",
            cell("name"),
            cell("ticks"),
            cell("done"),
            cell("errors"),
            cell("last_error")
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
        render(&Status(status), false, &mut text).unwrap();
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
        status["held_locks"] = json!([{ "bucket": "locked", "versions": 12, "more": true }]);
        status["debug_day_ms"] = 10_000.into();
        status["workers"] =
            json!([{ "name": "collector", "ticks": 3, "done": 2, "errors": 0, "last_error": null }]);
        insta::assert_snapshot!(people(status));
    }
}
