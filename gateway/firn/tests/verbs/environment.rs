//! What is given away: variables for tools, links for people.

#![expect(clippy::unwrap_used, reason = "a test")]

use crate::port::Port;
use crate::start;
use crate::support::{Appliance, Ran, firn};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

#[test]
fn env_has_every_variable_that_a_tool_asks_for_and_takes_back_what_would_lead_elsewhere() {
    let (_root, appliance) = start();
    let known = |name: &str| appliance.vars.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    let names: Vec<&str> = appliance.vars.iter().map(|(name, _)| name.as_str()).collect();
    let all = [
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EC2_METADATA_DISABLED",
        "AWS_ENDPOINT_URL",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "FIRN_ADMIN_TOKEN_FILE",
        "FIRN_ADMIN_URL",
        "FIRN_DIR",
        "S3_ENDPOINT_URL",
    ];
    assert_eq!(names, all);
    assert_eq!(
        (known("AWS_DEFAULT_REGION"), known("S3_ENDPOINT_URL")),
        (known("AWS_REGION"), known("AWS_ENDPOINT_URL"))
    );
    assert_eq!(known("AWS_EC2_METADATA_DISABLED").unwrap(), "true");
    let shell = firn().arg("env").arg(appliance.dir()).output().unwrap();
    let shell = String::from_utf8(shell.stdout).unwrap();
    for (name, value) in &appliance.vars {
        assert!(shell.contains(&format!("export {name}=")) && shell.contains(value), "{name}: {shell}");
    }
    let unset = shell.lines().find_map(|line| line.strip_prefix("unset ")).unwrap_or_default();
    let unset: Vec<_> = unset.trim_end_matches(';').split(' ').collect();
    assert_eq!(unset, ELSEWHERE);
}

/// What tools read, and what would lead them past what is set.
const ELSEWHERE: [&str; 10] = [
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_IAM",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ENDPOINT_URL_KMS",
    "AWS_ENDPOINT_URL_GLACIER",
    "AWS_ENDPOINT_URL_CLOUDTRAIL",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
];

#[test]
fn env_waits_for_a_server_that_has_not_made_its_directory_yet() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    let mut asked =
        firn().arg("env").arg(&dir).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = [0; 5];
    asked.stderr.as_mut().unwrap().read_exact(&mut said).unwrap();
    assert_eq!(&said, b"firn:", "it waits");
    let appliance = Appliance::start(&dir, &[]);
    let printed: Ran = asked.wait_with_output().unwrap().into();
    assert!(
        printed.code == 0 && printed.out.contains("export AWS_ENDPOINT_URL=http://127.0.0.1:"),
        "{printed:?}"
    );
    assert_eq!(appliance.terminate(), 0);
}

#[test]
fn what_follows_an_env_that_failed_goes_neither_to_aws_nor_where_an_earlier_one_led() {
    let (root, appliance) = start();
    let other = root.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("mine"), "x").unwrap();
    // Without `set -e`, as most scripts and all people are.
    let script = "eval \"$(\"$1\" env \"$2\")\"; echo $?; env | grep -E '^(AWS_END|AWS_IG|FIRN_)'; \"$1\" ls; echo $?; \"$1\" status";
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", script, "sh", env!("CARGO_BIN_EXE_firn"), other.to_str().unwrap()]);
    // What whoever runs the tests was given is none of this shell's: CI names a seed and a directory by FIRN_*.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("FIRN_")) {
        shell.env_remove(name);
    }
    shell.envs(appliance.vars.iter().map(|(name, value)| (name, value)));
    shell.env("AWS_ENDPOINT_URL_S3", "http://192.0.2.1").env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
    let ran: Ran = shell.env("AWS_MAX_ATTEMPTS", "1").output().unwrap().into();
    let mut lines: Vec<_> = ran.out.lines().collect();
    lines[1..].sort_unstable();
    let dir = format!("FIRN_DIR={}", other.display());
    assert_eq!(lines, ["1", "1", "AWS_ENDPOINT_URL=http://127.0.0.1:9", &dir], "{ran:?}");
    assert!(ran.err.contains("firn env failed in this shell"), "{ran:?}");
    assert!(ran.code == 4 && ran.err.contains("there is no firn.json"), "{ran:?}");
}

/// The status of a GET of a link.
fn status(url: &str) -> String {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn a_link_says_when_it_ends_and_lives_no_longer_than_its_credentials() {
    let root = tempfile::tempdir().unwrap();
    let (dir, port) = (root.path().join("data"), Port::take());
    let http = port.address.to_string();
    let begin =
        || Appliance::start_as_configured(Stdio::null(), &dir, &["--http", &http, "--admin", "127.0.0.1:0"]);
    let appliance = begin();
    let file = root.path().join("hello");
    fs::write(&file, "hello").unwrap();
    appliance.ok(&["mb", "s3://shared"]);
    appliance.ok(&["cp", file.to_str().unwrap(), "s3://shared/k"]);
    let link = appliance.ok(&["share", "s3://shared/k", "--expires", "2h", "--json"]).json();
    let (url, ends) = (link["url"].as_str().unwrap(), link["expires"].as_str().unwrap());
    let said = |name: &str| url.split(['?', '&']).find_map(|pair| pair.strip_prefix(name)).unwrap();
    assert_eq!(said("X-Amz-Expires="), "7200");
    let signed =
        jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", said("X-Amz-Date=")).unwrap().to_datetime().unwrap();
    let signed = signed.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
    let lives = ends.parse::<jiff::Timestamp>().unwrap().as_second() - signed.as_second();
    // One clock is read twice.
    assert!((7200..=7260).contains(&lives), "{link}");
    assert_eq!(status(url), "200");
    assert_eq!(appliance.terminate(), 0);

    let appliance = begin();
    assert_eq!(status(url), "200", "another start with the same credentials");
    assert_eq!(appliance.terminate(), 0);
    let credentials = fs::read_to_string(dir.join("credentials")).unwrap();
    let secret = credentials.lines().find_map(|line| line.strip_prefix("aws_secret_access_key = ")).unwrap();
    let other: String = secret.chars().rev().collect();
    fs::write(dir.join("credentials"), credentials.replace(secret, &other)).unwrap();
    let _appliance = begin();
    assert_eq!(status(url), "403");
}
