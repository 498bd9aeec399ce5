//! `firn lifecycle`.

use super::appliance::QuotaAdmin;
use super::options::{BucketName, Connected};
use super::uri::S3Uri;
use crate::text::parse_moment;
use clap::{Args, Subcommand};
use engine::clock::Timestamp;
use std::path::PathBuf;

/// `firn lifecycle`.
#[derive(Debug, Subcommand)]
pub(crate) enum Lifecycle {
    /// Replace a bucket's rules by those of a file: the JSON that aws-cli takes, or S3's XML.
    Set(Connected<LifecycleSet>),
    /// Show a bucket's rules.
    Show(Connected<LifecycleShow>),
    /// Take a bucket's rules away.
    Rm(Connected<LifecycleShow>),
    /// Say what rules would do until a day, with counts and bytes by day and rule; nothing is changed.
    Preview(LifecyclePreview),
    /// Say of each version of one key which rule acts when, and why no other one does sooner.
    Explain(LifecycleExplain),
    /// Do now what is due by now, instead of within the minute.
    Run(LifecycleRun),
}

/// `firn lifecycle set`.
#[derive(Debug, Args)]
pub(crate) struct LifecycleSet {
    #[command(flatten)]
    pub(crate) bucket: BucketName,
    /// A file with the rules; `-` is standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// `firn lifecycle show` and `rm`.
#[derive(Debug, Args)]
pub(crate) struct LifecycleShow {
    #[command(flatten)]
    pub(crate) bucket: BucketName,
}

/// `firn lifecycle preview`.
#[derive(Debug, Args)]
pub(crate) struct LifecyclePreview {
    #[command(flatten)]
    pub(crate) bucket: BucketName,
    /// Until when: a day, 2026-12-31, whose midnight counts too, or a moment, 2026-12-31T12:00:00Z.
    #[arg(long, value_name = "DATE", value_parser = parse_moment)]
    pub(crate) as_of: Timestamp,
    /// What these rules would do, instead of those that are set: a file as `set` takes it.
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) admin: QuotaAdmin,
}

/// `firn lifecycle explain`.
#[derive(Debug, Args)]
pub(crate) struct LifecycleExplain {
    /// An object: s3://NAME/KEY.
    #[arg(value_name = "S3URI")]
    pub(crate) object: S3Uri,
    #[command(flatten)]
    pub(crate) admin: QuotaAdmin,
}

/// `firn lifecycle run`.
#[derive(Debug, Args)]
pub(crate) struct LifecycleRun {
    #[command(flatten)]
    pub(crate) bucket: BucketName,
    #[command(flatten)]
    pub(crate) admin: QuotaAdmin,
}
