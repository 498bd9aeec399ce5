//! What rules would do until a day to come, counted and priced by moment and rule: a bucket's keys simulated one by one, a page at a time.
//!
//! # Limits
//! [`BATCH`] versions or uploads a page, but for a key with more; [`HELD`] versions of one key: one with more is named and left out, as one with a damaged version is.

use super::judge::{Facts, KeyRules, LifecycleAct};
use super::keys::Versions;
use super::simulate::{Step, simulate};
use crate::price::{DeedCost, Prices};
use crate::record::UploadRow;
use crate::store::View;
use crate::{BucketName, Error, Lifecycle, ObjectKey, ObjectStore, Result, StorageClass, tables};
use bytes::Bytes;
use engine::catalog::record::Record;
use engine::catalog::{Scan, prefix_end};
use engine::clock::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Versions of one page.
#[cfg(not(test))]
const BATCH: u64 = 5_000;
/// Few, so that tests have several pages.
#[cfg(test)]
const BATCH: u64 = 50;
/// Versions of one key.
const HELD: usize = 10_000;

/// Where a preview goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewAfter {
    uploads: bool,
    from: Bytes,
}

impl PreviewAfter {
    /// As clients carry it.
    pub fn to_text(&self) -> String {
        let digits = self.from.iter().map(|byte| format!("{byte:02x}"));
        let phase = if self.uploads { 'u' } else { 'v' };
        std::iter::once(phase.to_string()).chain(digits).collect()
    }

    /// Reads what [`to_text`](Self::to_text) writes.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = || Error::InvalidArgument { name: "after", detail: "not where a preview ended" };
        let (uploads, digits) = match text.split_at_checked(1) {
            Some(("v", digits)) => (false, digits),
            Some(("u", digits)) => (true, digits),
            _ => return Err(invalid()),
        };
        if !digits.is_ascii() || digits.len() % 2 == 1 {
            return Err(invalid());
        }
        let byte = |at: usize| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).map_err(|_| invalid());
        let from = (0..digits.len() / 2).map(byte).collect::<Result<Vec<u8>>>()?;
        Ok(Self { uploads, from: from.into() })
    }
}

/// What one rule would do at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewRow {
    /// When.
    pub at: Timestamp,
    /// The rule's id.
    pub rule: String,
    /// What.
    pub act: LifecycleAct,
    /// How often.
    pub count: u64,
    /// Bytes of what it is done to.
    pub bytes: u64,
    /// Of those, bytes that are gone then and not just hidden.
    pub freed_bytes: u64,
    /// What it costs once, and a month before and after. Markers and uploads cost nothing here.
    pub cost: DeedCost,
}

/// A page of a preview.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LifecyclePreview {
    /// In order of moments.
    pub rows: Vec<PreviewRow>,
    /// Versions and uploads that were looked at.
    pub seen: u64,
    /// Keys that were left out: with more versions than are held, or with a damaged version or upload.
    pub left_out: Vec<String>,
    /// Those of them that are damaged.
    pub damaged: Vec<String>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<PreviewAfter>,
}

#[derive(Default)]
struct Sum {
    count: u64,
    bytes: u64,
    freed: u64,
    cost: DeedCost,
}

struct Sums<'p> {
    prices: &'p Prices,
    all: BTreeMap<(Timestamp, usize, LifecycleAct), Sum>,
}

impl Sums<'_> {
    fn add(&mut self, step: &Step) {
        let (class, days) = step.from;
        let cost = match step.act {
            LifecycleAct::Transition(to) => self.prices.moved(class, to, step.bytes, days),
            LifecycleAct::RemoveMarker | LifecycleAct::AbortUpload => DeedCost::default(),
            // A marker among noncurrent versions has no bytes and no class.
            _ if !step.stored => DeedCost::default(),
            _ if step.frees => self.prices.removed(class, step.bytes, days),
            _ => self.prices.hidden(class, step.bytes),
        };
        let sum = self.all.entry((step.at, step.rule, step.act)).or_default();
        sum.count += 1;
        sum.bytes += step.bytes;
        sum.freed += if step.frees { step.bytes } else { 0 };
        sum.cost += cost;
    }
}

