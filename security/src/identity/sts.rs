//! Sessions: sealed tokens, without rows. Source: STS's API reference and API model.

use super::error::{Code, IdentityError, Result};
use super::id::EntityId;
use super::lookup::{ATTEMPTS_MAX, find_policy, merged};
use super::row::{self, EntityRow, RoleRow};
use super::token::{SessionKind, Token, Vouched};
use super::{
    AssumeRole, CallerIdentity, FederationToken, Identities, Kind, Session, SessionBounds, Shown, Tag,
    Temporary, document, limit, name, named,
};
use crate::credentials::{AccessKeyId, CredentialLookup as _, SecretKey};
use crate::keys::KeyScope;
use crate::policy::{Caller, Context, Form, Sources};
use crate::principal::{PrincipalContext, Who};
use crate::{AccountId, Principal};
use engine::clock::Timestamp;
use std::time::Duration;
use zeroize::Zeroizing;

/// Shortest session.
const SECS_MIN: u32 = 900;
/// Longest session of a role that a session of a role asks for.
pub(super) const CHAINED_SECS_MAX: u32 = 3_600;
/// Longest session of a user for itself or somebody else, and of root.
const OWN_SECS: (u32, u32) = (129_600, 3_600);
/// How long those last where nobody said.
const OWN_SECS_DEFAULT: u32 = 43_200;
/// What of a session's policies and tags fits its token, in bytes.
const PACKED_MAX: usize = 4 << 10;

fn denied(who: &Principal, action: &str, resource: &str) -> IdentityError {
    let who = who.arn().unwrap_or_else(|| "anonymous".to_owned());
    let message = format!("User: {who} is not authorized to perform: {action} on resource: {resource}");
    IdentityError::new(Code::AccessDenied, message)
}

/// What is asked of a role, in front of what the request says of itself.
struct Asked<'a> {
    wish: &'a AssumeRole<'a>,
    /// All that the session will have of its maker and of the request.
    source_identity: Option<&'a str>,
    role_tags: &'a [Tag],
    account: AccountId,
}

impl Context for Asked<'_> {
    fn visit(&self, key: &str, each: &mut dyn FnMut(&str)) {
        let Self { wish: asked, role_tags, .. } = self;
        let tagged = |tags: &[Tag], wanted: &str, each: &mut dyn FnMut(&str)| {
            tags.iter().filter(|tag| tag.key.to_lowercase() == wanted).for_each(|tag| each(&tag.value));
        };
        match key {
            "sts:externalid" => asked.external_id.into_iter().for_each(each),
            "sts:rolesessionname" => each(asked.session_name),
            "sts:sourceidentity" => self.source_identity.into_iter().for_each(each),
            "sts:transitivetagkeys" => asked.transitive.iter().for_each(|key| each(key)),
            "aws:tagkeys" => asked.tags.iter().for_each(|tag| each(&tag.key)),
            "aws:resourceaccount" => each(&self.account.to_string()),
            _ => {
                if let Some(wanted) = key.strip_prefix("aws:requesttag/") {
                    tagged(asked.tags, wanted, each);
                } else if let Some(wanted) =
                    key.strip_prefix("aws:resourcetag/").or_else(|| key.strip_prefix("iam:resourcetag/"))
                {
                    tagged(role_tags, wanted, each);
                } else {
                    asked.context.visit(key, each);
                }
            }
        }
    }

    fn spend(&self, steps: usize) -> bool {
        self.wish.context.spend(steps)
    }
}

/// A second factor that is shown with the request itself: who asks has a key that lasts, and so none of its own.
struct JustShown<'a> {
    is: bool,
    context: &'a dyn Context,
}

impl Context for JustShown<'_> {
    fn visit(&self, key: &str, each: &mut dyn FnMut(&str)) {
        match key {
            "aws:multifactorauthpresent" if self.is => each("true"),
            "aws:multifactorauthage" if self.is => each("0"),
            _ => self.context.visit(key, each),
        }
    }

    fn spend(&self, steps: usize) -> bool {
        self.context.spend(steps)
    }
}

/// Seconds within bounds.
pub(super) fn duration(asked: Option<u32>, default: u32, max: u32) -> Result<u32> {
    let secs = asked.unwrap_or(default.min(max));
    if secs < SECS_MIN {
        return Err(IdentityError::invalid(format!("durationSeconds must be at least {SECS_MIN}.")));
    }
    if secs > max {
        let message =
            format!("The requested DurationSeconds exceeds the {max} seconds that such a session may last.");
        return Err(IdentityError::invalid(message));
    }
    Ok(secs)
}

