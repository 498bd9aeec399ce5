//! Tags of trails.

use super::may_of;
use super::shapes::{ARN, ARNS, TAGS, TOKEN};
use crate::json::shape::{opt, req};
use crate::json::{About, Args, Call, JsonError, Row, done, row};
use security::audit::Tag;
use serde_json::{Value, json};

/// Their rows.
pub(super) static ROWS: &[Row] = &[
    Row {
        about: About::Trail,
        parameters: &[req("ResourceId", &ARN), req("TagsList", &TAGS)],
        state: done!(add),
        ..row!("cloudtrail", "AddTags")
    },
    Row {
        about: About::Trail,
        parameters: &[req("ResourceId", &ARN), req("TagsList", &TAGS)],
        state: done!(remove),
        ..row!("cloudtrail", "RemoveTags")
    },
    Row {
        about: About::Trail,
        parameters: &[req("ResourceIdList", &ARNS), opt("NextToken", &TOKEN)],
        state: done!(list),
        ..row!("cloudtrail", "ListTags")
    },
];

/// Those that a request has.
pub(super) fn read(args: &Args) -> Vec<Tag> {
    let tag = |args: &Args| Tag {
        key: args.needed("Key").to_owned(),
        value: args.text("Value").unwrap_or_default().to_owned(),
    };
    args.structures("TagsList").map(tag).collect()
}

async fn add(call: &Call) -> Result<Value, JsonError> {
    let named = call.args.needed("ResourceId");
    let account = may_of(call, "cloudtrail:AddTags", named)?;
    call.shared.audit.add_tags(account, named, read(&call.args)).await?;
    Ok(json!({}))
}

async fn remove(call: &Call) -> Result<Value, JsonError> {
    let named = call.args.needed("ResourceId");
    let account = may_of(call, "cloudtrail:RemoveTags", named)?;
    let keys: Vec<&str> = call.args.structures("TagsList").map(|tag| tag.needed("Key")).collect();
    call.shared.audit.remove_tags(account, named, &keys).await?;
    Ok(json!({}))
}

async fn list(call: &Call) -> Result<Value, JsonError> {
    let mut shown = Vec::new();
    for named in call.args.texts("ResourceIdList") {
        let account = may_of(call, "cloudtrail:ListTags", named)?;
        let trail = call.shared.audit.trail(account, named)?;
        let tags = trail.tags.iter().map(|tag| json!({ "Key": tag.key, "Value": tag.value }));
        shown.push(json!({ "ResourceId": trail.arn, "TagsList": tags.collect::<Value>() }));
    }
    Ok(json!({ "ResourceTagList": shown }))
}
