//! One client with keys of its own: random operations, each written into the model by what was answered.
//!
//! Workers share buckets, and with them segments, commit groups and partitions, but no keys: so that each knows exactly
//! what its keys may hold. A worker stops at its first request of unknown outcome; only a verification goes on from there.

mod many;

use crate::calls::{Caller, Outcome, element, request, with_query};
use crate::model::{Body, KeyState, Version};
use anyhow::{Context, Result, bail};
use powercut::Seeded;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use wire::{Answer, Request};

/// Without versioning.
pub(crate) const PLAIN: &str = "plain";
/// With versioning, and deduplicated.
pub(crate) const VERSIONED: &str = "versioned";
/// The keys of a worker, below its own prefix: names that a file system would not hold side by side are among them.
const NAMES: [&str; 12] =
    ["a", "a/b", "a//b", "..", "b c", "d+e", "ü", "dir/", "dir/x", "long/long/long/long/key", "z&<>", "last"];
/// S3's least size of a part that is not the last.
const PART_MIN: usize = 5 << 20;
/// From this length on a deduplicated bucket looks for what it has already.
const LARGE: usize = 64 << 10;
/// Seeds of large bodies that later ones may begin like.
const SEEDS_MAX: usize = 8;
/// More versions than this of one key are thinned out.
const VERSIONS_MAX: usize = 5;

/// A worker's keys and what they may hold.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) number: u64,
    chance: Seeded,
    /// Of large bodies.
    seeds: Vec<u64>,
    pub(crate) keys: BTreeMap<(&'static str, String), KeyState>,
    /// Whether its own short-lived bucket may exist.
    pub(crate) fleeting: Vec<bool>,
    /// Uploads begun and not ended, as far as answers tell.
    pub(crate) uploads: Vec<Upload>,
}

/// An upload under way.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) bucket: &'static str,
    pub(crate) key: String,
    pub(crate) id: String,
}

/// Why a worker stopped.
#[derive(Debug)]
enum Stop {
    /// An outcome is unknown: the server was killed, or says that it can't go on.
    Unknown(String),
    /// The server broke a promise.
    Violation(anyhow::Error),
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Self::Violation(error)
    }
}

impl Worker {
    pub(crate) fn new(number: u64, seed: &Seeded) -> Self {
        let mut keys = BTreeMap::new();
        for bucket in [PLAIN, VERSIONED] {
            for name in NAMES {
                keys.insert((bucket, format!("w{number}/{name}")), KeyState::new(bucket == VERSIONED));
            }
        }
        let chance = seed.fork(1000 + number);
        let (fleeting, uploads) = (vec![false], Vec::new());
        Self { number, chance, seeds: Vec::new(), keys, fleeting, uploads }
    }

    pub(crate) fn prefix(&self) -> String {
        format!("w{}/", self.number)
    }

    pub(crate) fn fleeting_bucket(&self) -> String {
        format!("fleeting-{}", self.number)
    }

    /// Works until an outcome is unknown or `operations` were done; gives what stopped it.
    pub(crate) async fn run(
        &mut self,
        mut caller: Caller,
        operations: u64,
        done: Arc<AtomicU64>,
    ) -> Result<Option<String>> {
        for _ in 0..operations {
            match self.step(&mut caller).await {
                Ok(()) => {}
                Err(Stop::Unknown(text)) => return Ok(Some(text)),
                Err(Stop::Violation(error)) => return Err(error),
            }
            done.fetch_add(1, Ordering::Relaxed);
        }
        Ok(None)
    }

    async fn step(&mut self, caller: &mut Caller) -> Result<(), Stop> {
        let (bucket, key) = self.pick();
        match self.chance.below(100) {
            0..30 => {
                let body = self.body();
                self.put(caller, bucket, &key, body, Vec::new()).await
            }
            30..42 => self.delete(caller, bucket, &key).await,
            42..50 => self.thin_out(caller, &key).await,
            50..58 => self.copy(caller, bucket, &key).await,
            58..68 => self.put_conditionally(caller, bucket, &key).await,
            68..76 => self.upload_in_parts(caller, bucket, &key).await,
            76..82 => self.delete_many(caller, bucket).await,
            82..90 => self.get(caller, bucket, &key).await,
            90..94 => self.list(caller, bucket).await,
            _ => self.toggle_bucket(caller).await,
        }
    }

