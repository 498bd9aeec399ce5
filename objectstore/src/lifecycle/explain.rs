//! What each rule says of each version of one key: when it acts, or why not.
//!
//! Limits: [`VERSIONS`] versions, newest first.

use super::judge::{
    Above, Due, Facts, KeyRules, LifecycleAct, LifecycleHold, LifecycleWhyNot, Terms, Verdict, judge_all,
    judge_upload,
};
use super::keys::Versions;
use crate::price::{DeedCost, Prices};
use crate::record::UploadRow;
use crate::{BucketName, Error, LifecycleRule, ObjectKey, ObjectStore, Result, StorageClass, tables};
use engine::catalog::Scan;
use engine::catalog::record::Record;
use engine::clock::Timestamp;

/// Versions of one answer.
const VERSIONS: usize = 100;

/// How a version stands in its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifecyclePlace {
    /// It is the newest.
    Current,
    /// A newer one stands above it, since then.
    Noncurrent(Timestamp),
    /// It is an upload under way.
    Upload,
}

/// What one rule says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleVerdict {
    /// The rule's id.
    pub rule: String,
    /// From when on it does what, or why it does nothing.
    pub says: Result<(Timestamp, LifecycleAct), LifecycleWhyNot>,
}

/// What the rules say of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionExplained {
    /// Its name, in a bucket that has versions; of an upload its id.
    pub version: String,
    /// How it stands.
    pub place: LifecyclePlace,
    /// When it was made.
    pub modified: Timestamp,
    /// Its bytes; `None` of a delete marker or an upload.
    pub size: Option<u64>,
    /// It is a delete marker.
    pub marker: bool,
    /// Its class; of an upload or a delete marker none that counts.
    pub class: StorageClass,
    /// What keeps it from being removed.
    pub hold: LifecycleHold,
    /// In order of the rules.
    pub rules: Vec<LifecycleVerdict>,
    /// The one that acts, as a place in `rules`.
    pub first: Option<usize>,
    /// What that costs; `None` where none acts, and of markers and uploads.
    pub cost: Option<DeedCost>,
}

/// What the rules say of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleExplained {
    /// Newest first, uploads behind them.
    pub versions: Vec<VersionExplained>,
    /// There are more.
    pub more: bool,
    /// What was there before the rules is being brought into the index, since then: rules may act later than said until that is done.
    pub walking_since: Option<Timestamp>,
}

fn verdict(key: &ObjectKey, rule: &LifecycleRule, says: impl FnOnce() -> Verdict) -> LifecycleVerdict {
    let says = if !rule.enabled {
        Err(LifecycleWhyNot::Disabled)
    } else if key.as_str().starts_with(rule.filter.prefix()) {
        says()
    } else {
        Err(LifecycleWhyNot::OtherPrefix)
    };
    LifecycleVerdict { rule: rule.id.clone(), says }
}

/// What a deed costs that is done when it is due, or now where it is overdue; `None` of a marker.
fn cost(prices: &Prices, terms: Terms, version: &Facts, (due, now): (Due, Timestamp)) -> Option<DeedCost> {
    let (bytes, class) = (version.size?, version.class);
    let days = terms.calendar.days_between(version.since, due.at.max(now));
    Some(match due.act {
        LifecycleAct::Transition(to) => prices.moved(class, to, bytes, days),
        LifecycleAct::Expire if !terms.loses(version) => prices.hidden(class, bytes),
        _ => prices.removed(class, bytes, days),
    })
}

impl ObjectStore {
    /// Says of each version of a key and of each of its uploads what each of the bucket's rules does about it.
    /// At these prices.
    pub async fn explain_lifecycle(
        &self,
        name: &BucketName,
        key: &ObjectKey,
        prices: &Prices,
    ) -> Result<LifecycleExplained> {
        let view = self.view(name).await?;
        let lifecycle = self.lifecycle_at(&view).await?.ok_or(Error::NoSuchConfiguration)?;
        let calendar = self.calendar();
        let (versioning, now) = (view.config.versioning, self.clock.now());
        let terms = Terms { calendar, versioning, minimum: lifecycle.minimum };
        let acting = KeyRules::of(&lifecycle, (calendar, versioning), key.as_str());
        let (mut explained, mut more) = (Vec::new(), false);
        let scan = Scan::prefix(tables::VERSIONS, &tables::versions_of(key), VERSIONS);
        let mut versions = Versions::new(&*view.snapshot, scan);
        let mut above = Above::default();
        while let Some(version) = versions.next().await? {
            if explained.len() == VERSIONS {
                more = true;
                break;
            }
            let row = version.row?;
            let facts = self.facts(&view, &row).await?;
            let place = above.place(&facts, version.below);
            let rules = lifecycle.rules().iter();
            let says = |rule: &LifecycleRule| judge_all(rule, terms, &facts, &place);
            let due = acting.due(&facts, &place);
            explained.push(VersionExplained {
                version: row.shown(view.config.versioning).map_or_else(String::new, |name| name.to_string()),
                place: place.since.map_or(LifecyclePlace::Current, LifecyclePlace::Noncurrent),
                modified: facts.modified,
                size: facts.size,
                marker: facts.size.is_none(),
                class: facts.class,
                hold: facts.hold,
                rules: rules.map(|rule| verdict(key, rule, || says(rule))).collect(),
                first: due.map(|due| due.rule),
                cost: due.and_then(|due| cost(prices, terms, &facts, (due, now))),
            });
            above.pass(&facts);
        }
        let uploads = Scan::prefix(tables::UPLOADS, &tables::versions_of(key), VERSIONS);
        let page = view.snapshot.scan(uploads).await?;
        for (raw, row) in &page.rows {
            let (_, upload) = tables::read_upload(raw)?;
            let begun = UploadRow::from_bytes(row)?.initiated;
            let rules = lifecycle.rules().iter();
            explained.push(VersionExplained {
                version: upload.to_string(),
                place: LifecyclePlace::Upload,
                modified: begun,
                size: None,
                marker: false,
                class: StorageClass::Standard,
                hold: LifecycleHold::None,
                rules: rules.map(|rule| verdict(key, rule, || judge_upload(rule, calendar, begun))).collect(),
                first: acting.upload_due(begun).map(|due| due.rule),
                cost: None,
            });
        }
        if explained.is_empty() {
            return Err(Error::NoSuchKey { marker: None });
        }
        let walking_since = self.lifecycle_state(name).await?.walking_since;
        Ok(LifecycleExplained { versions: explained, more: more || page.more, walking_since })
    }
}
