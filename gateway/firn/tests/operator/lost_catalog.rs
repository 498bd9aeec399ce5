//! A start whose catalog is gone, or older than the pool, frees nothing: it says what is missing.

use super::{Appliance, Ran, run};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn start(dir: &Path, more: &[&str]) -> Ran {
    let doors = ["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    run(&[&["server", dir.to_str().unwrap()][..], &doors, more].concat())
}

/// The names in a directory that end so.
fn names(dir: &Path, kind: &str) -> BTreeSet<PathBuf> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|found| found == kind)).collect()
}

#[test]
fn a_start_without_its_catalog_or_its_newest_log_file_frees_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (dir, file) = (root.path().join("data"), root.path().join("body"));
    let (catalog, pool, aside) = (dir.join("catalog"), dir.join("pools/local"), root.path().join("aside"));
    let put = |appliance: &Appliance, key: &str| {
        fs::write(&file, key.repeat(20_000)).unwrap();
        appliance.ok(&["cp", file.to_str().unwrap(), &format!("s3://kept/{key}")]);
    };
    let appliance = Appliance::start(&dir, &[]);
    appliance.ok(&["mb", "s3://kept"]);
    put(&appliance, "a");
    assert_eq!(appliance.terminate(), 0);
    let appliance = Appliance::start(&dir, &[]);
    put(&appliance, "b");
    appliance.kill();
    let refused = |code: i32, says: &str, more: &[&str]| {
        let bodies = names(&pool, "seg");
        assert!(!bodies.is_empty());
        let ran = start(&dir, more);
        assert!(ran.code == code && ran.err.contains(says) && ran.err.contains("firn recover"), "{ran:?}");
        assert_eq!(names(&pool, "seg"), bodies, "nothing was freed");
    };
    fs::rename(&catalog, &aside).unwrap();
    refused(4, "is empty or not there", &[]);
    fs::create_dir(&catalog).unwrap();
    refused(4, "is empty or not there", &["--accept-loss"]);
    fs::write(catalog.join("reserve"), "zeros").unwrap();
    refused(4, "is empty or not there", &[]);
    fs::remove_dir_all(&catalog).unwrap();
    fs::rename(&aside, &catalog).unwrap();

    let newest = names(&catalog.join("log"), "log").pop_last().unwrap();
    fs::rename(&newest, &aside).unwrap();
    refused(7, "has seen log file", &[]);
    fs::rename(&aside, &newest).unwrap();
    let appliance = Appliance::start(&dir, &[]);
    for key in ["a", "b"] {
        assert_eq!(appliance.ok(&["cat", &format!("s3://kept/{key}")]).out, key.repeat(20_000));
    }
    assert_eq!(appliance.terminate(), 0);
    // Where it is gone for good, that is said once.
    fs::remove_file(names(&catalog.join("log"), "log").pop_last().unwrap()).unwrap();
    refused(7, "--accept-loss", &[]);
    assert_eq!(Appliance::start(&dir, &["--accept-loss"]).terminate(), 0);
    assert_eq!(Appliance::start(&dir, &[]).terminate(), 0);
}
