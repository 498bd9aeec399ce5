//! One attempt over the wire: a pooled hyper client, plain or TLS, with a bound on every wait.

use crate::endpoint::Endpoint;
use crate::error::{Error, Result, Trouble};
use crate::payload::Payload;
use bytes::Bytes;
use engine::clock::Clock;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const IDLE_CONNECTION: Duration = Duration::from_secs(20);
/// The slowest upload that is waited for, in bytes a second, on top of the answer's own bound.
const SLOWEST_UPLOAD: u64 = 16 << 10;
/// The slowest answer that is waited for where all of it is wanted, likewise.
const SLOWEST_ANSWER: u64 = 16 << 10;

/// A connection pool.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    pool: Pool,
    endpoint: String,
    clock: Arc<dyn Clock>,
    answer_within: Duration,
}

#[derive(Clone, Debug)]
enum Pool {
    Plain(Client<HttpConnector, Payload>),
    Tls(Client<HttpsConnector<HttpConnector>, Payload>),
}

/// TLS with the root certificates of a PEM file alone, which `named` names.
pub(crate) fn believing(file: &Path, named: &str) -> Result<ClientConfig> {
    let refused = |why: &dyn std::fmt::Display| {
        Error::Invalid(format!("load the certificates of {named}, {}: {why}", file.display()))
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| refused(&error))? {
        roots.add(certificate.map_err(|error| refused(&error))?).map_err(|error| refused(&error))?;
    }
    if roots.is_empty() {
        return Err(refused(&"there are none in it"));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(&error))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

impl Transport {
    /// `ca_bundle` names a file of root certificates that are believed instead of the system's.
    pub(crate) fn new(
        endpoint: &Endpoint,
        ca_bundle: Option<&Path>,
        clock: Arc<dyn Clock>,
        answer_within: Duration,
    ) -> Result<Self> {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_WITHIN));
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_CONNECTION);
        let pool = if endpoint.is_tls() {
            tcp.enforce_http(false);
            let tls = HttpsConnectorBuilder::new();
            let tls = match ca_bundle {
                Some(file) => tls.with_tls_config(believing(file, "AWS_CA_BUNDLE")?),
                None => tls
                    .with_native_roots()
                    .map_err(|error| Error::Invalid(format!("load the system's certificates: {error}")))?,
            };
            let tls = tls.https_only().enable_http1().wrap_connector(tcp);
            Pool::Tls(builder.build(tls))
        } else {
            Pool::Plain(builder.build(tcp))
        };
        Ok(Self { pool, endpoint: endpoint.to_string(), clock, answer_within })
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Sends one request and waits for the head of the answer.
    pub(crate) async fn send(
        &self,
        operation: &'static str,
        request: Request<Payload>,
        body_len: u64,
    ) -> Result<Response<Incoming>> {
        let within = self.answer_within + Duration::from_secs(body_len / SLOWEST_UPLOAD);
        let answer = async {
            match &self.pool {
                Pool::Plain(client) => client.request(request).await,
                Pool::Tls(client) => client.request(request).await,
            }
        };
        tokio::select! {
            answer = answer => answer.map_err(|error| {
                let otherwise = if error.is_connect() { Trouble::Unreachable } else { Trouble::Broken };
                self.broken(operation, &error, otherwise)
            }),
            () = self.clock.sleep(within) => Err(self.silent(operation, within)),
        }
    }

    /// The next piece of an answer's body; `None` at its end.
    pub(crate) async fn next_data(
        &self,
        operation: &'static str,
        body: &mut Incoming,
    ) -> Result<Option<Bytes>> {
        loop {
            let frame = tokio::select! {
                frame = body.frame() => frame,
                () = self.clock.sleep(self.answer_within) => {
                    return Err(self.silent(operation, self.answer_within));
                }
            };
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(self.broken(operation, &error, Trouble::Broken)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// A whole body, refused when it is larger than `max`, or slower than [`SLOWEST_ANSWER`]: one that comes a byte at a time, each in
    /// time, would hold up who waits for it for ever.
    pub(crate) async fn collect(
        &self,
        operation: &'static str,
        body: &mut Incoming,
        max: usize,
    ) -> Result<Bytes> {
        let (mut whole, begun) = (Vec::new(), self.clock.boottime());
        while let Some(data) = self.next_data(operation, body).await? {
            let within = self.answer_within + Duration::from_secs(whole.len() as u64 / SLOWEST_ANSWER);
            if self.clock.boottime().saturating_sub(begun) > within {
                return Err(self.silent(operation, within));
            }
            if whole.len() + data.len() > max {
                return Err(Error::Protocol { operation, detail: format!("it is longer than {max} bytes") });
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole.into())
    }

    fn silent(&self, operation: &'static str, after: Duration) -> Error {
        Error::Timeout { operation, endpoint: self.endpoint.clone(), after }
    }

    fn broken(
        &self,
        operation: &'static str,
        error: &(dyn std::error::Error + 'static),
        otherwise: Trouble,
    ) -> Error {
        let trouble = trouble(error).unwrap_or(otherwise);
        let mut detail = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !detail.contains(&text) {
                detail.push_str(": ");
                detail.push_str(&text);
            }
            source = cause.source();
        }
        Error::Transport { operation, endpoint: self.endpoint.clone(), trouble, detail }
    }
}

/// What the causes of a failure say about the two sides' not speaking the same protocol.
fn trouble(error: &(dyn std::error::Error + 'static)) -> Option<Trouble> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        match tls_error(error) {
            Some(rustls::Error::InvalidCertificate(_)) => return Some(Trouble::Untrusted),
            // An answer that is no TLS record.
            Some(rustls::Error::InvalidMessage(_)) => return Some(Trouble::NoTls),
            _ => {}
        }
        if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
            return Some(Trouble::NoHttp);
        }
        cause = error.source();
    }
    None
}

/// The TLS error that an I/O error was made of, however often it was wrapped; `source()` passes over it.
fn tls_error<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    if let Some(tls) = error.downcast_ref() {
        return Some(tls);
    }
    tls_error(error.downcast_ref::<std::io::Error>()?.get_ref()?)
}
