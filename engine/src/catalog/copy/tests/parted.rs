//! Places that part, and come back old, alone, or in the wrong order.

use super::{CopyState, Error, Membership, Point, World, all, map, put, reached, refused};
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
        refused(&catalog, "zone b has a copy of the catalog (epoch 2)").await;
        assert_eq!(catalog.copy_status().state, CopyState::ReadOnly);
        drop(catalog);
        assert_eq!(world.home_says(), before, "nothing is recorded");
    }
    // The zone comes back: nothing was lost, nobody has to accept anything.
    world.mv("away", "b");
    let catalog = world.open();
    assert_eq!(catalog.copy_status().state, CopyState::Both);
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
    // A comes back meanwhile and is the one that went on: nothing was taken from it.
    world.mv("home", "new");
    world.mv("a", "home");
    assert_eq!(world.open().read_only(), None);
    world.mv("home", "a");
    world.mv("new", "home");
    let catalog = world.try_open(true).unwrap();
    catalog.commit(put("only in b", "3")).await.unwrap();
    assert_eq!(catalog.copy_status().epoch, 3);
    drop(catalog);
    world.mv("home", "new");
    world.mv("a", "home");
    for accept_loss in [false, true] {
        let error = world.try_open(accept_loss).unwrap_err();
        let Error::Forked { zone, why } = &error else { panic!("{error}") };
        assert!(zone == "b" && why.contains("epoch 3 of another directory"), "{error}");
    }
    // What is refused is as it was, and so is what it was refused for.
    world.mv("home", "a");
    world.mv("new", "home");
    let catalog = world.open();
    assert_eq!(catalog.copy_status().state, CopyState::Both);
    let here = all(&catalog).await;
    assert!(here.contains_key("only in b") && !here.contains_key("only in a"), "{here:?}");
}

#[tokio::test]
async fn an_old_image_of_the_directory_is_refused() {
    let world = World::new();
    let catalog = world.open();
    catalog.commit(put("a", "1")).await.unwrap();
    world.share(&catalog).await;
    drop(catalog);
    world.image("home", "shared");
    // Each process that goes on with the zone is told from the one before it.
    let catalog = world.open();
    catalog.commit(put("a", "2")).await.unwrap();
    drop(catalog);
    world.image("home", "taken up");
    world.image("shared", "home");
    for accept_loss in [false, true] {
        let outcome = world.try_open(accept_loss);
        assert!(matches!(outcome, Err(Error::Forked { .. })), "{outcome:?}");
    }
    world.image("taken up", "home");
    let catalog = world.open();
    world.zone_faults.arm(Point::CatalogSync, Fault::Io, 0, 1);
    catalog.commit(put("a", "3")).await.unwrap();
    world.share(&catalog).await;
    drop(catalog);
    for old in ["shared", "taken up"] {
        world.image(old, "home");
        for accept_loss in [false, true] {
            let outcome = world.try_open(accept_loss);
            assert!(matches!(outcome, Err(Error::Forked { .. })), "{old}: {outcome:?}");
        }
    }
    world.restore().unwrap();
    assert_eq!(all(&world.try_open(true).unwrap()).await, map(&[("a", "3")]));
}

#[tokio::test]
async fn a_directory_recovered_from_a_backup_asks_before_it_takes_the_place_of_a_copy() {
    let world = World::new();
    let catalog = world.open();
    catalog.commit(put("a", "1")).await.unwrap();
    catalog.close();
    drop(catalog);
    world.image("home", "backup");
    let catalog = world.open();
    world.share(&catalog).await;
    catalog.commit(put("a", "2")).await.unwrap();
    drop(catalog);
    world.image("backup", "home");
    let catalog = world.open();
    refused(&catalog, "knows of none").await;
    refused(&catalog, "--accept-loss").await;
    drop(catalog);
    drop(world.try_open(true).unwrap());
    // Once is enough, and the zone's copy is as it was until it is wanted for another.
    assert_eq!(world.in_zone().await, map(&[("a", "2")]));
    let catalog = world.open();
    catalog.commit(put("b", "3")).await.unwrap();
    world.share(&catalog).await;
    drop(catalog);
    assert_eq!(world.in_zone().await, map(&[("a", "1"), ("b", "3")]));
}

