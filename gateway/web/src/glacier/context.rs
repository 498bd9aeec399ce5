//! Who may: what the request says to conditions, and the policies that it comes under.

use super::error::GlacierError;
use super::table::Row;
use crate::connection::Facts;
use crate::server::Peer;
use archive::vault::Rules;
use engine::clock::Timestamp;
use http::request;
use security::identity::Pins;
use security::policy::{Context, Form, Policy, Purse, Sources, Verdict};
use security::{AccountId, Principal, PrincipalContext};

/// Bytes of a policy of a vault.
pub(super) const POLICY_BYTES_MAX: usize = 20 << 10;

/// A request, as policies see it.
#[derive(Debug)]
pub(super) struct RequestContext<'a> {
    pub(super) head: &'a request::Parts,
    pub(super) peer: Peer,
    pub(super) now: Timestamp,
    /// Of the verified scope.
    pub(super) region: String,
    /// Whose is what is asked about.
    pub(super) account: AccountId,
    /// Further keys, in lower case, with their values.
    pub(super) said: Vec<(String, String)>,
    pub(super) purse: Purse,
}

impl Context for RequestContext<'_> {
    fn visit(&self, key: &str, each: &mut dyn FnMut(&str)) {
        let Self { head, peer, now, ref region, account, .. } = *self;
        if let Some(value) = (Facts { head, peer, now, region, account: Some(account) }).of(key) {
            return each(&value);
        }
        self.said.iter().filter(|(known, _)| known == key).for_each(|(_, value)| each(value));
    }

    fn spend(&self, steps: usize) -> bool {
        self.purse.spend(steps)
    }
}

/// What no access policy takes from the root of the account, so that nobody is locked out for good.
const ALWAYS_ROOTS: [&str; 3] =
    ["glacier:SetVaultAccessPolicy", "glacier:GetVaultAccessPolicy", "glacier:DeleteVaultAccessPolicy"];

/// Refuses what the policies don't allow: those of who asks, the vault's access policy, and its lock's.
pub(super) fn admit(
    (principal, row): (&Principal, &'static Row),
    arn: &str,
    rules: &Rules,
    context: &RequestContext<'_>,
) -> Result<(), GlacierError> {
    let owner = context.account;
    let spared = ALWAYS_ROOTS.contains(&row.action) && principal.is_root_of(owner);
    let access = rules.access_policy.as_ref().filter(|_| !spared).map(|text| read(text));
    let lock = rules.lock_policy.as_ref().map(|lock| read(lock.as_bytes()));
    let asked = PrincipalContext::new(principal, context.now, context);
    let ask = |policy: Option<&Policy>| {
        let sources = Sources { resource: policy, owner: Some(owner), ..Sources::default() };
        principal.verdict(row.action, arn, &asked, (&sources, Pins::nobody()))
    };
    // A Deny of any goes before an Allow of another. Where none says anything, those of who asks are missing one.
    let rank = |verdict: Verdict| (verdict.is_denied(), verdict.is_allowed());
    let of_vault = [access, lock].into_iter().flatten().map(|policy| ask(Some(&policy)));
    let verdict =
        of_vault.fold(ask(None), |decides, next| if rank(next) > rank(decides) { next } else { decides });
    if verdict.is_allowed() {
        return Ok(());
    }
    let (who, action) = (principal.arn().unwrap_or_else(|| "anonymous".to_owned()), row.action);
    let because = verdict.because(action);
    Err(GlacierError::denied(format!(
        "User: {who} is not authorized to perform: {action} on resource: {arn} {because}"
    )))
}

/// What is not there has no policy, no tags and no age: that it is not is said to whom may ask. What can't be read is another thing: a
/// Deny may hang on it.
pub(super) fn there<T>(outcome: archive::vault::Result<T>) -> Result<Option<T>, GlacierError> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(archive::vault::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A policy that was found good once; one that is so no more denies all.
fn read(text: &[u8]) -> Policy {
    let text = std::str::from_utf8(text).unwrap_or_default();
    Policy::parse(text, Form::Resource, POLICY_BYTES_MAX).unwrap_or_else(|_| Policy::denying_all())
}
