//! Every refusal, with S3's code, message and further elements.

use crate::botocore::requests;
use crate::request::{ACCESS_KEY, NOW, Request, time, verify, verify_at, verify_then};
use http::StatusCode;
use security::sigv4::{AuthError, Authenticated};
use std::time::Duration;

fn named(name: &str) -> Request {
    requests().into_iter().find(|(other, ..)| other == name).unwrap().1
}

/// `GET /` signed in the header.
fn by_header() -> Request {
    named("header 1")
}

/// A presigned request whose only header is `host`.
fn by_query() -> Request {
    let found = requests()
        .into_iter()
        .find(|(name, request, _)| name.starts_with("query") && request.headers.len() == 1);
    found.unwrap().1
}

fn with_authorization(edit: impl Fn(&str) -> String) -> Request {
    let mut request = by_header();
    let edited = edit(&request.header("authorization").unwrap());
    request.set("authorization", &edited);
    request
}

fn with_query(edit: impl Fn(&str) -> String) -> Request {
    let mut request = by_query();
    request.query = edit(&request.query);
    request
}

#[track_caller]
fn refused(request: &Request, code: &str, message: &str) -> AuthError {
    let error = verify(request).expect_err(code);
    assert_eq!((error.code(), error.message()), (code, message));
    error
}

fn field(error: &AuthError, name: &str) -> String {
    error
        .fields()
        .iter()
        .find(|(other, _)| *other == name)
        .map(|(_, value)| value.clone())
        .unwrap_or_default()
}

#[test]
fn a_wrong_signature_says_what_was_signed() {
    for request in [
        with_authorization(|text| format!("{}0", &text[..text.len() - 1]).replace("e1a5e5", "e1a5e6")),
        with_authorization(|text| text.replace("Signature=", "Signature=0")),
        with_authorization(|text| {
            text.to_uppercase()
                .replace("CREDENTIAL", "Credential")
                .replace(
                    "SIGNEDHEADERS=HOST;X-AMZ-CONTENT-SHA256;X-AMZ-DATE",
                    "SignedHeaders=host;x-amz-content-sha256;x-amz-date",
                )
                .replace("SIGNATURE=", "Signature=")
                .replace("US-EAST-1/S3/AWS4_REQUEST", "us-east-1/s3/aws4_request")
        }),
    ] {
        let error = refused(
            &request,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your key and \
             signing method.",
        );
        assert_eq!(error.status(), StatusCode::FORBIDDEN);
        assert_eq!(field(&error, "AWSAccessKeyId"), ACCESS_KEY);
        let to_sign = field(&error, "StringToSign");
        assert!(
            to_sign.starts_with(&format!("AWS4-HMAC-SHA256\n{NOW}\n20260314/us-east-1/s3/aws4_request\n"))
        );
        assert!(field(&error, "StringToSignBytes").starts_with("41 57 53 34 2d"));
        assert!(field(&error, "CanonicalRequest").starts_with("GET\n/\n\nhost:127.0.0.1:9000\n"));
        assert!(field(&error, "CanonicalRequestBytes").starts_with("47 45 54 0a 2f 0a"));
        assert!(request.header("authorization").unwrap().contains(&field(&error, "SignatureProvided")));
        assert!(!format!("{error:?} {error}").contains("StringToSign"), "logs stay short");
    }
}

#[test]
fn an_unknown_access_key() {
    let message = "The AWS Access Key Id you provided does not exist in our records.";
    for id in ["AKIAIOSFODNN7EXAMPLF", "akia", "a/b/c", "AKIA\u{7f}"] {
        let request = with_authorization(|text| text.replace(ACCESS_KEY, id));
        if request.header_map().is_none() {
            continue;
        }
        let error = refused(&request, "InvalidAccessKeyId", message);
        assert_eq!((error.status(), field(&error, "AWSAccessKeyId")), (StatusCode::FORBIDDEN, id.to_owned()));
    }
}

