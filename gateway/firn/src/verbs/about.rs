//! Verbs that say what firn is: version, completions, manual pages, the configuration.

use super::configured::{Issuers, Reached, RemotePool, Topic, Vaults};
use crate::backup::Destination;
use crate::cli::{Cli, Completions, Config, Man, OTHER_VARIABLES, SERVER_VARIABLES, Verb};
use crate::config::{self, LogFormat, ZoneConfig};
use crate::exit::{Exit, Failure};
use crate::report::Report;
use crate::session::Session;
use crate::text::{printable, show_duration};
use crate::tls::Wish;
use clap::{CommandFactory, Parser};
use clap_complete::Shell;
use engine::blob::Short;
use engine::unit::ByteCount;
use objectstore::price::Prices;
use objectstore::{ObjectOwnership, StorageClass};
use security::form::LegacyForms;
use serde::Serialize;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

#[derive(Debug, Serialize)]
struct VersionReport {
    version: &'static str,
    directory_format: u32,
}

impl Report for VersionReport {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "firn {} (directory format {})", self.version, self.directory_format)
    }
}

pub(super) fn version(session: &Session) -> anyhow::Result<Exit> {
    session.output.print(&VersionReport {
        version: env!("CARGO_PKG_VERSION"),
        directory_format: crate::directory::MARKER_VERSION,
    })
}

/// A text that a program reads: a script, a manual page.
#[derive(Debug, Serialize)]
struct Text {
    /// Of what.
    name: String,
    text: String,
}

impl Report for Text {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(self.text.as_bytes())
    }
}

pub(super) fn completions(session: &Session, args: &Completions) -> anyhow::Result<Exit> {
    session.output.print(&script(args.shell)?)
}

fn script(shell: Shell) -> anyhow::Result<Text> {
    // Rendered first: clap_complete panics on a closed pipe.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "firn", &mut script);
    Ok(Text { name: shell.to_string(), text: String::from_utf8(script)? })
}

pub(super) fn man(session: &Session, args: &Man) -> anyhow::Result<Exit> {
    session.output.print(&page(&args.verb)?)
}

/// The manual page of a verb.
fn page(verb: &[String]) -> anyhow::Result<Text> {
    let mut command = Cli::command();
    command.build();
    let (mut found, mut name) = (&command, "firn".to_owned());
    // `firn man quota set` and `firn man "quota set"` are the same.
    for verb in verb.iter().flat_map(|words| words.split_whitespace()) {
        found = found.find_subcommand(verb).ok_or_else(|| {
            let among = name.replace('-', " ");
            Failure::usage(format!("show the manual of {verb:?}: there is no such verb"))
                .hint(format!("see: {among} --help"))
        })?;
        name = format!("{name}-{verb}");
    }
    let version = format!("firn {}", env!("CARGO_PKG_VERSION"));
    let page = clap_mangen::Man::new(found.clone()).title(name.clone()).source(version);
    let mut out = Vec::new();
    page.render(&mut out)?;
    Ok(Text { name, text: String::from_utf8(out)? })
}

#[derive(Debug, Serialize)]
struct ZoneReport {
    name: String,
    directories: Vec<String>,
}

