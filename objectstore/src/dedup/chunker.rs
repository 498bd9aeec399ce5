//! Cuts a stream where its content says so: `FastCDC` as its authors describe it (Xia and others, 2020), with a table of the
//! bucket's own.
//!
//! A rolling hash over the last 63 bytes ends a chunk where enough of its bits are zero, so that what is inserted or removed moves
//! the cuts beside it and no others. Before a normal length more bits must be zero than after it, which keeps lengths near it
//! (normalized chunking). Two bytes are taken in a step.
//!
//! # Limits
//! A chunk has 16 to 256 KiB, the last one of a stream from one byte on; random content has chunks of 64 KiB on average.

use std::ops::Range;

/// No chunk is shorter, but for the last one of a stream.
pub(super) const CHUNK_MIN: usize = 16 << 10;
/// From this length on a chunk ends more easily: with it, chunks of random content have 64 KiB on average.
const CHUNK_NORMAL: usize = 52 << 10;
/// No chunk is longer.
pub(super) const CHUNK_MAX: usize = 256 << 10;

/// Bits that must be zero before that length, and after it: a quarter of, and four times, one in 64 KiB.
const STRICT: u64 = top(18);
const LOOSE: u64 = top(14);

/// The `bits` highest bits but the very highest, which the doubled table has no room for.
const fn top(bits: u32) -> u64 {
    ((1 << bits) - 1) << (63 - bits)
}

/// Where a bucket's streams are cut.
pub(super) struct Chunker {
    gear: [u64; 256],
    /// The same, shifted by one bit: for the first of two bytes.
    doubled: [u64; 256],
}

impl Chunker {
    /// Of a secret: nobody without it can tell content by where it is cut.
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        let mut bytes = [0; 256 * 8];
        blake3::Hasher::new_keyed(secret).finalize_xof().fill(&mut bytes);
        let (words, _) = bytes.as_chunks::<8>();
        let mut gear = [0; 256];
        for (entry, word) in gear.iter_mut().zip(words) {
            *entry = u64::from_le_bytes(*word);
        }
        Self { gear, doubled: gear.map(|entry| entry << 1) }
    }

    /// Length of the chunk that `data` begins with. It is the same whatever follows, if `data` has [`CHUNK_MAX`] bytes or ends
    /// the stream.
    pub(super) fn cut(&self, data: &[u8]) -> usize {
        let end = data.len().min(CHUNK_MAX);
        if end <= CHUNK_MIN {
            return end;
        }
        let normal = end.min(CHUNK_NORMAL);
        let mut hash = 0;
        self.scan(data, CHUNK_MIN..normal, STRICT, &mut hash)
            .or_else(|| self.scan(data, normal..end, LOOSE, &mut hash))
            .unwrap_or(end)
    }

    /// The first length within a range at which the bits of the mask are zero.
    fn scan(&self, data: &[u8], range: Range<usize>, mask: u64, hash: &mut u64) -> Option<usize> {
        let start = range.start;
        let (pairs, rest) = data[range].as_chunks::<2>();
        let mut rolling = *hash;
        for (n, [first, second]) in pairs.iter().enumerate() {
            rolling = (rolling << 2).wrapping_add(self.doubled[usize::from(*first)]);
            if rolling & (mask << 1) == 0 {
                return Some(start + 2 * n + 1);
            }
            rolling = rolling.wrapping_add(self.gear[usize::from(*second)]);
            if rolling & mask == 0 {
                return Some(start + 2 * n + 2);
            }
        }
        for byte in rest {
            rolling = (rolling << 1).wrapping_add(self.gear[usize::from(*byte)]);
            if rolling & mask == 0 {
                return Some(start + 2 * pairs.len() + 1);
            }
        }
        *hash = rolling;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{CHUNK_MAX, CHUNK_MIN, Chunker, LOOSE, STRICT};
    use crate::world::bytes;

    /// The definition, a byte at a time.
    fn plainly(chunker: &Chunker, data: &[u8]) -> usize {
        let end = data.len().min(CHUNK_MAX);
        let mut hash = 0_u64;
        for (at, byte) in data.iter().enumerate().take(end).skip(CHUNK_MIN) {
            hash = (hash << 1).wrapping_add(chunker.gear[usize::from(*byte)]);
            let mask = if at < super::CHUNK_NORMAL { STRICT } else { LOOSE };
            if hash & mask == 0 {
                return at + 1;
            }
        }
        end
    }

    fn cuts(chunker: &Chunker, data: &[u8]) -> Vec<usize> {
        let (mut at, mut cuts) = (0, Vec::new());
        while at < data.len() {
            at += chunker.cut(&data[at..]);
            cuts.push(at);
        }
        cuts
    }

    #[test]
    fn golden_cuts() {
        let data = bytes(5, 1_000_000);
        let found = cuts(&Chunker::new(&[1; 32]), &data);
        assert_eq!(found, GOLDEN);
        assert_ne!(cuts(&Chunker::new(&[2; 32]), &data), GOLDEN, "another bucket cuts elsewhere");
    }

    const GOLDEN: [usize; 13] = [
        57_435, 172_026, 237_185, 295_659, 321_030, 346_584, 404_712, 471_947, 539_887, 639_136, 696_585,
        772_467, 1_000_000,
    ];

    #[test]
    fn two_bytes_in_a_step_cut_where_one_would() {
        let chunker = Chunker::new(&[3; 32]);
        for (seed, length) in [(1, 400_000), (2, 400_001), (3, 65_535), (4, 16_385), (5, 16_384), (6, 1)] {
            let mut rest = &bytes(seed, length)[..];
            while !rest.is_empty() {
                let cut = chunker.cut(rest);
                assert_eq!(cut, plainly(&chunker, rest), "seed {seed}, {} left", rest.len());
                rest = &rest[cut..];
            }
        }
    }

    #[test]
    fn chunks_are_64_kib_on_average_and_never_beyond_their_bounds() {
        let chunker = Chunker::new(&[4; 32]);
        let data = bytes(9, 16 << 20);
        let found = cuts(&chunker, &data);
        let lengths: Vec<usize> =
            found.iter().scan(0, |last, cut| Some(cut - std::mem::replace(last, *cut))).collect();
        let (last, others) = lengths.split_last().unwrap();
        assert!(*last <= CHUNK_MAX);
        assert!(others.iter().all(|length| (CHUNK_MIN..=CHUNK_MAX).contains(length)), "{lengths:?}");
        let mean = data.len() / lengths.len();
        assert!((60 << 10..=68 << 10).contains(&mean), "{mean} bytes on average");
        // What repeats itself is cut at the maximum or always alike: either way it is one chunk again and again.
        let zeros = vec![0; 4 * CHUNK_MAX];
        assert!(cuts(&chunker, &zeros).len() <= zeros.len() / CHUNK_MIN);
    }

    #[test]
    fn an_inserted_byte_moves_the_cuts_beside_it_alone() {
        let chunker = Chunker::new(&[5; 32]);
        let data = bytes(10, 4 << 20);
        let shifted = [b"x", &data[..]].concat();
        let before = cuts(&chunker, &data);
        let after: Vec<usize> = cuts(&chunker, &shifted).iter().map(|cut| cut - 1).collect();
        let same = after.iter().filter(|cut| before.contains(cut)).count();
        assert!(same + 4 >= before.len(), "{same} of {} cuts are where they were", before.len());
    }
}
