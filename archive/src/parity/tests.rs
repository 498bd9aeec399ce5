//! The code, its geometry, and sets of packs.

use super::across::{Member, Set, identify, protect_packs, restore, scrub_parity};
use super::{CELL_BYTES, DATA_CELLS_MAX, Encoder, Geometry, Stripe};
use crate::source::{ReadAt, WriteAt};
use engine::{Error, ErrorKind};

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// The parity of data, made as a pack makes it.
fn parity_of(geometry: Geometry, data: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new(geometry.stripes());
    for band in data.chunks(encoder.band_bytes()) {
        encoder.add(band);
    }
    let mut parity = Vec::new();
    encoder
        .finish(geometry, |cell| {
            parity.extend_from_slice(cell);
            Ok::<_, ()>(())
        })
        .unwrap();
    parity
}

fn cell(bytes: &[u8], number: u32) -> &[u8] {
    &bytes[number as usize * CELL_BYTES..][..CELL_BYTES]
}

#[test]
fn a_full_pack_has_64_stripes_of_1024_and_52() {
    let full = Geometry::of(DATA_CELLS_MAX).unwrap();
    assert_eq!((full.stripes(), full.depth(), full.parity_depth()), (64, 1024, 52));
    assert_eq!(Geometry::of(0), None);
    assert_eq!(Geometry::of(DATA_CELLS_MAX + 1), None);
    for cells in [1, 2, 63, 64, 65, 4095, 4096, 4097, 50_000, DATA_CELLS_MAX] {
        let geometry = Geometry::of(cells).unwrap();
        let depths: u32 = (0..geometry.stripes()).map(|stripe| geometry.depth_of(stripe)).sum();
        assert_eq!(depths, cells);
        assert!(geometry.parity_cells() <= 8 + cells / 8, "{cells}: {}", geometry.parity_cells());
        assert!(geometry.parity_depth() <= 52 && geometry.depth() <= 1024);
        for number in [0, cells / 2, cells - 1] {
            let (stripe, place) = geometry.place_of(number);
            assert_eq!(geometry.cell_at(stripe, place), number);
            assert!(place < geometry.depth_of(stripe));
        }
    }
}

#[test]
fn parity_of_a_stream_is_that_of_the_crate_for_each_stripe() {
    for cells in [1, 3, 64, 200, 4096, 4097, 9001] {
        let geometry = Geometry::of(cells).unwrap();
        let data = noise(cells.into(), cells as usize * CELL_BYTES);
        let parity = parity_of(geometry, &data);
        assert_eq!(parity.len(), geometry.parity_cells() as usize * CELL_BYTES);
        for stripe in [0, geometry.stripes() / 2, geometry.stripes() - 1] {
            let own =
                (0..geometry.depth_of(stripe)).map(|place| cell(&data, geometry.cell_at(stripe, place)));
            let own: Vec<&[u8]> = own.collect();
            let expected = super::protect(own.into_iter(), 52, CELL_BYTES).unwrap();
            for place in 0..geometry.parity_depth() {
                let found = cell(&parity, geometry.cell_at(stripe, place));
                assert!(found == expected[place as usize], "{cells} cells, stripe {stripe}, parity {place}");
            }
        }
    }
}

const GOLDEN_PARITY: &str = "4fa18694e6328518029da68de299b244200ffd344e507aa2017e4bdf0f73017e";

#[test]
fn golden_parity() {
    let geometry = Geometry::of(5000).unwrap();
    let parity = parity_of(geometry, &noise(1, 5000 * CELL_BYTES));
    assert_eq!(blake3::hash(&parity).to_string(), GOLDEN_PARITY);
}

