//! What Glacier has no operation for, at the admin door: scrub, media, status, holds.

use super::checked;
use super::compact::{Compactions, Waste};
use crate::cli::{QuotaAdmin, VaultAdmin, VaultHold, VaultMedia, VaultScrub, VaultStatus};
use crate::exit::Exit;
use crate::report::Report;
use crate::report::rows::{Row, Rows};
use crate::report::time::show_time;
use crate::session::Session;
use crate::text::{counted, printable};
use crate::verbs::door;
use anyhow::Context;
use engine::clock::Timestamp;
use engine::unit::ByteCount;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::{self, Write};

const PATH: &str = "/v1/vault";
const WHICH: &str = "see which vaults there are: firn vault ls";

/// What was found of a pack.
#[derive(Debug, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "scripts read these names")]
struct Pack {
    pack: String,
    medium: String,
    state: String,
    bytes: u64,
    damaged_cells: u64,
    lost_cells: u64,
    lost_archives: Vec<String>,
    detail: String,
}

/// What the door answers about one of them.
#[derive(Debug, Deserialize)]
struct Step {
    found: Option<Pack>,
    next: Option<String>,
    packs: Option<u64>,
}

/// What a scrub came to.
#[derive(Debug, Default, Serialize)]
struct Scrubbed {
    vault: String,
    dry_run: bool,
    packs: u64,
    bytes: u64,
    whole: u64,
    mended: u64,
    /// Would be mended.
    damaged: u64,
    lost: u64,
    away: u64,
    damaged_cells: u64,
    lost_cells: u64,
    /// All packs that are not whole.
    found: Vec<Pack>,
}

impl Scrubbed {
    fn add(&mut self, pack: Pack) {
        self.packs += 1;
        self.bytes += pack.bytes;
        self.damaged_cells += pack.damaged_cells;
        self.lost_cells += pack.lost_cells;
        match pack.state.as_str() {
            "whole" => self.whole += 1,
            "mended" => self.mended += 1,
            "damaged" => self.damaged += 1,
            "away" => self.away += 1,
            _ => self.lost += 1,
        }
        if pack.state != "whole" {
            self.found.push(pack);
        }
    }
}

impl Report for Scrubbed {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        for pack in &self.found {
            let (medium, detail) = (printable(&pack.medium), printable(&pack.detail));
            write!(out, "pack {} on medium {medium}: {}", pack.pack, pack.state)?;
            if pack.damaged_cells > 0 {
                write!(out, ", {} of 4 KiB damaged", counted(pack.damaged_cells, "cell", "cells"))?;
            }
            writeln!(out, "{}{detail}", if detail.is_empty() { "" } else { ": " })?;
            for archive in &pack.lost_archives {
                writeln!(out, "  archive {archive} has lost bytes")?;
            }
        }
        let (packs, size) = (counted(self.packs, "pack", "packs"), ByteCount::new(self.bytes));
        write!(out, "vault {}: {packs} read ({size}), {} whole", self.vault, self.whole)?;
        let others = [
            (self.mended, "mended"),
            (self.damaged, "to be mended"),
            (self.lost, "lost"),
            (self.away, "away"),
        ];
        for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
            write!(out, ", {count} {what}")?;
        }
        writeln!(out)
    }

    fn exit(&self) -> Exit {
        match (self.lost, self.damaged + self.away) {
            (0, 0) => Exit::Ok,
            (0, _) => Exit::Partial,
            _ => Exit::Integrity,
        }
    }
}

pub(super) fn about(at: &VaultAdmin, action: &str) -> anyhow::Result<Value> {
    Ok(json!({ "action": action, "vault": checked(&at.vault)?, "account": at.account }))
}

pub(super) async fn post(session: &Session, at: &VaultAdmin, request: &Value) -> anyhow::Result<Value> {
    let answer = door::post(&session.admin(&at.admin.dir())?, PATH, request).await;
    answer.map_err(|error| door::or_else_see(error, WHICH))
}

