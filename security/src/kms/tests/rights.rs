//! Who may, by the key's policy and by conditions.

use super::super::{Asks, KmsError, NewKey, Paging, Retire};
use super::{Bench, arn, asks, code, context, delegates, document, own, root, says, tells};

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
    // Not by words either, where those are of one who may all that another account can give.
    bench.kms.create_alias(&root(), "alias/payroll", &key).await.unwrap();
    let eve = bench.user_of(super::other(), "eve", &says("Allow", "\"kms:*\"", "*")).await;
    let eve = bench.who(&eve).await;
    let alias = |name: &str| format!("arn:aws:kms:us-east-1:{}:alias/{name}", own());
    let (is, is_not) = (alias("payroll"), alias("nobody"));
    let told = async |key: &str, alias: &str| {
        let eve = asks(&eve);
        let garbage = ["bm8=".to_owned()];
        let tokens = Asks { grant_tokens: &garbage, ..eve };
        let paging = Paging { after: None, limit: 10 };
        let retires = |grant| Retire::Of { key, grant };
        let hex = "00".repeat(32);
        [
            bench.encrypt(&eve, alias).await.map(drop),
            bench.encrypt(&eve, key).await.map(drop),
            bench.encrypt(&tokens, key).await.map(drop),
            bench.kms.describe_key(&eve, alias).await.map(drop),
            bench.kms.disable_key(&eve, key).await,
            bench.kms.aliases(&eve, Some(key), paging).await.map(drop),
            bench.kms.retire_grant(&eve, retires(&hex)).await,
            bench.kms.retire_grant(&eve, retires("x")).await,
        ]
        .map(|outcome| outcome.unwrap_err().to_string())
    };
    assert_eq!(told(&key, &is).await, told(&absent, &is_not).await);
    let nobody = crate::Principal::Anonymous;
    assert_eq!(code(bench.encrypt(&asks(&nobody), &key).await), "AccessDeniedException");
}

#[tokio::test]
async fn the_check_of_lock_outs_sees_what_the_next_request_will_say() {
    let bench = Bench::new().await;
    let tags = [crate::identity::Tag { key: "team".into(), value: "a".into() }];
    let own = format!("arn:aws:iam::{}:root", own());
    let key = bench.key(None).await;
    for (name, value) in [
        ("kms:KeySpec", "SYMMETRIC_DEFAULT"),
        ("kms:KeyUsage", "ENCRYPT_DECRYPT"),
        ("kms:PolicyName", "default"),
        ("kms:BypassPolicyLockoutSafetyCheck", "false"),
        ("aws:ResourceAccount", "111122223333"),
    ] {
        let denies = format!(
            r#"{},{{"Effect":"Deny","Principal":"*","Action":"kms:*","Resource":"*","Condition":{{"StringEquals":{{"{name}":"{value}"}}}}}}"#,
            delegates()
        );
        let put = bench.kms.put_key_policy(&root(), &key, &document(&denies), false).await;
        assert_eq!(code(put), "MalformedPolicyDocumentException", "{name}");
        let new = NewKey { policy: Some(&document(&denies)), ..NewKey::default() };
        assert_eq!(
            code(bench.kms.create_key(&root(), &new).await),
            "MalformedPolicyDocumentException",
            "{name}"
        );
    }
    bench.kms.create_alias(&root(), "alias/a", &key).await.unwrap();
    let allows = |name: &str| {
        document(&format!(
            r#"{{"Effect":"Allow","Principal":{{"AWS":"{own}"}},"Action":"kms:*","Resource":"*","Condition":{{"ForAnyValue:StringEquals":{{"{name}":["a","alias/a"]}}}}}}"#
        ))
    };
    let tagged = allows("aws:ResourceTag/team");
    let put = bench.kms.put_key_policy(&root(), &key, &tagged, false).await;
    assert_eq!(code(put), "MalformedPolicyDocumentException");
    let new = NewKey { policy: Some(&tagged), tags: &tags, ..NewKey::default() };
    bench.kms.create_key(&root(), &new).await.unwrap();
    bench.kms.put_key_policy(&root(), &key, &allows("kms:ResourceAliases"), false).await.unwrap();
}
