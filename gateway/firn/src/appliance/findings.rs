//! What `doctor` says of a running appliance: one line for each part, and for each fault the line that mends it.

use super::open::Appliance;
use crate::backup::{Destination, Plan};
use crate::layout::{ADMIN_TOKEN, CREDENTIALS};
use crate::report::finding::{Finding, space};
use crate::text::{about, counted, quote_sh, show_duration};
use crate::tls::{Secured, Source};
use engine::backup::Status;
use engine::blob::Usage;
use engine::clock::Timestamp;
use engine::unit::ByteCount;
use objectstore::HeldLocks;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;
use web::{Obstacle, Readiness};

/// Shipping that is so late is a fault, and so is a first base that takes so long.
const LATE: Duration = Duration::from_mins(5);

impl Appliance {
    /// Everything that `doctor` shows of this process.
    pub(crate) fn findings(&self, readiness: &Readiness, held: &[HeldLocks]) -> Vec<Finding> {
        let mut findings = self.obstacles(readiness);
        findings.push(space("space", &self.home.dir));
        if let Some(pool) = self.pool_elsewhere() {
            findings.push(space("pool-space", pool));
        }
        let copy = self.catalog.copy_status();
        findings.extend(super::catalog_copy::rot(
            self.catalog.rot(),
            &copy,
            &quote_sh(&self.home.dir.display().to_string()),
        ));
        findings.extend(self.files.faults().into_iter().map(small_file));
        findings.extend(self.zone_findings());
        findings.extend(self.backup_findings());
        findings.extend(self.event_findings());
        findings.extend(super::inventories::findings(&self.store.failing_inventories(), self.clock.now()));
        findings.extend(super::lifecycle::findings(&self.store.damaged_lifecycles()));
        findings.extend(super::access_logs::findings(&self.store.log_status(), self.clock.now()));
        findings.extend(super::audit::findings(&self.audit.health()));
        for worker in self.workers.status() {
            // What the backup's workers last said stands in the backup's own line.
            if let Some(error) = worker.last_error.filter(|_| !worker.name.starts_with("backup-")) {
                let fix = "look at the log for the first occurrence; it is tried again by itself";
                findings.push(Finding::fault(worker.name, error, fix));
            }
        }
        findings.extend(damage(&self.blobs.usage(), self.blobs.zones().len() > 1));
        findings.extend(super::locks::finding(held, &self.home.dir));
        if let Some(day) = self.home.marker.debug_day {
            let text = format!("REHEARSAL: a calendar day lasts {} ms here", day.as_millis());
            findings.push(Finding::fine("debug-day", text));
        }
        findings
    }

    fn obstacles(&self, readiness: &Readiness) -> Vec<Finding> {
        if readiness.is_ready() {
            return vec![Finding::fine("ready", "reads and writes")];
        }
        let dir = quote_sh(&self.home.dir.display().to_string());
        let pool = quote_sh(&self.pool_dir.display().to_string());
        let are_zones = self.blobs.zones().len() > 1;
        let line = |(obstacle, detail): &(Obstacle, String)| {
            let (means, fix) = match obstacle {
                Obstacle::CatalogUnreadable => (
                    "nothing is served",
                    format!(
                        "restart the server; if that does not mend it, look at the kernel's log (dmesg) for the disk of {dir}, and rebuild from \
                         the backup: firn recover"
                    ),
                ),
                Obstacle::BodiesUnreadable => (
                    "reads and writes go on, but some objects of up to 4 KiB can't be read",
                    format!(
                        "look at the kernel's log (dmesg) for the disk of {dir}; put the file back, or rebuild from the backup: firn recover"
                    ),
                ),
                Obstacle::CatalogSilent => (
                    "nothing is served",
                    format!(
                        "the disk of {dir} hangs, or has too much to do: look at the kernel's log (dmesg) and at iostat; nothing needs to be rebuilt \
                         for that"
                    ),
                ),
                Obstacle::CatalogStalled => (
                    "reads go on, writes wait",
                    format!(
                        "the disk of {dir} hangs, or has too much to do: look at the kernel's log (dmesg) and at iostat"
                    ),
                ),
                Obstacle::CatalogFenced => (
                    "reads go on, writes are refused",
                    "restart the server; it recovers from its log".to_owned(),
                ),
                Obstacle::CatalogFull => (
                    "reads and deletes go on, writes are refused",
                    format!("delete objects (firn rm), or give that file system room: df -h {dir}"),
                ),
                Obstacle::PoolFull => (
                    "full: reads and deletes go on, new objects are refused",
                    format!("delete objects (firn rm), or give that file system room: df -h {pool}"),
                ),
                // What is said names the path.
                Obstacle::PoolFailing if are_zones => (
                    "reads go on where they can, writes may fail",
                    "mount the disk of that path, or look at the kernel's log (dmesg) for it and replace it".to_owned(),
                ),
                Obstacle::PoolFailing => (
                    "reads go on where they can, writes may fail",
                    format!("look at the kernel's log (dmesg) for the disk of {pool}, and replace it"),
                ),
                Obstacle::TooFewZones => (
                    "reads and deletes go on, new bodies are refused",
                    "bring back or replace the zone that is away; copies.short = \"accept\" takes bodies at risk"
                        .to_owned(),
                ),
            };
            Finding::fault("ready", format!("{means}: {detail}"), fix)
        };
        readiness.obstacles().iter().map(line).collect()
    }