impl ObjectStore {
    /// A page of what a bucket's rules, or these ones, do between two moments, at these prices.
    pub async fn preview_lifecycle(
        &self,
        name: &BucketName,
        (rules, prices): (Option<&Lifecycle>, &Prices),
        span: (Timestamp, Timestamp),
        after: Option<&PreviewAfter>,
    ) -> Result<LifecyclePreview> {
        let view = self.view(name).await?;
        let lifecycle = match rules {
            Some(rules) => Arc::new(rules.clone()),
            None => self.lifecycle_at(&view).await?.ok_or(Error::NoSuchConfiguration)?,
        };
        let mut page = LifecyclePreview::default();
        let mut sums = Sums { prices, all: BTreeMap::new() };
        let from = after.map_or_else(Bytes::new, |after| after.from.clone());
        page.next = if after.is_some_and(|after| after.uploads) {
            self.preview_uploads(&view, &lifecycle, (span, from), (&mut page, &mut sums)).await?
        } else {
            self.preview_versions(&view, &lifecycle, (span, from), (&mut page, &mut sums)).await?
        };
        page.rows = sums
            .all
            .into_iter()
            .map(|((at, rule, act), Sum { count, bytes, freed: freed_bytes, cost })| {
                let rule = lifecycle.rules().get(rule).map(|rule| rule.id.clone()).unwrap_or_default();
                PreviewRow { at, rule, act, count, bytes, freed_bytes, cost }
            })
            .collect();
        Ok(page)
    }

    async fn preview_versions(
        &self,
        view: &View,
        lifecycle: &Lifecycle,
        (span, start): ((Timestamp, Timestamp), Bytes),
        (page, sums): (&mut LifecyclePreview, &mut Sums<'_>),
    ) -> Result<Option<PreviewAfter>> {
        let all = Scan { start, ..Scan::prefix(tables::VERSIONS, b"", 1_000) };
        let mut rows = Versions::new(&*view.snapshot, all);
        let (mut of_key, mut too_many, mut damaged) = (Vec::new(), false, false);
        while let Some(version) = rows.next().await? {
            page.seen += 1;
            match &version.row {
                Ok(row) if of_key.len() < HELD => of_key.push(self.facts(view, row).await?),
                Ok(_) => too_many = true,
                Err(_) => damaged = true,
            }
            if version.below {
                continue;
            }
            let rules = KeyRules::of(lifecycle, (self.calendar(), view.config.versioning), &version.key);
            let mut held: Vec<Facts> = std::mem::take(&mut of_key);
            let (too_many, damaged) = (std::mem::take(&mut too_many), std::mem::take(&mut damaged));
            if damaged {
                page.damaged.push(version.key.clone());
            }
            if damaged || too_many {
                page.left_out.push(version.key.clone());
            } else if !rules.is_empty() {
                simulate(&rules, view.config.versioning, &mut held, span, |step| sums.add(&step));
            }
            if page.seen >= BATCH {
                let from = prefix_end(&tables::versions_of(&ObjectKey::parse(&version.key)?));
                return Ok(Some(PreviewAfter { uploads: false, from }));
            }
        }
        Ok(Some(PreviewAfter { uploads: true, from: Bytes::new() }))
    }

    async fn preview_uploads(
        &self,
        view: &View,
        lifecycle: &Lifecycle,
        ((from, until), start): ((Timestamp, Timestamp), Bytes),
        (page, sums): (&mut LifecyclePreview, &mut Sums<'_>),
    ) -> Result<Option<PreviewAfter>> {
        let scan = Scan { start, ..Scan::prefix(tables::UPLOADS, b"", 1_000) };
        let found = view.snapshot.scan(scan.clone()).await?;
        for (raw, row) in &found.rows {
            page.seen += 1;
            let (key, _) = tables::read_upload(raw)?;
            let rules = KeyRules::of(lifecycle, (self.calendar(), view.config.versioning), &key);
            let Ok(row) = UploadRow::from_bytes(row) else {
                page.damaged.push(key.clone());
                page.left_out.push(key);
                continue;
            };
            let due = rules.upload_due(row.initiated);
            if let Some(due) = due.filter(|due| due.at <= until) {
                let at = due.at.max(from);
                let from = (StorageClass::Standard, 0);
                sums.add(&Step {
                    at,
                    act: due.act,
                    rule: due.rule,
                    bytes: 0,
                    stored: false,
                    frees: true,
                    from,
                });
            }
        }
        Ok(scan.behind(&found).map(|behind| PreviewAfter { uploads: true, from: behind.start }))
    }
}

#[cfg(test)]
mod tests {
    use super::PreviewAfter;
    use bytes::Bytes;

    #[test]
    fn where_a_preview_goes_on_is_a_text() {
        for after in [
            PreviewAfter { uploads: false, from: Bytes::from_static(b"a\0\xff\x01") },
            PreviewAfter { uploads: true, from: Bytes::new() },
        ] {
            assert_eq!(PreviewAfter::parse(&after.to_text()).unwrap(), after);
        }
        for bad in ["", "w", "v1", "vzz", "vé1", "é"] {
            PreviewAfter::parse(bad).unwrap_err();
        }
    }
}
