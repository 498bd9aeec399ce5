//! Sessions for whom an OIDC provider vouches, over the wire: from the provider to an object, and what everybody else is told.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::audit::{records, records_of};
use crate::iam_world::{Key, Post, ask, document, element, form, give, iam, says, signed, user};
use crate::world::{ACCOUNT, Answer, Client, OTHER_ACCESS_KEY, OTHER_ACCOUNT, OTHER_SECRET_KEY, World, call};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use engine::BoxFuture;
use engine::clock::Clock as _;
use security::identity::Fetch;
use serde_json::{Value, json};
use std::sync::Mutex;
use std::time::Duration;

const URL: &str = "https://login.test/realms/ml";
const CLIENT: &str = "trainer";
const ROLE: &str = "arn:aws:iam::111122223333:role/reader";
const PROVIDER: &str = "arn:aws:iam::111122223333:oidc-provider/login.test/realms/ml";

/// An issuer, and what was fetched of it.
pub(crate) struct Idp {
    key: EcdsaKeyPair,
    fetched: Mutex<Vec<String>>,
    away: Mutex<bool>,
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Idp {
    pub(crate) fn new() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { key, fetched: Mutex::default(), away: Mutex::default() }
    }

    fn token(&self, claims: &Value) -> String {
        let header = json!({ "alg": "ES256", "kid": "k", "typ": "JWT" });
        let signed = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", b64(signature))
    }

    fn document(&self, url: &str) -> Option<Value> {
        let point = self.key.public_key().as_ref();
        let key = json!({ "kty": "EC", "kid": "k", "crv": "P-256", "x": b64(&point[1..33]), "y": b64(&point[33..]) });
        match url.strip_prefix(URL)? {
            "/.well-known/openid-configuration" => {
                Some(json!({ "issuer": URL, "jwks_uri": format!("{URL}/keys") }))
            }
            "/keys" => Some(json!({ "keys": [key] })),
            _ => None,
        }
    }
}

impl Fetch for Idp {
    fn check(&self, url: &str) -> Result<(), String> {
        if url.starts_with("https://") { Ok(()) } else { Err("it is not https".to_owned()) }
    }

    fn get<'a>(&'a self, url: &'a str, _bytes_max: usize) -> BoxFuture<'a, Result<Bytes, String>> {
        self.fetched.lock().unwrap().push(url.to_owned());
        let there = self.document(url).filter(|_| !*self.away.lock().unwrap());
        let found =
            there.map(|document| document.to_string().into()).ok_or_else(|| "secret-host: 404".to_owned());
        Box::pin(std::future::ready(found))
    }
}

fn claims(world: &World) -> Value {
    let now = world.clock.now().as_secs();
    json!({ "iss": URL, "sub": "alice", "aud": CLIENT, "iat": now, "exp": now + 3_600 })
}

/// Asks STS without a signature.
async fn unsigned(world: &World, client: &mut Client, parameters: &[(&str, &str)]) -> Answer {
    let body = form(&[&[("Version", "2011-06-15")], parameters].concat());
    let kind = "content-type: application/x-www-form-urlencoded; charset=utf-8";
    let length = body.len();
    let request = format!(
        "POST / HTTP/1.1\r\nhost: {}\r\n{kind}\r\ncontent-length: {length}\r\n\r\n{body}",
        world.http
    );
    client.send(request.as_bytes()).await;
    client.answer().await.unwrap()
}

async fn assume(world: &World, client: &mut Client, token: &str, more: &[(&str, &str)]) -> Answer {
    let all =
        [("Action", "AssumeRoleWithWebIdentity"), ("RoleSessionName", "job"), ("WebIdentityToken", token)];
    let role = [("RoleArn", ROLE)];
    let role = if more.iter().any(|(name, _)| *name == "RoleArn") { &[][..] } else { &role[..] };
    unsigned(world, client, &[&all[..], role, more].concat()).await
}

async fn s3(world: &World, client: &mut Client, key: &Key, (method, path): (&str, &str)) -> Answer {
    let post = Post { service: "s3", method, path, content_type: "", ..Post::default() };
    client.send(&signed(world, key, post, b"")).await;
    client.answer().await.unwrap()
}

fn trust(condition: &str) -> String {
    document(&format!(
        r#"{{"Effect":"Allow","Principal":{{"Federated":"{PROVIDER}"}},"Action":"sts:AssumeRoleWithWebIdentity"{condition}}}"#
    ))
}

