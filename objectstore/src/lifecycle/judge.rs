//! From which moment on a rule acts on a version, or why it does not. Pure: no rows and no clock.
//!
//! ```text
//!   rule + version + how it stands in its key ─► judge ─► due at a moment │ why not
//!   a key's versions, newest first ─► KeyJudge, one by one ─► the earliest of all rules for each
//! ```
//!
//! # Invariants
//! - Whoever asks what rules do asks here: worker, walk, preview, explanation, header and the writers' index rows.
//! - Taking out a version changes what is said of older ones alone: who removes some of what is due together begins with the
//!   oldest.

use super::calendar::Calendar;
use crate::setting::{
    LifecycleExpiration, LifecycleFilter, LifecycleRule, NEWER_NONCURRENT_MAX, NoncurrentExpiration,
    TransitionMinimum, TransitionWhen,
};
use crate::{Lifecycle, StorageClass, Tags, Versioning};
use engine::clock::Timestamp;
use std::collections::VecDeque;

/// What keeps a version from being removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LifecycleHold {
    /// Nothing.
    #[default]
    None,
    /// A retention, until then.
    Until(Timestamp),
    /// A legal hold, or a lock of unknown state.
    Hold,
}

/// What is judged of a version or delete marker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) modified: Timestamp,
    /// `None` of a delete marker.
    pub(crate) size: Option<u64>,
    pub(crate) tags: Tags,
    pub(crate) hold: LifecycleHold,
    /// It is the key's null version.
    pub(crate) null: bool,
    pub(crate) class: StorageClass,
    /// Since when it is in that, as far as that is known; no rule asks.
    pub(crate) since: Timestamp,
}

/// How a version stands among those of its key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// Since when it is noncurrent; `None` of the current one.
    pub(crate) since: Option<Timestamp>,
    /// Since when those noncurrent versions are that stand above it, the next one first, as far as it matters.
    pub(crate) newer: &'a VecDeque<Timestamp>,
    /// There is no other version.
    pub(crate) alone: bool,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LifecycleAct {
    /// The current object expires: a delete marker hides it or, where versions are not kept, it goes.
    Expire,
    /// A noncurrent version or marker is removed.
    RemoveNoncurrent,
    /// A delete marker that hides nothing is removed.
    RemoveMarker,
    /// An upload is given up.
    AbortUpload,
    /// A version moves to another class.
    Transition(StorageClass),
}

impl LifecycleAct {
    /// For scripts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expire => "expire",
            Self::RemoveNoncurrent => "remove_noncurrent",
            Self::RemoveMarker => "remove_marker",
            Self::AbortUpload => "abort_upload",
            Self::Transition(_) => "transition",
        }
    }

    /// To which class it moves what it acts on.
    pub const fn class(self) -> Option<StorageClass> {
        match self {
            Self::Transition(class) => Some(class),
            _ => None,
        }
    }

    /// What comes first of one moment: what is gone needs no other class, what is hidden may. Of classes the deepest. `for_good`: what
    /// expires is gone, and not hidden.
    const fn rank(self, for_good: bool) -> (u8, u8) {
        match self {
            Self::RemoveNoncurrent | Self::RemoveMarker | Self::AbortUpload => (0, 0),
            Self::Expire if for_good => (0, 0),
            Self::Transition(class) => (1, u8::MAX - class.depth()),
            Self::Expire => (2, 0),
        }
    }
}

/// Why a rule does nothing about a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LifecycleWhyNot {
    /// The rule is switched off.
    Disabled,
    /// The key does not begin with the rule's prefix.
    OtherPrefix,
    /// It lacks a tag that the rule asks for.
    OtherTags,
    /// Its size is not what the rule asks for.
    OtherSize,
    /// The rule has no action for what it is: a current version, a noncurrent one or a delete marker.
    NoAction,
    /// The marker hides versions.
    HidesVersions,
    /// It is among the noncurrent versions that the rule keeps.
    Kept,
    /// A legal hold is on it, or its lock is not known.
    OnHold,
    /// It is in the rule's class, or in one from which no way leads there.
    InClass,
    /// It is smaller than what is moved where a rule names no size.
    TooSmall,
}

