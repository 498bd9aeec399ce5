//! Pairs of images of the directory's disk and the zone's, from every step of committing, parting, coming back and being taken up again,
//! started and judged. Of recovering, and of far more stories, `judge_tests.rs` does the same with the records alone.

use super::{Arc, CopyState, Error, Fault, Point, World, all, keep_image, put, remove_tree};
use crate::catalog::Catalog;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a moment's images must not be started without: what was promised to survive each disk by then.
#[derive(Clone, Default)]
struct Promised {
    home: BTreeSet<String>,
    both: BTreeSet<String>,
}

struct Images {
    world: Arc<World>,
    promised: Mutex<Promised>,
    taken: Mutex<Vec<(String, Promised)>>,
    steps: AtomicUsize,
}

impl Images {
    fn take(&self) {
        let mut taken = self.taken.lock();
        // Before the image: what is promised while it is taken need not be in it.
        let promised = self.promised.lock().clone();
        let name = format!("image {}", taken.len());
        for place in ["home", "b"] {
            keep_image(&self.world.path(place), &self.world.path(&format!("{name}/{place}")));
        }
        taken.push((name, promised));
    }

    /// At a step of making a copy. Those that copy its files leave the records as they are: of them one of four is enough.
    fn step(&self) {
        let said = |at: &Path| std::fs::read(at.join("catalog/membership")).ok();
        let newest = self.taken.lock().last().map(|(name, _)| name.clone());
        let is_news = newest.is_none_or(|newest| {
            let image = self.world.path(&newest);
            ["home", "b"].iter().any(|place| said(&self.world.path(place)) != said(&image.join(place)))
        });
        if self.steps.fetch_add(1, Ordering::Relaxed).is_multiple_of(4) || is_news {
            self.take();
        }
    }

    async fn commit(&self, catalog: &Arc<super::RocksCatalog>, key: &str) {
        catalog.commit(put(key, "1")).await.unwrap();
        let mut promised = self.promised.lock();
        promised.home.insert(key.to_owned());
        if catalog.copy_status().state == CopyState::Both {
            promised.both = promised.home.clone();
        } else {
            promised.both.clear();
        }
    }
}

/// Has images taken at the steps of the copy.
fn watch(images: &Arc<Images>) {
    let (inside, world) = (Arc::downgrade(images), &images.world);
    for faults in [&world.zone_faults, &world.home_faults] {
        let inside = inside.clone();
        faults.visit(Point::CatalogCopy, move || {
            if let Some(images) = inside.upgrade() {
                images.step();
            }
        });
    }
}

#[tokio::test]
async fn no_pair_of_images_starts_unasked_without_what_was_promised() {
    let world = Arc::new(World::new());
    let images = Arc::new(Images {
        world: Arc::clone(&world),
        promised: Mutex::default(),
        taken: Mutex::default(),
        steps: AtomicUsize::new(0),
    });
    let catalog = world.open();
    images.commit(&catalog, "alone").await;
    images.take();
    world.share(&catalog).await;
    images.commit(&catalog, "joined").await;
    images.take();
    images.commit(&catalog, "joined 2").await;
    drop(catalog);
    // The steps of what follows are watched; those of a base are many, and nothing names it until it is whole.
    watch(&images);
    let catalog = world.open();
    images.commit(&catalog, "taken up").await;
    images.take();
    world.zone_faults.arm(Point::CatalogSync, Fault::Io, 0, 1);
    images.commit(&catalog, "parted").await;
    images.take();
    world.share(&catalog).await;
    images.commit(&catalog, "back").await;
    drop(catalog);
    world.zone_faults.clear();
    images.take();
    let taken = std::mem::take(&mut *images.taken.lock());
    assert!(taken.len() > 10, "{}", taken.len());
    let (last, now) = taken.last().cloned().unwrap();
    let (mut started, mut held, mut said) = (0, 0, None);
    for (name, then) in &taken {
        // Of every pair one is as it is now, or both are of one moment.
        for (home, zone, promised) in
            [(name, name, &then.home), (&last, name, &now.home), (name, &last, &now.both)]
        {
            for (place, from) in [("home", home), ("b", zone)] {
                remove_tree(&world.path(place)).unwrap();
                keep_image(&world.path(&format!("{from}/{place}")), &world.path(place));
            }
            match world.try_open(false) {
                Ok(catalog) if catalog.read_only().is_none() => {
                    let found: BTreeSet<String> = all(&catalog).await.into_keys().collect();
                    assert!(promised.is_subset(&found), "home of {home}, zone of {zone}: {found:?}");
                    catalog.commit(put("next", "1")).await.unwrap();
                    started += 1;
                }
                Ok(_) | Err(Error::Forked { .. }) => held += 1,
                Err(error) => panic!("home of {home}, zone of {zone}: {error}"),
            }
        }
        // Whatever counts in an image of the zone is whole.
        remove_tree(&world.path("b")).unwrap();
        keep_image(&world.path(&format!("{name}/b")), &world.path("b"));
        let says = std::fs::read(world.place().dir.join("membership")).ok();
        if says.is_some() && says != said {
            said = says;
            let found: BTreeSet<String> = world.in_zone().await.into_keys().collect();
            assert!(then.both.is_subset(&found), "zone of {name}: {found:?}");
        }
    }
    assert!(started > 10 && held > 8, "{started} started, {held} did not");
}
