//! Deduplication within a pack and between packs.

use super::world::{World, id, noise, put, text};
use crate::pack::{Detail, KeyFor, Place, Protection};

#[test]
fn a_family_of_checkpoints_costs_little_more_than_its_differences() {
    let world = World::with_dedup(1);
    let first = noise(1, 6_000_000);
    let mut second = first.clone();
    second.splice(3_000_000..3_000_000, noise(2, 1000));
    let mut pack = world.begin();
    put(&mut pack, id(1), &first);
    put(&mut pack, id(2), &second);
    let within = world.seal(pack);
    let stored: u64 = within.index().frames.iter().map(|frame| u64::from(frame.stored)).sum();
    assert!(stored < 6_000_000 + 600_000, "{stored}");
    let mut third = second.clone();
    third[100] ^= 1;
    let between = world.pack_of(&[b"first".to_vec(), third.clone()]);
    let stored: u64 = between.index().frames.iter().map(|frame| u64::from(frame.stored)).sum();
    assert!(stored < 400_000, "{stored}");
    assert_eq!(between.index().packs, [within.id()]);
    let reader = world.packs.lock().unwrap()[&within.id()].clone();
    assert!(world.read(&reader, id(1)).unwrap() == first);
    assert!(world.read(&reader, id(2)).unwrap() == second);
    let reader = world.packs.lock().unwrap()[&between.id()].clone();
    assert!(world.read(&reader, id(1)).unwrap() == third);
    let entry = reader.index().entry(id(1)).unwrap();
    let part = world.read_range(&reader, entry, 2_999_990..3_001_010).unwrap();
    assert!(part == third[2_999_990..3_001_010]);
    // Without the other pack, what lies there is missing, by its name.
    world.packs.lock().unwrap().remove(&within.id());
    let refused = world.read(&reader, id(1)).unwrap_err().to_string();
    assert!(refused.contains(&within.id().to_string()), "{refused}");
}

#[test]
fn chunks_are_under_the_key_of_their_pack_and_small_files_are_shared_too() {
    let world = World::with_dedup(2);
    let archives: Vec<Vec<u8>> = (0..40).map(|place| text(place % 4, 5_000)).collect();
    let pack = world.pack_of(&archives);
    assert_eq!(*world.keys.asked.lock().unwrap(), [KeyFor::Pack]);
    let index = pack.index();
    assert!(index.frames.iter().all(|frame| frame.protection == Protection::Key(0)));
    assert_eq!(pack.chunks().len(), 4);
    let one_run = |detail: &Detail| matches!(detail, Detail::Chunked(runs) if runs.len() == 1);
    assert!(pack.archives().all(|(entry, about)| entry.place == Place::Chunked && one_run(&about.detail)));
    let reader = world.packs.lock().unwrap()[&pack.id()].clone();
    for (place, bytes) in (0..).zip(&archives) {
        assert!(world.read(&reader, id(place)).unwrap() == *bytes, "archive {place}");
    }
}
