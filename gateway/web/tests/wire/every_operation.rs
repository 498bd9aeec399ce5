//! Every operation of S3's API, over the wire: what firn answers on a fresh bucket with one object.
//!
//! The table is that of docs/s3-compatibility.md, which is compared with it; `tests/e2e/test_every_operation.py` compares its names
//! with those of botocore's model, so that none of AWS's is missing.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::world::{Answer, Client, World, call, content_md5};
use std::fmt::Write as _;

/// What firn answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// It is done; with this status.
    Done(u16),
    /// 200, and that nothing of it is set; text that is in the answer.
    Empty(&'static str),
    /// 204: there was nothing to remove.
    Gone,
    /// 404 with S3's own code: nothing of it is set.
    Unset(&'static str),
    /// It is done, but not to what the row names; S3's own status and code.
    Refused(u16, &'static str),
    /// 501 `NotImplemented`.
    NotImplemented,
}

use Answered::{Done, Empty, Gone, NotImplemented, Refused, Unset};

/// One row: the API's name, method, path and what is answered. `{upload}` is an upload under way, `{body}` what is sent.
pub(crate) type Row = (&'static str, &'static str, &'static str, Answered);

/// In the order in which they are sent: what a row needs was made by one above it.
pub(crate) static TABLE: &[Row] = &[
    ("CreateBucket", "PUT", "/other", Done(200)),
    ("HeadBucket", "HEAD", "/other", Done(200)),
    ("DeleteBucket", "DELETE", "/other", Done(204)),
    ("ListBuckets", "GET", "/", Done(200)),
    ("ListDirectoryBuckets", "GET", "/?max-directory-buckets=1", NotImplemented),
    ("GetBucketLocation", "GET", "/bucket?location", Done(200)),
    ("GetBucketAbac", "GET", "/bucket?abac", Empty("<Status>Disabled</Status>")),
    ("PutBucketAbac", "PUT", "/bucket?abac", NotImplemented),
    ("GetBucketAccelerateConfiguration", "GET", "/bucket?accelerate", Empty("<AccelerateConfiguration")),
    ("PutBucketAccelerateConfiguration", "PUT", "/bucket?accelerate", NotImplemented),
    ("GetBucketAcl", "GET", "/bucket?acl", Done(200)),
    ("PutBucketAcl", "PUT", "/bucket?acl", Done(200)),
    ("ListBucketAnalyticsConfigurations", "GET", "/bucket?analytics", Empty("<IsTruncated>false")),
    ("GetBucketAnalyticsConfiguration", "GET", "/bucket?analytics&id=1", Unset("NoSuchConfiguration")),
    ("PutBucketAnalyticsConfiguration", "PUT", "/bucket?analytics&id=1", NotImplemented),
    ("DeleteBucketAnalyticsConfiguration", "DELETE", "/bucket?analytics&id=1", Unset("NoSuchConfiguration")),
    ("GetBucketCors", "GET", "/bucket?cors", Unset("NoSuchCORSConfiguration")),
    ("PutBucketCors", "PUT", "/bucket?cors", Done(200)),
    ("DeleteBucketCors", "DELETE", "/bucket?cors", Done(204)),
    ("GetBucketEncryption", "GET", "/bucket?encryption", Done(200)),
    ("PutBucketEncryption", "PUT", "/bucket?encryption", Done(200)),
    ("DeleteBucketEncryption", "DELETE", "/bucket?encryption", Done(204)),
    (
        "ListBucketIntelligentTieringConfigurations",
        "GET",
        "/bucket?intelligent-tiering",
        Empty("<IsTruncated>false"),
    ),
    (
        "GetBucketIntelligentTieringConfiguration",
        "GET",
        "/bucket?intelligent-tiering&id=1",
        Unset("NoSuchConfiguration"),
    ),
    ("PutBucketIntelligentTieringConfiguration", "PUT", "/bucket?intelligent-tiering&id=1", NotImplemented),
    (
        "DeleteBucketIntelligentTieringConfiguration",
        "DELETE",
        "/bucket?intelligent-tiering&id=1",
        Unset("NoSuchConfiguration"),
    ),
    ("PutBucketInventoryConfiguration", "PUT", "/bucket?inventory&id=1", Done(200)),
    ("ListBucketInventoryConfigurations", "GET", "/bucket?inventory", Done(200)),
    ("GetBucketInventoryConfiguration", "GET", "/bucket?inventory&id=1", Done(200)),
    ("DeleteBucketInventoryConfiguration", "DELETE", "/bucket?inventory&id=1", Done(204)),
    ("GetBucketLifecycle", "GET", "/bucket?lifecycle", Unset("NoSuchLifecycleConfiguration")),
    ("GetBucketLifecycleConfiguration", "GET", "/bucket?lifecycle", Unset("NoSuchLifecycleConfiguration")),
    ("PutBucketLifecycle", "PUT", "/bucket?lifecycle", Done(200)),
    ("PutBucketLifecycleConfiguration", "PUT", "/bucket?lifecycle", Done(200)),
    ("DeleteBucketLifecycle", "DELETE", "/bucket?lifecycle", Done(204)),
    ("GetBucketLogging", "GET", "/bucket?logging", Done(200)),
    ("PutBucketLogging", "PUT", "/bucket?logging", Done(200)),
    (
        "GetBucketMetadataConfiguration",
        "GET",
        "/bucket?metadataConfiguration",
        Unset("MetadataConfigurationNotFound"),
    ),
    ("CreateBucketMetadataConfiguration", "POST", "/bucket?metadataConfiguration", NotImplemented),
    (
        "DeleteBucketMetadataConfiguration",
        "DELETE",
        "/bucket?metadataConfiguration",
        Unset("MetadataConfigurationNotFound"),
    ),
    (
        "GetBucketMetadataTableConfiguration",
        "GET",
        "/bucket?metadataTable",
        Unset("MetadataConfigurationNotFound"),
    ),
    ("CreateBucketMetadataTableConfiguration", "POST", "/bucket?metadataTable", NotImplemented),
    (
        "DeleteBucketMetadataTableConfiguration",
        "DELETE",
        "/bucket?metadataTable",
        Unset("MetadataConfigurationNotFound"),
    ),
    (
        "UpdateBucketMetadataAnnotationTableConfiguration",
        "PUT",
        "/bucket?metadataAnnotationTable",
        NotImplemented,
    ),
    (
        "UpdateBucketMetadataInventoryTableConfiguration",
        "PUT",
        "/bucket?metadataInventoryTable",
        NotImplemented,
    ),
    ("UpdateBucketMetadataJournalTableConfiguration", "PUT", "/bucket?metadataJournalTable", NotImplemented),
    ("ListBucketMetricsConfigurations", "GET", "/bucket?metrics", Empty("<IsTruncated>false")),
    ("GetBucketMetricsConfiguration", "GET", "/bucket?metrics&id=1", Unset("NoSuchConfiguration")),
    ("PutBucketMetricsConfiguration", "PUT", "/bucket?metrics&id=1", NotImplemented),
    ("DeleteBucketMetricsConfiguration", "DELETE", "/bucket?metrics&id=1", Unset("NoSuchConfiguration")),
    ("GetBucketNotification", "GET", "/bucket?notification", Done(200)),
    ("GetBucketNotificationConfiguration", "GET", "/bucket?notification", Done(200)),
    ("PutBucketNotification", "PUT", "/bucket?notification", Done(200)),
    ("PutBucketNotificationConfiguration", "PUT", "/bucket?notification", Done(200)),
    (
        "GetObjectLockConfiguration",
        "GET",
        "/bucket?object-lock",
        Unset("ObjectLockConfigurationNotFoundError"),
    ),
    ("PutObjectLockConfiguration", "PUT", "/locked?object-lock", Done(200)),
    ("GetBucketOwnershipControls", "GET", "/bucket?ownershipControls", Done(200)),
    ("PutBucketOwnershipControls", "PUT", "/bucket?ownershipControls", Done(200)),
    ("DeleteBucketOwnershipControls", "DELETE", "/locked?ownershipControls", Done(204)),
    ("GetBucketPolicy", "GET", "/bucket?policy", Unset("NoSuchBucketPolicy")),
    ("PutBucketPolicy", "PUT", "/bucket?policy", Done(204)),
    ("GetBucketPolicyStatus", "GET", "/bucket?policyStatus", Done(200)),
    ("DeleteBucketPolicy", "DELETE", "/bucket?policy", Done(204)),
    (
        "GetPublicAccessBlock",
        "GET",
        "/bucket?publicAccessBlock",
        Unset("NoSuchPublicAccessBlockConfiguration"),
    ),
    ("PutPublicAccessBlock", "PUT", "/bucket?publicAccessBlock", Done(200)),
    ("DeletePublicAccessBlock", "DELETE", "/bucket?publicAccessBlock", Done(204)),
    ("GetBucketReplication", "GET", "/bucket?replication", Unset("ReplicationConfigurationNotFoundError")),
    ("PutBucketReplication", "PUT", "/bucket?replication", NotImplemented),
    ("DeleteBucketReplication", "DELETE", "/bucket?replication", Gone),
    ("GetBucketRequestPayment", "GET", "/bucket?requestPayment", Done(200)),
    ("PutBucketRequestPayment", "PUT", "/bucket?requestPayment", Done(200)),
    ("GetBucketTagging", "GET", "/bucket?tagging", Unset("NoSuchTagSet")),
    ("PutBucketTagging", "PUT", "/bucket?tagging", Done(204)),
    ("DeleteBucketTagging", "DELETE", "/bucket?tagging", Done(204)),
    ("GetBucketVersioning", "GET", "/bucket?versioning", Done(200)),
    ("PutBucketVersioning", "PUT", "/bucket?versioning", Done(200)),
    ("GetBucketWebsite", "GET", "/bucket?website", Unset("NoSuchWebsiteConfiguration")),
    ("PutBucketWebsite", "PUT", "/bucket?website", Done(200)),
    ("DeleteBucketWebsite", "DELETE", "/bucket?website", Done(204)),
    ("CreateSession", "GET", "/bucket?session", NotImplemented),
    ("ListObjects", "GET", "/bucket", Done(200)),
    ("ListObjectsV2", "GET", "/bucket?list-type=2", Done(200)),
    ("ListObjectVersions", "GET", "/bucket?versions", Done(200)),
    ("PutObject", "PUT", "/bucket/key", Done(200)),
    ("HeadObject", "HEAD", "/bucket/key", Done(200)),
    ("GetObject", "GET", "/bucket/key", Done(200)),
    ("GetObjectAttributes", "GET", "/bucket/key?attributes", Done(200)),
    ("CopyObject", "PUT", "/bucket/copy", Done(200)),
    ("RenameObject", "PUT", "/bucket/key?renameObject", NotImplemented),
    ("GetObjectAcl", "GET", "/bucket/key?acl", Done(200)),
    ("PutObjectAcl", "PUT", "/bucket/key?acl", Done(200)),
    ("GetObjectTagging", "GET", "/bucket/key?tagging", Done(200)),
    ("PutObjectTagging", "PUT", "/bucket/key?tagging", Done(200)),
    ("DeleteObjectTagging", "DELETE", "/bucket/key?tagging", Done(204)),
    ("GetObjectRetention", "GET", "/locked/key?retention", Unset("NoSuchObjectLockConfiguration")),
    ("PutObjectRetention", "PUT", "/locked/key?retention", Done(200)),
    ("GetObjectLegalHold", "GET", "/locked/key?legal-hold", Unset("NoSuchObjectLockConfiguration")),
    ("PutObjectLegalHold", "PUT", "/locked/key?legal-hold", Done(200)),
    ("GetObjectAnnotation", "GET", "/bucket/key?annotation&annotationName=a", NotImplemented),
    ("ListObjectAnnotations", "GET", "/bucket/key?annotation", NotImplemented),
    ("PutObjectAnnotation", "PUT", "/bucket/key?annotation&annotationName=a", NotImplemented),
    ("DeleteObjectAnnotation", "DELETE", "/bucket/key?annotation&annotationName=a", NotImplemented),
    ("UpdateObjectEncryption", "PUT", "/bucket/key?encryption", NotImplemented),
    ("GetObjectTorrent", "GET", "/bucket/key?torrent", NotImplemented),
    ("SelectObjectContent", "POST", "/bucket/key?select&select-type=2", NotImplemented),
    ("RestoreObject", "POST", "/bucket/key?restore", Refused(403, "InvalidObjectState")),
    ("WriteGetObjectResponse", "POST", "/WriteGetObjectResponse", NotImplemented),
    ("CreateMultipartUpload", "POST", "/bucket/up?uploads", Done(200)),
    ("ListMultipartUploads", "GET", "/bucket?uploads", Done(200)),
    ("UploadPart", "PUT", "/bucket/up?partNumber=1&uploadId={upload}", Done(200)),
    ("UploadPartCopy", "PUT", "/bucket/up?partNumber=2&uploadId={upload}", Done(200)),
    ("ListParts", "GET", "/bucket/up?uploadId={upload}", Done(200)),
    ("CompleteMultipartUpload", "POST", "/bucket/up?uploadId={upload}", Done(200)),
    ("AbortMultipartUpload", "DELETE", "/bucket/up?uploadId={second}", Done(204)),
    ("DeleteObjects", "POST", "/bucket?delete", Done(200)),
    ("DeleteObject", "DELETE", "/bucket/key", Done(204)),
];

/// What is sent with an operation.
pub(crate) fn sent(name: &str) -> (Vec<(&'static str, &'static str)>, String) {
    let copies = ("x-amz-copy-source", "/bucket/key");
    let (headers, body) = match name {
        "PutBucketAcl" | "PutObjectAcl" => (vec![("x-amz-acl", "private")], ""),
        "PutBucketCors" => (
            vec![],
            "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>\
             </CORSConfiguration>",
        ),
        "PutBucketEncryption" => (
            vec![],
            "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256\
             </SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>",
        ),
        "PutBucketNotification" | "PutBucketNotificationConfiguration" => {
            (vec![], "<NotificationConfiguration/>")
        }
        "PutBucketInventoryConfiguration" => (
            vec![],
            "<InventoryConfiguration><Id>1</Id><IsEnabled>false</IsEnabled><Destination><S3BucketDestination>\
             <Bucket>arn:aws:s3:::bucket</Bucket><Format>CSV</Format></S3BucketDestination></Destination>\
             <IncludedObjectVersions>All</IncludedObjectVersions><Schedule><Frequency>Daily</Frequency></Schedule>\
             </InventoryConfiguration>",
        ),
        "PutBucketLifecycle" | "PutBucketLifecycleConfiguration" => (
            vec![],
            "<LifecycleConfiguration><Rule><Prefix/><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>\
             </LifecycleConfiguration>",
        ),
        "PutBucketLogging" => (vec![], "<BucketLoggingStatus/>"),
        "PutObjectLockConfiguration" => (
            vec![],
            "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>",
        ),
        "PutBucketOwnershipControls" => (
            vec![],
            "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>",
        ),
        "PutPublicAccessBlock" => (
            vec![],
            "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>",
        ),
        "PutBucketPolicy" => (
            vec![],
            r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":"s3:GetObject","Resource":
            "arn:aws:s3:::bucket/shared/*"}}"#,
        ),
        "PutBucketRequestPayment" => {
            (vec![], "<RequestPaymentConfiguration><Payer>BucketOwner</Payer></RequestPaymentConfiguration>")
        }
        "PutBucketTagging" | "PutObjectTagging" => {
            (vec![], "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>")
        }
        "PutBucketVersioning" => {
            (vec![], "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
        }
        "PutBucketWebsite" => (
            vec![],
            "<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument></WebsiteConfiguration>",
        ),
        "PutObjectRetention" => (
            vec![],
            "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2099-01-01T00:00:00Z</RetainUntilDate></Retention>",
        ),
        "RestoreObject" => (vec![], "<RestoreRequest><Days>1</Days></RestoreRequest>"),
        "PutObjectLegalHold" => (vec![], "<LegalHold><Status>OFF</Status></LegalHold>"),
        "DeleteObjects" => (vec![], "<Delete><Object><Key>copy</Key></Object></Delete>"),
        "PutObject" | "UploadPart" => (vec![], "body"),
        "GetObjectAttributes" => (vec![("x-amz-object-attributes", "ETag")], ""),
        "CopyObject" | "UploadPartCopy" => (vec![copies], ""),
        _ => (vec![], ""),
    };
    (headers, body.to_owned())
}

fn between<'a>(text: &'a str, element: &str) -> &'a str {
    let (start, end) = (format!("<{element}>"), format!("</{element}>"));
    text.split_once(&start).unwrap().1.split_once(&end).unwrap().0
}

