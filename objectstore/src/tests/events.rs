//! Events: which changes tell what to whom, that they are of the change's own commit, and that nothing else is told.

use crate::change::{Change, Proposal};
use crate::world::{World, copy_request, key};
use crate::{
    AmendRequest, BucketName, DeleteConditions, DeleteRequest, ListWish, NewBucket, Notification,
    NotificationRule, ObjectOwnership, Origin, PutRequest, Tags, VersionSelector, Versioning,
    WriteConditions, tables,
};
use bytes::Bytes;
use engine::BoxFuture;
use engine::catalog::{Catalog, Commit, Family, Limits, Scan, Snapshot, Space, Table, Version, Write};
use engine::id::PartitionId;
use engine::outbox::{Courier, Letter, Message, Outbox, Subscriber, TopicName};
use engine::worker::{Progress, Worker};
use futures_util::FutureExt;
use parking_lot::Mutex;
use security::{Action, Permission, Principal, Question};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Where the engine's outbox keeps messages, by its documented format.
pub(super) const MESSAGES: Table = Table { family: Family::Queue, tag: 0xC0 };

/// Keeps what it is given.
#[derive(Default)]
struct Receiver(Mutex<Vec<Value>>);

impl Courier for Receiver {
    fn deliver<'a>(&'a self, letter: Letter<'a>) -> BoxFuture<'a, Result<(), String>> {
        self.0.lock().push(serde_json::from_slice(letter.body).unwrap());
        Box::pin(std::future::ready(Ok(())))
    }

    fn address(&self) -> String {
        "the test".to_owned()
    }
}

fn subscriber(receiver: &Arc<Receiver>) -> Subscriber {
    let courier: Arc<dyn Courier> = receiver.clone();
    Subscriber { topic: "t".parse().unwrap(), courier, kept: Duration::from_hours(24) }
}

pub(super) struct Told {
    pub(super) world: World,
    workers: Vec<Box<dyn Worker>>,
    receiver: Arc<Receiver>,
}

impl Told {
    pub(super) async fn new(seed: u64) -> Self {
        let receiver = Arc::new(Receiver::default());
        let (world, outbox) = World::telling(seed, vec![subscriber(&receiver)]).await;
        Self { world, workers: outbox.workers(), receiver }
    }

    /// What was delivered since the last call.
    pub(super) async fn events(&mut self) -> Vec<Value> {
        for worker in &mut self.workers {
            while let Progress::More { .. } = worker.tick().await.unwrap() {}
        }
        std::mem::take(&mut *self.receiver.0.lock())
    }

    /// Of those: name, key and version.
    pub(super) async fn brief(&mut self) -> Vec<(String, String, Option<String>)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let brief = |event: &Value| {
            let record = &event["Records"][0];
            let object = &record["s3"]["object"];
            let version = object["versionId"].as_str().map(str::to_owned);
            (text(&record["eventName"]), text(&object["key"]), version)
        };
        self.events().await.iter().map(brief).collect()
    }

    pub(super) async fn wants(&self, name: &BucketName, events: &[&str]) {
        self.world.store.set_notification(name, Some(&wants(events, None)), None).await.unwrap();
    }
}

fn wants(events: &[&str], prefix: Option<&str>) -> Notification {
    let rule = NotificationRule {
        id: "the rule".to_owned(),
        topic: "t".parse().unwrap(),
        events: events.iter().map(|name| name.parse().unwrap()).collect(),
        prefix: prefix.map(str::to_owned),
        suffix: None,
    };
    Notification::new(vec![rule]).unwrap()
}

const ALL: [&str; 4] = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectTagging:*", "s3:ObjectAcl:Put"];

fn origin() -> Origin {
    Origin {
        principal: Some(Principal::Root("111122223333".parse().unwrap())),
        source: Some("192.0.2.7".parse().unwrap()),
        request_id: *b"C3D13FE58DE4C810",
        host_id: "host".into(),
        by_form: false,
    }
}

fn of(name: &BucketName, at: &str) -> AmendRequest {
    AmendRequest { bucket: name.clone(), key: key(at), version: VersionSelector::Latest, origin: origin() }
}

