//! One state, each of its words in the low lane of a vector register.

use super::super::kernel::{Block, State};
use super::rounds::K;
use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_cvtsi32_si128, _mm_cvtsi128_si32, _mm_rol_epi32, _mm_ternarylogic_epi32,
};

/// `b ? c : d`, bit by bit; then `d ? b : c`, `b ^ c ^ d` and `c ^ (b | !d)`, as truth tables.
macro_rules! mix_f {
    ($b:ident, $c:ident, $d:ident) => {
        _mm_ternarylogic_epi32::<0xca>($b, $c, $d)
    };
}
macro_rules! mix_g {
    ($b:ident, $c:ident, $d:ident) => {
        _mm_ternarylogic_epi32::<0xe4>($b, $c, $d)
    };
}
macro_rules! mix_h {
    ($b:ident, $c:ident, $d:ident) => {
        _mm_ternarylogic_epi32::<0x96>($b, $c, $d)
    };
}
macro_rules! mix_i {
    ($b:ident, $c:ident, $d:ident) => {
        _mm_ternarylogic_epi32::<0x39>($b, $c, $d)
    };
}
/// What waits for the step before comes last.
macro_rules! step {
    ($mix:ident; $a:ident, $b:ident, $c:ident, $d:ident; $word:expr, $k:expr, $bits:literal) => {
        $a = _mm_add_epi32(_mm_add_epi32($a, vector($word.wrapping_add($k))), $mix!($b, $c, $d));
        $a = _mm_add_epi32(_mm_rol_epi32::<$bits>($a), $b);
    };
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn vector(word: u32) -> __m128i {
    _mm_cvtsi32_si128(word.cast_signed())
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn word(vector: __m128i) -> u32 {
    _mm_cvtsi128_si32(vector).cast_unsigned()
}

/// Folds blocks into a state.
#[target_feature(enable = "avx512f,avx512vl")]
pub(super) fn avx512(state: &mut State, blocks: &[Block]) {
    let (mut a, mut b) = (vector(state[0]), vector(state[1]));
    let (mut c, mut d) = (vector(state[2]), vector(state[3]));
    for block in blocks {
        let mut m = [0_u32; 16];
        for (word, bytes) in m.iter_mut().zip(block.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        let before = [a, b, c, d];
        rounds!(step [mix_f mix_g mix_h mix_i] m [a b c d]);
        a = _mm_add_epi32(a, before[0]);
        b = _mm_add_epi32(b, before[1]);
        c = _mm_add_epi32(c, before[2]);
        d = _mm_add_epi32(d, before[3]);
    }
    *state = [word(a), word(b), word(c), word(d)];
}
