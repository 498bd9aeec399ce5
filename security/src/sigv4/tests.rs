//! AWS's own published examples, which fix the algorithm; botocore's and mutated requests are in `tests/`.

use super::{Authenticated, Payload, Policy, RequestHead, SigningKeys, Via, authenticate};
use crate::AmzDate;
use crate::credentials::File;
use engine::clock::Timestamp;
use http::{HeaderMap, HeaderName, HeaderValue};

const CREDENTIALS: &str = "[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\n\
    aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n";

pub(crate) fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    map
}

pub(crate) fn check(
    method: &str,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    now: &str,
) -> Result<Authenticated, super::AuthError> {
    let file = File::parse(CREDENTIALS, "111122223333".parse().unwrap()).unwrap();
    let now = Timestamp::from_millis(AmzDate::parse(now).unwrap().secs() * 1000);
    let keys = SigningKeys::default();
    authenticate(&RequestHead { method, path, query, headers }, &file, &Policy::new("us-east-1", now, &keys))
}

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const HOST: (&str, &str) = ("host", "examplebucket.s3.amazonaws.com");
const DATE: (&str, &str) = ("x-amz-date", "20130524T000000Z");

fn authorization(signed_headers: &str, signature: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
         SignedHeaders={signed_headers},Signature={signature}"
    )
}

#[test]
fn aws_published_header_examples_verify() {
    let auth = authorization(
        "host;range;x-amz-content-sha256;x-amz-date",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    );
    let get = headers(&[
        HOST,
        ("range", "bytes=0-9"),
        ("x-amz-content-sha256", EMPTY),
        DATE,
        ("authorization", &auth),
    ]);
    let Ok(Authenticated::Signed(signed)) = check("GET", "/test.txt", "", &get, "20130524T000000Z") else {
        panic!("not verified")
    };
    assert_eq!((signed.via, signed.scope.service.as_str()), (Via::Header, "s3"));
    assert_eq!(signed.account.to_string(), "111122223333");
    assert!(matches!(signed.payload, Payload::Sha256(hash) if hex::encode(hash) == EMPTY));

    let hash = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
    let auth = authorization(
        "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    );
    let put = headers(&[
        HOST,
        ("date", "Fri, 24 May 2013 00:00:00 GMT"),
        ("x-amz-content-sha256", hash),
        DATE,
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("authorization", &auth),
    ]);
    check("PUT", "/test$file.text", "", &put, "20130524T000000Z").unwrap();
    check("PUT", "/test%24file.text", "", &put, "20130524T000000Z").unwrap();

    let auth = authorization(
        "host;x-amz-content-sha256;x-amz-date",
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    );
    let list = headers(&[HOST, ("x-amz-content-sha256", EMPTY), DATE, ("authorization", &auth)]);
    check("GET", "/", "max-keys=2&prefix=J", &list, "20130524T000000Z").unwrap();
    check("GET", "/", "prefix=J&max-keys=2", &list, "20130524T000000Z").unwrap();
}

#[test]
fn aws_published_presigned_example_verifies() {
    let query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3\
        %2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=\
        aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    let host = headers(&[HOST]);
    for now in ["20130524T000000Z", "20130525T000000Z", "20130523T234500Z"] {
        let Ok(Authenticated::Signed(signed)) = check("GET", "/test.txt", query, &host, now) else {
            panic!("not verified at {now}")
        };
        assert_eq!(signed.via, Via::Query);
        assert!(matches!(signed.payload, Payload::Unsigned));
    }
    let late = check("GET", "/test.txt", query, &host, "20130525T000001Z").unwrap_err();
    assert_eq!((late.code(), late.message()), ("AccessDenied", "Request has expired"));
    let early = check("GET", "/test.txt", query, &host, "20130523T234459Z").unwrap_err();
    assert_eq!((early.code(), early.message()), ("AccessDenied", "Request is not valid yet"));
}
