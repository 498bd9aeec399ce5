//! Eight states, a vector of 256 bits per word: by AVX2, and in fewer instructions where AVX-512 VL is.

#![expect(unsafe_code, reason = "loads and stores of whole vectors")]

use super::super::kernel::Block;
use super::States;
use super::rounds::K;
use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_and_si256, _mm256_andnot_si256, _mm256_loadu_si256, _mm256_or_si256,
    _mm256_permute2x128_si256, _mm256_rol_epi32, _mm256_set1_epi32, _mm256_setzero_si256, _mm256_slli_epi32,
    _mm256_srli_epi32, _mm256_storeu_si256, _mm256_ternarylogic_epi32, _mm256_unpackhi_epi32,
    _mm256_unpackhi_epi64, _mm256_unpacklo_epi32, _mm256_unpacklo_epi64, _mm256_xor_si256,
};

#[inline]
#[target_feature(enable = "avx2")]
fn load(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: reads 32 bytes, at any alignment, from an array of 32.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_words(words: &[u32; 8]) -> __m256i {
    // SAFETY: reads 32 bytes, at any alignment, from an array of 32.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_words(words: &mut [u32; 8], vector: __m256i) {
    // SAFETY: writes 32 bytes, at any alignment, to an array of 32.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), vector) }
}

/// Eight lanes' eight words to eight words' eight lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose(rows: [__m256i; 8]) -> [__m256i; 8] {
    let mut pairs = rows;
    for i in [0, 2, 4, 6] {
        pairs[i] = _mm256_unpacklo_epi32(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    let mut fours = pairs;
    for i in [0, 4] {
        fours[i] = _mm256_unpacklo_epi64(pairs[i], pairs[i + 2]);
        fours[i + 1] = _mm256_unpackhi_epi64(pairs[i], pairs[i + 2]);
        fours[i + 2] = _mm256_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
        fours[i + 3] = _mm256_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
    }
    let mut words = fours;
    for i in 0..4 {
        words[i] = _mm256_permute2x128_si256::<0x20>(fours[i], fours[i + 4]);
        words[i + 4] = _mm256_permute2x128_si256::<0x31>(fours[i], fours[i + 4]);
    }
    words
}

/// The words of the blocks at `index`. By loops: `array::map` and `from_fn` have no vector features, so what they call is a call.
#[inline]
#[target_feature(enable = "avx2")]
fn message(lanes: &[&[Block]; 8], index: usize) -> [__m256i; 16] {
    let mut halves = [[_mm256_setzero_si256(); 8]; 2];
    for (lane, blocks) in lanes.iter().enumerate() {
        let (parts, _) = blocks[index].as_chunks::<32>();
        halves[0][lane] = load(&parts[0]);
        halves[1][lane] = load(&parts[1]);
    }
    let mut words = [_mm256_setzero_si256(); 16];
    words[..8].copy_from_slice(&transpose(halves[0]));
    words[8..].copy_from_slice(&transpose(halves[1]));
    words
}

/// Any function of three words, as its truth table.
macro_rules! short_f {
    ($b:ident, $c:ident, $d:ident) => {
        _mm256_ternarylogic_epi32::<0xca>($b, $c, $d)
    };
}
macro_rules! short_g {
    ($b:ident, $c:ident, $d:ident) => {
        _mm256_ternarylogic_epi32::<0xe4>($b, $c, $d)
    };
}
macro_rules! short_h {
    ($b:ident, $c:ident, $d:ident) => {
        _mm256_ternarylogic_epi32::<0x96>($b, $c, $d)
    };
}
macro_rules! short_i {
    ($b:ident, $c:ident, $d:ident) => {
        _mm256_ternarylogic_epi32::<0x39>($b, $c, $d)
    };
}
macro_rules! short_rotate {
    ($a:ident, $bits:literal) => {
        _mm256_rol_epi32::<$bits>($a)
    };
}

macro_rules! long_f {
    ($b:ident, $c:ident, $d:ident) => {
        _mm256_xor_si256($d, _mm256_and_si256($b, _mm256_xor_si256($c, $d)))
    };
}
macro_rules! long_g {
    ($b:ident, $c:ident, $d:ident) => {
        _mm256_or_si256(_mm256_and_si256($b, $d), _mm256_andnot_si256($d, $c))
    };
}
macro_rules! long_h {
    ($b:ident, $c:ident, $d:ident) => {
        _mm256_xor_si256($b, _mm256_xor_si256($c, $d))
    };
}
macro_rules! long_i {
    ($b:ident, $c:ident, $d:ident) => {
        _mm256_xor_si256($c, _mm256_or_si256($b, _mm256_xor_si256($d, _mm256_set1_epi32(-1))))
    };
}
macro_rules! long_rotate {
    ($a:ident, $bits:literal) => {
        _mm256_or_si256(_mm256_slli_epi32::<$bits>($a), _mm256_srli_epi32::<{ 32 - $bits }>($a))
    };
}

macro_rules! eight {
    ($name:ident, $features:literal, [$f:ident $g:ident $h:ident $i:ident], $rotate:ident) => {
        /// Folds the first `count` blocks of eight lanes into their states.
        #[target_feature(enable = $features)]
        pub(super) fn $name(states: &mut States<8>, lanes: &[&[Block]; 8], count: usize) {
            macro_rules! step {
                ($mix:ident; $a:ident, $b:ident, $c:ident, $d:ident; $word:expr, $k:expr, $bits:literal) => {
                    let early = _mm256_add_epi32($word, _mm256_set1_epi32($k.cast_signed()));
                    $a = _mm256_add_epi32(_mm256_add_epi32($a, early), $mix!($b, $c, $d));
                    $a = _mm256_add_epi32($rotate!($a, $bits), $b);
                };
            }
            let (mut a, mut b) = (load_words(&states[0]), load_words(&states[1]));
            let (mut c, mut d) = (load_words(&states[2]), load_words(&states[3]));
            for index in 0..count {
                let m = message(lanes, index);
                let before = [a, b, c, d];
                rounds!(step [$f $g $h $i] m [a b c d]);
                a = _mm256_add_epi32(a, before[0]);
                b = _mm256_add_epi32(b, before[1]);
                c = _mm256_add_epi32(c, before[2]);
                d = _mm256_add_epi32(d, before[3]);
            }
            for (words, vector) in states.iter_mut().zip([a, b, c, d]) {
                store_words(words, vector);
            }
        }
    };
}

eight!(avx2, "avx2", [long_f long_g long_h long_i], long_rotate);
eight!(avx512, "avx2,avx512f,avx512vl", [short_f short_g short_h short_i], short_rotate);
