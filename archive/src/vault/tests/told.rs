//! Who is told that a retrieval came to its end, whatever receivers and the process do meanwhile.

use super::{Cut, World, account, noise};
use crate::inventory::{Description, Format, Selection};
use crate::pack::ArchiveId;
use crate::retrieval::{Subject, Tier};
use crate::vault::{Error, JobInfo, Notification, Topics, VaultName, Vaults, Wanted};
use engine::BoxFuture;
use engine::catalog::Catalog;
use engine::outbox::{Courier, Letter, Options, Outbox, Subscriber};
use engine::worker::Progress;
use parking_lot::Mutex;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Takes messages while it is up.
#[derive(Default)]
struct Receiver {
    down: AtomicBool,
    got: Mutex<Vec<(String, Value)>>,
}

impl Courier for Receiver {
    fn deliver<'a>(&'a self, letter: Letter<'a>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            if self.down.load(Ordering::SeqCst) {
                return Err("reach the receiver: it is down".to_owned());
            }
            self.got.lock().push((letter.id.to_owned(), serde_json::from_slice(letter.body).unwrap()));
            Ok(())
        })
    }

    fn address(&self) -> String {
        "the test".to_owned()
    }
}

struct Told {
    world: World,
    receiver: Arc<Receiver>,
    outbox: Arc<Outbox>,
}

fn arn(name: &str) -> String {
    format!("arn:aws:sns:us-east-1:{}:{name}", account())
}

fn outbox(world: &World, rows: Arc<dyn Catalog>, receiver: &Arc<Receiver>) -> Arc<Outbox> {
    let subscriber = |name: &str| Subscriber {
        topic: name.parse().unwrap(),
        courier: receiver.clone(),
        kept: Duration::from_hours(24 * 7),
    };
    Outbox::new(Options {
        catalog: rows,
        clock: world.clock.clone(),
        entropy: world.parts.entropy.clone(),
        subscribers: vec![subscriber("told"), subscriber("also")],
        messages_max: 1_000,
    })
}

impl Told {
    async fn new(seed: u64) -> Self {
        let world = World::new(seed).await;
        let receiver = Arc::new(Receiver::default());
        let outbox = outbox(&world, world.catalog.clone(), &receiver);
        let mut told = Self { world, receiver, outbox };
        told.restart().await;
        told
    }

    /// What is in memory is gone.
    async fn restart(&mut self) {
        self.outbox = outbox(&self.world, self.world.catalog.clone(), &self.receiver);
        self.world.parts.topics = Some(Topics { outbox: self.outbox.clone(), account: account() });
        self.world.reopen().await;
    }

    async fn deliver(&self) {
        for mut worker in self.outbox.workers() {
            for _ in 0..100 {
                if let Progress::Idle { .. } = worker.tick().await.unwrap() {
                    break;
                }
            }
        }
    }

    fn took(&self) -> Vec<Value> {
        std::mem::take(&mut *self.receiver.got.lock()).into_iter().map(|(_, body)| body).collect()
    }

    async fn ask(&self, vault: &VaultName, subject: Subject, topic: &str) -> Result<JobInfo, Error> {
        ask(&self.world.vaults, vault, subject, topic).await
    }

    async fn set(&self, vault: &VaultName, topic: &str, events: &[&str]) -> Result<(), Error> {
        let events = events.iter().map(|event| (*event).to_owned()).collect();
        let wanted = Notification { topic: topic.to_owned(), events };
        self.world.vaults.set_notification(account(), vault, Some(wanted)).await
    }
}

async fn ask(
    vaults: &Arc<Vaults>,
    vault: &VaultName,
    subject: Subject,
    topic: &str,
) -> Result<JobInfo, Error> {
    let (tier, topic) = (Tier::Standard, topic.to_owned());
    let description = Description::new("for the audit").unwrap();
    vaults.initiate(account(), vault, Wanted { subject, tier, description, topic }).await
}

fn whole(archive: ArchiveId) -> Subject {
    Subject::Archive { archive: archive.to_string(), range: None }
}

fn inventory() -> Subject {
    Subject::Inventory { format: Format::Json, selection: Selection::default() }
}

const ARCHIVES: &str = "ArchiveRetrievalCompleted";
const INVENTORIES: &str = "InventoryRetrievalCompleted";

#[tokio::test]
async fn the_end_of_a_retrieval_is_told_once_its_receiver_is_back_and_is_what_describes_the_job() {
    let mut told = Told::new(81).await;
    let vault = told.world.create("v").await;
    let id = told.world.put(&vault, &noise(1, 1_000)).await;
    told.set(&vault, &arn("told"), &[ARCHIVES]).await.unwrap();
    told.receiver.down.store(true, Ordering::SeqCst);
    let job = told.ask(&vault, whole(id), "").await.unwrap();
    told.world.wait(&vault, &job).await;
    told.deliver().await;
    assert_eq!((told.outbox.waiting(), told.took().len()), (1, 0));
    told.restart().await;
    assert_eq!(told.outbox.waiting(), 1, "it outlives a crash");
    told.deliver().await;
    assert!(told.took().is_empty());
    told.receiver.down.store(false, Ordering::SeqCst);
    told.world.clock.advance(Duration::from_hours(1));
    told.deliver().await;
    let described = told.world.vaults.job(account(), &vault, job.job.id).await.unwrap().document();
    assert_eq!(told.took(), std::slice::from_ref(&described));
    assert_eq!(described["Action"], "ArchiveRetrieval");
    assert_eq!((&described["StatusCode"], &described["Completed"]), (&"Succeeded".into(), &true.into()));
    assert_eq!(described["JobDescription"], "for the audit");
    assert_eq!(described["ArchiveSizeInBytes"], 1_000);
    // Once, also behind another start.
    told.restart().await;
    told.world.clock.advance(Duration::from_hours(1));
    told.world.settle().await;
    told.deliver().await;
    assert_eq!((told.outbox.waiting(), told.took().len()), (0, 0));
}