    /// The pool's directory, when its disk is not that of the data directory.
    pub(crate) fn pool_elsewhere(&self) -> Option<&Path> {
        let pool = self.pool_dir.as_path();
        (device(pool) != device(&self.home.dir)).then_some(pool)
    }

    fn backup_findings(&self) -> Vec<Finding> {
        let dir = quote_sh(&self.home.dir.display().to_string());
        let Some(plan) = &self.backup_plan else {
            return vec![Finding::note(
                "backup",
                "none configured: what is lost with the disk is lost for good",
                "set backup.target in a --config file and restart; until then keep a copy of master.key elsewhere",
            )];
        };
        if self.backup.is_none() && self.has_recovery_key() {
            let text = "it does not run yet: its recovery key was made after the start";
            return vec![Finding::fault("backup", text, "restart the server")];
        }
        let Some(backup) = &self.backup else {
            return vec![Finding::fault(
                "backup",
                "it does not run: there is no recovery key to seal it to",
                format!("firn backup key {dir}   # then restart the server"),
            )];
        };
        let up = self.clock.boottime().saturating_sub(self.started_boot);
        let mut findings = vec![judge(&backup.status(), plan, &dir, self.clock.now(), up)];
        if let Destination::Directory(target) = &plan.destination
            && device(target).is_some_and(|disk| Some(disk) == device(&self.home.dir))
        {
            findings.push(Finding::note(
                "backup",
                format!("{} is on the disk that it protects", target.display()),
                "name a directory on another disk, or a bucket, as backup.target",
            ));
        }
        if self.pool_elsewhere().is_none() {
            findings.push(Finding::note(
                "backup",
                "bodies are not in it, and the pool is on the data directory's disk",
                "stop it, move the pool as it is to another disk, and let pool.directory name that place",
            ));
        }
        findings
    }
}

/// A small file that is not what it was when the server opened it. The copy of the catalog and the backup keep what was opened.
fn small_file(fault: engine::small_files::Fault) -> Finding {
    let engine::small_files::Fault { name, why, reads } = fault;
    if reads && matches!(name.as_str(), CREDENTIALS | ADMIN_TOKEN) {
        let fix = "restart the server, if it was changed on purpose: it counts, and is kept in the catalog's copy and the backup, from then on";
        return Finding::note("small-files", why, fix);
    }
    let fix = "do not restart the server before it is put back: take it from where you keep a copy, from catalog/*/attached of the zone that has the \
               catalog's copy, or out of the backup (firn recover into another directory); and look at the kernel's log (dmesg) for the disk";
    Finding::fault("small-files", why, fix)
}

/// Damage in the pool that was found and is neither repaired nor gone.
fn damage(usage: &Usage, are_zones: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut fault = |text: String, fix: &str| findings.push(Finding::fault("pool", text, fix));
    let bodies = counted(usage.damaged_blobs, "body has", "bodies have");
    match (usage.damaged_blobs, are_zones) {
        (0, _) => {}
        (_, true) => fault(
            format!("{bodies} a damaged copy, which repair makes anew from another zone"),
            "look at the log for their places and at the kernel's log (dmesg) for the disk; repair goes on by itself",
        ),
        (_, false) => fault(
            format!("{bodies} damaged records"),
            "read the log for their ids; restore those objects from a copy (firn where tells where bytes lie)",
        ),
    }
    if usage.broken_rows > 0 {
        fault(
            format!(
                "the catalog has {} that can't be read, and those bodies not without them",
                counted(usage.broken_rows, "row of a body", "rows of bodies")
            ),
            "read the log for their ids (broken row); recover the catalog from the backup (firn recover --help), or restore those \
             objects from a copy",
        );
    }
    if usage.left_alone_segments > 0 {
        fault(
            format!(
                "{} be emptied, and what is dead in there goes on taking room",
                counted(usage.left_alone_segments, "segment can't", "segments can't")
            ),
            "read the log for their ids and why (left alone), and the kernel's log (dmesg) for the disk; they are tried again when all is \
             scrubbed once more, or after a restart",
        );
    }
    findings
}

