//! Inventory reports: when they are made, what they say, and what a crash leaves of one.

mod left;
mod turns;

use crate::inventory::{Begun, FILE_BYTES, Job, Pace, Step};
use crate::world::{World, bucket};
use crate::{
    AmendRequest, BucketName, DeleteConditions, DeleteRequest, Error, GetRequest, Inventory, InventoryField,
    InventoryFrequency, InventoryVersions, LockMode, NewBucket, ObjectLock, Origin, PutRequest, Retention,
    Subresources, VersionSelector, Versioning, VersionsRequest,
};
use bytes::Bytes;
use engine::clock::Timestamp;
use engine::worker::{Progress, Worker};
use flate2::read::GzDecoder;
use md5::Digest as _;
use security::AccountId;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

fn wanted(target: &BucketName, versions: InventoryVersions, fields: &[InventoryField]) -> Inventory {
    let set = Inventory {
        id: "all.of-it_1".to_owned(),
        enabled: true,
        frequency: InventoryFrequency::Daily,
        versions,
        prefix: None,
        destination: target.clone(),
        destination_prefix: Some("reports/".to_owned()),
        account: None,
        encrypted: true,
        fields: fields.to_vec(),
    };
    set.checked().unwrap()
}

struct Made {
    world: World,
    source: BucketName,
    target: BucketName,
    worker: Box<dyn Worker>,
}

impl Made {
    async fn new(seed: u64, versioning: Versioning) -> Self {
        let world = World::new(seed).await;
        let source = world.create("src", versioning).await;
        let target = world.create("target", Versioning::Off).await;
        let worker = worker(&world);
        Self { world, source, target, worker }
    }

    /// Until nothing is to be done.
    async fn work(&mut self) -> Duration {
        loop {
            if let Progress::Idle { rest } = self.worker.tick().await.unwrap() {
                return rest;
            }
        }
    }

    async fn manifests(&self) -> Vec<String> {
        let keys = self.world.keys(&self.target).await;
        keys.into_iter().filter(|key| key.ends_with("/manifest.json")).collect()
    }

    /// Keys of all versions in the target.
    async fn versions(&self) -> Vec<String> {
        let page = self.world.store.list_versions(VersionsRequest::new(self.target.clone())).await.unwrap();
        page.entries.into_iter().map(|entry| entry.key.as_str().to_owned()).collect()
    }

    async fn json(&self, at: &str) -> Value {
        serde_json::from_slice(&self.world.get(&self.target, at).await.unwrap()).unwrap()
    }

    /// Lines of all files that a manifest lists, which are as it says.
    async fn lines(&self, manifest: &Value) -> Vec<String> {
        let mut lines = Vec::new();
        for file in manifest["files"].as_array().unwrap() {
            let raw = self.world.get(&self.target, file["key"].as_str().unwrap()).await.unwrap();
            assert_eq!(file["size"], raw.len());
            assert_eq!(file["MD5checksum"].as_str().unwrap(), md5(&raw));
            let mut text = String::new();
            GzDecoder::new(&raw[..]).read_to_string(&mut text).unwrap();
            lines.extend(text.lines().map(str::to_owned));
        }
        lines
    }
}

fn worker(world: &World) -> Box<dyn Worker> {
    paced(world, Pace::default())
}

fn paced(world: &World, pace: Pace) -> Box<dyn Worker> {
    Box::new(crate::worker::inventory::Inventory::new(Arc::clone(&world.store), pace))
}

