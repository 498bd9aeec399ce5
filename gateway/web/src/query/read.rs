//! Values of parameters, read and checked by the operation's row of the table.
//!
//! The row says how deep a request can be, not the request. All that is wrong with it is told at once, in AWS's words, with where it
//! stands: `Value 'x y' at 'userName' failed to satisfy constraint: …`.

use super::error::QueryError;
use super::form::Form;
use super::shape::{ENDLESS, Param, Shape, Text};

/// Failures that are told of one request.
const FAILURES_MAX: usize = 10;
/// Characters of a value that are shown with what is wrong with it.
const SHOWN_MAX: usize = 128;

/// A value of its shape.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Text(String),
    Number(i64),
    Flag(bool),
    List(Vec<Value>),
    Structure(Args),
}

/// Parameters of an operation, or fields of a structure, that were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Args(Vec<(&'static str, Value)>);

impl Args {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Whether it was given.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A text, or one of a few words.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A text that the table says is there.
    pub(crate) fn needed(&self, name: &str) -> &str {
        let text = self.text(name);
        debug_assert!(text.is_some(), "{name} is not required by its row");
        text.unwrap_or_default()
    }

    /// A number.
    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// A truth.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        match self.get(name)? {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        }
    }

    fn list(&self, name: &str) -> &[Value] {
        match self.get(name) {
            Some(Value::List(values)) => values,
            _ => &[],
        }
    }

    /// Texts of a list; none where it was not given.
    pub(crate) fn texts(&self, name: &str) -> Vec<&str> {
        self.list(name)
            .iter()
            .filter_map(|value| match value {
                Value::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }

    /// Structures of a list; none where it was not given.
    pub(crate) fn structures(&self, name: &str) -> impl Iterator<Item = &Self> {
        self.list(name).iter().filter_map(|value| match value {
            Value::Structure(fields) => Some(fields),
            _ => None,
        })
    }

    /// As a record has it: what is called so.
    pub(crate) fn shown(&self, allowed: fn(&str) -> bool) -> serde_json::Value {
        let kept = self.0.iter().filter(|(name, _)| allowed(name));
        let shown = kept.map(|(name, value)| (crate::audit::allow::lower(name), value.shown(allowed)));
        serde_json::Value::Object(shown.collect())
    }
}

impl Value {
    fn shown(&self, allowed: fn(&str) -> bool) -> serde_json::Value {
        match self {
            Value::Text(text) => text.as_str().into(),
            Value::Number(number) => (*number).into(),
            Value::Flag(flag) => (*flag).into(),
            Value::List(values) => values.iter().map(|value| value.shown(allowed)).collect(),
            Value::Structure(members) => members.shown(allowed),
        }
    }
}

/// Reads an operation's parameters, and refuses what it has none of.
pub(crate) fn read(
    mut form: Form,
    operation: &str,
    parameters: &'static [Param],
) -> Result<Args, QueryError> {
    let mut reader = Reader { form: &mut form, failures: Vec::new() };
    let args = reader.fields(parameters, "", "")?;
    if !reader.failures.is_empty() {
        return Err(QueryError::validation(&reader.failures));
    }
    form.finish(operation)?;
    Ok(args)
}

struct Reader<'f> {
    form: &'f mut Form,
    failures: Vec<String>,
}

/// `UserName` as `userName`, as AWS tells places.
fn place(within: &str, name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|c| c.to_ascii_lowercase()).into_iter();
    within.chars().chain(first).chain(letters).collect()
}

