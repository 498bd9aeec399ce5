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

use crate::json::{Args, Service};
use security::Principal;
use security::audit::Resource;

/// The service.
pub(crate) static SERVICE: Service = Service {
    name: "kms",
    targets: &["TrentService"],
    resources,
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

/// A key that is named by its ARN.
fn resources(args: &Args, _: &Principal) -> Vec<Resource> {
    let arn = args.text("KeyId").filter(|named| named.starts_with("arn:") && named.contains(":key/"));
    let of = |arn: &str| Resource {
        kind: "AWS::KMS::Key",
        arn: arn.to_owned(),
        account: arn.split(':').nth(4).and_then(|account| account.parse().ok()),
    };
    arn.map(of).into_iter().collect()
}
