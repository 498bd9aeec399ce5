//! A bucket's lifecycle rules, as `PutBucketLifecycleConfiguration` says them. What they do: [`lifecycle`](crate::lifecycle).
//!
//! Limits: [`LIFECYCLE_RULES_MAX`] rules in one row of 64 KiB, names of 255 characters, prefixes of 1,024 bytes.

use super::{Setting, SettingKind};
use crate::record::{get_class, put_class};
use crate::{Error, KEY_BYTES_MAX, OBJECT_TAGS_MAX, Result, StorageClass, Tags};
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::clock::Timestamp;
use std::collections::HashSet;

/// Rules of one bucket at the most, as in S3.
pub const LIFECYCLE_RULES_MAX: usize = 1_000;
/// Noncurrent versions that a rule can keep at the most, as in S3.
pub const NEWER_NONCURRENT_MAX: u32 = 100;
/// Days of a rule at the most: S3's are signed numbers of 32 bits.
const DAYS_MAX: u32 = i32::MAX as u32;
/// Characters of a rule's name.
const ID_MAX: usize = 255;
const MS_A_DAY: i64 = 86_400_000;

/// How a filter was said: it is shown the way it was set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LifecycleForm {
    /// A `Prefix` of the rule itself, as it was before there were filters.
    Prefix,
    /// A `Filter` with one condition or none.
    #[default]
    Filter,
    /// A `Filter` with an `And`.
    And,
}

/// What a rule is about: all that is said must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LifecycleFilter {
    /// How it was said.
    pub form: LifecycleForm,
    /// Keys that begin with it.
    pub prefix: Option<String>,
    /// Objects that have all of these.
    pub tags: Tags,
    /// Objects of more bytes than this.
    pub larger: Option<u64>,
    /// Objects of fewer bytes than this.
    pub smaller: Option<u64>,
}

impl LifecycleFilter {
    /// What keys begin with.
    pub fn prefix(&self) -> &str {
        self.prefix.as_deref().unwrap_or_default()
    }

    /// Whether it asks for tags or a size, which delete markers and uploads have none of.
    pub fn asks_of_objects(&self) -> bool {
        !self.tags.is_empty() || self.larger.is_some() || self.smaller.is_some()
    }
}

/// When current versions expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifecycleExpiration {
    /// So many days after they were made.
    Days(u32),
    /// From this midnight on.
    Date(Timestamp),
    /// They don't; delete markers that hide nothing any more go, if this says so.
    Marker(bool),
}

/// When noncurrent versions are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoncurrentExpiration {
    /// So many days after a newer version was put above them.
    pub days: u32,
    /// Not while there are no more than so many noncurrent versions above them.
    pub newer: Option<u32>,
}

/// When current versions move to another class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransitionWhen {
    /// So many days after they were made; 0 for the next midnight.
    Days(u32),
    /// From this midnight on.
    Date(Timestamp),
}

/// Current versions move to another class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When.
    pub when: TransitionWhen,
    /// To which.
    pub class: StorageClass,
}

/// Noncurrent versions move to another class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoncurrentTransition {
    /// So many days after a newer version was put above them; 0 for the next midnight.
    pub days: u32,
    /// Not while there are no more than so many noncurrent versions above them.
    pub newer: Option<u32>,
    /// To which.
    pub class: StorageClass,
}

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LifecycleRule {
    /// Its name, unique in the bucket.
    pub id: String,
    /// Whether it acts.
    pub enabled: bool,
    /// On what.
    pub filter: LifecycleFilter,
    /// What becomes of current versions.
    pub expiration: Option<LifecycleExpiration>,
    /// What becomes of noncurrent ones.
    pub noncurrent: Option<NoncurrentExpiration>,
    /// To which classes current versions move before that.
    pub transitions: Vec<Transition>,
    /// The same of noncurrent ones.
    pub noncurrent_transitions: Vec<NoncurrentTransition>,
    /// Uploads that were not completed so many days after they were begun are given up.
    pub abort_days: Option<u32>,
}

/// From which size on objects are moved where a rule does not say: what newer clients ask for and are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransitionMinimum {
    /// `all_storage_classes_128K`
    #[default]
    All128K,
    /// `varies_by_storage_class`
    Varies,
}

impl TransitionMinimum {
    /// S3's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All128K => "all_storage_classes_128K",
            Self::Varies => "varies_by_storage_class",
        }
    }

    /// Reads what [`as_str`](Self::as_str) writes, and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::All128K, Self::Varies].into_iter().find(|known| known.as_str() == text)
    }
}

