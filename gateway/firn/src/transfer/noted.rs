//! Uploads in parts that this client began itself, as it noted them: they go on after an interruption, and nobody else's do. What an
//! object answers with, who may read it and who owns it are decided when its upload begins: going on with somebody's is leaving
//! that to them.
//!
//! A file an upload, in `$XDG_STATE_HOME/firn/uploads` (`~/.local/state/…`), named by all that makes it this upload ([`Plan`]); one line
//! (docs/formats/noted-uploads.md). It is written behind `CreateMultipartUpload` and before the first part, and removed when the upload
//! is completed or given up. It is locked (flock) while its run goes on: another run of the same begins an upload of its own.
//!
//! Limits: a thousand notes, thirty days; older ones and more are removed when one is written. Without such a directory, or where it
//! is not the user's alone, uploads do not go on, and that is said once.
//!
//! A crash leaves the note, or a temporary file that goes with the old ones; never half a note under its name.

use crate::directory::Line;
use crate::session::variable;
use engine::clock::Timestamp;
use engine::entropy::{Entropy as _, SystemEntropy};
use rustix::fs::{Mode, OFlags};
use serde::Deserialize;
use std::ffi::OsStr;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

/// The most that are kept.
const NOTES_MAX: usize = 1_000;
/// How long one is kept: what is open at an endpoint for so long has been forgotten, and many remove it themselves.
const KEPT_FOR: Duration = Duration::from_hours(30 * 24);
/// More bytes than any note has.
const NOTE_BYTES_MAX: u64 = 64 << 10;
/// What writing one begins with; 32 random digits follow.
const TEMPORARY: &str = ".new-";
/// What every note begins with.
const BEGINNING: &[u8] = b"{\"format\":\"firn upload\",";

const LINE: Line = Line { format: "firn upload", version: 1, mend: "remove it: the upload then begins anew" };

/// What makes an upload this one, by a hash: another endpoint, key, option or file is another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan(String);

impl Plan {
    /// Of texts in an order that stays the same.
    pub(super) fn of<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut context = Vec::new();
        for part in parts {
            // With its length, so that no two texts are taken for others that are joined alike.
            context.extend_from_slice(&(part.len() as u64).to_be_bytes());
            context.extend_from_slice(part.as_bytes());
        }
        Self(blake3::hash(&context).to_hex().to_string())
    }
}

/// What a note says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    noted: Timestamp,
    plan: String,
    /// For people: nothing is decided by it.
    place: String,
    upload_id: String,
}

#[derive(Deserialize)]
struct Fields {
    noted_ms: i64,
    plan: String,
    place: String,
    upload_id: String,
}

impl Said {
    fn encode(&self) -> String {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        LINE.render(&format!(
            "\"noted_ms\":{},\"plan\":{},\"place\":{},\"upload_id\":{}",
            self.noted.as_millis(),
            text(&self.plan),
            text(&self.place),
            text(&self.upload_id)
        ))
    }

    fn decode(bytes: &[u8], path: &str) -> Option<Self> {
        let make = |fields: Fields| {
            let noted = Timestamp::from_millis(fields.noted_ms);
            Ok(Self { noted, plan: fields.plan, place: fields.place, upload_id: fields.upload_id })
        };
        LINE.read(bytes, path, make, Self::encode).ok()
    }
}

/// The notes of a user.
#[derive(Debug)]
pub(crate) struct Notes {
    /// Where they lie, or why they can't.
    directory: Result<PathBuf, String>,
    /// That there are none was said.
    told: AtomicBool,
}

/// An upload's note, locked while this lives.
#[derive(Debug)]
pub(super) struct Note {
    path: PathBuf,
    locked: File,
}

impl Note {
    /// The upload is over.
    pub(super) fn remove(self) {
        // Another run may have put its own in this one's place.
        if is_at(&self.locked, &self.path)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::debug!(path = %self.path.display(), %error, "failed to remove the note of an upload");
        }
    }
}

impl Notes {
    /// Where the environment says.
    pub(crate) fn of_environment() -> Self {
        let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state =
            absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
        Self::of(state.ok_or_else(|| "neither XDG_STATE_HOME nor HOME is set".to_owned()))
    }

    /// In a directory for state, or not at all.
    pub(crate) fn of(state: Result<PathBuf, String>) -> Self {
        let directory = state.map(|state| state.join("firn").join("uploads"));
        Self { directory, told: AtomicBool::default() }
    }

