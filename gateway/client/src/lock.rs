//! Object lock: whether a bucket has it, and what holds a version.

use crate::Client;
use crate::call::{Call, header_text};
use crate::date::from_iso;
use crate::error::{Error, Result};
use engine::clock::Timestamp;
use http::{HeaderMap, Method};

/// The object lock of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketLock {
    /// How new versions are held where nothing else is said: a mode (`GOVERNANCE`, `COMPLIANCE`) and a period (`30 days`).
    pub default: Option<(String, String)>,
}

/// What holds a version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectLock {
    /// The mode of its retention.
    pub mode: Option<String>,
    /// Until when it is retained.
    pub retain_until: Option<Timestamp>,
    /// A legal hold is on it.
    pub legal_hold: bool,
}

impl ObjectLock {
    /// What HEAD says of a version; `None` where nothing ever held it.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = |name| header_text(headers, name).map(str::to_owned);
        let mode = text("x-amz-object-lock-mode");
        let hold = text("x-amz-object-lock-legal-hold");
        (mode.is_some() || hold.is_some()).then(|| Self {
            mode,
            retain_until: header_text(headers, "x-amz-object-lock-retain-until-date").and_then(from_iso),
            legal_hold: hold.as_deref() == Some("ON"),
        })
    }

    /// Whether it can't be deleted at this time without a right to bypass governance. A date that is not known counts as one
    /// to come.
    pub fn refuses_delete(&self, now: Timestamp) -> bool {
        let retained =
            self.mode.is_some() && self.retain_until.is_none_or(|until| until.as_millis() > now.as_millis());
        self.legal_hold || retained
    }
}

impl Client {
    /// The object lock of a bucket; `None` where it has none.
    pub async fn bucket_lock(&self, bucket: &str) -> Result<Option<BucketLock>> {
        let call =
            Call::new("GetObjectLockConfiguration", Method::GET).bucket(bucket).query("object-lock", "");
        let root = match self.send_xml(&call, "ObjectLockConfiguration").await {
            Ok((root, _)) => root,
            Err(Error::Service(error)) if error.code == "ObjectLockConfigurationNotFoundError" => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if root.text_of("ObjectLockEnabled") != Some("Enabled") {
            return Ok(None);
        }
        let default = root.child("Rule").and_then(|rule| rule.child("DefaultRetention")).and_then(|rule| {
            let period = ["Days", "Years"].into_iter().find_map(|unit| {
                let count = rule.text_of(unit)?;
                let unit = unit.to_lowercase();
                let unit = if count == "1" { unit.trim_end_matches('s') } else { &unit };
                Some(format!("{count} {unit}"))
            })?;
            Some((rule.text_of("Mode")?.to_owned(), period))
        });
        Ok(Some(BucketLock { default }))
    }
}

#[cfg(test)]
mod tests {
    use super::ObjectLock;
    use engine::clock::Timestamp;
    use http::HeaderMap;

    #[test]
    fn what_holds_a_version_is_its_hold_or_a_date_to_come() {
        let mut headers = HeaderMap::new();
        assert_eq!(ObjectLock::of(&headers), None);
        headers.insert("x-amz-object-lock-mode", "GOVERNANCE".parse().unwrap());
        headers.insert("x-amz-object-lock-retain-until-date", "2026-01-31T12:00:00.000Z".parse().unwrap());
        let lock = ObjectLock::of(&headers).unwrap();
        let until = lock.retain_until.unwrap().as_millis();
        assert!(lock.refuses_delete(Timestamp::from_millis(until - 1)));
        assert!(!lock.refuses_delete(Timestamp::from_millis(until)));
        headers.insert("x-amz-object-lock-legal-hold", "ON".parse().unwrap());
        assert!(ObjectLock::of(&headers).unwrap().refuses_delete(Timestamp::from_millis(until)));
        headers.insert("x-amz-object-lock-legal-hold", "OFF".parse().unwrap());
        assert!(!ObjectLock::of(&headers).unwrap().refuses_delete(Timestamp::from_millis(until)));
    }
}
