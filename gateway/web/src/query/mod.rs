//! The door of services that speak AWS's query protocol: IAM and STS. One request from its head to its answer.
//!
//! ```text
//!   head ─► bounds ─► key, scope, time ─► body (≤ 1 MiB) ─► signature ─► Action ─► row ─► parameters ─► what is asked about
//!                     known? good?                                                            ─► decide ─► function ─► XML
//! ```
//! SDKs send no digest of the body in the head of such a request: its SHA-256 is part of what is signed. So the body is read before the
//! signature is verified, but only of who names a key that is there, in time; and 128 KiB of a form for STS that claims no signature at all. Both
//! have memory of their own (`Budget::reserve_unproven`).
//!
//! Invariants: nothing is looked up by what an unverified request says, but its key, and for its record the name of a row; every operation is decided by its row before its
//! function runs; what it has no row for is refused; every answer has its request id. `table.rs` has what a row is, `docs/iam-actions.md`
//! all of them.
//!
//! Limits: one MiB of body, 2,048 parameters, 10 failures told at once.

mod answer;
mod context;
mod error;
pub(crate) mod form;
#[cfg(test)]
pub(crate) mod page;
pub(crate) mod read;
pub(crate) mod shape;
mod table;
mod target;

pub(crate) use answer::Reply;
pub(crate) use error::QueryError;
pub(crate) use read::Args;
pub(crate) use table::{About, Row, Service, State, done, missing, row};
use target::Target;
pub(crate) use target::{Whom, whom};

use crate::audit::{Said, Told, allow, resource};
use crate::config::Config;
use crate::exchange::{Exchange, Trace, contained};
use crate::http::{Answer, RequestBody, check_head, host, text_xml};
use crate::server::{Gone, Peer};
use crate::state::State as Shared;
use crate::verify::{Covers, Verified, verify};
use context::RequestContext;
use engine::unit::ByteCount;
use form::{BODY_MAX, Form};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{Method, Request, StatusCode, request};
use hyper::body::Incoming;
use security::identity::Paging;
use security::{AccountId, Principal, PrincipalContext};
use std::sync::{Arc, OnceLock};

/// A request that may go on: everything that an operation's function needs.
pub(crate) struct Call {
    pub(crate) shared: Arc<Shared>,
    service: &'static Service,
    row: &'static Row,
    /// Who asks.
    pub(crate) principal: Principal,
    /// The account that is asked about: that of who asks.
    pub(crate) account: AccountId,
    pub(crate) args: Args,
    /// What else the request says.
    pub(crate) context: RequestContext,
    /// Where the page begins that is asked for.
    after: Option<String>,
    /// Whom a provider vouches for, once that is known, for the record.
    pub(crate) vouched: OnceLock<(serde_json::Value, AccountId)>,
}

impl Call {
    /// The answer of an operation that answers nothing.
    pub(crate) fn nothing(&self) -> Reply {
        Reply::empty(self.service, self.row)
    }

    /// The answer of one that has a result.
    pub(crate) fn result(&self) -> Reply {
        Reply::open(self.service, self.row)
    }

    /// Which page is asked for.
    pub(crate) fn paging(&self) -> Paging<'_> {
        let limit = self.args.number("MaxItems").and_then(|items| usize::try_from(items).ok());
        Paging { after: self.after.as_deref(), limit: limit.unwrap_or(ITEMS_DEFAULT) }
    }

    /// Says whether there is more, and where.
    pub(crate) fn paged(&self, reply: &mut Reply, next: Option<&str>) -> Result<(), QueryError> {
        reply.value("IsTruncated", next.is_some());
        if let Some(next) = next {
            let scope = (self.account, self.row.name);
            reply.text("Marker", &self.shared.markers.seal(&*self.shared.entropy, scope, next)?);
        }
        Ok(())
    }
}

