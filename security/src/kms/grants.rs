//! Grants: what somebody may do with a key until it is retired or revoked. Effective at once, with their token and without.

use super::allow::{By, Wants, names, told, who_is};
use super::change::{Change, again};
use super::error::{Code, KmsError, Result};
use super::find::{Found, all, get, no_key, not_allowed, page};
use super::id::key_arn;
use super::model::{Asks, Grant, NewGrant, Page, Paging, Retire};
use super::row::{self, Constraint, Count, GrantId, GrantRow, Party, Who};
use super::spec::GrantOperation;
use super::token::GrantToken;
use super::{KeyId, Kms, limit};
use crate::policy::Policy;
use crate::{AccountId, Arn};
use engine::catalog::record::Record as _;

fn invalid_id() -> KmsError {
    KmsError::new(Code::InvalidGrantId, "The grant ID is not valid.")
}

fn grant_id(text: &str) -> Result<GrantId> {
    let mut id = GrantId::default();
    hex::decode_to_slice(text, &mut id).map_err(|_| invalid_id())?;
    Ok(id)
}

impl Kms {
    /// Somebody whom a grant is to name, as they are now.
    fn party(&self, arn: &str) -> Result<Party> {
        let invalid =
            || KmsError::new(Code::InvalidArn, format!("ARN does not refer to a valid principal: {arn}"));
        // Everybody is nobody to give anything to.
        let policy = Some(arn).filter(|arn| arn.starts_with("arn:")).map(Policy::allowing);
        let policy = policy.and_then(Result::ok).ok_or_else(invalid)?;
        let pins = self.parts.identities.pins(&policy).map_err(|_| invalid())?;
        let who = who_is(arn, &pins);
        Ok(Party { arn: arn.into(), pins, who })
    }

    fn grant_shown(&self, account: AccountId, (key, id): (KeyId, &GrantId), row: &GrantRow) -> Grant {
        Grant {
            id: hex::encode(id),
            key_arn: key_arn(self.region(), account, key),
            name: row.name.as_deref().map(str::to_owned),
            created: row.created,
            grantee: row.grantee.arn.to_string(),
            retiring: row.retiring.as_ref().map(|party| party.arn.to_string()),
            issuer: row.issuer.to_string(),
            operations: row.operations,
            constraint: row.constraint.clone(),
        }
    }

    fn check_grant(found: &Found, new: &NewGrant<'_>) -> Result<()> {
        let NewGrant { operations, constraint, .. } = new;
        let unfit = operations.iter().find(|one| !one.suits(found.row.spec, found.row.usage));
        if let Some(one) = unfit {
            let message = format!(
                "A grant of {} can't be made on a key of spec {}.",
                one.as_str(),
                found.row.spec.as_str()
            );
            return Err(KmsError::invalid(message));
        }
        if operations.iter().next().is_none() {
            return Err(KmsError::invalid("A grant has one operation at least."));
        }
        let Some(Constraint::Equals(context) | Constraint::Subset(context)) = constraint else {
            return Ok(());
        };
        let bytes: usize = context.iter().map(|(key, value)| key.len() + value.len()).sum();
        if context.is_empty() || bytes > limit::CONSTRAINT_BYTES {
            let message = format!(
                "A constraint has one pair at least, and {} bytes at the most.",
                limit::CONSTRAINT_BYTES
            );
            return Err(KmsError::invalid(message));
        }
        if !operations.have_context() {
            return Err(KmsError::invalid(
                "A constraint goes with operations that take an encryption context.",
            ));
        }
        Ok(())
    }

    /// The grant of the same name that says all the same.
    async fn same_grant(&self, found: &Found, row: &GrantRow) -> Result<Option<GrantId>> {
        let Some(name) = &row.name else { return Ok(None) };
        let prefix = row::granted_to(found.account, found.id, &row.grantee.who);
        let max = usize::try_from(limit::GRANTED).unwrap_or_default();
        for (key, _) in all(&*found.snapshot, row::GRANTED, &prefix, max).await? {
            let Some(id) = key.last_chunk::<32>() else { continue };
            let known: Option<GrantRow> =
                get(&*found.snapshot, row::grant(found.account, found.id, id)).await?;
            let is_same = |known: &GrantRow| {
                known.name.as_ref() == Some(name)
                    && GrantRow { created: row.created, ..known.clone() } == *row
            };
            if known.is_some_and(|known| is_same(&known)) {
                return Ok(Some(*id));
            }
        }
        Ok(None)
    }

