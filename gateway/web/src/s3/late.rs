//! Answers that take long: 200 at once, white space while the work goes on, then the document.
//!
//! ```text
//!   work ─┬─ done within PATIENCE ─► its own status, headers and document
//!         └─ not yet ─► 200, XML declaration ─► a space every PERIOD ─► the result's root element, or an error's
//! ```
//!
//! S3 answers completions and copies this way, for clients and proxies between give up on a silent connection; SDKs look for an
//! `Error` in a 200 of theirs. What only a header could say (the version) is not said then.
//!
//! A client that goes away ends the work at its next await, where a trail is told so; a completion can be repeated.

use super::Call;
use super::answer::{Answer, xml_late};
use super::customer::{self, Shown};
use super::error::S3Error;
use crate::xml::DECLARATION;
use bytes::Bytes;
use engine::BoxFuture;
use engine::clock::Clock;
use objectstore::EncryptedBy;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// How long a client waits for a proper status.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it hears something from then on.
const PERIOD: Duration = Duration::from_secs(5);

/// A document under way, and the error code in it (`""` for none).
type Document = Pin<Box<dyn Future<Output = (Bytes, &'static str)> + Send>>;

/// A body that keeps its connection alive until there is something to say.
pub(crate) struct Late {
    document: Option<Document>,
    begun: bool,
    clock: Arc<dyn Clock>,
    nap: Option<BoxFuture<'static, ()>>,
}

impl Late {
    /// The next piece, and with the last one the error code in it.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Bytes, Option<&'static str>)>> {
        let Some(document) = &mut self.document else { return Poll::Ready(None) };
        if !std::mem::replace(&mut self.begun, true) {
            return Poll::Ready(Some((Bytes::from_static(DECLARATION.as_bytes()), None)));
        }
        if let Poll::Ready((document, code)) = document.as_mut().poll(cx) {
            self.document = None;
            let root = document.slice_ref(document.strip_prefix(DECLARATION.as_bytes()).unwrap_or(&document));
            return Poll::Ready(Some((root, Some(code))));
        }
        let nap = self.nap.get_or_insert_with(|| {
            let clock = Arc::clone(&self.clock);
            Box::pin(async move { clock.sleep(PERIOD).await })
        });
        if nap.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.nap = None;
        Poll::Ready(Some((Bytes::from_static(b" "), None)))
    }

    pub(crate) fn is_over(&self) -> bool {
        self.document.is_none()
    }
}

/// Answers with what `work` comes to, as `render` says it. What is known of the object's key when the client is told to wait, is said by
/// `key`.
pub(super) async fn answer<T: Send + 'static, E: Into<S3Error> + Send + 'static>(
    call: &Call,
    key: impl FnOnce() -> Option<(EncryptedBy, Option<Shown>)>,
    work: impl Future<Output = Result<T, E>> + Send + 'static,
    render: impl FnOnce(T) -> Answer + Send + 'static,
) -> Result<Answer, S3Error> {
    let mut work = Box::pin(work);
    tokio::select! {
        biased;
        outcome = &mut work => return Ok(render(outcome.map_err(Into::<S3Error>::into)?)),
        () = call.state.clock.sleep(PATIENCE) => {}
    }
    let (state, target, id, operation) =
        (Arc::clone(&call.state), call.target.clone(), call.id, call.operation);
    let document = async move {
        match work.await {
            Ok(outcome) => (render(outcome).into_body().into_document(), ""),
            Err(error) => {
                let error: S3Error = error.into();
                let error = error.about(target.bucket.as_deref(), target.key.as_deref(), &state.region);
                error.failed().log(&state, id.as_str(), operation.name());
                (error.document(&target.resource(), id.as_str(), &state.host_id).into(), error.code())
            }
        }
    };
    let clock = Arc::clone(&call.state.clock);
    let late = Late { document: Some(Box::pin(document)), begun: false, clock, nap: None };
    let mut answer = xml_late(late);
    if let Some((by, shown)) = key() {
        customer::show(answer.headers_mut(), &by, shown.as_ref());
    }
    Ok(answer)
}
