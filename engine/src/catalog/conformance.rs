//! The conformance suite: what every implementation of [`Catalog`] must do, run against each of them.
//!
//! It panics at the first broken promise, naming it; it uses no clock but the world's own.

use super::{Catalog, Check, Commit, Durability, Family, Limits, Scan, Snapshot, Table, Version, Write};
use crate::clock::ManualClock;
use crate::id::{IdempotencyId, PartitionId};
use crate::{Error, ErrorKind, Result};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// An empty catalog and the clock that it was given.
pub struct World {
    /// The implementation under test.
    pub catalog: Arc<dyn Catalog>,
    /// Its clock.
    pub clock: Arc<ManualClock>,
}

const RECORDS: Table = Table { family: Family::Record, tag: 1 };
const NEIGHBOUR: Table = Table { family: Family::Record, tag: 2 };
const LAST: Table = Table { family: Family::Index, tag: 255 };
const COUNTERS: Table = Table { family: Family::Counter, tag: 1 };
const HERE: PartitionId = PartitionId::from_bytes([7; 8]);
const THERE: PartitionId = PartitionId::from_bytes([8; 8]);
const EDGE: PartitionId = PartitionId::from_bytes([0xFF; 8]);

/// Runs the whole suite, each part against a fresh world.
pub async fn run(mut world: impl FnMut() -> World) {
    reads_what_was_written(&world()).await;
    snapshots_stand_still(&world()).await;
    partitions_and_tables_are_apart(&world()).await;
    scans_every_way(&world()).await;
    scans_are_bounded(&world()).await;
    unchanged_is_checked(&world()).await;
    absent_is_checked(&world()).await;
    failed_commits_change_nothing(&world()).await;
    adds_commute_and_count_as_changes(&world()).await;
    limits_of_counters_are_checked(&world()).await;
    limits_hold_among_racers(&world()).await;
    later_writes_of_a_commit_win(&world()).await;
    idempotent_retries_change_nothing(&world()).await;
    old_snapshots_never_pass_a_check_wrongly(&world()).await;
    limits_are_kept(&world()).await;
    versions_grow(&world()).await;
    one_of_many_racers_wins(&world()).await;
    dropped_futures_go_on(&world()).await;
}

fn put(table: Table, key: &'static str, value: &'static str) -> Write {
    Write::Put(table.key(key), Bytes::from_static(value.as_bytes()))
}

async fn snapshot(world: &World, partition: PartitionId) -> Arc<dyn Snapshot> {
    world.catalog.snapshot(partition).await.expect("a snapshot")
}

async fn write(world: &World, partition: PartitionId, writes: Vec<Write>) -> Version {
    let mut commit = Commit::new(partition, 0);
    commit.writes = writes;
    world.catalog.commit(commit).await.expect("a commit without checks passes")
}

async fn checked(
    world: &World,
    read_version: Version,
    checks: Vec<Check>,
    writes: Vec<Write>,
) -> Result<Version> {
    let commit = Commit { checks, writes, ..Commit::new(HERE, read_version) };
    world.catalog.commit(commit).await
}

async fn get(world: &World, partition: PartitionId, table: Table, key: &'static str) -> Option<Bytes> {
    snapshot(world, partition).await.get(table.key(key)).await.expect("a read")
}

#[expect(clippy::unnecessary_wraps, reason = "compared with what reads answer")]
fn text(value: &'static str) -> Option<Bytes> {
    Some(Bytes::from_static(value.as_bytes()))
}

fn refused(outcome: Result<Version>, check: usize, promise: &str) {
    match outcome {
        Err(Error::Conflict { check: found }) => assert_eq!(found, check, "{promise}"),
        other => panic!("{promise}: {other:?}"),
    }
}

