//! Managed policies and their versions.

use super::change::{Change, again};
use super::entity::Draft;
use super::error::{Code, IdentityError, Result};
use super::row::{self, Count, DocumentRow, Edge, EntityRow, OfKind, PolicyRow, Which};
use super::view::{View, last_id};
use super::{
    HolderFilter, Identities, Kind, ManagedPolicy, NewPolicy, Page, Paging, PolicyFilter, PolicyHolder,
    PolicyScope, PolicyVersion, Usage, document, limit, name, named,
};
use crate::AccountId;
use engine::catalog::record::Record as _;

/// What a policy is for, at the longest.
const DESCRIPTION_MAX: usize = 1_000;

pub(super) fn description(text: Option<&str>) -> Result<Option<Box<str>>> {
    match text {
        Some(text) if text.chars().count() > DESCRIPTION_MAX => {
            Err(IdentityError::invalid(format!("description has more than {DESCRIPTION_MAX} characters")))
        }
        other => Ok(other.map(Into::into)),
    }
}

fn unmodifiable(arn: &str) -> IdentityError {
    IdentityError::new(
        Code::AccessDenied,
        format!("{arn} is a policy of AWS's own: it can't be changed or deleted."),
    )
}

fn no_version(arn: &str, version: &str) -> IdentityError {
    let message = format!("Policy {arn} version {version} does not exist or is not attachable.");
    IdentityError::new(Code::NoSuchEntity, message)
}

/// `v3`
fn version_number(text: &str) -> Result<u32> {
    let number = text.strip_prefix('v').filter(|digits| !digits.starts_with(['0', '+']));
    number.and_then(|digits| digits.parse().ok()).ok_or_else(|| {
        IdentityError::invalid(format!("The specified value for versionId is invalid: {text}. v1 is one."))
    })
}

fn wrong_kind() -> IdentityError {
    crate::Error::Corrupt { what: "policy", detail: "it is of another kind".to_owned() }.into()
}

fn count_of(number: i64) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

fn shown(account: AccountId, row: EntityRow, (attachments, boundaries): (u32, u32)) -> Result<ManagedPolicy> {
    let arn = row.arn(account);
    let OfKind::Policy(policy) = row.of_kind else { return Err(wrong_kind()) };
    Ok(ManagedPolicy {
        arn,
        id: row.id.to_string(),
        name: row.name.into(),
        path: row.path.into(),
        created: row.created,
        updated: policy.updated,
        default_version: format!("v{}", policy.default),
        attachments,
        boundaries,
        attachable: true,
        description: policy.description.map(Into::into),
        tags: row.tags,
    })
}

impl View {
    /// To how many a policy is attached, and of how many it is the boundary.
    async fn uses(&self, id: super::id::EntityId) -> Result<(u32, u32)> {
        Ok((count_of(self.count(Count::Holders, id).await?), count_of(self.count(Count::Bounded, id).await?)))
    }
}

impl Change {
    /// A policy of the account that is to be changed, and what it has as one.
    async fn policy_to_change(&mut self, arn: &str) -> Result<(EntityRow, PolicyRow)> {
        if named::by_arn(arn).is_some() {
            return Err(unmodifiable(arn));
        }
        let row = self.own_policy(arn).await?;
        self.rests_on(&row);
        let policy = row.policy().cloned().ok_or_else(wrong_kind)?;
        Ok((row, policy))
    }

    fn put_policy(&mut self, row: EntityRow, policy: PolicyRow) {
        self.put_entity(&EntityRow { of_kind: OfKind::Policy(policy), ..row });
    }
}

impl Identities {
    /// Makes a managed policy of one version.
    pub async fn create_policy(&self, account: AccountId, new: NewPolicy<'_>) -> Result<ManagedPolicy> {
        let (name, path) = (Kind::Policy.new_name(new.name)?, name::path(new.path)?);
        name::check_tags(new.tags)?;
        document::managed(new.document)?;
        let description = description(new.description)?;
        again(|| async {
            let mut change = self.change(account).await?;
            let now = self.parts.clock.now();
            let policy = PolicyRow { default: 1, next: 2, updated: now, description: description.clone() };
            let of_kind = OfKind::Policy(policy);
            let draft = Draft { name, path, tags: new.tags, boundary: None, of_kind };
            let row = self.create(&mut change, draft).await?;
            let document = DocumentRow { created: now, text: new.document.into() };
            change.put(row::document(account, row.id, &Which::Version(1)), &document);
            change.add(Count::Versions, row.id, 1, None);
            self.apply(change).await?;
            shown(account, row, (0, 0))
        })
        .await
    }

