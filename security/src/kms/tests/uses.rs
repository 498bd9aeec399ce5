//! What keys of each spec do.

use super::super::{
    Decrypt, Encrypt, EncryptionAlgorithm, EncryptionContext, KeySpec, KeyUsage, MessageKind, NewKey,
    ReEncrypt, Sign,
};
use super::{Asks, Bench, code, context, other, own, root};

#[tokio::test]
async fn a_text_goes_from_one_key_to_another_and_its_context_with_it() {
    let bench = Bench::new().await;
    let (a, b) = (bench.key(None).await, bench.key(None).await);
    let (from, to) = (context(&[("a", "1")]), context(&[("b", "2")]));
    let sealed = bench.encrypt_with(&root(), &a, &from).await.unwrap();
    let source = Decrypt { key: None, ciphertext: &sealed.ciphertext, context: &from, algorithm: None };
    let wanted = ReEncrypt { source, key: &b, context: &to, algorithm: None };
    let (opened, moved) = bench.kms.re_encrypt(&root(), wanted).await.unwrap();
    assert_eq!((opened.key_arn, &moved.key_arn), (a.clone(), &b));
    assert_eq!(&**bench.decrypt_with(&root(), &moved.ciphertext, &to).await.unwrap().plaintext, b"text");
    assert_eq!(
        code(bench.decrypt_with(&root(), &moved.ciphertext, &from).await),
        "InvalidCiphertextException"
    );
    let other = Decrypt { key: Some(&b), ..source };
    assert_eq!(code(bench.kms.decrypt_text(&root(), other).await), "IncorrectKeyException");
    let mut bent = moved.ciphertext;
    for at in [0, 5, 12, 26, 40, 60] {
        bent[at] ^= 1;
        assert_ne!(code(bench.decrypt_with(&root(), &bent, &to).await), "done", "{at}");
        bent[at] ^= 1;
    }
    let dry = Asks { dry_run: true, ..root() };
    assert_eq!(code(bench.encrypt(&dry, &a).await), "DryRunOperationException");
    let long = vec![0; 4_097];
    let wanted = Encrypt { key: &a, plaintext: &long, context: &EncryptionContext::NONE, algorithm: None };
    assert_eq!(code(bench.kms.encrypt(&root(), wanted).await), "ValidationException");
}

#[tokio::test]
async fn a_name_has_one_arn_and_what_means_no_key_has_none() {
    let bench = Bench::new().await;
    let key = bench.key(None).await;
    bench.kms.create_alias(&root(), "alias/a", &key).await.unwrap();
    let id = key.rsplit('/').next().unwrap();
    let alias = "arn:aws:kms:us-east-1:111122223333:alias/a";
    for (account, name, found) in [
        (Some(own()), key.as_str(), true),
        (None, &key, true),
        (Some(own()), id, true),
        (Some(own()), "alias/a", true),
        (Some(other()), alias, true),
        (Some(other()), "alias/a", false),
        (None, "alias/a", false),
        (Some(own()), "alias/b", false),
        (Some(own()), "key", false),
    ] {
        let arn = bench.kms.arn_of(account, name).await.unwrap();
        assert_eq!(arn, found.then(|| key.clone()), "{name}");
    }
}

#[tokio::test]
async fn each_spec_signs_agrees_authenticates_or_encrypts() {
    let bench = Bench::new().await;
    for spec in KeySpec::ALL.iter().copied().filter(|spec| *spec != KeySpec::Rsa4096) {
        for usage in spec.usages() {
            let new = NewKey { spec: Some(spec), usage: Some(*usage), ..NewKey::default() };
            let key = bench.kms.create_key(&root(), &new).await.unwrap().arn;
            match usage {
                KeyUsage::Encrypt => {
                    for algorithm in spec.encryption_algorithms() {
                        let context = EncryptionContext::NONE;
                        let algorithm = Some(*algorithm);
                        let wanted = Encrypt { key: &key, plaintext: b"hello", context: &context, algorithm };
                        let sealed = bench.kms.encrypt(&root(), wanted).await.unwrap().ciphertext;
                        let wanted =
                            Decrypt { key: Some(&key), ciphertext: &sealed, context: &context, algorithm };
                        assert_eq!(
                            &**bench.kms.decrypt_text(&root(), wanted).await.unwrap().plaintext,
                            b"hello"
                        );
                    }
                }
                KeyUsage::Sign => {
                    for algorithm in spec.signing_algorithms() {
                        let wanted =
                            Sign { key: &key, message: b"m", kind: MessageKind::Raw, algorithm: *algorithm };
                        let (signature, _) = bench.kms.sign(&root(), wanted).await.unwrap();
                        bench.kms.verify(&root(), wanted, &signature).await.unwrap();
                        let digest = super::super::asymmetric::digest_of(*algorithm, b"m", false).unwrap();
                        let wanted = Sign { message: digest.as_ref(), kind: MessageKind::Digest, ..wanted };
                        bench.kms.verify(&root(), wanted, &signature).await.unwrap();
                        let other = Sign { message: b"n", kind: MessageKind::Raw, ..wanted };
                        let refused = bench.kms.verify(&root(), other, &signature).await;
                        assert_eq!(code(refused), "KMSInvalidSignatureException");
                        let short = Sign { message: b"short", ..wanted };
                        assert_eq!(code(bench.kms.sign(&root(), short).await), "ValidationException");
                    }
                }
                KeyUsage::Mac => {
                    let wanted = (key.as_str(), &b"m"[..], spec.mac_algorithms()[0]);
                    let (mac, _) = bench.kms.generate_mac(&root(), wanted).await.unwrap();
                    bench.kms.verify_mac(&root(), wanted, &mac).await.unwrap();
                    let refused = bench.kms.verify_mac(&root(), wanted, &mac[1..]).await;
                    assert_eq!(code(refused), "KMSInvalidMacException");
                    assert_eq!(code(bench.encrypt(&root(), &key).await), "InvalidKeyUsageException");
                }
                KeyUsage::Agreement => {
                    let other = bench.kms.create_key(&root(), &new).await.unwrap().arn;
                    let (ours, _) = bench.kms.public_key(&root(), &key).await.unwrap();
                    let (theirs, _) = bench.kms.public_key(&root(), &other).await.unwrap();
                    let (one, ..) = bench.kms.derive_shared_secret(&root(), &key, &theirs).await.unwrap();
                    let (two, ..) = bench.kms.derive_shared_secret(&root(), &other, &ours).await.unwrap();
                    assert_eq!(*one, *two);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_pair_of_keys_is_made_for_who_asks() {
    let bench = Bench::new().await;
    let key = bench.key(None).await;
    let none = context(&[]);
    let pair = bench.kms.data_key_pair(&root(), (&key, &none), (KeySpec::P256, true)).await.unwrap();
    let opened = bench.decrypt(&root(), &pair.sealed.ciphertext).await.unwrap();
    assert_eq!(*opened.plaintext, *pair.private);
    assert_eq!(super::super::asymmetric::public(KeySpec::P256, &pair.private).unwrap(), pair.public);
    let refused = bench.kms.data_key_pair(&root(), (&key, &none), (KeySpec::Symmetric, true)).await;
    assert_eq!(code(refused), "ValidationException");
    let wanted = Encrypt {
        key: &key,
        plaintext: b"x",
        context: &none,
        algorithm: Some(EncryptionAlgorithm::OaepSha1),
    };
    assert_eq!(code(bench.kms.encrypt(&root(), wanted).await), "InvalidKeyUsageException");
    assert_eq!(bench.kms.random(&root(), 32).unwrap().len(), 32);
}
