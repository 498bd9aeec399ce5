//! `firn zone`: failure domains are taken out of use, back into it, or get new disks. They are added by the configuration.

use super::admin::Document;
use crate::appliance::{Lock, replace_zone};
use crate::cli::{Zone, ZoneName, ZoneReplace};
use crate::config::{self, Overrides};
use crate::exit::{Exit, Failure};
use crate::report::Report;
use crate::session::Session;
use anyhow::Context;
use serde::Serialize;
use serde_json::{Value, json};
use std::io::{self, Write};

pub(super) async fn run(session: &Session, args: &Zone) -> anyhow::Result<Exit> {
    match args {
        Zone::Drain(args) => ask(session, args, "drain").await,
        Zone::Use(args) => ask(session, args, "use").await,
        Zone::Replace(args) => replace(session, args),
    }
}

async fn ask(session: &Session, args: &ZoneName, action: &str) -> anyhow::Result<Exit> {
    let request = json!({ "action": action, "zone": args.zone });
    let body = session.admin(&args.admin)?.post("/v1/zone", serde_json::to_vec(&request)?.into()).await?;
    let answer: Value = serde_json::from_slice(&body).context("understand the admin door")?;
    session.output.print(&Document(answer))
}

#[derive(Debug, Serialize)]
struct Replaced {
    zone: String,
    directories: Vec<String>,
}

impl Report for Replaced {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.directories.is_empty() {
            return writeln!(out, "zone {} lacks nothing", self.zone);
        }
        for directory in &self.directories {
            writeln!(out, "zone {}: {directory} is taken as empty", self.zone)?;
        }
        writeln!(out, "start the server; firn status tells how far its copies are")
    }
}

fn replace(session: &Session, args: &ZoneReplace) -> anyhow::Result<Exit> {
    let config = config::load(Some(&args.config), &Overrides::default())?;
    crate::appliance::read_marker(&args.dir)?;
    if config.zones.len() < 2 {
        let text = format!("replace zone {}: there is no other zone to copy from", args.zone);
        return Err(Failure::new(Exit::Conflict, text).hint("bring its disk back").into());
    }
    let _lock = Lock::take(&args.dir)?;
    let directories = replace_zone(&args.dir, &config.zones, &args.zone)?;
    let directories = directories.iter().map(|dir| dir.display().to_string()).collect();
    session.output.print(&Replaced { zone: args.zone.clone(), directories })
}
