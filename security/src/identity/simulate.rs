//! What somebody might do, without their doing it: `SimulatePrincipalPolicy` and `SimulateCustomPolicy`, and `firn policy simulate`.
//!
//! ```text
//!   entity ─► its policies, each with where it is from ─┐
//!   further documents ─────────────────────────────────┴─► evaluate, for each action and resource ─► verdict, by which policy
//! ```

use super::document::{self, Hash};
use super::error::{Code, IdentityError, Result};
use super::id::EntityId;
use super::picture::{Entity, Picture};
use super::row::Which;
use super::{Identities, Kind, Owner, named};
use crate::AccountId;
use crate::policy::{
    self, Asked, Caller, Context, DOCUMENT_BYTES_MAX, Form, Layer, Policy, Sources, Verdict,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Actions times resources of one simulation.
const QUESTIONS_MAX: usize = 1_000;
/// Bytes of the missing keys that an answer tells of. Documents may ask for tens of thousands, and each of the answers has them.
const MISSING_BYTES_MAX: usize = 4 << 10;
/// How often what is read may turn out to be older than the picture.
const ATTEMPTS_MAX: usize = 16;

/// What is simulated.
#[derive(Clone, Copy)]
pub struct Simulation<'a> {
    /// Whose policies; nobody's, if only documents are asked about.
    pub entity: Option<Owner<'a>>,
    /// Identity policies besides.
    pub documents: &'a [&'a str],
    /// A boundary in place of the entity's own.
    pub boundary: Option<&'a str>,
    /// `s3:GetObject`
    pub actions: &'a [&'a str],
    /// ARNs; `*` alone, if none is given.
    pub resources: &'a [&'a str],
    /// The resource's policy.
    pub resource_policy: Option<&'a str>,
    /// Whose the resources are; the account's own if `None`.
    pub resource_owner: Option<AccountId>,
    /// What the request would say of itself.
    pub context: &'a dyn Context,
}

/// Where a policy is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceKind {
    /// An inline policy of a user.
    User,
    /// An inline policy of a group.
    Group,
    /// An inline policy of a role.
    Role,
    /// A managed policy of AWS's names.
    AwsManaged,
    /// A managed policy of the account.
    UserManaged,
    /// The resource's.
    Resource,
    /// It was given with the question.
    Given,
}

/// A policy with where it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySource {
    /// Its name, or ARN, or number among those given.
    pub id: String,
    /// Of which kind.
    pub kind: SourceKind,
}

/// How it was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Simulated {
    /// Something allows it.
    Allowed,
    /// Something denies it.
    ExplicitDeny,
    /// Nothing allows it.
    ImplicitDeny,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Of what was asked.
    pub action: String,
    /// Of what was asked.
    pub resource: String,
    /// How it was decided.
    pub decision: Simulated,
    /// The policy whose statement decided, and the statement's number from 0.
    pub by: Option<(PolicySource, usize)>,
    /// Condition keys, in lower case, of which the request has nothing: the first ones, if there are very many. All answers share them.
    pub missing: Arc<[String]>,
    /// The boundary left it out.
    pub bounded: bool,
}

/// Policies with where they are from.
#[derive(Default)]
struct Gathered {
    sources: Vec<PolicySource>,
    policies: Vec<Arc<Policy>>,
    boundary: Option<(PolicySource, Arc<Policy>)>,
}

impl Gathered {
    fn add(&mut self, source: PolicySource, policy: Arc<Policy>) {
        self.sources.push(source);
        self.policies.push(policy);
    }
}

fn managed_source(arn: &str) -> PolicySource {
    let kind = if named::by_arn(arn).is_some() { SourceKind::AwsManaged } else { SourceKind::UserManaged };
    PolicySource { id: arn.to_owned(), kind }
}