#[test]
fn a_scope_of_another_region_service_day_or_form() {
    let prefix = "The authorization header is malformed; ";
    let code = "AuthorizationHeaderMalformed";
    let region = with_authorization(|text| text.replace("us-east-1", "eu-west-1"));
    let message = format!("{prefix}the region 'eu-west-1' is wrong; expecting 'us-east-1'");
    let error = refused(&region, code, &message);
    assert_eq!((error.status(), field(&error, "Region")), (StatusCode::BAD_REQUEST, "us-east-1".to_owned()));
    let form =
        "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".";
    for (from, to, message) in [
        ("/s3/", "/iam/", "incorrect service \"iam\". This endpoint belongs to \"s3\"."),
        (
            "aws4_request",
            "aws5_request",
            "incorrect terminal \"aws5_request\". This endpoint uses \"aws4_request\".",
        ),
        (
            "/20260314/",
            "/2026031/",
            "incorrect date format \"2026031\". This date in the credential must be in the format \"yyyyMMdd\".",
        ),
        (
            "/20260314/",
            "/20260313/",
            "Invalid credential date \"20260313\". This date is not the same as X-Amz-Date: \"20260314\".",
        ),
        ("/us-east-1/s3/aws4_request", "", form),
        (ACCESS_KEY, "", "a non-empty Access Key (AKID) must be provided in the credential."),
        ("Credential=", "Credentials=", ""),
        (
            "SignedHeaders=host;",
            "SignedHeaders=Host;",
            "SignedHeaders must be lower case, sorted, and name each header once.",
        ),
        (
            "SignedHeaders=host;",
            "SignedHeaders=host;host;",
            "SignedHeaders must be lower case, sorted, and name each header once.",
        ),
        (
            ";x-amz-date",
            ";x-amz-date;a",
            "SignedHeaders must be lower case, sorted, and name each header once.",
        ),
        (
            ";x-amz-date",
            ";x-amz-date;",
            "SignedHeaders must be lower case, sorted, and name each header once.",
        ),
    ] {
        let error = verify(&with_authorization(|text| text.replace(from, to))).unwrap_err();
        assert_eq!(error.code(), code, "{to}");
        assert!(error.message().starts_with(&format!("{prefix}{message}")), "{}", error.message());
    }
    let query = with_query(|text| text.replace("us-east-1", "eu-west-1"));
    let message = "Error parsing the X-Amz-Credential parameter; the region 'eu-west-1' is wrong; expecting 'us-east-1'";
    let error = refused(&query, "AuthorizationQueryParametersError", message);
    assert_eq!(field(&error, "Region"), "us-east-1");
}

#[test]
fn an_authorization_header_in_pieces() {
    for edit in [
        (|text: &str| text.replace(", Signature=", " Signature=")) as fn(&str) -> String,
        |text| format!("{text}, Signature=00"),
        |text| format!("{text}, Extra=1"),
        |text| format!("{text},"),
        |text| text.split(", Signature").next().unwrap_or_default().to_owned(),
        |text| text.replace("SignedHeaders=host;x-amz-content-sha256;x-amz-date", "SignedHeaders="),
        |_| "AWS4-HMAC-SHA256".to_owned(),
        |_| "AWS4-HMAC-SHA256 ".to_owned(),
    ] {
        assert_eq!(verify(&with_authorization(edit)).unwrap_err().code(), "AuthorizationHeaderMalformed");
    }
    let old = with_authorization(|_| "AWS AKIAIOSFODNN7EXAMPLE:c2lnbmF0dXJl".to_owned());
    let message =
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.";
    refused(&old, "InvalidRequest", message);
    let asymmetric = with_authorization(|text| text.replace("HMAC-SHA256", "ECDSA-P256-SHA256"));
    refused(&asymmetric, "InvalidRequest", message);
    let basic = with_authorization(|_| "Basic YTpi".to_owned());
    let error = refused(&basic, "InvalidArgument", "Unsupported Authorization Type");
    assert_eq!(field(&error, "ArgumentValue"), "Basic YTpi");
    for kind in ["Signature=x&AWSAccessKeyId=y&Expires=1", "AWSAccessKeyId=y"] {
        let v2 = Request {
            query: kind.to_owned(),
            headers: vec![("host".to_owned(), b"h".to_vec())],
            ..by_header()
        };
        refused(&v2, "InvalidRequest", message);
    }
}

#[test]
fn credentials_in_two_places() {
    let message = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string \
                   parameter or the Authorization header should be specified";
    let mut both = by_query();
    both.set("authorization", &by_header().header("authorization").unwrap());
    let error = refused(&both, "InvalidArgument", message);
    assert_eq!(field(&error, "ArgumentName"), "Authorization");
    let mut twice = by_header();
    twice.headers.push(("authorization".to_owned(), b"AWS4-HMAC-SHA256 x".to_vec()));
    refused(&twice, "InvalidArgument", message);
    let mut v2 = by_header();
    v2.query = "AWSAccessKeyId=y".to_owned();
    refused(&v2, "InvalidArgument", message);
}