/// What a session carries takes so much of what fits, in hundredths.
pub(super) fn packed(bounds: SessionBounds<'_>, tags: &[Tag]) -> Result<u32> {
    let arns: usize = bounds.policy_arns.iter().map(|arn| arn.len() + 2).sum();
    let tags: usize = tags.iter().map(|tag| tag.key.len() + tag.value.len() + 4).sum();
    let bytes = bounds.policy.map_or(0, str::len) + arns + tags;
    if bytes > PACKED_MAX {
        let message = format!(
            "The session's policies and tags take {bytes} bytes; at most {PACKED_MAX} fit its token."
        );
        return Err(IdentityError::new(Code::PackedPolicyTooLarge, message));
    }
    Ok(u32::try_from((bytes * 100).div_ceil(PACKED_MAX)).unwrap_or(100))
}

/// Seconds of a user's own session.
pub(super) fn own_duration(asked: Option<u32>) -> Result<u32> {
    duration(asked, OWN_SECS_DEFAULT, OWN_SECS.0)
}

impl Identities {
    /// A session of a role. Asks the role's trust policy and, where that hands on, the policies of who asks; nothing has to be asked before.
    pub async fn assume_role(&self, asked: AssumeRole<'_>) -> Result<Session> {
        name::session_name("roleSessionName", asked.session_name)?;
        if let Some(source) = asked.source_identity {
            name::session_name("sourceIdentity", source)?;
        }
        name::check_tags(asked.tags)?;
        let (account, _, name) = name::split_arn(asked.role, Kind::Role)?;
        // A code is taken whatever comes of it.
        let mfa = match asked.shown {
            Some(shown) => Some(self.take_shown(asked.who, shown).await?),
            None => None,
        };
        let refused = || denied(asked.who, "sts:AssumeRole", asked.role);
        // Whoever may not learns nothing of what there is.
        let account = account.ok_or_else(refused)?;
        let role = self.role_now(account, name).await?;
        let role = role.filter(|role| role.arn(account) == asked.role).ok_or_else(refused)?;
        let of_role = role.role().ok_or_else(refused)?;
        let made_by = asked.who.identity().and_then(|identity| identity.session.as_ref());
        let inherited = made_by.and_then(|session| session.source_identity.as_deref());
        let source_identity = asked.source_identity.or(inherited);
        if inherited.is_some() && source_identity != inherited {
            return Err(denied(asked.who, "sts:SetSourceIdentity", asked.role));
        }
        let transitive = transitive_of(asked.who);
        self.check_trust(&asked, (account, &role, of_role), (source_identity, mfa), !transitive.is_empty())?;
        let chained = matches!(asked.who.caller(), Caller::Session { .. });
        let max =
            if chained { CHAINED_SECS_MAX.min(of_role.max_session_secs) } else { of_role.max_session_secs };
        let secs = duration(asked.duration_secs, CHAINED_SECS_MAX, max)?;
        if let Some(tag) = asked.tags.iter().find(|tag| has(&transitive, &tag.key)) {
            let message =
                format!("The tag {} is handed on by the session that asks, and can't be set anew.", tag.key);
            return Err(IdentityError::new(Code::InvalidInput, message));
        }
        if let Some(key) = asked.transitive.iter().find(|key| !has(asked.tags, key)) {
            let message = format!("The transitive tag key {key} is none of the session's tags.");
            return Err(IdentityError::new(Code::InvalidInput, message));
        }
        let tags = merged(asked.tags, &transitive).to_vec();
        let packed_percent = packed(asked.bounds, &tags)?;
        let bounds = self.bounds(account, asked.bounds)?;
        let keys = asked.transitive.iter().map(|key| Box::from(*key));
        let token = Draft {
            kind: SessionKind::Role,
            entity: role.id,
            name: asked.session_name,
            secs,
            mfa,
            source_identity,
            transitive: keys.chain(transitive.iter().map(|tag| Box::from(&*tag.key))).collect(),
            tags,
            bounds,
            vouched: None,
        };
        let credentials = self.seal_session(account, token).await?;
        Ok(Session {
            credentials,
            arn: name::session_arn(account, &role.name, asked.session_name),
            id: format!("{}:{}", role.id, asked.session_name),
            packed_percent,
            source_identity: source_identity.map(str::to_owned),
        })
    }

    /// A role by its name, as the account's picture has it.
    pub(super) async fn role_now(&self, account: AccountId, name: &str) -> Result<Option<EntityRow>> {
        for _ in 0..ATTEMPTS_MAX {
            let world = self.world.load_full();
            let Some(picture) = world.accounts.get(&account) else { return Ok(None) };
            let Some(role) = picture.named(Kind::Role, &name.to_ascii_lowercase()) else { return Ok(None) };
            if let Some(row) = self.row_of(account, role).await? {
                return Ok(Some(row));
            }
            tokio::task::yield_now().await;
        }
        Err(IdentityError::new(Code::ConcurrentModification, "The role is being changed. Try again."))
    }

