//! What every request can reach: the store, who is who, time, randomness, metrics.

use crate::budget::{Budget, Held};
use crate::config::Limits;
use crate::marker::Markers;
use crate::metrics::Metrics;
use archive::vault::Vaults;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::BoxFuture;
use engine::clock::Clock;
use engine::entropy::Entropy;
use http::{HeaderMap, HeaderValue};
use objectstore::ObjectStore;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use security::AccountId;
use security::audit::Audit;
use security::credentials::CredentialLookup;
use security::identity::{Identities, Issuers};
use security::kms::Kms;
use security::sigv4::SigningKeys;
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use zeroize::Zeroizing;

/// The token that opens metrics and the admin API. Never shown, wiped when dropped.
pub struct AdminToken(Zeroizing<String>);

impl AdminToken {
    /// The token as it stands in its file, without white space around it.
    pub fn new(token: &str) -> Self {
        Self(Zeroizing::new(token.trim().to_owned()))
    }

    /// Whether `presented` is the token, in time that depends on lengths alone. An empty token opens nothing.
    pub(crate) fn admits(&self, presented: &str) -> bool {
        let (expected, presented) = (self.0.as_bytes(), presented.as_bytes());
        if expected.is_empty() || expected.len() != presented.len() {
            return false;
        }
        let difference = expected.iter().zip(presented).fold(0u8, |all, (a, b)| all | (a ^ b));
        std::hint::black_box(difference) == 0
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(…)")
    }
}

/// One call of the admin API, already parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminCall {
    /// `GET /v1/status`
    Status,
    /// `GET /v1/doctor`
    Doctor,
    /// `GET /v1/workers`
    Workers,
    /// `GET /v1/where?bucket&key&version`
    Where {
        /// The bucket's name, not yet validated.
        bucket: String,
        /// The key, not yet validated.
        key: String,
        /// The version's text form; none is the latest.
        version: Option<String>,
    },
    /// `GET /v1/quotas?bucket`
    Quotas {
        /// The bucket's name, not yet validated; none is all of them.
        bucket: Option<String>,
    },
    /// `POST /v1/quota`
    Quota {
        /// The request's JSON body.
        request: serde_json::Value,
    },
    /// `POST /v1/dedup`
    Dedup {
        /// The request's JSON body.
        request: serde_json::Value,
    },
    /// `POST /v1/lifecycle`
    Lifecycle {
        /// The request's JSON body.
        request: serde_json::Value,
    },
    /// `POST /v1/cost`
    Cost {
        /// The request's JSON body.
        request: serde_json::Value,
    },
    /// `POST /v1/zone`
    Zone {
        /// The request's JSON body.
        request: serde_json::Value,
    },
    /// `POST /v1/locks`
    Locks {
        /// The request's JSON body.
        request: serde_json::Value,
    },
    /// `POST /v1/vault`
    Vault {
        /// The request's JSON body.
        request: serde_json::Value,
    },
    /// `POST /v1/backup`
    Backup {
        /// The request's JSON body.
        request: serde_json::Value,
    },
}

/// Why an admin call was not answered.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// 404: what was named does not exist.
    #[error("{0}")]
    NotFound(String),
    /// 400: the call is not understood.
    #[error("{0}")]
    Invalid(String),
    /// 403: whoever asks may not.
    #[error("{0}")]
    Denied(String),
    /// 409: what is already under way stands against it.
    #[error("{0}")]
    Conflict(String),
    /// 503: not now.
    #[error("{0}")]
    Unavailable(String),
    /// 500: the appliance failed.
    #[error("{0}")]
    Internal(String),
}

/// What keeps requests from being served. The names are for programs; they stand in docs/cli.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Nothing is served: the catalog can't be read.
    CatalogUnreadable,
    /// Reads and writes go on, and some bodies that lie in the catalog can't be read.
    BodiesUnreadable,
    /// Nothing is served: the catalog's rows are not read in time.
    CatalogSilent,
    /// Reads go on, writes wait: the commit log does not answer in time.
    CatalogStalled,
    /// Writes are refused until a restart: the commit log could not be written.
    CatalogFenced,
    /// Writes are refused until space returns on the catalog's disk; deletes go on.
    CatalogFull,
    /// Bodies are refused until space returns on the pool's disk; deletes go on.
    PoolFull,
    /// The pool's disk fails writes.
    PoolFailing,
    /// Bodies are refused until as many zones take writes as they are to have copies; deletes go on.
    TooFewZones,
}

