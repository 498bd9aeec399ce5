//! Policies that are part of a user, group or role.

use super::owner;
use super::shapes::{
    EXISTING_USER_NAME, GROUP_NAME, MARKER, MAX_ITEMS, POLICY_DOCUMENT, POLICY_NAME, ROLE_NAME,
};
use crate::query::shape::{opt, req};
use crate::query::{About, Call, QueryError, Reply, Row, done, row};
use security::identity::Owner;

/// Their rows.
pub(super) static ROWS: &[Row] = &[
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME", "iam:PermissionsBoundary"],
        parameters: &[
            req("UserName", &EXISTING_USER_NAME),
            req("PolicyName", &POLICY_NAME),
            req("PolicyDocument", &POLICY_DOCUMENT),
        ],
        writes: true,
        errors: &["LimitExceeded", "MalformedPolicyDocument", "NoSuchEntity", "ServiceFailure"],
        state: done!(put),
        ..row!("iam", "PutUserPolicy")
    },
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("UserName", &EXISTING_USER_NAME), req("PolicyName", &POLICY_NAME)],
        errors: &["NoSuchEntity", "ServiceFailure"],
        state: done!(get),
        ..row!("iam", "GetUserPolicy")
    },
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[
            req("UserName", &EXISTING_USER_NAME),
            opt("Marker", &MARKER),
            opt("MaxItems", &MAX_ITEMS),
        ],
        errors: &["NoSuchEntity", "ServiceFailure"],
        state: done!(list),
        ..row!("iam", "ListUserPolicies")
    },
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME", "iam:PermissionsBoundary"],
        parameters: &[req("UserName", &EXISTING_USER_NAME), req("PolicyName", &POLICY_NAME)],
        writes: true,
        errors: &["LimitExceeded", "NoSuchEntity", "ServiceFailure"],
        state: done!(delete),
        ..row!("iam", "DeleteUserPolicy")
    },
    Row {
        about: About::Named("group", "GroupName"),
        parameters: &[
            req("GroupName", &GROUP_NAME),
            req("PolicyName", &POLICY_NAME),
            req("PolicyDocument", &POLICY_DOCUMENT),
        ],
        writes: true,
        errors: &["LimitExceeded", "MalformedPolicyDocument", "NoSuchEntity", "ServiceFailure"],
        state: done!(put),
        ..row!("iam", "PutGroupPolicy")
    },
    Row {
        about: About::Named("group", "GroupName"),
        parameters: &[req("GroupName", &GROUP_NAME), req("PolicyName", &POLICY_NAME)],
        errors: &["NoSuchEntity", "ServiceFailure"],
        state: done!(get),
        ..row!("iam", "GetGroupPolicy")
    },
    Row {
        about: About::Named("group", "GroupName"),
        parameters: &[req("GroupName", &GROUP_NAME), opt("Marker", &MARKER), opt("MaxItems", &MAX_ITEMS)],
        errors: &["NoSuchEntity", "ServiceFailure"],
        state: done!(list),
        ..row!("iam", "ListGroupPolicies")
    },
    Row {
        about: About::Named("group", "GroupName"),
        parameters: &[req("GroupName", &GROUP_NAME), req("PolicyName", &POLICY_NAME)],
        writes: true,
        errors: &["LimitExceeded", "NoSuchEntity", "ServiceFailure"],
        state: done!(delete),
        ..row!("iam", "DeleteGroupPolicy")
    },
    Row {
        about: About::Named("role", "RoleName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME", "iam:PermissionsBoundary"],
        parameters: &[
            req("RoleName", &ROLE_NAME),
            req("PolicyName", &POLICY_NAME),
            req("PolicyDocument", &POLICY_DOCUMENT),
        ],
        writes: true,
        errors: &[
            "LimitExceeded",
            "MalformedPolicyDocument",
            "NoSuchEntity",
            "ServiceFailure",
            "UnmodifiableEntity",
        ],
        state: done!(put),
        ..row!("iam", "PutRolePolicy")
    },
    Row {
        about: About::Named("role", "RoleName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("RoleName", &ROLE_NAME), req("PolicyName", &POLICY_NAME)],
        errors: &["NoSuchEntity", "ServiceFailure"],
        state: done!(get),
        ..row!("iam", "GetRolePolicy")
    },
    Row {
        about: About::Named("role", "RoleName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("RoleName", &ROLE_NAME), opt("Marker", &MARKER), opt("MaxItems", &MAX_ITEMS)],
        errors: &["NoSuchEntity", "ServiceFailure"],
        state: done!(list),
        ..row!("iam", "ListRolePolicies")
    },
    Row {
        about: About::Named("role", "RoleName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME", "iam:PermissionsBoundary"],
        parameters: &[req("RoleName", &ROLE_NAME), req("PolicyName", &POLICY_NAME)],
        writes: true,
        errors: &["LimitExceeded", "NoSuchEntity", "ServiceFailure", "UnmodifiableEntity"],
        state: done!(delete),
        ..row!("iam", "DeleteRolePolicy")
    },
];

async fn put(call: &Call) -> Result<Reply, QueryError> {
    let (name, document) = (call.args.needed("PolicyName"), call.args.needed("PolicyDocument"));
    call.shared.identities.put_inline(call.account, owner(&call.args), name, document).await?;
    Ok(call.nothing())
}

async fn get(call: &Call) -> Result<Reply, QueryError> {
    let (name, owner) = (call.args.needed("PolicyName"), owner(&call.args));
    let document = call.shared.identities.inline(call.account, owner, name).await?;
    let mut reply = call.result();
    let element = match owner {
        Owner::User(_) => "UserName",
        Owner::Group(_) => "GroupName",
        Owner::Role(_) => "RoleName",
    };
    reply.text(element, owner.name());
    reply.text("PolicyName", name);
    reply.document("PolicyDocument", &document);
    Ok(reply)
}

async fn list(call: &Call) -> Result<Reply, QueryError> {
    let page = call.shared.identities.inlines(call.account, owner(&call.args), call.paging()).await?;
    let mut reply = call.result();
    reply.texts("PolicyNames", page.items.iter().map(String::as_str));
    call.paged(&mut reply, page.next.as_deref())?;
    Ok(reply)
}

async fn delete(call: &Call) -> Result<Reply, QueryError> {
    let name = call.args.needed("PolicyName");
    call.shared.identities.delete_inline(call.account, owner(&call.args), name).await?;
    Ok(call.nothing())
}
