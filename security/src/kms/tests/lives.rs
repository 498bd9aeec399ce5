//! How keys live: disabled, waiting for their end, gone, with other material.

use super::super::{KeyState, NewKey, Paging, RotationKind, row};
use super::{Bench, code, context, root};
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn a_disabled_key_serves_nobody_who_asks_after_the_answer() {
    let bench = Bench::new().await;
    let key = bench.key(None).await;
    let data = bench.kms.generate_data_key(&root(), &key, &context(&[("a", "b")])).await.unwrap();
    let open =
        async |pairs: &[(&str, &str)]| bench.kms.decrypt(&root(), &data.ciphertext, &context(pairs)).await;
    assert_eq!(*open(&[("a", "b")]).await.unwrap(), *data.plaintext);
    assert_eq!(code(open(&[("a", "c")]).await), "InvalidCiphertextException");
    let epoch = bench.kms.epoch();
    bench.kms.disable_key(&root(), &key).await.unwrap();
    assert_ne!(bench.kms.epoch(), epoch, "whoever keeps an unwrapped key is told");
    assert_eq!(code(open(&[("a", "b")]).await), "DisabledException");
    assert_eq!(code(bench.encrypt(&root(), &key).await), "DisabledException");
    bench.kms.enable_key(&root(), &key).await.unwrap();
    open(&[("a", "b")]).await.unwrap();
}

#[tokio::test]
async fn a_key_goes_after_its_time_of_waiting_with_all_that_it_had() {
    let bench = Bench::new().await;
    let key = bench.key(None).await;
    bench.kms.create_alias(&root(), "alias/a", &key).await.unwrap();
    bench.kms.enable_key_rotation(&root(), &key, None).await.unwrap();
    let grantee = "arn:aws:iam::444455556666:root";
    let grant = super::super::NewGrant {
        key: &key,
        name: None,
        grantee,
        retiring: Some(grantee),
        operations: [super::super::GrantOperation::Encrypt].into_iter().collect(),
        constraint: None,
    };
    bench.kms.create_grant(&root(), grant).await.unwrap();
    let sealed = bench.encrypt(&root(), "alias/a").await.unwrap().ciphertext;
    for days in [6, 31] {
        assert_eq!(
            code(bench.kms.schedule_key_deletion(&root(), &key, Some(days)).await),
            "ValidationException"
        );
    }
    let (_, at, _) = bench.kms.schedule_key_deletion(&root(), &key, Some(7)).await.unwrap();
    let shown = bench.kms.describe_key(&root(), &key).await.unwrap();
    assert_eq!((shown.state, shown.deletion), (KeyState::PendingDeletion, Some(at)));
    assert_eq!(code(bench.decrypt(&root(), &sealed).await), "KMSInvalidStateException");
    assert_eq!(code(bench.kms.enable_key(&root(), &key).await), "KMSInvalidStateException");
    bench.kms.cancel_key_deletion(&root(), &key).await.unwrap();
    bench.clock.advance(8 * DAY);
    bench.work().await;
    assert_eq!(bench.kms.describe_key(&root(), &key).await.unwrap().state, KeyState::Disabled);
    bench.kms.schedule_key_deletion(&root(), &key, Some(7)).await.unwrap();
    bench.clock.advance((7 * DAY).saturating_sub(Duration::from_secs(1)));
    bench.work().await;
    bench.kms.describe_key(&root(), &key).await.unwrap();
    bench.clock.advance(Duration::from_secs(1));
    bench.work().await;
    assert_eq!(code(bench.kms.describe_key(&root(), &key).await), "NotFoundException");
    assert_eq!(code(bench.encrypt(&root(), "alias/a").await), "NotFoundException");
    assert_eq!(code(bench.decrypt(&root(), &sealed).await), "AccessDeniedException");
    for table in [
        row::KEYS,
        row::POLICIES,
        row::BACKING,
        row::ALIASES,
        row::ALIASES_OF,
        row::GRANTS,
        row::GRANTED,
        row::RETIRABLE,
        row::DUE,
    ] {
        assert_eq!(bench.rows(table).await, 0, "{table:?}");
    }
}

