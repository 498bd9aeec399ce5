//! Media that are full, away, others', or old.

use super::{World, account, medium, name, noise};
use crate::retrieval::{JobState, MediumKind};
use engine::unit::ByteCount;
use engine::worker::Progress;
use std::fs;
use std::time::Duration;

#[tokio::test]
async fn a_full_medium_is_said_and_what_waits_is_safe_until_there_is_room() {
    let mut world = World::with(31, |parts| parts.media[0].capacity = Some(ByteCount::mib(5))).await;
    let vault = world.create("v").await;
    let bytes = noise(1, 1_000_000);
    let id = world.put(&vault, &bytes).await;
    let mut packer = world.vaults.workers().remove(0);
    let mut told = None;
    for _ in 0..10 {
        match packer.tick().await {
            Err(error) => told = Some(error.to_string()),
            Ok(Progress::Idle { .. }) => break,
            Ok(Progress::More { .. }) => {}
        }
    }
    assert!(told.is_some_and(|told| told.contains("medium disk") && told.contains("full")));
    drop(packer);
    assert!(world.files("vault").is_empty());
    let job = world.ask_for(&vault, id, None).await;
    let mut runner = world.vaults.workers().remove(1);
    while !matches!(runner.tick().await.unwrap(), Progress::Idle { .. }) {}
    drop(runner);
    assert!(world.output(&vault, &job).await == bytes);
    // A second medium takes it.
    fs::create_dir(world.path("more")).unwrap();
    let more = medium("more", MediumKind::Disk, world.path("more"));
    world.parts.media.push(more);
    world.reopen().await;
    world.settle().await;
    assert_eq!((world.files("vault").len(), world.files("more").len()), (0, 1));
    assert!(world.get(&vault, id).await == bytes);
}

#[tokio::test]
async fn a_job_says_which_medium_to_bring_and_goes_on_when_it_comes() {
    let mut world = World::with(32, |parts| parts.media[0].kind = MediumKind::Shelf).await;
    let vault = world.create("v").await;
    let bytes = noise(1, 100_000);
    let id = world.put(&vault, &bytes).await;
    world.settle().await;
    fs::rename(world.path("vault"), world.path("shelf")).unwrap();
    world.reopen().await;
    let job = world.ask_for(&vault, id, None).await;
    world.settle().await;
    let state = world.state(&vault, &job).await;
    assert!(matches!(&state, JobState::Waiting { label } if label.as_str() == "disk"), "{state:?}");
    // An empty mount point, and another medium, are not it.
    fs::create_dir(world.path("vault")).unwrap();
    world.settle().await;
    assert_eq!(world.state(&vault, &job).await, state);
    assert!(world.vaults.media()[0].away.as_ref().unwrap().contains("no mark"));
    let mark = fs::read(world.path("shelf").join("firn-medium")).unwrap();
    let stranger = World::new(99).await;
    stranger.create("w").await;
    stranger.settle().await;
    fs::copy(stranger.path("vault").join("firn-medium"), world.path("vault").join("firn-medium")).unwrap();
    assert!(world.vaults.media()[0].away.as_ref().unwrap().contains("another medium"));
    fs::remove_dir_all(world.path("vault")).unwrap();
    fs::rename(world.path("shelf"), world.path("vault")).unwrap();
    // Whoever else sees it first does not keep that from the plan.
    for medium in world.vaults.media.ids() {
        assert!(world.vaults.media.look(medium).await.is_ok());
    }
    world.wait(&vault, &job).await;
    assert!(world.output(&vault, &job).await == bytes);
    // A copy from before is not it either.
    world.put(&vault, &noise(2, 1_000)).await;
    world.settle().await;
    fs::write(world.path("vault").join("firn-medium"), &mark).unwrap();
    let away = world.vaults.media()[0].away.clone();
    assert!(away.is_some_and(|away| away.contains("copy from before")));
}

#[tokio::test]
async fn a_medium_that_is_configured_no_more_keeps_nobody_from_starting() {
    let mut world = World::new(34).await;
    let vault = world.create("v").await;
    let bytes = noise(1, 100_000);
    let id = world.put(&vault, &bytes).await;
    world.settle().await;
    let job = world.ask_for(&vault, id, None).await;
    let disk = world.parts.media.remove(0);
    fs::create_dir(world.path("other")).unwrap();
    world.parts.media.push(medium("other", MediumKind::Disk, world.path("other")));
    world.reopen().await;
    let other = world.put(&vault, &noise(2, 1_000)).await;
    assert!(world.get(&vault, other).await == noise(2, 1_000));
    let state = world.state(&vault, &job).await;
    assert!(state.is_pending(), "{state:?}");
    world.parts.media.push(disk);
    world.reopen().await;
    world.wait(&vault, &job).await;
    assert!(world.output(&vault, &job).await == bytes);
}

#[tokio::test]
async fn nothing_is_written_before_there_is_a_vault() {
    let world = World::new(33).await;
    assert_eq!(fs::read_dir(world.path("vault")).unwrap().count(), 0);
    let rows = world.count(engine::id::PartitionId::ROOT, crate::vault::tables::MEDIA).await;
    assert_eq!(rows, 0);
    world.create("v").await;
    world.put(&name("v"), &noise(1, 10)).await;
    world.settle().await;
    assert!(world.path("vault").join("firn-medium").exists());
    let listed = world.vaults.list(account(), None, 10).await.unwrap();
    assert_eq!(listed.vaults.len(), 1);
    assert_eq!(listed.vaults[0].arn, "arn:aws:glacier:us-east-1:111122223333:vaults/v");
    world.clock.advance(Duration::from_secs(1));
}