/// Requests that found no memory for their bodies; nothing where none did.
pub(super) fn bodies(bodies: web::Bodies) -> Option<Finding> {
    if bodies.refused + bodies.ended == 0 {
        return None;
    }
    let text = format!(
        "since the start {} for want of memory for bodies ({}), and {} that stalled {} ended",
        counted(bodies.refused, "request was told to slow down", "requests were told to slow down"),
        ByteCount::new(bodies.max_bytes),
        counted(bodies.ended, "body", "bodies"),
        if bodies.ended == 1 { "was" } else { "were" },
    );
    Some(Finding::note("bodies", text, "give them more (http.bodies), or let clients send fewer at once"))
}

/// A certificate that ends so soon is worth a note, and then a fault.
const CERTIFICATE_NOTE: Duration = Duration::from_hours(24 * 30);
const CERTIFICATE_FAULT: Duration = Duration::from_hours(24 * 7);

/// How long the doors' certificate still holds.
pub(super) fn tls(secured: &Secured, now: Timestamp) -> Finding {
    let left = secured.facts.left(now);
    let fix = match &secured.source {
        Source::Own { ca } => {
            let tls = ca.parent().unwrap_or(ca).display().to_string();
            format!(
                "its worker (tls-certificate) issues another in time, or the log says why not; where the CA itself ends: rm -r {}, \
                 restart, and give the new ca.pem to every client",
                quote_sh(&tls)
            )
        }
        Source::Given { certificate } => {
            let file = quote_sh(&certificate.display().to_string());
            format!("put a renewed one, and its key, in the place of {file}: it is taken within a minute")
        }
    };
    let text = if left.is_zero() {
        "the certificate has expired: clients refuse it".to_owned()
    } else {
        format!("the certificate holds for another {} days", left.as_secs() / 86_400)
    };
    if left < CERTIFICATE_FAULT {
        Finding::fault("tls", text, fix)
    } else if left < CERTIFICATE_NOTE {
        Finding::note("tls", text, fix)
    } else {
        Finding::fine("tls", text)
    }
}

/// How a backup that runs is doing.
fn judge(status: &Status, plan: &Plan, dir: &str, now: Timestamp, up: Duration) -> Finding {
    let target = &status.target;
    let age = status.base_completed_at.map(|at| now.since(at));
    if let Some(error) = &status.error {
        let fix = format!(
            "bring {target} back; it is tried again by itself, and firn backup now {dir} tries at once"
        );
        return Finding::fault("backup", format!("the target does not take it: {error}"), fix);
    }
    let now_line = format!("firn backup now {dir}");
    let Some(age) = age else {
        return if up > LATE {
            Finding::fault("backup", format!("no base since the start {} ago", about(up)), now_line)
        } else {
            Finding::fine("backup", format!("to {target}: the first base since the start is being written"))
        };
    };
    if age > plan.every * 2 {
        let text =
            format!("the last base is {} old; one is due every {}", about(age), show_duration(plan.every));
        return Finding::fault("backup", text, now_line);
    }
    let lag = Duration::from_millis(status.lag_ms);
    if lag > LATE {
        let text =
            format!("{} commits wait for the target, the first for {}", status.lag_commits, about(lag));
        return Finding::fault(
            "backup",
            text,
            format!("look at the way to {target}, and at firn status {dir}"),
        );
    }
    let text = format!("to {target}: last base {} ago, {} commits behind", about(age), status.lag_commits);
    Finding::fine("backup", text)
}

/// The file system that a directory, or the one it is yet to be made in, lies on.
fn device(dir: &Path) -> Option<u64> {
    dir.ancestors().find_map(|place| std::fs::metadata(place).ok()).map(|metadata| metadata.dev())
}

