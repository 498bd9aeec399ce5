//! What a store of the soak lies on: one pool, two zones, a remote pool behind either, and the second firn that is the remote pool's
//! store; or two zones of which one has the catalog's copy.
//!
//! ```text
//!   one:    data                      zones: zone-a + zone-b
//!   remote: data ──► far              both:  zone-a + zone-b ──► far          far: a firn of its own, killed as well
//!   copied: zone-a + zone-b, and the catalog in a zone, too: in every third round data is lost and made anew from that
//! ```
//!
//! Where power is cut, all of it lies on the one mount, the far store's directory included: the power goes for both at once.

use crate::calls::{Caller, element, elements, request, with_query};
use crate::rounds::Plan;
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use powercut::Seeded;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use wire::{Appliance, Launch};

/// The bucket that the remote pool's objects are in, and where in it.
const BUCKET: &str = "pool";
const PREFIX: &str = "soak";
/// What a membership says of the data directory and a zone that hold the same.
const BOTH: u8 = 2;
/// Ports that nobody is given unasked, so that the store finds its own again after a kill.
const PORTS: std::ops::Range<u64> = 20_000..32_000;
/// Objects that one kill may leave at the store without a name: uploads under way, and a probe.
const LEFT_BY_A_KILL: usize = 5;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Layout {
    /// One local pool.
    One,
    /// Two local zones, a copy in each.
    Zones,
    /// A local pool, and bodies move on to another firn, which is killed as well.
    Remote,
    /// Two local zones and the other firn.
    Both,
    /// Two local zones, and a copy of the catalog in one of them, from which the data directory is made anew now and then.
    Copied,
    /// Each store another one, in turn.
    Mixed,
}

impl Layout {
    /// The layout of the `number`th store.
    pub(crate) const fn of_store(self, number: u64) -> Self {
        match (self, number % 5) {
            (Self::Mixed, 0) => Self::Both,
            (Self::Mixed, 1) => Self::One,
            (Self::Mixed, 2) => Self::Remote,
            (Self::Mixed, 3) => Self::Zones,
            (Self::Mixed, _) => Self::Copied,
            (asked, _) => asked,
        }
    }

    const fn has_zones(self) -> bool {
        matches!(self, Self::Zones | Self::Both | Self::Copied)
    }

    pub(crate) const fn has_far(self) -> bool {
        matches!(self, Self::Remote | Self::Both)
    }

    pub(crate) const fn copies_catalog(self) -> bool {
        matches!(self, Self::Copied)
    }

    /// Makes the zones' directories below `made` and gives their part of the configuration, in which they lie below `seen`: where
    /// power is cut, `made` is what the mount at `seen` shows.
    pub(crate) fn zones(self, made: &Path, seen: &Path) -> Result<String> {
        let mut text = String::new();
        if self.copies_catalog() {
            text.push_str("[copies]\ncatalog = true\n");
        }
        if self.has_zones() {
            for name in ["a", "b"] {
                let dir = format!("zone-{name}");
                std::fs::create_dir_all(made.join(&dir))?;
                let dir = seen.join(&dir).display().to_string();
                writeln!(text, "[[zone]]\nname = {name:?}\ndirectory = {dir:?}")?;
            }
        }
        Ok(text)
    }
}

/// The directory of the zone that shares every commit with a data directory, by that one's last record (docs/formats/catalog.md); none
/// where it goes on alone.
pub(crate) fn shares_with(data: &Path) -> Result<Option<PathBuf>> {
    let bytes = match std::fs::read(data.join("catalog/membership")) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    if bytes.get(12) != Some(&BOTH) {
        return Ok(None);
    }
    let length = bytes.get(85).copied().map(usize::from).context("the membership is cut short")?;
    let name = bytes.get(86..86 + length).context("the membership is cut short")?;
    Ok(Some(data.with_file_name(format!("zone-{}", std::str::from_utf8(name)?))))
}

/// The second firn.
pub(crate) struct Far {
    launch: Launch,
    running: Option<Appliance>,
    pub(crate) kills: usize,
}

impl Far {
    /// Chooses its port. Its log goes to the plan's scratch directory, its data below `disk`.
    pub(crate) fn new(plan: &Plan, disk: &Path, chance: &mut Seeded) -> Result<Self> {
        let mut free = || {
            let address = format!("127.0.0.1:{}", PORTS.start + chance.below(PORTS.end - PORTS.start));
            TcpListener::bind(&address).is_ok().then_some(address)
        };
        let http =
            std::iter::repeat_with(&mut free).take(100).flatten().next().context("find a free port")?;
        let scratch = plan.scratch.join("far");
        std::fs::create_dir_all(&scratch)?;
        let launch = Launch {
            http,
            dir: disk.join("far-data"),
            patience: plan.patience,
            ..Launch::new(Some(plan.binary.clone()), &scratch)?
        };
        Ok(Self { launch, running: None, kills: 0 })
    }

