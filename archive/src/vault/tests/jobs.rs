//! Jobs: times, expiry, what went meanwhile, what is damaged.

use super::{World, account, name, noise};
use crate::retrieval::{Failure, JobState};
use crate::vault::{Error, NewVault};
use std::os::unix::fs::FileExt;
use std::time::Duration;

#[tokio::test]
async fn a_vault_that_keeps_the_timetable_gives_nothing_out_before_and_outputs_expire() {
    let mut world = World::new(21).await;
    let new = NewVault { keeps_timetable: true, ..NewVault::default() };
    world.vaults.create(account(), &name("v"), new).await.unwrap();
    let vault = name("v");
    let bytes = noise(1, 1_000);
    let id = world.put(&vault, &bytes).await;
    let job = world.ask_for(&vault, id, None).await;
    world.settle().await;
    assert_eq!(world.state(&vault, &job).await, JobState::Held);
    let early = world.vaults.output(account(), &vault, job.job.id, None).await;
    assert!(matches!(early, Err(Error::NotReady { .. })));
    world.reopen().await;
    world.clock.advance(Duration::from_mins(181));
    world.settle().await;
    assert!(world.output(&vault, &job).await == bytes);
    world.reopen().await;
    world.clock.advance(Duration::from_hours(24));
    let late = world.vaults.output(account(), &vault, job.job.id, None).await;
    assert!(matches!(late, Err(Error::NotFound { what: "job", .. })));
    world.settle().await;
    let gone = world.vaults.job(account(), &vault, job.job.id).await;
    assert!(matches!(gone, Err(Error::NotFound { what: "job", .. })));
    assert!(world.get(&vault, id).await.len() == 1_000, "the archive is where it was");
}

#[tokio::test]
async fn a_job_of_an_archive_that_is_deleted_meanwhile_fails_and_is_forgotten() {
    let world = World::new(22).await;
    let vault = world.create("v").await;
    let id = world.put(&vault, &noise(1, 1_000)).await;
    world.settle().await;
    let job = world.ask_for(&vault, id, None).await;
    world.vaults.delete_archive(account(), &vault, id).await.unwrap();
    for _ in 0..20 {
        world.settle().await;
        world.clock.advance(Duration::from_mins(20));
    }
    let state = world.state(&vault, &job).await;
    assert!(matches!(state, JobState::Failed { why: Failure::Deleted, .. }), "{state:?}");
    let none = world.vaults.jobs(account(), &vault, (None, 10), |job| job.state == JobState::Queued).await;
    assert!(none.unwrap().jobs.is_empty());
    world.clock.advance(Duration::from_hours(25));
    world.settle().await;
    assert!(world.vaults.job(account(), &vault, job.job.id).await.is_err());
}

#[tokio::test]
async fn a_damaged_pack_is_mended_where_it_lies_and_one_beyond_that_fails_the_job() {
    let world = World::with(23, |parts| parts.packing.capacity = 4 << 20).await;
    let vault = world.create("v").await;
    let bytes = noise(1, 1_200_000);
    let id = world.put(&vault, &bytes).await;
    world.settle().await;
    let file = world.path("vault").join(world.files("vault").first().unwrap());
    let whole = std::fs::read(&file).unwrap();
    let target = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
    target.write_all_at(b"rot", 500_000).unwrap();
    assert!(world.get(&vault, id).await == bytes);
    assert!(std::fs::read(&file).unwrap() == whole);
    target.write_all_at(&vec![7; 900_000], 100_000).unwrap();
    let job = world.ask_for(&vault, id, None).await;
    for _ in 0..20 {
        world.settle().await;
        world.clock.advance(Duration::from_mins(20));
    }
    let state = world.state(&vault, &job).await;
    assert!(matches!(state, JobState::Failed { why: Failure::Damaged, .. }), "{state:?}");
}
