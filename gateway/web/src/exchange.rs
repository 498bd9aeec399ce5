//! A request of a service other than S3 and its answer, as far as all these services do the same: what is noted when it comes, and
//! what its answer says of it; metrics and the access log, once its body is out.

use crate::audit::{self, Said, Seen, Told};
use crate::budget::Sender;
use crate::config::Config;
use crate::failure::Trouble;
use crate::http::{Answer, Pace, Record, RequestBody, http_date, name_host, set_header};
use crate::server::{Gone, Peer};
use crate::state::State;
use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{CONNECTION, DATE, HeaderName, SERVER};
use http::{HeaderValue, Method, Request, Version, request};
use hyper::body::Incoming;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// What is known of a request however far it came.
pub(crate) struct Trace {
    pub(crate) operation: &'static str,
    pub(crate) access_key_id: Option<String>,
    /// The form whose signature is not good, until it was looked at.
    pub(crate) unproven: Bytes,
    /// What the audit trail has of it.
    pub(crate) said: Said,
}

/// A request that is under way.
pub(crate) struct Exchange {
    service: &'static str,
    shared: Arc<State>,
    started: Duration,
    version: Version,
    method: Method,
    path: String,
    seen: Seen,
    /// Names it in its answer and in the logs.
    pub(crate) id: String,
    pub(crate) trace: Trace,
}

impl Exchange {
    /// Begins with a request, and gives its head and its body.
    pub(crate) fn begin(
        service: &'static str,
        (config, shared): (&Config, &Arc<State>),
        (peer, gone): (&Peer, Gone),
        request: Request<Incoming>,
    ) -> (Self, request::Parts, RequestBody) {
        let (mut head, incoming) = request.into_parts();
        name_host(&mut head);
        let said = Said { claimed: audit::claimed(&head), ..Said::default() };
        let begun = Self {
            service,
            shared: Arc::clone(shared),
            started: shared.clock.boottime(),
            version: head.version,
            method: head.method.clone(),
            path: head.uri.path().to_owned(),
            seen: Seen::of(&head.headers, *peer),
            id: audit::request_id(&*shared.entropy),
            trace: Trace { operation: "Unknown", access_key_id: None, unproven: Bytes::new(), said },
        };
        let pace = Pace::new(shared.clock.clone(), &config.limits);
        let counter = shared.metrics.bytes_in.clone();
        let mut body = RequestBody::new(incoming, &head.headers, Sender::at(peer.ip), pace, counter);
        body.may_outlive(gone);
        (begun, head, body)
    }

    /// Keeps the call's record. Without one the call must not be answered as it ended.
    pub(crate) async fn keep(&mut self, told: Told<'_>) -> Result<(), Trouble> {
        let operation = self.trace.operation;
        let Trace { access_key_id, said, .. } = &mut self.trace;
        let call = audit::Call {
            service: self.service,
            operation,
            request_id: &self.id,
            seen: &self.seen,
            access_key_id: access_key_id.as_deref(),
        };
        audit::keep(&self.shared, call, said, told).await
    }

    /// Ends with an answer, and with the code of an error or none. A connection whose body was not read to its end is closed.
    pub(crate) fn end(self, mut answer: Answer, reusable: bool, code: &'static str) -> Answer {
        let headers = answer.headers_mut();
        set_header(headers, HeaderName::from_static("x-amzn-requestid"), &self.id);
        set_header(headers, SERVER, "firn");
        set_header(headers, DATE, &http_date(self.shared.clock.now()));
        self.shared.tell_debug_day(headers);
        if self.version == Version::HTTP_10 || (!reusable && self.version == Version::HTTP_11) {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let record = Record {
            state: self.shared,
            service: Some(self.service),
            request_id: self.id,
            operation: self.trace.operation,
            method: self.method,
            path: self.path,
            status: answer.status(),
            code,
            access_key_id: self.trace.access_key_id,
            started: self.started,
            sent: 0,
            is_open: false,
            logged: None,
            audited: None,
        };
        answer.body_mut().record(record);
        answer
    }
}

/// What a request comes to. A panic is an error like any other: what was done by then has a record.
pub(crate) async fn contained<T, E>(
    work: Pin<Box<dyn Future<Output = Result<T, E>> + Send + '_>>,
    broken: impl FnOnce() -> E,
) -> (Result<T, E>, bool) {
    if let Ok(outcome) = AssertUnwindSafe(work).catch_unwind().await {
        return (outcome, false);
    }
    tracing::error!("a request panicked: it is answered 500; its message is on standard error");
    (Err(broken()), true)
}
