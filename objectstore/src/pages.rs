//! The pages of a manifest: in order, by a byte's offset, by a part's number.
//!
//! ```text
//!   MANIFESTS  start 0: parts 1…256 │ start s: parts 257…512 │ …        keys are offsets, numbers grow with them
//! ```
//!
//! Rows are found by offset. A part's number is found by guessing where it would begin if all parts had one size, which they have as a rule,
//! and by halving what is left when it was not there: a page or two, and never more than twice the halvings.
//!
//! # Limits
//! One page (256 extents) in memory.

use crate::body::corrupt;
use crate::envelope::{Keys, under};
use crate::id::ManifestId;
use crate::record::{Content, Extent, ManifestEntry, ManifestPage};
use crate::{ObjectStore, Result, tables};
use engine::catalog::record::Record;
use engine::catalog::{Scan, Snapshot, key_after};
use engine::codec::DataKey;
use engine::id::PartitionId;

/// A manifest's pages.
pub(crate) struct Pages {
    home: PartitionId,
    manifest: ManifestId,
    keys: Keys,
    /// Where [`next`](Self::next) goes on.
    next: Option<u64>,
}

/// One of them, opened.
pub(crate) struct Page {
    /// The offset of its first byte.
    start: u64,
    entries: Vec<(ManifestEntry, DataKey)>,
}

/// Where a part can begin: offsets, both included, and the numbers there if none is left out.
#[derive(Clone, Copy, Debug)]
struct Span {
    low: u64,
    high: u64,
    first: u64,
    last: u64,
}

impl Page {
    /// The offset behind its last byte.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.entries.iter().map(|(entry, _)| entry.extent.length).sum::<u64>()
    }

    /// Its entries, with the offsets at which they begin.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (u64, &ManifestEntry)> {
        self.entries.iter().scan(self.start, |next, (entry, _)| {
            let start = *next;
            *next += entry.extent.length;
            Some((start, entry))
        })
    }

    /// What of an extent of its manifest lies in it: pieces with the offsets at which they begin, and their keys.
    pub(crate) fn pieces(self, extent: &Extent) -> Vec<(u64, Extent, DataKey)> {
        let (mut start, end) = (self.start, extent.offset + extent.length);
        let mut pieces = Vec::new();
        for (ManifestEntry { extent: whole, .. }, key) in self.entries {
            let stop = start + whole.length;
            let (from, to) = (start.max(extent.offset), stop.min(end));
            if from < to {
                let offset = whole.offset + (from - start);
                pieces.push((from, Extent { offset, length: to - from, ..whole }, key));
            }
            start = stop;
        }
        pieces
    }

    /// Its entries, with their keys.
    pub(crate) fn into_entries(self) -> Vec<(ManifestEntry, DataKey)> {
        self.entries
    }

    /// The lowest and the highest number in it.
    fn numbers(&self) -> Result<(u64, u64)> {
        match (self.entries.first(), self.entries.last()) {
            (Some((first, _)), Some((last, _))) => Ok((first.number.into(), last.number.into())),
            _ => Err(corrupt("manifest", "a page without entries")),
        }
    }
}

impl Span {
    /// Where a number's bytes are in the middle, if all parts have one size.
    fn guess(&self, number: u64) -> u64 {
        let count = u128::from((self.last + 1).saturating_sub(self.first).max(1));
        let before = u128::from(number.saturating_sub(self.first)).min(count - 1);
        let within = u128::from(self.high - self.low) * (2 * before + 1) / (2 * count);
        self.low + u64::try_from(within).unwrap_or(0)
    }

    fn middle(&self) -> u64 {
        self.low + (self.high - self.low) / 2
    }
}

impl Pages {
    /// Those of the manifest that an extent names, from the first.
    pub(crate) fn of(extent: &Extent, keys: Option<&Keys>) -> Result<Self> {
        match (extent.content, keys) {
            (Content::Manifest { home, manifest, .. }, Some(keys)) => {
                Ok(Self { home, manifest, keys: keys.clone(), next: Some(0) })
            }
            _ => Err(corrupt("object row", "parts without a manifest")),
        }
    }

