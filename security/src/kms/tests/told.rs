//! What keys' worker did by itself is in the audit trail.

use super::super::{EncryptionAlgorithm, Import, NewKey, Origin, asymmetric};
use super::{Bench, own, root};
use crate::audit::{
    self, Attribute, Audit, Destination, EventSelector, File, Lookup, NewTrail, ReadWrite, Selectors, Sink,
    SinkError,
};
use engine::BoxFuture;
use engine::entropy::SeededEntropy;
use engine::worker::Progress;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);

/// A bucket that remembers the records that it was given.
#[derive(Default)]
struct Bucket(Mutex<Vec<Value>>);

impl Sink for Bucket {
    fn check<'a>(&'a self, _to: &'a Destination<'a>) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async { Ok(()) })
    }

    fn write<'a>(&'a self, to: &'a Destination<'a>, file: File) -> BoxFuture<'a, Result<(), SinkError>> {
        if to.key.contains("/CloudTrail/") {
            let body: Value = serde_json::from_slice(&file.body).unwrap();
            self.0.lock().extend(body["Records"].as_array().unwrap().iter().cloned());
        }
        Box::pin(async { Ok(()) })
    }
}

/// A trail of events that change something; with KMS's, or without.
async fn trail(audit: &Arc<Audit>, name: &str, excluded: &[&str]) {
    let new = NewTrail { name, bucket: "logs", ..NewTrail::default() };
    audit.create_trail(own(), &new).await.unwrap();
    let selectors = Selectors::Basic(vec![EventSelector {
        read_write_type: ReadWrite::WriteOnly,
        include_management_events: true,
        data_resources: Vec::new(),
        exclude_management_event_sources: excluded.iter().map(|source| (*source).to_owned()).collect(),
    }]);
    audit.put_selectors(own(), name, selectors).await.unwrap();
    audit.start_logging(own(), name).await.unwrap();
}

#[tokio::test]
async fn what_is_done_with_a_key_when_its_time_has_come_has_a_record() {
    let bench = Bench::new().await;
    let (parts, bucket) = (&bench.kms.parts, Arc::new(Bucket::default()));
    let parts = audit::Parts {
        catalog: parts.catalog.clone(),
        keys: parts.keys.clone(),
        clock: parts.clock.clone(),
        compliance: parts.compliance.clone(),
        entropy: Arc::new(SeededEntropy::new(9)),
        region: parts.region.clone(),
        day: DAY,
        sink: bucket.clone(),
    };
    let audit = Audit::open(parts).await.unwrap();
    trail(&audit, "with-keys", &[]).await;
    trail(&audit, "without-keys", &["kms.amazonaws.com"]).await;
    let mut worker = bench.kms.worker(&audit);
    let mut work = async || while let Progress::More { .. } = worker.tick().await.unwrap() {};
    let turned = bench.key(None).await;
    bench.kms.enable_key_rotation(&root(), &turned, Some(90)).await.unwrap();
    let ends = bench.key(None).await;
    bench.kms.schedule_key_deletion(&root(), &ends, Some(7)).await.unwrap();
    let new = NewKey { origin: Some(Origin::External), ..NewKey::default() };
    let lent = bench.kms.create_key(&root(), &new).await.unwrap().arn;
    let given =
        bench.kms.parameters_for_import(&root(), &lent, ("RSAES_OAEP_SHA_256", "RSA_2048")).await.unwrap();
    let material = asymmetric::wrap(&given.public, EncryptionAlgorithm::OaepSha256, &[7; 32]);
    let (token, valid_to) = (&given.token[..], Some(bench.kms.now().plus(DAY)));
    let import =
        Import { key: &lent, token, material: &material, valid_to, is_new: false, material_id: None };
    bench.kms.import_key_material(&root(), import).await.unwrap();
    work().await;
    let found = async || {
        let asked = Lookup { limit: 50, ..Lookup::default() };
        let found = audit.lookup(own(), &asked).await.unwrap().found;
        found.into_iter().map(|found| found.fields).collect::<Vec<_>>()
    };
    assert!(found().await.is_empty(), "nothing was due");
    let material = bench.kms.describe_key(&root(), &lent).await.unwrap();
    for days in [1, 6, 83] {
        bench.clock.advance(days * DAY);
        work().await;
        // A second look finds nothing that is due.
        work().await;
    }
    let records = found().await;
    let id = |arn: &str| arn.rsplit('/').next().unwrap().to_owned();
    let wanted = [
        ("RotateKey", &turned, json!({ "rotationType": "AUTOMATIC", "keyId": id(&turned) })),
        ("DeleteKey", &ends, json!({ "keyId": id(&ends) })),
        (
            "DeleteExpiredKeyMaterial",
            &lent,
            json!({ "keyMaterialId": material.material_id, "keyId": id(&lent) }),
        ),
    ];
    assert_eq!(records.len(), wanted.len());
    for (record, (name, arn, details)) in records.iter().zip(&wanted) {
        assert_eq!((&record["eventName"], &record["serviceEventDetails"]), (&json!(name), details));
        assert_eq!(
            (&record["eventType"], &record["eventSource"]),
            (&json!("AwsServiceEvent"), &json!("kms.amazonaws.com"))
        );
        let who =
            json!({ "type": "AWSService", "accountId": own().to_string(), "invokedBy": "kms.amazonaws.com" });
        assert_eq!((&record["userIdentity"], &record["readOnly"]), (&who, &json!(false)));
        let key = json!([{ "ARN": arn, "accountId": own().to_string(), "type": "AWS::KMS::Key" }]);
        assert_eq!(record["resources"], key);
    }
    let of_key = Lookup { wanted: Some((Attribute::ResourceName, &ends)), limit: 9, ..Lookup::default() };
    assert_eq!(audit.lookup(own(), &of_key).await.unwrap().found.len(), 1);
    // The trail that wants none of KMS's has none of these.
    for mut worker in audit.workers() {
        while let Progress::More { .. } = worker.tick().await.unwrap() {}
    }
    let mut delivered: Vec<_> =
        bucket.0.lock().iter().map(|record| record["eventName"].to_string()).collect();
    delivered.sort();
    assert_eq!(delivered, ["\"DeleteExpiredKeyMaterial\"", "\"DeleteKey\"", "\"RotateKey\""]);
}
