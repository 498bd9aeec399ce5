//! Passwords of users, and the account's rules for them.
//!
//! Hashes are made and compared before the turn of an operation is taken, so that nobody waits for them; the commit rests on the row that they
//! were compared with.

use super::change::{Change, again};
use super::error::{Code, IdentityError, Result};
use super::id::EntityId;
use super::login_row::{self, LoginRow};
use super::password::{self, Hash, Hashes};
use super::row::{Count, EntityRow};
use super::throttle::{Counted, Try};
use super::view::View;
use super::{Identities, Kind, LoginProfile, PasswordPolicy, limit};
use crate::AccountId;
use crate::keys::KeyScope;
use engine::catalog::Layout;
use engine::catalog::record::Record as _;
use engine::clock::Timestamp;
use std::time::Duration;
use zeroize::Zeroizing;

/// Wrong codes and passwords of a user that slow down nobody.
const PROOFS_FREE: u32 = 5;
/// A day.
const DAY: Duration = Duration::from_hours(24);

fn no_policy(account: AccountId) -> IdentityError {
    let message = format!("The Password Policy with domain name {account} cannot be found.");
    IdentityError::new(Code::NoSuchEntity, message)
}

fn no_login(user: &str) -> IdentityError {
    IdentityError::new(Code::NoSuchEntity, format!("Login Profile for User {user} cannot be found."))
}

/// Too many were wrong.
pub(super) fn wait(code: Code, wait: Duration) -> IdentityError {
    let secs = wait.as_millis().div_ceil(1000);
    IdentityError::new(code, format!("Too many tries failed. Try again in {secs} seconds."))
}

/// Whether a password of this day is too old.
pub(super) fn is_expired(policy: Option<&PasswordPolicy>, changed: Timestamp, now: Timestamp) -> bool {
    let days = policy.and_then(|policy| policy.age_max_days);
    days.is_some_and(|days| now.since(changed) >= DAY * days)
}

fn profile(user: &EntityRow, row: &LoginRow) -> LoginProfile {
    LoginProfile { user: user.name.to_string(), created: row.created, reset_required: row.reset_required }
}

impl View {
    pub(super) async fn password_policy(&self) -> Result<Option<PasswordPolicy>> {
        self.get(login_row::password_policy(self.account)).await
    }

    pub(super) async fn login(&self, user: EntityId) -> Result<Option<LoginRow>> {
        self.get(login_row::login(self.account, user)).await
    }
}

impl Identities {
    /// The account's rules for passwords; `NoSuchEntity` where those of AWS hold.
    pub async fn password_policy(&self, account: AccountId) -> Result<PasswordPolicy> {
        self.view(account).await?.password_policy().await?.ok_or_else(|| no_policy(account))
    }

    /// Sets the account's rules for passwords. They hold for those that are set from now on, but for their age.
    pub async fn set_password_policy(&self, account: AccountId, policy: PasswordPolicy) -> Result<()> {
        let policy = policy.checked()?;
        again(|| async {
            let mut change = self.change(account).await?;
            change.needs(Layout::LOGINS);
            change.put(login_row::password_policy(account), &policy);
            self.apply(change).await
        })
        .await
    }

    /// Takes them away.
    pub async fn delete_password_policy(&self, account: AccountId) -> Result<()> {
        again(|| async {
            let mut change = self.change(account).await?;
            change.password_policy().await?.ok_or_else(|| no_policy(account))?;
            let key = login_row::password_policy(account);
            change.unchanged(key.clone());
            change.delete(key);
            self.apply(change).await
        })
        .await
    }

    /// Whether every user may change its own password.
    pub async fn users_may_change_passwords(&self, account: AccountId) -> Result<bool> {
        let policy = self.view(account).await?.password_policy().await?;
        Ok(policy.is_some_and(|policy| policy.users_may_change))
    }

