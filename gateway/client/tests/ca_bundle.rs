//! `AWS_CA_BUNDLE`: an endpoint whose certificate goes back to a root of one's own.

#![expect(clippy::unwrap_used, reason = "a test")]

use client::{Client, Endpoint, ErrorKind, Settings};
use engine::clock::SystemClock;
use engine::entropy::SeededEntropy;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// An endpoint whose certificate nobody knows, and the directory with it in `root.pem` and with its key in `key.pem`.
struct World {
    endpoint: Endpoint,
    files: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("root.pem"), made.cert.pem()).unwrap();
        std::fs::write(files.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        Self { endpoint: endpoint(made.cert.der().clone(), key).await, files }
    }

    fn client(&self, bundle: Option<&str>) -> client::Result<Client> {
        let mut settings = Settings::new(self.endpoint.clone(), "us-east-1", None);
        settings.retries.attempts_max = 1;
        settings.ca_bundle = bundle.map(|name| self.files.path().join(name));
        Client::new(settings, Arc::new(SystemClock), Arc::new(SeededEntropy::new(1)))
    }
}

/// Every request gets an empty list of buckets.
async fn endpoint(certificate: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> Endpoint {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A client that does not believe the certificate ends the handshake.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = Vec::new();
            while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                stream.read_buf(&mut request).await.unwrap();
            }
            let body = "<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>";
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    Endpoint::parse(&format!("https://{address}")).unwrap()
}

#[tokio::test]
async fn a_root_of_ones_own_is_believed_when_the_bundle_names_it() {
    let world = World::new().await;
    let believing = world.client(Some("root.pem")).unwrap();
    assert!(believing.list_buckets().await.unwrap().is_empty());
    let by_default = world.client(None).unwrap();
    assert_eq!(by_default.list_buckets().await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_bundle_that_is_not_there_or_has_no_certificate_is_named() {
    let world = World::new().await;
    for name in ["nowhere.pem", "key.pem"] {
        let refused = world.client(Some(name)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        assert!(
            refused.to_string().contains("AWS_CA_BUNDLE") && refused.to_string().contains(name),
            "{refused}"
        );
    }
}
