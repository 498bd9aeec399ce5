//! What no answer in XML could show again is not kept: each text of each setting, against what XML 1.0 lacks.

use crate::world::{ACCOUNT, World, call, content_md5};

/// A way to write what XML 1.0 has no character for.
const LACKING: [&str; 8] = ["\u{0}", "\u{1}", "\u{b}", "\u{1f}", "\u{fffe}", "\u{ffff}", "&#1;", "&#xFFFF;"];

/// The document of a setting, with a text of it left open.
fn documents() -> Vec<(&'static str, String)> {
    let tag = |inner: &str| format!("<Tagging><TagSet><Tag>{inner}</Tag></TagSet></Tagging>");
    let cors = |inner: &str| format!("<CORSConfiguration><CORSRule>{inner}</CORSRule></CORSConfiguration>");
    let any = "<AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin>";
    let site = |inner: &str| format!("<WebsiteConfiguration>{inner}</WebsiteConfiguration>");
    let index = "<IndexDocument><Suffix>index.html</Suffix></IndexDocument>";
    let routed = |condition: &str, redirect: &str| {
        site(&format!(
            "{index}<RoutingRules><RoutingRule>{condition}<Redirect>{redirect}</Redirect></RoutingRule></RoutingRules>"
        ))
    };
    let elsewhere = "<HostName>example.com</HostName>";
    let rule = |inner: &str| {
        format!(
            "<LifecycleConfiguration><Rule>{inner}<Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>\
             </LifecycleConfiguration>"
        )
    };
    let inventory = |id: &str, filter: &str, destination: &str| {
        format!(
            "<InventoryConfiguration><Id>{id}</Id><IsEnabled>true</IsEnabled><Destination><S3BucketDestination>\
             <Bucket>arn:aws:s3:::target</Bucket><Format>CSV</Format>{destination}</S3BucketDestination></Destination>\
             {filter}<IncludedObjectVersions>All</IncludedObjectVersions><Schedule><Frequency>Daily</Frequency>\
             </Schedule></InventoryConfiguration>"
        )
    };
    let told = |inner: &str| {
        format!(
            "<NotificationConfiguration><TopicConfiguration>{inner}<Topic>arn:aws:sns:us-east-1:{ACCOUNT}:told</Topic>\
             <Event>s3:ObjectCreated:*</Event></TopicConfiguration></NotificationConfiguration>"
        )
    };
    let filter = |name: &str| {
        told(&format!(
            "<Filter><S3Key><FilterRule><Name>{name}</Name><Value>@</Value></FilterRule></S3Key></Filter>"
        ))
    };
    vec![
        ("/bucket?tagging", tag("<Key>@</Key><Value>v</Value>")),
        ("/bucket?tagging", tag("<Key>k</Key><Value>@</Value>")),
        ("/bucket/key?tagging", tag("<Key>@</Key><Value>v</Value>")),
        ("/bucket/key?tagging", tag("<Key>k</Key><Value>@</Value>")),
        ("/bucket?cors", cors(&format!("<ID>@</ID>{any}"))),
        ("/bucket?cors", cors("<AllowedMethod>GET</AllowedMethod><AllowedOrigin>@</AllowedOrigin>")),
        ("/bucket?cors", cors(&format!("{any}<AllowedHeader>@</AllowedHeader>"))),
        ("/bucket?cors", cors(&format!("{any}<ExposeHeader>@</ExposeHeader>"))),
        ("/bucket?website", site("<IndexDocument><Suffix>@</Suffix></IndexDocument>")),
        ("/bucket?website", site(&format!("{index}<ErrorDocument><Key>@</Key></ErrorDocument>"))),
        ("/bucket?website", site("<RedirectAllRequestsTo><HostName>@</HostName></RedirectAllRequestsTo>")),
        (
            "/bucket?website",
            routed("<Condition><KeyPrefixEquals>@</KeyPrefixEquals></Condition>", elsewhere),
        ),
        ("/bucket?website", routed("", "<HostName>@</HostName>")),
        ("/bucket?website", routed("", "<ReplaceKeyPrefixWith>@</ReplaceKeyPrefixWith>")),
        ("/bucket?website", routed("", "<ReplaceKeyWith>@</ReplaceKeyWith>")),
        ("/bucket?lifecycle", rule("<ID>@</ID><Prefix/>")),
        ("/bucket?lifecycle", rule("<Prefix>@</Prefix>")),
        ("/bucket?lifecycle", rule("<Filter><Prefix>@</Prefix></Filter>")),
        ("/bucket?lifecycle", rule("<Filter><Tag><Key>@</Key><Value>v</Value></Tag></Filter>")),
        ("/bucket?lifecycle", rule("<Filter><Tag><Key>k</Key><Value>@</Value></Tag></Filter>")),
        (
            "/bucket?lifecycle",
            rule("<Filter><And><Prefix>@</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter>"),
        ),
        (
            "/bucket?logging",
            "<BucketLoggingStatus><LoggingEnabled><TargetBucket>target</TargetBucket><TargetPrefix>@</TargetPrefix>\
             </LoggingEnabled></BucketLoggingStatus>"
                .to_owned(),
        ),
        ("/bucket?inventory&id=x", inventory("@", "", "")),
        ("/bucket?inventory&id=x", inventory("x", "<Filter><Prefix>@</Prefix></Filter>", "")),
        ("/bucket?inventory&id=x", inventory("x", "", "<Prefix>@</Prefix>")),
        ("/bucket?notification", told("<Id>@</Id>")),
        ("/bucket?notification", filter("prefix")),
        ("/bucket?notification", filter("suffix")),
    ]
}

