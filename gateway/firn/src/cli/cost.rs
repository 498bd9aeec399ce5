//! `firn cost`.

use super::appliance::QuotaAdmin;
use super::uri::S3Uri;
use clap::Args;

/// `firn cost`.
#[derive(Debug, Args)]
pub(crate) struct Cost {
    /// Only a bucket, s3://NAME, or the keys of it that begin with a prefix, s3://NAME/PREFIX.
    #[arg(value_name = "S3URI")]
    pub(crate) place: Option<S3Uri>,
    #[command(flatten)]
    pub(crate) admin: QuotaAdmin,
}
