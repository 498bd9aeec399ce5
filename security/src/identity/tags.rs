//! Tags of users, roles and managed policies.

use super::change::again;
use super::error::{Code, IdentityError, Result};
use super::row::EntityRow;
use super::view::View;
use super::{Identities, Kind, Page, Paging, Tag, Tagged, limit, name};
use crate::AccountId;

impl View {
    async fn tagged(&self, what: Tagged<'_>) -> Result<EntityRow> {
        match what {
            Tagged::User(name) => self.entity(Kind::User, name).await,
            Tagged::Role(name) => self.entity(Kind::Role, name).await,
            Tagged::Policy(arn) if super::named::by_arn(arn).is_some() => {
                Err(IdentityError::new(Code::InvalidInput, "A policy of AWS's own can't be tagged."))
            }
            Tagged::Policy(arn) => self.own_policy(arn).await,
        }
    }
}

impl Identities {
    /// Sets tags, new or in place of those of that key.
    pub async fn tag(&self, account: AccountId, what: Tagged<'_>, tags: &[Tag]) -> Result<()> {
        name::check_tags(tags)?;
        self.retag(account, what, |kept| {
            for tag in tags {
                let lower = tag.key.to_lowercase();
                match kept.iter_mut().find(|known| known.key.to_lowercase() == lower) {
                    Some(known) => *known = tag.clone(),
                    None => kept.push(tag.clone()),
                }
            }
        })
        .await
    }

    /// Takes tags away; keys that are not there are passed over.
    pub async fn untag(&self, account: AccountId, what: Tagged<'_>, keys: &[&str]) -> Result<()> {
        self.retag(account, what, |kept| {
            kept.retain(|tag| !keys.iter().any(|key| key.to_lowercase() == tag.key.to_lowercase()));
        })
        .await
    }

    async fn retag(
        &self,
        account: AccountId,
        what: Tagged<'_>,
        change_tags: impl Fn(&mut Vec<Tag>) + Sync,
    ) -> Result<()> {
        let change_tags = &change_tags;
        again(|| async move {
            let mut change = self.change(account).await?;
            let mut row = change.tagged(what).await?;
            change.rests_on(&row);
            change_tags(&mut row.tags);
            name::check_tags_size(&row.tags)?;
            change.put_entity(&row);
            self.apply(change).await
        })
        .await
    }

    /// The tags, in the order in which they were set.
    pub async fn tags(&self, account: AccountId, what: Tagged<'_>, paging: Paging<'_>) -> Result<Page<Tag>> {
        let tags = self.view(account).await?.tagged(what).await?.tags;
        let behind = paging.after.and_then(|after| tags.iter().position(|tag| tag.key == after));
        let from = behind.map_or(0, |at| at + 1);
        let items: Vec<Tag> =
            tags.iter().skip(from).take(paging.limit.clamp(1, limit::PAGE)).cloned().collect();
        let more = from + items.len() < tags.len();
        let next = items.last().filter(|_| more).map(|tag| tag.key.clone());
        Ok(Page { items, next })
    }
}
