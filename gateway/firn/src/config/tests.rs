//! The configuration file: what is read, what is refused and how it is told.

use super::{Log, LogFormat, Overrides, ZoneConfig, add_zone, load};
use engine::unit::ByteCount;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn load_text(text: &str, overrides: &Overrides) -> Result<super::Config, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("firn.toml");
    std::fs::write(&path, text).unwrap();
    load(Some(&path), overrides).map_err(|failure| failure.text.replace(path.to_str().unwrap(), "firn.toml"))
}

#[test]
fn a_whole_file_is_read_and_flags_win() {
    let text = r#"
region = "eu-central-1"
new-bucket-ownership = "object-writer"
[http]
listen = "127.0.0.1:8000"
base-domains = ["s3.example.test"]
website-domains = ["web.example.test"]
legacy-form-signatures = true
connections = 100
bodies = "1GiB"
drain = "5s"
[admin]
listen = "127.0.0.1:8001"
[engine]
cache = "16MiB"
segment = "64MiB"
[pool]
directory = "/mnt/disk1/firn"
[backup]
target = "s3://vault/firn"
endpoint = "http://127.0.0.1:7000"
every = "6h"
[access-logs]
every = "1s"
[log]
level = "warn,web=debug"
format = "json"
"#;
    let config = load_text(text, &Overrides::default()).unwrap();
    assert_eq!(config.region.as_deref(), Some("eu-central-1"));
    assert_eq!(config.new_bucket_ownership, objectstore::ObjectOwnership::ObjectWriter);
    assert_eq!(config.http.to_string(), "127.0.0.1:8000");
    assert_eq!(config.admin.to_string(), "127.0.0.1:8001");
    assert_eq!(config.base_domains, ["s3.example.test"]);
    assert_eq!(config.website_domains, ["web.example.test"]);
    assert_eq!(config.legacy_forms, security::form::LegacyForms::Taken);
    assert_eq!((config.connections_max, config.drain), (100, Duration::from_secs(5)));
    assert_eq!(config.bodies_max, Some(ByteCount::gib(1)));
    assert_eq!((config.cache, config.segment), (ByteCount::mib(16), Some(ByteCount::mib(64))));
    assert_eq!(config.pool_dir.as_deref(), Some(std::path::Path::new("/mnt/disk1/firn")));
    let plan = config.backup.as_ref().unwrap();
    assert_eq!(plan.every, Duration::from_hours(6));
    assert_eq!(config.access_logs.every, Duration::from_secs(1));
    assert!(matches!(&plan.destination, crate::backup::Destination::S3 { bucket, .. } if bucket == "vault"));
    assert_eq!(config.log.format, LogFormat::Json);
    let flags = Overrides {
        http: Some("127.0.0.1:0".parse().unwrap()),
        log: Some("error".to_owned()),
        ..Overrides::default()
    };
    let config = load_text(text, &flags).unwrap();
    assert_eq!(config.http.port(), 0);
    assert_eq!(config.log.filter_on(true), "error");
}

#[test]
fn a_word_that_is_no_level_is_refused_and_not_taken_for_a_part_that_logs_all() {
    let with = |log: &str| load(None, &Overrides { log: Some(log.to_owned()), ..Overrides::default() });
    for bad in ["loud", "inof", "bogus=", "web=loud", "info,web", "", "info,", "[span]"] {
        let error = with(bad).unwrap_err();
        assert!(
            error.exit == crate::exit::Exit::Usage && error.text.contains("is no level"),
            "{bad}: {error}"
        );
    }
    for fine in ["info", "WARN", "off", "warn,web=debug", "web::s3=trace,error", "[request{id=5}]=debug"] {
        with(fine).unwrap_or_else(|error| panic!("{fine}: {error}"));
    }
    let error = load_text("[log]\nlevel = \"inof\"\n", &Overrides::default()).unwrap_err();
    assert!(error.contains("inof"), "{error}");
}

