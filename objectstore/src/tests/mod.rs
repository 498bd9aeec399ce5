//! Tests of the store as a whole, one file per area.

mod access;
mod access_log;
mod amend;
mod basics;
mod between;
mod copy;
mod crash;
mod create;
mod dedup;
pub(crate) mod dice;
mod events;
mod full;
mod identities;
mod ingest;
mod inventory;
mod large;
mod lock;
mod lock_races;
mod model;
mod multipart;
mod policies;
mod quota;
mod races;
mod recovered;
mod tally;
mod versions;
