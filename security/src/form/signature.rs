//! Whose key signed a form's policy.

use super::error::FormError;
use super::fields::Fields;
use crate::credentials::{AccessKeyId, Bearer, Credential, CredentialLookup, Holder};
use crate::date::AmzDate;
use crate::sigv4::{self, AuthCode, AuthError, Via};
use crate::{AccountId, Principal};
use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::clock::Timestamp;

/// Whether the old signature of forms, HMAC-SHA1 over the policy, is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LegacyForms {
    /// It is refused, as in every region of S3 that is newer than 2014.
    #[default]
    Refused,
    /// It is verified.
    Taken,
}

/// A verified form.
#[derive(Clone, Debug)]
pub struct SignedForm {
    /// Whose key signed.
    pub access_key_id: AccessKeyId,
    /// The account behind the key.
    pub account: AccountId,
    /// Who in that account.
    pub holder: Holder,
}

impl SignedForm {
    /// Who to ask [`decide`](crate::decide::decide) about, from where their credential was found.
    pub async fn principal(&self, credentials: &dyn CredentialLookup) -> Result<Principal, AuthError> {
        let Self { access_key_id, account, holder } = self;
        Bearer { account: *account, holder, access_key_id, service: "s3" }.principal(credentials).await
    }
}

/// Verifies the signature over the field `policy`; `None` for a form that has neither. What the policy says is not looked at.
pub fn authenticate(
    fields: &Fields,
    credentials: &dyn CredentialLookup,
    policy: &sigv4::Policy<'_>,
    legacy: LegacyForms,
) -> Result<Option<SignedForm>, AuthError> {
    let has = |names: &[&str]| names.iter().any(|name| fields.get(name).is_some());
    let v4 = has(&["x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"]);
    let old = has(&["awsaccesskeyid", "signature"]);
    match (v4, old) {
        (true, true) => Err(AuthError::new(
            AuthCode::InvalidArgument,
            "Only one auth mechanism allowed; the form has the fields of two.",
        )),
        (false, true) if legacy == LegacyForms::Refused => Err(sigv4::unsupported_mechanism()),
        (false, true) => verify_old(fields, credentials, policy.now).map(Some),
        (false, false) if fields.get("policy").is_none() => Ok(None),
        _ => verify_v4(fields, credentials, policy).map(Some),
    }
}

fn wanted<'f>(fields: &'f Fields, name: &'static str, shown: &str) -> Result<&'f str, AuthError> {
    fields.get(name).filter(|value| !value.is_empty()).ok_or_else(|| {
        AuthError::new(AuthCode::InvalidArgument, FormError::missing(shown).message())
            .with("ArgumentName", shown)
            .with("ArgumentValue", "")
    })
}

fn verify_v4(
    fields: &Fields,
    credentials: &dyn CredentialLookup,
    policy: &sigv4::Policy<'_>,
) -> Result<SignedForm, AuthError> {
    let algorithm = wanted(fields, "x-amz-algorithm", "X-Amz-Algorithm")?;
    let credential = wanted(fields, "x-amz-credential", "X-Amz-Credential")?;
    let date = wanted(fields, "x-amz-date", "X-Amz-Date")?;
    let signature = wanted(fields, "x-amz-signature", "X-Amz-Signature")?;
    let text = wanted(fields, "policy", "policy")?;
    if algorithm != sigv4::ALGORITHM {
        let message = "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"";
        return Err(AuthError::new(AuthCode::InvalidArgument, message)
            .with("ArgumentName", "X-Amz-Algorithm")
            .with("ArgumentValue", algorithm));
    }
    let (access_key_id, scope) = sigv4::parse_credential(Via::Query, credential)?;
    let day = AmzDate::parse(date).ok_or_else(|| {
        let message = "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"";
        AuthError::new(AuthCode::InvalidArgument, message)
            .with("ArgumentName", "X-Amz-Date")
            .with("ArgumentValue", date)
    })?;
    sigv4::check_scope(Via::Query, &scope, day.day(), policy)?;
    let (id, found) = look_up(credentials, &access_key_id, fields.get("x-amz-security-token"), policy.now)?;
    let key = policy.keys.get(&access_key_id, &found.secret, &scope);
    if key.sign(text.as_bytes()).matches(signature.as_bytes()) {
        return Ok(SignedForm { access_key_id: id, account: found.account, holder: found.holder });
    }
    Err(mismatch(&access_key_id, text, signature))
}

