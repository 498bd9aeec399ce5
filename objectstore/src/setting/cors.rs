//! Which pages of other origins may read a bucket's answers, by the rules of S3's CORS configuration.
//!
//! A rule matches a request by its origin, method and headers; the first that does decides. Sources: "Using cross-origin
//! resource sharing" of the S3 user guide and `PutBucketCors` of its API reference.
//!
//! Limits: 100 rules; one `*` in an origin or header; 255 characters of an id.

use super::{Setting, SettingKind};
use crate::{Error, Result};
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use std::fmt;
use std::str::FromStr;

/// Rules of one bucket at the most.
pub const CORS_RULES_MAX: usize = 100;
/// Characters of a rule's id.
const ID_MAX: usize = 255;

fn invalid(detail: String) -> Error {
    Error::InvalidSetting { detail }
}

/// A method that a rule may allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CorsMethod {
    /// `GET`
    Get,
    /// `PUT`
    Put,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `DELETE`
    Delete,
}

impl CorsMethod {
    /// All of them, in the order of their numbers in records.
    const ALL: [Self; 5] = [Self::Get, Self::Put, Self::Head, Self::Post, Self::Delete];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for CorsMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CorsMethod {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == text).ok_or_else(|| {
            invalid(format!("Found unsupported HTTP method in CORS config. Unsupported method is {text}"))
        })
    }
}

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorsRule {
    /// Its name, for people.
    pub id: Option<String>,
    /// Origins that it holds for, each with at most one `*`. At least one.
    pub origins: Vec<String>,
    /// Methods that it allows. At least one.
    pub methods: Vec<CorsMethod>,
    /// Request headers that it allows, each with at most one `*`.
    pub headers: Vec<String>,
    /// Answer headers that a page may read.
    pub exposed: Vec<String>,
    /// How long a browser may keep what it was told, in seconds.
    pub max_age_secs: Option<u32>,
}

impl CorsRule {
    fn check(&self) -> Result<()> {
        if self.id.as_ref().is_some_and(|id| id.chars().count() > ID_MAX) {
            return Err(invalid(format!("The ID of a CORS rule must not exceed {ID_MAX} characters.")));
        }
        for (what, patterns) in [("AllowedOrigin", &self.origins), ("AllowedHeader", &self.headers)] {
            if let Some(bad) = patterns.iter().find(|pattern| pattern.matches('*').count() > 1) {
                return Err(invalid(format!("{what} \"{bad}\" can not have more than one wildcard.")));
            }
        }
        if let Some(bad) = self.exposed.iter().find(|name| name.contains('*')) {
            return Err(invalid(format!(
                "ExposeHeader \"{bad}\" contains wildcard. We currently do not support wildcard for ExposeHeader."
            )));
        }
        // They are sent as they were set, in one header.
        if let Some(bad) = self.exposed.iter().find(|name| !name.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return Err(invalid(format!("ExposeHeader \"{bad}\" is no name of a header.")));
        }
        Ok(())
    }

    /// The pattern that an origin fits, if any.
    fn origin(&self, origin: &str) -> Option<&str> {
        self.origins.iter().map(String::as_str).find(|pattern| fits(pattern, origin))
    }

    fn allows_header(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        self.headers.iter().any(|pattern| fits(&pattern.to_ascii_lowercase(), &name))
    }
}

/// Whether a text is the pattern, its one `*` standing for any characters or none.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == text };
    text.strip_prefix(before).is_some_and(|rest| rest.ends_with(after))
}

/// A rule that matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CorsMatch<'a> {
    /// The rule.
    pub rule: &'a CorsRule,
    /// The origin fits a bare `*`: every page may read, none with its user's credentials.
    pub any_origin: bool,
}

/// The rules of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors(Vec<CorsRule>);

impl Cors {
    /// Checks the rules; there is at least one.
    pub fn new(rules: Vec<CorsRule>) -> Result<Self> {
        if rules.len() > CORS_RULES_MAX {
            let detail = format!(
                "The number of CORS rules should not exceed allowed limit of {CORS_RULES_MAX} rules."
            );
            return Err(invalid(detail));
        }
        rules.iter().try_for_each(CorsRule::check)?;
        Ok(Self(rules))
    }

    /// In order.
    pub fn rules(&self) -> &[CorsRule] {
        &self.0
    }

    /// The first rule for a request of this origin and method with these headers.
    pub fn matching(&self, origin: &str, method: &str, headers: &[&str]) -> Option<CorsMatch<'_>> {
        self.0.iter().find_map(|rule| {
            let pattern = rule.origin(origin)?;
            let allowed = rule.methods.iter().any(|allowed| allowed.as_str() == method)
                && headers.iter().all(|name| rule.allows_header(name));
            allowed.then_some(CorsMatch { rule, any_origin: pattern == "*" })
        })
    }
}

fn put_texts(out: &mut RecordWriter, texts: &[String]) {
    out.count(texts.len());
    for text in texts {
        out.text(text);
    }
}

fn get_texts(fields: &mut RecordReader<'_>) -> engine::Result<Vec<String>> {
    let count = fields.count()?;
    (0..count).map(|_| fields.text().map(str::to_owned)).collect()
}

