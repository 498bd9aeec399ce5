//! What stands beside a version changes alone: its bytes, name, place and time stay.

use crate::world::{World, bytes, copy_request, key};
use crate::{
    AmendRequest, BucketName, CreateUpload, Error, GetRequest, PutRequest, Result, Subresources, Tags,
    VersionName, VersionSelector, Versioning,
};
use engine::catalog::{Catalog, Scan, Write};

fn tags(value: &str) -> Tags {
    Tags::of_object([("t".to_owned(), value.to_owned())]).unwrap()
}

async fn tag(
    world: &World,
    bucket: &BucketName,
    version: VersionSelector,
    value: &str,
) -> Result<Option<VersionName>> {
    let request =
        AmendRequest { bucket: bucket.clone(), key: key("k"), version, origin: crate::Origin::default() };
    world.store.set_tags(&request, None, &tags(value)).await
}

async fn tags_of(world: &World, bucket: &BucketName, version: VersionSelector) -> Tags {
    let request = GetRequest { version, ..GetRequest::new(bucket.clone(), key("k")) };
    world.store.head(request).await.unwrap().info.subresources.tags
}

#[tokio::test]
async fn a_change_beside_a_version_leaves_its_bytes_and_time() {
    for size in [0, 100, 100_000] {
        let world = World::new(70).await;
        let name = world.create("bkt", Versioning::Off).await;
        world.put(&name, "k", bytes(1, size)).await;
        let before = world.store.head(GetRequest::new(name.clone(), key("k"))).await.unwrap().info;
        world.clock.advance(std::time::Duration::from_mins(1));
        assert_eq!(tag(&world, &name, VersionSelector::Latest, "1").await.unwrap(), None);
        let after = world.store.head(GetRequest::new(name.clone(), key("k"))).await.unwrap().info;
        assert_eq!(after.subresources.tags, tags("1"));
        assert_eq!((after.modified, after.etag, after.size), (before.modified, before.etag, before.size));
        assert_eq!(world.get(&name, "k").await.unwrap(), bytes(1, size));
        // Back to nothing, the row is what it was before but for its seal.
        let request = AmendRequest {
            bucket: name.clone(),
            key: key("k"),
            version: VersionSelector::Latest,
            origin: crate::Origin::default(),
        };
        world.store.set_tags(&request, None, &Tags::default()).await.unwrap();
        assert!(tags_of(&world, &name, VersionSelector::Latest).await.is_empty());
        assert_eq!(world.get(&name, "k").await.unwrap(), bytes(1, size));
    }
}

#[tokio::test]
async fn each_version_has_its_own_and_the_newest_stays_on_top() {
    let world = World::new(71).await;
    let name = world.create("bkt", Versioning::Off).await;
    world.put(&name, "k", "null").await;
    world.store.set_versioning(&name, Versioning::Enabled).await.unwrap();
    let one = world.put(&name, "k", "one").await.version.unwrap();
    world.put(&name, "k", "two").await;
    for (version, value) in [(VersionSelector::Null, "n"), (one.into(), "1"), (VersionSelector::Latest, "2")]
    {
        tag(&world, &name, version, value).await.unwrap();
    }
    for (version, value) in [(VersionSelector::Null, "n"), (one.into(), "1"), (VersionSelector::Latest, "2")]
    {
        assert_eq!(tags_of(&world, &name, version).await, tags(value));
    }
    assert_eq!(&world.get(&name, "k").await.unwrap()[..], b"two");
    let marker = world.delete(&name, "k").await.version.unwrap();
    assert!(matches!(
        tag(&world, &name, VersionSelector::Latest, "x").await,
        Err(Error::NoSuchKey { marker: Some(_) })
    ));
    assert!(matches!(tag(&world, &name, marker.into(), "x").await, Err(Error::IsDeleteMarker { .. })));
    // Below a marker, and still below it afterwards.
    tag(&world, &name, one.into(), "below").await.unwrap();
    assert_eq!(tags_of(&world, &name, one.into()).await, tags("below"));
    assert!(matches!(world.get(&name, "k").await, Err(Error::NoSuchKey { marker: Some(_) })));
}

