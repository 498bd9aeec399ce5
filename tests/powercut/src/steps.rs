//! The power goes at each step of a piece of work in turn, so that every sync in it is missed when it is left out.
//!
//! ```text
//!   lay out ─► mount ─► work, cut before its nth change ─► unmount ─► judge what survived     n = 0, 1, … and at its end
//! ```
//! The discipline is the strict one: what no sync covered may go, each thing alone.
//!
//! Limits: [`STEPS_MAX`] changes; work must bear `EIO` from any call, and have let go of all its files when it returns.

use crate::{Discipline, Disk, Seeded};
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// Work of more changes than this is not for trying each of them.
pub const STEPS_MAX: u64 = 1_000;
/// Ways in which each cut is tried to lose what was not synced.
const TRIES: u64 = 4;

/// When the power went.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// Changes that came before.
    pub step: u64,
    /// The work was done, and what it answered had been answered.
    pub ended: bool,
    attempt: u64,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = if self.ended { "after the last of" } else { "behind" };
        write!(f, "a cut {when} {} changes, attempt {}", self.step, self.attempt)
    }
}

/// Cuts the power at each step of `work` and hands what survived to `judge`; `lay_out` fills the directory before. Where
/// no power can be cut, says that `test` is skipped.
///
/// # Panics
/// When the layer fails, or the work never ends.
pub fn at_every_step(
    test: &str,
    lay_out: impl Fn(&Path),
    mut work: impl FnMut(&Path),
    mut judge: impl FnMut(&Path, Cut),
) {
    for step in 0..STEPS_MAX {
        let mut ended = 0;
        for attempt in 0..TRIES {
            let Some(disk) = Disk::new(test) else { return };
            lay_out(disk.survivors());
            let cut = run(&disk, step, attempt, &mut work);
            ended += u64::from(cut.ended);
            judge(disk.survivors(), cut);
        }
        if ended == TRIES {
            assert!(step > 0, "{test}: work that changes nothing has nothing to lose");
            return;
        }
    }
    panic!("{test}: more than {STEPS_MAX} changes");
}

#[expect(clippy::unwrap_used, reason = "a step that fails fails the test")]
fn run(disk: &Disk, step: u64, attempt: u64, work: &mut impl FnMut(&Path)) -> Cut {
    let layer = disk.mount(Seeded::new(step).fork(attempt).next(), Discipline::Strict);
    layer.cut_after(step);
    work(disk.path());
    let ended = !layer.wait_for_cut(Duration::ZERO);
    layer.cut().unwrap();
    layer.unmount().unwrap();
    Cut { step, ended, attempt }
}
