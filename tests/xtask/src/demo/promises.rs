//! The demo's second half: what firn takes apart, stores once, refuses and holds, each shown on real files and proven.
//!
//! ```text
//!   tar of a crate ─► cp --extract ─► compare          two checkpoints ─► dedup ─► du, compare
//!   quota ─► one file too many ─► exit 5               object lock ─► rm of the version ─► exit 5, still there
//!   GLACIER ─► cat ─► exit 6 ─► restore ─► compare
//! ```
//!
//! Each step has a bucket or a prefix of its own and can be run again. What comes out otherwise than promised ends the demo.

use super::appliance::Appliance;
use super::files::Tree;
use super::{BUCKET, tell, verify};
use crate::error::{Error, Result};
use crate::process;
use crate::say::{self, Stopwatch};
use crate::workspace::make_directory;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Exit code of what the server refuses (docs/cli.md).
const DENIED: i32 = 5;
/// That of what is to be restored first.
const ARCHIVED: i32 = 6;
/// The largest crate that is packed, in bytes.
const ARCHIVE_MAX: u64 = 64 << 20;
/// What a changed checkpoint differs in, in bytes.
const CHANGED: usize = 1 << 20;
/// Of this size each, one file fits into the quota and two do not, in bytes.
const PIECE: usize = 600_000;

/// What the steps work with.
pub(super) struct Stage<'a> {
    pub(super) appliance: &'a Appliance,
    /// Where aws-cli is.
    pub(super) clients: &'a Path,
    /// Where to put files of its own.
    pub(super) scratch: &'a Path,
}

