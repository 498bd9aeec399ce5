//! The receiver's URL, taken apart once.

use crate::error::{Error, Result};
use http::Uri;
use http::header::HeaderValue;
use http::uri::PathAndQuery;
use rustls::pki_types::ServerName;
use std::fmt;
use std::net::IpAddr;

/// Where messages go.
#[derive(Clone, Debug)]
pub(super) struct Target {
    tls: bool,
    host: String,
    port: u16,
    host_header: HeaderValue,
    path: Uri,
    /// Without its query, which may hold a secret.
    shown: String,
}

impl Target {
    pub(super) fn parse(url: &str) -> Result<Self> {
        let refused = |why: &str| Error::Invalid(format!("it is no URL of a receiver: {why}"));
        let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| refused(&error.to_string()))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(refused("it begins with neither https:// nor http://")),
        };
        let authority = uri.authority().ok_or_else(|| refused("there is no host"))?;
        if authority.as_str().contains('@') {
            return Err(refused("it has credentials in it; messages are signed instead"));
        }
        let host = authority.host();
        let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() {
            return Err(refused("there is no host"));
        }
        let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let target = Self {
            tls,
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            host_header: HeaderValue::from_str(authority.as_str()).map_err(|_| refused("its host"))?,
            path: path.parse().map_err(|_| refused("its path"))?,
            shown: format!("{}://{authority}{}", if tls { "https" } else { "http" }, uri.path()),
        };
        if tls {
            target.server_name().map_err(|why| refused(&why))?;
        }
        Ok(target)
    }

    pub(super) const fn is_tls(&self) -> bool {
        self.tls
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    pub(super) const fn host_header(&self) -> &HeaderValue {
        &self.host_header
    }

    pub(super) const fn path(&self) -> &Uri {
        &self.path
    }

    /// The host, where it is an address.
    pub(super) fn literal(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Who must be there.
    pub(super) fn server_name(&self) -> Result<ServerName<'static>, String> {
        let invalid = |error| format!("{:?} is no name of a host: {error}", self.host);
        ServerName::try_from(self.host.clone()).map_err(invalid)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn a_url_is_taken_apart_and_its_query_is_not_shown() {
        for (url, tls, host, port, path, header, shown) in [
            ("https://h.test/in?token=s", true, "h.test", 443, "/in?token=s", "h.test", "https://h.test/in"),
            ("http://h.test", false, "h.test", 80, "/", "h.test", "http://h.test/"),
            (
                "http://127.0.0.1:81/a/b",
                false,
                "127.0.0.1",
                81,
                "/a/b",
                "127.0.0.1:81",
                "http://127.0.0.1:81/a/b",
            ),
            ("https://[::1]:444/", true, "::1", 444, "/", "[::1]:444", "https://[::1]:444/"),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!((target.is_tls(), target.host(), target.port()), (tls, host, port), "{url}");
            assert_eq!(
                (target.path().to_string().as_str(), target.host_header().to_str().unwrap()),
                (path, header)
            );
            assert_eq!(target.to_string(), shown);
        }
        assert!(Target::parse("http://[fe80::1]/").unwrap().literal().is_some());
        for bad in [
            "",
            "h.test",
            "ftp://h.test/",
            "https://",
            "https://u:p@h.test/",
            "https://a b/",
            "/in",
            "https://?x",
        ] {
            Target::parse(bad).unwrap_err();
        }
    }
}
