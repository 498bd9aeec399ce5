//! What S3 keeps beside an object, in the records of objects and uploads.
//!
//! | field | form |
//! |---|---|
//! | count | of those that are there, in order of their tags |
//! | tag | u8, see below |
//! | value | bytes: a record with a version of its own |
//!
//! | tag | value |
//! |---|---|
//! | 1 | tags: count, then name and value texts in order of names |
//! | 2 | owner, where it is not the bucket's: account (8) |
//! | 3 | access list, where it is not the private one: see `record::access` |
//! | 4 | retention: mode u8 (1 governance, 2 compliance), time until |
//! | 5 | legal hold: flag |
//!
//! A tag that is not known is of a newer version: leaving it out would drop a lock or an access list without a word.

use super::fields::{get_bool, get_lock_mode, put_bool, put_lock_mode};
use super::{ObjectAclRecord, OwnerRecord};
use crate::{Retention, Subresources, Tags};
use bytes::Bytes;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::clock::Timestamp;
use engine::{Error, Result};

const TAGS: u8 = 1;
const OWNER: u8 = 2;
const ACCESS_LIST: u8 = 3;
const RETENTION: u8 = 4;
const LEGAL_HOLD: u8 = 5;
/// The highest tag.
const NEWEST: u8 = LEGAL_HOLD;

impl Record for Tags {
    const NAME: &'static str = "tags";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.count(self.len());
        for (name, value) in self.iter() {
            out.text(name).text(value);
        }
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let mut pairs = Vec::new();
        for _ in 0..fields.count()? {
            pairs.push((fields.text()?.to_owned(), fields.text()?.to_owned()));
        }
        Self::of_bucket(pairs).map_err(|_| fields.corrupt("tags that nobody could have set"))
    }
}

impl Record for Retention {
    const NAME: &'static str = "retention";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        put_lock_mode(out, self.mode);
        out.i64(self.until.as_millis());
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        Ok(Self { mode: get_lock_mode(fields)?, until: Timestamp::from_millis(fields.i64()?) })
    }
}

struct LegalHold(bool);

impl Record for LegalHold {
    const NAME: &'static str = "legal hold";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        put_bool(out, self.0);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        get_bool(fields).map(Self)
    }
}

/// Those that are there, by tag.
fn present(subresources: &Subresources) -> Vec<(u8, Bytes)> {
    let mut values = Vec::new();
    if !subresources.tags.is_empty() {
        values.push((TAGS, subresources.tags.to_bytes()));
    }
    if let Some(owner) = subresources.owner {
        values.push((OWNER, OwnerRecord(owner).to_bytes()));
    }
    if let Some(list) = &subresources.access_list {
        values.push((ACCESS_LIST, ObjectAclRecord(list.clone()).to_bytes()));
    }
    if let Some(retention) = &subresources.retention {
        values.push((RETENTION, retention.to_bytes()));
    }
    if let Some(hold) = subresources.legal_hold {
        values.push((LEGAL_HOLD, LegalHold(hold).to_bytes()));
    }
    values
}

pub(super) fn put_subresources(out: &mut RecordWriter, subresources: &Subresources) {
    let values = present(subresources);
    out.count(values.len());
    for (tag, value) in values {
        out.u8(tag).bytes(&value);
    }
}

pub(super) fn get_subresources(fields: &mut RecordReader<'_>) -> Result<Subresources> {
    let mut found = Subresources::default();
    let mut before = 0;
    for _ in 0..fields.count()? {
        let tag = fields.u8()?;
        if tag <= before {
            return Err(fields.corrupt("subresources out of order"));
        }
        before = tag;
        let value = fields.bytes()?;
        match tag {
            TAGS => found.tags = Tags::from_bytes(value)?,
            OWNER => found.owner = Some(OwnerRecord::from_bytes(value)?.0),
            ACCESS_LIST => found.access_list = Some(ObjectAclRecord::from_bytes(value)?.0),
            RETENTION => found.retention = Some(Retention::from_bytes(value)?),
            LEGAL_HOLD => found.legal_hold = Some(LegalHold::from_bytes(value)?.0),
            newer => {
                let what = "subresource of an object".into();
                return Err(Error::Newer { what, found: newer.into(), supported: NEWEST.into() });
            }
        }
    }
    if found.is_none() {
        return Err(fields.corrupt("a form for subresources without any"));
    }
    Ok(found)
}
