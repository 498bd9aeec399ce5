//! Accounts, access lists, ownership controls, blocks of public access, and requests that nobody signed.

use crate::world::{ACCOUNT, Answer, Client, OTHER_ACCOUNT, Who, World, ask};
use objectstore::ObjectOwnership;
use security::AccountId;

const EVERYBODY: [Who; 3] = [Who::Root, Who::Other, Who::Nobody];

/// A world, a connection, and short ways to ask.
struct Case {
    world: World,
    client: Client,
}

impl Case {
    async fn new(ownership: ObjectOwnership) -> Self {
        let world = World::owned_by(ownership).await;
        let client = world.connect().await;
        Self { world, client }
    }

    async fn ask(
        &mut self,
        who: Who,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut headers = headers.to_vec();
        if method == "PUT" && body.is_empty() {
            headers.push(("content-length", "0"));
        }
        ask(&self.world, &mut self.client, who, (method, path), (&headers, body.as_bytes())).await
    }

    async fn status(&mut self, who: Who, method: &str, path: &str) -> u16 {
        self.ask(who, method, path, &[], "").await.status
    }

    async fn ok(
        &mut self,
        who: Who,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let answer = self.ask(who, method, path, headers, body).await;
        assert!(answer.status < 300, "{method} {path}: {answer:?} {}", String::from_utf8_lossy(&answer.body));
        answer
    }

    /// The statuses that root, the other account and nobody get.
    async fn statuses(&mut self, method: &str, path: &str) -> [u16; 3] {
        let mut all = [0; 3];
        for (who, status) in EVERYBODY.into_iter().zip(&mut all) {
            *status = self.status(who, method, path).await;
        }
        all
    }
}

fn canonical(account: &str) -> String {
    account.parse::<AccountId>().expect("an account").canonical_user_id()
}

fn acl(owner: &str, grantee: &str, permission: &str) -> String {
    format!(
        "<AccessControlPolicy xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Owner><ID>{owner}</ID></Owner>\
         <AccessControlList><Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
         xsi:type=\"CanonicalUser\">{grantee}</Grantee><Permission>{permission}</Permission></Grant>\
         </AccessControlList></AccessControlPolicy>"
    )
}

