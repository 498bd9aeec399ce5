//! MD5 in the vector registers of x86-64: eight lanes by AVX2, and one, eight or sixteen by AVX-512.
//!
//! Two AVX-512 instructions make a step shorter: any function of three words in one, and a rotation in one. A single state
//! that lives in the low word of a vector register is a third faster by them than in the general registers.
//!
//! # Why there is unsafe code
//! Calling a function that uses instructions beyond the baseline is safe only on a processor that has them. [`Avx2`] and
//! [`Avx512`] can be made only by asking the processor, so that holding one is the proof. (The question covers the operating
//! system, too: whether it keeps these registers.) The other unsafe lines, in the modules below, load and store whole vectors
//! from and to arrays of exactly their size; blocks are indexed with bounds checks.

#![expect(
    unsafe_code,
    reason = "vector instructions, each behind a token that proves that the processor has them"
)]
#![expect(
    clippy::unused_self,
    reason = "the token's value proves what its method needs; there is nothing in it to read"
)]
#![expect(clippy::many_single_char_names, reason = "a, b, c and d are RFC 1321's names of the state's words")]

#[macro_use]
mod rounds;
mod eight;
mod one;
mod sixteen;

use super::kernel::{Block, Lane, State};

/// Proof that the processor has AVX2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Avx2(());

/// Proof that the processor has AVX2 and AVX-512 F and VL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Avx512(());

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    /// Two to eight lanes.
    pub(super) fn eight(self, lanes: &mut [Lane<'_>], count: usize) {
        // SAFETY: `self` was made only after AVX2 was found.
        with_lanes(lanes, count, |states, blocks| unsafe { eight::avx2(states, blocks, count) });
    }
}

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        let there = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl");
        there.then_some(Self(()))
    }

    /// One state.
    pub(super) fn one(self, state: &mut State, blocks: &[Block]) {
        // SAFETY: `self` was made only after AVX-512 F and VL were found.
        unsafe { one::avx512(state, blocks) }
    }

    /// Two to eight lanes.
    pub(super) fn eight(self, lanes: &mut [Lane<'_>], count: usize) {
        // SAFETY: `self` was made only after AVX2 and AVX-512 F and VL were found.
        with_lanes(lanes, count, |states, blocks| unsafe { eight::avx512(states, blocks, count) });
    }

    /// Two to sixteen lanes.
    pub(super) fn sixteen(self, lanes: &mut [Lane<'_>], count: usize) {
        // SAFETY: `self` was made only after AVX-512 F was found.
        with_lanes(lanes, count, |states, blocks| unsafe { sixteen::avx512(states, blocks, count) });
    }
}

/// Word by word, all lanes' states; a vector each.
type States<const N: usize> = [[u32; N]; 4];

/// Turns states by lane into vectors by word and back. Lanes that are not there repeat the first, and are forgotten.
fn with_lanes<'a, const N: usize>(
    lanes: &mut [Lane<'a>],
    count: usize,
    run: impl FnOnce(&mut States<N>, &[&'a [Block]; N]),
) {
    debug_assert!((2..=N).contains(&lanes.len()), "{} lanes of {N}", lanes.len());
    let mut states: States<N> = std::array::from_fn(|word| {
        std::array::from_fn(|lane| lanes.get(lane).unwrap_or(&lanes[0]).state[word])
    });
    let blocks = std::array::from_fn(|lane| &lanes.get(lane).unwrap_or(&lanes[0]).blocks[..count]);
    run(&mut states, &blocks);
    for (index, lane) in lanes.iter_mut().enumerate() {
        *lane.state = std::array::from_fn(|word| states[word][index]);
    }
}