/// Bytes of a form that nobody has signed: a token of 20,000 characters and two policies, encoded.
const OPEN_BODY_MAX: ByteCount = ByteCount::kib(128);

/// Items of a page where none are asked for.
const ITEMS_DEFAULT: usize = 100;

/// Answers one request.
pub(crate) async fn handle(
    service: &'static Service,
    (config, shared): (Arc<Config>, Arc<Shared>),
    (peer, gone): (Peer, Gone),
    request: Request<Incoming>,
) -> Answer {
    let told = (&*config, &shared);
    let (mut exchange, head, mut body) = Exchange::begin(service.name, told, (&peer, gone), request);
    let run = Box::pin(run(service, told, (head, peer), &mut body, &mut exchange.trace));
    let (outcome, panicked) = contained(run, || QueryError::internal(&"it panicked")).await;
    let mut outcome = outcome.map(|reply| reply.finish(&exchange.id));
    let told = match &outcome {
        Ok(document) => {
            exchange.trace.said.answered = answered(exchange.trace.operation, document);
            Told::WELL
        }
        Err(error) => Told {
            denied: error.is_denial(),
            status: error.status(),
            code: error.code(),
            message: error.message(),
        },
    };
    if let Err(trouble) = exchange.keep(told).await {
        outcome = Err(QueryError::unrecorded(trouble));
    }
    let reusable = !panicked && body.settle().await;
    let (status, code, document) = match outcome {
        Ok(document) => (StatusCode::OK, "", document),
        Err(error) => {
            error.failed().log(&shared, &exchange.id, exchange.trace.operation);
            (error.status(), error.code(), answer::error(service, &error, &exchange.id))
        }
    };
    exchange.end(text_xml(status, document), reusable, code)
}

/// What a record has of an answer: what was made, without its secrets.
fn answered(operation: &str, document: &str) -> serde_json::Value {
    if !crate::audit::gives(operation) {
        return serde_json::Value::Null;
    }
    let root = crate::xml::Element::parse(document.as_bytes()).ok();
    let result =
        root.as_ref().and_then(|root| root.children().iter().find(|child| child.name().ends_with("Result")));
    result.map_or(serde_json::Value::Null, allow::of_xml)
}

async fn run(
    service: &'static Service,
    (config, shared): (&Config, &Arc<Shared>),
    (head, peer): (request::Parts, Peer),
    body: &mut RequestBody,
    trace: &mut Trace,
) -> Result<Reply, QueryError> {
    check_head(&head, &config.limits)?;
    host(&head)?;
    if !matches!(head.method, Method::POST | Method::GET) || head.uri.path() != "/" {
        return Err(QueryError::method());
    }
    check_body(&head)?;
    if let Some(row) = asked_in_url(service, &head) {
        trace.operation = row.name;
    }
    let covers = Covers::Form { max: BODY_MAX };
    let verified: Result<_, QueryError> = verify(service.name, (shared, &head), (body, covers), trace).await;
    if let Some(row) = asked_in_form(service, &std::mem::take(&mut trace.unproven)) {
        trace.operation = row.name;
    }
    let Some(Verified { who, region, document }) = verified? else {
        return unsigned(service, shared, (head, peer), (body, trace)).await;
    };
    let of_url = Form::of_url(head.uri.query().unwrap_or_default())?;
    let mut form = if head.method == Method::GET {
        of_url
    } else {
        // What stands in both places could be two things.
        of_url.finish("The URL of a POST")?;
        Form::of_body(&document)?
    };
    let row = route(service, &mut form)?;
    trace.operation = row.name;
    // Who asks is known to the record whatever they ask for.
    let principal = who.principal(&*shared.credentials).await?;
    trace.said.principal = Some(principal.clone());
    let State::Done(function) = row.state else {
        let State::Missing(why) = row.state else { return Err(QueryError::missing_action()) };
        return Err(QueryError::not_implemented(row.name, why));
    };
    let args = read::read(form, row.name, row.parameters)?;
    trace.said.parameters = args.shown(allow::parameter);
    let account = principal.account().ok_or_else(QueryError::unsigned)?;
    let identities = &shared.identities;
    let target = target::resolve(identities, (&principal, account), (row, &args)).await?;
    about(row, (&args, account), target.as_ref(), &mut trace.said);
    let (now, said) = (shared.clock.now(), context::said(&args, target.as_ref()));
    let context = RequestContext::new((Arc::new(head), peer), (now, region), (row, account), said);
    if let Some(target) = &target {
        let asked = PrincipalContext::new(&principal, now, &context);
        let renamed = target::renamed(row, &args, target);
        for target in [Some(target), renamed.as_ref()].into_iter().flatten() {
            for action in target::actions(row, &args) {
                let verdict = principal.may(action, &target.arn, account, &asked);
                if target::is_of_users(identities, &principal, (verdict, action)).await? {
                    continue;
                }
                target::refuse(verdict, &principal, (row, action), target)?;
            }
        }
    }
    let after = match args.text("Marker") {
        Some(marker) if row.is_paged() => Some(shared.markers.open((account, row.name), marker)?),
        _ => None,
    };
    let shared = Arc::clone(shared);
    let vouched = OnceLock::new();
    let mut call = Call { shared, service, row, principal, account, args, context, after, vouched };
    let outcome = function(&call).await;
    if let Err(error) = &outcome {
        debug_assert!(row.may_answer(error.code()), "{} does not answer {}", row.name, error.code());
    }
    trace.said.vouched = call.vouched.take();
    outcome
}

