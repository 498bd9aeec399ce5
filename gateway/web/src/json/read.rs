//! Values of parameters, read and checked by the operation's row of the table.
//!
//! All that is wrong is told at once, in AWS's words, with where it stands: `Value null at 'keyId' failed to satisfy constraint: …`. What an
//! operation has no member for is refused by name: a newer SDK's member that would change what is meant is not passed over.

use super::error::JsonError;
use super::shape::{Param, Shape, Text};
use super::tree::Tree;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::clock::Timestamp;
use zeroize::Zeroizing;

/// Failures that are told of one request.
const FAILURES_MAX: usize = 10;
/// Characters of a value that are shown with what is wrong with it.
const SHOWN_MAX: usize = 128;

/// A value of its shape.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(String),
    Number(i64),
    Flag(bool),
    Time(Timestamp),
    Blob(Zeroizing<Vec<u8>>),
    List(Vec<Value>),
    Map(Vec<(String, String)>),
    Structure(Args),
}

/// Parameters of an operation, or members of a structure, that were given.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Args(Vec<(&'static str, Value)>);

macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident, $variant:ident => $type:ty, $value:ident => $of:expr;)*) => {
        $($(#[$doc])*
        pub(crate) fn $name(&self, name: &str) -> Option<$type> {
            match self.get(name)? {
                Value::$variant($value) => Some($of),
                _ => None,
            }
        })*
    };
}

impl Args {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Whether it was given.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    getters! {
        /// A text, or one of a few words.
        text, Text => &str, value => value;
        /// A number.
        number, Number => i64, value => *value;
        /// A truth.
        flag, Flag => bool, value => *value;
        /// A time.
        time, Time => Timestamp, value => *value;
        /// Bytes.
        blob, Blob => &[u8], value => value;
        /// Names and texts.
        map, Map => &[(String, String)], value => value;
        /// Members.
        structure, Structure => &Self, value => value;
    }

    /// A number that its row bounds below 2³².
    pub(crate) fn small(&self, name: &str) -> Option<u32> {
        self.number(name).and_then(|number| u32::try_from(number).ok())
    }

    /// A text that the table says is there.
    pub(crate) fn needed(&self, name: &str) -> &str {
        debug_assert!(self.has(name), "{name} is not required by its row");
        self.text(name).unwrap_or_default()
    }

    fn list(&self, name: &str) -> &[Value] {
        match self.get(name) {
            Some(Value::List(values)) => values,
            _ => &[],
        }
    }

    /// Texts of a list; none where it was not given.
    pub(crate) fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.list(name).iter().filter_map(|value| match value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// Structures of a list; none where it was not given.
    pub(crate) fn structures(&self, name: &str) -> impl Iterator<Item = &Self> {
        self.list(name).iter().filter_map(|value| match value {
            Value::Structure(members) => Some(members),
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
            Value::Time(time) => security::AmzDate::from_timestamp(*time).extended().into(),
            // Bytes are never shown, whatever they are called.
            Value::Blob(_) => serde_json::Value::Null,
            Value::Map(pairs) => {
                let shown = pairs.iter().map(|(name, text)| (name.clone(), text.as_str().into()));
                serde_json::Value::Object(shown.collect())
            }
            Value::List(values) => values.iter().map(|value| value.shown(allowed)).collect(),
            Value::Structure(members) => members.shown(allowed),
        }
    }
}

/// Reads an operation's parameters.
pub(super) fn read(body: &[u8], parameters: &'static [Param]) -> Result<Args, JsonError> {
    let tree = Tree::parse(body).map_err(JsonError::serialization)?;
    let mut reader = Reader { failures: Vec::new() };
    let args = reader.members(parameters, tree, "")?;
    if reader.failures.is_empty() { Ok(args) } else { Err(JsonError::validation(&reader.failures)) }
}

struct Reader {
    failures: Vec<String>,
}

/// `KeyId` as `keyId`, as AWS tells places.
fn place(within: &str, name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|c| c.to_ascii_lowercase()).into_iter();
    within.chars().chain(first).chain(letters).collect()
}

fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(SHOWN_MAX).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    format!("'{shown}{more}'")
}

fn unfit(at: &str, wanted: &str) -> JsonError {
    JsonError::serialization(format!("{at} is {wanted}"))
}

