//! Roles and who may assume them.

use super::shapes::{
    ARN, MARKER, MAX_ITEMS, PATH, PATH_PREFIX, POLICY_DOCUMENT, ROLE_DESCRIPTION, ROLE_MAX_SESSION_DURATION,
    ROLE_NAME, TAGS,
};
use super::show;
use crate::query::shape::{opt, req};
use crate::query::{About, Call, QueryError, Reply, Row, done, row};
use security::identity::NewRole;

/// Their rows.
pub(super) static ROWS: &[Row] = &[
    Row {
        about: About::New("role", "RoleName"),
        keys: &["aws:RequestTag/NAME", "aws:TagKeys", "iam:PermissionsBoundary"],
        parameters: &[
            opt("Path", &PATH),
            req("RoleName", &ROLE_NAME),
            req("AssumeRolePolicyDocument", &POLICY_DOCUMENT),
            opt("Description", &ROLE_DESCRIPTION),
            opt("MaxSessionDuration", &ROLE_MAX_SESSION_DURATION),
            opt("PermissionsBoundary", &ARN),
            opt("Tags", &TAGS),
        ],
        writes: true,
        errors: &[
            "ConcurrentModification",
            "EntityAlreadyExists",
            "InvalidInput",
            "LimitExceeded",
            "MalformedPolicyDocument",
            "ServiceFailure",
        ],
        state: done!(create),
        ..row!("iam", "CreateRole")
    },
    Row {
        about: About::Named("role", "RoleName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("RoleName", &ROLE_NAME)],
        errors: &["NoSuchEntity", "ServiceFailure"],
        state: done!(get),
        ..row!("iam", "GetRole")
    },
    Row {
        about: About::All("role"),
        parameters: &[opt("PathPrefix", &PATH_PREFIX), opt("Marker", &MARKER), opt("MaxItems", &MAX_ITEMS)],
        errors: &["ServiceFailure"],
        state: done!(list),
        ..row!("iam", "ListRoles")
    },
    Row {
        about: About::Named("role", "RoleName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[
            req("RoleName", &ROLE_NAME),
            opt("Description", &ROLE_DESCRIPTION),
            opt("MaxSessionDuration", &ROLE_MAX_SESSION_DURATION),
        ],
        writes: true,
        errors: &["NoSuchEntity", "ServiceFailure", "UnmodifiableEntity"],
        state: done!(update),
        ..row!("iam", "UpdateRole")
    },
    Row {
        about: About::Named("role", "RoleName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("RoleName", &ROLE_NAME), req("Description", &ROLE_DESCRIPTION)],
        writes: true,
        errors: &["NoSuchEntity", "ServiceFailure", "UnmodifiableEntity"],
        state: done!(describe),
        ..row!("iam", "UpdateRoleDescription")
    },
    Row {
        about: About::Named("role", "RoleName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("RoleName", &ROLE_NAME), req("PolicyDocument", &POLICY_DOCUMENT)],
        writes: true,
        errors: &[
            "LimitExceeded",
            "MalformedPolicyDocument",
            "NoSuchEntity",
            "ServiceFailure",
            "UnmodifiableEntity",
        ],
        state: done!(trust),
        ..row!("iam", "UpdateAssumeRolePolicy")
    },
    Row {
        about: About::Named("role", "RoleName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("RoleName", &ROLE_NAME)],
        writes: true,
        errors: &[
            "ConcurrentModification",
            "DeleteConflict",
            "LimitExceeded",
            "NoSuchEntity",
            "ServiceFailure",
            "UnmodifiableEntity",
        ],
        state: done!(delete),
        ..row!("iam", "DeleteRole")
    },
];

async fn create(call: &Call) -> Result<Reply, QueryError> {
    let (args, tags) = (&call.args, show::tags_of(&call.args));
    let new = NewRole {
        name: args.needed("RoleName"),
        path: args.text("Path"),
        trust: args.needed("AssumeRolePolicyDocument"),
        description: args.text("Description"),
        max_session_secs: seconds(call, "MaxSessionDuration"),
        boundary: args.text("PermissionsBoundary"),
        tags: &tags,
    };
    let role = call.shared.identities.create_role(call.account, new).await?;
    let mut reply = call.result();
    reply.structure("Role", |reply| show::role(reply, &role));
    Ok(reply)
}

/// A duration; the table bounds it.
fn seconds(call: &Call, parameter: &str) -> Option<u32> {
    call.args.number(parameter).and_then(|number| u32::try_from(number).ok())
}

async fn get(call: &Call) -> Result<Reply, QueryError> {
    let role = call.shared.identities.role(call.account, call.args.needed("RoleName")).await?;
    let mut reply = call.result();
    reply.structure("Role", |reply| {
        show::role(reply, &role);
        reply.structure("RoleLastUsed", |reply| {
            if let Some((at, region)) = &role.last_used {
                reply.time("LastUsedDate", *at);
                reply.text("Region", region);
            }
        });
    });
    Ok(reply)
}

async fn list(call: &Call) -> Result<Reply, QueryError> {
    let prefix = call.args.text("PathPrefix");
    let page = call.shared.identities.roles(call.account, prefix, call.paging()).await?;
    let mut reply = call.result();
    reply.list("Roles", &page.items, show::role);
    call.paged(&mut reply, page.next.as_deref())?;
    Ok(reply)
}

async fn update(call: &Call) -> Result<Reply, QueryError> {
    let (name, description) = (call.args.needed("RoleName"), call.args.text("Description"));
    let longest = seconds(call, "MaxSessionDuration");
    call.shared.identities.update_role(call.account, name, description, longest).await?;
    Ok(call.result())
}

async fn describe(call: &Call) -> Result<Reply, QueryError> {
    let (name, description) = (call.args.needed("RoleName"), call.args.text("Description"));
    let role = call.shared.identities.update_role(call.account, name, description, None).await?;
    let mut reply = call.result();
    reply.structure("Role", |reply| show::role(reply, &role));
    Ok(reply)
}

async fn trust(call: &Call) -> Result<Reply, QueryError> {
    let (name, document) = (call.args.needed("RoleName"), call.args.needed("PolicyDocument"));
    call.shared.identities.set_trust(call.account, name, document).await?;
    Ok(call.nothing())
}

async fn delete(call: &Call) -> Result<Reply, QueryError> {
    call.shared.identities.delete_role(call.account, call.args.needed("RoleName")).await?;
    Ok(call.nothing())
}
