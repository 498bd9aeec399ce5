//! Places that part, and come back old, alone, or in the wrong order.

use super::{Error, Membership, Point, World, all, attached, map, put, reached, refused, restore};
use crate::catalog::Catalog;
use crate::fault::Fault;

#[tokio::test]
async fn a_lone_directory_is_read_only_until_the_loss_is_accepted() {
    let world = World::new();
    let catalog = world.open();
    catalog.commit(put("a", "1")).await.unwrap();
    world.share(&catalog).await;
    catalog.commit(put("a", "2")).await.unwrap();
    drop(catalog);
    world.mv("b", "away");
    let before = world.home_says();
    for _ in 0..2 {
        let catalog = world.open();
        assert_eq!(all(&catalog).await, map(&[("a", "2")]), "reads go on");
        refused(&catalog, "zone b has a copy of the catalog too (epoch 2)").await;
        assert_eq!(catalog.copy_status().state, "read_only");
        drop(catalog);
        assert_eq!(world.home_says(), before, "nothing is recorded");
    }
    // The zone comes back: nothing was lost, nobody has to accept anything.
    world.mv("away", "b");
    let catalog = world.open();
    assert_eq!(catalog.copy_status().state, "both");
    catalog.commit(put("a", "3")).await.unwrap();
    drop(catalog);
    world.mv("b", "away");
    let catalog = world.try_open(true).unwrap();
    catalog.commit(put("a", "4")).await.unwrap();
    drop(catalog);
    // Once is enough.
    let catalog = world.open();
    catalog.commit(put("b", "5")).await.unwrap();
    drop(catalog);
    world.mv("away", "b");
    let catalog = world.open();
    world.share(&catalog).await;
    drop(catalog);
    assert_eq!(world.in_zone().await, map(&[("a", "4"), ("b", "5")]));
}

#[tokio::test]
async fn two_that_part_and_come_back_in_the_wrong_order_are_never_merged() {
    let world = World::new();
    let catalog = world.open();
    catalog.commit(put("shared", "1")).await.unwrap();
    world.share(&catalog).await;
    // B goes: A records that it goes on alone, and takes writes.
    world.zone_faults.arm(Point::CatalogSync, Fault::Io, 0, 1);
    catalog.commit(put("shared", "2")).await.unwrap();
    catalog.commit(put("only in a", "2")).await.unwrap();
    drop(catalog);
    world.mv("home", "a");
    // A is away, B comes back: it opens for reads alone, and says what it knows.
    let restored = world.restore().unwrap();
    assert_eq!(restored.epoch, 2);
    let catalog = world.open();
    let known = all(&catalog).await;
    assert!(known.contains_key("shared") && known.len() == 1, "{known:?}");
    refused(&catalog, "zone b (epoch 2)").await;
    drop(catalog);
    let catalog = world.try_open(true).unwrap();
    catalog.commit(put("only in b", "3")).await.unwrap();
    // Before B has a zone of its own again, A is not taken for the newer one by it, nor it by A: they have not met.
    world.share(&catalog).await;
    assert_eq!(catalog.copy_status().epoch, 4);
    drop(catalog);
    world.mv("home", "new");
    world.mv("a", "home");
    for accept_loss in [false, true] {
        let error = world.try_open(accept_loss).unwrap_err();
        let Error::Forked { zone, why } = &error else { panic!("{error}") };
        assert!(zone == "b" && why.contains("epoch 4 of another directory"), "{error}");
        assert!(error.to_string().contains("firn recover"), "{error}");
    }
    // What is refused is as it was, and so is what it was refused for.
    world.mv("home", "a");
    world.mv("new", "home");
    let catalog = world.open();
    assert_eq!(catalog.copy_status().state, "both");
    let here = all(&catalog).await;
    assert!(here.contains_key("only in b") && !here.contains_key("only in a"), "{here:?}");
}

