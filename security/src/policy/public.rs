//! Whether a policy lets in whom nobody chose. Source: "The meaning of public" in "Blocking public access to your Amazon S3 storage" of
//! the S3 user guide: a policy is public unless every Allow for everybody is narrowed to fixed values of one of a few keys.

use super::arn::ArnPattern;
use super::document::{Effect, Policy, Statement};
use super::operator::Values;
use super::principal::Party;
use super::value::Network;

/// Keys whose fixed values choose somebody. Wildcards and variables choose nobody.
const CHOOSING: [&str; 11] = [
    "aws:principalorgid",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceip",
    "aws:sourceowner",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:userid",
    "s3:dataaccesspointaccount",
    "s3:dataaccesspointarn",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
];

impl Policy {
    /// Whether one of its statements is public.
    pub fn is_public(&self) -> bool {
        self.statements.iter().any(Statement::is_public)
    }
}

impl Statement {
    fn is_public(&self) -> bool {
        let everybody =
            self.parties().is_none_or(|parties| parties.negated || parties.list.contains(&Party::Everybody));
        let narrowed = || {
            self.conditions().iter().any(|condition| {
                CHOOSING.contains(&condition.key())
                    && condition.demands().is_some_and(|values| chooses(condition.key(), values))
            })
        };
        self.effect == Effect::Allow && everybody && !narrowed()
    }
}

fn chooses(key: &str, values: &Values) -> bool {
    match values {
        // The id of a role's session is behind a colon, and its name anybody's choice; who is nobody has an id as well.
        Values::Texts(patterns) => patterns.iter().all(|pattern| {
            let id = pattern.as_str();
            pattern.is_fixed()
                && (key != "aws:userid" || !(id.contains(':') || id.eq_ignore_ascii_case("anonymous")))
        }),
        Values::Arns(patterns) => patterns.iter().all(ArnPattern::is_fixed),
        Values::Networks(networks) => key == "aws:sourceip" && !networks.iter().any(Network::is_everybody),
        Values::Numbers(..)
        | Values::Dates(..)
        | Values::Bools(_)
        | Values::Binaries(_)
        | Values::Absent(_) => false,
    }
}
