//! Random operations against an oracle, with crash-and-reopen among them.

use super::super::{Collector, Compactor, Recycler, Repairer, share};
use super::{HOME, World, owned};
use crate::ErrorKind;
use crate::codec::DataKey;
use crate::entropy::{Entropy, SeededEntropy};
use crate::id::BlobId;
use crate::worker::Worker;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

struct Kept {
    key: DataKey,
    body: Vec<u8>,
    owners: BTreeSet<String>,
}

struct Model {
    world: World,
    /// Something is wrong in this zone: nothing may happen to another one before it is mended.
    harmed: Option<usize>,
    dice: SeededEntropy,
    blobs: BTreeMap<BlobId, Kept>,
    gone: Vec<(BlobId, DataKey)>,
    next_owner: u64,
}

impl Model {
    async fn new(seed: u64, zones: u8) -> Self {
        let world = if zones > 1 { World::with_zones(seed, zones).await } else { World::new(seed).await };
        let dice = SeededEntropy::new(seed ^ 0xD1CE);
        Self { world, harmed: None, dice, blobs: BTreeMap::new(), gone: Vec::new(), next_owner: 0 }
    }

    fn below(&self, n: usize) -> usize {
        let mut bytes = [0; 8];
        self.dice.fill(&mut bytes);
        usize::try_from(u64::from_le_bytes(bytes) % n.max(1) as u64).unwrap()
    }

    fn any(&self) -> Option<BlobId> {
        self.blobs.keys().nth(self.below(self.blobs.len())).copied()
    }

    fn owner(&mut self) -> String {
        self.next_owner += 1;
        format!("owner {}", self.next_owner)
    }

    async fn put(&mut self) {
        let len = match self.below(4) {
            0 => self.below(100),
            1 => self.below(70_000),
            2 => self.below(260_000),
            _ => self.below(900_000),
        };
        let body = self.world.bytes(len);
        let owner = self.owner();
        let (blob, key) = self.world.put(&body, &owner).await.unwrap();
        self.blobs.insert(blob, Kept { key, body, owners: BTreeSet::from([owner]) });
    }

    async fn read(&self) {
        let Some(blob) = self.any() else { return };
        let kept = &self.blobs[&blob];
        let end = self.below(kept.body.len() + 1);
        let start = self.below(end + 1);
        let got = self.world.read(blob, &kept.key, start as u64..end as u64).await.unwrap();
        assert!(got == kept.body[start..end], "{blob} {start}..{end}");
    }

    async fn share(&mut self) {
        let Some(blob) = self.any() else { return };
        let owner = self.owner();
        self.world.commit(share(blob, &owned(&owner))).await.unwrap();
        self.blobs.get_mut(&blob).unwrap().owners.insert(owner);
    }

    async fn release(&mut self) {
        let Some(blob) = self.any() else { return };
        let kept = self.blobs.get_mut(&blob).unwrap();
        let owner = kept.owners.pop_first().unwrap();
        self.world.drop_reference(blob, &owner).await;
        if kept.owners.is_empty() {
            let kept = self.blobs.remove(&blob).unwrap();
            self.gone.push((blob, kept.key));
        }
    }

    /// A few ticks of one worker, however far they get.
    async fn work(&self) {
        let store = Arc::clone(&self.world.store);
        let several = self.world.zones.len() > 1;
        let mut worker: Box<dyn Worker> = match self.below(if several { 4 } else { 3 }) {
            0 => Box::new(Collector::new(store)),
            1 => Box::new(Compactor::new(store)),
            2 => Box::new(Recycler::new(store)),
            _ => Box::new(Repairer::new(store)),
        };
        for _ in 0..=self.below(6) {
            worker.tick().await.unwrap();
        }
    }

    async fn crash(&mut self) {
        // Durable bytes without a row, and a writer cut off in the middle.
        let orphan = self.world.seal(&self.world.bytes(50_000)).await.unwrap();
        let mut cut = self.world.store.writer(HOME, None);
        cut.push(self.world.bytes(400_000).into()).await.unwrap();
        drop((orphan, cut));
        self.world.reopen().await.unwrap();
    }

