//! What every request is refused for by its head alone: sizes, framing, its host.

use super::HeadError;
use crate::config::Limits;
use engine::unit::ByteCount;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Version, request};
use std::str::FromStr;

/// Bytes of a request's path and query.
const URI_MAX: usize = 16 << 10;
/// Header fields of a request. hyper itself bounds them on HTTP/1.1.
const HEADER_FIELDS_MAX: usize = 128;

/// Size and framing.
pub(crate) fn check_head(head: &request::Parts, limits: &Limits) -> Result<(), HeadError> {
    let uri = head.uri.path_and_query().map_or(0, |text| text.as_str().len());
    if uri > URI_MAX {
        return Err(HeadError::UriTooLong { max: URI_MAX });
    }
    let size = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>();
    if ByteCount::from(size) > limits.header_section_max || head.headers.len() > HEADER_FIELDS_MAX {
        return Err(HeadError::HeadersTooLarge { max: limits.header_section_max });
    }
    check_framing(&head.headers)
}

/// One way to say where the body ends. hyper has already refused the worst; here goes what would still be ambiguous.
fn check_framing(headers: &HeaderMap) -> Result<(), HeadError> {
    let encodings: Vec<_> = headers.get_all(TRANSFER_ENCODING).iter().collect();
    let lengths = headers.get_all(CONTENT_LENGTH).iter().count();
    let chunked_only = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
    match encodings.as_slice() {
        [] if lengths <= 1 => Ok(()),
        [only] if chunked_only(only) && lengths == 0 => Ok(()),
        [_, ..] if lengths == 0 => Err(HeadError::Encoding),
        _ => Err(HeadError::Framing),
    }
}

/// A number as protocols have it: digits only, where Rust's own reading takes a sign too.
pub(crate) fn digits<N: FromStr>(text: &str) -> Option<N> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// HTTP/2 names the host in `:authority`; signatures sign it as `host`, and from here on it is that.
///
/// A request that has a `host` of its own keeps it beside `:authority`, and [`host`] refuses it where the two differ: a proxy
/// may have looked at one, and we at the other.
pub(crate) fn name_host(head: &mut request::Parts) {
    if head.version != Version::HTTP_2 {
        return;
    }
    let Some(authority) = head.uri.authority() else { return };
    let same = |host: &HeaderValue| host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes());
    let mut hosts = head.headers.get_all(HOST).iter();
    if let (Some(host), None) = (hosts.next(), hosts.next())
        && same(host)
    {
        return;
    }
    // An authority is made of what a header may hold.
    if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
        head.headers.append(HOST, host);
    }
}

/// The host that was asked for: exactly one, as HTTP/1.1 demands. It is the one that was signed; what an absolute request target names
/// beside it, as a proxy is sent it, is not looked at.
pub(crate) fn host(head: &request::Parts) -> Result<&str, HeadError> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let refused = |text| Err(HeadError::Host(text));
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => match host.to_str() {
            Ok(host) => Ok(host),
            Err(_) => refused("The Host header is not readable."),
        },
        (None, None) if head.version == Version::HTTP_10 => Ok(""),
        (None, None) => refused("Missing required header for this request: Host"),
        _ => refused("The Host header was given more than once."),
    }
}

#[cfg(test)]
mod tests {
    use super::{HeadError, check_framing, check_head, host, name_host};
    use crate::config::Limits;
    use http::{Request, Version, request};

    fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> request::Parts {
        let builder = Request::builder().method(method).uri(uri);
        let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
        builder.body(()).unwrap().into_parts().0
    }

    #[test]
    fn framing_is_said_once() {
        let framed = |headers: &[(&str, &str)]| check_framing(&head("PUT", "/", headers).headers);
        assert_eq!(framed(&[("content-length", "3")]), Ok(()));
        assert_eq!(framed(&[("transfer-encoding", "chunked")]), Ok(()));
        assert_eq!(framed(&[("transfer-encoding", "gzip, chunked")]), Err(HeadError::Encoding));
        let both = [("transfer-encoding", "chunked"), ("content-length", "3")];
        assert_eq!(framed(&both), Err(HeadError::Framing));
        assert_eq!(framed(&[("content-length", "3"), ("content-length", "4")]), Err(HeadError::Framing));
    }

    #[test]
    fn sizes_and_hosts_are_bounded() {
        let limits = Limits::default();
        let checked = |uri: &str, value: &str| check_head(&head("GET", uri, &[("a", value)]), &limits);
        assert_eq!(checked("/b", "b"), Ok(()));
        let max = limits.header_section_max;
        assert_eq!(checked("/b", &"b".repeat(8 << 10)), Err(HeadError::HeadersTooLarge { max }));
        let long = format!("/{}", "b".repeat(16 << 10));
        assert_eq!(checked(&long, "b"), Err(HeadError::UriTooLong { max: 16 << 10 }));
        assert!(host(&head("GET", "/", &[])).is_err());
        assert!(host(&head("GET", "/", &[("host", "a"), ("host", "b")])).is_err());
        assert_eq!(host(&head("GET", "/", &[("host", "a:1")])).unwrap(), "a:1");
    }

    #[test]
    fn the_authority_of_http_2_is_the_host_and_no_other_is_believed_beside_it() {
        let named = |uri: &str, version: Version, hosts: &[(&str, &str)]| {
            let mut head = head("GET", uri, hosts);
            head.version = version;
            name_host(&mut head);
            host(&head).map(str::to_owned).map_err(|error| error.to_string())
        };
        let (two, uri) = (Version::HTTP_2, "https://a:1/b");
        assert_eq!(named(uri, two, &[]), Ok("a:1".to_owned()));
        assert_eq!(named(uri, two, &[("host", "A:1")]), Ok("A:1".to_owned()), "as it was signed");
        let twice = Err("The Host header was given more than once.".to_owned());
        assert_eq!(named(uri, two, &[("host", "other")]), twice);
        assert_eq!(named("/b", two, &[("host", "a")]), Ok("a".to_owned()), "from a proxy of HTTP/1.1");
        let missing = Err("Missing required header for this request: Host".to_owned());
        assert_eq!(named("/b", two, &[]), missing);
        assert_eq!(named(uri, Version::HTTP_11, &[("host", "other")]), Ok("other".to_owned()));
    }
}
