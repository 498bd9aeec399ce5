//! A backup target on any S3 endpoint, another firn included.

use bytes::Bytes;
use client::{Client, ErrorKind, List, ObjectRef, OpenUpload, PutOptions, UploadEntry};
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
        let put = self.put_parts(&upload, first, &mut source, file, &options).await;
        if put.is_err() {
            // What the endpoint keeps of a failed upload costs money there; the failure itself is what counts.
            if let Err(error) = self.client.abort_upload(&upload).await {
                tracing::warn!(%error, key, "can't abort a failed upload to the backup target");
            }
        }
        put
    }

    async fn put_parts(
        &self,
        upload: &OpenUpload,
        first: Bytes,
        source: &mut tokio::fs::File,
        file: &Path,
        options: &PutOptions,
    ) -> Result<()> {
        let (mut parts, mut body) = (Vec::new(), first);
        while !body.is_empty() {
            let number = u32::try_from(parts.len() + 1)
                .map_err(|_| invalid("upload a backup file: too large".into()))?;
            let part = self.client.upload_part(upload, number, body).await;
            parts.push(part.map_err(|error| self.failed(&error))?);
            body = read_part(source).await.map_err(|error| Error::io("read", file, error))?;
        }
        let completed = self.client.complete_upload(upload, &parts, options).await;
        completed.map(drop).map_err(|error| self.failed(&error))
    }

    /// Aborts the uploads that never ended, page by page.
    async fn abort_uploads(&self, prefix: &str) -> Result<()> {
        let prefix = format!("{}{prefix}", self.prefix);
        let mut after = None;
        loop {
            let page = self.client.uploads_after(&self.bucket, &prefix, after.as_ref()).await;
            let (uploads, next) = page.map_err(|error| self.failed(&error))?;
            for UploadEntry { key, upload_id, .. } in uploads {
                let upload = OpenUpload { bucket: self.bucket.clone(), key, upload_id, with_crc64: false };
                match self.client.abort_upload(&upload).await {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(self.failed(&error)),
                    _gone => {}
                }
            }
            match next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
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

    fn tidy<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.abort_uploads(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::{PART_BYTES, S3Target};
    use client::{Client, Credentials, Endpoint, Settings};
    use engine::backup::Target;
    use engine::clock::SystemClock;
    use engine::entropy::SeededEntropy;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    const CREATED: &str =
        "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>";

    /// A target at an endpoint that answers one request per connection as it is told, and the first lines of the requests.
    async fn scripted(answers: Vec<(&'static str, String)>) -> (S3Target, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let served = tokio::spawn(async move {
            let mut lines = Vec::new();
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (mut request, mut whole) = (Vec::new(), usize::MAX);
                while request.len() < whole {
                    assert!(stream.read_buf(&mut request).await.unwrap() > 0, "the request ended early");
                    if let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
                        let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
                        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                        whole = end + 4 + length.map_or(0, |length| length.parse::<usize>().unwrap());
                    }
                }
                let headers = "connection: close\r\nx-amz-request-id: R\r\netag: \"e\"";
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).await.unwrap();
                lines.push(String::from_utf8_lossy(&request).lines().next().unwrap().to_owned());
            }
            lines
        });
        let credentials = Credentials {
            access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
            session_token: None,
        };
        let mut settings = Settings::new(endpoint, "us-east-1", Some(credentials));
        settings.retries.attempts_max = 1;
        let client = Client::new(settings, Arc::new(SystemClock), Arc::new(SeededEntropy::new(1))).unwrap();
        (S3Target::new(client, "bucket".to_owned(), "drill"), served)
    }

    fn refused() -> (&'static str, String) {
        ("403 Forbidden", "<Error><Code>AccessDenied</Code><Message>no</Message></Error>".to_owned())
    }

    #[tokio::test]
    async fn an_upload_that_fails_anywhere_is_aborted() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, vec![1; PART_BYTES + 1]).unwrap();
        let (created, part) = (("200 OK", CREATED.to_owned()), ("200 OK", String::new()));
        for answers in [
            vec![created.clone(), refused()],
            vec![created.clone(), part.clone(), refused()],
            vec![created, part.clone(), part, refused()],
        ] {
            let count = answers.len();
            let (target, served) =
                scripted([answers, vec![("204 No Content", String::new())]].concat()).await;
            target.put("file/a.age", &file).await.unwrap_err();
            let lines = served.await.unwrap();
            let last = lines.last().unwrap();
            assert!(last.starts_with("DELETE /bucket/drill/file/a.age?uploadId=u1 "), "{count}: {lines:?}");
        }
    }

    #[tokio::test]
    async fn uploads_that_never_ended_are_aborted_and_those_of_others_left_alone() {
        let entry =
            |key: &str, id: &str| format!("<Upload><Key>{key}</Key><UploadId>{id}</UploadId></Upload>");
        let page = |entries: &str, more: &str| {
            format!("<ListMultipartUploadsResult>{entries}{more}</ListMultipartUploadsResult>")
        };
        let next = "<IsTruncated>true</IsTruncated><NextKeyMarker>drill/l/b</NextKeyMarker><NextUploadIdMarker>u2</NextUploadIdMarker>";
        let gone = "<Error><Code>NoSuchUpload</Code><Message>gone</Message></Error>".to_owned();
        let (target, served) = scripted(vec![
            ("200 OK", page(&(entry("drill/l/a", "u1") + &entry("drill/l/b", "u2")), next)),
            ("204 No Content", String::new()),
            ("404 Not Found", gone),
            ("200 OK", page(&entry("drill/l/c", "u3"), "<IsTruncated>false</IsTruncated>")),
            ("204 No Content", String::new()),
        ])
        .await;
        target.tidy("l/").await.unwrap();
        let lines = served.await.unwrap();
        assert!(lines[0].contains("prefix=drill%2Fl%2F"), "{lines:?}");
        for (line, expected) in [(1, "a?uploadId=u1"), (2, "b?uploadId=u2"), (4, "c?uploadId=u3")] {
            assert!(lines[line].starts_with(&format!("DELETE /bucket/drill/l/{expected} ")), "{lines:?}");
        }
    }
}
