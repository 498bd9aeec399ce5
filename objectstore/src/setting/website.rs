//! What a bucket's website is: its documents, or where its visitors are sent.
//!
//! The rules are pure: [`Website::redirect`] says where a key is sent, before it is looked up and again when that failed.
//! Source: "Hosting a static website" of the S3 user guide and `PutBucketWebsite` of its API reference.
//!
//! Limits: 50 routing rules; a document of 128 KiB, of which a row holds 64 KiB.

use super::{Setting, SettingKind};
use crate::{Error, Result};
use engine::catalog::record::{Record, RecordReader, RecordWriter};

/// Routing rules of one website at the most.
pub const ROUTING_RULES_MAX: usize = 50;

fn invalid(detail: impl Into<String>) -> Error {
    Error::InvalidSetting { detail: detail.into() }
}

/// A host is sent as it was set, in a header: it is of characters that can stand there.
fn check_host(host: &str) -> Result<()> {
    if host.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err(invalid("The HostName of a redirect must be of printable ASCII characters without blanks."))
    }
}

/// How a redirect's URL begins, where a rule says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebProtocol {
    /// `http`
    Http,
    /// `https`
    Https,
}

impl WebProtocol {
    /// As it stands in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Reads what S3 takes.
    pub fn parse(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "http" => Ok(Self::Http),
            "https" => Ok(Self::Https),
            _ => Err(invalid(
                "Invalid protocol, protocol can be http or https. If not defined the protocol will be selected \
                 automatically.",
            )),
        }
    }
}

/// What becomes of the key on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeyChange {
    /// It stays.
    #[default]
    None,
    /// This stands for the prefix that the rule's condition names.
    Prefix(String),
    /// This stands for the whole.
    Whole(String),
}

/// When a rule applies. At least one of the two is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutingCondition {
    /// The key begins so.
    pub prefix: Option<String>,
    /// Looking it up failed with this status.
    pub error: Option<u16>,
}

/// Where a rule sends to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutingRedirect {
    /// Else the visitor's own.
    pub protocol: Option<WebProtocol>,
    /// Else the visitor's own.
    pub host: Option<String>,
    /// What becomes of the key.
    pub key: KeyChange,
    /// Else 301.
    pub status: Option<u16>,
}

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutingRule {
    /// `None`: always.
    pub condition: Option<RoutingCondition>,
    /// Where to.
    pub redirect: RoutingRedirect,
}

/// A bucket's website.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Website {
    /// Every visitor is sent to another host.
    RedirectAll {
        /// That host.
        host: String,
        /// Else the visitor's own.
        protocol: Option<WebProtocol>,
    },
    /// Documents of the bucket.
    Documents {
        /// What stands for a directory: the name in it.
        index: String,
        /// The key of what is shown with an error.
        error: Option<String>,
        /// In order.
        rules: Vec<RoutingRule>,
    },
}

/// Where a visitor is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Else the visitor's own.
    pub protocol: Option<WebProtocol>,
    /// Else the visitor's own.
    pub host: Option<String>,
    /// The key there, not yet encoded.
    pub key: String,
    /// The status that says so.
    pub status: u16,
}

/// What a rule without a status says.
const STATUS_DEFAULT: u16 = 301;

impl Website {
    /// Checks it as S3 does.
    pub fn check(&self) -> Result<()> {
        let (index, error, rules) = match self {
            Self::RedirectAll { host, .. } => return check_host(host),
            Self::Documents { index, error, rules } => (index, error, rules),
        };
        if index.is_empty() || index.contains('/') {
            let detail = "The IndexDocument Suffix is not well formed";
            return Err(Error::InvalidArgument { name: "IndexDocument", detail });
        }
        if error.as_ref().is_some_and(String::is_empty) {
            let detail = "The ErrorDocument Key is not well formed";
            return Err(Error::InvalidArgument { name: "ErrorDocument", detail });
        }
        if rules.len() > ROUTING_RULES_MAX {
            let detail = format!(
                "The number of routing rules must not exceed allowed limit of {ROUTING_RULES_MAX} rules."
            );
            return Err(invalid(detail));
        }
        rules.iter().try_for_each(RoutingRule::check)
    }

    /// Where a visitor of this key is sent: before it is looked up, or with the status that it failed with.
    pub fn redirect(&self, key: &str, failed: Option<u16>) -> Option<Redirect> {
        match self {
            Self::RedirectAll { host, protocol } => Some(Redirect {
                protocol: *protocol,
                host: Some(host.clone()),
                key: key.to_owned(),
                status: STATUS_DEFAULT,
            }),
            Self::Documents { rules, .. } => {
                rules.iter().find(|rule| rule.applies(key, failed)).map(|rule| rule.target(key))
            }
        }
    }
}

