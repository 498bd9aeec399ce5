//! Tokens of `OpenID` Connect providers: whom an issuer vouches for, and that it does.
//!
//! ```text
//!   token ─► taken apart ─► iss: whose? ─► its keys (kept, or fetched) ─► signature ─► claims ─► WebIdentity
//!                           └ a provider of the account         └ ISSUER/.well-known/openid-configuration ─► jwks_uri
//! ```
//! # Invariants
//! - Nothing of a token is believed before its signature holds but its issuer, and that only to look for a provider of that URL. Nothing that it
//!   says names a key, or a place to fetch one from: `kid` chooses among the issuer's.
//! - Algorithms are those of [`Algorithm`](token::Algorithm): public keys, and each key for algorithms of its own kind alone.
//! - An issuer's configuration names that very issuer, or its keys are not taken.
//!
//! # Limits
//! Keys are kept for an hour at the most, of 1,024 issuers. A key that is not among them has them fetched again, once a minute; what failed is tried
//! again after ten seconds. One fetch for an issuer at a time, 8 altogether; 64 KiB of a configuration, 256 KiB of keys. How long a fetch may take,
//! and where it may go, is [`Fetch`]'s.

mod claims;
mod issuer;
mod jwk;
#[cfg(test)]
pub(in crate::identity) mod tests;
mod token;

pub use claims::WebIdentity;
pub use issuer::Issuer;
pub(super) use issuer::is_name;

use super::error::{Code, IdentityError, Result};
use crate::policy::tree::Tree;
use bytes::Bytes;
use engine::BoxFuture;
use engine::clock::Clock;
use jwk::{KeySet, Unverified};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use token::Token;
use tokio::sync::Semaphore;

/// How long keys are kept.
const KEPT: Duration = Duration::from_hours(1);
/// How long keys are not fetched again for one that is not among them.
const UNKNOWN_AGAIN: Duration = Duration::from_mins(1);
/// How long what failed is not tried again.
const FAILED_AGAIN: Duration = Duration::from_secs(10);
/// Issuers whose keys are kept.
const ISSUERS_MAX: usize = 1_024;
/// Fetches at once.
const FETCHES_MAX: usize = 8;
/// Bytes of a configuration, and of keys.
const CONFIGURATION_MAX: usize = 64 << 10;
const KEYS_MAX: usize = 256 << 10;

/// Fetches documents for whoever opens no socket.
pub trait Fetch: Send + Sync {
    /// Whether a URL may be asked at all, its name not looked up; a lowercase fragment says why not.
    fn check(&self, url: &str) -> Result<(), String>;

    /// The body of a URL's answer, if that is a 200 of at most so many bytes within the time that is given. No redirect is followed, and no
    /// address connected to that is not allowed. An error is a lowercase fragment, for the log.
    fn get<'a>(&'a self, url: &'a str, bytes_max: usize) -> BoxFuture<'a, Result<Bytes, String>>;
}

/// What is known of an issuer.
#[derive(Default)]
struct Known {
    /// Its keys, and at what boot time they were fetched.
    keys: Option<(Arc<KeySet>, Duration)>,
    /// When they were asked for last.
    tried: Option<Duration>,
}

/// An issuer, and when it was asked about last, by a counter.
type Slot = (Arc<tokio::sync::Mutex<Known>>, u64);

/// The issuers of tokens, with their keys. One, shared.
pub struct Issuers {
    fetch: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
    /// By their URLs, and how often any was asked about.
    known: Mutex<(HashMap<Box<str>, Slot>, u64)>,
    turns: Semaphore,
}

impl fmt::Debug for Issuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "keys of {} issuers", self.known.lock().0.len())
    }
}

/// That an issuer's keys are not to be had. Why is for the log: who asks may be nobody.
fn unreachable() -> IdentityError {
    let message = "The identity provider's keys could not be fetched, or are no keys. Try again.";
    IdentityError::new(Code::IdpCommunicationError, message)
}

fn not_taken(why: &str) -> IdentityError {
    IdentityError::new(Code::InvalidIdentityToken, format!("The token is not taken: {why}."))
}

impl Issuers {
    /// None is asked before a token of it comes.
    pub fn new(fetch: Arc<dyn Fetch>, clock: Arc<dyn Clock>) -> Self {
        Self { fetch, clock, known: Mutex::default(), turns: Semaphore::new(FETCHES_MAX) }
    }