#[test]
fn errors_name_file_key_and_range() {
    for (text, wanted) in [
        ("[http]\nconnections = 0", "use http.connections in firn.toml: 0 is not in 1..=100000"),
        ("[engine]\ncache = \"1KiB\"", "use engine.cache in firn.toml: 1KiB is not from 8MiB to 1TiB"),
        ("[http]\nbodies = \"127MiB\"", "use http.bodies in firn.toml: 127MiB is not from 128MiB to 1TiB"),
        ("[http]\ndrain = \"1h\"", "use http.drain in firn.toml: 1h is not in 0s..=10m"),
        ("[access-logs]\nevery = \"1ms\"", "use access-logs.every in firn.toml"),
        ("[access-logs]\nevery = \"25h\"", "use access-logs.every in firn.toml: 25h is not in 1s..=24h"),
        ("[log]\nformat = \"xml\"", "use log.format in firn.toml: \"xml\" is none of"),
        (
            "new-bucket-ownership = \"mine\"",
            "use new-bucket-ownership in firn.toml: \"mine\" is none of \"bucket-owner-enforced\"",
        ),
        ("region = \"EU\"", "use region in firn.toml: \"EU\" is not 1..=32 of a-z, 0-9 and -"),
        ("[http]\nlisten_on = 1", "line 2: unknown field `listen_on`, expected one of `listen`"),
        (
            "\n[http]\nlisten = \"here\"",
            "use http.listen in firn.toml: \"here\": it is no IP address with a port, like 127.0.0.1:9000",
        ),
        ("[admin]\nlisten = \"9001\"", "use admin.listen in firn.toml: \"9001\": it is no IP address"),
        ("[log]\nlevel = \"web=loud\"", "read the log level"),
    ] {
        let error = load_text(text, &Overrides::default()).unwrap_err();
        assert!(error.contains(wanted), "{text:?} gave {error:?}");
    }
}

#[test]
fn the_documentations_files_are_read() {
    let readme = include_str!("../../../../README.md");
    let files: Vec<_> =
        readme.split("<<'END'\n").skip(1).filter_map(|rest| rest.split_once("\nEND\n")).collect();
    assert!(!files.is_empty(), "README has a configuration to copy");
    for (text, _) in files {
        let config = load_text(text, &Overrides::default()).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert!(config.pool_dir.is_some() && config.backup.is_some(), "{text}");
    }
    // Of alternatives it has both, so it is not valid as it is: its keys and their types are.
    let page = include_str!("../../../../docs/cli.md");
    let whole = page.split("```toml\n").nth(1).and_then(|rest| rest.split_once("```")).unwrap().0;
    let raw: super::raw::Raw = toml::from_str(whole).unwrap_or_else(|error| panic!("{error}"));
    let classes = format!("{:?}", raw.class);
    let said = format!("{raw:?}").replace(&classes, "");
    // Each key of a price stands at some class.
    for key in classes.match_indices(": None").map(|(at, _)| classes[..at].rsplit([' ', '{']).next().unwrap())
    {
        assert!(classes.contains(&format!("{key}: Some")), "docs/cli.md has no {key}");
    }
    // The other kinds of TLS and of a topic's secret are alternatives of what stands there.
    for unsaid in said.match_indices(": None").map(|(at, _)| said[..at].rsplit([' ', '{']).next().unwrap()) {
        let alternatives = [
            "certificate",
            "key",
            "kind",
            "directory",
            "profile",
            "credentials_file",
            "ca_bundle",
            "region",
            "bucket",
            "prefix",
            "endpoint",
            "keep_local",
            "scrub",
            "cache",
            "cache_directory",
        ];
        assert!(alternatives.contains(&unsaid), "docs/cli.md has no {unsaid}");
    }
}

#[test]
fn plain_http_beyond_loopback_is_refused_unless_asked_for() {
    let beyond = "[http]\nlisten = \"0.0.0.0:9000\"";
    assert!(load_text(beyond, &Overrides::default()).unwrap_err().contains("not loopback"));
    load_text(&format!("{beyond}\ninsecure = true"), &Overrides::default()).unwrap();
    let flag = Overrides { insecure_http: true, ..Overrides::default() };
    load_text(beyond, &flag).unwrap();
    load_text(&format!("{beyond}\n[tls]\nself-signed = true"), &Overrides::default()).unwrap();
    let flag = Overrides { tls: true, ..Overrides::default() };
    load_text(&format!("{beyond}\n[admin]\nlisten = \"[::]:9001\""), &flag).unwrap();
    load_text("[admin]\nlisten = \"[::]:9001\"", &Overrides::default()).unwrap_err();
    load_text("[admin]\nlisten = \"[::1]:9001\"", &Overrides::default()).unwrap();
}

