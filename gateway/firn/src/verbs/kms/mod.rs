//! `firn kms`: people's way to what SDKs ask KMS for, over the same door and with the same rights.

mod ask;
mod grant;
mod key;

use crate::cli::{Kms, KmsAlias, KmsGrant, KmsPolicy};
use crate::exit::Exit;
use crate::session::Session;

pub(super) async fn run(session: &Session, args: &Kms) -> anyhow::Result<Exit> {
    let to = |connection: &crate::cli::Connection| session.to(connection.clone());
    let change = |connection, key, operation, did| {
        let session = to(connection);
        async move { key::change(&session, key, operation, did).await }
    };
    match args {
        Kms::Ls(verb) => key::list(&to(&verb.connection)).await,
        Kms::Describe(verb) => key::describe(&to(&verb.connection), &verb.args).await,
        Kms::Create(verb) => key::create(&to(&verb.connection), &verb.args).await,
        Kms::Alias(KmsAlias::Create(verb)) => key::alias(&to(&verb.connection), &verb.args, true).await,
        Kms::Alias(KmsAlias::Update(verb)) => key::alias(&to(&verb.connection), &verb.args, false).await,
        Kms::Alias(KmsAlias::Rm(verb)) => key::remove_alias(&to(&verb.connection), &verb.args).await,
        Kms::Enable(verb) => change(&verb.connection, &verb.args, "EnableKey", "enabled the key").await,
        Kms::Disable(verb) => change(&verb.connection, &verb.args, "DisableKey", "disabled the key").await,
        Kms::CancelDeletion(verb) => {
            change(&verb.connection, &verb.args, "CancelKeyDeletion", "kept the key, disabled:").await
        }
        Kms::Rotate(verb) => key::rotate(&to(&verb.connection), &verb.args).await,
        Kms::ScheduleDeletion(verb) => key::schedule(&to(&verb.connection), &verb.args).await,
        Kms::Policy(KmsPolicy::Show(verb)) => key::policy(&to(&verb.connection), &verb.args).await,
        Kms::Policy(KmsPolicy::Set(verb)) => key::set_policy(&to(&verb.connection), &verb.args).await,
        Kms::Grant(KmsGrant::Ls(verb)) => grant::list(&to(&verb.connection), &verb.args).await,
        Kms::Grant(KmsGrant::Create(verb)) => grant::create(&to(&verb.connection), &verb.args).await,
        Kms::Grant(KmsGrant::Revoke(verb)) => grant::revoke(&to(&verb.connection), &verb.args).await,
    }
}
