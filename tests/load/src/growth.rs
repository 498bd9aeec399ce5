//! What a request costs as a bucket or an object grows: CPU per request by /proc, with ten times the keys and ten times the
//! parts at each step.
//!
//! ```text
//!   keys    PUT until there are so many, in scattered order ─► wait until the server rests ─► GET, PUT, list
//!   parts   UploadPartCopy of one 5 MiB object, whose bytes are shared ─► complete ─► reads at either end
//!   markers keys of a versioned bucket ─► nine of ten deleted ─► pages at once, and when the server rests
//! ```
//!
//! Completions are few, and /proc counts in ticks of 10 ms: their figure is of all of a step's completions together.

use crate::report::Report;
use crate::workload::{Shot, Workload};
use crate::{GrowthArguments, process};
use anyhow::{Context, Result, ensure};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use wire::{Appliance, Connection, Launch, Request, Sink};

const BUCKET: &str = "growth";
/// Has versions: a deleted key is one whose latest version is a delete marker.
const VERSIONED: &str = "markers";
/// Keys that are put before more of them are signed.
const BATCH: u64 = 64_000;
/// Requests of each kind at each step.
const SAMPLE: u64 = 10_000;
/// Pages and reads of parts at each step.
const FEW: u64 = 512;
/// Pages over delete markers, one after the other: so many that twenty are above the 99th percentile.
const PAGES: u64 = 2_000;
/// Keys of a page.
const PAGE_KEYS: u64 = 1_000;
const BODY_BYTES: usize = 128;
const PART_BYTES: usize = 5 << 20;
/// Part copies of one step, at least: small uploads are repeated.
const PARTS_MIN: u64 = 1_000;
const CONNECTIONS: usize = 64;
const FEW_CONNECTIONS: usize = 8;
/// A server that uses less than this in a second rests.
const RESTING: Duration = Duration::from_millis(30);
/// How long it may take to.
const RESTS_WITHIN_SECONDS: u64 = 120;

/// Measures all steps on a fresh appliance.
pub(crate) async fn run(arguments: &GrowthArguments, scratch: &Path, report: &mut Report) -> Result<()> {
    let launch = Launch::new(arguments.binary.clone(), scratch)?;
    let appliance = launch.start().await?;
    let pid = appliance.pid().context("the server ended")?;
    let mut growth = Growth { appliance: &appliance, pid, report, bucket: BUCKET };
    growth.all(arguments).await.with_context(|| launch.log_tail())?;
    appliance.terminate(Duration::from_mins(1)).await?;
    Ok(())
}

struct Growth<'a> {
    appliance: &'a Appliance,
    pid: u32,
    report: &'a mut Report,
    bucket: &'static str,
}

type Pairs<'a> = &'a [(&'static str, &'a str)];

/// Scattered, so that neighbours in time are none in order.
fn key(number: u64) -> String {
    let scattered = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    format!("k/{scattered:08x}/{number}")
}