#[derive(Debug, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
struct ConfigReport {
    file: String,
    /// What of the environment wins over the file.
    variables: Vec<&'static str>,
    /// What of it looks as if it were one of these, and is read by nothing.
    unknown_variables: Vec<String>,
    /// Directories for bodies that are not there.
    missing: Vec<String>,
    /// Of the machine, or of the control group.
    memory_bytes: Option<u64>,
    region: Option<String>,
    new_bucket_ownership: &'static str,
    http: String,
    admin: String,
    insecure_http: bool,
    tls: String,
    base_domains: Vec<String>,
    website_domains: Vec<String>,
    legacy_form_signatures: bool,
    connections_max: usize,
    bodies_bytes: Option<u64>,
    drain_ms: u64,
    cache_bytes: u64,
    segment_bytes: Option<u64>,
    pool_directory: Option<String>,
    zones: Vec<ZoneReport>,
    /// A remote pool: its zone's name and its place.
    remote: Option<String>,
    remote_pool: Option<RemotePool>,
    copies: Option<usize>,
    accepts_fewer_copies: bool,
    copies_catalog: bool,
    topics: Vec<Topic>,
    events_waiting_max: u64,
    access_logs_every_ms: u64,
    backup: Option<String>,
    backup_every_ms: Option<u64>,
    currency: String,
    /// Classes whose price is not that of AWS's list.
    own_prices: Vec<&'static str>,
    /// How an `s3://` target is reached.
    backup_at: Option<Reached>,
    vault: Option<Vaults>,
    oidc: Issuers,
    log_level: String,
    log_format: &'static str,
}

impl Report for ConfigReport {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let variables = match self.variables.join(", ") {
            none if none.is_empty() => none,
            some => format!(", with {some}"),
        };
        let fine = if self.missing.is_empty() {
            "is fine"
        } else {
            "can be read, but not all that it names is there (see the end)"
        };
        writeln!(out, "{} {fine}{variables}. The server would run with:", self.file)?;
        self.doors(out)?;
        self.bodies(out)?;
        match (&self.backup, self.backup_every_ms) {
            (Some(target), Some(every)) => {
                let every = show_duration(Duration::from_millis(every));
                write!(out, "  backup        to {target}, a base every {every}")?;
                self.backup_at.as_ref().map_or(Ok(()), |at| write!(out, ", at {at}"))?;
                writeln!(out)?;
            }
            _ => writeln!(out, "  backup        none")?,
        }
        match &self.vault {
            Some(vault) => writeln!(out, "  vault         {vault}")?,
            None => writeln!(out, "  vault         off")?,
        }
        for medium in self.vault.iter().flat_map(|vault| &vault.media) {
            writeln!(out, "  medium        {medium}")?;
        }
        for topic in &self.topics {
            writeln!(out, "  topic         {topic}")?;
        }
        writeln!(out, "  events        at most {} wait", self.events_waiting_max)?;
        let every = show_duration(Duration::from_millis(self.access_logs_every_ms));
        writeln!(out, "  access logs   written every {every}")?;
        writeln!(out, "  oidc          issuers are {}", self.oidc)?;
        let own = match self.own_prices.join(", ") {
            none if none.is_empty() => none,
            some => format!(", but for {some}"),
        };
        writeln!(out, "  prices        AWS's list, in {}{own}", self.currency)?;
        writeln!(out, "  log           {}, format {}", self.log_level, self.log_format)?;
        for missing in &self.missing {
            writeln!(out, "not there: {missing}")?;
        }
        for unknown in &self.unknown_variables {
            writeln!(out, "not known, and passed over: {}", printable(unknown))?;
        }
        writeln!(
            out,
            "not looked at: ports, certificates, and whether the pool, the backup's target and receivers are the right ones"
        )
    }

    fn exit(&self) -> Exit {
        if self.missing.is_empty() { Exit::Ok } else { Exit::NotFound }
    }
}

