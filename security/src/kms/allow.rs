//! Who may use a key: its policy is the root of trust.
//!
//! ```text
//!   a Deny anywhere ─────────────────────────────────────────────────────► denied
//!   key policy names the caller, or hands on to the account that allows it ─► allowed
//!   a grant names the caller, for this operation and context ───────────────► allowed, within boundary and session
//! ```
//! Source: "Key policies", "Grants" and "Determining access" of the KMS developer guide. A grant is to the evaluation what a statement of the
//! key policy would be that names its grantee.

use super::error::{Code, KmsError, Result};
use super::find::{Found, all, get, not_allowed};
use super::id::key_arn;
use super::model::Asks;
use super::row::{self, AliasRow, Constraint, GrantId, GrantRow, KeyRow, Who};
use super::spec::{GrantOperation, GrantOperations};
use super::{EncryptionContext, KeyId, Kms, limit};
use crate::identity::{Pins, document};
use crate::policy::{Context, Missing, Policy, Sources, Verdict};
use crate::principal::Who as IdentityWho;
use crate::{AccountId, Arn, Principal};
use engine::catalog::Snapshot;
use engine::catalog::record::Record as _;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is wanted of a key.
pub(super) struct Wants<'a> {
    /// `kms:Encrypt`
    pub(super) action: &'static str,
    /// What a grant has to have for it; `None`: no grant gives it.
    pub(super) operation: Option<GrantOperation>,
    pub(super) context: Option<&'a EncryptionContext>,
    /// What else conditions may ask: names in lower case.
    pub(super) said: Vec<(&'static str, String)>,
    /// Whether another account may ask for it at all.
    pub(super) crosses: bool,
    /// What of it is given on: no grant gives more than it has.
    pub(super) delegates: Option<(GrantOperations, Option<&'a Constraint>)>,
}

impl Wants<'_> {
    /// To look after a key.
    pub(super) const fn control(action: &'static str) -> Self {
        Self { action, operation: None, context: None, said: Vec::new(), crosses: false, delegates: None }
    }
}

/// Actions that ask whether a grant is a service's.
const ABOUT_GRANTS: [&str; 3] = ["kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"];

/// By what it is allowed.
pub(super) enum By {
    Policy,
    /// A grant.
    Grant(GrantId),
}

/// A key, as it is or is to be.
#[derive(Clone, Copy)]
pub(super) struct Of<'a> {
    pub(super) account: AccountId,
    pub(super) id: KeyId,
    pub(super) row: &'a KeyRow,
    /// The alias that it was asked for by.
    pub(super) alias: Option<&'a str>,
    pub(super) snapshot: &'a dyn Snapshot,
}

impl<'a> From<&'a Found> for Of<'a> {
    fn from(found: &'a Found) -> Self {
        let Found { account, id, row, alias, snapshot, .. } = found;
        Self { account: *account, id: *id, row, alias: alias.as_deref(), snapshot: &**snapshot }
    }
}

/// A request, as the policies of a key see it.
struct KmsContext<'a> {
    asks: &'a Asks<'a>,
    of: Of<'a>,
    wants: &'a Wants<'a>,
    tags: &'a [(String, String)],
    /// Those of the key, once they were read.
    aliases: Option<&'a [String]>,
    asked_for_aliases: AtomicBool,
}