/// A provider, a role that trusts it, and buckets of people.
async fn scene() -> (World, Client) {
    let world = World::new().await;
    let mut client = world.connect().await;
    let (c, root) = (&mut client, Key::root());
    for (path, body) in [("/home", ""), ("/home/alice/notes", "x"), ("/home/bob/notes", "x")] {
        assert_eq!(call(&world, c, ("PUT", path), &[], body.as_bytes()).await.status, 200);
    }
    let made = [("Url", URL), ("ClientIDList.member.1", CLIENT)];
    let made = iam(&world, c, &root, "CreateOpenIDConnectProvider", &made).await;
    assert_eq!(element(made.text(), "OpenIDConnectProviderArn"), Some(PROVIDER));
    let trusts = trust(r#","Condition":{"StringEquals":{"login.test/realms/ml:aud":"trainer"}}"#);
    let role = [("RoleName", "reader"), ("AssumeRolePolicyDocument", trusts.as_str())];
    iam(&world, c, &root, "CreateRole", &role).await;
    // Everybody has what is below their own name.
    let own = document(
        r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::home/${login.test/realms/ml:sub}/*"}"#,
    );
    let given = [("RoleName", "reader"), ("PolicyName", "own"), ("PolicyDocument", own.as_str())];
    iam(&world, c, &root, "PutRolePolicy", &given).await;
    (world, client)
}

#[tokio::test]
async fn a_token_of_a_provider_becomes_a_session_of_a_role_that_trusts_it() {
    let (world, mut client) = scene().await;
    let c = &mut client;
    let token = world.idp.token(&claims(&world));
    let answer = assume(&world, c, &token, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    for (name, expected) in [
        ("SubjectFromWebIdentityToken", "alice"),
        ("Provider", URL),
        ("Audience", CLIENT),
        ("Arn", "arn:aws:sts::111122223333:assumed-role/reader/job"),
        ("PackedPolicySize", "0"),
    ] {
        assert_eq!(element(answer.text(), name), Some(expected), "{name}");
    }
    let key = Key::of(&answer);
    assert_eq!(s3(&world, c, &key, ("GET", "/home/alice/notes")).await.status, 200);
    assert_eq!(s3(&world, c, &key, ("GET", "/home/bob/notes")).await.status, 403);
    assert_eq!(s3(&world, c, &key, ("PUT", "/home/alice/notes")).await.status, 403);
    let who = ask(&world, c, &key, ("sts", "GetCallerIdentity"), &[]).await;
    assert_eq!(element(who.text(), "Arn"), element(answer.text(), "Arn"));
    // It lasts as long as is asked, whatever the token does.
    let short = Key::of(&assume(&world, c, &token, &[("DurationSeconds", "900")]).await);
    world.clock.advance(Duration::from_mins(15));
    let c = &mut world.connect().await;
    assert_eq!(s3(&world, c, &short, ("GET", "/home/alice/notes")).await.status, 400);
    assert_eq!(s3(&world, c, &key, ("GET", "/home/alice/notes")).await.status, 200);
    world.clock.advance(Duration::from_mins(45));
    let c = &mut world.connect().await;
    let late = assume(&world, c, &token, &[]).await;
    assert_eq!((late.status, late.code()), (400, "ExpiredTokenException"));
}

#[tokio::test]
async fn what_is_no_good_token_is_refused_by_its_code_and_status() {
    let (world, mut client) = scene().await;
    let c = &mut client;
    let good = world.idp.token(&claims(&world));
    let with = |name: &str, value: Value| {
        let mut claims = claims(&world);
        claims[name] = value;
        world.idp.token(&claims)
    };
    let now = world.clock.now().as_secs();
    let (_, unsigned_claims) = good.split_once('.').unwrap();
    let none = format!("{}.{}", b64(r#"{"alg":"none"}"#), unsigned_claims);
    let forged = Idp::new().token(&claims(&world));
    let long = "x".repeat(20_001);
    for (token, status, code) in [
        (none.as_str(), 400, "InvalidIdentityToken"),
        (&forged, 400, "InvalidIdentityToken"),
        ("a.b.c", 400, "InvalidIdentityToken"),
        (&with("aud", json!("another")), 400, "InvalidIdentityToken"),
        (&with("iss", json!("https://evil.test")), 400, "InvalidIdentityToken"),
        (&with("exp", json!(now)), 400, "ExpiredTokenException"),
        (&with("nbf", json!(now + 120)), 403, "IDPRejectedClaim"),
        ("abc", 400, "ValidationError"),
        (&long, 400, "ValidationError"),
    ] {
        let answer = assume(&world, c, token, &[]).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{}", answer.text());
    }
    assert!(world.idp.fetched.lock().unwrap().iter().all(|url| url.starts_with(URL)), "nobody else is asked");
    for (more, status, code) in [
        (("RoleArn", "arn:aws:iam::111122223333:role/none"), 403, "AccessDenied"),
        (("RoleArn", "arn:aws:iam::444455556666:role/reader"), 400, "InvalidIdentityToken"),
        (("RoleArn", "arn:aws:iam::111122223333:user/reader"), 400, "ValidationError"),
        (("ProviderId", "www.amazon.com"), 501, "NotImplemented"),
        (("DurationSeconds", "3601"), 400, "ValidationError"),
        (("DurationSeconds", "899"), 400, "ValidationError"),
        (("Policy", "{"), 400, "MalformedPolicyDocument"),
        (("Nonsense", "1"), 400, "InvalidQueryParameter"),
    ] {
        let answer = assume(&world, c, &good, &[more]).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{more:?}: {}", answer.text());
    }
    let strict = trust(r#","Condition":{"StringEquals":{"login.test/realms/ml:sub":"bob"}}"#);
    let set = [("RoleName", "reader"), ("PolicyDocument", strict.as_str())];
    iam(&world, c, &Key::root(), "UpdateAssumeRolePolicy", &set).await;
    let answer = assume(&world, c, &good, &[]).await;
    assert_eq!((answer.status, answer.code()), (403, "AccessDenied"));
    assert_eq!(
        element(answer.text(), "Message"),
        Some("Not authorized to perform sts:AssumeRoleWithWebIdentity")
    );
}

#[tokio::test]
async fn an_issuer_that_is_away_is_told_without_where_it_was_looked_for() {
    let (world, mut client) = scene().await;
    *world.idp.away.lock().unwrap() = true;
    let token = world.idp.token(&claims(&world));
    let answer = assume(&world, &mut client, &token, &[]).await;
    assert_eq!((answer.status, answer.code()), (400, "IDPCommunicationError"));
    assert!(!answer.text().contains("secret-host"), "{}", answer.text());
    *world.idp.away.lock().unwrap() = false;
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(assume(&world, &mut client, &token, &[]).await.status, 200);
}

#[tokio::test]
async fn records_say_who_was_vouched_for_and_never_the_token() {
    let (world, mut client) = scene().await;
    let c = &mut client;
    let good = world.idp.token(&claims(&world));
    let made = assume(&world, c, &good, &[]).await;
    let key = Key::of(&made);
    ask(&world, c, &key, ("iam", "ListUsers"), &[]).await;
    let forged = Idp::new().token(&claims(&world));
    assert_eq!(assume(&world, c, &forged, &[]).await.status, 400);
    let denied = [("RoleArn", "arn:aws:iam::111122223333:role/none")];
    assert_eq!(assume(&world, c, &good, &denied).await.status, 403);
    let other = Key { id: OTHER_ACCESS_KEY.to_owned(), secret: OTHER_SECRET_KEY.to_owned(), token: None };
    let role = format!("arn:aws:iam::{OTHER_ACCOUNT}:role/reader");
    assert_eq!(assume(&world, c, &good, &[("RoleArn", &role)]).await.status, 400);
    let found = records(&world, c, "AssumeRoleWithWebIdentity").await;
    assert_eq!(found.len(), 4);
    let [elsewhere, no_role, not_verified, good_one] = &found[..] else { panic!("{found:?}") };
    let user = json!({
        "type": "WebIdentityUser",
        "principalId": format!("{PROVIDER}:{CLIENT}:alice"),
        "userName": "alice",
        "identityProvider": PROVIDER,
    });
    assert_eq!(good_one["userIdentity"], user);
    assert_eq!(good_one["requestParameters"]["roleArn"], ROLE);
    assert_eq!(good_one["responseElements"]["subjectFromWebIdentityToken"], "alice");
    assert_eq!(good_one["responseElements"]["credentials"]["accessKeyId"], key.id);
    assert_eq!(good_one["resources"][0]["ARN"], ROLE);
    assert_eq!((&no_role["userIdentity"], &no_role["errorCode"]), (&user, &json!("AccessDenied")));
    assert_eq!(not_verified["requestParameters"], json!({ "roleArn": ROLE, "roleSessionName": "job" }));
    for (record, code) in [(not_verified, "InvalidIdentityToken"), (elsewhere, "InvalidIdentityToken")] {
        assert_eq!(
            (&record["userIdentity"]["type"], &record["errorCode"]),
            (&json!("Unknown"), &json!(code))
        );
    }
    // Whose role was asked for knows of it.
    assert_eq!(records_of(&world, c, &other, "AssumeRoleWithWebIdentity").await.len(), 1);
    let listings = records(&world, c, "ListUsers").await;
    assert_eq!(
        listings[0]["userIdentity"]["sessionContext"]["webIdFederationData"]["federatedProvider"],
        PROVIDER
    );
    let all = json!([found, listings]).to_string();
    for secret in good.split('.').chain(forged.split('.')).chain([key.secret.as_str()]) {
        assert!(!all.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn providers_are_kept_as_iam_has_them() {
    let (world, mut client) = scene().await;
    let (c, root) = (&mut client, Key::root());
    let one = [("OpenIDConnectProviderArn", PROVIDER)];
    let found = iam(&world, c, &root, "GetOpenIDConnectProvider", &one).await;
    assert_eq!(element(found.text(), "Url"), Some("login.test/realms/ml"));
    assert!(
        found.text().contains("<ClientIDList><member>trainer</member></ClientIDList>"),
        "{}",
        found.text()
    );
    let named = |name, value| [("OpenIDConnectProviderArn", PROVIDER), (name, value)];
    iam(&world, c, &root, "AddClientIDToOpenIDConnectProvider", &named("ClientID", "more")).await;
    iam(&world, c, &root, "RemoveClientIDFromOpenIDConnectProvider", &named("ClientID", "trainer")).await;
    let thumbprint = "0123456789abcdef0123456789abcdef01234567";
    let set = named("ThumbprintList.member.1", thumbprint);
    iam(&world, c, &root, "UpdateOpenIDConnectProviderThumbprint", &set).await;
    let tags = [one[0], ("Tags.member.1.Key", "team"), ("Tags.member.1.Value", "ml")];
    iam(&world, c, &root, "TagOpenIDConnectProvider", &tags).await;
    let found = iam(&world, c, &root, "GetOpenIDConnectProvider", &one).await;
    let text = found.text();
    assert!(
        text.contains("<member>more</member>") && text.contains(thumbprint) && text.contains("team"),
        "{text}"
    );
    let listed = iam(&world, c, &root, "ListOpenIDConnectProviders", &[]).await;
    assert_eq!(element(listed.text(), "Arn"), Some(PROVIDER));
    // Policies may ask for its tags.
    let asker = user(&world, c, "asker").await;
    let tagged = r#"{"Effect":"Allow","Action":"iam:*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"ml"}}}"#;
    give(&world, c, "asker", tagged).await;
    iam(&world, c, &asker, "ListOpenIDConnectProviderTags", &one).await;
    iam(&world, c, &root, "UntagOpenIDConnectProvider", &named("TagKeys.member.1", "team")).await;
    let answer = ask(&world, c, &asker, ("iam", "ListOpenIDConnectProviderTags"), &one).await;
    assert_eq!((answer.status, answer.code()), (403, "AccessDenied"));
    give(&world, c, "asker", &says("Allow", "\"iam:*\"")).await;
    let again = [("Url", URL)];
    for (operation, parameters, status, code) in [
        ("CreateOpenIDConnectProvider", again.to_vec(), 409, "EntityAlreadyExists"),
        ("CreateOpenIDConnectProvider", vec![("Url", "http://login.test")], 400, "InvalidInput"),
        ("CreateOpenIDConnectProvider", vec![("Url", "https://login.test?x=1")], 400, "InvalidInput"),
        ("CreateOpenIDConnectProvider", vec![("Url", "")], 400, "ValidationError"),
        (
            "GetOpenIDConnectProvider",
            vec![("OpenIDConnectProviderArn", "arn:aws:iam::111122223333:oidc-provider/x")],
            404,
            "NoSuchEntity",
        ),
        ("GetOpenIDConnectProvider", vec![("OpenIDConnectProviderArn", ROLE)], 400, "InvalidInput"),
        ("CreateSAMLProvider", vec![], 501, "NotImplemented"),
    ] {
        let answer = ask(&world, c, &root, ("iam", operation), &parameters).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{operation} {parameters:?}");
    }
    iam(&world, c, &root, "DeleteOpenIDConnectProvider", &one).await;
    let gone = assume(&world, c, &world.idp.token(&claims(&world)), &[]).await;
    assert_eq!((gone.status, gone.code()), (400, "InvalidIdentityToken"));
    assert!(records(&world, c, "CreateOpenIDConnectProvider").await.iter().any(|record| {
        record["requestParameters"]["url"] == URL
            && record["responseElements"]["openIDConnectProviderArn"] == PROVIDER
    }));
    assert!(PROVIDER.contains(ACCOUNT));
}

#[tokio::test]
async fn saml_is_refused_with_what_to_use_instead() {
    let world = World::new().await;
    let mut client = world.connect().await;
    let asked = [("Action", "AssumeRoleWithSAML"), ("RoleArn", ROLE), ("SAMLAssertion", "AAAA")];
    let answer = unsigned(&world, &mut client, &asked).await;
    assert_eq!((answer.status, answer.code()), (501, "NotImplemented"));
    let message = element(answer.text(), "Message").unwrap();
    assert!(message.contains("SAML") && message.contains("AssumeRoleWithWebIdentity"), "{message}");
}
