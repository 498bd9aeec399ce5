//! `stat`, `cat` and `share`.

use super::dedup::Saving;
use super::names::named_bucket;
use super::uploads::{self, Unfinished};
use super::versions::{missing, missing_version};
use super::{json_time, show_time};
use crate::cli::{Cat, S3Uri, Share, Stat};
use crate::doors::Doors;
use crate::exit::{Exit, Failure};
use crate::report::Report;
use crate::scope::Scope;
use crate::session::{Session, variable};
use crate::text::{printable, quote_sh, show_duration};
use crate::transfer::stream_out;
use client::{BucketHead, BucketLock, Client, ObjectLock, ObjectRef, Versioning};
use engine::clock::Timestamp;
use engine::unit::ByteCount;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

#[derive(Debug, Serialize)]
struct BucketStat {
    bucket: String,
    region: Option<String>,
    versioning: &'static str,
    /// None where it has none, or who asks may not see it.
    object_lock: Option<LockStat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deduplication: Option<Saving>,
    /// Uploads that were begun and not completed. Left out where they can't be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    unfinished: Option<Unfinished>,
}

/// The object lock of a bucket, and how it holds new versions where nothing else is said.
#[derive(Debug, Serialize)]
struct LockStat {
    default_mode: Option<String>,
    default_period: Option<String>,
}

impl LockStat {
    fn of(lock: BucketLock) -> Self {
        let (default_mode, default_period) = lock.default.unzip();
        Self { default_mode, default_period }
    }
}

impl Report for BucketStat {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "bucket      {}", printable(&self.bucket))?;
        writeln!(out, "region      {}", self.region.as_deref().unwrap_or("-"))?;
        writeln!(out, "versioning  {}", self.versioning)?;
        match &self.object_lock {
            Some(LockStat { default_mode: Some(mode), default_period: Some(period) }) => {
                writeln!(out, "object lock on; new versions are held {period} ({})", printable(mode))?;
            }
            Some(_) => writeln!(out, "object lock on; new versions are held where the writer says so")?,
            None => {}
        }
        if let Some(saving) = &self.deduplication {
            writeln!(out, "dedup       {saving}")?;
        }
        self.unfinished
            .and_then(Unfinished::told)
            .map_or(Ok(()), |told| writeln!(out, "unfinished  {told} s3://{}", printable(&self.bucket)))
    }
}

#[derive(Debug, Serialize)]
struct ObjectStat {
    bucket: String,
    key: String,
    size: u64,
    etag: String,
    last_modified: Option<String>,
    version_id: Option<String>,
    content_type: Option<String>,
    storage_class: String,
    restore: Option<String>,
    checksums: BTreeMap<String, String>,
    metadata: BTreeMap<String, String>,
    /// Retention and legal hold; none where nothing ever held it, or who asks may not see it.
    lock: Option<Held>,
    #[serde(skip)]
    time: Option<Timestamp>,
}

/// What holds a version.
#[derive(Debug, Serialize)]
struct Held {
    mode: Option<String>,
    retain_until: Option<String>,
    legal_hold: bool,
    #[serde(skip)]
    until: Option<Timestamp>,
}

impl Held {
    fn of(lock: ObjectLock) -> Self {
        Self {
            mode: lock.mode,
            retain_until: json_time(lock.retain_until),
            legal_hold: lock.legal_hold,
            until: lock.retain_until,
        }
    }
}

impl Report for ObjectStat {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut line = |name: &str, value: &str| writeln!(out, "{name:14} {}", printable(value));
        line("object", &format!("s3://{}/{}", self.bucket, self.key))?;
        line("size", &format!("{} ({} bytes)", ByteCount::new(self.size), self.size))?;
        line("etag", &self.etag)?;
        line("last modified", &show_time(self.time))?;
        line("storage class", &self.storage_class)?;
        for (name, value) in
            [("version", &self.version_id), ("content type", &self.content_type), ("restore", &self.restore)]
        {
            if let Some(value) = value {
                line(name, value)?;
            }
        }
        if let Some(held) = &self.lock {
            if let Some(mode) = &held.mode {
                line("retained", &format!("until {} ({mode})", show_time(held.until)))?;
            }
            line("legal hold", if held.legal_hold { "on" } else { "off" })?;
        }
        for (name, value) in &self.checksums {
            line(name, value)?;
        }
        for (name, value) in &self.metadata {
            line("metadata", &format!("{name}: {value}"))?;
        }
        Ok(())
    }
}

/// Where a name was mistyped.
fn look(uri: &S3Uri) -> String {
    let above = uri.key.rsplit_once('/').map(|(above, _)| format!("{above}/")).unwrap_or_default();
    format!("see what is there: firn ls {}", quote_sh(&format!("s3://{}/{above}", uri.bucket)))
}

