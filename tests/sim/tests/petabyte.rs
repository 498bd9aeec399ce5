//! A petabyte, a day, and what was promised of it; several seeds, and the same figures each time.

use archive::retrieval::Tier;
use sim::dice::Dice;
use sim::requests::{DRIVES, MIDNIGHT, MIX, REQUESTS, day};
use sim::world::{Day, World};
use sim::{fifo, report};
use std::io::Write;

const SEEDS: std::ops::RangeInclusive<u64> = 1..=5;

/// `FIRN_ROUNDS` days instead of five: seeds from 1 on.
fn seeds() -> std::ops::RangeInclusive<u64> {
    let rounds = std::env::var("FIRN_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    rounds.map_or(SEEDS, |rounds| 1..=rounds)
}

fn play(seed: u64) -> (Day, fifo::Served) {
    let requests = day(&mut Dice::new(seed), MIX, REQUESTS);
    assert_eq!(requests.len(), REQUESTS);
    (World::new(seed, DRIVES, MIDNIGHT).play(&requests), fifo::serve(seed, DRIVES, &requests))
}

fn say(seed: u64, drives: u16, day: &Day, served: fifo::Served) {
    let all_ms = u64::from(drives) * day.end.since(MIDNIGHT).as_secs() * 1000;
    let text = format!(
        "seed {seed}: {} mounts, by first come, first served {} ({} late); {} late, {} refused; drives busy {} %\n{}",
        day.mounts,
        served.mounts,
        served.late,
        report::late(day),
        day.refused,
        day.busy_ms * 100 / all_ms,
        report::lines(day)
    );
    std::io::stdout().write_all(text.as_bytes()).expect("standard output");
}

#[test]
fn a_petabyte_needs_an_eighth_of_the_mounts_misses_no_deadline_and_quotes_well() {
    for seed in seeds() {
        let (day, served) = play(seed);
        say(seed, DRIVES, &day, served);
        assert_eq!((day.fates.len(), day.refused), (REQUESTS, 0), "seed {seed}: none is refused");
        assert_eq!(report::late(&day), 0, "seed {seed}: deadlines");
        assert!(day.mounts * 8 <= served.mounts, "seed {seed}: mounts");
        let all = report::errors(&day, None);
        assert!(report::percentile(all.clone(), 50) <= 100, "seed {seed}: ETA, median");
        assert!(report::percentile(all, 95) <= 300, "seed {seed}: ETA, p95");
    }
}

#[test]
fn each_tier_by_itself_is_quoted_well() {
    let (day, _) = play(1);
    for tier in Tier::ALL {
        let all = report::errors(&day, Some(tier));
        assert!(all.len() > 50, "{tier}: {} jobs", all.len());
        assert!(report::percentile(all.clone(), 50) <= 100, "{tier}: median");
        assert!(report::percentile(all, 95) <= 300, "{tier}: p95");
    }
}

#[test]
fn the_same_seed_gives_the_same_day() {
    let requests = day(&mut Dice::new(9), MIX, 1_000);
    let one = World::new(9, DRIVES, MIDNIGHT).play(&requests);
    assert_eq!(one, World::new(9, DRIVES, MIDNIGHT).play(&requests));
    assert_ne!(one, World::new(10, DRIVES, MIDNIGHT).play(&requests), "drives that take other times");
    assert!(one.fates.iter().any(|fate| fate.tier == Tier::Expedited));
}

/// One drive for what keeps two of them busy: most is late, each mount still serves many, and what came first is not left lying.
#[test]
fn with_too_much_to_do_nobody_starves_and_mounts_stay_few() {
    let requests = day(&mut Dice::new(1), MIX, REQUESTS);
    let (day, served) = (World::new(1, 1, MIDNIGHT).play(&requests), fifo::serve(1, 1, &requests));
    say(1, 1, &day, served);
    assert!(report::late(&day) > REQUESTS / 4, "that is too much to do");
    assert!(day.mounts * 8 <= served.mounts, "{} mounts", day.mounts);
    assert_eq!(day.fates.len() + day.refused, REQUESTS);
    let expedited = day.fates.iter().filter(|fate| fate.tier == Tier::Expedited);
    assert!(expedited.clone().count() > 40 && expedited.clone().all(|fate| fate.done <= fate.deadline));
    // Two days of work for one drive: all is done in two and a half, and no job takes more than one and a half.
    let longest = day.fates.iter().map(|fate| fate.done.since(fate.created).as_secs()).max();
    assert!(day.end.since(MIDNIGHT).as_secs() < 60 * 3600 && longest < Some(36 * 3600), "{longest:?}");
}