#[tokio::test]
async fn every_change_that_is_wanted_is_told_as_s3_names_it() {
    let mut told = Told::new(70).await;
    let name = crate::world::bucket("bkt");
    let new = NewBucket::of(told.world.parts().account);
    let new = new.with_access(ObjectOwnership::ObjectWriter, &ListWish::Default).unwrap();
    told.world.store.create_bucket(&name, &new).await.unwrap();
    told.wants(&name, &ALL).await;
    let world = &told.world;
    let store = world.store.clone();
    world.put(&name, "a", "x").await;
    let put = |by_form| {
        let origin = Origin { by_form, ..origin() };
        PutRequest { origin, ..PutRequest::new(name.clone(), key("a")) }
    };
    world.put_with(put(true), "y").await.unwrap();
    store.copy(copy_request((&name, "a"), (&name, "b"))).await.unwrap();
    let upload = world.begin(&name, "c").await;
    let part = world.part(&name, "c", upload, 1, "z").await.unwrap();
    world.complete(&name, "c", upload, vec![part]).await.unwrap();
    // A completion that is answered again has happened once.
    world.complete(&name, "c", upload, vec![part]).await.unwrap();
    let tags = Tags::of_object([("k".to_owned(), "v".to_owned())]).unwrap();
    store.set_tags(&of(&name, "a"), None, &tags).await.unwrap();
    // Said again, it is told again, as S3 does.
    store.set_tags(&of(&name, "a"), None, &tags).await.unwrap();
    store.remove_tags(&of(&name, "a"), None).await.unwrap();
    let account = world.parts().account;
    let action = Action::new("s3:PutObjectAcl");
    let asks = Question::new(Principal::Root(account), action, Some(Permission::WriteAcp));
    store.set_object_acl(&of(&name, "a"), &asks, (&ListWish::Default, None)).await.unwrap();
    world.delete(&name, "a").await;
    // What is not there does not go.
    world.delete(&name, "a").await;
    let expected = [
        ("ObjectCreated:Put", "a"),
        ("ObjectCreated:Post", "a"),
        ("ObjectCreated:Copy", "b"),
        ("ObjectCreated:CompleteMultipartUpload", "c"),
        ("ObjectTagging:Put", "a"),
        ("ObjectTagging:Put", "a"),
        ("ObjectTagging:Delete", "a"),
        ("ObjectAcl:Put", "a"),
        ("ObjectRemoved:Delete", "a"),
    ];
    let mut expected = expected.map(|(name, key)| (name.to_owned(), key.to_owned(), None)).to_vec();
    let mut got = told.brief().await;
    let of_a = |events: &[(String, String, Option<String>)]| -> Vec<String> {
        events.iter().filter(|event| event.1 == "a").map(|event| event.0.clone()).collect()
    };
    assert_eq!(of_a(&got), of_a(&expected), "those of one key in order");
    got.sort();
    expected.sort();
    assert_eq!(got, expected);
}

#[tokio::test]
async fn versions_and_markers_are_named() {
    let mut told = Told::new(71).await;
    let name = told.world.create("bkt", Versioning::Enabled).await;
    told.wants(&name, &ALL).await;
    let version = told.world.put(&name, "k", "x").await.version.unwrap();
    let marker = told.world.delete(&name, "k").await.version.unwrap();
    told.world.delete_version(&name, "k", marker.into()).await;
    told.world.delete_version(&name, "k", version.into()).await;
    let events = [
        ("ObjectCreated:Put", version),
        ("ObjectRemoved:DeleteMarkerCreated", marker),
        ("ObjectRemoved:Delete", marker),
        ("ObjectRemoved:Delete", version),
    ];
    let expected = events.map(|(name, version)| (name.to_owned(), "k".to_owned(), Some(version.to_string())));
    assert_eq!(told.brief().await, expected);
}

