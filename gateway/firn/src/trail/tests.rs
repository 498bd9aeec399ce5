//! A chain on a disk, signed by a key of the test's own, and what becomes of it.

use super::{PublicKeys, Source, Span, Verdict, What, walk};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use engine::clock::Timestamp;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

const FOLDER: &str = "AWSLogs/000000000001";
const HOURS: usize = 4;

fn log(hour: usize) -> String {
    format!(
        "{FOLDER}/CloudTrail/us-east-1/2026/11/30/000000000001_CloudTrail_us-east-1_20261130T0{hour}05Z_AAAAAAAAAAAAAAA{hour}.json.gz"
    )
}

fn digest(hour: usize) -> String {
    format!(
        "{FOLDER}/CloudTrail-Digest/us-east-1/2026/11/30/000000000001_CloudTrail-Digest_us-east-1_all_us-east-1_20261130T0{}0000Z.json.gz",
        hour + 1
    )
}

fn packed(text: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text).unwrap();
    packed.finish().unwrap()
}

fn unpacked(path: &Path) -> String {
    std::io::read_to_string(flate2::read::GzDecoder::new(&fs::read(path).unwrap()[..])).unwrap()
}

struct World {
    root: tempfile::TempDir,
    keys: PublicKeys,
    pem: String,
}

impl World {
    /// Four hours, each with a file of two records; as a trail with the prefix `p` writes them.
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let mut before: Option<(String, String, String)> = None;
        for hour in 0..HOURS {
            let records =
                json!({ "Records": [{ "eventID": format!("{hour}a") }, { "eventID": format!("{hour}b") }] });
            let records = records.to_string();
            let end = format!("2026-11-30T0{}:00:00Z", hour + 1);
            let of = |take: fn(&(String, String, String)) -> &String| before.as_ref().map(take);
            let text = json!({
                "awsAccountId": "000000000001", "digestStartTime": format!("2026-11-30T0{hour}:00:00Z"), "digestEndTime": end,
                "digestS3Bucket": "logs", "digestS3Object": format!("p/{}", digest(hour)),
                "digestPublicKeyFingerprint": "f", "digestSignatureAlgorithm": "SHA256withRSA",
                "previousDigestS3Bucket": before.as_ref().map(|_| "logs"), "previousDigestS3Object": of(|of| &of.0),
                "previousDigestHashValue": of(|of| &of.1), "previousDigestSignature": of(|of| &of.2),
                "logFiles": [{
                    "s3Bucket": "logs", "s3Object": format!("p/{}", log(hour)), "hashAlgorithm": "SHA-256",
                    "hashValue": super::keys::sha256(records.as_bytes()),
                }],
            })
            .to_string();
            let hash = super::keys::sha256(text.as_bytes());
            let former = before.as_ref().map_or("null", |(_, _, signature)| signature);
            let signed = format!("{end}\nlogs/p/{}\n{hash}\n{former}", digest(hour));
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
            before = Some((format!("p/{}", digest(hour)), hash, hex::encode(signature)));
            for (name, text) in [(log(hour), records), (digest(hour), text)] {
                let path = root.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, packed(text.as_bytes())).unwrap();
            }
        }
        let pem = PublicKeys::to_pem(pair.public_key().as_ref());
        Self { root, keys: PublicKeys::from_pem(&pem).unwrap(), pem }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    async fn verdict(&self, span: &Span) -> Verdict {
        walk(&Source::Directory(self.root.path().to_owned()), &self.keys, span).await.unwrap()
    }

    /// What is told of it once a change is made; the change is undone.
    async fn told(&self, names: &[String], change: impl FnOnce()) -> Vec<(What, &'static str, String)> {
        let kept: Vec<_> = names.iter().map(|name| fs::read(self.path(name)).unwrap()).collect();
        change();
        let verdict = self.verdict(&Span::default()).await;
        for (name, bytes) in names.iter().zip(kept) {
            fs::write(self.path(name), bytes).unwrap();
        }
        verdict.problems.into_iter().map(|problem| (problem.what, problem.kind, problem.file)).collect()
    }
}

#[tokio::test]
async fn a_copy_of_a_trail_is_proven_up_to_its_newest_digest() {
    let world = World::new();
    let verdict = world.verdict(&Span::default()).await;
    assert!(verdict.problems.is_empty(), "{verdict:?}");
    let [chain] = &verdict.chains[..] else { panic!("{verdict:?}") };
    assert_eq!((chain.digests, chain.logs, chain.gaps), (3, 3, 0));
    assert_eq!(
        (chain.account.as_str(), chain.region.as_str(), chain.trail.as_str()),
        ("000000000001", "us-east-1", "all")
    );
    assert_eq!(chain.from.as_deref(), Some("2026-11-30T00:00:00Z"));
    assert_eq!(chain.until.as_deref(), Some("2026-11-30T03:00:00Z"));
    // Its signature is in the bucket's metadata alone.
    assert_eq!(verdict.unproven, [digest(3), log(3)]);
    // Between two moments, what is older is not looked at.
    let at =
        |text: &str| Some(Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond()));
    let span = Span { since: at("2026-11-30T02:30:00Z"), ..Span::default() };
    fs::remove_file(world.path(&digest(0))).unwrap();
    let verdict = world.verdict(&span).await;
    assert_eq!((verdict.problems.len(), verdict.chains[0].digests), (0, 1));
    let span =
        Span { until: at("2026-11-30T03:00:00Z"), since: at("2026-11-30T01:30:00Z"), ..Span::default() };
    let verdict = world.verdict(&span).await;
    assert_eq!((verdict.problems.len(), verdict.chains[0].digests), (0, 1));
    // Another trail's name has none.
    let span = Span { trail: Some(("000000000001".to_owned(), "other".to_owned())), ..Span::default() };
    let verdict = world.verdict(&span).await;
    assert!(verdict.chains.is_empty() && verdict.unproven.is_empty(), "{verdict:?}");
}

