//! A body that goes on where a broken connection left off, and is verified at its end.
//!
//! After a break the rest is asked for by range and `If-Match`, so that the bytes are all of one version or the download
//! fails with a conflict; without an ETag there is no going on. At the end of a whole object each checksum that the endpoint gives of it
//! is compared, or, where it gives none, its MD5 with an ETag that has that form. A checksum that differs is an error; an ETag that
//! differs may be the endpoint's own. [`Download::verified`] says whether anything proved the bytes.

use crate::Client;
use crate::call::{Call, header_text};
use crate::checksum::{Expected, RunningMd5, is_md5_etag};
use crate::error::{Error, Result, Trouble};
use crate::list::quote;
use crate::object::{ObjectHead, ObjectRef, object_head};
use crate::retry::Tries;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use hyper::body::Incoming;
use std::ops::Range;

const OPERATION: &str = "GetObject";

/// A download under way.
#[derive(Debug)]
pub struct Download {
    client: Client,
    bucket: String,
    key: String,
    version: Option<String>,
    head: ObjectHead,
    /// The next byte to come, and the end.
    position: u64,
    end: u64,
    body: Option<Incoming>,
    tries: Tries,
    check: Check,
    verified: bool,
}

#[derive(Debug)]
enum Check {
    Sums(Expected),
    Md5(Box<RunningMd5>),
    Nothing,
}

impl Client {
    /// Opens an object for reading. `range` is in bytes and may reach past the end; `if_match` pins an ETag.
    pub async fn get_object(
        &self,
        object: &ObjectRef<'_>,
        range: Option<Range<u64>>,
        if_match: Option<&str>,
    ) -> Result<Download> {
        let answer = self.send(&get_call(object, range.clone(), if_match)?).await?;
        let (parts, body) = answer.into_parts();
        self.prove_endpoint(Some(object.bucket), &parts.headers).await?;
        let (start, end, size) = extent(parts.status, &parts.headers)?;
        if range.is_some_and(|range| range.start != start) {
            return Err(protocol("it is another range than was asked for"));
        }
        let head = object_head(OPERATION, &parts.headers, Some(size))?;
        let whole = start == 0 && end == size;
        let check = match head.expected() {
            expected if whole && !expected.is_empty() => Check::Sums(expected),
            _ if whole && head.etag_may_be_md5 && is_md5_etag(&head.etag) => Check::Md5(Box::default()),
            _ => Check::Nothing,
        };
        Ok(Download {
            client: self.clone(),
            bucket: object.bucket.to_owned(),
            key: object.key.to_owned(),
            version: object.version.map(str::to_owned),
            head,
            position: start,
            end,
            body: Some(body),
            tries: self.tries(),
            verified: !matches!(check, Check::Nothing),
            check,
        })
    }
}

impl Download {
    /// What the answer says about the object.
    pub const fn head(&self) -> &ObjectHead {
        &self.head
    }

    /// Bytes still to come.
    pub const fn remaining(&self) -> u64 {
        self.end - self.position
    }

    /// At the end: whether something that the endpoint gave proves the bytes.
    pub const fn verified(&self) -> bool {
        self.verified
    }

