//! TLS in front of the doors: 1.2 and 1.3, HTTP/2 and HTTP/1.1, by rustls over aws-lc-rs.
//!
//! ```text
//!   accepted ─► first byte ─┬─ no TLS record: a request in plain HTTP is told so, anything else is closed
//!                           └─► handshake, bounded in time ─► ALPN: h2 │ http/1.1 (also when nothing is offered)
//! ```
//!
//! Clients are never asked for a certificate: signatures say who they are. No data is taken before the handshake is complete
//! (0-RTT could be replayed).

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// What ALPN calls HTTP/2.
pub(super) const H2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// The certificate, and the key that goes with it, that a door proves itself with. Each handshake takes the current one.
#[derive(Debug)]
pub struct Identity {
    current: ArcSwap<CertifiedKey>,
}

impl Identity {
    /// From a chain (the door's own certificate first) and its key; a key of another certificate is refused.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Arc<Self>, rustls::Error> {
        let certified = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())?;
        Ok(Arc::new(Self { current: ArcSwap::from_pointee(certified) }))
    }

    /// From now on handshakes take what `newer` has; connections that are open go on as they are.
    pub fn follow(&self, newer: &Self) {
        self.current.store(newer.current.load_full());
    }

    /// The door's own certificate, the first of the chain.
    pub fn certificate(&self) -> Option<CertificateDer<'static>> {
        self.current.load().cert.first().cloned()
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

/// What does the handshakes of a door.
pub(super) fn acceptor(identity: Arc<Identity>) -> Result<TlsAcceptor, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(identity);
    config.alpn_protocols = vec![H2.to_vec(), HTTP1.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
