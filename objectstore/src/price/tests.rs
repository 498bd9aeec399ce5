//! Amounts as they are computed by hand from AWS's list, and that parts add up to the whole.

use super::{DeedCost, Money, Prices, Rate};
use crate::{RestoreTier, StorageClass as Class};
use proptest::prelude::*;

const KIB: u64 = 1 << 10;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

fn prices() -> Prices {
    Prices::default()
}

#[test]
fn a_terabyte_costs_a_month_what_awss_list_says() {
    // 1,024 GB at the price of a GB-month; archived objects have 32 KiB of their class and 8 KiB of STANDARD beside them.
    for (class, shown, short) in [
        (Class::Standard, "23.552", "23.55"),
        (Class::ReducedRedundancy, "24.576", "24.58"),
        (Class::StandardIa, "12.80", "12.80"),
        (Class::OneZoneIa, "10.24", "10.24"),
        // One object is watched: 0.0025 / 1000.
        (Class::IntelligentTiering, "23.5520025", "23.55"),
        (Class::GlacierIr, "4.096", "4.10"),
        // 3.6864 + 32/2^20 × 0.0036 + 8/2^20 × 0.023 = 3.6864 + 0.000000109863 + 0.000000175476
        (Class::Glacier, "3.686400285", "3.69"),
        // 1.01376 + 32/2^20 × 0.00099 + 8/2^20 × 0.023
        (Class::DeepArchive, "1.013760206", "1.01"),
    ] {
        let month = prices().month(class, TIB);
        assert_eq!((month.to_string().as_str(), month.short().as_str()), (shown, short), "{class}");
    }
}

#[test]
fn ten_thousand_small_objects_cost_more_archived_than_their_bytes_say() {
    // 10,000 objects of 100 KiB are 976,562.5 KiB × 1.024 = 0.95367431640625 GB.
    let months = |class| (0..10_000).map(|_| prices().month(class, 100 * KIB)).sum::<Money>();
    assert_eq!(months(Class::Standard).to_string(), "0.021934509");
    // Each is billed as 128 KiB: 1.220703125 GB × 0.0125, and × 0.004.
    assert_eq!(months(Class::StandardIa).to_string(), "0.015258789");
    assert_eq!(months(Class::GlacierIr).to_string(), "0.004882813");
    // 132 KiB each × 0.0036 = 0.0045318603515625, and 8 KiB each × 0.023 = 0.0017547607421875.
    assert_eq!(months(Class::Glacier).to_string(), "0.006286621");
    let billed = prices().billed(Class::Glacier, 100 * KIB);
    assert_eq!((billed.bytes, billed.standard_bytes), (132 * KIB, 8 * KIB));
    // Moving them costs 10 × 0.03, and that takes more than a year and a half to come back.
    let moved: Vec<_> =
        (0..10_000).map(|_| prices().moved(Class::Standard, Class::Glacier, 100 * KIB, 0)).collect();
    assert_eq!(moved.iter().map(DeedCost::once).sum::<Money>().to_string(), "0.30");
    let saved = moved.iter().map(DeedCost::monthly_saving).sum::<Money>();
    assert_eq!(saved.to_string(), "0.015647888");
    // Below 128 KiB nothing is watched.
    assert_eq!(prices().month(Class::IntelligentTiering, KIB), prices().month(Class::Standard, KIB));
}

#[test]
fn what_leaves_its_class_early_pays_for_the_days_that_are_left() {
    // 1 GB of GLACIER after 40 of 90 days: 50/30 of a month × (1 GB + 32 KiB) × 0.0036 = 0.006 + 0.0000001831.
    let early = |class, days| prices().early_deletion(class, GIB, days).to_string();
    assert_eq!(early(Class::Glacier, 40), "0.006000183");
    assert_eq!((early(Class::Glacier, 90), early(Class::Glacier, 400)), ("0.00".into(), "0.00".into()));
    // 30 days of STANDARD_IA are a month; of DEEP_ARCHIVE 180 are six.
    assert_eq!(early(Class::StandardIa, 0), "0.0125");
    assert_eq!(early(Class::DeepArchive, 0), "0.005940181");
    assert_eq!(early(Class::Standard, 0), "0.00");
    // 10 KiB of STANDARD_IA are billed as 128 KiB to the end: 20/30 × 128 KiB × 0.0125 = 0.00000101725.
    assert_eq!(prices().early_deletion(Class::StandardIa, 10 * KIB, 10).to_string(), "0.000001017");
    let deed = prices().removed(Class::Glacier, GIB, 40);
    assert_eq!(deed.once().to_string(), "0.006000183");
    assert_eq!((deed.monthly_saving(), deed.monthly_after), (deed.monthly_before, Money::ZERO));
    let hidden = prices().hidden(Class::Glacier, GIB);
    assert_eq!((hidden.once(), hidden.monthly_saving()), (Money::ZERO, Money::ZERO));
}

