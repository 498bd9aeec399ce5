//! Verbs of managed keys.

use super::options::Connected;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// A key.
#[derive(Debug, Args)]
pub(crate) struct KmsKey {
    /// The key: its id, its ARN, or an alias of it: alias/NAME.
    #[arg(value_name = "KEY")]
    pub(crate) key: String,
}

/// `firn kms ls`.
#[derive(Debug, Args)]
pub(crate) struct KmsList {}

/// `firn kms create`.
#[derive(Debug, Args)]
pub(crate) struct KmsCreation {
    /// What it is for, in words.
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    /// What kind of key: SYMMETRIC_DEFAULT, RSA_2048, ECC_NIST_P256, HMAC_256 and the like.
    #[arg(long, value_name = "SPEC")]
    pub(crate) spec: Option<String>,
    /// What it does: ENCRYPT_DECRYPT, SIGN_VERIFY, GENERATE_VERIFY_MAC or KEY_AGREEMENT.
    #[arg(long, value_name = "USAGE")]
    pub(crate) usage: Option<String>,
    /// A file with its key policy [default: the account's own policies decide]; - is stdin.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Also give it this alias: alias/NAME.
    #[arg(long, value_name = "ALIAS")]
    pub(crate) alias: Option<String>,
}

/// An alias to be, and its key.
#[derive(Debug, Args)]
pub(crate) struct KmsNewAlias {
    /// The alias: alias/NAME.
    #[arg(value_name = "ALIAS")]
    pub(crate) alias: String,
    #[command(flatten)]
    pub(crate) of: KmsKey,
}

/// An alias.
#[derive(Debug, Args)]
pub(crate) struct KmsAliasName {
    /// The alias: alias/NAME.
    #[arg(value_name = "ALIAS")]
    pub(crate) alias: String,
}

/// `firn kms alias`.
#[derive(Debug, Subcommand)]
pub(crate) enum KmsAlias {
    /// Give a key an alias.
    Create(Connected<KmsNewAlias>),
    /// Have an alias mean another key.
    Update(Connected<KmsNewAlias>),
    /// Take an alias away; its key stays.
    Rm(Connected<KmsAliasName>),
}

/// `firn kms rotate`.
#[derive(Debug, Args)]
pub(crate) struct KmsRotation {
    #[command(flatten)]
    pub(crate) of: KmsKey,
    /// From now on by itself, each so many days: 90 to 2560.
    #[arg(long, value_name = "DAYS", conflicts_with = "never")]
    pub(crate) every: Option<u32>,
    /// No more by itself.
    #[arg(long)]
    pub(crate) never: bool,
}

/// `firn kms schedule-deletion`.
#[derive(Debug, Args)]
pub(crate) struct KmsDeletion {
    #[command(flatten)]
    pub(crate) of: KmsKey,
    /// Days until it is deleted: 7 to 30. Until then cancel-deletion keeps it; then nothing that it encrypted can be read.
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    pub(crate) days: u32,
}

/// `firn kms policy set`.
#[derive(Debug, Args)]
pub(crate) struct KmsNewPolicy {
    #[command(flatten)]
    pub(crate) of: KmsKey,
    /// A file with the key policy; - is stdin.
    #[arg(value_name = "FILE")]
    pub(crate) document: PathBuf,
}

/// `firn kms policy`.
#[derive(Debug, Subcommand)]
pub(crate) enum KmsPolicy {
    /// Print a key's policy.
    Show(Connected<KmsKey>),
    /// Replace a key's policy.
    Set(Connected<KmsNewPolicy>),
}

/// `firn kms grant create`.
#[derive(Debug, Args)]
pub(crate) struct KmsNewGrant {
    #[command(flatten)]
    pub(crate) of: KmsKey,
    /// Who may: a user's, a role's or an account's ARN.
    #[arg(long, value_name = "ARN")]
    pub(crate) grantee: String,
    /// What they may: Encrypt, Decrypt, GenerateDataKey and the like. May be given again.
    #[arg(long, value_name = "OPERATION", required = true)]
    pub(crate) operation: Vec<String>,
    /// Who may give it back.
    #[arg(long, value_name = "ARN")]
    pub(crate) retiring: Option<String>,
}

/// A grant.
#[derive(Debug, Args)]
pub(crate) struct KmsGrantId {
    #[command(flatten)]
    pub(crate) of: KmsKey,
    /// The grant's id.
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

/// `firn kms grant`.
#[derive(Debug, Subcommand)]
pub(crate) enum KmsGrant {
    /// List a key's grants.
    Ls(Connected<KmsKey>),
    /// Let somebody use a key.
    Create(Connected<KmsNewGrant>),
    /// Take a grant back.
    Revoke(Connected<KmsGrantId>),
}

/// `firn kms`.
#[derive(Debug, Subcommand)]
pub(crate) enum Kms {
    /// List keys, with their states and aliases.
    Ls(Connected<KmsList>),
    /// Show what is known about a key.
    Describe(Connected<KmsKey>),
    /// Make a key.
    Create(Connected<KmsCreation>),
    /// Look after aliases of keys.
    #[command(subcommand)]
    Alias(KmsAlias),
    /// Let a key be used again.
    Enable(Connected<KmsKey>),
    /// Keep a key from being used: what it encrypted can't be read until it is enabled.
    Disable(Connected<KmsKey>),
    /// Give a key new material now, or from now on by itself; what it encrypted stays readable.
    Rotate(Connected<KmsRotation>),
    /// Delete a key in some days.
    ScheduleDeletion(Connected<KmsDeletion>),
    /// Keep a key that was to be deleted; enable makes it usable again.
    CancelDeletion(Connected<KmsKey>),
    /// Look after a key's policy.
    #[command(subcommand)]
    Policy(KmsPolicy),
    /// Look after a key's grants.
    #[command(subcommand)]
    Grant(KmsGrant),
}
