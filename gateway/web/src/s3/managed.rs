//! What requests say of managed keys (SSE-KMS).
//!
//! ```text
//!   x-amz-server-side-encryption[-aws-kms-key-id, -context, -bucket-key-enabled] ─► Encrypts ─► the store asks the key
//!   the key's name ─► its ARN now ─► what policies see, and what the store must then find
//! ```
//!
//! Which key it is and whether it may be used, the store and `security::kms` decide; here headers are read. They are said when an object or
//! an upload begins, and refused everywhere else, as S3 does.

use super::Call;
use super::code::Code;
use super::error::S3Error;
use super::headers::text;
use super::operation::Operation;
use crate::state::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use objectstore::{Encrypts, ManagedWish};
use security::Principal;
use std::collections::BTreeMap;

/// How an object is encrypted.
pub(super) const SSE: &str = "x-amz-server-side-encryption";
/// By which managed key.
pub(super) const KEY_ID: &str = "x-amz-server-side-encryption-aws-kms-key-id";
/// With which context.
pub(super) const CONTEXT: &str = "x-amz-server-side-encryption-context";
/// Whether it is used as a bucket key.
pub(super) const BUCKET_KEY: &str = "x-amz-server-side-encryption-bucket-key-enabled";
/// How S3 calls encryption by a managed key.
pub(super) const KMS: &str = "aws:kms";
/// In two layers.
pub(super) const DSSE: &str = "aws:kms:dsse";
/// Of the account, made when it is first used.
const OWN_KEY: &str = "alias/aws/s3";
/// Characters of a key's name: of the longest ARN of an alias.
const KEY_ID_MAX: usize = 2_048;

/// What two layers are refused with.
pub(super) const NO_DSSE: &str = "Dual-layer encryption (aws:kms:dsse) is not built. Use aws:kms: its one layer is AES-256-GCM under a key that the managed key wraps.";

/// How the request's object is to be encrypted, where no key came along.
pub(super) fn wish(call: &Call) -> Result<Encrypts, S3Error> {
    let mut wish = read(&call.head.headers)?;
    if let Encrypts::Managed(wish) = &mut wish
        && let Some(name) = &wish.key
    {
        let found = call.asker.request().named_key.get().cloned().flatten();
        // What meant no key when policies were asked must mean none now, but for the one that is made by its first use.
        wish.decided = found.or_else(|| (name != OWN_KEY).then(String::new));
    }
    Ok(wish)
}

fn read(headers: &HeaderMap) -> Result<Encrypts, S3Error> {
    let (key, context) = (text(headers, KEY_ID)?, text(headers, CONTEXT)?);
    let bucket_key = match text(headers, BUCKET_KEY)? {
        None => None,
        Some(value) if value.eq_ignore_ascii_case("true") => Some(true),
        Some(value) if value.eq_ignore_ascii_case("false") => Some(false),
        Some(other) => return Err(S3Error::argument(BUCKET_KEY, other, "It is true or false.")),
    };
    let alone = |name: &str| {
        S3Error::argument(name, "", format!("The header goes with {SSE}: {KMS}, and the request has none."))
    };
    match text(headers, SSE)? {
        Some(KMS) => {}
        Some("AES256") | None if key.is_some() => return Err(alone(KEY_ID)),
        Some("AES256") | None if context.is_some() => return Err(alone(CONTEXT)),
        Some("AES256") if bucket_key == Some(true) => return Err(alone(BUCKET_KEY)),
        Some("AES256") => return Ok(Encrypts::Appliance),
        None => {
            return Ok(match bucket_key {
                Some(bucket_key) => Encrypts::AsBucketBut { bucket_key },
                None => Encrypts::AsBucket,
            });
        }
        Some(DSSE) => return Err(S3Error::with(Code::NotImplemented, NO_DSSE).field("Header", SSE)),
        Some(other) => {
            return Err(S3Error::argument(SSE, other, "The encryption method specified is not supported"));
        }
    }
    let key = key.filter(|key| !key.is_empty()).map(key_name).transpose()?;
    let context = context.map(pairs).transpose()?.unwrap_or_default();
    Ok(Encrypts::Managed(Box::new(ManagedWish { key, decided: None, context, bucket_key })))
}

/// A name that a key may have.
pub(super) fn key_name(text: &str) -> Result<String, S3Error> {
    if text.len() <= KEY_ID_MAX && text.is_ascii() {
        return Ok(text.to_owned());
    }
    Err(S3Error::argument(KEY_ID, "", "It is the id, alias or ARN of a managed key."))
}

/// Pairs of a context: JSON, in base64.
fn pairs(text: &str) -> Result<Vec<(String, String)>, S3Error> {
    let refused = || {
        let message = "The header x-amz-server-side-encryption-context shall be Base64-encoded UTF-8 string holding JSON which represents \
                       a string-string map";
        S3Error::argument(CONTEXT, text, message)
    };
    let raw = STANDARD.decode(text).map_err(|_| refused())?;
    let pairs: BTreeMap<String, String> = serde_json::from_slice(&raw).map_err(|_| refused())?;
    Ok(pairs.into_iter().collect())
}