    /// What to say of why none could be written, the first time.
    pub(super) fn tell(&self, error: &io::Error) -> Option<String> {
        (!self.told.swap(true, Ordering::Relaxed))
            .then(|| format!("firn: uploads can't be noted, so what is interrupted begins anew: {error}"))
    }

    /// The upload that was noted of a plan, if no other run is at it.
    pub(super) fn find(&self, plan: &Plan) -> Option<(Note, String)> {
        let path = self.directory.as_ref().ok()?.join(&plan.0);
        let mut file = open(&path).ok()?;
        if !is_ours(&file) || file.try_lock().is_err() || !is_at(&file, &path) {
            return None;
        }
        let mut bytes = Vec::new();
        (&mut file).take(NOTE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        let said = Said::decode(&bytes, &path.display().to_string())?;
        (said.plan == plan.0).then_some((Note { path, locked: file }, said.upload_id))
    }

    /// Notes an upload. One that another run goes on with is left alone: `None`.
    pub(super) fn begin(
        &self,
        plan: &Plan,
        (place, upload_id): (String, String),
        now: Timestamp,
    ) -> io::Result<Option<Note>> {
        let directory = self.directory.as_ref().map_err(|why| io::Error::other(why.clone()))?;
        let about =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", directory.display()));
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(about)?;
        // A link would lead to a directory of somebody's who keeps other things there.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::open(directory, flags, Mode::empty());
        if !is_ours(&File::from(opened.map_err(|error| about(error.into()))?)) {
            return Err(about(io::Error::other("others may write there")));
        }
        sweep(directory, now).map_err(about)?;
        let path = directory.join(&plan.0);
        if is_under_way(&path) {
            return Ok(None);
        }
        let said = Said { noted: now, plan: plan.0.clone(), place, upload_id };
        let mut random = [0; 16];
        SystemEntropy.fill(&mut random);
        let temporary = directory.join(format!("{TEMPORARY}{:032x}", u128::from_be_bytes(random)));
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).map_err(about)?;
        let written = file
            .try_lock()
            .map_err(io::Error::other)
            .and_then(|()| file.write_all(said.encode().as_bytes()))
            .and_then(|()| std::fs::rename(&temporary, &path));
        if let Err(error) = written {
            let _left = std::fs::remove_file(&temporary);
            return Err(about(error));
        }
        Ok(Some(Note { path, locked: file }))
    }
}

/// Whether nobody else can write what is in it.
fn is_ours(file: &File) -> bool {
    let user = rustix::process::geteuid().as_raw();
    file.metadata().is_ok_and(|found| found.uid() == user && found.mode() & 0o022 == 0)
}

fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(ours), Ok(there)) = (file.metadata(), std::fs::symlink_metadata(path)) else { return false };
    (ours.dev(), ours.ino()) == (there.dev(), there.ino())
}

fn is_under_way(path: &Path) -> bool {
    open(path).is_ok_and(|file| file.try_lock().is_err())
}

/// Opens a file itself, whatever lies there: no link is followed, no FIFO waited for.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