/// The rules of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lifecycle {
    rules: Vec<LifecycleRule>,
    /// Kept for clients that ask.
    pub minimum: TransitionMinimum,
}

const fn argument(name: &'static str, detail: &'static str) -> Error {
    Error::InvalidArgument { name, detail }
}

const fn request(detail: &'static str) -> Error {
    Error::InvalidRequest { detail }
}

fn check_days(days: u32, name: &'static str, detail: &'static str) -> Result<()> {
    if (1..=DAYS_MAX).contains(&days) { Ok(()) } else { Err(argument(name, detail)) }
}

impl LifecycleRule {
    /// Whether it moves versions to another class.
    pub(crate) fn moves(&self) -> bool {
        !self.transitions.is_empty() || !self.noncurrent_transitions.is_empty()
    }

    fn check_transitions(&self) -> Result<()> {
        let dated = |one: &Transition| matches!(one.when, TransitionWhen::Date(_));
        let expires = match self.expiration {
            Some(LifecycleExpiration::Days(days)) => Some(TransitionWhen::Days(days)),
            Some(LifecycleExpiration::Date(date)) => Some(TransitionWhen::Date(date)),
            Some(LifecycleExpiration::Marker(_)) | None => None,
        };
        let all = self.transitions.iter().map(|one| one.when).chain(expires);
        if all.clone().any(|when| matches!(when, TransitionWhen::Date(_)))
            && all.clone().any(|when| matches!(when, TransitionWhen::Days(_)))
            && self.moves()
        {
            let detail =
                "Found mixed 'Date' and 'Days' based Expiration and Transition actions in a lifecycle rule";
            return Err(request(detail));
        }
        let mut steps = Vec::new();
        for one in &self.transitions {
            match one.when {
                TransitionWhen::Days(days) => {
                    check_move(days, one.class, "Days", "Transition")?;
                    steps.push((one.class, i64::from(days)));
                }
                TransitionWhen::Date(date) if date.as_millis().rem_euclid(MS_A_DAY) != 0 => {
                    return Err(argument("Date", "'Date' must be at midnight GMT"));
                }
                TransitionWhen::Date(date) => steps.push((one.class, date.as_millis() / MS_A_DAY)),
            }
        }
        let name = if self.transitions.iter().any(dated) { "Date" } else { "Days" };
        let end = expires.map(|when| match when {
            TransitionWhen::Days(days) => i64::from(days),
            TransitionWhen::Date(date) => date.as_millis() / MS_A_DAY,
        });
        check_steps(steps, end, (name, "Transition", "Expiration"))
    }

    fn check_noncurrent_transitions(&self) -> Result<()> {
        let mut steps = Vec::new();
        for one in &self.noncurrent_transitions {
            check_move(one.days, one.class, "NoncurrentDays", "NoncurrentVersionTransition")?;
            if one.newer.is_some_and(|newer| !(1..=NEWER_NONCURRENT_MAX).contains(&newer)) {
                return Err(argument(
                    "NewerNoncurrentVersions",
                    "'NewerNoncurrentVersions' for NoncurrentVersionTransition action must be between 1 and 100",
                ));
            }
            steps.push((one.class, i64::from(one.days)));
        }
        let end = self.noncurrent.map(|noncurrent| i64::from(noncurrent.days));
        let names = ("NoncurrentDays", "NoncurrentVersionTransition", "NoncurrentVersionExpiration");
        check_steps(steps, end, names)
    }

    fn check(&self) -> Result<()> {
        if self.id.chars().count() > ID_MAX {
            return Err(argument("ID", "ID length should not exceed allowed limit of 255"));
        }
        self.check_filter()?;
        self.check_actions()
    }

    fn check_filter(&self) -> Result<()> {
        let filter = &self.filter;
        if filter.prefix().len() > KEY_BYTES_MAX {
            return Err(argument("Prefix", "The maximum size of a prefix is 1024"));
        }
        if let (Some(larger), Some(smaller)) = (filter.larger, filter.smaller)
            && larger >= smaller
        {
            return Err(request(
                "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'",
            ));
        }
        Ok(())
    }

