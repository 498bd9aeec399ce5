//! The verbs: each takes what the command line said and ends with a report.

mod about;
mod admin;
mod backup;
mod bucket;
mod doctor;
mod env;
mod list;
mod object;
mod remove;
mod transfer;

pub(crate) use doctor::{Finding, space};

use crate::cli::Verb;
use crate::exit::Exit;
use crate::session::Session;

/// Does what was asked for.
pub(crate) async fn run(session: &Session, verb: Verb) -> anyhow::Result<Exit> {
    match verb {
        Verb::Server(_) => Err(crate::exit::Failure::usage("start a server: it is started elsewhere").into()),
        Verb::Env(args) => env::run(session, &args),
        Verb::Status(args) => admin::status(session, &args).await,
        Verb::Doctor(args) => doctor::run(session, &args).await,
        Verb::Top(args) => admin::top(session, &args).await,
        Verb::Mb(args) => bucket::make(session, &args).await,
        Verb::Rb(args) => bucket::remove(session, &args).await,
        Verb::Ls(args) => list::list(session, &args).await,
        Verb::Cp(args) => transfer::copy(session, args).await,
        Verb::Mv(args) => transfer::mv(session, args).await,
        Verb::Rm(args) => remove::run(session, &args).await,
        Verb::Sync(args) => transfer::sync(session, args).await,
        Verb::Du(args) => list::usage(session, &args).await,
        Verb::Stat(args) => object::stat(session, &args).await,
        Verb::Cat(args) => object::cat(session, &args).await,
        Verb::Share(args) => object::share(session, &args),
        Verb::Where(args) => admin::where_is(session, &args).await,
        Verb::Backup(args) => backup::run(session, &args).await,
        Verb::Recover(args) => backup::recover(session, &args).await,
        Verb::Config(args) => about::config(session, &args),
        Verb::Version => about::version(session),
        Verb::Completions(args) => about::completions(&args),
        Verb::Man(args) => about::man(&args),
    }
}

/// A time as lists show it: `2026-01-31 12:00:00`, in UTC.
pub(crate) fn show_time(time: Option<engine::clock::Timestamp>) -> String {
    time.and_then(|time| jiff::Timestamp::from_millisecond(time.as_millis()).ok())
        .map_or_else(|| "-".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// A time as JSON has it: RFC 3339, in UTC.
pub(crate) fn json_time(time: Option<engine::clock::Timestamp>) -> Option<String> {
    time.and_then(|time| jiff::Timestamp::from_millisecond(time.as_millis()).ok())
        .map(|time| time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}