#[tokio::test]
async fn an_old_image_of_the_directory_is_refused() {
    let world = World::new();
    let catalog = world.open();
    catalog.commit(put("a", "1")).await.unwrap();
    catalog.close();
    drop(catalog);
    world.image("home", "never shared");
    let catalog = world.open();
    world.share(&catalog).await;
    drop(catalog);
    world.image("home", "shared");
    let catalog = world.open();
    world.zone_faults.arm(Point::CatalogSync, Fault::Io, 0, 1);
    catalog.commit(put("a", "2")).await.unwrap();
    world.share(&catalog).await;
    drop(catalog);
    for old in ["never shared", "shared"] {
        world.image(old, "home");
        for accept_loss in [false, true] {
            let outcome = world.try_open(accept_loss);
            assert!(matches!(outcome, Err(Error::Forked { .. })), "{old}: {outcome:?}");
        }
    }
    // A recovery from a backup is asked for by somebody who knows: it takes the place of the zone's copy.
    world.image("never shared", "home");
    let mut options = world.options(false);
    options.copy.supersedes = true;
    let catalog = super::RocksCatalog::open(world.path("home/catalog"), options).unwrap();
    world.share(&catalog).await;
    drop(catalog);
    assert_eq!(world.open().copy_status().state, "both");
    assert_eq!(world.in_zone().await, map(&[("a", "1")]));
}

#[tokio::test]
async fn a_second_directory_made_from_a_zone_that_went_on_is_refused() {
    let world = World::new();
    let catalog = world.open();
    world.share(&catalog).await;
    catalog.commit(put("a", "1")).await.unwrap();
    drop(catalog);
    // Somebody makes a second one, while the first is not lost at all.
    restore(&world.place().dir, &world.path("second"), ("marker", &attached()), world.options(false))
        .unwrap();
    let catalog = world.open();
    catalog.commit(put("a", "2")).await.unwrap();
    drop(catalog);
    world.mv("home", "first");
    world.mv("second", "home");
    let error = world.try_open(true).unwrap_err();
    assert!(matches!(&error, Error::Forked { why, .. } if why.contains("got more since")), "{error}");
    world.mv("home", "second");
    world.mv("first", "home");
    assert_eq!(all(&world.open()).await, map(&[("a", "2")]));
}

#[tokio::test]
async fn logs_that_differ_after_a_crash_become_the_same() {
    let world = World::new();
    let catalog = world.open();
    world.share(&catalog).await;
    catalog.commit(put("a", "1")).await.unwrap();
    catalog.close();
    drop(catalog);
    world.image("home", "home 1");
    world.image("b", "b 1");
    let catalog = world.open();
    for n in 2..10 {
        catalog.commit(put("a", &n.to_string())).await.unwrap();
    }
    catalog.close();
    drop(catalog);
    // The zone lacks the last groups: the directory has them.
    world.image("b", "b 9");
    world.image("b 1", "b");
    let catalog = world.open();
    assert_eq!(catalog.copy_status().state, "both");
    let version = catalog.synced();
    assert_eq!(reached(&world.epoch()).unwrap().version, version);
    drop(catalog);
    assert_eq!(world.in_zone().await, map(&[("a", "9")]));
    // The directory lacks them: they are cut off, and never come back behind what takes their versions.
    world.image("b 9", "b");
    world.image("home 1", "home");
    let catalog = world.open();
    assert_eq!((all(&catalog).await, catalog.copy_status().state), (map(&[("a", "1")]), "both"));
    let next = catalog.commit(put("b", "new")).await.unwrap();
    assert_eq!(next, version - 7, "versions are given again");
    drop(catalog);
    let both = map(&[("a", "1"), ("b", "new")]);
    assert_eq!(world.in_zone().await, both);
    assert_eq!(all(&world.open()).await, both);
}

#[tokio::test]
async fn a_copy_that_is_damaged_is_made_anew() {
    let world = World::new();
    let catalog = world.open();
    world.share(&catalog).await;
    for n in 0..10 {
        catalog.commit(put("a", &n.to_string())).await.unwrap();
    }
    drop(catalog);
    let log = reached(&world.epoch()).unwrap().files.pop_back().unwrap().path;
    let mut bytes = std::fs::read(&log).unwrap();
    bytes[4096 + 60] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    let catalog = world.open();
    let status = catalog.copy_status();
    assert!(status.state == "alone" && status.reason.is_some_and(|why| why.contains("corrupt")));
    world.share(&catalog).await;
    let epochs = |path| Membership::read(path).unwrap().unwrap().epoch;
    assert_eq!(epochs(&world.place().dir), epochs(&world.path("home/catalog")));
    drop(catalog);
    assert_eq!(world.in_zone().await, map(&[("a", "9")]));
}