fn md5(raw: &[u8]) -> String {
    md5::Md5::digest(raw).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[tokio::test]
async fn a_report_lists_what_there_is_under_s3s_names() {
    let mut made = Made::new(320, Versioning::Off).await;
    let (world, source) = (&made.world, made.source.clone());
    for (at, size) in [("a b/\"é\"", 5), ("z", 0)] {
        world.put(&source, at, vec![b'x'; size]).await;
    }
    let fields = [InventoryField::ETag, InventoryField::Size, InventoryField::StorageClass];
    let set = wanted(&made.target, InventoryVersions::Current, &fields);
    world.store.set_inventory(&source, &set).await.unwrap();
    made.work().await;
    let stem = "reports/src/all.of-it_1";
    let keys = made.world.keys(&made.target).await;
    let folder = format!("{stem}/2023-11-14T22-13Z");
    assert_eq!(keys[..2], [format!("{folder}/manifest.checksum"), format!("{folder}/manifest.json")]);
    assert_eq!(keys.len(), 3, "{keys:?}");
    let manifest = made.json(&keys[1]).await;
    let checksum = made.world.get(&made.target, &keys[0]).await.unwrap();
    assert_eq!(checksum, md5(&made.world.get(&made.target, &keys[1]).await.unwrap()).into_bytes());
    assert_eq!(manifest["sourceBucket"], "src");
    assert_eq!(manifest["destinationBucket"], "arn:aws:s3:::target");
    assert_eq!((&manifest["version"], &manifest["fileFormat"]), (&"2016-11-30".into(), &"CSV".into()));
    assert_eq!(manifest["creationTimestamp"], "1700000000000");
    assert_eq!(manifest["fileSchema"], "Bucket, Key, Size, ETag, StorageClass");
    let file = manifest["files"][0]["key"].as_str().unwrap();
    let name = file.strip_prefix(&format!("{stem}/data/")).unwrap().strip_suffix(".csv.gz").unwrap();
    assert_eq!(name.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    let (long, short) = (md5(b"xxxxx"), md5(b""));
    assert_eq!(
        made.lines(&manifest).await,
        [
            format!(r#""src","a%20b/%22%C3%A9%22","5","{long}","STANDARD""#),
            format!(r#""src","z","0","{short}","STANDARD""#),
        ]
    );
    assert!(made.world.store.failing_inventories().is_empty());
}

#[tokio::test]
async fn a_report_of_all_versions_says_of_each_what_there_is_to_say() {
    let mut made = Made::new(321, Versioning::Enabled).await;
    let (world, source) = (&made.world, made.source.clone());
    world.store.set(&source, Some(&ObjectLock::default())).await.unwrap();
    let first = world.put(&source, "k", "one").await;
    let until = Timestamp::from_millis(1_800_000_000_000);
    let held = Subresources {
        retention: Some(Retention { mode: LockMode::Governance, until }),
        legal_hold: Some(true),
        ..Subresources::default()
    };
    let request =
        PutRequest { subresources: held, ..PutRequest::new(source.clone(), crate::world::key("k")) };
    let second = world.put_with(request, "three").await.unwrap();
    let marker = world.delete(&source, "k").await;
    let set = wanted(&made.target, InventoryVersions::All, InventoryField::ALL);
    world.store.set_inventory(&source, &set).await.unwrap();
    made.work().await;
    let manifest = made.json(&made.manifests().await[0]).await;
    assert_eq!(
        manifest["fileSchema"],
        "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass, IsMultipartUploaded, \
         ReplicationStatus, EncryptionStatus, ObjectLockRetainUntilDate, ObjectLockMode, ObjectLockLegalHoldStatus, \
         BucketKeyStatus, ChecksumAlgorithm, ObjectAccessControlList, ObjectOwner"
    );
    let owner = made.world.parts().account.canonical_user_id();
    let grants = format!(
        r#"{{"grants":[{{"canonicalId":"{owner}","permission":"FULL_CONTROL","type":"CanonicalUser"}}],"status":"AVAILABLE","version":"2022-11-10"}}"#
    );
    let list = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(grants)
    };
    let at = "2023-11-14T22:13:20.000Z";
    let name = |version: Option<crate::VersionName>| version.unwrap().to_string();
    let object = |version, latest, size, body: &str, locks: &str| {
        format!(
            r#""src","k","{version}","{latest}","false","{size}","{at}","{}","STANDARD","false","","SSE-S3",{locks},"DISABLED","CRC64NVME","{list}","{owner}""#,
            md5(body.as_bytes())
        )
    };
    let nothing = r#","""#.repeat(12);
    assert_eq!(
        made.lines(&manifest).await,
        [
            format!(r#""src","k","{}","true","true","","{at}"{nothing}"#, name(marker.version)),
            object(
                name(second.version),
                false,
                5,
                "three",
                r#""2027-01-15T08:00:00.000Z","GOVERNANCE","ON""#
            ),
            object(name(first.version), false, 3, "one", r#""","","OFF""#),
        ]
    );
}

#[tokio::test]
async fn null_versions_have_no_name_and_a_prefix_leaves_others_out() {
    let mut made = Made::new(322, Versioning::Off).await;
    let (world, source) = (&made.world, made.source.clone());
    for at in ["a/1", "b/1", "b/2", "c"] {
        world.put(&source, at, "x").await;
    }
    for versions in [InventoryVersions::All, InventoryVersions::Current] {
        let set = Inventory { prefix: Some("b/".to_owned()), ..wanted(&made.target, versions, &[]) };
        let id = format!("{versions:?}");
        made.world.store.set_inventory(&source, &Inventory { id, ..set }).await.unwrap();
    }
    made.work().await;
    let manifests = made.manifests().await;
    let all = made.lines(&made.json(&manifests[0]).await).await;
    assert_eq!(all, [r#""src","b/1","","true","false""#, r#""src","b/2","","true","false""#]);
    let current = made.lines(&made.json(&manifests[1]).await).await;
    assert_eq!(current, [r#""src","b/1""#, r#""src","b/2""#]);
}

#[tokio::test]
async fn a_report_is_made_each_day_and_again_after_one_that_was_missed() {
    let mut made = Made::new(323, Versioning::Off).await;
    let source = made.source.clone();
    let set = wanted(&made.target, InventoryVersions::Current, &[]);
    made.world.store.set_inventory(&source, &set).await.unwrap();
    made.work().await;
    // Empty as it is, it has a report.
    let manifest = made.json(&made.manifests().await[0]).await;
    assert_eq!(manifest["files"], Value::Array(Vec::new()));
    // 22:13:20 is 6,400 seconds before midnight.
    made.world.clock.advance(Duration::from_secs(6_399));
    let rest = made.work().await;
    assert_eq!((rest, made.manifests().await.len()), (Duration::from_secs(1), 1));
    made.world.clock.advance(rest);
    made.work().await;
    assert_eq!(made.manifests().await.len(), 2);
    assert!(made.manifests().await[1].contains("/2023-11-15T00-00Z/"));
    made.world.clock.advance(Duration::from_hours(24 * 3));
    made.work().await;
    assert_eq!(made.manifests().await.len(), 3);
    // Switched off, and gone.
    let off = Inventory { enabled: false, ..set.clone() };
    made.world.store.set_inventory(&source, &off).await.unwrap();
    made.world.clock.advance(Duration::from_hours(24));
    made.work().await;
    made.world.store.set_inventory(&source, &set).await.unwrap();
    made.work().await;
    assert_eq!(made.manifests().await.len(), 4);
    made.world.store.remove_inventory(&source, &set.id).await.unwrap();
    made.world.clock.advance(Duration::from_hours(24));
    made.work().await;
    assert_eq!(made.manifests().await.len(), 4);
    assert!(matches!(
        made.world.store.remove_inventory(&source, &set.id).await,
        Err(Error::NoSuchConfiguration)
    ));
    assert!(made.world.store.marked(crate::SettingKind::Inventory).await.unwrap().is_empty());
}

#[tokio::test]
async fn rehearsals_have_days_as_short_as_they_are_told() {
    let mut world = World::rehearsing(324, Duration::from_secs(10)).await;
    let (source, target) =
        (world.create("src", Versioning::Off).await, world.create("target", Versioning::Off).await);
    let set = wanted(&target, InventoryVersions::Current, &[]);
    world.store.set_inventory(&source, &set).await.unwrap();
    world.reopen().await;
    let worker = worker(&world);
    let mut made = Made { world, source, target, worker };
    made.work().await;
    made.world.clock.advance(Duration::from_secs(70));
    made.work().await;
    assert_eq!(made.manifests().await.len(), 2, "one for seven days that were missed");
}

/// A report that begins; `None`: it is not wanted.
async fn begin(world: &World, source: &BucketName, id: &str, file_bytes: u64) -> Option<Box<Job>> {
    match world.store.begin_inventory(source, id, file_bytes).await.unwrap() {
        Begun::Job(job) => Some(job),
        Begun::Nothing => None,
        Begun::Clearing => panic!("there are few files in these tests"),
    }
}

/// The report, made step by step with data files of so many bytes; `crash_after` steps it is left lying.
async fn by_hand(made: &Made, file_bytes: u64, crash_after: Option<usize>) -> bool {
    let store = &made.world.store;
    let mut job = begin(&made.world, &made.source, "all.of-it_1", file_bytes).await.unwrap();
    for at in 0.. {
        if crash_after == Some(at) {
            return false;
        }
        match job.step(store).await.unwrap() {
            Step::More(_) => {}
            Step::Done => return true,
            Step::Gone => break,
        }
    }
    false
}

#[tokio::test]
async fn a_crash_leaves_no_manifest_and_the_report_is_made_again_without_a_trace_of_it() {
    for versioning in [Versioning::Off, Versioning::Enabled] {
        let mut made = Made::new(325, Versioning::Off).await;
        let source = made.source.clone();
        if versioning == Versioning::Enabled {
            made.world.store.set_versioning(&made.target, versioning).await.unwrap();
        }
        for at in 0..2_500 {
            made.world.put(&source, &format!("{at:05}"), Bytes::new()).await;
        }
        let set = wanted(&made.target, InventoryVersions::Current, &[InventoryField::Size]);
        made.world.store.set_inventory(&source, &set).await.unwrap();
        let mut seen = BTreeSet::new();
        // Each page fills a file. Three pages, then the manifests.
        for steps in 0..=3 {
            assert!(!by_hand(&made, 1, Some(steps)).await);
            made.world.reopen().await;
            made.worker = worker(&made.world);
            let keys = made.versions().await;
            assert!(keys.iter().all(|key| key.contains("/data/")), "{keys:?}");
            assert_eq!(keys.len(), steps, "what the crash before left is gone: {keys:?}");
            assert!(keys.into_iter().all(|key| seen.insert(key)), "no name is used twice");
        }
        // The days pass, and it is made a day later: what was left of the day before goes all the same.
        made.world.clock.advance(Duration::from_hours(24));
        assert!(by_hand(&made, 1, None).await);
        let manifest = made.json(&made.manifests().await[0]).await;
        assert_eq!(manifest["files"].as_array().unwrap().len(), 3);
        let lines = made.lines(&manifest).await;
        assert_eq!(lines.len(), 2_500);
        assert!(lines.windows(2).all(|pair| pair[0] < pair[1]));
        // It is done: nothing makes it anew before tomorrow, and nothing is left of all the others.
        made.work().await;
        assert_eq!(made.versions().await.len(), 5);
        assert!(begin(&made.world, &source, &set.id, FILE_BYTES).await.is_none());
    }
}

#[tokio::test]
async fn a_report_whose_configuration_changes_is_not_ended() {
    let made = Made::new(326, Versioning::Off).await;
    made.world.put(&made.source, "k", "x").await;
    let set = wanted(&made.target, InventoryVersions::Current, &[]);
    made.world.store.set_inventory(&made.source, &set).await.unwrap();
    let store = &made.world.store;
    let mut job = begin(&made.world, &made.source, &set.id, FILE_BYTES).await.unwrap();
    assert_eq!(job.step(store).await.unwrap(), Step::More(1));
    store.set_inventory(&made.source, &Inventory { encrypted: false, ..set }).await.unwrap();
    assert_eq!(job.step(store).await.unwrap(), Step::Gone);
    assert!(made.world.keys(&made.target).await.is_empty());
}

#[tokio::test]
async fn destinations_and_configurations_beyond_the_limit_are_refused() {
    let made = Made::new(328, Versioning::Off).await;
    let (store, source) = (&made.world.store, &made.source);
    let set = wanted(&made.target, InventoryVersions::Current, &[]);
    let refused = async |set: &Inventory| store.set_inventory(source, set).await.unwrap_err();
    let invalid = |error: &Error| matches!(error, Error::InvalidArgument { name: "S3BucketDestination", .. });
    assert!(invalid(&refused(&Inventory { destination: bucket("absent"), ..set.clone() }).await));
    let other: AccountId = "444455556666".parse().unwrap();
    store.create_bucket(&bucket("others"), &NewBucket::of(other)).await.unwrap();
    assert!(invalid(&refused(&Inventory { destination: bucket("others"), ..set.clone() }).await));
    assert!(invalid(&refused(&Inventory { account: Some(other), ..set.clone() }).await));
    for id in ["", "a/b", "a\0", &"i".repeat(65)] {
        Inventory { id: id.to_owned(), ..set.clone() }.checked().unwrap_err();
    }
    for number in 0..1_000 {
        store.set_inventory(source, &Inventory { id: format!("{number:04}"), ..set.clone() }).await.unwrap();
    }
    assert!(matches!(refused(&set).await, Error::TooManyConfigurations { limit: 1_000 }));
    // One that is there may change.
    store.set_inventory(source, &Inventory { id: "0000".to_owned(), ..set.clone() }).await.unwrap();
    let (first, more) = store.list_inventories(source, None, 100).await.unwrap();
    assert!(more && first.len() == 100 && first[99].id == "0099");
    let (rest, more) = store.list_inventories(source, Some("0099"), 1_000).await.unwrap();
    assert!(!more && rest.len() == 900 && rest[0].id == "0100");
    // They go with their bucket.
    store.delete_bucket(source).await.unwrap();
    made.world.create("src", Versioning::Off).await;
    assert!(store.list_inventories(source, None, 1).await.unwrap().0.is_empty());
}

#[tokio::test]
async fn amended_rows_are_reported_as_they_are_then() {
    // What stands beside an object may change between two pages; a row is reported as its page found it.
    let mut made = Made::new(329, Versioning::Enabled).await;
    let source = made.source.clone();
    made.world.store.set(&source, Some(&ObjectLock::default())).await.unwrap();
    made.world.put(&source, "k", "x").await;
    let request = AmendRequest {
        bucket: source.clone(),
        key: crate::world::key("k"),
        version: VersionSelector::Latest,
        origin: Origin::default(),
    };
    made.world.store.set_legal_hold(&request, None, true).await.unwrap();
    let field = [InventoryField::ObjectLockLegalHoldStatus];
    let set = wanted(&made.target, InventoryVersions::Current, &field);
    made.world.store.set_inventory(&source, &set).await.unwrap();
    made.work().await;
    let lines = made.lines(&made.json(&made.manifests().await[0]).await).await;
    assert_eq!(lines, [r#""src","k","ON""#]);
}

#[tokio::test]
async fn what_a_recovery_left_unknown_is_held_for_reports_readers_counts_and_removals_alike() {
    let mut made = Made::new(342, Versioning::Enabled).await;
    let (source, at) = (made.source.clone(), crate::world::key("k"));
    made.world.store.set(&source, Some(&ObjectLock::default())).await.unwrap();
    let mut versions = Vec::new();
    for body in ["off", "on", "unknown"] {
        versions.push(made.world.put(&source, "k", body).await.version.unwrap());
    }
    for (version, on) in [(versions[0], false), (versions[1], true)] {
        let (bucket, key, version) = (source.clone(), at.clone(), version.into());
        let request = AmendRequest { bucket, key, version, origin: Origin::default() };
        made.world.store.set_legal_hold(&request, None, on).await.unwrap();
    }
    made.world.delete(&source, "k").await;
    made.world.store.hold_unknown_locks("first").await.unwrap();
    versions.push(made.world.put(&source, "k", "new").await.version.unwrap());
    let held = [false, true, true, false];
    let set = wanted(&made.target, InventoryVersions::All, &[InventoryField::ObjectLockLegalHoldStatus]);
    made.world.store.set_inventory(&source, &set).await.unwrap();
    made.work().await;
    let lines = made.lines(&made.json(&made.manifests().await[0]).await).await;
    assert_eq!(lines.len(), 5, "a marker is one of them");
    assert_eq!(made.world.store.held_in(&source, 100).await.unwrap().versions, 1, "one without a word");
    for (version, held) in versions.into_iter().zip(held) {
        let line = lines.iter().find(|line| line.contains(&version.to_string())).unwrap();
        assert!(line.ends_with(if held { r#","ON""# } else { r#","OFF""# }), "{line}");
        let version = version.into();
        let request = GetRequest { version, ..GetRequest::new(source.clone(), at.clone()) };
        let shown = made.world.store.head(request).await.unwrap().info.subresources.legal_hold;
        assert_eq!(shown == Some(true), held, "{line}");
        let request = DeleteRequest {
            bucket: source.clone(),
            key: at.clone(),
            version,
            conditions: DeleteConditions::default(),
            bypass_governance: true,
            origin: Origin::default(),
            asks: None,
        };
        let removed = made.world.store.delete(request).await;
        assert_eq!(matches!(removed, Err(Error::ObjectLocked)), held, "{line} {removed:?}");
    }
}

#[tokio::test]
async fn what_is_there_throughout_is_listed_once_whatever_comes_and_goes_between_two_pages() {
    let made = Made::new(330, Versioning::Off).await;
    let (world, source) = (&made.world, &made.source);
    let kept = |number: usize| format!("{number:05}");
    for number in 0..2_500 {
        world.put(source, &kept(number), Bytes::new()).await;
    }
    let set = wanted(&made.target, InventoryVersions::Current, &[]);
    world.store.set_inventory(source, &set).await.unwrap();
    let mut job = begin(world, source, &set.id, FILE_BYTES).await.unwrap();
    let mut pages = 0;
    while let Step::More(_) = job.step(&world.store).await.unwrap() {
        // Before and behind where the page ended: some come, what is there is written anew, what came before goes.
        for (number, at) in (100..2_500).step_by(400).enumerate() {
            let comes = |page: usize| format!("{}-{page}", kept(at));
            world.put(source, &comes(pages), Bytes::new()).await;
            world.put(source, &kept(at), Bytes::from_static(b"anew")).await;
            if pages > 0 && number % 2 == 0 {
                world.delete(source, &comes(pages - 1)).await;
            }
        }
        pages += 1;
    }
    assert!(pages > 2, "{pages} pages: nothing came between");
    let lines = made.lines(&made.json(&made.manifests().await[0]).await).await;
    let throughout: Vec<_> = lines.iter().filter(|line| !line.contains('-')).cloned().collect();
    assert_eq!(throughout, (0..2_500).map(|at| format!(r#""src","{}""#, kept(at))).collect::<Vec<_>>());
    assert!(lines.windows(2).all(|pair| pair[0] < pair[1]), "nothing is there twice");
}
