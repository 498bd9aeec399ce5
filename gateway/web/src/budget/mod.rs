//! What the bodies of all requests together may hold in memory.
//!
//! ```text
//!   head ─► reserve(most that it may hold) ─┬─ there is room ──────────────► share ─► the body is read ─► given back
//!                                           └─ none ─► waits ─┬─ in time ──► share
//!                                                             └─ PATIENCE ─► 503 SlowDown
//!                 each LOOK: whoever's client brought too little is ended, the longest stalled first
//! ```
//!
//! # Invariants
//! - A request reserves once, before it asks for a byte of its body (a form: of its file), and waits with nothing in hand that another
//!   share's holder needs: so nobody waits for ever.
//! - Who waits in a queue is served in the order of it, but whoever's sender holds more than half of it comes last. Small bodies have an
//!   eighth for themselves, which large ones never take: what stalls or is large does not keep a document or a small object
//!   waiting. What has no body asks for nothing, but for copies that are read through.
//! - A body that is read before anybody knows who sent it ([`Budget::reserve_unproven`]) has room of its own, a sixteenth, of which one network
//!   may hold a quarter: whoever knows a key's id and not its secret keeps nobody else waiting.
//! - Only a body whose client is waited for is ended, and only while others wait for its room: what waits for a disk is not, nor is
//!   a body that is whole, nor a slow client where there is room.
//! - A share goes back when the last buffer is gone that was charged to it ([`MemoryHold`]), whatever becomes of the request.
//!
//! # Limits
//! Counted in units of [`UNIT`]. A body that may hold more than its queue has is counted as all of it. docs/adr/0024 has the reasons,
//! docs/cli.md ("Memory") the sum of what is not counted here.

mod client;
mod queue;
#[cfg(test)]
mod tests;

use client::Event;
use engine::clock::Clock;
use engine::memory::MemoryHold;
use engine::unit::ByteCount;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::ConstGauge;
use queue::{Holder, LOOK, Queue, Room};
use security::credentials::AccessKeyId;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Context;
use std::time::Duration;

/// What is counted at once.
const UNIT: u64 = 4 << 10;
/// Bodies that hold no more than this are small.
const SMALL: ByteCount = ByteCount::kib(512);
/// The part of the budget that is theirs alone.
const SMALL_PART: u64 = 8;
/// The part of the budget for bodies of which nobody knows yet who sends them.
const UNPROVEN_PART: u64 = 16;
/// The part of that which one network may hold.
const NETWORK_PART: u64 = 4;
/// How long a request waits for room.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often the log says that requests are refused.
const TELL_AGAIN: Duration = Duration::from_mins(1);

/// The budget.
pub(crate) struct Budget {
    total: ByteCount,
    clock: Arc<dyn Clock>,
    small: Arc<Queue>,
    large: Arc<Queue>,
    unproven: Arc<Queue>,
    refused: Counter,
    ended: Counter,
    /// When a refusal was logged last, in milliseconds of boot time; 0 for never.
    told_ms: AtomicU64,
}

/// Whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Sender {
    /// Who signs with this key.
    Key(AccessKeyId),
    /// Who sends from there without a signature; of IPv6 the network, which one host has.
    Network(IpAddr),
}

impl Sender {
    pub(crate) fn at(ip: IpAddr) -> Self {
        const HOST_BITS: u32 = 64;
        Self::Network(match ip.to_canonical() {
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> HOST_BITS << HOST_BITS).into(),
            ip @ IpAddr::V4(_) => ip,
        })
    }
}

/// There was no room in time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Crowded;

/// Memory that a body may hold. Given back when this is dropped and all that was charged to it.
pub(crate) struct Share {
    clock: Arc<dyn Clock>,
    room: Arc<Room>,
    holder: Arc<Holder>,
}

impl Budget {
    /// One of so many bytes in all.
    pub(crate) fn new(
        total: ByteCount,
        clock: Arc<dyn Clock>,
        refused: Counter,
        ended: Counter,
    ) -> Arc<Self> {
        let part = |part: u64| ByteCount::new(total.get() / part);
        let (small, unproven) = (part(SMALL_PART), part(UNPROVEN_PART));
        Self::of([small, unproven, total - small - unproven], clock, refused, ended)
    }