    /// A managed policy, of the account or of AWS's names.
    pub async fn policy(&self, account: AccountId, arn: &str) -> Result<ManagedPolicy> {
        let view = self.view(account).await?;
        if let Some(known) = named::by_arn(arn) {
            let (attachments, boundaries) = view.uses(known.id()).await?;
            return Ok(known.shown(attachments, boundaries));
        }
        let row = view.own_policy(arn).await?;
        let uses = view.uses(row.id).await?;
        shown(account, row, uses)
    }

    /// Managed policies, without their tags; those of AWS's names first. A page may have fewer than it could.
    pub async fn policies(
        &self,
        account: AccountId,
        filter: PolicyFilter<'_>,
        paging: Paging<'_>,
    ) -> Result<Page<ManagedPolicy>> {
        let prefix = name::path_prefix(filter.path_prefix)?;
        let view = self.view(account).await?;
        let wanted = |policy: &ManagedPolicy| match filter.usage {
            _ if !filter.only_attached => true,
            None => policy.attachments + policy.boundaries > 0,
            Some(Usage::Attached) => policy.attachments > 0,
            Some(Usage::Boundary) => policy.boundaries > 0,
        };
        let limit = paging.limit.clamp(1, limit::PAGE);
        let mut items = Vec::new();
        // Markers of the account's own have a mark of their own, which no name has.
        let (after_named, after_own) = match paging.after {
            Some(after) => (after.strip_prefix('!'), after.strip_prefix('/')),
            None => (Some(""), None),
        };
        if let Some(after) = after_named.filter(|_| filter.scope != PolicyScope::Local && prefix == "/") {
            for known in named::ALL.iter().filter(|known| known.name > after) {
                if items.len() == limit {
                    let next = items.last().map(|last: &ManagedPolicy| format!("!{}", last.name));
                    return Ok(Page { items, next });
                }
                let (attachments, boundaries) = view.uses(known.id()).await?;
                items.extend(Some(known.shown(attachments, boundaries)).filter(wanted));
            }
        }
        if filter.scope == PolicyScope::Aws {
            return Ok(Page { items, next: None });
        }
        if items.len() == limit {
            return Ok(Page { items, next: Some("/".to_owned()) });
        }
        let own = Paging { after: after_own.filter(|after| !after.is_empty()), limit: limit - items.len() };
        let page = view.entities(Kind::Policy, filter.path_prefix, own).await?;
        for mut row in page.items {
            let uses = view.uses(row.id).await?;
            row.tags = Vec::new();
            items.extend(Some(shown(account, row, uses)?).filter(wanted));
        }
        Ok(Page { items, next: page.next.map(|next| format!("/{next}")) })
    }

    /// Ends a managed policy. `DeleteConflict` while it is attached, a boundary, or has more versions than the default one.
    pub async fn delete_policy(&self, account: AccountId, arn: &str) -> Result<()> {
        again(|| async {
            let mut change = self.change(account).await?;
            let (row, policy) = change.policy_to_change(arn).await?;
            for (count, most, what) in [
                (Count::Holders, 0, "detach it from all entities"),
                (Count::Bounded, 0, "remove it as a permissions boundary"),
                (Count::Versions, 1, "delete all its versions but the default one"),
            ] {
                change.none_of(count, row.id, most, what).await?;
            }
            change.delete(row::document(account, row.id, &Which::Version(policy.default)));
            change.delete_entity(&row);
            self.apply(change).await
        })
        .await
    }

    /// Adds a version; `LimitExceeded` where there are five.
    pub async fn create_policy_version(
        &self,
        account: AccountId,
        arn: &str,
        document: &str,
        set_default: bool,
    ) -> Result<PolicyVersion> {
        document::managed(document)?;
        again(|| async {
            let mut change = self.change(account).await?;
            let (row, mut policy) = change.policy_to_change(arn).await?;
            let (number, created) = (policy.next, self.parts.clock.now());
            policy.next =
                number.checked_add(1).ok_or_else(|| IdentityError::over("VersionsPerPolicy", number))?;
            if set_default {
                policy.default = number;
            }
            policy.updated = created;
            let key = row::document(account, row.id, &Which::Version(number));
            change.put(key, &DocumentRow { created, text: document.into() });
            change.add(Count::Versions, row.id, 1, Some(("VersionsPerPolicy", limit::VERSIONS)));
            change.put_policy(row, policy);
            self.apply(change).await?;
            let id = format!("v{number}");
            Ok(PolicyVersion { id, is_default: set_default, created, document: None })
        })
        .await
    }

    /// A version with its document.
    pub async fn policy_version(
        &self,
        account: AccountId,
        arn: &str,
        version: &str,
    ) -> Result<PolicyVersion> {
        let number = version_number(version)?;
        if let Some(known) = named::by_arn(arn) {
            return if number == 1 { Ok(known.version(true)) } else { Err(no_version(arn, version)) };
        }
        let view = self.view(account).await?;
        let row = view.own_policy(arn).await?;
        let found = view.document(row.id, &Which::Version(number)).await?;
        let found = found.ok_or_else(|| no_version(arn, version))?;
        Ok(PolicyVersion {
            id: version.to_owned(),
            is_default: row.policy().is_some_and(|policy| policy.default == number),
            created: found.created,
            document: Some(found.text.into()),
        })
    }

