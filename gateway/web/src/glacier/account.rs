//! What holds for all vaults of an account: its data retrieval policy, and provisioned capacity.

use super::error::GlacierError;
use super::{Answer, Call, json, nothing, told};
use archive::inventory::date_with_millis;
use archive::retrieval::RetrievalPolicy;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Wish {
    policy: Option<Rules>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Rules {
    rules: Option<Vec<Rule>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Rule {
    strategy: Option<String>,
    bytes_per_hour: Option<i64>,
}

pub(super) async fn policy(call: &Call) -> Result<Answer, GlacierError> {
    let policy = call.vaults.retrieval_policy(call.account);
    let bytes = match policy {
        RetrievalPolicy::BytesPerHour(bytes) => Some(bytes.get()),
        RetrievalPolicy::Unlimited | RetrievalPolicy::FreeTier { .. } => None,
    };
    let rule = json!({ "Strategy": policy.strategy(), "BytesPerHour": bytes });
    Ok(json(StatusCode::OK, &json!({ "Policy": { "Rules": [rule] } })))
}

pub(super) async fn set_policy(call: &Call) -> Result<Answer, GlacierError> {
    let wish: Wish = call.json()?;
    let rules = wish.policy.ok_or_else(|| GlacierError::missing("Policy"))?;
    let rules = rules.rules.ok_or_else(|| GlacierError::missing("Rules"))?;
    let rule = |rule: &Rule| match rule.strategy.clone() {
        Some(strategy) => Ok((strategy, rule.bytes_per_hour)),
        None => Err(GlacierError::missing("Strategy")),
    };
    let rules = rules.iter().map(rule).collect::<Result<Vec<_>, _>>()?;
    let rules: Vec<_> = rules.iter().map(|(strategy, bytes)| (strategy.as_str(), *bytes)).collect();
    let policy = RetrievalPolicy::parse(&rules, call.vaults.free_per_day())
        .map_err(|bad| GlacierError::invalid(format!("Invalid data retrieval policy: {bad}")))?;
    call.vaults.set_retrieval_policy(call.account, policy).await?;
    Ok(nothing())
}

pub(super) async fn capacity(call: &Call) -> Result<Answer, GlacierError> {
    let units = call.vaults.capacity(call.account);
    let units = units.iter().map(|unit| {
        json!({
            "CapacityId": unit.id.to_string(),
            "StartDate": date_with_millis(unit.start),
            "ExpirationDate": date_with_millis(unit.end),
        })
    });
    Ok(json(StatusCode::OK, &json!({ "ProvisionedCapacityList": units.collect::<Vec<Value>>() })))
}

pub(super) async fn purchase(call: &Call) -> Result<Answer, GlacierError> {
    let unit = call.vaults.purchase_capacity(call.account).await?;
    Ok(told(StatusCode::CREATED, &[("x-amz-capacity-id", &unit.id.to_string())]))
}
