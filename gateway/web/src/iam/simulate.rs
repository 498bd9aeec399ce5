//! What somebody might do, without their doing it.
//! The core evaluates; here the question is read and the answers are paged. What would change an answer and is not there is refused by name.

use super::shapes::{
    ACTION_NAMES, ARN, CONTEXT_ENTRIES, MARKER, MAX_ITEMS, ORGANIZATION_POLICIES, POLICY_DOCUMENT,
    POLICY_EXCLUSIONS, RESOURCE_HANDLING_OPTION, RESOURCE_NAME, RESOURCE_NAMES, SIMULATION_POLICIES,
};
use crate::query::Args;
use crate::query::shape::{opt, req};
use crate::query::{About, Call, QueryError, Reply, Row, done, row};
use security::AccountId;
use security::identity::{Answer, Owner, Simulated, Simulation, SourceKind};
use security::policy::GivenContext;

/// Their rows.
pub(super) static ROWS: &[Row] = &[
    Row {
        about: About::Principal("PolicySourceArn"),
        parameters: &[
            req("PolicySourceArn", &ARN),
            opt("PolicyInputList", &SIMULATION_POLICIES),
            opt("PermissionsBoundaryPolicyInputList", &SIMULATION_POLICIES),
            opt("PolicyExclusionList", &POLICY_EXCLUSIONS),
            req("ActionNames", &ACTION_NAMES),
            opt("ResourceArns", &RESOURCE_NAMES),
            opt("ResourcePolicy", &POLICY_DOCUMENT),
            opt("ResourceOwner", &RESOURCE_NAME),
            opt("CallerArn", &RESOURCE_NAME),
            opt("ContextEntries", &CONTEXT_ENTRIES),
            opt("ResourceHandlingOption", &RESOURCE_HANDLING_OPTION),
            opt("MaxItems", &MAX_ITEMS),
            opt("Marker", &MARKER),
        ],
        errors: &["InvalidInput", "NoSuchEntity", "PolicyEvaluation"],
        state: done!(principal),
        ..row!("iam", "SimulatePrincipalPolicy")
    },
    Row {
        about: About::Account,
        parameters: &[
            req("PolicyInputList", &SIMULATION_POLICIES),
            opt("PermissionsBoundaryPolicyInputList", &SIMULATION_POLICIES),
            opt("OrderedOrganizationPolicyInputList", &ORGANIZATION_POLICIES),
            req("ActionNames", &ACTION_NAMES),
            opt("ResourceArns", &RESOURCE_NAMES),
            opt("ResourcePolicy", &POLICY_DOCUMENT),
            opt("ResourceOwner", &RESOURCE_NAME),
            opt("CallerArn", &RESOURCE_NAME),
            opt("ContextEntries", &CONTEXT_ENTRIES),
            opt("ResourceHandlingOption", &RESOURCE_HANDLING_OPTION),
            opt("MaxItems", &MAX_ITEMS),
            opt("Marker", &MARKER),
        ],
        errors: &["InvalidInput", "PolicyEvaluation"],
        state: done!(custom),
        ..row!("iam", "SimulateCustomPolicy")
    },
    Row {
        about: About::Principal("PolicySourceArn"),
        parameters: &[req("PolicySourceArn", &ARN), opt("PolicyInputList", &SIMULATION_POLICIES)],
        errors: &["InvalidInput", "NoSuchEntity"],
        state: done!(keys_of_principal),
        ..row!("iam", "GetContextKeysForPrincipalPolicy")
    },
    Row {
        about: About::Account,
        parameters: &[req("PolicyInputList", &SIMULATION_POLICIES)],
        errors: &["InvalidInput"],
        state: done!(keys_of_custom),
        ..row!("iam", "GetContextKeysForCustomPolicy")
    },
];

//doc
/// Actions times resources of one simulation.
const QUESTIONS_MAX: usize = 1_000;

/// Whom an ARN of this account is of; whether it has that path is for the core to say.
fn owner(arn: &str) -> Result<Owner<'_>, QueryError> {
    let refused =
        || QueryError::invalid_input("PolicySourceArn is the ARN of a user, group or role of the account.");
    let (_, resource) =
        arn.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(':')).ok_or_else(refused)?;
    let (kind, rest) = resource.split_once('/').ok_or_else(refused)?;
    let name = rest.rsplit('/').next().unwrap_or_default();
    match kind {
        "user" => Ok(Owner::User(name)),
        "group" => Ok(Owner::Group(name)),
        "role" => Ok(Owner::Role(name)),
        _ => Err(refused()),
    }
}

/// Whose policies are asked about, if they are there under just that ARN.
async fn source(call: &Call) -> Result<Owner<'_>, QueryError> {
    let arn = call.args.needed("PolicySourceArn");
    let owner = owner(arn)?;
    let identities = &call.shared.identities;
    let known = match owner {
        Owner::User(name) => identities.user(call.account, name).await?.arn,
        Owner::Group(name) => identities.group(call.account, name).await?.arn,
        Owner::Role(name) => identities.role(call.account, name).await?.arn,
    };
    if known == arn {
        return Ok(owner);
    }
    let message = format!("There is nobody of the ARN {arn}.");
    Err(QueryError::new(http::StatusCode::NOT_FOUND, "NoSuchEntity", message))
}

