//! What all verbs of keys ask: an operation, all of a list, a key by its alias; and what they tell of a change.

use crate::exit::{self, Failure};
use crate::report::Report;
use crate::text::printable;
use anyhow::Context as _;
use client::{Client, JsonService};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, Read as _, Write};
use std::path::Path;

/// Pages of a list that are asked for at the most: a million things.
const PAGES_MAX: usize = 1_000;
/// The longest document that is read: more than KMS takes.
const DOCUMENT_MAX: u64 = 256 << 10;

/// A refusal, with the next step where there is one.
fn refused(error: client::Error) -> anyhow::Error {
    let step = match error.code() {
        Some("NotFoundException") => "see which there are: firn kms ls",
        Some("DisabledException") => "let it be used again: firn kms enable KEY",
        Some("AlreadyExistsException") => {
            "see whose it is: firn kms ls; it means another key by firn kms alias update"
        }
        _ => return error.into(),
    };
    // Its text begins with the operation.
    Failure::new(exit::of_client(error.kind()), error.to_string()).hint(step).into()
}

/// Asks for an operation; its answer has these members.
pub(super) async fn ask(
    client: &Client,
    operation: &'static str,
    body: &Value,
    members: &[&str],
) -> anyhow::Result<Value> {
    let answer = client.json(JsonService::KMS, operation, body, members).await;
    answer.map(|answer| answer.body).map_err(refused)
}

/// Asks for an operation that answers nothing.
pub(super) async fn tell(client: &Client, operation: &'static str, body: &Value) -> anyhow::Result<()> {
    ask(client, operation, body, &[]).await.map(drop)
}

/// All of a list.
pub(super) async fn all(
    client: &Client,
    operation: &'static str,
    list: &str,
    mut body: Value,
) -> anyhow::Result<Vec<Value>> {
    let mut all = Vec::new();
    for _ in 0..PAGES_MAX {
        let mut page = ask(client, operation, &body, &[list]).await?;
        if let Value::Array(found) = page[list].take() {
            all.extend(found);
        }
        match page["NextMarker"].as_str().filter(|_| page["Truncated"] == true) {
            None => return Ok(all),
            Some(next) => body["Marker"] = next.into(),
        }
    }
    let detail = format!("its list has more than {PAGES_MAX} pages");
    Err(client::Error::Protocol { operation, detail }.into())
}

/// A key by its id or ARN; what only looks at keys, or uses them, takes aliases as well.
pub(super) async fn key_id(client: &Client, named: &str) -> anyhow::Result<String> {
    if !named.starts_with("alias/") {
        return Ok(named.to_owned());
    }
    let answer = ask(client, "DescribeKey", &json!({ "KeyId": named }), &["KeyMetadata"]).await?;
    let id = answer["KeyMetadata"]["KeyId"].as_str().map(str::to_owned);
    let lacks = || client::Error::Protocol { operation: "DescribeKey", detail: "it lacks KeyId".to_owned() };
    Ok(id.ok_or_else(lacks)?)
}

/// A document of a file or of stdin.
pub(super) fn document(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        io::stdin().lock().take(DOCUMENT_MAX).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(DOCUMENT_MAX).read_to_string(&mut text))
    };
    read.with_context(|| format!("read the policy {}", path.display()))?;
    Ok(text)
}

/// What was changed.
#[derive(Debug, Serialize)]
pub(super) struct Changed {
    /// `enabled the key`, and its name.
    #[serde(skip)]
    pub(super) said: String,
    #[serde(flatten)]
    pub(super) about: BTreeMap<&'static str, String>,
    /// What comes next, for people.
    #[serde(skip)]
    pub(super) next: Option<String>,
}

impl Changed {
    pub(super) fn new<const N: usize>(said: String, about: [(&'static str, &str); N]) -> Self {
        let about = about.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        Self { said, about, next: None }
    }
}

impl Report for Changed {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", printable(&self.said))?;
        match &self.next {
            Some(next) => writeln!(out, "next: {}", printable(next)),
            None => Ok(()),
        }
    }
}
