//! What every request is refused for by its head alone: sizes, framing, its host.

use crate::config::Limits;
use crate::s3::{Code, S3Error};
use engine::unit::ByteCount;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Version, request};

/// Bytes of a request's path and query.
const URI_MAX: usize = 16 << 10;
/// Header fields of a request. hyper itself bounds them on HTTP/1.1.
const HEADER_FIELDS_MAX: usize = 128;

/// Size and framing.
pub(crate) fn check_head(head: &request::Parts, limits: &Limits) -> Result<(), S3Error> {
    let uri = head.uri.path_and_query().map_or(0, |text| text.as_str().len());
    if uri > URI_MAX {
        return Err(S3Error::new(Code::RequestURITooLong).field("MaxURILengthBytes", URI_MAX.to_string()));
    }
    let size = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>();
    if ByteCount::from(size) > limits.header_section_max || head.headers.len() > HEADER_FIELDS_MAX {
        return Err(S3Error::new(Code::RequestHeaderSectionTooLarge)
            .field("MaxSizeAllowed", limits.header_section_max.get().to_string()));
    }
    check_framing(&head.headers)
}

/// One way to say where the body ends. hyper has already refused the worst; here goes what would still be ambiguous.
fn check_framing(headers: &HeaderMap) -> Result<(), S3Error> {
    let encodings: Vec<_> = headers.get_all(TRANSFER_ENCODING).iter().collect();
    let lengths = headers.get_all(CONTENT_LENGTH).iter().count();
    let chunked_only = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
    match encodings.as_slice() {
        [] if lengths <= 1 => Ok(()),
        [only] if chunked_only(only) && lengths == 0 => Ok(()),
        [_, ..] if lengths == 0 => Err(S3Error::unsupported_header("Transfer-Encoding")),
        _ => Err(S3Error::with(Code::InvalidRequest, "The request's framing is ambiguous.")),
    }
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
pub(crate) fn host(head: &request::Parts) -> Result<&str, S3Error> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let refused = |text| Err(S3Error::with(Code::InvalidRequest, text));
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
    use super::{check_framing, check_head, host, name_host};
    use crate::config::Limits;
    use http::{Request, Version, request};

    fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> request::Parts {
        let builder = Request::builder().method(method).uri(uri);
        let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
        builder.body(()).unwrap().into_parts().0
    }

    #[test]
    fn framing_is_said_once() {
        let code = |headers: &[(&str, &str)]| {
            check_framing(&head("PUT", "/", headers).headers).map_or_else(|error| error.code(), |()| "")
        };
        assert_eq!(code(&[("content-length", "3")]), "");
        assert_eq!(code(&[("transfer-encoding", "chunked")]), "");
        assert_eq!(code(&[("transfer-encoding", "gzip, chunked")]), "NotImplemented");
        assert_eq!(code(&[("transfer-encoding", "chunked"), ("content-length", "3")]), "InvalidRequest");
        assert_eq!(code(&[("content-length", "3"), ("content-length", "4")]), "InvalidRequest");
    }

    #[test]
    fn sizes_and_hosts_are_bounded() {
        let limits = Limits::default();
        let code =
            |head: &request::Parts| check_head(head, &limits).map_or_else(|error| error.code(), |()| "");
        assert_eq!(code(&head("GET", "/b", &[("a", "b")])), "");
        assert_eq!(code(&head("GET", "/b", &[("a", &"b".repeat(8 << 10))])), "RequestHeaderSectionTooLarge");
        assert_eq!(code(&head("GET", &format!("/{}", "b".repeat(16 << 10)), &[])), "RequestURITooLong");
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
            host(&head).map(str::to_owned).map_err(|error| error.code())
        };
        let (two, uri) = (Version::HTTP_2, "https://a:1/b");
        assert_eq!(named(uri, two, &[]), Ok("a:1".to_owned()));
        assert_eq!(named(uri, two, &[("host", "A:1")]), Ok("A:1".to_owned()), "as it was signed");
        assert_eq!(named(uri, two, &[("host", "other")]), Err("InvalidRequest"));
        assert_eq!(named("/b", two, &[("host", "a")]), Ok("a".to_owned()), "from a proxy of HTTP/1.1");
        assert_eq!(named("/b", two, &[]), Err("InvalidRequest"));
        assert_eq!(named(uri, Version::HTTP_11, &[("host", "other")]), Ok("other".to_owned()));
    }
}
