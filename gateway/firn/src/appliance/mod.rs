//! An appliance: one directory, one process, everything wired.
//!
//! ```text
//!   serve ─► home (directory, lock, marker, secrets) ─► open (catalog ─ keys ─ blobs ─ objects ─ workers)
//!        └─► web::Server, with status as its facts; banner for people, JSON lines for machines
//! ```

mod banner;
mod findings;
mod health;
mod home;
mod line;
mod lock;
mod log_lines;
mod logging;
mod marker;
mod open;
mod pool_owner;
mod serve;
mod status;
mod zone_disks;
mod zone_findings;
mod zones;

pub(crate) use home::store_recipient;
pub(crate) use lock::Lock;
pub(crate) use marker::VERSION as MARKER_VERSION;
pub(crate) use open::pool_dir;
pub(crate) use serve::run as serve;
pub(crate) use zone_disks::shared as zones_on_one_disk;
pub(crate) use zones::{is_free as zone_place_is_free, refuse as refuse_zones, replace as replace_zone};

use crate::exit::{Exit, Failure};
use crate::layout::MARKER;
use marker::Marker;
use std::path::Path;

/// Reads what makes a directory an appliance.
pub(crate) fn read_marker(dir: &Path) -> Result<Marker, Failure> {
    let path = dir.join(MARKER);
    let bytes = std::fs::read(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::new(
            Exit::NotFound,
            format!("find an appliance in {}: there is no {}", dir.display(), MARKER),
        )
        .hint(format!("make one: firn server {}", crate::text::quote_sh(&dir.display().to_string()))),
        std::io::ErrorKind::PermissionDenied => {
            Failure::new(Exit::Denied, format!("read {}: {error}", path.display()))
        }
        _ => Failure::new(Exit::Error, format!("read {}: {error}", path.display())),
    })?;
    Marker::decode(&bytes, &path.display().to_string())
}
