//! Providers of OIDC, and sessions of whom they vouch for.

use super::{ALLOW, Bench, other, own, reads};
use crate::Principal;
use crate::identity::oidc::tests::{Bench as Oidc, CLIENT, URL, claims, token};
use crate::identity::{
    AssumeRole, AssumeRoleWithWebIdentity, Code, Issuer, NewProvider, NewRole, Owner, Result, Session,
    SessionBounds, Tag, WebIdentity,
};
use crate::policy::{Context as _, NoContext};
use crate::principal::PrincipalContext;
use engine::clock::{Clock as _, ManualClock};
use serde_json::{Value, json};
use std::time::Duration;

const ROLE: &str = "arn:aws:iam::111122223333:role/reader";
const PROVIDER: &str = "arn:aws:iam::111122223333:oidc-provider/login.test/realms/ml";
const THUMBPRINT: &str = "0123456789abcdef0123456789ABCDEF01234567";

fn trust(condition: &Value) -> String {
    json!({ "Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Principal": { "Federated": PROVIDER },
        "Action": ["sts:AssumeRoleWithWebIdentity", "sts:TagSession"], "Condition": condition,
    } })
    .to_string()
}

fn code<T: std::fmt::Debug>(outcome: Result<T>) -> Code {
    outcome.unwrap_err().code
}

struct Scene {
    bench: Bench,
    oidc: Oidc,
}

impl Scene {
    /// A provider, and a role that trusts it so and may read.
    async fn new(trust: &str) -> Self {
        let bench = Bench::new().await;
        let oidc = Oidc::at(bench.clock.clone());
        assert_eq!(provider(&bench, own()).await, PROVIDER);
        bench.ids.create_role(own(), NewRole { name: "reader", trust, ..NewRole::default() }).await.unwrap();
        bench.ids.put_inline(own(), Owner::Role("reader"), "reads", ALLOW).await.unwrap();
        Self { bench, oidc }
    }

    async fn who(&self, claims: &Value) -> Result<WebIdentity> {
        self.bench.ids.web_identity(&self.oidc.issuers, ROLE, &token(claims)).await
    }

    async fn assume(&self, claims: &Value) -> Result<Session> {
        let who = self.who(claims).await?;
        self.bench.ids.assume_role_with_web_identity(asks(&who)).await
    }

    fn claims(&self) -> Value {
        claims(&self.bench.clock)
    }

    async fn is(&self, session: &Session) -> Principal {
        self.bench.session(&session.credentials).await.unwrap()
    }
}

async fn provider(bench: &Bench, account: crate::AccountId) -> String {
    let issuer = Issuer::parse(URL).unwrap();
    let new = NewProvider { issuer: &issuer, clients: &[CLIENT], thumbprints: &[THUMBPRINT], tags: &[] };
    bench.ids.create_provider(account, new).await.unwrap()
}

fn asks(identity: &WebIdentity) -> AssumeRoleWithWebIdentity<'_> {
    AssumeRoleWithWebIdentity {
        identity,
        context: &NoContext,
        role: ROLE,
        session_name: "job",
        duration_secs: None,
        bounds: SessionBounds::default(),
    }
}

/// Values of a key of a session's.
fn values(who: &Principal, clock: &ManualClock, key: &str) -> Vec<String> {
    let mut found = Vec::new();
    PrincipalContext::new(who, clock.now(), &NoContext).visit(key, &mut |value| found.push(value.to_owned()));
    found
}

#[tokio::test]
async fn a_role_is_assumed_by_whom_its_provider_vouches_for() {
    let scene = Scene::new(&trust(&json!({ "StringEquals": { "login.test/realms/ml:aud": CLIENT } }))).await;
    let mut claims = scene.claims();
    claims["amr"] = json!(["pwd", "otp"]);
    let session = scene.assume(&claims).await.unwrap();
    assert_eq!(session.arn, "arn:aws:sts::111122223333:assumed-role/reader/job");
    let hour = scene.bench.clock.now().plus(Duration::from_hours(1));
    assert_eq!(session.credentials.expires.as_secs(), hour.as_secs());
    let who = scene.is(&session).await;
    assert!(reads(&who, own()) && !reads(&who, other()));
    let clock = &scene.bench.clock;
    for (key, expected) in [
        ("aws:federatedprovider", vec![PROVIDER]),
        ("login.test/realms/ml:sub", vec!["alice"]),
        ("login.test/realms/ml:aud", vec![CLIENT]),
        ("login.test/realms/ml:amr", vec!["pwd", "otp"]),
        ("login.test/realms/ml:email", vec![]),
        ("login.test/realms/other:sub", vec![]),
        ("aws:principaltype", vec!["AssumedRole"]),
        ("aws:multifactorauthpresent", vec!["false"]),
    ] {
        assert_eq!(values(&who, clock, key), expected, "{key}");
    }
    let shown = crate::audit::Event::user_identity(&who, None);
    assert_eq!(shown["sessionContext"]["webIdFederationData"]["federatedProvider"], PROVIDER);
    // As any other session of the role: it ends with what the role may, and makes no other way in.
    let again = AssumeRole {
        who: &who,
        context: &NoContext,
        role: ROLE,
        session_name: "again",
        external_id: None,
        source_identity: None,
        duration_secs: None,
        bounds: SessionBounds::default(),
        tags: &[],
        transitive: &[],
        shown: None,
    };
    assert_eq!(code(scene.bench.ids.assume_role(again).await), Code::AccessDenied);
    scene.bench.ids.delete_inline(own(), Owner::Role("reader"), "reads").await.unwrap();
    assert!(!reads(&scene.is(&session).await, own()));
}

