//! The operators of conditions, and the values that they compare with. Source: "IAM JSON policy elements: Condition operators"
//! (`reference_policies_elements_condition_operators`) of the IAM user guide.
//!
//! | operators | compare |
//! |---|---|
//! | `StringEquals`, `StringNotEquals`, `…IgnoreCase` | texts; variables, no wildcards |
//! | `StringLike`, `StringNotLike` | texts; variables and wildcards |
//! | `NumericEquals`, `…NotEquals`, `…LessThan[Equals]`, `…GreaterThan[Equals]` | decimal numbers of 18 and 9 digits |
//! | `DateEquals` and so on | ISO 8601 dates or seconds since 1970 |
//! | `Bool` | `true`, `false` |
//! | `BinaryEquals` | base64 |
//! | `IpAddress`, `NotIpAddress` | addresses and networks, v4 and v6 |
//! | `ArnEquals`, `ArnLike`, `ArnNotEquals`, `ArnNotLike` | ARNs part by part; variables and wildcards in all four |
//! | `Null` | whether the key is absent |

use super::arn::{ArnParts, ArnPattern};
use super::context::Context;
use super::pattern::{Pattern, Syntax};
use super::value::{Decimal, Network, date};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::cmp::Ordering;
use std::net::IpAddr;

/// What an operator compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text { wildcards: bool, folds: bool },
    Number(Comparison),
    Date(Comparison),
    Bool,
    Binary,
    Network,
    Arn,
    Null,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

/// An operator without what stands before and behind its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operator {
    kind: Kind,
    /// It holds where the plain one doesn't.
    pub(super) negated: bool,
}

impl Operator {
    /// By its name.
    pub(super) fn named(name: &str) -> Option<Self> {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
        let text = |wildcards, folds| Kind::Text { wildcards, folds };
        let (kind, negated) = match name {
            "StringEquals" => (text(false, false), false),
            "StringNotEquals" => (text(false, false), true),
            "StringEqualsIgnoreCase" => (text(false, true), false),
            "StringNotEqualsIgnoreCase" => (text(false, true), true),
            "StringLike" => (text(true, false), false),
            "StringNotLike" => (text(true, false), true),
            "NumericEquals" => (Kind::Number(Equal), false),
            "NumericNotEquals" => (Kind::Number(Equal), true),
            "NumericLessThan" => (Kind::Number(Less), false),
            "NumericLessThanEquals" => (Kind::Number(LessOrEqual), false),
            "NumericGreaterThan" => (Kind::Number(Greater), false),
            "NumericGreaterThanEquals" => (Kind::Number(GreaterOrEqual), false),
            "DateEquals" => (Kind::Date(Equal), false),
            "DateNotEquals" => (Kind::Date(Equal), true),
            "DateLessThan" => (Kind::Date(Less), false),
            "DateLessThanEquals" => (Kind::Date(LessOrEqual), false),
            "DateGreaterThan" => (Kind::Date(Greater), false),
            "DateGreaterThanEquals" => (Kind::Date(GreaterOrEqual), false),
            "Bool" => (Kind::Bool, false),
            "BinaryEquals" => (Kind::Binary, false),
            "IpAddress" => (Kind::Network, false),
            "NotIpAddress" => (Kind::Network, true),
            "ArnEquals" | "ArnLike" => (Kind::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Kind::Arn, true),
            "Null" => (Kind::Null, false),
            _ => return None,
        };
        Some(Self { kind, negated })
    }

    /// Whether it asks for the key itself, not for its values.
    pub(super) fn asks_presence(self) -> bool {
        self.kind == Kind::Null
    }

