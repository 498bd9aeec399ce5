//! KMS over the JSON protocol: keys, what they do, their policies, grants and aliases, as `aws kms` and the SDKs speak of them.
//!
//! Each group of operations is a file: the rows of its part of the table, and the functions that do them. The functions read parameters,
//! which the rows have checked, ask [`Kms`](security::kms::Kms), which decides, and write what comes back.
//!
//! docs/kms-actions.md is made of these rows.

mod aliases;
mod elsewhere;
mod grants;
mod keys;
#[cfg(test)]
mod page;
mod policies;
mod rotation;
mod shapes;
mod show;
mod sign;
mod uses;

use crate::audit::resource;
use crate::json::{Args, Service};
use security::Principal;
use security::audit::Resource;

/// The service.
pub(crate) static SERVICE: Service = Service {
    name: "kms",
    targets: &["TrentService"],
    resources,
    made,
    of_others: true,
    groups: &[
        keys::ROWS,
        uses::ROWS,
        sign::ROWS,
        grants::ROWS,
        policies::ROWS,
        aliases::ROWS,
        rotation::ROWS,
        elsewhere::STORES,
        elsewhere::REGIONS,
        elsewhere::ENCAPSULATION,
        elsewhere::USAGE,
    ],
};

/// What names keys.
const NAMES: [&str; 4] = ["KeyId", "SourceKeyId", "DestinationKeyId", "TargetKeyId"];
/// What keys are called as resources.
const KEY: &str = "AWS::KMS::Key";

/// Keys that are named, by their ARNs or by ids of the account's own; and aliases of others. What an alias of one's own stands for the answer says.
fn resources(args: &Args, principal: &Principal, region: &str) -> Vec<Resource> {
    let own = principal.account();
    let of = |named: &str| {
        if named.starts_with("arn:") {
            let is_alias = named.contains(":alias/");
            return Some(resource(if is_alias { "AWS::KMS::Alias" } else { KEY }, named));
        }
        let account = own.filter(|_| !named.starts_with("alias/") && !named.is_empty())?;
        Some(resource(KEY, &format!("arn:aws:kms:{region}:{account}:key/{named}")))
    };
    let mut found: Vec<Resource> = Vec::new();
    for resource in NAMES.into_iter().filter_map(|name| args.text(name)).filter_map(of) {
        if !found.contains(&resource) {
            found.push(resource);
        }
    }
    found
}

/// The key that an answer names.
fn made(reply: &serde_json::Value) -> Vec<Resource> {
    let arns = [&reply["KeyId"], &reply["KeyMetadata"]["Arn"], &reply["SourceKeyId"]];
    let keys = arns.into_iter().filter_map(|arn| arn.as_str()).filter(|arn| arn.starts_with("arn:"));
    keys.map(|arn| resource(KEY, arn)).collect()
}