impl ConfigReport {
    /// Where it listens, and to whom.
    fn doors(&self, out: &mut dyn Write) -> io::Result<()> {
        let region = self.region.as_deref().unwrap_or("us-east-1 (for a new appliance)");
        writeln!(out, "  region        {region}")?;
        writeln!(out, "  new buckets   {}", self.new_bucket_ownership)?;
        writeln!(out, "  http          {} (insecure: {})", self.http, self.insecure_http)?;
        writeln!(out, "  admin         {}", self.admin)?;
        writeln!(out, "  tls           {}", self.tls)?;
        let list = |domains: &[String]| match domains.join(", ") {
            none if none.is_empty() => "none".to_owned(),
            some => some,
        };
        writeln!(out, "  base domains  {}", list(&self.base_domains))?;
        writeln!(out, "  websites      {}", list(&self.website_domains))?;
        let legacy = if self.legacy_form_signatures { "taken" } else { "refused" };
        writeln!(out, "  legacy forms  {legacy}")?;
        writeln!(out, "  connections   {}", self.connections_max)?;
        match self.bodies_bytes {
            Some(bytes) => {
                let memory = self.memory_bytes.filter(|memory| *memory < bytes);
                let note =
                    memory.map(|memory| format!(", more than this machine has ({})", ByteCount::new(memory)));
                writeln!(
                    out,
                    "  bodies        {} of memory{}",
                    ByteCount::new(bytes),
                    note.unwrap_or_default()
                )?;
            }
            None => writeln!(
                out,
                "  bodies        {} of memory here: a quarter, 256 MiB to 2 GiB",
                config::of_bodies()
            )?,
        }
        writeln!(out, "  drain         {}", show_duration(Duration::from_millis(self.drain_ms)))
    }

    /// Where bodies lie.
    fn bodies(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "  cache         {}", ByteCount::new(self.cache_bytes))?;
        match self.segment_bytes {
            Some(bytes) => writeln!(out, "  segment       {}", ByteCount::new(bytes))?,
            None => writeln!(out, "  segment       as suits the pool's disk, 4 to 256 MiB")?,
        }
        if self.zones.is_empty() {
            let pool = self.pool_directory.as_deref().unwrap_or("in the data directory");
            writeln!(out, "  pool          {pool}")?;
        }
        for zone in &self.zones {
            writeln!(out, "  zone          {}: {}", zone.name, zone.directories.join(", "))?;
        }
        if let Some(remote) = &self.remote {
            writeln!(out, "  remote pool   {remote}")?;
        }
        if let Some(pool) = &self.remote_pool {
            writeln!(out, "                {pool}")?;
        }
        if self.zones.len() > 1 {
            let copies = self.copies.unwrap_or(2);
            let short = if self.accepts_fewer_copies { "accepted" } else { "refused" };
            writeln!(out, "  copies        {copies}; bodies that find fewer zones are {short}")?;
        }
        if self.copies_catalog {
            writeln!(out, "  catalog       has a copy in a zone, with keys and small bodies")?;
        }
        Ok(())
    }
}

/// What looks like a variable of firn's and is none.
fn unknown_variables(names: impl Iterator<Item = String>) -> Vec<String> {
    let known = |name: &str| SERVER_VARIABLES.contains(&name) || OTHER_VARIABLES.contains(&name);
    let mut unknown: Vec<_> = names.filter(|name| name.starts_with("FIRN_") && !known(name)).collect();
    unknown.sort();
    unknown
}

/// Directories for bodies that a start would not find. It makes a pool's where its parent is there.
fn missing(config: &config::Config) -> Vec<String> {
    let zones = config.zones.iter().flat_map(|zone| &zone.directories).filter(|dir| !dir.is_dir());
    let there = |dir: &Path| dir.is_dir() || dir.parent().is_some_and(Path::is_dir);
    let pool = config.pool_dir.iter().filter(|dir| !there(dir));
    zones.chain(pool).map(|dir| dir.display().to_string()).collect()
}

const fn ownership(ownership: ObjectOwnership) -> &'static str {
    match ownership {
        ObjectOwnership::BucketOwnerEnforced => "bucket-owner-enforced",
        ObjectOwnership::BucketOwnerPreferred => "bucket-owner-preferred",
        ObjectOwnership::ObjectWriter => "object-writer",
    }
}

const fn format(format: LogFormat) -> &'static str {
    match format {
        LogFormat::Auto => "auto",
        LogFormat::Json => "json",
        LogFormat::People => "people",
    }
}

fn zone_report(zone: ZoneConfig) -> ZoneReport {
    let directories = zone.directories.iter().map(|dir| dir.display().to_string()).collect();
    ZoneReport { name: zone.name, directories }
}

