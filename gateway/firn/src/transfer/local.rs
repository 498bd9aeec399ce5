//! Directories as lists, and names from elsewhere as paths.
//!
//! A key becomes a path only if every part of it is an ordinary file name: no `..`, no `.`, nothing empty or absolute,
//! no NUL. So a list that a stranger wrote can't place a file outside the directory that was named.

use super::entry::{Entry, Found};
use super::taken::FileId;
use super::temporary::{is_temporary, remove_stale};
use super::{AHEAD, Stream};
use crate::directory::{OwnFiles, appliance_of, is_appliance, of_appliance};
use crate::exit::{Exit, Failure};
use crate::session::{default_dir, variable};
use engine::clock::Timestamp;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use tokio::sync::mpsc;
use walkdir::{DirEntry, WalkDir};

const NAME_MAX: usize = 255;

/// Files of a tree, by what they are, that are to be read by another name, too.
pub(crate) type LedTo = HashSet<FileId>;
/// So many of them a move takes: a few dozen megabytes of memory.
const LED_TO_MAX: usize = 1_000_000;

/// The files of a tree that links in it lead to, by themselves or by a directory above: what a move of the tree has to leave there
/// until the links have been read.
pub(crate) fn led_to(root: &Path) -> anyhow::Result<LedTo> {
    let real = std::fs::canonicalize(root)?;
    let (mut found, mut linked) = (LedTo::new(), Linked::default());
    let mut walk = walk_of(root);
    // What can't be read is told by the walk that moves.
    while let Some(entry) = walk.next() {
        let Ok(entry) = entry else { continue };
        let behind_link = linked.is_before(&entry);
        if entry.file_type().is_dir() && is_appliance(entry.path()) {
            walk.skip_current_dir();
        }
        let by_link = behind_link || entry.path_is_symlink();
        if !by_link || !entry.file_type().is_file() {
            continue;
        }
        let is_ours = std::fs::canonicalize(entry.path()).is_ok_and(|leads| leads.starts_with(&real));
        if is_ours && let Ok(metadata) = entry.metadata() {
            found.insert((metadata.dev(), metadata.ino()));
        }
        if found.len() > LED_TO_MAX {
            let text = format!(
                "move {}: more than {LED_TO_MAX} of its files are led to by links in it",
                root.display()
            );
            return Err(Failure::usage(text).hint("move its directories one by one").into());
        }
    }
    Ok(found)
}

fn walk_of(root: &Path) -> walkdir::IntoIter {
    WalkDir::new(root).min_depth(1).follow_links(true).sort_by(by_key).into_iter()
}

/// The path of a key below a directory, or why it can have none.
pub(super) fn path_of(root: &Path, key: &str) -> Result<PathBuf, Failure> {
    let refused = |why: &str| {
        Failure::new(
            Exit::Error,
            format!("name a file after the key {:?}: {why}", crate::text::printable(key)),
        )
    };
    let mut path = root.to_owned();
    for part in key.split('/') {
        match part {
            "" if key.starts_with('/') => return Err(refused("it begins with a slash")),
            "" if key.ends_with('/') => return Err(refused("it ends with a slash")),
            "" => return Err(refused("it has two slashes in a row")),
            "." | ".." => return Err(refused("it has a part . or ..")),
            part if part.contains('\0') => return Err(refused("it has a NUL")),
            part if part.len() > NAME_MAX => return Err(refused("a part is longer than 255 bytes")),
            part => path.push(part),
        }
    }
    Ok(path)
}

/// A file's last change.
pub(super) fn modified(metadata: &Metadata) -> Option<Timestamp> {
    let time = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(time.as_millis()).ok().map(Timestamp::from_millis)
}

