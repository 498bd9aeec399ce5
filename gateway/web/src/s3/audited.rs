//! What the audit trail has of a request to S3. Management calls, and what is denied, are kept before the answer; what is done with objects is
//! noted when the answer is out, and only where a trail takes it: without one a request costs the look whether there is any.

use super::error::S3Error;
use super::operation::{Kind, Operation};
use super::query::Query;
use super::{Trace, route};
use crate::audit::{self, Seen, Told, allow};
use crate::failure::Trouble;
use crate::http::{Answer, Record};
use crate::server::Peer;
use crate::state::State;
use http::{HeaderMap, Method, StatusCode, request};
use security::audit::{Category, Event, Resource};
use security::{AccountId, Arn, Principal};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// What is known of a request that a record may want.
pub(super) struct Noted {
    peer: Peer,
    pub(super) head: Option<Arc<request::Parts>>,
    pub(super) query: Option<Arc<Query>>,
    pub(super) principal: Option<Principal>,
    /// Whose the bucket is.
    pub(super) owner: Option<AccountId>,
    /// The key that a form names.
    pub(super) key: Option<String>,
}

impl Noted {
    pub(super) const fn of(peer: Peer) -> Self {
        Self { peer, head: None, query: None, principal: None, owner: None, key: None }
    }
}

/// A request of which there will be a record.
pub(crate) struct Audited {
    event: Event,
    status: StatusCode,
}

/// What buckets are called as resources.
const BUCKET: &str = "AWS::S3::Bucket";

impl Trace {
    fn key(&self) -> Option<&str> {
        self.noted.key.as_deref().or(self.target.key.as_deref())
    }
}

/// Whether an operation is about what is stored. Source: "Amazon S3 object-level actions that are tracked by AWS `CloudTrail` logging" of the
/// S3 user guide.
fn is_of_data(operation: Operation) -> bool {
    use Operation as Op;
    operation.kind() == Kind::Object
        || matches!(
            operation,
            Op::HeadBucket
                | Op::ListMultipartUploads
                | Op::ListObjectVersions
                | Op::ListObjects
                | Op::ListObjectsV2
        )
}

/// As records call it.
fn name(operation: Operation) -> &'static str {
    use Operation as Op;
    match operation {
        Op::DeletePublicAccessBlock => "DeleteBucketPublicAccessBlock",
        Op::GetBucketLifecycleConfiguration => "GetBucketLifecycle",
        Op::GetBucketNotificationConfiguration => "GetBucketNotification",
        Op::GetPublicAccessBlock => "GetBucketPublicAccessBlock",
        Op::ListObjectsV2 => "ListObjects",
        Op::PutBucketLifecycleConfiguration => "PutBucketLifecycle",
        Op::PutBucketNotificationConfiguration => "PutBucketNotification",
        Op::PutPublicAccessBlock => "PutBucketPublicAccessBlock",
        other => other.name(),
    }
}

fn told(outcome: &Result<Answer, S3Error>) -> Told<'_> {
    match outcome {
        Ok(_) => Told::WELL,
        Err(error) => Told { status: error.status(), code: error.code(), message: error.message() },
    }
}

/// Whether there has to be a record before the answer.
fn must_keep(trace: &Trace, outcome: &Result<Answer, S3Error>) -> bool {
    match trace.operation {
        Some(Operation::CorsPreflight) => false,
        Some(operation) if !is_of_data(operation) => true,
        _ => outcome.as_ref().is_err_and(|_| told(outcome).is_denial()),
    }
}

/// What is to be kept of a request before its answer, if anything.
pub(super) fn kept(state: &State, trace: &Trace, outcome: &Result<Answer, S3Error>) -> Option<Audited> {
    if !must_keep(trace, outcome) {
        return None;
    }
    let told = told(outcome);
    let answered = outcome.as_ref().ok().map(Answer::headers);
    let event = event(state, trace, (told, answered))?;
    Some(Audited { event, status: told.status })
}

/// Keeps it. Without it the request must not be answered.
pub(super) async fn keep(
    state: &State,
    trace: &Trace,
    Audited { mut event, status }: Audited,
) -> Result<(), Trouble> {
    // Who is refused does not come as far as to be told whose the bucket is; its owner has a record of it all the same.
    if trace.noted.owner.is_none()
        && let Ok(bucket) = trace.target.bucket()
        && let Ok(owner) = state.store.bucket_owner(&bucket).await
    {
        if trace.noted.principal.as_ref().and_then(Principal::account).is_none() {
            event.account = owner;
        }
        event.also = Some(owner);
        event.resources.iter_mut().filter(|of| of.kind == BUCKET).for_each(|of| of.account = Some(owner));
    }
    audit::settle(state, event, status).await
}

/// What is noted of a request that is about data, if a trail takes any.
pub(super) fn of_data(state: &State, trace: &Trace, answer: &Answer, code: &str) -> Option<Box<Audited>> {
    if !state.audit.takes_data() {
        return None;
    }
    let told = Told { status: answer.status(), code, message: "" };
    let is_kept = trace.operation.is_some_and(|operation| !is_of_data(operation)) || told.is_denial();
    if is_kept || (trace.operation.is_none() && !trace.website) {
        return None;
    }
    let event = event(state, trace, (told, Some(answer.headers())))?;
    Some(Box::new(Audited { event, status: told.status }))
}

impl Audited {
    /// Hands it over: the answer is out.
    pub(crate) fn note(self, record: &Record) {
        let mut event = self.event;
        event.at = record.state.clock.now();
        let told = Told { status: record.status, code: record.code, message: "" };
        event.failure = told.failure();
        if let Some(said) = event.fields.get_mut("additionalEventData") {
            said["bytesTransferredOut"] = record.sent.into();
        }
        record.state.audit.note(event);
    }
}