#[tokio::test]
async fn what_was_altered_removed_exchanged_or_reordered_is_told_and_what_is_not_stays_good() {
    let world = World::new();
    let (first, second) = (log(0), log(1));
    let at = |name: &str| world.path(name);
    let write = |name: &str, text: &str| fs::write(at(name), packed(text.as_bytes())).unwrap();
    let told = world
        .told(std::slice::from_ref(&first), || write(&first, &unpacked(&at(&first)).replace("0a", "0x")))
        .await;
    assert_eq!(told, [(What::Altered, "log", first.clone())]);
    // The same records in another order.
    let told = world
        .told(std::slice::from_ref(&first), || {
            let mut said: Value = serde_json::from_str(&unpacked(&at(&first))).unwrap();
            said["Records"].as_array_mut().unwrap().reverse();
            write(&first, &said.to_string());
        })
        .await;
    assert_eq!(told, [(What::Altered, "log", first.clone())]);
    // More, packed behind it: gunzip reads both.
    let told = world
        .told(std::slice::from_ref(&first), || {
            let more = [fs::read(at(&first)).unwrap(), packed(b"more")].concat();
            fs::write(at(&first), more).unwrap();
        })
        .await;
    assert_eq!(told, [(What::Altered, "log", first.clone())]);
    let told =
        world.told(std::slice::from_ref(&first), || fs::write(at(&first), [0x1f, 0x8b, 8]).unwrap()).await;
    assert_eq!(told, [(What::Altered, "log", first.clone())]);
    let told = world.told(std::slice::from_ref(&first), || fs::remove_file(at(&first)).unwrap()).await;
    assert_eq!(told, [(What::Removed, "log", first.clone())]);
    let swap = |one: &str, other: &str| {
        let (left, right) = (fs::read(at(one)).unwrap(), fs::read(at(other)).unwrap());
        fs::write(at(one), right).unwrap();
        fs::write(at(other), left).unwrap();
    };
    let told = world.told(&[first.clone(), second.clone()], || swap(&first, &second)).await;
    assert_eq!(told, [(What::Exchanged, "log", first.clone()), (What::Exchanged, "log", second.clone())]);

    let (older, newer) = (digest(1), digest(2));
    // It leaves a file out, and hides it so.
    let told = world
        .told(std::slice::from_ref(&older), || {
            let mut said: Value = serde_json::from_str(&unpacked(&at(&older))).unwrap();
            said["logFiles"] = json!([]);
            write(&older, &said.to_string());
        })
        .await;
    assert_eq!(told, [(What::Altered, "digest", older.clone())]);
    let told = world.told(std::slice::from_ref(&older), || write(&older, "[]")).await;
    assert_eq!(told, [(What::Altered, "digest", older.clone())]);
    let told = world.told(std::slice::from_ref(&older), || fs::remove_file(at(&older)).unwrap()).await;
    assert_eq!(told, [(What::Removed, "digest", older.clone())]);
    let told = world.told(&[older.clone(), newer.clone()], || swap(&older, &newer)).await;
    assert_eq!(
        told,
        [(What::Exchanged, "digest", older.clone()), (What::Exchanged, "digest", newer.clone())]
    );
    // All is as it was again.
    assert!(world.verdict(&Span::default()).await.problems.is_empty());
    // Another's key proves nothing.
    let strange = World::new();
    assert_ne!(strange.pem, world.pem);
    let source = Source::Directory(world.root.path().to_owned());
    let verdict = walk(&source, &strange.keys, &Span::default()).await.unwrap();
    assert!(verdict.chains[0].digests == 0 && !verdict.problems.is_empty(), "{verdict:?}");
}

#[tokio::test]
async fn a_name_in_a_digest_leads_nowhere_out_of_the_copy() {
    let world = World::new();
    let outside = world.path("outside");
    fs::write(&outside, "x").unwrap();
    let text = unpacked(&world.path(&digest(3)));
    let mut said: Value = serde_json::from_str(&text).unwrap();
    said["previousDigestS3Object"] = json!(format!("p/{}", outside.display()));
    said["logFiles"][0]["s3Object"] = json!("p/../outside");
    fs::write(world.path(&digest(3)), packed(said.to_string().as_bytes())).unwrap();
    let verdict = world.verdict(&Span::default()).await;
    assert!(verdict.problems.iter().all(|problem| problem.what == What::Removed), "{verdict:?}");
    assert_eq!(verdict.problems.len(), 2);
}

#[test]
fn keys_are_read_from_pem_and_said_why_not() {
    let world = World::new();
    let two = format!("# mine\n{}{}", world.pem, World::new().pem);
    assert_ne!(PublicKeys::from_pem(&two).unwrap(), world.keys);
    for (text, why) in [
        ("", "it has no public key in PEM"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n", "a block has no end"),
        ("-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----\n", "a PUBLIC KEY is no base64"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "it has no public key in PEM"),
    ] {
        assert_eq!(PublicKeys::from_pem(text).unwrap_err(), why);
    }
    assert!(world.keys.verify("f", "text", "zz").is_err());
    let mut named = PublicKeys::default();
    named.add("other", vec![1]);
    assert!(named.verify("f", "text", "00").unwrap_err().ends_with("has the fingerprint f"));
}
