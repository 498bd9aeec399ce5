//! Headers that a presigned URL carries as parameters, put where every reader of headers finds them.
//!
//! SDKs move headers of a request into the URL that they sign, and S3 takes them from there. Who asks for a header then, an operation or the
//! condition of a policy, finds one and the same value: a parameter that means something to the one and nothing to the other would be a way
//! past policies. Not moved are the signature's own parameters and what is about the body's transfer.

use super::customer;
use super::error::S3Error;
use super::query::Query;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Parameters of the signature, and headers of a body that whoever made the URL did not have.
const STAYING: [&str; 12] = [
    "x-amz-algorithm",
    "x-amz-content-sha256",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-expires",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
    "x-amz-trailer",
    "x-amz-user-agent",
];

fn is_header(name: &str) -> bool {
    name.starts_with("x-amz-") && !name.starts_with("x-amz-checksum-") && !STAYING.contains(&name)
}

/// Makes headers of the parameters that stand for some. After the signature is verified: it was made over the parameters.
pub(crate) fn hoist(headers: &mut HeaderMap, query: &Query) -> Result<(), S3Error> {
    for (name, value) in query.pairs() {
        let name = name.to_ascii_lowercase();
        if !is_header(&name) {
            continue;
        }
        if customer::is_like_one(&name) {
            let what = "A customer's key goes in the headers of the request, never in its URL";
            return Err(S3Error::argument(&name, "", what));
        }
        let refused = |what: &'static str| S3Error::argument(&name, value, what);
        let header = HeaderName::try_from(&name).map_err(|_| refused("The parameter names no header"))?;
        if headers.contains_key(&header) {
            return Err(S3Error::argument(&name, "", "The header was given more than once"));
        }
        let value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| refused("No header can have this value"))?;
        headers.insert(header, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{HeaderMap, HeaderValue, Query, hoist};

    fn hoisted(query: &str, headers: &[(&'static str, &'static str)]) -> Result<HeaderMap, &'static str> {
        let mut map: HeaderMap = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        hoist(&mut map, &Query::parse(query).unwrap()).map(|()| map).map_err(|error| error.code())
    }

    #[test]
    fn parameters_that_stand_for_headers_become_headers_and_none_stands_twice() {
        let map = hoisted("X-Amz-Tagging=a%3D1&x-amz-meta-Who=%C3%A9&prefix=x&acl", &[]).unwrap();
        assert_eq!((map.len(), map["x-amz-tagging"].as_bytes()), (2, &b"a=1"[..]));
        assert_eq!(map["x-amz-meta-who"].as_bytes(), "é".as_bytes());
        let signature =
            "X-Amz-Signature=s&X-Amz-Date=d&X-Amz-SignedHeaders=host&x-amz-checksum-crc32=AAAAAA%3D%3D";
        assert!(hoisted(signature, &[]).unwrap().is_empty());
        for (query, headers) in [
            ("x-amz-acl=private&X-Amz-Acl=public-read", &[][..]),
            ("x-amz-acl=private", &[("x-amz-acl", "private")]),
            ("x-amz-acl=a%0Ab", &[]),
            ("x-amz-a%20b=c", &[]),
            ("X-Amz-Server-Side-Encryption-Customer-Key=k", &[]),
        ] {
            assert_eq!(hoisted(query, headers).err(), Some("InvalidArgument"), "{query}");
        }
    }
}
