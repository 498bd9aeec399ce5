//! Rotations, and material that is imported.

use super::shapes::{
    CIPHERTEXT, EXPIRATION, IMPORT_TYPE, INCLUDE, KEY_ID, LIMIT, MARKER, MATERIAL_DESCRIPTION, MATERIAL_ID,
    PERIOD, WRAPPING_ALGORITHM, WRAPPING_SPEC,
};
use super::show::{self, blob};
use crate::json::shape::{Shape, opt, req};
use crate::json::{About, Call, JsonError, Row, done, row};
use security::kms::{Import, Rotated, RotationKind};
use serde_json::{Value, json};

/// Their rows.
pub(super) static ROWS: &[Row] = &[
    Row {
        parameters: &[req("KeyId", &KEY_ID), opt("RotationPeriodInDays", &PERIOD)],
        state: done!(enable),
        ..row!("kms", "EnableKeyRotation")
    },
    Row { parameters: &[req("KeyId", &KEY_ID)], state: done!(disable), ..row!("kms", "DisableKeyRotation") },
    Row {
        about: About::AnyKey,
        parameters: &[req("KeyId", &KEY_ID)],
        state: done!(status),
        ..row!("kms", "GetKeyRotationStatus")
    },
    Row {
        parameters: &[
            req("KeyId", &KEY_ID),
            opt("IncludeKeyMaterial", &INCLUDE),
            opt("Limit", &LIMIT),
            opt("Marker", &MARKER),
        ],
        state: done!(list),
        ..row!("kms", "ListKeyRotations")
    },
    Row { parameters: &[req("KeyId", &KEY_ID)], state: done!(rotate), ..row!("kms", "RotateKeyOnDemand") },
    Row {
        parameters: &[
            req("KeyId", &KEY_ID),
            req("WrappingAlgorithm", &WRAPPING_ALGORITHM),
            req("WrappingKeySpec", &WRAPPING_SPEC),
        ],
        state: done!(parameters),
        ..row!("kms", "GetParametersForImport")
    },
    Row {
        parameters: &[
            req("KeyId", &KEY_ID),
            req("ImportToken", &CIPHERTEXT),
            req("EncryptedKeyMaterial", &CIPHERTEXT),
            opt("ValidTo", &Shape::Time),
            opt("ExpirationModel", &EXPIRATION),
            opt("ImportType", &IMPORT_TYPE),
            opt("KeyMaterialDescription", &MATERIAL_DESCRIPTION),
            opt("KeyMaterialId", &MATERIAL_ID),
        ],
        state: done!(import),
        ..row!("kms", "ImportKeyMaterial")
    },
    Row {
        parameters: &[req("KeyId", &KEY_ID), opt("KeyMaterialId", &MATERIAL_ID)],
        state: done!(delete),
        ..row!("kms", "DeleteImportedKeyMaterial")
    },
];

async fn enable(call: &Call) -> Result<Value, JsonError> {
    let days = call.args.small("RotationPeriodInDays");
    call.shared.kms.enable_key_rotation(&call.asks(), call.key(), days).await?;
    Ok(Value::Null)
}

async fn disable(call: &Call) -> Result<Value, JsonError> {
    call.shared.kms.disable_key_rotation(&call.asks(), call.key()).await?;
    Ok(Value::Null)
}

async fn status(call: &Call) -> Result<Value, JsonError> {
    let (arn, status) = call.shared.kms.key_rotation_status(&call.asks(), call.key()).await?;
    let mut reply = json!({ "KeyId": arn, "KeyRotationEnabled": status.automatic.is_some() });
    if let Some((days, next)) = status.automatic {
        reply["RotationPeriodInDays"] = days.into();
        reply["NextRotationDate"] = show::time(next);
    }
    Ok(reply)
}

fn rotated(arn: &str, item: &Rotated) -> Value {
    let mut reply = json!({
        "KeyId": arn,
        "KeyMaterialId": item.material_id,
        "KeyMaterialState": if item.is_current { "CURRENT" } else { "NON_CURRENT" },
    });
    if let Some((at, kind)) = item.rotation {
        reply["RotationDate"] = show::time(at);
        reply["RotationType"] =
            if kind == RotationKind::Automatic { "AUTOMATIC" } else { "ON_DEMAND" }.into();
    }
    if let Some((is_there, valid_to)) = item.imported {
        reply["ImportState"] = if is_there { "IMPORTED" } else { "PENDING_IMPORT" }.into();
        reply["ExpirationModel"] = show::expiration(valid_to).into();
        if let Some(at) = valid_to {
            reply["ValidTo"] = show::time(at);
        }
    }
    reply
}

async fn list(call: &Call) -> Result<Value, JsonError> {
    let all = call.args.text("IncludeKeyMaterial") == Some("ALL_KEY_MATERIAL");
    let (arn, page) = call.shared.kms.key_rotations(&call.asks(), (call.key(), all), call.paging()).await?;
    let rotations: Value = page.items.iter().map(|item| rotated(&arn, item)).collect();
    let mut reply = json!({ "Rotations": rotations });
    call.paged(&mut reply, page.next.as_deref())?;
    Ok(reply)
}

async fn rotate(call: &Call) -> Result<Value, JsonError> {
    let arn = call.shared.kms.rotate_key_on_demand(&call.asks(), call.key()).await?;
    Ok(json!({ "KeyId": arn }))
}

async fn parameters(call: &Call) -> Result<Value, JsonError> {
    let how = (call.args.needed("WrappingAlgorithm"), call.args.needed("WrappingKeySpec"));
    let given = call.shared.kms.parameters_for_import(&call.asks(), call.key(), how).await?;
    Ok(json!({
        "KeyId": given.key_arn,
        "ImportToken": blob(&given.token),
        "PublicKey": blob(&given.public),
        "ParametersValidTo": show::time(given.valid_to),
    }))
}

async fn import(call: &Call) -> Result<Value, JsonError> {
    show::refuse_unbuilt(call, &["KeyMaterialDescription"])?;
    let args = &call.args;
    // Material expires where nobody says, and then it has to be said when.
    let expires = args.text("ExpirationModel") != Some("KEY_MATERIAL_DOES_NOT_EXPIRE");
    let valid_to = args.time("ValidTo");
    if expires != valid_to.is_some() {
        let message = "ValidTo is given when key material expires, and only then.";
        return Err(JsonError::bad("ValidationException", message));
    }
    let wanted = Import {
        key: call.key(),
        token: args.blob("ImportToken").unwrap_or_default(),
        material: args.blob("EncryptedKeyMaterial").unwrap_or_default(),
        valid_to,
        is_new: args.text("ImportType") == Some("NEW_KEY_MATERIAL"),
        material_id: args.text("KeyMaterialId"),
    };
    let (arn, id) = call.shared.kms.import_key_material(&call.asks(), wanted).await?;
    Ok(json!({ "KeyId": arn, "KeyMaterialId": id }))
}

async fn delete(call: &Call) -> Result<Value, JsonError> {
    let material = call.args.text("KeyMaterialId");
    let (arn, id) = call.shared.kms.delete_imported_key_material(&call.asks(), call.key(), material).await?;
    Ok(json!({ "KeyId": arn, "KeyMaterialId": id }))
}
