//! The small files of a data directory that its catalog is worth nothing without: marker, master key, credentials. A copy of the catalog and a backup
//! have them, too.
//!
//! # Invariants
//! - What is handed out is what this process opened, or what was read since and found to be right: a file that rots on the disk never takes the place of
//!   a good one elsewhere.
//! - Nothing that is empty, or all zeros, is right.
//!
//! Nothing here is written.

use crate::{Error, Result};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Bytes of the largest.
const LARGEST: u64 = 16 << 20;

/// Says why bytes that were read under a name are not what such a file holds.
pub type Reads = Box<dyn Fn(&str, &[u8]) -> Result<(), String> + Send + Sync>;

/// Opens a catalog that was made anew with the small files that came with it, by their names: an error says that it can't be used with them.
pub type Opens =
    Arc<dyn Fn(&Arc<crate::catalog::RocksCatalog>, &[(String, Vec<u8>)]) -> Result<()> + Send + Sync>;

/// The small files of one data directory.
pub struct SmallFiles {
    root: PathBuf,
    names: Vec<String>,
    /// Those that change while a process runs.
    changing: Vec<String>,
    reads: Reads,
    held: Mutex<BTreeMap<String, Zeroizing<Vec<u8>>>>,
}

impl std::fmt::Debug for SmallFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the small files of {}", self.root.display())
    }
}

impl SmallFiles {
    /// Files of these names below `root`, all of which may change; one that is not there is none.
    pub fn new(root: PathBuf, names: Vec<String>) -> Self {
        let (changing, reads) = (names.clone(), Box::new(|_: &str, _: &[u8]| Ok(())));
        Self { root, names, changing, reads, held: Mutex::default() }
    }

    /// Files of these names below `root`, of which only those that `changes` names change while this process runs. `reads` judges what is read, `held` is
    /// what is known of them; what else is there and right by now is held, too.
    pub fn of_open(
        root: PathBuf,
        (names, changes): (Vec<String>, &[&str]),
        reads: Reads,
        held: Vec<(String, Zeroizing<Vec<u8>>)>,
    ) -> Self {
        let changing = changes.iter().map(|name| (*name).to_owned()).collect();
        let files = Self { root, names, changing, reads, held: Mutex::new(held.into_iter().collect()) };
        for name in &files.names {
            // What is not right is told to whoever wants it.
            drop(files.read(name));
        }
        files
    }

    /// The data directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Their names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    fn changes(&self, name: &str) -> bool {
        self.changing.iter().any(|changing| changing == name)
    }

    fn on_disk(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let path = self.root.join(name);
        let bytes = match crate::file::read_regular(&path) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(Error::io("read", path, error)),
        };
        let judged = if bytes.len() as u64 > LARGEST {
            Err("it is too long".to_owned())
        } else if bytes.iter().all(|byte| *byte == 0) {
            Err("it is empty, or all zeros".to_owned())
        } else {
            (self.reads)(name, &bytes)
        };
        match judged {
            Ok(()) => Ok(Some(bytes)),
            Err(detail) => Err(Error::Corrupt { what: path.display().to_string(), detail }),
        }
    }

    /// What is right of a file; `None` where there is none. Blocks.
    pub fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let held = self.held.lock().get(name).cloned();
        if held.is_some() && !self.changes(name) {
            return Ok(held);
        }
        match self.on_disk(name) {
            Ok(Some(bytes)) => {
                self.held.lock().insert(name.to_owned(), bytes.clone());
                Ok(Some(bytes))
            }
            Ok(None) => Ok(None),
            Err(error) => held.map(Some).ok_or(error),
        }
    }

    /// What is wrong with the files as they lie there. Blocks.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for name in &self.names {
            let held = self.held.lock().get(name).cloned().filter(|_| !self.changes(name));
            let path = self.root.join(name);
            let (why, reads) = match (self.on_disk(name), held) {
                (Err(error), _) => (error.to_string(), false),
                (Ok(None), Some(_)) => (format!("{} is gone", path.display()), false),
                (Ok(Some(there)), Some(held)) if there != held => {
                    (format!("{} is not what this process opened", path.display()), true)
                }
                (Ok(_), _) => continue,
            };
            faults.push(Fault { name: name.clone(), why, reads });
        }
        faults
    }
}

/// What is wrong with a small file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its name.
    pub name: String,
    /// What it is, and where.
    pub why: String,
    /// It is another than the one that was opened, and reads right: somebody may have meant it.
    pub reads: bool,
}

#[cfg(test)]
mod tests {
    use super::SmallFiles;
    use std::fs;
    use zeroize::Zeroizing;

    #[test]
    fn what_rots_is_handed_out_as_it_was_opened_and_told() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
        for name in ["key", "token", "list"] {
            write(name, b"good 1");
        }
        let names = ["key", "token", "list", "absent"].map(str::to_owned).to_vec();
        let reads = |_: &str, bytes: &[u8]| {
            if bytes.starts_with(b"good") { Ok(()) } else { Err("it is not good".to_owned()) }
        };
        let held = vec![("key".to_owned(), Zeroizing::new(b"good 1".to_vec()))];
        let files =
            SmallFiles::of_open(dir.path().to_owned(), (names.clone(), &["list"]), Box::new(reads), held);
        let read = |name: &str| files.read(name).unwrap().map(|bytes| bytes.to_vec());
        assert!(files.faults().is_empty() && read("absent").is_none());
        for rotten in [&b"bad"[..], b"", &[0; 6]] {
            for name in ["key", "token", "list"] {
                write(name, rotten);
                assert_eq!(read(name).unwrap(), b"good 1", "{name}");
            }
            let faults = files.faults();
            assert!(faults.len() == 3 && faults[0].name == "key" && !faults[0].reads, "{faults:?}");
        }
        // Only what changes by itself is followed, once it is right.
        for name in ["key", "token", "list"] {
            write(name, b"good 2");
        }
        let found = ["key", "token", "list"].map(read).map(Option::unwrap);
        assert_eq!(found, [&b"good 1"[..], b"good 1", b"good 2"]);
        let faults = files.faults();
        assert!(faults.len() == 2 && faults.iter().all(|fault| fault.reads), "{faults:?}");
        fs::remove_file(dir.path().join("key")).unwrap();
        assert!(read("key").is_some() && files.faults()[0].why.contains("is gone"));
        // One that was never right is not handed out.
        write("absent", &[0; 9]);
        files.read("absent").unwrap_err();
        let plain = SmallFiles::new(dir.path().to_owned(), names);
        plain.read("absent").unwrap_err();
        assert_eq!(plain.faults().len(), 1);
    }
}
