//! A bucket's policy.
//!
//! What S3 wants of it beyond the language: actions and condition keys that S3 has, resources that are the bucket or in it, and principals that
//! are there. As on AWS the root of the bucket's account may always set, read and delete it, whatever it says; so there is nothing to confirm by
//! `x-amz-confirm-remove-self-bucket-access`, which is taken and changes nothing.

use crate::s3::Call;
use crate::s3::answer::{Answer, empty, json, xml};
use crate::s3::body::RequestBody;
use crate::s3::code::Code;
use crate::s3::error::S3Error;
use crate::s3::operation_keys::{actions, can_ask, is_known};
use crate::state::State;
use crate::xml::XmlWriter;
use engine::unit::ByteCount;
use http::StatusCode;
use objectstore::{BUCKET_POLICY_BYTES_MAX, BucketPolicy};
use security::AccountId;
use security::identity::Pins;
use security::policy::Party;
use std::fmt;
use std::sync::Arc;

/// `GetBucketPolicy`: the document as it was set, but for names of users and roles that are others by now, or nobody's.
pub(super) async fn get(call: &Call) -> Result<Answer, S3Error> {
    let set = stored(call).await?;
    Ok(json(StatusCode::OK, call.state.identities.shown(set.text(), set.pins())))
}

/// `GetBucketPolicyStatus`
pub(super) async fn status(call: &Call) -> Result<Answer, S3Error> {
    let set = stored(call).await?;
    let mut out = XmlWriter::document("PolicyStatus");
    out.value("IsPublic", set.is_public());
    Ok(xml(StatusCode::OK, out.finish()))
}

/// `PutBucketPolicy`
pub(super) async fn put(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let bucket = call.target.bucket()?;
    // One byte more than fits, so that what is too long is told so by the policy's own words.
    let max = ByteCount::from(BUCKET_POLICY_BYTES_MAX + 1);
    let bytes = super::proven_bytes(call, body, super::Proof::Optional, max).await.map_err(|error| {
        if error.code() == Code::MaxMessageLengthExceeded.as_str() { too_long() } else { error }
    })?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|error| malformed(&"document", &format!("byte {} is not UTF-8", error.valid_up_to())))?;
    let policy = BucketPolicy::parse(text).map_err(|error| malformed(&error.place, &error.detail))?;
    call.tells("bucketPolicy", || serde_json::from_str(text).unwrap_or_default());
    let (state, name) = (Arc::clone(&call.state), call.target.bucket.clone().unwrap_or_default());
    // Some thousand patterns of actions take their time.
    let checked = tokio::task::spawn_blocking(move || {
        let pins = check(&state, &name, &policy)?;
        Ok::<_, S3Error>(policy.naming(pins))
    })
    .await;
    let policy = checked.map_err(|_panicked| S3Error::new(Code::InternalError))??;
    call.state.store.set_policy(&bucket, &policy).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// `DeleteBucketPolicy`
pub(super) async fn delete(call: &Call) -> Result<Answer, S3Error> {
    call.state.store.set::<BucketPolicy>(&call.target.bucket()?, None).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn stored(call: &Call) -> Result<Arc<BucketPolicy>, S3Error> {
    let set = call.state.store.setting::<BucketPolicy>(&call.target.bucket()?).await?;
    set.ok_or_else(|| S3Error::new(Code::NoSuchBucketPolicy))
}

const NO_PRINCIPAL: &str = "there is no such principal: accounts are (profiles of the credentials file), their users and roles, and *";

fn too_long() -> S3Error {
    malformed(&"document", &format!("at most {BUCKET_POLICY_BYTES_MAX} bytes are taken"))
}

fn malformed(place: &dyn fmt::Display, detail: &str) -> S3Error {
    S3Error::with(Code::MalformedPolicy, format!("The policy is malformed: {place}: {detail}."))
}

/// What S3 wants of a policy besides its language; whom it names by ARN.
fn check(state: &State, bucket: &str, set: &BucketPolicy) -> Result<Pins, S3Error> {
    let policy = set.policy();
    let accounts = state.credentials.accounts();
    let is_there = |account: &AccountId| accounts.contains(account) || *account == state.account;
    for party in policy.parties() {
        let known = match party.what {
            // Users and roles are looked for below.
            Party::Everybody | Party::Service(_) | Party::Arn { .. } => true,
            Party::Account(account) => is_there(account),
            Party::Canonical(id) => {
                let all = accounts.iter().chain([&state.account]);
                all.into_iter().any(|account| account.canonical_user_id() == **id)
            }
            // There are no identity providers yet.
            Party::Federated(_) => false,
        };
        if !known {
            return Err(malformed(&party.place, NO_PRINCIPAL));
        }
    }
    let pins = state.identities.pins(policy).map_err(|place| malformed(&place, NO_PRINCIPAL))?;
    if let Some(key) = policy.keys().find(|key| !is_known(key.what)) {
        return Err(malformed(&key.place, &format!("{:?} is no condition key of S3", key.what)));
    }
    let actions = actions();
    if let Some(action) = policy.actions_beside(&actions).first() {
        return Err(malformed(&action.place, &format!("{:?} is no action of S3", action.what)));
    }
    if let Some(key) = policy.keys_in_vain(&actions, can_ask(&actions)) {
        let detail = format!(
            "no request for the statement's actions has {:?}: its condition decides nothing",
            key.what
        );
        return Err(malformed(&key.place, &detail));
    }
    if let Some(resource) = policy.resources_beside("s3", bucket).first() {
        let detail = format!("a resource is neither arn:aws:s3:::{bucket} nor below it");
        return Err(malformed(&resource.place, &detail));
    }
    Ok(pins)
}