/// A request for each pack: a large vault takes longer than any request may.
pub(super) async fn scrub(session: &Session, args: &VaultScrub) -> anyhow::Result<Exit> {
    let vault = args.at.vault.clone();
    let mut scrubbed = Scrubbed { vault, dry_run: args.dry_run, ..Scrubbed::default() };
    let (mut from, mut all) = (None::<String>, 0);
    loop {
        let mut request = about(&args.at, "scrub")?;
        request["repairs"] = (!args.dry_run).into();
        if let Some(from) = &from {
            request["from"] = from.as_str().into();
        }
        let step: Step = serde_json::from_value(post(session, &args.at, &request).await?)
            .context("understand the admin door")?;
        all = step.packs.unwrap_or(all);
        if let Some(pack) = step.found {
            scrubbed.add(pack);
        }
        if session.output.draws_progress() {
            session.output.note(&format!("{} of {}", scrubbed.packs, counted(all, "pack", "packs")));
        }
        // Packs are gone through in the order of their ids.
        match step.next {
            Some(next) if from.as_ref().is_none_or(|from| next > *from) => from = Some(next),
            _ => return session.output.print(&scrubbed),
        }
    }
}

/// What keeps a vault's archives.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    vault: String,
    holds: Vec<String>,
    least_days: u64,
}

impl Report for Kept {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        for hold in &self.holds {
            writeln!(out, "vault {}: legal hold {hold}: nothing is deleted", self.vault)?;
        }
        match self.least_days {
            0 if self.holds.is_empty() => writeln!(out, "vault {}: no hold and no least age", self.vault),
            0 => Ok(()),
            days => writeln!(out, "vault {}: archives are kept {}", self.vault, counted(days, "day", "days")),
        }
    }
}

pub(super) async fn hold(session: &Session, args: &VaultHold) -> anyhow::Result<Exit> {
    let (at, request) = match args {
        VaultHold::Ls(at) => (at, about(at, "holds")?),
        VaultHold::Set(args) => (&args.at, with_name(about(&args.at, "hold")?, &args.name)),
        VaultHold::Release(args) => (&args.at, with_name(about(&args.at, "release")?, &args.name)),
        VaultHold::Age(args) => {
            let mut request = about(&args.at, "least_age")?;
            request["days"] = args.days.into();
            (&args.at, request)
        }
    };
    let answer = post(session, at, &request).await?;
    session.output.print(&serde_json::from_value::<Kept>(answer).context("understand the admin door")?)
}

fn with_name(mut request: Value, name: &str) -> Value {
    request["name"] = name.into();
    request
}

/// A medium.
#[derive(Debug, Serialize, Deserialize)]
struct Medium {
    label: String,
    bytes: u64,
    /// Why it can't be used.
    away: Option<String>,
}

impl Row for Medium {
    const NONE: &'static str = "no media";

    fn line(&self, out: &mut dyn Write) -> io::Result<()> {
        let size = ByteCount::new(self.bytes).to_string();
        write!(out, "{:16} {size:>10} of packs", printable(&self.label))?;
        match &self.away {
            Some(why) => write!(out, ", away: {}", printable(why)),
            None => Ok(()),
        }
    }
}

/// How vaults are.
#[derive(Debug, Serialize, Deserialize)]
struct Status {
    vaults: u64,
    system_vaults: u64,
    shut_vaults: u64,
    vaults_with_unreadable_packs: u64,
    retrievals_under_way: u64,
    scrubs: Scrubs,
    compactions: Compactions,
    media: Vec<Medium>,
    /// Of the one that was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    vault: Option<Waste>,
}

/// What scrubs came to since the start.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Scrubs {
    packs: u64,
    bytes: u64,
    mended: u64,
    lost_packs: Vec<String>,
    unseen_since_ms: Option<i64>,
}

