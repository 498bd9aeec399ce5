//! Archives on their way in, whole or in parts, and their end.

use super::error::GlacierError;
use super::{Answer, Call, RequestBody, json, nothing, told};
use archive::inventory::{Description, date_with_millis};
use archive::tree_hash::{ByteRange, PartSize, TreeHash};
use archive::vault::{ARCHIVE_BYTES_MAX, Expected, UploadInfo, Uploaded, Vaults};
use http::StatusCode;
use serde_json::{Value, json};

const PAGE: usize = 50;
const TREE_HASH: &str = "x-amz-sha256-tree-hash";

fn description(call: &Call) -> Result<Description, GlacierError> {
    let text = call.header("x-amz-archive-description").unwrap_or_default();
    Description::new(text).map_err(|error| GlacierError::invalid(error.to_string()))
}

fn tree_hash(call: &Call) -> Result<TreeHash, GlacierError> {
    let text = call.needed(TREE_HASH)?;
    text.parse().map_err(|_| GlacierError::invalid(format!("Invalid {TREE_HASH}: {text}")))
}

fn expected(call: &Call) -> Result<Expected, GlacierError> {
    Ok(Expected { tree_hash: Some(tree_hash(call)?), sha256: call.sha256 })
}

fn created(call: &Call, uploaded: &Uploaded) -> Answer {
    let (id, hash) = (uploaded.archive.to_string(), uploaded.tree_hash.to_string());
    let location = format!("/{}/vaults/{}/archives/{id}", call.account, call.segment(1));
    told(StatusCode::CREATED, &[("location", &location), (TREE_HASH, &hash), ("x-amz-archive-id", &id)])
}

pub(super) async fn upload(call: &Call, body: &mut RequestBody) -> Result<Answer, GlacierError> {
    let (expected, description) = (expected(call)?, description(call)?);
    let length = body.length().map(engine::unit::ByteCount::get);
    if length.is_some_and(|length| length > ARCHIVE_BYTES_MAX) {
        return Err(GlacierError::invalid("An archive of more than 4 GiB comes in parts."));
    }
    let upload = call.vaults.upload(call.account, &call.vault()?, description, length)?;
    let hold = body.reserve(&call.state.bodies, call.vaults.upload_memory(length)).await?;
    let mut upload = upload.charged_to(hold);
    while let Some(bytes) = body.next().await? {
        upload.write(bytes).await?;
    }
    let uploaded = upload.finish(&expected).await?;
    Ok(created(call, &uploaded))
}

pub(super) async fn delete(call: &Call) -> Result<Answer, GlacierError> {
    let archive = Vaults::archive_id("archive", call.segment(3))?;
    if call.vaults.delete_archive(call.account, &call.vault()?, archive).await? {
        Ok(nothing())
    } else {
        Err(GlacierError::not_found(format!("The archive ID was not found: {archive}")))
    }
}

/// Whether it could be deleted, which nothing is changed by.
pub(super) async fn judge(call: &Call) -> Result<Answer, GlacierError> {
    let archive = Vaults::archive_id("archive", call.segment(3))?;
    if call.vaults.may_delete(call.account, &call.vault()?, archive).await? {
        Ok(nothing())
    } else {
        Err(GlacierError::not_found(format!("The archive ID was not found: {archive}")))
    }
}

pub(super) async fn begin(call: &Call) -> Result<Answer, GlacierError> {
    let text = call.needed("x-amz-part-size")?;
    let size = text.parse().ok().and_then(|bytes| PartSize::new(bytes).ok());
    let size = size.ok_or_else(|| {
        GlacierError::invalid(format!(
            "Invalid part size: {text}. Part size must be 1048576 times a power of two, at most 4294967296."
        ))
    })?;
    let upload = call.vaults.begin_upload(call.account, &call.vault()?, description(call)?, size).await?;
    let id = upload.to_string();
    let location = format!("/{}/vaults/{}/multipart-uploads/{id}", call.account, call.segment(1));
    Ok(told(StatusCode::CREATED, &[("location", &location), ("x-amz-multipart-upload-id", &id)]))
}

