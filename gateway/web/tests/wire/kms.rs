//! KMS over the wire: the exercise, the walk of its table, and what a hand-written client may send.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::iam_world::{Key, Post, document, give, iam, says, signed, user};
use crate::world::{ACCOUNT, Answer, Client, World};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const JSON: &str = "application/x-amz-json-1.1";

fn post(target: &str) -> Post<'_> {
    Post { service: "kms", content_type: JSON, header: Some(("x-amz-target", target)), ..Post::default() }
}

pub(crate) async fn ask(
    world: &World,
    client: &mut Client,
    key: &Key,
    operation: &str,
    body: &Value,
) -> Answer {
    let target = format!("TrentService.{operation}");
    client.send(&signed(world, key, post(&target), body.to_string().as_bytes())).await;
    client.answer().await.unwrap()
}

fn code(answer: &Answer) -> String {
    let body: Value = serde_json::from_str(answer.text()).unwrap_or_default();
    body["__type"].as_str().unwrap_or_default().to_owned()
}

/// Asks for what has to be done.
pub(crate) async fn kms(
    world: &World,
    client: &mut Client,
    key: &Key,
    operation: &str,
    body: &Value,
) -> Value {
    let answer = ask(world, client, key, operation, body).await;
    assert_eq!(answer.status, 200, "{operation} {body}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some(JSON));
    assert_eq!(answer.header("x-amzn-requestid").map(str::len), Some(36));
    serde_json::from_str(answer.text()).unwrap_or_default()
}

pub(crate) async fn new_key(world: &World, client: &mut Client, policy: &str) -> String {
    let body = json!({ "Policy": policy, "BypassPolicyLockoutSafetyCheck": true });
    let made = kms(world, client, &Key::root(), "CreateKey", &body).await;
    made["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
}

pub(crate) fn tells(effect: &str, name: &str) -> String {
    let who = format!("arn:aws:iam::{ACCOUNT}:{name}");
    format!(r#"{{"Effect":"{effect}","Principal":{{"AWS":"{who}"}},"Action":"kms:*","Resource":"*"}}"#)
}

fn about(actions: &str, key: &str) -> String {
    format!(r#"{{"Effect":"Allow","Action":"{actions}","Resource":"{key}"}}"#)
}

#[tokio::test]
async fn the_exercise_of_three_keys_and_four_people_holds_in_all_cells() {
    let world = World::new().await;
    let mut client = world.connect().await;
    let c = &mut client;
    let names = ["alice", "bob", "charlie", "david"];
    let mut people = Vec::new();
    for name in names {
        people.push(user(&world, c, name).await);
    }
    let root = tells("Allow", "root");
    let a = new_key(&world, c, &document(&root)).await;
    let b = [tells("Allow", "user/bob"), tells("Allow", "user/charlie")].join(",");
    let b = new_key(&world, c, &document(&b)).await;
    let denies = ["bob", "charlie", "david"].map(|name| tells("Deny", &format!("user/{name}"))).join(",");
    let key_c = format!("{root},{},{denies}", tells("Allow", "user/alice"));
    let key_c = new_key(&world, c, &document(&key_c)).await;
    give(&world, c, "alice", &[about("kms:*", &a), about("kms:*", &b)].join(",")).await;
    give(&world, c, "charlie", &about("kms:Encrypt", &a)).await;
    give(&world, c, "david", &[about("kms:*", &b), about("kms:*", &key_c)].join(",")).await;
    let keys = [a, b, key_c];
    let mut sealed = Vec::new();
    for (key, who) in keys.iter().zip([0, 1, 0]) {
        let body = json!({ "KeyId": key, "Plaintext": STANDARD.encode("text") });
        sealed.push(kms(&world, c, &people[who], "Encrypt", &body).await["CiphertextBlob"].clone());
    }
    let expected = [
        [true, true, false, false, true, true],
        [false, false, true, true, false, false],
        [true, false, true, true, false, false],
        [false; 6],
    ];
    let mut cells = 0;
    for (person, row) in expected.iter().enumerate() {
        for (at, may) in row.iter().enumerate() {
            let (operation, body) = if at % 2 == 0 {
                ("Encrypt", json!({ "KeyId": keys[at / 2], "Plaintext": STANDARD.encode("text") }))
            } else {
                ("Decrypt", json!({ "CiphertextBlob": sealed[at / 2] }))
            };
            let answer = ask(&world, c, &people[person], operation, &body).await;
            let wanted = if *may { (200, "") } else { (400, "AccessDeniedException") };
            assert_eq!((answer.status, code(&answer).as_str()), wanted, "{} {operation} {at}", names[person]);
            cells += 1;
        }
    }
    assert_eq!(cells, 24);
}

/// An operation that is done, as the page has it.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    actions: Vec<&'static str>,
    parameters: &'static str,
}

pub(crate) fn rows() -> Vec<Row> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/kms-actions.md");
    let page: &'static str = std::fs::read_to_string(path).unwrap().leak();
    let row = |line: &'static str| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let (name, actions) = (cells.next()?, cells.next()?);
        let actions: Vec<&str> = actions.split(", ").map(|action| action.trim_matches('`')).collect();
        let is_row = actions.iter().all(|action| action.starts_with("kms:"));
        Some(Row { name, actions, parameters: cells.nth(2)? }).filter(|_| is_row)
    };
    page.lines().filter_map(row).collect()
}

/// A world with something of everything, and somebody who asks.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) client: Client,
    pub(crate) asker: Key,
    key: String,
    sealed: Value,
    grant: Value,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let world = World::new().await;
        let mut client = world.connect().await;
        let (c, root) = (&mut client, Key::root());
        let asker = user(&world, c, "asker").await;
        let key = new_key(&world, c, &document(&tells("Allow", "root"))).await;
        let body = json!({ "KeyId": key, "Plaintext": STANDARD.encode("text") });
        let sealed = kms(&world, c, &root, "Encrypt", &body).await["CiphertextBlob"].clone();
        let body = json!({ "AliasName": "alias/there", "TargetKeyId": key });
        kms(&world, c, &root, "CreateAlias", &body).await;
        let arn = format!("arn:aws:iam::{ACCOUNT}:root");
        let body = json!({
            "KeyId": key, "GranteePrincipal": arn, "RetiringPrincipal": arn, "Operations": ["Encrypt"],
        });
        let grant = kms(&world, c, &root, "CreateGrant", &body).await["GrantId"].clone();
        Self { world, client, asker, key, sealed, grant }
    }

    pub(crate) fn sample(&self, row: &Row) -> Value {
        let root = format!("arn:aws:iam::{ACCOUNT}:root");
        let text = json!(STANDARD.encode("text"));
        let all = [
            ("KeyId", json!(self.key)),
            ("TargetKeyId", json!(self.key)),
            ("DestinationKeyId", json!(self.key)),
            ("AliasName", json!(if row.name == "CreateAlias" { "alias/new" } else { "alias/there" })),
            ("Description", json!("d")),
            ("Tags", json!([{ "TagKey": "k", "TagValue": "v" }])),
            ("TagKeys", json!(["k"])),
            ("Plaintext", text.clone()),
            ("Message", text.clone()),
            ("Signature", text.clone()),
            ("Mac", text.clone()),
            ("PublicKey", text.clone()),
            ("ImportToken", text.clone()),
            ("EncryptedKeyMaterial", text),
            ("CiphertextBlob", self.sealed.clone()),
            ("KeyPairSpec", json!("ECC_NIST_P256")),
            ("SigningAlgorithm", json!("ECDSA_SHA_256")),
            ("MacAlgorithm", json!("HMAC_SHA_256")),
            ("KeyAgreementAlgorithm", json!("ECDH")),
            ("Operations", json!(["Encrypt"])),
            ("GranteePrincipal", json!(root)),
            ("RetiringPrincipal", json!(root)),
            ("GrantId", self.grant.clone()),
            ("Policy", json!(document(&tells("Allow", "root")))),
            ("WrappingAlgorithm", json!("RSAES_OAEP_SHA_256")),
            ("WrappingKeySpec", json!("RSA_2048")),
            ("ExpirationModel", json!("KEY_MATERIAL_DOES_NOT_EXPIRE")),
        ];
        // What stands within a parameter is none of its own.
        let mut depth = 0;
        let top: String = row
            .parameters
            .chars()
            .filter(|c| {
                depth += i32::from(*c == '(') - i32::from(*c == ')');
                depth == 0
            })
            .collect();
        let mut body = json!({});
        for (name, value) in all {
            if top.contains(&format!("`{name}`")) && !(row.name == "CreateKey" && name == "Policy") {
                body[name] = value;
            }
        }
        if top.contains("`NumberOfBytes`") {
            body["NumberOfBytes"] = json!(32);
        }
        if row.name == "ListGrants" {
            body = json!({ "KeyId": self.key });
        }
        body
    }

    pub(crate) async fn asks(&mut self, row: &Row) -> Answer {
        let (body, asker) = (self.sample(row), self.asker.clone());
        ask(&self.world, &mut self.client, &asker, row.name, &body).await
    }

    pub(crate) async fn give(&mut self, statements: &str) {
        give(&self.world, &mut self.client, "asker", statements).await;
    }
}

