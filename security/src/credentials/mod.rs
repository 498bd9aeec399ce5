//! Access keys and their secrets, and the file that holds an appliance's own.
//!
//! The file is an AWS credentials file (INI), so that every AWS tool reads it; docs/formats/credentials.md describes it.
//! It holds secrets: one that others than its owner could read or write is refused.

mod file;
mod ini;

pub use file::{File, Profile};
pub(crate) use file::{read_private, write_private};

pub use crate::identity::{EntityId, Token};

use crate::sigv4::{self, AuthError};
use crate::{AccountId, Error, Principal, Result};
use engine::BoxFuture;
use engine::clock::Timestamp;
use engine::entropy::Entropy;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The public half of a credential: `AKIA` and sixteen more characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccessKeyId(Arc<str>);

impl AccessKeyId {
    /// A new random id of 80 random bits.
    pub fn random(entropy: &dyn Entropy) -> Self {
        Self::drawn("AKIA", entropy)
    }

    /// A new random id of a session's key.
    pub(crate) fn of_session(entropy: &dyn Entropy) -> Self {
        Self::drawn("ASIA", entropy)
    }

    fn drawn(kind: &str, entropy: &dyn Entropy) -> Self {
        const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let mut bytes = [0; 16];
        entropy.fill(&mut bytes);
        let tail = bytes.iter().map(|byte| char::from(BASE32[usize::from(byte & 31)]));
        Self(kind.chars().chain(tail).collect::<String>().into())
    }

    /// One that another endpoint has issued: 1 to 256 characters that a signature's header can hold.
    pub fn of_others(text: &str) -> Result<Self> {
        let holds = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b',' | b'=');
        if (1..=256).contains(&text.len()) && text.bytes().all(holds) {
            return Ok(Self(text.into()));
        }
        let detail =
            "it is not 1 to 256 printable characters without blanks, slashes, commas and =".to_owned();
        Err(Error::Parse { what: "access key id", detail })
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccessKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// 16 to 128 letters, digits and underscores, as IAM has it.
impl FromStr for AccessKeyId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let wellformed = (16..=128).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if wellformed {
            return Ok(Self(text.into()));
        }
        Err(Error::Parse {
            what: "access key id",
            detail: format!("{text:?} is not 16 to 128 letters and digits"),
        })
    }
}

/// The secret half. Never printed by `Debug`, wiped when dropped, compared in constant time.
#[derive(Clone)]
pub struct SecretKey(Arc<Zeroizing<String>>);

impl SecretKey {
    /// A new random secret of 40 characters, 240 random bits.
    pub fn random(entropy: &dyn Entropy) -> Self {
        use base64::Engine as _;
        let mut bytes = Zeroizing::new([0; 30]);
        entropy.fill(&mut *bytes);
        Self(Arc::new(Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(*bytes))))
    }

    /// A secret that somebody chose: 8 to 128 printable characters without blanks.
    pub fn parse(text: &str) -> Result<Self> {
        if (8..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Self(Arc::new(Zeroizing::new(text.to_owned()))));
        }
        let detail = "it is not 8 to 128 printable characters without blanks".to_owned();
        Err(Error::Parse { what: "secret access key", detail })
    }

    /// One that goes with [`AccessKeyId::of_others`]: 1 to 1,024 printable characters.
    pub fn of_others(text: &str) -> Result<Self> {
        if (1..=1024).contains(&text.len()) && text.chars().all(|c| !c.is_control()) {
            return Ok(Self(Arc::new(Zeroizing::new(text.to_owned()))));
        }
        let detail = "it is not 1 to 1,024 printable characters".to_owned();
        Err(Error::Parse { what: "secret access key", detail })
    }

    /// The secret itself, for signing and for the one time that it is shown.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for SecretKey {
    fn eq(&self, other: &Self) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(self.0.as_bytes(), other.0.as_bytes()).is_ok()
    }
}

impl Eq for SecretKey {}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

/// Who signs with a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Holder {
    /// The root of the account, by a key of the credentials file.
    #[default]
    Root,
    /// The root of the account, by a key that IAM made and can end.
    RootKey,
    /// A user.
    User(EntityId),
    /// A session, by what its token says.
    Session(Arc<Token>),
}

/// What an access key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The account.
    pub account: AccountId,
    /// Signs.
    pub secret: SecretKey,
    /// Who in that account.
    pub holder: Holder,
}

impl Credential {
    /// A key of an account's root.
    pub const fn of_root(account: AccountId, secret: SecretKey) -> Self {
        Self { account, secret, holder: Holder::Root }
    }
}

/// Why a session's key is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// There are no sessions here.
    Unknown,
    /// The token is no session's, or another's.
    Invalid,
    /// The session is over.
    Expired,
}

/// Finds credentials by their access key. Implemented by the credentials file and, over it, by [`Identities`](crate::identity::Identities).
pub trait CredentialLookup: Send + Sync {
    /// The credential of an access key that exists and may be used now. In memory: it is called once a request.
    fn lookup(&self, access_key_id: &str) -> Option<Credential>;

    /// The credential of a session's key, by the token that goes with it. In memory.
    fn session(&self, _access_key_id: &str, _token: &str, _now: Timestamp) -> Result<Credential, TokenError> {
        Err(TokenError::Unknown)
    }

    /// Who that is, once the signature is verified. `None`: nobody any more. Asked for all but roots of the credentials file.
    fn principal<'a>(&'a self, _bearer: Bearer<'a>) -> BoxFuture<'a, Result<Option<Principal>>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Every account that has a credential, in any order: whom a grant can name.
    fn accounts(&self) -> Vec<AccountId>;

    /// Whether an account has a credential.
    fn has_account(&self, account: AccountId) -> bool {
        self.accounts().contains(&account)
    }

    /// Keys of an account's root that stand in a file.
    fn keys_of(&self, _account: AccountId) -> Vec<AccessKeyId> {
        Vec::new()
    }
}

/// Who has signed, by what.
#[derive(Clone, Copy, Debug)]
pub struct Bearer<'a> {
    /// The account.
    pub account: AccountId,
    /// Who in that account.
    pub holder: &'a Holder,
    /// The key.
    pub access_key_id: &'a AccessKeyId,
    /// What was signed for: `s3`.
    pub service: &'a str,
}

impl Bearer<'_> {
    /// Who asks. A root of the credentials file is known without a look.
    pub(crate) async fn principal(self, credentials: &dyn CredentialLookup) -> Result<Principal, AuthError> {
        if *self.holder == Holder::Root {
            return Ok(Principal::Root(self.account));
        }
        match credentials.principal(self).await {
            Ok(Some(principal)) => Ok(principal),
            Ok(None) => Err(sigv4::unknown_key(self.access_key_id.as_str())),
            Err(error) => Err(AuthError::unavailable(&error)),
        }
    }
}