#[tokio::test]
async fn of_two_directories_made_from_one_zone_one_goes_on() {
    let world = World::new();
    let catalog = world.open();
    world.share(&catalog).await;
    catalog.commit(put("a", "1")).await.unwrap();
    let in_use = world.restore_at("early");
    assert!(matches!(in_use, Err(Error::InUse { .. })), "{in_use:?}");
    drop(catalog);
    world.mv("home", "lost");
    for name in ["first", "second", "third"] {
        std::fs::create_dir(world.path(name)).unwrap();
        world.restore_at(name).unwrap();
    }
    // The lost one was not lost: the zone goes on with it, and what was made is behind, and says so.
    world.mv("lost", "home");
    let catalog = world.open();
    catalog.commit(put("a", "2")).await.unwrap();
    drop(catalog);
    world.mv("home", "lost");
    world.mv("first", "home");
    let error = world.try_open(true).unwrap_err();
    assert!(matches!(&error, Error::Forked { .. }), "{error}");
    // One that was accepted without the zone finds out when it is to make a copy there.
    world.mv("home", "first");
    world.mv("second", "home");
    world.mv("b", "away");
    let catalog = world.try_open(true).unwrap();
    catalog.commit(put("a", "9")).await.unwrap();
    world.mv("away", "b");
    let error = world.worker(&catalog).make(world.place()).await.unwrap_err();
    assert!(matches!(&error, Error::Forked { .. }), "{error}");
    drop(catalog);
    world.mv("home", "second");
    world.mv("lost", "home");
    assert_eq!(all(&world.open()).await, map(&[("a", "2")]));
}

#[tokio::test]
async fn a_zone_that_got_more_in_the_same_epoch_is_not_written_over() {
    let world = World::new();
    let catalog = world.open();
    world.share(&catalog).await;
    catalog.commit(put("a", "1")).await.unwrap();
    // An image of the zone, from which somebody makes a directory while the first one goes on.
    world.image("b", "image");
    world.mv("b", "real");
    world.mv("image", "b");
    std::fs::create_dir(world.path("made")).unwrap();
    world.restore_at("made").unwrap();
    super::remove_tree(&world.path("b")).unwrap();
    world.mv("real", "b");
    catalog.commit(put("a", "2")).await.unwrap();
    drop(catalog);
    world.image("made", "accepted alone");
    world.mv("home", "lost");
    // With the zone it goes on from all that the zone has.
    world.image("b", "b as it was");
    world.mv("made", "home");
    let catalog = world.try_open(true).unwrap();
    assert_eq!(all(&catalog).await, map(&[("a", "2")]));
    drop(catalog);
    world.image("b as it was", "b");
    super::remove_tree(&world.path("home")).unwrap();
    world.mv("accepted alone", "home");
    world.mv("b", "away");
    let catalog = world.try_open(true).unwrap();
    world.mv("away", "b");
    let error = world.worker(&catalog).make(world.place()).await.unwrap_err();
    assert!(matches!(&error, Error::Forked { why, .. } if why.contains("got more since")), "{error}");
}

#[tokio::test]
async fn logs_that_differ_after_a_crash_become_the_longer_one() {
    let world = World::new();
    let catalog = world.open();
    world.share(&catalog).await;
    catalog.commit(put("a", "1")).await.unwrap();
    world.image("home", "home 1");
    world.image("b", "b 1");
    for n in 2..10 {
        catalog.commit(put("a", &n.to_string())).await.unwrap();
    }
    catalog.close();
    drop(catalog);
    // The zone lacks the last groups of its own epoch: the directory has them, and it the other way round.
    world.image("home", "home 9");
    world.image("b", "b 9");
    for (home, zone) in [("home 9", "b 1"), ("home 1", "b 9")] {
        world.image(home, "home");
        world.image(zone, "b");
        let catalog = world.open();
        let found = (all(&catalog).await, catalog.copy_status().state);
        assert_eq!(found, (map(&[("a", "9")]), CopyState::Both), "{home}, {zone}");
        let version = catalog.synced();
        assert_eq!(reached(&world.copy()).unwrap().version, version);
        catalog.commit(put("b", "new")).await.unwrap();
        drop(catalog);
        let both = map(&[("a", "9"), ("b", "new")]);
        assert_eq!(world.in_zone().await, both);
        assert_eq!(all(&world.open()).await, both);
    }
}

#[tokio::test]
async fn a_copy_that_is_damaged_may_have_known_more() {
    let world = World::new();
    let catalog = world.open();
    world.share(&catalog).await;
    for n in 0..10 {
        catalog.commit(put("a", &n.to_string())).await.unwrap();
    }
    drop(catalog);
    let log = reached(&world.copy()).unwrap().files.pop_back().unwrap().path;
    let mut bytes = std::fs::read(&log).unwrap();
    bytes[4096 + 48 + 60] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    let catalog = world.open();
    refused(&catalog, "can't be read").await;
    assert_eq!(all(&catalog).await, map(&[("a", "9")]));
    drop(catalog);
    let catalog = world.try_open(true).unwrap();
    assert_eq!(catalog.copy_status().state, CopyState::Alone);
    world.share(&catalog).await;
    let epochs = |path| Membership::read(path).unwrap().unwrap().epoch;
    assert_eq!(epochs(&world.place().dir), epochs(&world.path("home/catalog")));
    drop(catalog);
    assert_eq!(world.in_zone().await, map(&[("a", "9")]));
}