pub(crate) async fn begin(world: &World, client: &mut Client) -> String {
    let begun = call(world, client, ("POST", "/bucket/up?uploads"), &[], b"").await;
    between(begun.text(), "UploadId").to_owned()
}

pub(crate) fn check(row: &Row, answer: &Answer) {
    let (name, method, path, answered) = *row;
    let what = format!("{name} {method} {path}: {} {}", answer.status, answer.text());
    let code =
        if answer.status >= 400 && method != "HEAD" { answer.code().to_owned() } else { String::new() };
    match answered {
        Done(status) => assert_eq!((answer.status, code.as_str()), (status, ""), "{what}"),
        Empty(text) => assert!(answer.status == 200 && answer.text().contains(text), "{what}"),
        Gone => assert_eq!((answer.status, code.as_str()), (204, ""), "{what}"),
        Unset(expected) => assert_eq!((answer.status, code.as_str()), (404, expected), "{what}"),
        Refused(status, expected) => assert_eq!((answer.status, code.as_str()), (status, expected), "{what}"),
        NotImplemented => assert_eq!((answer.status, code.as_str()), (501, "NotImplemented"), "{what}"),
    }
    if answer.status >= 400 {
        for element in ["Message", "RequestId", "HostId", "Resource"] {
            assert!(answer.text().contains(&format!("<{element}>")), "{element} of {what}");
        }
        assert_eq!(answer.header("content-type"), Some("application/xml"), "{what}");
    }
}

