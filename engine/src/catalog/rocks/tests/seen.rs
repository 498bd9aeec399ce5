//! A catalog that is older than what was seen of it is not opened, whatever of it is missing.

use super::{clock, get, options, put};
use crate::catalog::{Catalog, Options, RocksCatalog, Seen};
use crate::clock::ManualClock;
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A system disk with a catalog, and a pool's directory.
struct World {
    disks: tempfile::TempDir,
    clock: Arc<ManualClock>,
}

impl World {
    fn new() -> Self {
        let world = Self { disks: tempfile::tempdir().unwrap(), clock: clock() };
        std::fs::create_dir(world.path("system")).unwrap();
        std::fs::create_dir(world.path("pool")).unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.disks.path().join(name)
    }

    fn catalog(&self) -> PathBuf {
        self.path("system/catalog")
    }

    fn open_as(&self, owner: u128, accepts_less: bool) -> Result<Arc<RocksCatalog>> {
        let places = vec![self.path("system"), self.path("pool")];
        let seen = Some(Seen { owner, places, accepts_less });
        let options = Options { seen, ..options(&self.clock, &Arc::default()) };
        RocksCatalog::open(self.catalog(), options)
    }

    fn open(&self) -> Result<Arc<RocksCatalog>> {
        self.open_as(7, false)
    }

    /// What one process commits.
    async fn run(&self, keys: &[&str]) {
        let catalog = self.open().unwrap();
        for key in keys {
            catalog.commit(put(key, "1")).await.unwrap();
        }
        catalog.close();
    }

    #[track_caller]
    fn refused(&self, says: &str) {
        let refused = self.open().unwrap_err().to_string();
        assert!(refused.contains(says) && refused.contains("catalog-seen has seen"), "{refused}");
        assert!(refused.contains("firn recover"), "{refused}");
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() { copy(&path, &to) } else { std::fs::copy(&path, &to).map(|_| ()).unwrap() }
    }
}

#[tokio::test]
async fn a_catalog_without_its_newest_log_file_is_refused_until_it_is_put_back_or_given_up() {
    let world = World::new();
    world.run(&["a"]).await;
    world.run(&["b"]).await;
    let mut logs: Vec<PathBuf> = std::fs::read_dir(world.catalog().join("log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "log"))
        .collect();
    logs.sort();
    let (newest, aside) = (logs.pop().unwrap(), world.path("aside"));
    std::fs::rename(&newest, &aside).unwrap();
    world.refused("its newest log file is");
    world.refused("its newest log file is");
    copy(&world.catalog(), &world.path("without"));
    std::fs::rename(&aside, &newest).unwrap();
    let catalog = world.open().unwrap();
    assert!(get(&catalog, "b").await.unwrap().is_some() && !catalog.went_back());
    catalog.close();
    drop(catalog);
    // Given up, and said once.
    std::fs::remove_dir_all(world.catalog()).unwrap();
    std::fs::rename(world.path("without"), world.catalog()).unwrap();
    world.refused("its newest log file is");
    let catalog = world.open_as(7, true).unwrap();
    assert!(catalog.went_back() && get(&catalog, "a").await.unwrap().is_some());
    catalog.close();
    drop(catalog);
    assert!(!world.open().unwrap().went_back());
}

#[tokio::test]
async fn a_catalog_that_is_gone_is_not_made_anew_though_the_loss_were_accepted() {
    let world = World::new();
    world.run(&["a"]).await;
    std::fs::rename(world.catalog(), world.path("aside")).unwrap();
    world.refused("nothing is there");
    assert!(world.open_as(7, true).is_err() && !world.catalog().exists());
    std::fs::create_dir(world.catalog()).unwrap();
    std::fs::write(world.catalog().join("reserve"), [0; 9]).unwrap();
    world.refused("nothing is there");
    assert_eq!(std::fs::read_dir(world.catalog()).unwrap().count(), 1, "nothing was made");
    std::fs::remove_dir_all(world.catalog()).unwrap();
    std::fs::rename(world.path("aside"), world.catalog()).unwrap();
    assert!(get(&world.open().unwrap(), "a").await.unwrap().is_some());
}

#[tokio::test]
async fn an_older_system_disk_is_known_by_what_the_pool_has_seen() {
    let world = World::new();
    world.run(&["a"]).await;
    copy(&world.path("system"), &world.path("older"));
    world.run(&["b"]).await;
    std::fs::rename(world.path("system"), world.path("newer")).unwrap();
    std::fs::rename(world.path("older"), world.path("system")).unwrap();
    world.refused("its newest log file is");
    // What another directory of the appliance took over, as a recovery does, it goes by its own marks.
    world.open_as(8, false).unwrap().close();
}

#[tokio::test]
async fn a_disk_that_was_copied_while_the_catalog_ran_is_known_a_minute_later_and_the_one_that_ran_on_is_opened()
 {
    let world = World::new();
    let catalog = world.open().unwrap();
    catalog.commit(put("a", "1")).await.unwrap();
    let seen = |disk: &str| std::fs::read(world.path(disk).join("catalog-seen")).unwrap();
    let before = seen("pool");
    copy(&world.path("system"), &world.path("older"));
    world.clock.advance(Duration::from_mins(1));
    catalog.commit(put("b", "1")).await.unwrap();
    // As a kill leaves it: no more is written than is by now.
    while seen("pool") == before || seen("pool") != seen("system") {
        std::thread::yield_now();
    }
    copy(&world.path("system"), &world.path("killed"));
    copy(&world.path("pool"), &world.path("pool-then"));
    catalog.close();
    drop(catalog);
    for (system, opens) in [("older", false), ("killed", true)] {
        for name in ["system", "pool"] {
            std::fs::remove_dir_all(world.path(name)).unwrap();
        }
        copy(&world.path(system), &world.path("system"));
        copy(&world.path("pool-then"), &world.path("pool"));
        match world.open() {
            Ok(catalog) => assert!(opens && get(&catalog, "b").await.unwrap().is_some()),
            Err(error) => assert!(!opens && error.to_string().contains("it ends at version"), "{error}"),
        }
    }
}

#[tokio::test]
async fn another_history_under_the_same_numbers_is_refused() {
    let world = World::new();
    world.run(&["a"]).await;
    let other = RocksCatalog::open(world.path("other"), {
        let entropy = Arc::new(crate::entropy::SeededEntropy::new(99));
        Options { entropy, ..options(&world.clock, &Arc::default()) }
    });
    let other = other.unwrap();
    for _ in 0..9 {
        other.commit(put("x", "1")).await.unwrap();
    }
    other.close();
    drop(other);
    std::fs::remove_dir_all(world.catalog()).unwrap();
    std::fs::rename(world.path("other"), world.catalog()).unwrap();
    world.refused("is another one");
}

#[tokio::test]
async fn a_mark_that_cannot_be_read_or_written_keeps_nobody_from_opening() {
    let world = World::new();
    world.run(&["a"]).await;
    for place in ["system/catalog-seen", "pool/catalog-seen"] {
        std::fs::write(world.path(place), b"nonsense").unwrap();
    }
    world.run(&["b"]).await;
    for place in ["system/catalog-seen", "pool/catalog-seen"] {
        std::fs::remove_file(world.path(place)).unwrap();
        std::fs::create_dir(world.path(place)).unwrap();
    }
    world.run(&["c"]).await;
    let newer = world.open().map(|catalog| catalog.opened_at());
    assert!(!matches!(newer, Err(Error::Newer { .. })) && newer.unwrap() >= 3);
}
