//! A remote pool on somebody else's store, through an outage: what is promised, step by step, and how that store answers.
//!
//! ```text
//!   differences ─► a start takes the place ─► bodies go there, are read, cached, deleted
//!     ─► SIGSTOP of the store ─► writes and restarts go on ─► SIGCONT ─► it catches up ─► starts that have to be refused
//! ```
//!
//! The store is started and ended by whoever calls. What it answers to requests that stores differ in is printed, for
//! docs/clients.md.

use crate::calls::{Caller, Outcome, element, elements, request, with_query};
use crate::say;
use anyhow::{Context, Result, bail, ensure};
use powercut::Seeded;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wire::{Appliance, Launch, Request, Signing};

const BUCKET: &str = "firn-pool";
const PREFIX: &str = "firn/one";
/// The appliance's own.
const OURS: &str = "drill";
/// Inline, one record, several, several parts.
const LENGTHS: [usize; 4] = [100, 20_000, 6 << 20, 18 << 20];
/// How long what is expected may take to come.
const PATIENCE: Duration = Duration::from_mins(8);
/// How long a write may take while the store does not answer.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A store that runs.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Store {
    /// What it is called in the report.
    #[arg(long)]
    name: String,
    /// Its address and port.
    #[arg(long)]
    address: SocketAddr,
    /// An AWS credentials file with its keys.
    #[arg(long)]
    credentials: PathBuf,
    /// A process to stop for the outage; may be repeated.
    #[arg(long = "pid", required = true)]
    pids: Vec<i32>,
    /// How long the outage is, in seconds.
    #[arg(long, default_value_t = 150)]
    outage_s: u64,
}

struct Drill {
    store: Store,
    caller: Caller,
    launch: Launch,
    scratch: PathBuf,
}

fn body(number: usize) -> Vec<u8> {
    let mut bytes = vec![0; LENGTHS[number % LENGTHS.len()]];
    Seeded::new(number as u64).fill(&mut bytes);
    bytes
}

/// Everything.
pub(crate) async fn run(store: Store, binary: PathBuf, scratch: &Path) -> Result<()> {
    let signing = signing(&store.credentials)?;
    let caller = Caller::at(store.address, signing);
    let launch = Launch { patience: PATIENCE, ..Launch::new(Some(binary), scratch)? };
    let mut drill = Drill { store, caller, launch, scratch: scratch.to_owned() };
    let outcome = drill.all().await;
    // However it ended: nothing of the caller's stays stopped.
    drill.signal(rustix::process::Signal::CONT);
    outcome
        .with_context(|| format!("{}; the server's log ends:\n{}", drill.store.name, drill.launch.log_tail()))
}

impl Drill {
    async fn all(&mut self) -> Result<()> {
        for bucket in [BUCKET, "firn-other"] {
            self.caller.must(&request("PUT", bucket, ""), &[]).await?;
        }
        self.differences().await?;
        self.configure(BUCKET, PREFIX, &self.store.credentials.clone())?;
        let begun = wire::elapsed();
        let appliance = self.start("take the place").await?;
        self.tell("a start that takes the place", begun);
        Caller::new(&appliance).must(&request("PUT", OURS, ""), &[]).await?;
        let begun = wire::elapsed();
        for number in 0..4 {
            self.put(&appliance, number).await?;
        }
        self.wait(&appliance, "uploads", |remote| {
            remote["waiting_blobs"] == 0 && remote["uploaded_blobs"] == 3
        })
        .await?;
        self.tell("uploads of 20 KB, 6 MiB and 18 MiB", begun);
        ensure!(self.objects().await?.len() == 3, "three objects: {:?}", self.objects().await?);
        self.read_and_cache(&appliance).await?;
        Caller::new(&appliance).must(&request("DELETE", OURS, "1"), &[]).await?;
        self.wait(&appliance, "a delete", |remote| remote["deleted_objects"] == 1).await?;
        ensure!(self.objects().await?.len() == 2, "two objects: {:?}", self.objects().await?);
        let appliance = self.outage(appliance).await?;
        ensure!(appliance.terminate(PATIENCE).await?.success(), "an orderly stop");
        self.refusals().await
    }

