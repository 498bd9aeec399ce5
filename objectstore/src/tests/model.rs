//! Random operations against an oracle of S3's semantics: a list of versions a key, newest first.
//!
//! A failure names its seed: `FIRN_SEED=n FIRN_ROUNDS=1` runs that one alone.

use super::dice::{Dice, seeds};
use crate::world::{World, bytes, copy_request, key};
use crate::{
    BucketName, Error, ListAfter, ListRequest, VersionName, VersionSelector, Versioning, VersionsRequest,
    tables,
};
use bytes::Bytes;
use std::collections::BTreeMap;

const KEYS: [&str; 9] = ["a", "a/b", "a//b", "..", "b/1", "b/2", "b/\u{1F980}", "b\u{0}", "c"];

#[derive(Clone)]
struct Version {
    /// `None` before versions were kept, as `null` after.
    name: VersionName,
    /// `None` for a marker.
    body: Option<Bytes>,
}

struct Bucket {
    name: BucketName,
    versioning: Versioning,
    keys: BTreeMap<String, Vec<Version>>,
}

impl Bucket {
    fn latest(&self, at: &str) -> Option<&Version> {
        self.keys.get(at)?.first()
    }

    fn live(&self, at: &str) -> Option<&Bytes> {
        self.latest(at)?.body.as_ref()
    }

    fn insert(&mut self, at: &str, shown: Option<VersionName>, body: Option<Bytes>) {
        let name = shown.unwrap_or(VersionName::Null);
        let versions = self.keys.entry(at.to_owned()).or_default();
        assert_eq!(name == VersionName::Null, self.versioning != Versioning::Enabled);
        versions.retain(|old| old.name != name);
        versions.insert(0, Version { name, body });
    }

    fn remove(&mut self, at: &str, name: VersionName) {
        if let Some(versions) = self.keys.get_mut(at) {
            versions.retain(|old| old.name != name);
        }
    }

    /// What a listing of live keys shows: keys and common prefixes in order.
    fn listed(&self, prefix: &str, delimiter: &str) -> Vec<String> {
        let live = self.keys.keys().filter(|at| at.starts_with(prefix) && self.live(at).is_some());
        let mut shown: Vec<String> = live.map(|at| roll(at, prefix, delimiter)).collect();
        shown.dedup();
        shown
    }
}

fn roll(at: &str, prefix: &str, delimiter: &str) -> String {
    let rest = &at[prefix.len()..];
    match rest.find(delimiter).filter(|_| !delimiter.is_empty()) {
        Some(found) => format!("{prefix}{}{delimiter}", &rest[..found]),
        None => at.to_owned(),
    }
}

async fn check_lists(world: &World, bucket: &Bucket, dice: &Dice) {
    let (prefix, delimiter) = (*dice.pick(&["", "a", "b/", "x"]), *dice.pick(&["", "/", "//", "b"]));
    let max_keys = 1 + dice.below(4);
    let mut request = ListRequest {
        prefix: prefix.into(),
        delimiter: delimiter.into(),
        max_keys,
        ..ListRequest::new(bucket.name.clone())
    };
    let by_marker = dice.below(2) == 0;
    let mut shown = Vec::new();
    loop {
        let page = world.store.list_objects(request.clone()).await.unwrap();
        let mut part: Vec<String> = page.entries.iter().map(|entry| entry.key.to_string()).collect();
        part.extend(page.common_prefixes);
        part.sort();
        assert!(part.len() <= max_keys);
        shown.extend(part);
        match (page.next, page.next_marker) {
            (Some(_), Some(marker)) if by_marker => request.after = ListAfter::Key(marker),
            (Some(token), _) => request.after = ListAfter::Token(token),
            _ => break,
        }
    }
    assert_eq!(shown, bucket.listed(prefix, delimiter), "prefix {prefix:?} delimiter {delimiter:?}");
    check_versions(world, bucket, max_keys).await;
}

async fn check_versions(world: &World, bucket: &Bucket, max_keys: usize) {
    let mut request = VersionsRequest { max_keys, ..VersionsRequest::new(bucket.name.clone()) };
    let mut shown = Vec::new();
    loop {
        let page = world.store.list_versions(request.clone()).await.unwrap();
        for entry in &page.entries {
            shown.push((entry.key.to_string(), entry.version, entry.latest, entry.object.is_some()));
        }
        if page.next_key.is_none() {
            break;
        }
        (request.key_marker, request.version_marker) = (page.next_key, page.next_version);
    }
    let mut wanted = Vec::new();
    for (at, versions) in &bucket.keys {
        for (index, version) in versions.iter().enumerate() {
            wanted.push((at.clone(), version.name, index == 0, version.body.is_some()));
        }
    }
    assert_eq!(shown, wanted);
}

async fn check_reads(world: &World, bucket: &Bucket, at: &str) {
    match (world.get(&bucket.name, at).await, bucket.live(at)) {
        (Ok(got), Some(body)) => assert_eq!(got, *body),
        (Err(Error::NoSuchKey { marker }), None) => {
            assert_eq!(marker.is_some(), bucket.latest(at).is_some());
        }
        (got, wanted) => panic!("{at}: {got:?}, not {wanted:?}"),
    }
    for version in bucket.keys.get(at).into_iter().flatten() {
        let got = world.get_version(&bucket.name, at, version.name.into()).await;
        match (got, &version.body) {
            (Ok(got), Some(body)) => assert_eq!(got, *body),
            (Err(Error::IsDeleteMarker { .. }), None) => {}
            (got, wanted) => panic!("{at} {}: {got:?}, not {wanted:?}", version.name),
        }
    }
}

