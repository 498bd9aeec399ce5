//! Whose a remote pool is: `owner.json` at its prefix, a line of `zones.json` in the data directory.
//!
//! ```text
//!   mark there                     zone in zones.json
//!   none                           no    nothing else is there: taken; else refused
//!   none                           yes   refused: it is another place, or somebody emptied it
//!   ours, of this directory        any   used
//!   ours, as zones.json left it    yes   taken over: a recovery
//!   ours, of another directory     yes   refused: that one has taken it over since
//!   of another zone or appliance         refused
//! ```
//!
//! The mark has the form of a zone's mark (docs/formats/zone-owner.md). It is written first; a crash between the two leaves the
//! third line of the table.
//!
//! The mark is looked at again before what writes, lists or deletes, once a minute: a directory that was recovered takes the place over
//! while the lost one may still run somewhere, and what that one holds for garbage is what the other one lives on.

use super::bucket::Bucket;
use crate::directory::{Marker, RemoteMark};
use bytes::Bytes;
use engine::clock::Clock;
use engine::entropy::Entropy;
use engine::remote::{Listed, Remote, probe};
use engine::{BoxFuture, Error, Result};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// The mark's name below the prefix.
const MARK: &str = "owner.json";
/// A mark is far smaller.
const MARK_BYTES_MAX: u64 = 64 << 10;
/// How long a look at the mark is good for.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// What is demanded of a place.
pub(super) struct Claim {
    dir: PathBuf,
    /// As it is to be.
    mark: RemoteMark,
    zone: String,
    place: String,
    entropy: Arc<dyn Entropy>,
}

impl Claim {
    pub(super) fn new(
        dir: &Path,
        marker: &Marker,
        zone: &str,
        place: &str,
        entropy: Arc<dyn Entropy>,
    ) -> anyhow::Result<Self> {
        let mark = RemoteMark::of(dir, marker, zone)?;
        Ok(Self { dir: dir.to_owned(), mark, zone: zone.to_owned(), place: place.to_owned(), entropy })
    }

    /// This data directory has taken the zone before.
    pub(super) fn was_taken(&self) -> anyhow::Result<bool> {
        Ok(RemoteMark::taken(&self.dir, &self.zone)?.is_some())
    }

    /// Makes sure that the mark is still ours.
    async fn look(&self, bucket: &Bucket) -> Result<()> {
        let found = match bucket.get(MARK, 0..MARK_BYTES_MAX).await {
            Err(Error::NotFound { .. }) => None,
            outcome => Some(outcome?),
        };
        let own = self.mark.bytes();
        let why = match found {
            Some(bytes) if bytes == own => return Ok(()),
            Some(bytes) => self.mark.refuse_another(&bytes, Some(self.mark.incarnation())).err(),
            None => {
                Some("has lost its mark (owner.json): look at what else writes there, and restart".to_owned())
            }
        };
        Err(Error::Invalid(format!("it {}", why.unwrap_or_else(|| "has another mark: restart".to_owned()))))
    }

    /// Makes sure that the place is ours, or takes it, and that the store does what a pool needs.
    async fn prove(&self, bucket: &Bucket) -> Result<()> {
        let refused = |why: &str| Error::Invalid(format!("it {why}"));
        let local = |error: anyhow::Error| Error::Invalid(format!("{error:#}"));
        let taken = RemoteMark::taken(&self.dir, &self.zone).map_err(local)?;
        let found = match bucket.get(MARK, 0..MARK_BYTES_MAX).await {
            Ok(bytes) => Some(bytes),
            Err(Error::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        // Which also says whether there is a bucket.
        let there = bucket.list("", "", 1000).await?;
        match found {
            None if taken.is_some() => {
                return Err(refused(
                    "has no mark (owner.json): it is another place than the one that this appliance took, or was emptied; name \
                     the right bucket and prefix",
                ));
            }
            None => {
                if let Some(other) = there.iter().find(|object| !object.name.starts_with(probe::PREFIX)) {
                    let why =
                        format!("holds objects of others ({}) and no mark; name an empty prefix", other.name);
                    return Err(refused(&why));
                }
                match bucket.put(MARK, vec![self.mark.bytes()]).await {
                    Err(Error::Conflict { .. }) => {
                        return Err(refused(
                            "was taken by another appliance just now; name a prefix of its own",
                        ));
                    }
                    outcome => outcome?,
                }
            }
            Some(bytes) => {
                self.mark.refuse_another(&bytes, taken).map_err(|why| refused(&why))?;
                if bytes != self.mark.bytes() {
                    bucket.replace(MARK, self.mark.bytes()).await?;
                }
            }
        }
        probe::round_trip(bucket, &self.place, &*self.entropy).await?;
        self.mark.note(&self.dir, &self.zone, &self.place).map_err(local)
    }
}

/// The bucket, once it is known to be ours: whoever writes, lists or deletes makes sure first. Reads may go before: what comes
/// back is verified.
pub(super) struct Claimed {
    bucket: Bucket,
    claim: Claim,
    clock: Arc<dyn Clock>,
    /// Boot time of the last look at the mark; none before all of it was proven.
    looked: Mutex<Option<Duration>>,
}

impl Claimed {
    pub(super) fn new(bucket: Bucket, claim: Claim, clock: Arc<dyn Clock>) -> Self {
        Self { bucket, claim, clock, looked: Mutex::default() }
    }

    /// Makes sure: of everything once, of the mark once a minute.
    pub(super) async fn prove(&self) -> Result<&Bucket> {
        let mut looked = self.looked.lock().await;
        let now = self.clock.boottime();
        match *looked {
            Some(at) if now < at + LOOK_EVERY => return Ok(&self.bucket),
            Some(_) => self.claim.look(&self.bucket).await?,
            None => self.claim.prove(&self.bucket).await?,
        }
        *looked = Some(now);
        Ok(&self.bucket)
    }

    pub(super) fn was_refused(&self) -> bool {
        self.bucket.was_refused()
    }
}

impl Remote for Claimed {
    fn put<'a>(&'a self, name: &'a str, body: Vec<Bytes>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.prove().await?.put(name, body).await })
    }

    fn begin<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move { self.prove().await?.begin(name).await })
    }

    fn part<'a>(
        &'a self,
        name: &'a str,
        upload: &'a str,
        index: usize,
        body: Vec<Bytes>,
    ) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move { self.prove().await?.part(name, upload, index, body).await })
    }

    fn complete<'a>(
        &'a self,
        name: &'a str,
        upload: &'a str,
        parts: Vec<String>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.prove().await?.complete(name, upload, parts).await })
    }

    fn abort<'a>(&'a self, name: &'a str, upload: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.prove().await?.abort(name, upload).await })
    }

    fn get<'a>(&'a self, name: &'a str, range: Range<u64>) -> BoxFuture<'a, Result<Bytes>> {
        self.bucket.get(name, range)
    }

    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.prove().await?.delete(name).await })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Listed>>> {
        Box::pin(async move { self.prove().await?.list(prefix, after, limit).await })
    }
}
