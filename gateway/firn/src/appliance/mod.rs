//! An appliance: one directory, one process, everything wired.
//!
//! ```text
//!   serve ─► home (directory, lock, marker, secrets) ─► open (catalog ─ keys ─ blobs ─ objects ─ workers)
//!        └─► web::Server, with status as its facts; banner for people, JSON lines for machines
//! ```

mod access_logs;
mod audit;
mod banner;
mod buckets;
mod catalog_copy;
mod cost;
mod dedup;
mod descriptors;
mod events;
mod findings;
mod health;
mod home;
mod inventories;
mod lifecycle;
mod locks;
mod log_json;
mod log_lines;
mod logging;
mod open;
mod quotas;
mod readable;
mod remote_findings;
mod serve;
mod shares;
mod status;
mod vault_door;
mod vaults;
mod zone_findings;

pub(crate) use serve::run as serve;