/// What a record has of what is asked about, and whose that is.
fn about(row: &Row, (args, account): (&Args, AccountId), target: Option<&Target>, said: &mut Said) {
    let role = match row.about {
        About::Trust(parameter) => args.text(parameter),
        _ => None,
    };
    let named = [role, target.map(|target| target.arn.as_str()), args.text("PolicyArn")];
    for arn in named.into_iter().flatten() {
        let Some(kind) = kind_of(arn) else { continue };
        let found = resource(kind, arn);
        // Policies that are AWS's are nobody's here.
        said.owners.extend(found.account.filter(|owner| role.is_some() && *owner != account));
        if said.resources.iter().all(|known| known.arn != found.arn) {
            said.resources.push(found);
        }
    }
}

/// What one thing is called as a resource; `None`: it is no single one.
fn kind_of(arn: &str) -> Option<&'static str> {
    let (kind, name) = arn.splitn(6, ':').nth(5)?.split_once('/')?;
    let kind = match kind {
        "user" => "AWS::IAM::User",
        "role" => "AWS::IAM::Role",
        "group" => "AWS::IAM::Group",
        "policy" => "AWS::IAM::Policy",
        _ => return None,
    };
    Some(kind).filter(|_| !name.is_empty())
}

/// What a URL asks for, before it is known who asks.
fn asked_in_url(service: &'static Service, head: &request::Parts) -> Option<&'static Row> {
    let mut form =
        Form::of_url(head.uri.query().unwrap_or_default()).ok().filter(|_| head.method == Method::GET)?;
    route(service, &mut form).ok()
}

/// What a form asks for whose signature is not good: its record says so. Nothing but the name of a row is taken of it.
fn asked_in_form(service: &'static Service, unproven: &[u8]) -> Option<&'static Row> {
    let mut form = Form::of_body(unproven).ok().filter(|_| !unproven.is_empty())?;
    route(service, &mut form).ok()
}

/// A POST has a form, and a GET nothing.
fn check_body(head: &request::Parts) -> Result<(), QueryError> {
    let kind = head.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    if head.method == Method::GET {
        let length = head.headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
        if length || head.headers.contains_key(TRANSFER_ENCODING) {
            return Err(QueryError::parameter("A GET has its parameters in its URL, and no body."));
        }
        return Ok(());
    }
    let mut parts = kind.unwrap_or_default().split(';').map(str::trim);
    let form =
        parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-www-form-urlencoded"));
    let utf8 = |part: &str| {
        part.is_empty()
            || part.eq_ignore_ascii_case("charset=utf-8")
            || part.eq_ignore_ascii_case("charset=\"utf-8\"")
    };
    if head.headers.get_all(CONTENT_TYPE).iter().count() > 1 || !form || !parts.all(utf8) {
        return Err(QueryError::content_type());
    }
    Ok(())
}

/// What becomes of a request that nobody has signed. Some operations need no signature: they bring a proof of their own in their form.
async fn unsigned(
    service: &'static Service,
    shared: &Arc<Shared>,
    (head, peer): (request::Parts, Peer),
    (body, trace): (&mut RequestBody, &mut Trace),
) -> Result<Reply, QueryError> {
    if !service.rows().any(|row| row.open) {
        return Err(QueryError::unsigned());
    }
    let body = body.collect_unproven(OPEN_BODY_MAX, &shared.bodies).await?;
    let mut form = Form::of_body(&body)?;
    let row = route(service, &mut form)?;
    let function = match row.state {
        State::Missing(why) if row.open => return Err(QueryError::not_implemented(row.name, why)),
        State::Done(function) if row.open => function,
        State::Missing(_) | State::Done(_) => return Err(QueryError::unsigned()),
    };
    trace.operation = row.name;
    let args = read::read(form, row.name, row.parameters)?;
    let (now, region, account) = (shared.clock.now(), shared.region.clone(), shared.account);
    let context = RequestContext::new((Arc::new(head), peer), (now, region), (row, account), Vec::new());
    let (shared, principal) = (Arc::clone(shared), Principal::Anonymous);
    about(row, (&args, account), None, &mut trace.said);
    let vouched = OnceLock::new();
    let mut call = Call { shared, service, row, principal, account, args, context, after: None, vouched };
    let outcome = function(&call).await;
    if let Err(error) = &outcome {
        debug_assert!(row.may_answer(error.code()), "{} does not answer {}", row.name, error.code());
    }
    trace.said.vouched = call.vouched.take();
    if trace.said.vouched.is_none() {
        trace.said.vouched = named_user(&call).await?;
    }
    if outcome.is_ok() || trace.said.vouched.is_some() {
        trace.said.parameters = call.args.shown(allow::parameter);
    } else if call.args.has("RoleArn") {
        trace.said.parameters = call.args.shown(of_anybody);
    }
    outcome
}

/// What a record has of a request whose sender has proven nothing: little, and nothing that could have been meant as a secret.
fn of_anybody(parameter: &str) -> bool {
    ["RoleArn", "RoleSessionName"].contains(&parameter)
}

/// The user that a request names, if there is one, as the record of that user's account has it. What somebody has typed in its place may be a
/// password, and is in no record.
async fn named_user(call: &Call) -> Result<Option<(serde_json::Value, AccountId)>, QueryError> {
    let own = call.account.to_string();
    let (account, name) =
        (call.args.text("Account").unwrap_or(&own), call.args.text("UserName").unwrap_or_default());
    let account = call.shared.identities.account_of_user(account, name).await?;
    // Nobody has proven to be that user.
    let unproven = |account: AccountId| serde_json::json!({ "type": "Unknown", "principalId": "", "accountId": account.to_string(), "userName": name });
    Ok(account.map(|account| (unproven(account), account)))
}

/// The row of the operation that is asked for.
fn route(service: &'static Service, form: &mut Form) -> Result<&'static Row, QueryError> {
    let action = form.take("Action").filter(|action| !action.is_empty());
    let action = action.ok_or_else(QueryError::missing_action)?;
    let version = form.take("Version");
    let row = service.find(&action).filter(|_| version.as_deref() == Some(service.version));
    row.ok_or_else(|| QueryError::no_action(&action, version.as_deref()))
}
