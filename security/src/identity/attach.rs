//! Managed policies on users, groups and roles, and permissions boundaries.

use super::{AttachedPolicy, Identities, Owner, Page, Paging, Result, unbuilt};
use crate::AccountId;

impl Identities {
    /// Attaches a managed policy; one that is attached stays so. `LimitExceeded` above ten.
    pub async fn attach(&self, account: AccountId, owner: Owner<'_>, arn: &str) -> Result<()> {
        Err(unbuilt())
    }

    /// Detaches a managed policy; `NoSuchEntity` where it is not attached.
    pub async fn detach(&self, account: AccountId, owner: Owner<'_>, arn: &str) -> Result<()> {
        Err(unbuilt())
    }

    /// The managed policies of somebody whose path begins so.
    pub async fn attached(
        &self,
        account: AccountId,
        owner: Owner<'_>,
        path_prefix: Option<&str>,
        paging: Paging<'_>,
    ) -> Result<Page<AttachedPolicy>> {
        Err(unbuilt())
    }

    /// Gives a user or role a permissions boundary in place of the one that it may have.
    pub async fn set_boundary(&self, account: AccountId, owner: Owner<'_>, arn: &str) -> Result<()> {
        Err(unbuilt())
    }

    /// Takes the permissions boundary away.
    pub async fn delete_boundary(&self, account: AccountId, owner: Owner<'_>) -> Result<()> {
        Err(unbuilt())
    }
}