async fn reads_what_was_written(world: &World) {
    assert_eq!(get(world, HERE, RECORDS, "a").await, None, "an empty catalog has no rows");
    let synced = write(world, HERE, vec![put(RECORDS, "a", "1"), put(RECORDS, "", "empty key")]).await;
    assert!(snapshot(world, HERE).await.read_version() >= synced, "a snapshot sees what was answered");
    assert_eq!(get(world, HERE, RECORDS, "a").await, text("1"));
    assert_eq!(get(world, HERE, RECORDS, "").await, text("empty key"));
    let mut relaxed = Commit::new(HERE, 0);
    relaxed.durability = Durability::Relaxed;
    relaxed.writes = vec![put(RECORDS, "b", ""), Write::Delete(RECORDS.key("a"))];
    world.catalog.commit(relaxed).await.expect("a relaxed commit");
    assert_eq!(get(world, HERE, RECORDS, "b").await, text(""), "an empty value is a value");
    assert_eq!(get(world, HERE, RECORDS, "a").await, None, "deleted");
    write(world, HERE, vec![Write::Delete(RECORDS.key("never there"))]).await;
    let many = snapshot(world, HERE).await;
    let keys = ["b", "a", "", "b"].map(|key| RECORDS.key(key)).to_vec();
    let found = many.multi_get(keys).await.expect("many reads");
    assert_eq!(found, [text(""), None, text("empty key"), text("")], "in the order asked for");
}

async fn snapshots_stand_still(world: &World) {
    write(world, HERE, vec![put(RECORDS, "a", "1"), put(RECORDS, "b", "1")]).await;
    let before = snapshot(world, HERE).await;
    write(world, HERE, vec![put(RECORDS, "a", "2"), Write::Delete(RECORDS.key("b"))]).await;
    write(world, HERE, vec![put(RECORDS, "c", "3"), Write::Add(COUNTERS.key("n"), 1)]).await;
    let read = |key: &'static str| before.get(RECORDS.key(key));
    assert_eq!(read("a").await.expect("a read"), text("1"));
    assert_eq!(read("b").await.expect("a read"), text("1"));
    assert_eq!(read("c").await.expect("a read"), None);
    assert_eq!(before.get(COUNTERS.key("n")).await.expect("a read"), None);
    let page = before.scan(Scan::prefix(RECORDS, b"", 10)).await.expect("a scan");
    assert_eq!(keys(&page.rows), ["a", "b"]);
}

fn keys(rows: &[(Bytes, Bytes)]) -> Vec<&str> {
    rows.iter().map(|(key, _)| std::str::from_utf8(key).expect("the suite's keys are text")).collect()
}

async fn partitions_and_tables_are_apart(world: &World) {
    write(world, HERE, vec![put(RECORDS, "a", "here"), put(NEIGHBOUR, "a", "beside")]).await;
    write(world, THERE, vec![put(RECORDS, "a", "there")]).await;
    write(world, EDGE, vec![put(LAST, "\u{7f}", "edge")]).await;
    assert_eq!(get(world, HERE, RECORDS, "a").await, text("here"));
    assert_eq!(get(world, HERE, NEIGHBOUR, "a").await, text("beside"));
    assert_eq!(get(world, THERE, RECORDS, "a").await, text("there"));
    assert_eq!(get(world, PartitionId::ROOT, RECORDS, "a").await, None);
    for (partition, table, count) in [(HERE, RECORDS, 1), (THERE, NEIGHBOUR, 0), (EDGE, LAST, 1)] {
        for reverse in [false, true] {
            let scan = Scan { reverse, ..Scan::prefix(table, b"", 10) };
            let page = snapshot(world, partition).await.scan(scan).await.expect("a scan");
            assert_eq!(page.rows.len(), count, "a scan stays in its table");
        }
    }
    let read = snapshot(world, HERE).await.read_version();
    write(world, THERE, vec![put(RECORDS, "a", "changed")]).await;
    checked(world, read, vec![Check::Unchanged(RECORDS.key("a"))], vec![])
        .await
        .expect("another partition's change is no conflict");
}