    fn check_actions(&self) -> Result<()> {
        if self.expiration.is_none()
            && self.noncurrent.is_none()
            && self.abort_days.is_none()
            && !self.moves()
        {
            return Err(request("At least one action needs to be specified in a rule"));
        }
        match self.expiration {
            Some(LifecycleExpiration::Days(days)) => {
                check_days(days, "Days", "'Days' for Expiration action must be a positive integer")?;
            }
            Some(LifecycleExpiration::Date(date)) if date.as_millis().rem_euclid(MS_A_DAY) != 0 => {
                return Err(argument("Date", "'Date' must be at midnight GMT"));
            }
            Some(LifecycleExpiration::Marker(true)) if self.filter.asks_of_objects() => {
                return Err(request(
                    "ExpiredObjectDeleteMarker cannot be specified with tags or sizes of objects",
                ));
            }
            _ => {}
        }
        if let Some(NoncurrentExpiration { days, newer }) = self.noncurrent {
            check_days(
                days,
                "NoncurrentDays",
                "'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer",
            )?;
            if newer.is_some_and(|newer| !(1..=NEWER_NONCURRENT_MAX).contains(&newer)) {
                return Err(argument(
                    "NewerNoncurrentVersions",
                    "'NewerNoncurrentVersions' for NoncurrentVersionExpiration action must be between 1 and 100",
                ));
            }
        }
        self.check_transitions()?;
        self.check_noncurrent_transitions()?;
        if let Some(days) = self.abort_days {
            check_days(
                days,
                "DaysAfterInitiation",
                "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer",
            )?;
            if self.filter.asks_of_objects() {
                return Err(request(
                    "AbortIncompleteMultipartUpload cannot be specified with tags or sizes of objects",
                ));
            }
        }
        Ok(())
    }
}

/// The infrequent classes are for what has been there for 30 days.
const DAYS_BEFORE_INFREQUENT: u32 = 30;

const fn is_infrequent(class: StorageClass) -> bool {
    matches!(class, StorageClass::StandardIa | StorageClass::OneZoneIa)
}

fn check_move(days: u32, class: StorageClass, name: &'static str, action: &str) -> Result<()> {
    if days > DAYS_MAX {
        return Err(argument(name, "the number of days of a transition must be a nonnegative integer"));
    }
    if is_infrequent(class) && days < DAYS_BEFORE_INFREQUENT {
        let detail = format!(
            "'{name}' in {action} action must be greater than or equal to {DAYS_BEFORE_INFREQUENT} for storageClass '{class}'"
        );
        return Err(Error::InvalidLifecycle { detail });
    }
    Ok(())
}

/// Down the waterfall, each class once, and later than what is above it; the end comes after all of it.
fn check_steps(
    mut steps: Vec<(StorageClass, i64)>,
    end: Option<i64>,
    (name, action, ends): (&str, &str, &str),
) -> Result<()> {
    steps.sort_by_key(|(class, _)| class.depth());
    for pair in steps.windows(2) {
        let [(above, first), (below, second)] = pair else { continue };
        if above == below {
            let detail = format!("'StorageClass' must be different for '{action}' actions in same 'Rule'");
            return Err(Error::InvalidSetting { detail });
        }
        let (least, more) = if is_infrequent(*above) && below.is_archived() {
            (i64::from(DAYS_BEFORE_INFREQUENT), "30 days more than")
        } else {
            (1, "more than")
        };
        if second - first < least {
            let detail = format!(
                "'{name}' in the '{action}' action for StorageClass '{below}' must be {more} '{name}' in the '{action}' action for \
                 StorageClass '{above}'"
            );
            return Err(Error::InvalidLifecycle { detail });
        }
    }
    if let (Some(end), Some(last)) = (end, steps.iter().map(|(_, at)| *at).max())
        && end <= last
    {
        let detail =
            format!("'{name}' in the {ends} action must be greater than '{name}' in the {action} action");
        return Err(Error::InvalidLifecycle { detail });
    }
    Ok(())
}

impl Lifecycle {
    /// Checks the rules.
    pub fn new(rules: Vec<LifecycleRule>) -> Result<Self> {
        if rules.len() > LIFECYCLE_RULES_MAX {
            return Err(request("The lifecycle configuration can have 1000 rules at the most"));
        }
        let mut ids = HashSet::new();
        for rule in &rules {
            rule.check()?;
            if !ids.insert(rule.id.as_str()) {
                return Err(argument("ID", "Rule ID must be unique. Found same ID for more than one rule"));
            }
        }
        Ok(Self { rules, minimum: TransitionMinimum::default() })
    }

