//! Layouts: what a reader has to know of before it may open a catalog.
//!
//! ```text
//!   a commit that needs a layout ─► the marker says so, durably ─► the commit's frame says so ─► its rows
//! ```
//!
//! # Invariants
//! - The marker only grows, and a number stands for all that smaller ones stand for: a catalog is never opened by a firn that would not
//!   heed what is in it.
//! - So does a frame of the log: what is shipped to a backup is refused by such a firn too, though its base is older.
//!
//! A crash between the marker and the commit leaves a marker that says more than there is.

/// What some of a catalog's rows ask of whoever reads them. The table is in docs/formats/catalog.md; a number is given once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Layout(u8);

impl Layout {
    /// Rows that every firn knows what to do with, or may pass over.
    pub const FIRST: Self = Self(1);
    /// Rows that deny what others would allow: a firn that doesn't know of them would show what they deny.
    pub const POLICIES: Self = Self(2);
    // 3 and 6 were meant for what 10 says, and were never given out: a number stands for all smaller ones, and others were there first.
    /// Rows of users, roles and their keys: a firn that doesn't know of them would not know the keys that seal their secrets.
    pub const IDENTITIES: Self = Self(4);
    /// Buckets with lifecycle rules: what a firn writes that doesn't know of them is in no index, and would never be due.
    pub const LIFECYCLES: Self = Self(5);
    /// Rows of keys that are managed here (KMS): a firn that doesn't know of them would not know the keys that seal their material.
    pub const KEYS: Self = Self(7);
    /// Objects whose keys are in an envelope: a firn that doesn't know of them would take what is in the row for the key.
    pub const ENVELOPES: Self = Self(8);
    /// Vaults: a firn that doesn't know of them would know neither the keys that seal theirs nor whose their partitions are.
    pub const VAULTS: Self = Self(9);
    /// A catalog that may have a copy in a zone: whoever writes to it must see to the copy.
    pub(in crate::catalog) const COPIES: Self = Self(10);
    /// Objects of classes that are archived: a firn that doesn't know of them would give out what is to be restored first, and look in vain
    /// for bytes that lie in a vault.
    pub const CLASSES: Self = Self(11);
    /// Trails: a firn that doesn't know of them would record nothing for who was promised records, nor know the keys that sign them.
    pub const TRAILS: Self = Self(12);
    /// Objects whose keys a managed key's data key wraps: a firn that doesn't know of them would take their rows for damaged, and a bucket's
    /// default for none.
    pub const MANAGED: Self = Self(13);
    /// Passwords and second factors: a firn that doesn't know of them would let a deleted user's be the next one's, and let in without a code
    /// whom a code is asked of.
    pub const LOGINS: Self = Self(14);
    /// The newest that this code knows.
    pub(in crate::catalog) const NEWEST: Self = Self::LOGINS;
    /// All that this code knows.
    const KNOWN: [Self; 12] = [
        Self::FIRST,
        Self::POLICIES,
        Self::IDENTITIES,
        Self::LIFECYCLES,
        Self::KEYS,
        Self::ENVELOPES,
        Self::VAULTS,
        Self::COPIES,
        Self::CLASSES,
        Self::TRAILS,
        Self::MANAGED,
        Self::LOGINS,
    ];

    /// Its number on disk.
    pub(in crate::catalog) const fn number(self) -> u8 {
        self.0
    }

    /// The layout of a number on disk; `None`: a newer one, or none.
    pub(in crate::catalog) fn of_number(number: u32) -> Option<Self> {
        Self::KNOWN.into_iter().find(|known| u32::from(known.0) == number)
    }
}
