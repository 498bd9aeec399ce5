//! Roles.

use super::change::again;
use super::entity::Draft;
use super::error::{Code, IdentityError, Result};
use super::row::{Count, EntityRow, OfKind, RoleRow};
use super::{Identities, Kind, NewRole, Page, Paging, Pins, Role, document, managed, name};
use crate::AccountId;
use crate::policy::{Party, Policy};

/// How long a session may last where nobody said.
const MAX_SESSION_SECS: u32 = 3_600;

fn max_session(secs: Option<u32>) -> Result<Option<u32>> {
    match secs {
        Some(secs) if !(3_600..=43_200).contains(&secs) => {
            Err(IdentityError::invalid("maxSessionDuration must be 3600 to 43200 seconds."))
        }
        other => Ok(other),
    }
}

fn wrong_kind() -> IdentityError {
    IdentityError::new(Code::ServiceFailure, "The request could not be processed.")
}

impl Identities {
    /// Everybody whom a trust policy names; `MalformedPolicyDocument` where somebody is not there.
    fn pins_of_trust(&self, trust: &Policy) -> Result<Pins> {
        self.pins(trust).map_err(|place| {
            let named = trust.parties().find(|party| party.place == place);
            let arn =
                named.map_or("", |party| if let Party::Arn { arn, .. } = party.what { arn } else { "" });
            let message = format!("Invalid principal in policy: \"AWS\":\"{arn}\" ({place})");
            IdentityError::new(Code::MalformedPolicyDocument, message)
        })
    }

    /// Makes a role.
    pub async fn create_role(&self, account: AccountId, new: NewRole<'_>) -> Result<Role> {
        let (name, path) = (Kind::Role.new_name(new.name)?, name::path(new.path)?);
        name::check_tags(new.tags)?;
        let trust = document::trust(new.trust)?;
        let max_session_secs = max_session(new.max_session_secs)?.unwrap_or(MAX_SESSION_SECS);
        let description = managed::description(new.description)?;
        again(|| async {
            let mut change = self.change(account).await?;
            let bound = change.boundary_to_be(new.boundary).await?;
            let of_kind = OfKind::Role(RoleRow {
                trust: new.trust.into(),
                pins: self.pins_of_trust(&trust)?,
                max_session_secs,
                description: description.clone(),
            });
            let boundary = bound.as_ref().map(|policy| policy.arn.clone());
            let row =
                self.create(&mut change, Draft { name, path, tags: new.tags, boundary, of_kind }).await?;
            change.bind(row.id, bound.as_ref());
            self.apply(change).await?;
            self.role_shown(account, row)
        })
        .await
    }

    /// A role.
    pub async fn role(&self, account: AccountId, name: &str) -> Result<Role> {
        let view = self.view(account).await?;
        let row = view.entity(Kind::Role, name).await?;
        let last_used = view.get(super::row::last_used(&row.id.to_string())).await?;
        let last_used = last_used.map(|row: super::row::LastUsedRow| (row.at, row.region.into()));
        Ok(Role { last_used, ..self.role_shown(account, row)? })
    }

    /// Roles whose path begins so, without tags and last use.
    pub async fn roles(
        &self,
        account: AccountId,
        path_prefix: Option<&str>,
        paging: Paging<'_>,
    ) -> Result<Page<Role>> {
        let page = self.view(account).await?.entities(Kind::Role, path_prefix, paging).await?;
        let bare = |row| EntityRow { tags: Vec::new(), boundary: None, ..row };
        let items = page.items.into_iter().map(|row| self.role_shown(account, bare(row)));
        Ok(Page { items: items.collect::<Result<_>>()?, next: page.next })
    }

    /// Says anew what a role is for and how long its sessions may last; what is `None` stays.
    pub async fn update_role(
        &self,
        account: AccountId,
        name: &str,
        description: Option<&str>,
        max_session_secs: Option<u32>,
    ) -> Result<Role> {
        let max_session_secs = max_session(max_session_secs)?;
        let description = managed::description(description)?;
        again(|| async {
            let mut change = self.change(account).await?;
            let mut row = change.resting(Kind::Role, name).await?;
            let OfKind::Role(role) = &mut row.of_kind else { return Err(wrong_kind()) };
            role.max_session_secs = max_session_secs.unwrap_or(role.max_session_secs);
            role.description = description.clone().or_else(|| role.description.take());
            change.put_entity(&row);
            self.apply(change).await?;
            self.role_shown(account, row)
        })
        .await
    }

    /// Replaces a role's trust policy.
    pub async fn set_trust(&self, account: AccountId, name: &str, document: &str) -> Result<()> {
        let trust = document::trust(document)?;
        again(|| async {
            let mut change = self.change(account).await?;
            let mut row = change.resting(Kind::Role, name).await?;
            let pins = self.pins_of_trust(&trust)?;
            let OfKind::Role(role) = &mut row.of_kind else { return Err(wrong_kind()) };
            role.trust = document.into();
            role.pins = pins;
            change.put_entity(&row);
            self.apply(change).await
        })
        .await
    }

    /// Ends a role and its sessions. `DeleteConflict` while it has policies.
    pub async fn delete_role(&self, account: AccountId, name: &str) -> Result<()> {
        again(|| async {
            let mut change = self.change(account).await?;
            let row = change.resting(Kind::Role, name).await?;
            for (count, what) in
                [(Count::Attached, "detach all policies"), (Count::InlineChars, "delete policies")]
            {
                change.none_of(count, row.id, 0, what).await?;
            }
            change.unbind(&row).await?;
            change.delete(super::row::last_used(&row.id.to_string()));
            change.delete_entity(&row);
            self.apply(change).await
        })
        .await
    }
}
