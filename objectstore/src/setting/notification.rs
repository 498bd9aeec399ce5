//! What a bucket's owner wants to be told of, by the rules of S3's notification configuration.
//!
//! A rule names a topic, types of events, and how keys begin and end. Two rules that could both want one event are refused.
//! Sources: `PutBucketNotificationConfiguration` of the API reference, "Event notification types and destinations" and "Configuring
//! event notifications using object key name filtering" of the S3 user guide.
//!
//! Limits: 100 rules; 255 characters of an id; 1,024 bytes of a prefix or suffix; each of 27 types of events once a rule.

use super::{Setting, SettingKind};
use crate::{Error, EventType, Result};
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::outbox::TopicName;

/// Rules of one bucket at the most.
pub const NOTIFICATION_RULES_MAX: usize = 100;
/// Characters of a rule's id.
const ID_MAX: usize = 255;
/// Bytes of a prefix or suffix: those of a key.
const FILTER_MAX: usize = 1024;

const fn invalid(name: &'static str, detail: &'static str) -> Error {
    Error::InvalidArgument { name, detail }
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationRule {
    /// Its name, which its events carry. Unique in the bucket.
    pub id: String,
    /// Who is told.
    pub topic: TopicName,
    /// Of what. At least one.
    pub events: Vec<EventType>,
    /// How keys begin.
    pub prefix: Option<String>,
    /// How keys end.
    pub suffix: Option<String>,
}

impl NotificationRule {
    /// Whether it wants an event of a key.
    pub(crate) fn wants(&self, what: EventType, key: &str) -> bool {
        self.events.iter().any(|wanted| wanted.covers(what))
            && key.starts_with(self.prefix())
            && key.ends_with(self.suffix())
    }

    fn prefix(&self) -> &str {
        self.prefix.as_deref().unwrap_or_default()
    }

    fn suffix(&self) -> &str {
        self.suffix.as_deref().unwrap_or_default()
    }

    fn check(&self) -> Result<()> {
        if self.id.chars().count() > ID_MAX {
            return Err(invalid(
                "Id",
                "The ID of a notification configuration must not exceed 255 characters",
            ));
        }
        if self.prefix().len().max(self.suffix().len()) > FILTER_MAX {
            return Err(invalid(
                "FilterRule.Value",
                "Size of filter rule value cannot exceed 1024 bytes in UTF-8 representation",
            ));
        }
        if self.events.is_empty() {
            return Err(invalid("Event", "A notification configuration names at least one event"));
        }
        // Each once, so there can be no more than there are types: what is compared with other rules is bounded.
        let twice = |at: usize| self.events[..at].contains(&self.events[at]);
        if self.events.len() > EventType::COUNT || (1..self.events.len()).any(twice) {
            return Err(invalid("Event", "A notification configuration names each event once"));
        }
        Ok(())
    }

    /// Refuses another rule that could want an event which this one wants.
    fn check_beside(&self, other: &Self) -> Result<()> {
        if self.id == other.id {
            return Err(invalid("Id", "Same ID used for multiple configurations. IDs must be unique"));
        }
        let (a, b) = (self.prefix(), other.prefix());
        let prefixes = a.starts_with(b) || b.starts_with(a);
        let (a, b) = (self.suffix(), other.suffix());
        let suffixes = a.ends_with(b) || b.ends_with(a);
        let events = || self.events.iter().any(|one| other.events.iter().any(|two| one.meets(*two)));
        if !(prefixes && suffixes && events()) {
            return Ok(());
        }
        let filtered =
            [self.prefix(), self.suffix(), other.prefix(), other.suffix()].iter().any(|f| !f.is_empty());
        Err(if filtered {
            invalid(
                "FilterRule",
                "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are \
                 overlapping for the same event type.",
            )
        } else {
            invalid(
                "Event",
                "Configurations overlap. Configurations on the same bucket cannot share a common event type.",
            )
        })
    }
}

/// The rules of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification(Vec<NotificationRule>);

impl Notification {
    /// Checks the rules.
    pub fn new(rules: Vec<NotificationRule>) -> Result<Self> {
        if rules.len() > NOTIFICATION_RULES_MAX {
            return Err(invalid(
                "NotificationConfiguration",
                "A bucket can have 100 notification configurations at the most",
            ));
        }
        for (at, rule) in rules.iter().enumerate() {
            rule.check()?;
            rules[..at].iter().try_for_each(|other| rule.check_beside(other))?;
        }
        Ok(Self(rules))
    }

    /// In order.
    pub fn rules(&self) -> &[NotificationRule] {
        &self.0
    }

    /// The first rule of each topic.
    pub(crate) fn first_of_each_topic(&self) -> impl Iterator<Item = &NotificationRule> {
        let first = |at: usize| self.0[..at].iter().all(|other| other.topic != self.0[at].topic);
        self.0.iter().enumerate().filter(move |(at, _)| first(*at)).map(|(_, rule)| rule)
    }
}

fn put_optional(out: &mut RecordWriter, text: Option<&str>) {
    out.u8(u8::from(text.is_some()));
    if let Some(text) = text {
        out.text(text);
    }
}

fn get_optional(fields: &mut RecordReader<'_>) -> engine::Result<Option<String>> {
    match fields.u8()? {
        0 => Ok(None),
        1 => Ok(Some(fields.text()?.to_owned())),
        other => Err(fields.corrupt(format!("flag {other}"))),
    }
}

impl Record for Notification {
    const NAME: &'static str = "notification configuration";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.count(self.0.len());
        for rule in &self.0 {
            let events: Vec<u8> = rule.events.iter().map(|event| event.number()).collect();
            out.text(&rule.id).text(rule.topic.as_str()).bytes(&events);
            put_optional(out, rule.prefix.as_deref());
            put_optional(out, rule.suffix.as_deref());
        }
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let mut rules = Vec::new();
        for _ in 0..fields.count()? {
            let id = fields.text()?.to_owned();
            let topic = fields.text()?.parse().map_err(|_| fields.corrupt("an impossible topic"))?;
            let numbers = fields.bytes()?;
            let events = numbers.iter().map(|number| EventType::from_number(*number)).collect::<Option<_>>();
            let events = events.ok_or_else(|| fields.corrupt("an unknown type of event"))?;
            let prefix = get_optional(fields)?;
            let suffix = get_optional(fields)?;
            rules.push(NotificationRule { id, topic, events, prefix, suffix });
        }
        Ok(Self(rules))
    }
}