impl Growth<'_> {
    async fn all(&mut self, arguments: &GrowthArguments) -> Result<()> {
        self.ask("PUT", "", &[], &[], b"").await?;
        let wanted = |steps: &[u64]| steps.iter().copied().filter(|step| *step > 0).collect::<Vec<_>>();
        self.keys(&wanted(&arguments.keys)).await?;
        self.parts(&wanted(&arguments.parts)).await?;
        if arguments.markers > 0 {
            self.markers(arguments.markers).await?;
        }
        Ok(())
    }

    async fn keys(&mut self, steps: &[u64]) -> Result<()> {
        let mut there = 0;
        for step in steps {
            while there < *step {
                let batch = BATCH.min(step - there);
                let shots = (there..there + batch).map(|number| self.put(&key(number))).collect();
                self.measure(format!("fill@{step}"), CONNECTIONS, shots).await?;
                there += batch;
            }
            self.rest().await?;
            let sampled = (0..SAMPLE).map(|n| key(n * (step / SAMPLE).max(1) % step));
            let gets: Vec<Shot> = sampled.map(|key| self.shot("GET", &key, &[], &[])).collect();
            self.measure(format!("get, first@{step}"), CONNECTIONS, gets.clone()).await?;
            self.measure(format!("get, again@{step}"), CONNECTIONS, gets).await?;
            let puts = (0..SAMPLE).map(|n| self.put(&format!("new/{step}/{n}"))).collect();
            self.measure(format!("put@{step}"), CONNECTIONS, puts).await?;
            let over = (0..SAMPLE).map(|n| self.put(&key(n * (step / SAMPLE).max(1) % step))).collect();
            self.measure(format!("put over@{step}"), CONNECTIONS, over).await?;
            let page = |n: u64| {
                let after = key(n * (step / FEW));
                let query = [("list-type", "2"), ("max-keys", "1000"), ("start-after", after.as_str())];
                self.shot("GET", "", &query, &[])
            };
            let pages = (0..FEW).map(page).collect();
            self.measure(format!("list 1000@{step}"), FEW_CONNECTIONS, pages).await?;
        }
        Ok(())
    }

    async fn parts(&mut self, steps: &[u64]) -> Result<()> {
        if steps.is_empty() {
            return Ok(());
        }
        let source = vec![7; PART_BYTES];
        let etag = self.ask("PUT", "source", &[], &[], &source).await?;
        let etag = etag.header("etag").context("an object without an entity tag")?.to_owned();
        for step in steps {
            let (mut copies, mut completions) = (Vec::new(), Vec::new());
            for upload in 0..(PARTS_MIN / step).max(1) {
                let (parts, completion) =
                    self.upload(&format!("parts/{step}/{upload}"), *step, &etag).await?;
                copies.extend(parts);
                completions.push(completion);
            }
            self.measure(format!("copy part of@{step}"), FEW_CONNECTIONS, copies).await?;
            self.rest().await?;
            self.measure(format!("complete@{step}"), 1, completions).await?;
            let at = format!("parts/{step}/0");
            self.rest().await?;
            let last = step.to_string();
            for (what, query, range) in [
                ("first bytes", None, Some("bytes=0-4095")),
                ("last bytes", None, Some("bytes=-4096")),
                ("first part", Some("1"), None),
                ("last part", Some(last.as_str()), None),
            ] {
                let query: Vec<_> = query.map(|part| ("partNumber", part)).into_iter().collect();
                let headers: Vec<_> = range.map(|range| ("range", range)).into_iter().collect();
                let method = if query.is_empty() { "GET" } else { "HEAD" };
                let shot = self.shot(method, &at, &query, &headers);
                let shots = vec![shot; usize::try_from(FEW * 4)?];
                self.measure(format!("{what}@{step}"), FEW_CONNECTIONS, shots).await?;
            }
        }
        Ok(())
    }

    /// Pages of a thousand keys where nine of ten have a delete marker for their latest version.
    async fn markers(&mut self, keys: u64) -> Result<()> {
        // A page spans ten times its keys, and the last one to begin has to be full.
        let starts = keys.checked_sub(PAGE_KEYS * 10).filter(|starts| *starts > 0);
        let starts = starts.context("delete markers want more than 10,000 keys")?;
        self.bucket = VERSIONED;
        self.ask("PUT", "", &[], &[], b"").await?;
        let versions = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        self.ask("PUT", "", &[("versioning", "")], &[], versions).await?;
        let key = |number: u64| format!("m/{number:012}");
        for from in (0..keys).step_by(usize::try_from(BATCH)?) {
            let shots = (from..keys.min(from + BATCH)).map(|number| self.put(&key(number))).collect();
            self.measure(format!("fill markers@{keys}"), CONNECTIONS, shots).await?;
        }
        for from in (0..keys).step_by(usize::try_from(BATCH)?) {
            let dead = (from..keys.min(from + BATCH)).filter(|number| number % 10 != 0);
            let deletes = dead.map(|number| self.shot("DELETE", &key(number), &[], &[])).collect();
            self.measure(format!("delete@{keys}"), CONNECTIONS, deletes).await?;
        }
        let page = |n: u64| {
            let after = key((n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % starts);
            let query = [("list-type", "2"), ("max-keys", "1000"), ("start-after", after.as_str())];
            self.shot("GET", "", &query, &[])
        };
        let pages: Vec<Shot> = (0..PAGES).map(page).collect();
        for when in ["at once", "at rest"] {
            self.measure(format!("page, {when}@{keys}"), 1, pages.clone()).await?;
            self.rest().await?;
        }
        let first = self.ask("GET", "", &[("list-type", "2"), ("max-keys", "1000")], &[], b"").await?.text();
        ensure!(first.contains("<KeyCount>1000</KeyCount>"), "a page is not full: {first}");
        ensure!(
            first.contains(&key(9_990)) && !first.contains(&key(9_991)),
            "a page has deleted keys: {first}"
        );
        Ok(())
    }

    /// Begins an upload: the requests that make its parts, and the one that completes them.
    async fn upload(&self, at: &str, parts: u64, etag: &str) -> Result<(Vec<Shot>, Shot)> {
        let begun = self.ask("POST", at, &[("uploads", "")], &[], b"").await?;
        let text = begun.text();
        let id = text.split("<UploadId>").nth(1).and_then(|rest| rest.split('<').next());
        let id = id.context("an upload without an id")?;
        let source = format!("{BUCKET}/source");
        let copy = |number: u64| {
            let number = number.to_string();
            let query = [("partNumber", number.as_str()), ("uploadId", id)];
            self.shot("PUT", at, &query, &[("x-amz-copy-source", source.as_str())])
        };
        let copies = (1..=parts).map(copy).collect();
        let part = |number| format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
        let parts: String = (1..=parts).map(part).collect();
        let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        Ok((copies, self.shot_with("POST", at, &[("uploadId", id)], &[], document.into_bytes())))
    }

    fn put(&self, key: &str) -> Shot {
        self.shot_with("PUT", key, &[], &[], vec![6; BODY_BYTES])
    }

    fn shot(&self, method: &'static str, key: &str, query: Pairs<'_>, headers: Pairs<'_>) -> Shot {
        self.shot_with(method, key, query, headers, Vec::new())
    }

    fn shot_with(
        &self,
        method: &'static str,
        key: &str,
        query: Pairs<'_>,
        headers: Pairs<'_>,
        body: Vec<u8>,
    ) -> Shot {
        let own = |pairs: Pairs<'_>| pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let bucket = self.bucket;
        let path = if key.is_empty() { format!("/{bucket}") } else { format!("/{bucket}/{key}") };
        let request = Request { method, path, query: own(query), headers: own(headers) };
        Shot { head: self.appliance.head(&request, &body), body: Arc::new(body) }
    }

    async fn ask(
        &self,
        method: &'static str,
        key: &str,
        query: Pairs<'_>,
        headers: Pairs<'_>,
        body: &[u8],
    ) -> Result<wire::Answer> {
        let shot = self.shot_with(method, key, query, headers, body.to_vec());
        let mut connection = Connection::open(self.appliance.http).await?;
        let answer = connection.exchange(&shot.head, &shot.body, Sink::Keep).await?;
        ensure!(answer.status == 200, "{method} {key}: {} {}", answer.status, answer.text());
        Ok(answer)
    }

    /// Each of the requests once.
    fn workload(&self, name: String, connections: usize, shots: Vec<Shot>) -> Workload {
        Workload {
            name,
            address: self.appliance.http,
            pid: self.pid,
            connections,
            requests_max: shots.len() as u64,
            shots: Arc::new(shots),
            duration: Duration::from_hours(1),
        }
    }

    async fn measure(&mut self, name: String, connections: usize, shots: Vec<Shot>) -> Result<()> {
        let figures = self.workload(name, connections, shots).run().await?;
        ensure!(figures.failed == 0, "{}: {} failed", figures.workload, figures.failed);
        let (name, cost) = (&figures.workload, figures.server_cpu_us_per_request);
        let (requests, p50, p99) = (figures.requests, figures.p50_us, figures.p99_us);
        writeln!(
            std::io::stderr(),
            "{name}: {requests} requests, {cost:.1} µs of CPU each, p50 {p50} µs, p99 {p99} µs"
        )?;
        self.report.figures.push(figures);
        Ok(())
    }

    /// Waits until what was written has been put in order: that work is no request's.
    async fn rest(&self) -> Result<()> {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        let mut before = Duration::ZERO;
        for _ in 0..RESTS_WITHIN_SECONDS {
            ticks.tick().await;
            let now = process::cpu_time(self.pid)?;
            if now.saturating_sub(before) < RESTING {
                return Ok(());
            }
            before = now;
        }
        // A server that works on is measured as it is.
        Ok(())
    }
}
