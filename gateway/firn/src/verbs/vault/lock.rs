//! Vault locks: begun, tried for a day, completed for ever.

use super::{ask, checked, text};
use crate::cli::{VaultLock, VaultLockBegin, VaultLockComplete};
use crate::exit::{Exit, Failure};
use crate::report::Report;
use crate::session::Session;
use anyhow::Context;
use client::GlacierCall;
use http::Method;
use serde::Serialize;
use serde_json::{Value, json};
use std::io::{self, Read, Write};

/// Bytes of a policy's file.
const POLICY_MAX: u64 = 64 << 10;

pub(super) async fn run(session: &Session, verb: VaultLock) -> anyhow::Result<Exit> {
    match verb {
        VaultLock::Show(verb) => show(&session.to(verb.connection), &verb.args.vault).await,
        VaultLock::Begin(verb) => begin(&session.to(verb.connection), &verb.args).await,
        VaultLock::Complete(verb) => complete(&session.to(verb.connection), &verb.args).await,
        VaultLock::Abort(verb) => abort(&session.to(verb.connection), &verb.args.vault).await,
    }
}

#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "scripts read these names")]
struct Lock {
    vault: String,
    /// `InProgress`, `Locked`, or `Open` where it was given up.
    state: String,
    lock_id: Option<String>,
    created: Option<String>,
    expires: Option<String>,
    policy: Option<Value>,
}

impl Report for Lock {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let vault = &self.vault;
        match self.state.as_str() {
            "InProgress" => match &self.lock_id {
                Some(id) => writeln!(
                    out,
                    "vault {vault}: the lock is on for a day: try it, then make it immutable: firn vault lock complete {vault} {id}"
                )?,
                None => writeln!(
                    out,
                    "vault {vault}: a lock is on until {}, unless it is completed",
                    self.expires.as_deref().unwrap_or("-")
                )?,
            },
            "Locked" => writeln!(out, "vault {vault}: locked for ever")?,
            _ => writeln!(out, "vault {vault}: the lock is given up")?,
        }
        match &self.policy {
            Some(policy) => writeln!(out, "{policy:#}"),
            None => Ok(()),
        }
    }
}

impl Lock {
    fn new(vault: &str, state: &str) -> Self {
        let (vault, state) = (vault.to_owned(), state.to_owned());
        Self { vault, state, lock_id: None, created: None, expires: None, policy: None }
    }
}

async fn show(session: &Session, vault: &str) -> anyhow::Result<Exit> {
    let client = session.client()?;
    let call = GlacierCall::new("GetVaultLock", Method::GET, &["vaults", checked(vault)?, "lock-policy"]);
    let found = ask(&client, call).await?.json()?;
    let some = |name: &str| found[name].as_str().map(str::to_owned);
    let policy = text(&found, "Policy");
    session.output.print(&Lock {
        created: some("CreationDate"),
        expires: some("ExpirationDate"),
        policy: Some(serde_json::from_str(&policy).unwrap_or(Value::String(policy))),
        ..Lock::new(vault, &text(&found, "State"))
    })
}

async fn begin(session: &Session, args: &VaultLockBegin) -> anyhow::Result<Exit> {
    let (client, vault, mut policy) = (session.client()?, checked(&args.vault)?, String::new());
    let file = std::fs::File::open(&args.policy);
    let read = file.and_then(|file| file.take(POLICY_MAX + 1).read_to_string(&mut policy));
    let read = read.with_context(|| format!("read {}", args.policy.display()))?;
    if read as u64 > POLICY_MAX {
        return Err(Failure::usage("read the policy: the file has more than 64 KiB").into());
    }
    let call = GlacierCall::new("InitiateVaultLock", Method::POST, &["vaults", vault, "lock-policy"]);
    let answer = ask(&client, call.json(&json!({ "Policy": policy }))).await?;
    let lock_id = Some(answer.header("x-amz-lock-id")?.to_owned());
    session.output.print(&Lock { lock_id, ..Lock::new(vault, "InProgress") })
}

async fn complete(session: &Session, args: &VaultLockComplete) -> anyhow::Result<Exit> {
    let (client, vault) = (session.client()?, checked(&args.vault)?);
    let at = ["vaults", vault, "lock-policy", &args.id];
    ask(&client, GlacierCall::new("CompleteVaultLock", Method::POST, &at)).await?;
    session.output.print(&Lock::new(vault, "Locked"))
}

async fn abort(session: &Session, vault: &str) -> anyhow::Result<Exit> {
    let client = session.client()?;
    let call =
        GlacierCall::new("AbortVaultLock", Method::DELETE, &["vaults", checked(vault)?, "lock-policy"]);
    ask(&client, call).await?;
    session.output.print(&Lock::new(vault, "Open"))
}