#[test]
fn both_doors_at_one_address_are_refused() {
    let both = |http: &str, admin: &str| {
        let text = format!("[http]\nlisten = \"{http}\"\ninsecure = true\n[admin]\nlisten = \"{admin}\"");
        load_text(&text, &Overrides::default())
    };
    for (http, admin) in
        [("127.0.0.1:9", "127.0.0.1:9"), ("0.0.0.0:9", "127.0.0.1:9"), ("127.0.0.1:9", "[::]:9")]
    {
        let error = both(http, admin).unwrap_err();
        assert!(error.contains("that is one address"), "{http} {admin}: {error}");
    }
    for (http, admin) in [
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("127.0.0.1:9", "127.0.0.1:10"),
        ("127.0.0.1:9", "127.0.0.2:9"),
        ("0.0.0.0:9", "[::1]:9"),
    ] {
        both(http, admin).unwrap();
    }
}

#[test]
fn tls_is_off_of_its_own_or_given_and_never_two_of_them() {
    use crate::tls::Wish;
    let none = Overrides::default();
    let wish = |text: &str, overrides: &Overrides| load_text(text, overrides).map(|config| config.tls);
    let own = "[tls]\nself-signed = true\nnames = [\"nas.example.test\", \"192.0.2.7\"]";
    let given = "[tls]\ncertificate = \"/etc/c.pem\"\nkey = \"/etc/k.pem\"";
    let names = ["nas.example.test", "192.0.2.7"].map(|name| name.parse().unwrap()).to_vec();
    let files = Wish::Given { certificate: "/etc/c.pem".into(), key: "/etc/k.pem".into() };
    assert_eq!(wish("", &none), Ok(Wish::Off));
    assert_eq!(wish(own, &none), Ok(Wish::Own { names: names.clone() }));
    assert_eq!(wish(given, &none), Ok(files.clone()));
    let flag = Overrides { tls: true, ..Overrides::default() };
    assert_eq!(wish("", &flag), Ok(Wish::Own { names: Vec::new() }));
    assert_eq!(wish("[tls]\nnames = [\"nas.example.test\", \"192.0.2.7\"]", &flag), Ok(Wish::Own { names }));
    assert_eq!(wish(given, &flag), Ok(files), "the flag is content with the file's");
    let paths = |certificate: Option<&str>, key: Option<&str>| Overrides {
        tls_certificate: certificate.map(Into::into),
        tls_key: key.map(Into::into),
        ..Overrides::default()
    };
    let flags = Wish::Given { certificate: "/a".into(), key: "/b".into() };
    assert_eq!(wish(own, &paths(Some("/a"), Some("/b"))), Ok(flags.clone()));
    assert_eq!(wish(given, &paths(Some("/a"), Some("/b"))), Ok(flags));
    for (text, overrides, says) in [
        ("[tls]\ncertificate = \"/c\"", &none, "use tls.certificate in firn.toml: there is no tls.key"),
        ("[tls]\nkey = \"/k\"", &none, "use tls.key in firn.toml: there is no tls.certificate"),
        ("[tls]\ncertificate = \"c\"\nkey = \"/k\"", &none, "c is not an absolute path"),
        (format!("{given}\nself-signed = true").as_str(), &none, "tls.certificate names another certificate"),
        (format!("{given}\nnames = [\"a\"]").as_str(), &none, "names of its own"),
        ("[tls]\nnames = [\"a\"]", &none, "say tls.self-signed = true"),
        ("[tls]\nself-signed = true\nnames = [\"a b\"]", &none, "\"a b\" is no host name or address"),
        ("[tls]\nauto = true", &none, "line 2: unknown field `auto`"),
        ("", &paths(Some("/a"), None), "there is no --tls-key"),
        ("", &paths(None, Some("/b")), "there is no --tls-certificate"),
    ] {
        let error = wish(text, overrides).unwrap_err();
        assert!(error.contains(says), "{text:?} gave {error:?}");
    }
}

