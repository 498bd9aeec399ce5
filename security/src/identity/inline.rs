//! Policies that are part of a user, group or role.

use super::{Identities, Owner, Page, Paging, Result, unbuilt};
use crate::AccountId;

impl Identities {
    /// Sets an inline policy, new or in place of the one of that name.
    pub async fn put_inline(
        &self,
        account: AccountId,
        owner: Owner<'_>,
        name: &str,
        document: &str,
    ) -> Result<()> {
        Err(unbuilt())
    }

    /// The text of an inline policy, as it was set.
    pub async fn inline(&self, account: AccountId, owner: Owner<'_>, name: &str) -> Result<String> {
        Err(unbuilt())
    }

    /// The names of somebody's inline policies.
    pub async fn inlines(
        &self,
        account: AccountId,
        owner: Owner<'_>,
        paging: Paging<'_>,
    ) -> Result<Page<String>> {
        Err(unbuilt())
    }

    /// Ends an inline policy.
    pub async fn delete_inline(&self, account: AccountId, owner: Owner<'_>, name: &str) -> Result<()> {
        Err(unbuilt())
    }
}
