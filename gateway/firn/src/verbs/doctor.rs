//! `firn doctor`: each fault with a line that mends it. Works when the server is down, too.

use super::door::ask;
use crate::cli::AdminDir;
use crate::directory::{Lock, is_no_appliance, read_marker, secrets};
use crate::exit::{self, Exit};
use crate::layout::{ADMIN_TOKEN, CREDENTIALS, MASTER_KEY, SECRETS};
use crate::report::Report;
use crate::report::finding::{Finding, space};
use crate::session::{Session, default_dir, lost_to_another_key, start_line, variable};
use crate::text::{chain, printable, quote_sh};
use engine::entropy::Entropy;
use rustix::fs::StatVfsMountFlags;
use security::AccountId;
use serde::Serialize;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

/// No clock of a working machine shows an earlier time: 2025-01-01.
const EARLIEST_SANE_MS: i64 = 1_735_689_600_000;

#[derive(Debug, Serialize)]
struct Findings {
    healthy: bool,
    findings: Vec<Finding>,
}

impl Report for Findings {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        for finding in &self.findings {
            let mark = match (finding.ok, &finding.fix) {
                (true, None) => "ok   ",
                (true, Some(_)) => "note ",
                (false, _) => "FAULT",
            };
            writeln!(out, "{mark}  {:12} {}", finding.check, printable(&finding.detail))?;
            if let Some(fix) = &finding.fix {
                writeln!(out, "       fix: {}", printable(fix))?;
            }
        }
        let faults = self.findings.iter().filter(|finding| !finding.ok).count();
        match faults {
            0 => writeln!(out, "no faults"),
            1 => writeln!(out, "1 fault"),
            n => writeln!(out, "{n} faults"),
        }
    }

    fn exit(&self) -> Exit {
        if self.healthy { Exit::Ok } else { Exit::Error }
    }
}

pub(super) async fn run(session: &Session, args: &AdminDir) -> anyhow::Result<Exit> {
    let mut findings = Vec::new();
    let remote = args.named().is_none() && variable("FIRN_ADMIN_URL").is_some();
    if !remote {
        let dir = args.named().cloned().unwrap_or_else(default_dir);
        if is_no_appliance(&dir) {
            // Whatever would be said of it, and done about it, is about somebody else's directory.
            read_marker(&dir)?;
        }
        directory(&dir, &session.entropy, &mut findings);
        findings.push(clock(session.clock.now().as_millis()));
    }
    let answers = server(session, args, &mut findings).await;
    if !remote && !answers {
        // A server that answers says it itself, of the pool's disk too.
        let dir = args.named().cloned().unwrap_or_else(default_dir);
        if dir.exists() {
            findings.push(space("space", &dir));
        }
    }
    let healthy = findings.iter().all(|finding| finding.ok);
    session.output.print(&Findings { healthy, findings })
}

/// What the server says; whether it answered.
async fn server(session: &Session, args: &AdminDir, findings: &mut Vec<Finding>) -> bool {
    let dir = args.named().cloned().unwrap_or_else(default_dir);
    let mut start = start_line(&dir);
    if let Some((first, last)) = lost_to_another_key(&dir) {
        "recover again first, with the newer key".clone_into(&mut start);
        findings.push(Finding::fault(
            "recovered",
            format!("a former recovery key brought it back: versions {first} to {last} are sealed to another recovery key"),
            "do not start it: remove it and recover again with the newer key and this one (--key for each)",
        ));
    }
    if is_read_only(&dir) {
        start = format!("make its file system writable first, then: {start}");
    }
    let answer = match session.admin(args) {
        Ok(admin) => ask(&admin, "/v1/doctor", &[]).await,
        Err(error) => Err(error),
    };
    match answer {
        Err(error) => {
            let fix = if let Ok(Some(_)) = Lock::holder(&dir) { of_one_that_runs(&dir) } else { start };
            findings.push(Finding::fault("server", format!("no answer: {}", chain(&error)), fix));
            false
        }
        Ok(document) => {
            findings.push(Finding::fine("server", "it answers"));
            let list = document.get("findings").cloned().unwrap_or_default();
            match serde_json::from_value::<Vec<Finding>>(list) {
                Ok(theirs) => findings.extend(theirs),
                Err(error) => findings.push(Finding::fault(
                    "server",
                    format!("its findings are not understood: {error}"),
                    "use the firn of the server's version",
                )),
            }
            true
        }
    }
}

