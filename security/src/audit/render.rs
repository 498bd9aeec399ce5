//! A record's text, and its bounds: whatever an event holds, it fits into a row, and into the share of a history that it may have.
//!
//! An event is rendered once, by the task of the call that it is of, without what differs between the accounts that have it: that is put in front
//! when it is written. Where it is too large, parameters go first, then resources, then what else the door said, the user agent among it.

use super::event::{Category, Event, Failure, Resource};
use super::selector::Facets;
use crate::{AccountId, AmzDate};
use aws_lc_rs::digest;
use engine::clock::Timestamp;
use engine::entropy::Entropy;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

/// The version of the fields.
const VERSION: &str = "1.11";
/// Bytes of a record at the most: it is a row's value.
pub(super) const RECORD_BYTES_MAX: usize = 60 << 10;
/// Bytes of a record in the history at the most.
pub(super) const HISTORY_BYTES_MAX: usize = 8 << 10;
/// Bytes that an account's own members take.
const OWN_BYTES: usize = 256;
/// Bytes of names and codes, of messages, and of ARNs, as JSON has them.
const NAME_BYTES_MAX: usize = 256;
const MESSAGE_BYTES_MAX: usize = 2_048;
const ARN_BYTES_MAX: usize = 2_304;
/// Bytes of who asked.
const USER_BYTES_MAX: usize = 4 << 10;
/// What is bounded together, the largest first.
const PARAMETERS: [&str; 3] = ["requestParameters", "responseElements", "additionalEventData"];
/// Other members that a door may say.
const SAID_MAX: usize = 32;

/// How much a record may hold.
struct Bounds {
    parameters: usize,
    resources: usize,
    record: usize,
}

const OF_TRAILS: Bounds =
    Bounds { parameters: 48 << 10, resources: 16 << 10, record: RECORD_BYTES_MAX - OWN_BYTES };
const OF_HISTORY: Bounds =
    Bounds { parameters: 4 << 10, resources: 2_560, record: HISTORY_BYTES_MAX - OWN_BYTES };

/// Who a record is of, as shares of a history go: a principal, or the address of nobody known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Caller(pub(super) u64);

impl Caller {
    fn new(who: &str, is_known: bool) -> Self {
        let hash = digest::digest(&digest::SHA256, who.as_bytes());
        let bytes = hash.as_ref().first_chunk().copied().unwrap_or_default();
        Self(u64::from_le_bytes(bytes) & !1 | u64::from(is_known))
    }

    /// It has proved who it is.
    pub(super) fn is_known(self) -> bool {
        self.0 & 1 == 1
    }

    /// Of nobody known the address is told too. Names of sessions are chosen by who asks: the role counts.
    fn of(event: &Event) -> (Self, Option<String>) {
        if event.is_of_service() {
            return (Self::new(event.source, true), None);
        }
        let user = &event.user;
        let known = user["sessionContext"]["sessionIssuer"]["arn"].as_str().or_else(|| user["arn"].as_str());
        if let Some(arn) = known {
            return (Self::new(arn, true), None);
        }
        let address = event.fields.get("sourceIPAddress").and_then(Value::as_str).unwrap_or_default();
        let address = match address.parse() {
            // Whoever has one has all of these.
            Ok(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
            Ok(address) => address.to_string(),
            Err(_) => super::bounded(address).to_owned(),
        };
        (Self::new(&address, false), Some(address))
    }
}

/// A call as it waits for its commit.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug)]
pub(super) struct Rendered {
    pub(super) account: AccountId,
    also: Vec<AccountId>,
    pub(super) at: Timestamp,
    pub(super) category: Category,
    pub(super) denied: bool,
    read_only: bool,
    source: &'static str,
    name: Cow<'static, str>,
    resource: Option<(&'static str, String)>,
    user: String,
    pub(super) is_own: bool,
    ends: Option<String>,
    pub(super) caller: Caller,
    /// Where nobody known asked from.
    pub(super) address: Option<String>,
    /// Not in the history.
    pub(super) for_trails_alone: bool,
    /// Accounts whose trails are spared it.
    pub(super) spared: Vec<AccountId>,
    /// Members of the record.
    full: String,
    /// As the history has them, if that is less.
    brief: Option<String>,
}

impl Rendered {
    pub(super) fn new(event: Event, region: &str) -> Self {
        let (caller, address) = Caller::of(&event);
        let members = Members::of(&event, region);
        let full = members.within(&event.resources, &OF_TRAILS);
        let brief = members.within(&event.resources, &OF_HISTORY);
        let ends = event.ends().map(|name| super::bounded(name).to_owned());
        let user = event.user.get("arn").and_then(Value::as_str).map(super::bounded).unwrap_or_default();
        let resource = event.resources.first();
        Self {
            also: event.accounts().split_off(1),
            account: event.account,
            at: event.at,
            category: event.category,
            denied: event.denied,
            read_only: event.read_only,
            source: event.source,
            resource: resource.map(|first| (first.kind, cut(&first.arn, ARN_BYTES_MAX).to_owned())),
            user: user.to_owned(),
            is_own: event.is_own(),
            ends,
            caller,
            address,
            for_trails_alone: false,
            spared: Vec::new(),
            brief: (brief != full).then_some(brief),
            full,
            name: match event.name {
                Cow::Owned(name) => cut(&name, NAME_BYTES_MAX).to_owned().into(),
                name @ Cow::Borrowed(_) => name,
            },
        }
    }

