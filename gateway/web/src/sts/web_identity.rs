//! `AssumeRoleWithWebIdentity`: a token of an OIDC provider becomes a session of a role that trusts the provider. It is asked without a
//! signature, for the token is the proof; it is in no record and in no log. docs/adr/0039 has the reasons.

use super::operations::{policy_arns, seconds, session};
use super::shapes::{
    ARN, CLIENT_TOKEN, MINIMUM_SESSION_TOKEN_SIZE, POLICY_DESCRIPTORS, ROLE_DURATION_SECONDS,
    ROLE_SESSION_NAME, SESSION_POLICY_DOCUMENT, URL,
};
use crate::query::shape::{opt, req};
use crate::query::{About, Call, QueryError, Reply, Row, done, row};
use security::identity::{AssumeRoleWithWebIdentity, SessionBounds, WebIdentity};
use serde_json::{Value, json};

/// Its row.
pub(super) static ROWS: &[Row] = &[Row {
    about: About::Trust("RoleArn"),
    keys: &[
        "ISSUER:amr",
        "ISSUER:aud",
        "ISSUER:email",
        "ISSUER:oaud",
        "ISSUER:sub",
        "sts:RoleSessionName",
        "sts:SourceIdentity",
        "sts:TransitiveTagKeys",
        "aws:RequestTag/NAME",
        "aws:TagKeys",
    ],
    parameters: &[
        req("RoleArn", &ARN),
        req("RoleSessionName", &ROLE_SESSION_NAME),
        req("WebIdentityToken", &CLIENT_TOKEN),
        opt("ProviderId", &URL),
        opt("PolicyArns", &POLICY_DESCRIPTORS),
        opt("Policy", &SESSION_POLICY_DOCUMENT),
        opt("DurationSeconds", &ROLE_DURATION_SECONDS),
        opt("MinimumSessionTokenSize", &MINIMUM_SESSION_TOKEN_SIZE),
    ],
    writes: true,
    open: true,
    errors: &[
        "ExpiredTokenException",
        "IDPCommunicationError",
        "IDPRejectedClaim",
        "InvalidIdentityToken",
        "MalformedPolicyDocument",
        "PackedPolicyTooLarge",
        "RegionDisabledException",
    ],
    state: done!(assume),
    ..row!("sts", "AssumeRoleWithWebIdentity")
}];

/// Who that is, as records have it. Source: "`CloudTrail` userIdentity element" of its user guide.
fn recorded(who: &WebIdentity, provider: &str) -> Value {
    json!({
        "type": "WebIdentityUser",
        "principalId": format!("{provider}:{}:{}", who.audience(), who.subject()),
        "userName": who.subject(),
        "identityProvider": provider,
    })
}

async fn assume(call: &Call) -> Result<Reply, QueryError> {
    // It says whose access token it is, of those that are no identity tokens.
    if call.args.has("ProviderId") {
        let why = "tokens are those of OIDC providers, which name their issuer themselves.";
        return Err(QueryError::not_implemented("ProviderId", why));
    }
    let (args, shared, policy_arns) = (&call.args, &call.shared, policy_arns(&call.args));
    let role = args.needed("RoleArn");
    let who = shared.identities.web_identity(&shared.issuers, role, args.needed("WebIdentityToken")).await?;
    if let Some(account) = role.split(':').nth(4).and_then(|account| account.parse().ok()) {
        let provider = who.provider_arn(account);
        // It is told once.
        let _ = call.vouched.set((recorded(&who, &provider), account));
    }
    let asked = AssumeRoleWithWebIdentity {
        identity: &who,
        context: &call.context,
        role,
        session_name: args.needed("RoleSessionName"),
        duration_secs: seconds(call),
        bounds: SessionBounds { policy: args.text("Policy"), policy_arns: &policy_arns },
    };
    let made = shared.identities.assume_role_with_web_identity(asked).await?;
    let mut reply = call.result();
    session(&mut reply, &made, ["AssumedRoleUser", "AssumedRoleId"]);
    reply.text("SubjectFromWebIdentityToken", who.subject());
    reply.text("Provider", who.issuer().url());
    reply.text("Audience", who.audience());
    Ok(reply)
}