    /// Gives a user a password. `EntityAlreadyExists` where it has one.
    pub async fn create_login(
        &self,
        account: AccountId,
        name: &str,
        password: &str,
        reset_required: bool,
    ) -> Result<LoginProfile> {
        let view = self.view(account).await?;
        let user = view.entity(Kind::User, name).await?;
        password::check(view.password_policy().await?.as_ref(), password, &user.name)?;
        drop(view);
        self.prepare(KeyScope::identities(account)).await?;
        let hashes = Hashes(vec![self.hasher.hash(password, &*self.parts.entropy).await?]);
        again(|| async {
            let mut change = self.change(account).await?;
            let user = change.resting(Kind::User, name).await?;
            let key = login_row::login(account, user.id);
            if change.login(user.id).await?.is_some() {
                let message = format!("Login Profile for user {} already exists.", user.name);
                return Err(IdentityError::new(Code::EntityAlreadyExists, message));
            }
            let (now, sealed) = (self.parts.clock.now(), self.sealed_hashes(account, user.id, &hashes)?);
            let row = LoginRow { created: now, changed: now, reset_required, last_used: None, sealed };
            change.needs(Layout::LOGINS);
            change.absent(key.clone());
            change.put(key, &row);
            change.add(Count::Logins, user.id, 1, None);
            self.apply(change).await?;
            Ok(profile(&user, &row))
        })
        .await
    }

    /// Whether a user has a password.
    pub async fn login(&self, account: AccountId, name: &str) -> Result<LoginProfile> {
        let view = self.view(account).await?;
        let user = view.entity(Kind::User, name).await?;
        let row = view.login(user.id).await?.ok_or_else(|| no_login(&user.name))?;
        Ok(profile(&user, &row))
    }

    /// Gives a user another password, says whether yet another has to be set at the next sign-in, or both.
    pub async fn update_login(
        &self,
        account: AccountId,
        name: &str,
        password: Option<&str>,
        reset_required: Option<bool>,
    ) -> Result<()> {
        again(|| async {
            let view = self.view(account).await?;
            let user = view.entity(Kind::User, name).await?;
            let before = view.login(user.id).await?.ok_or_else(|| no_login(&user.name))?;
            let policy = view.password_policy().await?;
            drop(view);
            let mut row = before.clone();
            row.reset_required = reset_required.unwrap_or(row.reset_required);
            if let Some(password) = password {
                let password = NewPassword { policy: policy.as_ref(), password, is_another: false };
                row = self.with_password(account, (&user, row), password).await?;
            }
            let mut change = self.change(account).await?;
            change.replace_login(&user, (&before, &row)).await?;
            self.apply(change).await
        })
        .await
    }

    /// Takes a user's password away.
    pub async fn delete_login(&self, account: AccountId, name: &str) -> Result<()> {
        again(|| async {
            let mut change = self.change(account).await?;
            let user = change.resting(Kind::User, name).await?;
            change.login(user.id).await?.ok_or_else(|| no_login(&user.name))?;
            let key = login_row::login(account, user.id);
            change.unchanged(key.clone());
            change.delete(key);
            change.add(Count::Logins, user.id, -1, None);
            self.apply(change).await
        })
        .await
    }

    /// A user changes its own password, and proves the one that it has.
    pub async fn change_password(&self, account: AccountId, name: &str, old: &str, new: &str) -> Result<()> {
        again(|| async {
            let view = self.view(account).await?;
            let user = view.entity(Kind::User, name).await?;
            let before = view.login(user.id).await?.ok_or_else(|| no_login(&user.name))?;
            let policy = view.password_policy().await?;
            drop(view);
            let attempt = self.begin_proof(account, user.id, Code::AccessDenied)?;
            let hashes = self.hashes(account, user.id, &before)?;
            match self.hasher.verifies(old, hashes.0.first()).await {
                Ok(true) => {}
                Ok(false) => {
                    return Err(IdentityError::new(
                        Code::AccessDenied,
                        "The old password is not the user's.",
                    ));
                }
                Err(error) => {
                    attempt.taken_back();
                    return Err(error);
                }
            }
            let expired = is_expired(policy.as_ref(), before.changed, self.parts.clock.now());
            let is_hard = policy.as_ref().is_some_and(|policy| policy.hard_expiry == Some(true));
            if is_hard && expired {
                attempt.taken_back();
                return Err(IdentityError::new(Code::AccessDenied, OVER));
            }
            let row = LoginRow { reset_required: false, ..before.clone() };
            let is_another = expired || before.reset_required;
            let password = NewPassword { policy: policy.as_ref(), password: new, is_another };
            // Under way until its hashes are made: nobody has many of them made at once.
            let row = self.with_password(account, (&user, row), password).await;
            attempt.taken_back();
            let row = row?;
            let mut change = self.change(account).await?;
            change.replace_login(&user, (&before, &row)).await?;
            self.apply(change).await
        })
        .await
    }

