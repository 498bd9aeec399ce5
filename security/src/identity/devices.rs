//! Second factors: virtual devices, whose codes of six digits prove who holds the seed (`totp.rs`).
//!
//! ```text
//!   made: seed sealed, shown once ─► two codes in a row ─► a user's ─► a code for a session, taken once ─► nobody's ─► deleted
//! ```
//! # Invariants
//! - A code is taken in the commit that keeps its step: of two who show the same, whoever commits first has it.
//! - What is told of a code that is wrong, was taken, or is another device's, is the same.

use super::change::{Change, again};
use super::error::{Code, IdentityError, Result};
use super::id::EntityId;
use super::login_row::{self, Assigned, DeviceRow};
use super::row::Count;
use super::totp::{self, Digits, SEED_LEN, Seed};
use super::view::View;
use super::{Device, Identities, Kind, NewDevice, Page, Paging, Shown, Tag, entity, limit, name};
use crate::keys::KeyScope;
use crate::principal::Who;
use crate::{AccountId, Principal};
use engine::catalog::Layout;
use engine::catalog::record::Record as _;
use engine::clock::Timestamp;
use zeroize::Zeroizing;

/// Characters of a serial number, as the model has it.
const SERIAL_MAX: usize = 256;

fn serial(account: AccountId, place: &str) -> String {
    format!("arn:aws:iam::{account}:mfa{place}")
}

fn no_device(serial: &str) -> IdentityError {
    let message = format!("VirtualMFADevice with serial number {serial} does not exist.");
    IdentityError::new(Code::NoSuchEntity, message)
}

fn wrong_codes() -> IdentityError {
    let message = "Authentication code for device is not valid, or was used before.";
    IdentityError::new(Code::InvalidAuthenticationCode, message)
}

fn refused() -> IdentityError {
    let message = "MultiFactorAuthentication failed with invalid MFA one time pass code.";
    IdentityError::new(Code::AccessDenied, message)
}

/// Path and name of a device of the account: `/lab/phone`.
fn place(account: AccountId, serial: &str) -> Result<&str> {
    let own = format!("arn:aws:iam::{account}:mfa");
    let place =
        serial.strip_prefix(&own).filter(|place| place.starts_with('/') && serial.len() <= SERIAL_MAX);
    place.ok_or_else(|| no_device(serial))
}

fn digits(codes: [&str; 2]) -> Result<[Digits; 2]> {
    let [first, second] = codes.map(str::parse);
    match (first, second) {
        (Ok(first), Ok(second)) => Ok([first, second]),
        _ => Err(wrong_codes()),
    }
}

impl View {
    pub(super) async fn device(&self, place: &str) -> Result<Option<DeviceRow>> {
        self.get(login_row::device(self.account, place)).await
    }

    /// The devices of a user, with their places.
    pub(super) async fn devices_of(&self, user: EntityId) -> Result<Vec<(String, DeviceRow)>> {
        let prefix = super::row::of_entity(self.account, user);
        let mut found = Vec::new();
        for (key, _) in self.all(login_row::DEVICES_OF, &prefix).await? {
            let place = String::from_utf8_lossy(key.get(prefix.len()..).unwrap_or_default()).into_owned();
            let row = self.device(&place).await?;
            found.extend(row.filter(|row| row.is_of(user)).map(|row| (place, row)));
        }
        Ok(found)
    }

    /// As it is shown.
    async fn shown(&self, place: &str, row: DeviceRow) -> Result<Device> {
        let user = match row.assigned {
            None => None,
            Some(Assigned { user, enabled, .. }) => {
                let found = self.by_ids(&[user]).await?.into_iter().next();
                found.map(|row| (entity::listed_user(self.account, row), enabled))
            }
        };
        Ok(Device { serial: serial(self.account, place), user, tags: row.tags })
    }
}

impl DeviceRow {
    fn is_of(&self, user: EntityId) -> bool {
        self.assigned.as_ref().is_some_and(|assigned| assigned.user == user)
    }
}