/// All files below a directory, in the order of their names' bytes. Links are followed, loops refused; what is neither
/// file nor directory is refused, and so is an appliance's directory, and what links lead to in one: its keys belong nowhere else, and its pool
/// grows by what is sent. With `sweep`, temporary files of downloads that were killed are removed on the way, but
/// none behind a link to a directory: that is another tree.
pub(crate) fn walk(root: PathBuf, sweep: bool) -> Stream<Found> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut walk = walk_of(&root);
        let (mut linked, mut own) = (Linked::default(), Own::of(&root));
        while let Some(entry) = walk.next() {
            let behind_link = entry.as_ref().is_ok_and(|entry| linked.is_before(entry));
            if let (true, false, Ok(entry)) = (sweep, behind_link, &entry)
                && is_download(entry)
                && let Err(error) = remove_stale(entry.path())
            {
                tracing::warn!(path = %entry.path().display(), %error, "failed to remove a temporary file");
            }
            let what = entry.as_ref().ok().and_then(|entry| own.what(entry));
            let found = match (&entry, what) {
                (Ok(entry), Some(what)) => {
                    if entry.file_type().is_dir() {
                        walk.skip_current_dir();
                    }
                    let path = entry.path();
                    let name = path.strip_prefix(&root).unwrap_or(path).display().to_string();
                    let text = format!("read it: {what}; --exclude leaves it out");
                    Some(Found::Refused(name, Failure::new(Exit::Denied, text).into()))
                }
                _ => found(&root, entry, behind_link),
            };
            let Some(found) = found else { continue };
            if sender.blocking_send(found).is_err() {
                return;
            }
        }
    });
    receiver
}

/// What of a tree belongs to an appliance.
struct Own<'a> {
    root: &'a Path,
    /// The files of appliances nearby, once a file has another name somewhere.
    files: Option<OwnFiles>,
}

impl<'a> Own<'a> {
    const fn of(root: &'a Path) -> Self {
        Self { root, files: None }
    }

    /// What an entry is of an appliance's, if anything: by itself, by where a link leads, by another name of the same file.
    fn what(&mut self, entry: &DirEntry) -> Option<&'static str> {
        if entry.path_is_symlink() {
            return appliance_of(entry.path()).and_then(|home| of_appliance(&home));
        }
        if entry.file_type().is_dir() {
            return of_appliance(entry.path());
        }
        let metadata = entry.file_type().is_file().then(|| entry.metadata().ok()).flatten()?;
        if metadata.nlink() < 2 || is_temporary(entry.file_name()) {
            return None;
        }
        let root = self.root;
        self.files.get_or_insert_with(|| own_files(root)).what(&metadata)
    }
}

/// The files of the appliances that are named, and of those around a place.
fn own_files(place: &Path) -> OwnFiles {
    OwnFiles::of(place, variable("FIRN_DIR").map(PathBuf::from).into_iter().chain([default_dir()]))
}

/// What a file is of an appliance's that has another name there: a hard link. By itself it does not say so.
pub(crate) fn other_name_of_an_appliances(path: &Path) -> Option<&'static str> {
    let metadata = std::fs::metadata(path).ok().filter(|found| found.is_file() && found.nlink() > 1)?;
    let path = std::fs::canonicalize(path).ok()?;
    own_files(path.parent()?).what(&metadata)
}

/// How deep the link lies behind which a walk is.
#[derive(Debug, Default)]
struct Linked(Option<usize>);

impl Linked {
    /// Whether a link to a directory leads to the next entry of the walk.
    fn is_before(&mut self, entry: &DirEntry) -> bool {
        if self.0.is_some_and(|depth| depth < entry.depth()) {
            return true;
        }
        let leads_on = entry.path_is_symlink() && entry.file_type().is_dir();
        self.0 = leads_on.then(|| entry.depth());
        false
    }
}

/// Siblings as their keys sort: a directory's name counts with the slash that follows it. Links are not followed yet when
/// siblings are sorted.
fn by_key(a: &DirEntry, b: &DirEntry) -> Ordering {
    let key = |entry: &DirEntry| {
        let mut name = entry.file_name().as_bytes().to_vec();
        if entry.file_type().is_dir() || (entry.path_is_symlink() && entry.path().is_dir()) {
            name.push(b'/');
        }
        name
    };
    key(a).cmp(&key(b))
}

