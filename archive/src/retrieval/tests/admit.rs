//! Tiers and their windows, policies, capacity, prices.

use super::super::{
    Admission, BadPolicy, Capacity, Costs, Depth, Ledger, MediumKind, MicroDollars, Price, Prices, Refused,
    RetrievalPolicy, Tier, Timetable, UNIT_WINDOW, UnitId, Usage,
};
use super::{HOUR, T0, after};
use engine::clock::Timestamp;
use engine::unit::ByteCount;
use security::AccountId;
use std::time::Duration;

const MIB: ByteCount = ByteCount::mib(1);

#[test]
fn windows_are_awss_by_the_clock_or_by_a_shorter_day() {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let kept = Timetable { kept: true, ..Timetable::default() };
    for (depth, tier, earliest, latest) in [
        (Depth::Flexible, Tier::Expedited, 1, 5),
        (Depth::Flexible, Tier::Standard, 180, 300),
        (Depth::Flexible, Tier::Bulk, 300, 720),
        (Depth::Deep, Tier::Standard, 720, 720),
        (Depth::Deep, Tier::Bulk, 2880, 2880),
    ] {
        assert_eq!(kept.deadline(depth, tier, T0), Ok(T0.plus(minutes(latest))), "{depth:?} {tier}");
        assert_eq!(kept.not_before(depth, tier, T0), Ok(T0.plus(minutes(earliest))));
        assert_eq!(Timetable::default().not_before(depth, tier, T0), Ok(T0), "not kept: at once");
        // A day of 1,440 seconds: a minute is a second.
        let short = Timetable { kept: true, day: Duration::from_mins(24) };
        assert_eq!(short.deadline(depth, tier, T0), Ok(T0.plus(Duration::from_secs(latest))));
        assert_eq!(short.not_before(depth, tier, T0), Ok(T0.plus(Duration::from_secs(earliest))));
    }
    assert!(matches!(kept.deadline(Depth::Deep, Tier::Expedited, T0), Err(Refused::Invalid(_))));
    assert!(matches!(kept.not_before(Depth::Deep, Tier::Expedited, T0), Err(Refused::Invalid(_))));
    assert_eq!("Bulk".parse(), Ok(Tier::Bulk));
    assert!(matches!("bulk".parse::<Tier>(), Err(Refused::Invalid(_))));
}

#[test]
fn a_policy_has_one_rule_and_its_number_only_where_it_belongs() {
    let free = ByteCount::gib(1);
    for (rules, expected) in [
        (&[("None", None)][..], Ok(RetrievalPolicy::Unlimited)),
        (&[("FreeTier", None)], Ok(RetrievalPolicy::FreeTier { per_day: free })),
        (&[("BytesPerHour", Some(5))], Ok(RetrievalPolicy::BytesPerHour(ByteCount::new(5)))),
        (&[("BytesPerHour", None)], Err(BadPolicy::NoBytes)),
        (&[("BytesPerHour", Some(0))], Err(BadPolicy::NoBytes)),
        (&[("BytesPerHour", Some(-5))], Err(BadPolicy::NoBytes)),
        (&[("None", Some(5))], Err(BadPolicy::SpareBytes)),
        (&[("FreeTier", Some(5))], Err(BadPolicy::SpareBytes)),
        (&[("Cheap", None)], Err(BadPolicy::Strategy("Cheap".into()))),
        (&[], Err(BadPolicy::Rules(0))),
        (&[("None", None), ("None", None)], Err(BadPolicy::Rules(2))),
    ] {
        assert_eq!(RetrievalPolicy::parse(rules, free), expected, "{rules:?}");
        if let Ok(policy) = expected {
            assert_eq!(policy.strategy(), rules[0].0);
        }
    }
}

