//! The command line: what can be said, before anything is done.
//!
//! ```text
//!   appliance  verbs of one appliance (server, top, backup, recover, config …)
//!   lifecycle  rules of buckets
//!   object     verbs of buckets and objects (ls, cp, sync, rm …)
//!   identity   verbs of users, groups, roles, policies and keys
//!   vault      verbs of vaults
//!   audit      verbs of the audit trail
//!   kms        verbs of managed keys
//!   options    groups of options that several of them take · uri  names of places
//! ```
//!
//! Every verb but `server` is a client. Results go to stdout, narration and progress to stderr.

#![expect(clippy::doc_markdown, reason = "the texts are read on a terminal, as they are")]

mod appliance;
mod audit;
mod cost;
mod identity;
mod kms;
mod lifecycle;
mod object;
mod options;
mod uri;
mod vault;

pub(crate) use appliance::{
    Backup, Completions, Config, Dedup, DedupBucket, DedupList, Lock, LockRelease, Man, OTHER_VARIABLES,
    Quota, QuotaAdmin, QuotaList, QuotaRemove, QuotaSet, Recover, SERVER_VARIABLES, Server, Top, Zone,
    ZoneAdd, ZoneName, ZoneReplace,
};
pub(crate) use audit::{Audit, AuditKeys, AuditSearch, AuditTail, AuditVerify, EventFilter, Span, When};
pub(crate) use cost::Cost;
pub(crate) use identity::{
    Attachment, Below, Creation, Group, Holder, Key, KeyId, KeyOf, KeyRemoval, Login, Membership, Password,
    Policy, PolicyCreation, Removal, Role, RoleCreation, User,
};
pub(crate) use kms::{
    Kms, KmsAlias, KmsAliasName, KmsCreation, KmsDeletion, KmsGrant, KmsGrantId, KmsKey, KmsNewAlias,
    KmsNewGrant, KmsNewPolicy, KmsPolicy, KmsRotation,
};
pub(crate) use lifecycle::{
    Lifecycle, LifecycleExplain, LifecyclePreview, LifecycleRun, LifecycleSet, LifecycleShow,
};
pub(crate) use object::{Cat, Cp, Du, Ls, Mb, Mv, Rb, Restore, Rm, Share, Stat, Sync, Undelete, Where};
pub(crate) use options::{AdminDir, Connected, Connection, Dir, Remote, TransferOptions};
pub(crate) use uri::{Location, S3Uri};
pub(crate) use vault::{
    Vault, VaultAdmin, VaultCompact, VaultDelete, VaultGet, VaultHold, VaultLock, VaultLockBegin,
    VaultLockComplete, VaultMedia, VaultPut, VaultScrub, VaultStatus,
};

use crate::exit;
use clap::{Args, Parser, Subcommand};

/// What was said.
#[derive(Debug, Parser)]
#[command(name = "firn", version, about = "A storage appliance in one binary", after_help = exit::HELP, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    /// Said before the verb, it holds for whichever verb connects.
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Options that every verb takes.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Global {
    /// Print the result as JSON: one document; of ls, top and audit tail, one a line.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say nothing on stderr but errors.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Start an appliance on a directory; make it there at the first start.
    Server(Server),
    #[command(flatten)]
    Client(ClientVerb),
}

/// What to do, as a client.
#[derive(Debug, Subcommand)]
pub(crate) enum ClientVerb {
    /// Print what points AWS tools at an appliance: eval "$(firn env DIR)".
    Env(Dir),
    /// Say how an appliance is.
    Status(AdminDir),
    /// Look for faults, and say for each what mends it.
    Doctor(AdminDir),
    /// Watch an appliance at work.
    Top(Top),
    /// Make a bucket.
    Mb(Connected<Mb>),
    /// Remove a bucket.
    Rb(Connected<Rb>),
    /// List buckets, objects or versions.
    Ls(Connected<Ls>),
    /// Copy files and objects, either way or between buckets; `-` is stdin or stdout.
    ///
    /// Bytes and names go, and nothing else of a file: no modes, owners, times or holes, and no empty directories.
    Cp(Connected<Cp>),
    /// Move files and objects: copy, then remove the source.
    Mv(Connected<Mv>),
    /// Remove objects.
    Rm(Connected<Rm>),
    /// Bring back what was removed, in a bucket with versions: its delete markers go.
    Undelete(Connected<Undelete>),
    /// Ask for archived objects, so that they can be read for some days.
    ///
    /// With -r, firn makes it one job of its own, which goes on without this command and through restarts; any other endpoint is asked for
    /// one object after the other. What was asked for stays so: the same command asks for the rest, and for longer.
    Restore(Connected<Restore>),
    /// Make a directory or prefix like another; what is the same is skipped.
    ///
    /// Bytes and names go, and nothing else of a file: no modes, owners, times or holes, and no empty directories.
    Sync(Connected<Sync>),
    /// Add up the bytes below a prefix.
    Du(Connected<Du>),
    /// Show what is known about a bucket or an object.
    Stat(Connected<Stat>),
    /// Write an object's bytes to stdout.
    Cat(Connected<Cat>),
    /// Make a link that lets others read an object for a while.
    Share(Connected<Share>),
    /// Say where an object's bytes lie, and why.
    Where(Where),
    /// Say what is stored, by class, and what that costs a month.
    Cost(Cost),
    /// Limit how much buckets and prefixes may hold.
    #[command(subcommand)]
    Quota(Quota),
    /// Rules that move and expire objects: set them, ask what they would do, when and why.
    #[command(subcommand)]
    Lifecycle(Lifecycle),
    /// Vaults: archives that are put away, retrieved by jobs, locked, and looked after on their media.
    #[command(subcommand)]
    Vault(Vault),
    /// Store what the bodies of a bucket have in common once.
    #[command(subcommand)]
    Dedup(Dedup),
    /// Look after the backup of catalog and keys.
    #[command(subcommand)]
    Backup(Backup),
    /// Look after the zones that bodies lie in.
    #[command(subcommand)]
    Zone(Zone),
    /// Look after the locks that are held since a recovery.
    #[command(subcommand)]
    Lock(Lock),
    /// Look after users.
    #[command(subcommand)]
    User(User),
    /// Look after groups of users.
    #[command(subcommand)]
    Group(Group),
    /// Look after roles.
    #[command(subcommand)]
    Role(Role),
    /// Look after managed policies, and who has them.
    #[command(subcommand)]
    Policy(Policy),
    /// Look after access keys.
    #[command(subcommand)]
    Key(Key),
    /// Look after the keys that encrypt, of KMS.
    #[command(subcommand)]
    Kms(Kms),
    /// Read the audit trail: who did what, and whether its files are as they were written.
    #[command(subcommand)]
    Audit(Audit),
    /// Sign in by a password: eval "$(firn login USER)" lets every AWS tool in for a while.
    Login(Connected<Login>),
    /// Rebuild a lost data directory from its backup, or a zone.
    Recover(Recover),
    /// Check a configuration file.
    #[command(subcommand)]
    Config(Config),
    /// Say which firn this is.
    Version,
    /// Print a completion script for a shell.
    Completions(Completions),
    /// Print the manual page, of firn or of one verb.
    Man(Man),
}

