//! Certificates: made once, issued anew when they must be, and refused with the next step.

use super::{Live, Load, Name, Names, Renewal, Secured, Source, given, own, url, urls_from_elsewhere};
use engine::clock::{ManualClock, Timestamp};
use engine::worker::{Progress, Worker};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const DAY: Duration = Duration::from_hours(24);

fn names(more: &[&str]) -> Names {
    let more: Vec<Name> = more.iter().map(|name| name.parse().unwrap()).collect();
    let doors = ["192.0.2.9:9000".parse().unwrap()];
    Names::of_appliance(&doors, &["s3.example.test".to_owned()], &more)
}

fn open(dir: &Path, names: &Names, now: Timestamp) -> Result<Secured, (String, String)> {
    own(dir, "111122223333", names, now)
        .map_err(|error| (format!("{error:#}"), crate::exit::hint(&error).unwrap_or_default()))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_ca_and_a_certificate_are_made_once_with_every_name() {
    let dir = tempfile::tempdir().unwrap();
    let made = open(dir.path(), &names(&["nas.example.test"]), START).unwrap();
    let [ca, key, server] = ["ca.pem", "ca.key", "server.pem"].map(|name| dir.path().join("tls").join(name));
    assert_eq!([&ca, &key, &server].map(|path| mode(path)), [0o644, 0o600, 0o600]);
    assert_eq!(made.ca_bundle(), Some(ca.as_path()));
    for name in [
        "localhost",
        "127.0.0.1",
        "::1",
        "192.0.2.9",
        "s3.example.test",
        "*.s3.example.test",
        "nas.example.test",
    ] {
        assert!(made.facts.names.has(&name.parse().unwrap()), "{name}");
    }
    assert!(made.facts.left(START) > DAY * 396 && made.facts.holds(START));
    let text = fs::read_to_string(&server).unwrap();
    assert!(text.contains("PRIVATE KEY") && !fs::read_to_string(&ca).unwrap().contains("PRIVATE KEY"));
    let before = [&ca, &key, &server].map(|path| fs::read(path).unwrap());
    let again = open(dir.path(), &names(&[]), START.plus(DAY * 300)).unwrap();
    assert_eq!(again.facts, made.facts, "fewer names are no reason");
    assert_eq!([&ca, &key, &server].map(|path| fs::read(path).unwrap()), before);
}

#[test]
fn a_certificate_is_issued_anew_near_its_end_or_without_a_name_and_the_ca_stays() {
    let dir = tempfile::tempdir().unwrap();
    let server = dir.path().join("tls/server.pem");
    open(dir.path(), &names(&[]), START).unwrap();
    let ca = fs::read(dir.path().join("tls/ca.pem")).unwrap();
    let mut last = fs::read(&server).unwrap();
    let mut reissued = |why: &str, names: &Names, now: Timestamp| {
        let opened = open(dir.path(), names, now).unwrap();
        assert!(opened.facts.holds(now), "{why}");
        assert_eq!(opened.facts.names.lacks(names), [], "{why}");
        assert_eq!(fs::read(dir.path().join("tls/ca.pem")).unwrap(), ca, "{why}");
        let now_there = fs::read(&server).unwrap();
        std::mem::replace(&mut last, now_there.clone()) != now_there
    };
    assert!(!reissued("in time", &names(&[]), START.plus(DAY * 306)));
    assert!(reissued("near its end", &names(&[]), START.plus(DAY * 308)));
    assert!(reissued("a name", &names(&["new.example.test"]), START.plus(DAY * 309)));
    assert!(!reissued("the same", &names(&["new.example.test"]), START.plus(DAY * 310)));
    assert!(reissued("long expired", &names(&[]), START.plus(DAY * 3000)));
    assert!(reissued("the last before the CA's own end", &names(&[]), START.plus(DAY * 3600)));
    assert!(!reissued("another would hold no longer", &names(&[]), START.plus(DAY * 3645)));
    assert!(reissued("the clock was ahead", &names(&[]), START));
    fs::write(&server, "half").unwrap();
    fs::set_permissions(&server, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(reissued("torn by somebody", &names(&[]), START));
    // One of another CA: the key of the whole directory was mixed up.
    let other = tempfile::tempdir().unwrap();
    open(other.path(), &names(&[]), START).unwrap();
    fs::copy(other.path().join("tls/server.pem"), &server).unwrap();
    assert!(reissued("of another CA", &names(&[]), START));
}

#[test]
fn what_is_lost_of_the_ca_is_made_again_from_its_key_or_refused_with_the_next_step() {
    let dir = tempfile::tempdir().unwrap();
    let [ca, key] = ["ca.pem", "ca.key"].map(|name| dir.path().join("tls").join(name));
    open(dir.path(), &names(&[]), START).unwrap();
    let server = fs::read(dir.path().join("tls/server.pem")).unwrap();
    fs::remove_file(&ca).unwrap();
    open(dir.path(), &names(&[]), START).unwrap();
    assert_eq!(fs::read(dir.path().join("tls/server.pem")).unwrap(), server, "still of this CA");

    fs::rename(&key, key.with_extension("away")).unwrap();
    open(dir.path(), &names(&[]), START).unwrap();
    let (why, next) = open(dir.path(), &names(&["new"]), START).unwrap_err();
    assert!(why.contains("lacks new") && why.contains("the CA's key is not beside it"), "{why}");
    assert!(next.contains("put it back"), "{next}");

    let other = tempfile::tempdir().unwrap();
    open(other.path(), &names(&[]), START).unwrap();
    fs::copy(other.path().join("tls/ca.key"), &key).unwrap();
    let (why, _) = open(dir.path(), &names(&["new"]), START).unwrap_err();
    assert!(why.contains("its key is not"), "{why}");
    fs::rename(key.with_extension("away"), &key).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let (why, next) = open(dir.path(), &names(&["new"]), START).unwrap_err();
    assert!(why.contains("others can read it") && next.starts_with("chmod 600 "), "{why} {next}");
    let (why, next) = open(dir.path(), &names(&[]), START.plus(DAY * 3651)).unwrap_err();
    assert!(why.contains("it holds from 2027-01-14") && next.contains("rm -r "), "{why} {next}");
    fs::write(&ca, "no PEM").unwrap();
    let (why, _) = open(dir.path(), &names(&[]), START).unwrap_err();
    assert!(why.contains("there is no certificate in it"), "{why}");
}

/// A pair of files as a CA elsewhere would give them.
fn files(dir: &Path, names: &[&str]) -> (PathBuf, PathBuf) {
    let mut params =
        rcgen::CertificateParams::new(names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>()).unwrap();
    let at = |days: i64| time::OffsetDateTime::from_unix_timestamp(START.as_secs() + days * 86_400).unwrap();
    (params.not_before, params.not_after) = (at(0), at(100));
    let key = rcgen::KeyPair::generate().unwrap();
    let paths = (dir.join("cert.pem"), dir.join("key.pem"));
    fs::write(&paths.0, params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(&paths.1, key.serialize_pem()).unwrap();
    fs::set_permissions(&paths.0, fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(&paths.1, fs::Permissions::from_mode(0o600)).unwrap();
    paths
}

#[test]
fn given_files_are_used_or_refused_with_the_next_step() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = files(dir.path(), &["nas.example.test"]);
    let secured = given(&cert, &key, START.plus(DAY)).unwrap();
    assert_eq!((&secured.source, secured.ca_bundle()), (&Source::Given { certificate: cert.clone() }, None));
    let refused = |cert: &Path, key: &Path, now: Timestamp| {
        let failure = given(cert, key, now).unwrap_err();
        (failure.text, failure.hint.unwrap())
    };
    let none = dir.path().join("none.pem");
    let other = tempfile::tempdir().unwrap();
    let (_, other_key) = files(other.path(), &["other"]);
    for (cert, key, now, says, next) in [
        (&none, &key, START, "none.pem: No such file", "--tls-certificate"),
        (&cert, &none, START, "none.pem: No such file", "--tls-key"),
        (&key, &key, START, "there is no certificate in it", "the chain"),
        (&cert, &cert, START, "its mode is 0644", "chmod 600"),
        (&cert, &other_key, START, "the key is not that of the certificate", "openssl"),
        (&cert, &key, START.plus(DAY * 101), "it expired 2027-04-25", "renewed"),
        (&cert, &key, Timestamp::from_millis(0), "it holds only from 2027-01-15", "clock"),
    ] {
        let (text, hint) = refused(cert, key, now);
        assert!(text.contains(says) && hint.contains(next), "{text} ({hint})");
    }
    fs::write(&other_key, "-----BEGIN NOTHING-----\n-----END NOTHING-----\n").unwrap();
    assert!(refused(&cert, &other_key, START).0.contains("there is no unencrypted private key in it"));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    given(&cert, &key, START.plus(DAY)).unwrap();
}

#[tokio::test]
async fn another_certificate_is_taken_while_the_doors_are_open_and_a_broken_one_is_not() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (cert, key) = files(dir.path(), &["old.example.test"]);
    let clock = Arc::new(ManualClock::new(START));
    let load: Load = {
        let (cert, key) = (cert.clone(), key.clone());
        Arc::new(move |now| Ok(given(&cert, &key, now)?))
    };
    let live = Live::new(load(START).unwrap());
    let identity = live.now().identity;
    let first = identity.certificate();
    let mut renewal = Renewal::new(live.clone(), load, clock.clone());
    let minute = Progress::Idle { rest: Duration::from_mins(1) };
    assert_eq!(renewal.tick().await.unwrap(), minute);
    assert!(first.is_some() && identity.certificate() == first);
    let (new_cert, new_key) = files(other.path(), &["new.example.test"]);
    fs::copy(new_cert, &cert).unwrap();
    let half = renewal.tick().await.unwrap_err().to_string();
    assert!(half.contains("the key is not that of the certificate"), "{half}");
    assert_eq!(identity.certificate(), first);
    fs::copy(new_key, &key).unwrap();
    assert_eq!(renewal.tick().await.unwrap(), minute);
    let second = identity.certificate();
    assert_ne!(second, first);
    assert!(live.now().facts.names.has(&"new.example.test".parse().unwrap()));
    // Expired: no client would believe it, and so the last one is no worse.
    clock.advance(DAY * 101);
    let expired = renewal.tick().await.unwrap_err().to_string();
    assert!(expired.contains("go on with the TLS certificate of before") && expired.contains("it expired"));
    assert_eq!(identity.certificate(), second);
}

#[tokio::test]
async fn the_appliances_own_certificate_is_issued_anew_while_the_doors_are_open() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START));
    let load: Load = {
        let dir = dir.path().to_owned();
        Arc::new(move |now| own(&dir, "111122223333", &names(&[]), now))
    };
    let live = Live::new(load(START).unwrap());
    let identity = live.now().identity;
    let mut renewal = Renewal::new(live.clone(), load, clock.clone());
    let mut certificates = Vec::new();
    for days in [0, 300, 8] {
        clock.advance(DAY * days);
        assert_eq!(renewal.tick().await.unwrap(), Progress::Idle { rest: Duration::from_hours(1) });
        certificates.push(identity.certificate().unwrap());
    }
    assert!(certificates[0] == certificates[1] && certificates[1] != certificates[2]);
    assert!(live.now().facts.left(START.plus(DAY * 308)) > DAY * 396);
}

