//! The CRC of two stretches of bytes from theirs, when one stands behind the other.
//!
//! ```text
//!   crc(a b) = crc(a) · x^(8 · |b|)  +  crc(b)        polynomials over GF(2), modulo the CRC's own
//! ```
//!
//! The power takes two products for each bit of a length. The parts of an upload are as a rule of one length, so the last power is kept:
//! ten thousand parts cost ten thousand products and some powers, where a general routine squares a matrix of the CRC's width for each
//! bit of each part's length, which was nine tenths of a large completion.
//!
//! # Invariants
//! S3's three CRCs are reflected (the coefficient of x^0 is the highest bit), and begin and end with the same mask, which cancels out.

use super::ChecksumAlgorithm;

/// Combines CRCs of one kind.
pub(super) struct Combiner {
    /// The polynomial, reflected, without its highest term.
    polynomial: u64,
    /// x^0: the highest bit of the CRC's width.
    one: u64,
    /// The last length and its power.
    known: Option<(u64, u64)>,
    /// How many powers were computed.
    #[cfg(test)]
    powers: usize,
}

impl Combiner {
    /// `None` for what is no CRC.
    pub(super) fn new(algorithm: ChecksumAlgorithm) -> Option<Self> {
        let (width, polynomial) = match algorithm {
            ChecksumAlgorithm::Crc32 => (32, 0xEDB8_8320),
            ChecksumAlgorithm::Crc32C => (32, 0x82F6_3B78),
            ChecksumAlgorithm::Crc64Nvme => (64, 0x9A6C_9329_AC4B_C9B5),
            _ => return None,
        };
        Some(Self {
            polynomial,
            one: 1 << (width - 1),
            known: None,
            #[cfg(test)]
            powers: 0,
        })
    }

    /// The CRC of what has `first` followed by `length` bytes that have `second`.
    pub(super) fn combine(&mut self, first: u64, second: u64, length: u64) -> u64 {
        let power = match self.known {
            Some((known, power)) if known == length => power,
            _ => self.power(length),
        };
        self.known = Some((length, power));
        self.product(first, power) ^ second
    }

    /// x^(8 · `bytes`).
    fn power(&mut self, mut bytes: u64) -> u64 {
        #[cfg(test)]
        {
            self.powers += 1;
        }
        let (mut power, mut square) = (self.one, self.one >> 8);
        while bytes > 0 {
            if bytes & 1 == 1 {
                power = self.product(power, square);
            }
            square = self.product(square, square);
            bytes >>= 1;
        }
        power
    }

    /// The product modulo the polynomial. Without branches: its bits are as good as random.
    fn product(&self, a: u64, mut b: u64) -> u64 {
        let (mut product, mut term) = (0, self.one);
        while term > 0 {
            product ^= b & u64::from(a & term != 0).wrapping_neg();
            b = b >> 1 ^ self.polynomial & (b & 1).wrapping_neg();
            term >>= 1;
        }
        product
    }
}

#[cfg(test)]
mod tests {
    use super::Combiner;
    use crate::ChecksumAlgorithm;
    use crc_fast::CrcAlgorithm;
    use engine::entropy::{Entropy, SeededEntropy};

    const KINDS: [(ChecksumAlgorithm, CrcAlgorithm); 3] = [
        (ChecksumAlgorithm::Crc32, CrcAlgorithm::Crc32IsoHdlc),
        (ChecksumAlgorithm::Crc32C, CrcAlgorithm::Crc32Iscsi),
        (ChecksumAlgorithm::Crc64Nvme, CrcAlgorithm::Crc64Nvme),
    ];

    fn number(entropy: &SeededEntropy) -> u64 {
        let mut raw = [0; 8];
        entropy.fill(&mut raw);
        u64::from_le_bytes(raw)
    }

    #[test]
    fn it_is_what_the_general_routine_says_whatever_the_length() {
        let entropy = SeededEntropy::new(7);
        for (algorithm, general) in KINDS {
            let mut combiner = Combiner::new(algorithm).unwrap();
            let mask = u64::MAX >> (64 - 8 * algorithm.value_bytes());
            for length in [0, 1, 2, 7, 8, 255, 256, 5 << 20, (5 << 30) - 1, 5 << 30, (1 << 40) + 1] {
                let (first, second) = (number(&entropy) & mask, number(&entropy) & mask);
                let wanted = crc_fast::checksum_combine(general, first, second, length);
                assert_eq!(combiner.combine(first, second, length), wanted, "{algorithm} of {length}");
            }
        }
        assert!(Combiner::new(ChecksumAlgorithm::Sha256).is_none());
    }

    #[test]
    fn parts_of_one_length_share_its_power() {
        let mut combiner = Combiner::new(ChecksumAlgorithm::Crc64Nvme).unwrap();
        let whole = (0..9_999).fold(1, |whole, part| combiner.combine(whole, part, 5 << 20));
        combiner.combine(whole, 2, 17);
        assert_eq!(combiner.powers, 2, "of 9,999 parts of one length and a last one of another");
    }
}
