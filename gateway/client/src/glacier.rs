//! Calls of Glacier: rest-json, of the account that the credentials are of.
//!
//! A call that is tried again may have been done: an archive is there twice then, as with any client of Glacier's.

use crate::Client;
use crate::call::header_text;
use crate::endpoint::encode_query;
use crate::error::{Error, Result, ServiceError, code_of_status};
use crate::payload::Payload;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

const SERVICE: &str = "glacier";
/// The only version of the API.
const VERSION: &str = "2012-06-01";
/// Bytes of an answer: what is larger is asked for by ranges.
const ANSWER_MAX: usize = 16 << 20;
/// How much of an error answer is read.
const ERROR_MAX: usize = 256 << 10;
/// What stands as it is in a segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What is asked of Glacier.
#[derive(Clone, Debug, Default)]
pub struct GlacierCall<'a> {
    operation: &'static str,
    method: Method,
    path: String,
    query: Vec<(&'a str, &'a str)>,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

impl<'a> GlacierCall<'a> {
    /// An operation by its name and method, and the segments of its path behind the account.
    pub fn new(operation: &'static str, method: Method, segments: &[&str]) -> Self {
        let mut path = String::from("/-");
        for segment in segments {
            path.push('/');
            path.extend(utf8_percent_encode(segment, SEGMENT));
        }
        Self { operation, method, path, ..Self::default() }
    }

    /// With a parameter.
    #[must_use]
    pub fn query(mut self, name: &'a str, value: &'a str) -> Self {
        self.query.push((name, value));
        self
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With bytes.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// With a document.
    #[must_use]
    pub fn json(self, document: &Value) -> Self {
        self.body(document.to_string())
    }

    fn build(&self, client: &Client) -> Result<Request<Payload>> {
        let uri = client.endpoint().plain_uri(&self.path, &encode_query(self.query.iter().copied()))?;
        let mut request = Request::new(Payload::from(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert("x-amz-glacier-version", HeaderValue::from_static(VERSION));
        for (name, value) in &self.headers {
            let refused = |_| Error::Invalid(format!("send header {name}: HTTP can't carry its value"));
            headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).map_err(refused)?);
        }
        if !self.body.is_empty() || matches!(self.method, Method::PUT | Method::POST) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        }
        let (mut parts, body) = request.into_parts();
        client.sign_for(SERVICE, &mut parts, &self.body)?;
        Ok(Request::from_parts(parts, body))
    }
}

/// What Glacier answered.
#[derive(Clone, Debug)]
pub struct GlacierAnswer {
    operation: &'static str,
    headers: HeaderMap,
    /// All of it.
    pub body: Bytes,
}

impl GlacierAnswer {
    fn is_not(&self, found: &str) -> Error {
        let detail = format!(
            "the endpoint answered with something that is not Glacier's answer ({found}): is it a proxy or a portal?"
        );
        Error::Protocol { operation: self.operation, detail }
    }

    /// A header without which the answer is none.
    pub fn header(&self, name: &str) -> Result<&str> {
        header_text(&self.headers, name).ok_or_else(|| self.is_not(&format!("it lacks {name}")))
    }

    /// The document.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).map_err(|error| self.is_not(&error.to_string()))
    }
}

impl Client {
    /// Asks Glacier until it answers or the retries are used up.
    pub async fn glacier(&self, call: &GlacierCall<'_>) -> Result<GlacierAnswer> {
        let mut tries = self.tries();
        loop {
            let error = match self.ask_glacier(call).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            self.back_off(call.operation, &mut tries, error).await?;
        }
    }

    async fn ask_glacier(&self, call: &GlacierCall<'_>) -> Result<GlacierAnswer> {
        let (operation, length) = (call.operation, call.body.len() as u64);
        let mut answer = self.transport().send(operation, call.build(self)?, length).await?;
        self.reach().answered();
        let is_good = answer.status().is_success();
        let max = if is_good { ANSWER_MAX } else { ERROR_MAX };
        let body = self.transport().collect(operation, answer.body_mut(), max).await;
        let (parts, _) = answer.into_parts();
        if !is_good {
            // A broken error body must not hide the status.
            return Err(self.glacier_error(
                operation,
                parts.status.as_u16(),
                &parts.headers,
                &body.unwrap_or_default(),
            ));
        }
        let answer = GlacierAnswer { operation, headers: parts.headers, body: body? };
        // What a proxy or a portal answers in Glacier's place has none.
        answer.header("x-amzn-requestid")?;
        Ok(answer)
    }

    fn glacier_error(&self, operation: &'static str, status: u16, headers: &HeaderMap, body: &[u8]) -> Error {
        let told: Option<Value> = serde_json::from_slice(body).ok();
        let text = |name: &str| told.as_ref().and_then(|told| told.get(name)?.as_str()).map(str::to_owned);
        let (is_document, code) = match text("code") {
            Some(code) => (true, code),
            None => (false, code_of_status(operation, status).to_owned()),
        };
        let none = if is_document { String::new() } else { "; is that Glacier's endpoint?".to_owned() };
        let message =
            text("message").unwrap_or_else(|| format!("the endpoint answered with status {status}{none}"));
        let request_id = header_text(headers, "x-amzn-requestid").unwrap_or_default().to_owned();
        let signed_by = self.access_key_id().map(str::to_owned);
        let message = message.chars().take(1_000).collect();
        let said = ServiceError {
            operation,
            status,
            code,
            message,
            request_id,
            is_document,
            signed_by,
            ..ServiceError::default()
        };
        Error::Service(Box::new(said))
    }
}

#[cfg(test)]
mod tests {
    use super::GlacierCall;
    use http::Method;

    #[test]
    fn segments_are_encoded_each() {
        let call = GlacierCall::new("DescribeVault", Method::GET, &["vaults", "a/b c", "x.y_z-1"]);
        assert_eq!(call.path, "/-/vaults/a%2Fb%20c/x.y_z-1");
    }
}
