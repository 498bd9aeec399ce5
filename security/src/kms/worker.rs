//! What is due for keys: they go, get another backing key, lose what was imported.
//!
//! Each is one commit that checks the key as it was read, and takes its row off the queue. What hangs on a key that went, aliases and grants,
//! goes in batches behind it: by then its backing keys are gone, and nobody finds it.
//!
//! What was done has a record in the audit trail, by the name that AWS gives it: `RotateKey`, `DeleteKey`, `DeleteExpiredKeyMaterial`. It is kept
//! behind the commit: a process that ends between the two leaves none.

use super::change::{Change, again};
use super::error::Result;
use super::find::{Found, all, get};
use super::keys::days_after;
use super::row::{self, AliasRow, BackingRow, Count, GrantRow, How, Rotation, Task};
use super::spec::{KeySpec, KeyState};
use super::{KeyId, Kms};
use crate::AccountId;
use crate::audit::{Audit, Event, Resource};
use engine::BoxFuture;
use engine::catalog::record::Record as _;
use engine::catalog::{Scan, Snapshot};
use engine::clock::Timestamp;
use engine::worker::{Progress, Worker};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Rows that are read at once, and how often in a tick.
const BATCH: usize = 100;
const PAGES: usize = 10;
/// Rows of one commit that goes.
const ROWS_AT_ONCE: usize = 1_000;
/// How long nothing is due at the most.
const REST: Duration = Duration::from_hours(1);

/// Who did it, as records have it.
const SOURCE: &str = "kms.amazonaws.com";

/// Does what is due.
struct KeysWorker(Arc<Kms>, Arc<Audit>);

/// Something that was due, and is done.
pub(super) struct Did {
    name: &'static str,
    arn: String,
    account: AccountId,
    details: Value,
}

impl Did {
    fn of(found: &Found, name: &'static str, mut details: Value) -> Self {
        details["keyId"] = found.id.to_string().into();
        Self { name, arn: found.arn.clone(), account: found.account, details }
    }
}

impl Kms {
    /// What does what is due, and has it recorded. One, spawned once.
    pub fn worker(self: &Arc<Self>, audit: &Arc<Audit>) -> Box<dyn Worker> {
        Box::new(KeysWorker(Arc::clone(self), Arc::clone(audit)))
    }

    /// Does what is due, as far as a tick goes; when to come again.
    pub(super) async fn due(&self, audit: Option<&Audit>) -> engine::Result<Progress> {
        let now = self.now();
        // A key goes once both clocks are past its time: the wall clock may have been set ahead.
        let sure = now.min(self.parts.compliance.settle().await?);
        let (mut done, mut trouble, mut rest) = (0, None, REST);
        let mut next = Some(Scan::prefix(row::DUE, b"", BATCH));
        // What fails stays in front: it is passed by.
        for _ in 0..PAGES {
            let Some(scan) = next.take() else { break };
            let snapshot = self.parts.catalog.snapshot(engine::id::PartitionId::ROOT).await?;
            let found = snapshot.scan(scan.clone()).await?;
            drop(snapshot);
            next = scan.behind(&found);
            for (key, _) in &found.rows {
                let outcome = match row::read_due(key) {
                    Err(error) => Err(error.into()),
                    Ok((at, ..)) if at > now => {
                        (rest, next) = (at.since(now).min(rest), None);
                        break;
                    }
                    Ok((at, _, _, Task::Delete)) if at > sure => {
                        rest = rest.min(at.since(sure));
                        continue;
                    }
                    Ok((at, account, id, task)) => again(|| self.act((at, task), account, id)).await,
                };
                match outcome {
                    Ok(did) => {
                        done += 1;
                        if let Some((did, audit)) = did.zip(audit) {
                            self.tell(did, audit).await;
                        }
                    }
                    Err(error) => {
                        tracing::error!(%error, cause = ?error.cause, "failed to do what is due for a managed key");
                        trouble = Some(engine::Error::Invalid(error.message));
                    }
                }
            }
        }
        match trouble {
            Some(error) => Err(error),
            None if done > 0 => Ok(Progress::More { done }),
            None => Ok(Progress::Idle { rest }),
        }
    }

    async fn act(&self, (at, task): (Timestamp, Task), account: AccountId, id: KeyId) -> Result<Option<Did>> {
        let (change, did) = self.what_is_due((at, task), account, id).await?;
        self.apply(change).await?;
        Ok(did)
    }

    /// Has it recorded. What can't be is counted by the trail as lost, and told by it later.
    async fn tell(&self, did: Did, audit: &Audit) {
        let Did { name, arn, account, details } = did;
        let key = Resource { kind: "AWS::KMS::Key", arn, account: Some(account) };
        let event = Event::of_service((account, self.now()), (SOURCE, name), key, details);
        if audit.keep(event).await.is_err() {
            tracing::warn!(name, "failed to record what was due for a managed key");
        }
    }