#[test]
fn bytes_per_hour_bound_standard_retrievals_of_the_last_hour() {
    let policy = RetrievalPolicy::BytesPerHour(ByteCount::mib(10));
    let mut usage = Usage::default();
    let enforced = |left: ByteCount| Err(Refused::PolicyEnforced { left_bytes: left.get() });
    usage.admit(policy, Tier::Standard, ByteCount::mib(10), T0).unwrap();
    assert_eq!(usage.admit(policy, Tier::Standard, ByteCount::mib(11), T0), enforced(ByteCount::mib(10)));
    usage.note(Tier::Standard, ByteCount::mib(8), T0);
    assert_eq!(usage.admit(policy, Tier::Standard, ByteCount::mib(3), T0), enforced(ByteCount::mib(2)));
    usage.admit(policy, Tier::Standard, ByteCount::mib(2), T0).unwrap();
    for free in [Tier::Expedited, Tier::Bulk] {
        usage.admit(policy, free, ByteCount::gib(1), T0).unwrap();
        usage.note(free, ByteCount::gib(1), T0);
    }
    usage.admit(RetrievalPolicy::Unlimited, Tier::Standard, ByteCount::gib(9), T0).unwrap();
    // An hour later, to the minute, it is forgotten.
    let within = T0.plus(Duration::from_millis(3_599_999));
    assert_eq!(usage.admit(policy, Tier::Standard, ByteCount::mib(3), within), enforced(ByteCount::mib(2)));
    let over = T0.plus(HOUR + Duration::from_mins(1));
    usage.admit(policy, Tier::Standard, ByteCount::mib(10), over).unwrap();
    // As many as there are minutes, and no more: also of a clock that goes back.
    for second in 0..20_000_u64 {
        usage.note(Tier::Standard, MIB, T0.plus(Duration::from_secs(second)));
    }
    usage.note(Tier::Standard, ByteCount::mib(100), T0);
    let now = T0.plus(Duration::from_secs(20_000));
    assert_eq!(usage.admit(policy, Tier::Standard, MIB, now), enforced(ByteCount::ZERO));
}

#[test]
fn the_free_tier_is_the_days() {
    let policy = RetrievalPolicy::FreeTier { per_day: ByteCount::mib(10) };
    let midnight = Timestamp::from_millis(1_700_006_400_000);
    let mut usage = Usage::default();
    let evening = Timestamp::from_millis(midnight.as_millis() - 1);
    usage.note(Tier::Standard, ByteCount::mib(10), evening);
    assert_eq!(
        usage.admit(policy, Tier::Standard, MIB, evening),
        Err(Refused::PolicyEnforced { left_bytes: 0 })
    );
    usage.admit(policy, Tier::Standard, ByteCount::mib(10), midnight).unwrap();
    usage.note(Tier::Standard, ByteCount::mib(4), midnight);
    assert_eq!(
        usage.admit(policy, Tier::Standard, ByteCount::mib(7), midnight),
        Err(Refused::PolicyEnforced { left_bytes: 6 << 20 })
    );
}

#[test]
fn units_keep_their_share_and_the_rest_is_for_anybody() {
    let [mine, other]: [AccountId; 2] = ["123456789012", "210987654321"].map(|id| id.parse().unwrap());
    let id = |number| UnitId::from_bytes([number; 16]);
    // Eight expedited jobs in five minutes: room for two units, and two jobs for anybody.
    let mut capacity = Capacity::new(8, vec![]);
    let day = HOUR * 24;
    let buy = |capacity: &mut Capacity, number, account| {
        let unit = capacity.offer(id(number), account, (T0, day))?;
        capacity.add(unit.clone(), T0);
        Ok(unit)
    };
    let unit = buy(&mut capacity, 1, mine).unwrap();
    assert_eq!((unit.start, unit.account), (T0, mine));
    // 14 November to 14 December 2023.
    assert_eq!(unit.end, T0.plus(HOUR * 24 * 30));
    buy(&mut capacity, 2, other).unwrap();
    let third = buy(&mut capacity, 3, mine);
    assert_eq!(third, Err(Refused::LimitExceeded { what: "provisioned capacity units", limit: 2 }));

    let admitted: Vec<_> = (0..6).map(|_| capacity.admit(mine, T0)).collect();
    let (unit, open) = (Ok(Admission::Provisioned), Ok(Admission::OnDemand));
    let none = Err(Refused::InsufficientCapacity);
    assert_eq!(
        admitted,
        [unit.clone(), unit.clone(), unit.clone(), open.clone(), open.clone(), none.clone()]
    );
    // What the other has reserved is still there for it.
    let admitted: Vec<_> = (0..4).map(|_| capacity.admit(other, T0)).collect();
    assert_eq!(admitted, [unit.clone(), unit.clone(), unit.clone(), none.clone()]);
    capacity.give_back(other, Admission::Provisioned);
    assert_eq!(capacity.admit(other, T0), unit);
    let just_before = Timestamp::from_millis(T0.plus(UNIT_WINDOW).as_millis() - 1);
    assert_eq!(capacity.admit(mine, just_before), none);
    assert_eq!(capacity.admit(mine, T0.plus(UNIT_WINDOW)), unit);
    // A month later nothing is reserved, and all is for anybody.
    let later = T0.plus(HOUR * 24 * 30);
    assert_eq!(capacity.units(mine, later).count(), 0);
    let admitted: Vec<_> = (0..9).map(|_| capacity.admit(mine, later)).collect();
    assert!(admitted[..8].iter().all(|one| *one == open));
    assert_eq!(admitted[8], none);
    capacity.set_per_window(9);
    assert_eq!(capacity.admit(mine, later), open);
    let mut alone = Capacity::new(100, vec![]);
    buy(&mut alone, 1, mine).unwrap();
    buy(&mut alone, 2, mine).unwrap();
    buy(&mut alone, 3, mine).unwrap_err();
}

