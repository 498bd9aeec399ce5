//! What operations take and answer.

use super::context::EncryptionContext;
use super::id::KeyId;
use super::row::Constraint;
use super::spec::{
    EncryptionAlgorithm, GrantOperations, KeySpec, KeyState, KeyUsage, Manager, Origin, SigningAlgorithm,
};
use crate::identity::Tag;
use crate::policy::Context;
use crate::{AccountId, Principal};
use engine::clock::Timestamp;
use zeroize::Zeroizing;

/// Who asks, and how.
#[derive(Clone, Copy)]
pub struct Asks<'a> {
    /// Who.
    pub principal: &'a Principal,
    /// What else the request says, with the keys of the principal in front ([`PrincipalContext`](crate::PrincipalContext)).
    pub context: &'a dyn Context,
    /// The service that asks for the principal: `s3.us-east-1.amazonaws.com`. What comes from a client itself has none.
    pub via: Option<&'a str>,
    /// The request's.
    pub request_id: &'a str,
    /// Tokens of grants that it comes with.
    pub grant_tokens: &'a [String],
    /// Only whether it would be done is asked.
    pub dry_run: bool,
}

impl<'a> Asks<'a> {
    /// A client's own request.
    pub fn new(principal: &'a Principal, context: &'a dyn Context, request_id: &'a str) -> Self {
        Self { principal, context, via: None, request_id, grant_tokens: &[], dry_run: false }
    }

    /// The same, by a service that acts for the principal.
    #[must_use]
    pub fn by(self, service: &'a str) -> Self {
        Self { via: Some(service), ..self }
    }
}

impl std::fmt::Debug for Asks<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Asks({:?} via {:?})", self.principal, self.via)
    }
}

/// A data key of 32 bytes.
#[derive(Clone)]
pub struct DataKey {
    /// What encrypts. Never kept.
    pub plaintext: Zeroizing<[u8; 32]>,
    /// The same, encrypted under the managed key: what is kept.
    pub ciphertext: Vec<u8>,
    /// The managed key's ARN.
    pub key_arn: String,
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DataKey(of {})", self.key_arn)
    }
}

/// What a key is asked to encrypt.
#[derive(Clone, Copy)]
pub struct Encrypt<'a> {
    /// The key: id, alias or ARN.
    pub key: &'a str,
    /// At most 4,096 bytes.
    pub plaintext: &'a [u8],
    /// Of a symmetric key alone.
    pub context: &'a EncryptionContext,
    /// `None`: of a symmetric key its only one.
    pub algorithm: Option<EncryptionAlgorithm>,
}

/// What is asked to be decrypted.
#[derive(Clone, Copy)]
pub struct Decrypt<'a> {
    /// The key that it has to be of. Without one, what the ciphertext says.
    pub key: Option<&'a str>,
    /// The ciphertext.
    pub ciphertext: &'a [u8],
    /// What it was encrypted with.
    pub context: &'a EncryptionContext,
    /// `None`: of a symmetric key its only one.
    pub algorithm: Option<EncryptionAlgorithm>,
}

/// What is asked to be encrypted anew.
#[derive(Clone, Copy)]
pub struct ReEncrypt<'a> {
    /// As it is.
    pub source: Decrypt<'a>,
    /// The key that it is to be under.
    pub key: &'a str,
    /// The context that it is to have.
    pub context: &'a EncryptionContext,
    /// `None`: of a symmetric key its only one.
    pub algorithm: Option<EncryptionAlgorithm>,
}

/// A ciphertext, and whose.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The ciphertext.
    pub ciphertext: Vec<u8>,
    /// The key's ARN.
    pub key_arn: String,
    /// Names the backing key's material.
    pub material_id: String,
    /// How.
    pub algorithm: EncryptionAlgorithm,
}

/// A plaintext, and whose.
#[derive(Clone)]
pub struct Opened {
    /// The plaintext.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// The key's ARN.
    pub key_arn: String,
    /// Names the backing key's material.
    pub material_id: String,
    /// How.
    pub algorithm: EncryptionAlgorithm,
}

/// A pair of keys that was made for somebody.
#[derive(Clone)]
pub struct KeyPair {
    /// The private half, PKCS #8.
    pub private: Zeroizing<Vec<u8>>,
    /// The same, encrypted.
    pub sealed: Sealed,
    /// The public half, `SubjectPublicKeyInfo`.
    pub public: Vec<u8>,
}

/// What of a message is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// The message itself.
    Raw,
    /// Its digest.
    Digest,
}

/// What is to be signed, or was.
#[derive(Clone, Copy)]
pub struct Sign<'a> {
    /// The key.
    pub key: &'a str,
    /// At most 4,096 bytes.
    pub message: &'a [u8],
    /// What the message is.
    pub kind: MessageKind,
    /// How.
    pub algorithm: SigningAlgorithm,
}

