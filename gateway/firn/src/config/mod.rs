//! The configuration: one TOML file, read raw, validated, and from then on typed.
//!
//! A flag goes before a `FIRN_*` variable (clap reads both), and that before the file. Every error names the file, the key
//! and what is allowed.

mod memory;
mod oidc;
mod prices;
mod raw;
mod remote;
mod tls;
mod topics;
mod vaults;
mod zones;

pub(crate) use memory::{of_bodies, of_machine};
pub(crate) use remote::RemoteConfig;
pub(crate) use topics::{EventsConfig, TopicConfig};
pub(crate) use vaults::VaultConfig;
pub(crate) use zones::{CopiesConfig, ZoneConfig, add as add_zone};

use crate::backup::{Access, Destination, Plan};
use crate::exit::Failure;
use crate::text::{parse_address, parse_duration, parse_size};
use crate::tls::Wish;
use client::FetcherOptions;
use engine::unit::ByteCount;
use objectstore::price::Prices;
use objectstore::{LogOptions, ObjectOwnership};
use raw::Raw;
use security::form::LegacyForms;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What `firn server` runs with.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The region of a new appliance; one that is there starts in its own alone.
    pub(crate) region: Option<String>,
    /// Who owns the objects of a bucket whose creation does not say it.
    pub(crate) new_bucket_ownership: ObjectOwnership,
    /// Where S3 listens.
    pub(crate) http: SocketAddr,
    /// Where the admin door listens.
    pub(crate) admin: SocketAddr,
    /// Whether either may listen beyond loopback without TLS.
    pub(crate) insecure_http: bool,
    /// What the doors prove themselves with.
    pub(crate) tls: Wish,
    /// Host names below which the first label is a bucket.
    pub(crate) base_domains: Vec<String>,
    /// Host names below which the first label is a bucket's website.
    pub(crate) website_domains: Vec<String>,
    /// Whether browser forms may carry the old signature.
    pub(crate) legacy_forms: LegacyForms,
    /// Connections served at once on the S3 door.
    pub(crate) connections_max: usize,
    /// Memory that the bodies of all requests together may hold; what suits the machine's when it is not said.
    pub(crate) bodies_max: Option<ByteCount>,
    /// How long open requests may finish after a stop is asked for.
    pub(crate) drain: Duration,
    /// Memory for rows read before.
    pub(crate) cache: ByteCount,
    /// The size of a segment file; what suits the pool's disk when it is not said.
    pub(crate) segment: Option<ByteCount>,
    /// Where segment files lie; `DIR/pools/local` unless they have a disk of their own.
    pub(crate) pool_dir: Option<PathBuf>,
    /// Failure domains; none is one, in the pool's directory.
    pub(crate) zones: Vec<ZoneConfig>,
    /// A zone on another S3, behind the others.
    pub(crate) remote: Option<RemoteConfig>,
    /// How often bodies are kept.
    pub(crate) copies: CopiesConfig,
    /// Who is told of events, and how many events wait.
    pub(crate) events: EventsConfig,
    /// How issuers of OIDC tokens are asked for their keys.
    pub(crate) oidc: FetcherOptions,
    /// How server access logs are written.
    pub(crate) access_logs: LogOptions,
    /// Where catalog and keys are backed up to, if anywhere.
    pub(crate) backup: Option<Plan>,
    /// Vaults, where there are to be any.
    pub(crate) vaults: Option<VaultConfig>,
    /// What classes cost.
    pub(crate) prices: Prices,
    /// What is logged.
    pub(crate) log: Log,
}

/// The least memory for bodies: what any one may hold finds room in it.
const BODIES_MIN: ByteCount = ByteCount::mib(128);
/// The smallest segment file.
const SEGMENT_MIN: ByteCount = ByteCount::mib(16);
/// The same where the disk decides.
const SEGMENT_MIN_BY_DISK: ByteCount = ByteCount::mib(4);
/// What segment files are on disks of 16 GiB and more.
const SEGMENT_MAX: ByteCount = ByteCount::mib(256);

/// The size of segment files that suits a disk of `total` bytes: a 64th of it, so that the few files which are open, spare or
/// kept for deletes leave room for objects; a power of two from 4 to 256 MiB.
pub(crate) fn segment_for(total: ByteCount) -> ByteCount {
    let share = (total.get() / 64).clamp(SEGMENT_MIN_BY_DISK.get(), SEGMENT_MAX.get());
    ByteCount::new(1 << share.ilog2())
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    /// A filter: `info`, `warn,web=debug`; none where nobody said one.
    pub(crate) filter: Option<String>,
    /// How lines look.
    pub(crate) format: LogFormat,
}

