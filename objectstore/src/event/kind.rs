//! The types of events, by S3's names. A type may stand for several: `s3:ObjectCreated:*`.
//!
//! Source: "Supported event types for SQS, SNS, and Lambda" of the S3 user guide. What firn does not do (yet) can be asked for, and
//! is told of once it does.

use crate::Error;
use std::fmt;
use std::str::FromStr;

/// All names; their places, counted from 1, are part of the format (docs/formats/objectstore-rows.md).
const NAMES: [&str; 27] = [
    "s3:ObjectCreated:*",
    "s3:ObjectCreated:Put",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:CompleteMultipartUpload",
    "s3:ObjectRemoved:*",
    "s3:ObjectRemoved:Delete",
    "s3:ObjectRemoved:DeleteMarkerCreated",
    "s3:ObjectTagging:*",
    "s3:ObjectTagging:Put",
    "s3:ObjectTagging:Delete",
    "s3:ObjectAcl:Put",
    "s3:ObjectRestore:*",
    "s3:ObjectRestore:Post",
    "s3:ObjectRestore:Completed",
    "s3:ObjectRestore:Delete",
    "s3:ReducedRedundancyLostObject",
    "s3:Replication:*",
    "s3:Replication:OperationFailedReplication",
    "s3:Replication:OperationMissedThreshold",
    "s3:Replication:OperationReplicatedAfterThreshold",
    "s3:Replication:OperationNotTracked",
    "s3:LifecycleExpiration:*",
    "s3:LifecycleExpiration:Delete",
    "s3:LifecycleExpiration:DeleteMarkerCreated",
    "s3:LifecycleTransition",
    "s3:IntelligentTiering",
];

/// A type of event, or of several that share the beginning of their names.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventType(u8);

impl EventType {
    /// An object came by PUT.
    pub const PUT: Self = Self(2);
    /// An object came by a form.
    pub const POST: Self = Self(3);
    /// An object came by a copy.
    pub const COPY: Self = Self(4);
    /// An object came by the completion of an upload in parts.
    pub const COMPLETE: Self = Self(5);
    /// An object or a version of it is gone.
    pub const DELETE: Self = Self(7);
    /// A delete marker hides what is below it.
    pub const MARKER: Self = Self(8);
    /// An object's tags were set.
    pub const TAGS_PUT: Self = Self(10);
    /// An object's tags were removed.
    pub const TAGS_DELETE: Self = Self(11);
    /// An object's access list was set.
    pub const ACL_PUT: Self = Self(12);
    /// An archived version is asked for.
    pub const RESTORE: Self = Self(14);
    /// An archived version can be read.
    pub const RESTORED: Self = Self(15);
    /// An archived version can't be read any more.
    pub const RESTORE_OVER: Self = Self(16);
    /// A lifecycle rule moved a version to another class.
    pub const TRANSITION: Self = Self(26);
    /// A lifecycle rule removed an object or a version.
    pub const EXPIRED: Self = Self(24);
    /// A lifecycle rule hid an object by a delete marker.
    pub const EXPIRED_MARKER: Self = Self(25);

    /// How many there are.
    pub(crate) const COUNT: usize = NAMES.len();

    /// S3's name of it.
    pub fn as_str(self) -> &'static str {
        NAMES[usize::from(self.0) - 1]
    }

    /// Its number in records.
    pub(crate) const fn number(self) -> u8 {
        self.0
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        (1..=NAMES.len()).contains(&usize::from(number)).then_some(Self(number))
    }

    /// Whether who asks for this one gets events of the other.
    pub(crate) fn covers(self, other: Self) -> bool {
        self == other || self.as_str().strip_suffix('*').is_some_and(|stem| other.as_str().starts_with(stem))
    }

    /// Whether there is an event that both stand for.
    pub(crate) fn meets(self, other: Self) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// An object came, or one or its version went: what S3 numbers by a sequencer.
    pub(crate) fn creates_or_removes(self) -> bool {
        self.as_str().starts_with("s3:ObjectCreated:") || self.removes()
    }

    pub(crate) fn removes(self) -> bool {
        self.as_str().starts_with("s3:ObjectRemoved:")
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EventType {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let place = (1..).zip(NAMES).find(|(_, name)| *name == text).map(|(number, _)| Self(number));
        place.ok_or(Error::InvalidArgument {
            name: "Event",
            detail: "The event is not supported for notifications",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{EventType, NAMES};

    #[test]
    fn names_are_s3s_and_a_star_covers_what_begins_like_it() {
        for (number, name) in (1..).zip(NAMES) {
            let parsed: EventType = name.parse().unwrap();
            assert_eq!((parsed.number(), parsed.as_str()), (number, name));
            assert_eq!(EventType::from_number(number), Some(parsed));
        }
        for bad in
            ["", "s3:ObjectCreated", "s3:TestEvent", "s3:*", "S3:ObjectCreated:Put", "s3:ObjectCreated:Put "]
        {
            bad.parse::<EventType>().unwrap_err();
        }
        assert_eq!((EventType::from_number(0), EventType::from_number(28)), (None, None));
        let created: EventType = "s3:ObjectCreated:*".parse().unwrap();
        for one in [EventType::PUT, EventType::POST, EventType::COPY, EventType::COMPLETE] {
            assert!(
                created.covers(one) && !one.covers(created) && one.meets(created) && one.creates_or_removes()
            );
        }
        assert!(!created.covers(EventType::DELETE) && !created.meets(EventType::ACL_PUT));
        for (one, name) in [
            (EventType::PUT, "s3:ObjectCreated:Put"),
            (EventType::POST, "s3:ObjectCreated:Post"),
            (EventType::COPY, "s3:ObjectCreated:Copy"),
            (EventType::COMPLETE, "s3:ObjectCreated:CompleteMultipartUpload"),
            (EventType::DELETE, "s3:ObjectRemoved:Delete"),
            (EventType::MARKER, "s3:ObjectRemoved:DeleteMarkerCreated"),
            (EventType::TAGS_PUT, "s3:ObjectTagging:Put"),
            (EventType::TAGS_DELETE, "s3:ObjectTagging:Delete"),
            (EventType::ACL_PUT, "s3:ObjectAcl:Put"),
            (EventType::RESTORE, "s3:ObjectRestore:Post"),
            (EventType::RESTORED, "s3:ObjectRestore:Completed"),
            (EventType::RESTORE_OVER, "s3:ObjectRestore:Delete"),
            (EventType::TRANSITION, "s3:LifecycleTransition"),
            (EventType::EXPIRED, "s3:LifecycleExpiration:Delete"),
            (EventType::EXPIRED_MARKER, "s3:LifecycleExpiration:DeleteMarkerCreated"),
        ] {
            assert_eq!(one.as_str(), name);
        }
        let lifecycle: EventType = "s3:LifecycleExpiration:*".parse().unwrap();
        assert!(!lifecycle.meets(EventType::DELETE), "what a rule removes is another event");
    }
}
