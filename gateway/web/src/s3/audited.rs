//! What the audit trail has of a request to S3. Management calls, and what is denied, are kept before the answer; what is done with objects is
//! noted when the answer is out, and only where a trail takes it: without one a request costs the look whether there is any.
//!
//! ```text
//!   outcome ─► Draft: what the request says ─► whose key, bucket, source is it? ─┬─ keep: before the answer
//!                                                                               └─ Audited ─► note: of it, of each key of a batch,
//!                                                                                             of what a copy read of another account's
//! ```

use super::error::S3Error;
use super::operation::{Kind, Operation};
use super::query::Query;
use super::{Trace, ops, route, target};
use crate::audit::{self, Seen, Told, allow};
use crate::config::Config;
use crate::failure::Trouble;
use crate::http::{Answer, Record};
use crate::server::Peer;
use crate::state::State;
use crate::xml::Element;
use http::{HeaderMap, Method, Request, StatusCode, request};
use objectstore::{BucketName, ObjectKey};
use security::audit::{Category, Event, Failure, Resource, bounded};
use security::{AccountId, Arn, Principal};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// What is known of a request that a record may want.
pub(super) struct Noted {
    peer: Peer,
    pub(super) head: Option<Arc<request::Parts>>,
    pub(super) query: Option<Arc<Query>>,
    pub(super) principal: Option<Principal>,
    /// The key that a form claims to be signed with, and could not prove.
    pub(super) claimed: Option<String>,
    /// Whose the bucket is.
    pub(super) owner: Option<AccountId>,
    /// The key that a form names.
    pub(super) key: Option<String>,
    /// What a website showed a page for.
    pub(super) turned: Option<Turned>,
    /// What became of single keys.
    pub(super) batch: Option<Box<Batch>>,
    /// The document that says who may from now on, by its name.
    pub(super) rules: Option<Box<Value>>,
}

impl Noted {
    pub(super) const fn of(peer: Peer) -> Self {
        Self {
            peer,
            head: None,
            query: None,
            principal: None,
            claimed: None,
            owner: None,
            key: None,
            turned: None,
            batch: None,
            rules: None,
        }
    }
}

/// An error that a website shows a page for, or redirects for: its answer went well.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turned {
    status: StatusCode,
    code: &'static str,
    denied: bool,
}

impl Turned {
    pub(super) fn of(error: &S3Error) -> Self {
        Self { status: error.status(), code: error.code(), denied: error.is_denial() }
    }

    const fn told(&self) -> Told<'static> {
        Told { denied: self.denied, status: self.status, code: self.code, message: "" }
    }
}

/// Keys that a denial of a batch names, and their bytes.
const DENIED_KEYS_MAX: usize = 100;
const DENIED_BYTES_MAX: usize = 8 << 10;
/// Bytes of a document in a record's parameters.
const RULES_BYTES_MAX: usize = 16 << 10;

/// What became of the keys of one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    /// A trail takes data events, so that each is told apart.
    all: bool,
    each: Vec<Single>,
    denied: Vec<String>,
    denied_bytes: usize,
    denials: u64,
}

#[derive(Clone, Debug)]
struct Single {
    key: String,
    version: Option<String>,
    code: &'static str,
}

impl Batch {
    /// That of a request whose keys are deleted.
    pub(super) fn new(state: &State) -> Self {
        Self { all: state.audit.takes_data(), ..Self::default() }
    }

    /// One that has denials alone.
    pub(super) fn of_denials() -> Self {
        Self::default()
    }

