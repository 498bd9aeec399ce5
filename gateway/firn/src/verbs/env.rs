//! `firn env`: what points every AWS tool at an appliance.

use crate::cli::Dir;
use crate::directory::Lock;
use crate::doors::Doors;
use crate::exit::{Exit, Failure};
use crate::hint::NOWHERE;
use crate::layout::{ADMIN_TOKEN, CREDENTIALS, DOORS, LOCK};
use crate::report::Report;
use crate::session::{Session, how_to_start};
use crate::text::quote_sh;
use engine::clock::Clock;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

/// How long a server that has its directory already may take to open its doors.
const STARTS_WITHIN: Duration = Duration::from_secs(30);
/// How long a server that was just started may take to make its directory. A path that is mistyped is as little there.
const MADE_WITHIN: Duration = Duration::from_secs(5);
/// What tools read beside what is set, and would lead them elsewhere.
const UNSET: &str = "AWS_SESSION_TOKEN AWS_PROFILE AWS_DEFAULT_PROFILE AWS_ENDPOINT_URL_S3 AWS_ENDPOINT_URL_IAM AWS_ENDPOINT_URL_STS \
                     AWS_ENDPOINT_URL_KMS AWS_ENDPOINT_URL_GLACIER AWS_ENDPOINT_URL_CLOUDTRAIL AWS_IGNORE_CONFIGURED_ENDPOINT_URLS";
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Variables and their values.
#[derive(Debug, Serialize)]
pub(crate) struct EnvReport {
    pub(crate) variables: BTreeMap<&'static str, String>,
}

impl Report for EnvReport {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        for (name, value) in &self.variables {
            writeln!(out, "export {name}={}", quote_sh(value))?;
        }
        writeln!(out, "unset {UNSET};")?;
        writeln!(out, "# Run it so: eval \"$(firn env DIR)\"")?;
        writeln!(out, "# aws-cli before 2.13 and 1.29 (Debian's among them) ignores AWS_ENDPOINT_URL:")?;
        let url = self.variables.get("AWS_ENDPOINT_URL").map(String::as_str).unwrap_or_default();
        writeln!(out, "#   aws --endpoint-url {} s3 ls", quote_sh(url))?;
        if self.variables.contains_key("AWS_CA_BUNDLE") {
            writeln!(
                out,
                "# rclone 1.60 (Debian's) fails while AWS_CA_BUNDLE is set; it reads RCLONE_CA_CERT:"
            )?;
            writeln!(out, "#   env -u AWS_CA_BUNDLE rclone ls REMOTE:")?;
        }
        Ok(())
    }
}

/// What a shell is given where they are not known. It ends with an error, which stops a shell with `set -e` alone: in every other one what
/// follows goes on, and is to reach neither AWS nor what an earlier one led to.
fn write_failed(dir: &Path, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "unset {UNSET} FIRN_ADMIN_URL FIRN_ADMIN_TOKEN_FILE;")?;
    writeln!(out, "export AWS_ENDPOINT_URL={NOWHERE};")?;
    writeln!(out, "export S3_ENDPOINT_URL={NOWHERE};")?;
    writeln!(out, "export FIRN_DIR={};", quote_sh(&dir.display().to_string()))?;
    writeln!(
        out,
        "false # firn env failed: nobody listens there, so that what follows fails, and does not go to AWS"
    )
}

/// Prints them, or what makes fail what would use them.
pub(super) async fn run(session: &Session, args: &Dir) -> anyhow::Result<Exit> {
    let dir = std::path::absolute(&args.dir)?;
    let report = variables(session, &dir).await.inspect_err(|_| {
        if !session.output.json {
            // Whoever reads nothing here reads the error.
            let _unread = write_failed(&dir, &mut io::stdout().lock());
        }
    })?;
    session.output.print(&report)
}

