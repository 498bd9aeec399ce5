//! Settings are there when they were set, gone when they were removed, and cost nothing where there are none.

use super::BucketTags;
use crate::world::World;
use crate::{Tags, Versioning};
use engine::catalog::{Catalog, Scan};

fn tags(value: &str) -> BucketTags {
    BucketTags(Tags::of_bucket([("team".to_owned(), value.to_owned())]).unwrap())
}

#[tokio::test]
async fn a_setting_is_what_was_set_last_after_reopening_too() {
    let mut world = World::new(60).await;
    let name = world.create("bkt", Versioning::Off).await;
    assert!(world.store.setting::<BucketTags>(&name).await.unwrap().is_none());
    for value in ["a", "b"] {
        world.store.set(&name, Some(&tags(value))).await.unwrap();
        assert_eq!(*world.store.setting::<BucketTags>(&name).await.unwrap().unwrap(), tags(value));
    }
    // Versioning is another part of the same row.
    world.store.set_versioning(&name, Versioning::Enabled).await.unwrap();
    world.reopen().await;
    assert_eq!(*world.store.setting::<BucketTags>(&name).await.unwrap().unwrap(), tags("b"));
    assert_eq!(world.store.versioning(&name).await.unwrap(), Versioning::Enabled);
    world.store.set::<BucketTags>(&name, None).await.unwrap();
    world.store.set::<BucketTags>(&name, None).await.unwrap();
    assert!(world.store.setting::<BucketTags>(&name).await.unwrap().is_none());
}

#[tokio::test]
async fn another_owner_sees_a_setting_at_once() {
    let world = World::new(61).await;
    let name = world.create("bkt", Versioning::Off).await;
    world.store.set(&name, Some(&tags("a"))).await.unwrap();
    let other = world.beside(world.catalog.clone()).await;
    assert_eq!(*other.store.setting::<BucketTags>(&name).await.unwrap().unwrap(), tags("a"));
    world.store.set(&name, Some(&tags("b"))).await.unwrap();
    assert_eq!(*other.store.setting::<BucketTags>(&name).await.unwrap().unwrap(), tags("b"));
}

#[tokio::test]
async fn a_deleted_bucket_leaves_no_settings() {
    let world = World::new(62).await;
    let name = world.create("bkt", Versioning::Off).await;
    let partition = world.store.resolve(&name).await.unwrap().unwrap().partition;
    world.store.set(&name, Some(&tags("a"))).await.unwrap();
    world.store.delete_bucket(&name).await.unwrap();
    let snapshot = world.catalog.snapshot(partition).await.unwrap();
    let rows = snapshot.scan(Scan::prefix(crate::tables::SETTINGS, b"", 10)).await.unwrap().rows;
    assert!(rows.is_empty());
    world.store.create_bucket(&name, &crate::NewBucket::default()).await.unwrap();
    assert!(world.store.setting::<BucketTags>(&name).await.unwrap().is_none());
}