async fn scans_every_way(world: &World) {
    const ALL: [&str; 6] = ["", "a", "a/1", "a/2", "b", "c"];
    write(world, HERE, ALL.iter().map(|key| put(RECORDS, key, "v")).collect()).await;
    write(world, HERE, vec![put(RECORDS, "a/0", "gone")]).await;
    write(world, HERE, vec![Write::Delete(RECORDS.key("a/0"))]).await;
    let view = snapshot(world, HERE).await;
    let bounds = ["", "a", "a/0", "a/1", "aa", "b", "c", "d"];
    for start in bounds {
        for end in bounds {
            for reverse in [false, true] {
                for limit in [0, 1, 2, 5, 6, 7] {
                    let expected: Vec<&str> = ALL
                        .into_iter()
                        .filter(|key| *key >= start && (end.is_empty() || *key < end))
                        .collect();
                    let expected: Vec<&str> =
                        if reverse { expected.into_iter().rev().collect() } else { expected };
                    let scan = Scan {
                        table: RECORDS,
                        start: start.into(),
                        end: end.into(),
                        limit,
                        reverse,
                        keys_only: limit % 2 == 0,
                    };
                    let what = format!("{scan:?}");
                    let page = view.scan(scan).await.expect("a scan");
                    let taken = limit.min(expected.len());
                    assert_eq!(keys(&page.rows), expected[..taken], "{what}");
                    assert!(page.more || taken == expected.len() || limit == 0, "{what}");
                    assert!(!page.more || taken > 0, "never no rows and more: {what}");
                    let value = if limit % 2 == 0 { "" } else { "v" };
                    assert!(page.rows.iter().all(|row| row.1 == value), "{what}");
                }
            }
        }
    }
    let page = view.scan(Scan::prefix(RECORDS, b"a/", 10)).await.expect("a scan");
    assert_eq!(keys(&page.rows), ["a/1", "a/2"]);
    assert!(!page.more, "the end was reached");
}

async fn scans_are_bounded(world: &World) {
    let value = Bytes::from(vec![7; Limits::STANDARD.value_bytes]);
    for batch in 0..4u8 {
        let row = |n: u8| Write::Put(RECORDS.key(vec![batch, n]), value.clone());
        write(world, HERE, (0..60).map(row).collect()).await;
    }
    let view = snapshot(world, HERE).await;
    for reverse in [false, true] {
        let (mut found, mut pages) = (Vec::new(), 0);
        let mut next = Some(Scan { reverse, ..Scan::prefix(RECORDS, b"", 1000) });
        while let Some(scan) = next {
            let page = view.scan(scan.clone()).await.expect("a scan");
            let bytes: usize = page.rows.iter().map(|row| row.1.len()).sum();
            assert!(bytes <= 8 << 20, "a page of {bytes} bytes");
            pages += 1;
            next = scan.behind(&page);
            found.extend(page.rows.into_iter().map(|(key, _)| key));
        }
        if reverse {
            found.reverse();
        }
        assert_eq!(found.len(), 240);
        assert!(found.is_sorted_by(|a, b| a < b), "every row once, in order");
        assert!(pages > 1);
    }
}

async fn unchanged_is_checked(world: &World) {
    write(world, HERE, vec![put(RECORDS, "a", "1"), put(RECORDS, "b", "1")]).await;
    for change in [put(RECORDS, "a", "2"), put(RECORDS, "a", "2"), Write::Delete(RECORDS.key("a"))] {
        let read = snapshot(world, HERE).await.read_version();
        let unchanged = |key: &'static str| Check::Unchanged(RECORDS.key(key));
        checked(world, read, vec![unchanged("a"), unchanged("b"), unchanged("none")], vec![])
            .await
            .expect("nothing changed");
        write(world, HERE, vec![change]).await;
        refused(checked(world, read, vec![unchanged("b"), unchanged("a")], vec![]).await, 1, "a changed");
        checked(world, read, vec![unchanged("b")], vec![]).await.expect("b did not change");
        checked(world, read, vec![], vec![]).await.expect("no checks, no conflict");
    }
    let read = snapshot(world, HERE).await.read_version();
    let own = checked(world, read, vec![Check::Unchanged(RECORDS.key("b"))], vec![put(RECORDS, "b", "2")])
        .await
        .expect("nothing changed");
    refused(
        checked(world, read, vec![Check::Unchanged(RECORDS.key("b"))], vec![]).await,
        0,
        "one's own commit counts as a change",
    );
    checked(world, own, vec![Check::Unchanged(RECORDS.key("b"))], vec![])
        .await
        .expect("a commit's version serves as the next one's read version");
    let future = checked(world, Version::MAX, vec![Check::Unchanged(RECORDS.key("b"))], vec![]).await;
    assert_eq!(future.expect_err("a version from the future").kind(), ErrorKind::Invalid);
}