async fn variables(session: &Session, dir: &Path) -> anyhow::Result<EnvReport> {
    // Somebody at a terminal sees what is not there yet, and asks again; a script has nobody who does.
    if !io::stdout().is_terminal() && is_blank(dir) {
        session.output.note(&format!("firn: waiting for a server that makes {}", dir.display()));
        while_made(&*session.clock, dir).await;
    }
    while_starting(&*session.clock, dir).await?;
    let marker = crate::directory::read_marker(dir)?;
    let file = security::credentials::File::load(&dir.join(CREDENTIALS), marker.account)
        .map_err(|error| Failure::new(Exit::Error, format!("read the credentials: {error}")))?;
    let profile = file
        .profile("default")
        .ok_or_else(|| Failure::new(Exit::NotFound, "find the profile \"default\" in DIR/credentials"))?;
    let doors = Doors::read(dir)?;
    // One that was killed leaves its doors' addresses behind, where somebody else may listen by now.
    if matches!(Lock::holder(dir), Ok(None)) {
        let text = format!("find a running appliance in {}: its server has ended", dir.display());
        return Err(Failure::new(Exit::NotFound, text).hint(how_to_start(dir)).into());
    }
    let mut variables = BTreeMap::from([
        ("AWS_ACCESS_KEY_ID", profile.access_key_id.to_string()),
        ("AWS_SECRET_ACCESS_KEY", profile.credential.secret.expose().to_owned()),
        ("AWS_REGION", marker.region.clone()),
        ("AWS_DEFAULT_REGION", marker.region),
        ("AWS_ENDPOINT_URL", doors.s3.url.clone()),
        // s5cmd's own.
        ("S3_ENDPOINT_URL", doors.s3.url),
        // Nobody is to ask a cloud's metadata service about an appliance.
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("FIRN_DIR", dir.display().to_string()),
        ("FIRN_ADMIN_URL", doors.admin.url),
        ("FIRN_ADMIN_TOKEN_FILE", dir.join(ADMIN_TOKEN).display().to_string()),
    ]);
    if let Some(ca) = doors.ca_bundle {
        variables.insert("AWS_CA_BUNDLE", ca.display().to_string());
        // rclone's own.
        variables.insert("RCLONE_CA_CERT", ca.display().to_string());
    }
    Ok(EnvReport { variables })
}

/// Whether a server may be about to make an appliance there: nothing is there, or nothing but its lock.
fn is_blank(dir: &Path) -> bool {
    match std::fs::read_dir(dir) {
        Ok(entries) => entries.flatten().all(|entry| entry.file_name() == LOCK),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Waits while nothing is there.
async fn while_made(clock: &dyn Clock, dir: &Path) {
    let until = clock.boottime() + MADE_WITHIN;
    while is_blank(dir) && clock.boottime() < until {
        clock.sleep(LOOK).await;
    }
}

/// Waits while a server has the directory and its doors are not open yet.
async fn while_starting(clock: &dyn Clock, dir: &Path) -> anyhow::Result<()> {
    let until = clock.boottime() + STARTS_WITHIN;
    while !dir.join(DOORS).exists() && Lock::holder(dir)?.is_some() && clock.boottime() < until {
        clock.sleep(LOOK).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{DOORS, LOOK, Lock, MADE_WITHIN, STARTS_WITHIN, is_blank, while_made, while_starting};
    use engine::clock::{ManualClock, Timestamp};
    use futures_util::FutureExt as _;

    #[test]
    fn a_server_that_starts_is_waited_for_and_none_is_not() {
        let (dir, clock) = (tempfile::tempdir().unwrap(), ManualClock::new(Timestamp::from_millis(0)));
        while_starting(&clock, dir.path()).now_or_never().expect("nobody has it").unwrap();

        let lock = Lock::take(dir.path()).unwrap();
        let mut wait = Box::pin(while_starting(&clock, dir.path()));
        assert!(wait.as_mut().now_or_never().is_none());
        clock.advance(LOOK);
        assert!(wait.as_mut().now_or_never().is_none(), "its doors are not open yet");
        std::fs::create_dir(dir.path().join("run")).unwrap();
        std::fs::write(dir.path().join(DOORS), "{}").unwrap();
        clock.advance(LOOK);
        wait.now_or_never().expect("its doors are open").unwrap();

        std::fs::remove_file(dir.path().join(DOORS)).unwrap();
        let mut wait = Box::pin(while_starting(&clock, dir.path()));
        assert!(wait.as_mut().now_or_never().is_none());
        clock.advance(STARTS_WITHIN);
        wait.now_or_never().expect("it takes too long").unwrap();
        drop(lock);
    }

    #[test]
    fn a_directory_that_is_about_to_be_made_is_waited_for_and_no_longer_than_that() {
        let (root, clock) = (tempfile::tempdir().unwrap(), ManualClock::new(Timestamp::from_millis(0)));
        let dir = root.path().join("data");
        let mut wait = Box::pin(while_made(&clock, &dir));
        assert!(wait.as_mut().now_or_never().is_none(), "it is not there yet");
        std::fs::create_dir(&dir).unwrap();
        clock.advance(LOOK);
        assert!(wait.as_mut().now_or_never().is_none(), "it is empty yet");
        std::fs::write(dir.join("firn.json"), "{}").unwrap();
        clock.advance(LOOK);
        wait.now_or_never().expect("something is there");

        let mistyped = root.path().join("dat");
        let mut wait = Box::pin(while_made(&clock, &mistyped));
        assert!(wait.as_mut().now_or_never().is_none());
        clock.advance(MADE_WITHIN);
        wait.now_or_never().expect("it takes too long");
        assert!(!is_blank(root.path()), "of somebody's directory nothing is awaited");
    }
}