    async fn start(&self, what: &str) -> Result<Appliance> {
        self.launch.start().await.with_context(|| format!("start the appliance: {what}"))
    }

    fn tell(&self, what: &str, begun: Duration) {
        let took = wire::elapsed().saturating_sub(begun).as_secs_f64();
        say(&format!("{}: {what}: {took:.2} s", self.store.name));
    }

    fn configure(&mut self, bucket: &str, prefix: &str, credentials: &Path) -> Result<()> {
        let config = self.scratch.join("firn.toml");
        let text = format!(
            "[[zone]]\nname = \"cloud\"\nkind = \"s3\"\nendpoint = \"http://{}\"\nbucket = {bucket:?}\nprefix = {prefix:?}\n\
             credentials-file = {:?}\ncache = \"256MiB\"\n",
            self.store.address,
            credentials.display().to_string()
        );
        std::fs::write(&config, text)?;
        self.launch.args = vec!["--config".to_owned(), config.display().to_string()];
        Ok(())
    }

    async fn put(&self, appliance: &Appliance, number: usize) -> Result<()> {
        let begun = wire::elapsed();
        Caller::new(appliance).must(&request("PUT", OURS, &number.to_string()), &body(number)).await?;
        let took = wire::elapsed().saturating_sub(begun);
        ensure!(took < WRITE_WITHIN, "a write took {took:?}");
        Ok(())
    }

    async fn get(&self, appliance: &Appliance, number: usize) -> Result<()> {
        let answer = Caller::new(appliance).must(&request("GET", OURS, &number.to_string()), &[]).await?;
        ensure!(answer.body == body(number), "object {number} is another one");
        Ok(())
    }

    async fn remote(&self, appliance: &Appliance) -> Result<Value> {
        let (code, text) = appliance.admin("GET", "/v1/status", "").await?;
        ensure!(code == 200, "GET /v1/status: {code} {text}");
        let mut status: Value = serde_json::from_str(&text)?;
        Ok(status["remote"].take())
    }

    async fn wait(&self, appliance: &Appliance, what: &str, so: impl Fn(&Value) -> bool) -> Result<()> {
        let deadline = wire::elapsed() + PATIENCE;
        let mut ticks = tokio::time::interval(LOOK_AGAIN);
        loop {
            ticks.tick().await;
            let remote = self.remote(appliance).await?;
            if so(&remote) {
                return Ok(());
            }
            ensure!(wire::elapsed() < deadline, "{what} did not come: {remote}");
        }
    }

    /// What lies in the pool, by the store's own list.
    async fn objects(&mut self) -> Result<Vec<String>> {
        let prefix = format!("{PREFIX}/blobs/");
        let query = [("list-type", "2"), ("prefix", prefix.as_str())];
        let text = self.caller.must(&with_query("GET", BUCKET, "", &query), &[]).await?.text();
        Ok(elements(&text, "Key"))
    }

    async fn read_and_cache(&self, appliance: &Appliance) -> Result<()> {
        let begun = wire::elapsed();
        for number in 0..4 {
            self.get(appliance, number).await?;
        }
        self.tell("reads of all four from there", begun);
        let part = Request {
            headers: vec![("range", "bytes=5000000-5000099".to_owned())],
            ..request("GET", OURS, "3")
        };
        let answer = Caller::new(appliance).must(&part, &[]).await?;
        ensure!(answer.body == body(3)[5_000_000..5_000_100], "a range is another one");
        // What the cache's disk was behind with is read, and kept, again.
        let deadline = wire::elapsed() + PATIENCE;
        while self.remote(appliance).await?["cache"].as_u64().is_none_or(|bytes| bytes < 24 << 20) {
            self.get(appliance, 2).await?;
            self.get(appliance, 3).await?;
            ensure!(wire::elapsed() < deadline, "the cache keeps nothing: {}", self.remote(appliance).await?);
        }
        let before = self.remote(appliance).await?["read"].clone();
        for number in 0..4 {
            self.get(appliance, number).await?;
        }
        ensure!(self.remote(appliance).await?["read"] == before, "what is cached is not read again");
        Ok(())
    }

