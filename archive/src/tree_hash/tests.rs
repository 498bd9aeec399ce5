//! Roots are compared with figures that botocore's own `calculate_tree_hash` gave for the same bytes, and with the recursive definition
//! of the tree, written down a second time.

use super::{ByteRange, LEAF_BYTES, PartSize, Parts, PartsError, RangeError, Tree, TreeHash, TreeHasher};
use aws_lc_rs::digest::{SHA256, digest};
use std::collections::BTreeSet;

const MIB: usize = 1 << 20;

/// Byte `i` is `7 i` xor the number of 64 KiB before it.
fn sample(len: usize) -> Vec<u8> {
    (0..len).map(|i| ((i * 7) ^ (i >> 16)).to_le_bytes()[0]).collect()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().unwrap()
}

/// The definition from above: a tree splits at the largest power of two below its leaves.
fn by_definition(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [] => sha256(b""),
        [one] => *one,
        many => {
            let split = many.len().next_power_of_two() / 2;
            let both = [by_definition(&many[..split]), by_definition(&many[split..])];
            sha256(both.as_flattened())
        }
    }
}

/// The definition level by level, as AWS words it; every node with the leaves that it covers.
fn nodes(leaves: usize) -> BTreeSet<(usize, usize)> {
    let mut level: Vec<(usize, usize)> = (0..leaves).map(|leaf| (leaf, leaf + 1)).collect();
    let mut all: BTreeSet<_> = level.iter().copied().collect();
    while level.len() > 1 {
        level = level.chunks(2).map(|pair| (pair[0].0, pair[pair.len() - 1].1)).collect();
        all.extend(&level);
    }
    all
}

