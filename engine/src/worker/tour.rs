//! A worker's way through its partitions, in rounds. The worker says which partition comes next, and does a step in one.
//!
//! ```text
//!   round: the first ─► visit ─ goes on there ─► visit ─ leaves it ─► the next one behind it ─► … ─► none: over
//!                         └ fails: told at the end of the round         └ the tick ends with what did something, or goes on
//!                         └ fails, and so would everybody, or it is held up: told at once, goes on where it was
//! ```
//!
//! # Invariants
//! - A round visits every partition that is there all the time, in order, whatever becomes of the others; one that comes is visited in
//!   this round or in the next.
//! - What fails holds up nothing behind it: neither the other partitions, nor what is behind the place in its own at which the
//!   visit had said that it goes on. So does a visit that panics.
//! - The first error of a round is what the tick at its end returns, once between two rests; the others are logged, the first
//!   [`LOUD`] as errors. It is the tour's [`trouble`](Tour::trouble) until a round is over in which nothing fails.
//! - Where [`VAIN_MAX`] visits on end fail because something is unavailable, a tick fails as well, so that there is a pause: the
//!   tour is behind them all the same.
//!
//! # Limits
//! [`STOPS_PER_TICK`] partitions a tick, and no more than one of those in which something is done. What is kept is one place,
//! whatever the number of partitions. It is in memory: who wants it to outlive a restart saves the cursor and
//! [resumes](Tour::resume).

use super::Progress;
use crate::id::PartitionId;
use crate::{Error, ErrorKind, Result};
use std::future::Future;
use std::ops::Bound;
use std::time::Duration;

/// Partitions with nothing to do that one tick passes.
pub const STOPS_PER_TICK: usize = 64;
/// Visits on end that find something unavailable, until the tick is said to have failed.
const VAIN_MAX: usize = 16;
/// What a round passes by that is logged as an error each; the rest is for whoever looks closely.
const LOUD: u64 = 8;

/// What a worker does in its rounds.
pub trait Visitor: Send {
    /// Where a visit goes on within a partition; its default is the beginning.
    type Cursor: Default + Clone + Send;

    /// The first partition from here on.
    fn next(&self, from: Bound<PartitionId>) -> Option<PartitionId>;

    /// One bounded batch of work in a partition. An error is this partition's, unless whoever comes next would meet it, too.
    fn visit(&mut self, stop: &mut Stop<Self::Cursor>) -> impl Future<Output = Result<()>> + Send;
}

/// A visit to a partition.
#[derive(Debug)]
pub struct Stop<C> {
    partition: PartitionId,
    cursor: C,
    goes_on: bool,
    done: u64,
    aside: Option<Error>,
    held: Option<Error>,
    passed: Passed,
}

/// What was passed by in a round, for how it is logged.
#[derive(Clone, Copy, Debug, Default)]
struct Passed {
    /// An error was told since the last rest.
    told: bool,
    logged: u64,
}

impl Passed {
    fn log(&mut self, partition: PartitionId, error: &Error) {
        if self.is_loud() {
            tracing::error!(%partition, %error, "a worker passes something by in this round");
        } else {
            tracing::debug!(%partition, %error, "a worker passes something by in this round, too");
        }
        self.logged += 1;
    }

    const fn is_loud(&self) -> bool {
        !self.told && self.logged < LOUD
    }
}

impl<C: Clone> Stop<C> {
    const fn at(partition: PartitionId, cursor: C, goes_on: bool) -> Self {
        let passed = Passed { told: false, logged: 0 };
        Self { partition, cursor, goes_on, done: 0, aside: None, held: None, passed }
    }

    /// Where it is.
    pub const fn partition(&self) -> PartitionId {
        self.partition
    }

    /// Where the visit before said that this one goes on.
    pub fn cursor(&self) -> C {
        self.cursor.clone()
    }

    /// Counts units of work.
    pub const fn did(&mut self, units: u64) {
        self.done += units;
    }

    /// There may be more here, and another visit follows, even if this one fails. Said before what may fail, it lets that be
    /// behind.
    pub fn go_on_at(&mut self, cursor: C) {
        (self.cursor, self.goes_on) = (cursor, true);
    }

    /// Something failed, and the visit goes on: as if it had ended with this error, but for what else it does.
    pub fn set_aside(&mut self, error: Error) {
        keep_first(&mut self.aside, &mut self.passed, self.partition, error);
    }

    /// The visit can't go on, and what is behind it must not be reached without it: told at once, and the next tick is here again.
    pub fn hold_up(&mut self, error: Error) {
        self.held = Some(error);
    }

    /// Something was set aside in this visit.
    pub const fn has_failed(&self) -> bool {
        self.aside.is_some()
    }
}

/// What became of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leg {
    /// The round goes on.
    On {
        /// Units done in this tick.
        done: u64,
    },
    /// The round is over. The next tick begins another one.
    Over {
        /// Units done in the round.
        done: u64,
    },
}

/// Where a worker is in its rounds.
#[derive(Debug)]
pub struct Tour<C> {
    /// The partition that was entered last in this round; `None` between two rounds.
    stop: Option<Stop<C>>,
    /// Units done in this round.
    done: u64,
    /// The first error of this round.
    aside: Option<Error>,
    passed: Passed,
    /// Visits on end that found something unavailable.
    vain: usize,
    /// The first error of the last round.
    trouble: Option<String>,
    /// What the next tick says: the round before it ended with an error.
    over: Option<Leg>,
}