/// A server has the directory: another one would be refused, and what is asked is read from a disk that may be what fails.
fn of_one_that_runs(dir: &Path) -> String {
    let shown = quote_sh(&dir.display().to_string());
    format!(
        "a server has {shown} open, so start no other: look at its log, and at the kernel's log (dmesg) for the disk of {shown}; where that \
         is well, restart the server"
    )
}

/// What can be seen of a directory from outside.
fn directory(dir: &Path, entropy: &Arc<dyn Entropy>, findings: &mut Vec<Finding>) {
    let shown = quote_sh(&dir.display().to_string());
    match std::fs::metadata(dir) {
        Err(error) => {
            let fix = format!("firn server {shown}");
            findings.push(Finding::fault("directory", format!("look at {}: {error}", dir.display()), fix));
            return;
        }
        Ok(metadata) => {
            if let Err(error) = std::fs::read_dir(dir) {
                let uid = metadata.uid();
                let text = format!("look into {}, which belongs to user {uid}: {error}", dir.display());
                let fix = format!("sudo -u '#{uid}' firn doctor {shown}");
                findings.push(Finding::fault("directory", text, fix));
                return;
            }
            findings.push(mode("directory", dir, metadata.permissions().mode(), 0o700));
            if is_read_only(dir) {
                findings.push(Finding::fault(
                    "directory",
                    format!("the file system of {} is read-only: no server can start there", dir.display()),
                    format!("mount it writable (findmnt -T {shown} says which it is); where it became so by itself, dmesg says why"),
                ));
            }
        }
    }
    let marker = read_marker(dir);
    let account = marker.as_ref().ok().map(|marker| marker.account);
    match marker {
        Ok(marker) => findings
            .push(Finding::fine("marker", format!("account {}, region {}", marker.account, marker.region))),
        Err(failure) => {
            let fix = failure.hint.clone().unwrap_or_else(|| format!("firn server {shown}"));
            findings.push(Finding::fault("marker", failure.to_string(), fix));
        }
    }
    findings.extend(SECRETS.map(|name| secret(dir, name, account, entropy)));
    findings.push(match Lock::holder(dir) {
        Ok(Some(pid)) if pid.bytes().all(|byte| byte.is_ascii_digit()) => {
            Finding::fine("lock", format!("held by process {pid}"))
        }
        Ok(Some(_)) => {
            let fix = format!("look at the kernel's log (dmesg) for the disk of {shown}");
            Finding::fault("lock", "held by a process whose number in it can't be read", fix)
        }
        Ok(None) => Finding::fine("lock", "free"),
        Err(error) => Finding::fault("lock", error.to_string(), format!("chmod u+rw {shown}/lock")),
    });
}

/// One of the secrets: who can reach it, and whether a start would take it.
fn secret(dir: &Path, name: &'static str, account: Option<AccountId>, entropy: &Arc<dyn Entropy>) -> Finding {
    const MISSED: &str = "put it back from where you keep a copy; without it the data can't be read";
    let path = dir.join(name);
    let seen = match std::fs::metadata(&path) {
        Ok(metadata) => mode(name, &path, metadata.mode(), 0o600),
        Err(error) => {
            let fix = if name == MASTER_KEY {
                MISSED.to_owned()
            } else {
                format!("{}   # makes a new one", start_line(dir))
            };
            return Finding::fault(name, format!("look at {}: {error}", path.display()), fix);
        }
    };
    if !seen.ok {
        return seen;
    }
    let read = match (name, account) {
        (ADMIN_TOKEN, _) => secrets::admin_token(dir).map(drop),
        (CREDENTIALS, Some(account)) => secrets::credentials(dir, account).map(drop),
        (MASTER_KEY, _) => secrets::master_key(dir, entropy).map(drop),
        _ => Ok(()),
    };
    match read {
        Ok(()) => seen,
        Err(error) => {
            Finding::fault(name, chain(&error), exit::hint(&error).unwrap_or_else(|| MISSED.to_owned()))
        }
    }
}

