//! Users.

use super::shapes::{ARN, EXISTING_USER_NAME, MARKER, MAX_ITEMS, PATH, PATH_PREFIX, TAGS, USER_NAME};
use super::show;
use crate::query::shape::{opt, req};
use crate::query::{About, Call, QueryError, Reply, Row, done, row};
use crate::query::{Whom, whom};
use engine::clock::Timestamp;
use security::Arn;
use security::identity::NewUser;

/// Their rows.
pub(super) static ROWS: &[Row] = &[
    Row {
        about: About::New("user", "UserName"),
        keys: &["aws:RequestTag/NAME", "aws:TagKeys", "iam:PermissionsBoundary"],
        parameters: &[
            opt("Path", &PATH),
            req("UserName", &USER_NAME),
            opt("PermissionsBoundary", &ARN),
            opt("Tags", &TAGS),
        ],
        writes: true,
        errors: &[
            "ConcurrentModification",
            "EntityAlreadyExists",
            "InvalidInput",
            "LimitExceeded",
            "NoSuchEntity",
            "ServiceFailure",
        ],
        state: done!(create),
        ..row!("iam", "CreateUser")
    },
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[opt("UserName", &EXISTING_USER_NAME)],
        errors: &["NoSuchEntity", "ServiceFailure"],
        state: done!(get),
        ..row!("iam", "GetUser")
    },
    Row {
        about: About::All("user"),
        parameters: &[opt("PathPrefix", &PATH_PREFIX), opt("Marker", &MARKER), opt("MaxItems", &MAX_ITEMS)],
        errors: &["ServiceFailure"],
        state: done!(list),
        ..row!("iam", "ListUsers")
    },
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[
            req("UserName", &EXISTING_USER_NAME),
            opt("NewPath", &PATH),
            opt("NewUserName", &USER_NAME),
        ],
        writes: true,
        errors: &[
            "ConcurrentModification",
            "EntityAlreadyExists",
            "EntityTemporarilyUnmodifiable",
            "LimitExceeded",
            "NoSuchEntity",
            "ServiceFailure",
        ],
        state: done!(update),
        ..row!("iam", "UpdateUser")
    },
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("UserName", &EXISTING_USER_NAME)],
        writes: true,
        errors: &[
            "ConcurrentModification",
            "DeleteConflict",
            "LimitExceeded",
            "NoSuchEntity",
            "ServiceFailure",
        ],
        state: done!(delete),
        ..row!("iam", "DeleteUser")
    },
];

async fn create(call: &Call) -> Result<Reply, QueryError> {
    let (args, tags) = (&call.args, show::tags_of(&call.args));
    let new = NewUser {
        name: args.needed("UserName"),
        path: args.text("Path"),
        boundary: args.text("PermissionsBoundary"),
        tags: &tags,
    };
    let user = call.shared.identities.create_user(call.account, new).await?;
    let mut reply = call.result();
    reply.structure("User", |reply| show::user(reply, &user));
    Ok(reply)
}

async fn get(call: &Call) -> Result<Reply, QueryError> {
    let mut reply = call.result();
    match whom(&call.principal, &call.args, "UserName")? {
        Whom::User(name) => {
            let user = call.shared.identities.user(call.account, name).await?;
            reply.structure("User", |reply| show::user(reply, &user));
        }
        // The root is no user, and is shown as one.
        Whom::Root => reply.structure("User", |reply| {
            reply.text("Path", "/");
            reply.text("UserName", "");
            reply.value("UserId", call.account);
            reply.text("Arn", &Arn::root(call.account).to_string());
            reply.time("CreateDate", Timestamp::from_millis(0));
        }),
    }
    Ok(reply)
}

async fn list(call: &Call) -> Result<Reply, QueryError> {
    let prefix = call.args.text("PathPrefix");
    let page = call.shared.identities.users(call.account, prefix, call.paging()).await?;
    let mut reply = call.result();
    reply.list("Users", &page.items, show::user);
    call.paged(&mut reply, page.next.as_deref())?;
    Ok(reply)
}

async fn update(call: &Call) -> Result<Reply, QueryError> {
    let (name, path) = (call.args.text("NewUserName"), call.args.text("NewPath"));
    call.shared.identities.update_user(call.account, call.args.needed("UserName"), name, path).await?;
    Ok(call.nothing())
}

async fn delete(call: &Call) -> Result<Reply, QueryError> {
    call.shared.identities.delete_user(call.account, call.args.needed("UserName")).await?;
    Ok(call.nothing())
}
