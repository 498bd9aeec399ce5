//! What is told of retrievals that came to their end: to a vault's topic and to the job's own.
//!
//! ```text
//!   a job is ready, or failed ─► its topics ─► the job's description as JSON ─► rows of that very commit ─► the outbox
//! ```
//! # Invariants
//! - A message exists exactly when its job's end does: both are one commit. How it travels, `engine::outbox` says.
//! - It is said by what is set on the vault when the job ends; a topic that both name is told once.
//! - Topics are the appliance's: their names are configured, and nobody can have it connect elsewhere.
//! - Of vaults that no door shows nothing is told here.

use super::change::Change;
use super::rows::FactsRow;
use super::settings::{self, Kind};
use super::{Error, JobInfo, Notification, Result, Vault, Vaults, tables};
use crate::inventory::date_with_millis;
use crate::retrieval::{Job, JobState, Subject};
use crate::tree_hash::ByteRange;
use engine::catalog::record::Record;
use engine::catalog::{Commit, Snapshot, Version, commit_known};
use engine::id::{IdempotencyId, PartitionId};
use engine::outbox::{Message, Outbox, Posted, TopicName};
use security::{AccountId, Arn};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Whom messages go to.
#[derive(Clone)]
pub struct Topics {
    /// What takes them there.
    pub outbox: Arc<Outbox>,
    /// Whose topics are: the appliance's account.
    pub account: AccountId,
}

impl std::fmt::Debug for Topics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "topics of {}", self.account)
    }
}

/// The event of a job's end, as vaults name it.
fn event_of(job: &Job) -> &'static str {
    match job.subject {
        Subject::Archive { .. } => "ArchiveRetrievalCompleted",
        Subject::Inventory { .. } => "InventoryRetrievalCompleted",
    }
}

impl JobInfo {
    /// The job's description, as Glacier has it: what `DescribeJob` answers and topics are told.
    pub fn document(&self) -> Value {
        let job = &self.job;
        let date = |at| date_with_millis(at);
        let ended = match job.state {
            JobState::Ready { since, .. } | JobState::Failed { since, .. } => Some(since),
            _ => None,
        };
        let mut document = json!({
            "JobId": job.id.to_string(),
            "JobDescription": Some(job.description.as_str()).filter(|text| !text.is_empty()),
            "VaultARN": self.vault_arn,
            "CreationDate": date(job.created),
            "Completed": ended.is_some(),
            "CompletionDate": ended.map(date),
            "StatusCode": job.state.status_code(),
            "StatusMessage": job.status_message(),
            "SNSTopic": Some(job.topic.as_str()).filter(|text| !text.is_empty()),
            "Tier": null,
        });
        match &job.subject {
            Subject::Archive { archive, range } => {
                document["Action"] = "ArchiveRetrieval".into();
                document["ArchiveId"] = archive.as_str().into();
                document["Tier"] = job.tier.name().into();
                if let Some((length, tree_hash)) = self.archive {
                    document["ArchiveSizeInBytes"] = length.into();
                    document["ArchiveSHA256TreeHash"] = tree_hash.to_string().into();
                    let range = range.or_else(|| ByteRange::whole(length)).map(|range| range.to_string());
                    document["RetrievalByteRange"] = range.into();
                }
                let whole = range.is_none().then(|| self.archive.map(|(_, tree_hash)| tree_hash)).flatten();
                document["SHA256TreeHash"] = self.tree_hash.or(whole).map(|hash| hash.to_string()).into();
            }
            Subject::Inventory { format, selection } => {
                document["Action"] = "InventoryRetrieval".into();
                document["InventorySizeInBytes"] = self.ended.map(|_| self.output).into();
                document["InventoryRetrievalParameters"] = json!({
                    "Format": format.name(),
                    "StartDate": selection.start.map(date),
                    "EndDate": selection.end.map(date),
                    "Limit": selection.limit.map(|limit| limit.to_string()),
                    "Marker": self.marker,
                });
            }
        }
        document
    }
}

impl Vaults {
    /// The topic of this appliance that an ARN names.
    fn topic(&self, arn: &str) -> Option<TopicName> {
        let topics = self.topics.as_ref()?;
        let parsed: Arn = arn.parse().ok()?;
        let name: TopicName = parsed.resource().parse().ok()?;
        (Arn::topic(&self.region, topics.account, name.as_str()) == parsed).then_some(name)
    }