#[tokio::test]
async fn old_backing_keys_decrypt_and_the_newest_encrypts() {
    let bench = Bench::new().await;
    let key = bench.key(None).await;
    let first = bench.encrypt(&root(), &key).await.unwrap();
    assert_eq!(code(bench.kms.enable_key_rotation(&root(), &key, Some(89)).await), "ValidationException");
    bench.kms.enable_key_rotation(&root(), &key, Some(90)).await.unwrap();
    bench.clock.advance(89 * DAY);
    bench.work().await;
    assert_eq!(bench.encrypt(&root(), &key).await.unwrap().material_id, first.material_id);
    bench.clock.advance(DAY);
    bench.work().await;
    let second = bench.encrypt(&root(), &key).await.unwrap();
    bench.kms.rotate_key_on_demand(&root(), &key).await.unwrap();
    let third = bench.encrypt(&root(), &key).await.unwrap();
    for sealed in [&first, &second, &third] {
        assert_eq!(bench.decrypt(&root(), &sealed.ciphertext).await.unwrap().material_id, sealed.material_id);
    }
    assert!(first.material_id != second.material_id && second.material_id != third.material_id);
    // A key that is not in use is not turned, and is when it is used again.
    bench.kms.disable_key(&root(), &key).await.unwrap();
    bench.clock.advance(100 * DAY);
    bench.work().await;
    bench.kms.enable_key(&root(), &key).await.unwrap();
    bench.work().await;
    let fourth = bench.encrypt(&root(), &key).await.unwrap();
    assert_ne!(fourth.material_id, third.material_id);
    let paging = Paging { after: None, limit: 100 };
    let (_, page) = bench.kms.key_rotations(&root(), (&key, false), paging).await.unwrap();
    let kinds: Vec<_> = page.items.iter().map(|item| item.rotation.unwrap().1).collect();
    assert_eq!(kinds, [RotationKind::Automatic, RotationKind::OnDemand, RotationKind::Automatic]);
    let (_, all) = bench.kms.key_rotations(&root(), (&key, true), paging).await.unwrap();
    assert_eq!((all.items.len(), all.items[3].is_current), (4, true));
    bench.kms.disable_key_rotation(&root(), &key).await.unwrap();
    assert_eq!(bench.rows(row::DUE).await, 0);
}

