//! Managed policies, their versions, and whom they are attached to.

use super::shapes::{
    ARN, ENTITY, MARKER, MAX_ITEMS, PATH, POLICY_DESCRIPTION, POLICY_DOCUMENT, POLICY_NAME, POLICY_PATH,
    POLICY_SCOPE, POLICY_USAGE, POLICY_VERSION_ID, TAGS,
};
use super::show;
use crate::query::shape::{Shape, opt, req};
use crate::query::{About, Call, QueryError, Reply, Row, done, row};
use security::identity::{
    HolderFilter, Kind, NewPolicy, PolicyFilter, PolicyHolder, PolicyScope, PolicyVersion, Usage,
};

/// Their rows.
pub(super) static ROWS: &[Row] = &[
    Row {
        about: About::New("policy", "PolicyName"),
        keys: &["aws:RequestTag/NAME", "aws:TagKeys"],
        parameters: &[
            req("PolicyName", &POLICY_NAME),
            opt("Path", &POLICY_PATH),
            req("PolicyDocument", &POLICY_DOCUMENT),
            opt("Description", &POLICY_DESCRIPTION),
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
        ..row!("iam", "CreatePolicy")
    },
    Row {
        about: About::Policy("PolicyArn"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("PolicyArn", &ARN)],
        errors: &["InvalidInput", "NoSuchEntity", "ServiceFailure"],
        state: done!(get),
        ..row!("iam", "GetPolicy")
    },
    Row {
        about: About::All("policy"),
        parameters: &[
            opt("Scope", &POLICY_SCOPE),
            opt("OnlyAttached", &Shape::Flag),
            opt("PathPrefix", &POLICY_PATH),
            opt("PolicyUsageFilter", &POLICY_USAGE),
            opt("Marker", &MARKER),
            opt("MaxItems", &MAX_ITEMS),
        ],
        errors: &["ServiceFailure"],
        state: done!(list),
        ..row!("iam", "ListPolicies")
    },
    Row {
        about: About::Policy("PolicyArn"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("PolicyArn", &ARN)],
        writes: true,
        errors: &["DeleteConflict", "InvalidInput", "LimitExceeded", "NoSuchEntity", "ServiceFailure"],
        state: done!(delete),
        ..row!("iam", "DeletePolicy")
    },
    Row {
        about: About::Policy("PolicyArn"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[
            req("PolicyArn", &ARN),
            req("PolicyDocument", &POLICY_DOCUMENT),
            opt("SetAsDefault", &Shape::Flag),
        ],
        writes: true,
        errors: &[
            "InvalidInput",
            "LimitExceeded",
            "MalformedPolicyDocument",
            "NoSuchEntity",
            "ServiceFailure",
        ],
        state: done!(create_version),
        ..row!("iam", "CreatePolicyVersion")
    },
    Row {
        about: About::Policy("PolicyArn"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("PolicyArn", &ARN), req("VersionId", &POLICY_VERSION_ID)],
        errors: &["InvalidInput", "NoSuchEntity", "ServiceFailure"],
        state: done!(get_version),
        ..row!("iam", "GetPolicyVersion")
    },
    Row {
        about: About::Policy("PolicyArn"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("PolicyArn", &ARN), opt("Marker", &MARKER), opt("MaxItems", &MAX_ITEMS)],
        errors: &["InvalidInput", "NoSuchEntity", "ServiceFailure"],
        state: done!(list_versions),
        ..row!("iam", "ListPolicyVersions")
    },
    Row {
        about: About::Policy("PolicyArn"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("PolicyArn", &ARN), req("VersionId", &POLICY_VERSION_ID)],
        writes: true,
        errors: &["InvalidInput", "LimitExceeded", "NoSuchEntity", "ServiceFailure"],
        state: done!(set_default),
        ..row!("iam", "SetDefaultPolicyVersion")
    },
    Row {
        about: About::Policy("PolicyArn"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("PolicyArn", &ARN), req("VersionId", &POLICY_VERSION_ID)],
        writes: true,
        errors: &["DeleteConflict", "InvalidInput", "LimitExceeded", "NoSuchEntity", "ServiceFailure"],
        state: done!(delete_version),
        ..row!("iam", "DeletePolicyVersion")
    },
    Row {
        about: About::Policy("PolicyArn"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[
            req("PolicyArn", &ARN),
            opt("EntityFilter", &ENTITY),
            opt("PathPrefix", &PATH),
            opt("PolicyUsageFilter", &POLICY_USAGE),
            opt("Marker", &MARKER),
            opt("MaxItems", &MAX_ITEMS),
        ],
        errors: &["InvalidInput", "NoSuchEntity", "ServiceFailure"],
        state: done!(entities),
        ..row!("iam", "ListEntitiesForPolicy")
    },
];

async fn create(call: &Call) -> Result<Reply, QueryError> {
    let (args, tags) = (&call.args, show::tags_of(&call.args));
    let new = NewPolicy {
        name: args.needed("PolicyName"),
        path: args.text("Path"),
        document: args.needed("PolicyDocument"),
        description: args.text("Description"),
        tags: &tags,
    };
    let policy = call.shared.identities.create_policy(call.account, new).await?;
    let mut reply = call.result();
    reply.structure("Policy", |reply| show::policy(reply, &policy));
    Ok(reply)
}

async fn get(call: &Call) -> Result<Reply, QueryError> {
    let policy = call.shared.identities.policy(call.account, call.args.needed("PolicyArn")).await?;
    let mut reply = call.result();
    reply.structure("Policy", |reply| show::policy(reply, &policy));
    Ok(reply)
}

fn usage(text: Option<&str>) -> Option<Usage> {
    match text? {
        "PermissionsBoundary" => Some(Usage::Boundary),
        _ => Some(Usage::Attached),
    }
}

async fn list(call: &Call) -> Result<Reply, QueryError> {
    let filter = PolicyFilter {
        scope: match call.args.text("Scope") {
            Some("AWS") => PolicyScope::Aws,
            Some("Local") => PolicyScope::Local,
            _ => PolicyScope::All,
        },
        only_attached: call.args.flag("OnlyAttached").unwrap_or(false),
        path_prefix: call.args.text("PathPrefix"),
        usage: usage(call.args.text("PolicyUsageFilter")),
    };
    let page = call.shared.identities.policies(call.account, filter, call.paging()).await?;
    let mut reply = call.result();
    reply.list("Policies", &page.items, show::policy);
    call.paged(&mut reply, page.next.as_deref())?;
    Ok(reply)
}

async fn delete(call: &Call) -> Result<Reply, QueryError> {
    call.shared.identities.delete_policy(call.account, call.args.needed("PolicyArn")).await?;
    Ok(call.nothing())
}

fn version(reply: &mut Reply, version: &PolicyVersion) {
    if let Some(document) = &version.document {
        reply.document("Document", document);
    }
    reply.text("VersionId", &version.id);
    reply.value("IsDefaultVersion", version.is_default);
    reply.time("CreateDate", version.created);
}

async fn create_version(call: &Call) -> Result<Reply, QueryError> {
    let (arn, document) = (call.args.needed("PolicyArn"), call.args.needed("PolicyDocument"));
    let counts = call.args.flag("SetAsDefault").unwrap_or(false);
    let made = call.shared.identities.create_policy_version(call.account, arn, document, counts).await?;
    let mut reply = call.result();
    let made = PolicyVersion { document: None, ..made };
    reply.structure("PolicyVersion", |reply| version(reply, &made));
    Ok(reply)
}

async fn get_version(call: &Call) -> Result<Reply, QueryError> {
    let (arn, id) = (call.args.needed("PolicyArn"), call.args.needed("VersionId"));
    let found = call.shared.identities.policy_version(call.account, arn, id).await?;
    let mut reply = call.result();
    reply.structure("PolicyVersion", |reply| version(reply, &found));
    Ok(reply)
}

async fn list_versions(call: &Call) -> Result<Reply, QueryError> {
    let arn = call.args.needed("PolicyArn");
    let page = call.shared.identities.policy_versions(call.account, arn, call.paging()).await?;
    let mut reply = call.result();
    reply.list("Versions", &page.items, version);
    call.paged(&mut reply, page.next.as_deref())?;
    Ok(reply)
}

async fn set_default(call: &Call) -> Result<Reply, QueryError> {
    let (arn, id) = (call.args.needed("PolicyArn"), call.args.needed("VersionId"));
    call.shared.identities.set_default_version(call.account, arn, id).await?;
    Ok(call.nothing())
}

async fn delete_version(call: &Call) -> Result<Reply, QueryError> {
    let (arn, id) = (call.args.needed("PolicyArn"), call.args.needed("VersionId"));
    call.shared.identities.delete_policy_version(call.account, arn, id).await?;
    Ok(call.nothing())
}

async fn entities(call: &Call) -> Result<Reply, QueryError> {
    let kind = match call.args.text("EntityFilter") {
        Some("User") => Some(Kind::User),
        Some("Group") => Some(Kind::Group),
        Some("Role") => Some(Kind::Role),
        Some(_) => Some(Kind::Policy),
        None => None,
    };
    let (arn, path_prefix) = (call.args.needed("PolicyArn"), call.args.text("PathPrefix"));
    let usage = usage(call.args.text("PolicyUsageFilter"));
    let filter = HolderFilter { kind, usage, path_prefix };
    let page = call.shared.identities.entities_for_policy(call.account, arn, filter, call.paging()).await?;
    let mut reply = call.result();
    let of = |kind: Kind| page.items.iter().filter(move |holder| holder.kind == kind);
    let named = |[name, id]: [&'static str; 2]| {
        move |reply: &mut Reply, holder: &PolicyHolder| {
            reply.text(name, &holder.name);
            reply.text(id, &holder.id);
        }
    };
    reply.list("PolicyGroups", of(Kind::Group), named(["GroupName", "GroupId"]));
    reply.list("PolicyUsers", of(Kind::User), named(["UserName", "UserId"]));
    reply.list("PolicyRoles", of(Kind::Role), named(["RoleName", "RoleId"]));
    call.paged(&mut reply, page.next.as_deref())?;
    Ok(reply)
}
