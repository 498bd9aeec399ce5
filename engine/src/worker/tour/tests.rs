//! A tour through partitions that come, go and fail, against what its header promises.

use super::{LOUD, Leg, STOPS_PER_TICK, Stop, Tour, VAIN_MAX, Visitor};
use crate::entropy::{Entropy, SeededEntropy};
use crate::id::PartitionId;
use crate::worker::Progress;
use crate::{Error, Result};
use futures_util::FutureExt;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// What one piece of work does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Row {
    Done,
    Aside,
    Fails,
    Panics,
    NoRoom,
}

struct Partition {
    rows: Vec<Row>,
    /// It can't be looked at, at all.
    fails: bool,
}

#[derive(Default)]
struct Land {
    there: BTreeMap<PartitionId, Partition>,
    /// Partitions entered, and their rows, in this round.
    visited: Vec<(PartitionId, Option<usize>)>,
    /// Visits of this tick.
    visits: usize,
    /// What failed in this round and is this partition's matter, the first first.
    asides: Vec<String>,
    /// What fails is of a kind that others may meet as well.
    is_away: bool,
    /// The next visit to this one is held up.
    holds: Option<PartitionId>,
    /// The next visit to this one finds no room, before it says that it goes on.
    has_no_room: Option<PartitionId>,
    /// Visits whose failures are logged as errors.
    loud: usize,
}

fn nth(n: u64) -> PartitionId {
    PartitionId::from_bytes(n.to_be_bytes())
}

impl Land {
    fn empty(partitions: std::ops::Range<u64>) -> Self {
        let there = partitions.map(|n| (nth(n), Partition { rows: Vec::new(), fails: false })).collect();
        Self { there, ..Self::default() }
    }

    fn error(&mut self, partition: PartitionId, row: Option<usize>) -> Error {
        let text = format!("{partition} {row:?}");
        self.asides.push(text.clone());
        if self.is_away { Error::Unknown { reason: text } } else { Error::Invalid(text) }
    }
}

impl Visitor for Land {
    type Cursor = usize;

    fn next(&self, from: Bound<PartitionId>) -> Option<PartitionId> {
        self.there.range((from, Bound::Unbounded)).next().map(|(partition, _)| *partition)
    }

    async fn visit(&mut self, stop: &mut Stop<usize>) -> Result<()> {
        let (partition, at) = (stop.partition(), stop.cursor());
        self.visits += 1;
        self.loud += usize::from(stop.passed.is_loud());
        if self.holds == Some(partition) {
            stop.set_aside(self.error(partition, None));
            stop.hold_up(Error::Unknown { reason: "for now".to_owned() });
            self.holds = None;
            return Ok(());
        }
        if self.has_no_room == Some(partition) {
            self.has_no_room = None;
            return Err(Error::Full { place: String::new(), wanted: 1 });
        }
        let Partition { rows, fails } = &self.there[&partition];
        let row = rows.get(at).copied().filter(|_| !fails);
        let fails = *fails;
        self.visited.push((partition, row.map(|_| at)));
        if fails {
            return Err(self.error(partition, None));
        }
        let Some(row) = row else { return Ok(()) };
        stop.go_on_at(at + 1);
        match row {
            Row::Done => stop.did(1),
            Row::Aside => stop.set_aside(self.error(partition, Some(at))),
            Row::Fails => return Err(self.error(partition, Some(at))),
            Row::Panics => panic!("on purpose"),
            Row::NoRoom => return Err(Error::Full { place: String::new(), wanted: 1 }),
        }
        Ok(())
    }
}

struct Dice(SeededEntropy);

impl Dice {
    fn below(&self, n: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes) % n
    }

    fn partition(&self) -> Partition {
        let row = |_| match self.below(40) {
            0 => Row::Aside,
            1 => Row::Fails,
            2 => Row::Panics,
            3 => Row::NoRoom,
            _ => Row::Done,
        };
        Partition { rows: (0..self.below(4)).map(row).collect(), fails: self.below(10) == 0 }
    }
}

