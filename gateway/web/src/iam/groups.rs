//! Groups and their members.

use super::shapes::{EXISTING_USER_NAME, GROUP_NAME, MARKER, MAX_ITEMS, PATH, PATH_PREFIX};
use super::show;
use crate::query::shape::{opt, req};
use crate::query::{About, Call, QueryError, Reply, Row, done, row};

/// Their rows.
pub(super) static ROWS: &[Row] = &[
    Row {
        about: About::New("group", "GroupName"),
        parameters: &[opt("Path", &PATH), req("GroupName", &GROUP_NAME)],
        writes: true,
        errors: &["EntityAlreadyExists", "LimitExceeded", "NoSuchEntity", "ServiceFailure"],
        state: done!(create),
        ..row!("iam", "CreateGroup")
    },
    Row {
        about: About::Named("group", "GroupName"),
        parameters: &[req("GroupName", &GROUP_NAME), opt("Marker", &MARKER), opt("MaxItems", &MAX_ITEMS)],
        errors: &["NoSuchEntity", "ServiceFailure"],
        state: done!(get),
        ..row!("iam", "GetGroup")
    },
    Row {
        about: About::All("group"),
        parameters: &[opt("PathPrefix", &PATH_PREFIX), opt("Marker", &MARKER), opt("MaxItems", &MAX_ITEMS)],
        errors: &["ServiceFailure"],
        state: done!(list),
        ..row!("iam", "ListGroups")
    },
    Row {
        about: About::Named("group", "GroupName"),
        parameters: &[req("GroupName", &GROUP_NAME), opt("NewPath", &PATH), opt("NewGroupName", &GROUP_NAME)],
        writes: true,
        errors: &["EntityAlreadyExists", "LimitExceeded", "NoSuchEntity", "ServiceFailure"],
        state: done!(update),
        ..row!("iam", "UpdateGroup")
    },
    Row {
        about: About::Named("group", "GroupName"),
        parameters: &[req("GroupName", &GROUP_NAME)],
        writes: true,
        errors: &["DeleteConflict", "LimitExceeded", "NoSuchEntity", "ServiceFailure"],
        state: done!(delete),
        ..row!("iam", "DeleteGroup")
    },
    Row {
        about: About::Named("group", "GroupName"),
        parameters: &[req("GroupName", &GROUP_NAME), req("UserName", &EXISTING_USER_NAME)],
        writes: true,
        errors: &["LimitExceeded", "NoSuchEntity", "ServiceFailure"],
        state: done!(add),
        ..row!("iam", "AddUserToGroup")
    },
    Row {
        about: About::Named("group", "GroupName"),
        parameters: &[req("GroupName", &GROUP_NAME), req("UserName", &EXISTING_USER_NAME)],
        writes: true,
        errors: &["LimitExceeded", "NoSuchEntity", "ServiceFailure"],
        state: done!(remove),
        ..row!("iam", "RemoveUserFromGroup")
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
        state: done!(of_user),
        ..row!("iam", "ListGroupsForUser")
    },
];

async fn create(call: &Call) -> Result<Reply, QueryError> {
    let (name, path) = (call.args.needed("GroupName"), call.args.text("Path"));
    let group = call.shared.identities.create_group(call.account, name, path).await?;
    let mut reply = call.result();
    reply.structure("Group", |reply| show::group(reply, &group));
    Ok(reply)
}

async fn get(call: &Call) -> Result<Reply, QueryError> {
    let name = call.args.needed("GroupName");
    let group = call.shared.identities.group(call.account, name).await?;
    let page = call.shared.identities.members(call.account, name, call.paging()).await?;
    let mut reply = call.result();
    reply.structure("Group", |reply| show::group(reply, &group));
    reply.list("Users", &page.items, show::user);
    call.paged(&mut reply, page.next.as_deref())?;
    Ok(reply)
}

async fn list(call: &Call) -> Result<Reply, QueryError> {
    let prefix = call.args.text("PathPrefix");
    let page = call.shared.identities.groups(call.account, prefix, call.paging()).await?;
    let mut reply = call.result();
    reply.list("Groups", &page.items, show::group);
    call.paged(&mut reply, page.next.as_deref())?;
    Ok(reply)
}

async fn of_user(call: &Call) -> Result<Reply, QueryError> {
    let user = call.args.needed("UserName");
    let page = call.shared.identities.groups_of(call.account, user, call.paging()).await?;
    let mut reply = call.result();
    reply.list("Groups", &page.items, show::group);
    call.paged(&mut reply, page.next.as_deref())?;
    Ok(reply)
}

async fn update(call: &Call) -> Result<Reply, QueryError> {
    let (name, path) = (call.args.text("NewGroupName"), call.args.text("NewPath"));
    call.shared.identities.update_group(call.account, call.args.needed("GroupName"), name, path).await?;
    Ok(call.nothing())
}

async fn delete(call: &Call) -> Result<Reply, QueryError> {
    call.shared.identities.delete_group(call.account, call.args.needed("GroupName")).await?;
    Ok(call.nothing())
}

async fn add(call: &Call) -> Result<Reply, QueryError> {
    let (group, user) = (call.args.needed("GroupName"), call.args.needed("UserName"));
    call.shared.identities.add_to_group(call.account, group, user).await?;
    Ok(call.nothing())
}

async fn remove(call: &Call) -> Result<Reply, QueryError> {
    let (group, user) = (call.args.needed("GroupName"), call.args.needed("UserName"));
    call.shared.identities.remove_from_group(call.account, group, user).await?;
    Ok(call.nothing())
}