#[tokio::test]
async fn a_quota_is_told_and_pages_end() {
    let bench = Bench::new().await;
    let key = bench.key(None).await;
    for n in 0..50 {
        bench.kms.create_alias(&root(), &format!("alias/{n:02}"), &key).await.unwrap();
    }
    assert_eq!(code(bench.kms.create_alias(&root(), "alias/more", &key).await), "LimitExceededException");
    assert_eq!(code(bench.kms.create_alias(&root(), "alias/00", &key).await), "AlreadyExistsException");
    assert_eq!(code(bench.kms.create_alias(&root(), "alias/aws/x", &key).await), "NotAuthorizedException");
    assert_eq!(code(bench.kms.create_alias(&root(), "aliases", &key).await), "InvalidAliasNameException");
    let mut after = None;
    let mut names = Vec::new();
    loop {
        let paging = Paging { after: after.as_deref(), limit: 7 };
        let page = bench.kms.aliases(&root(), Some(&key), paging).await.unwrap();
        names.extend(page.items.into_iter().map(|alias| alias.name));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(names.len(), 50);
    let other = bench.key(None).await;
    bench.kms.update_alias(&root(), "alias/00", &other).await.unwrap();
    bench.kms.create_alias(&root(), "alias/more", &key).await.unwrap();
    bench.kms.delete_alias(&root(), "alias/01").await.unwrap();
    let sealed = bench.encrypt(&root(), "alias/00").await.unwrap();
    assert_eq!(sealed.key_arn, other);
    let (_, keys) = bench.kms.keys(&root(), Paging { after: None, limit: 1 }).await.unwrap();
    let (_, rest) = bench.kms.keys(&root(), Paging { after: keys.next.as_deref(), limit: 9 }).await.unwrap();
    assert_eq!((keys.items.len(), rest.items.len()), (1, 1));
}

#[tokio::test]
async fn an_appliance_without_keys_has_no_row_and_a_service_key_is_made_when_it_is_used() {
    let bench = Bench::new().await;
    assert_eq!(bench.rows(row::KEYS).await + bench.rows(row::COUNTS).await, 0);
    let none = context(&[]);
    assert_eq!(code(bench.kms.generate_data_key(&root(), "alias/aws/s3", &none).await), "NotFoundException");
    let asks = root().by("s3.us-east-1.amazonaws.com");
    let data = bench.kms.generate_data_key(&asks, "alias/aws/s3", &none).await.unwrap();
    let again = bench.kms.generate_data_key(&asks, "alias/aws/s3", &none).await.unwrap();
    assert_eq!(data.key_arn, again.key_arn);
    assert_eq!(*bench.kms.decrypt(&asks, &data.ciphertext, &none).await.unwrap(), *data.plaintext);
    // By nobody but the service.
    assert_eq!(code(bench.kms.decrypt(&root(), &data.ciphertext, &none).await), "AccessDeniedException");
    assert_eq!(code(bench.kms.disable_key(&root(), &data.key_arn).await), "AccessDeniedException");
    assert_eq!(bench.kms.describe_key(&root(), &data.key_arn).await.unwrap().manager.as_str(), "AWS");
    let new = NewKey { policy: Some("{"), ..NewKey::default() };
    assert_eq!(code(bench.kms.create_key(&root(), &new).await), "MalformedPolicyDocumentException");
}

#[tokio::test]
async fn a_key_that_is_enabled_while_its_rotation_is_looked_at_rotates() {
    let bench = Bench::new().await;
    let key = bench.kms.create_key(&root(), &NewKey::default()).await.unwrap();
    bench.kms.enable_key_rotation(&root(), &key.arn, Some(90)).await.unwrap();
    bench.kms.disable_key(&root(), &key.arn).await.unwrap();
    let due = bench.kms.now().plus(90 * DAY);
    bench.clock.advance(91 * DAY);
    let (seen, _) = bench.kms.what_is_due((due, row::Task::Rotate), key.account, key.id).await.unwrap();
    bench.kms.enable_key(&root(), &key.arn).await.unwrap();
    assert_eq!(
        code(bench.kms.apply(seen).await),
        "DependencyTimeoutException",
        "what it saw is no longer so"
    );
    bench.work().await;
    let paging = Paging { after: None, limit: 10 };
    let (_, rotations) = bench.kms.key_rotations(&root(), (&key.arn, false), paging).await.unwrap();
    assert_eq!(rotations.items.len(), 1);
    assert_eq!(bench.rows(row::DUE).await, 1);
}

#[tokio::test]
async fn a_wall_clock_that_is_set_ends_no_key_before_its_time() {
    let bench = Bench::new().await;
    let (ahead, back) = (bench.key(None).await, bench.key(None).await);
    let now = bench.kms.now();
    bench.kms.schedule_key_deletion(&root(), &ahead, Some(7)).await.unwrap();
    bench.clock.set_wall(now.plus(30 * DAY));
    bench.work().await;
    bench.kms.describe_key(&root(), &ahead).await.unwrap();
    // A time of waiting does not begin in the past.
    bench.clock.set_wall(engine::clock::Timestamp::from_millis(0));
    let (_, at, _) = bench.kms.schedule_key_deletion(&root(), &back, Some(7)).await.unwrap();
    assert!(at >= now.plus(7 * DAY));
    bench.clock.set_wall(now.plus(30 * DAY));
    bench.work().await;
    bench.kms.describe_key(&root(), &back).await.unwrap();
    bench.clock.advance(8 * DAY);
    bench.work().await;
    for key in [&ahead, &back] {
        assert_eq!(code(bench.kms.describe_key(&root(), key).await), "NotFoundException");
    }
}

#[tokio::test]
async fn the_aliases_of_a_key_are_listed_without_those_of_others() {
    let bench = Bench::new().await;
    let (few, many) = (bench.key(None).await, bench.key(None).await);
    for name in ["alias/b", "alias/d"] {
        bench.kms.create_alias(&root(), name, &few).await.unwrap();
    }
    for name in ["alias/a", "alias/c", "alias/e"] {
        bench.kms.create_alias(&root(), name, &many).await.unwrap();
    }
    let page = async |after: Option<&str>| {
        let page = bench.kms.aliases(&root(), Some(&few), Paging { after, limit: 1 }).await.unwrap();
        (page.items.into_iter().map(|alias| alias.name).collect::<Vec<_>>(), page.next)
    };
    assert_eq!(page(None).await, (vec!["alias/b".to_owned()], Some("alias/b".to_owned())));
    assert_eq!(page(Some("alias/b")).await, (vec!["alias/d".to_owned()], None));
}
