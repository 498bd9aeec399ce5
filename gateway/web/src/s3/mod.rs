//! The S3 door: one request from its head to its answer.
//!
//! ```text
//!   head ─► bounds ─► authenticate ─► route ─► admit ─► refused headers ─► operation ─► answer
//!                                                                             │
//!   body ───────────────────────────── read only from here on (100-continue) ─┘
//! ```
//!
//! Invariants: no byte of a body is asked for before its request is authenticated and allowed (but for the
//! fields of a form, which say who asks); every answer carries its
//! request id; a body that was not read to its end either is (when short) or closes the connection.

mod access;
mod acl;
mod audited;
mod code;
mod context;
pub(crate) mod cors;
mod customer;
mod error;
mod guard;
mod headers;
mod hoist;
mod late;
pub(crate) mod lifecycle;
mod log_operation;
mod logged;
mod managed;
mod mime_word;
mod operation;
mod operation_keys;
mod ops;
mod percent;
mod query;
mod request_id;
mod route;
mod target;
mod website;

pub(crate) use audited::{Audited, may_need_record};
pub(crate) use error::S3Error;
pub(crate) use late::Late;
pub(crate) use logged::Logged;
pub(crate) use operation_keys::actions;
pub(crate) use target::names_bucket;

use crate::budget::Sender;
use crate::config::Config;
// Operations know these by their names here.
use crate::exchange::contained;
use crate::http::{
    AccessLine, Answer, Pace, Record, RequestBody, answer, body, check_head, date, host, name_host,
};
use crate::server::{Gone, Peer, Refused, Standing};
use crate::state::State;
use crate::xml::Element;
use access::{Asker, Asking};
use answer::{set, set_amz};
use audited::{Batch, Noted};
use bytes::Bytes;
use context::Signed;
use cors::Page;
use http::header::{CONNECTION, CONTENT_TYPE, DATE, SERVER};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, request};
use hyper::body::Incoming;
use logged::Notes;
use objectstore::{ListWish, Origin, Writer};
use operation::Operation;
use query::Query;
use request_id::RequestId;
use security::Principal;
use security::credentials::AccessKeyId;
use security::sigv4::{Authenticated, Policy, RequestHead, authenticate};
use serde_json::Value;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use target::Target;

/// Reads lifecycle rules as S3's document has them; those without a name are called by their places. The error is S3's code and message.
pub fn read_lifecycle(document: &[u8]) -> Result<objectstore::Lifecycle, String> {
    let mut place = 0_u32;
    let name = || {
        place += 1;
        format!("rule-{place}")
    };
    let root = Element::parse(document).map_err(S3Error::from);
    let read = root.and_then(|root| lifecycle::read(&root, name));
    read.map_err(|error| format!("{}: {}", error.code(), error.message()))
}

/// A request that may go on: everything an operation needs besides the body.
#[derive(Clone)]
pub(crate) struct Call {
    config: Arc<Config>,
    state: Arc<State>,
    head: Arc<request::Parts>,
    target: Target,
    query: Arc<Query>,
    operation: Operation,
    asker: Asker,
    signed: Signed,
    owner_id: OnceLock<String>,
    /// Whose key signed a form; known once its fields are read.
    form_key: OnceLock<AccessKeyId>,
    /// Who that is, and the key that they name.
    form_asker: OnceLock<(Principal, String)>,
    /// The key that a form claims to be signed with.
    form_claimed: OnceLock<String>,
    /// What became of single keys, where the trail wants to know it.
    batch: OnceLock<Box<Batch>>,
    /// The document that says who may from now on.
    rules: OnceLock<Box<Value>>,
    host: String,
    /// Who sends it, as far as the connection knows.
    peer: Peer,
    id: RequestId,
    /// What the bucket's log wants to know.
    notes: Option<Notes>,
}

impl Call {
    /// Tells the bucket's log, where there is one.
    fn note(&self, tell: impl FnOnce(&Notes)) {
        if let Some(notes) = &self.notes {
            tell(notes);
        }
    }

    /// Tells the trail which document says who may from now on.
    fn tells(&self, name: &'static str, document: impl FnOnce() -> Value) {
        let _set_once = self.rules.set(Box::new(serde_json::json!({ name: document() })));
    }

    /// Where a change that this request makes comes from.
    fn origin(&self) -> Origin {
        Origin {
            principal: Some(self.asker.principal.clone()),
            source: Some(self.peer.ip),
            request_id: self.id.to_bytes(),
            host_id: Arc::clone(&self.state.host_id),
            by_form: self.operation == Operation::PostObject,
        }
    }

    /// The canonical id of the bucket's owner, made once.
    fn owner_id(&self) -> &str {
        self.owner_id.get_or_init(|| self.asker.owner.canonical_user_id())
    }

