//! Users, roles and sessions through both kinds of doors: what a key of theirs may at S3, and when it ends.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::iam_world::{Key, Post, ask, document, element, give, iam, says, signed, sts, user};
use crate::world::{ACCOUNT, Answer, Client, World, call};
use std::time::Duration;

/// A request to S3 with anybody's key.
async fn s3(
    world: &World,
    client: &mut Client,
    key: &Key,
    (method, path): (&str, &str),
    body: &[u8],
) -> Answer {
    let post = Post { service: "s3", method, path, content_type: "", ..Post::default() };
    client.send(&signed(world, key, post, body)).await;
    client.answer().await.unwrap()
}

async fn bucket(world: &World, client: &mut Client) {
    assert_eq!(call(world, client, ("PUT", "/bucket"), &[], b"").await.status, 200);
    assert_eq!(call(world, client, ("PUT", "/bucket/a"), &[], b"x").await.status, 200);
}

#[tokio::test]
async fn a_user_may_at_s3_what_its_policies_say_from_the_next_request_on() {
    let world = World::new().await;
    let mut client = world.connect().await;
    bucket(&world, &mut client).await;
    let alice = user(&world, &mut client, "alice").await;
    let get = async |client: &mut Client| s3(&world, client, &alice, ("GET", "/bucket/a"), b"").await.status;
    assert_eq!(get(&mut client).await, 403, "nothing is allowed");
    give(&world, &mut client, "alice", &says("Allow", "\"s3:GetObject\"")).await;
    assert_eq!(get(&mut client).await, 200);
    assert_eq!(s3(&world, &mut client, &alice, ("PUT", "/bucket/b"), b"y").await.status, 403);
    assert_eq!(s3(&world, &mut client, &alice, ("DELETE", "/bucket/a"), b"").await.status, 403);
    assert_eq!(s3(&world, &mut client, &alice, ("GET", "/"), b"").await.status, 403);
    give(
        &world,
        &mut client,
        "alice",
        &format!("{},{}", says("Allow", "\"s3:*\""), says("Deny", "\"s3:GetObject\"")),
    )
    .await;
    assert_eq!(get(&mut client).await, 403, "a Deny goes before");
    assert_eq!(s3(&world, &mut client, &alice, ("GET", "/"), b"").await.status, 200);

    // A group's policy is its members'; an attached one is as good as an inline one.
    let root = Key::root();
    iam(&world, &mut client, &root, "DeleteUserPolicy", &[("UserName", "alice"), ("PolicyName", "given")])
        .await;
    let text = document(&says("Allow", "\"s3:Get*\""));
    iam(&world, &mut client, &root, "CreatePolicy", &[("PolicyName", "reads"), ("PolicyDocument", &text)])
        .await;
    iam(&world, &mut client, &root, "CreateGroup", &[("GroupName", "readers")]).await;
    let arn = format!("arn:aws:iam::{ACCOUNT}:policy/reads");
    iam(&world, &mut client, &root, "AttachGroupPolicy", &[("GroupName", "readers"), ("PolicyArn", &arn)])
        .await;
    assert_eq!(get(&mut client).await, 403);
    iam(&world, &mut client, &root, "AddUserToGroup", &[("GroupName", "readers"), ("UserName", "alice")])
        .await;
    assert_eq!(get(&mut client).await, 200);

    // A key that is not active signs nothing, and one that is gone is none.
    let named = [("UserName", "alice"), ("AccessKeyId", alice.id.as_str())];
    iam(&world, &mut client, &root, "UpdateAccessKey", &[&named[..], &[("Status", "Inactive")]].concat())
        .await;
    assert_eq!(s3(&world, &mut client, &alice, ("GET", "/bucket/a"), b"").await.code(), "InvalidAccessKeyId");
    let answer = ask(&world, &mut client, &alice, ("sts", "GetCallerIdentity"), &[]).await;
    assert_eq!((answer.status, answer.code()), (403, "InvalidClientTokenId"));
    iam(&world, &mut client, &root, "UpdateAccessKey", &[&named[..], &[("Status", "Active")]].concat()).await;
    assert_eq!(get(&mut client).await, 200);
    iam(&world, &mut client, &root, "DeleteAccessKey", &named).await;
    assert_eq!(get(&mut client).await, 403);
}

