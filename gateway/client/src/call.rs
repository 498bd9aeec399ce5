//! One call: built, signed and sent anew for each attempt, its error answer turned into a typed error.

use crate::Client;
use crate::endpoint::encode_query;
use crate::error::{Error, Result, ServiceError, Trouble, code_of_status};
use crate::payload::{FileBody, Payload};
use crate::retry::{Tries, is_transient};
use crate::xml::{BODY_MAX, Element};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::Value;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

/// How much of an error answer is read.
const ERROR_BODY_MAX: usize = 256 << 10;

/// What to ask, in S3's words, before it is signed.
#[derive(Clone, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) operation: &'static str,
    pub(crate) method: Method,
    pub(crate) bucket: Option<&'a str>,
    pub(crate) key: Option<&'a str>,
    query: Vec<(&'a str, String)>,
    headers: HeaderMap,
    body: Bytes,
    /// Sent instead of the bytes: a file, and its size.
    file: Option<(Arc<File>, u64)>,
    /// The service that is asked, where it is not S3.
    service: Option<&'static str>,
    /// What some endpoints name the answer's document.
    also: Option<&'static str>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(operation: &'static str, method: Method) -> Self {
        Self {
            operation,
            method,
            bucket: None,
            key: None,
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            file: None,
            service: None,
            also: None,
        }
    }

    /// Takes a document of this name, too.
    pub(crate) const fn also(mut self, root: Option<&'static str>) -> Self {
        self.also = root;
        self
    }

    pub(crate) const fn bucket(mut self, bucket: &'a str) -> Self {
        self.bucket = Some(bucket);
        self
    }

    pub(crate) const fn key(mut self, bucket: &'a str, key: &'a str) -> Self {
        self.bucket = Some(bucket);
        self.key = Some(key);
        self
    }

    pub(crate) fn query(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    pub(crate) fn query_some(self, name: &'a str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// Adds a header; a value that HTTP can't carry is an error of the caller's.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Result<Self> {
        let refused =
            |part: &str| Error::Invalid(format!("send header {name:?}: HTTP can't carry its {part}"));
        let name_parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused("name"))?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| refused("value"))?;
        self.headers.insert(name_parsed, value);
        Ok(self)
    }

    pub(crate) fn header_some(self, name: &str, value: Option<&str>) -> Result<Self> {
        match value {
            Some(value) => self.header(name, value),
            None => Ok(self),
        }
    }

    pub(crate) fn body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    pub(crate) fn file(mut self, file: Arc<File>, size: u64) -> Self {
        self.file = Some((file, size));
        self
    }

    /// Makes it a call of a service that takes forms.
    pub(crate) fn form(mut self, service: &'static str, body: Bytes) -> Self {
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8");
        self.headers.insert(CONTENT_TYPE, kind);
        (self.service, self.body) = (Some(service), body);
        self
    }

    /// Makes it a call of a service that takes JSON.
    pub(crate) fn json(mut self, service: &'static str, target: &str, body: Bytes) -> Result<Self> {
        let kind = HeaderValue::from_static("application/x-amz-json-1.1");
        self.headers.insert(CONTENT_TYPE, kind);
        (self.service, self.body) = (Some(service), body);
        self.header("x-amz-target", target)
    }

    fn length(&self) -> u64 {
        self.file.as_ref().map_or(self.body.len() as u64, |(_, size)| *size)
    }

    pub(crate) fn xml_body(mut self, body: String) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        self.body = body.into();
        self
    }

    /// Whether a document is named after the operation: some endpoints do that where S3 has another name.
    fn is_named_by(&self, root: &str) -> bool {
        let kind = root.strip_prefix(self.operation);
        self.also == Some(root) || kind.is_some_and(|kind| matches!(kind, "Response" | "Result" | "Output"))
    }

    /// The error of an answer that is not what the call asked for, though it says that it is.
    fn is_not(&self, wanted: &str, status: StatusCode, found: &str) -> Error {
        let service = self.service.map_or_else(|| "S3".to_owned(), str::to_uppercase);
        let found: String = found.chars().take(200).collect();
        let detail = format!(
            "the endpoint answered {} with something that is not {service}'s {wanted} ({found}): is it a proxy or a portal?",
            status.as_u16()
        );
        Error::Protocol { operation: self.operation, detail }
    }

    fn build(&self, client: &Client) -> Result<Request<Payload>> {
        let query = encode_query(self.query.iter().map(|(name, value)| (*name, value.as_str())));
        let uri = client.endpoint().uri(self.bucket, self.key, &query)?;
        let body = match &self.file {
            None => self.body.clone().into(),
            Some((file, size)) => Payload::File(FileBody::new(Arc::clone(file), *size)),
        };
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        request.headers_mut().clone_from(&self.headers);
        if self.length() > 0 || matches!(self.method, Method::PUT | Method::POST) {
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(self.length()));
        }
        let (mut parts, body) = request.into_parts();
        match (&self.file, self.service) {
            (_, Some(service)) => client.sign_for(service, &mut parts, &self.body)?,
            (None, None) => client.sign(&mut parts, &self.body)?,
            (Some(_), None) => client.sign_unread(&mut parts)?,
        }
        Ok(Request::from_parts(parts, body))
    }
}

