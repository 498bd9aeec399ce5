//! `CloudTrail` over the JSON protocol: the event history, trails, what they select, and what signs their digests.
//!
//! The rows of the table, and the functions that do them: these read parameters, which the rows have checked, ask the policies of who asks, ask
//! [`Audit`](security::audit::Audit), and write what comes back. docs/cloudtrail-actions.md is made of the rows.

mod elsewhere;
mod history;
#[cfg(test)]
mod page;
mod selectors;
mod shapes;
mod tags;
mod trails;

use crate::audit::resource;
use crate::json::{Args, Call, JsonError, Service};
use security::audit::Resource;
use security::{AccountId, Principal};

/// The service.
pub(crate) static SERVICE: Service = Service {
    name: "cloudtrail",
    // The CLI and boto3 send the first; some SDKs the second.
    targets: &["com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101", "CloudTrail_20131101"],
    resources,
    made: |_| Vec::new(),
    // A trail of another account is none that is known.
    of_others: false,
    groups: &[
        trails::ROWS,
        selectors::ROWS,
        tags::ROWS,
        history::ROWS,
        elsewhere::LAKES,
        elsewhere::INSIGHTS,
        elsewhere::ORGANIZATIONS,
    ],
};

/// A trail that is named by its ARN.
fn resources(args: &Args, _: &Principal, _: &str) -> Vec<Resource> {
    let named = ["Name", "TrailName", "ResourceId"].into_iter().find_map(|name| args.text(name));
    let arn = named.filter(|named| named.starts_with("arn:"));
    arn.map(|arn| resource("AWS::CloudTrail::Trail", arn)).into_iter().collect()
}

/// Whose trails are asked about: those of who asks.
fn account(call: &Call) -> Result<AccountId, JsonError> {
    call.principal().account().ok_or_else(JsonError::unsigned)
}

/// Refuses who may not do this to the trail that is named so.
fn may_of(call: &Call, action: &str, named: &str) -> Result<AccountId, JsonError> {
    let account = account(call)?;
    call.require(account, action, &call.shared.audit.trail_arn(account, named))?;
    Ok(account)
}

/// Refuses who may not do this to trails in general.
fn may(call: &Call, action: &str) -> Result<AccountId, JsonError> {
    let account = account(call)?;
    // What is of no trail in particular: a policy says `*`, or any ARN of the service in the account.
    let all = format!("arn:aws:cloudtrail:{}:{account}:", call.shared.audit.region());
    call.require(account, action, &all)?;
    Ok(account)
}
