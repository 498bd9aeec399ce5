//! Tags of users, roles and managed policies.

use super::shapes::{ARN, EXISTING_USER_NAME, MARKER, MAX_ITEMS, ROLE_NAME, TAG_KEYS, TAGS};
use super::show;
use crate::query::Args;
use crate::query::shape::{opt, req};
use crate::query::{About, Call, QueryError, Reply, Row, done, row};
use security::identity::Tagged;

/// Their rows.
pub(super) static ROWS: &[Row] = &[
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:RequestTag/NAME", "aws:TagKeys", "aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("UserName", &EXISTING_USER_NAME), req("Tags", &TAGS)],
        writes: true,
        errors: &[
            "ConcurrentModification",
            "InvalidInput",
            "LimitExceeded",
            "NoSuchEntity",
            "ServiceFailure",
        ],
        state: done!(tag),
        ..row!("iam", "TagUser")
    },
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:TagKeys", "aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("UserName", &EXISTING_USER_NAME), req("TagKeys", &TAG_KEYS)],
        writes: true,
        errors: &["ConcurrentModification", "NoSuchEntity", "ServiceFailure"],
        state: done!(untag),
        ..row!("iam", "UntagUser")
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
        ..row!("iam", "ListUserTags")
    },
    Row {
        about: About::Named("role", "RoleName"),
        keys: &["aws:RequestTag/NAME", "aws:TagKeys", "aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("RoleName", &ROLE_NAME), req("Tags", &TAGS)],
        writes: true,
        errors: &[
            "ConcurrentModification",
            "InvalidInput",
            "LimitExceeded",
            "NoSuchEntity",
            "ServiceFailure",
        ],
        state: done!(tag),
        ..row!("iam", "TagRole")
    },
    Row {
        about: About::Named("role", "RoleName"),
        keys: &["aws:TagKeys", "aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("RoleName", &ROLE_NAME), req("TagKeys", &TAG_KEYS)],
        writes: true,
        errors: &["ConcurrentModification", "NoSuchEntity", "ServiceFailure"],
        state: done!(untag),
        ..row!("iam", "UntagRole")
    },
    Row {
        about: About::Named("role", "RoleName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("RoleName", &ROLE_NAME), opt("Marker", &MARKER), opt("MaxItems", &MAX_ITEMS)],
        errors: &["NoSuchEntity", "ServiceFailure"],
        state: done!(list),
        ..row!("iam", "ListRoleTags")
    },
    Row {
        about: About::Policy("PolicyArn"),
        keys: &["aws:RequestTag/NAME", "aws:TagKeys", "aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("PolicyArn", &ARN), req("Tags", &TAGS)],
        writes: true,
        errors: &[
            "ConcurrentModification",
            "InvalidInput",
            "LimitExceeded",
            "NoSuchEntity",
            "ServiceFailure",
        ],
        state: done!(tag),
        ..row!("iam", "TagPolicy")
    },
    Row {
        about: About::Policy("PolicyArn"),
        keys: &["aws:TagKeys", "aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("PolicyArn", &ARN), req("TagKeys", &TAG_KEYS)],
        writes: true,
        errors: &["ConcurrentModification", "InvalidInput", "NoSuchEntity", "ServiceFailure"],
        state: done!(untag),
        ..row!("iam", "UntagPolicy")
    },
    Row {
        about: About::Policy("PolicyArn"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("PolicyArn", &ARN), opt("Marker", &MARKER), opt("MaxItems", &MAX_ITEMS)],
        errors: &["InvalidInput", "NoSuchEntity", "ServiceFailure"],
        state: done!(list),
        ..row!("iam", "ListPolicyTags")
    },
];

fn tagged(args: &Args) -> Tagged<'_> {
    match (args.text("UserName"), args.text("RoleName")) {
        (Some(name), _) => Tagged::User(name),
        (None, Some(name)) => Tagged::Role(name),
        (None, None) => Tagged::Policy(args.needed("PolicyArn")),
    }
}

async fn tag(call: &Call) -> Result<Reply, QueryError> {
    let tags = show::tags_of(&call.args);
    call.shared.identities.tag(call.account, tagged(&call.args), &tags).await?;
    Ok(call.nothing())
}

async fn untag(call: &Call) -> Result<Reply, QueryError> {
    let keys = call.args.texts("TagKeys");
    call.shared.identities.untag(call.account, tagged(&call.args), &keys).await?;
    Ok(call.nothing())
}

async fn list(call: &Call) -> Result<Reply, QueryError> {
    let page = call.shared.identities.tags(call.account, tagged(&call.args), call.paging()).await?;
    let mut reply = call.result();
    show::tags(&mut reply, &page.items);
    call.paged(&mut reply, page.next.as_deref())?;
    Ok(reply)
}