#[tokio::test]
async fn a_vaults_topic_and_a_jobs_own_are_told_of_what_they_want_and_one_topic_once() {
    let told = Told::new(82).await;
    let vault = told.world.create("v").await;
    let id = told.world.put(&vault, &noise(1, 1_000)).await;
    told.set(&vault, &arn("told"), &[INVENTORIES]).await.unwrap();
    let end = async |subject: Subject, topic: &str| {
        let job = told.ask(&vault, subject, topic).await.unwrap();
        told.world.wait(&vault, &job).await;
        told.deliver().await;
        told.took()
    };
    assert!(end(whole(id), "").await.is_empty(), "the vault wants inventories alone");
    let own = end(whole(id), &arn("also")).await;
    assert_eq!(own.len(), 1);
    assert_eq!(own[0]["SNSTopic"], arn("also").as_str());
    let both = end(inventory(), &arn("also")).await;
    assert_eq!((both.len(), &both[0]), (2, &both[1]));
    assert_eq!(both[0]["Action"], "InventoryRetrieval");
    assert_eq!(end(inventory(), &arn("told")).await.len(), 1);
    told.world.vaults.set_notification(account(), &vault, None).await.unwrap();
    assert!(end(inventory(), "").await.is_empty());
    // What fails is told, too.
    let job = told.ask(&vault, whole(id), &arn("told")).await.unwrap();
    told.world.vaults.delete_archive(account(), &vault, id).await.unwrap();
    for _ in 0..20 {
        told.world.settle().await;
        told.world.clock.advance(Duration::from_mins(20));
    }
    told.deliver().await;
    let failed = told.took();
    assert_eq!(failed.len(), 1);
    assert_eq!(
        (&failed[0]["StatusCode"], &failed[0]["JobId"]),
        (&"Failed".into(), &job.job.id.to_string().into())
    );
}

#[tokio::test]
async fn a_topic_that_the_configuration_does_not_name_is_refused() {
    let told = Told::new(83).await;
    let vault = told.world.create("v").await;
    let id = told.world.put(&vault, &noise(1, 1_000)).await;
    let another = arn("told").replace(&account().to_string(), "444455556666");
    let elsewhere = arn("told").replace("us-east-1", "eu-west-1");
    for bad in [&arn("nobody"), &another, &elsewhere, "told", &arn("told").replace(":sns:", ":sqs:")] {
        let refused = told.set(&vault, bad, &[ARCHIVES]).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{bad}: {refused:?}");
        let refused = told.ask(&vault, whole(id), bad).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{bad}: {refused:?}");
    }
    assert!(told.world.vaults.notification(account(), &vault).await.unwrap().is_none());
}

#[tokio::test]
async fn whatever_step_a_retrieval_dies_behind_its_end_is_told_exactly_when_it_has_come() {
    for steps in 0.. {
        let mut told = Told::new(84).await;
        let vault = told.world.create("v").await;
        let id = told.world.put(&vault, &noise(1, 1_000)).await;
        told.set(&vault, &arn("told"), &[ARCHIVES]).await.unwrap();
        let rows: Arc<dyn Catalog> = told.world.catalog.clone();
        let cut = Cut::after(rows, steps);
        let mut parts = told.world.parts.clone();
        parts.catalog = cut.clone();
        let dying = outbox(&told.world, cut.clone(), &told.receiver);
        parts.topics = Some(Topics { outbox: dying, account: account() });
        let mut asked = None;
        if let Ok(dying) = Vaults::open(parts).await {
            asked = ask(&dying, &vault, whole(id), "").await.ok();
            let _cut_or_not = told.world.try_settle(&dying).await;
        }
        told.restart().await;
        let jobs = told.world.vaults.jobs(account(), &vault, (None, 10), |_| true).await.unwrap().jobs;
        assert!(asked.is_none_or(|asked| jobs.iter().any(|job| job.job.id == asked.job.id)));
        for job in &jobs {
            told.world.wait(&vault, job).await;
        }
        told.deliver().await;
        assert_eq!(told.took().len(), jobs.len(), "step {steps}");
        if !cut.is_cut() {
            assert_eq!(jobs.len(), 1);
            return;
        }
        assert!(steps < 500, "it never comes to its end");
    }
}

#[tokio::test]
async fn a_deleted_vault_is_cleared_when_its_last_message_has_left() {
    let mut told = Told::new(85).await;
    let vault = told.world.create("v").await;
    told.receiver.down.store(true, Ordering::SeqCst);
    let job = told.ask(&vault, inventory(), &arn("told")).await.unwrap();
    told.world.wait(&vault, &job).await;
    told.deliver().await;
    told.world.vaults.delete(account(), &vault).await.unwrap();
    told.world.settle().await;
    told.restart().await;
    told.world.settle().await;
    assert_eq!(told.outbox.waiting(), 1);
    told.receiver.down.store(false, Ordering::SeqCst);
    told.world.clock.advance(Duration::from_hours(1));
    told.deliver().await;
    assert_eq!((told.outbox.waiting(), told.took().len()), (0, 1));
    told.world.settle().await;
    let left = told.world.count(engine::id::PartitionId::ROOT, crate::vault::tables::DELETED).await;
    assert_eq!(left, 0);
}
