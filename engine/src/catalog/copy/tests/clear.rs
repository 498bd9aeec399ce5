//! Zones that are to have no copy keep nothing of one: keys lie in it.

use super::{Arc, CopyState, CopyWorker, Place, World, all, copy_file, copy_tree, map, put};
use crate::Error;
use crate::catalog::copy::Wanted;
use crate::catalog::{Catalog, RocksCatalog};
use crate::fault::{Fault, Point};
use crate::worker::{Progress, Worker};

impl World {
    /// A second zone that may have the copy.
    fn other(&self) -> Place {
        Place::new("c".to_owned(), self.path("c/catalog"))
    }

    /// A catalog with two places for its copy, and the worker that wants it in the second.
    fn open_with_two(&self) -> (Arc<RocksCatalog>, CopyWorker) {
        let mut options = self.options(false);
        options.copy.places.push(self.other());
        let catalog = RocksCatalog::open(self.path("home/catalog"), options).unwrap();
        let other = self.other();
        let wanted: Wanted = Arc::new(move |_: Option<&str>| Some(other.clone()));
        let worker = CopyWorker::new(Arc::clone(&catalog), self.files(), wanted);
        (catalog, worker)
    }

    fn left_in_b(&self) -> Vec<std::ffi::OsString> {
        let dir = std::fs::read_dir(self.place().dir).unwrap();
        dir.map(|entry| entry.unwrap().file_name()).collect()
    }
}

#[tokio::test]
async fn a_zone_that_was_away_and_is_to_have_none_is_cleared_when_it_comes_back() {
    let world = World::new();
    std::fs::create_dir(world.path("c")).unwrap();
    let (catalog, worker) = world.open_with_two();
    world.share(&catalog).await;
    world.zone_faults.arm(Point::CatalogSync, Fault::Io, 0, 1);
    catalog.commit(put("a", "1")).await.unwrap();
    drop((catalog, worker));
    world.mv("b", "away");

    let (catalog, mut worker) = world.open_with_two();
    assert_eq!(worker.tick().await.unwrap(), Progress::More { done: 1 });
    let status = catalog.copy_status();
    assert_eq!((status.state, status.zone.as_deref()), (CopyState::Both, Some("c")));
    assert!(matches!(worker.tick().await.unwrap(), Progress::Idle { .. }), "it is not there");
    drop((catalog, worker));
    world.mv("away", "b");
    assert!(world.left_in_b().len() > 1);

    let (catalog, mut worker) = world.open_with_two();
    assert!(matches!(worker.tick().await.unwrap(), Progress::Idle { .. }));
    assert_eq!(world.left_in_b(), ["lock"], "keys lay there");
    assert!(worker.unclear.is_empty());
    catalog.commit(put("b", "2")).await.unwrap();
    let status = catalog.copy_status();
    assert_eq!((status.state, status.zone.as_deref()), (CopyState::Both, Some("c")));
    drop((catalog, worker));
    assert_eq!(all(&world.open_with_two().0).await, map(&[("a", "1"), ("b", "2")]));
}

#[tokio::test]
async fn a_base_that_is_being_copied_is_not_waited_for_when_it_is_to_stop() {
    let world = World::new();
    let catalog = world.open();
    catalog.commit(put("a", "1")).await.unwrap();
    let stops = Arc::clone(&catalog);
    // While the first file of it is copied.
    world.zone_faults.visit(Point::CatalogCopy, move || stops.stop_copying());
    let stopped = world.worker(&catalog).make(world.place()).await.unwrap_err();
    assert!(matches!(stopped, Error::Closed), "{stopped}");
    world.zone_faults.clear();
    assert_eq!(catalog.copy_status().state, CopyState::Alone);
    catalog.commit(put("b", "2")).await.unwrap();
    drop(catalog);
    let catalog = world.open();
    world.share(&catalog).await;
    drop(catalog);
    assert_eq!(world.in_zone().await, map(&[("a", "1"), ("b", "2")]));
}

#[tokio::test]
async fn what_may_be_newer_is_never_cleared() {
    let world = World::new();
    std::fs::create_dir(world.path("c")).unwrap();
    let stranger = World::seeded(2);
    let theirs = stranger.open();
    stranger.share(&theirs).await;
    drop(theirs);
    let (catalog, mut worker) = world.open_with_two();
    assert_eq!(worker.tick().await.unwrap(), Progress::More { done: 1 });
    // Mounted where a zone's disk belongs, by mistake, while the server runs.
    super::remove_tree(&world.path("b")).unwrap();
    copy_tree(&stranger.path("b"), &world.path("b"), &mut |from, to, _| copy_file(from, to)).unwrap();
    let before = world.left_in_b();
    let refused = worker.tick().await.unwrap_err();
    assert!(matches!(&refused, Error::Forked { .. }), "{refused}");
    assert!(
        matches!(worker.tick().await.unwrap(), Progress::Idle { .. }),
        "it is not asked for all the time"
    );
    assert_eq!((world.left_in_b().len(), catalog.copy_status().state), (before.len(), CopyState::Both));
}