impl Obstacle {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CatalogUnreadable => "catalog_unreadable",
            Self::BodiesUnreadable => "bodies_unreadable",
            Self::CatalogSilent => "catalog_silent",
            Self::CatalogStalled => "catalog_stalled",
            Self::CatalogFenced => "catalog_fenced",
            Self::CatalogFull => "catalog_full",
            Self::PoolFull => "pool_full",
            Self::PoolFailing => "pool_failing",
            Self::TooFewZones => "too_few_zones",
        }
    }
}

impl serde::Serialize for Obstacle {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Whether requests can be served, and what keeps them from it.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    obstacles: Vec<(Obstacle, String)>,
}

impl Readiness {
    /// One more reason why not, with what was seen: a lowercase fragment.
    pub fn add(&mut self, obstacle: Obstacle, detail: String) {
        self.obstacles.push((obstacle, detail));
    }

    /// Everything is served.
    pub fn is_ready(&self) -> bool {
        self.obstacles.is_empty()
    }

    /// Reads are served.
    pub fn reads(&self) -> bool {
        let is_unread = |obstacle| matches!(obstacle, Obstacle::CatalogUnreadable | Obstacle::CatalogSilent);
        !self.obstacles.iter().any(|(obstacle, _)| is_unread(*obstacle))
    }

    /// The reasons, with what was seen.
    pub fn obstacles(&self) -> &[(Obstacle, String)] {
        &self.obstacles
    }

    /// What anybody may know: no path, no text of an error.
    pub fn public(&self) -> serde_json::Value {
        let reasons: Vec<Obstacle> = self.obstacles.iter().map(|(obstacle, _)| *obstacle).collect();
        serde_json::json!({
            "ready": self.is_ready(),
            "reads": self.reads(),
            "writes": self.is_ready(),
            "reasons": reasons,
        })
    }
}

/// What the binary tells the admin door; it owns the wiring and therefore the facts.
pub trait StatusSource: Send + Sync {
    /// Whether requests can be served now.
    fn ready(&self) -> BoxFuture<'_, Readiness>;

    /// Answers one call with a JSON document (`snake_case`).
    fn call(&self, call: AdminCall) -> BoxFuture<'_, Result<serde_json::Value, AdminError>>;
}

/// What a [`State`] is made from.
pub struct Parts {
    /// The object store behind the S3 door.
    pub store: Arc<ObjectStore>,
    /// Whose access keys are known: `identities`, or what stands before it.
    pub credentials: Arc<dyn CredentialLookup>,
    /// Users, groups, roles and their policies.
    pub identities: Arc<Identities>,
    /// Who vouches for people that are known elsewhere.
    pub issuers: Arc<Issuers>,
    /// Managed keys.
    pub kms: Arc<Kms>,
    /// The audit trail.
    pub audit: Arc<Audit>,
    /// The appliance's account. Others may own buckets too.
    pub account: AccountId,
    /// The appliance's region, which every signature's scope must name.
    pub region: String,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for request ids.
    pub entropy: Arc<dyn Entropy>,
    /// The admin door's token.
    pub admin_token: AdminToken,
    /// What the admin door reports.
    pub status: Arc<dyn StatusSource>,
    /// How long a calendar day lasts in a rehearsal; every answer of the HTTP port says it.
    pub debug_day: Option<Duration>,
    /// Metrics of the other parts; the doors register their own in it.
    pub registry: Registry,
}

/// Shared by all connections of both doors.
pub struct State {
    pub(crate) store: Arc<ObjectStore>,
    pub(crate) credentials: Arc<dyn CredentialLookup>,
    pub(crate) identities: Arc<Identities>,
    pub(crate) issuers: Arc<Issuers>,
    pub(crate) kms: Arc<Kms>,
    pub(crate) audit: Arc<Audit>,
    /// Seals where pages of IAM's, KMS's and `CloudTrail`'s listings begin.
    pub(crate) markers: Markers,
    pub(crate) account: AccountId,
    pub(crate) signing_keys: SigningKeys,
    /// `x-amz-id-2` of every answer of this process.
    pub(crate) host_id: Arc<str>,
    pub(crate) region: String,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) admin_token: AdminToken,
    pub(crate) status: Arc<dyn StatusSource>,
    pub(crate) registry: Registry,
    pub(crate) metrics: Metrics,
    /// `x-firn-debug-day` of every answer, in a rehearsal.
    debug_day: Option<String>,
    /// Memory for the bodies of requests.
    pub(crate) bodies: Arc<Budget>,
    /// When it was last logged that there is no room, in milliseconds since the epoch; 0 for never.
    pub(crate) full_logged_ms: AtomicI64,
    /// What is behind the Glacier door, where it is open.
    vaults: OnceLock<Arc<Vaults>>,
}