    /// All versions, newest first, without documents. There are never more than fit on a page.
    pub async fn policy_versions(
        &self,
        account: AccountId,
        arn: &str,
        paging: Paging<'_>,
    ) -> Result<Page<PolicyVersion>> {
        if let Some(known) = named::by_arn(arn) {
            return Ok(Page { items: vec![known.version(false)], next: None });
        }
        let view = self.view(account).await?;
        let row = view.own_policy(arn).await?;
        let default = row.policy().map(|policy| policy.default);
        let mut items = Vec::new();
        for (key, value) in view.all(row::DOCUMENTS, &row::versions(account, row.id)).await? {
            let number = key.last_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes));
            let created = DocumentRow::from_bytes(&value)?.created;
            let id = format!("v{}", number.unwrap_or_default());
            items.push(PolicyVersion { id, is_default: number == default, created, document: None });
        }
        items.reverse();
        let behind = paging.after.and_then(|after| items.iter().position(|version| version.id == after));
        items.drain(..behind.map_or(0, |at| at + 1));
        let more = items.len() > paging.limit;
        items.truncate(paging.limit);
        let next = items.last().filter(|_| more).map(|version| version.id.clone());
        Ok(Page { items, next })
    }

    /// Chooses the version that counts.
    pub async fn set_default_version(&self, account: AccountId, arn: &str, version: &str) -> Result<()> {
        let number = version_number(version)?;
        again(|| async {
            let mut change = self.change(account).await?;
            let (row, mut policy) = change.policy_to_change(arn).await?;
            let key = row::document(account, row.id, &Which::Version(number));
            if change.snapshot.get(key.clone()).await?.is_none() {
                return Err(no_version(arn, version));
            }
            if policy.default == number {
                change.touch(row.id);
                return self.is_so(change).await;
            }
            change.unchanged(key);
            policy.default = number;
            policy.updated = self.parts.clock.now();
            change.put_policy(row, policy);
            self.apply(change).await
        })
        .await
    }

    /// Ends a version. `DeleteConflict` for the one that counts.
    pub async fn delete_policy_version(&self, account: AccountId, arn: &str, version: &str) -> Result<()> {
        let number = version_number(version)?;
        again(|| async {
            let mut change = self.change(account).await?;
            let (row, policy) = change.policy_to_change(arn).await?;
            let key = row::document(account, row.id, &Which::Version(number));
            if change.snapshot.get(key.clone()).await?.is_none() {
                return Err(no_version(arn, version));
            }
            if policy.default == number {
                let message = "Cannot delete the default version of a policy.";
                return Err(IdentityError::new(Code::DeleteConflict, message));
            }
            change.unchanged(key.clone());
            change.delete(key);
            change.add(Count::Versions, row.id, -1, None);
            self.apply(change).await
        })
        .await
    }

    /// Whom a policy is attached to, or whose boundary it is: groups, roles and users whose path begins so. A page may have fewer than it
    /// could.
    pub async fn entities_for_policy(
        &self,
        account: AccountId,
        arn: &str,
        filter: HolderFilter<'_>,
        paging: Paging<'_>,
    ) -> Result<Page<PolicyHolder>> {
        let HolderFilter { kind, usage, path_prefix } = filter;
        let prefix = name::path_prefix(path_prefix)?;
        let view = self.view(account).await?;
        let policy = match named::by_arn(arn) {
            Some(known) => known.id(),
            None => view.own_policy(arn).await?.id,
        };
        let edge = |usage| match usage {
            Usage::Attached => Edge::Attached,
            Usage::Boundary => Edge::Boundary,
        };
        let wanted = usage.map(|usage| edge(usage) as u8);
        let read = |tail: &str, _: &[u8]| {
            let of_edge = wanted.is_none_or(|wanted| tail.as_bytes().first() == Some(&wanted));
            if of_edge { last_id(tail.as_bytes()).map(Some) } else { Ok(None) }
        };
        let page = view.page((row::HOLDERS, row::holders(account, policy)), paging, read).await?;
        let mut items: Vec<PolicyHolder> = Vec::with_capacity(page.items.len());
        for row in view.by_ids(&page.items).await? {
            let (id, of_kind) = (row.id.to_string(), kind.is_none_or(|kind| kind == row.kind()));
            // Who has it both ways is one.
            if of_kind && row.path.starts_with(prefix) && !items.iter().any(|known| known.id == id) {
                items.push(PolicyHolder { kind: row.kind(), name: row.name.into(), id });
            }
        }
        Ok(Page { items, next: page.next })
    }
}