    /// What a row of the queue comes to. It rests on the key as it was read, whatever that is: a row that somebody puts again meanwhile, with
    /// what it is about, is not taken off.
    pub(super) async fn what_is_due(
        &self,
        (at, task): (Timestamp, Task),
        account: AccountId,
        id: KeyId,
    ) -> Result<(Change, Option<Did>)> {
        let snapshot = self.snapshot().await?;
        if task == Task::Sweep {
            return Ok((self.sweep(&*snapshot, (account, id), at).await?, None));
        }
        let mut did = None;
        let found = self.at(Arc::clone(&snapshot), account, id).await?;
        let mut change = self.change(account, &*snapshot);
        match found {
            Some(_) => change.unchanged(row::key(account, id)),
            None => change.absent(row::key(account, id)),
        }
        match (task, &found) {
            (Task::Delete, Some(found)) if found.row.deletion.is_some_and(|(_, due)| due == at) => {
                self.remove(&mut change, found).await?;
                did = Some(Did::of(found, "DeleteKey", json!({})));
            }
            (Task::Rotate, Some(found)) => {
                if self.rotate_by_itself(&mut change, found, at).await? {
                    did = Some(Did::of(found, "RotateKey", json!({ "rotationType": "AUTOMATIC" })));
                }
            }
            (Task::Expire, Some(found)) => {
                let backing: Option<BackingRow> = get(&*snapshot, row::backing(account, id, 1)).await?;
                if let Some(backing) = backing.filter(|backing| backing.expires == Some(at)) {
                    Self::forget_material(&mut change, found, &backing);
                    let material = hex::encode(backing.material_id);
                    did = Some(Did::of(
                        found,
                        "DeleteExpiredKeyMaterial",
                        json!({ "keyMaterialId": material }),
                    ));
                }
            }
            // It is no longer so.
            (Task::Delete | Task::Sweep, _) | (Task::Rotate | Task::Expire, None) => {}
        }
        change.delete(row::due(at, account, id, task));
        Ok((change, did))
    }

    /// A key and its backing keys go.
    async fn remove(&self, change: &mut Change, found: &Found) -> Result<()> {
        let (account, id) = (found.account, found.id);
        change.delete(found.row_key());
        change.delete(row::policy(account, id));
        let backing = all(&*found.snapshot, row::BACKING, &row::prefix(account, id), ROWS_AT_ONCE).await?;
        for (key, value) in backing {
            change.delete(row::BACKING.key(key));
            if let Some(at) = BackingRow::from_bytes(&value)?.expires {
                change.delete(row::due(at, account, id, Task::Expire));
            }
        }
        if let Some(Rotation { next, .. }) = found.row.rotation {
            change.delete(row::due(next, account, id, Task::Rotate));
        }
        change.add(Count::Keys.of_account(account), -1, None);
        change.mark(row::due(self.now(), account, id, Task::Sweep));
        Ok(())
    }

    /// Whether it is turned by this.
    async fn rotate_by_itself(&self, change: &mut Change, found: &Found, at: Timestamp) -> Result<bool> {
        let Some(rotation) = found.row.rotation.filter(|rotation| rotation.next == at) else {
            return Ok(false);
        };
        // Enabling it puts the row again.
        if found.row.state != KeyState::Enabled || found.row.spec != KeySpec::Symmetric {
            return Ok(false);
        }
        let material = self.make(found.account, KeySpec::Symmetric).await?;
        self.prepare(found.account).await?;
        let mut row = found.row.clone();
        // Of an appliance that was off for long, one rotation and not one for each time that was missed.
        let next = days_after(at.max(self.now()), rotation.days);
        row.rotation = Some(Rotation { next, ..rotation });
        self.turn(change, (found, &mut row), (How::Automatic, &material))?;
        change.put(found.row_key(), &row);
        change.mark(row::due(next, found.account, found.id, Task::Rotate));
        Ok(true)
    }

    /// A batch of what hung on a key that went; the row of the queue goes with the last one.
    async fn sweep(
        &self,
        snapshot: &dyn Snapshot,
        (account, id): (AccountId, KeyId),
        at: Timestamp,
    ) -> Result<Change> {
        let mut change = self.change(account, snapshot);
        let prefix = row::prefix(account, id);
        for (key, _) in all(snapshot, row::BACKING, &prefix, ROWS_AT_ONCE).await? {
            change.delete(row::BACKING.key(key));
        }
        for (key, _) in all(snapshot, row::ALIASES_OF, &prefix, ROWS_AT_ONCE).await? {
            let name = String::from_utf8_lossy(key.get(prefix.len()..).unwrap_or_default()).into_owned();
            let alias: Option<AliasRow> = get(snapshot, row::alias(account, &name)).await?;
            if alias.is_some_and(|alias| alias.key == id) {
                change.unchanged(row::alias(account, &name));
                change.delete(row::alias(account, &name));
            }
            change.delete(row::ALIASES_OF.key(key));
        }
        let mut of_whom = HashMap::new();
        for (key, value) in all(snapshot, row::GRANTS, &prefix, ROWS_AT_ONCE).await? {
            let (_, grant) = row::read_grant(&key)?;
            let row = GrantRow::from_bytes(&value)?;
            Self::delete_grant(&mut change, (account, id), &grant, &row);
            *of_whom.entry(row.grantee.who).or_insert(0) -= 1;
        }
        for (who, count) in of_whom {
            change.add(Count::of_who(account, id, &who), count, None);
        }
        if change.len() == 0 {
            let counters = all(snapshot, row::COUNTS, &prefix, ROWS_AT_ONCE).await?;
            for (key, _) in counters {
                change.delete(row::COUNTS.key(key));
            }
            change.delete(row::due(at, account, id, Task::Sweep));
        }
        Ok(change)
    }
}

impl Worker for KeysWorker {
    fn name(&self) -> &'static str {
        "managed-keys"
    }

    fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.0.bell)
    }

    fn tick(&mut self) -> BoxFuture<'_, engine::Result<Progress>> {
        Box::pin(self.0.due(Some(&self.1)))
    }
}
