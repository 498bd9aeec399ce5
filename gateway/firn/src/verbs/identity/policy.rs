//! `firn policy`.

use super::plan::Plan;
use super::{Changed, at, create, list, refused};
use crate::cli::{self, Attachment, Connected, Holder, PolicyCreation};
use crate::exit::{Exit, Failure};
use crate::report::Report;
use crate::session::Session;
use anyhow::Context as _;
use client::Client;
use security::policy::{DOCUMENT_BYTES_MAX, Form, Policy};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Read as _, Write};

/// The longest document that is read: more than IAM takes.
const DOCUMENT_MAX: u64 = 256 << 10;

pub(in crate::verbs) async fn run(session: &Session, args: &cli::Policy) -> anyhow::Result<Exit> {
    match args {
        cli::Policy::Ls(verb) => {
            let (session, args) = at(session, verb);
            list(&session, ("ListPolicies", "Policies", "Policy"), args).await
        }
        cli::Policy::Create(verb) => {
            let (session, args) = at(session, verb);
            make(&session, args).await
        }
        cli::Policy::Show(verb) => {
            let (session, args) = at(session, verb);
            show(&session, &args.name).await
        }
        cli::Policy::Rm(verb) => {
            let (session, args) = at(session, verb);
            let client = session.client()?;
            let arn = arn(&client, &args.named.name).await?;
            Plan::policy(&client, &arn, args).await?.carry_out(&session, args.dry_run).await
        }
        cli::Policy::Attach(verb) => attach(session, verb, true).await,
        cli::Policy::Detach(verb) => attach(session, verb, false).await,
    }
}

/// The ARN of a managed policy that is named by it, or by its name alone.
async fn arn(client: &Client, named: &str) -> anyhow::Result<String> {
    if named.starts_with("arn:") {
        return Ok(named.to_owned());
    }
    let all = client.iam_list("ListPolicies", &["Policies"], &[]).await?;
    let found = all
        .iter()
        .find(|policy| policy.text("PolicyName").is_some_and(|name| name.eq_ignore_ascii_case(named)));
    match found.and_then(|policy| policy.text("Arn")) {
        Some(arn) => Ok(arn.to_owned()),
        None => Err(Failure::new(Exit::NotFound, format!("find the policy {named}"))
            .hint("see which there are: firn policy ls")
            .into()),
    }
}

async fn make(session: &Session, args: &PolicyCreation) -> anyhow::Result<Exit> {
    let mut text = String::new();
    let read = if args.document.as_os_str() == "-" {
        io::stdin().lock().take(DOCUMENT_MAX).read_to_string(&mut text)
    } else {
        std::fs::File::open(&args.document).and_then(|file| file.take(DOCUMENT_MAX).read_to_string(&mut text))
    };
    read.with_context(|| format!("read the policy {}", args.document.display()))?;
    let next = format!("firn policy attach {} --user NAME", args.new.named.name);
    let more = [("PolicyDocument", text.as_str())];
    let then = (Some(next), in_vain(&text, Form::Identity));
    create(session, ("CreatePolicy", "Policy", "created the policy"), (&args.new, &more), then).await
}

/// What a document says in vain. One that can't be read is the endpoint's to refuse.
pub(super) fn in_vain(text: &str, form: Form) -> Vec<String> {
    let policy = Policy::parse(text, form, DOCUMENT_BYTES_MAX);
    policy.map(|policy| web::actions_in_vain(&policy)).unwrap_or_default()
}

/// A policy's document.
#[derive(Debug, Serialize)]
struct Shown {
    arn: String,
    version: String,
    document: serde_json::Value,
}

impl Report for Shown {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, &self.document)?;
        writeln!(out)
    }
}

async fn show(session: &Session, named: &str) -> anyhow::Result<Exit> {
    let client = session.client()?;
    let arn = arn(&client, named).await?;
    let policy = client.iam("GetPolicy", &[("PolicyArn", &arn)]).await?.require_child("Policy")?;
    let version = policy.require("DefaultVersionId")?.to_owned();
    let asked = [("PolicyArn", arn.as_str()), ("VersionId", version.as_str())];
    let found = client.iam("GetPolicyVersion", &asked).await?.require_child("PolicyVersion")?;
    let text = found.document("Document")?;
    let document = serde_json::from_str(&text).context("understand the policy's document")?;
    session.output.print(&Shown { arn, version, document })
}

/// The operation, and whom it names.
fn about(holder: &Holder, attaches: bool) -> (&'static str, &'static str, &str) {
    match (&holder.user, &holder.group, &holder.role) {
        (Some(name), ..) => {
            (if attaches { "AttachUserPolicy" } else { "DetachUserPolicy" }, "UserName", name)
        }
        (None, Some(name), _) => {
            (if attaches { "AttachGroupPolicy" } else { "DetachGroupPolicy" }, "GroupName", name)
        }
        (None, None, name) => {
            let name = name.as_deref().unwrap_or_default();
            (if attaches { "AttachRolePolicy" } else { "DetachRolePolicy" }, "RoleName", name)
        }
    }
}

async fn attach(session: &Session, verb: &Connected<Attachment>, attaches: bool) -> anyhow::Result<Exit> {
    let (session, args) = at(session, verb);
    let client = session.client()?;
    let arn = arn(&client, &args.policy).await?;
    let (operation, parameter, name) = about(&args.holder, attaches);
    let holder = match parameter {
        "UserName" => "user",
        "GroupName" => "group",
        _ => "role",
    };
    client.iam(operation, &[(parameter, name), ("PolicyArn", &arn)]).await.map_err(|error| {
        let did = if attaches { "attach the policy to" } else { "detach the policy from" };
        refused(error, format!("{did} the {holder} {name}"), |code| {
            let step = || format!("see which there are: firn {holder} ls, firn policy ls");
            (code == "NoSuchEntity").then(step)
        })
    })?;
    let did = if attaches { "attached the policy to" } else { "detached the policy from" };
    let said = format!("{name} ({arn})");
    let about = BTreeMap::from([(holder, name.to_owned()), ("policy_arn", arn)]);
    session.output.print(&Changed { did, said, about, warnings: Vec::new(), next: None })
}