fn found(root: &Path, entry: walkdir::Result<DirEntry>, behind_link: bool) -> Option<Found> {
    let entry = match entry {
        Ok(entry) => entry,
        Err(error) => {
            let path = error.path().unwrap_or(root);
            let name = path.strip_prefix(root).unwrap_or(path).display().to_string();
            let is_missing =
                error.io_error().is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound);
            if is_missing && path.is_symlink() {
                let text = "read it: it is a link to nothing; --exclude leaves it out";
                return Some(Found::Refused(name, Failure::new(Exit::NotFound, text).into()));
            }
            if let Some(above) = error.loop_ancestor() {
                let text = format!(
                    "read it: it is a link back to {}, which it lies in; --exclude leaves it out",
                    above.display()
                );
                return Some(Found::Refused(name, Failure::new(Exit::Error, text).into()));
            }
            return Some(Found::Refused(name, anyhow::Error::from(error).context("read the directory")));
        }
    };
    let file_type = entry.file_type();
    if file_type.is_dir() || is_temporary(entry.file_name()) {
        return None;
    }
    let path = entry.path().strip_prefix(root).unwrap_or(entry.path());
    let Some(name) = path.to_str() else {
        let name = path.display().to_string();
        return Some(Found::Refused(
            name,
            anyhow::anyhow!(
                "make a key of its name: it is not UTF-8; rename it, or --exclude with a * leaves it out"
            ),
        ));
    };
    if !file_type.is_file() {
        return Some(Found::Refused(
            name.to_owned(),
            anyhow::anyhow!("read it: it is no regular file; --exclude leaves it out"),
        ));
    }
    Some(match entry.metadata() {
        Err(error) => Found::Refused(name.to_owned(), anyhow::Error::from(error).context("look at the file")),
        Ok(metadata) => Found::Entry(Entry {
            name: name.to_owned(),
            size: metadata.len(),
            modified: modified(&metadata),
            etag: None,
            version: None,
            behind_link,
        }),
    })
}

/// Whether it is a temporary file of ours.
fn is_download(entry: &DirEntry) -> bool {
    is_temporary(entry.file_name()) && entry.file_type().is_file() && !entry.path_is_symlink()
}

#[cfg(test)]
mod tests {
    use super::{Found, path_of, walk};
    use std::os::unix::ffi::OsStringExt;
    use std::path::Path;

    #[test]
    fn hostile_keys_name_no_file() {
        let root = Path::new("/dst");
        for bad in ["", "/etc/passwd", "../x", "a/../../x", "a/./b", "a//b", "a/", "a\0b", &"n".repeat(256)] {
            path_of(root, bad).unwrap_err();
        }
        for good in ["a", "a/b", "..a", "a..", "...", "-rf", "é ü", &"n".repeat(255)] {
            assert_eq!(path_of(root, good).unwrap(), root.join(good));
        }
    }

    #[tokio::test]
    async fn walks_in_key_order_and_refuses_what_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for name in ["b/x", "b.txt", "b-y", "a", "c/d/e", ".firn-partial-1"] {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        std::os::unix::fs::symlink("missing", root.join("dangling")).unwrap();
        std::os::unix::fs::symlink("c", root.join("d")).unwrap();
        std::fs::write(root.join("d.txt"), "beside the link").unwrap();
        let mut list = walk(root.to_owned(), false);
        let (mut names, mut linked, mut refused) = (Vec::new(), Vec::new(), 0);
        while let Some(found) = list.recv().await {
            match found {
                Found::Entry(entry) => {
                    if entry.behind_link {
                        linked.push(entry.name.clone());
                    }
                    names.push(entry.name);
                }
                Found::Refused(..) => refused += 1,
                Found::Broken(error) => panic!("{error:#}"),
            }
        }
        assert_eq!(names, [".firn-partial-1", "a", "b-y", "b.txt", "b/x", "c/d/e", "d.txt", "d/d/e"]);
        assert_eq!(linked, ["d/d/e"]);
        assert!(names.is_sorted());
        assert_eq!(refused, 2);
        let digits = ".firn-partial-0123456789abcdef0123456789abcdef";
        let ours = std::ffi::OsString::from_vec([digits.as_bytes(), &[0xff]].concat());
        let (stale, object) = (root.join(&ours), root.join(digits));
        let elsewhere = tempfile::tempdir().unwrap();
        let others = elsewhere.path().join(&ours);
        for path in [&stale, &object, &others] {
            std::fs::write(path, "half").unwrap();
        }
        std::os::unix::fs::symlink(elsewhere.path(), root.join("link")).unwrap();
        let mut swept = walk(root.to_owned(), true);
        let mut listed = Vec::new();
        while let Some(found) = swept.recv().await {
            if let Found::Entry(entry) = found {
                listed.push(entry.name);
            }
        }
        assert!(others.exists(), "behind a link");
        assert!(!stale.exists() && object.exists(), "only what a download made");
        assert_eq!(listed.iter().filter(|name| name.contains("partial")).count(), 2, "{listed:?}");
    }
}
