//! Groups and their members.

use super::{Group, Identities, Page, Paging, Result, User, unbuilt};
use crate::AccountId;

impl Identities {
    /// Makes a group.
    pub async fn create_group(&self, account: AccountId, name: &str, path: Option<&str>) -> Result<Group> {
        Err(unbuilt())
    }

    /// A group.
    pub async fn group(&self, account: AccountId, name: &str) -> Result<Group> {
        Err(unbuilt())
    }

    /// Groups whose path begins so.
    pub async fn groups(
        &self,
        account: AccountId,
        path_prefix: Option<&str>,
        paging: Paging<'_>,
    ) -> Result<Page<Group>> {
        Err(unbuilt())
    }

    /// Gives a group another name, another path, or both.
    pub async fn update_group(
        &self,
        account: AccountId,
        name: &str,
        new_name: Option<&str>,
        new_path: Option<&str>,
    ) -> Result<()> {
        Err(unbuilt())
    }

    /// Ends a group. `DeleteConflict` while it has members or policies.
    pub async fn delete_group(&self, account: AccountId, name: &str) -> Result<()> {
        Err(unbuilt())
    }

    /// Adds a user to a group; one that is in it stays in it.
    pub async fn add_to_group(&self, account: AccountId, group: &str, user: &str) -> Result<()> {
        Err(unbuilt())
    }

    /// Takes a user out of a group.
    pub async fn remove_from_group(&self, account: AccountId, group: &str, user: &str) -> Result<()> {
        Err(unbuilt())
    }

    /// The users of a group, without their tags.
    pub async fn members(&self, account: AccountId, group: &str, paging: Paging<'_>) -> Result<Page<User>> {
        Err(unbuilt())
    }

    /// The groups of a user.
    pub async fn groups_of(&self, account: AccountId, user: &str, paging: Paging<'_>) -> Result<Page<Group>> {
        Err(unbuilt())
    }
}
