//! What the bodies of all requests together may hold in memory.
//!
//! ```text
//!   head ─► reserve(most that it may hold) ─┬─ there is room ──────────────► share ─► the body is read ─► given back
//!                                           └─ none ─► waits ─┬─ in time ──► share
//!                                                             └─ PATIENCE ─► 503 SlowDown
//!                 each LOOK: whoever's client brought too little for STALLED_AFTER is ended, the longest stalled first
//! ```
//!
//! # Invariants
//! - A request reserves once, before it asks for a byte of its body, and waits with nothing in hand that another share's holder
//!   needs: so nobody waits for ever, and nobody is refused half-way.
//! - Who waits in a queue is served in the order of it. Small bodies have an eighth for themselves, which large ones never take: what
//!   stalls or is large does not keep a document or a small object waiting. What has no body asks for nothing.
//! - Only a body whose client is waited for is ended, and only while others wait for its room: what waits for a disk is not, nor is
//!   a slow client where there is room.
//! - A share goes back when it is dropped, whatever becomes of the request.
//!
//! # Limits
//! Counted in units of [`UNIT`]. A body that may hold more than its queue has is counted as all of it. docs/adr/0024 has the reasons,
//! docs/semantics.md the sum of what is not counted here.

use engine::clock::Clock;
use engine::unit::ByteCount;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Context;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is counted at once.
const UNIT: u64 = 4 << 10;
/// Bodies that hold no more than this are small.
const SMALL: ByteCount = ByteCount::kib(128);
/// The part of the budget that is theirs alone.
const SMALL_PART: u64 = 8;
/// How long a request waits for room.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often those who wait look for stalled ones.
const LOOK: Duration = Duration::from_millis(500);
/// A body that brings less than [`STALLED_BYTES`] in so long has stalled, where others wait for its room.
const STALLED_AFTER: Duration = Duration::from_secs(4);
const STALLED_BYTES: u64 = 32 << 10;
/// How often the log says that requests are refused.
const TELL_AGAIN: Duration = Duration::from_mins(1);
/// A client that is not waited for.
const NOT_ASKED: u64 = u64::MAX;

/// The budget.
pub(crate) struct Budget {
    clock: Arc<dyn Clock>,
    small: Queue,
    large: Queue,
    refused: Counter,
    ended: Counter,
    /// When a refusal was logged last, in milliseconds of boot time; 0 for never.
    told_ms: AtomicU64,
}

/// Room of one kind, and who has it.
struct Queue {
    room: Arc<Semaphore>,
    units: u32,
    /// Units that are waited for.
    wanted: AtomicU64,
    /// When stalled ones were looked for last, in milliseconds of boot time.
    looked_ms: AtomicU64,
    /// Holders whose clients had to be waited for.
    asked: Mutex<HashMap<u64, Arc<Holder>>>,
    next: AtomicU64,
}

/// Who holds a share and waits for its client, or did.
struct Holder {
    units: u32,
    /// When the time that the client is given now began, in milliseconds of boot time; [`NOT_ASKED`] while it is not waited for.
    since_ms: AtomicU64,
    ended: AtomicBool,
    task: AtomicWaker,
}

/// There was no room in time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Crowded;

/// Memory that a body may hold. Given back when dropped.
pub(crate) struct Share {
    permit: OwnedSemaphorePermit,
    budget: Arc<Budget>,
    is_small: bool,
    holder: Option<(u64, Arc<Holder>)>,
    /// When the client's time began, and the bytes that it brought since.
    began: Duration,
    brought: u64,
    /// When the body was last given on; what happens until it is asked for again is not the client's time.
    given_on: Option<Duration>,
}

/// Counts who waits, as long as it does.
struct Waiting<'q>(&'q Queue, u32);

impl<'q> Waiting<'q> {
    fn new(queue: &'q Queue, units: u32) -> Self {
        queue.wanted.fetch_add(units.into(), Ordering::Relaxed);
        Self(queue, units)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.wanted.fetch_sub(self.1.into(), Ordering::Relaxed);
    }
}

