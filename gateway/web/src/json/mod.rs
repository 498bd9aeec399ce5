//! The door of services that speak AWS's JSON protocol (1.1): KMS and `CloudTrail`. One request from its head to its answer.
//!
//! ```text
//!   head ─► bounds ─► key, scope, time ─► body (≤ 256 KiB) ─► signature ─► X-Amz-Target ─► row ─► parameters ─► function ─► JSON
//! ```
//! As with the query protocol the body is read before the signature is verified, only of who names a key that is there, in time, and at
//! the memory that is kept for that (`Budget::reserve_unproven`). Who may is the core's to decide: a key's policy stands beside the key.
//!
//! Limits: 256 KiB of body, 10 failures told at once.

mod context;
mod error;
#[cfg(test)]
pub(crate) mod page;
mod read;
pub(crate) mod shape;
mod table;
mod tree;

pub(crate) use error::JsonError;
pub(crate) use read::Args;
pub(crate) use table::{About, Row, Service, State, done, missing, row};

use crate::audit::{Told, allow};
use crate::config::Config;
use crate::exchange::{Exchange, Trace, contained};
use crate::http::{Answer, RequestBody, answer_json, check_head, host};
use crate::server::{Gone, Peer};
use crate::state::State as Shared;
use crate::verify::{Covers, Verified, verify};
use context::RequestContext;
use engine::unit::ByteCount;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, StatusCode, request};
use hyper::body::Incoming;
use security::kms::{Asks, Paging};
use security::policy::Purse;
use security::{AccountId, Principal, PrincipalContext};
use std::sync::Arc;

/// Bytes of a request: a policy of 32 KiB, escaped, and then some.
const BODY_MAX: ByteCount = ByteCount::kib(256);
/// Items of a page where none are asked for.
const ITEMS_DEFAULT: i64 = 100;
/// What requests and answers are.
const KIND: &str = "application/x-amz-json-1.1";

/// A request that may go on: everything that an operation's function needs.
pub(crate) struct Call {
    pub(crate) shared: Arc<Shared>,
    row: &'static Row,
    pub(crate) args: Args,
    context: RequestContext,
    id: String,
    tokens: Vec<String>,
    after: Option<String>,
}

impl Call {
    /// Who asks, and how.
    pub(crate) fn asks(&self) -> Asks<'_> {
        let dry_run = self.args.flag("DryRun").unwrap_or_default();
        let asks = Asks::new(&self.context.principal, &self.context, &self.id);
        Asks { grant_tokens: &self.tokens, dry_run, ..asks }
    }

    /// Who asks.
    pub(crate) fn principal(&self) -> &Principal {
        &self.context.principal
    }

    /// When.
    pub(crate) fn now(&self) -> engine::clock::Timestamp {
        self.context.now
    }

    /// Refuses who may not do this, by their own policies alone.
    pub(crate) fn require(&self, account: AccountId, action: &str, arn: &str) -> Result<(), JsonError> {
        let asked = PrincipalContext::new(self.principal(), self.context.now, &self.context);
        if self.principal().may(action, arn, account, &asked).is_allowed() {
            return Ok(());
        }
        let who = self.principal().arn().unwrap_or_default();
        let message = format!("User: {who} is not authorized to perform: {action} on resource: {arn}");
        Err(JsonError::bad("AccessDeniedException", message))
    }

    /// What the token of a page stands for.
    pub(crate) fn opened(&self, account: AccountId, token: &str) -> Result<String, JsonError> {
        self.shared.markers.open((account, self.row.name), token).map_err(|error| {
            let refused = JsonError::from(error);
            if refused.status().is_server_error() {
                return refused;
            }
            JsonError::bad("InvalidNextTokenException", "The token of a page is none that was given.")
        })
    }

    /// A token for where the next page begins.
    pub(crate) fn sealed(&self, account: AccountId, next: &str) -> Result<String, JsonError> {
        Ok(self.shared.markers.seal(&*self.shared.entropy, (account, self.row.name), next)?)
    }

    /// The key that is asked about.
    pub(crate) fn key(&self) -> &str {
        self.args.needed("KeyId")
    }

    /// Which page is asked for.
    pub(crate) fn paging(&self) -> Paging<'_> {
        let limit = self.args.number("Limit").unwrap_or(ITEMS_DEFAULT);
        Paging { after: self.after.as_deref(), limit: usize::try_from(limit).unwrap_or_default() }
    }

    /// Says whether there is more, and where.
    pub(crate) fn paged(&self, reply: &mut serde_json::Value, next: Option<&str>) -> Result<(), JsonError> {
        reply["Truncated"] = next.is_some().into();
        if let (Some(next), Some(account)) = (next, self.context.principal.account()) {
            let scope = (account, self.row.name);
            reply["NextMarker"] = self.shared.markers.seal(&*self.shared.entropy, scope, next)?.into();
        }
        Ok(())
    }
}

