//! Pairs of keys: made, shown, encrypting, signing, agreeing. Material is PKCS #8.
//!
//! What it costs: an RSA signature or decryption takes milliseconds, a pair of RSA keys up to seconds; callers go aside.

use super::error::{Code, KmsError, Result};
use super::spec::{EncryptionAlgorithm, KeySpec, SigningAlgorithm};
use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey as AgreementKey};
use aws_lc_rs::digest::{self, Digest, SHA256, SHA384, SHA512};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{
    KeyPair as RsaKeyPair, KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm,
    OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
};
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256K1_SHA256_ASN1,
    ECDSA_P256K1_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_ASN1_SIGNING,
    ECDSA_P521_SHA512_ASN1, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, UnparsedPublicKey,
    VerificationAlgorithm,
};
use zeroize::Zeroizing;

const UNMADE: &str = "a pair of keys could not be made";
const UNREAD: &str = "a pair of keys could not be read";

fn rsa_size(spec: KeySpec) -> Option<KeySize> {
    Some(match spec {
        KeySpec::Rsa2048 => KeySize::Rsa2048,
        KeySpec::Rsa3072 => KeySize::Rsa3072,
        KeySpec::Rsa4096 => KeySize::Rsa4096,
        _ => return None,
    })
}

fn curve(spec: KeySpec) -> Result<&'static EcdsaSigningAlgorithm> {
    Ok(match spec {
        KeySpec::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
        KeySpec::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
        KeySpec::P521 => &ECDSA_P521_SHA512_ASN1_SIGNING,
        KeySpec::Secp256k1 => &ECDSA_P256K1_SHA256_ASN1_SIGNING,
        _ => return Err(KmsError::internal("a spec has no curve")),
    })
}

/// A pair of keys, as PKCS #8.
pub(super) fn generate(spec: KeySpec) -> Result<Zeroizing<Vec<u8>>> {
    let failed = |_| KmsError::internal(UNMADE);
    if let Some(size) = rsa_size(spec) {
        let pair = RsaKeyPair::generate(size).map_err(failed)?;
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
        return Ok(Zeroizing::new(der.as_ref().to_vec()));
    }
    let document = EcdsaKeyPair::generate_pkcs8(curve(spec)?, &SystemRandom::new()).map_err(failed)?;
    Ok(Zeroizing::new(document.as_ref().to_vec()))
}

/// The public half, as `SubjectPublicKeyInfo`.
pub(super) fn public(spec: KeySpec, pkcs8: &[u8]) -> Result<Vec<u8>> {
    let failed = |_| KmsError::internal(UNREAD);
    let der: PublicKeyX509Der<'_> = if rsa_size(spec).is_some() {
        let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| KmsError::internal(UNREAD))?;
        pair.public_key().as_der().map_err(failed)?
    } else {
        let pair = EcdsaKeyPair::from_pkcs8(curve(spec)?, pkcs8).map_err(|_| KmsError::internal(UNREAD))?;
        pair.public_key().as_der().map_err(failed)?
    };
    Ok(der.as_ref().to_vec())
}

const fn oaep(algorithm: EncryptionAlgorithm) -> &'static OaepAlgorithm {
    match algorithm {
        EncryptionAlgorithm::OaepSha1 => &OAEP_SHA1_MGF1SHA1,
        EncryptionAlgorithm::OaepSha256 | EncryptionAlgorithm::Symmetric => &OAEP_SHA256_MGF1SHA256,
    }
}

/// Encrypts with the public half.
pub(super) fn encrypt(pkcs8: &[u8], algorithm: EncryptionAlgorithm, plain: &[u8]) -> Result<Vec<u8>> {
    let failed = |_| KmsError::internal("a text could not be encrypted");
    let pair = PrivateDecryptingKey::from_pkcs8(pkcs8).map_err(|_| KmsError::internal(UNREAD))?;
    let key = OaepPublicEncryptingKey::new(pair.public_key()).map_err(failed)?;
    let max = key.max_plaintext_size(oaep(algorithm));
    if plain.len() > max {
        return Err(KmsError::invalid(format!(
            "This key encrypts at most {max} bytes with {}.",
            algorithm.as_str()
        )));
    }
    let mut out = vec![0; key.ciphertext_size()];
    let length = key.encrypt(oaep(algorithm), plain, &mut out, None).map_err(failed)?.len();
    out.truncate(length);
    Ok(out)
}

/// Decrypts with the private half.
pub(super) fn decrypt(
    pkcs8: &[u8],
    algorithm: EncryptionAlgorithm,
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>> {
    let pair = PrivateDecryptingKey::from_pkcs8(pkcs8).map_err(|_| KmsError::internal(UNREAD))?;
    let key = OaepPrivateDecryptingKey::new(pair).map_err(|_| KmsError::internal(UNREAD))?;
    let mut out = Zeroizing::new(vec![0; key.min_output_size()]);
    let opened = key.decrypt(oaep(algorithm), ciphertext, &mut out, None);
    let length = opened.map_err(|_| KmsError::ciphertext())?.len();
    out.truncate(length);
    Ok(out)
}

/// A public half that wraps what is to be imported, and its private one.
pub(super) fn wrapping(spec: KeySpec) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>)> {
    let private = generate(spec)?;
    Ok((public(spec, &private)?, private))
}