/// The account that a resource's owner is named by: its number, or its root's ARN.
fn resource_owner(args: &Args) -> Result<Option<AccountId>, QueryError> {
    let Some(text) = args.text("ResourceOwner") else { return Ok(None) };
    let number =
        text.strip_prefix("arn:aws:iam::").and_then(|rest| rest.strip_suffix(":root")).unwrap_or(text);
    let account = number
        .parse()
        .map_err(|_| QueryError::invalid_input("ResourceOwner is an account's number or its root's ARN."));
    account.map(Some)
}

async fn simulate(call: &Call, entity: Option<Owner<'_>>) -> Result<Reply, QueryError> {
    let args = &call.args;
    for parameter in
        ["PolicyExclusionList", "OrderedOrganizationPolicyInputList", "ResourceHandlingOption", "CallerArn"]
    {
        if args.has(parameter) {
            return Err(QueryError::not_implemented(parameter, "what it asks for would be passed over."));
        }
    }
    let mut context = GivenContext::default();
    for entry in args.structures("ContextEntries") {
        if let Some(key) = entry.text("ContextKeyName") {
            context = context.with(key, entry.texts("ContextKeyValues"));
        }
    }
    let boundaries = args.texts("PermissionsBoundaryPolicyInputList");
    if boundaries.len() > 1 {
        return Err(QueryError::invalid_input("A user or role has one permissions boundary at the most."));
    }
    let asked = Simulation {
        entity,
        documents: &args.texts("PolicyInputList"),
        boundary: boundaries.first().copied(),
        actions: &args.texts("ActionNames"),
        resources: &args.texts("ResourceArns"),
        resource_policy: args.text("ResourcePolicy"),
        resource_owner: resource_owner(args)?,
        context: &context,
    };
    // Each page is asked for by itself: of what is on it alone.
    let resources = asked.resources.len().max(1);
    let all = asked.actions.len().saturating_mul(resources);
    if all > QUESTIONS_MAX {
        let message = format!("At most {QUESTIONS_MAX} actions and resources are simulated at once.");
        return Err(QueryError::invalid_input(message));
    }
    let paging = call.paging();
    let begin = paging.after.and_then(|text| text.parse().ok()).unwrap_or(0).min(all);
    let end = begin.saturating_add(paging.limit).min(all);
    let (first, last) = (begin / resources, end.div_ceil(resources));
    let asked = Simulation { actions: asked.actions.get(first..last).unwrap_or_default(), ..asked };
    let answers = call.shared.identities.simulate(call.account, asked).await?;
    let mut reply = call.result();
    reply.list("EvaluationResults", answers.iter().skip(begin - first * resources).take(end - begin), answer);
    call.paged(&mut reply, (end < all).then(|| end.to_string()).as_deref())?;
    Ok(reply)
}

fn answer(reply: &mut Reply, answer: &Answer) {
    reply.text("EvalActionName", &answer.action);
    reply.text("EvalResourceName", &answer.resource);
    reply.text(
        "EvalDecision",
        match answer.decision {
            Simulated::Allowed => "allowed",
            Simulated::ExplicitDeny => "explicitDeny",
            Simulated::ImplicitDeny => "implicitDeny",
        },
    );
    reply.list("MatchedStatements", &answer.by, |reply, (source, _)| {
        reply.text("SourcePolicyId", &source.id);
        let kind = match source.kind {
            SourceKind::User => "user",
            SourceKind::Group => "group",
            SourceKind::Role => "role",
            SourceKind::AwsManaged => "aws-managed",
            SourceKind::UserManaged => "user-managed",
            SourceKind::Resource => "resource",
            SourceKind::Given => "none",
        };
        reply.text("SourcePolicyType", kind);
    });
    reply.texts("MissingContextValues", answer.missing.iter().map(String::as_str));
    if answer.bounded {
        reply.structure("PermissionsBoundaryDecisionDetail", |reply| {
            reply.value("AllowedByPermissionsBoundary", false);
        });
    }
}

async fn principal(call: &Call) -> Result<Reply, QueryError> {
    simulate(call, Some(source(call).await?)).await
}

async fn custom(call: &Call) -> Result<Reply, QueryError> {
    simulate(call, None).await
}

async fn keys(call: &Call, entity: Option<Owner<'_>>) -> Result<Reply, QueryError> {
    let documents = call.args.texts("PolicyInputList");
    let keys = call.shared.identities.context_keys(call.account, entity, &documents).await?;
    let mut reply = call.result();
    reply.texts("ContextKeyNames", keys.iter().map(String::as_str));
    Ok(reply)
}

async fn keys_of_principal(call: &Call) -> Result<Reply, QueryError> {
    keys(call, Some(source(call).await?)).await
}

async fn keys_of_custom(call: &Call) -> Result<Reply, QueryError> {
    keys(call, None).await
}
