//! A client's time: how long its body was waited for, and what it brought meanwhile.
//!
//! ```text
//!   Away ──Ask──► Asked ──Brought, Over──► Away
//!                   └───End───► Ended ──Over──► Away    all of it was there after all
//!                                  └────Gone──► Ended   its room comes, once what it brought has landed
//! ```
//!
//! Only what passes in `Asked` is the client's: not what the disk takes, nor what is done when the body is whole.

use engine::unit::ByteCount;
use std::time::Duration;

/// What a client must bring in [`STALLED_AFTER`], if it is this or more that its body holds: a share of it, ...
const DEMAND_PART: u64 = 64;
/// ... and no less than this.
pub(super) const DEMAND_MIN: ByteCount = ByteCount::kib(32);
/// A client that brings less in so long has stalled.
pub(super) const STALLED_AFTER: Duration = Duration::from_secs(4);
/// One that brought nothing yet has stalled after so long: it was asked for its body, and others wait with theirs.
pub(super) const SILENT_AFTER: Duration = Duration::from_secs(1);

/// Where a client is with its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// It is not waited for: what it brought is on its way, or it was not asked yet.
    Away(Window),
    /// It is waited for, since then.
    Asked { window: Window, since: Duration },
    /// Its body is to end for others.
    Ended(Window),
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Nothing of the body is here: the client is waited for.
    Ask,
    /// It brought so much.
    Brought(ByteCount),
    /// Nothing more of the body is waited for.
    Over,
    /// Its request is done, whatever became of the body.
    Gone,
    /// Others wait for what it holds.
    End,
}

/// The time that it has for what it must bring next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    demand: ByteCount,
    brought: ByteCount,
    spent: Duration,
    has_begun: bool,
}

impl Window {
    fn after(self, spent: Duration, bytes: ByteCount) -> Self {
        let brought = self.brought + bytes;
        if brought >= self.demand {
            return Self { brought: ByteCount::ZERO, spent: Duration::ZERO, has_begun: true, ..self };
        }
        let has_begun = self.has_begun || bytes > ByteCount::ZERO;
        Self { brought, spent: self.spent + spent, has_begun, ..self }
    }
}

impl Client {
    /// One whose body holds so much.
    pub(super) fn new(held: ByteCount) -> Self {
        let demand = ByteCount::new(held.get() / DEMAND_PART).max(DEMAND_MIN);
        Self::Away(Window { demand, brought: ByteCount::ZERO, spent: Duration::ZERO, has_begun: false })
    }

    /// What becomes of it.
    #[must_use]
    pub(super) fn step(self, event: Event, now: Duration) -> Self {
        match (self, event) {
            (Self::Away(window), Event::Ask) => Self::Asked { window, since: now },
            (Self::Away(window), Event::Brought(bytes)) => Self::Away(window.after(Duration::ZERO, bytes)),
            (Self::Asked { window, since }, Event::Brought(bytes)) => {
                Self::Away(window.after(now.saturating_sub(since), bytes))
            }
            (Self::Asked { window, since }, Event::Over | Event::Gone) => {
                Self::Away(window.after(now.saturating_sub(since), ByteCount::ZERO))
            }
            (Self::Asked { window, .. }, Event::End) => Self::Ended(window),
            (Self::Ended(window), Event::Over) => Self::Away(window),
            (Self::Away(_), Event::Over | Event::Gone | Event::End)
            | (Self::Asked { .. }, Event::Ask)
            | (Self::Ended(_), Event::Ask | Event::Brought(_) | Event::Gone | Event::End) => self,
        }
    }

    pub(super) const fn is_ended(self) -> bool {
        matches!(self, Self::Ended(_))
    }

    /// How long it was waited for since it brought last what it must, if it is waited for.
    pub(super) fn waited(self, now: Duration) -> Option<Duration> {
        match self {
            Self::Asked { window, since } => Some(window.spent + now.saturating_sub(since)),
            Self::Away(_) | Self::Ended(_) => None,
        }
    }

