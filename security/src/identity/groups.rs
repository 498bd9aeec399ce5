//! Groups and their members.

use super::change::again;
use super::entity::{self, Draft};
use super::row::{self, Count, OfKind};
use super::view::last_id;
use super::{Group, Identities, Kind, Page, Paging, Result, User, limit, name};
use crate::AccountId;
use engine::catalog::Table;

impl Identities {
    /// Makes a group.
    pub async fn create_group(&self, account: AccountId, name: &str, path: Option<&str>) -> Result<Group> {
        let (name, path) = (Kind::Group.new_name(name)?, name::path(path)?);
        again(|| async {
            let mut change = self.change(account).await?;
            let draft = Draft { name, path, tags: &[], boundary: None, of_kind: OfKind::Group };
            let row = self.create(&mut change, draft).await?;
            self.apply(change).await?;
            Ok(entity::group(account, row))
        })
        .await
    }

    /// A group.
    pub async fn group(&self, account: AccountId, name: &str) -> Result<Group> {
        let row = self.view(account).await?.entity(Kind::Group, name).await?;
        Ok(entity::group(account, row))
    }

    /// Groups whose path begins so.
    pub async fn groups(
        &self,
        account: AccountId,
        path_prefix: Option<&str>,
        paging: Paging<'_>,
    ) -> Result<Page<Group>> {
        let page = self.view(account).await?.entities(Kind::Group, path_prefix, paging).await?;
        let items = page.items.into_iter().map(|row| entity::group(account, row)).collect();
        Ok(Page { items, next: page.next })
    }

    /// Gives a group another name, another path, or both.
    pub async fn update_group(
        &self,
        account: AccountId,
        name: &str,
        new_name: Option<&str>,
        new_path: Option<&str>,
    ) -> Result<()> {
        self.rename(account, (Kind::Group, name), new_name, new_path).await
    }

    /// Ends a group. `DeleteConflict` while it has members or policies.
    pub async fn delete_group(&self, account: AccountId, name: &str) -> Result<()> {
        again(|| async {
            let mut change = self.change(account).await?;
            let row = change.resting(Kind::Group, name).await?;
            for (count, what) in [
                (Count::Members, "remove users from group"),
                (Count::Attached, "detach all policies"),
                (Count::InlineChars, "delete policies"),
            ] {
                change.none_of(count, row.id, 0, what).await?;
            }
            change.delete_entity(&row);
            self.apply(change).await
        })
        .await
    }

    /// Adds a user to a group; one that is in it stays in it.
    pub async fn add_to_group(&self, account: AccountId, group: &str, user: &str) -> Result<()> {
        self.set_member(account, (group, user), true).await
    }

    /// Takes a user out of a group; one that is not in it stays out.
    pub async fn remove_from_group(&self, account: AccountId, group: &str, user: &str) -> Result<()> {
        self.set_member(account, (group, user), false).await
    }

    async fn set_member(&self, account: AccountId, (group, user): (&str, &str), wanted: bool) -> Result<()> {
        again(|| async {
            let mut change = self.change(account).await?;
            let group = change.resting(Kind::Group, group).await?.id;
            let user = change.resting(Kind::User, user).await?.id;
            let (member, group_of) = (row::member(account, group, user), row::group_of(account, user, group));
            change.touch(user);
            if change.snapshot.get(member.clone()).await?.is_some() == wanted {
                return self.is_so(change).await;
            }
            change.unchanged(member.clone());
            if wanted {
                change.mark(member);
                change.mark(group_of);
                change.add(Count::Members, user, 1, Some(("GroupsPerUser", limit::GROUPS_OF_USER)));
                change.add(Count::Members, group, 1, None);
            } else {
                change.delete(member);
                change.delete(group_of);
                change.add(Count::Members, user, -1, None);
                change.add(Count::Members, group, -1, None);
            }
            self.apply(change).await
        })
        .await
    }

    /// The users of a group, without their tags.
    pub async fn members(&self, account: AccountId, group: &str, paging: Paging<'_>) -> Result<Page<User>> {
        let (rows, next) = self.linked(account, (Kind::Group, group), row::MEMBERS, paging).await?;
        Ok(Page { items: rows.into_iter().map(|row| entity::listed_user(account, row)).collect(), next })
    }

    /// The groups of a user.
    pub async fn groups_of(&self, account: AccountId, user: &str, paging: Paging<'_>) -> Result<Page<Group>> {
        let (rows, next) = self.linked(account, (Kind::User, user), row::GROUPS_OF, paging).await?;
        Ok(Page { items: rows.into_iter().map(|row| entity::group(account, row)).collect(), next })
    }

    async fn linked(
        &self,
        account: AccountId,
        (kind, name): (Kind, &str),
        table: Table,
        paging: Paging<'_>,
    ) -> Result<(Vec<row::EntityRow>, Option<String>)> {
        let view = self.view(account).await?;
        let of = view.entity(kind, name).await?.id;
        let read = |tail: &str, _: &[u8]| last_id(tail.as_bytes()).map(Some);
        let page = view.page((table, row::of_entity(account, of)), paging, read).await?;
        Ok((view.by_ids(&page.items).await?, page.next))
    }
}
