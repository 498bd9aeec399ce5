//! Who gets room, who waits, who is ended, and when memory counts as given back.

use super::client::{DEMAND_MIN, SILENT_AFTER, STALLED_AFTER};
use super::queue::{LOOK, PRESSED_AFTER};
use super::{Budget, Crowded, PATIENCE, Sender, Share};
use engine::clock::{ManualClock, Timestamp};
use engine::unit::ByteCount;
use futures_util::poll;
use prometheus_client::metrics::counter::Counter;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

const MIB: u64 = 1 << 20;

/// Eight MiB, one of them for small bodies, and half of one more for bodies of which nobody knows who sends them.
fn budget() -> (Arc<ManualClock>, Arc<Budget>) {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
    let parts = [ByteCount::mib(1), ByteCount::kib(512), ByteCount::mib(7)];
    (clock.clone(), Budget::of(parts, clock, Counter::default(), Counter::default()))
}

fn sender(host: u8) -> Sender {
    Sender::at(IpAddr::from([10, 0, 0, host]))
}

async fn share_of(budget: &Budget, host: u8, bytes: u64) -> Share {
    budget.reserve(&sender(host), ByteCount::new(bytes)).await.unwrap()
}

async fn share(budget: &Budget, bytes: u64) -> Share {
    share_of(budget, 1, bytes).await
}

/// A request that waits.
async fn late<'b>(
    budget: &'b Budget,
    host: u8,
    bytes: u64,
) -> Pin<Box<dyn Future<Output = Result<Share, Crowded>> + 'b>> {
    let mut late = Box::pin(async move { budget.reserve(&sender(host), ByteCount::new(bytes)).await });
    assert!(poll!(&mut late).is_pending());
    late
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
    let mut waits = late(&budget, 1, 2 * MIB).await;
    drop(second);
    assert!(matches!(poll!(&mut waits), Poll::Ready(Ok(_))));
    let mut waits = late(&budget, 1, 6 * MIB).await;
    clock.advance(PATIENCE.checked_sub(Duration::from_millis(1)).unwrap());
    assert!(poll!(&mut waits).is_pending());
    clock.advance(Duration::from_millis(1));
    assert!(matches!(poll!(&mut waits), Poll::Ready(Err(Crowded))));
    assert_eq!(budget.refused.get(), 1);
    drop((first, waits));
    assert_eq!((budget.held(), budget.large.count_waiting()), (ByteCount::ZERO, 0));
}

#[tokio::test]
async fn who_goes_away_while_it_waits_leaves_its_place_to_the_next() {
    let (_, budget) = budget();
    let held = share(&budget, 6 * MIB).await;
    let gone = late(&budget, 1, 5 * MIB).await;
    // In the order of the queue.
    let mut next = late(&budget, 1, MIB).await;
    drop(gone);
    assert!(matches!(poll!(&mut next), Poll::Ready(Ok(_))));
    // Nor does who went when its turn had come keep what it was given.
    let gone = late(&budget, 1, 5 * MIB).await;
    drop(held);
    assert_eq!(budget.held(), ByteCount::mib(5));
    drop(gone);
    assert_eq!((budget.held(), budget.large.count_waiting()), (ByteCount::ZERO, 0));
}

#[tokio::test]
async fn small_bodies_have_room_when_large_ones_have_taken_theirs_and_not_the_other_way() {
    let (_, budget) = budget();
    let large = share(&budget, 100 * MIB).await;
    assert_eq!(budget.held(), ByteCount::mib(7), "counted as all that there is");
    let mut small = Vec::new();
    for _ in 0..2 {
        small.push(share(&budget, MIB / 2).await);
    }
    drop(late(&budget, 1, 1).await);
    drop(large);
    small.push(share(&budget, 1).await);
    assert_eq!(budget.large.held(), ByteCount::kib(4), "from the large ones' room");
    small.clear();
    let _large = share(&budget, 7 * MIB).await;
    drop(late(&budget, 1, MIB).await);
}

