//! What a bucket's server access log has of a request: taken down while it goes on, kept as records once its answer is out.
//!
//! ```text
//!   head, target ─► logged at all? ─► Logged ─┬─► notes of the operation ─┐
//!                                             └─► answer's head, its end ─┴─► REST.… of the bucket, of each key of a DeleteObjects,
//!                                                                             and of the bucket that a copy reads
//! ```
//!
//! A request to a bucket that is not logged has no `Logged`: it costs the look whether any bucket is. A request that is taken back
//! by its client before it is answered has no record, unless it is finished for the audit trail's.

use super::answer::{Answer, Record};
use super::hoist::hoist;
use super::log_operation;
use super::operation::Operation;
use super::ops;
use super::query::Query;
use super::target::Target;
use crate::server::Peer;
use crate::state::State;
use engine::clock::Timestamp;
use engine::unit::ByteCount;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, HOST, HeaderValue, REFERER, USER_AGENT};
use http::{HeaderMap, StatusCode, request};
use objectstore::{LogRecord, LogSource, VersionSelector};
use parking_lot::Mutex;
use security::Principal;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// What operations say of themselves.
#[derive(Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Noted>>);

/// The same, as it is known by now.
#[derive(Default)]
struct Noted {
    principal: Option<Principal>,
    acl_required: bool,
    key: Option<String>,
    size: Option<u64>,
    removed: Vec<Removed>,
}

/// One key of a `DeleteObjects`.
pub(crate) struct Removed {
    pub(crate) key: String,
    pub(crate) version: Option<String>,
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
}

/// Who asks, as S3's log has it: an account by its canonical id, a user or session by its ARN.
fn requester(principal: &Principal) -> Option<String> {
    match principal {
        Principal::Identity(_) if !principal.is_root() => principal.arn(),
        _ => principal.account().map(security::AccountId::canonical_user_id),
    }
}

impl Notes {
    /// Who asks.
    pub(crate) fn principal(&self, principal: Principal) {
        self.0.lock().principal = Some(principal);
    }

    /// It is allowed by an access list.
    pub(crate) fn acl_required(&self) {
        self.0.lock().acl_required = true;
    }

    /// The key that a form names.
    pub(crate) fn key(&self, key: &str) {
        self.0.lock().key = Some(key.to_owned());
    }

    /// How large the object is that it is about.
    pub(crate) fn size(&self, size: ByteCount) {
        self.0.lock().size = Some(size.get());
    }

    /// What became of one key.
    pub(crate) fn removed(&self, removed: Removed) {
        self.0.lock().removed.push(removed);
    }
}

/// What a copy reads, where that bucket is logged.
struct Read {
    source: Arc<LogSource>,
    key: String,
    version: Option<String>,
}

/// A request of which there will be a record.
pub(crate) struct Logged {
    own: Option<Arc<LogSource>>,
    read: Option<Read>,
    pub(crate) notes: Notes,
    at: Timestamp,
    peer: Peer,
    operation: Option<Operation>,
    /// The host is a website's.
    website: bool,
    request: String,
    referer: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    host: Option<HeaderValue>,
    signature: Option<(&'static str, &'static str)>,
    key: Option<String>,
    version: Option<String>,
    size: Option<u64>,
    turn_around: Duration,
}

/// Parameters that let whoever reads them ask as somebody else.
const PROOFS: [&str; 3] = ["X-Amz-Signature", "X-Amz-Security-Token", "Signature"];

/// A path and query as they came, without what proves who asks: others read logs.
fn without_proofs(path: &str) -> Cow<'_, str> {
    let Some((path, query)) = path.split_once('?') else { return path.into() };
    // A name may be written with percent signs, too.
    let is_proof = |piece: &&str| {
        let name = percent_encoding::percent_decode_str(piece.split('=').next().unwrap_or_default());
        PROOFS.iter().any(|proof| name.clone().eq(proof.bytes()))
    };
    if !query.split('&').any(|piece| is_proof(&piece)) {
        return format!("{path}?{query}").into();
    }
    let shown = query.split('&').map(|piece| match piece.split_once('=').filter(|_| is_proof(&piece)) {
        Some((name, _)) => format!("{name}=REDACTED"),
        None => piece.to_owned(),
    });
    format!("{path}?{}", shown.collect::<Vec<_>>().join("&")).into()
}

impl Logged {
    /// Takes down what the head says, if a bucket that the request is about is logged.
    pub(super) fn of(state: &State, head: &request::Parts, target: &Target, peer: Peer) -> Option<Box<Self>> {
        if !state.store.any_logged() {
            return None;
        }
        let own = target.bucket.as_deref().and_then(|bucket| state.store.log_source(bucket));
        let query = Query::parse(head.uri.query().unwrap_or_default()).ok();
        // A presigned URL may name the source of a copy.
        let in_query = || {
            let mut hoisted = HeaderMap::new();
            hoist(&mut hoisted, query.as_ref()?).ok()?;
            read(state, &hoisted)
        };
        let read = read(state, &head.headers).or_else(in_query);
        if own.is_none() && read.is_none() {
            return None;
        }
        let path = without_proofs(head.uri.path_and_query().map_or("/", |path| path.as_str()));
        let header = |name| head.headers.get(name).cloned();
        let named = query.as_ref().and_then(|query| query.get("versionId")).map(str::to_owned);
        Some(Box::new(Self {
            own,
            read,
            notes: Notes::default(),
            at: state.clock.now(),
            peer,
            operation: None,
            website: false,
            request: format!("{} {path} {:?}", head.method, head.version),
            referer: header(REFERER),
            user_agent: header(USER_AGENT),
            host: header(HOST),
            signature: signature(&head.headers, query.as_ref()),
            key: target.key.clone(),
            version: named,
            size: None,
            turn_around: Duration::ZERO,
        }))
    }

