//! An S3 client over hyper: what the command line and the backup use.
//!
//! ```text
//!   Client ── call ──► sign (security) ──► transport (hyper, TLS) ──► any S3 endpoint
//!     │        └── retry: back-off with jitter, anew signed each time
//!     ├── bucket · list · object · multipart · presign      the calls
//!     ├── iam · glacier                                     calls of IAM, of Glacier
//!     ├── json                                              calls of services that speak JSON
//!     ├── wire                                              requests of others, signed by them (remote pools)
//!     └── download                                          a body that resumes where a connection broke
//!   outward ── connections whose addresses are looked at first: webhook (events), fetcher (keys of OIDC issuers)
//! ```
//!
//! Invariants: one canonicalisation for both sides of the wire (`security::sign`); every wait is bounded; a body that is
//! handed up has passed the checksum that the endpoint gave for it, or says that there was none; an answer counts if it is S3's (`call`): a
//! document by its root, a list by saying whether it ends, what has no document by its status and by a header of S3's, or else by a list of
//! the bucket.
//!
//! Limits: an answer in XML is at most 16 MiB; a request's body is held in memory (parts of an upload are, so that an
//! attempt can be repeated), never a whole large object. An archive is read from its file as it is sent (`archive`).
//!
//! docs/adr/0004 says why it is neither aws-sdk-s3 nor `object_store`.

mod admin;
mod archive;
mod bucket;
mod call;
mod checksum;
mod date;
mod download;
mod endpoint;
mod error;
mod fetcher;
mod glacier;
mod iam;
mod json;
mod lifecycle;
mod list;
mod lock;
mod multipart;
mod object;
mod outward;
mod payload;
mod restore;
mod retry;
mod settings;
mod transport;
mod webhook;
mod wire;
mod xml;

pub use admin::Admin;
pub use archive::{ARCHIVE_BYTES_MAX, Archive, ExtractOptions, Extracted};
pub use bucket::{Bucket, BucketHead, Deduplicated, Versioning};
pub use checksum::{Crc64, RunningMd5, md5_etag, multipart_etag};
pub use download::Download;
pub use endpoint::{Endpoint, Style};
pub use error::{Error, ErrorKind, Result, ServiceError, Trouble};
pub use fetcher::{Fetcher, FetcherOptions};
pub use glacier::{GlacierAnswer, GlacierCall};
pub use iam::Described;
pub use json::{JsonAnswer, JsonService};
pub use lifecycle::LifecycleRule;
pub use list::{List, ObjectEntry, Page, Pages, VersionEntry};
pub use lock::{BucketLock, ObjectLock};
pub use multipart::{CompletedPart, OpenUpload, PartEntry, UploadEntry, UploadMarker};
pub use object::{
    CopyProof, DELETE_MANY_MAX, DeleteFailure, Deleted, KEPT_HEADERS, ObjectHead, ObjectRef, PutOptions,
    PutResult,
};
pub use restore::RestoreAnswer;
pub use retry::{Listener, Retries};
pub use settings::{Checksums, Credentials, EndpointFrom, Environment, Overrides, Settings};
pub use webhook::{Secret, Webhook, WebhookOptions};
pub use wire::Wire;

use bytes::Bytes;
use engine::clock::Clock;
use engine::entropy::Entropy;
use http::HeaderMap;
use retry::{Reach, Told};
use security::credentials::{AccessKeyId, SecretKey};
use security::sign::{PayloadHash, Signer};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use transport::Transport;

/// The longest that a presigned URL may live.
const PRESIGN_MAX: Duration = Duration::from_hours(7 * 24);

/// A client of one endpoint. Cheap to clone; clones share the connections.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: Settings,
    transport: Transport,
    signer: Option<Signer>,
    entropy: Arc<dyn Entropy>,
    reach: Reach,
    told: Told,
    /// Buckets by which the endpoint was seen to be one of S3.
    proven: tokio::sync::Mutex<HashSet<String>>,
}

