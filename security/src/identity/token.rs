//! What a session's token says.
//!
//! A token is `firn1.` and the base64 of what the key table seals (docs/formats/identities.md). It holds the session's secret too, so that
//! nothing of a session is kept here. The access key's id is authenticated with it: a token goes with no other key.

use super::Tag;
use super::id::EntityId;
use super::row::{put_tags, tags};
use crate::credentials::TokenError;
use crate::keys::{KeyScope, KeyTable};
use crate::{AccountId, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::clock::Timestamp;
use std::fmt;
use zeroize::Zeroizing;

const PREFIX: &str = "firn1.";
/// Longest token that is looked at.
const TOKEN_MAX: usize = 16 << 10;

/// Whose session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum SessionKind {
    /// A user's, or root's, own.
    Own = 1,
    /// A role's.
    Role = 2,
    /// Somebody else's, made by a user or root.
    Federated = 3,
    /// A user's who signed in by a password.
    SignedIn = 4,
    /// A role's, of whom an OIDC provider vouches for.
    Web = 5,
}

/// Whom a provider vouches for, as a session has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vouched {
    /// The issuer's URL, without its scheme.
    pub(crate) issuer: Box<str>,
    pub(crate) audience: Box<str>,
    pub(crate) subject: Box<str>,
    /// How they have proven who they are.
    pub(crate) methods: Vec<Box<str>>,
}

impl Vouched {
    /// Hands a claim to `each` if the key is the issuer's; false where it is not.
    pub(crate) fn visit(&self, key: &str, each: &mut dyn FnMut(&str)) -> bool {
        let of_issuer = key.rsplit_once(':').filter(|(name, _)| name.eq_ignore_ascii_case(&self.issuer));
        match of_issuer.map(|(_, claim)| claim) {
            None => return false,
            Some("amr") => self.methods.iter().for_each(|method| each(method)),
            Some("aud") => each(&self.audience),
            Some("sub") => each(&self.subject),
            Some(_) => {}
        }
        true
    }
}

/// What a session's token says, once it is opened.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    pub(crate) account: AccountId,
    pub(crate) kind: SessionKind,
    /// The user or role; [`EntityId::ROOT`]: the account's root.
    pub(crate) entity: EntityId,
    /// The session's name; of one's own none.
    pub(crate) name: Box<str>,
    pub(crate) issued: Timestamp,
    pub(crate) expires: Timestamp,
    /// When a second factor was shown.
    pub(crate) mfa: Option<Timestamp>,
    pub(crate) source_identity: Option<Box<str>>,
    pub(crate) tags: Vec<Tag>,
    /// Keys of those tags that go on to sessions of this session.
    pub(crate) transitive: Vec<Box<str>>,
    /// It is bounded, by these together.
    pub(crate) bounded: bool,
    pub(crate) policy: Option<Box<str>>,
    pub(crate) policy_arns: Vec<Box<str>>,
    pub(crate) secret: Zeroizing<String>,
    /// Of [`SessionKind::Web`] alone.
    pub(crate) vouched: Option<Vouched>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:?} {:?} {} of {})", self.kind, self.entity, self.name, self.account)
    }
}

pub(super) fn texts(fields: &mut RecordReader<'_>) -> engine::Result<Vec<Box<str>>> {
    let count = fields.count()?;
    let mut texts = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        texts.push(fields.text()?.into());
    }
    Ok(texts)
}

fn flag(fields: &mut RecordReader<'_>) -> engine::Result<bool> {
    match fields.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(fields.corrupt("neither yes nor no")),
    }
}

fn optional(fields: &mut RecordReader<'_>) -> engine::Result<Option<Box<str>>> {
    Ok(if flag(fields)? { Some(fields.text()?.into()) } else { None })
}

impl Record for Token {
    const NAME: &'static str = "session token";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.fixed(&self.account.to_bytes())
            .u8(self.kind as u8)
            .fixed(self.entity.as_bytes())
            .text(&self.name);
        out.i64(self.issued.as_millis()).i64(self.expires.as_millis());
        out.u8(u8::from(self.mfa.is_some())).i64(self.mfa.unwrap_or_default().as_millis());
        for text in [&self.source_identity, &self.policy] {
            out.u8(u8::from(text.is_some()));
            if let Some(text) = text {
                out.text(text);
            }
        }
        put_tags(out, &self.tags);
        for list in [&self.transitive, &self.policy_arns] {
            out.count(list.len());
            for text in list {
                out.text(text);
            }
        }
        out.u8(u8::from(self.bounded)).text(&self.secret);
        if let Some(Vouched { issuer, audience, subject, methods }) = &self.vouched {
            out.text(issuer).text(audience).text(subject).count(methods.len());
            for method in methods {
                out.text(method);
            }
        }
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let account = AccountId::from_bytes(fields.fixed()?).map_err(|_| fields.corrupt("no account"))?;
        let kind = match fields.u8()? {
            1 => SessionKind::Own,
            2 => SessionKind::Role,
            3 => SessionKind::Federated,
            4 => SessionKind::SignedIn,
            5 => SessionKind::Web,
            other => return Err(fields.corrupt(format!("kind {other} is unknown"))),
        };
        let entity = EntityId::read(fields)?;
        let name = fields.text()?.into();
        let (issued, expires) = (fields.i64()?, fields.i64()?);
        let (shown, mfa) = (flag(fields)?, fields.i64()?);
        let (source_identity, policy) = (optional(fields)?, optional(fields)?);
        let tags = tags(fields)?;
        let (transitive, policy_arns) = (texts(fields)?, texts(fields)?);
        let (bounded, secret) = (flag(fields)?, Zeroizing::new(fields.text()?.to_owned()));
        let vouched = match kind {
            SessionKind::Web => Some(Vouched {
                issuer: fields.text()?.into(),
                audience: fields.text()?.into(),
                subject: fields.text()?.into(),
                methods: texts(fields)?,
            }),
            _ => None,
        };
        Ok(Self {
            account,
            kind,
            entity,
            name,
            issued: Timestamp::from_millis(issued),
            expires: Timestamp::from_millis(expires),
            mfa: shown.then_some(Timestamp::from_millis(mfa)),
            source_identity,
            tags,
            transitive,
            bounded,
            policy,
            policy_arns,
            secret,
            vouched,
        })
    }
}

fn aad(access_key_id: &str) -> Vec<u8> {
    [b"firn session\0", access_key_id.as_bytes()].concat()
}

impl Token {
    /// What goes along with each request of the session.
    pub(super) fn seal(&self, keys: &KeyTable, access_key_id: &str) -> Result<String> {
        let plain = Zeroizing::new(self.to_bytes().to_vec());
        let sealed = keys.seal(KeyScope::sessions(self.account), &plain, &aad(access_key_id))?;
        Ok(format!("{PREFIX}{}", STANDARD.encode(sealed)))
    }

    /// What a token says that is this key's, and not over.
    pub(super) fn open(
        keys: &KeyTable,
        (access_key_id, token): (&str, &str),
        now: Timestamp,
    ) -> Result<Self, TokenError> {
        let text = token.strip_prefix(PREFIX).filter(|text| text.len() <= TOKEN_MAX);
        let sealed = text.and_then(|text| STANDARD.decode(text).ok()).ok_or(TokenError::Invalid)?;
        let plain = keys.unseal(&sealed, &aad(access_key_id)).map_err(|_| TokenError::Invalid)?;
        let token = Self::from_bytes(&plain).map_err(|_| TokenError::Invalid)?;
        if now >= token.expires { Err(TokenError::Expired) } else { Ok(token) }
    }
}
