//! An issuer in memory, and tokens of all kinds.

use super::token::Algorithm;
use super::{Fetch, Issuer, Issuers, WebIdentity};
use crate::identity::{Code, IdentityError};
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use engine::BoxFuture;
use engine::clock::{Clock as _, ManualClock, Timestamp};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

pub(in crate::identity) const URL: &str = "https://login.test/realms/ml";
pub(in crate::identity) const CLIENT: &str = "trainer";

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Keys of all kinds, made once.
struct Keys {
    rsa: RsaKeyPair,
    other: RsaKeyPair,
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys {
    rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
    other: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
    p256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
    p384: EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(),
});

fn rsa_jwk(kid: &str, key: &RsaKeyPair) -> Value {
    // PKCS #1: a sequence of two numbers, of 2,048 bits with a zero in front, and 65537.
    let der = key.public_key().as_ref();
    let (n, e) = (&der[9..9 + 256], &der[der.len() - 3..]);
    assert_eq!((der.len(), e), (270, &[1, 0, 1][..]));
    json!({ "kty": "RSA", "kid": kid, "use": "sig", "n": b64(n), "e": b64(e) })
}

fn ec_jwk(kid: &str, curve: &str, key: &EcdsaKeyPair) -> Value {
    let point = key.public_key().as_ref();
    let half = (point.len() - 1) / 2;
    json!({ "kty": "EC", "kid": kid, "crv": curve, "x": b64(&point[1..=half]), "y": b64(&point[half + 1..]) })
}

/// Whose key signs which algorithm.
fn kid_of(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Es256 => "p256",
        Algorithm::Es384 => "p384",
        _ => "rsa",
    }
}

fn sign(algorithm: Algorithm, key: &RsaKeyPair, message: &[u8]) -> Vec<u8> {
    let random = SystemRandom::new();
    let encoding: &'static dyn RsaEncoding = match algorithm {
        Algorithm::Es256 => return KEYS.p256.sign(&random, message).unwrap().as_ref().to_vec(),
        Algorithm::Es384 => return KEYS.p384.sign(&random, message).unwrap().as_ref().to_vec(),
        Algorithm::Rs256 => &signature::RSA_PKCS1_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_SHA512,
    };
    let mut out = vec![0; key.public_modulus_len()];
    key.sign(encoding, &random, message, &mut out).unwrap();
    out
}

