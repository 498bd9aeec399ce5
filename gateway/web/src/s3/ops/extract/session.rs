//! Takes an archive apart, entry by entry, as its body comes.

use super::entry::{describe, own_headers};
use super::landing::{Landing, RoomForLarge};
use super::report::{self, Line, Report};
use super::{Common, ENTRIES_MAX, SMALL, Wish};
use crate::ingest::{Entry, Event, Inflate, Kind, Scanner, key_of};
use crate::s3::Call;
use crate::s3::access::{self, Asking};
use crate::s3::body::RequestBody;
use crate::s3::code::Code;
use crate::s3::error::S3Error;
use crate::s3::operation::Operation;
use aws_lc_rs::digest;
use bytes::{Bytes, BytesMut};
use engine::unit::ByteCount;
use http::{HeaderMap, request};
use objectstore::{Ingest, IngestEntry, ObjectKey, SealedObject, Upload};
use security::Action;
use std::collections::HashSet;
use std::sync::Arc;
use tokio::task::JoinError;

/// An archive on its way in.
pub(super) struct Session<'c> {
    call: &'c Call,
    wish: &'c Wish,
    common: Common,
    ingest: Ingest,
    inflate: Inflate,
    scanner: Scanner,
    current: Current,
    /// Bodies on their way to the disk.
    landing: Landing<objectstore::Result<SealedObject>>,
    /// Half of the SHA-256 of each key so far.
    seen: HashSet<[u8; 16]>,
    report: Report,
}

/// The entry under way.
enum Current {
    /// It becomes no object.
    Nothing,
    /// Small: gathered, and written beside others.
    Small(Box<Upload>, BytesMut),
    /// Written as it comes.
    Large(Box<Upload>, RoomForLarge),
}

/// What an entry comes to.
enum Verdict {
    Object(Box<Upload>),
    /// Nothing, and nothing to say of it.
    Ignored,
    Skipped(&'static str),
}

impl<'c> Session<'c> {
    pub(super) fn new(
        call: &'c Call,
        wish: &'c Wish,
        common: Common,
        ingest: Ingest,
        report: Report,
    ) -> Self {
        Self {
            call,
            wish,
            common,
            ingest,
            inflate: Inflate::new(),
            scanner: Scanner::new(),
            current: Current::Nothing,
            landing: Landing::default(),
            seen: HashSet::new(),
            report,
        }
    }

    pub(super) fn into_parts(self) -> (Ingest, Report) {
        (self.ingest, self.report)
    }

    /// All of it; then every entry is staged. Who may not write the report is refused before the body is read.
    pub(super) async fn take(&mut self, body: &mut RequestBody) -> Result<(), S3Error> {
        if let Some(key) = &self.report.key {
            self.admit(key.as_str(), &report::head(&self.call.head), &self.common.besides).await?;
        }
        while let Some(bytes) = body.next().await? {
            self.ingest.archive(bytes.clone()).await?;
            self.inflate.push(bytes);
            self.drain().await?;
        }
        self.inflate.end().map_err(|what| packing(&what))?;
        self.drain().await?;
        let last = self.inflate.close().map_err(|what| packing(&what))?;
        self.scan(last).await?;
        self.scanner.finish().map_err(|error| unreadable(&error))?;
        self.report.packing = self.inflate.name();
        self.report.has_end = self.scanner.has_end();
        if self.wish.require_end && !self.report.has_end {
            return Err(unreadable(&"find the archive's end mark: it may have been cut off behind an entry"));
        }
        while let Some(landed) = self.landing.next().await {
            self.stage(landed).await?;
        }
        Ok(())
    }

