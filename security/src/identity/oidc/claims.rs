//! What a token says, once its signature holds. Source: `OpenID` Connect Core 1.0, 2 and 3.1.3.7, and what STS asks of a token.

use super::issuer::Issuer;
use crate::AccountId;
use crate::identity::{Code, IdentityError, Result, Tag, name};
use crate::policy::tree::Tree;
use engine::clock::Timestamp;

/// How far ahead of ours an issuer's clock may be.
const SKEW_SECS: i64 = 60;
/// Characters of a subject, as STS's model has it, and of other texts.
const TEXT_MAX: usize = 255;
/// Audiences of a token, and methods by which somebody has proven who they are.
const AUDIENCES_MAX: usize = 100;
const METHODS_MAX: usize = 16;
/// Bytes of all of those: a session's token carries them.
const METHODS_BYTES_MAX: usize = 1 << 10;
/// Later than any time that is told: the end of the year 9999.
const TIME_MAX: i64 = 253_402_300_799;
/// Claims that STS takes session tags and a source identity from.
const TAGS: &str = "https://aws.amazon.com/tags";
const SOURCE_IDENTITY: &str = "https://aws.amazon.com/source_identity";

/// Somebody whom an issuer vouches for. There is none but what [`Issuers`](super::Issuers) has verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebIdentity {
    pub(in crate::identity) issuer: Issuer,
    /// The client that the token was made for.
    pub(in crate::identity) audience: Box<str>,
    pub(in crate::identity) audiences: Vec<Box<str>>,
    pub(in crate::identity) subject: Box<str>,
    pub(in crate::identity) methods: Vec<Box<str>>,
    pub(in crate::identity) email: Option<Box<str>>,
    pub(in crate::identity) source_identity: Option<Box<str>>,
    pub(in crate::identity) tags: Vec<Tag>,
    /// Keys of those tags that go on to sessions of the session.
    pub(in crate::identity) transitive: Vec<Box<str>>,
}

impl WebIdentity {
    /// Who issued the token.
    pub const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The ARN of the account's provider that it is of.
    pub fn provider_arn(&self, account: AccountId) -> String {
        crate::identity::providers::arn(account, self.issuer.name())
    }

    /// Whom it is about.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The client that it was made for.
    pub fn audience(&self) -> &str {
        &self.audience
    }
}

fn invalid(message: impl Into<String>) -> IdentityError {
    IdentityError::new(Code::InvalidIdentityToken, message)
}

fn rejected(message: impl Into<String>) -> IdentityError {
    IdentityError::new(Code::IdpRejectedClaim, message)
}

/// A text of 1 to 255 characters without control characters.
fn bounded(value: &Tree) -> Option<&str> {
    let text = value.text()?;
    let fits = (1..=TEXT_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    fits.then_some(text)
}

fn wrong(name: &str) -> IdentityError {
    invalid(format!("The token's claim {name} is not of its form."))
}

fn text<'t>(claims: &'t Tree, name: &str) -> Result<Option<&'t str>> {
    claims.member(name).map(|value| bounded(value).ok_or_else(|| wrong(name))).transpose()
}

fn needed<'t>(claims: &'t Tree, name: &str) -> Result<&'t str> {
    text(claims, name)?.ok_or_else(|| missing(name))
}

fn missing(name: &str) -> IdentityError {
    invalid(format!("Missing a required claim: {name}"))
}

/// One text, or several.
fn texts(claims: &Tree, name: &str, max: usize) -> Result<Vec<Box<str>>> {
    let one = |value: &Tree| bounded(value).map(Box::from).ok_or_else(|| wrong(name));
    match claims.member(name) {
        None => Ok(Vec::new()),
        Some(Tree::List(all)) if all.len() <= max => all.iter().map(one).collect(),
        Some(value) => Ok(vec![one(value)?]),
    }
}

/// Seconds since the epoch; a part of one counts for nothing.
fn seconds(claims: &Tree, name: &str) -> Result<Option<i64>> {
    let Some(value) = claims.member(name) else { return Ok(None) };
    let Tree::Number(number) = value else { return Err(wrong(name)) };
    let whole = number.split_once('.').map_or(number.as_str(), |(whole, _)| whole);
    let seconds: i64 = whole.parse().map_err(|_| wrong(name))?;
    if (0..=TIME_MAX).contains(&seconds) { Ok(Some(seconds)) } else { Err(wrong(name)) }
}

