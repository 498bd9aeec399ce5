//! `firn user`, `group`, `role`, `policy` and `key`: people's way to what SDKs ask IAM for, over the same door and with the same rights.

mod key;
mod password;
mod plan;
mod policy;

use crate::cli::{Below, Connected, Creation, Group, Membership, Role, RoleCreation, User};
use crate::exit::{self, Exit, Failure};
use crate::report::Report;
use crate::report::rows::{Row, Rows};
use crate::session::Session;
use crate::text::{printable, quote_sh};
use anyhow::Context as _;
use client::Described;
use plan::Plan;
use security::policy::Form;
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
    /// Its name, for people.
    #[serde(skip)]
    said: String,
    /// What it is about: `user`, `group`, `policy` and the like, and their names.
    #[serde(flatten)]
    about: BTreeMap<&'static str, String>,
    /// What is done, and may not be what was meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    /// What comes next, for people.
    #[serde(skip)]
    next: Option<String>,
}

impl Report for Changed {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{} {}", self.did, printable(&self.said))?;
        match &self.next {
            Some(next) => writeln!(out, "next: {}", printable(next)),
            None => Ok(()),
        }
    }
}

/// A refusal of IAM's, with what was tried and the next step for its code, where there is one.
fn refused(error: client::Error, tried: String, step: impl FnOnce(&str) -> Option<String>) -> anyhow::Error {
    match error.code().and_then(step) {
        Some(hint) => Failure::new(exit::of_client(error.kind()), tried).hint(hint).caused_by(error).into(),
        None => error.into(),
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
    (next, warnings): (Option<String>, Vec<String>),
) -> anyhow::Result<Exit> {
    let name = format!("{kind}Name");
    let parameters = with(vec![(&name, &new.named.name)], [("Path", new.path.as_deref())]);
    let made = session.client()?.iam(operation, &[&parameters, more].concat()).await;
    let kind_of = kind.to_lowercase();
    let made = made.map_err(|error| {
        refused(error, format!("make the {kind_of} {}", new.named.name), |code| {
            let one = if kind == "Policy" {
                format!(" show {}", quote_sh(&new.named.name))
            } else {
                " ls".to_owned()
            };
            (code == "EntityAlreadyExists").then(|| format!("see what is there: firn {kind_of}{one}"))
        })
    })?;
    let made = Thing::of(kind, &made.require_child(kind)?)?;
    let said = format!("{} ({})", made.name, made.arn);
    let about = BTreeMap::from([("kind", kind_of), ("name", made.name), ("arn", made.arn)]);
    for warning in &warnings {
        session.output.note(&format!("warning: {}", printable(warning)));
    }
    session.output.print(&Changed { did, said, about, warnings, next })
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
            create(
                &session,
                ("CreateUser", "User", "created the user"),
                (args, &[]),
                (Some(next), Vec::new()),
            )
            .await
        }
        User::Password(verb) => {
            let (session, args) = at(session, verb);
            password::set(&session, args).await
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
    session.client()?.iam(operation, &parameters).await.map_err(|error| {
        refused(error, format!("change the group {} for the user {}", args.group, args.user), |code| {
            (code == "NoSuchEntity").then(|| "see which there are: firn group ls, firn user ls".to_owned())
        })
    })?;
    let said = format!("{} ({})", args.user, args.group);
    let about = BTreeMap::from([("user", args.user.clone()), ("group", args.group.clone())]);
    session.output.print(&Changed { did, said, about, warnings: Vec::new(), next: None })
}

pub(super) async fn group(session: &Session, args: &Group) -> anyhow::Result<Exit> {
    match args {
        Group::Ls(verb) => {
            let (session, args) = at(session, verb);
            list(&session, ("ListGroups", "Groups", "Group"), args).await
        }
        Group::Create(verb) => {
            let (session, args) = at(session, verb);
            create(&session, ("CreateGroup", "Group", "created the group"), (args, &[]), (None, Vec::new()))
                .await
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
            let then = (Some(next), policy::in_vain(&trust, Form::Trust));
            create(&session, ("CreateRole", "Role", "created the role"), (&args.new, &more), then).await
        }
        Role::Rm(verb) => {
            let (session, args) = at(session, verb);
            Plan::role(&session.client()?, args).await?.carry_out(&session, args.dry_run).await
        }
    }
}