    /// A key is done with: `ended` by that code, if it was refused, and whether for want of a right.
    pub(super) fn add(&mut self, (key, version): (&str, Option<&str>), ended: Option<(&'static str, bool)>) {
        if self.all {
            let (key, version) =
                (bounded(key).to_owned(), version.map(|version| audit::short(version).to_owned()));
            self.each.push(Single { key, version, code: ended.map_or("", |(code, _)| code) });
        }
        if ended.is_some_and(|(_, denied)| denied) {
            self.denials += 1;
            let key = bounded(key);
            if self.denied.len() < DENIED_KEYS_MAX && self.denied_bytes + key.len() <= DENIED_BYTES_MAX {
                self.denied_bytes += key.len();
                self.denied.push(key.to_owned());
            }
        }
    }
}

/// What buckets and objects are called as resources.
const BUCKET: &str = "AWS::S3::Bucket";
const OBJECT: &str = "AWS::S3::Object";

impl Trace {
    fn key(&self) -> Option<&str> {
        self.noted.key.as_deref().or(self.target.key.as_deref())
    }
}

/// Whether a request may need a record, whatever it comes to: it is one about a bucket or the account, a trail takes data events, it has an archive's
/// entries, or it is a website's. What is asked of an object alone needs one only if it is denied.
pub(crate) fn may_need_record<B>((config, state): &(Arc<Config>, Arc<State>), request: &Request<B>) -> bool {
    let path = request.uri().path();
    // A path of a bucket in the host has no more slashes than this one; what is taken for too much costs an allocation.
    let names_object =
        path.get(1..).and_then(|rest| rest.split_once('/')).is_some_and(|(_, key)| !key.is_empty());
    let of_website = || {
        let host = request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(|| request.uri().authority().map(http::uri::Authority::as_str));
        host.is_some_and(|host| target::website_bucket(host, &config.website_domains).is_some())
    };
    state.audit.takes_data()
        || !names_object
        || request.headers().contains_key(ops::AUTO_EXTRACT)
        || (!config.website_domains.is_empty() && of_website())
}

/// Whether an operation has a record even if it goes well and no trail selects it.
pub(super) fn has_record(operation: Operation) -> bool {
    operation != Operation::CorsPreflight && !is_of_data(operation)
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
        Op::GetBucketAccelerateConfiguration => "GetAccelerateConfiguration",
        Op::GetBucketLifecycleConfiguration => "GetBucketLifecycle",
        Op::GetBucketNotificationConfiguration => "GetBucketNotification",
        Op::GetObjectLockConfiguration => "GetBucketObjectLockConfiguration",
        Op::GetPublicAccessBlock => "GetBucketPublicAccessBlock",
        Op::ListObjectsV2 => "ListObjects",
        Op::PutBucketAccelerateConfiguration => "PutAccelerateConfiguration",
        Op::PutBucketLifecycleConfiguration => "PutBucketLifecycle",
        Op::PutBucketNotificationConfiguration => "PutBucketNotification",
        Op::PutObjectLockConfiguration => "PutBucketObjectLockConfiguration",
        Op::PutPublicAccessBlock => "PutBucketPublicAccessBlock",
        other => other.name(),
    }
}

/// How it ended. Where single keys were denied, that is the end that has to have a record.
fn told<'a>(trace: &Trace, outcome: &'a Result<Answer, S3Error>) -> Told<'a> {
    match outcome {
        Err(error) => Told {
            denied: error.is_denial(),
            status: error.status(),
            code: error.code(),
            message: error.message(),
        },
        Ok(_) if trace.noted.batch.as_ref().is_some_and(|batch| batch.denials > 0) => {
            Told { denied: true, status: StatusCode::OK, code: "AccessDenied", message: "" }
        }
        Ok(_) => trace.noted.turned.as_ref().map_or(Told::WELL, Turned::told),
    }
}

/// What is to be kept of a request before its answer, if anything.
pub(super) fn kept(state: &State, trace: &Trace, outcome: &Result<Answer, S3Error>) -> Option<Draft> {
    let told = told(trace, outcome);
    let must = match trace.operation {
        Some(Operation::CorsPreflight) => false,
        Some(operation) if !is_of_data(operation) => true,
        _ => told.denied,
    };
    if !must {
        return None;
    }
    let answered = outcome.as_ref().ok().map(Answer::headers);
    let mut draft = draft(state, trace, (told, answered))?;
    if let Some(batch) = trace.noted.batch.as_deref().filter(|batch| batch.denials > 0 && outcome.is_ok()) {
        let said = draft.event.fields.entry("additionalEventData").or_insert_with(|| json!({}));
        said["deniedKeys"] = batch.denied.clone().into();
        said["deniedCount"] = batch.denials.into();
    }
    Some(draft)
}

/// Keeps it. Without it the request must not be answered.
pub(super) async fn keep(state: Arc<State>, draft: Draft) -> Result<(), Trouble> {
    let status = draft.status;
    let (mut event, read) = draft.complete(&state).await;
    if let Some(Read { owner, resources }) = read {
        event.also.push(owner);
        event.resources.extend(resources);
    }
    audit::settle(&state, event, status).await
}

