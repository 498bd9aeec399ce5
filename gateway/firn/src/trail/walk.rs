//! The walk along the chains, and what came of it.

use super::digest::{Document, HASHED, SIGNED};
use super::keys::{PublicKeys, sha256};
use super::name::{Kind, Name};
use super::source::{Got, Listed, Place, Source, hash, unpack};
use crate::report::time::show_time;
use engine::clock::Timestamp;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Files that are read at once.
const AT_ONCE: usize = 8;

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    /// It says something else than what was written.
    Altered,
    /// It is not there.
    Removed,
    /// It is another file of the trail's.
    Exchanged,
}

/// A file that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Problem {
    pub(crate) what: What,
    /// `digest` or `log`.
    pub(crate) kind: &'static str,
    pub(crate) file: String,
    pub(crate) detail: String,
}

/// What was proven of a trail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Chain {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) trail: String,
    /// Digests whose signatures are good.
    pub(crate) digests: u64,
    /// Files that are as these name them.
    pub(crate) logs: u64,
    /// Where a chain begins, and an older one is there: the trail was stopped, or made anew.
    pub(crate) gaps: u64,
    /// The time that they cover.
    pub(crate) from: Option<String>,
    pub(crate) until: Option<String>,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) chains: Vec<Chain>,
    pub(crate) problems: Vec<Problem>,
    /// Files of the time asked for that nothing proves: no digest that is good names them.
    pub(crate) unproven: Vec<String>,
}

/// Which digests: by when their time ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Span {
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    /// One trail alone, by account and name.
    pub(crate) trail: Option<(String, String)>,
    /// When that trail wrote its last digest, as it says itself.
    pub(crate) digested: Option<Timestamp>,
}

impl Span {
    fn is_of_trail(&self, name: &Name) -> bool {
        self.trail.as_ref().is_none_or(|(account, trail)| {
            let is_it = match &name.kind {
                Kind::Digest(named) => named == trail,
                Kind::Log => true,
            };
            is_it && name.account == *account
        })
    }

    fn takes(&self, name: &Name) -> bool {
        self.is_of_trail(name)
            && self.since.is_none_or(|since| since <= name.at)
            && self.until.is_none_or(|until| name.at <= until)
    }
}

/// So much later than a digest was written its trail may say that it was.
const SAID_WITHIN_MS: i64 = 5 * 60_000;

/// Whether a digest that was written then is not the last one that a trail says it wrote.
fn is_behind(written: Timestamp, digested: Timestamp) -> bool {
    written.as_millis() + SAID_WITHIN_MS < digested.as_millis()
}

/// A digest to be looked at.
struct Step {
    place: Place,
    at: Timestamp,
    /// What a later one says of it.
    named: Option<Named>,
}

struct Named {
    hash: String,
    signature: String,
}

/// A digest that was looked at.
struct Seen {
    document: Document,
    /// Nothing proves it: it is the newest of a copy.
    is_weak: bool,
}

/// A file, the hash that it should have, and what was found, if anything was.
type Hashed = (Place, String, Option<Result<String, String>>);

struct Walk<'a> {
    source: &'a Source,
    keys: &'a PublicKeys,
    since: Option<Timestamp>,
    problems: Vec<Problem>,
    good: HashSet<Place>,
    /// Files by what they were, and those that are something else now.
    hashes: HashMap<String, Place>,
    changed: Vec<(Place, String)>,
    /// What keys in a copy begin with that its paths lack.
    base: String,
}

/// Walks all chains of a source.
pub(crate) async fn walk(source: &Source, keys: &PublicKeys, span: &Span) -> anyhow::Result<Verdict> {
    let mut chains: BTreeMap<(String, String, String), Vec<Listed>> = BTreeMap::new();
    let (mut logs, mut others) = (Vec::new(), false);
    for listed in source.list().await? {
        if !span.takes(&listed.name) {
            others |= matches!(listed.name.kind, Kind::Digest(_)) && !span.is_of_trail(&listed.name);
            continue;
        }
        match listed.name.kind.clone() {
            Kind::Digest(trail) => {
                let chain = (listed.name.account.clone(), listed.name.region.clone(), trail);
                chains.entry(chain).or_default().push(listed);
            }
            Kind::Log => logs.push(listed),
        }
    }
    let mut walk = Walk {
        source,
        keys,
        since: span.since,
        problems: Vec::new(),
        good: HashSet::new(),
        hashes: HashMap::new(),
        changed: Vec::new(),
        base: String::new(),
    };
    let mut verdict = Verdict::default();
    let mut all = BTreeSet::new();
    for ((account, region, trail), mut listed) in chains {
        all.extend(listed.iter().map(|listed| listed.place.clone()));
        listed.sort_by(|a, b| (a.name.at, &a.place).cmp(&(b.name.at, &b.place)));
        if span.until.is_none() {
            walk.newest_is_there(&trail, listed.last(), span.digested);
        }
        let chain = Chain { account, region, trail, ..Chain::default() };
        verdict.chains.push(walk.chain(chain, listed).await?);
    }
    walk.tell_changed();
    // Whose records they are of several trails' no name tells.
    let covered = span.until.is_some().then(|| verdict.last_ends());
    let wanted =
        logs.into_iter().filter(|log| !others && covered.as_ref().is_none_or(|ends| is_before(log, ends)));
    all.extend(wanted.map(|log| log.place));
    let told: HashSet<&str> = walk.problems.iter().map(|problem| problem.file.as_str()).collect();
    let unproven = all.iter().filter(|place| !walk.good.contains(*place)).map(ToString::to_string);
    verdict.unproven = unproven.filter(|place| !told.contains(place.as_str())).collect();
    walk.problems.sort();
    walk.problems.dedup();
    verdict.problems = walk.problems;
    Ok(verdict)
}