/// Answers one request.
pub(crate) async fn handle(
    service: &'static Service,
    (config, shared): (Arc<Config>, Arc<Shared>),
    (peer, gone): (Peer, Gone),
    request: Request<Incoming>,
) -> Answer {
    let told = (&*config, &shared);
    let (mut exchange, head, mut body) = Exchange::begin(service.name, told, (&peer, gone), request);
    let of_request = (head, peer, exchange.id.as_str());
    let run = Box::pin(run(service, told, of_request, &mut body, &mut exchange.trace));
    let (mut outcome, panicked) = contained(run, JsonError::broken).await;
    let told = match &outcome {
        Ok(reply) => {
            if crate::audit::gives(exchange.trace.operation) {
                exchange.trace.said.answered = allow::of_json(reply);
            }
            let made = (service.made)(reply);
            let resources = &mut exchange.trace.said.resources;
            resources.extend(
                made.into_iter()
                    .filter(|made| resources.iter().all(|known| known.arn != made.arn))
                    .collect::<Vec<_>>(),
            );
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
        outcome = Err(JsonError::unrecorded(trouble));
    }
    let reusable = !panicked && body.settle().await;
    let (status, code, document) = match outcome {
        // What answers nothing has an empty body.
        Ok(reply) if reply.is_null() => (StatusCode::OK, "", String::new()),
        Ok(reply) => (StatusCode::OK, "", reply.to_string()),
        Err(error) => {
            error.failed().log(&shared, &exchange.id, exchange.trace.operation);
            let document = serde_json::json!({ "__type": error.code(), "message": error.message() });
            (error.status(), error.code(), document.to_string())
        }
    };
    let mut answer = answer_json(status, document);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(KIND));
    exchange.end(answer, reusable, code)
}

async fn run(
    service: &'static Service,
    (config, shared): (&Config, &Arc<Shared>),
    (head, peer, id): (request::Parts, Peer, &str),
    body: &mut RequestBody,
    trace: &mut Trace,
) -> Result<serde_json::Value, JsonError> {
    check_head(&head, &config.limits)?;
    host(&head)?;
    if head.method != Method::POST || head.uri.path() != "/" || head.uri.query().is_some() {
        return Err(JsonError::unknown_operation());
    }
    check_kind(&head)?;
    // What is asked for is known to the record whoever asks.
    trace.operation = route(service, &head).map_or(trace.operation, |row| row.name);
    let covers = Covers::Document { max: BODY_MAX };
    let verified: Result<_, JsonError> = verify(service.name, (shared, &head), (body, covers), trace).await;
    let Verified { who, region, document } = verified?.ok_or_else(JsonError::unsigned)?;
    let row = route(service, &head)?;
    trace.operation = row.name;
    // Who asks is known to the record whatever they ask for.
    let principal: Principal = who.principal(&*shared.credentials).await?;
    trace.said.principal = Some(principal.clone());
    let function = match row.state {
        State::Done(function) => function,
        State::Missing(why) => return Err(JsonError::unsupported(row.name, why)),
    };
    let args = read::read(&document, row.parameters)?;
    trace.said.parameters = args.shown(allow::parameter);
    trace.said.resources = (service.resources)(&args, &principal, &shared.region);
    let account = principal.account().ok_or_else(JsonError::unsigned)?;
    if service.of_others {
        let owners = trace.said.resources.iter().filter_map(|of| of.account);
        trace.said.owners = owners.filter(|owner| *owner != account).collect();
    }
    let after = match args.text("Marker") {
        Some(marker) => Some(shared.markers.open((account, row.name), marker)?),
        None => None,
    };
    let tokens = args.texts("GrantTokens").map(str::to_owned).collect();
    let now = shared.clock.now();
    let context = RequestContext { principal, head, peer, now, region, purse: Purse::default() };
    let (shared, id) = (Arc::clone(shared), id.to_owned());
    let call = Call { shared, row, args, context, id, tokens, after };
    function(&call).await
}

fn check_kind(head: &request::Parts) -> Result<(), JsonError> {
    let mut kinds = head.headers.get_all(CONTENT_TYPE).iter();
    let kind = kinds.next().and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kinds.next().is_none() && kind.eq_ignore_ascii_case(KIND) {
        return Ok(());
    }
    let message = "A request is of the type application/x-amz-json-1.1.";
    Err(JsonError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message))
}

/// The row of the operation that is asked for.
fn route(service: &'static Service, head: &request::Parts) -> Result<&'static Row, JsonError> {
    let mut targets = head.headers.get_all("x-amz-target").iter();
    let target = targets.next().and_then(|target| target.to_str().ok()).unwrap_or_default();
    let mut prefixes = service.targets.iter();
    let operation = prefixes.find_map(|prefix| target.strip_prefix(prefix)?.strip_prefix('.'));
    let row = operation.filter(|_| targets.next().is_none()).and_then(|name| service.find(name));
    row.ok_or_else(JsonError::unknown_operation)
}