/// Those of docs/formats/pack.md, which `tests/e2e/pack_reader.py` computes from that page alone.
#[test]
fn the_parity_is_that_of_the_page() {
    let shards: Vec<Vec<u8>> = [0, 64, 128].map(|first| (first..first + 64).collect()).to_vec();
    let of =
        |shards: &[Vec<u8>], parity| super::protect(shards.iter().map(Vec::as_slice), parity, 64).unwrap();
    assert_eq!(of(&shards[..1], 1), shards[..1]);
    let page = include_str!("../../../docs/formats/pack.md");
    let found = of(&shards, 2);
    assert!(found.iter().all(|parity| page.contains(&hex::encode(parity))), "{found:02x?}");
    let many: Vec<Vec<u8>> = (0..130).map(|byte| vec![byte; 64]).collect();
    let hash = blake3::hash(&of(&many, 52).concat()).to_string();
    assert!(page.contains(&hash), "{hash}");
}

#[test]
fn a_stripe_stands_the_loss_of_as_many_cells_as_it_has_of_parity_and_of_no_more() {
    let geometry = Geometry::of(600).unwrap();
    let data = noise(1, 600 * CELL_BYTES);
    let parity = parity_of(geometry, &data);
    let depth = geometry.depth_of(2);
    for lost in [1, geometry.parity_depth(), geometry.parity_depth() + 1] {
        let mut stripe = Stripe::of(geometry, 2).unwrap();
        // One of the lost ones is of parity.
        for place in lost - 1..depth {
            stripe.add_data(place, cell(&data, geometry.cell_at(2, place)));
        }
        for place in 1..geometry.parity_depth() {
            stripe.add_parity(place, cell(&parity, geometry.cell_at(2, place)));
        }
        let solved = stripe.solve();
        if lost > geometry.parity_depth() {
            assert!(solved.is_none());
            continue;
        }
        let solved = solved.unwrap();
        assert_eq!(solved.len(), lost as usize - 1);
        for (place, bytes) in solved {
            assert!(bytes == cell(&data, geometry.cell_at(2, place)));
        }
    }
}

/// Packs of different lengths, and their parity packs.
fn set_of(lengths: &[usize], parity: usize) -> (Set, Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let packs: Vec<Vec<u8>> = (0..).zip(lengths).map(|(seed, length)| noise(seed, *length)).collect();
    let member = |(place, pack): (u8, &Vec<u8>)| Member { id: [place; 16], bytes: pack.len() as u64 };
    let set = Set { id: [9; 16], members: (0..).zip(&packs).map(member).collect(), parity };
    let mut made = vec![Vec::new(); parity];
    let sources: Vec<&dyn ReadAt> = packs.iter().map(|pack| pack as &dyn ReadAt).collect();
    let mut targets: Vec<&mut dyn WriteAt> = made.iter_mut().map(|pack| pack as &mut dyn WriteAt).collect();
    protect_packs(&set, &sources, &mut targets).unwrap();
    assert!(made.iter().all(|pack| pack.len() as u64 == set.parity_bytes()));
    (set, packs, made)
}

/// Restores the packs at these places from the others and from the parity packs at those.
fn restored(
    set: &Set,
    packs: &[Vec<u8>],
    parity: &[Vec<u8>],
    lost: &[usize],
    used: &[usize],
) -> engine::Result<Vec<std::ops::Range<u64>>> {
    let there = |place: usize| (!lost.contains(&place)).then_some(&packs[place] as &dyn ReadAt);
    let sources: Vec<Option<&dyn ReadAt>> = (0..packs.len()).map(there).collect();
    let kept = |place: usize| used.contains(&place).then_some(&parity[place] as &dyn ReadAt);
    let parity: Vec<Option<&dyn ReadAt>> = (0..parity.len()).map(kept).collect();
    let mut found = vec![Vec::new(); packs.len()];
    let targets = found.iter_mut().enumerate();
    let mut targets: Vec<Option<&mut dyn WriteAt>> =
        targets.map(|(place, pack)| lost.contains(&place).then_some(pack as &mut dyn WriteAt)).collect();
    let holes = restore(set, &sources, &parity, &mut targets)?;
    for place in lost {
        let mut expected = packs[*place].clone();
        for hole in &holes {
            let end = usize::try_from(hole.end).unwrap().min(expected.len());
            expected[usize::try_from(hole.start).unwrap().min(end)..end].fill(0);
        }
        assert!(found[*place] == expected, "pack {place}");
    }
    Ok(holes)
}