impl Client {
    /// A client; nothing is sent yet.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Result<Self> {
        let transport =
            Transport::new(&settings.endpoint, settings.ca_bundle.as_deref(), clock, settings.answer_within)?;
        let signer = signer(&settings)?;
        Ok(Self {
            inner: Arc::new(Inner {
                settings,
                transport,
                signer,
                entropy,
                reach: Reach::default(),
                told: Told::default(),
                proven: tokio::sync::Mutex::default(),
            }),
        })
    }

    /// Where it sends requests.
    pub fn endpoint(&self) -> &Endpoint {
        &self.inner.settings.endpoint
    }

    /// What named the endpoint: a flag, a variable, a profile, or nothing.
    pub fn endpoint_from(&self) -> EndpointFrom {
        self.inner.settings.endpoint_from
    }

    /// The access key that requests are signed with.
    pub fn access_key_id(&self) -> Option<&str> {
        self.inner.settings.credentials.as_ref().map(|credentials| credentials.access_key_id.as_str())
    }

    /// Whether uploads carry CRC64NVME.
    pub fn checksums(&self) -> Checksums {
        self.inner.settings.checksums
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.inner.transport
    }

    pub(crate) fn retries(&self) -> &Retries {
        &self.inner.settings.retries
    }

    pub(crate) fn reach(&self) -> &Reach {
        &self.inner.reach
    }

    pub(crate) fn entropy(&self) -> &dyn Entropy {
        &*self.inner.entropy
    }

    /// Signs a request whose body is known. Over TLS the body's own hash is left out: the transport and the additional
    /// checksum protect it already.
    pub(crate) fn sign(&self, parts: &mut http::request::Parts, body: &Bytes) -> Result<()> {
        let Some(signer) = &self.inner.signer else { return Ok(()) };
        let hash = if self.endpoint().is_tls() && !body.is_empty() {
            PayloadHash::Unsigned
        } else {
            payload_hash(body)
        };
        signer
            .sign(parts, hash, self.transport().clock().now())
            .map(drop)
            .map_err(|error| Error::Invalid(format!("sign the request: {error}")))
    }

    /// Signs a request to another service than S3: its whole body is signed.
    pub(crate) fn sign_for(
        &self,
        service: &str,
        parts: &mut http::request::Parts,
        body: &Bytes,
    ) -> Result<()> {
        let Some(signer) = &self.inner.signer else { return Ok(()) };
        let signer = Signer { service: service.to_owned(), ..signer.clone() };
        let refused = |error: &dyn std::fmt::Display| Error::Invalid(format!("sign the request: {error}"));
        // Every service but S3 signs the path encoded once more.
        let sent = parts.uri.clone();
        if sent.path().contains('%') {
            let query = sent.query().map(|query| format!("?{query}")).unwrap_or_default();
            let path = format!("{}{query}", sent.path().replace('%', "%25"));
            let mut encoded = sent.clone().into_parts();
            encoded.path_and_query =
                Some(path.parse().map_err(|error: http::uri::InvalidUri| refused(&error))?);
            parts.uri = http::Uri::from_parts(encoded).map_err(|error| refused(&error))?;
        }
        let outcome = signer.sign(parts, payload_hash(body), self.transport().clock().now());
        parts.uri = sent;
        outcome.map(drop).map_err(|error| refused(&error))
    }

    /// Signs a request whose body is proven by a checksum among its headers.
    pub(crate) fn sign_unread(&self, parts: &mut http::request::Parts) -> Result<()> {
        let Some(signer) = &self.inner.signer else { return Ok(()) };
        signer
            .sign(parts, PayloadHash::Unsigned, self.transport().clock().now())
            .map(drop)
            .map_err(|error| Error::Invalid(format!("sign the request: {error}")))
    }

    /// A URL that lets whoever holds it GET an object until `expires` has passed; at most seven days.
    pub fn presign_get(&self, object: &ObjectRef<'_>, expires: Duration) -> Result<String> {
        let signer = self.inner.signer.as_ref().ok_or_else(|| {
            Error::Invalid("share an object: there are no credentials to sign with".to_owned())
        })?;
        if expires > PRESIGN_MAX || expires.as_secs() == 0 {
            let seconds = expires.as_secs();
            let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
            let (unit, name) = units
                .into_iter()
                .find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit))
                .unwrap_or((1, "s"));
            let asked = seconds / unit;
            return Err(Error::Invalid(format!("share an object for {asked}{name}: 1s to 7d are allowed")));
        }
        let version = object.version.map(|version| ("versionId", version));
        let uri =
            self.endpoint().uri(Some(object.bucket), Some(object.key), &endpoint::encode_query(version))?;
        signer
            .presign("GET", &uri, &HeaderMap::new(), expires, self.transport().clock().now())
            .map_err(|error| Error::Invalid(format!("sign the link: {error}")))
    }
}

fn signer(settings: &Settings) -> Result<Option<Signer>> {
    let Some(credentials) = &settings.credentials else { return Ok(None) };
    let invalid = |error: security::Error| Error::Invalid(format!("use the credentials: {error}"));
    Ok(Some(Signer {
        access_key_id: AccessKeyId::of_others(&credentials.access_key_id).map_err(invalid)?,
        secret: SecretKey::of_others(&credentials.secret_access_key).map_err(invalid)?,
        session_token: credentials.session_token.clone(),
        region: settings.region.clone(),
        service: "s3".to_owned(),
    }))
}

fn payload_hash(body: &[u8]) -> PayloadHash {
    if body.is_empty() {
        return PayloadHash::Empty;
    }
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body);
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.as_ref());
    PayloadHash::Sha256(hash)
}
