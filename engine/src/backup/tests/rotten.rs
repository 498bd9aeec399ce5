//! What has rotted in the data directory never takes the place of what is good at the target.

use super::super::{Target, recover};
use super::{MARKER, World};
use crate::small_files::Opens;
use crate::{Error, ErrorKind};
use std::sync::Arc;

#[tokio::test]
async fn a_small_file_that_rots_never_takes_the_place_of_a_good_one_in_a_base() {
    let world = World::new();
    let appliance = world.start().await;
    appliance.put("a").await;
    appliance.backup.write_base().await.unwrap();
    let key = world.root().join("master.key");
    std::fs::write(&key, [0; 12]).unwrap();
    for name in ["b", "c", "d"] {
        appliance.put(name).await;
        appliance.backup.write_base().await.unwrap();
    }
    // A process that never saw a good one makes no base that would take the place of those that have it.
    drop(appliance);
    let appliance = world.start().await;
    let bases = || async {
        let names = world.target().list("lives/").await.unwrap();
        names.into_iter().filter(|name| name.contains("/base/")).collect::<Vec<_>>()
    };
    let before = bases().await;
    appliance.put("e").await;
    let error = appliance.backup.write_base().await.unwrap_err();
    assert!(error.kind() == ErrorKind::Corrupt && error.to_string().contains("master.key"), "{error}");
    assert_eq!(bases().await, before);
    world.lose(appliance);
    world.recover().await.unwrap();
    assert_eq!(std::fs::read(key).unwrap(), b"key material");
}

#[tokio::test]
async fn nothing_is_made_of_a_base_that_its_keys_do_not_open() {
    let world = World::new();
    let appliance = world.start().await;
    appliance.put("a").await;
    appliance.backup.write_base().await.unwrap();
    world.lose(appliance);
    let root = world.root();
    let recovered = |opens: Opens| {
        let key = world.key.reveal().parse().unwrap();
        let (target, options, root) = (world.target(), world.options(), world.root());
        async move { recover(&target, (&[key], None, None), &root, (MARKER, Some(&opens)), options).await }
    };
    let refused = recovered(Arc::new(|catalog, files| {
        assert!(
            catalog.synced() > 0
                && files.iter().any(|(name, bytes)| name == "master.key" && bytes == b"key material")
        );
        Err(Error::Corrupt {
            what: "master key".to_owned(),
            detail: "its checksum does not match".to_owned(),
        })
    }));
    assert!(matches!(refused.await, Err(Error::Corrupt { .. })));
    assert!(
        !root.join("catalog").exists()
            && !root.join(MARKER).exists()
            && !root.join("recovered.json").exists()
    );
    recovered(Arc::new(|_, _| Ok(()))).await.unwrap();
    assert!(root.join(MARKER).exists());
}
