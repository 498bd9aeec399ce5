//! What is asked about, and of which there is nothing here: listings are empty, and single things are not there.
//! SDKs and Terraform look for these before they remove a user or role. Making one is answered with `NotImplemented`.

use super::owner;
use super::shapes::{EXISTING_USER_NAME, MARKER, MAX_ITEMS, PATH_PREFIX, ROLE_NAME, SERVICE_NAME, USER_NAME};
use crate::query::shape::{Shape, opt, req};
use crate::query::{About, Call, QueryError, Reply, Row, done, row};
use security::identity::Owner;

/// Their rows.
pub(super) static ROWS: &[Row] = &[
    Row {
        about: About::All("instance-profile"),
        parameters: &[opt("PathPrefix", &PATH_PREFIX), opt("Marker", &MARKER), opt("MaxItems", &MAX_ITEMS)],
        errors: &["ServiceFailure"],
        state: done!(profiles),
        ..row!("iam", "ListInstanceProfiles")
    },
    Row {
        about: About::Named("role", "RoleName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("RoleName", &ROLE_NAME), opt("Marker", &MARKER), opt("MaxItems", &MAX_ITEMS)],
        errors: &["NoSuchEntity", "ServiceFailure"],
        state: done!(profiles_for_role),
        ..row!("iam", "ListInstanceProfilesForRole")
    },
    Row {
        about: About::Account,
        errors: &["ServiceFailure"],
        state: done!(saml),
        ..row!("iam", "ListSAMLProviders")
    },
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[opt("UserName", &USER_NAME), opt("Marker", &MARKER), opt("MaxItems", &MAX_ITEMS)],
        errors: &["NoSuchEntity"],
        state: done!(ssh),
        ..row!("iam", "ListSSHPublicKeys")
    },
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[
            opt("UserName", &EXISTING_USER_NAME),
            opt("Marker", &MARKER),
            opt("MaxItems", &MAX_ITEMS),
        ],
        errors: &["NoSuchEntity", "ServiceFailure"],
        state: done!(signing),
        ..row!("iam", "ListSigningCertificates")
    },
    Row {
        about: About::Account,
        parameters: &[opt("PathPrefix", &PATH_PREFIX), opt("Marker", &MARKER), opt("MaxItems", &MAX_ITEMS)],
        errors: &["ServiceFailure"],
        state: done!(server),
        ..row!("iam", "ListServerCertificates")
    },
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[
            opt("UserName", &USER_NAME),
            opt("ServiceName", &SERVICE_NAME),
            opt("AllUsers", &Shape::Flag),
            opt("Marker", &MARKER),
            opt("MaxItems", &MAX_ITEMS),
        ],
        errors: &["NoSuchEntity", "NotSupportedService"],
        state: done!(credentials),
        ..row!("iam", "ListServiceSpecificCredentials")
    },
];

//doc
/// An empty list, and whether there is more where the model has pages.
fn none(call: &Call, list: &'static str, paged: bool) -> Reply {
    let mut reply = call.result();
    reply.texts(list, []);
    if paged {
        reply.value("IsTruncated", false);
    }
    reply
}

/// The user or role that is asked about has to be there all the same.
async fn exists(call: &Call) -> Result<(), QueryError> {
    let identities = &call.shared.identities;
    if !(call.args.has("UserName") || call.args.has("RoleName")) {
        return Ok(());
    }
    match owner(&call.args) {
        Owner::User(name) => drop(identities.user(call.account, name).await?),
        Owner::Group(_) => {}
        Owner::Role(name) => drop(identities.role(call.account, name).await?),
    }
    Ok(())
}

async fn profiles(call: &Call) -> Result<Reply, QueryError> {
    Ok(none(call, "InstanceProfiles", true))
}

async fn profiles_for_role(call: &Call) -> Result<Reply, QueryError> {
    exists(call).await?;
    Ok(none(call, "InstanceProfiles", true))
}

async fn saml(call: &Call) -> Result<Reply, QueryError> {
    Ok(none(call, "SAMLProviderList", false))
}

async fn ssh(call: &Call) -> Result<Reply, QueryError> {
    exists(call).await?;
    Ok(none(call, "SSHPublicKeys", true))
}

async fn signing(call: &Call) -> Result<Reply, QueryError> {
    exists(call).await?;
    Ok(none(call, "Certificates", true))
}

async fn server(call: &Call) -> Result<Reply, QueryError> {
    Ok(none(call, "ServerCertificateMetadataList", true))
}

async fn credentials(call: &Call) -> Result<Reply, QueryError> {
    exists(call).await?;
    Ok(none(call, "ServiceSpecificCredentials", false))
}
