//! One call, as `CloudTrail` records it. The fields are those of "`CloudTrail` record contents" of its user guide, in its version 1.11.
//!
//! What a door knows of a call it hands over as JSON that it has chosen field by field; what every record has is added here. A record that
//! would be larger than a row holds goes without its parameters and says so.

use super::who;
use crate::{AccountId, AmzDate, Principal};
use engine::clock::Timestamp;
use engine::entropy::Entropy;
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// The version of the fields.
const VERSION: &str = "1.11";
/// Bytes of a record at the most: it is a row's value.
pub(super) const RECORD_BYTES_MAX: usize = 60 << 10;
/// Bytes of a text in a record at the most, but for parameters.
const TEXT_BYTES_MAX: usize = 1_024;

/// Which kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Of what is configured and managed.
    Management,
    /// Of what is stored.
    Data,
}

/// What a call is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// `AWS::S3::Object`
    pub kind: &'static str,
    /// Its name.
    pub arn: String,
    /// Whose it is, if that is known.
    pub account: Option<AccountId>,
}

/// How a call ended that did not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// `AccessDenied`
    pub code: String,
    /// What the client was told, where that holds nothing of what it sent.
    pub message: Option<String>,
}

/// One call.
#[derive(Clone, Debug)]
pub struct Event {
    /// Whose record it is: the account of who asked.
    pub account: AccountId,
    /// The accounts that own what was asked for: each other one has a record of its own.
    pub also: Vec<AccountId>,
    /// When it ended.
    pub at: Timestamp,
    /// Which kind.
    pub category: Category,
    /// It was refused for want of a right, or of a good signature.
    pub denied: bool,
    /// It changes nothing.
    pub read_only: bool,
    /// `s3.amazonaws.com`
    pub source: &'static str,
    /// `CreateBucket`
    pub name: Cow<'static, str>,
    /// What it was about; selectors look at the first.
    pub resources: Vec<Resource>,
    /// Who asked, as the record has it.
    pub user: Value,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// The fields that the door fills in: `requestParameters` and so on.
    pub fields: Map<String, Value>,
}

impl Event {
    /// Who asked, as a record has it; `key` signed.
    pub fn user_identity(principal: &Principal, key: Option<&str>) -> Value {
        who::identity(principal, key)
    }

    /// What the appliance says of itself.
    pub(super) fn of_itself(account: AccountId, at: Timestamp, name: &'static str, said: Value) -> Self {
        let fields = Map::from_iter([
            ("sourceIPAddress".to_owned(), json!(SOURCE)),
            ("userAgent".to_owned(), json!(SOURCE)),
            ("requestParameters".to_owned(), Value::Null),
            ("responseElements".to_owned(), Value::Null),
            ("additionalEventData".to_owned(), said),
        ]);
        Self {
            account,
            also: Vec::new(),
            at,
            category: Category::Management,
            denied: false,
            read_only: false,
            source: SOURCE,
            name: name.into(),
            resources: Vec::new(),
            user: json!({ "type": "AWSService", "invokedBy": SOURCE }),
            failure: None,
            fields,
        }
    }

    /// Whether the appliance says it of itself.
    pub(super) fn is_own(&self) -> bool {
        self.user["type"] == "AWSService"
    }

    /// Whose records there are of it, each once.
    pub fn accounts(&self) -> Vec<AccountId> {
        let mut accounts = vec![self.account];
        for also in &self.also {
            if !accounts.contains(also) {
                accounts.push(*also);
            }
        }
        accounts
    }

    /// The records of it, one for each account: the same but for whose they are.
    pub(super) fn records(&self, region: &str, entropy: &dyn Entropy) -> Vec<(AccountId, String)> {
        let accounts = self.accounts();
        let shared = (accounts.len() > 1).then(|| uuid(entropy));
        accounts
            .into_iter()
            .map(|account| {
                let id = uuid(entropy);
                (account, self.render(account, region, (&id, shared.as_deref())))
            })
            .collect()
    }

    fn render(&self, account: AccountId, region: &str, (id, shared): (&str, Option<&str>)) -> String {
        let mut record = self.fields.clone();
        let management = self.category == Category::Management;
        let mut put = |name: &str, value: Value| {
            record.insert(name.to_owned(), value);
        };
        put("eventVersion", json!(VERSION));
        put("userIdentity", self.user.clone());
        put("eventTime", json!(AmzDate::from_timestamp(self.at).extended()));
        put("eventSource", json!(self.source));
        put("eventName", json!(bounded(&self.name)));
        put("awsRegion", json!(region));
        put("eventID", json!(id));
        put("readOnly", json!(self.read_only));
        put("eventType", json!(if self.is_own() { "AwsServiceEvent" } else { "AwsApiCall" }));
        put("managementEvent", json!(management));
        put("eventCategory", json!(if management { "Management" } else { "Data" }));
        put("recipientAccountId", json!(account.to_string()));
        if let Some(shared) = shared {
            put("sharedEventID", json!(shared));
        }
        if let Some(Failure { code, message }) = &self.failure {
            put("errorCode", json!(bounded(code)));
            if let Some(message) = message {
                put("errorMessage", json!(bounded(message)));
            }
        }
        if !self.resources.is_empty() {
            let resources = self.resources.iter().map(|resource| {
                // What a listing is about is all that begins so.
                let is_prefix = resource.kind == "AWS::S3::Object" && resource.arn.ends_with('/');
                let mut shown = json!({ "type": resource.kind });
                shown[if is_prefix { "ARNPrefix" } else { "ARN" }] = resource.arn.as_str().into();
                if let Some(account) = resource.account {
                    shown["accountId"] = account.to_string().into();
                }
                shown
            });
            put("resources", resources.collect());
        }
        let text = Value::Object(record.clone()).to_string();
        if text.len() <= RECORD_BYTES_MAX {
            return text;
        }
        let omitted =
            json!({ "omitted": true, "originalSize": text.len(), "reason": "the record would be too large" });
        for name in ["requestParameters", "responseElements", "additionalEventData"] {
            if record.get(name).is_some_and(|value| !value.is_null()) {
                record.insert(name.to_owned(), omitted.clone());
            }
        }
        Value::Object(record).to_string()
    }
}

/// Who writes records, as services are called.
pub(super) const SOURCE: &str = "cloudtrail.amazonaws.com";

/// A text as long as a record has it.
pub fn bounded(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or(text)
}

/// A random UUID.
fn uuid(entropy: &dyn Entropy) -> String {
    let mut bytes = [0; 16];
    entropy.fill_id(&mut bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let text = hex::encode(bytes);
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
}
