//! `[tls]` and the flags of TLS: off, certificates of the appliance's own, or given files.

use super::{Overrides, raw};
use crate::exit::Failure;
use crate::tls::Wish;
use std::path::PathBuf;

/// What file and flags ask for together. Files that a flag names go before everything; `--tls` alone is content with what
/// the configuration file has.
pub(super) fn wish(
    raw: raw::Tls,
    overrides: &Overrides,
    bad: &dyn Fn(&str, String) -> Failure,
) -> Result<Wish, Failure> {
    let names = raw
        .names
        .unwrap_or_default()
        .iter()
        .map(|name| name.parse().map_err(|why| bad("tls.names", why)))
        .collect::<Result<Vec<_>, _>>()?;
    for (key, path) in [("tls.certificate", &raw.certificate), ("tls.key", &raw.key)] {
        if let Some(path) = path.as_ref().filter(|path| !path.is_absolute()) {
            return Err(bad(key, format!("{} is not an absolute path", path.display())));
        }
    }
    let in_file = match (raw.certificate, raw.key) {
        (Some(_), Some(_)) if raw.self_signed => {
            return Err(bad("tls.self-signed", "tls.certificate names another certificate".to_owned()));
        }
        (Some(_), Some(_)) if !names.is_empty() => {
            return Err(bad(
                "tls.names",
                "the file that tls.certificate names has names of its own".to_owned(),
            ));
        }
        (Some(certificate), Some(key)) => Wish::Given { certificate, key },
        (Some(_), None) => {
            return Err(bad("tls.certificate", "there is no tls.key to go with it".to_owned()));
        }
        (None, Some(_)) => {
            return Err(bad("tls.key", "there is no tls.certificate to go with it".to_owned()));
        }
        (None, None) if raw.self_signed || overrides.tls => Wish::Own { names: names.clone() },
        (None, None) => Wish::Off,
    };
    let wish = match (&overrides.tls_certificate, &overrides.tls_key) {
        (Some(certificate), Some(key)) => {
            let absolute = |path: &PathBuf| {
                std::path::absolute(path)
                    .map_err(|error| Failure::usage(format!("use {}: {error}", path.display())))
            };
            Wish::Given { certificate: absolute(certificate)?, key: absolute(key)? }
        }
        (None, None) => in_file,
        (Some(_), None) => {
            return Err(Failure::usage("use --tls-certificate: there is no --tls-key to go with it"));
        }
        (None, Some(_)) => {
            return Err(Failure::usage("use --tls-key: there is no --tls-certificate to go with it"));
        }
    };
    if wish == Wish::Off && !names.is_empty() {
        return Err(bad(
            "tls.names",
            "there is no certificate to have them: say tls.self-signed = true".to_owned(),
        ));
    }
    Ok(wish)
}