/// Memory for the bodies of requests, and what it came to since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Bodies {
    /// What all of them together may hold.
    pub max_bytes: u64,
    /// What they hold now.
    pub held_bytes: u64,
    /// Requests that found no room in time, and were told to slow down.
    pub refused: u64,
    /// Bodies that stalled and were ended, since others waited for their memory.
    pub ended: u64,
}

impl State {
    /// What the bodies of requests hold.
    #[must_use]
    pub fn bodies(&self) -> Bodies {
        Bodies {
            max_bytes: self.bodies.total().get(),
            held_bytes: self.bodies.held().get(),
            refused: self.metrics.bodies_refused.get(),
            ended: self.metrics.bodies_ended.get(),
        }
    }

    /// Opens the Glacier door in front of these vaults, once.
    pub fn open_vaults(&self, vaults: Arc<Vaults>) {
        // A second time there is nothing to do.
        let _ = self.vaults.set(vaults);
    }

    /// Says in an answer that this is a rehearsal, where it is one.
    pub(crate) fn tell_debug_day(&self, headers: &mut HeaderMap) {
        // It is digits and `ms`.
        if let Some(day) = self.debug_day.as_ref().and_then(|day| HeaderValue::from_str(day).ok()) {
            headers.insert("x-firn-debug-day", day);
        }
    }

    pub(crate) fn vaults(&self) -> Option<&Arc<Vaults>> {
        self.vaults.get()
    }

    /// Registers the doors' metrics and wires the rest. `limits` are those that the doors are opened with.
    pub fn new(parts: Parts, limits: &Limits) -> Arc<Self> {
        let Parts { store, credentials, identities, account, region, clock, entropy, .. } = parts;
        let Parts { admin_token, status, kms, audit, issuers, .. } = parts;
        let mut registry = parts.registry;
        let metrics = Metrics::register(&mut registry);
        if let Some(day) = parts.debug_day {
            let seconds = Gauge::<f64, AtomicU64>::default();
            seconds.set(day.as_secs_f64());
            registry.register(
                "firn_debug_day_seconds",
                "Length of a calendar day in this rehearsal",
                seconds,
            );
        }
        let (refused, ended) = (metrics.bodies_refused.clone(), metrics.bodies_ended.clone());
        let bodies = Budget::new(limits.bodies_max, Arc::clone(&clock), refused, ended);
        registry.register_collector(Box::new(Held(Arc::clone(&bodies))));
        let mut marker_key = Zeroizing::new([0; 32]);
        entropy.fill(&mut *marker_key);
        let markers = Markers::new(&marker_key);
        let mut host = [0; 32];
        entropy.fill(&mut host);
        Arc::new(Self {
            store,
            credentials,
            identities,
            issuers,
            kms,
            audit,
            markers,
            account,
            signing_keys: SigningKeys::default(),
            host_id: STANDARD.encode(host).into(),
            region,
            clock,
            entropy,
            admin_token,
            status,
            registry,
            metrics,
            debug_day: parts.debug_day.map(|day| format!("{}ms", day.as_millis())),
            bodies,
            full_logged_ms: AtomicI64::new(0),
            vaults: OnceLock::new(),
        })
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("region", &self.region).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::AdminToken;

    #[test]
    fn a_token_admits_only_itself_and_an_empty_one_nothing() {
        let token = AdminToken::new(" s3cret\n");
        assert!(token.admits("s3cret"));
        for wrong in ["", "s3creT", "s3cret ", "s3cre"] {
            assert!(!token.admits(wrong), "{wrong:?}");
        }
        assert!(!AdminToken::new("").admits(""));
        assert_eq!(format!("{token:?}"), "AdminToken(…)");
    }
}