#[tokio::test]
async fn every_operation_of_s3_is_answered_as_the_table_says() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let locked = [("x-amz-bucket-object-lock-enabled", "true"), ("x-amz-object-ownership", "ObjectWriter")];
    assert_eq!(call(&world, &mut client, ("PUT", "/locked"), &locked, b"").await.status, 200);
    for path in ["/locked/key", "/bucket/key"] {
        assert_eq!(call(&world, &mut client, ("PUT", path), &[], b"x").await.status, 200);
    }
    let (upload, second) = (begin(&world, &mut client).await, begin(&world, &mut client).await);
    let mut etag = String::new();
    for row in TABLE {
        let (name, method, path, _) = *row;
        let path = path.replace("{upload}", &upload).replace("{second}", &second);
        let (headers, mut body) = sent(name);
        if name == "CompleteMultipartUpload" {
            body = format!(
                "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
            );
        }
        let md5 = content_md5(body.as_bytes());
        let mut headers: Vec<(&str, &str)> = headers;
        if body.starts_with('<') {
            headers.push(("content-md5", &md5));
        }
        let answer = call(&world, &mut client, (method, &path), &headers, body.as_bytes()).await;
        check(row, &answer);
        if name == "UploadPart" {
            answer.header("etag").unwrap().clone_into(&mut etag);
        }
    }
    // A read that is not done never falls back to the object's bytes.
    let kept = call(&world, &mut client, ("GET", "/locked/key?annotation"), &[], b"").await;
    assert_eq!((kept.status, kept.code()), (501, "NotImplemented"));
}

