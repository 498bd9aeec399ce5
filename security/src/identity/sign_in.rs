//! Signing in: a user's name, password and, where it has a second factor, a code become a session. docs/adr/0035 has the reasons.
//!
//! ```text
//!   throttled by name, network and both ─► rows ─► one hash, whoever it is ─► code ─► one commit: code taken, use noted ─► session
//! ```
//! # Invariants
//! - Who is not there, has no password, shows a wrong one, a wrong code or none is told the same, after the same work.
//! - Nothing is written for who does not prove who they are.

use super::change::again;
use super::error::{Code, IdentityError, Result};
use super::id::EntityId;
use super::login_row::{DeviceRow, LoginRow};
use super::logins::{NewPassword, OVER, is_expired, wait};
use super::row::{self, AliasRow, EntityRow};
use super::throttle::{Counted, Try};
use super::{Identities, Kind, PasswordPolicy, SignIn, SignedIn, sts};
use crate::AccountId;
use engine::catalog::Layout;
use std::net::IpAddr;

/// Failures that slow down nobody: of a name from one network, of one network, of a name from anywhere.
pub(super) const FREE: [u32; 3] = [5, 50, 200];

fn refused() -> IdentityError {
    let message = "The account, the user's name, the password or the code is not right.";
    IdentityError::new(Code::AccessDenied, message)
}

/// What is one place to come from: an address of IPv4, 64 bits of one of IPv6.
fn network(from: IpAddr) -> [u8; 8] {
    match from.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [0, 0, 0, 0, a, b, c, d]
        }
        IpAddr::V6(address) => *address.octets().first_chunk().unwrap_or(&[0; 8]),
    }
}

/// Who has this name, and what it has to prove.
struct Found {
    account: AccountId,
    user: EntityRow,
    login: LoginRow,
    devices: Vec<(String, DeviceRow)>,
    policy: Option<PasswordPolicy>,
}

impl Identities {
    /// A session of who proves to be a user. `AccessDenied` for everybody else, whatever it is that is wrong; `PasswordResetRequired` where
    /// another password has to be set and none is given.
    pub async fn sign_in(&self, asked: SignIn<'_>) -> Result<SignedIn> {
        let secs = sts::own_duration(asked.duration_secs)?;
        let account = self.account_named(asked.account).await?;
        let attempt = self.begin_sign_in(account, &asked)?;
        let found = self.find_login(account, asked.user).await?;
        let hash = match &found {
            Some(found) => self.newest_hash(found.account, found.user.id, &found.login)?,
            None => None,
        };
        let is_right = match self.hasher.verifies(asked.password, hash.as_ref()).await {
            Ok(is_right) => is_right,
            Err(error) => {
                // Nobody looked at it: that is no wrong password.
                attempt.taken_back();
                return Err(error);
            }
        };
        let found = found.ok_or_else(refused)?;
        let code = self.code_of(&found, asked.code)?;
        let code = code.filter(|_| is_right).ok_or_else(refused)?;
        // Under way until the hashes of what replaces it are made: nobody has many of them made at once.
        let replaced = self.replacement(&found, asked.new_password).await;
        attempt.taken_back();
        let replaced = replaced?;
        self.note_sign_in(&found, code.as_ref(), replaced.as_ref()).await?;
        let mfa = code.map(|_| self.now_in_seconds());
        let credentials = self.signed_in_session(found.account, found.user.id, secs, mfa).await?;
        let Found { account, user, .. } = &found;
        let (arn, id) = (user.arn(*account), user.id.to_string());
        Ok(SignedIn { credentials, arn, id, account: *account, password_changed: replaced.is_some() })
    }

    /// Whose user of this name is, where there is one: for records of who was tried.
    pub async fn account_of_user(&self, account: &str, name: &str) -> Result<Option<AccountId>> {
        let Some(account) = self.account_named(account).await? else { return Ok(None) };
        let world = self.world.load();
        let picture = world.accounts.get(&account);
        let user = picture.and_then(|picture| picture.named(Kind::User, &name.to_ascii_lowercase()));
        Ok(user.map(|_| account))
    }

    /// An account by its number or alias.
    async fn account_named(&self, text: &str) -> Result<Option<AccountId>> {
        let by_alias: Option<AliasRow> =
            self.view(AccountId::from_bytes([0; 8])?).await?.get(row::alias(text)).await?;
        let account = text.parse().ok().or(by_alias.map(|row| row.account));
        Ok(account.filter(|account| self.parts.roots.has_account(*account)))
    }

