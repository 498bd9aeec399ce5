//! The rows of the audit trail, in the root partition. docs/formats/audit.md has them.

use super::render::Caller;
use super::trail::TrailRow;
use crate::AccountId;
use bytes::Bytes;
use engine::catalog::key::{KeyReader, KeyWriter};
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::catalog::{Family, Key, Table};
use engine::clock::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(super) const HISTORY: Table = Table { family: Family::Index, tag: 0xD0 };
pub(super) const TRAILS: Table = Table { family: Family::Record, tag: 0xD0 };
pub(super) const STATES: Table = Table { family: Family::Record, tag: 0xD1 };
pub(super) const SIGNERS: Table = Table { family: Family::Record, tag: 0xD2 };
pub(super) const TAKING: Table = Table { family: Family::Record, tag: 0xD3 };
pub(super) const CUTS: Table = Table { family: Family::Record, tag: 0xD4 };
pub(super) const QUEUE: Table = Table { family: Family::Queue, tag: 0xD0 };
pub(super) const FILES: Table = Table { family: Family::Queue, tag: 0xD1 };
pub(super) const GONE: Table = Table { family: Family::Queue, tag: 0xD2 };
pub(super) const ENDING: Table = Table { family: Family::Queue, tag: 0xD3 };
pub(super) const BYTES: Table = Table { family: Family::Counter, tag: 0xD0 };

/// A trail, whatever it is called: names are used again.
pub(super) type TrailId = [u8; 8];

/// A record's place among all: microseconds since the epoch, and then some, so that it grows; and chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Place {
    pub(super) number: u64,
    pub(super) salt: u32,
}

impl Place {
    const LEN: usize = 12;

    pub(super) const FIRST: Self = Self { number: 0, salt: 0 };
    pub(super) const LAST: Self = Self { number: u64::MAX, salt: u32::MAX };

    /// The first of a moment.
    pub(super) fn at(time: Timestamp) -> Self {
        let millis = u64::try_from(time.as_millis()).unwrap_or_default();
        Self { number: millis.saturating_mul(1_000), salt: 0 }
    }

    /// The moment, or one behind it.
    pub(super) fn time(self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.number / 1_000).unwrap_or(i64::MAX))
    }

    /// At the end of a row's key.
    pub(super) fn of_key(key: &[u8]) -> engine::Result<Self> {
        let tail = key.split_at_checked(key.len().saturating_sub(Self::LEN)).map(|(_, tail)| tail);
        let mut fields = KeyReader::new(tail.unwrap_or_default());
        Ok(Self { number: fields.u64()?, salt: fields.u32()? })
    }
}

/// Which part of the history: each has room of its own, so that nobody's refusals push out what was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(super) enum Part {
    /// Calls.
    Calls = 0,
    /// What was denied.
    Denials = 1,
}

impl Part {
    pub(super) const ALL: [Self; 2] = [Self::Calls, Self::Denials];

    /// As it is told.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Denials => "denials",
        }
    }
}

/// What a counter counts bytes of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Held {
    /// A part of an account's history.
    Part(AccountId, Part),
    /// What waits for a trail.
    Trail(AccountId, TrailId),
    /// What of that is of nobody known.
    Strangers(AccountId, TrailId),
}

impl Held {
    pub(super) fn key(self) -> Key {
        BYTES.key(match self {
            Self::Part(account, part) => KeyWriter::new().fixed(&account.to_bytes()).u8(part as u8).finish(),
            Self::Trail(account, id) => KeyWriter::new().fixed(&account.to_bytes()).u8(2).fixed(&id).finish(),
            Self::Strangers(account, id) => {
                KeyWriter::new().fixed(&account.to_bytes()).u8(3).fixed(&id).finish()
            }
        })
    }

    pub(super) fn read(key: &[u8]) -> crate::Result<Self> {
        let mut fields = KeyReader::new(key);
        let account = AccountId::from_bytes(fields.fixed()?)?;
        let held = match fields.u8()? {
            0 => Self::Part(account, Part::Calls),
            1 => Self::Part(account, Part::Denials),
            2 => Self::Trail(account, fields.fixed()?),
            3 => Self::Strangers(account, fields.fixed()?),
            other => {
                let detail = format!("{other} counts nothing known");
                return Err(crate::Error::Corrupt { what: "audit counter", detail });
            }
        };
        fields.end()?;
        Ok(held)
    }
}

fn place(writer: KeyWriter, place: Place) -> Bytes {
    writer.u64(place.number).u32(place.salt).finish()
}

pub(super) fn part(account: AccountId, part: Part) -> KeyWriter {
    KeyWriter::new().fixed(&account.to_bytes()).u8(part as u8)
}

pub(super) fn history(account: AccountId, which: Part, at: Place) -> Key {
    HISTORY.key(place(part(account, which), at))
}

pub(super) fn of_trail(account: AccountId, id: TrailId) -> KeyWriter {
    KeyWriter::new().fixed(&account.to_bytes()).fixed(&id)
}