#[tokio::test]
async fn the_longest_stalled_is_ended_for_those_who_wait_and_no_more_than_they_need() {
    let (clock, budget) = budget();
    let mut holders = Vec::new();
    for _ in 0..6 {
        holders.push(share(&budget, MIB).await);
        asks(holders.last_mut().unwrap()).await;
        clock.advance(Duration::from_millis(1));
    }
    clock.advance(STALLED_AFTER);
    for holder in &mut holders[1..] {
        assert!(!asks(holder).await, "nobody waits for its room");
    }
    // The first one's client brings enough; the second one's body is somewhere between here and the disk.
    assert!(!holders[0].brought(DEMAND_MIN));
    assert!(!asks(&mut holders[0]).await);
    assert!(!holders[1].brought(ByteCount::new(1)));
    // One of the three is free.
    let mut waits = late(&budget, 1, 3 * MIB).await;
    let mut ended = Vec::new();
    for (at, holder) in holders.iter_mut().enumerate() {
        if at != 1 && asks(holder).await {
            ended.push(at);
        }
    }
    assert_eq!(ended, [2, 3]);
    clock.advance(LOOK);
    assert!(poll!(&mut waits).is_pending());
    assert_eq!(budget.ended.get(), 2, "those are on their way");
    assert!(!asks(&mut holders[1]).await);
    holders.drain(2..4);
    assert!(matches!(poll!(&mut waits), Poll::Ready(Ok(_))));
}

#[tokio::test]
async fn what_a_body_waits_for_the_disk_is_not_its_clients_time() {
    let (clock, budget) = budget();
    let mut holder = share(&budget, 7 * MIB).await;
    holder.brought(ByteCount::new(1));
    clock.advance(10 * STALLED_AFTER);
    asks(&mut holder).await;
    let mut waits = late(&budget, 1, MIB).await;
    assert!(!asks(&mut holder).await);
    // A byte now and then does not count as going on.
    for _ in 0..4 {
        holder.brought(ByteCount::new(1));
        asks(&mut holder).await;
        clock.advance(Duration::from_secs(1));
        assert!(poll!(&mut waits).is_pending());
    }
    assert!(asks(&mut holder).await);
    drop(holder);
    assert!(matches!(poll!(&mut waits), Poll::Ready(Ok(_))));
}

#[tokio::test]
async fn who_holds_much_must_bring_much_where_others_wait() {
    let (clock, budget) = budget();
    let mut holder = share(&budget, 7 * MIB).await;
    asks(&mut holder).await;
    let mut waits = late(&budget, 1, MIB).await;
    // 36 KiB in four seconds would be enough for two MiB.
    for _ in 0..4 {
        assert!(!asks(&mut holder).await);
        clock.advance(Duration::from_secs(1));
        holder.brought(ByteCount::kib(9));
    }
    assert!(!asks(&mut holder).await);
    clock.advance(LOOK);
    assert!(poll!(&mut waits).is_pending());
    assert!(asks(&mut holder).await);
}

#[tokio::test]
async fn who_was_asked_and_brings_nothing_is_ended_soon_where_others_wait() {
    let (clock, budget) = budget();
    let mut holder = share(&budget, 7 * MIB).await;
    asks(&mut holder).await;
    let mut waits = late(&budget, 1, MIB).await;
    assert!(!asks(&mut holder).await);
    clock.advance(SILENT_AFTER);
    assert!(poll!(&mut waits).is_pending());
    assert!(asks(&mut holder).await);
    assert!(holder.brought(ByteCount::mib(1)), "too late");
}

#[tokio::test]
async fn a_body_that_is_whole_is_not_ended_and_shields_nobody() {
    let (clock, budget) = budget();
    let (mut whole, mut stalled) = (share(&budget, 4 * MIB).await, share(&budget, 3 * MIB).await);
    for holder in [&mut whole, &mut stalled] {
        asks(holder).await;
        clock.advance(Duration::from_millis(1));
    }
    whole.brought(ByteCount::new(1));
    asks(&mut whole).await;
    whole.is_over();
    clock.advance(STALLED_AFTER);
    let mut waits = late(&budget, 1, MIB).await;
    assert!(asks(&mut stalled).await, "the other one does not stand for it");
    assert_eq!(budget.ended.get(), 1);
    // One that was to end, and whose last byte was there: another has to go.
    stalled.is_over();
    asks(&mut whole).await;
    clock.advance(STALLED_AFTER);
    assert!(poll!(&mut waits).is_pending());
    assert!(asks(&mut whole).await);
    drop(whole);
    assert!(matches!(poll!(&mut waits), Poll::Ready(Ok(_))));
}

