//! Websites: what is set on a bucket, and what a visitor gets.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail loudly")]

use crate::world::{Answer, Client, World, call};

pub(crate) async fn put(world: &World, client: &mut Client, inner: &str) -> Answer {
    let document = format!("<WebsiteConfiguration>{inner}</WebsiteConfiguration>");
    call(world, client, ("PUT", "/bucket?website"), &[], document.as_bytes()).await
}

/// What somebody gets who visits the bucket's website.
pub(crate) async fn visit(client: &mut Client, method: &str, path: &str) -> Answer {
    client
        .send_text(&format!("{method} {path} HTTP/1.1\r\nhost: bucket.s3-website.localhost:9000\r\n\r\n"))
        .await;
    if method == "HEAD" { client.answer_to_head().await.unwrap() } else { client.answer().await.unwrap() }
}

pub(crate) const INDEX: &str = "<IndexDocument><Suffix>index.html</Suffix></IndexDocument>";

fn rules(rules: &str) -> String {
    format!("{INDEX}<RoutingRules>{rules}</RoutingRules>")
}

#[tokio::test]
async fn a_website_is_kept_shown_and_removed() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let absent = call(&world, &mut client, ("GET", "/bucket?website"), &[], b"").await;
    assert_eq!((absent.status, absent.code()), (404, "NoSuchWebsiteConfiguration"));
    let full = format!(
        "{INDEX}<ErrorDocument><Key>error.html</Key></ErrorDocument><RoutingRules><RoutingRule><Condition>\
         <KeyPrefixEquals>docs/</KeyPrefixEquals><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals>\
         </Condition><Redirect><Protocol>https</Protocol><HostName>a.example</HostName>\
         <ReplaceKeyPrefixWith>documents/</ReplaceKeyPrefixWith><HttpRedirectCode>302</HttpRedirectCode></Redirect>\
         </RoutingRule></RoutingRules>"
    );
    let all = "<RedirectAllRequestsTo><HostName>a.example</HostName><Protocol>https</Protocol></RedirectAllRequestsTo>";
    for document in [&full, all] {
        let set = put(&world, &mut client, document).await;
        assert_eq!(set.status, 200, "{}", set.text());
        let shown = call(&world, &mut client, ("GET", "/bucket?website"), &[], b"").await;
        assert!(shown.text().contains(document), "{}", shown.text());
    }
    for _ in 0..2 {
        assert_eq!(call(&world, &mut client, ("DELETE", "/bucket?website"), &[], b"").await.status, 204);
    }
    assert_eq!(call(&world, &mut client, ("GET", "/bucket?website"), &[], b"").await.status, 404);
}

#[tokio::test]
async fn websites_that_s3_refuses_are_refused() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let rule = |inner: &str| rules(&format!("<RoutingRule>{inner}</RoutingRule>"));
    let many = rules(&"<RoutingRule><Redirect><HostName>a</HostName></Redirect></RoutingRule>".repeat(51));
    for (document, code, words) in [
        ("", "InvalidArgument", "A value for IndexDocument Suffix must be provided"),
        ("<IndexDocument><Suffix></Suffix></IndexDocument>", "InvalidArgument", "Suffix is not well formed"),
        (
            "<IndexDocument><Suffix>a/b</Suffix></IndexDocument>",
            "InvalidArgument",
            "Suffix is not well formed",
        ),
        (
            &format!("{INDEX}<ErrorDocument><Key></Key></ErrorDocument>"),
            "InvalidArgument",
            "Key is not well formed",
        ),
        (
            "<RedirectAllRequestsTo><HostName>a&#13;&#10;b</HostName></RedirectAllRequestsTo>",
            "InvalidRequest",
            "printable ASCII",
        ),
        (&rule("<Redirect><HostName>a b</HostName></Redirect>"), "InvalidRequest", "printable ASCII"),
        (
            &rule(&format!(
                "<Condition><KeyPrefixEquals>{}</KeyPrefixEquals></Condition><Redirect><HostName>a</HostName></Redirect>",
                "p".repeat(70_000)
            )),
            "InvalidRequest",
            "it can have 65536 at the most",
        ),
        (
            &format!("{INDEX}<RedirectAllRequestsTo><HostName>a</HostName></RedirectAllRequestsTo>"),
            "InvalidRequest",
            "in conjunction",
        ),
        (
            "<RedirectAllRequestsTo><HostName>a</HostName><Protocol>ftp</Protocol></RedirectAllRequestsTo>",
            "InvalidRequest",
            "Invalid protocol",
        ),
        ("<RedirectAllRequestsTo/>", "MalformedXML", ""),
        ("<Other/>", "MalformedXML", ""),
        (
            &rule("<Redirect><HttpRedirectCode>200</HttpRedirectCode></Redirect>"),
            "InvalidRequest",
            "redirect code (200)",
        ),
        (&rule("<Redirect/>"), "InvalidRequest", "must not be empty"),
        (
            &rule("<Condition/><Redirect><HostName>a</HostName></Redirect>"),
            "InvalidRequest",
            "Condition cannot be empty",
        ),
        (
            &rule(
                "<Redirect><ReplaceKeyWith>a</ReplaceKeyWith><ReplaceKeyPrefixWith>b</ReplaceKeyPrefixWith></Redirect>",
            ),
            "InvalidRequest",
            "but not both",
        ),
        (&many, "InvalidRequest", "allowed limit of 50 rules"),
    ] {
        let refused = put(&world, &mut client, document).await;
        assert_eq!((refused.status, refused.code()), (400, code), "{document}");
        assert!(refused.text().contains(words), "{}", refused.text());
    }
    assert_eq!(call(&world, &mut client, ("GET", "/bucket?website"), &[], b"").await.status, 404);
}

