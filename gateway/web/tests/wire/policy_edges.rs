//! Ways past a bucket's policy that somebody looked for: conditions that decide nothing, what is written by others on one's behalf, what
//! answers tell of, and what deciding costs.

use crate::ingest::{Entry, tar};
use crate::policy::{Case, allow, deny};
use crate::world::{ACCOUNT, Answer, OTHER_ACCOUNT, Who};

fn named(etag: &str, keys: &str) -> String {
    let objects: Vec<String> =
        keys.split(' ').map(|key| format!("<Object><Key>{key}</Key>{etag}</Object>")).collect();
    format!("<Delete>{}</Delete>", objects.concat())
}

#[tokio::test]
async fn a_condition_that_no_action_of_its_statement_has_is_refused() {
    let mut case = Case::new().await;
    let unencrypted = r#""StringNotEquals":{"s3:x-amz-server-side-encryption":"AES256"}"#;
    for (action, condition, taken) in [
        ("s3:PutObject", unencrypted, true),
        ("s3:*", unencrypted, true),
        ("s3:GetObject", unencrypted, false),
        ("s3:PutObjectTagging", unencrypted, true),
        ("s3:PutBucketTagging", unencrypted, false),
        ("s3:ListBucket", r#""StringLike":{"s3:prefix":"a*"}"#, true),
        ("s3:GetObject", r#""StringLike":{"s3:prefix":"a*"}"#, false),
        ("s3:GetObject", r#""StringLike":{"aws:Referer":"a*"}"#, true),
        ("s3:ReplicateObject", unencrypted, true),
    ] {
        for statement in [deny(action, condition), allow(OTHER_ACCOUNT, action, condition)] {
            let answer = case.set("bucket", &statement).await;
            if taken {
                assert_eq!(answer.status, 204, "{action} {condition}: {}", answer.text());
                continue;
            }
            assert_eq!((answer.status, answer.code()), (400, "MalformedPolicy"), "{action} {condition}");
            let text = answer.text();
            assert!(text.contains("Statement[0].Condition") && text.contains("decides nothing"), "{text}");
        }
    }
}

#[tokio::test]
async fn nobody_has_reports_or_logs_written_where_they_may_not_write() {
    let mut case = Case::new().await;
    for target in ["/target", "/bucket-of-others"] {
        let who = if target == "/target" { Who::Root } else { Who::Other };
        assert_eq!(case.status(who, "PUT", target).await, 200);
    }
    let report = |target: &str| {
        let document = format!(
            "<InventoryConfiguration><Id>1</Id><IsEnabled>true</IsEnabled><Destination><S3BucketDestination>\
             <Bucket>arn:aws:s3:::{target}</Bucket><Format>CSV</Format><Prefix>in</Prefix></S3BucketDestination></Destination>\
             <IncludedObjectVersions>All</IncludedObjectVersions><Schedule><Frequency>Daily</Frequency></Schedule>\
             </InventoryConfiguration>"
        );
        ("/bucket?inventory&id=1", document)
    };
    let log = |target: &str| {
        let document = format!(
            "<BucketLoggingStatus><LoggingEnabled><TargetBucket>{target}</TargetBucket><TargetPrefix>in/</TargetPrefix>\
             </LoggingEnabled></BucketLoggingStatus>"
        );
        ("/bucket?logging", document)
    };
    let to = |target: &'static str| [report(target), log(target)];
    let settings = r#"["s3:PutInventoryConfiguration","s3:PutBucketLogging"]"#;
    let grant = allow(OTHER_ACCOUNT, "ACTION", "").replace("\"ACTION\"", settings);
    case.policy(&grant).await;
    let in_target = |statement: &str| statement.replace("::bucket", "::target");
    let writes = in_target(&allow(OTHER_ACCOUNT, "s3:PutObject", ""));
    let elsewhere = in_target(&deny("s3:PutObject", "")).replace("target/*", "target/out/*");
    let here = in_target(&deny("s3:PutObject", "")).replace("target/*", "target/in/*");
    for (policy, who, status) in [
        (None, Who::Other, 403),
        (None, Who::Root, 200),
        (Some(writes.clone()), Who::Other, 200),
        (Some(format!("{writes},{elsewhere}")), Who::Other, 200),
        (Some(format!("{writes},{here}")), Who::Other, 403),
        (Some(here), Who::Root, 403),
        (Some(elsewhere), Who::Root, 200),
    ] {
        if let Some(policy) = &policy {
            assert_eq!(case.set("target", policy).await.status, 204);
        }
        for (path, document) in to("target") {
            let answer = case.ask(who, ("PUT", path), &[], &document).await;
            assert_eq!(answer.status, status, "{who:?} {path} {policy:?}: {}", answer.text());
        }
    }
    // Where another account's bucket is named, or none, that is what is said.
    for target in ["bucket-of-others", "no-such-bucket"] {
        for (path, document) in to(target) {
            let answer = case.ask(Who::Root, ("PUT", path), &[], &document).await;
            assert!(
                matches!(answer.code(), "InvalidArgument" | "InvalidTargetBucketForLogging"),
                "{}",
                answer.text()
            );
        }
    }
}

#[tokio::test]
async fn what_is_there_is_named_by_whoever_may_read_it() {
    let mut case = Case::new().await;
    case.put("/bucket/key", &[]).await;
    case.put("/bucket/source", &[]).await;
    let etag = case.ask(Who::Root, ("HEAD", "/bucket/key"), &[], "").await.header("etag").unwrap().to_owned();
    let wrong = format!("\"{}\"", "0".repeat(32));
    let writes = ["s3:PutObject", "s3:DeleteObject"].map(|action| allow(OTHER_ACCOUNT, action, "")).join(",");
    let reads = allow(OTHER_ACCOUNT, "s3:GetObject", "");
    let only_source = reads.replace("bucket/*", "bucket/source");
    let begun = |answer: Answer| {
        answer.text().split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0.to_owned()
    };
    for (policy, blind) in [(format!("{writes},{only_source}"), true), (format!("{writes},{reads}"), false)] {
        case.policy(&policy).await;
        let upload = begun(case.ask(Who::Other, ("POST", "/bucket/key?uploads"), &[], "").await);
        let part = format!("/bucket/key?partNumber=1&uploadId={upload}");
        let part = case.ask(Who::Other, ("PUT", &part), &[], "body").await;
        let complete = format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part></CompleteMultipartUpload>",
            part.header("etag").unwrap()
        );
        let whole = format!("/bucket/key?uploadId={upload}");
        let source = ("x-amz-copy-source", "/bucket/source");
        let seen = if blind { 403 } else { 412 };
        for tag in [&wrong, &etag] {
            let matches = ("if-match", tag.as_str());
            let mut statuses = vec![
                case.with(Who::Other, "PUT", "/bucket/key", &[matches]).await,
                case.with(Who::Other, "PUT", "/bucket/key", &[matches, source]).await,
                case.ask(Who::Other, ("POST", &whole), &[matches], &complete).await.status,
                case.with(Who::Other, "DELETE", "/bucket/key", &[matches]).await,
            ];
            let document = named(&format!("<ETag>{tag}</ETag>"), "key");
            let many = case.ask(Who::Other, ("POST", "/bucket?delete"), &[], &document).await;
            let code = if blind { "AccessDenied" } else { "PreconditionFailed" };
            if tag == &wrong || blind {
                assert_eq!(statuses, [seen; 4], "{tag}");
                assert!(many.text().contains(&format!("<Code>{code}</Code>")), "{}", many.text());
            } else {
                // Each of those that passed wrote another object, or deleted it.
                assert_eq!(statuses.remove(0), 200);
            }
        }
        let size = [("x-amz-if-match-size", "7")];
        assert_eq!(case.with(Who::Other, "DELETE", "/bucket/source", &size).await, 412, "it may be read");
        case.put("/bucket/key", &[]).await;
        assert_eq!(case.with(Who::Other, "DELETE", "/bucket/key", &size).await, seen);
        let absent = case.with(Who::Other, "PUT", "/bucket/none", &[("if-match", &wrong)]).await;
        assert_eq!(absent, if blind { 403 } else { 404 });
        // That there is one at all is told by any write.
        assert_eq!(case.with(Who::Other, "PUT", "/bucket/key", &[("if-none-match", "*")]).await, 412);
        assert_eq!(case.with(Who::Other, "PUT", "/bucket/key", &[("if-match", "*")]).await, 200);
        case.put("/bucket/key", &[]).await;
    }
    assert_eq!(case.with(Who::Root, "DELETE", "/bucket/key", &[("if-match", &wrong)]).await, 412);
}

#[tokio::test]
async fn the_number_of_tags_is_shown_to_whoever_may_read_the_tags() {
    let mut case = Case::new().await;
    case.put("/bucket/open", &[("x-amz-tagging", "class=open")]).await;
    case.put("/bucket/shut", &[("x-amz-tagging", "class=shut")]).await;
    let shut = r#""StringEquals":{"s3:ExistingObjectTag/class":"shut"}"#;
    let reads = allow(OTHER_ACCOUNT, "s3:GetObject*", "");
    case.policy(&format!("{reads},{}", deny("s3:GetObjectTagging", shut))).await;
    for who in [Who::Root, Who::Other] {
        for (key, shown) in [("open", Some("1")), ("shut", None)] {
            let answer = case.ask(who, ("GET", &format!("/bucket/{key}")), &[], "").await;
            assert_eq!(answer.header("x-amz-tagging-count"), shown, "{who:?} {key}");
            let tags = case.status(who, "GET", &format!("/bucket/{key}?tagging")).await;
            assert_eq!(tags == 200, shown.is_some(), "{who:?} {key}");
        }
    }
    // One that is allowed by a tag alone, likewise.
    let open = r#""StringEquals":{"s3:ExistingObjectTag/class":"open"}"#;
    let tags = allow(OTHER_ACCOUNT, "s3:GetObjectTagging", open);
    case.policy(&format!("{},{tags}", allow(OTHER_ACCOUNT, "s3:GetObject", ""))).await;
    for (key, shown) in [("open", Some("1")), ("shut", None)] {
        let answer = case.ask(Who::Other, ("HEAD", &format!("/bucket/{key}")), &[], "").await;
        assert_eq!(answer.header("x-amz-tagging-count"), shown, "{key}");
    }
}

#[tokio::test]
async fn that_there_is_no_such_object_to_lock_is_told_to_whoever_may_list_it() {
    let mut case = Case::new().await;
    let locked = [("x-amz-bucket-object-lock-enabled", "true")];
    assert_eq!(case.with(Who::Root, "PUT", "/locked", &locked).await, 200);
    let locks = r#"["s3:GetObjectRetention","s3:GetObjectLegalHold","s3:PutObjectRetention","s3:PutObjectLegalHold"]"#;
    let locks = allow(OTHER_ACCOUNT, "ACTION", "").replace("\"ACTION\"", locks);
    let lists = allow(OTHER_ACCOUNT, "s3:ListBucket", "");
    let hold = "<LegalHold><Status>OFF</Status></LegalHold>";
    for (policy, status) in [(locks.clone(), 403), (format!("{locks},{lists}"), 404)] {
        let policy = policy.replace("::bucket", "::locked");
        assert_eq!(case.set("locked", &policy).await.status, 204);
        for (method, path, body) in [
            ("GET", "/locked/none?retention", ""),
            ("GET", "/locked/none?legal-hold", ""),
            ("PUT", "/locked/none?retention", "<Retention/>"),
            ("PUT", "/locked/none?legal-hold", hold),
        ] {
            let answer = case.ask(Who::Other, (method, path), &[], body).await;
            assert_eq!(answer.status, status, "{method} {path} {}", answer.text());
        }
    }
    assert_eq!(case.status(Who::Root, "GET", "/locked/none?retention").await, 404);
}

#[tokio::test]
async fn a_policy_that_is_dear_for_each_of_many_keys_ends_the_request_and_not_the_server() {
    let mut case = Case::new().await;
    let dear: Vec<String> = (0..30).map(|at| format!(r#""*a?{at:02}*""#)).collect();
    let condition = format!(r#""StringLike":{{"aws:Referer":[{}]}}"#, dear.join(","));
    case.policy(&format!("{},{}", allow(ACCOUNT, "s3:*", ""), deny("s3:DeleteObject", &condition))).await;
    let referer = "b".repeat(7_000);
    let deleted = |answer: &Answer| answer.text().matches("<Deleted>").count();
    let few = named("", "a b c d");
    let long = [("referer", referer.as_str())];
    let answer = case.ask(Who::Root, ("POST", "/bucket?delete"), &long, &few).await;
    assert_eq!(deleted(&answer), 4, "{}", answer.text());
    let keys: Vec<String> = (0..1_000).map(|at| format!("k{at}")).collect();
    let all = named("", &keys.join(" "));
    let answer = case.ask(Who::Root, ("POST", "/bucket?delete"), &long, &all).await;
    assert_eq!((answer.status, deleted(&answer)), (200, 0));
    assert_eq!(answer.text().matches("<Code>AccessDenied</Code>").count(), 1_000);
    let answer = case.ask(Who::Root, ("POST", "/bucket?delete"), &[("referer", "b")], &all).await;
    assert_eq!(deleted(&answer), 1_000, "an ordinary request");
}

#[tokio::test]
async fn a_thousand_keys_under_a_long_policy_are_answered_each() {
    let mut case = Case::new().await;
    let mut statements = vec![allow(OTHER_ACCOUNT, "s3:DeleteObject", "")];
    let guarded = deny(
        "s3:Delete*",
        r#""StringLike":{"aws:Referer":"https://*.example.com/*"},"NotIpAddress":{"aws:SourceIp":"127.0.0.0/8"}"#,
    );
    while statements.iter().map(String::len).sum::<usize>() < 19_500 {
        statements.push(guarded.clone());
    }
    case.policy(&statements.join(",")).await;
    let keys: Vec<String> = (0..1_000).map(|at| format!("team-{}/reports/{at}.csv", at % 40)).collect();
    let headers = [("referer", "https://www.example.com/page")];
    let answer =
        case.ask(Who::Other, ("POST", "/bucket?delete"), &headers, &named("", &keys.join(" "))).await;
    assert_eq!(answer.text().matches("<Deleted>").count(), 1_000, "{}", &answer.text()[..500]);
}

#[tokio::test]
async fn a_body_that_ends_behind_a_denial_is_stored_no_more() {
    let mut case = Case::new().await;
    case.policy(&allow(OTHER_ACCOUNT, "s3:PutObject", "")).await;
    let mut sender = case.world.connect().await;
    let headers = [("content-length", "10"), ("expect", "100-continue")];
    sender.send(&case.world.sent_by(Who::Other, "PUT", "/bucket/key", &headers, b"")).await;
    assert_eq!(sender.answer().await.unwrap().status, 100, "it was let in");
    case.policy(&deny("s3:PutObject", "")).await;
    sender.send(b"ten bytes!").await;
    let answer = sender.answer().await.unwrap();
    assert_eq!((answer.status, answer.code()), (403, "AccessDenied"));
    case.policy(&allow(OTHER_ACCOUNT, "s3:GetObject", "")).await;
    assert_eq!(case.status(Who::Root, "HEAD", "/bucket/key").await, 404);
}

#[tokio::test]
async fn a_long_policy_of_patterns_denies_no_archive_and_no_delete_for_its_length() {
    let mut case = Case::new().await;
    let roles: Vec<String> =
        (0..490).map(|at| format!(r#""arn:aws:iam::{}:role/*-ci-*""#, 100_000_000_000_u64 + at)).collect();
    let policy = deny("s3:*", &format!(r#""StringLike":{{"aws:PrincipalArn":[{}]}}"#, roles.join(",")));
    assert!(policy.len() > 19_000, "{}", policy.len());
    case.policy(&policy).await;
    let names: Vec<String> = (0..2_000).map(|at| format!("e{at}")).collect();
    let entries: Vec<Entry<'_>> = names.iter().map(|name| (name.as_str(), b'0', &b"x"[..])).collect();
    let archive = String::from_utf8(tar(&entries)).unwrap();
    let headers = [("x-amz-meta-snowball-auto-extract", "true"), ("x-amz-meta-firn-ingest-report", "never")];
    let answer = case.ask(Who::Root, ("PUT", "/bucket/in.tar"), &headers, &archive).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let all = named("", &names[..1_000].join(" "));
    let answer = case.ask(Who::Root, ("POST", "/bucket?delete"), &[], &all).await;
    assert_eq!(answer.text().matches("<Deleted>").count(), 1_000, "{}", &answer.text()[..500]);
    assert_eq!(case.status(Who::Root, "HEAD", "/bucket/e999").await, 404);
    assert_eq!(case.status(Who::Root, "HEAD", "/bucket/e1000").await, 200);
}

#[tokio::test]
async fn a_completion_is_asked_again_with_what_its_upload_has_from_its_beginning() {
    let mut case = Case::new().await;
    for (condition, status) in [
        (r#""StringEquals":{"s3:x-amz-storage-class":"STANDARD_IA"}"#, 403),
        (r#""StringNotEquals":{"s3:x-amz-storage-class":"STANDARD_IA"}"#, 200),
        (r#""StringEquals":{"s3:x-amz-server-side-encryption":"AES256"}"#, 403),
        (r#""StringNotEquals":{"s3:x-amz-server-side-encryption":"AES256"}"#, 200),
    ] {
        let class = [("x-amz-storage-class", "STANDARD_IA"), ("x-amz-server-side-encryption", "AES256")];
        let begun = case.ask(Who::Root, ("POST", "/bucket/key?uploads"), &class, "").await;
        let upload = begun.text().split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0.to_owned();
        let part = format!("/bucket/key?partNumber=1&uploadId={upload}");
        let part = case.ask(Who::Root, ("PUT", &part), &[], "body").await;
        let complete = format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part></CompleteMultipartUpload>",
            part.header("etag").unwrap()
        );
        let length = complete.len().to_string();
        let headers = [("content-length", length.as_str()), ("expect", "100-continue")];
        let mut sender = case.world.connect().await;
        let path = format!("/bucket/key?uploadId={upload}");
        sender.send(&case.world.sent_by(Who::Root, "POST", &path, &headers, b"")).await;
        assert_eq!(sender.answer().await.unwrap().status, 100, "there is no policy yet");
        case.policy(&deny("s3:PutObject", condition)).await;
        sender.send(complete.as_bytes()).await;
        let answer = sender.answer().await.unwrap();
        assert_eq!(answer.status, status, "{condition} {}", answer.text());
        assert_eq!(case.status(Who::Root, "DELETE", "/bucket?policy").await, 204);
    }
}

#[tokio::test]
async fn what_a_write_reads_is_as_old_as_its_signature() {
    let mut case = Case::new().await;
    case.put("/bucket/key", &[]).await;
    case.policy(&deny("s3:GetObject", r#""NumericGreaterThan":{"s3:signatureAge":"10000"}"#)).await;
    let wrong = format!("\"{}\"", "0".repeat(32));
    for (age_s, condition, copy) in [(1, 412, 200), (60, 403, 403)] {
        for (path, header, status) in [
            ("/bucket/key", ("if-match", wrong.as_str()), condition),
            ("/bucket/copy", ("x-amz-copy-source", "/bucket/key"), copy),
        ] {
            let mut sender = case.world.connect().await;
            sender.send(&case.world.presigned((Who::Root, age_s), ("PUT", path), &[header])).await;
            let answer = sender.answer().await.unwrap();
            assert_eq!(answer.status, status, "{age_s} s, {path}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn reports_and_logs_are_asked_for_as_they_will_be_written() {
    let mut case = Case::new().await;
    assert_eq!(case.status(Who::Root, "PUT", "/target").await, 200);
    let [report, log] = DELIVERIES;
    let none = ("/none", "");
    for (condition, resource, denied) in [
        (r#""StringNotEquals":{"s3:x-amz-server-side-encryption":"AES256"}"#, "target/*", [none; 2]),
        (r#""Null":{"s3:x-amz-server-side-encryption":"true"}"#, "target/*", [none; 2]),
        (r#""StringNotEquals":{"s3:x-amz-storage-class":"STANDARD"}"#, "target/*", [none; 2]),
        (r#""StringEquals":{"s3:x-amz-server-side-encryption":"AES256"}"#, "target/*", [report, log]),
        (r#""StringEquals":{"s3:x-amz-storage-class":"STANDARD"}"#, "target/*", [report, log]),
        ("", "target/*.csv.gz", [report, none]),
        ("", "target/*/manifest.json", [report, none]),
        ("", "target/*/manifest.checksum", [report, none]),
    ] {
        let policy =
            deny("s3:PutObject", condition).replace("::bucket", "::target").replace("target/*", resource);
        let answer = case.set("target", &policy).await;
        assert_eq!(answer.status, 204, "{}", answer.text());
        for (path, document) in [report, log] {
            let status = if denied.contains(&(path, document)) { 403 } else { 200 };
            let answer = case.ask(Who::Root, ("PUT", path), &[], document).await;
            assert_eq!(answer.status, status, "{path} {condition} {resource}: {}", answer.text());
        }
    }
}

/// Inventory reports and logs of the bucket, into the target.
const DELIVERIES: [(&str, &str); 2] = [
    (
        "/bucket?inventory&id=1",
        "<InventoryConfiguration><Id>1</Id><IsEnabled>true</IsEnabled><Destination><S3BucketDestination>\
         <Bucket>arn:aws:s3:::target</Bucket><Format>CSV</Format></S3BucketDestination></Destination>\
         <IncludedObjectVersions>All</IncludedObjectVersions><Schedule><Frequency>Daily</Frequency></Schedule>\
         </InventoryConfiguration>",
    ),
    (
        "/bucket?logging",
        "<BucketLoggingStatus><LoggingEnabled><TargetBucket>target</TargetBucket><TargetPrefix>in/</TargetPrefix>\
         </LoggingEnabled></BucketLoggingStatus>",
    ),
];
