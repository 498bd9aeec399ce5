//! MD5 of bodies: for ETags, which are S3's whatever one thinks of MD5.
//!
//! ```text
//!   body ─► Md5 ── little ──► in place                                       ─► ETag
//!            └──── a batch ─► Lanes: up to 16 bodies side by side (kernel) ──┘
//! ```
//!
//! MD5 can't be split up: of one body, each block waits for the one before. What helps is other bodies, whose states share a
//! vector register (docs/adr/0013). The digest is `md-5`'s to the bit: that crate compresses where there is no vector unit, and
//! tests compare with it.

mod kernel;
mod lanes;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use lanes::{Lanes, Seat};

use kernel::{Block, Kernel, State};

/// Bytes that one compression takes.
const BLOCK_BYTES: usize = 64;
/// Bytes that hold the body's length, at the end of its last block.
const LENGTH_BYTES: usize = 8;
/// The state before any block (RFC 1321, 3.3).
const INITIAL: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// The running MD5 of one body.
#[derive(Clone, Debug)]
pub(crate) struct Md5 {
    kernel: Kernel,
    state: State,
    /// Bytes taken so far.
    length: u64,
    /// The block under way; as many of its bytes count as `length` is past a block's end.
    tail: Block,
}

impl Md5 {
    pub(crate) fn new() -> Self {
        Self::by(Kernel::detect())
    }

    fn by(kernel: Kernel) -> Self {
        Self { kernel, state: INITIAL, length: 0, tail: [0; BLOCK_BYTES] }
    }

    /// Takes the next bytes, here and now.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = &rest[self.begin(rest)..];
            // Less than a block is the next turn's beginning.
            let (blocks, short) = rest.as_chunks();
            self.kernel.one(&mut self.state, blocks);
            rest = short;
            self.length += (blocks.len() * BLOCK_BYTES) as u64;
        }
    }

    /// The digest.
    pub(crate) fn finish(mut self) -> [u8; 16] {
        let bits = self.length.wrapping_mul(8).to_le_bytes();
        let pending = self.pending();
        let blocks = if pending < BLOCK_BYTES - LENGTH_BYTES { 1 } else { 2 };
        let mut padding = [0; 2 * BLOCK_BYTES];
        padding[0] = 0x80;
        let padding = &mut padding[..blocks * BLOCK_BYTES - pending];
        let zeros = padding.len() - LENGTH_BYTES;
        padding[zeros..].copy_from_slice(&bits);
        self.update(padding);
        let mut digest = [0; 16];
        for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(self.state) {
            *bytes = word.to_le_bytes();
        }
        digest
    }

    /// Bytes of the block under way.
    fn pending(&self) -> usize {
        usize::try_from(self.length % BLOCK_BYTES as u64).unwrap_or(0)
    }

    /// Takes from `bytes` what completes the block under way, or what is too short to be one: so many bytes. Behind them whole
    /// blocks begin, or nothing is left.
    fn begin(&mut self, bytes: &[u8]) -> usize {
        let pending = self.pending();
        if pending == 0 && bytes.len() >= BLOCK_BYTES {
            return 0;
        }
        let taken = bytes.len().min(BLOCK_BYTES - pending);
        self.tail[pending..pending + taken].copy_from_slice(&bytes[..taken]);
        self.length += taken as u64;
        if pending + taken == BLOCK_BYTES {
            self.kernel.one(&mut self.state, std::slice::from_ref(&self.tail));
        }
        taken
    }
}
