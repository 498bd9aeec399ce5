//! A server of the real binary on a directory of its own, and its verbs.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A running appliance; killed when dropped.
pub(crate) struct Appliance {
    child: Child,
    dir: PathBuf,
    /// What points tools at it.
    pub(crate) vars: Vec<(String, String)>,
}

/// A verb's end: code, stdout, stderr.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// The one JSON document on stdout.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The binary with an environment that holds nothing of the caller's.
pub(crate) fn firn() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firn"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).stdin(Stdio::null());
    command.env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent").env("AWS_CONFIG_FILE", "/nonexistent");
    command
}

/// Runs a verb without an appliance.
pub(crate) fn run(args: &[&str]) -> Ran {
    firn().args(args).output().unwrap().into()
}

impl Appliance {
    /// Starts a server on free ports and waits until it says that it is ready.
    pub(crate) fn start(dir: &Path, more: &[&str]) -> Self {
        let log = std::fs::File::create(dir.with_extension("log")).unwrap();
        Self::start_logging_to(log.into(), dir, more)
    }

    /// The same with a standard error of the caller's.
    pub(crate) fn start_logging_to(log: Stdio, dir: &Path, more: &[&str]) -> Self {
        let doors = ["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        Self::start_as_configured(log, dir, &[&doors, more].concat())
    }

    /// The same, where the flags or the configuration say where it listens.
    pub(crate) fn start_as_configured(log: Stdio, dir: &Path, more: &[&str]) -> Self {
        let notified = dir.with_extension("notify");
        let _old = std::fs::remove_file(&notified);
        // systemd's protocol: READY=1 comes by datagram once the doors are open.
        let socket = std::os::unix::net::UnixDatagram::bind(&notified).unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_mins(1))).unwrap();
        // One that does not get ready is ended with the test, too.
        let mut appliance = Self {
            child: firn()
                .args(["server", dir.to_str().unwrap()])
                .args(more)
                .env("NOTIFY_SOCKET", &notified)
                .stderr(log)
                .spawn()
                .unwrap(),
            dir: dir.to_owned(),
            vars: Vec::new(),
        };
        let mut message = [0; 256];
        let got = socket.recv(&mut message).unwrap_or_else(|error| {
            panic!("{error}: {}", std::fs::read_to_string(dir.with_extension("log")).unwrap_or_default())
        });
        assert!(message[..got].starts_with(b"READY=1"), "{:?}", String::from_utf8_lossy(&message[..got]));
        let printed: Ran = firn().args(["env", "--json"]).arg(dir).output().unwrap().into();
        assert_eq!(printed.code, 0, "{printed:?}");
        appliance.vars = printed.json()["variables"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect();
        appliance
    }

    /// A verb with this appliance's environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = firn();
        command.args(args).envs(self.vars.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a verb.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.command(args).output().unwrap().into()
    }

    /// Runs a verb that has to succeed.
    pub(crate) fn ok(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "firn {args:?}: {ran:?}");
        ran
    }

    /// Its directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// SIGKILL, and wait for the end.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and the code that it ends with.
    pub(crate) fn terminate(mut self) -> i32 {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Appliance {
    fn drop(&mut self) {
        // Already gone after kill() and terminate().
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
