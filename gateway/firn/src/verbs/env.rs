//! `firn env`: what points every AWS tool at an appliance.

use crate::cli::Dir;
use crate::doors::Doors;
use crate::exit::{Exit, Failure};
use crate::layout::{ADMIN_TOKEN, CREDENTIALS};
use crate::report::Report;
use crate::session::Session;
use crate::text::quote_sh;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};

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
        writeln!(out, "unset AWS_SESSION_TOKEN AWS_PROFILE AWS_ENDPOINT_URL_S3;")?;
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

pub(super) fn run(session: &Session, args: &Dir) -> anyhow::Result<Exit> {
    let dir = std::path::absolute(&args.dir)?;
    let marker = crate::directory::read_marker(&dir)?;
    let file = security::credentials::File::load(&dir.join(CREDENTIALS), marker.account)
        .map_err(|error| Failure::new(Exit::Error, format!("read the credentials: {error}")))?;
    let profile = file
        .profile("default")
        .ok_or_else(|| Failure::new(Exit::NotFound, "find the profile \"default\" in DIR/credentials"))?;
    let doors = Doors::read(&dir)?;
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
    session.output.print(&EnvReport { variables })
}
