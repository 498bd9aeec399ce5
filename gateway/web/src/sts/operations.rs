//! The operations of STS.
//! Sessions are sealed tokens without rows: nothing of them is kept, and `writes` says of a row only that something comes of it.

use super::shapes::{
    ACCESS_KEY_ID, ARN, DURATION_SECONDS, EXTERNAL_ID, MINIMUM_SESSION_TOKEN_SIZE, POLICY_DESCRIPTORS,
    PROVIDED_CONTEXTSS, ROLE_DURATION_SECONDS, ROLE_SESSION_NAME, SERIAL_NUMBER, SESSION_POLICY_DOCUMENT,
    SOURCE_IDENTITY, TAG_KEYS, TAGS, TOKEN_CODE, UNRESTRICTED_SESSION_POLICY_DOCUMENT, USER_NAME,
};
use crate::query::Args;
use crate::query::shape::{opt, req};
use crate::query::{About, Call, QueryError, Reply, Row, done, row};
use security::identity::{AssumeRole, FederationToken, Session, SessionBounds, Shown, Tag, Temporary};

/// Their rows.
pub(super) static ROWS: &[Row] = &[
    Row {
        about: About::Trust("RoleArn"),
        keys: &[
            "sts:ExternalId",
            "sts:RoleSessionName",
            "sts:SourceIdentity",
            "sts:TransitiveTagKeys",
            "aws:RequestTag/NAME",
            "aws:TagKeys",
        ],
        parameters: &[
            req("RoleArn", &ARN),
            req("RoleSessionName", &ROLE_SESSION_NAME),
            opt("PolicyArns", &POLICY_DESCRIPTORS),
            opt("Policy", &UNRESTRICTED_SESSION_POLICY_DOCUMENT),
            opt("DurationSeconds", &ROLE_DURATION_SECONDS),
            opt("Tags", &TAGS),
            opt("TransitiveTagKeys", &TAG_KEYS),
            opt("ExternalId", &EXTERNAL_ID),
            opt("SerialNumber", &SERIAL_NUMBER),
            opt("TokenCode", &TOKEN_CODE),
            opt("SourceIdentity", &SOURCE_IDENTITY),
            opt("ProvidedContexts", &PROVIDED_CONTEXTSS),
            opt("MinimumSessionTokenSize", &MINIMUM_SESSION_TOKEN_SIZE),
        ],
        writes: true,
        errors: &[
            "ExpiredTokenException",
            "MalformedPolicyDocument",
            "PackedPolicyTooLarge",
            "RegionDisabledException",
        ],
        state: done!(assume_role),
        ..row!("sts", "AssumeRole")
    },
    Row { about: About::Oneself, state: done!(caller_identity), ..row!("sts", "GetCallerIdentity") },
    Row {
        about: About::Oneself,
        parameters: &[
            opt("DurationSeconds", &DURATION_SECONDS),
            opt("SerialNumber", &SERIAL_NUMBER),
            opt("TokenCode", &TOKEN_CODE),
            opt("MinimumSessionTokenSize", &MINIMUM_SESSION_TOKEN_SIZE),
        ],
        writes: true,
        errors: &["RegionDisabledException"],
        state: done!(session_token),
        ..row!("sts", "GetSessionToken")
    },
    Row {
        about: About::Federated("Name"),
        keys: &["aws:RequestTag/NAME", "aws:TagKeys"],
        parameters: &[
            req("Name", &USER_NAME),
            opt("Policy", &SESSION_POLICY_DOCUMENT),
            opt("PolicyArns", &POLICY_DESCRIPTORS),
            opt("DurationSeconds", &DURATION_SECONDS),
            opt("Tags", &TAGS),
            opt("MinimumSessionTokenSize", &MINIMUM_SESSION_TOKEN_SIZE),
        ],
        writes: true,
        errors: &["MalformedPolicyDocument", "PackedPolicyTooLarge", "RegionDisabledException"],
        state: done!(federation_token),
        ..row!("sts", "GetFederationToken")
    },
    Row {
        about: About::Account,
        parameters: &[req("AccessKeyId", &ACCESS_KEY_ID)],
        state: done!(access_key_info),
        ..row!("sts", "GetAccessKeyInfo")
    },
];

//doc
fn tags_of(args: &Args) -> Vec<Tag> {
    let tag = |tag: &Args| Tag { key: tag.needed("Key").to_owned(), value: tag.needed("Value").to_owned() };
    args.structures("Tags").map(tag).collect()
}