#[test]
fn any_k_of_k_and_m_packs_give_back_the_rest() {
    let (set, packs, parity) = set_of(&[300_000, 131_072, 1, 70_001, 299_999], 2);
    for (number, pack) in parity.iter().enumerate() {
        assert_eq!(identify(pack).unwrap(), (set.clone(), number));
    }
    for first in 0..5 {
        restored(&set, &packs, &parity, &[first], &[first % 2]).unwrap();
        for second in first + 1..5 {
            restored(&set, &packs, &parity, &[first, second], &[0, 1]).unwrap();
        }
    }
    let refused = restored(&set, &packs, &parity, &[0, 1], &[1]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
}

const GOLDEN_SET: [&str; 2] = [
    "d4a643d3e5798e2e193e2cb9b5ffe86d7562c57b1f9a81b0bd69d0160f7e0d07",
    "41785f7ad85987fbd2cac8091252c46222a76d8f7d41eb77f57d9cd1aa2a1b57",
];

#[test]
fn golden_set() {
    let (_, _, parity) = set_of(&[10_000, 9_999, 20_000], 2);
    let hashes = parity.iter().map(|pack| blake3::hash(pack).to_string()).collect::<Vec<_>>();
    assert_eq!(hashes, GOLDEN_SET);
}

#[test]
fn damage_of_a_parity_pack_is_seen_and_the_other_one_helps() {
    let (set, packs, parity) = set_of(&[300_000, 131_072, 200_000], 2);
    let total = parity[0].len();
    // Head, body, table of checksums, foot.
    for at in [0, 12, 4095, 5000, 200_000, total - 9000, total - 5000, total - 1] {
        let mut bad = parity.clone();
        bad[0][at] ^= 0x10;
        assert_eq!(identify(&bad[0]).unwrap(), (set.clone(), 0), "byte {at}");
        assert_eq!(restored(&set, &packs, &bad, &[1], &[0, 1]).unwrap(), []);
        // With one parity pack alone, a flip costs a cell and not the rest.
        let holes = restored(&set, &packs, &bad, &[1], &[0]).unwrap();
        let cells: u64 = holes.iter().map(|hole| (hole.end - hole.start) / CELL_BYTES as u64).sum();
        let body = (CELL_BYTES..total - 3 * CELL_BYTES).contains(&at);
        assert_eq!(cells, u64::from(body), "byte {at}");
        assert_eq!(scrub_parity(&set, 0, &bad[0]).unwrap().len() as u64, cells);
    }
    // A hole at the head and one at the foot: nothing says what it is.
    let mut bad = parity.clone();
    bad[0][7] ^= 1;
    bad[0][total - 1] ^= 1;
    assert_eq!(identify(&bad[0]).unwrap_err().kind(), ErrorKind::Corrupt);
    // Both damaged in one slice, and at one place: that is named, and everything else is there.
    let mut bad = parity.clone();
    bad[0][5000] ^= 1;
    bad[1][5001 + 8192] ^= 1;
    assert_eq!(restored(&set, &packs, &bad, &[1], &[0, 1]).unwrap(), []);
    let mut bad = parity.clone();
    bad[0][5000] ^= 1;
    bad[1][5001] ^= 1;
    let holes = restored(&set, &packs, &bad, &[1], &[0, 1]).unwrap();
    assert!(holes.len() == 1 && holes[0] == (0..4096), "{holes:?}");
}

#[test]
fn parity_without_a_checksum_is_used_where_nothing_else_is_left() {
    let (set, packs, parity) = set_of(&[300_000, 131_072, 200_000], 2);
    let total = parity[0].len();
    let mut bad = parity.clone();
    // Both copies of the table: nothing says whether the parity is right, and it is.
    for at in [total - 9000, total - 5000] {
        bad[0][at] ^= 0x10;
    }
    assert_eq!(restored(&set, &packs, &bad, &[1], &[0]).unwrap(), []);
    assert_eq!(scrub_parity(&set, 0, &bad[0]).unwrap().len(), 300_000_usize.div_ceil(CELL_BYTES));
    // Where the other one is sure, it decides.
    bad[0][5000] ^= 1;
    assert_eq!(restored(&set, &packs, &bad, &[1], &[0, 1]).unwrap(), []);
}

#[test]
fn parity_of_another_set_or_in_another_order_is_refused_and_nothing_is_written() {
    let (set, packs, parity) = set_of(&[30_000, 13_107], 2);
    let swapped = vec![parity[1].clone(), parity[0].clone()];
    let refused = restored(&set, &packs, &swapped, &[1], &[0, 1]).unwrap_err();
    assert!(refused.to_string().contains("another set"), "{refused}");
    let other = Set { id: [8; 16], ..set.clone() };
    restored(&other, &packs, &parity, &[1], &[0]).unwrap_err();
    scrub_parity(&other, 0, &parity[0]).unwrap_err();
    let mut longer = packs.clone();
    longer[0].push(0);
    let refused = restored(&set, &longer, &parity, &[1], &[0]).unwrap_err();
    assert!(refused.to_string().contains("30001 bytes"), "{refused}");
}

/// Says by an error that a cell is lost.
struct Lost<'a>(&'a Vec<u8>, u64);

