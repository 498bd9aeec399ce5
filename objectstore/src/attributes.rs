//! `GetObjectAttributes`, and where an object's bytes lie.

use crate::cold::of_vault;
use crate::envelope::Keys;
use crate::pages::Pages;
use crate::read::Found;
use crate::record::{Content, Extent};
use crate::{
    AttributesOutcome, AttributesRequest, BucketName, EncryptedBy, ObjectKey, ObjectPart, ObjectStore,
    PAGE_MAX, PartNumber, Place, Result, VersionSelector,
};
use engine::unit::ByteCount;

/// Most places that are told.
const PLACES_MAX: usize = 10_000;

impl ObjectStore {
    /// An object's attributes and a page of its parts.
    pub async fn attributes(&self, request: AttributesRequest) -> Result<AttributesOutcome> {
        let found =
            self.find_for(&request.bucket, &request.key, request.version, request.asks.as_ref()).await?;
        if let Some(reads) = &request.reads {
            let beside = &found.info.subresources;
            self.rules(&found.view).await?.check_object(reads, (&request.bucket, &request.key), beside)?;
        }
        let brings = (request.customer_key.as_ref(), request.asks.as_ref());
        let found = self.opened_to_tell(found, brings, request.max_parts > 0).await?;
        request.conditions.check(found.info.etag, found.info.modified, found.info.version)?;
        let max = request.max_parts.min(PAGE_MAX);
        let mut outcome = AttributesOutcome { info: found.info.clone(), parts: Vec::new(), more: false };
        if found.info.parts == 0 || max == 0 {
            return Ok(outcome);
        }
        let wanted = request.after.map_or(0, PartNumber::get).saturating_add(1);
        let mut pages = Pages::of(&found.extent, found.of_pages().as_ref())?;
        let known = (found.info.parts, found.extent.length);
        let mut next = pages.with_part(self, wanted, known).await?;
        while let Some(page) = next {
            for (_, entry) in page.entries().filter(|(_, entry)| entry.number >= wanted) {
                if outcome.parts.len() == max {
                    outcome.more = true;
                    return Ok(outcome);
                }
                outcome.parts.push(ObjectPart {
                    number: PartNumber::new(entry.number.into())?,
                    size: ByteCount::new(entry.extent.length),
                    checksum: entry.checksum,
                });
            }
            pages.go_on_behind(&page);
            next = pages.next(self).await?;
        }
        Ok(outcome)
    }

    /// Where a version's bytes lie: the records of each blob that it refers to, the first 10,000. Of a list of extents that only
    /// a key around the appliance's opens nothing is known.
    pub async fn where_is(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: VersionSelector,
    ) -> Result<Vec<Place>> {
        let found = self.find(bucket, key, version).await?;
        let mut places = self.places_in_vault(&found).await?;
        let closed = found.info.encrypted_by != EncryptedBy::Appliance;
        let keys = found.of_pages();
        if found.extent.content.depth() > u8::from(keys.is_some()) && closed {
            return Ok(places);
        }
        let mut todo: Vec<(u64, Extent, Option<Keys>)> = vec![(0, found.extent, keys)];
        while let Some((first, extent, keys)) = todo.pop() {
            if places.len() >= PLACES_MAX {
                break;
            }
            match extent.content {
                Content::Empty => {}
                Content::Inline { .. } => places.push(Place {
                    first,
                    pool: "catalog".into(),
                    copy: 0,
                    zone: String::new(),
                    missing: false,
                    segment: String::new(),
                    offset: 0,
                    stored: ByteCount::new(extent.length),
                }),
                Content::Blob { home, blob } => {
                    places.extend(self.blobs.locate(home, blob).await?.into_iter().map(|at| Place {
                        first,
                        pool: at.pool.into(),
                        copy: at.copy,
                        zone: at.zone,
                        missing: at.missing,
                        segment: at.segment,
                        offset: at.offset.get(),
                        stored: at.length,
                    }));
                }
                Content::Manifest { .. } => {
                    let pieces = Pages::pieces(self, &extent, keys.as_ref()).await?.into_iter();
                    let inner = pieces
                        .map(|(at, piece, key)| (first + (at - extent.offset), piece, Some(key.into())));
                    todo.extend(inner.rev());
                }
            }
        }
        places.truncate(PLACES_MAX);
        Ok(places)
    }

    /// Where the bytes are that lie in the bucket's vault.
    async fn places_in_vault(&self, found: &Found) -> Result<Vec<Place>> {
        let Some(at) = found.cold.and_then(|cold| cold.archive) else { return Ok(Vec::new()) };
        let vaults = self.vaults()?;
        let found = vaults.whereabouts(found.view.bucket.partition, at.id).await.map_err(of_vault)?;
        let place = |first, zone: String, segment: String, stored: u64| Place {
            first,
            pool: "vault".into(),
            copy: 0,
            zone,
            missing: false,
            segment,
            offset: 0,
            stored: ByteCount::new(stored),
        };
        let mut places = Vec::new();
        if found.waiting_bytes > 0 {
            places.push(place(0, String::new(), "waits to be packed".to_owned(), found.waiting_bytes));
        }
        let mut first = 0;
        for (pack, medium, bytes) in found.packs {
            places.push(place(first, medium, format!("pack {pack}"), bytes));
            first += bytes;
        }
        Ok(places)
    }
}
