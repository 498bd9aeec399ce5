//! Connections to where a configuration, or what is found by one, says: to addresses that were looked at first.
//!
//! ```text
//!   URL ─► name ─► addresses ─► each within reach? ─► connect to one of those ─► [TLS] ─► HTTP/1.1
//! ```
//! # Invariants
//! - A connection is made to an address that was looked at, never to a name: a name that resolves otherwise a moment later changes nothing.
//!   Unless it is allowed, no address is connected to that is not out in the Internet ([`address`]).
//! - Nothing follows a redirect.
//!
//! # Limits
//! Four addresses of a name, each of which gets its part of the time that a whole attempt has; of an answer 16 KiB of head and 64 fields.

mod address;
mod target;

pub(crate) use address::Reach;
pub(crate) use target::Target;

use crate::error::{Error, Result};
use crate::transport::believing;
use bytes::Bytes;
use engine::clock::Clock;
use http_body_util::Full;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_rustls::ConfigBuilderExt as _;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Bytes of an answer's head.
pub(crate) const HEAD_MAX: usize = 16 << 10;
/// Fields of an answer's head.
const FIELDS_MAX: usize = 64;
/// Addresses of a name that are tried.
const ADDRESSES_MAX: usize = 4;

/// What requests are sent on.
pub(crate) type Connection = SendRequest<Full<Bytes>>;

/// Makes connections.
#[derive(Clone)]
pub(crate) struct Dialer {
    pub(crate) reach: Reach,
    pub(crate) tls: Option<TlsConnector>,
    /// How long an attempt may take, its answer included.
    pub(crate) timeout: Duration,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Dialer {
    /// A connection to one of a host's addresses, each of them looked at first.
    pub(crate) async fn connect(&self, target: &Target) -> Result<Connection, String> {
        let mut addresses = self.addresses(target).await?;
        addresses.truncate(ADDRESSES_MAX);
        // One that swallows what is sent to it leaves time for the others, and for the answer.
        let part = self.timeout / u32::try_from(addresses.len() + 1).unwrap_or(1);
        let mut last = format!("find an address of {target}");
        for address in addresses {
            let outcome = tokio::select! {
                biased;
                outcome = self.connect_to(target, address) => outcome,
                () = self.clock.sleep(part) => {
                    Err(format!("connect to {target} at {address}: no answer within {part:?}"))
                }
            };
            match outcome {
                Ok(connection) => return Ok(connection),
                Err(why) => last = why,
            }
        }
        Err(last)
    }

    async fn addresses(&self, target: &Target) -> Result<Vec<SocketAddr>, String> {
        let (host, port) = (target.host(), target.port());
        let found: Vec<SocketAddr> = match target.literal() {
            Some(address) => vec![SocketAddr::new(address, port)],
            None => tokio::net::lookup_host((host, port))
                .await
                .map_err(|error| format!("look up {host}: {error}"))?
                .collect(),
        };
        self.reach.only(found)
    }

    async fn connect_to(&self, target: &Target, address: SocketAddr) -> Result<Connection, String> {
        let failed =
            |error: &dyn std::error::Error| format!("connect to {target} at {address}: {}", causes(error));
        let stream = TcpStream::connect(address).await.map_err(|error| failed(&error))?;
        stream.set_nodelay(true).map_err(|error| failed(&error))?;
        let Some(tls) = &self.tls else { return handshake(stream).await.map_err(|error| failed(&error)) };
        let name = target.server_name()?;
        let stream = tls.connect(name, stream).await.map_err(|error| failed(&error))?;
        handshake(stream).await.map_err(|error| failed(&error))
    }
}

async fn handshake<S>(stream: S) -> hyper::Result<Connection>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut http1 = Builder::new();
    http1.max_buf_size(HEAD_MAX).max_headers(FIELDS_MAX);
    let (connection, driver) = http1.handshake(TokioIo::new(stream)).await?;
    // It ends with its sender; what goes wrong on it is told to whoever sends.
    tokio::spawn(async move {
        if let Err(error) = driver.await {
            tracing::debug!(%error, "a connection to somebody else ended early");
        }
    });
    Ok(connection)
}

/// TLS with what is believed: the certificates of this file alone, or the system's.
pub(crate) fn tls(ca_file: Option<&Path>) -> Result<TlsConnector> {
    let mut config = if let Some(file) = ca_file {
        believing(file, "ca-file")?
    } else {
        let refused =
            |why: &dyn std::fmt::Display| Error::Invalid(format!("load the system's certificates: {why}"));
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| refused(&error))?
            .with_native_roots()
            .map_err(|error| refused(&error))?
            .with_no_client_auth()
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// An error with what caused it, each said once.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = cause.source();
    }
    text
}