#[tokio::test]
async fn an_event_is_s3s_record_field_by_field() {
    let mut told = Told::new(72).await;
    let name = told.world.create("bkt", Versioning::Off).await;
    told.wants(&name, &ALL).await;
    let at = "a b/é.txt";
    let put = PutRequest { origin: origin(), ..PutRequest::new(name.clone(), key(at)) };
    told.world.put_with(put, "hello").await.unwrap();
    told.world.store.set_tags(&of(&name, at), None, &Tags::default()).await.unwrap();
    told.world.delete(&name, at).await;
    let events = told.events().await;
    let owner = told.world.parts().account.to_string();
    let sequencer = events[0]["Records"][0]["s3"]["object"]["sequencer"].as_str().unwrap();
    assert_eq!(sequencer.len(), 16);
    let record = |version: &str, name: &str, object: Value| {
        serde_json::json!({
            "eventVersion": version,
            "eventSource": "aws:s3",
            "awsRegion": "us-east-1",
            "eventTime": "2023-11-14T22:13:20.000Z",
            "eventName": name,
            "userIdentity": { "principalId": "AWS:111122223333" },
            "requestParameters": { "sourceIPAddress": "192.0.2.7" },
            "responseElements": { "x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "host" },
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "the rule",
                "bucket": {
                    "name": "bkt",
                    "ownerIdentity": { "principalId": owner },
                    "arn": "arn:aws:s3:::bkt",
                },
                "object": object,
            },
        })
    };
    let encoded = "a+b/%C3%A9.txt";
    let object = serde_json::json!({
        "key": encoded,
        "size": 5,
        "eTag": "5d41402abc4b2a76b9719d911017c592",
        "sequencer": sequencer,
    });
    let tagged = serde_json::json!({ "key": encoded, "eTag": "5d41402abc4b2a76b9719d911017c592" });
    assert_eq!(events[0], serde_json::json!({ "Records": [record("2.1", "ObjectCreated:Put", object)] }));
    assert_eq!(events[1], serde_json::json!({ "Records": [record("2.3", "ObjectTagging:Put", tagged)] }));
    let removed = &events[2]["Records"][0];
    let later = removed["s3"]["object"]["sequencer"].as_str().unwrap();
    assert!(later > sequencer, "{later} after {sequencer}");
    assert_eq!(removed["s3"]["object"], serde_json::json!({ "key": encoded, "sequencer": later }));
    assert_eq!(removed["userIdentity"]["principalId"], "s3.amazonaws.com", "nobody asked for it");
}

#[tokio::test]
async fn only_what_is_wanted_is_told_and_only_what_happened() {
    let mut told = Told::new(73).await;
    let name = told.world.create("bkt", Versioning::Off).await;
    let partition = told.world.partition(&name).await;
    told.world.put(&name, "in/before", "x").await;
    assert_eq!(told.world.rows(partition, MESSAGES).await, 0, "nothing is set");
    let set = wants(&["s3:ObjectCreated:Put"], Some("in/"));
    told.world.store.set_notification(&name, Some(&set), None).await.unwrap();
    told.world.put(&name, "in/a", "x").await;
    told.world.put(&name, "out/a", "x").await;
    told.world.delete(&name, "in/a").await;
    let conditions =
        WriteConditions { if_none_match: Some(crate::ETagMatch::Any), ..WriteConditions::default() };
    let refused = PutRequest { conditions, ..PutRequest::new(name.clone(), key("in/before")) };
    told.world.put_with(refused, "y").await.unwrap_err();
    assert_eq!(told.world.rows(partition, MESSAGES).await, 1);
    assert_eq!(told.brief().await, [("ObjectCreated:Put".to_owned(), "in/a".to_owned(), None)]);
    told.world.store.set_notification(&name, None, None).await.unwrap();
    told.world.put(&name, "in/b", "x").await;
    assert!(told.events().await.is_empty());
}

