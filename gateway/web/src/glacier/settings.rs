//! What is set on a vault: policies, notifications, the lock, tags.

use super::context::POLICY_BYTES_MAX;
use super::error::GlacierError;
use super::{Answer, Call, json, nothing, told};
use archive::inventory::date_with_millis;
use archive::lock::{LockEvent, LockId, LockPolicy, VaultLock};
use archive::vault::Notification;
use bytes::Bytes;
use http::StatusCode;
use security::policy::{Form, Policy};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    policy: Option<String>,
}

/// The policy of a request, read and found good.
fn read(call: &Call) -> Result<Bytes, GlacierError> {
    let document: Document = call.json()?;
    let text =
        document.policy.filter(|text| !text.is_empty()).ok_or_else(|| GlacierError::missing("Policy"))?;
    Policy::parse(&text, Form::Resource, POLICY_BYTES_MAX)
        .map_err(|error| GlacierError::invalid(format!("Invalid policy: {error}")))?;
    Ok(text.into())
}

pub(super) async fn set_policy(call: &Call) -> Result<Answer, GlacierError> {
    call.vaults.set_access_policy(call.account, &call.vault()?, Some(read(call)?)).await?;
    Ok(nothing())
}

pub(super) async fn policy(call: &Call) -> Result<Answer, GlacierError> {
    let policy = call.vaults.access_policy(call.account, &call.vault()?).await?;
    let policy = policy.ok_or_else(|| GlacierError::not_found("The vault has no access policy."))?;
    Ok(json(StatusCode::OK, &json!({"Policy": String::from_utf8_lossy(&policy)})))
}

pub(super) async fn delete_policy(call: &Call) -> Result<Answer, GlacierError> {
    call.vaults.set_access_policy(call.account, &call.vault()?, None).await?;
    Ok(nothing())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Wish {
    #[serde(rename = "SNSTopic")]
    sns_topic: Option<String>,
    events: Option<Vec<String>>,
}

const EVENTS: [&str; 2] = ["ArchiveRetrievalCompleted", "InventoryRetrievalCompleted"];

pub(super) async fn set_notification(call: &Call) -> Result<Answer, GlacierError> {
    let wish: Wish = call.json()?;
    let topic = wish.sns_topic.ok_or_else(|| GlacierError::missing("SNSTopic"))?;
    let events = wish.events.ok_or_else(|| GlacierError::missing("Events"))?;
    if topic.is_empty() || topic.len() > 1024 || events.is_empty() || events.len() > EVENTS.len() {
        return Err(GlacierError::invalid(
            "Invalid notification configuration: a topic and one or two events are wanted.",
        ));
    }
    if let Some(other) = events.iter().find(|event| !EVENTS.contains(&event.as_str())) {
        return Err(GlacierError::invalid(format!("Invalid event: {other}")));
    }
    let wanted = Notification { topic, events };
    call.vaults.set_notification(call.account, &call.vault()?, Some(wanted)).await?;
    Ok(nothing())
}

pub(super) async fn notification(call: &Call) -> Result<Answer, GlacierError> {
    let found = call.vaults.notification(call.account, &call.vault()?).await?;
    let found =
        found.ok_or_else(|| GlacierError::not_found("The vault has no notification configuration."))?;
    Ok(json(StatusCode::OK, &json!({"SNSTopic": found.topic, "Events": found.events})))
}

pub(super) async fn delete_notification(call: &Call) -> Result<Answer, GlacierError> {
    call.vaults.set_notification(call.account, &call.vault()?, None).await?;
    Ok(nothing())
}

pub(super) async fn initiate_lock(call: &Call) -> Result<Answer, GlacierError> {
    let policy = LockPolicy::new(read(call)?).map_err(archive::vault::Error::from)?;
    let id = call.vaults.lock_id();
    let event = LockEvent::Initiate { id, policy };
    call.vaults.change_lock(call.account, &call.vault()?, event).await?;
    Ok(told(StatusCode::CREATED, &[("x-amz-lock-id", &id.to_string())]))
}

pub(super) async fn complete_lock(call: &Call) -> Result<Answer, GlacierError> {
    let id: LockId = call.segment(3).parse().map_err(archive::vault::Error::from)?;
    call.vaults.change_lock(call.account, &call.vault()?, LockEvent::Complete { id }).await?;
    Ok(nothing())
}

pub(super) async fn abort_lock(call: &Call) -> Result<Answer, GlacierError> {
    call.vaults.change_lock(call.account, &call.vault()?, LockEvent::Abort).await?;
    Ok(nothing())
}

pub(super) async fn lock(call: &Call) -> Result<Answer, GlacierError> {
    let lock = call.vaults.lock(call.account, &call.vault()?).await?;
    let (policy, created) = match &lock {
        VaultLock::Open => return Err(GlacierError::not_found("The vault has no lock.")),
        VaultLock::InProgress { policy, created, .. } | VaultLock::Locked { policy, created, .. } => {
            (policy, *created)
        }
    };
    let document = json!({
        "Policy": String::from_utf8_lossy(policy.as_bytes()),
        "State": lock.name(),
        "ExpirationDate": lock.expires().map(date_with_millis),
        "CreationDate": date_with_millis(created),
    });
    Ok(json(StatusCode::OK, &document))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagsWish {
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    tag_keys: Vec<String>,
}

pub(super) async fn add_tags(call: &Call) -> Result<Answer, GlacierError> {
    let wish: TagsWish = call.json()?;
    call.vaults.change_tags(call.account, &call.vault()?, &wish.tags, &[]).await?;
    Ok(nothing())
}

pub(super) async fn remove_tags(call: &Call) -> Result<Answer, GlacierError> {
    let wish: TagsWish = call.json()?;
    call.vaults.change_tags(call.account, &call.vault()?, &BTreeMap::new(), &wish.tag_keys).await?;
    Ok(nothing())
}

pub(super) async fn tags(call: &Call) -> Result<Answer, GlacierError> {
    let tags = call.vaults.tags(call.account, &call.vault()?).await?;
    Ok(json(StatusCode::OK, &json!({"Tags": tags.0})))
}
