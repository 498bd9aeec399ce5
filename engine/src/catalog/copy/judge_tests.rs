//! The judgement by its table, and over all pairs of images of a directory and a zone that a random story leaves behind.

use super::super::membership::Membership;
use super::{Place, Says, Seen, Verdict, judge, knows};
use crate::Error;
use crate::entropy::{Entropy, SeededEntropy};
use std::collections::{BTreeMap, BTreeSet};

fn seen(membership: Option<&Membership>) -> Seen {
    let place = Place::new("b".to_owned(), "/mnt/b/catalog".into());
    Seen { place, says: membership.cloned().map_or(Says::Nothing, Says::Membership) }
}

/// `None` where the start is refused.
fn verdict(home: Option<&Membership>, zone: Option<&Membership>, accept: bool) -> Option<Verdict> {
    match judge(home, &[seen(zone)], accept) {
        Ok(verdict) => Some(verdict),
        Err(Error::Forked { .. }) => None,
        Err(other) => panic!("{other}"),
    }
}

fn is_read_only(verdict: Option<Verdict>, says: &str) {
    let Some(Verdict::ReadOnly(why)) = verdict else { panic!("{verdict:?}") };
    assert!(why.contains(says) && why.contains("--accept-loss"), "{why}");
}

fn share(home: &Membership, entropy: &SeededEntropy) -> (Membership, Membership) {
    let intended = home.intend(None, entropy);
    let copy = intended.next.unwrap().epoch;
    (intended.clone(), intended.both("b", copy).unwrap())
}

#[test]
fn only_who_may_know_everything_starts_unasked() {
    let entropy = SeededEntropy::new(1);
    let first = Membership::first(std::iter::empty(), &entropy);
    let (intended, both) = share(&first, &entropy);
    let alone = both.alone(&entropy);
    let (again_intended, again) = share(&alone, &entropy);
    assert_eq!((first.epoch, both.epoch, alone.epoch, again.epoch), (1, 2, 3, 4));
    // One store from its start on.
    assert_eq!(verdict(None, None, false), Some(Verdict::Go));
    assert_eq!(verdict(Some(&first), None, false), Some(Verdict::Go));
    assert_eq!(verdict(Some(&both), Some(&both), false), Some(Verdict::Attach(0)));
    // Going alone was recorded: it goes on, whatever older state the zone comes back with.
    for zone in [None, Some(&both)] {
        assert_eq!(verdict(Some(&alone), zone, false), Some(Verdict::Go));
    }
    // A join that was cut short between the two records, and before the first of them.
    assert_eq!(verdict(Some(&intended), Some(&both), false), Some(Verdict::Attach(0)));
    assert_eq!(verdict(Some(&intended), None, false), Some(Verdict::Go));
    assert_eq!(verdict(Some(&again_intended), Some(&again), false), Some(Verdict::Attach(0)));
    assert_eq!(verdict(Some(&again_intended), Some(&both), false), Some(Verdict::Go));
    // A start that was cut short between the two.
    let taken_up = both.intend(Some(&both), &entropy);
    let next = taken_up.both("b", both.copy).unwrap();
    for zone in [&both, &next] {
        assert_eq!(verdict(Some(&taken_up), Some(zone), false), Some(Verdict::Attach(0)));
    }
    // And one that was cut short after such a join, or such a start.
    for (home, zone) in [(&intended, &both), (&taken_up, &next)] {
        let again = home.take_up(zone, &entropy);
        assert_eq!(verdict(Some(&again), Some(zone), false), Some(Verdict::Attach(0)));
        is_read_only(verdict(Some(&again), None, false), "is not there");
    }
    // A lone one of two.
    for zone in [None, Some(&first), Some(&both)] {
        is_read_only(verdict(Some(&next), zone, false), "epoch 3");
        assert_eq!(verdict(Some(&next), zone, true), Some(Verdict::Accept));
    }
    // An old state of the directory is refused, accepted loss or not.
    for accept in [false, true] {
        for old in [&first, &both, &alone] {
            assert_eq!(verdict(Some(old), Some(&again), accept), None);
        }
        assert_eq!(verdict(Some(&both), Some(&next), accept), None);
    }
    // One that knows of no copy, as after a recovery from the backup, asks first.
    is_read_only(verdict(None, Some(&both), false), "knows of none");
    assert_eq!(verdict(None, Some(&both), true), Some(Verdict::Accept));
    let recovered = Membership::first(std::iter::once(&both), &entropy);
    assert_eq!(verdict(Some(&recovered), Some(&both), false), Some(Verdict::Go));
    assert!(recovered.epoch > both.epoch);
}

