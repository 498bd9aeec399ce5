//! Which events a trail takes: basic selectors, or advanced ones. Source: "Logging data events" and `EventSelector`,
//! `AdvancedEventSelector` of `CloudTrail`'s API reference.
//!
//! What is denied is taken wherever management events of its kind are, whatever it was about: who tries doors is to be seen.

use super::error::{AuditError, Code, Result};
use super::event::{Category, Event};
use serde::{Deserialize, Serialize};

/// Selectors of a trail at the most, and values of all of them.
const SELECTORS_MAX: usize = 5;
const ADVANCED_MAX: usize = 500;
const VALUES_MAX: usize = 500;
/// Bytes of one value.
const VALUE_BYTES_MAX: usize = 2_048;

/// Reads, writes, or both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadWrite {
    /// What changes nothing.
    ReadOnly,
    /// What changes something.
    WriteOnly,
    /// Both.
    #[default]
    All,
}

impl ReadWrite {
    fn takes(self, read_only: bool) -> bool {
        match self {
            Self::ReadOnly => read_only,
            Self::WriteOnly => !read_only,
            Self::All => true,
        }
    }
}

/// Data of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataResource {
    /// `AWS::S3::Object`
    #[serde(rename = "Type")]
    pub kind: String,
    /// What their ARNs begin with.
    #[serde(rename = "Values")]
    pub values: Vec<String>,
}

/// A basic selector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EventSelector {
    /// Reads, writes, or both.
    pub read_write_type: ReadWrite,
    /// Management events too.
    pub include_management_events: bool,
    /// Data events of these.
    pub data_resources: Vec<DataResource>,
    /// Management events but those of these services.
    pub exclude_management_event_sources: Vec<String>,
}

/// One condition of an advanced selector: any of what it must be, and none of what it must not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FieldSelector {
    /// `eventName`
    pub field: String,
    /// Is one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub equals: Vec<String>,
    /// Begins with one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub starts_with: Vec<String>,
    /// Ends with one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ends_with: Vec<String>,
    /// Is none of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_equals: Vec<String>,
    /// Begins with none of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_starts_with: Vec<String>,
    /// Ends with none of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_ends_with: Vec<String>,
}

/// An advanced selector: all of its conditions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AdvancedSelector {
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// Its conditions.
    pub field_selectors: Vec<FieldSelector>,
}

/// All of a trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Selectors {
    /// Of the older kind.
    Basic(Vec<EventSelector>),
    /// Of the newer.
    Advanced(Vec<AdvancedSelector>),
}

impl Default for Selectors {
    /// All management events.
    fn default() -> Self {
        Self::Basic(vec![EventSelector {
            read_write_type: ReadWrite::All,
            include_management_events: true,
            data_resources: Vec::new(),
            exclude_management_event_sources: Vec::new(),
        }])
    }
}

/// What is looked at of an event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facets<'a> {
    pub(super) category: Category,
    pub(super) denied: bool,
    pub(super) read_only: bool,
    pub(super) source: &'a str,
    pub(super) name: &'a str,
    pub(super) resource: Option<(&'a str, &'a str)>,
    pub(super) user: &'a str,
    /// The appliance says it of itself.
    pub(super) is_own: bool,
    /// The trail that it stopped or ended.
    pub(super) ends: Option<&'a str>,
}

impl FieldSelector {
    fn lists(&self) -> [&Vec<String>; 6] {
        let Self { equals, starts_with, ends_with, not_equals, not_starts_with, not_ends_with, .. } = self;
        [equals, starts_with, ends_with, not_equals, not_starts_with, not_ends_with]
    }

    fn holds(&self, value: Option<&str>) -> bool {
        let wanted = [&self.equals, &self.starts_with, &self.ends_with].iter().any(|list| !list.is_empty());
        let Some(value) = value else { return !wanted };
        let any = |list: &[String], fits: fn(&str, &str) -> bool| list.iter().any(|one| fits(value, one));
        let is = |one: &str, other: &str| one == other;
        let (starts, ends) = (
            |value: &str, with: &str| value.starts_with(with),
            |value: &str, with: &str| value.ends_with(with),
        );
        let found = any(&self.equals, is) || any(&self.starts_with, starts) || any(&self.ends_with, ends);
        (!wanted || found)
            && !any(&self.not_equals, is)
            && !any(&self.not_starts_with, starts)
            && !any(&self.not_ends_with, ends)
    }
}

impl AdvancedSelector {
    fn takes(&self, of: &Facets<'_>) -> bool {
        let read_only = if of.read_only { "true" } else { "false" };
        self.field_selectors.iter().all(|condition| {
            condition.holds(match condition.field.as_str() {
                "eventCategory" => {
                    Some(if of.category == Category::Management { "Management" } else { "Data" })
                }
                "readOnly" => Some(read_only),
                "eventSource" => Some(of.source),
                "eventName" => Some(of.name),
                "eventType" => Some("AwsApiCall"),
                "resources.type" => of.resource.map(|(kind, _)| kind),
                "resources.ARN" => of.resource.map(|(_, arn)| arn),
                "userIdentity.arn" => Some(of.user),
                _ => None,
            })
        })
    }

