//! A prefix of a bucket as the engine's `Remote`, through `object_store`.
//!
//! # Limits
//! A request is tried three times within half a minute; who calls decides what comes after.

use super::connector::Connector;
use crate::config::RemoteConfig;
use crate::exit::Failure;
use bytes::Bytes;
use client::{Settings, Wire};
use engine::clock::{Clock, Timestamp};
use engine::remote::{Listed, Remote};
use engine::unit::ByteCount;
use engine::{BoxFuture, Error, Result};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, RetryConfig,
};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// How often a request that is not answered is sent again.
const RETRIES: usize = 2;
const RETRY_WITHIN: Duration = Duration::from_secs(30);
/// Characters of an error's text.
const REASON_MAX: usize = 1000;
/// Pages of one list that bring nothing before it is given up.
const EMPTY_PAGES_MAX: usize = 100;

/// The bucket and prefix.
pub(super) struct Bucket {
    store: AmazonS3,
    connector: Connector,
    /// With a slash at its end, or empty.
    prefix: String,
    /// For people: `s3://bucket/prefix at http://host`.
    place: String,
    /// What no text may show, though the store sends it back.
    secrets: Vec<String>,
}

impl Bucket {
    pub(super) fn new(
        settings: &Settings,
        config: &RemoteConfig,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let connector = Connector::new(Wire::new(settings, clock)?);
        let endpoint = settings.endpoint.to_string();
        let mut builder = AmazonS3Builder::new()
            .with_endpoint(endpoint.clone())
            .with_allow_http(true)
            .with_virtual_hosted_style_request(false)
            .with_region(settings.region.clone())
            .with_bucket_name(config.bucket.clone())
            .with_http_connector(connector.clone())
            // One name at a time anyhow: a plain DELETE is what every store has.
            .with_disable_bulk_delete(true)
            .with_retry(RetryConfig {
                backoff: BackoffConfig::default(),
                max_retries: RETRIES,
                retry_timeout: RETRY_WITHIN,
            });
        if let Some(credentials) = &settings.credentials {
            builder = builder
                .with_access_key_id(credentials.access_key_id.clone())
                .with_secret_access_key(credentials.secret_access_key.clone());
            if let Some(token) = &credentials.session_token {
                builder = builder.with_token(token.clone());
            }
        }
        let refused = |error| Failure::usage(format!("use zone {}: {}", config.name, chain(&error)));
        let store = builder.build().map_err(refused)?;
        let prefix = if config.prefix.is_empty() { String::new() } else { format!("{}/", config.prefix) };
        let place = format!("s3://{}/{} at {endpoint}", config.bucket, config.prefix);
        let secrets = settings.credentials.as_ref().map_or_else(Vec::new, |credentials| {
            let token = credentials.session_token.clone();
            token.into_iter().chain([credentials.secret_access_key.clone()]).collect()
        });
        Ok(Self { store, connector, prefix, place, secrets })
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// What failed last was refused, rather than not answered.
    pub(super) fn was_refused(&self) -> bool {
        self.connector.was_refused()
    }

    fn path(&self, name: &str) -> Result<Path> {
        let path = Path::parse(format!("{}{name}", self.prefix));
        path.map_err(|error| Error::Invalid(format!("use the name {name:?} in a remote pool: {error}")))
    }

    /// An error of the store; what is not there is `missing`, or else the bucket itself. What it says of that is believed: without its
    /// bucket no object is damaged.
    fn failed(&self, op: &'static str, missing: Option<&str>, error: &object_store::Error) -> Error {
        match (error, missing) {
            (object_store::Error::NotFound { .. }, Some(name)) if !chain(error).contains("NoSuchBucket") => {
                Error::NotFound { what: "remote object", id: format!("{name} in {}", self.place) }
            }
            (object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }, _) => {
                Error::Conflict { check: 0 }
            }
            _ => Error::Remote { op, place: self.place.clone(), reason: self.reason(error) },
        }
    }

    /// Why, on one line of bounded length. A part of it is what the store sent, which may be what it was sent: S3 answers a wrong
    /// signature with the headers that it signed, a session's token among them.
    fn reason(&self, error: &object_store::Error) -> String {
        let shown = self.secrets.iter().filter(|secret| !secret.is_empty());
        line(&shown.fold(chain(error), |text, secret| text.replace(secret.as_str(), "…")))
    }

    /// Writes over what is there: for the mark alone.
    pub(super) async fn replace(&self, name: &str, body: Bytes) -> Result<()> {
        let put = self.store.put(&self.path(name)?, PutPayload::from_bytes(body)).await;
        put.map(drop).map_err(|error| self.failed("write to", None, &error))
    }
}