    /// Makes a grant: its id and its token. Who may by a grant alone gives no more than that has.
    pub async fn create_grant(&self, asks: &Asks<'_>, new: NewGrant<'_>) -> Result<(String, String)> {
        let mut said = vec![("kms:granteeprincipal", new.grantee.to_owned())];
        said.extend(new.retiring.map(|arn| ("kms:retiringprincipal", arn.to_owned())));
        said.extend(new.operations.iter().map(|one| ("kms:grantoperations", one.as_str().to_owned())));
        let kind = new.constraint.map(|constraint| match constraint {
            Constraint::Equals(_) => "EncryptionContextEquals",
            Constraint::Subset(_) => "EncryptionContextSubset",
        });
        said.extend(kind.map(|kind| ("kms:grantconstrainttype", kind.to_owned())));
        let wants = Wants {
            operation: Some(GrantOperation::CreateGrant),
            delegates: Some((new.operations, new.constraint)),
            said,
            crosses: true,
            ..Wants::control("kms:CreateGrant")
        };
        again(|| async {
            let found = self.find(asks, new.key, false).await?;
            let by = self.allow(asks, &found, &wants).await?;
            Self::check_grant(&found, &new)?;
            found.usable()?;
            let issuer =
                asks.principal.account().map_or_else(String::new, |account| Arn::root(account).to_string());
            let row = GrantRow {
                created: self.now(),
                name: new.name.map(Into::into),
                grantee: self.party(new.grantee)?,
                retiring: new.retiring.map(|arn| self.party(arn)).transpose()?,
                issuer: issuer.into(),
                operations: new.operations,
                constraint: new.constraint.cloned(),
            };
            asks.go_on()?;
            self.prepare(found.account).await?;
            let (account, key) = (found.account, found.id);
            if let Some(grant) = self.same_grant(&found, &row).await? {
                return Ok((hex::encode(grant), self.grant_token(&GrantToken { account, key, grant })?));
            }
            let mut grant = GrantId::default();
            self.parts.entropy.fill_id(&mut grant);
            let mut change = self.change(account, &*found.snapshot);
            change.unchanged(found.row_key());
            change.unchanged(row::policy(account, key));
            if let By::Grant(parent) = by {
                change.unchanged(row::grant(account, key, &parent));
            }
            change.absent(row::grant(account, key, &grant));
            change.put(row::grant(account, key, &grant), &row);
            change.mark(row::granted(account, key, &row.grantee.who, &grant));
            if let Some(retiring) = &row.retiring {
                change.mark(row::retirable(account, &retiring.who, key, &grant));
            }
            change.add(Count::Grants.of_key(account, key), 1, Some(("grants of this key", limit::GRANTS)));
            let of_who = Count::of_who(account, key, &row.grantee.who);
            change.add(of_who, 1, Some(("grants of this principal on this key", limit::GRANTED)));
            self.apply(change).await?;
            Ok((hex::encode(grant), self.grant_token(&GrantToken { account, key, grant })?))
        })
        .await
    }

    /// Takes a grant's rows away.
    pub(super) fn delete_grant(
        change: &mut Change,
        (account, key): (AccountId, KeyId),
        grant: &GrantId,
        row: &GrantRow,
    ) {
        change.delete(row::grant(account, key, grant));
        change.delete(row::granted(account, key, &row.grantee.who, grant));
        if let Some(retiring) = &row.retiring {
            change.delete(row::retirable(account, &retiring.who, key, grant));
        }
    }

    async fn end_grant(&self, found: &Found, grant: &GrantId, row: &GrantRow) -> Result<()> {
        let (account, key) = (found.account, found.id);
        let mut change = self.change(account, &*found.snapshot);
        change.unchanged(row::grant(account, key, grant));
        change.unchanged(found.row_key());
        change.unchanged(row::policy(account, key));
        Self::delete_grant(&mut change, (account, key), grant, row);
        change.add(Count::Grants.of_key(account, key), -1, None);
        change.add(Count::of_who(account, key, &row.grantee.who), -1, None);
        self.apply(change).await
    }

    /// Ends a grant: by whom it names for that, by its grantee if it gives that, or by who may by policy.
    pub async fn retire_grant(&self, asks: &Asks<'_>, which: Retire<'_>) -> Result<()> {
        again(|| async {
            let gone = || KmsError::new(Code::InvalidGrantToken, "The grant token is not valid.");
            let (found, grant, absent) = match which {
                Retire::Token(token) => {
                    let GrantToken { account, key, grant } = self.open_grant_token(token)?;
                    let found = self.at(self.snapshot().await?, account, key).await?;
                    (found.ok_or_else(|| no_key(self.region(), account, key))?, grant, gone())
                }
                Retire::Of { key, grant } => {
                    let grant = grant_id(grant)?;
                    (self.find(asks, key, false).await?, grant, invalid_id())
                }
            };
            let row: Option<GrantRow> =
                get(&*found.snapshot, row::grant(found.account, found.id, &grant)).await?;
            let wants = Wants { crosses: true, ..Wants::control("kms:RetireGrant") };
            let (verdict, _) = self.judge(asks, &found, &wants, &[]).await?;
            let own = asks.principal.account() == Some(found.account);
            let hides = !own && !verdict.is_allowed() && matches!(which, Retire::Of { .. });
            let row = row.ok_or_else(|| if hides { not_allowed() } else { absent })?;
            let named = |party: &Party| names(asks, party, &found, (wants.action, asks.context));
            let may = verdict.is_allowed()
                || (!verdict.is_denied()
                    && (row.retiring.as_ref().is_some_and(named)
                        || (row.operations.has(GrantOperation::RetireGrant) && named(&row.grantee))));
            if !may {
                return Err(told(verdict, asks, wants.action, &found));
            }
            asks.go_on()?;
            self.end_grant(&found, &grant, &row).await
        })
        .await
    }

