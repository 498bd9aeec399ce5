//! Imported material: wrapped, for a day, gone when it expires, and the same again.

use super::super::{
    EncryptionAlgorithm, GrantOperation, Import, KeyState, NewGrant, NewKey, Origin, asymmetric,
};
use super::{Bench, code, root};
use std::time::Duration;

const WRAPPING: (&str, &str) = ("RSAES_OAEP_SHA_256", "RSA_2048");

#[tokio::test]
async fn material_comes_expires_and_comes_again_and_no_other_does() {
    let bench = Bench::new().await;
    let new = NewKey { origin: Some(Origin::External), ..NewKey::default() };
    let key = bench.kms.create_key(&root(), &new).await.unwrap();
    assert_eq!(key.state, KeyState::PendingImport);
    let key = key.arn;
    let twin = bench.kms.create_key(&root(), &new).await.unwrap().arn;
    assert_eq!(code(bench.encrypt(&root(), &key).await), "KMSInvalidStateException");
    let given = bench.kms.parameters_for_import(&root(), &key, WRAPPING).await.unwrap();
    let wrap = |bytes: &[u8]| asymmetric::wrap(&given.public, EncryptionAlgorithm::OaepSha256, bytes);
    let (right, wrong) = (wrap(&[7; 32]), wrap(&[8; 32]));
    let import = async |key: &str, material: &[u8], after: Option<u64>| {
        let now = bench.kms.now();
        let valid_to = after.map(|secs| now.plus(Duration::from_secs(secs)));
        let token = &given.token;
        let wanted = Import { key, token, material, valid_to, is_new: false, material_id: None };
        code(bench.kms.import_key_material(&root(), wanted).await)
    };
    assert_eq!(import(&twin, &right, None).await, "InvalidImportTokenException");
    assert_eq!(import(&key, &right[1..], None).await, "InvalidCiphertextException");
    assert_eq!(import(&key, &wrap(&[7; 31]), None).await, "IncorrectKeyMaterialException");
    assert_eq!(import(&key, &right, Some(3_600)).await, "done");
    let sealed = bench.encrypt(&root(), &key).await.unwrap().ciphertext;
    // Before the worker comes by, too.
    bench.clock.advance(Duration::from_hours(1));
    assert_eq!(code(bench.decrypt(&root(), &sealed).await), "KMSInvalidStateException");
    assert_eq!(bench.kms.describe_key(&root(), &key).await.unwrap().state, KeyState::PendingImport);
    bench.work().await;
    assert_eq!(code(bench.decrypt(&root(), &sealed).await), "KMSInvalidStateException");
    assert_eq!(import(&key, &wrong, None).await, "IncorrectKeyMaterialException");
    assert_eq!(import(&key, &right, None).await, "done");
    bench.decrypt(&root(), &sealed).await.unwrap();
    bench.kms.delete_imported_key_material(&root(), &key, None).await.unwrap();
    assert_eq!(code(bench.decrypt(&root(), &sealed).await), "KMSInvalidStateException");
    bench.clock.advance(Duration::from_hours(24));
    assert_eq!(import(&key, &right, None).await, "ExpiredImportTokenException");
    assert_eq!(code(bench.kms.rotate_key_on_demand(&root(), &key).await), "UnsupportedOperationException");
}

#[tokio::test]
async fn a_key_that_was_disabled_is_enabled_by_who_may_and_not_by_its_material() {
    let bench = Bench::new().await;
    let new = NewKey { origin: Some(Origin::External), ..NewKey::default() };
    let key = bench.kms.create_key(&root(), &new).await.unwrap().arn;
    let given = bench.kms.parameters_for_import(&root(), &key, WRAPPING).await.unwrap();
    let material = asymmetric::wrap(&given.public, EncryptionAlgorithm::OaepSha256, &[7; 32]);
    let import = async |after: Option<Duration>| {
        let valid_to = after.map(|after| bench.kms.now().plus(after));
        let (key, token, material) = (&key[..], &given.token, &material[..]);
        let wanted = Import { key, token, material, valid_to, is_new: false, material_id: None };
        bench.kms.import_key_material(&root(), wanted).await.unwrap();
    };
    let state = async || bench.kms.describe_key(&root(), &key).await.unwrap().state;
    import(Some(Duration::from_hours(1))).await;
    assert_eq!(state().await, KeyState::Enabled);
    bench.kms.disable_key(&root(), &key).await.unwrap();
    import(Some(Duration::from_hours(1))).await;
    assert_eq!(state().await, KeyState::Disabled);
    bench.clock.advance(Duration::from_hours(1));
    // Before the worker comes by and after it: there is nothing to enable, nor to grant.
    for _ in 0..2 {
        assert_eq!(state().await, KeyState::PendingImport);
        assert_eq!(code(bench.kms.enable_key(&root(), &key).await), "KMSInvalidStateException");
        let grant = NewGrant {
            key: &key,
            name: None,
            grantee: super::OTHER_ROOT,
            retiring: None,
            operations: [GrantOperation::Encrypt].into_iter().collect(),
            constraint: None,
        };
        assert_eq!(code(bench.kms.create_grant(&root(), grant).await), "KMSInvalidStateException");
        bench.work().await;
    }
    bench.kms.schedule_key_deletion(&root(), &key, None).await.unwrap();
    bench.kms.cancel_key_deletion(&root(), &key).await.unwrap();
    assert_eq!(code(bench.kms.enable_key(&root(), &key).await), "KMSInvalidStateException");
    import(None).await;
    assert_eq!(state().await, KeyState::Disabled);
    bench.kms.enable_key(&root(), &key).await.unwrap();
    bench.kms.delete_imported_key_material(&root(), &key, None).await.unwrap();
    import(None).await;
    assert_eq!(state().await, KeyState::Enabled);
}
