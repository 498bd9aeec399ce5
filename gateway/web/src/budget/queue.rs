//! Room of one kind: who has it, who waits for it, and who is ended for those.
//!
//! # Invariants
//! - First come, first served; but a sender that holds more than half stands behind all others. There is at most one such.
//! - Where there is a bound of what one sender may hold, who is at it waits for room of its own: it keeps nobody else waiting, and only its own
//!   bodies are ended for it.
//! - What is ended is what is asked for, less what is free and what ended bodies are about to give back.
//! - Locks: the line's, then a client's; nothing is granted, woken or given back under the line's lock.

use super::Sender;
use super::client::{Client, Event};
use engine::unit::ByteCount;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::oneshot;

/// How often those who wait look for stalled ones.
pub(super) const LOOK: Duration = Duration::from_millis(500);
/// Who holds more than half keeps others waiting no longer than this: then its slowest bodies end, stalled or not.
pub(super) const PRESSED_AFTER: Duration = Duration::from_secs(10);

/// Room of one kind.
pub(super) struct Queue {
    bytes: ByteCount,
    line: Mutex<Line>,
}

struct Line {
    free: ByteCount,
    /// What one sender may have, beyond its first; none for no bound.
    each_max: Option<ByteCount>,
    /// What each sender has.
    held: HashMap<Sender, ByteCount>,
    /// Those who wait, in the order in which they came.
    waiting: BTreeMap<u64, Waiter>,
    /// Holders whose clients had to be waited for, until their room is back.
    asked: HashMap<u64, Arc<Holder>>,
    next: u64,
    /// When stalled ones were looked for last.
    looked: Option<Duration>,
}

struct Waiter {
    sender: Sender,
    bytes: ByteCount,
    since: Duration,
    reply: oneshot::Sender<Room>,
}

/// Room that somebody has. Given back when dropped.
pub(super) struct Room {
    queue: Arc<Queue>,
    bytes: ByteCount,
    sender: Sender,
    /// Under which its holder may be ended.
    listed: OnceLock<u64>,
}

/// A place in the line. Left when dropped.
pub(super) struct Place<'q> {
    queue: &'q Arc<Queue>,
    id: u64,
    pub(super) room: oneshot::Receiver<Room>,
}

/// A body that has room.
pub(super) struct Holder {
    bytes: ByteCount,
    sender: Sender,
    pub(super) client: Mutex<Client>,
    pub(super) task: AtomicWaker,
}

impl Holder {
    pub(super) fn of(room: &Room) -> Arc<Self> {
        let client = Mutex::new(Client::new(room.bytes));
        Arc::new(Self { bytes: room.bytes, sender: room.sender.clone(), client, task: AtomicWaker::new() })
    }

    /// Ends its body, if its client is still waited for.
    fn end(&self, now: Duration) -> bool {
        let is_ended = {
            let mut client = self.client.lock();
            *client = client.step(Event::End, now);
            client.is_ended()
        };
        self.task.wake();
        is_ended
    }
}

impl Line {
    fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Who holds more than half.
    fn heavy(&self, of: ByteCount) -> Option<&Sender> {
        self.held.iter().find(|(_, held)| held.get() > of.get() / 2).map(|(sender, _)| sender)
    }

    fn take(&mut self, queue: &Arc<Queue>, bytes: ByteCount, sender: Sender) -> Room {
        self.free = self.free.saturating_sub(bytes);
        *self.held.entry(sender.clone()).or_insert(ByteCount::ZERO) += bytes;
        Room { queue: Arc::clone(queue), bytes, sender, listed: OnceLock::new() }
    }

    /// Whether a sender may have so much more.
    fn may(&self, sender: &Sender, bytes: ByteCount) -> bool {
        let Some(max) = self.each_max else { return true };
        self.held.get(sender).is_none_or(|held| *held + bytes <= max)
    }

    /// Whose turn it is.
    fn first(&self, of: ByteCount) -> Option<u64> {
        let heavy = self.heavy(of);
        let mut may = self.waiting.iter().filter(|(_, waiter)| self.may(&waiter.sender, waiter.bytes));
        let (eldest, waiter) = may.next()?;
        if Some(&waiter.sender) != heavy {
            return Some(*eldest);
        }
        let light = may.find(|(_, waiter)| Some(&waiter.sender) != heavy);
        Some(light.map_or(*eldest, |(id, _)| *id))
    }

