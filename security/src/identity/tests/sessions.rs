//! Sessions: who gets one, what it may, and when it ends.

use super::{ALLOW, Bench, DENY, other, own, reads};
use crate::Principal;
use crate::credentials::{Bearer, CredentialLookup as _, File, TokenError};
use crate::identity::{
    AssumeRole, Code, FederationToken, KeyOwner, KeyStatus, NewRole, Owner, Pins, Result, Session,
    SessionBounds, Tag, Tagged,
};
use crate::policy::{Context, Form, GivenContext, NoContext, Policy, Sources};
use crate::principal::PrincipalContext;
use engine::clock::{Clock as _, Timestamp};
use std::sync::Arc;
use std::time::Duration;

const ROLE: &str = "arn:aws:iam::111122223333:role/reader";
const ASSUMES: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"],"Resource":"*"}}"#;

fn trust(principal: &str, condition: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},
        "Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]{condition}}}}}"#
    )
}

fn asks<'a>(who: &'a Principal, role: &'a str) -> AssumeRole<'a> {
    AssumeRole {
        who,
        context: &NoContext,
        role,
        session_name: "job",
        external_id: None,
        source_identity: None,
        duration_secs: None,
        bounds: SessionBounds::default(),
        tags: &[],
        transitive: &[],
        shown: None,
    }
}

fn code<T: std::fmt::Debug>(outcome: Result<T>) -> Code {
    outcome.unwrap_err().code
}

/// A user who may assume, and a role that may read.
async fn with_role(trust: &str) -> (Bench, Principal) {
    let bench = Bench::new().await;
    bench.user("a").await;
    bench.ids.create_role(own(), NewRole { name: "reader", trust, ..NewRole::default() }).await.unwrap();
    bench.ids.put_inline(own(), Owner::Role("reader"), "reads", ALLOW).await.unwrap();
    let key = bench.key("a").await;
    bench.ids.put_inline(own(), Owner::User("a"), "assumes", ASSUMES).await.unwrap();
    let who = bench.signs(&key).await.unwrap();
    (bench, who)
}

async fn is(bench: &Bench, session: &Session) -> Principal {
    bench.session(&session.credentials).await.unwrap()
}

#[tokio::test]
async fn a_role_is_assumed_by_whom_it_trusts_and_may_what_it_may() {
    let (bench, who) = with_role(&trust("111122223333", "")).await;
    assert!(!reads(&who, own()));
    let session = bench.ids.assume_role(asks(&who, ROLE)).await.unwrap();
    assert_eq!(session.arn, "arn:aws:sts::111122223333:assumed-role/reader/job");
    assert!(session.id.starts_with("AROA") && session.id.ends_with(":job"));
    assert!(session.credentials.id.as_str().starts_with("ASIA"));
    let reader = is(&bench, &session).await;
    assert!(reads(&reader, own()));
    let told = bench.ids.caller_identity(&reader).unwrap();
    assert_eq!((told.arn, told.user_id), (session.arn.clone(), session.id.clone()));
    // Its maker's policies are not its own: it can't assume.
    assert_eq!(code(bench.ids.assume_role(asks(&reader, ROLE)).await), Code::AccessDenied);
    for nobody in [Principal::Anonymous, Principal::Root(own()), Principal::Root(other())] {
        assert_eq!(code(bench.ids.assume_role(asks(&nobody, ROLE)).await), Code::AccessDenied);
    }
    for absent in [
        "arn:aws:iam::111122223333:role/READER",
        "arn:aws:iam::111122223333:role/x",
        "arn:aws:iam::444455556666:role/reader",
    ] {
        assert_eq!(code(bench.ids.assume_role(asks(&who, absent)).await), Code::AccessDenied, "{absent}");
    }
    // A change of the role holds for sessions that are.
    bench.ids.put_inline(own(), Owner::Role("reader"), "denies", DENY).await.unwrap();
    assert!(!reads(&is(&bench, &session).await, own()));
    bench.ids.delete_inline(own(), Owner::Role("reader"), "denies").await.unwrap();
    bench.ids.delete_inline(own(), Owner::Role("reader"), "reads").await.unwrap();
    bench.ids.delete_role(own(), "reader").await.unwrap();
    assert!(bench.session(&session.credentials).await.is_none(), "a deleted role has no sessions");
    bench
        .ids
        .create_role(
            own(),
            NewRole { name: "reader", trust: &trust("111122223333", ""), ..NewRole::default() },
        )
        .await
        .unwrap();
    assert!(bench.session(&session.credentials).await.is_none(), "nor has who takes its name");
}