    fn begin_sign_in(&self, account: Option<AccountId>, asked: &SignIn<'_>) -> Result<Try<'_>> {
        let network = network(asked.from);
        // One that is not there is counted like one that is.
        let account = account.map_or_else(|| asked.account.to_owned(), |account| account.to_string());
        let name = [account.as_bytes(), b"/", asked.user.to_ascii_lowercase().as_bytes()].concat();
        let names = [
            [b"both", &network[..], name.as_slice()].concat(),
            [b"from", &network[..]].concat(),
            [b"name", name.as_slice()].concat(),
        ];
        let counted: Vec<_> = names
            .into_iter()
            .zip(FREE)
            .enumerate()
            .map(|(kind, (name, free))| Counted { name, kind, free })
            .collect();
        let begun = self.sign_ins.begin(&counted, self.parts.clock.boottime());
        begun.map_err(|left| wait(Code::AccessDenied, left))
    }

    /// Reads as much of who is not there as of who is.
    async fn find_login(&self, account: Option<AccountId>, name: &str) -> Result<Option<Found>> {
        let view = self.view(account.map_or_else(|| AccountId::from_bytes([0; 8]), Ok)?).await?;
        // What can't be a name is nobody's.
        let user = match view.find(Kind::User, name).await {
            Err(error) if error.code == Code::ValidationError => None,
            found => found?,
        };
        let id = user.as_ref().map_or(EntityId::ROOT, |user| user.id);
        let (login, devices) = (view.login(id).await?, view.devices_of(id).await?);
        let policy = view.password_policy().await?;
        let (Some(account), Some(user), Some(login)) = (account, user, login) else { return Ok(None) };
        Ok(Some(Found { account, user, login, devices, policy }))
    }

    /// Which device's code of which step was shown, if one has to be; `None`: it is wrong, or there is none where there has to be, or one where
    /// there can't be.
    #[expect(clippy::option_option, reason = "whether it will do, and what it was")]
    fn code_of<'f>(&self, found: &'f Found, code: Option<&str>) -> Result<Option<Option<(&'f str, i64)>>> {
        let Some(code) = code else { return Ok(found.devices.is_empty().then_some(None)) };
        for (place, device) in &found.devices {
            if let Some(step) = self.step_of_code(found.account, (place, device), code)? {
                return Ok(Some(Some((place, step))));
            }
        }
        Ok(None)
    }

    /// The row with another password, where one has to be set.
    async fn replacement(&self, found: &Found, new: Option<&str>) -> Result<Option<LoginRow>> {
        let (login, policy) = (&found.login, found.policy.as_ref());
        let is_expired = is_expired(policy, login.changed, self.parts.clock.now());
        if is_expired && policy.is_some_and(|policy| policy.hard_expiry == Some(true)) {
            return Err(IdentityError::new(Code::AccessDenied, OVER));
        }
        let has_to_be = is_expired || login.reset_required;
        match new {
            None if has_to_be => {
                let why =
                    if is_expired { "The password has expired" } else { "The password is for this once" };
                let message = format!("{why}: another one has to be set.");
                Err(IdentityError::new(Code::PasswordResetRequired, message))
            }
            None => Ok(None),
            Some(_) if !has_to_be => {
                let message = "The password does not have to be changed: ChangePassword of IAM changes it.";
                Err(IdentityError::new(Code::InvalidInput, message))
            }
            Some(new) => {
                let row = LoginRow { reset_required: false, ..login.clone() };
                let passwords = NewPassword { policy, password: new, is_another: true };
                Ok(Some(self.with_password(found.account, (&found.user, row), passwords).await?))
            }
        }
    }

    /// Takes the code and notes the use, if all is as it was when it was looked at.
    async fn note_sign_in(
        &self,
        found: &Found,
        code: Option<&(&str, i64)>,
        replaced: Option<&LoginRow>,
    ) -> Result<()> {
        again(|| async {
            let mut change = self.change(found.account).await?;
            let user = change.resting(Kind::User, &found.user.name).await.map_err(|_| refused())?;
            let login = change.login(user.id).await?;
            let is_as_it_was = |login: &LoginRow| {
                user.id == found.user.id
                    && login.sealed == found.login.sealed
                    && login.reset_required == found.login.reset_required
            };
            let login = login.filter(is_as_it_was).ok_or_else(refused)?;
            match code {
                Some((place, step)) => {
                    change.take_code(user.id, place, *step).await?.ok_or_else(refused)?;
                }
                // One may have been enabled meanwhile.
                None if !change.devices_of(user.id).await?.is_empty() => return Err(refused()),
                None => {}
            }
            let last_used = Some(self.parts.clock.now());
            let row = LoginRow { last_used, ..replaced.cloned().unwrap_or(login) };
            let key = super::login_row::login(found.account, user.id);
            change.needs(Layout::LOGINS);
            change.unchanged(key.clone());
            change.put(key, &row);
            self.apply(change).await
        })
        .await
    }
}
