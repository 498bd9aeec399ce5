//! Every operation of the Glacier door, walked by its own table: denied by default, by a Deny of its action in the caller's policy and in the
//! vault's, and to another account; and let pass by an Allow of its action alone.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::iam_world::{Key, Post, give, says, signed, user};
use crate::world::{ACCOUNT, Answer, Client, OTHER_ACCESS_KEY, OTHER_SECRET_KEY, World};
use archive::retrieval::MediumKind;
use archive::vault::{MediumOptions, Vaults};
use engine::worker::Progress;
use std::sync::Arc;

/// An operation, as the door's table has it.
pub(crate) struct Row {
    pub(crate) action: String,
    method: &'static str,
    path: &'static str,
    query: Option<&'static str>,
}

impl Row {
    fn is_of_a_vault(&self) -> bool {
        self.path.starts_with("vaults/*")
    }
}

pub(crate) fn rows() -> Vec<Row> {
    let table = include_str!("../../src/glacier/table.rs");
    let row = |line: &'static str| {
        let (said, _run) = line.trim().split_once(" => ").filter(|(said, _)| said.starts_with('"'))?;
        let cells: Vec<&str> = said.split(", ").collect();
        let [name, method, path, query] = cells[..] else { return None };
        let query = query.strip_prefix("Some(\"").and_then(|rest| rest.split('"').next());
        Some(Row {
            action: format!("glacier:{}", name.trim_matches('"')),
            method: method.trim_matches('"'),
            path: path.trim_matches('"'),
            query,
        })
    };
    table.lines().filter_map(row).collect()
}

/// What no policy of a vault takes from the root of its account.
const ROOTS: [&str; 3] =
    ["glacier:SetVaultAccessPolicy", "glacier:GetVaultAccessPolicy", "glacier:DeleteVaultAccessPolicy"];

/// A world with a vault, and somebody who asks.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) client: Client,
    pub(crate) asker: Key,
    vaults: Arc<Vaults>,
    _making: tempfile::TempDir,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::on(None).await
    }

    /// With a medium of that kind, or with none: then what is deposited stays in the pool.
    pub(crate) async fn on(kind: Option<MediumKind>) -> Self {
        let world = World::new().await;
        let making = tempfile::tempdir().unwrap();
        let medium = |kind| {
            let path = making.path().join("medium");
            std::fs::create_dir(&path).unwrap();
            MediumOptions { label: "disk".parse().unwrap(), kind, path, capacity: None, write_once: false }
        };
        let media: Vec<MediumOptions> = kind.map(medium).into_iter().collect();
        let vaults = world.open_vaults_on(&making.path().join("making"), media).await;
        let mut client = world.connect().await;
        let asker = user(&world, &mut client, "asker").await;
        let mut scene = Self { world, client, asker, vaults, _making: making };
        let made = scene.send(&Key::root(), "PUT", "/-/vaults/v", b"").await;
        assert_eq!(made.status, 201, "{}", made.text());
        scene
    }

    pub(crate) async fn send(&mut self, key: &Key, method: &str, path: &str, body: &[u8]) -> Answer {
        self.send_with(key, (method, path), None, body).await
    }

    /// The same with one more header.
    pub(crate) async fn send_with(
        &mut self,
        key: &Key,
        (method, path): (&str, &str),
        header: Option<(&str, &str)>,
        body: &[u8],
    ) -> Answer {
        let post = Post { service: "glacier", method, path, content_type: "", header, ..Post::default() };
        self.client.send(&signed(&self.world, key, post, body)).await;
        self.client.answer().await.unwrap()
    }

    /// Runs the vaults' workers until none has anything to do.
    pub(crate) async fn settle(&self) {
        for mut worker in self.vaults.workers() {
            while let Progress::More { .. } = worker.tick().await.unwrap() {}
        }
    }

    /// The id of a new archive.
    pub(crate) async fn archive(&mut self, bytes: &[u8]) -> String {
        let mut hasher = archive::tree_hash::TreeHasher::new();
        hasher.update(bytes);
        let hash = hasher.finish().to_string();
        let header = Some(("x-amz-sha256-tree-hash", hash.as_str()));
        let made = self.send_with(&Key::root(), ("POST", "/-/vaults/v/archives"), header, bytes).await;
        assert_eq!(made.status, 201, "{}", made.text());
        made.header("x-amz-archive-id").unwrap().to_owned()
    }

    /// Asks for the operation of a row, of that account.
    pub(crate) async fn asks(&mut self, key: &Key, row: &Row, account: &str) -> Answer {
        let id = "00112233445566778899aabbccddeeff";
        let path = row.path.replacen('*', "v", 1).replace('*', id);
        let query = row.query.map(|query| format!("?operation={query}")).unwrap_or_default();
        self.send(key, row.method, &format!("/{account}/{path}{query}"), b"").await
    }

    pub(crate) async fn give(&mut self, statements: &str) {
        give(&self.world, &mut self.client, "asker", statements).await;
    }

    /// The policy of the vault.
    pub(crate) async fn set(&mut self, policy: &str) {
        let body = serde_json::json!({ "Policy": policy }).to_string();
        let set = self.send(&Key::root(), "PUT", "/-/vaults/v/access-policy", body.as_bytes()).await;
        assert_eq!(set.status, 204, "{}", set.text());
    }
}