#[test]
fn a_zone_that_can_not_be_read_is_none() {
    let entropy = SeededEntropy::new(1);
    let (_, both) = share(&Membership::first(std::iter::empty(), &entropy), &entropy);
    let unreadable = Seen { says: Says::Unreadable("no answer".to_owned()), ..seen(None) };
    let judged = judge(Some(&both), std::slice::from_ref(&unreadable), false).unwrap();
    is_read_only(Some(judged), "can't be read (no answer)");
    let alone = both.alone(&entropy);
    assert_eq!(judge(Some(&alone), &[unreadable], false).unwrap(), Verdict::Go);
}

#[test]
fn a_stale_copy_in_another_zone_refuses_nothing() {
    let entropy = SeededEntropy::new(3);
    let (_, in_c) = share(&Membership::first(std::iter::empty(), &entropy), &entropy);
    let (_, in_b) = share(&in_c.alone(&entropy), &entropy);
    let both = [seen(Some(&in_c)), seen(Some(&in_b))];
    assert_eq!(judge(Some(&in_b), &both, false).unwrap(), Verdict::Attach(1));
    // Nor does what is left of a directory in whose place this one came, however often that happened.
    let mut made = in_b.lone(9, &entropy);
    for _ in 0..3 {
        made = share(&made.alone(&entropy), &entropy).1.lone(9, &entropy);
    }
    let zones = [seen(Some(&in_c)), seen(Some(&in_b))];
    is_read_only(judge(Some(&made), &zones, false).ok(), "made from");
    assert_eq!(judge(Some(&made), &zones, true).unwrap(), Verdict::Accept);
}

#[test]
fn two_that_parted_and_come_back_in_the_wrong_order_are_told_apart() {
    let entropy = SeededEntropy::new(2);
    let (_, both) = share(&Membership::first(std::iter::empty(), &entropy), &entropy);
    // The directory goes on alone; then the zone is made into another one.
    let old = both.alone(&entropy);
    let lone = both.lone(9, &entropy);
    is_read_only(verdict(Some(&lone), Some(&both), false), "epoch 2");
    assert_eq!(verdict(Some(&lone), Some(&both), true), Some(Verdict::Attach(0)));
    assert_eq!(verdict(Some(&lone), None, true), Some(Verdict::Accept));
    let new = lone.alone(&entropy);
    assert_eq!(verdict(Some(&new), Some(&both), false), Some(Verdict::Go), "the zone knows no more");
    let (_, joined) = share(&new, &entropy);
    // The first one returns, whichever of its states it is in, and is refused however often it had changed alone.
    let long_alone = share(&old, &entropy).1.alone(&entropy).alone(&entropy);
    for returns in [&both, &old, &long_alone] {
        for accept in [false, true] {
            assert_eq!(verdict(Some(returns), Some(&joined), accept), None);
        }
    }
    // So is a second directory that was made from the zone, and the new one, should the first have taken the zone back.
    let second = both.lone(9, &entropy);
    assert_eq!(verdict(Some(&second), Some(&joined), true), None);
    let (_, taken_back) = share(&old, &entropy);
    assert_eq!(verdict(Some(&new), Some(&taken_back), true), None);
}

/// A directory's disk: what it says, and the commits that it holds.
#[derive(Clone, Debug, Default)]
struct Home {
    says: Option<Membership>,
    log: Vec<u32>,
}

/// A zone's disk: what it says, and the commits in each of its copies.
#[derive(Clone, Debug, Default)]
struct Zone {
    says: Option<Membership>,
    copies: BTreeMap<u64, Vec<u32>>,
}

impl Zone {
    fn counts(&self) -> Option<&Vec<u32>> {
        self.copies.get(&self.says.as_ref()?.copy)
    }
}

/// What a start does with two disks: none where it takes no commits.
fn start(home: &Home, zone: &Zone, accept: bool) -> Option<(Verdict, Vec<u32>)> {
    let verdict = verdict(home.says.as_ref(), zone.says.as_ref(), accept)?;
    match &verdict {
        Verdict::ReadOnly(_) => None,
        Verdict::Go | Verdict::Accept => Some((verdict, home.log.clone())),
        Verdict::Attach(_) => {
            let theirs = zone.counts().unwrap();
            let shorter = home.log.len().min(theirs.len());
            assert_eq!(home.log[..shorter], theirs[..shorter], "one is the beginning of the other");
            let longer = if theirs.len() > home.log.len() { theirs } else { &home.log };
            Some((verdict, longer.clone()))
        }
    }
}

