//! Bucket policies over the wire: who is let in, who is kept out, and that no operation goes past them.

use crate::every_operation::{TABLE, begin, check, sent};
use crate::world::{Answer, Client, OTHER_ACCOUNT, Who, World, ask, content_md5};

const BUCKET: &str = r#"["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"]"#;

pub(crate) struct Case {
    pub(crate) world: World,
    client: Client,
}

impl Case {
    pub(crate) async fn new() -> Self {
        let world = World::new().await;
        let client = world.with_bucket().await;
        Self { world, client }
    }

    pub(crate) async fn ask(
        &mut self,
        who: Who,
        (method, path): (&str, &str),
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let md5 = content_md5(body.as_bytes());
        let mut headers = headers.to_vec();
        if body.starts_with('<') {
            headers.push(("content-md5", &md5));
        }
        if matches!(method, "PUT" | "POST") && body.is_empty() {
            headers.push(("content-length", "0"));
        }
        ask(&self.world, &mut self.client, who, (method, path), (&headers, body.as_bytes())).await
    }

    pub(crate) async fn status(&mut self, who: Who, method: &str, path: &str) -> u16 {
        self.ask(who, (method, path), &[], "").await.status
    }

    pub(crate) async fn with(&mut self, who: Who, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
        self.ask(who, (method, path), headers, "").await.status
    }

    pub(crate) async fn put(&mut self, path: &str, headers: &[(&str, &str)]) {
        let answer = self.ask(Who::Root, ("PUT", path), headers, "body").await;
        assert_eq!(answer.status, 200, "{path} {}", answer.text());
    }

    pub(crate) async fn set(&mut self, bucket: &str, statements: &str) -> Answer {
        let document = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
        self.ask(Who::Root, ("PUT", &format!("/{bucket}?policy")), &[], &document).await
    }

    pub(crate) async fn policy(&mut self, statements: &str) {
        let answer = self.set("bucket", statements).await;
        assert_eq!(answer.status, 204, "{statements} {}", answer.text());
    }
}

fn statement(effect: &str, principal: &str, (key, action): (&str, &str), condition: &str) -> String {
    let condition =
        if condition.is_empty() { String::new() } else { format!(r#","Condition":{{{condition}}}"#) };
    format!(
        r#"{{"Effect":"{effect}","Principal":{{"AWS":"{principal}"}},"{key}":"{action}","Resource":{BUCKET}{condition}}}"#
    )
}

pub(crate) fn allow(principal: &str, action: &str, condition: &str) -> String {
    statement("Allow", principal, ("Action", action), condition)
}

pub(crate) fn deny(action: &str, condition: &str) -> String {
    statement("Deny", "*", ("Action", action), condition)
}

/// The rows of docs/s3-actions.md: operation, action, kind of resource, and whether it asks for more.
fn actions() -> Vec<(&'static str, &'static str, &'static str, bool)> {
    let page = include_str!("../../../../docs/s3-actions.md");
    let cell = |row: &'static str, at: usize| {
        row.split(" | ").nth(at).unwrap_or_default().trim_matches(['|', ' ', '`'])
    };
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains("`s3"));
    rows.map(|row| (cell(row, 0), cell(row, 1), cell(row, 3), !cell(row, 4).is_empty())).collect()
}