/// Every sub-resource of `route.rs`, with every method, of a bucket and of an object.
#[tokio::test]
async fn every_operation_is_denied_to_another_account_and_to_nobody_by_default() {
    const BUCKET: &str = "abac accelerate acl analytics cors delete encryption intelligent-tiering inventory lifecycle \
                          location logging metadataConfiguration metadataInventoryTable metadataJournalTable \
                          metadataTable metrics notification object-lock ownershipControls policy policyStatus \
                          publicAccessBlock replication requestPayment tagging uploads versioning versions website";
    const OBJECT: &str = "acl attributes encryption legal-hold renameObject restore retention select tagging torrent \
                          uploads uploadId=7";
    for ownership in [ObjectOwnership::BucketOwnerEnforced, ObjectOwnership::ObjectWriter] {
        let mut case = Case::new(ownership).await;
        case.ok(Who::Root, "PUT", "/bucket", &[], "").await;
        case.ok(Who::Root, "PUT", "/bucket/key", &[], "x").await;
        let upload = case.ok(Who::Root, "POST", "/bucket/key?uploads", &[], "").await;
        let upload = upload.text().split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0.to_owned();
        let subs = |path: &str, names: &str| -> Vec<String> {
            let named = names.split_whitespace().map(|name| format!("{path}?{name}"));
            named.chain([path.to_owned()]).collect()
        };
        let mut paths = subs("/bucket", BUCKET);
        paths.extend(subs("/bucket/key", OBJECT));
        paths.push(format!("/bucket/key?partNumber=1&uploadId={upload}"));
        paths.push("/bucket/key?versionId=null".to_owned());
        paths.push("/bucket/missing".to_owned());
        for who in [Who::Other, Who::Nobody] {
            for path in &paths {
                for method in ["GET", "PUT", "POST", "DELETE", "HEAD"] {
                    if (method, path.as_str(), who) == ("PUT", "/bucket", Who::Other) {
                        // The name is taken: that alone is told.
                        let taken = case.ask(who, method, path, &[], "").await;
                        assert_eq!((taken.status, taken.code()), (409, "BucketAlreadyExists"));
                        continue;
                    }
                    if (method, path.as_str()) == ("POST", "/bucket") {
                        // A form says itself who sends it: forms.rs.
                        continue;
                    }
                    let wanted = [("x-amz-object-attributes", "ETag")];
                    let headers = if method == "GET" { &wanted[..] } else { &[] };
                    let answer = case.ask(who, method, path, headers, "").await;
                    let code = if method == "HEAD" { "AccessDenied" } else { answer.code() };
                    let refused = match answer.status {
                        403 => code == "AccessDenied",
                        404 => code == "NoSuchUpload" && path.contains("uploadId=7"),
                        405 => code == "MethodNotAllowed" || method == "HEAD",
                        _ => false,
                    };
                    assert!(refused, "{ownership} {who:?} {method} {path}: {} {code}", answer.status);
                }
            }
            let copy = [("x-amz-copy-source", "bucket/key")];
            assert_eq!(case.ask(who, "PUT", "/bucket/copy", &copy, "").await.code(), "AccessDenied");
        }
        // What is the asker's own is its own.
        assert_eq!(case.statuses("GET", "/").await, [200, 200, 403]);
        assert!(!case.ask(Who::Other, "GET", "/", &[], "").await.text().contains("<Bucket>"));
        assert_eq!(case.status(Who::Nobody, "PUT", "/new-bucket").await, 403);
        assert_eq!(case.statuses("HEAD", "/nothing-here").await, [404, 404, 404]);
        assert_eq!(case.statuses("GET", "/nothing-here/key").await, [404, 404, 404]);
    }
}

#[tokio::test]
async fn lists_of_a_bucket_let_in_whom_they_name_to_what_they_name() {
    let mut case = Case::new(ObjectOwnership::ObjectWriter).await;
    case.ok(Who::Root, "PUT", "/bucket", &[("x-amz-acl", "public-read")], "").await;
    case.ok(Who::Root, "PUT", "/bucket/key", &[], "x").await;
    assert_eq!(case.statuses("GET", "/bucket?list-type=2").await, [200, 200, 200]);
    assert_eq!(case.statuses("HEAD", "/bucket").await, [200, 200, 200]);
    assert_eq!(case.statuses("GET", "/bucket/key").await, [200, 403, 403], "objects have lists of their own");
    assert_eq!(case.statuses("GET", "/bucket/missing").await, [404, 404, 404], "who may list may know");
    assert_eq!(case.statuses("GET", "/bucket?acl").await, [200, 403, 403]);
    assert_eq!(case.statuses("GET", "/bucket?location").await, [200, 403, 403]);
    assert_eq!(case.status(Who::Nobody, "PUT", "/bucket/new").await, 403);
    case.ok(Who::Root, "PUT", "/bucket?acl", &[("x-amz-acl", "public-read-write")], "").await;
    assert_eq!(case.statuses("PUT", "/bucket/new").await, [200, 200, 200]);
    assert_eq!(case.statuses("DELETE", "/bucket/new?versionId=null").await, [204, 403, 403]);
    let named = "<Delete><Object><Key>key</Key><VersionId>null</VersionId></Object></Delete>";
    let md5 = [("x-amz-checksum-crc32", crc32(named))];
    let md5: Vec<(&str, &str)> = md5.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let deleted = case.ok(Who::Other, "POST", "/bucket?delete", &md5, named).await;
    assert!(deleted.text().contains("<Code>AccessDenied</Code>"), "{}", deleted.text());
    // Uploads in parts are their initiator's.
    let begun = case.ok(Who::Other, "POST", "/bucket/parts?uploads", &[], "").await;
    let id = begun.text().split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0.to_owned();
    let listed = case.ok(Who::Root, "GET", "/bucket?uploads", &[], "").await;
    assert_eq!(listed.text().matches(&canonical(OTHER_ACCOUNT)).count(), 2, "{}", listed.text());
    let parts = format!("/bucket/parts?uploadId={id}");
    assert_eq!(case.statuses("GET", &parts).await, [200, 200, 403]);
    assert_eq!(case.status(Who::Nobody, "PUT", &format!("{parts}&partNumber=1")).await, 403);
    assert_eq!(case.status(Who::Other, "PUT", &format!("{parts}&partNumber=1")).await, 200);
    assert_eq!(case.status(Who::Nobody, "DELETE", &parts).await, 403);
    assert_eq!(case.status(Who::Other, "DELETE", &parts).await, 204);
    let anonymous = case.ask(Who::Nobody, "POST", "/bucket/parts?uploads", &[], "").await;
    assert!(anonymous.text().contains("Anonymous users cannot initiate multipart uploads"));
}

