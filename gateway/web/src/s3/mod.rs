//! The S3 door.

mod code;
mod date;
mod error;
mod operation;
mod query;
mod request_id;
mod route;
mod target;

use crate::config::Config;
use crate::metrics::{OperationLabels, RequestLabels};
use crate::state::State;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use request_id::RequestId;
use std::sync::Arc;

/// Answers one request.
pub(crate) async fn handle(
    _config: Arc<Config>,
    state: Arc<State>,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let id = RequestId::random(&*state.entropy);
    drop(request);
    std::future::ready(()).await;
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert("x-amz-request-id", value);
    }
    let m = &state.metrics;
    m.requests.get_or_create(&RequestLabels { operation: "unknown", status: "5xx" }).inc();
    m.latency.get_or_create(&OperationLabels { operation: "unknown" }).observe(0.0);
    m.bytes_in.inc_by(0);
    m.bytes_out.inc_by(0);
    response
}
