//! Key policies. A key has one, called default.

use super::shapes::{KEY_ID, LIMIT, MARKER, POLICY, POLICY_NAME};
use crate::json::shape::{Shape, opt, req};
use crate::json::{Call, JsonError, Row, done, row};
use serde_json::{Value, json};

/// Their rows.
pub(super) static ROWS: &[Row] = &[
    Row {
        parameters: &[req("KeyId", &KEY_ID), opt("PolicyName", &POLICY_NAME)],
        state: done!(get),
        ..row!("kms", "GetKeyPolicy")
    },
    Row {
        parameters: &[req("KeyId", &KEY_ID), opt("Limit", &LIMIT), opt("Marker", &MARKER)],
        state: done!(list),
        ..row!("kms", "ListKeyPolicies")
    },
    Row {
        parameters: &[
            req("KeyId", &KEY_ID),
            opt("PolicyName", &POLICY_NAME),
            req("Policy", &POLICY),
            opt("BypassPolicyLockoutSafetyCheck", &Shape::Flag),
        ],
        state: done!(put),
        ..row!("kms", "PutKeyPolicy")
    },
];

fn check_name(call: &Call) -> Result<(), JsonError> {
    match call.args.text("PolicyName") {
        None | Some("default") => Ok(()),
        Some(_) => Err(JsonError::bad("NotFoundException", "No such policy exists")),
    }
}

async fn get(call: &Call) -> Result<Value, JsonError> {
    let policy = call.shared.kms.key_policy(&call.asks(), call.key()).await?;
    check_name(call)?;
    Ok(json!({ "Policy": policy, "PolicyName": "default" }))
}

async fn list(call: &Call) -> Result<Value, JsonError> {
    call.shared.kms.may_list_policies(&call.asks(), call.key()).await?;
    Ok(json!({ "PolicyNames": ["default"], "Truncated": false }))
}

async fn put(call: &Call) -> Result<Value, JsonError> {
    check_name(call)?;
    let bypass = call.args.flag("BypassPolicyLockoutSafetyCheck").unwrap_or_default();
    call.shared.kms.put_key_policy(&call.asks(), call.key(), call.args.needed("Policy"), bypass).await?;
    Ok(Value::Null)
}
