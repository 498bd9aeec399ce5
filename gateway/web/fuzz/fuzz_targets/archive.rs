//! Archives: see `checks/archive.rs`.
#![no_main]

// The reader alone, so that the target builds in seconds and not with the whole appliance.
#[allow(dead_code, clippy::allow_attributes, reason = "the operation uses the rest of it")]
#[path = "../../src/ingest"]
mod ingest {
    pub(crate) mod archive;
    mod header;
    mod name;
    mod pax;
    pub(crate) use archive::{ArchiveError, Entry, Event, Kind, Scanner};
    pub(crate) use name::key_of;
}

#[path = "../checks/archive.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|archive: &[u8]| check::check(archive));