    /// In order.
    pub fn rules(&self) -> &[LifecycleRule] {
        &self.rules
    }

    /// Whether something may be due by these earlier than by those: a rule acts that did not, as it is.
    pub(crate) fn adds_to(&self, before: Option<&Self>) -> bool {
        let same = |one: &LifecycleRule, other: &LifecycleRule| {
            let unnamed = |rule: &LifecycleRule| LifecycleRule { id: String::new(), ..rule.clone() };
            unnamed(one) == unnamed(other)
        };
        let known = |rule: &LifecycleRule| {
            before.is_some_and(|before| before.rules.iter().any(|other| same(rule, other)))
        };
        // What was too small may not be any more.
        let smaller = before.is_some_and(|before| before.minimum != self.minimum);
        self.rules.iter().any(|rule| rule.enabled && (!known(rule) || smaller && rule.moves()))
    }

    /// Whether a rule moves versions to another class.
    pub(crate) fn moves(&self) -> bool {
        self.rules.iter().any(LifecycleRule::moves)
    }
}

fn put_optional(out: &mut RecordWriter, value: Option<u64>) {
    out.u8(u8::from(value.is_some()));
    if let Some(value) = value {
        out.u64(value);
    }
}

fn get_optional(fields: &mut RecordReader<'_>) -> engine::Result<Option<u64>> {
    match fields.u8()? {
        0 => Ok(None),
        1 => Ok(Some(fields.u64()?)),
        other => Err(fields.corrupt(format!("flag {other}"))),
    }
}

fn put_filter(out: &mut RecordWriter, filter: &LifecycleFilter) {
    out.u8(match (filter.form, &filter.prefix) {
        (LifecycleForm::Prefix, _) => 0,
        (LifecycleForm::Filter, None) => 1,
        (LifecycleForm::Filter, Some(_)) => 2,
        (LifecycleForm::And, None) => 3,
        (LifecycleForm::And, Some(_)) => 4,
    });
    if filter.prefix.is_some() || filter.form == LifecycleForm::Prefix {
        out.text(filter.prefix());
    }
    out.count(filter.tags.len());
    for (key, value) in filter.tags.iter() {
        out.text(key).text(value);
    }
    put_optional(out, filter.larger);
    put_optional(out, filter.smaller);
}

fn get_filter(fields: &mut RecordReader<'_>) -> engine::Result<LifecycleFilter> {
    let (form, named) = match fields.u8()? {
        0 => (LifecycleForm::Prefix, true),
        1 => (LifecycleForm::Filter, false),
        2 => (LifecycleForm::Filter, true),
        3 => (LifecycleForm::And, false),
        4 => (LifecycleForm::And, true),
        other => return Err(fields.corrupt(format!("form {other} of a filter"))),
    };
    let prefix = if named { Some(fields.text()?.to_owned()) } else { None };
    let count = fields.count()?;
    if count > OBJECT_TAGS_MAX {
        return Err(fields.corrupt(format!("{count} tags")));
    }
    let mut tags = Vec::with_capacity(count);
    for _ in 0..count {
        tags.push((fields.text()?.to_owned(), fields.text()?.to_owned()));
    }
    let tags = Tags::of_object(tags).map_err(|_| fields.corrupt("impossible tags"))?;
    let (larger, smaller) = (get_optional(fields)?, get_optional(fields)?);
    Ok(LifecycleFilter { form, prefix, tags, larger, smaller })
}

fn put_rule(out: &mut RecordWriter, rule: &LifecycleRule) {
    out.text(&rule.id).u8(u8::from(rule.enabled));
    put_filter(out, &rule.filter);
    match rule.expiration {
        None => out.u8(0),
        Some(LifecycleExpiration::Days(days)) => out.u8(1).u32(days),
        Some(LifecycleExpiration::Date(date)) => out.u8(2).i64(date.as_millis()),
        Some(LifecycleExpiration::Marker(goes)) => out.u8(3).u8(u8::from(goes)),
    };
    match rule.noncurrent {
        None => out.u8(0),
        Some(NoncurrentExpiration { days, newer: None }) => out.u8(1).u32(days),
        Some(NoncurrentExpiration { days, newer: Some(newer) }) => out.u8(2).u32(days).u32(newer),
    };
    // 0 is no number of days.
    out.u32(rule.abort_days.unwrap_or(0));
}