impl Log {
    /// The filter that counts: everything from `info` on, but no line for each request where people read it on a terminal and
    /// asked for no other.
    pub(crate) fn filter_on(&self, is_terminal: bool) -> String {
        match &self.filter {
            Some(filter) => filter.clone(),
            None if is_terminal => format!("{LEVEL},{}=off", web::ACCESS_LINES),
            None => LEVEL.to_owned(),
        }
    }
}

/// The level where nobody said one.
const LEVEL: &str = "info";

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people on a terminal, JSON otherwise.
    Auto,
    Json,
    People,
}

/// What the command line and `FIRN_*` variables say; it wins over the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    pub(crate) http: Option<SocketAddr>,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) insecure_http: bool,
    pub(crate) tls: bool,
    pub(crate) tls_certificate: Option<PathBuf>,
    pub(crate) tls_key: Option<PathBuf>,
    pub(crate) log: Option<String>,
    pub(crate) region: Option<String>,
}

/// A size as the file takes it.
fn written(size: ByteCount) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let whole = units.into_iter().find(|(_, shift)| size.get().trailing_zeros() >= *shift && size.get() > 0);
    whole.map_or_else(|| size.get().to_string(), |(unit, shift)| format!("{}{unit}", size.get() >> shift))
}

/// Reads, validates and merges.
pub(crate) fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Config, Failure> {
    let (mut raw, name) = match file {
        None => (Raw::default(), PathBuf::from("the defaults")),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Failure::usage(format!("read the configuration {}: {error}", path.display()))
            })?;
            (parse(&text, path)?, path.to_owned())
        }
    };
    let tls = std::mem::take(&mut raw.tls);
    let mut config = validate(raw, &name)?;
    config.tls = tls::wish(tls, overrides, &|key, why| bad(&name, key, &why))?;
    config.http = overrides.http.unwrap_or(config.http);
    config.admin = overrides.admin.unwrap_or(config.admin);
    config.insecure_http |= overrides.insecure_http;
    if let Some(filter) = &overrides.log {
        config.log.filter = Some(filter.clone());
    }
    if let Some(region) = &overrides.region {
        check_region(region).map_err(|why| Failure::usage(format!("read FIRN_REGION: {why}")))?;
        config.region = Some(region.clone());
    }
    check_filter(&config.log.filter_on(false))
        .map_err(|why| Failure::usage(format!("read the log level (--log, FIRN_LOG, log.level): {why}")))?;
    refuse_one_address(&config)?;
    refuse_plain_beyond_loopback(&config)?;
    Ok(config)
}

/// Both doors can be given one address, and the second of them can't listen there. Port 0 is another one each time.
fn refuse_one_address(config: &Config) -> Result<(), Failure> {
    let (http, admin) = (config.http, config.admin);
    let covers = |all: std::net::IpAddr, one: std::net::IpAddr| {
        all == one || (all.is_unspecified() && (all.is_ipv6() || one.is_ipv4()))
    };
    let one = covers(http.ip(), admin.ip()) || covers(admin.ip(), http.ip());
    if !one || http.port() != admin.port() || http.port() == 0 {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "listen on {http} for S3 and on {admin} for the admin door: that is one address"
    ))
    .hint("give each door a port of its own: --http and --admin, or http.listen and admin.listen"))
}

fn parse(text: &str, path: &Path) -> Result<Raw, Failure> {
    let refused = |at: Option<Range<usize>>, why: &str| {
        let line = at.map_or(0, |span| text[..span.start].matches('\n').count() + 1);
        Failure::usage(format!("read the configuration {}, line {line}: {}", path.display(), why.trim()))
    };
    let raw: Raw =
        toml::from_str(text).map_err(|error| refused(error.span(), &in_words(error.message().trim())))?;
    match raw.class.misplaced() {
        Some((at, why)) => Err(refused(Some(at), &why)),
        None => Ok(raw),
    }
}

/// What the reader calls by a type's name is a section of the file.
fn in_words(said: &str) -> String {
    let Some((before, after)) = said.split_once("expected struct ") else { return said.to_owned() };
    let name = after.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let mut key = String::new();
    for (at, c) in name.char_indices() {
        if at > 0 && c.is_uppercase() {
            key.push('-');
        }
        key.push(c.to_ascii_lowercase());
    }
    format!("{before}expected a section with keys of its own, [{key}]{}", &after[name.len()..])
}

fn bad(file: &Path, key: &str, why: &str) -> Failure {
    Failure::usage(format!("use {key} in {}: {why}", file.display()))
}