impl Queue {
    fn new(bytes: u64) -> Self {
        let units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).max(1);
        Self {
            room: Arc::new(Semaphore::new(units as usize)),
            units,
            wanted: AtomicU64::new(0),
            looked_ms: AtomicU64::new(0),
            asked: Mutex::default(),
            next: AtomicU64::new(0),
        }
    }

    fn held(&self) -> u64 {
        (self.units as usize).saturating_sub(self.room.available_permits()) as u64 * UNIT
    }

    /// Ends as many stalled bodies as those who wait need; one look for all of them. How many were ended.
    fn end_stalled(&self, now: Duration) -> u64 {
        let (now, last) = (millis(now), self.looked_ms.load(Ordering::Relaxed));
        if now.saturating_sub(last) < millis(LOOK) / 2
            || self.looked_ms.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return 0;
        }
        let asked = self.asked.lock();
        let (mut coming, mut stalled) = (0, Vec::new());
        for holder in asked.values() {
            let since = holder.since_ms.load(Ordering::Relaxed);
            if holder.ended.load(Ordering::Relaxed) {
                coming += u64::from(holder.units);
            } else if since != NOT_ASKED && now.saturating_sub(since) >= millis(STALLED_AFTER) {
                stalled.push((since, holder));
            }
        }
        stalled.sort_unstable_by_key(|(since, _)| *since);
        let wanted = self.wanted.load(Ordering::Relaxed);
        let mut count = 0;
        for (_, holder) in stalled {
            if coming >= wanted {
                break;
            }
            holder.ended.store(true, Ordering::Release);
            holder.task.wake();
            coming += u64::from(holder.units);
            count += 1;
        }
        count
    }
}

impl Budget {
    /// One of so many bytes in all.
    pub(crate) fn new(
        total: ByteCount,
        clock: Arc<dyn Clock>,
        refused: Counter,
        ended: Counter,
    ) -> Arc<Self> {
        let small = total.get() / SMALL_PART;
        Arc::new(Self {
            clock,
            small: Queue::new(small),
            large: Queue::new(total.get() - small),
            refused,
            ended,
            told_ms: AtomicU64::new(0),
        })
    }

    /// Bytes that are held now.
    pub(crate) fn held(&self) -> ByteCount {
        ByteCount::new(self.small.held() + self.large.held())
    }

    fn queue(&self, is_small: bool) -> &Queue {
        if is_small { &self.small } else { &self.large }
    }

    /// Room for a body that may hold so many bytes; waits for it, boundedly.
    pub(crate) async fn reserve(self: &Arc<Self>, bytes: ByteCount) -> Result<Share, Crowded> {
        let wanted = u32::try_from(bytes.get().div_ceil(UNIT)).unwrap_or(u32::MAX);
        let is_small = bytes <= SMALL;
        for try_small in [true, false] {
            if try_small && !is_small {
                continue;
            }
            let queue = self.queue(try_small);
            let room = Arc::clone(&queue.room).try_acquire_many_owned(wanted.min(queue.units));
            if let Ok(permit) = room {
                return Ok(self.share(permit, try_small));
            }
        }
        self.wait(wanted.min(self.queue(is_small).units), is_small).await
    }

    async fn wait(self: &Arc<Self>, units: u32, is_small: bool) -> Result<Share, Crowded> {
        let queue = self.queue(is_small);
        let _waiting = Waiting::new(queue, units);
        let mut room = pin!(Arc::clone(&queue.room).acquire_many_owned(units));
        let deadline = self.clock.boottime() + PATIENCE;
        loop {
            let now = self.clock.boottime();
            self.ended.inc_by(queue.end_stalled(now));
            tokio::select! {
                biased;
                permit = &mut room => return permit.map(|permit| self.share(permit, is_small)).map_err(|_| Crowded),
                () = self.clock.sleep(LOOK.min(deadline.saturating_sub(now))) => {}
            }
            if self.clock.boottime() >= deadline {
                break;
            }
        }
        self.refused.inc();
        self.tell();
        Err(Crowded)
    }

    /// Once a minute: each request that is refused would say the same, and the access log has them all.
    fn tell(&self) {
        let (now, last) = (millis(self.clock.boottime()).max(1), self.told_ms.load(Ordering::Relaxed));
        if last != 0 && now.saturating_sub(last) < millis(TELL_AGAIN) {
            return;
        }
        self.told_ms.store(now, Ordering::Relaxed);
        tracing::warn!(
            held = self.held().get(),
            "requests are told to slow down: bodies under way hold all memory that they may (http.bodies)"
        );
    }

