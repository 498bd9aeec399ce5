//! What the conditions of a policy are compared with is what the operation does: no second spelling, place or order of a request's words
//! means one thing to the policy and another to the store.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::ingest::{Entry, tar};
use crate::policy::{Case, allow, deny};
use crate::world::{OTHER_ACCOUNT, Who};

type Headers = &'static [(&'static str, &'static str)];

fn tags(name: &str, value: &str) -> String {
    format!("<Tagging><TagSet><Tag><Key>{name}</Key><Value>{value}</Value></Tag></TagSet></Tagging>")
}

fn between<'t>(text: &'t str, before: &str) -> &'t str {
    text.split_once(before).unwrap().1.split_once('<').unwrap().0
}

impl Case {
    async fn shown(&mut self, path: &str, header: &str) -> Option<String> {
        self.ask(Who::Root, ("HEAD", path), &[], "").await.header(header).map(str::to_owned)
    }
}

#[tokio::test]
async fn a_parameter_that_stands_for_a_header_is_one_to_the_policy_and_to_the_operation() {
    let mut case = Case::new().await;
    let infrequent = r#""StringEquals":{"s3:x-amz-storage-class":"STANDARD_IA"}"#;
    case.policy(&allow(OTHER_ACCOUNT, "s3:PutObject", infrequent)).await;
    let path =
        "/bucket/key?X-Amz-Storage-Class=STANDARD_IA&x-amz-website-redirect-location=%2Fhome&x-amz-meta-a=b";
    assert_eq!(case.status(Who::Other, "PUT", "/bucket/key").await, 403);
    assert_eq!(case.status(Who::Other, "PUT", path).await, 200);
    for (header, value) in [
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-website-redirect-location", "/home"),
        ("x-amz-meta-a", "b"),
    ] {
        assert_eq!(case.shown("/bucket/key", header).await.as_deref(), Some(value), "{header}");
    }
    // An access list, too; and a copy is one by its parameter.
    case.policy(&deny("s3:PutObject", r#""StringEquals":{"s3:x-amz-acl":"bucket-owner-full-control"}"#))
        .await;
    assert_eq!(case.status(Who::Root, "PUT", "/bucket/key?x-amz-acl=bucket-owner-full-control").await, 403);
    assert_eq!(
        case.status(Who::Root, "PUT", "/bucket/key?x-amz-acl=public-read").await,
        400,
        "lists are off"
    );
    case.policy(&deny("s3:PutObject", r#""StringLike":{"s3:x-amz-copy-source":"bucket/*"}"#)).await;
    assert_eq!(case.status(Who::Root, "PUT", "/bucket/copy?x-amz-copy-source=bucket%2Fkey").await, 403);
    // Twice is once too much, and what is not known is refused as a header is.
    let twice = [("x-amz-storage-class", "STANDARD")];
    assert_eq!(case.with(Who::Root, "PUT", "/bucket/key?x-amz-storage-class=STANDARD", &twice).await, 400);
    assert_eq!(case.status(Who::Root, "PUT", "/bucket/key?x-amz-invented-tomorrow=1").await, 501);
}

#[tokio::test]
async fn a_copys_source_is_read_alike_in_whatever_letters() {
    let mut case = Case::new().await;
    case.put("/bucket/%C3%A9", &[]).await;
    case.policy(&deny("s3:PutObject", r#""StringLike":{"s3:x-amz-copy-source":"bucket/*"}"#)).await;
    for source in ["bucket/é", "bucket/%C3%A9", "/bucket/%C3%A9", "\tbucket/é"] {
        let status = case.with(Who::Root, "PUT", "/bucket/copy", &[("x-amz-copy-source", source)]).await;
        assert_eq!(status, 403, "{source:?}");
    }
    // A blank of Unicode is no blank of HTTP: no bucket is called so.
    let blank = [("x-amz-copy-source", "\u{3000}bucket/é")];
    assert_eq!(case.with(Who::Root, "PUT", "/bucket/copy", &blank).await, 400);
}

#[tokio::test]
async fn a_header_says_nothing_of_what_the_body_says() {
    let mut case = Case::new().await;
    case.put("/bucket/key", &[]).await;
    case.policy(&allow(
        OTHER_ACCOUNT,
        "s3:PutObjectTagging",
        r#""StringEquals":{"s3:RequestObjectTag/a":"b"}"#,
    ))
    .await;
    let (tagging, claimed) = (("PUT", "/bucket/key?tagging"), [("x-amz-tagging", "a=b")]);
    assert_eq!(case.ask(Who::Other, tagging, &claimed, &tags("z", "z")).await.status, 403);
    assert_eq!(case.ask(Who::Other, tagging, &[], &tags("a", "b")).await.status, 200);
    // Of retentions, and of the right to go past one.
    let locked = [("x-amz-bucket-object-lock-enabled", "true")];
    assert_eq!(case.with(Who::Root, "PUT", "/locked", &locked).await, 200);
    let put = case.ask(Who::Root, ("PUT", "/locked/key"), &[], "body").await;
    assert_eq!(put.status, 200);
    let retain = |until: &str| {
        format!("<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>")
    };
    let of_locked = |statement: String| statement.replace("::bucket", "::locked");
    let retention = ("PUT", "/locked/key?retention");
    let claimed = [
        ("x-amz-object-lock-mode", "GOVERNANCE"),
        ("x-amz-object-lock-retain-until-date", "2090-01-01T00:00:00Z"),
        ("x-amz-bypass-governance-retention", "true"),
    ];
    assert_eq!(case.ask(Who::Root, retention, &[], &retain("2085-01-01T00:00:00Z")).await.status, 200);
    let sooner = r#""DateLessThan":{"s3:object-lock-retain-until-date":"2085-01-01T00:00:00Z"}"#;
    for action in ["s3:PutObjectRetention", "s3:BypassGovernanceRetention"] {
        case.set("locked", &of_locked(deny(action, sooner))).await;
        let asked = case.ask(Who::Root, retention, &claimed, &retain("2080-01-01T00:00:00Z")).await;
        assert_eq!(asked.status, 403, "{action}");
    }
    let hold = deny("s3:PutObjectLegalHold", r#""StringEquals":{"s3:object-lock-legal-hold":"OFF"}"#);
    case.set("locked", &of_locked(hold)).await;
    let off = "<LegalHold><Status>OFF</Status></LegalHold>";
    let claimed = [("x-amz-object-lock-legal-hold", "ON")];
    assert_eq!(case.ask(Who::Root, ("PUT", "/locked/key?legal-hold"), &claimed, off).await.status, 403);
    // Keys of a delete have the versions and tags that they name there.
    let of_version = allow(OTHER_ACCOUNT, "s3:DeleteObject*", r#""StringEquals":{"s3:VersionId":"null"}"#);
    case.policy(&of_version).await;
    let delete = |inner: &str| format!("<Delete><Object><Key>key</Key>{inner}</Object></Delete>");
    for (inner, done) in [("", false), ("<VersionId>null</VersionId>", true)] {
        let answer = case
            .ask(Who::Other, ("POST", "/bucket?delete&versionId=null"), &[("if-match", "x")], &delete(inner))
            .await;
        assert_eq!(answer.text().contains("<Deleted>"), done, "{inner} {}", answer.text());
    }
}

#[tokio::test]
async fn a_copy_is_asked_about_with_the_tags_and_the_redirect_that_it_gets() {
    let mut case = Case::new().await;
    let secret = [("x-amz-tagging", "class=secret"), ("x-amz-website-redirect-location", "/away")];
    case.put("/bucket/secret", &secret).await;
    case.put("/bucket/plain", &[]).await;
    case.policy(&allow(OTHER_ACCOUNT, "s3:PutObject*", r#""StringEquals":{"s3:RequestObjectTag/a":"b"}"#))
        .await;
    assert_eq!(case.status(Who::Other, "PUT", "/theirs").await, 200);
    assert_eq!(case.status(Who::Other, "PUT", "/theirs/key").await, 200);
    let tagged = [("x-amz-copy-source", "theirs/key"), ("x-amz-tagging", "a=b")];
    assert_eq!(
        case.with(Who::Other, "PUT", "/bucket/copy", &tagged).await,
        403,
        "without REPLACE it says nothing"
    );
    let replaced = [&tagged[..], &[("x-amz-tagging-directive", "REPLACE")]].concat();
    assert_eq!(case.with(Who::Other, "PUT", "/bucket/copy", &replaced).await, 200);
    for action in ["s3:PutObject", "s3:PutObjectTagging"] {
        case.policy(&deny(action, r#""StringEquals":{"s3:RequestObjectTag/class":"secret"}"#)).await;
        for (source, status) in [("bucket/secret", 403), ("bucket/plain", 200)] {
            let copied = case.with(Who::Root, "PUT", "/bucket/copy", &[("x-amz-copy-source", source)]).await;
            assert_eq!(copied, status, "{action} {source}");
        }
    }
    let redirect = r#""Null":{"s3:x-amz-website-redirect-location":"false"}"#;
    case.policy(&deny("s3:PutObject", redirect)).await;
    let source = [("x-amz-copy-source", "bucket/secret")];
    assert_eq!(case.with(Who::Root, "PUT", "/bucket/copy", &source).await, 200);
    let name = "x-amz-website-redirect-location";
    assert_eq!(case.shown("/bucket/copy", name).await, None, "a redirect is not copied");
    let own = [source[0], (name, "/there")];
    assert_eq!(case.with(Who::Root, "PUT", "/bucket/copy", &own).await, 403);
    assert_eq!(case.status(Who::Root, "DELETE", "/bucket?policy").await, 204);
    assert_eq!(case.with(Who::Root, "PUT", "/bucket/copy", &own).await, 200);
    assert_eq!(case.shown("/bucket/copy", name).await.as_deref(), Some("/there"));
}

#[tokio::test]
async fn a_copys_source_sees_nothing_of_what_is_said_of_the_copy() {
    let mut case = Case::new().await;
    case.put("/bucket/key", &[]).await;
    assert_eq!(case.status(Who::Other, "PUT", "/theirs").await, 200);
    let claimed: Headers = &[("x-amz-copy-source", "bucket/key"), ("x-amz-storage-class", "STANDARD_IA")];
    // Of a read alone nobody can ask for what reads don't have.
    let class = r#""StringEquals":{"s3:x-amz-storage-class":"STANDARD_IA"}"#;
    case.policy(&allow(OTHER_ACCOUNT, "s3:*Object", class)).await;
    assert_eq!(case.with(Who::Other, "PUT", "/theirs/copy", claimed).await, 403);
    case.policy(&allow(OTHER_ACCOUNT, "s3:*Object", r#""Null":{"s3:x-amz-storage-class":"true"}"#)).await;
    assert_eq!(case.with(Who::Other, "PUT", "/theirs/copy", claimed).await, 200);
}

#[tokio::test]
async fn an_entry_of_an_archive_is_asked_about_with_what_it_says_of_itself() {
    let mut case = Case::new().await;
    case.policy(&deny("s3:PutObject", r#""StringEquals":{"s3:x-amz-storage-class":"STANDARD_IA"}"#)).await;
    let record = |name: &str, value: &str| {
        let text = format!(" minio.metadata.{name}={value}\n");
        let length = text.len() + 2;
        assert_eq!(length.to_string().len(), 2);
        format!("{length}{text}").into_bytes()
    };
    for (class, done) in [("STANDARD_IA", false), ("STANDARD", true)] {
        let extended = record("X-Amz-Storage-Class", class);
        let entries: [Entry<'_>; 2] = [("x", b'x', &extended), ("entry", b'0', b"body")];
        let archive = String::from_utf8(tar(&entries)).unwrap();
        let headers =
            [("x-amz-meta-snowball-auto-extract", "true"), ("x-amz-meta-firn-ingest-report", "never")];
        let answer = case.ask(Who::Root, ("PUT", "/bucket/in.tar"), &headers, &archive).await;
        assert_eq!(answer.status, if done { 200 } else { 403 }, "{class} {}", answer.text());
        assert_eq!(case.status(Who::Root, "HEAD", "/bucket/entry").await == 200, done, "{class}");
    }
    // What a presigned URL says counts for each entry.
    case.policy(&deny("s3:PutObject", r#""StringNotEquals":{"s3:RequestObjectTag/a":"b"}"#)).await;
    let archive = String::from_utf8(tar(&[("tagged", b'0', b"body")])).unwrap();
    let headers = [("x-amz-meta-snowball-auto-extract", "true"), ("x-amz-meta-firn-ingest-report", "never")];
    let hoisted = ("PUT", "/bucket/in.tar?X-Amz-Tagging=a%3Db");
    assert_eq!(case.ask(Who::Root, hoisted, &headers, &archive).await.status, 200);
    assert_eq!(case.shown("/bucket/tagged", "x-amz-tagging-count").await.as_deref(), Some("1"));
    // Its report has the request's tags too.
    let all = r#"["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"]"#;
    let report = r#""arn:aws:s3:::bucket/in.tar.report.json""#;
    case.policy(&deny("s3:PutObjectTagging", "").replace(all, report)).await;
    for (headers, status) in [(&headers[..], 200), (&headers[..1], 403)] {
        assert_eq!(case.ask(Who::Root, hoisted, headers, &archive).await.status, status);
    }
}

#[tokio::test]
async fn a_retention_is_compared_as_the_time_that_it_is_whatever_its_spelling() {
    let mut case = Case::new().await;
    let locked = [("x-amz-bucket-object-lock-enabled", "true")];
    assert_eq!(case.with(Who::Root, "PUT", "/locked", &locked).await, 200);
    let late = deny(
        "s3:PutObject",
        r#""DateGreaterThan":{"s3:object-lock-retain-until-date":"2085-01-01T00:00:00Z"}"#,
    );
    assert_eq!(case.set("locked", &late.replace("::bucket", "::locked")).await.status, 204);
    for (until, status) in [
        ("2085-01-01T00:00:00Z", 200),
        ("2085-01-02T00:00:00Z", 403),
        ("2085-01-02 00:00:00Z", 403),
        ("2085-01-02t00:00:00z", 403),
        ("20850102T000000Z", 403),
        ("2085-01-02T00:00:00,5Z", 403),
        ("2085-01-02T00:00:00+00:00:00", 403),
        ("+002085-01-02T00:00:00Z", 403),
    ] {
        let headers = [
            ("x-amz-object-lock-mode", "GOVERNANCE"),
            ("x-amz-object-lock-retain-until-date", until),
            ("content-md5", "hBotaJrYa9FhFEdFPCLG/A=="),
        ];
        let answer = case.ask(Who::Root, ("PUT", "/locked/key"), &headers, "body").await;
        assert_eq!(answer.status, status, "{until} {}", answer.text());
    }
}

#[tokio::test]
async fn a_policy_can_demand_that_nothing_is_replaced() {
    let mut case = Case::new().await;
    let demand = r#""Null":{"s3:if-none-match":"true"},"Bool":{"s3:ObjectCreationOperation":"true"}"#;
    case.policy(&deny("s3:PutObject", demand)).await;
    let absent: Headers = &[("if-none-match", "*")];
    for (headers, status) in [(&[][..], 403), (&[("if-none-match", "\"a\"")][..], 403), (absent, 200)] {
        assert_eq!(case.with(Who::Root, "PUT", "/bucket/key", headers).await, status, "{headers:?}");
    }
    let copy = [("x-amz-copy-source", "bucket/key")];
    assert_eq!(case.with(Who::Root, "PUT", "/bucket/copy", &copy).await, 403);
    assert_eq!(case.with(Who::Root, "PUT", "/bucket/copy", &[copy[0], absent[0]]).await, 200);
    let begun = case.ask(Who::Root, ("POST", "/bucket/up?uploads"), &[], "").await;
    let upload = between(begun.text(), "<UploadId>").to_owned();
    let part = format!("/bucket/up?partNumber=1&uploadId={upload}");
    let stored = case.with(Who::Root, "PUT", &part, &copy).await;
    assert_eq!(stored, 200);
    let stored = case.ask(Who::Root, ("PUT", &part), &[], "body").await;
    let etag = stored.header("etag").unwrap().to_owned();
    let complete = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let whole = format!("/bucket/up?uploadId={upload}");
    assert_eq!(case.ask(Who::Root, ("POST", &whole), &[], &complete).await.status, 403);
    assert_eq!(case.ask(Who::Root, ("POST", &whole), absent, &complete).await.status, 200);
}

#[tokio::test]
async fn a_parts_class_and_encryption_are_its_uploads() {
    let mut case = Case::new().await;
    let demand = r#""StringNotEquals":{"s3:x-amz-server-side-encryption":"AES256"}"#;
    let class = r#""StringNotEquals":{"s3:x-amz-storage-class":"STANDARD_IA"}"#;
    case.policy(&format!("{},{}", deny("s3:PutObject", demand), deny("s3:PutObject", class))).await;
    let said = [("x-amz-server-side-encryption", "AES256"), ("x-amz-storage-class", "STANDARD_IA")];
    assert_eq!(case.with(Who::Root, "POST", "/bucket/up?uploads", &said[..1]).await, 403);
    assert_eq!(case.with(Who::Root, "POST", "/bucket/up?uploads", &said[1..]).await, 403);
    let begun = case.ask(Who::Root, ("POST", "/bucket/up?uploads"), &said, "").await;
    let upload = between(begun.text(), "<UploadId>").to_owned();
    let part = format!("/bucket/up?partNumber=1&uploadId={upload}");
    let stored = case.ask(Who::Root, ("PUT", &part), &[], "body").await;
    assert_eq!(stored.status, 200, "{}", stored.text());
    let complete = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part></CompleteMultipartUpload>",
        stored.header("etag").unwrap()
    );
    let whole = format!("/bucket/up?uploadId={upload}");
    case.policy(&deny("s3:PutObject", r#""StringEquals":{"s3:x-amz-storage-class":"STANDARD_IA"}"#)).await;
    let claimed = [("x-amz-storage-class", "STANDARD")];
    assert_eq!(case.with(Who::Root, "PUT", &part, &claimed).await, 403, "no header hides the upload's class");
    assert_eq!(case.ask(Who::Root, ("POST", &whole), &[], &complete).await.status, 403);
    assert_eq!(case.status(Who::Root, "DELETE", "/bucket?policy").await, 204);
    assert_eq!(case.ask(Who::Root, ("POST", &whole), &[], &complete).await.status, 200);
}

#[tokio::test]
async fn attributes_want_the_right_to_read_too() {
    let mut case = Case::new().await;
    case.put("/bucket/key", &[("x-amz-tagging", "class=public")]).await;
    let attributes = allow(OTHER_ACCOUNT, "s3:GetObjectAttributes", "");
    let asked: Headers = &[("x-amz-object-attributes", "ETag")];
    let of_tagged = r#""StringEquals":{"s3:ExistingObjectTag/class":"public"}"#;
    for (besides, status) in [
        (allow(OTHER_ACCOUNT, "s3:GetObjectTagging", ""), 403),
        (allow(OTHER_ACCOUNT, "s3:GetObject", of_tagged), 200),
        (format!("{},{}", allow(OTHER_ACCOUNT, "s3:GetObject", ""), deny("s3:GetObject", of_tagged)), 403),
    ] {
        case.policy(&format!("{attributes},{besides}")).await;
        assert_eq!(case.with(Who::Other, "GET", "/bucket/key?attributes", asked).await, status, "{besides}");
    }
    assert_eq!(case.with(Who::Root, "GET", "/bucket/key?attributes", asked).await, 403);
}

#[tokio::test]
async fn fields_of_an_inventory_are_those_of_its_document() {
    let mut case = Case::new().await;
    let fields = r#""ForAnyValue:StringEquals":{"s3:InventoryAccessibleOptionalFields":["Size"]}"#;
    let document = |fields: &str| {
        format!(
            "<InventoryConfiguration><Id>1</Id><IsEnabled>false</IsEnabled><Destination><S3BucketDestination>\
             <Bucket>arn:aws:s3:::bucket</Bucket><Format>CSV</Format></S3BucketDestination></Destination>\
             <IncludedObjectVersions>All</IncludedObjectVersions>{fields}<Schedule><Frequency>Daily</Frequency>\
             </Schedule></InventoryConfiguration>"
        )
    };
    let put = ("PUT", "/bucket?inventory&id=1");
    case.policy(&deny("s3:PutInventoryConfiguration", fields)).await;
    let some = |name: &str| document(&format!("<OptionalFields><Field>{name}</Field></OptionalFields>"));
    for (document, status) in [(document(""), 200), (some("ETag"), 200), (some("Size"), 403)] {
        assert_eq!(case.ask(Who::Root, put, &[], &document).await.status, status, "{document}");
    }
    let demanded = r#""Null":{"s3:InventoryAccessibleOptionalFields":"true"}"#;
    case.policy(&deny("s3:PutInventoryConfiguration", demanded)).await;
    assert_eq!(case.ask(Who::Root, put, &[], &some("Size")).await.status, 200);
    assert_eq!(case.ask(Who::Root, put, &[], &document("")).await.status, 403);
    // What can't be answered, no policy may ask.
    for key in ["s3:BucketTag/team", "s3:locationconstraint", "s3:x-amz-object-ownership"] {
        let refused =
            case.set("bucket", &deny("s3:PutObject", &format!(r#""StringEquals":{{"{key}":"x"}}"#))).await;
        assert_eq!((refused.status, refused.code()), (400, "MalformedPolicy"), "{key}");
    }
}

#[tokio::test]
async fn an_unsigned_request_says_that_it_is_of_nobodys_account() {
    let mut case = Case::new().await;
    case.put("/bucket/key", &[]).await;
    let of_nobody = r#""StringEquals":{"aws:PrincipalAccount":"anonymous"}"#;
    case.policy(&allow("*", "s3:GetObject", of_nobody)).await;
    assert_eq!(case.status(Who::Nobody, "GET", "/bucket/key").await, 200);
    assert_eq!(case.status(Who::Other, "GET", "/bucket/key").await, 403);
    // Who has no account is not of another one than they should be: a Deny of strangers takes them in.
    let strangers = r#""StringNotEqualsIfExists":{"aws:PrincipalAccount":"111122223333"}"#;
    case.policy(&format!("{},{}", allow("*", "s3:GetObject", ""), deny("s3:GetObject", strangers))).await;
    assert_eq!(case.status(Who::Nobody, "GET", "/bucket/key").await, 403);
    assert_eq!(case.status(Who::Root, "GET", "/bucket/key").await, 200);
}