/// A request of which there will be a record once its answer is out.
pub(crate) struct Audited {
    event: Event,
    /// What a copy reads, if its owner has no record of the copy otherwise.
    read: Option<Read>,
    /// One for each key of a batch.
    each: Vec<Event>,
}

/// What is noted of a request that is about data, if a trail takes any.
pub(super) async fn of_data(
    state: &State,
    trace: &mut Trace,
    (status, head): (StatusCode, &HeaderMap),
    (code, denied): (&str, bool),
) -> Option<Box<Audited>> {
    let told = match &trace.noted.turned {
        Some(turned) if code.is_empty() => turned.told(),
        _ => Told { denied, status, code, message: "" },
    };
    let is_kept = trace.operation.is_some_and(|operation| !is_of_data(operation)) || told.denied;
    if is_kept || (trace.operation.is_none() && !trace.website) {
        return None;
    }
    let draft = draft(state, trace, (told, Some(head)))?;
    let (event, read) = draft.complete(state).await;
    let read = read.filter(|read| !event.accounts().contains(&read.owner));
    let (batch, bucket) = (trace.noted.batch.take(), trace.target.bucket().ok());
    let singles = batch.map(|batch| batch.each).unwrap_or_default();
    let each = singles
        .into_iter()
        .zip(std::iter::repeat(bucket))
        .filter_map(|(single, bucket)| Some(of_key(&event, bucket?.as_str(), single)));
    let each = each.collect();
    Some(Box::new(Audited { event, read, each }))
}

/// What a trail has of one key of a `DeleteObjects`. Its denial is in the history with the others of its request.
fn of_key(of: &Event, bucket: &str, Single { key, version, code }: Single) -> Event {
    let mut event = of.clone();
    let object = Resource { kind: OBJECT, arn: Arn::object(bucket, &key).to_string(), account: None };
    let others = event.resources.drain(..).filter(|resource| resource.kind == BUCKET);
    event.resources = std::iter::once(object).chain(others).collect();
    event.name = "DeleteObject".into();
    event.failure = (!code.is_empty()).then(|| Failure { code: code.to_owned(), message: None });
    let mut parameters = json!({ "bucketName": bucket, "key": key });
    if let Some(version) = version {
        parameters["versionId"] = version.into();
    }
    event.fields.insert("requestParameters".to_owned(), parameters);
    event
}

/// What the client is not there to be told.
const DISCONNECTED: &str = "ClientDisconnected";

impl Audited {
    /// Hands it over: the answer is out.
    pub(crate) fn note(self, record: &Record) {
        let Self { mut event, read, each } = self;
        event.at = record.state.clock.now();
        let code = if record.is_open { DISCONNECTED } else { record.code };
        if !code.is_empty() {
            let denied = event.denied || code == "AccessDenied";
            let told = Told { denied, status: record.status, code, message: "" };
            (event.failure, event.denied) = (told.failure(), denied);
        }
        if let Some(said) = event.fields.get_mut("additionalEventData") {
            said["bytesTransferredOut"] = record.sent.into();
        }
        if let Some(Read { owner, resources }) = read {
            // Selectors of its trails look at what is theirs.
            let mut event = event.clone();
            (event.account, event.also) = (owner, Vec::new());
            event.resources.splice(0..0, resources);
            record.state.audit.note(event);
        }
        let at = event.at;
        record.state.audit.note(event);
        for single in each {
            record.state.audit.note(Event { at, ..single });
        }
    }
}

/// What a copy reads.
struct Read {
    owner: AccountId,
    resources: Vec<Resource>,
}

/// A record before it is known whose keys and buckets it is about.
pub(super) struct Draft {
    event: Event,
    status: StatusCode,
    principal: Option<Principal>,
    /// What signed, or is claimed to.
    key: Option<String>,
    /// Whose the bucket is, if that is known; and else its name.
    owner: Option<AccountId>,
    bucket: Option<BucketName>,
    source: Option<(BucketName, ObjectKey)>,
}