async fn absent_is_checked(world: &World) {
    let absent = || vec![Check::Absent(RECORDS.key("a"))];
    checked(world, 0, absent(), vec![put(RECORDS, "a", "1")]).await.expect("absent");
    refused(checked(world, 0, absent(), vec![put(RECORDS, "a", "2")]).await, 0, "it is there now");
    assert_eq!(get(world, HERE, RECORDS, "a").await, text("1"));
    write(world, HERE, vec![Write::Delete(RECORDS.key("a"))]).await;
    checked(world, 0, absent(), vec![put(RECORDS, "a", "3")])
        .await
        .expect("absent is about now, whatever the read version");
}

async fn failed_commits_change_nothing(world: &World) {
    write(world, HERE, vec![put(RECORDS, "a", "1")]).await;
    let writes =
        vec![put(RECORDS, "b", "1"), Write::Delete(RECORDS.key("a")), Write::Add(COUNTERS.key("n"), 1)];
    let checks = vec![Check::Absent(RECORDS.key("z")), Check::Absent(RECORDS.key("a"))];
    refused(checked(world, 0, checks, writes).await, 1, "a is there");
    assert_eq!(get(world, HERE, RECORDS, "a").await, text("1"));
    assert_eq!(get(world, HERE, RECORDS, "b").await, None);
    assert_eq!(get(world, HERE, COUNTERS, "n").await, None);
    let read = snapshot(world, HERE).await.read_version();
    checked(world, read, vec![Check::Unchanged(RECORDS.key("b"))], vec![])
        .await
        .expect("a failed commit's writes are no changes");
}

async fn adds_commute_and_count_as_changes(world: &World) {
    let add = |n| Write::Add(COUNTERS.key("n"), n);
    let read = snapshot(world, HERE).await.read_version();
    write(world, HERE, vec![add(5), add(-2)]).await;
    write(world, HERE, vec![add(i64::MAX)]).await;
    let sum = 3i64.wrapping_add(i64::MAX);
    assert_eq!(get(world, HERE, COUNTERS, "n").await, Some(Bytes::copy_from_slice(&sum.to_le_bytes())));
    refused(
        checked(world, read, vec![Check::Unchanged(COUNTERS.key("n"))], vec![]).await,
        0,
        "an Add is a change",
    );
    write(world, HERE, vec![Write::Delete(COUNTERS.key("n")), add(4)]).await;
    assert_eq!(get(world, HERE, COUNTERS, "n").await, Some(Bytes::copy_from_slice(&4i64.to_le_bytes())));
    write(world, HERE, vec![add(-4)]).await;
    let scan = Scan::prefix(COUNTERS, b"", 2);
    let page = snapshot(world, HERE).await.scan(scan).await.expect("a scan");
    assert_eq!(page.rows, [(Bytes::from_static(b"n"), Bytes::from_static(&[0; 8]))], "0 is a value");
    for wrong in [put(COUNTERS, "n", "12345678"), Write::Add(RECORDS.key("a"), 1)] {
        let outcome = checked(world, 0, vec![], vec![wrong]).await;
        assert_eq!(outcome.expect_err("does not fit the family").kind(), ErrorKind::Invalid);
    }
}