impl KmsContext<'_> {
    /// Keys of KMS are none of the request's to say.
    fn own(&self, key: &str, each: &mut dyn FnMut(&str)) {
        let row = self.of.row;
        let context = self.wants.context;
        match key {
            "kms:calleraccount" => {
                if let Some(account) = self.asks.principal.account() {
                    each(&account.to_string());
                }
            }
            "kms:viaservice" => self.asks.via.into_iter().for_each(each),
            "kms:grantisforawsresource" if ABOUT_GRANTS.contains(&self.wants.action) => {
                each(if self.asks.via.is_some() { "true" } else { "false" });
            }
            "kms:keyorigin" => each(row.origin.as_str()),
            "kms:keyspec" | "kms:customermasterkeyspec" => each(row.spec.as_str()),
            "kms:keyusage" | "kms:customermasterkeyusage" => each(row.usage.as_str()),
            "kms:multiregion" => each("false"),
            "kms:requestalias" => self.of.alias.into_iter().for_each(each),
            "kms:resourcealiases" => {
                self.asked_for_aliases.store(true, Ordering::Relaxed);
                self.aliases.unwrap_or_default().iter().for_each(|alias| each(alias));
            }
            "kms:encryptioncontextkeys" => {
                context.into_iter().flatten().for_each(|(name, _)| each(name));
            }
            _ => {
                if let Some(wanted) = key.strip_prefix("kms:encryptioncontext:") {
                    let pairs = context.into_iter().flatten();
                    let named = pairs.filter(|(name, _)| name.to_lowercase() == wanted);
                    named.for_each(|(_, value)| each(value));
                } else {
                    let said = self.wants.said.iter().filter(|(known, _)| *known == key);
                    said.for_each(|(_, value)| each(value));
                }
            }
        }
    }
}

impl Context for KmsContext<'_> {
    fn visit(&self, key: &str, each: &mut dyn FnMut(&str)) {
        if key.starts_with("kms:") {
            return self.own(key, each);
        }
        match key {
            "aws:resourceaccount" => each(&self.of.account.to_string()),
            "aws:viaawsservice" => each(if self.asks.via.is_some() { "true" } else { "false" }),
            "aws:tagkeys" => {
                self.tags.iter().for_each(|(name, _)| each(name));
                let said = self.wants.said.iter().filter(|(known, _)| *known == key);
                said.for_each(|(_, value)| each(value));
            }
            _ => {
                if let Some(wanted) = key.strip_prefix("aws:resourcetag/") {
                    let tags = self.of.row.tags.iter();
                    tags.filter(|tag| tag.key.to_lowercase() == wanted).for_each(|tag| each(&tag.value));
                } else if let Some(wanted) = key.strip_prefix("aws:requesttag/") {
                    let tags = self.tags.iter().filter(|(name, _)| name.to_lowercase() == wanted);
                    tags.for_each(|(_, value)| each(value));
                } else {
                    self.asks.context.visit(key, each);
                }
            }
        }
    }

    fn spend(&self, steps: usize) -> bool {
        self.asks.context.spend(steps)
    }
}

/// Keys of an account's own operations: nothing of a key is known.
pub(super) struct AccountContext<'a> {
    pub(super) asks: &'a Asks<'a>,
    pub(super) said: Vec<(&'static str, String)>,
    pub(super) tags: &'a [(String, String)],
}

impl Context for AccountContext<'_> {
    fn visit(&self, key: &str, each: &mut dyn FnMut(&str)) {
        if key.starts_with("kms:") {
            match key {
                "kms:calleraccount" => {
                    self.asks.principal.account().into_iter().for_each(|account| each(&account.to_string()));
                }
                "kms:viaservice" => self.asks.via.into_iter().for_each(each),
                _ => {
                    let said = self.said.iter().filter(|(known, _)| *known == key);
                    said.for_each(|(_, value)| each(value));
                }
            }
        } else if key == "aws:tagkeys" {
            self.tags.iter().for_each(|(name, _)| each(name));
        } else if let Some(wanted) = key.strip_prefix("aws:requesttag/") {
            let tags = self.tags.iter().filter(|(name, _)| name.to_lowercase() == wanted);
            tags.for_each(|(_, value)| each(value));
        } else {
            self.asks.context.visit(key, each);
        }
    }

    fn spend(&self, steps: usize) -> bool {
        self.asks.context.spend(steps)
    }
}

/// A refusal in AWS's words.
pub(super) fn refused(verdict: Verdict, principal: &Principal, action: &str, resource: &str) -> KmsError {
    let who = principal.arn().unwrap_or_else(|| "anonymous".to_owned());
    let because = verdict.because(action);
    let message =
        format!("User: {who} is not authorized to perform: {action} on resource: {resource} {because}");
    KmsError::new(Code::AccessDenied, message)
}

