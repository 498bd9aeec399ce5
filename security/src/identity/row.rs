//! The rows of identities, in the root partition. docs/formats/identities.md has them.
//!
//! ```text
//!   ENTITIES by name ─► id ◄─ everything else: documents, edges, keys, counters
//! ```
//! All but names hang on ids, so that another name moves one row, and a name that is given again has nothing of who had it.

use super::id::EntityId;
use super::{KeyStatus, Kind, Pins, Tag};
use crate::AccountId;
use crate::credentials::AccessKeyId;
use engine::catalog::key::KeyWriter;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::catalog::{Family, Key, Table};
use engine::clock::Timestamp;

pub(super) const ENTITIES: Table = Table { family: Family::Record, tag: 0xA2 };
pub(super) const BY_ID: Table = Table { family: Family::Record, tag: 0xA3 };
pub(super) const DOCUMENTS: Table = Table { family: Family::Record, tag: 0xA4 };
pub(super) const ATTACHED: Table = Table { family: Family::Record, tag: 0xA5 };
pub(super) const HOLDERS: Table = Table { family: Family::Record, tag: 0xA6 };
pub(super) const MEMBERS: Table = Table { family: Family::Record, tag: 0xA7 };
pub(super) const GROUPS_OF: Table = Table { family: Family::Record, tag: 0xA8 };
pub(super) const ACCESS_KEYS: Table = Table { family: Family::Record, tag: 0xA9 };
pub(super) const KEYS_OF: Table = Table { family: Family::Record, tag: 0xAA };
pub(super) const ACCOUNTS: Table = Table { family: Family::Record, tag: 0xAB };
pub(super) const ALIASES: Table = Table { family: Family::Record, tag: 0xAC };
pub(super) const LAST_USED: Table = Table { family: Family::Record, tag: 0xAD };
pub(super) const COUNTS: Table = Table { family: Family::Counter, tag: 0xA2 };

/// What an entity's counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(super) enum Count {
    /// Of an account (its root's id): its changes.
    Generation = 1,
    /// Of an account: its users.
    Users = 2,
    /// Of an account: its groups.
    Groups = 3,
    /// Of an account: its roles.
    Roles = 4,
    /// Of an account: its managed policies.
    Policies = 5,
    /// Of a user or root: access keys.
    Keys = 6,
    /// Of a user: groups that it is in. Of a group: users in it.
    Members = 7,
    /// Of a user, group or role: managed policies attached to it.
    Attached = 8,
    /// Of a user, group or role: characters of its inline policies.
    InlineChars = 9,
    /// Of a managed policy: whom it is attached to.
    Holders = 10,
    /// Of a managed policy: whose boundary it is.
    Bounded = 11,
    /// Of a managed policy: its versions.
    Versions = 12,
    /// Of an account: its second factors, and those that are somebody's. Of a user: those that are its own.
    Devices = 13,
    /// See [`Self::Devices`].
    DevicesInUse = 14,
    /// Of a user: one, if it has a password.
    Logins = 15,
    /// Of an account: its OIDC providers.
    Providers = 16,
}

impl Count {
    /// Those of an entity, whatever its kind.
    pub(super) const OF_ENTITY: [Self; 9] = [
        Self::Keys,
        Self::Devices,
        Self::Logins,
        Self::Members,
        Self::Attached,
        Self::InlineChars,
        Self::Holders,
        Self::Bounded,
        Self::Versions,
    ];

    pub(super) const fn of_kind(kind: Kind) -> Self {
        match kind {
            Kind::User => Self::Users,
            Kind::Group => Self::Groups,
            Kind::Role => Self::Roles,
            Kind::Policy => Self::Policies,
        }
    }

    pub(super) fn row(self, account: AccountId, id: EntityId) -> Key {
        COUNTS.key(of(account).fixed(id.as_bytes()).u8(self as u8).finish())
    }
}

/// How a policy is somebody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(super) enum Edge {
    /// Attached.
    Attached = 1,
    /// As the boundary.
    Boundary = 2,
}

/// Which document of an entity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Which {
    /// The inline policy of this name.
    Inline(Box<str>),
    /// The version of this number.
    Version(u32),
}

pub(super) fn of(account: AccountId) -> KeyWriter {
    KeyWriter::new().fixed(&account.to_bytes())
}