    /// Who writes, and the access list that the headers ask for, if no policy denies it and a user's own let it.
    async fn writer(&self) -> Result<Writer, S3Error> {
        let list = acl::wish(self)?;
        if list != ListWish::Default {
            let action = Operation::PutObjectAcl.action();
            let decision = self.decision(&self.asker.question.about(action, None)).await?;
            self.asker.may_share(decision, &self.target)?;
        }
        Ok(Writer { by: Some(self.asker.principal.canonical_user()), list })
    }
}

/// What is known of a request however far it came; the error document and the access log are made of it.
struct Trace {
    id: RequestId,
    method: Method,
    path: String,
    target: Target,
    operation: Option<Operation>,
    access_key_id: Option<String>,
    started: std::time::Duration,
    /// The host is a website's: errors are pages.
    website: bool,
    /// Where the bucket is logged: what its record has of it so far.
    logged: Option<Box<Logged>>,
    /// What the audit trail may want to know.
    noted: Noted,
    /// It goes on whatever becomes of its client.
    finishes: bool,
}

impl Trace {
    fn begin(state: &State, head: &request::Parts, peer: Peer, finishes: bool) -> Self {
        Self {
            id: RequestId::random(&*state.entropy),
            method: head.method.clone(),
            path: head.uri.path().to_owned(),
            target: Target::default(),
            operation: None,
            access_key_id: None,
            started: state.clock.boottime(),
            website: false,
            logged: None,
            noted: Noted::of(peer),
            finishes,
        }
    }

    /// Takes down what the operation found out of who asks, and of what it did.
    fn hear(&mut self, call: Call) {
        if let Some(key) = call.form_key.get() {
            self.access_key_id = Some(key.as_str().to_owned());
        }
        (self.noted.batch, self.noted.rules) = (call.batch.into_inner(), call.rules.into_inner());
        if let Some((principal, key)) = call.form_asker.into_inner() {
            (self.noted.principal, self.noted.key) = (Some(principal), Some(key));
        } else if let Some(claimed) = call.form_claimed.into_inner() {
            // Whose form it is said to be, and could not be proven.
            (self.noted.principal, self.noted.claimed) = (None, Some(claimed));
        }
    }

