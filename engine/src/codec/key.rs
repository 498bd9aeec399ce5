//! The random key of one blob.

use crate::entropy::Entropy;
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// 32 random bytes that seal one blob. Stored only wrapped by a key of the key table; wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct DataKey([u8; 32]);

impl DataKey {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// A new random key.
    pub fn random(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; Self::LEN];
        entropy.fill(&mut bytes);
        Self(bytes)
    }

    /// From its bytes, as unwrapped.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, to be wrapped.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Never shows the key.
impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(…)")
    }
}
