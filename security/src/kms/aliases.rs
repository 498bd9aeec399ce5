//! Aliases: names that can be turned from one key to another.

use super::allow::{AccountContext, Wants, aliases_of, refused};
use super::change::again;
use super::error::{Code, KmsError, Result};
use super::find::{Found, get, no_alias, page};
use super::id::{Wanted, alias_arn, is_alias};
use super::model::{Alias, Asks, Page, Paging};
use super::row::{self, AliasRow, Count};
use super::{Kms, limit};
use crate::AccountId;
use engine::catalog::record::Record as _;

/// An alias that a customer may have.
fn check(name: &str) -> Result<()> {
    if !name.starts_with("alias/") || !is_alias(name) {
        let message = "An alias begins with alias/ and has letters, digits, colons, slashes, underscores and dashes, 256 characters at the most.";
        return Err(KmsError::new(Code::InvalidAliasName, message));
    }
    if name.starts_with("alias/aws/") {
        let message = "Aliases that begin with alias/aws/ are those of services.";
        return Err(KmsError::new(Code::NotAuthorized, message));
    }
    Ok(())
}

impl Kms {
    /// Who asks may do this to an alias, by the policies of their own.
    fn allow_alias(&self, asks: &Asks<'_>, action: &str, name: &str) -> Result<AccountId> {
        let none = || KmsError::new(Code::AccessDenied, "Nobody signed.");
        let account = asks.principal.account().ok_or_else(none)?;
        let arn = alias_arn(self.region(), account, name);
        let context = AccountContext { asks, said: Vec::new(), tags: &[] };
        let verdict = asks.principal.may(action, &arn, account, &context);
        if verdict.is_allowed() { Ok(account) } else { Err(refused(verdict, asks.principal, action, &arn)) }
    }

    fn alias_shown(&self, account: AccountId, name: &str, row: &AliasRow) -> Alias {
        let arn = alias_arn(self.region(), account, name);
        Alias { name: name.to_owned(), arn, key: row.key, created: row.created, updated: row.updated }
    }

    /// A key that an alias may be turned to: of the same account.
    async fn target(
        &self,
        asks: &Asks<'_>,
        (account, key): (AccountId, &str),
        action: &'static str,
    ) -> Result<Found> {
        let found = self.find(asks, key, false).await?;
        self.allow(asks, &found, &Wants::control(action)).await?;
        if found.account != account {
            return Err(KmsError::invalid("The key and its alias are of one account."));
        }
        found.stays()?;
        Ok(found)
    }

    /// Gives a key a name.
    pub async fn create_alias(&self, asks: &Asks<'_>, name: &str, key: &str) -> Result<()> {
        check(name)?;
        let account = self.allow_alias(asks, "kms:CreateAlias", name)?;
        again(|| async {
            let found = self.target(asks, (account, key), "kms:CreateAlias").await?;
            if found.snapshot.get(row::alias(account, name)).await?.is_some() {
                let arn = alias_arn(self.region(), account, name);
                let message = format!("An alias with the name {arn} already exists");
                return Err(KmsError::new(Code::AlreadyExists, message));
            }
            let mut change = self.change(account, &*found.snapshot);
            let now = self.now();
            change.unchanged(found.row_key());
            change.unchanged(row::policy(account, found.id));
            change.absent(row::alias(account, name));
            change.put(row::alias(account, name), &AliasRow { key: found.id, created: now, updated: now });
            change.mark(row::alias_of(account, found.id, name));
            let limit = Some(("aliases of this key", limit::ALIASES));
            change.add(Count::Aliases.of_key(account, found.id), 1, limit);
            self.apply(change).await
        })
        .await
    }

    /// The key that an alias stands for, with the alias.
    async fn aliased(&self, account: AccountId, name: &str) -> Result<(AliasRow, Option<Found>)> {
        let snapshot = self.snapshot().await?;
        let alias: Option<AliasRow> = get(&*snapshot, row::alias(account, name)).await?;
        let alias = alias.ok_or_else(|| no_alias(self.region(), account, name))?;
        let found = self.at(snapshot, account, alias.key).await?;
        Ok((alias, found))
    }

