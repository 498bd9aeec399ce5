//! TLS in front of the doors: what is spoken, what is refused, and how long a client may take.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::late::one_part;
use crate::while_time_passes;
use crate::world::{Client, World, call, identity};
use engine::clock::Clock as _;
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SignatureScheme, SupportedProtocolVersion};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use web::Limits;

/// A client's side of TLS, which believes the world's certificate.
pub(crate) fn config(
    world: &World,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(world.certificate.clone().unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

pub(crate) async fn connect(config: ClientConfig, addr: SocketAddr) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(addr).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

/// A client that speaks HTTP/1.1 over TLS.
pub(crate) async fn client(world: &World, alpn: &[&str]) -> Client<TlsStream<TcpStream>> {
    let stream = connect(config(world, &[&TLS13], alpn), world.http).await;
    Client::of(stream, world.http.to_string())
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken_and_the_newest_http_that_the_client_has() {
    let world = World::secured(Limits::default()).await;
    for version in [&TLS12, &TLS13] {
        for (offered, chosen) in [
            (&["h2", "http/1.1"][..], Some("h2")),
            (&["http/1.1"], Some("http/1.1")),
            (&["h2"], Some("h2")),
            (&[], None),
        ] {
            let stream = connect(config(&world, &[version], offered), world.http).await;
            let session = stream.get_ref().1;
            assert_eq!(session.protocol_version(), Some(version.version));
            assert_eq!(session.alpn_protocol(), chosen.map(str::as_bytes), "{offered:?}");
        }
    }
}

#[tokio::test]
async fn http_1_1_is_over_tls_what_it_is_without() {
    let world = World::secured(Limits::default()).await;
    let mut client = client(&world, &["http/1.1"]).await;
    client.send(&world.signed("PUT", "/bucket", &[], b"")).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    let body = vec![b'x'; 300_000];
    let whole = world.signed("PUT", "/bucket/key", &[("expect", "100-continue")], &body);
    let (head, rest) = whole.split_at(whole.len() - body.len());
    client.send(head).await;
    assert_eq!(client.answer().await.unwrap().status, 100);
    client.send(rest).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    // Pipelined, the second broken: one answer, one refusal with its document, the end.
    let mut both = world.signed("GET", "/bucket/key", &[], b"");
    client.send(&both).await;
    assert_eq!(client.answer().await.unwrap().body, body);
    both = world.signed("HEAD", "/bucket/key", &[], b"");
    client.send(&both).await;
    assert_eq!(client.answer_to_head().await.unwrap().header("content-length"), Some("300000"));
    client.send(b"nonsense\r\n\r\n").await;
    let refused = client.answer().await.unwrap();
    assert_eq!((refused.status, refused.code()), (400, "BadRequest"));
    assert!(client.closed().await, "one answer, then the end");
    // The server lingers until its client is gone, or for a while that this test's clock never sees.
    drop(client);
    let mut client = self::client(&world, &[]).await;
    client.send_text("PUT /bucket/k HTTP/1.1\r\nhost: {host}\r\ncontent-length: 999999\r\n\r\n").await;
    let refused = client.answer().await.unwrap();
    assert_eq!((refused.status, refused.header("connection")), (403, Some("close")));
    assert!(client.closed().await, "it is told so, and not cut off");
    drop(client);
    world.shut_down().await;
}

#[tokio::test]
async fn a_door_is_called_https_where_it_speaks_tls() {
    let world = World::secured(Limits::default()).await;
    let mut client = client(&world, &["http/1.1"]).await;
    assert_eq!(call(&world, &mut client, ("PUT", "/bucket"), &[], b"").await.status, 200);
    let (path, document) = one_part(&world, &mut client).await;
    let completed = call(&world, &mut client, ("POST", &path), &[], document.as_bytes()).await;
    let location = format!("<Location>https://{}/bucket/k</Location>", world.http);
    assert!(completed.text().contains(&location), "{}", completed.text());
    for (protocol, sent_to) in [("", "https"), ("<Protocol>http</Protocol>", "http")] {
        let website = format!(
            "<WebsiteConfiguration><RedirectAllRequestsTo><HostName>a.example</HostName>{protocol}\
             </RedirectAllRequestsTo></WebsiteConfiguration>"
        );
        let set = call(&world, &mut client, ("PUT", "/bucket?website"), &[], website.as_bytes()).await;
        assert_eq!(set.status, 200, "{}", set.text());
        client.send_text("GET /x HTTP/1.1\r\nhost: bucket.s3-website.localhost\r\n\r\n").await;
        let visited = client.answer().await.unwrap();
        assert_eq!(
            (visited.status, visited.header("location")),
            (301, Some(&*format!("{sent_to}://a.example/x")))
        );
    }
}

#[tokio::test]
async fn handshakes_take_the_newest_certificate_and_open_connections_go_on() {
    let mut world = World::secured(Limits::default()).await;
    let mut open = client(&world, &["http/1.1"]).await;
    assert_eq!(call(&world, &mut open, ("PUT", "/bucket"), &[], b"").await.status, 200);
    let (certificate, newer) = identity();
    let live = world.identity.clone().unwrap();
    live.follow(&newer);
    assert_eq!(live.certificate().as_ref(), Some(&certificate));
    assert_eq!(call(&world, &mut open, ("GET", "/bucket"), &[], b"").await.status, 200);
    let believes_the_old = TlsConnector::from(Arc::new(config(&world, &[&TLS13], &["h2"])));
    let stream = TcpStream::connect(world.http).await.unwrap();
    believes_the_old.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap_err();
    world.certificate = Some(certificate);
    let mut next = client(&world, &["http/1.1"]).await;
    assert_eq!(call(&world, &mut next, ("GET", "/bucket"), &[], b"").await.status, 200);
}

#[tokio::test]
async fn tls_1_1_is_refused() {
    let world = World::secured(Limits::default()).await;
    let groups = [0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0];
    let signatures = [0, 13, 0, 4, 0, 2, 4, 3];
    for extensions in [groups.to_vec(), [&groups[..], &signatures].concat()] {
        let hello = [
            &[3, 2][..],                     // TLS 1.1
            &[7; 32],                        // random
            &[0],                            // no session
            &[0, 4, 0xc0, 0x13, 0xc0, 0x09], // ECDHE with AES-128-CBC
            &[1, 0],                         // no compression
            &[0, u8::try_from(extensions.len()).unwrap()],
            &extensions,
        ]
        .concat();
        let length = u8::try_from(hello.len()).unwrap();
        let record = [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &hello].concat();
        let mut client = world.connect().await;
        client.send(&record).await;
        let mut alert = [0; 7];
        client.stream.read_exact(&mut alert).await.unwrap();
        assert_eq!((alert[0], alert[5]), (21, 2), "a fatal alert");
        assert!([40, 70].contains(&alert[6]), "handshake_failure or protocol_version, not {}", alert[6]);
        assert!(client.closed().await);
    }
}

/// Has no certificate, and remembers whether it was asked for one.
#[derive(Debug, Default)]
struct Asked(AtomicBool);

impl ResolvesClientCert for Asked {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::SeqCst);
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn no_client_is_asked_for_a_certificate() {
    let world = World::secured(Limits::default()).await;
    let asked = Arc::new(Asked::default());
    for version in [&TLS12, &TLS13] {
        for addr in [world.http, world.admin] {
            let mut config = config(&world, &[version], &["http/1.1"]);
            config.client_auth_cert_resolver = asked.clone();
            let mut client = Client::of(connect(config, addr).await, addr.to_string());
            client.send_text("GET /livez HTTP/1.1\r\nhost: {host}\r\n\r\n").await;
            assert!(client.answer().await.is_some());
        }
    }
    assert!(!asked.0.load(Ordering::SeqCst));
}

#[tokio::test]
async fn plain_http_to_a_tls_port_is_told_so() {
    let world = World::secured(Limits::default()).await;
    let mut client = world.connect().await;
    client.send(&world.signed("PUT", "/bucket/key", &[], &vec![b'x'; 100_000])).await;
    let told = client.answer().await.unwrap();
    assert_eq!((told.status, told.code(), told.header("connection")), (400, "BadRequest", Some("close")));
    assert!(told.text().contains("use https://") && told.header("x-amz-request-id").is_some(), "{told:?}");
    assert!(client.closed().await);
    let mut client = world.connect_admin().await;
    client.send_text("GET /livez HTTP/1.1\r\nhost: {host}\r\n\r\n").await;
    let told = client.answer().await.unwrap();
    assert_eq!((told.status, told.text()), (400, "this port speaks TLS: use https://\n"));
}

#[tokio::test]
async fn what_is_no_handshake_is_closed_and_a_slow_one_is_bounded() {
    // Long enough for the clients that mean it, however fast the test's time passes.
    let patience = Duration::from_hours(1);
    let limits = Limits {
        connections_max: 1,
        handshake_timeout: patience,
        header_read_timeout: patience,
        ..Limits::default()
    };
    let world = World::secured(limits).await;
    for garbage in
        [&b"\x80\x2e\x01\x03\x01"[..], &[0; 600], b"\x16\x03\x01\xff\xff", b"\x16hello, hello, hello"]
    {
        let mut client = world.connect().await;
        client.send(garbage).await;
        while_time_passes(&world, client.closed()).await;
    }
    // Neither silence nor half a hello holds a connection, and so the next client's turn comes.
    for begun in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        let mut slow = world.connect().await;
        slow.send(begun).await;
        let waiting = async {
            let mut next = client(&world, &["http/1.1"]).await;
            next.send(&world.signed("GET", "/", &[], b"")).await;
            next.answer().await.unwrap().status
        };
        assert_eq!(while_time_passes(&world, waiting).await, 200);
        assert!(slow.closed().await);
    }
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_handshake() {
    // Neither silence nor half a hello is an open request. Both timeouts are longer than a test's time passes meanwhile.
    let long = Duration::from_hours(2);
    for begun in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        let limits = Limits { handshake_timeout: long, drain_timeout: long, ..Limits::default() };
        let mut world = World::secured(limits).await;
        let mut slow = world.connect().await;
        slow.send(begun).await;
        let stream = connect(config(&world, &[&TLS13], &["http/1.1"]), world.admin).await;
        let mut admin = Client::of(stream, world.admin.to_string());
        loop {
            let request = "GET /metrics HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer the-token\r\n\r\n";
            admin.send_text(request).await;
            if admin.answer().await.unwrap().text().contains("firn_http_connections_open{door=\"s3\"} 1") {
                break;
            }
        }
        drop(admin);
        let asked = world.clock.boottime();
        world.ask_to_stop();
        let (clock, stopping) = (world.clock.clone(), world.stopped());
        let mut stopping = std::pin::pin!(stopping);
        for _ in 0..10_000 {
            tokio::select! {
                biased;
                () = &mut stopping => break,
                () = tokio::task::yield_now() => clock.advance(Duration::from_secs(1)),
            }
        }
        assert!(
            clock.boottime().saturating_sub(asked) < long,
            "it waited for the handshake, or to the end of its patience"
        );
        assert!(slow.closed().await);
    }
}
