//! Several bodies' MD5, side by side: whoever comes while others are at work joins them.
//!
//! ```text
//!   upload ── submit ─► waiting ─► a free lane of a driver ─► slices of 8 KiB, all lanes in step ─► answered
//!                          ├────── nobody at work: half of the bodies wait, or one needs its answer (hurry)
//!                          └────── all lanes of all drivers taken: one more driver, up to one a core
//! ```
//!
//! A driver is a blocking task that ends when nothing waits, so that no thread is kept. One driver fills its lanes before a
//! second one begins: sixteen bodies cost one core about what one costs. For the same reason a first one does not begin for a
//! single batch while others are about to come: an upload needs the answer of a batch only when its next one is full, and says so
//! when that is half full.
//!
//! # Invariants
//! - Who needs an answer says so, and then nobody waits for company; nor does a body that is alone.
//! - First come, first served; a job leaves its lane when it is done, so a lane is waited for no longer than one batch takes.
//! - A job whose upload is gone is dropped at the latest when its turn comes, and nobody waits for anybody else's.
//! - Memory: what the jobs hold, which is bounded by whoever submits: one batch an upload.
//! - A panic of a driver fails the jobs that it had, and those that wait if no other driver is left.

use super::kernel::{Kernel, LANES_MAX, Lane};
use super::{BLOCK_BYTES, Md5};
use bytes::{Buf, Bytes};
use engine::memory::MemoryHold;
use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Blocks of each lane between two looks at who waits.
const SLICE_BLOCKS: usize = 128;

/// Where bodies' MD5 are computed side by side. Clones share it.
#[derive(Clone)]
pub(crate) struct Lanes {
    shared: Arc<Shared>,
}

struct Shared {
    kernel: Kernel,
    drivers_max: usize,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Job>,
    /// Lanes taken, over all drivers.
    taken: usize,
    drivers: usize,
    /// Bodies that send batch after batch.
    bodies: usize,
}

/// A body that sends batch after batch, as long as it does.
pub(crate) struct Seat(Arc<Shared>);

/// Bytes to be folded into a running MD5.
struct Job {
    md5: Md5,
    piece: Bytes,
    rest: std::vec::IntoIter<Bytes>,
    /// Whose memory the pieces are.
    held: MemoryHold,
    done: oneshot::Sender<Md5>,
}

impl Lanes {
    /// With at most `drivers_max` cores at work.
    pub(crate) fn new(drivers_max: usize) -> Self {
        Self::by(Kernel::detect(), drivers_max)
    }

    pub(super) fn by(kernel: Kernel, drivers_max: usize) -> Self {
        let queue = Mutex::default();
        Self { shared: Arc::new(Shared { kernel, drivers_max: drivers_max.max(1), queue }) }
    }

    /// A body is going to send batch after batch.
    pub(crate) fn enter(&self) -> Seat {
        self.shared.queue.lock().bodies += 1;
        Seat(Arc::clone(&self.shared))
    }

    /// Folds `pieces` into `md5` beside others'; the answer comes when that is done: at the latest when it is
    /// [hurried](Self::hurry) and all before it are. Within a tokio runtime only.
    pub(crate) fn submit(&self, md5: Md5, pieces: Vec<Bytes>, held: MemoryHold) -> oneshot::Receiver<Md5> {
        let (done, answer) = oneshot::channel();
        let job = Job { md5, piece: Bytes::new(), rest: pieces.into_iter(), held, done };
        let mut queue = self.shared.queue.lock();
        queue.waiting.push_back(job);
        let width = self.shared.kernel.width();
        let wanted = queue.taken + queue.waiting.len();
        let enough = if queue.drivers == 0 {
            wanted >= (queue.bodies / 2).clamp(1, width)
        } else {
            wanted > queue.drivers * width && queue.drivers < self.shared.drivers_max
        };
        if enough {
            self.begin(queue);
        }
        answer
    }

    /// Somebody needs an answer: if nobody is at work, what waits is begun. Within a tokio runtime only.
    pub(crate) fn hurry(&self) {
        let queue = self.shared.queue.lock();
        if queue.drivers == 0 && !queue.waiting.is_empty() {
            self.begin(queue);
        }
    }

    /// One more driver.
    fn begin(&self, mut queue: MutexGuard<'_, Queue>) {
        queue.drivers += 1;
        drop(queue);
        let shared = Arc::clone(&self.shared);
        let driver = Driver { shared, jobs: Vec::with_capacity(LANES_MAX), counted: true };
        tokio::task::spawn_blocking(move || driver.drive());
    }
}

