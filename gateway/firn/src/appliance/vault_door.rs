//! Vaults at the admin door: what Glacier has no operation for. Packs are scrubbed and compacted, media shown, holds set and released.

use archive::lock::{Guard, HoldName};
use archive::vault::{Compacted, Error, PackScrub, PackWaste, ScrubStep, VaultName, Vaults, Waste};
use engine::ErrorKind;
use security::AccountId;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use web::AdminError;

/// Most days of a least age: a thousand years.
const DAYS_MAX: u64 = 365_000;

/// What `POST /v1/vault` takes.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum VaultRequest {
    /// How vaults are, and their media; of one that is named, its packs, too.
    Status { vault: Option<String>, account: Option<String> },
    /// Moves what lives in packs of which much is dead into one new pack, or only says which packs these are.
    Compact {
        vault: String,
        account: Option<String>,
        #[serde(default)]
        dry_run: bool,
    },
    /// Looks at one pack, the first from this one on.
    Scrub {
        vault: String,
        account: Option<String>,
        from: Option<String>,
        #[serde(default)]
        repairs: bool,
    },
    /// What keeps a vault's archives.
    Holds { vault: String, account: Option<String> },
    /// One hold more.
    Hold { vault: String, account: Option<String>, name: String },
    /// One less.
    Release { vault: String, account: Option<String>, name: String },
    /// The least age of what may be deleted.
    LeastAge { vault: String, account: Option<String>, days: u64 },
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn refused(error: Error) -> AdminError {
    let text = error.to_string();
    match error.kind() {
        ErrorKind::NotFound => AdminError::NotFound(text),
        ErrorKind::Invalid => AdminError::Invalid(text),
        ErrorKind::Conflict => AdminError::Conflict(text),
        ErrorKind::Unavailable => AdminError::Unavailable(text),
        ErrorKind::Corrupt => AdminError::Internal(text),
    }
}

/// A vault by its account, which is the appliance's own unless it is said, and its name.
fn named(own: AccountId, account: Option<&str>, vault: &str) -> Result<(AccountId, VaultName), AdminError> {
    let invalid = |text: String| AdminError::Invalid(text);
    let account = match account {
        None => own,
        Some(text) => {
            text.parse().map_err(|_| invalid(format!("name an account: {text} is no 12 digits")))?
        }
    };
    Ok((account, VaultName::parse(vault).map_err(refused)?))
}

/// What the admin door answers.
pub(super) async fn answer(
    vaults: Option<&Arc<Vaults>>,
    own: AccountId,
    request: VaultRequest,
) -> Result<Value, AdminError> {
    let none =
        || AdminError::Conflict("ask for vaults: the configuration has no vault.enabled = true".to_owned());
    let vaults = vaults.ok_or_else(none)?;
    match request {
        VaultRequest::Status { vault: None, .. } => status(vaults).await,
        VaultRequest::Status { vault: Some(vault), account } => {
            let (account, name) = named(own, account.as_deref(), &vault)?;
            let mut told = status(vaults).await?;
            told["vault"] = wasted(&name, &vaults.waste(account, &name).await.map_err(refused)?);
            Ok(told)
        }
        VaultRequest::Compact { vault, account, dry_run } => {
            let (account, name) = named(own, account.as_deref(), &vault)?;
            compact(vaults, (account, &name), dry_run).await
        }
        VaultRequest::Scrub { vault, account, from, repairs } => {
            let (account, name) = named(own, account.as_deref(), &vault)?;
            let from = from.map(|text| Vaults::pack_id(&text)).transpose().map_err(refused)?;
            let totals = match from {
                None => Some(vaults.pack_totals(account, &name).await.map_err(refused)?),
                Some(_) => None,
            };
            let step = vaults.scrub(account, &name, (from, repairs)).await.map_err(refused)?;
            let mut answer = scrubbed(&step);
            if let Some(totals) = totals {
                answer["packs"] = totals.packs.into();
                answer["bytes"] = totals.bytes.into();
            }
            Ok(answer)
        }
        VaultRequest::Holds { vault, account } => {
            let (account, name) = named(own, account.as_deref(), &vault)?;
            kept(vaults, account, &name).await
        }
        VaultRequest::Hold { vault, account, name: hold } => {
            let (account, name) = named(own, account.as_deref(), &vault)?;
            let hold = HoldName::new(&hold).map_err(|kept| refused(kept.into()))?;
            let change = |guard: Guard, _locked| guard.hold(hold.clone());
            vaults.change_guard(account, &name, change).await.map_err(refused)?;
            kept(vaults, account, &name).await
        }
        VaultRequest::Release { vault, account, name: hold } => {
            let (account, name) = named(own, account.as_deref(), &vault)?;
            let hold = HoldName::new(&hold).map_err(|kept| refused(kept.into()))?;
            let guard = vaults.guard(account, &name).await.map_err(refused)?;
            if !guard.holds().any(|there| *there == hold) {
                return Err(AdminError::NotFound(format!("find hold {hold} on vault {name}")));
            }
            let change = |guard: Guard, _locked| Ok(guard.release(&hold));
            vaults.change_guard(account, &name, change).await.map_err(refused)?;
            kept(vaults, account, &name).await
        }
        VaultRequest::LeastAge { vault, account, days } => {
            let (account, name) = named(own, account.as_deref(), &vault)?;
            if days > DAYS_MAX {
                return Err(AdminError::Invalid(format!(
                    "keep archives {days} days: {DAYS_MAX} are the most"
                )));
            }
            let change = |guard: Guard, locked| guard.with_least_days(days, locked);
            vaults.change_guard(account, &name, change).await.map_err(refused)?;
            kept(vaults, account, &name).await
        }
    }
}

