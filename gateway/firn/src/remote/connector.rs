//! `object_store`'s requests over the client's own connections: one HTTP client and one TLS in the binary.

use bytes::Bytes;
use client::{Error, Wire};
use http_body_util::BodyExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes of the largest answer: a piece or a record is at most about 4 MiB.
const ANSWER_MAX: usize = 32 << 20;

/// Makes the one client that a store has.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    wire: Wire,
    /// Something that speaks HTTP has answered, and was not out of order.
    answered: Arc<AtomicBool>,
}

impl Connector {
    pub(super) fn new(wire: Wire) -> Self {
        Self { wire, answered: Arc::default() }
    }

    pub(super) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Acquire)
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait::async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let body = match body.as_bytes() {
            Some(bytes) => bytes.clone(),
            None => body.collect().await?.to_bytes(),
        };
        let answer =
            self.wire.send(http::Request::from_parts(parts, body), ANSWER_MAX).await.map_err(failed)?;
        if !answer.status().is_server_error() {
            self.answered.store(true, Ordering::Release);
        }
        let (parts, body): (_, Bytes) = answer.into_parts();
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::from(body)))
    }
}

fn failed(error: Error) -> HttpError {
    let kind = match &error {
        Error::Timeout { .. } => HttpErrorKind::Timeout,
        Error::Transport { .. } => HttpErrorKind::Connect,
        Error::Protocol { .. } => HttpErrorKind::Decode,
        _ => HttpErrorKind::Unknown,
    };
    HttpError::new(kind, error)
}
