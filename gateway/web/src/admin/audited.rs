//! What the audit trail has of the admin door: calls that change something, and whoever comes without the token. AWS has no such door: the
//! source of its records is `firn.amazonaws.com`, and they are those of the appliance's account.

use crate::audit::{self, Seen};
use crate::failure::Trouble;
use crate::state::{AdminCall, AdminError, State};
use http::StatusCode;
use security::audit::{Category, Event, Failure, bounded};
use serde_json::{Map, Value, json};

/// Members of a request that are written.
const WRITTEN: [&str; 13] = [
    "account",
    "bucket",
    "bytes",
    "days",
    "dry_run",
    "from",
    "name",
    "objects",
    "prefix",
    "recipient",
    "vault",
    "warn_percent",
    "zone",
];

/// What a call changes, as its record names it, and what it says; `None`: it only reads.
pub(super) fn change(call: &AdminCall) -> Option<(&'static str, Value)> {
    let (kind, request) = match call {
        AdminCall::Status
        | AdminCall::Doctor
        | AdminCall::Workers
        | AdminCall::Where { .. }
        | AdminCall::Cost { .. }
        | AdminCall::Quotas { .. } => return None,
        AdminCall::Quota { request } => ("quota", request),
        AdminCall::Dedup { request } => ("dedup", request),
        AdminCall::Lifecycle { request } => ("lifecycle", request),
        AdminCall::Zone { request } => ("zone", request),
        AdminCall::Locks { request } => ("locks", request),
        AdminCall::Backup { request } => ("backup", request),
        AdminCall::Vault { request } => ("vault", request),
    };
    let name = match (kind, request["action"].as_str().unwrap_or_default()) {
        ("quota", "set") => "SetQuota",
        ("quota", "remove") => "RemoveQuota",
        ("dedup", "on") => "EnableDedup",
        ("dedup", "off") => "DisableDedup",
        ("lifecycle", "run") => "RunLifecycle",
        ("zone", "drain") => "DrainZone",
        ("zone", "use") => "UseZone",
        ("locks", "release") => "ReleaseLocks",
        ("backup", "reseal") => "ResealBackups",
        ("backup", _) => "StartBackup",
        ("vault", "hold") => "HoldVault",
        ("vault", "release") => "ReleaseVault",
        ("vault", "least_age") => "SetVaultLeastAge",
        // Without repairs it only reads.
        ("vault", "scrub") if request["repairs"] == true => "ScrubVault",
        ("vault", "compact") if request["dry_run"] != true => "CompactVault",
        // What reads, or is none.
        _ => return None,
    };
    let said = WRITTEN.iter().filter_map(|member| {
        let value = match &request[*member] {
            Value::String(text) => json!(bounded(text)),
            value @ (Value::Bool(_) | Value::Number(_)) => value.clone(),
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        Some(((*member).to_owned(), value))
    });
    Some((name, Value::Object(said.collect())))
}

/// What somebody without the token asked for, as its record names it.
pub(super) fn wanted(path: &str) -> &'static str {
    match path {
        "/metrics" => "GetMetrics",
        "/v1/status" => "GetStatus",
        "/v1/doctor" => "GetFindings",
        "/v1/workers" => "GetWorkers",
        "/v1/where" => "GetPlace",
        "/v1/quotas" => "GetQuotas",
        "/v1/cost" => "GetCost",
        "/v1/quota" => "SetQuota",
        "/v1/dedup" => "EnableDedup",
        "/v1/lifecycle" => "RunLifecycle",
        "/v1/zone" => "UseZone",
        "/v1/locks" => "ReleaseLocks",
        "/v1/backup" => "StartBackup",
        "/v1/vault" => "ScrubVault",
        _ => "Unknown",
    }
}

/// The code that an error has in a record.
const fn code(error: &AdminError) -> &'static str {
    match error {
        AdminError::NotFound(_) => "NotFound",
        AdminError::Invalid(_) => "InvalidRequest",
        AdminError::Denied(_) => "AccessDenied",
        AdminError::Conflict(_) => "Conflict",
        AdminError::Unavailable(_) => "ServiceUnavailable",
        AdminError::Internal(_) => "InternalFailure",
    }
}

/// Keeps the record of a change.
pub(super) async fn keep(
    state: &State,
    seen: &Seen,
    (name, parameters): (&'static str, Value),
    outcome: &Result<Value, AdminError>,
) -> Result<(), Trouble> {
    let error = outcome.as_ref().err().map(|error| (code(error), error.status()));
    let user =
        json!({ "type": "Unknown", "principalId": "admin-token", "accountId": state.account.to_string() });
    record(state, seen, (name, user, parameters), error).await
}

/// Keeps the record of somebody who came without the token.
pub(super) async fn deny(state: &State, seen: &Seen, path: &str) -> Result<(), Trouble> {
    let user = json!({ "type": "Unknown", "principalId": "", "accountId": "" });
    let refused = ("MissingAuthenticationToken", StatusCode::UNAUTHORIZED);
    record(state, seen, (wanted(path), user, Value::Null), Some(refused)).await
}

async fn record(
    state: &State,
    seen: &Seen,
    (name, user, parameters): (&'static str, Value, Value),
    error: Option<(&'static str, StatusCode)>,
) -> Result<(), Trouble> {
    let denied = error.is_some_and(|(code, _)| matches!(code, "AccessDenied" | "MissingAuthenticationToken"));
    let mut fields: Map<String, Value> = seen.fields(&audit::request_id(&*state.entropy));
    fields.insert("requestParameters".to_owned(), parameters);
    fields.insert("responseElements".to_owned(), Value::Null);
    let event = Event {
        account: state.account,
        also: Vec::new(),
        at: state.clock.now(),
        category: Category::Management,
        denied,
        read_only: name.starts_with("Get"),
        source: "firn.amazonaws.com",
        name: name.into(),
        resources: Vec::new(),
        user,
        failure: error.map(|(code, _)| Failure { code: code.to_owned(), message: None }),
        fields,
    };
    audit::settle(state, event, error.map_or(StatusCode::OK, |(_, status)| status)).await
}
