//! What an account has once.

use super::shapes::{ACCOUNT_ALIAS, MARKER, MAX_ITEMS};
use crate::query::shape::{opt, req};
use crate::query::{About, Call, QueryError, Reply, Row, done, row};

/// Their rows.
pub(super) static ROWS: &[Row] = &[
    Row {
        about: About::Account,
        parameters: &[req("AccountAlias", &ACCOUNT_ALIAS)],
        writes: true,
        errors: &["ConcurrentModification", "EntityAlreadyExists", "LimitExceeded", "ServiceFailure"],
        state: done!(create_alias),
        ..row!("iam", "CreateAccountAlias")
    },
    Row {
        about: About::Account,
        parameters: &[req("AccountAlias", &ACCOUNT_ALIAS)],
        writes: true,
        errors: &["ConcurrentModification", "LimitExceeded", "NoSuchEntity", "ServiceFailure"],
        state: done!(delete_alias),
        ..row!("iam", "DeleteAccountAlias")
    },
    Row {
        about: About::Account,
        parameters: &[opt("Marker", &MARKER), opt("MaxItems", &MAX_ITEMS)],
        errors: &["ServiceFailure"],
        state: done!(list_aliases),
        ..row!("iam", "ListAccountAliases")
    },
    Row {
        about: About::Account,
        errors: &["ServiceFailure"],
        state: done!(summary),
        ..row!("iam", "GetAccountSummary")
    },
];

async fn create_alias(call: &Call) -> Result<Reply, QueryError> {
    call.shared.identities.create_alias(call.account, call.args.needed("AccountAlias")).await?;
    Ok(call.nothing())
}

async fn delete_alias(call: &Call) -> Result<Reply, QueryError> {
    call.shared.identities.delete_alias(call.account, call.args.needed("AccountAlias")).await?;
    Ok(call.nothing())
}

async fn list_aliases(call: &Call) -> Result<Reply, QueryError> {
    let alias = call.shared.identities.alias(call.account).await?;
    let mut reply = call.result();
    reply.texts("AccountAliases", alias.as_deref());
    reply.value("IsTruncated", false);
    Ok(reply)
}

async fn summary(call: &Call) -> Result<Reply, QueryError> {
    let summary = call.shared.identities.summary(call.account).await?;
    let mut reply = call.result();
    reply.structure("SummaryMap", |reply| {
        for (key, value) in &summary {
            reply.structure("entry", |reply| {
                reply.text("key", key);
                reply.value("value", value);
            });
        }
    });
    Ok(reply)
}
