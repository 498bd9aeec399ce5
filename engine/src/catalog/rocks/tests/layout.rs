//! What readers must know of is said on the disk before it is there, to whoever opens the directory, a copy of it, or its shipped log.

use super::{clock, copy, get, open, options, put};
use crate::catalog::log::frame;
use crate::catalog::{Catalog, Commit, Layout, LogPlace, RocksCatalog};
use crate::fault::{Fault, Faults, Point};
use crate::{Error, ErrorKind};
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

fn marker(dir: &Path) -> u8 {
    std::fs::read(dir.join("format")).unwrap()[8]
}

fn denies(key: &str) -> Commit {
    Commit { layout: Layout::POLICIES, ..put(key, "denied") }
}

/// Layouts of shipped frames, in order.
fn layouts(mut frames: &[u8]) -> Vec<Layout> {
    let mut found = Vec::new();
    while !frames.is_empty() {
        let (header, _, total) = frame::parse(frames).unwrap().unwrap();
        found.push(header.layout);
        frames = &frames[total..];
    }
    found
}

#[tokio::test]
async fn the_marker_says_it_before_a_byte_of_the_commit_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let faults: Arc<Faults> = Arc::default();
    let catalog = RocksCatalog::open(dir.path(), options(&clock(), &faults)).unwrap();
    catalog.commit(put("a", "1")).await.unwrap();
    assert_eq!(marker(dir.path()), 1, "as long as nothing needs more");
    let (seen, path) = (Arc::new(AtomicU8::new(0)), dir.path().to_owned());
    let noted = Arc::clone(&seen);
    faults.visit(Point::CatalogWrite, move || {
        let _first = noted.compare_exchange(0, marker(&path), Ordering::SeqCst, Ordering::SeqCst);
    });
    catalog.commit(denies("b")).await.unwrap();
    assert_eq!(seen.load(Ordering::SeqCst), 2, "when the log is written to");
    drop(catalog);
    let catalog = open(dir.path()).unwrap();
    catalog.commit(put("b", "nothing denies any more")).await.unwrap();
    assert_eq!(marker(dir.path()), 2, "it only grows");
}

#[tokio::test]
async fn a_crash_between_the_marker_and_the_commit_leaves_a_marker_alone() {
    let dir = tempfile::tempdir().unwrap();
    let faults: Arc<Faults> = Arc::default();
    let home = dir.path().join("home");
    let catalog = RocksCatalog::open(&home, options(&clock(), &faults)).unwrap();
    catalog.commit(put("a", "1")).await.unwrap();
    faults.arm(Point::CatalogWrite, Fault::Io, 0, u64::MAX);
    let failed = catalog.commit(denies("b")).await.unwrap_err();
    assert!(matches!(failed, Error::Unknown { .. }), "{failed:?}");
    // As a kill leaves it.
    let killed = dir.path().join("killed");
    copy(&home, &killed);
    assert_eq!(marker(&killed), 2);
    let catalog = open(&killed).unwrap();
    assert_eq!(get(&catalog, "a").await.unwrap().unwrap(), "1");
    assert_eq!(get(&catalog, "b").await.unwrap(), None);
    catalog.commit(denies("b")).await.unwrap();
    assert_eq!(get(&catalog, "b").await.unwrap().unwrap(), "denied");
}

#[tokio::test]
async fn without_the_marker_there_is_no_commit() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(dir.path()).unwrap();
    // Nothing can take the place of the marker.
    std::fs::create_dir_all(dir.path().join("format.new/in-the-way")).unwrap();
    let refused = catalog.commit(denies("b")).await.unwrap_err();
    assert!(matches!(refused, Error::Io { .. }), "{refused:?}");
    assert_eq!((marker(dir.path()), get(&catalog, "b").await.unwrap()), (1, None));
    catalog.commit(put("a", "1")).await.expect("other commits go on");
    std::fs::remove_dir_all(dir.path().join("format.new")).unwrap();
    catalog.commit(denies("b")).await.unwrap();
    drop(catalog);
    assert_eq!(get(&open(dir.path()).unwrap(), "b").await.unwrap().unwrap(), "denied");
}

#[tokio::test]
async fn copies_and_shipped_groups_say_it_too() {
    let dir = tempfile::tempdir().unwrap();
    let live = open(&dir.path().join("live")).unwrap();
    live.commit(put("a", "1")).await.unwrap();
    let base = dir.path().join("base");
    let begun = live.checkpoint(&base).unwrap();
    live.commit(denies("b")).await.unwrap();
    live.commit(put("c", "3")).await.unwrap();
    let (frames, _) = live.log_since(LogPlace::after(begun), usize::MAX).unwrap().unwrap();
    assert_eq!(layouts(&frames), [Layout::POLICIES, Layout::FIRST], "who does not know of it stops there");
    let later = dir.path().join("later");
    live.checkpoint(&later).unwrap();
    assert_eq!((marker(&base), marker(&later)), (1, 2));

    let restored = open(&base).unwrap();
    restored.apply_log(frames.clone()).await.unwrap();
    assert_eq!(marker(&base), 2);
    assert_eq!(get(&restored, "b").await.unwrap().unwrap(), "denied");
    // As a kill leaves it, but for the marker.
    let log_alone = dir.path().join("log-alone");
    copy(&base, &log_alone);
    drop(restored);
    std::fs::write(log_alone.join("format"), b"firncatl\x01\0\0\0\x95\x31\xc9\x6a").unwrap();
    let opened = open(&log_alone).unwrap();
    assert_eq!(marker(&log_alone), 2, "its own log says it");
    drop(opened);
}

#[tokio::test]
async fn a_newer_group_is_refused_where_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let live = open(&dir.path().join("live")).unwrap();
    let begun = live.checkpoint(&dir.path().join("base")).unwrap();
    live.commit(denies("b")).await.unwrap();
    let (frames, _) = live.log_since(LogPlace::after(begun), usize::MAX).unwrap().unwrap();
    let mut newer = frames.to_vec();
    newer[45] = Layout::NEWEST.number() + 1;
    let crc = frame::crc32c(&newer[8..]);
    newer[4..8].copy_from_slice(&crc.to_le_bytes());
    let restored = open(&dir.path().join("base")).unwrap();
    let refused = restored.apply_log(Bytes::from(newer)).await.unwrap_err();
    let newest = u32::from(Layout::NEWEST.number());
    assert!(
        matches!(refused, Error::Newer { found, supported, .. } if (found, supported) == (newest + 1, newest)),
        "{refused:?}"
    );
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert_eq!(get(&restored, "b").await.unwrap(), None);
}
