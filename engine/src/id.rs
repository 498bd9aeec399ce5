//! Ids as types: random, or half random and growing; never converted into one another, and never reused, so that a store
//! recovered from a backup repeats none of those that it handed out after it.

use crate::clock::Timestamp;
use crate::entropy::Entropy;
use crate::{Error, Result};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

/// Declares an id: bytes behind a private field, shown as hexadecimal digits. `$inner` is who may take it apart.
#[macro_export]
macro_rules! id_type {
    ($(#[$doc:meta])* $vis:vis struct $name:ident($inner:vis [u8; $len:literal]), $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis struct $name([u8; $len]);

        impl $name {
            /// From the binary form.
            $inner const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The binary form, as stored in rows and records.
            $inner const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                write!(f, concat!($what, " {}"), self)
            }
        }
    };
}

/// Random bytes, for a new id.
pub fn random_bytes<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut bytes = [0; N];
    entropy.fill_id(&mut bytes);
    bytes
}

/// Gives bytes for ids that grow as long as it lives: 8 of time and order, 8 random ones.
///
/// Rows that are named so lie behind one another in the order in which they are written. That is where a table in memory takes
/// them in without a search, and tables on disk that follow one another need not be merged.
#[derive(Debug, Default)]
pub struct Growing(AtomicU64);

/// Ids of one millisecond before they run ahead of the clock.
const IDS_A_MILLISECOND: u64 = 1 << 16;

impl Growing {
    /// The next id's bytes. They grow even where the clock does not.
    pub fn next(&self, now: Timestamp, entropy: &dyn Entropy) -> [u8; 16] {
        let floor = u64::try_from(now.as_millis()).unwrap_or(0).saturating_mul(IDS_A_MILLISECOND);
        let after = |last: u64| floor.max(last.saturating_add(1));
        let last = self.0.update(Ordering::Relaxed, Ordering::Relaxed, after);
        let mut bytes = [0; 16];
        let (order, salt) = bytes.split_at_mut(8);
        order.copy_from_slice(&after(last).to_be_bytes());
        entropy.fill_id(salt);
        bytes
    }
}

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident, $len:literal, $what:literal) => {
        id_type! {
            $(#[$doc])*
            pub struct $name(pub [u8; $len]), $what
        }

        impl $name {
            /// Length of the binary form in bytes.
            pub const LEN: usize = $len;

            /// A new random id.
            pub fn random(entropy: &dyn Entropy) -> Self {
                Self(random_bytes(entropy))
            }
        }

        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self> {
                let refused = || Error::Invalid(format!(concat!("parse ", $what, " id {:?}"), text));
                let raw = text.as_bytes();
                if raw.len() != $len * 2 {
                    return Err(refused());
                }
                let nibble = |c: u8| match c {
                    b'0'..=b'9' => Ok(c - b'0'),
                    b'a'..=b'f' => Ok(c - b'a' + 10),
                    _ => Err(refused()),
                };
                let mut bytes = [0; $len];
                for (byte, pair) in bytes.iter_mut().zip(raw.chunks_exact(2)) {
                    *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
                }
                Ok(Self(bytes))
            }
        }
    };
}

random_id! {
    /// One partition of the catalog: the root, or one bucket, vault or volume. 8 bytes, the prefix of every row.
    PartitionId, 8, "partition"
}

random_id! {
    /// The immutable bytes of one upload. It survives compaction, repair and class change.
    BlobId, 16, "blob"
}

random_id! {
    /// One segment file of a pool. A recycled file gets a new one.
    SegmentId, 8, "segment"
}

random_id! {
    /// One upload of a blob to a remote pool: each gets a name of its own there.
    CopyId, 8, "remote copy"
}

random_id! {
    /// Makes the retry of a commit whose outcome was unknown harmless; kept for ten minutes.
    IdempotencyId, 16, "idempotency"
}

impl PartitionId {
    /// Bucket names, accounts, identities, key table.
    pub const ROOT: Self = Self([0; 8]);
}

#[cfg(test)]
mod tests {
    use super::{BlobId, Growing, PartitionId};
    use crate::clock::Timestamp;
    use crate::entropy::SeededEntropy;

    #[test]
    fn growing_ids_grow_whatever_the_clock_does() {
        let (growing, entropy) = (Growing::default(), SeededEntropy::new(1));
        let mut ids = Vec::new();
        for now in [5, 5, 5, 9, 9, 2, i64::MIN, 10, i64::MAX, i64::MAX] {
            ids.push(growing.next(Timestamp::from_millis(now), &entropy));
        }
        assert!(ids[..9].is_sorted_by(|a, b| a[..8] < b[..8]), "{ids:?}");
        assert_eq!(ids[0][..8], (5_u64 << 16).to_be_bytes());
        assert_eq!(ids[5][..8], ((9_u64 << 16) + 2).to_be_bytes(), "behind those of a later time");
        assert_ne!(ids[8][8..], ids[9][8..], "random at the end of time too");
    }

    #[test]
    fn text_form_round_trips_and_refuses_the_rest() {
        let id = BlobId::from_bytes(*b"\x00\x01\xfe\xff0123456789ab");
        assert_eq!(id.to_string().parse::<BlobId>().unwrap(), id);
        for bad in ["", "00", "zz".repeat(16).as_str(), "AB".repeat(16).as_str(), "é".repeat(16).as_str()] {
            bad.parse::<BlobId>().unwrap_err();
        }
        assert_eq!(PartitionId::ROOT.to_string(), "0000000000000000");
    }
}
