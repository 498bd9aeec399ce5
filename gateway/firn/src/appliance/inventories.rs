//! What `status` and `doctor` say of inventory reports that can't be made.

use crate::report::finding::Finding;
use crate::report::time::json_time;
use crate::text::show_duration;
use engine::clock::Timestamp;
use objectstore::InventoryFailure;
use serde_json::{Value, json};
use std::time::Duration;

/// Reports that get a line of their own.
const LINES_MAX: usize = 20;

/// Those that fail; nothing where none does.
pub(super) fn status(failing: &[InventoryFailure]) -> Option<Value> {
    let shown = |failure: &InventoryFailure| {
        json!({
            "bucket": failure.bucket.as_str(),
            "id": failure.id,
            "since": json_time(Some(failure.since)),
            "error": failure.error,
        })
    };
    let lines: Vec<_> = failing.iter().take(LINES_MAX).map(shown).collect();
    (!failing.is_empty()).then(|| json!({ "failing_reports": failing.len(), "failing": lines }))
}

/// A fault for each.
pub(super) fn findings(failing: &[InventoryFailure], now: Timestamp) -> Vec<Finding> {
    let fault = |failure: &InventoryFailure| {
        let (bucket, id) = (&failure.bucket, &failure.id);
        let lasts = show_duration(Duration::from_secs(now.since(failure.since).as_secs()));
        let text = format!(
            "the inventory report {id} of {bucket} is not made; for {lasts} it fails to {}",
            failure.error
        );
        let fix = format!(
            "make room in its destination, or make that again (aws s3api get-bucket-inventory-configuration --bucket {bucket} \
             --id {id}); it is tried again within the hour"
        );
        Finding::fault("inventory", text, fix)
    };
    failing.iter().take(LINES_MAX).map(fault).collect()
}

#[cfg(test)]
mod tests {
    use super::{findings, status};
    use engine::clock::Timestamp;
    use objectstore::{BucketName, InventoryFailure};
    use std::time::Duration;

    #[test]
    fn reports_that_fail_are_faults() {
        let since = Timestamp::from_millis(1_700_000_000_000);
        let now = since.plus(Duration::from_mins(3));
        assert!(status(&[]).is_none() && findings(&[], now).is_empty());
        let failing = InventoryFailure {
            bucket: BucketName::parse("src").unwrap(),
            id: "daily".to_owned(),
            since,
            error: "find the bucket: there is none of this name".to_owned(),
        };
        let found = findings(std::slice::from_ref(&failing), now);
        assert!(
            !found[0].ok && found[0].detail.contains("daily of src is not made; for 3m it fails to find")
        );
        let shown = status(&vec![failing; 30]).unwrap();
        assert_eq!((&shown["failing_reports"], shown["failing"].as_array().unwrap().len()), (&30.into(), 20));
    }
}
