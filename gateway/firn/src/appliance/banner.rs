//! What a person sees when an appliance has started: its doors, its room, its warnings, what to do next.

use crate::doors::{Door, Doors};
use crate::text::{quote_sh, show_duration};
use engine::unit::ByteCount;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// The facts on the banner.
#[derive(Debug)]
pub(crate) struct Banner<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) doors: &'a Doors,
    pub(crate) region: &'a str,
    pub(crate) account: String,
    pub(crate) free: Option<ByteCount>,
    pub(crate) debug_day: Option<Duration>,
    /// Where backups go, or what lets them.
    pub(crate) backup: Result<String, &'a str>,
    /// Whether the Glacier door is open.
    pub(crate) vaults: bool,
    /// Where the catalog's copy is, where one is wanted.
    pub(crate) copy: Option<String>,
    pub(crate) insecure: bool,
}

/// What is shown once. It goes before the banner, as soon as it is made: a start that fails later (a port is taken) must not
/// swallow it.
#[derive(Debug)]
pub(crate) struct Secrets<'a> {
    pub(crate) dir: &'a Path,
    /// Access key and secret, when they are new.
    pub(crate) access: Option<(&'a str, &'a str)>,
    /// The recovery key's secret half, when it is new.
    pub(crate) recovery: Option<String>,
}

impl Secrets<'_> {
    /// The text; empty when nothing is new.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        if let Some((key, secret)) = self.access {
            let dir = quote_sh(&self.dir.display().to_string());
            text.extend([format!(
                "new access key, shown this once (it stands in {dir}/credentials):\n  {key}  {secret}\n"
            )]);
        }
        if let Some(key) = &self.recovery {
            text += "recovery key, shown this once and kept nowhere here: write it down, backups open with it alone\n";
            text.extend([format!("  {key}\n")]);
        }
        text
    }
}

impl Banner<'_> {
    /// The text.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a String can't fail.
        let _infallible = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let dir = quote_sh(&self.dir.display().to_string());
        writeln!(out, "firn {} on {dir}", env!("CARGO_PKG_VERSION"))?;
        writeln!(out, "  account {}, region {}", self.account, self.region)?;
        let free = self.free.map_or_else(|| "unknown".to_owned(), |free| free.to_string());
        writeln!(out, "  free space {free}")?;
        writeln!(out, "  doors")?;
        writeln!(out, "    s3       on   {}", self.doors.s3.url)?;
        from_elsewhere(out, &self.doors.s3)?;
        writeln!(out, "    admin    on   {}  (token in {dir}/admin-token)", self.doors.admin.url)?;
        from_elsewhere(out, &self.doors.admin)?;
        if self.vaults {
            writeln!(out, "    vault    on   Glacier's API at {}, a preview", self.doors.s3.url)?;
        } else {
            writeln!(out, "    vault    off  set vault.enabled = true in a --config file, then restart")?;
        }
        for door in ["console", "fuse", "nbd", "iscsi"] {
            writeln!(out, "    {door:9}off  not in this version")?;
        }
        if let Some(ca) = &self.doors.ca_bundle {
            let ca = quote_sh(&ca.display().to_string());
            writeln!(out, "  tls      on   clients believe {ca}")?;
            if !self.doors.s3.from_elsewhere.is_empty() {
                writeln!(
                    out,
                    "                give other machines a copy of that file: AWS_CA_BUNDLE names it"
                )?;
            }
        }
        match &self.backup {
            Ok(target) => writeln!(out, "  backup   on   to {target}")?,
            Err(how) => {
                writeln!(out, "  backup   off  {how}; until then keep a copy of {dir}/master.key elsewhere")?;
            }
        }
        if let Some(copy) = &self.copy {
            writeln!(out, "  copy     on   {copy}")?;
        }
        if self.insecure {
            writeln!(out, "  WARNING  plain HTTP beyond this machine: what is sent can be read on the way")?;
        }
        if let Some(day) = self.debug_day {
            let day = show_duration(day);
            writeln!(
                out,
                "  WARNING  rehearsal: a calendar day lasts {day} here; keep nothing that matters"
            )?;
        }
        writeln!(out, "  next")?;
        writeln!(out, "    eval \"$(firn env {dir})\"")?;
        writeln!(out, "    firn mb s3://first")?;
        writeln!(out, "    firn cp ./some-file s3://first/")
    }
}

/// What other machines call a door.
fn from_elsewhere(out: &mut String, door: &Door) -> std::fmt::Result {
    for url in &door.from_elsewhere {
        writeln!(out, "                  {url}  from other machines")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Banner, Secrets};
    use crate::doors::{Door, Doors};
    use engine::unit::ByteCount;
    use std::path::Path;
    use std::time::Duration;

    fn doors(scheme: &str, ca: Option<&str>) -> Doors {
        let door =
            |port: u16| Door { url: format!("{scheme}://127.0.0.1:{port}"), from_elsewhere: Vec::new() };
        Doors { s3: door(9000), admin: door(9001), ca_bundle: ca.map(Into::into) }
    }

    fn banner(doors: &Doors) -> Banner<'_> {
        Banner {
            dir: Path::new("/srv/firn data"),
            doors,
            region: "us-east-1",
            account: "123456789012".to_owned(),
            free: Some(ByteCount::gib(79)),
            debug_day: None,
            backup: Err("set backup.target in a --config file, then restart"),
            vaults: false,
            copy: None,
            insecure: false,
        }
    }

    #[test]
    fn every_door_is_named_with_its_state() {
        insta::assert_snapshot!(banner(&doors("http", None)).render());
    }

    #[test]
    fn a_backup_that_does_not_run_says_what_lets_it() {
        let keyless = Banner { backup: Err("make a recovery key"), ..banner(&doors("http", None)) }.render();
        assert!(keyless.contains("backup   off  make a recovery key; until then keep a copy"), "{keyless}");
        assert!(!keyless.contains("copy     on"), "{keyless}");
        let copied =
            Banner { copy: Some("in zone b, too".to_owned()), ..banner(&doors("http", None)) }.render();
        assert!(copied.contains("\n  copy     on   in zone b, too\n"), "{copied}");
    }

    #[test]
    fn warnings_and_new_keys_stand_out() {
        let mut doors = doors("https", Some("/srv/firn data/tls/ca.pem"));
        doors.s3.from_elsewhere =
            ["https://192.0.2.7:9000", "https://nas.example.com:9000"].map(str::to_owned).to_vec();
        let loud = Banner {
            debug_day: Some(Duration::from_secs(10)),
            backup: Ok("directory /mnt/backup".to_owned()),
            vaults: true,
            insecure: true,
            ..banner(&doors)
        };
        let secrets = Secrets {
            dir: Path::new("/srv/firn data"),
            access: Some(("AKIAEXAMPLE", "secret")),
            recovery: Some("AGE-SECRET-KEY-1EXAMPLE".to_owned()),
        };
        insta::assert_snapshot!(secrets.render() + &loud.render());
    }
}