/// `base64(HMAC-SHA1(secret, policy))`.
fn verify_old(
    fields: &Fields,
    credentials: &dyn CredentialLookup,
    now: Timestamp,
) -> Result<SignedForm, AuthError> {
    let access_key_id = wanted(fields, "awsaccesskeyid", "AWSAccessKeyId")?;
    let signature = wanted(fields, "signature", "signature")?;
    let text = wanted(fields, "policy", "policy")?;
    let (id, found) = look_up(credentials, access_key_id, fields.get("x-amz-security-token"), now)?;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, found.secret.expose().as_bytes());
    let expected = STANDARD.encode(hmac::sign(&key, text.as_bytes()));
    if constant_time::verify_slices_are_equal(expected.as_bytes(), signature.as_bytes()).is_ok() {
        return Ok(SignedForm { access_key_id: id, account: found.account, holder: found.holder });
    }
    Err(mismatch(access_key_id, text, signature))
}

fn look_up(
    credentials: &dyn CredentialLookup,
    id: &str,
    token: Option<&str>,
    now: Timestamp,
) -> Result<(AccessKeyId, Credential), AuthError> {
    let parsed = id.parse().map_err(|_| sigv4::unknown_key(id))?;
    Ok((parsed, sigv4::credential_of(credentials, id, token, now)?))
}

fn mismatch(access_key_id: &str, policy: &str, signature: &str) -> AuthError {
    sigv4::signature_mismatch()
        .with("AWSAccessKeyId", access_key_id)
        .with("StringToSign", policy)
        .with("SignatureProvided", signature)
}

#[cfg(test)]
mod tests {
    use super::{LegacyForms, authenticate};
    use crate::credentials::File;
    use crate::form::Fields;
    use crate::sigv4::{Policy, SigningKeys};
    use aws_lc_rs::hmac;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use engine::clock::Timestamp;

    const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    /// The policy, CR LF included, and signature of the API reference's "Examples: Browser-Based Upload using HTTP POST".
    const POLICY: &str = "{ \"expiration\": \"2015-12-30T12:00:00.000Z\",\r\n  \"conditions\": [\r\n    {\"bucket\": \"sigv4examplebucket\"},\r\n    [\"starts-with\", \"$key\", \"user/user1/\"],\r\n    {\"acl\": \"public-read\"},\r\n    {\"success_action_redirect\": \"http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html\"},\r\n    [\"starts-with\", \"$Content-Type\", \"image/\"],\r\n    {\"x-amz-meta-uuid\": \"14365123651274\"},\r\n    {\"x-amz-server-side-encryption\": \"AES256\"},\r\n    [\"starts-with\", \"$x-amz-meta-tag\", \"\"],\r\n\r\n    {\"x-amz-credential\": \"AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request\"},\r\n    {\"x-amz-algorithm\": \"AWS4-HMAC-SHA256\"},\r\n    {\"x-amz-date\": \"20151229T000000Z\" }\r\n  ]\r\n}";
    const SIGNATURE: &str = "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e";

