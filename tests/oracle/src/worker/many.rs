//! `DeleteObjects`: some keys at once, in the bucket with versions some single versions too. What the answer says of each is
//! entered for each.

use super::{Stop, VERSIONED, Worker, bail_violation};
use crate::calls::{Caller, Outcome, element, elements, with_query};
use crate::model::Version;
use anyhow::{Context, Result, ensure};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use std::collections::BTreeMap;

/// Objects of one request, at most.
const OBJECTS_MAX: usize = 5;

/// What is to go.
#[derive(Debug)]
struct Object {
    key: String,
    /// This version, for good; none: what is current.
    version: Option<String>,
}

impl Worker {
    pub(super) async fn delete_many(
        &mut self,
        caller: &mut Caller,
        bucket: &'static str,
    ) -> Result<(), Stop> {
        let objects = self.choose(bucket);
        let xml = format!("<Delete>{}</Delete>", objects.iter().map(Object::xml).collect::<String>());
        let mut delete = with_query("POST", bucket, "", &[("delete", "")]);
        delete.headers.push(("x-amz-checksum-sha256", BASE64_STANDARD.encode(wire::sha256(xml.as_bytes()))));
        match caller.call(&delete, xml.as_bytes()).await {
            Outcome::Done(answer) => self.enter_each(bucket, &objects, &answer.text()),
            Outcome::Refused(answer) => {
                bail_violation(format!("a delete of many was refused: {}", answer.text()))
            }
            Outcome::Unknown(text) => {
                for object in &objects {
                    self.may_have_deleted(bucket, object);
                }
                Err(Stop::Unknown(text))
            }
        }
    }

    /// Each key once.
    fn choose(&mut self, bucket: &'static str) -> Vec<Object> {
        let mut keys: Vec<String> = (0..=self.chance.index(OBJECTS_MAX)).map(|_| self.pick().1).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut objects = Vec::new();
        for key in keys {
            let history = self.state(bucket, &key).certain().cloned().unwrap_or_default();
            let one_version = bucket == VERSIONED && !history.is_empty() && self.chance.chance(1, 3);
            let version =
                if one_version { history[self.chance.index(history.len())].id.clone() } else { None };
            objects.push(Object { key, version });
        }
        objects
    }

    fn enter_each(&mut self, bucket: &'static str, objects: &[Object], answer: &str) -> Result<(), Stop> {
        let deleted: BTreeMap<String, String> = elements(answer, "Deleted")
            .into_iter()
            .filter_map(|said| Some((element(&said, "Key")?, said)))
            .collect();
        let mut silent = Vec::new();
        for object in objects {
            if let Some(said) = deleted.get(&object.key) {
                self.enter_deleted(bucket, object, said)
                    .with_context(|| format!("a delete of many answered: {answer}"))?;
            } else {
                self.may_have_deleted(bucket, object);
                silent.push(object);
            }
        }
        match (silent.is_empty(), only_the_servers_errors(answer)) {
            (true, Some(0)) => Ok(()),
            // The power went in the middle: what is named as deleted is, the rest may be.
            (false, Some(errors)) if errors == silent.len() => Err(Stop::Unknown(answer.to_owned())),
            _ => bail_violation(format!("a delete of {objects:?} answered: {answer}")),
        }
    }

    fn enter_deleted(&mut self, bucket: &'static str, object: &Object, said: &str) -> Result<()> {
        ensure!(element(said, "VersionId") == object.version, "of another version");
        let marker = element(said, "DeleteMarkerVersionId");
        let state = self.state(bucket, &object.key);
        match (&object.version, bucket == VERSIONED) {
            (Some(version), _) => state.removed(version),
            (None, true) => {
                let id = Some(marker.context("without its marker")?);
                state.wrote(Version { id, body: None, etag: None });
            }
            (None, false) => {
                ensure!(marker.is_none(), "a marker without versioning");
                state.wrote(Version { id: None, body: None, etag: None });
            }
        }
        Ok(())
    }

    fn may_have_deleted(&mut self, bucket: &'static str, object: &Object) {
        let state = self.state(bucket, &object.key);
        match &object.version {
            Some(version) => state.may_have_removed(version),
            None => state.may_have_written(None),
        }
    }
}

impl Object {
    fn xml(&self) -> String {
        let version = self.version.as_ref().map(|id| format!("<VersionId>{id}</VersionId>"));
        format!("<Object><Key>{}</Key>{}</Object>", escape(&self.key), version.unwrap_or_default())
    }
}

/// How many errors the answer has, if each is what a single call would have as a 5xx: its outcome is unknown.
fn only_the_servers_errors(answer: &str) -> Option<usize> {
    let errors = elements(answer, "Error");
    let codes = errors.iter().map(|error| element(error, "Code").unwrap_or_default());
    let theirs =
        codes.filter(|code| ["InternalError", "ServiceUnavailable"].contains(&code.as_str())).count();
    (theirs == errors.len()).then_some(theirs)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::{Object, Stop, Version, Worker};
    use crate::worker::{PLAIN, VERSIONED};
    use powercut::Seeded;

    fn deleted(key: &str, rest: &str) -> String {
        format!("<Deleted><Key>{key}</Key>{rest}</Deleted>")
    }

    const MARKER: &str = "<DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>m</DeleteMarkerVersionId>";
    const BROKEN: &str = "<Error><Key>b</Key><Code>InternalError</Code><Message/></Error>";

    #[test]
    fn each_object_is_entered_as_the_answer_says() {
        let mut worker = Worker::new(0, &Seeded::new(1));
        let old = Version { id: Some("v".to_owned()), body: None, etag: None };
        worker.state(VERSIONED, "a").wrote(old);
        let gone = |key: &str, version: Option<&str>| Object {
            key: key.to_owned(),
            version: version.map(str::to_owned),
        };
        let both = [gone("a", Some("v")), gone("b", None)];
        let answer = deleted("a", "<VersionId>v</VersionId>") + &deleted("b", MARKER);
        worker.enter_each(VERSIONED, &both, &answer).unwrap();
        assert!(worker.state(VERSIONED, "a").certain().unwrap().is_empty());
        assert_eq!(worker.state(VERSIONED, "b").certain().unwrap()[0].id.as_deref(), Some("m"));
        worker.enter_each(PLAIN, &[gone("b", None)], &deleted("b", "")).unwrap();

        let one = [gone("b", None)];
        for (bucket, answer) in [
            (VERSIONED, deleted("b", "")),
            (PLAIN, deleted("b", MARKER)),
            (VERSIONED, deleted("b", &format!("<VersionId>v</VersionId>{MARKER}"))),
            (PLAIN, String::new()),
            (PLAIN, BROKEN.replace("InternalError", "AccessDenied")),
            (PLAIN, deleted("b", "") + BROKEN),
        ] {
            let outcome = worker.enter_each(bucket, &one, &answer);
            assert!(matches!(outcome, Err(Stop::Violation(_))), "{answer}: {outcome:?}");
        }
        let outcome = worker.enter_each(PLAIN, &one, BROKEN);
        assert!(matches!(outcome, Err(Stop::Unknown(_))), "{outcome:?}");
    }
}
