//! What a transfer did.

use crate::exit::Exit;
use crate::report::Report;
use crate::text::{chain, printable};
use engine::unit::ByteCount;
use serde::Serialize;
use std::io::{self, Write};
use std::time::Duration;

/// Failures that are kept for the report; more are counted.
pub(super) const LISTED_MAX: usize = 100_000;
/// Of them, those that people get to see, of removals too.
pub(crate) const SHOWN_MAX: usize = 10;

/// One thing that failed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Failed {
    pub(crate) name: String,
    pub(crate) error: String,
    pub(crate) exit: u8,
}

/// What one job did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    pub(super) bytes: u64,
    pub(super) parts_resumed: u64,
    pub(super) unverified: bool,
    /// Nothing proves that the copy has the bytes of its source.
    pub(super) unproven: bool,
    /// A move left its source where it is: behind a link.
    pub(super) stays: bool,
}

/// A transfer that ended before its plan did: the endpoint was gone.
#[derive(Debug, Serialize)]
pub(crate) struct Stopped {
    /// Files and objects that were found and not done.
    pub(crate) left: u64,
    /// Whether there may be more of them, for not all was looked for.
    pub(crate) more: bool,
    /// What the last attempt ended with.
    #[serde(skip)]
    pub(crate) cause: anyhow::Error,
}

/// What a transfer did.
#[derive(Debug, Default, Serialize)]
pub(crate) struct TransferReport {
    pub(crate) dry_run: bool,
    pub(crate) uploaded: u64,
    pub(crate) downloaded: u64,
    pub(crate) copied: u64,
    pub(crate) removed: u64,
    /// Of a move: of what was uploaded, downloaded or copied, that whose source is gone.
    pub(crate) moved: u64,
    /// The same on both sides already.
    pub(crate) skipped: u64,
    pub(crate) bytes: ByteCount,
    /// Parts that an interrupted run had sent before.
    pub(crate) parts_resumed: u64,
    /// What the endpoint gave nothing to verify with.
    pub(crate) unverified: u64,
    pub(crate) duration_ms: u64,
    /// What a dry run would remove: the first hundred thousand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) would_remove: Vec<String>,
    pub(crate) failed_count: u64,
    /// The first hundred thousand.
    pub(crate) failed: Vec<Failed>,
    pub(crate) stopped: Option<Stopped>,
    /// Of a move: what was copied from behind a link to a directory, and stays there.
    pub(crate) left_behind_links: u64,
    /// Each source goes once its copy is complete.
    #[serde(skip)]
    pub(crate) moves: bool,
    #[serde(skip)]
    pub(crate) first_error: Option<anyhow::Error>,
}

impl TransferReport {
    pub(crate) fn fail(&mut self, name: &str, error: anyhow::Error) {
        self.failed_count += 1;
        let exit = crate::exit::of(&error);
        if self.failed.len() < LISTED_MAX {
            self.failed.push(Failed {
                name: name.to_owned(),
                error: printable(&chain(&error)),
                exit: exit as u8,
            });
        }
        self.first_error.get_or_insert(error);
    }

    /// Adds what one job did, but for which way it went.
    pub(super) fn add(&mut self, done: Done) {
        self.bytes += ByteCount::new(done.bytes);
        self.parts_resumed += done.parts_resumed;
        self.unverified += u64::from(done.unverified);
        self.left_behind_links += u64::from(done.stays);
    }

    /// Files and objects that were dealt with by this run.
    pub(crate) const fn done(&self) -> u64 {
        self.transferred() + self.removed
    }

    /// Counts of a move what its sources are gone of.
    pub(crate) const fn count_moved(&mut self) {
        self.moved = if self.moves { self.transferred().saturating_sub(self.left_behind_links) } else { 0 };
    }

    /// Whether there is nothing to tell: nothing was done, and nothing failed.
    pub(crate) const fn is_blank(&self) -> bool {
        self.done() == 0 && self.failed_count == 0
    }

