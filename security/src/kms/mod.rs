//! Managed keys: KMS's, with policies, grants, aliases and rotations of their own.
//!
//! ```text
//!   who asks, key ─► rows at one version ─► key policy, identity, grants ─► state ─► backing key ─► ciphertext that names both
//!                                                                                    └ sealed by the key table
//! ```
//! docs/adr/0029-managed-keys.md has the reasons, docs/formats/kms.md the bytes. Operations decide for themselves who may: a key's policy is
//! the root of trust, and stands beside the key.
//!
//! # Invariants
//! - Nothing of a key is in memory but compiled policies, by the hash of their text. Each use reads the key's rows at a version from after it
//!   was asked for: what was disabled, denied or revoked, and answered, is so for every use that begins later.
//! - One operation, one commit, with checks on what it rests on. A crash leaves old or new.
//! - Material is unsealed for one use and wiped.
//!
//! # Limits
//! 100,000 keys of an account, 50 aliases of a key, 50,000 grants of a key and 500 of somebody on a key, 32 KiB of policy
//! ([`POLICY_BYTES_MAX`]), 4,096 bytes to encrypt. Pairs of keys are used on half the processors, made two at a time, and 256 requests of an account
//! wait for either.

mod aliases;
mod allow;
mod asymmetric;
mod change;
mod cipher;
mod context;
mod error;
mod find;
mod grants;
mod id;
mod import;
mod keys;
mod limit;
mod model;
mod policies;
mod rotation;
mod row;
mod sign;
mod spec;
mod tags;
#[cfg(test)]
mod tests;
mod token;
mod turns;
mod uses;
mod worker;

pub use context::EncryptionContext;
pub use error::{Code, KmsError, Result};
pub use id::KeyId;
pub use limit::POLICY_BYTES_MAX;
pub use model::{
    Alias, Asks, DataKey, Decrypt, Encrypt, Grant, Import, Key, KeyPair, MessageKind, NewGrant, NewKey,
    Opened, Page, Paging, ReEncrypt, Retire, Rotated, RotationKind, RotationStatus, Sealed, Sign, ToImport,
};
pub use policies::{CONDITION_KEYS, default_policy};
pub use row::Constraint;
pub use spec::{
    EncryptionAlgorithm, GrantOperation, GrantOperations, KeySpec, KeyState, KeyUsage, MacAlgorithm, Manager,
    Origin, SigningAlgorithm,
};

use crate::identity::Identities;
use crate::identity::document::Hash;
use crate::identity::kept::Kept;
use crate::keys::KeyTable;
use crate::policy::Policy;
use engine::catalog::Catalog;
use engine::clock::Clock;
use engine::clock::compliance::ComplianceClock;
use engine::entropy::Entropy;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use tokio::sync::Notify;
use turns::Turns;

/// Compiled policies in memory, in bytes.
const COMPILED_BYTES_MAX: usize = 16 << 20;
/// How many pairs of keys are made at once: one of RSA takes a processor for up to seconds.
const MADE_AT_ONCE: usize = 2;

/// How many pairs of keys are used at once: half the processors stay with what else there is to do.
fn used_at_once() -> usize {
    std::thread::available_parallelism().map_or(1, |all| (all.get() / 2).max(1))
}

/// What managed keys stand on.
pub struct Parts {
    /// Where their rows are.
    pub catalog: Arc<dyn Catalog>,
    /// Seals their material.
    pub keys: Arc<KeyTable>,
    /// Whom policies and grants name.
    pub identities: Arc<Identities>,
    /// Tells when.
    pub clock: Arc<dyn Clock>,
    /// What a key's end waits for beside it.
    pub compliance: Arc<ComplianceClock>,
    /// Ids, material and salts.
    pub entropy: Arc<dyn Entropy>,
    /// Where keys are.
    pub region: String,
}

/// All managed keys of an appliance. One, shared. Costs nothing where there are none.
pub struct Kms {
    parts: Parts,
    compiled: Kept<Hash, Arc<Policy>>,
    /// Changes of this process that may have taken something from somebody.
    epoch: AtomicU64,
    /// Pairs of keys being made.
    making: Arc<Turns>,
    /// Pairs of keys in use.
    working: Arc<Turns>,
    /// Something is due earlier than the worker knows.
    bell: Arc<Notify>,
    itself: Weak<Self>,
}

impl std::fmt::Debug for Kms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "managed keys, epoch {}", self.epoch())
    }
}

impl Kms {
    /// Reads nothing.
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new_cyclic(|itself| Self {
            parts,
            compiled: Kept::new(COMPILED_BYTES_MAX),
            epoch: AtomicU64::new(0),
            making: Turns::new(MADE_AT_ONCE),
            working: Turns::new(used_at_once()),
            bell: Arc::default(),
            itself: Weak::clone(itself),
        })
    }

    /// Another number after each change of any key in this process, before that is answered: its state, policy, grants, material, aliases.
    ///
    /// Whoever keeps an unwrapped data key keeps the number from before it asked, and asks again when it is another one. Policies of users are
    /// none of it: who may use what was unwrapped for somebody else is asked each time. A number says nothing of other processes: such a copy is
    /// good for a second (a lease), and one that is cut off for as long as its owner configures.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    fn has_changed(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// The region that keys are in.
    pub fn region(&self) -> &str {
        &self.parts.region
    }
}
