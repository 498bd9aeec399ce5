//! Keys that clients bring along with a request (SSE-C).
//!
//! ```text
//!   x-amz-server-side-encryption-customer-{algorithm,key,key-MD5} ─► Brought ─► the store's CustomerKey
//!                                                                      └─► the answer's algorithm and key-MD5
//! ```
//!
//! A key is read from the head, goes to the store and is forgotten. It is taken over TLS, or from this machine: who listens on any other
//! way has it, and S3 refuses it there too. It is no parameter of a URL, which logs and proxies keep.

use super::Call;
use super::answer::set_amz;
use super::code::Code;
use super::error::S3Error;
use super::headers::text;
use super::managed;
use crate::server::Peer;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue};
use md5::{Digest as _, Md5};
use objectstore::EncryptedBy;
use security::envelope::CustomerKey;
use zeroize::Zeroizing;

/// How every one of these headers begins.
const PREFIX: &str = "x-amz-server-side-encryption-customer-";
const ALGORITHM: &str = "x-amz-server-side-encryption-customer-algorithm";
const KEY: &str = "x-amz-server-side-encryption-customer-key";
const KEY_MD5: &str = "x-amz-server-side-encryption-customer-key-md5";
const SOURCE_PREFIX: &str = "x-amz-copy-source-server-side-encryption-customer-";
const SOURCE: [&str; 3] = [
    "x-amz-copy-source-server-side-encryption-customer-algorithm",
    "x-amz-copy-source-server-side-encryption-customer-key",
    "x-amz-copy-source-server-side-encryption-customer-key-md5",
];
/// The one algorithm that S3 has for it.
const AES256: &str = "AES256";

/// A header of a key that was brought along: for an object, or for a copy's source.
pub(super) fn is_header(name: &str) -> bool {
    let rest = name.strip_prefix(PREFIX).or_else(|| name.strip_prefix(SOURCE_PREFIX));
    matches!(rest, Some("algorithm" | "key" | "key-md5"))
}

/// Whether a name begins as theirs do.
pub(super) fn is_like_one(name: &str) -> bool {
    name.starts_with(PREFIX) || name.starts_with(SOURCE_PREFIX)
}

/// A key, and what the answer says of it.
#[derive(Clone, Debug)]
pub(super) struct Brought {
    pub(super) key: CustomerKey,
    pub(super) shown: Shown,
}

/// What is said of a key: its MD5, as the client sent it.
#[derive(Clone, Debug)]
pub(super) struct Shown(HeaderValue);

/// The key that a request brings along for the object that it is about.
pub(super) fn of(call: &Call) -> Result<Option<Brought>, S3Error> {
    read(&call.head.headers, &call.peer, [ALGORITHM, KEY, KEY_MD5])
}

/// The key of a copy's source.
pub(super) fn of_source(call: &Call) -> Result<Option<CustomerKey>, S3Error> {
    Ok(read(&call.head.headers, &call.peer, SOURCE)?.map(|brought| brought.key))
}

/// The key alone.
pub(super) fn key_of(call: &Call) -> Result<Option<CustomerKey>, S3Error> {
    Ok(of(call)?.map(|brought| brought.key))
}

