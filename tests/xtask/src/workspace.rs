//! Where things are: the repository, the target directory, the user's cache, and what `cargo metadata` knows.

use crate::compile::Profile;
use crate::error::{Error, Result};
use crate::process;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository and the directories around it.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    /// The repository's top.
    pub(crate) root: PathBuf,
    /// Cargo's target directory.
    pub(crate) target: PathBuf,
    /// The user's cache for what is slow to make and safe to lose.
    pub(crate) cache: PathBuf,
}

/// What `cargo metadata` says, as far as the tasks need it.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    /// All packages, dependencies included.
    pub(crate) packages: Vec<Package>,
    /// Ids of our own packages.
    pub(crate) workspace_members: Vec<String>,
    target_directory: PathBuf,
}

/// One package.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    /// Cargo's id of it.
    pub(crate) id: String,
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// Where its Cargo.toml is.
    pub(crate) manifest_path: PathBuf,
    /// What it depends on.
    pub(crate) dependencies: Vec<Dependency>,
}

/// One edge of the crate graph.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    /// The crate depended on.
    pub(crate) name: String,
    /// `None` for a normal dependency, else `dev` or `build`.
    pub(crate) kind: Option<String>,
}

impl Package {
    /// The directory of the package.
    pub(crate) fn directory(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(&self.manifest_path)
    }
}

impl Metadata {
    /// The workspace's own packages.
    pub(crate) fn ours(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }

    /// The one package of this name.
    pub(crate) fn package(&self, name: &str) -> Result<&Package> {
        self.packages
            .iter()
            .find(|package| package.name == name)
            .ok_or_else(|| Error::failed(format!("Cargo.lock does not name the package {name}")))
    }
}

impl Workspace {
    /// Finds the directories from what cargo tells its child; two clones may share a target directory, so what was known
    /// when this was compiled is only the second choice.
    pub(crate) fn find() -> Result<Self> {
        let here = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = here
            .ancestors()
            .nth(2)
            .filter(|root| root.join("Cargo.lock").exists())
            .ok_or_else(|| Error::failed("find the repository: run `cargo xtask` inside the clone"))?
            .to_owned();
        let cache = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
            .ok_or_else(|| Error::failed("set HOME or XDG_CACHE_HOME: there is no place for the cache"))?
            .join("firn");
        // Cargo itself knows best where its target directory is, but asking it costs a resolution; it tells its children.
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        Ok(Self { target: root.join(target), root, cache })
    }

    /// Asks cargo for the packages; `dependencies` includes those of others.
    pub(crate) fn metadata(&self, dependencies: bool) -> Result<Metadata> {
        let mut command = Command::new(cargo());
        command.current_dir(&self.root).args(["metadata", "--format-version=1", "--locked"]);
        if !dependencies {
            command.arg("--no-deps");
        }
        let text = process::capture(&mut command)?;
        let metadata: Metadata = serde_json::from_str(&text)
            .map_err(|error| Error::failed(format!("failed to read cargo's metadata: {error}")))?;
        if metadata.target_directory != self.target {
            return Err(Error::failed(format!(
                "cargo's target directory is {}, not {}: set it by CARGO_TARGET_DIR only",
                metadata.target_directory.display(),
                self.target.display()
            )));
        }
        Ok(metadata)
    }

    /// Where the binary is after a build.
    pub(crate) fn firn(&self, profile: Profile) -> PathBuf {
        self.target.join(profile.name()).join("firn")
    }

    /// The names of all files that git tracks, relative to the root.
    pub(crate) fn tracked_files(&self) -> Result<Vec<PathBuf>> {
        let text = process::capture(Command::new("git").current_dir(&self.root).args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]))?;
        let exists = |path: &PathBuf| self.root.join(path).is_file();
        Ok(text.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).filter(exists).collect())
    }
}

/// The cargo that runs us, or the one in the path.
pub(crate) fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Reads a file as text.
pub(crate) fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|source| Error::at("read", path, source))
}

/// Writes a file.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|source| Error::at("write", path, source))
}

/// Makes a directory with its parents.
pub(crate) fn make_directory(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|source| Error::at("create", path, source))
}