fn crc32(text: &str) -> String {
    objectstore::ChecksumValue::compute(objectstore::ChecksumAlgorithm::Crc32, text.as_bytes()).to_string()
}

#[tokio::test]
async fn lists_are_set_by_header_and_document_and_shown_again() {
    let mut case = Case::new(ObjectOwnership::ObjectWriter).await;
    let (own, other) = (canonical(ACCOUNT), canonical(OTHER_ACCOUNT));
    case.ok(Who::Root, "PUT", "/bucket", &[], "").await;
    for path in ["/bucket", "/bucket/key"] {
        if path != "/bucket" {
            case.ok(Who::Root, "PUT", path, &[], "x").await;
        }
        let list = format!("{path}?acl");
        let shown = case.ok(Who::Root, "GET", &list, &[], "").await;
        let user = |id: &str, name: &str| format!("<ID>{id}</ID><DisplayName>{name}</DisplayName>");
        assert!(
            shown.text().contains(&format!("<Owner>{}</Owner>", user(&own, ACCOUNT))),
            "{}",
            shown.text()
        );
        assert_eq!(shown.text().matches("<Grant>").count(), 1);
        let id = format!("id=\"{other}\"");
        let uri = "uri=\"http://acs.amazonaws.com/groups/global/AllUsers\"";
        let headers = [("x-amz-grant-read-acp", id.as_str()), ("x-amz-grant-read", uri)];
        case.ok(Who::Root, "PUT", &list, &headers, "").await;
        let shown = case.ok(Who::Other, "GET", &list, &[], "").await;
        let group = "<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission>";
        assert!(shown.text().contains(group), "{}", shown.text());
        assert!(shown.text().contains(&user(&other, OTHER_ACCOUNT)));
        assert_eq!(case.status(Who::Nobody, "GET", path).await, 200);
        // Back again what was shown, and then only this.
        case.ok(Who::Root, "PUT", &list, &[], shown.text()).await;
        assert_eq!(case.ok(Who::Other, "GET", &list, &[], "").await.text(), shown.text());
        let write_acp = acl(&own, &format!("<ID>{other}</ID>"), "WRITE_ACP");
        case.ok(Who::Root, "PUT", &list, &[], &write_acp).await;
        assert_eq!(case.statuses("GET", &list).await, [200, 403, 403], "the owner's without a grant");
        let stolen = acl(&other, &format!("<ID>{other}</ID>"), "FULL_CONTROL");
        assert_eq!(case.ask(Who::Other, "PUT", &list, &[], &stolen).await.code(), "AccessDenied");
        case.ok(Who::Other, "PUT", &list, &[("x-amz-acl", "private")], "").await;
        assert_eq!(case.ask(Who::Other, "PUT", &list, &[], &write_acp).await.code(), "AccessDenied");
        for (headers, body, code) in [
            (vec![("x-amz-acl", "public")], String::new(), "InvalidArgument"),
            (vec![("x-amz-acl", "private"), ("x-amz-grant-read", uri)], String::new(), "InvalidRequest"),
            (vec![("x-amz-acl", "private")], write_acp.clone(), "UnexpectedContent"),
            (vec![], String::new(), "MissingSecurityHeader"),
            (vec![("x-amz-grant-read", "id=nobody")], String::new(), "InvalidArgument"),
            (vec![("x-amz-grant-read", "name=x")], String::new(), "InvalidArgument"),
            (
                vec![("x-amz-grant-read", "emailAddress=a@b")],
                String::new(),
                "UnresolvableGrantByEmailAddress",
            ),
            (vec![], acl(&own, "<ID>_foo</ID>", "READ"), "InvalidArgument"),
            (vec![], acl(&own, "<URI>http://x</URI>", "READ"), "InvalidArgument"),
            (
                vec![],
                acl(&own, "<EmailAddress>a@b</EmailAddress>", "READ"),
                "UnresolvableGrantByEmailAddress",
            ),
            (vec![], acl(&own, &format!("<ID>{own}</ID>"), "ALL"), "MalformedACLError"),
            (vec![], "<AccessControlPolicy/>".to_owned(), "MalformedACLError"),
        ] {
            let refused = case.ask(Who::Root, "PUT", &list, &headers, &body).await;
            assert_eq!((refused.status, refused.code()), (400, code), "{headers:?} {body}");
        }
    }
}