/// ARNs of the managed policies that bound a session.
pub(super) fn policy_arns(args: &Args) -> Vec<&str> {
    args.structures("PolicyArns").filter_map(|descriptor| descriptor.text("arn")).collect()
}

pub(super) fn seconds(call: &Call) -> Option<u32> {
    call.args.number("DurationSeconds").and_then(|number| u32::try_from(number).ok())
}

/// The code of a second factor that a request brings, if it does.
fn shown(call: &Call) -> Result<Option<Shown<'_>>, QueryError> {
    match (call.args.text("SerialNumber"), call.args.text("TokenCode")) {
        (None, None) => Ok(None),
        (Some(serial), Some(code)) => Ok(Some(Shown { serial, code })),
        (Some(_), None) | (None, Some(_)) => Err(QueryError::denied(
            "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code.",
        )),
    }
}

pub(super) fn credentials(reply: &mut Reply, made: &Temporary) {
    reply.structure("Credentials", |reply| {
        reply.text("AccessKeyId", made.id.as_str());
        reply.text("SecretAccessKey", made.secret.expose());
        reply.text("SessionToken", &made.token);
        reply.time("Expiration", made.expires);
    });
}

/// A session, with the names that the model gives to whom it is of.
pub(super) fn session(reply: &mut Reply, made: &Session, [user, id]: [&'static str; 2]) {
    credentials(reply, &made.credentials);
    reply.structure(user, |reply| {
        reply.text(id, &made.id);
        reply.text("Arn", &made.arn);
    });
    reply.value("PackedPolicySize", made.packed_percent);
    reply.optional("SourceIdentity", made.source_identity.as_deref());
}

async fn assume_role(call: &Call) -> Result<Reply, QueryError> {
    // What would change a session's meaning, and is not there, is refused by name.
    if call.args.has("ProvidedContexts") {
        return Err(QueryError::not_implemented("ProvidedContexts", "there are no identity contexts."));
    }
    let (args, tags, policy_arns) = (&call.args, tags_of(&call.args), policy_arns(&call.args));
    let asked = AssumeRole {
        who: &call.principal,
        context: &call.context,
        role: args.needed("RoleArn"),
        session_name: args.needed("RoleSessionName"),
        external_id: args.text("ExternalId"),
        source_identity: args.text("SourceIdentity"),
        duration_secs: seconds(call),
        bounds: SessionBounds { policy: args.text("Policy"), policy_arns: &policy_arns },
        tags: &tags,
        transitive: &args.texts("TransitiveTagKeys"),
        shown: shown(call)?,
    };
    let made = call.shared.identities.assume_role(asked).await?;
    let mut reply = call.result();
    session(&mut reply, &made, ["AssumedRoleUser", "AssumedRoleId"]);
    Ok(reply)
}

async fn caller_identity(call: &Call) -> Result<Reply, QueryError> {
    let found = call.shared.identities.caller_identity(&call.principal)?;
    let mut reply = call.result();
    reply.text("Arn", &found.arn);
    reply.text("UserId", &found.user_id);
    reply.value("Account", found.account);
    Ok(reply)
}

async fn session_token(call: &Call) -> Result<Reply, QueryError> {
    let made = call.shared.identities.session_token(&call.principal, seconds(call), shown(call)?).await?;
    let mut reply = call.result();
    credentials(&mut reply, &made);
    Ok(reply)
}

async fn federation_token(call: &Call) -> Result<Reply, QueryError> {
    let (args, tags, policy_arns) = (&call.args, tags_of(&call.args), policy_arns(&call.args));
    let asked = FederationToken {
        who: &call.principal,
        name: args.needed("Name"),
        duration_secs: seconds(call),
        bounds: SessionBounds { policy: args.text("Policy"), policy_arns: &policy_arns },
        tags: &tags,
    };
    let made = call.shared.identities.federation_token(asked).await?;
    let mut reply = call.result();
    session(&mut reply, &made, ["FederatedUser", "FederatedUserId"]);
    Ok(reply)
}

async fn access_key_info(call: &Call) -> Result<Reply, QueryError> {
    let account = call.shared.identities.access_key_account(call.args.needed("AccessKeyId")).await?;
    let mut reply = call.result();
    reply.value("Account", account);
    Ok(reply)
}
