//! What must hold of any bytes that come in, each function of one kind of them. The fuzz targets (`fuzz/fuzz_targets`) run them over what chance
//! makes, the tests over the corpora that are kept. The appliance has none of this: the feature `checks` is the fuzz targets' alone.

mod archive;
pub(crate) mod cors;
mod lifecycle;
mod query;
mod xml;

/// An archive of tar.
///
/// # Panics
/// Where what must hold does not.
pub fn archive(input: &[u8]) {
    archive::check(input);
}

/// A CORS document, and a page that asks.
///
/// # Panics
/// Where what must hold does not.
pub fn cors(input: &[u8]) {
    cors::check(input);
}

/// A document of lifecycle rules.
///
/// # Panics
/// Where what must hold does not.
pub fn lifecycle(input: &[u8]) {
    lifecycle::check(input);
}

/// A form or URL of IAM or STS.
///
/// # Panics
/// Where what must hold does not.
pub fn query(input: &[u8]) {
    query::check(input);
}

/// Any document of a request.
///
/// # Panics
/// Where what must hold does not.
pub fn xml(input: &[u8]) {
    xml::check(input);
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    /// What comes of each of a kept corpus, by its name. `seed-WORD…` says what it is to come to, any other name nothing; each outcome is
    /// there at least so often.
    fn replay<T: Copy + Debug + PartialEq>(
        name: &str,
        check: fn(&[u8]) -> T,
        words: &[(&str, T)],
        least: usize,
    ) {
        let corpus = format!("{}/fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
        let (mut outcomes, mut wrong) = (Vec::new(), Vec::new());
        for entry in std::fs::read_dir(corpus).unwrap() {
            let entry = entry.unwrap();
            let (file, outcome) = (entry.file_name(), check(&std::fs::read(entry.path()).unwrap()));
            let file = file.to_str().unwrap();
            let expected = words.iter().find(|(word, _)| file.starts_with(&format!("seed-{word}")));
            if expected.is_some_and(|(_, expected)| *expected != outcome) {
                wrong.push((file.to_owned(), outcome));
            }
            outcomes.push(outcome);
        }
        assert!(wrong.is_empty(), "{wrong:?}");
        for (_, kind) in words {
            let count = outcomes.iter().filter(|outcome| *outcome == kind).count();
            assert!(count >= least, "{count} of {kind:?}: {outcomes:?}");
        }
    }

    #[test]
    fn the_kept_corpus_of_documents_is_read_or_refused() {
        replay("xml", super::xml::check, &[("bad", false), ("", true)], 5);
    }

    #[test]
    fn the_kept_corpus_of_cors_is_allowed_or_refused() {
        use super::cors::Outcome::{Allowed, NoRule, Refused};
        replay("cors", super::cors::check, &[("bad", Refused), ("none", NoRule), ("", Allowed)], 3);
    }

    #[test]
    fn the_kept_corpus_of_lifecycle_rules_is_taken_or_refused() {
        replay("lifecycle", super::lifecycle::check, &[("bad", false), ("", true)], 5);
    }

    #[test]
    fn the_kept_corpus_of_forms_of_iam_and_sts_is_read_or_refused() {
        replay("query", super::query::check, &[("bad", false), ("", true)], 5);
    }

    #[test]
    fn what_chance_makes_of_the_kept_corpora_is_read_or_refused() {
        type Check = fn(&[u8]);
        let checks: [(&str, Check); 5] = [
            ("archive", super::archive),
            ("cors", super::cors),
            ("lifecycle", super::lifecycle),
            ("query", super::query),
            ("xml", super::xml),
        ];
        for (name, check) in checks {
            mutate::over(format!("{}/fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR")), check);
        }
    }
}
