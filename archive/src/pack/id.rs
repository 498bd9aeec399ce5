//! Ids of what packs hold and name: 16 random bytes each, never converted into one another.

use engine::entropy::Entropy;
use engine::id::random_bytes;
use engine::id_type;

macro_rules! sixteen_bytes {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        id_type! {
            $(#[$doc])*
            pub struct $name(pub [u8; 16]), $what
        }

        impl $name {
            /// A new random id.
            pub fn random(entropy: &dyn Entropy) -> Self {
                Self(random_bytes(entropy))
            }
        }
    };
}

sixteen_bytes! {
    /// One pack. A pack that is written anew has a new one.
    PackId, "pack"
}

sixteen_bytes! {
    /// One archive of a vault, in whatever packs it lies.
    ArchiveId, "archive"
}

sixteen_bytes! {
    /// The vault whose packs these are.
    VaultId, "vault"
}

sixteen_bytes! {
    /// A row of the vault's table of subkeys.
    KeyId, "subkey"
}

sixteen_bytes! {
    /// One of the keys that a vault's indexes are sealed under.
    IndexKeyId, "index key"
}

sixteen_bytes! {
    /// A deduplication group: what has its chunks under names made by one key.
    GroupId, "deduplication group"
}
