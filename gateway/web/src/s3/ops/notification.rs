//! `PutBucketNotificationConfiguration`, `GetBucketNotificationConfiguration`.
//!
//! A topic of the appliance's configuration is the one kind of destination. Queues, functions and the event bus are answered as S3
//! answers for what it can't reach: they are never taken in silence. So is a topic that nobody is named for, whatever
//! `x-amz-skip-destination-validation` says: its events would take the room of others' for a week. The header leaves out the test event.

use super::{Proof, document, required};
use crate::s3::Call;
use crate::s3::answer::{Answer, empty, xml};
use crate::s3::body::RequestBody;
use crate::s3::code::Code;
use crate::s3::error::S3Error;
use crate::s3::headers;
use crate::xml::{Element, XmlWriter};
use engine::outbox::TopicName;
use http::StatusCode;
use objectstore::{EventType, Notification, NotificationRule};
use security::Arn;

const SKIP: &str = "x-amz-skip-destination-validation";

/// `PutBucketNotificationConfiguration`: all rules at once; none of them removes what was set.
pub(super) async fn put(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let name = call.target.bucket()?;
    let root = required(document(call, body, Proof::Optional).await?)?;
    let skip = match headers::text(&call.head.headers, SKIP)? {
        None => false,
        Some(text) if text.eq_ignore_ascii_case("true") => true,
        Some(text) if text.eq_ignore_ascii_case("false") => false,
        Some(text) => return Err(S3Error::argument(SKIP, text, "The value must be true or false.")),
    };
    let mut rules = Vec::new();
    for rule in parse(&root)? {
        rules.push(rule.checked(call)?);
    }
    let set = Notification::new(rules)?;
    let set = Some(&set).filter(|set| !set.rules().is_empty());
    let origin = call.origin();
    call.state.store.set_notification(&name, set, Some(&origin).filter(|_| !skip)).await?;
    Ok(empty(StatusCode::OK))
}

/// One rule as it was sent.
#[derive(Debug, PartialEq, Eq)]
struct Sent {
    id: Option<String>,
    /// Where to, and whether that is a topic.
    destination: String,
    topic: bool,
    events: Vec<EventType>,
    prefix: Option<String>,
    suffix: Option<String>,
}

impl Sent {
    fn checked(self, call: &Call) -> Result<NotificationRule, S3Error> {
        let topic = self.topic(call)?;
        let Self { id, events, prefix, suffix, .. } = self;
        // S3 names a rule that has no name.
        let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| {
            let mut random = [0; 16];
            call.state.entropy.fill_id(&mut random);
            hex::encode(random)
        });
        Ok(NotificationRule { id, topic, events, prefix, suffix })
    }

    fn topic(&self, call: &Call) -> Result<TopicName, S3Error> {
        let arn = &self.destination;
        let parsed: Arn =
            arn.parse().map_err(|_| S3Error::argument("ARN", arn, "The ARN is not well formed"))?;
        if !self.topic || parsed.service() != "sns" {
            return Err(unreachable(arn, "Only topics of this appliance can be told: arn:aws:sns:…"));
        }
        let store = &call.state.store;
        let topic =
            parsed.resource().parse::<TopicName>().ok().filter(|topic| store.topic_arn(topic) == parsed);
        match topic {
            Some(topic) if store.has_topic(&topic) => Ok(topic),
            _ => Err(unreachable(arn, "The destination topic does not exist")),
        }
    }
}

/// S3's words for a destination that it can't reach.
fn unreachable(arn: &str, why: &'static str) -> S3Error {
    S3Error::argument(arn, why, "Unable to validate the following destination configurations")
}

fn malformed() -> S3Error {
    S3Error::new(Code::MalformedXML)
}

/// The rules of a document, in order.
fn parse(root: &Element) -> Result<Vec<Sent>, S3Error> {
    let root = root.expect("NotificationConfiguration")?.only(&[
        "TopicConfiguration",
        "QueueConfiguration",
        "CloudFunctionConfiguration",
        "EventBridgeConfiguration",
    ])?;
    root.children().iter().map(parse_rule).collect()
}

fn parse_rule(element: &Element) -> Result<Sent, S3Error> {
    let destination = match element.name() {
        "TopicConfiguration" => "Topic",
        "QueueConfiguration" => "Queue",
        "CloudFunctionConfiguration" => "CloudFunction",
        _ => return Err(unreachable("EventBridgeConfiguration", "There is no event bus here")),
    };
    element.only(&["Id", destination, "Event", "Filter"])?;
    let arn = element.child_text(destination)?.filter(|arn| !arn.is_empty()).ok_or_else(malformed)?;
    let events = element.children().iter().filter(|child| child.name() == "Event");
    let events = events
        .map(|child| {
            let text = child.leaf()?.trim();
            text.parse()
                .map_err(|_| S3Error::argument("Event", text, "The event is not supported for notifications"))
        })
        .collect::<Result<Vec<EventType>, S3Error>>()?;
    if events.is_empty() {
        return Err(malformed());
    }
    let (prefix, suffix) = match element.child("Filter")? {
        Some(filter) => parse_filter(filter)?,
        None => (None, None),
    };
    Ok(Sent {
        id: element.child_text("Id")?.map(str::to_owned),
        destination: arn.to_owned(),
        topic: destination == "Topic",
        events,
        prefix,
        suffix,
    })
}

