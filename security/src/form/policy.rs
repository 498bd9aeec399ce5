//! The policy of a form: what it may hold, and until when (S3's "POST policy").
//!
//! JSON with two more escapes than JSON has (`\$`, `\v`), as S3 documents it. Names are compared without regard to case,
//! values with it. Of a content type that is a list, each entry has to begin as a condition says.

use super::error::FormError;
use super::fields::Fields;
use crate::date::AmzDate;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::clock::Timestamp;
use serde_json::Value;

/// Bytes that the file may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LengthRange {
    /// At least.
    pub min: u64,
    /// At most.
    pub max: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Eq,
    StartsWith,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    operator: Operator,
    /// In lower case.
    field: String,
    value: String,
    /// As S3 writes it in its refusal.
    text: String,
}

/// A policy that was read; nobody has verified who made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    expires_secs: i64,
    conditions: Vec<Condition>,
    length: Option<LengthRange>,
}

fn invalid(detail: impl Into<String>) -> FormError {
    FormError::Policy(detail.into())
}

impl Policy {
    /// Reads the field's value: base64 of JSON.
    pub fn parse(field: &str) -> Result<Self, FormError> {
        let compact: Vec<u8> = field.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let raw = STANDARD.decode(compact).map_err(|_| invalid("Policy is not base64."))?;
        let text = String::from_utf8(raw).map_err(|_| invalid("Policy is not UTF-8."))?;
        let value: Value = serde_json::from_str(&plain_json(&text)).map_err(|_| invalid("Invalid JSON."))?;
        let Value::Object(mut members) = value else { return Err(invalid("Policy is no JSON object.")) };
        let expiration = members.remove("expiration").ok_or_else(|| invalid("Policy missing expiration."))?;
        let conditions = members.remove("conditions").ok_or_else(|| invalid("Policy missing conditions."))?;
        if let Some(other) = members.keys().next() {
            return Err(invalid(format!("Unexpected: '{other}'")));
        }
        let text = expiration.as_str().unwrap_or_default();
        let expires_secs =
            time(text).ok_or_else(|| invalid(format!("Invalid 'expiration' value: '{text}'")))?;
        let Value::Array(conditions) = conditions else {
            return Err(invalid("Invalid 'conditions' value: must be a List."));
        };
        let mut policy = Self { expires_secs, conditions: Vec::new(), length: None };
        conditions.into_iter().try_for_each(|condition| policy.add(condition))?;
        Ok(policy)
    }

    fn add(&mut self, condition: Value) -> Result<(), FormError> {
        match condition {
            Value::Object(members) => {
                let mut members = members.into_iter();
                let (Some((field, value)), None) = (members.next(), members.next()) else {
                    return Err(invalid(
                        "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.",
                    ));
                };
                let Value::String(value) = value else {
                    return Err(invalid("Invalid Simple-Condition: value must be a string."));
                };
                self.push(Operator::Eq, &field, value);
                Ok(())
            }
            Value::Array(items) => self.add_listed(&items),
            _ => Err(invalid("Invalid Condition: a condition must be a List or an Object.")),
        }
    }

    fn add_listed(&mut self, items: &[Value]) -> Result<(), FormError> {
        let [Value::String(operator), first, second] = items else {
            return Err(invalid("Invalid Condition: wrong number of arguments."));
        };
        let operator = match operator.to_ascii_lowercase().as_str() {
            "eq" => Operator::Eq,
            "starts-with" => Operator::StartsWith,
            "content-length-range" => return self.add_range(first, second),
            _ => return Err(invalid(format!("Invalid Condition: unknown operation '{operator}'."))),
        };
        let (Value::String(field), Value::String(value)) = (first, second) else {
            return Err(invalid("Invalid Condition: arguments must be strings."));
        };
        let Some(name) = field.strip_prefix('$').filter(|name| !name.is_empty()) else {
            return Err(invalid(format!("Invalid Condition: '{field}' is no field's name behind a $.")));
        };
        self.push(operator, name, value.clone());
        Ok(())
    }

    /// Several ranges all hold.
    fn add_range(&mut self, first: &Value, second: &Value) -> Result<(), FormError> {
        let number = |value: &Value| match value {
            Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            other => other.as_u64(),
        };
        let (Some(min), Some(max)) = (number(first), number(second)) else {
            return Err(invalid("Invalid content-length-range: its limits must be whole numbers."));
        };
        let whole = LengthRange { min: 0, max: u64::MAX };
        let before = self.length.unwrap_or(whole);
        self.length = Some(LengthRange { min: min.max(before.min), max: max.min(before.max) });
        Ok(())
    }