#[tokio::test]
async fn trust_that_names_the_account_hands_on_and_trust_that_names_the_user_does_not() {
    let (bench, who) = with_role(&trust("111122223333", "")).await;
    bench.ids.delete_inline(own(), Owner::User("a"), "assumes").await.unwrap();
    let key = bench.key("a").await;
    let who_may_nothing = bench.signs(&key).await.unwrap();
    assert_eq!(code(bench.ids.assume_role(asks(&who_may_nothing, ROLE)).await), Code::AccessDenied);
    let user = "arn:aws:iam::111122223333:user/a";
    bench.ids.set_trust(own(), "reader", &trust(user, "")).await.unwrap();
    bench.ids.assume_role(asks(&who_may_nothing, ROLE)).await.unwrap();
    // Who takes the name is somebody else; who is called otherwise is still who was meant.
    bench.ids.update_user(own(), "a", Some("b"), None).await.unwrap();
    bench.user("a").await;
    let renamed = bench.signs(&key).await.unwrap();
    assert_eq!(renamed.arn().unwrap(), "arn:aws:iam::111122223333:user/b");
    bench.ids.assume_role(asks(&renamed, ROLE)).await.unwrap();
    let other_key = bench.key("a").await;
    let namesake = bench.signs(&other_key).await.unwrap();
    assert_eq!(code(bench.ids.assume_role(asks(&namesake, ROLE)).await), Code::AccessDenied);
    drop(who);
}

#[tokio::test]
async fn conditions_of_trust_ask_what_was_asked() {
    let condition = r#","Condition":{"StringEquals":{"sts:ExternalId":"secret","aws:RequestTag/team":"ml"},"StringLike":{"sts:RoleSessionName":"j*"},"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#;
    let (bench, who) = with_role(&trust("111122223333", condition)).await;
    let tags = [Tag { key: "team".into(), value: "ml".into() }];
    let context = GivenContext::default().with("aws:SourceIp", ["10.1.1.1"]);
    let good = AssumeRole { external_id: Some("secret"), tags: &tags, context: &context, ..asks(&who, ROLE) };
    bench.ids.assume_role(good).await.unwrap();
    for bad in [
        AssumeRole { external_id: Some("other"), ..good },
        AssumeRole { external_id: None, ..good },
        AssumeRole { tags: &[], ..good },
        AssumeRole { session_name: "other", ..good },
        AssumeRole { context: &NoContext, ..good },
    ] {
        assert_eq!(code(bench.ids.assume_role(bad).await), Code::AccessDenied);
    }
}

