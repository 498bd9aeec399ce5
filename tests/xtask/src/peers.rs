//! Servers of others that firn is measured beside: built once from their published sources into the user's cache.
//!
//! ```text
//!   ~/.cache/firn/peers/KEY/   go.mod (this list's versions), the binary        by the Go tools, from their module proxy
//!                              bin/garage                                       by cargo, from its registry
//! ```
//!
//! Nothing of theirs is part of this repository or of firn. One that can't be built is left out, with its reason.

use crate::error::{Error, Result};
use crate::workspace::{self, Workspace, write};
use crate::{cache, process, say};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A server, and what it is built from.
#[derive(Clone, Copy, Debug)]
struct Recipe {
    name: &'static str,
    source: Source,
    /// How long a first build takes on two idle cores.
    takes: &'static str,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    /// A package of a Go module at a version.
    Go { module: &'static str, version: &'static str, package: &'static str },
    /// A crate at a version.
    Crate { version: &'static str },
}

/// All of them. The first one's is its last release, whose tag the module proxy knows by commit only.
const ALL: [Recipe; 3] = [
    Recipe {
        name: "minio",
        source: Source::Go {
            module: "github.com/minio/minio",
            version: "v0.0.0-20260212201848-7aac2a2c5b7c",
            package: "github.com/minio/minio",
        },
        takes: "4 minutes",
    },
    Recipe {
        name: "versitygw",
        source: Source::Go {
            module: "github.com/versity/versitygw",
            version: "v1.7.0",
            package: "github.com/versity/versitygw/cmd/versitygw",
        },
        takes: "2 minutes",
    },
    Recipe { name: "garage", source: Source::Crate { version: "2.5.0" }, takes: "8 minutes" },
];

/// What `--peers` may be followed by: `--peers` alone means all.
fn chosen(words: &str) -> Result<Vec<Recipe>> {
    if words.is_empty() {
        return Ok(ALL.to_vec());
    }
    let find = |name: &str| {
        let known = ALL.map(|recipe| recipe.name).join(", ");
        ALL.into_iter()
            .find(|recipe| recipe.name == name)
            .ok_or_else(|| Error::Usage(format!("`{name}` is not a peer; there are {known}")))
    };
    words.split(',').map(find).collect()
}

/// Turns `--peers[=NAME,…]` among a measurement's words into the load generator's own: `--peer NAME=PATH` for each that can be
/// built, `--without 'NAME: WHY'` for each that can't or was not asked for.
pub(crate) fn resolve(workspace: &Workspace, words: &[String]) -> Result<Vec<String>> {
    let Some(list) = words.iter().find_map(|word| asked(word)) else { return Ok(words.to_vec()) };
    let chosen = chosen(list)?;
    let mut resolved: Vec<String> = words.iter().filter(|word| asked(word).is_none()).cloned().collect();
    for recipe in ALL {
        let wanted = chosen.iter().any(|other| other.name == recipe.name);
        let built = if wanted { build(workspace, recipe) } else { Err(Error::failed("not asked for")) };
        resolved.extend(match built {
            Ok(binary) => ["--peer".to_owned(), format!("{}={}", recipe.name, binary.display())],
            Err(error) => ["--without".to_owned(), format!("{}: {}", recipe.name, first_line(&error))],
        });
    }
    Ok(resolved)
}

/// A peer's binary, built if it has to be.
pub(crate) fn binary(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    let recipe = chosen(name)?.into_iter().next();
    build(workspace, recipe.ok_or_else(|| Error::failed("no peer was named"))?)
}

/// The list behind `--peers`, if the word is that.
fn asked(word: &str) -> Option<&str> {
    match word.strip_prefix("--peers")? {
        "" => Some(""),
        rest => rest.strip_prefix('='),
    }
}

fn first_line(error: &Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

fn build(workspace: &Workspace, recipe: Recipe) -> Result<PathBuf> {
    let kind = workspace.cache.join("peers");
    match recipe.source {
        Source::Go { module, version, package } => {
            let compiler = process::capture(Command::new("go").arg("version"))
                .map_err(|_| Error::failed("its build needs Go 1.24 or newer in the path"))?;
            let text = format!("{package} {module}@{version}\n{compiler}");
            let home = cache::entry(&kind, &text, &[recipe.name], |home| {
                announce(recipe);
                write(&home.join("go.mod"), &go_mod(module, version))?;
                let mut go = Command::new("go");
                go.args(["build", "-mod=mod", "-o", recipe.name, package]);
                process::run(go.current_dir(home))
            })?;
            Ok(home.join(recipe.name))
        }
        Source::Crate { version } => {
            let compiler = process::capture(Command::new("rustc").arg("--version"))?;
            let binary = format!("bin/{}", recipe.name);
            let home =
                cache::entry(&kind, &format!("{} {version}\n{compiler}", recipe.name), &[&binary], |home| {
                    announce(recipe);
                    install(home, recipe.name, version)
                })?;
            Ok(home.join(binary))
        }
    }
}

fn announce(recipe: Recipe) {
    say::line(format!("building {} into the cache, once: about {} of two cores", recipe.name, recipe.takes));
}

/// A module of nothing, so that the versions are those of the peer's own go.mod.
fn go_mod(module: &str, version: &str) -> String {
    format!("module peers\n\ngo 1.24\n\nrequire {module} {version}\n")
}

fn install(home: &Path, name: &str, version: &str) -> Result<()> {
    let target = home.join("target");
    let mut install = Command::new(workspace::cargo());
    install.args(["install", "--locked", "--quiet", "--version", version]);
    install.arg("--root").arg(home).arg("--target-dir").arg(&target).arg(name);
    // Outside the repository, so that its flags and lock file do not apply.
    process::run(install.current_dir(home))?;
    std::fs::remove_dir_all(&target).map_err(|source| Error::at("remove", &target, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_asked_for_all_at_once_or_by_name() {
        assert_eq!(asked("--peers"), Some(""));
        assert_eq!(asked("--peers=minio,garage"), Some("minio,garage"));
        assert_eq!((asked("--peer"), asked("--peersx"), asked("--seconds")), (None, None, None));
        assert_eq!(chosen("").unwrap().len(), ALL.len());
        assert_eq!(chosen("versitygw").unwrap()[0].name, "versitygw");
        let text = chosen("minio,ceph").unwrap_err().to_string();
        assert!(text.contains("`ceph`") && text.contains("minio, versitygw, garage"), "{text}");
    }

    #[test]
    fn a_peer_is_required_at_its_version() {
        let text = go_mod("example.org/server", "v1.2.3");
        assert!(text.contains("require example.org/server v1.2.3\n"), "{text}");
    }
}
