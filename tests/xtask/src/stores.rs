//! Stores of others that a remote pool is proven on: started by tests/stores, on loopback, and ended with the proof.
//!
//! ```text
//!   minio: a peer, built once (peers)      ceph: Debian's packages
//!   tests/stores/NAME DIR PORT … ─► address, credentials, pids ─► `oracle store` ─► its input closed: the script ends all
//! ```

use crate::error::{Error, Result};
use crate::workspace::Workspace;
use crate::{packages, peers, process, say};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

const ALL: [&str; 2] = ["minio", "ceph"];

/// A store that runs; it ends when this is dropped.
struct Running {
    script: Child,
    /// What the oracle is told of it.
    words: Vec<String>,
}

/// Which of them: all, or those that `FIRN_STORES` lists.
fn chosen(list: Option<&str>) -> Result<Vec<&'static str>> {
    let Some(list) = list else { return Ok(ALL.to_vec()) };
    let find = |name: &str| {
        let known = ALL.into_iter().find(|known| *known == name);
        known.ok_or_else(|| Error::Usage(format!("FIRN_STORES: `{name}` is none of {}", ALL.join(", "))))
    };
    list.split(',').map(find).collect()
}

/// Proves a remote pool on each; `oracle` makes the command that takes the store's words.
pub(crate) fn run(workspace: &Workspace, oracle: impl Fn() -> Command) -> Result<()> {
    for name in chosen(std::env::var("FIRN_STORES").ok().as_deref())? {
        say::heading(name);
        let store = start(workspace, name)?;
        process::run(oracle().args(["--name", name]).args(&store.words))?;
    }
    Ok(())
}

fn start(workspace: &Workspace, name: &str) -> Result<Running> {
    let dir = std::env::temp_dir().join(format!("firn-{name}-{}", std::process::id()));
    let mut script = Command::new(workspace.root.join("tests/stores").join(name));
    script.arg(&dir).arg(port()?.to_string());
    if name == "minio" {
        script.arg(peers::binary(workspace, name)?);
    } else {
        packages::ensure(&packages::for_ceph())?;
    }
    let mut child = script
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|source| Error::Io { doing: format!("run {}", process::line_of(&script)), source })?;
    let Some(stdout) = child.stdout.take() else { return Err(Error::failed("the script has no output")) };
    let mut running = Running { script: child, words: Vec::new() };
    for line in BufReader::new(stdout).lines() {
        let line =
            line.map_err(|source| Error::Io { doing: "read what a store's script says".into(), source })?;
        match word(&line) {
            Some(words) => running.words.extend(words),
            None if line == "ready" => return Ok(running),
            None => say::line(&line),
        }
    }
    Err(Error::failed(format!("{name} did not start: see above")))
}

/// `address=…` as the oracle's option.
fn word(line: &str) -> Option<[String; 2]> {
    let (name, value) = line.split_once('=')?;
    ["address", "credentials", "pid"].contains(&name).then(|| [format!("--{name}"), value.to_owned()])
}

/// One of three ports side by side that are free.
fn port() -> Result<u16> {
    for port in (20_000..32_000).step_by(3) {
        if (port..port + 3).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return Ok(port);
        }
    }
    Err(Error::failed("no three ports side by side are free between 20000 and 32000"))
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        if let Err(error) = self.script.wait() {
            say::line(format!("a store's script can't be waited for: {error}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn stores_are_chosen_by_name_and_say_what_they_are() {
        assert_eq!(chosen(None).unwrap(), ALL);
        assert_eq!(chosen(Some("ceph")).unwrap(), ["ceph"]);
        assert!(chosen(Some("garage")).unwrap_err().to_string().contains("minio, ceph"));
        assert_eq!(word("pid=7").unwrap(), ["--pid", "7"]);
        assert!(word("ready").is_none() && word("note=x").is_none());
        assert!(
            ALL.iter()
                .all(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join("../stores").join(name).is_file())
        );
    }
}
