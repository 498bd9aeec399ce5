//! Fetches documents of OIDC issuers: one GET each, over TLS, from addresses that were looked at ([`outward`](crate::outward)).
//!
//! # Invariants
//! - Only `https` is spoken, but to origins that the configuration names for plain `http`.
//! - Redirects are not followed: 200 is an answer, and nothing else is.
//! - A document that is longer than asked for, or late, is none.
//!
//! # Limits
//! A fetch takes no longer than it is given, name and handshake included. No connection is kept.

use crate::error::{Error, Result};
use crate::outward::{Dialer, Reach, Target, causes, tls};
use bytes::{Bytes, BytesMut};
use engine::BoxFuture;
use engine::clock::Clock;
use http::header::{ACCEPT, CONNECTION, HOST, HeaderValue, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use security::identity::Fetch;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_rustls::TlsConnector;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const CLOSE: HeaderValue = HeaderValue::from_static("close");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("firn/", env!("CARGO_PKG_VERSION")));

/// Where documents may be fetched from, and how.
#[derive(Clone, Debug)]
pub struct FetcherOptions {
    /// Addresses of this machine and of private networks may be connected to.
    pub allow_private: bool,
    /// A PEM file of the certificates that a server's must go back to, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Origins that may be asked without TLS: `http://127.0.0.1:8080`.
    pub plain_http: Vec<String>,
    /// How long a fetch may take.
    pub timeout: Duration,
}

/// Fetches.
pub struct Fetcher {
    options: FetcherOptions,
    /// Made when it is first needed, unless a file names what is believed: a machine without certificates may have no issuer.
    tls: Mutex<Option<TlsConnector>>,
    clock: Arc<dyn Clock>,
}

impl Fetcher {
    /// Checks the options, and loads what is believed if a file has it. An error says what is wrong with which of them.
    pub fn new(options: FetcherOptions, clock: Arc<dyn Clock>) -> Result<Self> {
        options.plain_http.iter().try_for_each(|origin| Self::check_origin(origin))?;
        let believed = options.ca_file.as_deref().map(|file| tls(Some(file))).transpose()?;
        Ok(Self { options, tls: Mutex::new(believed), clock })
    }

    /// Whether it is one that may be asked without TLS, if the configuration names it.
    pub fn check_origin(origin: &str) -> Result<()> {
        let target = Target::parse(origin)?;
        if target.is_tls() || target.to_string() != *origin {
            return Err(Error::Invalid(format!("{origin:?} is no origin: http://HOST:PORT is wanted")));
        }
        Ok(())
    }

    fn reach(&self) -> Reach {
        if self.options.allow_private { Reach::Anywhere } else { Reach::Internet }
    }

    /// A URL that may be asked.
    fn target(&self, url: &str) -> Result<Target, String> {
        let target = Target::parse(url).map_err(|error| error.to_string())?;
        if !target.is_tls() && !self.options.plain_http.contains(&target.to_string()) {
            return Err(format!(
                "ask {target}: it is not https; oidc.plain-http names origins that are asked without TLS"
            ));
        }
        if let Some(address) = target.literal() {
            self.reach().check(address)?;
        }
        Ok(target)
    }

    fn tls(&self) -> Result<TlsConnector, String> {
        let mut made = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        if made.is_none() {
            *made = Some(tls(None).map_err(|error| error.to_string())?);
        }
        made.clone().ok_or_else(|| "load what is believed".to_owned())
    }

    async fn fetch(&self, url: &str, bytes_max: usize) -> Result<Bytes, String> {
        let target = self.target(url)?;
        let dialer = Dialer {
            reach: self.reach(),
            tls: if target.is_tls() { Some(self.tls()?) } else { None },
            timeout: self.options.timeout,
            clock: Arc::clone(&self.clock),
        };
        let failed = |error: hyper::Error| format!("ask {target}: {}", causes(&error));
        let mut connection = dialer.connect(&target).await?;
        connection.ready().await.map_err(failed)?;
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.uri_mut() = target.path().clone();
        let headers = request.headers_mut();
        headers.insert(HOST, target.host_header().clone());
        headers.extend([(ACCEPT, JSON), (USER_AGENT, AGENT), (CONNECTION, CLOSE)]);
        let answer = connection.send_request(request).await.map_err(failed)?;
        let status = answer.status();
        if status.is_redirection() {
            return Err(format!("ask {target}: it answered {status}, and redirects are not followed"));
        }
        if status != StatusCode::OK {
            return Err(format!("ask {target}: it answered {status}"));
        }
        let mut body = answer.into_body();
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(failed)?.into_data() else { continue };
            if whole.len() + data.len() > bytes_max {
                return Err(format!("ask {target}: its answer has more than {bytes_max} bytes"));
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole.freeze())
    }
}

