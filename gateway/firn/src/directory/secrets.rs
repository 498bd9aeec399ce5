//! The secrets of an appliance's directory as a start reads them: whoever looks from outside (`doctor`) finds what a start would.

use crate::exit::{self, Exit, Failure};
use crate::layout::{ADMIN_TOKEN, CREDENTIALS, MASTER_KEY};
use crate::text::quote_sh;
use anyhow::Context;
use engine::entropy::Entropy;
use security::AccountId;
use security::credentials::File as Credentials;
use security::keys::FileCustodian;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

/// Characters of the shortest admin token that is taken.
const TOKEN_MIN: usize = 32;

/// What the admin door asks for; none where there is no file.
pub(crate) fn admin_token(dir: &Path) -> anyhow::Result<Option<String>> {
    let path = dir.join(ADMIN_TOKEN);
    let shown = path.display().to_string();
    let metadata = match fs::metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        read => read.with_context(|| format!("look at {shown}"))?,
    };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Failure::new(
            Exit::Denied,
            format!("use the admin token {shown}: its mode is {mode:04o}, so others can read it"),
        )
        .hint(format!("chmod 600 {}", quote_sh(&shown)))
        .into());
    }
    let token = engine::file::read_regular(&path).with_context(|| format!("read {shown}"))?;
    let anew = format!("remove it, and the next start makes one: rm {}", quote_sh(&shown));
    let Ok(token) = String::from_utf8(token) else {
        return Err(Failure::usage(format!("use the admin token {shown}: it is no text")).hint(anew).into());
    };
    let token = token.trim().to_owned();
    if let Err(why) = judge_token(&token) {
        return Err(Failure::usage(format!("use the admin token {shown}: {why}")).hint(anew).into());
    }
    Ok(Some(token))
}

/// Why a text is no admin token.
pub(super) fn judge_token(text: &str) -> Result<(), &'static str> {
    let token = text.trim();
    if token.len() < TOKEN_MIN {
        return Err("it is shorter than 32 bytes");
    }
    // A header has to carry it.
    if token.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err("it has more than letters, digits and signs")
    }
}

/// The access keys; none where there is no file.
pub(crate) fn credentials(dir: &Path, account: AccountId) -> anyhow::Result<Option<Credentials>> {
    let path = dir.join(CREDENTIALS);
    if !path.try_exists()? {
        return Ok(None);
    }
    let shown = path.display().to_string();
    let anew =
        format!("put them back, or remove them, and the next start makes new ones: rm {}", quote_sh(&shown));
    let file = Credentials::load(&path, account).map_err(|error| {
        let is_text = matches!(error, security::Error::Parse { .. });
        let error = anyhow::Error::from(error);
        let failure = Failure::new(exit::of(&error), format!("load the credentials {shown}"));
        if is_text { failure.hint(anew.clone()) } else { failure }.caused_by(error)
    })?;
    if file.profiles().is_empty() {
        let text =
            format!("use the credentials {shown}: no profile is in them, so that nobody could sign in");
        return Err(Failure::usage(text).hint(anew).into());
    }
    Ok(Some(file))
}

/// What wraps the key table's keys.
pub(crate) fn master_key(dir: &Path, entropy: &Arc<dyn Entropy>) -> anyhow::Result<FileCustodian> {
    let path = dir.join(MASTER_KEY);
    FileCustodian::load(&path, entropy.clone())
        .with_context(|| format!("load the master key {}", path.display()))
}
