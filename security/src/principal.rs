//! Who asks, with all that a decision needs to know of them.
//!
//! ```text
//!   signature ─► key ─► Root, or Identity: names, policies compiled, boundary, session ─┬─► Caller, Sources ─► evaluate
//!                                                                                       └─► PrincipalContext ─► conditions
//! ```
//! What is in here is of the moment at which the request was let in, and does not change.

use crate::credentials::{AccessKeyId, Bearer, CredentialLookup as _, Holder};
use crate::identity::{EntityId, Identities, Pins, Tag, Vouched};
use crate::policy::{self, Asked, Caller, Context, Missing, Policy, Sources, Verdict};
use crate::{AccountId, AmzDate, Arn, CanonicalUser};
use engine::clock::Timestamp;
use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Weak};

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Nobody that we know: an unsigned request.
    Anonymous,
    /// The root user of an account, with a key of its own.
    Root(AccountId),
    /// A user, or a session.
    Identity(Arc<Identity>),
}

impl Principal {
    /// The account that it belongs to.
    pub fn account(&self) -> Option<AccountId> {
        match self {
            Self::Anonymous => None,
            Self::Root(account) => Some(*account),
            Self::Identity(identity) => Some(identity.account),
        }
    }

    /// Whether it is the root of this account, or a session of it.
    pub fn is_root_of(&self, account: AccountId) -> bool {
        self.account() == Some(account) && self.is_root()
    }

    /// Whether it is the root of its account, or a session of it.
    pub fn is_root(&self) -> bool {
        matches!(self.caller(), Caller::Root(_))
    }

    /// Who owns what it makes, and whom grants name: an account.
    pub fn canonical_user(&self) -> CanonicalUser {
        self.account().map_or(CanonicalUser::Anonymous, CanonicalUser::Account)
    }

    /// As policies name it.
    pub fn caller(&self) -> Caller<'_> {
        match self {
            Self::Anonymous => Caller::Anonymous,
            Self::Root(account) => Caller::Root(*account),
            Self::Identity(identity) => identity.caller(),
        }
    }

    /// What `aws:userid` has.
    pub fn user_id(&self) -> String {
        match self {
            Self::Anonymous => "anonymous".to_owned(),
            Self::Root(account) => account.to_string(),
            Self::Identity(identity) => identity.user_id.to_string(),
        }
    }

    /// Its own ARN: of a session the session's. `None`: nobody.
    pub fn arn(&self) -> Option<String> {
        Some(match self.caller() {
            Caller::Root(account) => Arn::root(account).to_string(),
            Caller::User { arn, .. } | Caller::Session { arn, .. } | Caller::Federated { arn, .. } => {
                arn.to_owned()
            }
            Caller::Anonymous | Caller::Provided { .. } | Caller::Service(_) => return None,
        })
    }

    /// Who asks as they are now, if anything changed in their account since they were let in; `None`: nobody any more.
    pub async fn renewed(&self) -> crate::Result<Option<Self>> {
        let Self::Identity(identity) = self else { return Ok(Some(self.clone())) };
        match &identity.source {
            None => Ok(Some(self.clone())),
            Some(source) => source.renewed(identity).await,
        }
    }

    /// Whether it is this very one: a user or session of the same moment, with the same policies and tags.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Identity(one), Self::Identity(other)) => Arc::ptr_eq(one, other),
            _ => self == other,
        }
    }

    /// The user or session, if it is one.
    pub const fn identity(&self) -> Option<&Arc<Identity>> {
        match self {
            Self::Identity(identity) => Some(identity),
            Self::Anonymous | Self::Root(_) => None,
        }
    }

    /// May it do this to what has no policy of its own? `context` has the principal's keys already ([`PrincipalContext`]).
    pub fn may(&self, action: &str, resource: &str, owner: AccountId, context: &dyn Context) -> Verdict {
        let sources = Sources { owner: Some(owner), ..Sources::default() };
        self.verdict(action, resource, context, (&sources, Pins::nobody()))
    }

    /// The same, with what is known of the resource, and whom its policy names by ARN; the caller's own sources are filled in.
    pub fn verdict(
        &self,
        action: &str,
        resource: &str,
        context: &dyn Context,
        (of_resource, pins): (&Sources<'_>, &Pins),
    ) -> Verdict {
        let Self::Identity(identity) = self else {
            let asked = Asked { caller: self.caller(), action, resource, context };
            return policy::evaluate(&asked, of_resource);
        };
        let (name, session) = identity.named_by(pins);
        let asked = Asked { caller: identity.caller_called(&name, &session), action, resource, context };
        if !identity.reaches(action) {
            return Verdict::NotAllowed(Missing::Session);
        }
        let identity_policies: Vec<&Policy> = identity.policies.iter().map(Arc::as_ref).collect();
        let session: Option<Vec<&Policy>> = identity.session.as_ref().and_then(SessionFacts::policies);
        let sources = Sources {
            identity: &identity_policies,
            boundary: identity.boundary.as_deref(),
            session: session.as_deref(),
            ..*of_resource
        };
        policy::evaluate(&asked, &sources)
    }
}

