//! What is set on a bucket and shown again, and what every other sub-resource answers.

use crate::world::{Client, Who, World, ask, call};

async fn world() -> (World, Client) {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    assert_eq!(call(&world, &mut client, ("PUT", "/bucket/key"), &[], b"x").await.status, 200);
    (world, client)
}

#[tokio::test]
async fn encryption_is_always_there_and_says_what_was_set() {
    let (world, mut client) = world().await;
    let shown = |text: &str, key: &str| {
        text.contains(&format!(
            "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>\
             </ApplyServerSideEncryptionByDefault><BucketKeyEnabled>{key}</BucketKeyEnabled>"
        ))
    };
    let before = call(&world, &mut client, ("GET", "/bucket?encryption"), &[], b"").await;
    assert!(before.status == 200 && shown(before.text(), "false"));
    let rule = |inner: &str| {
        format!("<ServerSideEncryptionConfiguration><Rule>{inner}</Rule></ServerSideEncryptionConfiguration>")
    };
    let by_default = |inner: &str| {
        format!("<ApplyServerSideEncryptionByDefault>{inner}</ApplyServerSideEncryptionByDefault>")
    };
    let aes = by_default("<SSEAlgorithm>AES256</SSEAlgorithm>");
    let full = format!(
        "{aes}<BucketKeyEnabled>true</BucketKeyEnabled><BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>"
    );
    let set = call(&world, &mut client, ("PUT", "/bucket?encryption"), &[], rule(&full).as_bytes()).await;
    assert_eq!(set.status, 200, "{}", set.text());
    let after = call(&world, &mut client, ("GET", "/bucket?encryption"), &[], b"").await;
    assert!(shown(after.text(), "true") && after.text().contains("<EncryptionType>SSE-C</EncryptionType>"));
    for (document, status, code) in [
        (rule(&by_default("<SSEAlgorithm>aws:kms:dsse</SSEAlgorithm>")), 501, "NotImplemented"),
        (rule(&by_default("<SSEAlgorithm>rot13</SSEAlgorithm>")), 400, "MalformedXML"),
        (
            rule(&by_default("<SSEAlgorithm>AES256</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID>")),
            400,
            "InvalidArgument",
        ),
        (rule(&format!("{aes}<BucketKeyEnabled>perhaps</BucketKeyEnabled>")), 400, "MalformedXML"),
        ("<ServerSideEncryptionConfiguration/>".to_owned(), 400, "MalformedXML"),
        ("<Other/>".to_owned(), 400, "MalformedXML"),
    ] {
        let refused =
            call(&world, &mut client, ("PUT", "/bucket?encryption"), &[], document.as_bytes()).await;
        assert_eq!((refused.status, refused.code()), (status, code), "{document}");
    }
    for _ in 0..2 {
        assert_eq!(call(&world, &mut client, ("DELETE", "/bucket?encryption"), &[], b"").await.status, 204);
    }
    let gone = call(&world, &mut client, ("GET", "/bucket?encryption"), &[], b"").await;
    assert!(shown(gone.text(), "false") && !gone.text().contains("SSE-C"));
}