/// `<Filter><S3Key><FilterRule><Name/><Value/></FilterRule>…`: each name once, in any case.
fn parse_filter(filter: &Element) -> Result<(Option<String>, Option<String>), S3Error> {
    let (mut prefix, mut suffix) = (None, None);
    let Some(rules) = filter.only(&["S3Key"])?.child("S3Key")? else { return Ok((None, None)) };
    for rule in rules.only(&["FilterRule"])?.children() {
        rule.only(&["Name", "Value"])?;
        let name = rule.child_text("Name")?.ok_or_else(malformed)?;
        let value = rule.child("Value")?.ok_or_else(malformed)?.leaf()?;
        let (slot, twice) = if name.eq_ignore_ascii_case("prefix") {
            (&mut prefix, "Cannot specify more than one prefix rule in a filter.")
        } else if name.eq_ignore_ascii_case("suffix") {
            (&mut suffix, "Cannot specify more than one suffix rule in a filter.")
        } else {
            let message = "filter rule name must be either prefix or suffix";
            return Err(S3Error::argument("FilterRule.Name", name, message));
        };
        if slot.replace(value.to_owned()).is_some() {
            return Err(S3Error::argument("FilterRule.Name", name, twice));
        }
    }
    Ok((prefix, suffix))
}

/// `GetBucketNotificationConfiguration`: without any rule where nothing is set.
pub(super) async fn get(call: &Call) -> Result<Answer, S3Error> {
    let store = &call.state.store;
    let set = store.setting::<Notification>(&call.target.bucket()?).await?;
    let mut out = XmlWriter::document("NotificationConfiguration");
    for rule in set.iter().flat_map(|set| set.rules()) {
        out.start("TopicConfiguration");
        out.text("Id", &rule.id);
        out.text("Topic", &store.topic_arn(&rule.topic).to_string());
        for event in &rule.events {
            out.value("Event", event);
        }
        let filters = [("Prefix", &rule.prefix), ("Suffix", &rule.suffix)];
        if filters.iter().any(|(_, value)| value.is_some()) {
            out.start("Filter");
            out.start("S3Key");
            for (name, value) in filters {
                if let Some(value) = value {
                    out.start("FilterRule");
                    out.text("Name", name);
                    out.text("Value", value);
                    out.end();
                }
            }
            out.end();
            out.end();
        }
        out.end();
    }
    Ok(xml(StatusCode::OK, out.finish()))
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::xml::Element;

    fn read(inner: &str) -> Result<Vec<super::Sent>, (&'static str, String)> {
        let text = format!("<NotificationConfiguration>{inner}</NotificationConfiguration>");
        let root = Element::parse(text.as_bytes()).map_err(|_| ("MalformedXML", String::new()))?;
        parse(&root).map_err(|error| (error.code(), error.message().to_owned()))
    }

    fn topic(inner: &str) -> String {
        let rest = "<Topic>arn:aws:sns:us-east-1:111122223333:t</Topic><Event>s3:ObjectCreated:*</Event>";
        format!("<TopicConfiguration>{rest}{inner}</TopicConfiguration>")
    }

    fn filter(rules: &[(&str, &str)]) -> String {
        let rule = |(name, value): &(&str, &str)| {
            format!("<FilterRule><Name>{name}</Name><Value>{value}</Value></FilterRule>")
        };
        let rules: String = rules.iter().map(rule).collect();
        format!("<Filter><S3Key>{rules}</S3Key></Filter>")
    }

    #[test]
    fn configurations_of_notifications_are_read_strictly() {
        assert!(read("").unwrap().is_empty());
        let both = topic(&format!("<Id>a</Id>{}", filter(&[("Prefix", " in/ "), ("SUFFIX", ".jpg")])));
        let sent = read(&both).unwrap().remove(0);
        assert_eq!((sent.id.as_deref(), sent.topic), (Some("a"), true));
        assert_eq!((sent.prefix.as_deref(), sent.suffix.as_deref()), (Some(" in/ "), Some(".jpg")));
        assert_eq!(sent.events.len(), 1);
        assert_eq!(read(&topic("<Filter/>")).unwrap()[0].prefix, None);
        for (bad, code, says) in [
            ("<Other/>".to_owned(), "MalformedXML", ""),
            ("<TopicConfiguration/>".to_owned(), "MalformedXML", ""),
            ("<TopicConfiguration><Topic>a</Topic></TopicConfiguration>".to_owned(), "MalformedXML", ""),
            (topic("<Queue>a</Queue>"), "MalformedXML", ""),
            (topic("<Id>a</Id><Id>b</Id>"), "MalformedXML", ""),
            (topic("<Event>s3:Nothing</Event>"), "InvalidArgument", "not supported for notifications"),
            (
                topic(&filter(&[("prefix", "a"), ("Prefix", "b")])),
                "InvalidArgument",
                "more than one prefix rule",
            ),
            (
                topic(&filter(&[("suffix", "a"), ("suffix", "a")])),
                "InvalidArgument",
                "more than one suffix rule",
            ),
            (topic(&filter(&[("infix", "a")])), "InvalidArgument", "either prefix or suffix"),
            (
                topic("<Filter><S3Key><FilterRule><Name>prefix</Name></FilterRule></S3Key></Filter>"),
                "MalformedXML",
                "",
            ),
            ("<EventBridgeConfiguration/>".to_owned(), "InvalidArgument", "Unable to validate the following"),
        ] {
            let (got, message) = read(&bad).unwrap_err();
            assert!(got == code && message.contains(says), "{bad}: {got} {message}");
        }
    }
}