impl<C> Default for Tour<C> {
    fn default() -> Self {
        let passed = Passed { told: false, logged: 0 };
        Self { stop: None, done: 0, aside: None, passed, vain: 0, trouble: None, over: None }
    }
}

impl<C: Default + Clone + Send> Tour<C> {
    /// In the middle of a round that an earlier process began.
    pub fn resume(partition: PartitionId, cursor: C) -> Self {
        Self { stop: Some(Stop::at(partition, cursor, true)), ..Self::default() }
    }

    /// The next tick begins a round.
    pub const fn is_between_rounds(&self) -> bool {
        self.stop.is_none() && self.over.is_none()
    }

    /// What the last round passed by.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.clone()
    }

    /// A rest between two rounds: errors are told anew after it.
    pub const fn rest(&mut self, rest: Duration) -> Progress {
        self.passed.told = false;
        Progress::Idle { rest }
    }

    /// A tick of a worker that does nothing else: it rests behind a round in which nothing was done.
    pub async fn tick<V: Visitor<Cursor = C>>(
        &mut self,
        visitor: &mut V,
        rest: Duration,
    ) -> Result<Progress> {
        Ok(match self.go(visitor).await? {
            Leg::On { done } => Progress::More { done },
            Leg::Over { done: 0 } => self.rest(rest),
            Leg::Over { .. } => Progress::More { done: 0 },
        })
    }

    /// A bounded part of a round. An error is told before the end of the round only if everybody would meet it, or many on end did; the
    /// next tick goes on all the same.
    pub async fn go<V: Visitor<Cursor = C>>(&mut self, visitor: &mut V) -> Result<Leg> {
        if let Some(over) = self.over.take() {
            return Ok(over);
        }
        for _ in 0..STOPS_PER_TICK {
            let from = match &self.stop {
                None => Bound::Unbounded,
                Some(stop) if stop.goes_on => Bound::Included(stop.partition),
                Some(stop) => Bound::Excluded(stop.partition),
            };
            let Some(partition) = visitor.next(from) else { return self.end() };
            let left = self.stop.take().filter(|stop| stop.goes_on && stop.partition == partition);
            let cursor = left.map_or_else(C::default, |stop| stop.cursor);
            // It lies here during the visit: after one that panics, the next tick goes on behind it.
            let stop = self.stop.insert(Stop::at(partition, cursor, false));
            stop.passed = self.passed;
            let outcome = visitor.visit(stop).await;
            let done = std::mem::take(&mut stop.done);
            self.done += done;
            if let Err(error) = outcome {
                stop.set_aside(error);
            }
            self.passed = stop.passed;
            let (goes_on, aside) = (stop.goes_on, stop.aside.take());
            let held = stop.held.take();
            stop.goes_on |= held.is_some() || aside.as_ref().is_some_and(is_everybodys);
            if let Some(error) = held {
                if let Some(aside) = aside {
                    keep_first(&mut self.aside, &mut self.passed, partition, aside);
                }
                return Err(error);
            }
            match aside {
                Some(error) if is_everybodys(&error) => return Err(error),
                Some(error) => self.put_aside(partition, error, done)?,
                None => self.vain = 0,
            }
            if done > 0 || goes_on {
                return Ok(Leg::On { done });
            }
        }
        Ok(Leg::On { done: 0 })
    }

    /// An error of this partition alone. It is told as well if it is one of many on end.
    fn put_aside(&mut self, partition: PartitionId, error: Error, done: u64) -> Result<()> {
        let is_vain = done == 0 && error.kind() == ErrorKind::Unavailable;
        self.vain = if is_vain { self.vain + 1 } else { 0 };
        if self.vain < VAIN_MAX || self.aside.is_none() {
            keep_first(&mut self.aside, &mut self.passed, partition, error);
            return Ok(());
        }
        self.vain = 0;
        Err(error)
    }

    fn end(&mut self) -> Result<Leg> {
        self.stop = None;
        let over = Leg::Over { done: std::mem::take(&mut self.done) };
        let aside = self.aside.take();
        if self.passed.logged > LOUD && !self.passed.told {
            tracing::error!(
                times = self.passed.logged,
                "a worker passed more by in this round than was told"
            );
        }
        self.passed.logged = 0;
        self.trouble = aside.as_ref().map(Error::to_string);
        match aside {
            Some(error) if !self.passed.told => {
                (self.passed.told, self.vain, self.over) = (true, 0, Some(over));
                Err(error)
            }
            _ => Ok(over),
        }
    }
}

/// Of two errors the first, unless the second is everybody's; the other one is logged.
fn keep_first(first: &mut Option<Error>, passed: &mut Passed, partition: PartitionId, error: Error) {
    let is_kept = first.as_ref().is_none_or(|first| is_everybodys(&error) && !is_everybodys(first));
    let other = if is_kept { first.replace(error) } else { Some(error) };
    if let Some(error) = other {
        passed.log(partition, &error);
    }
}

/// Whoever is visited next would meet it: the process stops or may not write, has no room or no descriptors, a store does not answer.
const fn is_everybodys(error: &Error) -> bool {
    matches!(
        error,
        Error::Closed
            | Error::Fenced { .. }
            | Error::Full { .. }
            | Error::NoDescriptors { .. }
            | Error::Remote { .. }
    )
}

#[cfg(test)]
mod tests;
