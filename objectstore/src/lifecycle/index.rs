//! Rows of `DUE`: when to look at a key. Hints that are never late.
//!
//! # Invariants
//! - For whatever a rule will act on there is a row of its key at that moment or before it, from the commit on that wrote it or changed it,
//!   or from the walk on that the rules' own commit began.
//! - A row may be early, or about what is gone: whoever finds it judges anew.

use super::calendar::Calendar;
use super::judge::{Above, Facts, KeyRules, LifecycleHold};
use super::{Lifecycles, unread};
use crate::record::ObjectRow;
use crate::store::View;
use crate::tables::{self, DueOf};
use crate::{Lifecycle, ObjectKey, ObjectStore, Result};
use engine::catalog::Write;
use engine::clock::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;

/// When a rule acts on an object, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// From then on.
    pub at: Timestamp,
    /// The rule's id.
    pub rule: Arc<str>,
}

/// The write of a look at a key.
pub(crate) fn look(at: Timestamp, of: DueOf, key: &str) -> Write {
    Write::Put(tables::due(at, of, key), tables::PRESENT)
}

impl Facts {
    /// Of a row; `unknown`: its lock is.
    pub(crate) fn of(row: &ObjectRow, unknown: bool) -> Self {
        let beside = &row.subresources;
        let hold = match (beside.legal_hold.unwrap_or(unknown), beside.retention) {
            (true, _) => LifecycleHold::Hold,
            (false, Some(retention)) => LifecycleHold::Until(retention.until),
            (false, None) => LifecycleHold::None,
        };
        let size = row.stored.as_ref().map(|stored| stored.size().get());
        let class = row.stored.as_ref().map(|stored| stored.class).unwrap_or_default();
        // Of what was moved without a vault nothing says when.
        let since = row.cold().and_then(|cold| cold.archive).map_or(row.modified, |archive| archive.created);
        Self { modified: row.modified, size, tags: beside.tags.clone(), hold, null: row.null, class, since }
    }
}

impl Lifecycles {
    /// An expiry as answers carry it.
    pub(crate) fn expiry(lifecycle: &Lifecycle, rules: &KeyRules<'_>, object: &Facts) -> Option<Expiry> {
        let due = rules.expires(object).filter(|_| object.size.is_some())?;
        let rule = lifecycle.rules().get(due.rule)?;
        Some(Expiry { at: due.at, rule: rule.id.as_str().into() })
    }
}

impl ObjectStore {
    /// The calendar of this store's days.
    pub(crate) fn calendar(&self) -> Calendar {
        Calendar::new(self.day)
    }

    /// The rules that hold at a view. Costs nothing where nothing was ever set.
    pub(crate) async fn lifecycle_at(&self, view: &View) -> Result<Option<Arc<Lifecycle>>> {
        self.setting_at(view).await
    }

    /// The same for what goes on whatever they are: rules that can't be read match nothing, and the worker tells of them.
    pub(crate) async fn readable_lifecycle(&self, view: &View) -> Result<Option<Arc<Lifecycle>>> {
        self.lifecycle_at(view).await.or_else(unread)
    }

    /// What is judged of a row.
    pub(crate) async fn facts(&self, view: &View, row: &ObjectRow) -> Result<Facts> {
        Ok(Facts::of(row, self.is_unknown(view, row).await?))
    }

