//! What the doors are told: addresses, limits and timeouts, with defaults that bound everything.

use crate::server::Identity;
use engine::unit::ByteCount;
use objectstore::ObjectOwnership;
use security::form::LegacyForms;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The configuration of the HTTP doors.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the AWS-shaped services listen.
    pub http: SocketAddr,
    /// Where probes, metrics and the admin API listen.
    pub admin: SocketAddr,
    /// What the S3 door proves itself with: it speaks TLS, and nothing else, when this is there.
    pub http_tls: Option<Arc<Identity>>,
    /// The same for the admin door.
    pub admin_tls: Option<Arc<Identity>>,
    /// Host names below which the first label is a bucket (`bucket.s3.localhost`). Lower case, no port.
    pub base_domains: Vec<String>,
    /// Host names below which the first label is a bucket's website. They go before `base_domains`. Lower case, no port.
    pub website_domains: Vec<String>,
    /// Whether forms may carry the old signature, HMAC-SHA1 over their policy.
    pub legacy_forms: LegacyForms,
    /// Who owns the objects of a bucket whose creation does not say it.
    pub new_bucket_ownership: ObjectOwnership,
    /// What is bounded.
    pub limits: Limits,
}

/// Every bound of the HTTP doors.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections served at once on the S3 door; the next ones wait in the listen queue.
    pub connections_max: usize,
    /// Connections served at once on the admin door.
    pub admin_connections_max: usize,
    /// Bytes of one request's header section before it is refused with S3's code.
    pub header_section_max: ByteCount,
    /// Bytes of an XML request body.
    pub xml_body_max: ByteCount,
    /// Memory that the bodies of all requests together may hold.
    pub bodies_max: ByteCount,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// Requests that one HTTP/2 connection may have open at once.
    pub streams_max: u32,
    /// How long a connection may take to send a complete request head, idle time before it included.
    pub header_read_timeout: Duration,
    /// How long a body may pause, and the window in which it must make progress.
    pub body_idle_timeout: Duration,
    /// Bytes a body must bring in each window of `body_idle_timeout`.
    pub body_window_min: ByteCount,
    /// How long a client may take no byte of a response.
    pub write_idle_timeout: Duration,
    /// How long open requests may finish after shutdown is asked for.
    pub drain_timeout: Duration,
}

impl Config {
    /// How a client of the S3 door's URL begins: what a proxy in front of it speaks is not known.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.http_tls.is_some() { "https" } else { "http" }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            admin_connections_max: 64,
            header_section_max: ByteCount::kib(8),
            xml_body_max: ByteCount::mib(2),
            bodies_max: ByteCount::mib(256),
            handshake_timeout: Duration::from_secs(10),
            streams_max: 128,
            header_read_timeout: Duration::from_mins(1),
            body_idle_timeout: Duration::from_secs(30),
            body_window_min: ByteCount::kib(4),
            write_idle_timeout: Duration::from_mins(1),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            http: SocketAddr::from(([127, 0, 0, 1], 9000)),
            admin: SocketAddr::from(([127, 0, 0, 1], 9001)),
            http_tls: None,
            admin_tls: None,
            base_domains: vec!["s3.localhost".to_owned(), "localhost".to_owned()],
            website_domains: vec!["s3-website.localhost".to_owned()],
            legacy_forms: LegacyForms::Refused,
            new_bucket_ownership: ObjectOwnership::default(),
            limits: Limits::default(),
        }
    }
}
