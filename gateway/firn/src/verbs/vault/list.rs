//! What there is: vaults, a vault's archives, its jobs.

use super::{Listing, ask, checked, text};
use crate::exit::{Exit, Failure};
use crate::report::rows::{Row, Rows};
use crate::session::Session;
use crate::text::{counted, printable};
use client::{Client, GlacierCall};
use engine::unit::ByteCount;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::time::Duration;

/// Archives of one inventory.
const PAGE: &str = "10000";
/// Bytes of a job's output that are read at once.
pub(super) const STEP: u64 = 8 << 20;
/// Between two looks at a job.
const AGAIN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// A vault.
#[derive(Debug, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "scripts read these names")]
#[serde(rename_all(deserialize = "PascalCase"))]
struct Vault {
    vault_name: String,
    #[serde(rename(deserialize = "VaultARN"))]
    arn: String,
    creation_date: String,
    number_of_archives: u64,
    size_in_bytes: u64,
}

impl Row for Vault {
    const NONE: &'static str = "no vaults";

    fn line(&self, out: &mut dyn Write) -> io::Result<()> {
        let (count, size) = (self.number_of_archives, ByteCount::new(self.size_in_bytes).to_string());
        let archives = counted(count, "archive", "archives");
        write!(out, "{} {size:>10} {archives:>18}  {}", self.creation_date, printable(&self.vault_name))
    }
}

pub(super) async fn vaults(session: &Session) -> anyhow::Result<Exit> {
    let (client, mut rows) = (session.client()?, Vec::<Vault>::new());
    let mut pages = Listing::new("ListVaults", &["vaults"], "VaultList");
    while let Some(page) = pages.next(&client).await? {
        rows.extend::<Vec<Vault>>(page);
    }
    session.output.print(&Rows(rows))
}

/// An archive, as inventories have it.
#[derive(Debug, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "scripts read these names")]
#[serde(rename_all(deserialize = "PascalCase"))]
pub(super) struct Archive {
    pub(super) archive_id: String,
    #[serde(default)]
    archive_description: String,
    creation_date: String,
    pub(super) size: u64,
    #[serde(rename(deserialize = "SHA256TreeHash"))]
    sha256_tree_hash: String,
}

impl Row for Archive {
    const NONE: &'static str = "no archives";

    fn line(&self, out: &mut dyn Write) -> io::Result<()> {
        let (size, description) =
            (ByteCount::new(self.size).to_string(), printable(&self.archive_description));
        write!(out, "{} {size:>10}  {}  {description}", self.creation_date, self.archive_id)
    }
}

/// A vault's archives, some thousand at a time, each time by an inventory of its own.
pub(super) struct Inventory<'a> {
    client: &'a Client,
    vault: &'a str,
    marker: Option<String>,
    is_over: bool,
}

impl<'a> Inventory<'a> {
    pub(super) const fn new(client: &'a Client, vault: &'a str) -> Self {
        Self { client, vault, marker: None, is_over: false }
    }

    pub(super) async fn next(&mut self, session: &Session) -> anyhow::Result<Option<Vec<Archive>>> {
        if self.is_over {
            return Ok(None);
        }
        let before = self.marker.take();
        let mut parameters = json!({ "Limit": PAGE });
        if let Some(marker) = &before {
            parameters["Marker"] = marker.as_str().into();
        }
        let wanted = json!({
            "Type": "inventory-retrieval",
            "Format": "JSON",
            "InventoryRetrievalParameters": parameters,
        });
        let job = initiate(self.client, self.vault, &wanted).await?;
        let done = wait(session, self.client, (self.vault, &job)).await?;
        let length = done["InventorySizeInBytes"].as_u64().unwrap_or(0);
        let mut document = Vec::new();
        while (document.len() as u64) < length {
            let at = document.len() as u64;
            let range = at..length.min(at + STEP);
            document.extend_from_slice(&output(self.client, (self.vault, &job), range).await?);
        }
        let mut document: Value = serde_json::from_slice(&document)?;
        let marker = &done["InventoryRetrievalParameters"]["Marker"];
        self.marker = marker.as_str().filter(|marker| !marker.is_empty()).map(str::to_owned);
        self.is_over = self.marker.is_none() || self.marker == before;
        Ok(Some(serde_json::from_value(document["ArchiveList"].take())?))
    }
}

pub(super) async fn inventory(session: &Session, vault: &str) -> anyhow::Result<Exit> {
    let (client, mut rows) = (session.client()?, Vec::new());
    let mut pages = Inventory::new(&client, checked(vault)?);
    while let Some(page) = pages.next(session).await? {
        rows.extend(page);
    }
    session.output.print(&Rows(rows))
}

/// A retrieval, or an inventory.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "scripts read these names")]
struct Job {
    job_id: String,
    action: String,
    archive_id: Option<String>,
    tier: Option<String>,
    creation_date: String,
    completion_date: Option<String>,
    status: String,
    message: String,
}

impl Row for Job {
    const NONE: &'static str = "no jobs";

