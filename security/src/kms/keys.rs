//! Keys: made, shown, enabled, disabled, and gone after a time of waiting.

use super::allow::{AccountContext, Of, Wants, refused};
use super::change::{Change, again};
use super::error::{Code, KmsError, Result};
use super::find::{Found, no_marker, page};
use super::id::KeyId;
use super::model::{Asks, Key, NewKey, Page, Paging};
use super::policies::service_policy;
use super::row::{self, AliasRow, BackingRow, Count, How, KeyRow, PolicyRow, Rotation, Task};
use super::spec::{GrantOperation, KeySpec, KeyState, KeyUsage, Manager, Origin};
use super::{Kms, asymmetric, default_policy, limit, tags};
use crate::AccountId;
use crate::identity::Pins;
use crate::keys::KeyScope;
use aws_lc_rs::hmac;
use engine::clock::Timestamp;
use std::time::Duration;
use zeroize::Zeroizing;

const DAY_SECS: u64 = 86_400;
/// Days of waiting where nobody says.
const WINDOW_DAYS: u32 = 30;
/// Days between two rotations of a service's key.
const SERVICE_ROTATION_DAYS: u32 = 365;

/// A time so many days later.
pub(super) fn days_after(time: Timestamp, days: u32) -> Timestamp {
    time.plus(Duration::from_secs(DAY_SECS * u64::from(days)))
}

/// What names material without telling it.
pub(super) fn material_id(id: KeyId, material: &[u8]) -> [u8; 32] {
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, material),
        &[b"firn kms material\0", &id.as_bytes()[..]].concat(),
    );
    let mut out = [0; 32];
    out.copy_from_slice(tag.as_ref());
    out
}

/// What a key to be is.
struct Draft {
    spec: KeySpec,
    usage: KeyUsage,
    origin: Origin,
}

fn draft(new: &NewKey<'_>) -> Result<Draft> {
    let spec = new.spec.unwrap_or(KeySpec::Symmetric);
    let usages = spec.usages();
    let usage = match (new.usage, usages) {
        (Some(usage), _) if usages.contains(&usage) => usage,
        (Some(usage), _) => {
            let message =
                format!("KeyUsage {} is not compatible with KeySpec {}", usage.as_str(), spec.as_str());
            return Err(KmsError::invalid(message));
        }
        // Encrypting is what keys are for where nobody says, as in the model; of other specs it has to be said.
        (None, [KeyUsage::Encrypt]) => KeyUsage::Encrypt,
        (None, _) => {
            let message =
                format!("You must specify a KeyUsage value for a key of KeySpec {}.", spec.as_str());
            return Err(KmsError::invalid(message));
        }
    };
    let origin = new.origin.unwrap_or(Origin::Own);
    if origin == Origin::External && spec.bytes().is_none() {
        return Err(KmsError::unsupported("Material of asymmetric keys can't be imported here."));
    }
    Ok(Draft { spec, usage, origin })
}

impl Kms {
    /// Whether an account's own operation is allowed: one that is about no key that is there.
    pub fn allow_account(&self, asks: &Asks<'_>, action: &str) -> Result<AccountId> {
        self.allow_account_saying(asks, action, Vec::new(), &[])
    }

