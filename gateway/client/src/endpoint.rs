//! Where a request goes: the endpoint, and the URL of a bucket and key on it.
//!
//! Path style (`http://host/bucket/key`) is the default for every endpoint but AWS's own, where virtual-host style
//! (`https://bucket.host/key`) is. A bucket whose name has dots or capitals is always addressed by path.

use crate::error::{Error, Result};
use http::Uri;
use http::uri::{Authority, Scheme};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What SigV4 leaves as it is: unreserved characters.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// In a path the slash stays too.
const PATH: &AsciiSet = &UNRESERVED.remove(b'/');

/// How a bucket stands in a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `http://host/bucket/key`.
    Path,
    /// `http://bucket.host/key`.
    Virtual,
}

/// An S3 endpoint: scheme and authority, nothing after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    scheme: Scheme,
    authority: Authority,
    style: Style,
}

impl Endpoint {
    /// Parses `http://host:port` or `https://host`; a path other than `/`, a query or user information is refused.
    pub fn parse(text: &str) -> Result<Self> {
        // Whatever stands before an @ may be a password.
        let shown = match text.rsplit_once('@') {
            Some((before, host)) => {
                let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
                format!("{scheme}://…@{host}")
            }
            None => text.to_owned(),
        };
        let refused = |why: &str| Error::Invalid(format!("use endpoint {shown:?}: {why}"));
        let uri: Uri = text.parse().map_err(|_| refused("it is not a URL like http://127.0.0.1:9000"))?;
        let parts = uri.into_parts();
        let scheme = parts.scheme.ok_or_else(|| refused("it lacks http:// or https://"))?;
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(refused("its scheme is neither http nor https"));
        }
        let authority = parts.authority.ok_or_else(|| refused("it lacks a host"))?;
        if authority.as_str().contains('@') {
            return Err(refused("credentials do not belong in it"));
        }
        if parts.path_and_query.is_some_and(|path| path.as_str() != "/") {
            return Err(refused("it has a path; S3 signatures cover the path, so leave it out"));
        }
        let style = if authority.host().ends_with(".amazonaws.com") { Style::Virtual } else { Style::Path };
        Ok(Self { scheme, authority, style })
    }

    /// AWS's own endpoint for a region.
    pub fn aws(region: &str) -> Result<Self> {
        Self::parse(&format!("https://s3.{region}.amazonaws.com"))
    }

    /// The same endpoint, addressed in another style.
    #[must_use]
    pub const fn with_style(mut self, style: Style) -> Self {
        self.style = style;
        self
    }

    /// Whether requests go over TLS.
    pub fn is_tls(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// The URL of a path that is encoded already.
    pub(crate) fn plain_uri(&self, path: &str, query: &str) -> Result<Uri> {
        let joint = if query.is_empty() { "" } else { "?" };
        format!("{self}{path}{joint}{query}")
            .parse()
            .map_err(|error| Error::Invalid(format!("build the request's URL: {error}")))
    }

    /// Whether it is this machine's own, which no other machine reaches.
    pub fn is_loopback(&self) -> bool {
        let host = self.authority.host().trim_matches(['[', ']']);
        host == "localhost"
            || host.ends_with(".localhost")
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// The URL of a bucket or key, or of the service itself, with an already encoded query.
    pub(crate) fn uri(&self, bucket: Option<&str>, key: Option<&str>, query: &str) -> Result<Uri> {
        let mut authority = self.authority.clone();
        let mut path = String::from("/");
        if let Some(bucket) = bucket {
            if self.style == Style::Virtual && is_host_label(bucket) {
                authority = format!("{bucket}.{}", self.authority)
                    .parse()
                    .map_err(|_| Error::Invalid(format!("address bucket {bucket:?} as a host name")))?;
            } else {
                path.extend(utf8_percent_encode(bucket, UNRESERVED));
                if key.is_some() {
                    path.push('/');
                }
            }
            if let Some(key) = key {
                path.extend(utf8_percent_encode(key, PATH));
            }
        }
        if !query.is_empty() {
            path.push('?');
            path.push_str(query);
        }
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(authority)
            .path_and_query(path)
            .build()
            .map_err(|error| Error::Invalid(format!("build the request's URL: {error}")))
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

fn is_host_label(bucket: &str) -> bool {
    bucket.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// `name=value&…`, percent-encoded as SigV4 wants it, in the given order; a name without a value still gets its `=`.
pub(crate) fn encode_query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut query = String::new();
    for (name, value) in pairs {
        if !query.is_empty() {
            query.push('&');
        }
        query.extend(utf8_percent_encode(name, UNRESERVED));
        query.push('=');
        query.extend(utf8_percent_encode(value, UNRESERVED));
    }
    query
}

/// A key as `x-amz-copy-source` wants it.
pub(crate) fn encode_copy_source(bucket: &str, key: &str, version: Option<&str>) -> String {
    let mut source = format!("/{bucket}/{}", utf8_percent_encode(key, PATH));
    if let Some(version) = version {
        source.push_str("?versionId=");
        source.extend(utf8_percent_encode(version, UNRESERVED));
    }
    source
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, Style, encode_copy_source, encode_query};

    #[test]
    fn refuses_what_can_not_be_an_endpoint() {
        for bad in [
            "",
            "127.0.0.1:9000",
            "ftp://host",
            "http://",
            "http://user:secret@host",
            "http://host/path",
            "http://host/?x",
        ] {
            Endpoint::parse(bad).unwrap_err();
        }
        for with in
            ["http://user:secret@host", "https://secret@host/", "user:secret@host", "http://a@secret@host"]
        {
            let error = Endpoint::parse(with).unwrap_err().to_string();
            assert!(error.contains("host") && !error.contains("secret"), "{error}");
        }
        assert_eq!(Endpoint::parse("http://[::1]:9000/").unwrap().to_string(), "http://[::1]:9000");
    }

    #[test]
    fn paths_keep_slashes_and_encode_the_rest() {
        let endpoint = Endpoint::parse("http://127.0.0.1:9000").unwrap();
        for (key, path) in [
            ("a b", "/bucket/a%20b"),
            ("a//b/../c", "/bucket/a//b/../c"),
            ("/lead", "/bucket//lead"),
            ("é+%?#&=", "/bucket/%C3%A9%2B%25%3F%23%26%3D"),
            (".", "/bucket/."),
        ] {
            assert_eq!(endpoint.uri(Some("bucket"), Some(key), "").unwrap().path(), path);
        }
        assert_eq!(endpoint.uri(None, None, "x=1").unwrap().to_string(), "http://127.0.0.1:9000/?x=1");
        assert_eq!(endpoint.uri(Some("bucket"), None, "").unwrap().path(), "/bucket");
    }

    #[test]
    fn virtual_style_where_the_name_allows_it() {
        let endpoint = Endpoint::aws("eu-west-1").unwrap();
        let uri = endpoint.uri(Some("photos"), Some("a"), "").unwrap();
        assert_eq!(uri.to_string(), "https://photos.s3.eu-west-1.amazonaws.com/a");
        let dotted = endpoint.uri(Some("photos.example"), Some("a"), "").unwrap();
        assert_eq!(dotted.to_string(), "https://s3.eu-west-1.amazonaws.com/photos.example/a");
        let local = Endpoint::parse("http://s3.test").unwrap().with_style(Style::Virtual);
        assert_eq!(local.uri(Some("b"), Some("k"), "").unwrap().to_string(), "http://b.s3.test/k");
    }

    #[test]
    fn queries_and_copy_sources_are_encoded() {
        assert_eq!(encode_query([("uploads", ""), ("prefix", "a b/&")]), "uploads=&prefix=a%20b%2F%26");
        assert_eq!(encode_copy_source("b", "k ?/x", Some("v/1")), "/b/k%20%3F/x?versionId=v%2F1");
    }
}