impl Verdict {
    /// When the time of the newest good digest ended, by account and region.
    fn last_ends(&self) -> HashMap<(String, String), Timestamp> {
        let mut ends: HashMap<(String, String), Timestamp> = HashMap::new();
        for chain in &self.chains {
            if let Some(until) = chain.until.as_deref().and_then(moment) {
                let end = ends.entry((chain.account.clone(), chain.region.clone())).or_default();
                *end = (*end).max(until);
            }
        }
        ends
    }
}

/// Whether a file was begun in a minute that was over when the last digest's time ended: it has to be in one.
fn is_before(log: &Listed, ends: &HashMap<(String, String), Timestamp>) -> bool {
    let end = ends.get(&(log.name.account.clone(), log.name.region.clone()));
    end.is_some_and(|end| log.name.at.as_millis() + 60_000 <= end.as_millis())
}

fn moment(text: &str) -> Option<Timestamp> {
    let at: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_millis(at.as_millisecond()))
}

impl Walk<'_> {
    fn problem(&mut self, what: What, kind: &'static str, place: &Place, detail: impl Into<String>) {
        self.problems.push(Problem { what, kind, file: place.to_string(), detail: detail.into() });
    }

    /// No digest tells that a newer one is gone; a trail does.
    fn newest_is_there(&mut self, trail: &str, newest: Option<&Listed>, digested: Option<Timestamp>) {
        let (Some(newest), Some(digested)) = (newest, digested) else { return };
        if newest.written.is_some_and(|written| is_behind(written, digested)) {
            let said = show_time(Some(digested));
            let detail =
                format!("the trail {trail} wrote a digest at {said}, and none is there behind this one");
            self.problem(What::Removed, "digest", &newest.place, detail);
        }
    }

    async fn chain(&mut self, mut chain: Chain, mut listed: Vec<Listed>) -> anyhow::Result<Chain> {
        let step = |listed: Listed| Step { place: listed.place, at: listed.name.at, named: None };
        let older = |listed: &mut Vec<Listed>, at: Timestamp| {
            while let Some(next) = listed.pop() {
                if next.name.at < at {
                    return Some(step(next));
                }
            }
            None
        };
        let mut next = listed.pop().map(step);
        while let Some(step) = next {
            let seen = match self.look(&step).await? {
                Ok(seen) => seen,
                Err((what, detail)) => {
                    self.problem(what, "digest", &step.place, detail);
                    next = older(&mut listed, step.at);
                    continue;
                }
            };
            let proven = self.files(&seen).await?;
            let document = seen.document;
            if !seen.is_weak {
                self.good.insert(step.place.clone());
                chain.digests += 1;
                chain.logs += proven;
                chain.until.get_or_insert_with(|| document.digest_end_time.clone());
                chain.from = Some(document.digest_start_time.clone());
            }
            let begins = moment(&document.digest_start_time);
            if self.since.is_some_and(|since| begins.is_none_or(|begins| begins < since)) {
                break;
            }
            next = self.before(&document);
            if next.is_none() {
                next = older(&mut listed, step.at);
                chain.gaps += u64::from(next.is_some());
            }
        }
        Ok(chain)
    }

    /// What a digest names as the one before.
    fn before(&self, document: &Document) -> Option<Step> {
        let key = document.previous_digest_s3_object.clone()?;
        let bucket = document.previous_digest_s3_bucket.clone()?;
        // What is no digest's name is looked for all the same; the time is then that of the beginning.
        let at = Name::of(&key).map(|name| name.at).or_else(|| moment(&document.digest_start_time));
        let named = Named {
            hash: document.previous_digest_hash_value.clone().unwrap_or_default(),
            signature: document.previous_digest_signature.clone().unwrap_or_default(),
        };
        Some(Step { place: self.place(bucket, &key), at: at.unwrap_or_default(), named: Some(named) })
    }

    /// Where a file that a digest names lies.
    fn place(&self, bucket: String, key: &str) -> Place {
        if self.source.has_signatures() {
            return Place { bucket, key: key.to_owned() };
        }
        let key = key.strip_prefix(&self.base).unwrap_or(key).to_owned();
        Place { bucket: String::new(), key }
    }

    /// Looks at a digest: what it says, once it is proven, or what is wrong with it.
    async fn look(&mut self, step: &Step) -> anyhow::Result<Result<Seen, (What, String)>> {
        let altered = |detail: String| Ok(Err((What::Altered, detail)));
        let (stored, beside) = match self.source.read(&step.place).await? {
            Got::Missing => return Ok(Err((What::Removed, "it is not there".to_owned()))),
            Got::Unreadable(why) => return altered(why),
            Got::Stored(stored, beside) => (stored, beside),
        };
        let text = match unpack(&stored) {
            Ok(text) => text,
            Err(why) => return altered(why),
        };
        let document: Document = match serde_json::from_slice(&text) {
            Ok(document) => document,
            Err(why) => return altered(format!("it is no digest: {why}")),
        };
        let (bucket, key) = (&document.digest_s3_bucket, &document.digest_s3_object);
        let is_here = if self.source.has_signatures() {
            *bucket == step.place.bucket && *key == step.place.key
        } else {
            let base =
                key.strip_suffix(&step.place.key).filter(|base| base.is_empty() || base.ends_with('/'));
            if let Some(base) = base {
                base.clone_into(&mut self.base);
            }
            base.is_some()
        };
        if !is_here {
            return Ok(Err((What::Exchanged, format!("it was written as s3://{bucket}/{key}"))));
        }
        if document.digest_signature_algorithm != SIGNED {
            return altered(format!("it is signed by {}", document.digest_signature_algorithm));
        }
        let named = step.named.as_ref();
        let signature = if self.source.has_signatures() {
            match beside {
                Some(signature) => Some(signature),
                None => return altered("it has no signature among its metadata".to_owned()),
            }
        } else {
            named.map(|named| named.signature.clone())
        };
        let fingerprint = &document.digest_public_key_fingerprint;
        if let Some(signature) = &signature
            && let Err(why) = self.keys.verify(fingerprint, &document.signed(&text), signature)
        {
            return altered(why);
        }
        if let (Some(named), Some(signature)) = (named, &signature)
            && (!named.hash.eq_ignore_ascii_case(&sha256(&text))
                || !named.signature.eq_ignore_ascii_case(signature))
        {
            return altered("it is not the one that the next digest names".to_owned());
        }
        Ok(Ok(Seen { document, is_weak: signature.is_none() }))
    }

    /// Looks at the files that a digest names; how many are as they were.
    async fn files(&mut self, seen: &Seen) -> anyhow::Result<u64> {
        let mut reads = Vec::new();
        for file in &seen.document.log_files {
            let place = self.place(file.s3_bucket.clone(), &file.s3_object);
            if file.hash_algorithm == HASHED {
                reads.push((place, file.hash_value.to_ascii_lowercase()));
            } else {
                let detail = format!("its digest hashes it by {}", file.hash_algorithm);
                self.problem(What::Altered, "log", &place, detail);
            }
        }
        let source = self.source;
        let found: Vec<Hashed> = stream::iter(reads)
            .map(|(place, wanted)| async move {
                let hashed = match source.read(&place).await? {
                    Got::Missing => None,
                    Got::Unreadable(why) => Some(Err(why)),
                    Got::Stored(stored, _) => Some(hash(&stored)),
                };
                anyhow::Ok((place, wanted, hashed))
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let mut proven = 0;
        for (place, wanted, hashed) in found {
            match hashed {
                None => self.problem(What::Removed, "log", &place, "it is not there"),
                Some(Err(why)) => self.problem(What::Altered, "log", &place, why),
                Some(Ok(found)) if found != wanted => self.changed.push((place.clone(), found)),
                Some(Ok(_)) if seen.is_weak => {}
                Some(Ok(_)) => {
                    proven += 1;
                    self.good.insert(place.clone());
                }
            }
            self.hashes.insert(wanted, place);
        }
        Ok(proven)
    }

    /// Files that are others now: whether they are those of other names.
    fn tell_changed(&mut self) {
        for (place, found) in std::mem::take(&mut self.changed) {
            let other = self.hashes.get(&found).filter(|other| **other != place);
            let (what, detail) = other.map_or_else(
                || (What::Altered, "what it says does not have the hash that its digest names".to_owned()),
                |other| (What::Exchanged, format!("it is what {other} was")),
            );
            self.problem(what, "log", &place, detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_behind;
    use engine::clock::Timestamp;

    #[test]
    fn a_digest_that_is_not_the_last_one_that_was_written_is_behind() {
        let at = |minutes: i64| Timestamp::from_millis(minutes * 60_000);
        // It is told of once it is written, within moments.
        assert!(!is_behind(at(60), at(60)) && !is_behind(at(60), at(61)));
        assert!(is_behind(at(60), at(120)));
        // One that was copied over itself is newer than that.
        assert!(!is_behind(at(200), at(120)));
    }
}
