//! What a recovery asks before it says that it made a directory: whether the catalog that came back opens with the keys that came with it.

use crate::directory::Marker;
use crate::layout::{MARKER, MASTER_KEY};
use crate::session::Session;
use engine::catalog::RocksCatalog;
use engine::small_files::Opens;
use engine::{Error, Result};
use security::keys::{FileCustodian, KeyTable};
use std::path::Path;
use std::sync::Arc;

/// What mends a refusal.
pub(super) const HINT: &str = "nothing was made, and what it was to be made of is as it was. Another place may have the right files: a zone that has the \
    catalog's copy (--from-zone), the backup (--from), an older base of it (--base), or where you keep a copy of master.key";

/// Is asked on a thread that may block, in a runtime.
pub(super) fn opens(session: &Session) -> Opens {
    let (clock, entropy) = (session.clock.clone(), session.entropy.clone());
    Arc::new(move |catalog: &Arc<RocksCatalog>, files: &[(String, Vec<u8>)]| -> Result<()> {
        let of = |name: &str| {
            let found = files.iter().find(|(known, _)| known == name);
            let missing = || corrupt(name, "it is not among the small files".to_owned());
            found.map(|(_, bytes)| bytes).ok_or_else(missing)
        };
        Marker::decode(of(MARKER)?, MARKER).map_err(|failure| corrupt(MARKER, failure.to_string()))?;
        let master = FileCustodian::from_file(Path::new(MASTER_KEY), of(MASTER_KEY)?, entropy.clone());
        let master = master.map_err(|error| corrupt(MASTER_KEY, error.to_string()))?;
        let table = KeyTable::open(catalog.clone(), Arc::new(master), entropy.clone(), clock.clone());
        let opened = tokio::runtime::Handle::current().block_on(table);
        opened
            .map(drop)
            .map_err(|error| corrupt(MASTER_KEY, format!("it does not open the key table: {error}")))
    })
}

fn corrupt(name: &str, detail: String) -> Error {
    Error::Corrupt { what: format!("{name} of what is to be recovered"), detail }
}
