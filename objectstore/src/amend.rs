//! Changing what stands beside a version (tags and the like) without touching its bytes.
//!
//! The row is authenticated with all that stands in it, so a change opens its seal and seals it again, and the commit checks
//! that nobody changed the key meanwhile. The version keeps its name, its place and its Last-Modified, as in S3.

use crate::access::Rules;
use crate::event::{EventType, Occasion};
use crate::lookup::named;
use crate::record::ObjectRow;
use crate::store::Bucket;
use crate::transact::Attempt;
use crate::{AmendRequest, Error, ObjectStore, Result, Subresources, Tags, VersionName, VersionSelector};
use security::Question;

impl ObjectStore {
    /// Replaces a version's tags, if whoever asks may.
    pub async fn set_tags(
        &self,
        request: &AmendRequest,
        asks: Option<&Question>,
        tags: &Tags,
    ) -> Result<Option<VersionName>> {
        self.amend_by(request, EventType::TAGS_PUT, asks, |beside, rules| {
            check(request, asks, beside, rules)?;
            beside.tags = tags.clone();
            Ok(())
        })
        .await
    }

    /// Removes a version's tags, if whoever asks may.
    pub async fn remove_tags(
        &self,
        request: &AmendRequest,
        asks: Option<&Question>,
    ) -> Result<Option<VersionName>> {
        self.amend_by(request, EventType::TAGS_DELETE, asks, |beside, rules| {
            check(request, asks, beside, rules)?;
            beside.tags = Tags::default();
            Ok(())
        })
        .await
    }

    /// Lets `change` change what stands beside a version, by what holds in the bucket, and answers the version's name. `change`
    /// may be called again when somebody else changed the key meanwhile; its error ends the call with nothing changed. `what` is
    /// told where the bucket's owner wants it, also of a change to what was there already.
    pub(crate) async fn amend_by(
        &self,
        request: &AmendRequest,
        what: EventType,
        asks: Option<&Question>,
        change: impl Fn(&mut Subresources, &Rules) -> Result<()> + Send + Sync,
    ) -> Result<Option<VersionName>> {
        let bucket = self.view(&request.bucket).await?.bucket;
        self.amend_in(bucket, request, (Some(what), asks), change).await
    }

    /// The same in a bucket that was found before, and in no other one that has its name by now. Who asks is told that there is nothing to
    /// change if they may know.
    pub(crate) async fn amend_in(
        &self,
        bucket: Bucket,
        request: &AmendRequest,
        (what, asks): (Option<EventType>, Option<&Question>),
        change: impl Fn(&mut Subresources, &Rules) -> Result<()> + Send + Sync,
    ) -> Result<Option<VersionName>> {
        self.transact(|| async {
            let _turn = self.queue(bucket.partition, &request.key).await;
            let (view, stack) = self.stack(bucket, &request.key).await?;
            let row = match to_amend(named(&view, &stack, request.version).await?, request.version) {
                Ok(row) => row,
                Err(absent) => {
                    return Err(self.told(&view, (&request.bucket, &request.key), asks, absent).await);
                }
            };
            let mut subresources = row.subresources.clone();
            change(&mut subresources, &self.rules(&view).await?)?;
            let shown = row.shown(view.config.versioning);
            if subresources == row.subresources && !self.is_told(&view, what).await? {
                return Ok(Attempt::Answer(shown));
            }
            let amended = ObjectRow { subresources, ..row.clone() };
            let amended = self.sealed_again(bucket, &request.key, &row, amended)?;
            let mut replaced = stack.replace(&amended);
            if let Some(what) = what {
                let occasion = Occasion { what, bucket: &request.bucket, origin: &request.origin };
                let at = (&request.key, &amended, self.clock.now());
                self.tell(&view, &occasion, at, &mut replaced).await?;
            }
            replaced.writes.extend(self.index_change(&view, &request.key).await?);
            Ok(Attempt::won(self.try_change_key(&view, &request.key, replaced).await?, shown))
        })
        .await
    }
}

/// Asked of what stands beside the version as each attempt finds it.
fn check(
    request: &AmendRequest,
    asks: Option<&Question>,
    beside: &Subresources,
    rules: &Rules,
) -> Result<()> {
    asks.map_or(Ok(()), |asks| rules.check_object(asks, (&request.bucket, &request.key), beside))
}

/// The version that is to change, or why there is none.
pub(crate) fn to_amend(row: Option<ObjectRow>, version: VersionSelector) -> Result<ObjectRow> {
    match (row, version) {
        (Some(row), _) if row.stored.is_some() => Ok(row),
        (Some(marker), VersionSelector::Latest) => Err(Error::NoSuchKey { marker: Some(marker.name()) }),
        (Some(marker), _) => Err(Error::IsDeleteMarker { version: marker.name(), modified: marker.modified }),
        (None, VersionSelector::Latest) => Err(Error::NoSuchKey { marker: None }),
        (None, _) => Err(Error::NoSuchVersion),
    }
}