impl RoutingRule {
    fn check(&self) -> Result<()> {
        if let Some(condition) = &self.condition {
            if *condition == RoutingCondition::default() {
                return Err(invalid(
                    "Condition cannot be empty. To redirect all requests without a condition, the condition element \
                     shouldn't be present.",
                ));
            }
            if let Some(code) = condition.error.filter(|code| !(400..600).contains(code)) {
                let detail = format!(
                    "The provided HTTP error code ({code}) is not valid. Valid codes are 4XX or 5XX."
                );
                return Err(invalid(detail));
            }
        }
        if let Some(code) = self.redirect.status.filter(|code| !(301..400).contains(code)) {
            let detail = format!(
                "The provided HTTP redirect code ({code}) is not valid. Valid codes are 3XX except 300."
            );
            return Err(invalid(detail));
        }
        if self.redirect == RoutingRedirect::default() {
            return Err(invalid("The redirect of a routing rule must not be empty."));
        }
        self.redirect.host.as_deref().map_or(Ok(()), check_host)
    }

    fn applies(&self, key: &str, failed: Option<u16>) -> bool {
        let Some(condition) = &self.condition else { return failed.is_none() };
        condition.error == failed && condition.prefix.as_ref().is_none_or(|prefix| key.starts_with(prefix))
    }

    fn target(&self, key: &str) -> Redirect {
        let RoutingRedirect { protocol, host, key: change, status } = &self.redirect;
        let prefix = self.condition.as_ref().and_then(|condition| condition.prefix.as_deref());
        let key = match change {
            KeyChange::None => key.to_owned(),
            KeyChange::Whole(new) => new.clone(),
            KeyChange::Prefix(new) => {
                format!("{new}{}", key.strip_prefix(prefix.unwrap_or_default()).unwrap_or(key))
            }
        };
        Redirect { protocol: *protocol, host: host.clone(), key, status: status.unwrap_or(STATUS_DEFAULT) }
    }
}

fn put_text(out: &mut RecordWriter, text: Option<&String>) {
    out.u8(u8::from(text.is_some()));
    if let Some(text) = text {
        out.text(text);
    }
}

fn get_flag(fields: &mut RecordReader<'_>) -> engine::Result<bool> {
    match fields.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(fields.corrupt(format!("flag {other}"))),
    }
}

fn get_text(fields: &mut RecordReader<'_>) -> engine::Result<Option<String>> {
    Ok(if get_flag(fields)? { Some(fields.text()?.to_owned()) } else { None })
}

fn put_protocol(out: &mut RecordWriter, protocol: Option<WebProtocol>) {
    out.u8(match protocol {
        None => 0,
        Some(WebProtocol::Http) => 1,
        Some(WebProtocol::Https) => 2,
    });
}

fn get_protocol(fields: &mut RecordReader<'_>) -> engine::Result<Option<WebProtocol>> {
    match fields.u8()? {
        0 => Ok(None),
        1 => Ok(Some(WebProtocol::Http)),
        2 => Ok(Some(WebProtocol::Https)),
        other => Err(fields.corrupt(format!("protocol {other}"))),
    }
}

/// A status, 0 for none.
fn get_status(fields: &mut RecordReader<'_>) -> engine::Result<Option<u16>> {
    let number = u16::from_le_bytes(fields.fixed()?);
    Ok((number != 0).then_some(number))
}

impl RoutingRule {
    fn encode(&self, out: &mut RecordWriter) {
        out.u8(u8::from(self.condition.is_some()));
        if let Some(condition) = &self.condition {
            put_text(out, condition.prefix.as_ref());
            out.fixed(&condition.error.unwrap_or(0).to_le_bytes());
        }
        let RoutingRedirect { protocol, host, key, status } = &self.redirect;
        put_protocol(out, *protocol);
        put_text(out, host.as_ref());
        match key {
            KeyChange::None => out.u8(0),
            KeyChange::Prefix(new) => out.u8(1).text(new),
            KeyChange::Whole(new) => out.u8(2).text(new),
        };
        out.fixed(&status.unwrap_or(0).to_le_bytes());
    }

    fn decode(fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let condition = if get_flag(fields)? {
            Some(RoutingCondition { prefix: get_text(fields)?, error: get_status(fields)? })
        } else {
            None
        };
        let (protocol, host) = (get_protocol(fields)?, get_text(fields)?);
        let key = match fields.u8()? {
            0 => KeyChange::None,
            1 => KeyChange::Prefix(fields.text()?.to_owned()),
            2 => KeyChange::Whole(fields.text()?.to_owned()),
            other => return Err(fields.corrupt(format!("change of key {other}"))),
        };
        let redirect = RoutingRedirect { protocol, host, key, status: get_status(fields)? };
        Ok(Self { condition, redirect })
    }
}

