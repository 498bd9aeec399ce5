//! The log's files after a power cut at any step: whatever was acknowledged is found, and nothing stands in its way.

use super::{SHAPE, SHAPE_ROOM, commit};
use crate::Result;
use crate::catalog::log::files::LogWriter;
use crate::catalog::log::frame::HEADER;
use crate::catalog::log::{payload, recover};
use crate::catalog::{Layout, Version};
use powercut::Cut;
use std::cell::Cell;
use std::path::Path;

/// What is known to have been done when the power went.
#[derive(Default)]
struct Told {
    /// Acknowledged as synced.
    synced: Cell<Version>,
    /// What the rows hold without the log.
    flushed: Cell<Version>,
}

impl Told {
    fn forget(&self) {
        self.synced.set(0);
        self.flushed.set(0);
    }

    fn sync(&self, log: &mut LogWriter, n: u8) -> Result<()> {
        log.sync()?;
        self.synced.set(Version::from(n) + 1);
        Ok(())
    }

    /// Everything acknowledged is found, in files that follow one another.
    fn judge(&self, dir: &Path, cut: Cut) {
        let found = recover::find(dir).unwrap_or_else(|error| panic!("{cut}: {error}"));
        let numbers: Vec<u64> = found.iter().map(|file| file.header.log).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{cut}: {numbers:?}");
        let replayed = recover::replay(&found, SHAPE.file_bytes, self.flushed.get(), |_, _| Ok(()));
        let reached = replayed.unwrap_or_else(|error| panic!("{cut}: {error}"));
        assert!(
            reached >= self.synced.get(),
            "{cut}: {} were synced, {reached} are there",
            self.synced.get()
        );
    }
}

/// A group in a file of its own.
fn append(log: &mut LogWriter, n: u8) -> Result<()> {
    let mut bytes = vec![0; HEADER];
    payload::push(&mut bytes, &commit(n));
    log.make_room(SHAPE_ROOM)?;
    log.append(&mut bytes, Version::from(n) + 1, Layout::FIRST)
}

#[test]
fn a_rotation_loses_nothing_wherever_the_power_goes() {
    let told = Told::default();
    let work = |dir: &Path| -> Result<()> {
        told.forget();
        let mut log = start_at(dir, 0, 0)?;
        for n in 0..6 {
            append(&mut log, n)?;
            told.sync(&mut log, n)?;
            // The rows follow one group behind: the oldest file goes, or is used again.
            told.flushed.set(Version::from(n));
            log.trim(Version::from(n));
        }
        Ok(())
    };
    powercut::at_every_step(
        "a_rotation_loses_nothing_wherever_the_power_goes",
        |_| {},
        |dir| drop(work(dir)),
        |dir, cut| told.judge(dir, cut),
    );
}

#[test]
fn files_that_nobody_needs_go_oldest_first_wherever_the_power_goes() {
    let told = Told::default();
    let five_files = |dir: &Path| {
        let mut log = start_at(dir, 0, 0).unwrap();
        for n in 0..5 {
            append(&mut log, n).unwrap();
            told.sync(&mut log, n).unwrap();
        }
        // Now the rows hold them all, and opening lets four go.
        told.flushed.set(5);
    };
    powercut::at_every_step(
        "files_that_nobody_needs_go_oldest_first_wherever_the_power_goes",
        five_files,
        |dir| drop(start_at(dir, 5, 5)),
        |dir, cut| told.judge(dir, cut),
    );
}

#[test]
fn what_nobody_waited_for_is_synced_before_the_next_file_follows_it() {
    let told = Told::default();
    let work = |dir: &Path| -> Result<()> {
        told.forget();
        let mut log = start_at(dir, 0, 0)?;
        // Relaxed commits alone: nothing but the rotation syncs them, and each next file says that it was done.
        for n in 0..3 {
            append(&mut log, n)?;
        }
        told.sync(&mut log, 2)
    };
    powercut::at_every_step(
        "what_nobody_waited_for_is_synced_before_the_next_file_follows_it",
        |_| {},
        |dir| drop(work(dir)),
        |dir, cut| told.judge(dir, cut),
    );
}

#[test]
fn files_that_are_let_go_together_go_oldest_first_wherever_the_power_goes() {
    let told = Told::default();
    let work = |dir: &Path| -> Result<()> {
        told.forget();
        let mut log = start_at(dir, 0, 0)?;
        for n in 0..5 {
            append(&mut log, n)?;
            told.sync(&mut log, n)?;
        }
        // While they were read none of them went.
        told.flushed.set(5);
        log.trim(5);
        Ok(())
    };
    powercut::at_every_step(
        "files_that_are_let_go_together_go_oldest_first_wherever_the_power_goes",
        |_| {},
        |dir| drop(work(dir)),
        |dir, cut| told.judge(dir, cut),
    );
}

#[test]
fn what_a_restart_found_unsynced_is_synced_before_the_next_file_follows_it() {
    let told = Told::default();
    let work = |dir: &Path| -> Result<()> {
        told.forget();
        let mut killed = start_at(dir, 0, 0)?;
        append(&mut killed, 0)?;
        // A process that is killed syncs nothing; its pages are still there.
        drop(killed);
        let found = recover::find(dir)?;
        let reached = recover::replay(&found, SHAPE.file_bytes, 0, |_, _| Ok(()))?;
        let mut log = start_at(dir, reached, 0)?;
        append(&mut log, 1)?;
        told.sync(&mut log, 1)
    };
    powercut::at_every_step(
        "what_a_restart_found_unsynced_is_synced_before_the_next_file_follows_it",
        |_| {},
        |dir| drop(work(dir)),
        |dir, cut| told.judge(dir, cut),
    );
}

fn start_at(dir: &Path, at: Version, flushed: Version) -> Result<LogWriter> {
    let found = recover::find(dir)?;
    LogWriter::start(dir, SHAPE, super::parts(), found, (at, flushed))
}