/// Whether a directory lies on a file system that takes no writes.
fn is_read_only(dir: &Path) -> bool {
    rustix::fs::statvfs(dir).is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::RDONLY))
}

fn mode(check: &str, path: &Path, mode: u32, wanted: u32) -> Finding {
    let mode = mode & 0o777;
    if mode.trailing_zeros() >= 6 {
        return Finding::fine(check, format!("mode {mode:04o}"));
    }
    let path = path.display().to_string();
    Finding::fault(
        check,
        format!("{path} has mode {mode:04o}: others can reach it"),
        format!("chmod {wanted:o} {}", quote_sh(&path)),
    )
}

fn clock(now_ms: i64) -> Finding {
    if now_ms < EARLIEST_SANE_MS {
        return Finding::fault(
            "clock",
            "it shows a time before 2025: every signature will be refused",
            "timedatectl set-ntp true",
        );
    }
    Finding::fine("clock", "plausible")
}

#[cfg(test)]
mod tests {
    use super::{Findings, clock, directory, mode};
    use crate::directory::Lock;
    use crate::exit::Exit;
    use crate::report::{Report, render};
    use engine::entropy::{Entropy, SeededEntropy};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::sync::Arc;

    fn entropy() -> Arc<dyn Entropy> {
        Arc::new(SeededEntropy::new(1))
    }

    #[test]
    fn secrets_that_keep_a_server_from_starting_are_faults() {
        let dir = tempfile::tempdir().unwrap();
        let account = Some("123456789012".parse().unwrap());
        let write = |name: &'static str, text: &str| {
            std::fs::write(dir.path().join(name), text).unwrap();
            let private = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(dir.path().join(name), private).unwrap();
            super::secret(dir.path(), name, account, &entropy())
        };
        for (name, text, fix) in [
            ("admin-token", "", "the next start makes one: rm "),
            ("admin-token", "short\n", "the next start makes one: rm "),
            ("credentials", "# nobody\n", "the next start makes new ones: rm "),
            ("credentials", "[default]\nnonsense\n", "the next start makes new ones: rm "),
            ("master.key", "half", "put it back"),
        ] {
            let finding = write(name, text);
            assert!(!finding.ok && finding.fix.as_deref().unwrap().contains(fix), "{finding:?}");
        }
        assert!(write("admin-token", &"a".repeat(64)).ok);
    }

    #[test]
    fn every_fault_comes_with_a_fix() {
        let dir = tempfile::tempdir().unwrap();
        let mut findings = Vec::new();
        directory(dir.path(), &entropy(), &mut findings);
        directory(Path::new("/nonexistent/appliance"), &entropy(), &mut findings);
        findings.push(clock(0));
        assert!(findings.iter().filter(|finding| !finding.ok).count() >= 5, "{findings:?}");
        for finding in &findings {
            assert_eq!(finding.ok, finding.fix.is_none(), "{finding:?}");
        }
    }

    #[test]
    fn a_lock_that_is_held_and_not_read_is_a_fault_of_the_disk_and_nobodys() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("lock"), "\u{0}\u{0}").unwrap();
        let _held = Lock::hold(&dir.path().join("lock")).unwrap();
        let mut findings = Vec::new();
        directory(dir.path(), &entropy(), &mut findings);
        let lock = findings.iter().find(|finding| finding.check == "lock").unwrap();
        assert!(!lock.ok && !lock.detail.contains("unknown"), "{lock:?}");
        assert!(lock.fix.as_ref().unwrap().contains("dmesg"), "{lock:?}");
    }

    #[test]
    fn loose_modes_are_faults_and_shown_with_their_fix() {
        let findings = vec![
            mode("credentials", Path::new("/d/credentials"), 0o100_644, 0o600),
            mode("directory", Path::new("/d"), 0o40_700, 0o700),
        ];
        let report = Findings { healthy: false, findings };
        assert_eq!(report.exit(), Exit::Error);
        let mut text = Vec::new();
        render(&report, false, &mut text).unwrap();
        insta::assert_snapshot!(String::from_utf8(text).unwrap());
    }
}