    async fn drain(&mut self) -> Result<(), S3Error> {
        while let Some(piece) = self.inflate.piece().map_err(|what| packing(&what))? {
            self.scan(piece).await?;
            // Few bytes may unpack to many: others have their turn.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn scan(&mut self, piece: Bytes) -> Result<(), S3Error> {
        self.scanner.push(piece);
        loop {
            match self.scanner.event().map_err(|error| unreadable(&error))? {
                Event::NeedMore => return Ok(()),
                Event::Entry(entry) => self.begin(&entry).await?,
                Event::Data(bytes) => match &mut self.current {
                    Current::Nothing => {}
                    Current::Small(_, body) => body.extend_from_slice(&bytes),
                    Current::Large(upload, _) => upload.write(bytes).await?,
                },
                Event::EntryEnd => self.end().await?,
            }
        }
    }

    async fn begin(&mut self, entry: &Entry) -> Result<(), S3Error> {
        if entry.number > ENTRIES_MAX {
            let message = format!("An archive has at most {ENTRIES_MAX} entries: send it as several.");
            return Err(S3Error::with(Code::InvalidRequest, message));
        }
        self.current = Current::Nothing;
        let line = |refused, reason| {
            let name = String::from_utf8_lossy(&entry.name).into_owned();
            Line { entry: Some(entry.number), name, refused, reason }
        };
        match self.judge(entry).await {
            Ok(Verdict::Object(upload)) if entry.size <= SMALL => {
                let room = usize::try_from(entry.size).unwrap_or_default();
                self.current = Current::Small(upload, BytesMut::with_capacity(room));
            }
            Ok(Verdict::Object(upload)) => {
                let room = loop {
                    match self.landing.room_for_large().await {
                        Ok(room) => break room,
                        Err(landed) => self.stage(landed).await?,
                    }
                };
                self.current = Current::Large(upload, room);
            }
            Ok(Verdict::Ignored) => {}
            Ok(Verdict::Skipped(reason)) => self.report.add(line(None, reason.to_owned())),
            Err(error) if self.wish.ignore_errors && error.status().is_client_error() => {
                let reason = error.message().to_owned();
                self.report.add(line(Some(error.code()), reason));
            }
            Err(error) => {
                let name = String::from_utf8_lossy(&entry.name);
                return Err(error.about_entry(&name, "Nothing of the archive was stored."));
            }
        }
        Ok(())
    }

    /// What an entry comes to; the error is its own.
    async fn judge(&mut self, entry: &Entry) -> Result<Verdict, S3Error> {
        let directory = match entry.kind {
            Kind::File => false,
            Kind::Directory if self.wish.ignore_directories => return Ok(Verdict::Ignored),
            Kind::Directory => true,
            Kind::Skipped(reason) => return Ok(Verdict::Skipped(reason)),
            Kind::Refused(reason) => return Err(S3Error::with(Code::InvalidRequest, reason)),
        };
        let key = key_of(&entry.name, &self.wish.prefix, directory).map_err(|bad| {
            let code =
                if bad.code == "KeyTooLongError" { Code::KeyTooLongError } else { Code::InvalidArgument };
            S3Error::with(code, bad.reason)
        })?;
        let Some(key) = key else { return Ok(Verdict::Ignored) };
        if self.report.key.as_ref().is_some_and(|report| report.as_str() == key) {
            let reason =
                "the archive's report gets this name: ask for none (x-amz-meta-firn-ingest-report: never)";
            return Err(S3Error::with(Code::InvalidRequest, reason));
        }
        let hash = digest::digest(&digest::SHA256, key.as_bytes());
        let half = hash.as_ref().first_chunk().copied().unwrap_or_default();
        if !self.seen.insert(half) {
            // A directory that is named again is the same one.
            return if directory {
                Ok(Verdict::Ignored)
            } else {
                Err(S3Error::with(Code::InvalidRequest, "its name was there before"))
            };
        }
        let own = own_headers(entry)?;
        self.admit(&key, &with(&self.call.head, &own), &self.common.besides).await?;
        let (metadata, class) = describe(entry, &own, &self.common)?;
        let length = ByteCount::new(entry.size);
        let entry = IngestEntry { key: ObjectKey::parse(&key)?, length, metadata, class };
        Ok(Verdict::Object(Box::new(self.ingest.entry(entry).await?)))
    }

    /// Asks of a key what `PutObject` of it asks, with this head.
    async fn admit(&self, key: &str, head: &Arc<request::Parts>, besides: &[Action]) -> Result<(), S3Error> {
        let mut target = self.call.target.clone();
        target.key = Some(key.to_owned());
        // An archive may come for hours: whoever sends it is asked as they are by now.
        let principal = match self.call.asker.principal.renewed().await {
            Ok(principal) => principal.ok_or_else(|| S3Error::new(Code::AccessDenied))?,
            Err(error) => {
                tracing::error!(%error, "failed to read who sends an archive");
                return Err(S3Error::new(Code::ServiceUnavailable));
            }
        };
        let asking = Asking {
            principal,
            operation: Operation::PutObject,
            target: &mut target,
            query: &self.call.query,
            head,
            signed: self.call.signed,
            peer: self.call.peer,
            part_of: Some(Arc::clone(self.call.asker.request())),
        };
        self.call.asker.request().earn();
        // A policy may make each answer dear: others have their turn between two.
        tokio::task::yield_now().await;
        let asker = access::admit(&self.call.state, asking).await?;
        for action in besides {
            tokio::task::yield_now().await;
            asker.require(&self.call.state, &target.bucket()?, (key, *action)).await?;
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<(), S3Error> {
        match std::mem::replace(&mut self.current, Current::Nothing) {
            Current::Nothing => return Ok(()),
            Current::Small(mut upload, body) => {
                self.landing.spawn_small(async move {
                    upload.write(body.freeze()).await?;
                    upload.seal().await
                });
            }
            Current::Large(upload, room) => {
                self.landing.spawn_large(room, async move { upload.seal().await });
            }
        }
        while let Some(landed) = self.landing.landed() {
            self.stage(landed).await?;
        }
        while let Some(landed) = self.landing.room_for_small().await {
            self.stage(landed).await?;
        }
        Ok(())
    }

    async fn stage(
        &mut self,
        landed: Result<objectstore::Result<SealedObject>, JoinError>,
    ) -> Result<(), S3Error> {
        let object = landed.map_err(|_| S3Error::new(Code::InternalError))??;
        self.report.objects += 1;
        self.report.bytes += object.size().get();
        Ok(self.ingest.stage(object).await?)
    }
}

/// The request's head, but for what an entry says of itself.
fn with(head: &Arc<request::Parts>, own: &HeaderMap) -> Arc<request::Parts> {
    if own.is_empty() {
        return Arc::clone(head);
    }
    let mut head = request::Parts::clone(head);
    for name in own.keys() {
        head.headers.remove(name);
    }
    head.headers.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
    Arc::new(head)
}

fn unreadable(error: &dyn std::fmt::Display) -> S3Error {
    S3Error::with(Code::InvalidRequest, format!("Failed to {error}. Nothing of it was stored."))
}

fn packing(what: &str) -> S3Error {
    let message = format!("Failed to unpack the archive: {what}. Nothing of it was stored.");
    S3Error::with(Code::InvalidRequest, message)
}