impl ClientVerb {
    /// What an interruption leaves, and what goes on from there.
    pub(crate) const fn goes_on(&self) -> &'static str {
        match self {
            Self::Cp(verb) if verb.args.recursive => {
                "; what is whole stays, and firn sync SOURCE TARGET does the rest"
            }
            Self::Cp(_) | Self::Mv(_) | Self::Sync(_) => {
                "; what is whole stays, and the same command does the rest"
            }
            Self::Vault(Vault::Get(_)) => "; the retrieval goes on, and the same command reads it",
            Self::Vault(Vault::Delete(_)) => "; what is deleted is gone, and the same command does the rest",
            Self::Restore(verb) if verb.args.recursive || verb.args.status.is_some() => {
                "; what was asked for comes, and a job goes on by itself: firn restore --jobs S3URI shows it, firn restore --cancel JOB ends it"
            }
            Self::Restore(_) => "; what was asked for comes, and the same command asks for the rest",
            Self::Undelete(_) => "; what is back stays, and the same command does the rest",
            Self::Rm(_) | Self::Rb(_) => "; what is removed is gone, and the same command does the rest",
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cli, ClientVerb, Verb};
    use clap::{Command, CommandFactory, Parser};
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
    fn options_of_the_connection_stand_on_either_side_of_a_verb_and_the_nearer_counts() {
        let endpoint = |line: &[&str]| {
            let cli = Cli::try_parse_from(line).unwrap();
            match cli.verb {
                Verb::Client(ClientVerb::Ls(verb)) => verb.connection.or(&cli.connection).at.endpoint,
                Verb::Client(ClientVerb::Recover(args)) => args.at.or(&cli.connection.at).endpoint,
                other => panic!("{other:?}"),
            }
        };
        let (near, far) = (Some("http://near".to_owned()), Some("http://far".to_owned()));
        assert_eq!(endpoint(&["firn", "--endpoint", "http://far", "ls"]), far);
        assert_eq!(endpoint(&["firn", "ls", "--endpoint", "http://near"]), near);
        assert_eq!(endpoint(&["firn", "--endpoint", "http://far", "ls", "--endpoint", "http://near"]), near);
        let recover = ["firn", "--endpoint", "http://far", "recover", "d", "--from", "s3://b", "--key", "k"];
        assert_eq!(endpoint(&recover), far);
        // A verb that connects to nothing has no use for them.
        Cli::try_parse_from(["firn", "version", "--endpoint", "http://near"]).unwrap_err();
    }

    #[test]
    fn only_what_goes_on_says_so_when_it_is_interrupted() {
        let says = |line: &[&str]| match Cli::try_parse_from(line).unwrap().verb {
            Verb::Client(verb) => verb.goes_on(),
            server @ Verb::Server(_) => panic!("{server:?}"),
        };
        assert!(says(&["firn", "sync", "d", "s3://b"]).ends_with("the same command does the rest"));
        assert!(says(&["firn", "cp", "-r", "d", "s3://b"]).contains("firn sync SOURCE TARGET"));
        assert!(says(&["firn", "rm", "-r", "s3://b/d"]).contains("what is removed is gone"));
        assert_eq!(says(&["firn", "top"]), "");
    }

    #[test]
    fn the_readmes_command_lines_are_understood() {
        let page = include_str!("../../../../README.md");
        // Blocks as they are typed, those that nothing runs among them, and whole lines within sentences.
        let blocks = page.split("\n```").skip(1).step_by(2).flat_map(str::lines);
        let spans = page.split('`').skip(1).step_by(2).filter(|span| span.contains(" --"));
        let mut seen = 0;
        for line in blocks.chain(spans) {
            let Some(at) = line.find("firn ").filter(|at| *at == 0 || line.starts_with("eval ")) else {
                continue;
            };
            let line = line[at..].split([')', '|', '#', '>']).next().unwrap();
            let words = line.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
            seen += 1;
            match Cli::try_parse_from(words) {
                Err(error) if error.use_stderr() => panic!("{line}: {error}"),
                _ => {}
            }
        }
        assert!(seen > 15, "{seen}");
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