impl Client {
    /// Sends a call until it is answered or the retries are used up; an error status becomes an error.
    pub(crate) async fn send(&self, call: &Call<'_>) -> Result<Response<Incoming>> {
        let mut tries = self.tries();
        loop {
            let error = match self.attempt(call).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            self.back_off(call.operation, &mut tries, error).await?;
        }
    }

    pub(crate) fn tries(&self) -> Tries {
        Tries::begin(self.transport().clock().boottime())
    }

    /// Says why a call takes so long, where it does.
    fn tell(&self, tries: &Tries, wait: Duration, error: &Error) {
        if let Some(listener) = &self.inner.settings.listener
            && self.inner.told.is_due(tries, self.transport().clock().boottime(), wait)
        {
            (listener.0)(error);
        }
    }

    /// Waits before the next attempt, or hands the error back when it is final.
    pub(crate) async fn back_off(
        &self,
        operation: &'static str,
        tries: &mut Tries,
        error: Error,
    ) -> Result<()> {
        tries.failed += 1;
        let failed = tries.failed;
        let transient = match &error {
            Error::Transport { trouble: Trouble::Unreachable, .. } => {
                return self.reach_again(tries, error).await;
            }
            Error::Transport { trouble: Trouble::Broken, .. } | Error::Timeout { .. } => true,
            Error::Service(answer) => is_transient(answer.status, &answer.code),
            _ => false,
        };
        let Some(wait) = transient.then(|| self.retries().wait(failed, self.entropy())).flatten() else {
            return Err(error);
        };
        tracing::debug!(operation, failed, wait_ms = wait.as_millis(), %error, "trying again");
        self.tell(tries, wait, &error);
        self.transport().clock().sleep(wait).await;
        Ok(())
    }

    /// Waits before the next attempt to connect, together with all other calls of this client, or hands the error back
    /// when the endpoint is given up on. Until it answers again, each further call makes one attempt.
    async fn reach_again(&self, tries: &Tries, error: Error) -> Result<()> {
        let reach = self.reach();
        let answers = reach.answers();
        let attempts = self.retries().attempts_to_connect(answers > 0);
        if tries.failed >= attempts {
            return Err(error);
        }
        let _turn = reach.turn().await;
        if reach.answers() != answers {
            // It is there again.
            return Ok(());
        }
        let Some(wait) = self.retries().wait_of(reach.missed(), attempts, self.entropy()) else {
            return Err(error);
        };
        tracing::debug!(wait_ms = wait.as_millis(), %error, "trying to connect again");
        self.tell(tries, wait, &error);
        self.transport().clock().sleep(wait).await;
        Ok(())
    }

