//! OIDC providers: whose tokens roles of the account may trust.

use super::shapes::{
    ARN, CLIENT_ID, CLIENT_IDS, MARKER, MAX_ITEMS, OPEN_ID_CONNECT_PROVIDER_URL, TAG_KEYS, TAGS, THUMBPRINTS,
};
use super::show;
use crate::query::shape::{opt, req};
use crate::query::{About, Call, QueryError, Reply, Row, done, row};
use security::identity::{Issuer, NewProvider, Tag};

/// Keys of one that is there.
const OF_ONE: &[&str] = &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"];

/// Their rows.
pub(super) static ROWS: &[Row] = &[
    Row {
        about: About::NewProvider("Url"),
        keys: &["aws:RequestTag/NAME", "aws:TagKeys"],
        parameters: &[
            req("Url", &OPEN_ID_CONNECT_PROVIDER_URL),
            opt("ClientIDList", &CLIENT_IDS),
            opt("ThumbprintList", &THUMBPRINTS),
            opt("Tags", &TAGS),
        ],
        writes: true,
        errors: &[
            "ConcurrentModification",
            "EntityAlreadyExists",
            "InvalidInput",
            "LimitExceeded",
            "OpenIdIdpCommunicationError",
            "ServiceFailure",
        ],
        state: done!(create),
        ..row!("iam", "CreateOpenIDConnectProvider")
    },
    Row {
        about: About::Provider("OpenIDConnectProviderArn"),
        keys: OF_ONE,
        parameters: &[req("OpenIDConnectProviderArn", &ARN)],
        errors: &["InvalidInput", "NoSuchEntity", "ServiceFailure"],
        state: done!(get),
        ..row!("iam", "GetOpenIDConnectProvider")
    },
    Row {
        about: About::Account,
        errors: &["ServiceFailure"],
        state: done!(list),
        ..row!("iam", "ListOpenIDConnectProviders")
    },
    Row {
        about: About::Provider("OpenIDConnectProviderArn"),
        keys: OF_ONE,
        parameters: &[req("OpenIDConnectProviderArn", &ARN)],
        writes: true,
        errors: &["InvalidInput", "NoSuchEntity", "ServiceFailure"],
        state: done!(delete),
        ..row!("iam", "DeleteOpenIDConnectProvider")
    },
    Row {
        about: About::Provider("OpenIDConnectProviderArn"),
        keys: OF_ONE,
        parameters: &[req("OpenIDConnectProviderArn", &ARN), req("ClientID", &CLIENT_ID)],
        writes: true,
        errors: &[
            "ConcurrentModification",
            "InvalidInput",
            "LimitExceeded",
            "NoSuchEntity",
            "ServiceFailure",
        ],
        state: done!(add_client),
        ..row!("iam", "AddClientIDToOpenIDConnectProvider")
    },
    Row {
        about: About::Provider("OpenIDConnectProviderArn"),
        keys: OF_ONE,
        parameters: &[req("OpenIDConnectProviderArn", &ARN), req("ClientID", &CLIENT_ID)],
        writes: true,
        errors: &["ConcurrentModification", "InvalidInput", "NoSuchEntity", "ServiceFailure"],
        state: done!(remove_client),
        ..row!("iam", "RemoveClientIDFromOpenIDConnectProvider")
    },
    Row {
        about: About::Provider("OpenIDConnectProviderArn"),
        keys: OF_ONE,
        parameters: &[req("OpenIDConnectProviderArn", &ARN), req("ThumbprintList", &THUMBPRINTS)],
        writes: true,
        errors: &["ConcurrentModification", "InvalidInput", "NoSuchEntity", "ServiceFailure"],
        state: done!(set_thumbprints),
        ..row!("iam", "UpdateOpenIDConnectProviderThumbprint")
    },
    Row {
        about: About::Provider("OpenIDConnectProviderArn"),
        keys: &["aws:RequestTag/NAME", "aws:TagKeys", "aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("OpenIDConnectProviderArn", &ARN), req("Tags", &TAGS)],
        writes: true,
        errors: &[
            "ConcurrentModification",
            "InvalidInput",
            "LimitExceeded",
            "NoSuchEntity",
            "ServiceFailure",
        ],
        state: done!(tag),
        ..row!("iam", "TagOpenIDConnectProvider")
    },
    Row {
        about: About::Provider("OpenIDConnectProviderArn"),
        keys: &["aws:TagKeys", "aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("OpenIDConnectProviderArn", &ARN), req("TagKeys", &TAG_KEYS)],
        writes: true,
        errors: &["ConcurrentModification", "InvalidInput", "NoSuchEntity", "ServiceFailure"],
        state: done!(untag),
        ..row!("iam", "UntagOpenIDConnectProvider")
    },
    Row {
        about: About::Provider("OpenIDConnectProviderArn"),
        keys: OF_ONE,
        parameters: &[
            req("OpenIDConnectProviderArn", &ARN),
            opt("Marker", &MARKER),
            opt("MaxItems", &MAX_ITEMS),
        ],
        errors: &["InvalidInput", "NoSuchEntity", "ServiceFailure"],
        state: done!(tags),
        ..row!("iam", "ListOpenIDConnectProviderTags")
    },
];

fn arn(call: &Call) -> &str {
    call.args.needed("OpenIDConnectProviderArn")
}

/// The URL of who is to be trusted: one that may be asked.
fn issuer(call: &Call) -> Result<Issuer, QueryError> {
    let refused =
        |why: String| QueryError::invalid_input(format!("Invalid Open ID Connect Provider URL: {why}"));
    let issuer = Issuer::parse(call.args.needed("Url")).map_err(refused)?;
    call.shared.issuers.check(&issuer).map_err(refused)?;
    Ok(issuer)
}

async fn create(call: &Call) -> Result<Reply, QueryError> {
    let (args, tags, issuer) = (&call.args, show::tags_of(&call.args), issuer(call)?);
    let new = NewProvider {
        issuer: &issuer,
        clients: &args.texts("ClientIDList"),
        thumbprints: &args.texts("ThumbprintList"),
        tags: &tags,
    };
    let made = call.shared.identities.create_provider(call.account, new).await?;
    let mut reply = call.result();
    reply.text("OpenIDConnectProviderArn", &made);
    show::tags(&mut reply, &tags);
    Ok(reply)
}

async fn get(call: &Call) -> Result<Reply, QueryError> {
    let found = call.shared.identities.provider(call.account, arn(call)).await?;
    let mut reply = call.result();
    reply.text("Url", &found.name);
    reply.texts("ClientIDList", found.clients.iter().map(String::as_str));
    reply.texts("ThumbprintList", found.thumbprints.iter().map(String::as_str));
    reply.time("CreateDate", found.created);
    show::tags(&mut reply, &found.tags);
    Ok(reply)
}

async fn list(call: &Call) -> Result<Reply, QueryError> {
    let found = call.shared.identities.providers(call.account).await?;
    let mut reply = call.result();
    reply.list("OpenIDConnectProviderList", &found, |reply, arn| reply.text("Arn", arn));
    Ok(reply)
}

async fn delete(call: &Call) -> Result<Reply, QueryError> {
    call.shared.identities.delete_provider(call.account, arn(call)).await?;
    Ok(call.nothing())
}

async fn add_client(call: &Call) -> Result<Reply, QueryError> {
    call.shared.identities.add_client(call.account, arn(call), call.args.needed("ClientID")).await?;
    Ok(call.nothing())
}

async fn remove_client(call: &Call) -> Result<Reply, QueryError> {
    call.shared.identities.remove_client(call.account, arn(call), call.args.needed("ClientID")).await?;
    Ok(call.nothing())
}

async fn set_thumbprints(call: &Call) -> Result<Reply, QueryError> {
    let thumbprints = call.args.texts("ThumbprintList");
    call.shared.identities.set_thumbprints(call.account, arn(call), &thumbprints).await?;
    Ok(call.nothing())
}

async fn tag(call: &Call) -> Result<Reply, QueryError> {
    let tags = show::tags_of(&call.args);
    call.shared.identities.retag_provider(call.account, arn(call), (&tags, &[])).await?;
    Ok(call.nothing())
}

async fn untag(call: &Call) -> Result<Reply, QueryError> {
    let keys = call.args.texts("TagKeys");
    call.shared.identities.retag_provider(call.account, arn(call), (&[], &keys)).await?;
    Ok(call.nothing())
}

async fn tags(call: &Call) -> Result<Reply, QueryError> {
    let all = call.shared.identities.provider(call.account, arn(call)).await?.tags;
    let paging = call.paging();
    let behind = paging.after.and_then(|after| all.iter().position(|tag| tag.key == after));
    let rest = all.get(behind.map_or(0, |at| at + 1)..).unwrap_or_default();
    let page: &[Tag] = rest.get(..paging.limit).unwrap_or(rest);
    let mut reply = call.result();
    show::tags(&mut reply, page);
    call.paged(&mut reply, page.last().filter(|_| page.len() < rest.len()).map(|tag| tag.key.as_str()))?;
    Ok(reply)
}