/// A refusal about a key. To another account it is as if there were none.
pub(super) fn told(verdict: Verdict, asks: &Asks<'_>, action: &str, found: &Found) -> KmsError {
    if asks.principal.account() == Some(found.account) {
        refused(verdict, asks.principal, action, &found.arn)
    } else {
        not_allowed()
    }
}

/// A key's aliases, by their names.
pub(super) async fn aliases_of(
    snapshot: &dyn Snapshot,
    account: AccountId,
    id: KeyId,
) -> Result<Vec<(String, AliasRow)>> {
    let prefix = row::prefix(account, id);
    let max = usize::try_from(limit::ALIASES).unwrap_or_default();
    let rows = all(snapshot, row::ALIASES_OF, &prefix, max).await?;
    let mut aliases = Vec::with_capacity(rows.len());
    for (key, _) in rows {
        let name = String::from_utf8_lossy(key.get(prefix.len()..).unwrap_or_default()).into_owned();
        let stands: Option<AliasRow> = get(snapshot, row::alias(account, &name)).await?;
        aliases.extend(stands.filter(|alias| alias.key == id).map(|alias| (name, alias)));
    }
    Ok(aliases)
}

/// Half of a hash of what names somebody.
fn who(kind: &[u8], name: &[u8], session: Option<&str>) -> Who {
    let session = session.unwrap_or_default().as_bytes();
    let hash = document::hash_of(&[kind, name, b"\0", session].concat());
    let mut half = [0; 16];
    half.copy_from_slice(&hash[..16]);
    half
}

/// Who somebody is to grants, by their ARN and whom that means.
pub(super) fn who_is(arn: &str, pins: &crate::identity::Pins) -> Who {
    match pins.first() {
        Some((id, session)) => who(b"id\0", id.to_string().as_bytes(), session),
        None => who(b"arn\0", arn.as_bytes(), None),
    }
}

/// Whatever grants may name whoever asks by: itself, whose session it is, its account.
fn named_by(principal: &Principal) -> Vec<Who> {
    let mut all = Vec::new();
    if let Some(account) = principal.account() {
        all.push(who(b"arn\0", Arn::root(account).to_string().as_bytes(), None));
    }
    let Some(identity) = principal.identity() else { return all };
    let entity = identity.entity.to_string();
    match &identity.who {
        IdentityWho::Root => {}
        IdentityWho::User { .. } => all.push(who(b"id\0", entity.as_bytes(), None)),
        IdentityWho::Role { arn, .. } => {
            let session = arn.rsplit_once('/').map(|(_, session)| session);
            all.push(who(b"id\0", entity.as_bytes(), None));
            all.push(who(b"id\0", entity.as_bytes(), session));
        }
        IdentityWho::Federated { arn, .. } => {
            all.push(who(b"id\0", entity.as_bytes(), None));
            all.push(who(b"arn\0", arn.as_bytes(), None));
        }
    }
    all
}

impl Kms {
    /// May it be done with this key?
    pub(super) async fn allow(&self, asks: &Asks<'_>, found: &Found, wants: &Wants<'_>) -> Result<By> {
        self.allow_tagged(asks, found, wants, &[]).await
    }

    /// The same, of a request that says tags.
    pub(super) async fn allow_tagged(
        &self,
        asks: &Asks<'_>,
        found: &Found,
        wants: &Wants<'_>,
        tags: &[(String, String)],
    ) -> Result<By> {
        let (verdict, aliases) = self.judge(asks, found, wants, tags).await?;
        if verdict.is_allowed() {
            return Ok(By::Policy);
        }
        if let Some(operation) = wants.operation.filter(|_| !verdict.is_denied()) {
            let (of, aliases) = (Of::from(found), aliases.as_deref());
            let context =
                KmsContext { asks, of, wants, tags, aliases, asked_for_aliases: AtomicBool::default() };
            if let Some(grant) = self.granted(asks, found, (operation, wants), &context).await? {
                return Ok(By::Grant(grant));
            }
        }
        Err(told(verdict, asks, wants.action, found))
    }