    /// What the trust policy, and the caller's own, say of what is asked.
    fn check_trust(
        &self,
        asked: &AssumeRole<'_>,
        (account, role, of_role): (AccountId, &EntityRow, &RoleRow),
        (source_identity, mfa): (Option<&str>, Option<Timestamp>),
        hands_on_tags: bool,
    ) -> Result<()> {
        let trust = document::compiled(&of_role.trust, Form::Trust);
        let context = Asked { wish: asked, source_identity, role_tags: &role.tags, account };
        let context = PrincipalContext::new(asked.who, self.parts.clock.now(), &context);
        let context = JustShown { is: mfa.is_some(), context: &context };
        // Source: "Roles may not be assumed by root accounts."
        let is_nobody = matches!(asked.who.caller(), Caller::Anonymous | Caller::Root(_));
        let wanted = [
            (true, "sts:AssumeRole"),
            (hands_on_tags || !asked.tags.is_empty(), "sts:TagSession"),
            (source_identity.is_some(), "sts:SetSourceIdentity"),
        ];
        for (_, action) in wanted.iter().filter(|(wanted, _)| *wanted) {
            let sources = Sources {
                resource: Some(&trust),
                owner: Some(account),
                resource_decides: true,
                ..Sources::default()
            };
            let verdict = asked.who.verdict(action, asked.role, &context, (&sources, &of_role.pins));
            if is_nobody || !verdict.is_allowed() {
                return Err(denied(asked.who, action, asked.role));
            }
        }
        Ok(())
    }

    /// Policies that bound a session, as far as they are there.
    pub(super) fn bounds<'a>(
        &self,
        account: AccountId,
        bounds: SessionBounds<'a>,
    ) -> Result<SessionBounds<'a>> {
        if let Some(text) = bounds.policy {
            document::session(text)?;
        }
        if bounds.policy_arns.len() > limit::SESSION_POLICIES {
            return Err(IdentityError::over("PolicyArns", limit::SESSION_POLICIES));
        }
        let world = self.world.load();
        let picture = world.accounts.get(&account);
        for arn in bounds.policy_arns {
            name::split_arn(arn, Kind::Policy)?;
            let own = || picture.is_some_and(|picture| find_policy(picture, account, arn).is_some());
            if named::by_arn(arn).is_none() && !own() {
                let message = format!("Policy {arn} does not exist or is not attachable.");
                return Err(IdentityError::new(Code::NoSuchEntity, message));
            }
        }
        Ok(bounds)
    }

    /// A session of a user or root itself, of a user with a code of its second factor. Needs no permission; sessions get none.
    pub async fn session_token(
        &self,
        who: &Principal,
        duration_secs: Option<u32>,
        shown: Option<Shown<'_>>,
    ) -> Result<Temporary> {
        let (account, entity, max) = lasting(who, "GetSessionToken")?;
        let secs = duration(duration_secs, OWN_SECS_DEFAULT, max)?;
        let mfa = match shown {
            Some(shown) => Some(self.take_shown(who, shown).await?),
            None => None,
        };
        self.own_session(account, (SessionKind::Own, entity), secs, mfa).await
    }

    /// A session of a user who has signed in.
    pub(super) async fn signed_in_session(
        &self,
        account: AccountId,
        user: EntityId,
        secs: u32,
        mfa: Option<Timestamp>,
    ) -> Result<Temporary> {
        self.own_session(account, (SessionKind::SignedIn, user), secs, mfa).await
    }

    async fn own_session(
        &self,
        account: AccountId,
        (kind, entity): (SessionKind, EntityId),
        secs: u32,
        mfa: Option<Timestamp>,
    ) -> Result<Temporary> {
        let draft = Draft {
            kind,
            entity,
            name: "",
            secs,
            mfa,
            source_identity: None,
            tags: Vec::new(),
            transitive: Vec::new(),
            bounds: SessionBounds::default(),
            vouched: None,
        };
        self.seal_session(account, draft).await
    }

    /// The time to the second: what is told is what holds.
    pub(super) fn now_in_seconds(&self) -> Timestamp {
        Timestamp::from_millis(self.parts.clock.now().as_secs().saturating_mul(1000))
    }

    /// A session of a user or root for somebody else. `sts:GetFederationToken` on [`Session::arn`]'s form has to be asked before.
    pub async fn federation_token(&self, asked: FederationToken<'_>) -> Result<Session> {
        let name = name::federated_name(asked.name)?;
        name::check_tags(asked.tags)?;
        let (account, entity, max) = lasting(asked.who, "GetFederationToken")?;
        let secs = duration(asked.duration_secs, OWN_SECS_DEFAULT, max)?;
        let packed_percent = packed(asked.bounds, asked.tags)?;
        let bounds = self.bounds(account, asked.bounds)?;
        let draft = Draft {
            kind: SessionKind::Federated,
            entity,
            name,
            secs,
            mfa: None,
            source_identity: None,
            tags: asked.tags.to_vec(),
            transitive: Vec::new(),
            bounds,
            vouched: None,
        };
        Ok(Session {
            credentials: self.seal_session(account, draft).await?,
            arn: name::federated_arn(account, name),
            id: format!("{account}:{name}"),
            packed_percent,
            source_identity: None,
        })
    }

    /// Who asks. Needs no permission, and no policy can deny it.
    pub fn caller_identity(&self, who: &Principal) -> Result<CallerIdentity> {
        let nobody = || IdentityError::new(Code::AccessDenied, "The request is not signed.");
        let account = who.account().ok_or_else(nobody)?;
        Ok(CallerIdentity { account, arn: who.arn().ok_or_else(nobody)?, user_id: who.user_id() })
    }

    /// Whose account an access key is of. Of a session's key nothing is known without its token.
    pub async fn access_key_account(&self, id: &str) -> Result<AccountId> {
        if let Some(found) = self.lookup(id) {
            return Ok(found.account);
        }
        // Keys that are not in use have an account, too.
        let row: Option<row::AccessKeyRow> =
            self.view(AccountId::from_bytes([0; 8])?).await?.get(row::access_key(id)).await?;
        let absent = || IdentityError::invalid(format!("The access key {id} is of no account here."));
        row.map(|row| row.account).ok_or_else(absent)
    }

    pub(super) async fn seal_session(&self, account: AccountId, draft: Draft<'_>) -> Result<Temporary> {
        self.prepare(KeyScope::sessions(account)).await?;
        let entropy = &*self.parts.entropy;
        let (id, secret) = (AccessKeyId::of_session(entropy), SecretKey::random(entropy));
        let issued = self.now_in_seconds();
        let expires = issued.plus(Duration::from_secs(draft.secs.into()));
        let bounds = draft.bounds;
        let token = Token {
            account,
            kind: draft.kind,
            entity: draft.entity,
            name: draft.name.into(),
            issued,
            expires,
            mfa: draft.mfa,
            source_identity: draft.source_identity.map(Into::into),
            tags: draft.tags,
            transitive: draft.transitive,
            bounded: bounds.policy.is_some() || !bounds.policy_arns.is_empty(),
            policy: bounds.policy.map(Into::into),
            policy_arns: bounds.policy_arns.iter().map(|arn| Box::from(*arn)).collect(),
            secret: Zeroizing::new(secret.expose().to_owned()),
            vouched: draft.vouched,
        };
        let token = token.seal(&self.parts.keys, id.as_str())?;
        Ok(Temporary { id, secret, token, expires })
    }
}

