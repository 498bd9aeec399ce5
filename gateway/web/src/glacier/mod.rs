//! The Glacier door: rest-json, one request from its head to its answer.
//!
//! ```text
//!   head ─► bounds ─► operation ─► signature (over the digest that the head says, or over a small body) ─► may? ─► operation ─► JSON
//! ```
//! Requests come here by the scope that they claim to be signed for (`front`), and are verified for it. Uploads are signed over the SHA-256 that
//! their head says: their bytes are compared with it before they count. Everything else has a body of at most 1 MiB, which is read
//! before the signature is verified, of who names a key that is there.
//!
//! Invariants: nothing is looked up by what an unverified request says, but its key; each operation is decided by its row before anything
//! is done; every answer has its request id.

mod account;
mod archives;
mod context;
mod error;
mod jobs;
mod settings;
mod table;
mod vaults;

use crate::audit::{Told, allow, answered, resource};
use crate::config::Config;
use crate::exchange::{Exchange, Trace, contained};
use crate::http::{Answer, RequestBody, answer_empty, answer_json, check_head, host, set_header};
use crate::server::{Gone, Peer};
use crate::state::State;
use crate::verify::{Covers, Verified, verify};
use archive::vault::{VaultName, Vaults};
use bytes::Bytes;
use context::RequestContext;
use engine::unit::ByteCount;
pub(crate) use error::GlacierError;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, request};
use hyper::body::Incoming;
use security::policy::Purse;
use security::sigv4::{decode_path, query_pairs};
use security::{AccountId, Principal};
use std::collections::BTreeMap;
use std::sync::Arc;
pub(crate) use table::actions;
use table::{About, Row, Run};

/// The service, as scopes name it.
pub(crate) const SERVICE: &str = "glacier";

/// The body of anything but an upload.
const DOCUMENT_MAX: ByteCount = ByteCount::mib(1);

/// A request that may go on.
struct Call {
    state: Arc<State>,
    vaults: Arc<Vaults>,
    head: request::Parts,
    row: &'static Row,
    /// Whose vaults are asked about.
    account: AccountId,
    /// Segments of the path behind the account.
    segments: Vec<String>,
    query: BTreeMap<String, String>,
    /// All of a small body.
    document: Bytes,
    /// What the head says is the body's SHA-256, and the signature with it.
    sha256: Option<[u8; 32]>,
}

impl Call {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty())
    }

    fn needed(&self, name: &str) -> Result<&str, GlacierError> {
        self.header(name).ok_or_else(|| GlacierError::missing(name))
    }

    fn vault(&self) -> Result<VaultName, GlacierError> {
        let name = self.segments.get(1).map(String::as_str).unwrap_or_default();
        Ok(VaultName::parse(name)?)
    }

    /// The segment of that place.
    fn segment(&self, place: usize) -> &str {
        self.segments.get(place).map(String::as_str).unwrap_or_default()
    }

    /// How many a page has.
    fn limit(&self, most: usize) -> Result<usize, GlacierError> {
        let Some(text) = self.query.get("limit") else { return Ok(most) };
        let limit = text.parse().ok().filter(|limit| (1..=most).contains(limit));
        limit.ok_or_else(|| GlacierError::invalid(format!("Invalid limit: {text}. It is 1 to {most}.")))
    }

    fn marker(&self) -> Option<&str> {
        self.query.get("marker").map(String::as_str).filter(|marker| !marker.is_empty())
    }

    /// The small body, as JSON.
    fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, GlacierError> {
        serde_json::from_slice(&self.document).map_err(|error| {
            GlacierError::invalid(format!("The body is not the JSON that is wanted: {error}"))
        })
    }
}

/// Answers one request.
pub(crate) async fn handle(
    vaults: Arc<Vaults>,
    (config, state): (Arc<Config>, Arc<State>),
    (peer, gone): (Peer, Gone),
    request: Request<Incoming>,
) -> Answer {
    let (mut exchange, head, mut body) = Exchange::begin(SERVICE, (&config, &state), (&peer, gone), request);
    let run = Box::pin(run((vaults, &config, &state), (head, peer), &mut body, &mut exchange.trace));
    let (mut outcome, panicked) = contained(run, || GlacierError::internal(&"it panicked")).await;
    let told = match &outcome {
        Ok(answer) => {
            if crate::audit::gives(exchange.trace.operation) {
                exchange.trace.said.answered = answered(answer.headers()).into();
            }
            Told::WELL
        }
        Err(error) => Told {
            denied: error.is_denial(),
            status: error.status,
            code: error.code,
            message: &error.message,
        },
    };
    if let Err(trouble) = exchange.keep(told).await {
        outcome = Err(GlacierError::unrecorded(trouble));
    }
    let reusable = !panicked && body.settle().await;
    let (answer, code) = match outcome {
        Ok(answer) => (answer, ""),
        Err(error) => {
            error.failed().log(&state, &exchange.id, exchange.trace.operation);
            (answer_json(error.status, error.document()), error.code)
        }
    };
    exchange.end(answer, reusable, code)
}

