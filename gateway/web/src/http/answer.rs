//! The answer on its way out: bodies that stream, and the record of them in logs and metrics.
//!
//! A small object goes out in one write with its head: its only piece is polled together with it. An error in the middle
//! of a body cuts the connection, so that a client never takes half an object for a whole one.

use super::access_line::AccessLine;
use crate::metrics::OperationLabels;
use crate::s3::{Audited, Late, Logged};
use crate::state::State;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use objectstore::BodyStream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// What is sent.
enum Content {
    Nothing,
    Whole(Bytes),
    Stream { stream: BodyStream, left: u64 },
    Late(Box<Late>),
}

/// An answer's body.
pub(crate) struct AnswerBody {
    content: Content,
    record: Option<Record>,
}

/// An answer on its way out.
pub(crate) type Answer = Response<AnswerBody>;

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Answer {
    respond(status, Content::Nothing)
}

/// An XML answer.
pub(crate) fn xml(status: StatusCode, document: String) -> Answer {
    let mut answer = respond(status, Content::Whole(document.into()));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    answer
}

/// An XML answer of a service whose documents are `text/xml`.
pub(crate) fn text_xml(status: StatusCode, document: String) -> Answer {
    let mut answer = respond(status, Content::Whole(document.into()));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    answer
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, document: String) -> Answer {
    let mut answer = respond(status, Content::Whole(document.into()));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// A page for people.
pub(crate) fn html(status: StatusCode, document: String) -> Answer {
    let mut answer = respond(status, Content::Whole(document.into()));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    answer
}

/// An XML answer that is still being worked on.
pub(crate) fn xml_late(late: Late) -> Answer {
    let mut answer = respond(StatusCode::OK, Content::Late(Box::new(late)));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    answer
}

/// An object's bytes.
pub(crate) fn stream(status: StatusCode, stream: BodyStream, length: u64) -> Answer {
    let content = if length == 0 { Content::Nothing } else { Content::Stream { stream, left: length } };
    respond(status, content)
}

fn respond(status: StatusCode, content: Content) -> Answer {
    let mut answer = Response::new(AnswerBody { content, record: None });
    *answer.status_mut() = status;
    answer
}

/// Sets a header from text; text that no header can carry is left out.
pub(crate) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        headers.insert(name, value);
    }
}

/// Sets a header by a name known at compile time.
pub(crate) fn set_amz(headers: &mut HeaderMap, name: &'static str, value: &str) {
    set(headers, HeaderName::from_static(name), value);
}

impl AnswerBody {
    /// The document of an answer made by [`xml`]; nothing of any other.
    pub(crate) fn into_document(self) -> Bytes {
        match self.content {
            Content::Whole(document) => document,
            _ => Bytes::new(),
        }
    }

    /// Has the answer counted and logged once it is out.
    pub(crate) fn record(&mut self, mut record: Record) {
        record.is_open = matches!(self.content, Content::Late(_));
        self.record = Some(record);
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = objectstore::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, objectstore::Error>>> {
        let this = self.get_mut();
        let piece = match &mut this.content {
            Content::Nothing => return Poll::Ready(None),
            Content::Whole(_) => match std::mem::replace(&mut this.content, Content::Nothing) {
                Content::Whole(bytes) => bytes,
                _ => return Poll::Ready(None),
            },
            Content::Stream { stream, left } => match ready!(stream.as_mut().poll_next(cx)) {
                Some(Ok(bytes)) => {
                    *left = left.saturating_sub(bytes.len() as u64);
                    if *left == 0 {
                        this.content = Content::Nothing;
                    }
                    bytes
                }
                Some(Err(error)) => {
                    if let Some(record) = &mut this.record {
                        record.failed(&error);
                    }
                    this.content = Content::Nothing;
                    return Poll::Ready(Some(Err(error)));
                }
                None => return Poll::Ready(None),
            },
            Content::Late(late) => match ready!(late.poll_piece(cx)) {
                Some((piece, code)) => {
                    if let (Some(record), Some(code)) = (&mut this.record, code) {
                        (record.code, record.is_open) = (code, false);
                    }
                    piece
                }
                None => return Poll::Ready(None),
            },
        };
        if let Some(record) = &mut this.record {
            record.sent += piece.len() as u64;
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Nothing => true,
            Content::Late(late) => late.is_over(),
            Content::Whole(_) | Content::Stream { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Nothing => SizeHint::with_exact(0),
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Stream { left, .. } => SizeHint::with_exact(*left),
            Content::Late(_) => SizeHint::default(),
        }
    }
}

/// What is recorded of a request, once the answer's body is done with: in metrics, as an access line, in its bucket's log.
pub(crate) struct Record {
    pub(crate) state: Arc<State>,
    /// `None`: S3.
    pub(crate) service: Option<&'static str>,
    pub(crate) request_id: String,
    pub(crate) operation: &'static str,
    pub(crate) method: http::Method,
    pub(crate) path: String,
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) access_key_id: Option<String>,
    pub(crate) started: Duration,
    pub(crate) sent: u64,
    /// What was asked for is not done yet.
    pub(crate) is_open: bool,
    /// Where the bucket is logged: what its record has of it so far.
    pub(crate) logged: Option<Box<Logged>>,
    /// Where a trail takes data events: what its record has of it so far.
    pub(crate) audited: Option<Box<Audited>>,
}

impl Record {
    fn failed(&self, error: &objectstore::Error) {
        tracing::error!(
            request_id = %self.request_id,
            operation = self.operation,
            %error,
            "failed to send the rest of an answer; the connection is cut"
        );
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let took = self.state.clock.boottime().saturating_sub(self.started);
        let (metrics, operation) = (&self.state.metrics, self.operation);
        if let Some(service) = self.service {
            metrics.called(service, operation, self.status, took);
        } else {
            metrics.answered(operation, self.status);
            metrics.latency.get_or_create(&OperationLabels { operation }).observe(took.as_secs_f64());
        }
        metrics.bytes_out.inc_by(self.sent);
        AccessLine {
            request_id: &self.request_id,
            operation,
            method: Some(self.method.as_str()),
            path: Some(&self.path),
            status: self.status,
            code: self.code,
            access_key_id: self.access_key_id.as_deref(),
            sent: self.sent,
            took,
        }
        .write();
        if let Some(logged) = self.logged.take() {
            logged.keep(self, took);
        }
        if let Some(audited) = self.audited.take() {
            audited.note(self);
        }
    }
}
