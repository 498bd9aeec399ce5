//! A token as it stands on the wire: header, claims, signature. Source: RFC 7515 (compact serialisation), RFC 7518, RFC 8725.
//!
//! What a header says of where keys are (`jku`, `jwk`, `x5u`, `x5c`) is not looked at: keys are the issuer's, from where its own configuration
//! says. An algorithm that is not on the list is none: neither `none` nor any with a shared secret can be written here.

use crate::policy::tree::Tree;
use aws_lc_rs::signature::{
    self, EcdsaVerificationAlgorithm, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RsaParameters,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Characters of a token, as STS's model has it.
const TOKEN_MAX: usize = 20_000;
/// Characters of a header, encoded.
const HEADER_MAX: usize = 4_096;
/// Characters of a key's id.
pub(super) const KID_MAX: usize = 256;

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
}

/// How a signature of an algorithm is checked.
pub(super) enum Check {
    Rsa(&'static RsaParameters),
    /// With the bytes of a coordinate.
    Curve(&'static EcdsaVerificationAlgorithm, usize),
}

impl Algorithm {
    pub(super) const ALL: [(&'static str, Self); 8] = [
        ("RS256", Self::Rs256),
        ("RS384", Self::Rs384),
        ("RS512", Self::Rs512),
        ("PS256", Self::Ps256),
        ("PS384", Self::Ps384),
        ("PS512", Self::Ps512),
        ("ES256", Self::Es256),
        ("ES384", Self::Es384),
    ];

    /// By its name to the letter.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, algorithm)| algorithm)
    }

    pub(super) const fn check(self) -> Check {
        match self {
            Self::Rs256 => Check::Rsa(&RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Check::Rsa(&RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Check::Rsa(&RSA_PKCS1_2048_8192_SHA512),
            Self::Ps256 => Check::Rsa(&RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => Check::Rsa(&RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => Check::Rsa(&RSA_PSS_2048_8192_SHA512),
            Self::Es256 => Check::Curve(&signature::ECDSA_P256_SHA256_FIXED, 32),
            Self::Es384 => Check::Curve(&signature::ECDSA_P384_SHA384_FIXED, 48),
        }
    }
}

/// A token, taken apart. Nothing of it is to be believed before its signature is verified.
pub(super) struct Token<'t> {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<Box<str>>,
    pub(super) claims: Tree,
    /// What is signed.
    pub(super) signed: &'t [u8],
    pub(super) signature: Vec<u8>,
}

/// A JSON object in base 64.
fn object(part: &str, what: &str) -> Result<Tree, String> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| format!("its {what} is not in base64url"))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("its {what} is not in UTF-8"))?;
    match Tree::parse(&text) {
        Ok(tree @ Tree::Object(_)) => Ok(tree),
        // What is wrong may quote it.
        _ => Err(format!("its {what} is no JSON object whose members stand once each")),
    }
}

impl<'t> Token<'t> {
    /// Takes one apart; an error is a lowercase fragment that quotes nothing of it.
    pub(super) fn parse(text: &'t str) -> Result<Self, String> {
        if text.len() > TOKEN_MAX {
            return Err(format!("it has more than {TOKEN_MAX} characters"));
        }
        let parts: Vec<&str> = text.splitn(4, '.').collect();
        let [header, claims, signature] = parts[..] else {
            return Err("it is not header, claims and signature with dots between them".to_owned());
        };
        if header.len() > HEADER_MAX {
            return Err(format!("its header has more than {HEADER_MAX} characters"));
        }
        let signed = text.as_bytes().get(..header.len() + 1 + claims.len()).unwrap_or_default();
        let header = object(header, "header")?;
        let name = header.member("alg").and_then(Tree::text).ok_or("its header names no algorithm")?;
        let algorithm = Algorithm::named(name).ok_or_else(|| {
            let known: Vec<&str> = Algorithm::ALL.iter().map(|(name, _)| *name).collect();
            format!("its algorithm is none of {}", known.join(", "))
        })?;
        // Whatever it is that has to be understood, nobody here does.
        if header.member("crit").is_some() {
            return Err("its header has crit".to_owned());
        }
        let known_type = |kind: &str| ["jwt", "at+jwt"].iter().any(|known| kind.eq_ignore_ascii_case(known));
        if !header.member("typ").is_none_or(|kind| kind.text().is_some_and(known_type)) {
            return Err("its type is not JWT".to_owned());
        }
        let key_id = match header.member("kid") {
            None => None,
            Some(Tree::Text(id)) if (1..=KID_MAX).contains(&id.len()) => Some(id.as_str().into()),
            Some(_) => return Err(format!("its kid is no text of 1 to {KID_MAX} bytes")),
        };
        let signature =
            URL_SAFE_NO_PAD.decode(signature).map_err(|_| "its signature is not in base64url".to_owned())?;
        Ok(Self { algorithm, key_id, claims: object(claims, "payload")?, signed, signature })
    }
}
