//! Whom owners and grants name.

use crate::{AccountId, Error, Result};
use std::borrow::Cow;

/// An account as S3's owners and grantees have it, or the one that stands for all unsigned requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CanonicalUser {
    /// An account.
    Account(AccountId),
    /// Who owns what was stored without a signature.
    Anonymous,
}

impl CanonicalUser {
    /// The id that S3 gives to what was stored without a signature. Source: "Access control list (ACL) overview".
    const ANONYMOUS: &'static str = "65a011a29cdf8ec533ec3d1ccaae921c";
    /// No account has this binary form.
    const ANONYMOUS_BYTES: [u8; 8] = [0xff; 8];

    /// The canonical id.
    pub fn id(self) -> Cow<'static, str> {
        match self {
            Self::Account(account) => account.canonical_user_id().into(),
            Self::Anonymous => Self::ANONYMOUS.into(),
        }
    }

    /// The account, if it is one.
    pub const fn account(self) -> Option<AccountId> {
        match self {
            Self::Account(account) => Some(account),
            Self::Anonymous => None,
        }
    }

    /// Whether an id is the anonymous one.
    pub fn is_anonymous_id(id: &str) -> bool {
        id == Self::ANONYMOUS
    }

    /// What is shown to people: the account's number.
    pub fn display_name(self) -> String {
        match self {
            Self::Account(account) => account.to_string(),
            Self::Anonymous => "anonymous".to_owned(),
        }
    }

    /// The binary form, as stored in rows: an account's, or eight times `ff`.
    pub const fn to_bytes(self) -> [u8; 8] {
        match self {
            Self::Account(account) => account.to_bytes(),
            Self::Anonymous => Self::ANONYMOUS_BYTES,
        }
    }

    /// From the binary form.
    pub fn from_bytes(bytes: [u8; 8]) -> Result<Self, Error> {
        if bytes == Self::ANONYMOUS_BYTES {
            Ok(Self::Anonymous)
        } else {
            AccountId::from_bytes(bytes).map(Self::Account)
        }
    }
}

impl From<AccountId> for CanonicalUser {
    fn from(account: AccountId) -> Self {
        Self::Account(account)
    }
}

#[cfg(test)]
mod tests {
    use super::CanonicalUser;

    #[test]
    fn canonical_users_round_trip() {
        let account: CanonicalUser = "111122223333".parse::<crate::AccountId>().unwrap().into();
        for user in [account, CanonicalUser::Anonymous] {
            assert_eq!(CanonicalUser::from_bytes(user.to_bytes()).unwrap(), user);
            assert_eq!(CanonicalUser::is_anonymous_id(&user.id()), user == CanonicalUser::Anonymous);
        }
        assert_eq!(account.display_name(), "111122223333");
        assert_eq!(account.id().len(), 64);
        CanonicalUser::from_bytes([0xfe; 8]).unwrap_err();
    }
}