#[tokio::test]
async fn writers_own_what_they_write_where_ownership_says_so() {
    let mut case = Case::new(ObjectOwnership::BucketOwnerEnforced).await;
    let (own, other) = (canonical(ACCOUNT), canonical(OTHER_ACCOUNT));
    let full = ("x-amz-acl", "bucket-owner-full-control");
    for (name, ownership, plain, handed_over) in
        [("/preferred", "BucketOwnerPreferred", &other, &own), ("/writer", "ObjectWriter", &other, &other)]
    {
        let created = [("x-amz-object-ownership", ownership), ("x-amz-acl", "public-read-write")];
        case.ok(Who::Root, "PUT", name, &created, "").await;
        for (key, headers, owner) in [("plain", vec![], plain), ("full", vec![full], handed_over)] {
            let path = format!("{name}/{key}");
            case.ok(Who::Other, "PUT", &path, &headers, "x").await;
            let reader = if owner == &own { Who::Root } else { Who::Other };
            let shown = case.ok(reader, "GET", &format!("{path}?acl"), &[], "").await;
            assert!(shown.text().contains(&format!("<Owner><ID>{owner}</ID>")), "{path} {}", shown.text());
            if owner == &other {
                let source = [("x-amz-copy-source", &path[1..])];
                case.ok(Who::Other, "PUT", &format!("{name}/copy-{key}"), &source, "").await;
            }
        }
        let page = case.ok(Who::Root, "GET", &format!("{name}?list-type=2&fetch-owner=true"), &[], "").await;
        assert!(page.text().contains(&other), "{}", page.text());
        let versions = case.ok(Who::Root, "GET", &format!("{name}?versions"), &[], "").await;
        assert!(versions.text().contains(&other));
    }
    // Anybody may write there, but not give away or take what is another's.
    assert_eq!(case.statuses("GET", "/writer/plain").await, [403, 200, 403]);
    assert_eq!(case.statuses("GET", "/writer/full").await, [200, 200, 403]);
    case.ok(Who::Nobody, "PUT", "/writer/nobodys", &[("x-amz-meta-a", "b")], "x").await;
    let read = case.ok(Who::Nobody, "GET", "/writer/nobodys", &[], "").await;
    assert_eq!(read.header("x-amz-meta-a"), Some("b"));
    assert_eq!(case.status(Who::Root, "GET", "/writer/nobodys").await, 403);
    assert_eq!(case.status(Who::Root, "DELETE", "/writer/nobodys").await, 204);
}