/// A rule's say.
pub(crate) type Verdict = Result<(Timestamp, LifecycleAct), LifecycleWhyNot>;

/// What the rules come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) at: Timestamp,
    pub(crate) act: LifecycleAct,
    /// Its place among the bucket's rules.
    pub(crate) rule: usize,
}

/// Whether a rule is about what has these tags and this size. A marker has neither.
fn about(filter: &LifecycleFilter, version: &Facts) -> Result<(), LifecycleWhyNot> {
    let has = |wanted: (&str, &str)| version.tags.iter().any(|tag| tag == wanted);
    if !filter.tags.iter().all(has) {
        return Err(LifecycleWhyNot::OtherTags);
    }
    let fits = match version.size {
        None => filter.larger.is_none() && filter.smaller.is_none(),
        Some(size) => {
            filter.larger.is_none_or(|larger| size > larger)
                && filter.smaller.is_none_or(|smaller| size < smaller)
        }
    };
    if fits { Ok(()) } else { Err(LifecycleWhyNot::OtherSize) }
}

/// What a rule, whose prefix was looked at before, does to a version.
pub(crate) fn judge(rule: &LifecycleRule, calendar: Calendar, version: &Facts, place: &Place<'_>) -> Verdict {
    if !rule.enabled {
        return Err(LifecycleWhyNot::Disabled);
    }
    about(&rule.filter, version)?;
    match (place.since, version.size) {
        (Some(since), _) => judge_noncurrent(rule, calendar, version, (since, place.newer)),
        (None, Some(_)) => {
            let at = expires(rule, calendar, version.modified).ok_or(LifecycleWhyNot::NoAction)?;
            Ok((at, LifecycleAct::Expire))
        }
        (None, None) => {
            let at = match rule.expiration {
                Some(LifecycleExpiration::Marker(true)) => calendar.midnight_after(version.modified),
                _ => expires(rule, calendar, version.modified).ok_or(LifecycleWhyNot::NoAction)?,
            };
            if place.alone {
                Ok((at, LifecycleAct::RemoveMarker))
            } else {
                Err(LifecycleWhyNot::HidesVersions)
            }
        }
    }
}

/// When what was made at a moment expires while it is current.
fn expires(rule: &LifecycleRule, calendar: Calendar, made: Timestamp) -> Option<Timestamp> {
    match rule.expiration? {
        LifecycleExpiration::Days(days) => Some(calendar.days_after(made, days)),
        // What is made after the date goes with the day on which it is made.
        LifecycleExpiration::Date(date) => Some(date.max(calendar.midnight_after(made))),
        LifecycleExpiration::Marker(_) => None,
    }
}

fn judge_noncurrent(
    rule: &LifecycleRule,
    calendar: Calendar,
    version: &Facts,
    (since, newer): (Timestamp, &VecDeque<Timestamp>),
) -> Verdict {
    let NoncurrentExpiration { days, newer: keep } = rule.noncurrent.ok_or(LifecycleWhyNot::NoAction)?;
    let mut at = calendar.days_after(since, days);
    if let Some(keep) = keep {
        let keep = usize::try_from(keep).unwrap_or(usize::MAX);
        let pushed_out = keep.checked_sub(1).and_then(|place| newer.get(place));
        at = at.max(calendar.midnight_after(*pushed_out.ok_or(LifecycleWhyNot::Kept)?));
    }
    match version.hold {
        LifecycleHold::None => {}
        LifecycleHold::Until(until) => at = at.max(calendar.midnight_after(until)),
        LifecycleHold::Hold => return Err(LifecycleWhyNot::OnHold),
    }
    Ok((at, LifecycleAct::RemoveNoncurrent))
}

/// Objects smaller than this are not moved where a rule names no size.
const MINIMUM_BYTES: u64 = 128 << 10;

/// How days are counted, what is too small to be moved, and what becomes of what expires.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) calendar: Calendar,
    pub(crate) minimum: TransitionMinimum,
    pub(crate) versioning: Versioning,
}

