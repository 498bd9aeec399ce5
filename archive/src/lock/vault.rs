//! Glacier's vault lock.

use bytes::Bytes;
use engine::clock::Timestamp;
use engine::id_type;
use std::time::Duration;

/// How long a lock may be tried before it is completed; then it is gone by itself.
pub const LOCK_WINDOW: Duration = Duration::from_hours(24);
/// The longest policy of a lock: 20 KiB.
pub const MAX_POLICY_BYTES: usize = 20 << 10;

id_type! {
    /// What completes a lock: random, known to who initiated it.
    pub struct LockId(pub [u8; 16]), "lock"
}

impl std::str::FromStr for LockId {
    type Err = LockError;

    /// 32 hexadecimal digits; anything else is an id that no lock has.
    fn from_str(text: &str) -> Result<Self, LockError> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| LockError::WrongId)?;
        Ok(Self::from_bytes(bytes))
    }
}

/// The policy of a lock: JSON that `security::policy` has read and found good. 1 byte to 20 KiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockPolicy(Bytes);

impl LockPolicy {
    /// Checked for its length alone.
    pub fn new(json: impl Into<Bytes>) -> Result<Self, LockError> {
        let json = json.into();
        if json.is_empty() {
            return Err(LockError::NoPolicy);
        }
        if json.len() > MAX_POLICY_BYTES {
            return Err(LockError::PolicyTooLarge { bytes: json.len() });
        }
        Ok(Self(json))
    }

    /// As it was given.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

/// The lock of a vault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum VaultLock {
    /// None.
    #[default]
    Open,
    /// Its policy is in force, and may still be taken back.
    InProgress {
        /// What completes it.
        id: LockId,
        /// What is in force.
        policy: LockPolicy,
        /// Since when.
        created: Timestamp,
    },
    /// Its policy is in force for ever.
    Locked {
        /// What completed it.
        id: LockId,
        /// What is in force.
        policy: LockPolicy,
        /// When it was initiated.
        created: Timestamp,
        /// When it was completed.
        locked: Timestamp,
    },
}

/// What is asked of a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockEvent {
    /// `InitiateVaultLock`, with a new random id.
    Initiate {
        /// The id that completes it.
        id: LockId,
        /// What it is to put in force.
        policy: LockPolicy,
    },
    /// `CompleteVaultLock`.
    Complete {
        /// As it was given.
        id: LockId,
    },
    /// `AbortVaultLock`.
    Abort,
}

/// What happened to the lock, for the row, the audit trail and the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockChange {
    /// A lock was tried for 24 hours and not completed: its policy is in force no more.
    Expired(LockId),
    /// A policy is in force until the window ends.
    Initiated(LockId),
    /// It was taken back.
    Aborted(LockId),
    /// It is in force for ever.
    Locked(LockId),
}

/// Glacier's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockErrorCode {
    /// `AccessDeniedException`, 403.
    AccessDenied,
    /// `InvalidParameterValueException`, 400.
    InvalidParameterValue,
    /// `MissingParameterValueException`, 400.
    MissingParameterValue,
    /// `ResourceNotFoundException`, 404.
    ResourceNotFound,
}

/// Why a lock does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// One is being tried.
    #[error("a vault lock is in progress; complete it, or abort it and begin again")]
    InProgress,
    /// It is locked.
    #[error("the vault is locked; its lock can never be changed")]
    Locked,
    /// The id is another lock's, or none.
    #[error("the lock id is not that of the vault's lock; use the one that initiating it gave")]
    WrongId,
    /// The vault is locked with another id.
    #[error("the vault is locked, and with another lock id")]
    LockedByAnother,
    /// There is none, or its 24 hours are over.
    #[error(
        "the vault has no lock in progress: it was never initiated, aborted, or not completed within 24 hours; initiate one"
    )]
    None,
    /// No policy.
    #[error("a vault lock needs a policy")]
    NoPolicy,
    /// Too long a policy.
    #[error("the policy has {bytes} bytes, a vault lock's has at most {MAX_POLICY_BYTES}")]
    PolicyTooLarge {
        /// How long it is.
        bytes: usize,
    },
}

impl LockError {
    /// What Glacier answers.
    pub const fn code(&self) -> LockErrorCode {
        match self {
            Self::InProgress | Self::Locked | Self::LockedByAnother => LockErrorCode::AccessDenied,
            Self::WrongId | Self::PolicyTooLarge { .. } => LockErrorCode::InvalidParameterValue,
            Self::NoPolicy => LockErrorCode::MissingParameterValue,
            Self::None => LockErrorCode::ResourceNotFound,
        }
    }
}

impl VaultLock {
    /// As it is by now: one whose 24 hours are over is none any more.
    #[must_use]
    pub fn at(self, now: Timestamp) -> (Self, Option<LockChange>) {
        match self {
            Self::InProgress { id, created, .. } if now >= created.plus(LOCK_WINDOW) => {
                (Self::Open, Some(LockChange::Expired(id)))
            }
            other => (other, None),
        }
    }

    /// The next state and what changed, or why nothing does. Where an expired lock was in the way, that comes first.
    pub fn step(self, event: LockEvent, now: Timestamp) -> Result<(Self, Vec<LockChange>), LockError> {
        let (lock, expired) = self.at(now);
        let (lock, change) = match (lock, event) {
            (Self::Open, LockEvent::Initiate { id, policy }) => {
                (Self::InProgress { id, policy, created: now }, Some(LockChange::Initiated(id)))
            }
            (Self::InProgress { .. }, LockEvent::Initiate { .. }) => return Err(LockError::InProgress),
            (Self::Locked { .. }, LockEvent::Initiate { .. } | LockEvent::Abort) => {
                return Err(LockError::Locked);
            }
            (Self::Open, LockEvent::Complete { .. }) => return Err(LockError::None),
            (Self::InProgress { id, policy, created }, LockEvent::Complete { id: given }) if given == id => {
                (Self::Locked { id, policy, created, locked: now }, Some(LockChange::Locked(id)))
            }
            (Self::InProgress { .. }, LockEvent::Complete { .. }) => return Err(LockError::WrongId),
            (Self::Locked { id, .. }, LockEvent::Complete { id: given }) if given != id => {
                return Err(LockError::LockedByAnother);
            }
            (lock @ Self::Locked { .. }, LockEvent::Complete { .. }) => (lock, None),
            (Self::Open, LockEvent::Abort) => (Self::Open, None),
            (Self::InProgress { id, .. }, LockEvent::Abort) => (Self::Open, Some(LockChange::Aborted(id))),
        };
        Ok((lock, expired.into_iter().chain(change).collect()))
    }

    /// The policy in force by now.
    pub fn policy(&self, now: Timestamp) -> Option<&LockPolicy> {
        match self {
            Self::InProgress { policy, created, .. } if now < created.plus(LOCK_WINDOW) => Some(policy),
            Self::Locked { policy, .. } => Some(policy),
            Self::Open | Self::InProgress { .. } => None,
        }
    }

    /// `GetVaultLock`'s `State`.
    pub const fn name(&self) -> Option<&'static str> {
        match self {
            Self::Open => None,
            Self::InProgress { .. } => Some("InProgress"),
            Self::Locked { .. } => Some("Locked"),
        }
    }

    /// `GetVaultLock`'s `ExpirationDate`.
    pub fn expires(&self) -> Option<Timestamp> {
        match self {
            Self::InProgress { created, .. } => Some(created.plus(LOCK_WINDOW)),
            Self::Open | Self::Locked { .. } => None,
        }
    }
}
