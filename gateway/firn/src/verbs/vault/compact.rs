//! `firn vault compact`, at the admin door: what lives in packs of which much is dead moves to new ones.

use super::keep::{about, post};
use crate::cli::VaultCompact;
use crate::exit::Exit;
use crate::report::Report;
use crate::session::Session;
use crate::text::{counted, printable};
use anyhow::Context;
use engine::unit::ByteCount;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::{self, Write};

/// A pack of which more is dead than may be.
#[derive(Debug, Serialize, Deserialize)]
struct Due {
    pack: String,
    medium: String,
    bytes: u64,
    held_bytes: u64,
    live_bytes: u64,
    dead_bytes: u64,
    /// Why it stays as it is.
    kept_back: Option<String>,
}

/// What is dead in a vault's packs.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Waste {
    vault: String,
    packs: u64,
    bytes: u64,
    held_bytes: u64,
    live_bytes: u64,
    dead_bytes: u64,
    unmeasured_packs: u64,
    deduplicates: bool,
    due_packs: u64,
    /// The deadest, a thousand at the most.
    due: Vec<Due>,
}

impl Waste {
    /// What is said of one vault.
    pub(super) fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let (packs, size) = (counted(self.packs, "pack", "packs"), ByteCount::new(self.bytes));
        let (dead, held) = (ByteCount::new(self.dead_bytes), ByteCount::new(self.held_bytes));
        write!(out, "vault {}: {packs} ({size}), {dead} of {held} in them dead", printable(&self.vault))?;
        if self.unmeasured_packs > 0 {
            write!(out, ", {} not measured", counted(self.unmeasured_packs, "pack", "packs"))?;
        }
        writeln!(out, ", {} to be compacted", self.due_packs)?;
        for pack in &self.due {
            let (dead, held) = (ByteCount::new(pack.dead_bytes), ByteCount::new(pack.held_bytes));
            write!(out, "pack {} on medium {}: {dead} of {held} dead", pack.pack, printable(&pack.medium))?;
            match &pack.kept_back {
                Some(why) => writeln!(out, ", stays: {}", printable(why))?,
                None => writeln!(out)?,
            }
        }
        Ok(())
    }
}

/// What compactions came to since the start.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Compactions {
    packs: u64,
    moved: u64,
    moved_bytes: u64,
    dead_bytes: Option<u64>,
    waits: Option<String>,
}

impl Compactions {
    pub(super) fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let (packs, size) = (counted(self.packs, "new pack", "new packs"), ByteCount::new(self.moved_bytes));
        write!(out, "compacted since the start: {size} moved to {packs}")?;
        if let Some(dead) = self.dead_bytes {
            write!(out, "; {} dead in all vaults", ByteCount::new(dead))?;
        }
        writeln!(out)?;
        match &self.waits {
            Some(why) => writeln!(out, "compaction waits: {}", printable(why)),
            None => Ok(()),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Left {
    pack: String,
    why: String,
}

/// What the door answers about a step.
#[derive(Debug, Deserialize)]
struct Step {
    to: Option<String>,
    from: Vec<String>,
    moved: u64,
    moved_bytes: u64,
    left: Vec<Left>,
    vault: Option<Waste>,
}

/// What a compaction came to.
#[derive(Debug, Default, Serialize)]
struct Compacted {
    dry_run: bool,
    /// Archives, and parts of them.
    moved: u64,
    moved_bytes: u64,
    /// Packs that were written.
    new_packs: u64,
    /// Those that it lay in.
    from: BTreeSet<String>,
    left: Vec<Left>,
    /// How its packs are now.
    packs: Waste,
}

impl Report for Compacted {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        for Left { pack, why } in &self.left {
            writeln!(out, "pack {pack}: {}", printable(why))?;
        }
        if !self.dry_run {
            let (from, to) = (self.from.len() as u64, counted(self.new_packs, "new pack", "new packs"));
            let (moved, size) =
                (counted(self.moved, "archive", "archives"), ByteCount::new(self.moved_bytes));
            writeln!(out, "{moved} ({size}) moved from {} to {to}", counted(from, "pack", "packs"))?;
        }
        self.packs.people(out)
    }

    fn exit(&self) -> Exit {
        let stays = self.packs.due.iter().any(|pack| pack.kept_back.is_some());
        if self.left.is_empty() && !stays { Exit::Ok } else { Exit::Partial }
    }
}

/// A request for each new pack: a large vault takes longer than any request may.
pub(super) async fn compact(session: &Session, args: &VaultCompact) -> anyhow::Result<Exit> {
    let mut compacted = Compacted { dry_run: args.dry_run, ..Compacted::default() };
    loop {
        let mut request = about(&args.at, "compact")?;
        request["dry_run"] = args.dry_run.into();
        let step: Step = serde_json::from_value(post(session, &args.at, &request).await?)
            .context("understand the admin door")?;
        compacted.moved += step.moved;
        compacted.moved_bytes += step.moved_bytes;
        compacted.from.extend(step.from);
        compacted.left.extend(step.left);
        compacted.new_packs += u64::from(step.to.is_some());
        if session.output.draws_progress() {
            let size = ByteCount::new(compacted.moved_bytes);
            session
                .output
                .note(&format!("{size} moved to {}", counted(compacted.new_packs, "pack", "packs")));
        }
        if step.to.is_none() {
            compacted.packs = step.vault.unwrap_or_default();
            return session.output.print(&compacted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Compacted, Compactions, Due, Left, Waste};
    use crate::exit::Exit;
    use crate::report::{Report, render};

    #[test]
    fn a_compaction_tells_what_moved_what_stays_and_why() {
        let due = |kept_back: Option<&str>| Due {
            pack: "p1".to_owned(),
            medium: "disk".to_owned(),
            bytes: 2 << 20,
            held_bytes: 1 << 20,
            live_bytes: 1 << 19,
            dead_bytes: 1 << 19,
            kept_back: kept_back.map(str::to_owned),
        };
        let packs = |due| Waste {
            vault: "v".to_owned(),
            packs: 2,
            bytes: 4 << 20,
            held_bytes: 2 << 20,
            live_bytes: 1 << 20,
            dead_bytes: 1 << 20,
            due_packs: 1,
            due,
            ..Waste::default()
        };
        let whole = Compacted { dry_run: true, packs: packs(vec![due(None)]), ..Compacted::default() };
        assert_eq!(whole.exit(), Exit::Ok);
        let stays =
            Compacted { packs: packs(vec![due(Some("its medium is written once"))]), ..Compacted::default() };
        assert_eq!(stays.exit(), Exit::Partial);
        let left = vec![Left { pack: "p2".to_owned(), why: "it can't be opened".to_owned() }];
        let left = Compacted { left, moved: 3, moved_bytes: 1 << 20, new_packs: 1, ..Compacted::default() };
        assert_eq!(left.exit(), Exit::Partial);
        for (report, lines) in [
            (&whole, vec!["vault v: 2 packs", "1 to be compacted", "pack p1 on medium disk"]),
            (&stays, vec!["stays: its medium is written once", "0 archives"]),
            (&left, vec!["pack p2: it can't be opened", "3 archives", "to 1 new pack"]),
        ] {
            let mut text = Vec::new();
            render(report, false, &mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            assert!(lines.iter().all(|line| text.contains(line)), "{text}");
        }
        let waits = Some("medium disk is full".to_owned());
        let totals = Compactions { packs: 1, dead_bytes: Some(5), waits, ..Compactions::default() };
        let mut text = Vec::new();
        totals.people(&mut text).unwrap();
        assert!(String::from_utf8(text).unwrap().contains("compaction waits: medium disk is full"));
    }
}