    /// What those who wait lack, of whom some may be meant.
    fn lacking(&self, meant: impl Fn(&Waiter) -> bool) -> ByteCount {
        let meant = |waiter: &&Waiter| meant(waiter) && self.may(&waiter.sender, waiter.bytes);
        let wanted: ByteCount = self.waiting.values().filter(meant).map(|waiter| waiter.bytes).sum();
        let ended = self.asked.values().filter(|holder| holder.client.lock().is_ended());
        wanted.saturating_sub(self.free).saturating_sub(ended.map(|holder| holder.bytes).sum())
    }

    /// Bodies that may end now for those who wait, and what these lack.
    fn in_the_way(&self, of: ByteCount, now: Duration) -> [(Vec<Arc<Holder>>, ByteCount); 2] {
        let heavy = self.heavy(of);
        let is_heavy = |sender: &Sender| Some(sender) == heavy;
        let others = heavy.and_then(|_| self.waiting.values().find(|waiter| !is_heavy(&waiter.sender)));
        let pick = |may: &dyn Fn(&Holder) -> Option<Duration>| {
            let mut found: Vec<_> = self.asked.values().filter_map(|h| Some((may(h)?, h))).collect();
            // The slowest first; where others wait for who holds more than half, its own before all.
            found.sort_by_key(|(waited, holder)| {
                let of_heavy = others.is_some() && is_heavy(&holder.sender);
                std::cmp::Reverse((of_heavy, *waited))
            });
            found.into_iter().map(|(_, holder)| Arc::clone(holder)).collect::<Vec<_>>()
        };
        let stalled = pick(&|holder| holder.client.lock().stalled(now));
        let pressed = others.is_some_and(|waiter| now.saturating_sub(waiter.since) >= PRESSED_AFTER);
        let slow = if pressed {
            pick(&|holder| holder.client.lock().waited(now).filter(|_| is_heavy(&holder.sender)))
        } else {
            Vec::new()
        };
        [(stalled, self.lacking(|_| true)), (slow, self.lacking(|waiter| !is_heavy(&waiter.sender)))]
    }

    /// The longest stalled body of who waits at its bound, if none of its is about to end.
    fn in_its_own_way(&self, now: Duration) -> Vec<Arc<Holder>> {
        let mut found: HashMap<&Sender, (Duration, &Arc<Holder>)> = HashMap::new();
        let mut at_bound: HashMap<&Sender, bool> = HashMap::new();
        for waiter in self.waiting.values().filter(|_| self.each_max.is_some()) {
            let is_at_it = || !self.may(&waiter.sender, waiter.bytes);
            at_bound.entry(&waiter.sender).or_insert_with(is_at_it);
        }
        at_bound.retain(|_, is_at_it| *is_at_it);
        let clients = self.asked.values().map(|holder| (holder, *holder.client.lock()));
        let clients: Vec<_> = clients.filter(|(holder, _)| at_bound.contains_key(&holder.sender)).collect();
        for (holder, _) in clients.iter().filter(|(_, client)| client.is_ended()) {
            at_bound.remove(&holder.sender);
        }
        for (holder, client) in &clients {
            let Some(stalled) = client.stalled(now).filter(|_| at_bound.contains_key(&holder.sender)) else {
                continue;
            };
            let longest = found.entry(&holder.sender).or_insert((stalled, holder));
            if longest.0 < stalled {
                *longest = (stalled, holder);
            }
        }
        found.into_values().map(|(_, holder)| Arc::clone(holder)).collect()
    }
}

impl Queue {
    pub(super) fn new(bytes: ByteCount) -> Arc<Self> {
        Self::of(bytes, None)
    }

    /// One of which a sender may have so much and no more, but for one body that is larger.
    pub(super) fn bounded(bytes: ByteCount, each_max: ByteCount) -> Arc<Self> {
        Self::of(bytes, Some(each_max))
    }