    async fn attempt(&self, call: &Call<'_>) -> Result<Response<Incoming>> {
        let request = call.build(self)?;
        let mut answer = self.transport().send(call.operation, request, call.length()).await?;
        self.reach().answered();
        if answer.status().is_success() {
            return Ok(answer);
        }
        // A broken error body must not hide the status.
        let body = self
            .transport()
            .collect(call.operation, answer.body_mut(), ERROR_BODY_MAX)
            .await
            .unwrap_or_default();
        Err(self.refusal(call, answer.status(), answer.headers(), &body))
    }

    /// The endpoint's error, with what was asked about and as whom.
    fn refusal(&self, call: &Call<'_>, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Error {
        let mut error = service_error(call.operation, status.as_u16(), headers, body);
        if let Error::Service(said) = &mut error {
            said.bucket = call.bucket.map(str::to_owned);
            said.signed_by = self.access_key_id().map(str::to_owned);
        }
        error
    }

    /// Sends a call whose answer is XML with this root: what a proxy or a portal answers in S3's place has another. S3 may answer 200
    /// and still carry an error in the body (copy, completion): that is an error here too, and tried again where it may pass.
    pub(crate) async fn send_xml(&self, call: &Call<'_>, root: &str) -> Result<(Element, HeaderMap)> {
        let mut tries = self.tries();
        loop {
            let error = match self.attempt_xml(call, root).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            self.back_off(call.operation, &mut tries, error).await?;
        }
    }

    async fn attempt_xml(&self, call: &Call<'_>, wanted: &str) -> Result<(Element, HeaderMap)> {
        let mut answer = self.attempt(call).await?;
        let body = self.transport().collect(call.operation, answer.body_mut(), BODY_MAX).await?;
        let status = answer.status();
        match Element::parse(&body) {
            Ok(root) if root.name == wanted || call.is_named_by(&root.name) => {
                Ok((root, answer.into_parts().0.headers))
            }
            Ok(root) if root.name == "Error" => Err(self.refusal(call, status, answer.headers(), &body)),
            Ok(root) => Err(call.is_not(wanted, status, &root.name)),
            Err(_) if is_blank(&body) => Err(call.is_not(wanted, status, "it is empty")),
            Err(why) => Err(call.is_not(wanted, status, &why)),
        }
    }

    /// Sends a call whose answer is an object in JSON with these members: what a proxy or a portal answers has none of them. Where none are
    /// asked for it is nothing or an object, and has the header that such services give.
    pub(crate) async fn send_json(&self, call: &Call<'_>, members: &[&str]) -> Result<(Value, HeaderMap)> {
        let mut tries = self.tries();
        loop {
            let error = match self.attempt_json(call, members).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            self.back_off(call.operation, &mut tries, error).await?;
        }
    }

    async fn attempt_json(&self, call: &Call<'_>, members: &[&str]) -> Result<(Value, HeaderMap)> {
        let mut answer = self.attempt(call).await?;
        let body = self.transport().collect(call.operation, answer.body_mut(), BODY_MAX).await?;
        let status = answer.status();
        let is_theirs = !members.is_empty() || answer.headers().contains_key("x-amzn-requestid");
        match serde_json::from_slice::<Value>(&body) {
            Ok(Value::Object(said)) if is_theirs && members.iter().all(|name| said.contains_key(*name)) => {
                Ok((Value::Object(said), answer.into_parts().0.headers))
            }
            Ok(_) => Err(call.is_not("answer", status, "it lacks what was asked for")),
            Err(_) if is_blank(&body) && members.is_empty() && is_theirs => {
                Ok((Value::Null, answer.into_parts().0.headers))
            }
            Err(_) if is_blank(&body) => Err(call.is_not("answer", status, "it is empty")),
            Err(why) => Err(call.is_not("answer", status, &why.to_string())),
        }
    }

    /// Sends a call that S3 answers with the first of these statuses, some endpoints with another of them, and without a document.
    pub(crate) async fn send_bare(&self, call: &Call<'_>, status: &[StatusCode]) -> Result<HeaderMap> {
        let mut tries = self.tries();
        loop {
            let error = match self.attempt_bare(call, status).await {
                Ok(headers) => return Ok(headers),
                Err(error) => error,
            };
            self.back_off(call.operation, &mut tries, error).await?;
        }
    }

