//! Which inventory reports a bucket's owner wants, as `PutBucketInventoryConfiguration` says it. How they are made:
//! [`inventory`](crate::inventory).
//!
//! Limits: [`INVENTORIES_MAX`] a bucket, names of 64 characters, 1,024 bytes of a filter's prefix, 512 of a destination's.

use super::{Setting, SettingKind};
use crate::{BucketName, Error, KEY_BYTES_MAX, Result};
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use security::AccountId;

/// Configurations of one bucket at the most.
pub const INVENTORIES_MAX: usize = 1_000;
/// Bytes of a destination's prefix: what is put behind it takes up to 176 of a key's 1,024.
const DESTINATION_PREFIX_MAX: usize = 512;
/// Characters of a name.
const ID_MAX: usize = 64;

/// How often a report is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InventoryFrequency {
    /// Each day of UTC.
    Daily,
    /// Each Sunday of UTC.
    Weekly,
}

/// What a report lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InventoryVersions {
    /// Live objects.
    Current,
    /// All versions and delete markers.
    All,
}

macro_rules! fields {
    ($($name:ident),*) => {
        /// What a report says of an object besides its name. In the order in which reports have them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum InventoryField { $(#[doc = concat!("`", stringify!($name), "`")] $name,)* }

        impl InventoryField {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// S3's name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

fields!(
    Size,
    LastModifiedDate,
    ETag,
    StorageClass,
    IsMultipartUploaded,
    ReplicationStatus,
    EncryptionStatus,
    ObjectLockRetainUntilDate,
    ObjectLockMode,
    ObjectLockLegalHoldStatus,
    BucketKeyStatus,
    ChecksumAlgorithm,
    ObjectAccessControlList,
    ObjectOwner
);

impl InventoryField {
    /// The field of S3's name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|field| field.as_str() == name)
    }
}

/// One report that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// Its name, unique in the bucket.
    pub id: String,
    /// Whether reports are made.
    pub enabled: bool,
    /// How often.
    pub frequency: InventoryFrequency,
    /// Of what.
    pub versions: InventoryVersions,
    /// Of keys that begin with it alone.
    pub prefix: Option<String>,
    /// Into which bucket.
    pub destination: BucketName,
    /// What the report's keys begin with.
    pub destination_prefix: Option<String>,
    /// Whose that bucket is, where it was said.
    pub account: Option<AccountId>,
    /// Encryption at rest was asked for by name; reports are encrypted anyway.
    pub encrypted: bool,
    /// What it says, in order, each once.
    pub fields: Vec<InventoryField>,
}

impl Inventory {
    /// Refuses what S3 refuses, and puts fields in their order.
    pub fn checked(mut self) -> Result<Self> {
        let invalid = |name, detail| Err(Error::InvalidArgument { name, detail });
        let of_id = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if self.id.is_empty() || self.id.len() > ID_MAX || !self.id.bytes().all(of_id) {
            return invalid("Id", "An id has 1 to 64 letters, digits, dots, hyphens and underscores.");
        }
        if self.prefix.as_ref().is_some_and(|prefix| prefix.len() > KEY_BYTES_MAX) {
            return invalid("Filter", "A prefix has up to 1024 bytes, as a key.");
        }
        if self.destination_prefix.as_ref().is_some_and(|prefix| prefix.len() > DESTINATION_PREFIX_MAX) {
            return invalid("Prefix", "The prefix of a destination has up to 512 bytes.");
        }
        self.fields.sort_unstable();
        self.fields.dedup();
        Ok(self)
    }
}

impl Record for Inventory {
    const NAME: &'static str = "inventory of a bucket";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        let has = |there: bool, bit: u8| u8::from(there) << bit;
        out.u8(has(self.enabled, 0)
            | has(self.frequency == InventoryFrequency::Weekly, 1)
            | has(self.versions == InventoryVersions::All, 2)
            | has(self.encrypted, 3)
            | has(self.prefix.is_some(), 4)
            | has(self.destination_prefix.is_some(), 5)
            | has(self.account.is_some(), 6));
        out.text(&self.id).text(self.destination.as_str());
        for text in [&self.prefix, &self.destination_prefix].into_iter().flatten() {
            out.text(text);
        }
        if let Some(account) = self.account {
            out.fixed(&account.to_bytes());
        }
        out.u32(self.fields.iter().fold(0, |bits, field| bits | 1 << (*field as u32)));
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let bits = fields.u8()?;
        if bits > 0x7F {
            return Err(fields.corrupt(format!("bits {bits:#x}")));
        }
        let has = |bit: u8| bits >> bit & 1 == 1;
        let id = fields.text()?.to_owned();
        let destination = fields.text()?;
        let destination =
            BucketName::parse(destination).map_err(|_| fields.corrupt("an impossible bucket"))?;
        let prefix = if has(4) { Some(fields.text()?.to_owned()) } else { None };
        let destination_prefix = if has(5) { Some(fields.text()?.to_owned()) } else { None };
        let account = if has(6) { Some(fields.fixed()?) } else { None };
        let account = account.map(AccountId::from_bytes).transpose();
        let account = account.map_err(|_| fields.corrupt("an impossible account"))?;
        let shown = fields.u32()?;
        if shown >> InventoryField::ALL.len() != 0 {
            return Err(fields.corrupt(format!("fields {shown:#x}")));
        }
        let is_shown = |field: &InventoryField| shown >> (*field as u32) & 1 == 1;
        Ok(Self {
            id,
            enabled: has(0),
            frequency: if has(1) { InventoryFrequency::Weekly } else { InventoryFrequency::Daily },
            versions: if has(2) { InventoryVersions::All } else { InventoryVersions::Current },
            prefix,
            destination,
            destination_prefix,
            account,
            encrypted: has(3),
            fields: InventoryField::ALL.iter().copied().filter(is_shown).collect(),
        })
    }
}

impl Setting for Inventory {
    const KIND: SettingKind = SettingKind::Inventory;
}