#[tokio::test]
async fn events_wait_through_a_crash_and_for_their_bucket_to_go() {
    let mut told = Told::new(74).await;
    let name = told.world.create("bkt", Versioning::Off).await;
    let partition = told.world.partition(&name).await;
    told.wants(&name, &ALL).await;
    told.world.put(&name, "k", "x").await;
    told.world.delete(&name, "k").await;
    told.world.store.delete_bucket(&name).await.unwrap();
    told.world.settle().await;
    // Nobody is named for the topic for a while, and then somebody is again.
    told.world.name(Vec::new()).await;
    assert_eq!(told.world.parts().outbox.waiting(), 2);
    told.world.settle().await;
    told.world.name(vec![subscriber(&told.receiver)]).await;
    told.workers = told.world.parts().outbox.workers();
    let names: Vec<_> = told.brief().await.into_iter().map(|event| event.0).collect();
    assert_eq!(names, ["ObjectCreated:Put", "ObjectRemoved:Delete"]);
    told.world.next_day();
    told.world.settle().await;
    assert_eq!(told.world.parts().outbox.waiting(), 0);
    for table in [MESSAGES, Table { family: Family::Counter, tag: 0xC0 }] {
        assert_eq!(told.world.rows(partition, table).await, 0, "{table:?}");
    }
}

#[tokio::test]
async fn a_configuration_that_is_set_tells_each_of_its_topics() {
    let mut told = Told::new(75).await;
    let name = told.world.create("bkt", Versioning::Off).await;
    let set = wants(&ALL, None);
    for _ in 0..2 {
        told.world.store.set_notification(&name, Some(&set), Some(&origin())).await.unwrap();
    }
    let test = serde_json::json!({
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": "2023-11-14T22:13:20.000Z",
        "Bucket": "bkt",
        "RequestId": "C3D13FE58DE4C810",
        "HostId": "host",
    });
    assert_eq!(told.events().await, [test.clone(), test], "once for each time that it is set");
    assert_eq!(*told.world.store.setting::<Notification>(&name).await.unwrap().unwrap(), set);
    told.world.store.set_notification(&name, Some(&set), None).await.unwrap();
    assert!(told.events().await.is_empty());
}

/// A client that goes away while its commit is under way takes nothing with it: the event is delivered without another change.
#[tokio::test]
async fn an_event_is_delivered_though_its_client_went_away() {
    let mut told = Told::new(76).await;
    let name = told.world.create("bkt", Versioning::Off).await;
    told.wants(&name, &ALL).await;
    told.world.put(&name, "k", "x").await;
    assert_eq!(told.events().await.len(), 1);
    let request = DeleteRequest {
        bucket: name.clone(),
        key: key("k"),
        version: VersionSelector::Latest,
        conditions: DeleteConditions::default(),
        bypass_governance: false,
        origin: Origin::default(),
        asks: None,
    };
    let mut polls = 0;
    loop {
        let mut deleting = Box::pin(told.world.store.delete(request.clone()));
        let mut over = false;
        for _ in 0..=polls {
            over = futures_util::poll!(&mut deleting).is_ready();
        }
        drop(deleting);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let gone = told.world.get(&name, "k").await.is_err();
        assert_eq!(told.events().await.len(), usize::from(gone), "after {polls} polls");
        if gone || over {
            assert!(gone);
            break;
        }
        polls += 1;
        assert!(polls < 50);
    }
}

#[tokio::test]
async fn topics_are_known_by_their_names() {
    let told = Told::new(77).await;
    let known: TopicName = "t".parse().unwrap();
    assert!(told.world.store.has_topic(&known));
    assert!(!told.world.store.has_topic(&"u".parse().unwrap()));
    let arn = told.world.store.topic_arn(&known).to_string();
    assert_eq!(arn, format!("arn:aws:sns:us-east-1:{}:t", told.world.parts().account));
    let snapshot = told.world.catalog.snapshot(PartitionId::ROOT);
    let snapshot = snapshot.await.unwrap();
    assert!(!Outbox::holds(&*snapshot).await.unwrap());
    assert!(snapshot.scan(Scan::prefix(MESSAGES, b"", 1)).await.unwrap().rows.is_empty());
}

/// A catalog whose rows can be out of room: a commit then is in the log and not in the rows, and so stays of unknown outcome; whoever
/// comes after it is told that there is no room.
struct Parking {
    catalog: Arc<dyn Catalog>,
    full: Mutex<bool>,
    parked: Mutex<Option<Commit>>,
}

impl Parking {
    async fn make_room(&self) {
        *self.full.lock() = false;
        let parked = self.parked.lock().take().unwrap();
        self.catalog.commit(parked).await.unwrap();
    }
}

