//! Key policies: read strictly, and such that whoever sets one can set another.

use super::allow::{Of, Wants};
use super::change::again;
use super::error::{Code, KmsError, Result};
use super::find::Found;
use super::model::Asks;
use super::row::{self, PolicyRow};
use super::{Kms, limit};
use crate::identity::Pins;
use crate::policy::{Form, Place, Policy};
use crate::{AccountId, Arn};
use engine::catalog::record::Record as _;

/// Condition keys of KMS that are answered here; `NAME` stands for any name. A policy that asks for another one is refused: its Deny would look
/// like protection.
pub const CONDITION_KEYS: [&str; 32] = [
    "kms:BypassPolicyLockoutSafetyCheck",
    "kms:CallerAccount",
    "kms:CustomerMasterKeySpec",
    "kms:CustomerMasterKeyUsage",
    "kms:DataKeyPairSpec",
    "kms:EncryptionAlgorithm",
    "kms:EncryptionContext:NAME",
    "kms:EncryptionContextKeys",
    "kms:ExpirationModel",
    "kms:GrantConstraintType",
    "kms:GrantIsForAWSResource",
    "kms:GrantOperations",
    "kms:GranteePrincipal",
    "kms:KeyAgreementAlgorithm",
    "kms:KeyOrigin",
    "kms:KeySpec",
    "kms:KeyUsage",
    "kms:MacAlgorithm",
    "kms:MessageType",
    "kms:MultiRegion",
    "kms:PolicyName",
    "kms:ReEncryptOnSameKey",
    "kms:RequestAlias",
    "kms:ResourceAliases",
    "kms:RetiringPrincipal",
    "kms:RotationPeriodInDays",
    "kms:ScheduleKeyDeletionPendingWindowInDays",
    "kms:SigningAlgorithm",
    "kms:ValidTo",
    "kms:ViaService",
    "kms:WrappingAlgorithm",
    "kms:WrappingKeySpec",
];

fn is_answered(key: &str) -> bool {
    !key.starts_with("kms:")
        || CONDITION_KEYS.iter().any(|known| match known.strip_suffix("NAME") {
            Some(before) => key.get(..before.len()).is_some_and(|start| start.eq_ignore_ascii_case(before)),
            None => known.eq_ignore_ascii_case(key),
        })
}

/// What a key gets where nobody says: its account's own policies decide. Source: "Default key policy" of the KMS developer guide.
pub fn default_policy(account: AccountId) -> String {
    let root = Arn::root(account);
    format!(
        "{{\n  \"Version\" : \"2012-10-17\",\n  \"Id\" : \"key-default-1\",\n  \"Statement\" : [ {{\n    \
         \"Sid\" : \"Enable IAM User Permissions\",\n    \"Effect\" : \"Allow\",\n    \
         \"Principal\" : {{\n      \"AWS\" : \"{root}\"\n    }},\n    \"Action\" : \"kms:*\",\n    \"Resource\" : \"*\"\n  }} ]\n}}"
    )
}

/// What a service's own key has: whoever of the account may use the service may use it, by the service alone. Source: "AWS managed keys" of
/// the same.
pub(super) fn service_policy(account: AccountId, region: &str, service: &str) -> String {
    let root = Arn::root(account);
    format!(
        r#"{{"Version":"2012-10-17","Id":"auto-{service}-2","Statement":[{{"Sid":"Allow access through {service} for all principals in the account that are authorized to use it","Effect":"Allow","Principal":{{"AWS":"*"}},"Action":["kms:Encrypt","kms:Decrypt","kms:ReEncrypt*","kms:GenerateDataKey*","kms:DescribeKey"],"Resource":"*","Condition":{{"StringEquals":{{"kms:CallerAccount":"{account}","kms:ViaService":"{service}.{region}.amazonaws.com"}}}}}},{{"Sid":"Allow direct access to key metadata to the account","Effect":"Allow","Principal":{{"AWS":"{root}"}},"Action":["kms:Describe*","kms:Get*","kms:List*"],"Resource":"*"}}]}}"#
    )
}

