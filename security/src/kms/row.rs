//! The rows of managed keys, in the root partition. docs/formats/kms.md has them.
//!
//! ```text
//!   ALIASES ─► key id ◄─ everything else: policy, backing keys, grants, counters
//! ```

use super::context::EncryptionContext;
use super::id::KeyId;
use super::spec::{GrantOperations, KeySpec, KeyState, KeyUsage, Manager, Origin};
use crate::AccountId;
use crate::identity::{Pins, Tag, put_tags, tags};
use engine::catalog::key::{KeyReader, KeyWriter};
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::catalog::{Family, Key, Table};
use engine::clock::Timestamp;

pub(super) const KEYS: Table = Table { family: Family::Index, tag: 0xA0 };
pub(super) const POLICIES: Table = Table { family: Family::Index, tag: 0xA1 };
pub(super) const BACKING: Table = Table { family: Family::Index, tag: 0xA2 };
pub(super) const ALIASES: Table = Table { family: Family::Index, tag: 0xA3 };
pub(super) const ALIASES_OF: Table = Table { family: Family::Index, tag: 0xA4 };
pub(super) const GRANTS: Table = Table { family: Family::Index, tag: 0xA5 };
pub(super) const GRANTED: Table = Table { family: Family::Index, tag: 0xA6 };
pub(super) const RETIRABLE: Table = Table { family: Family::Index, tag: 0xA7 };
pub(super) const DUE: Table = Table { family: Family::Queue, tag: 0xA0 };
pub(super) const COUNTS: Table = Table { family: Family::Counter, tag: 0xA3 };

/// A grant's id: 32 random bytes, in hexadecimal on the wire.
pub(super) type GrantId = [u8; 32];
/// Who somebody is to grants: half of a hash.
pub(super) type Who = [u8; 16];

/// What a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Count {
    /// Of an account: commits that changed anything of its keys.
    Generation = 1,
    /// Of an account: its keys.
    Keys = 2,
    /// Of a key: its aliases.
    Aliases = 3,
    /// Of a key: its grants.
    Grants = 4,
    /// Of a key and somebody: their grants.
    Granted = 5,
}

/// What is due for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Task {
    /// It goes.
    Delete = 1,
    /// It gets another backing key.
    Rotate = 2,
    /// Its imported material goes.
    Expire = 3,
    /// What hung on a key that went goes.
    Sweep = 4,
}

impl Task {
    const ALL: [Self; 4] = [Self::Delete, Self::Rotate, Self::Expire, Self::Sweep];
}

fn of(account: AccountId) -> KeyWriter {
    KeyWriter::new().fixed(&account.to_bytes())
}

fn of_key(account: AccountId, key: KeyId) -> KeyWriter {
    of(account).fixed(key.as_bytes())
}

/// Everything of a table that is a key's.
pub(super) fn prefix(account: AccountId, key: KeyId) -> Vec<u8> {
    of_key(account, key).finish().to_vec()
}

pub(super) fn key(account: AccountId, id: KeyId) -> Key {
    KEYS.key(of_key(account, id).finish())
}

pub(super) fn policy(account: AccountId, id: KeyId) -> Key {
    POLICIES.key(of_key(account, id).finish())
}

pub(super) fn backing(account: AccountId, id: KeyId, number: u32) -> Key {
    BACKING.key(of_key(account, id).u32(number).finish())
}

pub(super) fn alias(account: AccountId, name: &str) -> Key {
    ALIASES.key(of(account).tail(name.as_bytes()).finish())
}

pub(super) fn alias_of(account: AccountId, id: KeyId, name: &str) -> Key {
    ALIASES_OF.key(of_key(account, id).tail(name.as_bytes()).finish())
}

pub(super) fn grant(account: AccountId, id: KeyId, grant: &GrantId) -> Key {
    GRANTS.key(of_key(account, id).fixed(grant).finish())
}

/// The grants that somebody has on a key.
pub(super) fn granted_to(account: AccountId, id: KeyId, who: &Who) -> Vec<u8> {
    of_key(account, id).fixed(who).finish().to_vec()
}

pub(super) fn granted(account: AccountId, id: KeyId, who: &Who, grant: &GrantId) -> Key {
    GRANTED.key(of_key(account, id).fixed(who).fixed(grant).finish())
}

