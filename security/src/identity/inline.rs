//! Policies that are part of a user, group or role.

use super::change::again;
use super::error::{Code, IdentityError, Result};
use super::row::{self, Count, DocumentRow, Which};
use super::{Identities, Owner, Page, Paging, document, limit, name};
use crate::AccountId;

fn absent(owner: Owner<'_>, name: &str) -> IdentityError {
    let message = format!("The {} policy with name {name} cannot be found.", owner.kind().word());
    IdentityError::new(Code::NoSuchEntity, message)
}

const fn quota(owner: Owner<'_>) -> (&'static str, i64) {
    match owner {
        Owner::User(_) => ("InlinePolicySizePerUser", limit::INLINE_CHARS_OF_USER),
        Owner::Group(_) => ("InlinePolicySizePerGroup", limit::INLINE_CHARS_OF_GROUP),
        Owner::Role(_) => ("InlinePolicySizePerRole", limit::INLINE_CHARS_OF_ROLE),
    }
}

fn weight(text: &str) -> i64 {
    i64::try_from(document::weight(text)).unwrap_or(i64::MAX / 2)
}

impl Identities {
    /// Sets an inline policy, new or in place of the one of that name.
    pub async fn put_inline(
        &self,
        account: AccountId,
        owner: Owner<'_>,
        name: &str,
        document: &str,
    ) -> Result<()> {
        let which = Which::Inline(name::policy_name(name)?.into());
        document::inline(document)?;
        again(|| async {
            let mut change = self.change(account).await?;
            let id = change.resting_owner(owner).await?.id;
            let key = row::document(account, id, &which);
            let before: Option<DocumentRow> = change.get(key.clone()).await?;
            let freed = before.map_or(0, |before| weight(&before.text));
            change.unchanged(key.clone());
            change.put(key, &DocumentRow { created: self.parts.clock.now(), text: document.into() });
            change.add(Count::InlineChars, id, weight(document) - freed, Some(quota(owner)));
            change.touch(id);
            self.apply(change).await
        })
        .await
    }

    /// The text of an inline policy, as it was set.
    pub async fn inline(&self, account: AccountId, owner: Owner<'_>, name: &str) -> Result<String> {
        let which = Which::Inline(name::policy_name(name)?.into());
        let view = self.view(account).await?;
        let id = view.owner(owner).await?.id;
        let found = view.document(id, &which).await?;
        found.map(|row| row.text.into()).ok_or_else(|| absent(owner, name))
    }

    /// The names of somebody's inline policies.
    pub async fn inlines(
        &self,
        account: AccountId,
        owner: Owner<'_>,
        paging: Paging<'_>,
    ) -> Result<Page<String>> {
        let view = self.view(account).await?;
        let id = view.owner(owner).await?.id;
        let read = |name: &str, _: &[u8]| Ok(Some(name.to_owned()));
        view.page((row::DOCUMENTS, row::inlines(account, id)), paging, read).await
    }

    /// Ends an inline policy.
    pub async fn delete_inline(&self, account: AccountId, owner: Owner<'_>, name: &str) -> Result<()> {
        let which = Which::Inline(name::policy_name(name)?.into());
        again(|| async {
            let mut change = self.change(account).await?;
            let id = change.resting_owner(owner).await?.id;
            let key = row::document(account, id, &which);
            let before: Option<DocumentRow> = change.get(key.clone()).await?;
            let freed = weight(&before.ok_or_else(|| absent(owner, name))?.text);
            change.unchanged(key.clone());
            change.delete(key);
            change.add(Count::InlineChars, id, -freed, None);
            change.touch(id);
            self.apply(change).await
        })
        .await
    }
}