/// A key, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its account.
    pub account: AccountId,
    /// Its id.
    pub id: KeyId,
    /// Its ARN.
    pub arn: String,
    /// What it is made of.
    pub spec: KeySpec,
    /// What it is for.
    pub usage: KeyUsage,
    /// Where its material comes from.
    pub origin: Origin,
    /// Who manages it.
    pub manager: Manager,
    /// What may be done with it.
    pub state: KeyState,
    /// When it was made.
    pub created: Timestamp,
    /// What it is said to be for.
    pub description: String,
    /// When it goes.
    pub deletion: Option<Timestamp>,
    /// When its imported material goes; the outer `None`: it has none that was imported.
    pub valid_to: Option<Option<Timestamp>>,
    /// Names the material that encrypts.
    pub material_id: Option<String>,
}

/// A key to be.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewKey<'a> {
    /// `None`: symmetric.
    pub spec: Option<KeySpec>,
    /// `None`: what the spec is for, where that is one thing.
    pub usage: Option<KeyUsage>,
    /// `None`: here.
    pub origin: Option<Origin>,
    /// What it is for, in words.
    pub description: &'a str,
    /// `None`: [`default_policy`](super::default_policy).
    pub policy: Option<&'a str>,
    /// Whether whoever makes it may lock itself out.
    pub bypass_lockout_check: bool,
    /// Its tags.
    pub tags: &'a [Tag],
}

/// An alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// `alias/…`
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The key's id.
    pub key: KeyId,
    /// When it was made.
    pub created: Timestamp,
    /// When it was turned last.
    pub updated: Timestamp,
}

/// A grant, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its id.
    pub id: String,
    /// The key's ARN.
    pub key_arn: String,
    /// Its name.
    pub name: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// Who has it.
    pub grantee: String,
    /// Who may retire it.
    pub retiring: Option<String>,
    /// Whose account made it.
    pub issuer: String,
    /// What it gives.
    pub operations: GrantOperations,
    /// With which contexts.
    pub constraint: Option<Constraint>,
}

/// A grant to be.
#[derive(Clone, Copy, Debug)]
pub struct NewGrant<'a> {
    /// The key.
    pub key: &'a str,
    /// The same name with all else the same is the same grant.
    pub name: Option<&'a str>,
    /// Who gets it.
    pub grantee: &'a str,
    /// Who may retire it.
    pub retiring: Option<&'a str>,
    /// What it gives.
    pub operations: GrantOperations,
    /// With which contexts.
    pub constraint: Option<&'a Constraint>,
}

/// Which grant is retired.
#[derive(Clone, Copy, Debug)]
pub enum Retire<'a> {
    /// That of a token.
    Token(&'a str),
    /// This one of this key.
    Of {
        /// The key's ARN.
        key: &'a str,
        /// The grant's id.
        grant: &'a str,
    },
}

/// How a key gets other material.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotationStatus {
    /// Days between two rotations, and when the next one is; `None`: it does not by itself.
    pub automatic: Option<(u32, Timestamp)>,
}

/// Why a key has other material.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationKind {
    /// It was due.
    Automatic,
    /// Somebody asked for it.
    OnDemand,
}

/// Material of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// Names it.
    pub material_id: String,
    /// When it came, and why; `None`: the first.
    pub rotation: Option<(Timestamp, RotationKind)>,
    /// It encrypts.
    pub is_current: bool,
    /// Of imported material: whether it is there, and until when.
    pub imported: Option<(bool, Option<Timestamp>)>,
}

/// What material is wrapped with that is to be imported.
#[derive(Clone, Debug)]
pub struct ToImport {
    /// The key's ARN.
    pub key_arn: String,
    /// Comes back with the material.
    pub token: Vec<u8>,
    /// Wraps it; `SubjectPublicKeyInfo`.
    pub public: Vec<u8>,
    /// Until when.
    pub valid_to: Timestamp,
}

/// Material that comes.
#[derive(Clone, Copy)]
pub struct Import<'a> {
    /// The key.
    pub key: &'a str,
    /// The token that the public key came with.
    pub token: &'a [u8],
    /// The wrapped material.
    pub material: &'a [u8],
    /// When it goes; `None`: it stays.
    pub valid_to: Option<Timestamp>,
    /// It is said to be other than what the key had.
    pub is_new: bool,
    /// It has to be this.
    pub material_id: Option<&'a str>,
}

/// Which page.
#[derive(Clone, Copy, Debug)]
pub struct Paging<'a> {
    /// What the last one ended with.
    pub after: Option<&'a str>,
    /// Items at the most.
    pub limit: usize,
}

/// A page.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// Its items.
    pub items: Vec<T>,
    /// Where the next one begins, if there is one.
    pub next: Option<String>,
}
