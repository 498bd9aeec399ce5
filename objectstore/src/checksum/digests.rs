//! What is computed over a body while it streams by: its MD5, and one additional checksum.

use super::combine::Combiner;
use super::md5::Md5;
use super::{ChecksumAlgorithm, ChecksumType, ChecksumValue, ObjectChecksum};
use aws_lc_rs::digest;
use xxhash_rust::{xxh3::Xxh3, xxh64::Xxh64};

/// The running digests of one body.
pub(crate) struct Digests {
    md5: Md5,
    extra: Option<Hasher>,
}

/// What they came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sums {
    /// Of all bytes.
    pub(crate) md5: [u8; 16],
    /// The additional checksum, when one was asked for.
    pub(crate) checksum: Option<ChecksumValue>,
}

impl Digests {
    /// MD5 and, when named, one more.
    pub(crate) fn new(algorithm: Option<ChecksumAlgorithm>) -> Self {
        Self { md5: Md5::new(), extra: algorithm.map(Hasher::new) }
    }

    /// Takes the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        if let Some(extra) = &mut self.extra {
            extra.update(bytes);
        }
    }

    /// The results.
    pub(crate) fn finish(self) -> Sums {
        Sums::of(self.md5, self.extra)
    }
}

impl Sums {
    /// What the digests came to.
    pub(super) fn of(md5: Md5, extra: Option<Hasher>) -> Self {
        let md5 = md5.finish();
        Self { md5, checksum: extra.map(|extra| extra.finish(md5)) }
    }
}

impl ChecksumValue {
    /// The value over bytes that are all at hand: what an edge compares a small document's checksum with.
    pub fn compute(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        let mut md5 = Md5::new();
        if matches!(hasher, Hasher::Md5) {
            md5.update(bytes);
        }
        hasher.finish(md5.finish())
    }
}

/// The running additional checksum of one body.
pub(super) enum Hasher {
    Crc(ChecksumAlgorithm, Box<crc_fast::Digest>),
    Sha(ChecksumAlgorithm, Box<digest::Context>),
    /// Computed anyway.
    Md5,
    XxHash64(Box<Xxh64>),
    XxHash3(Box<Xxh3>),
    XxHash128(Box<Xxh3>),
}

impl Hasher {
    pub(super) fn new(algorithm: ChecksumAlgorithm) -> Self {
        let sha = |which| Self::Sha(algorithm, Box::new(digest::Context::new(which)));
        let crc = |which| Self::Crc(algorithm, Box::new(crc_fast::Digest::new(which)));
        match algorithm {
            ChecksumAlgorithm::Crc32 => crc(crc_fast::CrcAlgorithm::Crc32IsoHdlc),
            ChecksumAlgorithm::Crc32C => crc(crc_fast::CrcAlgorithm::Crc32Iscsi),
            ChecksumAlgorithm::Crc64Nvme => crc(crc_fast::CrcAlgorithm::Crc64Nvme),
            ChecksumAlgorithm::Sha1 => sha(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            ChecksumAlgorithm::Sha256 => sha(&digest::SHA256),
            ChecksumAlgorithm::Sha512 => sha(&digest::SHA512),
            ChecksumAlgorithm::Md5 => Self::Md5,
            ChecksumAlgorithm::XxHash64 => Self::XxHash64(Box::new(Xxh64::new(0))),
            ChecksumAlgorithm::XxHash3 => Self::XxHash3(Box::new(Xxh3::new())),
            ChecksumAlgorithm::XxHash128 => Self::XxHash128(Box::new(Xxh3::new())),
        }
    }

    /// Whether it is quick enough to be done wherever the bytes come by: 5 GB/s and more, by the processor's own
    /// instructions. The others take a millisecond for a megabyte.
    pub(super) const fn is_quick(&self) -> bool {
        !matches!(self, Self::Sha(..))
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc(_, state) => state.update(bytes),
            Self::Sha(_, state) => state.update(bytes),
            Self::Md5 => {}
            Self::XxHash64(state) => state.update(bytes),
            Self::XxHash3(state) | Self::XxHash128(state) => state.update(bytes),
        }
    }

    fn finish(self, md5: [u8; 16]) -> ChecksumValue {
        match self {
            Self::Crc(algorithm, state) => from_crc(algorithm, state.finalize()),
            Self::Sha(algorithm, state) => value(algorithm, state.finish().as_ref()),
            Self::Md5 => value(ChecksumAlgorithm::Md5, &md5),
            Self::XxHash64(state) => value(ChecksumAlgorithm::XxHash64, &state.digest().to_be_bytes()),
            Self::XxHash3(state) => value(ChecksumAlgorithm::XxHash3, &state.digest().to_be_bytes()),
            Self::XxHash128(state) => value(ChecksumAlgorithm::XxHash128, &state.digest128().to_be_bytes()),
        }
    }
}

/// A value from bytes whose length is the algorithm's by construction.
fn value(algorithm: ChecksumAlgorithm, raw: &[u8]) -> ChecksumValue {
    debug_assert_eq!(raw.len(), algorithm.value_bytes());
    let mut bytes = [0; 64];
    bytes[..raw.len()].copy_from_slice(raw);
    ChecksumValue { algorithm, bytes }
}