#[tokio::test]
async fn an_upload_is_its_initiators_and_of_its_users_whom_policies_let() {
    let world = World::new().await;
    let mut client = world.connect().await;
    bucket(&world, &mut client).await;
    let alice = user(&world, &mut client, "alice").await;
    let begun = call(&world, &mut client, ("POST", "/bucket/k?uploads"), &[], b"").await;
    let path = format!("/bucket/k?uploadId={}", element(begun.text(), "UploadId").unwrap());
    let abort = async |client: &mut Client| s3(&world, client, &alice, ("DELETE", &path), b"").await.status;
    assert_eq!(abort(&mut client).await, 403, "it is of her account, and nothing lets her");
    give(&world, &mut client, "alice", &says("Allow", "\"s3:PutObject\"")).await;
    let part = format!("{path}&partNumber=1");
    assert_eq!(s3(&world, &mut client, &alice, ("PUT", &part), b"x").await.status, 200);
    assert_eq!(s3(&world, &mut client, &alice, ("GET", &path), b"").await.status, 403);
    assert_eq!(abort(&mut client).await, 403);
    give(&world, &mut client, "alice", &says("Allow", "\"s3:AbortMultipartUpload\"")).await;
    assert_eq!(abort(&mut client).await, 204);
}

#[tokio::test]
async fn who_may_write_may_not_therefore_share() {
    let world = World::owned_by(objectstore::ObjectOwnership::ObjectWriter).await;
    let mut client = world.connect().await;
    bucket(&world, &mut client).await;
    let alice = user(&world, &mut client, "alice").await;
    give(&world, &mut client, "alice", &says("Allow", r#"["s3:PutObject","s3:CreateBucket"]"#)).await;
    let put = async |client: &mut Client, path: &str, header: (&str, &str)| {
        let post = Post {
            service: "s3",
            method: "PUT",
            path,
            content_type: "",
            header: Some(header),
            ..Post::default()
        };
        client.send(&signed(&world, &alice, post, b"")).await;
        client.answer().await.unwrap().status
    };
    let (public, read) = (
        ("x-amz-acl", "public-read"),
        ("x-amz-grant-read", "uri=\"http://acs.amazonaws.com/groups/global/AllUsers\""),
    );
    let owner = ("x-amz-object-ownership", "ObjectWriter");
    assert_eq!(put(&mut client, "/bucket/plain", ("x-amz-meta-a", "b")).await, 200);
    assert_eq!(put(&mut client, "/bucket/public", public).await, 403);
    assert_eq!(put(&mut client, "/bucket/granted", read).await, 403);
    assert_eq!(put(&mut client, "/public", public).await, 403);
    assert_eq!(put(&mut client, "/owned", owner).await, 403);
    assert_eq!(put(&mut client, "/plain", ("x-amz-meta-a", "b")).await, 200);
    let all = r#"["s3:PutObject","s3:CreateBucket","s3:PutObjectAcl","s3:PutBucketAcl","s3:PutBucketOwnershipControls"]"#;
    give(&world, &mut client, "alice", &says("Allow", all)).await;
    assert_eq!(put(&mut client, "/bucket/public", public).await, 200);
    assert_eq!(put(&mut client, "/public", public).await, 200);
    assert_eq!(put(&mut client, "/owned", owner).await, 200);
}

#[tokio::test]
async fn a_guest_is_tagged_by_whom_may_tag_sessions() {
    let world = World::new().await;
    let mut client = world.connect().await;
    let alice = user(&world, &mut client, "alice").await;
    let asked = [("Name", "guest"), ("Tags.member.1.Key", "team"), ("Tags.member.1.Value", "admin")];
    give(&world, &mut client, "alice", &says("Allow", "\"sts:GetFederationToken\"")).await;
    sts(&world, &mut client, &alice, "GetFederationToken", &asked[..1]).await;
    let answer = ask(&world, &mut client, &alice, ("sts", "GetFederationToken"), &asked).await;
    assert_eq!((answer.status, answer.code()), (403, "AccessDenied"));
    assert!(answer.text().contains("sts:TagSession"), "{}", answer.text());
    let condition = r#"{"Effect":"Allow","Action":"sts:TagSession","Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/team":"lab"}}}"#;
    give(
        &world,
        &mut client,
        "alice",
        &format!("{},{condition}", says("Allow", "\"sts:GetFederationToken\"")),
    )
    .await;
    assert_eq!(ask(&world, &mut client, &alice, ("sts", "GetFederationToken"), &asked).await.status, 403);
    let asked = [asked[0], asked[1], ("Tags.member.1.Value", "lab")];
    sts(&world, &mut client, &alice, "GetFederationToken", &asked).await;
}

#[tokio::test]
async fn a_simulation_says_what_would_be_and_by_which_policy() {
    let world = World::new().await;
    let mut client = world.connect().await;
    user(&world, &mut client, "alice").await;
    give(
        &world,
        &mut client,
        "alice",
        &format!("{},{}", says("Allow", "\"s3:*\""), says("Deny", "\"s3:DeleteObject\"")),
    )
    .await;
    let arn = format!("arn:aws:iam::{ACCOUNT}:user/alice");
    let asked = [
        ("PolicySourceArn", arn.as_str()),
        ("ActionNames.member.1", "s3:GetObject"),
        ("ActionNames.member.2", "s3:DeleteObject"),
        ("ActionNames.member.3", "iam:ListUsers"),
        ("ResourceArns.member.1", "arn:aws:s3:::bucket/a"),
    ];
    let answer = iam(&world, &mut client, &Key::root(), "SimulatePrincipalPolicy", &asked).await;
    let decisions: Vec<&str> =
        answer.text().split("<EvalDecision>").skip(1).map(|rest| rest.split('<').next().unwrap()).collect();
    assert_eq!(decisions, ["allowed", "explicitDeny", "implicitDeny"]);
    assert!(answer.text().contains("<SourcePolicyType>user</SourcePolicyType>"), "{}", answer.text());
    // In pages, as listings are.
    let paged = [&asked[..], &[("MaxItems", "2")]].concat();
    let first = iam(&world, &mut client, &Key::root(), "SimulatePrincipalPolicy", &paged).await;
    let marker = element(first.text(), "Marker").unwrap().to_owned();
    let rest = [&paged[..], &[("Marker", marker.as_str())]].concat();
    let second = iam(&world, &mut client, &Key::root(), "SimulatePrincipalPolicy", &rest).await;
    assert_eq!(element(second.text(), "EvalDecision"), Some("implicitDeny"));
    assert_eq!(element(second.text(), "IsTruncated"), Some("false"));
    // Nobody is found by an ARN that is not theirs, and what would be passed over is refused.
    let moved = format!("arn:aws:iam::{ACCOUNT}:user/lab/alice");
    let other = [&[("PolicySourceArn", moved.as_str())], &asked[1..]].concat();
    let answer = ask(&world, &mut client, &Key::root(), ("iam", "SimulatePrincipalPolicy"), &other).await;
    assert_eq!((answer.status, answer.code()), (404, "NoSuchEntity"));
    let excluded = [&asked[..], &[("PolicyExclusionList.member.1.PolicyType", "inline")]].concat();
    let answer = ask(&world, &mut client, &Key::root(), ("iam", "SimulatePrincipalPolicy"), &excluded).await;
    assert_eq!((answer.status, answer.code()), (501, "NotImplemented"));
}

async fn role(world: &World, client: &mut Client, trusts: &str, allows: &str) -> String {
    let trust = document(&format!(
        r#"{{"Effect":"Allow","Principal":{{"AWS":"{trusts}"}},"Action":"sts:AssumeRole"}}"#
    ));
    let named = [("RoleName", "reader"), ("Path", "/deep/"), ("AssumeRolePolicyDocument", trust.as_str())];
    let made = iam(world, client, &Key::root(), "CreateRole", &named).await;
    let text = document(&says("Allow", allows));
    let given = [("RoleName", "reader"), ("PolicyName", "reads"), ("PolicyDocument", text.as_str())];
    iam(world, client, &Key::root(), "PutRolePolicy", &given).await;
    element(made.text(), "Arn").unwrap().to_owned()
}

#[tokio::test]
async fn a_roles_session_may_what_the_role_may_and_ends() {
    let world = World::new().await;
    let mut client = world.connect().await;
    bucket(&world, &mut client).await;
    let alice = user(&world, &mut client, "alice").await;
    let arn =
        role(&world, &mut client, &format!("arn:aws:iam::{ACCOUNT}:user/alice"), "\"s3:GetObject\"").await;
    let asked = [("RoleArn", arn.as_str()), ("RoleSessionName", "s1"), ("DurationSeconds", "900")];
    let answer = sts(&world, &mut client, &alice, "AssumeRole", &asked).await;
    let session_arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/reader/s1");
    assert_eq!(element(answer.text(), "Arn"), Some(session_arn.as_str()));
    let session = Key::of(&answer);
    assert!(session.id.starts_with("ASIA"));
    let who = sts(&world, &mut client, &session, "GetCallerIdentity", &[]).await;
    assert_eq!(element(who.text(), "Arn"), Some(session_arn.as_str()));
    assert!(element(who.text(), "UserId").unwrap().ends_with(":s1"));
    assert_eq!(s3(&world, &mut client, &session, ("GET", "/bucket/a"), b"").await.status, 200);
    assert_eq!(s3(&world, &mut client, &session, ("PUT", "/bucket/a"), b"y").await.status, 403);
    assert_eq!(s3(&world, &mut client, &alice, ("GET", "/bucket/a"), b"").await.status, 403, "she herself");

    // Without its token, or with another's, its key is nobody's.
    let bare = Key { token: None, ..session.clone() };
    assert_eq!(s3(&world, &mut client, &bare, ("GET", "/bucket/a"), b"").await.code(), "InvalidAccessKeyId");
    let other = Key::of(&sts(&world, &mut client, &alice, "AssumeRole", &asked).await);
    let mixed = Key { token: other.token.clone(), ..session.clone() };
    assert_eq!(s3(&world, &mut client, &mixed, ("GET", "/bucket/a"), b"").await.code(), "InvalidToken");

    world.clock.advance(Duration::from_secs(901));
    let mut client = world.connect().await;
    assert_eq!(s3(&world, &mut client, &session, ("GET", "/bucket/a"), b"").await.code(), "ExpiredToken");
    let answer = ask(&world, &mut client, &session, ("sts", "GetCallerIdentity"), &[]).await;
    assert_eq!((answer.status, answer.code()), (403, "ExpiredToken"));

    // A role that is gone has no sessions.
    let session = Key::of(&sts(&world, &mut client, &alice, "AssumeRole", &asked).await);
    let root = Key::root();
    iam(&world, &mut client, &root, "DeleteRolePolicy", &[("RoleName", "reader"), ("PolicyName", "reads")])
        .await;
    assert_eq!(s3(&world, &mut client, &session, ("GET", "/bucket/a"), b"").await.status, 403);
    iam(&world, &mut client, &root, "DeleteRole", &[("RoleName", "reader")]).await;
    assert_eq!(
        s3(&world, &mut client, &session, ("GET", "/bucket/a"), b"").await.code(),
        "InvalidAccessKeyId"
    );
}

#[tokio::test]
async fn who_may_assume_a_role_is_its_trust_policys_to_say() {
    let world = World::new().await;
    let mut client = world.connect().await;
    let (alice, bob) = (user(&world, &mut client, "alice").await, user(&world, &mut client, "bob").await);
    let statement = format!(
        r#"{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{ACCOUNT}:user/alice"}},"Action":"sts:AssumeRole",
        "Condition":{{"StringEquals":{{"sts:ExternalId":"42"}},"StringLike":{{"sts:RoleSessionName":"job-*"}},
        "Bool":{{"aws:SecureTransport":"false"}}}}}}"#
    );
    let named = [("RoleName", "job"), ("AssumeRolePolicyDocument", &document(&statement))];
    iam(&world, &mut client, &Key::root(), "CreateRole", &named).await;
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/job");
    for (who, id, session, status) in [
        (&alice, "42", "job-1", 200),
        (&alice, "43", "job-1", 403),
        (&alice, "42", "other", 403),
        (&bob, "42", "job-1", 403),
        (&Key::root(), "42", "job-1", 403),
    ] {
        let asked = [("RoleArn", arn.as_str()), ("RoleSessionName", session), ("ExternalId", id)];
        let answer = ask(&world, &mut client, who, ("sts", "AssumeRole"), &asked).await;
        assert_eq!(answer.status, status, "{id} {session}: {}", answer.text());
    }
    // Whether there is such a role is not told.
    let asked = [("RoleArn", "arn:aws:iam::111122223333:role/nobody"), ("RoleSessionName", "job-1")];
    let answer = ask(&world, &mut client, &bob, ("sts", "AssumeRole"), &asked).await;
    assert_eq!((answer.status, answer.code()), (403, "AccessDenied"));
}

