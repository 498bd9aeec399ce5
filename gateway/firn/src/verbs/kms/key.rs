//! Keys, their aliases and their policies.

use super::ask::{Changed, all, ask, document, key_id, tell};
use crate::cli::{KmsAliasName, KmsCreation, KmsDeletion, KmsKey, KmsNewAlias, KmsNewPolicy, KmsRotation};
use crate::exit::{self, Exit, Failure};
use crate::report::Report;
use crate::report::rows::{Row, Rows};
use crate::report::time::{json_time, of_seconds};
use crate::session::Session;
use crate::text::{printable, quote_sh};
use client::{Client, ErrorKind};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{self, Write};

/// Bytes of the longest alias.
const ALIAS_MAX: usize = 256;

/// A key. What who asks may not know is left out.
#[expect(clippy::struct_field_names, reason = "as scripts know it")]
#[derive(Debug, Default, Serialize)]
struct Key {
    key_id: String,
    arn: Option<String>,
    state: Option<String>,
    spec: Option<String>,
    usage: Option<String>,
    manager: Option<String>,
    origin: Option<String>,
    description: Option<String>,
    created: Option<String>,
    deleted_at: Option<String>,
    aliases: Vec<String>,
}

fn time(value: &Value) -> Option<String> {
    json_time(of_seconds(value))
}

impl Key {
    fn of(said: &Value, aliases: Vec<String>) -> Self {
        let text = |name: &str| said[name].as_str().map(str::to_owned).filter(|text| !text.is_empty());
        Self {
            key_id: text("KeyId").unwrap_or_default(),
            arn: text("Arn").or_else(|| text("KeyArn")),
            state: text("KeyState"),
            spec: text("KeySpec"),
            usage: text("KeyUsage"),
            manager: text("KeyManager"),
            origin: text("Origin"),
            description: text("Description"),
            created: time(&said["CreationDate"]),
            deleted_at: time(&said["DeletionDate"]),
            aliases,
        }
    }
}

impl Row for Key {
    const NONE: &'static str = "no keys";

    fn line(&self, out: &mut dyn Write) -> io::Result<()> {
        let or_none = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), printable);
        let (state, spec, aliases) = (or_none(&self.state), or_none(&self.spec), self.aliases.join(", "));
        let line = format!("{}  {state:16} {spec:18} {}", printable(&self.key_id), printable(&aliases));
        write!(out, "{}", line.trim_end())
    }
}

impl Report for Key {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let facts = [
            ("arn", &self.arn),
            ("state", &self.state),
            ("deleted at", &self.deleted_at),
            ("spec", &self.spec),
            ("usage", &self.usage),
            ("manager", &self.manager),
            ("origin", &self.origin),
            ("created", &self.created),
            ("description", &self.description),
        ];
        writeln!(out, "{:12} {}", "key", printable(&self.key_id))?;
        for (name, fact) in facts {
            if let Some(fact) = fact {
                writeln!(out, "{name:12} {}", printable(fact))?;
            }
        }
        self.aliases.iter().try_for_each(|alias| writeln!(out, "{:12} {}", "alias", printable(alias)))
    }
}

/// Aliases by the ids of their keys.
async fn aliases(client: &Client, body: Value) -> anyhow::Result<HashMap<String, Vec<String>>> {
    let mut known: HashMap<String, Vec<String>> = HashMap::new();
    for alias in all(client, "ListAliases", "Aliases", body).await? {
        if let (Some(name), Some(key)) = (alias["AliasName"].as_str(), alias["TargetKeyId"].as_str()) {
            known.entry(key.to_owned()).or_default().push(name.to_owned());
        }
    }
    Ok(known)
}

/// What who asks may not is none of it.
fn if_allowed<T: Default>(outcome: anyhow::Result<T>) -> anyhow::Result<T> {
    outcome.or_else(|error| {
        let refusal = error.chain().find_map(|cause| cause.downcast_ref::<client::Error>());
        if refusal.is_some_and(|refusal| refusal.kind() == ErrorKind::Denied) {
            Ok(T::default())
        } else {
            Err(error)
        }
    })
}