    /// Refuses a topic that nobody is named for: what is told there would wait for nobody, and take the room of others.
    pub(super) fn check_topic(&self, arn: &str) -> Result<()> {
        let is_known =
            |name: &TopicName| self.topics.as_ref().is_some_and(|topics| topics.outbox.has_subscriber(name));
        match self.topic(arn).filter(is_known) {
            Some(_) => Ok(()),
            None => Err(Error::Invalid(format!(
                "Invalid SNS topic ARN: {arn}. The appliance's configuration names its topics ([[topic]])."
            ))),
        }
    }

    /// What leaves with the commit of a job's end.
    pub(super) async fn tell_of_end(
        &self,
        vault: &Vault,
        snapshot: &dyn Snapshot,
        (job, facts): (&Job, Option<&FactsRow>),
        mut change: Change,
    ) -> Result<Change> {
        let Some(topics) = self.topics.as_ref().filter(|_| !vault.is_system) else { return Ok(change) };
        let set = settings::key(Kind::Notification);
        let of_vault = match snapshot
            .get(set.clone())
            .await?
            .map(|raw| Notification::from_bytes(&raw))
            .transpose()
        {
            Ok(found) => found.filter(|found| found.events.iter().any(|event| event == event_of(job))),
            Err(error) => {
                // The job is not to wait for that.
                tracing::error!(vault = vault.name.as_str(), %error, "whom to tell of retrievals can't be read");
                None
            }
        };
        change = change.unchanged(set);
        let arns = [job.topic.as_str(), of_vault.as_ref().map_or("", |found| found.topic.as_str())];
        let mut told = BTreeSet::new();
        for arn in arns.into_iter().filter(|arn| !arn.is_empty()) {
            match self.topic(arn) {
                Some(name) => {
                    told.insert(name);
                }
                None => {
                    tracing::warn!(job = %job.id, topic = arn, "nobody is told of a retrieval: the topic is none of this appliance");
                }
            }
        }
        if told.is_empty() {
            return Ok(change);
        }
        let facts = if let Some(facts) = facts {
            facts.clone()
        } else {
            let raw = snapshot.get(tables::of_job(tables::FACTS, job.id)).await?;
            let Some(raw) = raw else { return Ok(change) };
            FactsRow::from_bytes(&raw)?
        };
        let body = super::jobs::info(self, vault, job.clone(), facts).document().to_string();
        for topic in &told {
            let (sequence, key) = (snapshot.read_version(), job.id.as_bytes());
            let message = Message { topic, sequence, key, body: body.as_bytes() };
            let (writes, posted) = topics.outbox.post(&message);
            change = change.writes(writes).posted(posted);
        }
        Ok(change)
    }

    /// Commits; the outbox learns what became of its messages, though nobody waits for the answer any more.
    pub(super) async fn commit_telling(
        &self,
        id: IdempotencyId,
        commit: Commit,
        posted: Vec<Posted>,
    ) -> engine::Result<Version> {
        let Some(topics) = self.topics.as_ref().filter(|_| !posted.is_empty()) else {
            return commit_known(&*self.catalog, id, commit).await;
        };
        let (catalog, outbox) = (Arc::clone(&self.catalog), Arc::clone(&topics.outbox));
        let task = tokio::spawn(async move {
            let home = commit.partition;
            let outcome = commit_known(&*catalog, id, commit).await;
            match &outcome {
                Ok(_) => outbox.committed(home, &posted),
                Err(error) if error.kind() == engine::ErrorKind::Conflict => {}
                Err(_) => outbox.unsure(home, &posted),
            }
            outcome
        });
        task.await.map_err(|_ended| engine::Error::Closed)?
    }

    /// Has the outbox learn what waits in a vault's partition, before anything is written there.
    pub(super) async fn find_messages(&self, home: PartitionId) -> Result<()> {
        match &self.topics {
            Some(topics) => Ok(topics.outbox.find(home).await?),
            None => Ok(()),
        }
    }

    /// Ends the messages of a vault that was deleted. `false`: some wait for their receiver.
    pub(super) async fn end_messages(&self, home: PartitionId, snapshot: &dyn Snapshot) -> Result<bool> {
        let Some(topics) = &self.topics else { return Ok(true) };
        if Outbox::holds(snapshot).await? {
            return Ok(false);
        }
        let writes = topics.outbox.forget(snapshot, home).await?;
        if writes.is_empty() {
            return Ok(true);
        }
        self.try_commit(home, snapshot, Change::default().writes(writes).freeing()).await
    }
}