fn validate(raw: Raw, file: &Path) -> Result<Config, Failure> {
    let bad = |key: &str, why: String| bad(file, key, &why);
    let size = |key: &str, text: Option<String>, default: ByteCount, range: (ByteCount, ByteCount)| {
        let Some(text) = text else { return Ok(default) };
        let bytes = ByteCount::new(parse_size(&text).map_err(|why| bad(key, why))?);
        if bytes < range.0 || bytes > range.1 {
            return Err(bad(key, format!("{text} is not from {} to {}", written(range.0), written(range.1))));
        }
        Ok(bytes)
    };
    let domains = raw.http.base_domains;
    let base = web::Config::default();
    let drain = raw.http.drain.map_or(Ok(Duration::from_secs(30)), |text| {
        let drain = parse_duration(&text).map_err(|why| bad("http.drain", why))?;
        if drain > Duration::from_mins(10) {
            return Err(bad("http.drain", format!("{text} is not in 0s..=10m")));
        }
        Ok(drain)
    })?;
    let connections_max = connections(raw.http.connections, base.limits.connections_max, &bad)?;
    if let Some(region) = &raw.region {
        check_region(region).map_err(|why| bad("region", why))?;
    }
    let websites = raw.http.website_domains;
    for (key, domains) in [("http.base-domains", &domains), ("http.website-domains", &websites)] {
        for domain in domains.iter().flatten() {
            check_domain(domain).map_err(|why| bad(key, why))?;
        }
    }
    let format = log_format(raw.log.format.as_deref(), &bad)?;
    let (far, near) = raw.zone.into_iter().partition(remote::is_remote);
    let zones = zones::zones(near, raw.pool.directory.as_deref(), &bad)?;
    let events = topics::events(raw.topic, &raw.events, &bad)?;
    Ok(Config {
        events,
        oidc: oidc::oidc(raw.oidc, &bad)?,
        access_logs: access_logs(raw.access_logs.every.as_deref(), &bad)?,
        copies: zones::copies(&raw.copies, &zones, &bad)?,
        remote: remote::remote(far, &zones, &bad)?,
        zones,
        region: raw.region,
        new_bucket_ownership: ownership(raw.new_bucket_ownership.as_deref(), &bad)?,
        http: address(("http.listen", raw.http.listen), base.http, &bad)?,
        admin: address(("admin.listen", raw.admin.listen), base.admin, &bad)?,
        insecure_http: raw.http.insecure,
        tls: Wish::Off,
        base_domains: domains.unwrap_or(base.base_domains),
        website_domains: websites.unwrap_or(base.website_domains),
        legacy_forms: if raw.http.legacy_form_signatures { LegacyForms::Taken } else { LegacyForms::Refused },
        connections_max,
        bodies_max: match raw.http.bodies {
            None => None,
            text => Some(size("http.bodies", text, BODIES_MIN, (BODIES_MIN, ByteCount::gib(1024)))?),
        },
        drain,
        cache: size(
            "engine.cache",
            raw.engine.cache,
            ByteCount::mib(64),
            (ByteCount::mib(8), ByteCount::gib(1024)),
        )?,
        segment: match raw.engine.segment {
            None => None,
            text => Some(size("engine.segment", text, SEGMENT_MAX, (SEGMENT_MIN, ByteCount::gib(1)))?),
        },
        pool_dir: raw.pool.directory.map_or(Ok(None), |dir| {
            if dir.is_absolute() {
                Ok(Some(dir))
            } else {
                Err(bad("pool.directory", format!("{} is not an absolute path", dir.display())))
            }
        })?,
        backup: backup(raw.backup, &bad)?,
        vaults: vaults::vaults(&raw.vault, raw.medium, &bad)?,
        prices: prices::prices(raw.price, &raw.class),
        log: Log { filter: raw.log.level, format },
    })
}

fn connections(
    said: Option<u64>,
    default: usize,
    bad: &dyn Fn(&str, String) -> Failure,
) -> Result<usize, Failure> {
    let Some(said) = said else { return Ok(default) };
    let within = usize::try_from(said).ok().filter(|most| (1..=100_000).contains(most));
    within.ok_or_else(|| bad("http.connections", format!("{said} is not in 1..=100000")))
}

fn address(
    (key, text): (&str, Option<String>),
    default: SocketAddr,
    bad: &dyn Fn(&str, String) -> Failure,
) -> Result<SocketAddr, Failure> {
    let read = |text: String| parse_address(&text).map_err(|why| bad(key, format!("{text:?}: {why}")));
    text.map_or(Ok(default), read)
}

fn log_format(name: Option<&str>, bad: &dyn Fn(&str, String) -> Failure) -> Result<LogFormat, Failure> {
    match name {
        None | Some("auto") => Ok(LogFormat::Auto),
        Some("json") => Ok(LogFormat::Json),
        Some("people") => Ok(LogFormat::People),
        Some(other) => Err(bad("log.format", format!("{other:?} is none of \"auto\", \"json\", \"people\""))),
    }
}