/// Refuses what is said where no object and no upload begins.
pub(super) fn check(operation: Operation, headers: &HeaderMap) -> Result<(), S3Error> {
    let begins = matches!(
        operation,
        Operation::PutObject
            | Operation::CopyObject
            | Operation::CreateMultipartUpload
            | Operation::PostObject
    );
    if begins {
        return Ok(());
    }
    let says = |name: &'static str| text(headers, name).map(|value| value.map(|value| (name, value)));
    let sse = says(SSE)?.filter(|(_, value)| value.starts_with(KMS));
    let bucket_key = says(BUCKET_KEY)?.filter(|(_, value)| !value.eq_ignore_ascii_case("false"));
    match sse.or(says(KEY_ID)?).or(says(CONTEXT)?).or(bucket_key) {
        None => Ok(()),
        Some((name, value)) => {
            let message = format!("{name} header is not supported for this operation.");
            Err(S3Error::argument(name, value, message))
        }
    }
}

/// The ARN that the name of a request's key means now, where it names one.
pub(super) async fn named(
    state: &State,
    principal: &Principal,
    headers: &HeaderMap,
) -> Result<Option<Option<String>>, S3Error> {
    let Some(name) = text(headers, KEY_ID)?.filter(|name| !name.is_empty()) else { return Ok(None) };
    let found = state.kms.arn_of(principal.account(), name).await;
    Ok(Some(found.map_err(|error| S3Error::from(objectstore::Error::from(error)))?))
}

#[cfg(test)]
mod tests {
    use super::{BUCKET_KEY, CONTEXT, Encrypts, KEY_ID, Operation, SSE, check, read};
    use http::{HeaderMap, HeaderValue};

    fn map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        headers.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn what_is_said_is_read_strictly() {
        let code = |headers: &[(&'static str, &'static str)]| {
            read(&map(headers)).map_or_else(|error| error.code(), |_| "")
        };
        for headers in [
            &[][..],
            &[(SSE, "AES256"), (BUCKET_KEY, "false")],
            &[(BUCKET_KEY, "true")],
            &[(SSE, "aws:kms")],
            &[(SSE, "aws:kms"), (KEY_ID, "alias/a"), (CONTEXT, "eyJhIjoiYiJ9"), (BUCKET_KEY, "TRUE")],
        ] {
            assert_eq!(code(headers), "", "{headers:?}");
        }
        for (headers, wanted) in [
            (&[(SSE, "aws:kms:dsse")][..], "NotImplemented"),
            (&[(SSE, "ROT13")], "InvalidArgument"),
            (&[(KEY_ID, "k")], "InvalidArgument"),
            (&[(SSE, "AES256"), (KEY_ID, "k")], "InvalidArgument"),
            (&[(SSE, "AES256"), (CONTEXT, "e30=")], "InvalidArgument"),
            (&[(SSE, "AES256"), (BUCKET_KEY, "true")], "InvalidArgument"),
            (&[(SSE, "aws:kms"), (BUCKET_KEY, "yes")], "InvalidArgument"),
            (&[(SSE, "aws:kms"), (CONTEXT, "?")], "InvalidArgument"),
            (&[(SSE, "aws:kms"), (CONTEXT, "WzFd")], "InvalidArgument"),
            (&[(SSE, "aws:kms"), (CONTEXT, "eyJhIjoxfQ==")], "InvalidArgument"),
        ] {
            assert_eq!(code(headers), wanted, "{headers:?}");
        }
        let all = [(SSE, "aws:kms"), (KEY_ID, "alias/a"), (CONTEXT, "eyJhIjoiYiJ9"), (BUCKET_KEY, "false")];
        let Encrypts::Managed(wish) = read(&map(&all)).unwrap() else { panic!() };
        assert_eq!((wish.key.as_deref(), wish.bucket_key), (Some("alias/a"), Some(false)));
        assert_eq!(wish.context, [("a".to_owned(), "b".to_owned())]);
    }

    #[test]
    fn it_is_said_where_an_object_or_upload_begins() {
        for headers in [(SSE, "aws:kms"), (KEY_ID, "k"), (CONTEXT, "e30="), (BUCKET_KEY, "true")] {
            check(Operation::PutObject, &map(&[headers])).unwrap();
            let refused = check(Operation::UploadPart, &map(&[headers])).unwrap_err();
            assert_eq!(refused.code(), "InvalidArgument", "{headers:?}");
        }
        check(Operation::UploadPart, &map(&[(SSE, "AES256"), (BUCKET_KEY, "false")])).unwrap();
    }
}