/// A store and what was promised of it, changed in the steps that the keeper and the worker take; each step leaves an image.
struct Story {
    chance: SeededEntropy,
    entropy: SeededEntropy,
    home: Home,
    zone: Zone,
    /// The zone is a member: its disk is written to.
    attached: bool,
    next: u32,
    /// Acknowledged, and promised to survive the loss of either disk; and what only the directory holds.
    in_both: BTreeSet<u32>,
    in_home: BTreeSet<u32>,
    homes: Vec<Home>,
    zones: Vec<Zone>,
}

impl Story {
    fn new(seed: u64) -> Self {
        Self {
            chance: SeededEntropy::new(seed),
            entropy: SeededEntropy::new(seed ^ 0xE0),
            home: Home::default(),
            zone: Zone::default(),
            attached: false,
            next: 0,
            in_both: BTreeSet::new(),
            in_home: BTreeSet::new(),
            homes: Vec::new(),
            zones: Vec::new(),
        }
    }

    fn draw(&self, below: u32) -> u32 {
        let mut bytes = [0; 4];
        self.chance.fill(&mut bytes);
        u32::from_le_bytes(bytes) % below
    }

    /// Keeps images of both disks as they are, and starts every pair of an image of one with the other as it is.
    fn step(&mut self) {
        self.homes.push(self.home.clone());
        self.zones.push(self.zone.clone());
        let whole = |found: &[u32], promised: &BTreeSet<u32>, what: &str| {
            let found: BTreeSet<u32> = found.iter().copied().collect();
            let lost: Vec<_> = promised.difference(&found).collect();
            assert!(lost.is_empty(), "{what} lost {lost:?}");
        };
        // The directory as it is, with whatever comes as its zone: nothing that was acknowledged is lost by a start unasked.
        let nothing = Zone::default();
        for zone in self.zones.iter().chain([&nothing]) {
            if let Some((_, log)) = start(&self.home, zone, false) {
                whole(&log, &self.in_both, "the directory");
                whole(&log, &self.in_home, "the directory");
            }
        }
        // The zone as it is, with whatever image comes as its directory: nothing that was promised to survive the directory.
        for home in &self.homes {
            if let Some((_, log)) = start(home, &self.zone, false) {
                whole(&log, &self.in_both, "the zone");
            }
        }
        // What the zone says counts is whole, and so it is in every image of it.
        if let Some(log) = self.zone.counts() {
            whole(log, &self.in_both, "a directory made from the zone");
        }
    }

    /// Both records of an epoch, as they are written one after the other; cut short anywhere when `cut` says so.
    fn give(&mut self, copy: u64, cut: u32) {
        if cut == 0 {
            return;
        }
        let both = self.home.says.as_ref().unwrap().both("b", copy).unwrap();
        self.zone.says = Some(both.clone());
        self.step();
        if cut == 1 {
            return;
        }
        self.home.says = Some(both);
        self.attached = true;
        // From here on the zone has all of it.
        self.in_both.append(&mut self.in_home);
        self.step();
    }

    fn alone(&mut self) {
        self.attached = false;
        let alone = self.home.says.as_ref().unwrap().alone(&self.entropy);
        self.home.says = Some(alone);
        // The zone's copy no longer counts for anything that is promised from now on.
        self.in_home.append(&mut self.in_both);
        self.step();
    }

    fn commit(&mut self) {
        self.next += 1;
        let here = self.next;
        let first = self.draw(2);
        for disk in [first, 1 - first] {
            if disk == 0 {
                self.home.log.push(here);
            } else if self.attached {
                let copy = self.zone.says.as_ref().unwrap().copy;
                self.zone.copies.get_mut(&copy).unwrap().push(here);
            }
            self.step();
        }
        if self.attached {
            self.in_both.insert(here)
        } else {
            self.in_home.insert(here)
        };
        self.step();
    }

