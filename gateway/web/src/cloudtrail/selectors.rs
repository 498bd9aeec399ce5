//! What a trail takes.

use super::may_of;
use super::shapes::{ADVANCED, NAME, SELECTORS};
use crate::json::shape::{opt, req};
use crate::json::{About, Args, Call, JsonError, Row, done, row};
use security::audit::{
    AdvancedSelector, Code, DataResource, EventSelector, FieldSelector, ReadWrite, Selectors,
};
use serde_json::{Value, json};

/// Their rows.
pub(super) static ROWS: &[Row] = &[
    Row {
        about: About::Trail,
        parameters: &[
            req("TrailName", &NAME),
            opt("EventSelectors", &SELECTORS),
            opt("AdvancedEventSelectors", &ADVANCED),
        ],
        state: done!(put),
        ..row!("cloudtrail", "PutEventSelectors")
    },
    Row {
        about: About::Trail,
        parameters: &[req("TrailName", &NAME)],
        state: done!(get),
        ..row!("cloudtrail", "GetEventSelectors")
    },
];

fn texts(args: &Args, name: &str) -> Vec<String> {
    args.texts(name).map(str::to_owned).collect()
}

fn basic(args: &Args) -> EventSelector {
    let resource = |args: &Args| DataResource {
        kind: args.text("Type").unwrap_or_default().to_owned(),
        values: texts(args, "Values"),
    };
    EventSelector {
        read_write_type: match args.text("ReadWriteType") {
            Some("ReadOnly") => ReadWrite::ReadOnly,
            Some("WriteOnly") => ReadWrite::WriteOnly,
            _ => ReadWrite::All,
        },
        include_management_events: args.flag("IncludeManagementEvents").unwrap_or(true),
        data_resources: args.structures("DataResources").map(resource).collect(),
        exclude_management_event_sources: texts(args, "ExcludeManagementEventSources"),
    }
}

fn advanced(args: &Args) -> AdvancedSelector {
    let condition = |args: &Args| FieldSelector {
        field: args.needed("Field").to_owned(),
        equals: texts(args, "Equals"),
        starts_with: texts(args, "StartsWith"),
        ends_with: texts(args, "EndsWith"),
        not_equals: texts(args, "NotEquals"),
        not_starts_with: texts(args, "NotStartsWith"),
        not_ends_with: texts(args, "NotEndsWith"),
    };
    AdvancedSelector {
        name: args.text("Name").map(str::to_owned),
        field_selectors: args.structures("FieldSelectors").map(condition).collect(),
    }
}

fn shown(arn: &str, selectors: &Selectors) -> Value {
    let (name, all) = match selectors {
        Selectors::Basic(all) => ("EventSelectors", json!(all)),
        Selectors::Advanced(all) => ("AdvancedEventSelectors", json!(all)),
    };
    json!({ "TrailARN": arn, name: all })
}

/// Whether a value ends within or behind a bucket's name: it would take buckets whose names go on.
fn is_cut(value: &str) -> bool {
    value.strip_prefix("arn:aws:s3:::").is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
}

async fn put(call: &Call) -> Result<Value, JsonError> {
    let args = &call.args;
    let name = args.needed("TrailName");
    let account = may_of(call, "cloudtrail:PutEventSelectors", name)?;
    let selectors = match (args.has("EventSelectors"), args.has("AdvancedEventSelectors")) {
        (true, false) => Selectors::Basic(args.structures("EventSelectors").map(basic).collect()),
        (false, true) => {
            Selectors::Advanced(args.structures("AdvancedEventSelectors").map(advanced).collect())
        }
        _ => {
            let message = "Either EventSelectors or AdvancedEventSelectors are given.";
            return Err(JsonError::bad(Code::InvalidEventSelectors.as_str(), message));
        }
    };
    if let Selectors::Basic(all) = &selectors
        && let Some(value) =
            all.iter().flat_map(|of| &of.data_resources).flat_map(|of| &of.values).find(|value| is_cut(value))
    {
        let message = format!("The value {value} names no prefix: all objects of a bucket are {value}/.");
        return Err(JsonError::bad(Code::InvalidEventSelectors.as_str(), message));
    }
    let trail = call.shared.audit.put_selectors(account, name, selectors).await?;
    Ok(shown(&trail.arn, &trail.selectors))
}

async fn get(call: &Call) -> Result<Value, JsonError> {
    let name = call.args.needed("TrailName");
    let account = may_of(call, "cloudtrail:GetEventSelectors", name)?;
    let trail = call.shared.audit.trail(account, name)?;
    Ok(shown(&trail.arn, &trail.selectors))
}