    fn share(self: &Arc<Self>, permit: OwnedSemaphorePermit, is_small: bool) -> Share {
        let (budget, began) = (Arc::clone(self), self.clock.boottime());
        Share { permit, budget, is_small, holder: None, began, brought: 0, given_on: None }
    }
}

impl Share {
    /// The client is waited for; true when the body is to end, for others wait for its room.
    pub(crate) fn is_ended(&mut self, cx: &Context<'_>) -> bool {
        if let Some(since) = self.given_on.take() {
            self.began += self.budget.clock.boottime().saturating_sub(since);
        }
        let queue = self.budget.queue(self.is_small);
        let units = u32::try_from(self.permit.num_permits()).unwrap_or(u32::MAX);
        let (_, holder) = self.holder.get_or_insert_with(|| {
            let holder = Arc::new(Holder {
                units,
                since_ms: AtomicU64::new(NOT_ASKED),
                ended: AtomicBool::new(false),
                task: AtomicWaker::new(),
            });
            let id = queue.next.fetch_add(1, Ordering::Relaxed);
            queue.asked.lock().insert(id, Arc::clone(&holder));
            (id, holder)
        });
        holder.task.register(cx.waker());
        holder.since_ms.store(millis(self.began), Ordering::Relaxed);
        holder.ended.load(Ordering::Acquire)
    }

    /// The client brought something, which is given on.
    pub(crate) fn brought(&mut self, bytes: u64) {
        let now = self.budget.clock.boottime();
        if let Some((_, holder)) = &self.holder {
            holder.since_ms.store(NOT_ASKED, Ordering::Relaxed);
        }
        if let Some(since) = self.given_on.replace(now) {
            self.began += now.saturating_sub(since);
        }
        self.brought += bytes;
        if self.brought >= STALLED_BYTES {
            (self.brought, self.began) = (0, now);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some((id, _)) = &self.holder {
            self.budget.queue(self.is_small).asked.lock().remove(id);
        }
    }
}

/// Says at each scrape what is held.
#[derive(Debug)]
pub(crate) struct Held(pub(crate) Arc<Budget>);

impl Collector for Held {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let gauge = ConstGauge::new(i64::try_from(self.0.held().get()).unwrap_or(i64::MAX));
        let help = "Memory that bodies under way may hold, of http.bodies";
        gauge.encode(encoder.encode_descriptor("firn_s3_bodies_held_bytes", help, None, MetricType::Gauge)?)
    }
}

