//! Groups of options that several verbs take: each is said once, with its text.

use super::uri::S3Uri;
use crate::exit::Failure;
use crate::text::parse_size;
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use client::ObjectRef;
use std::ffi::OsString;
use std::path::PathBuf;

/// An appliance's directory.
#[derive(Debug, Args)]
pub(crate) struct Dir {
    /// The appliance's directory.
    #[arg(
        value_name = "DIR",
        env = "FIRN_DIR",
        hide_env_values = true,
        default_value = "./data",
        value_parser = OsStringValueParser::new().map(or_data)
    )]
    pub(crate) dir: PathBuf,
}

/// An empty variable is as good as none.
fn or_data(text: OsString) -> PathBuf {
    if text.is_empty() { PathBuf::from("./data") } else { text.into() }
}

/// An appliance, by its directory or by its admin address and token.
#[derive(Debug, Args)]
pub(crate) struct AdminDir {
    /// The appliance's directory [default: FIRN_ADMIN_URL and FIRN_ADMIN_TOKEN_FILE, else ./data].
    #[arg(
        value_name = "DIR",
        env = "FIRN_DIR",
        hide_env_values = true,
        value_parser = OsStringValueParser::new().map(PathBuf::from)
    )]
    pub(crate) dir: Option<PathBuf>,
}

impl AdminDir {
    /// The directory, if one is named: an empty variable names none.
    pub(crate) fn named(&self) -> Option<&PathBuf> {
        self.dir.as_ref().filter(|dir| !dir.as_os_str().is_empty())
    }
}

/// Which S3 endpoint, and as whom.
#[derive(Clone, Debug, Args)]
pub(crate) struct Remote {
    /// The S3 endpoint [default: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, then AWS itself].
    #[arg(long, value_name = "URL", help_heading = "Connection")]
    pub(crate) endpoint: Option<String>,
    /// The profile in the credentials file [default: AWS_* keys, then AWS_PROFILE, then "default"].
    #[arg(long, value_name = "NAME", help_heading = "Connection")]
    pub(crate) profile: Option<String>,
    /// A PEM file of the roots to believe instead of the system's [default: AWS_CA_BUNDLE, then the profile's ca_bundle].
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    pub(crate) ca_bundle: Option<PathBuf>,
}

impl Remote {
    /// What it leaves open is as `before` says.
    pub(crate) fn or(self, before: &Self) -> Self {
        Self {
            endpoint: self.endpoint.or_else(|| before.endpoint.clone()),
            profile: self.profile.or_else(|| before.profile.clone()),
            ca_bundle: self.ca_bundle.or_else(|| before.ca_bundle.clone()),
        }
    }
}

/// How to reach an S3 endpoint.
#[derive(Clone, Debug, Args)]
pub(crate) struct Connection {
    #[command(flatten)]
    pub(crate) at: Remote,
    /// The region to sign for [default: AWS_REGION, AWS_DEFAULT_REGION, the profile's, us-east-1].
    #[arg(long, value_name = "REGION", help_heading = "Connection")]
    pub(crate) region: Option<String>,
    /// Send requests unsigned.
    #[arg(long, help_heading = "Connection")]
    pub(crate) no_sign_request: bool,
}

impl Connection {
    /// What it leaves open is as `before` says.
    pub(crate) fn or(self, before: &Self) -> Self {
        Self {
            at: self.at.or(&before.at),
            region: self.region.or_else(|| before.region.clone()),
            no_sign_request: self.no_sign_request || before.no_sign_request,
        }
    }
}

/// A verb that connects to an S3 endpoint.
#[derive(Debug, Args)]
pub(crate) struct Connected<T: Args> {
    #[command(flatten)]
    pub(crate) args: T,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// A bucket, of which a verb needs the name alone.
#[derive(Debug, Args)]
pub(crate) struct BucketName {
    /// The bucket: s3://NAME.
    #[arg(value_name = "S3URI")]
    bucket: S3Uri,
}

impl BucketName {
    pub(crate) fn name(&self) -> Result<&str, Failure> {
        self.bucket.require_bucket_alone()
    }
}

/// One object, or one version of it.
#[derive(Debug, Args)]
pub(crate) struct ObjectVersion {
    /// An object: s3://NAME/KEY.
    #[arg(value_name = "S3URI")]
    pub(crate) target: S3Uri,
    /// A version other than the latest.
    #[arg(long, value_name = "ID")]
    version_id: Option<String>,
}

impl ObjectVersion {
    pub(crate) fn object(&self) -> Result<ObjectRef<'_>, Failure> {
        let key = self.target.require_key()?;
        Ok(ObjectRef { bucket: &self.target.bucket, key, version: self.version_id.as_deref() })
    }
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
    /// The storage class of what is written; firn has STANDARD, STANDARD_IA, ONEZONE_IA, INTELLIGENT_TIERING, GLACIER_IR,
    /// GLACIER, DEEP_ARCHIVE and REDUCED_REDUNDANCY.
    #[arg(long, value_name = "CLASS")]
    pub(crate) storage_class: Option<String>,
    /// Only print what would be done.
    #[arg(long)]
    pub(crate) dry_run: bool,
}
