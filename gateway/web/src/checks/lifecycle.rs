//! What must hold of any document of lifecycle rules.

use crate::s3::lifecycle::{read, write};
use crate::xml::Element;
use engine::catalog::record::Record as _;
use objectstore::Lifecycle;

/// Never a panic; rules that are taken are kept, and shown, as they were set. Whether they were taken.
pub(super) fn check(document: &[u8]) -> bool {
    let Ok(root) = Element::parse(document) else { return false };
    let mut named = 0_u32;
    let rules = read(&root, || {
        named += 1;
        format!("made-{named}")
    });
    let Ok(rules) = rules else { return false };
    let kept = Lifecycle::from_bytes(&rules.to_bytes()).expect("what was kept is not read");
    assert_eq!(kept, rules, "kept as others");
    let shown = write(&rules);
    let root = Element::parse(shown.as_bytes()).expect("what is shown is not read");
    let again = read(&root, || panic!("a rule is shown without its name: {shown}"));
    let again = again.unwrap_or_else(|error| panic!("{}: {shown}", error.message()));
    assert_eq!(again, rules, "shown as others");
    assert!(rules.rules().iter().all(|rule| !rule.id.is_empty()), "a rule without a name");
    true
}