#[tokio::test]
async fn ownership_controls_are_set_deleted_and_refused_as_s3_does() {
    let mut case = Case::new(ObjectOwnership::BucketOwnerEnforced).await;
    case.ok(Who::Root, "PUT", "/bucket", &[], "").await;
    let shown = |answer: &Answer| {
        answer.text().split_once("<ObjectOwnership>").unwrap().1.split_once('<').unwrap().0.to_owned()
    };
    let controls = "/bucket?ownershipControls";
    let get = case.ok(Who::Root, "GET", controls, &[], "").await;
    assert_eq!(shown(&get), "BucketOwnerEnforced");
    for (method, path, header) in [
        ("PUT", "/bucket/key", ("x-amz-acl", "public-read")),
        ("PUT", "/bucket/key", ("x-amz-acl", "authenticated-read")),
        ("PUT", "/bucket?acl", ("x-amz-acl", "public-read")),
        ("POST", "/bucket/key?uploads", ("x-amz-acl", "public-read")),
    ] {
        let refused = case.ask(Who::Root, method, path, &[header], "").await;
        assert_eq!(
            (refused.status, refused.code()),
            (400, "AccessControlListNotSupported"),
            "{method} {path}"
        );
    }
    // What rclone and s3cmd send by default is as good as nothing.
    for harmless in ["private", "bucket-owner-full-control"] {
        case.ok(Who::Root, "PUT", "/bucket/key", &[("x-amz-acl", harmless)], "x").await;
        case.ok(Who::Root, "PUT", "/bucket/key?acl", &[("x-amz-acl", harmless)], "").await;
        case.ok(Who::Root, "POST", "/bucket/key?uploads", &[("x-amz-acl", harmless)], "").await;
    }
    let both = [("x-amz-acl", "public-read"), ("x-amz-object-ownership", "BucketOwnerEnforced")];
    let refused = case.ask(Who::Root, "PUT", "/bucket2", &both, "").await;
    assert_eq!((refused.status, refused.code()), (400, "InvalidBucketAclWithObjectOwnership"));
    let bad = case.ask(Who::Root, "PUT", "/bucket2", &[("x-amz-object-ownership", "Mine")], "").await;
    assert_eq!((bad.status, bad.code()), (400, "InvalidArgument"));
    assert_eq!(case.status(Who::Root, "HEAD", "/bucket2").await, 404);
    let rule = |name: &str| {
        format!(
            "<OwnershipControls><Rule><ObjectOwnership>{name}</ObjectOwnership></Rule></OwnershipControls>"
        )
    };
    case.ok(Who::Root, "PUT", controls, &[], &rule("ObjectWriter")).await;
    assert_eq!(shown(&case.ok(Who::Root, "GET", controls, &[], "").await), "ObjectWriter");
    case.ok(Who::Root, "PUT", "/bucket/key?acl", &[("x-amz-acl", "public-read")], "").await;
    case.ok(Who::Root, "PUT", "/bucket?acl", &[("x-amz-acl", "public-read")], "").await;
    assert_eq!(case.statuses("GET", "/bucket/key").await, [200, 200, 200]);
    let refused = case.ask(Who::Root, "PUT", controls, &[], &rule("BucketOwnerEnforced")).await;
    assert_eq!((refused.status, refused.code()), (400, "InvalidBucketAclWithObjectOwnership"));
    case.ok(Who::Root, "PUT", "/bucket?acl", &[("x-amz-acl", "private")], "").await;
    case.ok(Who::Root, "PUT", controls, &[], &rule("BucketOwnerEnforced")).await;
    assert_eq!(case.statuses("GET", "/bucket/key").await, [200, 403, 403], "lists are off");
    for _ in 0..2 {
        case.ok(Who::Root, "DELETE", controls, &[], "").await;
        let gone = case.ask(Who::Root, "GET", controls, &[], "").await;
        assert_eq!((gone.status, gone.code()), (404, "OwnershipControlsNotFoundError"));
    }
    assert_eq!(case.statuses("GET", "/bucket/key").await, [200, 200, 200], "and on again");
    // A repeated creation that would replace the list is refused; one that would not is as good as done.
    assert_eq!(case.status(Who::Root, "PUT", "/bucket").await, 200);
    let again = case
        .ask(
            Who::Root,
            "PUT",
            "/bucket",
            &[("x-amz-object-ownership", "ObjectWriter"), ("x-amz-acl", "public-read")],
            "",
        )
        .await;
    assert_eq!((again.status, again.code()), (409, "BucketAlreadyExists"));
}