/// Which kind of identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// The account's root, by a session of it.
    Root,
    /// A user, or a session of it.
    User {
        /// Its name.
        name: Box<str>,
        /// Its ARN.
        arn: Box<str>,
    },
    /// A role's session.
    Role {
        /// The session's ARN.
        arn: Box<str>,
        /// The role's.
        role: Box<str>,
    },
    /// A session for somebody else.
    Federated {
        /// The session's ARN.
        arn: Box<str>,
        /// Its maker's.
        maker: Box<str>,
    },
}

/// A user or a session.
pub struct Identity {
    pub(crate) account: AccountId,
    pub(crate) who: Who,
    /// The user or role behind it.
    pub(crate) entity: EntityId,
    /// `AIDA…`, `AROA…:SESSION`, `ACCOUNT:NAME`
    pub(crate) user_id: Box<str>,
    /// The key that signed.
    pub(crate) access_key: Option<AccessKeyId>,
    /// The entity's, under those of the session.
    pub(crate) tags: Box<[Tag]>,
    /// Its own and its groups'.
    pub(crate) policies: Box<[Arc<Policy>]>,
    pub(crate) boundary: Option<Arc<Policy>>,
    /// What it has as a session.
    pub(crate) session: Option<SessionFacts>,
    /// Where it is known from.
    pub(crate) source: Option<Source>,
}

/// Where a user or session is known from.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) identities: Weak<Identities>,
    /// Of the picture that it was made from.
    pub(crate) number: u64,
    pub(crate) holder: Holder,
}

impl Source {
    async fn renewed(&self, identity: &Arc<Identity>) -> crate::Result<Option<Principal>> {
        let closed = || crate::Error::from(engine::Error::Closed);
        let identities = self.identities.upgrade().ok_or_else(closed)?;
        if identities.is_current(identity.account, self.number) {
            return Ok(Some(Principal::Identity(Arc::clone(identity))));
        }
        let Some(access_key_id) = &identity.access_key else { return Ok(None) };
        let bearer = Bearer { account: identity.account, holder: &self.holder, access_key_id, service: "s3" };
        identities.principal(bearer).await
    }
}

/// What a session has beside what it is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SessionFacts {
    pub(crate) issued: Timestamp,
    pub(crate) expires: Timestamp,
    /// When a second factor was shown.
    pub(crate) mfa: Option<Timestamp>,
    /// Whether it is of somebody who signed in by a password.
    pub(crate) signed_in: bool,
    pub(crate) source_identity: Option<Box<str>>,
    /// Who vouched for whom, where it is of somebody who is known elsewhere.
    pub(crate) vouched: Option<Vouched>,
    /// Tags that go on to sessions of this session, by their keys.
    pub(crate) transitive: Box<[Box<str>]>,
    /// Those that it was made with; `None`: none.
    pub(crate) policies: Option<Box<[Arc<Policy>]>>,
}

impl SessionFacts {
    fn policies(&self) -> Option<Vec<&Policy>> {
        Some(self.policies.as_ref()?.iter().map(Arc::as_ref).collect())
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.account == other.account && self.user_id == other.user_id && self.who == other.who
    }
}

impl Eq for Identity {}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?}, {})", self.caller(), self.user_id)
    }
}