    fn pick(&mut self) -> (&'static str, String) {
        let bucket = if self.chance.chance(1, 2) { PLAIN } else { VERSIONED };
        let name = NAMES[self.chance.index(NAMES.len())];
        (bucket, format!("w{}/{name}", self.number))
    }

    /// A new body: most are small enough to lie inline, some fill a record, a few several.
    fn body(&mut self) -> Body {
        let length = match self.chance.below(20) {
            0 => 0,
            1..10 => self.chance.index(4097),
            10..16 => 4096 + self.chance.index(100_000),
            16..19 => self.chance.index(1 << 20),
            _ => self.chance.index(9 << 20),
        };
        Body { seed: self.seed(length), parts: vec![length] }
    }

    /// A new seed; for half of the large bodies that of an earlier one, so that the longer of both begins with the shorter.
    fn seed(&mut self, length: usize) -> u64 {
        if length < LARGE {
            return self.chance.next();
        }
        if !self.seeds.is_empty() && self.chance.chance(1, 2) {
            return self.seeds[self.chance.index(self.seeds.len())];
        }
        let seed = self.chance.next();
        if self.seeds.len() == SEEDS_MAX {
            self.seeds.remove(0);
        }
        self.seeds.push(seed);
        seed
    }

    fn state(&mut self, bucket: &'static str, key: &str) -> &mut KeyState {
        let versioned = bucket == VERSIONED;
        self.keys.entry((bucket, key.to_owned())).or_insert_with(|| KeyState::new(versioned))
    }

    /// Enters the outcome of a write of `body` under `key`.
    fn enter(&mut self, bucket: &'static str, key: &str, body: Body, outcome: Outcome) -> Result<(), Stop> {
        match outcome {
            Outcome::Done(answer) => {
                let etag =
                    answer.header("etag").map(str::to_owned).or_else(|| element(&answer.text(), "ETag"));
                let version = Version { id: version_id(bucket, &answer)?, body: Some(body), etag };
                self.state(bucket, key).wrote(version);
                Ok(())
            }
            Outcome::Refused(answer) => bail_violation(format!(
                "a write of {bucket}/{key} was refused: {} {}",
                answer.status,
                answer.text()
            )),
            Outcome::Unknown(text) => {
                self.state(bucket, key).may_have_written(Some(body));
                Err(Stop::Unknown(text))
            }
        }
    }