impl Reader {
    fn fail(&mut self, value: &str, at: &str, constraint: &str) {
        if self.failures.len() < FAILURES_MAX {
            self.failures.push(format!(
                "Value {value} at '{at}' failed to satisfy constraint: Member must {constraint}"
            ));
        }
    }

    fn members(&mut self, params: &'static [Param], tree: Tree, within: &str) -> Result<Args, JsonError> {
        let Tree::Object(members) = tree else { return Err(unfit(within, "an object")) };
        let mut found = Vec::new();
        for (name, tree) in members {
            let Some(param) = params.iter().find(|param| param.name == name) else {
                let name: String = name.chars().take(100).collect();
                return Err(JsonError::validation(&[format!(
                    "Value at '{}' failed to satisfy constraint: there is no such member",
                    place(within, &name)
                )]));
            };
            if tree != Tree::Null {
                found.push((param.name, self.value(param.shape, tree, &place(within, param.name))?));
            }
        }
        for param in params.iter().filter(|param| param.required) {
            if !found.iter().any(|(name, _)| *name == param.name) {
                self.fail("null", &place(within, param.name), "not be null");
            }
        }
        Ok(Args(found))
    }

    fn value(&mut self, shape: &'static Shape, tree: Tree, at: &str) -> Result<Value, JsonError> {
        Ok(match (shape, tree) {
            (Shape::Text(kind), Tree::Text(text)) => {
                self.fits(kind, &text, at);
                Value::Text(text)
            }
            (Shape::Choice(words), Tree::Text(text)) => {
                if !words.contains(&text.as_str()) {
                    let wanted = format!("satisfy enum value set: [{}]", words.join(", "));
                    self.fail(&quoted(&text), at, &wanted);
                }
                Value::Text(text)
            }
            (Shape::Number { min, max }, Tree::Whole(number)) => {
                if number < *min {
                    let wanted = format!("have value greater than or equal to {min}");
                    self.fail(&format!("'{number}'"), at, &wanted);
                } else if number > *max {
                    self.fail(&format!("'{number}'"), at, &format!("have value less than or equal to {max}"));
                }
                Value::Number(number)
            }
            (Shape::Flag, Tree::Bool(flag)) => Value::Flag(flag),
            (Shape::Time, Tree::Whole(secs)) => {
                Value::Time(Timestamp::from_millis(secs.saturating_mul(1_000)))
            }
            (Shape::Time, Tree::Number(secs)) => {
                let whole = std::time::Duration::try_from_secs_f64(secs).map_err(|_| unfit(at, "a time"))?;
                Value::Time(Timestamp::from_millis(i64::try_from(whole.as_millis()).unwrap_or(i64::MAX)))
            }
            (Shape::Blob { min, max }, Tree::Text(text)) => {
                let bytes = STANDARD.decode(&text).map_err(|_| unfit(at, "bytes in base64"))?;
                if bytes.len() < *min {
                    self.fail("of bytes", at, &format!("have length greater than or equal to {min}"));
                } else if bytes.len() > *max {
                    self.fail("of bytes", at, &format!("have length less than or equal to {max}"));
                }
                Value::Blob(Zeroizing::new(bytes))
            }
            (Shape::List { of, min, max }, Tree::List(items)) => {
                if items.len() < *min || items.len() > *max {
                    let wanted = format!("have length between {min} and {max}");
                    self.fail("'[…]'", at, &wanted);
                    return Ok(Value::List(Vec::new()));
                }
                let mut values = Vec::with_capacity(items.len());
                for (number, item) in items.into_iter().enumerate() {
                    values.push(self.value(of, item, &format!("{at}.{}.member", number + 1))?);
                }
                Value::List(values)
            }
            (Shape::Map, Tree::Object(members)) => {
                let mut pairs = Vec::with_capacity(members.len());
                for (name, tree) in members {
                    let Tree::Text(text) = tree else { return Err(unfit(at, "an object of strings")) };
                    pairs.push((name, text));
                }
                Value::Map(pairs)
            }
            (Shape::Structure(params), tree @ Tree::Object(_)) => {
                Value::Structure(self.members(params, tree, &format!("{at}."))?)
            }
            (shape, _) => {
                let wanted = match shape {
                    Shape::Text(_) | Shape::Choice(_) => "a string",
                    Shape::Number { .. } => "a whole number",
                    Shape::Flag => "true or false",
                    Shape::Time => "a time in seconds",
                    Shape::Blob { .. } => "a string of base64",
                    Shape::List { .. } => "a list",
                    Shape::Map | Shape::Structure(_) => "an object",
                };
                return Err(unfit(at, wanted));
            }
        })
    }

