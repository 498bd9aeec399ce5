//! What rules will do to one key until a moment: judged, done to a copy of what is known of its versions, and judged again.
//!
//! Limits: what one key has of versions is held; a call has as many steps as versions and the markers that expiration adds.

use super::judge::{Above, Due, Facts, KeyRules, LifecycleAct};
use crate::{StorageClass, Versioning};
use engine::clock::Timestamp;

/// One thing that will be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// When: a midnight, or right now where it is overdue.
    pub(crate) at: Timestamp,
    pub(crate) act: LifecycleAct,
    pub(crate) rule: usize,
    /// Bytes that the version has; 0 of a marker.
    pub(crate) bytes: u64,
    /// It is no marker.
    pub(crate) stored: bool,
    /// Whether those bytes are gone then, and not just hidden.
    pub(crate) frees: bool,
    /// The class that it is in, for so many whole days.
    pub(crate) from: (StorageClass, u32),
}

/// Tells what will be done to the versions of a key, newest first, from a moment until another one.
pub(crate) fn simulate(
    rules: &KeyRules<'_>,
    versioning: Versioning,
    versions: &mut Vec<Facts>,
    (from, until): (Timestamp, Timestamp),
    mut tell: impl FnMut(Step),
) {
    let mut now = from;
    loop {
        let due = judged(rules, versions);
        let Some(first) = due.iter().map(|(_, due)| due.at).min() else { return };
        now = now.max(first);
        if now > until {
            return;
        }
        let together: Vec<(usize, Due)> = due.into_iter().filter(|(_, due)| due.at == first).collect();
        let removed: Vec<usize> = together
            .iter()
            .filter(|(_, due)| due.act != LifecycleAct::Expire && due.act.class().is_none())
            .map(|(place, _)| *place)
            .collect();
        let shifts = together.iter().any(|(_, due)| due.act.class().is_some());
        for (place, due) in &together {
            let expires = due.act == LifecycleAct::Expire;
            let moved = due.act.class().is_some();
            // What is to be removed is removed first, then what moves moves; what expires then is still due.
            if (expires || moved) && !removed.is_empty() || expires && shifts {
                continue;
            }
            let version = &versions[*place];
            let gone = versioning == Versioning::Off || version.null && versioning != Versioning::Enabled;
            let frees = !moved && (!expires || gone);
            let from = (version.class, rules.days_between(version.since, now));
            let (bytes, stored) = (version.size.unwrap_or(0), version.size.is_some());
            tell(Step { at: now, act: due.act, rule: due.rule, bytes, stored, frees, from });
        }
        if removed.is_empty() && shifts {
            for (place, due) in &together {
                let version = &mut versions[*place];
                if let Some(class) = due.act.class() {
                    (version.class, version.since) = (class, now);
                }
            }
        } else if removed.is_empty() {
            expire(versioning, versions, now);
        } else {
            let mut place = 0;
            versions.retain(|_| {
                let stays = removed.binary_search(&place).is_err();
                place += 1;
                stays
            });
        }
    }
}

fn judged(rules: &KeyRules<'_>, versions: &[Facts]) -> Vec<(usize, Due)> {
    let (mut above, mut due) = (Above::default(), Vec::new());
    for (place, version) in versions.iter().enumerate() {
        let below = place + 1 < versions.len();
        due.extend(rules.due(version, &above.place(version, below)).map(|found| (place, found)));
        above.pass(version);
    }
    due
}

fn expire(versioning: Versioning, versions: &mut Vec<Facts>, now: Timestamp) {
    match versioning {
        Versioning::Off => versions.clear(),
        Versioning::Enabled => versions.insert(0, Facts { modified: now, ..Facts::default() }),
        Versioning::Suspended => {
            versions.retain(|version| !version.null);
            versions.insert(0, Facts { modified: now, null: true, ..Facts::default() });
        }
    }
}