impl Change {
    /// A device of this user that the change rests on.
    async fn resting_device(&mut self, user: EntityId, place: &str) -> Result<DeviceRow> {
        let row = self.device(place).await?.filter(|row| row.is_of(user));
        self.unchanged(login_row::device(self.account, place));
        row.ok_or_else(|| no_device(&serial(self.account, place)))
    }

    fn put_device(&mut self, place: &str, row: &DeviceRow) {
        self.needs(Layout::LOGINS);
        self.put(login_row::device(self.account, place), row);
    }

    /// Takes a code of this step. `None`: one of it or a later one was taken meanwhile, or the device is not the user's any more.
    pub(super) async fn take_code(&mut self, user: EntityId, place: &str, step: i64) -> Result<Option<()>> {
        let Some(mut row) = self.device(place).await? else { return Ok(None) };
        if !row.is_of(user) || row.last >= step {
            return Ok(None);
        }
        row.last = step;
        self.unchanged(login_row::device(self.account, place));
        self.put_device(place, &row);
        Ok(Some(()))
    }
}

impl Identities {
    /// Makes a device that is nobody's yet. The answer is the only time that its seed is shown.
    pub async fn create_device(
        &self,
        account: AccountId,
        path: Option<&str>,
        device: &str,
        tags: &[Tag],
    ) -> Result<NewDevice> {
        let place = format!("{}{}", name::path(path)?, name::device_name(device)?);
        name::check_tags(tags)?;
        let serial = serial(account, &place);
        if serial.len() > SERIAL_MAX {
            let message = format!("Path and name make a serial number of more than {SERIAL_MAX} characters.");
            return Err(IdentityError::new(Code::InvalidInput, message));
        }
        let scope = KeyScope::identities(account);
        self.prepare(scope).await?;
        let mut seed = Zeroizing::new([0; SEED_LEN]);
        self.parts.entropy.fill(&mut *seed);
        let sealed: Box<[u8]> = self.parts.keys.seal(scope, &*seed, &DeviceRow::aad(account, &place))?.into();
        let created = self.parts.clock.now();
        let row = DeviceRow { created, tags: tags.to_vec(), assigned: None, last: i64::MIN, sealed };
        again(|| async {
            let mut change = self.change(account).await?;
            if change.device(&place).await?.is_some() {
                let message = "MFADevice entity at the same path and name already exists.";
                return Err(IdentityError::new(Code::EntityAlreadyExists, message));
            }
            change.absent(login_row::device(account, &place));
            change.put_device(&place, &row);
            let quota = ("MFADevicesPerAccount", limit::DEVICES);
            change.add(Count::Devices, EntityId::ROOT, 1, Some(quota));
            self.apply(change).await
        })
        .await?;
        let seed = Zeroizing::new(totp::base32(&*seed));
        Ok(NewDevice { serial, name: device.to_owned(), seed, tags: tags.to_vec() })
    }

    /// Ends a device. `DeleteConflict` while it is somebody's.
    pub async fn delete_device(&self, account: AccountId, serial: &str) -> Result<()> {
        let place = place(account, serial)?;
        again(|| async {
            let mut change = self.change(account).await?;
            let row = change.device(place).await?.ok_or_else(|| no_device(serial))?;
            if row.assigned.is_some() {
                let message = "Device is in use, must deactivate it first.";
                return Err(IdentityError::new(Code::DeleteConflict, message));
            }
            let key = login_row::device(account, place);
            change.unchanged(key.clone());
            change.delete(key);
            change.add(Count::Devices, EntityId::ROOT, -1, None);
            self.apply(change).await
        })
        .await
    }

