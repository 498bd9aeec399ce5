//! What keeps archives from being deleted: a vault's lock, legal holds, and the age that an archive must have.
//!
//! ```text
//!              initiate (policy, lock id)              complete (the same lock id)
//!    Open ──────────────────────────────► InProgress ───────────────────────────► Locked   for ever
//!     ▲ ◄──────────── abort ──────────────────┤ │
//!     └──────── 24 hours have passed ─────────┘ └── the policy is in force already, to be tried
//! ```
//!
//! - [`VaultLock`] is Glacier's vault lock as a pure state machine with [`LockError`]s that have Glacier's codes.
//! - [`Facts`] are the values that a lock's or an access policy's conditions ask for (`glacier:ArchiveAgeInDays`,
//!   `glacier:ResourceTag/…`). Policies are read and decided by `security::policy`; the bytes of one are opaque here.
//! - [`Guard`] is firn's own part: legal holds and a least age that need no policy language, for `firn vault hold` and the S3 classes.
//!
//! Every time here is the *compliance clock's*, given as a value: a system clock that is set forward opens nothing and ages nothing.
//! Nothing here does I/O. Rows: docs/formats/vault-locks.md.

mod guard;
mod record;
mod vault;

pub use guard::{DAY, Facts, Guard, HoldName, Kept, age_in_days};
pub use vault::{
    LOCK_WINDOW, LockChange, LockError, LockErrorCode, LockEvent, LockId, LockPolicy, MAX_POLICY_BYTES,
    VaultLock,
};

#[cfg(test)]
mod tests;
