//! The credential report: a line of CSV for the root and each user, of passwords, second factors and access keys. Source: "Get credential reports"
//! of the IAM user guide (`id_credentials_getting-report`).
//!
//! A report is made when it is asked for, of one version of the rows, and held in memory for four hours; until then it is not made anew. A
//! restart forgets it.
//!
//! # Limits
//! One is made at a time. 5,000 users are about 1.5 MB; accounts are as many as the credentials file has.

use super::error::{Code, IdentityError, Result};
use super::id::EntityId;
use super::row::{self, AccessKeyRow, EntityRow, LastUsedRow};
use super::view::{View, owner_and_key};
use super::{Identities, KeyStatus, Kind, Paging, PasswordPolicy, limit, name};
use crate::{AccountId, AmzDate};
use engine::clock::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a report is good for, and not made anew.
const GOOD_FOR: Duration = Duration::from_hours(4);
const DAY: Duration = Duration::from_hours(24);
const COLUMNS: &str = "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,mfa_active,\
                       access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_region,\
                       access_key_1_last_used_service,access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,\
                       access_key_2_last_used_region,access_key_2_last_used_service,cert_1_active,cert_1_last_rotated,cert_2_active,\
                       cert_2_last_rotated";
const NONE: &str = "N/A";

/// A credential report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialReport {
    /// CSV, with a line of columns first.
    pub content: Arc<str>,
    /// When it was made.
    pub generated: Timestamp,
}

/// Reports by account.
pub(super) type Reports = tokio::sync::Mutex<HashMap<AccountId, CredentialReport>>;

/// `2026-11-30T06:47:57+00:00`
fn time(at: Timestamp) -> String {
    AmzDate::from_timestamp(at).extended().replace('Z', "+00:00")
}

/// A field as CSV has it: names may have commas.
fn quoted(text: &str) -> String {
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// An access key, and when it was used last.
type Key = (AccessKeyRow, Option<LastUsedRow>);

fn key_fields(key: Option<&Key>, fields: &mut Vec<String>) {
    let Some((key, used)) = key else {
        fields.push("false".to_owned());
        fields.extend([NONE; 4].map(str::to_owned));
        return;
    };
    fields.push((key.status == KeyStatus::Active).to_string());
    fields.push(time(key.created));
    match used {
        None => fields.extend([NONE; 3].map(str::to_owned)),
        Some(used) => fields.extend([time(used.at), used.region.to_string(), used.service.to_string()]),
    }
}

fn line(mut fields: Vec<String>, keys: &[Key]) -> String {
    for at in 0..2 {
        key_fields(keys.get(at), &mut fields);
    }
    // Certificates for signing, of which there are none.
    fields.extend(["false", NONE, "false", NONE].map(str::to_owned));
    fields.join(",")
}

impl View {
    async fn keys_of(&self, owner: EntityId) -> Result<Vec<Key>> {
        let mut keys = Vec::new();
        for (key, _) in self.all(row::KEYS_OF, &row::of_entity(self.account, owner)).await? {
            let (_, _, id) = owner_and_key(&key)?;
            if let Some(row) = self.get(row::access_key(&id)).await? {
                keys.push((row, self.get(row::last_used(&id)).await?));
            }
        }
        keys.sort_by_key(|(row, _): &Key| row.created);
        Ok(keys)
    }

    async fn line_of(&self, user: &EntityRow, policy: Option<&PasswordPolicy>) -> Result<String> {
        let mut fields = vec![quoted(&user.name), quoted(&user.arn(self.account)), time(user.created)];
        match self.login(user.id).await? {
            None => fields.extend(["false", NONE, NONE, NONE].map(str::to_owned)),
            Some(login) => {
                let days = policy.and_then(|policy| policy.age_max_days);
                let next = days.map(|days| login.changed.plus(DAY * days));
                fields.push("true".to_owned());
                fields.push(login.last_used.map_or_else(|| "no_information".to_owned(), time));
                fields.push(time(login.changed));
                fields.push(next.map_or_else(|| NONE.to_owned(), time));
            }
        }
        fields.push((!self.devices_of(user.id).await?.is_empty()).to_string());
        Ok(line(fields, &self.keys_of(user.id).await?))
    }

    /// Of the root, with so many keys in the credentials file: when those were made and used is not known.
    async fn line_of_root(&self, of_file: usize) -> Result<String> {
        let mut fields = vec!["<root_account>".to_owned(), name::root_arn(self.account), NONE.to_owned()];
        fields.extend(["not_supported"; 4].map(str::to_owned));
        fields.push("false".to_owned());
        let keys = self.keys_of(EntityId::ROOT).await?;
        for at in 0..2 {
            if at < of_file {
                fields.push("true".to_owned());
                fields.extend([NONE; 4].map(str::to_owned));
            } else {
                key_fields(keys.get(at - of_file), &mut fields);
            }
        }
        fields.extend(["false", NONE, "false", NONE].map(str::to_owned));
        Ok(fields.join(","))
    }
}

impl Identities {
    /// Makes the account's report, unless there is one that is still good. Whether it was made.
    pub async fn make_credential_report(&self, account: AccountId) -> Result<bool> {
        let mut reports = self.reports.lock().await;
        let now = self.parts.clock.now();
        if reports.get(&account).is_some_and(|report| now.since(report.generated) < GOOD_FOR) {
            return Ok(false);
        }
        let view = self.view(account).await?;
        let policy = view.password_policy().await?;
        let of_file = self.parts.roots.keys_of(account).len();
        let mut lines = vec![COLUMNS.to_owned(), view.line_of_root(of_file).await?];
        let mut after: Option<String> = None;
        loop {
            let paging = Paging { after: after.as_deref(), limit: limit::PAGE };
            let page = view.entities(Kind::User, None, paging).await?;
            for user in &page.items {
                lines.push(view.line_of(user, policy.as_ref()).await?);
            }
            match page.next {
                None => break,
                next => after = next,
            }
        }
        let report = CredentialReport { content: (lines.join("\n") + "\n").into(), generated: now };
        reports.insert(account, report);
        Ok(true)
    }

    /// The account's report. `ReportNotPresent` where none was made, `ReportExpired` where it was made more than four hours ago.
    pub async fn credential_report(&self, account: AccountId) -> Result<CredentialReport> {
        let reports = self.reports.lock().await;
        let absent = || {
            let message = "Credential report not present. Please use GenerateCredentialReport to generate a credential report.";
            IdentityError::new(Code::ReportNotPresent, message)
        };
        let report = reports.get(&account).ok_or_else(absent)?;
        if self.parts.clock.now().since(report.generated) >= GOOD_FOR {
            let message =
                "Credential report has expired. Please use GenerateCredentialReport to generate another one.";
            return Err(IdentityError::new(Code::ReportExpired, message));
        }
        Ok(report.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::{quoted, time};
    use engine::clock::Timestamp;

    #[test]
    fn fields_are_as_csv_and_aws_have_them() {
        assert_eq!((quoted("a,b"), quoted("a=b")), ("\"a,b\"".to_owned(), "a=b".to_owned()));
        assert_eq!(time(Timestamp::from_millis(1_382_720_462_123)), "2013-10-25T17:01:02+00:00");
    }
}