impl Identity {
    /// As policies name it.
    pub fn caller(&self) -> Caller<'_> {
        self.caller_called(self.name(), self.session_arn())
    }

    /// The ARN of the user or role behind it.
    fn name(&self) -> &str {
        match &self.who {
            Who::Root => "",
            Who::User { arn, .. } => arn,
            Who::Role { role, .. } => role,
            Who::Federated { maker, .. } => maker,
        }
    }

    /// Its own ARN, if it is a session that has one.
    fn session_arn(&self) -> &str {
        match &self.who {
            Who::Root | Who::User { .. } => "",
            Who::Role { arn, .. } | Who::Federated { arn, .. } => arn,
        }
    }

    /// The ARNs by which a document means the user or role behind it, and its session.
    fn named_by<'a>(&'a self, pins: &'a Pins) -> (Cow<'a, str>, Cow<'a, str>) {
        let session = match &self.who {
            Who::Role { arn, .. } => pins.meant_session(arn, self.entity),
            _ => Cow::Borrowed(self.session_arn()),
        };
        (pins.meant(self.name(), self.entity), session)
    }

    /// The caller, whose user or role is called so, and its session so.
    fn caller_called<'a>(&'a self, name: &'a str, session: &'a str) -> Caller<'a> {
        let account = self.account;
        match &self.who {
            Who::Root => Caller::Root(account),
            Who::User { .. } => Caller::User { account, arn: name },
            Who::Role { .. } => Caller::Session { account, arn: session, role: name },
            Who::Federated { .. } => Caller::Federated { account, arn: session, user: name },
        }
    }

    /// Its account.
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// What it is called in its account, if it is a user.
    pub fn user_name(&self) -> Option<&str> {
        match &self.who {
            Who::User { name, .. } => Some(name),
            Who::Root | Who::Role { .. } | Who::Federated { .. } => None,
        }
    }

    /// The key that signed.
    pub const fn access_key(&self) -> Option<&AccessKeyId> {
        self.access_key.as_ref()
    }

    /// The ARN of the provider that vouched for it, if one did.
    pub(crate) fn provider(&self) -> Option<String> {
        let vouched = self.session.as_ref()?.vouched.as_ref()?;
        Some(format!("arn:aws:iam::{}:oidc-provider/{}", self.account, vouched.issuer))
    }

    /// Whether it is a session, with a key that ends.
    pub const fn is_session(&self) -> bool {
        self.session.is_some()
    }

    /// What sessions may not call at all, whatever their policies say: a user's own nothing of IAM without a second factor unless it signed in, and
    /// of STS two operations; somebody else's nothing of IAM, and of STS one. Source: `id_credentials_temp_control-access_getsessiontoken` and
    /// `…_getfederationtoken` of the IAM user guide.
    fn reaches(&self, action: &str) -> bool {
        let Some(session) = &self.session else { return true };
        let (service, name) = action.split_once(':').unwrap_or((action, ""));
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        match (&self.who, service.to_ascii_lowercase().as_str()) {
            (Who::User { .. } | Who::Root, "iam") => session.mfa.is_some() || session.signed_in,
            // What AssumeRole asks for besides is no operation of its own.
            (Who::User { .. } | Who::Root, "sts") => {
                ["AssumeRole", "GetCallerIdentity", "TagSession", "SetSourceIdentity"].into_iter().any(is)
            }
            (Who::Federated { .. }, "iam") => false,
            (Who::Federated { .. }, "sts") => is("GetCallerIdentity"),
            // A role's session may whatever its policies say.
            _ => true,
        }
    }
}

/// A request's context with the keys of its principal in front.
#[derive(Clone, Copy)]
pub struct PrincipalContext<'a> {
    principal: &'a Principal,
    now: Timestamp,
    request: &'a dyn Context,
}

impl<'a> PrincipalContext<'a> {
    /// At this time.
    pub const fn new(principal: &'a Principal, now: Timestamp, request: &'a dyn Context) -> Self {
        Self { principal, now, request }
    }
}

impl Context for PrincipalContext<'_> {
    fn visit(&self, key: &str, each: &mut dyn FnMut(&str)) {
        if !self.principal.visit(key, self.now, each) {
            self.request.visit(key, each);
        }
    }

    fn spend(&self, steps: usize) -> bool {
        self.request.spend(steps)
    }
}

impl Principal {
    /// Hands each value of a condition key (in lower case) that is the principal's own to `each`; false for a key that is not, true also
    /// where the principal has none of it. Source: "AWS global condition context keys" of the IAM user guide.
    pub fn visit(&self, key: &str, now: Timestamp, each: &mut dyn FnMut(&str)) -> bool {
        let identity = self.identity();
        let session = identity.and_then(|identity| identity.session.as_ref());
        match key {
            "aws:principaltype" => each(self.caller().principal_type()),
            "aws:principalarn" => {
                if let Some(arn) = self.caller().principal_arn() {
                    each(&arn);
                }
            }
            // Of an unsigned request too.
            "aws:principalaccount" => match self.account() {
                None => each("anonymous"),
                Some(account) => each(&account.to_string()),
            },
            "aws:userid" => each(&self.user_id()),
            "aws:username" => {
                if let Some(name) = identity.and_then(|identity| identity.user_name()) {
                    each(name);
                }
            }
            "aws:tokenissuetime" => {
                if let Some(session) = session {
                    each(&AmzDate::from_timestamp(session.issued).extended());
                }
            }
            // Absent with a key that lasts.
            "aws:multifactorauthpresent" => {
                if let Some(session) = session {
                    each(if session.mfa.is_some() { "true" } else { "false" });
                }
            }
            "aws:multifactorauthage" => {
                if let Some(shown) = session.and_then(|session| session.mfa) {
                    each(&now.since(shown).as_secs().to_string());
                }
            }
            "aws:sourceidentity" => {
                if let Some(who) = session.and_then(|session| session.source_identity.as_deref()) {
                    each(who);
                }
            }
            "aws:federatedprovider" => {
                if let Some(provider) = identity.and_then(|identity| identity.provider()) {
                    each(&provider);
                }
            }
            _ => {
                let Some(wanted) = key.strip_prefix("aws:principaltag/") else {
                    let vouched = session.and_then(|session| session.vouched.as_ref());
                    return vouched.is_some_and(|vouched| vouched.visit(key, each));
                };
                let tags = identity.map(|identity| &*identity.tags).unwrap_or_default();
                let found = tags.iter().filter(|tag| tag.key.to_lowercase() == wanted);
                found.for_each(|tag| each(&tag.value));
            }
        }
        true
    }
}
