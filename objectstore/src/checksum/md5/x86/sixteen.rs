//! Sixteen states, a vector of 512 bits per word.

#![expect(unsafe_code, reason = "loads and stores of whole vectors")]

use super::super::kernel::Block;
use super::States;
use super::rounds::K;
use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_loadu_si512, _mm512_rol_epi32, _mm512_set1_epi32, _mm512_setzero_si512,
    _mm512_shuffle_i32x4, _mm512_storeu_si512, _mm512_ternarylogic_epi32, _mm512_unpackhi_epi32,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

/// Of the quarters of two vectors the even ones, and the odd ones.
const EVEN: i32 = 0x88;
const ODD: i32 = 0xdd;

#[inline]
#[target_feature(enable = "avx512f")]
fn load(block: &Block) -> __m512i {
    // SAFETY: reads 64 bytes, at any alignment, from an array of 64.
    unsafe { _mm512_loadu_si512(block.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_words(words: &[u32; 16]) -> __m512i {
    // SAFETY: reads 64 bytes, at any alignment, from an array of 64.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_words(words: &mut [u32; 16], vector: __m512i) {
    // SAFETY: writes 64 bytes, at any alignment, to an array of 64.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), vector) }
}

/// Sixteen lanes' sixteen words to sixteen words' sixteen lanes.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(rows: &[__m512i; 16]) -> [__m512i; 16] {
    let mut pairs = *rows;
    for i in [0, 2, 4, 6, 8, 10, 12, 14] {
        pairs[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    // Quarter q of fours[4 g + i] has the word 4 q + i of the lanes 4 g to 4 g + 3.
    let mut fours = pairs;
    for i in [0, 4, 8, 12] {
        fours[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
        fours[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
        fours[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
        fours[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
    }
    let mut words = fours;
    for i in 0..4 {
        let low_even = _mm512_shuffle_i32x4::<EVEN>(fours[i], fours[i + 4]);
        let low_odd = _mm512_shuffle_i32x4::<ODD>(fours[i], fours[i + 4]);
        let high_even = _mm512_shuffle_i32x4::<EVEN>(fours[i + 8], fours[i + 12]);
        let high_odd = _mm512_shuffle_i32x4::<ODD>(fours[i + 8], fours[i + 12]);
        words[i] = _mm512_shuffle_i32x4::<EVEN>(low_even, high_even);
        words[i + 4] = _mm512_shuffle_i32x4::<EVEN>(low_odd, high_odd);
        words[i + 8] = _mm512_shuffle_i32x4::<ODD>(low_even, high_even);
        words[i + 12] = _mm512_shuffle_i32x4::<ODD>(low_odd, high_odd);
    }
    words
}

/// Any function of three words, as its truth table.
macro_rules! mix_f {
    ($b:ident, $c:ident, $d:ident) => {
        _mm512_ternarylogic_epi32::<0xca>($b, $c, $d)
    };
}
macro_rules! mix_g {
    ($b:ident, $c:ident, $d:ident) => {
        _mm512_ternarylogic_epi32::<0xe4>($b, $c, $d)
    };
}
macro_rules! mix_h {
    ($b:ident, $c:ident, $d:ident) => {
        _mm512_ternarylogic_epi32::<0x96>($b, $c, $d)
    };
}
macro_rules! mix_i {
    ($b:ident, $c:ident, $d:ident) => {
        _mm512_ternarylogic_epi32::<0x39>($b, $c, $d)
    };
}
macro_rules! step {
    ($mix:ident; $a:ident, $b:ident, $c:ident, $d:ident; $word:expr, $k:expr, $bits:literal) => {
        let early = _mm512_add_epi32($word, _mm512_set1_epi32($k.cast_signed()));
        $a = _mm512_add_epi32(_mm512_add_epi32($a, early), $mix!($b, $c, $d));
        $a = _mm512_add_epi32(_mm512_rol_epi32::<$bits>($a), $b);
    };
}

/// Folds the first `count` blocks of sixteen lanes into their states.
#[target_feature(enable = "avx512f")]
pub(super) fn avx512(states: &mut States<16>, lanes: &[&[Block]; 16], count: usize) {
    let (mut a, mut b) = (load_words(&states[0]), load_words(&states[1]));
    let (mut c, mut d) = (load_words(&states[2]), load_words(&states[3]));
    for index in 0..count {
        // By a loop: `array::map` has no vector features, so what it calls is a call.
        let mut rows = [_mm512_setzero_si512(); 16];
        for (row, blocks) in rows.iter_mut().zip(lanes) {
            *row = load(&blocks[index]);
        }
        let m = transpose(&rows);
        let before = [a, b, c, d];
        rounds!(step [mix_f mix_g mix_h mix_i] m [a b c d]);
        a = _mm512_add_epi32(a, before[0]);
        b = _mm512_add_epi32(b, before[1]);
        c = _mm512_add_epi32(c, before[2]);
        d = _mm512_add_epi32(d, before[3]);
    }
    for (words, vector) in states.iter_mut().zip([a, b, c, d]) {
        store_words(words, vector);
    }
}
