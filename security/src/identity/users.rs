//! Users.

use super::change::again;
use super::entity::{self, Draft};
use super::login_row::{self, LoginRow};
use super::row::{Count, OfKind};
use super::{Identities, Kind, NewUser, Page, Paging, Result, User, name};
use crate::AccountId;

impl Identities {
    /// Makes a user. `EntityAlreadyExists` where one has the name in whatever case.
    pub async fn create_user(&self, account: AccountId, new: NewUser<'_>) -> Result<User> {
        let (name, path) = (Kind::User.new_name(new.name)?, name::path(new.path)?);
        name::check_tags(new.tags)?;
        again(|| async {
            let mut change = self.change(account).await?;
            let bound = change.boundary_to_be(new.boundary).await?;
            let boundary = bound.as_ref().map(|policy| policy.arn.clone());
            let draft = Draft { name, path, tags: new.tags, boundary, of_kind: OfKind::User };
            let row = self.create(&mut change, draft).await?;
            change.bind(row.id, bound.as_ref());
            self.apply(change).await?;
            Ok(entity::user(account, row))
        })
        .await
    }

    /// A user.
    pub async fn user(&self, account: AccountId, name: &str) -> Result<User> {
        let view = self.view(account).await?;
        let row = view.entity(Kind::User, name).await?;
        let login: Option<LoginRow> = view.get(login_row::login(account, row.id)).await?;
        let password_used = login.and_then(|login| login.last_used);
        Ok(User { password_used, ..entity::user(account, row) })
    }

    /// Users whose path begins so, without their tags and the last use of their passwords.
    pub async fn users(
        &self,
        account: AccountId,
        path_prefix: Option<&str>,
        paging: Paging<'_>,
    ) -> Result<Page<User>> {
        let page = self.view(account).await?.entities(Kind::User, path_prefix, paging).await?;
        let items = page.items.into_iter().map(|row| entity::listed_user(account, row)).collect();
        Ok(Page { items, next: page.next })
    }

    /// Gives a user another name, another path, or both. Its keys, policies and groups stay its own.
    pub async fn update_user(
        &self,
        account: AccountId,
        name: &str,
        new_name: Option<&str>,
        new_path: Option<&str>,
    ) -> Result<()> {
        self.rename(account, (Kind::User, name), new_name, new_path).await
    }

    /// Ends a user. `DeleteConflict` while it has keys, a password, second factors, policies or groups.
    pub async fn delete_user(&self, account: AccountId, name: &str) -> Result<()> {
        again(|| async {
            let mut change = self.change(account).await?;
            let row = change.resting(Kind::User, name).await?;
            for (count, what) in [
                (Count::Keys, "delete access keys"),
                (Count::Logins, "delete login profile"),
                (Count::Devices, "deactivate MFA devices"),
                (Count::Members, "remove users from group"),
                (Count::Attached, "detach all policies"),
                (Count::InlineChars, "delete policies"),
            ] {
                change.none_of(count, row.id, 0, what).await?;
            }
            change.unbind(&row).await?;
            change.delete_entity(&row);
            self.apply(change).await
        })
        .await
    }
}