impl Record for Cors {
    const NAME: &'static str = "CORS rules";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.count(self.0.len());
        for rule in &self.0 {
            let methods = rule.methods.iter().map(|method| *method as u8).collect::<Vec<_>>();
            out.u8(u8::from(rule.id.is_some()) | u8::from(rule.max_age_secs.is_some()) << 1);
            if let Some(id) = &rule.id {
                out.text(id);
            }
            if let Some(age) = rule.max_age_secs {
                out.u32(age);
            }
            out.bytes(&methods);
            put_texts(out, &rule.origins);
            put_texts(out, &rule.headers);
            put_texts(out, &rule.exposed);
        }
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let count = fields.count()?;
        let mut rules = Vec::new();
        for _ in 0..count {
            let present = fields.u8()?;
            if present > 3 {
                return Err(fields.corrupt(format!("bits {present:#x}")));
            }
            let id = if present & 1 != 0 { Some(fields.text()?.to_owned()) } else { None };
            let max_age_secs = if present & 2 != 0 { Some(fields.u32()?) } else { None };
            let numbers = fields.bytes()?;
            let methods = numbers.iter().map(|number| CorsMethod::ALL.get(usize::from(*number)).copied());
            let methods =
                methods.collect::<Option<_>>().ok_or_else(|| fields.corrupt("a method's number"))?;
            let (origins, headers, exposed) = (get_texts(fields)?, get_texts(fields)?, get_texts(fields)?);
            rules.push(CorsRule { id, origins, methods, headers, exposed, max_age_secs });
        }
        Ok(Self(rules))
    }
}

impl Setting for Cors {
    const KIND: SettingKind = SettingKind::Cors;
}

#[cfg(test)]
mod tests {
    use super::{Cors, CorsMethod, CorsRule, fits};

    fn rule(origins: &[&str], methods: &[CorsMethod], headers: &[&str]) -> CorsRule {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        CorsRule {
            origins: owned(origins),
            methods: methods.to_vec(),
            headers: owned(headers),
            ..CorsRule::default()
        }
    }

    #[test]
    fn one_star_stands_for_anything() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "http://a", true),
            ("http://*.example", "http://a.example", true),
            ("http://*.example", "http://.example", true),
            ("http://*.example", "https://a.example", false),
            ("start*end", "startend", true),
            ("start*tend", "startend", false),
            ("a", "a", true),
            ("a", "ab", false),
            ("a", "A", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn the_first_rule_that_fits_origin_method_and_headers_decides() {
        use CorsMethod::{Get, Put};
        let rules = vec![
            rule(&["http://a"], &[Get], &["x-amz-*", "Content-Type"]),
            rule(&["http://a", "http://*.b"], &[Get, Put], &[]),
            rule(&["*"], &[Get], &["*"]),
        ];
        let cors = Cors::new(rules.clone()).unwrap();
        let found = |origin, method, headers: &[&str]| {
            let found = cors.matching(origin, method, headers)?;
            rules.iter().position(|rule| rule == found.rule).map(|at| (at, found.any_origin))
        };
        assert_eq!(found("http://a", "GET", &[]), Some((0, false)));
        assert_eq!(found("http://a", "GET", &["X-AMZ-Date", "content-type"]), Some((0, false)));
        assert_eq!(found("http://a", "GET", &["authorization"]), Some((2, true)));
        assert_eq!(found("http://a", "PUT", &[]), Some((1, false)));
        assert_eq!(found("http://a", "PUT", &["content-type"]), None);
        assert_eq!(found("http://x.b", "PUT", &[]), Some((1, false)));
        assert_eq!(found("http://c", "GET", &[]), Some((2, true)));
        assert_eq!(found("http://c", "DELETE", &[]), None);
        assert_eq!(found("http://c", "get", &[]), None);
    }

    #[test]
    fn rules_are_checked_as_s3_checks_them() {
        use CorsMethod::Get;
        let exposing = CorsRule { exposed: vec!["x-*".to_owned()], ..rule(&["*"], &[Get], &[]) };
        let torn = CorsRule { exposed: vec!["x-a\r\nx-b".to_owned()], ..rule(&["*"], &[Get], &[]) };
        let named = CorsRule { id: Some("n".repeat(256)), ..rule(&["*"], &[Get], &[]) };
        for (rules, words) in [
            (vec![rule(&["*a*"], &[Get], &[])], "AllowedOrigin \"*a*\" can not have more than one wildcard."),
            (
                vec![rule(&["*"], &[Get], &["**"])],
                "AllowedHeader \"**\" can not have more than one wildcard.",
            ),
            (vec![torn], "is no name of a header"),
            (vec![exposing], "ExposeHeader \"x-*\" contains wildcard."),
            (vec![named], "255 characters"),
            (vec![rule(&["*"], &[Get], &[]); 101], "should not exceed allowed limit of 100 rules"),
        ] {
            let error = Cors::new(rules).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        Cors::new(vec![rule(&["*"], &[Get], &[]); 100]).unwrap();
        let error = "PATCH".parse::<CorsMethod>().unwrap_err().to_string();
        assert!(error.contains("Unsupported method is PATCH"), "{error}");
        "get".parse::<CorsMethod>().unwrap_err();
    }
}