    fn fits(&mut self, kind: &Text, text: &str, at: &str) {
        let length = text.chars().count();
        if length < kind.min {
            self.fail(&quoted(text), at, &format!("have length greater than or equal to {}", kind.min));
        } else if length > kind.max {
            self.fail(&quoted(text), at, &format!("have length less than or equal to {}", kind.max));
        }
        if !(kind.fits)(text) {
            let wanted = format!("satisfy regular expression pattern: {}", kind.pattern);
            self.fail(&quoted(text), at, &wanted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::shape::{Param, Shape, opt, req, text};
    use super::read;

    const KEY: Shape = text(1, 8);
    const KEYS: Shape = Shape::List { of: &KEY, min: 1, max: 2 };
    const DEEP: Shape = Shape::Structure(&[req("Key", &KEY)]);
    static ALL: &[Param] = &[
        req("KeyId", &KEY),
        opt("Plaintext", &Shape::Blob { min: 1, max: 3 }),
        opt("Keys", &KEYS),
        opt("Context", &Shape::Map),
        opt("Limit", &Shape::Number { min: 1, max: 9 }),
        opt("At", &Shape::Time),
        opt("Deep", &DEEP),
        opt("Is", &Shape::Flag),
    ];

    #[test]
    fn values_are_read_by_their_shapes() {
        let body =
            br#"{"KeyId":"a","Plaintext":"AQI=","Keys":["x","y"],"Context":{"b":"c"},"Limit":3,"At":1.5,
            "Deep":{"Key":"z"},"Is":true}"#;
        let args = read(body, ALL).unwrap();
        assert_eq!((args.needed("KeyId"), args.blob("Plaintext")), ("a", Some(&[1, 2][..])));
        assert_eq!(args.texts("Keys").collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(args.map("Context").unwrap(), [("b".to_owned(), "c".to_owned())]);
        assert_eq!((args.number("Limit"), args.flag("Is")), (Some(3), Some(true)));
        assert_eq!(args.time("At").unwrap().as_millis(), 1_500);
        assert_eq!(args.structure("Deep").unwrap().needed("Key"), "z");
        assert!(!read(br#"{"KeyId":"a","Limit":null}"#, ALL).unwrap().has("Limit"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let refused = |body: &str| {
            let error = read(body.as_bytes(), ALL).unwrap_err();
            (error.code(), error.message().to_owned())
        };
        let (code, message) = refused(r#"{"Limit":10,"Plaintext":"AQIDBA==","Deep":{}}"#);
        assert_eq!(code, "ValidationException");
        assert_eq!(
            message,
            "4 validation errors detected: \
             Value '10' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 9; \
             Value of bytes at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 3; \
             Value null at 'deep.key' failed to satisfy constraint: Member must not be null; \
             Value null at 'keyId' failed to satisfy constraint: Member must not be null"
        );
        for (body, code) in [
            (r#"{"KeyId":"a","KeyId":"b"}"#, "SerializationException"),
            (r#"{"KeyId":"a","Unheard":1}"#, "ValidationException"),
            (r#"{"KeyId":1}"#, "SerializationException"),
            (r#"{"KeyId":"a","Plaintext":"?"}"#, "SerializationException"),
            (r#"{"KeyId":"a","Limit":1.5}"#, "SerializationException"),
            (r#"{"KeyId":"a","Context":{"a":1}}"#, "SerializationException"),
            (r#"{"KeyId":"a","Keys":["1","2","3"]}"#, "ValidationException"),
            ("", "SerializationException"),
            ("[]", "SerializationException"),
            (r#"{"KeyId":"a"} x"#, "SerializationException"),
            (&format!("{}1", "[".repeat(10_000)), "SerializationException"),
        ] {
            assert_eq!(refused(body).0, code, "{body}");
        }
    }
}
