//! What an account has once: its alias, and how many of everything.

use super::change::again;
use super::error::{Code, IdentityError, Result};
use super::id::EntityId;
use super::row::{self, AccountRow, AliasRow, Count};
use super::{Identities, Summary, limit, name};
use crate::AccountId;

impl Identities {
    /// Gives the account an alias in place of the one that it may have. `EntityAlreadyExists` where another account has it.
    pub async fn create_alias(&self, account: AccountId, alias: &str) -> Result<()> {
        let alias = name::alias(alias)?;
        again(|| async {
            let mut change = self.change(account).await?;
            let mut row: AccountRow = change.get(row::account(account)).await?.unwrap_or_default();
            if row.alias.as_deref() == Some(alias) {
                return Ok(());
            }
            if change.get::<AliasRow>(row::alias(alias)).await?.is_some() {
                let message = format!("The account alias {alias} already exists.");
                return Err(IdentityError::new(Code::EntityAlreadyExists, message));
            }
            change.unchanged(row::account(account));
            change.absent(row::alias(alias));
            if let Some(before) = row.alias.replace(alias.into()) {
                change.delete(row::alias(&before));
            }
            change.put(row::account(account), &row);
            change.put(row::alias(alias), &AliasRow { account });
            self.apply(change).await
        })
        .await
    }

    /// Takes the alias away; `NoSuchEntity` where it is another.
    pub async fn delete_alias(&self, account: AccountId, alias: &str) -> Result<()> {
        let alias = name::alias(alias)?;
        again(|| async {
            let mut change = self.change(account).await?;
            let mut row: AccountRow = change.get(row::account(account)).await?.unwrap_or_default();
            if row.alias.as_deref() != Some(alias) {
                let message = format!("The Account Alias with name {alias} cannot be found.");
                return Err(IdentityError::new(Code::NoSuchEntity, message));
            }
            change.unchanged(row::account(account));
            row.alias = None;
            change.put(row::account(account), &row);
            change.delete(row::alias(alias));
            self.apply(change).await
        })
        .await
    }

    /// The account's alias.
    pub async fn alias(&self, account: AccountId) -> Result<Option<String>> {
        let row: Option<AccountRow> = self.view(account).await?.get(row::account(account)).await?;
        Ok(row.and_then(|row| row.alias).map(Into::into))
    }

    /// How many of everything there are, and may be, by the names of `GetAccountSummary`.
    pub async fn summary(&self, account: AccountId) -> Result<Summary> {
        let view = self.view(account).await?;
        let mut found = Vec::new();
        for (name, count, quota) in [
            ("Users", Count::Users, ("UsersQuota", limit::USERS)),
            ("Groups", Count::Groups, ("GroupsQuota", limit::GROUPS)),
            ("Roles", Count::Roles, ("RolesQuota", limit::ROLES)),
            ("Policies", Count::Policies, ("PoliciesQuota", limit::POLICIES)),
        ] {
            found.push((name, u64::try_from(view.count(count, EntityId::ROOT).await?).unwrap_or_default()));
            found.push((quota.0, quota.1.unsigned_abs()));
        }
        for (name, count) in [("MFADevices", Count::Devices), ("MFADevicesInUse", Count::DevicesInUse)] {
            found.push((name, u64::try_from(view.count(count, EntityId::ROOT).await?).unwrap_or_default()));
        }
        let providers = view.count(Count::Providers, EntityId::ROOT).await?;
        found.push(("Providers", u64::try_from(providers).unwrap_or_default()));
        let root_keys = view.count(Count::Keys, EntityId::ROOT).await?;
        let root_keys =
            usize::try_from(root_keys).unwrap_or_default() + self.parts.roots.keys_of(account).len();
        found.extend([
            // Roots have keys here, and neither passwords nor second factors.
            ("AccountMFAEnabled", 0),
            ("AccountPasswordPresent", 0),
            ("AccountAccessKeysPresent", u64::from(root_keys > 0)),
            ("AccessKeysPerUserQuota", limit::KEYS.unsigned_abs()),
            ("GroupsPerUserQuota", limit::GROUPS_OF_USER.unsigned_abs()),
            ("AttachedPoliciesPerUserQuota", limit::ATTACHED.unsigned_abs()),
            ("AttachedPoliciesPerRoleQuota", limit::ATTACHED.unsigned_abs()),
            ("AttachedPoliciesPerGroupQuota", limit::ATTACHED_TO_GROUP.unsigned_abs()),
            ("UserPolicySizeQuota", limit::INLINE_CHARS_OF_USER.unsigned_abs()),
            ("GroupPolicySizeQuota", limit::INLINE_CHARS_OF_GROUP.unsigned_abs()),
            ("RolePolicySizeQuota", limit::INLINE_CHARS_OF_ROLE.unsigned_abs()),
            ("AssumeRolePolicySizeQuota", limit::TRUST_CHARS as u64),
            ("PolicySizeQuota", limit::MANAGED_CHARS as u64),
            ("VersionsPerPolicyQuota", limit::VERSIONS.unsigned_abs()),
        ]);
        Ok(found)
    }
}
