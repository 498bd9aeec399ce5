//! The kept fuzz corpus, replayed.

#[path = "../../fuzz/targets.rs"]
mod targets;

use std::path::PathBuf;

fn replay(name: &str, target: fn(&[u8])) {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut count = 0;
    for entry in std::fs::read_dir(&directory).unwrap() {
        target(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 10, "the corpus of {name} is there: {count}");
    mutate::over(directory, target);
}

#[test]
fn the_signature_corpus_is_harmless() {
    replay("signature", targets::signature);
}

#[test]
fn the_form_corpus_is_harmless() {
    replay("form", targets::form);
}

#[test]
fn the_policy_corpus_is_harmless() {
    replay("policy", targets::policy);
}

#[test]
fn the_chunked_corpus_is_harmless() {
    replay("chunked", targets::chunked);
}

#[test]
fn the_document_corpus_is_harmless() {
    replay("document", targets::document);
}