pub(super) async fn list(session: &Session) -> anyhow::Result<Exit> {
    let client = session.client()?;
    let keys = all(&client, "ListKeys", "Keys", json!({})).await?;
    let mut known = if_allowed(aliases(&client, json!({})).await)?;
    let mut rows = Vec::new();
    for listed in keys {
        let id = listed["KeyId"].as_str().unwrap_or_default();
        let asked = ask(&client, "DescribeKey", &json!({ "KeyId": id }), &["KeyMetadata"]).await;
        let said = if_allowed(asked.map(Some))?.map(|mut said| said["KeyMetadata"].take());
        let names = known.remove(id).unwrap_or_default();
        rows.push(Key::of(said.as_ref().unwrap_or(&listed), names));
    }
    session.output.print(&Rows(rows))
}

pub(super) async fn describe(session: &Session, args: &KmsKey) -> anyhow::Result<Exit> {
    let client = session.client()?;
    let said = ask(&client, "DescribeKey", &json!({ "KeyId": args.key }), &["KeyMetadata"]).await?;
    let said = &said["KeyMetadata"];
    let of_key = aliases(&client, json!({ "KeyId": said["KeyId"] })).await;
    let names = if_allowed(of_key)?.into_values().flatten().collect();
    session.output.print(&Key::of(said, names))
}

/// Refuses what can be no alias.
fn checked_alias(alias: &str) -> Result<(), Failure> {
    let name = alias.strip_prefix("alias/").unwrap_or_default();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-');
    if !name.is_empty() && alias.len() <= ALIAS_MAX && name.bytes().all(fits) && !name.starts_with("aws/") {
        return Ok(());
    }
    let meant = alias.trim_start_matches("alias/").trim_start_matches('/');
    let meant = if !meant.is_empty() && meant.bytes().all(fits) && !meant.starts_with("aws/") {
        meant
    } else {
        "NAME"
    };
    let text = format!(
        "name a key {}: an alias is alias/ and a-z, A-Z, 0-9, '/', '_' and '-', but for alias/aws/",
        printable(alias)
    );
    Err(Failure::usage(text).hint(format!("name it alias/{meant}")))
}

/// The same of what means a key already. Asked before a key is made that nobody would know of.
async fn refuse_alias(client: &Client, alias: &str) -> anyhow::Result<()> {
    checked_alias(alias)?;
    let asked = ask(client, "DescribeKey", &json!({ "KeyId": alias }), &["KeyMetadata"]).await;
    // Who may not look at that key is told by CreateAlias.
    let Ok(answer) = asked else { return Ok(()) };
    let key = answer["KeyMetadata"]["KeyId"].as_str().map(printable).unwrap_or_default();
    let text = format!("make a key of the alias {alias}: it means the key {key} already");
    Err(Failure::new(Exit::Conflict, text)
        .hint(format!("have it mean another key: firn kms alias update {alias} KEY"))
        .into())
}

pub(super) async fn create(session: &Session, args: &KmsCreation) -> anyhow::Result<Exit> {
    let client = session.client()?;
    if let Some(alias) = &args.alias {
        refuse_alias(&client, alias).await?;
    }
    let policy = args.policy.as_deref().map(document).transpose()?;
    let mut body = json!({});
    for (name, value) in [
        ("Description", &args.description),
        ("KeySpec", &args.spec),
        ("KeyUsage", &args.usage),
        ("Policy", &policy),
    ] {
        if let Some(value) = value {
            body[name] = value.as_str().into();
        }
    }
    let made = ask(&client, "CreateKey", &body, &["KeyMetadata"]).await?;
    let text = |name: &str| made["KeyMetadata"][name].as_str().unwrap_or_default().to_owned();
    let (id, arn) = (text("KeyId"), text("Arn"));
    let mut changed = Changed::new(format!("created the key {id} ({arn})"), [("key_id", &id), ("arn", &arn)]);
    match &args.alias {
        Some(alias) => {
            let named = tell(&client, "CreateAlias", &json!({ "AliasName": alias, "TargetKeyId": id })).await;
            // The key is there all the same: who asked has to know which.
            named.map_err(|error| {
                let failure = Failure::new(exit::of(&error), format!("give the new key {id} its alias"));
                failure.hint(format!("firn kms alias create {} {id}", quote_sh(alias))).caused_by(error)
            })?;
            changed.about.insert("alias", alias.clone());
        }
        None => changed.next = Some(format!("firn kms alias create alias/NAME {id}")),
    }
    session.output.print(&changed)
}

