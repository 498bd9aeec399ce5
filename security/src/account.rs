//! Accounts and the names of what they own.

use crate::{Error, Result};
use engine::entropy::Entropy;
use std::fmt;
use std::str::FromStr;

/// An account: twelve decimal digits, drawn once when an appliance is created.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(u64);

impl AccountId {
    const FIRST: u64 = 100_000_000_000;
    const END: u64 = 1_000_000_000_000;

    /// A new random id, never with a leading zero, so that no spreadsheet eats one.
    pub fn random(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; 16];
        entropy.fill(&mut bytes);
        // 128 random bits over 9·10¹¹: the bias of the remainder is below 2⁻⁸⁸.
        let draw = u128::from_le_bytes(bytes) % u128::from(Self::END - Self::FIRST);
        Self(Self::FIRST + u64::try_from(draw).unwrap_or(0))
    }

    /// The binary form, as stored in rows: big-endian.
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// From the binary form.
    pub fn from_bytes(bytes: [u8; 8]) -> Result<Self> {
        let number = u64::from_be_bytes(bytes);
        if number < Self::END {
            return Ok(Self(number));
        }
        Err(Error::Parse { what: "account id", detail: format!("{number} has more than 12 digits") })
    }

    /// S3's canonical user id: 64 hexadecimal digits, the same for the same account for ever.
    pub fn canonical_user_id(self) -> String {
        let text = format!("firn canonical user {self}");
        hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()))
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012}", self.0)
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "account {self}")
    }
}

impl FromStr for AccountId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let refused = || Error::Parse { what: "account id", detail: format!("{text:?} is not 12 digits") };
        if text.len() != 12 || !text.bytes().all(|c| c.is_ascii_digit()) {
            return Err(refused());
        }
        text.parse().map(Self).map_err(|_| refused())
    }
}

/// The name of a thing across services: `arn:aws:SERVICE:REGION:ACCOUNT:RESOURCE`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Arn {
    service: String,
    region: String,
    account: Option<AccountId>,
    resource: String,
}

impl Arn {
    /// A bucket's: S3 leaves region and account out.
    pub fn bucket(name: &str) -> Self {
        Self { service: "s3".into(), region: String::new(), account: None, resource: name.into() }
    }

    /// An object's.
    pub fn object(bucket: &str, key: &str) -> Self {
        Self {
            service: "s3".into(),
            region: String::new(),
            account: None,
            resource: format!("{bucket}/{key}"),
        }
    }

    /// A topic's, by SNS's form.
    pub fn topic(region: &str, account: AccountId, name: &str) -> Self {
        Self { service: "sns".into(), region: region.into(), account: Some(account), resource: name.into() }
    }

    /// The root user of an account.
    pub fn root(account: AccountId) -> Self {
        Self { service: "iam".into(), region: String::new(), account: Some(account), resource: "root".into() }
    }

    /// The service that the thing belongs to.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// The region that it lies in; empty where the ARN says none.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The account that it belongs to, where the ARN says so.
    pub const fn account(&self) -> Option<AccountId> {
        self.account
    }

    /// The part after the account.
    pub fn resource(&self) -> &str {
        &self.resource
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "arn:aws:{}:{}:", self.service, self.region)?;
        if let Some(account) = self.account {
            write!(f, "{account}")?;
        }
        write!(f, ":{}", self.resource)
    }
}

impl FromStr for Arn {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let refused = |detail: &str| Error::Parse { what: "arn", detail: format!("{text:?}: {detail}") };
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next().ok_or_else(|| refused("six parts between colons are wanted"));
        let (prefix, partition, service, region, account, resource) =
            (next()?, next()?, next()?, next()?, next()?, next()?);
        if prefix != "arn" || partition != "aws" || service.is_empty() || resource.is_empty() {
            return Err(refused("it does not start with arn:aws:SERVICE or names nothing"));
        }
        let account = if account.is_empty() { None } else { Some(account.parse()?) };
        Ok(Self { service: service.into(), region: region.into(), account, resource: resource.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::{AccountId, Arn};
    use engine::entropy::SeededEntropy;

    #[test]
    fn account_ids_are_twelve_digits() {
        let entropy = SeededEntropy::new(1);
        for _ in 0..1000 {
            let id = AccountId::random(&entropy);
            assert_eq!(id.to_string().len(), 12);
            assert_ne!(id.to_string().as_bytes()[0], b'0');
            assert_eq!(id.to_string().parse::<AccountId>().unwrap(), id);
            assert_eq!(AccountId::from_bytes(id.to_bytes()).unwrap(), id);
        }
        for bad in ["", "12345678901", "1234567890123", "12345678901a", "+12345678901", "１２３４"] {
            bad.parse::<AccountId>().unwrap_err();
        }
        AccountId::from_bytes(u64::MAX.to_be_bytes()).unwrap_err();
        let id: AccountId = "000000000012".parse().unwrap();
        assert_eq!(id.to_string(), "000000000012");
        assert_eq!(id.canonical_user_id().len(), 64);
    }

    #[test]
    fn arns_round_trip() {
        for text in [
            "arn:aws:s3:::datasets",
            "arn:aws:s3:::datasets/a:b/c",
            "arn:aws:iam::123456789012:root",
            "arn:aws:sqs:us-east-1:123456789012:queue",
        ] {
            assert_eq!(text.parse::<Arn>().unwrap().to_string(), text);
        }
        assert_eq!(Arn::object("b", "k").to_string(), "arn:aws:s3:::b/k");
        assert_eq!(Arn::root("123456789012".parse().unwrap()).to_string(), "arn:aws:iam::123456789012:root");
        for bad in ["", "arn:aws:s3", "arn:aws:s3:::", "urn:aws:s3:::b", "arn:aws::::b", "arn:aws:s3::12:b"] {
            bad.parse::<Arn>().unwrap_err();
        }
    }
}