    fn push(&mut self, operator: Operator, field: &str, value: String) {
        let name = match operator {
            Operator::Eq => "eq",
            Operator::StartsWith => "starts-with",
        };
        let quoted = |text: &str| Value::from(text).to_string();
        let text = format!("[{}, {}, {}]", quoted(name), quoted(&format!("${field}")), quoted(&value));
        self.conditions.push(Condition { operator, field: field.to_ascii_lowercase(), value, text });
    }

    /// How large the file may be, where the policy says so.
    pub fn length(&self) -> Option<LengthRange> {
        self.length
    }

    /// Whether the form may be sent to this bucket now.
    pub fn check(&self, bucket: &str, fields: &Fields, now: Timestamp) -> Result<(), FormError> {
        if now.as_secs() >= self.expires_secs {
            return Err(FormError::Denied("Policy expired.".to_owned()));
        }
        for condition in &self.conditions {
            let value = match condition.field.as_str() {
                "bucket" => bucket,
                other => fields.get(other).unwrap_or_default(),
            };
            if !condition.holds(value) {
                return Err(FormError::Denied(format!("Policy Condition failed: {}", condition.text)));
            }
        }
        let covered = |name: &str| self.conditions.iter().any(|condition| condition.field == name);
        let names = fields.iter().map(|(name, _)| name).filter(|name| !is_free(name));
        match names.chain(["bucket"]).find(|name| !covered(name)) {
            None => Ok(()),
            Some(extra) => Err(FormError::Denied(format!("Extra input fields: {extra}"))),
        }
    }
}

impl Condition {
    fn holds(&self, value: &str) -> bool {
        match self.operator {
            Operator::Eq => value == self.value,
            Operator::StartsWith if self.field == "content-type" => {
                value.split(',').all(|one| one.trim_start().starts_with(&self.value))
            }
            Operator::StartsWith => value.starts_with(&self.value),
        }
    }
}

/// Fields that no condition has to name: they carry the policy and its signature, prove the file, or are to be ignored.
fn is_free(name: &str) -> bool {
    matches!(name, "policy" | "signature" | "x-amz-signature" | "awsaccesskeyid")
        || name.starts_with("x-amz-checksum-")
        || name.starts_with("x-ignore-")
}

/// `2007-12-01T12:00:00.000Z`, with or without a fraction.
fn time(text: &str) -> Option<i64> {
    // Of other characters a place may lie within one.
    if !text.is_ascii() {
        return None;
    }
    let (main, fraction) = text.strip_suffix('Z')?.split_at_checked(19)?;
    let digits = fraction.strip_prefix('.').unwrap_or("0");
    let places = [(4, '-'), (7, '-'), (10, 'T'), (13, ':'), (16, ':')];
    let fine = places.iter().all(|(at, c)| main[*at..].starts_with(*c))
        && (fraction.is_empty() || fraction.starts_with('.'))
        && (1..=9).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !fine {
        return None;
    }
    let basic: String = main.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    AmzDate::parse(&format!("{basic}Z")).map(|date| date.secs())
}

