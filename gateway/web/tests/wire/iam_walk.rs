//! Every operation of IAM and STS, walked by the page that is made of their table: denied by default, by a Deny of its action, by a
//! boundary and by a session that leave it out; and let pass by an Allow of its action alone.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::iam_world::{Key, ask, document, element, give, iam, says, sts, user};
use crate::world::{ACCOUNT, Answer, Client, World};

/// An operation that is done, as the page has it.
pub(crate) struct Row {
    pub(crate) service: &'static str,
    pub(crate) name: &'static str,
    action: &'static str,
    parameters: &'static str,
}

pub(crate) fn rows() -> Vec<Row> {
    let page = include_str!("../../../../docs/iam-actions.md");
    let row = |line: &'static str| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let (name, action) = (cells.next()?, cells.next()?.trim_matches('`'));
        let (service, named) =
            action.split_once(':').filter(|(service, _)| ["iam", "sts"].contains(service))?;
        assert_eq!(named, name);
        Some(Row { service, name, action, parameters: cells.nth(4)? })
    };
    // Nobody signs these.
    page.lines()
        .filter_map(row)
        .filter(|row| !["FirnSignIn", "AssumeRoleWithWebIdentity"].contains(&row.name))
        .collect()
}

/// What an operation is asked with: of its own parameters those that it can't do without.
pub(crate) fn sample(row: &Row, key: &str) -> Vec<(&'static str, String)> {
    let policy = format!("arn:aws:iam::{ACCOUNT}:policy/spare");
    let trust = document(&format!(
        r#"{{"Effect":"Allow","Principal":{{"AWS":"{ACCOUNT}"}},"Action":"sts:AssumeRole"}}"#
    ));
    let all = [
        ("UserName", "target".to_owned()),
        ("GroupName", "group".to_owned()),
        ("RoleName", "role".to_owned()),
        ("PolicyArn", policy.clone()),
        ("PolicyName", "inline".to_owned()),
        (
            "PolicyDocument",
            if row.name == "UpdateAssumeRolePolicy" {
                trust.clone()
            } else {
                document(&says("Deny", "\"*\""))
            },
        ),
        ("AssumeRolePolicyDocument", trust),
        ("PermissionsBoundary", policy),
        ("Description", "d".to_owned()),
        ("VersionId", "v1".to_owned()),
        ("AccessKeyId", key.to_owned()),
        ("Status", "Inactive".to_owned()),
        ("AccountAlias", "an-alias".to_owned()),
        ("RoleArn", format!("arn:aws:iam::{ACCOUNT}:role/role")),
        ("RoleSessionName", "session".to_owned()),
        ("Name", "guest".to_owned()),
        ("PolicySourceArn", format!("arn:aws:iam::{ACCOUNT}:user/target")),
        ("Arn", format!("arn:aws:iam::{ACCOUNT}:user/target")),
        ("JobId", "00000000-0000-4000-8000-000000000000".to_owned()),
        ("OldPassword", "Correct-horse-1".to_owned()),
        ("NewPassword", "Battery-staple-2".to_owned()),
        ("SerialNumber", format!("arn:aws:iam::{ACCOUNT}:mfa/spare")),
        ("AuthenticationCode1", "123456".to_owned()),
        ("AuthenticationCode2", "654321".to_owned()),
        ("VirtualMFADeviceName", "another".to_owned()),
        ("Url", "https://another.test".to_owned()),
        ("OpenIDConnectProviderArn", format!("arn:aws:iam::{ACCOUNT}:oidc-provider/login.test/realms/ml")),
        ("ClientID", "client".to_owned()),
    ];
    // What stands within a parameter is none of its own.
    let mut depth = 0;
    let top = row.parameters.chars().filter(|c| {
        depth += i32::from(*c == '(') - i32::from(*c == ')');
        depth == 0
    });
    let top: String = top.collect();
    let wants = |name: &str| top.contains(&format!("`{name}` "));
    let mut sample: Vec<(&str, String)> = all.into_iter().filter(|(name, _)| wants(name)).collect();
    if wants("Tags") {
        sample.extend([("Tags.member.1.Key", "k".to_owned()), ("Tags.member.1.Value", "v".to_owned())]);
    }
    if wants("PolicyInputList") {
        sample.push(("PolicyInputList.member.1", document(&says("Allow", "\"s3:*\""))));
    }
    if wants("ThumbprintList") {
        sample.push(("ThumbprintList.member.1", "0".repeat(40)));
    }
    if wants("ActionNames") {
        sample.push(("ActionNames.member.1", "s3:GetObject".to_owned()));
    }
    if wants("TagKeys") {
        sample.push(("TagKeys.member.1", "k".to_owned()));
    }
    if row.name.starts_with("Create") {
        // Another than those that are there.
        for (name, value) in &mut sample {
            let renames = ["UserName", "GroupName", "RoleName", "PolicyName"].contains(name);
            if renames && row.name != "CreateAccessKey" {
                "another".clone_into(value);
            }
        }
    }
    sample
}

/// A world with something of everything, and somebody who asks.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) client: Client,
    pub(crate) asker: Key,
    pub(crate) target_key: String,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let world = World::new().await;
        let mut client = world.connect().await;
        let (c, root) = (&mut client, Key::root());
        let asker = user(&world, c, "asker").await;
        let target = user(&world, c, "target").await;
        let trust = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{{"AWS":"{ACCOUNT}"}},"Action":"sts:AssumeRole"}}}}"#
        );
        let nothing = document(&says("Deny", "\"*\""));
        iam(&world, c, &root, "CreateGroup", &[("GroupName", "group")]).await;
        iam(&world, c, &root, "CreateOpenIDConnectProvider", &[("Url", "https://login.test/realms/ml")])
            .await;
        iam(&world, c, &root, "CreateVirtualMFADevice", &[("VirtualMFADeviceName", "spare")]).await;
        iam(&world, c, &root, "CreateRole", &[("RoleName", "role"), ("AssumeRolePolicyDocument", &trust)])
            .await;
        iam(&world, c, &root, "CreatePolicy", &[("PolicyName", "spare"), ("PolicyDocument", &nothing)]).await;
        Self { world, client, asker, target_key: target.id }
    }

    pub(crate) async fn asks(&mut self, key: &Key, row: &Row) -> Answer {
        let sample = sample(row, &self.target_key);
        let sample: Vec<(&str, &str)> = sample.iter().map(|(name, value)| (*name, value.as_str())).collect();
        ask(&self.world, &mut self.client, key, (row.service, row.name), &sample).await
    }

    pub(crate) async fn give(&mut self, statements: &str) {
        give(&self.world, &mut self.client, "asker", statements).await;
    }
}

/// No policy is asked of these.
pub(crate) const ONESELF: [&str; 2] = ["GetCallerIdentity", "GetSessionToken"];

fn refused(answer: &Answer, row: &Row, how: &str) {
    assert_eq!(
        (answer.status, answer.code()),
        (403, "AccessDenied"),
        "{} {how}: {}",
        row.action,
        answer.text()
    );
    let message = element(answer.text(), "Message").unwrap();
    assert!(message.contains(row.action), "{message}");
}

#[tokio::test]
async fn every_operation_is_denied_by_default_and_by_its_deny_and_let_pass_by_its_allow() {
    let rows = rows();
    assert_eq!(rows.len(), 122);
    let mut scene = Scene::new().await;
    for row in &rows {
        let asker = scene.asker.clone();
        if ONESELF.contains(&row.name) {
            scene.give(&says("Deny", "\"*\"")).await;
            assert_eq!(scene.asks(&asker, row).await.status, 200, "{}", row.action);
            continue;
        }
        scene.give(&says("Allow", "\"s3:*\"")).await;
        refused(&scene.asks(&asker, row).await, row, "by default");
        let deny = format!("{},{}", says("Allow", "\"*\""), says("Deny", &format!("\"{}\"", row.action)));
        scene.give(&deny).await;
        let answer = scene.asks(&asker, row).await;
        refused(&answer, row, "by a Deny");
        // A trust policy's refusal does not say whose policy denies.
        assert!(answer.text().contains("explicit deny") || row.name == "AssumeRole", "{}", answer.text());
    }
    for row in rows.iter().filter(|row| !ONESELF.contains(&row.name)) {
        // What it does may take away what the next one is about.
        let mut scene = Scene::new().await;
        let asker = scene.asker.clone();
        scene.give(&says("Allow", &format!("\"{}\"", row.action))).await;
        let answer = scene.asks(&asker, row).await;
        assert!(answer.code() != "AccessDenied" && answer.status < 500, "{}: {}", row.action, answer.text());
    }
}

#[tokio::test]
async fn every_operation_is_denied_by_a_boundary_that_leaves_it_out() {
    let mut scene = Scene::new().await;
    let root = Key::root();
    for (at, row) in rows().iter().filter(|row| !ONESELF.contains(&row.name)).enumerate() {
        scene.give(&says("Allow", "\"*\"")).await;
        let but = format!(r#"{{"Effect":"Allow","NotAction":"{}","Resource":"*"}}"#, row.action);
        let (name, text) = (format!("bound-{at}"), document(&but));
        let parameters = [("PolicyName", name.as_str()), ("PolicyDocument", text.as_str())];
        iam(&scene.world, &mut scene.client, &root, "CreatePolicy", &parameters).await;
        let arn = format!("arn:aws:iam::{ACCOUNT}:policy/{name}");
        let parameters = [("UserName", "asker"), ("PermissionsBoundary", arn.as_str())];
        iam(&scene.world, &mut scene.client, &root, "PutUserPermissionsBoundary", &parameters).await;
        let asker = scene.asker.clone();
        refused(&scene.asks(&asker, row).await, row, "by a boundary");
    }
}

#[tokio::test]
async fn every_operation_is_denied_by_a_session_that_leaves_it_out() {
    let mut scene = Scene::new().await;
    let root = Key::root();
    let all = document(&says("Allow", "\"*\""));
    let given = [("RoleName", "role"), ("PolicyName", "all"), ("PolicyDocument", all.as_str())];
    iam(&scene.world, &mut scene.client, &root, "PutRolePolicy", &given).await;
    scene.give(&says("Allow", "\"*\"")).await;
    for row in rows().iter().filter(|row| !ONESELF.contains(&row.name)) {
        let but = document(&format!(r#"{{"Effect":"Allow","NotAction":"{}","Resource":"*"}}"#, row.action));
        let arn = format!("arn:aws:iam::{ACCOUNT}:role/role");
        let assumed = [("RoleArn", arn.as_str()), ("RoleSessionName", "bounded"), ("Policy", but.as_str())];
        let asker = scene.asker.clone();
        let session = Key::of(&sts(&scene.world, &mut scene.client, &asker, "AssumeRole", &assumed).await);
        refused_or_no_user(&scene.asks(&session, row).await, row);
    }
}

/// A session is no user: what asks for its own user has nobody to ask about.
fn refused_or_no_user(answer: &Answer, row: &Row) {
    let of_users = [
        "GetUser",
        "CreateAccessKey",
        "ListAccessKeys",
        "UpdateAccessKey",
        "DeleteAccessKey",
        "ChangePassword",
        "CreateLoginProfile",
        "DeleteLoginProfile",
        "GetLoginProfile",
        "DeactivateMFADevice",
        "GetMFADevice",
        "ListMFADevices",
        "ListSSHPublicKeys",
        "ListSigningCertificates",
        "ListServiceSpecificCredentials",
    ];
    if of_users.contains(&row.name) {
        assert_eq!((answer.status, answer.code()), (400, "ValidationError"), "{}", answer.text());
    } else {
        refused(answer, row, "by a session");
    }
}