#[test]
fn a_unit_ends_by_the_calendar_and_by_the_days_that_there_are() {
    let account: AccountId = "123456789012".parse().unwrap();
    let at = |text: &str| {
        let at: jiff::Timestamp = text.parse().unwrap();
        Timestamp::from_millis(at.as_millisecond())
    };
    let end = |start, day| {
        let offered = Capacity::new(9, vec![]).offer(UnitId::from_bytes([1; 16]), account, (at(start), day));
        offered.unwrap().end
    };
    let day = HOUR * 24;
    for (start, wanted) in [
        ("2026-11-30T10:00:00.5Z", "2026-12-30T10:00:00.5Z"),
        ("2026-08-31T23:59:59Z", "2026-09-30T23:59:59Z"),
        ("2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z"),
        ("2028-01-31T00:00:00Z", "2028-02-29T00:00:00Z"),
    ] {
        assert_eq!(end(start, day), at(wanted), "{start}");
    }
    // A day of ten seconds: the 31 days from January on.
    assert_eq!(end("2026-01-15T00:00:00Z", Duration::from_secs(10)), at("2026-01-15T00:05:10Z"));
}

#[test]
fn costs_are_rounded_up_once_and_summed_by_tier() {
    let price = |requests, gib| Price {
        per_1000_requests: MicroDollars::new(requests),
        per_gib: MicroDollars::new(gib),
    };
    let prices = Prices {
        expedited: price(10_000_000, 30_000),
        standard: price(50_000, 10_000),
        bulk: price(25_000, 2_500),
        provisioned_unit: MicroDollars::new(100_000_000),
    };
    let cost = |tier, requests, bytes| prices.cost(tier, requests, ByteCount::new(bytes)).get();
    assert_eq!(cost(Tier::Expedited, 1, 1 << 30), 40_000);
    assert_eq!(cost(Tier::Standard, 1000, 1 << 40), 50_000 + 10_240_000);
    assert_eq!(cost(Tier::Bulk, 1, 0), 25);
    assert_eq!(cost(Tier::Bulk, 1, 1), 26, "rounded up");
    assert_eq!(cost(Tier::Bulk, 0, 0), 0);
    assert_eq!(cost(Tier::Standard, u64::MAX, u64::MAX), u64::MAX, "and never wraps");
    let mut ledger = Ledger::default();
    for _ in 0..3 {
        assert_eq!(ledger.charge(&prices, Tier::Standard, ByteCount::gib(1)).get(), 10_050);
    }
    ledger.charge(&prices, Tier::Bulk, ByteCount::ZERO);
    let standard = ledger.of(Tier::Standard);
    assert_eq!((standard.jobs, standard.bytes, standard.cost.get()), (3, ByteCount::gib(3), 30_150));
    assert_eq!(ledger.total().to_string(), "$0.030175");
}

#[test]
fn every_kind_of_medium_has_costs() {
    for kind in
        [MediumKind::Disk, MediumKind::SpunDown, MediumKind::Shelf, MediumKind::Remote, MediumKind::Tape]
    {
        let costs = Costs::usual(kind);
        let capacity = ByteCount::gib(1);
        assert_eq!(costs.seek(5, 5, capacity), Duration::ZERO);
        assert_eq!(costs.seek(0, 1 << 30, capacity), costs.seek_base + costs.seek_full);
        assert_eq!(costs.seek(1 << 30, 1 << 29, capacity), costs.seek_base + costs.seek_full / 2);
        assert_eq!(costs.read(costs.read_per_second.get() * 3), Duration::from_secs(3));
    }
    assert_eq!(after(1), T0.plus(HOUR));
}