    /// Reads the values that it compares with; the error has the place of the wrong one and what is wrong.
    pub(super) fn values(self, texts: &[&str], variables: bool) -> Result<Values, (usize, String)> {
        fn all<T>(
            texts: &[&str],
            parse: impl Fn(&str) -> Result<T, String>,
        ) -> Result<Box<[T]>, (usize, String)> {
            let parsed = texts.iter().enumerate().map(|(at, text)| parse(text).map_err(|error| (at, error)));
            parsed.collect()
        }
        let none = |what: &'static str| move |text: &str| format!("{text:?} is no {what}");
        let boolean = |text: &str| boolean(text).ok_or_else(|| none("boolean: true and false are")(text));
        Ok(match self.kind {
            Kind::Text { wildcards, folds } => {
                let syntax = Syntax { wildcards, variables, folds };
                Values::Texts(all(texts, |text| Pattern::parse(text, syntax))?)
            }
            Kind::Number(comparison) => Values::Numbers(
                comparison,
                all(texts, |text| {
                    Decimal::parse(text)
                        .ok_or_else(|| none("number of at most 18 digits and 9 behind the point")(text))
                })?,
            ),
            Kind::Date(comparison) => Values::Dates(
                comparison,
                all(texts, |text| {
                    date(text)
                        .ok_or_else(|| none("date: 2026-11-29T08:00:00Z is one, or seconds since 1970")(text))
                })?,
            ),
            Kind::Bool => Values::Bools(all(texts, boolean)?),
            Kind::Binary => Values::Binaries(all(texts, |text| {
                STANDARD.decode(text).map(Vec::into_boxed_slice).map_err(|_| none("base64")(text))
            })?),
            Kind::Network => Values::Networks(all(texts, |text| {
                Network::parse(text).ok_or_else(|| none("address or network: 203.0.113.0/24 is one")(text))
            })?),
            Kind::Arn => Values::Arns(all(texts, |text| ArnPattern::parse(text, variables, false))?),
            Kind::Null => Values::Absent(all(texts, boolean)?),
        })
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Values that an operator compares with, read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Values {
    Texts(Box<[Pattern]>),
    Numbers(Comparison, Box<[Decimal]>),
    Dates(Comparison, Box<[i64]>),
    Bools(Box<[bool]>),
    Binaries(Box<[Box<[u8]>]>),
    Networks(Box<[Network]>),
    Arns(Box<[ArnPattern]>),
    Absent(Box<[bool]>),
}

impl Values {
    /// Bytes that they take in memory beside themselves, about.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Texts(patterns) => {
                size_of_val(&**patterns) + patterns.iter().map(Pattern::heap_bytes).sum::<usize>()
            }
            Self::Arns(patterns) => {
                size_of_val(&**patterns) + patterns.iter().map(ArnPattern::heap_bytes).sum::<usize>()
            }
            Self::Numbers(_, numbers) => size_of_val(&**numbers),
            Self::Dates(_, dates) => size_of_val(&**dates),
            Self::Bools(flags) | Self::Absent(flags) => flags.len(),
            Self::Binaries(values) => {
                size_of_val(&**values) + values.iter().map(|value| value.len()).sum::<usize>()
            }
            Self::Networks(networks) => size_of_val(&**networks),
        }
    }

    /// Whether one of them takes a request's value in. `None`: that hangs on a variable without a value, or the
    /// request's is nothing that can be compared so.
    pub(super) fn take_in(&self, value: &str, context: &dyn Context) -> Option<bool> {
        fn any(answers: impl Iterator<Item = Option<bool>>) -> Option<bool> {
            let mut sure = true;
            for answer in answers {
                match answer {
                    Some(true) => return Some(true),
                    Some(false) => {}
                    None => sure = false,
                }
            }
            sure.then_some(false)
        }
        let known = |holds: bool| Some(holds);
        match self {
            Self::Texts(patterns) => any(patterns.iter().map(|pattern| pattern.matches(value, context))),
            Self::Arns(patterns) => match ArnParts::parse(value) {
                Some(arn) => any(patterns.iter().map(|pattern| pattern.matches(arn, context))),
                None => patterns.contains(&ArnPattern::Any).then_some(true),
            },
            Self::Numbers(comparison, numbers) => {
                let value = Decimal::parse(value)?;
                known(numbers.iter().any(|number| comparison.holds(value.cmp(number))))
            }
            Self::Dates(comparison, dates) => {
                let value = date(value)?;
                known(dates.iter().any(|date| comparison.holds(value.cmp(date))))
            }
            Self::Bools(values) => known(values.contains(&boolean(value)?)),
            Self::Binaries(values) => {
                let value = STANDARD.decode(value).ok()?;
                known(values.iter().any(|known| **known == *value))
            }
            Self::Networks(networks) => {
                let address = value.parse::<IpAddr>().ok()?;
                known(networks.iter().any(|network| network.holds(address)))
            }
            Self::Absent(_) => known(false),
        }
    }
}