#[test]
fn topics_have_a_receiver_and_a_secret_that_nobody_else_reads() {
    use std::os::unix::fs::PermissionsExt;
    let secret = "secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"";
    let topic = |name: &str, url: &str, rest: &str| {
        format!("[[topic]]\nname = \"{name}\"\nurl = \"{url}\"\n{rest}\n")
    };
    let public = "https://hooks.example.test/in?token=x";
    let rest = format!("{secret}\ntimeout = \"5s\"\nkeep = \"2d\"");
    let private = topic("b", "http://127.0.0.1:8080/", &format!("{secret}\nallow-private = true"));
    let text = format!("{}{private}[events]\nwaiting = 5000", topic("new-objects", public, &rest));
    let events = load_text(&text, &Overrides::default()).unwrap().events;
    let [first, second] = &events.topics[..] else { panic!("{events:?}") };
    assert_eq!(
        (first.name.as_str(), first.address().as_str()),
        ("new-objects", "https://hooks.example.test")
    );
    assert_eq!((first.webhook.timeout, first.kept), (Duration::from_secs(5), Duration::from_hours(48)));
    assert_eq!(
        (second.webhook.timeout, second.kept),
        (Duration::from_secs(10), Duration::from_hours(24 * 7))
    );
    assert!(second.webhook.allow_private && !first.webhook.allow_private);
    assert_eq!(events.waiting_max, 5_000);
    for secret in ["MfKQ", "/in", "token"] {
        assert!(!format!("{events:?}").contains(secret), "no secret is shown");
    }
    let none = load_text("", &Overrides::default()).unwrap().events;
    assert_eq!((none.topics.len(), none.waiting_max), (0, 1_000_000));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    let in_file = topic("a", public, &format!("secret-file = {:?}", file.to_str().unwrap()));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = load_text(&in_file, &Overrides::default()).unwrap_err();
    assert!(open.contains("its mode is 0644, so others can read it"), "{open}");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    load_text(&in_file, &Overrides::default()).unwrap();
    for (text, wanted) in [
        (topic("a b", public, secret), "use topic.name in firn.toml: \"a b\" is not 1..=256 of"),
        (topic("a", public, secret).repeat(2), "use topic.name in firn.toml: a stands twice"),
        (topic("a", public, ""), "use topic.secret in firn.toml: topic a has none"),
        (
            topic("a", public, "secret = \"hunter2\""),
            "use topic.secret in firn.toml: of topic a, it is not whsec_",
        ),
        (topic("a", public, &format!("{secret}\nsecret-file = \"/s\"")), "topic a has a secret-file, too"),
        (topic("a", public, "secret-file = \"s\""), "s of topic a is not an absolute path"),
        (topic("a", public, "secret-file = \"/nonexistent/s\""), "read topic.secret-file /nonexistent/s"),
        (topic("a", "ftp://h/", secret), "use topic.url in firn.toml: of topic a, it is no URL of a server"),
        (topic("a", "https://h.test:99999/", secret), "\"99999\" is no port: 1..=65535"),
        (topic("a", "http://10.0.0.1/", secret), "allow-private = true allows those"),
        (
            topic("a", public, &format!("{secret}\ntimeout = \"2m\"")),
            "use topic.timeout in firn.toml: 2m is not in 1s..=1m",
        ),
        (
            topic("a", public, &format!("{secret}\nkeep = \"1m\"")),
            "use topic.keep in firn.toml: 1m is not in 1h..=30d",
        ),
        (topic("a", public, &format!("{secret}\nretries = 3")), "unknown field `retries`"),
        ("[events]\nwaiting = 1".to_owned(), "use events.waiting in firn.toml: 1 is not in 1000..=10000000"),
    ] {
        let error = load_text(&text, &Overrides::default()).unwrap_err();
        assert!(error.contains(wanted), "{text:?} gave {error:?}");
        assert!(!error.contains("MfKQ") && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn segments_suit_their_disk() {
    for (disk, segment) in [
        (ByteCount::mib(100), ByteCount::mib(4)),
        (ByteCount::mib(700), ByteCount::mib(8)),
        (ByteCount::gib(3), ByteCount::mib(32)),
        (ByteCount::gib(16), ByteCount::mib(256)),
        (ByteCount::gib(80_000), ByteCount::mib(256)),
    ] {
        assert_eq!(super::segment_for(disk), segment, "{disk}");
    }
}

#[test]
fn zones_have_names_and_places_of_their_own() {
    let zone = |name: &str, rest: &str| format!("[[zone]]\nname = \"{name}\"\n{rest}\n");
    let (a, b) = (zone("a", "directory = \"/mnt/a\""), zone("b", "directories = [\"/mnt/b\", \"/mnt/c\"]"));
    let config =
        load_text(&format!("{a}{b}[copies]\ncount = 2\nshort = \"accept\""), &Overrides::default()).unwrap();
    assert_eq!(config.zones.len(), 2);
    assert_eq!(config.zones[1].directories.len(), 2);
    assert_eq!((config.copies.count, config.copies.short), (Some(2), engine::blob::Short::Accept));
    assert!(load_text("", &Overrides::default()).unwrap().zones.is_empty());
    assert!(!config.copies.catalog, "off unless it is asked for");
    assert!(
        load_text(&format!("{a}[copies]\ncatalog = true"), &Overrides::default()).unwrap().copies.catalog
    );
    for (text, wanted) in [
        (format!("{a}{a}"), "use zone.name in firn.toml: a stands twice"),
        (
            zone("A", "directory = \"/mnt/a\""),
            "use zone.name in firn.toml: \"A\" is not 1..=32 of a-z, 0-9 and -",
        ),
        (zone("a", ""), "use zone.directory in firn.toml: zone a has none"),
        (zone("a", "directory = \"mnt\""), "use zone.directory in firn.toml: mnt is not an absolute path"),
        (
            format!("{a}{}", zone("b", "directory = \"/mnt/a/b\"")),
            "use zone.directory in firn.toml: /mnt/a/b of zone b and /mnt/a of zone a are not apart",
        ),
        (
            format!("{a}[pool]\ndirectory = \"/mnt/p\""),
            "use pool.directory in firn.toml: there are [[zone]]s, and the first one has /mnt/a",
        ),
        (
            format!("{a}{b}[copies]\ncount = 3"),
            "use copies.count in firn.toml: 3 is not from 1 to 2, with 2 zones",
        ),
        (
            "[copies]\ncount = 2".to_owned(),
            "use copies.count in firn.toml: 2 copies want as many zones, and there is one",
        ),
        (
            "[copies]\ncatalog = true".to_owned(),
            "use copies.catalog in firn.toml: there is no [[zone]] that a copy could lie in",
        ),
        (format!("{a}[copies]\nshort = \"no\""), "use copies.short in firn.toml: \"no\" is none of"),
        ("[[zone]]\ndirectory = \"/mnt\"".to_owned(), "missing field `name`"),
    ] {
        let error = load_text(&text, &Overrides::default()).unwrap_err();
        assert!(error.contains(wanted), "{text:?} gave {error:?}");
    }
}

#[test]
fn a_zone_is_added_to_the_text_and_the_pool_that_was_there_is_the_first() {
    let (file, pool) = (Path::new("firn.toml"), Path::new("/mnt/\"p\""));
    let zone = |name: &str, places: &[&str]| ZoneConfig {
        name: name.to_owned(),
        directories: places.iter().map(PathBuf::from).collect(),
    };
    let before = "# kept\n[pool]\ndirectory = '/mnt/\"p\"' # so is this";
    let (text, config) = add_zone(before, file, pool, &zone("b", &["/mnt/b", "/mnt/c"])).unwrap();
    assert!(text.starts_with(&format!("{before}\n")), "{text}");
    let first = ZoneConfig { name: "local".to_owned(), directories: vec![pool.to_owned()] };
    assert_eq!(config.zones, [first.clone(), zone("b", &["/mnt/b", "/mnt/c"])]);
    let (text, config) =
        add_zone(&format!("{text}[copies]\ncount = 2"), file, pool, &zone("d", &["/mnt/d"])).unwrap();
    assert_eq!(config.zones, [first, zone("b", &["/mnt/b", "/mnt/c"]), zone("d", &["/mnt/d"])]);
    assert_eq!(load_text(&text, &Overrides::default()).unwrap().zones, config.zones);
    for (name, place, wanted) in [
        ("b", "/mnt/e", "b stands twice"),
        ("E", "/mnt/e", "is not 1..=32 of"),
        ("e", "/mnt/d/e", "are not apart"),
        ("e", "e", "is not an absolute path"),
    ] {
        let error = add_zone(&text, file, pool, &zone(name, &[place])).unwrap_err();
        assert!(error.text.contains(wanted), "{}", error.text);
    }
}

#[test]
fn a_terminal_shows_no_request_lines_unless_they_are_asked_for() {
    let shows_requests = |log: &Log, is_terminal| {
        let filter: tracing_subscriber::filter::Targets = log.filter_on(is_terminal).parse().unwrap();
        let shows = |target: &str, level| filter.would_enable(target, &level);
        assert!(shows("firn::appliance", tracing::Level::WARN), "warnings always");
        shows(web::ACCESS_LINES, tracing::Level::INFO)
    };
    let unsaid = load(None, &Overrides::default()).unwrap().log;
    assert!(!shows_requests(&unsaid, true));
    assert!(shows_requests(&unsaid, false));
    let asked = Overrides { log: Some("info".to_owned()), ..Overrides::default() };
    assert!(shows_requests(&load(None, &asked).unwrap().log, true));
}

#[test]
fn prices_are_awss_list_with_what_is_said() {
    use objectstore::StorageClass::{DeepArchive, Glacier, IntelligentTiering, StandardIa};
    use objectstore::price::{Prices, Retrieval};
    assert_eq!(load_text("", &Overrides::default()).unwrap().prices, Prices::default());
    let text = r#"
[price]
currency = "€"
[class.STANDARD_IA.price]
gb-month = 0.0111
puts = "0.02"
gets = 1
transitions = 0
retrieval = 0.5
minimum-days = 0
minimum-size = "64KiB"
[class.INTELLIGENT_TIERING.price]
watched = 0.001
[class.GLACIER.price.expedited]
gb = 0.04
[class.DEEP_ARCHIVE.price]
minimum-days = 365
overhead = "16KiB"
overhead-standard = "0"
bulk = { requests = "0.5" }
"#;
    let prices = load_text(text, &Overrides::default()).unwrap().prices;
    assert_eq!(prices.currency, "€");
    let rare = prices.of(StandardIa);
    let rates = [rare.gb_month, rare.puts, rare.gets, rare.transitions].map(|rate| rate.to_string());
    assert_eq!(rates, ["0.0111", "0.02", "1.00", "0.00"]);
    assert_eq!((rare.minimum_days, rare.minimum_bytes), (0, 64 << 10));
    assert_eq!(rare.retrieval, Retrieval::AtOnce("0.5".parse().unwrap()));
    assert_eq!(prices.of(IntelligentTiering).watched.to_string(), "0.001");
    let deep = prices.of(DeepArchive);
    assert_eq!((deep.minimum_days, deep.overhead_bytes, deep.overhead_standard_bytes), (365, 16 << 10, 0));
    let Retrieval::Restored { expedited: None, bulk, .. } = deep.retrieval else { panic!("{deep:?}") };
    assert_eq!((bulk.gb.to_string(), bulk.requests.to_string()), ("0.0025".to_owned(), "0.50".to_owned()));
    let Retrieval::Restored { expedited: Some(fast), .. } = prices.of(Glacier).retrieval else { panic!() };
    assert_eq!((fast.gb.to_string(), fast.requests.to_string()), ("0.04".to_owned(), "10.00".to_owned()));
}

#[test]
fn a_price_that_makes_no_sense_is_refused_with_its_line() {
    for (text, line, says) in [
        ("[class.STANDARD.price]\ngb-month = -1", 2, "it is not from 0 to 10000"),
        ("[class.STANDARD.price]\ngb-month = \"cheap\"", 2, "cheap: it is not"),
        ("[class.STANDARD.price]\ngb-month = 1e-10", 2, "at most nine decimals"),
        ("[class.STANDARD.price]\ngb-month = nan", 2, "NaN: it is not"),
        ("[class.STANDARD.price]\ngb-month = 10001", 2, "it is not"),
        ("[class.STANDARD.price]\ngb-month = true", 2, "an amount as 0.0125"),
        ("[class.STANDARD.price]\nputs = 1\ngb = 1", 3, "unknown field `gb`"),
        ("[class.STANDARD]\nprices = 1", 2, "unknown field `prices`"),
        ("\n[class.COLD.price]\ngb-month = 1", 2, "unknown field `COLD`"),
        ("[class.GLACIER.price]\nminimum-days = 3651", 2, "3651 is not in 0..=3650"),
        ("[class.GLACIER.price]\nminimum-size = \"2GiB\"", 2, "2GiB is not from 0 to 1GiB"),
        ("[class.GLACIER.price]\nputs = 1\nretrieval = 1", 3, "GLACIER.price.retrieval: what is archived"),
        ("[class.STANDARD_IA.price]\nbulk = { gb = 1 }", 2, "STANDARD_IA.price.bulk: only what is archived"),
        ("[class.DEEP_ARCHIVE.price.expedited]\ngb = 1", 1, "it has no such tier"),
        ("[class.STANDARD.price]\nwatched = 1", 2, "only INTELLIGENT_TIERING watches"),
        ("[price]\ncurrency = \"\"", 2, "is not 1 to 8 letters"),
        ("[price]\ncurrency = \"US DOLLAR\"", 2, "is not 1 to 8 letters"),
    ] {
        let error = load_text(text, &Overrides::default()).unwrap_err();
        assert!(error.contains(&format!("line {line}: ")) && error.contains(says), "{text:?}: {error}");
    }
}

#[test]
fn what_is_compacted_is_said_within_bounds_and_only_where_there_are_vaults() {
    let vaults = |text: &str| {
        let loaded = load_text(&format!("[vault]\nenabled = true\n{text}"), &Overrides::default());
        loaded.map(|config| config.vaults.unwrap())
    };
    let usual = vaults("").unwrap();
    assert_eq!((usual.packing.compact_above, usual.packing.compact_a_day), (25, 256 << 30));
    let medium = "[[medium]]\nname = \"worm\"\npath = \"/worm\"\nwrite-once = true";
    let said = vaults(&format!("compact-above = 100\ncompact-a-day = \"1GiB\"\n{medium}")).unwrap();
    assert_eq!((said.packing.compact_above, said.packing.compact_a_day), (100, 1 << 30));
    assert!(said.media[0].write_once);
    for (wrong, key) in [
        ("compact-above = 0", "vault.compact-above"),
        ("compact-above = 101", "vault.compact-above"),
        ("compact-a-day = \"1MiB\"", "vault.compact-a-day"),
    ] {
        assert!(vaults(wrong).unwrap_err().contains(key), "{wrong}");
        let orphan = load_text(&format!("[vault]\n{wrong}"), &Overrides::default()).unwrap_err();
        assert!(orphan.contains(key) && orphan.contains("vault.enabled"), "{orphan}");
    }
}

#[test]
fn issuers_of_tokens_are_asked_over_tls_and_out_in_the_internet_unless_it_is_said_otherwise() {
    let none = load_text("", &Overrides::default()).unwrap().oidc;
    assert!(!none.allow_private && none.ca_file.is_none() && none.plain_http.is_empty());
    assert_eq!(none.timeout, Duration::from_secs(5));
    let text = "[oidc]\nallow-private = true\nca-file = \"/etc/ca.pem\"\nplain-http = [\"http://127.0.0.1:8080\"]\ntimeout = \"9s\"";
    let all = load_text(text, &Overrides::default()).unwrap().oidc;
    assert!(all.allow_private && all.ca_file.as_deref() == Some(Path::new("/etc/ca.pem")));
    assert_eq!(
        (&*all.plain_http, all.timeout),
        (&["http://127.0.0.1:8080".to_owned()][..], Duration::from_secs(9))
    );
    for (text, says) in [
        ("ca-file = \"ca.pem\"", "use oidc.ca-file in firn.toml: ca.pem is not an absolute path"),
        ("plain-http = [\"https://a.test\"]", "use oidc.plain-http in firn.toml: "),
        ("plain-http = [\"http://a.test/realm\"]", "http://HOST:PORT is wanted"),
        ("timeout = \"2m\"", "use oidc.timeout in firn.toml: 2m is not in 1s..=1m"),
        ("issuers = []", "unknown field"),
    ] {
        let error = load_text(&format!("[oidc]\n{text}"), &Overrides::default()).unwrap_err();
        assert!(error.contains(says), "{text}: {error}");
    }
}
