//! The syncs of a lane of large records, beside its appends.
//!
//! ```text
//!   lane:    append A ─ append B ─ append A ─ order(A's seal) ─ append B ─ append C ─ order(B's seal) ─ …
//!   syncer:                                   └─ fdatasync ──── answer A ─┘          └─ fdatasync ─ …
//! ```
//! A seal waits for the disk; the records of other blobs need not.
//!
//! # Invariants
//! - What was written before an order is durable when it is answered: its sync begins after it was given.
//! - Orders are carried out one after the other, as they were given, so that an answered one vouches for the segments before its
//!   own, too, failed ones aside. Those that wait for the same segment share a sync.
//! - A segment stays open, which keeps it from compaction and recycling, until its last order is carried out or a sync of it failed.
//! - After a failed sync every order for that segment fails, those given later included; the disk is not asked again.
//! - The lane waits at its end for all orders, so that nothing touches a file once it has ended.
//!
//! # Limits
//! A lane is at most [`AHEAD_BYTES_MAX`] ahead of an order: a sync also waits for what is written while it runs. There are as many
//! orders as blobs are being sealed.
//!
//! A crash leaves bytes that no order covered, or whose order was not answered: no row names them.

use super::Counts;
use super::allocate::Allocator;
use super::lane::Waiting;
use super::segment::Segment;
use crate::vital::Vital;
use crate::{Error, Result};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// Bytes that may be appended behind an order that is not carried out yet.
const AHEAD_BYTES_MAX: u64 = 64 << 20;

/// A sync that is wanted.
pub(super) struct Order {
    /// None where nothing was written: the orders before it are waited for all the same.
    pub(super) segment: Option<Arc<Segment>>,
    pub(super) waiting: Waiting,
    /// The lane is done with the segment.
    pub(super) last: bool,
}

impl Order {
    /// Syncs, closes and answers those who wait, who are told what failed. False when the sync failed.
    pub(super) fn carry_out(self, allocator: &Allocator) -> bool {
        let outcome = self.segment.as_ref().map_or(Ok(()), |segment| {
            // One that failed before is not asked again, so the disk has said nothing new.
            let outcome = if segment.has_failed() {
                segment.sync()
            } else {
                allocator.counts.syncs.fetch_add(1, Ordering::Relaxed);
                allocator.noted(segment.sync())
            };
            if self.last || outcome.is_err() {
                segment.close();
            }
            outcome
        });
        self.waiting.answer(&outcome);
        outcome.is_ok()
    }

    /// Takes over an order that the same sync covers; gives it back otherwise.
    fn join(&mut self, other: Self) -> Option<Self> {
        let same = match (&self.segment, &other.segment) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (_, None) => true,
            (None, Some(_)) => false,
        };
        if !same {
            return Some(other);
        }
        self.waiting.join(other.waiting);
        self.last |= other.last;
        None
    }
}

/// The lane's end.
pub(super) struct Syncer {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
    done: Arc<Done>,
    given: u64,
    /// Bytes appended so far.
    appended: u64,
    /// Orders that are not known to be carried out, and what had been appended when they were given.
    open: VecDeque<(u64, u64)>,
}

/// How many orders were carried out.
#[derive(Default)]
struct Done {
    orders: Mutex<u64>,
    more: Condvar,
}

impl Syncer {
    pub(super) fn start(lane: &str, allocator: Arc<Allocator>) -> Result<Self> {
        let (orders, queue) = channel();
        let done = Arc::new(Done::default());
        let told = Arc::clone(&done);
        let thread = std::thread::Builder::new()
            .name(format!("{lane}-sync"))
            .spawn(move || {
                let _vital = Vital::guard();
                run(&queue, &allocator, &told);
            })
            .map_err(|source| Error::io("start a sync thread for", "the pool", source))?;
        Ok(Self {
            orders: Some(orders),
            thread: Some(thread),
            done,
            given: 0,
            appended: 0,
            open: VecDeque::new(),
        })
    }

    /// Has an order carried out, behind those before it.
    pub(super) fn order(&mut self, order: Order) {
        self.given += 1;
        self.open.push_back((self.given, self.appended));
        // The thread lives as long as this does.
        if let Some(orders) = &self.orders {
            drop(orders.send(order));
        }
    }

    /// Counts what was appended; waits where that is too far ahead of an order.
    pub(super) fn appended(&mut self, bytes: u64, counts: &Counts) {
        self.appended += bytes;
        let mut done = self.done.orders.lock();
        while let Some((number, at)) = self.open.front() {
            if *number <= *done {
                self.open.pop_front();
            } else if self.appended - at > AHEAD_BYTES_MAX {
                counts.lane_waits.fetch_add(1, Ordering::Relaxed);
                self.done.more.wait(&mut done);
            } else {
                return;
            }
        }
    }
}

impl Drop for Syncer {
    /// Waits for all orders.
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a lane's sync thread had panicked");
        }
    }
}

fn run(orders: &Receiver<Order>, allocator: &Allocator, done: &Done) {
    let mut next = None;
    while let Some(mut order) = next.take().or_else(|| orders.recv().ok()) {
        let mut carried = 1;
        while let Ok(other) = orders.try_recv() {
            next = order.join(other);
            if next.is_some() {
                break;
            }
            carried += 1;
        }
        // The failed segment is closed and takes no more: its lane finds out with the next record.
        let _told = order.carry_out(allocator);
        *done.orders.lock() += carried;
        done.more.notify_all();
    }
}

#[cfg(test)]
mod tests;
