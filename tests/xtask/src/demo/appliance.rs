//! The demo's appliance: found running, or started and left running.
//!
//! Its output goes to a log file, and it says by systemd's notify protocol when it is ready: nothing here polls for it. One that is
//! to be left running has a session of its own, so that it outlives the terminal; any other is ended by whatever ends the process
//! group of this program. One that does not become ready is ended here.

use crate::error::{Error, Result};
use crate::process;
use crate::say::{self, Stopwatch};
use crate::workspace::{make_directory, read};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const START_MAX: Duration = Duration::from_mins(1);
const PROBE_MAX: Duration = Duration::from_secs(5);

/// A running appliance and the binary that speaks to it.
pub(crate) struct Appliance {
    /// The binary.
    pub(crate) binary: PathBuf,
    /// Its directory.
    pub(crate) directory: PathBuf,
    variables: BTreeMap<String, String>,
    /// The server, where it was started here.
    server: Option<Child>,
}

/// Whom the appliance goes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stays {
    /// It is left running when all of this has ended.
    LeftRunning,
    /// It ends with the process group that it was started in.
    WithUs,
}

#[derive(Deserialize)]
struct Env {
    variables: BTreeMap<String, String>,
}

impl Appliance {
    /// Finds the appliance of `directory` running, or starts it and waits until it is ready.
    pub(crate) fn ensure(firn: &Path, directory: &Path, log: &Path, stays: Stays) -> Result<Self> {
        let server = if is_alive(directory) {
            say::line(format!("an appliance runs on {} already: using it", directory.display()));
            None
        } else {
            let watch = Stopwatch::start();
            let server = start(firn, directory, log, stays)?;
            let (time, pid) = (say::duration(watch.elapsed()), server.id());
            say::line(format!(
                "started on {} in {time}: process {pid}, log {}",
                directory.display(),
                log.display()
            ));
            Some(server)
        };
        match variables(firn, directory) {
            Ok(variables) => {
                Ok(Self { binary: firn.to_owned(), directory: directory.to_owned(), variables, server })
            }
            Err(error) => Err(match server {
                Some(server) => ended(server, error),
                None => error,
            }),
        }
    }

    /// Ends the server, if it was started here, in order; an error says how it ended otherwise.
    pub(crate) fn stop(self) -> Result<()> {
        let Some(mut server) = self.server else { return Ok(()) };
        process::run(Command::new("kill").arg("-TERM").arg(server.id().to_string()))?;
        let status =
            server.wait().map_err(|source| Error::Io { doing: "wait for firn's end".into(), source })?;
        if status.success() { Ok(()) } else { Err(Error::failed(format!("firn ended with {status}"))) }
    }

    /// A command that finds the appliance in its environment.
    pub(crate) fn client(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.envs(&self.variables);
        for foreign in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE"] {
            command.env_remove(foreign);
        }
        command
    }

    /// `firn` itself, as a client.
    pub(crate) fn firn(&self, arguments: &[&str]) -> Command {
        let mut command = self.client(&self.binary);
        command.args(arguments);
        command
    }
}

/// What finds the appliance of `directory`.
fn variables(firn: &Path, directory: &Path) -> Result<BTreeMap<String, String>> {
    let text = process::capture(Command::new(firn).args(["env", "--json"]).arg(directory))?;
    let env: Env = serde_json::from_str(&text)
        .map_err(|error| Error::failed(format!("failed to read `firn env --json`: {error}")))?;
    Ok(env.variables)
}

/// Whether an appliance answers at the admin address that `directory` names.
fn is_alive(directory: &Path) -> bool {
    let Ok(address) = read(&directory.join("run/admin.addr")) else { return false };
    let Ok(address) = address.trim().parse() else { return false };
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, PROBE_MAX)?;
        stream.set_read_timeout(Some(PROBE_MAX))?;
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: firn\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.take(64 << 10).read_to_string(&mut answer)?;
        Ok(answer.starts_with("HTTP/1.1 200"))
    };
    ask().unwrap_or(false)
}

/// The default port when it is free, any other when not.
fn address(port: u16) -> String {
    let free = TcpListener::bind(("127.0.0.1", port)).is_ok();
    format!("127.0.0.1:{}", if free { port } else { 0 })
}

fn start(firn: &Path, directory: &Path, log: &Path, stays: Stays) -> Result<Child> {
    if let Some(parent) = log.parent() {
        make_directory(parent)?;
    }
    let file = File::options().create(true).append(true).open(log);
    let file = file.map_err(|source| Error::at("open", log, source))?;
    let other = file.try_clone().map_err(|source| Error::at("open", log, source))?;
    let path = std::env::temp_dir().join(format!("firn-demo-{}.sock", std::process::id()));
    let socket = UnixDatagram::bind(&path).map_err(|source| Error::at("listen at", &path, source))?;
    let mut server = program(firn, stays);
    server.arg("server").arg(directory);
    server.args(["--http", &address(9000), "--admin", &address(9001)]);
    server.env("NOTIFY_SOCKET", &path).stdin(Stdio::null()).stdout(file).stderr(other);
    let spawned = server.spawn().map_err(|source| Error::Io { doing: "start firn".into(), source });
    let ready = spawned.and_then(|child| ready_or_ended(&socket, child, log, START_MAX));
    // The socket's name served its purpose; a left-over one hurts nobody.
    drop(std::fs::remove_file(&path));
    ready
}

