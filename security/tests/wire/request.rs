//! Requests as values, and the verifier set up for them.

use engine::clock::Timestamp;
use http::{HeaderMap, HeaderName, HeaderValue};
use security::AmzDate;
use security::credentials::{File, SecretKey};
use security::sign::Signer;
use security::sigv4::{AuthError, Authenticated, Policy, RequestHead, SigningKeys, authenticate};

pub(crate) const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
pub(crate) const REGION: &str = "us-east-1";
pub(crate) const NOW: &str = "20260314T150926Z";

/// One request head, before HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

impl Request {
    /// The headers, or `None` where HTTP itself has no such names or values.
    pub(crate) fn header_map(&self) -> Option<HeaderMap> {
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            map.append(HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?);
        }
        Some(map)
    }

    /// The value of a header that stands there once.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.headers.push((name.to_owned(), value.as_bytes().to_vec()));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    }
}

pub(crate) fn time(text: &str) -> Timestamp {
    Timestamp::from_millis(AmzDate::parse(text).unwrap().secs() * 1000)
}

pub(crate) fn verify_at(request: &Request, now: &str) -> Result<Authenticated, AuthError> {
    verify_then(request, time(now))
}

pub(crate) fn verify_then(request: &Request, now: Timestamp) -> Result<Authenticated, AuthError> {
    let text = format!("[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET}\n");
    let file = File::parse(&text, "111122223333".parse().unwrap()).unwrap();
    let headers = request.header_map().unwrap();
    let head = RequestHead {
        method: &request.method,
        path: &request.path,
        query: &request.query,
        headers: &headers,
    };
    let keys = SigningKeys::default();
    authenticate(&head, &file, &Policy::new(REGION, now, &keys))
}

pub(crate) fn verify(request: &Request) -> Result<Authenticated, AuthError> {
    verify_at(request, NOW)
}

pub(crate) fn signer() -> Signer {
    Signer {
        access_key_id: ACCESS_KEY.parse().unwrap(),
        secret: SecretKey::parse(SECRET).unwrap(),
        session_token: None,
        region: REGION.to_owned(),
        service: "s3".to_owned(),
    }
}

/// How many rounds a random test goes: few by default, `FIRN_ROUNDS` for a soak.
pub(crate) fn rounds(default: u32) -> u32 {
    std::env::var("FIRN_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The seed of a random test, printed so that a failure can be run again with `FIRN_SEED`.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("FIRN_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_260_314);
    eprint(seed);
    seed
}

#[expect(clippy::print_stderr, reason = "a failing test must say its seed")]
fn eprint(seed: u64) {
    eprintln!("FIRN_SEED={seed}");
}

/// A small deterministic generator (xorshift64*), enough to choose what to break.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let draw = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(draw).unwrap() % end.max(1)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }
}
