//! Removals: what hangs on something is found first, then taken away in order, so that `--dry-run` tells what would be done.

use crate::cli::Removal;
use crate::exit::Exit;
use crate::report::Report;
use crate::session::Session;
use crate::text::{printable, quote_sh};
use client::{Client, Described};
use serde::{Serialize, Serializer};
use std::io::{self, Write};

/// One call.
#[derive(Debug)]
struct Step {
    operation: &'static str,
    parameters: Vec<(&'static str, String)>,
    /// `the access key AKIA…`
    what: String,
}

impl Serialize for Step {
    /// Its kind, and the names that make it: `{"kind": "membership", "user": "ann", "group": "readers"}`.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let kind = match self.operation {
            "DeleteAccessKey" => "access_key",
            "DeleteLoginProfile" => "password",
            "DeactivateMFADevice" => "mfa_device",
            "RemoveUserFromGroup" => "membership",
            "DeleteUser" => "user",
            "DeleteGroup" => "group",
            "DeleteRole" => "role",
            "DeletePolicy" => "policy",
            "DeletePolicyVersion" => "policy_version",
            operation if operation.starts_with("Detach") => "attached_policy",
            _ => "inline_policy",
        };
        let name = |parameter: &str| match parameter {
            "UserName" => "user",
            "GroupName" => "group",
            "RoleName" => "role",
            "PolicyName" => "policy",
            "PolicyArn" => "policy_arn",
            "AccessKeyId" => "access_key_id",
            "SerialNumber" => "serial_number",
            _ => "version_id",
        };
        let names = self.parameters.iter().map(|(parameter, value)| (name(parameter), value.as_str()));
        to.collect_map(std::iter::once(("kind", kind)).chain(names))
    }
}

/// The next step after a refusal.
fn next(operation: &str, parameters: &[(&str, &str)], code: &str) -> Option<String> {
    let (verb, parameter) = match operation {
        "DeleteUser" => ("user", "UserName"),
        "DeleteGroup" => ("group", "GroupName"),
        "DeleteRole" => ("role", "RoleName"),
        "DeletePolicy" => ("policy", "PolicyArn"),
        "DeleteAccessKey" if code == "NoSuchEntity" => {
            let user = parameters.iter().find(|(name, _)| *name == "UserName");
            return Some(super::key::how_to_find(user.map(|(_, user)| *user)));
        }
        _ => return None,
    };
    let name = parameters.iter().find(|(name, _)| *name == parameter).map(|(_, name)| quote_sh(name))?;
    match code {
        "NoSuchEntity" => Some(format!("see which there are: firn {verb} ls")),
        "DeleteConflict" => Some(format!(
            "see what hangs on it: firn {verb} rm -r {name} --dry-run; without --dry-run that goes, too"
        )),
        _ => None,
    }
}

/// What is to be removed, in order; the thing itself last.
#[derive(Debug, Default)]
pub(super) struct Plan(Vec<Step>);

/// What was removed, or would be.
#[derive(Debug, Serialize)]
struct Removed {
    removed: Vec<Step>,
    dry_run: bool,
}

impl Report for Removed {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let did = if self.dry_run { "would remove" } else { "removed" };
        for step in &self.removed {
            writeln!(out, "{did} {}", printable(&step.what))?;
        }
        Ok(())
    }
}

/// Operations on the policies of a kind of thing.
struct OfKind {
    /// The parameter that names it.
    parameter: &'static str,
    attached: &'static str,
    detach: &'static str,
    inline: &'static str,
    delete: &'static str,
}

const USER: OfKind = OfKind {
    parameter: "UserName",
    attached: "ListAttachedUserPolicies",
    detach: "DetachUserPolicy",
    inline: "ListUserPolicies",
    delete: "DeleteUserPolicy",
};
const GROUP: OfKind = OfKind {
    parameter: "GroupName",
    attached: "ListAttachedGroupPolicies",
    detach: "DetachGroupPolicy",
    inline: "ListGroupPolicies",
    delete: "DeleteGroupPolicy",
};
const ROLE: OfKind = OfKind {
    parameter: "RoleName",
    attached: "ListAttachedRolePolicies",
    detach: "DetachRolePolicy",
    inline: "ListRolePolicies",
    delete: "DeleteRolePolicy",
};

/// What names a thing: a removal of nothing that is named is none.
fn text(described: &Described, name: &str) -> client::Result<String> {
    described.require(name).map(str::to_owned)
}