    /// Its part of the configuration of the appliance in front of it.
    pub(crate) fn zone(&self) -> String {
        let credentials = self.launch.dir.join("credentials").display().to_string();
        format!(
            "[[zone]]\nname = \"far\"\nkind = \"s3\"\nendpoint = \"http://{}\"\nbucket = {BUCKET:?}\nprefix = {PREFIX:?}\n\
             credentials-file = {credentials:?}\ncache = \"32MiB\"\n",
            self.launch.http
        )
    }

    /// Starts it for the first time, with its bucket.
    pub(crate) async fn set_up(&mut self) -> Result<()> {
        let appliance = self.launch.start().await.context("start the store of the remote pool")?;
        Caller::new(&appliance).must(&request("PUT", BUCKET, ""), &[]).await?;
        self.running = Some(appliance);
        Ok(())
    }

    /// Starts it, unless it runs.
    pub(crate) async fn start(&mut self) -> Result<()> {
        if self.running.is_none() {
            self.running = Some(self.launch.start().await.context("start the store of the remote pool")?);
        }
        Ok(())
    }

    pub(crate) const fn is_running(&self) -> bool {
        self.running.is_some()
    }

    pub(crate) async fn kill(&mut self) -> Result<()> {
        if let Some(appliance) = self.running.take() {
            self.kills += 1;
            appliance.kill().await?;
        }
        Ok(())
    }

    /// At the store lie the objects that are named, and no more beside them than the kills so far may have left; how many lie there.
    pub(crate) async fn check(&self, expected: &[String], kills: usize) -> Result<usize> {
        let appliance = self.running.as_ref().context("the store does not run")?;
        let mut caller = Caller::new(appliance);
        let (mut names, mut token) = (Vec::new(), None);
        loop {
            let mut query = vec![("list-type", "2"), ("prefix", PREFIX)];
            query.extend(token.as_deref().map(|token| ("continuation-token", token)));
            let text = caller.must(&with_query("GET", BUCKET, "", &query), &[]).await?.text();
            names.extend(elements(&text, "Key"));
            match element(&text, "NextContinuationToken") {
                Some(next) => token = Some(next),
                None => break,
            }
        }
        for name in expected {
            let name = format!("{PREFIX}/{name}");
            ensure!(names.contains(&name), "{name} is named by a row, and not at the store");
        }
        // Its mark is one more.
        let others = names.len() - expected.len() - 1;
        let most = (kills + self.kills) * LEFT_BY_A_KILL;
        ensure!(others <= most, "{others} objects at the store have no name, after {kills} kills");
        Ok(expected.len())
    }
}

#[cfg(test)]
mod tests {
    use super::{Layout, shares_with};
    use std::path::Path;

    #[test]
    fn a_mixed_soak_has_every_layout_in_five_stores() {
        let five: Vec<Layout> = (0..5).map(|store| Layout::Mixed.of_store(store)).collect();
        assert_eq!(five, [Layout::Both, Layout::One, Layout::Remote, Layout::Zones, Layout::Copied]);
        assert_eq!(Layout::Remote.of_store(3), Layout::Remote);
        assert!(Layout::Both.has_zones() && Layout::Both.has_far() && !Layout::Zones.has_far());
    }

    #[test]
    fn zones_are_made_below_the_mount_and_configured_at_it() {
        let (made, seen) = (tempfile::tempdir().unwrap(), Path::new("/mnt/of/a/cut"));
        let text = Layout::Both.zones(made.path(), seen).unwrap();
        assert!(made.path().join("zone-a").is_dir() && made.path().join("zone-b").is_dir());
        assert!(text.contains("directory = \"/mnt/of/a/cut/zone-b\""), "{text}");
        assert_eq!(Layout::Remote.zones(made.path(), seen).unwrap(), "");
        assert!(!text.contains("catalog = true"));
        assert!(
            Layout::Copied
                .zones(made.path(), seen)
                .unwrap()
                .starts_with("[copies]\ncatalog = true\n[[zone]]")
        );
    }

    #[test]
    fn the_zone_that_shares_is_read_from_the_membership() {
        let made = tempfile::tempdir().unwrap();
        let data = made.path().join("data");
        assert_eq!(shares_with(&data).unwrap(), None);
        std::fs::create_dir_all(data.join("catalog")).unwrap();
        let mut bytes = vec![0; 85];
        bytes.extend_from_slice(b"\x01b\0crc.");
        for (role, wanted) in [(1, None), (2, Some(made.path().join("zone-b"))), (3, None)] {
            bytes[12] = role;
            std::fs::write(data.join("catalog/membership"), &bytes).unwrap();
            assert_eq!(shares_with(&data).unwrap(), wanted);
        }
        std::fs::write(data.join("catalog/membership"), &bytes[..86]).unwrap();
        assert_eq!(shares_with(&data).unwrap(), None, "the last one was made from a zone");
    }
}