fn event(state: &State, trace: &Trace, (told, answered): (Told<'_>, Option<&HeaderMap>)) -> Option<Event> {
    let noted = &trace.noted;
    let head = noted.head.as_deref()?;
    let copies = head.headers.contains_key("x-amz-copy-source");
    // Whose signature is not good is told so before it is known what was asked for.
    let routed = || {
        let query = Query::parse(head.uri.query().unwrap_or_default()).ok()?;
        route::route(&trace.method, &trace.target, &query, copies).ok()
    };
    let operation = trace.operation.or_else(|| if trace.website { None } else { routed() });
    let called = match operation {
        Some(operation) => name(operation),
        None if trace.website && trace.method == Method::HEAD => "HeadObject",
        None if trace.website => "GetObject",
        None => "Unknown",
    };
    let is_of_data = operation.is_none_or(is_of_data);
    let seen = Seen::of(&head.headers, noted.peer);
    let mut fields = seen.fields(trace.id.as_str());
    fields.insert("requestParameters".to_owned(), parameters(trace, head));
    let read_only = audit::reads(called);
    let elements =
        answered.filter(|_| !read_only).map(audit::answered).filter(|elements| !elements.is_empty());
    fields.insert("responseElements".to_owned(), elements.map_or(Value::Null, Value::Object));
    fields.insert("additionalEventData".to_owned(), additional(state, head));
    let anonymous = trace.website.then_some(&Principal::Anonymous);
    let principal = noted.principal.as_ref().or(anonymous);
    let (user, mut account) = audit::who(state, principal, trace.access_key_id.as_deref());
    if principal.and_then(Principal::account).is_none() {
        account = noted.owner.unwrap_or(account);
    }
    Some(Event {
        account,
        also: noted.owner,
        at: state.clock.now(),
        category: if is_of_data { Category::Data } else { Category::Management },
        denied: told.is_denial(),
        read_only,
        source: "s3.amazonaws.com",
        name: called.into(),
        resources: resources(trace, is_of_data),
        user,
        failure: told.failure(),
        fields,
    })
}

fn parameters(trace: &Trace, head: &request::Parts) -> Value {
    let mut shown = Map::new();
    let mut put = |name: &str, value: &str| {
        shown.insert(name.to_owned(), json!(security::audit::bounded(value)));
    };
    if let Some(bucket) = &trace.target.bucket {
        put("bucketName", bucket);
    }
    if let Some(key) = trace.key() {
        put("key", key);
    }
    if let Some(host) = head.headers.get(http::header::HOST) {
        put("Host", &String::from_utf8_lossy(host.as_bytes()));
    }
    for (name, value) in trace.noted.query.iter().flat_map(|query| query.pairs()) {
        if allow::QUERIES.contains(&name) {
            put(name, value);
        }
    }
    for name in allow::HEADERS {
        if let Some(value) = head.headers.get(*name) {
            put(name, &String::from_utf8_lossy(value.as_bytes()));
        }
    }
    Value::Object(shown)
}

fn additional(state: &State, head: &request::Parts) -> Value {
    let mut said = json!({ "x-amz-id-2": &*state.host_id });
    let query = head.uri.query().unwrap_or_default();
    let place = if head.headers.contains_key(http::header::AUTHORIZATION) {
        Some("AuthHeader")
    } else {
        query.contains("X-Amz-Signature=").then_some("QueryString")
    };
    if let Some(place) = place {
        said["SignatureVersion"] = "SigV4".into();
        said["AuthenticationMethod"] = place.into();
    }
    said
}

fn resources(trace: &Trace, is_of_data: bool) -> Vec<Resource> {
    let Some(bucket) = trace.target.bucket.as_deref() else { return Vec::new() };
    let of_bucket =
        Resource { kind: BUCKET, arn: Arn::bucket(bucket).to_string(), account: trace.noted.owner };
    if !is_of_data {
        return vec![of_bucket];
    }
    let arn = match trace.key() {
        Some(key) => Arn::object(bucket, key).to_string(),
        None => format!("{}/", Arn::bucket(bucket)),
    };
    vec![Resource { kind: "AWS::S3::Object", arn, account: None }, of_bucket]
}

#[cfg(test)]
mod tests {
    use super::{allow, audit, is_of_data, name, route};
    use crate::s3::operation::{Kind, Operation as Op};

    #[test]
    fn every_operation_is_recorded_by_what_selects_it_and_as_what_it_is() {
        for selects in route::sub_resources() {
            assert!(allow::QUERIES.contains(&selects), "{selects} is written");
        }
        let changes = ["Abort", "Complete", "Copy", "Create", "Delete", "Post", "Put", "Rename", "Restore"];
        for operation in Op::ALL {
            let called = name(*operation);
            if changes.iter().any(|begin| called.starts_with(begin)) {
                assert!(!audit::reads(called), "{called}");
            }
            assert!(operation.kind() != Kind::Object || is_of_data(*operation), "{called}");
        }
        for (operation, of_data, read) in [
            (Op::RestoreObject, true, false),
            (Op::GetObject, true, true),
            (Op::SelectObjectContent, true, true),
            (Op::UploadPartCopy, true, false),
            (Op::ListObjectsV2, true, true),
            (Op::PutBucketLifecycleConfiguration, false, false),
            (Op::GetBucketPolicy, false, true),
            (Op::ListBuckets, false, true),
            (Op::CreateBucket, false, false),
        ] {
            let called = name(operation);
            assert_eq!((is_of_data(operation), audit::reads(called)), (of_data, read), "{called}");
        }
    }
}