#[tokio::test]
async fn a_block_refuses_and_ignores_what_is_public() {
    let mut case = Case::new(ObjectOwnership::ObjectWriter).await;
    case.ok(Who::Root, "PUT", "/bucket", &[], "").await;
    let block = "/bucket?publicAccessBlock";
    let none = case.ask(Who::Root, "GET", block, &[], "").await;
    assert_eq!((none.status, none.code()), (404, "NoSuchPublicAccessBlockConfiguration"));
    case.ok(Who::Root, "PUT", "/bucket/key", &[("x-amz-acl", "public-read")], "x").await;
    assert_eq!(case.statuses("GET", "/bucket/key").await, [200, 200, 200]);
    let set = |name: &str| {
        format!("<PublicAccessBlockConfiguration><{name}>true</{name}></PublicAccessBlockConfiguration>")
    };
    case.ok(Who::Root, "PUT", block, &[], &set("BlockPublicAcls")).await;
    let shown = case.ok(Who::Root, "GET", block, &[], "").await;
    assert!(
        shown
            .text()
            .contains("<BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>false</IgnorePublicAcls>")
    );
    for (path, acl) in [
        ("/bucket?acl", "public-read"),
        ("/bucket/new", "public-read-write"),
        ("/bucket/key?acl", "authenticated-read"),
    ] {
        let refused = case.ask(Who::Root, "PUT", path, &[("x-amz-acl", acl)], "").await;
        assert_eq!((refused.status, refused.code()), (403, "AccessDenied"), "{path}");
    }
    assert_eq!(case.statuses("GET", "/bucket/key").await, [200, 200, 200], "what is there stays");
    case.ok(Who::Root, "PUT", block, &[], &set("IgnorePublicAcls")).await;
    assert_eq!(case.statuses("GET", "/bucket/key").await, [200, 403, 403]);
    case.ok(Who::Root, "DELETE", block, &[], "").await;
    assert_eq!(case.statuses("GET", "/bucket/key").await, [200, 200, 200]);
}

#[tokio::test]
async fn the_expected_owner_is_the_buckets_and_a_copy_asks_for_its_source() {
    let mut case = Case::new(ObjectOwnership::ObjectWriter).await;
    case.ok(Who::Root, "PUT", "/mine", &[], "").await;
    case.ok(Who::Other, "PUT", "/theirs", &[], "").await;
    case.ok(Who::Root, "PUT", "/mine/key", &[], "x").await;
    let listed = case.ok(Who::Other, "GET", "/", &[], "").await;
    assert!(listed.text().contains("<Name>theirs</Name>") && !listed.text().contains("<Name>mine</Name>"));
    assert!(listed.text().contains(&canonical(OTHER_ACCOUNT)));
    for (who, path, owner, status) in [
        (Who::Root, "/mine", ACCOUNT, 200),
        (Who::Root, "/mine", OTHER_ACCOUNT, 403),
        (Who::Other, "/theirs", OTHER_ACCOUNT, 200),
        (Who::Other, "/theirs", ACCOUNT, 403),
    ] {
        let headers = [("x-amz-expected-bucket-owner", owner)];
        assert_eq!(case.ask(who, "GET", path, &headers, "").await.status, status, "{path} {owner}");
    }
    let source = ("x-amz-copy-source", "mine/key");
    let missing = ("x-amz-copy-source", "mine/missing");
    for source in [source, missing] {
        assert_eq!(case.ask(Who::Other, "PUT", "/theirs/copy", &[source], "").await.code(), "AccessDenied");
    }
    case.ok(Who::Root, "PUT", "/mine/key?acl", &[("x-amz-acl", "authenticated-read")], "").await;
    let wrong = ("x-amz-source-expected-bucket-owner", OTHER_ACCOUNT);
    assert_eq!(
        case.ask(Who::Other, "PUT", "/theirs/copy", &[source, wrong], "").await.code(),
        "AccessDenied"
    );
    let right = ("x-amz-source-expected-bucket-owner", ACCOUNT);
    case.ok(Who::Other, "PUT", "/theirs/copy", &[source, right], "").await;
    // The copy is its writer's, with the private list: the source's is not carried over.
    assert_eq!(case.statuses("GET", "/theirs/copy").await, [403, 200, 403]);
}

