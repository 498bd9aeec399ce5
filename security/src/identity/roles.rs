//! Roles.

use super::{Identities, NewRole, Page, Paging, Result, Role, unbuilt};
use crate::AccountId;

impl Identities {
    /// Makes a role.
    pub async fn create_role(&self, account: AccountId, new: NewRole<'_>) -> Result<Role> {
        Err(unbuilt())
    }

    /// A role.
    pub async fn role(&self, account: AccountId, name: &str) -> Result<Role> {
        Err(unbuilt())
    }

    /// Roles whose path begins so, without tags and last use.
    pub async fn roles(
        &self,
        account: AccountId,
        path_prefix: Option<&str>,
        paging: Paging<'_>,
    ) -> Result<Page<Role>> {
        Err(unbuilt())
    }

    /// Says anew what a role is for and how long its sessions may last; what is `None` stays.
    pub async fn update_role(
        &self,
        account: AccountId,
        name: &str,
        description: Option<&str>,
        max_session_secs: Option<u32>,
    ) -> Result<Role> {
        Err(unbuilt())
    }

    /// Replaces a role's trust policy.
    pub async fn set_trust(&self, account: AccountId, name: &str, document: &str) -> Result<()> {
        Err(unbuilt())
    }

    /// Ends a role and its sessions. `DeleteConflict` while it has policies.
    pub async fn delete_role(&self, account: AccountId, name: &str) -> Result<()> {
        Err(unbuilt())
    }
}