/// Who issued it, as it says itself: by that its provider is found, before anything of it is believed.
pub(super) fn issuer_of(claims: &Tree) -> Result<&str> {
    needed(claims, "iss")
}

/// When it counts.
fn check_times(claims: &Tree, now: Timestamp) -> Result<()> {
    let now = now.as_secs();
    let expires = seconds(claims, "exp")?.ok_or_else(|| missing("exp"))?;
    let issued = seconds(claims, "iat")?.ok_or_else(|| missing("iat"))?;
    if now >= expires {
        return Err(IdentityError::new(Code::ExpiredIdentityToken, "The token is expired."));
    }
    if issued > now + SKEW_SECS {
        return Err(rejected("The token was issued in the future."));
    }
    if seconds(claims, "nbf")?.is_some_and(|begin| begin > now + SKEW_SECS) {
        return Err(rejected("The token does not count yet."));
    }
    Ok(())
}

/// For whom it was made: all of whom it says, and which client that is.
fn check_audience(claims: &Tree, clients: &[Box<str>]) -> Result<(Vec<Box<str>>, Box<str>)> {
    let audiences = texts(claims, "aud", AUDIENCES_MAX)?;
    let Some(first) = audiences.first() else { return Err(missing("aud")) };
    if !audiences.iter().any(|audience| clients.contains(audience)) {
        return Err(invalid("Incorrect token audience"));
    }
    match text(claims, "azp")? {
        Some(party) if clients.iter().any(|client| **client == *party) => {
            let party = party.into();
            Ok((audiences, party))
        }
        Some(_) => Err(rejected("The token's azp is none of the provider's client IDs.")),
        None if audiences.len() == 1 => {
            let first = first.clone();
            Ok((audiences, first))
        }
        None => Err(rejected("The token has several audiences and no azp.")),
    }
}

/// Tags of the session that it asks for, and which of them go on.
fn session_tags(claims: &Tree) -> Result<(Vec<Tag>, Vec<Box<str>>)> {
    let flat = format!("{TAGS}/");
    if let Tree::Object(all) = claims
        && all.iter().any(|(name, _)| name.starts_with(&flat))
    {
        // Left out they would be missed by what denies by them.
        return Err(invalid(format!("Tags are taken from one object, the claim {TAGS}.")));
    }
    let Some(said) = claims.member(TAGS) else { return Ok(Default::default()) };
    let Tree::Object(_) = said else { return Err(wrong(TAGS)) };
    let mut tags = Vec::new();
    if let Some(principal_tags) = said.member("principal_tags") {
        let Tree::Object(all) = principal_tags else { return Err(wrong(TAGS)) };
        for (key, value) in all {
            let value = match value {
                Tree::List(one) if one.len() == 1 => one.first().and_then(Tree::text),
                value => value.text(),
            };
            tags.push(Tag { key: key.clone(), value: value.ok_or_else(|| wrong(TAGS))?.to_owned() });
        }
    }
    let transitive = texts(said, "transitive_tag_keys", AUDIENCES_MAX)?;
    name::check_tags(&tags).map_err(|error| invalid(error.message))?;
    let has = |key: &str| tags.iter().any(|tag| tag.key.to_lowercase() == key.to_lowercase());
    if transitive.iter().any(|key| !has(key)) {
        return Err(invalid("A transitive tag key is none of the session's tags."));
    }
    Ok((tags, transitive))
}

/// All that a token says, of which everything holds.
pub(super) fn check(
    claims: &Tree,
    issuer: &Issuer,
    clients: &[Box<str>],
    now: Timestamp,
) -> Result<WebIdentity> {
    if issuer_of(claims)? != issuer.url() {
        return Err(invalid("The token is another issuer's."));
    }
    let (audiences, audience) = check_audience(claims, clients)?;
    check_times(claims, now)?;
    let subject = needed(claims, "sub")?.into();
    let source_identity = text(claims, SOURCE_IDENTITY)?;
    if let Some(source) = source_identity {
        name::session_name("sourceIdentity", source).map_err(|error| invalid(error.message))?;
    }
    let (tags, transitive) = session_tags(claims)?;
    let methods = texts(claims, "amr", METHODS_MAX)?;
    if methods.iter().map(|method| method.len()).sum::<usize>() > METHODS_BYTES_MAX {
        return Err(wrong("amr"));
    }
    Ok(WebIdentity {
        issuer: issuer.clone(),
        audience,
        audiences,
        subject,
        methods,
        email: text(claims, "email")?.map(Into::into),
        source_identity: source_identity.map(Into::into),
        tags,
        transitive,
    })
}
