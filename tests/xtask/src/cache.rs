//! The user's cache: directories that are complete or absent, whose loss costs time and nothing else.
//!
//! ```text
//!   ~/.cache/firn/KIND/KEY.lock              held while an entry is made or checked
//!   ~/.cache/firn/KIND/KEY/                  an entry
//!   ~/.cache/firn/KIND/KEY/recipe            what it was made from; compared in full, as KEY is a short hash of it
//!   ~/.cache/firn/KIND/KEY/sha256sums        checksums of its recipe and files; written last, so it makes the entry whole
//! ```
//!
//! Invariants: an entry without checksums, as a crash leaves it, or with ones that do not match is made again from
//! nothing; two makers of one entry wait for one another. Never: an entry used unverified, or moved after it was made
//! (scripts of a Python environment name their own path).

use crate::error::{Error, Result};
use crate::workspace::{make_directory, read, write};
use crate::{process, say};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

const SUMS: &str = "sha256sums";
const RECIPE: &str = "recipe";

/// A short stable name for a recipe (FNV-1a).
pub(crate) fn key(recipe: &str) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in recipe.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    format!("{hash:016x}")
}

/// Returns the verified entry for `recipe` under `kind`, making it by `make(directory)` when it is absent or broken.
pub(crate) fn entry(
    kind: &Path,
    recipe: &str,
    checked: &[&str],
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let name = key(recipe);
    make_directory(kind)?;
    let home = kind.join(&name);
    let _lock = lock(&kind.join(format!("{name}.lock")))?;
    match verify(&home, recipe, checked) {
        Ok(()) => return Ok(home),
        Err(why) if home.exists() => {
            say::line(format!(
                "the cached {} is incomplete or broken ({why}); making it again",
                home.display()
            ));
        }
        Err(_) => {}
    }
    remove(&home)?;
    make_directory(&home)?;
    make(&home)?;
    write(&home.join(RECIPE), recipe)?;
    let sums = process::capture(Command::new("sha256sum").current_dir(&home).args(checked).arg(RECIPE))?;
    write(&home.join(SUMS), &sums)?;
    Ok(home)
}

/// Waits for the lock of an entry, saying so when another process has it.
fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).map_err(|source| Error::at("create", path, source))?;
    if file.try_lock().is_err() {
        say::line(format!("waiting for another task that holds {}", path.display()));
        file.lock().map_err(|source| Error::at("lock", path, source))?;
    }
    Ok(file)
}

fn verify(home: &Path, recipe: &str, checked: &[&str]) -> Result<()> {
    if read(&home.join(RECIPE))? != recipe {
        return Err(Error::failed("its recipe is another one"));
    }
    let sums = read(&home.join(SUMS))?;
    if checked.iter().any(|name| !sums.lines().any(|line| line.ends_with(&format!(" {name}")))) {
        return Err(Error::failed("its list of checksums is incomplete"));
    }
    let check =
        Command::new("sha256sum").current_dir(home).args(["--check", "--strict", "--quiet", SUMS]).output();
    match check {
        Ok(output) if output.status.success() => Ok(()),
        Ok(_) => Err(Error::failed("a checksum differs")),
        Err(source) => Err(Error::Io { doing: "run sha256sum".into(), source }),
    }
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::at("remove", path, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Makes the entry whose one file says `ready`, counting how often it was made.
    fn make_counted(kind: &Path, recipe: &str, made: &Cell<u32>) -> PathBuf {
        entry(kind, recipe, &["thing"], |home| {
            made.set(made.get() + 1);
            write(&home.join("thing"), "ready")
        })
        .unwrap()
    }

    #[test]
    fn an_entry_is_made_once_and_again_when_any_byte_of_it_changes() {
        let kind = tempfile::tempdir().unwrap();
        let made = Cell::new(0);
        let home = make_counted(kind.path(), "r1", &made);
        assert_eq!(make_counted(kind.path(), "r1", &made), home);
        assert_eq!(made.get(), 1);
        for broken in ["thing", SUMS, RECIPE] {
            let before = made.get();
            write(&home.join(broken), "x").unwrap();
            make_counted(kind.path(), "r1", &made);
            assert_eq!(made.get(), before + 1, "{broken}");
            assert_eq!(read(&home.join("thing")).unwrap(), "ready");
        }
    }

    #[test]
    fn another_recipe_is_another_entry() {
        let kind = tempfile::tempdir().unwrap();
        let made = Cell::new(0);
        assert_ne!(make_counted(kind.path(), "r1", &made), make_counted(kind.path(), "r2", &made));
        assert_eq!(made.get(), 2);
    }

    #[test]
    fn a_half_made_entry_is_never_returned() {
        let kind = tempfile::tempdir().unwrap();
        let failed = entry(kind.path(), "r1", &["thing"], |home| {
            write(&home.join("thing"), "half")?;
            Err(Error::failed("the power went"))
        });
        assert!(failed.is_err());
        let made = Cell::new(0);
        let home = make_counted(kind.path(), "r1", &made);
        assert_eq!(read(&home.join("thing")).unwrap(), "ready");
    }

    #[test]
    fn a_key_is_stable() {
        assert_eq!(key(""), "cbf29ce484222325");
        assert_eq!(key("a"), "af63dc4c8601ec8c");
    }
}