    /// Ends a grant: by who looks after the key.
    pub async fn revoke_grant(&self, asks: &Asks<'_>, key: &str, grant: &str) -> Result<()> {
        again(|| async {
            let found = self.find(asks, key, false).await?;
            let wants = Wants { crosses: true, ..Wants::control("kms:RevokeGrant") };
            self.allow(asks, &found, &wants).await?;
            let grant = grant_id(grant)?;
            let row: Option<GrantRow> =
                get(&*found.snapshot, row::grant(found.account, found.id, &grant)).await?;
            let row = row.ok_or_else(invalid_id)?;
            asks.go_on()?;
            self.end_grant(&found, &grant, &row).await
        })
        .await
    }

    /// The grants of a key: all, one, or those of somebody.
    pub async fn grants(
        &self,
        asks: &Asks<'_>,
        key: &str,
        (one, grantee): (Option<&str>, Option<&str>),
        paging: Paging<'_>,
    ) -> Result<Page<Grant>> {
        let found = self.find(asks, key, false).await?;
        let wants = Wants { crosses: true, ..Wants::control("kms:ListGrants") };
        self.allow(asks, &found, &wants).await?;
        let one = one.map(grant_id).transpose()?;
        let prefix = row::prefix(found.account, found.id);
        let take = |key: &[u8], value: &[u8]| {
            let id: GrantId = key.try_into().map_err(|_| KmsError::internal("the key of a grant's row"))?;
            let row = GrantRow::from_bytes(value)?;
            Ok(Some(self.grant_shown(found.account, (found.id, &id), &row)))
        };
        let after = paging.after_hex::<32>()?;
        if one.is_some() || grantee.is_some() {
            return self.grants_of(&found, (one, grantee), (after, paging.limit)).await;
        }
        let rows = page(&*found.snapshot, (row::GRANTS, &prefix), after, paging.limit, take).await?;
        Ok(Page::of(rows, |grant| grant.id.clone()))
    }

    /// One of a key's grants, or those of somebody, who is known by who they are and not by the name that they had.
    async fn grants_of(
        &self,
        found: &Found,
        (one, grantee): (Option<GrantId>, Option<&str>),
        (after, limit): (Option<Vec<u8>>, usize),
    ) -> Result<Page<Grant>> {
        let who = grantee.map(|arn| self.party(arn)).transpose()?.map(|party| party.who);
        let (ids, more) = match (one, &who) {
            (Some(one), _) => (vec![one], false),
            (None, Some(who)) => {
                let prefix = row::granted_to(found.account, found.id, who);
                let take = |key: &[u8], _: &[u8]| {
                    let id = key.try_into();
                    id.map(Some).map_err(|_| KmsError::internal("the key of a grantee's row"))
                };
                page(&*found.snapshot, (row::GRANTED, &prefix), after, limit, take).await?
            }
            (None, None) => (Vec::new(), false),
        };
        let next = ids.last().filter(|_| more).map(hex::encode);
        let mut items = Vec::with_capacity(ids.len());
        for id in ids {
            let row: Option<GrantRow> =
                get(&*found.snapshot, row::grant(found.account, found.id, &id)).await?;
            let row = row.filter(|row| who.is_none_or(|who| row.grantee.who == who));
            items.extend(row.map(|row| self.grant_shown(found.account, (found.id, &id), &row)));
        }
        Ok(Page { items, next })
    }

    /// The grants of an account's keys that somebody may retire.
    pub async fn retirable_grants(
        &self,
        asks: &Asks<'_>,
        retiring: &str,
        paging: Paging<'_>,
    ) -> Result<Page<Grant>> {
        let account = self.allow_account(asks, "kms:ListRetirableGrants")?;
        let who: Who = self.party(retiring)?.who;
        let snapshot = self.snapshot().await?;
        let prefix = row::retirable_by(account, &who);
        let take = |key: &[u8], _: &[u8]| Ok(Some(row::read_grant(key)?));
        let after = paging.after_hex::<48>()?;
        let (found, more) = page(&*snapshot, (row::RETIRABLE, &prefix), after, paging.limit, take).await?;
        let name = |(key, grant): &(KeyId, GrantId)| hex::encode([&key.as_bytes()[..], grant].concat());
        let next = found.last().filter(|_| more).map(name);
        let mut items = Vec::with_capacity(found.len());
        for (key, grant) in found {
            let row: Option<GrantRow> = get(&*snapshot, row::grant(account, key, &grant)).await?;
            items.extend(row.map(|row| self.grant_shown(account, (key, &grant), &row)));
        }
        Ok(Page { items, next })
    }
}
