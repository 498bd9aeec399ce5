//! GET and HEAD: find the version, decide the conditions, select a range or a part, then stream its bytes.
//!
//! ```text
//!   view: CONFIG, CURRENT (or VERSIONS) ─► open the seal ─► conditions ─► range or part ─► first bytes ─► body
//!     └──────────── replaced since, so that its bytes are gone: once more, at a new version ◄─┘
//! ```
//!
//! # Limits
//! [`READS_AGAIN_MAX`] looks at what is replaced all the time; who loses all of them is told so.

use crate::body::corrupt;
use crate::envelope::{EncryptedBy, Envelope, Keys, Material, not_applicable};
use crate::lifecycle::unread;
use crate::lookup::{by_id, newest, null_row};
use crate::pages::{Page, Pages};
use crate::record::{Cold, Content, Extent, ObjectRow};
use crate::store::View;
use crate::{
    BucketName, ChecksumValue, Error, ErrorKind, GetOutcome, GetRequest, IfRange, ObjectInfo, ObjectKey,
    ObjectStore, PartNumber, Range, RangeSpec, Result, VersionSelector, tables,
};
use engine::catalog::record::Record;
use engine::unit::ByteCount;
use futures_util::{StreamExt, stream};
use security::Question;
use security::envelope::CustomerKey;
use std::sync::Arc;

/// How often an object is looked for that is replaced under its reader. Each look loses to one write that came between it and the first
/// bytes, so that a reader meets the bound only if such a write comes every time.
const READS_AGAIN_MAX: u32 = 128;

/// What of a body was asked for.
#[derive(Clone, Copy, Debug, Default)]
struct Selected {
    /// `None` for all of it.
    range: Option<Range>,
    /// The checksum of the one part that it is.
    part_checksum: Option<ChecksumValue>,
}

/// A version, found and authenticated.
pub(crate) struct Found {
    pub(crate) view: View,
    /// Of its bytes; `None` where there are none, or where they are still [closed](Self::closed).
    pub(crate) keys: Option<Keys>,
    /// What an envelope holds, until it is [`opened`](Self::opened).
    pub(crate) closed: Option<(Envelope, Material)>,
    pub(crate) info: ObjectInfo,
    pub(crate) extent: Extent,
    /// What is archived of it.
    pub(crate) cold: Option<Cold>,
}

impl Found {
    /// The keys of its manifest's pages, as far as they open by themselves.
    pub(crate) fn of_pages(&self) -> Option<Keys> {
        let closed =
            |(envelope, material): &(Envelope, Material)| material.of_pages(*envelope).map(Keys::from);
        self.keys.clone().or_else(|| self.closed.as_ref().and_then(closed))
    }
}

/// Looks until what was found is still there when its bytes are read: `None` is another look.
async fn read_again<T, F>(look: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    for _ in 0..READS_AGAIN_MAX {
        if let Some(read) = look().await? {
            return Ok(read);
        }
    }
    Err(Error::Contended { attempts: READS_AGAIN_MAX })
}

impl ObjectStore {
    /// What was found with its keys, for whoever brings what they are closed with or may use the managed key that it is, and nothing else than
    /// that.
    pub(crate) async fn opened(
        &self,
        mut found: Found,
        brought: Option<&CustomerKey>,
        asks: Option<&Question>,
    ) -> Result<Found> {
        match found.closed.take() {
            Some((envelope, material)) => {
                found.keys = Some(self.open_envelope((envelope, &material), brought, asks).await?);
            }
            None if brought.is_some() => return Err(not_applicable()),
            None => {}
        }
        Ok(found)
    }

    /// The same for who is told of it, and of its `parts` where they are asked for: no managed key is asked where nothing that it closes is
    /// looked at.
    pub(crate) async fn opened_to_tell(
        &self,
        found: Found,
        (brought, asks): (Option<&CustomerKey>, Option<&Question>),
        parts: bool,
    ) -> Result<Found> {
        let managed = matches!(found.info.encrypted_by, EncryptedBy::Managed(_));
        let looks = parts && found.info.parts > 0 && found.of_pages().is_none();
        if managed && !looks {
            return if brought.is_some() { Err(not_applicable()) } else { Ok(found) };
        }
        self.opened(found, brought, asks).await
    }

    /// Reads an object. Its first bytes are read before it answers, so that an object which is replaced meanwhile is found
    /// again and not reported as damaged.
    pub async fn get(self: &Arc<Self>, request: GetRequest) -> Result<GetOutcome> {
        read_again(|| async {
            let found = self.find_asked(&request).await?;
            match self.get_found(&request, &found).await {
                Err(error) if self.replaced(&request, &found, &error).await? => Ok(None),
                Err(error) => {
                    Err(Self::of_reading(error, &found, (&request.bucket, &request.key, request.version)))
                }
                Ok(outcome) => Ok(Some(outcome)),
            }
        })
        .await
    }

