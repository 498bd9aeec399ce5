//! The rows of passwords and second factors, in the root partition. docs/formats/identities.md has them.
//!
//! A commit that writes one needs [`Layout::LOGINS`](engine::catalog::Layout::LOGINS).

use super::id::EntityId;
use super::row::{of, put_tags, tags};
use super::{PasswordPolicy, Tag};
use crate::AccountId;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::catalog::{Family, Key, Table};
use engine::clock::Timestamp;

pub(super) const LOGINS: Table = Table { family: Family::Record, tag: 0xAE };
pub(super) const DEVICES: Table = Table { family: Family::Record, tag: 0xAF };
// KMS's tables of this family go up to 0xA7.
pub(super) const DEVICES_OF: Table = Table { family: Family::Index, tag: 0xA8 };
pub(super) const PASSWORD_POLICIES: Table = Table { family: Family::Index, tag: 0xA9 };

pub(super) fn login(account: AccountId, user: EntityId) -> Key {
    LOGINS.key(of(account).fixed(user.as_bytes()).finish())
}

/// A device, by path and name: `/lab/phone`.
pub(super) fn device(account: AccountId, place: &str) -> Key {
    DEVICES.key(of(account).tail(place.as_bytes()).finish())
}

pub(super) fn device_of(account: AccountId, user: EntityId, place: &str) -> Key {
    DEVICES_OF.key(of(account).fixed(user.as_bytes()).tail(place.as_bytes()).finish())
}

pub(super) fn password_policy(account: AccountId) -> Key {
    PASSWORD_POLICIES.key(of(account).finish())
}

fn flag(fields: &mut RecordReader<'_>) -> engine::Result<bool> {
    match fields.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(fields.corrupt("neither yes nor no")),
    }
}

fn put_number(out: &mut RecordWriter, number: Option<u32>) {
    out.u8(u8::from(number.is_some())).u32(number.unwrap_or_default());
}

fn number(fields: &mut RecordReader<'_>) -> engine::Result<Option<u32>> {
    let (there, number) = (flag(fields)?, fields.u32()?);
    Ok(there.then_some(number))
}

fn put_time(out: &mut RecordWriter, time: Option<Timestamp>) {
    out.u8(u8::from(time.is_some())).i64(time.unwrap_or_default().as_millis());
}

fn time(fields: &mut RecordReader<'_>) -> engine::Result<Option<Timestamp>> {
    let (there, at) = (flag(fields)?, fields.i64()?);
    Ok(there.then_some(Timestamp::from_millis(at)))
}

impl Record for PasswordPolicy {
    const NAME: &'static str = "password policy";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.u32(self.length_min);
        for is in [self.symbols, self.numbers, self.uppercase, self.lowercase, self.users_may_change] {
            out.u8(u8::from(is));
        }
        put_number(out, self.age_max_days);
        put_number(out, self.reuse_prevented);
        put_number(out, self.hard_expiry.map(u32::from));
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        Ok(Self {
            length_min: fields.u32()?,
            symbols: flag(fields)?,
            numbers: flag(fields)?,
            uppercase: flag(fields)?,
            lowercase: flag(fields)?,
            users_may_change: flag(fields)?,
            age_max_days: number(fields)?,
            reuse_prevented: number(fields)?,
            hard_expiry: number(fields)?.map(|number| number != 0),
        })
    }
}

/// A user's password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LoginRow {
    pub(super) created: Timestamp,
    /// When the password was set.
    pub(super) changed: Timestamp,
    /// Another one is to be set at the next sign-in.
    pub(super) reset_required: bool,
    pub(super) last_used: Option<Timestamp>,
    /// Hashes, by the key table.
    pub(super) sealed: Box<[u8]>,
}

impl LoginRow {
    /// What is authenticated with hashes: they can't be moved to another user.
    pub(super) fn aad(account: AccountId, user: EntityId) -> Vec<u8> {
        [b"firn password\0", &account.to_bytes()[..], user.as_bytes()].concat()
    }
}

impl Record for LoginRow {
    const NAME: &'static str = "login profile";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.i64(self.created.as_millis()).i64(self.changed.as_millis()).u8(u8::from(self.reset_required));
        put_time(out, self.last_used);
        out.bytes(&self.sealed);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        Ok(Self {
            created: Timestamp::from_millis(fields.i64()?),
            changed: Timestamp::from_millis(fields.i64()?),
            reset_required: flag(fields)?,
            last_used: time(fields)?,
            sealed: fields.bytes()?.into(),
        })
    }
}

/// Whose a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assigned {
    pub(super) user: EntityId,
    pub(super) enabled: Timestamp,
    /// How many steps its clock is ahead.
    pub(super) drift: i64,
}

/// A virtual device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DeviceRow {
    pub(super) created: Timestamp,
    pub(super) tags: Vec<Tag>,
    pub(super) assigned: Option<Assigned>,
    /// The step of the last code that was taken, whoever's it was then: none of it or before is taken again. The least where none was.
    pub(super) last: i64,
    /// The seed, by the key table.
    pub(super) sealed: Box<[u8]>,
}

impl DeviceRow {
    /// What is authenticated with a seed: it can't be moved to another device.
    pub(super) fn aad(account: AccountId, place: &str) -> Vec<u8> {
        [b"firn mfa seed\0", &account.to_bytes()[..], place.as_bytes()].concat()
    }
}

impl Record for DeviceRow {
    const NAME: &'static str = "second factor";
    const VERSION: u8 = 2;

    fn encode(&self, out: &mut RecordWriter) {
        out.i64(self.created.as_millis());
        put_tags(out, &self.tags);
        out.u8(u8::from(self.assigned.is_some()));
        if let Some(Assigned { user, enabled, drift }) = &self.assigned {
            out.fixed(user.as_bytes()).i64(enabled.as_millis()).i64(*drift);
        }
        out.i64(self.last).bytes(&self.sealed);
    }

    fn decode(version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let created = Timestamp::from_millis(fields.i64()?);
        let tags = tags(fields)?;
        let assigned = if flag(fields)? {
            let (user, enabled) = (EntityId::read(fields)?, Timestamp::from_millis(fields.i64()?));
            Some(Assigned { user, enabled, drift: fields.i64()? })
        } else {
            None
        };
        // Of one that was nobody's, version 1 had no step.
        let last = if version > 1 || assigned.is_some() { fields.i64()? } else { i64::MIN };
        Ok(Self { created, tags, assigned, last, sealed: fields.bytes()?.into() })
    }
}
