//! Trails.

use super::shapes::{ARN, BUCKET, NAME, NAMES, PREFIX, TAGS, TOKEN};
use super::{may, may_of, tags};
use crate::json::shape::{Param, Shape, opt, req};
use crate::json::{About, Args, Call, JsonError, Row, done, row};
use engine::clock::Timestamp;
use security::AmzDate;
use security::audit::{Code, NewTrail, Trail, TrailUpdate};
use serde_json::{Value, json};

const NAMED: &[Param] = &[req("Name", &NAME)];

/// Their rows.
pub(super) static ROWS: &[Row] = &[
    Row {
        about: About::Trail,
        parameters: &[
            req("Name", &NAME),
            req("S3BucketName", &BUCKET),
            opt("S3KeyPrefix", &PREFIX),
            opt("SnsTopicName", &NAME),
            opt("IncludeGlobalServiceEvents", &Shape::Flag),
            opt("IsMultiRegionTrail", &Shape::Flag),
            opt("EnableLogFileValidation", &Shape::Flag),
            opt("CloudWatchLogsLogGroupArn", &ARN),
            opt("CloudWatchLogsRoleArn", &ARN),
            opt("KmsKeyId", &ARN),
            opt("IsOrganizationTrail", &Shape::Flag),
            opt("RecursiveLogging", &Shape::Flag),
            opt("TagsList", &TAGS),
        ],
        state: done!(create),
        ..row!("cloudtrail", "CreateTrail")
    },
    Row {
        about: About::Trail,
        parameters: &[
            req("Name", &NAME),
            opt("S3BucketName", &BUCKET),
            opt("S3KeyPrefix", &PREFIX),
            opt("SnsTopicName", &NAME),
            opt("IncludeGlobalServiceEvents", &Shape::Flag),
            opt("IsMultiRegionTrail", &Shape::Flag),
            opt("EnableLogFileValidation", &Shape::Flag),
            opt("CloudWatchLogsLogGroupArn", &ARN),
            opt("CloudWatchLogsRoleArn", &ARN),
            opt("KmsKeyId", &ARN),
            opt("IsOrganizationTrail", &Shape::Flag),
            opt("RecursiveLogging", &Shape::Flag),
        ],
        state: done!(update),
        ..row!("cloudtrail", "UpdateTrail")
    },
    Row { about: About::Trail, parameters: NAMED, state: done!(delete), ..row!("cloudtrail", "DeleteTrail") },
    Row { about: About::Trail, parameters: NAMED, state: done!(get), ..row!("cloudtrail", "GetTrail") },
    Row {
        about: About::Account,
        parameters: &[opt("trailNameList", &NAMES), opt("includeShadowTrails", &Shape::Flag)],
        state: done!(describe),
        ..row!("cloudtrail", "DescribeTrails")
    },
    Row {
        about: About::Account,
        parameters: &[opt("NextToken", &TOKEN)],
        state: done!(list),
        ..row!("cloudtrail", "ListTrails")
    },
    Row {
        about: About::Trail,
        parameters: NAMED,
        state: done!(status),
        ..row!("cloudtrail", "GetTrailStatus")
    },
    Row { about: About::Trail, parameters: NAMED, state: done!(start), ..row!("cloudtrail", "StartLogging") },
    Row { about: About::Trail, parameters: NAMED, state: done!(stop), ..row!("cloudtrail", "StopLogging") },
];

/// A time, as the protocol has it.
pub(super) fn seconds(at: Timestamp) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "2⁵³ milliseconds are enough")]
    let seconds = at.as_millis() as f64 / 1_000.0;
    seconds.into()
}

/// What a trail does not do here.
fn refuse_unbuilt(args: &Args) -> Result<(), JsonError> {
    let refused = |what: &str| {
        let message =
            format!("{what} is not there: files of a trail go to a bucket, encrypted as that bucket says.");
        Err(JsonError::bad(Code::Unsupported.as_str(), message))
    };
    for name in ["SnsTopicName", "CloudWatchLogsLogGroupArn", "CloudWatchLogsRoleArn", "KmsKeyId"] {
        if args.text(name).is_some_and(|value| !value.is_empty()) {
            return refused(name);
        }
    }
    for name in ["IsOrganizationTrail", "RecursiveLogging"] {
        if args.flag(name) == Some(true) {
            return refused(name);
        }
    }
    Ok(())
}

/// As it was made or changed.
fn shown(trail: &Trail) -> Value {
    let mut shown = json!({
        "Name": trail.name,
        "S3BucketName": trail.bucket,
        "IncludeGlobalServiceEvents": trail.includes_global,
        "IsMultiRegionTrail": trail.is_multi_region,
        "TrailARN": trail.arn,
        "LogFileValidationEnabled": trail.validates,
        "IsOrganizationTrail": false,
    });
    if let Some(prefix) = &trail.prefix {
        shown["S3KeyPrefix"] = prefix.as_str().into();
    }
    shown
}

/// As it is looked at.
fn described(call: &Call, trail: &Trail) -> Value {
    let mut shown = shown(trail);
    shown["HomeRegion"] = call.shared.audit.region().into();
    shown["HasCustomEventSelectors"] = trail.selectors.are_custom().into();
    shown["HasInsightSelectors"] = false.into();
    shown
}

