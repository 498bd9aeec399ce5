//! One call, as `CloudTrail` records it. The fields are those of "`CloudTrail` record contents" of its user guide, in its version 1.11.
//!
//! What a door knows of a call it hands over as JSON that it has chosen field by field; what every record has is added in `render.rs`, which bounds
//! it too.

use super::selector::Facets;
use super::who;
use crate::{AccountId, Principal};
use engine::clock::Timestamp;
use serde_json::{Map, Value, json};
use std::borrow::Cow;

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
            user: json!({ "type": SERVICE, "invokedBy": SOURCE }),
            failure: None,
            fields,
        }
    }

    /// What a service did by itself with something of an account, as its own events are told: `details` say what. Source: "AWS service events" of
    /// the `CloudTrail` user guide.
    pub fn of_service(
        (account, at): (AccountId, Timestamp),
        (source, name): (&'static str, &'static str),
        resource: Resource,
        details: Value,
    ) -> Self {
        let mut event = Self::of_itself(account, at, name, Value::Null);
        event.fields.remove("additionalEventData");
        for said in ["sourceIPAddress", "userAgent"] {
            event.fields.insert(said.to_owned(), json!(source));
        }
        event.fields.insert("serviceEventDetails".to_owned(), details);
        let user = json!({ "type": SERVICE, "accountId": account.to_string(), "invokedBy": source });
        Self { source, user, resources: vec![resource], ..event }
    }

    /// Whether a service did it by itself, and nobody asked.
    pub(super) fn is_of_service(&self) -> bool {
        self.user["type"] == SERVICE
    }

    /// Whether the trail says it of itself.
    pub(super) fn is_own(&self) -> bool {
        self.is_of_service() && self.source == SOURCE
    }

    /// The trail that it stopped or ended, as it was named: that is the last which such a trail takes.
    pub(super) fn ends(&self) -> Option<&str> {
        let ends = self.source == SOURCE && matches!(&*self.name, "StopLogging" | "DeleteTrail");
        (ends && !self.denied && self.failure.is_none())
            .then(|| self.fields.get("requestParameters")?.get("name")?.as_str())?
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

    /// What selectors look at.
    pub(super) fn facets(&self) -> Facets<'_> {
        Facets {
            category: self.category,
            denied: self.denied,
            read_only: self.read_only,
            source: self.source,
            name: &self.name,
            resource: self.resources.first().map(|first| (first.kind, first.arn.as_str())),
            user: self.user.get("arn").and_then(Value::as_str).unwrap_or_default(),
            is_own: self.is_own(),
            ends: self.ends(),
        }
    }
}

/// What is said of who asked where a service did something by itself.
const SERVICE: &str = "AWSService";

/// Who writes records, as services are called.
pub(super) const SOURCE: &str = "cloudtrail.amazonaws.com";

/// A text as long as a record has it.
pub fn bounded(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or(text)
}