    /// The store hangs: connections are taken, and nothing is answered.
    async fn outage(&mut self, appliance: Appliance) -> Result<Appliance> {
        let begun = wire::elapsed();
        self.signal(rustix::process::Signal::STOP);
        for number in 4..8 {
            self.put(&appliance, number).await?;
        }
        self.get(&appliance, 2).await.context("what is cached")?;
        self.wait(&appliance, "trouble", |remote| !remote["trouble"].is_null()).await?;
        self.tell("a hanging store is told as trouble after", begun);
        appliance.kill().await?;
        let restarted = wire::elapsed();
        let appliance = self.start("while the store hangs").await?;
        self.tell("a restart while the store hangs", restarted);
        for number in 4..8 {
            self.get(&appliance, number).await.context("what is local")?;
        }
        let asked = wire::elapsed();
        match Caller::new(&appliance).patient().call(&request("GET", OURS, "2"), &[]).await {
            Outcome::Unknown(text) if text.contains("503") => say(&format!("{}: {text}", self.store.name)),
            outcome => bail!("a body that lies there alone: {outcome:?}"),
        }
        self.tell("a read of what lies there alone is refused after", asked);
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        while wire::elapsed() < begun + Duration::from_secs(self.store.outage_s) {
            ticks.tick().await;
        }
        for number in 8..10 {
            self.put(&appliance, number).await?;
        }
        self.signal(rustix::process::Signal::CONT);
        let back = wire::elapsed();
        self.wait(&appliance, "the end of the outage", |remote| {
            remote["waiting_blobs"] == 0 && remote["trouble"].is_null()
        })
        .await?;
        self.tell("all is uploaded after the outage in", back);
        for number in (0..10).filter(|number| *number != 1) {
            self.get(&appliance, number).await?;
        }
        Ok(appliance)
    }

    fn signal(&self, signal: rustix::process::Signal) {
        for pid in self.store.pids.iter().copied().filter_map(rustix::process::Pid::from_raw) {
            if let Err(error) = rustix::process::kill_process(pid, signal) {
                say(&format!("{}: signal process {pid:?}: {error}", self.store.name));
            }
        }
    }

    /// Starts that have to be refused, each with the store's own word for it.
    async fn refusals(&mut self) -> Result<()> {
        let own = signing(&self.store.credentials)?;
        self.connect_anew(own.clone());
        let right = self.store.credentials.clone();
        let other = self.launch.dir.with_file_name("other");
        let ours = self.launch.dir.clone();
        self.caller.must(&request("PUT", BUCKET, "others/note.txt"), b"mine").await?;
        let keys = |name: &str, key: &str, secret: &str| -> Result<PathBuf> {
            let path = self.scratch.join(name);
            let text = format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n");
            std::fs::write(&path, text)?;
            Ok(path)
        };
        let wrong_secret = keys("wrong-secret", &own.access_key, "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0")?;
        let wrong_key = keys("wrong-key", "AKIAWRONGWRONGWRONG1", &own.secret)?;
        for (what, dir, bucket, prefix, credentials, says) in [
            ("a wrong secret", &ours, BUCKET, PREFIX, &wrong_secret, "SignatureDoesNotMatch"),
            ("a wrong key", &ours, BUCKET, PREFIX, &wrong_key, "InvalidAccessKeyId"),
            ("a bucket that is not there", &ours, "firn-absent", PREFIX, &right, "NoSuchBucket"),
            ("another bucket", &ours, "firn-other", PREFIX, &right, "has no mark"),
            (
                "another appliance's place",
                &other,
                BUCKET,
                PREFIX,
                &right,
                "belongs to the appliance of account",
            ),
            ("objects of others", &other, BUCKET, "others", &right, "holds objects of others"),
        ] {
            self.configure(bucket, prefix, credentials)?;
            let launch = Launch { dir: dir.clone(), ..self.launch.clone() };
            let (status, log) = launch.start_refused().await.with_context(|| what.to_owned())?;
            ensure!(!status.success() && log.contains(says), "{what}: {status}: {log}");
            say(&format!("{}: {what} is refused: {says}", self.store.name));
        }
        self.connect_anew(own);
        ensure!(self.objects().await?.len() > 2, "what was there is there");
        Ok(())
    }

