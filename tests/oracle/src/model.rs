//! What may be there: for each key, the histories that the answers so far allow.
//!
//! One history is certain after an answer; two are possible after a request whose answer never came: without it and with
//! it. An observation picks one of them, or is a violation. Nothing else may exist.

use powercut::Seeded;

/// The bytes of one upload, held as what they are generated from. Copies share it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Body {
    /// What the bytes are generated from; two uploads that share one hardly have the same length.
    pub(crate) seed: u64,
    /// The lengths of its parts; one for a plain PUT.
    pub(crate) parts: Vec<usize>,
}

impl Body {
    pub(crate) fn len(&self) -> usize {
        self.parts.iter().sum()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len()];
        Seeded::new(self.seed).fill(&mut bytes);
        bytes
    }

    /// The bytes of each part.
    pub(crate) fn split(&self) -> Vec<Vec<u8>> {
        let bytes = self.bytes();
        let mut rest = bytes.as_slice();
        let mut pieces = Vec::new();
        for length in &self.parts {
            let (piece, after) = rest.split_at(*length);
            pieces.push(piece.to_vec());
            rest = after;
        }
        pieces
    }
}

/// One version of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// As the answer gave it; none while no answer was seen. `null` in buckets without versioning.
    pub(crate) id: Option<String>,
    /// None is a delete marker.
    pub(crate) body: Option<Body>,
    /// As the answer gave it.
    pub(crate) etag: Option<String>,
}

/// The versions of a key, oldest first.
pub(crate) type History = Vec<Version>;

/// What is known of a key.
#[derive(Clone, Debug)]
pub(crate) struct KeyState {
    versioned: bool,
    possible: Vec<History>,
}

/// A version as the server shows it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) id: String,
    /// None is a delete marker.
    pub(crate) bytes: Option<Vec<u8>>,
    pub(crate) etag: String,
}

impl KeyState {
    pub(crate) fn new(versioned: bool) -> Self {
        Self { versioned, possible: vec![Vec::new()] }
    }