/// The escapes that S3 has and JSON has not, in JSON's own form.
fn plain_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('$')) => out.push('$'),
            ('\\', Some('v')) => out.push_str("\\u000b"),
            (c, next) => {
                out.push(c);
                out.extend(next);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{LengthRange, Policy};
    use crate::form::{Fields, FormError};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use engine::clock::Timestamp;

    /// 2026-03-14T15:09:26Z
    const NOW: Timestamp = Timestamp::from_millis(1_773_500_966_000);

    fn parse(text: &str) -> Result<Policy, FormError> {
        Policy::parse(&STANDARD.encode(text))
    }

    fn with(conditions: &str) -> Result<Policy, FormError> {
        parse(&format!(r#"{{"expiration":"2026-03-14T16:00:00.000Z","conditions":[{conditions}]}}"#))
    }

    fn check(conditions: &str, fields: &[(&str, &str)]) -> Result<(), String> {
        let mut form = Fields::default();
        for (name, value) in fields {
            form.add(name, (*value).to_owned()).unwrap();
        }
        let refused = |error: FormError| match error {
            FormError::Denied(detail) => detail,
            other => panic!("{other}"),
        };
        with(conditions).unwrap().check("b", &form, NOW).map_err(refused)
    }

    const BASE: &str = r#"{"bucket":"b"},["starts-with","$key","user/"]"#;

    #[test]
    fn every_field_keeps_to_its_conditions_and_none_is_left_out() {
        let all = format!(
            r#"{BASE},{{"AcL":"private"}},["STARTS-WITH","$Content-Type","image/"],["eq","$x-amz-meta-a","1"]"#
        );
        let good = [
            ("Key", "user/x"),
            ("acl", "private"),
            ("Content-Type", "image/png, image/gif"),
            ("x-amz-meta-a", "1"),
        ];
        assert_eq!(check(&all, &good), Ok(()));
        let free = [
            ("policy", "p"),
            ("x-amz-signature", "s"),
            ("x-ignore-me", "x"),
            ("x-amz-checksum-crc32", "c"),
            ("key", "user/x"),
        ];
        assert_eq!(check(BASE, &free), Ok(()));
        for (at, value, words) in [
            (0, "other/x", r#"Policy Condition failed: ["starts-with", "$key", "user/"]"#),
            (1, "Private", r#"Policy Condition failed: ["eq", "$AcL", "private"]"#),
            (
                2,
                "image/png,text/html",
                r#"Policy Condition failed: ["starts-with", "$Content-Type", "image/"]"#,
            ),
            (3, "", r#"Policy Condition failed: ["eq", "$x-amz-meta-a", "1"]"#),
        ] {
            let mut bad = good;
            bad[at].1 = value;
            assert_eq!(check(&all, &bad), Err(words.to_owned()));
        }
        assert_eq!(
            check(&all, &good[..3]),
            Err(r#"Policy Condition failed: ["eq", "$x-amz-meta-a", "1"]"#.into())
        );
        assert_eq!(
            check(BASE, &[("key", "user/x"), ("x-amz-meta-b", "1")]),
            Err("Extra input fields: x-amz-meta-b".into())
        );
        assert_eq!(check(r#"["eq","$key","k"]"#, &[("key", "k")]), Err("Extra input fields: bucket".into()));
        assert_eq!(check(r#"{"bucket":"b"}"#, &[("key", "k")]), Err("Extra input fields: key".into()));
        let other = r#"{"bucket":"c"},["starts-with","$key",""]"#;
        assert_eq!(
            check(other, &[("key", "k"), ("bucket", "c")]),
            Err(r#"Policy Condition failed: ["eq", "$bucket", "c"]"#.into())
        );
    }

    #[test]
    fn a_policy_ends_on_time() {
        let policy = with(r#"{"bucket":"b"}"#).unwrap();
        let at = |secs: i64| policy.check("b", &Fields::default(), Timestamp::from_millis(secs * 1000));
        let end = 1_773_504_000;
        at(end - 1).unwrap();
        assert_eq!(at(end), Err(FormError::Denied("Policy expired.".to_owned())));
    }

    #[test]
    fn escapes_are_jsons_and_s3s() {
        assert_eq!(check(r#"{"bucket":"b"},["eq","$key","\$\v\\\u00e9"]"#, &[("key", "$\u{b}\\é")]), Ok(()));
        assert_eq!(check(r#"{"bucket":"b"},["starts-with","$key","\\$a"]"#, &[("key", r"\$ab")]), Ok(()));
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"expiration":"2026-03-14T16:00:00Z"}"#,
            r#"{"conditions":[]}"#,
            r#"{"EXPIRATION":"2026-03-14T16:00:00Z","conditions":[]}"#,
            r#"{"expiration":"2026-03-14T16:00:00Z","CONDITIONS":[]}"#,
            r#"{"expiration":"2026-03-14T16:00:00Z","conditions":[],"more":1}"#,
            r#"{"expiration":"2026-03-14T16:00:00Z","conditions":{}}"#,
            r#"{"expiration":"2026-03-14 16:00:00","conditions":[]}"#,
            r#"{"expiration":"2026-02-30T16:00:00Z","conditions":[]}"#,
            r#"{"expiration":"2026-03-14T16:00:00.Z","conditions":[]}"#,
            r#"{"expiration":1,"conditions":[]}"#,
            r#"{"expiration":"202é-03-14T16:00:00Z","conditions":[]}"#,
        ] {
            assert!(matches!(parse(text), Err(FormError::Policy(_))), "{text}");
        }
        for conditions in [
            "{}",
            r#"{"a":"1","b":"2"}"#,
            r#"{"a":1}"#,
            "1",
            "[]",
            r#"["eq","$a"]"#,
            r#"["eq","a","b"]"#,
            r#"["eq","$","b"]"#,
            r#"["ends-with","$a","b"]"#,
            r#"["content-length-range",0]"#,
            r#"["content-length-range",-1,0]"#,
            r#"["content-length-range",0.5,1]"#,
            r#"["content-length-range","","1"]"#,
        ] {
            assert!(matches!(with(conditions), Err(FormError::Policy(_))), "{conditions}");
        }
        assert!(matches!(Policy::parse("not base64!"), Err(FormError::Policy(_))));
        let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
        assert!(matches!(with(&deep), Err(FormError::Policy(_))));
    }

    #[test]
    fn ranges_of_length_are_narrowed() {
        let range = |text| with(text).unwrap().length();
        assert_eq!(range(""), None);
        assert_eq!(range(r#"["content-length-range",1,"10"]"#), Some(LengthRange { min: 1, max: 10 }));
        let two = r#"["content-length-range",1,10],["content-length-range",5,20]"#;
        assert_eq!(range(two), Some(LengthRange { min: 5, max: 10 }));
    }
}
