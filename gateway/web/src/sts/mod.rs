//! STS over the query protocol: who asks, and sessions of roles, users and others.
//!
//! `operations.rs` has the rows and what they do, as in `iam`; `web_identity.rs` has those of whom an OIDC provider vouches for; `sign_in.rs` has what is firn's own.

mod operations;
mod shapes;
mod sign_in;
mod web_identity;

use crate::query::{Row, Service, State, missing, row};

/// The service.
pub(crate) static SERVICE: Service = Service {
    name: "sts",
    version: "2011-06-15",
    namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
    groups: &[operations::ROWS, web_identity::ROWS, sign_in::ROWS, OPEN, IDENTITIES_OF_OTHERS, NOT_BUILT],
};

static IDENTITIES_OF_OTHERS: &[Row] = missing!(
    "sts",
    "there are no Organizations and outbound tokens here",
    "AssumeRoot",
    "GetDelegatedAccessToken",
    "GetWebIdentityToken",
);

static NOT_BUILT: &[Row] = missing!("sts", "it is not built yet", "DecodeAuthorizationMessage");

/// SDKs don't sign it.
static OPEN: &[Row] = &[Row {
    open: true,
    state: State::Missing(
        "signatures of SAML assertions are not checked here: have an OIDC provider (CreateOpenIDConnectProvider) and AssumeRoleWithWebIdentity instead",
    ),
    ..row!("sts", "AssumeRoleWithSAML")
}];