impl Plan {
    fn step(&mut self, operation: &'static str, parameters: Vec<(&'static str, String)>, what: String) {
        self.0.push(Step { operation, parameters, what });
    }

    /// A single removal.
    pub(super) fn of(operation: &'static str, parameters: Vec<(&'static str, String)>, what: String) -> Self {
        Self(vec![Step { operation, parameters, what }])
    }

    async fn policies(&mut self, client: &Client, kind: &OfKind, name: &str) -> anyhow::Result<()> {
        let named = [(kind.parameter, name)];
        for policy in client.iam_list(kind.attached, &["AttachedPolicies"], &named).await? {
            let (arn, shown) = (text(&policy, "PolicyArn")?, text(&policy, "PolicyName")?);
            let parameters = vec![(kind.parameter, name.to_owned()), ("PolicyArn", arn)];
            self.step(kind.detach, parameters, format!("the attached policy {shown} of {name}"));
        }
        for policy in client.iam_list(kind.inline, &["PolicyNames"], &named).await? {
            let shown = policy.own_text()?.to_owned();
            let parameters = vec![(kind.parameter, name.to_owned()), ("PolicyName", shown.clone())];
            self.step(kind.delete, parameters, format!("the inline policy {shown} of {name}"));
        }
        Ok(())
    }

    /// Of a user.
    pub(super) async fn user(client: &Client, args: &Removal) -> anyhow::Result<Self> {
        let (mut plan, name) = (Self::default(), args.named.name.as_str());
        if args.recursive {
            let named = [("UserName", name)];
            for key in client.iam_list("ListAccessKeys", &["AccessKeyMetadata"], &named).await? {
                let id = text(&key, "AccessKeyId")?;
                let parameters = vec![("UserName", name.to_owned()), ("AccessKeyId", id.clone())];
                plan.step("DeleteAccessKey", parameters, format!("the access key {id} of {name}"));
            }
            for device in client.iam_list("ListMFADevices", &["MFADevices"], &named).await? {
                let serial = text(&device, "SerialNumber")?;
                let parameters = vec![("UserName", name.to_owned()), ("SerialNumber", serial.clone())];
                plan.step(
                    "DeactivateMFADevice",
                    parameters,
                    format!("the second factor {serial} from {name}"),
                );
            }
            match client.iam("GetLoginProfile", &named).await {
                Ok(_) => {
                    let parameters = vec![("UserName", name.to_owned())];
                    plan.step("DeleteLoginProfile", parameters, format!("the password of {name}"));
                }
                Err(error) if error.code() == Some("NoSuchEntity") => {}
                Err(error) => return Err(error.into()),
            }
            for group in client.iam_list("ListGroupsForUser", &["Groups"], &named).await? {
                let group = text(&group, "GroupName")?;
                let parameters = vec![("UserName", name.to_owned()), ("GroupName", group.clone())];
                plan.step("RemoveUserFromGroup", parameters, format!("{name} from the group {group}"));
            }
            plan.policies(client, &USER, name).await?;
        }
        plan.step("DeleteUser", vec![("UserName", name.to_owned())], format!("the user {name}"));
        Ok(plan)
    }

    /// Of a group.
    pub(super) async fn group(client: &Client, args: &Removal) -> anyhow::Result<Self> {
        let (mut plan, name) = (Self::default(), args.named.name.as_str());
        if args.recursive {
            for user in client.iam_list("GetGroup", &["Users"], &[("GroupName", name)]).await? {
                let user = text(&user, "UserName")?;
                let parameters = vec![("GroupName", name.to_owned()), ("UserName", user.clone())];
                plan.step("RemoveUserFromGroup", parameters, format!("{user} from the group {name}"));
            }
            plan.policies(client, &GROUP, name).await?;
        }
        plan.step("DeleteGroup", vec![("GroupName", name.to_owned())], format!("the group {name}"));
        Ok(plan)
    }

    /// Of a role.
    pub(super) async fn role(client: &Client, args: &Removal) -> anyhow::Result<Self> {
        let (mut plan, name) = (Self::default(), args.named.name.as_str());
        if args.recursive {
            plan.policies(client, &ROLE, name).await?;
        }
        plan.step("DeleteRole", vec![("RoleName", name.to_owned())], format!("the role {name}"));
        Ok(plan)
    }

    /// Of a managed policy.
    pub(super) async fn policy(client: &Client, arn: &str, args: &Removal) -> anyhow::Result<Self> {
        let mut plan = Self::default();
        if args.recursive {
            let named = [("PolicyArn", arn), ("PolicyUsageFilter", "PermissionsPolicy")];
            for (list, kind) in [("PolicyUsers", USER), ("PolicyGroups", GROUP), ("PolicyRoles", ROLE)] {
                for holder in client.iam_list("ListEntitiesForPolicy", &[list], &named).await? {
                    let name = text(&holder, kind.parameter)?;
                    let parameters = vec![(kind.parameter, name.clone()), ("PolicyArn", arn.to_owned())];
                    plan.step(kind.detach, parameters, format!("the attached policy {arn} of {name}"));
                }
            }
            for version in client.iam_list("ListPolicyVersions", &["Versions"], &[("PolicyArn", arn)]).await?
            {
                if version.text("IsDefaultVersion") == Some("true") {
                    continue;
                }
                let id = text(&version, "VersionId")?;
                let parameters = vec![("PolicyArn", arn.to_owned()), ("VersionId", id.clone())];
                plan.step("DeletePolicyVersion", parameters, format!("the version {id} of {arn}"));
            }
        }
        plan.step("DeletePolicy", vec![("PolicyArn", arn.to_owned())], format!("the policy {arn}"));
        Ok(plan)
    }

    /// Does it, unless it is only to be told.
    pub(super) async fn carry_out(self, session: &Session, dry_run: bool) -> anyhow::Result<Exit> {
        let client = session.client()?;
        let mut removed = Vec::new();
        for Step { operation, parameters, what } in self.0 {
            if !dry_run {
                let parameters: Vec<(&str, &str)> =
                    parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let asked = client.iam(operation, &parameters).await;
                asked.map_err(|error| {
                    super::refused(error, format!("remove {what}"), |code| next(operation, &parameters, code))
                })?;
            }
            removed.push(Step { operation, parameters, what });
        }
        session.output.print(&Removed { removed, dry_run })
    }
}
