//! The process ends, or a step fails, anywhere while a copy is made, joined and renewed.

use super::{Arc, CopyState, Fault, Point, Progress, World, all, keep_image, map, put};
use crate::catalog::Catalog;
use parking_lot::Mutex;
use std::collections::BTreeMap;

#[tokio::test]
async fn a_step_that_fails_while_a_copy_is_made_costs_the_copy_alone() {
    for failing in 0.. {
        let world = World::new();
        let catalog = world.open();
        catalog.commit(put("a", "1")).await.unwrap();
        world.zone_faults.arm(Point::CatalogCopy, Fault::Io, failing, 1);
        let made = world.make(&catalog).await;
        catalog.commit(put("b", "2")).await.unwrap();
        if made.is_ok() {
            assert!(failing > 8, "small files, files of the base, its name, the record");
            assert_eq!(catalog.copy_status().state, CopyState::Both);
            break;
        }
        assert_ne!(catalog.copy_status().state, CopyState::Both);
        let again = world.make(&catalog).await;
        assert_eq!(again.unwrap(), Progress::More { done: 1 }, "step {failing}");
        catalog.commit(put("c", "3")).await.unwrap();
        drop(catalog);
        assert_eq!(world.in_zone().await, map(&[("a", "1"), ("b", "2"), ("c", "3")]), "step {failing}");
        assert_eq!(world.open().copy_status().state, CopyState::Both);
    }
}

/// At each step both disks are kept as they are then, as the end of the process would leave them.
#[tokio::test]
async fn a_process_that_ends_at_any_step_leaves_what_the_next_start_goes_on_from() {
    let world = Arc::new(World::new());
    let catalog = world.open();
    for n in 0..20 {
        catalog.commit(put(&n.to_string(), "1")).await.unwrap();
    }
    let images: Arc<Mutex<Vec<String>>> = Arc::default();
    let (inside, kept) = (Arc::downgrade(&world), Arc::clone(&images));
    for faults in [&world.zone_faults, &world.home_faults] {
        let (inside, kept) = (inside.clone(), Arc::clone(&kept));
        let keep = move || {
            let Some(world) = inside.upgrade() else { return };
            let mut kept = kept.lock();
            let name = format!("image {}", kept.len());
            for place in ["home", "b"] {
                keep_image(&world.path(place), &world.path(&format!("{name}/{place}")));
            }
            kept.push(name);
        };
        for point in [Point::CatalogCopy, Point::CatalogSync] {
            faults.visit(point, keep.clone());
        }
    }
    world.share(&catalog).await;
    let mut last = BTreeMap::new();
    for n in 20..24 {
        catalog.commit(put(&n.to_string(), "2")).await.unwrap();
        last = all(&catalog).await;
    }
    world.zone_faults.clear();
    world.home_faults.clear();
    drop(catalog);
    let images = std::mem::take(&mut *images.lock());
    assert!(images.len() > 15, "{}", images.len());
    for (n, name) in images.into_iter().enumerate() {
        for place in ["home", "b"] {
            super::remove_tree(&world.path(place)).unwrap();
            world.mv(&format!("{name}/{place}"), place);
        }
        let catalog = world.try_open(false).unwrap_or_else(|error| panic!("{name}: {error}"));
        let found = all(&catalog).await;
        assert!(found.len() >= 20 && found.iter().all(|row| last.contains_key(row.0)), "{name}: {found:?}");
        catalog.commit(put("next", "3")).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        if catalog.copy_status().state != CopyState::Both {
            world.share(&catalog).await;
        }
        let here = all(&catalog).await;
        drop(catalog);
        if n % 4 == 0 {
            assert_eq!(world.in_zone().await, here, "{name}");
        }
    }
}
