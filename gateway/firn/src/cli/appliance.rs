//! Verbs of one appliance: it is served, watched, backed up and rebuilt.

use super::options::{AdminDir, BucketName, Dir, Remote};
use super::uri::S3Uri;
use crate::config::Overrides;
use crate::text::{parse_address, parse_duration, parse_size};
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// `firn server`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Server {
    /// The appliance's directory; made, with mode 0700, if it is not there.
    #[arg(value_name = "DIR", env = "FIRN_DIR", hide_env_values = true)]
    pub(crate) dir: PathBuf,
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE", env = "FIRN_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
    /// Where S3 listens [default: 127.0.0.1:9000]; port 0 takes a free one, written to DIR/run/http.addr.
    #[arg(long, value_name = "ADDR", env = "FIRN_HTTP", hide_env_values = true, value_parser = parse_address)]
    pub(crate) http: Option<SocketAddr>,
    /// Where probes, metrics and the admin API listen [default: 127.0.0.1:9001].
    #[arg(long, value_name = "ADDR", env = "FIRN_ADMIN", hide_env_values = true, value_parser = parse_address)]
    pub(crate) admin: Option<SocketAddr>,
    /// Speak TLS, with a certificate from a CA of the appliance's own, in DIR/tls (admin beyond loopback alone).
    #[arg(long, env = "FIRN_TLS", hide_env_values = true)]
    pub(crate) tls: bool,
    /// Speak TLS with this certificate: a PEM file with its chain.
    #[arg(long, value_name = "FILE", env = "FIRN_TLS_CERTIFICATE", hide_env_values = true)]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// The key that goes with it, in PEM.
    #[arg(long, value_name = "FILE", env = "FIRN_TLS_KEY", hide_env_values = true)]
    pub(crate) tls_key: Option<PathBuf>,
    /// Where NBD listens; not in this version.
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub(crate) nbd: Option<SocketAddr>,
    /// Where iSCSI listens; not in this version.
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub(crate) iscsi: Option<SocketAddr>,
    /// Let every calendar day last so long, for rehearsals; only at an appliance's first start.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) debug_day: Option<Duration>,
    /// Allow addresses other than loopback without TLS: what is sent can then be read on the way.
    #[arg(long, env = "FIRN_INSECURE_HTTP", hide_env_values = true)]
    pub(crate) insecure_http: bool,
    /// Give up for good what a start was refused for: commits sealed to another recovery key than it was recovered with, those of a
    /// newer catalog than the one that is there, or what only a zone's copy of it knows; said once.
    #[arg(long)]
    pub(crate) accept_loss: bool,
    /// What is logged: error, warn, info, debug, trace, or a filter like info,web=debug [default: info, on a terminal without a line
    /// for each request].
    #[arg(long, value_name = "FILTER", env = "FIRN_LOG", hide_env_values = true)]
    pub(crate) log: Option<String>,
    /// Never print a new secret, not even to a terminal.
    #[arg(long)]
    pub(crate) no_secret: bool,
}

impl Server {
    /// What they say where the configuration file may say something, too.
    pub(crate) fn overrides(&self, quiet: bool) -> Overrides {
        Overrides {
            http: self.http,
            admin: self.admin,
            insecure_http: self.insecure_http,
            tls: self.tls,
            tls_certificate: self.tls_certificate.clone(),
            tls_key: self.tls_key.clone(),
            log: self.log.clone().filter(|log| !log.is_empty()).or_else(|| quiet.then(|| "warn".to_owned())),
            region: std::env::var(REGION).ok(),
        }
    }
}

/// The region of a new appliance; it has no flag.
const REGION: &str = "FIRN_REGION";

/// The variables that say what a server runs with, and win over the configuration file.
pub(crate) const SERVER_VARIABLES: [&str; 8] = [
    "FIRN_HTTP",
    "FIRN_ADMIN",
    "FIRN_TLS",
    "FIRN_TLS_CERTIFICATE",
    "FIRN_TLS_KEY",
    "FIRN_INSECURE_HTTP",
    "FIRN_LOG",
    REGION,
];

/// The variables that verbs read besides.
pub(crate) const OTHER_VARIABLES: [&str; 5] =
    ["FIRN_DIR", "FIRN_CONFIG", "FIRN_ADMIN_URL", "FIRN_ADMIN_TOKEN_FILE", "FIRN_ADDRESSING_STYLE"];

/// What comes sooner would keep the admin door busy with nothing else.
fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text)?;
    if interval < Duration::from_millis(100) {
        Err(format!("{text} is less than 100ms"))
    } else {
        Ok(interval)
    }
}

