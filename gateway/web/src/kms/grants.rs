//! Grants.

use super::shapes::{
    CONSTRAINTS, GRANT_ID, GRANT_NAME, GRANT_OPERATIONS, KEY_ID, LIMIT, MARKER, PRINCIPAL, SERVICE_PRINCIPAL,
    TOKEN, TOKENS,
};
use super::show;
use crate::json::shape::{Shape, opt, req};
use crate::json::{About, Call, JsonError, Row, done, row};
use security::kms::{Constraint, Grant, GrantOperation, NewGrant, Page, Retire};
use serde_json::{Value, json};

/// Their rows.
pub(super) static ROWS: &[Row] = &[
    Row {
        about: About::AnyKey,
        granted: true,
        parameters: &[
            req("KeyId", &KEY_ID),
            opt("GranteePrincipal", &PRINCIPAL),
            opt("RetiringPrincipal", &PRINCIPAL),
            req("Operations", &GRANT_OPERATIONS),
            opt("Constraints", &CONSTRAINTS),
            opt("GrantTokens", &TOKENS),
            opt("Name", &GRANT_NAME),
            opt("DryRun", &Shape::Flag),
            opt("GranteeServicePrincipal", &SERVICE_PRINCIPAL),
            opt("RetiringServicePrincipal", &SERVICE_PRINCIPAL),
        ],
        state: done!(create),
        ..row!("kms", "CreateGrant")
    },
    Row {
        about: About::AnyKey,
        parameters: &[
            opt("Limit", &LIMIT),
            opt("Marker", &MARKER),
            req("KeyId", &KEY_ID),
            opt("GrantId", &GRANT_ID),
            opt("GranteePrincipal", &PRINCIPAL),
            opt("GranteeServicePrincipal", &SERVICE_PRINCIPAL),
        ],
        state: done!(list),
        ..row!("kms", "ListGrants")
    },
    Row {
        about: About::Account,
        parameters: &[
            opt("Limit", &LIMIT),
            opt("Marker", &MARKER),
            opt("RetiringPrincipal", &PRINCIPAL),
            opt("RetiringServicePrincipal", &SERVICE_PRINCIPAL),
        ],
        state: done!(list_retirable),
        ..row!("kms", "ListRetirableGrants")
    },
    Row {
        about: About::AnyKey,
        granted: true,
        parameters: &[
            opt("GrantToken", &TOKEN),
            opt("KeyId", &KEY_ID),
            opt("GrantId", &GRANT_ID),
            opt("DryRun", &Shape::Flag),
        ],
        state: done!(retire),
        ..row!("kms", "RetireGrant")
    },
    Row {
        about: About::AnyKey,
        parameters: &[req("KeyId", &KEY_ID), req("GrantId", &GRANT_ID), opt("DryRun", &Shape::Flag)],
        state: done!(revoke),
        ..row!("kms", "RevokeGrant")
    },
];

fn constraint(call: &Call) -> Result<Option<Constraint>, JsonError> {
    let Some(given) = call.args.structure("Constraints") else { return Ok(None) };
    if given.has("SourceArn") {
        return Err(JsonError::unsupported("SourceArn", "no service has grants here"));
    }
    let subset = given.has("EncryptionContextSubset");
    match (subset, given.has("EncryptionContextEquals")) {
        (true, true) => {
            let message = "A grant has one constraint: EncryptionContextSubset or EncryptionContextEquals.";
            Err(JsonError::bad("ValidationException", message))
        }
        (true, false) => Ok(Some(Constraint::Subset(show::context(given, "EncryptionContextSubset")?))),
        (false, true) => Ok(Some(Constraint::Equals(show::context(given, "EncryptionContextEquals")?))),
        (false, false) => Ok(None),
    }
}

async fn create(call: &Call) -> Result<Value, JsonError> {
    show::refuse_unbuilt(call, &["GranteeServicePrincipal", "RetiringServicePrincipal"])?;
    let args = &call.args;
    let operations = args.texts("Operations").map(|word| show::known(GrantOperation::of_word(word), word));
    let constraint = constraint(call)?;
    let grantee = args.text("GranteePrincipal").ok_or_else(|| {
        JsonError::validation(&[
            "Value null at 'granteePrincipal' failed to satisfy constraint: Member must not be null"
                .to_owned(),
        ])
    })?;
    let new = NewGrant {
        key: call.key(),
        name: args.text("Name"),
        grantee,
        retiring: args.text("RetiringPrincipal"),
        operations: operations.collect::<Result<_, _>>()?,
        constraint: constraint.as_ref(),
    };
    let (id, token) = call.shared.kms.create_grant(&call.asks(), new).await?;
    Ok(json!({ "GrantToken": token, "GrantId": id }))
}

fn listed(call: &Call, page: &Page<Grant>) -> Result<Value, JsonError> {
    let grants: Value = page.items.iter().map(show::grant).collect();
    let mut reply = json!({ "Grants": grants });
    call.paged(&mut reply, page.next.as_deref())?;
    Ok(reply)
}

async fn list(call: &Call) -> Result<Value, JsonError> {
    show::refuse_unbuilt(call, &["GranteeServicePrincipal"])?;
    let which = (call.args.text("GrantId"), call.args.text("GranteePrincipal"));
    let page = call.shared.kms.grants(&call.asks(), call.key(), which, call.paging()).await?;
    listed(call, &page)
}

async fn list_retirable(call: &Call) -> Result<Value, JsonError> {
    show::refuse_unbuilt(call, &["RetiringServicePrincipal"])?;
    let retiring = call.args.text("RetiringPrincipal").unwrap_or_default();
    let page = call.shared.kms.retirable_grants(&call.asks(), retiring, call.paging()).await?;
    listed(call, &page)
}

async fn retire(call: &Call) -> Result<Value, JsonError> {
    let args = &call.args;
    let which = match (args.text("GrantToken"), args.text("KeyId"), args.text("GrantId")) {
        (Some(token), None, None) => Retire::Token(token),
        (None, Some(key), Some(grant)) => Retire::Of { key, grant },
        _ => {
            let message = "A grant is named by its token, or by KeyId and GrantId.";
            return Err(JsonError::bad("ValidationException", message));
        }
    };
    call.shared.kms.retire_grant(&call.asks(), which).await?;
    Ok(Value::Null)
}

async fn revoke(call: &Call) -> Result<Value, JsonError> {
    call.shared.kms.revoke_grant(&call.asks(), call.key(), call.args.needed("GrantId")).await?;
    Ok(Value::Null)
}