/// An error with its causes, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

/// The beginning of a text, on one line.
fn line(text: &str) -> String {
    let mut line: String =
        text.chars().take(REASON_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(REASON_MAX).is_some() {
        line.push('…');
    }
    line
}

/// The store refuses the range.
fn is_range(error: &object_store::Error) -> bool {
    let text = chain(error);
    text.contains("416") || text.contains("InvalidRange")
}

impl Remote for Bucket {
    fn put<'a>(&'a self, name: &'a str, body: Vec<Bytes>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            let put = self.store.put_opts(&self.path(name)?, PutPayload::from_iter(body), options).await;
            put.map(drop).map_err(|error| self.failed("write to", None, &error))
        })
    }

    fn begin<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            let begun = self.store.create_multipart(&self.path(name)?).await;
            begun.map_err(|error| self.failed("write to", None, &error))
        })
    }

    fn part<'a>(
        &'a self,
        name: &'a str,
        upload: &'a str,
        index: usize,
        body: Vec<Bytes>,
    ) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            let body = PutPayload::from_iter(body);
            let sent = self.store.put_part(&self.path(name)?, &upload.to_owned(), index, body).await;
            sent.map(|part| part.content_id).map_err(|error| self.failed("write to", None, &error))
        })
    }

    fn complete<'a>(
        &'a self,
        name: &'a str,
        upload: &'a str,
        parts: Vec<String>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let parts = parts.into_iter().map(|content_id| PartId { content_id }).collect();
            let made = self.store.complete_multipart(&self.path(name)?, &upload.to_owned(), parts).await;
            made.map(drop).map_err(|error| self.failed("write to", None, &error))
        })
    }

    fn abort<'a>(&'a self, name: &'a str, upload: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let aborted = self.store.abort_multipart(&self.path(name)?, &upload.to_owned()).await;
            match aborted.map_err(|error| self.failed("delete from", Some(name), &error)) {
                Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(error),
            }
        })
    }

    fn get<'a>(&'a self, name: &'a str, range: Range<u64>) -> BoxFuture<'a, Result<Bytes>> {
        Box::pin(async move {
            let path = self.path(name)?;
            let missing = |error| self.failed("read", Some(name), &error);
            match self.store.get_range(&path, range.clone()).await {
                Ok(bytes) => Ok(bytes),
                Err(error @ object_store::Error::NotFound { .. }) => Err(missing(error)),
                Err(error) if !is_range(&error) => Err(missing(error)),
                // It ends or begins behind the object's end: its size says whether it was that.
                Err(error) => match self.store.head(&path).await {
                    Ok(head) if head.size <= range.start => Ok(Bytes::new()),
                    Ok(head) if head.size < range.end => {
                        self.store.get_range(&path, range.start..head.size).await.map_err(missing)
                    }
                    _ => Err(missing(error)),
                },
            }
        })
    }

    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let deleted = self.store.delete(&self.path(name)?).await;
            match deleted.map_err(|error| self.failed("delete from", Some(name), &error)) {
                Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(error),
            }
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Listed>>> {
        Box::pin(async move {
            let below = format!("{}{prefix}", self.prefix);
            let below = (!below.is_empty()).then_some(below.as_str());
            let (mut listed, mut empty, mut page_token) = (Vec::new(), 0, None);
            // A page may be shorter than it was asked to be, and one of folders' marks alone is empty.
            loop {
                let options = PaginatedListOptions {
                    offset: (!after.is_empty()).then(|| format!("{}{after}", self.prefix)),
                    max_keys: Some(limit - listed.len()),
                    page_token,
                    ..PaginatedListOptions::default()
                };
                let page = self.store.list_paginated(below, options).await;
                let page = page.map_err(|error| self.failed("list", None, &error))?;
                let before = listed.len();
                listed.extend(page.result.objects.into_iter().filter_map(|object| {
                    let name = object.location.as_ref().strip_prefix(&self.prefix)?.to_owned();
                    let modified = Timestamp::from_millis(object.last_modified.timestamp_millis());
                    Some(Listed { name, bytes: ByteCount::new(object.size), modified })
                }));
                empty += usize::from(listed.len() == before);
                page_token = page.page_token;
                if page_token.is_none() || listed.len() >= limit {
                    listed.truncate(limit);
                    return Ok(listed);
                }
                if empty > EMPTY_PAGES_MAX {
                    let reason = "its list does not end".to_owned();
                    return Err(Error::Remote { op: "list", place: self.place.clone(), reason });
                }
            }
        })
    }
}