#[test]
fn having_it_back_costs_by_tier() {
    use RestoreTier::{Bulk, Expedited, Standard};
    // AWS's own example: 15,000,000 objects, 102,400 GB.
    let back = |class, tier| {
        prices().retrieval(class, tier, 102_400 * GIB, 15_000_000).map(|money| money.to_string())
    };
    // 750 + 1,024; 150,000 + 3,072.
    assert_eq!(back(Class::Glacier, Standard).as_deref(), Some("1774.00"));
    assert_eq!(back(Class::Glacier, Expedited).as_deref(), Some("153072.00"));
    assert_eq!(back(Class::Glacier, Bulk).as_deref(), Some("0.00"));
    // 1,500 + 2,048; 375 + 256.
    assert_eq!(back(Class::DeepArchive, Standard).as_deref(), Some("3548.00"));
    assert_eq!(back(Class::DeepArchive, Bulk).as_deref(), Some("631.00"));
    assert_eq!(back(Class::DeepArchive, Expedited), None);
    // What is read at once: GETs, and a price for a GB in some classes.
    for tier in RestoreTier::ALL {
        assert_eq!(back(Class::Standard, tier).as_deref(), Some("6.00"));
        assert_eq!(back(Class::StandardIa, tier).as_deref(), Some("1039.00"));
        assert_eq!(back(Class::GlacierIr, tier).as_deref(), Some("3222.00"));
    }
    assert_eq!(prices().puts(Class::DeepArchive, 1_000_000).to_string(), "50.00");
    assert_eq!(prices().gets(Class::Standard, 1).to_string(), "0.0000004");
    assert_eq!(prices().transitions(Class::Standard, 9), Money::ZERO);
}

#[test]
fn rates_are_decimal_numbers_and_nothing_else() {
    for (text, shown) in [
        ("0.0125", "0.0125"),
        ("0", "0.00"),
        ("1", "1.00"),
        ("10000", "10000.00"),
        ("0.000000001", "0.000000001"),
        ("007.50", "7.50"),
    ] {
        assert_eq!(text.parse::<Rate>().unwrap().to_string(), shown);
    }
    for bad in [
        "",
        ".",
        "1.",
        ".5",
        "-1",
        "+1",
        "1e3",
        "0.0000000001",
        "10000.000000001",
        "1,5",
        " 1",
        "1 ",
        "NaN",
        "inf",
        "٣",
    ] {
        bad.parse::<Rate>().unwrap_err();
    }
    "99999999999999999999999".parse::<Rate>().unwrap_err();
}

#[test]
fn people_see_few_digits_and_never_nothing_for_something() {
    let mut prices = prices();
    let mut month = |rate: &str| {
        prices.of_mut(Class::Standard).gb_month = rate.parse().unwrap();
        prices.month(Class::Standard, GIB)
    };
    for (rate, short) in [
        ("0", "0.00"),
        ("0.000000001", "0.000000001"),
        ("0.000049999", "0.000049999"),
        ("0.00005", "0.0001"),
        ("0.0125", "0.0125"),
        ("0.99995", "1.00"),
        ("1.005", "1.01"),
        ("1234.5", "1234.50"),
    ] {
        assert_eq!(month(rate).short(), short);
        let below = if rate == "0" { "0.00".to_owned() } else { format!("-{short}") };
        assert_eq!((-month(rate)).short(), below);
    }
    let amount = month("3.25") - month("4.5");
    assert_eq!((amount.to_string().as_str(), Money::from_exact(&amount.exact())), ("-1.25", Some(amount)));
    assert_eq!((Money::from_exact("1.5"), Money::from_exact("")), (None, None));
    assert_eq!(serde_json::to_value(amount).unwrap(), "-1.25");
    // A third of a billionth is nothing, and so is less than that below zero.
    let grain = Money::from_exact("-1").unwrap();
    assert_eq!((grain.to_string().as_str(), grain.short().as_str()), ("0.00", "0.00"));
}

