//! A file system that a test can cut the power of.
//!
//! The process under test keeps its whole data directory, `RocksDB`'s files included, on this FUSE mount. The layer
//! knows what each sync covered. On a cut it applies a seeded part of everything else to the backing directory, drops the
//! rest, and answers `EIO` from then on, so that the process can be killed and the surviving image mounted again.
//!
//! ```text
//!   process under test ──► kernel ──► fuse ──► layer ─┬─► content    one per file: bytes and unsynced changes
//!                                    (power: one lock) └─► namespace  trees: as seen, durable, the queue between
//!   cut(): survivors chosen, EIO from here     unmount(): what survived is laid out in the backing directory
//! ```
//!
//! What it models:
//! - `fsync` and `fdatasync` make a file's bytes and length durable, and a new file's or directory's own creation.
//!   `fsync` of a directory makes its changes durable. `sync_file_range`, `syncfs`, `sync`, `close` and
//!   `O_TRUNC`-then-rename make nothing durable.
//! - Unsynced writes are dropped, kept, reordered between sectors or torn at 512-byte sectors (`content`).
//! - Unsynced creations, links, renames and removals are lost by one of two disciplines (`namespace`).
//! - Modes, owners and times are always durable; they are not what is tested here.
//!
//! Limits: unsynced bytes are held twice in memory; the backing directory must be on a file system with `O_TMPFILE`
//! (tmpfs, ext4, xfs) and is laid out anew at [`PowerCut::unmount`] only: a test process that dies before leaves it with
//! the last image's names and arbitrary bytes. Needs `/dev/fuse` ([`available`]).

mod content;
mod disk;
mod fuse;
mod image;
mod layer;
mod namespace;
mod power;
mod seeded;
mod stats;
mod steps;

pub use disk::{Disk, memory};
pub use seeded::Seeded;
pub use stats::{CutReport, FileKind, Stats};
pub use steps::{Cut, STEPS_MAX, at_every_step};

use layer::Layer;
use power::Shared;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// How long who uses a mount may take to let go of it.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a directory operation needs to survive a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discipline {
    /// A sync of the directory, or for a creation a sync of what was created; anything else may be lost alone.
    Strict,
    /// One journal for all of them: a cut loses a tail of it.
    Ordered,
}

/// What can go wrong with the layer itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no `/dev/fuse` here, or no right to use it.
    #[error("use /dev/fuse: {0}; power-cut tests need it (modprobe fuse, or run as root)")]
    NoFuse(std::io::Error),
    /// The operating system refused.
    #[error("{op} {path}: {source}", path = path.display())]
    Io {
        /// The operation, a verb.
        op: &'static str,
        /// Where.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Somebody has a file of the mount open.
    #[error(
        "unmount {path}: a process still uses it after {patience:?}; find it with fuser -m and end it",
        path = mountpoint.display()
    )]
    Busy {
        /// The mount.
        mountpoint: PathBuf,
        /// How long was waited.
        patience: Duration,
    },
}

impl Error {
    fn io(op: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { op, path: path.to_owned(), source }
    }
}

/// Whether power-cut tests can run here; the error says what is missing.
pub fn available() -> Result<(), Error> {
    std::fs::OpenOptions::new().read(true).write(true).open("/dev/fuse").map(drop).map_err(Error::NoFuse)
}

/// A mounted layer.
#[derive(Debug)]
pub struct PowerCut {
    backing: PathBuf,
    mountpoint: PathBuf,
    shared: Arc<Shared>,
    session: fuser::BackgroundSession,
}

impl PowerCut {
    /// Mounts the image in `backing` on `mountpoint`; `seed` decides the discipline and every choice of a cut.
    pub fn mount(backing: &Path, mountpoint: &Path, seed: u64) -> Result<Self, Error> {
        let discipline =
            if Seeded::new(seed).fork(1).chance(1, 2) { Discipline::Strict } else { Discipline::Ordered };
        Self::mount_with(backing, mountpoint, seed, discipline)
    }

    /// Mounts with a discipline of the caller's choice.
    pub fn mount_with(
        backing: &Path,
        mountpoint: &Path,
        seed: u64,
        discipline: Discipline,
    ) -> Result<Self, Error> {
        available()?;
        let names = image::load(backing, discipline)?;
        let shared = Arc::new(Shared::new(names, Seeded::new(seed), discipline));
        let layer = Layer::new(Arc::clone(&shared), backing)?;
        let mut config = fuser::Config::default();
        config.mount_options = vec![
            fuser::MountOption::FSName("powercut".to_owned()),
            fuser::MountOption::DefaultPermissions,
            fuser::MountOption::NoAtime,
        ];
        config.n_threads = Some(2);
        let session =
            fuser::spawn_mount(layer, mountpoint, &config).map_err(Error::io("mount on", mountpoint))?;
        Ok(Self { backing: backing.to_owned(), mountpoint: mountpoint.to_owned(), shared, session })
    }

    /// Cuts the power now: chooses what survives and answers `EIO` from here on. A second cut changes nothing.
    pub fn cut(&self) -> Result<CutReport, Error> {
        self.shared.cut().map_err(Error::io("lay out the survivors in", &self.backing))
    }

    /// Cuts the power by itself when `operations` more writes, syncs or changes of names have come in.
    pub fn cut_after(&self, operations: u64) {
        self.shared.arm(operations);
    }

    /// Waits for a cut that was armed; false when none came within `patience`.
    pub fn wait_for_cut(&self, patience: Duration) -> bool {
        self.shared.wait_for_cut(patience)
    }

    /// What happened so far.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// The discipline in force.
    pub fn discipline(&self) -> Discipline {
        self.shared.discipline
    }

    /// Unmounts, waits until no process uses the mount, and lays the image out in the backing directory: the survivors after a
    /// cut, else everything. A process that still uses it after a minute is an error.
    pub fn unmount(self) -> Result<Stats, Error> {
        self.unmount_within(PATIENCE)
    }

    /// The same with a patience of the caller's choice.
    pub fn unmount_within(self, patience: Duration) -> Result<Stats, Error> {
        let Self { backing, mountpoint, shared, session } = self;
        // A killed process lets go of its files a little after it has ended: detached now, the mount goes with the last of them.
        let detached = rustix::mount::unmount(&mountpoint, rustix::mount::UnmountFlags::DETACH);
        let (ended, waiting) = mpsc::channel();
        // fuser waits without a bound: a thread of its own does, which is left behind where that is too long.
        std::thread::spawn(move || {
            let outcome = match detached {
                Ok(()) => session.join(),
                // Without the right to do so: by fusermount.
                Err(_) => session.umount_and_join(),
            };
            // Nobody waits any more where it came too late.
            drop(ended.send(outcome));
        });
        match waiting.recv_timeout(patience) {
            Err(_) => return Err(Error::Busy { mountpoint, patience }),
            // The kernel's word to a thread that was still reading when the mount went: it went.
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
            Ok(outcome) => outcome.map_err(Error::io("unmount", &mountpoint))?,
        }
        let mut state = shared.state();
        if !state.cut {
            state.names.settle_all();
        }
        image::lay_out(&backing, &state.names)?;
        Ok(state.stats.clone())
    }
}
