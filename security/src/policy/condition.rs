//! One condition: an operator, a key, and the values that it is compared with. Source: "Conditions with multiple context keys or
//! values" (`reference_policies_condition-logic-multiple-context-keys-or-values`) and "Set operators for multivalued context keys" of
//! the IAM user guide.
//!
//! - Several values of a policy: one of them must match; of a negated operator none may.
//! - A key that the request has not: false, of a negated operator true; `…IfExists` true; `ForAllValues:` true, `ForAnyValue:` false.
//! - Several values of a request without a set operator, which AWS leaves open: one that matches is enough, of a negated operator none
//!   may match.
//! - A variable without a value, and a request's value that is no number, date, address or ARN where one is compared, matches nothing; no Allow is had by such a mismatch under a negated operator.

use super::context::Context;
use super::document::Effect;
use super::error::{PolicyError, Spot};
use super::operator::{Operator, Values};
use super::pattern::{BOX_BYTES, is_key};
use super::tree::Tree;

/// What it costs to look a key up and to read its value, in steps of comparing.
const ASKED_STEPS: usize = 16;

/// What stands before an operator's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    One,
    /// `ForAllValues:`
    All,
    /// `ForAnyValue:`
    Any,
}

/// An operator, a key and values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    over: Over,
    operator: Operator,
    if_exists: bool,
    /// In lower case.
    key: Box<str>,
    values: Values,
}

impl Condition {
    /// Reads a statement's Condition: operators, of each the keys, of each the values.
    pub(super) fn parse_all(
        tree: &Tree,
        variables: bool,
        spot: &Spot<'_>,
    ) -> Result<Box<[Self]>, PolicyError> {
        let Tree::Object(operators) = tree else {
            return Err(PolicyError::at(spot, format!("{} is no object of operators", tree.kind())));
        };
        let mut all = Vec::new();
        for (name, keys) in operators {
            let spot = spot.member(name);
            let (over, operator, if_exists) = operator(name, &spot)?;
            let Tree::Object(keys) = keys else {
                return Err(PolicyError::at(
                    &spot,
                    format!("{} is no object of condition keys", keys.kind()),
                ));
            };
            let first = all.len();
            for (key, values) in keys {
                let spot = spot.member(key);
                if !is_key(key) {
                    return Err(PolicyError::at(
                        &spot,
                        format!("{key:?} is no condition key: aws:SourceIp is one"),
                    ));
                }
                let texts = scalars(values, &spot)?;
                let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
                let values = operator.values(&texts, variables).map_err(|(at, detail)| {
                    let item = spot.item(at);
                    PolicyError::at(if matches!(values, Tree::List(_)) { &item } else { &spot }, detail)
                })?;
                let key: Box<str> = key.to_lowercase().into();
                if all[first..].iter().any(|other: &Self| other.key == key) {
                    return Err(PolicyError::at(&spot, "the key stands twice under this operator"));
                }
                all.push(Self { over, operator, if_exists, key, values });
            }
        }
        Ok(all.into())
    }

    /// Its key, in lower case.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Its values, if it holds only of a request that has the key and one of them.
    pub(super) fn demands(&self) -> Option<&Values> {
        let strict = !self.operator.negated && !self.if_exists && self.over != Over::All;
        strict.then_some(&self.values)
    }

    /// Bytes that it takes in memory beside itself, about.
    pub(super) fn heap_bytes(&self) -> usize {
        2 * BOX_BYTES + self.key.len() + self.values.heap_bytes()
    }

    /// Whether it holds of a request, in a statement of this effect.
    pub(super) fn holds(&self, context: &dyn Context, effect: Effect) -> bool {
        // Whoever has spent it all is denied, whatever is answered here.
        if !context.spend(ASKED_STEPS) {
            return false;
        }
        let negated = self.operator.negated;
        let (mut count, mut all, mut any) = (0_usize, true, false);
        context.visit(&self.key, &mut |value| {
            count += 1;
            let hit = match self.values.take_in(value, context) {
                Some(taken) => taken != negated,
                None => negated && effect == Effect::Deny,
            };
            all &= hit;
            any |= hit;
        });
        if let Values::Absent(wanted) = &self.values {
            return wanted.contains(&(count == 0));
        }
        match (count, self.over) {
            (0, _) if self.if_exists => true,
            (0, Over::One) => negated,
            (0, Over::All) => true,
            (0, Over::Any) => false,
            (_, Over::All) => all,
            (_, Over::Any) => any,
            (_, Over::One) => {
                if negated {
                    all
                } else {
                    any
                }
            }
        }
    }
}

fn operator(name: &str, spot: &Spot<'_>) -> Result<(Over, Operator, bool), PolicyError> {
    let (over, bare) = match name.split_once(':') {
        Some(("ForAllValues", rest)) => (Over::All, rest),
        Some(("ForAnyValue", rest)) => (Over::Any, rest),
        _ => (Over::One, name),
    };
    let (bare, if_exists) = bare.strip_suffix("IfExists").map_or((bare, false), |bare| (bare, true));
    match Operator::named(bare) {
        Some(operator) if operator.asks_presence() && (if_exists || over != Over::One) => {
            Err(PolicyError::at(spot, "Null stands alone, without IfExists and set operators"))
        }
        Some(operator) => Ok((over, operator, if_exists)),
        None => Err(PolicyError::at(spot, format!("{name:?} is no condition operator"))),
    }
}

/// A string, number or boolean, or a list of them.
fn scalars<'t>(tree: &'t Tree, spot: &Spot<'_>) -> Result<Vec<std::borrow::Cow<'t, str>>, PolicyError> {
    let scalar = |tree: &'t Tree, spot: &Spot<'_>| match tree {
        Tree::Text(text) | Tree::Number(text) => Ok(text.as_str().into()),
        Tree::Bool(true) => Ok("true".into()),
        Tree::Bool(false) => Ok("false".into()),
        other => Err(PolicyError::at(spot, format!("{} can not be compared with", other.kind()))),
    };
    match tree {
        Tree::List(items) if items.is_empty() => Err(PolicyError::at(spot, "the list is empty")),
        Tree::List(items) => {
            items.iter().enumerate().map(|(at, item)| scalar(item, &spot.item(at))).collect()
        }
        one => Ok(vec![scalar(one, spot)?]),
    }
}