async fn limits_of_counters_are_checked(world: &World) {
    let add = |n| Write::Add(COUNTERS.key("n"), n);
    let at_most = |limit| vec![Check::AtMost(COUNTERS.key("n"), limit)];
    let over = |outcome: Result<Version>, check: usize, promise: &str| match outcome {
        Err(Error::OverLimit { check: found }) => assert_eq!(found, check, "{promise}"),
        other => panic!("{promise}: {other:?}"),
    };
    over(checked(world, 0, at_most(4), vec![add(5)]).await, 0, "an absent counter is 0");
    assert_eq!(get(world, HERE, COUNTERS, "n").await, None, "a refused commit changes nothing");
    checked(world, 0, at_most(5), vec![add(5)]).await.expect("up to the limit");
    over(checked(world, 0, at_most(5), vec![put(RECORDS, "a", "1"), add(1)]).await, 0, "one too many");
    assert_eq!(get(world, HERE, RECORDS, "a").await, None);
    checked(world, 0, at_most(5), vec![add(3), add(-4)]).await.expect("what a commit adds is summed up");
    over(checked(world, 0, at_most(3), vec![]).await, 0, "what stands there counts without an Add");
    write(world, HERE, vec![add(100)]).await;
    over(checked(world, 0, at_most(103), vec![]).await, 0, "Adds without a check count");
    over(
        checked(world, 0, at_most(4), vec![Write::Delete(COUNTERS.key("n")), add(5)]).await,
        0,
        "after a Delete",
    );
    checked(world, 0, at_most(5), vec![Write::Delete(COUNTERS.key("n")), add(5)])
        .await
        .expect("from 0 again");
    checked(world, 0, at_most(6), vec![add(1)]).await.expect("5 and 1");
    let mixed = vec![Check::Absent(RECORDS.key("a")), Check::AtMost(COUNTERS.key("n"), 0)];
    over(checked(world, 0, mixed, vec![]).await, 1, "the check that failed is named");
    let elsewhere = Commit { checks: at_most(0), ..Commit::new(THERE, 0) };
    world.catalog.commit(elsewhere).await.expect("a partition has counters of its own");
    let record = vec![Check::AtMost(RECORDS.key("a"), 1)];
    let outcome = checked(world, 0, record, vec![]).await;
    assert_eq!(outcome.expect_err("no counter").kind(), ErrorKind::Invalid);
}

async fn limits_hold_among_racers(world: &World) {
    let one = |n: u8| {
        let checks = vec![Check::AtMost(COUNTERS.key("room"), 100)];
        // Every third one makes room for itself first.
        let freed = if n.is_multiple_of(3) { -3 } else { 0 };
        let writes =
            vec![Write::Add(COUNTERS.key("room"), 7 + freed), Write::Add(COUNTERS.key("won"), 7 + freed)];
        world.catalog.commit(Commit { checks, writes, ..Commit::new(HERE, 0) })
    };
    let outcomes = futures_util::future::join_all((0..64).map(one)).await;
    let lost = |outcome: &Result<Version>| matches!(outcome, Err(Error::OverLimit { check: 0 }));
    assert!(outcomes.iter().all(|outcome| outcome.is_ok() || lost(outcome)), "{outcomes:?}");
    let room = get(world, HERE, COUNTERS, "room").await;
    let room = room.map_or(0, |bytes| i64::from_le_bytes(bytes[..].try_into().expect("8 bytes")));
    assert_eq!(room, won(world).await, "what passed is what counts");
    assert!((94..=100).contains(&room), "as much as fits, and no more: {room}");
}

async fn later_writes_of_a_commit_win(world: &World) {
    let delete = |key: &'static str| Write::Delete(RECORDS.key(key));
    let writes = vec![
        put(RECORDS, "a", "1"),
        put(RECORDS, "a", "2"),
        delete("a"),
        put(RECORDS, "b", "1"),
        delete("b"),
        put(RECORDS, "b", "2"),
    ];
    write(world, HERE, writes).await;
    assert_eq!(get(world, HERE, RECORDS, "a").await, None);
    assert_eq!(get(world, HERE, RECORDS, "b").await, text("2"));
}