/// Everything of a table that is an entity's.
pub(super) fn of_entity(account: AccountId, id: EntityId) -> Vec<u8> {
    of(account).fixed(id.as_bytes()).finish().to_vec()
}

/// Entities of a kind.
pub(super) fn of_kind(account: AccountId, kind: Kind) -> Vec<u8> {
    of(account).u8(kind as u8).finish().to_vec()
}

/// An entity, by its name in lower case.
pub(super) fn entity(account: AccountId, kind: Kind, lower: &str) -> Key {
    ENTITIES.key(of(account).u8(kind as u8).tail(lower.as_bytes()).finish())
}

pub(super) fn by_id(id: EntityId) -> Key {
    BY_ID.key(KeyWriter::new().fixed(id.as_bytes()).finish())
}

/// The inline policies of an entity.
pub(super) fn inlines(account: AccountId, id: EntityId) -> Vec<u8> {
    of(account).fixed(id.as_bytes()).u8(1).finish().to_vec()
}

/// The versions of a managed policy.
pub(super) fn versions(account: AccountId, id: EntityId) -> Vec<u8> {
    of(account).fixed(id.as_bytes()).u8(2).finish().to_vec()
}

pub(super) fn document(account: AccountId, id: EntityId, which: &Which) -> Key {
    let key = of(account).fixed(id.as_bytes());
    DOCUMENTS.key(match which {
        Which::Inline(name) => key.u8(1).tail(name.as_bytes()).finish(),
        Which::Version(number) => key.u8(2).u32(*number).finish(),
    })
}

pub(super) fn attached(account: AccountId, owner: EntityId, policy: EntityId) -> Key {
    ATTACHED.key(of(account).fixed(owner.as_bytes()).fixed(policy.as_bytes()).finish())
}

pub(super) fn holder(account: AccountId, policy: EntityId, edge: Edge, owner: EntityId) -> Key {
    HOLDERS.key(of(account).fixed(policy.as_bytes()).u8(edge as u8).fixed(owner.as_bytes()).finish())
}

pub(super) fn member(account: AccountId, group: EntityId, user: EntityId) -> Key {
    MEMBERS.key(of(account).fixed(group.as_bytes()).fixed(user.as_bytes()).finish())
}

pub(super) fn group_of(account: AccountId, user: EntityId, group: EntityId) -> Key {
    GROUPS_OF.key(of(account).fixed(user.as_bytes()).fixed(group.as_bytes()).finish())
}

/// Whom a policy is attached to, or whose boundary it is.
pub(super) fn holders(account: AccountId, policy: EntityId) -> Vec<u8> {
    of(account).fixed(policy.as_bytes()).finish().to_vec()
}

pub(super) fn access_key(id: &str) -> Key {
    ACCESS_KEYS.key(KeyWriter::new().tail(id.as_bytes()).finish())
}

pub(super) fn key_of(account: AccountId, owner: EntityId, id: &AccessKeyId) -> Key {
    KEYS_OF.key(of(account).fixed(owner.as_bytes()).tail(id.as_str().as_bytes()).finish())
}

pub(super) fn account(account: AccountId) -> Key {
    ACCOUNTS.key(of(account).finish())
}

pub(super) fn alias(alias: &str) -> Key {
    ALIASES.key(KeyWriter::new().tail(alias.as_bytes()).finish())
}

pub(super) fn last_used(what: &str) -> Key {
    LAST_USED.key(KeyWriter::new().tail(what.as_bytes()).finish())
}

fn account_of(fields: &mut RecordReader<'_>) -> engine::Result<AccountId> {
    AccountId::from_bytes(fields.fixed()?).map_err(|_| fields.corrupt("an account of more than 12 digits"))
}

fn kind_of(fields: &mut RecordReader<'_>) -> engine::Result<Kind> {
    let number = fields.u8()?;
    Kind::of_number(number).ok_or_else(|| fields.corrupt(format!("kind {number} is unknown")))
}

fn put_optional(out: &mut RecordWriter, text: Option<&str>) {
    out.u8(u8::from(text.is_some()));
    if let Some(text) = text {
        out.text(text);
    }
}

fn optional(fields: &mut RecordReader<'_>) -> engine::Result<Option<Box<str>>> {
    match fields.u8()? {
        0 => Ok(None),
        1 => Ok(Some(fields.text()?.into())),
        _ => Err(fields.corrupt("neither there nor not")),
    }
}