/// The command that runs `firn`; its process is the server's in both cases.
fn program(firn: &Path, stays: Stays) -> Command {
    match stays {
        Stays::LeftRunning => {
            let mut own_session = Command::new("setsid");
            own_session.arg(firn);
            own_session
        }
        Stays::WithUs => Command::new(firn),
    }
}

/// A server that is ready; one that is not has ended when the error is told.
fn ready_or_ended(socket: &UnixDatagram, mut child: Child, log: &Path, max: Duration) -> Result<Child> {
    match await_ready(socket, &mut child, log, max) {
        Ok(()) => Ok(child),
        Err(error) => Err(ended(child, error)),
    }
}

/// Ends a server that is of no use because of `error`.
fn ended(mut server: Child, error: Error) -> Error {
    match server.kill().and_then(|()| server.wait()) {
        Ok(_) => error,
        Err(source) => {
            Error::failed(format!("{error}\nits process {} can't be ended: {source}", server.id()))
        }
    }
}

/// Waits for READY=1, or for the server's end, which is an error with the end of its log.
fn await_ready(socket: &UnixDatagram, child: &mut Child, log: &Path, max: Duration) -> Result<()> {
    let failed = |source| Error::Io { doing: "wait for firn".into(), source };
    socket.set_read_timeout(Some(Duration::from_millis(200))).map_err(failed)?;
    let watch = Stopwatch::start();
    let mut message = [0; 4096];
    while watch.elapsed() < max {
        match socket.recv(&mut message) {
            Ok(length) if message[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") => {
                return Ok(());
            }
            Ok(_) => {}
            // A timed receive ends early when a child's end, or being stopped and continued, interrupts it.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(failed(error)),
        }
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Err(Error::failed(format!("firn ended with {status}:\n{}", tail(log))));
        }
    }
    Err(Error::failed(format!("firn is not ready after {}:\n{}", say::duration(max), tail(log))))
}

fn tail(log: &Path) -> String {
    let text = read(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::write;

    #[test]
    fn a_directory_without_addresses_or_with_a_dead_one_is_not_alive() {
        let top = tempfile::tempdir().unwrap();
        assert!(!is_alive(top.path()));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        make_directory(&top.path().join("run")).unwrap();
        write(&top.path().join("run/admin.addr"), &format!("{address}\n")).unwrap();
        assert!(!is_alive(top.path()));
    }

    #[test]
    fn a_taken_port_gives_way_to_any_other() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(address(listener.local_addr().unwrap().port()), "127.0.0.1:0");
    }

    #[test]
    fn a_server_that_ends_at_once_is_told_with_its_log() {
        let top = tempfile::tempdir().unwrap();
        let log = top.path().join("log");
        write(&log, "the disk is on fire\n").unwrap();
        let socket = UnixDatagram::bind(top.path().join("s")).unwrap();
        let mut child = Command::new("false").spawn().unwrap();
        let text = await_ready(&socket, &mut child, &log, START_MAX).unwrap_err().to_string();
        assert!(text.contains("the disk is on fire"), "{text}");
    }

    #[test]
    fn a_server_that_does_not_become_ready_is_ended() {
        let top = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(top.path().join("s")).unwrap();
        let child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let process = PathBuf::from(format!("/proc/{}", child.id()));
        assert!(process.exists());
        let text =
            ready_or_ended(&socket, child, &top.path().join("log"), Duration::ZERO).unwrap_err().to_string();
        assert!(text.contains("not ready after"), "{text}");
        assert!(!process.exists());
    }

    #[test]
    fn a_server_is_in_our_process_group_unless_it_is_to_be_left_running() {
        // The fifth field of /proc/PID/stat, behind a name without spaces.
        let group_of = |text: &str| text.split(' ').nth(4).unwrap().to_owned();
        let own = group_of(&read(Path::new("/proc/self/stat")).unwrap());
        for (stays, ours) in [(Stays::WithUs, true), (Stays::LeftRunning, false)] {
            let mut cat = program(Path::new("cat"), stays);
            let text = process::capture(cat.arg("/proc/self/stat")).unwrap();
            assert_eq!(group_of(&text) == own, ours, "{stays:?}: {text}");
        }
    }

    #[test]
    fn a_server_is_ready_when_it_says_so() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("s");
        let socket = UnixDatagram::bind(&path).unwrap();
        let server = UnixDatagram::unbound().unwrap();
        server.send_to(b"STATUS=opening", &path).unwrap();
        server.send_to(b"STATUS=open\nREADY=1", &path).unwrap();
        // It runs on until its input ends, as a server that has said so does.
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        await_ready(&socket, &mut child, &top.path().join("log"), START_MAX).unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