pub(super) async fn stat(session: &Session, args: &Stat) -> anyhow::Result<Exit> {
    let client = session.client()?;
    if args.target.key.is_empty() {
        return bucket_stat(session, &client, &args.target.bucket).await;
    }
    let (bucket, key) = (&args.target.bucket, &args.target.key);
    let object = ObjectRef { bucket, key, version: args.version_id.as_deref() };
    let head = match (client.head_object(&object).await, &args.version_id) {
        (Ok(head), _) => head,
        (Err(error), None) => return Err(missing(&client, &args.target, error, &look(&args.target)).await),
        (Err(error), Some(id)) => return Err(missing_version(&client, &args.target, id, error).await),
    };
    session.output.print(&ObjectStat {
        bucket: bucket.clone(),
        key: key.clone(),
        size: head.size,
        etag: head.etag,
        last_modified: json_time(head.last_modified),
        version_id: head.version_id,
        content_type: head.content_type,
        storage_class: head.storage_class,
        restore: head.restore,
        checksums: head.checksums,
        metadata: head.metadata,
        lock: head.lock.map(Held::of),
        time: head.last_modified,
    })
}

async fn bucket_stat(session: &Session, client: &Client, bucket: &str) -> anyhow::Result<Exit> {
    let BucketHead { region, deduplicated } = named_bucket(client, bucket).await?;
    let versioning = match client.bucket_versioning(bucket).await? {
        Versioning::Off => "off",
        Versioning::Enabled => "enabled",
        Versioning::Suspended => "suspended",
    };
    // Who may see the bucket may not always see these, and some endpoints know neither.
    let object_lock = client.bucket_lock(bucket).await.ok().flatten().map(LockStat::of);
    let unfinished = uploads::sum(client, &Scope::bucket(bucket)).await.ok();
    session.output.print(&BucketStat {
        bucket: bucket.to_owned(),
        region,
        versioning,
        object_lock,
        deduplication: deduplicated.map(Saving::from),
        unfinished,
    })
}

pub(super) async fn cat(session: &Session, args: &Cat) -> anyhow::Result<Exit> {
    let object = args.object.object()?;
    let client = session.client()?;
    let range = match args.range {
        None => None,
        Some(asked) => {
            let size = match client.head_object(&object).await {
                Ok(head) => head.size,
                Err(error) if object.version.is_none() => {
                    let look = look(&args.object.target);
                    return Err(missing(&client, &args.object.target, error, &look).await);
                }
                Err(error) => return Err(error.into()),
            };
            Some(asked.within(size).ok_or_else(|| {
                Failure::usage(format!(
                    "read that range of {}: the object has {size} bytes",
                    args.object.target
                ))
            })?)
        }
    };
    match stream_out(&client, &object, range).await.map_err(anyhow::Error::downcast::<client::Error>) {
        Ok(()) => Ok(Exit::Ok),
        Err(Ok(error)) if object.version.is_none() => {
            Err(missing(&client, &args.object.target, error, &look(&args.object.target)).await)
        }
        Err(Ok(error)) => Err(error.into()),
        Err(Err(error)) => Err(error),
    }
}

#[derive(Debug, Serialize)]
struct Link {
    url: String,
    expires: Option<String>,
    /// Its endpoint is on loopback.
    this_machine_alone: bool,
}

impl Report for Link {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.url)
    }
}

pub(super) fn share(session: &Session, args: &Share) -> anyhow::Result<Exit> {
    let object = args.object.object()?;
    let client = session.client()?;
    let url = client.presign_get(&object, args.expires)?;
    let expires = json_time(Some(session.clock.now().plus(args.expires)));
    session.output.note(&format!(
        "whoever has this link can read {} for {}, where it is there and you may read it: that was not looked at",
        printable(&args.object.target.to_string()),
        show_duration(args.expires)
    ));
    let this_machine_alone = client.endpoint().is_loopback();
    if this_machine_alone {
        // Where an appliance is named: what it says of itself.
        let doors = variable("FIRN_DIR").and_then(|dir| Doors::read(Path::new(&dir)).ok());
        let elsewhere = doors.and_then(|doors| doors.s3.from_elsewhere.into_iter().next());
        session.output.note(&match elsewhere {
            Some(url) => format!("it works on this machine alone; for others: firn share --endpoint {url}"),
            None => "it works on this machine alone: for others the server has to listen beyond loopback (firn server DIR --tls --http \
                     0.0.0.0:9000), and --endpoint names the URL by which they reach it"
                .to_owned(),
        });
    }
    session.output.print(&Link { url, expires, this_machine_alone })
}
