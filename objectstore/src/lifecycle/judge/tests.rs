//! What rules say, as a table; and what they come to over a key's versions.

use super::{Above, Due, Facts, KeyRules, LifecycleAct, LifecycleHold, LifecycleWhyNot, Place, judge};
use crate::lifecycle::calendar::Calendar;
use crate::lifecycle::simulate::{Step, simulate};
use crate::{
    DAY, Lifecycle, LifecycleExpiration, LifecycleFilter, LifecycleRule, NoncurrentExpiration, StorageClass,
    Tags, Transition, TransitionWhen, Versioning,
};
use engine::clock::Timestamp;
use std::collections::VecDeque;

/// So many days after the epoch, and hours.
fn at(day: i64, hours: i64) -> Timestamp {
    Timestamp::from_millis((day * 24 + hours) * 3_600_000)
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    Tags::of_object(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))).unwrap()
}

fn object(day: i64, size: u64) -> Facts {
    Facts { modified: at(day, 12), size: Some(size), ..Facts::default() }
}

fn marker(day: i64) -> Facts {
    Facts { modified: at(day, 12), ..Facts::default() }
}

fn rule() -> LifecycleRule {
    LifecycleRule { enabled: true, ..LifecycleRule::default() }
}

fn days(days: u32) -> LifecycleRule {
    LifecycleRule { expiration: Some(LifecycleExpiration::Days(days)), ..rule() }
}

fn noncurrent(days: u32, newer: Option<u32>) -> LifecycleRule {
    LifecycleRule { noncurrent: Some(NoncurrentExpiration { days, newer }), ..rule() }
}

fn markers() -> LifecycleRule {
    LifecycleRule { expiration: Some(LifecycleExpiration::Marker(true)), ..rule() }
}

fn filtered(rule: LifecycleRule, filter: LifecycleFilter) -> LifecycleRule {
    LifecycleRule { filter, ..rule }
}

