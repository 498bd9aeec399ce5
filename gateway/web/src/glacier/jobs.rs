//! Retrievals.

use super::error::GlacierError;
use super::{Answer, Call, json, told};
use crate::http::{answer_stream, set_header};
use archive::inventory::{Description, Format, Selection};
use archive::retrieval::{Subject, Tier};
use archive::tree_hash::ByteRange;
use archive::vault::{Error, JobInfo, Vaults, Wanted};
use futures_util::{StreamExt, stream};
use http::StatusCode;
use http::header::{ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, HeaderName};
use serde::Deserialize;
use serde_json::{Value, json};

const PAGE: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameters {
    r#type: Option<String>,
    format: Option<String>,
    archive_id: Option<String>,
    description: Option<String>,
    #[serde(rename = "SNSTopic")]
    sns_topic: Option<String>,
    retrieval_byte_range: Option<String>,
    tier: Option<String>,
    #[serde(default, rename = "InventoryRetrievalParameters")]
    inventory: InventoryParameters,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InventoryParameters {
    start_date: Option<String>,
    end_date: Option<String>,
    limit: Option<String>,
    marker: Option<String>,
}

fn invalid(error: impl std::fmt::Display) -> GlacierError {
    GlacierError::invalid(error.to_string())
}

fn subject(parameters: &Parameters) -> Result<Subject, GlacierError> {
    match parameters.r#type.as_deref() {
        Some("archive-retrieval") => {
            let archive = parameters.archive_id.clone().ok_or_else(|| GlacierError::missing("ArchiveId"))?;
            let range = parameters.retrieval_byte_range.as_deref().map(str::parse::<ByteRange>);
            Ok(Subject::Archive { archive, range: range.transpose().map_err(invalid)? })
        }
        Some("inventory-retrieval") => {
            let format =
                parameters.format.as_deref().map(str::parse::<Format>).transpose().map_err(invalid)?;
            let InventoryParameters { start_date, end_date, limit, marker } = &parameters.inventory;
            let selection = Selection::parse(
                start_date.as_deref(),
                end_date.as_deref(),
                limit.as_deref(),
                marker.as_deref(),
            );
            Ok(Subject::Inventory {
                format: format.unwrap_or_default(),
                selection: selection.map_err(invalid)?,
            })
        }
        Some(other) => Err(GlacierError::invalid(format!(
            "Invalid job type: {other}. It is archive-retrieval or inventory-retrieval."
        ))),
        None => Err(GlacierError::missing("Type")),
    }
}

pub(super) async fn initiate(call: &Call) -> Result<Answer, GlacierError> {
    let parameters: Parameters = call.json()?;
    let tier = parameters.tier.as_deref().map(str::parse::<Tier>).transpose().map_err(invalid)?;
    let wanted = Wanted {
        subject: subject(&parameters)?,
        tier: tier.unwrap_or(Tier::Standard),
        description: Description::new(parameters.description.as_deref().unwrap_or_default())
            .map_err(invalid)?,
        topic: parameters.sns_topic.clone().unwrap_or_default(),
    };
    if wanted.topic.len() > 1024 {
        return Err(GlacierError::invalid("Invalid SNSTopic: it has more than 1,024 bytes."));
    }
    let info = call.vaults.initiate(call.account, &call.vault()?, wanted).await?;
    let id = info.job.id.to_string();
    let location = format!("/{}/vaults/{}/jobs/{id}", call.account, call.segment(1));
    Ok(told(StatusCode::ACCEPTED, &[("location", &location), ("x-amz-job-id", &id)]))
}

pub(super) async fn describe(call: &Call) -> Result<Answer, GlacierError> {
    let job = Vaults::job_id(call.segment(3))?;
    let info = call.vaults.job(call.account, &call.vault()?, job).await?;
    Ok(json(StatusCode::OK, &info.document()))
}

pub(super) async fn list(call: &Call) -> Result<Answer, GlacierError> {
    let from = call.marker().map(Vaults::job_id).transpose()?;
    let status = call.query.get("statuscode").map(String::as_str);
    if let Some(other) = status.filter(|status| !["InProgress", "Succeeded", "Failed"].contains(status)) {
        return Err(GlacierError::invalid(format!("Invalid statuscode: {other}")));
    }
    let completed = match call.query.get("completed").map(String::as_str) {
        None => None,
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(other) => return Err(GlacierError::invalid(format!("Invalid completed: {other}"))),
    };
    let wanted = |job: &archive::retrieval::Job| {
        let code = job.state.status_code();
        code.is_some()
            && status.is_none_or(|status| code == Some(status))
            && completed.is_none_or(|completed| completed == (code != Some("InProgress")))
    };
    let page = call.vaults.jobs(call.account, &call.vault()?, (from, call.limit(PAGE)?), wanted).await?;
    let list: Vec<Value> = page.jobs.iter().map(JobInfo::document).collect();
    let next = page.next.map(|next| next.to_string());
    Ok(json(StatusCode::OK, &json!({"JobList": list, "Marker": next})))
}

pub(super) async fn output(call: &Call) -> Result<Answer, GlacierError> {
    let (vault, job) = (call.vault()?, Vaults::job_id(call.segment(3))?);
    let asked = match call.header("range") {
        None => None,
        Some(text) => {
            let range = text.strip_prefix("bytes=").and_then(|text| text.parse::<ByteRange>().ok());
            Some(range.ok_or_else(|| GlacierError::invalid(format!("Invalid range: {text}")))?)
        }
    };
    let info = call.vaults.job(call.account, &vault, job).await?;
    let range = asked.map(|range| range.first()..range.last().saturating_add(1).min(info.output));
    let (info, mut bytes) = call.vaults.output(call.account, &vault, job, range.clone()).await?;
    let length = range.as_ref().map_or(info.output, |range| range.end - range.start);
    // What fails at once is told as an error: behind a head, only the connection could say so.
    let first = bytes.next().await.transpose()?;
    let bytes = stream::iter(first.map(Ok)).chain(bytes.map(|item| item.map_err(streamed))).boxed();
    let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let mut answer = answer_stream(status, bytes, length);
    let headers = answer.headers_mut();
    let kind = match &info.job.subject {
        Subject::Archive { .. } => "application/octet-stream",
        Subject::Inventory { format, .. } => format.content_type(),
    };
    set_header(headers, CONTENT_TYPE, kind);
    set_header(headers, ACCEPT_RANGES, "bytes");
    if let Some(range) = range {
        let text = format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), info.output);
        set_header(headers, CONTENT_RANGE, &text);
    } else if let Some(hash) = info.tree_hash {
        set_header(headers, HeaderName::from_static("x-amz-sha256-tree-hash"), &hash.to_string());
    }
    if !info.job.description.as_str().is_empty() {
        let name = HeaderName::from_static("x-amz-archive-description");
        set_header(headers, name, info.job.description.as_str());
    }
    Ok(answer)
}

fn streamed(error: Error) -> objectstore::Error {
    objectstore::Error::Engine(match error {
        Error::Engine(error) => error,
        other => engine::Error::Invalid(other.to_string()),
    })
}
