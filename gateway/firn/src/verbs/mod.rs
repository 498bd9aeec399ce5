//! The verbs: each takes what the command line said and ends with a report.

mod about;
mod admin;
mod audit;
mod backup;
mod bucket;
mod configured;
mod cost;
mod dedup;
mod doctor;
mod door;
mod env;
mod extract;
mod identity;
mod kms;
mod lifecycle;
mod lifecycle_document;
mod list;
mod lock;
mod login;
mod names;
mod object;
mod quota;
mod recover_opens;
mod recover_zone;
mod remove;
mod restore;
mod restore_job;
mod status;
mod transfer;
mod typed;
mod undelete;
mod uploads;
mod vault;
mod versions;
mod zone;

use crate::cli::ClientVerb;
use crate::exit::Exit;
use crate::report::time::{json_time, show_time};
use crate::session::Session;

/// Does what was asked for.
pub(crate) async fn run(session: &Session, verb: ClientVerb) -> anyhow::Result<Exit> {
    match verb {
        ClientVerb::Env(args) => env::run(session, &args).await,
        ClientVerb::Status(args) => admin::status(session, &args).await,
        ClientVerb::Doctor(args) => doctor::run(session, &args).await,
        ClientVerb::Top(args) => admin::top(session, &args).await,
        ClientVerb::Mb(verb) => bucket::make(&session.to(verb.connection), &verb.args).await,
        ClientVerb::Rb(verb) => bucket::remove(&session.to(verb.connection), &verb.args).await,
        ClientVerb::Ls(verb) => list::list(&session.to(verb.connection), &verb.args).await,
        ClientVerb::Cp(verb) => transfer::copy(&session.to(verb.connection), verb.args).await,
        ClientVerb::Mv(verb) => transfer::mv(&session.to(verb.connection), verb.args).await,
        ClientVerb::Rm(verb) => remove::run(&session.to(verb.connection), &verb.args).await,
        ClientVerb::Restore(verb) => restore::run(&session.to(verb.connection), &verb.args).await,
        ClientVerb::Undelete(verb) => undelete::run(&session.to(verb.connection), &verb.args).await,
        ClientVerb::Sync(verb) => transfer::sync(&session.to(verb.connection), verb.args).await,
        ClientVerb::Du(verb) => list::usage(&session.to(verb.connection), &verb.args).await,
        ClientVerb::Stat(verb) => object::stat(&session.to(verb.connection), &verb.args).await,
        ClientVerb::Cat(verb) => object::cat(&session.to(verb.connection), &verb.args).await,
        ClientVerb::Share(verb) => object::share(&session.to(verb.connection), &verb.args),
        ClientVerb::Where(args) => admin::where_is(session, &args).await,
        ClientVerb::Cost(args) => cost::run(session, &args).await,
        ClientVerb::Quota(args) => quota::run(session, &args).await,
        ClientVerb::Lifecycle(args) => lifecycle::run(session, args).await,
        ClientVerb::Vault(args) => Box::pin(vault::run(session, args)).await,
        ClientVerb::Dedup(args) => dedup::run(session, &args).await,
        ClientVerb::Backup(args) => backup::run(session, &args).await,
        ClientVerb::Zone(args) => zone::run(session, &args).await,
        ClientVerb::Lock(args) => lock::run(session, &args).await,
        ClientVerb::User(args) => identity::user(session, &args).await,
        ClientVerb::Group(args) => identity::group(session, &args).await,
        ClientVerb::Role(args) => identity::role(session, &args).await,
        ClientVerb::Policy(args) => identity::policy(session, &args).await,
        ClientVerb::Key(args) => identity::key(session, &args).await,
        ClientVerb::Kms(args) => kms::run(session, &args).await,
        ClientVerb::Audit(args) => audit::run(session, &args).await,
        ClientVerb::Login(verb) => login::run(session, &verb).await,
        ClientVerb::Recover(args) => match &args.from_zone {
            Some(zone) => recover_zone::run(session, &args.dir, zone).await,
            None => backup::recover(session, args).await,
        },
        ClientVerb::Config(args) => about::config(session, &args),
        ClientVerb::Version => about::version(session),
        ClientVerb::Completions(args) => about::completions(session, &args),
        ClientVerb::Man(args) => about::man(session, &args),
    }
}