    fn published() -> Vec<(&'static str, String)> {
        vec![
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()),
            ("X-Amz-Credential", format!("{ACCESS_KEY}/20151229/us-east-1/s3/aws4_request")),
            ("X-Amz-Date", "20151229T000000Z".to_owned()),
            ("Policy", STANDARD.encode(POLICY)),
            ("X-Amz-Signature", SIGNATURE.to_owned()),
        ]
    }

    fn old() -> Vec<(&'static str, String)> {
        let policy = STANDARD.encode(POLICY);
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, SECRET.as_bytes());
        let signature = STANDARD.encode(hmac::sign(&key, policy.as_bytes()));
        vec![("AWSAccessKeyId", ACCESS_KEY.to_owned()), ("policy", policy), ("signature", signature)]
    }

    fn verify(form: &[(&str, String)], legacy: LegacyForms) -> Result<bool, &'static str> {
        let mut fields = Fields::default();
        for (name, value) in form {
            fields.add(name, value.clone()).unwrap();
        }
        let ini = format!("[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET}\n");
        let file = File::parse(&ini, "111122223333".parse().unwrap()).unwrap();
        let keys = SigningKeys::default();
        let policy = Policy::new("us-east-1", Timestamp::from_millis(1_451_347_200_000), &keys);
        let verified = authenticate(&fields, &file, &policy, legacy);
        verified.map(|signed| signed.is_some()).map_err(|error| error.code())
    }

    #[test]
    fn the_published_example_verifies_and_nothing_changed_does() {
        let good = published();
        assert_eq!(verify(&good, LegacyForms::Refused), Ok(true));
        for (at, value, code) in [
            (0, "AWS4-HMAC-SHA1", "InvalidArgument"),
            (1, "AKIAXXXXXXXXXXXXXXXX/20151229/us-east-1/s3/aws4_request", "InvalidAccessKeyId"),
            (
                1,
                "AKIAIOSFODNN7EXAMPLE/20151229/eu-west-1/s3/aws4_request",
                "AuthorizationQueryParametersError",
            ),
            (
                1,
                "AKIAIOSFODNN7EXAMPLE/20151228/us-east-1/s3/aws4_request",
                "AuthorizationQueryParametersError",
            ),
            (
                1,
                "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/sqs/aws4_request",
                "AuthorizationQueryParametersError",
            ),
            (2, "2015-12-29", "InvalidArgument"),
            (3, "e30=", "SignatureDoesNotMatch"),
            (4, "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699f", "SignatureDoesNotMatch"),
            (4, "", "InvalidArgument"),
        ] {
            let mut bad = good.clone();
            bad[at].1 = value.to_owned();
            assert_eq!(verify(&bad, LegacyForms::Refused), Err(code), "{value}");
        }
        for left_out in 0..good.len() {
            let mut bad = good.clone();
            bad.remove(left_out);
            assert_eq!(verify(&bad, LegacyForms::Refused), Err("InvalidArgument"), "{left_out}");
        }
        let mut token = good.clone();
        token.push(("x-amz-security-token", "t".to_owned()));
        assert_eq!(verify(&token, LegacyForms::Refused), Err("InvalidToken"));
        assert_eq!(verify(&[("key", "k".to_owned())], LegacyForms::Refused), Ok(false));
    }

    #[test]
    fn the_old_signature_is_taken_only_where_it_is_switched_on() {
        let good = old();
        assert_eq!(verify(&good, LegacyForms::Taken), Ok(true));
        assert_eq!(verify(&good, LegacyForms::Refused), Err("InvalidRequest"));
        let both: Vec<_> = good.iter().cloned().chain(published().into_iter().skip(4)).collect();
        assert_eq!(verify(&both, LegacyForms::Taken), Err("InvalidArgument"));
        for (at, value, code) in [
            (0, "foo", "InvalidAccessKeyId"),
            (1, "e30=", "SignatureDoesNotMatch"),
            (2, "AAAA", "SignatureDoesNotMatch"),
            (2, "", "InvalidArgument"),
        ] {
            let mut bad = good.clone();
            bad[at].1 = value.to_owned();
            assert_eq!(verify(&bad, LegacyForms::Taken), Err(code), "{value}");
        }
    }
}