impl Stage<'_> {
    /// The crate with the most files goes in as one archive and comes back as files.
    pub(super) fn archive(&self, sources: &Path, tree: &Tree) -> Result<()> {
        let Some(chosen) = tree.fullest(2, ARCHIVE_MAX) else { return Ok(()) };
        let (Some(index), Some(name)) = (chosen.parent(), chosen.file_name()) else { return Ok(()) };
        let name = name.to_string_lossy();
        make_directory(self.scratch)?;
        let archive = self.scratch.join(format!("{name}.tar"));
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(sources.join(index)).arg("-cf").arg(&archive).arg(&*name);
        process::run(&mut tar)?;
        let packed = Tree::walk(&sources.join(&chosen))?;
        let watch = Stopwatch::start();
        let mut extract = self.appliance.firn(&["cp", "--extract"]);
        process::run(extract.arg(&archive).arg(format!("{BUCKET}/unpacked/")))?;
        tell(&format!("{name}.tar in, by one request"), &packed, watch);
        remove(&archive)?;
        let back = self.scratch.join("back");
        verify(self.appliance, &format!("unpacked/{name}"), &sources.join(&chosen), &packed, &back)
    }

    /// A checkpoint that changed little costs little, though everything in it has moved.
    pub(super) fn checkpoints(&self) -> Result<()> {
        const PLACE: &str = "s3://demo-checkpoints";
        let binary = &self.appliance.binary;
        let first = std::fs::read(binary).map_err(|source| Error::at("read", binary, source))?;
        let mut second = b"a header that was not there before".to_vec();
        second.extend_from_slice(&first);
        let middle = second.len() / 2;
        for byte in second.iter_mut().skip(middle).take(CHANGED) {
            *byte = !*byte;
        }
        self.make(PLACE)?;
        process::run(&mut self.appliance.firn(&["dedup", "on", PLACE]))?;
        let steps = [("step-1.pt", first), ("step-2.pt", second)];
        for (name, bytes) in &steps {
            self.put(bytes, &format!("{PLACE}/{name}"))?;
        }
        process::run(&mut self.appliance.firn(&["du", PLACE]))?;
        let usage = process::capture(&mut self.appliance.firn(&["--json", "du", PLACE]))?;
        let Usage { deduplication: Saving { written_bytes, saved_bytes } } = parse(&usage)?;
        if saved_bytes * 10 < written_bytes * 4 {
            let text = format!("of {written_bytes} bytes that have half in common {saved_bytes} are saved");
            return Err(Error::failed(text));
        }
        for (name, bytes) in &steps {
            self.reads_as(&format!("{PLACE}/{name}"), bytes)?;
        }
        say::line("both read back the same in every byte");
        Ok(())
    }

    /// A quota takes what fits and nothing more.
    pub(super) fn quota(&self) -> Result<()> {
        const PLACE: &str = "s3://demo-quota";
        self.make(PLACE)?;
        process::run(&mut self.appliance.firn(&["quota", "set", PLACE, "--bytes", "1MiB"]))?;
        let piece = vec![b'.'; PIECE];
        self.put(&piece, &format!("{PLACE}/fits"))?;
        let file = self.file(&piece)?;
        let mut second = self.appliance.firn(&["cp"]);
        Self::refused(second.arg(&file).arg(format!("{PLACE}/is-too-much")), DENIED)?;
        remove(&file)?;
        process::run(&mut self.appliance.firn(&["quota", "ls", PLACE]))
    }

    /// A version that is locked can't be removed, by root neither.
    pub(super) fn lock(&self) -> Result<()> {
        const BUCKET: &str = "demo-locked";
        const RULE: &str =
            r#"{"ObjectLockEnabled":"Enabled","Rule":{"DefaultRetention":{"Mode":"GOVERNANCE","Days":1}}}"#;
        let at = format!("s3://{BUCKET}/ledger");
        if !self.is_there(&format!("s3://{BUCKET}")) {
            self.s3api(&["create-bucket", "--bucket", BUCKET, "--object-lock-enabled-for-bucket"])?;
        }
        self.s3api(&[
            "put-object-lock-configuration",
            "--bucket",
            BUCKET,
            "--object-lock-configuration",
            RULE,
        ])?;
        say::line(format!("s3://{BUCKET} keeps each version for a day"));
        self.put(b"paid: 12\n", &at)?;
        let stat = process::capture(&mut self.appliance.firn(&["--json", "stat", &at]))?;
        let Stat { version_id } = parse(&stat)?;
        Self::refused(&mut self.appliance.firn(&["rm", "--version-id", &version_id, &at]), DENIED)?;
        self.reads_as(&at, b"paid: 12\n")?;
        say::line(format!("{at} still reads as it was written"));
        Ok(())
    }

    /// What is in an archived class is read once it was restored.
    pub(super) fn archived(&self) -> Result<()> {
        const BUCKET: &str = "demo-archive";
        let at = format!("s3://{BUCKET}/models/old.pt");
        let binary = &self.appliance.binary;
        let mut model = std::fs::read(binary).map_err(|source| Error::at("read", binary, source))?;
        model.truncate(CHANGED);
        self.make(&format!("s3://{BUCKET}"))?;
        let file = self.file(&model)?;
        let put = ["put-object", "--bucket", BUCKET, "--key", "models/old.pt", "--storage-class", "GLACIER"];
        self.s3api(&[&put[..], &["--body", &file.to_string_lossy()]].concat())?;
        remove(&file)?;
        Self::refused(&mut self.appliance.firn(&["cat", &at]), ARCHIVED)?;
        process::run(&mut self.appliance.firn(&["restore", &at, "--days", "1", "--wait"]))?;
        self.reads_as(&at, &model)?;
        say::line(format!("{at} is restored for a day, and reads as it was written"));
        Ok(())
    }

    fn is_there(&self, place: &str) -> bool {
        process::capture(&mut self.appliance.firn(&["--quiet", "stat", place])).is_ok()
    }

    fn make(&self, place: &str) -> Result<()> {
        if self.is_there(place) {
            return Ok(());
        }
        process::run(&mut self.appliance.firn(&["mb", place]))
    }

    fn s3api(&self, words: &[&str]) -> Result<()> {
        let mut aws = self.appliance.client(&self.clients.join("aws"));
        process::capture(aws.arg("s3api").args(words)).map(drop)
    }

    fn file(&self, bytes: &[u8]) -> Result<PathBuf> {
        make_directory(self.scratch)?;
        let file = self.scratch.join("piece");
        std::fs::write(&file, bytes).map_err(|source| Error::at("write", &file, source))?;
        Ok(file)
    }

    fn put(&self, bytes: &[u8], at: &str) -> Result<()> {
        let file = self.file(bytes)?;
        process::run(self.appliance.firn(&["cp"]).arg(&file).arg(at))?;
        remove(&file)
    }

    fn reads_as(&self, at: &str, wanted: &[u8]) -> Result<()> {
        let found = process::output(&mut self.appliance.firn(&["cat", at]))?;
        if found.status.success() && found.stdout == wanted {
            return Ok(());
        }
        Err(Error::failed(format!("{at} does not read as it was written")))
    }

    /// Runs what the server has to refuse, and shows how it does.
    fn refused(command: &mut Command, code: i32) -> Result<()> {
        let output = process::output(command)?;
        let said = String::from_utf8_lossy(&output.stderr);
        say::line(format!("refused, as it should be: {}", said.trim_end()));
        if output.status.code() == Some(code) {
            return Ok(());
        }
        let line = process::line_of(command);
        Err(Error::Command { line, ended: format!("ended with {}, not with {code}", output.status) })
    }
}

#[derive(Deserialize)]
struct Usage {
    deduplication: Saving,
}

#[derive(Deserialize)]
struct Saving {
    written_bytes: u64,
    saved_bytes: u64,
}

#[derive(Deserialize)]
struct Stat {
    version_id: String,
}

fn parse<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|error| Error::failed(format!("failed to read what firn says: {error}: {text}")))
}

fn remove(file: &Path) -> Result<()> {
    std::fs::remove_file(file).map_err(|source| Error::at("remove", file, source))
}
