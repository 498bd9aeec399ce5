//! The decision over all policies that a request comes under, in AWS's order.
//!
//! ```text
//!   a Deny anywhere ──────────────────────────────────────────────► denied
//!   same account    resource policy names the caller ─────────────► allowed
//!                   identity, or resource policy names its role ─┬► boundary ─► session ─► allowed
//!   other account   resource policy ∧ (identity ∧ boundary ∧ session) ────────────────────► allowed
//!   session: of a role without policies of its own all, of a federated user without any nothing
//! ```
//!
//! Sources, of the IAM user guide: "How AWS enforcement code logic evaluates requests"
//! (`reference_policies_evaluation-logic_policy-eval-denyallow`), "Policy evaluation for requests within a single account"
//! (`…_policy-eval-basics`), "Cross-account policy evaluation logic" (`reference_policies_evaluation-logic-cross-account`), "Permissions
//! boundaries for IAM entities" (`access_policies_boundaries`).
//!
//! The root of an account has no identity policies and may all in its account. A policy that names an account hands on to it: in the
//! account's own, its users still need a policy of their own.

use super::actions::AskedAction;
use super::arn::ArnParts;
use super::context::Context;
use super::document::{Effect, Matter, Policy};
use super::principal::{Caller, Reach};
use crate::AccountId;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What is asked.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Who.
    pub caller: Caller<'a>,
    /// What: `s3:GetObject`.
    pub action: &'a str,
    /// Of what, by its ARN.
    pub resource: &'a str,
    /// What else the request says.
    pub context: &'a dyn Context,
}

/// The policies that a request comes under.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sources<'a> {
    /// Those of the caller, its groups and roles.
    pub identity: &'a [&'a Policy],
    /// The caller's permissions boundary, if it has one.
    pub boundary: Option<&'a Policy>,
    /// Its session's, if it was made with any. A federated user's without any is bounded all the same, by nothing that allows.
    pub session: Option<&'a [&'a Policy]>,
    /// The resource's.
    pub resource: Option<&'a Policy>,
    /// Whose the resource is. `None`: nobody's account, so that the resource's policy alone decides.
    pub owner: Option<AccountId>,
    /// Nothing is allowed that the resource's policy doesn't allow or hand on to the account: keys and roles.
    pub resource_decides: bool,
}

/// Which kind of policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// The identity policy of this number.
    Identity(usize),
    /// The permissions boundary.
    Boundary,
    /// The session policy of this number.
    Session(usize),
    /// The resource's policy.
    Resource,
}

/// A statement of one of the policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StatementRef {
    /// Where its policy is attached.
    pub layer: Layer,
    /// Its number in there, from 0.
    pub index: usize,
}

/// What an Allow was missing from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Missing {
    /// Neither the caller's policies nor the resource's have one.
    Everywhere,
    /// The caller's own: the resource's policy hands on to its account, or the resource is another account's.
    Identity,
    /// The resource's policy, of another account or one that decides.
    Resource,
    /// The permissions boundary.
    Boundary,
    /// The session's policies.
    Session,
}

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// A statement allows it.
    Allowed(StatementRef),
    /// The caller is the root of the resource's account.
    AllowedAsRoot,
    /// A statement denies it.
    Denied(StatementRef),
    /// It would cost more than [`STEPS_MAX`] to find out, or more than is left to the request: as good as a Deny.
    TooCostly,
    /// Nothing denies it, and not all that had to has allowed it.
    NotAllowed(Missing),
}

impl Verdict {
    /// Whether to go on.
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed(_) | Self::AllowedAsRoot)
    }

    /// Whether a statement denies it: nothing else can allow it then.
    pub const fn is_denied(self) -> bool {
        matches!(self, Self::Denied(_) | Self::TooCostly)
    }

    /// Why an action is refused, in AWS's words, as they follow the resource's name. What policies allow is refused by the appliance itself.
    pub fn because(self, action: &str) -> String {
        match self {
            Self::Denied(by) => {
                let kind = match by.layer {
                    Layer::Identity(_) => "an identity-based policy",
                    Layer::Boundary => "a permissions boundary",
                    Layer::Session(_) => "a session policy",
                    Layer::Resource => "a resource-based policy",
                };
                format!("with an explicit deny in {kind}")
            }
            Self::TooCostly => {
                "because its policies cost more to evaluate than a request may: shorten them".to_owned()
            }
            Self::NotAllowed(missing) => {
                let kind = match missing {
                    Missing::Everywhere | Missing::Identity => "identity-based policy",
                    Missing::Resource => "resource-based policy",
                    Missing::Boundary => "permissions boundary",
                    Missing::Session => "session policy",
                };
                format!("because no {kind} allows the {action} action")
            }
            Self::Allowed(_) | Self::AllowedAsRoot => "because it is reserved to the appliance".to_owned(),
        }
    }
}

/// What one policy says: the first Deny, or the Allow that reaches furthest.
fn of_policy(policy: &Policy, matter: &Matter<'_>) -> Result<Option<(Reach, usize)>, usize> {
    let mut best: Option<(Reach, usize)> = None;
    for (index, statement) in policy.about(matter.action) {
        let worth = statement.effect == Effect::Deny || best.is_none_or(|(reach, _)| reach < Reach::Caller);
        let Some(reach) = worth.then(|| statement.reach(matter)).flatten() else { continue };
        if statement.effect == Effect::Deny {
            return Err(index);
        }
        if best.is_none_or(|(known, _)| known < reach) {
            best = Some((reach, index));
        }
    }
    Ok(best)
}