#[tokio::test]
async fn no_setting_keeps_what_xml_could_not_show() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    for (path, body) in [("/target", ""), ("/bucket/key", "x")] {
        assert_eq!(call(&world, &mut client, ("PUT", path), &[], body.as_bytes()).await.status, 200);
    }
    let mut kept = Vec::new();
    for (path, document) in documents() {
        let document = |text: &str| document.replace('@', text);
        let sound = document("x");
        let md5 = content_md5(sound.as_bytes());
        let set = call(&world, &mut client, ("PUT", path), &[("content-md5", &md5)], sound.as_bytes()).await;
        assert!(matches!(set.status, 200 | 204), "{path} {sound}: {}", set.text());
        let shown = call(&world, &mut client, ("GET", path), &[], b"").await.text().to_owned();
        for lacking in LACKING {
            // Not at the end, where white space would go.
            let bad = document(&format!("x{lacking}x"));
            let md5 = content_md5(bad.as_bytes());
            let headers = [("content-md5", &*md5)];
            let refused = call(&world, &mut client, ("PUT", path), &headers, bad.as_bytes()).await;
            if (refused.status, refused.text().contains("<Code>MalformedXML</Code>")) != (400, true) {
                kept.push((path, bad));
            }
        }
        let after = call(&world, &mut client, ("GET", path), &[], b"").await;
        if after.text() != shown {
            kept.push((path, after.text().to_owned()));
        }
    }
    assert!(kept.is_empty(), "{} were taken: {kept:#?}", kept.len());
}

/// Keys are bytes to whoever made them: what has such a name can be removed by it.
#[tokio::test]
async fn a_key_that_xml_lacks_is_deleted_by_a_document() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    for (path, written) in [("/bucket/a%01", "a\u{1}"), ("/bucket/b%01", "b&#1;")] {
        assert_eq!(call(&world, &mut client, ("PUT", path), &[], b"x").await.status, 200);
        let document = format!("<Delete><Object><Key>{written}</Key></Object></Delete>");
        let md5 = content_md5(document.as_bytes());
        let headers = [("content-md5", &*md5)];
        let deleted =
            call(&world, &mut client, ("POST", "/bucket?delete"), &headers, document.as_bytes()).await;
        assert!(deleted.text().contains("<Deleted>"), "{}", deleted.text());
        assert_eq!(call(&world, &mut client, ("GET", path), &[], b"").await.status, 404);
    }
}