impl Reader<'_> {
    fn fail(&mut self, value: &str, at: &str, constraint: &str) {
        if self.failures.len() < FAILURES_MAX {
            self.failures.push(format!(
                "Value {value} at '{at}' failed to satisfy constraint: Member must {constraint}"
            ));
        }
    }

    fn fields(&mut self, fields: &'static [Param], prefix: &str, within: &str) -> Result<Args, QueryError> {
        let mut found = Vec::new();
        for Param { name, shape, required } in fields {
            let at = place(within, name);
            match self.value(shape, &format!("{prefix}{name}"), &at)? {
                Some(value) => found.push((*name, value)),
                None if *required => self.fail("null", &at, "not be null"),
                None => {}
            }
        }
        Ok(Args(found))
    }

    fn value(&mut self, shape: &'static Shape, name: &str, at: &str) -> Result<Option<Value>, QueryError> {
        match shape {
            Shape::List { of, min, max } => return self.members(of, (*min, *max), name, at),
            Shape::Structure(fields) => {
                let prefix = format!("{name}.");
                if !self.form.has_below(&prefix) {
                    return Ok(None);
                }
                return Ok(Some(Value::Structure(self.fields(fields, &prefix, &format!("{at}."))?)));
            }
            _ => {}
        }
        let Some(text) = self.form.take(name) else { return Ok(None) };
        Ok(Some(match shape {
            Shape::Flag => match text.as_str() {
                "true" => Value::Flag(true),
                "false" => Value::Flag(false),
                _ => return Err(QueryError::malformed_input(format!("{name} is neither true nor false."))),
            },
            Shape::Number { min, max, .. } => {
                let plain = text.strip_prefix('-').unwrap_or(&text);
                let whole = !plain.is_empty() && plain.bytes().all(|byte| byte.is_ascii_digit());
                let number: Option<i64> = text.parse().ok().filter(|_| whole);
                let number = number
                    .ok_or_else(|| QueryError::malformed_input(format!("{name} is no whole number.")))?;
                self.bounded(number, (*min, *max), at);
                Value::Number(number)
            }
            Shape::Choice { words, .. } => {
                if !words.contains(&text.as_str()) {
                    let wanted = format!("satisfy enum value set: [{}]", words.join(", "));
                    self.fail(&quoted(&text), at, &wanted);
                }
                Value::Text(text)
            }
            Shape::Text(kind) => {
                self.fits(kind, &text, at);
                Value::Text(text)
            }
            // Answered above.
            Shape::List { .. } | Shape::Structure(_) => return Ok(None),
        }))
    }

    fn bounded(&mut self, number: i64, (min, max): (i64, i64), at: &str) {
        if number < min {
            self.fail(&format!("'{number}'"), at, &format!("have value greater than or equal to {min}"));
        } else if number > max {
            self.fail(&format!("'{number}'"), at, &format!("have value less than or equal to {max}"));
        }
    }

    fn fits(&mut self, kind: &Text, text: &str, at: &str) {
        let length = text.chars().count();
        if length < kind.min {
            self.fail(&quoted(text), at, &format!("have length greater than or equal to {}", kind.min));
        } else if length > kind.max {
            self.fail(&quoted(text), at, &format!("have length less than or equal to {}", kind.max));
        }
        if !(kind.fits)(text) {
            let wanted = match kind.pattern {
                "" => "have no characters that XML can't carry".to_owned(),
                pattern => format!("satisfy regular expression pattern: {pattern}"),
            };
            self.fail(&quoted(text), at, &wanted);
        }
    }

    fn members(
        &mut self,
        of: &'static Shape,
        (min, max): (usize, usize),
        name: &str,
        at: &str,
    ) -> Result<Option<Value>, QueryError> {
        let prefix = format!("{name}.member.");
        let count = self.form.members(&prefix)?;
        // An empty list is a name without a value.
        let stands = match self.form.take(name) {
            Some(text) if text.is_empty() && count == 0 => true,
            Some(_) => {
                return Err(QueryError::malformed(format!(
                    "{name} is a list: {name}.member.1 is its first."
                )));
            }
            None => count > 0,
        };
        if !stands {
            return Ok(None);
        }
        if count < min {
            self.fail("'[]'", at, &format!("have length greater than or equal to {min}"));
        } else if count > max && max != ENDLESS {
            self.fail("'[…]'", at, &format!("have length less than or equal to {max}"));
            return Ok(Some(Value::List(Vec::new())));
        }
        let mut values = Vec::with_capacity(count);
        for number in 1..=count {
            let (name, at) = (format!("{prefix}{number}"), format!("{at}.{number}.member"));
            match self.value(of, &name, &at)? {
                Some(value) => values.push(value),
                None => self.fail("null", &at, "not be null"),
            }
        }
        Ok(Some(Value::List(values)))
    }
}

/// A value as it is shown; what is long is cut.
fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(SHOWN_MAX).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    format!("'{shown}{more}'")
}

#[cfg(test)]
mod tests {
    use super::{Args, read};
    use crate::query::error::QueryError;
    use crate::query::form::Form;
    use crate::query::shape::{Param, Shape, anything, name, opt, req, text};

    const NAME: Shape = text("nameType", (1, 8), "[\\w+=,.@-]+", name);
    const KEY: Shape = text("keyType", (1, 4), "", anything);
    const VALUE: Shape = text("valueType", (0, 4), "", anything);
    const TAG: Shape = Shape::Structure(&[req("Key", &KEY), req("Value", &VALUE)]);
    const TAGS: Shape = Shape::List { of: &TAG, min: 0, max: 3 };
    const NAMES: Shape = Shape::List { of: &NAME, min: 1, max: 3 };
    const COUNT: Shape = Shape::Number { name: "countType", min: 1, max: 1_000 };
    const WORD: Shape = Shape::Choice { name: "wordType", words: &["Active", "Inactive"] };
    const DEEP: Shape = Shape::Structure(&[req("arn", &NAME)]);
    static ALL: &[Param] = &[
        req("UserName", &NAME),
        opt("Tags", &TAGS),
        opt("Names", &NAMES),
        opt("MaxItems", &COUNT),
        opt("Status", &WORD),
        opt("Set", &Shape::Flag),
        opt("Deep", &DEEP),
    ];