    /// Whether it has stalled: how long it was waited for.
    pub(super) fn stalled(self, now: Duration) -> Option<Duration> {
        let Self::Asked { window, .. } = self else { return None };
        let patience = if window.has_begun { STALLED_AFTER } else { SILENT_AFTER };
        self.waited(now).filter(|waited| *waited >= patience)
    }
}

#[cfg(test)]
mod tests {
    use super::{Client, DEMAND_MIN, Event, SILENT_AFTER, STALLED_AFTER, Window};
    use engine::unit::ByteCount;
    use std::time::Duration;

    const NOW: Duration = Duration::from_secs(100);
    const BYTE: ByteCount = ByteCount::new(1);

    #[test]
    fn every_state_knows_every_event() {
        let Client::Away(new) = Client::new(ByteCount::mib(2)) else { panic!("nobody asked yet") };
        let since = NOW.checked_sub(Duration::from_secs(1)).unwrap();
        let one = |spent| Window { spent, brought: BYTE, has_begun: true, ..new };
        let second = Duration::from_secs(1);
        let asked = Client::Asked { window: new, since };
        for (state, event, becomes) in [
            (Client::Away(new), Event::Ask, Client::Asked { window: new, since: NOW }),
            (Client::Away(new), Event::Brought(BYTE), Client::Away(one(Duration::ZERO))),
            (Client::Away(new), Event::Over, Client::Away(new)),
            (Client::Away(new), Event::Gone, Client::Away(new)),
            (Client::Away(new), Event::End, Client::Away(new)),
            (asked, Event::Ask, asked),
            (asked, Event::Brought(BYTE), Client::Away(one(second))),
            (asked, Event::Over, Client::Away(Window { spent: second, ..new })),
            (asked, Event::Gone, Client::Away(Window { spent: second, ..new })),
            (asked, Event::End, Client::Ended(new)),
            (Client::Ended(new), Event::Ask, Client::Ended(new)),
            (Client::Ended(new), Event::Brought(BYTE), Client::Ended(new)),
            (Client::Ended(new), Event::Over, Client::Away(new)),
            (Client::Ended(new), Event::Gone, Client::Ended(new)),
            (Client::Ended(new), Event::End, Client::Ended(new)),
        ] {
            assert_eq!(state.step(event, NOW), becomes, "{state:?} {event:?}");
        }
    }

    #[test]
    fn what_must_come_grows_with_what_is_held() {
        for (held, demand) in [
            (ByteCount::kib(4), DEMAND_MIN),
            (ByteCount::mib(2), DEMAND_MIN),
            (ByteCount::mib(4), ByteCount::kib(64)),
            (ByteCount::mib(64), ByteCount::mib(1)),
        ] {
            for (brought, stalls) in [(demand, false), (demand - BYTE, true)] {
                let asked = Client::new(held).step(Event::Ask, NOW);
                let late = NOW + STALLED_AFTER;
                let client = asked.step(Event::Brought(brought), late).step(Event::Ask, late);
                assert_eq!(client.stalled(late).is_some(), stalls, "{held} {brought}");
                assert!(client.stalled(late + STALLED_AFTER).is_some());
            }
        }
    }

    #[test]
    fn who_brought_nothing_has_less_time_than_who_began() {
        let asked = Client::new(ByteCount::mib(2)).step(Event::Ask, NOW);
        assert_eq!(asked.stalled(NOW + SILENT_AFTER), Some(SILENT_AFTER));
        let begun = asked.step(Event::Brought(BYTE), NOW).step(Event::Ask, NOW);
        assert_eq!(begun.stalled(NOW + SILENT_AFTER), None);
        assert_eq!(begun.stalled(NOW + STALLED_AFTER), Some(STALLED_AFTER));
        assert_eq!(Client::new(BYTE).stalled(NOW), None, "nobody waits for it");
    }
}
