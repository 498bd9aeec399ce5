//! The command line: what can be said, before anything is done.
//!
//! Every verb but `server` is a client. Results go to stdout, narration and progress to stderr.

#![expect(clippy::doc_markdown, reason = "the texts are read on a terminal, as they are")]

mod uri;

pub(crate) use uri::{Location, S3Uri};

use crate::exit;
use crate::text::{parse_duration, parse_size};
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What was said.
#[derive(Debug, Parser)]
#[command(name = "firn", version, about = "A storage appliance in one binary", after_help = exit::HELP, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Options that every verb takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// Print the result as JSON: one document, or one a line where there is a list.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The S3 endpoint [default: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, then AWS itself].
    #[arg(long, global = true, value_name = "URL", help_heading = "Connection")]
    pub(crate) endpoint: Option<String>,
    /// The profile in the credentials file [default: AWS_* keys, then AWS_PROFILE, then "default"].
    #[arg(long, global = true, value_name = "NAME", help_heading = "Connection")]
    pub(crate) profile: Option<String>,
    /// The region to sign for [default: AWS_REGION, AWS_DEFAULT_REGION, the profile's, us-east-1].
    #[arg(long, global = true, value_name = "REGION", help_heading = "Connection")]
    pub(crate) region: Option<String>,
    /// Send requests unsigned.
    #[arg(long, global = true, help_heading = "Connection")]
    pub(crate) no_sign_request: bool,
    /// Say nothing on stderr but errors.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Start an appliance on a directory; make it there at the first start.
    Server(Server),
    /// Print what points AWS tools at an appliance: eval "$(firn env DIR)".
    Env(Dir),
    /// Say how an appliance is.
    Status(AdminDir),
    /// Look for faults, and say for each what mends it.
    Doctor(AdminDir),
    /// Watch an appliance at work.
    Top(Top),
    /// Make a bucket.
    Mb(Mb),
    /// Remove a bucket.
    Rb(Rb),
    /// List buckets, objects or versions.
    Ls(Ls),
    /// Copy files and objects, either way or between buckets; `-` is stdin or stdout.
    Cp(Cp),
    /// Move files and objects: copy, then remove the source.
    Mv(Mv),
    /// Remove objects.
    Rm(Rm),
    /// Make a directory or prefix like another; what is the same is skipped.
    Sync(Sync),
    /// Add up the bytes below a prefix.
    Du(Du),
    /// Show what is known about a bucket or an object.
    Stat(Stat),
    /// Write an object's bytes to stdout.
    Cat(Cat),
    /// Make a link that lets others read an object for a while.
    Share(Share),
    /// Say where an object's bytes lie, and why.
    Where(Where),
    /// Look after the backup of catalog and keys.
    #[command(subcommand)]
    Backup(Backup),
    /// Rebuild a lost data directory from its backup.
    Recover(Recover),
    /// Check or show the configuration.
    #[command(subcommand)]
    Config(Config),
    /// Say which firn this is.
    Version,
    /// Print a completion script for a shell.
    Completions(Completions),
    /// Print the manual page, of firn or of one verb.
    Man(Man),
}

/// `firn server`.
#[derive(Debug, Args)]
pub(crate) struct Server {
    /// The appliance's directory; made, with mode 0700, if it is not there.
    #[arg(value_name = "DIR", env = "FIRN_DIR", hide_env_values = true)]
    pub(crate) dir: PathBuf,
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE", env = "FIRN_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
    /// Where S3 listens [default: 127.0.0.1:9000]; port 0 takes a free one, written to DIR/run/http.addr.
    #[arg(long, value_name = "ADDR", env = "FIRN_HTTP", hide_env_values = true)]
    pub(crate) http: Option<SocketAddr>,
    /// Where probes, metrics and the admin API listen [default: 127.0.0.1:9001].
    #[arg(long, value_name = "ADDR", env = "FIRN_ADMIN", hide_env_values = true)]
    pub(crate) admin: Option<SocketAddr>,
    /// Where NBD listens; not in this version.
    #[arg(long, value_name = "ADDR")]
    pub(crate) nbd: Option<SocketAddr>,
    /// Where iSCSI listens; not in this version.
    #[arg(long, value_name = "ADDR")]
    pub(crate) iscsi: Option<SocketAddr>,
    /// Let every calendar day last so long, for rehearsals; only at an appliance's first start.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) debug_day: Option<Duration>,
    /// Allow addresses other than loopback without TLS: what is sent can then be read on the way.
    #[arg(long, env = "FIRN_INSECURE_HTTP", hide_env_values = true)]
    pub(crate) insecure_http: bool,
    /// Never print a new secret, not even to a terminal.
    #[arg(long)]
    pub(crate) no_secret: bool,
}