#[test]
fn roots_are_what_botocore_computes() {
    let data = sample(7 * MIB + 17);
    for (len, expected) in [
        (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (MIB - 1, "651c1030e7761f012bce085c5a1aac58ae9bc5013557cb9ec8872c3e05cedf1d"),
        (MIB, "5d28c3c92994ca372c8dea330ff2478fcea376fa30932622642ab016270a15a8"),
        (MIB + 1, "d8d6c06f0bb9bc4d857f388328ae2d159795a08ed5ef2e788dc7c72c6eea705a"),
        (2 * MIB, "ffc8407ccb3a27936ea427915ff8c88063e852e0faff899e6628ef78573ea9bc"),
        (3 * MIB + 5, "e91e47a31cb083ddcd02731a22babab6d5ca37e15cd6b37a7c21ffbf8c4a2ed7"),
        (4 * MIB, "b6694083c22b04a35ad3eaa19f498ee9c90c7cdedfd02eecfb83a4e65122156c"),
        (5 * MIB, "59e6e662eacaf62cbcba8e57ec9139f8bf759ff21501de564b7ba1c4aa4d8af0"),
        (6 * MIB - 1, "83f64037ffb91f3d05fc6d4ccf4566f7f03714e1736a6c8db4e5a27cbfcea983"),
        (7 * MIB + 17, "735acc0128fb59119ff668cffc75adcd4bf1e863d06afb86123fffeb2bda12be"),
    ] {
        let root = TreeHash::of(&data[..len]);
        assert_eq!(root.to_string(), expected, "{len} bytes");
        assert_eq!(expected.parse::<TreeHash>().unwrap(), root);
    }
}

#[test]
fn pieces_of_any_length_give_the_same_root() {
    let data = sample(3 * MIB + 5);
    let whole = TreeHash::of(&data);
    for piece in [1_000, 65_536, MIB - 1, MIB, MIB + 1, 4 * MIB] {
        let mut hasher = TreeHasher::new();
        data.chunks(piece).for_each(|piece| hasher.update(piece));
        assert_eq!(hasher.bytes(), data.len() as u64);
        assert_eq!(hasher.finish(), whole, "pieces of {piece}");
    }
}

#[test]
fn trees_of_any_width_follow_the_definition_in_bounded_memory() {
    let mut tree = Tree::new();
    let mut leaves = Vec::new();
    for leaf in 0..300_u32 {
        assert_eq!(*tree.root().as_bytes(), by_definition(&leaves), "{leaf} leaves");
        assert!(tree.whole.len() <= 9, "as many as 300 has bits");
        leaves.push(sha256(&leaf.to_le_bytes()));
        tree.push(TreeHash::from_bytes(*leaves.last().unwrap()));
    }
}

#[test]
fn a_range_is_aligned_exactly_where_its_root_is_a_node_of_the_tree() {
    for leaves in 1..=40_usize {
        // With a whole last leaf, and with one of 5 bytes.
        for archive in [leaves * MIB, (leaves - 1) * MIB + 5] {
            let known = nodes(leaves);
            for first in 0..leaves {
                for end in first + 1..=leaves {
                    let last = (end * MIB).min(archive) - 1;
                    let range = ByteRange::new((first * MIB) as u64, last as u64).unwrap();
                    assert!(range.is_megabyte_aligned(archive as u64));
                    assert_eq!(
                        range.is_tree_hash_aligned(archive as u64),
                        known.contains(&(first, end)),
                        "leaves {first}..{end} of {leaves}"
                    );
                }
            }
        }
    }
}

#[test]
fn ranges_out_of_form_place_or_alignment_are_refused() {
    let at =
        |text: &str, archive: usize| text.parse::<ByteRange>().and_then(|range| range.check(archive as u64));
    assert_eq!(at("0-1048575", 2 * MIB).unwrap().byte_count(), LEAF_BYTES);
    assert_eq!(at("1048576-2097156", 2 * MIB + 5).unwrap().to_string(), "1048576-2097156");
    for form in
        ["", "-", "0", "0-", "-5", "5-4", "+0-5", "0-5 ", "0-18446744073709551615", "0-99999999999999999999"]
    {
        assert_eq!(at(form, 9 * MIB), Err(RangeError::Form), "{form:?}");
    }
    assert_eq!(
        at("0-2097152", 2 * MIB),
        Err(RangeError::Outside { last: 2_097_152, archive_last: 2_097_151 })
    );
    assert_eq!(at("0-0", 0), Err(RangeError::Outside { last: 0, archive_last: 0 }));
    for unaligned in ["1-1048575", "0-1048576", "0-1048574", "524288-1048575"] {
        assert_eq!(at(unaligned, 9 * MIB), Err(RangeError::Unaligned), "{unaligned}");
    }
    let unaligned = ByteRange::new(1, 1_048_575).unwrap();
    assert!(!unaligned.is_tree_hash_aligned(9 * LEAF_BYTES));
    assert!(!ByteRange::new(0, LEAF_BYTES - 1).unwrap().is_tree_hash_aligned(5), "outside");
    assert_eq!(ByteRange::whole(0), None);
    assert_eq!(ByteRange::whole(7).map(|range| (range.first(), range.last())), Some((0, 6)));
}

#[test]
fn parts_give_the_root_of_the_whole() {
    for len in [1, MIB, 2 * MIB, 5 * MIB, 7 * MIB + 17, 8 * MIB] {
        let data = sample(len);
        for part_bytes in [MIB, 2 * MIB, 4 * MIB, 8 * MIB] {
            let mut parts = Parts::new(PartSize::new(part_bytes as u64).unwrap());
            for (number, part) in data.chunks(part_bytes).enumerate() {
                let first = (number * part_bytes) as u64;
                let range = ByteRange::new(first, first + part.len() as u64 - 1).unwrap();
                parts.push(range, TreeHash::of(part)).unwrap();
            }
            let root = parts.finish(len as u64).unwrap();
            assert_eq!(root, TreeHash::of(&data), "{len} bytes in parts of {part_bytes}");
        }
    }
}

#[test]
fn gaps_overlaps_and_wrong_sizes_of_parts_are_found() {
    for bad in [0, 1, LEAF_BYTES - 1, LEAF_BYTES + 1, 3 * LEAF_BYTES, 8 << 30] {
        assert_eq!(PartSize::new(bad), Err(PartsError::Size(bad)));
    }
    let size = PartSize::new(LEAF_BYTES).unwrap();
    assert_eq!(PartSize::new(4 << 30).unwrap().bytes(), 4 << 30);
    let root = TreeHash::of(b"");
    let range = |first: u64, bytes: u64| ByteRange::new(first, first + bytes - 1).unwrap();
    let mut parts = Parts::new(size);
    assert_eq!(parts.push(range(LEAF_BYTES, 5), root), Err(PartsError::Gap { at: 0 }));
    for wrong in [range(5, 5), range(0, LEAF_BYTES + 1)] {
        assert_eq!(
            parts.push(wrong, root),
            Err(PartsError::Misplaced { range: wrong, part_bytes: LEAF_BYTES })
        );
    }
    parts.push(range(0, LEAF_BYTES), root).unwrap();
    assert_eq!(parts.push(range(0, LEAF_BYTES), root), Err(PartsError::Overlap { at: 0 }));
    assert_eq!(
        parts.clone().finish(LEAF_BYTES + 1).unwrap_err(),
        PartsError::Length { found: LEAF_BYTES, wanted: LEAF_BYTES + 1 }
    );
    parts.push(range(LEAF_BYTES, 5), root).unwrap();
    assert_eq!(parts.push(range(2 * LEAF_BYTES, 5), root), Err(PartsError::Gap { at: LEAF_BYTES + 5 }));
    assert_eq!(size.check(range(10_000 * LEAF_BYTES, 5)), Err(PartsError::TooMany));
    size.check(range(9_999 * LEAF_BYTES, 5)).unwrap();
}

#[test]
fn hashes_in_another_form_are_refused() {
    for bad in ["", "00", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64)] {
        bad.parse::<TreeHash>().unwrap_err();
    }
}