/// `firn top`.
#[derive(Debug, Args)]
pub(crate) struct Top {
    #[command(flatten)]
    pub(crate) admin: AdminDir,
    /// Print once and end.
    #[arg(long)]
    pub(crate) once: bool,
    /// How long between two looks; 100ms at the least.
    #[arg(long, value_name = "DURATION", value_parser = parse_interval, default_value = "2s")]
    pub(crate) interval: Duration,
}

/// `firn backup`.
#[derive(Debug, Subcommand)]
pub(crate) enum Backup {
    /// Take a base now, instead of waiting for the schedule.
    Now(AdminDir),
    /// Make a new recovery key, print it this once, and seal everything to it from now on.
    Key(Dir),
}

/// `firn zone`.
#[derive(Debug, Subcommand)]
pub(crate) enum Zone {
    /// List the zones of a running appliance, with their state, bytes and room.
    Ls(AdminDir),
    /// Add a zone to the configuration file; from the next start on it gets its copies.
    Add(ZoneAdd),
    /// Take a zone out of use: nothing new is written to it, and what it holds is copied elsewhere (firn zone ls tells how far).
    Drain(ZoneName),
    /// Take a zone that drains back into use.
    Use(ZoneName),
    /// Accept the empty disks of a zone in the place of those that were lost, while no server runs; its copies are made again from
    /// the next start on.
    Replace(ZoneReplace),
}

/// A zone of a running appliance.
#[derive(Debug, Args)]
pub(crate) struct ZoneName {
    /// The zone's name, as the configuration has it.
    #[arg(value_name = "ZONE")]
    pub(crate) zone: String,
    #[command(flatten)]
    pub(crate) admin: AdminDir,
}

/// `firn zone add`.
#[derive(Debug, Args)]
pub(crate) struct ZoneAdd {
    /// The new zone's name, 1 to 32 of a-z, 0-9 and -; it is kept for ever.
    #[arg(value_name = "ZONE")]
    pub(crate) zone: String,
    #[command(flatten)]
    pub(crate) at: Dir,
    /// Where its copies are to lie, absolute: an empty directory on a disk of its own. May be given again, for a zone that spans
    /// disks.
    #[arg(long = "directory", value_name = "DIRECTORY", required = true)]
    pub(crate) directories: Vec<PathBuf>,
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE", env = "FIRN_CONFIG", hide_env_values = true)]
    pub(crate) config: PathBuf,
    /// Only print what would be done.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `firn zone replace`.
#[derive(Debug, Args)]
pub(crate) struct ZoneReplace {
    /// The zone's name, as the configuration has it.
    #[arg(value_name = "ZONE")]
    pub(crate) zone: String,
    /// Its server must not run.
    #[command(flatten)]
    pub(crate) at: Dir,
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE", env = "FIRN_CONFIG", hide_env_values = true)]
    pub(crate) config: PathBuf,
}

/// `firn lock`.
#[derive(Debug, Subcommand)]
pub(crate) enum Lock {
    /// List the buckets with versions that are held since a recovery, because what was done to their locks just before is not
    /// known.
    Ls(AdminDir),
    /// Release those of one bucket, all at once. Legal holds and dates that are known stay.
    Release(LockRelease),
}

/// `firn lock release`.
#[derive(Debug, Args)]
pub(crate) struct LockRelease {
    #[command(flatten)]
    pub(crate) bucket: BucketName,
    #[command(flatten)]
    pub(crate) admin: AdminDir,
    /// Do it; without, it only says how many versions it would release, and ends with 2.
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `firn quota`.
#[derive(Debug, Subcommand)]
pub(crate) enum Quota {
    /// Limit what a bucket, or a prefix of it, may hold; one that is set already is replaced.
    Set(QuotaSet),
    /// List quotas, with what counts against them.
    Ls(QuotaList),
    /// Take a quota away.
    Rm(QuotaRemove),
}

/// `firn dedup`.
#[derive(Debug, Subcommand)]
pub(crate) enum Dedup {
    /// Deduplicate what is written to a bucket from now on; what is there stays as it is.
    On(DedupBucket),
    /// Store what is written to a bucket from now on as it comes; what is deduplicated stays so.
    Off(DedupBucket),
    /// List the buckets with deduplication, and what it saves.
    Ls(DedupList),
}

/// `firn dedup on` and `off`.
#[derive(Debug, Args)]
pub(crate) struct DedupBucket {
    #[command(flatten)]
    pub(crate) bucket: BucketName,
    #[command(flatten)]
    pub(crate) admin: QuotaAdmin,
}

/// `firn dedup ls`.
#[derive(Debug, Args)]
pub(crate) struct DedupList {
    /// Only this bucket: s3://NAME.
    #[arg(value_name = "S3URI")]
    pub(crate) place: Option<S3Uri>,
    #[command(flatten)]
    pub(crate) admin: QuotaAdmin,
}

/// The appliance that a quota, or deduplication, is of.
#[derive(Debug, Args)]
pub(crate) struct QuotaAdmin {
    /// The appliance's directory [default: FIRN_ADMIN_URL and FIRN_ADMIN_TOKEN_FILE, else ./data].
    #[arg(
        long,
        value_name = "DIR",
        env = "FIRN_DIR",
        hide_env_values = true,
        value_parser = OsStringValueParser::new().map(PathBuf::from)
    )]
    dir: Option<PathBuf>,
}