impl ReadAt for Lost<'_> {
    fn byte_len(&self) -> std::io::Result<u64> {
        self.0.byte_len()
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> std::io::Result<()> {
        if (at..at + out.len() as u64).contains(&self.1) {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        self.0.read_at(at, out)
    }
}

#[test]
fn a_survivor_that_has_lost_a_cell_costs_that_cell_or_nothing() {
    let (set, packs, parity) = set_of(&[300_000, 131_072, 200_000], 2);
    let ailing = Lost(&packs[0], 9000);
    for (used, expected) in [(2, None), (1, Some(8192..12_288))] {
        let kept = parity.iter().map(|pack| Some(pack as &dyn ReadAt));
        let kept: Vec<_> = kept.enumerate().map(|(place, pack)| pack.filter(|_| place < used)).collect();
        let mut found = Vec::new();
        let holes = restore(
            &set,
            &[Some(&ailing), None, Some(&packs[2])],
            &kept,
            &mut [None, Some(&mut found), None],
        );
        assert_eq!(holes.unwrap(), Vec::from_iter(expected));
        assert!(found[..8192] == packs[1][..8192] && found[12_288..] == packs[1][12_288..]);
    }
}

#[test]
fn a_newer_parity_pack_is_named_and_an_impossible_set_is_refused() {
    let (set, _, parity) = set_of(&[10_000], 1);
    let mut newer = parity[0].clone();
    newer[8] = 2;
    let checksum = super::crc32c(&newer[..4092]);
    newer[4092..4096].copy_from_slice(&checksum.to_le_bytes());
    assert!(matches!(identify(&newer).unwrap_err(), Error::Newer { found: 2, .. }));
    for at in 0..4096 {
        let mut flipped = parity[0][..4096].to_vec();
        flipped[at] ^= 1;
        identify(&flipped).unwrap_err();
    }
    for (packs, parity) in [(0, 1), (129, 1), (1, 0), (1, 33)] {
        let set = Set { members: vec![set.members[0]; packs], parity, ..set.clone() };
        assert_eq!(protect_packs(&set, &[], &mut []).unwrap_err().kind(), ErrorKind::Invalid);
    }
}
