//! Keys: made, shown, enabled, disabled, and gone after a time of waiting; their tags.

use super::shapes::{
    DESCRIPTION, KEY_ID, LIMIT, MARKER, MASTER_SPEC, ORIGIN, OWNERS, POLICY, SPEC, STORE_ID, TAG_KEYS, TAGS,
    TOKENS, USAGE, WINDOW, XKS_KEY_ID,
};
use super::show;
use crate::json::shape::{Shape, opt, req};
use crate::json::{About, Call, JsonError, Row, done, row};
use security::kms::{KeySpec, KeyState, KeyUsage, NewKey, Origin};
use serde_json::{Value, json};

/// Their rows.
pub(super) static ROWS: &[Row] = &[
    Row {
        actions: &["kms:CreateKey", "kms:TagResource"],
        about: About::Account,
        parameters: &[
            opt("Policy", &POLICY),
            opt("Description", &DESCRIPTION),
            opt("KeyUsage", &USAGE),
            opt("CustomerMasterKeySpec", &MASTER_SPEC),
            opt("KeySpec", &SPEC),
            opt("Origin", &ORIGIN),
            opt("CustomKeyStoreId", &STORE_ID),
            opt("BypassPolicyLockoutSafetyCheck", &Shape::Flag),
            opt("Tags", &TAGS),
            opt("MultiRegion", &Shape::Flag),
            opt("XksKeyId", &XKS_KEY_ID),
        ],
        state: done!(create),
        ..row!("kms", "CreateKey")
    },
    Row {
        about: About::AnyKey,
        granted: true,
        parameters: &[req("KeyId", &KEY_ID), opt("GrantTokens", &TOKENS)],
        state: done!(describe),
        ..row!("kms", "DescribeKey")
    },
    Row {
        about: About::Account,
        parameters: &[opt("Limit", &LIMIT), opt("Marker", &MARKER), opt("ResourceOwners", &OWNERS)],
        state: done!(list),
        ..row!("kms", "ListKeys")
    },
    Row { parameters: &[req("KeyId", &KEY_ID)], state: done!(enable), ..row!("kms", "EnableKey") },
    Row { parameters: &[req("KeyId", &KEY_ID)], state: done!(disable), ..row!("kms", "DisableKey") },
    Row {
        parameters: &[req("KeyId", &KEY_ID), opt("PendingWindowInDays", &WINDOW)],
        state: done!(schedule_deletion),
        ..row!("kms", "ScheduleKeyDeletion")
    },
    Row {
        parameters: &[req("KeyId", &KEY_ID)],
        state: done!(cancel_deletion),
        ..row!("kms", "CancelKeyDeletion")
    },
    Row {
        parameters: &[req("KeyId", &KEY_ID), req("Description", &DESCRIPTION)],
        state: done!(describe_anew),
        ..row!("kms", "UpdateKeyDescription")
    },
    Row {
        parameters: &[req("KeyId", &KEY_ID), req("Tags", &TAGS)],
        state: done!(tag),
        ..row!("kms", "TagResource")
    },
    Row {
        parameters: &[req("KeyId", &KEY_ID), req("TagKeys", &TAG_KEYS)],
        state: done!(untag),
        ..row!("kms", "UntagResource")
    },
    Row {
        parameters: &[req("KeyId", &KEY_ID), opt("Limit", &LIMIT), opt("Marker", &MARKER)],
        state: done!(list_tags),
        ..row!("kms", "ListResourceTags")
    },
];