impl Terms {
    /// Whether a version is gone when it expires: a marker takes the place of the null version, and hides any other.
    pub(super) fn loses(self, version: &Facts) -> bool {
        match self.versioning {
            Versioning::Off => true,
            Versioning::Suspended => version.null,
            Versioning::Enabled => false,
        }
    }
}

/// To which class a rule moves a version next, and when; `None`: it moves none like it.
fn judge_moves(rule: &LifecycleRule, terms: Terms, version: &Facts, place: &Place<'_>) -> Option<Verdict> {
    let size = version.size?;
    let calendar = terms.calendar;
    let steps: Vec<(StorageClass, Option<Timestamp>)> = match place.since {
        None => {
            let at = |when| match when {
                TransitionWhen::Days(days) => calendar.days_after(version.modified, days),
                TransitionWhen::Date(date) => date.max(calendar.midnight_after(version.modified)),
            };
            rule.transitions.iter().map(|one| (one.class, Some(at(one.when)))).collect()
        }
        Some(since) => {
            let rules = rule.noncurrent_transitions.iter();
            rules
                .map(|one| (one.class, moved_at(calendar, (since, place.newer), one.days, one.newer)))
                .collect()
        }
    };
    if steps.is_empty() {
        return None;
    }
    if !rule.enabled {
        return Some(Err(LifecycleWhyNot::Disabled));
    }
    if let Err(why) = about(&rule.filter, version) {
        return Some(Err(why));
    }
    let says_size = rule.filter.larger.is_some() || rule.filter.smaller.is_some();
    let too_small = |class: StorageClass| {
        let counts = terms.minimum == TransitionMinimum::All128K || !class.is_archived();
        size < MINIMUM_BYTES && counts && !says_size
    };
    let (mut next, mut why) = (None::<(Timestamp, LifecycleAct)>, LifecycleWhyNot::InClass);
    for (class, at) in steps {
        if !version.class.goes_to(class) {
            continue;
        }
        match at {
            _ if too_small(class) => why = LifecycleWhyNot::TooSmall,
            None => why = LifecycleWhyNot::Kept,
            Some(at) => {
                let step = (at, LifecycleAct::Transition(class));
                let sooner = |known: &(Timestamp, LifecycleAct)| {
                    (at, step.1.rank(false)) < (known.0, known.1.rank(false))
                };
                if next.as_ref().is_none_or(sooner) {
                    next = Some(step);
                }
            }
        }
    }
    Some(next.ok_or(why))
}

/// When a noncurrent version may be acted on; `None`: it is among those that are kept.
fn moved_at(
    calendar: Calendar,
    (since, newer): (Timestamp, &VecDeque<Timestamp>),
    days: u32,
    keep: Option<u32>,
) -> Option<Timestamp> {
    let at = calendar.days_after(since, days);
    let Some(keep) = keep else { return Some(at) };
    let keep = usize::try_from(keep).unwrap_or(usize::MAX);
    let pushed_out = keep.checked_sub(1).and_then(|place| newer.get(place))?;
    Some(at.max(calendar.midnight_after(*pushed_out)))
}

/// What a rule, whose prefix was looked at before, does to a version next: the end of it, or another class.
pub(crate) fn judge_all(rule: &LifecycleRule, terms: Terms, version: &Facts, place: &Place<'_>) -> Verdict {
    let (ends, gone) = (judge(rule, terms.calendar, version, place), terms.loses(version));
    match (ends, judge_moves(rule, terms, version, place)) {
        (Ok(end), Some(Ok(step))) => {
            Ok(if (step.0, step.1.rank(gone)) < (end.0, end.1.rank(gone)) { step } else { end })
        }
        (Err(_), Some(Ok(step))) => Ok(step),
        (Err(LifecycleWhyNot::NoAction), Some(Err(why))) => Err(why),
        (ends, _) => ends,
    }
}

/// When an upload that was begun at a moment is given up by a rule.
pub(crate) fn judge_upload(rule: &LifecycleRule, calendar: Calendar, begun: Timestamp) -> Verdict {
    if !rule.enabled {
        return Err(LifecycleWhyNot::Disabled);
    }
    let days = rule.abort_days.ok_or(LifecycleWhyNot::NoAction)?;
    Ok((calendar.days_after(begun, days), LifecycleAct::AbortUpload))
}