    /// The next piece; `None` at the end, and only if everything came and matches.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if self.position == self.end {
                self.finish()?;
                return Ok(None);
            }
            // Opening anew makes the attempts of a call by itself: only failures of the body are counted here.
            if self.body.is_none() {
                self.reopen().await?;
            }
            match self.read().await {
                Ok(data) => {
                    if self.tries.failed > 0 {
                        self.tries = self.client.tries();
                    }
                    self.position += data.len() as u64;
                    if self.position > self.end {
                        return Err(protocol("it is longer than it says"));
                    }
                    match &mut self.check {
                        Check::Sums(sums) => sums.update(&data),
                        Check::Md5(md5) => md5.update(&data),
                        Check::Nothing => {}
                    }
                    return Ok(Some(data));
                }
                // What has no ETag may be another object by now.
                Err(error) if self.head.etag.is_empty() => return Err(error),
                Err(error) => {
                    self.body = None;
                    self.client.back_off(OPERATION, &mut self.tries, error).await?;
                }
            }
        }
    }

    /// Asks for the rest.
    async fn reopen(&mut self) -> Result<()> {
        let object = ObjectRef { bucket: &self.bucket, key: &self.key, version: self.version.as_deref() };
        let pin = Some(self.head.etag.as_str()).filter(|etag| !etag.is_empty());
        let answer = self.client.send(&get_call(&object, Some(self.position..self.end), pin)?).await?;
        let (parts, body) = answer.into_parts();
        let (start, end, size) = extent(parts.status, &parts.headers)?;
        if (start, end, size) != (self.position, self.end, self.head.size) {
            return Err(protocol("the rest is another range than was asked for"));
        }
        self.body = Some(body);
        Ok(())
    }

    async fn read(&mut self) -> Result<Bytes> {
        let Some(body) = self.body.as_mut() else { return Err(protocol("it has no body")) };
        match self.client.transport().next_data(OPERATION, body).await? {
            Some(data) => Ok(data),
            None => Err(Error::Transport {
                operation: OPERATION,
                endpoint: self.client.endpoint().to_string(),
                trouble: Trouble::Broken,
                detail: format!("the body ended {} bytes early", self.remaining()),
            }),
        }
    }

    fn finish(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.check, Check::Nothing) {
            Check::Sums(sums) => sums.finish().map_err(|detail| Error::Integrity {
                what: format!("s3://{}/{}", self.bucket, self.key),
                detail,
            }),
            Check::Md5(md5) => {
                self.verified = md5.etag().eq_ignore_ascii_case(&self.head.etag);
                Ok(())
            }
            Check::Nothing => Ok(()),
        }
    }
}

fn get_call<'a>(
    object: &ObjectRef<'a>,
    range: Option<Range<u64>>,
    if_match: Option<&str>,
) -> Result<Call<'a>> {
    let mut call = Call::new(OPERATION, Method::GET)
        .key(object.bucket, object.key)
        .query_some("versionId", object.version)
        .header("x-amz-checksum-mode", "ENABLED")?;
    if let Some(range) = range {
        call = call.header("range", &format!("bytes={}-{}", range.start, range.end.saturating_sub(1)))?;
    }
    match if_match {
        Some(etag) => call.header("if-match", &quote(etag)),
        None => Ok(call),
    }
}

fn protocol(detail: &str) -> Error {
    Error::Protocol { operation: OPERATION, detail: detail.to_owned() }
}

/// Which bytes an answer carries, and the size of the whole.
fn extent(status: StatusCode, headers: &HeaderMap) -> Result<(u64, u64, u64)> {
    if status != StatusCode::PARTIAL_CONTENT {
        let length = header_text(headers, "content-length").and_then(|text| text.parse().ok());
        let length = length.ok_or_else(|| protocol("it lacks a length"))?;
        return Ok((0, length, length));
    }
    let text = header_text(headers, "content-range").unwrap_or_default();
    parse_content_range(text).ok_or_else(|| protocol("its Content-Range is not one"))
}

fn parse_content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, last) = range.split_once('-')?;
    let (start, last, size): (u64, u64, u64) = (start.parse().ok()?, last.parse().ok()?, size.parse().ok()?);
    (start <= last && last < size).then_some((start, last + 1, size))
}

#[cfg(test)]
mod tests {
    use super::parse_content_range;

    #[test]
    fn content_ranges_are_taken_apart_or_refused() {
        assert_eq!(parse_content_range("bytes 2-4/10"), Some((2, 5, 10)));
        for bad in ["", "bytes */10", "bytes 4-2/10", "bytes 0-10/10", "bytes 0-1/*", "0-1/2"] {
            assert_eq!(parse_content_range(bad), None, "{bad}");
        }
    }
}