/// The grants of an account's keys that somebody may retire.
pub(super) fn retirable_by(account: AccountId, who: &Who) -> Vec<u8> {
    of(account).fixed(who).finish().to_vec()
}

pub(super) fn retirable(account: AccountId, who: &Who, id: KeyId, grant: &GrantId) -> Key {
    RETIRABLE.key(of(account).fixed(who).fixed(id.as_bytes()).fixed(grant).finish())
}

pub(super) fn due(at: Timestamp, account: AccountId, id: KeyId, task: Task) -> Key {
    let at = u64::try_from(at.as_millis()).unwrap_or_default();
    let key = KeyWriter::new().u64(at).fixed(&account.to_bytes()).fixed(id.as_bytes());
    DUE.key(key.u8(task as u8).finish())
}

/// When, of which key, what.
pub(super) fn read_due(key: &[u8]) -> crate::Result<(Timestamp, AccountId, KeyId, Task)> {
    let mut fields = KeyReader::new(key);
    let at = i64::try_from(fields.u64()?).unwrap_or(i64::MAX);
    let (account, id, task) = (AccountId::from_bytes(fields.fixed()?)?, fields.fixed()?, fields.u8()?);
    let wrong = || crate::Error::Corrupt { what: "due row", detail: format!("task {task} is unknown") };
    let task = Task::ALL.into_iter().find(|known| *known as u8 == task).ok_or_else(wrong)?;
    Ok((Timestamp::from_millis(at), account, KeyId::from_bytes(id), task))
}

/// Key and grant at the end of a row's key.
pub(super) fn read_grant(key: &[u8]) -> crate::Result<(KeyId, GrantId)> {
    let wrong = || crate::Error::Corrupt { what: "grant row", detail: "its key ends in no grant".to_owned() };
    let (_, tail) = key.split_last_chunk::<48>().ok_or_else(wrong)?;
    let (mut id, mut grant) = ([0; KeyId::LEN], [0; 32]);
    id.copy_from_slice(&tail[..KeyId::LEN]);
    grant.copy_from_slice(&tail[KeyId::LEN..]);
    Ok((KeyId::from_bytes(id), grant))
}

impl Count {
    /// Of an account.
    pub(super) fn of_account(self, account: AccountId) -> Key {
        self.of_key(account, KeyId::from_bytes([0; KeyId::LEN]))
    }

    /// Of a key.
    pub(super) fn of_key(self, account: AccountId, id: KeyId) -> Key {
        COUNTS.key(of_key(account, id).u8(self as u8).finish())
    }

    /// Of a key and somebody.
    pub(super) fn of_who(account: AccountId, id: KeyId, who: &Who) -> Key {
        COUNTS.key(of_key(account, id).u8(Self::Granted as u8).fixed(who).finish())
    }
}

fn word<T>(fields: &mut RecordReader<'_>, of_number: fn(u8) -> Option<T>) -> engine::Result<T> {
    let number = fields.u8()?;
    of_number(number).ok_or_else(|| fields.corrupt(format!("number {number} is unknown")))
}

fn flag(fields: &mut RecordReader<'_>) -> engine::Result<bool> {
    match fields.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(fields.corrupt("neither there nor not")),
    }
}

fn put_text(out: &mut RecordWriter, text: Option<&str>) {
    out.u8(u8::from(text.is_some()));
    if let Some(text) = text {
        out.text(text);
    }
}

fn text(fields: &mut RecordReader<'_>) -> engine::Result<Option<Box<str>>> {
    Ok(if flag(fields)? { Some(fields.text()?.into()) } else { None })
}

fn put_time(out: &mut RecordWriter, time: Option<Timestamp>) {
    out.u8(u8::from(time.is_some()));
    if let Some(time) = time {
        out.i64(time.as_millis());
    }
}

fn time(fields: &mut RecordReader<'_>) -> engine::Result<Option<Timestamp>> {
    Ok(if flag(fields)? { Some(Timestamp::from_millis(fields.i64()?)) } else { None })
}