async fn run(
    (vaults, config, state): (Arc<Vaults>, &Config, &Arc<State>),
    (head, peer): (request::Parts, Peer),
    body: &mut RequestBody,
    trace: &mut Trace,
) -> Result<Answer, GlacierError> {
    check_head(&head, &config.limits)?;
    host(&head)?;
    let mut segments = segments_of(head.uri.path())?;
    let query: BTreeMap<String, String> =
        query_pairs(head.uri.query().unwrap_or_default())?.into_iter().collect();
    let no_operation =
        || GlacierError::not_found("There is no such operation, or it is asked for otherwise.");
    if segments.is_empty() {
        return Err(no_operation());
    }
    let whose = segments.remove(0);
    let operation = query.get("operation").map(String::as_str);
    let row = table::find(head.method.as_str(), &segments, operation).ok_or_else(no_operation)?;
    trace.operation = row.name;
    trace.said.parameters = shown(&whose, &segments, (&head, &query));
    let unsigned = || GlacierError::denied("The request is not signed.");
    let (covers, sha256) = covers(row, &head.headers)?;
    let verified: Result<_, GlacierError> = verify(SERVICE, (state, &head), (body, covers), trace).await;
    let Verified { who, region, document } = verified?.ok_or_else(unsigned)?;
    let principal = who.principal(&*state.credentials).await?;
    trace.said.principal = Some(principal.clone());
    let own = principal.account().ok_or_else(unsigned)?;
    let account = match whose.as_str() {
        "-" => own,
        text => text.parse().map_err(|_| GlacierError::invalid(format!("Invalid account ID: {text}")))?,
    };
    trace.said.owners.extend(Some(account).filter(|account| *account != own));
    if let ["vaults", name, ..] = segments.iter().map(String::as_str).collect::<Vec<_>>()[..]
        && let Ok(name) = VaultName::parse(name)
    {
        trace.said.resources = vec![resource("AWS::Glacier::Vault", &name.arn(vaults.region(), account))];
    }
    let call =
        Call { state: Arc::clone(state), vaults, head, row, account, segments, query, document, sha256 };
    may(&call, (&principal, region), peer).await?;
    match row.run {
        Run::Done(function) => function(&call).await,
        Run::Upload(function) => function(&call, body).await,
    }
}

/// What a record has of a request.
fn shown(
    whose: &str,
    segments: &[String],
    (head, query): (&request::Parts, &BTreeMap<String, String>),
) -> serde_json::Value {
    let mut shown = serde_json::Map::from_iter([("accountId".to_owned(), whose.into())]);
    let mut put = |name: &str, value: &str| {
        shown.insert(name.to_owned(), security::audit::bounded(value).into());
    };
    for pair in segments.chunks_exact(2) {
        let name = match pair[0].as_str() {
            "vaults" => "vaultName",
            "archives" => "archiveId",
            "multipart-uploads" => "uploadId",
            "jobs" => "jobId",
            "lock-policy" => "lockId",
            _ => continue,
        };
        put(name, &pair[1]);
    }
    for name in ["completed", "limit", "operation", "statuscode"] {
        if let Some(value) = query.get(name) {
            put(name, value);
        }
    }
    for name in allow::HEADERS {
        if let Some(value) = head.headers.get(*name).and_then(|value| value.to_str().ok()) {
            put(name, value);
        }
    }
    serde_json::Value::Object(shown)
}

/// What lies between slashes, decoded.
fn segments_of(path: &str) -> Result<Vec<String>, GlacierError> {
    let decode = |segment: &str| -> Result<String, GlacierError> {
        String::from_utf8(decode_path(segment)?).map_err(|_| GlacierError::invalid("The path is not UTF-8."))
    };
    path.split('/').skip(1).map(decode).collect()
}

/// Asks the policies.
async fn may(call: &Call, (principal, region): (&Principal, String), peer: Peer) -> Result<(), GlacierError> {
    let about = call.row.about();
    let own = format!("arn:aws:glacier:{}:{}:", call.vaults.region(), call.account);
    let (vault, arn) = match about {
        About::Account => (None, own),
        About::Vaults => (None, format!("{own}vaults/")),
        About::Vault | About::Archive => {
            let vault = call.vault()?;
            let arn = vault.arn(call.vaults.region(), call.account);
            (Some(vault), arn)
        }
    };
    let archive = match about {
        About::Archive => context::there(Vaults::archive_id("archive", call.segment(3)))?,
        About::Account | About::Vaults | About::Vault => None,
    };
    let rules = match &vault {
        Some(vault) => context::there(call.vaults.rules(call.account, vault, archive).await)?,
        None => None,
    };
    let rules = rules.unwrap_or_default();
    let said = rules.facts.condition_keys().collect();
    let (head, account, now) = (&call.head, call.account, call.state.clock.now());
    let context = RequestContext { head, peer, now, region, account, said, purse: Purse::default() };
    context::admit((principal, call.row), &arn, &rules, &context)
}

/// What the signature covers of the body, and what the head says is its SHA-256.
fn covers(row: &Row, headers: &HeaderMap) -> Result<(Covers, Option<[u8; 32]>), GlacierError> {
    let Run::Upload(_) = row.run else { return Ok((Covers::Document { max: DOCUMENT_MAX }, None)) };
    let declared = headers.get("x-amz-content-sha256").map(HeaderValue::as_bytes);
    let declared = declared.ok_or_else(|| GlacierError::missing("x-amz-content-sha256"))?;
    let mut hash = [0; 32];
    hex::decode_to_slice(declared, &mut hash).map_err(|_| {
        GlacierError::invalid("Invalid x-amz-content-sha256: 64 hexadecimal digits are wanted.")
    })?;
    Ok((Covers::Digest(hash), Some(hash)))
}

fn json(status: StatusCode, document: &serde_json::Value) -> Answer {
    answer_json(status, document.to_string())
}

fn nothing() -> Answer {
    answer_empty(StatusCode::NO_CONTENT)
}

/// An answer without a body, with these headers.
fn told(status: StatusCode, headers: &[(&'static str, &str)]) -> Answer {
    let mut answer = answer_empty(status);
    for (name, value) in headers {
        set_header(answer.headers_mut(), HeaderName::from_static(name), value);
    }
    answer
}