/// One step of a compaction; behind the last one, and where nothing is to be done, how the packs are.
async fn compact(
    vaults: &Arc<Vaults>,
    (account, name): (AccountId, &VaultName),
    dry_run: bool,
) -> Result<Value, AdminError> {
    let step =
        if dry_run { Compacted::default() } else { vaults.compact(account, name).await.map_err(refused)? };
    let mut answer = compacted(&step);
    if step.to.is_none() {
        answer["vault"] = wasted(name, &vaults.waste(account, name).await.map_err(refused)?);
    }
    Ok(answer)
}

async fn status(vaults: &Arc<Vaults>) -> Result<Value, AdminError> {
    let (told, scrubs) = (vaults.overview().await.map_err(refused)?, vaults.scrubs());
    let compactions = vaults.compactions();
    Ok(json!({
        "scrubs": {
            "packs": scrubs.packs,
            "bytes": scrubs.bytes,
            "mended": scrubs.mended,
            "lost_packs": scrubs.lost.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "unseen_since_ms": scrubs.unseen_since.map(engine::clock::Timestamp::as_millis),
        },
        "compactions": {
            "packs": compactions.packs,
            "moved": compactions.parts,
            "moved_bytes": compactions.bytes,
            "dead_bytes": compactions.dead,
            "waits": compactions.waits,
        },
        "vaults": told.vaults,
        "system_vaults": told.system_vaults,
        "shut_vaults": told.shut,
        "vaults_with_unreadable_packs": told.unsound,
        "retrievals_under_way": told.under_way,
        "media": told.media,
    }))
}

async fn kept(vaults: &Vaults, account: AccountId, name: &VaultName) -> Result<Value, AdminError> {
    let guard = vaults.guard(account, name).await.map_err(refused)?;
    let holds: Vec<&str> = guard.holds().map(HoldName::as_str).collect();
    Ok(json!({ "vault": name.as_str(), "holds": holds, "least_days": guard.least_days() }))
}

fn scrubbed(step: &ScrubStep) -> Value {
    let pack = |found: &PackScrub| {
        json!({
            "pack": found.pack.to_string(),
            "medium": found.medium,
            "state": found.health.name(),
            "bytes": found.bytes,
            "damaged_cells": found.damaged_cells,
            "lost_cells": found.lost_cells,
            "lost_archives": found.lost_archives.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "detail": found.detail,
        })
    };
    json!({ "found": step.found.as_ref().map(pack), "next": step.next.map(|next| next.to_string()) })
}

fn compacted(step: &Compacted) -> Value {
    json!({
        "to": step.to.map(|pack| pack.to_string()),
        "from": step.from.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "moved": step.parts,
        "moved_bytes": step.bytes,
        "left": step.left.iter().map(|(pack, why)| json!({ "pack": pack.to_string(), "why": why })).collect::<Vec<_>>(),
    })
}

/// What is dead in a vault's packs.
fn wasted(name: &VaultName, waste: &Waste) -> Value {
    let pack = |pack: &PackWaste| {
        json!({
            "pack": pack.pack.to_string(),
            "medium": pack.medium,
            "bytes": pack.bytes,
            "held_bytes": pack.held,
            "live_bytes": pack.live,
            "dead_bytes": pack.dead(),
            "kept_back": pack.kept_back,
        })
    };
    json!({
        "vault": name.as_str(),
        "packs": waste.packs,
        "bytes": waste.bytes,
        "held_bytes": waste.held,
        "live_bytes": waste.live,
        "dead_bytes": waste.dead(),
        "unmeasured_packs": waste.unmeasured,
        "deduplicates": waste.deduplicates,
        "due_packs": waste.due_packs,
        "due": waste.due.iter().map(pack).collect::<Vec<_>>(),
    })
}