pub(crate) fn put_tags(out: &mut RecordWriter, tags: &[Tag]) {
    out.count(tags.len());
    for tag in tags {
        out.text(&tag.key).text(&tag.value);
    }
}

pub(crate) fn tags(fields: &mut RecordReader<'_>) -> engine::Result<Vec<Tag>> {
    let count = fields.count()?;
    let mut tags = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        tags.push(Tag { key: fields.text()?.into(), value: fields.text()?.into() });
    }
    Ok(tags)
}

pub(super) fn put_pins(out: &mut RecordWriter, pins: &[(Box<str>, EntityId)]) {
    out.count(pins.len());
    for (arn, id) in pins {
        out.text(arn).fixed(id.as_bytes());
    }
}

pub(super) fn get_pins(fields: &mut RecordReader<'_>) -> engine::Result<Vec<(Box<str>, EntityId)>> {
    let count = fields.count()?;
    let mut pins = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        pins.push((fields.text()?.into(), EntityId::read(fields)?));
    }
    Ok(pins)
}

/// An entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EntityRow {
    pub(super) id: EntityId,
    pub(super) name: Box<str>,
    pub(super) path: Box<str>,
    pub(super) created: Timestamp,
    pub(super) tags: Vec<Tag>,
    /// The ARN of the boundary.
    pub(super) boundary: Option<Box<str>>,
    pub(super) of_kind: OfKind,
}

/// What an entity has by its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OfKind {
    User,
    Group,
    Role(RoleRow),
    Policy(PolicyRow),
}

/// What a role has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RoleRow {
    pub(super) trust: Box<str>,
    /// Whom the trust policy names, by ARN, and who that was when it was set.
    pub(super) pins: Pins,
    pub(super) max_session_secs: u32,
    pub(super) description: Option<Box<str>>,
}

/// What a managed policy has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PolicyRow {
    /// The number of the version that counts.
    pub(super) default: u32,
    /// The number that the next version gets.
    pub(super) next: u32,
    pub(super) updated: Timestamp,
    pub(super) description: Option<Box<str>>,
}

impl OfKind {
    pub(super) const fn kind(&self) -> Kind {
        match self {
            Self::User => Kind::User,
            Self::Group => Kind::Group,
            Self::Role(_) => Kind::Role,
            Self::Policy(_) => Kind::Policy,
        }
    }
}

impl EntityRow {
    pub(super) const fn kind(&self) -> Kind {
        self.of_kind.kind()
    }

    pub(super) fn lower(&self) -> String {
        self.name.to_ascii_lowercase()
    }

    pub(super) fn arn(&self, account: AccountId) -> String {
        super::name::arn(account, self.kind(), &self.path, &self.name)
    }

    pub(super) const fn role(&self) -> Option<&RoleRow> {
        match &self.of_kind {
            OfKind::Role(role) => Some(role),
            OfKind::User | OfKind::Group | OfKind::Policy(_) => None,
        }
    }

    pub(super) const fn policy(&self) -> Option<&PolicyRow> {
        match &self.of_kind {
            OfKind::Policy(policy) => Some(policy),
            OfKind::User | OfKind::Group | OfKind::Role(_) => None,
        }
    }
}

impl Record for EntityRow {
    const NAME: &'static str = "identity";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.u8(self.kind() as u8).fixed(self.id.as_bytes()).text(&self.name).text(&self.path);
        out.i64(self.created.as_millis());
        put_tags(out, &self.tags);
        put_optional(out, self.boundary.as_deref());
        match &self.of_kind {
            OfKind::User | OfKind::Group => {}
            OfKind::Role(role) => {
                out.text(&role.trust);
                role.pins.write(out);
                out.u32(role.max_session_secs);
                put_optional(out, role.description.as_deref());
            }
            OfKind::Policy(policy) => {
                out.u32(policy.default).u32(policy.next).i64(policy.updated.as_millis());
                put_optional(out, policy.description.as_deref());
            }
        }
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let kind = kind_of(fields)?;
        let id = EntityId::read(fields)?;
        let (name, path) = (fields.text()?.into(), fields.text()?.into());
        let created = Timestamp::from_millis(fields.i64()?);
        let tags = tags(fields)?;
        let boundary = optional(fields)?;
        let of_kind = match kind {
            Kind::User => OfKind::User,
            Kind::Group => OfKind::Group,
            Kind::Role => {
                let trust = fields.text()?.into();
                let pins = Pins::read(fields)?;
                let max_session_secs = fields.u32()?;
                OfKind::Role(RoleRow { trust, pins, max_session_secs, description: optional(fields)? })
            }
            Kind::Policy => OfKind::Policy(PolicyRow {
                default: fields.u32()?,
                next: fields.u32()?,
                updated: Timestamp::from_millis(fields.i64()?),
                description: optional(fields)?,
            }),
        };
        Ok(Self { id, name, path, created, tags, boundary, of_kind })
    }
}