fn from_crc(algorithm: ChecksumAlgorithm, crc: u64) -> ChecksumValue {
    value(algorithm, &crc.to_be_bytes()[8 - algorithm.value_bytes()..])
}

fn to_crc(of: &ChecksumValue) -> u64 {
    of.as_bytes().iter().fold(0, |crc, byte| crc << 8 | u64::from(*byte))
}

/// The checksum of a multipart object from its parts' values and lengths. `None` when a value is missing or of another
/// algorithm, or when the algorithm has no such type.
pub(crate) fn of_parts(
    algorithm: ChecksumAlgorithm,
    kind: ChecksumType,
    parts: impl Iterator<Item = (Option<ChecksumValue>, u64)>,
) -> Option<ObjectChecksum> {
    let mut parts = parts.map(|(sum, length)| Some((sum.filter(|sum| sum.algorithm == algorithm)?, length)));
    match kind {
        ChecksumType::FullObject => {
            let mut combiner = Combiner::new(algorithm)?;
            let (first, _) = parts.next()??;
            let whole = parts.try_fold(to_crc(&first), |whole, part| {
                let (sum, length) = part?;
                Some(combiner.combine(whole, to_crc(&sum), length))
            })?;
            Some(ObjectChecksum::full(from_crc(algorithm, whole)))
        }
        ChecksumType::Composite => {
            let mut digests = Digests::new(Some(algorithm));
            let mut count: u16 = 0;
            for part in parts {
                digests.update(part?.0.as_bytes());
                count += 1;
            }
            Some(ObjectChecksum { value: digests.finish().checksum?, kind, parts: count })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Digests, of_parts};
    use crate::{ChecksumAlgorithm, ChecksumType, ChecksumValue};

    fn sum(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> ChecksumValue {
        let mut digests = Digests::new(Some(algorithm));
        // In uneven pieces, as a body arrives.
        bytes.chunks(7).for_each(|piece| digests.update(piece));
        digests.finish().checksum.unwrap()
    }

    #[test]
    fn every_algorithm_gives_its_published_check_value() {
        // Of "123456789" where the catalogues have one (CRC), of "abc" and of "" else.
        for (algorithm, input, hex) in [
            (ChecksumAlgorithm::Crc32, "123456789", "cbf43926"),
            (ChecksumAlgorithm::Crc32C, "123456789", "e3069283"),
            (ChecksumAlgorithm::Crc64Nvme, "123456789", "ae8b14860a799888"),
            (ChecksumAlgorithm::Sha1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (
                ChecksumAlgorithm::Sha256,
                "abc",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (ChecksumAlgorithm::Md5, "abc", "900150983cd24fb0d6963f7d28e17f72"),
            (
                ChecksumAlgorithm::Sha512,
                "abc",
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd\
                 454d4423643ce80e2a9ac94fa54ca49f",
            ),
            (ChecksumAlgorithm::XxHash64, "", "ef46db3751d8e999"),
            (ChecksumAlgorithm::XxHash64, "abc", "44bc2cf5ad770999"),
            (ChecksumAlgorithm::XxHash3, "", "2d06800538d394c2"),
            (ChecksumAlgorithm::XxHash3, "abc", "78af5f94892f3950"),
            (ChecksumAlgorithm::XxHash128, "", "99aa06d3014798d86001c324468d497f"),
            (ChecksumAlgorithm::XxHash128, "abc", "06b05ab6733a618578af5f94892f3950"),
        ] {
            let got = sum(algorithm, input.as_bytes());
            let wanted: Vec<u8> =
                (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
            assert_eq!(got.as_bytes(), wanted, "{algorithm}");
            assert_eq!(ChecksumValue::parse(algorithm, &got.to_string()).unwrap(), got);
        }
    }

    #[test]
    fn full_object_of_parts_equals_that_of_the_whole() {
        let body: Vec<u8> = (0..10_000_u32).flat_map(u32::to_le_bytes).collect();
        for algorithm in ChecksumAlgorithm::ALL.into_iter().filter(|a| a.combines()) {
            let parts = body.chunks(3_333).map(|part| (Some(sum(algorithm, part)), part.len() as u64));
            let whole = of_parts(algorithm, ChecksumType::FullObject, parts).unwrap();
            assert_eq!(whole.value, sum(algorithm, &body));
            assert_eq!(whole.to_string(), sum(algorithm, &body).to_string());
        }
    }

    #[test]
    fn composite_is_over_the_values_and_refuses_a_missing_one() {
        let values = [b"one".as_slice(), b"two"].map(|part| sum(ChecksumAlgorithm::Sha256, part));
        let of = |parts: &[Option<ChecksumValue>]| {
            of_parts(ChecksumAlgorithm::Sha256, ChecksumType::Composite, parts.iter().map(|v| (*v, 3)))
        };
        let both = of(&values.map(Some)).unwrap();
        let mut joined = values[0].as_bytes().to_vec();
        joined.extend_from_slice(values[1].as_bytes());
        assert_eq!(both.to_string(), format!("{}-2", sum(ChecksumAlgorithm::Sha256, &joined)));
        assert_eq!(of(&[Some(values[0]), None]), None);
        assert_eq!(of(&[Some(sum(ChecksumAlgorithm::Crc32, b"one"))]), None);
    }
}
