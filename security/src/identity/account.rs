//! What an account has once: its alias, and how many of everything.

use super::{Identities, Result, Summary, unbuilt};
use crate::AccountId;

impl Identities {
    /// Gives the account an alias in place of the one that it may have. `EntityAlreadyExists` where another account has it.
    pub async fn create_alias(&self, account: AccountId, alias: &str) -> Result<()> {
        Err(unbuilt())
    }

    /// Takes the alias away; `NoSuchEntity` where it is another.
    pub async fn delete_alias(&self, account: AccountId, alias: &str) -> Result<()> {
        Err(unbuilt())
    }

    /// The account's alias.
    pub async fn alias(&self, account: AccountId) -> Result<Option<String>> {
        Err(unbuilt())
    }

    /// How many of everything there are, and may be.
    pub async fn summary(&self, account: AccountId) -> Result<Summary> {
        Err(unbuilt())
    }
}