impl Fetch for Fetcher {
    fn check(&self, url: &str) -> Result<(), String> {
        self.target(url).map(drop)
    }

    fn get<'a>(&'a self, url: &'a str, bytes_max: usize) -> BoxFuture<'a, Result<Bytes, String>> {
        Box::pin(async move {
            tokio::select! {
                biased;
                outcome = self.fetch(url, bytes_max) => outcome,
                () = self.clock.sleep(self.options.timeout) => {
                    let target = self.target(url)?;
                    Err(format!("ask {target}: no answer within {:?}", self.options.timeout))
                }
            }
        })
    }
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").field("options", &self.options).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Fetcher, FetcherOptions};
    use bytes::Bytes;
    use engine::clock::{ManualClock, Timestamp};
    use security::identity::Fetch as _;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    fn fetcher(allow_private: bool, plain: &[&str]) -> (Fetcher, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let options = FetcherOptions {
            allow_private,
            ca_file: None,
            plain_http: plain.iter().map(|origin| (*origin).to_owned()).collect(),
            timeout: Duration::from_secs(10),
        };
        (Fetcher::new(options, clock.clone()).unwrap(), clock)
    }

    /// What a fetch comes to where a server answers so; and what it was asked.
    async fn answered(text: &str, bytes_max: usize) -> (Result<Bytes, String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let (fetcher, _) = fetcher(true, &[&origin]);
        let url = format!("{origin}/keys?v=1");
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(text.as_bytes()).await.unwrap();
            String::from_utf8(head).unwrap()
        };
        tokio::join!(fetcher.get(&url, bytes_max), server)
    }

    #[tokio::test]
    async fn a_document_is_fetched_whole_within_its_bounds_or_not_at_all() {
        let ok = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n{\"\"}";
        let (body, head) = answered(ok, 4).await;
        assert_eq!(body.unwrap(), "{\"\"}");
        assert!(head.starts_with("GET /keys?v=1 HTTP/1.1\r\n"), "{head}");
        assert!(!head.to_lowercase().contains("authorization"), "{head}");
        for (text, max, says) in [
            (ok, 3, "more than 3 bytes"),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n123456789\r\n0\r\n\r\n",
                8,
                "more than 8 bytes",
            ),
            (
                "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
                9,
                "redirects are not followed",
            ),
            ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", 9, "404"),
            ("HTTP/1.1 204 No Content\r\n\r\n", 9, "204"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n12", 9, "ask http"),
            ("nonsense", 9, "ask http"),
        ] {
            let why = answered(text, max).await.0.unwrap_err();
            assert!(why.contains(says) && !why.contains("/keys"), "{text}: {why}");
        }
    }

    #[tokio::test]
    async fn a_fetch_ends_in_time_whatever_the_server_does() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let (fetcher, clock) = fetcher(true, &[&origin]);
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n1").await.unwrap();
            clock.advance(Duration::from_secs(11));
            stream
        };
        let (outcome, _) = tokio::join!(fetcher.get(&origin, 100), server);
        assert!(outcome.unwrap_err().contains("no answer within 10s"));
    }

    #[tokio::test]
    async fn neither_plain_text_nor_this_machine_is_asked_unless_it_is_allowed() {
        let (strict, _) = fetcher(false, &[]);
        for (url, says) in [
            ("http://login.test/", "oidc.plain-http"),
            ("http://127.0.0.1/", "oidc.plain-http"),
            ("https://127.0.0.1/", "allow-private = true"),
            ("https://[::1]/", "allow-private = true"),
            ("https://169.254.169.254/latest", "allow-private = true"),
            ("https://10.0.0.1:8443/", "allow-private = true"),
            ("ftp://login.test/", "neither https:// nor http://"),
            ("file:///etc/passwd", "it is no URL"),
            ("https://u:p@login.test/", "credentials"),
        ] {
            let why = strict.check(url).unwrap_err();
            assert!(why.contains(says), "{url}: {why}");
            assert_eq!(strict.get(url, 1).await.unwrap_err(), why);
        }
        strict.check("https://login.test/keys").unwrap();
        // A name that is this machine's.
        let why = strict.get("https://localhost/", 1).await.unwrap_err();
        assert!(why.contains("allow-private = true"), "{why}");
        let (plain, _) = fetcher(false, &["http://login.test:8080"]);
        plain.check("http://login.test:8080/a").unwrap();
        for other in ["http://login.test/", "http://login.test:8081/", "http://login.test:8080.evil.test/"] {
            plain.check(other).unwrap_err();
        }
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        for bad in ["https://login.test", "http://login.test/path", "login.test", ""] {
            let options = FetcherOptions {
                allow_private: false,
                ca_file: None,
                plain_http: vec![bad.to_owned()],
                timeout: Duration::from_secs(1),
            };
            Fetcher::new(options, clock.clone()).unwrap_err();
        }
    }
}