    /// What is recorded once the answer is out.
    fn end(
        self,
        state: Arc<State>,
        (status, code): (StatusCode, &'static str),
        audited: Option<Box<Audited>>,
    ) -> Record {
        Record {
            audited,
            service: None,
            request_id: self.id.to_string(),
            operation: self.operation.map_or("Unknown", Operation::name),
            method: self.method,
            path: self.path,
            status,
            code,
            access_key_id: self.access_key_id,
            started: self.started,
            sent: 0,
            is_open: false,
            logged: self.logged,
            state,
        }
    }

    fn notes(&self) -> Option<Notes> {
        self.logged.as_ref().map(|logged| logged.notes.clone())
    }
}

/// Answers one request.
///
/// With `gone` it is one that may need a record: it goes on when its client goes, and a panic has a record, too.
pub(crate) async fn handle(
    (config, state): (Arc<Config>, Arc<State>),
    (peer, standing, gone): (Peer, Standing, Option<Gone>),
    request: Request<Incoming>,
) -> Answer {
    let (mut head, incoming) = request.into_parts();
    name_host(&mut head);
    let finishes = gone.is_some();
    let mut trace = Trace::begin(&state, &head, peer, finishes);
    let (version, visitor) = (head.version, Page::of(&head.method, &head.headers));
    let pace = Pace::new(state.clock.clone(), &config.limits);
    let mut body =
        RequestBody::new(incoming, &head.headers, Sender::at(peer.ip), pace, state.metrics.bytes_in.clone());
    let (mut outcome, panicked) = match gone {
        Some(gone) => {
            body.may_outlive(gone);
            let run = Box::pin(run(config, state.clone(), (head, peer), &mut body, &mut trace));
            contained(run, S3Error::broken).await
        }
        None => (run(config, state.clone(), (head, peer), &mut body, &mut trace).await, false),
    };
    // Before anything more is waited for of the client.
    if let Some(kept) = audited::kept(&state, &trace, &outcome) {
        let keeping = Box::pin(audited::keep(state.clone(), kept));
        let kept = if finishes { keeping.await } else { standing.finish(Gone::default(), keeping).await };
        if let Err(trouble) = kept {
            outcome = Err(S3Error::unrecorded(trouble));
        }
    }
    let reusable = !panicked && body.settle().await;
    let (mut answer, code, denied) = match outcome {
        Ok(answer) => (answer, "", false),
        Err(error) => {
            let denied = error.is_denial();
            let (answer, code) = render(&state, &trace, error);
            (answer, code, denied)
        }
    };
    if let Some(page) = visitor.filter(|_| trace.method != Method::OPTIONS && trace.target.bucket.is_some()) {
        cors::decorate(&state, &trace.target, &page, answer.headers_mut()).await;
    }
    finish_head(&state, &trace, &mut answer, reusable, version);
    if let Some(logged) = &mut trace.logged {
        let (received, now) = (body.last_at().unwrap_or(trace.started), state.clock.boottime());
        logged.answered((trace.operation, trace.website), &answer, received, now);
    }
    let audited = if state.audit.takes_data() {
        let answered = (answer.status(), answer.headers());
        Box::pin(audited::of_data(&state, &mut trace, answered, (code, denied))).await
    } else {
        None
    };
    let record = trace.end(state, (answer.status(), code), audited);
    answer.body_mut().record(record);
    answer
}

/// What a request is, before anything is asked about it.
enum Begun {
    /// Of a website.
    Visit { host: String },
    /// Of a browser, for another request.
    Preflight,
    /// Of S3.
    Call { host: String, query: Arc<Query>, who: Authenticated },
}

/// Bounds, target, signature.
fn begin(
    (config, state): (&Config, &Arc<State>),
    (head, peer): (&mut request::Parts, Peer),
    body: &mut RequestBody,
    trace: &mut Trace,
) -> Result<Begun, S3Error> {
    check_head(head, &config.limits)?;
    let host = host(head)?.to_owned();
    if let Some(bucket) = target::website_bucket(&host, &config.website_domains) {
        trace.website = true;
        trace.target = Target::of_website(bucket, head.uri.path())?;
        trace.logged = Logged::of(state, head, &trace.target, peer);
        return Ok(Begun::Visit { host });
    }
    trace.target = Target::parse(&host, head.uri.path(), &config.base_domains)?;
    trace.logged = Logged::of(state, head, &trace.target, peer);
    if trace.logged.is_some() {
        body.keep_time(trace.started);
    }
    let query = Arc::new(Query::parse(head.uri.query().unwrap_or_default())?);
    trace.noted.query = Some(Arc::clone(&query));
    if head.method == Method::OPTIONS {
        trace.operation = Some(Operation::CorsPreflight);
        return Ok(Begun::Preflight);
    }
    let who = verify(state, head, &query)?;
    Ok(Begun::Call { host, query, who })
}

async fn run(
    config: Arc<Config>,
    state: Arc<State>,
    (mut head, peer): (request::Parts, Peer),
    body: &mut RequestBody,
    trace: &mut Trace,
) -> Result<Answer, S3Error> {
    let begun = begin((&config, &state), (&mut head, peer), body, trace);
    let head = Arc::new(head);
    trace.noted.head = Some(Arc::clone(&head));
    let (host, query, who) = match begun? {
        Begun::Visit { host } => {
            let (target, id, notes) = (trace.target.clone(), trace.id, trace.notes());
            let visit = website::Visit { config, state, head, target, host, peer, notes, id };
            return Box::pin(visit.answer(&mut trace.noted.turned)).await;
        }
        Begun::Preflight => return cors::preflight(&state, &trace.target, &head.headers).await,
        Begun::Call { host, query, who } => (host, query, who),
    };
    if let Authenticated::Signed(signed) = &who {
        trace.access_key_id = Some(signed.access_key_id.as_str().to_owned());
    }
    let copies = head.headers.contains_key("x-amz-copy-source");
    let operation = route::route(&head.method, &trace.target, &query, copies)?;
    trace.operation = Some(operation);
    ops::name_restores(operation, &mut trace.target, &query);
    debug_assert!(trace.finishes || !audited::has_record(operation), "{} is finished", operation.name());
    if operation == Operation::PostObject && matches!(who, Authenticated::Signed(_)) {
        let message = "A form is signed by its policy, not by its request.";
        return Err(S3Error::with(code::Code::AccessDenied, message));
    }
    let principal =
        who.principal(&*state.credentials).await.map_err(|refused| S3Error::from(refused).refusing())?;
    trace.noted.principal = Some(principal.clone());
    let notes = trace.notes().inspect(|notes| notes.principal(principal.clone()));
    let (signed, target, part_of) = (Signed::of(&who), &mut trace.target, None);
    let asking = Asking { principal, operation, target, query: &query, head: &head, signed, peer, part_of };
    let asker = access::admit(&state, asking).await?;
    trace.noted.owner = Some(asker.owner);
    if let Some(notes) = &notes {
        asker.note(&state, operation, &trace.target, notes).await;
    }
    guard::check_headers(&head, asker.owner)?;
    managed::check(operation, &head.headers)?;
    match &who {
        Authenticated::Signed(signed) => body.expect_signed(signed, &head.headers)?,
        Authenticated::Anonymous => body.expect_unsigned(&head.headers)?,
    }
    let (target, owner_id, form_key, id) = (trace.target.clone(), OnceLock::new(), OnceLock::new(), trace.id);
    let (form_asker, form_claimed) = (OnceLock::new(), OnceLock::new());
    let (batch, rules) = (OnceLock::new(), OnceLock::new());
    let call = Call {
        config,
        state,
        head,
        target,
        query,
        operation,
        asker,
        signed,
        owner_id,
        form_key,
        form_asker,
        form_claimed,
        batch,
        rules,
        host,
        peer,
        id,
        notes,
    };
    // Of a form it is not known yet who asks.
    let charged = operation != Operation::PostObject && ops::charged(&call).await?;
    let outcome = ops::dispatch(&call, body).await;
    trace.hear(call);
    let mut answer = outcome?;
    if charged {
        ops::tell_charged(answer.headers_mut());
    }
    Ok(answer)
}

/// Who asks. What the URL carries of headers is among them from then on.
fn verify(state: &State, head: &mut request::Parts, of_url: &Query) -> Result<Authenticated, S3Error> {
    let request = RequestHead {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers: &head.headers,
    };
    let policy = Policy::new(&state.region, state.clock.now(), &state.signing_keys);
    let who = authenticate(&request, &*state.credentials, &policy);
    let who = who.map_err(|refused| S3Error::from(refused).refusing())?;
    hoist::hoist(&mut head.headers, of_url)?;
    Ok(who)
}

/// The error as its document; HEAD and 304 have none.
fn render(state: &State, trace: &Trace, error: S3Error) -> (Answer, &'static str) {
    let Target { bucket, key, .. } = &trace.target;
    let error = error.about(bucket.as_deref(), key.as_deref(), &state.region);
    error.failed().log(state, trace.id.as_str(), trace.operation.map_or("Unknown", Operation::name));
    let bare = trace.method == Method::HEAD || error.status() == StatusCode::NOT_MODIFIED;
    let mut answer = if bare {
        answer::empty(error.status())
    } else if trace.website {
        website::page(&error, trace.id.as_str(), &state.host_id)
    } else {
        let document = error.document(&trace.target.resource(), trace.id.as_str(), &state.host_id);
        answer::xml(error.status(), document)
    };
    answer.headers_mut().extend(error.headers().clone());
    // Whoever may not look into a bucket is told where it is all the same, as S3 does: SDKs ask for it unsigned.
    if error.names() == code::Names::Region || trace.operation == Some(Operation::HeadBucket) {
        set_amz(answer.headers_mut(), "x-amz-bucket-region", &state.region);
    }
    (answer, error.code())
}

/// The answer to what never became a request, and to a request whose handling broke off: S3's words for a bare status.
pub(crate) fn refuse(state: &State, refused: Refused) -> Response<Bytes> {
    let error = match refused {
        Refused::Status(StatusCode::URI_TOO_LONG) => S3Error::new(code::Code::RequestURITooLong),
        Refused::Status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) => {
            S3Error::new(code::Code::RequestHeaderSectionTooLarge)
        }
        Refused::Status(StatusCode::UPGRADE_REQUIRED) => S3Error::with(
            code::Code::BadRequest,
            "This port speaks TLS, and the request came in plain HTTP: use https://.",
        ),
        Refused::Status(status) if status.is_server_error() => S3Error::new(code::Code::InternalError),
        Refused::Status(_) => S3Error::new(code::Code::BadRequest),
        Refused::LengthTooLarge => S3Error::with(
            code::Code::BadRequest,
            "An error occurred when parsing the HTTP request: its Content-Length is more than any body can have.",
        ),
    };
    let id = RequestId::random(&*state.entropy);
    let document = error.document("/", id.as_str(), &state.host_id);
    let mut answer: Response<Bytes> = Response::new(document.into());
    *answer.status_mut() = error.status();
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    set_amz(headers, "x-amz-request-id", id.as_str());
    set_amz(headers, "x-amz-id-2", &state.host_id);
    set(headers, SERVER, "firn");
    set(headers, DATE, &date::http(state.clock.now()));
    state.tell_debug_day(headers);
    state.metrics.answered("Unknown", error.status());
    AccessLine {
        request_id: id.as_str(),
        operation: "Unknown",
        method: None,
        path: None,
        status: error.status(),
        code: error.code(),
        access_key_id: None,
        sent: answer.body().len() as u64,
        took: Duration::ZERO,
    }
    .write();
    answer
}

fn finish_head(state: &State, trace: &Trace, answer: &mut Answer, reusable: bool, version: Version) {
    let headers = answer.headers_mut();
    set_amz(headers, "x-amz-request-id", trace.id.as_str());
    set_amz(headers, "x-amz-id-2", &state.host_id);
    set(headers, SERVER, "firn");
    state.tell_debug_day(headers);
    // On HTTP/2 a stream ends by itself, and with it what was not read of the body.
    if version == Version::HTTP_10 || (!reusable && version == Version::HTTP_11) {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
}
