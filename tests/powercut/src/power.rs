//! The power and its cut: the state that a cut decides over, under the one lock that all requests take.
//!
//! The lock makes a cut fall between two operations, never inside one.

use crate::content::Fate;
use crate::namespace::Namespace;
use crate::{CutReport, Discipline, Seeded, Stats};
use fuser::Errno;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::io;
use std::time::Duration;

/// Everything that a cut decides over.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) names: Namespace,
    pub(crate) stats: Stats,
    pub(crate) cut: bool,
    chance: Seeded,
    /// Operations left until the layer cuts by itself.
    armed: Option<u64>,
}

/// The state, shared by the kernel's requests and the test.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    was_cut: Condvar,
    pub(crate) discipline: Discipline,
}

impl Shared {
    pub(crate) fn new(names: Namespace, chance: Seeded, discipline: Discipline) -> Self {
        let state = State { names, stats: Stats::default(), cut: false, chance, armed: None };
        Self { state: Mutex::new(state), was_cut: Condvar::new(), discipline }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(crate) fn stats(&self) -> Stats {
        self.state.lock().stats.clone()
    }

    pub(crate) fn arm(&self, operations: u64) {
        self.state.lock().armed = Some(operations);
    }

    pub(crate) fn cut(&self) -> io::Result<CutReport> {
        let mut state = self.state.lock();
        self.cut_locked(&mut state)
    }

    fn cut_locked(&self, state: &mut State) -> io::Result<CutReport> {
        if let Some(report) = state.stats.cut {
            return Ok(report);
        }
        state.cut = true;
        let mut data = Fate::default();
        let ahead = self.discipline == Discipline::Strict;
        for (ino, _, content) in state.names.files_mut() {
            let fate = content.cut(&mut state.chance.fork(ino), ahead)?;
            data.at_stake += fate.at_stake;
            data.kept += fate.kept;
            data.torn += fate.torn;
        }
        let names = state.names.cut(&mut state.chance.fork(0));
        let report = CutReport {
            data_at_stake: data.at_stake,
            data_kept: data.kept,
            data_torn: data.torn,
            names_at_stake: names.at_stake,
            names_kept: names.kept,
        };
        state.stats.cut = Some(report);
        self.was_cut.notify_all();
        Ok(report)
    }

    pub(crate) fn wait_for_cut(&self, patience: Duration) -> bool {
        let mut state = self.state.lock();
        self.was_cut.wait_while_for(&mut state, |state| !state.cut, patience);
        state.cut
    }

    /// The state, while there is power.
    pub(crate) fn live(&self) -> Result<MutexGuard<'_, State>, Errno> {
        let state = self.state.lock();
        if state.cut { Err(Errno::EIO) } else { Ok(state) }
    }

    /// The state for an operation that changes or syncs something, counted by what cuts after so many of them.
    pub(crate) fn change(&self) -> Result<MutexGuard<'_, State>, Errno> {
        let mut state = self.live()?;
        match state.armed {
            Some(0) => {
                self.cut_locked(&mut state).map_err(Errno::from)?;
                Err(Errno::EIO)
            }
            Some(left) => {
                state.armed = Some(left - 1);
                Ok(state)
            }
            None => Ok(state),
        }
    }
}