/// The earliest say; of several the first rule's. `for_good`: what expires is gone.
fn earliest(verdicts: impl Iterator<Item = (usize, Verdict)>, for_good: bool) -> Option<Due> {
    let due = verdicts.filter_map(|(rule, verdict)| {
        let (at, act) = verdict.ok()?;
        Some(Due { at, act, rule })
    });
    due.min_by_key(|due| (due.at, due.act.rank(for_good), due.rule))
}

/// The rules that act on keys like one.
#[derive(Clone, Debug)]
pub(crate) struct KeyRules<'r> {
    rules: Vec<(usize, &'r LifecycleRule)>,
    terms: Terms,
}

impl<'r> KeyRules<'r> {
    pub(crate) fn of(
        lifecycle: &'r Lifecycle,
        (calendar, versioning): (Calendar, Versioning),
        key: &str,
    ) -> Self {
        let rules = lifecycle.rules().iter().enumerate();
        let rules = rules.filter(|(_, rule)| rule.enabled && key.starts_with(rule.filter.prefix())).collect();
        Self { rules, terms: Terms { calendar, minimum: lifecycle.minimum, versioning } }
    }

    /// Whole days from one moment to another.
    pub(crate) fn days_between(&self, from: Timestamp, to: Timestamp) -> u32 {
        self.terms.calendar.days_between(from, to)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether one keeps a number of noncurrent versions: what it does to one depends on how many are above.
    pub(crate) fn keeps_a_number(&self) -> bool {
        self.rules.iter().any(|(_, rule)| {
            rule.noncurrent.is_some_and(|noncurrent| noncurrent.newer.is_some())
                || rule.noncurrent_transitions.iter().any(|one| one.newer.is_some())
        })
    }

    pub(crate) fn due(&self, version: &Facts, place: &Place<'_>) -> Option<Due> {
        let verdicts = self.rules.iter().map(|(at, rule)| (*at, judge_all(rule, self.terms, version, place)));
        earliest(verdicts, self.terms.loses(version))
    }

    pub(crate) fn upload_due(&self, begun: Timestamp) -> Option<Due> {
        let verdicts =
            self.rules.iter().map(|(at, rule)| (*at, judge_upload(rule, self.terms.calendar, begun)));
        earliest(verdicts, true)
    }

    /// What is due first of a current object.
    pub(crate) fn due_of_current(&self, object: &Facts) -> Option<Due> {
        self.due(object, &Place { since: None, newer: &VecDeque::new(), alone: false })
    }

    /// When a current object expires, whatever class it is in by then.
    pub(crate) fn expires(&self, object: &Facts) -> Option<Due> {
        self.ends(object, &Place { since: None, newer: &VecDeque::new(), alone: false })
    }

    /// When a version comes to its end, whatever class it is in by then.
    pub(crate) fn ends(&self, version: &Facts, place: &Place<'_>) -> Option<Due> {
        let calendar = self.terms.calendar;
        earliest(self.rules.iter().map(|(at, rule)| (*at, judge(rule, calendar, version, place))), true)
    }
}

/// Remembers of a key's newer versions what the judgement of older ones needs. Bounded, however many there are.
#[derive(Debug, Default)]
pub(crate) struct Above {
    /// When the next newer version was made.
    made: Option<Timestamp>,
    newer: VecDeque<Timestamp>,
}

impl Above {
    /// Since when a version is noncurrent. It is never so since before it was there.
    pub(crate) fn since(&self, version: &Facts) -> Option<Timestamp> {
        self.made.map(|made| made.max(version.modified))
    }

    /// The place of the next version. `below`: there are older ones.
    pub(crate) fn place(&self, version: &Facts, below: bool) -> Place<'_> {
        let since = self.since(version);
        Place { since, newer: &self.newer, alone: since.is_none() && !below }
    }

    /// Goes on to the version below.
    pub(crate) fn pass(&mut self, version: &Facts) {
        if let Some(since) = self.since(version) {
            self.newer.push_front(since);
            self.newer.truncate(NEWER_NONCURRENT_MAX as usize);
        }
        self.made = Some(version.modified);
    }
}

#[cfg(test)]
mod tests;