impl Drop for Seat {
    /// What it left behind goes at once: perhaps nobody comes any more.
    fn drop(&mut self) {
        let mut queue = self.0.queue.lock();
        queue.bodies -= 1;
        queue.waiting.retain(|job| !job.done.is_closed());
    }
}

/// One core at work.
struct Driver {
    shared: Arc<Shared>,
    jobs: Vec<Job>,
    /// Whether it counts among the queue's drivers.
    counted: bool,
}

impl Driver {
    fn drive(mut self) {
        while self.admit() {
            self.slice();
        }
    }

    /// Fills free lanes with who waits. `false` when there is nobody: from then on it counts no more, so that the next job
    /// begins another driver.
    fn admit(&mut self) -> bool {
        let mut queue = self.shared.queue.lock();
        while self.jobs.len() < self.shared.kernel.width() {
            let Some(job) = queue.waiting.pop_front() else { break };
            if !job.done.is_closed() {
                self.jobs.push(job);
                queue.taken += 1;
            }
        }
        if self.jobs.is_empty() {
            queue.drivers -= 1;
            self.counted = false;
        }
        self.counted
    }

    /// Answers the jobs that are done and advances the others by as much as all of them have at hand.
    fn slice(&mut self) {
        let mut count = SLICE_BLOCKS;
        let mut index = 0;
        while let Some(job) = self.jobs.get_mut(index) {
            match job.ready() {
                0 => self.complete(index),
                ready => {
                    count = count.min(ready);
                    index += 1;
                }
            }
        }
        let mut lanes: Vec<Lane<'_>> = self.jobs.iter_mut().map(Job::lane).collect();
        self.shared.kernel.advance(&mut lanes, count);
        for job in &mut self.jobs {
            job.advanced(count);
        }
    }

    fn complete(&mut self, index: usize) {
        let job = self.jobs.swap_remove(index);
        self.shared.queue.lock().taken -= 1;
        drop((job.rest, job.piece, job.held));
        // An upload that is gone wants no answer.
        drop(job.done.send(job.md5));
    }
}

impl Drop for Driver {
    /// Behind a panic, and when the runtime drops it unstarted.
    fn drop(&mut self) {
        if self.counted {
            let mut queue = self.shared.queue.lock();
            queue.drivers -= 1;
            queue.taken -= self.jobs.len();
            if queue.drivers == 0 {
                queue.waiting.clear();
            }
        }
    }
}

impl Job {
    /// Brings it to where whole blocks begin, and says how many lie there in one piece; none when it is done.
    fn ready(&mut self) -> usize {
        loop {
            let begun = self.md5.begin(&self.piece);
            self.piece.advance(begun);
            let blocks = self.piece.len() / BLOCK_BYTES;
            if blocks > 0 {
                return blocks;
            }
            if self.piece.is_empty() {
                let Some(next) = self.rest.next() else { return 0 };
                self.piece = next;
            }
        }
    }

    fn lane(&mut self) -> Lane<'_> {
        Lane { state: &mut self.md5.state, blocks: self.piece.as_chunks().0 }
    }

    fn advanced(&mut self, count: usize) {
        self.piece.advance(count * BLOCK_BYTES);
        self.md5.length += (count * BLOCK_BYTES) as u64;
    }
}