fn own_prices(prices: &Prices) -> Vec<&'static str> {
    let list = Prices::default();
    let own = |class: &StorageClass| prices.of(*class) != list.of(*class);
    StorageClass::ALL.into_iter().filter(own).map(StorageClass::as_str).collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What the environment says, in the place of the file, to a server that is started here.
fn overrides(file: &std::path::Path) -> Result<config::Overrides, Failure> {
    let line =
        [OsStr::new("firn"), OsStr::new("server"), OsStr::new("."), OsStr::new("--config"), file.as_os_str()];
    let hint = "FIRN_* variables win over the file: env | grep ^FIRN_";
    match Cli::try_parse_from(line).map(|cli| cli.verb) {
        Ok(Verb::Server(server)) => Ok(server.overrides(false)),
        Ok(Verb::Client(_)) => Err(Failure::usage("read the FIRN_* variables").hint(hint)),
        Err(error) => {
            let said = error.to_string();
            let said = said.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
            let flag = |name: &&str| {
                let flag = name.trim_start_matches("FIRN_").to_ascii_lowercase().replace('_', "-");
                said.contains(&format!("'--{flag}"))
            };
            let name = SERVER_VARIABLES.into_iter().find(flag).unwrap_or("the FIRN_* variables");
            Err(Failure::usage(format!("read {name}: {said}")).hint(hint))
        }
    }
}

fn tls(wish: &Wish) -> String {
    match wish {
        Wish::Off => "off".to_owned(),
        Wish::Own { names } if names.is_empty() => "a certificate of its own".to_owned(),
        Wish::Own { names } => {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            format!("a certificate of its own, also for {}", names.join(", "))
        }
        Wish::Given { certificate, key } => {
            format!("{} with {}", certificate.display(), key.display())
        }
    }
}

pub(super) fn config(session: &Session, args: &Config) -> anyhow::Result<Exit> {
    let Config::Check { file } = args;
    let variables: Vec<&str> =
        SERVER_VARIABLES.into_iter().filter(|name| std::env::var_os(name).is_some()).collect();
    let config = config::load(Some(file), &overrides(file)?)?;
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    session.output.print(&ConfigReport {
        variables,
        unknown_variables: unknown_variables(names),
        ..of(file, config)
    })
}

/// What a configuration says.
fn of(file: &Path, config: config::Config) -> ConfigReport {
    ConfigReport {
        file: file.display().to_string(),
        variables: Vec::new(),
        unknown_variables: Vec::new(),
        missing: missing(&config),
        memory_bytes: config::of_machine().map(ByteCount::get),
        region: config.region,
        new_bucket_ownership: ownership(config.new_bucket_ownership),
        http: config.http.to_string(),
        admin: config.admin.to_string(),
        insecure_http: config.insecure_http,
        tls: tls(&config.tls),
        base_domains: config.base_domains,
        website_domains: config.website_domains,
        legacy_form_signatures: config.legacy_forms == LegacyForms::Taken,
        connections_max: config.connections_max,
        bodies_bytes: config.bodies_max.map(ByteCount::get),
        drain_ms: millis(config.drain),
        cache_bytes: config.cache.get(),
        segment_bytes: config.segment.map(ByteCount::get),
        pool_directory: config.pool_dir.map(|dir| dir.display().to_string()),
        copies: config.copies.count,
        accepts_fewer_copies: config.copies.short == Short::Accept,
        copies_catalog: config.copies.catalog,
        remote: config.remote.as_ref().map(|remote| {
            let kept = if remote.keeps_local { ", beside local copies" } else { "" };
            format!("{} in s3://{}/{}{kept}", remote.name, remote.bucket, remote.prefix)
        }),
        remote_pool: config.remote.map(RemotePool::from),
        zones: config.zones.into_iter().map(zone_report).collect(),
        topics: config.events.topics.iter().map(Topic::from).collect(),
        events_waiting_max: config.events.waiting_max,
        access_logs_every_ms: millis(config.access_logs.every),
        backup_every_ms: config.backup.as_ref().map(|plan| millis(plan.every)),
        backup: config.backup.as_ref().map(|plan| plan.destination.to_string()),
        backup_at: config.backup.and_then(|plan| match plan.destination {
            Destination::S3 { access, .. } => Some(access.into()),
            Destination::Directory(_) => None,
        }),
        vault: config.vaults.map(Vaults::from),
        oidc: config.oidc.into(),
        own_prices: own_prices(&config.prices),
        currency: config.prices.currency,
        log_level: config.log.filter_on(false),
        log_format: format(config.log.format),
    }
}