#[tokio::test]
async fn sessions_of_users_and_guests_reach_no_identities() {
    let world = World::new().await;
    let mut client = world.connect().await;
    bucket(&world, &mut client).await;
    let alice = user(&world, &mut client, "alice").await;
    give(&world, &mut client, "alice", &says("Allow", "\"*\"")).await;
    let own = Key::of(&sts(&world, &mut client, &alice, "GetSessionToken", &[]).await);
    assert_eq!(s3(&world, &mut client, &own, ("GET", "/bucket/a"), b"").await.status, 200);
    for (service, operation) in
        [("iam", "ListUsers"), ("sts", "GetFederationToken"), ("sts", "GetSessionToken")]
    {
        let answer = ask(
            &world,
            &mut client,
            &own,
            (service, operation),
            &[("Name", "bob")][..usize::from(operation == "GetFederationToken")],
        )
        .await;
        assert_eq!((answer.status, answer.code()), (403, "AccessDenied"), "{operation}");
    }
    let text = document(&says("Allow", "\"s3:GetObject\""));
    let answer =
        sts(&world, &mut client, &alice, "GetFederationToken", &[("Name", "guest"), ("Policy", &text)]).await;
    assert_eq!(
        element(answer.text(), "Arn"),
        Some(format!("arn:aws:sts::{ACCOUNT}:federated-user/guest").as_str())
    );
    let guest = Key::of(&answer);
    assert_eq!(s3(&world, &mut client, &guest, ("GET", "/bucket/a"), b"").await.status, 200);
    assert_eq!(s3(&world, &mut client, &guest, ("PUT", "/bucket/a"), b"y").await.status, 403);
    let who = sts(&world, &mut client, &guest, "GetCallerIdentity", &[]).await;
    assert_eq!(element(who.text(), "UserId"), Some(format!("{ACCOUNT}:guest").as_str()));
    assert_eq!(
        ask(&world, &mut client, &guest, ("iam", "GetUser"), &[("UserName", "alice")]).await.status,
        403
    );
    let answer =
        ask(&world, &mut client, &alice, ("sts", "GetSessionToken"), &[("TokenCode", "123456")]).await;
    assert_eq!(
        (answer.status, answer.code()),
        (403, "AccessDenied"),
        "a code without its device is not passed over"
    );
}
