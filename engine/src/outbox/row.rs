//! The outbox's rows. The engine's outbox has tags 0xC0 to 0xCF in each family; docs/formats/outbox-rows.md.
//!
//! | table | partition | key | value |
//! |---|---|---|---|
//! | `MESSAGES` | of the change | topic (escaped, ended), sequence (8), salt (8) | [`MessageRow`] |
//! | `COUNTS` | of the change | what is counted u8, topic | how many |

use super::topic::TopicName;
use crate::catalog::key::{KeyReader, KeyWriter};
use crate::catalog::record::{Record, RecordReader, RecordWriter};
use crate::catalog::{Family, Key, Table, Write};
use crate::clock::Timestamp;
use crate::{Error, Result};
use bytes::Bytes;

pub(super) const MESSAGES: Table = Table { family: Family::Queue, tag: 0xC0 };
pub(super) const COUNTS: Table = Table { family: Family::Counter, tag: 0xC0 };

/// Lanes in which keys keep their order.
pub(super) const LANES: usize = 16;

/// Which message of a topic. Ids of one key sort as its changes followed one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id {
    pub(super) sequence: u64,
    pub(super) salt: [u8; 8],
}

impl Id {
    /// Of no message: the first version of a partition is 1.
    pub(super) const NOBODYS: Self = Self { sequence: 0, salt: [0; 8] };

    pub(super) fn read(raw: &[u8]) -> Result<Self> {
        let mut reader = KeyReader::new(raw);
        let id = Self { sequence: reader.u64()?, salt: reader.fixed()? };
        reader.end()?;
        Ok(id)
    }

    /// What a receiver knows the message by.
    pub(super) fn text(&self) -> String {
        format!("msg_{:016x}{:016x}", self.sequence, u64::from_be_bytes(self.salt))
    }

    pub(super) fn delete(&self, topic: &TopicName) -> Write {
        Write::Delete(MESSAGES.key(self.key(topic)))
    }

    fn key(&self, topic: &TopicName) -> Bytes {
        let key = KeyWriter::new().bytes(topic.as_str().as_bytes());
        key.u64(self.sequence).fixed(&self.salt).finish()
    }
}

/// Where the messages of a topic begin.
pub(super) fn messages_of(topic: &TopicName) -> Bytes {
    KeyWriter::new().bytes(topic.as_str().as_bytes()).finish()
}

/// The lane of a key: the same for ever, so that messages which wait keep theirs (FNV-1a).
pub(super) fn lane(key: &[u8]) -> u8 {
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    u8::try_from((hash ^ (hash >> 32)) % LANES as u64).unwrap_or(0)
}

/// A message that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MessageRow {
    /// When it was posted.
    pub(super) at: Timestamp,
    pub(super) lane: u8,
    pub(super) body: Bytes,
}

impl MessageRow {
    pub(super) fn put(&self, topic: &TopicName, id: &Id) -> Write {
        Write::Put(MESSAGES.key(id.key(topic)), self.to_bytes())
    }

    pub(super) fn read(raw: &[u8]) -> Result<Self> {
        Self::from_bytes(raw)
    }
}

impl Record for MessageRow {
    const NAME: &'static str = "message";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.i64(self.at.as_millis()).u8(self.lane).bytes(&self.body);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let at = Timestamp::from_millis(fields.i64()?);
        let lane = fields.u8()?;
        if usize::from(lane) >= LANES {
            return Err(fields.corrupt(format!("lane {lane}")));
        }
        Ok(Self { at, lane, body: Bytes::copy_from_slice(fields.bytes()?) })
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    Waiting,
    Lost,
}

impl Count {
    const fn tag(self) -> u8 {
        match self {
            Self::Waiting => 1,
            Self::Lost => 2,
        }
    }

    pub(super) fn add(self, topic: &TopicName, number: i64) -> Write {
        Write::Add(self.key(topic), number)
    }

