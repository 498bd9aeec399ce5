//! The HTTP doors: S3, IAM, STS, KMS and Glacier on one port; probes, metrics and the admin API on another.
//!
//! ```text
//!   TCP [─ TLS] ─► server (hyper, bounds, timeouts) ─► front ─► s3 ─ address ─ route ─ authenticate ─ decide ─► objectstore
//!                                                │          └─► query ─ authenticate ─ table of iam, sts ─ decide ─► identities
//!                                                │          └─► json ─ authenticate ─ table of kms, cloudtrail ─► security::kms, security::audit
//!                                                │          └─► glacier ─ authenticate ─ table ─ policies ─► archive::vault
//!                                                └─► admin ─ /livez /readyz /metrics /v1/…
//! ```
//!
//! What all services do alike stands beside them: `http` (heads, bodies, answers), `exchange`, `verify`, `connection`, `failure`.
//!
//! This crate renders and parses; it decides no storage semantics. Everything that comes in is hostile: heads, bodies
//! and XML are bounded in size, depth and time before they are looked at.

mod actions;
mod admin;
mod audit;
mod budget;
#[cfg(any(test, feature = "checks"))]
pub mod checks;
mod cloudtrail;
mod config;
mod connection;
mod exchange;
mod failure;
mod front;
mod glacier;
mod http;
mod iam;
mod ingest;
mod json;
mod kms;
mod marker;
mod metrics;
mod query;
mod s3;
mod server;
mod state;
mod sts;
mod verify;
mod xml;

pub use self::http::ACCESS_LINES;
pub use actions::actions_in_vain;
pub use config::{Config, Limits};
pub use s3::read_lifecycle;
pub use server::{Identity, Places, Server};
pub use state::{AdminCall, AdminError, AdminToken, Bodies, Obstacle, Parts, Readiness, State, StatusSource};