fn is_refused(answer: &Answer) -> bool {
    answer.text().contains("AccessDeniedException") && answer.text().contains("is not authorized to perform")
}

fn refused(answer: &Answer, row: &Row, how: &str) {
    assert_eq!(answer.status, 403, "{} {how}: {}", row.action, answer.text());
    assert!(is_refused(answer) && answer.text().contains(&row.action), "{how}: {}", answer.text());
}

#[tokio::test]
async fn every_operation_of_vaults_is_denied_by_default_and_by_its_deny_and_let_pass_by_its_allow() {
    let rows = rows();
    assert_eq!(rows.len(), 33);
    let mut scene = Scene::new().await;
    let asker = scene.asker.clone();
    for row in &rows {
        scene.give(&says("Allow", "\"s3:*\"")).await;
        let answer = scene.asks(&asker, row, "-").await;
        refused(&answer, row, "by default");
        let because = format!("because no identity-based policy allows the {} action", row.action);
        assert!(answer.text().contains(&because), "{}", answer.text());
        scene
            .give(&format!("{},{}", says("Allow", "\"*\""), says("Deny", &format!("\"{}\"", row.action))))
            .await;
        let answer = scene.asks(&asker, row, ACCOUNT).await;
        refused(&answer, row, "by a Deny");
        let because = "with an explicit deny in an identity-based policy";
        assert!(answer.text().contains(because), "{}", answer.text());
        scene.give(&format!(r#"{{"Effect":"Allow","NotAction":"{}","Resource":"*"}}"#, row.action)).await;
        refused(&scene.asks(&asker, row, "-").await, row, "by an Allow of everything else");
    }
    for row in &rows {
        // What it does may take away what the next one is about.
        let mut scene = Scene::new().await;
        let asker = scene.asker.clone();
        scene.give(&says("Allow", &format!("\"{}\"", row.action))).await;
        let answer = scene.asks(&asker, row, "-").await;
        assert!(!is_refused(&answer), "{}: {}", row.action, answer.text());
        assert!(answer.status < 500, "{}: {} {}", row.action, answer.status, answer.text());
    }
}

#[tokio::test]
async fn every_operation_of_a_vault_is_denied_by_its_policy_and_to_another_account() {
    let mut scene = Scene::new().await;
    let (asker, root) = (scene.asker.clone(), Key::root());
    let other = Key { id: OTHER_ACCESS_KEY.to_owned(), secret: OTHER_SECRET_KEY.to_owned(), token: None };
    scene.give(&says("Allow", "\"*\"")).await;
    let arn = format!("arn:aws:glacier:us-east-1:{ACCOUNT}:vaults/v");
    for row in rows() {
        refused(&scene.asks(&other, &row, ACCOUNT).await, &row, "to another account");
        if !row.is_of_a_vault() {
            continue;
        }
        scene
            .set(&format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"s","Effect":"Deny","Principal":"*","Action":"{}","Resource":"{arn}"}}]}}"#,
                row.action
            ))
            .await;
        let answer = scene.asks(&asker, &row, "-").await;
        refused(&answer, &row, "by the vault's policy");
        let because = "with an explicit deny in a resource-based policy";
        assert!(answer.text().contains(because), "{}", answer.text());
        if !ROOTS.contains(&row.action.as_str()) {
            refused(&scene.asks(&root, &row, "-").await, &row, "to root by the vault's policy");
        }
    }
}
