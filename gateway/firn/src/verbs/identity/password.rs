//! `firn user password`: what an administrator gives a user.

use super::{Changed, refused};
use crate::cli::Password;
use crate::exit::Exit;
use crate::session::Session;
use crate::verbs::typed::{Terminal, line_of};
use std::collections::BTreeMap;

/// Sets it, whether the user has one or not.
pub(super) async fn set(session: &Session, args: &Password) -> anyhow::Result<Exit> {
    let (name, client) = (args.named.name.as_str(), session.client()?);
    let password = if args.password_stdin {
        line_of(&mut std::io::stdin().lock())?
    } else {
        Terminal::open(name)?.ask_new().await?
    };
    let once = args.once.to_string();
    let asked =
        [("UserName", name), ("Password", password.as_str()), ("PasswordResetRequired", once.as_str())];
    let mut outcome = client.iam("UpdateLoginProfile", &asked).await;
    if outcome.as_ref().is_err_and(|error| error.code() == Some("NoSuchEntity")) {
        outcome = client.iam("CreateLoginProfile", &asked).await;
    }
    outcome.map_err(|error| {
        refused(error, format!("set the password of {name}"), |code| match code {
            "NoSuchEntity" => Some("see which users there are: firn user ls".to_owned()),
            "PasswordPolicyViolation" => Some(
                "the account's rules: aws iam get-account-password-policy; without any, AWS's own hold"
                    .to_owned(),
            ),
            _ => None,
        })
    })?;
    let about = BTreeMap::from([("user", name.to_owned())]);
    let next = Some(format!("eval \"$(firn login {})\"", crate::text::quote_sh(name)));
    session.output.print(&Changed {
        did: "set the password of",
        said: name.to_owned(),
        about,
        warnings: Vec::new(),
        next,
    })
}
