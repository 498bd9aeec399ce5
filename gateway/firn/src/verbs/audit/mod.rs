//! `firn audit`: the history of calls, and the proof of a trail's files.

mod event;
mod history;
mod search;
mod tail;
mod verify;

use crate::cli::Audit;
use crate::exit::Exit;
use crate::session::Session;

pub(super) async fn run(session: &Session, args: &Audit) -> anyhow::Result<Exit> {
    match args {
        Audit::Search(verb) => search::run(&session.to(verb.connection.clone()), &verb.args).await,
        Audit::Tail(verb) => tail::run(&session.to(verb.connection.clone()), &verb.args).await,
        Audit::Verify(verb) => verify::run(&session.to(verb.connection.clone()), &verb.args).await,
        Audit::Keys(verb) => verify::keys(&session.to(verb.connection.clone()), &verb.args).await,
    }
}
