//! A request of a service other than S3 and its answer, as far as all these services do the same: what is noted when it comes, and
//! what its answer says of it; metrics and the access log, once its body is out.

use crate::audit::{self, Said, Seen, Told};
use crate::budget::Sender;
use crate::config::Config;
use crate::failure::Trouble;
use crate::http::{Answer, Pace, Record, RequestBody, http_date, name_host, set_header};
use crate::server::Peer;
use crate::state::State;
use engine::entropy::Entropy;
use http::header::{CONNECTION, DATE, HeaderName, SERVER};
use http::{HeaderValue, Method, Request, Version, request};
use hyper::body::Incoming;
use std::sync::Arc;
use std::time::Duration;

/// What is known of a request however far it came.
pub(crate) struct Trace {
    pub(crate) operation: &'static str,
    pub(crate) access_key_id: Option<String>,
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
        peer: &Peer,
        request: Request<Incoming>,
    ) -> (Self, request::Parts, RequestBody) {
        let (mut head, incoming) = request.into_parts();
        name_host(&mut head);
        let begun = Self {
            service,
            shared: Arc::clone(shared),
            started: shared.clock.boottime(),
            version: head.version,
            method: head.method.clone(),
            path: head.uri.path().to_owned(),
            seen: Seen::of(&head.headers, *peer),
            id: request_id(&*shared.entropy),
            trace: Trace { operation: "Unknown", access_key_id: None, said: Said::default() },
        };
        let pace = Pace::new(shared.clock.clone(), &config.limits);
        let counter = shared.metrics.bytes_in.clone();
        let body = RequestBody::new(incoming, &head.headers, Sender::at(peer.ip), pace, counter);
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
            logged: None,
            audited: None,
        };
        answer.body_mut().record(record);
        answer
    }
}

/// The id of a request as these services have it: a UUID, random.
fn request_id(entropy: &dyn Entropy) -> String {
    let mut bytes = [0; 16];
    entropy.fill_id(&mut bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let text = hex::encode(bytes);
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
}