    async fn put(
        &mut self,
        caller: &mut Caller,
        bucket: &'static str,
        key: &str,
        body: Body,
        headers: Vec<(&'static str, String)>,
    ) -> Result<(), Stop> {
        let put = Request { headers, ..request("PUT", bucket, key) };
        let outcome = caller.call(&put, &body.bytes()).await;
        self.enter(bucket, key, body, outcome)
    }

    async fn delete(&mut self, caller: &mut Caller, bucket: &'static str, key: &str) -> Result<(), Stop> {
        match caller.call(&request("DELETE", bucket, key), &[]).await {
            Outcome::Done(answer) => {
                let id = version_id(bucket, &answer)?;
                self.state(bucket, key).wrote(Version { id, body: None, etag: None });
                Ok(())
            }
            Outcome::Refused(answer) => bail_violation(format!("a delete was refused: {}", answer.text())),
            Outcome::Unknown(text) => {
                self.state(bucket, key).may_have_written(None);
                Err(Stop::Unknown(text))
            }
        }
    }

    /// Removes one version for good, the oldest where there are many.
    async fn thin_out(&mut self, caller: &mut Caller, key: &str) -> Result<(), Stop> {
        let history = self.state(VERSIONED, key).certain().cloned().unwrap_or_default();
        if history.is_empty() {
            return Ok(());
        }
        let index = if history.len() > VERSIONS_MAX { 0 } else { self.chance.index(history.len()) };
        let Some(id) = history[index].id.clone() else { return Ok(()) };
        match caller.call(&with_query("DELETE", VERSIONED, key, &[("versionId", &id)]), &[]).await {
            Outcome::Done(_) => {
                self.state(VERSIONED, key).removed(&id);
                Ok(())
            }
            Outcome::Refused(answer) => {
                bail_violation(format!("a delete of a version was refused: {}", answer.text()))
            }
            Outcome::Unknown(text) => {
                self.state(VERSIONED, key).may_have_removed(&id);
                Err(Stop::Unknown(text))
            }
        }
    }

    async fn copy(&mut self, caller: &mut Caller, bucket: &'static str, key: &str) -> Result<(), Stop> {
        let (from_bucket, from_key) = self.pick();
        let source = self.state(from_bucket, &from_key).current().and_then(|version| version.body.clone());
        if (from_bucket, from_key.as_str()) == (bucket, key) {
            return Ok(());
        }
        let path = percent_encode(&format!("{from_bucket}/{from_key}"));
        let copy = Request { headers: vec![("x-amz-copy-source", path)], ..request("PUT", bucket, key) };
        let outcome = caller.call(&copy, &[]).await;
        match (source, outcome) {
            (Some(body), outcome) => self.enter(bucket, key, body, outcome),
            (None, Outcome::Refused(answer)) if answer.status == 404 => Ok(()),
            (None, Outcome::Unknown(text)) => Err(Stop::Unknown(text)),
            (None, outcome) => bail_violation(format!("a copy of nothing ended with {outcome:?}")),
        }
    }

    /// `If-None-Match: *` or `If-Match`, with a condition that holds or one that does not.
    async fn put_conditionally(
        &mut self,
        caller: &mut Caller,
        bucket: &'static str,
        key: &str,
    ) -> Result<(), Stop> {
        let current = self.state(bucket, key).current().cloned();
        let (header, value, holds) = match (self.chance.below(3), &current) {
            (0, current) => ("if-none-match", "*".to_owned(), current.is_none()),
            (1, Some(Version { etag: Some(etag), .. })) => ("if-match", etag.clone(), true),
            _ => ("if-match", "\"00000000000000000000000000000000\"".to_owned(), false),
        };
        let body = self.body();
        let put = Request { headers: vec![(header, value)], ..request("PUT", bucket, key) };
        let outcome = caller.call(&put, &body.bytes()).await;
        match (holds, outcome) {
            (true, outcome) => self.enter(bucket, key, body, outcome),
            (false, Outcome::Refused(answer)) if matches!(answer.status, 404 | 412) => Ok(()),
            (false, Outcome::Unknown(text)) => Err(Stop::Unknown(text)),
            (false, outcome) => bail_violation(format!(
                "{bucket}/{key}: {header} does not hold (current: {current:?}), yet: {outcome:?}"
            )),
        }
    }

    async fn upload_in_parts(
        &mut self,
        caller: &mut Caller,
        bucket: &'static str,
        key: &str,
    ) -> Result<(), Stop> {
        let mut parts = vec![1 + self.chance.index(60_000)];
        if self.chance.chance(1, 6) {
            parts.insert(0, PART_MIN);
        }
        let body = Body { seed: self.seed(parts.iter().sum()), parts };
        let started = caller.call(&with_query("POST", bucket, key, &[("uploads", "")]), &[]).await;
        let text = acknowledged(started)?.text();
        let upload = element(&text, "UploadId").context("an upload without an id")?;
        self.uploads.push(Upload { bucket, key: key.to_owned(), id: upload.clone() });
        let mut list = Vec::new();
        for (index, bytes) in body.split().iter().enumerate() {
            let number = (index + 1).to_string();
            let part = with_query("PUT", bucket, key, &[("partNumber", &number), ("uploadId", &upload)]);
            let answer = acknowledged(caller.call(&part, bytes).await)?;
            let etag = answer.header("etag").context("a part without an etag")?;
            list.push(format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"));
        }
        if self.chance.chance(1, 5) {
            return if self.chance.chance(1, 2) { self.abort(caller, &upload).await } else { Ok(()) };
        }
        let xml = format!("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", list.concat());
        let complete = with_query("POST", bucket, key, &[("uploadId", &upload)]);
        let outcome = caller.call(&complete, xml.as_bytes()).await;
        // An answer of 200 can still carry an error: S3 sends white space while it works.
        let outcome = match outcome {
            Outcome::Done(answer) if answer.text().contains("<Error>") => Outcome::Unknown(answer.text()),
            outcome => outcome,
        };
        self.enter(bucket, key, body, outcome)?;
        self.uploads.retain(|open| open.id != upload);
        Ok(())
    }

    async fn abort(&mut self, caller: &mut Caller, upload: &str) -> Result<(), Stop> {
        let Some(at) = self.uploads.iter().position(|open| open.id == upload) else { return Ok(()) };
        // From here on it may be gone, whether the answer comes or not.
        let Upload { bucket, key, .. } = self.uploads.swap_remove(at);
        acknowledged(caller.call(&with_query("DELETE", bucket, &key, &[("uploadId", upload)]), &[]).await)?;
        Ok(())
    }

    async fn get(&mut self, caller: &mut Caller, bucket: &'static str, key: &str) -> Result<(), Stop> {
        let current = self.state(bucket, key).current().and_then(|version| version.body.clone());
        match (current, caller.call(&request("GET", bucket, key), &[]).await) {
            (Some(body), Outcome::Done(answer)) if answer.body == body.bytes() => Ok(()),
            (None, Outcome::Refused(answer)) if answer.status == 404 => Ok(()),
            (_, Outcome::Unknown(text)) => Err(Stop::Unknown(text)),
            (current, Outcome::Done(answer) | Outcome::Refused(answer)) => bail_violation(format!(
                "GET {bucket}/{key}: {} with {} bytes, but {current:?} is there",
                answer.status,
                answer.body.len()
            )),
        }
    }

    async fn list(&mut self, caller: &mut Caller, bucket: &'static str) -> Result<(), Stop> {
        let list = with_query("GET", bucket, "", &[("list-type", "2"), ("prefix", &self.prefix())]);
        let answer = acknowledged(caller.call(&list, &[]).await)?;
        let listed = crate::verify::keys_and_sizes(&answer.text());
        let expected = self.listing(bucket);
        if listed == expected {
            Ok(())
        } else {
            bail_violation(format!("a list of {bucket} shows {listed:?}, but {expected:?} is there"))
        }
    }

    /// The live keys of a bucket with their sizes, in order, as a list shows them.
    pub(crate) fn listing(&self, bucket: &'static str) -> Vec<(String, usize)> {
        let keys = self.keys.iter().filter(|((b, _), _)| *b == bucket);
        keys.filter_map(|((_, key), state)| Some((key.clone(), state.current()?.body.as_ref()?.len())))
            .collect()
    }

    async fn toggle_bucket(&mut self, caller: &mut Caller) -> Result<(), Stop> {
        let [exists] = self.fleeting.as_slice() else { return Ok(()) };
        let exists = *exists;
        let method = if exists { "DELETE" } else { "PUT" };
        match caller.call(&request(method, &self.fleeting_bucket(), ""), &[]).await {
            Outcome::Done(_) => {
                self.fleeting = vec![!exists];
                Ok(())
            }
            Outcome::Refused(answer) => {
                bail_violation(format!("{method} of a bucket was refused: {}", answer.text()))
            }
            Outcome::Unknown(text) => {
                self.fleeting = vec![exists, !exists];
                Err(Stop::Unknown(text))
            }
        }
    }
}

fn bail_violation<T>(text: String) -> Result<T, Stop> {
    Err(Stop::Violation(anyhow::Error::msg(text)))
}

/// The answer of a call that must not be refused.
fn acknowledged(outcome: Outcome) -> Result<Answer, Stop> {
    match outcome {
        Outcome::Done(answer) => Ok(answer),
        Outcome::Refused(answer) => bail_violation(format!("refused: {} {}", answer.status, answer.text())),
        Outcome::Unknown(text) => Err(Stop::Unknown(text)),
    }
}

/// The id that a write's answer gives; in a bucket without versioning there is none and it is `null` when seen.
fn version_id(bucket: &str, answer: &Answer) -> Result<Option<String>> {
    match (bucket == VERSIONED, answer.header("x-amz-version-id")) {
        (true, Some(id)) => Ok(Some(id.to_owned())),
        (true, None) => bail!("an answer without a version id"),
        (false, None | Some("null")) => Ok(Some("null".to_owned())),
        (false, Some(id)) => bail!("a version id {id} without versioning"),
    }
}

/// For `x-amz-copy-source`, whose value is URL-encoded.
fn percent_encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect::<Vec<_>>()
        .concat()
}