impl Setting for Notification {
    const KIND: SettingKind = SettingKind::Notification;
}

#[cfg(test)]
mod tests {
    use super::{Notification, NotificationRule};
    use crate::{Error, EventType};

    fn rule(id: &str, events: &[&str], prefix: &str, suffix: &str) -> NotificationRule {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        NotificationRule {
            id: id.to_owned(),
            topic: "t".parse().unwrap(),
            events: events.iter().map(|name| name.parse().unwrap()).collect(),
            prefix: some(prefix),
            suffix: some(suffix),
        }
    }

    fn refusal(rules: &[NotificationRule]) -> Option<&'static str> {
        match Notification::new(rules.to_vec()) {
            Ok(_) => None,
            Err(Error::InvalidArgument { detail, .. }) => Some(detail),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_rule_wants_keys_that_begin_and_end_as_it_says() {
        let images = rule("1", &["s3:ObjectCreated:*"], "images/", ".jpg");
        assert!(images.wants(EventType::PUT, "images/a.jpg") && images.wants(EventType::COPY, "images/.jpg"));
        for key in ["images/a.png", "a/images/b.jpg", "images", "Images/a.jpg"] {
            assert!(!images.wants(EventType::PUT, key), "{key}");
        }
        assert!(!images.wants(EventType::DELETE, "images/a.jpg"));
        assert!(rule("1", &["s3:ObjectCreated:Put"], "aa", "aa").wants(EventType::PUT, "aa"));
    }

    /// The examples of the user guide, and their like.
    #[test]
    fn rules_that_could_want_one_event_are_refused() {
        let (created, put, removed) =
            ("s3:ObjectCreated:*", "s3:ObjectCreated:Put", "s3:ObjectRemoved:Delete");
        let ambiguous = "Configuration is ambiguously defined.";
        let overlap = "Configurations overlap.";
        for (one, two, refused) in [
            (rule("1", &[created], "images", ""), rule("2", &[removed], "images", ""), None),
            (rule("1", &[created], "images", ""), rule("2", &[created], "logs", ""), None),
            (rule("1", &[created], "", ".jpg"), rule("2", &[created], "", ".png"), None),
            (rule("1", &[created], "images", ".jpg"), rule("2", &[created], "images/a", ".png"), None),
            (rule("1", &[created], "images", ".jpg"), rule("2", &[put], "logs", ".jpg"), None),
            (rule("1", &[created], "images", ""), rule("2", &[put], "images/a", ""), Some(ambiguous)),
            (rule("1", &[put], "", "jpg"), rule("2", &[created], "", "pg"), Some(ambiguous)),
            (rule("1", &[created], "images", ""), rule("2", &[created], "", ".jpg"), Some(ambiguous)),
            (rule("1", &[created], "images", ""), rule("2", &[put], "", ""), Some(ambiguous)),
            (rule("1", &[put, removed], "", ""), rule("2", &[created], "", ""), Some(overlap)),
            (rule("1", &[put], "a", ""), rule("1", &[put], "b", ""), Some("Same ID used")),
        ] {
            for pair in [[one.clone(), two.clone()], [two.clone(), one.clone()]] {
                let said = refusal(&pair);
                let as_wanted = match refused {
                    None => said.is_none(),
                    Some(begin) => said.is_some_and(|said| said.starts_with(begin)),
                };
                assert!(as_wanted, "{pair:?}: {said:?}");
            }
        }
    }

    #[test]
    fn rules_are_bounded() {
        let many = |count: usize| -> Vec<_> {
            (0..count)
                .map(|n| rule(&n.to_string(), &["s3:ObjectCreated:Put"], &format!("{n:03}"), ""))
                .collect()
        };
        assert_eq!(refusal(&many(100)), None);
        assert!(refusal(&many(101)).is_some());
        let put = ["s3:ObjectCreated:Put"];
        assert_eq!(refusal(&[rule(&"i".repeat(255), &put, &"p".repeat(1024), &"s".repeat(1024))]), None);
        for bad in [
            rule(&"i".repeat(256), &put, "", ""),
            rule("1", &put, &"p".repeat(1025), ""),
            rule("1", &put, "", &"é".repeat(513)),
            rule("1", &[], "", ""),
            rule("1", &[put[0], "s3:ObjectAcl:Put", put[0]], "", ""),
            rule("1", &[put[0]; 28], "", ""),
        ] {
            assert!(refusal(&[bad]).is_some());
        }
    }

    #[test]
    fn each_topic_is_told_once_of_a_configuration() {
        let mut rules: Vec<_> =
            (0..4).map(|n| rule(&n.to_string(), &["s3:ObjectAcl:Put"], &n.to_string(), "")).collect();
        rules[2].topic = "u".parse().unwrap();
        let set = Notification::new(rules).unwrap();
        assert_eq!(set.first_of_each_topic().map(|rule| rule.id.as_str()).collect::<Vec<_>>(), ["0", "2"]);
    }
}