fn put_moves(out: &mut RecordWriter, rule: &LifecycleRule) {
    out.count(rule.transitions.len());
    for one in &rule.transitions {
        match one.when {
            TransitionWhen::Days(days) => out.u8(1).u32(days),
            TransitionWhen::Date(date) => out.u8(2).i64(date.as_millis()),
        };
        put_class(out, one.class);
    }
    out.count(rule.noncurrent_transitions.len());
    for one in &rule.noncurrent_transitions {
        // 0 is no number of versions to keep.
        out.u32(one.days).u32(one.newer.unwrap_or(0));
        put_class(out, one.class);
    }
}

fn get_moves(fields: &mut RecordReader<'_>, rule: &mut LifecycleRule) -> engine::Result<()> {
    for _ in 0..fields.count()? {
        let when = match fields.u8()? {
            1 => TransitionWhen::Days(fields.u32()?),
            2 => TransitionWhen::Date(Timestamp::from_millis(fields.i64()?)),
            other => return Err(fields.corrupt(format!("transition {other}"))),
        };
        rule.transitions.push(Transition { when, class: get_class(fields)? });
    }
    for _ in 0..fields.count()? {
        let (days, newer) = (fields.u32()?, Some(fields.u32()?).filter(|newer| *newer > 0));
        rule.noncurrent_transitions.push(NoncurrentTransition { days, newer, class: get_class(fields)? });
    }
    Ok(())
}

fn get_flag(fields: &mut RecordReader<'_>) -> engine::Result<bool> {
    match fields.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(fields.corrupt(format!("flag {other}"))),
    }
}

fn get_rule(fields: &mut RecordReader<'_>) -> engine::Result<LifecycleRule> {
    let id = fields.text()?.to_owned();
    let enabled = get_flag(fields)?;
    let filter = get_filter(fields)?;
    let expiration = match fields.u8()? {
        0 => None,
        1 => Some(LifecycleExpiration::Days(fields.u32()?)),
        2 => Some(LifecycleExpiration::Date(Timestamp::from_millis(fields.i64()?))),
        3 => Some(LifecycleExpiration::Marker(get_flag(fields)?)),
        other => return Err(fields.corrupt(format!("expiration {other}"))),
    };
    let noncurrent = match fields.u8()? {
        0 => None,
        1 => Some(NoncurrentExpiration { days: fields.u32()?, newer: None }),
        2 => Some(NoncurrentExpiration { days: fields.u32()?, newer: Some(fields.u32()?) }),
        other => return Err(fields.corrupt(format!("expiration {other} of noncurrent versions"))),
    };
    let abort_days = Some(fields.u32()?).filter(|days| *days > 0);
    Ok(LifecycleRule { id, enabled, filter, expiration, noncurrent, abort_days, ..LifecycleRule::default() })
}

impl Record for Lifecycle {
    const NAME: &'static str = "lifecycle of a bucket";
    const VERSION: u8 = 2;

    /// The second is of rules that move.
    fn version(&self) -> u8 {
        if self.moves() { 2 } else { 1 }
    }

    fn encode(&self, out: &mut RecordWriter) {
        out.u8(u8::from(self.minimum == TransitionMinimum::Varies)).count(self.rules.len());
        for rule in &self.rules {
            put_rule(out, rule);
            if self.moves() {
                put_moves(out, rule);
            }
        }
    }

    fn decode(form: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let minimum = if get_flag(fields)? { TransitionMinimum::Varies } else { TransitionMinimum::All128K };
        let mut rules = Vec::new();
        for _ in 0..fields.count()? {
            let mut rule = get_rule(fields)?;
            if form == 2 {
                get_moves(fields, &mut rule)?;
            }
            rules.push(rule);
        }
        Ok(Self { rules, minimum })
    }
}

impl Setting for Lifecycle {
    const KIND: SettingKind = SettingKind::Lifecycle;
}

#[cfg(test)]
mod tests {
    use super::{
        LIFECYCLE_RULES_MAX, Lifecycle, LifecycleExpiration, LifecycleFilter, LifecycleRule,
        NoncurrentExpiration,
    };
    use crate::{Error, Tags};
    use engine::clock::Timestamp;

    fn rule(expiration: LifecycleExpiration) -> LifecycleRule {
        LifecycleRule { expiration: Some(expiration), enabled: true, ..LifecycleRule::default() }
    }

