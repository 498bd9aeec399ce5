//! Users.

use super::{Identities, NewUser, Page, Paging, Result, User, unbuilt};
use crate::AccountId;

impl Identities {
    /// Makes a user. `EntityAlreadyExists` where one has the name in whatever case.
    pub async fn create_user(&self, account: AccountId, new: NewUser<'_>) -> Result<User> {
        Err(unbuilt())
    }

    /// A user.
    pub async fn user(&self, account: AccountId, name: &str) -> Result<User> {
        Err(unbuilt())
    }

    /// Users whose path begins so, without their tags.
    pub async fn users(
        &self,
        account: AccountId,
        path_prefix: Option<&str>,
        paging: Paging<'_>,
    ) -> Result<Page<User>> {
        Err(unbuilt())
    }

    /// Gives a user another name, another path, or both. Policies that name it by its ARN go on naming it.
    pub async fn update_user(
        &self,
        account: AccountId,
        name: &str,
        new_name: Option<&str>,
        new_path: Option<&str>,
    ) -> Result<()> {
        Err(unbuilt())
    }

    /// Ends a user. `DeleteConflict` while it has keys, policies or groups.
    pub async fn delete_user(&self, account: AccountId, name: &str) -> Result<()> {
        Err(unbuilt())
    }
}
