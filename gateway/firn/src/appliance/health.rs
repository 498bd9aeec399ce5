//! Whether an appliance takes requests, and if not, why.
//!
//! ```text
//!   catalog ── a row? ── an empty commit? ── room? ──────┐
//!   pool ───── room for bodies? ── do writes succeed? ───┴─► Readiness ─► /readyz, status, doctor
//! ```
//!
//! An empty commit passes through the sequencer and answers as a write would, but changes nothing and costs no sync. No part is waited for
//! longer than [`PATIENCE`].
//! Reads go on in every state but one: a catalog that can't be read.

use super::open::Appliance;
use super::readable::{FRESH, PATIENCE, Refused, anywhere_or_at_the_root, on_a_thread};
use engine::Error;
use engine::catalog::{Catalog, Commit};
use engine::id::PartitionId;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use web::{Obstacle, Readiness};

impl Appliance {
    /// Asks every part that a request would meet.
    pub(crate) async fn readiness(&self) -> Readiness {
        let mut readiness = Readiness::default();
        self.ask_catalog(&mut readiness).await;
        self.ask_pool(&mut readiness);
        readiness
    }

    async fn ask_catalog(&self, readiness: &mut Readiness) {
        let (catalog, entropy) = (Arc::clone(&self.catalog), Arc::clone(&self.entropy));
        let read = move || anywhere_or_at_the_root(|at| catalog.probe(at), &*entropy);
        let patience = PATIENCE.as_secs();
        match self.readable.refused(&*self.clock, FRESH, || on_a_thread(read)).await {
            None => {}
            Some(Refused::Silent) => {
                let text = format!("no row was read within {patience} s");
                return readiness.add(Obstacle::CatalogSilent, text);
            }
            Some(Refused::Unasked(error)) => return readiness.add(Obstacle::CatalogSilent, error),
            Some(Refused::With(error)) => return readiness.add(Obstacle::CatalogUnreadable, error),
        }
        let catalog = Arc::clone(&self.catalog);
        let bodies = move || catalog.check_body_files();
        match self.bodies_there.refused(&*self.clock, FRESH, || on_a_thread(bodies)).await {
            Some(Refused::With(error)) => readiness.add(Obstacle::BodiesUnreadable, error),
            // What hangs or has no thread is told by the rows.
            None | Some(Refused::Silent | Refused::Unasked(_)) => {}
        }
        let catalog = Arc::clone(&self.catalog);
        match self.writable.refused(&*self.clock, Duration::ZERO, || Ok(in_a_task(catalog))).await {
            None if self.catalog.has_room() => {}
            None => {
                let place = self.catalog.dir().display();
                readiness.add(Obstacle::CatalogFull, format!("the disk of {place} is nearly full"));
            }
            Some(Refused::Silent) => {
                let text = format!("no commit was answered within {patience} s");
                readiness.add(Obstacle::CatalogStalled, text);
            }
            Some(Refused::Unasked(error)) => readiness.add(Obstacle::CatalogStalled, error),
            Some(Refused::With((obstacle, error))) => readiness.add(obstacle, error),
        }
    }

    fn ask_pool(&self, readiness: &mut Readiness) {
        let usage = self.blobs.usage();
        if usage.full {
            let text = "no room for another segment file: bodies are refused, but for what the open files still take";
            readiness.add(Obstacle::PoolFull, text.to_owned());
        } else if let Err(error) = self.blobs.check_room() {
            let obstacle = match &error {
                Error::Full { .. } => Obstacle::PoolFull,
                Error::TooFewZones { .. } => Obstacle::TooFewZones,
                _ => Obstacle::PoolFailing,
            };
            readiness.add(obstacle, error.to_string());
        }
        if usage.failing {
            readiness.add(Obstacle::PoolFailing, "its last write or sync failed".to_owned());
        }
    }
}

/// Asks where it is not dropped with whoever wants to know.
fn in_a_task(catalog: Arc<dyn Catalog>) -> oneshot::Receiver<Option<(Obstacle, String)>> {
    let (answers, answer) = oneshot::channel();
    tokio::spawn(async move {
        let refused = ask(&*catalog).await.err().map(|(obstacle, error)| (obstacle, error.to_string()));
        // Whoever asked may have gone.
        drop(answers.send(refused));
    });
    answer
}