    /// The same, from the one that holds the extent's first byte.
    pub(crate) async fn from_first_byte(
        store: &ObjectStore,
        extent: &Extent,
        keys: Option<&Keys>,
    ) -> Result<(Page, Self)> {
        let mut pages = Self::of(extent, keys)?;
        let snapshot = store.catalog.snapshot(pages.home).await?;
        let page = pages.at(&*snapshot, extent.offset).await?;
        pages.go_on_behind(&page);
        Ok((page, pages))
    }

    /// All that an extent refers to: pieces with the offsets within its manifest at which they begin, and their keys.
    pub(crate) async fn pieces(
        store: &ObjectStore,
        extent: &Extent,
        keys: Option<&Keys>,
    ) -> Result<Vec<(u64, Extent, DataKey)>> {
        let (page, mut pages) = Self::from_first_byte(store, extent, keys).await?;
        let (mut next, mut pieces) = (Some(page), Vec::new());
        while let Some(page) = next {
            let is_last = page.end() >= extent.offset + extent.length;
            pieces.extend(page.pieces(extent));
            next = if is_last { None } else { pages.next(store).await? };
        }
        Ok(pieces)
    }

    /// The next page.
    pub(crate) async fn next(&mut self, store: &ObjectStore) -> Result<Option<Page>> {
        let Some(start) = self.next else { return Ok(None) };
        let snapshot = store.catalog.snapshot(self.home).await?;
        let Some(raw) = snapshot.get(tables::manifest_page(self.manifest, start)).await? else {
            return Ok(None);
        };
        let page = self.open(start, &raw)?;
        self.go_on_behind(&page);
        Ok(Some(page))
    }

    /// Has [`next`](Self::next) answer the page behind this one.
    pub(crate) fn go_on_behind(&mut self, page: &Page) {
        // A page of nothing but empty parts would begin where the next one does; only the last part may be empty.
        self.next = Some(page.end()).filter(|end| *end > page.start);
    }

    /// The page that holds the first part with this number or a higher one, of an object of so many parts and bytes; `None` when
    /// all have lower ones.
    pub(crate) async fn with_part(
        &self,
        store: &ObjectStore,
        number: u16,
        (parts, length): (u32, u64),
    ) -> Result<Option<Page>> {
        let number = u64::from(number);
        let mut span = Span { low: 0, high: length, first: 1, last: parts.into() };
        let mut behind = None;
        let mut probes = 0;
        let snapshot = store.catalog.snapshot(self.home).await?;
        while span.low <= span.high {
            // The second guess knows better than the first; then every other probe halves.
            let halve = probes > 1 && probes % 2 == 0;
            probes += 1;
            let page = self.at(&*snapshot, if halve { span.middle() } else { span.guess(number) }).await?;
            if page.start < span.low {
                break;
            }
            let (first, last) = page.numbers()?;
            if number > last {
                if page.end() == page.start {
                    break;
                }
                (span.low, span.first) = (page.end(), last + 1);
            } else if number < first && page.start > span.low {
                (span.high, span.last) = (page.start - 1, first - 1);
                behind = Some(page);
            } else {
                return Ok(Some(page));
            }
        }
        Ok(behind)
    }

    /// The page that holds a byte; of the offset behind the last one, the last page.
    async fn at(&self, snapshot: &dyn Snapshot, offset: u64) -> Result<Page> {
        let first = tables::manifest_page(self.manifest, 0).bytes;
        let end = key_after(&tables::manifest_page(self.manifest, offset).bytes);
        let scan = Scan { start: first, end, reverse: true, ..Scan::prefix(tables::MANIFESTS, b"", 1) };
        let page = snapshot.scan(scan).await?;
        let (raw_key, raw) = page.rows.first().ok_or_else(|| corrupt("manifest", "no page for an offset"))?;
        let start = raw_key.get(16..24).and_then(|raw| raw.try_into().ok()).map(u64::from_be_bytes);
        self.open(start.ok_or_else(|| corrupt("manifest", "a page without an offset"))?, raw)
    }

    fn open(&self, start: u64, raw: &[u8]) -> Result<Page> {
        let mut entries = ManifestPage::from_bytes(raw)?.open(&self.keys.data, self.manifest, start)?;
        if let Some(secret) = &self.keys.parts {
            for (entry, key) in &mut entries {
                *key = under(secret, &entry.extent.content, key);
            }
        }
        Ok(Page { start, entries })
    }
}
