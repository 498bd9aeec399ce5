//! Tokens of grants, and of imports: sealed by the key table, so that none can be made up.

use super::error::{Code, KmsError, Result};
use super::id::KeyId;
use super::row::GrantId;
use super::{KeySpec, Kms};
use crate::AccountId;
use crate::keys::KeyScope;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::clock::Timestamp;
use zeroize::Zeroizing;

const GRANT: &[u8] = b"firn kms grant\0";
const IMPORT: &[u8] = b"firn kms import\0";

/// Which grant a token is of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GrantToken {
    pub(super) account: AccountId,
    pub(super) key: KeyId,
    pub(super) grant: GrantId,
}

impl Record for GrantToken {
    const NAME: &'static str = "grant token";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.fixed(&self.account.to_bytes()).fixed(self.key.as_bytes()).fixed(&self.grant);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let account = AccountId::from_bytes(fields.fixed()?).map_err(|_| fields.corrupt("no account"))?;
        Ok(Self { account, key: KeyId::from_bytes(fields.fixed()?), grant: fields.fixed()? })
    }
}

/// How imported material is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Wrapping {
    OaepSha1 = 1,
    OaepSha256 = 2,
}

/// What unwraps the material that comes with it.
pub(super) struct ImportToken {
    pub(super) account: AccountId,
    pub(super) key: KeyId,
    pub(super) spec: KeySpec,
    pub(super) wrapping: Wrapping,
    pub(super) expires: Timestamp,
    pub(super) private: Zeroizing<Vec<u8>>,
}

impl Record for ImportToken {
    const NAME: &'static str = "import token";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.fixed(&self.account.to_bytes()).fixed(self.key.as_bytes());
        out.u8(self.spec as u8).u8(self.wrapping as u8).i64(self.expires.as_millis()).bytes(&self.private);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let account = AccountId::from_bytes(fields.fixed()?).map_err(|_| fields.corrupt("no account"))?;
        let key = KeyId::from_bytes(fields.fixed()?);
        let (spec, wrapping) = (fields.u8()?, fields.u8()?);
        Ok(Self {
            account,
            key,
            spec: KeySpec::of_number(spec).ok_or_else(|| fields.corrupt("no spec"))?,
            wrapping: match wrapping {
                1 => Wrapping::OaepSha1,
                2 => Wrapping::OaepSha256,
                _ => return Err(fields.corrupt("no wrapping")),
            },
            expires: Timestamp::from_millis(fields.i64()?),
            private: Zeroizing::new(fields.bytes()?.to_vec()),
        })
    }
}

impl Kms {
    pub(super) fn grant_token(&self, token: &GrantToken) -> Result<String> {
        let sealed = self.parts.keys.seal(KeyScope::kms(token.account), &token.to_bytes(), GRANT)?;
        Ok(STANDARD.encode(sealed))
    }

    /// Tokens of grants are read for their form, before anything is looked for: grants count at once, with them and without.
    pub(super) fn read_grant_tokens(&self, tokens: &[String]) -> Result<()> {
        tokens.iter().try_for_each(|token| self.open_grant_token(token).map(drop))
    }

    pub(super) fn open_grant_token(&self, token: &str) -> Result<GrantToken> {
        let refused = || KmsError::new(Code::InvalidGrantToken, "The grant token is not valid.");
        let sealed = STANDARD.decode(token).map_err(|_| refused())?;
        let plain = self.parts.keys.unseal(&sealed, GRANT).map_err(|_| refused())?;
        GrantToken::from_bytes(&plain).map_err(|_| refused())
    }

    pub(super) fn import_token(&self, token: &ImportToken) -> Result<Vec<u8>> {
        let plain = Zeroizing::new(token.to_bytes().to_vec());
        Ok(self.parts.keys.seal(KeyScope::kms(token.account), &plain, IMPORT)?)
    }

    pub(super) fn open_import_token(&self, token: &[u8]) -> Result<ImportToken> {
        let refused = || KmsError::new(Code::InvalidImportToken, "The import token is not valid.");
        let plain = self.parts.keys.unseal(token, IMPORT).map_err(|_| refused())?;
        ImportToken::from_bytes(&plain).map_err(|_| refused())
    }
}