    fn line(&self, out: &mut dyn Write) -> io::Result<()> {
        let what = match (&self.archive_id, &self.tier) {
            (Some(archive), tier) => {
                format!("archive {archive}, {}", tier.as_deref().unwrap_or("standard").to_lowercase())
            }
            (None, _) => "inventory".to_owned(),
        };
        write!(out, "{} {}  {:10} {what}", self.creation_date, self.job_id, self.status)?;
        if self.message != self.status && !self.message.is_empty() {
            write!(out, ": {}", printable(&self.message))?;
        }
        Ok(())
    }
}

impl From<&Value> for Job {
    fn from(document: &Value) -> Self {
        let some = |name: &str| document[name].as_str().map(str::to_owned);
        Self {
            job_id: text(document, "JobId"),
            action: text(document, "Action"),
            archive_id: some("ArchiveId"),
            tier: some("Tier"),
            creation_date: text(document, "CreationDate"),
            completion_date: some("CompletionDate"),
            status: text(document, "StatusCode"),
            message: text(document, "StatusMessage"),
        }
    }
}

pub(super) async fn jobs(session: &Session, vault: &str) -> anyhow::Result<Exit> {
    let (client, mut rows) = (session.client()?, Vec::new());
    let mut pages = Listing::new("ListJobs", &["vaults", checked(vault)?, "jobs"], "JobList");
    while let Some(page) = pages.next::<Value>(&client).await? {
        rows.extend(page.iter().map(Job::from));
    }
    session.output.print(&Rows(rows))
}

/// Asks for a job; its id.
pub(super) async fn initiate(client: &Client, vault: &str, wanted: &Value) -> anyhow::Result<String> {
    let call = GlacierCall::new("InitiateJob", Method::POST, &["vaults", vault, "jobs"]).json(wanted);
    Ok(ask(client, call).await?.header("x-amz-job-id")?.to_owned())
}

/// Waits until a job has come to its end; what it is then.
pub(super) async fn wait(
    session: &Session,
    client: &Client,
    (vault, job): (&str, &str),
) -> anyhow::Result<Value> {
    let (mut pause, mut said) = (AGAIN.0, String::new());
    loop {
        let call = GlacierCall::new("DescribeJob", Method::GET, &["vaults", vault, "jobs", job]);
        let document = ask(client, call).await?.json()?;
        let message = text(&document, "StatusMessage");
        match document["StatusCode"].as_str() {
            Some("Succeeded") => return Ok(document),
            Some("InProgress") => {}
            _ => {
                let text = format!(
                    "retrieve from vault {vault}: job {job} came to nothing: {}",
                    printable(&message)
                );
                return Err(Failure::new(Exit::Error, text)
                    .hint(format!("look at the vault's packs: firn vault scrub {vault}"))
                    .into());
            }
        }
        if message != said && pause > AGAIN.0 * 4 {
            session.output.note(&format!("job {job}: {}", printable(&message)));
            said = message;
        }
        session.clock.sleep(pause).await;
        pause = (pause * 2).min(AGAIN.1);
    }
}

/// Some of a job's output.
pub(super) async fn output(
    client: &Client,
    (vault, job): (&str, &str),
    range: std::ops::Range<u64>,
) -> anyhow::Result<bytes::Bytes> {
    let wanted = range.end - range.start;
    let call = GlacierCall::new("GetJobOutput", Method::GET, &["vaults", vault, "jobs", job, "output"]);
    let call = call.header("range", format!("bytes={}-{}", range.start, range.end - 1));
    let body = ask(client, call).await?.body;
    if body.len() as u64 != wanted {
        let text = format!("read the output of job {job}: {} bytes came instead of {wanted}", body.len());
        return Err(Failure::new(Exit::Integrity, text).into());
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::{Archive, Job, Rows, Vault};
    use crate::report::render;
    use serde_json::json;

    #[test]
    fn what_there_is_are_lines_for_people_and_rows_for_scripts() {
        let mut text = Vec::new();
        let vault = json!({
            "VaultARN": "arn", "VaultName": "v", "CreationDate": "2026-11-30T06:00:00.000Z", "LastInventoryDate": null,
            "NumberOfArchives": 1, "SizeInBytes": 2_048,
        });
        let archive = json!({
            "ArchiveId": "a1", "ArchiveDescription": "x\u{1b}", "CreationDate": "2026-11-30T06:00:00Z", "Size": 3,
            "SHA256TreeHash": "h",
        });
        let job = json!({
            "JobId": "j1", "Action": "ArchiveRetrieval", "ArchiveId": "a1", "Tier": "Bulk", "StatusCode": "InProgress",
            "StatusMessage": "waits for medium m1: bring it", "CreationDate": "2026-11-30T06:00:00Z", "CompletionDate": null,
        });
        let vaults = Rows(vec![serde_json::from_value::<Vault>(vault).unwrap()]);
        let archives = Rows(vec![serde_json::from_value::<Archive>(archive).unwrap()]);
        let jobs =
            Rows(vec![Job::from(&job), Job::from(&json!({ "JobId": "j2", "StatusCode": "Succeeded" }))]);
        for is_json in [false, true] {
            render(&vaults, is_json, &mut text).unwrap();
            render(&archives, is_json, &mut text).unwrap();
            render(&jobs, is_json, &mut text).unwrap();
        }
        insta::assert_snapshot!(String::from_utf8(text).unwrap());
    }
}