#[tokio::test]
async fn trust_policies_decide_by_what_the_token_says_and_by_nothing_else() {
    let key = |claim: &str| format!("login.test/realms/ml:{claim}");
    let is = |claim: &str, value: &str| json!({ "StringEquals": { key(claim): value } });
    for (condition, passes) in [
        (json!({}), true),
        (is("sub", "alice"), true),
        (is("sub", "Alice"), false),
        (is("sub", "bob"), false),
        (json!({ "StringLike": { key("sub"): "al*" } }), true),
        (is("SUB", "alice"), true),
        (is("aud", "other"), false),
        (is("oaud", CLIENT), true),
        (is("email", "alice@login.test"), true),
        (is("department", "ml"), false),
        (json!({ "StringEquals": { "login.test:sub": "alice" } }), false),
        (json!({ "ForAnyValue:StringEquals": { key("amr"): ["otp", "hwk"] } }), true),
        (json!({ "ForAnyValue:StringEquals": { key("amr"): ["hwk"] } }), false),
        (json!({ "StringEquals": { "sts:RoleSessionName": "job" } }), true),
        (json!({ "StringEquals": { "sts:RoleSessionName": "other" } }), false),
        (json!({ "ArnEquals": { "aws:FederatedProvider": PROVIDER } }), true),
        (json!({ "StringEquals": { "aws:PrincipalAccount": "111122223333" } }), false),
        (json!({ "Bool": { "aws:MultiFactorAuthPresent": "true" } }), false),
    ] {
        let scene = Scene::new(&trust(&condition)).await;
        let mut claims = scene.claims();
        (claims["amr"], claims["email"]) = (json!(["pwd", "otp"]), json!("alice@login.test"));
        claims["department"] = json!("ml");
        let outcome = scene.assume(&claims).await;
        assert_eq!(outcome.is_ok(), passes, "{condition}");
        assert!(passes || code(outcome) == Code::AccessDenied, "{condition}");
    }
    let says = |effect: &str, principal: Value, action: &str| json!({ "Effect": effect, "Principal": principal, "Action": action });
    let (web, mine) = ("sts:AssumeRoleWithWebIdentity", || json!({ "Federated": PROVIDER }));
    let another = "arn:aws:iam::444455556666:oidc-provider/login.test/realms/ml";
    for statements in [
        json!([says("Allow", mine(), "sts:AssumeRole")]),
        json!([says("Allow", json!({ "AWS": "111122223333" }), web)]),
        json!([says("Allow", json!({ "Federated": another }), web)]),
        json!([says("Allow", json!({ "Federated": "login.test/realms/ml" }), web)]),
        json!([says("Allow", mine(), web), says("Deny", mine(), "sts:*")]),
        json!([says("Allow", mine(), web), says("Deny", json!("*"), "*")]),
    ] {
        let text = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
        let scene = Scene::new(&text).await;
        assert_eq!(code(scene.assume(&scene.claims()).await), Code::AccessDenied, "{text}");
    }
}

