//! The access advisor: which services somebody's policies let in to, and when each was used last. Source: "Refine permissions using last
//! accessed information" of the IAM user guide (`access_policies_access-advisor`).
//!
//! ```text
//!   request of a user or session ─► noted in memory, once in 15 minutes a service ─► one relaxed commit, for which nobody waits
//!   GenerateServiceLastAccessedDetails ─► policies: which services ─► rows of whoever has them ─► kept in memory under the job's id
//! ```
//! A power cut may lose what the last 15 minutes had. Jobs are forgotten by a restart, and when others need their memory.

use super::error::{Code, IdentityError, Result};
use super::id::EntityId;
use super::lookup::{ATTEMPTS_MAX, find_policy};
use super::picture::{Entity, Picture};
use super::row::{self, LastUsedRow, of};
use super::{Identities, Kind, name, named};
use crate::AccountId;
use crate::policy::Policy;
use engine::catalog::record::Record as _;
use engine::catalog::{Check, Commit, Durability, Family, Key, Layout, Table, Write};
use engine::clock::Timestamp;
use engine::id::PartitionId;
use std::sync::Arc;

/// When an entity used a service last.
pub(super) const SERVICES_USED: Table = Table { family: Family::Index, tag: 0xAA };

/// Services here, by their namespace in actions, and as AWS calls them.
pub(super) const SERVICES: [(&str, &str); 6] = [
    ("cloudtrail", "AWS CloudTrail"),
    ("glacier", "Amazon S3 Glacier"),
    ("iam", "AWS Identity and Access Management"),
    ("kms", "AWS Key Management Service"),
    ("s3", "Amazon S3"),
    ("sts", "AWS Security Token Service"),
];

/// How long the use of a service is not noted again.
const NOTED_FOR_MS: i64 = 15 * 60 * 1000;

/// A service that somebody may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceUse {
    /// `s3`
    pub namespace: &'static str,
    /// `Amazon S3`
    pub name: &'static str,
    /// When it was used last, by whom, and in which region.
    pub last: Option<(Timestamp, String, String)>,
    /// How many have used it.
    pub users: u32,
}

/// What a job has found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastAccessed {
    account: AccountId,
    /// When it was made.
    pub at: Timestamp,
    /// In the order of their namespaces.
    pub services: Vec<ServiceUse>,
}

pub(super) fn service_used(account: AccountId, entity: EntityId, service: &str) -> Key {
    SERVICES_USED.key(of(account).fixed(entity.as_bytes()).tail(service.as_bytes()).finish())
}

/// What jobs of a version of the picture are about: policies, and who has them.
struct Asked {
    policies: Vec<Arc<Policy>>,
    holders: Vec<Arc<Entity>>,
}

fn absent(arn: &str) -> IdentityError {
    IdentityError::new(Code::NoSuchEntity, format!("ARN {arn} was not found."))
}

/// A random UUID.
fn job_id(entropy: &dyn engine::entropy::Entropy) -> String {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let text = hex::encode(bytes);
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
}

impl Identities {
    /// Notes that a user or role used a service, once in a while and without anybody waiting for it.
    pub(super) fn note_service(&self, account: AccountId, entity: EntityId, service: &str) {
        let known = SERVICES.iter().position(|(namespace, _)| *namespace == service);
        let Some(number) = known.filter(|_| entity != EntityId::ROOT) else { return };
        let (now, key) = (self.parts.clock.now(), (entity, number));
        let is_late = |last: i64| !(0..NOTED_FOR_MS).contains(&now.as_millis().saturating_sub(last));
        if !self.services_noted.get(&key).is_none_or(is_late) {
            return;
        }
        self.services_noted.put(key, now.as_millis(), 0);
        let Some(identities) = self.itself.upgrade() else { return };
        let (region, service) = (self.parts.region.as_str().into(), SERVICES[number].0.into());
        tokio::spawn(async move {
            let used = LastUsedRow { at: now, region, service };
            if let Err(error) = identities.write_service(account, entity, &used).await {
                tracing::debug!(%error, "failed to note the use of a service");
            }
        });
    }

