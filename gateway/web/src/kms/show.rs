//! What comes back, as the model has it; and what parameters say, as the core has it.

use crate::json::{Args, Call, JsonError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::clock::Timestamp;
use security::identity::Tag;
use security::kms::{
    Alias, Constraint, EncryptionAlgorithm, EncryptionContext, Grant, Key, KeySpec, KeyState, KeyUsage,
    Origin,
};
use serde_json::{Map, Value, json};

/// Seconds since the epoch, as SDKs read times.
pub(super) fn time(at: Timestamp) -> Value {
    let millis = at.as_millis();
    let text = format!("{}.{:03}", millis.div_euclid(1_000), millis.rem_euclid(1_000));
    text.parse::<f64>().map_or(Value::Null, Value::from)
}

/// Bytes in base64.
pub(super) fn blob(bytes: &[u8]) -> Value {
    STANDARD.encode(bytes).into()
}

fn words<T: Copy>(all: &[T], word: fn(T) -> &'static str) -> Value {
    all.iter().map(|one| Value::from(word(*one))).collect()
}

/// What is asked for that is not there is told by name.
pub(super) fn refuse_unbuilt(call: &Call, parameters: &[&str]) -> Result<(), JsonError> {
    match parameters.iter().find(|parameter| call.args.has(parameter)) {
        Some(parameter) => {
            Err(JsonError::bad("UnsupportedOperationException", format!("{parameter} is not taken here.")))
        }
        None => Ok(()),
    }
}

/// A word of the model that there is nothing behind here.
pub(super) fn known<T>(found: Option<T>, word: &str) -> Result<T, JsonError> {
    found.ok_or_else(|| JsonError::bad("UnsupportedOperationException", format!("{word} is not built yet.")))
}

/// An encryption context of this parameter.
pub(super) fn context(args: &Args, name: &str) -> Result<EncryptionContext, JsonError> {
    Ok(EncryptionContext::new(args.map(name).unwrap_or_default().iter().cloned())?)
}

/// An algorithm that encrypts, of this parameter.
pub(super) fn algorithm(args: &Args, name: &str) -> Result<Option<EncryptionAlgorithm>, JsonError> {
    args.text(name).map(|word| known(EncryptionAlgorithm::of_word(word), word)).transpose()
}

/// Tags that were given.
pub(super) fn tags_of(args: &Args) -> Vec<Tag> {
    let tag =
        |tag: &Args| Tag { key: tag.needed("TagKey").to_owned(), value: tag.needed("TagValue").to_owned() };
    args.structures("Tags").map(tag).collect()
}

/// Algorithms that go with a key.
pub(super) fn algorithms(reply: &mut Value, spec: KeySpec, usage: KeyUsage) {
    match usage {
        KeyUsage::Encrypt => {
            reply["EncryptionAlgorithms"] = words(spec.encryption_algorithms(), EncryptionAlgorithm::as_str);
        }
        KeyUsage::Sign => {
            reply["SigningAlgorithms"] =
                words(spec.signing_algorithms(), security::kms::SigningAlgorithm::as_str);
        }
        KeyUsage::Mac => {
            reply["MacAlgorithms"] = words(spec.mac_algorithms(), security::kms::MacAlgorithm::as_str);
        }
        KeyUsage::Agreement => reply["KeyAgreementAlgorithms"] = json!(["ECDH"]),
    }
}

/// A key's metadata.
pub(super) fn metadata(key: &Key) -> Value {
    let mut reply = json!({
        "AWSAccountId": key.account.to_string(),
        "KeyId": key.id.to_string(),
        "Arn": key.arn,
        "CreationDate": time(key.created),
        "Enabled": key.state == KeyState::Enabled,
        "Description": key.description,
        "KeyUsage": key.usage.as_str(),
        "KeyState": key.state.as_str(),
        "Origin": key.origin.as_str(),
        "KeyManager": key.manager.as_str(),
        "CustomerMasterKeySpec": key.spec.as_str(),
        "KeySpec": key.spec.as_str(),
        "MultiRegion": false,
    });
    algorithms(&mut reply, key.spec, key.usage);
    if let Some(at) = key.deletion {
        reply["DeletionDate"] = time(at);
    }
    if key.origin == Origin::External
        && let Some(valid_to) = key.valid_to
    {
        reply["ExpirationModel"] = expiration(valid_to).into();
        if let Some(at) = valid_to {
            reply["ValidTo"] = time(at);
        }
    }
    if let Some(id) = &key.material_id {
        reply["CurrentKeyMaterialId"] = id.as_str().into();
    }
    reply
}

/// Whether imported material goes.
pub(super) const fn expiration(valid_to: Option<Timestamp>) -> &'static str {
    if valid_to.is_some() { "KEY_MATERIAL_EXPIRES" } else { "KEY_MATERIAL_DOES_NOT_EXPIRE" }
}

/// An alias of a list.
pub(super) fn alias(alias: &Alias) -> Value {
    json!({
        "AliasName": alias.name,
        "AliasArn": alias.arn,
        "TargetKeyId": alias.key.to_string(),
        "CreationDate": time(alias.created),
        "LastUpdatedDate": time(alias.updated),
    })
}

fn pairs(context: &EncryptionContext) -> Value {
    let pairs: Map<String, Value> =
        context.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
    pairs.into()
}

/// A grant of a list.
pub(super) fn grant(grant: &Grant) -> Value {
    let operations: Value = grant.operations.iter().map(|one| Value::from(one.as_str())).collect();
    let mut reply = json!({
        "KeyId": grant.key_arn,
        "GrantId": grant.id,
        "Name": grant.name.as_deref().unwrap_or_default(),
        "CreationDate": time(grant.created),
        "GranteePrincipal": grant.grantee,
        "IssuingAccount": grant.issuer,
        "Operations": operations,
    });
    if let Some(retiring) = &grant.retiring {
        reply["RetiringPrincipal"] = retiring.as_str().into();
    }
    match &grant.constraint {
        None => {}
        Some(Constraint::Equals(context)) => {
            reply["Constraints"] = json!({ "EncryptionContextEquals": pairs(context) });
        }
        Some(Constraint::Subset(context)) => {
            reply["Constraints"] = json!({ "EncryptionContextSubset": pairs(context) });
        }
    }
    reply
}
