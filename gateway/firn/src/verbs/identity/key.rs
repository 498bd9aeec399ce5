//! `firn key`: access keys. A new one's secret is printed this once, and kept nowhere.

use super::plan::Plan;
use super::{Changed, at, refused, with};
use crate::cli::{Connected, Key, KeyId, KeyOf, KeyRemoval};
use crate::exit::Exit;
use crate::report::Report;
use crate::report::rows::{Row, Rows};
use crate::session::Session;
use crate::text::{printable, quote_sh};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};

pub(in crate::verbs) async fn run(session: &Session, args: &Key) -> anyhow::Result<Exit> {
    match args {
        Key::Ls(verb) => {
            let (session, args) = at(session, verb);
            list(&session, args).await
        }
        Key::Create(verb) => {
            let (session, args) = at(session, verb);
            create(&session, args).await
        }
        Key::Enable(verb) => update(session, verb, ("Active", "enabled the access key")).await,
        Key::Disable(verb) => update(session, verb, ("Inactive", "disabled the access key")).await,
        Key::Rm(verb) => {
            let (session, args) = at(session, verb);
            remove(&session, args).await
        }
    }
}

/// An access key, without its secret.
#[derive(Debug, Serialize)]
struct Listed {
    access_key_id: String,
    user: Option<String>,
    status: String,
    /// None where the appliance does not know it, as of the key that it was made with.
    created: Option<String>,
}

/// What stands where a time is not known.
const NO_TIME: &str = "1970-01-01T00:00:00Z";

impl Row for Listed {
    const NONE: &'static str = "no access keys";

    fn line(&self, out: &mut dyn Write) -> io::Result<()> {
        let user = self.user.as_deref().unwrap_or("(root)");
        let created = self.created.as_deref().map_or_else(|| "unknown".to_owned(), printable);
        let id = printable(&self.access_key_id);
        write!(out, "{created:20}  {id}  {:8}  {}", printable(&self.status), printable(user))
    }
}

fn of(args: &KeyOf) -> [(&'static str, Option<&str>); 1] {
    [("UserName", args.user.as_deref())]
}

async fn list(session: &Session, args: &KeyOf) -> anyhow::Result<Exit> {
    let all = session
        .client()?
        .iam_list("ListAccessKeys", &["AccessKeyMetadata"], &with(Vec::new(), of(args)))
        .await?;
    let text = |key: &client::Described, name| key.text(name).unwrap_or_default().to_owned();
    let row = |key: &client::Described| {
        Ok(Listed {
            access_key_id: key.require("AccessKeyId")?.to_owned(),
            user: Some(text(key, "UserName")).filter(|name| !name.is_empty()),
            status: key.require("Status")?.to_lowercase(),
            created: Some(text(key, "CreateDate")).filter(|at| !at.is_empty() && at != NO_TIME),
        })
    };
    session.output.print(&Rows(all.iter().map(row).collect::<client::Result<_>>()?))
}

/// A new access key.
#[derive(Serialize)]
struct Created {
    access_key_id: String,
    secret_access_key: String,
    user: Option<String>,
}

impl Report for Created {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "aws_access_key_id = {}", printable(&self.access_key_id))?;
        writeln!(out, "aws_secret_access_key = {}", printable(&self.secret_access_key))
    }
}

async fn create(session: &Session, args: &KeyOf) -> anyhow::Result<Exit> {
    let made = session.client()?.iam("CreateAccessKey", &with(Vec::new(), of(args))).await?;
    let key = made.require_child("AccessKey")?;
    let (id, secret) = (key.require("AccessKeyId")?.to_owned(), key.require("SecretAccessKey")?.to_owned());
    session.output.note(
        "firn: the secret is shown this once; these two lines go below a [profile] of ~/.aws/credentials",
    );
    session.output.print(&Created {
        access_key_id: id,
        secret_access_key: secret,
        user: key.text("UserName").filter(|name| !name.is_empty()).map(str::to_owned),
    })
}

async fn update(
    session: &Session,
    verb: &Connected<KeyId>,
    (status, did): (&str, &'static str),
) -> anyhow::Result<Exit> {
    let (session, args) = at(session, verb);
    let parameters = with(vec![("AccessKeyId", args.id.as_str()), ("Status", status)], of(&args.of));
    session.client()?.iam("UpdateAccessKey", &parameters).await.map_err(|error| {
        refused(error, format!("change the access key {}", args.id), |code| {
            (code == "NoSuchEntity").then(|| how_to_find(args.of.user.as_deref()))
        })
    })?;
    let about = BTreeMap::from([("access_key_id", args.id.clone()), ("status", status.to_lowercase())]);
    session.output.print(&Changed { did, said: args.id.clone(), about, warnings: Vec::new(), next: None })
}

/// The next step where an access key is not found: a user's is found by its user alone.
pub(super) fn how_to_find(user: Option<&str>) -> String {
    match user {
        Some(user) => format!("see which there are: firn key ls --user {}", quote_sh(user)),
        None => {
            "a user's key is named with its user: --user NAME (firn user ls says which there are)".to_owned()
        }
    }
}

async fn remove(session: &Session, args: &KeyRemoval) -> anyhow::Result<Exit> {
    let mut parameters = vec![("AccessKeyId", args.key.id.clone())];
    parameters.extend(args.key.of.user.clone().map(|name| ("UserName", name)));
    let what = format!("the access key {}", args.key.id);
    Plan::of("DeleteAccessKey", parameters, what).carry_out(session, args.dry_run).await
}
