//! `firn login`: a user's password and the code of its second factor become keys for a while.
//!
//! ```text
//!   terminal, or stdin ─► FirnSignIn, unsigned ─► export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… AWS_SESSION_TOKEN=…
//! ```
//! The terminal is asked on `/dev/tty`, so that what is printed can be given to `eval`. A password goes to no endpoint that nobody has named,
//! and over no connection that others may read.

use super::typed::{Terminal, line_of};
use crate::cli::{Connected, Login};
use crate::exit::{self, Exit, Failure};
use crate::report::Report;
use crate::session::Session;
use crate::text::{printable, quote_sh};
use client::EndpointFrom;
use serde::Serialize;
use std::io::{self, Write};
use std::time::Duration;
use zeroize::Zeroizing;

/// How long a session lasts, at the least and at the most.
const LASTS: (Duration, Duration) = (Duration::from_mins(15), Duration::from_hours(36));

/// What signs in place of a key that lasts.
#[derive(Serialize)]
struct SignedIn {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expires: String,
    arn: String,
    password_changed: bool,
}

impl Report for SignedIn {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        for (name, value) in [
            ("AWS_ACCESS_KEY_ID", &self.access_key_id),
            ("AWS_SECRET_ACCESS_KEY", &self.secret_access_key),
            ("AWS_SESSION_TOKEN", &self.session_token),
        ] {
            writeln!(out, "export {name}={}", quote_sh(value))?;
        }
        writeln!(out, "unset AWS_PROFILE AWS_DEFAULT_PROFILE;")
    }
}

/// What somebody types.
struct Typed {
    password: Zeroizing<String>,
    code: Option<String>,
    new_password: Option<Zeroizing<String>>,
}

pub(super) async fn run(session: &Session, verb: &Connected<Login>) -> anyhow::Result<Exit> {
    let (mut connection, args) = (verb.connection.clone(), &verb.args);
    // Whoever has keys signs in all the same.
    connection.no_sign_request = true;
    let session = session.to(connection);
    let client = session.client()?;
    let tried = format!("sign in as {}", args.user);
    if args.expires.is_some_and(|expires| !(LASTS.0..=LASTS.1).contains(&expires)) {
        return Err(Failure::usage(format!("{tried}: a session lasts 15m to 36h"))
            .hint("--expires 12h")
            .into());
    }
    if let Some(used) = session.used() {
        refuse_open(&tried, &used.url, used.from)?;
    }
    let typed = if args.password_stdin { from_stdin(args)? } else { from_terminal(args).await? };
    let secs = args.expires.map(|expires| expires.as_secs().to_string());
    let some = [
        ("Account", args.account.as_deref()),
        ("TokenCode", typed.code.as_deref()),
        ("NewPassword", typed.new_password.as_ref().map(|password| password.as_str())),
        ("DurationSeconds", secs.as_deref()),
    ];
    let mut parameters = vec![("UserName", args.user.as_str()), ("Password", typed.password.as_str())];
    parameters.extend(some.into_iter().filter_map(|(name, value)| Some((name, value?))));
    let made = client.sign_in(&parameters).await.map_err(|error| refused(error, tried, args))?;
    let keys = made.require_child("Credentials")?;
    let text = |name: &str| keys.require(name).map(str::to_owned);
    session.output.note(&format!("firn: signed in as {}", printable(made.require("Arn")?)));
    session.output.print(&SignedIn {
        access_key_id: text("AccessKeyId")?,
        secret_access_key: text("SecretAccessKey")?,
        session_token: text("SessionToken")?,
        expires: text("Expiration")?,
        arn: made.require("Arn")?.to_owned(),
        password_changed: made.text("PasswordChanged") == Some("true"),
    })
}

/// A password goes to nobody who was not named, and not in the clear to another machine.
fn refuse_open(tried: &str, url: &str, from: EndpointFrom) -> Result<(), Failure> {
    if from == EndpointFrom::Nothing {
        let hint = "name the appliance: eval \"$(firn env DIR)\", or --endpoint URL";
        return Err(Failure::usage(format!("{tried}: no endpoint is named")).hint(hint));
    }
    let uri: http::Uri = url.parse().unwrap_or_default();
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_here = host == "localhost"
        || host.ends_with(".localhost")
        || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
    if uri.scheme_str() == Some("https") || is_here {
        return Ok(());
    }
    let hint = "name its https endpoint (docs/cli.md says how an appliance gets a certificate), or run this on its machine";
    Err(Failure::usage(format!("{tried}: {url} would carry the password in the clear")).hint(hint))
}

fn refused(error: client::Error, tried: String, args: &Login) -> anyhow::Error {
    let hint = match error.code() {
        Some("PasswordResetRequired") if args.new_password => {
            "a new password was asked for, and none was given"
        }
        Some("PasswordResetRequired") => "set another one at the same time: firn login --new-password",
        Some("InvalidInput") => {
            "leave out --new-password: firn login changes passwords that have to be changed alone"
        }
        Some("PasswordPolicyViolation") => {
            "choose another new password: aws iam get-account-password-policy has the rules"
        }
        Some("AccessDenied") => {
            "try again; whoever administers the appliance can set another password: firn user password NAME"
        }
        _ => return error.into(),
    };
    Failure::new(exit::of_client(error.kind()), tried).hint(hint).caused_by(error).into()
}

fn from_stdin(args: &Login) -> io::Result<Typed> {
    let mut stdin = io::stdin().lock();
    let password = line_of(&mut stdin)?;
    let new_password = if args.new_password { Some(line_of(&mut stdin)?) } else { None };
    Ok(Typed { password, code: args.code.clone(), new_password })
}

async fn from_terminal(args: &Login) -> anyhow::Result<Typed> {
    let terminal = Terminal::open(&args.user)?;
    let password = terminal.ask_hidden(&format!("Password of {}: ", printable(&args.user))).await?;
    let new_password = if args.new_password { Some(terminal.ask_new().await?) } else { None };
    let code = match &args.code {
        Some(code) => Some(code.clone()),
        None => {
            Some(terminal.ask("Code of the second factor (empty without one): ").await?.trim().to_owned())
        }
    };
    Ok(Typed { password, code: code.filter(|code| !code.is_empty()), new_password })
}

#[cfg(test)]
mod tests {
    use super::refuse_open;
    use client::EndpointFrom::{Flag, Nothing, Variable};

    #[test]
    fn a_password_goes_to_no_endpoint_that_is_not_named_or_others_may_listen_to() {
        for (url, from, good) in [
            ("https://storage.example:9000", Flag, true),
            ("http://127.0.0.1:9000", Flag, true),
            ("http://[::1]:9000", Variable("AWS_ENDPOINT_URL"), true),
            ("http://localhost:9000", Flag, true),
            ("http://192.0.2.1:9000", Flag, false),
            ("http://localhost.example", Flag, false),
            ("http://storage.example:9000", Flag, false),
            ("https://s3.us-east-1.amazonaws.com", Nothing, false),
        ] {
            assert_eq!(refuse_open("sign in", url, from).is_ok(), good, "{url}");
        }
    }
}
