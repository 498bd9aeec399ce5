//! Certificate and key in files of somebody else's: read at the start and every minute, and refused with the next step.

use super::{Secured, Source, read_chain, read_key, refuse_open, show_time};
use crate::exit::{Exit, Failure};
use crate::text::quote_sh;
use engine::clock::Timestamp;
use std::path::Path;

/// Loads both, and refuses what no client would believe.
pub(crate) fn load(certificate: &Path, key: &Path, now: Timestamp) -> Result<Secured, Failure> {
    let shown = certificate.display().to_string();
    let refused = |why: &str| Failure::usage(format!("use the TLS certificate {shown}: {why}"));
    if let Err(error) = std::fs::metadata(certificate) {
        let exit = match error.kind() {
            std::io::ErrorKind::NotFound => Exit::NotFound,
            std::io::ErrorKind::PermissionDenied => Exit::Denied,
            _ => Exit::Error,
        };
        return Err(Failure::new(exit, format!("read the TLS certificate {shown}: {error}")).hint(
            "name a certificate that is there and that this user can read, in PEM, as tls.certificate (--tls-certificate)",
        ));
    }
    refuse_open(key)?;
    let chain = read_chain(certificate).map_err(|why| {
        refused(&why)
            .hint("name a PEM file with the chain: this appliance's certificate first, then who issued it")
    })?;
    let private = read_key(key).map_err(|why| {
        Failure::usage(format!("use the TLS key {}: {why}", key.display()))
            .hint("name the certificate's private key, without a passphrase, as tls.key (--tls-key)")
    })?;
    let source = Source::Given { certificate: certificate.to_owned() };
    let secured = Secured::new(chain, private, source).map_err(|why| {
        let (certificate, key) = (quote_sh(&shown), quote_sh(&key.display().to_string()));
        refused(&format!("with the key {key}, {why}")).hint(format!(
            "both of these print the same when they belong together: openssl x509 -pubkey -noout -in {certificate}; openssl pkey -pubout -in {key}"
        ))
    })?;
    let facts = &secured.facts;
    if now > facts.not_after {
        return Err(refused(&format!("it expired {}", show_time(facts.not_after)))
            .hint("put a renewed one in its place, and start again"));
    }
    if now < facts.not_before {
        return Err(refused(&format!("it holds only from {} on", show_time(facts.not_before)))
            .hint("set this machine's clock (timedatectl), or use another certificate"));
    }
    Ok(secured)
}