#[tokio::test]
async fn visitors_are_sent_where_the_rules_say() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let document = rules(
        "<RoutingRule><Condition><KeyPrefixEquals>docs/</KeyPrefixEquals></Condition><Redirect>\
         <ReplaceKeyPrefixWith>documents/</ReplaceKeyPrefixWith></Redirect></RoutingRule>\
         <RoutingRule><Condition><HttpErrorCodeReturnedEquals>403</HttpErrorCodeReturnedEquals></Condition><Redirect>\
         <Protocol>https</Protocol><HostName>a.example</HostName><ReplaceKeyWith>denied page</ReplaceKeyWith>\
         <HttpRedirectCode>307</HttpRedirectCode></Redirect></RoutingRule>",
    );
    assert_eq!(put(&world, &mut client, &document).await.status, 200);
    for (path, status, location) in [
        ("/docs/a%20b?x=1", 301, "http://bucket.s3-website.localhost:9000/documents/a%20b?x=1"),
        ("/private", 307, "https://a.example/denied%20page"),
    ] {
        for method in ["GET", "HEAD"] {
            let sent = visit(&mut client, method, path).await;
            assert_eq!((sent.status, sent.header("location")), (status, Some(location)), "{method} {path}");
        }
    }
    let all = "<RedirectAllRequestsTo><HostName>b.example</HostName></RedirectAllRequestsTo>";
    assert_eq!(put(&world, &mut client, all).await.status, 200);
    let sent = visit(&mut client, "GET", "/any/where").await;
    assert_eq!((sent.status, sent.header("location")), (301, Some("http://b.example/any/where")));
}

#[tokio::test]
async fn what_a_visitor_may_not_have_is_a_page_that_says_so() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let none = visit(&mut client, "GET", "/").await;
    assert_eq!((none.status, none.header("content-type")), (404, Some("text/html; charset=utf-8")));
    assert!(none.text().contains("<li>Code: NoSuchWebsiteConfiguration</li>"), "{}", none.text());
    assert!(none.text().contains("<li>BucketName: bucket</li>"), "{}", none.text());
    assert_eq!(put(&world, &mut client, INDEX).await.status, 200);
    assert_eq!(call(&world, &mut client, ("PUT", "/bucket/index.html"), &[], b"hidden").await.status, 200);
    for path in ["/", "/index.html", "/missing"] {
        let refused = visit(&mut client, "GET", path).await;
        assert_eq!(refused.status, 403, "{path}");
        assert!(refused.text().contains("<h1>403 Forbidden</h1>\n<ul>\n<li>Code: AccessDenied</li>"));
    }
    let with_page = format!("{INDEX}<ErrorDocument><Key>error.html</Key></ErrorDocument>");
    assert_eq!(put(&world, &mut client, &with_page).await.status, 200);
    let refused = visit(&mut client, "GET", "/missing").await;
    assert!(refused.text().contains("Attempting to Retrieve a Custom Error Document"), "{}", refused.text());
    let posted = visit(&mut client, "DELETE", "/index.html").await;
    assert_eq!(posted.status, 405);
    assert!(posted.text().contains("<li>Code: MethodNotAllowed</li>"));
    let kept = call(&world, &mut client, ("GET", "/bucket/index.html"), &[], b"").await;
    assert_eq!(kept.text(), "hidden");
}

