//! Verbs that say what firn is: version, completions, manual pages, the configuration.

use crate::cli::{Cli, Completions, Config, Man, SERVER_VARIABLES, Verb};
use crate::config::{self, TopicConfig, ZoneConfig};
use crate::exit::{Exit, Failure};
use crate::report::Report;
use crate::session::Session;
use crate::text::show_duration;
use crate::tls::Wish;
use clap::{CommandFactory, Parser};
use engine::blob::Short;
use engine::unit::ByteCount;
use serde::Serialize;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::time::Duration;

#[derive(Debug, Serialize)]
struct VersionReport {
    version: &'static str,
    marker_format: u32,
}

impl Report for VersionReport {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "firn {} (directory format {})", self.version, self.marker_format)
    }
}

pub(super) fn version(session: &Session) -> anyhow::Result<Exit> {
    session.output.print(&VersionReport {
        version: env!("CARGO_PKG_VERSION"),
        marker_format: crate::directory::MARKER_VERSION,
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
    // Rendered first: clap_complete panics on a closed pipe.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "firn", &mut script);
    session.output.print(&Text { name: args.shell.to_string(), text: String::from_utf8(script)? })
}

pub(super) fn man(session: &Session, args: &Man) -> anyhow::Result<Exit> {
    let mut command = Cli::command();
    command.build();
    let (mut found, mut name) = (&command, "firn".to_owned());
    // `firn man quota set` and `firn man "quota set"` are the same.
    for verb in args.verb.iter().flat_map(|words| words.split_whitespace()) {
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
    session.output.print(&Text { name, text: String::from_utf8(out)? })
}

#[derive(Debug, Serialize)]
struct ZoneReport {
    name: String,
    directories: Vec<String>,
}

#[derive(Debug, Serialize)]
struct TopicReport {
    name: String,
    address: String,
}

#[derive(Debug, Serialize)]
struct ConfigReport {
    file: String,
    /// What of the environment wins over the file.
    variables: Vec<&'static str>,
    /// Directories for bodies that are not there.
    missing: Vec<String>,
    /// Of the machine, or of the control group.
    memory_bytes: Option<u64>,
    region: Option<String>,
    http: String,
    admin: String,
    insecure_http: bool,
    tls: String,
    base_domains: Vec<String>,
    connections_max: usize,
    bodies_bytes: Option<u64>,
    drain_ms: u64,
    cache_bytes: u64,
    segment_bytes: Option<u64>,
    pool_directory: Option<String>,
    zones: Vec<ZoneReport>,
    /// A remote pool: its zone's name and its place.
    remote: Option<String>,
    copies: Option<usize>,
    accepts_fewer_copies: bool,
    topics: Vec<TopicReport>,
    backup: Option<String>,
    backup_every_ms: Option<u64>,
    log_level: String,
}

impl Report for ConfigReport {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let variables = match self.variables.join(", ") {
            none if none.is_empty() => none,
            some => format!(", with {some}"),
        };
        writeln!(out, "{} is fine{variables}. The server would run with:", self.file)?;
        writeln!(
            out,
            "  region        {}",
            self.region.as_deref().unwrap_or("us-east-1 (for a new appliance)")
        )?;
        writeln!(out, "  http          {} (insecure: {})", self.http, self.insecure_http)?;
        writeln!(out, "  admin         {}", self.admin)?;
        writeln!(out, "  tls           {}", self.tls)?;
        writeln!(out, "  base domains  {}", self.base_domains.join(", "))?;
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
        writeln!(out, "  drain         {}", show_duration(Duration::from_millis(self.drain_ms)))?;
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
        if self.zones.len() > 1 {
            let copies = self.copies.unwrap_or(2);
            let short = if self.accepts_fewer_copies { "accepted" } else { "refused" };
            writeln!(out, "  copies        {copies}; bodies that find fewer zones are {short}")?;
        }
        match (&self.backup, self.backup_every_ms) {
            (Some(target), Some(every)) => {
                let every = show_duration(Duration::from_millis(every));
                writeln!(out, "  backup        to {target}, a base every {every}")?;
            }
            _ => writeln!(out, "  backup        none")?,
        }
        for topic in &self.topics {
            writeln!(out, "  topic         {} to {}", topic.name, topic.address)?;
        }
        writeln!(out, "  log level     {}", self.log_level)?;
        for missing in &self.missing {
            writeln!(out, "not there: {missing}")?;
        }
        writeln!(
            out,
            "not looked at: ports, certificates, and whether the pool, the backup's target and receivers are the right ones"
        )
    }
}

fn topic_report(topic: &TopicConfig) -> TopicReport {
    TopicReport { name: topic.name.to_string(), address: topic.address() }
}

fn zone_report(zone: ZoneConfig) -> ZoneReport {
    let directories = zone.directories.iter().map(|dir| dir.display().to_string()).collect();
    ZoneReport { name: zone.name, directories }
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

pub(super) fn config(session: &Session, args: &Config) -> anyhow::Result<Exit> {
    let Config::Check { file } = args;
    let variables: Vec<&str> =
        SERVER_VARIABLES.into_iter().filter(|name| std::env::var_os(name).is_some()).collect();
    let config = config::load(Some(file), &overrides(file)?)?;
    let missing = config.zones.iter().flat_map(|zone| &zone.directories).chain(&config.pool_dir);
    let missing = missing.filter(|dir| !dir.is_dir()).map(|dir| dir.display().to_string()).collect();
    session.output.print(&ConfigReport {
        file: file.display().to_string(),
        variables,
        missing,
        memory_bytes: config::of_machine().map(ByteCount::get),
        region: config.region,
        http: config.http.to_string(),
        admin: config.admin.to_string(),
        insecure_http: config.insecure_http,
        tls: match &config.tls {
            Wish::Off => "off".to_owned(),
            Wish::Own { names } if names.is_empty() => "a certificate of its own".to_owned(),
            Wish::Own { names } => {
                let names: Vec<String> = names.iter().map(ToString::to_string).collect();
                format!("a certificate of its own, also for {}", names.join(", "))
            }
            Wish::Given { certificate, key } => {
                format!("{} with {}", certificate.display(), key.display())
            }
        },
        base_domains: config.base_domains,
        connections_max: config.connections_max,
        bodies_bytes: config.bodies_max.map(ByteCount::get),
        drain_ms: millis(config.drain),
        cache_bytes: config.cache.get(),
        segment_bytes: config.segment.map(ByteCount::get),
        pool_directory: config.pool_dir.map(|dir| dir.display().to_string()),
        copies: config.copies.count,
        accepts_fewer_copies: config.copies.short == Short::Accept,
        remote: config.remote.map(|remote| {
            let kept = if remote.keeps_local { ", beside local copies" } else { "" };
            format!("{} in s3://{}/{}{kept}", remote.name, remote.bucket, remote.prefix)
        }),
        zones: config.zones.into_iter().map(zone_report).collect(),
        topics: config.events.topics.iter().map(topic_report).collect(),
        backup_every_ms: config.backup.as_ref().map(|plan| millis(plan.every)),
        backup: config.backup.map(|plan| plan.destination.to_string()),
        log_level: config.log.filter_on(false),
    })
}
