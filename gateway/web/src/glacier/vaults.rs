//! Vaults.

use super::error::GlacierError;
use super::{Answer, Call, json, nothing, told};
use archive::inventory::date_with_millis;
use archive::vault::{NewVault, VaultInfo, VaultName};
use http::StatusCode;
use serde_json::{Value, json};

const PAGE: usize = 10;

pub(super) async fn create(call: &Call) -> Result<Answer, GlacierError> {
    let name = call.vault()?;
    call.vaults.create(call.account, &name, NewVault::default()).await?;
    let location = format!("/{}/vaults/{name}", call.account);
    Ok(told(StatusCode::CREATED, &[("location", &location)]))
}

pub(super) async fn delete(call: &Call) -> Result<Answer, GlacierError> {
    call.vaults.delete(call.account, &call.vault()?).await?;
    Ok(nothing())
}

pub(super) async fn describe(call: &Call) -> Result<Answer, GlacierError> {
    let info = call.vaults.describe(call.account, &call.vault()?).await?;
    Ok(json(StatusCode::OK, &document(&info)))
}

pub(super) async fn list(call: &Call) -> Result<Answer, GlacierError> {
    // A marker is the ARN of the vault that the page begins with.
    let from = call.marker().map(|marker| marker.rsplit_once("vaults/").map_or(marker, |(_, name)| name));
    let from = from.map(VaultName::parse).transpose()?;
    let page = call.vaults.list(call.account, from.as_ref(), call.limit(PAGE)?).await?;
    let next = page.next.map(|name| name.arn(call.vaults.region(), call.account));
    let list: Vec<Value> = page.vaults.iter().map(document).collect();
    Ok(json(StatusCode::OK, &json!({"VaultList": list, "Marker": next})))
}

fn document(info: &VaultInfo) -> Value {
    json!({
        "VaultARN": info.arn,
        "VaultName": info.name.as_str(),
        "CreationDate": date_with_millis(info.created),
        "LastInventoryDate": null,
        "NumberOfArchives": info.archives,
        "SizeInBytes": info.bytes,
    })
}
