//! What a plan of a transfer holds.

use super::{Compare, Entry, Found, Join, Place, Planned, SyncPlan, Verdict, compare};
use engine::clock::Timestamp;
use tokio::sync::mpsc;

fn entry(name: &str, size: u64, secs: i64) -> Entry {
    let modified = Some(Timestamp::from_millis(secs * 1000));
    Entry { name: name.to_owned(), size, modified, ..Entry::default() }
}

async fn stream(entries: Vec<Entry>) -> mpsc::Receiver<Found> {
    let (sender, receiver) = mpsc::channel(100);
    for entry in entries {
        sender.send(Found::Entry(entry)).await.unwrap();
    }
    receiver
}

/// A plan that also removes.
fn deleting(source: Place, target: Place) -> SyncPlan {
    SyncPlan {
        source,
        target,
        compare: Compare::SizeAndTime,
        delete: true,
        exclude: Vec::new(),
        own: None,
        may_empty: false,
        sweep: false,
    }
}

async fn plan(source: Vec<Entry>, target: Vec<Entry>, delete: bool, exclude: &[&str]) -> Vec<String> {
    let plan = SyncPlan {
        delete,
        exclude: exclude.iter().map(|pattern| (*pattern).to_owned()).collect(),
        ..deleting(Place::Prefix("src".to_owned(), String::new()), Place::Directory("/dst".into()))
    };
    let (sender, mut receiver) = mpsc::channel(100);
    let target = Some(stream(target).await);
    Join::new(plan, sender).run(stream(source).await, target).await.unwrap();
    let mut lines = Vec::new();
    while let Some(planned) = receiver.recv().await {
        lines.push(match planned {
            Planned::Job(job) => job.to_string(),
            Planned::Same => "same".to_owned(),
            Planned::Compare(job, _) => format!("compare, then {job}"),
            Planned::Refused(name, _) => format!("refused {name}"),
            Planned::Broken(error) => format!("broken: {error}"),
        });
    }
    lines
}

#[tokio::test]
async fn joins_two_lists_by_name() {
    let source = vec![entry("a", 1, 10), entry("b", 1, 10), entry("c", 2, 10), entry("e", 1, 30)];
    let target =
        vec![entry("b", 1, 20), entry("c", 3, 20), entry("d", 1, 1), entry("e", 1, 20), entry("f", 1, 1)];
    assert_eq!(
        plan(source.clone(), target.clone(), true, &[]).await,
        [
            "download s3://src/a to /dst/a",
            "same",
            "download s3://src/c to /dst/c",
            "download s3://src/e to /dst/e",
            "remove /dst/d",
            "remove /dst/f",
        ]
    );
    let kept = plan(source, target, false, &["c", "e"]).await;
    assert_eq!(kept, ["download s3://src/a to /dst/a", "same"]);
}

#[tokio::test]
async fn hostile_names_are_refused_and_directory_markers_passed_over() {
    let source = vec![entry("../x", 1, 1), entry("a//b", 1, 1), entry("dir/", 0, 1), entry("dir/f", 1, 1)];
    assert_eq!(
        plan(source, Vec::new(), true, &[]).await,
        ["refused ../x", "refused a//b", "download s3://src/dir/f to /dst/dir/f"]
    );
}

#[tokio::test]
async fn a_broken_list_ends_the_plan_and_removes_nothing() {
    let (sender, source) = mpsc::channel(10);
    sender.send(Found::Broken(anyhow::anyhow!("list the source"))).await.unwrap();
    drop(sender);
    let plan = deleting(
        Place::Prefix("src".to_owned(), String::new()),
        Place::Prefix("dst".to_owned(), String::new()),
    );
    let (sender, mut planned) = mpsc::channel(10);
    let target = stream(vec![entry("a", 1, 1)]).await;
    Join::new(plan, sender).run(source, Some(target)).await.unwrap();
    assert!(matches!(planned.recv().await, Some(Planned::Broken(_))));
    assert!(planned.recv().await.is_none(), "nothing may be removed on half a list");
}

#[tokio::test]
async fn a_list_that_breaks_off_later_removes_nothing_either() {
    let halves = || async {
        let (sender, list) = mpsc::channel(10);
        sender.send(Found::Entry(entry("b", 1, 1))).await.unwrap();
        sender.send(Found::Entry(entry("m", 1, 1))).await.unwrap();
        sender.send(Found::Broken(anyhow::anyhow!("list the rest"))).await.unwrap();
        list
    };
    let whole = || stream(vec![entry("a", 1, 1), entry("b", 1, 1), entry("c", 1, 1), entry("z", 1, 1)]);
    for (source, target) in [(halves().await, whole().await), (whole().await, halves().await)] {
        let plan = deleting(
            Place::Prefix("src".to_owned(), String::new()),
            Place::Prefix("dst".to_owned(), String::new()),
        );
        let (sender, mut planned) = mpsc::channel(10);
        Join::new(plan, sender).run(source, Some(target)).await.unwrap();
        let (mut broke, mut removed) = (false, 0);
        while let Some(found) = planned.recv().await {
            broke |= matches!(found, Planned::Broken(_));
            removed += usize::from(matches!(found, Planned::Job(super::Job::Remove(..))));
        }
        assert!(broke && removed == 0, "{removed} removed on half a list");
    }
}

