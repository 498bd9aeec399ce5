//! What a transfer did.

use crate::exit::Exit;
use crate::report::Report;
use crate::text::printable;
use engine::unit::ByteCount;
use serde::Serialize;
use std::io::{self, Write};
use std::time::Duration;

/// Failures that are kept for the report; more are counted.
const LISTED_MAX: usize = 1000;

/// One thing that failed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Failed {
    pub(crate) name: String,
    pub(crate) error: String,
    pub(crate) exit: u8,
}

/// What a transfer did.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct TransferReport {
    pub(crate) dry_run: bool,
    pub(crate) uploaded: u64,
    pub(crate) downloaded: u64,
    pub(crate) copied: u64,
    pub(crate) removed: u64,
    /// The same on both sides already.
    pub(crate) skipped: u64,
    pub(crate) bytes: ByteCount,
    /// Parts that an interrupted run had sent before.
    pub(crate) parts_resumed: u64,
    /// Downloads that the endpoint gave nothing to verify with.
    pub(crate) unverified: u64,
    pub(crate) duration_ms: u64,
    pub(crate) failed_count: u64,
    /// The first thousand.
    pub(crate) failed: Vec<Failed>,
    #[serde(skip)]
    pub(crate) first_exit: Option<Exit>,
}

impl TransferReport {
    pub(crate) fn fail(&mut self, name: &str, error: &anyhow::Error) {
        self.failed_count += 1;
        let exit = crate::exit::of(error);
        self.first_exit.get_or_insert(exit);
        if self.failed.len() < LISTED_MAX {
            self.failed.push(Failed {
                name: name.to_owned(),
                error: printable(&format!("{error:#}")),
                exit: exit as u8,
            });
        }
    }

    pub(crate) const fn moved(&self) -> u64 {
        self.uploaded + self.downloaded + self.copied
    }
}

impl Report for TransferReport {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        for failed in &self.failed {
            writeln!(out, "failed: {}: {}", printable(&failed.name), failed.error)?;
        }
        if self.failed_count > self.failed.len() as u64 {
            writeln!(out, "failed: {} more", self.failed_count - self.failed.len() as u64)?;
        }
        let mut words = Vec::new();
        for (count, done, wanted) in [
            (self.uploaded, "uploaded", "to upload"),
            (self.downloaded, "downloaded", "to download"),
            (self.copied, "copied", "to copy"),
            (self.removed, "removed", "to remove"),
            (self.skipped, "the same already", "the same already"),
            (self.failed_count, "failed", "failed"),
        ] {
            if count > 0 {
                words.push(format!("{count} {}", if self.dry_run { wanted } else { done }));
            }
        }
        if words.is_empty() {
            words.push("nothing to do".to_owned());
        }
        let would = if self.dry_run { "dry run, nothing changed: " } else { "" };
        write!(out, "{would}{}", words.join(", "))?;
        if self.moved() > 0 {
            write!(out, "; {}", self.bytes)?;
            if !self.dry_run {
                let duration = Duration::from_millis(self.duration_ms.max(1));
                let rate = u128::from(self.bytes.get()) * 1000 / u128::from(self.duration_ms.max(1));
                let rate = ByteCount::new(u64::try_from(rate).unwrap_or(u64::MAX));
                write!(out, " in {:.1} s, {rate}/s", duration.as_secs_f64())?;
            }
        }
        writeln!(out)?;
        if self.parts_resumed > 0 {
            writeln!(out, "{} parts were there from an interrupted run", self.parts_resumed)?;
        }
        if self.unverified > 0 {
            writeln!(out, "{} downloads had no checksum to verify with", self.unverified)?;
        }
        Ok(())
    }

    fn exit(&self) -> Exit {
        match (self.failed_count, self.first_exit) {
            (0, _) => Exit::Ok,
            // One thing was asked for, and it failed: its own reason says more than "partly".
            (1, Some(exit)) if self.moved() + self.removed + self.skipped == 0 => exit,
            _ => Exit::Partial,
        }
    }
}