    fn join(&mut self) {
        let home = match &self.home.says {
            Some(home) => home.clone(),
            None => Membership::first(std::iter::empty(), &self.entropy),
        };
        if let Some(theirs) = &self.zone.says
            && knows(&home, theirs).is_err()
        {
            return;
        }
        let intended = home.intend(self.zone.says.as_ref(), &self.entropy);
        let number = intended.next.unwrap().epoch;
        self.home.says = Some(intended);
        self.step();
        let named = self.zone.says.as_ref().map(|says| says.copy);
        self.zone.copies.retain(|copy, _| Some(*copy) == named);
        if self.draw(4) == 0 {
            // No room for two.
            self.zone.says = None;
            self.step();
            self.zone.copies.clear();
        }
        // Made in part, in tow, whole.
        let half = self.home.log[..self.home.log.len() / 2].to_vec();
        self.zone.copies.insert(number, half);
        self.step();
        for _ in 0..self.draw(3) {
            self.commit();
        }
        if self.draw(5) == 0 {
            return self.alone();
        }
        self.zone.copies.insert(number, self.home.log.clone());
        self.step();
        let cut = self.draw(8).min(2);
        self.give(number, cut);
        if cut == 2 {
            self.zone.copies.retain(|copy, _| *copy == number);
            self.step();
        } else if self.draw(2) == 0 {
            // A process that goes on records first; one that ends is started again.
            self.alone();
        } else {
            self.restart();
        }
    }

    fn restart(&mut self) {
        let accept = self.home.says.as_ref().is_some_and(|says| says.role == super::Role::Lone);
        let zone = if self.draw(4) == 0 { Zone::default() } else { self.zone.clone() };
        let Some((verdict, log)) = start(&self.home, &zone, accept) else {
            // A lone one of two: its zone comes back.
            self.attached = false;
            let Some((Verdict::Attach(_), log)) = start(&self.home, &self.zone, false) else {
                panic!("{:?} with {:?}", self.home, self.zone.says)
            };
            return self.take_up(log);
        };
        self.attached = false;
        match verdict {
            Verdict::Attach(_) => self.take_up(log),
            Verdict::Accept => self.alone(),
            Verdict::Go if self.home.says.as_ref().is_some_and(|says| says.next.is_some()) => self.alone(),
            Verdict::Go | Verdict::ReadOnly(_) => {}
        }
    }

    fn take_up(&mut self, log: Vec<u32>) {
        self.home.log.clone_from(&log);
        self.step();
        let theirs = self.zone.says.clone().unwrap();
        self.zone.copies.insert(theirs.copy, log);
        self.step();
        let intended = self.home.says.as_ref().unwrap().take_up(&theirs, &self.entropy);
        self.home.says = Some(intended);
        self.step();
        let cut = self.draw(6).min(2);
        self.give(theirs.copy, cut);
        if cut < 2 {
            self.restart();
        }
    }

    /// The directory is lost, and made anew from the zone. What was only there is lost with it.
    fn lose_home(&mut self) {
        let (Some(theirs), Some(log)) = (&self.zone.says, self.zone.counts()) else { return };
        self.home = Home { says: Some(theirs.lone(log.len() as u64, &self.entropy)), log: log.clone() };
        self.in_home.clear();
        self.attached = false;
        // What only the lost one held may be gone, and no other directory may come and go on without what this one takes.
        let held: BTreeSet<u32> = self.home.log.iter().copied().collect();
        self.in_both.retain(|one| held.contains(one));
        self.step();
        self.restart();
    }

    fn live(&mut self, steps: u32) {
        for _ in 0..steps {
            match self.draw(12) {
                0..=3 => self.commit(),
                4 | 5 if !self.attached => self.join(),
                6 if self.attached => self.alone(),
                7 | 8 => self.restart(),
                9 => self.lose_home(),
                _ => {}
            }
            if self.home.says.as_ref().is_some_and(|says| says.role == super::Role::Lone)
                || self.is_parted_by_a_cut()
            {
                self.restart();
            }
        }
    }

    /// It may not commit as it is: a process would have gone on with both or recorded that it is alone.
    fn is_parted_by_a_cut(&self) -> bool {
        let says = self.home.says.as_ref();
        !self.attached && says.is_some_and(|says| says.role == super::Role::Both || says.next.is_some())
    }
}

#[test]
fn no_pair_of_images_starts_unasked_without_what_was_promised() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (seed, rounds) = (number("FIRN_SEED").unwrap_or(1), number("FIRN_ROUNDS").unwrap_or(150));
    for round in 0..rounds {
        let seed = seed.wrapping_add(round);
        let told = std::panic::catch_unwind(|| Story::new(seed).live(30));
        assert!(told.is_ok(), "FIRN_SEED={seed}");
    }
}