pub(super) async fn part(call: &Call, body: &mut RequestBody) -> Result<Answer, GlacierError> {
    let expected = expected(call)?;
    let text = call.needed("content-range")?;
    let range = text.strip_prefix("bytes ").and_then(|text| text.strip_suffix("/*"));
    let range: Option<ByteRange> = range.and_then(|range| range.parse().ok());
    let range = range.ok_or_else(|| {
        GlacierError::invalid(format!("Invalid Content-Range: {text}. It is written bytes 0-1048575/*."))
    })?;
    let upload = Vaults::archive_id("upload", call.segment(3))?;
    let part = call.vaults.part(call.account, &call.vault()?, upload, range).await?;
    let memory = call.vaults.upload_memory(Some(range.byte_count()));
    let hold = body.reserve(&call.state.bodies, memory).await?;
    let mut part = part.charged_to(hold);
    while let Some(bytes) = body.next().await? {
        part.write(bytes).await?;
    }
    let hash = part.finish(&expected).await?.to_string();
    Ok(told(StatusCode::NO_CONTENT, &[(TREE_HASH, &hash)]))
}

pub(super) async fn complete(call: &Call) -> Result<Answer, GlacierError> {
    let text = call.needed("x-amz-archive-size")?;
    let length = text.parse().map_err(|_| GlacierError::invalid(format!("Invalid archive size: {text}")))?;
    let upload = Vaults::archive_id("upload", call.segment(3))?;
    let whole = (length, tree_hash(call)?);
    let uploaded = call.vaults.complete_upload(call.account, &call.vault()?, upload, whole).await?;
    Ok(created(call, &uploaded))
}

pub(super) async fn abort(call: &Call) -> Result<Answer, GlacierError> {
    let upload = Vaults::archive_id("upload", call.segment(3))?;
    call.vaults.abort_upload(call.account, &call.vault()?, upload).await?;
    Ok(nothing())
}

fn document(call: &Call, info: &UploadInfo) -> Result<Value, GlacierError> {
    Ok(json!({
        "MultipartUploadId": info.upload.to_string(),
        "VaultARN": call.vault()?.arn(call.vaults.region(), call.account),
        "ArchiveDescription": info.description.as_str(),
        "PartSizeInBytes": info.part_size.bytes(),
        "CreationDate": date_with_millis(info.created),
    }))
}

pub(super) async fn uploads(call: &Call) -> Result<Answer, GlacierError> {
    let from = call.marker().map(|marker| Vaults::archive_id("upload", marker)).transpose()?;
    let page = call.vaults.uploads(call.account, &call.vault()?, from, call.limit(PAGE)?).await?;
    let list: Vec<Value> = page.uploads.iter().map(|info| document(call, info)).collect::<Result<_, _>>()?;
    let next = page.next.map(|next| next.to_string());
    Ok(json(StatusCode::OK, &json!({"UploadsList": list, "Marker": next})))
}

pub(super) async fn parts(call: &Call) -> Result<Answer, GlacierError> {
    let upload = Vaults::archive_id("upload", call.segment(3))?;
    let from = match call.marker() {
        Some(marker) => {
            marker.parse().map_err(|_| GlacierError::invalid(format!("Invalid marker: {marker}")))?
        }
        None => 0,
    };
    let page = call.vaults.parts(call.account, &call.vault()?, upload, (from, call.limit(PAGE)?)).await?;
    let part = |part: &archive::vault::PartInfo| json!({"RangeInBytes": part.range.to_string(), "SHA256TreeHash": part.tree_hash.to_string()});
    let mut document = document(call, &page.upload)?;
    document["Parts"] = page.parts.iter().map(part).collect();
    document["Marker"] = page.next.map(|next| next.to_string()).into();
    Ok(json(StatusCode::OK, &document))
}
