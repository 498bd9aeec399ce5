//! The admin door: probes, metrics, and the JSON API behind a bearer token.
//!
//! `/livez` and `/readyz` are open: they say whether, and why not in one word, never a path or a name. `/readyz` is 503 as
//! soon as writes are refused; `/readyz/reads` only when reads are, for a balancer that keeps the two apart. `/metrics` and `/v1/…` want the token. No CORS header is
//! ever sent, so that no web page of another origin can read an answer.

mod audited;

use crate::audit::{Seen, UNRECORDED, UNRECORDED_CAUSE};
use crate::exchange::contained;
use crate::server::{Gone, Peer, Standing};
use crate::state::{AdminCall, AdminError, State};
use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of an admin request's body.
const BODY_MAX: usize = 64 << 10;
/// The same of one with lifecycle rules: a document of 1 MiB as JSON has it.
const RULES_MAX: usize = 2 << 20;
/// How long it may take to come.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// The media type that Prometheus asks for.
const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

type Answer = Response<Full<Bytes>>;

/// Answers one request of the admin door.
///
/// What changes something is finished and recorded whatever becomes of its client.
pub(crate) async fn handle(
    state: Arc<State>,
    (peer, standing): (Peer, Standing),
    request: Request<Incoming>,
) -> Answer {
    let gone = Gone::default();
    let told = gone.clone();
    let answering = Box::pin(async move { route(&state, (peer, told), request).await });
    let mut answer = standing.finish(gone, answering).await;
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    answer
}

async fn route(state: &State, (peer, gone): (Peer, Gone), request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    match path.as_str() {
        "/livez" => return read_only(&request, || answer(StatusCode::OK, TEXT, "alive\n")),
        "/readyz" | "/readyz/reads" => return readyz(state, &request).await,
        _ => {}
    }
    let seen = Seen::of(request.headers(), peer);
    if !authorized(state, &request) {
        if audited::deny(state, &seen, &path).await.is_err() {
            return unrecorded(&path);
        }
        let mut refused = failure(StatusCode::UNAUTHORIZED, "authenticate: a bearer token is required");
        refused.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return refused;
    }
    if path == "/metrics" {
        return read_only(&request, || metrics(state));
    }
    let (wanted, call) = match parse_call(state, &path, request).await {
        // Whose client is gone did not say all.
        Ok(_) if gone.is_raised() => {
            return failure(StatusCode::BAD_REQUEST, "read the body: it is incomplete");
        }
        Ok(parsed) => parsed,
        Err(refused) => return refused,
    };
    let outcome = match audited::change(&call) {
        Some(change) => {
            let broken = || AdminError::Internal("it panicked".to_owned());
            let (outcome, _) = contained(state.status.call(call), broken).await;
            if audited::keep(state, &seen, change, &outcome).await.is_err() {
                return unrecorded(&path);
            }
            outcome
        }
        None => state.status.call(call).await,
    };
    match outcome {
        Ok(document) => answer(StatusCode::OK, JSON, document.to_string()),
        Err(error) => admin_error(&wanted, &error),
    }
}

fn unrecorded(path: &str) -> Answer {
    tracing::error!(path, cause = UNRECORDED_CAUSE, "failed to answer an admin call");
    failure(StatusCode::SERVICE_UNAVAILABLE, UNRECORDED)
}

fn authorized(state: &State, request: &Request<Incoming>) -> bool {
    let mut values = request.headers().get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Some((scheme, token)) = value.to_str().ok().and_then(|text| text.split_once(' ')) else {
        return false;
    };
    scheme.eq_ignore_ascii_case("bearer") && state.admin_token.admits(token.trim())
}

/// A known path with its call, or the answer that refuses it.
async fn parse_call(
    state: &State,
    path: &str,
    request: Request<Incoming>,
) -> Result<(String, AdminCall), Answer> {
    let name = path.strip_prefix("/v1/").ok_or_else(|| failure(StatusCode::NOT_FOUND, "find this path"))?;
    let method = match name {
        "status" | "doctor" | "workers" | "where" | "quotas" => Method::GET,
        "backup" | "cost" | "dedup" | "lifecycle" | "locks" | "zone" | "quota" | "vault" => Method::POST,
        _ => return Err(failure(StatusCode::NOT_FOUND, "find this path")),
    };
    if request.method() != method {
        return Err(not_allowed(method.as_str()));
    }
    let call = match name {
        "status" => AdminCall::Status,
        "doctor" => AdminCall::Doctor,
        "workers" => AdminCall::Workers,
        "where" => parse_where(request.uri().query().unwrap_or_default())
            .map_err(|text| failure(StatusCode::BAD_REQUEST, &text))?,
        "quotas" => parse_quotas(request.uri().query().unwrap_or_default())
            .map_err(|text| failure(StatusCode::BAD_REQUEST, &text))?,
        "quota" => AdminCall::Quota { request: read_json(state, request, BODY_MAX).await? },
        "dedup" => AdminCall::Dedup { request: read_json(state, request, BODY_MAX).await? },
        "lifecycle" => AdminCall::Lifecycle { request: read_json(state, request, RULES_MAX).await? },
        "cost" => AdminCall::Cost { request: read_json(state, request, BODY_MAX).await? },
        "zone" => AdminCall::Zone { request: read_json(state, request, BODY_MAX).await? },
        "vault" => AdminCall::Vault { request: read_json(state, request, BODY_MAX).await? },
        "locks" => AdminCall::Locks { request: read_json(state, request, BODY_MAX).await? },
        _ => AdminCall::Backup { request: read_json(state, request, BODY_MAX).await? },
    };
    Ok((name.to_owned(), call))
}

