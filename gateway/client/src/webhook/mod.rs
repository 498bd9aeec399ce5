//! Takes messages to a receiver by HTTP: one signed POST each.
//!
//! ```text
//!   message ─► resolve ─► check each address ─► connect to one that was checked ─► [TLS] ─► POST, signed ─► 2xx?
//!                              └ private, and not allowed: refused
//! ```
//!
//! # Invariants
//! - A connection is made to an address that was looked at, never to a name: a name that resolves otherwise a moment later changes
//!   nothing. Unless it is allowed, no address is connected to that is not out in the Internet ([`Reach`]).
//! - Redirects are not followed. 2xx means that the receiver has the message, and nothing else does: what follows the head of an
//!   answer changes neither.
//! - A receiver's URL may be its secret: it is shown as scheme and host.
//! - The signature ([`sign`]) covers id, time and body: nobody else's message verifies, nor one of another time.
//!
//! # Limits
//! An attempt takes no longer than it is given, name and handshake included; each address that is tried gets its part of that. Of an
//! answer 16 KiB of head and 64 fields are read, and 64 KiB of body within 1 s, to keep the connection; 16 idle connections are kept,
//! each for 60 s.

mod sign;
#[cfg(test)]
mod tests;

pub use sign::Secret;

use crate::error::{Error, Result};
use crate::outward::{Connection, Dialer, Reach, Target, causes, tls};
use bytes::Bytes;
use engine::BoxFuture;
use engine::clock::Clock;
use engine::outbox::{Courier, Letter};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Bytes of an answer's body that are read to keep its connection.
const BODY_MAX: usize = 64 << 10;
/// How long is waited for that body's end.
const BODY_TIME: Duration = Duration::from_secs(1);
/// Connections that are kept while nothing is sent on them.
const IDLE_MAX: usize = 16;
/// How long they are: what lies between may have forgotten an older one, and swallows what is sent on it.
const IDLE_TIME: Duration = Duration::from_mins(1);

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("firn/", env!("CARGO_PKG_VERSION")));

/// Where messages go, and how.
#[derive(Clone)]
pub struct WebhookOptions {
    /// `http://` or `https://`, without credentials in it.
    pub url: String,
    /// What signs.
    pub secret: Secret,
    /// Addresses of this machine and of private networks may be connected to.
    pub allow_private: bool,
    /// A PEM file of the certificates that an `https` receiver's must go back to, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// How long one attempt may take.
    pub timeout: Duration,
}

impl WebhookOptions {
    /// The receiver's scheme and host: its path and query may be what it knows its senders by.
    pub fn address(&self) -> Result<String> {
        Ok(Target::parse(&self.url)?.to_string())
    }

    /// Whether the URL can be used; its name is not looked up, and no file is read.
    pub fn check(&self) -> Result<()> {
        self.target().map(drop)
    }

    fn target(&self) -> Result<(Target, Reach)> {
        let target = Target::parse(&self.url)?;
        let reach = if self.allow_private { Reach::Anywhere } else { Reach::Internet };
        if let Some(address) = target.literal() {
            reach.check(address).map_err(Error::Invalid)?;
        }
        Ok((target, reach))
    }
}

impl std::fmt::Debug for WebhookOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let address = self.address().unwrap_or_else(|_| "an impossible URL".to_owned());
        f.debug_struct("WebhookOptions").field("address", &address).finish_non_exhaustive()
    }
}

/// Takes messages to one receiver.
pub struct Webhook {
    target: Target,
    secret: Secret,
    dialer: Dialer,
    clock: Arc<dyn Clock>,
    /// With the boot time since when.
    idle: Mutex<Vec<(Connection, Duration)>>,
}

impl Webhook {
    /// Checks the options, and loads what is believed. An error says what is wrong with which of them.
    pub fn new(options: &WebhookOptions, clock: Arc<dyn Clock>) -> Result<Self> {
        let (target, reach) = options.target()?;
        let tls = if target.is_tls() { Some(tls(options.ca_file.as_deref())?) } else { None };
        Ok(Self {
            target,
            secret: options.secret.clone(),
            dialer: Dialer { reach, tls, timeout: options.timeout, clock: Arc::clone(&clock) },
            clock,
            idle: Mutex::default(),
        })
    }

    async fn attempt(&self, letter: Letter<'_>) -> Result<(), String> {
        if let Some(connection) = self.kept() {
            // It may have been closed meanwhile: that says nothing of the receiver.
            if let Ok(outcome) = self.post(connection, letter).await {
                return outcome;
            }
        }
        let connection = self.dialer.connect(&self.target).await?;
        self.post(connection, letter).await.unwrap_or_else(Err)
    }

    fn kept(&self) -> Option<Connection> {
        let now = self.clock.boottime();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(connection, since)| !connection.is_closed() && now.saturating_sub(*since) <= IDLE_TIME);
        idle.pop().map(|(connection, _)| connection)
    }

    fn keep(&self, connection: Connection) {
        let since = self.clock.boottime();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push((connection, since));
        }
    }

    /// The outer error: the connection is no good.
    async fn post(
        &self,
        mut connection: Connection,
        letter: Letter<'_>,
    ) -> Result<Result<(), String>, String> {
        let broken = |error: hyper::Error| format!("send to {}: {}", self.target, causes(&error));
        connection.ready().await.map_err(broken)?;
        let request = self.request(letter)?;
        let answer = connection.send_request(request).await.map_err(broken)?;
        let status = answer.status();
        // What it said counts, whether or not it says any more.
        tokio::select! {
            biased;
            whole = read_to_end(answer) => if whole { self.keep(connection) },
            () = self.clock.sleep(BODY_TIME) => {}
        }
        Ok(if status.is_success() {
            Ok(())
        } else if status.is_redirection() {
            Err(format!("send to {}: it answered {status}, and redirects are not followed", self.target))
        } else {
            Err(format!("send to {}: it answered {status}", self.target))
        })
    }

    fn request(&self, letter: Letter<'_>) -> Result<Request<Full<Bytes>>, String> {
        let seconds = self.clock.now().as_secs().to_string();
        let mut request = Request::new(Full::new(letter.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.path().clone();
        let headers = request.headers_mut();
        headers.insert(HOST, self.target.host_header().clone());
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(letter.body.len()));
        headers.insert(USER_AGENT, AGENT);
        let signature = self.secret.sign(letter.id, &seconds, letter.body);
        for (name, value) in
            [("webhook-id", letter.id), ("webhook-timestamp", &seconds), ("webhook-signature", &signature)]
        {
            let value = HeaderValue::from_str(value).map_err(|_| format!("send {name}: {value:?}"))?;
            headers.insert(name, value);
        }
        Ok(request)
    }
}

/// Reads what is left of an answer, so that its connection can be used again; `false` where that is too much.
async fn read_to_end(answer: Response<Incoming>) -> bool {
    let mut body = answer.into_body();
    let mut left = BODY_MAX;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        let length = frame.data_ref().map_or(0, Bytes::len);
        if length > left {
            return false;
        }
        left -= length;
    }
    true
}

impl Courier for Webhook {
    fn deliver<'a>(&'a self, letter: Letter<'a>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            tokio::select! {
                biased;
                outcome = self.attempt(letter) => outcome,
                () = self.clock.sleep(self.dialer.timeout) => {
                    // Those that are kept may be as dead.
                    self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
                    Err(format!("send to {}: no answer within {:?}", self.target, self.dialer.timeout))
                }
            }
        })
    }

    fn address(&self) -> String {
        self.target.to_string()
    }
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Webhook({})", self.target)
    }
}