#[test]
fn exabytes_for_a_hundred_years_at_the_highest_rate_fit() {
    let mut prices = prices();
    let price = prices.of_mut(Class::Glacier);
    (price.gb_month, price.minimum_days) = ("10000".parse().unwrap(), 36_500);
    // 2^30 GB and 32 KiB × 10,000 × 36,500 / 30, in one object.
    let early = prices.early_deletion(Class::Glacier, 1 << 60, 0);
    assert_eq!(early.to_string(), "13063858858667037.963867188");
    let all = [early; 4].into_iter().sum::<Money>();
    assert_eq!(all, Money::from_exact(&all.exact()).unwrap());
    assert!(Money::from_exact(&i128::MAX.to_string()).unwrap() > all);
    // What is more than can be is the most, and no panic.
    let most = Money::from_exact(&i128::MAX.to_string()).unwrap();
    assert_eq!(most + most, most);
    assert!(prices.early_deletion(Class::Glacier, u64::MAX, 0) <= most);
    assert!(
        !(-(-most)).short().is_empty()
            && !Money::from_exact(&i128::MIN.to_string()).unwrap().short().is_empty()
    );
}

fn a_class() -> impl Strategy<Value = Class> {
    prop::sample::select(Class::ALL.to_vec())
}

fn a_price() -> impl Strategy<Value = Prices> {
    let rate = || (0..=9_999_u64, 0..1_000_000_000_u64).prop_map(|(one, part)| format!("{one}.{part:09}"));
    (a_class(), rate(), rate(), 0..3_650_u32, 0..(1_u64 << 20)).prop_map(
        |(class, month, once, days, least)| {
            let mut prices = Prices::default();
            let price = prices.of_mut(class);
            (price.gb_month, price.transitions) = (month.parse().unwrap(), once.parse().unwrap());
            (price.minimum_days, price.minimum_bytes) = (days, least);
            prices
        },
    )
}

proptest! {
    #[test]
    fn parts_add_up_to_the_whole(
        prices in a_price(),
        class in a_class(),
        tier in prop::sample::select(RestoreTier::ALL.to_vec()),
        // Petabytes.
        parts in prop::collection::vec((0..(1_u64 << 52), 0..1_000_000_u64), 1..40),
    ) {
        let (bytes, requests) = parts.iter().fold((0, 0), |all, part| (all.0 + part.0, all.1 + part.1));
        let each = |of: &dyn Fn(u64, u64) -> Money| parts.iter().map(|(bytes, n)| of(*bytes, *n)).sum::<Money>();
        prop_assert_eq!(each(&|bytes, _| prices.bytes_month(class, bytes)), prices.bytes_month(class, bytes));
        prop_assert_eq!(each(&|_, n| prices.transitions(class, n)), prices.transitions(class, requests));
        let back = |bytes, n| prices.retrieval(class, tier, bytes, n).unwrap_or_default();
        prop_assert_eq!(each(&back), back(bytes, requests));
        // By what is billed, objects add up, too.
        let billed = parts.iter().map(|(bytes, _)| prices.billed(class, *bytes));
        let (of_class, of_standard) =
            billed.fold((0, 0), |all, one| (all.0 + one.bytes, all.1 + one.standard_bytes));
        let watched = parts.iter().filter(|(bytes, _)| *bytes >= 128 << 10).count() as u64;
        prop_assert_eq!(
            each(&|bytes, _| prices.month(class, bytes)),
            prices.bytes_month(class, of_class)
                + prices.bytes_month(Class::Standard, of_standard)
                + Money::thousandths(prices.of(class).watched, watched)
        );
    }

    #[test]
    fn a_day_more_never_costs_more_and_a_way_in_two_steps_saves_what_it_saves_in_one(
        prices in a_price(),
        (from, over, to) in (a_class(), a_class(), a_class()),
        bytes in 0..(1_u64 << 56),
        days in 0..4_000_u32,
    ) {
        let early = |days| prices.early_deletion(from, bytes, days);
        prop_assert!(early(days) >= early(days + 1));
        prop_assert!(early(days) >= Money::ZERO);
        // The days that were kept and those that are paid for are the least time, to the last grain.
        let least = prices.of(from).minimum_days;
        let kept = days.min(least);
        prop_assert_eq!(early(kept) + (early(0) - early(kept)), early(0));
        prop_assert_eq!(early(least), Money::ZERO);
        let saving = |from, to| prices.moved(from, to, bytes, 0).monthly_saving();
        prop_assert_eq!(saving(from, over) + saving(over, to), saving(from, to));
        // And shown and read back it is what it was.
        let amount = saving(from, to);
        prop_assert_eq!(Money::from_exact(&amount.exact()), Some(amount));
    }
}