#[cfg(test)]
mod tests {
    use super::{damage, judge};
    use crate::backup::{Destination, Plan};
    use crate::tls::{Secured, Source};
    use engine::backup::Status;
    use engine::blob::Usage;
    use engine::clock::Timestamp;
    use std::time::Duration;

    #[test]
    fn a_backup_is_judged_by_its_error_its_age_and_its_lag() {
        let hour = Duration::from_hours(1);
        let plan = Plan { destination: Destination::Directory("/mnt/b".into()), every: hour };
        let at = |hours: i64| Timestamp::from_millis(1_700_000_000_000 + hours * 3_600_000);
        let fine = Status {
            target: "directory /mnt/b".to_owned(),
            base_version: Some(7),
            base_completed_at: Some(at(0)),
            shipped_version: 9,
            lag_commits: 0,
            lag_ms: 0,
            error: None,
        };
        let verdict = |status: &Status, hours| judge(status, &plan, "d", at(hours), hour);
        let good = verdict(&fine, 1);
        assert!(good.ok && good.fix.is_none(), "{good:?}");
        assert_eq!(good.detail, "to directory /mnt/b: last base 1h ago, 0 commits behind");
        for (status, hours, says, fix) in [
            (
                Status { error: Some("no route".to_owned()), ..fine.clone() },
                1,
                "no route",
                "bring directory /mnt/b back",
            ),
            (fine.clone(), 3, "3h old; one is due every 1h", "firn backup now d"),
            (Status { base_completed_at: None, ..fine.clone() }, 1, "no base since", "firn backup now d"),
            (
                Status { lag_ms: 600_000, lag_commits: 12, ..fine.clone() },
                1,
                "12 commits wait for the target, the first for 10m",
                "firn status d",
            ),
        ] {
            let finding = verdict(&status, hours);
            assert!(!finding.ok && finding.detail.contains(says), "{finding:?}");
            assert!(finding.fix.as_ref().is_some_and(|line| line.contains(fix)), "{finding:?}");
        }
        let young = judge(&Status { base_completed_at: None, ..fine }, &plan, "d", at(0), Duration::ZERO);
        assert!(young.ok, "{young:?}");
    }

    #[test]
    fn what_is_damaged_in_the_pool_is_told_each_with_its_next_step() {
        let well = Usage::default();
        assert!(damage(&well, true).is_empty());
        for (usage, are_zones, says, fix) in [
            (
                Usage { damaged_blobs: 1, ..well },
                false,
                "1 body has damaged records",
                "restore those objects",
            ),
            (Usage { damaged_blobs: 2, ..well }, true, "2 bodies have a damaged copy", "repair goes on"),
            (Usage { broken_rows: 2, ..well }, true, "2 rows of bodies that can't be read", "firn recover"),
            (
                Usage { left_alone_segments: 1, ..well },
                false,
                "1 segment can't be emptied",
                "scrubbed once more",
            ),
        ] {
            let found = damage(&usage, are_zones);
            assert!(found.len() == 1 && !found[0].ok && found[0].detail.contains(says), "{found:?}");
            assert!(found[0].fix.as_ref().is_some_and(|line| line.contains(fix)), "{found:?}");
        }
        let all = Usage { damaged_blobs: 1, broken_rows: 1, left_alone_segments: 1, ..well };
        assert_eq!(damage(&all, false).len(), 3);
    }

    #[test]
    fn a_certificate_is_judged_by_what_is_left_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let start = Timestamp::from_millis(1_800_000_000_000);
        let names = crate::tls::Names::of_appliance(&[], &[], &[]);
        let secured = crate::tls::own(dir.path(), "1", &names, start).unwrap();
        let after = |days: u64| super::tls(&secured, start.plus(Duration::from_hours(24 * days)));
        let fine = after(300);
        assert!(fine.ok && fine.fix.is_none() && fine.detail.contains("another 97 days"), "{fine:?}");
        let noted = after(370);
        assert!(noted.ok && noted.fix.as_ref().is_some_and(|fix| fix.contains("restart")), "{noted:?}");
        assert!(!after(391).ok);
        assert!(after(398).detail.contains("has expired"));
        let given = Secured { source: Source::Given { certificate: "/c.pem".into() }, ..secured.clone() };
        assert!(
            super::tls(&given, start.plus(Duration::from_hours(24 * 391))).fix.unwrap().contains("/c.pem")
        );
    }
}