/// One round, with partitions coming and going between its ticks. `told`: an error was told since the last rest.
async fn round(dice: &Dice, tour: &mut Tour<usize>, land: &mut Land, told: &mut bool) {
    assert!(tour.is_between_rounds());
    let mut always: BTreeSet<PartitionId> = land.there.keys().copied().collect();
    (land.visited, land.asides) = (Vec::new(), Vec::new());
    let (mut done, mut at_end) = (0, None);
    loop {
        land.visits = 0;
        let outcome = AssertUnwindSafe(tour.go(land)).catch_unwind().await;
        assert!(land.visits <= STOPS_PER_TICK);
        match outcome {
            Err(_panic) => {}
            Ok(Ok(Leg::On { done: units })) => {
                assert!(units <= 1, "what does something ends the tick");
                done += units;
            }
            Ok(Ok(Leg::Over { done: units })) => {
                assert_eq!(units, done);
                break;
            }
            Ok(Err(Error::Full { .. })) => {}
            Ok(Err(error)) => {
                assert!(at_end.is_none() && !tour.is_between_rounds());
                at_end = Some(error.to_string());
                continue;
            }
        }
        assert!(at_end.is_none(), "only the end comes behind it");
        if dice.below(4) == 0 {
            // Also in the place of one that was there.
            let come = nth(dice.below(300));
            land.there.insert(come, dice.partition());
            always.remove(&come);
        }
        if dice.below(4) == 0 {
            let gone = nth(dice.below(300));
            land.there.remove(&gone);
            always.remove(&gone);
        }
    }
    assert!(land.visited.is_sorted_by_key(|(partition, _)| *partition), "in order");
    assert_eq!(at_end.as_ref(), land.asides.first().filter(|_| !*told));
    assert_eq!(tour.trouble().as_ref(), land.asides.first());
    *told |= at_end.is_some();
    let visited: BTreeSet<_> = land.visited.iter().copied().collect();
    for partition in always {
        let there = &land.there[&partition];
        if there.fails || there.rows.is_empty() {
            assert!(visited.contains(&(partition, None)), "{partition}");
        } else {
            assert!(
                (0..there.rows.len()).all(|row| visited.contains(&(partition, Some(row)))),
                "{partition}"
            );
        }
    }
}

#[tokio::test]
async fn a_round_visits_all_that_is_there_whatever_comes_goes_and_fails() {
    for seed in 0..100 {
        let dice = Dice(SeededEntropy::new(seed));
        let (mut land, mut tour, mut told) = (Land::default(), Tour::default(), false);
        for _ in 0..dice.below(200) {
            land.there.insert(nth(dice.below(300)), dice.partition());
        }
        for _ in 0..6 {
            round(&dice, &mut tour, &mut land, &mut told).await;
            if dice.below(2) == 0 {
                let rest = Duration::from_secs(1);
                assert_eq!(tour.rest(rest), Progress::Idle { rest });
                told = false;
            }
        }
    }
}

#[tokio::test]
async fn a_tick_passes_a_bounded_number_of_partitions() {
    let (mut land, mut tour) = (Land::empty(0..1_000), Tour::default());
    for tick in 1..=15 {
        assert_eq!(tour.go(&mut land).await.unwrap(), Leg::On { done: 0 });
        assert_eq!(land.visited.len(), tick * STOPS_PER_TICK);
    }
    assert_eq!(tour.go(&mut land).await.unwrap(), Leg::Over { done: 0 });
    assert_eq!(land.visited.len(), 1_000);
}

#[tokio::test]
async fn what_nobody_can_do_is_told_at_once_and_the_tour_stays_where_it_was() {
    let mut land = Land::empty(0..3);
    let mut tour = Tour::default();
    land.there.insert(nth(1), Partition { rows: vec![Row::NoRoom, Row::Done], fails: false });
    assert!(matches!(tour.go(&mut land).await, Err(Error::Full { .. })));
    assert_eq!(tour.go(&mut land).await.unwrap(), Leg::On { done: 1 });
    assert_eq!(tour.go(&mut land).await.unwrap(), Leg::Over { done: 1 });
    let last: Vec<_> = [(0, None), (1, Some(0)), (1, Some(1)), (1, None), (2, None)]
        .map(|(partition, row)| (nth(partition), row))
        .to_vec();
    assert_eq!(land.visited, last);
}