#[tokio::test]
async fn every_operation_is_denied_by_a_deny_of_its_action_and_by_nothing_else() {
    let mut case = Case::new().await;
    let locked = [("x-amz-bucket-object-lock-enabled", "true"), ("x-amz-object-ownership", "ObjectWriter")];
    assert_eq!(case.with(Who::Root, "PUT", "/locked", &locked).await, 200);
    for path in ["/locked/key", "/bucket/key"] {
        case.put(path, &[]).await;
    }
    let upload = begin(&case.world, &mut case.client).await;
    let second = begin(&case.world, &mut case.client).await;
    let (actions, mut etag, mut walked) = (actions(), String::new(), 0);
    for row in TABLE {
        let (name, method, path, _) = *row;
        let path = path.replace("{upload}", &upload).replace("{second}", &second);
        // Two names of the API for one operation.
        let known = match name {
            "GetBucketLifecycle" => "GetBucketLifecycleConfiguration",
            "PutBucketLifecycle" => "PutBucketLifecycleConfiguration",
            "GetBucketNotification" => "GetBucketNotificationConfiguration",
            "PutBucketNotification" => "PutBucketNotificationConfiguration",
            name => name,
        };
        let (_, action, kind, more) =
            *actions.iter().find(|(operation, ..)| *operation == known).expect(name);
        let (headers, mut body) = sent(name);
        if name == "CompleteMultipartUpload" {
            body = format!(
                "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
            );
        }
        let bucket = path[1..].split(['/', '?']).next().unwrap().to_owned();
        // Refused by the router for their parameter, whoever asks.
        let unrouted = matches!(name, "PutObjectAnnotation" | "DeleteObjectAnnotation");
        let of_service = action.split(':').next().unwrap() != "s3" || unrouted;
        let of_policy = matches!(name, "GetBucketPolicy" | "PutBucketPolicy" | "DeleteBucketPolicy");
        if !kind.is_empty() && name != "CreateBucket" && !of_service {
            walked += 1;
            let resources = format!(r#"["arn:aws:s3:::{bucket}","arn:aws:s3:::{bucket}/*"]"#);
            let all = |effect: &str, key: &str, action: &str| {
                format!(
                    r#"{{"Effect":"{effect}","Principal":"*","{key}":"{action}","Resource":{resources}}}"#
                )
            };
            // By default, then by a Deny: to whom all else is allowed, and to the root of the bucket's account.
            let stranger = case.ask(Who::Other, (method, &path), &headers, &body).await;
            assert!(denied(name, &stranger), "{name} by default: {} {}", stranger.status, stranger.text());
            let shut = format!("{},{}", all("Allow", "Action", "s3:*"), all("Deny", "Action", action));
            assert_eq!(case.set(&bucket, &shut).await.status, 204, "{name}");
            let of_root = !of_policy;
            for who in [Who::Other, Who::Root].into_iter().take(1 + usize::from(of_root)) {
                let answer = case.ask(who, (method, &path), &headers, &body).await;
                assert!(denied(name, &answer), "{name} by {who:?}: {} {}", answer.status, answer.text());
            }
            if of_policy {
                assert_eq!(case.status(Who::Root, "DELETE", &format!("/{bucket}?policy")).await, 204);
            } else if !more {
                assert_eq!(case.set(&bucket, &all("Deny", "NotAction", action)).await.status, 204, "{name}");
            } else {
                assert_eq!(case.set(&bucket, &all("Deny", "Action", "s3:GetBucketAbac")).await.status, 204);
            }
        }
        let answer = case.ask(Who::Root, (method, &path), &headers, &body).await;
        if name == "UploadPart" {
            answer.header("etag").unwrap().clone_into(&mut etag);
        }
        check(row, &answer);
        if !name.contains("BucketPolicy") && bucket != "other" && !kind.is_empty() && !of_service {
            assert_eq!(case.status(Who::Root, "DELETE", &format!("/{bucket}?policy")).await, 204, "{name}");
        }
    }
    assert!(walked > 100, "{walked}");
}

/// Of many keys each has its own answer.
fn denied(name: &str, answer: &Answer) -> bool {
    let each = name == "DeleteObjects"
        && answer.status == 200
        && answer.text().contains("<Code>AccessDenied</Code>");
    let whole = answer.status == 403 && (answer.body.is_empty() || answer.code() == "AccessDenied");
    each && !answer.text().contains("<Deleted>") || whole
}

#[tokio::test]
async fn a_policy_lets_in_whom_it_names_and_its_text_comes_back() {
    let mut case = Case::new().await;
    case.put("/bucket/key", &[]).await;
    let unset = case.ask(Who::Root, ("GET", "/bucket?policy"), &[], "").await;
    assert_eq!((unset.status, unset.code()), (404, "NoSuchBucketPolicy"));
    let text = format!(
        "{{ \"Version\" : \"2012-10-17\",\n \"Statement\": [{}] }}",
        allow(OTHER_ACCOUNT, "s3:GetObject", "")
    );
    assert_eq!(case.ask(Who::Root, ("PUT", "/bucket?policy"), &[], &text).await.status, 204);
    let got = case.ask(Who::Root, ("GET", "/bucket?policy"), &[], "").await;
    assert_eq!((got.status, got.header("content-type"), got.text()), (200, Some("application/json"), &*text));
    for (who, status) in [(Who::Root, 200), (Who::Other, 200), (Who::Nobody, 403)] {
        assert_eq!(case.status(who, "GET", "/bucket/key").await, status, "{who:?}");
        assert_eq!(case.status(who, "GET", "/bucket").await, if who == Who::Root { 200 } else { 403 });
    }
    assert_eq!(case.status(Who::Other, "GET", "/bucket?policy").await, 403);
    case.policy(&allow("*", "s3:GetObject", "")).await;
    assert_eq!(case.status(Who::Nobody, "GET", "/bucket/key").await, 200);
    let public = case.ask(Who::Root, ("GET", "/bucket?policyStatus"), &[], "").await;
    assert!(public.text().contains("<IsPublic>true</IsPublic>"), "{}", public.text());
    assert_eq!(case.status(Who::Root, "DELETE", "/bucket?policy").await, 204);
    assert_eq!(case.status(Who::Nobody, "GET", "/bucket/key").await, 403, "at once");
}

#[tokio::test]
async fn what_is_no_policy_for_the_bucket_is_refused_with_its_place() {
    let mut case = Case::new().await;
    for (statements, words) in [
        (String::new(), "Statement: the list is empty"),
        (
            r#"{"Effect":"Allow","Principal":"*","Action":"s3:*"}"#.into(),
            "Statement[0]: Resource or NotResource is missing",
        ),
        (allow("*", "s3:Fetch", ""), "Statement[0].Action: &quot;s3:Fetch&quot; is no action of S3"),
        (allow("*", "iam:GetUser", ""), "is no action of S3"),
        (allow("123456789012", "s3:*", ""), "Statement[0].Principal: there is no such principal"),
        (allow("arn:aws:iam::111122223333:user/alice", "s3:*", ""), "there is no such principal"),
        (allow("*", "s3:*", r#""StringIs":{"aws:Referer":"x"}"#), "Statement[0].Condition.StringIs"),
        (allow("*", "s3:*", r#""StringLike":{"s3:prefixes":"x"}"#), "is no condition key of S3"),
        (
            allow("*", "s3:*", "").replace("::bucket/*", "::other/*"),
            "Statement[0].Resource: a resource is neither",
        ),
        (format!("{},", allow("*", "s3:*", "")), "trailing comma"),
    ] {
        let answer = case.set("bucket", &statements).await;
        assert_eq!((answer.status, answer.code()), (400, "MalformedPolicy"), "{statements}");
        let text = answer.text().replace("\\\"", "\"");
        assert!(text.contains(words) || text.replace('"', "&quot;").contains(words), "{words}: {text}");
    }
    let padded = |bytes: usize| {
        let text = allow("*", "s3:GetObject", "");
        format!(
            "{text}{}",
            " ".repeat(bytes - text.len() - r#"{"Version":"2012-10-17","Statement":[]}"#.len())
        )
    };
    assert_eq!(case.set("bucket", &padded(20 << 10)).await.status, 204);
    let long = case.set("bucket", &padded((20 << 10) + 1)).await;
    assert_eq!((long.status, long.code()), (400, "MalformedPolicy"));
    assert!(long.text().contains("20480"), "{}", long.text());
}

const GET: (&str, &str) = ("GET", "/bucket/key");
const MOVED: &[(&str, &str)] =
    &[("referer", "https://example.com/page"), ("user-agent", "probe/1"), ("x-forwarded-for", "203.0.113.9")];

/// What is allowed to the other account under which condition, what it sends, and what it is answered.
type Conditional =
    (&'static str, &'static str, (&'static str, &'static str), &'static [(&'static str, &'static str)], u16);

static CONDITIONS: &[Conditional] = &[
    ("s3:GetObject", r#""IpAddress":{"aws:SourceIp":"127.0.0.0/8"}"#, GET, MOVED, 200),
    ("s3:GetObject", r#""IpAddress":{"aws:SourceIp":"203.0.113.0/24"}"#, GET, MOVED, 403),
    ("s3:GetObject", r#""StringLike":{"aws:Referer":"https://example.com/*"}"#, GET, MOVED, 200),
    ("s3:GetObject", r#""StringLike":{"aws:Referer":"https://example.com/*"}"#, GET, &[], 403),
    ("s3:GetObject", r#""StringEquals":{"aws:UserAgent":"probe/1"}"#, GET, MOVED, 200),
    ("s3:GetObject", r#""Bool":{"aws:SecureTransport":"true"}"#, GET, &[], 403),
    ("s3:GetObject", r#""Bool":{"aws:SecureTransport":"false"}"#, GET, &[], 200),
    ("s3:GetObject", r#""Null":{"s3:TlsVersion":"true"}"#, GET, &[], 200),
    ("s3:GetObject", r#""DateLessThan":{"aws:CurrentTime":"2100-01-01T00:00:00Z"}"#, GET, &[], 200),
    ("s3:GetObject", r#""DateGreaterThan":{"aws:CurrentTime":"2100-01-01T00:00:00Z"}"#, GET, &[], 403),
    (
        "s3:GetObject",
        r#""StringEquals":{"aws:PrincipalArn":"arn:aws:iam::444455556666:root"}"#,
        GET,
        &[],
        200,
    ),
    (
        "s3:GetObject",
        r#""StringEquals":{"aws:PrincipalAccount":"444455556666","aws:PrincipalType":"Account"}"#,
        GET,
        &[],
        200,
    ),
    ("s3:GetObject", r#""StringEquals":{"aws:PrincipalAccount":"111122223333"}"#, GET, &[], 403),
    ("s3:GetObject", r#""Null":{"aws:username":"true"}"#, GET, &[], 200),
    (
        "s3:GetObject",
        r#""StringEquals":{"s3:authType":"REST-HEADER","s3:signatureversion":"AWS4-HMAC-SHA256"}"#,
        GET,
        &[],
        200,
    ),
    ("s3:GetObject", r#""StringEquals":{"s3:ResourceAccount":"111122223333"}"#, GET, &[], 200),
    (
        "s3:GetObject",
        r#""StringEquals":{"s3:ExistingObjectTag/class":"public"}"#,
        ("GET", "/bucket/tagged"),
        &[],
        200,
    ),
    ("s3:GetObject", r#""StringEquals":{"s3:ExistingObjectTag/class":"public"}"#, GET, &[], 403),
    // What an operation doesn't have, no header gives it.
    ("s3:*Object", r#""StringEquals":{"s3:x-amz-acl":"private"}"#, GET, &[("x-amz-acl", "private")], 403),
    (
        "s3:ListBucket",
        r#""StringEquals":{"s3:prefix":"a/"}"#,
        ("GET", "/bucket?list-type=2&prefix=a/"),
        &[],
        200,
    ),
    ("s3:ListBucket", r#""StringEquals":{"s3:prefix":"a/"}"#, ("GET", "/bucket?list-type=2"), &[], 403),
    ("s3:ListBucket", r#""StringEquals":{"s3:delimiter":"/"}"#, ("GET", "/bucket?delimiter=/"), &[], 200),
    (
        "s3:ListBucket",
        r#""NumericLessThanEquals":{"s3:max-keys":"10"}"#,
        ("GET", "/bucket?max-keys=10"),
        &[],
        200,
    ),
    (
        "s3:ListBucket",
        r#""NumericLessThanEquals":{"s3:max-keys":"10"}"#,
        ("GET", "/bucket?max-keys=11"),
        &[],
        403,
    ),
    (
        "s3:PutObject",
        r#""StringEquals":{"s3:x-amz-storage-class":"STANDARD_IA"}"#,
        ("PUT", "/bucket/n"),
        &[("x-amz-storage-class", "STANDARD_IA")],
        200,
    ),
    (
        "s3:PutObject",
        r#""StringEquals":{"s3:x-amz-storage-class":"STANDARD_IA"}"#,
        ("PUT", "/bucket/n"),
        &[],
        403,
    ),
    (
        "s3:PutObject",
        r#""StringEquals":{"s3:x-amz-server-side-encryption":"AES256"}"#,
        ("PUT", "/bucket/n"),
        &[("x-amz-server-side-encryption", "AES256")],
        200,
    ),
    (
        "s3:PutObject",
        r#""StringEquals":{"s3:x-amz-acl":"bucket-owner-full-control"}"#,
        ("PUT", "/bucket/n"),
        &[("x-amz-acl", "bucket-owner-full-control")],
        200,
    ),
    (
        "s3:PutObject*",
        r#""StringEquals":{"s3:RequestObjectTag/a":"b"},"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["a","c"]}"#,
        ("PUT", "/bucket/n"),
        &[("x-amz-tagging", "a=b&c=d")],
        200,
    ),
    (
        "s3:PutObject*",
        r#""ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["a"]}"#,
        ("PUT", "/bucket/n"),
        &[("x-amz-tagging", "a=b&c=d")],
        403,
    ),
];

#[tokio::test]
async fn conditions_find_what_the_request_and_the_connection_say() {
    let mut case = Case::new().await;
    case.put("/bucket/key", &[]).await;
    case.put("/bucket/tagged", &[("x-amz-tagging", "class=public")]).await;
    for (action, condition, (method, path), headers, status) in CONDITIONS {
        case.policy(&allow(OTHER_ACCOUNT, action, condition)).await;
        let found = case.with(Who::Other, method, path, headers).await;
        assert_eq!(found, *status, "{condition} {method} {path} {headers:?}");
    }
}

#[tokio::test]
async fn versions_and_sources_want_actions_of_their_own() {
    let mut case = Case::new().await;
    let enable = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    assert_eq!(case.ask(Who::Root, ("PUT", "/bucket?versioning"), &[], enable).await.status, 200);
    let put = case.ask(Who::Root, ("PUT", "/bucket/key"), &[("x-amz-tagging", "a=b")], "body").await;
    let version = put.header("x-amz-version-id").unwrap().to_owned();
    let of_version = format!("/bucket/key?versionId={version}");
    case.policy(&allow(OTHER_ACCOUNT, "s3:GetObject", "")).await;
    assert_eq!(case.status(Who::Other, "GET", "/bucket/key").await, 200);
    assert_eq!(case.status(Who::Other, "GET", &of_version).await, 403);
    let condition = format!(r#""StringEquals":{{"s3:VersionId":"{version}"}}"#);
    case.policy(&allow(OTHER_ACCOUNT, "s3:GetObjectVersion", &condition)).await;
    assert_eq!(case.status(Who::Other, "GET", "/bucket/key").await, 403);
    assert_eq!(case.status(Who::Other, "GET", &of_version).await, 200);
    assert_eq!(case.status(Who::Other, "GET", "/bucket/key?versionId=null").await, 403);
    // A copy reads its source as its reader would.
    assert_eq!(case.status(Who::Other, "PUT", "/theirs").await, 200);
    let source = [("x-amz-copy-source", "/bucket/key")];
    let source_version = format!("/bucket/key?versionId={version}");
    let versioned = [("x-amz-copy-source", source_version.as_str()), ("x-amz-tagging-directive", "REPLACE")];
    assert_eq!(case.with(Who::Other, "PUT", "/theirs/copy", &source).await, 403);
    assert_eq!(case.with(Who::Other, "PUT", "/theirs/copy", &versioned).await, 200);
    case.policy(&allow(OTHER_ACCOUNT, "s3:GetObject", "")).await;
    assert_eq!(case.with(Who::Other, "PUT", "/theirs/copy", &versioned).await, 403);
    assert_eq!(case.with(Who::Other, "PUT", "/theirs/copy", &source).await, 403, "its tags may not be read");
    case.policy(&allow(OTHER_ACCOUNT, "s3:GetObject*", "")).await;
    assert_eq!(case.with(Who::Other, "PUT", "/theirs/copy", &source).await, 200);
    let begun = case.ask(Who::Other, ("POST", "/theirs/up?uploads"), &[], "").await;
    let upload = begun.text().split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0.to_owned();
    let part = format!("/theirs/up?partNumber=1&uploadId={upload}");
    assert_eq!(case.with(Who::Other, "PUT", &part, &source).await, 200);
    case.policy(&deny("s3:GetObject", "")).await;
    for (who, path) in
        [(Who::Other, part.as_str()), (Who::Other, "/theirs/copy"), (Who::Root, "/bucket/copy")]
    {
        assert_eq!(case.with(who, "PUT", path, &source).await, 403, "no right to the source: {who:?} {path}");
    }
}

#[tokio::test]
async fn what_a_request_does_besides_is_asked_for_too() {
    let mut case = Case::new().await;
    let both = |action: &str| format!("{},{}", allow(OTHER_ACCOUNT, "s3:PutObject", ""), deny(action, ""));
    for (action, header) in [
        ("s3:PutObjectTagging", ("x-amz-tagging", "a=b")),
        ("s3:PutObjectAcl", ("x-amz-acl", "bucket-owner-full-control")),
    ] {
        case.policy(&both(action)).await;
        for who in [Who::Root, Who::Other] {
            assert_eq!(case.with(who, "PUT", "/bucket/key", &[header]).await, 403, "{action} {who:?}");
            assert_eq!(
                case.with(who, "POST", "/bucket/key?uploads", &[header]).await,
                403,
                "{action} {who:?}"
            );
            assert_eq!(case.status(who, "PUT", "/bucket/key").await, 200);
        }
    }
    // Tags need a right of their own, and their body is compared with conditions.
    case.policy(&allow(OTHER_ACCOUNT, "s3:PutObject", "")).await;
    assert_eq!(case.with(Who::Other, "PUT", "/bucket/key", &[("x-amz-tagging", "a=b")]).await, 403);
    let condition = r#""StringEquals":{"s3:RequestObjectTag/a":"b"},"StringNotEquals":{"s3:ExistingObjectTag/state":"final"}"#;
    case.policy(&allow(OTHER_ACCOUNT, "s3:PutObjectTagging", condition)).await;
    let tags = |name: &str, value: &str| {
        format!("<Tagging><TagSet><Tag><Key>{name}</Key><Value>{value}</Value></Tag></TagSet></Tagging>")
    };
    let tagging = ("PUT", "/bucket/key?tagging");
    assert_eq!(case.ask(Who::Other, tagging, &[], &tags("a", "c")).await.status, 403);
    assert_eq!(case.ask(Who::Other, tagging, &[], &tags("a", "b")).await.status, 200);
    assert_eq!(case.ask(Who::Root, tagging, &[], &tags("state", "final")).await.status, 200);
    assert_eq!(case.ask(Who::Other, tagging, &[], &tags("a", "b")).await.status, 403);
}

#[tokio::test]
async fn of_many_keys_each_is_deleted_by_its_own_right() {
    let mut case = Case::new().await;
    for key in ["open/a", "open/b", "shut/c"] {
        case.put(&format!("/bucket/{key}"), &[]).await;
    }
    let open = allow(OTHER_ACCOUNT, "s3:DeleteObject", "").replace("bucket/*", "bucket/open/*");
    case.policy(&open).await;
    let keys =
        ["open/a", "shut/c", "open/b"].map(|key| format!("<Object><Key>{key}</Key></Object>")).concat();
    let answer =
        case.ask(Who::Other, ("POST", "/bucket?delete"), &[], &format!("<Delete>{keys}</Delete>")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text().matches("<Deleted>").count(), 2, "{}", answer.text());
    assert!(answer.text().contains("<Key>shut/c</Key><Code>AccessDenied</Code>"), "{}", answer.text());
    assert_eq!(case.status(Who::Root, "HEAD", "/bucket/shut/c").await, 200);
    assert_eq!(case.status(Who::Root, "HEAD", "/bucket/open/a").await, 404);
}

#[tokio::test]
async fn an_absent_key_is_told_to_whoever_may_list_it() {
    let mut case = Case::new().await;
    let get = allow("*", "s3:GetObject", "");
    case.policy(&get).await;
    assert_eq!(case.status(Who::Nobody, "GET", "/bucket/none").await, 403);
    let lists = allow("*", "s3:ListBucket", r#""StringLike":{"s3:prefix":"open/*"}"#);
    case.policy(&format!("{get},{lists}")).await;
    assert_eq!(case.status(Who::Nobody, "GET", "/bucket/open/none").await, 404);
    assert_eq!(case.status(Who::Nobody, "GET", "/bucket/shut/none").await, 403);
    case.policy(&format!("{lists},{}", deny("s3:GetObject", ""))).await;
    assert_eq!(
        case.status(Who::Nobody, "GET", "/bucket/open/none").await,
        403,
        "who is forbidden learns nothing"
    );
    assert_eq!(case.status(Who::Root, "GET", "/bucket/none").await, 403);
}

#[tokio::test]
async fn the_root_of_the_account_always_gets_at_the_policy() {
    let mut case = Case::new().await;
    case.put("/bucket/key", &[]).await;
    let all = statement("Deny", "*", ("Action", "s3:*"), "");
    case.policy(&all).await;
    assert_eq!(case.status(Who::Root, "GET", "/bucket/key").await, 403);
    assert_eq!(case.status(Who::Root, "GET", "/bucket").await, 403);
    assert_eq!(case.status(Who::Root, "DELETE", "/bucket").await, 403);
    assert_eq!(case.status(Who::Root, "GET", "/bucket?policy").await, 200);
    case.policy(&all).await;
    assert_eq!(case.status(Who::Other, "DELETE", "/bucket?policy").await, 403);
    assert_eq!(case.status(Who::Root, "DELETE", "/bucket?policy").await, 204);
    assert_eq!(case.status(Who::Root, "GET", "/bucket/key").await, 200);
}

#[tokio::test]
async fn the_block_of_public_access_holds_for_policies() {
    let mut case = Case::new().await;
    case.put("/bucket/key", &[]).await;
    let block = |name: &str| {
        format!("<PublicAccessBlockConfiguration><{name}>true</{name}></PublicAccessBlockConfiguration>")
    };
    let public = format!("{},{}", allow("*", "s3:GetObject", ""), allow(OTHER_ACCOUNT, "s3:PutObject", ""));
    let set = |name| (("PUT", "/bucket?publicAccessBlock"), block(name));
    let (request, document) = set("BlockPublicPolicy");
    assert_eq!(case.ask(Who::Root, request, &[], &document).await.status, 200);
    let refused = case.set("bucket", &public).await;
    assert_eq!((refused.status, refused.code()), (403, "AccessDenied"));
    case.policy(&allow(OTHER_ACCOUNT, "s3:GetObject", "")).await;
    case.policy(&allow("*", "s3:GetObject", r#""IpAddress":{"aws:SourceIp":"127.0.0.0/8"}"#)).await;
    let status = case.ask(Who::Root, ("GET", "/bucket?policyStatus"), &[], "").await;
    assert!(status.text().contains("<IsPublic>false</IsPublic>"));
    assert_eq!(case.status(Who::Root, "DELETE", "/bucket?publicAccessBlock").await, 204);
    case.policy(&public).await;
    assert_eq!(case.status(Who::Nobody, "GET", "/bucket/key").await, 200);
    let (request, document) = set("RestrictPublicBuckets");
    assert_eq!(case.ask(Who::Root, request, &[], &document).await.status, 200);
    assert_eq!(case.status(Who::Nobody, "GET", "/bucket/key").await, 403);
    assert_eq!(case.status(Who::Other, "PUT", "/bucket/new").await, 403, "whom the policy names, too");
    assert_eq!(case.status(Who::Root, "GET", "/bucket/key").await, 200);
    case.policy(&allow(OTHER_ACCOUNT, "s3:PutObject", "")).await;
    assert_eq!(case.status(Who::Other, "PUT", "/bucket/new").await, 200, "no longer public");
}

#[tokio::test]
async fn an_upload_in_parts_goes_by_the_policy() {
    let mut case = Case::new().await;
    let object = allow(OTHER_ACCOUNT, "s3:PutObject", "");
    case.policy(&object).await;
    let begun = case.ask(Who::Other, ("POST", "/bucket/up?uploads"), &[], "").await;
    let upload = begun.text().split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0.to_owned();
    let part = format!("/bucket/up?partNumber=1&uploadId={upload}");
    let whole = format!("/bucket/up?uploadId={upload}");
    assert_eq!(case.ask(Who::Other, ("PUT", &part), &[], "body").await.status, 200);
    assert_eq!(case.status(Who::Other, "GET", &whole).await, 200, "its initiator");
    assert_eq!(case.status(Who::Nobody, "GET", &whole).await, 403);
    case.policy(&format!("{object},{}", deny("s3:ListMultipartUploadParts", ""))).await;
    assert_eq!(case.status(Who::Other, "GET", &whole).await, 403);
    assert_eq!(case.status(Who::Root, "GET", &whole).await, 403);
    case.policy(&allow("*", "s3:ListMultipartUploadParts", "")).await;
    assert_eq!(case.status(Who::Nobody, "GET", &whole).await, 200);
    assert_eq!(
        case.ask(Who::Other, ("PUT", &part), &[], "body").await.status,
        403,
        "no right to write any more"
    );
    assert_eq!(case.status(Who::Other, "DELETE", &whole).await, 204, "but to take back");
}
