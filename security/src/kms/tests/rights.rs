//! Who may, by the key's policy and by conditions.

use super::super::{KmsError, NewKey};
use super::{Bench, arn, asks, code, context, document, own, root, says, tells};

#[tokio::test]
async fn a_policy_that_is_not_of_the_grammar_is_refused_with_its_place() {
    let bench = Bench::new().await;
    let key = bench.key(None).await;
    let put = async |text: &str| bench.kms.put_key_policy(&root(), &key, text, true).await.unwrap_err();
    let asked = |key: &str| {
        format!(
            r#"{{"Statement":{{"Effect":"Deny","Principal":"*","Action":"kms:*","Resource":"*","Condition":{{"StringEquals":{{"{key}":"a"}}}}}}}}"#
        )
    };
    for (text, place) in [
        (r#"{"Statement":[{}]}"#.to_owned(), "Statement[0]"),
        (r#"{"Statement":[],}"#.to_owned(), "line 1"),
        (document(&tells("Allow", "arn:aws:iam::111122223333:user/nobody", "\"kms:*\"")), "Statement[0]"),
        (asked("kms:Unheard"), "Condition"),
        (asked("kms:ViaService").replace("StringEquals", "StringLooksLike"), "StringLooksLike"),
    ] {
        let KmsError { code, message, .. } = put(&text).await;
        assert_eq!(code.as_str(), "MalformedPolicyDocumentException", "{text}");
        assert!(message.contains(place), "{message}");
    }
    bench.kms.put_key_policy(&root(), &key, &asked("kms:EncryptionContext:a"), true).await.unwrap();
}

#[tokio::test]
async fn nobody_locks_himself_out_unless_he_says_that_he_knows() {
    let bench = Bench::new().await;
    let alice = bench.user("alice", "").await;
    let alice = bench.who(&alice).await;
    let only_alice = document(&tells("Allow", &arn("alice"), "\"kms:*\""));
    let new = NewKey { policy: Some(&only_alice), ..NewKey::default() };
    assert_eq!(code(bench.kms.create_key(&root(), &new).await), "MalformedPolicyDocumentException");
    let key = bench.key(Some(&only_alice)).await;
    // The root too is nobody to a key that does not name it.
    assert_eq!(code(bench.encrypt(&root(), &key).await), "AccessDeniedException");
    bench.encrypt(&asks(&alice), &key).await.unwrap();
    let less = document(&tells("Allow", &arn("alice"), "\"kms:Encrypt\""));
    let put = bench.kms.put_key_policy(&asks(&alice), &key, &less, false).await;
    assert_eq!(code(put), "MalformedPolicyDocumentException");
    bench.kms.put_key_policy(&asks(&alice), &key, &less, true).await.unwrap();
    assert_eq!(code(bench.kms.key_policy(&asks(&alice), &key).await), "AccessDeniedException");
}

#[tokio::test]
async fn conditions_know_the_context_the_alias_and_the_service() {
    let bench = Bench::new().await;
    let allow = |condition: &str| {
        document(&format!(
            r#"{},{{"Effect":"Allow","Principal":"*","Action":"kms:Encrypt","Resource":"*","Condition":{condition}}}"#,
            tells("Allow", &format!("arn:aws:iam::{}:root", own()), "\"kms:PutKeyPolicy\"")
        ))
    };
    let alice = bench.user("alice", "").await;
    let alice = bench.who(&alice).await;
    let key = bench.key(Some(&allow(r#"{"Bool":{"aws:ViaAWSService":"true"}}"#))).await;
    bench.kms.create_key(&root(), &NewKey::default()).await.unwrap();
    let pairs = context(&[("Tenant", "a"), ("app", "x")]);
    let encrypts = async |condition: &str| {
        bench.kms.put_key_policy(&root(), &key, &allow(condition), true).await.unwrap();
        code(bench.encrypt_with(&asks(&alice), &key, &pairs).await)
    };
    let no = "AccessDeniedException";
    assert_eq!(encrypts(r#"{"StringEquals":{"kms:EncryptionContext:tenant":"a"}}"#).await, "done");
    assert_eq!(encrypts(r#"{"StringEquals":{"kms:EncryptionContext:tenant":"b"}}"#).await, no);
    assert_eq!(
        encrypts(r#"{"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":["Tenant"]}}"#).await,
        no
    );
    assert_eq!(
        encrypts(r#"{"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":["Tenant","app"]}}"#).await,
        "done"
    );
    assert_eq!(encrypts(r#"{"StringEquals":{"kms:CallerAccount":"111122223333"}}"#).await, "done");
    assert_eq!(encrypts(r#"{"StringEquals":{"kms:KeySpec":"SYMMETRIC_DEFAULT"}}"#).await, "done");
    let via = r#"{"StringEquals":{"kms:ViaService":"s3.us-east-1.amazonaws.com"}}"#;
    assert_eq!(encrypts(via).await, no);
    let by = asks(&alice).by("s3.us-east-1.amazonaws.com");
    bench.encrypt_with(&by, &key, &pairs).await.unwrap();
    assert_eq!(encrypts(r#"{"StringEquals":{"kms:RequestAlias":"alias/a"}}"#).await, no);
    assert_eq!(encrypts(r#"{"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/a"}}"#).await, no);
}

#[tokio::test]
async fn aliases_are_known_to_conditions_where_they_are_asked_for() {
    let bench = Bench::new().await;
    let alice = bench.user(
        "alice",
        r#"{"Effect":"Allow","Action":"kms:Encrypt","Resource":"*","Condition":{"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/a"}}}"#,
    );
    let alice = alice.await;
    let alice = bench.who(&alice).await;
    let key = bench.key(None).await;
    assert_eq!(code(bench.encrypt(&asks(&alice), &key).await), "AccessDeniedException");
    bench.kms.create_alias(&root(), "alias/a", &key).await.unwrap();
    bench.encrypt(&asks(&alice), &key).await.unwrap();
    // An alias is its account's users' to turn by policies of their own.
    let bob = bench.user("bob", &says("Allow", "\"kms:*\"", "arn:aws:kms:*:*:key/*")).await;
    let bob = bench.who(&bob).await;
    let made = bench.kms.create_alias(&asks(&bob), "alias/b", &key).await;
    assert_eq!(code(made), "AccessDeniedException");
}

#[tokio::test]
async fn keys_of_another_account_tell_nothing() {
    let bench = Bench::new().await;
    let key = bench.key(None).await;
    let sealed = bench.encrypt(&root(), &key).await.unwrap().ciphertext;
    let theirs = crate::Principal::Root(super::other());
    let absent = key.replace(&key[key.len() - 4..], "0000");
    for key in [&key, &absent] {
        assert_eq!(code(bench.encrypt(&asks(&theirs), key).await), "AccessDeniedException");
        assert_eq!(code(bench.kms.describe_key(&asks(&theirs), key).await), "AccessDeniedException");
        assert_eq!(code(bench.kms.disable_key(&asks(&theirs), key).await), "AccessDeniedException");
    }
    assert_eq!(code(bench.decrypt(&asks(&theirs), &sealed).await), "AccessDeniedException");
    let nobody = crate::Principal::Anonymous;
    assert_eq!(code(bench.encrypt(&asks(&nobody), &key).await), "AccessDeniedException");
}
