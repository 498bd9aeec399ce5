//! The admin door of an appliance: JSON over HTTP with a bearer token.

use crate::call::service_error_of;
use crate::endpoint::{Endpoint, encode_query};
use crate::error::{Error, Result};
use crate::payload::Payload;
use crate::transport::Transport;
use bytes::Bytes;
use engine::clock::Clock;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const ANSWER_MAX: usize = 16 << 20;
const OPERATION: &str = Admin::OPERATION;

/// A client of one appliance's admin door. Not tried again: whoever asks for a status wants it as it is now.
#[derive(Clone, Debug)]
pub struct Admin {
    endpoint: Endpoint,
    token: HeaderValue,
    transport: Transport,
}

impl Admin {
    /// What errors call whatever is asked of the door.
    pub const OPERATION: &'static str = "ask the admin door";

    /// A client; nothing is sent yet. `ca_bundle` names a PEM file of roots to believe instead of the system's.
    pub fn new(url: &str, token: &str, ca_bundle: Option<&Path>, clock: Arc<dyn Clock>) -> Result<Self> {
        let endpoint = Endpoint::parse(url)?;
        let mut token = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
            .map_err(|_| Error::Invalid("use the admin token: HTTP can't carry it".to_owned()))?;
        token.set_sensitive(true);
        let transport = Transport::new(&endpoint, ca_bundle, clock, Duration::from_secs(30))?;
        Ok(Self { endpoint, token, transport })
    }

    /// Where it asks.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Asks for one document: `/v1/status`.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Bytes> {
        self.send(Method::GET, path, query, Bytes::new()).await
    }

    /// Asks for something to be done, with a JSON document.
    pub async fn post(&self, path: &str, body: Bytes) -> Result<Bytes> {
        self.send(Method::POST, path, &[], body).await
    }

    async fn send(&self, method: Method, path: &str, query: &[(&str, &str)], body: Bytes) -> Result<Bytes> {
        let uri = self.endpoint.plain_uri(path, &encode_query(query.iter().copied()))?;
        let length = body.len() as u64;
        let mut request = Request::new(Payload::from(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        request.headers_mut().insert(AUTHORIZATION, self.token.clone());
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut answer = self.transport.send(OPERATION, request, length).await?;
        let body = self.transport.collect(OPERATION, answer.body_mut(), ANSWER_MAX).await?;
        if answer.status().is_success() {
            return Ok(body);
        }
        // Its own words, where it has answered in its own form.
        let told = serde_json::from_slice::<serde_json::Value>(&body).ok();
        let told = told.as_ref().and_then(|told| told.get("error")?.as_str());
        let text = told.map_or_else(
            || String::from_utf8_lossy(&body[..body.len().min(1000)]).trim().to_owned(),
            str::to_owned,
        );
        if text.starts_with('<') {
            let detail =
                format!("{} answers in XML, as an S3 endpoint does and no admin door", self.endpoint);
            return Err(Error::Protocol { operation: OPERATION, detail });
        }
        let status = answer.status().as_u16();
        // Which door refused the token, or the protocol, is the question then.
        let text = if matches!(status, 400 | 401) { format!("{}: {text}", self.endpoint) } else { text };
        Err(service_error_of(OPERATION, status, text))
    }
}
