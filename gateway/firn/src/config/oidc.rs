//! `[oidc]`: how issuers of OIDC tokens are asked for their keys.

use super::{raw, topics};
use crate::exit::Failure;
use client::{Fetcher, FetcherOptions};
use std::time::Duration;

/// Origins that are asked without TLS.
const PLAIN_MAX: usize = 64;

pub(super) fn oidc(raw: raw::Oidc, bad: &dyn Fn(&str, String) -> Failure) -> Result<FetcherOptions, Failure> {
    if let Some(file) = raw.ca_file.as_deref().filter(|file| !file.is_absolute()) {
        return Err(bad("oidc.ca-file", format!("{} is not an absolute path", file.display())));
    }
    if raw.plain_http.len() > PLAIN_MAX {
        return Err(bad("oidc.plain-http", format!("{} are not in 0..={PLAIN_MAX}", raw.plain_http.len())));
    }
    for origin in &raw.plain_http {
        Fetcher::check_origin(origin).map_err(|error| bad("oidc.plain-http", error.to_string()))?;
    }
    let timeout = topics::within("oidc.timeout", raw.timeout, Duration::from_secs(5), (1, 60), bad)?;
    Ok(FetcherOptions {
        allow_private: raw.allow_private,
        ca_file: raw.ca_file,
        plain_http: raw.plain_http,
        timeout,
    })
}