    async fn attempt_bare(&self, call: &Call<'_>, wanted: &[StatusCode]) -> Result<HeaderMap> {
        let mut answer = self.attempt(call).await?;
        let body = self.transport().collect(call.operation, answer.body_mut(), ERROR_BODY_MAX).await?;
        let status = answer.status();
        if !is_blank(&body) {
            // Some endpoints say more than S3 does; no page of HTML does it in XML that is none of HTML's.
            match Element::parse(&body) {
                Ok(root) if root.name == "Error" => {
                    return Err(self.refusal(call, status, answer.headers(), &body));
                }
                Ok(root) if !root.name.eq_ignore_ascii_case("html") => {}
                Ok(root) => return Err(call.is_not("answer", status, &root.name)),
                Err(why) => return Err(call.is_not("answer", status, &why)),
            }
        }
        if !wanted.contains(&status) {
            let usual = wanted.first().map_or(0, StatusCode::as_u16);
            return Err(call.is_not("answer", status, &format!("S3 answers {usual}")));
        }
        Ok(answer.into_parts().0.headers)
    }

    /// The same for a change of a bucket, whose answer has nothing in it that only S3 says: one without any of S3's headers is
    /// believed where the endpoint lists the bucket as S3 does.
    pub(crate) async fn send_bucket(&self, call: &Call<'_>) -> Result<HeaderMap> {
        let headers = self.send_bare(call, &[StatusCode::OK]).await?;
        if !speaks_s3(&headers)
            && let Some(bucket) = call.bucket
        {
            self.prove_bucket(bucket).await?;
        }
        Ok(headers)
    }

    /// Sends bytes to be kept.
    pub(crate) async fn send_bytes(&self, call: &Call<'_>) -> Result<HeaderMap> {
        let headers = self.send_bare(call, &STORED).await?;
        self.prove_endpoint(call.bucket, &headers).await?;
        Ok(headers)
    }

    /// Whether what answered about an object is an S3 endpoint: any web server gives a page an ETag, a length and a date. One that gives
    /// none of S3's headers lists the bucket, once for all that is asked about it; S3's own refusal is an answer as well.
    pub(crate) async fn prove_endpoint(&self, bucket: Option<&str>, headers: &HeaderMap) -> Result<()> {
        let Some(bucket) = bucket.filter(|_| !speaks_s3(headers)) else { return Ok(()) };
        // Held while it is asked, so that of many at once one asks.
        let mut proven = self.inner.proven.lock().await;
        if proven.contains(bucket) {
            return Ok(());
        }
        match self.prove_bucket(bucket).await {
            Err(Error::Service(refusal)) if refusal.is_document && refusal.status < 500 => {}
            outcome => outcome?,
        }
        proven.insert(bucket.to_owned());
        Ok(())
    }
}

/// What endpoints answer with to bytes that they keep: S3 with 200, some with another as they are told to.
const STORED: [StatusCode; 3] = [StatusCode::OK, StatusCode::CREATED, StatusCode::NO_CONTENT];

fn is_blank(body: &[u8]) -> bool {
    body.iter().all(u8::is_ascii_whitespace)
}

/// Whether an answer has headers that only S3 gives: other services put headers on pages that begin alike (`x-amz-cf-id`,
/// `x-amz-apigw-id`).
fn speaks_s3(headers: &HeaderMap) -> bool {
    const OF_S3: [&str; 4] = ["x-amz-request-id", "x-amz-id-2", "x-amz-bucket-region", "x-amz-version-id"];
    OF_S3.iter().any(|name| headers.contains_key(*name))
}