    /// Makes a device a user's, who shows two codes of it in a row.
    pub async fn enable_device(
        &self,
        account: AccountId,
        user: &str,
        serial: &str,
        codes: [&str; 2],
    ) -> Result<()> {
        let place = place(account, serial)?;
        again(|| async {
            let mut change = self.change(account).await?;
            let user = change.resting(Kind::User, user).await?;
            let mut row = change.device(place).await?.ok_or_else(|| no_device(serial))?;
            if row.assigned.is_some() {
                return Err(IdentityError::new(Code::EntityAlreadyExists, "MFA Device is already in use."));
            }
            let step = self.synced(&change, (user.id, place, &row), (codes, row.last))?;
            let now = self.parts.clock.now();
            row.assigned = Some(Assigned { user: user.id, enabled: now, drift: step - totp::step_of(now) });
            row.last = step;
            change.unchanged(login_row::device(account, place));
            change.put_device(place, &row);
            change.mark(login_row::device_of(account, user.id, place));
            let quota = ("MFADevicesPerUser", limit::DEVICES_OF_USER);
            change.add(Count::Devices, user.id, 1, Some(quota));
            change.add(Count::DevicesInUse, EntityId::ROOT, 1, None);
            self.apply(change).await
        })
        .await
    }

    /// Says anew how far the clock of a user's device is off, by two codes in a row that were not taken.
    pub async fn resync_device(
        &self,
        account: AccountId,
        user: &str,
        serial: &str,
        codes: [&str; 2],
    ) -> Result<()> {
        let place = place(account, serial)?;
        again(|| async {
            let mut change = self.change(account).await?;
            let user = change.resting(Kind::User, user).await?;
            let mut row = change.resting_device(user.id, place).await?;
            let step = self.synced(&change, (user.id, place, &row), (codes, row.last))?;
            if let Some(assigned) = &mut row.assigned {
                assigned.drift = step - totp::step_of(self.parts.clock.now());
            }
            row.last = step;
            change.put_device(place, &row);
            self.apply(change).await
        })
        .await
    }

    /// The step of the second of two codes in a row.
    fn synced(
        &self,
        change: &Change,
        (user, place, row): (EntityId, &str, &DeviceRow),
        (codes, last): ([&str; 2], i64),
    ) -> Result<i64> {
        let attempt = self.begin_proof(change.account, user, Code::InvalidAuthenticationCode)?;
        let seed = self.seed(change.account, place, row)?;
        let step = seed.synced(digits(codes)?, self.parts.clock.now(), last).ok_or_else(wrong_codes)?;
        attempt.taken_back();
        Ok(step)
    }

    /// Makes a device nobody's.
    pub async fn deactivate_device(&self, account: AccountId, user: &str, serial: &str) -> Result<()> {
        let place = place(account, serial)?;
        again(|| async {
            let mut change = self.change(account).await?;
            let user = change.resting(Kind::User, user).await?;
            let mut row = change.resting_device(user.id, place).await?;
            row.assigned = None;
            change.put_device(place, &row);
            change.delete(login_row::device_of(account, user.id, place));
            change.add(Count::Devices, user.id, -1, None);
            change.add(Count::DevicesInUse, EntityId::ROOT, -1, None);
            self.apply(change).await
        })
        .await
    }

    /// A device, of this user if one is named.
    pub async fn device(&self, account: AccountId, serial: &str, user: Option<&str>) -> Result<Device> {
        let (place, view) = (place(account, serial)?, self.view(account).await?);
        let row = view.device(place).await?.ok_or_else(|| no_device(serial))?;
        if let Some(user) = user {
            let user = view.entity(Kind::User, user).await?;
            if !row.is_of(user.id) {
                return Err(no_device(serial));
            }
        }
        view.shown(place, row).await
    }

    /// The devices of a user.
    pub async fn devices(&self, account: AccountId, user: &str, paging: Paging<'_>) -> Result<Page<Device>> {
        let view = self.view(account).await?;
        let user = view.entity(Kind::User, user).await?;
        let all = view.devices_of(user.id).await?;
        let behind = paging.after.and_then(|after| all.iter().position(|(place, _)| place == after));
        let mut items = Vec::new();
        let mut next = None;
        for (place, row) in all.into_iter().skip(behind.map_or(0, |at| at + 1)) {
            if items.len() == paging.limit.clamp(1, limit::PAGE) {
                return Ok(Page { items, next });
            }
            items.push(view.shown(&place, row).await?);
            next = Some(place);
        }
        Ok(Page { items, next: None })
    }