impl Record for Website {
    const NAME: &'static str = "website";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        match self {
            Self::RedirectAll { host, protocol } => {
                out.u8(0).text(host);
                put_protocol(out, *protocol);
            }
            Self::Documents { index, error, rules } => {
                out.u8(1).text(index);
                put_text(out, error.as_ref());
                out.count(rules.len());
                for rule in rules {
                    rule.encode(out);
                }
            }
        }
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        match fields.u8()? {
            0 => Ok(Self::RedirectAll { host: fields.text()?.to_owned(), protocol: get_protocol(fields)? }),
            1 => {
                let (index, error) = (fields.text()?.to_owned(), get_text(fields)?);
                let count = fields.count()?;
                let rules = (0..count).map(|_| RoutingRule::decode(fields)).collect::<engine::Result<_>>()?;
                Ok(Self::Documents { index, error, rules })
            }
            other => Err(fields.corrupt(format!("kind of website {other}"))),
        }
    }
}

impl Setting for Website {
    const KIND: SettingKind = SettingKind::Website;
}

#[cfg(test)]
mod tests {
    use super::{KeyChange, RoutingCondition, RoutingRedirect, RoutingRule, WebProtocol, Website};

    fn rule(prefix: Option<&str>, error: Option<u16>, redirect: RoutingRedirect) -> RoutingRule {
        let condition = RoutingCondition { prefix: prefix.map(str::to_owned), error };
        RoutingRule { condition: (prefix.is_some() || error.is_some()).then_some(condition), redirect }
    }

    fn to(key: KeyChange) -> RoutingRedirect {
        RoutingRedirect { key, ..RoutingRedirect::default() }
    }

    fn site(rules: Vec<RoutingRule>) -> Website {
        Website::Documents { index: "index.html".into(), error: None, rules }
    }

    #[test]
    fn the_first_rule_that_applies_sends_on() {
        let host =
            RoutingRedirect { host: Some("h".into()), status: Some(307), ..RoutingRedirect::default() };
        let website = site(vec![
            rule(Some("docs/"), None, to(KeyChange::Prefix("documents/".into()))),
            rule(Some("images/"), Some(404), host),
            rule(None, Some(404), to(KeyChange::Whole("missing.html".into()))),
        ]);
        let sent = |key, failed| website.redirect(key, failed).map(|to| (to.key, to.host, to.status));
        assert_eq!(sent("docs/a", None), Some(("documents/a".into(), None, 301)));
        assert_eq!(sent("images/a", None), None);
        assert_eq!(sent("images/a", Some(404)), Some(("images/a".into(), Some("h".into()), 307)));
        assert_eq!(sent("x", Some(404)), Some(("missing.html".into(), None, 301)));
        assert_eq!(sent("x", Some(403)), None);
        let all = Website::RedirectAll { host: "h".into(), protocol: Some(WebProtocol::Https) };
        let sent = all.redirect("a/b", None).unwrap();
        assert_eq!((sent.key.as_str(), sent.host.as_deref(), sent.status), ("a/b", Some("h"), 301));
    }

    #[test]
    fn websites_are_checked_as_s3_checks_them() {
        let status = |code| RoutingRedirect { status: Some(code), ..to(KeyChange::None) };
        let empty = RoutingRule {
            condition: Some(RoutingCondition::default()),
            redirect: to(KeyChange::Whole("a".into())),
        };
        for (website, words) in [
            (site(vec![rule(None, None, status(300))]), "redirect code (300) is not valid"),
            (site(vec![rule(None, None, status(200))]), "redirect code (200) is not valid"),
            (site(vec![rule(None, Some(304), status(301))]), "error code (304) is not valid"),
            (site(vec![rule(Some("a"), None, to(KeyChange::None))]), "must not be empty"),
            (site(vec![empty]), "Condition cannot be empty"),
            (site(vec![rule(None, None, status(302)); 51]), "allowed limit of 50 rules"),
            (
                Website::Documents { index: "a/b".into(), error: None, rules: vec![] },
                "Suffix is not well formed",
            ),
            (
                Website::Documents { index: "a".into(), error: Some(String::new()), rules: vec![] },
                "Key is not",
            ),
        ] {
            let error = website.check().unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        site(vec![rule(None, None, status(302)); 50]).check().unwrap();
        assert!(WebProtocol::parse("ftp").is_err() && WebProtocol::parse("HTTPS").is_ok());
    }
}
