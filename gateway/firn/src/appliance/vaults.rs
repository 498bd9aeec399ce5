//! Vaults, where the configuration opens the Glacier door.

use super::home::Home;
use crate::config::VaultConfig;
use crate::layout::{VAULT, VAULT_MAKING};
use anyhow::Context;
use archive::retrieval::{MediumKind, Prices};
use archive::vault::{Components, MediumOptions, Topics, Vaults};
use engine::blob::BlobStore;
use engine::catalog::Catalog;
use engine::clock::Clock;
use engine::clock::compliance::ComplianceClock;
use engine::entropy::Entropy;
use engine::outbox::Outbox;
use security::keys::KeyTable;
use std::sync::Arc;

/// What vaults stand on.
pub(super) struct Below {
    pub(super) catalog: Arc<dyn Catalog>,
    pub(super) blobs: Arc<BlobStore>,
    pub(super) keys: Arc<KeyTable>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) compliance: Arc<ComplianceClock>,
    pub(super) entropy: Arc<dyn Entropy>,
}

/// Opens them. Packs lie in a directory of the data directory unless media are named.
pub(super) async fn open(home: &Home, config: &VaultConfig, below: Below) -> anyhow::Result<Arc<Vaults>> {
    let mut media = config.media.clone();
    if media.is_empty() {
        let path = home.dir.join(VAULT);
        std::fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        let label = VAULT.parse().context("name the default medium")?;
        media.push(MediumOptions { label, kind: MediumKind::Disk, path, capacity: None, write_once: false });
    }
    tracing::warn!("vaults are a preview: their door is young; keep another copy of what is in them");
    let Below { catalog, blobs, keys, outbox, clock, compliance, entropy } = below;
    Vaults::open(Components {
        catalog,
        blobs,
        keys,
        clock,
        compliance,
        day: home.marker.debug_day.unwrap_or(objectstore::DAY),
        entropy,
        region: home.marker.region.clone(),
        making: home.dir.join(VAULT_MAKING),
        media,
        packing: config.packing,
        prices: Prices::default(),
        free_per_day: config.free_per_day,
        topics: Some(Topics { outbox, account: home.marker.account }),
    })
    .await
    .context("open the vaults")
}
