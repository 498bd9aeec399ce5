//! Looks for what a row names in each of its copies, and says what became of it there.
//!
//! | fate | what was found | what follows, whoever looks |
//! |---|---|---|
//! | sound | what was written | it is used |
//! | damaged | something else, or nothing where it should be | that copy is made anew from another one |
//! | unreadable | the disk gives an error for these bytes | the same: a sector that fails goes on failing |
//! | away | its zone is away, or its store does not answer | nothing: neither is it damage, nor is the blob given up |
//!
//! Readers, scrubber, compactor, repairer, uploader and the copies of a write that goes on without a zone all match a
//! [`Fate`] to its end, so that no two of them take one error for different things. Errors that say nothing about a copy
//! (the store is closed, the record is of a newer firn) are the caller's own.

use super::BlobStore;
use super::row::BlobRow;
use crate::blocking::blocking;
use crate::id::{BlobId, PartitionId};
use crate::pool::frame::Frame;
use crate::pool::scan::read_record;
use crate::pool::segment::Segment;
use crate::pool::{RecordAt, ZoneId, describe};
use crate::{Error, Result};
use std::ops::Deref;

/// Why nobody has a record whose zone is there.
pub(super) const MISSING: &str = "the segment is missing";

/// A record, verified by its checksum; its bytes have room for a frame in front.
pub(super) type Record = (Frame, Vec<u8>);

/// What became of something in a copy, or in all of them.
#[derive(Debug)]
pub(super) enum Fate<T = Record> {
    /// It is as it was written.
    Sound(T),
    /// It is not what was written, or not there.
    Damaged(Error),
    /// The disk does not give it.
    Unreadable(Error),
    /// Where it lies is not there now.
    Away(Error),
}

/// Why something is not to be had, from where most hope is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Hope {
    /// It may be whole where nobody can look.
    Away,
    /// The next read may give it.
    Unreadable,
    /// None.
    Damaged,
}

/// What an error says about a copy; nothing, if it is about something else.
const fn hope(error: &Error) -> Option<Hope> {
    match error {
        Error::Corrupt { .. } | Error::NotFound { .. } => Some(Hope::Damaged),
        Error::Io { .. } => Some(Hope::Unreadable),
        Error::ZoneAway { .. } | Error::Remote { .. } | Error::NoDescriptors { .. } => Some(Hope::Away),
        Error::Conflict { .. }
        | Error::OverLimit { .. }
        | Error::TooOld { .. }
        | Error::TooLarge { .. }
        | Error::Fenced { .. }
        | Error::Unknown { .. }
        | Error::Full { .. }
        | Error::TooFewZones { .. }
        | Error::Newer { .. }
        | Error::InUse { .. }
        | Error::Invalid(_)
        | Error::Forked { .. }
        | Error::Closed => None,
    }
}

/// Of the errors of two copies the one that leaves more hope; of two alike the first.
pub(super) fn hopeful(first: Option<Error>, second: Error) -> Error {
    match first {
        Some(first) if hope(&first) <= hope(&second) => first,
        _ => second,
    }
}

impl<T> Fate<T> {
    /// What a read says about a copy; an error that says nothing about it stays one.
    pub(super) fn of(outcome: Result<T>) -> Result<Self> {
        let error = match outcome {
            Ok(found) => return Ok(Self::Sound(found)),
            Err(error) => error,
        };
        match hope(&error) {
            Some(Hope::Damaged) => Ok(Self::Damaged(error)),
            Some(Hope::Unreadable) => Ok(Self::Unreadable(error)),
            Some(Hope::Away) => Ok(Self::Away(error)),
            None => Err(error),
        }
    }

    /// Of two copies' fates the better one: a sound one, or else the one that leaves more hope; of two alike the first.
    fn better(first: Option<Self>, second: Self) -> Self {
        let rank = |fate: &Self| match fate {
            Self::Sound(_) => None,
            Self::Away(_) => Some(Hope::Away),
            Self::Unreadable(_) => Some(Hope::Unreadable),
            Self::Damaged(_) => Some(Hope::Damaged),
        };
        match first {
            Some(first) if rank(&first) <= rank(&second) => first,
            _ => second,
        }
    }
}

/// Looks for a record in a segment.
pub(super) async fn look_in(
    segment: impl Deref<Target = Segment> + Send + 'static,
    blob: BlobId,
    at: RecordAt,
) -> Result<Fate> {
    Fate::of(blocking(move || read_record(&segment, blob, &at)).await)
}

impl BlobStore {
    /// Looks for a record of a local copy.
    pub(super) async fn look(&self, blob: BlobId, zone: ZoneId, at: RecordAt) -> Result<Fate> {
        match self.zones.pin(at.segment) {
            Some(pin) => look_in(pin, blob, at).await,
            None => Fate::of(Err(self.missing(blob, &at, zone))),
        }
    }