impl QuotaAdmin {
    pub(crate) fn dir(&self) -> AdminDir {
        AdminDir { dir: self.dir.clone() }
    }
}

/// How much may be stored.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct QuotaAmounts {
    /// Bytes of all versions below it, as 10GiB.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) bytes: Option<u64>,
    /// Versions below it; delete markers are none.
    #[arg(long, value_name = "N")]
    pub(crate) objects: Option<u64>,
}

/// `firn quota set`.
#[derive(Debug, Args)]
pub(crate) struct QuotaSet {
    /// A bucket, s3://NAME, or the keys of it that begin with a prefix, s3://NAME/PREFIX.
    #[arg(value_name = "S3URI")]
    pub(crate) place: S3Uri,
    #[command(flatten)]
    pub(crate) limits: QuotaAmounts,
    /// How full, in percent, it is warned about.
    #[arg(long, value_name = "PERCENT", default_value_t = 80, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) warn: u8,
    #[command(flatten)]
    pub(crate) admin: QuotaAdmin,
}

/// `firn quota ls`.
#[derive(Debug, Args)]
pub(crate) struct QuotaList {
    /// Only those of a bucket, s3://NAME, or at and below a prefix of it, s3://NAME/PREFIX.
    #[arg(value_name = "S3URI")]
    pub(crate) place: Option<S3Uri>,
    #[command(flatten)]
    pub(crate) admin: QuotaAdmin,
}

/// `firn quota rm`.
#[derive(Debug, Args)]
pub(crate) struct QuotaRemove {
    /// The bucket, s3://NAME, or the prefix, s3://NAME/PREFIX, exactly as it was set.
    #[arg(value_name = "S3URI")]
    pub(crate) place: S3Uri,
    #[command(flatten)]
    pub(crate) admin: QuotaAdmin,
}

/// `firn recover`.
#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// The data directory to rebuild; it must not hold an appliance.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Where the backup is: an absolute path, or s3://BUCKET/PREFIX (at --endpoint, with --profile).
    #[arg(long, value_name = "TARGET", required_unless_present = "from_zone")]
    pub(crate) from: Option<String>,
    /// In the place of a backup, a zone that has the catalog's copy (copies.catalog): its first directory. No server may run on it.
    #[arg(long, value_name = "DIRECTORY", conflicts_with_all = ["from", "key", "base", "life", "credentials_file"])]
    pub(crate) from_zone: Option<PathBuf>,
    /// A file with the recovery key; `-` reads it from standard input. Given several times, each file takes the key that opens it.
    #[arg(long, value_name = "FILE", required_unless_present = "from_zone")]
    pub(crate) key: Vec<PathBuf>,
    /// The version of the base to begin with, where the newest one is damaged: the refusal names the one before it.
    #[arg(long, value_name = "VERSION")]
    pub(crate) base: Option<u64>,
    /// The life of the backup to take, where the newest one is not the appliance's own: a refusal and what a recovery says name them.
    #[arg(long, value_name = "LIFE")]
    pub(crate) life: Option<String>,
    /// An AWS credentials file for an S3 target [default: as for every other verb].
    #[arg(long, value_name = "FILE")]
    pub(crate) credentials_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) at: Remote,
}

/// `firn config`.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Check a configuration file, and show what the server would run with.
    Check {
        /// The configuration file (TOML).
        #[arg(value_name = "FILE", env = "FIRN_CONFIG", hide_env_values = true)]
        file: PathBuf,
    },
}

/// `firn completions`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    pub(crate) shell: clap_complete::Shell,
}

/// `firn man`.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// A verb, and one of its own: quota set; firn itself when left out. To read it: firn man VERB | man -l -
    #[arg(value_name = "VERB")]
    pub(crate) verb: Vec<String>,
}
