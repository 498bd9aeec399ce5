//! RocksDB's static library, built once as a unity build into the user's cache and linked from every profile and clone.
//!
//! ```text
//!   librocksdb-sys's source list ──► 12 units (plan) ──► g++, as many at once as memory carries ──► ar ──► cache entry
//!                                                                       ROCKSDB_LIB_DIR, ROCKSDB_STATIC ◄──┘
//! ```
//!
//! File by file, as librocksdb-sys does it, takes 19 minutes of two cores; this takes about five. The entry's recipe is
//! the crate's version, the compiler's and the flags, so that a new one of any makes a new library; a crash leaves an
//! unfinished directory that the next build replaces (see `cache`).

mod plan;

use crate::error::{Error, Result};
use crate::say::{self, Stopwatch};
use crate::workspace::{Metadata, Workspace, read, write};
use crate::{cache, process};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

const LIBRARY: &str = "librocksdb.a";
/// Raised when the way of building changes and the flags do not.
const LAYOUT: u32 = 1;
/// Measured: one core's time for the whole of 11.8.1 by g++ 12, for the estimate before it starts.
const CORE_SECONDS: u64 = 520;

/// What cargo's children need in order to link the library.
#[derive(Clone, Debug)]
pub(crate) struct Library {
    directory: OsString,
}

impl Library {
    /// The environment for a cargo child.
    pub(crate) fn environment(&self) -> [(&'static str, OsString); 2] {
        [("ROCKSDB_LIB_DIR", self.directory.clone()), ("ROCKSDB_STATIC", "1".into())]
    }
}

/// What is compiled, from what and by what.
struct Source {
    version: String,
    /// Of lz4-sys, whose headers it is compiled against.
    lz4: String,
    rocksdb: PathBuf,
    compiler: OsString,
    compiler_version: String,
    flags: Vec<&'static str>,
    includes: Vec<PathBuf>,
    version_file: PathBuf,
    units: Vec<plan::Unit>,
}

/// Finds the library in the cache, or builds it, saying beforehand how long that takes.
pub(crate) fn ensure(workspace: &Workspace) -> Result<Library> {
    if let Some(directory) = std::env::var_os("ROCKSDB_LIB_DIR") {
        let file = Path::new(&directory).join(LIBRARY);
        if !file.is_file() {
            return Err(Error::failed(format!(
                "ROCKSDB_LIB_DIR is set and {} does not exist: unset it, and the library is built into the cache",
                file.display()
            )));
        }
        return Ok(Library { directory });
    }
    let source = Source::find(&workspace.metadata(true)?)?;
    let directory = cache::entry(&workspace.cache.join("rocksdb"), &source.recipe(), &[LIBRARY], |home| {
        source.build(home)
    })?;
    Ok(Library { directory: directory.into() })
}

impl Source {
    fn find(metadata: &Metadata) -> Result<Self> {
        let package = metadata.package("librocksdb-sys")?;
        let top = package.directory();
        let rocksdb = top.join("rocksdb");
        let list = read(&top.join("rocksdb_lib_sources.txt"))?;
        let sized = plan::sources(&list)
            .into_iter()
            .map(|source| {
                let path = rocksdb.join(source);
                let size = std::fs::metadata(&path).map_err(|cause| Error::at("read", &path, cause))?.len();
                Ok((source.to_owned(), size))
            })
            .collect::<Result<Vec<_>>>()?;
        let lz4 = metadata.package("lz4-sys")?;
        let compiler = std::env::var_os("CXX").unwrap_or_else(|| "g++".into());
        let said = process::capture(Command::new(&compiler).arg("--version"))?;
        Ok(Self {
            version: package.version.clone(),
            lz4: lz4.version.clone(),
            includes: vec![
                rocksdb.join("include"),
                rocksdb.clone(),
                top.to_owned(),
                lz4.directory().join("liblz4/lib"),
            ],
            version_file: top.join("build_version.cc"),
            units: plan::units(&sized),
            flags: plan::flags(std::env::consts::ARCH),
            compiler_version: said.lines().next().unwrap_or_default().to_owned(),
            compiler,
            rocksdb,
        })
    }

    fn recipe(&self) -> String {
        format!(
            "layout {LAYOUT}\nlibrocksdb-sys {}\nlz4-sys {}\ncompiler {} ({})\nflags {}\nunits {}\n",
            self.version,
            self.lz4,
            self.compiler.to_string_lossy(),
            self.compiler_version,
            self.flags.join(" "),
            self.units.len(),
        )
    }

