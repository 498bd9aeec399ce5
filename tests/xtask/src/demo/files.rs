//! The demo's real files: what there is, and whether what came back is the same in every byte.

use crate::error::{Error, Result};
use crate::workspace::make_directory;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Regular files below a directory by their relative path, with their sizes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tree {
    files: BTreeMap<PathBuf, u64>,
}

impl Tree {
    /// Walks a directory; what is neither a file nor a directory is not data.
    pub(crate) fn walk(top: &Path) -> Result<Self> {
        let mut tree = Self::default();
        let mut open = vec![top.to_owned()];
        while let Some(directory) = open.pop() {
            let entries =
                std::fs::read_dir(&directory).map_err(|source| Error::at("list", &directory, source))?;
            for entry in entries {
                let entry = entry.map_err(|source| Error::at("list", &directory, source))?;
                let path = entry.path();
                let meta = entry.metadata().map_err(|source| Error::at("stat", &path, source))?;
                if meta.is_dir() {
                    open.push(path);
                } else if meta.is_file() {
                    let name = path.strip_prefix(top).unwrap_or(&path).to_owned();
                    tree.files.insert(name, meta.len());
                }
            }
        }
        Ok(tree)
    }

    /// How many files there are.
    pub(crate) fn count(&self) -> usize {
        self.files.len()
    }

    /// Their paths, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
    }

    /// The sum of their sizes.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.values().sum()
    }

    /// The first of the largest files and the first of the smallest that are not empty.
    pub(crate) fn extremes(&self) -> Option<(&Path, &Path)> {
        let with_bytes = || self.files.iter().filter(|(_, size)| **size > 0);
        let largest = with_bytes().max_by_key(|(_, size)| **size)?.0;
        let smallest = with_bytes().min_by_key(|(_, size)| **size)?.0;
        Some((largest, smallest))
    }

    /// Of the directories so many levels down that hold no more than so many bytes, the one with the most files.
    pub(crate) fn fullest(&self, levels: usize, bytes_max: u64) -> Option<PathBuf> {
        let mut all: BTreeMap<PathBuf, (usize, u64)> = BTreeMap::new();
        for (name, size) in &self.files {
            if name.components().count() > levels {
                let (count, bytes) = all.entry(name.components().take(levels).collect()).or_default();
                *count += 1;
                *bytes += size;
            }
        }
        let small = all.into_iter().filter(|(_, (_, bytes))| *bytes <= bytes_max);
        small.max_by_key(|(_, (count, _))| *count).map(|(directory, _)| directory)
    }

    /// Compares every byte of every file of this tree between two directories.
    pub(crate) fn compare(&self, wanted: &Path, found: &Path) -> Result<()> {
        for name in self.files.keys() {
            let (one, other) = (wanted.join(name), found.join(name));
            if !same_bytes(&one, &other)? {
                return Err(Error::failed(format!(
                    "{} came back different from {}",
                    other.display(),
                    one.display()
                )));
            }
        }
        let came_back = Self::walk(found)?;
        match came_back.files.keys().find(|name| !wanted.join(name).is_file()) {
            Some(extra) => Err(Error::failed(format!("{} came back and was never sent", extra.display()))),
            None => Ok(()),
        }
    }
}

/// Bytes that are compared at once.
const STEP: usize = 1 << 20;

/// Whether two files hold the same bytes; an error when one cannot be read.
fn same_bytes(one: &Path, other: &Path) -> Result<bool> {
    let open = |path: &Path| File::open(path).map_err(|source| Error::at("open", path, source));
    let (mut one_file, mut other_file) = (open(one)?, open(other)?);
    let (mut one_step, mut other_step) = (Vec::with_capacity(STEP), Vec::with_capacity(STEP));
    loop {
        one_step.clear();
        other_step.clear();
        let read = |file: &mut File, path: &Path, step: &mut Vec<u8>| {
            file.take(STEP as u64).read_to_end(step).map_err(|source| Error::at("read", path, source))
        };
        read(&mut one_file, one, &mut one_step)?;
        read(&mut other_file, other, &mut other_step)?;
        if one_step != other_step {
            return Ok(false);
        }
        if one_step.is_empty() {
            return Ok(true);
        }
    }
}

/// A directory that is there and empty.
pub(crate) fn empty_directory(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::at("empty", path, error));
        }
        _ => {}
    }
    make_directory(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::write;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let top = tempfile::tempdir().unwrap();
        for (name, text) in files {
            make_directory(top.path().join(name).parent().unwrap()).unwrap();
            write(&top.path().join(name), text).unwrap();
        }
        top
    }

    #[test]
    fn a_tree_knows_its_files_and_bytes() {
        let top = tree(&[("a", "12345"), ("b/c/d", "1"), ("empty", "")]);
        let walked = Tree::walk(top.path()).unwrap();
        assert_eq!((walked.count(), walked.bytes()), (3, 6));
        assert_eq!(walked.extremes(), Some((Path::new("a"), Path::new("b/c/d"))));
    }

    #[test]
    fn the_fullest_directory_is_the_one_with_the_most_files_of_those_small_enough() {
        let top = tree(&[
            ("i/a/1", "1"),
            ("i/b/1", "1"),
            ("i/b/c/2", "1"),
            ("i/d/1", "12345"),
            ("i/d/2", ""),
            ("i/d/3", ""),
        ]);
        let walked = Tree::walk(top.path()).unwrap();
        assert_eq!(walked.fullest(2, 4), Some("i/b".into()));
        assert_eq!(walked.fullest(2, 5), Some("i/d".into()));
        assert_eq!(walked.fullest(4, 5), None);
    }

    #[test]
    fn equal_trees_compare_equal() {
        let files = [("a", "12345"), ("b/c", "x")];
        let (one, other) = (tree(&files), tree(&files));
        Tree::walk(one.path()).unwrap().compare(one.path(), other.path()).unwrap();
    }

    #[test]
    fn a_difference_is_seen_wherever_in_a_large_file_it_is() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let bytes = vec![7; 2 * STEP + 3];
        std::fs::write(one.path().join("large"), &bytes).unwrap();
        let wanted = Tree::walk(one.path()).unwrap();
        let compare = |found: &[u8]| {
            std::fs::write(other.path().join("large"), found).unwrap();
            wanted.compare(one.path(), other.path())
        };
        compare(&bytes).unwrap();
        for at in [0, STEP - 1, STEP, 2 * STEP, 2 * STEP + 2] {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(compare(&changed).unwrap_err().to_string().contains("different"), "byte {at}");
        }
        for length in [0, STEP, 2 * STEP, 2 * STEP + 2] {
            compare(&bytes[..length]).unwrap_err();
        }
        compare(&[&bytes[..], &[7]].concat()).unwrap_err();
    }

    #[test]
    fn a_changed_a_missing_and_an_extra_file_are_told() {
        let one = tree(&[("a", "12345"), ("b", "x")]);
        let wanted = Tree::walk(one.path()).unwrap();
        let compare =
            |files: &[(&str, &str)]| wanted.compare(one.path(), tree(files).path()).unwrap_err().to_string();
        assert!(compare(&[("a", "12346"), ("b", "x")]).contains("different"));
        assert!(compare(&[("a", "123456"), ("b", "x")]).contains("different"));
        assert!(compare(&[("a", "12345")]).contains("failed to open"));
        assert!(compare(&[("a", "12345"), ("b", "x"), ("c", "")]).contains("never sent"));
    }
}
