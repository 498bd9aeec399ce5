//! `firn vault`: over the Glacier API where it has an operation, over the admin door where it has none.
//!
//! ```text
//!   mod       vaults: made, listed, deleted
//!   archives  put and get        list   inventory and jobs       emptied  delete --all
//!   lock      vault locks        keep   holds, scrub, media and status (admin door)       compact (admin door)
//! ```

mod archives;
mod compact;
mod emptied;
mod keep;
mod list;
mod lock;

use crate::cli;
use crate::exit::{Exit, Failure};
use crate::report::Report;
use crate::session::Session;
use client::{Client, GlacierCall};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::{self, Write};

pub(super) async fn run(session: &Session, verb: cli::Vault) -> anyhow::Result<Exit> {
    use cli::Vault as V;
    match verb {
        V::Create(verb) => create(&session.to(verb.connection), &verb.args.vault).await,
        V::Ls(verb) => list::vaults(&session.to(verb.connection)).await,
        V::Put(verb) => archives::put(&session.to(verb.connection), &verb.args).await,
        V::Get(verb) => archives::get(&session.to(verb.connection), &verb.args).await,
        V::Inventory(verb) => list::inventory(&session.to(verb.connection), &verb.args.vault).await,
        V::Jobs(verb) => list::jobs(&session.to(verb.connection), &verb.args.vault).await,
        V::Delete(verb) => emptied::delete(&session.to(verb.connection), &verb.args).await,
        V::Lock(verb) => lock::run(session, verb).await,
        V::Hold(args) => keep::hold(session, &args).await,
        V::Scrub(args) => keep::scrub(session, &args).await,
        V::Compact(args) => compact::compact(session, &args).await,
        V::Media(args) => keep::media(session, &args).await,
        V::Status(args) => keep::status(session, &args).await,
    }
}

/// A name of Glacier's, before it is a part of a path.
fn checked(vault: &str) -> Result<&str, Failure> {
    let good = (1..=255).contains(&vault.len())
        && vault.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    // What a path would be taken for.
    if good && vault != "." && vault != ".." {
        return Ok(vault);
    }
    let text = format!("name a vault: {vault:?} is not 1 to 255 of a-z, A-Z, 0-9, '_', '-' and '.'");
    Err(Failure::usage(text).hint("vaults are named alone, without s3:// and without directories"))
}

/// The next step where there is no such vault, or no vault at all.
fn explain(error: client::Error) -> anyhow::Error {
    let hint = match error.code() {
        Some("ResourceNotFoundException") if error.to_string().contains("vaults/") => {
            "see which vaults there are: firn vault ls"
        }
        Some("ResourceNotFoundException") => "see what is in the vault: firn vault inventory VAULT",
        Some("InsufficientCapacityException") => "ask for standard, or try again later",
        // An appliance without vaults takes the request for one of S3's.
        _ if is_of_another_door(&error) => {
            "has the appliance vaults? its configuration opens them: vault.enabled = true"
        }
        _ => return error.into(),
    };
    let exit = crate::exit::of_client(error.kind());
    let text = error.to_string();
    Failure::new(exit, text).hint(hint).into()
}

/// A refusal that is none of Glacier's.
fn is_of_another_door(error: &client::Error) -> bool {
    matches!(error, client::Error::Service(said) if !said.is_document)
}

async fn ask(client: &Client, call: GlacierCall<'_>) -> anyhow::Result<client::GlacierAnswer> {
    client.glacier(&call).await.map_err(explain)
}

/// Asks for a list, page by page.
struct Listing<'a> {
    operation: &'static str,
    segments: Vec<&'a str>,
    /// What its document calls the list.
    list: &'static str,
    marker: Option<String>,
    is_over: bool,
}

impl<'a> Listing<'a> {
    fn new(operation: &'static str, segments: &[&'a str], list: &'static str) -> Self {
        Self { operation, segments: segments.to_vec(), list, marker: None, is_over: false }
    }

    async fn next<T: for<'d> Deserialize<'d>>(&mut self, client: &Client) -> anyhow::Result<Option<Vec<T>>> {
        if self.is_over {
            return Ok(None);
        }
        let before = self.marker.take();
        let mut call = GlacierCall::new(self.operation, Method::GET, &self.segments);
        if let Some(marker) = &before {
            call = call.query("marker", marker);
        }
        let mut document = ask(client, call).await?.json()?;
        let rows = serde_json::from_value(document[self.list].take())?;
        self.marker = document["Marker"].as_str().filter(|marker| !marker.is_empty()).map(str::to_owned);
        // A page that leads to itself would be asked for without end.
        self.is_over = self.marker.is_none() || self.marker == before;
        Ok(Some(rows))
    }
}

#[derive(Debug, Serialize)]
struct Created {
    vault: String,
}

impl Report for Created {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "vault {} is there", self.vault)
    }
}

async fn create(session: &Session, vault: &str) -> anyhow::Result<Exit> {
    let client = session.client()?;
    let call = GlacierCall::new("CreateVault", Method::PUT, &["vaults", checked(vault)?]);
    ask(&client, call).await?;
    session.output.print(&Created { vault: vault.to_owned() })
}

/// A document of Glacier's as text.
fn text(document: &Value, name: &str) -> String {
    document[name].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::checked;

    #[test]
    fn names_that_would_be_another_path_are_refused() {
        for good in ["v", "a.b_c-9", "firn.system"] {
            assert_eq!(checked(good).unwrap(), good);
        }
        for bad in ["", "a/b", "s3://b", "..", ".", "a b", "ü", &"v".repeat(256)] {
            assert!(checked(bad).is_err(), "{bad}");
        }
    }
}
