//! What is simulated is what is decided.

use super::{ALLOW, Bench, DENY, other, own, reads};
use crate::identity::{Answer, Code, Owner, Simulated, Simulation, SourceKind};
use crate::policy::{GivenContext, NoContext};
use std::sync::Arc;

const OBJECT: &str = "arn:aws:s3:::bucket/key";

fn of<'a>(entity: Option<Owner<'a>>, documents: &'a [&'a str]) -> Simulation<'a> {
    Simulation {
        entity,
        documents,
        boundary: None,
        actions: &["s3:GetObject"],
        resources: &[OBJECT],
        resource_policy: None,
        resource_owner: None,
        context: &NoContext,
    }
}

async fn one(bench: &Bench, asked: Simulation<'_>) -> Answer {
    let mut answers = bench.ids.simulate(own(), asked).await.unwrap();
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

#[tokio::test]
async fn a_simulation_says_how_it_is_decided_and_by_which_policy() {
    let bench = Bench::new().await;
    let ids = &bench.ids;
    bench.user("alice").await;
    let key = bench.key("alice").await;
    let alice = Owner::User("alice");
    let decided = async |asked| {
        let answer = one(&bench, asked).await;
        (answer.decision, answer.by.map(|(source, statement)| (source.kind, source.id, statement)))
    };
    let by = |kind, id: &str| Some((kind, id.to_owned(), 0));
    let mut steps = Vec::new();
    steps.push((decided(of(Some(alice), &[])).await, reads(&bench.signs(&key).await.unwrap(), own())));
    ids.create_group(own(), "readers", None).await.unwrap();
    ids.put_inline(own(), Owner::Group("readers"), "p", ALLOW).await.unwrap();
    ids.add_to_group(own(), "readers", "alice").await.unwrap();
    steps.push((decided(of(Some(alice), &[])).await, reads(&bench.signs(&key).await.unwrap(), own())));
    let arn = bench.policy("denies", DENY).await;
    ids.attach(own(), alice, &arn).await.unwrap();
    steps.push((decided(of(Some(alice), &[])).await, reads(&bench.signs(&key).await.unwrap(), own())));
    let expected = [
        (Simulated::ImplicitDeny, None),
        (Simulated::Allowed, by(SourceKind::Group, "group_readers_p")),
        (Simulated::ExplicitDeny, by(SourceKind::UserManaged, &arn)),
    ];
    for ((found, may), wanted) in steps.into_iter().zip(expected) {
        assert_eq!(may, found.0 == Simulated::Allowed);
        assert_eq!(found, wanted);
    }
    // What is given besides, and the boundary in place of the own one.
    ids.detach(own(), alice, &arn).await.unwrap();
    assert_eq!(decided(of(Some(alice), &[DENY])).await.1, by(SourceKind::Given, "PolicyInputList.1"));
    let s3 = r#"{"Statement":{"Effect":"Allow","Action":"s3:Put*","Resource":"*"}}"#;
    let bounded = one(&bench, Simulation { boundary: Some(s3), ..of(Some(alice), &[]) }).await;
    assert_eq!((bounded.decision, bounded.bounded), (Simulated::ImplicitDeny, true));
    let cross = Simulation { resource_owner: Some(other()), ..of(Some(alice), &[]) };
    assert_eq!(decided(cross).await.0, Simulated::ImplicitDeny);
    let policy = r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/alice"},"Action":"s3:*","Resource":"*"}}"#;
    let shared = Simulation { resource_policy: Some(policy), ..cross };
    assert_eq!(decided(shared).await.0, Simulated::Allowed);
    assert_eq!(
        ids.simulate(own(), of(Some(Owner::User("bob")), &[])).await.unwrap_err().code,
        Code::NoSuchEntity
    );
    assert_eq!(ids.simulate(own(), of(None, &["{}"])).await.unwrap_err().code, Code::MalformedPolicyDocument);
    let many: Vec<&str> = std::iter::repeat_n("s3:GetObject", 1_001).collect();
    let many = Simulation { actions: &many, ..of(None, &[ALLOW]) };
    assert_eq!(ids.simulate(own(), many).await.unwrap_err().code, Code::InvalidInput);
}

#[tokio::test]
async fn a_simulation_says_which_keys_are_missing() {
    let bench = Bench::new().await;
    let text = r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:UserId":"x","s3:prefix":"a"}}}}"#;
    let documents = [text];
    let context = GivenContext::default().with("s3:prefix", ["a"]);
    let answer = one(&bench, Simulation { context: &context, ..of(None, &documents) }).await;
    assert_eq!(
        (answer.decision, &*answer.missing),
        (Simulated::ImplicitDeny, &["aws:userid".to_owned()][..])
    );
    let context = context.with("aws:userid", ["x"]);
    let answer = one(&bench, Simulation { context: &context, resources: &[], ..of(None, &documents) }).await;
    assert_eq!((answer.decision, answer.resource.as_str()), (Simulated::Allowed, "*"));
    assert_eq!(bench.ids.context_keys(own(), None, &documents).await.unwrap(), ["aws:userid", "s3:prefix"]);
}

#[tokio::test]
async fn all_answers_share_a_bounded_list_of_what_is_missing() {
    let bench = Bench::new().await;
    let keys: Vec<String> = (0..2_000).map(|n| format!(r#""a:k{n:04}":"x""#)).collect();
    let text = format!(
        r#"{{"Statement":{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{{"StringEquals":{{{}}}}}}}}}"#,
        keys.join(",")
    );
    let documents = [text.as_str()];
    let actions: Vec<&str> = std::iter::repeat_n("s3:GetObject", 1_000).collect();
    let context = GivenContext::default().with("a:k0001", ["x"]);
    let asked = Simulation { actions: &actions, context: &context, ..of(None, &documents) };
    let answers = bench.ids.simulate(own(), asked).await.unwrap();
    assert_eq!(answers.len(), 1_000);
    let first = &answers[0].missing;
    assert!(answers.iter().all(|answer| Arc::ptr_eq(&answer.missing, first)));
    assert_eq!(first.len(), (4 << 10) / "a:k0000".len());
    assert_eq!(first[..2], ["a:k0000", "a:k0002"]);
    assert_eq!(bench.ids.context_keys(own(), None, &documents).await.unwrap().len(), 2_000);
    let long = format!("{}{text}", " ".repeat(64 << 10));
    let asked = Simulation { resource_policy: Some(&long), ..of(None, &documents) };
    assert_eq!(bench.ids.simulate(own(), asked).await.unwrap_err().code, Code::MalformedPolicyDocument);
}