    /// Stores close a connection that nothing was asked on for a while.
    fn connect_anew(&mut self, signing: Signing) {
        self.caller = Caller::at(self.store.address, signing);
    }

    /// What stores answer differently.
    async fn differences(&mut self) -> Result<()> {
        let asks = |method, key, headers: &[(&'static str, &str)]| Request {
            headers: headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            ..request(method, BUCKET, key)
        };
        let wrong_hash = "0".repeat(64);
        self.caller.must(&request("PUT", BUCKET, "object"), b"0123456789").await?;
        let begun = with_query("POST", BUCKET, "parts", &[("uploads", "")]);
        let id = element(&self.caller.must(&begun, &[]).await?.text(), "UploadId").context("no upload id")?;
        let upload = |method, id: &str| with_query(method, BUCKET, "parts", &[("uploadId", id)]);
        for (what, asked, sent) in [
            (
                "PUT If-None-Match: * of a name that is taken",
                asks("PUT", "object", &[("if-none-match", "*")]),
                &b"x"[..],
            ),
            ("GET of a range behind the end", asks("GET", "object", &[("range", "bytes=10-19")]), b""),
            ("GET of a range over the end", asks("GET", "object", &[("range", "bytes=5-19")]), b""),
            ("GET of no object", asks("GET", "absent", &[]), b""),
            ("GET in no bucket", request("GET", "firn-absent", "object"), b""),
            ("DELETE of no object", asks("DELETE", "absent", &[]), b""),
            (
                "PUT with a checksum of something else",
                asks("PUT", "sum", &[("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")]),
                b"x",
            ),
            ("abort of an upload", upload("DELETE", &id), b""),
            ("abort of it again", upload("DELETE", &id), b""),
            ("abort of an upload that never was", upload("DELETE", &wrong_hash), b""),
            (
                "list of no more than two behind a name",
                with_query(
                    "GET",
                    BUCKET,
                    "",
                    &[("list-type", "2"), ("start-after", "object"), ("max-keys", "2")],
                ),
                b"",
            ),
        ] {
            let said = match self.caller.call(&asked, sent).await {
                Outcome::Done(answer) => format!("{} {} bytes", answer.status, answer.body.len()),
                Outcome::Refused(answer) => {
                    format!("{} {}", answer.status, element(&answer.text(), "Code").unwrap_or_default())
                }
                Outcome::Unknown(text) => text,
            };
            say(&format!("{}: {what}: {said}", self.store.name));
        }
        for key in ["object", "sum"] {
            self.caller.must(&request("DELETE", BUCKET, key), &[]).await?;
        }
        Ok(())
    }
}

/// The `[default]` profile of an AWS credentials file.
fn signing(path: &Path) -> Result<Signing> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
        let value =
            line.and_then(|rest| rest.trim_start().strip_prefix('=')).map(|value| value.trim().to_owned());
        value.with_context(|| format!("{} does not say {name}", path.display()))
    };
    Ok(Signing {
        access_key: value("aws_access_key_id")?,
        secret: value("aws_secret_access_key")?,
        region: "us-east-1".to_owned(),
    })
}