#[cfg(test)]
mod tests {
    use super::{of, page, script, unknown_variables};
    use crate::cli::Cli;
    use crate::config::{self, Overrides};
    use crate::report::render;
    use clap::{Command, CommandFactory, ValueEnum};
    use clap_complete::Shell;
    use std::collections::BTreeSet;

    /// The verbs below a command, in words.
    fn verbs(command: &Command, above: &[String], found: &mut Vec<Vec<String>>) {
        for verb in command.get_subcommands() {
            let words = [above, &[verb.get_name().to_owned()]].concat();
            verbs(verb, &words, found);
            found.push(words);
        }
    }

    #[test]
    fn every_verb_has_its_page_and_every_shell_completes_every_verb() {
        let mut found = vec![Vec::new()];
        verbs(&Cli::command(), &[], &mut found);
        assert!(found.len() > 60, "{found:?}");
        for words in &found {
            let page = page(words).unwrap();
            let name = [&["firn".to_owned()], &words[..]].concat().join("-");
            assert_eq!(page.name, name);
            assert!(page.text.contains(&format!(".TH {name} 1")), "{}", page.text);
            assert!(page.text.contains(".SH SYNOPSIS"), "{name}");
        }
        for shell in Shell::value_variants() {
            let script = script(*shell).unwrap();
            assert_eq!(script.name, shell.to_string());
            for verb in found.iter().flatten() {
                assert!(script.text.contains(verb.as_str()), "{shell} does not know {verb}");
            }
        }
        let zsh = script(Shell::Zsh).unwrap().text;
        assert!(zsh.starts_with("#compdef firn") && zsh.contains("--version-id"), "{zsh}");
        let fish = script(Shell::Fish).unwrap().text;
        assert!(fish.contains("complete -c firn") && fish.contains("-l version-id"), "{fish}");
    }

    /// Each key of the file as the reader knows it: `http.listen`.
    fn keys() -> BTreeSet<String> {
        let kebab = |name: &str| {
            let name = name.trim_end_matches('_');
            let parts = name.chars().enumerate().flat_map(|(at, c)| {
                let dash = (at > 0 && c.is_uppercase()).then_some('-');
                dash.into_iter().chain(c.to_lowercase()).map(|c| if c == '_' { '-' } else { c })
            });
            parts.collect::<String>()
        };
        let (mut section, mut keys) = (String::new(), BTreeSet::new());
        for line in include_str!("../config/raw.rs").lines() {
            if let Some(name) = line.strip_prefix("pub(super) struct ") {
                section = kebab(name.split_whitespace().next().unwrap_or_default());
            } else if let Some((name, kind)) =
                line.strip_prefix("    pub(super) ").and_then(|line| line.split_once(": "))
            {
                match section.as_str() {
                    "raw" if kind.starts_with("Option") => keys.insert(kebab(name)),
                    "raw" => false,
                    section => keys.insert(format!("{section}.{}", kebab(name))),
                };
            }
        }
        keys
    }