#[tokio::test]
async fn sessions_are_bounded_by_what_they_were_made_with_and_by_time() {
    let (bench, who) = with_role(&trust("111122223333", "")).await;
    let narrow = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::other/*"}}"#;
    let bounded = |policy, policy_arns| AssumeRole {
        bounds: SessionBounds { policy, policy_arns },
        ..asks(&who, ROLE)
    };
    let s3 = ["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"];
    for (asked, may) in [
        (bounded(None, &s3[..]), true),
        (bounded(Some(narrow), &[]), false),
        (bounded(Some(narrow), &s3), true),
    ] {
        let session = bench.ids.assume_role(asked).await.unwrap();
        assert_eq!(reads(&is(&bench, &session).await, own()), may);
    }
    let absent = ["arn:aws:iam::111122223333:policy/none"];
    assert_eq!(code(bench.ids.assume_role(bounded(None, &absent)).await), Code::NoSuchEntity);
    assert_eq!(code(bench.ids.assume_role(bounded(Some("{}"), &[])).await), Code::MalformedPolicyDocument);
    for (secs, taken) in [(899, false), (900, true), (3600, true), (3601, false)] {
        let asked = AssumeRole { duration_secs: Some(secs), ..asks(&who, ROLE) };
        assert_eq!(bench.ids.assume_role(asked).await.is_ok(), taken, "{secs}");
    }
    let session = bench.ids.assume_role(asks(&who, ROLE)).await.unwrap().credentials;
    assert_eq!(session.expires, bench.clock.now().plus(Duration::from_hours(1)));
    let (id, token) = (session.id.as_str(), session.token.as_str());
    let before = Timestamp::from_millis(session.expires.as_millis() - 1);
    assert!(bench.ids.session(id, token, before).is_ok());
    assert_eq!(bench.ids.session(id, token, session.expires).unwrap_err(), TokenError::Expired);
    assert_eq!(bench.ids.session("AKIAIOSFODNN7EXAMPLE", token, before).unwrap_err(), TokenError::Unknown);
    let other_session = bench.ids.assume_role(asks(&who, ROLE)).await.unwrap().credentials;
    for bad in [
        other_session.token.as_str(),
        "",
        "firn1.",
        "firn1.AAAA",
        &token[..token.len() - 4],
        &token.replace("firn1.", "firn2."),
    ] {
        assert_eq!(bench.ids.session(id, bad, before).unwrap_err(), TokenError::Invalid, "{bad}");
    }
    let mut flipped = token.to_owned();
    let at = flipped.len() / 2;
    flipped.replace_range(at..=at, if &token[at..=at] == "A" { "B" } else { "A" });
    assert_eq!(bench.ids.session(id, &flipped, before).unwrap_err(), TokenError::Invalid);
}

#[tokio::test]
async fn tags_and_the_source_go_on_to_sessions_of_sessions() {
    let (bench, who) = with_role(&trust("111122223333", "")).await;
    bench.ids.put_inline(own(), Owner::Role("reader"), "assumes", ASSUMES).await.unwrap();
    bench
        .ids
        .tag(
            own(),
            Tagged::Role("reader"),
            &[Tag { key: "team".into(), value: "role".into() }, Tag { key: "x".into(), value: "y".into() }],
        )
        .await
        .unwrap();
    let tags =
        [Tag { key: "Team".into(), value: "ml".into() }, Tag { key: "cost".into(), value: "1".into() }];
    let asked =
        AssumeRole { tags: &tags, transitive: &["cost"], source_identity: Some("alice"), ..asks(&who, ROLE) };
    let first = is(&bench, &bench.ids.assume_role(asked).await.unwrap()).await;
    let value =
        |who: &Principal, key: &str| PrincipalContext::new(who, bench.clock.now(), &NoContext).single(key);
    assert_eq!(value(&first, "aws:principaltag/team").as_deref(), Some("ml"), "over the role's own");
    assert_eq!(value(&first, "aws:principaltag/x").as_deref(), Some("y"));
    assert_eq!(value(&first, "aws:sourceidentity").as_deref(), Some("alice"));
    assert_eq!(value(&first, "aws:principalarn").as_deref(), Some(ROLE));
    assert_eq!(value(&first, "aws:username"), None);
    let second = is(&bench, &bench.ids.assume_role(asks(&first, ROLE)).await.unwrap()).await;
    assert_eq!(value(&second, "aws:principaltag/cost").as_deref(), Some("1"), "handed on");
    assert_eq!(value(&second, "aws:principaltag/team").as_deref(), Some("role"), "not handed on");
    assert_eq!(value(&second, "aws:sourceidentity").as_deref(), Some("alice"));
    let other_source = AssumeRole { source_identity: Some("bob"), ..asks(&first, ROLE) };
    assert_eq!(code(bench.ids.assume_role(other_source).await), Code::AccessDenied);
    let anew = AssumeRole { tags: &tags[1..], ..asks(&first, ROLE) };
    assert_eq!(code(bench.ids.assume_role(anew).await), Code::InvalidInput);
    let long = AssumeRole { duration_secs: Some(3601), ..asks(&first, ROLE) };
    bench.ids.update_role(own(), "reader", None, Some(43_200)).await.unwrap();
    assert_eq!(code(bench.ids.assume_role(long).await), Code::ValidationError, "chained");
    bench.ids.assume_role(AssumeRole { duration_secs: Some(43_200), ..asks(&who, ROLE) }).await.unwrap();
}

#[tokio::test]
async fn users_and_root_have_sessions_of_their_own_and_for_others() {
    let (bench, who) = with_role(&trust("111122223333", "")).await;
    bench.ids.put_inline(own(), Owner::User("a"), "reads", ALLOW).await.unwrap();
    let key = bench.key("a").await;
    let who = {
        drop(who);
        bench.signs(&key).await.unwrap()
    };
    let token = bench.ids.session_token(&who, None, None).await.unwrap();
    let session = bench.session(&token).await.unwrap();
    assert_eq!(session.arn(), who.arn());
    assert!(reads(&session, own()));
    let may = |who: &Principal, action: &str| {
        who.may(action, "arn:aws:iam::111122223333:user/a", own(), &NoContext).is_allowed()
    };
    bench.ids.attach(own(), Owner::User("a"), "arn:aws:iam::aws:policy/AdministratorAccess").await.unwrap();
    let session = bench.session(&token).await.unwrap();
    assert!(may(&bench.signs(&key).await.unwrap(), "iam:GetUser") && !may(&session, "iam:GetUser"));
    assert!(may(&session, "sts:AssumeRole") && !may(&session, "sts:GetFederationToken"));
    assert_eq!(code(bench.ids.session_token(&session, None, None).await), Code::AccessDenied);
    let tags = [Tag { key: "team".into(), value: "ml".into() }];
    let tagged = AssumeRole { tags: &tags, source_identity: Some("alice"), ..asks(&session, ROLE) };
    bench.ids.assume_role(tagged).await.unwrap();
    let root = Principal::Root(own());
    let of_root = bench.ids.session_token(&root, Some(3600), None).await.unwrap();
    assert!(bench.session(&of_root).await.unwrap().is_root_of(own()));
    assert_eq!(code(bench.ids.session_token(&root, Some(3601), None).await), Code::ValidationError);
    // Somebody else's may nothing that it was not made with.
    for (maker, policy, may) in [
        (&who, None, false),
        (&who, Some(ALLOW), true),
        (&root, Some(ALLOW), true),
        (&root, Some(DENY), false),
    ] {
        let asked = FederationToken {
            who: maker,
            name: "guest",
            duration_secs: None,
            bounds: SessionBounds { policy, policy_arns: &[] },
            tags: &[],
        };
        let made = bench.ids.federation_token(asked).await.unwrap();
        assert_eq!(
            (made.arn.as_str(), made.id.as_str()),
            ("arn:aws:sts::111122223333:federated-user/guest", "111122223333:guest")
        );
        let guest = is(&bench, &made).await;
        assert_eq!(reads(&guest, own()), may, "{maker:?} {policy:?}");
        assert!(!guest.is_root_of(own()));
        assert!(!guest.may("iam:GetUser", "*", own(), &NoContext).is_allowed());
        assert!(bench.session(&made.credentials).await.is_some());
    }
    bench.ids.delete_access_key(own(), crate::identity::KeyOwner::User("a"), key.as_str()).await.unwrap();
    assert!(bench.session(&token).await.is_some(), "a session outlives the key");
}

#[tokio::test]
async fn a_guest_is_not_its_maker_to_a_condition() {
    let (bench, who) = with_role(&trust("111122223333", "")).await;
    let asked = FederationToken {
        who: &who,
        name: "guest",
        duration_secs: None,
        bounds: SessionBounds::default(),
        tags: &[],
    };
    let guest = is(&bench, &bench.ids.federation_token(asked).await.unwrap()).await;
    let arn = |who: &Principal| {
        PrincipalContext::new(who, bench.clock.now(), &NoContext).single("aws:principalarn").unwrap()
    };
    assert_eq!(arn(&who), "arn:aws:iam::111122223333:user/a");
    assert_eq!(arn(&guest), "arn:aws:sts::111122223333:federated-user/guest");
    let narrowed = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*",
        "Condition":{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333:user/a"}}}}"#;
    let policy = Policy::parse(narrowed, Form::Resource, 1 << 14).unwrap();
    let sources = Sources { resource: Some(&policy), owner: Some(own()), ..Sources::default() };
    for (who, may) in [(&who, true), (&guest, false)] {
        let context = PrincipalContext::new(who, bench.clock.now(), &NoContext);
        let verdict =
            who.verdict("s3:GetObject", "arn:aws:s3:::bucket/key", &context, (&sources, Pins::nobody()));
        assert_eq!(verdict.is_allowed(), may, "{who:?}");
    }
}

#[tokio::test]
async fn a_policy_that_names_a_roles_session_means_the_role_that_had_the_name_when_it_was_set() {
    let (bench, who) = with_role(&trust("111122223333", "")).await;
    bench.ids.delete_inline(own(), Owner::Role("reader"), "reads").await.unwrap();
    let of = async |name| {
        let asked = AssumeRole { session_name: name, ..asks(&who, ROLE) };
        is(&bench, &bench.ids.assume_role(asked).await.unwrap()).await
    };
    let text = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":["arn:aws:sts::111122223333:assumed-role/reader/job",
        "arn:aws:sts::111122223333:assumed-role/reader/night"]},"Action":"s3:*","Resource":"*"}}"#;
    let policy = Policy::parse(text, Form::Resource, 1 << 14).unwrap();
    let pins = bench.ids.pins(&policy).unwrap();
    let sources = Sources { resource: Some(&policy), owner: Some(own()), ..Sources::default() };
    let may = |who: &Principal| {
        let object = "arn:aws:s3:::bucket/key";
        who.verdict("s3:GetObject", object, &NoContext, (&sources, &pins)).is_allowed()
    };
    let (first, second, other) = (of("job").await, of("night").await, of("day").await);
    assert!(may(&first) && may(&second) && !may(&other));
    assert_eq!(bench.ids.shown(text, &pins), text);
    // A role's own pin is no session's.
    let role = text.replace("arn:aws:sts::111122223333:assumed-role/reader/night", ROLE);
    let role = Policy::parse(&role, Form::Resource, 1 << 14).unwrap();
    let beside = bench.ids.pins(&role).unwrap();
    let sources = Sources { resource: Some(&role), ..sources };
    let by_both = |who: &Principal| {
        let object = "arn:aws:s3:::bucket/key";
        who.verdict("s3:GetObject", object, &NoContext, (&sources, &beside)).is_allowed()
    };
    assert!(by_both(&first) && by_both(&second));
    bench.ids.delete_role(own(), "reader").await.unwrap();
    let id = first.user_id();
    let (id, _) = id.split_once(':').unwrap();
    let gone = text.replace("arn:aws:sts::111122223333:assumed-role/reader/", &format!("{id}:"));
    assert_eq!(bench.ids.shown(text, &pins), gone, "who is gone has an id");
    let new = NewRole { name: "reader", trust: &trust("111122223333", ""), ..NewRole::default() };
    bench.ids.create_role(own(), new).await.unwrap();
    let namesake = of("job").await;
    assert_eq!(namesake.arn(), first.arn());
    assert!(!may(&namesake) && !by_both(&namesake), "somebody else");
    let other_case = text.replace("reader/job", "READER/job");
    bench.ids.pins(&Policy::parse(&other_case, Form::Resource, 1 << 14).unwrap()).unwrap_err();
}

#[tokio::test]
async fn an_account_whose_profiles_are_gone_signs_no_more_until_one_is_back() {
    let (mut bench, who) = with_role(&trust("111122223333", "")).await;
    let (root, key) = (Principal::Root(own()), bench.key("a").await);
    let of_root = bench.ids.create_access_key(own(), KeyOwner::Root).await.unwrap().key.id;
    let sessions = [
        bench.ids.session_token(&who, None, None).await.unwrap(),
        bench.ids.session_token(&root, None, None).await.unwrap(),
        bench.ids.assume_role(asks(&who, ROLE)).await.unwrap().credentials,
    ];
    let file = bench.roots.clone();
    let without = "[other]\naws_access_key_id = AKIAI44QH8DHBEXAMPLE\naws_secret_access_key = je7MtGbClwBF\naws_account_id = 444455556666\n";
    bench.roots = Arc::new(File::parse(without, other()).unwrap());
    let is_in = async |bench: &Bench, may| {
        for key in [&key, &of_root] {
            assert_eq!(bench.ids.lookup(key.as_str()).is_some(), may);
            assert_eq!(bench.signs(key).await.is_some(), may);
        }
        for session in &sessions {
            let opened = bench.ids.session(session.id.as_str(), &session.token, bench.clock.now());
            assert_eq!(opened.map(drop), if may { Ok(()) } else { Err(TokenError::Unknown) });
            assert_eq!(bench.session(session).await.is_some(), may);
        }
    };
    is_in(&bench, true).await;
    let found = bench.ids.lookup(key.as_str()).unwrap();
    bench.ids = bench.reopened().await;
    is_in(&bench, false).await;
    let bearer = Bearer { account: own(), holder: &found.holder, access_key_id: &key, service: "s3" };
    assert!(bench.ids.principal(bearer).await.unwrap().is_none());
    bench.roots = file;
    bench.ids = bench.reopened().await;
    is_in(&bench, true).await;
}

#[tokio::test]
async fn keys_that_a_recovery_may_have_brought_back_are_told() {
    let bench = Bench::new().await;
    bench.user("a").await;
    let (first, second) = (bench.key("a").await, bench.key("a").await);
    bench.clock.advance(Duration::from_secs(10));
    let recovered = bench.clock.now();
    bench.user("b").await;
    let after = bench.key("b").await;
    let told = |time| bench.ids.active_keys_from_before(time);
    let mut both = vec![(own(), first.clone()), (own(), second.clone())];
    both.sort();
    assert_eq!(told(recovered), both);
    assert!(told(recovered.plus(Duration::from_secs(1))).contains(&(own(), after)));
    let inactive = KeyStatus::Inactive;
    bench.ids.update_access_key(own(), KeyOwner::User("a"), first.as_str(), inactive).await.unwrap();
    assert_eq!(told(recovered), [(own(), second)]);
}