    /// Takes down what the answer's head says. `received`: when the last byte of the request came, in boot time.
    pub(super) fn answered(
        &mut self,
        (operation, website): (Option<Operation>, bool),
        answer: &Answer,
        received: Duration,
        now: Duration,
    ) {
        (self.operation, self.website) = (operation, website);
        let head = answer.headers();
        self.turn_around = now.saturating_sub(received);
        if let Some(version) = head.get("x-amz-version-id").and_then(|value| value.to_str().ok()) {
            self.version = Some(version.to_owned());
        }
        let shows = matches!(operation, Some(Operation::GetObject | Operation::HeadObject) | None);
        if answer.status().is_success() && shows {
            self.size = size(head);
        }
    }

    /// Keeps what the bucket's log has of a request that is over.
    pub(crate) fn keep(&self, record: &Record, took: Duration) {
        let state = &record.state;
        let noted = self.notes.0.lock();
        let allowed = record.status.as_u16() < 400;
        let requester = noted.principal.as_ref().and_then(requester);
        let operation = log_operation::name(self.operation, &record.method, self.key.is_some(), self.website);
        let entry = LogRecord {
            at: self.at,
            remote: Some(self.peer.ip),
            requester: requester.as_deref(),
            request_id: &record.request_id,
            operation: &operation,
            key: noted.key.as_deref().or(self.key.as_deref()),
            request: Some(&self.request),
            status: Some(record.status.as_u16()),
            code: record.code,
            sent: record.sent,
            size: noted.size.or(self.size),
            total: Some(took),
            turn_around: Some(self.turn_around),
            referer: self.referer.as_ref().map(HeaderValue::as_bytes),
            user_agent: self.user_agent.as_ref().map(HeaderValue::as_bytes),
            version: self.version.as_deref(),
            host_id: &state.host_id,
            signature: self.signature.map(|(version, _)| version),
            cipher: self.peer.tls.map(|tls| tls.suite),
            authentication: self.signature.map(|(_, place)| place),
            host: self.host.as_ref().map(HeaderValue::as_bytes),
            tls: self.peer.tls.map(|tls| tls.version),
            acl_required: noted.acl_required && allowed,
            of_delivery: false,
        };
        if let Some(own) = &self.own {
            state.store.log(own, &entry);
            for removed in &noted.removed {
                state.store.log(own, &of_removed(&entry, removed));
            }
        }
        let copied = matches!(self.operation, Some(Operation::CopyObject | Operation::UploadPartCopy));
        if let Some(read) = self.read.as_ref().filter(|_| copied) {
            let (operation, version) = (format!("{operation}_GET"), read.version.as_deref());
            let key = Some(read.key.as_str());
            // Nothing of the source is sent to the client.
            let entry = LogRecord { operation: &operation, key, version, sent: 0, ..entry };
            state.store.log(&read.source, &entry);
        }
    }
}

/// The record of one key has what it shares with the request's.
fn of_removed<'a>(record: &LogRecord<'a>, removed: &'a Removed) -> LogRecord<'a> {
    LogRecord {
        operation: "BATCH.DELETE.OBJECT",
        key: Some(&removed.key),
        request: None,
        status: Some(removed.status.as_u16()),
        code: removed.code,
        sent: 0,
        size: None,
        referer: None,
        user_agent: None,
        version: removed.version.as_deref(),
        ..record.clone()
    }
}

fn read(state: &State, headers: &HeaderMap) -> Option<Read> {
    let (bucket, key, version) = ops::copied(headers)?;
    let source = state.store.log_source(bucket.as_str())?;
    let version = match version {
        VersionSelector::Latest => None,
        VersionSelector::Null => Some("null".to_owned()),
        VersionSelector::Id(id) => Some(id.to_string()),
    };
    Some(Read { source, key: key.as_str().to_owned(), version })
}

/// The version of the signature that a request bears, and where; whether it is a good one is another question.
fn signature(headers: &HeaderMap, query: Option<&Query>) -> Option<(&'static str, &'static str)> {
    if let Some(header) = headers.get(AUTHORIZATION) {
        let version = if header.as_bytes().starts_with(b"AWS ") { "SigV2" } else { "SigV4" };
        return Some((version, "AuthHeader"));
    }
    let has = |name| query.is_some_and(|query| query.has(name));
    if has("X-Amz-Signature") {
        Some(("SigV4", "QueryString"))
    } else {
        has("Signature").then_some(("SigV2", "QueryString"))
    }
}

/// The size of the object that an answer shows, or shows a range of.
fn size(head: &HeaderMap) -> Option<u64> {
    let text = |name| head.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let whole = text(CONTENT_RANGE).and_then(|range| range.rsplit_once('/')).map(|(_, whole)| whole);
    whole.or_else(|| text(CONTENT_LENGTH))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::without_proofs;

    #[test]
    fn a_log_has_of_a_signed_url_what_it_asks_and_not_what_proves_it() {
        let url = "/b/k?versionId=1&X-Amz-Signature=abc&X-Amz-Date=2&X-Amz-Security-Token=firn1.x&Signature=s&X%2DAmz-Signature=t";
        assert_eq!(
            without_proofs(url),
            "/b/k?versionId=1&X-Amz-Signature=REDACTED&X-Amz-Date=2&X-Amz-Security-Token=REDACTED&Signature=REDACTED&X%2DAmz-Signature=REDACTED"
        );
        for plain in ["/", "/b/k?X-Amz-Signature", "/b?prefix=Signature%3D1", "/b?", "/b?a&b=c=d"] {
            assert_eq!(without_proofs(plain), plain);
        }
    }
}