impl Identities {
    /// Asks every action of every resource.
    pub async fn simulate(&self, account: AccountId, asked: Simulation<'_>) -> Result<Vec<Answer>> {
        let resources: &[&str] = if asked.resources.is_empty() { &["*"] } else { asked.resources };
        if asked.actions.len().saturating_mul(resources.len()) > QUESTIONS_MAX {
            let message = format!("At most {QUESTIONS_MAX} actions and resources are simulated at once.");
            return Err(IdentityError::new(Code::InvalidInput, message));
        }
        let gathered = self.gather(account, &asked).await?;
        let of_resource =
            asked.resource_policy.map(|text| Policy::parse(text, Form::Resource, DOCUMENT_BYTES_MAX));
        let of_resource = of_resource.transpose()?;
        let arn = match asked.entity {
            Some(Owner::User(name)) => self.user(account, name).await?.arn,
            Some(Owner::Role(name)) => self.role(account, name).await?.arn,
            Some(Owner::Group(_)) | None => super::name::arn(account, Kind::User, "/", "simulated"),
        };
        let missing: Arc<[String]> = missing(&gathered, asked.context, MISSING_BYTES_MAX).into();
        let identity: Vec<&Policy> = gathered.policies.iter().map(Arc::as_ref).collect();
        let sources = Sources {
            identity: &identity,
            boundary: gathered.boundary.as_ref().map(|(_, policy)| &**policy),
            resource: of_resource.as_ref(),
            owner: Some(asked.resource_owner.unwrap_or(account)),
            ..Sources::default()
        };
        let mut answers = Vec::new();
        for action in asked.actions {
            for resource in resources {
                // What is about anything is about what nothing else names.
                let about = if *resource == "*" { "arn:aws::::*" } else { resource };
                let caller = match asked.entity {
                    Some(Owner::Role(_)) => Caller::Session { account, arn: "", role: &arn },
                    _ => Caller::User { account, arn: &arn },
                };
                let asked = Asked { caller, action, resource: about, context: asked.context };
                let verdict = policy::evaluate(&asked, &sources);
                answers.push(gathered.answer((action, resource), verdict, Arc::clone(&missing)));
                // Others have their turn: a thousand answers take their time.
                tokio::task::yield_now().await;
            }
        }
        Ok(answers)
    }

    /// Condition keys, in lower case, that somebody's policies and further documents ask for.
    pub async fn context_keys(
        &self,
        account: AccountId,
        entity: Option<Owner<'_>>,
        documents: &[&str],
    ) -> Result<Vec<String>> {
        let asked = Simulation {
            entity,
            documents,
            boundary: None,
            actions: &[],
            resources: &[],
            resource_policy: None,
            resource_owner: None,
            context: &policy::NoContext,
        };
        Ok(missing(&self.gather(account, &asked).await?, asked.context, usize::MAX))
    }

    async fn gather(&self, account: AccountId, asked: &Simulation<'_>) -> Result<Gathered> {
        let mut gathered = Gathered::default();
        if let Some(owner) = asked.entity {
            gathered = self.gather_entity(account, owner).await?;
        }
        for (at, text) in asked.documents.iter().enumerate() {
            let source = PolicySource { id: format!("PolicyInputList.{}", at + 1), kind: SourceKind::Given };
            gathered.add(source, Arc::new(document::inline(text)?));
        }
        if let Some(text) = asked.boundary {
            let source = PolicySource {
                id: "PermissionsBoundaryPolicyInputList.1".to_owned(),
                kind: SourceKind::Given,
            };
            gathered.boundary = Some((source, Arc::new(document::inline(text)?)));
        }
        Ok(gathered)
    }

    async fn gather_entity(&self, account: AccountId, owner: Owner<'_>) -> Result<Gathered> {
        let lower = owner.kind().known_name(owner.name())?;
        let absent = || IdentityError::not_found(owner.kind().word(), owner.name());
        for _ in 0..ATTEMPTS_MAX {
            let world = self.world.load_full();
            let picture = world.accounts.get(&account).ok_or_else(absent)?;
            let entity = picture.named(owner.kind(), &lower).ok_or_else(absent)?;
            if let Some(gathered) = self.gather_from(account, picture, entity).await? {
                return Ok(gathered);
            }
        }
        Err(IdentityError::new(Code::ConcurrentModification, "The account is being changed. Try again."))
    }