#[test]
fn a_url_names_what_the_certificate_has() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = files(dir.path(), &["nas.example.test", "10.0.0.1"]);
    let secured = given(&cert, &key, START).unwrap();
    let addr = |text: &str| text.parse::<SocketAddr>().unwrap();
    assert_eq!(url(addr("0.0.0.0:9000"), None), "http://127.0.0.1:9000");
    assert_eq!(url(addr("[::]:9000"), None), "http://[::1]:9000");
    assert_eq!(url(addr("10.0.0.1:9000"), Some(&secured)), "https://10.0.0.1:9000");
    assert_eq!(url(addr("0.0.0.0:9000"), Some(&secured)), "https://nas.example.test:9000");
    let made = open(dir.path(), &names(&[]), START).unwrap();
    assert_eq!(url(addr("0.0.0.0:9000"), Some(&made)), "https://127.0.0.1:9000");
}

#[test]
fn other_machines_get_the_urls_of_names_that_the_certificate_has_and_none_of_this_machine_alone() {
    let dir = tempfile::tempdir().unwrap();
    let names =
        ["localhost", "*.s3.nas.example.test", "nas.example.test", "127.0.0.1", "10.0.0.1", "10.0.0.2"];
    let (cert, key) = files(dir.path(), &names);
    let secured = given(&cert, &key, START).unwrap();
    let urls = |text: &str| urls_from_elsewhere(text.parse::<SocketAddr>().unwrap(), Some(&secured));
    assert_eq!(
        urls("0.0.0.0:9000"),
        ["https://10.0.0.1:9000", "https://10.0.0.2:9000", "https://nas.example.test:9000"]
    );
    assert_eq!(urls("10.0.0.2:9000"), ["https://10.0.0.2:9000", "https://nas.example.test:9000"]);
    assert!(urls("127.0.0.1:9000").is_empty());
    let plain = urls_from_elsewhere("10.0.0.1:9000".parse().unwrap(), None);
    assert_eq!(plain[0], "http://10.0.0.1:9000");
}

#[test]
fn names_are_hosts_or_addresses() {
    for good in ["a", "nas.example.com", "*.s3.example.com", "192.0.2.7", "2001:db8::1", "A-1.b"] {
        good.parse::<Name>().unwrap();
    }
    for bad in ["", "*", "a..b", "-a", "a b", "https://a", "a:1", "*.*.a", "ü"] {
        bad.parse::<Name>().unwrap_err();
    }
}
