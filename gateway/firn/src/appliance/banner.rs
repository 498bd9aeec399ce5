//! What a person sees when an appliance has started: its doors, its room, its warnings, what to do next.

use crate::text::{quote_sh, show_duration};
use engine::unit::ByteCount;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// The facts on the banner.
#[derive(Debug)]
pub(crate) struct Banner<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) http: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) region: &'a str,
    pub(crate) account: String,
    pub(crate) free: Option<ByteCount>,
    pub(crate) debug_day: Option<Duration>,
    /// Access key and secret, when they are new and may be shown.
    pub(crate) new_key: Option<(&'a str, &'a str)>,
    /// The recovery key's secret half, when it is new and may be shown.
    pub(crate) recovery_key: Option<String>,
    /// Where backups go, when they do.
    pub(crate) backup: Option<String>,
    pub(crate) insecure: bool,
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
        writeln!(out, "    s3       on   http://{}", self.http)?;
        writeln!(out, "    admin    on   http://{}  (token in {dir}/admin-token)", self.admin)?;
        for door in ["console", "fuse", "nbd", "iscsi"] {
            writeln!(out, "    {door:9}off  not in this version")?;
        }
        match &self.backup {
            Some(target) => writeln!(out, "  backup   on   to {target}")?,
            None => writeln!(
                out,
                "  backup   off  set backup.target in a --config file; until then keep a copy of {dir}/master.key elsewhere"
            )?,
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
        if let Some((key, secret)) = self.new_key {
            writeln!(out, "  new access key, shown this once (it stands in {dir}/credentials):")?;
            writeln!(out, "    {key}  {secret}")?;
        }
        if let Some(key) = &self.recovery_key {
            writeln!(out, "  recovery key, shown this once and kept nowhere here: write it down")?;
            writeln!(out, "    {key}")?;
        }
        writeln!(out, "  next")?;
        writeln!(out, "    eval \"$(firn env {dir})\"")?;
        writeln!(out, "    firn mb s3://first")?;
        writeln!(out, "    firn cp ./some-file s3://first/")
    }
}

#[cfg(test)]
mod tests {
    use super::Banner;
    use engine::unit::ByteCount;
    use std::path::Path;
    use std::time::Duration;

    fn banner() -> Banner<'static> {
        Banner {
            dir: Path::new("/srv/firn data"),
            http: "127.0.0.1:9000".parse().unwrap(),
            admin: "127.0.0.1:9001".parse().unwrap(),
            region: "us-east-1",
            account: "123456789012".to_owned(),
            free: Some(ByteCount::gib(79)),
            debug_day: None,
            new_key: None,
            recovery_key: None,
            backup: None,
            insecure: false,
        }
    }

    #[test]
    fn every_door_is_named_with_its_state() {
        insta::assert_snapshot!(banner().render());
    }

    #[test]
    fn warnings_and_new_keys_stand_out() {
        let loud = Banner {
            debug_day: Some(Duration::from_secs(10)),
            new_key: Some(("AKIAEXAMPLE", "secret")),
            recovery_key: Some("AGE-SECRET-KEY-1EXAMPLE".to_owned()),
            backup: Some("directory /mnt/backup".to_owned()),
            insecure: true,
            ..banner()
        };
        insta::assert_snapshot!(loud.render());
    }
}