    fn build(&self, home: &Path) -> Result<()> {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let memory = read(Path::new("/proc/meminfo")).ok().and_then(|text| plan::available_kib(&text));
        let jobs = plan::jobs(processors, memory);
        let estimate = Duration::from_secs(CORE_SECONDS / jobs as u64);
        say::line(format!(
            "building RocksDB {} once, into {}: about {} with {jobs} compiler(s) at a time",
            self.version,
            home.display(),
            say::duration(estimate),
        ));
        let objects = self.compile_all(home, jobs)?;
        let mut archive = Command::new("ar");
        archive.current_dir(home).args(["crsD", LIBRARY]).args(&objects);
        process::run(&mut archive)?;
        for object in objects {
            let path = home.join(object);
            std::fs::remove_file(&path).map_err(|source| Error::at("remove", &path, source))?;
        }
        Ok(())
    }

    /// Compiles every unit, at most `jobs` at once, with progress; returns the objects' names.
    fn compile_all(&self, home: &Path, jobs: usize) -> Result<Vec<String>> {
        let mut queue = vec![("version".to_owned(), self.version_file.clone(), 1)];
        for (index, unit) in self.units.iter().enumerate().rev() {
            let file = home.join(format!("unit{index:02}.cc"));
            write(&file, &plan::unit_text(&self.rocksdb, unit))?;
            queue.push((format!("unit{index:02}"), file, unit.bytes));
        }
        let names = queue.iter().map(|(name, _, _)| format!("{name}.o")).collect();
        let total: u64 = queue.iter().map(|(_, _, bytes)| bytes).sum();
        let count = queue.len();
        let queue = Mutex::new(queue);
        let watch = Stopwatch::start();
        std::thread::scope(|scope| {
            let (sender, receiver) = channel();
            for _ in 0..jobs {
                let (sender, queue) = (sender.clone(), &queue);
                scope.spawn(move || self.compile_from(queue, home, &sender));
            }
            drop(sender);
            let mut progress = Progress { done: 0, count, bytes: 0, total };
            for result in receiver {
                match result {
                    Ok(bytes) => progress.step(bytes, watch),
                    Err(error) => {
                        // Nothing that is still waiting is worth compiling.
                        queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
                        return Err(error);
                    }
                }
            }
            Ok(names)
        })
    }

    fn compile_from(
        &self,
        queue: &Mutex<Vec<(String, PathBuf, u64)>>,
        home: &Path,
        done: &Sender<Result<u64>>,
    ) {
        loop {
            let next = queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
            let Some((name, file, bytes)) = next else { return };
            let result = self.compile(home, &name, &file).map(|()| bytes);
            if done.send(result).is_err() {
                return;
            }
        }
    }

    fn compile(&self, home: &Path, name: &str, file: &Path) -> Result<()> {
        let mut command = Command::new(&self.compiler);
        command.current_dir(home).args(&self.flags).stdin(Stdio::null());
        for include in &self.includes {
            command.arg("-I").arg(include);
        }
        command.arg("-c").arg(file).arg("-o").arg(format!("{name}.o"));
        process::capture(&mut command).map(drop)
    }
}

struct Progress {
    done: usize,
    count: usize,
    bytes: u64,
    total: u64,
}

impl Progress {
    fn step(&mut self, bytes: u64, watch: Stopwatch) {
        self.done += 1;
        self.bytes += bytes;
        let elapsed = watch.elapsed();
        let left = elapsed.as_secs() * (self.total - self.bytes) / self.bytes.max(1);
        let (done, count) = (self.done, self.count);
        let left = say::duration(Duration::from_secs(left));
        say::line(format!("  RocksDB {done}/{count}, {} so far, about {left} left", say::duration(elapsed)));
    }
}

#[cfg(test)]
mod tests {
    use super::Source;
    use std::path::PathBuf;

    fn source() -> Source {
        Source {
            version: "1".to_owned(),
            lz4: "2".to_owned(),
            compiler: "g++".into(),
            compiler_version: "3".to_owned(),
            flags: vec!["-O2", "-DNDEBUG"],
            includes: Vec::new(),
            version_file: PathBuf::new(),
            units: Vec::new(),
            rocksdb: PathBuf::new(),
        }
    }

    #[test]
    fn a_library_made_of_or_by_anything_else_is_another() {
        let other = "other".to_owned();
        let recipes = [
            source(),
            Source { version: other.clone(), ..source() },
            Source { lz4: other.clone(), ..source() },
            Source { compiler: other.clone().into(), ..source() },
            Source { compiler_version: other, ..source() },
            Source { flags: vec!["-O2"], ..source() },
            Source { flags: vec!["-DNDEBUG", "-O2"], ..source() },
        ];
        let recipes: std::collections::BTreeSet<_> = recipes.iter().map(Source::recipe).collect();
        assert_eq!(recipes.len(), 7, "{recipes:?}");
    }
}