    fn refusal(rule: LifecycleRule) -> Option<&'static str> {
        match Lifecycle::new(vec![rule]) {
            Ok(_) => None,
            Err(Error::InvalidArgument { detail, .. } | Error::InvalidRequest { detail }) => Some(detail),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn rules_are_checked_as_s3_checks_them() {
        let days = |days| rule(LifecycleExpiration::Days(days));
        let noncurrent = |days, newer| LifecycleRule {
            noncurrent: Some(NoncurrentExpiration { days, newer }),
            ..LifecycleRule::default()
        };
        let tags = Tags::of_object([("a".to_owned(), "b".to_owned())]).unwrap();
        let tagged = LifecycleFilter { tags, ..LifecycleFilter::default() };
        let sized = |larger, smaller| LifecycleFilter {
            larger: Some(larger),
            smaller: Some(smaller),
            ..LifecycleFilter::default()
        };
        let midnight = Timestamp::from_millis(86_400_000 * 20_000);
        for (rule, refused) in [
            (days(1), None),
            (days(0), Some("'Days'")),
            (days(u32::MAX), Some("'Days'")),
            (rule(LifecycleExpiration::Date(midnight)), None),
            (
                rule(LifecycleExpiration::Date(Timestamp::from_millis(midnight.as_millis() + 1))),
                Some("'Date'"),
            ),
            (LifecycleRule::default(), Some("At least one action")),
            (noncurrent(1, None), None),
            (noncurrent(0, None), Some("'NoncurrentDays'")),
            (noncurrent(1, Some(100)), None),
            (noncurrent(1, Some(0)), Some("'NewerNoncurrentVersions'")),
            (noncurrent(1, Some(101)), Some("'NewerNoncurrentVersions'")),
            (LifecycleRule { abort_days: Some(1), ..LifecycleRule::default() }, None),
            (
                LifecycleRule { abort_days: Some(0), ..LifecycleRule::default() },
                Some("'DaysAfterInitiation'"),
            ),
            (
                LifecycleRule { abort_days: Some(1), filter: tagged.clone(), ..days(1) },
                Some("AbortIncomplete"),
            ),
            (LifecycleRule { filter: tagged.clone(), ..days(1) }, None),
            (
                LifecycleRule { filter: tagged, ..rule(LifecycleExpiration::Marker(true)) },
                Some("ExpiredObject"),
            ),
            (rule(LifecycleExpiration::Marker(true)), None),
            (LifecycleRule { filter: sized(5, 6), ..days(1) }, None),
            (LifecycleRule { filter: sized(5, 5), ..days(1) }, Some("'ObjectSizeLessThan'")),
            (LifecycleRule { id: "é".repeat(255), ..days(1) }, None),
            (LifecycleRule { id: "i".repeat(256), ..days(1) }, Some("ID length")),
        ] {
            let (shown, said) = (format!("{rule:?}"), refusal(rule));
            let as_wanted = match refused {
                None => said.is_none(),
                Some(begin) => said.is_some_and(|said| said.starts_with(begin)),
            };
            assert!(as_wanted, "{shown}: {said:?}");
        }
        Lifecycle::new(vec![days(1), days(2)]).unwrap_err();
        let many = |count: usize| {
            (0..count).map(|n| LifecycleRule { id: n.to_string(), ..days(1) }).collect::<Vec<_>>()
        };
        Lifecycle::new(many(LIFECYCLE_RULES_MAX)).unwrap();
        Lifecycle::new(many(LIFECYCLE_RULES_MAX + 1)).unwrap_err();
    }

    #[test]
    fn only_what_may_be_due_earlier_is_walked_for() {
        let set = |rules: &[(&str, bool, u32)]| {
            let rules = rules.iter().map(|(id, enabled, days)| LifecycleRule {
                id: (*id).to_owned(),
                enabled: *enabled,
                ..rule(LifecycleExpiration::Days(*days))
            });
            Lifecycle::new(rules.collect()).unwrap()
        };
        let before = set(&[("a", true, 3), ("b", false, 1)]);
        for (after, walks) in [
            (set(&[("a", true, 3), ("b", false, 1)]), false),
            (set(&[("c", true, 3)]), false),
            (set(&[("a", false, 3), ("b", false, 1)]), false),
            (set(&[]), false),
            (set(&[("a", true, 2)]), true),
            (set(&[("a", true, 4)]), true),
            (set(&[("a", true, 3), ("b", true, 1)]), true),
        ] {
            assert_eq!(after.adds_to(Some(&before)), walks, "{after:?}");
        }
        assert!(before.adds_to(None));
    }
}