#[tokio::test]
async fn whose_provider_it_is_not_learns_nothing_of_roles_and_gets_in_nowhere() {
    let scene = Scene::new(&trust(&json!({}))).await;
    let good = token(&scene.claims());
    let ids = &scene.bench.ids;
    for role in [
        "arn:aws:iam::444455556666:role/reader",
        "arn:aws:iam::999999999999:role/reader",
        "arn:aws:iam::aws:role/reader",
    ] {
        let outcome = ids.web_identity(&scene.oidc.issuers, role, &good).await;
        assert_eq!(code(outcome), Code::InvalidIdentityToken, "{role}");
    }
    assert_eq!(code(ids.web_identity(&scene.oidc.issuers, "reader", &good).await), Code::ValidationError);
    assert!(scene.oidc.idp.fetched.lock().is_empty(), "nobody is asked for whom there is no provider");
    // Who is vouched for in one account is nobody in another.
    let who = scene.who(&scene.claims()).await.unwrap();
    for role in ["arn:aws:iam::444455556666:role/reader", "arn:aws:iam::111122223333:role/none"] {
        let asked = AssumeRoleWithWebIdentity { role, ..asks(&who) };
        assert_eq!(code(ids.assume_role_with_web_identity(asked).await), Code::AccessDenied);
    }
    let mut elsewhere = scene.claims();
    elsewhere["iss"] = json!("https://evil.test");
    assert_eq!(code(scene.who(&elsewhere).await), Code::InvalidIdentityToken);
    // A provider that went, and a client that did.
    ids.remove_client(own(), PROVIDER, CLIENT).await.unwrap();
    assert_eq!(code(scene.who(&scene.claims()).await), Code::InvalidIdentityToken);
    ids.add_client(own(), PROVIDER, CLIENT).await.unwrap();
    let session = scene.assume(&scene.claims()).await.unwrap();
    ids.delete_provider(own(), PROVIDER).await.unwrap();
    assert_eq!(code(scene.who(&scene.claims()).await), Code::InvalidIdentityToken);
    assert!(reads(&scene.is(&session).await, own()), "until it ends");
}

#[tokio::test]
async fn a_token_brings_tags_and_a_source_identity_where_the_trust_policy_takes_them() {
    let scene = Scene::new(&trust(&json!({}))).await;
    let mut claims = scene.claims();
    claims["https://aws.amazon.com/tags"] = json!({
        "principal_tags": { "Team": ["ml"], "Cost": "7" }, "transitive_tag_keys": ["Team"],
    });
    let session = scene.assume(&claims).await.unwrap();
    let who = scene.is(&session).await;
    assert_eq!(values(&who, &scene.bench.clock, "aws:principaltag/team"), ["ml"]);
    assert_eq!(values(&who, &scene.bench.clock, "aws:principaltag/cost"), ["7"]);
    assert!(session.packed_percent > 0);
    claims["https://aws.amazon.com/source_identity"] = json!("alice");
    assert_eq!(code(scene.assume(&claims).await), Code::AccessDenied, "sts:SetSourceIdentity");
    let allows =
        trust(&json!({ "StringEquals": { "aws:RequestTag/team": "ml", "sts:SourceIdentity": "alice" } }))
            .replace("\"sts:TagSession\"", "\"sts:TagSession\",\"sts:SetSourceIdentity\"");
    scene.bench.ids.set_trust(own(), "reader", &allows).await.unwrap();
    let session = scene.assume(&claims).await.unwrap();
    assert_eq!(session.source_identity.as_deref(), Some("alice"));
    assert_eq!(values(&scene.is(&session).await, &scene.bench.clock, "aws:sourceidentity"), ["alice"]);
    let plain = trust(&json!({})).replace("\"sts:TagSession\"", "\"sts:GetCallerIdentity\"");
    scene.bench.ids.set_trust(own(), "reader", &plain).await.unwrap();
    assert_eq!(code(scene.assume(&claims).await), Code::AccessDenied, "sts:TagSession");
    scene.assume(&scene.claims()).await.unwrap();
}

#[tokio::test]
async fn a_session_is_as_long_and_as_narrow_as_is_asked() {
    let scene = Scene::new(&trust(&json!({}))).await;
    let (ids, who) = (&scene.bench.ids, scene.who(&scene.claims()).await.unwrap());
    for (secs, passes) in [(899, false), (900, true), (3_600, true), (3_601, false)] {
        let asked = AssumeRoleWithWebIdentity { duration_secs: Some(secs), ..asks(&who) };
        let made = ids.assume_role_with_web_identity(asked).await;
        assert_eq!(made.is_ok(), passes, "{secs}");
    }
    let bounds = SessionBounds { policy: Some(super::DENY), policy_arns: &[] };
    let bounded = AssumeRoleWithWebIdentity { bounds, ..asks(&who) };
    let session = ids.assume_role_with_web_identity(bounded).await.unwrap();
    assert!(!reads(&scene.is(&session).await, own()));
    for name in ["x", "a b", ""] {
        let asked = AssumeRoleWithWebIdentity { session_name: name, ..asks(&who) };
        assert_eq!(code(ids.assume_role_with_web_identity(asked).await), Code::ValidationError);
    }
}

