//! CORS: what a bucket's rules are, and what a browser is told by them.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail loudly")]

use crate::world::{Answer, Client, World, call};

const MD5_OF_NOTHING: &str = "1B2M2Y8AsgTpgAmY7PhCfg==";

async fn put_rules(world: &World, client: &mut Client, rules: &str) -> Answer {
    let document = format!("<CORSConfiguration>{rules}</CORSConfiguration>");
    put_document(world, client, &document).await
}

async fn put_document(world: &World, client: &mut Client, document: &str) -> Answer {
    use base64::Engine as _;
    use md5::Digest as _;
    let digest = base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(document));
    call(world, client, ("PUT", "/bucket?cors"), &[("content-md5", &digest)], document.as_bytes()).await
}

fn rule(origin: &str, method: &str, more: &str) -> String {
    format!(
        "<CORSRule><AllowedOrigin>{origin}</AllowedOrigin><AllowedMethod>{method}</AllowedMethod>{more}</CORSRule>"
    )
}

/// An unsigned OPTIONS.
async fn preflight(client: &mut Client, path: &str, lines: &[(&str, &str)]) -> Answer {
    let mut head = format!("OPTIONS {path} HTTP/1.1\r\nhost: {{host}}\r\n");
    for (name, value) in lines {
        head.extend([name, ": ", value, "\r\n"]);
    }
    client.send_text(&format!("{head}\r\n")).await;
    client.answer().await.unwrap()
}

#[tokio::test]
async fn rules_are_kept_shown_and_removed() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let absent = call(&world, &mut client, ("GET", "/bucket?cors"), &[], b"").await;
    assert_eq!((absent.status, absent.code()), (404, "NoSuchCORSConfiguration"));
    let full = "<CORSRule><ID>one</ID><AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod>\
         <AllowedOrigin>http://*.a</AllowedOrigin><AllowedHeader>x-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader>\
         <MaxAgeSeconds>600</MaxAgeSeconds></CORSRule>";
    let rules = format!("{full}{}", rule("*", "HEAD", ""));
    assert_eq!(put_rules(&world, &mut client, &rules).await.status, 200);
    let shown = call(&world, &mut client, ("GET", "/bucket?cors"), &[], b"").await;
    assert!(shown.text().contains(full), "{}", shown.text());
    assert!(shown.text().contains("<AllowedMethod>HEAD</AllowedMethod><AllowedOrigin>*</AllowedOrigin>"));
    for _ in 0..2 {
        assert_eq!(call(&world, &mut client, ("DELETE", "/bucket?cors"), &[], b"").await.status, 204);
    }
    assert_eq!(call(&world, &mut client, ("GET", "/bucket?cors"), &[], b"").await.status, 404);
}

#[tokio::test]
async fn rules_that_s3_refuses_are_refused() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let many = rule("*", "GET", "").repeat(101);
    let large = rule("*", "GET", &format!("<ID>{}</ID>", "i".repeat(200))).repeat(300);
    for (rules, code, words) in [
        ("", "MalformedXML", ""),
        (&*rule("*", "PATCH", ""), "InvalidRequest", "Unsupported method is PATCH"),
        (
            &rule("*a*", "GET", ""),
            "InvalidRequest",
            "AllowedOrigin &quot;*a*&quot; can not have more than one wildcard.",
        ),
        (&rule("*", "GET", "<AllowedHeader>**</AllowedHeader>"), "InvalidRequest", "AllowedHeader"),
        (
            &rule("*", "GET", "<ExposeHeader>*</ExposeHeader>"),
            "InvalidRequest",
            "do not support wildcard for ExposeHeader",
        ),
        (&rule("*", "GET", "<MaxAgeSeconds>-1</MaxAgeSeconds>"), "MalformedXML", ""),
        (&rule("*", "GET", "<Other/>"), "MalformedXML", ""),
        (&rule("", "GET", ""), "MalformedXML", ""),
        ("<CORSRule><AllowedOrigin>*</AllowedOrigin></CORSRule>", "MalformedXML", ""),
        (&many, "InvalidRequest", "allowed limit of 100 rules"),
        (&large, "MaxMessageLengthExceeded", ""),
    ] {
        let refused = put_rules(&world, &mut client, rules).await;
        assert_eq!((refused.status, refused.code()), (400, code), "{rules:.200}");
        assert!(refused.text().contains(words), "{}", refused.text());
        if refused.header("connection").is_some() {
            client = world.connect().await;
        }
    }
    let unproven = call(&world, &mut client, ("PUT", "/bucket?cors"), &[], b"<CORSConfiguration/>").await;
    assert_eq!((unproven.status, unproven.code()), (400, "InvalidRequest"));
    let empty = [("content-md5", MD5_OF_NOTHING), ("content-length", "0")];
    let empty = call(&world, &mut client, ("PUT", "/bucket?cors"), &empty, b"").await;
    assert_eq!((empty.status, empty.code()), (400, "MissingRequestBodyError"));
    assert_eq!(call(&world, &mut client, ("GET", "/bucket?cors"), &[], b"").await.status, 404);
}

