//! `AWS_CA_BUNDLE`: an endpoint whose certificate goes back to a root of one's own.
//!
//! The key in `tls/` belongs to no host and signs nothing but this test's handshake.

#![expect(clippy::unwrap_used, reason = "a test")]

use client::{Client, Endpoint, ErrorKind, Settings};
use engine::clock::SystemClock;
use engine::entropy::SeededEntropy;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name)
}

/// An endpoint with the test's certificate; every request gets an empty list of buckets.
async fn endpoint() -> Endpoint {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = vec![CertificateDer::from_pem_file(file("root.pem")).unwrap()];
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(file("key.pem")).unwrap())
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

fn client(endpoint: &Endpoint, bundle: Option<PathBuf>) -> client::Result<Client> {
    let mut settings = Settings::new(endpoint.clone(), "us-east-1", None);
    settings.retries.attempts_max = 1;
    settings.ca_bundle = bundle;
    Client::new(settings, Arc::new(SystemClock), Arc::new(SeededEntropy::new(1)))
}

#[tokio::test]
async fn a_root_of_ones_own_is_believed_when_the_bundle_names_it() {
    let endpoint = endpoint().await;
    let believing = client(&endpoint, Some(file("root.pem"))).unwrap();
    assert!(believing.list_buckets().await.unwrap().is_empty());
    let by_default = client(&endpoint, None).unwrap();
    assert_eq!(by_default.list_buckets().await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_bundle_that_is_not_there_or_has_no_certificate_is_named() {
    let endpoint = endpoint().await;
    for name in ["nowhere.pem", "key.pem"] {
        let refused = client(&endpoint, Some(file(name))).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        assert!(
            refused.to_string().contains("AWS_CA_BUNDLE") && refused.to_string().contains(name),
            "{refused}"
        );
    }
}
