//! The signature of a message, by the Standard Webhooks scheme (standardwebhooks.com, version 1), for which receivers have libraries:
//! HMAC-SHA256 under a shared secret over `ID.TIMESTAMP.BODY`, in base64 behind `v1,`.
//!
//! The timestamp is the attempt's, in seconds: a receiver refuses old ones, and with the id, which stays the same, what it has had.

use crate::error::{Error, Result};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::str::FromStr;

/// What a secret's text begins with.
const PREFIX: &str = "whsec_";
/// Bytes of a secret, by the scheme.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// What a receiver and we know: `whsec_` and base64 of 24 to 64 random bytes. `Debug` never shows it.
#[derive(Clone)]
pub struct Secret(hmac::Key);

impl Secret {
    /// The value of `webhook-signature`.
    pub fn sign(&self, id: &str, seconds: &str, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        for piece in [id.as_bytes(), b".", seconds.as_bytes(), b".", body] {
            context.update(piece);
        }
        format!("v1,{}", STANDARD.encode(context.sign()))
    }
}

impl FromStr for Secret {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let refused = || {
            Error::Invalid(
                "it is not whsec_ and the base64 of 24 to 64 bytes; make one: echo whsec_$(openssl rand -base64 32)".to_owned(),
            )
        };
        let encoded = text.trim().strip_prefix(PREFIX).ok_or_else(refused)?;
        let key = STANDARD.decode(encoded).map_err(|_| refused())?;
        if !BYTES.contains(&key.len()) {
            return Err(refused());
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &key)))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    /// The vector of the scheme's reference libraries.
    #[test]
    fn the_published_vector_verifies() {
        let secret: Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_ne!(
            secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265331", br#"{"test": 2432232314}"#),
            signature
        );
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }

    #[test]
    fn a_secret_is_long_enough_and_said_as_the_scheme_has_it() {
        let of = |bytes: usize| {
            use base64::Engine as _;
            format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(vec![7; bytes]))
        };
        for good in [of(24), of(64), format!(" {}\n", of(32))] {
            good.parse::<Secret>().unwrap();
        }
        for bad in [of(23), of(65), of(32).replace("whsec_", ""), "whsec_???".to_owned(), String::new()] {
            let error = bad.parse::<Secret>().unwrap_err().to_string();
            assert!(error.contains("openssl rand") && (bad.is_empty() || !error.contains(&bad)), "{error}");
        }
    }
}
