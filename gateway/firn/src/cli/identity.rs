//! Verbs of users, groups, roles, policies and keys.

use super::options::Connected;
use crate::text::parse_duration;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// A name that IAM has given.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Its name.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

/// Where things are listed.
#[derive(Debug, Args)]
pub(crate) struct Below {
    /// Only those whose path begins so: /lab/.
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<String>,
}

/// Something to be removed with what hangs on it.
#[derive(Debug, Args)]
pub(crate) struct Removal {
    #[command(flatten)]
    pub(crate) named: Named,
    /// Remove what hangs on it first: keys, memberships, policies.
    #[arg(long, short)]
    pub(crate) recursive: bool,
    /// Only print what would be removed.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// A user or group to be.
#[derive(Debug, Args)]
pub(crate) struct Creation {
    #[command(flatten)]
    pub(crate) named: Named,
    /// Its path, begun and ended by slashes: /lab/.
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<String>,
}

/// `firn user password`.
#[derive(Debug, Args)]
pub(crate) struct Password {
    #[command(flatten)]
    pub(crate) named: Named,
    /// Have the user set another one at the first sign-in.
    #[arg(long)]
    pub(crate) once: bool,
    /// Read it from stdin, a line, and ask the terminal nothing.
    #[arg(long = "password-stdin")]
    pub(crate) from_stdin: bool,
}

/// `firn user`.
#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// List users.
    Ls(Connected<Below>),
    /// Make a user. It may nothing until a policy lets it, and has no key.
    Create(Connected<Creation>),
    /// Give a user a password, in place of the one that it may have.
    Password(Connected<Password>),
    /// Remove a user.
    Rm(Connected<Removal>),
}

/// A group and a user.
#[derive(Debug, Args)]
pub(crate) struct Membership {
    /// The group.
    #[arg(value_name = "GROUP")]
    pub(crate) group: String,
    /// The user.
    #[arg(value_name = "USER")]
    pub(crate) user: String,
}

/// `firn group`.
#[derive(Debug, Subcommand)]
pub(crate) enum Group {
    /// List groups.
    Ls(Connected<Below>),
    /// Make a group.
    Create(Connected<Creation>),
    /// Remove a group.
    Rm(Connected<Removal>),
    /// List the users of a group.
    Members(Connected<Named>),
    /// Add a user to a group.
    Add(Connected<Membership>),
    /// Take a user out of a group.
    Remove(Connected<Membership>),
}

/// `firn role create`.
#[derive(Debug, Args)]
pub(crate) struct RoleCreation {
    #[command(flatten)]
    pub(crate) new: Creation,
    /// Who may assume it: an account's number, a user's or a role's ARN. May be given again.
    #[arg(long, value_name = "PRINCIPAL", required_unless_present = "trust_policy")]
    pub(crate) trust: Vec<String>,
    /// A file with the whole trust policy instead.
    #[arg(long, value_name = "FILE", conflicts_with = "trust")]
    pub(crate) trust_policy: Option<PathBuf>,
}

/// `firn role`.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// List roles.
    Ls(Connected<Below>),
    /// Make a role.
    Create(Connected<RoleCreation>),
    /// Remove a role.
    Rm(Connected<Removal>),
}

/// Whose policy.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Holder {
    /// A user.
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// A group.
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<String>,
    /// A role.
    #[arg(long, value_name = "NAME")]
    pub(crate) role: Option<String>,
}

/// `firn policy attach` and `detach`.
#[derive(Debug, Args)]
pub(crate) struct Attachment {
    /// The policy, by its name or ARN.
    #[arg(value_name = "POLICY")]
    pub(crate) policy: String,
    #[command(flatten)]
    pub(crate) holder: Holder,
}

/// `firn policy create`.
#[derive(Debug, Args)]
pub(crate) struct PolicyCreation {
    #[command(flatten)]
    pub(crate) new: Creation,
    /// A file with its document; - is stdin.
    #[arg(value_name = "FILE")]
    pub(crate) document: PathBuf,
}

/// `firn policy`.
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// List managed policies.
    Ls(Connected<Below>),
    /// Make a managed policy.
    Create(Connected<PolicyCreation>),
    /// Print the document of a managed policy, the version that counts.
    Show(Connected<Named>),
    /// Remove a managed policy.
    Rm(Connected<Removal>),
    /// Let somebody have a managed policy.
    Attach(Connected<Attachment>),
    /// Take a managed policy away from somebody.
    Detach(Connected<Attachment>),
}

/// Whose key.
#[derive(Debug, Args)]
pub(crate) struct KeyOf {
    /// The user [default: who asks].
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
}

/// A key.
#[derive(Debug, Args)]
pub(crate) struct KeyId {
    /// The access key's id: AKIA….
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) of: KeyOf,
}

/// `firn key rm`.
#[derive(Debug, Args)]
pub(crate) struct KeyRemoval {
    #[command(flatten)]
    pub(crate) key: KeyId,
    /// Only print what would be removed.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `firn key`.
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// List access keys.
    Ls(Connected<KeyOf>),
    /// Make an access key. Its secret is shown this once.
    Create(Connected<KeyOf>),
    /// Let an access key be used again.
    Enable(Connected<KeyId>),
    /// Keep an access key from being used.
    Disable(Connected<KeyId>),
    /// Remove an access key.
    Rm(Connected<KeyRemoval>),
}

/// `firn login`.
#[derive(Debug, Args)]
pub(crate) struct Login {
    /// The user.
    #[arg(value_name = "USER")]
    pub(crate) user: String,
    /// The account, by its number or alias [default: the appliance's].
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
    /// The code that the user's second factor shows [default: the terminal is asked].
    #[arg(long, value_name = "CODE")]
    pub(crate) code: Option<String>,
    /// Set another password, where one has to be set.
    #[arg(long)]
    pub(crate) new_password: bool,
    /// Read passwords from stdin, a line each, the new one last, and ask the terminal nothing.
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// How long the session lasts: 15m to 36h [default: 12h].
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) expires: Option<Duration>,
}
