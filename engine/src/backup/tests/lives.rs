//! Lives are kept apart: by an appliance whose catalog went back, and by a recovery from a target that others may add files to.

use super::{Appliance, MARKER, World};
use crate::backup::manifest::{Life, Name};
use crate::backup::{Recovered, Target, recover};
use crate::catalog::Version;
use crate::worker::{Progress, Worker};
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

impl World {
    fn elsewhere(&self, name: &str) -> PathBuf {
        self.disks.path().join("elsewhere").join(name)
    }

    async fn names(&self) -> Vec<String> {
        self.target().list("lives/").await.unwrap()
    }

    async fn recover_life(&self, life: Option<&str>) -> Result<Recovered> {
        let key = self.key.reveal().parse().unwrap();
        recover(&self.target(), (&[key], None, life), &self.root(), (MARKER, None), self.options()).await
    }
}

fn life_of(name: &str) -> String {
    name.split('/').nth(1).unwrap().to_owned()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() { copy(&path, &to) } else { fs::copy(&path, &to).map(|_| ()).unwrap() }
    }
}

fn close(appliance: Appliance) {
    appliance.catalog.close();
    drop(appliance);
}

/// An appliance with a base and two chunks, lost. The last version.
async fn lost(world: &World) -> Version {
    let mut appliance = world.start().await;
    appliance.put("a").await;
    appliance.base.tick().await.unwrap();
    let mut last = 0;
    for name in ["b", "c"] {
        last = appliance.put(name).await;
        appliance.ship().await;
    }
    world.lose(appliance);
    last
}

#[tokio::test]
async fn a_catalog_that_went_back_begins_a_new_life_and_the_two_are_not_mixed() {
    let world = World::new();
    let (catalog, older) = (world.root().join("catalog"), world.disks.path().join("older"));
    let appliance = world.start().await;
    appliance.put("a").await;
    close(appliance);
    copy(&catalog, &older);
    let mut appliance = world.start().await;
    appliance.put("b").await;
    appliance.base.tick().await.unwrap();
    appliance.put("c").await;
    appliance.ship().await;
    close(appliance);
    let first = life_of(&world.names().await[0]);
    fs::remove_dir_all(&catalog).unwrap();
    fs::rename(&older, &catalog).unwrap();
    let mut appliance = world.start().await;
    // More of them than the former history had, before anybody looks at the target.
    for n in 0..9 {
        appliance.put(&format!("new {n}")).await;
    }
    appliance.ship().await;
    let status = appliance.backup.status();
    assert_eq!((status.base_version, status.shipped_version), (None, 0), "nothing of it is there yet");
    assert!(status.lag_commits >= 9, "{status:?}");
    assert!(matches!(appliance.base.tick().await.unwrap(), Progress::More { .. }));
    let shipped = appliance.put("newest").await;
    appliance.ship().await;
    assert_eq!(appliance.backup.status().shipped_version, shipped);
    // It goes on in that life.
    close(appliance);
    let mut appliance = world.start().await;
    appliance.put("newest of all").await;
    appliance.ship().await;
    let lives: BTreeSet<String> = world.names().await.iter().map(|name| life_of(name)).collect();
    assert_eq!(lives.len(), 2, "{lives:?}");
    world.lose(appliance);

    let recovered = world.recover_life(None).await.unwrap();
    assert_eq!(recovered.other_lives, std::slice::from_ref(&first));
    let appliance = world.start().await;
    assert!(appliance.has("newest of all").await && !appliance.has("b").await);
    world.lose(appliance);
    let recovered = world.recover_life(Some(&first)).await.unwrap();
    assert_eq!(recovered.life.as_ref(), Some(&first));
    let appliance = world.start().await;
    assert!(appliance.has("b").await && appliance.has("c").await && !appliance.has("new 0").await);
}

