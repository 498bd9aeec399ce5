//! The server as a process: what ends it, what it says to systemd, and what keeps a second one away.

use crate::support::{Appliance, firn, run};
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command};
use std::time::Duration;

/// Ended when dropped, by a failed test too.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone after an orderly end.
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[test]
fn ctrl_c_ends_a_server_in_order_and_systemd_is_told() {
    let root = tempfile::tempdir().unwrap();
    let (dir, notify) = (root.path().join("data"), root.path().join("notify"));
    let socket = UnixDatagram::bind(&notify).unwrap();
    socket.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let told = || {
        let mut message = [0; 256];
        let length = socket.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).trim().to_owned()
    };
    let server = firn()
        .args(["server", dir.to_str().unwrap(), "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .env("NOTIFY_SOCKET", &notify)
        .stderr(fs::File::create(root.path().join("log")).unwrap())
        .spawn()
        .unwrap();
    let mut server = Running(server);
    assert_eq!(told(), "READY=1");
    assert!(dir.join("run/doors.json").exists());
    let pid = server.0.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(told(), "STOPPING=1");
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
    assert!(!dir.join("run/doors.json").exists(), "nobody finds a door that is closed");
}

#[test]
fn a_copy_of_a_running_appliance_is_kept_from_its_pool() {
    let root = tempfile::tempdir().unwrap();
    let (dir, copy) = (root.path().join("data"), root.path().join("copy"));
    let config = root.path().join("firn.toml");
    fs::write(&config, format!("[pool]\ndirectory = {:?}\n", root.path().join("pool"))).unwrap();
    let config = config.to_str().unwrap();
    let original = Appliance::start(&dir, &["--config", config]);
    assert!(Command::new("cp").arg("-a").args([&dir, &copy]).status().unwrap().success());
    let second = [
        "server",
        copy.to_str().unwrap(),
        "--config",
        config,
        "--http",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ];
    let refused = run(&second);
    assert!(refused.code == 8 && refused.err.contains("using it"), "{refused:?}");
    assert_eq!(original.terminate(), 0);
}