/// Asks a catalog as a write would: what does not answer, and what that keeps from being served.
async fn ask(catalog: &dyn Catalog) -> Result<(), (Obstacle, Error)> {
    let snapshot = catalog.snapshot(PartitionId::ROOT).await;
    let snapshot = snapshot.map_err(|error| (Obstacle::CatalogUnreadable, error))?;
    let commit = Commit::new(PartitionId::ROOT, snapshot.read_version());
    match catalog.commit(commit).await {
        Ok(_) => Ok(()),
        Err(error @ Error::Full { .. }) => Err((Obstacle::CatalogFull, error)),
        Err(error) => Err((Obstacle::CatalogFenced, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::home::{Home, Wish};
    use super::super::readable::{FRESH, PATIENCE, Question, Refused};
    use super::{Appliance, ask, in_a_task};
    use crate::config::{self, Overrides};
    use engine::catalog::{Catalog, Commit, Limits, Snapshot, Version};
    use engine::clock::{Clock, ManualClock, Timestamp};
    use engine::entropy::{Entropy, SeededEntropy};
    use engine::fault::{Fault, Faults, Point};
    use engine::id::PartitionId;
    use engine::{BoxFuture, Error};
    use objectstore::{BucketName, Expect, NewBucket, ObjectKey, PutRequest};
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;
    use web::{Obstacle, Readiness};

    fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::new(Timestamp::from_millis(1_769_860_800_000)))
    }

    async fn open(dir: &Path, clock: Arc<ManualClock>, faults: &Arc<Faults>) -> Appliance {
        let clock: Arc<dyn Clock> = clock;
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(1));
        let config = config::load(None, &Overrides::default()).unwrap();
        let home = Home::open(dir, &Wish::default(), &*clock, &entropy).unwrap();
        Appliance::open_on(home, &config, (clock, entropy, faults.clone())).await.unwrap()
    }

    fn obstacles(readiness: &Readiness) -> Vec<Obstacle> {
        readiness.obstacles().iter().map(|(obstacle, _)| *obstacle).collect()
    }

    /// What doctor says of a readiness, and what it advises.
    fn doctor(appliance: &Appliance, readiness: &Readiness) -> (String, String) {
        let findings = appliance.findings(readiness, &[]);
        let finding = findings.into_iter().find(|finding| finding.check == "ready").unwrap();
        assert_eq!(finding.ok, readiness.is_ready());
        (finding.detail, finding.fix.unwrap_or_default())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_fenced_catalog_and_a_pool_that_fails_are_told_and_what_is_served_all_the_same() {
        let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::new(Faults::default()));
        let appliance = open(dir.path(), clock(), &faults).await;
        let ready = appliance.readiness().await;
        assert!(ready.is_ready(), "{ready:?}");
        assert_eq!(doctor(&appliance, &ready), ("reads and writes".to_owned(), String::new()));
        let bucket = BucketName::parse("bucket").unwrap();
        appliance.store.create_bucket(&bucket, &NewBucket::default()).await.unwrap();

        faults.arm(Point::SegmentWrite, Fault::Io, 0, u64::MAX);
        let request = PutRequest::new(bucket, ObjectKey::parse("k").unwrap());
        let mut upload = appliance.store.put(request).await.unwrap();
        upload.write(vec![7; 100_000].into()).await.unwrap();
        assert!(upload.finish(Expect::default()).await.is_err());
        let failing = appliance.readiness().await;
        assert!(obstacles(&failing).iter().all(|obstacle| *obstacle == Obstacle::PoolFailing), "{failing:?}");
        let seen = failing.obstacles().iter().any(|(_, seen)| seen == "its last write or sync failed");
        assert!(seen && failing.reads(), "{failing:?}");
        let (says, fix) = doctor(&appliance, &failing);
        assert!(says.starts_with("reads go on where they can, writes may fail: "), "{says}");
        assert!(fix.contains("dmesg") && fix.contains("replace it"), "{fix}");

        faults.clear();
        faults.arm(Point::CatalogSync, Fault::Io, 0, 1);
        let other = BucketName::parse("other").unwrap();
        assert!(appliance.store.create_bucket(&other, &NewBucket::default()).await.is_err());
        faults.clear();
        let fenced = appliance.readiness().await;
        assert_eq!(obstacles(&fenced)[0], Obstacle::CatalogFenced, "{fenced:?}");
        assert!(fenced.reads() && fenced.obstacles()[0].1.contains("injected I/O error"), "{fenced:?}");
        let (says, fix) = doctor(&appliance, &fenced);
        assert!(says.starts_with("reads go on, writes are refused: "), "{says}");
        assert!(fix.starts_with("restart the server"), "{fix}");

        appliance.close().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_catalog_whose_rows_are_damaged_on_the_disk_is_unreadable_and_is_told() {
        let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
        let appliance = open(dir.path(), clock.clone(), &Arc::default()).await;
        let bucket = BucketName::parse("bucket").unwrap();
        appliance.store.create_bucket(&bucket, &NewBucket::default()).await.unwrap();
        // What was in memory is in files then.
        appliance.catalog.checkpoint(&dir.path().join("copy")).unwrap();
        assert!(appliance.readiness().await.is_ready());
        let mut damaged = 0;
        for entry in std::fs::read_dir(appliance.catalog.dir().join("rows")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|kind| kind == "sst") {
                let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
                let length = usize::try_from(file.metadata().unwrap().len()).unwrap();
                std::io::Write::write_all(&mut file, &vec![0; length]).unwrap();
                damaged += 1;
            }
        }
        assert!(damaged > 0, "nothing is on the disk");
        assert!(appliance.readiness().await.is_ready(), "it was looked a moment ago");
        clock.advance(FRESH);
        let unreadable = appliance.readiness().await;
        assert_eq!((obstacles(&unreadable), unreadable.reads()), (vec![Obstacle::CatalogUnreadable], false));
        let (says, fix) = doctor(&appliance, &unreadable);
        assert!(says.starts_with("nothing is served: read ") && says.contains("checksum"), "{says}");
        assert!(fix.starts_with("restart the server") && fix.contains("firn recover"), "{fix}");
        appliance.close().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn inline_bodies_whose_file_is_gone_or_cut_are_told() {
        let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
        let appliance = open(dir.path(), clock.clone(), &Arc::default()).await;
        let bucket = BucketName::parse("bucket").unwrap();
        appliance.store.create_bucket(&bucket, &NewBucket::default()).await.unwrap();
        let request = PutRequest::new(bucket, ObjectKey::parse("k").unwrap());
        let mut upload = appliance.store.put(request).await.unwrap();
        upload.write(vec![7; 2_000].into()).await.unwrap();
        upload.finish(Expect::default()).await.unwrap();
        appliance.catalog.checkpoint(&dir.path().join("copy")).unwrap();
        assert!(appliance.readiness().await.is_ready());
        let rows = std::fs::read_dir(appliance.catalog.dir().join("rows")).unwrap();
        let blob = rows
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|kind| kind == "blob"))
            .unwrap();
        let cut = std::fs::OpenOptions::new().write(true).open(&blob).unwrap();
        cut.set_len(cut.metadata().unwrap().len() - 1).unwrap();
        for _ in 0..2 {
            clock.advance(FRESH);
            let told = appliance.readiness().await;
            assert_eq!((obstacles(&told), told.reads()), (vec![Obstacle::BodiesUnreadable], true));
            let (says, fix) = doctor(&appliance, &told);
            assert!(says.contains("missing or cut") && fix.contains("firn recover"), "{says} {fix}");
            let _gone = std::fs::remove_file(&blob);
        }
        appliance.close().await;
    }

    /// A catalog that answers nothing.
    struct Unreadable;

    impl Catalog for Unreadable {
        fn limits(&self) -> Limits {
            Limits::STANDARD
        }

        fn snapshot(&self, _: PartitionId) -> BoxFuture<'_, engine::Result<Arc<dyn Snapshot>>> {
            Box::pin(std::future::ready(Err(Error::Closed)))
        }

        fn commit(&self, _: Commit) -> BoxFuture<'_, engine::Result<Version>> {
            Box::pin(std::future::ready(Err(Error::Closed)))
        }
    }

    /// A catalog whose log hangs: it reads, and answers no commit.
    struct Stalled;

    impl Catalog for Stalled {
        fn limits(&self) -> Limits {
            Limits::STANDARD
        }

        fn snapshot(&self, _: PartitionId) -> BoxFuture<'_, engine::Result<Arc<dyn Snapshot>>> {
            Box::pin(std::future::pending())
        }

        fn commit(&self, _: Commit) -> BoxFuture<'_, engine::Result<Version>> {
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test]
    async fn a_commit_that_is_not_answered_is_waited_for_no_longer_than_a_row() {
        let (clock, question) = (clock(), Question::default());
        let ask = || Ok(in_a_task(Arc::new(Stalled)));
        let mut refused = Box::pin(question.refused(&*clock, Duration::ZERO, ask));
        assert!(futures_util::poll!(&mut refused).is_pending());
        clock.advance(PATIENCE);
        assert_eq!(refused.await, Some(Refused::Silent));
        let again = || panic!("a second commit behind one that hangs");
        assert_eq!(question.refused(&*clock, Duration::ZERO, again).await, Some(Refused::Silent));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_disk_that_hangs_has_another_remedy_than_one_that_is_damaged() {
        let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
        let appliance = open(dir.path(), clock, &Arc::default()).await;
        for obstacle in [Obstacle::CatalogSilent, Obstacle::CatalogStalled] {
            let mut readiness = Readiness::default();
            readiness.add(obstacle, "nothing came back within 5 s".to_owned());
            let (says, fix) = doctor(&appliance, &readiness);
            assert!(says.ends_with("nothing came back within 5 s"), "{says}");
            assert!(fix.contains("dmesg") && !fix.contains("recover"), "{fix}");
            assert_eq!(readiness.reads(), obstacle == Obstacle::CatalogStalled);
        }
        appliance.close().await;
    }

    #[tokio::test]
    async fn a_catalog_without_a_snapshot_is_unreadable() {
        let refused = ask(&Unreadable).await.unwrap_err();
        assert!(matches!(refused, (Obstacle::CatalogUnreadable, Error::Closed)), "{refused:?}");
    }
}
