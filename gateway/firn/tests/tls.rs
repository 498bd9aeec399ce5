//! An appliance that speaks TLS, from its first start on, with its verbs as clients.

#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use support::{Appliance, run};

/// Ports of `127.0.0.1` are free, and so are these flags.
const DOORS: [&str; 4] = ["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"];

#[test]
fn every_verb_works_over_tls_with_a_certificate_of_the_appliances_own() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    let appliance = Appliance::start(&dir, &["--tls"]);
    let ca = appliance.dir().join("tls/ca.pem");
    let env = appliance.ok(&["env"]).out;
    for line in ["export AWS_ENDPOINT_URL=https://127.0.0.1:", "export FIRN_ADMIN_URL=http://127.0.0.1:"] {
        assert!(env.contains(line), "{line}: {env}");
    }
    for name in ["AWS_CA_BUNDLE", "RCLONE_CA_CERT"] {
        assert!(env.contains(&format!("export {name}={}", ca.display())), "{env}");
    }
    assert!(env.contains("env -u AWS_CA_BUNDLE rclone"), "{env}");
    let file = root.path().join("file");
    fs::write(&file, vec![7; 20 << 20]).unwrap();
    let file = file.to_str().unwrap();
    appliance.ok(&["mb", "s3://secret"]);
    appliance.ok(&["cp", file, "s3://secret/k"]);
    let back = root.path().join("back");
    appliance.ok(&["cp", "s3://secret/k", back.to_str().unwrap()]);
    assert_eq!(fs::read(&back).unwrap(), fs::read(file).unwrap());
    let status = appliance.ok(&["status", "--json"]).json();
    assert!(status["doors"]["s3"]["url"].as_str().unwrap().starts_with("https://127.0.0.1:"), "{status}");
    assert_eq!((&status["tls"]["on"], &status["tls"]["certificate"]), (&true.into(), &"own_ca".into()));
    assert_eq!(status["tls"]["days_left"], 396);
    assert!(status["tls"]["names"].as_str().unwrap().contains("*.s3.localhost"), "{status}");
    let doctor = appliance.ok(&["doctor", dir.to_str().unwrap()]);
    assert!(doctor.out.contains("the certificate holds for another 396 days"), "{doctor:?}");
    // It is renewed without a restart.
    let top = appliance.ok(&["top", "--once", "--json"]).json();
    let workers = top["workers"].as_array().unwrap();
    assert!(workers.iter().any(|worker| worker["name"] == "tls-certificate"), "{top}");
    // Whoever does not believe the CA is told what to do.
    let stranger =
        appliance.command(&["ls"]).env_remove("AWS_CA_BUNDLE").env("AWS_MAX_ATTEMPTS", "1").output();
    let stranger: support::Ran = stranger.unwrap().into();
    assert!(stranger.code == 1 && stranger.err.contains("AWS_CA_BUNDLE=DIR/tls/ca.pem"), "{stranger:?}");
    // A flag goes before what the environment says.
    let ca_flag = ["--ca-bundle", ca.to_str().unwrap()];
    let told = |args: &[&str]| -> support::Ran {
        let told = appliance.command(args).env("AWS_CA_BUNDLE", file).output();
        told.unwrap().into()
    };
    assert_ne!(told(&["ls"]).code, 0, "a file without a certificate");
    for args in [[&["ls"][..], &ca_flag].concat(), [&ca_flag[..], &["ls"]].concat()] {
        assert_eq!(told(&args).code, 0, "{args:?}");
    }
    // The same certificate after a restart, and another one, of the same CA, when a name is missing.
    let server = fs::read(dir.join("tls/server.pem")).unwrap();
    assert_eq!(appliance.terminate(), 0);
    let appliance = Appliance::start(&dir, &["--tls"]);
    assert_eq!(fs::read(dir.join("tls/server.pem")).unwrap(), server);
    assert_eq!(appliance.terminate(), 0);
    let config = root.path().join("firn.toml");
    fs::write(&config, "[tls]\nself-signed = true\nnames = [\"nas.example.test\"]\n").unwrap();
    let believed = fs::read(&ca).unwrap();
    let appliance = Appliance::start(&dir, &["--config", config.to_str().unwrap()]);
    appliance.ok(&["ls", "s3://secret"]);
    assert_ne!(fs::read(dir.join("tls/server.pem")).unwrap(), server);
    assert_eq!(fs::read(&ca).unwrap(), believed);
    assert_eq!(appliance.terminate(), 0);
    let plain = Appliance::start(&dir, &[]);
    assert!(!plain.ok(&["env"]).out.contains("AWS_CA_BUNDLE"), "nothing of it is left without --tls");
}

