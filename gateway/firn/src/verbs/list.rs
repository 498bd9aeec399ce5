//! `ls` and `du`.

use super::dedup::Saving;
use super::uploads::{self, Unfinished};
use super::{json_time, show_time};
use crate::cli::{Du, Ls};
use crate::exit::Exit;
use crate::report::Report;
use crate::scope::Scope;
use crate::session::Session;
use crate::text::printable;
use client::{Client, ObjectEntry};
use engine::clock::Timestamp;
use engine::unit::ByteCount;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// One line of a list.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line {
    Bucket {
        bucket: String,
        created: Option<String>,
    },
    Prefix {
        prefix: String,
    },
    Object {
        key: String,
        size: u64,
        etag: String,
        last_modified: Option<String>,
        storage_class: String,
    },
    Version {
        key: String,
        version_id: String,
        is_latest: bool,
        is_delete_marker: bool,
        size: u64,
        etag: String,
        last_modified: Option<String>,
        storage_class: String,
    },
}

/// A line, and its time in the form for people.
#[derive(Debug, Serialize)]
struct Listed {
    #[serde(flatten)]
    line: Line,
    #[serde(skip)]
    time: Option<Timestamp>,
}

impl Report for Listed {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let time = show_time(self.time);
        match &self.line {
            Line::Bucket { bucket, .. } => writeln!(out, "{time:19}  {}", printable(bucket)),
            Line::Prefix { prefix } => writeln!(out, "{:19} {:>14}  {}", "", "PRE", printable(prefix)),
            Line::Object { key, size, storage_class, .. } => {
                let class = class_suffix(storage_class);
                writeln!(out, "{time:19} {size:>14}  {}{class}", printable(key))
            }
            Line::Version { key, version_id, is_latest, is_delete_marker, size, storage_class, .. } => {
                let what = match (is_delete_marker, is_latest) {
                    (true, true) => "delete marker, latest",
                    (true, false) => "delete marker",
                    (false, true) => "latest",
                    (false, false) => "old",
                };
                let class = class_suffix(storage_class);
                writeln!(out, "{time:19} {size:>14}  {}{class}  {version_id}  ({what})", printable(key))
            }
        }
    }
}

fn class_suffix(class: &str) -> String {
    if matches!(class, "STANDARD" | "") { String::new() } else { format!("  [{}]", printable(class)) }
}

pub(super) async fn list(session: &Session, args: &Ls) -> anyhow::Result<Exit> {
    let client = session.client()?;
    match &args.target {
        None => buckets(session, &client).await?,
        Some(target) => {
            let scope = Scope::of(target, args.prefix);
            let delimiter = (!args.recursive).then_some("/");
            if args.uploads {
                uploads::list(session, &client, &scope).await?;
            } else if args.versions {
                versions(session, &client, &scope, delimiter).await?;
            } else {
                objects(session, &client, &scope, delimiter).await?;
            }
        }
    }
    Ok(Exit::Ok)
}

async fn buckets(session: &Session, client: &Client) -> anyhow::Result<()> {
    for bucket in client.list_buckets().await? {
        let time = bucket.created;
        let line = Line::Bucket { bucket: bucket.name, created: json_time(time) };
        session.output.item(&Listed { line, time })?;
    }
    Ok(())
}

async fn objects(
    session: &Session,
    client: &Client,
    scope: &Scope,
    delimiter: Option<&str>,
) -> anyhow::Result<()> {
    let mut pages = scope.objects(client, delimiter);
    while let Some(page) = pages.next().await? {
        // The two come apart on a page; people and scripts want one order.
        let mut lines = BTreeMap::new();
        for prefix in page.prefixes {
            lines.insert(prefix.clone(), Listed { line: Line::Prefix { prefix }, time: None });
        }
        for object in page.entries {
            let time = object.last_modified;
            let line = Line::Object {
                key: object.key.clone(),
                size: object.size,
                etag: object.etag,
                last_modified: json_time(time),
                storage_class: object.storage_class,
            };
            lines.insert(object.key, Listed { line, time });
        }
        for line in lines.values() {
            session.output.item(line)?;
        }
    }
    found(pages.found(), scope)
}

