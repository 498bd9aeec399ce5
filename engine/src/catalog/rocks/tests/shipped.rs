//! Groups of another catalog's log, taken over: read, judged, recovered and repeated as if they were this one's own.

use super::{HERE, TABLE, copy, get, open, put};
use crate::catalog::log::frame::{self, Frame, HEADER, Kind, Stamp};
use crate::catalog::log::payload;
use crate::catalog::{Catalog, Check, Commit, Layout, LogPlace};
use crate::id::IdempotencyId;
use crate::{Error, ErrorKind};

#[tokio::test]
async fn groups_taken_over_count_as_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let live = open(&dir.path().join("live")).unwrap();
    live.commit(put("a", "1")).await.unwrap();
    let base = dir.path().join("base");
    let begun = live.checkpoint(&base).unwrap();
    let once = Commit { idempotency: Some(IdempotencyId::from_bytes([1; 16])), ..put("a", "2") };
    let first = live.commit(once.clone()).await.unwrap();
    let last = live.commit(put("b", "3")).await.unwrap();
    let (frames, _) = live.log_since(LogPlace::after(begun), usize::MAX).unwrap().unwrap();

    let restored = open(&base).unwrap();
    // Twice: what was read once is kept in memory.
    for _ in 0..2 {
        assert_eq!(get(&restored, "a").await.unwrap().unwrap(), "1");
    }
    let before = restored.snapshot(HERE).await.unwrap().read_version();
    let groups = restored.counts().groups;
    assert_eq!(restored.apply_log(frames).await.unwrap(), last);
    assert_eq!((restored.synced(), restored.counts().groups), (last, groups + 2));
    assert_eq!(get(&restored, "a").await.unwrap().unwrap(), "2", "no row as it was before");
    assert_eq!(restored.snapshot(HERE).await.unwrap().read_version(), last);
    // Who read before can not know what they changed.
    for key in ["a", "b"] {
        let checks = vec![Check::Unchanged(TABLE.key(key.as_bytes().to_vec()))];
        let blind = Commit { checks, read_version: before, ..put(key, "4") };
        let refused = restored.commit(blind).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict, "{key}: {refused:?}");
    }
    assert_eq!(restored.commit(once).await.unwrap(), first, "it is known to have happened");
    // As a kill leaves it: all of it is in its own log.
    let killed = dir.path().join("killed");
    copy(&base, &killed);
    let killed = open(&killed).unwrap();
    for (key, value) in [("a", "2"), ("b", "3")] {
        assert_eq!(get(&killed, key).await.unwrap().unwrap(), value);
    }
    drop(restored);
    assert_eq!(get(&open(&base).unwrap(), "b").await.unwrap().unwrap(), "3");
}

#[tokio::test]
async fn a_group_that_is_not_what_its_header_says_is_not_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(dir.path()).unwrap();
    let before = catalog.commit(put("a", "1")).await.unwrap();
    let group = |prior, last| {
        let mut bytes = vec![0; HEADER];
        payload::push(&mut bytes, &put("a", "2"));
        frame::seal(
            &mut bytes,
            &Frame {
                stamp: Stamp::of_number(9),
                prior,
                last,
                synced: prior,
                kind: Kind::Group,
                layout: Layout::FIRST,
            },
        );
        bytes
    };
    // One commit that claims two versions; one behind a gap; half of one.
    for refused in
        [group(before, before + 2), group(before + 1, before + 2), group(before, before + 1)[..60].to_vec()]
    {
        assert!(matches!(catalog.apply_log(refused.into()).await, Err(Error::Corrupt { .. })));
        assert_eq!((catalog.synced(), get(&catalog, "a").await.unwrap().unwrap()), (before, "1".into()));
    }
    // Those before the one that is refused stay; what it has is passed over.
    let both = [group(before, before + 1), group(before + 2, before + 3)].concat();
    assert!(matches!(catalog.apply_log(both.into()).await, Err(Error::Corrupt { .. })));
    assert_eq!(get(&catalog, "a").await.unwrap().unwrap(), "2");
    let again = [group(before, before + 1), group(before + 1, before + 2)].concat();
    assert_eq!(catalog.apply_log(again.into()).await.unwrap(), before + 2);
    assert_eq!(catalog.synced(), before + 2);
}