/// A token of these texts, signed whatever they say.
fn raw(header: &str, claims: &str, algorithm: Algorithm, key: &RsaKeyPair) -> String {
    let signed = format!("{}.{}", b64(header), b64(claims));
    let signature = b64(sign(algorithm, key, signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn token_of(header: &Value, claims: &Value) -> String {
    raw(&header.to_string(), &claims.to_string(), Algorithm::Rs256, &KEYS.rsa)
}

/// Claims of a token that is good for an hour.
pub(in crate::identity) fn claims(clock: &ManualClock) -> Value {
    let now = clock.now().as_secs();
    json!({ "iss": URL, "sub": "alice", "aud": CLIENT, "iat": now, "exp": now + 3_600 })
}

/// A token of the issuer.
pub(in crate::identity) fn token(claims: &Value) -> String {
    token_of(&json!({ "alg": "RS256", "kid": "rsa", "typ": "JWT" }), claims)
}

/// An issuer, and what is fetched of it.
pub(in crate::identity) struct Idp {
    pub(in crate::identity) documents: Mutex<HashMap<String, Result<Bytes, String>>>,
    pub(in crate::identity) fetched: Mutex<Vec<String>>,
}

impl Idp {
    pub(in crate::identity) fn new() -> Arc<Self> {
        let idp = Self { documents: Mutex::default(), fetched: Mutex::default() };
        idp.puts(&format!("{URL}/.well-known/openid-configuration"), &configuration());
        let keys = json!([
            rsa_jwk("rsa", &KEYS.rsa),
            ec_jwk("p256", "P-256", &KEYS.p256),
            ec_jwk("p384", "P-384", &KEYS.p384),
        ]);
        idp.puts(&format!("{URL}/keys"), &json!({ "keys": keys }));
        Arc::new(idp)
    }

    fn puts(&self, url: &str, document: &Value) {
        self.documents.lock().insert(url.to_owned(), Ok(document.to_string().into()));
    }

    fn puts_keys(&self, keys: &Value) {
        self.puts(&format!("{URL}/keys"), &json!({ "keys": keys }));
    }
}

fn configuration() -> Value {
    json!({ "issuer": URL, "jwks_uri": format!("{URL}/keys"), "id_token_signing_alg_values_supported": ["none"] })
}

impl Fetch for Idp {
    fn check(&self, url: &str) -> Result<(), String> {
        if url.starts_with("https://") { Ok(()) } else { Err("it is not https".to_owned()) }
    }

    fn get<'a>(&'a self, url: &'a str, bytes_max: usize) -> BoxFuture<'a, Result<Bytes, String>> {
        self.fetched.lock().push(url.to_owned());
        let found = self.documents.lock().get(url).cloned().unwrap_or_else(|| Err("404".to_owned()));
        let found =
            found.and_then(
                |body| {
                    if body.len() > bytes_max { Err("it is too long".to_owned()) } else { Ok(body) }
                },
            );
        Box::pin(std::future::ready(found))
    }
}

/// An issuer and who asks it.
pub(in crate::identity) struct Bench {
    pub(in crate::identity) idp: Arc<Idp>,
    pub(in crate::identity) clock: Arc<ManualClock>,
    pub(in crate::identity) issuers: Issuers,
}

impl Bench {
    pub(in crate::identity) fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        Self::at(clock)
    }

    pub(in crate::identity) fn at(clock: Arc<ManualClock>) -> Self {
        let idp = Idp::new();
        Self { issuers: Issuers::new(idp.clone(), clock.clone()), idp, clock }
    }

    async fn verify(&self, token: &str) -> Result<WebIdentity, IdentityError> {
        let issuer = Issuer::parse(URL).unwrap();
        self.issuers.verify(token, (&issuer, &[CLIENT.into(), "other".into()])).await
    }

    async fn code(&self, token: &str) -> Code {
        self.verify(token).await.unwrap_err().code
    }

    fn claims(&self) -> Value {
        claims(&self.clock)
    }

    fn with(&self, name: &str, value: Value) -> Value {
        let mut claims = self.claims();
        claims[name] = value;
        claims
    }

    fn without(&self, name: &str) -> Value {
        let mut claims = self.claims();
        claims.as_object_mut().unwrap().remove(name);
        claims
    }

    fn fetches(&self) -> usize {
        self.idp.fetched.lock().len()
    }
}

#[tokio::test]
async fn every_algorithm_of_the_list_verifies_by_its_own_key_alone() {
    let bench = Bench::new();
    for (name, algorithm) in Algorithm::ALL {
        let header = json!({ "alg": name, "kid": kid_of(algorithm) }).to_string();
        let good = raw(&header, &bench.claims().to_string(), algorithm, &KEYS.rsa);
        let who = bench.verify(&good).await.unwrap();
        assert_eq!((who.subject(), who.audience(), who.issuer().url()), ("alice", CLIENT, URL), "{name}");
        // A byte of anything that is signed, and of the signature, is another token.
        for at in [good.find('.').unwrap() + 5, good.rfind('.').unwrap() + 5] {
            let mut bytes = good.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(bench.code(&String::from_utf8(bytes).unwrap()).await, Code::InvalidIdentityToken);
        }
        for (other, of) in Algorithm::ALL.into_iter().filter(|(other, _)| *other != name) {
            let header = json!({ "alg": other, "kid": kid_of(of) }).to_string();
            let wrong = raw(&header, &bench.claims().to_string(), algorithm, &KEYS.rsa);
            assert_eq!(bench.code(&wrong).await, Code::InvalidIdentityToken, "{name} as {other}");
        }
    }
    let forged =
        raw(r#"{"alg":"RS256","kid":"rsa"}"#, &bench.claims().to_string(), Algorithm::Rs256, &KEYS.other);
    assert_eq!(bench.code(&forged).await, Code::InvalidIdentityToken);
}

#[tokio::test]
async fn tokens_without_a_signature_or_with_a_shared_secret_are_none() {
    let bench = Bench::new();
    let claims = bench.claims().to_string();
    for none in ["none", "None", "NONE", "nOnE", "", "HS256", "HS384", "EdDSA", "ES512", "rs256", "RS1"] {
        let header = json!({ "alg": none, "kid": "rsa" }).to_string();
        let signed = format!("{}.{}", b64(&header), b64(&claims));
        for token in [format!("{signed}."), format!("{signed}.AAAA"), signed] {
            assert_eq!(bench.code(&token).await, Code::InvalidIdentityToken, "{none}");
        }
    }
    // The public key, in all the forms in which libraries have it, as a secret.
    let der: PublicKeyX509Der<'_> = KEYS.rsa.public_key().as_der().unwrap();
    let der: &[u8] = der.as_ref();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der));
    let jwk = rsa_jwk("rsa", &KEYS.rsa).to_string();
    for secret in [der, pem.as_bytes(), jwk.as_bytes(), KEYS.rsa.public_key().as_ref(), b""] {
        for name in ["HS256", "RS256"] {
            let signed =
                format!("{}.{}", b64(json!({ "alg": name, "kid": "rsa" }).to_string()), b64(&claims));
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
            let token = format!("{signed}.{}", b64(tag));
            assert_eq!(bench.code(&token).await, Code::InvalidIdentityToken, "{name}");
        }
    }
    // Even where the issuer publishes a secret.
    bench.idp.puts_keys(&json!([{ "kty": "oct", "kid": "rsa", "alg": "HS256", "k": b64("secret") }]));
    let fresh = Bench { issuers: Issuers::new(bench.idp.clone(), bench.clock.clone()), ..bench };
    assert_eq!(fresh.code(&token(&fresh.claims())).await, Code::InvalidIdentityToken);
}

#[tokio::test]
async fn what_a_header_says_of_keys_is_not_looked_at() {
    let bench = Bench::new();
    let evil = rsa_jwk("rsa", &KEYS.other);
    bench.idp.puts("https://evil.test/keys", &json!({ "keys": [evil.clone()] }));
    for (name, value) in [
        ("jwk", evil.clone()),
        ("jku", json!("https://evil.test/keys")),
        ("x5u", json!("https://evil.test/keys")),
        ("x5c", json!(["AAAA"])),
        ("kid", json!("../../evil")),
        ("kid", json!("rsa' OR '1'='1")),
        ("kid", json!("https://evil.test/keys")),
    ] {
        let mut header = json!({ "alg": "RS256", "kid": "rsa" });
        header[name] = value;
        let forged = raw(&header.to_string(), &bench.claims().to_string(), Algorithm::Rs256, &KEYS.other);
        assert_eq!(bench.code(&forged).await, Code::InvalidIdentityToken, "{name}");
        let own = bench.verify(&token_of(&header, &bench.claims())).await;
        assert_eq!(own.is_ok(), name != "kid", "{name}");
    }
    assert!(bench.idp.fetched.lock().iter().all(|url| url.starts_with(URL)), "nobody else was asked");
}

#[tokio::test]
async fn headers_and_tokens_are_read_strictly() {
    let bench = Bench::new();
    let claims = bench.claims().to_string();
    for header in [
        r#"{"alg":"RS256","kid":"rsa","alg":"RS256"}"#,
        r#"{"alg":"none","kid":"rsa","alg":"RS256"}"#,
        r#"{"alg":"RS256","kid":"rsa","crit":["exp"]}"#,
        r#"{"alg":"RS256","kid":"rsa","crit":[]}"#,
        r#"{"alg":"RS256","kid":"rsa","typ":"logout+jwt"}"#,
        r#"{"alg":"RS256","kid":"rsa","typ":1}"#,
        r#"{"alg":["RS256"],"kid":"rsa"}"#,
        r#"{"alg":"RS256","kid":["rsa"]}"#,
        r#"{"alg":"RS256","kid":""}"#,
        r#"{"alg":"RS256","kid":"other"}"#,
        r#"{"alg":"RS256","kid":"p256"}"#,
        r#"{"kid":"rsa"}"#,
        r#"["RS256"]"#,
        r#""RS256""#,
        "{",
        "",
    ] {
        let token = raw(header, &claims, Algorithm::Rs256, &KEYS.rsa);
        assert_eq!(bench.code(&token).await, Code::InvalidIdentityToken, "{header}");
    }
    for header in
        [r#"{"alg":"RS256","kid":"rsa","typ":"JWT"}"#, r#"{"alg":"RS256","kid":"rsa","typ":"at+jwt"}"#]
    {
        bench.verify(&raw(header, &claims, Algorithm::Rs256, &KEYS.rsa)).await.unwrap();
    }
    // One key of the kind is the one; of two none is.
    let unnamed = raw(r#"{"alg":"RS256"}"#, &claims, Algorithm::Rs256, &KEYS.rsa);
    bench.verify(&unnamed).await.unwrap();
    bench.idp.puts_keys(&json!([rsa_jwk("rsa", &KEYS.rsa), rsa_jwk("more", &KEYS.other)]));
    bench.clock.advance(Duration::from_mins(61));
    let later = token(&bench.claims());
    bench.verify(&later).await.unwrap();
    let unnamed = raw(r#"{"alg":"RS256"}"#, &bench.claims().to_string(), Algorithm::Rs256, &KEYS.rsa);
    assert_eq!(bench.code(&unnamed).await, Code::InvalidIdentityToken);
    let good = later;
    for bad in [
        format!("{good}."),
        format!("{good}.x"),
        format!(" {good}"),
        format!("{good}="),
        good.replacen('.', "..", 1),
        good.replacen('.', "", 1),
        good.replace('.', ","),
        format!("{}{good}", "A".repeat(20_001)),
        "....".to_owned(),
        "..".to_owned(),
        "abcd".to_owned(),
        "ä.ö.ü".to_owned(),
    ] {
        assert_eq!(bench.code(&bad).await, Code::InvalidIdentityToken);
    }
    let huge = bench.with("pad", json!("x".repeat(30_000)));
    assert_eq!(bench.code(&token(&huge)).await, Code::InvalidIdentityToken);
}

#[tokio::test]
async fn claims_hold_or_the_token_is_refused_by_the_code_of_what_does_not() {
    let bench = Bench::new();
    let now = bench.clock.now().as_secs();
    let invalid = Code::InvalidIdentityToken;
    let rejected = Code::IdpRejectedClaim;
    for (claims, code) in [
        (bench.without("exp"), invalid),
        (bench.without("iat"), invalid),
        (bench.without("sub"), invalid),
        (bench.without("aud"), invalid),
        (bench.without("iss"), invalid),
        (bench.with("exp", json!(now)), Code::ExpiredIdentityToken),
        (bench.with("exp", json!(0)), Code::ExpiredIdentityToken),
        (bench.with("exp", json!("9999999999")), invalid),
        (bench.with("exp", json!(-1)), invalid),
        (bench.with("exp", json!(1e300)), invalid),
        (bench.with("exp", json!(null)), invalid),
        (bench.with("nbf", json!(now + 61)), rejected),
        (bench.with("iat", json!(now + 61)), rejected),
        (bench.with("aud", json!("another")), invalid),
        (bench.with("aud", json!("trainer2")), invalid),
        (bench.with("aud", json!("TRAINER")), invalid),
        (bench.with("aud", json!([])), invalid),
        (bench.with("aud", json!(["another"])), invalid),
        (bench.with("aud", json!({ "trainer": 1 })), invalid),
        (bench.with("aud", json!([CLIENT, 1])), invalid),
        (bench.with("aud", json!([CLIENT, "another"])), rejected),
        (bench.with("aud", json!(vec![CLIENT; 101])), invalid),
        (bench.with("azp", json!("another")), rejected),
        (bench.with("iss", json!("https://login.test/realms/other")), invalid),
        (bench.with("iss", json!(format!("{URL}/"))), invalid),
        (bench.with("iss", json!("http://login.test/realms/ml")), invalid),
        (bench.with("sub", json!("")), invalid),
        (bench.with("sub", json!("x".repeat(256))), invalid),
        (bench.with("sub", json!("a\nb")), invalid),
        (bench.with("sub", json!(["alice"])), invalid),
        (bench.with("amr", json!(vec!["pwd"; 17])), invalid),
        (bench.with("amr", json!(vec!["x".repeat(250); 5])), invalid),
        (bench.with("https://aws.amazon.com/tags", json!({ "principal_tags": { "aws:x": "1" } })), invalid),
        (
            bench.with("https://aws.amazon.com/tags", json!({ "principal_tags": { "a": ["1", "2"] } })),
            invalid,
        ),
        (bench.with("https://aws.amazon.com/tags", json!({ "transitive_tag_keys": ["a"] })), invalid),
        (bench.with("https://aws.amazon.com/tags/principal_tags/a", json!("1")), invalid),
        (bench.with("https://aws.amazon.com/source_identity", json!("a b")), invalid),
    ] {
        assert_eq!(bench.code(&token(&claims)).await, code, "{claims}");
    }
    // A member that stands twice could be read as either.
    let text = bench.claims().to_string();
    let twice = format!(r#"{},"sub":"root"}}"#, text.strip_suffix('}').unwrap());
    let header = r#"{"alg":"RS256","kid":"rsa"}"#;
    assert_eq!(bench.code(&raw(header, &twice, Algorithm::Rs256, &KEYS.rsa)).await, invalid);
    for claims in [
        bench.with("nbf", json!(now + 60)),
        bench.with("iat", json!(now + 60)),
        bench.with("exp", json!(now + 1)),
        bench.with("exp", json!(1_700_003_600.5)),
        bench.with("aud", json!([CLIENT])),
        bench.with("azp", json!("other")),
    ] {
        bench.verify(&token(&claims)).await.unwrap();
    }
    let mut several = bench.with("aud", json!([CLIENT, "another"]));
    several["azp"] = json!("other");
    let who = bench.verify(&token(&several)).await.unwrap();
    assert_eq!((who.audience(), who.audiences.len()), ("other", 2));
}

#[tokio::test]
async fn what_is_refused_is_told_without_the_token() {
    let bench = Bench::new();
    let good = token(&bench.claims());
    for bad in [format!("{good}x"), format!("{good}.y"), token(&bench.with("sub", json!(["canary"])))] {
        let error = bench.verify(&bad).await.unwrap_err();
        for part in bad.split('.').filter(|part| part.len() > 8).chain(["canary"]) {
            assert!(!error.message.contains(part), "{}", error.message);
        }
    }
}

#[tokio::test]
async fn keys_are_kept_for_an_hour_and_fetched_again_for_a_new_one_once_a_minute() {
    let bench = Bench::new();
    let good = token(&bench.claims());
    for _ in 0..3 {
        bench.verify(&good).await.unwrap();
    }
    assert_eq!(bench.fetches(), 2, "a configuration and its keys");
    // Its keys change.
    bench.idp.puts_keys(&json!([rsa_jwk("new", &KEYS.other)]));
    let new = |claims: &Value| {
        raw(r#"{"alg":"RS256","kid":"new"}"#, &claims.to_string(), Algorithm::Rs256, &KEYS.other)
    };
    assert_eq!(bench.code(&new(&bench.claims())).await, Code::InvalidIdentityToken, "too early");
    assert_eq!(bench.fetches(), 2);
    bench.clock.advance(Duration::from_mins(1));
    bench.verify(&new(&bench.claims())).await.unwrap();
    assert_eq!(bench.fetches(), 4);
    assert_eq!(bench.code(&good).await, Code::InvalidIdentityToken, "the old key went");
    // Whoever names keys that are nowhere does not make us ask again and again.
    for number in 0..20 {
        let header = json!({ "alg": "RS256", "kid": format!("k{number}") });
        assert_eq!(bench.code(&token_of(&header, &bench.claims())).await, Code::InvalidIdentityToken);
    }
    assert_eq!(bench.fetches(), 4);
    // A key that was taken back is good for an hour at the most.
    bench.idp.puts_keys(&json!([]));
    bench.clock.advance(Duration::from_mins(59));
    bench.verify(&new(&bench.claims())).await.unwrap();
    bench.clock.advance(Duration::from_mins(1));
    assert_eq!(bench.code(&new(&bench.claims())).await, Code::InvalidIdentityToken);
}

#[tokio::test]
async fn an_issuer_that_is_away_is_asked_again_after_ten_seconds_and_keys_that_are_kept_go_on() {
    let bench = Bench::new();
    let (place, keys) = (format!("{URL}/.well-known/openid-configuration"), format!("{URL}/keys"));
    let away = || Err("connect to 10.0.0.1: refused".to_owned());
    let there = bench.idp.documents.lock().insert(place.clone(), away()).unwrap();
    for _ in 0..5 {
        let error = bench.verify(&token(&bench.claims())).await.unwrap_err();
        assert_eq!(error.code, Code::IdpCommunicationError);
        assert!(!error.message.contains("10.0.0.1"), "where it was looked for is nobody's to know");
    }
    assert_eq!(bench.fetches(), 1);
    bench.idp.documents.lock().insert(place, there);
    assert_eq!(bench.code(&token(&bench.claims())).await, Code::IdpCommunicationError);
    bench.clock.advance(Duration::from_secs(10));
    bench.verify(&token(&bench.claims())).await.unwrap();
    bench.idp.documents.lock().insert(keys, away());
    bench.clock.advance(Duration::from_mins(59));
    let unknown = token_of(&json!({ "alg": "RS256", "kid": "new" }), &bench.claims());
    assert_eq!(bench.code(&unknown).await, Code::InvalidIdentityToken);
    bench.verify(&token(&bench.claims())).await.unwrap();
    bench.clock.advance(Duration::from_mins(1));
    assert_eq!(bench.code(&token(&bench.claims())).await, Code::IdpCommunicationError);
}

#[tokio::test]
async fn a_configuration_is_the_issuers_own_and_keys_come_from_where_they_may() {
    let keys = format!("{URL}/keys");
    let of = |issuer: &str, keys: &str| json!({ "issuer": issuer, "jwks_uri": keys }).to_string();
    for configuration in [
        of("https://login.test/realms/other", &keys),
        of(&format!("{URL}/"), &keys),
        of("https://LOGIN.test/realms/ml", &keys),
        of(URL, "http://login.test/realms/ml/keys"),
        of(URL, "file:///etc/passwd"),
        format!(r#"{{"issuer":"{URL}","issuer":"{URL}","jwks_uri":"{keys}"}}"#),
        json!({ "issuer": URL }).to_string(),
        json!({ "issuer": URL, "jwks_uri": [keys] }).to_string(),
        "[]".to_owned(),
        "<html>".to_owned(),
        "x".repeat((64 << 10) + 1),
    ] {
        let bench = Bench::new();
        let place = format!("{URL}/.well-known/openid-configuration");
        bench.idp.documents.lock().insert(place, Ok(configuration.clone().into()));
        assert_eq!(bench.code(&token(&bench.claims())).await, Code::IdpCommunicationError, "{configuration}");
        assert_eq!(bench.fetches(), 1, "{configuration}");
    }
    let many: Vec<Value> = (0..101).map(|n| rsa_jwk(&n.to_string(), &KEYS.rsa)).collect();
    for document in [json!({}), json!({ "keys": {} }), json!([]), json!({ "keys": many })] {
        let bench = Bench::new();
        bench.idp.puts(&keys, &document);
        assert_eq!(bench.code(&token(&bench.claims())).await, Code::IdpCommunicationError);
    }
    // Of a set what can't verify is passed over.
    let good = rsa_jwk("rsa", &KEYS.rsa);
    let change = |name: &str, value: Value| {
        let mut key = good.clone();
        key[name] = value;
        key
    };
    for key in [
        change("use", json!("enc")),
        change("key_ops", json!(["sign"])),
        change("alg", json!("RSA-OAEP")),
        change("alg", json!("RS512")),
        change("kty", json!("EC")),
        change("e", json!(b64([1]))),
        change("e", json!(b64([4]))),
        change("n", json!(b64([0x81; 128]))),
        change("n", json!("*")),
        change("kid", json!(7)),
        json!("rsa"),
        ec_jwk("rsa", "P-384", &KEYS.p256),
    ] {
        let bench = Bench::new();
        bench.idp.puts_keys(&json!([key]));
        assert_eq!(bench.code(&token(&bench.claims())).await, Code::InvalidIdentityToken, "{key}");
    }
    for key in [change("alg", json!("RS256")), change("key_ops", json!(["verify"])), good.clone()] {
        let bench = Bench::new();
        bench.idp.puts_keys(&json!([key, { "kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "more" }]));
        bench.verify(&token(&bench.claims())).await.unwrap();
    }
}

#[tokio::test]
async fn keys_of_issuers_beyond_what_is_kept_go_with_who_was_asked_about_longest_ago() {
    let bench = Bench::new();
    bench.verify(&token(&bench.claims())).await.unwrap();
    for number in 0..super::ISSUERS_MAX {
        let issuer = Issuer::parse(&format!("https://{number}.test")).unwrap();
        bench.issuers.verify(&token(&bench.claims()), (&issuer, &[])).await.unwrap_err();
    }
    assert_eq!(format!("{:?}", bench.issuers), format!("keys of {} issuers", super::ISSUERS_MAX));
    bench.verify(&token(&bench.claims())).await.unwrap();
    assert_eq!(bench.idp.fetched.lock().iter().filter(|url| url.starts_with(URL)).count(), 4);
}
