//! Keys on the durable catalog: what was acknowledged is there in what a kill leaves.

use super::super::{KeyState, NewGrant, NewKey, Parts};
use super::{Kms, own, root};
use crate::credentials::File;
use crate::identity::{self, Identities};
use crate::keys::{FileCustodian, KeyTable};
use engine::catalog::{Catalog as _, Options, RocksCatalog, Scan};
use engine::clock::compliance::ComplianceClock;
use engine::clock::{Clock, ManualClock, SystemClock, Timestamp};
use engine::entropy::{Entropy, SystemEntropy};
use engine::fault::Faults;
use engine::id::PartitionId;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

async fn open(dir: &Path, clock: &Arc<ManualClock>) -> (Arc<Kms>, Arc<RocksCatalog>) {
    let (wall, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>) =
        (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let options = Options {
        log_file_bytes: 5 << 20,
        reserve_bytes: 0,
        ..Options::new(wall, entropy.clone(), Arc::new(Faults::default()))
    };
    let catalog = RocksCatalog::open(dir.join("catalog"), options).unwrap();
    let path = dir.join("master.key");
    let custodian = if path.exists() {
        FileCustodian::load(&path, entropy.clone())
    } else {
        FileCustodian::generate(&path, entropy.clone())
    };
    let custodian = Arc::new(custodian.unwrap());
    let keys = KeyTable::open(catalog.clone(), custodian, entropy.clone(), clock.clone()).await.unwrap();
    let profile =
        "[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = wJalrXUtnFEMI\n";
    let roots = Arc::new(File::parse(profile, own()).unwrap());
    let region = "us-east-1".to_owned();
    let parts = identity::Parts {
        catalog: catalog.clone(),
        keys: keys.clone(),
        clock: clock.clone(),
        entropy: entropy.clone(),
        roots,
        region: region.clone(),
    };
    let identities = Identities::open(parts).await.unwrap();
    let compliance = ComplianceClock::open(catalog.clone(), clock.clone()).await.unwrap();
    let parts = Parts {
        catalog: catalog.clone(),
        keys,
        identities,
        clock: clock.clone(),
        compliance,
        entropy,
        region,
    };
    (Kms::new(parts), catalog)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else if entry.file_name() != "LOCK" {
            std::fs::copy(from, to).unwrap();
        }
    }
}

/// Every row of managed keys, in order.
async fn told(catalog: &RocksCatalog) -> Vec<String> {
    use super::super::row;
    let snapshot = catalog.snapshot(PartitionId::ROOT).await.unwrap();
    let mut all = Vec::new();
    for table in [
        row::KEYS,
        row::POLICIES,
        row::BACKING,
        row::ALIASES,
        row::ALIASES_OF,
        row::GRANTS,
        row::GRANTED,
        row::RETIRABLE,
        row::DUE,
        row::COUNTS,
    ] {
        let page = snapshot.scan(Scan::prefix(table, b"", 1_000)).await.unwrap();
        all.extend(page.rows.iter().map(|row| format!("{table:?} {row:?}")));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_of_keys_is_there_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("live");
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
    let (kms, catalog) = open(&live, &clock).await;
    let day = Duration::from_hours(24);
    let (mut key, mut sealed, mut grant) = (String::new(), Vec::new(), String::new());
    let root = root();
    for step in 0..10 {
        match step {
            0 => key = kms.create_key(&root, &NewKey::default()).await.unwrap().arn,
            1 => kms.create_alias(&root, "alias/a", &key).await.unwrap(),
            2 => kms.enable_key_rotation(&root, &key, Some(90)).await.unwrap(),
            3 => {
                let grantee = "arn:aws:iam::111122223333:root";
                let operations = [super::super::GrantOperation::Encrypt].into_iter().collect();
                let new =
                    NewGrant { key: &key, name: None, grantee, retiring: None, operations, constraint: None };
                grant = kms.create_grant(&root, new).await.unwrap().0;
            }
            4 => {
                clock.advance(91 * day);
                let _done = kms.due(None).await.unwrap();
            }
            5 => kms.revoke_grant(&root, &key, &grant).await.unwrap(),
            6 => drop(kms.rotate_key_on_demand(&root, &key).await.unwrap()),
            7 => kms.disable_key(&root, &key).await.unwrap(),
            8 => drop(kms.schedule_key_deletion(&root, &key, Some(7)).await.unwrap()),
            _ => {
                clock.advance(8 * day);
                let _done = kms.due(None).await.unwrap();
            }
        }
        if step < 7 {
            sealed.push(kms.generate_data_key(&root, "alias/a", &super::context(&[])).await.ok());
        }
        // As a kill leaves it.
        let killed = dir.path().join(format!("killed-{step}"));
        copy(&live, &killed);
        let (left, rows) = open(&killed, &clock).await;
        assert_eq!(told(&rows).await, told(&catalog).await, "{step}");
        let shown = left.describe_key(&root, &key).await;
        match step {
            9 => assert_eq!(super::code(shown), "NotFoundException"),
            8 => assert_eq!(shown.unwrap().state, KeyState::PendingDeletion),
            7 => assert_eq!(shown.unwrap().state, KeyState::Disabled),
            _ => {
                for data in sealed.iter().flatten() {
                    let opened = left.decrypt(&root, &data.ciphertext, &super::context(&[])).await.unwrap();
                    assert_eq!(*opened, *data.plaintext, "{step}");
                }
            }
        }
        let marker = std::fs::read(killed.join("catalog/format")).unwrap();
        assert_eq!(marker[8], 7, "an older firn is kept out");
        rows.close();
    }
    // What the worker was about when it was killed it does after it: the last leaf of the key goes.
    while let engine::worker::Progress::More { .. } = kms.due(None).await.unwrap() {}
    assert!(told(&catalog).await.iter().all(|row| row.contains("Counter")));
    catalog.close();
}
