//! The Debian packages that the tasks need: probed for by what they bring, installed by name, never silently.

use crate::error::{Error, Result};
use crate::{process, say};
use std::process::{Command, Stdio};

/// A package, why it is wanted, and how its presence shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    name: &'static str,
    why: &'static str,
    probe: Probe,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    /// A program in the path.
    Program(&'static str),
    /// A module that python3 can import.
    PythonModule(&'static str),
    /// dpkg says that it is installed.
    Installed(&'static str),
}

const BUILD: [Package; 3] = [
    Package { name: "g++", why: "compiles RocksDB", probe: Probe::Program("g++") },
    Package {
        name: "libclang-dev",
        why: "lets bindgen read RocksDB's header",
        probe: Probe::Installed("libclang-dev"),
    },
    Package { name: "git", why: "lists the tree's files and names its commit", probe: Probe::Program("git") },
];

const PYTHON: [Package; 3] = [
    Package { name: "python3", why: "runs the real clients", probe: Probe::Program("python3") },
    Package { name: "python3-venv", why: "keeps the clients apart", probe: Probe::PythonModule("ensurepip") },
    Package {
        name: "ca-certificates",
        why: "lets pip verify its index",
        probe: Probe::Installed("ca-certificates"),
    },
];

const CLIENTS: [Package; 6] =
    [client("rclone"), client("restic"), client("s3cmd"), client("s3fs"), client("curl"), client("zstd")];

/// Most machines have it; an image of the least packages has not.
const SIGNALS: Package = Package {
    name: "procps",
    why: "has the kill that tests end servers with",
    probe: Probe::Installed("procps"),
};

const CEPH: [Package; 5] = [
    ceph("ceph-mon"),
    ceph("ceph-mgr"),
    ceph("ceph-osd"),
    ceph("radosgw"),
    Package { name: "python3", why: "asks a store whether it is ready", probe: Probe::Program("python3") },
];

const fn ceph(name: &'static str) -> Package {
    Package { name, why: "is of the cluster that a remote pool is proven on", probe: Probe::Installed(name) }
}

/// A client; not every one has `--version`.
const fn client(name: &'static str) -> Package {
    Package { name, why: "is one of the real clients", probe: Probe::Installed(name) }
}

/// What a build needs.
pub(crate) fn for_build() -> Vec<Package> {
    BUILD.to_vec()
}

/// What the demo needs.
pub(crate) fn for_demo() -> Vec<Package> {
    [&BUILD[..], &PYTHON[..]].concat()
}

/// What the tests need.
pub(crate) fn for_tests() -> Vec<Package> {
    [&BUILD[..], &PYTHON[..], &CLIENTS[..], &[SIGNALS]].concat()
}

/// What a Ceph cluster by hand needs.
pub(crate) fn for_ceph() -> Vec<Package> {
    CEPH.to_vec()
}

/// Installs what is missing of `wanted`, saying so first.
pub(crate) fn ensure(wanted: &[Package]) -> Result<()> {
    let missing: Vec<&Package> = wanted.iter().filter(|package| !package.probe.is_met()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    for package in &missing {
        say::line(format!("missing: the Debian package {} ({})", package.name, package.why));
    }
    let plan = plan(&names, process::is_there("apt-get"), is_root()?, process::is_there("sudo"))?;
    for step in plan {
        say::line(format!("running: {}", step.join(" ")));
        let (program, arguments) = step.split_first().ok_or_else(|| Error::failed("an empty command"))?;
        process::run(Command::new(program).args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    match missing.iter().find(|package| !package.probe.is_met()) {
        Some(package) => Err(Error::failed(format!("{} is installed and still not usable", package.name))),
        None => Ok(()),
    }
}

/// The commands that install `names`, or what a person has to do instead.
fn plan(names: &[&str], apt: bool, root: bool, sudo: bool) -> Result<Vec<Vec<String>>> {
    let by_hand = format!("install these with your system's package manager: {}", names.join(" "));
    if !apt {
        return Err(Error::failed(format!("there is no apt-get here; {by_hand}")));
    }
    if !root && !sudo {
        return Err(Error::failed(format!(
            "neither root nor sudo here; as root, run: apt-get install {}",
            names.join(" ")
        )));
    }
    let prefix: &[&str] = if root { &["apt-get"] } else { &["sudo", "apt-get"] };
    let step = |rest: &[&str]| prefix.iter().chain(rest).map(ToString::to_string).collect::<Vec<_>>();
    let install = [&["install", "--yes", "--no-install-recommends"], names].concat();
    Ok(vec![step(&["update", "--quiet"]), step(&install)])
}

fn is_root() -> Result<bool> {
    Ok(process::capture(Command::new("id").arg("-u"))?.trim() == "0")
}

impl Probe {
    fn is_met(self) -> bool {
        match self {
            Self::Program(name) => process::is_there(name),
            Self::PythonModule(name) => {
                quiet(Command::new("python3").args(["-c", &format!("import {name}")]))
            }
            Self::Installed(name) => {
                let mut query = Command::new("dpkg-query");
                query.args(["--show", "--showformat=${db:Status-Status}", name]);
                process::capture(&mut query).is_ok_and(|status| status == "installed")
            }
        }
    }
}

fn quiet(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_installs_by_itself_and_others_ask_sudo() {
        let steps = plan(&["g++", "rclone"], true, true, false).unwrap();
        assert_eq!(steps[1].join(" "), "apt-get install --yes --no-install-recommends g++ rclone");
        let steps = plan(&["g++"], true, false, true).unwrap();
        assert_eq!(steps[0].join(" "), "sudo apt-get update --quiet");
    }

    #[test]
    fn without_rights_or_apt_the_message_names_the_packages() {
        let text = plan(&["g++"], true, false, false).unwrap_err().to_string();
        assert!(text.contains("as root, run: apt-get install g++"), "{text}");
        let text = plan(&["g++"], false, true, true).unwrap_err().to_string();
        assert!(text.contains("package manager: g++"), "{text}");
    }

    #[test]
    fn what_is_there_is_not_missing() {
        assert!(Probe::Program("git").is_met());
        assert!(!Probe::Program("firn-no-such-program").is_met());
        assert!(!Probe::Installed("firn-no-such-package").is_met());
    }
}