    /// One of these parts: for small bodies, for those of nobody known, for all others.
    fn of(
        [small, unproven, large]: [ByteCount; 3],
        clock: Arc<dyn Clock>,
        refused: Counter,
        ended: Counter,
    ) -> Arc<Self> {
        let of_network = ByteCount::new(unproven.get() / NETWORK_PART);
        Arc::new(Self {
            total: small + unproven + large,
            clock,
            small: Queue::new(small),
            large: Queue::new(large),
            unproven: Queue::bounded(unproven, of_network),
            refused,
            ended,
            told_ms: AtomicU64::new(0),
        })
    }

    /// Bytes that may be held.
    pub(crate) const fn total(&self) -> ByteCount {
        self.total
    }

    /// Bytes that are held now.
    pub(crate) fn held(&self) -> ByteCount {
        self.small.held() + self.large.held() + self.unproven.held()
    }

    /// Room for a body that may hold so many bytes; waits for it, boundedly.
    pub(crate) async fn reserve(&self, sender: &Sender, bytes: ByteCount) -> Result<Share, Crowded> {
        let bytes = in_units(bytes);
        let room = if bytes > SMALL {
            self.large.take(bytes, sender)
        } else {
            self.small.take(bytes, sender).or_else(|| self.large.take(bytes, sender))
        };
        match room {
            Some(room) => Ok(self.share(room)),
            None => self.wait(if bytes > SMALL { &self.large } else { &self.small }, sender, bytes).await,
        }
    }

    /// Room for one that has to be read before it is known who sends it: all that is known is from where.
    pub(crate) async fn reserve_unproven(&self, from: &Sender, bytes: ByteCount) -> Result<Share, Crowded> {
        let bytes = in_units(bytes);
        match self.unproven.take(bytes, from) {
            Some(room) => Ok(self.share(room)),
            None => self.wait(&self.unproven, from, bytes).await,
        }
    }

    async fn wait(&self, queue: &Arc<Queue>, sender: &Sender, bytes: ByteCount) -> Result<Share, Crowded> {
        let mut now = self.clock.boottime();
        let deadline = now + PATIENCE;
        let mut place = queue.enter(bytes, sender, now);
        while now < deadline {
            self.ended.inc_by(queue.end_for_those_who_wait(now));
            tokio::select! {
                biased;
                room = &mut place.room => return room.map(|room| self.share(room)).map_err(|_| Crowded),
                () = self.clock.sleep(LOOK.min(deadline.saturating_sub(now))) => now = self.clock.boottime(),
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

    fn share(&self, room: Room) -> Share {
        let holder = Holder::of(&room);
        Share { clock: Arc::clone(&self.clock), room: Arc::new(room), holder }
    }
}

impl Share {
    /// For buffers that may outlive the request.
    pub(crate) fn hold(&self) -> MemoryHold {
        MemoryHold::new(self.room.clone())
    }

    /// The client is waited for; true when the body is to end, for others wait for its room.
    pub(crate) fn is_ended(&self, cx: &Context<'_>) -> bool {
        self.room.list(&self.holder);
        self.holder.task.register(cx.waker());
        self.step(Event::Ask)
    }

    /// The client brought something, which is given on; true when the body is to end all the same.
    pub(crate) fn brought(&self, bytes: ByteCount) -> bool {
        self.step(Event::Brought(bytes))
    }

    /// The client is not waited for any longer: the body is whole, or broken.
    pub(crate) fn is_over(&self) {
        self.step(Event::Over);
    }

    fn step(&self, event: Event) -> bool {
        let now = self.clock.boottime();
        let mut client = self.holder.client.lock();
        *client = client.step(event, now);
        client.is_ended()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // What was ended stays listed until its room is back: it is still coming.
        self.step(Event::Gone);
    }
}

/// Says at each scrape what is held.
#[derive(Debug)]
pub(crate) struct Held(pub(crate) Arc<Budget>);

impl Collector for Held {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let held = ConstGauge::new(i64::try_from(self.0.held().get()).unwrap_or(i64::MAX));
        let words = "Memory that bodies under way may hold, of http.bodies";
        held.encode(encoder.encode_descriptor("firn_s3_bodies_held_bytes", words, None, MetricType::Gauge)?)
    }
}

impl std::fmt::Debug for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Budget").field("held", &self.held()).finish_non_exhaustive()
    }
}

fn in_units(bytes: ByteCount) -> ByteCount {
    ByteCount::new(bytes.get().max(1).div_ceil(UNIT).saturating_mul(UNIT))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