pub(super) fn queued(account: AccountId, id: TrailId, at: Place) -> Key {
    QUEUE.key(place(of_trail(account, id), at))
}

pub(super) fn file(account: AccountId, id: TrailId, at: Place) -> Key {
    FILES.key(place(of_trail(account, id), at))
}

pub(super) fn gone(account: AccountId, id: TrailId) -> Key {
    GONE.key(of_trail(account, id).finish())
}

pub(super) fn state(account: AccountId, id: TrailId) -> Key {
    STATES.key(of_trail(account, id).finish())
}

pub(super) fn trail(account: AccountId, name: &str) -> Key {
    TRAILS.key(KeyWriter::new().fixed(&account.to_bytes()).tail(name.as_bytes()).finish())
}

pub(super) fn ending(account: AccountId, id: TrailId) -> Key {
    ENDING.key(of_trail(account, id).finish())
}

pub(super) fn cut(account: AccountId, which: Part) -> Key {
    CUTS.key(part(account, which).finish())
}

pub(super) fn signer(account: AccountId) -> Key {
    SIGNERS.key(KeyWriter::new().fixed(&account.to_bytes()).finish())
}

pub(super) fn taking() -> Key {
    TAKING.key(Bytes::from_static(&[0]))
}

/// Account and what is behind it, of a key.
pub(super) fn read_account(key: &[u8]) -> crate::Result<(AccountId, &[u8])> {
    let mut fields = KeyReader::new(key);
    Ok((AccountId::from_bytes(fields.fixed()?)?, fields.tail()))
}

/// Account and trail, of a key that is of a trail.
pub(super) fn read_trail(key: &[u8]) -> crate::Result<(AccountId, TrailId)> {
    let (account, tail) = read_account(key)?;
    let mut fields = KeyReader::new(tail);
    let id = fields.fixed()?;
    fields.end()?;
    Ok((account, id))
}

/// Account and part, of a key that is of a part of a history.
pub(super) fn read_part(key: &[u8]) -> crate::Result<(AccountId, Part)> {
    match Held::read(key)? {
        Held::Part(account, part) => Ok((account, part)),
        _ => Err(crate::Error::Corrupt {
            what: "cut of a history",
            detail: "the key is of a trail".to_owned(),
        }),
    }
}

/// A record, with when its call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EventRow {
    pub(super) at: Timestamp,
    /// Whose share of a history it is of.
    pub(super) caller: Caller,
    pub(super) record: String,
}

impl Record for EventRow {
    const NAME: &'static str = "audit record";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.i64(self.at.as_millis());
        out.u64(self.caller.0);
        out.text(&self.record);
    }

    fn decode(_: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let at = Timestamp::from_millis(fields.i64()?);
        Ok(Self { at, caller: Caller(fields.u64()?), record: fields.text()?.to_owned() })
    }
}

/// That a part of a history lost records before their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CutRow {
    /// When it was last.
    pub(super) at: Timestamp,
    /// The newest that went.
    pub(super) through: Timestamp,
    /// How many went.
    pub(super) count: u64,
}

impl Record for CutRow {
    const NAME: &'static str = "cut of a history";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.i64(self.at.as_millis());
        out.i64(self.through.as_millis());
        out.u64(self.count);
    }

    fn decode(_: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let at = Timestamp::from_millis(fields.i64()?);
        Ok(Self { at, through: Timestamp::from_millis(fields.i64()?), count: fields.u64()? })
    }
}

/// Members as JSON: the docs name them.
fn put_json(out: &mut RecordWriter, value: &impl Serialize) {
    out.text(&serde_json::to_string(value).unwrap_or_default());
}

fn json<T: DeserializeOwned>(fields: &mut RecordReader<'_>) -> engine::Result<T> {
    let text = fields.text()?;
    serde_json::from_str(text).map_err(|error| fields.corrupt(error.to_string()))
}

macro_rules! json_records {
    ($($row:ty, $name:literal;)*) => {$(
        impl Record for $row {
            const NAME: &'static str = $name;
            const VERSION: u8 = 1;

            fn encode(&self, out: &mut RecordWriter) {
                put_json(out, self);
            }

            fn decode(_: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
                json(fields)
            }
        }
    )*};
}

json_records! {
    TrailRow, "trail";
    super::deliver::StateRow, "state of a trail";
    super::deliver::FileRow, "file of a trail";
}

/// What signs an account's digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SignerRow {
    pub(super) made: Timestamp,
    /// The public half: `RSAPublicKey`, in DER.
    pub(super) public: Vec<u8>,
    /// The private half, PKCS #8, sealed by the key table.
    pub(super) sealed: Vec<u8>,
}

impl Record for SignerRow {
    const NAME: &'static str = "signer of digests";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.i64(self.made.as_millis());
        out.bytes(&self.public);
        out.bytes(&self.sealed);
    }

    fn decode(_: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let made = Timestamp::from_millis(fields.i64()?);
        Ok(Self { made, public: fields.bytes()?.to_vec(), sealed: fields.bytes()?.to_vec() })
    }
}
