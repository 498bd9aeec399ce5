//! `undelete`: what was removed in a bucket with versions comes back, when the delete markers over it go.
//!
//! A page of versions at a time, as the list goes on: memory does not grow with the number of keys. Only markers over a version
//! are removed, never a version: a key that was written anew since stays as it is, and one of markers alone has nothing to bring
//! back. What is back when it is interrupted stays; running it again goes on.

use crate::cli::Undelete;
use crate::exit::{Exit, Failure};
use crate::report::Report;
use crate::scope::Scope;
use crate::session::Session;
use crate::text::{counted, printable, quote_sh};
use crate::transfer::show_first;
use client::{Client, VersionEntry};
use serde::Serialize;
use std::io::{self, Write};

/// Delete markers over one version; a key with more of them is left and told.
const MARKERS_MAX: usize = 1_000;
/// Failures that are kept for the report; more are counted.
const LISTED_MAX: usize = 100_000;

/// A marker that stayed.
#[derive(Debug, Serialize)]
struct Stayed {
    key: String,
    version_id: Option<String>,
    error: String,
}

/// What came back.
#[derive(Debug, Default, Serialize)]
struct Restored {
    dry_run: bool,
    #[serde(rename = "restored")]
    count: u64,
    failed_count: u64,
    /// The first hundred thousand.
    failed: Vec<Stayed>,
}

impl Restored {
    fn fail(&mut self, key: String, version_id: Option<String>, error: String) {
        self.failed_count += 1;
        if self.failed.len() < LISTED_MAX {
            self.failed.push(Stayed { key, version_id, error });
        }
    }
}

impl Report for Restored {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let failed = self.failed.iter().map(|failed| (&*failed.key, &*failed.error));
        show_first(out, "not brought back", failed, self.failed_count)?;
        let verb = if self.dry_run { "would bring back" } else { "brought back" };
        write!(out, "{verb} {}", counted(self.count, "object", "objects"))?;
        if self.failed_count > 0 {
            write!(out, ", {} failed", self.failed_count)?;
        }
        writeln!(out)
    }

    fn exit(&self) -> Exit {
        if self.failed_count == 0 { Exit::Ok } else { Exit::Partial }
    }
}

/// The newest versions of the key that the list is at.
#[derive(Debug, Default)]
struct Top {
    key: String,
    /// Its markers, as long as no version was seen below them.
    markers: Vec<String>,
    is_over: bool,
    has_too_many: bool,
}

impl Top {
    /// The next line of the list, newest first of each key; the markers that go, once a version below them is seen.
    fn next(&mut self, version: VersionEntry) -> Vec<(String, Option<String>)> {
        if version.object.key != self.key {
            *self = Self { key: version.object.key, ..Self::default() };
        }
        if self.is_over {
            return Vec::new();
        }
        if version.is_delete_marker {
            if self.markers.len() < MARKERS_MAX {
                self.markers.push(version.version_id);
            } else {
                self.has_too_many = true;
            }
            return Vec::new();
        }
        self.is_over = true;
        std::mem::take(&mut self.markers).into_iter().map(|id| (self.key.clone(), Some(id))).collect()
    }
}

pub(super) async fn run(session: &Session, args: &Undelete) -> anyhow::Result<Exit> {
    let client = session.client()?;
    let uri = &args.target;
    let scope = if args.recursive {
        Scope::of(uri, args.prefix)
    } else {
        uri.require_key()?;
        Scope::key(uri)
    };
    let mut restored = Restored { dry_run: args.dry_run, ..Restored::default() };
    let mut pages = scope.versions(&client, None);
    let mut top = Top::default();
    while let Some(page) = pages.next().await? {
        let mut going = Vec::new();
        for version in page.entries {
            let markers = top.next(version);
            if markers.is_empty() {
                continue;
            }
            if top.has_too_many {
                let error = format!("more than {MARKERS_MAX} delete markers lie over it");
                restored.fail(top.key.clone(), None, error);
                continue;
            }
            if args.dry_run {
                session.output.note(&format!("would bring back s3://{}/{}", uri.bucket, printable(&top.key)));
            }
            restored.count += 1;
            going.extend(markers);
        }
        if !args.dry_run {
            remove(&client, &uri.bucket, &going, &mut restored).await?;
        }
    }
    if !pages.found() && !scope.is_bucket() {
        return Err(scope.nothing().into());
    }
    if restored.count == 0 && restored.failed_count == 0 && !args.recursive {
        let text = format!("bring {uri} back: no delete marker lies over a version of it");
        let hint = format!("see which there are: firn ls --versions {}", quote_sh(&uri.to_string()));
        return Err(Failure::new(Exit::NotFound, text).hint(hint).into());
    }
    session.output.print(&restored)
}

async fn remove(
    client: &Client,
    bucket: &str,
    markers: &[(String, Option<String>)],
    restored: &mut Restored,
) -> anyhow::Result<()> {
    for chunk in markers.chunks(client::DELETE_MANY_MAX) {
        let mut last = None;
        for failure in client.delete_objects(bucket, chunk).await? {
            // A key with several of them is one that did not come back.
            let is_another = u64::from(last.as_ref() != Some(&failure.key));
            restored.count = restored.count.saturating_sub(is_another);
            last = Some(failure.key.clone());
            let error = format!("{} ({})", failure.message, failure.code);
            restored.fail(failure.key, failure.version_id, error);
        }
    }
    Ok(())
}