    fn args(body: &str) -> Result<Args, QueryError> {
        read(Form::of_body(body.as_bytes()).unwrap(), "Test", ALL)
    }

    fn refused(body: &str) -> (&'static str, String) {
        let error = args(body).unwrap_err();
        (error.code(), error.message().to_owned())
    }

    #[test]
    fn values_are_read_by_their_shapes() {
        let body = "UserName=alice&Tags.member.1.Key=a&Tags.member.1.Value=&Tags.member.2.Value=w&Tags.member.2.Key=b\
                    &Names.member.1=x&MaxItems=7&Status=Active&Set=true&Deep.arn=d";
        let args = args(body).unwrap();
        assert_eq!((args.text("UserName"), args.needed("UserName")), (Some("alice"), "alice"));
        let tags: Vec<(&str, &str)> =
            args.structures("Tags").map(|tag| (tag.needed("Key"), tag.needed("Value"))).collect();
        assert_eq!(tags, [("a", ""), ("b", "w")]);
        assert_eq!((args.texts("Names"), args.number("MaxItems")), (vec!["x"], Some(7)));
        assert_eq!((args.text("Status"), args.flag("Set")), (Some("Active"), Some(true)));
    }

    #[test]
    fn an_empty_list_is_a_name_without_a_value() {
        assert_eq!(args("UserName=a&Tags=").unwrap().structures("Tags").count(), 0);
        assert_eq!(refused("UserName=a&Names=").0, "ValidationError");
        assert_eq!(refused("UserName=a&Tags=x").0, "MalformedQueryString");
        assert_eq!(
            refused("UserName=a&Tags=&Tags.member.1.Key=a&Tags.member.1.Value=b").0,
            "MalformedQueryString"
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_all_at_once() {
        let (code, message) = refused("UserName=a+b&MaxItems=0&Tags.member.1.Key=toolong&Status=Maybe");
        assert_eq!(code, "ValidationError");
        assert_eq!(
            message,
            "5 validation errors detected: \
             Value 'a b' at 'userName' failed to satisfy constraint: Member must satisfy regular expression pattern: \
             [\\w+=,.@-]+; \
             Value 'toolong' at 'tags.1.member.key' failed to satisfy constraint: Member must have length less than or equal \
             to 4; \
             Value null at 'tags.1.member.value' failed to satisfy constraint: Member must not be null; \
             Value '0' at 'maxItems' failed to satisfy constraint: Member must have value greater than or equal to 1; \
             Value 'Maybe' at 'status' failed to satisfy constraint: Member must satisfy enum value set: [Active, Inactive]"
        );
        let (_, message) = refused("");
        assert_eq!(
            message,
            "1 validation error detected: Value null at 'userName' failed to satisfy constraint: Member must not be null"
        );
        assert!(refused(&format!("UserName={}", "x".repeat(9_000))).1.len() < 400);
    }

    #[test]
    fn lists_and_structures_are_bounded_by_their_shapes() {
        let many: Vec<String> = (1..=2_000).map(|at| format!("&Names.member.{at}=x")).collect();
        let many = many.concat();
        assert_eq!(refused(&format!("UserName=a{many}")).0, "ValidationError");
        for (body, code) in [
            ("UserName=a&Names.member.1.member.1.member.1=x", "ValidationError"),
            ("UserName=a&Names.member.1=x&Names.member.1.Key=y", "InvalidQueryParameter"),
            ("UserName=a&Tags.member.1=x", "ValidationError"),
            (
                "UserName=a&Tags.member.1.Key=a&Tags.member.1.Value=b&Tags.member.1.More=c",
                "InvalidQueryParameter",
            ),
            ("UserName=a&Deep.member.1=x", "ValidationError"),
            ("UserName=a&UserName.member.1=x", "InvalidQueryParameter"),
            ("UserName=a&Unknown=x", "InvalidQueryParameter"),
            ("UserName=a&MaxItems=1e3", "MalformedInput"),
            ("UserName=a&MaxItems=%2B1", "MalformedInput"),
            ("UserName=a&MaxItems=9223372036854775808", "MalformedInput"),
            ("UserName=a&MaxItems=", "MalformedInput"),
            ("UserName=a&Set=yes", "MalformedInput"),
        ] {
            assert_eq!(refused(body).0, code, "{body}");
        }
    }
}
