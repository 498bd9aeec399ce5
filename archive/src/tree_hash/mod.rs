//! Glacier's SHA-256 tree hash: over leaves of 1 MiB, neighbours hashed in pairs, level by level, an odd last one carried up.
//!
//! ```text
//!             root                 5 leaves: 4 make a whole tree, the fifth is carried up twice
//!          ┌───┴───┐
//!        0123      4
//!       ┌──┴──┐
//!      01    23                    [`Tree`] keeps the roots of whole trees only, largest first: 0123, 4
//!     ┌┴┐    ┌┴┐
//!     0 1    2 3                   folding them from the right gives the root
//! ```
//!
//! The tree of parts of an upload is the tree of the whole, where every part but the last has the same size and that is 1 MiB times a
//! power of two: a part's root is then a node of the tree ([`Parts`]). For the same reason a range's own hash can be compared with the tree
//! only if it is *tree-hash aligned* ([`ByteRange::is_tree_hash_aligned`]).
//!
//! Memory: at most 64 hashes of 32 bytes, whatever the length. Nothing here does I/O.

mod parts;
mod range;

pub use parts::{MAX_PARTS, PartSize, Parts, PartsError};
pub use range::{ByteRange, RangeError};

use aws_lc_rs::digest::{Context, SHA256, digest};
use std::fmt;
use std::str::FromStr;

/// Bytes in a leaf: 1 MiB.
pub const LEAF_BYTES: u64 = 1 << 20;

/// A root, or any other node, of a tree.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TreeHash([u8; 32]);

impl TreeHash {
    /// From the binary form.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The binary form.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Of bytes that are all there.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = TreeHasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    fn parent(self, right: Self) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&self.0);
        context.update(&right.0);
        Self::from_digest(context.finish().as_ref())
    }

    /// SHA-256 gives 32 bytes; anything else would come out as zeros, which match nothing.
    fn from_digest(bytes: &[u8]) -> Self {
        Self(bytes.try_into().unwrap_or_default())
    }
}

/// 64 hexadecimal digits, as `x-amz-sha256-tree-hash` has them.
impl fmt::Display for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tree hash {self}")
    }
}

impl FromStr for TreeHash {
    type Err = BadTreeHash;

    fn from_str(text: &str) -> Result<Self, BadTreeHash> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| BadTreeHash)?;
        Ok(Self(bytes))
    }
}

/// Not a tree hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tree hash is 64 hexadecimal digits")]
pub struct BadTreeHash;

/// Takes nodes of the same level from left to right and keeps what can still change.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Roots of whole trees, largest first: (height, root). Heights fall strictly.
    whole: Vec<(u32, TreeHash)>,
}

impl Tree {
    /// A tree without a leaf.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next leaf.
    pub fn push(&mut self, leaf: TreeHash) {
        let (mut height, mut node) = (0, leaf);
        while let Some((_, left)) = self.whole.pop_if(|(other, _)| *other == height) {
            node = left.parent(node);
            height += 1;
        }
        self.whole.push((height, node));
    }

    /// The root; of no leaf at all the hash of nothing, as AWS's clients have it.
    pub fn root(&self) -> TreeHash {
        let from_the_right = self.whole.iter().rev().map(|(_, node)| *node);
        from_the_right
            .reduce(|right, left| left.parent(right))
            .unwrap_or_else(|| TreeHash::from_digest(digest(&SHA256, b"").as_ref()))
    }
}

/// Computes the hash of bytes that come in pieces of any length.
#[derive(Clone)]
pub struct TreeHasher {
    tree: Tree,
    leaf: Context,
    in_leaf: u64,
    bytes: u64,
}

impl fmt::Debug for TreeHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TreeHasher").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Default for TreeHasher {
    fn default() -> Self {
        Self::new()
    }
}

impl TreeHasher {
    /// Of no bytes yet.
    pub fn new() -> Self {
        Self { tree: Tree::new(), leaf: Context::new(&SHA256), in_leaf: 0, bytes: 0 }
    }

    /// The next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = usize::try_from(LEAF_BYTES - self.in_leaf).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.leaf.update(now);
            self.in_leaf += now.len() as u64;
            if self.in_leaf == LEAF_BYTES {
                self.end_leaf();
            }
            bytes = later;
        }
    }

    /// How many bytes there were.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The root over all of them.
    pub fn finish(mut self) -> TreeHash {
        if self.in_leaf > 0 {
            self.end_leaf();
        }
        self.tree.root()
    }

    fn end_leaf(&mut self) {
        let leaf = std::mem::replace(&mut self.leaf, Context::new(&SHA256));
        self.tree.push(TreeHash::from_digest(leaf.finish().as_ref()));
        self.in_leaf = 0;
    }
}

#[cfg(test)]
mod tests;