    /// As [`get`](Self::get), without the body.
    pub async fn head(&self, request: GetRequest) -> Result<GetOutcome> {
        read_again(|| async {
            let GetRequest { bucket, key, version, asks, .. } = &request;
            let found = self.find_for(bucket, key, *version, asks.as_ref()).await?;
            let brings = (request.customer_key.as_ref(), asks.as_ref());
            let found = self.opened_to_tell(found, brings, request.part.is_some()).await?;
            match self.select(&request, &found).await {
                Err(error) if self.replaced(&request, &found, &error).await? => Ok(None),
                Err(error) => Err(error),
                Ok(Selected { range, part_checksum }) => {
                    let length = ByteCount::new(span(range, found.extent.length).1);
                    let body = stream::empty().boxed();
                    let info = found.info;
                    Ok(Some(GetOutcome { info, range, part_checksum, length, body }))
                }
            }
        })
        .await
    }

    /// What is told of an object without its bytes, and what stands beside it: no key is needed for that.
    pub async fn peek(&self, request: &GetRequest) -> Result<ObjectInfo> {
        let GetRequest { bucket, key, version, asks, .. } = request;
        Ok(self.find_for(bucket, key, *version, asks.as_ref()).await?.info)
    }

    /// Whether an error came from bytes that went because another version took their place.
    async fn replaced(&self, request: &GetRequest, found: &Found, error: &Error) -> Result<bool> {
        if error.kind() != ErrorKind::Corrupt {
            return Ok(false);
        }
        self.is_replaced(&request.bucket, &request.key, request.version, found).await
    }

    /// Whether something else stands where `found` was found.
    pub(crate) async fn is_replaced(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: VersionSelector,
        found: &Found,
    ) -> Result<bool> {
        let now = self.find(bucket, key, version).await?;
        Ok(now.extent.owner != found.extent.owner || now.cold != found.cold)
    }

    async fn get_found(self: &Arc<Self>, request: &GetRequest, found: &Found) -> Result<GetOutcome> {
        let Selected { range, part_checksum } = self.select(request, found).await?;
        self.refuse_archived(found, (&request.bucket, &request.key, request.version))?;
        let (first, length) = span(range, found.extent.length);
        let mut body = stream::empty().boxed();
        if length > 0 {
            let part = Extent { offset: found.extent.offset + first, length, ..found.extent };
            let mut rest = self.found_body(found, part).await?;
            if let Content::Inline { .. } = part.content {
                body = rest;
            } else {
                let first = rest.next().await.transpose()?;
                body = stream::iter(first.map(Ok)).chain(rest).boxed();
            }
        }
        let length = ByteCount::new(length);
        Ok(GetOutcome { info: found.info.clone(), range, part_checksum, length, body })
    }

    async fn select(&self, request: &GetRequest, found: &Found) -> Result<Selected> {
        request.conditions.check(found.info.etag, found.info.modified, found.info.version)?;
        let same = |known: &IfRange| known.holds(&found.info.etag, found.info.modified);
        let range = request.range.filter(|_| request.if_range.as_ref().is_none_or(same));
        match (range, request.part) {
            (Some(_), Some(_)) => Err(Error::InvalidRequest { detail: "a range and a part number at once" }),
            (Some(spec), None) => {
                let range = Some(resolve(spec, found.extent.length)?);
                Ok(Selected { range, part_checksum: None })
            }
            (None, Some(part)) => self.select_part(found, part).await,
            (None, None) => Ok(Selected::default()),
        }
    }

    async fn find_asked(&self, request: &GetRequest) -> Result<Found> {
        let GetRequest { bucket, key, version, asks, .. } = request;
        let found = self.find_for(bucket, key, *version, asks.as_ref()).await?;
        self.opened(found, request.customer_key.as_ref(), asks.as_ref()).await
    }

    /// Finds a version and authenticates its row, for who may see everything.
    pub(crate) async fn find(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: VersionSelector,
    ) -> Result<Found> {
        self.find_for(bucket, key, version, None).await
    }

    /// The same, for who asks: decided by the row that is found, before anything is told of it.
    pub(crate) async fn find_for(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: VersionSelector,
        asks: Option<&Question>,
    ) -> Result<Found> {
        let (view, row) = self.find_row(bucket, key, version).await?;
        let row = match row {
            Ok(row) => row,
            Err(absent) => return Err(self.told(&view, (bucket, key), asks, absent).await),
        };
        let aad = row.additional_data(view.bucket.partition, key);
        let sealed = self.keys.unseal_bytes(&row.sealed, &aad)?;
        let Some(stored) = &row.stored else {
            let absent = match version {
                VersionSelector::Latest => Error::NoSuchKey { marker: Some(row.name()) },
                _ => Error::IsDeleteMarker { version: row.name(), modified: row.modified },
            };
            return Err(self.told(&view, (bucket, key), asks, absent).await);
        };
        if let Some(asks) = asks
            && !self.is_own(&view, asks, &row.subresources).await?
        {
            self.rules(&view).await?.check_object(asks, (bucket, key), &row.subresources)?;
        }
        let (extent, cold) = (stored.extent, stored.cold);
        let mut info = row.info(view.config.versioning)?.ok_or_else(|| corrupt("object row", "no body"))?;
        if self.is_unknown(&view, &row).await? {
            info.subresources.legal_hold = Some(true);
        }
        if version == VersionSelector::Latest {
            // No object is unreadable for a header.
            info.expires = self.object_expiry(&view, key, &row).await.or_else(unread)?;
        }
        let envelope = stored.envelope;
        let (keys, closed) = match Material::read(envelope, &sealed)? {
            Some(Material::Bare(keys)) => (Some(keys), None),
            Some(material) => {
                info.encrypted_by = material.by(envelope)?;
                (None, Some((envelope, material)))
            }
            None => (None, None),
        };
        Ok(Found { view, keys, closed, info, extent, cold })
    }