impl Draft {
    /// Looks up who that is. Who is refused does not come as far as to be told whose the bucket is; its owner has a record of it all the same.
    async fn complete(self, state: &State) -> (Event, Option<Read>) {
        let Self { mut event, principal, key, mut owner, bucket, source, .. } = self;
        if let (None, Some(bucket)) = (owner, bucket) {
            owner = state.store.bucket_owner(&bucket).await.ok();
        }
        (event.user, event.account) = audit::who(state, principal.as_ref(), key.as_deref()).await;
        let is_known = principal.as_ref().and_then(Principal::account).is_some()
            || event.user["accountId"].as_str().is_some_and(|account| account == event.account.to_string());
        if let Some(owner) = owner {
            if !is_known {
                event.account = owner;
            }
            event.also = vec![owner];
            let buckets = event.resources.iter_mut().filter(|of| of.kind == BUCKET);
            buckets.for_each(|of| of.account = Some(owner));
        }
        let Some((bucket, key)) = source else { return (event, None) };
        let Ok(owner) = state.store.bucket_owner(&bucket).await else { return (event, None) };
        let object = Arn::object(bucket.as_str(), key.as_str()).to_string();
        let resources = vec![
            Resource { kind: OBJECT, arn: object, account: None },
            Resource { kind: BUCKET, arn: Arn::bucket(bucket.as_str()).to_string(), account: Some(owner) },
        ];
        (event, Some(Read { owner, resources }))
    }
}

fn draft(state: &State, trace: &Trace, (told, answered): (Told<'_>, Option<&HeaderMap>)) -> Option<Draft> {
    let noted = &trace.noted;
    let head = noted.head.as_deref()?;
    let copies = head.headers.contains_key("x-amz-copy-source");
    // Whose signature is not good is told so before it is known what was asked for.
    let routed = || route::route(&trace.method, &trace.target, noted.query.as_deref()?, copies).ok();
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
    let anonymous = trace.website.then_some(Principal::Anonymous);
    let principal = noted.principal.clone().or(anonymous);
    let claimed = || noted.claimed.clone().or_else(|| audit::claimed(head));
    let key = trace.access_key_id.clone().or_else(|| if principal.is_none() { claimed() } else { None });
    let event = Event {
        account: state.account,
        also: Vec::new(),
        at: state.clock.now(),
        category: if is_of_data { Category::Data } else { Category::Management },
        denied: told.denied,
        read_only,
        source: "s3.amazonaws.com",
        name: called.into(),
        resources: resources(trace, is_of_data),
        user: Value::Null,
        failure: told.failure(),
        fields,
    };
    let is_copy = matches!(operation, Some(Operation::CopyObject | Operation::UploadPartCopy));
    let source = ops::copied(&head.headers).filter(|_| is_copy).map(|(bucket, key, _)| (bucket, key));
    let bucket = trace.target.bucket().ok();
    Some(Draft { event, status: told.status, principal, key, owner: noted.owner, bucket, source })
}

fn parameters(trace: &Trace, head: &request::Parts) -> Value {
    let mut shown = Map::new();
    let mut put = |name: &str, value: &str| {
        shown.insert(name.to_owned(), json!(bounded(value)));
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
    for (name, document) in trace.noted.rules.as_deref().and_then(Value::as_object).into_iter().flatten() {
        let size = document.to_string().len();
        let omitted = || json!({ "omitted": true, "originalSize": size });
        let document = if size > RULES_BYTES_MAX { omitted() } else { document.clone() };
        shown.insert(name.clone(), document);
    }
    Value::Object(shown)
}

/// An access list as it was sent: elements by their names, those that stand more than once as a list.
pub(super) fn of_list(element: &Element) -> Value {
    if element.children().is_empty() {
        return element.leaf().map_or(Value::Null, |text| json!(bounded(text)));
    }
    let mut members = Map::new();
    for child in element.children() {
        let value = of_list(child);
        match members.get_mut(child.name()) {
            None => drop(members.insert(child.name().to_owned(), value)),
            Some(Value::Array(items)) => items.push(value),
            Some(first) => *first = json!([first.take(), value]),
        }
    }
    Value::Object(members)
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
    // What is no name of a bucket is nothing that there could be a record about.
    let Ok(bucket) = trace.target.bucket() else { return Vec::new() };
    let arn = Arn::bucket(bucket.as_str()).to_string();
    let of_bucket = Resource { kind: BUCKET, arn, account: None };
    if !is_of_data {
        return vec![of_bucket];
    }
    let arn = match trace.key() {
        Some(key) => Arn::object(bucket.as_str(), bounded(key)).to_string(),
        None => format!("{}/", Arn::bucket(bucket.as_str())),
    };
    vec![Resource { kind: OBJECT, arn, account: None }, of_bucket]
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
