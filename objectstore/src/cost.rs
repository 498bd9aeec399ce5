//! What is stored and what that costs a month, by class: versions and uploads under way, walked a page at a time.
//!
//! ```text
//!   VERSIONS (prefix) ─► current │ noncurrent, and restored copies ┐
//!   UPLOADS (prefix) ─► PARTS ─► uploads under way                 ┴─► sums by what it is and class, priced
//! ```
//!
//! # Invariants
//! - Each page is of one snapshot, its own: what is written meanwhile may be in it or not, and nothing that stays is left out or counted twice.
//! - Rows alone are read, no body and no seal: damage that only an opened seal shows is not seen. A row that can't be read is named.
//!
//! # Limits
//! [`BATCH`] versions or parts a page, but for an upload with more parts.

use crate::lifecycle::Versions;
use crate::list::{bound, bound_end};
use crate::price::{Money, Prices};
use crate::record::{ObjectRow, PartRow, UploadRow};
use crate::store::View;
use crate::{
    BucketName, Error, ObjectKey, ObjectStore, RestoreState, Result, StorageClass, UploadId, tables,
};
use bytes::Bytes;
use engine::catalog::record::Record;
use engine::catalog::{Scan, key_after};
use std::collections::BTreeMap;

/// Versions of one page.
#[cfg(not(test))]
const BATCH: u64 = 5_000;
/// Few, so that tests have several pages.
#[cfg(test)]
const BATCH: u64 = 5;
/// Rows of one read.
const ROWS: usize = 1_000;

/// What is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CostOf {
    /// Objects, as they are current.
    Current,
    /// Versions that are not, those behind a delete marker among them.
    Noncurrent,
    /// Parts of uploads that are under way.
    Upload,
    /// Copies that a restore has made, beside what is archived.
    Restored,
}

impl CostOf {
    /// For scripts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Noncurrent => "noncurrent",
            Self::Upload => "upload",
            Self::Restored => "restored",
        }
    }
}

/// What all of one kind and class comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CostRow {
    /// What.
    pub of: CostOf,
    /// In which class.
    pub class: StorageClass,
    /// How many: versions, copies or parts.
    pub count: u64,
    /// Bytes that were written.
    pub bytes: u64,
    /// Bytes that are billed: with the least size, and what is billed beside each.
    pub billed_bytes: u64,
    /// What it costs a month.
    pub monthly: Money,
    /// What the same would cost if all of it were STANDARD.
    pub monthly_in_standard: Money,
}

/// Where a walk goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CostAfter {
    phase: Phase,
    from: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// At a key's newest version.
    Versions,
    /// Among the versions of a key.
    Within,
    Uploads,
}

const PHASES: [(Phase, &str); 3] = [(Phase::Versions, "v"), (Phase::Within, "w"), (Phase::Uploads, "u")];

impl CostAfter {
    const START: Self = Self { phase: Phase::Versions, from: Bytes::new() };

    /// As clients carry it.
    pub fn to_text(&self) -> String {
        let name = PHASES.iter().find(|(phase, _)| *phase == self.phase).map_or("", |(_, name)| *name);
        self.from.iter().fold(name.to_owned(), |text, byte| format!("{text}{byte:02x}"))
    }

    /// Reads what [`to_text`](Self::to_text) writes.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = || Error::InvalidArgument { name: "after", detail: "not where a page ended" };
        let known = |(phase, name): &(Phase, &str)| Some((*phase, text.strip_prefix(name)?));
        let (phase, digits) = PHASES.iter().find_map(known).ok_or_else(invalid)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) || digits.len() % 2 == 1 {
            return Err(invalid());
        }
        let byte = |at: usize| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).map_err(|_| invalid());
        let from = (0..digits.len() / 2).map(byte).collect::<Result<Vec<u8>>>()?;
        Ok(Self { phase, from: from.into() })
    }
}

/// A page of what is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CostPage {
    /// By what and class.
    pub rows: Vec<CostRow>,
    /// Versions, delete markers and parts that were looked at.
    pub seen: u64,
    /// Delete markers, which cost nothing.
    pub markers: u64,
    /// Keys of versions, parts and uploads that can't be read and are in no sum.
    pub damaged: Vec<String>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<CostAfter>,
}

/// What a page adds up.
struct Tally<'p> {
    prices: &'p Prices,
    rows: BTreeMap<(CostOf, StorageClass), CostRow>,
    page: CostPage,
}

impl Tally<'_> {
    fn add(&mut self, of: CostOf, class: StorageClass, bytes: u64) {
        let prices = self.prices;
        let in_standard = prices.month(StorageClass::Standard, bytes);
        let (billed, monthly, in_standard) = match of {
            CostOf::Current | CostOf::Noncurrent => {
                let billed = prices.billed(class, bytes);
                let billed = billed.bytes.saturating_add(billed.standard_bytes);
                (billed, prices.month(class, bytes), in_standard)
            }
            // What is to be archived waits as STANDARD until its parts are put together.
            CostOf::Upload => {
                let class = if class.is_archived() { StorageClass::Standard } else { class };
                (bytes, prices.bytes_month(class, bytes), prices.bytes_month(StorageClass::Standard, bytes))
            }
            // In STANDARD there would be none.
            CostOf::Restored => (bytes, prices.bytes_month(StorageClass::Standard, bytes), Money::ZERO),
        };
        let none = CostRow {
            of,
            class,
            count: 0,
            bytes: 0,
            billed_bytes: 0,
            monthly: Money::ZERO,
            monthly_in_standard: Money::ZERO,
        };
        let row = self.rows.entry((of, class)).or_insert(none);
        row.count += 1;
        row.bytes = row.bytes.saturating_add(bytes);
        row.billed_bytes = row.billed_bytes.saturating_add(billed);
        row.monthly += monthly;
        row.monthly_in_standard += in_standard;
    }

    fn is_full(&self) -> bool {
        self.page.seen >= BATCH
    }

    fn damaged(&mut self, key: String) {
        // One key may have many.
        if self.page.damaged.last() != Some(&key) {
            self.page.damaged.push(key);
        }
    }
}

