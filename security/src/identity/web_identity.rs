//! Sessions of roles for whom an OIDC provider vouches. Source: `AssumeRoleWithWebIdentity` of STS's API reference, and "IAM and AWS STS
//! condition context keys" of the IAM user guide.

use super::error::{Code, IdentityError, Result};
use super::oidc::{Issuers, WebIdentity};
use super::sts::{CHAINED_SECS_MAX, Draft, duration, packed};
use super::token::{SessionKind, Vouched};
use super::{AssumeRoleWithWebIdentity, Identities, Kind, Session, Tag, document, name};
use crate::AccountId;
use crate::credentials::CredentialLookup as _;
use crate::policy::{self, Caller, Context, Form, Sources};

/// What may be asked of a trust policy, in front of what the request says of itself.
struct Asked<'a> {
    wish: &'a AssumeRoleWithWebIdentity<'a>,
    /// The provider's ARN.
    provider: &'a str,
    role_tags: &'a [Tag],
    account: AccountId,
}

impl Asked<'_> {
    /// A claim, as a condition key names it.
    fn visit_claim(&self, claim: &str, each: &mut dyn FnMut(&str)) {
        let who = self.wish.identity;
        match claim {
            "amr" => who.methods.iter().for_each(|method| each(method)),
            "aud" => each(&who.audience),
            "email" => who.email.as_deref().into_iter().for_each(each),
            "oaud" => who.audiences.iter().for_each(|audience| each(audience)),
            "sub" => each(&who.subject),
            _ => {}
        }
    }
}

fn tagged(tags: &[Tag], wanted: &str, each: &mut dyn FnMut(&str)) {
    tags.iter().filter(|tag| tag.key.to_lowercase() == wanted).for_each(|tag| each(&tag.value));
}

impl Context for Asked<'_> {
    fn visit(&self, key: &str, each: &mut dyn FnMut(&str)) {
        let who = self.wish.identity;
        let of_issuer = key.rsplit_once(':').filter(|(name, _)| name.eq_ignore_ascii_case(who.issuer.name()));
        if let Some((_, claim)) = of_issuer {
            return self.visit_claim(claim, each);
        }
        match key {
            "aws:federatedprovider" => each(self.provider),
            "aws:resourceaccount" => each(&self.account.to_string()),
            "aws:tagkeys" => who.tags.iter().for_each(|tag| each(&tag.key)),
            "sts:rolesessionname" => each(self.wish.session_name),
            "sts:sourceidentity" => who.source_identity.as_deref().into_iter().for_each(each),
            "sts:transitivetagkeys" => who.transitive.iter().for_each(|key| each(key)),
            _ => {
                if let Some(wanted) = key.strip_prefix("aws:requesttag/") {
                    tagged(&who.tags, wanted, each);
                } else if let Some(wanted) =
                    key.strip_prefix("aws:resourcetag/").or_else(|| key.strip_prefix("iam:resourcetag/"))
                {
                    tagged(self.role_tags, wanted, each);
                } else {
                    self.wish.context.visit(key, each);
                }
            }
        }
    }

    fn spend(&self, steps: usize) -> bool {
        self.wish.context.spend(steps)
    }
}

fn denied(action: &str) -> IdentityError {
    IdentityError::new(Code::AccessDenied, format!("Not authorized to perform {action}"))
}

impl Identities {
    /// Whom a token is about, by a provider of the role's account.
    pub async fn web_identity(&self, issuers: &Issuers, role: &str, token: &str) -> Result<WebIdentity> {
        let (account, ..) = name::split_arn(role, Kind::Role)?;
        let claimed = Issuers::claimed(token)?;
        let account = account.filter(|account| self.has_account(*account));
        let found = match account {
            Some(account) => self.provider_of(account, &claimed).await?,
            None => None,
        };
        let (issuer, clients) = found.ok_or_else(|| {
            let message = format!("No OpenIDConnect provider found in your account for {claimed}");
            IdentityError::new(Code::InvalidIdentityToken, message)
        })?;
        issuers.verify(token, (&issuer, &clients)).await
    }

    /// A session of a role for whom a provider vouches. The role's trust policy decides.
    pub async fn assume_role_with_web_identity(
        &self,
        asked: AssumeRoleWithWebIdentity<'_>,
    ) -> Result<Session> {
        const ACTION: &str = "sts:AssumeRoleWithWebIdentity";
        let who = asked.identity;
        name::session_name("roleSessionName", asked.session_name)?;
        let (account, _, name) = name::split_arn(asked.role, Kind::Role)?;
        // Whoever may not learns nothing of what there is.
        let account = account.ok_or_else(|| denied(ACTION))?;
        let role = self.role_now(account, name).await?.filter(|role| role.arn(account) == asked.role);
        let role = role.ok_or_else(|| denied(ACTION))?;
        let of_role = role.role().ok_or_else(|| denied(ACTION))?;
        let provider = who.provider_arn(account);
        let trust = document::compiled(&of_role.trust, Form::Trust);
        let context = Asked { wish: &asked, provider: &provider, role_tags: &role.tags, account };
        let wanted = [
            (true, ACTION),
            (!who.tags.is_empty(), "sts:TagSession"),
            (who.source_identity.is_some(), "sts:SetSourceIdentity"),
        ];
        for (_, action) in wanted.iter().filter(|(wanted, _)| *wanted) {
            let sources = Sources {
                resource: Some(&trust),
                owner: Some(account),
                resource_decides: true,
                ..Sources::default()
            };
            let caller = Caller::Provided { provider: &provider };
            let asked = policy::Asked { caller, action, resource: asked.role, context: &context };
            if !policy::evaluate(&asked, &sources).is_allowed() {
                return Err(denied(action));
            }
        }
        let secs = duration(asked.duration_secs, CHAINED_SECS_MAX, of_role.max_session_secs)?;
        let packed_percent = packed(asked.bounds, &who.tags)?;
        let bounds = self.bounds(account, asked.bounds)?;
        let draft = Draft {
            kind: SessionKind::Web,
            entity: role.id,
            name: asked.session_name,
            secs,
            mfa: None,
            source_identity: who.source_identity.as_deref(),
            tags: who.tags.clone(),
            transitive: who.transitive.clone(),
            bounds,
            vouched: Some(Vouched {
                issuer: who.issuer.name().into(),
                audience: who.audience.clone(),
                subject: who.subject.clone(),
                methods: who.methods.clone(),
            }),
        };
        Ok(Session {
            credentials: self.seal_session(account, draft).await?,
            arn: name::session_arn(account, &role.name, asked.session_name),
            id: format!("{}:{}", role.id, asked.session_name),
            packed_percent,
            source_identity: who.source_identity.as_deref().map(str::to_owned),
        })
    }
}