    /// Whose it is.
    pub(super) fn accounts(&self) -> impl Iterator<Item = AccountId> + use<'_> {
        std::iter::once(self.account).chain(self.also.iter().copied())
    }

    /// Bytes that it takes while it waits.
    pub(super) fn size(&self) -> usize {
        let brief = self.brief.as_ref().map_or(0, String::len);
        let resource = self.resource.as_ref().map_or(0, |(_, arn)| arn.len());
        size_of::<Self>() + self.full.len() + brief + resource + self.user.len()
    }

    /// What selectors look at.
    pub(super) fn facets(&self) -> Facets<'_> {
        Facets {
            category: self.category,
            denied: self.denied,
            read_only: self.read_only,
            source: self.source,
            name: &self.name,
            resource: self.resource.as_ref().map(|(kind, arn)| (*kind, arn.as_str())),
            user: &self.user,
            is_own: self.is_own,
            ends: self.ends.as_deref(),
        }
    }

    /// The records of it, one for each account: as trails have it, and as the history has it if that is less. The same but for whose they are.
    pub(super) fn records(&self, entropy: &dyn Entropy) -> Vec<(AccountId, String, Option<String>)> {
        let shared = (!self.also.is_empty()).then(|| uuid(random(entropy)));
        let of = |account| {
            let id = uuid(random(entropy));
            let put = |members: &String| framed(members, account, (&id, shared.as_deref()));
            (account, put(&self.full), self.brief.as_ref().map(put))
        };
        self.accounts().map(of).collect()
    }

    /// The record of an account, by an id that is known.
    pub(super) fn record(&self, id: [u8; 16]) -> String {
        framed(&self.full, self.account, (&uuid(id), None))
    }
}

fn framed(members: &str, account: AccountId, (id, shared): (&str, Option<&str>)) -> String {
    let shared = shared.map(|id| format!("\"sharedEventID\":\"{id}\",")).unwrap_or_default();
    format!("{{\"eventID\":\"{id}\",\"recipientAccountId\":\"{account}\",{shared}{members}}}")
}

/// Members of a record, by name, as JSON.
#[derive(Clone)]
struct Members {
    texts: BTreeMap<Cow<'static, str>, String>,
    /// Those that the door said, in the order in which they go where there is no room.
    said: Vec<String>,
}

impl Members {
    fn of(event: &Event, region: &str) -> Self {
        let management = event.category == Category::Management;
        let mut texts = BTreeMap::new();
        let mut put = |name: &'static str, value: Value| texts.insert(Cow::Borrowed(name), value.to_string());
        put("eventVersion", json!(VERSION));
        put("eventTime", json!(AmzDate::from_timestamp(event.at).extended()));
        put("eventSource", json!(event.source));
        put("eventName", json!(cut(&event.name, NAME_BYTES_MAX)));
        put("awsRegion", json!(region));
        put("readOnly", json!(event.read_only));
        put("eventType", json!(if event.is_of_service() { "AwsServiceEvent" } else { "AwsApiCall" }));
        put("managementEvent", json!(management));
        put("eventCategory", json!(if management { "Management" } else { "Data" }));
        if let Some(Failure { code, message }) = &event.failure {
            put("errorCode", json!(cut(code, NAME_BYTES_MAX)));
            if let Some(message) = message {
                put("errorMessage", json!(cut(super::bounded(message), MESSAGE_BYTES_MAX)));
            }
        }
        let (user, length) = text_within(&event.user, USER_BYTES_MAX);
        texts.insert("userIdentity".into(), user);
        if length > USER_BYTES_MAX {
            let kind = cut(event.user["type"].as_str().unwrap_or("Unknown"), NAME_BYTES_MAX);
            texts.insert("userIdentity".into(), json!({ "type": kind, "omitted": true }).to_string());
        }
        let mut said = Vec::new();
        for (name, value) in &event.fields {
            let is_name =
                name.len() <= NAME_BYTES_MAX && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if is_name && said.len() < SAID_MAX && !texts.contains_key(name.as_str()) {
                texts.insert(name.clone().into(), text_within(value, RECORD_BYTES_MAX).0);
                if !PARAMETERS.contains(&name.as_str()) {
                    said.push(name.clone());
                }
            }
        }
        said.sort_by_key(|name| name != "userAgent");
        Self { texts, said }
    }