async fn create(call: &Call) -> Result<Value, JsonError> {
    show::refuse_unbuilt(call, &["CustomKeyStoreId", "XksKeyId"])?;
    let args = &call.args;
    if args.flag("MultiRegion").unwrap_or_default() {
        return Err(JsonError::unsupported("MultiRegion", "an appliance is one region"));
    }
    let spec = args.text("KeySpec").or(args.text("CustomerMasterKeySpec"));
    if args.has("KeySpec") && args.has("CustomerMasterKeySpec") {
        let message = "You cannot specify KeySpec and CustomerMasterKeySpec in the same request.";
        return Err(JsonError::bad("ValidationException", message));
    }
    let tags = show::tags_of(args);
    let new = NewKey {
        spec: spec.map(|word| show::known(KeySpec::of_word(word), word)).transpose()?,
        usage: args.text("KeyUsage").map(|word| show::known(KeyUsage::of_word(word), word)).transpose()?,
        origin: args.text("Origin").map(|word| show::known(Origin::of_word(word), word)).transpose()?,
        description: args.text("Description").unwrap_or_default(),
        policy: args.text("Policy"),
        bypass_lockout_check: args.flag("BypassPolicyLockoutSafetyCheck").unwrap_or_default(),
        tags: &tags,
    };
    let key = call.shared.kms.create_key(&call.asks(), &new).await?;
    Ok(json!({ "KeyMetadata": show::metadata(&key) }))
}

async fn describe(call: &Call) -> Result<Value, JsonError> {
    let key = call.shared.kms.describe_key(&call.asks(), call.key()).await?;
    Ok(json!({ "KeyMetadata": show::metadata(&key) }))
}

async fn list(call: &Call) -> Result<Value, JsonError> {
    let kms = &call.shared.kms;
    let (account, page) = kms.keys(&call.asks(), call.paging()).await?;
    let arn = |id| format!("arn:aws:kms:{}:{account}:key/{id}", kms.region());
    let keys: Value =
        page.items.iter().map(|id| json!({ "KeyId": id.to_string(), "KeyArn": arn(id) })).collect();
    let mut reply = json!({ "Keys": keys });
    call.paged(&mut reply, page.next.as_deref())?;
    Ok(reply)
}

async fn enable(call: &Call) -> Result<Value, JsonError> {
    call.shared.kms.enable_key(&call.asks(), call.key()).await?;
    Ok(Value::Null)
}

async fn disable(call: &Call) -> Result<Value, JsonError> {
    call.shared.kms.disable_key(&call.asks(), call.key()).await?;
    Ok(Value::Null)
}

async fn schedule_deletion(call: &Call) -> Result<Value, JsonError> {
    let days = call.args.small("PendingWindowInDays");
    let (arn, at, days) = call.shared.kms.schedule_key_deletion(&call.asks(), call.key(), days).await?;
    let state = KeyState::PendingDeletion.as_str();
    Ok(
        json!({ "KeyId": arn, "DeletionDate": show::time(at), "KeyState": state, "PendingWindowInDays": days }),
    )
}

async fn cancel_deletion(call: &Call) -> Result<Value, JsonError> {
    let arn = call.shared.kms.cancel_key_deletion(&call.asks(), call.key()).await?;
    Ok(json!({ "KeyId": arn }))
}

async fn describe_anew(call: &Call) -> Result<Value, JsonError> {
    let text = call.args.needed("Description");
    call.shared.kms.update_key_description(&call.asks(), call.key(), text).await?;
    Ok(Value::Null)
}

async fn tag(call: &Call) -> Result<Value, JsonError> {
    let tags = show::tags_of(&call.args);
    call.shared.kms.tag_key(&call.asks(), call.key(), &tags).await?;
    Ok(Value::Null)
}

async fn untag(call: &Call) -> Result<Value, JsonError> {
    let keys: Vec<&str> = call.args.texts("TagKeys").collect();
    call.shared.kms.untag_key(&call.asks(), call.key(), &keys).await?;
    Ok(Value::Null)
}

async fn list_tags(call: &Call) -> Result<Value, JsonError> {
    let page = call.shared.kms.tags_of_key(&call.asks(), call.key(), call.paging()).await?;
    let tags: Value =
        page.items.iter().map(|tag| json!({ "TagKey": tag.key, "TagValue": tag.value })).collect();
    let mut reply = json!({ "Tags": tags });
    call.paged(&mut reply, page.next.as_deref())?;
    Ok(reply)
}