async fn idempotent_retries_change_nothing(world: &World) {
    let id = IdempotencyId::from_bytes([1; 16]);
    let commit = |partition| Commit {
        idempotency: Some(id),
        checks: vec![Check::Absent(RECORDS.key("a"))],
        writes: vec![put(RECORDS, "a", "1"), Write::Add(COUNTERS.key("n"), 1)],
        ..Commit::new(partition, 0)
    };
    let first = world.catalog.commit(commit(HERE)).await.expect("the first");
    let (second, third) =
        futures_util::join!(world.catalog.commit(commit(HERE)), world.catalog.commit(commit(HERE)));
    assert_eq!(second.expect("a retry"), first);
    assert_eq!(third.expect("a retry"), first);
    world.clock.advance(Duration::from_secs(599));
    assert_eq!(world.catalog.commit(commit(HERE)).await.expect("a late retry"), first);
    assert_eq!(get(world, HERE, COUNTERS, "n").await, Some(Bytes::copy_from_slice(&1i64.to_le_bytes())));
    world.catalog.commit(commit(THERE)).await.expect("ids are a partition's own");
    let other = Commit { idempotency: Some(IdempotencyId::from_bytes([2; 16])), ..commit(HERE) };
    refused(world.catalog.commit(other.clone()).await, 0, "another id is another commit");
    write(world, HERE, vec![Write::Delete(RECORDS.key("a"))]).await;
    let retried = world.catalog.commit(other).await.expect("a conflict is not remembered");
    assert!(retried > first);
}

async fn old_snapshots_never_pass_a_check_wrongly(world: &World) {
    let read = snapshot(world, HERE).await.read_version();
    write(world, HERE, vec![put(RECORDS, "a", "1")]).await;
    for _ in 0..5 {
        world.clock.advance(Duration::from_hours(1));
        write(world, HERE, vec![put(RECORDS, "b", "1")]).await;
    }
    let outcome = checked(world, read, vec![Check::Unchanged(RECORDS.key("a"))], vec![]).await;
    assert_eq!(outcome.expect_err("a changed").kind(), ErrorKind::Conflict, "Conflict or TooOld");
    let fresh = snapshot(world, HERE).await.read_version();
    checked(world, fresh, vec![Check::Unchanged(RECORDS.key("a"))], vec![]).await.expect("a fresh snapshot");
}

async fn limits_are_kept(world: &World) {
    let limits = world.catalog.limits();
    assert!(limits.value_bytes >= Limits::STANDARD.value_bytes);
    assert!(limits.key_bytes >= Limits::STANDARD.key_bytes);
    assert!(limits.commit_bytes >= Limits::STANDARD.commit_bytes);
    assert!(limits.commit_rows >= Limits::STANDARD.commit_rows);
    let value = |n: usize| Bytes::from(vec![1; n]);
    let key = |n: usize| RECORDS.key(vec![1; n]);
    let most = vec![Write::Put(key(limits.key_bytes), value(limits.value_bytes))];
    checked(world, 0, vec![], most).await.expect("the largest key and value");
    let row = |n: usize| Write::Put(RECORDS.key(n.to_be_bytes().to_vec()), value(limits.value_bytes));
    let large = limits.commit_bytes / limits.value_bytes;
    checked(world, 0, vec![], (0..large - 1).map(row).collect()).await.expect("a large commit");
    let small = |n: usize| Write::Put(NEIGHBOUR.key(n.to_be_bytes().to_vec()), Bytes::new());
    checked(world, 0, vec![], (0..limits.commit_rows).map(small).collect()).await.expect("many rows");
    for (what, checks, writes) in [
        ("a key", vec![], vec![Write::Delete(key(limits.key_bytes + 1))]),
        ("a checked key", vec![Check::Absent(key(limits.key_bytes + 1))], vec![]),
        ("a value", vec![], vec![Write::Put(key(1), value(limits.value_bytes + 1))]),
        ("bytes", vec![], (0..=large).map(row).collect()),
        ("rows", vec![], (0..=limits.commit_rows).map(small).collect()),
    ] {
        let outcome = checked(world, 0, checks, writes).await;
        assert!(matches!(outcome, Err(Error::TooLarge { .. })), "too large, {what}: {outcome:?}");
    }
}

async fn versions_grow(world: &World) {
    let mut last = snapshot(world, HERE).await.read_version();
    for _ in 0..20 {
        let version = write(world, HERE, vec![put(RECORDS, "a", "1")]).await;
        assert!(version > last, "each commit's version is greater than those before it");
        let seen = snapshot(world, HERE).await.read_version();
        assert!(seen >= version);
        last = seen;
    }
}