#[tokio::test]
async fn a_preflight_is_answered_by_the_rules_alone() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let asks = |origin, method| [("origin", origin), ("access-control-request-method", method)];
    let forbidden = preflight(&mut client, "/bucket/key", &asks("http://x.a", "GET")).await;
    assert_eq!((forbidden.status, forbidden.code()), (403, "AccessForbidden"));
    assert!(forbidden.text().contains("CORSResponse: CORS is not enabled for this bucket."));
    assert!(forbidden.text().contains("<Method>GET</Method><ResourceType>OBJECT</ResourceType>"));
    let more = "<AllowedHeader>x-amz-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader>\
                <ExposeHeader>x-amz-request-id</ExposeHeader><MaxAgeSeconds>60</MaxAgeSeconds>";
    let rules = format!("{}{}", rule("http://*.a", "PUT", more), rule("*", "GET", ""));
    assert_eq!(put_rules(&world, &mut client, &rules).await.status, 200);

    let mut asked = asks("http://x.a", "PUT").to_vec();
    asked.push(("access-control-request-headers", "X-Amz-Date, x-amz-acl"));
    let allowed = preflight(&mut client, "/bucket/key", &asked).await;
    assert_eq!((allowed.status, allowed.text()), (200, ""));
    for (name, value) in [
        ("access-control-allow-origin", Some("http://x.a")),
        ("access-control-allow-credentials", Some("true")),
        ("access-control-allow-methods", Some("PUT")),
        ("access-control-allow-headers", Some("x-amz-date, x-amz-acl")),
        ("access-control-expose-headers", Some("ETag, x-amz-request-id")),
        ("access-control-max-age", Some("60")),
        ("vary", Some("Origin, Access-Control-Request-Headers, Access-Control-Request-Method")),
    ] {
        assert_eq!(allowed.header(name), value, "{name}");
    }
    let any = preflight(&mut client, "/bucket", &asks("http://evil", "GET")).await;
    assert_eq!((any.status, any.header("access-control-allow-origin")), (200, Some("*")));
    assert_eq!(any.header("access-control-allow-credentials"), None, "never for any origin");

    for (path, lines, status, words) in [
        ("/bucket/key", &asks("http://evil", "PUT")[..], 403, "This CORS request is not allowed."),
        ("/bucket", &asks("http://x.a", "DELETE"), 403, "<ResourceType>BUCKET</ResourceType>"),
        ("/missing/key", &asks("http://x.a", "GET"), 403, "CORSResponse: Bucket not found"),
        ("/", &asks("http://x.a", "GET"), 403, "CORSResponse: Bucket not found"),
        ("/bucket", &[], 400, "Insufficient information. Origin request header needed."),
        ("/bucket", &[("origin", "http://x.a")], 400, "Invalid Access-Control-Request-Method: null"),
        ("/bucket", &asks("http://x.a", "PATCH"), 400, "Invalid Access-Control-Request-Method: PATCH"),
    ] {
        let refused = preflight(&mut client, path, lines).await;
        assert_eq!(refused.status, status, "{path} {lines:?}");
        assert!(refused.text().contains(words), "{}", refused.text());
        assert!(!refused.head.to_lowercase().contains("access-control-allow"), "{}", refused.head);
    }
}

#[tokio::test]
async fn answers_and_errors_carry_what_the_matching_rule_allows_and_no_more() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let page = [("origin", "http://x.a")];
    let before = call(&world, &mut client, ("GET", "/bucket"), &page, b"").await;
    assert_eq!(
        (before.status, before.header("access-control-allow-origin"), before.header("vary")),
        (200, None, None)
    );
    let rules = rule("http://*.a", "GET", "<ExposeHeader>ETag</ExposeHeader>");
    assert_eq!(put_rules(&world, &mut client, &rules).await.status, 200);
    for (method, path, lines, status, origin) in [
        ("GET", "/bucket", &page[..], 200, Some("http://x.a")),
        ("GET", "/bucket/missing", &page, 404, Some("http://x.a")),
        ("GET", "/bucket/missing", &[("origin", "http://evil")], 404, None),
        ("PUT", "/bucket/key", &page, 200, None),
        ("GET", "/bucket/key", &page, 200, Some("http://x.a")),
        ("GET", "/missing", &page, 404, None),
        ("GET", "/", &page, 200, None),
    ] {
        let body = if method == "PUT" { &b"x"[..] } else { b"" };
        let answer = call(&world, &mut client, (method, path), lines, body).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("access-control-allow-origin"), origin, "{method} {path} {lines:?}");
        assert_eq!(answer.header("access-control-allow-credentials"), origin.map(|_| "true"));
        assert_eq!(answer.header("access-control-expose-headers"), origin.map(|_| "ETag"));
        assert_eq!(answer.header("vary").is_some(), path.starts_with("/bucket"), "{method} {path}");
    }
    // Unsigned: refused, and the page may still read why.
    client.send_text("GET /bucket/key HTTP/1.1\r\nhost: {host}\r\norigin: http://x.a\r\n\r\n").await;
    let refused = client.answer().await.unwrap();
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (403, Some("http://x.a")));
    let plain = call(&world, &mut client, ("GET", "/bucket"), &[], b"").await;
    assert_eq!((plain.header("vary"), plain.header("access-control-allow-origin")), (None, None));
}