#[tokio::test]
async fn who_holds_more_than_half_comes_behind_the_others_and_goes_first() {
    let (clock, budget) = budget();
    let mut other = share_of(&budget, 2, MIB).await;
    asks(&mut other).await;
    let mut heavy = Vec::new();
    for _ in 0..6 {
        heavy.push(share_of(&budget, 1, MIB).await);
        asks(heavy.last_mut().unwrap()).await;
        clock.advance(Duration::from_millis(1));
    }
    let mut first = late(&budget, 1, MIB).await;
    let mut second = late(&budget, 2, MIB).await;
    heavy.pop();
    assert!(poll!(&mut first).is_pending(), "it holds more than half");
    let Poll::Ready(Ok(_second)) = poll!(&mut second) else { panic!("it comes before who holds more") };
    // All have stalled, the other one longest: who holds more than half goes all the same.
    let mut second = late(&budget, 2, MIB).await;
    clock.advance(STALLED_AFTER);
    assert!(poll!(&mut second).is_pending());
    assert!(!asks(&mut other).await);
    assert!(asks(&mut heavy[0]).await && asks(&mut heavy[1]).await && !asks(&mut heavy[2]).await);
    assert_eq!(budget.ended.get(), 2, "two wait");
}

#[tokio::test]
async fn who_holds_more_than_half_cannot_pay_for_it_with_bytes() {
    let (clock, budget) = budget();
    let (mut other, mut heavy) = (share_of(&budget, 2, MIB).await, share_of(&budget, 1, 6 * MIB).await);
    let (mut same, mut waits) = (late(&budget, 1, MIB).await, late(&budget, 2, MIB).await);
    for _ in 0..PRESSED_AFTER.as_secs() {
        for holder in [&mut other, &mut heavy] {
            assert!(!holder.brought(ByteCount::mib(1)) && !asks(holder).await);
        }
        clock.advance(Duration::from_secs(1));
        assert!(poll!(&mut same).is_pending() && poll!(&mut waits).is_pending());
    }
    assert!(asks(&mut heavy).await && !asks(&mut other).await);
    drop(heavy);
    assert!(matches!(poll!(&mut waits), Poll::Ready(Ok(_))));
}

#[tokio::test]
async fn a_share_is_held_until_the_last_buffer_is_gone() {
    let (_, budget) = budget();
    let share = share(&budget, MIB).await;
    let buffer = share.hold();
    drop(share);
    assert_eq!(budget.held(), ByteCount::mib(1));
    drop(buffer.clone());
    assert_eq!(budget.held(), ByteCount::mib(1));
    drop(buffer);
    assert_eq!(budget.held(), ByteCount::ZERO);
}

#[test]
fn an_address_stands_for_its_network() {
    let at = |ip: &str| Sender::at(ip.parse().unwrap());
    assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:1"));
    assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
    assert_eq!(at("::ffff:10.0.0.1"), at("10.0.0.1"));
    assert_ne!(at("10.0.0.2"), at("10.0.0.1"));
}

#[tokio::test]
async fn a_crowd_is_refused_together() {
    let (clock, budget) = budget();
    let _held = share(&budget, 7 * MIB).await;
    let mut crowd = [late(&budget, 1, MIB).await, late(&budget, 2, MIB).await];
    clock.advance(PATIENCE);
    for waits in &mut crowd {
        assert!(matches!(poll!(pin!(waits)), Poll::Ready(Err(Crowded))));
    }
    assert_eq!(budget.refused.get(), 2);
}

#[test]
fn waits_and_stalls_are_as_long_as_the_pages_say() {
    // docs/semantics.md, docs/cli.md and ADR 24 say these numbers.
    let times = [SILENT_AFTER, STALLED_AFTER, PRESSED_AFTER, PATIENCE].map(|time| time.as_secs());
    assert_eq!(times, [1, 4, 10, 20]);
}

