//! `FirnSignIn`, which is firn's own: a user's name and password, and a code of its second factor, become a session. `firn login` asks it.
//! It is asked without a signature, over TLS or from this machine. docs/adr/0035 has the reasons.

use super::operations::{credentials, seconds};
use super::shapes::{DURATION_SECONDS, PASSWORD, SIGN_IN_ACCOUNT, SIGN_IN_NAME, TOKEN_CODE};
use crate::query::shape::{opt, req};
use crate::query::{About, Call, QueryError, Reply, Row, done, row};
use security::identity::SignIn;

/// Its row.
pub(super) static ROWS: &[Row] = &[Row {
    about: About::Oneself,
    parameters: &[
        opt("Account", &SIGN_IN_ACCOUNT),
        req("UserName", &SIGN_IN_NAME),
        req("Password", &PASSWORD),
        opt("TokenCode", &TOKEN_CODE),
        opt("NewPassword", &PASSWORD),
        opt("DurationSeconds", &DURATION_SECONDS),
    ],
    writes: true,
    open: true,
    errors: &["PasswordPolicyViolation", "PasswordResetRequired"],
    state: done!(sign_in),
    ..row!("sts", "FirnSignIn")
}];

async fn sign_in(call: &Call) -> Result<Reply, QueryError> {
    let (args, peer) = (&call.args, call.context.peer());
    if peer.tls.is_none() && !peer.ip.to_canonical().is_loopback() {
        return Err(QueryError::denied("A password is taken over TLS, or from this machine, alone."));
    }
    let own = call.account.to_string();
    let asked = SignIn {
        account: args.text("Account").unwrap_or(&own),
        user: args.needed("UserName"),
        password: args.needed("Password"),
        code: args.text("TokenCode"),
        new_password: args.text("NewPassword"),
        duration_secs: seconds(call),
        from: peer.ip,
    };
    let made = call.shared.identities.sign_in(asked).await?;
    let mut reply = call.result();
    credentials(&mut reply, &made.credentials);
    reply.text("Arn", &made.arn);
    reply.value("PasswordChanged", made.password_changed);
    Ok(reply)
}