fn puts_policy(bypass: bool) -> Wants<'static> {
    let said = vec![
        ("kms:bypasspolicylockoutsafetycheck", bypass.to_string()),
        ("kms:policyname", "default".to_owned()),
    ];
    Wants { said, ..Wants::control("kms:PutKeyPolicy") }
}

fn malformed(place: &Place, what: &str) -> KmsError {
    KmsError::new(Code::MalformedPolicyDocument, format!("{place}: {what}"))
}

impl Kms {
    /// Reads a policy that is to be a key's: `who` goes on to be able to set another one, unless they say that they know.
    pub(super) async fn check_policy(
        &self,
        asks: &Asks<'_>,
        of: &Of<'_>,
        text: &str,
        bypass: bool,
    ) -> Result<PolicyRow> {
        let taken = |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{ff}');
        if let Some(other) = text.chars().find(|c| !taken(*c)) {
            let message = format!(
                "{other:?} can't stand in a policy: tab, line feed, carriage return and U+0020 to U+00FF can"
            );
            return Err(KmsError::new(Code::MalformedPolicyDocument, message));
        }
        if text.len() > limit::POLICY_BYTES_MAX {
            let message = format!("A key policy has at most {} bytes.", limit::POLICY_BYTES_MAX);
            return Err(KmsError::new(Code::LimitExceeded, message));
        }
        let policy = Policy::parse(text, Form::Resource, limit::POLICY_BYTES_MAX)?;
        if let Some(found) = policy.keys().find(|found| !is_answered(found.what)) {
            return Err(malformed(&found.place, &format!("no request has the condition key {}", found.what)));
        }
        let pins = self.parts.identities.pins(&policy).map_err(|place| {
            malformed(&place, "Policy contains a statement with one or more invalid principals.")
        })?;
        let row = PolicyRow { text: text.into(), pins };
        if row.to_bytes().len() > limit::POLICY_ROW_BYTES {
            return Err(KmsError::new(Code::LimitExceeded, "A key policy names too many principals."));
        }
        if !bypass && !self.could_set_another(asks, of, (&policy, &row.pins)).await? {
            let message = "The new key policy will not allow you to update the key policy in the future.";
            return Err(KmsError::new(Code::MalformedPolicyDocument, message));
        }
        Ok(row)
    }

    /// Judged as the request will be that sets another one.
    async fn could_set_another(
        &self,
        asks: &Asks<'_>,
        of: &Of<'_>,
        policy: (&Policy, &Pins),
    ) -> Result<bool> {
        let (verdict, _) = self.judge_by((asks, &puts_policy(false), &[]), *of, policy).await?;
        Ok(verdict.is_allowed())
    }

    /// Replaces a key's policy.
    pub async fn put_key_policy(&self, asks: &Asks<'_>, key: &str, text: &str, bypass: bool) -> Result<()> {
        again(|| async {
            let found = self.find(asks, key, false).await?;
            self.allow(asks, &found, &puts_policy(bypass)).await?;
            let policy = self.check_policy(asks, &Of::from(&found), text, bypass).await?;
            found.stays()?;
            let mut change = self.change(found.account, &*found.snapshot);
            change.unchanged(found.row_key());
            change.unchanged(row::policy(found.account, found.id));
            change.put(row::policy(found.account, found.id), &policy);
            self.apply(change).await
        })
        .await
    }

    /// A key's policy, with the names that those whom it means have now.
    pub async fn key_policy(&self, asks: &Asks<'_>, key: &str) -> Result<String> {
        let found = self.find(asks, key, false).await?;
        self.allow(asks, &found, &Wants::control("kms:GetKeyPolicy")).await?;
        Ok(self.shown_policy(&found))
    }

    fn shown_policy(&self, found: &Found) -> String {
        self.parts.identities.shown(&found.policy_text, &found.pins)
    }

    /// Whether a key's policies may be listed: there is one, `default`.
    pub async fn may_list_policies(&self, asks: &Asks<'_>, key: &str) -> Result<()> {
        let found = self.find(asks, key, false).await?;
        self.allow(asks, &found, &Wants::control("kms:ListKeyPolicies")).await.map(drop)
    }
}
