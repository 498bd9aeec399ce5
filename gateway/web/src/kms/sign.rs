//! What keys do that encrypt nothing.

use super::shapes::{
    AGREEMENT, CIPHERTEXT, KEY_ID, MAC_ALGORITHM, MESSAGE_TYPE, PLAINTEXT, PUBLIC_KEY, RECIPIENT,
    SIGNING_ALGORITHM, TOKENS,
};
use super::show::{self, blob};
use crate::json::shape::{Shape, opt, req};
use crate::json::{About, Call, JsonError, Row, done, row};
use security::kms::{MacAlgorithm, MessageKind, Sign, SigningAlgorithm};
use serde_json::{Value, json};

/// Their rows.
pub(super) static ROWS: &[Row] = &[
    Row {
        about: About::AnyKey,
        granted: true,
        parameters: &[
            req("KeyId", &KEY_ID),
            req("Message", &PLAINTEXT),
            opt("MessageType", &MESSAGE_TYPE),
            opt("GrantTokens", &TOKENS),
            req("SigningAlgorithm", &SIGNING_ALGORITHM),
            opt("DryRun", &Shape::Flag),
        ],
        state: done!(sign),
        ..row!("kms", "Sign")
    },
    Row {
        about: About::AnyKey,
        granted: true,
        parameters: &[
            req("KeyId", &KEY_ID),
            req("Message", &PLAINTEXT),
            opt("MessageType", &MESSAGE_TYPE),
            req("Signature", &CIPHERTEXT),
            req("SigningAlgorithm", &SIGNING_ALGORITHM),
            opt("GrantTokens", &TOKENS),
            opt("DryRun", &Shape::Flag),
        ],
        state: done!(verify),
        ..row!("kms", "Verify")
    },
    Row {
        about: About::AnyKey,
        granted: true,
        parameters: &[
            req("Message", &PLAINTEXT),
            req("KeyId", &KEY_ID),
            req("MacAlgorithm", &MAC_ALGORITHM),
            opt("GrantTokens", &TOKENS),
            opt("DryRun", &Shape::Flag),
        ],
        state: done!(mac),
        ..row!("kms", "GenerateMac")
    },
    Row {
        about: About::AnyKey,
        granted: true,
        parameters: &[
            req("Message", &PLAINTEXT),
            req("KeyId", &KEY_ID),
            req("MacAlgorithm", &MAC_ALGORITHM),
            req("Mac", &CIPHERTEXT),
            opt("GrantTokens", &TOKENS),
            opt("DryRun", &Shape::Flag),
        ],
        state: done!(verify_mac),
        ..row!("kms", "VerifyMac")
    },
    Row {
        about: About::AnyKey,
        granted: true,
        parameters: &[
            req("KeyId", &KEY_ID),
            req("KeyAgreementAlgorithm", &AGREEMENT),
            req("PublicKey", &PUBLIC_KEY),
            opt("GrantTokens", &TOKENS),
            opt("DryRun", &Shape::Flag),
            opt("Recipient", &RECIPIENT),
        ],
        state: done!(derive),
        ..row!("kms", "DeriveSharedSecret")
    },
    Row {
        about: About::AnyKey,
        granted: true,
        parameters: &[req("KeyId", &KEY_ID), opt("GrantTokens", &TOKENS)],
        state: done!(public_key),
        ..row!("kms", "GetPublicKey")
    },
];

fn wanted(call: &Call) -> Result<Sign<'_>, JsonError> {
    let kind = match call.args.text("MessageType") {
        None | Some("RAW") => MessageKind::Raw,
        Some("DIGEST") => MessageKind::Digest,
        Some(other) => return Err(JsonError::unsupported(other, "it goes with ML_DSA alone")),
    };
    let word = call.args.needed("SigningAlgorithm");
    let algorithm = show::known(SigningAlgorithm::of_word(word), word)?;
    let message = call.args.blob("Message").unwrap_or_default();
    Ok(Sign { key: call.key(), message, kind, algorithm })
}

async fn sign(call: &Call) -> Result<Value, JsonError> {
    let wanted = wanted(call)?;
    let (signature, arn) = call.shared.kms.sign(&call.asks(), wanted).await?;
    Ok(json!({ "KeyId": arn, "Signature": blob(&signature), "SigningAlgorithm": wanted.algorithm.as_str() }))
}

async fn verify(call: &Call) -> Result<Value, JsonError> {
    let wanted = wanted(call)?;
    let signature = call.args.blob("Signature").unwrap_or_default();
    let arn = call.shared.kms.verify(&call.asks(), wanted, signature).await?;
    Ok(json!({ "KeyId": arn, "SignatureValid": true, "SigningAlgorithm": wanted.algorithm.as_str() }))
}

fn mac_wanted(call: &Call) -> Result<(&str, &[u8], MacAlgorithm), JsonError> {
    let word = call.args.needed("MacAlgorithm");
    let algorithm = show::known(MacAlgorithm::of_word(word), word)?;
    Ok((call.key(), call.args.blob("Message").unwrap_or_default(), algorithm))
}

async fn mac(call: &Call) -> Result<Value, JsonError> {
    let wanted = mac_wanted(call)?;
    let (mac, arn) = call.shared.kms.generate_mac(&call.asks(), wanted).await?;
    Ok(json!({ "Mac": blob(&mac), "MacAlgorithm": wanted.2.as_str(), "KeyId": arn }))
}

async fn verify_mac(call: &Call) -> Result<Value, JsonError> {
    let wanted = mac_wanted(call)?;
    let mac = call.args.blob("Mac").unwrap_or_default();
    let arn = call.shared.kms.verify_mac(&call.asks(), wanted, mac).await?;
    Ok(json!({ "KeyId": arn, "MacValid": true, "MacAlgorithm": wanted.2.as_str() }))
}

async fn derive(call: &Call) -> Result<Value, JsonError> {
    show::refuse_unbuilt(call, &["Recipient"])?;
    let public = call.args.blob("PublicKey").unwrap_or_default();
    let (secret, arn, origin) =
        call.shared.kms.derive_shared_secret(&call.asks(), call.key(), public).await?;
    Ok(json!({
        "KeyId": arn,
        "SharedSecret": blob(&secret),
        "KeyAgreementAlgorithm": "ECDH",
        "KeyOrigin": origin.as_str(),
    }))
}

async fn public_key(call: &Call) -> Result<Value, JsonError> {
    let (public, key) = call.shared.kms.public_key(&call.asks(), call.key()).await?;
    let mut reply = json!({
        "KeyId": key.arn,
        "PublicKey": blob(&public),
        "CustomerMasterKeySpec": key.spec.as_str(),
        "KeySpec": key.spec.as_str(),
        "KeyUsage": key.usage.as_str(),
    });
    show::algorithms(&mut reply, key.spec, key.usage);
    Ok(reply)
}
