//! The event history, and what signs digests.

use super::may;
use super::shapes::{ATTRIBUTES, CATEGORY, RESULTS, TOKEN};
use super::trails::seconds;
use crate::json::shape::{Shape, opt};
use crate::json::{About, Call, JsonError, Row, done, row};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::clock::Timestamp;
use security::audit::{Attribute, Code, Found, Lookup};
use serde_json::{Value, json};
use std::time::Duration;

/// Records of a page where no number is asked for.
const RESULTS_DEFAULT: i64 = 50;
/// How far back keys are shown where no time is given.
const KEYS_SINCE: Duration = Duration::from_hours(24 * 365);

/// Their rows.
pub(super) static ROWS: &[Row] = &[
    Row {
        about: About::Account,
        parameters: &[
            opt("LookupAttributes", &ATTRIBUTES),
            opt("StartTime", &Shape::Time),
            opt("EndTime", &Shape::Time),
            opt("EventCategory", &CATEGORY),
            opt("MaxResults", &RESULTS),
            opt("NextToken", &TOKEN),
        ],
        state: done!(lookup),
        ..row!("cloudtrail", "LookupEvents")
    },
    Row {
        about: About::Account,
        parameters: &[opt("StartTime", &Shape::Time), opt("EndTime", &Shape::Time), opt("NextToken", &TOKEN)],
        state: done!(keys),
        ..row!("cloudtrail", "ListPublicKeys")
    },
];

fn attribute(name: &str) -> Option<Attribute> {
    Some(match name {
        "EventId" => Attribute::EventId,
        "EventName" => Attribute::EventName,
        "ReadOnly" => Attribute::ReadOnly,
        "Username" => Attribute::Username,
        "ResourceType" => Attribute::ResourceType,
        "ResourceName" => Attribute::ResourceName,
        "EventSource" => Attribute::EventSource,
        "AccessKeyId" => Attribute::AccessKeyId,
        _ => return None,
    })
}

fn shown(found: &Found) -> Value {
    let fields = &found.fields;
    let resources = found
        .resources()
        .into_iter()
        .map(|(kind, name)| json!({ "ResourceType": kind, "ResourceName": name }));
    let mut shown = json!({
        "EventId": fields["eventID"],
        "EventName": fields["eventName"],
        "ReadOnly": fields["readOnly"].as_bool().unwrap_or_default().to_string(),
        "EventTime": seconds(found.at),
        "EventSource": fields["eventSource"],
        "Resources": resources.collect::<Value>(),
        "CloudTrailEvent": found.record,
    });
    if let Some(name) = found.username() {
        shown["Username"] = name.into();
    }
    if let Some(key) = fields["userIdentity"]["accessKeyId"].as_str() {
        shown["AccessKeyId"] = key.into();
    }
    shown
}

async fn lookup(call: &Call) -> Result<Value, JsonError> {
    let account = may(call, "cloudtrail:LookupEvents")?;
    let args = &call.args;
    let mut wanted = args.structures("LookupAttributes");
    let first = wanted.next();
    if wanted.next().is_some() {
        let message = "You can only specify one attribute key and attribute value.";
        return Err(JsonError::bad(Code::InvalidLookupAttributes.as_str(), message));
    }
    let after = args.text("NextToken").map(|token| call.opened(account, token)).transpose()?;
    let asked = Lookup {
        start: args.time("StartTime"),
        end: args.time("EndTime"),
        wanted: first
            .and_then(|one| Some((attribute(one.needed("AttributeKey"))?, one.needed("AttributeValue")))),
        limit: usize::try_from(args.number("MaxResults").unwrap_or(RESULTS_DEFAULT)).unwrap_or_default(),
        after: after.as_deref(),
    };
    // There are no insights.
    if args.has("EventCategory") {
        return Ok(json!({ "Events": [] }));
    }
    let page = call.shared.audit.lookup(account, &asked).await?;
    let mut reply = json!({ "Events": page.found.iter().map(shown).collect::<Value>() });
    if let Some(next) = &page.next {
        reply["NextToken"] = call.sealed(account, next)?.into();
    }
    Ok(reply)
}

async fn keys(call: &Call) -> Result<Value, JsonError> {
    let account = may(call, "cloudtrail:ListPublicKeys")?;
    let end = call.args.time("EndTime").unwrap_or_else(|| call.now());
    let since = i64::try_from(KEYS_SINCE.as_millis()).unwrap_or_default();
    let start = call.args.time("StartTime");
    let start = start.unwrap_or_else(|| Timestamp::from_millis(end.as_millis() - since));
    if end < start {
        return Err(JsonError::bad(Code::InvalidTimeRange.as_str(), "The time range ends before it begins."));
    }
    let found = call.shared.audit.public_keys(account, start, end).await?;
    let keys = found.iter().map(|key| {
        json!({
            "Value": STANDARD.encode(&key.der),
            "ValidityStartTime": seconds(key.from),
            "ValidityEndTime": seconds(key.until),
            "Fingerprint": key.fingerprint,
        })
    });
    Ok(json!({ "PublicKeyList": keys.collect::<Value>() }))
}
