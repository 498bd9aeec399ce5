//! `userIdentity` of a record. Source: "`CloudTrail` userIdentity element" of the user guide.

use crate::credentials::AccessKeyId;
use crate::principal::{Identity, SessionFacts, Who};
use crate::{AmzDate, Arn, Principal};
use serde_json::{Value, json};

/// Who asked; `key` is the one that signed.
pub(super) fn identity(principal: &Principal, key: Option<&str>) -> Value {
    let mut shown = match principal {
        Principal::Anonymous => {
            return json!({ "type": "AWSAccount", "principalId": "", "accountId": "anonymous" });
        }
        Principal::Root(account) => json!({
            "type": "Root",
            "principalId": account.to_string(),
            "arn": Arn::root(*account).to_string(),
            "accountId": account.to_string(),
        }),
        Principal::Identity(identity) => of_identity(principal, identity),
    };
    let key = key.or_else(|| principal.identity()?.access_key().map(AccessKeyId::as_str));
    if let Some(key) = key {
        shown["accessKeyId"] = key.into();
    }
    shown
}

fn of_identity(principal: &Principal, identity: &Identity) -> Value {
    let account = identity.account.to_string();
    let kind = match &identity.who {
        Who::Root => "Root",
        Who::User { .. } => "IAMUser",
        Who::Role { .. } => "AssumedRole",
        Who::Federated { .. } => "FederatedUser",
    };
    let mut shown = json!({
        "type": kind,
        "principalId": &*identity.user_id,
        "arn": principal.arn(),
        "accountId": account,
    });
    if let Some(name) = identity.user_name() {
        shown["userName"] = name.into();
    }
    if let Some(session) = &identity.session {
        shown["sessionContext"] = context(identity, session);
    }
    shown
}

fn context(identity: &Identity, session: &SessionFacts) -> Value {
    let mut shown = json!({
        "attributes": {
            "creationDate": AmzDate::from_timestamp(session.issued).extended(),
            "mfaAuthenticated": session.mfa.is_some().to_string(),
        },
    });
    if let Some((kind, arn)) = match &identity.who {
        Who::Role { role, .. } => Some(("Role", role)),
        Who::Federated { maker, .. } => Some(("IAMUser", maker)),
        Who::Root | Who::User { .. } => None,
    } {
        shown["sessionIssuer"] = json!({
            "type": kind,
            "principalId": identity.entity.to_string(),
            "arn": arn,
            "accountId": identity.account.to_string(),
            "userName": arn.rsplit('/').next(),
        });
    }
    if let Some(who) = &session.source_identity {
        shown["sourceIdentity"] = (&**who).into();
    }
    if let Some(provider) = identity.provider() {
        shown["webIdFederationData"] = json!({ "federatedProvider": provider });
    }
    shown
}