    pub(super) fn key(self, topic: &TopicName) -> Key {
        COUNTS.key(KeyWriter::new().u8(self.tag()).tail(topic.as_str().as_bytes()).finish())
    }

    pub(super) fn read_key(raw: &[u8]) -> Result<(Self, TopicName)> {
        let corrupt = |detail: String| Error::Corrupt { what: "outbox count".into(), detail };
        let mut reader = KeyReader::new(raw);
        let count = match reader.u8()? {
            1 => Self::Waiting,
            2 => Self::Lost,
            other => return Err(corrupt(format!("kind {other}"))),
        };
        let topic = std::str::from_utf8(reader.tail()).ok().and_then(|text| text.parse().ok());
        Ok((count, topic.ok_or_else(|| corrupt("an impossible topic".into()))?))
    }
}

pub(super) fn read_count(raw: &[u8]) -> Result<i64> {
    let raw = raw.try_into().map_err(|_| Error::Corrupt {
        what: "outbox count".into(),
        detail: format!("{} bytes", raw.len()),
    })?;
    Ok(i64::from_le_bytes(raw))
}

#[cfg(test)]
mod tests {
    use super::{Count, Id, MessageRow, lane};
    use crate::Error;
    use crate::catalog::Write;
    use crate::catalog::record::Record;
    use crate::clock::Timestamp;
    use bytes::Bytes;

    const ID: Id = Id { sequence: 0x0102, salt: *b"saltsalt" };

    fn row() -> MessageRow {
        MessageRow { at: Timestamp::from_millis(0x0102_0304), lane: 7, body: Bytes::from_static(b"{}") }
    }

    #[test]
    fn messages_have_their_golden_bytes_and_refuse_newer_and_cut_ones() {
        let topic = "new-objects".parse().unwrap();
        let Write::Put(key, value) = row().put(&topic, &ID) else { panic!("a message is put") };
        assert_eq!(&key.bytes[..], b"new-objects\0\x01\0\0\0\0\0\0\x01\x02saltsalt");
        assert_eq!(&value[..], b"\x01\x04\x03\x02\x01\0\0\0\0\x07\x02{}");
        assert_eq!(MessageRow::read(&value).unwrap(), row());
        assert_eq!(Id::read(&key.bytes[13..]).unwrap(), ID);
        assert_eq!(ID.text(), "msg_000000000000010273616c7473616c74");
        for cut in 0..value.len() {
            assert!(matches!(MessageRow::read(&value[..cut]), Err(Error::Corrupt { .. })), "cut at {cut}");
        }
        let mut other = value.to_vec();
        other[0] = MessageRow::VERSION + 1;
        assert!(matches!(MessageRow::read(&other), Err(Error::Newer { .. })));
        (other[0], other[9]) = (1, 16);
        assert!(matches!(MessageRow::read(&other), Err(Error::Corrupt { .. })), "there are 16 lanes");
        for at in 0..value.len() {
            let mut flipped = value.to_vec();
            flipped[at] ^= 0x40;
            assert!(MessageRow::read(&flipped).ok().is_none_or(|other| other != row()), "byte {at}");
        }
    }

    #[test]
    fn counts_have_their_golden_keys() {
        let topic = "t".parse().unwrap();
        for (count, golden) in [(Count::Waiting, b"\x01t"), (Count::Lost, b"\x02t")] {
            let Write::Add(key, 3) = count.add(&topic, 3) else { panic!("a count is added to") };
            assert_eq!(&key.bytes[..], golden);
            assert_eq!(Count::read_key(&key.bytes).unwrap(), (count, topic.clone()));
        }
        for bad in [&b"\x03t"[..], b"\x01", b"\x01a b", b""] {
            Count::read_key(bad).unwrap_err();
        }
    }

    #[test]
    fn a_lane_is_the_same_for_ever() {
        assert_eq!([lane(b""), lane(b"a"), lane(b"photos/1.jpg")], [1, 0, 7]);
    }
}
