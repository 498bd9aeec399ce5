//! What users, groups, roles and managed policies have in common: made, named anew, shown.

use super::change::{Change, again};
use super::error::{Code, IdentityError, Result};
use super::id::EntityId;
use super::row::{self, ByIdRow, Count, EntityRow, OfKind};
use super::{Group, Identities, Kind, Pins, Role, Tag, User, limit, name};
use crate::AccountId;

/// An entity to be.
pub(super) struct Draft<'a> {
    pub(super) name: &'a str,
    pub(super) path: &'a str,
    pub(super) tags: &'a [Tag],
    /// The ARN of its boundary, looked up.
    pub(super) boundary: Option<String>,
    pub(super) of_kind: OfKind,
}

const fn quota(kind: Kind) -> (&'static str, i64) {
    match kind {
        Kind::User => ("UsersPerAccount", limit::USERS),
        Kind::Group => ("GroupsPerAccount", limit::GROUPS),
        Kind::Role => ("RolesPerAccount", limit::ROLES),
        Kind::Policy => ("PoliciesPerAccount", limit::POLICIES),
    }
}

/// `User`
const fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::User => "User",
        Kind::Group => "Group",
        Kind::Role => "Role",
        Kind::Policy => "Policy",
    }
}

fn taken(kind: Kind, name: &str) -> IdentityError {
    let message = match kind {
        Kind::Policy => {
            format!("A policy called {name} already exists. Duplicate names are not allowed.")
        }
        _ => format!("{} with name {name} already exists.", title(kind)),
    };
    IdentityError::new(Code::EntityAlreadyExists, message)
}

impl Identities {
    /// Makes an entity, in this change.
    pub(super) async fn create(&self, change: &mut Change, draft: Draft<'_>) -> Result<EntityRow> {
        let kind = draft.of_kind.kind();
        if change.find(kind, draft.name).await?.is_some() {
            return Err(taken(kind, draft.name));
        }
        let row = EntityRow {
            id: EntityId::random(kind, &*self.parts.entropy),
            name: draft.name.into(),
            path: draft.path.into(),
            created: self.parts.clock.now(),
            tags: draft.tags.to_vec(),
            boundary: draft.boundary.map(Into::into),
            of_kind: draft.of_kind,
        };
        let account = change.account;
        change.absent(row::entity(account, kind, &row.lower()));
        change.put_entity(&row);
        change.put(row::by_id(row.id), &ByIdRow { account, kind, lower: row.lower().into() });
        change.add(Count::of_kind(kind), EntityId::ROOT, 1, Some(quota(kind)));
        Ok(row)
    }

    /// Gives a user or group another name or path. All else hangs on its id.
    pub(super) async fn rename(
        &self,
        account: AccountId,
        (kind, name): (Kind, &str),
        new_name: Option<&str>,
        new_path: Option<&str>,
    ) -> Result<()> {
        let new_name = new_name.map(|name| kind.new_name(name)).transpose()?;
        let new_path = new_path.map(|path| name::path(Some(path))).transpose()?;
        again(|| async {
            let mut change = self.change(account).await?;
            let before = change.resting(kind, name).await?;
            let mut row = before.clone();
            row.name = new_name.map_or(row.name, Into::into);
            row.path = new_path.map_or(row.path, Into::into);
            if row == before {
                change.touch(row.id);
                return self.is_so(change).await;
            }
            let lower = row.lower();
            if lower != before.lower() {
                if change.find(kind, &lower).await?.is_some() {
                    return Err(taken(kind, &row.name));
                }
                change.absent(row::entity(account, kind, &lower));
                change.delete(row::entity(account, kind, &before.lower()));
                change.put(row::by_id(row.id), &ByIdRow { account, kind, lower: lower.into() });
            }
            change.put_entity(&row);
            self.apply(change).await
        })
        .await
    }
}

/// As it is shown; listings leave out tags.
pub(super) fn user(account: AccountId, row: EntityRow) -> User {
    User {
        arn: row.arn(account),
        id: row.id.to_string(),
        name: row.name.into(),
        path: row.path.into(),
        created: row.created,
        boundary: row.boundary.map(Into::into),
        tags: row.tags,
        password_used: None,
    }
}

/// As listings show it.
pub(super) fn listed_user(account: AccountId, row: EntityRow) -> User {
    user(account, EntityRow { tags: Vec::new(), boundary: None, ..row })
}

/// As it is shown.
pub(super) fn group(account: AccountId, row: EntityRow) -> Group {
    Group {
        arn: row.arn(account),
        id: row.id.to_string(),
        name: row.name.into(),
        path: row.path.into(),
        created: row.created,
    }
}

impl Identities {
    /// As it is shown.
    pub(super) fn role_shown(&self, account: AccountId, row: EntityRow) -> Result<Role> {
        let (role, pins) = role(account, row)?;
        Ok(Role { trust: self.shown(&role.trust, &pins), ..role })
    }
}

/// As it was set, and whom its trust policy names.
fn role(account: AccountId, row: EntityRow) -> Result<(Role, Pins)> {
    let arn = row.arn(account);
    let OfKind::Role(of_role) = row.of_kind else {
        return Err(crate::Error::Corrupt { what: "role", detail: "it is of another kind".to_owned() }.into());
    };
    let role = Role {
        arn,
        id: row.id.to_string(),
        name: row.name.into(),
        path: row.path.into(),
        created: row.created,
        trust: of_role.trust.into(),
        description: of_role.description.map(Into::into),
        max_session_secs: of_role.max_session_secs,
        boundary: row.boundary.map(Into::into),
        tags: row.tags,
        last_used: None,
    };
    Ok((role, of_role.pins))
}
