//! AWS's own published examples, which fix the algorithm; botocore's and mutated requests are in `tests/`.

use super::{
    Authenticated, Payload, Policy, RequestHead, Scope, SigningKey, SigningKeys, Via, authenticate,
    canonical, claimed_service, examine, string_to_sign,
};
use crate::AmzDate;
use crate::credentials::{File, SecretKey};
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

/// The signature over a request to a service whose SDKs say nothing of the body in the head.
fn of_service(
    secret: &str,
    service: &str,
    (query, headers, date): (&str, &HeaderMap, &str),
    body: &[u8],
) -> String {
    let scope =
        Scope { date: date[..8].to_owned(), region: "us-east-1".to_owned(), service: service.to_owned() };
    let head = RequestHead { method: "GET", path: "/", query, headers };
    let payload = super::sha256_hex(body);
    let canonical =
        canonical::canonical_request(&head, "content-type;host;x-amz-date", &payload, None).unwrap();
    let key = SigningKey::derive(&SecretKey::parse(secret).unwrap(), &scope);
    let to_sign = string_to_sign(&AmzDate::parse(date).unwrap(), &scope, &canonical);
    key.sign(to_sign.as_bytes()).as_str().to_owned()
}

const LIST_USERS: &str = "Action=ListUsers&Version=2010-05-08";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");

#[test]
fn aws_published_example_of_iam_is_signed_as_published() {
    let headers = headers(&[FORM, ("host", "iam.amazonaws.com"), ("x-amz-date", "20150830T123600Z")]);
    let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    assert_eq!(
        of_service(secret, "iam", (LIST_USERS, &headers, "20150830T123600Z"), b""),
        "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    );
}

#[test]
fn other_services_sign_the_whole_body_and_say_nothing_of_it() {
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    let (host, date) = (("host", "localhost:9000"), ("x-amz-date", "20130524T000000Z"));
    let signature = of_service(secret, "iam", (LIST_USERS, &headers(&[FORM, host, date]), date.1), b"body");
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/iam/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date, Signature={signature}"
    );
    let headers = headers(&[FORM, host, date, ("authorization", &authorization)]);
    let head = RequestHead { method: "GET", path: "/", query: LIST_USERS, headers: &headers };
    let file = File::parse(CREDENTIALS, "111122223333".parse().unwrap()).unwrap();
    let now = Timestamp::from_millis(AmzDate::parse(date.1).unwrap().secs() * 1000);
    let keys = SigningKeys::default();
    // The appliance is in another region: what is in none is signed for AWS's first all the same.
    let policy = Policy::new("eu-central-1", now, &keys);
    let hash = |body: &[u8]| {
        let mut bytes = [0; 32];
        hex::decode_to_slice(super::sha256_hex(body), &mut bytes).unwrap();
        bytes
    };
    assert_eq!(claimed_service(&head).as_deref(), Some("iam"));
    assert!(examine(&head, &file, &policy.of_service("iam", None)).unwrap());
    let verified = |policy: Policy<'_>| authenticate(&head, &file, &policy).map_err(|error| error.code());
    let Ok(Authenticated::Signed(signed)) = verified(policy.of_service("iam", Some(hash(b"body")))) else {
        panic!("not verified")
    };
    assert_eq!((signed.scope.service.as_str(), signed.scope.region.as_str()), ("iam", "us-east-1"));
    for (policy, code) in [
        (policy.of_service("iam", Some(hash(b"bodY"))), "SignatureDoesNotMatch"),
        (policy.of_service("iam", Some(hash(b""))), "SignatureDoesNotMatch"),
        (policy.of_service("iam", None), "InvalidRequest"),
        (policy.of_service("sts", Some(hash(b"body"))), "AuthorizationHeaderMalformed"),
        (policy, "InvalidRequest"),
    ] {
        assert_eq!(verified(policy).unwrap_err(), code, "{:?}", policy.expects);
    }
}
