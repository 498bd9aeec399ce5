//! `firn audit verify` and `firn audit keys`.

use crate::cli::{AuditKeys, AuditVerify, Location, Span as Asked};
use crate::exit::{Exit, Failure};
use crate::report::Report;
use crate::report::time::{in_seconds, json_time, of_seconds, show_time};
use crate::session::Session;
use crate::text::{counted, printable};
use crate::trail::{Chain, Problem, PublicKeys, Source, Span, Verdict, What, walk};
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use client::{Client, JsonService};
use engine::clock::Timestamp;
use serde::Serialize;
use serde_json::json;
use std::io::{self, Write};

/// What is asked for.
const KEYS: &str = "ListPublicKeys";
/// Lines of a kind that people see, and that a document has.
const SHOWN: usize = 10;
const LISTED_MAX: usize = 100_000;
/// How far back keys are asked for where no time is said: as far as a trail may go.
const KEYS_SINCE_MS: i64 = 10 * 366 * 86_400_000;

/// What came of it.
#[derive(Debug, Serialize)]
struct Verified {
    intact: bool,
    chains: Vec<Chain>,
    problem_count: usize,
    problems: Vec<Problem>,
    unproven_count: usize,
    unproven: Vec<String>,
}

impl From<Verdict> for Verified {
    fn from(verdict: Verdict) -> Self {
        let Verdict { chains, mut problems, mut unproven } = verdict;
        let (problem_count, unproven_count) = (problems.len(), unproven.len());
        problems.truncate(LISTED_MAX);
        unproven.truncate(LISTED_MAX);
        Self { intact: problem_count == 0, chains, problem_count, problems, unproven_count, unproven }
    }
}

fn more(out: &mut dyn Write, count: usize) -> io::Result<()> {
    if count > SHOWN { writeln!(out, "  and {} more: --json lists them", count - SHOWN) } else { Ok(()) }
}

impl Report for Verified {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        for chain in &self.chains {
            let Chain { account, region, trail, digests, logs, gaps, from, until } = chain;
            let (digests, logs) = (counted(*digests, "digest", "digests"), counted(*logs, "file", "files"));
            let or_none = |time: &Option<String>| time.as_deref().map_or_else(|| "-".to_owned(), printable);
            let (from, until) = (or_none(from), or_none(until));
            let gaps = match gaps {
                0 => String::new(),
                gaps => format!(", with {} between chains", counted(*gaps, "gap", "gaps")),
            };
            writeln!(
                out,
                "trail {} of {} in {}: {digests} and {logs} of records are as they were signed, {from} to {until}{gaps}",
                printable(trail),
                printable(account),
                printable(region)
            )?;
        }
        for Problem { what, kind, file, detail } in self.problems.iter().take(SHOWN) {
            let what = match what {
                What::Altered => "ALTERED",
                What::Removed => "REMOVED",
                What::Exchanged => "EXCHANGED",
            };
            writeln!(out, "{what:9} {kind:6} {}: {}", printable(file), printable(detail))?;
        }
        more(out, self.problem_count)?;
        if self.unproven_count > 0 {
            let files = counted(self.unproven_count as u64, "file is", "files are");
            writeln!(
                out,
                "{files} in no digest, and nothing proves what is in it; the newest wait for theirs, an hour at the most"
            )?;
            for file in self.unproven.iter().take(SHOWN) {
                writeln!(out, "  {}", printable(file))?;
            }
            more(out, self.unproven_count)?;
        }
        Ok(())
    }

    fn exit(&self) -> Exit {
        if self.intact { Exit::Ok } else { Exit::Integrity }
    }
}

/// A public key that an endpoint names.
#[derive(Debug, Serialize)]
struct Listed {
    fingerprint: String,
    from: Option<String>,
    until: Option<String>,
    pem: String,
    #[serde(skip)]
    der: Vec<u8>,
}

/// Keys as a file has them.
#[derive(Debug, Serialize)]
struct Keys {
    keys: Vec<Listed>,
}

impl Report for Keys {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        self.keys.iter().try_for_each(|key| out.write_all(key.pem.as_bytes()))
    }
}

/// The public keys of an endpoint, of this time.
async fn ask_keys(client: &Client, (since, until): (Timestamp, Timestamp)) -> anyhow::Result<Vec<Listed>> {
    let protocol = |detail: &str| client::Error::Protocol { operation: KEYS, detail: detail.to_owned() };
    let mut body = json!({ "StartTime": in_seconds(since), "EndTime": in_seconds(until) });
    let mut keys = Vec::new();
    // A page has all that a trail ever had.
    for _ in 0..100 {
        let answer = client.json(JsonService::CLOUD_TRAIL, KEYS, &body, &["PublicKeyList"]).await?;
        for key in answer.body["PublicKeyList"].as_array().into_iter().flatten() {
            let der = key["Value"].as_str().and_then(|text| STANDARD.decode(text).ok());
            let der = der.ok_or_else(|| protocol("a key is no base64"))?;
            let fingerprint =
                key["Fingerprint"].as_str().ok_or_else(|| protocol("a key has no fingerprint"))?;
            let at = |name: &str| json_time(of_seconds(&key[name]));
            keys.push(Listed {
                fingerprint: fingerprint.to_owned(),
                from: at("ValidityStartTime"),
                until: at("ValidityEndTime"),
                pem: PublicKeys::to_pem(&der),
                der,
            });
        }
        match answer.body["NextToken"].as_str() {
            None => return Ok(keys),
            Some(next) => body["NextToken"] = next.into(),
        }
    }
    Err(protocol("its pages do not end").into())
}

