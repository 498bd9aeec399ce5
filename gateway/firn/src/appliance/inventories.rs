//! What `status` and `doctor` say of inventory reports that can't be made.

use crate::report::finding::Finding;
use crate::report::status::{FailingReport, Inventories};
use crate::report::time::json_time;
use crate::text::show_duration;
use engine::clock::Timestamp;
use objectstore::{InventoryFailure, Whose};
use std::time::Duration;

/// Failures that get a line of their own.
const LINES_MAX: usize = 20;

/// Those that fail; nothing where none does. What is not one report's alone has no id.
pub(super) fn status(failing: &[InventoryFailure]) -> Option<Inventories> {
    let shown = |failure: &InventoryFailure| FailingReport {
        bucket: Some(failure.bucket.as_str().to_owned()),
        id: failure.id().map(ToString::to_string),
        since: json_time(Some(failure.since)),
        error: Some(failure.error.clone()),
    };
    let lines: Vec<_> = failing.iter().take(LINES_MAX).map(shown).collect();
    let failing_reports = Some(failing.len() as u64);
    (!failing.is_empty()).then_some(Inventories { failing_reports, failing: Some(lines) })
}

/// A fault for each.
pub(super) fn findings(failing: &[InventoryFailure], now: Timestamp) -> Vec<Finding> {
    let fault = |failure: &InventoryFailure| {
        let InventoryFailure { bucket, whose, since, error } = failure;
        let lasts = show_duration(Duration::from_secs(now.since(*since).as_secs()));
        let (text, fix) = match whose {
            Whose::One(id) => (
                format!("the inventory report {id} of {bucket} is not made; for {lasts} it fails to {error}"),
                format!(
                    "make room in its destination, or make that again (aws s3api get-bucket-inventory-configuration \
                     --bucket {bucket} --id {id}); it is tried again within the hour"
                ),
            ),
            Whose::Together => (
                format!(
                    "further inventory reports of {bucket} are not made; for {lasts} one or another fails to {error}"
                ),
                format!(
                    "make room in their destinations, or make those again (aws s3api list-bucket-inventory-configurations \
                     --bucket {bucket}); they are tried again together within the hour"
                ),
            ),
            Whose::Unreadable => (
                format!("no inventory report of {bucket} is made; for {lasts} it fails to {error}"),
                format!(
                    "see to the other faults first; if there is none, what the catalog has of {bucket} is damaged: a configuration that is \
                     named here is mended by setting it again, or deleted (aws s3api delete-bucket-inventory-configuration), anything \
                     else by a backup from before (firn recover --help); it is tried again within the hour"
                ),
            ),
        };
        Finding::fault("inventory", text, fix)
    };
    failing.iter().take(LINES_MAX).map(fault).collect()
}

#[cfg(test)]
mod tests {
    use super::{findings, status};
    use engine::clock::Timestamp;
    use objectstore::{BucketName, InventoryFailure, Whose};
    use serde_json::json;
    use std::time::Duration;

    #[test]
    fn reports_that_fail_are_faults() {
        let since = Timestamp::from_millis(1_700_000_000_000);
        let now = since.plus(Duration::from_mins(3));
        assert!(status(&[]).is_none() && findings(&[], now).is_empty());
        let failing = InventoryFailure {
            bucket: BucketName::parse("src").unwrap(),
            whose: Whose::One("daily".to_owned()),
            since,
            error: "find the bucket: there is none of this name".to_owned(),
        };
        let found = findings(std::slice::from_ref(&failing), now);
        assert!(
            !found[0].ok && found[0].detail.contains("daily of src is not made; for 3m it fails to find")
        );
        assert!(
            found[0]
                .fix
                .as_deref()
                .unwrap()
                .contains("get-bucket-inventory-configuration --bucket src --id daily")
        );
        let shown = json!(status(&vec![failing; 30]));
        assert_eq!((&shown["failing_reports"], shown["failing"].as_array().unwrap().len()), (&30.into(), 20));
        assert_eq!(shown["failing"][0]["id"], "daily");
    }

    #[test]
    fn what_is_not_one_reports_trouble_names_no_id_and_has_a_fix_of_its_own() {
        let since = Timestamp::from_millis(1_700_000_000_000);
        let bucket = BucketName::parse("src").unwrap();
        let error = "read the row: corrupt".to_owned();
        for (whose, text, fix) in [
            (
                Whose::Together,
                "further inventory reports of src are not made",
                "list-bucket-inventory-configurations",
            ),
            (Whose::Unreadable, "no inventory report of src is made", "firn recover --help"),
            (
                Whose::Unreadable,
                "no inventory report of src is made",
                "delete-bucket-inventory-configuration",
            ),
        ] {
            let failing = [InventoryFailure { bucket: bucket.clone(), whose, since, error: error.clone() }];
            assert_eq!(json!(status(&failing))["failing"][0]["id"], serde_json::Value::Null);
            let found = &findings(&failing, since)[0];
            assert!(!found.ok && found.detail.starts_with(text), "{}", found.detail);
            let told = found.fix.as_deref().unwrap();
            assert!(told.contains(fix) && !told.contains("--id") && !told.contains('*'), "{told}");
        }
    }
}