fn refused(answer: &Answer, action: &str, how: &str) {
    let text = answer.text();
    assert_eq!(
        (answer.status, code(answer).as_str()),
        (400, "AccessDeniedException"),
        "{action} {how}: {text}"
    );
    assert!(text.contains(action) && text.contains("asker"), "{text}");
}

#[tokio::test]
async fn every_operation_on_keys_is_denied_by_default_and_by_its_deny_and_let_pass_by_its_allow() {
    let rows = rows();
    assert_eq!(rows.len(), 45);
    let mut scene = Scene::new().await;
    for row in &rows {
        scene.give(&says("Allow", "\"s3:*\"")).await;
        refused(&scene.asks(row).await, row.actions[0], "by default");
        for action in &row.actions {
            let deny = format!("{},{}", says("Allow", "\"*\""), says("Deny", &format!("\"{action}\"")));
            scene.give(&deny).await;
            let answer = scene.asks(row).await;
            refused(&answer, action, "by a Deny");
            assert!(answer.text().contains("explicit deny"), "{}", answer.text());
        }
    }
    for row in &rows {
        // What it does may take away what the next one is about.
        let mut scene = Scene::new().await;
        let actions = serde_json::to_string(&row.actions).unwrap();
        scene.give(&says("Allow", &actions)).await;
        let answer = scene.asks(row).await;
        let code = code(&answer);
        // The lock-out check asks for more than its own action.
        let passes = code != "AccessDeniedException" && answer.status < 500;
        assert!(passes, "{}: {}", row.name, answer.text());
    }
}

