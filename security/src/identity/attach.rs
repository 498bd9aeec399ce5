//! Managed policies on users, groups and roles, and permissions boundaries.

use super::change::{Change, again};
use super::error::{Code, IdentityError, Result};
use super::id::EntityId;
use super::named;
use super::row::{self, Count, Edge, EdgeRow, EntityRow};
use super::{AttachedPolicy, Identities, Kind, Owner, Page, Paging, limit, name};
use crate::AccountId;
use engine::catalog::record::Record as _;

/// A managed policy, as an edge names it.
pub(super) struct PolicyRef {
    pub(super) id: EntityId,
    pub(super) arn: String,
}

impl Change {
    /// A managed policy that the change rests on: of the account, or of AWS's names.
    pub(super) async fn resting_policy(&mut self, arn: &str) -> Result<PolicyRef> {
        if let Some(known) = named::by_arn(arn) {
            return Ok(PolicyRef { id: known.id(), arn: arn.to_owned() });
        }
        let row = self.own_policy(arn).await?;
        self.rests_on(&row);
        Ok(PolicyRef { id: row.id, arn: arn.to_owned() })
    }

    /// The boundary that somebody is to have, if any.
    pub(super) async fn boundary_to_be(&mut self, arn: Option<&str>) -> Result<Option<PolicyRef>> {
        match arn {
            Some(arn) => Ok(Some(self.resting_policy(arn).await?)),
            None => Ok(None),
        }
    }

    /// Writes the boundary's other end.
    pub(super) fn bind(&mut self, owner: EntityId, policy: Option<&PolicyRef>) {
        let Some(policy) = policy else { return };
        self.mark(row::holder(self.account, policy.id, Edge::Boundary, owner));
        self.add(Count::Bounded, policy.id, 1, None);
    }

    /// Takes the other end of somebody's boundary away. The policy is there: it can't be deleted while it bounds anybody.
    pub(super) async fn unbind(&mut self, owner: &EntityRow) -> Result<()> {
        let Some(arn) = &owner.boundary else { return Ok(()) };
        let id = match named::by_arn(arn) {
            Some(known) => known.id(),
            None => self.own_policy(arn).await?.id,
        };
        self.delete(row::holder(self.account, id, Edge::Boundary, owner.id));
        self.add(Count::Bounded, id, -1, None);
        Ok(())
    }
}

const fn quota(owner: Owner<'_>) -> (&'static str, i64) {
    match owner {
        Owner::User(_) => ("PoliciesPerUser", limit::ATTACHED),
        Owner::Role(_) => ("PoliciesPerRole", limit::ATTACHED),
        Owner::Group(_) => ("PoliciesPerGroup", limit::ATTACHED_TO_GROUP),
    }
}

fn bounded(owner: Owner<'_>) -> Result<()> {
    if owner.kind() == Kind::Group {
        return Err(IdentityError::new(Code::InvalidInput, "A group has no permissions boundary."));
    }
    Ok(())
}

impl Identities {
    /// Attaches a managed policy; one that is attached stays so. `LimitExceeded` above 20, of a group above ten.
    pub async fn attach(&self, account: AccountId, owner: Owner<'_>, arn: &str) -> Result<()> {
        again(|| async {
            let mut change = self.change(account).await?;
            let owner_id = change.resting_owner(owner).await?.id;
            let policy = change.resting_policy(arn).await?;
            let edge = row::attached(account, owner_id, policy.id);
            change.touch(owner_id);
            if change.snapshot.get(edge.clone()).await?.is_some() {
                return self.is_so(change).await;
            }
            change.absent(edge.clone());
            change.put(edge, &EdgeRow { arn: arn.into() });
            change.mark(row::holder(account, policy.id, Edge::Attached, owner_id));
            change.add(Count::Attached, owner_id, 1, Some(quota(owner)));
            change.add(Count::Holders, policy.id, 1, None);
            self.apply(change).await
        })
        .await
    }

    /// Detaches a managed policy; `NoSuchEntity` where it is not attached.
    pub async fn detach(&self, account: AccountId, owner: Owner<'_>, arn: &str) -> Result<()> {
        again(|| async {
            let mut change = self.change(account).await?;
            let owner_id = change.resting_owner(owner).await?.id;
            let policy = change.resting_policy(arn).await?;
            let edge = row::attached(account, owner_id, policy.id);
            if change.snapshot.get(edge.clone()).await?.is_none() {
                return Err(IdentityError::new(Code::NoSuchEntity, format!("Policy {arn} was not found.")));
            }
            change.unchanged(edge.clone());
            change.delete(edge);
            change.delete(row::holder(account, policy.id, Edge::Attached, owner_id));
            change.add(Count::Attached, owner_id, -1, None);
            change.add(Count::Holders, policy.id, -1, None);
            change.touch(owner_id);
            self.apply(change).await
        })
        .await
    }

    /// The managed policies of somebody whose path begins so.
    pub async fn attached(
        &self,
        account: AccountId,
        owner: Owner<'_>,
        path_prefix: Option<&str>,
        paging: Paging<'_>,
    ) -> Result<Page<AttachedPolicy>> {
        let prefix = name::path_prefix(path_prefix)?;
        let view = self.view(account).await?;
        let id = view.owner(owner).await?.id;
        let read = |_: &str, value: &[u8]| {
            let arn = String::from(EdgeRow::from_bytes(value)?.arn);
            let (_, path, name) = name::split_arn(&arn, Kind::Policy)?;
            let policy = path.starts_with(prefix).then(|| name.to_owned());
            Ok(policy.map(|name| AttachedPolicy { name, arn }))
        };
        view.page((row::ATTACHED, row::of_entity(account, id)), paging, read).await
    }

    /// Gives a user or role a permissions boundary in place of the one that it may have.
    pub async fn set_boundary(&self, account: AccountId, owner: Owner<'_>, arn: &str) -> Result<()> {
        bounded(owner)?;
        again(|| async {
            let mut change = self.change(account).await?;
            let mut row = change.resting_owner(owner).await?;
            if row.boundary.as_deref() == Some(arn) {
                change.touch(row.id);
                return self.is_so(change).await;
            }
            let policy = change.resting_policy(arn).await?;
            change.unbind(&row).await?;
            change.bind(row.id, Some(&policy));
            row.boundary = Some(arn.into());
            change.put_entity(&row);
            self.apply(change).await
        })
        .await
    }

    /// Takes the permissions boundary away.
    pub async fn delete_boundary(&self, account: AccountId, owner: Owner<'_>) -> Result<()> {
        bounded(owner)?;
        again(|| async {
            let mut change = self.change(account).await?;
            let mut row = change.resting_owner(owner).await?;
            if row.boundary.is_none() {
                let message =
                    format!("{} {} has no permissions boundary.", owner.kind().word(), owner.name());
                return Err(IdentityError::new(Code::NoSuchEntity, message));
            }
            change.unbind(&row).await?;
            row.boundary = None;
            change.put_entity(&row);
            self.apply(change).await
        })
        .await
    }
}
