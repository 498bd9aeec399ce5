//! An event, as the history has it.

use crate::cli::EventFilter;
use crate::report::Report;
use crate::report::time::{json_time, of_seconds, show_time};
use crate::text::printable;
use engine::clock::Timestamp;
use serde::Serialize;
use serde_json::Value;
use std::io::{self, Write};

/// What a call was about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Resource {
    kind: Option<String>,
    name: String,
}

/// An event.
#[expect(clippy::struct_field_names, reason = "as scripts know them")]
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Event {
    pub(super) event_id: String,
    event_time: Option<String>,
    pub(super) event_name: String,
    event_source: String,
    user: Option<String>,
    access_key_id: Option<String>,
    read_only: bool,
    error_code: Option<String>,
    source_ip_address: Option<String>,
    resources: Vec<Resource>,
    /// All of it, in `CloudTrail`'s own words.
    record: Value,
    #[serde(skip)]
    at: Option<Timestamp>,
}

impl Event {
    /// Of `LookupEvents`; `None` for what has no id.
    pub(super) fn of(said: &Value) -> Option<Self> {
        let text = |name: &str| said[name].as_str().map(str::to_owned);
        let record = said["CloudTrailEvent"].as_str().and_then(|text| serde_json::from_str(text).ok());
        let record: Value = record.unwrap_or_default();
        let of_record = |name: &str| record[name].as_str().map(str::to_owned);
        let resource = |one: &Value| {
            let kind = one["ResourceType"].as_str().map(str::to_owned);
            Some(Resource { kind, name: one["ResourceName"].as_str()?.to_owned() })
        };
        let at = of_seconds(&said["EventTime"]);
        Some(Self {
            event_id: text("EventId")?,
            event_time: json_time(at),
            event_name: text("EventName").unwrap_or_default(),
            event_source: text("EventSource").unwrap_or_default(),
            user: text("Username"),
            access_key_id: text("AccessKeyId"),
            read_only: said["ReadOnly"].as_str() == Some("true"),
            error_code: of_record("errorCode"),
            source_ip_address: of_record("sourceIPAddress"),
            resources: said["Resources"].as_array().into_iter().flatten().filter_map(resource).collect(),
            at,
            record,
        })
    }

    /// The id of the request that it is of.
    pub(super) fn request_id(&self) -> Option<&str> {
        self.record["requestID"].as_str()
    }

    /// Whether all that was asked for holds; the history looks for one of it alone.
    pub(super) fn is(&self, filter: &EventFilter) -> bool {
        let same = |asked: &Option<String>, found: Option<&str>| {
            asked.as_deref().is_none_or(|asked| found == Some(asked))
        };
        let names = |asked: &str| {
            let mut names = self.resources.iter().map(|resource| resource.name.as_str());
            names.any(|name| name == asked || name.rsplit('/').next() == Some(asked))
        };
        same(&filter.event_name, Some(&self.event_name))
            && same(&filter.user, self.user.as_deref())
            && same(&filter.access_key, self.access_key_id.as_deref())
            && filter.resource.as_deref().is_none_or(names)
    }
}

impl Report for Event {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let or_none = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), printable);
        let service = self.event_source.split('.').next().unwrap_or_default();
        let outcome = self.error_code.as_deref().map_or_else(|| "done".to_owned(), printable);
        let resource = self.resources.first().map(|resource| printable(&resource.name));
        let line = format!(
            "{}  {:16} {:10} {:28} {:24} {:15} {}",
            show_time(self.at),
            or_none(&self.user),
            printable(service),
            printable(&self.event_name),
            outcome,
            or_none(&self.source_ip_address),
            resource.unwrap_or_default(),
        );
        writeln!(out, "{}", line.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::Event;
    use crate::cli::EventFilter;
    use crate::report::render;
    use serde_json::json;

    fn event() -> Event {
        let record = json!({ "requestID": "r", "errorCode": "AccessDenied", "sourceIPAddress": "192.0.2.7" });
        Event::of(&json!({
            "EventId": "e", "EventName": "GetObject", "EventSource": "s3.amazonaws.com", "EventTime": 1_796_021_100.25,
            "Username": "ann\u{1b}[2J", "AccessKeyId": "AKIA1", "ReadOnly": "true", "CloudTrailEvent": record.to_string(),
            "Resources": [{ "ResourceType": "AWS::S3::Object", "ResourceName": "photos/a/b.jpg" }],
        }))
        .unwrap()
    }

    #[test]
    fn an_event_is_a_line_for_people_and_a_document_with_its_record() {
        let mut line = Vec::new();
        render(&event(), false, &mut line).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert_eq!(
            line.split_whitespace().collect::<Vec<_>>(),
            [
                "2026-11-30",
                "06:45:00",
                r"ann\u{1b}[2J",
                "s3",
                "GetObject",
                "AccessDenied",
                "192.0.2.7",
                "photos/a/b.jpg"
            ]
        );
        let said = json!(event());
        assert_eq!(said["event_time"], "2026-11-30T06:45:00.250Z");
        assert_eq!((&said["record"]["requestID"], &said["read_only"]), (&json!("r"), &json!(true)));
        assert_eq!(said["resources"], json!([{ "kind": "AWS::S3::Object", "name": "photos/a/b.jpg" }]));
        assert_eq!(Event::of(&json!({ "EventName": "GetObject" })), None);
        assert_eq!(event().request_id(), Some("r"));
    }

    #[test]
    fn all_that_is_asked_for_has_to_hold() {
        let some = |text: &str| Some(text.to_owned());
        let by =
            |event_name, resource, access_key| EventFilter { event_name, resource, access_key, user: None };
        for (filter, hit) in [
            (EventFilter::default(), true),
            (by(some("GetObject"), some("b.jpg"), some("AKIA1")), true),
            (by(None, some("photos/a/b.jpg"), None), true),
            (by(None, some("photos"), None), false),
            (by(some("PutObject"), None, None), false),
            (by(None, None, some("AKIA2")), false),
            (EventFilter { user: some("bob"), ..EventFilter::default() }, false),
        ] {
            assert_eq!(event().is(&filter), hit, "{filter:?}");
        }
    }
}