    /// Turns an alias to another key, of the same kind.
    pub async fn update_alias(&self, asks: &Asks<'_>, name: &str, key: &str) -> Result<()> {
        check(name)?;
        let account = self.allow_alias(asks, "kms:UpdateAlias", name)?;
        again(|| async {
            let to = self.target(asks, (account, key), "kms:UpdateAlias").await?;
            let (alias, from) = self.aliased(account, name).await?;
            let mut change = self.change(account, &*to.snapshot);
            if let Some(from) = &from {
                self.allow(asks, from, &Wants::control("kms:UpdateAlias")).await?;
                if (from.row.usage, from.row.spec.is_asymmetric())
                    != (to.row.usage, to.row.spec.is_asymmetric())
                {
                    return Err(KmsError::invalid("Both keys of an alias are of one type and for one use."));
                }
            }
            change.unchanged(to.row_key());
            change.unchanged(row::policy(account, to.id));
            change.unchanged(row::alias(account, name));
            change.unchanged(row::policy(account, alias.key));
            change.put(row::alias(account, name), &AliasRow { key: to.id, updated: self.now(), ..alias });
            if alias.key != to.id {
                change.delete(row::alias_of(account, alias.key, name));
                change.add(Count::Aliases.of_key(account, alias.key), -1, None);
                change.mark(row::alias_of(account, to.id, name));
                let limit = Some(("aliases of this key", limit::ALIASES));
                change.add(Count::Aliases.of_key(account, to.id), 1, limit);
            }
            self.apply(change).await
        })
        .await
    }

    /// Takes an alias away; its key stays.
    pub async fn delete_alias(&self, asks: &Asks<'_>, name: &str) -> Result<()> {
        check(name)?;
        let account = self.allow_alias(asks, "kms:DeleteAlias", name)?;
        again(|| async {
            let snapshot = self.snapshot().await?;
            let (alias, found) = self.aliased(account, name).await?;
            if let Some(found) = &found {
                self.allow(asks, found, &Wants::control("kms:DeleteAlias")).await?;
            }
            let mut change = self.change(account, &*snapshot);
            change.unchanged(row::alias(account, name));
            change.unchanged(row::policy(account, alias.key));
            change.delete(row::alias(account, name));
            change.delete(row::alias_of(account, alias.key, name));
            change.add(Count::Aliases.of_key(account, alias.key), -1, None);
            self.apply(change).await
        })
        .await
    }

    /// The aliases of an account, or of a key of it.
    pub async fn aliases(
        &self,
        asks: &Asks<'_>,
        key: Option<&str>,
        paging: Paging<'_>,
    ) -> Result<Page<Alias>> {
        let account = self.allow_account(asks, "kms:ListAliases")?;
        if let Some(key) = key {
            // Whether another account's key is there is not looked at.
            if Wanted::parse(key, Some(account), self.region(), false)?.account != account {
                let message = "Aliases are listed of keys of one's own account.";
                return Err(KmsError::new(Code::InvalidArn, message));
            }
            let found = self.find(asks, key, false).await?;
            let mut aliases = aliases_of(&*found.snapshot, account, found.id).await?;
            aliases.retain(|(name, _)| paging.after.is_none_or(|after| name.as_str() > after));
            let limit = paging.limit.clamp(1, limit::PAGE);
            let more = aliases.len() > limit;
            aliases.truncate(limit);
            let items = aliases.iter().map(|(name, row)| self.alias_shown(account, name, row)).collect();
            return Ok(Page::of((items, more), |alias: &Alias| alias.name.clone()));
        }
        let snapshot = self.snapshot().await?;
        let prefix = account.to_bytes();
        let after = paging.after.map(|after| after.as_bytes().to_vec());
        let take = |key: &[u8], value: &[u8]| {
            let alias = AliasRow::from_bytes(value)?;
            let name = String::from_utf8_lossy(key);
            Ok(Some(self.alias_shown(account, &name, &alias)))
        };
        let found = page(&*snapshot, (row::ALIASES, &prefix), after, paging.limit, take).await?;
        Ok(Page::of(found, |alias| alias.name.clone()))
    }
}
