//! A receiver on loopback that does as it is told, and what is delivered to it.

use super::{Secret, Webhook, WebhookOptions};
use bytes::Bytes;
use engine::clock::{Clock as _, ManualClock, Timestamp};
use engine::outbox::{Courier as _, Letter};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn options(url: String) -> WebhookOptions {
    WebhookOptions {
        url,
        secret: SECRET.parse().unwrap(),
        allow_private: true,
        ca_file: None,
        timeout: Duration::from_secs(10),
    }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_millis(1_614_265_330_500)))
}

/// One request as it came: its head's lines, and its body.
async fn read(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Option<(Vec<String>, Vec<u8>)> {
    let mut reader = BufReader::with_capacity(1, stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let length =
        lines.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.ok()?;
    Some((lines, body))
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/events?x=1", listener.local_addr().unwrap());
    (listener, url)
}

async fn answer(stream: &mut TcpStream, answer: &str) -> (Vec<String>, Vec<u8>) {
    let request = read(stream).await.unwrap();
    stream.write_all(answer.as_bytes()).await.unwrap();
    request
}

const OK: &str = "HTTP/1.1 204 No Content\r\n\r\n";

fn letter(body: &Bytes) -> Letter<'_> {
    Letter { id: "msg_p5jXN8AQM9LWM0D4loKWxJek", body }
}

#[tokio::test]
async fn a_message_is_posted_signed_and_its_connection_kept() {
    let (listener, url) = listen().await;
    let webhook = Webhook::new(&options(url.clone()), clock()).unwrap();
    let body = Bytes::from_static(br#"{"test": 2432232314}"#);
    let receiver = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (lines, got) = answer(&mut stream, OK).await;
        let again = answer(&mut stream, OK).await;
        assert_eq!(again.0, lines, "the same message, on the same connection");
        (lines, got)
    };
    let sender = async {
        webhook.deliver(letter(&body)).await.unwrap();
        webhook.deliver(letter(&body)).await.unwrap();
    };
    let ((lines, got), ()) = tokio::join!(receiver, sender);
    assert_eq!(got, body);
    assert_eq!(lines[0], "POST /events?x=1 HTTP/1.1");
    for wanted in [
        "content-type: application/json",
        "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp: 1614265330",
        "webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ] {
        assert!(lines.iter().any(|line| line == wanted), "{wanted} in {lines:?}");
    }
    for shown in [webhook.address(), format!("{webhook:?}"), format!("{:?}", options(url.clone()))] {
        assert!(shown.contains("http://127.0.0.1:") && !shown.contains("events"), "{shown}");
    }
}

#[tokio::test]
async fn only_2xx_means_that_a_message_arrived_and_a_redirect_is_not_followed() {
    let (listener, url) = listen().await;
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let webhook = Webhook::new(&options(url), clock()).unwrap();
    let body = Bytes::from_static(b"{}");
    let location = format!("location: http://{}/", elsewhere.local_addr().unwrap());
    for (head, says) in [
        ("HTTP/1.1 302 Found", "redirects are not followed"),
        ("HTTP/1.1 307 Temporary Redirect", "redirects are not followed"),
        ("HTTP/1.1 404 Not Found", "404"),
        ("HTTP/1.1 503 Service Unavailable", "503"),
        ("nonsense", "send to"),
    ] {
        let text = format!("{head}\r\n{location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let receiver = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            answer(&mut stream, &text).await;
        };
        let (outcome, ()) = tokio::join!(webhook.deliver(letter(&body)), receiver);
        let why = outcome.unwrap_err();
        assert!(why.contains(says) && !why.contains("/events"), "{head}: {why}");
    }
    let nobody = futures_util::poll!(std::pin::pin!(elsewhere.accept()));
    assert!(nobody.is_pending(), "somebody went where the redirect pointed");
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_made_anew() {
    let (listener, url) = listen().await;
    let webhook = Webhook::new(&options(url), clock()).unwrap();
    let body = Bytes::from_static(b"{}");
    for _ in 0..3 {
        let receiver = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            answer(&mut stream, OK).await;
        };
        let (outcome, ()) = tokio::join!(webhook.deliver(letter(&body)), receiver);
        outcome.unwrap();
    }
}

#[tokio::test]
async fn an_attempt_takes_no_longer_than_it_is_given() {
    let (listener, url) = listen().await;
    let clock = clock();
    let webhook = Webhook::new(&options(url), clock.clone()).unwrap();
    let body = Bytes::from_static(b"{}");
    let receiver = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read(&mut stream).await;
        clock.advance(Duration::from_secs(10));
        (stream, request)
    };
    let (outcome, _) = tokio::join!(webhook.deliver(letter(&body)), receiver);
    assert!(outcome.unwrap_err().contains("no answer within 10s"));
    assert_eq!(clock.now(), Timestamp::from_millis(1_614_265_340_500));
}