/// The values of a query's parameters, in the order of their names; each may stand once, and no other one.
fn parse_query<const N: usize>(query: &str, names: [&str; N]) -> Result<[Option<String>; N], String> {
    let mut values = [const { None }; N];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_encoding::percent_decode_str(value)
            .decode_utf8()
            .map_err(|_| format!("parse the query: {name} is not UTF-8"))?
            .into_owned();
        let slot = names.iter().zip(&mut values).find(|(known, _)| **known == name).map(|(_, slot)| slot);
        let slot = slot.ok_or_else(|| format!("parse the query: unknown parameter {name:?}"))?;
        if slot.replace(value).is_some() {
            return Err(format!("parse the query: {name} stands twice"));
        }
    }
    Ok(values)
}

fn parse_where(query: &str) -> Result<AdminCall, String> {
    let [bucket, key, version] = parse_query(query, ["bucket", "key", "version"])?;
    let bucket = bucket.ok_or("parse the query: bucket is missing")?;
    let key = key.ok_or("parse the query: key is missing")?;
    Ok(AdminCall::Where { bucket, key, version })
}

fn parse_quotas(query: &str) -> Result<AdminCall, String> {
    let [bucket] = parse_query(query, ["bucket"])?;
    Ok(AdminCall::Quotas { bucket })
}

async fn read_json(
    state: &State,
    request: Request<Incoming>,
    max: usize,
) -> Result<serde_json::Value, Answer> {
    let refused = |text: &str| failure(StatusCode::BAD_REQUEST, text);
    let collected = tokio::select! {
        collected = Limited::new(request.into_body(), max).collect() => collected,
        () = state.clock.sleep(BODY_TIME_MAX) => {
            return Err(failure(StatusCode::REQUEST_TIMEOUT, "read the body within 30 s"));
        }
    };
    let too_much = || refused(&format!("read the body: it is incomplete or larger than {} KiB", max >> 10));
    let body = collected.map_err(|_| too_much())?.to_bytes();
    if body.is_empty() {
        return Ok(serde_json::Value::Null);
    }
    serde_json::from_slice(&body).map_err(|error| refused(&format!("parse the body as JSON: {error}")))
}

async fn readyz(state: &State, request: &Request<Incoming>) -> Answer {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return not_allowed("GET, HEAD");
    }
    let readiness = state.status.ready().await;
    let wanted =
        if request.uri().path() == "/readyz/reads" { readiness.reads() } else { readiness.is_ready() };
    let status = if wanted { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer(status, JSON, format!("{}\n", readiness.public()))
}

fn metrics(state: &State) -> Answer {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &state.registry) {
        Ok(()) => answer(StatusCode::OK, OPENMETRICS, text),
        Err(error) => failure(StatusCode::INTERNAL_SERVER_ERROR, &format!("encode the metrics: {error}")),
    }
}

fn admin_error(call: &str, error: &AdminError) -> Answer {
    if let AdminError::Internal(_) = error {
        tracing::error!(call, %error, "failed to answer an admin call");
    }
    failure(error.status(), &error.to_string())
}

impl AdminError {
    const fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Denied(_) => StatusCode::FORBIDDEN,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

fn read_only(request: &Request<Incoming>, document: impl FnOnce() -> Answer) -> Answer {
    match *request.method() {
        Method::GET | Method::HEAD => document(),
        _ => not_allowed("GET, HEAD"),
    }
}

fn not_allowed(methods: &str) -> Answer {
    let mut refused =
        failure(StatusCode::METHOD_NOT_ALLOWED, &format!("answer this method: allowed is {methods}"));
    if let Ok(value) = HeaderValue::from_str(methods) {
        refused.headers_mut().insert(ALLOW, value);
    }
    refused
}

fn failure(status: StatusCode, text: &str) -> Answer {
    answer(status, JSON, serde_json::json!({ "error": text }).to_string())
}

fn answer(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use super::{parse_quotas, parse_where};
    use crate::state::AdminCall;

    #[test]
    fn where_takes_each_parameter_once_and_nothing_else() {
        let call = parse_where("bucket=b&key=a%2Fb%20c&version=v1");
        let expected = AdminCall::Where {
            bucket: "b".to_owned(),
            key: "a/b c".to_owned(),
            version: Some("v1".to_owned()),
        };
        assert_eq!(call, Ok(expected));
        for bad in ["", "bucket=b", "bucket=b&key=k&key=l", "bucket=b&key=k&x=1", "bucket=b&key=%ff"] {
            parse_where(bad).unwrap_err();
        }
        assert_eq!(parse_quotas(""), Ok(AdminCall::Quotas { bucket: None }));
        assert_eq!(parse_quotas("bucket=b"), Ok(AdminCall::Quotas { bucket: Some("b".to_owned()) }));
        parse_quotas("key=k").unwrap_err();
    }
}
