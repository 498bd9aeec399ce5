//! How keys are named: by id, by alias, by the ARN of either.

use super::error::{Code, KmsError, Result};
use crate::{AccountId, Arn};
use engine::entropy::Entropy;
use std::fmt;
use std::str::FromStr;

/// A managed key: a random UUID, never given twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; Self::LEN]);

impl KeyId {
    pub(super) const LEN: usize = 16;

    pub(super) fn random(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; Self::LEN];
        entropy.fill_id(&mut bytes);
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Self(bytes)
    }

    pub(super) const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    pub(super) const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = hex::encode(self.0);
        for (at, range) in [0..8, 8..12, 12..16, 16..20, 20..32].into_iter().enumerate() {
            let dash = if at == 0 { "" } else { "-" };
            write!(f, "{dash}{}", text.get(range).unwrap_or_default())?;
        }
        Ok(())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {self}")
    }
}

impl FromStr for KeyId {
    type Err = crate::Error;
    fn from_str(text: &str) -> crate::Result<Self> {
        let refused = || crate::Error::Parse { what: "key id", detail: "it is no UUID".to_owned() };
        let bytes = text.as_bytes();
        let dashes = [8, 13, 18, 23];
        let in_form = bytes.len() == 36
            && bytes.iter().enumerate().all(|(at, byte)| {
                if dashes.contains(&at) { *byte == b'-' } else { matches!(byte, b'0'..=b'9' | b'a'..=b'f') }
            });
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        let bytes = hex::decode(digits).ok().filter(|_| in_form).ok_or_else(refused)?;
        Ok(Self(bytes.try_into().map_err(|_| refused())?))
    }
}

/// What of KMS a name may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Id(KeyId),
    /// `alias/…`
    Alias(Box<str>),
}

/// A key that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) account: AccountId,
    pub(super) named: Named,
}

/// The ARN of a key.
pub(super) fn key_arn(region: &str, account: AccountId, id: KeyId) -> String {
    format!("arn:aws:kms:{region}:{account}:key/{id}")
}

/// The ARN of an alias.
pub(super) fn alias_arn(region: &str, account: AccountId, alias: &str) -> String {
    format!("arn:aws:kms:{region}:{account}:{alias}")
}

/// Whether it has the characters of an alias, behind `alias/`.
pub(super) fn is_alias(text: &str) -> bool {
    let name = text.strip_prefix("alias/").unwrap_or_default();
    let taken = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'/' | b'_' | b'-');
    !name.is_empty() && text.len() <= 256 && name.bytes().all(taken)
}

/// What is shown of a name that is none.
fn shown(text: &str) -> String {
    text.chars().take(128).collect()
}

impl Wanted {
    /// Reads a name. What is no ARN is of `own` account; `aliases`: an alias may stand there.
    pub(super) fn parse(text: &str, own: Option<AccountId>, region: &str, aliases: bool) -> Result<Self> {
        let invalid = || KmsError::new(Code::NotFound, format!("Invalid keyId '{}'", shown(text)));
        let (account, resource) = if text.starts_with("arn:") {
            let wrong = |_| KmsError::new(Code::InvalidArn, format!("Invalid arn {}", shown(text)));
            let arn: Arn = text.parse().map_err(wrong)?;
            let account = arn.account().filter(|_| arn.service() == "kms");
            let account = account.ok_or_else(|| wrong(crate::Error::NoKey(String::new())))?;
            if arn.region() != region {
                return Err(KmsError::new(Code::NotFound, format!("Invalid arn {}", shown(arn.region()))));
            }
            (Some(account), arn.resource().to_owned())
        } else {
            (own, text.to_owned())
        };
        let account = account.ok_or_else(|| {
            KmsError::new(Code::AccessDenied, "Who has not signed names a key by its ARN alone.")
        })?;
        if let Some(alias) = Some(&*resource).filter(|text| text.starts_with("alias/")) {
            if !aliases || !is_alias(alias) {
                return Err(invalid());
            }
            return Ok(Self { account, named: Named::Alias(alias.into()) });
        }
        let is_arn = text.starts_with("arn:");
        let id = if is_arn { resource.strip_prefix("key/").ok_or_else(invalid)? } else { &resource };
        Ok(Self { account, named: Named::Id(id.parse().map_err(|_| invalid())?) })
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyId, Named, Wanted};
    use engine::entropy::SeededEntropy;

    #[test]
    fn keys_are_named_by_id_alias_and_arn() {
        let id = KeyId::random(&SeededEntropy::new(1));
        assert_eq!(id.to_string().parse::<KeyId>().unwrap(), id);
        let (own, other) = ("111122223333".parse().unwrap(), "444455556666".parse().unwrap());
        let read = |text: &str| Wanted::parse(text, Some(own), "us-east-1", true);
        assert_eq!(read(&id.to_string()).unwrap(), Wanted { account: own, named: Named::Id(id) });
        let arn = format!("arn:aws:kms:us-east-1:{other}:key/{id}");
        assert_eq!(read(&arn).unwrap(), Wanted { account: other, named: Named::Id(id) });
        let alias = Wanted { account: own, named: Named::Alias("alias/a/b".into()) };
        assert_eq!(read("alias/a/b").unwrap(), alias);
        assert_eq!(read("arn:aws:kms:us-east-1:111122223333:alias/a/b").unwrap(), alias);
        for (bad, code) in [
            ("", "NotFoundException"),
            ("alias/", "NotFoundException"),
            ("alias/é", "NotFoundException"),
            ("1234", "NotFoundException"),
            (&id.to_string().to_uppercase(), "NotFoundException"),
            ("arn:aws:s3:::bucket", "InvalidArnException"),
            ("arn:aws:kms", "InvalidArnException"),
            (&arn.replace("us-east-1", "us-east-2"), "NotFoundException"),
            (&arn.replace(":key/", ":alias"), "NotFoundException"),
        ] {
            assert_eq!(read(bad).unwrap_err().code.as_str(), code, "{bad}");
        }
        assert!(Wanted::parse("alias/a", Some(own), "us-east-1", false).is_err());
        assert_eq!(
            Wanted::parse("alias/a", None, "us-east-1", true).unwrap_err().code.as_str(),
            "AccessDeniedException"
        );
    }
}