    fn length(&self) -> usize {
        self.texts.iter().map(|(name, text)| name.len() + text.len() + 4).sum()
    }

    /// The members' text, without braces.
    fn within(&self, resources: &[Resource], bounds: &Bounds) -> String {
        let mut kept = self.clone();
        kept.omit(bounds.parameters);
        if let Some(shown) = shown(resources, bounds.resources) {
            kept.texts.insert("resources".into(), shown);
        }
        if kept.length() > bounds.record {
            kept.omit(0);
        }
        for name in std::iter::once("resources").chain(self.said.iter().map(String::as_str)) {
            if kept.length() <= bounds.record {
                break;
            }
            kept.texts.remove(name);
        }
        let members = kept.texts.iter().map(|(name, text)| format!("\"{name}\":{text}"));
        members.collect::<Vec<_>>().join(",")
    }

    /// Says of parameters that they are too large, the largest first, until the others are no longer than this.
    fn omit(&mut self, most: usize) {
        loop {
            let there = PARAMETERS.iter().filter_map(|name| {
                let text = self.texts.get(*name).filter(|text| !is_brief(text))?;
                Some((text.len(), *name))
            });
            let length = there.clone().map(|(length, _)| length).sum::<usize>();
            let Some((size, name)) = there.max().filter(|_| length > most) else { break };
            let omitted =
                json!({ "omitted": true, "originalSize": size, "reason": "the record would be too large" });
            self.texts.insert(name.into(), omitted.to_string());
        }
    }
}

/// What is not worth leaving out.
fn is_brief(text: &str) -> bool {
    text == "null" || (text.len() < 128 && text.starts_with("{\"omitted\":true,\"originalSize\":"))
}

/// As many of them as there is room for.
fn shown(resources: &[Resource], most: usize) -> Option<String> {
    let mut text = String::new();
    for resource in resources {
        // What a listing is about is all that begins so.
        let is_prefix = resource.kind == "AWS::S3::Object" && resource.arn.ends_with('/');
        let mut shown = json!({ "type": resource.kind });
        shown[if is_prefix { "ARNPrefix" } else { "ARN" }] = cut(&resource.arn, ARN_BYTES_MAX).into();
        if let Some(account) = resource.account {
            shown["accountId"] = account.to_string().into();
        }
        let shown = shown.to_string();
        if text.len() + shown.len() + 3 > most {
            break;
        }
        text.push(if text.is_empty() { '[' } else { ',' });
        text.push_str(&shown);
    }
    (!text.is_empty()).then(|| text + "]")
}

/// The beginning of a text that is no longer than this as JSON.
fn cut(text: &str, most: usize) -> &str {
    let mut length = 2;
    for (at, letter) in text.char_indices() {
        length += match letter {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            '\0'..='\u{1f}' => 6,
            letter => letter.len_utf8(),
        };
        if length > most {
            return text.get(..at).unwrap_or_default();
        }
    }
    text
}

/// A value's text if it is no longer than this, and how long it is.
fn text_within(value: &Value, most: usize) -> (String, usize) {
    struct Bounded {
        text: Vec<u8>,
        length: usize,
        most: usize,
    }
    impl io::Write for Bounded {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.length += bytes.len();
            if self.length <= self.most {
                self.text.extend_from_slice(bytes);
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut out = Bounded { text: Vec::new(), length: 0, most };
    let written = serde_json::to_writer(&mut out, value);
    if written.is_err() || out.length > most {
        let omitted =
            json!({ "omitted": true, "originalSize": out.length, "reason": "the record would be too large" });
        return (omitted.to_string(), out.length);
    }
    (String::from_utf8(out.text).unwrap_or_default(), out.length)
}

fn random(entropy: &dyn Entropy) -> [u8; 16] {
    let mut bytes = [0; 16];
    entropy.fill_id(&mut bytes);
    bytes
}

/// A UUID of chance.
fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let text = hex::encode(bytes);
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
}
