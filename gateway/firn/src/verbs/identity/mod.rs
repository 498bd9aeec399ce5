//! `firn user`, `group`, `role`, `policy` and `key`: people's way to what SDKs ask IAM for, over the same door and with the same rights.

mod key;
mod plan;
mod policy;

use crate::cli::{Below, Connected, Creation, Group, Membership, Role, RoleCreation, User};
use crate::exit::Exit;
use crate::report::Report;
use crate::report::rows::{Row, Rows};
use crate::session::Session;
use crate::text::printable;
use anyhow::Context as _;
use client::Described;
use plan::Plan;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, Write};

pub(super) use key::run as key;
pub(super) use policy::run as policy;

/// What is named and has an ARN.
#[derive(Debug, Serialize)]
struct Thing {
    name: String,
    arn: String,
    id: String,
    created: String,
}

impl Thing {
    /// Of IAM's elements, whose names begin with its kind: `UserName`, `UserId`.
    fn of(kind: &str, described: &Described) -> client::Result<Self> {
        let text = |name: &str| described.text(name).unwrap_or_default().to_owned();
        Ok(Self {
            name: described.require(&format!("{kind}Name"))?.to_owned(),
            arn: described.require("Arn")?.to_owned(),
            id: text(&format!("{kind}Id")),
            created: text("CreateDate"),
        })
    }

    fn all_of(kind: &str, described: &[Described]) -> client::Result<Rows<Self>> {
        described.iter().map(|one| Self::of(kind, one)).collect::<client::Result<_>>().map(Rows)
    }
}

impl Row for Thing {
    const NONE: &'static str = "none";

    fn line(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{}  {:24}  {}", printable(&self.created), printable(&self.name), printable(&self.arn))
    }
}

/// What was changed.
#[derive(Debug, Serialize)]
struct Changed {
    /// `created the user`, without its name.
    #[serde(skip)]
    did: &'static str,
    name: String,
    arn: Option<String>,
    /// Both sides of what joins two, by their kinds: `group` and `user`, `policy` and whose it is.
    #[serde(flatten)]
    joins: BTreeMap<&'static str, String>,
    /// What comes next, for people.
    #[serde(skip)]
    next: Option<String>,
}

impl Report for Changed {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let arn = self.arn.as_deref().map(|arn| format!(" ({})", printable(arn))).unwrap_or_default();
        let group = self.joins.get("group").filter(|_| self.arn.is_none());
        let group = group.map(|group| format!(" ({})", printable(group))).unwrap_or_default();
        writeln!(out, "{} {}{arn}{group}", self.did, printable(&self.name))?;
        match &self.next {
            Some(next) => writeln!(out, "next: {}", printable(next)),
            None => Ok(()),
        }
    }
}

/// Where a verb connects to, and what it says besides.
fn at<'a, T: clap::Args>(session: &Session, verb: &'a Connected<T>) -> (Session, &'a T) {
    (session.to(verb.connection.clone()), &verb.args)
}

/// Parameters with those that were said.
fn with<'a>(
    mut parameters: Vec<(&'a str, &'a str)>,
    more: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
) -> Vec<(&'a str, &'a str)> {
    parameters.extend(more.into_iter().filter_map(|(name, value)| Some((name, value?))));
    parameters
}