async fn step(world: &mut World, buckets: &mut [Bucket; 2], dice: &Dice, number: u64) {
    let which = dice.below(2);
    let at = *dice.pick(&KEYS);
    let body = bytes(number, *dice.pick(&[0, 10, 4_096, 5_000, 70_000]));
    let bucket = &mut buckets[which];
    match dice.below(20) {
        0..6 => {
            let put = world.put(&bucket.name, at, body.clone()).await;
            bucket.insert(at, put.version, Some(body));
        }
        6..8 => {
            let gone = world.delete(&bucket.name, at).await;
            if bucket.versioning == Versioning::Off {
                bucket.remove(at, VersionName::Null);
            } else {
                bucket.insert(at, gone.version, None);
            }
        }
        8..11 => {
            let versions = bucket.keys.get(at).cloned().unwrap_or_default();
            let name = match versions.len() {
                0 => VersionName::Null,
                n => versions[dice.below(n)].name,
            };
            let gone = world.delete_version(&bucket.name, at, VersionSelector::from(name)).await;
            let marker = versions.iter().any(|version| version.name == name && version.body.is_none());
            assert_eq!(gone.marker, marker);
            bucket.remove(at, name);
        }
        11 => {
            bucket.versioning = *dice.pick(&[Versioning::Enabled, Versioning::Suspended]);
            world.store.set_versioning(&bucket.name, bucket.versioning).await.unwrap();
        }
        12..15 => copy(world, buckets, dice, (which, at)).await,
        15 => {
            let upload = world.begin(&bucket.name, at).await;
            let _replaced = world.part(&bucket.name, at, upload, 3, "old").await.unwrap();
            let _unnamed = world.part(&bucket.name, at, upload, 9, body.clone()).await.unwrap();
            let part = world.part(&bucket.name, at, upload, 3, body.clone()).await.unwrap();
            if dice.below(3) == 0 {
                world.store.abort_upload(&bucket.name, &key(at), upload).await.unwrap();
            } else {
                let done = world.complete(&bucket.name, at, upload, vec![part]).await.unwrap();
                bucket.insert(at, done.version, Some(body));
            }
        }
        16 => world.reopen().await,
        17 => world.settle().await,
        _ => check_lists(world, bucket, dice).await,
    }
    check_reads(world, &buckets[which], at).await;
}

async fn copy(world: &World, buckets: &mut [Bucket; 2], dice: &Dice, (which, at): (usize, &str)) {
    let (from, source) = (dice.below(2), *dice.pick(&KEYS));
    let request = copy_request((&buckets[from].name, source), (&buckets[which].name, at));
    match (world.store.copy(request).await, buckets[from].live(source).cloned()) {
        (Ok(copied), Some(body)) => buckets[which].insert(at, copied.version, Some(body)),
        (Err(Error::NoSuchKey { .. }), None) => {}
        (Err(Error::CopyOntoItself), Some(_)) => assert_eq!((from, source), (which, at)),
        (outcome, _) => panic!("{outcome:?}"),
    }
}

async fn run(seed: u64) {
    let mut world = World::new(seed).await;
    let dice = Dice::new(seed);
    let mut buckets = ["one", "two"].map(|name| Bucket {
        name: crate::world::bucket(name),
        versioning: Versioning::Off,
        keys: BTreeMap::new(),
    });
    for bucket in &buckets {
        world.store.create_bucket(&bucket.name, &crate::NewBucket::default()).await.unwrap();
    }
    for number in 0..250 {
        step(&mut world, &mut buckets, &dice, number).await;
    }
    let mut partitions = Vec::new();
    for bucket in &mut buckets {
        for at in KEYS {
            check_reads(&world, bucket, at).await;
        }
        let live = bucket.keys.values().flatten().filter_map(|version| version.body.as_ref());
        let (versions, sum) = live.fold((0, 0), |(n, sum), body| (n + 1, sum + body.len() as u64));
        let usage = world.store.usage(&bucket.name).await.unwrap();
        assert_eq!((usage.versions, usage.bytes.get()), (versions, sum));
        for (at, versions) in std::mem::take(&mut bucket.keys) {
            for version in versions {
                world.delete_version(&bucket.name, &at, version.name.into()).await;
            }
        }
        partitions.push(world.partition(&bucket.name).await);
        world.store.delete_bucket(&bucket.name).await.unwrap();
    }
    world.next_day();
    world.settle().await;
    for partition in partitions {
        assert_eq!(world.references(partition).await, 0, "leaked bytes");
        for table in [tables::BODY, tables::PARTS, tables::MANIFESTS, tables::NULLS, tables::INTENTS] {
            assert_eq!(world.rows(partition, table).await, 0, "{table:?}");
        }
    }
}

#[tokio::test]
async fn random_operations_agree_with_the_oracle() {
    for seed in seeds(8) {
        println_seed(seed);
        run(seed).await;
    }
}

/// Captured by the test harness and shown when the test fails.
#[expect(clippy::print_stdout, reason = "the seed of a failure")]
fn println_seed(seed: u64) {
    println!("seed {seed}");
}
