//! Access keys.

use super::shapes::{ACCESS_KEY_ID, EXISTING_USER_NAME, MARKER, MAX_ITEMS, STATUS};
use crate::query::shape::{opt, req};
use crate::query::{About, Call, QueryError, Reply, Row, done, row};
use crate::query::{Whom, whom};
use security::identity::{AccessKey, KeyOwner, KeyStatus};

/// Their rows.
pub(super) static ROWS: &[Row] = &[
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[opt("UserName", &EXISTING_USER_NAME)],
        writes: true,
        errors: &["LimitExceeded", "NoSuchEntity", "ServiceFailure"],
        state: done!(create),
        ..row!("iam", "CreateAccessKey")
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
        state: done!(list),
        ..row!("iam", "ListAccessKeys")
    },
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[
            opt("UserName", &EXISTING_USER_NAME),
            req("AccessKeyId", &ACCESS_KEY_ID),
            req("Status", &STATUS),
        ],
        writes: true,
        errors: &["InvalidInput", "LimitExceeded", "NoSuchEntity", "ServiceFailure"],
        state: done!(update),
        ..row!("iam", "UpdateAccessKey")
    },
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[opt("UserName", &EXISTING_USER_NAME), req("AccessKeyId", &ACCESS_KEY_ID)],
        writes: true,
        errors: &["LimitExceeded", "NoSuchEntity", "ServiceFailure"],
        state: done!(delete),
        ..row!("iam", "DeleteAccessKey")
    },
    Row {
        about: About::KeysUser("AccessKeyId"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("AccessKeyId", &ACCESS_KEY_ID)],
        state: done!(last_used),
        ..row!("iam", "GetAccessKeyLastUsed")
    },
];

/// Whose key: of whom the request names, or of who asks.
fn owner(call: &Call) -> Result<KeyOwner<'_>, QueryError> {
    Ok(match whom(&call.principal, &call.args, "UserName")? {
        Whom::User(name) => KeyOwner::User(name),
        Whom::Root => KeyOwner::Root,
    })
}

fn shown(reply: &mut Reply, key: &AccessKey) {
    // The root has no name; its keys stand among others' all the same.
    reply.text("UserName", key.user.as_deref().unwrap_or_default());
    reply.text("AccessKeyId", key.id.as_str());
    reply.text("Status", if key.status == KeyStatus::Active { "Active" } else { "Inactive" });
}

async fn create(call: &Call) -> Result<Reply, QueryError> {
    let made = call.shared.identities.create_access_key(call.account, owner(call)?).await?;
    let mut reply = call.result();
    reply.structure("AccessKey", |reply| {
        shown(reply, &made.key);
        reply.text("SecretAccessKey", made.secret.expose());
        reply.time("CreateDate", made.key.created);
    });
    Ok(reply)
}

async fn list(call: &Call) -> Result<Reply, QueryError> {
    let page = call.shared.identities.access_keys(call.account, owner(call)?, call.paging()).await?;
    let mut reply = call.result();
    reply.list("AccessKeyMetadata", &page.items, |reply, key| {
        shown(reply, key);
        reply.time("CreateDate", key.created);
    });
    call.paged(&mut reply, page.next.as_deref())?;
    Ok(reply)
}

async fn update(call: &Call) -> Result<Reply, QueryError> {
    let status = match call.args.needed("Status") {
        "Active" => KeyStatus::Active,
        "Inactive" => KeyStatus::Inactive,
        _ => {
            return Err(QueryError::invalid_input(
                "A key is made Active or Inactive: Expired is nothing to ask for.",
            ));
        }
    };
    let id = call.args.needed("AccessKeyId");
    call.shared.identities.update_access_key(call.account, owner(call)?, id, status).await?;
    Ok(call.nothing())
}

async fn delete(call: &Call) -> Result<Reply, QueryError> {
    let id = call.args.needed("AccessKeyId");
    call.shared.identities.delete_access_key(call.account, owner(call)?, id).await?;
    Ok(call.nothing())
}

async fn last_used(call: &Call) -> Result<Reply, QueryError> {
    let id = call.args.needed("AccessKeyId");
    let found = call.shared.identities.access_key_last_used(call.account, id).await?;
    let mut reply = call.result();
    reply.optional("UserName", found.user.as_deref());
    reply.structure("AccessKeyLastUsed", |reply| {
        if let Some((at, ..)) = &found.used {
            reply.time("LastUsedDate", *at);
        }
        let (region, service) =
            found.used.as_ref().map_or(("N/A", "N/A"), |(_, region, service)| (region, service));
        reply.text("ServiceName", service);
        reply.text("Region", region);
    });
    Ok(reply)
}
