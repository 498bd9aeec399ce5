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
//!
//! A tag that is not known is of a newer version: leaving it out would drop a lock or an access list without a word.

use crate::{Subresources, Tags};
use bytes::Bytes;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::{Error, Result};

const TAGS: u8 = 1;
/// The highest tag.
const NEWEST: u8 = TAGS;

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

/// Those that are there, by tag.
fn present(subresources: &Subresources) -> Vec<(u8, Bytes)> {
    let mut values = Vec::new();
    if !subresources.tags.is_empty() {
        values.push((TAGS, subresources.tags.to_bytes()));
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
