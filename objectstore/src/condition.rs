//! Conditional requests: pure decisions from what is there.
//!
//! Reads follow RFC 9110's order (If-Match, else If-Unmodified-Since; then If-None-Match, else If-Modified-Since). Writes
//! are decided against the row that the commit then checks, so that of racing writers exactly one wins.

use crate::record::ObjectRow;
use crate::{ETag, ETagMatch, Error, VersionName};
use engine::clock::Timestamp;
use engine::unit::ByteCount;

/// Conditions of a GET, HEAD or copy source. HTTP dates have whole seconds, so times are compared by the second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadConditions {
    /// If-Match.
    pub if_match: Option<ETagMatch>,
    /// If-None-Match.
    pub if_none_match: Option<ETagMatch>,
    /// If-Modified-Since.
    pub if_modified_since: Option<Timestamp>,
    /// If-Unmodified-Since.
    pub if_unmodified_since: Option<Timestamp>,
}

/// If-Range: a range is answered only of the object that the client has the beginning of; of another one, all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfRange {
    /// The object has this tag, compared strongly.
    Tag(ETagMatch),
    /// The object was last modified at this second.
    Time(Timestamp),
}

impl IfRange {
    /// Whether the object is the one that the client has begun to read.
    pub(crate) fn holds(&self, etag: &ETag, modified: Timestamp) -> bool {
        match self {
            Self::Tag(wanted) => wanted.matches(etag),
            Self::Time(second) => modified.as_secs() == second.as_secs(),
        }
    }
}

/// Conditions of a PUT, completion or copy destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteConditions {
    /// If-Match: the current object has this tag.
    pub if_match: Option<ETagMatch>,
    /// If-None-Match: `*` for "there is no current object", a tag for "it is another one".
    pub if_none_match: Option<ETagMatch>,
}

/// Conditions of a DELETE, on the current object or on the version named. All that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteConditions {
    /// If-Match: the object is there and has this tag.
    pub if_match: Option<ETagMatch>,
    /// x-amz-if-match-last-modified-time, compared by the second; an object that is not there needs none.
    pub if_modified_at: Option<Timestamp>,
    /// x-amz-if-match-size; an object that is not there needs none.
    pub if_size: Option<ByteCount>,
}

impl ReadConditions {
    /// Decides for an object that exists.
    pub fn check(&self, etag: ETag, modified: Timestamp, version: Option<VersionName>) -> Result<(), Error> {
        let failed = |header| Err(Error::PreconditionFailed { header });
        match (&self.if_match, self.if_unmodified_since) {
            (Some(wanted), _) if !wanted.matches(&etag) => return failed("If-Match"),
            (None, Some(limit)) if modified.as_secs() > limit.as_secs() => {
                return failed("If-Unmodified-Since");
            }
            _ => {}
        }
        let unchanged = match (&self.if_none_match, self.if_modified_since) {
            (Some(known), _) => known.matches(&etag),
            (None, Some(since)) => modified.as_secs() <= since.as_secs(),
            (None, None) => false,
        };
        if unchanged { Err(Error::NotModified { etag, modified, version }) } else { Ok(()) }
    }

    /// Decides for the source of a copy, where "not modified" is a failed precondition.
    pub(crate) fn check_copy(&self, etag: ETag, modified: Timestamp) -> Result<(), Error> {
        self.check(etag, modified, None).map_err(|error| match error {
            Error::NotModified { .. } if self.if_none_match.is_some() => {
                Error::PreconditionFailed { header: "x-amz-copy-source-if-none-match" }
            }
            Error::NotModified { .. } => {
                Error::PreconditionFailed { header: "x-amz-copy-source-if-modified-since" }
            }
            other => other,
        })
    }
}

/// A tag, not any.
const fn is_named(wanted: Option<&ETagMatch>) -> bool {
    matches!(wanted, Some(wanted) if !matches!(wanted, ETagMatch::Any))
}

impl WriteConditions {
    /// Whether they name an ETag that the object has or has not.
    pub fn name_a_tag(&self) -> bool {
        is_named(self.if_match.as_ref()) || is_named(self.if_none_match.as_ref())
    }

    /// Decides a write against the current object's tag, if there is one.
    pub(crate) fn check_write(&self, current: Option<&ETag>) -> Result<(), Error> {
        match (&self.if_match, current) {
            (Some(_), None) => return Err(Error::NoSuchKey { marker: None }),
            (Some(wanted), Some(etag)) if !wanted.matches(etag) => {
                return Err(Error::PreconditionFailed { header: "If-Match" });
            }
            _ => {}
        }
        match (&self.if_none_match, current) {
            (Some(known), Some(etag)) if known.matches(etag) => {
                Err(Error::PreconditionFailed { header: "If-None-Match" })
            }
            _ => Ok(()),
        }
    }
}

