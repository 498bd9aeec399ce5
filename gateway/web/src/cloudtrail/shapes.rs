//! Shapes of `CloudTrail`'s parameters. Its API model (2013-11-01) bounds few of them: where it has no bound, what is here is meant to be ample.

use crate::json::shape::{Shape, of, opt, req, text};

fn matter(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

pub(super) const NAME: Shape = text(0, 512);
pub(super) const BUCKET: Shape = text(0, 255);
pub(super) const PREFIX: Shape = text(0, 512);
pub(super) const ARN: Shape = text(0, 2_048);
pub(super) const NAMES: Shape = Shape::List { of: &NAME, min: 0, max: 100 };
pub(super) const ARNS: Shape = Shape::List { of: &ARN, min: 1, max: 20 };
pub(super) const TOKEN: Shape = text(0, 4_096);
const TAG_KEY: Shape = text(1, 128);
const TAG_VALUE: Shape = text(0, 256);
pub(super) const TAGS: Shape = Shape::List {
    of: &Shape::Structure(&[req("Key", &TAG_KEY), opt("Value", &TAG_VALUE)]),
    min: 0,
    max: 200,
};
pub(super) const RESULTS: Shape = Shape::Number { min: 1, max: 50 };
pub(super) const CATEGORY: Shape = Shape::Choice(&["insight"]);
const ATTRIBUTE: Shape = Shape::Choice(&[
    "EventId",
    "EventName",
    "ReadOnly",
    "Username",
    "ResourceType",
    "ResourceName",
    "EventSource",
    "AccessKeyId",
]);
const SOUGHT: Shape = text(1, 2_000);
pub(super) const ATTRIBUTES: Shape = Shape::List {
    of: &Shape::Structure(&[req("AttributeKey", &ATTRIBUTE), req("AttributeValue", &SOUGHT)]),
    min: 0,
    max: 8,
};
const KIND: Shape = text(1, 256);
const VALUE: Shape = of((1, 2_048), ".+", matter);
const VALUES: Shape = Shape::List { of: &VALUE, min: 0, max: 500 };
const SOURCES: Shape = Shape::List { of: &VALUE, min: 0, max: 10 };
const RESOURCES: Shape =
    Shape::List { of: &Shape::Structure(&[opt("Type", &KIND), opt("Values", &VALUES)]), min: 0, max: 10 };
pub(super) const SELECTORS: Shape = Shape::List {
    of: &Shape::Structure(&[
        opt("ReadWriteType", &Shape::Choice(&["ReadOnly", "WriteOnly", "All"])),
        opt("IncludeManagementEvents", &Shape::Flag),
        opt("DataResources", &RESOURCES),
        opt("ExcludeManagementEventSources", &SOURCES),
    ]),
    min: 0,
    max: 5,
};
const CONDITIONS: Shape = Shape::List {
    of: &Shape::Structure(&[
        req("Field", &KIND),
        opt("Equals", &VALUES),
        opt("StartsWith", &VALUES),
        opt("EndsWith", &VALUES),
        opt("NotEquals", &VALUES),
        opt("NotStartsWith", &VALUES),
        opt("NotEndsWith", &VALUES),
    ]),
    min: 1,
    max: 20,
};
const LABEL: Shape = text(0, 1_000);
pub(super) const ADVANCED: Shape = Shape::List {
    of: &Shape::Structure(&[opt("Name", &LABEL), req("FieldSelectors", &CONDITIONS)]),
    min: 0,
    max: 500,
};
