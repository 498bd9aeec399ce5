//! MD5's compression function, for one state and for several at once.
//!
//! ```text
//!   lane 0   block ─┐            word 0 of all lanes ─┐
//!   lane 1   block ─┼─ transpose ─ word 1             ├─ 64 steps, one vector operation for all lanes ─► states
//!   …              ─┘            …                    ┘
//! ```
//!
//! A step waits for the one before it, so one state leaves most of a core idle, and up to sixteen take about as long as one.
//! What the processor has is looked up once, at run time; every width computes what `md-5` computes, and tests compare them.

use super::BLOCK_BYTES;
#[cfg(target_arch = "x86_64")]
use super::x86;

/// The four words that a body's blocks are folded into.
pub(super) type State = [u32; 4];
/// What one step of the compression takes.
pub(super) type Block = [u8; BLOCK_BYTES];

/// States at most that are advanced at once.
pub(super) const LANES_MAX: usize = 16;

/// One state and the blocks to fold into it.
#[derive(Debug)]
pub(super) struct Lane<'a> {
    pub(super) state: &'a mut State,
    pub(super) blocks: &'a [Block],
}

/// What this processor is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kernel {
    /// One after the other, by `md-5`.
    Scalar,
    /// Eight states at once.
    #[cfg(target_arch = "x86_64")]
    Avx2(x86::Avx2),
    /// Sixteen states at once, and a single one faster than by `md-5`.
    #[cfg(target_arch = "x86_64")]
    Avx512(x86::Avx512),
}

impl Kernel {
    /// The best one that this processor has. Cheap: what it has is asked once a process.
    pub(super) fn detect() -> Self {
        if cfg!(debug_assertions) {
            // Vector instructions that are not inlined are slower than `md-5`, which is optimised in every profile.
            return Self::Scalar;
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(kernel) = x86::Avx512::detect() {
            return Self::Avx512(kernel);
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(kernel) = x86::Avx2::detect() {
            return Self::Avx2(kernel);
        }
        Self::Scalar
    }

    /// All that this processor has.
    #[cfg(test)]
    pub(super) fn all() -> Vec<Self> {
        let mut all = vec![Self::Scalar];
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(x86::Avx2::detect().map(Self::Avx2));
            all.extend(x86::Avx512::detect().map(Self::Avx512));
        }
        all
    }

    /// States that it advances in about the time that one takes.
    pub(super) const fn width(self) -> usize {
        match self {
            Self::Scalar => 1,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => 8,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => LANES_MAX,
        }
    }

    /// Folds blocks into one state.
    pub(super) fn one(self, state: &mut State, blocks: &[Block]) {
        match self {
            Self::Scalar => md5::block_api::compress(state, blocks),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => md5::block_api::compress(state, blocks),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(kernel) => kernel.one(state, blocks),
        }
    }

    /// Folds the first `count` blocks of each lane into its state. Every lane has as many.
    pub(super) fn advance(self, lanes: &mut [Lane<'_>], count: usize) {
        for group in lanes.chunks_mut(self.width()) {
            match (self, group) {
                (_, [lane]) => self.one(lane.state, &lane.blocks[..count]),
                #[cfg(target_arch = "x86_64")]
                (Self::Avx2(kernel), group) => kernel.eight(group, count),
                #[cfg(target_arch = "x86_64")]
                (Self::Avx512(kernel), group) if group.len() <= 8 => kernel.eight(group, count),
                #[cfg(target_arch = "x86_64")]
                (Self::Avx512(kernel), group) => kernel.sixteen(group, count),
                (Self::Scalar, group) => {
                    for lane in group {
                        self.one(lane.state, &lane.blocks[..count]);
                    }
                }
            }
        }
    }
}