/// An appliance's directory.
#[derive(Debug, Args)]
pub(crate) struct Dir {
    /// The appliance's directory.
    #[arg(value_name = "DIR", env = "FIRN_DIR", hide_env_values = true, default_value = "./data")]
    pub(crate) dir: PathBuf,
}

/// An appliance, by its directory or by its admin address and token.
#[derive(Debug, Args)]
pub(crate) struct AdminDir {
    /// The appliance's directory [default: FIRN_ADMIN_URL and FIRN_ADMIN_TOKEN_FILE, else ./data].
    #[arg(value_name = "DIR", env = "FIRN_DIR", hide_env_values = true)]
    pub(crate) dir: Option<PathBuf>,
}

/// `firn top`.
#[derive(Debug, Args)]
pub(crate) struct Top {
    #[command(flatten)]
    pub(crate) admin: AdminDir,
    /// Print once and end.
    #[arg(long)]
    pub(crate) once: bool,
    /// How long between two looks.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "2s")]
    pub(crate) interval: Duration,
}

/// `firn mb`.
#[derive(Debug, Args)]
pub(crate) struct Mb {
    /// The bucket: s3://NAME.
    #[arg(value_name = "S3URI")]
    pub(crate) bucket: S3Uri,
    /// Keep old versions from the start.
    #[arg(long)]
    pub(crate) versioning: bool,
}

/// `firn rb`.
#[derive(Debug, Args)]
pub(crate) struct Rb {
    /// The bucket: s3://NAME.
    #[arg(value_name = "S3URI")]
    pub(crate) bucket: S3Uri,
    /// Remove everything in it first, old versions included.
    #[arg(long)]
    pub(crate) force: bool,
    /// Only print what would be removed.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `firn ls`.
#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// A bucket or prefix: s3://NAME/PREFIX; all buckets when left out.
    #[arg(value_name = "S3URI")]
    pub(crate) target: Option<S3Uri>,
    /// Everything below, not only the next level.
    #[arg(long, short)]
    pub(crate) recursive: bool,
    /// Old versions and delete markers too.
    #[arg(long)]
    pub(crate) versions: bool,
}

/// What a transfer between places takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct TransferOptions {
    /// How many requests are under way at once.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) jobs: u16,
    /// The smallest size of a part; files larger than two of them go in parts.
    #[arg(long, value_name = "SIZE", default_value = "8MiB", value_parser = parse_size)]
    pub(crate) part_size: u64,
    /// Skip names that match; `*` matches anything, `?` one character. May be given again.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) exclude: Vec<String>,
    /// The storage class of what is written.
    #[arg(long, value_name = "CLASS")]
    pub(crate) storage_class: Option<String>,
    /// Only print what would be done.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `firn cp`.
#[derive(Debug, Args)]
pub(crate) struct Cp {
    /// What to copy: a file, a directory with -r, s3://…, or - for stdin.
    #[arg(value_name = "SOURCE")]
    pub(crate) source: Location,
    /// Where to: a file or directory, s3://…, or - for stdout.
    #[arg(value_name = "TARGET")]
    pub(crate) target: Location,
    /// Everything below the source.
    #[arg(long, short)]
    pub(crate) recursive: bool,
    /// Fail (8) rather than overwrite an object.
    #[arg(long)]
    pub(crate) no_clobber: bool,
    #[command(flatten)]
    pub(crate) options: TransferOptions,
}

/// `firn mv`.
#[derive(Debug, Args)]
pub(crate) struct Mv {
    /// What to move.
    #[arg(value_name = "SOURCE")]
    pub(crate) source: Location,
    /// Where to.
    #[arg(value_name = "TARGET")]
    pub(crate) target: Location,
    /// Everything below the source.
    #[arg(long, short)]
    pub(crate) recursive: bool,
    #[command(flatten)]
    pub(crate) options: TransferOptions,
}

