//! Managed policies and their versions.

use super::{
    Identities, ManagedPolicy, NewPolicy, Page, Paging, PolicyFilter, PolicyHolder, PolicyVersion, Result,
    Usage, unbuilt,
};
use crate::AccountId;
use crate::identity::Kind;

impl Identities {
    /// Makes a managed policy of one version.
    pub async fn create_policy(&self, account: AccountId, new: NewPolicy<'_>) -> Result<ManagedPolicy> {
        Err(unbuilt())
    }

    /// A managed policy, of the account or of AWS's names.
    pub async fn policy(&self, account: AccountId, arn: &str) -> Result<ManagedPolicy> {
        Err(unbuilt())
    }

    /// Managed policies, without their tags.
    pub async fn policies(
        &self,
        account: AccountId,
        filter: PolicyFilter<'_>,
        paging: Paging<'_>,
    ) -> Result<Page<ManagedPolicy>> {
        Err(unbuilt())
    }

    /// Ends a managed policy. `DeleteConflict` while it is attached, a boundary, or has more versions than the default one.
    pub async fn delete_policy(&self, account: AccountId, arn: &str) -> Result<()> {
        Err(unbuilt())
    }

    /// Adds a version; `LimitExceeded` where there are five.
    pub async fn create_policy_version(
        &self,
        account: AccountId,
        arn: &str,
        document: &str,
        set_default: bool,
    ) -> Result<PolicyVersion> {
        Err(unbuilt())
    }

    /// A version with its document.
    pub async fn policy_version(
        &self,
        account: AccountId,
        arn: &str,
        version: &str,
    ) -> Result<PolicyVersion> {
        Err(unbuilt())
    }

    /// All versions, newest first, without documents.
    pub async fn policy_versions(
        &self,
        account: AccountId,
        arn: &str,
        paging: Paging<'_>,
    ) -> Result<Page<PolicyVersion>> {
        Err(unbuilt())
    }

    /// Chooses the version that counts.
    pub async fn set_default_version(&self, account: AccountId, arn: &str, version: &str) -> Result<()> {
        Err(unbuilt())
    }

    /// Ends a version. `DeleteConflict` for the one that counts.
    pub async fn delete_policy_version(&self, account: AccountId, arn: &str, version: &str) -> Result<()> {
        Err(unbuilt())
    }

    /// Whom a policy is attached to, or whose boundary it is: groups, roles and users whose path begins so.
    pub async fn entities_for_policy(
        &self,
        account: AccountId,
        arn: &str,
        kind: Option<Kind>,
        usage: Option<Usage>,
        path_prefix: Option<&str>,
        paging: Paging<'_>,
    ) -> Result<Page<PolicyHolder>> {
        Err(unbuilt())
    }
}