#[cfg(test)]
impl Lanes {
    /// Whether nobody is at work or waits. Becomes true a moment after the last answer.
    pub(super) fn is_idle(&self) -> bool {
        loop {
            let queue = self.shared.queue.lock();
            if queue.drivers == 0 {
                return queue.taken == 0 && queue.waiting.is_empty();
            }
            drop(queue);
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Driver, Job, Kernel, Lanes, Seat};
    use crate::checksum::md5::Md5;
    use bytes::Bytes;
    use engine::memory::MemoryHold;
    use std::sync::mpsc::{Sender, channel};
    use std::sync::{Arc, Weak};
    use tokio::sync::oneshot;

    /// A runtime whose one thread for drivers is taken until the sender is dropped.
    fn held_runtime() -> (tokio::runtime::Runtime, Sender<()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        let (release, gate) = channel::<()>();
        runtime.spawn_blocking(move || gate.recv().unwrap_or_default());
        (runtime, release)
    }

    #[test]
    fn a_second_driver_begins_when_the_lanes_of_the_first_are_taken() {
        for kernel in Kernel::all() {
            let (runtime, release) = held_runtime();
            let _inside = runtime.enter();
            let lanes = Lanes::by(kernel, 2);
            let drivers = || lanes.shared.queue.lock().drivers;
            let mut answers = Vec::new();
            for count in 1..=3 * kernel.width() {
                answers.push(lanes.submit(Md5::new(), vec!["some bytes".into()], MemoryHold::default()));
                assert_eq!(drivers(), if count <= kernel.width() { 1 } else { 2 }, "{count} by {kernel:?}");
            }
            drop(release);
            for answer in answers {
                answer.blocking_recv().unwrap();
            }
            assert!(lanes.is_idle());
        }
    }

    #[test]
    fn whoever_gave_up_before_its_turn_takes_no_lane() {
        let (runtime, release) = held_runtime();
        let _inside = runtime.enter();
        let lanes = Lanes::new(1);
        let gone: Weak<()> = {
            let kept = Arc::new(());
            let (bytes, weak) = (Bytes::from_owner(Held(Arc::clone(&kept))), Arc::downgrade(&kept));
            drop(lanes.submit(Md5::new(), vec![bytes], MemoryHold::default()));
            weak
        };
        let next = lanes.submit(Md5::new(), vec!["some bytes".into()], MemoryHold::default());
        assert!(gone.upgrade().is_some(), "it waits for its turn");
        drop(release);
        next.blocking_recv().unwrap();
        assert!(lanes.is_idle() && gone.upgrade().is_none());
    }

    #[test]
    fn half_of_the_bodies_or_one_that_needs_its_answer_begin_the_work() {
        let (runtime, release) = held_runtime();
        let _inside = runtime.enter();
        for kernel in Kernel::all().into_iter().filter(|kernel| kernel.width() > 1) {
            for hurried in [false, true] {
                let lanes = Lanes::by(kernel, 1);
                let drivers = || lanes.shared.queue.lock().drivers;
                let send = || lanes.submit(Md5::new(), vec!["some bytes".into()], MemoryHold::default());
                let _seats: Vec<Seat> = (0..6).map(|_| lanes.enter()).collect();
                let mut answers = vec![send(), send()];
                assert_eq!(drivers(), 0, "two of six by {kernel:?}");
                if hurried {
                    lanes.hurry();
                } else {
                    answers.push(send());
                }
                assert_eq!(drivers(), 1, "by {kernel:?}");
                lanes.hurry();
                assert_eq!(drivers(), 1, "somebody is at work");
            }
        }
        drop(release);
    }

    #[test]
    fn a_body_that_is_given_up_leaves_nothing_that_waits_for_company() {
        for kernel in Kernel::all().into_iter().filter(|kernel| kernel.width() > 1) {
            let lanes = Lanes::by(kernel, 1);
            let (gone, _others) = (lanes.enter(), [lanes.enter(), lanes.enter(), lanes.enter()]);
            drop((lanes.submit(Md5::new(), vec!["some bytes".into()], MemoryHold::default()), gone));
            let queue = lanes.shared.queue.lock();
            assert_eq!((queue.waiting.len(), queue.bodies), (0, 3));
        }
    }

    /// Bytes that tell whether they are still held.
    struct Held(Arc<()>);

    impl AsRef<[u8]> for Held {
        fn as_ref(&self) -> &[u8] {
            assert!(Arc::strong_count(&self.0) > 0);
            &[7; 1_000]
        }
    }

    #[test]
    fn a_driver_that_panics_fails_who_waits_and_leaves_nothing_taken() {
        let lanes = Lanes::new(1);
        let (answers, jobs): (Vec<_>, Vec<_>) = (0..3)
            .map(|_| {
                let (done, answer) = oneshot::channel();
                let rest = vec!["some bytes".into()].into_iter();
                (
                    answer,
                    Job { md5: Md5::new(), piece: "more".into(), rest, held: MemoryHold::default(), done },
                )
            })
            .unzip();
        lanes.shared.queue.lock().drivers = 1;
        lanes.shared.queue.lock().waiting.extend(jobs);
        let mut driver = Driver { shared: Arc::clone(&lanes.shared), jobs: Vec::new(), counted: true };
        let panicked = std::thread::spawn(move || {
            assert!(driver.admit());
            panic!("on purpose");
        });
        assert!(panicked.join().is_err());
        for answer in answers {
            assert!(answer.blocking_recv().is_err());
        }
        assert!(lanes.is_idle());
    }
}