/// What several say together, as one.
fn of_all<'x, 'p: 'x>(
    policies: impl IntoIterator<Item = &'x &'p Policy>,
    layer: impl Fn(usize) -> Layer,
    matter: &Matter<'_>,
) -> Result<Option<StatementRef>, StatementRef> {
    let mut allowed = None;
    for (at, policy) in policies.into_iter().enumerate() {
        let at_index = |index| StatementRef { layer: layer(at), index };
        let found = of_policy(policy, matter).map_err(at_index)?;
        allowed = allowed.or(found.map(|(_, index)| at_index(index)));
    }
    Ok(allowed)
}

/// Steps of comparing that one decision may cost, in characters: less than a millisecond. Policies are their owners' to write and texts their
/// visitors' to send, so that both can be as dear as they are long.
pub const STEPS_MAX: usize = 256 << 10;

/// A request of which it is counted what its comparisons cost.
struct Metered<'a> {
    request: &'a dyn Context,
    left: AtomicUsize,
}

impl Metered<'_> {
    fn is_spent(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }
}

impl Context for Metered<'_> {
    fn visit(&self, key: &str, each: &mut dyn FnMut(&str)) {
        self.request.visit(key, each);
    }

    fn spend(&self, steps: usize) -> bool {
        // What is refused is not done: it costs the request nothing.
        let own = self.left.load(Ordering::Relaxed).saturating_sub(steps);
        let left = if own > 0 && self.request.spend(steps) { own } else { 0 };
        self.left.store(left, Ordering::Relaxed);
        left > 0
    }
}

/// Decides a request by the policies that it comes under.
pub fn evaluate(asked: &Asked<'_>, sources: &Sources<'_>) -> Verdict {
    let Some(resource) = ArnParts::parse(asked.resource) else {
        return Verdict::NotAllowed(Missing::Everywhere);
    };
    let metered = Metered { request: asked.context, left: AtomicUsize::new(STEPS_MAX) };
    let action = AskedAction::new(asked.action);
    let matter = Matter {
        caller: asked.caller,
        bounded: sources.boundary.is_some(),
        action: &action,
        resource,
        context: &metered,
    };
    let verdict = try_evaluate(&matter, sources).unwrap_or_else(Verdict::Denied);
    if metered.is_spent() { Verdict::TooCostly } else { verdict }
}

fn try_evaluate(matter: &Matter<'_>, sources: &Sources<'_>) -> Result<Verdict, StatementRef> {
    // Every policy is asked before anything is allowed: a Deny of any of them is the end.
    let of_resource = match sources.resource {
        None => None,
        Some(policy) => of_policy(policy, matter)
            .map_err(|index| StatementRef { layer: Layer::Resource, index })?
            .map(|(reach, index)| (reach, StatementRef { layer: Layer::Resource, index })),
    };
    let identity = of_all(sources.identity, Layer::Identity, matter)?;
    let boundary = of_all(&sources.boundary, |_| Layer::Boundary, matter)?;
    let caller = matter.caller;
    // A federated user's session that was made with no policy may only what a resource gives to it.
    let made_with = match caller {
        Caller::Federated { .. } => Some(sources.session.unwrap_or_default()),
        _ => sources.session,
    };
    let session = of_all(made_with.unwrap_or_default(), Layer::Session, matter)?;

    let is_root = matches!(caller, Caller::Root(_));
    let bounds = || {
        if sources.boundary.is_some() && boundary.is_none() {
            Some(Missing::Boundary)
        } else if made_with.is_some() && session.is_none() {
            Some(Missing::Session)
        } else {
            None
        }
    };
    let within = |allowed: Verdict| match bounds() {
        Some(missing) => Verdict::NotAllowed(missing),
        None => allowed,
    };
    let Some(account) = caller.account() else {
        // Nobody of any account: there is no policy of their own.
        return Ok(of_resource.map_or(Verdict::NotAllowed(Missing::Resource), |(_, by)| Verdict::Allowed(by)));
    };
    let is_own = sources.owner == Some(account);
    if is_own && let Some((Reach::Caller, by)) = of_resource {
        return Ok(Verdict::Allowed(by));
    }
    if (!is_own || sources.resource_decides) && of_resource.is_none() {
        return Ok(Verdict::NotAllowed(Missing::Resource));
    }
    if is_root {
        let by_resource = of_resource.filter(|_| !is_own);
        return Ok(within(by_resource.map_or(Verdict::AllowedAsRoot, |(_, by)| Verdict::Allowed(by))));
    }
    let behind = of_resource.filter(|(reach, _)| is_own && *reach >= Reach::Behind).map(|(_, by)| by);
    Ok(match identity.or(behind) {
        Some(by) => within(Verdict::Allowed(of_resource.filter(|_| !is_own).map_or(by, |(_, by)| by))),
        None if of_resource.is_some() => Verdict::NotAllowed(Missing::Identity),
        None => Verdict::NotAllowed(Missing::Everywhere),
    })
}