    fn of(bytes: ByteCount, each_max: Option<ByteCount>) -> Arc<Self> {
        let line = Line {
            free: bytes,
            each_max,
            held: HashMap::new(),
            waiting: BTreeMap::new(),
            asked: HashMap::new(),
            next: 0,
            looked: None,
        };
        Arc::new(Self { bytes, line: Mutex::new(line) })
    }

    pub(super) fn held(&self) -> ByteCount {
        self.bytes.saturating_sub(self.line.lock().free)
    }

    /// Room that is there, if nobody waits for it.
    pub(super) fn take(self: &Arc<Self>, bytes: ByteCount, sender: &Sender) -> Option<Room> {
        let (mut line, bytes) = (self.line.lock(), bytes.min(self.bytes));
        let is_there = line.waiting.is_empty() && line.free >= bytes && line.may(sender, bytes);
        is_there.then(|| line.take(self, bytes, sender.clone()))
    }

    /// A place in the line.
    pub(super) fn enter(self: &Arc<Self>, bytes: ByteCount, sender: &Sender, now: Duration) -> Place<'_> {
        let (reply, room) = oneshot::channel();
        let (sender, bytes) = (sender.clone(), bytes.min(self.bytes));
        let id = {
            let mut line = self.line.lock();
            let id = line.id();
            line.waiting.insert(id, Waiter { sender, bytes, since: now, reply });
            id
        };
        let place = Place { queue: self, id, room };
        self.serve();
        place
    }

    /// Gives what is free to those whose turn it is.
    fn serve(self: &Arc<Self>) {
        let mut served = Vec::new();
        {
            let mut line = self.line.lock();
            while let Some(id) = line.first(self.bytes) {
                if line.waiting.get(&id).is_none_or(|waiter| waiter.bytes > line.free) {
                    break;
                }
                let Some(Waiter { sender, bytes, reply, .. }) = line.waiting.remove(&id) else { break };
                served.push((reply, line.take(self, bytes, sender)));
            }
        }
        for (reply, room) in served {
            // Who has gone meanwhile gives it back.
            drop(reply.send(room));
        }
    }

    /// Ends bodies for those who wait, no more than they need; one look for all of them. How many were ended.
    pub(super) fn end_for_those_who_wait(&self, now: Duration) -> u64 {
        let (in_the_way, in_its_own_way) = {
            let mut line = self.line.lock();
            if line.looked.is_some_and(|last| now.saturating_sub(last) < LOOK / 2) {
                return 0;
            }
            line.looked = Some(now);
            (line.in_the_way(self.bytes, now), line.in_its_own_way(now))
        };
        let (mut count, mut coming) = (0, ByteCount::ZERO);
        for (holders, lacking) in in_the_way {
            for holder in holders {
                if coming >= lacking {
                    break;
                }
                if !holder.client.lock().is_ended() && holder.end(now) {
                    coming += holder.bytes;
                    count += 1;
                }
            }
        }
        for holder in in_its_own_way {
            count += u64::from(!holder.client.lock().is_ended() && holder.end(now));
        }
        count
    }

    #[cfg(test)]
    pub(super) fn count_waiting(&self) -> usize {
        self.line.lock().waiting.len()
    }
}

impl Room {
    /// From here on its holder's body may be ended.
    pub(super) fn list(&self, holder: &Arc<Holder>) {
        self.listed.get_or_init(|| {
            let mut line = self.queue.line.lock();
            let id = line.id();
            line.asked.insert(id, Arc::clone(holder));
            id
        });
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        {
            let mut line = self.queue.line.lock();
            line.free += self.bytes;
            if let Some(id) = self.listed.get() {
                line.asked.remove(id);
            }
            if let Some(held) = line.held.get_mut(&self.sender) {
                *held = held.saturating_sub(self.bytes);
                if *held == ByteCount::ZERO {
                    line.held.remove(&self.sender);
                }
            }
        }
        self.queue.serve();
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let was_there = self.queue.line.lock().waiting.remove(&self.id).is_some();
        if was_there {
            // Who stood behind it may find room now.
            self.queue.serve();
        }
    }
}