#[tokio::test]
async fn a_website_shows_what_anybody_may_read() {
    let world = World::owned_by(objectstore::ObjectOwnership::ObjectWriter).await;
    let mut client = world.connect().await;
    assert_eq!(call(&world, &mut client, ("PUT", "/bucket"), &[], b"").await.status, 200);
    let public = ("x-amz-acl", "public-read");
    let elsewhere = ("x-amz-website-redirect-location", "https://a.example/new");
    for (path, headers, body) in [
        ("/bucket/index.html", &[public, ("content-type", "text/html")][..], "<h1>home</h1>"),
        ("/bucket/dir/index.html", &[public], "directory"),
        ("/bucket/page", &[public], "page"),
        ("/bucket/old", &[public, elsewhere], "moved"),
        ("/bucket/error.html", &[public], "our own words"),
        ("/bucket/private", &[], "hidden"),
    ] {
        assert_eq!(
            call(&world, &mut client, ("PUT", path), headers, body.as_bytes()).await.status,
            200,
            "{path}"
        );
    }
    let document = format!("{INDEX}<ErrorDocument><Key>error.html</Key></ErrorDocument>");
    assert_eq!(put(&world, &mut client, &document).await.status, 200);
    for (path, status, body, location) in [
        ("/", 200, "<h1>home</h1>", None),
        ("/page", 200, "page", None),
        ("/dir/", 200, "directory", None),
        ("/dir", 302, "", Some("/dir/")),
        ("/old", 301, "", Some("https://a.example/new")),
        ("/private", 403, "our own words", None),
        ("/missing", 403, "our own words", None),
        ("/missing/", 403, "our own words", None),
    ] {
        let shown = visit(&mut client, "GET", path).await;
        assert_eq!(
            (shown.status, shown.text(), shown.header("location")),
            (status, body, location),
            "{path}"
        );
        let head = visit(&mut client, "HEAD", path).await;
        assert_eq!((head.status, head.header("location")), (status, location), "{path}");
    }
    // Who may list may know that a key is not there.
    assert_eq!(
        call(&world, &mut client, ("PUT", "/bucket?acl"), &[public, ("content-length", "0")], b"")
            .await
            .status,
        200
    );
    assert_eq!(visit(&mut client, "GET", "/missing").await.status, 404);
    assert_eq!(visit(&mut client, "GET", "/private").await.status, 403);
    client
        .send_text("GET /page HTTP/1.1\r\nhost: bucket.s3-website.localhost\r\nrange: bytes=1-2\r\n\r\n")
        .await;
    let some = client.answer().await.unwrap();
    assert_eq!((some.status, some.text()), (206, "ag"));
    // As at the S3 door, nobody is let in who can't be charged.
    let requester = b"<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>";
    let set = call(&world, &mut client, ("PUT", "/bucket?requestPayment"), &[], requester).await;
    assert_eq!(set.status, 200);
    assert_eq!(visit(&mut client, "GET", "/page").await.status, 403);
}

#[tokio::test]
async fn a_redirect_location_is_a_place_that_a_browser_can_go_to() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let long = format!("/{}", "x".repeat(2048));
    for (location, status) in [
        ("/a", 200),
        ("http://a.example/b", 200),
        ("https://a.example", 200),
        (&long[..2048], 200),
        (&long, 400),
        ("", 400),
        ("javascript:alert(1)", 400),
        ("a", 400),
    ] {
        let headers = [("x-amz-website-redirect-location", location), ("content-length", "0")];
        let answer = call(&world, &mut client, ("PUT", "/bucket/k"), &headers, b"").await;
        assert_eq!(answer.status, status, "{location}");
        assert_eq!(answer.code(), if status == 400 { "InvalidRedirectLocation" } else { "" }, "{location}");
    }
}