#[tokio::test]
async fn a_request_is_refused_in_the_words_of_the_protocol() {
    let world = World::new().await;
    let mut client = world.connect().await;
    let c = &mut client;
    let root = Key::root();
    let body = b"{}";
    let list = "TrentService.ListKeys";
    let cases: [(&str, Post<'_>, &[u8], &str); 8] = [
        ("as it is", post(list), body, ""),
        ("another target", post("TrentService.Unheard"), body, "UnknownOperationException"),
        ("another service's", post("DynamoDB.ListKeys"), body, "UnknownOperationException"),
        ("no JSON", post(list), b"{", "SerializationException"),
        ("a member twice", post(list), br#"{"Limit":1,"Limit":2}"#, "SerializationException"),
        ("a member too many", post(list), br#"{"Unheard":1}"#, "ValidationException"),
        ("another path", Post { path: "/x", ..post(list) }, body, "UnknownOperationException"),
        ("not built", post("TrentService.ReplicateKey"), body, "UnsupportedOperationException"),
    ];
    for (what, how, body, wanted) in cases {
        c.send(&signed(&world, &root, how, body)).await;
        let answer = c.answer().await.unwrap();
        assert_eq!(code(&answer), wanted, "{what}: {}", answer.text());
        assert_eq!(answer.status == 200, wanted.is_empty(), "{what}");
    }
    let form = Post { content_type: "application/x-www-form-urlencoded", ..post(list) };
    c.send(&signed(&world, &root, form, body)).await;
    assert_eq!(c.answer().await.unwrap().status, 415);
    // Signed for another service, or a changed body.
    c.send(&signed(&world, &root, Post { service: "iam", ..post(list) }, body)).await;
    assert_eq!(c.answer().await.unwrap().status, 415, "that is IAM's, which speaks forms");
    let mut bytes = signed(&world, &root, post(list), b"{\"Limit\":1}");
    let at = bytes.len() - 2;
    bytes[at] = b'2';
    c.send(&bytes).await;
    assert_eq!(code(&c.answer().await.unwrap()), "InvalidSignatureException");
}

#[tokio::test]
async fn a_grant_is_walked_through_with_its_token_and_without() {
    let world = World::new().await;
    let mut client = world.connect().await;
    let c = &mut client;
    let root = Key::root();
    let (alice, bob) = (user(&world, c, "alice").await, user(&world, c, "bob").await);
    let key = new_key(&world, c, &document(&tells("Allow", "root"))).await;
    let plain = STANDARD.encode("text");
    let body = json!({ "KeyId": key, "Plaintext": plain });
    let sealed = kms(&world, c, &root, "Encrypt", &body).await["CiphertextBlob"].clone();
    let decrypt = json!({ "CiphertextBlob": sealed });
    assert_eq!(code(&ask(&world, c, &alice, "Decrypt", &decrypt).await), "AccessDeniedException");
    let grant = json!({
        "KeyId": key,
        "GranteePrincipal": format!("arn:aws:iam::{ACCOUNT}:user/alice"),
        "RetiringPrincipal": format!("arn:aws:iam::{ACCOUNT}:user/bob"),
        "Operations": ["Decrypt"],
        "Constraints": { "EncryptionContextSubset": { "a": "b" } },
    });
    let made = kms(&world, c, &root, "CreateGrant", &grant).await;
    // The constraint leaves this ciphertext out.
    assert_eq!(code(&ask(&world, c, &alice, "Decrypt", &decrypt).await), "AccessDeniedException");
    let context = json!({ "a": "b", "c": "d" });
    let body = json!({ "KeyId": key, "Plaintext": plain, "EncryptionContext": context });
    let sealed = kms(&world, c, &root, "Encrypt", &body).await["CiphertextBlob"].clone();
    let token = made["GrantToken"].clone();
    for tokens in [json!([]), json!([token])] {
        let body = json!({ "CiphertextBlob": sealed, "EncryptionContext": context, "GrantTokens": tokens });
        assert_eq!(kms(&world, c, &alice, "Decrypt", &body).await["Plaintext"], json!(plain));
        assert_eq!(code(&ask(&world, c, &bob, "Decrypt", &body).await), "AccessDeniedException");
    }
    let listed = kms(&world, c, &root, "ListGrants", &json!({ "KeyId": key })).await;
    assert_eq!(listed["Grants"][0]["Constraints"], grant["Constraints"]);
    let retire = json!({ "GrantToken": token });
    assert_eq!(code(&ask(&world, c, &alice, "RetireGrant", &retire).await), "AccessDeniedException");
    kms(&world, c, &bob, "RetireGrant", &retire).await;
    let body = json!({ "CiphertextBlob": sealed, "EncryptionContext": context, "GrantTokens": [token] });
    assert_eq!(code(&ask(&world, c, &alice, "Decrypt", &body).await), "AccessDeniedException");
    let made = kms(&world, c, &root, "CreateGrant", &grant).await;
    kms(&world, c, &alice, "Decrypt", &body).await;
    let revoke = json!({ "KeyId": key, "GrantId": made["GrantId"] });
    assert_eq!(code(&ask(&world, c, &alice, "RevokeGrant", &revoke).await), "AccessDeniedException");
    kms(&world, c, &root, "RevokeGrant", &revoke).await;
    assert_eq!(code(&ask(&world, c, &alice, "Decrypt", &body).await), "AccessDeniedException");
    iam(&world, c, &root, "GetUser", &[("UserName", "alice")]).await;
}
