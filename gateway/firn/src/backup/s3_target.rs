//! A backup target on any S3 endpoint, another firn included.

use bytes::Bytes;
use client::{Client, ErrorKind, List, ObjectRef, PutOptions};
use engine::backup::Target;
use engine::{BoxFuture, Error, Result};
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Files up to this size go in one request; larger ones in parts of it. 10,000 parts of it are 160 GB, far more than one
/// file of a catalog.
const PART_BYTES: usize = 16 << 20;

/// A bucket and prefix.
pub(crate) struct S3Target {
    client: Client,
    bucket: String,
    prefix: String,
}

impl S3Target {
    /// Files below `prefix` (without slashes at its ends; empty for the whole bucket) of an existing bucket.
    pub(crate) fn new(client: Client, bucket: String, prefix: &str) -> Self {
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Self { client, bucket, prefix }
    }

    fn key(&self, name: &str) -> Result<String> {
        let plain = !name.is_empty() && name.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if plain {
            Ok(format!("{}{name}", self.prefix))
        } else {
            Err(invalid(format!("use backup file name {name:?}")))
        }
    }

    fn failed(&self, error: &client::Error) -> Error {
        let text = format!("reach the backup target {}: {error}", self.describe());
        match error.kind() {
            ErrorKind::Integrity => Error::Corrupt { what: self.describe(), detail: error.to_string() },
            ErrorKind::Unavailable => {
                Error::Io { op: "reach", path: self.describe().into(), source: std::io::Error::other(text) }
            }
            _ => invalid(text),
        }
    }

    async fn put_file(&self, key: &str, file: &Path) -> Result<()> {
        let io = |error| Error::io("read", file, error);
        let mut source = tokio::fs::File::open(file).await.map_err(io)?;
        let first = read_part(&mut source).await.map_err(io)?;
        if first.len() < PART_BYTES {
            let put = self.client.put_object(&self.bucket, key, first, &PutOptions::default()).await;
            return put.map(drop).map_err(|error| self.failed(&error));
        }
        let options = PutOptions::default();
        let upload =
            self.client.create_upload(&self.bucket, key, &options).await.map_err(|e| self.failed(&e))?;
        let mut parts = Vec::new();
        let mut body = first;
        while !body.is_empty() {
            let number = u32::try_from(parts.len() + 1)
                .map_err(|_| invalid("upload a backup file: too large".into()))?;
            match self.client.upload_part(&upload, number, body).await {
                Ok(part) => parts.push(part),
                Err(error) => {
                    // What the endpoint keeps of a failed upload costs money there; the failure itself is what counts.
                    if let Err(error) = self.client.abort_upload(&upload).await {
                        tracing::warn!(%error, key, "can't abort a failed upload to the backup target");
                    }
                    return Err(self.failed(&error));
                }
            }
            body = read_part(&mut source).await.map_err(io)?;
        }
        self.client
            .complete_upload(&upload, &parts, &options)
            .await
            .map(drop)
            .map_err(|error| self.failed(&error))
    }

    async fn get_file(&self, key: &str, to: &Path) -> Result<()> {
        let object = ObjectRef::latest(&self.bucket, key);
        let mut download = match self.client.get_object(&object, None, None).await {
            Ok(download) => download,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Error::NotFound { what: "backup file", id: object.to_string() });
            }
            Err(error) => return Err(self.failed(&error)),
        };
        let io = |error| Error::io("write", to, error);
        let mut output = tokio::fs::File::create(to).await.map_err(io)?;
        while let Some(bytes) = download.next().await.map_err(|error| self.failed(&error))? {
            output.write_all(&bytes).await.map_err(io)?;
        }
        // Its writes run behind; an error of the last ones is told here.
        output.flush().await.map_err(io)
    }

    async fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let prefix = format!("{}{prefix}", self.prefix);
        let mut pages =
            self.client.objects(List { bucket: &self.bucket, prefix: &prefix, ..List::default() });
        let mut names = Vec::new();
        while let Some(page) = pages.next().await.map_err(|error| self.failed(&error))? {
            let below = page.entries.iter().filter_map(|object| object.key.strip_prefix(&self.prefix));
            names.extend(below.map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }
}

fn invalid(text: String) -> Error {
    Error::Invalid(text)
}

async fn read_part(source: &mut tokio::fs::File) -> std::io::Result<Bytes> {
    let mut part = Vec::new();
    source.take(PART_BYTES as u64).read_to_end(&mut part).await?;
    Ok(part.into())
}

impl Target for S3Target {
    fn describe(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix)
    }

    fn put<'a>(&'a self, name: &'a str, file: &'a Path) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.put_file(&self.key(name)?, file).await })
    }

    fn get<'a>(&'a self, name: &'a str, to: &'a Path) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.get_file(&self.key(name)?, to).await })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<String>>> {
        Box::pin(self.names(prefix))
    }

    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let key = self.key(name)?;
            let deleted = self.client.delete_object(&ObjectRef::latest(&self.bucket, &key), None).await;
            deleted.map(drop).map_err(|error| self.failed(&error))
        })
    }
}
