//! The catalog and its copy in a zone, where they meet: at the opening, in each group, and when the copy's worker asks for something.

use super::RocksCatalog;
use super::queue::{Job, Request};
use super::rows::Rows;
use super::sequencer::Sequencer;
use crate::catalog::copy::{CopyOptions, CopyStatus, Place, Standing, Task, Told};
use crate::catalog::log::files::{Files, Shape};
use crate::catalog::{Layout, Version};
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

impl Sequencer {
    /// Does what was judged of who may start. Before anything else is committed, what a zone holds of this very history and the data
    /// directory does not is taken over, and the zone gets what it lacks.
    pub(super) fn stand(&mut self, standing: Standing, (files, patience): (&Files, Duration)) -> Result<()> {
        let marker = &mut self.marker;
        let Some(mut meeting) = self.keeper.meet(standing, &mut |layout| marker.raise(layout))? else {
            return Ok(());
        };
        loop {
            let lacking = match meeting.lacking(self.version, patience) {
                Ok(None) => return self.keeper.join_met(meeting, self.version, files),
                Ok(Some(frames)) => frames,
                Err(error @ Error::Forked { .. }) => return Err(error),
                Err(error) => return self.keeper.unmet(meeting.place(), &error),
            };
            self.take_over(&lacking.into())?;
        }
    }

    /// The copy has what it was given, or is recorded to be none any more.
    pub(super) fn wait_for_copy(&mut self) -> Result<()> {
        self.keeper.end().map_err(|error| {
            self.fence(&error);
            Error::Unknown { reason: error.to_string() }
        })
    }

    /// Makes what both logs hold durable.
    pub(super) fn sync_both(&mut self) -> Result<()> {
        self.keeper.begin(&[], (self.version, Layout::FIRST), true);
        let synced = self.sync();
        self.wait_for_copy().and(synced)
    }

    /// Carries out what the copy's worker asks for.
    pub(super) fn copy(&mut self, request: Request) {
        let Job::Copy(task) = &request.job else { return };
        let outcome = self.sync_both().and_then(|()| {
            if matches!(task, Task::Prepare(..)) {
                self.marker.raise(Layout::COPIES)?;
            }
            self.keeper.carry_out(task, self.version)
        });
        if let Err(error) = &outcome
            && self.keeper.is_astray()
        {
            self.fence(error);
        }
        request.answer(outcome);
    }
}

impl RocksCatalog {
    /// Why no commits are taken, since it was opened: another place of it may know more.
    pub fn read_only(&self) -> Option<&str> {
        self.read_only.as_deref()
    }

    /// How its copies stand.
    pub fn copy_status(&self) -> CopyStatus {
        self.told.status()
    }

    /// A base that is being copied ends in part, so that nobody who closes waits for all of it: the next process makes it anew.
    pub fn stop_copying(&self) {
        self.told.stopping.store(true, Ordering::Release);
    }

    /// What was read of its rows and is not as it was written, if anything was since it was opened: others may be, too.
    pub fn rot(&self) -> Option<String> {
        self.shared.rows.rot().map(str::to_owned)
    }

    pub(in crate::catalog) fn note_rot(&self, error: &Error) {
        self.shared.rows.note_rot(error);
    }

    /// Reads a checkpoint's rows with their checksums where these of its files have any. Blocks.
    pub(in crate::catalog) fn verify(
        &self,
        checkpoint: &Path,
        files: &BTreeSet<PathBuf>,
        stopping: &AtomicBool,
    ) -> Result<()> {
        let rows = Rows::open_read_only(&checkpoint.join("rows"), &self.options)?;
        let is_new = |name: &str| files.contains(&Path::new("rows").join(name.trim_start_matches('/')));
        rows.verify(&is_new, stopping)
    }

    pub(in crate::catalog) fn told(&self) -> &Arc<Told> {
        &self.told
    }

    pub(in crate::catalog) const fn copy_options(&self) -> &CopyOptions {
        &self.options.copy
    }

    /// What a log in a zone is made of.
    pub(in crate::catalog) fn log_parts(&self) -> (Shape, Arc<dyn Entropy>, Arc<dyn Clock>) {
        let shape = Shape { file_bytes: self.options.log_file_bytes, retained: 0 };
        (shape, Arc::clone(&self.options.entropy), Arc::clone(&self.options.clock))
    }

    /// Where a zone has its copy, if it may have one.
    pub(in crate::catalog) fn copy_place(&self, zone: &str) -> Option<Place> {
        self.options.copy.places.iter().find(|place| place.zone == zone).cloned()
    }

    /// Has the sequencer do something about the copy.
    pub(in crate::catalog) async fn copy_task(&self, task: Task) -> Result<Version> {
        self.writable()?;
        self.shared.queue.submit(Job::Copy(task), 0).await
    }

    pub(super) fn writable(&self) -> Result<()> {
        match &self.read_only {
            None => Ok(()),
            Some(reason) => Err(Error::Fenced { reason: reason.clone() }),
        }
    }
}
