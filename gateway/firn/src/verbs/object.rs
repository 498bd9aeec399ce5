//! `stat`, `cat` and `share`.

use super::dedup::Saving;
use super::versions::missing;
use super::{json_time, show_time};
use crate::cli::{Cat, Share, Stat};
use crate::exit::{Exit, Failure};
use crate::report::Report;
use crate::session::Session;
use crate::text::{printable, show_duration};
use crate::transfer::stream_out;
use client::{BucketHead, Client, ObjectRef, Versioning};
use engine::clock::Timestamp;
use engine::unit::ByteCount;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};

#[derive(Debug, Serialize)]
struct BucketStat {
    bucket: String,
    region: Option<String>,
    versioning: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    deduplication: Option<Saving>,
}

impl Report for BucketStat {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "bucket      {}", printable(&self.bucket))?;
        writeln!(out, "region      {}", self.region.as_deref().unwrap_or("-"))?;
        writeln!(out, "versioning  {}", self.versioning)?;
        self.deduplication.as_ref().map_or(Ok(()), |saving| writeln!(out, "dedup       {saving}"))
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
    #[serde(skip)]
    time: Option<Timestamp>,
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
const LOOK: &str = "see what is there: firn ls s3://BUCKET/PREFIX/";

pub(super) async fn stat(session: &Session, args: &Stat) -> anyhow::Result<Exit> {
    let client = session.client()?;
    if args.target.key.is_empty() {
        return bucket_stat(session, &client, &args.target.bucket).await;
    }
    let (bucket, key) = (&args.target.bucket, &args.target.key);
    let object = ObjectRef { bucket, key, version: args.version_id.as_deref() };
    let head = match (client.head_object(&object).await, &args.version_id) {
        (Ok(head), _) => head,
        (Err(error), None) => return Err(missing(&client, &args.target, error, LOOK).await),
        (Err(error), Some(_)) => return Err(error.into()),
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
        time: head.last_modified,
    })
}

async fn bucket_stat(session: &Session, client: &Client, bucket: &str) -> anyhow::Result<Exit> {
    let BucketHead { region, deduplicated } = client.head_bucket(bucket).await?;
    let versioning = match client.bucket_versioning(bucket).await? {
        Versioning::Off => "off",
        Versioning::Enabled => "enabled",
        Versioning::Suspended => "suspended",
    };
    let deduplication = deduplicated.map(Saving::from);
    session.output.print(&BucketStat { bucket: bucket.to_owned(), region, versioning, deduplication })
}

pub(super) async fn cat(session: &Session, args: &Cat) -> anyhow::Result<Exit> {
    let client = session.client()?;
    let object = args.object.object()?;
    let range = match args.range {
        None => None,
        Some(asked) => {
            let size = client.head_object(&object).await?.size;
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
            Err(missing(&client, &args.object.target, error, LOOK).await)
        }
        Err(Ok(error)) => Err(error.into()),
        Err(Err(error)) => Err(error),
    }
}

#[derive(Debug, Serialize)]
struct Link {
    url: String,
    expires: Option<String>,
}

impl Report for Link {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.url)
    }
}

pub(super) fn share(session: &Session, args: &Share) -> anyhow::Result<Exit> {
    let client = session.client()?;
    let object = args.object.object()?;
    let url = client.presign_get(&object, args.expires)?;
    let expires = json_time(Some(session.clock.now().plus(args.expires)));
    session.output.note(&format!(
        "whoever has this link can read {} for {}",
        printable(&args.object.target.to_string()),
        show_duration(args.expires)
    ));
    session.output.print(&Link { url, expires })
}