    /// The row of a version, or why there is none.
    async fn find_row(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: VersionSelector,
    ) -> Result<(View, Result<ObjectRow>)> {
        match version {
            VersionSelector::Latest => {
                let (view, [current]) = self.view_with(bucket, [tables::current(key)]).await?;
                let row = match current {
                    Some(raw) => Ok(ObjectRow::from_bytes(&raw)?),
                    // What is on top without being current is a delete marker.
                    None => newest(&view, key).await?.ok_or(Error::NoSuchKey { marker: None }),
                };
                Ok((view, row))
            }
            VersionSelector::Id(id) => {
                let (view, [row]) = self.view_with(bucket, [tables::version(key, id)]).await?;
                let row = by_id(row.as_deref())?.ok_or(Error::NoSuchVersion);
                Ok((view, row))
            }
            VersionSelector::Null => {
                let rows = [tables::current(key), tables::null(key)];
                let (view, [current, null]) = self.view_with(bucket, rows).await?;
                let row = null_row(&view, key, (current.as_deref(), null.as_deref())).await?;
                let row = row.ok_or(Error::NoSuchVersion);
                Ok((view, row))
            }
        }
    }

    /// The bytes of a part of a multipart object, and their checksum. An object that was sent in one piece is its own part 1.
    async fn select_part(&self, found: &Found, part: PartNumber) -> Result<Selected> {
        let none = Error::NoSuchPart { part, parts: found.info.parts.max(1) };
        let whole = found.extent.length;
        if found.info.parts == 0 {
            let range = match (part.get(), whole) {
                (1, 0) => None,
                (1, _) => Some(Range { first: 0, last: whole - 1 }),
                _ => return Err(none),
            };
            return Ok(Selected { range, part_checksum: found.info.checksum.map(|checksum| checksum.value) });
        }
        let pages = Pages::of(&found.extent, found.of_pages().as_ref())?;
        let page = pages.with_part(self, part.get(), (found.info.parts, whole)).await?;
        let mut entries = page.iter().flat_map(Page::entries);
        let (start, entry) = entries.find(|(_, entry)| entry.number == part.get()).ok_or(none)?;
        let last = (start + entry.extent.length).saturating_sub(1);
        let range = (entry.extent.length > 0).then_some(Range { first: start, last });
        Ok(Selected { range, part_checksum: entry.checksum })
    }
}

fn span(range: Option<Range>, whole: u64) -> (u64, u64) {
    range.map_or((0, whole), |range| (range.first, range.last - range.first + 1))
}

/// What a range means for an object of `size` bytes.
pub(crate) fn resolve(spec: RangeSpec, size: u64) -> Result<Range> {
    let unsatisfiable = Error::InvalidRange { size: ByteCount::new(size) };
    match spec {
        RangeSpec::From { first, last } => {
            let last = last.unwrap_or(u64::MAX).min(size.saturating_sub(1));
            if first >= size || last < first {
                return Err(unsatisfiable);
            }
            Ok(Range { first, last })
        }
        RangeSpec::Suffix(0) => Err(unsatisfiable),
        RangeSpec::Suffix(_) if size == 0 => Err(unsatisfiable),
        RangeSpec::Suffix(n) => Ok(Range { first: size.saturating_sub(n), last: size - 1 }),
    }
}

#[cfg(test)]
mod tests {
    use super::{READS_AGAIN_MAX, read_again};
    use crate::Error;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn who_never_finds_what_it_reads_is_told_so() {
        let looks = AtomicU32::new(0);
        let look = || async {
            looks.fetch_add(1, Ordering::Relaxed);
            Ok(None::<()>)
        };
        assert!(matches!(read_again(look).await, Err(Error::Contended { attempts: READS_AGAIN_MAX })));
        assert_eq!(looks.load(Ordering::Relaxed), READS_AGAIN_MAX);
        let second =
            || async { Ok((looks.fetch_add(1, Ordering::Relaxed) > READS_AGAIN_MAX).then_some("found")) };
        assert_eq!(read_again(second).await.unwrap(), "found");
    }
}
