//! The key table: the few keys that seal the many data keys in rows.
//!
//! ```text
//!   prepare(scope) ─► active key in memory, a block of wraps reserved durably
//!   seal(scope, …) ─► one use taken from the block; at half of it the next block is reserved behind the caller's back
//!   unseal(…)      ─► any key of the table
//! ```
//!
//! A sealed value:
//!
//! | offset | length | field | meaning |
//! |---|---|---|---|
//! | 0 | 1 | version | 1 |
//! | 1 | 8 | key id | of the table's key |
//! | 9 | 12 | nonce | random |
//! | 21 | n | ciphertext | AES-256-GCM; additional data is the caller's |
//! | 21 + n | 16 | tag | |
//!
//! # Invariants
//! - A key is in its row durably before it seals anything.
//! - No key seals more than 2³² times, crashes included: uses are counted in blocks of 2²⁰ that are reserved durably before
//!   they are used, and what a crash leaves of a block is never used. A key without room for another block is replaced;
//!   the old one opens for ever.
//! - Nonces are random, so that a recovered store repeats none; 2³² of them collide with a probability of 2⁻³³.
//!
//! # Limits
//! 10,000 keys. While the catalog takes no commits a scope can seal what is left of its block (at least 2¹⁹ values, unless it
//! was prepared meanwhile), then [`Error::Exhausted`].

use super::row::{ACTIVE, KEYS, KeyId, KeyRow, KeyScope, decode_active, encode_active};
use super::{Aead, NONCE_LEN, TAG_LEN, refused};
use crate::{Error, Result};
use arc_swap::ArcSwap;
use engine::catalog::{Catalog, Check, Commit, Scan, Snapshot, Table, Write, retry};
use engine::clock::Clock;
use engine::codec::Custodian;
use engine::entropy::Entropy;
use engine::id::PartitionId;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const HEAD_LEN: usize = 1 + KeyId::LEN + NONCE_LEN;
/// How often a key may be used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Uses {
    /// Most uses of one key.
    pub(super) max: u64,
    /// How many are reserved at a time.
    pub(super) block: u64,
}

const USES: Uses = Uses { max: 1 << 32, block: 1 << 20 };
/// Most keys that are held in memory.
const MAX_KEYS: usize = 10_000;

/// Seals and opens data keys. One per appliance, shared.
pub struct KeyTable {
    catalog: Arc<dyn Catalog>,
    custodian: Arc<dyn Custodian>,
    entropy: Arc<dyn Entropy>,
    clock: Arc<dyn Clock>,
    held: ArcSwap<Held>,
    /// One reservation or renewal at a time.
    reserving: tokio::sync::Mutex<()>,
    runtime: tokio::runtime::Handle,
    itself: Weak<Self>,
    uses: Uses,
}

/// What is in memory: replaced as a whole, so that sealing takes no lock.
#[derive(Clone, Default)]
struct Held {
    keys: HashMap<KeyId, Arc<Aead>>,
    active: HashMap<KeyScope, Arc<Active>>,
}

/// The key that seals for a scope.
struct Active {
    id: KeyId,
    aead: Arc<Aead>,
    /// Uses that are reserved durably and not yet taken.
    budget: AtomicU64,
    /// A reservation is under way.
    asked: AtomicBool,
}

impl std::fmt::Debug for KeyTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "key table of {} keys, {}", self.held.load().keys.len(), self.custodian.description())
    }
}

