//! `firn kms grant`.

use super::ask::{Changed, all, ask, key_id, tell};
use crate::cli::{KmsGrantId, KmsKey, KmsNewGrant};
use crate::exit::Exit;
use crate::report::Report;
use crate::report::rows::{Row, Rows};
use crate::session::Session;
use crate::text::printable;
use serde::Serialize;
use serde_json::{Value, json};
use std::io::{self, Write};

/// A grant.
#[expect(clippy::struct_field_names, reason = "as scripts know it")]
#[derive(Debug, Serialize)]
struct Grant {
    grant_id: String,
    name: Option<String>,
    grantee: Option<String>,
    retiring: Option<String>,
    operations: Vec<String>,
    /// The encryption contexts that it holds for.
    constraints: Value,
}

impl Row for Grant {
    const NONE: &'static str = "no grants";

    fn line(&self, out: &mut dyn Write) -> io::Result<()> {
        let grantee = self.grantee.as_deref().unwrap_or("-");
        let operations = self.operations.join(", ");
        write!(out, "{}  {}  {}", printable(&self.grant_id), printable(grantee), printable(&operations))
    }
}

pub(super) async fn list(session: &Session, args: &KmsKey) -> anyhow::Result<Exit> {
    let client = session.client()?;
    let body = json!({ "KeyId": key_id(&client, &args.key).await? });
    let grant = |said: Value| {
        let text = |name: &str| said[name].as_str().map(str::to_owned);
        let operations = said["Operations"].as_array().into_iter().flatten();
        Grant {
            grant_id: text("GrantId").unwrap_or_default(),
            name: text("Name").filter(|name| !name.is_empty()),
            grantee: text("GranteePrincipal").or_else(|| text("GranteeServicePrincipal")),
            retiring: text("RetiringPrincipal").or_else(|| text("RetiringServicePrincipal")),
            operations: operations.filter_map(|one| one.as_str().map(str::to_owned)).collect(),
            constraints: said["Constraints"].clone(),
        }
    };
    let grants = all(&client, "ListGrants", "Grants", body).await?;
    session.output.print(&Rows(grants.into_iter().map(grant).collect()))
}

/// A new grant.
#[derive(Debug, Serialize)]
struct Created {
    key_id: String,
    grant_id: String,
    grant_token: String,
}

impl Report for Created {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "created the grant {} of the key {}",
            printable(&self.grant_id),
            printable(&self.key_id)
        )
    }
}

pub(super) async fn create(session: &Session, args: &KmsNewGrant) -> anyhow::Result<Exit> {
    let client = session.client()?;
    let key = key_id(&client, &args.of.key).await?;
    let mut body = json!({ "KeyId": key, "GranteePrincipal": args.grantee, "Operations": args.operation });
    if let Some(retiring) = &args.retiring {
        body["RetiringPrincipal"] = retiring.as_str().into();
    }
    let made = ask(&client, "CreateGrant", &body, &["GrantId", "GrantToken"]).await?;
    let text = |name: &str| made[name].as_str().unwrap_or_default().to_owned();
    session.output.print(&Created { key_id: key, grant_id: text("GrantId"), grant_token: text("GrantToken") })
}

pub(super) async fn revoke(session: &Session, args: &KmsGrantId) -> anyhow::Result<Exit> {
    let client = session.client()?;
    let key = key_id(&client, &args.of.key).await?;
    tell(&client, "RevokeGrant", &json!({ "KeyId": key, "GrantId": args.id })).await?;
    let said = format!("revoked the grant {} of the key {key}", args.id);
    session.output.print(&Changed::new(said, [("key_id", &key), ("grant_id", &args.id)]))
}