async fn one_of_many_racers_wins(world: &World) {
    let winners = race(world, 64, |_| vec![Check::Absent(RECORDS.key("absent"))], "absent").await;
    assert_eq!(winners, 1, "of 64 that create one row");
    let read = snapshot(world, HERE).await.read_version();
    let winners = race(world, 64, |_| vec![Check::Unchanged(RECORDS.key("absent"))], "absent").await;
    assert_eq!(winners, 1, "of 64 that change one row from one snapshot ({read})");
    let winners = race(world, 64, |n| vec![Check::Unchanged(RECORDS.key(vec![n]))], "many").await;
    assert_eq!(winners, 64, "different rows never conflict");
}

/// Starts `racers` commits from one snapshot at the same time and counts those that passed.
async fn race(world: &World, racers: u8, checks: impl Fn(u8) -> Vec<Check>, key: &'static str) -> usize {
    let read = snapshot(world, HERE).await.read_version();
    let one = |n: u8| {
        let key = if key == "many" { RECORDS.key(vec![n]) } else { RECORDS.key(key) };
        let writes = vec![Write::Put(key, Bytes::from(vec![n])), Write::Add(COUNTERS.key("won"), 1)];
        world.catalog.commit(Commit { checks: checks(n), writes, ..Commit::new(HERE, read) })
    };
    let before = won(world).await;
    let outcomes = futures_util::future::join_all((0..racers).map(one)).await;
    let winners = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let lost =
        |outcome: &Result<Version>| matches!(outcome, Err(error) if error.kind() == ErrorKind::Conflict);
    assert!(outcomes.iter().all(|outcome| outcome.is_ok() || lost(outcome)), "{outcomes:?}");
    assert_eq!(won(world).await - before, i64::try_from(winners).expect("at most 255"));
    winners
}

async fn won(world: &World) -> i64 {
    let value = get(world, HERE, COUNTERS, "won").await;
    value.map_or(0, |bytes| i64::from_le_bytes(bytes[..].try_into().expect("8 bytes")))
}

async fn dropped_futures_go_on(world: &World) {
    let mut commit = Commit::new(HERE, 0);
    commit.writes = vec![put(RECORDS, "a", "1")];
    let mut future = world.catalog.commit(commit);
    let polled = futures_util::poll!(&mut future);
    drop(future);
    // A commit that comes after it in the queue is answered after it.
    write(world, HERE, vec![put(RECORDS, "b", "1")]).await;
    assert_eq!(get(world, HERE, RECORDS, "a").await, text("1"), "polled once ({polled:?}), then dropped");
    dropped_futures_are_decided_before_what_comes_later(world).await;
}

/// More than a queue holds, so that some of them never get into it.
async fn dropped_futures_are_decided_before_what_comes_later(world: &World) {
    let value = Bytes::from(vec![7; world.catalog.limits().value_bytes]);
    for n in 0..48_u8 {
        let mut commit = Commit::new(HERE, 0);
        commit.writes = (0..32).map(|m| Write::Put(RECORDS.key(vec![b'd', n, m]), value.clone())).collect();
        let mut future = world.catalog.commit(commit);
        let _pending = futures_util::poll!(&mut future);
    }
    write(world, HERE, vec![put(RECORDS, "e", "1")]).await;
    let there = dropped_rows(world).await;
    write(world, HERE, vec![put(RECORDS, "e", "2")]).await;
    assert_eq!(dropped_rows(world).await, there, "a dropped commit came after one that was polled later");
    assert!(there.len() % 32 == 0, "a dropped commit is whole or not there: {}", there.len());
}

async fn dropped_rows(world: &World) -> Vec<Bytes> {
    let snapshot = snapshot(world, HERE).await;
    let mut next = Some(Scan { keys_only: true, ..Scan::prefix(RECORDS, b"d", 10_000) });
    let mut rows = Vec::new();
    while let Some(scan) = next {
        let page = snapshot.scan(scan.clone()).await.expect("a scan");
        next = scan.behind(&page);
        rows.extend(page.rows.into_iter().map(|(key, _)| key).filter(|key| key.len() == 3));
    }
    rows
}
