//! What keys that encrypt do.

use super::shapes::{
    ALGORITHM, BYTES, CIPHERTEXT, DATA_KEY_SPEC, KEY_ID, MODIFIERS, PAIR_SPEC, PLAINTEXT, RECIPIENT,
    STORE_ID, TOKENS,
};
use super::show::{self, blob};
use crate::json::shape::{Shape, opt, req};
use crate::json::{About, Call, JsonError, Row, done, row};
use security::kms::{Decrypt, Encrypt, KeyPair, KeySpec, ReEncrypt};
use serde_json::{Value, json};

/// Their rows.
pub(super) static ROWS: &[Row] = &[
    Row {
        about: About::AnyKey,
        granted: true,
        parameters: &[
            req("KeyId", &KEY_ID),
            req("Plaintext", &PLAINTEXT),
            opt("EncryptionContext", &Shape::Map),
            opt("GrantTokens", &TOKENS),
            opt("EncryptionAlgorithm", &ALGORITHM),
            opt("DryRun", &Shape::Flag),
        ],
        state: done!(encrypt),
        ..row!("kms", "Encrypt")
    },
    Row {
        about: About::AnyKey,
        granted: true,
        parameters: &[
            opt("CiphertextBlob", &CIPHERTEXT),
            opt("EncryptionContext", &Shape::Map),
            opt("GrantTokens", &TOKENS),
            opt("KeyId", &KEY_ID),
            opt("EncryptionAlgorithm", &ALGORITHM),
            opt("Recipient", &RECIPIENT),
            opt("DryRun", &Shape::Flag),
            opt("DryRunModifiers", &MODIFIERS),
        ],
        state: done!(decrypt),
        ..row!("kms", "Decrypt")
    },
    Row {
        actions: &["kms:ReEncryptFrom", "kms:ReEncryptTo"],
        about: About::AnyKey,
        granted: true,
        parameters: &[
            opt("CiphertextBlob", &CIPHERTEXT),
            opt("SourceEncryptionContext", &Shape::Map),
            opt("SourceKeyId", &KEY_ID),
            req("DestinationKeyId", &KEY_ID),
            opt("DestinationEncryptionContext", &Shape::Map),
            opt("SourceEncryptionAlgorithm", &ALGORITHM),
            opt("DestinationEncryptionAlgorithm", &ALGORITHM),
            opt("GrantTokens", &TOKENS),
            opt("DryRun", &Shape::Flag),
            opt("DryRunModifiers", &MODIFIERS),
        ],
        state: done!(re_encrypt),
        ..row!("kms", "ReEncrypt")
    },
    Row {
        about: About::AnyKey,
        granted: true,
        parameters: &[
            req("KeyId", &KEY_ID),
            opt("EncryptionContext", &Shape::Map),
            opt("NumberOfBytes", &BYTES),
            opt("KeySpec", &DATA_KEY_SPEC),
            opt("GrantTokens", &TOKENS),
            opt("Recipient", &RECIPIENT),
            opt("DryRun", &Shape::Flag),
        ],
        state: done!(data_key),
        ..row!("kms", "GenerateDataKey")
    },
    Row {
        about: About::AnyKey,
        granted: true,
        parameters: &[
            req("KeyId", &KEY_ID),
            opt("EncryptionContext", &Shape::Map),
            opt("KeySpec", &DATA_KEY_SPEC),
            opt("NumberOfBytes", &BYTES),
            opt("GrantTokens", &TOKENS),
            opt("DryRun", &Shape::Flag),
        ],
        state: done!(data_key_unseen),
        ..row!("kms", "GenerateDataKeyWithoutPlaintext")
    },
    Row {
        about: About::AnyKey,
        granted: true,
        parameters: &[
            opt("EncryptionContext", &Shape::Map),
            req("KeyId", &KEY_ID),
            req("KeyPairSpec", &PAIR_SPEC),
            opt("GrantTokens", &TOKENS),
            opt("Recipient", &RECIPIENT),
            opt("DryRun", &Shape::Flag),
        ],
        state: done!(pair),
        ..row!("kms", "GenerateDataKeyPair")
    },
    Row {
        about: About::AnyKey,
        granted: true,
        parameters: &[
            opt("EncryptionContext", &Shape::Map),
            req("KeyId", &KEY_ID),
            req("KeyPairSpec", &PAIR_SPEC),
            opt("GrantTokens", &TOKENS),
            opt("DryRun", &Shape::Flag),
        ],
        state: done!(pair_unseen),
        ..row!("kms", "GenerateDataKeyPairWithoutPlaintext")
    },
    Row {
        about: About::Account,
        parameters: &[
            opt("NumberOfBytes", &BYTES),
            opt("CustomKeyStoreId", &STORE_ID),
            opt("Recipient", &RECIPIENT),
        ],
        state: done!(random),
        ..row!("kms", "GenerateRandom")
    },
];

/// Whether a ciphertext is left out, as a dry run of a later model may.
fn ciphertext(call: &Call) -> Result<&[u8], JsonError> {
    show::refuse_unbuilt(call, &["DryRunModifiers", "Recipient"])?;
    call.args.blob("CiphertextBlob").ok_or_else(|| {
        JsonError::validation(&[
            "Value null at 'ciphertextBlob' failed to satisfy constraint: Member must not be null".to_owned(),
        ])
    })
}

