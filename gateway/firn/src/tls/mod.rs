//! What the doors prove themselves with: certificates of the appliance's own, or given ones.
//!
//! ```text
//!   [tls] in the configuration ─┬─ self-signed: own (DIR/tls: a CA, and a certificate that it issued) ─┐
//!                               └─ certificate, key: given (files of somebody else's) ─────────────────┴─► Secured ─► Live
//!   renewal: another one while the doors are open
//!   names: what the appliance is called      certificate: what one says, read back
//! ```
//!
//! Nothing here listens or speaks: `web` does, with the [`web::Identity`] that comes out.

mod certificate;
mod given;
mod names;
mod own;
mod renewal;

pub(crate) use certificate::Facts;
pub(crate) use given::load as given;
pub(crate) use names::{Name, Names};
pub(crate) use own::open as own;
pub(crate) use renewal::{Live, Load, Renewal};

use crate::exit::{Exit, Failure};
use crate::text::quote_sh;
use engine::clock::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// URLs of one door that are shown to people.
const URLS_SHOWN: usize = 4;

/// What the configuration asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Plain HTTP.
    #[default]
    Off,
    /// A CA of the appliance's own, and a certificate from it that has these names too.
    Own { names: Vec<Name> },
    /// Files in PEM: the chain, the door's own certificate first, and its key.
    Given { certificate: PathBuf, key: PathBuf },
}

/// Where a certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Issued by the CA whose certificate lies here.
    Own { ca: PathBuf },
    /// Given in this file.
    Given { certificate: PathBuf },
}

/// What the doors prove themselves with.
#[derive(Clone, Debug)]
pub(crate) struct Secured {
    pub(crate) identity: Arc<web::Identity>,
    pub(crate) facts: Facts,
    pub(crate) source: Source,
}

impl Secured {
    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        source: Source,
    ) -> Result<Self, String> {
        let facts = Facts::read(chain.first().ok_or("there is no certificate in it")?)?;
        let identity = web::Identity::new(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => "the key is not that of the certificate".to_owned(),
            other => other.to_string(),
        })?;
        Ok(Self { identity, facts, source })
    }

    /// The certificates that a client on this machine has to believe, where they are no public CA's.
    pub(crate) fn ca_bundle(&self) -> Option<&Path> {
        match &self.source {
            Source::Own { ca } => Some(ca),
            Source::Given { .. } => None,
        }
    }
}

/// The URL of a door for clients on this machine: by its address, or by a name where the certificate has that alone.
pub(crate) fn url(addr: SocketAddr, tls: Option<&Secured>) -> String {
    // An unspecified address is for listening; clients connect to one that is.
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let near = SocketAddr::new(ip, addr.port());
    let Some(tls) = tls else { return format!("http://{near}") };
    let names = &tls.facts.names;
    match names.host().filter(|_| !names.has(&Name::Address(ip))) {
        Some(host) => format!("https://{host}:{}", addr.port()),
        None => format!("https://{near}"),
    }
}

/// URLs of a door for clients on other machines: by addresses, then by names, that the certificate has too. None for a door
/// of this machine alone. A few: a certificate may have many names.
pub(crate) fn urls_from_elsewhere(addr: SocketAddr, tls: Option<&Secured>) -> Vec<String> {
    if addr.ip().is_loopback() {
        return Vec::new();
    }
    let own = Names::of_machine(addr.ip());
    let names = tls.map_or(&own, |tls| &tls.facts.names);
    let (scheme, port) = (if tls.is_some() { "https" } else { "http" }, addr.port());
    let is_open = |ip: &IpAddr| addr.ip().is_unspecified() || *ip == addr.ip();
    let mut addresses = Vec::new();
    let mut hosts = Vec::new();
    for name in names.iter() {
        match name {
            Name::Address(ip) if !ip.is_loopback() && is_open(ip) => {
                addresses.push(format!("{scheme}://{}", SocketAddr::new(*ip, port)));
            }
            Name::Host(host) if !host.starts_with("*.") && !is_local(host) => {
                hosts.push(format!("{scheme}://{host}:{port}"));
            }
            _ => {}
        }
    }
    addresses.extend(hosts);
    addresses.truncate(URLS_SHOWN);
    addresses
}

/// A name of loopback (RFC 6761).
fn is_local(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

fn show_time(time: Timestamp) -> String {
    format!("{} UTC", crate::report::time::show_time(Some(time)))
}

/// The certificates of a PEM file.
fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| error.to_string())
        .and_then(
            |chain: Vec<_>| {
                if chain.is_empty() { Err("there is no certificate in it".to_owned()) } else { Ok(chain) }
            },
        )
}

/// The private key of a PEM file.
fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => {
            "there is no unencrypted private key in it (PKCS#8, PKCS#1 or SEC1, in PEM)".to_owned()
        }
        other => other.to_string(),
    })
}

/// Refuses a private key that others can read.
fn refuse_open(path: &Path) -> Result<(), Failure> {
    let shown = path.display().to_string();
    let metadata = std::fs::metadata(path).map_err(|error| {
        let exit = match error.kind() {
            std::io::ErrorKind::NotFound => Exit::NotFound,
            std::io::ErrorKind::PermissionDenied => Exit::Denied,
            _ => Exit::Error,
        };
        Failure::new(exit, format!("read the TLS key {shown}: {error}"))
            .hint("name a key that is there and that this user can read, in PEM, as tls.key (--tls-key)")
    })?;
    let mode = metadata.permissions().mode() & 0o777;
    // The group may read: certificates are often shared with a service's group that way.
    if mode & 0o027 != 0 {
        let text = format!("use the TLS key {shown}: its mode is {mode:04o}, so others can read it");
        return Err(Failure::new(Exit::Denied, text).hint(format!("chmod 600 {}", quote_sh(&shown))));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