    async fn write_service(
        &self,
        account: AccountId,
        entity: EntityId,
        used: &LastUsedRow,
    ) -> engine::Result<()> {
        let snapshot = self.parts.catalog.snapshot(PartitionId::ROOT).await?;
        let by_id = row::by_id(entity);
        if snapshot.get(by_id.clone()).await?.is_none() {
            return Ok(());
        }
        let mut writes = vec![Write::Put(service_used(account, entity, &used.service), used.to_bytes())];
        // What GetRole shows.
        if entity.kind() == Some(Kind::Role) {
            writes.push(Write::Put(row::last_used(&entity.to_string()), used.to_bytes()));
        }
        let commit = Commit {
            checks: vec![Check::Unchanged(by_id)],
            writes,
            durability: Durability::Relaxed,
            layout: Layout::IDENTITIES,
            ..Commit::new(PartitionId::ROOT, snapshot.read_version())
        };
        self.parts.catalog.commit(commit).await.map(drop)
    }

    /// Finds out which services the policies of a user, group or role, or a managed policy, let in to, and when whoever has them used each last;
    /// the job's id.
    pub async fn find_last_accessed(&self, account: AccountId, arn: &str) -> Result<String> {
        let asked = self.asked(account, arn).await?;
        let view = self.view(account).await?;
        let mut services = Vec::new();
        for (namespace, name) in SERVICES {
            if !asked.policies.iter().any(|policy| policy.could_allow(namespace)) {
                continue;
            }
            let mut found = ServiceUse { namespace, name, last: None, users: 0 };
            for holder in &asked.holders {
                let used: Option<LastUsedRow> =
                    view.get(service_used(account, holder.row.id, namespace)).await?;
                let Some(used) = used else { continue };
                found.users += 1;
                if found.last.as_ref().is_none_or(|(at, ..)| *at < used.at) {
                    found.last = Some((used.at, holder.arn.to_string(), used.region.into()));
                }
            }
            services.push(found);
        }
        let id = job_id(&*self.parts.entropy);
        let job = LastAccessed { account, at: self.parts.clock.now(), services };
        self.jobs.put(id.clone().into(), Arc::new(job), 2_048);
        Ok(id)
    }

    /// What a job of the account has found out.
    pub fn last_accessed(&self, account: AccountId, job: &str) -> Result<Arc<LastAccessed>> {
        let found = self.jobs.get(job).filter(|found| found.account == account);
        found.ok_or_else(|| {
            let message = format!("The job {job} is not there, or not any more.");
            IdentityError::new(Code::NoSuchEntity, message)
        })
    }

    async fn asked(&self, account: AccountId, arn: &str) -> Result<Asked> {
        for _ in 0..ATTEMPTS_MAX {
            let world = self.world.load_full();
            let nobody = Arc::default();
            let picture: &Arc<Picture> = world.accounts.get(&account).unwrap_or(&nobody);
            if let Some(asked) = self.asked_of(account, picture, arn).await? {
                return Ok(asked);
            }
            tokio::task::yield_now().await;
        }
        Err(IdentityError::new(Code::ConcurrentModification, "The account is being changed. Try again."))
    }

    /// `None`: the picture is not the newest.
    async fn asked_of(&self, account: AccountId, picture: &Picture, arn: &str) -> Result<Option<Asked>> {
        if let Ok((of, _, _)) = name::split_arn(arn, Kind::Policy) {
            let id = match (of, named::by_arn(arn)) {
                (None, Some(known)) => known.id(),
                (Some(_), None) => find_policy(picture, account, arn).ok_or_else(|| absent(arn))?.row.id,
                _ => return Err(absent(arn)),
            };
            let Some(policy) = self.managed_by_arn(account, picture, arn).await? else { return Ok(None) };
            let has = |entity: &Entity| entity.attached.iter().any(|(policy, _)| *policy == id);
            let holders = picture.entities.values().filter(|entity| {
                let mut groups = entity.groups.iter().filter_map(|group| picture.entities.get(group));
                entity.row.kind() != Kind::Group && (has(entity) || groups.any(|group| has(group)))
            });
            return Ok(Some(Asked { policies: vec![policy], holders: holders.cloned().collect() }));
        }
        for kind in [Kind::User, Kind::Group, Kind::Role] {
            let Ok((of, _, name)) = name::split_arn(arn, kind) else { continue };
            let found = picture.named(kind, &name.to_ascii_lowercase());
            let found = found.filter(|entity| of == Some(account) && *entity.arn == *arn);
            let entity = found.ok_or_else(|| absent(arn))?;
            let Some(policies) = self.policies_of(account, picture, entity).await? else { return Ok(None) };
            let holders = if kind == Kind::Group {
                let is_in = |user: &&Arc<Entity>| user.groups.contains(&entity.row.id);
                picture.entities.values().filter(is_in).cloned().collect()
            } else {
                vec![Arc::clone(entity)]
            };
            return Ok(Some(Asked { policies, holders }));
        }
        Err(absent(arn))
    }
}
