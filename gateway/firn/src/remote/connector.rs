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
    /// The last call that failed was refused: something that speaks HTTP answered, and was not out of order.
    refused: Arc<AtomicBool>,
}

impl Connector {
    pub(super) fn new(wire: Wire) -> Self {
        Self { wire, refused: Arc::default() }
    }

    /// What failed last was refused, rather than not answered.
    pub(super) fn was_refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
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
        let answer = self.wire.send(http::Request::from_parts(parts, body), ANSWER_MAX).await;
        let refused = match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(!answer.status().is_server_error()),
            Err(error) => Some(!error.is_unanswered()),
        };
        if let Some(refused) = refused {
            self.refused.store(refused, Ordering::Release);
        }
        let answer = answer.map_err(failed)?;
        let (parts, body): (_, Bytes) = answer.into_parts();
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::from(body)))
    }
}

/// Only what was never sent is sent again whatever it is: a connection that broke may have carried it there.
fn failed(error: Error) -> HttpError {
    let kind = match &error {
        Error::Timeout { .. } => HttpErrorKind::Timeout,
        Error::Transport { .. } if error.is_unreachable() => HttpErrorKind::Connect,
        Error::Transport { .. } => HttpErrorKind::Interrupted,
        Error::Protocol { .. } => HttpErrorKind::Decode,
        _ => HttpErrorKind::Unknown,
    };
    HttpError::new(kind, error)
}