impl Catalog for Parking {
    fn limits(&self) -> Limits {
        self.catalog.limits()
    }

    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, engine::Result<Arc<dyn Snapshot>>> {
        self.catalog.snapshot(partition)
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, engine::Result<Version>> {
        if !*self.full.lock() {
            return self.catalog.commit(commit);
        }
        let mut parked = self.parked.lock();
        let answer = if parked.is_none() {
            *parked = Some(commit);
            engine::Error::Unknown { reason: "the rows have no room".into() }
        } else {
            engine::Error::Full { place: "the rows".into(), wanted: 0 }
        };
        Box::pin(std::future::ready(Err(answer)))
    }
}

#[tokio::test]
async fn an_event_whose_commit_shows_late_is_delivered() {
    let receiver = Arc::new(Receiver::default());
    let mut world = World::new(78).await;
    let name = world.create("bkt", Versioning::Off).await;
    let parking = Arc::new(Parking {
        catalog: world.catalog.clone(),
        full: Mutex::default(),
        parked: Mutex::default(),
    });
    let outbox = world.through(parking.clone(), vec![subscriber(&receiver)]).await;
    world.store.set_notification(&name, Some(&wants(&ALL, None)), None).await.unwrap();
    let mut workers = outbox.workers();
    let mut worker = workers.remove(1);
    world.put(&name, "k", "x").await;
    while let Progress::More { .. } = worker.tick().await.unwrap() {}
    assert_eq!(receiver.0.lock().len(), 1);
    *parking.full.lock() = true;
    let refused = world.put_with(PutRequest::new(name.clone(), key("k")), "y").await.unwrap_err();
    assert!(matches!(refused, crate::Error::Engine(engine::Error::Unknown { .. })), "{refused}");
    let later = world.put_with(PutRequest::new(name.clone(), key("other")), "y").await.unwrap_err();
    assert!(matches!(later, crate::Error::Engine(engine::Error::Full { .. })), "{later}");
    // However often it looks, it isn't there yet.
    for _ in 0..3 {
        assert!(matches!(worker.tick().await, Err(engine::Error::Full { .. })));
    }
    parking.make_room().await;
    while let Progress::More { .. } = worker.tick().await.unwrap() {}
    assert_eq!(receiver.0.lock().len(), 2);
    assert_eq!(outbox.waiting(), 0);
    world.put(&name, "k", "z").await;
    assert_eq!(outbox.waiting(), 1, "what was never told of counts for nothing");
    while let Progress::More { .. } = worker.tick().await.unwrap() {}
    assert_eq!((receiver.0.lock().len(), outbox.waiting()), (3, 0));
}

/// More of them than one tick of the worker looks at.
#[tokio::test]
async fn deleted_buckets_that_wait_for_something_hold_up_no_other() {
    let world = World::new(79).await;
    let commit = async |partition, key, value: &'static [u8]| {
        let read_version = world.catalog.snapshot(partition).await.unwrap().read_version();
        let writes = vec![Write::Put(key, Bytes::from_static(value))];
        world.catalog.commit(Commit { writes, ..Commit::new(partition, read_version) }).await.unwrap();
    };
    let at = |number: u64| PartitionId::from_bytes(number.to_be_bytes());
    for number in 1..=300 {
        let partition = at(number);
        if number != 300 {
            commit(partition, MESSAGES.key(&b"waits"[..]), b"").await;
        }
        commit(PartitionId::ROOT, tables::partition(tables::DELETED, partition), b"").await;
    }
    world.settle().await;
    assert_eq!(world.rows(PartitionId::ROOT, tables::DELETED).await, 299);
    let snapshot = world.catalog.snapshot(PartitionId::ROOT).await.unwrap();
    assert!(snapshot.get(tables::partition(tables::DELETED, at(300))).await.unwrap().is_none());
}

/// Does what it is asked, and so often says that it does not know. Keeps what it was asked.
struct Unsure {
    rows: Arc<dyn Catalog>,
    unknown: Mutex<usize>,
    asked: Mutex<Vec<Commit>>,
}