/// Encrypts with a public half that was given: what a client does that imports.
#[cfg(test)]
pub(super) fn wrap(public: &[u8], algorithm: EncryptionAlgorithm, plain: &[u8]) -> Vec<u8> {
    let key =
        OaepPublicEncryptingKey::new(aws_lc_rs::rsa::PublicEncryptingKey::from_der(public).unwrap()).unwrap();
    let mut out = vec![0; key.ciphertext_size()];
    key.encrypt(oaep(algorithm), plain, &mut out, None).unwrap();
    out
}

fn hash(algorithm: SigningAlgorithm) -> &'static digest::Algorithm {
    use SigningAlgorithm as A;
    match algorithm {
        A::PssSha256 | A::Pkcs1Sha256 | A::EcdsaSha256 => &SHA256,
        A::PssSha384 | A::Pkcs1Sha384 | A::EcdsaSha384 => &SHA384,
        A::PssSha512 | A::Pkcs1Sha512 | A::EcdsaSha512 => &SHA512,
    }
}

/// What is signed: the message's digest, or the one that was given.
pub(super) fn digest_of(algorithm: SigningAlgorithm, message: &[u8], is_digest: bool) -> Result<Digest> {
    let hash = hash(algorithm);
    if !is_digest {
        return Ok(digest::digest(hash, message));
    }
    Digest::import_less_safe(message, hash).map_err(|_| {
        let wanted = hash.output_len();
        KmsError::invalid(format!(
            "Digest is invalid length for algorithm {}: {wanted} bytes are wanted.",
            algorithm.as_str()
        ))
    })
}

fn encoding(
    algorithm: SigningAlgorithm,
) -> Option<(&'static dyn RsaEncoding, &'static dyn VerificationAlgorithm)> {
    Some(match algorithm {
        SigningAlgorithm::PssSha256 => (&RSA_PSS_SHA256, &RSA_PSS_2048_8192_SHA256),
        SigningAlgorithm::PssSha384 => (&RSA_PSS_SHA384, &RSA_PSS_2048_8192_SHA384),
        SigningAlgorithm::PssSha512 => (&RSA_PSS_SHA512, &RSA_PSS_2048_8192_SHA512),
        SigningAlgorithm::Pkcs1Sha256 => (&RSA_PKCS1_SHA256, &RSA_PKCS1_2048_8192_SHA256),
        SigningAlgorithm::Pkcs1Sha384 => (&RSA_PKCS1_SHA384, &RSA_PKCS1_2048_8192_SHA384),
        SigningAlgorithm::Pkcs1Sha512 => (&RSA_PKCS1_SHA512, &RSA_PKCS1_2048_8192_SHA512),
        _ => return None,
    })
}

/// Signs a digest.
pub(super) fn sign(
    spec: KeySpec,
    pkcs8: &[u8],
    algorithm: SigningAlgorithm,
    digest: &Digest,
) -> Result<Vec<u8>> {
    let failed = |_| KmsError::internal("a message could not be signed");
    if let Some((encoding, _)) = encoding(algorithm) {
        let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| KmsError::internal(UNREAD))?;
        let mut out = vec![0; pair.public_modulus_len()];
        pair.sign_digest(encoding, digest, &mut out).map_err(failed)?;
        return Ok(out);
    }
    let pair = EcdsaKeyPair::from_pkcs8(curve(spec)?, pkcs8).map_err(|_| KmsError::internal(UNREAD))?;
    Ok(pair.sign_digest(digest).map_err(failed)?.as_ref().to_vec())
}

/// Whether a signature is of this digest.
pub(super) fn verify(
    spec: KeySpec,
    pkcs8: &[u8],
    algorithm: SigningAlgorithm,
    (digest, signature): (&Digest, &[u8]),
) -> Result<()> {
    let by: &'static dyn VerificationAlgorithm = match (encoding(algorithm), spec) {
        (Some((_, by)), _) => by,
        (None, KeySpec::P256) => &ECDSA_P256_SHA256_ASN1,
        (None, KeySpec::P384) => &ECDSA_P384_SHA384_ASN1,
        (None, KeySpec::P521) => &ECDSA_P521_SHA512_ASN1,
        (None, KeySpec::Secp256k1) => &ECDSA_P256K1_SHA256_ASN1,
        _ => return Err(KmsError::internal("a spec has no curve")),
    };
    let public = public(spec, pkcs8)?;
    let key: UnparsedPublicKey<&[u8]> = signature::UnparsedPublicKey::new(by, &public);
    key.verify_digest(digest, signature).map_err(|_| KmsError::new(Code::InvalidSignature, ""))
}

/// The secret that this private and that public half share.
pub(super) fn agree(spec: KeySpec, pkcs8: &[u8], public: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let algorithm = match spec {
        KeySpec::P256 => &agreement::ECDH_P256,
        KeySpec::P384 => &agreement::ECDH_P384,
        KeySpec::P521 => &agreement::ECDH_P521,
        _ => return Err(KmsError::internal("a spec agrees on nothing")),
    };
    let private =
        PrivateKey::from_private_key_der(algorithm, pkcs8).map_err(|_| KmsError::internal(UNREAD))?;
    let peer = AgreementKey::new(algorithm, public);
    let refused = KmsError::invalid("PublicKey is no key of this key's curve.");
    agreement::agree(&private, peer, refused, |secret| Ok(Zeroizing::new(secret.to_vec())))
}