#[tokio::test]
async fn what_was_copied_to_another_name_is_passed_over_and_named() {
    let world = World::new();
    let last = lost(&world).await;
    let names = world.names().await;
    let life = life_of(&names[0]);
    let of = |kind: &str| -> Vec<&String> { names.iter().filter(|name| name.contains(kind)).collect() };
    let (bases, logs) = (of("/base/"), of("/log/"));
    let at = |name: String| format!("lives/{life}/{name}");
    let forged = "999999999999999-0123456789abcdef";
    let mut added = vec![
        (bases[0], at(format!("base/{:020}.age", u64::MAX))),
        (logs[0], at(format!("log/{:020}-{:020}.age", last + 1, last + 1))),
        (logs[1], at(format!("log/{:020}-{:020}.age", 1, 1_000_000_000))),
        (logs[1], at(format!("log/{:020}-{:020}.age", last + 9, last + 9))),
    ];
    // A whole life, as it was a while ago.
    for name in names.iter().filter(|name| *name != logs[1]) {
        added.push((name, name.replace(&life, forged)));
    }
    for (from, to) in &added {
        fs::create_dir_all(world.elsewhere(to).parent().unwrap()).unwrap();
        fs::copy(world.elsewhere(from), world.elsewhere(to)).unwrap();
    }
    // And what is nothing at all, where something else has the same versions.
    let nothing = at(format!("log/{:020}-{:020}.age", 1, 2_000_000_000));
    fs::write(world.elsewhere(&nothing), b"").unwrap();
    let recovered = world.recover_life(None).await.unwrap();
    assert_eq!((recovered.version, recovered.life.as_deref()), (last, Some(&*life)));
    assert_eq!((recovered.missing, recovered.other_key, recovered.chunks_beyond_gap), (None, None, 0));
    let foreign: BTreeSet<&String> = recovered.foreign.iter().collect();
    let expected = added[..4].iter().map(|(_, to)| to).chain([&nothing]);
    let forged_base = bases[0].replace(&life, forged);
    assert_eq!(foreign, expected.chain([&forged_base]).collect());
    assert!(world.start().await.has("c").await);
}

#[tokio::test]
async fn a_newer_life_that_cannot_be_opened_is_refused_and_the_others_are_named() {
    let world = World::new();
    let last = lost(&world).await;
    let life = life_of(&world.names().await[0]);
    let forged = "999999999999999-0123456789abcdef";
    let base = world.elsewhere(&format!("lives/{forged}/base/{:020}.age", 9));
    fs::create_dir_all(base.parent().unwrap()).unwrap();
    fs::write(&base, b"").unwrap();
    let refused = world.recover_life(None).await.unwrap_err();
    let next = format!("--life {life} takes that one");
    assert!(matches!(refused, Error::Corrupt { .. }) && refused.to_string().contains(&next), "{refused}");
    let refused = world.recover_life(Some("none")).await.unwrap_err().to_string();
    assert!(refused.contains(&life) && refused.contains(forged), "{refused}");
    assert_eq!(world.recover_life(Some(&life)).await.unwrap().version, last);
    // What begins then sorts among the others, and is found.
    let mut appliance = world.start().await;
    appliance.base.tick().await.unwrap();
    let names = world.names().await;
    let lives: BTreeSet<Life> = names
        .iter()
        .filter_map(|name| match Name::parse(name) {
            Some(Name::Base(life, _)) => Some(life),
            _ => None,
        })
        .collect();
    assert_eq!(lives.len(), 3);
    assert!(lives.iter().all(|life| life.name().len() == forged.len()), "{lives:?}");
}

#[tokio::test]
async fn files_from_before_names_are_taken_unless_others_have_them() {
    let world = World::new();
    let last = lost(&world).await;
    let names = world.names().await;
    let life = life_of(&names[0]);
    let older = |name: &str| {
        let sealed = fs::read(world.elsewhere(name)).unwrap();
        let mut plain = Vec::new();
        world.key.open(name, std::io::Cursor::new(sealed)).unwrap().read_to_end(&mut plain).unwrap();
        let mut writer = world.key.recipient().seal(Vec::new()).unwrap();
        writer.write_all(&plain).unwrap();
        writer.finish().unwrap()
    };
    // A copy of a life from before names, put behind the one that has them.
    let forged = "999999999999999-0123456789abcdef";
    for name in &names {
        let to = world.elsewhere(&name.replace(&life, forged));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, older(name)).unwrap();
    }
    let refused = world.recover_life(None).await.unwrap_err().to_string();
    assert!(refused.contains(&format!("--life {life}")) && refused.contains(forged), "{refused}");
    // A chunk from before, behind a base from after.
    let log = names.iter().find(|name| name.contains("/log/")).unwrap();
    let good = fs::read(world.elsewhere(log)).unwrap();
    fs::write(world.elsewhere(log), older(log)).unwrap();
    let recovered = world.recover_life(Some(&life)).await.unwrap();
    assert_eq!((&recovered.foreign[..], recovered.version < last), (&[log.clone()][..], true));
    fs::remove_dir_all(world.root()).unwrap();
    fs::write(world.elsewhere(log), good).unwrap();
    // All of it from before: an upgrade is not asked for anything.
    fs::remove_dir_all(world.elsewhere(&format!("lives/{life}"))).unwrap();
    let recovered = world.recover_life(None).await.unwrap();
    assert_eq!((recovered.version, recovered.foreign.len()), (last, 0));
    assert!(world.start().await.has("c").await);
}