    /// Begins to look at a code or password that a user shows.
    pub(super) fn begin_proof(&self, account: AccountId, user: EntityId, code: Code) -> Result<Try<'_>> {
        let name = [&account.to_bytes()[..], user.as_bytes()].concat();
        let counted = [Counted { name, kind: 0, free: PROOFS_FREE }];
        self.proofs.begin(&counted, self.parts.clock.boottime()).map_err(|left| wait(code, left))
    }

    /// The row with another password. `PasswordPolicyViolation` for one that may not be, or not again.
    pub(super) async fn with_password(
        &self,
        account: AccountId,
        (user, row): (&EntityRow, LoginRow),
        NewPassword { policy, password, is_another }: NewPassword<'_>,
    ) -> Result<LoginRow> {
        password::check(policy, password, &user.name)?;
        let Hashes(mut hashes) = self.hashes(account, user.id, &row)?;
        let kept_from = policy.and_then(|policy| policy.reuse_prevented).unwrap_or_default() as usize;
        let kept_from = kept_from.max(usize::from(is_another));
        let remembered = hashes.get(..hashes.len().min(kept_from)).unwrap_or_default();
        if self.hasher.is_among(password, remembered).await? {
            let message = "Password was used before, and may not be set again yet.";
            return Err(IdentityError::new(Code::PasswordPolicyViolation, message));
        }
        hashes.insert(0, self.hasher.hash(password, &*self.parts.entropy).await?);
        hashes.truncate(limit::PASSWORDS_KEPT as usize);
        let sealed = self.sealed_hashes(account, user.id, &Hashes(hashes))?;
        Ok(LoginRow { changed: self.parts.clock.now(), sealed, ..row })
    }

    fn sealed_hashes(&self, account: AccountId, user: EntityId, hashes: &Hashes) -> Result<Box<[u8]>> {
        let plain = Zeroizing::new(hashes.to_bytes().to_vec());
        let scope = KeyScope::identities(account);
        Ok(self.parts.keys.seal(scope, &plain, &LoginRow::aad(account, user))?.into())
    }

    pub(super) fn hashes(&self, account: AccountId, user: EntityId, row: &LoginRow) -> Result<Hashes> {
        let plain = self.parts.keys.unseal(&row.sealed, &LoginRow::aad(account, user))?;
        Ok(Hashes::from_bytes(&plain)?)
    }

    /// The hash of the password that counts.
    pub(super) fn newest_hash(
        &self,
        account: AccountId,
        user: EntityId,
        row: &LoginRow,
    ) -> Result<Option<Hash>> {
        Ok(self.hashes(account, user, row)?.0.into_iter().next())
    }
}

/// A password that is to be a user's.
pub(super) struct NewPassword<'a> {
    pub(super) policy: Option<&'a PasswordPolicy>,
    pub(super) password: &'a str,
    /// It can't be the one that it replaces.
    pub(super) is_another: bool,
}

/// What is told of a password that only an administrator may replace.
pub(super) const OVER: &str = "The password has expired, and only an administrator can set another one.";

impl Change {
    /// Writes a login profile that is still as it was read.
    pub(super) async fn replace_login(
        &mut self,
        user: &EntityRow,
        (before, row): (&LoginRow, &LoginRow),
    ) -> Result<()> {
        let key = login_row::login(self.account, user.id);
        if self.login(user.id).await?.as_ref() != Some(before) {
            let message = "The password is being changed. Try again.";
            return Err(IdentityError::new(Code::ConcurrentModification, message));
        }
        self.needs(Layout::LOGINS);
        self.unchanged(key.clone());
        self.put(key, row);
        Ok(())
    }
}