async fn versions(
    session: &Session,
    client: &Client,
    scope: &Scope,
    delimiter: Option<&str>,
) -> anyhow::Result<()> {
    let mut pages = scope.versions(client, delimiter);
    let (mut old, mut deleted) = (false, false);
    while let Some(page) = pages.next().await? {
        for prefix in page.prefixes {
            session.output.item(&Listed { line: Line::Prefix { prefix }, time: None })?;
        }
        for version in page.entries {
            deleted |= version.is_latest && version.is_delete_marker;
            old |= !version.is_latest && !version.is_delete_marker;
            let object = version.object;
            let time = object.last_modified;
            let line = Line::Version {
                key: object.key,
                version_id: version.version_id,
                is_latest: version.is_latest,
                is_delete_marker: version.is_delete_marker,
                size: object.size,
                etag: object.etag,
                last_modified: json_time(time),
                storage_class: object.storage_class,
            };
            session.output.item(&Listed { line, time })?;
        }
    }
    if old {
        let key = scope.key_or("KEY");
        session
            .output
            .note(&format!("an old version becomes the latest: firn cp --version-id ID {key} {key}"));
    }
    if deleted {
        let key = scope.key_or("KEY");
        session
            .output
            .note(&format!("a deleted key comes back when its marker goes: firn rm --version-id ID {key}"));
    }
    found(pages.found(), scope)
}

/// An empty bucket lists nothing; a name that takes in nothing is a mistake.
fn found(any: bool, scope: &Scope) -> anyhow::Result<()> {
    if any || scope.is_bucket() { Ok(()) } else { Err(scope.nothing().into()) }
}

#[derive(Debug, Serialize)]
struct Usage {
    bucket: String,
    prefix: String,
    objects: u64,
    bytes: ByteCount,
    by_storage_class: BTreeMap<String, ByteCount>,
    /// Of the whole bucket, all versions and parts of uploads under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    deduplication: Option<Saving>,
    /// What is in none of the above: parts of uploads that were begun and not completed. Left out where they can't be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    unfinished: Option<Unfinished>,
}

impl Report for Usage {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "{}  {} {}  s3://{}/{}",
            self.bytes,
            self.objects,
            if self.objects == 1 { "object" } else { "objects" },
            self.bucket,
            printable(&self.prefix)
        )?;
        if self.by_storage_class.len() > 1 {
            for (class, bytes) in &self.by_storage_class {
                writeln!(out, "  {bytes}  {}", printable(class))?;
            }
        }
        if let Some(saving) = &self.deduplication {
            writeln!(out, "  deduplication of the whole bucket: {saving}")?;
        }
        if let Some(told) = self.unfinished.and_then(Unfinished::told) {
            writeln!(out, "  beside these, unfinished: {told}")?;
        }
        Ok(())
    }
}

impl Usage {
    fn add(&mut self, object: ObjectEntry) {
        let size = ByteCount::new(object.size);
        self.objects += 1;
        self.bytes += size;
        *self.by_storage_class.entry(object.storage_class).or_default() += size;
    }
}

pub(super) async fn usage(session: &Session, args: &Du) -> anyhow::Result<Exit> {
    let client = session.client()?;
    let (bucket, prefix) = (&args.target.bucket, &args.target.key);
    let mut usage = Usage {
        bucket: bucket.clone(),
        prefix: prefix.clone(),
        objects: 0,
        bytes: ByteCount::ZERO,
        by_storage_class: BTreeMap::new(),
        deduplication: None,
        unfinished: None,
    };
    let scope = Scope::of(&args.target, args.prefix);
    let any = if args.versions {
        let mut pages = scope.versions(&client, None);
        while let Some(page) = pages.next().await? {
            for version in page.entries.into_iter().filter(|version| !version.is_delete_marker) {
                usage.add(version.object);
            }
        }
        pages.found()
    } else {
        let mut pages = scope.objects(&client, None);
        while let Some(page) = pages.next().await? {
            page.entries.into_iter().for_each(|object| usage.add(object));
        }
        pages.found()
    };
    // Who may list objects may not always list uploads.
    usage.unfinished = uploads::sum(&client, &scope).await.ok();
    found(any || usage.unfinished.is_some_and(|unfinished| unfinished.uploads > 0), &scope)?;
    if scope.is_bucket() {
        usage.deduplication = client.head_bucket(bucket).await?.deduplicated.map(Saving::from);
    }
    session.output.print(&usage)
}