/// Which entity an id is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ByIdRow {
    pub(super) account: AccountId,
    pub(super) kind: Kind,
    pub(super) lower: Box<str>,
}

impl Record for ByIdRow {
    const NAME: &'static str = "identity by id";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.fixed(&self.account.to_bytes()).u8(self.kind as u8).text(&self.lower);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        Ok(Self { account: account_of(fields)?, kind: kind_of(fields)?, lower: fields.text()?.into() })
    }
}

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DocumentRow {
    pub(super) created: Timestamp,
    pub(super) text: Box<str>,
}

impl Record for DocumentRow {
    const NAME: &'static str = "policy document";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.i64(self.created.as_millis()).text(&self.text);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        Ok(Self { created: Timestamp::from_millis(fields.i64()?), text: fields.text()?.into() })
    }
}

/// A policy that is somebody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EdgeRow {
    pub(super) arn: Box<str>,
}

impl Record for EdgeRow {
    const NAME: &'static str = "attached policy";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.text(&self.arn);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        Ok(Self { arn: fields.text()?.into() })
    }
}

/// An access key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AccessKeyRow {
    pub(super) account: AccountId,
    /// [`EntityId::ROOT`]: the account's root.
    pub(super) owner: EntityId,
    pub(super) status: KeyStatus,
    pub(super) created: Timestamp,
    /// The secret, by the key table.
    pub(super) sealed: Box<[u8]>,
}

impl AccessKeyRow {
    /// What is authenticated with a secret: it can't be moved to another key or owner.
    pub(super) fn aad(id: &str, account: AccountId, owner: EntityId) -> Vec<u8> {
        let mut out = b"firn access key\0".to_vec();
        out.extend_from_slice(&account.to_bytes());
        out.extend_from_slice(owner.as_bytes());
        out.extend_from_slice(id.as_bytes());
        out
    }
}

impl Record for AccessKeyRow {
    const NAME: &'static str = "access key";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        let status = match self.status {
            KeyStatus::Active => 1,
            KeyStatus::Inactive => 2,
        };
        out.fixed(&self.account.to_bytes()).fixed(self.owner.as_bytes()).u8(status);
        out.i64(self.created.as_millis()).bytes(&self.sealed);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let (account, owner) = (account_of(fields)?, EntityId::read(fields)?);
        let status = match fields.u8()? {
            1 => KeyStatus::Active,
            2 => KeyStatus::Inactive,
            other => return Err(fields.corrupt(format!("status {other} is unknown"))),
        };
        let created = Timestamp::from_millis(fields.i64()?);
        Ok(Self { account, owner, status, created, sealed: fields.bytes()?.into() })
    }
}

/// What an account has once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AccountRow {
    pub(super) alias: Option<Box<str>>,
}

impl Record for AccountRow {
    const NAME: &'static str = "account";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        put_optional(out, self.alias.as_deref());
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        Ok(Self { alias: optional(fields)? })
    }
}

/// Whose an alias is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AliasRow {
    pub(super) account: AccountId,
}

impl Record for AliasRow {
    const NAME: &'static str = "alias";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.fixed(&self.account.to_bytes());
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        Ok(Self { account: account_of(fields)? })
    }
}

/// When something was used last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LastUsedRow {
    pub(super) at: Timestamp,
    pub(super) region: Box<str>,
    pub(super) service: Box<str>,
}

impl Record for LastUsedRow {
    const NAME: &'static str = "last use";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.i64(self.at.as_millis()).text(&self.region).text(&self.service);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let at = Timestamp::from_millis(fields.i64()?);
        Ok(Self { at, region: fields.text()?.into(), service: fields.text()?.into() })
    }
}