impl std::fmt::Debug for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Budget").field("held", &self.held()).finish_non_exhaustive()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Budget, Crowded, LOOK, STALLED_AFTER, STALLED_BYTES, Share};
    use engine::clock::{ManualClock, Timestamp};
    use engine::unit::ByteCount;
    use futures_util::poll;
    use prometheus_client::metrics::counter::Counter;
    use std::future::poll_fn;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::Poll;
    use std::time::Duration;

    const MIB: u64 = 1 << 20;

    /// Eight MiB, one of them for small bodies.
    fn budget() -> (Arc<ManualClock>, Arc<Budget>) {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let total = ByteCount::mib(8);
        (clock.clone(), Budget::new(total, clock, Counter::default(), Counter::default()))
    }

    async fn share(budget: &Arc<Budget>, bytes: u64) -> Share {
        budget.reserve(ByteCount::new(bytes)).await.unwrap()
    }

    /// Waits for the client, once.
    async fn asks(share: &mut Share) -> bool {
        poll_fn(|cx| Poll::Ready(share.is_ended(cx))).await
    }

    #[tokio::test]
    async fn who_finds_no_room_waits_for_it_and_is_refused_in_the_end() {
        let (clock, budget) = budget();
        let first = share(&budget, 4 * MIB).await;
        let second = share(&budget, 3 * MIB).await;
        assert_eq!(budget.held(), ByteCount::mib(7));
        let mut late = pin!(budget.reserve(ByteCount::mib(2)));
        assert!(poll!(&mut late).is_pending());
        drop(second);
        assert!(matches!(poll!(&mut late), Poll::Ready(Ok(_))));
        let mut late = pin!(budget.reserve(ByteCount::mib(6)));
        assert!(poll!(&mut late).is_pending());
        clock.advance(Duration::from_millis(4_999));
        assert!(poll!(&mut late).is_pending());
        clock.advance(Duration::from_millis(1));
        assert!(matches!(poll!(&mut late), Poll::Ready(Err(Crowded))));
        assert_eq!(budget.refused.get(), 1);
        drop(first);
        assert_eq!(budget.held(), ByteCount::ZERO);
    }

    #[tokio::test]
    async fn who_goes_away_while_it_waits_leaves_its_place_to_the_next() {
        let (_, budget) = budget();
        let held = share(&budget, 6 * MIB).await;
        let mut gone = Box::pin(budget.reserve(ByteCount::mib(5)));
        assert!(poll!(&mut gone).is_pending());
        let mut next = pin!(budget.reserve(ByteCount::mib(1)));
        assert!(poll!(&mut next).is_pending(), "in the order of the queue");
        drop(gone);
        assert!(matches!(poll!(&mut next), Poll::Ready(Ok(_))));
        drop(held);
        assert_eq!(budget.large.wanted.load(std::sync::atomic::Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn small_bodies_have_room_when_large_ones_have_taken_theirs_and_not_the_other_way() {
        let (_, budget) = budget();
        let large = share(&budget, 100 * MIB).await;
        assert_eq!(budget.held(), ByteCount::mib(7), "counted as all that there is");
        let mut small = Vec::new();
        for _ in 0..256 {
            small.push(share(&budget, 1).await);
        }
        assert!(poll!(pin!(budget.reserve(ByteCount::new(1)))).is_pending());
        drop(large);
        small.push(share(&budget, 1).await);
        assert!(small.pop().is_some_and(|share| !share.is_small), "from the large ones' room");
        small.clear();
        let _large = share(&budget, 7 * MIB).await;
        assert!(poll!(pin!(budget.reserve(ByteCount::mib(1)))).is_pending());
    }

    #[tokio::test]
    async fn the_longest_stalled_is_ended_for_those_who_wait_and_no_more_than_they_need() {
        let (clock, budget) = budget();
        let mut holders = Vec::new();
        for _ in 0..7 {
            holders.push(share(&budget, MIB).await);
            clock.advance(Duration::from_millis(1));
        }
        clock.advance(STALLED_AFTER);
        for holder in &mut holders[1..] {
            assert!(!asks(holder).await, "nobody waits for its room");
        }
        // The first one's client brings enough; the second one's body is somewhere between here and the disk.
        asks(&mut holders[0]).await;
        holders[0].brought(STALLED_BYTES);
        assert!(!asks(&mut holders[0]).await);
        holders[1].brought(1);
        let mut late = pin!(budget.reserve(ByteCount::new(2 * MIB)));
        assert!(poll!(&mut late).is_pending());
        let mut ended = Vec::new();
        for (at, holder) in holders.iter_mut().enumerate() {
            if at != 1 && asks(holder).await {
                ended.push(at);
            }
        }
        assert_eq!(ended, [2, 3]);
        clock.advance(LOOK);
        assert!(poll!(&mut late).is_pending());
        assert_eq!(budget.ended.get(), 2, "those are on their way");
        assert!(!asks(&mut holders[1]).await);
        holders.drain(2..4);
        assert!(matches!(poll!(&mut late), Poll::Ready(Ok(_))));
    }

    #[tokio::test]
    async fn what_a_body_waits_for_the_disk_is_not_its_clients_time() {
        let (clock, budget) = budget();
        let mut holder = share(&budget, 7 * MIB).await;
        holder.brought(1);
        clock.advance(10 * STALLED_AFTER);
        asks(&mut holder).await;
        let mut late = pin!(budget.reserve(ByteCount::mib(1)));
        assert!(poll!(&mut late).is_pending());
        assert!(!asks(&mut holder).await);
        // A byte now and then does not count as going on.
        for _ in 0..4 {
            holder.brought(1);
            asks(&mut holder).await;
            clock.advance(Duration::from_secs(1));
            assert!(poll!(&mut late).is_pending());
        }
        assert!(asks(&mut holder).await);
        drop(holder);
        assert!(matches!(poll!(&mut late), Poll::Ready(Ok(_))));
    }
}