fn service_error(operation: &'static str, status: u16, headers: &HeaderMap, body: &[u8]) -> Error {
    // Services that take forms have theirs one deeper.
    let document = Element::parse(body).ok().and_then(|root| match root.name.as_str() {
        "Error" => Some(root),
        "ErrorResponse" => root.child("Error").cloned(),
        _ => None,
    });
    let in_json = if document.is_none() { said_in_json(body) } else { None };
    let text = |name| document.as_ref().and_then(|root| root.text_of(name)).map(str::to_owned);
    let asks_for = header_text(headers, "www-authenticate").unwrap_or_default();
    if document.is_none() && asks_for.starts_with("Bearer") {
        let detail =
            "it asks for a bearer token, as an appliance's admin door does and no S3 endpoint".to_owned();
        return Error::Protocol { operation, detail };
    }
    let (code_in_json, message_in_json) = in_json.unzip();
    let (is_document, code) = match text("Code").or(code_in_json) {
        Some(code) => (true, code),
        None => (false, code_of_status(operation, status).to_owned()),
    };
    let message = text("Message")
        .or(message_in_json)
        .filter(|message| !message.is_empty())
        .map_or_else(|| format!("the endpoint answered with status {status}"), bounded);
    let request_id = headers
        .get("x-amz-request-id")
        .or_else(|| headers.get("x-amzn-requestid"))
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
        .or_else(|| text("RequestId"))
        .unwrap_or_default();
    let said =
        ServiceError { operation, status, code, message, request_id, is_document, ..ServiceError::default() };
    Error::Service(Box::new(said))
}

/// Code and message of an error of a service that speaks JSON.
fn said_in_json(body: &[u8]) -> Option<(String, String)> {
    let said: Value = serde_json::from_slice(body).ok()?;
    let kind = said.get("__type")?.as_str()?;
    // Some name the service before it.
    let code = kind.rsplit('#').next().filter(|code| !code.is_empty())?;
    let message = ["message", "Message"].into_iter().find_map(|name| said.get(name)?.as_str());
    Some((code.to_owned(), message.unwrap_or_default().to_owned()))
}

/// What an endpoint says of an error is read by people: the beginning of it is enough.
fn bounded(message: String) -> String {
    const SHOWN: usize = 1000;
    match message.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{}…", &message[..cut]),
        None => message,
    }
}

/// An error answer that is not S3's XML.
pub(crate) fn service_error_of(operation: &'static str, status: u16, message: String) -> Error {
    let code = code_of_status(operation, status).to_owned();
    Error::Service(Box::new(ServiceError { operation, status, code, message, ..ServiceError::default() }))
}

/// A header's text, when it is there and readable.
pub(crate) fn header_text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::{Error, bounded, service_error};
    use crate::ErrorKind;
    use http::HeaderMap;

    #[test]
    fn errors_of_services_that_speak_json_are_read_as_theirs() {
        for (status, body, code, message, kind) in [
            (
                400,
                r#"{"__type":"AccessDeniedException","message":"not you"}"#,
                "AccessDeniedException",
                "not you",
                ErrorKind::Denied,
            ),
            (
                400,
                r#"{"__type":"com.amazon#TrailNotFoundException","Message":"none"}"#,
                "TrailNotFoundException",
                "none",
                ErrorKind::NotFound,
            ),
            (
                400,
                r#"{"__type":"AlreadyExistsException"}"#,
                "AlreadyExistsException",
                "",
                ErrorKind::Conflict,
            ),
            (400, r#"{"__type":"ValidationException"}"#, "ValidationException", "", ErrorKind::Invalid),
            (403, r#"{"error":"x"}"#, "AccessDenied", "", ErrorKind::Denied),
            (500, "[", "InternalError", "", ErrorKind::Unavailable),
        ] {
            let error = service_error("LookupEvents", status, &HeaderMap::new(), body.as_bytes());
            assert_eq!(error.kind(), kind, "{body}");
            let Error::Service(said) = error else { panic!("{error:?}") };
            assert_eq!((said.code.as_str(), said.is_document), (code, body.contains("__type")), "{body}");
            assert!(said.message.contains(message), "{body}: {}", said.message);
        }
    }

    #[test]
    fn what_an_endpoint_says_is_bounded() {
        assert_eq!(bounded("é".repeat(1000)), "é".repeat(1000));
        assert_eq!(bounded("é".repeat(100_000)), format!("{}…", "é".repeat(1000)));
    }
}