/// A bucket of the same name is another bucket: a request that was let into the first one does nothing to the second.
#[tokio::test]
async fn a_body_that_comes_after_the_bucket_changed_hands_does_nothing() {
    let mut case = Case::new(ObjectOwnership::BucketOwnerEnforced).await;
    case.ok(Who::Root, "PUT", "/bucket", &[], "").await;
    let named = "<Delete><Object><Key>key</Key></Object></Delete>";
    let sum = crc32(named);
    let headers = [("x-amz-checksum-crc32", sum.as_str()), ("expect", "100-continue")];
    let whole = case.world.sent_by(Who::Root, "POST", "/bucket?delete", &headers, named.as_bytes());
    let mut slow = case.world.connect().await;
    slow.send(&whole[..whole.len() - named.len()]).await;
    assert_eq!(slow.answer().await.unwrap().status, 100, "it was let in");
    case.ok(Who::Root, "DELETE", "/bucket", &[], "").await;
    case.ok(Who::Other, "PUT", "/bucket", &[], "").await;
    case.ok(Who::Other, "PUT", "/bucket/key", &[], "x").await;
    slow.send(named.as_bytes()).await;
    assert_eq!(slow.answer().await.unwrap().code(), "NoSuchBucket");
    assert_eq!(case.status(Who::Other, "HEAD", "/bucket/key").await, 200);
}

#[tokio::test]
async fn nobody_unknown_replaces_headers_of_an_answer() {
    let mut case = Case::new(ObjectOwnership::ObjectWriter).await;
    case.ok(Who::Root, "PUT", "/bucket", &[], "").await;
    case.ok(Who::Root, "PUT", "/bucket/k", &[("x-amz-acl", "public-read")], "x").await;
    for parameter in ["type", "disposition", "encoding", "language"] {
        let path = format!("/bucket/k?response-content-{parameter}=text%2Fhtml");
        let refused = case.ask(Who::Nobody, "GET", &path, &[], "").await;
        assert_eq!((refused.status, refused.code()), (400, "InvalidRequest"), "{path}");
        assert!(refused.text().contains("cannot be used for anonymous GET requests"), "{}", refused.text());
        assert_eq!(case.status(Who::Nobody, "HEAD", &path).await, 400);
        assert_eq!(case.status(Who::Other, "GET", &path).await, 200);
    }
    for path in ["/bucket/k?response-expires=x", "/bucket/k?response-cache-control=no-store"] {
        assert_eq!(case.status(Who::Nobody, "GET", path).await, 400);
    }
    assert_eq!(case.status(Who::Nobody, "GET", "/bucket/k").await, 200);
}

#[tokio::test]
async fn a_digest_that_nobody_signed_for_is_compared_all_the_same() {
    let mut case = Case::new(ObjectOwnership::ObjectWriter).await;
    case.ok(Who::Root, "PUT", "/bucket", &[("x-amz-acl", "public-read-write")], "").await;
    let right = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
    let wrong = right.replace('2', "3");
    for (digest, status, code) in
        [(right, 200, ""), (&wrong, 400, "XAmzContentSHA256Mismatch"), ("UNSIGNED-PAYLOAD", 200, "")]
    {
        let key = format!("/bucket/{status}");
        let answer = case.ask(Who::Nobody, "PUT", &key, &[("x-amz-content-sha256", digest)], "x").await;
        assert_eq!((answer.status, answer.code()), (status, code), "{digest}");
    }
    assert_eq!(case.status(Who::Nobody, "GET", "/bucket/400").await, 404, "nothing was stored");
}