/// The time that was asked for; all of it where none was.
fn time(session: &Session, asked: &Asked) -> (Timestamp, Timestamp) {
    let now = session.clock.now();
    let until = asked.until.map_or(now, |when| when.at(now));
    let since = asked.since.map(|when| when.at(now));
    (since.unwrap_or_else(|| Timestamp::from_millis(until.as_millis().saturating_sub(KEYS_SINCE_MS))), until)
}

fn no_keys() -> Failure {
    Failure::new(Exit::NotFound, "find a public key of that time: the endpoint names none for the account that asks")
        .hint("the first digest of a trail with log file validation makes one: aws cloudtrail update-trail --enable-log-file-validation")
}

pub(super) async fn keys(session: &Session, args: &AuditKeys) -> anyhow::Result<Exit> {
    let keys = ask_keys(&session.client()?, time(session, &args.span)).await?;
    if keys.is_empty() {
        return Err(no_keys().into());
    }
    session.output.print(&Keys { keys })
}

/// Which keys are believed.
async fn believed(session: &Session, args: &AuditVerify) -> anyhow::Result<PublicKeys> {
    if let Some(file) = &args.public_keys {
        let shown = file.display();
        let text = std::fs::read_to_string(file).with_context(|| format!("read the public keys {shown}"))?;
        let keys = PublicKeys::from_pem(&text);
        return keys.map_err(|why| {
            let refused = Failure::usage(format!("read the public keys {shown}: {why}"));
            refused.hint("firn audit keys prints those of an appliance").into()
        });
    }
    let listed = ask_keys(&session.client()?, time(session, &args.span)).await?;
    let mut keys = PublicKeys::default();
    for Listed { fingerprint, der, .. } in listed {
        keys.add(&fingerprint, der);
    }
    if keys.is_empty() { Err(no_keys().into()) } else { Ok(keys) }
}

/// What lies below a name, as for other verbs.
fn below(key: &str) -> String {
    if key.is_empty() || key.ends_with('/') { key.to_owned() } else { format!("{key}/") }
}

/// Where a trail's files are; its account, its name, and when it wrote its last digest.
async fn of_trail(client: &Client, named: &str) -> anyhow::Result<(String, String, Span)> {
    let lacks =
        |operation, what: &str| client::Error::Protocol { operation, detail: format!("it lacks {what}") };
    let body = json!({ "Name": named });
    let trail =
        client.json(JsonService::CLOUD_TRAIL, "GetTrail", &body, &["Trail"]).await.map_err(|error| {
            let tried = format!("find the trail {named}");
            match error.code() {
                Some("TrailNotFoundException" | "InvalidTrailNameException") => {
                    let failure = Failure::new(Exit::NotFound, tried);
                    failure.hint("see which there are: aws cloudtrail list-trails").caused_by(error).into()
                }
                _ => anyhow::Error::from(error),
            }
        })?;
    let text = |name: &str| trail.body["Trail"][name].as_str().map(str::to_owned);
    let bucket = text("S3BucketName").ok_or_else(|| lacks("GetTrail", "S3BucketName"))?;
    let arn = text("TrailARN").ok_or_else(|| lacks("GetTrail", "TrailARN"))?;
    let account = arn.split(':').nth(4).ok_or_else(|| lacks("GetTrail", "an account"))?.to_owned();
    let name = arn.rsplit('/').next().unwrap_or_default().to_owned();
    // Before the list: no digest that is told of comes behind it.
    let status = client.json(JsonService::CLOUD_TRAIL, "GetTrailStatus", &body, &["IsLogging"]).await?;
    let digested = of_seconds(&status.body["LatestDigestDeliveryTime"]);
    let prefix = below(&text("S3KeyPrefix").unwrap_or_default());
    Ok((bucket, prefix, Span { trail: Some((account, name)), digested, ..Span::default() }))
}

pub(super) async fn run(session: &Session, args: &AuditVerify) -> anyhow::Result<Exit> {
    let now = session.clock.now();
    let at = |when: Option<crate::cli::When>| when.map(|when| when.at(now));
    let (source, mut span) = match (&args.trail, &args.place) {
        (Some(named), _) => {
            let client = session.client()?;
            let (bucket, prefix, span) = of_trail(&client, named).await?;
            (Source::Bucket { client, bucket, prefix }, span)
        }
        (None, Some(Location::S3(uri))) => {
            let (bucket, prefix) = (uri.bucket.clone(), below(&uri.key));
            (Source::Bucket { client: session.client()?, bucket, prefix }, Span::default())
        }
        (None, Some(Location::Path(path))) => (Source::Directory(path.clone()), Span::default()),
        (None, None) => {
            return Err(Failure::usage("prove a trail's files: none are named")
                .hint("a trail by its name: firn audit verify --trail NAME; or its place: firn audit verify s3://BUCKET/PREFIX, or a directory")
                .into());
        }
        (None, _) => {
            return Err(Failure::usage("prove what is on stdin: name a bucket or a directory").into());
        }
    };
    (span.since, span.until) = (at(args.span.since), at(args.span.until));
    let keys = believed(session, args).await?;
    let mut verdict = walk(&source, &keys, &span).await?;
    if verdict.chains.is_empty() {
        let place = source.to_string();
        let is_known = span.digested.filter(|_| span.since.is_none() && span.until.is_none());
        let Some(digested) = is_known else {
            let text = format!("find a digest of that time in {place}: there is none");
            let hint = "a trail with log file validation writes one an hour: aws cloudtrail create-trail --enable-log-file-validation";
            return Err(Failure::new(Exit::NotFound, text).hint(hint).into());
        };
        let said = show_time(Some(digested));
        let detail = format!("the trail wrote a digest at {said}, and none is there");
        verdict.problems.push(Problem { what: What::Removed, kind: "digest", file: place, detail });
    }
    session.output.print(&Verified::from(verdict))
}