/// At least a second, so that each request does not become an object; at most a day, for a kill loses what waits.
fn access_logs(every: Option<&str>, bad: &dyn Fn(&str, String) -> Failure) -> Result<LogOptions, Failure> {
    let Some(text) = every else { return Ok(LogOptions::default()) };
    let every = parse_duration(text).map_err(|why| bad("access-logs.every", why))?;
    if !(Duration::from_secs(1)..=Duration::from_hours(24)).contains(&every) {
        return Err(bad("access-logs.every", format!("{text} is not in 1s..=24h")));
    }
    Ok(LogOptions { every })
}

fn ownership(name: Option<&str>, bad: &dyn Fn(&str, String) -> Failure) -> Result<ObjectOwnership, Failure> {
    match name {
        None | Some("bucket-owner-enforced") => Ok(ObjectOwnership::BucketOwnerEnforced),
        Some("bucket-owner-preferred") => Ok(ObjectOwnership::BucketOwnerPreferred),
        Some("object-writer") => Ok(ObjectOwnership::ObjectWriter),
        Some(other) => {
            let allowed = "\"bucket-owner-enforced\", \"bucket-owner-preferred\", \"object-writer\"";
            Err(bad("new-bucket-ownership", format!("{other:?} is none of {allowed}")))
        }
    }
}

fn backup(raw: raw::Backup, bad: &dyn Fn(&str, String) -> Failure) -> Result<Option<Plan>, Failure> {
    let Some(target) = raw.target else {
        let orphan = [
            ("every", raw.every.is_some()),
            ("endpoint", raw.endpoint.is_some()),
            ("profile", raw.profile.is_some()),
            ("credentials-file", raw.credentials_file.is_some()),
            ("ca-bundle", raw.ca_bundle.is_some()),
        ];
        return match orphan.into_iter().find(|(_, there)| *there) {
            Some((key, _)) => Err(bad(&format!("backup.{key}"), "there is no backup.target".to_owned())),
            None => Ok(None),
        };
    };
    let raw::Backup { every, endpoint, profile, credentials_file, ca_bundle, .. } = raw;
    let access = Access { endpoint, profile, ca_bundle, credentials_file, region: None };
    let destination = Destination::parse(&target, access).map_err(|why| bad("backup.target", why))?;
    let text = every.unwrap_or_else(|| "24h".to_owned());
    let every = parse_duration(&text).map_err(|why| bad("backup.every", why))?;
    if !(Duration::from_mins(1)..=Duration::from_hours(24 * 31)).contains(&every) {
        return Err(bad("backup.every", format!("{text} is not in 1m..=31d")));
    }
    Ok(Some(Plan { destination, every }))
}

fn check_region(region: &str) -> Result<(), String> {
    let fine = (1..=32).contains(&region.len())
        && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if fine { Ok(()) } else { Err(format!("{region:?} is not 1..=32 of a-z, 0-9 and -")) }
}

fn check_domain(domain: &str) -> Result<(), String> {
    let fine = (1..=253).contains(&domain.len())
        && domain
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte));
    if fine { Ok(()) } else { Err(format!("{domain:?} is not a lower-case host name without port")) }
}

/// A filter is read by the logger in such a way that each word is one: what is no level and names no target with one would be a
/// target of its own, and all else silent.
fn check_filter(filter: &str) -> Result<(), String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let is_level = |text: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(text));
    // Values of fields may have commas: such a filter is the logger's to judge.
    for part in filter.split(',').filter(|_| !filter.contains('{')) {
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level).trim();
        if !is_level(level) {
            return Err(format!(
                "{level:?} in {filter:?} is no level (off, error, warn, info, debug, trace); a part of the server has its own as \
                 NAME=LEVEL, like info,web=debug"
            ));
        }
    }
    filter.parse::<tracing_subscriber::EnvFilter>().map(drop).map_err(|error| {
        format!("{filter:?} is no level (error, warn, info, debug, trace) or filter: {error}")
    })
}

fn refuse_plain_beyond_loopback(config: &Config) -> Result<(), Failure> {
    if config.insecure_http || config.tls != Wish::Off {
        return Ok(());
    }
    for (flag, addr) in [("--http", config.http), ("--admin", config.admin)] {
        if !addr.ip().is_loopback() {
            return Err(Failure::usage(format!("listen on {flag} {addr}: it is not loopback, and there is no TLS"))
                .hint("give it TLS with --tls (a certificate of the appliance's own) or --tls-certificate and --tls-key, listen on 127.0.0.1, or accept plain text with --insecure-http"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