/// `firn rm`.
#[derive(Debug, Args)]
pub(crate) struct Rm {
    /// An object, or a prefix with -r: s3://NAME/KEY.
    #[arg(value_name = "S3URI")]
    pub(crate) target: S3Uri,
    /// Everything that begins with the prefix.
    #[arg(long, short)]
    pub(crate) recursive: bool,
    /// One version, for good.
    #[arg(long, value_name = "ID", conflicts_with_all = ["recursive", "versions"])]
    pub(crate) version_id: Option<String>,
    /// All versions and delete markers, for good.
    #[arg(long)]
    pub(crate) versions: bool,
    /// Only print what would be removed.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `firn sync`.
#[derive(Debug, Args)]
pub(crate) struct Sync {
    /// What it shall be like: a directory or s3://….
    #[arg(value_name = "SOURCE")]
    pub(crate) source: Location,
    /// What is changed: a directory or s3://….
    #[arg(value_name = "TARGET")]
    pub(crate) target: Location,
    /// Remove from the target what the source lacks.
    #[arg(long)]
    pub(crate) delete: bool,
    /// Compare sizes alone.
    #[arg(long, conflicts_with = "checksum")]
    pub(crate) size_only: bool,
    /// Compare contents by MD5 where the size is the same, whatever the times say.
    #[arg(long)]
    pub(crate) checksum: bool,
    #[command(flatten)]
    pub(crate) options: TransferOptions,
}

/// `firn du`.
#[derive(Debug, Args)]
pub(crate) struct Du {
    /// A bucket or prefix: s3://NAME/PREFIX.
    #[arg(value_name = "S3URI")]
    pub(crate) target: S3Uri,
    /// Old versions too.
    #[arg(long)]
    pub(crate) versions: bool,
}

/// `firn stat`.
#[derive(Debug, Args)]
pub(crate) struct Stat {
    /// A bucket or an object: s3://NAME/KEY.
    #[arg(value_name = "S3URI")]
    pub(crate) target: S3Uri,
    /// A version other than the latest.
    #[arg(long, value_name = "ID")]
    pub(crate) version_id: Option<String>,
}

/// `firn cat`.
#[derive(Debug, Args)]
pub(crate) struct Cat {
    /// An object: s3://NAME/KEY.
    #[arg(value_name = "S3URI")]
    pub(crate) target: S3Uri,
    /// A version other than the latest.
    #[arg(long, value_name = "ID")]
    pub(crate) version_id: Option<String>,
    /// Only these bytes: FIRST-LAST, FIRST- or -COUNT from the end.
    #[arg(long, value_name = "RANGE")]
    pub(crate) range: Option<crate::text::ByteRange>,
}

/// `firn share`.
#[derive(Debug, Args)]
pub(crate) struct Share {
    /// An object: s3://NAME/KEY.
    #[arg(value_name = "S3URI")]
    pub(crate) target: S3Uri,
    /// A version other than the latest.
    #[arg(long, value_name = "ID")]
    pub(crate) version_id: Option<String>,
    /// How long the link lives; at most 7d.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "1h")]
    pub(crate) expires: Duration,
}

/// `firn where`.
#[derive(Debug, Args)]
pub(crate) struct Where {
    /// An object: s3://NAME/KEY.
    #[arg(value_name = "S3URI")]
    pub(crate) target: S3Uri,
    /// A version other than the latest.
    #[arg(long, value_name = "ID")]
    pub(crate) version_id: Option<String>,
    #[command(flatten)]
    pub(crate) admin: AdminDir,
}

/// `firn backup`.
#[derive(Debug, Subcommand)]
pub(crate) enum Backup {
    /// Take a base now, instead of waiting for the schedule.
    Now(AdminDir),
    /// Make a new recovery key, print it this once, and seal everything to it from now on.
    Key(Dir),
}

/// `firn recover`.
#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// The data directory to rebuild; it must not hold an appliance.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Where the backup is: an absolute path, or s3://BUCKET/PREFIX (at --endpoint, with --profile).
    #[arg(long, value_name = "TARGET")]
    pub(crate) from: String,
    /// A file with the recovery key; `-` reads it from standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// An AWS credentials file for an S3 target [default: as for every other verb].
    #[arg(long, value_name = "FILE")]
    pub(crate) credentials_file: Option<PathBuf>,
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
    /// A verb; firn itself when left out.
    #[arg(value_name = "VERB")]
    pub(crate) verb: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::{Command, CommandFactory};
    use std::fmt::Write;

    /// The whole tree: every verb's long help at a fixed width.
    fn help(command: &mut Command, path: &str, out: &mut String) {
        writeln!(out, "==== {path}\n{}", command.render_long_help()).unwrap();
        for verb in command.get_subcommands_mut().filter(|verb| verb.get_name() != "help") {
            let path = format!("{path} {}", verb.get_name());
            help(verb, &path, out);
        }
    }

    #[test]
    fn the_help_tree_is_as_reviewed() {
        Cli::command().debug_assert();
        let mut command = Cli::command().term_width(100);
        command.build();
        let mut text = String::new();
        help(&mut command, "firn", &mut text);
        let text: Vec<_> = text.lines().map(str::trim_end).collect();
        insta::assert_snapshot!(text.join("\n"));
    }

    #[test]
    fn the_documentation_names_every_exit_code() {
        let page = include_str!("../../../../docs/cli.md");
        for line in crate::exit::HELP.lines().skip(1) {
            let code = line.split_whitespace().next().unwrap();
            assert!(page.contains(&format!("| {code} |")), "{code}");
        }
    }
}