    pub(super) fn allow_account_saying(
        &self,
        asks: &Asks<'_>,
        action: &str,
        said: Vec<(&'static str, String)>,
        tags: &[(String, String)],
    ) -> Result<AccountId> {
        let none = || KmsError::new(Code::AccessDenied, "Nobody signed.");
        let account = asks.principal.account().ok_or_else(none)?;
        let resource = format!("arn:aws:kms:{}:{account}:*", self.region());
        let context = AccountContext { asks, said, tags };
        let verdict = asks.principal.may(action, &resource, account, &context);
        if verdict.is_allowed() { Ok(account) } else { Err(refused(verdict, asks.principal, action, "*")) }
    }

    /// Random material of a spec, for an account.
    pub(super) async fn make(&self, account: AccountId, spec: KeySpec) -> Result<Zeroizing<Vec<u8>>> {
        if let Some(length) = spec.bytes() {
            let mut bytes = Zeroizing::new(vec![0; length]);
            self.parts.entropy.fill(&mut bytes);
            return Ok(bytes);
        }
        self.making.run(account, move || asymmetric::generate(spec)).await
    }

    /// Puts a backing key.
    pub(super) fn put_backing(
        &self,
        change: &mut Change,
        (account, id, number): (AccountId, KeyId, u32),
        how: How,
        material: &[u8],
        expires: Option<Timestamp>,
    ) -> Result<()> {
        let aad = BackingRow::aad(account, id, number);
        let sealed = Some(self.parts.keys.seal(KeyScope::kms(account), material, &aad)?);
        let (created, material_id) = (self.now(), material_id(id, material));
        let row = BackingRow { how, created, material_id, expires, sealed };
        change.put(row::backing(account, id, number), &row);
        Ok(())
    }

    /// Makes a key.
    pub async fn create_key(&self, asks: &Asks<'_>, new: &NewKey<'_>) -> Result<Key> {
        let draft = draft(new)?;
        tags::check(new.tags)?;
        if new.description.len() > limit::DESCRIPTION_BYTES {
            return Err(KmsError::invalid(format!(
                "A description has at most {} bytes.",
                limit::DESCRIPTION_BYTES
            )));
        }
        let said = vec![
            ("kms:bypasspolicylockoutsafetycheck", new.bypass_lockout_check.to_string()),
            ("kms:keyspec", draft.spec.as_str().to_owned()),
            ("kms:customermasterkeyspec", draft.spec.as_str().to_owned()),
            ("kms:keyusage", draft.usage.as_str().to_owned()),
            ("kms:customermasterkeyusage", draft.usage.as_str().to_owned()),
            ("kms:keyorigin", draft.origin.as_str().to_owned()),
            ("kms:multiregion", "false".to_owned()),
        ];
        let pairs = tags::pairs(new.tags);
        let account = self.allow_account_saying(asks, "kms:CreateKey", said, &pairs)?;
        if !new.tags.is_empty() {
            self.allow_account_saying(asks, "kms:TagResource", Vec::new(), &pairs)?;
        }
        let material = match draft.origin {
            Origin::Own => Some(self.make(account, draft.spec).await?),
            Origin::External => None,
        };
        self.prepare(account).await?;
        again(|| async {
            let snapshot = self.snapshot().await?;
            let id = KeyId::random(&*self.parts.entropy);
            let text = new.policy.map_or_else(|| default_policy(account), str::to_owned);
            let state = if material.is_some() { KeyState::Enabled } else { KeyState::PendingImport };
            let row = KeyRow {
                spec: draft.spec,
                usage: draft.usage,
                origin: draft.origin,
                manager: Manager::Customer,
                state,
                created: self.now(),
                deletion: None,
                rotation: None,
                on_demand: 0,
                current: 1,
                description: new.description.into(),
                tags: new.tags.to_vec(),
            };
            let bypass = new.bypass_lockout_check || new.policy.is_none();
            let of = Of { account, id, row: &row, alias: None, snapshot: &*snapshot };
            let policy = self.check_policy(asks, &of, &text, bypass).await?;
            let mut change = self.change(account, &*snapshot);
            Self::put_key(&mut change, (account, id), &row, &policy);
            if let Some(material) = &material {
                self.put_backing(&mut change, (account, id, 1), How::First, material, None)?;
            }
            self.apply(change).await?;
            self.shown_again(account, id).await
        })
        .await
    }

    fn put_key(change: &mut Change, (account, id): (AccountId, KeyId), row: &KeyRow, policy: &PolicyRow) {
        change.absent(row::key(account, id));
        change.put(row::key(account, id), row);
        change.put(row::policy(account, id), policy);
        change.add(Count::Keys.of_account(account), 1, Some(("keys in this account", limit::KEYS)));
    }

    pub(super) async fn shown_again(&self, account: AccountId, id: KeyId) -> Result<Key> {
        let found = self.at(self.snapshot().await?, account, id).await?;
        let found = found.ok_or_else(|| KmsError::internal("a key that was made is not there"))?;
        self.shown(&found).await
    }

    /// Whether a service's own key is made when it is asked for: by the service, for somebody of the account.
    pub(super) fn makes(asks: &Asks<'_>, account: AccountId, alias: &str) -> bool {
        let service = alias.strip_prefix("alias/aws/").unwrap_or_default();
        let by = asks.via.and_then(|via| via.split_once('.')).map(|(by, _)| by);
        !service.is_empty() && by == Some(service) && asks.principal.account() == Some(account)
    }

    /// Makes a service's own key of an account, with its alias.
    pub(super) async fn make_service_key(&self, account: AccountId, alias: &str) -> Result<()> {
        let service = alias.strip_prefix("alias/aws/").unwrap_or_default();
        let material = self.make(account, KeySpec::Symmetric).await?;
        self.prepare(account).await?;
        let snapshot = self.snapshot().await?;
        let (id, now) = (KeyId::random(&*self.parts.entropy), self.now());
        let next = days_after(now, SERVICE_ROTATION_DAYS);
        let row = KeyRow {
            spec: KeySpec::Symmetric,
            usage: KeyUsage::Encrypt,
            origin: Origin::Own,
            manager: Manager::Service,
            state: KeyState::Enabled,
            created: now,
            deletion: None,
            rotation: Some(Rotation { days: SERVICE_ROTATION_DAYS, next }),
            on_demand: 0,
            current: 1,
            description: format!(
                "Default key that protects my {} data when no other key is defined",
                service.to_uppercase()
            )
            .into(),
            tags: Vec::new(),
        };
        let policy =
            PolicyRow { text: service_policy(account, self.region(), service).into(), pins: Pins::NONE };
        let mut change = self.change(account, &*snapshot);
        Self::put_key(&mut change, (account, id), &row, &policy);
        self.put_backing(&mut change, (account, id, 1), How::First, &material, None)?;
        change.absent(row::alias(account, alias));
        change.put(row::alias(account, alias), &AliasRow { key: id, created: now, updated: now });
        change.mark(row::alias_of(account, id, alias));
        change.add(Count::Aliases.of_key(account, id), 1, None);
        change.mark(row::due(next, account, id, Task::Rotate));
        match self.apply(change).await {
            // Somebody was faster: theirs is there.
            Err(error) if error.code == Code::DependencyTimeout => {
                let snapshot = self.snapshot().await?;
                let there = snapshot.get(row::alias(account, alias)).await?.is_some();
                if there { Ok(()) } else { Err(error) }
            }
            outcome => outcome,
        }
    }

    /// A key.
    pub async fn describe_key(&self, asks: &Asks<'_>, key: &str) -> Result<Key> {
        let found = self.find(asks, key, true).await?;
        let wants = Wants {
            operation: Some(GrantOperation::DescribeKey),
            crosses: true,
            ..Wants::control("kms:DescribeKey")
        };
        self.allow(asks, &found, &wants).await?;
        self.shown(&found).await
    }

    /// Ids of the keys of an account.
    pub async fn keys(&self, asks: &Asks<'_>, paging: Paging<'_>) -> Result<(AccountId, Page<KeyId>)> {
        let account = self.allow_account(asks, "kms:ListKeys")?;
        let after = paging.after.map(|after| after.parse::<KeyId>().map_err(|_| no_marker())).transpose()?;
        let after = after.map(|id| id.as_bytes().to_vec());
        let prefix = account.to_bytes();
        let snapshot = self.snapshot().await?;
        let take = |key: &[u8], _: &[u8]| {
            let bytes = key.try_into().map_err(|_| KmsError::internal("the key of a key's row"))?;
            Ok(Some(KeyId::from_bytes(bytes)))
        };
        let found = page(&*snapshot, (row::KEYS, &prefix), after, paging.limit, take).await?;
        Ok((account, Page::of(found, KeyId::to_string)))
    }

    /// Changes a customer's key, as long as it stays what it was read as.
    pub(super) async fn alter(
        &self,
        asks: &Asks<'_>,
        key: &str,
        wants: &Wants<'_>,
        edit: impl Fn(&Found, &mut KeyRow, &mut Change) -> Result<()>,
    ) -> Result<(Found, KeyRow)> {
        again(|| async {
            let found = self.find(asks, key, false).await?;
            self.allow(asks, &found, wants).await?;
            let mut change = self.change(found.account, &*found.snapshot);
            let mut row = found.row.clone();
            edit(&found, &mut row, &mut change)?;
            change.unchanged(found.row_key());
            change.unchanged(row::policy(found.account, found.id));
            change.put(found.row_key(), &row);
            self.apply(change).await?;
            self.bell.notify_one();
            Ok((found, row))
        })
        .await
    }

    /// Lets a key be used.
    pub async fn enable_key(&self, asks: &Asks<'_>, key: &str) -> Result<()> {
        let edit = |found: &Found, row: &mut KeyRow, change: &mut Change| {
            found.stays()?;
            found.has_material()?;
            row.state = KeyState::Enabled;
            Self::wait_for_rotation(found, row, change);
            Ok(())
        };
        self.alter(asks, key, &Wants::control("kms:EnableKey"), edit).await.map(drop)
    }

    /// What was due while a key was not in use is due now.
    fn wait_for_rotation(found: &Found, row: &KeyRow, change: &mut Change) {
        if let Some(Rotation { next, .. }) = row.rotation {
            change.mark(row::due(next, found.account, found.id, Task::Rotate));
        }
    }

    /// Keeps a key from being used.
    pub async fn disable_key(&self, asks: &Asks<'_>, key: &str) -> Result<()> {
        let edit = |found: &Found, row: &mut KeyRow, _: &mut Change| {
            found.stays()?;
            found.has_material()?;
            row.state = KeyState::Disabled;
            Ok(())
        };
        self.alter(asks, key, &Wants::control("kms:DisableKey"), edit).await.map(drop)
    }

    /// Has a key go after 7 to 30 days; nobody can use it until then. When, and how long that is.
    pub async fn schedule_key_deletion(
        &self,
        asks: &Asks<'_>,
        key: &str,
        days: Option<u32>,
    ) -> Result<(String, Timestamp, u32)> {
        let days = days.unwrap_or(WINDOW_DAYS);
        if !(7..=30).contains(&days) {
            return Err(KmsError::invalid("PendingWindowInDays must be 7 to 30."));
        }
        // Somebody may have set the wall clock back.
        let at = days_after(self.now().max(self.parts.compliance.now()), days);
        let said = vec![("kms:schedulekeydeletionpendingwindowindays", days.to_string())];
        let wants = Wants { said, ..Wants::control("kms:ScheduleKeyDeletion") };
        let edit = |found: &Found, row: &mut KeyRow, change: &mut Change| {
            found.stays()?;
            row.state = KeyState::PendingDeletion;
            row.deletion = Some((days, at));
            change.mark(row::due(at, found.account, found.id, Task::Delete));
            Ok(())
        };
        let (found, _) = self.alter(asks, key, &wants, edit).await?;
        Ok((found.arn, at, days))
    }

    /// Keeps a key that waits for its end. It is disabled then; one whose material is not there still waits for that.
    pub async fn cancel_key_deletion(&self, asks: &Asks<'_>, key: &str) -> Result<String> {
        let edit = |found: &Found, row: &mut KeyRow, change: &mut Change| {
            let Some((_, at)) = row.deletion.take() else {
                return Err(found.wrong_state("is not pending deletion"));
            };
            change.delete(row::due(at, found.account, found.id, Task::Delete));
            row.state = KeyState::Disabled;
            Ok(())
        };
        let (found, _) = self.alter(asks, key, &Wants::control("kms:CancelKeyDeletion"), edit).await?;
        Ok(found.arn)
    }

    /// Says anew what a key is for.
    pub async fn update_key_description(&self, asks: &Asks<'_>, key: &str, text: &str) -> Result<()> {
        if text.len() > limit::DESCRIPTION_BYTES {
            return Err(KmsError::invalid(format!(
                "A description has at most {} bytes.",
                limit::DESCRIPTION_BYTES
            )));
        }
        let edit = |found: &Found, row: &mut KeyRow, _: &mut Change| {
            found.stays()?;
            row.description = text.into();
            Ok(())
        };
        self.alter(asks, key, &Wants::control("kms:UpdateKeyDescription"), edit).await.map(drop)
    }
}