    /// The devices of the account: those that are somebody's, those that are not, or (`None`) all.
    pub async fn all_devices(
        &self,
        account: AccountId,
        assigned: Option<bool>,
        paging: Paging<'_>,
    ) -> Result<Page<Device>> {
        let view = self.view(account).await?;
        let read = |place: &str, value: &[u8]| {
            let row = DeviceRow::from_bytes(value)?;
            let wanted = assigned.is_none_or(|assigned| row.assigned.is_some() == assigned);
            Ok(wanted.then(|| (place.to_owned(), row)))
        };
        let of_account = account.to_bytes().to_vec();
        let page = view.page((login_row::DEVICES, of_account), paging, read).await?;
        let mut items = Vec::with_capacity(page.items.len());
        for (place, row) in page.items {
            items.push(view.shown(&place, row).await?);
        }
        Ok(Page { items, next: page.next })
    }

    /// Sets tags of a device, or takes them away.
    pub async fn retag_device(
        &self,
        account: AccountId,
        serial: &str,
        (tags, untagged): (&[Tag], &[&str]),
    ) -> Result<()> {
        name::check_tags(tags)?;
        let place = place(account, serial)?;
        again(|| async {
            let mut change = self.change(account).await?;
            let mut row = change.device(place).await?.ok_or_else(|| no_device(serial))?;
            let same = |one: &str, other: &str| one.to_lowercase() == other.to_lowercase();
            row.tags.retain(|tag| !untagged.iter().any(|key| same(key, &tag.key)));
            for tag in tags {
                match row.tags.iter_mut().find(|known| same(&known.key, &tag.key)) {
                    Some(known) => *known = tag.clone(),
                    None => row.tags.push(tag.clone()),
                }
            }
            name::check_tags_size(&row.tags)?;
            change.unchanged(login_row::device(account, place));
            change.put_device(place, &row);
            self.apply(change).await
        })
        .await
    }

    pub(super) fn seed(&self, account: AccountId, place: &str, row: &DeviceRow) -> Result<Seed> {
        Ok(Seed::new(&self.parts.keys.unseal(&row.sealed, &DeviceRow::aad(account, place))?))
    }

    /// The step of a code that is good now, and was not taken.
    pub(super) fn step_of_code(
        &self,
        account: AccountId,
        (place, row): (&str, &DeviceRow),
        code: &str,
    ) -> Result<Option<i64>> {
        let (Ok(code), Some(assigned)) = (code.parse(), &row.assigned) else { return Ok(None) };
        let seed = self.seed(account, place, row)?;
        Ok(seed.taken(code, self.parts.clock.now(), assigned.drift, row.last))
    }

    /// Takes the code that a user shows; when that was. A code is taken once.
    pub(super) async fn take_shown(&self, who: &Principal, shown: Shown<'_>) -> Result<Timestamp> {
        let identity = who.identity().filter(|identity| matches!(identity.who, Who::User { .. }));
        let identity = identity.ok_or_else(refused)?;
        let (account, user) = (identity.account, identity.entity);
        let attempt = self.begin_proof(account, user, Code::AccessDenied)?;
        let place = place(account, shown.serial).map_err(|_| refused())?;
        again(|| async {
            let mut change = self.change(account).await?;
            let row = change.device(place).await?.filter(|row| row.is_of(user)).ok_or_else(refused)?;
            let step = self.step_of_code(account, (place, &row), shown.code)?.ok_or_else(refused)?;
            change.take_code(user, place, step).await?.ok_or_else(refused)?;
            self.apply(change).await
        })
        .await?;
        attempt.taken_back();
        Ok(self.now_in_seconds())
    }
}