#[tokio::test]
async fn a_change_that_is_refused_changes_nothing_and_none_writes_nothing() {
    let world = World::new(72).await;
    let name = world.create("bkt", Versioning::Off).await;
    world.put(&name, "k", "x").await;
    tag(&world, &name, VersionSelector::Latest, "1").await.unwrap();
    let request = AmendRequest {
        bucket: name.clone(),
        key: key("k"),
        version: VersionSelector::Latest,
        origin: crate::Origin::default(),
    };
    let refused = world.store.amend_by(&request, crate::EventType::TAGS_PUT, None, |beside, _| {
        beside.tags = tags("2");
        Err(Error::InvalidTag { detail: "no" })
    });
    assert!(matches!(refused.await, Err(Error::InvalidTag { .. })));
    assert_eq!(tags_of(&world, &name, VersionSelector::Latest).await, tags("1"));
    let partition = world.store.resolve(&name).await.unwrap().unwrap().partition;
    let before = world.catalog.snapshot(partition).await.unwrap().read_version();
    tag(&world, &name, VersionSelector::Latest, "1").await.unwrap();
    assert_eq!(world.catalog.snapshot(partition).await.unwrap().read_version(), before);
}

#[tokio::test]
async fn tags_come_with_an_object_an_upload_and_a_copy() {
    let world = World::new(73).await;
    let name = world.create("bkt", Versioning::Off).await;
    let subresources = Subresources { tags: tags("put"), ..Subresources::default() };
    let put = PutRequest { subresources: subresources.clone(), ..PutRequest::new(name.clone(), key("k")) };
    world.put_with(put, "x").await.unwrap();
    assert_eq!(tags_of(&world, &name, VersionSelector::Latest).await, tags("put"));
    world.store.copy(copy_request((&name, "k"), (&name, "copy"))).await.unwrap();
    let mut other = copy_request((&name, "k"), (&name, "other"));
    other.copy_tags = false;
    world.store.copy(other).await.unwrap();
    let of = async |at: &str| {
        world.store.head(GetRequest::new(name.clone(), key(at))).await.unwrap().info.subresources.tags
    };
    assert_eq!(of("copy").await, tags("put"));
    assert!(of("other").await.is_empty());
    let request = CreateUpload { subresources, ..CreateUpload::new(name.clone(), key("parts")) };
    let upload = world.store.create_upload(request).await.unwrap().upload;
    let part = world.part(&name, "parts", upload, 1, "part").await.unwrap();
    world.complete(&name, "parts", upload, vec![part]).await.unwrap();
    assert_eq!(of("parts").await, tags("put"));
}

#[tokio::test]
async fn tags_cannot_be_moved_under_another_version() {
    let world = World::new(74).await;
    let name = world.create("bkt", Versioning::Enabled).await;
    world.put(&name, "k", "x").await;
    tag(&world, &name, VersionSelector::Latest, "1").await.unwrap();
    let partition = world.store.resolve(&name).await.unwrap().unwrap().partition;
    let snapshot = world.catalog.snapshot(partition).await.unwrap();
    let row = snapshot.scan(Scan::prefix(crate::tables::CURRENT, b"", 1)).await.unwrap().rows.remove(0).1;
    let mut forged = row.to_vec();
    let at = forged.windows(3).position(|window| window == b"t\x011").unwrap();
    forged[at + 2] = b'2';
    let write = Write::Put(crate::tables::current(&key("k")), forged.into());
    let commit = engine::catalog::Commit {
        writes: vec![write],
        ..engine::catalog::Commit::new(partition, snapshot.read_version())
    };
    world.catalog.commit(commit).await.unwrap();
    let read = world.store.head(GetRequest::new(name, key("k"))).await;
    assert_eq!(read.err().map(|error| error.kind()), Some(crate::ErrorKind::Corrupt));
}