#[test]
fn the_documentation_has_the_same_table() {
    let page = include_str!("../../../../docs/s3-compatibility.md");
    let (_, rest) = page.split_once("<!-- every operation -->\n").unwrap();
    let (table, _) = rest.split_once("<!-- end -->").unwrap();
    let mut rows: Vec<_> = TABLE.iter().collect();
    rows.sort_by_key(|row| row.0);
    let mut expected = String::from("| operation | answer |\n|---|---|\n");
    for (name, _, _, answered) in rows {
        let answer = match answered {
            Done(_) | Refused(..) => "done".to_owned(),
            Empty(_) => "200: none is set".to_owned(),
            Gone => "204: there is none".to_owned(),
            Unset(code) => match *name {
                // Reads of what can be set, too.
                "GetBucketCors"
                | "GetBucketLifecycle"
                | "GetBucketLifecycleConfiguration"
                | "GetBucketPolicy"
                | "GetBucketTagging"
                | "GetBucketWebsite"
                | "GetObjectLegalHold"
                | "GetObjectLockConfiguration"
                | "GetObjectRetention"
                | "GetPublicAccessBlock" => {
                    format!("done; unset 404 `{code}`")
                }
                _ => format!("404 `{code}`: none is set"),
            },
            NotImplemented => "501 `NotImplemented`".to_owned(),
        };
        writeln!(expected, "| {name} | {answer} |").unwrap();
    }
    assert_eq!(table, expected, "docs/s3-compatibility.md, between its marks");
}
