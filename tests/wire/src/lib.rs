//! What the crash and load tests speak to the real binary with.
//!
//! ```text
//!   Request ── Signing::head ──► bytes ── Connection::exchange ──► Response, or an error: outcome unknown
//!   Appliance: spawns `firn server DIR`, finds its addresses and keys, kills it
//! ```
//!
//! It shares no code with the server or its client: the signatures are computed by a second implementation, and nothing is
//! ever retried, so that a test knows of each request whether it was answered. Requests and answers are plain HTTP/1.1
//! on one kept connection. Loopback only; a body is held in memory.

mod appliance;
mod connection;
mod sign;

pub use appliance::{ANY_PORT, Appliance, Launch};
pub use connection::{Answer, Connection, Sink};
pub use sign::{Request, Signing, encode, sha256, sha256_hex};

use std::time::Duration;

/// Time that only goes forward, for latencies and deadlines.
pub fn elapsed() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let part = |n: i64| u64::try_from(n).unwrap_or(0);
    Duration::from_secs(part(time.tv_sec)) + Duration::from_nanos(part(time.tv_nsec))
}

/// Seconds since the epoch, for signatures.
pub fn unix_seconds() -> i64 {
    rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec
}