#[test]
fn beyond_loopback_tls_is_enough_and_without_it_the_next_step_is_said() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    for more in [["--http", "0.0.0.0:0"], ["--admin", "0.0.0.0:0"]] {
        let doors = if more[0] == "--http" { ["--admin", "127.0.0.1:0"] } else { ["--http", "127.0.0.1:0"] };
        let refused = run(&[&["server", dir.to_str().unwrap()][..], &more, &doors].concat());
        assert!(refused.code == 2 && refused.err.contains("--tls"), "{refused:?}");
        assert!(refused.err.contains("--insecure-http"), "{refused:?}");
    }
    assert!(!dir.exists(), "nothing was made");
    let config = root.path().join("firn.toml");
    fs::write(&config, "[http]\nlisten = \"0.0.0.0:0\"\n[admin]\nlisten = \"0.0.0.0:0\"\n").unwrap();
    let log = fs::File::create(dir.with_extension("log")).unwrap();
    let flags = ["--tls", "--config", config.to_str().unwrap()];
    let appliance = Appliance::start_as_configured(log.into(), &dir, &flags);
    let status = appliance.ok(&["status", dir.to_str().unwrap(), "--json"]).json();
    for door in ["s3", "admin"] {
        let url = status["doors"][door]["url"].as_str().unwrap();
        assert!(url.starts_with("https://127.0.0.1:"), "a client can't connect to 0.0.0.0: {url}");
        // This machine's name, and the address that others see where it has one.
        let elsewhere = status["doors"][door]["from_elsewhere"].as_array().unwrap();
        assert!(!elsewhere.is_empty(), "{status}");
        for url in elsewhere.iter().map(|url| url.as_str().unwrap()) {
            assert!(
                url.starts_with("https://") && !url.contains("localhost") && !url.contains("//127."),
                "{url}"
            );
        }
    }
    appliance.ok(&["status"]);
    appliance.ok(&["mb", "s3://over-tls"]);
}

#[test]
fn given_files_serve_or_are_refused_before_anything_is_made() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let (cert, key) = (root.path().join("cert.pem"), root.path().join("key.pem"));
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let flags = ["--tls-certificate", cert.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let refused = run(&[&["server", dir.to_str().unwrap()][..], &DOORS, &flags].concat());
    assert!(refused.code == 5 && refused.err.contains("chmod 600"), "{refused:?}");
    assert!(!dir.exists(), "nothing was made");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let appliance = Appliance::start(&dir, &flags);
    let listed = appliance.command(&["ls"]).env("AWS_CA_BUNDLE", &cert).output().unwrap();
    assert!(listed.status.success(), "{listed:?}");
    let status = appliance.ok(&["status", "--json"]).json();
    assert_eq!(
        (&status["tls"]["certificate"], status["tls"]["file"].as_str()),
        (&"given".into(), cert.to_str())
    );
    assert!(!dir.join("tls").exists(), "no CA is made where none is needed");
}

#[test]
fn a_recovery_brings_the_ca_back() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    let (system, target, config) = (path("system"), path("backup"), path("firn.toml"));
    let (dir, flags) = (system.to_str().unwrap(), ["--config", config.to_str().unwrap()]);
    let text = format!(
        "[tls]\nself-signed = true\n[pool]\ndirectory = {:?}\n[backup]\ntarget = {target:?}\n",
        path("pool")
    );
    fs::write(&config, text).unwrap();
    assert_eq!(Appliance::start(&system, &flags).terminate(), 0);
    let key = run(&["backup", "key", dir, "--json"]).json();
    fs::write(path("key"), key["recovery_key"].as_str().unwrap()).unwrap();
    let appliance = Appliance::start(&system, &flags);
    appliance.ok(&["mb", "s3://kept"]);
    appliance.ok(&["backup", "now"]);
    appliance.kill();
    let ca = ["tls/ca.pem", "tls/ca.key"].map(|name| fs::read(system.join(name)).unwrap());
    fs::rename(&system, path("lost")).unwrap();
    let recovered =
        run(&["recover", dir, "--from", target.to_str().unwrap(), "--key", path("key").to_str().unwrap()]);
    assert_eq!(recovered.code, 0, "{recovered:?}");
    let appliance = Appliance::start(&system, &flags);
    appliance.ok(&["ls", "s3://kept"]);
    assert_eq!(["tls/ca.pem", "tls/ca.key"].map(|name| fs::read(system.join(name)).unwrap()), ca);
    let mode = |name: &str| fs::metadata(system.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode("tls"), mode("tls/ca.pem"), mode("tls/ca.key")], [0o700, 0o644, 0o600]);
}