/// When a key gets another backing key by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rotation {
    pub(super) days: u32,
    pub(super) next: Timestamp,
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyRow {
    pub(super) spec: KeySpec,
    pub(super) usage: KeyUsage,
    pub(super) origin: Origin,
    pub(super) manager: Manager,
    pub(super) state: KeyState,
    pub(super) created: Timestamp,
    /// Days of waiting, and when it goes.
    pub(super) deletion: Option<(u32, Timestamp)>,
    pub(super) rotation: Option<Rotation>,
    /// How often somebody asked for another backing key.
    pub(super) on_demand: u32,
    /// The backing key that encrypts.
    pub(super) current: u32,
    pub(super) description: Box<str>,
    pub(super) tags: Vec<Tag>,
}

impl Record for KeyRow {
    const NAME: &'static str = "managed key";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.u8(self.spec as u8).u8(self.usage as u8).u8(self.origin as u8).u8(self.manager as u8);
        out.u8(self.state as u8).i64(self.created.as_millis());
        out.u8(u8::from(self.deletion.is_some()));
        if let Some((days, at)) = self.deletion {
            out.u32(days).i64(at.as_millis());
        }
        out.u8(u8::from(self.rotation.is_some()));
        if let Some(Rotation { days, next }) = self.rotation {
            out.u32(days).i64(next.as_millis());
        }
        out.u32(self.on_demand).u32(self.current).text(&self.description);
        put_tags(out, &self.tags);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let when = |fields: &mut RecordReader<'_>| {
            Ok::<_, engine::Error>(if flag(fields)? {
                Some((fields.u32()?, Timestamp::from_millis(fields.i64()?)))
            } else {
                None
            })
        };
        Ok(Self {
            spec: word(fields, KeySpec::of_number)?,
            usage: word(fields, KeyUsage::of_number)?,
            origin: word(fields, Origin::of_number)?,
            manager: word(fields, Manager::of_number)?,
            state: word(fields, KeyState::of_number)?,
            created: Timestamp::from_millis(fields.i64()?),
            deletion: when(fields)?,
            rotation: when(fields)?.map(|(days, next)| Rotation { days, next }),
            on_demand: fields.u32()?,
            current: fields.u32()?,
            description: fields.text()?.into(),
            tags: tags(fields)?,
        })
    }
}

/// A key's policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PolicyRow {
    pub(super) text: Box<str>,
    /// Whom it names by ARN, and who that was when it was set.
    pub(super) pins: Pins,
}

impl Record for PolicyRow {
    const NAME: &'static str = "key policy";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.text(&self.text);
        self.pins.write(out);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        Ok(Self { text: fields.text()?.into(), pins: Pins::read(fields)? })
    }
}

/// How a backing key came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum How {
    /// With its key.
    First = 1,
    /// By itself.
    Automatic = 2,
    /// Somebody asked for it.
    OnDemand = 3,
    /// It was imported.
    Imported = 4,
}

impl How {
    fn of_number(number: u8) -> Option<Self> {
        [Self::First, Self::Automatic, Self::OnDemand, Self::Imported]
            .into_iter()
            .find(|known| *known as u8 == number)
    }
}

/// A backing key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BackingRow {
    pub(super) how: How,
    pub(super) created: Timestamp,
    /// What names the material, without telling it.
    pub(super) material_id: [u8; 32],
    /// When imported material goes.
    pub(super) expires: Option<Timestamp>,
    /// Sealed by the key table; `None`: it was imported, and went.
    pub(super) sealed: Option<Vec<u8>>,
}

impl BackingRow {
    /// What the material is sealed with: it opens as this backing key of this key alone.
    pub(super) fn aad(account: AccountId, id: KeyId, number: u32) -> Vec<u8> {
        let names: [&[u8]; 4] =
            [b"firn kms backing\0", &account.to_bytes(), id.as_bytes(), &number.to_be_bytes()];
        names.concat()
    }
}

impl Record for BackingRow {
    const NAME: &'static str = "backing key";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.u8(self.how as u8).i64(self.created.as_millis()).fixed(&self.material_id);
        put_time(out, self.expires);
        out.u8(u8::from(self.sealed.is_some()));
        if let Some(sealed) = &self.sealed {
            out.bytes(sealed);
        }
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        Ok(Self {
            how: word(fields, How::of_number)?,
            created: Timestamp::from_millis(fields.i64()?),
            material_id: fields.fixed()?,
            expires: time(fields)?,
            sealed: if flag(fields)? { Some(fields.bytes()?.to_vec()) } else { None },
        })
    }
}

