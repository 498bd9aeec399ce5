//! The crate graph: arrows point down, sideways is not allowed.
//!
//! ```text
//!   6  firn
//!   5  web · file · block
//!   4  transfer
//!   3  objectstore · blockvol
//!   2  archive · client
//!   1  security
//!   0  engine
//! ```
//!
//! Crates under tests/, and fuzz targets, may use any of them; none of them uses a crate under tests/ except in its own tests.

use super::Fault;
use crate::workspace::{Metadata, Package};
use std::path::Path;

/// The level of each crate of ours.
const LEVELS: [(&str, u8); 11] = [
    ("engine", 0),
    ("security", 1),
    ("archive", 2),
    ("client", 2),
    ("objectstore", 3),
    ("blockvol", 3),
    ("transfer", 4),
    ("web", 5),
    ("file", 5),
    ("block", 5),
    ("firn", 6),
];

/// Only the engine knows which ordered store holds the rows.
const ENGINES_OWN: [&str; 2] = ["rocksdb", "librocksdb-sys"];
/// Storage semantics know no wire format.
const WIRE: [&str; 6] = ["hyper", "hyper-util", "http", "http-body", "http-body-util", "quick-xml"];

/// What is wrong with the graph.
pub(crate) fn check(metadata: &Metadata, root: &Path) -> Vec<Fault> {
    let ours: Vec<&Package> = metadata.ours().collect();
    let shipped = ours.iter().filter(|package| is_shipped(package.directory(), root));
    let mut faults = Vec::new();
    for package in shipped {
        for dependency in &package.dependencies {
            let test_only = dependency.kind.as_deref() == Some("dev");
            if ours.iter().any(|other| other.name == dependency.name) {
                faults.extend(judge(&package.name, &dependency.name, test_only));
            } else if is_forbidden(&package.name, &dependency.name) {
                faults.push(Fault::new(&package.name, format!("must not depend on {}", dependency.name)));
            }
        }
    }
    faults
}

/// Whether a crate in there is one of the layers, and not for tests alone.
fn is_shipped(directory: &Path, root: &Path) -> bool {
    !directory.starts_with(root.join("tests")) && !directory.ends_with("fuzz")
}

fn level(name: &str) -> Option<u8> {
    LEVELS.iter().find(|(known, _)| *known == name).map(|(_, level)| *level)
}

fn judge(user: &str, below: &str, test_only: bool) -> Option<Fault> {
    match (level(user), level(below)) {
        (None, _) => {
            Some(Fault::new(user, "has no level: give it one in tidy's layers and in ARCHITECTURE.md"))
        }
        (Some(_), None) if test_only => None,
        (Some(_), None) => Some(Fault::new(user, format!("depends on {below}, which is for tests"))),
        (Some(high), Some(low)) if high > low || (test_only && user == below) => None,
        (Some(_), Some(_)) => Some(Fault::new(user, format!("depends on {below}, which is not below it"))),
    }
}

fn is_forbidden(user: &str, below: &str) -> bool {
    (user != "engine" && ENGINES_OWN.contains(&below)) || (user == "objectstore" && WIRE.contains(&below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn down_is_allowed_and_up_sideways_and_unknown_are_not() {
        assert!(judge("web", "engine", false).is_none());
        assert!(judge("engine", "web", false).is_some());
        assert!(judge("objectstore", "blockvol", false).is_some());
        assert!(judge("engine", "security", true).is_some());
        assert!(judge("newcomer", "engine", false).is_some());
    }

    #[test]
    fn crates_for_tests_serve_tests_only() {
        assert!(judge("engine", "powercut", true).is_none());
        assert!(judge("engine", "powercut", false).is_some());
        assert!(judge("engine", "engine", true).is_none());
    }

    #[test]
    fn fuzz_targets_are_tests_wherever_they_lie() {
        let is_shipped = |place: &str| is_shipped(&Path::new("/r").join(place), Path::new("/r"));
        assert!(is_shipped("engine") && is_shipped("gateway/web"));
        assert!(
            !is_shipped("tests/oracle") && !is_shipped("gateway/web/fuzz") && !is_shipped("security/fuzz")
        );
    }

    #[test]
    fn what_a_crate_must_not_know_is_forbidden() {
        assert!(is_forbidden("web", "rocksdb"));
        assert!(!is_forbidden("engine", "rocksdb"));
        assert!(is_forbidden("objectstore", "quick-xml"));
        assert!(!is_forbidden("web", "quick-xml"));
    }
}