/// A session to be.
pub(super) struct Draft<'a> {
    pub(super) kind: SessionKind,
    pub(super) entity: EntityId,
    pub(super) name: &'a str,
    pub(super) secs: u32,
    pub(super) mfa: Option<Timestamp>,
    pub(super) source_identity: Option<&'a str>,
    pub(super) tags: Vec<Tag>,
    pub(super) transitive: Vec<Box<str>>,
    pub(super) bounds: SessionBounds<'a>,
    /// Who vouched for whom.
    pub(super) vouched: Option<Vouched>,
}

/// Who asks with a key that lasts: account, user or root, and how long a session of theirs may be.
fn lasting(who: &Principal, operation: &str) -> Result<(AccountId, EntityId, u32)> {
    let refused =
        |why: &str| IdentityError::new(Code::AccessDenied, format!("Cannot call {operation} {why}"));
    match who {
        Principal::Anonymous => Err(refused("without a signature")),
        Principal::Root(account) => Ok((*account, EntityId::ROOT, OWN_SECS.1)),
        Principal::Identity(identity) if identity.is_session() => Err(refused("with session credentials")),
        Principal::Identity(identity) => match &identity.who {
            Who::User { .. } => Ok((identity.account, identity.user_id.parse()?, OWN_SECS.0)),
            Who::Root => Ok((identity.account, EntityId::ROOT, OWN_SECS.1)),
            Who::Role { .. } | Who::Federated { .. } => Err(refused("with session credentials")),
        },
    }
}

/// Tags that a session hands on to sessions that it makes.
fn transitive_of(who: &Principal) -> Vec<Tag> {
    let Some(identity) = who.identity() else { return Vec::new() };
    let Some(session) = &identity.session else { return Vec::new() };
    let handed_on =
        |tag: &&Tag| session.transitive.iter().any(|key| key.to_lowercase() == tag.key.to_lowercase());
    identity.tags.iter().filter(handed_on).cloned().collect()
}

fn has(tags: &[Tag], key: &str) -> bool {
    tags.iter().any(|tag| tag.key.to_lowercase() == key.to_lowercase())
}