    /// A key, and two files that differ in it.
    type Told = (&'static str, String, String);

    /// A section, without the key and with it.
    fn added(key: &'static str, section: &str, line: &str) -> Told {
        (key, section.to_owned(), format!("{section}\n{line}\n"))
    }

    /// The same, with one value and with another.
    fn changed(key: &'static str, text: &str, from: &str, to: &str) -> Told {
        assert!(text.contains(from), "{key}");
        (key, text.to_owned(), text.replacen(from, to, 1))
    }

    fn of_doors() -> Vec<Told> {
        let given = "[tls]\ncertificate = \"/c.pem\"\nkey = \"/k.pem\"";
        vec![
            added("region", "", "region = \"eu-here-1\""),
            added("new-bucket-ownership", "", "new-bucket-ownership = \"object-writer\""),
            added("http.listen", "[http]", "listen = \"127.0.0.1:9100\""),
            added("http.insecure", "[http]", "insecure = true"),
            added("http.base-domains", "[http]", "base-domains = [\"s3.test\"]"),
            added("http.website-domains", "[http]", "website-domains = [\"web.test\"]"),
            added("http.legacy-form-signatures", "[http]", "legacy-form-signatures = true"),
            added("http.connections", "[http]", "connections = 7"),
            added("http.bodies", "[http]", "bodies = \"129MiB\""),
            added("http.drain", "[http]", "drain = \"7s\""),
            added("tls.self-signed", "[tls]", "self-signed = true"),
            added("tls.names", "[tls]\nself-signed = true", "names = [\"nas.test\"]"),
            changed("tls.certificate", given, "/c.pem", "/d.pem"),
            changed("tls.key", given, "/k.pem", "/l.pem"),
            added("admin.listen", "[admin]", "listen = \"127.0.0.1:9101\""),
            added("events.waiting", "[events]", "waiting = 2000"),
            added("access-logs.every", "[access-logs]", "every = \"7s\""),
            added("log.level", "[log]", "level = \"warn\""),
            added("log.format", "[log]", "format = \"json\""),
        ]
    }

    fn of_topics() -> Vec<Told> {
        let topic = "[[topic]]\nname = \"new\"\nurl = \"https://a.test/in\"\nsecret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"";
        vec![
            changed("topic.name", topic, "new", "old"),
            changed("topic.url", topic, "a.test", "b.test"),
            added("topic.allow-private", topic, "allow-private = true"),
            added("topic.ca-file", topic, "ca-file = \"/ca.pem\""),
            added("topic.timeout", topic, "timeout = \"7s\""),
            added("topic.keep", topic, "keep = \"2h\""),
        ]
    }

    fn of_bodies() -> Vec<Told> {
        let zone = "[[zone]]\nname = \"a\"\ndirectory = \"/a\"";
        let two = format!("{zone}\n[[zone]]\nname = \"b\"\ndirectory = \"/b\"");
        let far =
            format!("{zone}\n[[zone]]\nname = \"far\"\nkind = \"s3\"\nbucket = \"vault\"\nprefix = \"p\"");
        let limit = format!("{far}\nupload-limit = [{{ hours = \"08-18\", bytes-per-second = \"20MiB\" }}]");
        let in_far = |key, line| added(key, &far, line);
        vec![
            added("engine.cache", "[engine]", "cache = \"65MiB\""),
            added("engine.segment", "[engine]", "segment = \"32MiB\""),
            added("pool.directory", "[pool]", "directory = \"/p\""),
            changed("zone.name", zone, "\"a\"", "\"z\""),
            ("zone.kind", two.clone(), far.clone()),
            changed("zone.directory", zone, "/a", "/z"),
            changed("zone.directories", zone, "directory = \"/a\"", "directories = [\"/a\", \"/z\"]"),
            changed("zone.bucket", &far, "vault", "other"),
            changed("zone.prefix", &far, "\"p\"", "\"q\""),
            in_far("zone.endpoint", "endpoint = \"https://s3.test\""),
            in_far("zone.region", "region = \"eu-there-1\""),
            in_far("zone.profile", "profile = \"far\""),
            in_far("zone.credentials-file", "credentials-file = \"/keys\""),
            in_far("zone.ca-bundle", "ca-bundle = \"/ca.pem\""),
            in_far("zone.keep-local", "keep-local = true"),
            in_far("zone.scrub", "scrub = true"),
            in_far("zone.cache", "cache = \"65MiB\""),
            in_far("zone.cache-directory", "cache-directory = \"/ssd\""),
            ("zone.upload-limit", far.clone(), limit.clone()),
            changed("upload-limit.hours", &limit, "08-18", "09-18"),
            changed("upload-limit.bytes-per-second", &limit, "20MiB", "21MiB"),
            added("copies.count", &two, "[copies]\ncount = 1"),
            added("copies.short", &two, "[copies]\nshort = \"accept\""),
            added("copies.catalog", &two, "[copies]\ncatalog = true"),
        ]
    }

    fn of_backup_and_vaults() -> Vec<Told> {
        let backup = "[backup]\ntarget = \"s3://b/p\"";
        let vault = "[vault]\nenabled = true";
        let oidc = "[oidc]";
        let medium = format!("{vault}\n[[medium]]\nname = \"m1\"\npath = \"/m1\"");
        vec![
            changed("backup.target", backup, "s3://b/p", "s3://c/p"),
            added("backup.every", backup, "every = \"7h\""),
            added("backup.endpoint", backup, "endpoint = \"https://s3.test\""),
            added("backup.profile", backup, "profile = \"far\""),
            added("backup.credentials-file", backup, "credentials-file = \"/keys\""),
            added("backup.ca-bundle", backup, "ca-bundle = \"/ca.pem\""),
            changed("vault.enabled", vault, "true", "false"),
            added("vault.pack", vault, "pack = \"7MiB\""),
            added("vault.pack-after", vault, "pack-after = \"7m\""),
            added("vault.free-per-day", vault, "free-per-day = \"7MiB\""),
            added("vault.compact-above", vault, "compact-above = 7"),
            added("vault.compact-a-day", vault, "compact-a-day = \"7GiB\""),
            added("oidc.allow-private", oidc, "allow-private = true"),
            added("oidc.ca-file", oidc, "ca-file = \"/ca.pem\""),
            added("oidc.plain-http", oidc, "plain-http = [\"http://127.0.0.1:8080\"]"),
            added("oidc.timeout", oidc, "timeout = \"7s\""),
            added("medium.write-once", &medium, "write-once = true"),
            changed("medium.name", &medium, "\"m1\"", "\"m2\""),
            changed("medium.path", &medium, "/m1", "/m2"),
            added("medium.kind", &medium, "kind = \"shelf\""),
            added("medium.capacity", &medium, "capacity = \"7GiB\""),
        ]
    }

    #[test]
    fn config_check_shows_every_key() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("firn.toml");
        let check = |text: &str| {
            std::fs::write(&file, text).unwrap();
            let config = config::load(Some(&file), &Overrides::default())
                .unwrap_or_else(|why| panic!("{text}: {why}"));
            let report = of(&file, config);
            [false, true].map(|json| {
                let mut out = Vec::new();
                render(&report, json, &mut out).unwrap();
                out
            })
        };
        let mut told = BTreeSet::new();
        for (key, without, with) in [of_doors(), of_topics(), of_bodies(), of_backup_and_vaults()].concat() {
            let ([people, json], [other_people, other_json]) = (check(&without), check(&with));
            assert_ne!(people, other_people, "people are not told of {key}");
            assert_ne!(json, other_json, "scripts are not told of {key}");
            told.insert(key.to_owned());
        }
        // What signs is shown to nobody.
        told.extend(["topic.secret", "topic.secret-file"].map(str::to_owned));
        assert_eq!(told, keys());
    }

    #[test]
    fn a_variable_that_nothing_reads_is_named() {
        let names = ["FIRN_HTP", "FIRN_HTTP", "FIRN_DIR", "HOME", "FIRN_ADDRESSING_STYLE", "FIRN_A"];
        assert_eq!(unknown_variables(names.into_iter().map(str::to_owned)), ["FIRN_A", "FIRN_HTP"]);
    }
}