    /// What a new version adds to the index, and when it expires. `below`: what was on top.
    pub(crate) async fn index_new(
        &self,
        view: &View,
        key: &ObjectKey,
        (row, below): (&ObjectRow, Option<&ObjectRow>),
        now: Timestamp,
    ) -> Result<(Vec<Write>, Option<Expiry>)> {
        let Some(lifecycle) = self.readable_lifecycle(view).await? else { return Ok((Vec::new(), None)) };
        let rules = KeyRules::of(&lifecycle, (self.calendar(), view.config.versioning), key.as_str());
        if rules.is_empty() {
            return Ok((Vec::new(), None));
        }
        let mut looks = BTreeSet::new();
        let (mut above, new) = (Above::default(), self.facts(view, row).await?);
        // A marker may hide nothing, or will not any more: as if it were alone.
        looks.extend(rules.due(&new, &above.place(&new, false)).map(|due| due.at));
        above.pass(&new);
        // Replaced it is gone.
        if let Some(below) = below.filter(|below| !(below.null && row.null)) {
            let old = self.facts(view, below).await?;
            looks.extend(rules.due(&old, &above.place(&old, true)).map(|due| due.at));
            // One further down may be one too many now.
            if rules.keeps_a_number() {
                looks.insert(self.calendar().midnight_after(now));
            }
        }
        let writes = looks.into_iter().map(|at| look(at, DueOf::Versions, key.as_str())).collect();
        Ok((writes, Lifecycles::expiry(&lifecycle, &rules, &new)))
    }

    /// What any other change of a key's versions adds to the index: somebody looks at it tonight.
    pub(crate) async fn index_change(&self, view: &View, key: &ObjectKey) -> Result<Option<Write>> {
        let Some(lifecycle) = self.readable_lifecycle(view).await? else { return Ok(None) };
        let rules = KeyRules::of(&lifecycle, (self.calendar(), view.config.versioning), key.as_str());
        let tonight = self.calendar().midnight_after(self.clock.now());
        Ok((!rules.is_empty()).then(|| look(tonight, DueOf::Versions, key.as_str())))
    }

    /// What goes from the index with the only version of a key: the look that it was put with, as far as the rules are those of then.
    pub(crate) async fn index_gone(
        &self,
        view: &View,
        key: &ObjectKey,
        row: &ObjectRow,
    ) -> Result<Option<Write>> {
        let Some(lifecycle) = self.readable_lifecycle(view).await? else { return Ok(None) };
        let rules = KeyRules::of(&lifecycle, (self.calendar(), view.config.versioning), key.as_str());
        let due = rules.due_of_current(&self.facts(view, row).await?);
        Ok(due.map(|due| Write::Delete(tables::due(due.at, DueOf::Versions, key.as_str()))))
    }

    /// What an upload that begins adds to the index, and when it is given up.
    pub(crate) async fn index_upload(
        &self,
        view: &View,
        key: &ObjectKey,
        begun: Timestamp,
    ) -> Result<(Option<Write>, Option<Expiry>)> {
        let Some(expiry) = self.upload_expiry(view, key, begun).await? else { return Ok((None, None)) };
        Ok((Some(look(expiry.at, DueOf::Uploads, key.as_str())), Some(expiry)))
    }

    /// When an upload is given up.
    pub(crate) async fn upload_expiry(
        &self,
        view: &View,
        key: &ObjectKey,
        begun: Timestamp,
    ) -> Result<Option<Expiry>> {
        let Some(lifecycle) = self.readable_lifecycle(view).await? else { return Ok(None) };
        let rules = KeyRules::of(&lifecycle, (self.calendar(), view.config.versioning), key.as_str());
        let Some(due) = rules.upload_due(begun) else { return Ok(None) };
        let rule = lifecycle.rules().get(due.rule);
        Ok(rule.map(|rule| Expiry { at: due.at, rule: rule.id.as_str().into() }))
    }

    /// When a current object expires.
    pub(crate) async fn object_expiry(
        &self,
        view: &View,
        key: &ObjectKey,
        row: &ObjectRow,
    ) -> Result<Option<Expiry>> {
        let Some(lifecycle) = self.readable_lifecycle(view).await? else { return Ok(None) };
        let rules = KeyRules::of(&lifecycle, (self.calendar(), view.config.versioning), key.as_str());
        Ok(Lifecycles::expiry(&lifecycle, &rules, &self.facts(view, row).await?))
    }
}
