//! Names of vaults, and what they are called in policies.

use super::Error;
use security::AccountId;
use std::fmt;

/// A vault's name: 1 to 255 of `a–z A–Z 0–9 _ - .`
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VaultName(String);

impl VaultName {
    /// Checked.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let good = (1..=255).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::Invalid(
                "a vault's name has 1 to 255 of the characters a-z, A-Z, 0-9, _, - and .".to_owned(),
            ))
        }
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What policies call it.
    pub fn arn(&self, region: &str, account: AccountId) -> String {
        format!("arn:aws:glacier:{region}:{account}:vaults/{self}")
    }
}

impl fmt::Display for VaultName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