impl ObjectStore {
    /// A page of what is stored below a prefix, and what that costs.
    pub async fn cost(
        &self,
        name: &BucketName,
        prefix: &str,
        prices: &Prices,
        after: Option<&CostAfter>,
    ) -> Result<CostPage> {
        let view = self.view(name).await?;
        let mut tally = Tally { prices, rows: BTreeMap::new(), page: CostPage::default() };
        let start = CostAfter::START;
        let after = after.unwrap_or(&start);
        let from = after.from.clone().max(bound(prefix.as_bytes()));
        let next = match after.phase {
            Phase::Uploads => self.cost_of_uploads(&view, prefix, from, &mut tally).await?,
            phase => {
                self.cost_of_versions(&view, (prefix, from), phase == Phase::Versions, &mut tally).await?
            }
        };
        let Tally { rows, page, .. } = tally;
        Ok(CostPage { rows: rows.into_values().collect(), next, ..page })
    }

    async fn cost_of_versions(
        &self,
        view: &View,
        (prefix, start): (&str, Bytes),
        mut newest: bool,
        tally: &mut Tally<'_>,
    ) -> Result<Option<CostAfter>> {
        let scan = Scan { start, end: bound_end(prefix), ..Scan::prefix(tables::VERSIONS, b"", ROWS) };
        let mut rows = Versions::new(&*view.snapshot, scan);
        while let Some(version) = rows.next().await? {
            tally.page.seen += 1;
            match version.row {
                Ok(ObjectRow { stored: None, .. }) => tally.page.markers += 1,
                Ok(ObjectRow { stored: Some(stored), .. }) => {
                    let of = if newest { CostOf::Current } else { CostOf::Noncurrent };
                    let bytes = stored.size().get();
                    tally.add(of, stored.class, bytes);
                    let there = |until| until > self.clock.now();
                    if matches!(stored.restore(), Some(RestoreState::Until(until)) if there(until)) {
                        tally.add(CostOf::Restored, stored.class, bytes);
                    }
                }
                Err(_) => tally.damaged(version.key.clone()),
            }
            newest = !version.below;
            if tally.is_full() {
                let from = key_after(&tables::version(&ObjectKey::parse(&version.key)?, version.id).bytes);
                let phase = if newest { Phase::Versions } else { Phase::Within };
                return Ok(Some(CostAfter { phase, from }));
            }
        }
        Ok(Some(CostAfter { phase: Phase::Uploads, from: Bytes::new() }))
    }

    async fn cost_of_uploads(
        &self,
        view: &View,
        prefix: &str,
        start: Bytes,
        tally: &mut Tally<'_>,
    ) -> Result<Option<CostAfter>> {
        let scan = Scan { start, end: bound_end(prefix), ..Scan::prefix(tables::UPLOADS, b"", ROWS) };
        let found = view.snapshot.scan(scan.clone()).await?;
        for (raw, row) in &found.rows {
            let (key, upload) = tables::read_upload(raw)?;
            tally.page.seen += 1;
            match UploadRow::from_bytes(row) {
                Ok(row) => cost_of_parts(view, (key, upload), row.class, tally).await?,
                Err(_) => tally.damaged(key),
            }
            if tally.is_full() {
                return Ok(Some(CostAfter { phase: Phase::Uploads, from: key_after(raw) }));
            }
        }
        Ok(scan.behind(&found).map(|behind| CostAfter { phase: Phase::Uploads, from: behind.start }))
    }
}

async fn cost_of_parts(
    view: &View,
    (key, upload): (String, UploadId),
    class: StorageClass,
    tally: &mut Tally<'_>,
) -> Result<()> {
    let mut next = Some(Scan::prefix(tables::PARTS, upload.as_bytes(), ROWS));
    while let Some(scan) = next {
        let parts = view.snapshot.scan(scan.clone()).await?;
        for (_, part) in &parts.rows {
            tally.page.seen += 1;
            match PartRow::from_bytes(part) {
                Ok(part) => tally.add(CostOf::Upload, class, part.extent.length),
                Err(_) => tally.damaged(key.clone()),
            }
        }
        next = scan.behind(&parts);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{CostAfter, Phase};
    use bytes::Bytes;

    #[test]
    fn where_a_walk_goes_on_is_a_text() {
        for phase in [Phase::Versions, Phase::Within, Phase::Uploads] {
            let after = CostAfter { phase, from: Bytes::from_static(b"a\0\xff\x01") };
            assert_eq!(CostAfter::parse(&after.to_text()).unwrap(), after);
        }
        assert_eq!(CostAfter::parse("v").unwrap(), CostAfter::START);
        for bad in ["", "x", "v1", "vzz", "vé1", "é", "w+1"] {
            CostAfter::parse(bad).unwrap_err();
        }
    }
}