    /// A zone goes away, comes back empty, or has a byte flipped.
    async fn harm(&mut self) {
        if self.harmed.is_some() || self.world.zones.len() < 2 {
            return;
        }
        let zone = self.below(self.world.zones.len());
        self.harmed = Some(zone);
        match self.below(3) {
            0 => {
                self.world.zones[zone].away = Some("it was pulled".to_owned());
                self.world.reopen().await.unwrap();
            }
            1 => self.world.replace(zone).await,
            _ => {
                let Some(blob) = self.any() else { return };
                let name = self.world.zones[zone].name.clone();
                let places = self.world.store.locate(HOME, blob).await.unwrap();
                let here: Vec<_> = places.into_iter().filter(|place| place.zone == name).collect();
                if !here.is_empty() {
                    let (n, at) = (self.below(here.len()), self.below(1000));
                    // A record without a body has nothing between its header and its end.
                    let middle = (here[n].length.get() - 192).max(1);
                    self.world.flip(&here[n], 128 + at as u64 % middle);
                }
            }
        }
    }

    /// Whatever went comes back, and what is wrong is put right.
    async fn heal(&mut self) {
        let Some(zone) = self.harmed.take() else { return };
        if self.world.zones[zone].away.take().is_some() {
            self.world.reopen().await.unwrap();
        }
        self.world.scrub().await;
        super::run(&mut Repairer::new(Arc::clone(&self.world.store))).await;
        let repair = self.world.store.repair();
        assert_eq!((repair.walking, repair.short_blobs, repair.lost_blobs), (false, 0, 0), "{repair:?}");
        for blob in self.blobs.keys() {
            let places = self.world.store.locate(HOME, *blob).await.unwrap();
            assert!(places.iter().all(|place| !place.missing), "{blob}");
        }
    }

    async fn step(&mut self) {
        match self.below(100) {
            // In a store of one zone these do nothing.
            0..4 => self.harm().await,
            4..7 => self.heal().await,
            7..32 => self.put().await,
            32..50 => self.read().await,
            50..56 => self.share().await,
            56..82 => self.release().await,
            82..95 => self.work().await,
            95..98 => self.world.clock.advance(Duration::from_secs(20)),
            _ => self.crash().await,
        }
    }

    async fn check(&mut self) {
        self.heal().await;
        self.world.reopen().await.unwrap();
        self.world.settle().await;
        let mut live = 0;
        for (blob, kept) in &self.blobs {
            let got = self.world.read(*blob, &kept.key, 0..kept.body.len() as u64).await.unwrap();
            assert!(got == kept.body, "{blob}");
            for place in self.world.store.locate(HOME, *blob).await.unwrap() {
                live += place.length.get();
            }
        }
        for (blob, key) in &self.gone {
            let error = self.world.read(*blob, key, 0..0).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{blob} was collected");
        }
        assert_eq!(self.world.store.usage().live.get(), live, "live bytes are the oracle's");
        self.world.reopen().await.unwrap();
        self.world.settle().await;
        assert_eq!(self.world.store.usage().live.get(), live, "and still are after a restart");
        // No lane has taken a file since the restart, the compactor's aside.
        self.world.reopen().await.unwrap();
        let mut named = BTreeSet::new();
        for blob in self.blobs.keys() {
            named.extend(self.world.store.locate(HOME, *blob).await.unwrap().into_iter().map(|p| p.segment));
        }
        super::run(&mut Compactor::new(Arc::clone(&self.world.store))).await;
        super::run(&mut Recycler::new(Arc::clone(&self.world.store))).await;
        for blob in self.blobs.keys() {
            named.extend(self.world.store.locate(HOME, *blob).await.unwrap().into_iter().map(|p| p.segment));
        }
        let leaked: Vec<_> =
            self.world.segment_files().into_iter().filter(|id| !named.contains(id)).collect();
        assert!(leaked.is_empty(), "segments that no row names: {leaked:?}");
    }
}

#[tokio::test]
async fn random_operations_agree_with_the_oracle() {
    agree_with_the_oracle(1).await;
}

#[tokio::test]
async fn random_operations_and_the_loss_of_zones_agree_with_the_oracle() {
    agree_with_the_oracle(3).await;
}

async fn agree_with_the_oracle(zones: u8) {
    let seeds: Vec<u64> = match std::env::var("FIRN_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..6).collect(),
    };
    for seed in seeds {
        let mut model = Model::new(seed, zones).await;
        let run = async {
            for _ in 0..250 {
                model.step().await;
            }
            model.check().await;
        };
        let outcome = futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(run)).await;
        assert!(outcome.is_ok(), "failed with FIRN_SEED={seed}");
    }
}
