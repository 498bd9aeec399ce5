//! `FirnSignIn`, which is firn's own: a user's name and password, and a code of its second factor, become a session. `firn login` asks it.
//! It is asked without a signature, over TLS or from this machine. docs/adr/0035 has the reasons.

use super::operations::{credentials, seconds};
use super::shapes::{DURATION_SECONDS, PASSWORD, SIGN_IN_ACCOUNT, SIGN_IN_NAME, TOKEN_CODE};
use crate::query::shape::{opt, req};
use crate::query::{About, Call, QueryError, Reply, Row, done, row};
use http::HeaderMap;
use http::header::ORIGIN;
use security::identity::SignIn;
use serde_json::json;

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

/// Whether a browser says that a page of elsewhere has sent it: one could try passwords from wherever its readers are.
fn is_of_another_site(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-site") {
        Some(site) => site != "same-origin" && site != "none",
        None => headers.contains_key(ORIGIN),
    }
}

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
    if is_of_another_site(call.context.headers()) {
        return Err(QueryError::denied("A page of another site signs nobody in."));
    }
    let made = call.shared.identities.sign_in(asked).await?;
    let user = json!({
        "type": "IAMUser",
        "principalId": made.id,
        "arn": made.arn,
        "accountId": made.account.to_string(),
        "userName": args.needed("UserName"),
    });
    // It is told once.
    let _ = call.vouched.set((user, made.account));
    let mut reply = call.result();
    credentials(&mut reply, &made.credentials);
    reply.text("Arn", &made.arn);
    reply.value("PasswordChanged", made.password_changed);
    Ok(reply)
}