async fn create(call: &Call) -> Result<Value, JsonError> {
    let args = &call.args;
    let name = args.needed("Name");
    let account = may_of(call, "cloudtrail:CreateTrail", name)?;
    refuse_unbuilt(args)?;
    let (tags, multi) = (tags::read(args), args.flag("IsMultiRegionTrail").unwrap_or_default());
    if !tags.is_empty() {
        may_of(call, "cloudtrail:AddTags", name)?;
    }
    let includes_global = args.flag("IncludeGlobalServiceEvents").unwrap_or(true);
    if multi && !includes_global {
        let message = "Multi-Region trail must include global service events.";
        return Err(JsonError::bad(Code::InvalidParameter.as_str(), message));
    }
    let new = NewTrail {
        name,
        bucket: args.needed("S3BucketName"),
        prefix: args.text("S3KeyPrefix"),
        validates: args.flag("EnableLogFileValidation").unwrap_or_default(),
        is_multi_region: multi,
        includes_global,
        tags,
    };
    Ok(shown(&call.shared.audit.create_trail(account, &new).await?))
}

async fn update(call: &Call) -> Result<Value, JsonError> {
    let args = &call.args;
    let name = args.needed("Name");
    let account = may_of(call, "cloudtrail:UpdateTrail", name)?;
    refuse_unbuilt(args)?;
    let update = TrailUpdate {
        bucket: args.text("S3BucketName"),
        prefix: args.text("S3KeyPrefix"),
        validates: args.flag("EnableLogFileValidation"),
        is_multi_region: args.flag("IsMultiRegionTrail"),
        includes_global: args.flag("IncludeGlobalServiceEvents"),
    };
    Ok(shown(&call.shared.audit.update_trail(account, name, &update).await?))
}

async fn delete(call: &Call) -> Result<Value, JsonError> {
    let name = call.args.needed("Name");
    let account = may_of(call, "cloudtrail:DeleteTrail", name)?;
    call.shared.audit.delete_trail(account, name).await?;
    Ok(json!({}))
}

async fn get(call: &Call) -> Result<Value, JsonError> {
    let name = call.args.needed("Name");
    let account = may_of(call, "cloudtrail:GetTrail", name)?;
    Ok(json!({ "Trail": described(call, &call.shared.audit.trail(account, name)?) }))
}

async fn describe(call: &Call) -> Result<Value, JsonError> {
    let account = may(call, "cloudtrail:DescribeTrails")?;
    let audit = &call.shared.audit;
    let names: Vec<&str> = call.args.texts("trailNameList").collect();
    let mut trails = Vec::new();
    if names.is_empty() {
        trails = audit.trails(account);
    }
    for name in names {
        match audit.trail(account, name) {
            Ok(trail) => trails.push(trail),
            // What is not there is left out.
            Err(error) if error.code == Code::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(json!({ "trailList": trails.iter().map(|trail| described(call, trail)).collect::<Value>() }))
}

async fn list(call: &Call) -> Result<Value, JsonError> {
    let account = may(call, "cloudtrail:ListTrails")?;
    let audit = &call.shared.audit;
    let trails = audit.trails(account);
    let shown = trails
        .iter()
        .map(|trail| json!({ "TrailARN": trail.arn, "Name": trail.name, "HomeRegion": audit.region() }));
    Ok(json!({ "Trails": shown.collect::<Value>() }))
}

async fn status(call: &Call) -> Result<Value, JsonError> {
    let name = call.args.needed("Name");
    let account = may_of(call, "cloudtrail:GetTrailStatus", name)?;
    let status = call.shared.audit.trail_status(account, name).await?;
    let mut shown = json!({ "IsLogging": status.is_logging });
    let text = |at: Option<Timestamp>| at.map(|at| AmzDate::from_timestamp(at).extended());
    for (name, at) in [
        ("StartLoggingTime", status.started),
        ("StopLoggingTime", status.stopped),
        ("LatestDeliveryTime", status.delivered),
        ("LatestDigestDeliveryTime", status.digested),
    ] {
        if let Some(at) = at {
            shown[name] = seconds(at);
        }
    }
    for (name, said) in [
        ("LatestDeliveryError", status.error.clone()),
        ("LatestDigestDeliveryError", status.digest_error),
        ("LatestDeliveryAttemptTime", text(status.attempted)),
        ("LatestDeliveryAttemptSucceeded", text(status.delivered)),
        ("TimeLoggingStarted", text(status.started)),
        ("TimeLoggingStopped", text(status.stopped)),
    ] {
        if let Some(said) = said {
            shown[name] = said.into();
        }
    }
    Ok(shown)
}

async fn start(call: &Call) -> Result<Value, JsonError> {
    let name = call.args.needed("Name");
    let account = may_of(call, "cloudtrail:StartLogging", name)?;
    call.shared.audit.start_logging(account, name).await?;
    Ok(json!({}))
}

async fn stop(call: &Call) -> Result<Value, JsonError> {
    let name = call.args.needed("Name");
    let account = may_of(call, "cloudtrail:StopLogging", name)?;
    call.shared.audit.stop_logging(account, name).await?;
    Ok(json!({}))
}