#[tokio::test]
async fn a_list_out_of_order_ends_the_plan() {
    let sorted = vec![entry("d.txt", 1, 10), entry("d/x", 1, 10)];
    let mixed: Vec<_> = sorted.iter().rev().cloned().collect();
    let twice = vec![entry("d.txt", 1, 10), entry("d.txt", 1, 10)];
    for (source, target) in [(&mixed, &sorted), (&sorted, &mixed), (&twice, &sorted), (&sorted, &twice)] {
        let lines = plan(source.clone(), target.clone(), true, &[]).await;
        assert!(lines.last().unwrap().starts_with("broken: trust the list"), "{lines:?}");
    }
}

#[tokio::test]
async fn nothing_is_removed_behind_a_link() {
    let target = vec![Entry { behind_link: true, ..entry("d/x", 1, 1) }, entry("gone", 1, 1)];
    let lines = plan(vec![entry("a", 1, 10)], target, true, &[]).await;
    assert_eq!(lines, ["download s3://src/a to /dst/a", "remove /dst/gone"]);
}

#[test]
fn comparison_follows_size_then_what_was_asked_for() {
    let with_etag = |mut entry: Entry, etag: &str| {
        entry.etag = Some(etag.to_owned());
        entry
    };
    let (old, new) = (entry("k", 5, 10), entry("k", 5, 20));
    assert_eq!(compare(Compare::SizeAndTime, &old, &new), Verdict::Same);
    assert_eq!(compare(Compare::SizeAndTime, &new, &old), Verdict::Differs);
    assert_eq!(compare(Compare::SizeAndTime, &old, &entry("k", 6, 20)), Verdict::Differs);
    assert_eq!(compare(Compare::Size, &new, &old), Verdict::Same);
    assert_eq!(compare(Compare::Nothing, &old, &new), Verdict::Differs);
    assert_eq!(compare(Compare::Contents, &old, &with_etag(new.clone(), "x")), Verdict::Contents);
    let (a, b) = (with_etag(new.clone(), "x"), with_etag(old.clone(), "x"));
    assert_eq!(compare(Compare::SizeAndTime, &a, &b), Verdict::Same);
    assert_eq!(compare(Compare::Contents, &a, &with_etag(old, "y")), Verdict::Differs);
}

#[test]
fn times_are_compared_by_the_second_and_one_that_is_not_known_proves_nothing() {
    let at = |ms: Option<i64>| Entry { modified: ms.map(Timestamp::from_millis), ..entry("k", 5, 0) };
    for (ours, theirs, verdict) in [
        // S3 shows whole seconds: an object is older than the file that was sent in the second in which it was written.
        (Some(10_999), Some(10_000), Verdict::Same),
        (Some(10_000), Some(10_999), Verdict::Same),
        (Some(11_000), Some(10_999), Verdict::Differs),
        (None, Some(10_000), Verdict::Differs),
        (Some(10_000), None, Verdict::Differs),
    ] {
        assert_eq!(compare(Compare::SizeAndTime, &at(ours), &at(theirs)), verdict, "{ours:?} {theirs:?}");
    }
}

#[tokio::test]
async fn nothing_is_removed_below_what_could_not_be_read() {
    let (sender, source) = mpsc::channel(10);
    sender.send(Found::Refused("b".to_owned(), anyhow::anyhow!("read the directory"))).await.unwrap();
    sender.send(Found::Entry(entry("c", 1, 1))).await.unwrap();
    drop(sender);
    let plan = deleting(Place::Directory("/src".into()), Place::Prefix("dst".to_owned(), String::new()));
    let (sender, mut planned) = mpsc::channel(10);
    let target = stream(vec![entry("a", 1, 1), entry("b/x", 1, 1), entry("b2", 1, 1)]).await;
    Join::new(plan, sender).run(source, Some(target)).await.unwrap();
    let mut lines = Vec::new();
    while let Some(found) = planned.recv().await {
        lines.push(format!("{found:?}"));
    }
    assert!(lines[0].starts_with("Refused(\"b\""), "{lines:?}");
    assert_eq!(lines.len(), 4, "only a and b2 are removed: {lines:?}");
    assert!(lines[1].contains("\"c\"") && lines[2].contains("\"a\"") && lines[3].contains("\"b2\""));
}