/// How a version stands.
#[derive(Clone, Copy, Debug)]
enum Stands {
    Current,
    /// With nothing below.
    Alone,
    /// Noncurrent since noon of a day, below those that are noncurrent since noon of these.
    Below(i64, &'static [i64]),
}

#[test]
fn each_rule_says_when_it_acts_or_why_not() {
    use LifecycleAct::{Expire, RemoveMarker, RemoveNoncurrent};
    use LifecycleWhyNot::{Disabled, HidesVersions, Kept, NoAction, OnHold, OtherSize, OtherTags};
    use Stands::{Alone, Below, Current};
    let date = LifecycleRule { expiration: Some(LifecycleExpiration::Date(at(20, 0))), ..rule() };
    let tagged = |pairs| LifecycleFilter { tags: tags(pairs), ..LifecycleFilter::default() };
    let sized = |larger, smaller| LifecycleFilter { larger, smaller, ..LifecycleFilter::default() };
    let with = |pairs: &[(&str, &str)]| Facts { tags: tags(pairs), ..object(1, 5) };
    let held = |hold| Facts { hold, ..object(1, 5) };
    for (rule, version, stands, expected) in [
        (days(3), object(1, 5), Current, Ok((5, Expire))),
        (days(3), object(1, 5), Alone, Ok((5, Expire))),
        (LifecycleRule { enabled: false, ..days(3) }, object(1, 5), Current, Err(Disabled)),
        (days(3), object(1, 5), Below(2, &[]), Err(NoAction)),
        (noncurrent(3, None), object(1, 5), Current, Err(NoAction)),
        // A date: for what was there before it, and each day for what comes later.
        (date.clone(), object(1, 5), Current, Ok((20, Expire))),
        (date.clone(), object(30, 5), Current, Ok((31, Expire))),
        // Delete markers.
        (days(3), marker(1), Alone, Ok((5, RemoveMarker))),
        (days(3), marker(1), Current, Err(HidesVersions)),
        (markers(), marker(1), Alone, Ok((2, RemoveMarker))),
        (markers(), marker(1), Current, Err(HidesVersions)),
        (markers(), object(1, 5), Current, Err(NoAction)),
        (date, marker(1), Alone, Ok((20, RemoveMarker))),
        // Noncurrent versions: days since a newer one came, not since they were made.
        (noncurrent(3, None), object(1, 5), Below(10, &[]), Ok((14, RemoveNoncurrent))),
        (noncurrent(3, None), marker(1), Below(10, &[]), Ok((14, RemoveNoncurrent))),
        (noncurrent(3, Some(2)), object(1, 5), Below(10, &[]), Err(Kept)),
        (noncurrent(3, Some(2)), object(1, 5), Below(10, &[12]), Err(Kept)),
        (noncurrent(3, Some(2)), object(1, 5), Below(10, &[12, 11]), Ok((14, RemoveNoncurrent))),
        // The one that pushed it out came late.
        (noncurrent(3, Some(2)), object(1, 5), Below(10, &[50, 11]), Ok((14, RemoveNoncurrent))),
        (noncurrent(3, Some(2)), object(1, 5), Below(10, &[60, 50, 40]), Ok((51, RemoveNoncurrent))),
        // Tags: all of them; sizes: beyond both bounds.
        (filtered(days(3), tagged(&[("a", "1")])), with(&[("a", "1"), ("b", "2")]), Current, Ok((5, Expire))),
        (filtered(days(3), tagged(&[("a", "1"), ("b", "2")])), with(&[("a", "1")]), Current, Err(OtherTags)),
        (filtered(days(3), tagged(&[("a", "1")])), with(&[("a", "2")]), Current, Err(OtherTags)),
        (filtered(days(3), tagged(&[("a", "1")])), marker(1), Alone, Err(OtherTags)),
        (filtered(days(3), sized(Some(4), Some(6))), object(1, 5), Current, Ok((5, Expire))),
        (filtered(days(3), sized(Some(5), None)), object(1, 5), Current, Err(OtherSize)),
        (filtered(days(3), sized(None, Some(5))), object(1, 5), Current, Err(OtherSize)),
        (filtered(days(3), sized(Some(4), None)), marker(1), Alone, Err(OtherSize)),
        // Locks keep versions from being removed, not from being hidden.
        (days(3), held(LifecycleHold::Hold), Current, Ok((5, Expire))),
        (noncurrent(3, None), held(LifecycleHold::Hold), Below(10, &[]), Err(OnHold)),
        (
            noncurrent(3, None),
            held(LifecycleHold::Until(at(30, 7))),
            Below(10, &[]),
            Ok((31, RemoveNoncurrent)),
        ),
        (
            noncurrent(3, None),
            held(LifecycleHold::Until(at(11, 7))),
            Below(10, &[]),
            Ok((14, RemoveNoncurrent)),
        ),
    ] {
        let (since, newer, alone) = match stands {
            Current => (None, VecDeque::new(), false),
            Alone => (None, VecDeque::new(), true),
            Below(since, newer) => {
                (Some(at(since, 12)), newer.iter().map(|day| at(*day, 12)).collect(), false)
            }
        };
        let place = Place { since, newer: &newer, alone };
        let says = judge(&rule, Calendar::new(DAY), &version, &place);
        let expected = expected.map(|(day, act)| (at(day, 0), act));
        assert_eq!(says, expected, "{rule:?} {version:?} {stands:?}");
    }
}

fn steps(
    rules: Vec<LifecycleRule>,
    versioning: Versioning,
    mut versions: Vec<Facts>,
) -> Vec<(i64, LifecycleAct, usize, u64, bool)> {
    let named = rules.into_iter().zip(0..).map(|(rule, id)| LifecycleRule { id: id.to_string(), ..rule });
    let lifecycle = Lifecycle::new(named.collect()).unwrap();
    let rules = KeyRules::of(&lifecycle, (Calendar::new(DAY), versioning), "k");
    let mut told = Vec::new();
    simulate(&rules, versioning, &mut versions, (at(20, 0), at(1_000, 0)), |step: Step| {
        told.push((step.at.as_millis() / 86_400_000, step.act, step.rule, step.bytes, step.frees));
    });
    told
}

#[test]
fn what_rules_come_to_over_a_keys_life_is_told_in_order() {
    use LifecycleAct::{Expire, RemoveMarker, RemoveNoncurrent};
    // Where versions are not kept it goes, and what is overdue goes at once.
    assert_eq!(steps(vec![days(3)], Versioning::Off, vec![object(1, 7)]), [(20, Expire, 0, 7, true)]);
    // A marker hides it, it is removed, and then the marker, the same night.
    assert_eq!(
        steps(vec![days(3), noncurrent(5, None), markers()], Versioning::Enabled, vec![object(30, 7)]),
        [(34, Expire, 0, 7, false), (40, RemoveNoncurrent, 1, 7, true), (40, RemoveMarker, 2, 0, true)]
    );
    // Without a rule of its own for markers the days of expiration count for them.
    assert_eq!(
        steps(vec![days(30), noncurrent(5, None)], Versioning::Enabled, vec![object(30, 7)]),
        [(61, Expire, 0, 7, false), (67, RemoveNoncurrent, 1, 7, true), (92, RemoveMarker, 0, 0, true)]
    );
    // The marker of suspended versions takes the place of the null version.
    let null = Facts { null: true, ..object(30, 7) };
    assert_eq!(
        steps(vec![days(3), markers()], Versioning::Suspended, vec![null, object(29, 9)]),
        [(34, Expire, 0, 7, true)]
    );
    // Two are kept, and the others are removed together; the marker pushes one more out.
    let versions = (0..5).map(|age| object(60 - age, 1)).collect();
    assert_eq!(
        steps(vec![days(10), noncurrent(1, Some(2))], Versioning::Enabled, versions),
        [
            (60, RemoveNoncurrent, 1, 1, true),
            (61, RemoveNoncurrent, 1, 1, true),
            (71, Expire, 0, 1, false),
            (72, RemoveNoncurrent, 1, 1, true),
        ]
    );
    // Of several rules the earliest acts, of those of one moment the first.
    assert_eq!(
        steps(vec![days(9), days(3), days(3)], Versioning::Off, vec![object(30, 7)]),
        [(34, Expire, 1, 7, true)]
    );
}

#[test]
fn what_is_gone_at_a_moment_is_not_moved_before_and_what_is_only_hidden_is() {
    use LifecycleAct::{Expire, Transition as Moves};
    let to = StorageClass::Glacier;
    let moves = LifecycleRule {
        transitions: vec![Transition { when: TransitionWhen::Days(3), class: to }],
        filter: LifecycleFilter { larger: Some(1), ..LifecycleFilter::default() },
        ..rule()
    };
    let (plain, null) = (object(30, 7), Facts { null: true, ..object(30, 7) });
    let gone = vec![(34, Expire, 1, 7, true)];
    let hidden = vec![(34, Moves(to), 0, 7, false), (34, Expire, 1, 7, false)];
    for (versioning, version, expected) in [
        (Versioning::Off, &plain, &gone),
        (Versioning::Suspended, &null, &gone),
        (Versioning::Suspended, &plain, &hidden),
        (Versioning::Enabled, &null, &hidden),
    ] {
        let mut told = steps(vec![moves.clone(), days(3)], versioning, vec![version.clone()]);
        // What becomes of markers is another matter.
        told.retain(|(_, act, ..)| *act != LifecycleAct::RemoveMarker);
        assert_eq!(&told, expected, "{versioning:?}");
    }
}

#[test]
fn a_version_is_noncurrent_since_the_one_above_it_was_made_and_never_since_before_it_was() {
    let mut above = Above::default();
    let newest = object(9, 1);
    assert_eq!(above.place(&newest, true).since, None);
    above.pass(&newest);
    assert_eq!(above.place(&object(5, 1), true).since, Some(at(9, 12)));
    // A clock that was set back.
    assert_eq!(above.place(&object(11, 1), true).since, Some(at(11, 12)));
    for _ in 0..200 {
        above.pass(&object(5, 1));
    }
    assert_eq!(above.newer.len(), 100, "bounded");
}

#[test]
fn rules_of_other_keys_are_not_asked() {
    let of = |prefix: &str| LifecycleFilter { prefix: Some(prefix.to_owned()), ..LifecycleFilter::default() };
    let rules = vec![
        LifecycleRule { id: "a".to_owned(), ..filtered(days(1), of("b/")) },
        LifecycleRule { id: "b".to_owned(), ..filtered(days(2), of("a/")) },
    ];
    let lifecycle = Lifecycle::new(rules).unwrap();
    let terms = (Calendar::new(DAY), Versioning::Off);
    let expires = |key: &str| KeyRules::of(&lifecycle, terms, key).expires(&object(1, 1));
    let due = Due { at: at(4, 0), act: LifecycleAct::Expire, rule: 1 };
    assert_eq!((expires("a/k"), expires("c")), (Some(due), None));
}
