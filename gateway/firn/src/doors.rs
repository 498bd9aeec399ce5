//! Where a running appliance's doors are, for clients on this machine: `DIR/run/doors.json`, there while they are open.

use crate::exit::{Exit, Failure};
use crate::layout::DOORS;
use crate::session::read_run;
use crate::tls::{Secured, url, urls_from_elsewhere};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The URLs, and how to believe them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Doors {
    pub(crate) s3: Door,
    pub(crate) admin: Door,
    /// A PEM file with the CA to believe, where the certificate is the appliance's own.
    pub(crate) ca_bundle: Option<PathBuf>,
}

/// One door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Door {
    pub(crate) url: String,
    /// The same for other machines, where it is open to them: by addresses, then by names.
    #[serde(default)]
    pub(crate) from_elsewhere: Vec<String>,
}

impl Doors {
    /// The doors as bound, each with its TLS.
    pub(crate) fn new(s3: (SocketAddr, Option<&Secured>), admin: (SocketAddr, Option<&Secured>)) -> Self {
        let ca_bundle = s3.1.or(admin.1).and_then(Secured::ca_bundle).map(Path::to_owned);
        let door = |(addr, tls)| Door { url: url(addr, tls), from_elsewhere: urls_from_elsewhere(addr, tls) };
        Self { s3: door(s3), admin: door(admin), ca_bundle }
    }

    /// What a running appliance left in its directory.
    pub(crate) fn read(dir: &Path) -> Result<Self, Failure> {
        serde_json::from_str(&read_run(dir, DOORS)?).map_err(|error| {
            Failure::new(Exit::Error, format!("read {}: {error}", dir.join(DOORS).display()))
                .hint("use the firn of the server's version")
        })
    }
}
