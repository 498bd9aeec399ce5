//! `firn vault`.

use super::appliance::QuotaAdmin;
use super::object::RestoreTier;
use super::options::Connected;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `firn vault`.
#[derive(Debug, Subcommand)]
pub(crate) enum Vault {
    /// Make a vault; one that is there stays as it is.
    Create(Connected<VaultNamed>),
    /// List vaults, with how many archives are in them.
    Ls(Connected<VaultAll>),
    /// Put files into a vault, each as an archive; what it is called from then on is printed.
    Put(Connected<VaultPut>),
    /// Get an archive back into a file: a retrieval is asked for, waited for, and read.
    ///
    /// The same command goes on with a retrieval that is under way or there.
    Get(Connected<VaultGet>),
    /// List the archives of a vault, as they are now.
    Inventory(Connected<VaultNamed>),
    /// List the retrievals and inventories of a vault.
    Jobs(Connected<VaultNamed>),
    /// Delete archives, all of a vault's archives, or a vault that is empty.
    Delete(Connected<VaultDelete>),
    /// Lock a vault by a policy that nobody can change any more.
    #[command(subcommand)]
    Lock(VaultLock),
    /// Keep a vault's archives from being deleted: by legal holds, and by a least age.
    #[command(subcommand)]
    Hold(VaultHold),
    /// Read every pack of a vault, compare it with its checksums, and mend what its parity restores; no customer's key is needed.
    Scrub(VaultScrub),
    /// Move what lives in packs of which much is deleted, so that the old ones can go.
    Compact(VaultCompact),
    /// List the media that packs lie on.
    Media(VaultMedia),
    /// Say how vaults are; of one that is named, what is dead in its packs, too.
    Status(VaultStatus),
}

/// A vault.
#[derive(Debug, Args)]
pub(crate) struct VaultNamed {
    /// The vault's name.
    #[arg(value_name = "VAULT")]
    pub(crate) vault: String,
}

/// All vaults of the account.
#[derive(Debug, Args)]
pub(crate) struct VaultAll {}

/// `firn vault put`.
#[derive(Debug, Args)]
pub(crate) struct VaultPut {
    /// The vault's name.
    #[arg(value_name = "VAULT")]
    pub(crate) vault: String,
    /// The files.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// What is said of each in inventories, up to 1,024 characters of ASCII [default: the file's name].
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
}

/// `firn vault get`.
#[derive(Debug, Args)]
pub(crate) struct VaultGet {
    /// The vault's name.
    #[arg(value_name = "VAULT")]
    pub(crate) vault: String,
    /// The archive's id.
    #[arg(value_name = "ARCHIVE")]
    pub(crate) archive: String,
    /// The file to write.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// How soon.
    #[arg(long, value_enum, default_value = "standard")]
    pub(crate) tier: RestoreTier,
    /// Only ask for it; the same command reads it when it is there.
    #[arg(long)]
    pub(crate) no_wait: bool,
}

/// `firn vault delete`.
#[derive(Debug, Args)]
pub(crate) struct VaultDelete {
    /// The vault's name.
    #[arg(value_name = "VAULT")]
    pub(crate) vault: String,
    /// Archives to delete; none is the vault itself, which must be empty.
    #[arg(value_name = "ARCHIVE", conflicts_with = "all")]
    pub(crate) archives: Vec<String>,
    /// Delete all archives and give up all uploads of the vault, as far as locks and holds let them go; the vault stays.
    #[arg(long)]
    pub(crate) all: bool,
    /// Only say what would be deleted, and what locks, holds, least age and policies would keep.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How many requests are under way at once.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) jobs: u16,
}

/// `firn vault lock`.
#[derive(Debug, Subcommand)]
pub(crate) enum VaultLock {
    /// Show a vault's lock and its policy.
    Show(Connected<VaultNamed>),
    /// Put a lock on for a day, in which it can be tried and given up.
    Begin(Connected<VaultLockBegin>),
    /// Make a lock that was begun immutable, for ever.
    Complete(Connected<VaultLockComplete>),
    /// Give up a lock that was begun.
    Abort(Connected<VaultNamed>),
}

/// `firn vault lock begin`.
#[derive(Debug, Args)]
pub(crate) struct VaultLockBegin {
    /// The vault's name.
    #[arg(value_name = "VAULT")]
    pub(crate) vault: String,
    /// A file with the policy, as JSON.
    #[arg(value_name = "FILE")]
    pub(crate) policy: PathBuf,
}

/// `firn vault lock complete`.
#[derive(Debug, Args)]
pub(crate) struct VaultLockComplete {
    /// The vault's name.
    #[arg(value_name = "VAULT")]
    pub(crate) vault: String,
    /// The lock's id, as begin printed it.
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

/// A vault, at the admin door.
#[derive(Debug, Args)]
pub(crate) struct VaultAdmin {
    /// The vault's name.
    #[arg(value_name = "VAULT")]
    pub(crate) vault: String,
    /// Whose it is: 12 digits [default: the appliance's own account].
    #[arg(long, value_name = "ID")]
    pub(crate) account: Option<String>,
    #[command(flatten)]
    pub(crate) admin: QuotaAdmin,
}

/// `firn vault hold`.
#[derive(Debug, Subcommand)]
pub(crate) enum VaultHold {
    /// Show what keeps a vault's archives.
    Ls(VaultAdmin),
    /// Put a legal hold on: nothing is deleted while there is one.
    Set(VaultHoldNamed),
    /// Take a legal hold away.
    Release(VaultHoldNamed),
    /// Keep each archive for so many days; of a locked vault never for fewer than before.
    Age(VaultHoldAge),
}

/// `firn vault hold set` and `release`.
#[derive(Debug, Args)]
pub(crate) struct VaultHoldNamed {
    #[command(flatten)]
    pub(crate) at: VaultAdmin,
    /// What it is called, as a case number: 1 to 128 characters of ASCII without blanks.
    #[arg(value_name = "HOLD")]
    pub(crate) name: String,
}

/// `firn vault hold age`.
#[derive(Debug, Args)]
pub(crate) struct VaultHoldAge {
    #[command(flatten)]
    pub(crate) at: VaultAdmin,
    /// The days; 0 takes it away.
    #[arg(value_name = "DAYS")]
    pub(crate) days: u64,
}

/// `firn vault scrub`.
#[derive(Debug, Args)]
pub(crate) struct VaultScrub {
    #[command(flatten)]
    pub(crate) at: VaultAdmin,
    /// Only say what is damaged; nothing is written.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `firn vault compact`.
#[derive(Debug, Args)]
pub(crate) struct VaultCompact {
    #[command(flatten)]
    pub(crate) at: VaultAdmin,
    /// Only say which packs these are; nothing moves.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `firn vault media`.
#[derive(Debug, Args)]
pub(crate) struct VaultMedia {
    #[command(flatten)]
    pub(crate) admin: QuotaAdmin,
}

/// `firn vault status`.
#[derive(Debug, Args)]
pub(crate) struct VaultStatus {
    /// A vault, of which more is said.
    #[arg(value_name = "VAULT")]
    pub(crate) vault: Option<String>,
    /// Whose it is: 12 digits [default: the appliance's own account].
    #[arg(long, value_name = "ID", requires = "vault")]
    pub(crate) account: Option<String>,
    #[command(flatten)]
    pub(crate) admin: QuotaAdmin,
}