async fn list(
    session: &Session,
    (operation, of, kind): (&'static str, &str, &str),
    args: &Below,
) -> anyhow::Result<Exit> {
    let parameters = with(Vec::new(), [("PathPrefix", args.path.as_deref())]);
    let all = session.client()?.iam_list(operation, &[of], &parameters).await?;
    session.output.print(&Thing::all_of(kind, &all)?)
}

/// Makes something, and tells of it.
async fn create(
    session: &Session,
    (operation, kind, did): (&'static str, &str, &'static str),
    (new, more): (&Creation, &[(&str, &str)]),
    next: Option<String>,
) -> anyhow::Result<Exit> {
    let name = format!("{kind}Name");
    let parameters = with(vec![(&name, &new.named.name)], [("Path", new.path.as_deref())]);
    let made = session.client()?.iam(operation, &[&parameters, more].concat()).await?;
    let made = Thing::of(kind, &made.require_child(kind)?)?;
    let joins = BTreeMap::new();
    session.output.print(&Changed { did, name: made.name, arn: Some(made.arn), joins, next })
}

pub(super) async fn user(session: &Session, args: &User) -> anyhow::Result<Exit> {
    match args {
        User::Ls(verb) => {
            let (session, args) = at(session, verb);
            list(&session, ("ListUsers", "Users", "User"), args).await
        }
        User::Create(verb) => {
            let (session, args) = at(session, verb);
            let name = &args.named.name;
            let next = format!("firn policy attach POLICY --user {name}; firn key create --user {name}");
            create(&session, ("CreateUser", "User", "created the user"), (args, &[]), Some(next)).await
        }
        User::Rm(verb) => {
            let (session, args) = at(session, verb);
            Plan::user(&session.client()?, args).await?.carry_out(&session, args.dry_run).await
        }
    }
}

async fn membership(
    session: &Session,
    (operation, did): (&'static str, &'static str),
    verb: &Connected<Membership>,
) -> anyhow::Result<Exit> {
    let (session, args) = at(session, verb);
    let parameters = [("GroupName", args.group.as_str()), ("UserName", args.user.as_str())];
    session.client()?.iam(operation, &parameters).await?;
    let joins = BTreeMap::from([("group", args.group.clone()), ("user", args.user.clone())]);
    session.output.print(&Changed { did, name: args.user.clone(), arn: None, joins, next: None })
}

pub(super) async fn group(session: &Session, args: &Group) -> anyhow::Result<Exit> {
    match args {
        Group::Ls(verb) => {
            let (session, args) = at(session, verb);
            list(&session, ("ListGroups", "Groups", "Group"), args).await
        }
        Group::Create(verb) => {
            let (session, args) = at(session, verb);
            create(&session, ("CreateGroup", "Group", "created the group"), (args, &[]), None).await
        }
        Group::Rm(verb) => {
            let (session, args) = at(session, verb);
            Plan::group(&session.client()?, args).await?.carry_out(&session, args.dry_run).await
        }
        Group::Members(verb) => {
            let (session, args) = at(session, verb);
            let named = [("GroupName", args.name.as_str())];
            let all = session.client()?.iam_list("GetGroup", &["Users"], &named).await?;
            session.output.print(&Thing::all_of("User", &all)?)
        }
        Group::Add(verb) => membership(session, ("AddUserToGroup", "added to the group:"), verb).await,
        Group::Remove(verb) => {
            membership(session, ("RemoveUserFromGroup", "taken out of the group:"), verb).await
        }
    }
}

/// Who may assume a role.
fn trust(args: &RoleCreation) -> anyhow::Result<String> {
    if let Some(file) = &args.trust_policy {
        return std::fs::read_to_string(file)
            .with_context(|| format!("read the trust policy {}", file.display()));
    }
    let statement =
        json!({ "Effect": "Allow", "Principal": { "AWS": args.trust }, "Action": "sts:AssumeRole" });
    Ok(json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string())
}

pub(super) async fn role(session: &Session, args: &Role) -> anyhow::Result<Exit> {
    match args {
        Role::Ls(verb) => {
            let (session, args) = at(session, verb);
            list(&session, ("ListRoles", "Roles", "Role"), args).await
        }
        Role::Create(verb) => {
            let (session, args) = at(session, verb);
            let trust = trust(args)?;
            let next = format!("firn policy attach POLICY --role {}", args.new.named.name);
            let more = [("AssumeRolePolicyDocument", trust.as_str())];
            create(&session, ("CreateRole", "Role", "created the role"), (&args.new, &more), Some(next)).await
        }
        Role::Rm(verb) => {
            let (session, args) = at(session, verb);
            Plan::role(&session.client()?, args).await?.carry_out(&session, args.dry_run).await
        }
    }
}
