//! Managed policies on users, groups and roles, and permissions boundaries.

use super::owner;
use super::shapes::{ARN, GROUP_NAME, MARKER, MAX_ITEMS, POLICY_PATH, ROLE_NAME, USER_NAME};
use crate::query::shape::{opt, req};
use crate::query::{About, Call, QueryError, Reply, Row, done, row};

/// Their rows.
pub(super) static ROWS: &[Row] = &[
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME", "iam:PermissionsBoundary", "iam:PolicyARN"],
        parameters: &[req("UserName", &USER_NAME), req("PolicyArn", &ARN)],
        writes: true,
        errors: &["InvalidInput", "LimitExceeded", "NoSuchEntity", "PolicyNotAttachable", "ServiceFailure"],
        state: done!(attach),
        ..row!("iam", "AttachUserPolicy")
    },
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME", "iam:PermissionsBoundary", "iam:PolicyARN"],
        parameters: &[req("UserName", &USER_NAME), req("PolicyArn", &ARN)],
        writes: true,
        errors: &["InvalidInput", "LimitExceeded", "NoSuchEntity", "ServiceFailure"],
        state: done!(detach),
        ..row!("iam", "DetachUserPolicy")
    },
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[
            req("UserName", &USER_NAME),
            opt("PathPrefix", &POLICY_PATH),
            opt("Marker", &MARKER),
            opt("MaxItems", &MAX_ITEMS),
        ],
        errors: &["InvalidInput", "NoSuchEntity", "ServiceFailure"],
        state: done!(list),
        ..row!("iam", "ListAttachedUserPolicies")
    },
    Row {
        about: About::Named("group", "GroupName"),
        keys: &["iam:PolicyARN"],
        parameters: &[req("GroupName", &GROUP_NAME), req("PolicyArn", &ARN)],
        writes: true,
        errors: &["InvalidInput", "LimitExceeded", "NoSuchEntity", "PolicyNotAttachable", "ServiceFailure"],
        state: done!(attach),
        ..row!("iam", "AttachGroupPolicy")
    },
    Row {
        about: About::Named("group", "GroupName"),
        keys: &["iam:PolicyARN"],
        parameters: &[req("GroupName", &GROUP_NAME), req("PolicyArn", &ARN)],
        writes: true,
        errors: &["InvalidInput", "LimitExceeded", "NoSuchEntity", "ServiceFailure"],
        state: done!(detach),
        ..row!("iam", "DetachGroupPolicy")
    },
    Row {
        about: About::Named("group", "GroupName"),
        parameters: &[
            req("GroupName", &GROUP_NAME),
            opt("PathPrefix", &POLICY_PATH),
            opt("Marker", &MARKER),
            opt("MaxItems", &MAX_ITEMS),
        ],
        errors: &["InvalidInput", "NoSuchEntity", "ServiceFailure"],
        state: done!(list),
        ..row!("iam", "ListAttachedGroupPolicies")
    },
    Row {
        about: About::Named("role", "RoleName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME", "iam:PermissionsBoundary", "iam:PolicyARN"],
        parameters: &[req("RoleName", &ROLE_NAME), req("PolicyArn", &ARN)],
        writes: true,
        errors: &[
            "InvalidInput",
            "LimitExceeded",
            "NoSuchEntity",
            "PolicyNotAttachable",
            "ServiceFailure",
            "UnmodifiableEntity",
        ],
        state: done!(attach),
        ..row!("iam", "AttachRolePolicy")
    },
    Row {
        about: About::Named("role", "RoleName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME", "iam:PermissionsBoundary", "iam:PolicyARN"],
        parameters: &[req("RoleName", &ROLE_NAME), req("PolicyArn", &ARN)],
        writes: true,
        errors: &["InvalidInput", "LimitExceeded", "NoSuchEntity", "ServiceFailure", "UnmodifiableEntity"],
        state: done!(detach),
        ..row!("iam", "DetachRolePolicy")
    },
    Row {
        about: About::Named("role", "RoleName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[
            req("RoleName", &ROLE_NAME),
            opt("PathPrefix", &POLICY_PATH),
            opt("Marker", &MARKER),
            opt("MaxItems", &MAX_ITEMS),
        ],
        errors: &["InvalidInput", "NoSuchEntity", "ServiceFailure"],
        state: done!(list),
        ..row!("iam", "ListAttachedRolePolicies")
    },
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME", "iam:PermissionsBoundary"],
        parameters: &[req("UserName", &USER_NAME), req("PermissionsBoundary", &ARN)],
        writes: true,
        errors: &["InvalidInput", "NoSuchEntity", "PolicyNotAttachable", "ServiceFailure"],
        state: done!(put_boundary),
        ..row!("iam", "PutUserPermissionsBoundary")
    },
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME", "iam:PermissionsBoundary"],
        parameters: &[req("UserName", &USER_NAME)],
        writes: true,
        errors: &["NoSuchEntity", "ServiceFailure"],
        state: done!(delete_boundary),
        ..row!("iam", "DeleteUserPermissionsBoundary")
    },
    Row {
        about: About::Named("role", "RoleName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME", "iam:PermissionsBoundary"],
        parameters: &[req("RoleName", &ROLE_NAME), req("PermissionsBoundary", &ARN)],
        writes: true,
        errors: &[
            "InvalidInput",
            "NoSuchEntity",
            "PolicyNotAttachable",
            "ServiceFailure",
            "UnmodifiableEntity",
        ],
        state: done!(put_boundary),
        ..row!("iam", "PutRolePermissionsBoundary")
    },
    Row {
        about: About::Named("role", "RoleName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME", "iam:PermissionsBoundary"],
        parameters: &[req("RoleName", &ROLE_NAME)],
        writes: true,
        errors: &["NoSuchEntity", "ServiceFailure", "UnmodifiableEntity"],
        state: done!(delete_boundary),
        ..row!("iam", "DeleteRolePermissionsBoundary")
    },
];

async fn attach(call: &Call) -> Result<Reply, QueryError> {
    let arn = call.args.needed("PolicyArn");
    call.shared.identities.attach(call.account, owner(&call.args), arn).await?;
    Ok(call.nothing())
}

async fn detach(call: &Call) -> Result<Reply, QueryError> {
    let arn = call.args.needed("PolicyArn");
    call.shared.identities.detach(call.account, owner(&call.args), arn).await?;
    Ok(call.nothing())
}

async fn list(call: &Call) -> Result<Reply, QueryError> {
    let prefix = call.args.text("PathPrefix");
    let page =
        call.shared.identities.attached(call.account, owner(&call.args), prefix, call.paging()).await?;
    let mut reply = call.result();
    reply.list("AttachedPolicies", &page.items, |reply, policy| {
        reply.text("PolicyName", &policy.name);
        reply.text("PolicyArn", &policy.arn);
    });
    call.paged(&mut reply, page.next.as_deref())?;
    Ok(reply)
}

async fn put_boundary(call: &Call) -> Result<Reply, QueryError> {
    let arn = call.args.needed("PermissionsBoundary");
    call.shared.identities.set_boundary(call.account, owner(&call.args), arn).await?;
    Ok(call.nothing())
}

async fn delete_boundary(call: &Call) -> Result<Reply, QueryError> {
    call.shared.identities.delete_boundary(call.account, owner(&call.args)).await?;
    Ok(call.nothing())
}
