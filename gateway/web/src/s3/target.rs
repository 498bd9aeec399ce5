//! What a request is about: bucket and key, from host and path.
//!
//! Virtual-host style (`bucket.s3.localhost/key`) where the host lies below a configured domain, path style
//! (`host/bucket/key`) everywhere else. Keys are taken as they come: nothing is collapsed, resolved or trimmed.

use super::code::Code;
use super::error::S3Error;
use crate::config::Config;
use http::HeaderMap;
use http::header::HOST;
use objectstore::{BucketName, ObjectKey};
use security::sigv4::decode_path;

/// Bucket and key as the request names them, decoded and not yet validated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) bucket: Option<String>,
    pub(crate) key: Option<String>,
    /// The host named the bucket, not the path.
    virtual_hosted: bool,
    /// The bucket that was admitted.
    bound: Option<BucketName>,
}

impl Target {
    /// A document of a bucket's website.
    pub(crate) fn of_website(bucket: String, path: &str) -> Result<Self, S3Error> {
        let refused = || S3Error::new(Code::InvalidURI);
        let path = String::from_utf8(decode_path(path)?).map_err(|_| refused())?;
        let key = path.strip_prefix('/').ok_or_else(refused)?;
        let key = (!key.is_empty()).then(|| key.to_owned());
        Ok(Self { bucket: Some(bucket), key, virtual_hosted: true, bound: None })
    }

    /// An object that was named otherwise.
    pub(crate) fn of_object(bucket: &str, key: &str) -> Self {
        Self { bucket: Some(bucket.to_owned()), key: Some(key.to_owned()), ..Self::default() }
    }

    /// From the host header and the raw path.
    pub(crate) fn parse(host: &str, path: &str, base_domains: &[String]) -> Result<Self, S3Error> {
        let refused = || S3Error::new(Code::InvalidURI);
        // Decoded as a whole before it is split, as the signature's canonical path is.
        let path = String::from_utf8(decode_path(path)?).map_err(|_| refused())?;
        let rest = path.strip_prefix('/').ok_or_else(refused)?;
        let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        if let Some(bucket) = virtual_bucket(host, base_domains) {
            return Ok(Self { bucket: Some(bucket), key: filled(rest), virtual_hosted: true, bound: None });
        }
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() && !key.is_empty() {
            return Err(S3Error::new(Code::InvalidBucketName).field("BucketName", ""));
        }
        Ok(Self { bucket: filled(bucket), key: filled(key), virtual_hosted: false, bound: None })
    }

    /// The bucket, checked.
    pub(crate) fn bucket(&self) -> Result<BucketName, S3Error> {
        if let Some(bound) = &self.bound {
            return Ok(bound.clone());
        }
        let name = self.bucket.as_deref().ok_or_else(|| S3Error::new(Code::InvalidBucketName))?;
        BucketName::parse(name).map_err(S3Error::from)
    }

    /// From now on the bucket is this one, whatever takes its name.
    pub(crate) fn bind(&mut self, bucket: BucketName) {
        self.bound = Some(bucket);
    }

    /// The key, checked.
    pub(crate) fn key(&self) -> Result<ObjectKey, S3Error> {
        let key = self.key.as_deref().ok_or_else(|| S3Error::new(Code::MethodNotAllowed))?;
        ObjectKey::parse(key).map_err(S3Error::from)
    }

    /// `host` as it would stand in a path-style URL.
    pub(crate) fn host_of_path_style<'h>(&self, host: &'h str) -> &'h str {
        let bucket = self.bucket.as_deref().unwrap_or_default();
        match host.get(bucket.len()..).and_then(|rest| rest.strip_prefix('.')) {
            Some(rest) if self.virtual_hosted => rest,
            _ => host,
        }
    }

    /// `/bucket/key`, as the error document's `Resource` has it.
    pub(crate) fn resource(&self) -> String {
        match (&self.bucket, &self.key) {
            (None, _) => "/".to_owned(),
            (Some(bucket), None) => format!("/{bucket}"),
            (Some(bucket), Some(key)) => format!("/{bucket}/{key}"),
        }
    }
}

