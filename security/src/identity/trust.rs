//! Whom trust policies name: users and roles by their ARNs, which stand for who had that name when the policy was set.
//!
//! A policy that names a user goes on naming it under another name, and nobody who gets its name later
//! (`reference_policies_elements_principal` of the IAM user guide). So a role's row has, beside the text, each ARN with the id behind it.

use super::error::{Code, IdentityError, Result};
use super::id::EntityId;
use super::picture::World;
use super::row::{self, EntityRow, RoleRow};
use super::view::View;
use super::{Kind, document, name};
use crate::policy::{Form, Party, Policy};
use crate::{AccountId, Arn};

/// The user or role that an ARN is of.
fn named(arn: &str) -> Option<(AccountId, Kind, String)> {
    let kind = [Kind::User, Kind::Role].into_iter().find(|kind| name::split_arn(arn, *kind).is_ok())?;
    let (account, _, name) = name::split_arn(arn, kind).ok()?;
    Some((account?, kind, name.to_ascii_lowercase()))
}

impl View {
    /// Everybody whom a trust policy names, with the ids that they have now; `MalformedPolicyDocument` where somebody is not there.
    pub(super) async fn pins(&self, trust: &Policy) -> Result<Vec<(Box<str>, EntityId)>> {
        let mut pins: Vec<(Box<str>, EntityId)> = Vec::new();
        for party in trust.parties() {
            let Party::Arn { arn, .. } = party.what else { continue };
            let is_of_iam = arn.parse::<Arn>().is_ok_and(|arn| arn.service() == "iam");
            if !is_of_iam || pins.iter().any(|(known, _)| known == arn) {
                continue;
            }
            let absent = || {
                let message = format!("Invalid principal in policy: \"AWS\":\"{arn}\"");
                IdentityError::new(Code::MalformedPolicyDocument, message)
            };
            let (account, kind, lower) = named(arn).ok_or_else(absent)?;
            let found: Option<EntityRow> = self.get(row::entity(account, kind, &lower)).await?;
            let found = found.filter(|row| row.arn(account) == **arn).ok_or_else(absent)?;
            pins.push((arn.clone(), found.id));
        }
        Ok(pins)
    }
}

/// A role's trust policy as it is meant now: who has another name is named by that, and who is gone by what nobody is called.
pub(super) fn meant(role: &RoleRow, world: &World) -> Policy {
    let mut text = role.trust.to_string();
    for (arn, id) in &role.pins {
        let account = arn.parse::<Arn>().ok().and_then(|arn| arn.account());
        let picture = account.and_then(|account| world.accounts.get(&account));
        let now = picture.and_then(|picture| picture.entities.get(id)).map(|entity| &*entity.arn);
        if now != Some(&**arn) {
            // No name has a percent sign.
            let gone = format!("{arn}%{id}");
            text = text.replace(&format!("\"{arn}\""), &format!("\"{}\"", now.unwrap_or(&gone)));
        }
    }
    document::compiled(&text, Form::Trust)
}
