//! The process under test: spawned, found, killed.

use crate::{Connection, Request, Signing, Sink, elapsed, unix_seconds};
use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The binary.
    pub binary: PathBuf,
    /// Its data directory.
    pub dir: PathBuf,
    /// Where its output goes (appended).
    pub log: PathBuf,
    /// Where it serves S3: port 0 is any that is free.
    pub http: String,
    /// Further arguments.
    pub args: Vec<String>,
    /// How long it may take to be ready; and how long to answer, for who asks [`Appliance::patience`].
    pub patience: Duration,
}

/// How long a server may take to be ready, unless something else is said.
const PATIENCE: Duration = Duration::from_mins(1);
/// On this machine.
pub const ANY_PORT: &str = "127.0.0.1:0";

impl Launch {
    /// One whose directory and log are in `scratch`, of the binary that is named or else
    /// [found](Self::binary_from_environment).
    pub fn new(binary: Option<PathBuf>, scratch: &Path) -> io::Result<Self> {
        let binary = binary.map_or_else(Self::binary_from_environment, Ok)?;
        let (dir, log) = (scratch.join("data"), scratch.join("server.log"));
        Ok(Self { binary, dir, log, http: ANY_PORT.to_owned(), args: Vec::new(), patience: PATIENCE })
    }

    /// The binary that `FIRN_BIN` names, else the release binary of this workspace's target directory.
    pub fn binary_from_environment() -> io::Result<PathBuf> {
        if let Some(path) = std::env::var_os("FIRN_BIN") {
            return Ok(path.into());
        }
        let exe = std::env::current_exe()?;
        let target = exe.ancestors().find(|dir| dir.join("release/firn").is_file());
        target.map(|dir| dir.join("release/firn")).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                "find the firn binary: set FIRN_BIN or build it with --release",
            )
        })
    }

    fn spawn(&self) -> io::Result<Child> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        Command::new(&self.binary)
            .arg("server")
            .arg(&self.dir)
            .args(["--http", &self.http, "--admin", ANY_PORT])
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
    }

    /// Starts a server and waits until it is ready. An error carries the end of its log.
    pub async fn start(&self) -> io::Result<Appliance> {
        for name in ["http.addr", "admin.addr"] {
            match fs::remove_file(self.dir.join("run").join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let mut child = self.spawn()?;
        let deadline = elapsed() + self.patience;
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        loop {
            ticks.tick().await;
            if let Some(status) = child.try_wait()? {
                return Err(io::Error::other(format!(
                    "start firn: it ended with {status}\n{}",
                    self.log_tail()
                )));
            }
            if let Some((http, admin)) = self.ready().await {
                let signing = read_credentials(&self.dir.join("credentials"))?;
                let token = fs::read_to_string(self.dir.join("admin-token"))?.trim().to_owned();
                let patience = self.patience;
                return Ok(Appliance { child, http, admin, signing, patience, token });
            }
            if elapsed() > deadline {
                child.kill().await?;
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("start firn: not ready in {:?}\n{}", self.patience, self.log_tail()),
                ));
            }
        }
    }

    /// Starts a server that is expected to refuse: waits for its end and gives its status and log.
    pub async fn start_refused(&self) -> io::Result<(std::process::ExitStatus, String)> {
        let mut child = self.spawn()?;
        let Ok(status) = tokio::time::timeout(self.patience, child.wait()).await else {
            child.kill().await?;
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it did not refuse"));
        };
        Ok((status?, self.log_tail()))
    }

    /// Both addresses, once they are there and the server says that it is ready.
    async fn ready(&self) -> Option<(SocketAddr, SocketAddr)> {
        let address = |name: &str| -> Option<SocketAddr> {
            fs::read_to_string(self.dir.join("run").join(name)).ok()?.trim().parse().ok()
        };
        let (http, admin) = (address("http.addr")?, address("admin.addr")?);
        let mut connection = Connection::open(admin).await.ok()?;
        let head = format!("GET /readyz HTTP/1.1\r\nhost: {admin}\r\n\r\n");
        let answer = connection.exchange(head.as_bytes(), &[], Sink::Keep).await.ok()?;
        (answer.status == 200).then_some((http, admin))
    }

    /// The last lines of the server's log.
    pub fn log_tail(&self) -> String {
        let text = fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let text = text.unwrap_or_else(|error| format!("(no log: {error})"));
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

/// A running server.
#[derive(Debug)]
pub struct Appliance {
    child: Child,
    /// Where S3 is served.
    pub http: SocketAddr,
    /// Where the admin API is served.
    pub admin: SocketAddr,
    /// Its root key.
    pub signing: Signing,
    /// How long whoever started it waits for it.
    pub patience: Duration,
    token: String,
}

impl Appliance {
    /// The process id.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// A connection to the S3 door.
    pub async fn connect(&self) -> io::Result<Connection> {
        Connection::open(self.http).await
    }

    /// The complete head of a signed request.
    pub fn head(&self, request: &Request, body: &[u8]) -> Vec<u8> {
        let host = self.http.to_string();
        self.signing.head(&host, request, body.len(), &crate::sha256_hex(body), unix_seconds())
    }

    /// One admin call, with a body of JSON or none; the answer's status and JSON.
    pub async fn admin(&self, method: &str, path: &str, body: &str) -> io::Result<(u16, String)> {
        let mut connection = Connection::open(self.admin).await?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
            self.admin,
            self.token,
            body.len()
        );
        let answer = connection.exchange(head.as_bytes(), body.as_bytes(), Sink::Keep).await?;
        Ok((answer.status, answer.text()))
    }

    /// SIGKILL; returns once the process is gone, its files closed.
    pub async fn kill(mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// SIGTERM; returns its status once it has drained, or an error when that takes longer than `patience`.
    pub async fn terminate(mut self, patience: Duration) -> io::Result<std::process::ExitStatus> {
        let pid =
            self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("it has ended already"))?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        match tokio::time::timeout(patience, self.child.wait()).await {
            Ok(status) => status,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "drain the server")),
        }
    }

    /// Whether the process has ended by itself.
    pub fn has_ended(&mut self) -> io::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }
}

/// The `[default]` profile of an AWS credentials file.
fn read_credentials(path: &Path) -> io::Result<Signing> {
    let text = fs::read_to_string(path)?;
    let value = |name: &str| {
        let mut pairs = text.lines().filter_map(|line| line.split_once('='));
        let found = pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned());
        found.ok_or_else(|| io::Error::other(format!("read {}: {name} is missing", path.display())))
    };
    Ok(Signing {
        access_key: value("aws_access_key_id")?,
        secret: value("aws_secret_access_key")?,
        region: value("region").unwrap_or_else(|_| "us-east-1".to_owned()),
    })
}