#[tokio::test]
async fn who_pays_is_kept_and_shown() {
    let (world, mut client) = world().await;
    let payer = |name: &str| {
        format!("<RequestPaymentConfiguration><Payer>{name}</Payer></RequestPaymentConfiguration>")
    };
    for (set, shown) in [("", "BucketOwner"), ("Requester", "Requester"), ("BucketOwner", "BucketOwner")] {
        if !set.is_empty() {
            let answer =
                call(&world, &mut client, ("PUT", "/bucket?requestPayment"), &[], payer(set).as_bytes())
                    .await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        let answer = call(&world, &mut client, ("GET", "/bucket?requestPayment"), &[], b"").await;
        assert!(answer.text().contains(&format!("<Payer>{shown}</Payer>")), "{}", answer.text());
    }
    for document in
        [payer("Nobody"), payer(""), "<RequestPaymentConfiguration/>".to_owned(), "<Other/>".to_owned()]
    {
        let refused =
            call(&world, &mut client, ("PUT", "/bucket?requestPayment"), &[], document.as_bytes()).await;
        assert_eq!((refused.status, refused.code()), (400, "MalformedXML"), "{document}");
    }
}

/// What Terraform and its like read of every bucket, and what is not done: each has S3's own answer.
#[tokio::test]
async fn every_sub_resource_that_is_not_set_or_not_done_has_its_own_answer() {
    let (world, mut client) = world().await;
    for (method, path, status, expected) in [
        ("GET", "/bucket?accelerate", 200, "<AccelerateConfiguration"),
        ("GET", "/bucket?analytics", 200, "<IsTruncated>false"),
        ("GET", "/bucket?analytics&id=1", 404, "NoSuchConfiguration"),
        ("GET", "/bucket?cors", 404, "NoSuchCORSConfiguration"),
        ("GET", "/bucket?encryption", 200, "AES256"),
        ("GET", "/bucket?intelligent-tiering", 200, "<IsTruncated>false"),
        ("GET", "/bucket?intelligent-tiering&id=1", 404, "NoSuchConfiguration"),
        ("GET", "/bucket?inventory", 200, "<IsTruncated>false"),
        ("GET", "/bucket?inventory&id=1", 404, "NoSuchConfiguration"),
        ("GET", "/bucket?lifecycle", 404, "NoSuchLifecycleConfiguration"),
        ("GET", "/bucket?logging", 200, "<BucketLoggingStatus"),
        ("GET", "/bucket?metadataConfiguration", 404, "MetadataConfigurationNotFound"),
        ("GET", "/bucket?metadataTable", 404, "MetadataConfigurationNotFound"),
        ("GET", "/bucket?metrics", 200, "<IsTruncated>false"),
        ("GET", "/bucket?metrics&id=1", 404, "NoSuchConfiguration"),
        ("GET", "/bucket?notification", 200, "<NotificationConfiguration"),
        ("GET", "/bucket?object-lock", 404, "ObjectLockConfigurationNotFoundError"),
        ("GET", "/bucket?policy", 404, "NoSuchBucketPolicy"),
        ("GET", "/bucket?policyStatus", 404, "NoSuchBucketPolicy"),
        ("GET", "/bucket?replication", 404, "ReplicationConfigurationNotFoundError"),
        ("GET", "/bucket?requestPayment", 200, "BucketOwner"),
        ("GET", "/bucket?tagging", 404, "NoSuchTagSet"),
        ("GET", "/bucket?versioning", 200, "<VersioningConfiguration"),
        ("GET", "/bucket?website", 404, "NoSuchWebsiteConfiguration"),
        ("GET", "/bucket?session", 501, "NotImplemented"),
        ("GET", "/bucket/key?annotation", 501, "NotImplemented"),
        ("GET", "/bucket/key?annotation&annotationName=a", 501, "NotImplemented"),
        ("PUT", "/bucket/key?annotation&annotationName=a", 501, "NotImplemented"),
        ("DELETE", "/bucket/key?annotation&annotationName=a", 501, "NotImplemented"),
        ("GET", "/bucket/key?torrent", 501, "NotImplemented"),
        ("POST", "/bucket/key?select&select-type=2", 501, "NotImplemented"),
        ("POST", "/bucket/key?restore", 400, "MissingRequestBodyError"),
        ("POST", "/WriteGetObjectResponse", 501, "NotImplemented"),
        ("PUT", "/bucket/key?encryption", 501, "NotImplemented"),
        ("PUT", "/bucket/key?renameObject", 501, "NotImplemented"),
        ("GET", "/bucket?abac", 200, "<Status>Disabled"),
        ("PUT", "/bucket?abac", 501, "NotImplemented"),
        ("PUT", "/bucket?accelerate", 501, "NotImplemented"),
        ("PUT", "/bucket?analytics&id=1", 501, "NotImplemented"),
        ("PUT", "/bucket?intelligent-tiering&id=1", 501, "NotImplemented"),
        ("PUT", "/bucket?inventory&id=1", 400, "MissingRequestBodyError"),
        ("PUT", "/bucket?lifecycle", 400, "InvalidRequest"),
        ("PUT", "/bucket?logging", 400, "MissingRequestBodyError"),
        ("PUT", "/bucket?metadataInventoryTable", 501, "NotImplemented"),
        ("PUT", "/bucket?metadataJournalTable", 501, "NotImplemented"),
        ("PUT", "/bucket?metrics&id=1", 501, "NotImplemented"),
        ("PUT", "/bucket?notification", 400, "MissingRequestBodyError"),
        ("PUT", "/bucket?policy", 400, "MalformedPolicy"),
        ("PUT", "/bucket?replication", 501, "NotImplemented"),
        ("POST", "/bucket?metadataConfiguration", 501, "NotImplemented"),
        ("POST", "/bucket?metadataTable", 501, "NotImplemented"),
        ("DELETE", "/bucket?cors", 204, ""),
        ("DELETE", "/bucket?encryption", 204, ""),
        ("DELETE", "/bucket?lifecycle", 204, ""),
        ("DELETE", "/bucket?policy", 204, ""),
        ("DELETE", "/bucket?publicAccessBlock", 204, ""),
        ("DELETE", "/bucket?replication", 204, ""),
        ("DELETE", "/bucket?tagging", 204, ""),
        ("DELETE", "/bucket?website", 204, ""),
        ("DELETE", "/bucket?analytics&id=1", 404, "NoSuchConfiguration"),
        ("DELETE", "/bucket?intelligent-tiering&id=1", 404, "NoSuchConfiguration"),
        ("DELETE", "/bucket?inventory&id=1", 404, "NoSuchConfiguration"),
        ("DELETE", "/bucket?metrics&id=1", 404, "NoSuchConfiguration"),
        ("DELETE", "/bucket?metadataConfiguration", 404, "MetadataConfigurationNotFound"),
        ("DELETE", "/bucket?metadataTable", 404, "MetadataConfigurationNotFound"),
    ] {
        let answer = call(&world, &mut client, (method, path), &[], b"").await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        assert!(answer.text().contains(expected), "{method} {path}: {}", answer.text());
        if status >= 400 {
            assert_eq!(answer.code(), expected, "{method} {path}");
        }
        let elsewhere = path.replace("/bucket?", "/missing?");
        if status != 501 && elsewhere != path {
            let answer = call(&world, &mut client, (method, &elsewhere), &[], b"").await;
            assert_eq!((answer.status, answer.code()), (404, "NoSuchBucket"), "{method} {elsewhere}");
        }
    }
}

#[tokio::test]
async fn others_than_the_owner_say_that_they_pay_for_a_requester_pays_bucket() {
    let world = World::owned_by(objectstore::ObjectOwnership::ObjectWriter).await;
    let mut client = world.connect().await;
    let public = [("x-amz-acl", "public-read")];
    assert_eq!(call(&world, &mut client, ("PUT", "/bucket"), &public, b"").await.status, 200);
    assert_eq!(call(&world, &mut client, ("PUT", "/bucket/key"), &public, b"x").await.status, 200);
    let pays = [("x-amz-request-payer", "requester")];
    for (set, who, headers, status, charged) in [
        (false, Who::Other, &[][..], 200, false),
        (false, Who::Nobody, &[], 200, false),
        (true, Who::Root, &[], 200, false),
        (true, Who::Other, &[], 403, false),
        (true, Who::Other, &pays, 200, true),
        (true, Who::Other, &[("x-amz-request-payer", "somebody")], 403, false),
        (true, Who::Nobody, &[], 403, false),
        (true, Who::Nobody, &pays, 403, false),
    ] {
        if set {
            let document =
                b"<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>";
            let answer = call(&world, &mut client, ("PUT", "/bucket?requestPayment"), &[], document).await;
            assert_eq!(answer.status, 200);
        }
        for path in ["/bucket/key", "/bucket?list-type=2"] {
            let answer = ask(&world, &mut client, who, ("GET", path), (headers, b"")).await;
            assert_eq!(answer.status, status, "{set} {who:?} {headers:?} {path}");
            let told = answer.header("x-amz-request-charged");
            assert_eq!(told, charged.then_some("requester"), "{set} {who:?} {headers:?} {path}");
        }
    }
}
