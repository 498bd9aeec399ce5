//! Exactly one winner: rounds of writers that all want the same key under the same condition.

use crate::calls::{Caller, Outcome, element, request, with_query};
use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;
use wire::{Appliance, Request};

/// The bucket that is raced in.
const BUCKET: &str = "races";

/// What a race counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Races {
    /// Rounds of PUT, with `If-None-Match: *` and `If-Match` in turn.
    pub(crate) puts: u64,
    /// Rounds of `CompleteMultipartUpload`, the same.
    pub(crate) completions: u64,
    /// Losers that were answered 412.
    pub(crate) lost: u64,
    /// Losers that were answered 409: asked to try again.
    pub(crate) conflicts: u64,
}

/// One writer, with its connection.
struct Writer {
    caller: Caller,
    number: usize,
    upload: Option<Upload>,
}

/// An open upload with one part.
struct Upload {
    id: String,
    part_etag: String,
}

impl Writer {
    fn body(&self) -> Vec<u8> {
        format!("writer {} of many", self.number).into_bytes()
    }
}

/// What a round is raced for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prize {
    Put,
    Completion,
}

/// Runs `rounds` rounds of each prize with `writers` writers.
pub(crate) async fn run(appliance: &Appliance, rounds: u64, writers: usize) -> Result<Races> {
    let mut judge = Caller::new(appliance);
    judge.must(&request("PUT", BUCKET, ""), &[]).await?;
    let mut writers: Vec<Writer> =
        (0..writers).map(|number| Writer { caller: Caller::new(appliance), number, upload: None }).collect();
    let mut races = Races::default();
    for prize in [Prize::Put, Prize::Completion] {
        for round in 0..rounds {
            let outcome = one_round(prize, round, &mut writers, &mut judge, &mut races).await;
            outcome.with_context(|| format!("round {round} for {prize:?}"))?;
        }
    }
    races.puts = rounds;
    races.completions = rounds;
    Ok(races)
}

async fn one_round(
    prize: Prize,
    round: u64,
    writers: &mut Vec<Writer>,
    judge: &mut Caller,
    races: &mut Races,
) -> Result<()> {
    // One key for completions, so that the losers' uploads can be raced again.
    let key = if prize == Prize::Put { format!("put-{round}") } else { "completed".to_owned() };
    let condition = if round.is_multiple_of(2) {
        ("if-none-match", "*".to_owned())
    } else {
        let before = judge.must(&request("PUT", BUCKET, &key), b"before").await?;
        ("if-match", before.header("etag").context("a PUT without an etag")?.to_owned())
    };
    if prize == Prize::Completion {
        prepare(writers, &key).await?;
    }
    let mut racing = JoinSet::new();
    for mut writer in writers.drain(..) {
        let (key, condition) = (key.clone(), condition.clone());
        racing.spawn(async move {
            let outcome = race(prize, &mut writer, &key, condition).await;
            (writer, outcome)
        });
    }
    let mut winners = Vec::new();
    while let Some(ended) = racing.join_next().await {
        let (mut writer, outcome) = ended?;
        match outcome {
            Outcome::Done(answer) if !answer.text().contains("<Error>") => {
                writer.upload = None;
                winners.push(writer.number);
            }
            Outcome::Refused(answer) if answer.status == 412 => races.lost += 1,
            Outcome::Refused(answer) if answer.status == 409 => races.conflicts += 1,
            outcome => anyhow::bail!("writer {}: {outcome:?}", writer.number),
        }
        writers.push(writer);
    }
    ensure!(winners.len() == 1, "winners: {winners:?} of {}", writers.len());
    let there = judge.must(&request("GET", BUCKET, &key), &[]).await?;
    let winner = writers.iter().find(|writer| writer.number == winners[0]).context("the winner")?;
    ensure!(there.body == winner.body(), "writer {} won, but {:?} is there", winner.number, there.text());
    judge.must(&request("DELETE", BUCKET, &key), &[]).await?;
    Ok(())
}

async fn race(prize: Prize, writer: &mut Writer, key: &str, condition: (&'static str, String)) -> Outcome {
    let (request, body) = match (prize, &writer.upload) {
        (Prize::Completion, Some(Upload { id, part_etag })) => {
            let xml = format!(
                "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{part_etag}</ETag></Part>\
                 </CompleteMultipartUpload>"
            );
            (with_query("POST", BUCKET, key, &[("uploadId", id)]), xml.into_bytes())
        }
        _ => (request("PUT", BUCKET, key), writer.body()),
    };
    let request = Request { headers: vec![condition], ..request };
    writer.caller.call(&request, &body).await
}

/// Gives every writer an open upload with one part.
async fn prepare(writers: &mut [Writer], key: &str) -> Result<()> {
    for writer in writers.iter_mut().filter(|writer| writer.upload.is_none()) {
        let started = writer.caller.must(&with_query("POST", BUCKET, key, &[("uploads", "")]), &[]).await?;
        let id = element(&started.text(), "UploadId").context("an upload without an id")?;
        let part = with_query("PUT", BUCKET, key, &[("partNumber", "1"), ("uploadId", &id)]);
        let answer = writer.caller.must(&part, &writer.body()).await?;
        let part_etag = answer.header("etag").context("a part without an etag")?.to_owned();
        writer.upload = Some(Upload { id, part_etag });
    }
    Ok(())
}
