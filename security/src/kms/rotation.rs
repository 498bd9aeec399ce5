//! Backing keys: another one encrypts from now and then on, and the old ones decrypt for ever.

use super::allow::Wants;
use super::change::Change;
use super::error::{Code, KmsError, Result};
use super::find::{Found, all};
use super::keys::days_after;
use super::model::{Asks, Page, Paging, Rotated, RotationKind, RotationStatus};
use super::row::{self, BackingRow, How, KeyRow, Rotation, Task};
use super::spec::{KeySpec, Manager, Origin};
use super::{Kms, limit};
use engine::catalog::record::Record as _;
use zeroize::Zeroizing;

/// Days between two rotations where nobody says.
const PERIOD_DAYS: u32 = 365;
/// Backing keys of a key that are looked through.
const BACKING_MAX: usize = 5_000;

impl Found {
    /// It is of a kind that gets other backing keys here.
    fn rotates(&self) -> Result<()> {
        if self.row.spec == KeySpec::Symmetric && self.row.origin == Origin::Own {
            return Ok(());
        }
        let message = format!(
            "{}: only symmetric keys whose material was made here get another backing key.",
            self.arn
        );
        Err(KmsError::unsupported(message))
    }

    fn is_customers(&self) -> Result<()> {
        if self.row.manager == Manager::Customer {
            return Ok(());
        }
        Err(KmsError::new(Code::AccessDenied, format!("{} is a service's own key.", self.arn)))
    }
}

impl Kms {
    /// Has a key get another backing key by itself, every 90 to 2,560 days.
    pub async fn enable_key_rotation(&self, asks: &Asks<'_>, key: &str, days: Option<u32>) -> Result<()> {
        let days = days.unwrap_or(PERIOD_DAYS);
        if !(90..=2_560).contains(&days) {
            return Err(KmsError::invalid("RotationPeriodInDays must be 90 to 2560."));
        }
        let said = vec![("kms:rotationperiodindays", days.to_string())];
        let wants = Wants { said, ..Wants::control("kms:EnableKeyRotation") };
        let edit = |found: &Found, row: &mut KeyRow, change: &mut Change| {
            found.is_customers()?;
            found.rotates()?;
            found.usable()?;
            let next = days_after(self.now(), days);
            if let Some(old) = row.rotation.replace(Rotation { days, next }) {
                change.delete(row::due(old.next, found.account, found.id, Task::Rotate));
            }
            change.mark(row::due(next, found.account, found.id, Task::Rotate));
            Ok(())
        };
        self.alter(asks, key, &wants, edit).await.map(drop)
    }

    /// Has a key keep its backing key.
    pub async fn disable_key_rotation(&self, asks: &Asks<'_>, key: &str) -> Result<()> {
        let edit = |found: &Found, row: &mut KeyRow, change: &mut Change| {
            found.is_customers()?;
            found.rotates()?;
            found.usable()?;
            if let Some(old) = row.rotation.take() {
                change.delete(row::due(old.next, found.account, found.id, Task::Rotate));
            }
            Ok(())
        };
        self.alter(asks, key, &Wants::control("kms:DisableKeyRotation"), edit).await.map(drop)
    }

    /// Whether and when a key gets another backing key by itself, and its ARN.
    pub async fn key_rotation_status(&self, asks: &Asks<'_>, key: &str) -> Result<(String, RotationStatus)> {
        let found = self.find(asks, key, false).await?;
        let wants = Wants { crosses: true, ..Wants::control("kms:GetKeyRotationStatus") };
        self.allow(asks, &found, &wants).await?;
        found.rotates()?;
        let automatic = found.row.rotation.map(|Rotation { days, next }| (days, next));
        Ok((found.arn, RotationStatus { automatic }))
    }

    /// Turns a key to a new backing key.
    pub(super) fn turn(
        &self,
        change: &mut Change,
        (found, row): (&Found, &mut KeyRow),
        (how, material): (How, &[u8]),
    ) -> Result<()> {
        row.current =
            row.current.checked_add(1).ok_or_else(|| KmsError::internal("a key has no number left"))?;
        change.absent(row::backing(found.account, found.id, row.current));
        self.put_backing(change, (found.account, found.id, row.current), how, material, None)
    }

    /// Gives a key another backing key now.
    pub async fn rotate_key_on_demand(&self, asks: &Asks<'_>, key: &str) -> Result<String> {
        let mut material = Zeroizing::new([0; 32]);
        self.parts.entropy.fill(&mut *material);
        if let Some(account) = asks.principal.account() {
            // Whoever has a key has a scope that seals its material; it may have no uses left.
            if self.parts.keys.scopes().contains(&crate::keys::KeyScope::kms(account)) {
                self.prepare(account).await?;
            }
        }
        let edit = |found: &Found, row: &mut KeyRow, change: &mut Change| {
            found.is_customers()?;
            found.rotates()?;
            found.usable()?;
            if row.on_demand >= limit::ON_DEMAND {
                let message = format!("A key is rotated on demand at most {} times.", limit::ON_DEMAND);
                return Err(KmsError::new(Code::LimitExceeded, message));
            }
            row.on_demand += 1;
            self.turn(change, (found, row), (How::OnDemand, &material[..]))
        };
        let (found, _) = self.alter(asks, key, &Wants::control("kms:RotateKeyOnDemand"), edit).await?;
        Ok(found.arn)
    }

    /// A key's backing keys, oldest first, and its ARN; without those that are no rotations unless `all_material`.
    pub async fn key_rotations(
        &self,
        asks: &Asks<'_>,
        (key, all_material): (&str, bool),
        paging: Paging<'_>,
    ) -> Result<(String, Page<Rotated>)> {
        let found = self.find(asks, key, false).await?;
        self.allow(asks, &found, &Wants::control("kms:ListKeyRotations")).await?;
        if found.row.spec != KeySpec::Symmetric {
            return Err(KmsError::unsupported(format!("{} is no symmetric key.", found.arn)));
        }
        let prefix = row::prefix(found.account, found.id);
        let mut items = Vec::new();
        for (key, value) in all(&*found.snapshot, row::BACKING, &prefix, BACKING_MAX).await? {
            let number = key.last_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes));
            let backing = BackingRow::from_bytes(&value)?;
            let kind = match backing.how {
                How::First | How::Imported => None,
                How::Automatic => Some(RotationKind::Automatic),
                How::OnDemand => Some(RotationKind::OnDemand),
            };
            if kind.is_none() && !all_material {
                continue;
            }
            let is_there = backing.sealed.is_some() && backing.expires.is_none_or(|at| self.now() < at);
            items.push(Rotated {
                material_id: hex::encode(backing.material_id),
                rotation: kind.map(|kind| (backing.created, kind)),
                is_current: number == found.row.current,
                imported: (found.row.origin == Origin::External).then_some((is_there, backing.expires)),
            });
        }
        let behind = paging.after.and_then(|after| items.iter().position(|item| item.material_id == after));
        items.drain(..behind.map_or(0, |at| at + 1));
        let more = items.len() > paging.limit;
        items.truncate(paging.limit);
        Ok((found.arn, Page::of((items, more), |item| item.material_id.clone())))
    }
}
