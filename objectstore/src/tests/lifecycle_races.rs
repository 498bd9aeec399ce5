//! What another owner of the partition does between match and commit is noticed: a rule hits nothing that it does not match (any
//! more), and nothing that is to be looked at is forgotten.

use super::between::{Pair, in_every_gap};
use super::lifecycle::{days, midnights, noncurrent, run, set};
use super::lock::of;
use crate::{Error, Lifecycle, ObjectLock, Tags, VersionSelector, Versioning, tables};

#[tokio::test]
async fn a_put_that_comes_between_match_and_deed_stays() {
    for versioning in [Versioning::Off, Versioning::Enabled] {
        let pair = Pair::new(420).await;
        in_every_gap(async |n| {
            let name = pair.fast.create(&format!("bkt-{n}"), versioning).await;
            set(&pair.fast, &name, vec![days("", 1)]).await;
            run(&pair.fast, &name).await;
            pair.fast.put(&name, "k", "old").await;
            midnights(&pair.fast, 2);
            let (fast, theirs) = (pair.fast.clone(), name.clone());
            let step = async move {
                fast.put(&theirs, "k", "new").await;
            };
            let Some(_run) = pair.with_step_at(n, step, run(&pair.slow, &name)).await else { return false };
            assert_eq!(pair.fast.get(&name, "k").await.unwrap(), "new", "{versioning:?}, gap {n}");
            // And its own time comes.
            midnights(&pair.fast, 2);
            run(&pair.fast, &name).await;
            assert!(pair.fast.keys(&name).await.is_empty(), "{versioning:?}, gap {n}");
            true
        })
        .await;
    }
}

#[tokio::test]
async fn rules_that_are_edited_between_match_and_deed_hit_nothing_they_do_not_match() {
    let pair = Pair::new(421).await;
    in_every_gap(async |n| {
        let name = pair.fast.create(&format!("bkt-{n}"), Versioning::Off).await;
        set(&pair.fast, &name, vec![days("", 1)]).await;
        run(&pair.fast, &name).await;
        pair.fast.put(&name, "k", "v").await;
        midnights(&pair.fast, 2);
        let (fast, theirs) = (pair.fast.clone(), name.clone());
        let there = async |at: &str| match pair.fast.get(&name, at).await {
            Ok(_) => true,
            Err(Error::NoSuchKey { .. }) => false,
            Err(error) => panic!("{error}"),
        };
        let step = async move {
            let gone = fast.keys(&theirs).await.is_empty();
            let narrower = Lifecycle::new(vec![days("other", 1)]).unwrap();
            fast.store.set_lifecycle(&theirs, Some(&narrower)).await.unwrap();
            if !gone {
                fast.put(&theirs, "was-there", "").await;
            }
        };
        let Some(_run) = pair.with_step_at(n, step, run(&pair.slow, &name)).await else { return false };
        assert_eq!(there("k").await, there("was-there").await, "gap {n}");
        true
    })
    .await;
}

#[tokio::test]
async fn a_lock_or_a_tag_that_comes_between_keeps_a_version() {
    let pair = Pair::new(422).await;
    for locks in [true, false] {
        in_every_gap(async |n| {
            let name = pair.fast.create(&format!("bkt-{locks}-{n}"), Versioning::Enabled).await;
            pair.fast.store.set(&name, Some(&ObjectLock::default())).await.unwrap();
            let mut rule = noncurrent("", 1, None);
            rule.filter.smaller = Some(1_000);
            if !locks {
                rule.filter.tags = Tags::of_object([("a".to_owned(), "1".to_owned())]).unwrap();
            }
            let tagged = rule.filter.tags.clone();
            set(&pair.fast, &name, vec![rule]).await;
            run(&pair.fast, &name).await;
            let version: VersionSelector = pair.fast.put(&name, "k", "old").await.version.unwrap().into();
            let amend = of(&name, "k", version);
            if !locks {
                pair.fast.store.set_tags(&amend, None, &tagged).await.unwrap();
            }
            pair.fast.put(&name, "k", "new").await;
            midnights(&pair.fast, 2);
            let fast = pair.fast.clone();
            let (theirs, late) =
                (amend.clone(), std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)));
            let is_late = late.clone();
            let step = async move {
                let outcome = if locks {
                    fast.store.set_legal_hold(&theirs, None, true).await
                } else {
                    fast.store.set_tags(&theirs, None, &Tags::default()).await
                };
                is_late.store(outcome.is_err(), std::sync::atomic::Ordering::Relaxed);
            };
            let Some(_run) = pair.with_step_at(n, step, run(&pair.slow, &name)).await else { return false };
            let there = pair.fast.get_version(&name, "k", version).await.is_ok();
            let gone_before = late.load(std::sync::atomic::Ordering::Relaxed);
            assert_eq!(there, !gone_before, "locks {locks}, gap {n}");
            true
        })
        .await;
    }
}

#[tokio::test]
async fn what_is_written_while_rules_are_set_is_in_the_index() {
    let pair = Pair::new(423).await;
    in_every_gap(async |n| {
        let name = pair.fast.create(&format!("bkt-{n}"), Versioning::Off).await;
        let (fast, theirs) = (pair.fast.clone(), name.clone());
        let step = async move {
            set(&fast, &theirs, vec![days("", 1)]).await;
        };
        let put = pair.slow.put(&name, "k", "v");
        let Some(_put) = pair.with_step_at(n, step, put).await else { return false };
        let walked = run(&pair.fast, &name).await;
        assert_eq!(walked.deeds(), 0);
        assert_eq!(pair.fast.rows(pair.fast.partition(&name).await, tables::DUE).await, 1, "gap {n}");
        midnights(&pair.fast, 2);
        assert_eq!(run(&pair.fast, &name).await.expired, 1, "gap {n}");
        true
    })
    .await;
}

#[tokio::test]
async fn a_completion_or_a_part_that_comes_between_is_whole_or_refused() {
    let pair = Pair::new(424).await;
    in_every_gap(async |n| {
        let name = pair.fast.create(&format!("bkt-{n}"), Versioning::Off).await;
        let mut rule = days("", 1);
        (rule.expiration, rule.abort_days) = (None, Some(1));
        set(&pair.fast, &name, vec![rule]).await;
        run(&pair.fast, &name).await;
        let upload = pair.fast.begin(&name, "k").await;
        let part = pair.fast.part(&name, "k", upload, 1, "body").await.unwrap();
        midnights(&pair.fast, 2);
        let (fast, theirs) = (pair.fast.clone(), name.clone());
        let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let is_done = done.clone();
        let step = async move {
            let outcome = fast.complete(&theirs, "k", upload, vec![part]).await;
            is_done.store(outcome.is_ok(), std::sync::atomic::Ordering::Relaxed);
        };
        let Some(given_up) = pair.with_step_at(n, step, run(&pair.slow, &name)).await else { return false };
        pair.fast.settle().await;
        let completed = done.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(completed, given_up.uploads == 0, "gap {n}");
        assert_eq!(pair.fast.get(&name, "k").await.is_ok(), completed, "gap {n}");
        assert_eq!(pair.fast.rows(pair.fast.partition(&name).await, tables::DUE).await, 0, "gap {n}");
        true
    })
    .await;
}