    pub(crate) const fn transferred(&self) -> u64 {
        self.uploaded + self.downloaded + self.copied
    }
}

/// The first of what did not go well, by name and error, for people.
pub(crate) fn show_first<'a>(
    out: &mut dyn Write,
    what: &str,
    listed: impl Iterator<Item = (&'a str, &'a str)>,
    count: u64,
) -> io::Result<()> {
    let mut shown = 0;
    for (name, error) in listed.take(SHOWN_MAX) {
        writeln!(out, "{what}: {}: {}", printable(name), printable(error))?;
        shown += 1;
    }
    let more = count.saturating_sub(shown);
    if more > 0 { writeln!(out, "{what}: and {more} more; --json lists them") } else { Ok(()) }
}

impl Report for TransferReport {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let failed = self.failed.iter().map(|failed| (&*failed.name, &*failed.error));
        show_first(out, "failed", failed, self.failed_count)?;
        let mut words = Vec::new();
        // Of one move all go one way.
        let stay = self.left_behind_links;
        for (count, done, wanted) in [
            (self.uploaded, "uploaded", "to upload"),
            (self.downloaded, "downloaded", "to download"),
            (self.copied, "copied", "to copy"),
            (self.removed, "removed", "to remove"),
            (self.skipped, "the same already", "the same already"),
            (self.failed_count, "failed", "failed"),
            (self.stopped.as_ref().map_or(0, |stopped| stopped.left), "left", "left"),
        ] {
            let copies = matches!(done, "uploaded" | "downloaded" | "copied");
            let (done, wanted) = if self.moves && copies { ("moved", "to move") } else { (done, wanted) };
            let count = if self.moves && copies { count.saturating_sub(stay) } else { count };
            if count > 0 {
                words.push(format!("{count} {}", if self.dry_run { wanted } else { done }));
            }
        }
        if stay > 0 {
            let copied = if self.dry_run { "to copy" } else { "copied" };
            let at = words.iter().position(|word| !word.contains("move")).unwrap_or(words.len());
            words.insert(at, format!("{stay} {copied} (behind links, which stay)"));
        }
        if words.is_empty() {
            words.push("nothing to do".to_owned());
        }
        let would = if self.dry_run { "dry run, nothing changed: " } else { "" };
        write!(out, "{would}{}", words.join(", "))?;
        if self.transferred() > 0 {
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
            let were = if self.parts_resumed == 1 { "part was" } else { "parts were" };
            writeln!(out, "{} {were} there from an interrupted run", self.parts_resumed)?;
        }
        if self.unverified > 0 {
            writeln!(
                out,
                "{} had nothing to verify with: no checksum, and no ETag that is an MD5",
                self.unverified
            )?;
        }
        Ok(())
    }

    fn exit(&self) -> Exit {
        match (self.failed_count, &self.first_error) {
            _ if self.stopped.is_some() => {
                let cause = self.stopped.as_ref().map(|stopped| crate::exit::of(&stopped.cause));
                if self.done() > 0 { Exit::Partial } else { cause.unwrap_or(Exit::Error) }
            }
            (0, _) => Exit::Ok,
            // One thing was asked for, and it failed: its own reason says more than "partly".
            (1, Some(error)) if self.done() + self.skipped == 0 => crate::exit::of(error),
            _ => Exit::Partial,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Report, SHOWN_MAX, TransferReport};

    #[test]
    fn people_see_the_first_failures_and_programs_all() {
        let mut report = TransferReport { uploaded: 1, ..TransferReport::default() };
        for n in 0..3400 {
            report.fail(&format!("upload {n}"), anyhow::anyhow!("reach it"));
        }
        let mut people = Vec::new();
        report.people(&mut people).unwrap();
        let people = String::from_utf8(people).unwrap();
        assert_eq!(people.lines().count(), SHOWN_MAX + 2, "{people}");
        assert!(people.contains("failed: and 3390 more; --json lists them"), "{people}");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["failed"].as_array().unwrap().len(), 3400);
    }
}