    /// Whether it may be asked; a lowercase fragment says why not.
    pub fn check(&self, issuer: &Issuer) -> Result<(), String> {
        self.fetch.check(&issuer.discovery())
    }

    /// Who issued a token, as it says itself.
    pub(super) fn claimed(token: &str) -> Result<String> {
        let token = Token::parse(token).map_err(|why| not_taken(&why))?;
        Ok(claims::issuer_of(&token.claims)?.to_owned())
    }

    /// Whom a token of this issuer is about, if it is for one of the clients and all of it holds.
    pub(super) async fn verify(
        &self,
        token: &str,
        (issuer, clients): (&Issuer, &[Box<str>]),
    ) -> Result<WebIdentity> {
        let token = Token::parse(token).map_err(|why| not_taken(&why))?;
        let mut verified = self.keys(issuer, false).await?.verify(&token);
        if verified == Err(Unverified::NoKey) {
            verified = self.keys(issuer, true).await?.verify(&token);
        }
        match verified {
            Ok(()) => claims::check(&token.claims, issuer, clients, self.clock.now()),
            Err(Unverified::NoKey) => Err(not_taken("the provider has no key of its kid and algorithm")),
            Err(Unverified::Signature) => Err(not_taken("its signature does not verify")),
        }
    }

    fn slot(&self, issuer: &Issuer) -> Arc<tokio::sync::Mutex<Known>> {
        let mut known = self.known.lock();
        let (slots, count) = &mut *known;
        *count += 1;
        if let Some((slot, used)) = slots.get_mut(issuer.url()) {
            *used = *count;
            return Arc::clone(slot);
        }
        if slots.len() >= ISSUERS_MAX {
            let oldest = slots.iter().min_by_key(|(_, (_, used))| *used).map(|(url, _)| url.clone());
            oldest.map(|url| slots.remove(&url));
        }
        let slot = Arc::default();
        slots.insert(issuer.url().into(), (Arc::clone(&slot), *count));
        slot
    }

    /// An issuer's keys; such as were fetched lately where one is not among those that are kept.
    async fn keys(&self, issuer: &Issuer, lacks_one: bool) -> Result<Arc<KeySet>> {
        let slot = self.slot(issuer);
        let mut known = slot.lock().await;
        let now = self.clock.boottime();
        let fresh = known.keys.as_ref().filter(|(_, since)| now.saturating_sub(*since) < KEPT);
        let fresh = fresh.map(|(keys, _)| Arc::clone(keys));
        let tried = known.tried.map(|tried| now.saturating_sub(tried));
        match fresh {
            Some(keys) if !lacks_one || tried.is_some_and(|ago| ago < UNKNOWN_AGAIN) => return Ok(keys),
            None if tried.is_some_and(|ago| ago < FAILED_AGAIN) => return Err(unreachable()),
            _ => {}
        }
        known.tried = Some(now);
        let turn = self.turns.acquire().await;
        let fetched = self.fetch_keys(issuer).await;
        drop(turn);
        match fetched {
            Ok(keys) => {
                let keys = Arc::new(keys);
                known.keys = Some((Arc::clone(&keys), now));
                Ok(keys)
            }
            Err(why) => {
                tracing::warn!(issuer = issuer.url(), why, "failed to fetch the keys of an OIDC provider");
                fresh.ok_or_else(unreachable)
            }
        }
    }

    async fn fetch_keys(&self, issuer: &Issuer) -> Result<KeySet, String> {
        let url = issuer.discovery();
        self.fetch.check(&url)?;
        let configuration = self.fetch.get(&url, CONFIGURATION_MAX).await?;
        let text = std::str::from_utf8(&configuration).map_err(|_| "its configuration is not in UTF-8")?;
        let tree = Tree::parse(text).map_err(|error| format!("its configuration is no JSON: {error}"))?;
        let member = |name: &str| {
            let found = tree.member(name).and_then(Tree::text);
            found.ok_or_else(|| format!("its configuration does not say {name}"))
        };
        let named = member("issuer")?;
        if named != issuer.url() {
            return Err(format!("its configuration is of another issuer: {named:?}"));
        }
        let keys = member("jwks_uri")?;
        self.fetch.check(keys)?;
        KeySet::parse(&self.fetch.get(keys, KEYS_MAX).await?)
    }
}
