//! The receiver's URL, taken apart once.

use crate::error::{Error, Result};
use http::Uri;
use http::header::HeaderValue;
use http::uri::PathAndQuery;
use rustls::pki_types::ServerName;
use std::fmt;
use std::net::IpAddr;

/// Where messages go.
#[derive(Clone)]
pub(crate) struct Target {
    tls: bool,
    host: String,
    port: u16,
    host_header: HeaderValue,
    path: Uri,
    /// Without its path and query: who knows them may be believed, or may post.
    shown: String,
}

impl Target {
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let refused = |why: &str| Error::Invalid(format!("it is no URL of a server: {why}"));
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
        // What is no port is neither said nor left out: hyper's type drops it in silence.
        let behind = authority.as_str().rsplit_once(']').map_or(authority.as_str(), |(_, behind)| behind);
        let port = match (behind.split_once(':'), authority.port_u16()) {
            (None, _) => {
                if tls {
                    443
                } else {
                    80
                }
            }
            (Some(_), Some(port)) if port > 0 => port,
            (Some((_, text)), _) => return Err(refused(&format!("{text:?} is no port: 1..=65535"))),
        };
        let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let target = Self {
            tls,
            host: host.to_owned(),
            port,
            host_header: HeaderValue::from_str(authority.as_str()).map_err(|_| refused("its host"))?,
            path: path.parse().map_err(|_| refused("its path"))?,
            shown: format!("{}://{authority}", if tls { "https" } else { "http" }),
        };
        if tls {
            target.server_name().map_err(|why| refused(&why))?;
        }
        Ok(target)
    }

    pub(crate) const fn is_tls(&self) -> bool {
        self.tls
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) const fn host_header(&self) -> &HeaderValue {
        &self.host_header
    }

    pub(crate) const fn path(&self) -> &Uri {
        &self.path
    }

    /// The host, where it is an address.
    pub(crate) fn literal(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Who must be there.
    pub(crate) fn server_name(&self) -> Result<ServerName<'static>, String> {
        let invalid = |error| format!("{:?} is no name of a host: {error}", self.host);
        ServerName::try_from(self.host.clone()).map_err(invalid)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn a_url_is_taken_apart_and_its_path_and_query_are_not_shown() {
        for (url, tls, host, port, path, header, shown) in [
            ("https://h.test/in?token=s", true, "h.test", 443, "/in?token=s", "h.test", "https://h.test"),
            ("http://h.test", false, "h.test", 80, "/", "h.test", "http://h.test"),
            (
                "http://127.0.0.1:81/a/b",
                false,
                "127.0.0.1",
                81,
                "/a/b",
                "127.0.0.1:81",
                "http://127.0.0.1:81",
            ),
            ("https://[::1]:444/", true, "::1", 444, "/", "[::1]:444", "https://[::1]:444"),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!((target.is_tls(), target.host(), target.port()), (tls, host, port), "{url}");
            assert_eq!(
                (target.path().to_string().as_str(), target.host_header().to_str().unwrap()),
                (path, header)
            );
            assert_eq!(target.to_string(), shown);
            assert_eq!(format!("{target:?}"), format!("Target({shown})"));
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
            "https://h.test:99999/",
            "https://h.test:0/",
            "https://h.test:/",
            "https://[::1]:65536/",
        ] {
            Target::parse(bad).unwrap_err();
        }
    }
}