#[tokio::test]
async fn a_message_that_was_taken_arrived_though_the_answer_has_no_end() {
    let (listener, url) = listen().await;
    let clock = clock();
    let timeout = Duration::from_hours(24);
    let webhook = Webhook::new(&WebhookOptions { timeout, ..options(url) }, clock.clone()).unwrap();
    let body = Bytes::from_static(b"{}");
    for (head, arrives) in [("200 OK", true), ("500 Internal Server Error", false)] {
        let text = format!("HTTP/1.1 {head}\r\ncontent-length: 10\r\n\r\nhalf");
        let receiver = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            answer(&mut stream, &text).await;
            stream
        };
        let mut delivery = webhook.deliver(letter(&body));
        let mut receiver = std::pin::pin!(receiver);
        let mut stream = tokio::select! {
            outcome = &mut delivery => panic!("{outcome:?}"),
            stream = &mut receiver => stream,
        };
        let outcome = loop {
            if let std::task::Poll::Ready(outcome) = futures_util::poll!(&mut delivery) {
                break outcome;
            }
            clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        };
        assert_eq!(outcome.is_ok(), arrives, "{head}: {outcome:?}");
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0, "it is not kept");
    }
}

#[tokio::test]
async fn a_connection_is_kept_for_a_minute_and_none_after_an_attempt_without_an_answer() {
    let (listener, url) = listen().await;
    let clock = clock();
    let webhook = Webhook::new(&options(url), clock.clone()).unwrap();
    let body = Bytes::from_static(b"{}");
    let mut old = Vec::new();
    for idle in [Duration::from_secs(61), Duration::from_mins(1)] {
        let receiver = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            answer(&mut stream, OK).await;
            stream
        };
        let (outcome, stream) = tokio::join!(webhook.deliver(letter(&body)), receiver);
        outcome.unwrap();
        old.push(stream);
        clock.advance(idle);
    }
    // The second one is taken still, and does not answer.
    let silent = async {
        let request = read(&mut old[1]).await;
        clock.advance(Duration::from_secs(10));
        request
    };
    let (outcome, request) = tokio::join!(webhook.deliver(letter(&body)), silent);
    assert!(request.is_some() && outcome.unwrap_err().contains("no answer"));
    assert!(webhook.kept().is_none());
}

#[tokio::test]
async fn what_a_receiver_says_is_bounded() {
    let (listener, url) = listen().await;
    let webhook = Webhook::new(&options(url), clock()).unwrap();
    let body = Bytes::from_static(b"{}");
    // A head without end ends the connection; a long body only costs it.
    let long_head = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(crate::outward::HEAD_MAX * 2));
    let many = (0..200).map(|n| format!("x{n}: y\r\n")).collect::<Vec<_>>().concat();
    let many_fields = format!("HTTP/1.1 200 OK\r\n{many}\r\n");
    let long_body =
        format!("HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n{}", "z".repeat(super::BODY_MAX * 2));
    for (text, arrives) in [(long_head, false), (many_fields, false), (long_body, true)] {
        let receiver = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            read(&mut stream).await.unwrap();
            // Whoever sent it may have hung up.
            let _cut = stream.write_all(text.as_bytes()).await;
            stream
        };
        let (outcome, _) = tokio::join!(webhook.deliver(letter(&body)), receiver);
        assert_eq!(outcome.is_ok(), arrives, "{outcome:?}");
    }
}

#[tokio::test]
async fn private_addresses_are_refused_by_number_and_behind_a_name() {
    let (listener, url) = listen().await;
    let strict = |url: &str| {
        Webhook::new(&WebhookOptions { allow_private: false, ..options(url.to_owned()) }, clock())
    };
    assert!(strict(&url).unwrap_err().to_string().contains("allow-private"));
    strict("https://[::ffff:10.0.0.1]/").unwrap_err();
    // Of a name it is known when it is looked up.
    let by_name = url.replace("127.0.0.1", "localhost");
    let body = Bytes::from_static(b"{}");
    let why = strict(&by_name).unwrap().deliver(letter(&body)).await.unwrap_err();
    assert!(why.contains("allow-private"), "{why}");
    let nobody = futures_util::poll!(std::pin::pin!(listener.accept()));
    assert!(nobody.is_pending(), "nobody was connected to");
}

#[tokio::test]
async fn a_receiver_with_tls_proves_who_it_is() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = tempfile::tempdir().unwrap();
    let ca = files.path().join("ca.pem");
    std::fs::write(&ca, made.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = |host: &str| format!("https://{host}:{port}/");
    let body = Bytes::from_static(b"{}");
    let believing = |host: &str| WebhookOptions { ca_file: Some(ca.clone()), ..options(url(host)) };
    for (options, arrives) in [
        (believing("localhost"), true),
        // Not the name in the certificate, and a certificate of nobody's.
        (believing("127.0.0.1"), false),
        (options(url("localhost")), false),
    ] {
        let webhook = Webhook::new(&options, clock()).unwrap();
        let receiver = async {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            if read(&mut stream).await.is_some() {
                stream.write_all(OK.as_bytes()).await.unwrap();
            }
        };
        let (outcome, ()) = tokio::join!(webhook.deliver(letter(&body)), receiver);
        assert_eq!(outcome.is_ok(), arrives, "{options:?}: {outcome:?}");
    }
    let nowhere =
        WebhookOptions { ca_file: Some(files.path().join("none.pem")), ..options(url("localhost")) };
    assert!(Webhook::new(&nowhere, clock()).unwrap_err().to_string().contains("none.pem"));
    assert_eq!(format!("{:?}", SECRET.parse::<Secret>().unwrap()), "Secret(…)");
}