impl KeyTable {
    /// Reads the table and unwraps its keys. Must be called within a tokio runtime, which later reserves uses.
    pub async fn open(
        catalog: Arc<dyn Catalog>,
        custodian: Arc<dyn Custodian>,
        entropy: Arc<dyn Entropy>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>> {
        Self::open_with(catalog, custodian, entropy, clock, USES).await
    }

    pub(super) async fn open_with(
        catalog: Arc<dyn Catalog>,
        custodian: Arc<dyn Custodian>,
        entropy: Arc<dyn Entropy>,
        clock: Arc<dyn Clock>,
        uses: Uses,
    ) -> Result<Arc<Self>> {
        let snapshot = catalog.snapshot(PartitionId::ROOT).await?;
        let mut held = Held::default();
        for (key, value) in scan_all(&*snapshot, KEYS).await? {
            let id = key.as_ref().try_into().map_err(|_| refused("key row", "its key is not 8 bytes"))?;
            let id = KeyId::from_bytes(id);
            held.keys.insert(id, unwrap(&*custodian, id, &value)?);
        }
        for (key, value) in scan_all(&*snapshot, ACTIVE).await? {
            let (scope, id) = decode_active(&key, &value)?;
            let aead = held.keys.get(&id).ok_or_else(|| Error::NoKey(id.to_string()))?;
            held.active.insert(scope, Arc::new(Active::new(id, Arc::clone(aead), 0)));
        }
        Ok(Arc::new_cyclic(|itself| Self {
            catalog,
            custodian,
            entropy,
            clock,
            held: ArcSwap::from_pointee(held),
            reserving: tokio::sync::Mutex::new(()),
            runtime: tokio::runtime::Handle::current(),
            itself: Weak::clone(itself),
            uses,
        }))
    }

    /// Makes sure that [`seal`](Self::seal) works for a scope: it has a key, and uses of it are reserved. Called once per
    /// scope after opening; cheap when nothing is to be done.
    pub async fn prepare(&self, scope: KeyScope) -> Result<()> {
        let _one_at_a_time = self.reserving.lock().await;
        // One round to find or make the key, one to reserve, one to replace a key that is used up.
        for _ in 0..3 {
            let active = self.held.load().active.get(&scope).map(Arc::clone);
            match active {
                None => self.renew(scope, None).await?,
                Some(active) if active.budget.load(Ordering::Acquire) > self.uses.block / 2 => return Ok(()),
                Some(active) if self.reserve(&active).await? => {}
                Some(active) => self.renew(scope, Some(active.id)).await?,
            }
        }
        Ok(())
    }

    /// Encrypts and authenticates `plaintext`, and authenticates `aad` with it. The scope must have been prepared.
    pub fn seal(&self, scope: KeyScope, plaintext: &[u8], aad: &[u8]) -> Result<Vec<u8>> {
        let held = self.held.load();
        let active = held.active.get(&scope).ok_or_else(|| Error::NoKey(scope.to_string()))?;
        let left = active.take().ok_or_else(|| Error::Exhausted(active.id.to_string()));
        if left.as_ref().map_or(true, |left| *left <= self.uses.block / 2) {
            self.ask_for_more(scope, active);
        }
        left?;
        let mut nonce = [0; NONCE_LEN];
        self.entropy.fill(&mut nonce);
        let mut out = Vec::with_capacity(HEAD_LEN + plaintext.len() + TAG_LEN);
        out.push(VERSION);
        out.extend_from_slice(active.id.as_bytes());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(plaintext);
        active.aead.seal(nonce, aad, &mut out, HEAD_LEN)?;
        Ok(out)
    }

    /// The plaintext of a sealed value; [`Error::Corrupt`] when value or `aad` are not what was sealed.
    pub fn unseal(&self, sealed: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let wrong = |detail| refused("sealed value", detail);
        match sealed.first() {
            Some(&VERSION) => {}
            Some(&found) if found > VERSION => {
                return Err(Error::Newer {
                    what: "sealed value",
                    found: found.into(),
                    supported: VERSION.into(),
                });
            }
            _ => return Err(wrong("it has no version")),
        }
        let (front, rest) = sealed.split_first_chunk::<HEAD_LEN>().ok_or_else(|| wrong("it is too short"))?;
        let (mut id, mut nonce) = ([0; KeyId::LEN], [0; NONCE_LEN]);
        id.copy_from_slice(&front[1..=KeyId::LEN]);
        nonce.copy_from_slice(&front[1 + KeyId::LEN..]);
        let id = KeyId::from_bytes(id);
        let held = self.held.load();
        let key = held.keys.get(&id).ok_or_else(|| Error::NoKey(id.to_string()))?;
        let mut data = Zeroizing::new(rest.to_vec());
        let length = key.open(nonce, aad, &mut data).map(<[u8]>::len);
        data.truncate(length.ok_or_else(|| wrong("its tag does not match"))?);
        Ok(data)
    }

    /// Bytes that sealing adds.
    pub const OVERHEAD: usize = HEAD_LEN + TAG_LEN;

    /// Every scope that has a key to seal with.
    pub fn scopes(&self) -> Vec<KeyScope> {
        self.held.load().active.keys().copied().collect()
    }

    /// Number of keys, and who wraps them, for `status`.
    pub fn describe(&self) -> (usize, String) {
        (self.held.load().keys.len(), self.custodian.description())
    }

    /// Reserves in the background, once.
    fn ask_for_more(&self, scope: KeyScope, active: &Arc<Active>) {
        if active.asked.swap(true, Ordering::AcqRel) {
            return;
        }
        let (itself, active) = (Weak::clone(&self.itself), Arc::clone(active));
        self.runtime.spawn(async move {
            let Some(table) = itself.upgrade() else { return };
            if let Err(error) = table.prepare(scope).await {
                tracing::warn!(%error, %scope, "could not reserve uses of a key; trying again with the next use");
            }
            active.asked.store(false, Ordering::Release);
        });
    }

    /// Reserves another block of a key's uses; false when it has none left.
    async fn reserve(&self, active: &Active) -> Result<bool> {
        let row = active.id.row();
        let reserved = retry(|_| async {
            let snapshot = self.catalog.snapshot(PartitionId::ROOT).await?;
            let missing = || engine::Error::NotFound { what: "key", id: active.id.to_string() };
            let value = snapshot.get(row.clone()).await?.ok_or_else(missing)?;
            let more = KeyRow::decode(&value).and_then(|mut stored| {
                stored.reserved = stored.reserved.saturating_add(self.uses.block);
                if stored.reserved > self.uses.max { Ok(None) } else { stored.encode().map(Some) }
            });
            // What is wrong with the row itself is no matter for a retry.
            let value = match more {
                Ok(Some(value)) => value,
                other => return Ok(other.map(|_| false)),
            };
            let checks = vec![Check::Unchanged(row.clone())];
            self.commit(&*snapshot, checks, vec![Write::Put(row.clone(), value)]).await?;
            Ok(Ok(true))
        })
        .await??;
        if reserved {
            active.budget.fetch_add(self.uses.block, Ordering::AcqRel);
        }
        Ok(reserved)
    }

    /// Gives a scope another key than `old`: the one that the catalog names (a commit whose outcome was not known may
    /// have put it there), or else a new one with its first block reserved.
    async fn renew(&self, scope: KeyScope, old: Option<KeyId>) -> Result<()> {
        if self.held.load().keys.len() >= MAX_KEYS {
            return Err(Error::Exhausted(scope.to_string()));
        }
        let snapshot = self.catalog.snapshot(PartitionId::ROOT).await?;
        let active_row = scope.row();
        if let Some(value) = snapshot.get(active_row.clone()).await? {
            let (_, id) = decode_active(&active_row.bytes, &value)?;
            if Some(id) != old {
                let value = snapshot.get(id.row()).await?.ok_or_else(|| Error::NoKey(id.to_string()))?;
                self.hold(scope, id, &unwrap(&*self.custodian, id, &value)?, 0);
                return Ok(());
            }
        }
        let id = KeyId::random(&*self.entropy);
        let mut plain = Zeroizing::new([0; 32]);
        self.entropy.fill(&mut *plain);
        let created = self.clock.now();
        let wrapped = self.custodian.wrap(&plain, &KeyRow::aad(id, scope, created))?;
        let value = KeyRow { scope, created, reserved: self.uses.block, wrapped }.encode()?;
        let checks = vec![Check::Absent(id.row()), Check::Unchanged(active_row.clone())];
        let writes = vec![Write::Put(id.row(), value), Write::Put(active_row, encode_active(id))];
        self.commit(&*snapshot, checks, writes).await?;
        self.hold(scope, id, &Arc::new(Aead::new(&plain)?), self.uses.block);
        Ok(())
    }

    /// From now on this key seals for the scope.
    fn hold(&self, scope: KeyScope, id: KeyId, aead: &Arc<Aead>, budget: u64) {
        let active = Arc::new(Active::new(id, Arc::clone(aead), budget));
        self.held.rcu(|held| {
            let mut held = Held::clone(held);
            held.keys.insert(id, Arc::clone(aead));
            held.active.insert(scope, Arc::clone(&active));
            held
        });
    }

    async fn commit(
        &self,
        snapshot: &dyn Snapshot,
        checks: Vec<Check>,
        writes: Vec<Write>,
    ) -> engine::Result<()> {
        // Delete markers are sealed too: a full disk must not keep them from their keys.
        let commit = Commit::new(PartitionId::ROOT, snapshot.read_version()).from_reserve();
        let commit = Commit { checks, writes, ..commit };
        self.catalog.commit(commit).await.map(drop)
    }
}

impl Active {
    fn new(id: KeyId, aead: Arc<Aead>, budget: u64) -> Self {
        Self { id, aead, budget: AtomicU64::new(budget), asked: AtomicBool::new(false) }
    }

    /// Takes one use; what is left, or `None` when there was none.
    fn take(&self) -> Option<u64> {
        let taken = self.budget.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1));
        taken.ok().map(|before| before - 1)
    }
}

fn unwrap(custodian: &dyn Custodian, id: KeyId, value: &[u8]) -> Result<Arc<Aead>> {
    let row = KeyRow::decode(value)?;
    let plain = custodian.unwrap(&row.wrapped, &KeyRow::aad(id, row.scope, row.created))?;
    Aead::new(&plain).map(Arc::new)
}

/// All rows of a table, at one version.
async fn scan_all(snapshot: &dyn Snapshot, table: Table) -> Result<Vec<(bytes::Bytes, bytes::Bytes)>> {
    let mut rows = Vec::new();
    let mut next = Some(Scan::prefix(table, b"", 1000));
    while let Some(scan) = next {
        if rows.len() > MAX_KEYS {
            return Err(refused("key table", "it has too many rows"));
        }
        let page = snapshot.scan(scan.clone()).await?;
        next = scan.behind(&page);
        rows.extend(page.rows);
    }
    Ok(rows)
}