async fn encrypt(call: &Call) -> Result<Value, JsonError> {
    let context = show::context(&call.args, "EncryptionContext")?;
    let wanted = Encrypt {
        key: call.key(),
        plaintext: call.args.blob("Plaintext").unwrap_or_default(),
        context: &context,
        algorithm: show::algorithm(&call.args, "EncryptionAlgorithm")?,
    };
    let sealed = call.shared.kms.encrypt(&call.asks(), wanted).await?;
    Ok(json!({
        "CiphertextBlob": blob(&sealed.ciphertext),
        "KeyId": sealed.key_arn,
        "EncryptionAlgorithm": sealed.algorithm.as_str(),
    }))
}

async fn decrypt(call: &Call) -> Result<Value, JsonError> {
    let context = show::context(&call.args, "EncryptionContext")?;
    let wanted = Decrypt {
        key: call.args.text("KeyId"),
        ciphertext: ciphertext(call)?,
        context: &context,
        algorithm: show::algorithm(&call.args, "EncryptionAlgorithm")?,
    };
    let opened = call.shared.kms.decrypt_text(&call.asks(), wanted).await?;
    Ok(json!({
        "KeyId": opened.key_arn,
        "Plaintext": blob(&opened.plaintext),
        "EncryptionAlgorithm": opened.algorithm.as_str(),
        "KeyMaterialId": opened.material_id,
    }))
}

async fn re_encrypt(call: &Call) -> Result<Value, JsonError> {
    let args = &call.args;
    let from = show::context(args, "SourceEncryptionContext")?;
    let to = show::context(args, "DestinationEncryptionContext")?;
    let source = Decrypt {
        key: args.text("SourceKeyId"),
        ciphertext: ciphertext(call)?,
        context: &from,
        algorithm: show::algorithm(args, "SourceEncryptionAlgorithm")?,
    };
    let algorithm = show::algorithm(args, "DestinationEncryptionAlgorithm")?;
    let wanted = ReEncrypt { source, key: args.needed("DestinationKeyId"), context: &to, algorithm };
    let (opened, sealed) = call.shared.kms.re_encrypt(&call.asks(), wanted).await?;
    Ok(json!({
        "CiphertextBlob": blob(&sealed.ciphertext),
        "SourceKeyId": opened.key_arn,
        "KeyId": sealed.key_arn,
        "SourceEncryptionAlgorithm": opened.algorithm.as_str(),
        "DestinationEncryptionAlgorithm": sealed.algorithm.as_str(),
        "SourceKeyMaterialId": opened.material_id,
        "DestinationKeyMaterialId": sealed.material_id,
    }))
}

/// How long a data key is to be: one of two says so.
fn length(call: &Call) -> Result<usize, JsonError> {
    match (call.args.text("KeySpec"), call.args.number("NumberOfBytes")) {
        (Some("AES_256"), None) => Ok(32),
        (Some(_), None) => Ok(16),
        (None, Some(bytes)) => Ok(usize::try_from(bytes).unwrap_or_default()),
        _ => {
            let message = "Please specify either number of bytes or key spec.";
            Err(JsonError::bad("ValidationException", message))
        }
    }
}

async fn make_data_key(call: &Call, shown: bool) -> Result<Value, JsonError> {
    show::refuse_unbuilt(call, &["Recipient"])?;
    let context = show::context(&call.args, "EncryptionContext")?;
    let (wanted, how) = ((call.key(), &context), (length(call)?, shown));
    let (opened, sealed) = call.shared.kms.data_key(&call.asks(), wanted, how).await?;
    let mut reply = json!({
        "CiphertextBlob": blob(&sealed.ciphertext),
        "KeyId": sealed.key_arn,
        "KeyMaterialId": sealed.material_id,
    });
    if shown {
        reply["Plaintext"] = blob(&opened.plaintext);
    }
    Ok(reply)
}

async fn data_key(call: &Call) -> Result<Value, JsonError> {
    make_data_key(call, true).await
}

async fn data_key_unseen(call: &Call) -> Result<Value, JsonError> {
    make_data_key(call, false).await
}

async fn make_pair(call: &Call, shown: bool) -> Result<Value, JsonError> {
    show::refuse_unbuilt(call, &["Recipient"])?;
    let context = show::context(&call.args, "EncryptionContext")?;
    let word = call.args.needed("KeyPairSpec");
    let spec = show::known(KeySpec::of_word(word), word)?;
    let made = call.shared.kms.data_key_pair(&call.asks(), (call.key(), &context), (spec, shown)).await?;
    let KeyPair { private, sealed, public } = made;
    let mut reply = json!({
        "PrivateKeyCiphertextBlob": blob(&sealed.ciphertext),
        "PublicKey": blob(&public),
        "KeyId": sealed.key_arn,
        "KeyPairSpec": word,
        "KeyMaterialId": sealed.material_id,
    });
    if shown {
        reply["PrivateKeyPlaintext"] = blob(&private);
    }
    Ok(reply)
}

async fn pair(call: &Call) -> Result<Value, JsonError> {
    make_pair(call, true).await
}

async fn pair_unseen(call: &Call) -> Result<Value, JsonError> {
    make_pair(call, false).await
}

async fn random(call: &Call) -> Result<Value, JsonError> {
    show::refuse_unbuilt(call, &["CustomKeyStoreId", "Recipient"])?;
    let length = call.args.number("NumberOfBytes").ok_or_else(|| {
        JsonError::validation(&[
            "Value null at 'numberOfBytes' failed to satisfy constraint: Member must not be null".to_owned(),
        ])
    })?;
    let bytes = call.shared.kms.random(&call.asks(), usize::try_from(length).unwrap_or_default())?;
    Ok(json!({ "Plaintext": blob(&bytes) }))
}