impl Report for Status {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let under_way = counted(self.retrievals_under_way, "retrieval", "retrievals");
        writeln!(
            out,
            "{} and {} of buckets, {under_way} under way",
            counted(self.vaults, "vault", "vaults"),
            self.system_vaults
        )?;
        for (count, what) in [
            (self.shut_vaults, "can't be opened: the log says why, and it is tried again"),
            (self.vaults_with_unreadable_packs, "packs nothing more: a pack's row can't be read"),
        ] {
            if count > 0 {
                writeln!(out, "{} {what}", counted(count, "vault", "vaults"))?;
            }
        }
        let Scrubs { packs, bytes, mended, lost_packs, unseen_since_ms } = &self.scrubs;
        let (read, size) = (counted(*packs, "pack", "packs"), ByteCount::new(*bytes));
        write!(out, "scrubbed since the start: {read} ({size}), {mended} mended, {} lost", lost_packs.len())?;
        if let Some(since) = unseen_since_ms {
            write!(out, "; the longest unseen since {}", show_time(Some(Timestamp::from_millis(*since))))?;
        }
        writeln!(out)?;
        for pack in lost_packs {
            writeln!(out, "pack {pack} has lost bytes")?;
        }
        self.compactions.people(out)?;
        for medium in &self.media {
            medium.line(out)?;
            writeln!(out)?;
        }
        self.vault.as_ref().map_or(Ok(()), |vault| vault.people(out))
    }

    fn exit(&self) -> Exit {
        if !self.scrubs.lost_packs.is_empty() {
            return Exit::Integrity;
        }
        let away = self.media.iter().any(|medium| medium.away.is_some());
        if away || self.shut_vaults + self.vaults_with_unreadable_packs > 0 {
            Exit::Partial
        } else {
            Exit::Ok
        }
    }
}

async fn read_status(session: &Session, admin: &QuotaAdmin, request: &Value) -> anyhow::Result<Status> {
    let answer = door::post(&session.admin(&admin.dir())?, PATH, request).await;
    let answer = answer.map_err(|error| door::or_else_see(error, WHICH))?;
    serde_json::from_value(answer).context("understand the admin door")
}

pub(super) async fn status(session: &Session, args: &VaultStatus) -> anyhow::Result<Exit> {
    let mut request = json!({ "action": "status", "account": args.account });
    if let Some(vault) = &args.vault {
        request["vault"] = checked(vault)?.into();
    }
    session.output.print(&read_status(session, &args.admin, &request).await?)
}

pub(super) async fn media(session: &Session, args: &VaultMedia) -> anyhow::Result<Exit> {
    let request = json!({ "action": "status" });
    session.output.print(&Rows(read_status(session, &args.admin, &request).await?.media))
}

#[cfg(test)]
mod tests {
    use super::{Compactions, Kept, Medium, Pack, Scrubbed, Scrubs, Status};
    use crate::exit::Exit;
    use crate::report::{Report, render};

    fn pack(state: &str, damaged: u64, lost: u64) -> Pack {
        Pack {
            pack: format!("{state}1"),
            medium: "disk".to_owned(),
            state: state.to_owned(),
            bytes: 4_096,
            damaged_cells: damaged,
            lost_cells: lost,
            lost_archives: (0..lost).map(|n| format!("a{n}")).collect(),
            detail: if lost > 0 { format!("{lost} cells of it are lost") } else { String::new() },
        }
    }

    #[test]
    fn a_scrub_tells_what_is_not_whole_and_ends_by_the_worst_of_it() {
        let mut text = Vec::new();
        let exits = [
            ("whole", Exit::Ok),
            ("mended", Exit::Ok),
            ("damaged", Exit::Partial),
            ("away", Exit::Partial),
            ("lost", Exit::Integrity),
        ];
        let mut all = Scrubbed { vault: "v".to_owned(), ..Scrubbed::default() };
        for (state, exit) in exits {
            let mut one = Scrubbed::default();
            one.add(pack(state, 1, 0));
            assert_eq!(one.exit(), exit, "{state}");
            all.add(pack(state, u64::from(state != "whole") * 2, u64::from(state == "lost")));
        }
        render(&all, false, &mut text).unwrap();
        render(&all, true, &mut text).unwrap();
        let media =
            vec![Medium { label: "m1".to_owned(), bytes: 1 << 20, away: Some("it is not here".to_owned()) }];
        let status = Status {
            vaults: 1,
            system_vaults: 2,
            shut_vaults: 1,
            vaults_with_unreadable_packs: 0,
            retrievals_under_way: 3,
            scrubs: Scrubs {
                packs: 9,
                bytes: 1 << 30,
                mended: 1,
                unseen_since_ms: Some(0),
                ..Scrubs::default()
            },
            compactions: Compactions::default(),
            media,
            vault: None,
        };
        render(&status, false, &mut text).unwrap();
        assert_eq!(status.exit(), Exit::Partial);
        for (holds, least_days) in [(vec![], 0), (vec!["CASE-1".to_owned()], 30)] {
            render(&Kept { vault: "v".to_owned(), holds, least_days }, false, &mut text).unwrap();
        }
        insta::assert_snapshot!(String::from_utf8(text).unwrap());
    }
}