fn read(headers: &HeaderMap, peer: &Peer, names: [&'static str; 3]) -> Result<Option<Brought>, S3Error> {
    if !names.iter().any(|name| headers.contains_key(*name)) {
        return Ok(None);
    }
    if peer.tls.is_none() && !peer.ip.to_canonical().is_loopback() {
        let message = "Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection.";
        return Err(S3Error::with(Code::InvalidRequest, message));
    }
    if text(headers, "x-amz-server-side-encryption")?.is_some() && names[0] == ALGORITHM {
        let message = "Server Side Encryption with Customer provided key is incompatible with the encryption method specified";
        return Err(S3Error::argument("x-amz-server-side-encryption", "", message));
    }
    let [algorithm, key, digest] = names;
    match text(headers, algorithm)? {
        Some(AES256) => {}
        Some(other) => {
            return Err(S3Error::new(Code::InvalidEncryptionAlgorithmError).field("ArgumentValue", other));
        }
        None => {
            let message = "Requests specifying Server Side Encryption with Customer provided keys must provide a valid encryption \
                           algorithm.";
            return Err(S3Error::argument(algorithm, "", message));
        }
    }
    let encoded = text(headers, key)?.ok_or_else(|| {
        let message =
            "Requests specifying Server Side Encryption with Customer provided keys must provide an appropriate secret key.";
        S3Error::argument(key, "", message)
    })?;
    let said = text(headers, digest)?.ok_or_else(|| {
        let message = "Requests specifying Server Side Encryption with Customer provided keys must provide the client calculated MD5 \
                       of the secret key.";
        S3Error::argument(digest, "", message)
    })?;
    let raw = STANDARD.decode(encoded).map(Zeroizing::new);
    let bytes: Option<Zeroizing<[u8; 32]>> = raw.ok().and_then(|raw| {
        let bytes: [u8; 32] = raw.as_slice().try_into().ok()?;
        Some(Zeroizing::new(bytes))
    });
    let bytes = bytes.ok_or_else(|| {
        S3Error::argument(key, "", "The secret key was invalid for the specified algorithm.")
    })?;
    let md5: [u8; 16] = Md5::digest(bytes.as_slice()).into();
    if STANDARD.decode(said).ok().as_deref() != Some(&md5[..]) {
        let message = "The calculated MD5 hash of the key did not match the hash that was provided.";
        return Err(S3Error::argument(digest, said, message));
    }
    let shown = HeaderValue::from_str(said).map_err(|_| S3Error::argument(digest, "", "It is no text."))?;
    Ok(Some(Brought { key: CustomerKey::new(*bytes), shown: Shown(shown) }))
}

/// How an object is encrypted, as answers say it.
pub(super) fn show(headers: &mut HeaderMap, by: &EncryptedBy, brought: Option<&Shown>) {
    match by {
        EncryptedBy::Appliance => set_amz(headers, managed::SSE, AES256),
        EncryptedBy::Managed(key) => {
            set_amz(headers, managed::SSE, managed::KMS);
            set_amz(headers, managed::KEY_ID, &key.arn);
            if key.bucket_key {
                set_amz(headers, managed::BUCKET_KEY, "true");
            }
        }
        EncryptedBy::Customer => {
            set_amz(headers, ALGORITHM, AES256);
            if let Some(Shown(md5)) = brought {
                headers.insert(KEY_MD5, md5.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ALGORITHM, KEY, KEY_MD5, is_header, is_like_one, read};
    use crate::server::Peer;
    use http::{HeaderMap, HeaderValue};

    const SECRET: &str = "pO3upElrwuEXSoFwCfnZPdSsmt/xWeFa0N9KgDijwVs=";
    const DIGEST: &str = "DWygnHRtgiJ77HCm+1rvHw==";

    fn brought(from: &str, headers: &[(&'static str, &'static str)]) -> Result<bool, (&'static str, String)> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        let peer = Peer { ip: from.parse().unwrap(), tls: None };
        read(&map, &peer, [ALGORITHM, KEY, KEY_MD5])
            .map(|brought| brought.is_some())
            .map_err(|error| (error.code(), error.message().to_owned()))
    }

    #[test]
    fn all_three_are_wanted_and_the_digest_is_of_the_key() {
        let all = [(ALGORITHM, "AES256"), (KEY, SECRET), (KEY_MD5, DIGEST)];
        assert_eq!(brought("127.0.0.1", &all), Ok(true));
        assert_eq!(brought("::1", &all), Ok(true));
        assert_eq!(brought("::ffff:127.0.0.1", &all), Ok(true));
        assert_eq!(brought("127.0.0.1", &[]), Ok(false));
        for missing in 0..3 {
            let some: Vec<_> = all.iter().copied().enumerate().filter(|(at, _)| *at != missing).collect();
            let some: Vec<_> = some.into_iter().map(|(_, header)| header).collect();
            assert_eq!(brought("127.0.0.1", &some).unwrap_err().0, "InvalidArgument", "{missing}");
        }
        for (at, value, code) in [
            (0, "AES128", "InvalidEncryptionAlgorithmError"),
            (1, "c2hvcnQ=", "InvalidArgument"),
            (1, "?", "InvalidArgument"),
            (2, "AAAAAAAAAAAAAAAAAAAAAA==", "InvalidArgument"),
            (2, "?", "InvalidArgument"),
        ] {
            let mut other = all;
            other[at].1 = value;
            let (found, message) = brought("127.0.0.1", &other).unwrap_err();
            assert_eq!(found, code, "{at} {value}");
            assert!(!message.contains(SECRET));
        }
        let both = [all[0], all[1], all[2], ("x-amz-server-side-encryption", "AES256")];
        assert_eq!(brought("127.0.0.1", &both).unwrap_err().0, "InvalidArgument");
    }

    #[test]
    fn a_key_in_the_clear_is_refused_from_elsewhere() {
        let (code, message) = brought("192.0.2.1", &[(KEY, SECRET)]).unwrap_err();
        assert_eq!(code, "InvalidRequest");
        assert!(message.contains("secure connection"), "{message}");
    }

    #[test]
    fn its_headers_are_known_by_name() {
        assert!(is_header(KEY) && is_header("x-amz-copy-source-server-side-encryption-customer-key-md5"));
        assert!(!is_header("x-amz-server-side-encryption-customer-hint"));
        assert!(is_like_one("x-amz-server-side-encryption-customer-hint"));
    }
}