#[test]
fn headers_unsigned_or_doubled() {
    let message = "There were headers present in the request which were not signed";
    for base in [by_header(), by_query()] {
        let mut request = base.clone();
        request.set("x-amz-acl", "public-read");
        request.set("X-Amz-Website-Redirect-Location", "/");
        let error = refused(&request, "AccessDenied", message);
        assert_eq!(error.status(), StatusCode::FORBIDDEN);
        assert_eq!(field(&error, "HeadersNotSigned"), "x-amz-acl, x-amz-website-redirect-location");
    }
    let no_host = with_authorization(|text| text.replace("SignedHeaders=host;", "SignedHeaders="));
    assert_eq!(field(&refused(&no_host, "AccessDenied", message), "HeadersNotSigned"), "host");
    for (name, value) in
        [("x-amz-date", NOW), ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"), ("host", "other")]
    {
        let mut request = by_header();
        request.headers.push((name.to_owned(), value.as_bytes().to_vec()));
        refused(&request, "InvalidRequest", &format!("The header {name} was given more than once."));
    }
}

#[test]
fn dates_missing_unreadable_or_elsewhere() {
    let message = "AWS authentication requires a valid Date or x-amz-date header";
    for value in ["", "yesterday", "20260314", "2026-03-14T15:09:26Z"] {
        let mut request = by_header();
        request.set("x-amz-date", value);
        refused(&request, "AccessDenied", message);
    }
    let mut request = by_header();
    request.remove("x-amz-date");
    refused(&request, "AccessDenied", message);
    request.set("date", "Sat, 14 Mar 2026 15:09:26 GMT");
    // Read, and not the one that was signed.
    assert_eq!(verify(&request).unwrap_err().code(), "SignatureDoesNotMatch");
    let error = verify_at(&by_header(), "20260314T152427Z").unwrap_err();
    assert_eq!(
        (error.code(), error.message(), error.status()),
        (
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
            StatusCode::FORBIDDEN
        )
    );
    assert_eq!(field(&error, "RequestTime"), NOW);
    assert_eq!(field(&error, "ServerTime"), "2026-03-14T15:24:27Z");
    assert_eq!(field(&error, "MaxAllowedSkewMilliseconds"), "900000");
}

#[test]
fn body_hashes_missing_or_unreadable() {
    let mut request = by_header();
    request.remove("x-amz-content-sha256");
    refused(&request, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256");
    for value in ["", "abc", "STREAMING-AWS4-HMAC-SHA512-PAYLOAD", "unsigned-payload"] {
        let mut request = by_header();
        request.set("x-amz-content-sha256", value);
        let error = verify(&request).unwrap_err();
        assert_eq!((error.code(), field(&error, "ArgumentValue")), ("InvalidArgument", value.to_owned()));
    }
    let error = AuthError::content_sha256_mismatch(&[1; 32], &[2; 32]);
    assert_eq!(error.code(), "XAmzContentSHA256Mismatch");
    assert_eq!(error.status(), StatusCode::BAD_REQUEST);
    assert_eq!(field(&error, "ClientComputedContentSHA256"), "01".repeat(32));
    assert_eq!(field(&error, "S3ComputedContentSHA256"), "02".repeat(32));
}

#[test]
fn presigned_parameters_missing_or_unreadable() {
    let code = "AuthorizationQueryParametersError";
    let all = "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, \
               X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.";
    for name in ["Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature"] {
        let gone = with_query(|text| text.replace(&format!("X-Amz-{name}="), &format!("X-Amz-Gone-{name}=")));
        refused(&gone, code, all);
        let twice = with_query(|text| format!("{text}&X-Amz-{name}=x"));
        refused(&twice, code, &format!("The query parameter X-Amz-{name} was given more than once."));
    }
    for (from, to, message) in [
        ("AWS4-HMAC", "AWS5-HMAC", "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\""),
        ("Expires=3600", "Expires=soon", "X-Amz-Expires should be a number"),
        ("Expires=3600", "Expires=%2B5", "X-Amz-Expires should be a number"),
        ("Expires=3600", "Expires=-1", "X-Amz-Expires must be non-negative"),
        (
            "Expires=3600",
            "Expires=604801",
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than \
             604800 seconds",
        ),
        (
            "Date=20260314T150926Z",
            "Date=20260314",
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"",
        ),
    ] {
        let error = refused(&with_query(|text| text.replace(from, to)), code, message);
        // A lifetime that no URL can have has run out, whatever the clock says.
        let lifetime = matches!(to, "Expires=-1" | "Expires=604801");
        let status = if lifetime { StatusCode::FORBIDDEN } else { StatusCode::BAD_REQUEST };
        assert_eq!(error.status(), status, "{to}");
    }
    let long = with_query(|text| text.replace("Expires=3600", "Expires=9223372036854775807"));
    assert_eq!(verify(&long).unwrap_err().code(), code);
    let unsorted = with_query(|text| text.replace("SignedHeaders=host", "SignedHeaders=host%3Ba"));
    assert_eq!(verify(&unsorted).unwrap_err().code(), code);
}

#[test]
fn a_presigned_body_has_one_hash() {
    let mut request = with_query(|text| format!("{text}&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD"));
    request.set("x-amz-content-sha256", &"0".repeat(64));
    let message = "The x-amz-content-sha256 header and the X-Amz-Content-Sha256 parameter differ.";
    refused(&request, "InvalidRequest", message);
}

#[test]
fn presigned_times() {
    let request = by_query();
    let at = |offset: i64| {
        let moved = if offset < 0 { time(NOW).as_millis() + offset * 1000 } else { 0 };
        let now = if offset < 0 {
            engine::clock::Timestamp::from_millis(moved)
        } else {
            time(NOW).plus(Duration::from_secs(offset.unsigned_abs()))
        };
        verify_at(&request, security::AmzDate::from_timestamp(now).as_str())
    };
    assert!(matches!(at(3600), Ok(Authenticated::Signed(_))));
    assert!(matches!(at(-900), Ok(Authenticated::Signed(_))));
    let late = at(3601).unwrap_err();
    assert_eq!(
        (late.code(), late.message(), late.status()),
        ("AccessDenied", "Request has expired", StatusCode::FORBIDDEN)
    );
    assert_eq!(field(&late, "X-Amz-Expires"), "3600");
    assert_eq!(field(&late, "Expires"), "2026-03-14T16:09:26Z");
    assert_eq!(field(&late, "ServerTime"), "2026-03-14T16:09:27Z");
    let early = at(-901).unwrap_err();
    assert_eq!((early.code(), early.message()), ("AccessDenied", "Request is not valid yet"));
}

#[test]
fn a_url_for_no_time_is_good_for_none() {
    let spent = with_query(|text| text.replace("X-Amz-Expires=3600", "X-Amz-Expires=0"));
    let moment = time(NOW).plus(Duration::from_millis(1));
    let refused = verify_then(&spent, moment).unwrap_err();
    assert_eq!((refused.code(), refused.message()), ("AccessDenied", "Request has expired"));
}

#[test]
fn session_tokens_belong_to_sessions() {
    let mut request = by_header();
    request.set("x-amz-security-token", "token");
    let edited =
        request.header("authorization").unwrap().replace("x-amz-date,", "x-amz-date;x-amz-security-token,");
    request.set("authorization", &edited);
    refused(&request, "InvalidToken", "The provided token is malformed or otherwise invalid.");
    let query = with_query(|text| format!("{text}&X-Amz-Security-Token=token"));
    refused(&query, "InvalidToken", "The provided token is malformed or otherwise invalid.");
}

#[test]
fn paths_and_queries_that_are_no_text() {
    for (path, query) in [("/%", ""), ("/%4", ""), ("/%zz", ""), ("/", "a=%"), ("/", "%f=1"), ("/", "a=%%41")]
    {
        let request = Request { path: path.to_owned(), query: query.to_owned(), ..by_header() };
        refused(&request, "InvalidURI", "Couldn't parse the specified URI.");
    }
}

#[test]
fn unsigned_requests_are_anonymous() {
    let mut request = by_header();
    request.remove("authorization");
    assert!(matches!(verify(&request), Ok(Authenticated::Anonymous)));
    request.query = "list-type=2&prefix=X-Amz-Signature".to_owned();
    assert!(matches!(verify(&request), Ok(Authenticated::Anonymous)));
}