#[tokio::test]
async fn providers_are_made_shown_changed_and_deleted() {
    let bench = Bench::new().await;
    let ids = &bench.ids;
    let tag = |key: &str, value: &str| Tag { key: key.into(), value: value.into() };
    assert_eq!(provider(&bench, own()).await, PROVIDER);
    let found = ids.provider(own(), PROVIDER).await.unwrap();
    assert_eq!((found.name.as_str(), &*found.clients), ("login.test/realms/ml", &[CLIENT.to_owned()][..]));
    assert_eq!((found.thumbprints, found.created), (vec![THUMBPRINT.to_owned()], bench.clock.now()));
    // The same without TLS has the same name.
    for url in [URL, &URL.replace("https", "http")] {
        let issuer = Issuer::parse(url).unwrap();
        let new = NewProvider { issuer: &issuer, clients: &[], thumbprints: &[], tags: &[] };
        assert_eq!(code(ids.create_provider(own(), new).await), Code::EntityAlreadyExists);
    }
    provider(&bench, other()).await;
    for _ in 0..2 {
        ids.add_client(own(), PROVIDER, "more").await.unwrap();
    }
    ids.remove_client(own(), PROVIDER, CLIENT).await.unwrap();
    ids.remove_client(own(), PROVIDER, "nobody").await.unwrap();
    ids.set_thumbprints(own(), PROVIDER, &[]).await.unwrap();
    ids.retag_provider(own(), PROVIDER, (&[tag("Team", "ml"), tag("a", "b")], &[])).await.unwrap();
    ids.retag_provider(own(), PROVIDER, (&[tag("team", "hpc")], &["A"])).await.unwrap();
    let found = ids.provider(own(), PROVIDER).await.unwrap();
    assert_eq!((&*found.clients, found.thumbprints.len()), (&["more".to_owned()][..], 0));
    assert_eq!(found.tags, [tag("team", "hpc")]);
    assert_eq!(ids.providers(own()).await.unwrap(), [PROVIDER]);
    assert!(ids.summary(own()).await.unwrap().contains(&("Providers", 1)));
    super::rows::assert_sound(&*bench.noting).await;
    ids.delete_provider(own(), PROVIDER).await.unwrap();
    let absent = "arn:aws:iam::444455556666:oidc-provider/login.test/realms/ml";
    for arn in [PROVIDER, absent] {
        assert_eq!(code(ids.provider(own(), arn).await), Code::NoSuchEntity);
        assert_eq!(code(ids.delete_provider(own(), arn).await), Code::NoSuchEntity);
        assert_eq!(code(ids.add_client(own(), arn, "x").await), Code::NoSuchEntity);
        assert_eq!(code(ids.set_thumbprints(own(), arn, &[]).await), Code::NoSuchEntity);
    }
    for arn in ["x", "arn:aws:iam::111122223333:oidc-provider/", "arn:aws:iam::1:oidc-provider/a", ROLE] {
        assert_eq!(code(ids.provider(own(), arn).await), Code::InvalidInput, "{arn}");
    }
    assert!(
        ids.providers(own()).await.unwrap().is_empty() && ids.providers(other()).await.unwrap().len() == 1
    );
    super::rows::assert_sound(&*bench.noting).await;
}

#[tokio::test]
async fn a_provider_has_as_many_of_everything_as_it_may() {
    let bench = Bench::new().await;
    let ids = &bench.ids;
    let names: Vec<String> = (0..101).map(|n| format!("client-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let thumbprints = [THUMBPRINT; 6];
    let issuer = Issuer::parse(URL).unwrap();
    let new =
        NewProvider { issuer: &issuer, clients: &names[..100], thumbprints: &thumbprints[..5], tags: &[] };
    let refused = [
        (NewProvider { clients: &names, ..new }, Code::LimitExceeded),
        (NewProvider { clients: &[""], ..new }, Code::InvalidInput),
        (NewProvider { clients: &["a\nb"], ..new }, Code::InvalidInput),
        (NewProvider { thumbprints: &thumbprints, ..new }, Code::InvalidInput),
        (NewProvider { thumbprints: &["abc"], ..new }, Code::InvalidInput),
    ];
    for (new, expected) in refused {
        assert_eq!(code(ids.create_provider(own(), new).await), expected);
    }
    ids.create_provider(own(), new).await.unwrap();
    assert_eq!(code(ids.add_client(own(), PROVIDER, "more").await), Code::LimitExceeded);
    ids.add_client(own(), PROVIDER, "client-7").await.unwrap();
    assert_eq!(code(ids.set_thumbprints(own(), PROVIDER, &thumbprints).await), Code::InvalidInput);
    for number in 1..100 {
        let issuer = Issuer::parse(&format!("https://{number}.test")).unwrap();
        ids.create_provider(own(), NewProvider { issuer: &issuer, ..new }).await.unwrap();
    }
    let issuer = Issuer::parse("https://more.test").unwrap();
    let more = NewProvider { issuer: &issuer, ..new };
    assert_eq!(code(ids.create_provider(own(), more).await), Code::LimitExceeded);
    assert_eq!(ids.providers(own()).await.unwrap().len(), 100);
    super::rows::assert_sound(&*bench.noting).await;
}
