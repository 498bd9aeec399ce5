//! Verbs of buckets and objects, at any S3 endpoint.

use super::options::{AdminDir, BucketName, ObjectVersion, TransferOptions};
use super::uri::{Location, S3Uri};
use crate::text::{ByteRange, parse_duration};
use clap::Args;
use std::time::Duration;

/// `firn mb`.
#[derive(Debug, Args)]
pub(crate) struct Mb {
    #[command(flatten)]
    pub(crate) bucket: BucketName,
    /// Keep old versions from the start.
    #[arg(long)]
    pub(crate) versioning: bool,
}

/// `firn rb`.
#[derive(Debug, Args)]
pub(crate) struct Rb {
    #[command(flatten)]
    pub(crate) bucket: BucketName,
    /// Remove everything in it first, old versions included.
    #[arg(long)]
    pub(crate) force: bool,
    /// Only print what would be removed.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `firn ls`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Ls {
    /// A bucket, or a key and what lies below it: s3://NAME/KEY; all buckets when left out.
    #[arg(value_name = "S3URI")]
    pub(crate) target: Option<S3Uri>,
    /// Everything below, not only the next level.
    #[arg(long, short)]
    pub(crate) recursive: bool,
    /// All keys that begin with the name, those of other directories too.
    #[arg(long)]
    pub(crate) prefix: bool,
    /// Old versions and delete markers too.
    #[arg(long)]
    pub(crate) versions: bool,
    /// Instead of objects, uploads that were begun and not completed, with what their parts hold.
    #[arg(long, conflicts_with_all = ["versions", "recursive"], requires = "target")]
    pub(crate) uploads: bool,
}

/// `firn cp`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
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
    /// Make one object of each entry of the source, a tar (plain, gzip or zstd), below the target: all or none.
    #[arg(long, conflicts_with_all = ["recursive", "version_id", "dry_run"])]
    pub(crate) extract: bool,
    /// With --extract: leave out and list the entries that are refused.
    #[arg(long, requires = "extract")]
    pub(crate) skip_refused: bool,
    /// A version of the source object other than the latest; copied onto its own key it is the latest again.
    #[arg(long, value_name = "ID", conflicts_with = "recursive")]
    pub(crate) version_id: Option<String>,
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
#[command(group(clap::ArgGroup::new("many").args(["recursive", "uploads"])))]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Rm {
    /// An object, or with -r a directory: s3://NAME/KEY.
    #[arg(value_name = "S3URI")]
    pub(crate) target: S3Uri,
    /// The key and everything below KEY/; the whole bucket where no key is named.
    #[arg(long, short)]
    pub(crate) recursive: bool,
    /// With -r or --uploads: all keys that begin with the name, those of other directories too.
    #[arg(long, requires = "many")]
    pub(crate) prefix: bool,
    /// One version, for good; of a delete marker it brings the key back.
    #[arg(long, value_name = "ID", conflicts_with_all = ["recursive", "versions"])]
    pub(crate) version_id: Option<String>,
    /// All versions and delete markers, for good.
    #[arg(long)]
    pub(crate) versions: bool,
    /// Instead of objects, uploads that were begun and not completed: those of the key and of all below it.
    #[arg(long, conflicts_with_all = ["versions", "version_id", "recursive"])]
    pub(crate) uploads: bool,
    /// Only print what would be removed.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `firn undelete`.
#[derive(Debug, Args)]
pub(crate) struct Undelete {
    /// An object, or with -r a directory: s3://NAME/KEY.
    #[arg(value_name = "S3URI")]
    pub(crate) target: S3Uri,
    /// The key and everything below KEY/; the whole bucket where no key is named.
    #[arg(long, short)]
    pub(crate) recursive: bool,
    /// With -r: all keys that begin with the name, those of other directories too.
    #[arg(long, requires = "recursive")]
    pub(crate) prefix: bool,
    /// Only print what would come back.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// How soon an archived object is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum RestoreTier {
    /// Within minutes, where there is room; not of `DEEP_ARCHIVE`.
    Expedited,
    /// Within hours.
    Standard,
    /// When it is cheapest, within a day or two.
    Bulk,
}

impl RestoreTier {
    /// As S3 writes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Expedited => "Expedited",
            Self::Standard => "Standard",
            Self::Bulk => "Bulk",
        }
    }
}

/// `firn restore`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Restore {
    /// An object, or with -r a directory: s3://NAME/KEY.
    #[arg(value_name = "S3URI", required_unless_present_any = ["status", "cancel"])]
    pub(crate) target: Option<S3Uri>,
    /// The key and everything below KEY/; the whole bucket where no key is named. Of a firn it is one job, which goes on by itself.
    #[arg(long, short)]
    pub(crate) recursive: bool,
    /// With -r: all keys that begin with the name, those of other directories too.
    #[arg(long, requires = "recursive")]
    pub(crate) prefix: bool,
    /// A version other than the latest.
    #[arg(long, value_name = "ID", conflicts_with = "recursive")]
    pub(crate) version_id: Option<String>,
    /// How soon; with -r, what has no such tier gets the fastest that it has.
    #[arg(long, value_enum, default_value = "standard")]
    pub(crate) tier: RestoreTier,
    /// How many days they can be read, from when they are there; of those that are, from now.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) days: u32,
    /// Come back when they can be read.
    #[arg(long)]
    pub(crate) wait: bool,
    /// Only print how many would be asked for.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// With -r: ask for nothing, and say how much there is of each class, how long it takes, and which media are to be brought.
    #[arg(long, requires = "recursive", conflicts_with_all = ["dry_run", "wait"])]
    pub(crate) estimate: bool,
    /// List the jobs of a bucket, or of what begins with the name.
    #[arg(long, conflicts_with_all = ["recursive", "version_id", "wait", "dry_run"])]
    pub(crate) jobs: bool,
    /// Show a job: NAME/ID, as -r has named it; with --wait, until it has ended.
    #[arg(long, value_name = "JOB", conflicts_with_all = ["target", "recursive", "version_id", "dry_run"])]
    pub(crate) status: Option<String>,
    /// End a job: it asks for nothing more, and what it asked for comes.
    #[arg(long, value_name = "JOB", conflicts_with_all = ["target", "recursive", "version_id", "wait", "dry_run", "status"])]
    pub(crate) cancel: Option<String>,
}

/// `firn sync`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
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
    /// With --delete: go on where the source is empty, and so empty the target.
    #[arg(long, requires = "delete")]
    pub(crate) allow_empty: bool,
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
    /// A bucket, or a key and what lies below it: s3://NAME/KEY.
    #[arg(value_name = "S3URI")]
    pub(crate) target: S3Uri,
    /// All keys that begin with the name, those of other directories too.
    #[arg(long)]
    pub(crate) prefix: bool,
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
    #[command(flatten)]
    pub(crate) object: ObjectVersion,
    /// Only these bytes: FIRST-LAST, FIRST- or -COUNT from the end.
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    pub(crate) range: Option<ByteRange>,
}

/// `firn share`.
#[derive(Debug, Args)]
pub(crate) struct Share {
    #[command(flatten)]
    pub(crate) object: ObjectVersion,
    /// How long the link lives; at most 7d.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "1h")]
    pub(crate) expires: Duration,
}

/// `firn where`.
#[derive(Debug, Args)]
pub(crate) struct Where {
    #[command(flatten)]
    pub(crate) object: ObjectVersion,
    #[command(flatten)]
    pub(crate) admin: AdminDir,
}