    /// Looks for a record of the remote copy.
    pub(super) async fn look_far(
        &self,
        (home, blob): (PartitionId, BlobId),
        row: &BlobRow,
        index: usize,
    ) -> Result<Fate> {
        Fate::of(match self.remote_of(row) {
            Some(pool) => pool.record((home, blob), row, index).await,
            None => Err(self.nowhere(row, blob)),
        })
    }

    /// Looks for a record in all copies until one is sound, in the remote one last. If none is, the fate that leaves most hope.
    pub(super) async fn look_everywhere(
        &self,
        (home, blob): (PartitionId, BlobId),
        row: &BlobRow,
        index: usize,
    ) -> Result<Fate> {
        let mut best = None;
        for copy in &row.copies {
            let fate = self.look(blob, copy.zone, copy.places[index]).await?;
            match Fate::better(best.take(), fate) {
                sound @ Fate::Sound(_) => return Ok(sound),
                other => best = Some(other),
            }
        }
        match best {
            Some(best) if row.remote.is_none() => Ok(best),
            best => Ok(Fate::better(best, self.look_far((home, blob), row, index).await?)),
        }
    }

    /// Says that nobody has a record: its zone is away, or it is lost.
    pub(super) fn missing(&self, blob: BlobId, place: &RecordAt, zone: ZoneId) -> Error {
        match self.zones.get(zone) {
            Some(zone) if !zone.is_there() => Error::ZoneAway { zone: zone.name.clone() },
            _ => {
                let what = describe(blob, place.segment, place.offset.into());
                Error::Corrupt { what, detail: MISSING.to_owned() }
            }
        }
    }

    /// No pool that is there holds the blob.
    pub(super) fn nowhere(&self, row: &BlobRow, blob: BlobId) -> Error {
        match &row.remote {
            Some(copy) => {
                let zone =
                    self.zones.get(copy.zone).map_or("of the remote pool", |zone| &zone.name).to_owned();
                let reason = "it is not configured any more; put its [[zone]] back and restart".to_owned();
                Error::Remote { op: "use zone", place: zone, reason }
            }
            None => Error::NotFound { what: "copy of blob", id: blob.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fate, hopeful};
    use crate::Error;

    fn sound() -> Fate<u8> {
        Fate::Sound(7)
    }

    fn damaged() -> Error {
        Error::Corrupt { what: "record".to_owned(), detail: String::new() }
    }

    fn unreadable() -> Error {
        Error::Io { op: "read", path: "segment".into(), source: std::io::Error::other("bad sector") }
    }

    fn away() -> Error {
        Error::ZoneAway { zone: "b".to_owned() }
    }

    fn far() -> Error {
        Error::Remote { op: "read", place: "s3".to_owned(), reason: "it does not answer".to_owned() }
    }

    fn fate(error: Error) -> Fate<u8> {
        Fate::of(Err(error)).unwrap()
    }

    #[test]
    fn an_error_is_about_the_copy_or_the_callers() {
        assert!(matches!(Fate::of(Ok(7)), Ok(Fate::Sound(7))));
        assert!(matches!(fate(damaged()), Fate::Damaged(_)));
        assert!(matches!(fate(Error::NotFound { what: "copy", id: String::new() }), Fate::Damaged(_)));
        assert!(matches!(fate(unreadable()), Fate::Unreadable(_)));
        assert!(matches!(fate(away()), Fate::Away(_)));
        assert!(matches!(fate(far()), Fate::Away(_)));
        for own in [
            Error::Closed,
            Error::Newer { what: String::new(), found: 2, supported: 1 },
            Error::Full { place: String::new(), wanted: 1 },
            Error::Conflict { check: 0 },
        ] {
            Fate::<u8>::of(Err(own)).unwrap_err();
        }
    }

    #[test]
    fn of_two_copies_the_sound_one_counts_and_else_the_one_that_leaves_more_hope() {
        // From the best to the worst.
        let fates = [sound, || fate(away()), || fate(unreadable()), || fate(damaged())];
        let kind = |fate: &Fate<u8>| std::mem::discriminant(fate);
        for (n, first) in fates.iter().enumerate() {
            for (m, second) in fates.iter().enumerate() {
                assert_eq!(
                    kind(&Fate::better(Some(first()), second())),
                    kind(&fates[n.min(m)]()),
                    "{n}, {m}"
                );
            }
        }
        let two = Fate::better(Some(fate(away())), fate(far()));
        assert!(matches!(two, Fate::Away(Error::ZoneAway { .. })), "the first of two");
        let errors = [away, unreadable, damaged];
        for (n, first) in errors.iter().enumerate() {
            for (m, second) in errors.iter().enumerate() {
                let told = hopeful(Some(first()), second());
                assert_eq!(told.to_string(), errors[n.min(m)]().to_string(), "{n}, {m}");
            }
        }
        assert_eq!(hopeful(None, far()).to_string(), far().to_string());
    }
}