/// Whether a name is a note's, or one's that was being written.
fn is_name(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let is_hex = |digits: &str, length| {
        digits.len() == length && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    name.strip_prefix(TEMPORARY).map_or_else(|| is_hex(name, 64), |digits| is_hex(digits, 32))
}

/// Whether a file is a note that no run is at: all else there is somebody's.
fn is_free_note(path: &Path) -> bool {
    let Ok(mut file) = open(path) else { return false };
    let mut beginning = Vec::new();
    let is_file = file.metadata().is_ok_and(|found| found.is_file());
    if !is_file || (&mut file).take(BEGINNING.len() as u64).read_to_end(&mut beginning).is_err() {
        return false;
    }
    // One that was being written may be empty yet.
    let is_begun = beginning.is_empty() && path.file_name().is_some_and(|name| name.len() < 64);
    (is_begun || beginning == BEGINNING) && file.try_lock().is_ok()
}

/// Removes notes that are old, and the oldest of too many; never one that a run is at, and nothing that is no note.
fn sweep(directory: &Path, now: Timestamp) -> io::Result<()> {
    let now = Duration::from_millis(u64::try_from(now.as_millis()).unwrap_or_default());
    let mut notes = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let Ok(found) = entry.metadata() else { continue };
        let modified = found.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        if found.is_file() && is_name(&entry.file_name()) {
            notes.push((modified, entry.path()));
        }
    }
    notes.sort();
    let too_many = (notes.len() + 1).saturating_sub(NOTES_MAX);
    for (at, (modified, path)) in notes.iter().enumerate() {
        let is_old = now.saturating_sub(*modified) > KEPT_FOR;
        if (is_old || at < too_many) && is_free_note(path) {
            let _gone_meanwhile = std::fs::remove_file(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{KEPT_FOR, NOTES_MAX, Notes, Plan, Said};
    use engine::clock::Timestamp;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::time::{Duration, UNIX_EPOCH};

    const NOW: Timestamp = Timestamp::from_millis(1_769_860_800_000);
    const GOLDEN: &str = "{\"format\":\"firn upload\",\"version\":1,\"noted_ms\":1769860800000,\"plan\":\"00ff\",\
        \"place\":\"s3://b/\\\"k\\\"\",\"upload_id\":\"u\",\"crc32c\":\"1db04783\"}\n";

    fn notes(root: &Path) -> Notes {
        Notes::of(Ok(root.to_owned()))
    }

    fn begin(notes: &Notes, plan: &Plan, id: &str) -> Option<super::Note> {
        notes.begin(plan, ("s3://b/k".to_owned(), id.to_owned()), NOW).unwrap()
    }

    fn files(root: &Path) -> Vec<String> {
        let entries = fs::read_dir(root.join("firn/uploads")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn golden_bytes_encode_and_decode_and_every_flipped_byte_is_refused() {
        let said = Said {
            noted: NOW,
            plan: "00ff".to_owned(),
            place: "s3://b/\"k\"".to_owned(),
            upload_id: "u".to_owned(),
        };
        assert_eq!(said.encode(), GOLDEN);
        assert_eq!(Said::decode(GOLDEN.as_bytes(), "n"), Some(said));
        for at in 0..GOLDEN.len() {
            for bit in [0x01, 0x20, 0x80] {
                let mut bytes = GOLDEN.as_bytes().to_vec();
                bytes[at] ^= bit;
                assert_eq!(Said::decode(&bytes, "n"), None, "{at}");
            }
            assert_eq!(Said::decode(&GOLDEN.as_bytes()[..at], "n"), None, "{at}");
        }
        assert_eq!(Said::decode(GOLDEN.replace("\"version\":1", "\"version\":2").as_bytes(), "n"), None);
    }

    #[test]
    fn a_note_is_found_by_the_same_plan_alone_and_by_one_run_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let (ours, others) = (Plan::of(["a", "bc"]), Plan::of(["ab", "c"]));
        assert_ne!(ours, others);
        let first = notes(root.path());
        assert!(first.find(&ours).is_none());
        let note = begin(&first, &ours, "one").unwrap();
        let second = notes(root.path());
        assert!(second.find(&ours).is_none(), "a run is at it");
        assert!(begin(&second, &ours, "two").is_none(), "and keeps it");
        drop(note);
        let (note, id) = second.find(&ours).unwrap();
        assert_eq!(id, "one");
        assert!(second.find(&others).is_none());
        let path = root.path().join("firn/uploads").join(&ours.0);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // Under another's name it says nothing.
        fs::copy(&path, path.with_file_name(&others.0)).unwrap();
        assert!(second.find(&others).is_none());
        // Another run's that came in its place is not this one's to remove.
        let elsewhere = root.path().join("elsewhere");
        fs::rename(&path, &elsewhere).unwrap();
        fs::write(&path, "another's").unwrap();
        note.remove();
        assert!(path.exists());
        fs::rename(&elsewhere, &path).unwrap();
        second.find(&ours).unwrap().0.remove();
        assert!(second.find(&ours).is_none() && files(root.path()) == [others.0.clone()]);
        // One that is left is replaced.
        drop(begin(&first, &ours, "three"));
        drop(begin(&first, &ours, "four"));
        assert_eq!(second.find(&ours).unwrap().1, "four");
    }

    #[test]
    fn notes_that_others_may_write_and_directories_of_others_are_none() {
        let root = tempfile::tempdir().unwrap();
        let (notes, plan) = (notes(root.path()), Plan::of(["a"]));
        drop(begin(&notes, &plan, "one"));
        let directory = root.path().join("firn/uploads");
        let (path, mode) = (directory.join(&plan.0), fs::Permissions::from_mode);
        fs::set_permissions(&path, mode(0o620)).unwrap();
        assert!(notes.find(&plan).is_none());
        fs::set_permissions(&path, mode(0o600)).unwrap();
        fs::rename(&path, root.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(root.path().join("elsewhere"), &path).unwrap();
        assert!(notes.find(&plan).is_none(), "a link");
        fs::set_permissions(&directory, mode(0o777)).unwrap();
        let place = || ("s3://b/k".to_owned(), "two".to_owned());
        let error = notes.begin(&plan, place(), NOW).unwrap_err();
        assert!(error.to_string().contains("others may write there"), "{error}");
        assert!(notes.tell(&error).unwrap().contains("begins anew") && notes.tell(&error).is_none());
        Notes::of(Err("no place".to_owned())).begin(&plan, place(), NOW).unwrap_err();
        fs::write(root.path().join("file"), "x").unwrap();
        Notes::of(Ok(root.path().join("file"))).begin(&plan, place(), NOW).unwrap_err();
    }

    #[test]
    fn what_is_no_note_stays_however_old_and_no_link_is_followed() {
        let root = tempfile::tempdir().unwrap();
        let (notes, plan) = (notes(root.path()), Plan::of(["a"]));
        drop(begin(&notes, &plan, "one"));
        let directory = root.path().join("firn/uploads");
        let (named, fifo) = ("a".repeat(64), "f".repeat(64));
        let foreign = ["photo.raw", ".new-7-0", &named, &format!(".new-{}", "b".repeat(32))];
        let old = UNIX_EPOCH + Duration::from_secs(1);
        let put = |name: &str, text: &str| {
            fs::write(directory.join(name), text).unwrap();
            let file = fs::File::options().write(true).open(directory.join(name)).unwrap();
            file.set_modified(old).unwrap();
        };
        for name in foreign {
            put(name, "somebody's");
        }
        let begun = [format!(".new-{}", "c".repeat(32)), format!(".new-{}", "d".repeat(32)), "e".repeat(64)];
        put(&begun[0], "");
        put(&begun[1], GOLDEN);
        put(&begun[2], GOLDEN);
        std::os::unix::fs::symlink("photo.raw", directory.join("0".repeat(64))).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, directory.join(&fifo), rustix::fs::Mode::RUSR).unwrap();
        // Nobody writes into it, and nobody waits for that.
        assert!(!super::is_under_way(&directory.join(&fifo)));
        drop(begin(&notes, &Plan::of(["b"]), "two"));
        let left = files(root.path());
        for name in foreign.into_iter().chain([&*fifo, &*"0".repeat(64), &*plan.0]) {
            assert!(left.iter().any(|left| left == name), "{name}: {left:?}");
        }
        assert!(begun.iter().all(|name| !left.contains(name)), "{left:?}");
        // Nor does the directory lead elsewhere.
        let elsewhere = root.path().join("photos");
        fs::rename(&directory, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &directory).unwrap();
        notes.begin(&Plan::of(["c"]), ("s3://b/k".to_owned(), "three".to_owned()), NOW).unwrap_err();
        assert_eq!(fs::read_dir(elsewhere).unwrap().count(), left.len());
    }

    #[test]
    fn old_notes_and_too_many_are_removed_and_none_that_a_run_is_at() {
        let root = tempfile::tempdir().unwrap();
        let notes = notes(root.path());
        let now = UNIX_EPOCH + Duration::from_millis(u64::try_from(NOW.as_millis()).unwrap());
        let age = |plan: &Plan, age: Duration| {
            let path = root.path().join("firn/uploads").join(&plan.0);
            fs::File::options().write(true).open(path).unwrap().set_modified(now - age).unwrap();
        };
        let plan = |n: usize| Plan::of([n.to_string().as_str()]);
        drop(begin(&notes, &plan(0), "old"));
        age(&plan(0), KEPT_FOR + Duration::from_secs(1));
        let _held = begin(&notes, &plan(1), "old, and under way").unwrap();
        age(&plan(1), KEPT_FOR + Duration::from_secs(1));
        drop(begin(&notes, &plan(2), "new"));
        age(&plan(2), KEPT_FOR);
        let mut left = files(root.path());
        left.sort();
        let mut wanted = [plan(1).0, plan(2).0];
        wanted.sort();
        assert_eq!(left, wanted);
        for n in 3..NOTES_MAX + 20 {
            let path = root.path().join("firn/uploads").join(plan(n).0);
            fs::write(&path, GOLDEN).unwrap();
            fs::File::options().write(true).open(path).unwrap().set_modified(now).unwrap();
        }
        drop(begin(&notes, &plan(NOTES_MAX + 20), "the newest"));
        assert!(files(root.path()).len() <= NOTES_MAX + 1);
        assert!(notes.find(&plan(NOTES_MAX + 20)).is_some() && notes.find(&plan(2)).is_none());
    }
}