    /// `None`: the picture is not the newest.
    async fn gather_from(
        &self,
        account: AccountId,
        picture: &Picture,
        entity: &Entity,
    ) -> Result<Option<Gathered>> {
        let mut gathered = Gathered::default();
        let groups = entity.groups.iter().filter_map(|group| picture.entities.get(group));
        for from in std::iter::once(entity).chain(groups.map(|group| &**group)) {
            for (which, hash) in &from.documents {
                let Some(policy) = self.compiled(account, (from.row.id, which), *hash).await? else {
                    return Ok(None);
                };
                gathered.add(inline_source(from, which), policy);
            }
            for (id, arn) in &from.attached {
                let found: Option<(Hash, Arc<Policy>)> =
                    self.managed(account, picture, (*id as EntityId, arn)).await?;
                let Some((_, policy)) = found else { return Ok(None) };
                gathered.add(managed_source(arn), policy);
            }
        }
        if let Some(arn) = &entity.row.boundary {
            let Some(policy) = self.managed_by_arn(account, picture, arn).await? else { return Ok(None) };
            gathered.boundary = Some((managed_source(arn), policy));
        }
        Ok(Some(gathered))
    }
}

fn inline_source(from: &Entity, which: &Which) -> PolicySource {
    let kind = match from.row.kind() {
        Kind::Group => SourceKind::Group,
        Kind::Role => SourceKind::Role,
        Kind::User | Kind::Policy => SourceKind::User,
    };
    let name = match which {
        Which::Inline(name) => &**name,
        Which::Version(_) => "",
    };
    PolicySource { id: format!("{}_{}_{name}", from.row.kind().word(), from.row.name), kind }
}

/// Keys that policies ask for and a request has nothing of: the first ones, that take so many bytes together.
fn missing(gathered: &Gathered, context: &dyn Context, bytes_max: usize) -> Vec<String> {
    let boundary = gathered.boundary.iter().map(|(_, policy)| policy);
    let policies = gathered.policies.iter().chain(boundary);
    let keys: BTreeSet<&str> = policies.flat_map(|policy| policy.keys()).map(|key| key.what).collect();
    let is_missing = |key: &&str| {
        let mut found = false;
        context.visit(key, &mut |_| found = true);
        !found
    };
    let mut bytes = 0_usize;
    let fits = |key: &&str| {
        bytes += key.len();
        bytes <= bytes_max
    };
    keys.into_iter().filter(is_missing).take_while(fits).map(str::to_owned).collect()
}

impl Gathered {
    fn answer(&self, (action, resource): (&str, &str), verdict: Verdict, missing: Arc<[String]>) -> Answer {
        let (decision, by) = match verdict {
            Verdict::Allowed(by) => (Simulated::Allowed, Some(by)),
            Verdict::AllowedAsRoot => (Simulated::Allowed, None),
            Verdict::Denied(by) => (Simulated::ExplicitDeny, Some(by)),
            Verdict::TooCostly => (Simulated::ExplicitDeny, None),
            Verdict::NotAllowed(_) => (Simulated::ImplicitDeny, None),
        };
        let source = |layer| match layer {
            Layer::Identity(at) => self.sources.get(at).cloned(),
            Layer::Boundary => self.boundary.as_ref().map(|(source, _)| source.clone()),
            Layer::Resource => {
                Some(PolicySource { id: "ResourcePolicy".to_owned(), kind: SourceKind::Resource })
            }
            Layer::Session(_) => None,
        };
        let bounded = matches!(verdict, Verdict::NotAllowed(policy::Missing::Boundary));
        let by = by.and_then(|by| Some((source(by.layer)?, by.index)));
        Answer { action: action.to_owned(), resource: resource.to_owned(), decision, by, missing, bounded }
    }
}