impl DeleteConditions {
    /// Whether they name an ETag, a size or a time that the object has or has not.
    pub fn name_what_is_there(&self) -> bool {
        is_named(self.if_match.as_ref()) || self.if_modified_at.is_some() || self.if_size.is_some()
    }

    /// Decides against the row of the object or version named, if there is one. Under a delete marker there is no object,
    /// so no tag, time or size of one can match it.
    pub(crate) fn check(&self, row: Option<&ObjectRow>) -> Result<(), Error> {
        let stored = row.and_then(|row| row.stored.as_ref().map(|stored| (row.modified, stored)));
        match (&self.if_match, stored) {
            (Some(_), None) => return Err(Error::NoSuchKey { marker: None }),
            (Some(wanted), Some((_, stored))) if !wanted.matches(&stored.etag) => {
                return Err(Error::PreconditionFailed { header: "If-Match" });
            }
            _ => {}
        }
        let differs = |asked: bool, same: bool| row.is_some() && asked && !same;
        let time = stored.map(|(modified, _)| modified.as_secs());
        if differs(self.if_modified_at.is_some(), time == self.if_modified_at.map(Timestamp::as_secs)) {
            return Err(Error::PreconditionFailed { header: "x-amz-if-match-last-modified-time" });
        }
        let size = stored.map(|(_, stored)| ByteCount::new(stored.extent.length));
        if differs(self.if_size.is_some(), size == self.if_size) {
            return Err(Error::PreconditionFailed { header: "x-amz-if-match-size" });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{ReadConditions, WriteConditions};
    use crate::{ETag, ETagMatch, Error};
    use engine::clock::Timestamp;

    const TAG: ETag = ETag::of_body([7; 16]);
    const OTHER: ETag = ETag::of_body([8; 16]);

    fn is(tag: ETag) -> ETagMatch {
        ETagMatch::OneOf(vec![tag])
    }

    #[test]
    fn reads_follow_the_order_of_rfc_9110() {
        let at = Timestamp::from_millis;
        let modified = at(10_500);
        let outcome = |conditions: &ReadConditions| match conditions.check(TAG, modified, None) {
            Ok(()) => 200,
            Err(Error::NotModified { .. }) => 304,
            Err(Error::PreconditionFailed { .. }) => 412,
            Err(other) => panic!("{other}"),
        };
        let none = ReadConditions::default;
        for (conditions, status) in [
            (none(), 200),
            (ReadConditions { if_match: Some(is(TAG)), ..none() }, 200),
            (ReadConditions { if_match: Some(is(OTHER)), ..none() }, 412),
            (ReadConditions { if_match: Some(is(TAG)), if_unmodified_since: Some(at(0)), ..none() }, 200),
            (ReadConditions { if_unmodified_since: Some(at(9_999)), ..none() }, 412),
            (ReadConditions { if_unmodified_since: Some(at(10_000)), ..none() }, 200),
            (ReadConditions { if_none_match: Some(is(TAG)), ..none() }, 304),
            (
                ReadConditions {
                    if_none_match: Some(is(OTHER)),
                    if_modified_since: Some(at(20_000)),
                    ..none()
                },
                200,
            ),
            (ReadConditions { if_modified_since: Some(at(10_000)), ..none() }, 304),
            (ReadConditions { if_modified_since: Some(at(9_000)), ..none() }, 200),
            (ReadConditions { if_match: Some(is(OTHER)), if_none_match: Some(is(TAG)), ..none() }, 412),
        ] {
            assert_eq!(outcome(&conditions), status, "{conditions:?}");
        }
    }

    #[test]
    fn writes_are_decided_by_the_current_tag() {
        let create = WriteConditions { if_none_match: Some(ETagMatch::Any), ..WriteConditions::default() };
        create.check_write(None).unwrap();
        assert!(matches!(create.check_write(Some(&TAG)), Err(Error::PreconditionFailed { .. })));
        let swap = WriteConditions { if_match: Some(is(TAG)), ..WriteConditions::default() };
        swap.check_write(Some(&TAG)).unwrap();
        assert!(matches!(swap.check_write(Some(&OTHER)), Err(Error::PreconditionFailed { .. })));
        assert!(matches!(swap.check_write(None), Err(Error::NoSuchKey { .. })));
    }
}
