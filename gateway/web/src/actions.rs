//! Which actions policies can be about: those of all doors' tables.

use crate::{cloudtrail, glacier, iam, kms, s3, sts};
use security::policy::Policy;

/// Asked beside the operation's own, where a session is given tags or a source identity.
const OF_SESSIONS: [&str; 2] = ["sts:TagSession", "sts:SetSourceIdentity"];

/// Every action that a policy may name, and mean something.
fn all() -> Vec<&'static str> {
    let query = iam::SERVICE.rows().chain(sts::SERVICE.rows());
    let json = kms::SERVICE.rows().chain(cloudtrail::SERVICE.rows());
    let json = json.flat_map(|row| row.actions.iter().copied());
    let mut all = s3::actions();
    all.extend(query.map(|row| row.action).chain(json).chain(glacier::actions()).chain(OF_SESSIONS));
    all
}

/// What a policy says in vain, a sentence each: actions that are none, with or without wildcards. IAM takes them, as AWS does, for they may be
/// of a service that is yet to come; whoever writes a policy ought to be told.
pub fn actions_in_vain(policy: &Policy) -> Vec<String> {
    let say = |action: security::policy::Named<&str>| {
        format!("{}: {:?} is no action that firn knows: it matches nothing", action.place, action.what)
    };
    policy.actions_beside(&all()).into_iter().map(say).collect()
}

#[cfg(test)]
mod tests {
    use super::{actions_in_vain, all};
    use security::policy::{DOCUMENT_BYTES_MAX, Form, Policy};

    #[test]
    fn actions_of_every_door_are_known_and_a_mistyped_one_is_told_with_its_place() {
        let of = |service: &str| all().iter().filter(|action| action.starts_with(service)).count();
        for (service, least) in
            [("s3:", 90), ("iam:", 100), ("sts:", 9), ("kms:", 43), ("cloudtrail:", 60), ("glacier:", 33)]
        {
            assert!(of(service) >= least, "{service}: {}", of(service));
        }
        let told = |actions: &str| {
            let text = format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"s3:*","Resource":"*"}},
                    {{"Effect":"Allow","Action":{actions},"Resource":"*"}}]}}"#
            );
            actions_in_vain(&Policy::parse(&text, Form::Identity, DOCUMENT_BYTES_MAX).unwrap())
        };
        for known in [
            "*",
            "s3:PutObject",
            "S3:put*",
            "iam:*",
            "kms:Decrypt",
            "sts:TagSession",
            "cloudtrail:LookupEvents",
            "glacier:*Vault",
        ] {
            assert!(told(&format!("{known:?}")).is_empty(), "{known}");
        }
        let said = told(r#"["s3:PutObjet","s3:GetObject","s3:Bucket*","ec2:*"]"#);
        let wanted = |action: &str| {
            format!("Statement[1].Action: {action:?} is no action that firn knows: it matches nothing")
        };
        assert_eq!(said, ["s3:PutObjet", "s3:Bucket*", "ec2:*"].map(wanted));
    }
}
