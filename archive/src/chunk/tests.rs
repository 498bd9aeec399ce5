//! Where content is cut, for ever.

use super::{CHUNK_MAX, CHUNK_MIN, Cutter};
use engine::codec::DataKey;

fn cutter(key: u8) -> Cutter {
    Cutter::new(&DataKey::from_bytes([key; 32]))
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn cuts(cutter: &Cutter, data: &[u8]) -> Vec<usize> {
    let (mut at, mut cuts) = (0, Vec::new());
    while at < data.len() {
        at += cutter.cut(&data[at..]);
        cuts.push(at);
    }
    cuts
}

/// The definition, a byte at a time, without the crate that is used.
fn plainly(cutter: &Cutter, data: &[u8]) -> usize {
    let end = data.len().min(CHUNK_MAX);
    let mut hash = 0_u64;
    for (at, byte) in data.iter().enumerate().take(end - end % 2).skip(CHUNK_MIN) {
        hash = (hash << 1).wrapping_add(cutter.gear[usize::from(*byte)]);
        let strict = at < super::CHUNK_NORMAL.min(end) / 2 * 2;
        if hash & if strict { super::STRICT } else { super::LOOSE } == 0 {
            return at;
        }
    }
    end
}

#[test]
fn golden_cuts_and_names() {
    let data = noise(5, 1_000_000);
    let found = cuts(&cutter(1), &data);
    assert_eq!(found, GOLDEN);
    assert_ne!(cuts(&cutter(2), &data), GOLDEN, "another group cuts elsewhere");
    let name = cutter(1).name(&data[..GOLDEN[0]]);
    assert_eq!(hex::encode(name.as_bytes()), GOLDEN_NAME);
    assert_ne!(cutter(2).name(&data[..GOLDEN[0]]), name, "and names otherwise");
}

const GOLDEN_NAME: &str = "cde7de3522f2b0d6990748511bb6a498f42f863c8260683fee1faa2c4f1be709";

const GOLDEN: [usize; 15] = [
    90_363, 135_269, 215_404, 323_903, 392_197, 468_394, 516_905, 564_682, 612_223, 652_592, 788_372,
    835_954, 907_775, 942_415, 1_000_000,
];

#[test]
fn cuts_are_those_of_the_definition() {
    let cutter = cutter(3);
    for (seed, length) in
        [(1, 400_000), (2, 400_001), (3, 65_535), (4, 16_385), (5, 16_384), (6, 1), (7, 300_003)]
    {
        let data = noise(seed, length);
        let mut rest = &data[..];
        while !rest.is_empty() {
            let cut = cutter.cut(rest);
            assert_eq!(cut, plainly(&cutter, rest), "seed {seed}, {} left", rest.len());
            rest = &rest[cut..];
        }
    }
    assert_eq!(cutter.cut(&[]), 0);
    assert_eq!(cutter.cut(&vec![0; 1 << 20]), CHUNK_MAX, "content without any edge");
}

#[test]
fn an_insertion_moves_the_cuts_beside_it_and_no_others() {
    let cutter = cutter(4);
    let data = noise(1, 4_000_000);
    let before = cuts(&cutter, &data);
    let mut changed = data;
    changed.splice(1_500_000..1_500_000, noise(2, 777));
    let after: Vec<usize> =
        cuts(&cutter, &changed).into_iter().map(|at| if at > 1_500_777 { at - 777 } else { at }).collect();
    let moved = after.iter().filter(|at| !before.contains(at)).count();
    assert!(moved <= 3, "{moved} of {}", after.len());
    let mean = 4_000_000 / before.len();
    assert!((50_000..90_000).contains(&mean), "{mean}");
}