#[tokio::test]
async fn a_round_that_an_earlier_process_began_goes_on_where_it_was() {
    for (at, first) in [(nth(1), (nth(1), Some(1))), (nth(2), (nth(3), None))] {
        let mut land = Land::empty(0..4);
        land.there.remove(&nth(2));
        land.there.insert(nth(1), Partition { rows: vec![Row::Done; 2], fails: false });
        let mut tour = Tour::resume(at, 1);
        while !matches!(tour.go(&mut land).await.unwrap(), Leg::Over { .. }) {}
        assert_eq!(land.visited[0], first, "of the one that is gone nothing is left");
        assert_eq!(land.visited.last(), Some(&(nth(3), None)));
    }
}

#[tokio::test]
async fn where_all_find_something_unavailable_there_are_pauses_and_all_are_visited() {
    let mut land = Land::empty(0..100);
    land.is_away = true;
    for there in land.there.values_mut() {
        there.fails = true;
    }
    // One that is well is no reason to go on at once for ever.
    land.there.get_mut(&nth(90)).unwrap().fails = false;
    let (mut tour, mut pauses) = (Tour::default(), 0);
    for told in [true, false] {
        let mut failed = 0;
        loop {
            land.visits = 0;
            match tour.go(&mut land).await {
                Ok(Leg::Over { .. }) => break,
                Ok(Leg::On { .. }) => {}
                Err(_) => failed += 1,
            }
            assert!(land.visits <= 2 * VAIN_MAX, "no tick is one of many failures");
        }
        assert_eq!(failed, 90 / VAIN_MAX + usize::from(told), "the end of the round tells one as well");
        pauses += failed;
    }
    assert!(pauses > 1);
    let visited: BTreeSet<_> = land.visited.iter().map(|(partition, _)| *partition).collect();
    assert_eq!((visited.len(), land.visited.len()), (100, 200), "each once in a round");
    let first_round = usize::try_from(LOUD).unwrap() + 1;
    assert_eq!(
        land.loud, first_round,
        "the first one is kept, and nothing is logged of a round that was told"
    );
}

#[tokio::test]
async fn what_is_set_aside_in_one_visit_is_logged_as_an_error_a_few_times_only() {
    let mut stop = Stop::at(nth(1), 0_usize, false);
    let mut loud = 0;
    for _ in 0..200 {
        loud += u64::from(stop.passed.is_loud() && stop.has_failed());
        stop.set_aside(Error::Invalid(String::new()));
    }
    assert_eq!(loud, LOUD);
    let mut told = Stop::at(nth(1), 0_usize, false);
    told.passed.told = true;
    assert!(!told.passed.is_loud());
}

#[tokio::test]
async fn who_is_held_up_is_told_at_once_and_is_not_passed_by() {
    let (mut land, mut tour) = (Land::empty(0..3), Tour::default());
    land.holds = Some(nth(1));
    let held = tour.go(&mut land).await.unwrap_err();
    assert!(held.to_string().contains("for now"), "{held}");
    assert!(tour.go(&mut land).await.is_err(), "what was put aside before it is told at the end");
    assert_eq!(tour.go(&mut land).await.unwrap(), Leg::Over { done: 0 });
    let visited: Vec<_> = land.visited.iter().map(|(partition, _)| *partition).collect();
    assert_eq!(
        visited,
        [nth(0), nth(1), nth(2)],
        "and this one twice, of which the first visit is not noted"
    );
}

#[tokio::test]
async fn what_everybody_would_meet_passes_no_partition_by_wherever_its_visit_was() {
    let (mut land, mut tour) = (Land::empty(0..3), Tour::default());
    land.has_no_room = Some(nth(1));
    assert!(matches!(tour.go(&mut land).await, Err(Error::Full { .. })));
    assert_eq!(tour.go(&mut land).await.unwrap(), Leg::Over { done: 0 });
    let visited: Vec<_> = land.visited.iter().map(|(partition, _)| *partition).collect();
    assert_eq!(visited, [nth(0), nth(1), nth(2)]);
    assert_eq!(tour.trouble(), None, "it is no trouble of a partition's");
}