pub(super) async fn alias(session: &Session, args: &KmsNewAlias, is_new: bool) -> anyhow::Result<Exit> {
    checked_alias(&args.alias)?;
    let client = session.client()?;
    let key = key_id(&client, &args.of.key).await?;
    let operation = if is_new { "CreateAlias" } else { "UpdateAlias" };
    tell(&client, operation, &json!({ "AliasName": args.alias, "TargetKeyId": key })).await?;
    let said = format!("{} means the key {key}", args.alias);
    session.output.print(&Changed::new(said, [("alias", &args.alias), ("key_id", &key)]))
}

pub(super) async fn remove_alias(session: &Session, args: &KmsAliasName) -> anyhow::Result<Exit> {
    tell(&session.client()?, "DeleteAlias", &json!({ "AliasName": args.alias })).await?;
    let said = format!("removed the alias {}", args.alias);
    session.output.print(&Changed::new(said, [("alias", &args.alias)]))
}

/// A change that takes a key alone.
pub(super) async fn change(
    session: &Session,
    args: &KmsKey,
    operation: &'static str,
    did: &str,
) -> anyhow::Result<Exit> {
    let client = session.client()?;
    let key = key_id(&client, &args.key).await?;
    tell(&client, operation, &json!({ "KeyId": key })).await?;
    session.output.print(&Changed::new(format!("{did} {key}"), [("key_id", &key)]))
}

pub(super) async fn rotate(session: &Session, args: &KmsRotation) -> anyhow::Result<Exit> {
    let client = session.client()?;
    let key = key_id(&client, &args.of.key).await?;
    let (operation, body, said) = match args.every {
        Some(days) => {
            let body = json!({ "KeyId": key, "RotationPeriodInDays": days });
            ("EnableKeyRotation", body, format!("the key {key} rotates every {days} days"))
        }
        None if args.never => (
            "DisableKeyRotation",
            json!({ "KeyId": key }),
            format!("the key {key} rotates no more by itself"),
        ),
        None => ("RotateKeyOnDemand", json!({ "KeyId": key }), format!("rotated the key {key}")),
    };
    tell(&client, operation, &body).await?;
    session.output.print(&Changed::new(said, [("key_id", &key)]))
}

pub(super) async fn schedule(session: &Session, args: &KmsDeletion) -> anyhow::Result<Exit> {
    let client = session.client()?;
    let key = key_id(&client, &args.of.key).await?;
    let body = json!({ "KeyId": key, "PendingWindowInDays": args.days });
    let answer = ask(&client, "ScheduleKeyDeletion", &body, &["DeletionDate"]).await?;
    let at = time(&answer["DeletionDate"]).unwrap_or_default();
    let said = format!("the key {key} will be deleted at {at}, and can't be used until then");
    let mut changed = Changed::new(said, [("key_id", &key), ("deleted_at", &at)]);
    changed.next = Some(format!("to keep it: firn kms cancel-deletion {key}"));
    session.output.print(&changed)
}

/// A key's policy.
#[derive(Debug, Serialize)]
struct Policy {
    key_id: String,
    document: Value,
    #[serde(skip)]
    text: String,
}

impl Report for Policy {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        match serde_json::to_string_pretty(&self.document) {
            Ok(text) if !self.document.is_null() => writeln!(out, "{text}"),
            _ => writeln!(out, "{}", printable(&self.text)),
        }
    }
}

pub(super) async fn policy(session: &Session, args: &KmsKey) -> anyhow::Result<Exit> {
    let client = session.client()?;
    let key = key_id(&client, &args.key).await?;
    let answer = ask(&client, "GetKeyPolicy", &json!({ "KeyId": key }), &["Policy"]).await?;
    let text = answer["Policy"].as_str().unwrap_or_default().to_owned();
    let document = serde_json::from_str(&text).unwrap_or_default();
    session.output.print(&Policy { key_id: key, document, text })
}

pub(super) async fn set_policy(session: &Session, args: &KmsNewPolicy) -> anyhow::Result<Exit> {
    let client = session.client()?;
    let text = document(&args.document)?;
    let key = key_id(&client, &args.of.key).await?;
    tell(&client, "PutKeyPolicy", &json!({ "KeyId": key, "Policy": text })).await?;
    session.output.print(&Changed::new(format!("set the policy of the key {key}"), [("key_id", &key)]))
}