#[tokio::test]
async fn what_an_ended_body_left_on_its_way_is_still_coming() {
    let (clock, budget) = budget();
    let (mut first, mut second) = (share(&budget, 4 * MIB).await, share(&budget, 3 * MIB).await);
    for holder in [&mut first, &mut second] {
        asks(holder).await;
        clock.advance(Duration::from_millis(1));
    }
    let mut waits = late(&budget, 1, MIB).await;
    clock.advance(STALLED_AFTER);
    assert!(poll!(&mut waits).is_pending());
    assert!(asks(&mut first).await && !asks(&mut second).await);
    // Its request is answered; a record of it still waits for the disk.
    let on_its_way = first.hold();
    drop(first);
    clock.advance(LOOK);
    assert!(poll!(&mut waits).is_pending());
    assert!(!asks(&mut second).await, "what was ended is enough");
    drop(on_its_way);
    assert!(matches!(poll!(&mut waits), Poll::Ready(Ok(_))));
}

#[tokio::test]
async fn who_is_known_by_its_address_alone_takes_nothing_from_the_others_and_a_quarter_of_its_own() {
    let (clock, budget) = budget();
    let of = |host, bytes| {
        let budget = &budget;
        Box::pin(async move { budget.reserve_unproven(&sender(host), ByteCount::new(bytes)).await })
    };
    let quarter = 128 << 10;
    // One that is larger than the quarter, and as many as fit.
    let mut first = of(1, 2 * quarter).await.unwrap();
    let mut small: Vec<Share> = Vec::new();
    for _ in 0..4 {
        small.push(of(2, quarter / 4).await.unwrap());
    }
    let (mut second, mut fifth) = (of(1, 1), of(2, 1));
    assert!(poll!(&mut second).is_pending() && poll!(&mut fifth).is_pending(), "both have theirs");
    let all = share(&budget, 7 * MIB).await;
    assert_eq!(budget.large.held(), ByteCount::mib(7), "and nobody else less");
    drop(all);
    // Who comes behind them and has nothing yet does not wait.
    let third = of(3, quarter).await.unwrap();
    // What stalls is ended for its own network's, and the longest of it alone.
    asks(&mut first).await;
    for holder in &mut small {
        clock.advance(Duration::from_millis(1));
        asks(holder).await;
    }
    clock.advance(STALLED_AFTER);
    assert!(poll!(&mut second).is_pending() && poll!(&mut fifth).is_pending());
    assert!(asks(&mut first).await && asks(&mut small[0]).await);
    assert!(!asks(&mut small[1]).await && budget.ended.get() == 2);
    clock.advance(LOOK);
    assert!(poll!(&mut second).is_pending(), "it is on its way");
    assert_eq!(budget.ended.get(), 2);
    drop((first, small.remove(0)));
    assert!(
        matches!(poll!(&mut second), Poll::Ready(Ok(_))) && matches!(poll!(&mut fifth), Poll::Ready(Ok(_)))
    );
    drop((small, third, second, fifth));
    assert_eq!(budget.held(), ByteCount::ZERO);
}

#[test]
fn an_eighth_is_for_small_bodies_and_a_sixteenth_for_those_of_nobody_known() {
    let (clock, counters) =
        (Arc::new(ManualClock::new(Timestamp::from_millis(0))), [Counter::default(), Counter::default()]);
    let [refused, ended] = counters;
    let budget = Budget::new(ByteCount::mib(256), clock, refused, ended);
    assert_eq!(budget.total(), ByteCount::mib(256));
    assert!(budget.small.take(ByteCount::mib(32), &sender(1)).is_some());
    assert!(budget.unproven.take(ByteCount::mib(4), &sender(1)).is_some());
    assert!(budget.large.take(ByteCount::mib(208), &sender(1)).is_some());
    assert!(
        budget.unproven.take(ByteCount::mib(16), &sender(1)).is_some(),
        "one that is larger than a quarter"
    );
}
