//! Random commits, failures and losses of either place against an oracle: what was answered is there, unless its loss was accepted.

use super::{CopyState, Fault, Point, World, all, put};
use crate::catalog::{Catalog, RocksCatalog};
use crate::entropy::{Entropy, SeededEntropy};
use std::collections::BTreeMap;
use std::sync::Arc;

fn draw(entropy: &SeededEntropy, below: u32) -> u32 {
    let mut bytes = [0; 4];
    entropy.fill(&mut bytes);
    u32::from_le_bytes(bytes) % below
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

struct Story {
    seed: u64,
    world: World,
    catalog: Option<Arc<RocksCatalog>>,
    answered: BTreeMap<String, String>,
    next: u32,
}

impl Story {
    fn catalog(&self) -> &Arc<RocksCatalog> {
        self.catalog.as_ref().unwrap()
    }

    fn end(&mut self) -> bool {
        let shared = self.catalog().copy_status().state == CopyState::Both;
        self.catalog = None;
        self.world.zone_faults.clear();
        shared
    }

    async fn check(&self, what: &str) {
        assert_eq!(all(self.catalog()).await, self.answered, "{what}, FIRN_SEED={}", self.seed);
    }

    async fn step(&mut self, choice: u32) {
        match choice {
            0..=9 => {
                self.next += 1;
                let (key, value) = ((self.next % 17).to_string(), self.next.to_string());
                self.catalog().commit(put(&key, &value)).await.unwrap();
                self.answered.insert(key, value);
            }
            10 => {
                let point = [Point::CatalogSync, Point::CatalogWrite][self.next as usize % 2];
                self.world.zone_faults.arm(point, Fault::Io, u64::from(self.next % 3), 1);
            }
            11 | 12 => {
                // It may meet the fault that is armed.
                let _made = self.world.make(self.catalog()).await;
            }
            13 => {
                self.end();
                self.catalog = Some(self.world.open());
                self.check("started again").await;
            }
            14 => {
                let shared = self.end();
                if shared {
                    self.world.restore().unwrap();
                    self.catalog = Some(self.world.try_open(true).unwrap());
                } else {
                    self.catalog = Some(self.world.open());
                }
                self.check("the directory was lost").await;
            }
            _ => {
                let shared = self.end();
                super::remove_tree(&self.world.path("b")).unwrap();
                std::fs::create_dir(self.world.path("b")).unwrap();
                let catalog = self.world.open();
                assert_eq!(catalog.read_only().is_some(), shared);
                drop(catalog);
                self.catalog = Some(self.world.try_open(true).unwrap());
                self.check("the zone was lost").await;
            }
        }
    }
}

#[tokio::test]
async fn random_failures_of_either_place_agree_with_the_oracle() {
    let (seed, rounds) = (number("FIRN_SEED", 7), number("FIRN_ROUNDS", 2));
    for round in 0..rounds {
        let seed = seed.wrapping_add(round);
        let (entropy, world) = (SeededEntropy::new(seed), World::seeded(seed));
        let catalog = Some(world.open());
        let mut story = Story { seed, world, catalog, answered: BTreeMap::new(), next: 0 };
        for _ in 0..60 {
            story.step(draw(&entropy, 16)).await;
        }
        story.check("at the end").await;
    }
}
