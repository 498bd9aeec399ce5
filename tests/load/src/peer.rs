//! Servers of others, to be measured beside firn: how each is started, durable, on loopback, in scratch directories.
//!
//! They are never part of firn: whoever measures builds them (`cargo xtask bench s3 --peers`) and names their binaries.
//! Each ends with the value that holds it.

use crate::target::Target;
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;
use tokio::process::{Child, Command};
use wire::Signing;

/// How long a peer may take to answer its first request.
const PATIENCE: Duration = Duration::from_mins(1);
/// Garage wants keys of its own shape.
const ACCESS_KEY: &str = "GK00112233445566778899aabb";
const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const REGION: &str = "us-east-1";

/// A server that is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Minio,
    Versitygw,
    Garage,
}

/// A server and its binary, as the command line names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) kind: Kind,
    binary: PathBuf,
}

/// A running one.
pub(crate) struct Running {
    _child: Child,
    pub(crate) target: Target,
}

impl FromStr for Peer {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, path) = text.split_once('=').context("write it as NAME=PATH")?;
        let kind = match name {
            "minio" => Kind::Minio,
            "versitygw" => Kind::Versitygw,
            "garage" => Kind::Garage,
            other => bail!("{other} is not known here; minio, versitygw and garage are"),
        };
        ensure!(!path.is_empty(), "name the binary of {name}");
        Ok(Self { kind, binary: path.into() })
    }
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Minio => "minio",
            Self::Versitygw => "versitygw",
            Self::Garage => "garage",
        }
    }

    /// What a reader of the figures has to know.
    pub(crate) const fn note(self) -> &'static str {
        match self {
            Self::Minio => {
                "one drive, as shipped: it syncs data and metadata of each object before it answers"
            }
            Self::Versitygw => {
                "posix, with keep-alive: it never syncs, so its writes are not durable when it answers, and it does not verify \
                 what it reads"
            }
            Self::Garage => "one node, LMDB, with metadata_fsync and data_fsync switched on",
        }
    }
}

impl Peer {
    /// Starts it in a directory of its own and waits until it answers. An error carries the end of what it said.
    pub(crate) async fn start(&self, scratch: &Path) -> Result<Running> {
        let home = scratch.join(self.kind.name());
        fs::create_dir_all(home.join("data")).with_context(|| format!("create {}", home.display()))?;
        let address = free_address()?;
        let mut command = self.command(&home, address)?;
        let log = home.join("log");
        let output = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("start {}", self.binary.display()))?;
        let pid = child.id().context("it ended at once")?;
        let signing = Signing {
            access_key: ACCESS_KEY.to_owned(),
            secret: SECRET.to_owned(),
            region: REGION.to_owned(),
        };
        let target = Target { address, signing, pid };
        let deadline = wire::elapsed() + PATIENCE;
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        let mut configured = self.kind != Kind::Garage;
        loop {
            ticks.tick().await;
            if let Some(status) = child.try_wait()? {
                bail!("{} ended with {status}:\n{}", self.kind.name(), tail(&log));
            }
            if !configured {
                configured = self.configure_garage(&home).await?;
            } else if target.is_ready().await {
                return Ok(Running { _child: child, target });
            }
            ensure!(wire::elapsed() < deadline, "{} does not answer:\n{}", self.kind.name(), tail(&log));
        }
    }

    fn command(&self, home: &Path, address: SocketAddr) -> Result<Command> {
        let mut command = Command::new(&self.binary);
        let data = home.join("data");
        match self.kind {
            Kind::Minio => {
                command.args(["server", "--quiet", "--address", &address.to_string()]);
                command.args(["--console-address", &free_address()?.to_string()]).arg(data);
                command.env("MINIO_ROOT_USER", ACCESS_KEY).env("MINIO_ROOT_PASSWORD", SECRET);
                command.env("MINIO_REGION", REGION);
            }
            Kind::Versitygw => {
                command.args(["--port", &address.to_string(), "--region", REGION, "--quiet", "--keep-alive"]);
                command.args(["--access", ACCESS_KEY, "--secret", SECRET, "posix"]).arg(data);
            }
            Kind::Garage => {
                let configuration = home.join("garage.toml");
                fs::write(&configuration, garage_configuration(home, address, free_address()?))?;
                command.arg("-c").arg(configuration).arg("server");
            }
        }
        Ok(command)
    }

    /// Gives Garage its layout and its key; `false` while it does not listen yet.
    async fn configure_garage(&self, home: &Path) -> Result<bool> {
        let Ok(node) = self.garage(home, &["node", "id", "-q"]).await else { return Ok(false) };
        let node = node.split('@').next().unwrap_or_default().trim().to_owned();
        if self.garage(home, &["status"]).await.is_err() {
            return Ok(false);
        }
        self.garage(home, &["layout", "assign", "-z", "here", "-c", "50G", &node]).await?;
        self.garage(home, &["layout", "apply", "--version", "1"]).await?;
        self.garage(home, &["key", "import", "--yes", "-n", "load", ACCESS_KEY, SECRET]).await?;
        self.garage(home, &["key", "allow", "--create-bucket", ACCESS_KEY]).await?;
        Ok(true)
    }

    async fn garage(&self, home: &Path, words: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.binary);
        command.arg("-c").arg(home.join("garage.toml")).args(words).stdin(Stdio::null());
        let output = command.kill_on_drop(true).output().await?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "garage {}: {said}", words.join(" "));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn garage_configuration(home: &Path, s3: SocketAddr, rpc: SocketAddr) -> String {
    let home = home.display();
    format!(
        "metadata_dir = \"{home}/meta\"
data_dir = \"{home}/data\"
db_engine = \"lmdb\"
metadata_fsync = true
data_fsync = true
replication_factor = 1
rpc_bind_addr = \"{rpc}\"
rpc_public_addr = \"{rpc}\"
rpc_secret = \"{SECRET}\"

[s3_api]
s3_region = \"{REGION}\"
api_bind_addr = \"{s3}\"
root_domain = \".s3.localhost\"
"
    )
}

/// An address of loopback that nobody listens at. Somebody else might take it before the peer does; the start fails then.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0").context("find a free port")?.local_addr()?)
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let text = text.unwrap_or_else(|error| format!("(no log: {error})"));
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::{Kind, Peer};
    use std::path::Path;

    #[test]
    fn a_peer_is_named_with_its_binary() {
        let peer: Peer = "minio=/opt/a=b/minio".parse().unwrap();
        assert_eq!((peer.kind, peer.binary.as_path()), (Kind::Minio, Path::new("/opt/a=b/minio")));
        for (wrong, says) in
            [("minio", "NAME=PATH"), ("ceph=/x", "minio, versitygw and garage"), ("garage=", "binary")]
        {
            let error = wrong.parse::<Peer>().unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[tokio::test]
    async fn a_peer_that_ends_at_once_says_what_it_said() {
        let scratch = tempfile::tempdir().unwrap();
        let peer: Peer = "versitygw=/bin/false".parse().unwrap();
        let error = peer.start(scratch.path()).await.err().unwrap().to_string();
        assert!(error.contains("versitygw ended"), "{error}");
    }
}
