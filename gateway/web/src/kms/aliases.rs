//! Aliases.

use super::shapes::{ALIAS_NAME, KEY_ID, LIMIT, MARKER};
use super::show;
use crate::json::shape::{opt, req};
use crate::json::{About, Call, JsonError, Row, done, row};
use serde_json::{Value, json};

/// Their rows.
pub(super) static ROWS: &[Row] = &[
    Row {
        about: About::Alias,
        parameters: &[req("AliasName", &ALIAS_NAME), req("TargetKeyId", &KEY_ID)],
        state: done!(create),
        ..row!("kms", "CreateAlias")
    },
    Row {
        about: About::Alias,
        parameters: &[req("AliasName", &ALIAS_NAME), req("TargetKeyId", &KEY_ID)],
        state: done!(update),
        ..row!("kms", "UpdateAlias")
    },
    Row {
        about: About::Alias,
        parameters: &[req("AliasName", &ALIAS_NAME)],
        state: done!(delete),
        ..row!("kms", "DeleteAlias")
    },
    Row {
        about: About::Account,
        parameters: &[opt("KeyId", &KEY_ID), opt("Limit", &LIMIT), opt("Marker", &MARKER)],
        state: done!(list),
        ..row!("kms", "ListAliases")
    },
];

async fn create(call: &Call) -> Result<Value, JsonError> {
    let (name, key) = (call.args.needed("AliasName"), call.args.needed("TargetKeyId"));
    call.shared.kms.create_alias(&call.asks(), name, key).await?;
    Ok(Value::Null)
}

async fn update(call: &Call) -> Result<Value, JsonError> {
    let (name, key) = (call.args.needed("AliasName"), call.args.needed("TargetKeyId"));
    call.shared.kms.update_alias(&call.asks(), name, key).await?;
    Ok(Value::Null)
}

async fn delete(call: &Call) -> Result<Value, JsonError> {
    call.shared.kms.delete_alias(&call.asks(), call.args.needed("AliasName")).await?;
    Ok(Value::Null)
}

async fn list(call: &Call) -> Result<Value, JsonError> {
    let key = call.args.text("KeyId");
    let page = call.shared.kms.aliases(&call.asks(), key, call.paging()).await?;
    let aliases: Value = page.items.iter().map(show::alias).collect();
    let mut reply = json!({ "Aliases": aliases });
    call.paged(&mut reply, page.next.as_deref())?;
    Ok(reply)
}