    /// What policies say, and the key's aliases if they asked for them.
    pub(super) async fn judge(
        &self,
        asks: &Asks<'_>,
        found: &Found,
        wants: &Wants<'_>,
        tags: &[(String, String)],
    ) -> Result<(Verdict, Option<Vec<String>>)> {
        let own = asks.principal.account() == Some(found.account);
        if !own && !wants.crosses {
            let missing = Verdict::NotAllowed(Missing::Resource);
            return Err(told(missing, asks, wants.action, found));
        }
        self.judge_by((asks, wants, tags), Of::from(found), (&found.policy, &found.pins)).await
    }

    /// What a policy says of a key, were it that key's, and what policies of whoever asks do.
    pub(super) async fn judge_by(
        &self,
        (asks, wants, tags): (&Asks<'_>, &Wants<'_>, &[(String, String)]),
        of: Of<'_>,
        (policy, pins): (&Policy, &Pins),
    ) -> Result<(Verdict, Option<Vec<String>>)> {
        let sources = Sources {
            resource: Some(policy),
            owner: Some(of.account),
            resource_decides: true,
            ..Sources::default()
        };
        let arn = key_arn(self.region(), of.account, of.id);
        let judge =
            |context: &dyn Context| asks.principal.verdict(wants.action, &arn, context, (&sources, pins));
        let context =
            KmsContext { asks, of, wants, tags, aliases: None, asked_for_aliases: AtomicBool::default() };
        let verdict = judge(&context);
        if !context.asked_for_aliases.load(Ordering::Relaxed) {
            return Ok((verdict, None));
        }
        // Aliases are read for those alone who are asked about them.
        let aliases = aliases_of(of.snapshot, of.account, of.id).await?;
        let aliases: Vec<_> = aliases.into_iter().map(|(name, _)| name).collect();
        let context = KmsContext { aliases: Some(&aliases), ..context };
        let verdict = judge(&context);
        Ok((verdict, Some(aliases)))
    }

    /// A grant that gives the operation to whoever asks.
    async fn granted(
        &self,
        asks: &Asks<'_>,
        found: &Found,
        (operation, wants): (GrantOperation, &Wants<'_>),
        context: &dyn Context,
    ) -> Result<Option<GrantId>> {
        let none = EncryptionContext::NONE;
        let said = wants.context.unwrap_or(&none);
        let max = usize::try_from(limit::GRANTED).unwrap_or_default();
        for who in named_by(asks.principal) {
            let prefix = row::granted_to(found.account, found.id, &who);
            for (key, _) in all(&*found.snapshot, row::GRANTED, &prefix, max).await? {
                let Some(id) = key.last_chunk::<32>() else { continue };
                let value = found.snapshot.get(row::grant(found.account, found.id, id)).await?;
                let Some(grant) = value.map(|value| GrantRow::from_bytes(&value)).transpose()? else {
                    continue;
                };
                let takes = !operation.takes_context()
                    || grant.constraint.as_ref().is_none_or(|constraint| constraint.takes(said));
                let covers = wants.delegates.is_none_or(|(operations, constraint)| {
                    let own = grant.constraint.as_ref();
                    operations.within(grant.operations)
                        && own.is_none_or(|own| constraint.is_some_and(|constraint| constraint.within(own)))
                });
                if grant.operations.has(operation)
                    && takes
                    && covers
                    && names(asks, &grant.grantee, found, (wants.action, context))
                {
                    return Ok(Some(*id));
                }
            }
        }
        Ok(None)
    }
}

/// Whether somebody whom a grant names is who asks, and may by all that bounds it.
pub(super) fn names(
    asks: &Asks<'_>,
    party: &row::Party,
    found: &Found,
    (action, context): (&str, &dyn Context),
) -> bool {
    let Ok(policy) = Policy::allowing(&party.arn) else { return false };
    let sources = Sources {
        resource: Some(&policy),
        owner: Some(found.account),
        resource_decides: true,
        ..Sources::default()
    };
    asks.principal.verdict(action, &found.arn, context, (&sources, &party.pins)).is_allowed()
}