impl Unsure {
    /// What was asked of a partition since the last call.
    fn take(&self, partition: PartitionId) -> Vec<Commit> {
        let mut asked = std::mem::take(&mut *self.asked.lock());
        asked.retain(|commit| commit.partition == partition);
        asked
    }
}

impl Catalog for Unsure {
    fn limits(&self) -> Limits {
        self.rows.limits()
    }

    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, engine::Result<Arc<dyn Snapshot>>> {
        self.rows.snapshot(partition)
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, engine::Result<Version>> {
        self.asked.lock().push(commit.clone());
        let mut unknown = self.unknown.lock();
        let knows = *unknown == 0;
        *unknown = unknown.saturating_sub(1);
        Box::pin(async move {
            let outcome = self.rows.commit(commit).await;
            if knows { outcome } else { Err(engine::Error::Unknown { reason: "the test".into() }) }
        })
    }
}

#[tokio::test]
async fn a_commit_of_unknown_outcome_is_the_same_one_again_told_or_not() {
    let receiver = Arc::new(Receiver::default());
    let mut world = World::new(82).await;
    let unsure =
        Arc::new(Unsure { rows: world.catalog.clone(), unknown: Mutex::default(), asked: Mutex::default() });
    let outbox = world.through(unsure.clone(), vec![subscriber(&receiver)]).await;
    let plain = world.create("plain", Versioning::Off).await;
    let told = world.create("told", Versioning::Off).await;
    world.store.set_notification(&told, Some(&wants(&ALL, None)), None).await.unwrap();
    for (name, messages) in [(&plain, 0), (&told, 1)] {
        let partition = world.partition(name).await;
        for (space, versions) in [(Space::Ordinary, 1), (Space::Reserve, 0)] {
            let waiting = outbox.waiting();
            unsure.take(partition);
            *unsure.unknown.lock() = 3;
            if space == Space::Ordinary {
                world.put(name, "k", "x").await;
            } else {
                world.delete(name, "k").await;
            }
            let asked = unsure.take(partition);
            let fresh: Vec<bool> = asked.iter().map(|commit| commit.id_is_fresh).collect();
            assert_eq!(fresh, [true, false, false, false], "{name} {space:?}");
            assert!(asked[0].idempotency.is_some() && asked.iter().all(|commit| commit.space == space));
            assert!(asked.iter().all(|commit| commit.idempotency == asked[0].idempotency));
            assert_eq!(world.store.usage(name).await.unwrap().versions, versions, "it counts once");
            assert_eq!(outbox.waiting(), waiting + messages);
        }
        // It is not asked for ever.
        *unsure.unknown.lock() = usize::MAX;
        let refused = world.put_with(PutRequest::new(name.clone(), key("k")), "x").await.unwrap_err();
        assert!(matches!(refused, crate::Error::Engine(engine::Error::Unknown { .. })), "{refused}");
        assert_eq!(unsure.take(partition).len(), 4);
        *unsure.unknown.lock() = 0;
    }
}

#[tokio::test]
async fn what_keeps_the_bytes_stays_until_the_commit_has_answered_though_its_caller_went_away() {
    let told = Told::new(37).await;
    let name = told.world.create("kept", Versioning::Off).await;
    let partition = told.world.partition(&name).await;
    let version = told.world.catalog.snapshot(partition).await.unwrap().read_version();
    let topic: TopicName = "t".parse().unwrap();
    let (writes, posted) =
        told.world.parts().outbox.post(&Message { topic: &topic, sequence: 1, key: b"k", body: b"{}" });
    let kept = Arc::new(());
    let change = Change { posted: vec![posted], kept: Some(kept.clone()), ..Change::writes(writes) };
    let store = Arc::clone(&told.world.store);
    let committing = store.commit(Proposal { partition, read_version: version, change });
    // It is handed over, and nobody has begun with it.
    assert!(committing.now_or_never().is_none());
    assert_eq!(told.world.rows(partition, MESSAGES).await, 0);
    assert_eq!(Arc::strong_count(&kept), 2, "what the commit names could be recycled before it is decided");
    while Arc::strong_count(&kept) > 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(told.world.rows(partition, MESSAGES).await, 1);
}