/// The bucket whose website a host names, below the longest of these domains.
pub(crate) fn website_bucket(host: &str, domains: &[String]) -> Option<String> {
    virtual_bucket(host, domains)
}

/// Whether the host is a bucket's, or its website's.
pub(crate) fn names_bucket(headers: &HeaderMap, config: &Config) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    [&config.base_domains, &config.website_domains]
        .iter()
        .any(|domains| virtual_bucket(host, domains).is_some())
}

/// The bucket in front of the longest base domain that the host ends with.
fn virtual_bucket(host: &str, base_domains: &[String]) -> Option<String> {
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|c| c.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name).trim_end_matches('.').to_ascii_lowercase();
    if base_domains.contains(&name) {
        return None;
    }
    let below = |domain: &String| name.strip_suffix(domain.as_str())?.strip_suffix('.').map(str::to_owned);
    base_domains.iter().filter_map(below).filter(|bucket| !bucket.is_empty()).min_by_key(String::len)
}

#[cfg(test)]
mod tests {
    use super::Target;

    fn target(host: &str, path: &str) -> (Option<String>, Option<String>) {
        let domains = ["localhost".to_owned(), "s3.localhost".to_owned()];
        let Target { bucket, key, .. } = Target::parse(host, path, &domains).unwrap();
        (bucket, key)
    }

    #[test]
    fn path_and_virtual_host_style() {
        assert_eq!(target("127.0.0.1:9000", "/"), (None, None));
        assert_eq!(target("127.0.0.1:9000", "/b"), (Some("b".to_owned()), None));
        assert_eq!(target("127.0.0.1:9000", "/b/"), (Some("b".to_owned()), None));
        assert_eq!(target("localhost:9000", "/b/k"), (Some("b".to_owned()), Some("k".to_owned())));
        assert_eq!(target("s3.localhost", "/b/k"), (Some("b".to_owned()), Some("k".to_owned())));
        assert_eq!(target("my.buck.s3.localhost:9000", "/"), (Some("my.buck".to_owned()), None));
        assert_eq!(target("B.S3.localhost", "/k/l"), (Some("b".to_owned()), Some("k/l".to_owned())));
        assert_eq!(target("buck.localhost:9000", "/k"), (Some("buck".to_owned()), Some("k".to_owned())));
        assert_eq!(target("[::1]:9000", "/b/k"), (Some("b".to_owned()), Some("k".to_owned())));
    }

    #[test]
    fn a_virtual_host_is_undone_whatever_the_key_begins_with() {
        let domains = ["s3.localhost".to_owned()];
        for (host, path, expected) in [
            ("buck.s3.localhost:9000", "/k", "s3.localhost:9000"),
            ("buck.s3.localhost:9000", "/buck/k", "s3.localhost:9000"),
            ("BUCK.s3.localhost", "/k", "s3.localhost"),
            ("s3.localhost:9000", "/buck/k", "s3.localhost:9000"),
            ("s3.example", "/s3/k", "s3.example"),
        ] {
            let target = Target::parse(host, path, &domains).unwrap();
            assert_eq!(target.host_of_path_style(host), expected, "{host} {path}");
        }
    }

    #[test]
    fn keys_are_taken_as_they_come() {
        for (path, key) in [
            ("/b//", "/"),
            ("/b/a//b", "a//b"),
            ("/b/..", ".."),
            ("/b/../c", "../c"),
            ("/b/./", "./"),
            ("/b/a%2Fb", "a/b"),
            ("/b/a%20b+c", "a b+c"),
            ("/b/%C3%A9", "é"),
            ("/b/%00", "\0"),
        ] {
            assert_eq!(target("h", path).1.as_deref(), Some(key), "{path}");
        }
        for bad in ["*", "//k", "/b/%", "/b/%ff", "/%zz"] {
            Target::parse("h", bad, &[]).unwrap_err();
        }
    }
}