    fn category(&self) -> Option<&str> {
        let condition = self.field_selectors.iter().find(|condition| condition.field == "eventCategory")?;
        condition.equals.first().map(String::as_str)
    }
}

impl EventSelector {
    fn takes(&self, of: &Facets<'_>) -> bool {
        self.read_write_type.takes(of.read_only)
            && match of.category {
                Category::Management => {
                    let excluded = &self.exclude_management_event_sources;
                    self.include_management_events && excluded.iter().all(|source| source != of.source)
                }
                Category::Data => of.resource.is_some_and(|(kind, arn)| {
                    let mut wanted = self.data_resources.iter().filter(|wanted| wanted.kind == kind);
                    wanted.any(|wanted| wanted.values.iter().any(|value| arn.starts_with(value.as_str())))
                }),
            }
    }
}

impl Selectors {
    /// Whether a trail takes an event.
    pub fn take(&self, event: &Event) -> bool {
        self.take_facets(&event.facets())
    }

    pub(super) fn take_facets(&self, facets: &Facets<'_>) -> bool {
        self.takes(facets)
            || (facets.denied
                && facets.category == Category::Data
                && self.takes(&Facets { category: Category::Management, ..*facets }))
    }

    fn takes(&self, facets: &Facets<'_>) -> bool {
        match self {
            Self::Basic(all) => all.iter().any(|selector| selector.takes(facets)),
            Self::Advanced(all) => all.iter().any(|selector| selector.takes(facets)),
        }
    }

    /// Whether any data event is taken.
    pub fn take_data(&self) -> bool {
        match self {
            Self::Basic(all) => all.iter().any(|selector| !selector.data_resources.is_empty()),
            Self::Advanced(all) => all.iter().any(|selector| selector.category() == Some("Data")),
        }
    }

    /// Whether all is as by default.
    pub fn are_custom(&self) -> bool {
        *self != Self::default()
    }

    /// Refuses what means nothing.
    pub(super) fn check(&self) -> Result<()> {
        let refused = |message: &str| Err(AuditError::new(Code::InvalidEventSelectors, message));
        let values: Vec<&String> = match self {
            Self::Basic(all) if all.is_empty() || all.len() > SELECTORS_MAX => {
                return refused("A trail has 1 to 5 event selectors.");
            }
            Self::Basic(all) => {
                let data = || all.iter().flat_map(|selector| &selector.data_resources);
                if data().any(|resource| resource.kind != "AWS::S3::Object") {
                    return refused("Data resources are of the type AWS::S3::Object.");
                }
                if data().flat_map(|resource| &resource.values).any(|value| !value.starts_with("arn:aws:s3"))
                {
                    return refused(
                        "Values of data resources are ARNs of S3, as arn:aws:s3:::bucket/prefix.",
                    );
                }
                let excluded = all.iter().flat_map(|selector| &selector.exclude_management_event_sources);
                excluded.chain(data().flat_map(|resource| &resource.values)).collect()
            }
            Self::Advanced(all) if all.is_empty() || all.len() > ADVANCED_MAX => {
                return refused("A trail has 1 to 500 advanced event selectors.");
            }
            Self::Advanced(all) => {
                for selector in all {
                    check_advanced(selector).or_else(refused)?;
                }
                let conditions = all.iter().flat_map(|selector| &selector.field_selectors);
                conditions.flat_map(|condition| condition.lists().into_iter().flatten()).collect()
            }
        };
        if values.len() > VALUES_MAX
            || values.iter().any(|value| value.is_empty() || value.len() > VALUE_BYTES_MAX)
        {
            return refused("Selectors have at most 500 values, of 1 to 2,048 bytes each.");
        }
        Ok(())
    }
}

fn check_advanced(selector: &AdvancedSelector) -> Result<(), &'static str> {
    let fields = &selector.field_selectors;
    let one = |name: &str| fields.iter().filter(|condition| condition.field == name).count();
    if one("eventCategory") != 1 || !matches!(selector.category(), Some("Management" | "Data")) {
        return Err("An advanced selector has eventCategory once, and it equals Management or Data.");
    }
    let kinds = fields.iter().find(|condition| condition.field == "resources.type");
    match (selector.category(), kinds) {
        (Some("Data"), Some(kind)) if kind.equals == ["AWS::S3::Object"] => {}
        (Some("Management"), None) => {}
        _ => {
            return Err(
                "A selector of data events has resources.type, which equals AWS::S3::Object; of management events none.",
            );
        }
    }
    for condition in fields {
        let known = [
            "eventCategory",
            "readOnly",
            "eventSource",
            "eventName",
            "eventType",
            "resources.type",
            "resources.ARN",
            "userIdentity.arn",
        ];
        if !known.contains(&condition.field.as_str()) {
            return Err(
                "A field of an advanced selector is eventCategory, eventName, eventSource, eventType, readOnly, \
                        resources.type, resources.ARN or userIdentity.arn.",
            );
        }
        if one(&condition.field) > 1 {
            return Err("A field stands once in an advanced selector.");
        }
        if condition.lists().iter().all(|list| list.is_empty()) {
            return Err("A field of an advanced selector is compared with something.");
        }
    }
    Ok(())
}