/// What an alias stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AliasRow {
    pub(super) key: KeyId,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
}

impl Record for AliasRow {
    const NAME: &'static str = "key alias";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.fixed(self.key.as_bytes()).i64(self.created.as_millis()).i64(self.updated.as_millis());
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let key = KeyId::from_bytes(fields.fixed()?);
        let (created, updated) = (fields.i64()?, fields.i64()?);
        let (created, updated) = (Timestamp::from_millis(created), Timestamp::from_millis(updated));
        Ok(Self { key, created, updated })
    }
}

/// Which encryption contexts a grant is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Constraint {
    /// Those that are this one.
    Equals(EncryptionContext),
    /// Those that have all of these pairs.
    Subset(EncryptionContext),
}

impl Constraint {
    /// Whether the grant is about a request with this context.
    pub(super) fn takes(&self, context: &EncryptionContext) -> bool {
        match self {
            Self::Equals(wanted) => wanted == context,
            Self::Subset(wanted) => wanted.within(context),
        }
    }

    /// Whether all that this one takes is taken by that one, too.
    pub(super) fn within(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Equals(own), other) => other.takes(own),
            (Self::Subset(own), Self::Subset(other)) => other.within(own),
            (Self::Subset(_), Self::Equals(_)) => false,
        }
    }
}

/// Somebody whom a grant names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Party {
    pub(super) arn: Box<str>,
    /// Who that was when the grant was made.
    pub(super) pins: Pins,
    pub(super) who: Who,
}

/// A grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GrantRow {
    pub(super) created: Timestamp,
    pub(super) name: Option<Box<str>>,
    pub(super) grantee: Party,
    pub(super) retiring: Option<Party>,
    /// Whose account made it.
    pub(super) issuer: Box<str>,
    pub(super) operations: GrantOperations,
    pub(super) constraint: Option<Constraint>,
}

impl Party {
    fn write(&self, out: &mut RecordWriter) {
        out.text(&self.arn).fixed(&self.who);
        self.pins.write(out);
    }

    fn read(fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let (arn, who) = (fields.text()?.into(), fields.fixed()?);
        Ok(Self { arn, who, pins: Pins::read(fields)? })
    }
}

impl Record for GrantRow {
    const NAME: &'static str = "grant";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.i64(self.created.as_millis());
        put_text(out, self.name.as_deref());
        self.grantee.write(out);
        out.u8(u8::from(self.retiring.is_some()));
        if let Some(retiring) = &self.retiring {
            retiring.write(out);
        }
        out.text(&self.issuer).u32(self.operations.bits());
        let (kind, context) = match &self.constraint {
            None => (0, &EncryptionContext::NONE),
            Some(Constraint::Equals(context)) => (1, context),
            Some(Constraint::Subset(context)) => (2, context),
        };
        out.u8(kind).count(context.iter().len());
        for (key, value) in context {
            out.text(key).text(value);
        }
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let (created, name) = (Timestamp::from_millis(fields.i64()?), text(fields)?);
        let grantee = Party::read(fields)?;
        let retiring = if flag(fields)? { Some(Party::read(fields)?) } else { None };
        let issuer = fields.text()?.into();
        let bits = fields.u32()?;
        let operations =
            GrantOperations::of_bits(bits).ok_or_else(|| fields.corrupt("an operation is unknown"))?;
        let kind = fields.u8()?;
        let mut pairs = Vec::new();
        for _ in 0..fields.count()? {
            pairs.push((fields.text()?.to_owned(), fields.text()?.to_owned()));
        }
        let context =
            EncryptionContext::kept(pairs).map_err(|_| fields.corrupt("a context beyond its bounds"))?;
        let constraint = match kind {
            0 => None,
            1 => Some(Constraint::Equals(context)),
            2 => Some(Constraint::Subset(context)),
            other => return Err(fields.corrupt(format!("constraint {other} is unknown"))),
        };
        Ok(Self { created, name, grantee, retiring, issuer, operations, constraint })
    }
}