    /// The history, when there is one possible only: always, between a verification and the next unanswered request.
    pub(crate) fn certain(&self) -> Option<&History> {
        match self.possible.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The newest version, unless it is a marker.
    pub(crate) fn current(&self) -> Option<&Version> {
        self.certain()?.last().filter(|version| version.body.is_some())
    }

    fn with(&self, version: Version) -> Option<History> {
        let mut history = self.certain()?.clone();
        if !self.versioned {
            history.clear();
        }
        if self.versioned || version.body.is_some() {
            history.push(version);
        }
        Some(history)
    }

    fn without(&self, id: &str) -> Option<History> {
        let mut history = self.certain()?.clone();
        history.retain(|version| version.id.as_deref() != Some(id));
        Some(history)
    }

    /// An acknowledged PUT, copy, completion, or (without a body) delete.
    pub(crate) fn wrote(&mut self, version: Version) {
        self.possible = self.with(version).into_iter().collect();
    }

    /// The same, but the answer never came.
    pub(crate) fn may_have_written(&mut self, body: Option<Body>) {
        let after = self.with(Version { id: None, body, etag: None });
        self.possible.extend(after);
    }

    /// An acknowledged removal of one version.
    pub(crate) fn removed(&mut self, id: &str) {
        self.possible = self.without(id).into_iter().collect();
    }

    /// The same, but the answer never came.
    pub(crate) fn may_have_removed(&mut self, id: &str) {
        let after = self.without(id);
        self.possible.extend(after);
    }

    /// Judges what the server shows, oldest first: it must be one of the possible histories, which is certain then.
    pub(crate) fn observe(&mut self, seen: &[Seen]) -> Result<(), String> {
        let matching = self.possible.iter().position(|history| matches(history, seen));
        let Some(index) = matching else {
            return Err(format!("allowed: {}; found: {}", describe(&self.possible), describe_seen(seen)));
        };
        let mut history = self.possible.swap_remove(index);
        for (version, seen) in history.iter_mut().zip(seen) {
            version.id = Some(seen.id.clone());
            version.etag = Some(seen.etag.clone());
        }
        self.possible = vec![history];
        Ok(())
    }
}

fn matches(history: &History, seen: &[Seen]) -> bool {
    history.len() == seen.len()
        && history.iter().zip(seen).all(|(version, seen)| {
            version.id.as_ref().is_none_or(|id| *id == seen.id)
                && version.etag.as_ref().is_none_or(|etag| *etag == seen.etag)
                && version.body.as_ref().map(Body::bytes) == seen.bytes
        })
}

fn describe(possible: &[History]) -> String {
    let histories = possible.iter().map(|history| {
        let versions: Vec<String> = history
            .iter()
            .map(|version| match &version.body {
                Some(body) => format!("{} bytes, seed {}, id {:?}", body.len(), body.seed, version.id),
                None => format!("marker {:?}", version.id),
            })
            .collect();
        format!("[{}]", versions.join("; "))
    });
    histories.collect::<Vec<_>>().join(" or ")
}

fn describe_seen(seen: &[Seen]) -> String {
    let versions = seen.iter().map(|seen| match &seen.bytes {
        Some(bytes) => format!("{} bytes {:02x?}, id {}", bytes.len(), &bytes[..bytes.len().min(8)], seen.id),
        None => format!("marker {}", seen.id),
    });
    format!("[{}]", versions.collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests {
    use super::{Body, KeyState, Seen, Version};

    fn body(seed: u64, len: usize) -> Body {
        Body { seed, parts: vec![len] }
    }

    fn seen(body: &Body) -> Seen {
        Seen { id: "null".to_owned(), bytes: Some(body.bytes()), etag: "e".to_owned() }
    }

    fn acknowledged(body: &Body) -> Version {
        Version { id: Some("null".to_owned()), body: Some(body.clone()), etag: Some("e".to_owned()) }
    }

    #[test]
    fn an_acknowledged_write_must_be_there_whole() {
        let (old, new) = (body(1, 700), body(2, 700));
        let mut key = KeyState::new(false);
        key.wrote(acknowledged(&old));
        key.wrote(acknowledged(&new));
        key.observe(&[]).unwrap_err();
        key.observe(&[seen(&old)]).unwrap_err();
        let mut torn = seen(&new);
        torn.bytes.as_mut().unwrap()[512..].fill(0);
        key.observe(&[torn]).unwrap_err();
        key.observe(&[seen(&new)]).unwrap();
    }

    #[test]
    fn an_unanswered_write_is_old_or_new_and_then_certain() {
        let (old, new) = (body(1, 10), body(2, 20));
        for outcome in [&old, &new] {
            let mut key = KeyState::new(false);
            key.wrote(acknowledged(&old));
            key.may_have_written(Some(new.clone()));
            assert!(key.certain().is_none());
            key.observe(&[seen(outcome)]).unwrap();
            let other = if outcome == &old { &new } else { &old };
            key.observe(&[seen(other)]).unwrap_err();
            key.observe(&[seen(outcome)]).unwrap();
        }
    }

    #[test]
    fn versions_stay_and_are_removed_one_by_one() {
        let (one, two) = (body(1, 10), body(2, 20));
        let mut key = KeyState::new(true);
        let version = |id: &str, body: &Body| Version { id: Some(id.to_owned()), ..acknowledged(body) };
        let shown = |id: &str, body: &Body| Seen { id: id.to_owned(), ..seen(body) };
        key.wrote(version("a", &one));
        key.wrote(version("b", &two));
        key.observe(&[shown("b", &two)]).unwrap_err();
        key.observe(&[shown("a", &one), shown("b", &two)]).unwrap();
        key.may_have_removed("a");
        key.observe(&[shown("a", &one), shown("b", &two)]).unwrap();
        key.removed("a");
        key.observe(&[shown("b", &two)]).unwrap();
    }
}
